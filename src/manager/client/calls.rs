//! Which calls are on their way, and who reads their answers.
//!
//! All threads and tasks of a process share one connection. Whoever has the *token* reads it, one read at a time, and hands out the answers that
//! came, also those to others. A thread that waits reads for itself whenever the token is there, so that an answer takes no detour; for tasks that
//! await theirs, the thread `procession-connections` does (the *reactor*).
//!
//! # Protocol
//!
//! One lock guards the calls, and the token's place. Whoever has taken the token out holds no lock while it reads. It puts it back under the lock, in the
//! same breath in which it enters what came.
//!
//! * A thread that waits looks under the lock: is its answer there? Then it departs. Is the token? It takes it and reads. Else it enters itself among
//!   the *sleepers*, each of which has a bell of its own, and sleeps.
//! * **Whoever leaves the lock for good passes on**, if the token lies there: it rings for the longest sleeper; if there is none, and answers are
//!   awaited, it arms the socket in the reactor, once. *Unlock, then arm*: while it is armed, the token lies there. (Arming first is a hang: the
//!   event fires, the reactor finds the token gone, forgets the event, and who had it puts it back with nobody left to be told.)
//! * Whoever takes the token from an armed socket disarms it, so that the reactor sleeps on. Two may overlap (one has unlocked, the next takes and disarms,
//!   and then the first arms): then the reactor wakes for nothing. It finds the token gone and forgets the event, for who has it arms again; or finds it there, and reads.
//! * Who was rung for and finds the token gone sleeps again: who took it passes on. Who was rung for and departs instead, with its answer or
//!   without, passes on.
//! * A task leaves its waker under the lock and passes on: so either the socket is armed, or who has the token arms it.
//! * An answer is entered once; the first end of a call counts. Other people's wakers are called with no lock, and with the token in its place: they may
//!   make calls of their own.
//! * When the connection is lost, that is noted under the lock, and everybody is told. From then on, nobody reads.
//!
//! Answers that nobody waits for (to what was only told, or to a future that was not polled) stay in the socket until somebody reads, or until there are
//! [`MAX_UNHEARD`] of them: then the reactor does. It also does when something has been told behind a call whose answer nobody has come for: a server
//! does not listen to a client that does not read, and might not hear that a lock is given back. And it does for every call for which nobody has come at a
//! *look*: there is one a while after a call has begun, unless one is coming anyway. So an answer stays unread for no longer than that, and calls that are made one after
//! the other, by threads that wait for them, cost a wake-up each while.

mod effects;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use self::effects::Effects;
use self::state::{Call, State, Token};
use crate::manager::store::MAX_CALLS;
use crate::primitives::{Arc, Condvar, Mutex, MutexGuard, lock, park};

/// How many answers nobody waits for may lie in the socket.
const MAX_UNHEARD: usize = 64;

/// Why a connection is no more: what the system said, or nothing, where it has ended in good order.
pub(super) type Lost = Option<Arc<io::Error>>;

/// How long a read may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Never,
    Until(Instant),
    Forever,
}

/// What is read, and its place in the reactor.
pub(super) trait Source {
    /// What the token is the right to use.
    type Reader;
    type Answer;

    /// Reads once, and adds the answers that came, each with the number of its call. Nothing may have come, also for no reason.
    fn read(
        &self,
        reader: &mut Self::Reader,
        patience: Patience,
        came: &mut Vec<(u64, Self::Answer)>,
    ) -> Result<(), Lost>;

    /// Has [`Calls::hear`] called when something has come; false, if there is no place in the reactor to be had.
    fn arm(&self) -> Result<bool, Lost>;

    /// The opposite.
    fn disarm(&self);

    /// Has [`Calls::look`] called in a while; false, if there is no place in the reactor to be had.
    fn look_later(&self) -> bool;
}

/// What is to be done when a call that nobody waits for ends.
pub(super) type Callback<A> = Box<dyn FnOnce(Result<A, Lost>) + Send>;

/// The calls of one connection.
pub(super) struct Calls<R, A> {
    state: Mutex<State<R, A>>,
}

