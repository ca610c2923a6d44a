//! One process, as its handles, the thread that watches and the list of children share it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::children;
use super::waiters::Waiters;
use crate::error::{EndOfWorker, ProcessEnded, ProcessError, TaskError, Travelling};
use crate::frame::{HEADER_LEN, Header, Kind};
use crate::primitives::plain::{Mutex, lock};
use crate::registry::Function;
use crate::sys::{self, Child, ControlSocket, End, Parcel, SharedPage, Signal};
use crate::wire::{self, Arrived, Arriving, Encoded, Handles, Limits, TaskFailure};
use crate::worker::{self, StartedProcess};

/// The kernel's, for too much CPU time.
const SIGXCPU: i32 = 24;

/// As long as anybody waits for what has no end.
const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// A process that was started here.
pub(super) struct Shared {
    /// In the order of their starts.
    pub(super) number: u64,
    pub(super) name: Arc<str>,
    pub(super) is_daemon: bool,
    pub(super) pid: u32,
    function: &'static Function,
    max_frame: u64,
    limits: Limits,
    child: Child,
    /// Its end ends the process.
    control: ControlSocket,
    /// Taken when it has ended.
    result: Mutex<Option<Parcel>>,
    /// Where it leaves a note, if its address space is limited.
    page: Option<SharedPage>,
    /// Whether it goes on when this process has ended.
    is_let_go: AtomicBool,
    /// Whether this process has ended it.
    is_killed: AtomicBool,
    /// What is to be done once it has been killed.
    after_kill: Mutex<Option<AfterKill>>,
    ended: OnceLock<Ended>,
    /// Whoever has it finds out how it ended.
    ending: Mutex<()>,
    pub(super) waiters: Waiters,
}

type AfterKill = Box<dyn FnOnce() + Send>;

/// How a process has ended, and what it left.
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) outcome: Result<Encoded, ProcessError>,
}

impl Shared {
    pub(super) fn new(
        number: u64,
        name: Arc<str>,
        is_daemon: bool,
        function: &'static Function,
        max_frame: u64,
        limits: Limits,
        started: StartedProcess,
    ) -> Arc<Self> {
        let StartedProcess {
            child,
            control,
            result,
            page,
        } = started;
        Arc::new(Self {
            number,
            name,
            is_daemon,
            pid: child.pid(),
            function,
            max_frame,
            limits,
            child,
            control,
            result: Mutex::new(Some(result)),
            page,
            is_let_go: AtomicBool::new(false),
            is_killed: AtomicBool::new(false),
            after_kill: Mutex::new(None),
            ended: OnceLock::new(),
            ending: Mutex::new(()),
            waiters: Waiters::default(),
        })
    }

    pub(super) fn is_elsewhere(&self) -> bool {
        self.child.is_elsewhere()
    }

    /// Lets it go on when this process ends, however that is. It may be told of that when it has said something on its own, and so received all that was sent before.
    pub(super) fn let_go(&self) -> io::Result<()> {
        self.control.send_now(wire::LET_GO, &[])?;
        self.is_let_go.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the end of this process is none of its business.
    pub(super) fn is_let_go(&self) -> bool {
        self.is_let_go.load(Ordering::Relaxed)
    }

    /// Becomes readable when the process has ended; where the system has no such descriptors, its other end is gone then.
    pub(super) fn sentinel(&self) -> BorrowedFd<'_> {
        self.child.pidfd().unwrap_or_else(|| self.control.as_fd())
    }

    /// Whether the sentinel is one that can be polled for reading.
    pub(super) fn has_pidfd(&self) -> bool {
        self.child.pidfd().is_some()
    }

    /// How it ended, if it has. Whoever is the first to ask reaps it.
    pub(super) fn try_end(&self) -> Option<&Ended> {
        if let Some(ended) = self.ended.get() {
            return Some(ended);
        }
        if self.is_elsewhere() || !self.child.has_ended() {
            return None;
        }
        {
            let _ending = lock(&self.ending);
            if self.ended.get().is_none() {
                // What is left of its group goes with it.
                let reaped = self.child.try_reap()?;
                let outcome = self.outcome(reaped.end);
                self.control.throw_rest_away();
                let end = reaped.end;
                if self.is_killed.load(Ordering::Relaxed)
                    && let Some(after_kill) = lock(&self.after_kill).take()
                {
                    after_kill();
                }
                // Alone with the lock.
                let _ = self.ended.set(Ended { end, outcome });
            }
        }
        children::remove(self);
        self.waiters.wake_all();
        self.ended.get()
    }

