//! The driver's end of one worker: what is still to be written, what has been read, and its process.
//!
//! This is the one place that knows that frames travel through pipes.

mod beside;
mod outbound;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

pub(super) use self::outbound::Payload;
use self::outbound::{Next, Outbound};
use super::message::Message;
use super::output::Pipes;
use super::token::{Source, Token};
use crate::error::BuildError;
use crate::frame::{ByteSource, Decoder, Header};
use crate::primitives::plain::{Mutex, lock};
use crate::registry::Function;
use crate::scheduler::WorkerId;
use crate::sys::{self, Child, ControlSocket, Doorbell, Poller, SharedPage};
use crate::worker::{self, Started};

/// Which of a worker's descriptors is meant, in the low bits of a poller's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The result pipe can be read.
    Results = 0,
    /// The task pipe can be written.
    Tasks = 1,
    /// The process has ended.
    Process = 2,
    /// What it prints can be read.
    Stdout = 3,
    Stderr = 4,
}

/// The poller's key for a worker's descriptor.
pub(super) fn key(worker: WorkerId, which: Which) -> u64 {
    u64::from(worker.0) << 3 | which as u64
}

/// What a key stands for.
pub(super) fn from_key(key: u64) -> Option<(WorkerId, Which)> {
    let which = match key & 7 {
        0 => Which::Results,
        1 => Which::Tasks,
        2 => Which::Process,
        3 => Which::Stdout,
        4 => Which::Stderr,
        _ => return None,
    };
    Some((WorkerId(u32::try_from(key >> 3).ok()?), which))
}

/// One worker, as the driver sees it.
pub(super) struct Link {
    pub(super) worker: WorkerId,
    pub(super) pid: u32,
    pub(super) page: SharedPage,
    pub(super) child: Child,
    pub(super) token: Token<Incoming>,
    /// The sequence number, plus one, of the task that a thread holding the token waits for; 0 when
    /// there is none. Set under the executor's lock; whoever takes that task away from this worker, or ends it while
    /// the worker goes on, under the same lock, rings the bell.
    waited_for: AtomicU64,
    /// Nothing is expected from the worker: it is ready, and has passed every frame that was sent.
    /// Changed under the executor's lock only. See [`Source::arm`].
    is_quiet: AtomicBool,
    /// One more than the last sequence number that was sent.
    next_seq: AtomicU32,
    pub(super) bell: Doorbell,
    /// How many bytes have come from the worker.
    received: AtomicU64,
    /// How many bytes have been sent.
    sent: AtomicU64,
    /// The sum of both, when it was last asked whether anything had moved.
    moved_before: AtomicU64,
    /// Its results are not read for now: too much waits to be said.
    is_held_up: AtomicBool,
    /// Whether frames are not sent, because there is no room for what the worker would print.
    is_held_back: AtomicBool,
    /// Whether frames are not sent, because the system takes no more of their descriptors for now.
    is_refused: AtomicBool,
    /// How many items the largest chunk had that was sent.
    most_items: AtomicU32,
    pub(super) output: Pipes,
    outbound: Mutex<Outbound>,
    results: OwnedFd,
    control: ControlSocket,
    poller: Arc<Poller>,
}

/// The reader of the result pipe: guarded by the token.
pub(super) struct Incoming {
    pub(super) decoder: Decoder,
    /// How far the worker is in presenting itself.
    pub(super) stage: Stage,
    /// The pipe came to its end.
    pub(super) ended: bool,
    /// The process has been judged and reaped; nothing more is to be done.
    pub(super) buried: bool,
    /// It was killed for what it did.
    pub(super) malformed: Option<Arc<str>>,
    /// It was killed because it did not become ready, for this reason.
    pub(super) failure: Option<BuildError>,
    /// What its hello said of its peak of memory: in KiB, and whether that is its own.
    pub(super) first_peak: Option<(u64, bool)>,
    /// What was read at once, kept for its buffer.
    pub(super) batch: Vec<Message>,
}

