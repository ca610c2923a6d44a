//! Threads of a server, on which methods of users' types run: that server is told while one of them waits for its own answer.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::remote::Remote;
use crate::manager::ManagerError;
use crate::manager::protocol::ObjectId;
use crate::sys::SocketName;

/// A call, as its server can know it again: what the client's socket is called, and the number that it has there.
pub(crate) type CallName = (SocketName, u64);

/// The work that a thread of a server does, and who is told what it waits for.
pub(crate) trait Watcher: Send + Sync {
    /// The number that the server has given itself.
    fn server(&self) -> u64;

    /// The thread is about to wait for a call of an object of the server; where it says which one, until that is answered, however long it takes. If it must
    /// not, this says why.
    fn begin(&self, object: ObjectId, call: Option<&CallName>) -> Result<(), ManagerError>;

    /// What began so is over. It may say so from another thread, and when the work has ended.
    fn end(&self, call: Option<&CallName>);
}

thread_local! {
    static WATCHER: RefCell<Option<Arc<dyn Watcher>>> = const { RefCell::new(None) };
}

/// Does some of a server's work on this thread.
pub(crate) fn watched_by<R>(watcher: Arc<dyn Watcher>, work: impl FnOnce() -> R) -> R {
    WATCHER.set(Some(watcher));
    let done = work();
    WATCHER.set(None);
    done
}

/// A wait that a server is told of, until this is dropped.
pub(super) struct Wait {
    watcher: Arc<dyn Watcher>,
    call: Option<CallName>,
}

impl Wait {
    /// This thread waits for a call; `for_ever` if nothing but its answer ends that. `None` where nobody is to be told: on all threads but those of the same server,
    /// and where the server's own thread answers at once.
    pub(super) fn begin(
        remote: &Remote,
        number: u64,
        for_ever: bool,
    ) -> Result<Option<Self>, ManagerError> {
        // On a thread that is ending it may be gone.
        let watcher = WATCHER.try_with(|watcher| watcher.borrow().clone());
        let Some(watcher) = watcher.ok().flatten() else {
            return Ok(None);
        };
        if remote.id() == ObjectId::ROOT || remote.site().server() != watcher.server() {
            return Ok(None);
        }
        let call = match for_ever {
            true => remote.socket_name().map(|name| (name, number)),
            false => None,
        };
        watcher.begin(remote.id(), call.as_ref())?;
        Ok(Some(Self { watcher, call }))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.watcher.end(self.call.as_ref());
    }
}

impl Remote {
    /// What this end of the connection is called.
    fn socket_name(&self) -> Option<SocketName> {
        let connection = self.site().connected()?;
        SocketName::of(connection.socket().as_fd())
    }
}
