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

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
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

/// How many bytes may wait for the handler before no more are read.
const MAX_BACKLOG: usize = 1 << 20;

/// What a line costs beside its bytes.
const LINE_COST: usize = size_of::<OutputLine>();

/// What a record costs beside the bytes that it came in.
const RECORD_COST: usize = size_of::<Said>();

/// A line that is longer is cut.
const MAX_LINE: usize = 64 * 1024;

/// How much of a worker's standard error is kept for the error that names its end.
const LAST_WORDS: usize = 2048;

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
    /// It is not a terminal to the worker then, even if it is one here.
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

/// What a worker is to be done until the handler has caught up.
#[derive(Clone, Copy)]
enum Paused {
    /// A stream of it is not read.
    Stream(Which),
    /// Its result pipe is not read.
    Results,
    /// It is not sent what is put in line for it.
    Frames,
}

/// The pipes of one worker.
pub(super) struct Pipes(Mutex<[Option<Stream>; 2]>);

/// One of them.
struct Stream {
    pipe: OwnedFd,
    is_captured: bool,
    /// The beginning of a line.
    begun: Vec<u8>,
    /// The last bytes that came.
    last: VecDeque<u8>,
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
        let may_more_come = lock(&link.output.0)[at]
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
        let streams = &mut *lock(&link.output.0);
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
                (Some(link), Paused::Frames) => link.flush(),
                (None, _) => {}
            }
        }
    }
}

impl Pipes {
    /// Whatever of the two is to be read, and whether it is captured.
    pub(super) fn new(
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
        captured: [bool; 2],
    ) -> Self {
        let mut captured = captured.into_iter();
        let streams = [stdout, stderr].map(|pipe| {
            let is_captured = captured.next().unwrap_or(false);
            Some(Stream {
                pipe: pipe?,
                is_captured,
                begun: Vec::new(),
                last: VecDeque::new(),
            })
        });
        Self(Mutex::new(streams))
    }

    /// Does something with each of the pipes.
    pub(super) fn for_each<E>(
        &self,
        mut what: impl FnMut(&OwnedFd, Which) -> Result<(), E>,
    ) -> Result<(), E> {
        for (at, stream) in lock(&self.0).iter().enumerate() {
            if let Some(stream) = stream {
                what(&stream.pipe, which_at(at))?;
            }
        }
        Ok(())
    }

    /// The last lines of standard error, if it is read.
    pub(super) fn last_words(&self) -> Option<Arc<str>> {
        let mut streams = lock(&self.0);
        let stream = streams[index(Which::Stderr)].as_mut()?;
        let is_cut = stream.last.len() >= LAST_WORDS;
        let bytes = &*stream.last.make_contiguous();
        // What was cut within a line begins with the next one.
        let start = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if is_cut && end + 1 < bytes.len() => end + 1,
            _ => 0,
        };
        let text = String::from_utf8_lossy(&bytes[start..]);
        (!text.trim().is_empty()).then(|| text.trim_end().into())
    }
}

impl Stream {
    fn note_last(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(LAST_WORDS)..];
        let excess = (self.last.len() + kept.len()).saturating_sub(LAST_WORDS);
        self.last.drain(..excess.min(self.last.len()));
        self.last.extend(kept);
    }

    /// The lines that are complete with these bytes.
    fn lines(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_line) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let mut left = text;
            while self.begun.len() + left.len() > MAX_LINE {
                let (part, rest) = left.split_at(MAX_LINE - self.begun.len());
                self.begun.extend_from_slice(part);
                lines.push(std::mem::take(&mut self.begun));
                left = rest;
            }
            self.begun.extend_from_slice(left);
            if is_line {
                lines.push(std::mem::take(&mut self.begun));
            }
        }
        lines
    }
}

fn index(which: Which) -> usize {
    usize::from(which == Which::Stderr)
}

fn which_at(at: usize) -> Which {
    if at == 0 {
        Which::Stdout
    } else {
        Which::Stderr
    }
}

fn stream_at(at: usize) -> OutputStream {
    if at == 0 {
        OutputStream::Stdout
    } else {
        OutputStream::Stderr
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream() -> Stream {
        let pipe = sys::pipe().unwrap();
        Stream {
            pipe: pipe.reader,
            is_captured: true,
            begun: Vec::new(),
            last: VecDeque::new(),
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut_at_its_greatest_length() {
        let mut stream = stream();
        let lines = stream.lines(&vec![b'x'; 2 * MAX_LINE + 7]);
        let lengths: Vec<_> = lines.iter().map(Vec::len).collect();
        assert_eq!((lengths, stream.begun.len()), (vec![MAX_LINE; 2], 7));
    }

    #[test]
    fn the_last_words_begin_with_a_whole_line() {
        let pipe = sys::pipe().unwrap();
        let pipes = Pipes::new(None, Some(pipe.reader), [false; 2]);
        assert_eq!(pipes.last_words(), None);
        let note = |text: &str| {
            let mut streams = lock(&pipes.0);
            streams[1].as_mut().unwrap().note_last(text.as_bytes());
        };
        note("short\n");
        assert_eq!(pipes.last_words().as_deref(), Some("short"));
        (0..500).for_each(|n| note(&format!("line {n}\n")));
        let words = pipes.last_words().unwrap();
        assert!(
            words.starts_with("line ") && words.ends_with("line 499"),
            "{words}"
        );
        assert!(words.len() <= LAST_WORDS);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come(
            text in "[a-c\n]{0,60}",
            cuts in prop::collection::vec(0..8_usize, 0..30),
        ) {
            let mut stream = stream();
            let (mut lines, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                lines.extend(stream.lines(now));
                rest = later;
            }
            lines.extend(stream.lines(rest));
            let mut expected: Vec<Vec<u8>> = text.split('\n').map(|line| line.into()).collect();
            let begun = expected.pop().unwrap_or_default();
            prop_assert_eq!((lines, stream.begun), (expected, begun));
        }
    }
}