/// What a worker has said of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Started,
    /// Hello.
    Greeted,
    /// That it takes tasks.
    Ready,
}

impl Link {
    /// Takes over a worker that has been started. Its pipes are known to the poller from here on, and armed by
    /// [`watch`](Self::watch).
    pub(super) fn new(
        worker: WorkerId,
        started: Started,
        max_frame: u64,
        captured: [bool; 2],
        poller: Arc<Poller>,
    ) -> io::Result<Arc<Self>> {
        let Started {
            child,
            control,
            tasks,
            tasks_guard,
            results,
            page,
            stdout,
            stderr,
        } = started;
        let incoming = Incoming {
            decoder: Decoder::new(max_frame),
            stage: Stage::Started,
            ended: false,
            buried: false,
            malformed: None,
            failure: None,
            first_peak: None,
            batch: Vec::new(),
        };
        let link = Self {
            worker,
            pid: child.pid(),
            page,
            child,
            token: Token::new(incoming),
            waited_for: AtomicU64::new(0),
            is_quiet: AtomicBool::new(false),
            next_seq: AtomicU32::new(0),
            bell: Doorbell::new()?,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            moved_before: AtomicU64::new(0),
            is_held_up: AtomicBool::new(false),
            is_held_back: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
            most_items: AtomicU32::new(0),
            output: Pipes::new(stdout, stderr, captured),
            outbound: Mutex::new(Outbound::new(tasks, tasks_guard)),
            results,
            control,
            poller,
        };
        link.poller
            .add(&link.results, key(worker, Which::Results))?;
        link.poller
            .add(&lock(&link.outbound).pipe, key(worker, Which::Tasks))?;
        if let Some(pidfd) = link.child.pidfd() {
            link.poller.add(pidfd, key(worker, Which::Process))?;
        }
        link.output
            .for_each(|pipe, which| link.poller.add(pipe, key(worker, which)))?;
        Ok(Arc::new(link))
    }

    /// Arms what tells of the worker: its results, and its end.
    pub(super) fn watch(&self) {
        self.arm();
        self.watch_process();
        self.arm_output(Which::Stdout);
        self.arm_output(Which::Stderr);
    }

    /// Arms a standard stream, if it is read.
    pub(super) fn arm_output(&self, which: Which) {
        // As for `expect_results`.
        let _ = self.output.for_each(|pipe, of| match of == which {
            true => self.poller.arm_read(pipe, key(self.worker, which)),
            false => Ok(()),
        });
    }

    /// Arms what tells of the process's end.
    pub(super) fn watch_process(&self) {
        if let Some(pidfd) = self.child.pidfd() {
            // As for `expect_results`.
            let _ = self
                .poller
                .arm_read(pidfd, key(self.worker, Which::Process));
        }
    }

    /// Puts a frame behind those that wait; [`Link::flush`] writes. Called under the executor's lock,
    /// so that frames stand in the order of their sequence numbers.
    pub(super) fn push(&self, header: Header, payload: &Payload, function: Option<&Function>) {
        lock(&self.outbound).push(header, payload, function);
    }

    /// Writes what the pipe takes. The reactor continues when there is room again.
    pub(super) fn flush(&self) {
        let mut outbound = lock(&self.outbound);
        if !outbound.armed {
            self.write_out(&mut outbound);
        }
    }

    /// The pipe has room again.
    pub(super) fn flush_armed(&self) {
        let mut outbound = lock(&self.outbound);
        outbound.armed = false;
        self.write_out(&mut outbound);
    }

    fn write_out(&self, outbound: &mut Outbound) {
        while let Some(next) = outbound.left_of_first() {
            let written = match next {
                Next::Bytes(bytes) => sys::write(outbound.pipe.as_fd(), bytes),
                Next::Beside(..) => match self.send_beside(outbound) {
                    Ok(true) => continue,
                    Ok(false) => return,
                    Err(error) => Err(error),
                },
            };
            match written {
                Ok(count) => {
                    outbound.advance(count);
                    self.note_moved(count as u64);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let key = key(self.worker, Which::Tasks);
                    outbound.armed = self.poller.arm_write(&outbound.pipe, key).is_ok();
                    return;
                }
                // The guard keeps the pipe writable as long as this end is open; whatever else this
                // may be, the frame cannot be delivered, and a worker that misses a frame is of no
                // use. Its end tells everybody else.
                Err(_) => {
                    outbound.discard();
                    self.child.kill_group();
                    return;
                }
            }
        }
    }

