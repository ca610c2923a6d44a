//! A server in a process of its own.
//!
//! By default it listens at an abstract address with a random name. A socket in a private directory would be kept from other users by the
//! permissions of that, but somebody has to remove it: where the server and its owner are both killed, nobody does. An abstract one goes with the server,
//! however that ends. What protects it is the same as anywhere: either side looks at the user of the other one before anything is said, and then there is the key.
//! (It belongs to a network namespace: processes in another one do not find it.)
//!
//! It says how far it has come, and its owner says when it may go on:
//!
//! ```text
//!   owner                          server
//!   Order ────────────────────────▶  session of its own, if it is to be detached
//!         ◀───────────── Begins ──  the initializer, if there is one
//!         ◀──────── Initialized ──
//!   go on ────────────────────────▶  only if that was well
//!         ◀──────────── Listens ──  serves
//!   connects
//!   lets go, if it is detached ───▶  by the control socket
//! ```
//!
//! Until it is let go, a detached server ends with its owner as any other does. Nobody else knows its address then, or its key: it would be there for nobody.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::refusal::{NotServing, Refusal};
use super::unowned::Unowned;
use super::{Limits, ServerBuilder};
use crate::error::SubmitError;
use crate::executor::initializer::{Initializer, describe};
use crate::manager::secure::{
    Address, Key, Pace, ServeError, TravellingKey, remove_left_over, within,
};
use crate::pipe::{self, Connection};
use crate::wire::{Encoded, TaskFailure};
use crate::{Process, ProcessOutput, run, sys};

/// How long a server may take until it listens; its initializer takes what it takes.
const START_TIME: Duration = Duration::from_secs(60);

/// What a server in a process of its own is to be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) server: ServerBuilder,
    /// Where it listens, if not where nobody can guess.
    pub(crate) address: Option<Address>,
    /// What its clients have to know, if not what nobody can guess.
    pub(crate) key: Option<Key>,
    /// Whether it goes on when its owner ends.
    pub(crate) is_detached: bool,
    /// What it runs first.
    pub(crate) initializer: Option<Result<Initializer, SubmitError>>,
    pub(crate) stdout: Option<ProcessOutput>,
    pub(crate) stderr: Option<ProcessOutput>,
}

/// A server in a process of its own, which listens. It ends with this, unless its process is [taken](Unowned::take) from it.
pub(crate) struct Started {
    pub(crate) process: Unowned,
    pub(crate) address: Address,
    pub(crate) key: Key,
}

/// What the process is told.
#[derive(Serialize, Deserialize)]
struct Order {
    address: Address,
    key: TravellingKey,
    limits: Limits,
    is_detached: bool,
    /// The call of the initializer.
    initializer: Option<Encoded>,
}

/// What the process says.
#[derive(Serialize, Deserialize)]
enum Report {
    /// It begins with the initializer.
    Begins,
    /// It has done with that, and waits for leave to go on.
    Initialized(Result<Encoded, TaskFailure>),
    /// Where it listens.
    Listens(Address),
    /// Why it does not.
    Refused(Refusal),
}

/// The leave to go on.
type Leave = ();

/// What the process runs.
fn serve(order: Order, owner: Connection<Report, Leave>) {
    // An owner that is gone is noticed elsewhere, and ends this process.
    let say = |report: Report| drop(owner.send(&report));
    let key = Key::from(order.key);
    // Each client takes one. Where no more are allowed, clients are told when there is none left.
    let _ = sys::allow_open_files();
    if order.is_detached
        && let Err(error) = sys::begin_session()
    {
        let what = format!("it cannot have a session of its own: {error}");
        return say(Report::Refused(Refusal::Other(what)));
    }
    if let Some(Encoded { bytes, handles }) = order.initializer {
        say(Report::Begins);
        let mut bytes_back = Vec::new();
        let outcome = run::call(bytes, handles, &mut bytes_back);
        say(Report::Initialized(outcome.map(|handles| Encoded {
            bytes: bytes_back,
            handles,
        })));
        if owner.recv().is_err() {
            return;
        }
    }
    match ServerBuilder::of(order.limits).serve(&order.address, &key) {
        Ok(server) => {
            say(Report::Listens(server.address().clone()));
            drop(owner);
            server.wait();
        }
        Err(error) => say(Report::Refused(error.into())),
    }
}