/// How a call begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Begin {
    /// Somebody will wait for it, or await it.
    Asked,
    /// Nobody wants its answer, which comes at once: something is given back. There is no limit to these.
    Forgotten,
}

/// Why a call was not begun.
#[derive(Debug)]
pub(super) enum NotBegun {
    Lost(Lost),
    /// [`MAX_CALLS`] are on their way.
    TooMany,
}

/// How a call ended for who waited.
#[derive(Debug)]
pub(super) enum Waited<A> {
    Answered(A),
    Lost(Lost),
    /// Its time was up. The call is still on its way.
    TimedOut,
}

impl<R, A> Calls<R, A> {
    pub(super) fn new(reader: R) -> Self {
        let came = Vec::new();
        let state = State {
            calls: HashMap::new(),
            last_number: 0,
            token: Some(Token { reader, came }),
            sleepers: BTreeMap::new(),
            awaited: 0,
            unheard: 0,
            forgotten: 0,
            pressing: None,
            is_armed: false,
            is_looked_after: false,
            lost: None,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Enters a call that is to be sent now, and gives its number.
    pub(super) fn begin<S>(&self, source: &S, begin: Begin) -> Result<u64, NotBegun>
    where
        S: Source<Reader = R, Answer = A>,
    {
        let mut state = lock(&self.state);
        if let Some(lost) = &state.lost {
            return Err(NotBegun::Lost(lost.clone()));
        }
        // What is given back others wait for: it goes out whatever waits here, and is none of those.
        let asked = state.calls.len() - state.forgotten;
        if matches!(begin, Begin::Asked) && asked >= MAX_CALLS {
            return Err(NotBegun::TooMany);
        }
        state.last_number += 1;
        let number = state.last_number;
        let call = match begin {
            Begin::Asked => Call::Unheard,
            Begin::Forgotten => {
                if state.has_unread() {
                    state.pressing = Some(number);
                }
                Call::Forgotten
            }
        };
        let is_asked = call.is_unheard();
        state.enter(number, call);
        let looks = is_asked && !mem::replace(&mut state.is_looked_after, true);
        self.leave(state, source);
        if looks && !source.look_later() {
            lock(&self.state).is_looked_after = false;
        }
        Ok(number)
    }

    /// Blocks until a call has ended, or the deadline (`None` is never) has passed.
    pub(super) fn wait<S>(&self, source: &S, number: u64, deadline: Option<Instant>) -> Waited<A>
    where
        S: Source<Reader = R, Answer = A>,
    {
        let patience = deadline.map_or(Patience::Forever, Patience::Until);
        let mut state = lock(&self.state);
        loop {
            if let Some(end) = state.take_end(number) {
                self.leave(state, source);
                return end;
            }
            state.is_waited_for(number);
            if let Some(token) = state.token.take() {
                state = self.read(state, token, source, patience);
                // What came in time was in time, whenever this thread looks.
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    let end = state.take_end(number).unwrap_or(Waited::TimedOut);
                    self.leave(state, source);
                    return end;
                }
                continue;
            }
            let bell = state.sleepers.entry(number);
            let bell = bell.or_insert_with(|| Arc::new(Condvar::new())).clone();
            let woken = park(&bell, state, deadline);
            let is_late = woken.is_none();
            state = woken.unwrap_or_else(|| lock(&self.state));
            state.sleepers.remove(&number);
            if is_late {
                let end = state.take_end(number).unwrap_or(Waited::TimedOut);
                self.leave(state, source);
                return end;
            }
        }
    }

    /// The end of a call, or `Pending`: then the task is woken.
    pub(super) fn poll<S>(
        &self,
        source: &S,
        number: u64,
        context: &mut Context<'_>,
    ) -> Poll<Waited<A>>
    where
        S: Source<Reader = R, Answer = A>,
    {
        // A waker's code is not run under the lock.
        let waker = context.waker().clone();
        let mut state = lock(&self.state);
        if let Some(end) = state.take_end(number) {
            self.leave(state, source);
            drop(waker);
            return Poll::Ready(end);
        }
        let replaced = state.enter(number, Call::Awaited(waker));
        self.leave(state, source);
        drop(replaced);
        Poll::Pending
    }

    /// Has the end of a call told to `callback`, unless it has ended already: then that is given back.
    pub(super) fn tell<S>(
        &self,
        source: &S,
        number: u64,
        callback: Callback<A>,
    ) -> Result<(), (Callback<A>, Waited<A>)>
    where
        S: Source<Reader = R, Answer = A>,
    {
        let mut state = lock(&self.state);
        if let Some(end) = state.take_end(number) {
            self.leave(state, source);
            return Err((callback, end));
        }
        let replaced = state.enter(number, Call::Told(callback));
        self.leave(state, source);
        drop(replaced);
        Ok(())
    }

    /// The reactor has seen that there is something to read.
    pub(super) fn hear<S>(&self, source: &S)
    where
        S: Source<Reader = R, Answer = A>,
    {
        let mut state = lock(&self.state);
        // The event is used up; while somebody else has the token, nothing is armed.
        state.is_armed = false;
        if state.lost.is_none()
            && let Some(token) = state.token.take()
        {
            state = self.read(state, token, source, Patience::Never);
        }
        self.leave(state, source);
    }

    /// A while has passed since a call began: the reactor reads for those for which nobody has come.
    pub(super) fn look<S>(&self, source: &S)
    where
        S: Source<Reader = R, Answer = A>,
    {
        let mut state = lock(&self.state);
        state.is_looked_after = false;
        if state.unheard > 0 && state.lost.is_none() {
            for call in state.calls.values_mut().filter(|call| call.is_unheard()) {
                *call = Call::Awaited(Waker::noop().clone());
            }
            state.awaited += mem::take(&mut state.unheard);
        }
        self.leave(state, source);
    }

    /// The connection is lost: every call ends with that.
    pub(super) fn lose(&self, lost: Lost) {
        let mut state = lock(&self.state);
        let mut effects = Effects::new();
        state.lose(lost, &mut effects);
        drop(state);
        effects.run();
    }

    pub(super) fn is_lost(&self) -> bool {
        lock(&self.state).lost.is_some()
    }

    /// How many calls have not been given their ends.
    #[cfg(all(test, not(loom)))]
    pub(super) fn len(&self) -> usize {
        lock(&self.state).calls.len()
    }

    /// Reads once, without the lock, and enters what came.
    fn read<'a, S>(
        &'a self,
        mut state: MutexGuard<'a, State<R, A>>,
        mut token: Token<R, A>,
        source: &S,
        patience: Patience,
    ) -> MutexGuard<'a, State<R, A>>
    where
        S: Source<Reader = R, Answer = A>,
    {
        let was_armed = mem::take(&mut state.is_armed);
        drop(state);
        if was_armed {
            source.disarm();
        }
        let read = source.read(&mut token.reader, patience, &mut token.came);
        let mut effects = Effects::new();
        let mut state = lock(&self.state);
        let entered = state.enter_answers(&mut token.came, &mut effects);
        state.token = Some(token);
        if let Err(lost) = read.and(entered) {
            state.lose(lost, &mut effects);
        }
        if effects.is_empty() {
            return state;
        }
        drop(state);
        effects.run();
        lock(&self.state)
    }

    /// Unlocks, and passes on.
    fn leave<S>(&self, mut state: MutexGuard<'_, State<R, A>>, source: &S)
    where
        S: Source<Reader = R, Answer = A>,
    {
        if state.token.is_none() || state.lost.is_some() {
            return;
        }
        if let Some((_, bell)) = state.sleepers.first_key_value() {
            bell.notify_one();
            return;
        }
        if state.is_armed || !state.needs_reactor() {
            return;
        }
        state.is_armed = true;
        drop(state);
        match source.arm() {
            Ok(true) => {}
            // Whoever reads next finds the answers: who awaits one has seen to a place before.
            Ok(false) => lock(&self.state).is_armed = false,
            Err(lost) => self.lose(lost),
        }
    }
}

#[cfg(all(test, loom))]
mod models;