    /// So much has gone to the worker. Alone with the lock.
    fn note_moved(&self, count: u64) {
        let before = self.sent.load(Ordering::Relaxed);
        self.sent
            .store(before.wrapping_add(count), Ordering::Relaxed);
    }

    /// Forgets what has not been written.
    pub(super) fn discard_outbound(&self) {
        lock(&self.outbound).discard();
    }

    /// One read of what the worker has sent. `Ok(0)` is the end of the pipe.
    pub(super) fn read_into(&self, decoder: &mut Decoder) -> io::Result<usize> {
        let count = decoder.read_from(&mut Results(self.results.as_fd()))?;
        // Alone with the token: no other thread adds to it.
        let before = self.received.load(Ordering::Relaxed);
        self.received
            .store(before.wrapping_add(count as u64), Ordering::Relaxed);
        Ok(count)
    }

    /// Whether anything has come, or gone out, since this was last asked; or would have come if it had been read.
    pub(super) fn has_moved(&self) -> bool {
        let (received, sent) = (&self.received, &self.sent);
        let moved = received
            .load(Ordering::Relaxed)
            .wrapping_add(sent.load(Ordering::Relaxed));
        let has_moved = self.moved_before.swap(moved, Ordering::Relaxed) != moved;
        has_moved
            || self.is_held_up.load(Ordering::Relaxed)
            || self.is_held_back.load(Ordering::Relaxed)
            || self.is_refused.load(Ordering::Relaxed)
    }

    /// A chunk of so many items is sent.
    pub(super) fn note_items(&self, count: u32) {
        self.most_items.fetch_max(count, Ordering::Relaxed);
    }

    /// How many items the largest chunk had that was sent.
    pub(super) fn most_items(&self) -> u32 {
        self.most_items.load(Ordering::Relaxed)
    }

    /// Notes that what is put in line is not sent, until [`Link::send_again`].
    pub(super) fn hold_back(&self) {
        self.is_held_back.store(true, Ordering::Relaxed);
    }

    /// What was put in line is sent.
    pub(super) fn send_again(&self) {
        self.is_held_back.store(false, Ordering::Relaxed);
        self.flush();
    }

    /// Notes that results are not read until [`Link::read_again`]; says whether they were until now.
    pub(super) fn hold_up(&self) -> bool {
        !self.is_held_up.swap(true, Ordering::Relaxed)
    }

    /// There is room for what the worker says.
    pub(super) fn read_again(&self) {
        self.is_held_up.store(false, Ordering::Relaxed);
        self.expect_results();
    }

