//! A server in a process of its own.
//!
//! By default it listens at an abstract address with a random name. A socket in a private directory would be kept from other users by the
//! permissions of that, but somebody has to remove it: where the server and its owner are both killed, nobody does. An abstract one goes with the server,
//! however that ends. What protects it is the same as anywhere: either side looks at the user of the other one before anything is said, and then there is the key.
//! (It belongs to a network namespace: processes in another one do not find it.)

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::refusal::{NotServing, Refusal};
use super::{Limits, ServerBuilder};
use crate::Process;
use crate::manager::secure::{Address, Key, ServeError, TravellingKey};
use crate::pipe::{self, Sender};
use crate::sys;

/// How long a server may take until it listens.
const START_TIME: Duration = Duration::from_secs(60);

/// How long it may take to end, when it has let go of what it reports through.
const END_TIME: Duration = Duration::from_secs(5);

/// What the process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    address: Address,
    key: TravellingKey,
    limits: Limits,
}

/// Says where it listens, or why it does not.
type Report = Result<Address, Refusal>;

/// What the process runs.
fn serve(order: Order, report: Sender<Report>) {
    let key = Key::from(order.key);
    // Each client takes one. Where no more are allowed, clients are told when there is none left.
    let _ = sys::allow_open_files();
    let served = ServerBuilder::of(order.limits).serve(&order.address, &key);
    match served {
        Ok(server) => {
            // An owner that is gone is noticed elsewhere, and ends this process.
            let _ = report.send(&Ok(server.address().clone()));
            drop(report);
            server.wait();
        }
        Err(error) => {
            let _ = report.send(&Err(error.into()));
        }
    }
}

crate::register!(serve as "procession::manager::serve");

/// Starts a server in a process of its own, which ends with this one, and waits until it listens: where, unless it is told, nobody else knows.
pub(crate) fn start_process(
    builder: &ServerBuilder,
    address: Option<&Address>,
) -> Result<(Process<()>, Address, Key), ServeError> {
    let failed = |error: Arc<dyn std::error::Error + Send + Sync>| ServeError::NotStarted(error);
    let said = |what: String| ServeError::NotStarted(Arc::new(NotServing(what)));
    let key = Key::generate().map_err(|error| failed(Arc::new(error)))?;
    let address = match address {
        Some(address) => address.checked()?,
        None => {
            let name = Key::generate().map_err(|error| failed(Arc::new(error)))?;
            Address::Abstract(format!("procession-{}", &name.to_hex()[..32]))
        }
    };
    let order = Order {
        address,
        key: TravellingKey::from(&key),
        limits: builder.limits(),
    };
    let (report, reports) = pipe::one_way::<Report>().map_err(|error| failed(Arc::new(error)))?;
    let process = Process::builder()
        .name("manager")
        .daemon(true)
        .spawn(serve, (order, report))
        .map_err(|error| failed(Arc::new(error)))?;
    match reports.recv_timeout(START_TIME) {
        Ok(Some(Ok(address))) => Ok((process, address, key)),
        Ok(Some(Err(why))) => {
            process.kill();
            let _ = process.join();
            Err(why.into())
        }
        Ok(None) => {
            process.kill();
            let _ = process.join();
            Err(said(format!("it did not listen within {START_TIME:?}")))
        }
        Err(_) => {
            // It is about to end by itself, and then says why.
            if !process.wait_timeout(END_TIME) {
                process.kill();
            }
            match process.join() {
                Ok(()) => Err(said("it ended before it listened".to_owned())),
                Err(error) => Err(failed(Arc::new(error))),
            }
        }
    }
}
