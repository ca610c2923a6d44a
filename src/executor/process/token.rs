//! The reading token: who may read a worker's result pipe.
//!
//! Two kinds of threads want to: one that waits for the task at the head of that worker (it saves
//! the hop through another thread), and the reactor (which reads for everybody else).
//!
//! * The token is a lock that guards the reader; it is only ever *tried*, never waited for, but by
//!   the reactor when the worker's process has ended.
//! * While the token is free and something is expected from the worker, the pipe is **armed**,
//!   one-shot, in the reactor. Nothing is expected from a worker that has passed all its frames: who
//!   sends it the next one arms the pipe, after writing, or reads it if the answer is there already.
//! * A waiter that takes the token disarms the pipe, so that the reactor sleeps on.
//! * Leaving is **unlock, then arm**. Arming first is a hang: the event fires, the reactor finds the
//!   token held and forgets it, and the holder unlocks with nobody left to be told.
//! * A reactor that finds the token held forgets the event: its holder will arm the pipe when it
//!   leaves, and an armed pipe with something in it fires at once.
//! * Two leavers may overlap (one unlocked, the next took, disarmed, and then the first arms): the
//!   pipe is then armed while the token is held, the reactor wakes once for nothing, and the second
//!   leaver arms again.
//!
//! There is no hand-over between waiters.

use crate::primitives::{Mutex, MutexGuard, Ordering, fence, lock, try_lock};

/// The pipe's place in the reactor.
pub(crate) trait Source {
    /// Reports once when the pipe can be read. May do nothing while nothing is expected.
    fn arm(&self);
    /// Reports nothing until armed.
    fn disarm(&self);
}

/// The lock around a reader.
#[derive(Debug)]
pub(crate) struct Token<R>(Mutex<R>);

/// The right to read, until left.
#[must_use = "leave it, so that the pipe is armed again"]
pub(crate) struct Taken<'a, R, S: Source> {
    reader: MutexGuard<'a, R>,
    source: &'a S,
}

impl<R> Token<R> {
    /// A free token. The caller arms the source.
    pub(crate) fn new(reader: R) -> Self {
        Self(Mutex::new(reader))
    }

    /// For a thread that is about to wait: takes the token if it is free, and silences the reactor.
    pub(crate) fn take_to_wait<'a, S: Source>(&'a self, source: &'a S) -> Option<Taken<'a, R, S>> {
        let reader = try_lock(&self.0)?;
        source.disarm();
        Some(Taken { reader, source })
    }

    /// For the reactor, after the source fired: takes the token if it is free.
    pub(crate) fn take_for_event<'a, S: Source>(
        &'a self,
        source: &'a S,
    ) -> Option<Taken<'a, R, S>> {
        fence(Ordering::SeqCst);
        let reader = try_lock(&self.0)?;
        Some(Taken { reader, source })
    }

    /// For the end of the worker's process: waits for the token. A holder in `ppoll` is woken by
    /// that same end, and holders run nothing of the user's.
    pub(crate) fn take_at_end<'a, S: Source>(&'a self, source: &'a S) -> Taken<'a, R, S> {
        Taken {
            reader: lock(&self.0),
            source,
        }
    }
}

impl<R, S: Source> Taken<'_, R, S> {
    /// The reader.
    pub(crate) fn reader(&mut self) -> &mut R {
        &mut self.reader
    }

    /// Unlocks, then arms.
    pub(crate) fn leave(self) {
        let Self { reader, source } = self;
        drop(reader);
        // With the one in `take_for_event`: a reactor that still found the token held was told so by
        // somebody who had made the source expect something, and `arm` sees that it does.
        fence(Ordering::SeqCst);
        source.arm();
    }

    /// Unlocks for good: the pipe has come to its end.
    pub(crate) fn leave_unarmed(self) {}
}

#[cfg(all(test, loom))]
mod loom_tests {
    use super::*;
    use crate::primitives::{Arc, AtomicBool, Condvar};
    use loom::thread;

    /// A pipe and its place in an epoll, as far as the token can tell.
    #[derive(Default)]
    struct Pipe {
        state: Mutex<State>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct State {
        waiting: usize,
        armed: bool,
        closed: bool,
    }

    impl Pipe {
        fn write(&self) {
            lock(&self.state).waiting += 1;
            self.changed.notify_all();
        }

        fn read(&self) -> usize {
            std::mem::take(&mut lock(&self.state).waiting)
        }

        /// `ppoll`: sleeps until there is something to read.
        fn poll(&self) {
            let mut state = lock(&self.state);
            while state.waiting == 0 {
                state = self.changed.wait(state).unwrap();
            }
        }

        /// `epoll_wait`: sleeps until armed and readable, fires once; `false` at the end of the test.
        fn fired(&self) -> bool {
            let mut state = lock(&self.state);
            loop {
                if state.armed && state.waiting > 0 {
                    state.armed = false;
                    return true;
                }
                if state.closed {
                    return false;
                }
                state = self.changed.wait(state).unwrap();
            }
        }

        fn close(&self) {
            lock(&self.state).closed = true;
            self.changed.notify_all();
        }
    }