    /// Waits until the worker has sent something or has ended, or the bell rings, or the deadline
    /// passes.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> io::Result<Woken> {
        let (results, bell) = (self.results.as_fd(), self.bell.as_fd());
        let woken = match self.child.pidfd() {
            Some(process) => sys::wait_for(&[results, bell, process], deadline)?,
            None => sys::wait_for(&[results, bell], deadline)?,
        };
        Ok(Woken {
            results: woken & 1 != 0,
            bell: woken & 2 != 0,
            process: woken & 4 != 0,
        })
    }

    /// Notes which task a token's holder waits for. Under the executor's lock.
    pub(super) fn set_waited_for(&self, seq: u32) {
        self.waited_for.store(u64::from(seq) + 1, Ordering::Relaxed);
    }

    /// Nobody waits here any more.
    pub(super) fn clear_waited_for(&self) {
        self.waited_for.store(0, Ordering::Relaxed);
    }

    /// Takes a sent task back if it has not begun, and wakes the thread that waits for it here.
    /// Under the executor's lock.
    pub(super) fn recall(&self, seq: u32) -> bool {
        let recalled = self.page.recall(seq);
        if recalled && self.waited_for.load(Ordering::Relaxed) == u64::from(seq) + 1 {
            self.bell.ring();
        }
        recalled
    }

    /// Wakes the thread that waits here, if there is one: its task has been ended, while the worker may take its
    /// time. Under the executor's lock.
    pub(super) fn wake_waiter(&self) {
        if self.waited_for.load(Ordering::Relaxed) != 0 {
            self.bell.ring();
        }
    }

    /// What the worker said, on the control socket, about why it cannot say hello.
    pub(super) fn excuse(&self) -> Option<BuildError> {
        worker::excuse(&self.control, self.pid)
    }

    /// The process has ended, and its results have been read: descriptors of others are closed.
    pub(super) fn throw_rest_away(&self) {
        self.control.throw_rest_away();
    }

    /// Removes its descriptors from the poller.
    pub(super) fn unwatch(&self) {
        self.poller.remove(&self.results);
        let outbound = lock(&self.outbound);
        self.poller.remove(&outbound.pipe);
        self.unwatch_control(&outbound);
        drop(outbound);
        if let Some(pidfd) = self.child.pidfd() {
            self.poller.remove(pidfd);
        }
        let removed: Result<(), ()> = self.output.for_each(|pipe, _| {
            self.poller.remove(pipe);
            Ok(())
        });
        debug_assert!(removed.is_ok(), "removing cannot fail");
    }
}

/// What ended a [`Link::wait`]; nothing at all is the deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Woken {
    pub(super) results: bool,
    pub(super) bell: bool,
    pub(super) process: bool,
}

impl Woken {
    pub(super) fn by_deadline(self) -> bool {
        !(self.results || self.bell || self.process)
    }
}

impl Link {
    /// Notes that the worker is ready: from now on it speaks when it is spoken to. Under the
    /// executor's lock.
    pub(super) fn note_ready(&self) {
        self.is_quiet.store(true, Ordering::Relaxed);
    }

    /// Notes that a frame is sent. Under the executor's lock. When this says true, the pipe is not
    /// armed, and whoever sends is to arm it with [`Link::expect_results`], or to read it.
    pub(super) fn note_sent(&self, seq: u32) -> bool {
        self.next_seq.store(seq.wrapping_add(1), Ordering::Relaxed);
        self.is_quiet.swap(false, Ordering::Relaxed)
    }

    /// Notes that the worker has passed a frame. Under the executor's lock.
    pub(super) fn note_passed(&self, seq: u32) {
        if self.next_seq.load(Ordering::Relaxed) == seq.wrapping_add(1) {
            self.is_quiet.store(true, Ordering::Relaxed);
        }
    }

    /// Arms the result pipe, whoever holds the token.
    pub(super) fn expect_results(&self) {
        // Fails only for a descriptor that is not in the list: that of a worker that was buried.
        let _ = self
            .poller
            .arm_read(&self.results, key(self.worker, Which::Results));
    }
}

impl Source for Link {
    /// Arms the pipe unless nothing is expected: an idle worker has nothing to say, its end is told
    /// by the pidfd, and a reactor that is not armed for it is not woken by a result that the
    /// submitter may have read itself by then.
    ///
    /// Called by whoever leaves the token. A frame that is sent meanwhile is no race: who sends it
    /// has seen that nothing was expected, and arms the pipe as well.
    fn arm(&self) {
        let told_otherwise = self.child.pidfd().is_some();
        if !(told_otherwise && self.is_quiet.load(Ordering::Relaxed)) {
            self.expect_results();
        }
    }

    fn disarm(&self) {
        let _ = self
            .poller
            .disarm(&self.results, key(self.worker, Which::Results));
    }
}

/// The result pipe, for the decoder to read from.
struct Results<'a>(BorrowedFd<'a>);

impl ByteSource for Results<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        sys::read(self.0, room)
    }

    fn append(&mut self, bytes: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        sys::read_to_end_of(self.0, bytes, most)
    }
}
