//! Who this process is.

use crate::worker;

/// This process, as [`current_process`] describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentProcess {
    /// The name of a [`Process`](crate::Process); `worker` in a worker of a pool, and `main` in any other process.
    pub name: String,
    /// Its number.
    pub pid: u32,
    /// The number of its parent.
    pub parent_pid: u32,
    /// Whether it is a [daemon](crate::ProcessBuilder::daemon). No other process than a [`Process`](crate::Process) is one.
    pub is_daemon: bool,
}

/// Says who this process is: `multiprocessing.current_process()`.
///
/// ```standalone_crate
/// use procession::{Process, current_process};
///
/// #[procession::task]
/// fn who() -> (String, u32) {
///     let current = current_process();
///     (current.name, current.parent_pid)
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     procession::init();
///     assert_eq!(current_process().name, "main");
///     let process = Process::builder().name("helper").spawn(who, ())?;
///     assert_eq!(process.join()?, ("helper".into(), std::process::id()));
///     Ok(())
/// }
/// ```
pub fn current_process() -> CurrentProcess {
    let identity = worker::identity();
    let name = match identity {
        Some(identity) => &identity.name,
        None if worker::in_worker() => "worker",
        None => "main",
    };
    CurrentProcess {
        name: name.to_owned(),
        pid: std::process::id(),
        parent_pid: std::os::unix::process::parent_id(),
        is_daemon: identity.is_some_and(|identity| identity.is_daemon),
    }
}