    /// Waits for its end; `None` at the deadline, or where this is no child of this process.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Option<&Ended> {
        loop {
            if let Some(ended) = self.try_end() {
                return Some(ended);
            }
            if self.is_elsewhere() || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return None;
            }
            match self.child.pidfd() {
                Some(pidfd) => drop(sys::wait_for(&[pidfd], deadline)),
                None => {
                    let until = deadline.unwrap_or_else(|| Instant::now() + FOREVER);
                    sys::wait_for_hangup_until(self.control.as_fd(), until);
                    if Instant::now() < until {
                        // It has let go of its parent, which is all that could tell of its end.
                        self.child.kill_and_reap();
                    }
                }
            }
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if !self.is_elsewhere() {
            self.child.signal(signal);
        }
    }

    pub(super) fn kill(&self) {
        if !self.is_elsewhere() {
            self.is_killed.store(true, Ordering::Relaxed);
            self.child.kill_group();
        }
    }

    /// Has this done by whoever reaps it, if it was killed by this process: what it could not do itself any more. It must not block.
    pub(super) fn after_kill(&self, run: AfterKill) {
        *lock(&self.after_kill) = Some(run);
    }

    /// Takes a waker, in the place of an earlier one; false if the process has ended.
    pub(super) fn sit(&self, seat: &mut Option<u64>, waker: Waker) -> bool {
        self.waiters.sit(seat, waker, || self.ended.get().is_some())
    }

    /// What it left of its function. It has ended.
    fn outcome(&self, end: End) -> Result<Encoded, ProcessError> {
        match self.left() {
            Ok(Some(Left::Result(encoded))) => Ok(encoded),
            Ok(Some(Left::Failure(failure))) => {
                let error = failure.into_error(self.function.name, self.pid, self.max_frame);
                Err(match error {
                    TaskError::Panicked(panic) => ProcessError::Panicked(panic),
                    error => ProcessError::NotDelivered(error),
                })
            }
            Ok(Some(Left::Lost { announced, came })) => {
                Err(ProcessError::NotDelivered(TaskError::DescriptorsLost {
                    function: self.function.name.into(),
                    of: Travelling::Back,
                    announced,
                    came,
                }))
            }
            Ok(None) => Err(match worker::excuse(&self.control, self.pid) {
                Some(excuse) => ProcessError::NotStarted(excuse),
                None => self.ended(match end {
                    End::Exited(code) => EndOfWorker::Exited(code),
                    End::Signalled(signal) => self.ended_by(signal),
                    End::Unknown => EndOfWorker::Unknown,
                }),
            }),
            Err(what) => Err(self.ended(EndOfWorker::Malformed(what.into()))),
        }
    }

    /// A signal may be that of a limit.
    fn ended_by(&self, signal: i32) -> EndOfWorker {
        let has_failed = |page: &SharedPage| page.resident_kib(0) == sys::ALLOCATION_FAILED;
        match (self.limits.address_space, self.limits.cpu_time_ms) {
            (_, Some(allowed)) if signal == SIGXCPU => EndOfWorker::CpuLimit {
                limit: Duration::from_millis(allowed),
            },
            (Some(limit), _) if self.page.as_ref().is_some_and(has_failed) => {
                EndOfWorker::MemoryLimit { limit, signal }
            }
            _ => EndOfWorker::Signalled(signal),
        }
    }

    fn ended(&self, end: EndOfWorker) -> ProcessError {
        ProcessError::Ended(Box::new(ProcessEnded {
            name: self.name.clone(),
            function: self.function.name.into(),
            pid: self.pid,
            end,
        }))
    }

    /// Reads its result, which it may have written any bytes in the place of. `None` if there is none. The error continues
    /// "which".
    fn left(&self) -> Result<Option<Left>, String> {
        let Some(result) = lock(&self.result).take() else {
            return Ok(None);
        };
        let unreadable = |error: io::Error| format!("left a result that cannot be read: {error}");
        let Ok(header) = result.read_at(HEADER_LEN as u64, 0) else {
            return Ok(None);
        };
        let Ok(header) = <[u8; HEADER_LEN]>::try_from(header) else {
            return Ok(None);
        };
        if header == [0; HEADER_LEN] {
            return Ok(None);
        }
        let header = Header::decode(&header, self.max_frame)
            .map_err(|error| format!("left {error} in the place of its result"))?;
        let beside = self.receive_beside(&header)?;
        let bytes = result.read_at(header.len, HEADER_LEN as u64);
        let bytes = bytes.map_err(unreadable)?;
        match (header.kind, beside) {
            (Kind::Done, Arrived::All(handles)) => {
                Ok(Some(Left::Result(Encoded { bytes, handles })))
            }
            (Kind::Done, Arrived::Lost { announced, came }) => {
                Ok(Some(Left::Lost { announced, came }))
            }
            (Kind::Failed, _) => wire::decode(&bytes)
                .map(|failure| Some(Left::Failure(failure)))
                .map_err(|error| format!("left a failure that does not decode: {error}")),
            (kind, _) => Err(format!(
                "left a `{kind:?}` frame in the place of its result"
            )),
        }
    }

    fn receive_beside(&self, header: &Header) -> Result<Arrived, String> {
        if header.handles == 0 {
            return Ok(Arrived::All(Handles::default()));
        }
        let mut arriving = Arriving::new(header.task, header.seq, header.handles);
        while !arriving.is_complete() {
            let received = self.control.receive_now();
            let received = received.ok().filter(|received| !received.bytes.is_empty());
            let Some(received) = received else {
                return Err("left a result without its descriptors".into());
            };
            let taken = arriving.take(&received.bytes, received.descriptors);
            taken.map_err(|what| format!("sent {what}"))?;
        }
        Ok(arriving.finish())
    }
}

/// What a process left of its function.
enum Left {
    Result(Encoded),
    Failure(TaskFailure),
    /// Of the descriptors of the result, not all have come.
    Lost {
        announced: u16,
        came: u16,
    },
}
