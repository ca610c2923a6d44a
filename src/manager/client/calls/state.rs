//! What is known of calls: what the lock guards.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::mem;
use std::task::Waker;

use super::effects::Effects;
use super::{Callback, Lost, MAX_UNHEARD, Waited};
use crate::primitives::{Arc, Condvar};

/// What the lock guards.
pub(super) struct State<R, A> {
    pub(super) calls: HashMap<u64, Call<A>>,
    pub(super) last_number: u64,
    /// The token, while nobody has it.
    pub(super) token: Option<Token<R, A>>,
    /// The threads that sleep, by the numbers of their calls.
    pub(super) sleepers: BTreeMap<u64, Arc<Condvar>>,
    /// How many calls are [`Call::Awaited`] or [`Call::Told`].
    pub(super) awaited: usize,
    /// How many are [`Call::Unheard`].
    pub(super) unheard: usize,
    /// How many are [`Call::Forgotten`].
    pub(super) forgotten: usize,
    /// The last [`Call::Forgotten`] that was sent while an answer might lie in the socket that nobody reads.
    pub(super) pressing: Option<u64>,
    /// The reactor has been asked to look.
    pub(super) is_armed: bool,
    /// A [`Calls::look`](super::Calls::look) is coming.
    pub(super) is_looked_after: bool,
    pub(super) lost: Option<Lost>,
}

pub(super) struct Token<R, A> {
    pub(super) reader: R,
    /// Empty: it has the memory of earlier answers.
    pub(super) came: Vec<(u64, A)>,
}

pub(super) enum Call<A> {
    /// Nobody has come for it.
    Unheard,
    /// A thread waits for it.
    WaitedFor,
    /// Its answer is to be thrown away.
    Forgotten,
    Awaited(Waker),
    Told(Callback<A>),
    Answered(A),
}

impl<R, A> State<R, A> {
    /// Whether answers are expected for which no thread reads.
    pub(super) fn needs_reactor(&self) -> bool {
        self.awaited > 0
            || self.pressing.is_some()
            || self.calls.len() > self.sleepers.len() + MAX_UNHEARD
    }

    /// Whether there are calls for which nobody has come.
    pub(super) fn has_unread(&self) -> bool {
        self.unheard > 0
    }

    /// A thread has come for a call that has not ended.
    pub(super) fn is_waited_for(&mut self, number: u64) {
        if let Some(call) = self.calls.get_mut(&number)
            && call.is_unheard()
        {
            *call = Call::WaitedFor;
            self.unheard -= 1;
        }
    }

    pub(super) fn enter(&mut self, number: u64, call: Call<A>) -> Option<Call<A>> {
        self.awaited += usize::from(call.is_awaited());
        self.unheard += usize::from(call.is_unheard());
        // Nothing takes the place of one of these, and they never take another's.
        self.forgotten += usize::from(matches!(call, Call::Forgotten));
        let replaced = self.calls.insert(number, call);
        self.awaited -= usize::from(replaced.as_ref().is_some_and(Call::is_awaited));
        self.unheard -= usize::from(replaced.as_ref().is_some_and(Call::is_unheard));
        replaced
    }

    /// Takes a call out that has ended.
    pub(super) fn take_end(&mut self, number: u64) -> Option<Waited<A>> {
        match self.calls.remove(&number) {
            Some(Call::Answered(answer)) => Some(Waited::Answered(answer)),
            // A call that is lost is in the list no more.
            None => Some(Waited::Lost(self.lost.clone().flatten())),
            Some(call) => {
                self.calls.insert(number, call);
                None
            }
        }
    }

    pub(super) fn enter_answers(
        &mut self,
        came: &mut Vec<(u64, A)>,
        effects: &mut Effects<A>,
    ) -> Result<(), Lost> {
        let mut entered = Ok(());
        for (number, answer) in came.drain(..) {
            let Some(call) = self.calls.get_mut(&number) else {
                effects.thrown_away.push(answer);
                entered = Err(not_asked(number));
                continue;
            };
            match mem::replace(call, Call::WaitedFor) {
                Call::Unheard => {
                    *call = Call::Answered(answer);
                    self.unheard -= 1;
                }
                Call::WaitedFor => *call = Call::Answered(answer),
                Call::Awaited(waker) => {
                    *call = Call::Answered(answer);
                    self.awaited -= 1;
                    effects.wakers.push(waker);
                }
                Call::Forgotten => {
                    self.calls.remove(&number);
                    self.forgotten -= 1;
                    self.pressing = self.pressing.filter(|pressing| *pressing != number);
                    effects.thrown_away.push(answer);
                }
                Call::Told(callback) => {
                    self.calls.remove(&number);
                    self.awaited -= 1;
                    effects.callbacks.push((callback, Ok(answer)));
                }
                Call::Answered(first) => {
                    *call = Call::Answered(first);
                    effects.thrown_away.push(answer);
                    entered = Err(not_asked(number));
                }
            }
            if let Some(bell) = self.sleepers.get(&number) {
                bell.notify_one();
            }
        }
        entered
    }

    pub(super) fn lose(&mut self, lost: Lost, effects: &mut Effects<A>) {
        if self.lost.is_some() {
            return;
        }
        for (number, call) in mem::take(&mut self.calls) {
            match call {
                // It came in time.
                Call::Answered(answer) => {
                    self.calls.insert(number, Call::Answered(answer));
                }
                Call::Unheard | Call::WaitedFor | Call::Forgotten => {}
                Call::Awaited(waker) => effects.wakers.push(waker),
                Call::Told(callback) => effects.callbacks.push((callback, Err(lost.clone()))),
            }
        }
        self.sleepers.values().for_each(|bell| bell.notify_one());
        (self.awaited, self.unheard, self.forgotten) = (0, 0, 0);
        self.lost = Some(lost);
    }
}

impl<A> Call<A> {
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited(_) | Self::Told(_))
    }

    pub(super) fn is_unheard(&self) -> bool {
        matches!(self, Self::Unheard)
    }
}

#[cold]
fn not_asked(number: u64) -> Lost {
    Some(Arc::new(io::Error::other(format!(
        "an answer to call {number}, which was not asked or has been answered"
    ))))
}