    impl Source for Pipe {
        fn arm(&self) {
            lock(&self.state).armed = true;
            self.changed.notify_all();
        }

        fn disarm(&self) {
            lock(&self.state).armed = false;
        }
    }

    /// All interleavings with at most this many preemptions: without a bound the models run for
    /// hours. Arming before unlocking is found with four.
    fn model(run: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(4);
        builder.check(run);
    }

    struct World {
        pipe: Pipe,
        token: Token<usize>,
    }

    fn react(world: &World) {
        while world.pipe.fired() {
            if let Some(mut taken) = world.token.take_for_event(&world.pipe) {
                *taken.reader() += world.pipe.read();
                taken.leave();
            }
        }
    }

    fn world() -> Arc<World> {
        let world = Arc::new(World {
            pipe: Pipe::default(),
            token: Token::new(0),
        });
        world.pipe.arm();
        world
    }

    /// Whatever the waiter leaves in the pipe, the reactor is told of.
    #[test]
    fn loom_nothing_is_left_unread_behind_a_waiter() {
        model(|| {
            let world = world();
            let reactor = thread::spawn({
                let world = world.clone();
                move || react(&world)
            });
            let worker = thread::spawn({
                let world = world.clone();
                move || {
                    world.pipe.write();
                    world.pipe.write();
                }
            });
            // The waiter: one read, as for a task whose result comes first.
            if let Some(mut taken) = world.token.take_to_wait(&world.pipe) {
                if *taken.reader() == 0 {
                    world.pipe.poll();
                    *taken.reader() += world.pipe.read();
                }
                taken.leave();
            }
            worker.join().unwrap();
            // Two results were written; the reactor must come to the end without being woken by
            // anything but arming and writing.
            world.pipe.close();
            reactor.join().unwrap();
            let mut taken = world.token.take_at_end(&world.pipe);
            assert_eq!(*taken.reader(), 2);
            taken.leave_unarmed();
        });
    }

    /// Two waiters whose leaving and taking overlap.
    #[test]
    fn loom_overlapping_waiters_lose_nothing() {
        model(|| {
            let world = world();
            let reactor = thread::spawn({
                let world = world.clone();
                move || react(&world)
            });
            let waiter = thread::spawn({
                let world = world.clone();
                move || {
                    if let Some(taken) = world.token.take_to_wait(&world.pipe) {
                        taken.leave();
                    }
                }
            });
            if let Some(taken) = world.token.take_to_wait(&world.pipe) {
                taken.leave();
            }
            world.pipe.write();
            waiter.join().unwrap();
            world.pipe.close();
            reactor.join().unwrap();
            let mut taken = world.token.take_at_end(&world.pipe);
            assert_eq!(*taken.reader(), 1);
            taken.leave_unarmed();
        });
    }

    /// A pipe that is armed only while something is expected from it.
    struct Expecting {
        pipe: Pipe,
        /// How many results are expected; the executor's lock.
        expected: Mutex<usize>,
        is_quiet: AtomicBool,
        token: Token<usize>,
    }

    impl Source for Expecting {
        fn arm(&self) {
            if !self.is_quiet.load(Ordering::Relaxed) {
                self.pipe.arm();
            }
        }

        fn disarm(&self) {
            self.pipe.disarm();
        }
    }

    impl Expecting {
        /// A frame is sent, and answered at once.
        fn send(&self) {
            let was_quiet = {
                *lock(&self.expected) += 1;
                self.is_quiet.swap(false, Ordering::Relaxed)
            };
            self.pipe.write();
            if was_quiet {
                self.pipe.arm();
            }
        }

        fn read(&self, mut taken: Taken<'_, usize, Self>) {
            let count = self.pipe.read();
            *taken.reader() += count;
            {
                let mut expected = lock(&self.expected);
                *expected -= count;
                if *expected == 0 && count > 0 {
                    self.is_quiet.store(true, Ordering::Relaxed);
                }
            }
            taken.leave();
        }
    }

    /// A result is read, and the pipe left unarmed, while the next frame is sent.
    #[test]
    fn loom_a_frame_sent_while_its_pipe_falls_quiet_is_heard_of() {
        model(|| {
            let world = Arc::new(Expecting {
                pipe: Pipe::default(),
                expected: Mutex::new(0),
                is_quiet: AtomicBool::new(true),
                token: Token::new(0),
            });
            world.send();
            let reactor = thread::spawn({
                let world = world.clone();
                move || {
                    while world.pipe.fired() {
                        if let Some(taken) = world.token.take_for_event(&*world) {
                            world.read(taken);
                        }
                    }
                }
            });
            let waiter = thread::spawn({
                let world = world.clone();
                move || {
                    if let Some(taken) = world.token.take_to_wait(&*world) {
                        world.read(taken);
                    }
                }
            });
            world.send();
            waiter.join().unwrap();
            world.pipe.close();
            reactor.join().unwrap();
            let mut taken = world.token.take_at_end(&*world);
            assert_eq!(*taken.reader(), 2);
            taken.leave_unarmed();
        });
    }
}