crate::register!(serve as "procession::manager::serve");

impl Plan {
    /// Starts a server in a process of its own, which ends with this one until it is let go, and waits until it listens: where, unless it is told, nobody else knows.
    pub(crate) async fn start(self, pace: Pace) -> Result<Started, ServeError> {
        self.server.limits().check()?;
        let initializer = self.initializer.transpose();
        let initializer = initializer.map_err(ServeError::InitializerRefused)?;
        let random = || Key::generate().map_err(not_started);
        let key = self.key.map_or_else(random, Ok)?;
        let address = match self.address {
            Some(address) => address.checked()?,
            None => Address::Abstract(format!("procession-{}", &random()?.to_hex()[..32])),
        };
        let order = Order {
            address: address.clone(),
            key: TravellingKey::from(&key),
            limits: self.server.limits(),
            is_detached: self.is_detached,
            initializer: initializer.as_ref().map(Initializer::call),
        };
        let (owner, of_server) = pipe::duplex::<Leave, Report>().map_err(not_started)?;
        // It may be there when whoever reads this one's output, or its terminal, has long gone.
        let output = || match self.is_detached {
            true => ProcessOutput::null(),
            false => ProcessOutput::inherit(),
        };
        let process = Process::builder()
            .name("manager")
            .daemon(true)
            .stdout(self.stdout.unwrap_or_else(output))
            .stderr(self.stderr.unwrap_or_else(output))
            .spawn(serve, (order, of_server))
            .map_err(not_started)?;
        process.after_kill(move || remove_left_over(&address));
        let process = Unowned::new(process, pace);
        let starting = Starting { process, owner };
        let address = starting.listens(initializer.as_ref()).await?;
        Ok(Started {
            process: starting.process,
            address,
            key,
        })
    }
}

/// A server's process that does not listen yet.
struct Starting {
    process: Unowned,
    owner: Connection<Leave, Report>,
}

impl Starting {
    /// Waits until it listens, and says where.
    async fn listens(&self, initializer: Option<&Initializer>) -> Result<Address, ServeError> {
        let mut limit = START_TIME;
        loop {
            match self.hear(limit).await? {
                Report::Begins => limit = Duration::MAX,
                Report::Initialized(outcome) => {
                    if let Some(initializer) = initializer {
                        self.judge(initializer, outcome)?;
                    }
                    // If it is gone, that is heard next.
                    let _ = self.owner.send(&());
                    limit = START_TIME;
                }
                Report::Listens(address) => return Ok(address),
                Report::Refused(why) => return Err(why.into()),
            }
        }
    }

    /// What it says next.
    async fn hear(&self, limit: Duration) -> Result<Report, ServeError> {
        let said = |what: String| not_started(NotServing(what));
        let heard = match self.process.pace {
            Pace::Blocks => self.owner.recv_timeout(limit),
            Pace::Awaits => {
                let deadline = sys::deadline_after(limit);
                let heard = within(deadline, self.owner.recv_async()).await;
                heard.transpose()
            }
        };
        match heard {
            Ok(Some(report)) => Ok(report),
            Ok(None) => Err(said(format!("it did not listen within {limit:?}"))),
            Err(_) => {
                self.process.end().await.map_err(not_started)?;
                Err(said("it ended before it listened".to_owned()))
            }
        }
    }

    fn judge(
        &self,
        initializer: &Initializer,
        outcome: Result<Encoded, TaskFailure>,
    ) -> Result<(), ServeError> {
        let judged = outcome.map_err(describe);
        let judged = judged.and_then(|result| initializer.judge(&result));
        judged.map_err(|message| ServeError::Initializer {
            function: initializer.function.name.to_owned(),
            pid: self.process.pid,
            message,
        })
    }
}

fn not_started(error: impl Error + Send + Sync + 'static) -> ServeError {
    ServeError::NotStarted(Arc::new(error))
}
