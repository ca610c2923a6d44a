//! The gate in front of an executor: `max_pending` permits, and who waits for one.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::error::SubmitError;
use crate::future::contain::contain;
use crate::primitives::plain::{Condvar, Mutex, MutexGuard, lock};
use crate::scheduler::{Asked, Permits, Waiter};

/// Hands out permits in the order in which they were asked for.
#[derive(Debug)]
pub(crate) struct Gate {
    inner: Mutex<Inner>,
    max: usize,
    /// Notified when a thread's waiter was granted a permit, or sent away.
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    permits: Permits,
    /// Who waits in a task rather than in a thread.
    wakers: HashMap<Waiter, Waker>,
    /// How many threads wait.
    parked: usize,
    closed: Option<SubmitError>,
}

/// The right to have one task pending; comes back when dropped, which is when the task has ended.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Gate>);

impl Gate {
    pub(crate) fn new(max_pending: usize) -> Arc<Self> {
        let inner = Inner {
            permits: Permits::new(max_pending),
            wakers: HashMap::new(),
            parked: 0,
            closed: None,
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
            max: max_pending,
            changed: Condvar::new(),
        })
    }

    /// Takes a permit if one can be had at once, without overtaking anybody who waits.
    pub(crate) fn try_enter(self: &Arc<Self>) -> Result<Permit, SubmitError> {
        let mut inner = lock(&self.inner);
        if let Some(error) = &inner.closed {
            return Err(error.clone());
        }
        if inner.permits.try_acquire() {
            Ok(Permit(self.clone()))
        } else {
            Err(SubmitError::Full {
                max_pending: self.max,
            })
        }
    }

    /// Waits for a permit.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Permit, SubmitError> {
        self.enter_before(None).unwrap_or(Err(SubmitError::Full {
            max_pending: self.max,
        }))
    }

    /// Waits for a permit, or until the deadline has passed: `None`.
    pub(crate) fn enter_before(
        self: &Arc<Self>,
        deadline: Option<Instant>,
    ) -> Option<Result<Permit, SubmitError>> {
        let mut inner = lock(&self.inner);
        if let Some(error) = &inner.closed {
            return Some(Err(error.clone()));
        }
        let waiter = match inner.permits.ask() {
            Asked::Granted => return Some(Ok(Permit(self.clone()))),
            Asked::Waiting(waiter) => waiter,
        };
        inner.parked += 1;
        loop {
            let answer = if inner.permits.claim(waiter) {
                Some(Ok(Permit(self.clone())))
            } else if let Some(error) = &inner.closed {
                Some(Err(error.clone()))
            } else if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                let next = inner.permits.withdraw(waiter);
                debug_assert!(next.is_none(), "what was not granted is not given on");
                None
            } else {
                inner = park(&self.changed, inner, deadline);
                continue;
            };
            inner.parked -= 1;
            return answer;
        }
    }

    /// A permit as a future.
    pub(crate) fn entering(self: &Arc<Self>) -> Entering {
        Entering {
            gate: self.clone(),
            waiter: None,
        }
    }

    /// Sends everybody away who waits, and who comes later, with this error.
    pub(crate) fn close(&self, error: SubmitError) {
        let wakers: Vec<Waker> = {
            let mut inner = lock(&self.inner);
            inner.closed.get_or_insert(error);
            let mut dismissed = Vec::new();
            inner.permits.dismiss(&mut dismissed);
            self.changed.notify_all();
            inner.wakers.drain().map(|(_, waker)| waker).collect()
        };
        wake_all(wakers);
    }

    /// How many permits are held.
    pub(crate) fn held(&self) -> usize {
        lock(&self.inner).permits.held()
    }

    fn wake(&self, mut inner: MutexGuard<'_, Inner>, woken: &[Waiter]) {
        let wakers: Vec<Waker> = woken
            .iter()
            .filter_map(|waiter| inner.wakers.remove(waiter))
            .collect();
        if inner.parked > 0 && wakers.len() < woken.len() {
            self.changed.notify_all();
        }
        drop(inner);
        wake_all(wakers);
    }
}

/// Called without the lock. A waker that panics has nobody to tell, least of all the thread that
/// happened to bring the permit back.
fn wake_all(wakers: Vec<Waker>) {
    for waker in wakers {
        let _ = contain(|| waker.wake());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = lock(&self.0.inner);
        let mut woken = Vec::new();
        inner.permits.release(1, &mut woken);
        if !woken.is_empty() {
            self.0.wake(inner, &woken);
        }
    }
}

fn park<'a>(
    changed: &Condvar,
    inner: MutexGuard<'a, Inner>,
    deadline: Option<Instant>,
) -> MutexGuard<'a, Inner> {
    use std::sync::PoisonError;
    match deadline {
        None => changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            changed
                .wait_timeout(inner, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        }
    }
}

/// Waits for a permit without blocking. Dropping it gives up the place in the line.
#[derive(Debug)]
pub(crate) struct Entering {
    gate: Arc<Gate>,
    waiter: Option<Waiter>,
}

impl std::future::Future for Entering {
    type Output = Result<Permit, SubmitError>;

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        // Cloning and dropping a waker is the runtime's code: without the lock.
        let waker = context.waker().clone();
        let mut inner = lock(&this.gate.inner);
        if let Some(error) = &inner.closed {
            return Poll::Ready(Err(error.clone()));
        }
        let waiter = match this.waiter {
            Some(waiter) => waiter,
            None => match inner.permits.ask() {
                Asked::Granted => return Poll::Ready(Ok(Permit(this.gate.clone()))),
                Asked::Waiting(waiter) => *this.waiter.insert(waiter),
            },
        };
        if inner.permits.claim(waiter) {
            this.waiter = None;
            return Poll::Ready(Ok(Permit(this.gate.clone())));
        }
        let replaced = inner.wakers.insert(waiter, waker);
        drop(inner);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let Some(waiter) = self.waiter else { return };
        let mut inner = lock(&self.gate.inner);
        let waker = inner.wakers.remove(&waiter);
        match inner.permits.withdraw(waiter) {
            Some(next) => self.gate.wake(inner, &[next]),
            None => drop(inner),
        }
        drop(waker);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::Wake;

    use super::*;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as in a runtime that has been shut down");
        }
    }

    #[test]
    fn a_waker_that_panics_harms_nobody_else() {
        let gate = Gate::new(1);
        let permit = gate.try_enter().unwrap();
        let waker = Waker::from(Arc::new(Panics));
        let mut context = Context::from_waker(&waker);
        let mut entering = pin!(gate.entering());
        assert!(entering.as_mut().poll(&mut context).is_pending());
        drop(permit);
        assert!(matches!(
            entering.as_mut().poll(&mut context),
            Poll::Ready(Ok(_))
        ));
        let _permit = gate.try_enter().unwrap();
        let mut entering = pin!(gate.entering());
        assert!(entering.as_mut().poll(&mut context).is_pending());
        gate.close(SubmitError::ShutDown);
        assert!(matches!(
            entering.as_mut().poll(&mut context),
            Poll::Ready(Err(SubmitError::ShutDown))
        ));
    }
}
