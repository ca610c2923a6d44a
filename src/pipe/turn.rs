//! A lock that threads wait for with a time limit, and tasks of an async runtime without blocking.
//!
//! Whoever reads holds one while it sleeps in the system, perhaps for ever: so whoever waits behind
//! must be able to give up.
//!
//! A process that is forked off while somebody has the turn has a copy of it, but not of the thread: there it is free.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::future::contain::contain;
use crate::primitives::{Condvar, Mutex, MutexGuard, lock};
use crate::sys::Home;

#[derive(Debug, Default)]
pub(super) struct Turn<T> {
    state: Mutex<State<T>>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State<T> {
    /// By somebody of that process.
    taken: Option<Home>,
    /// What the turn is about, while nobody has it.
    value: T,
    /// Threads that wait.
    sleepers: usize,
    /// Tasks that wait: each by the number of its [`Place`].
    wakers: Vec<(u64, Waker)>,
    last_place: u64,
}

/// A task's place among those that wait. The turn is to be told with [`Turn::leave`] when nobody
/// polls with it any more.
#[derive(Debug, Default)]
pub(super) struct Place(Option<u64>);

/// The turn, given back on drop.
#[derive(Debug)]
pub(super) struct Taken<'a, T: Default> {
    turn: &'a Turn<T>,
    value: T,
    home: Home,
}

impl<T: Default> Turn<T> {
    /// Takes it if nobody has it.
    pub(super) fn try_take(&self) -> Option<Taken<'_, T>> {
        self.claim(&mut lock(&self.state))
    }

    /// Waits for it until the deadline (`None` is never) has passed.
    pub(super) fn take(&self, deadline: Option<Instant>) -> Option<Taken<'_, T>> {
        let mut state = lock(&self.state);
        loop {
            // Looked at first, also when the time is up: this thread may be the one that was woken.
            if let Some(taken) = self.claim(&mut state) {
                return Some(taken);
            }
            state.sleepers += 1;
            let (woken, is_late) = self.sleep(state, deadline);
            state = woken;
            state.sleepers -= 1;
            if is_late {
                return self.claim(&mut state);
            }
        }
    }

    /// Takes it, or has the task woken when it may be free.
    pub(super) fn poll_take(
        &self,
        place: &mut Place,
        context: &mut Context<'_>,
    ) -> Poll<Taken<'_, T>> {
        if let Some(taken) = self.try_take() {
            return Poll::Ready(taken);
        }
        // A waker's code is not run under the lock.
        let waker = context.waker().clone();
        let mut state = lock(&self.state);
        if let Some(taken) = self.claim(&mut state) {
            drop(state);
            return Poll::Ready(taken);
        }
        state.last_place += 1;
        let number = *place.0.get_or_insert(state.last_place);
        let known = state.wakers.iter().position(|(of, _)| *of == number);
        let replaced = match known {
            Some(known) => Some(mem::replace(&mut state.wakers[known].1, waker)),
            None => {
                state.wakers.push((number, waker));
                None
            }
        };
        drop(state);
        drop(replaced);
        Poll::Pending
    }

    /// Takes a task off the list.
    pub(super) fn leave(&self, place: &mut Place) {
        let Some(number) = place.0.take() else { return };
        let mut state = lock(&self.state);
        let found = state.wakers.iter().position(|(of, _)| *of == number);
        let waker = found.map(|found| state.wakers.swap_remove(found));
        drop(state);
        drop(waker);
    }

    fn claim(&self, state: &mut State<T>) -> Option<Taken<'_, T>> {
        if state.taken.is_some_and(|home| !home.is_elsewhere()) {
            return None;
        }
        let home = Home::here();
        state.taken = Some(home);
        Some(Taken {
            turn: self,
            value: mem::take(&mut state.value),
            home,
        })
    }

    fn sleep<'a>(
        &self,
        state: MutexGuard<'a, State<T>>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, State<T>>, bool) {
        let Some(deadline) = deadline else {
            let woken = self.freed.wait(state);
            return (woken.unwrap_or_else(PoisonError::into_inner), false);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (state, true);
        }
        let woken = self.freed.wait_timeout(state, left);
        (woken.unwrap_or_else(PoisonError::into_inner).0, false)
    }
}

impl<T: Default> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        if self.home.is_elsewhere() {
            return;
        }
        let mut state = lock(&self.turn.state);
        state.value = mem::take(&mut self.value);
        state.taken = None;
        let wakers = mem::take(&mut state.wakers);
        let has_sleepers = state.sleepers > 0;
        drop(state);
        if has_sleepers {
            self.turn.freed.notify_one();
        }
        // All of them: one of those that are woken may be dropped instead of polled.
        for (_, waker) in wakers {
            let _ = contain(|| waker.wake());
        }
    }
}

impl<T: Default> Deref for Taken<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Default> DerefMut for Taken<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// `RUSTFLAGS="--cfg loom" cargo test --lib --release loom` runs these.
#[cfg(all(test, loom))]
mod models {
    use std::future::poll_fn;
    use std::sync::Arc;

    use loom::future::block_on;
    use loom::thread;

    use super::*;

    /// A model of three threads. Without a bound the largest of these takes three minutes, and finds no more.
    fn of_three(model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    /// Awaits the turn, and counts.
    fn await_it(turn: &Turn<u32>) {
        let mut place = Place::default();
        *block_on(poll_fn(|context| turn.poll_take(&mut place, context))) += 1;
        turn.leave(&mut place);
    }

    fn in_a_thread(turn: &Arc<Turn<u32>>, what: fn(&Turn<u32>)) -> thread::JoinHandle<()> {
        let turn = turn.clone();
        thread::spawn(move || what(&turn))
    }

    fn take_it(turn: &Turn<u32>) {
        *turn.take(None).unwrap() += 1;
    }

    #[test]
    fn loom_threads_that_wait_for_the_turn_have_it_one_after_the_other() {
        of_three(|| {
            let turn = Arc::new(Turn::default());
            let others = [(); 2].map(|()| in_a_thread(&turn, take_it));
            take_it(&turn);
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(*turn.try_take().unwrap(), 3);
        });
    }

    #[test]
    fn loom_a_task_and_a_thread_wait_for_the_turn() {
        of_three(|| {
            let turn = Arc::new(Turn::default());
            let held = turn.try_take().unwrap();
            let others = [take_it, await_it].map(|what| in_a_thread(&turn, what));
            drop(held);
            others.into_iter().for_each(|other| other.join().unwrap());
            assert_eq!(*turn.try_take().unwrap(), 2);
        });
    }

    #[test]
    fn loom_a_task_that_gives_up_costs_nobody_the_turn() {
        of_three(|| {
            let turn = Arc::new(Turn::default());
            let held = turn.try_take().unwrap();
            let gives_up = in_a_thread(&turn, |turn| {
                let mut place = Place::default();
                let mut context = Context::from_waker(Waker::noop());
                drop(turn.poll_take(&mut place, &mut context));
                turn.leave(&mut place);
            });
            let awaits = in_a_thread(&turn, await_it);
            drop(held);
            gives_up.join().unwrap();
            awaits.join().unwrap();
            assert_eq!(*turn.try_take().unwrap(), 1);
        });
    }
}
