//! What workers print, where this process reads it, and what they say through `log` and `tracing`.
//!
//! A captured stream is cut into lines, each with the task that runs. That is exact because a pool that
//! captures sends no task ahead, because a worker writes out everything before it sends a result, and because whoever reads that
//! result reads first what is in these pipes ([`Output::before_result`]): all of it is the task's, and all of the task's is there.
//! (What a grandchild writes later is somebody else's; how much is read is what was there at that moment, so a process
//! that never stops writing holds nobody up.)
//!
//! Records come through the result pipe, each in front of the result of its task, so they are the task's without further ado.
//!
//! The user's handler, logger and subscriber run on a thread of their own, `procession-output`, in the order in which things came; while
//! any of it waits, futures are completed there too, behind the lines and records of their tasks. While more than [`MAX_BACKLOG`] bytes
//! wait, the pipes that bring more are left alone, and workers wait when those are full. What is printed is read all the
//! same when a task ends; so, where lines are captured, the frames of further tasks are held back meanwhile, too. (What
//! brings records is the result pipe: the results in it could not be told yet anyway.)

mod pipes;

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::callbacks::Callbacks;
use super::link::{Link, Which};
use crate::error::TaskId;
use crate::future::contain::contain;
use crate::primitives::plain::{Mutex, lock};
use crate::record::{self, Speaker};
use crate::sys;
use crate::wire::Record;

pub(super) use pipes::Pipes;
use pipes::{Stream, index};

/// How many bytes may wait for the handler before no more are read.
const MAX_BACKLOG: usize = 1 << 20;

/// What a line costs beside its bytes.
const LINE_COST: usize = size_of::<OutputLine>();

/// What a record costs beside the bytes that it came in.
const RECORD_COST: usize = size_of::<Said>();

/// Where a standard stream of the workers goes: for [`stdout`](crate::ProcessPoolExecutorBuilder::stdout) and
/// [`stderr`](crate::ProcessPoolExecutorBuilder::stderr).
///
/// ```
/// use procession::{ProcessPoolExecutor, Stdio};
///
/// let builder = ProcessPoolExecutor::builder().stdout(Stdio::Null).stderr(Stdio::Tee);
/// # drop(builder);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Stdio {
    /// Where this process's goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
    /// Where this process's goes, by way of this process, which keeps the last lines of standard error for the
    /// error that says how a worker ended: [`WorkerLost::last_words`](crate::WorkerLost::last_words).
    ///
    /// It is not a terminal to the worker then, even if it is one here. The last lines may be those of a task before the one
    /// that was running; with `Capture` they are not.
    Tee,
    /// To [`on_output`](crate::ProcessPoolExecutorBuilder::on_output), line by line. The last lines are kept as with `Tee`.
    ///
    /// A pool that captures sends no task to a worker before the one before has ended, which costs throughput with
    /// short tasks; and its futures are completed by one thread more.
    Capture,
}

/// A line that a worker has printed: what [`on_output`](crate::ProcessPoolExecutorBuilder::on_output) gets.
///
/// See there for an example.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLine {
    /// Where it was printed.
    pub stream: OutputStream,
    /// The worker's process.
    pub pid: u32,
    /// The task that ran; `None` before the first and between two. The items of a chunk of `map` are one task.
    pub task: Option<TaskId>,
    /// The registered name of that task's function.
    pub function: Option<&'static str>,
    /// What was printed, without the end of the line; what is not UTF-8 is replaced. A line of more than 64 KiB comes in pieces,
    /// and what is left without an end comes when the task ends.
    pub text: String,
}

/// One of the two streams that a process prints to.
///
/// ```
/// assert_ne!(procession::OutputStream::Stdout, procession::OutputStream::Stderr);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What is to be done with lines.
pub(super) type Handler = Arc<dyn Fn(&OutputLine) + Send + Sync>;

/// A record of a worker.
pub(super) struct Said {
    pub(super) record: Record,
    pub(super) speaker: Speaker,
    /// How many bytes it came in.
    pub(super) size: usize,
}

