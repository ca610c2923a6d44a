use std::future::poll_fn;

use loom::future::block_on;
use loom::thread;

use super::*;

/// A socket and its place in an epoll, as far as the calls can tell.
struct Socket {
    state: Mutex<Fake>,
    changed: Condvar,
}

#[derive(Default)]
struct Fake {
    /// The numbers of answered calls.
    waiting: Vec<u64>,
    is_armed: bool,
    /// The other side has gone.
    has_ended: bool,
    /// The reactor is to end.
    is_over: bool,
}

impl Socket {
    fn new() -> Self {
        Self {
            state: Mutex::new(Fake::default()),
            changed: Condvar::new(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Fake)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// `epoll_wait`: sleeps until it is armed and there is something, and fires once; `false` at the end of the test.
    fn fired(&self) -> bool {
        let mut state = lock(&self.state);
        loop {
            if state.is_armed && (state.has_ended || !state.waiting.is_empty()) {
                state.is_armed = false;
                return true;
            }
            if state.is_over {
                return false;
            }
            state = self.changed.wait(state).unwrap();
        }
    }
}

impl Source for Socket {
    type Reader = ();
    type Answer = u64;

    fn read(&self, _: &mut (), patience: Patience, came: &mut Vec<(u64, u64)>) -> Result<(), Lost> {
        let mut state = lock(&self.state);
        while patience == Patience::Forever && state.waiting.is_empty() && !state.has_ended {
            state = self.changed.wait(state).unwrap();
        }
        if state.waiting.is_empty() && state.has_ended {
            return Err(None);
        }
        came.extend(state.waiting.drain(..).map(|number| (number, number)));
        Ok(())
    }

    fn arm(&self) -> Result<bool, Lost> {
        self.change(|state| state.is_armed = true);
        Ok(true)
    }

    fn disarm(&self) {
        self.change(|state| state.is_armed = false);
    }

    fn look_later(&self) -> bool {
        true
    }
}

struct World {
    socket: Socket,
    calls: Calls<(), u64>,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            socket: Socket::new(),
            calls: Calls::new(()),
        })
    }

    fn begin(&self) -> u64 {
        self.calls.begin(&self.socket, Begin::Asked).unwrap()
    }

    fn answer(&self, number: u64) {
        self.socket.change(|state| state.waiting.push(number));
    }

    fn wait(&self, number: u64) -> Waited<u64> {
        self.calls.wait(&self.socket, number, None)
    }

    fn wait_async(&self, number: u64) -> Waited<u64> {
        block_on(poll_fn(|context| {
            self.calls.poll(&self.socket, number, context)
        }))
    }
}

fn is_answer(end: Waited<u64>, number: u64) -> bool {
    matches!(end, Waited::Answered(answer) if answer == number)
}

fn spawn(world: &Arc<World>, run: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = world.clone();
    thread::spawn(move || run(&world))
}

fn react(world: &World) {
    while world.socket.fired() {
        world.calls.hear(&world.socket);
    }
}

/// The reactor is needed no more.
fn end(world: &World, reactor: thread::JoinHandle<()>) {
    world.socket.change(|state| state.is_over = true);
    reactor.join().unwrap();
}

fn model(preemptions: usize, run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(run);
}

#[test]
fn loom_threads_that_wait_get_their_answers_in_any_order() {
    model(4, || {
        let world = World::new();
        let (one, other) = (world.begin(), world.begin());
        let server = spawn(&world, move |world| {
            world.answer(other);
            world.answer(one);
        });
        let waiter = spawn(&world, move |world| {
            assert!(is_answer(world.wait(other), other))
        });
        assert!(is_answer(world.wait(one), one));
        waiter.join().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn loom_a_task_is_woken_beside_a_thread_that_waits() {
    model(3, || {
        let world = World::new();
        let (waited, awaited) = (world.begin(), world.begin());
        let reactor = spawn(&world, react);
        let waiter = spawn(&world, move |world| {
            world.answer(waited);
            assert!(is_answer(world.wait(waited), waited));
            world.answer(awaited);
        });
        assert!(is_answer(world.wait_async(awaited), awaited));
        waiter.join().unwrap();
        end(&world, reactor);
    });
}

#[test]
fn loom_an_answer_for_which_nobody_has_come_is_read_after_a_look() {
    model(3, || {
        let world = World::new();
        let held = world.begin();
        let reactor = spawn(&world, react);
        let looks = spawn(&world, |world| world.calls.look(&world.socket));
        world.answer(held);
        looks.join().unwrap();
        end(&world, reactor);
        assert!(lock(&world.socket.state).waiting.is_empty());
        assert!(is_answer(world.wait(held), held));
    });
}

#[test]
fn loom_a_look_leaves_threads_that_wait_alone() {
    model(3, || {
        let world = World::new();
        let (one, other) = (world.begin(), world.begin());
        let reactor = spawn(&world, react);
        let waiter = spawn(&world, move |world| {
            assert!(is_answer(world.wait(other), other));
        });
        world.answer(one);
        world.calls.look(&world.socket);
        world.answer(other);
        assert!(is_answer(world.wait(one), one));
        waiter.join().unwrap();
        end(&world, reactor);
    });
}

#[test]
fn loom_an_end_reaches_threads_and_tasks() {
    model(3, || {
        let world = World::new();
        let (waited, awaited) = (world.begin(), world.begin());
        let reactor = spawn(&world, react);
        let waiter = spawn(&world, move |world| {
            assert!(matches!(world.wait(waited), Waited::Lost(None)));
        });
        world.socket.change(|state| state.has_ended = true);
        assert!(matches!(world.wait_async(awaited), Waited::Lost(None)));
        waiter.join().unwrap();
        end(&world, reactor);
        assert!(world.calls.is_lost());
    });
}

#[test]
fn loom_what_is_given_up_is_heard_of_once() {
    model(3, || {
        let world = World::new();
        let (waited, given_up) = (world.begin(), world.begin());
        let reactor = spawn(&world, react);
        let told = Arc::new(Mutex::new(0));
        let waiter = spawn(&world, move |world| {
            world.answer(given_up);
            world.answer(waited);
            assert!(is_answer(world.wait(waited), waited));
        });
        let telling = told.clone();
        let callback: Callback<u64> = Box::new(move |_| *lock(&telling) += 1);
        if let Err((callback, Waited::Answered(answer))) =
            world.calls.tell(&world.socket, given_up, callback)
        {
            callback(Ok(answer));
        }
        waiter.join().unwrap();
        end(&world, reactor);
        // The answer came before the reactor was told to end.
        assert_eq!(*lock(&told), 1);
    });
}