/// What a pool does with what its workers print and say.
pub(super) struct Output {
    handler: Option<Handler>,
    /// Whether records are said again.
    forwards: bool,
    /// The thread of the handler.
    pub(super) thread: Callbacks,
    /// How many bytes wait for it.
    backlog: AtomicUsize,
    /// In how many pieces.
    waiting: AtomicUsize,
    /// Workers that are left alone until they are fewer.
    paused: Mutex<Vec<(Weak<Link>, Paused)>>,
}

/// What is not done for a worker until the handler has caught up.
#[derive(Clone, Copy)]
enum Paused {
    /// A stream of it is not read.
    Stream(Which),
    /// Its result pipe is not read.
    Results,
    /// It is not sent what is put in line for it.
    Frames,
}

/// What runs in a worker.
#[derive(Clone, Copy, Default)]
pub(super) struct Runs {
    pub(super) task: Option<TaskId>,
    pub(super) function: Option<&'static str>,
}

impl Output {
    pub(super) fn new(handler: Option<Handler>, forwards: bool) -> Arc<Self> {
        Arc::new(Self {
            handler,
            forwards,
            thread: Callbacks::new("procession-output"),
            backlog: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            paused: Mutex::new(Vec::new()),
        })
    }

    /// Whether what is printed goes to a handler.
    pub(super) fn is_captured(&self) -> bool {
        self.handler.is_some()
    }

    /// Whether futures are to be completed behind lines or records that wait.
    pub(super) fn is_behind(&self) -> bool {
        (self.forwards || self.is_captured()) && self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Whether so much waits that no more records are to be read.
    pub(super) fn is_full(&self) -> bool {
        self.forwards && self.backlog.load(Ordering::SeqCst) > MAX_BACKLOG
    }

    /// Starts the thread on which the user's code runs, if there is any to run: it must not run on a thread that reads.
    pub(super) fn start(&self) -> io::Result<()> {
        if self.forwards || self.is_captured() {
            self.thread.start()?;
        }
        Ok(())
    }

    /// Says again what a worker has said.
    pub(super) fn say(self: &Arc<Self>, records: Vec<Said>) {
        if records.is_empty() {
            return;
        }
        let size = records.iter().map(|said| said.size + RECORD_COST).sum();
        self.later(size, move || {
            for Said {
                record, speaker, ..
            } in records
            {
                // A logger that panics has been told by the panic hook; the next record is still a record.
                let _ = contain(|| record::say(record, &speaker));
            }
        });
    }

    /// The reactor has been told that a stream can be read.
    pub(super) fn can_be_read(
        self: &Arc<Self>,
        link: &Arc<Link>,
        which: Which,
        runs: impl FnOnce() -> Runs,
    ) {
        let at = index(which);
        let may_more_come = lock(&link.output.streams)[at]
            .as_mut()
            .is_some_and(|stream| self.read(link, stream, at, &mut { usize::MAX }, runs));
        // Not under the lock, which arming takes as well.
        if may_more_come {
            self.arm(link, which);
        }
    }

    /// A worker has sent a result, or has ended: everything that it printed before is passed on. At the end of a task,
    /// so is what is left without an end of a line; within a chunk, that may be the beginning of the next item's.
    pub(super) fn before_result(
        self: &Arc<Self>,
        link: &Arc<Link>,
        is_end: bool,
        runs: impl Fn() -> Runs,
    ) {
        let streams = &mut *lock(&link.output.streams);
        for (at, stream) in streams.iter_mut().enumerate() {
            let Some(stream) = stream else { continue };
            let mut left = sys::readable(&stream.pipe);
            let mut before = usize::MAX;
            while left > 0 && left < before {
                before = left;
                self.read(link, stream, at, &mut left, &runs);
            }
            if is_end && !stream.begun.is_empty() {
                let rest = std::mem::take(&mut stream.begun);
                self.pass_on(link, at, vec![rest], runs());
            }
        }
    }

    /// Reports a pipe when it can be read, or later, when the handler has caught up.
    pub(super) fn arm(&self, link: &Arc<Link>, which: Which) {
        let mut paused = lock(&self.paused);
        if self.backlog.load(Ordering::SeqCst) > MAX_BACKLOG {
            paused.push((Arc::downgrade(link), Paused::Stream(which)));
        } else {
            drop(paused);
            link.arm_output(which);
        }
    }

    /// The same for the result pipe, by whoever has left the token of a worker that is not to be read from now.
    pub(super) fn arm_results(&self, link: &Arc<Link>) {
        let mut paused = lock(&self.paused);
        if self.backlog.load(Ordering::SeqCst) > MAX_BACKLOG {
            if link.hold_up() {
                paused.push((Arc::downgrade(link), Paused::Results));
            }
        } else {
            drop(paused);
            link.read_again();
        }
    }

    /// Whether what is put in line for a worker is to stay there for now; it is written later.
    pub(super) fn holds_back(&self, link: &Arc<Link>) -> bool {
        if !self.is_captured() || self.backlog.load(Ordering::SeqCst) <= MAX_BACKLOG {
            return false;
        }
        let mut paused = lock(&self.paused);
        // As in `arm`: whoever catches up takes the list after this, or has been seen to have.
        let is_behind = self.backlog.load(Ordering::SeqCst) > MAX_BACKLOG;
        if is_behind {
            link.hold_back();
            paused.push((Arc::downgrade(link), Paused::Frames));
        }
        is_behind
    }

    /// One read of at most so many bytes, which are taken off the limit; says whether more may come.
    fn read(
        self: &Arc<Self>,
        link: &Arc<Link>,
        stream: &mut Stream,
        at: usize,
        limit: &mut usize,
        runs: impl FnOnce() -> Runs,
    ) -> bool {
        let mut buffer = [0; 16 * 1024];
        let room = buffer.len().min(*limit);
        let count = match sys::read(stream.pipe.as_fd(), &mut buffer[..room]) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        };
        *limit -= count;
        let bytes = &buffer[..count];
        stream.note_last(bytes);
        if stream.is_captured {
            let lines = stream.lines(bytes);
            if !lines.is_empty() {
                self.pass_on(link, at, lines, runs());
            }
        } else {
            self.repeat(at, bytes.to_vec());
        }
        true
    }

    /// Hands lines to the handler, on its thread.
    fn pass_on(self: &Arc<Self>, link: &Link, at: usize, lines: Vec<Vec<u8>>, runs: Runs) {
        let Some(handler) = self.handler.clone() else {
            return;
        };
        let (pid, stream) = (link.pid, stream_at(at));
        let size = lines.iter().map(|line| line.len() + LINE_COST).sum();
        self.later(size, move || {
            for line in lines {
                let line = OutputLine {
                    stream,
                    pid,
                    task: runs.task,
                    function: runs.function,
                    text: String::from_utf8_lossy(&line).into_owned(),
                };
                // A handler that panics has been told by the panic hook; the next line is still a line.
                let _ = contain(|| handler(&line));
            }
        });
    }

    /// Prints here what was printed there.
    fn repeat(self: &Arc<Self>, at: usize, bytes: Vec<u8>) {
        self.later(bytes.len(), move || {
            // Where it cannot be printed, nobody misses it. (Not through std's handle, whose lock the program may hold while it
            // waits for this thread.)
            let _ = match stream_at(at) {
                OutputStream::Stdout => sys::write_to_stdout(&bytes),
                OutputStream::Stderr => sys::write_to_stderr(&bytes),
            };
        });
    }

    fn later(self: &Arc<Self>, size: usize, what: impl FnOnce() + Send + 'static) {
        self.backlog.fetch_add(size, Ordering::SeqCst);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let this = Arc::clone(self);
        self.thread.run(Box::new(move || {
            what();
            this.caught_up(size);
        }));
    }

    fn caught_up(&self, size: usize) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let before = self.backlog.fetch_sub(size, Ordering::SeqCst);
        if before - size > MAX_BACKLOG / 2 {
            return;
        }
        let paused = std::mem::take(&mut *lock(&self.paused));
        for (link, what) in paused {
            match (link.upgrade(), what) {
                (Some(link), Paused::Stream(which)) => link.arm_output(which),
                (Some(link), Paused::Results) => link.read_again(),
                (Some(link), Paused::Frames) => link.send_again(),
                (None, _) => {}
            }
        }
    }
}

fn stream_at(at: usize) -> OutputStream {
    if at == 0 {
        OutputStream::Stdout
    } else {
        OutputStream::Stderr
    }
}
