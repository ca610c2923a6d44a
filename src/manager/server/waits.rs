//! Which of a server's threads wait for that server itself.
//!
//! Such a thread is not counted among those that are busy: what it waits for may need one. And methods may wait for each other in a circle, which would never end. The
//! calls that are being served, and those that are waited for, are known here; so whoever is about to close a circle is told.

use std::collections::HashMap;

use crate::manager::client::CallName;
use crate::manager::protocol::ObjectId;

/// How many pieces of work may wait so at a time. Each has a thread, which costs some pages of memory and one of the threads that the user may have.
pub(super) const MAX_WAITING: usize = 1024;

/// What a thread does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) object: ObjectId,
    /// The call, if it is one, and is known.
    pub(super) call: Option<CallName>,
    /// Nothing else of the object runs until it has ended.
    pub(super) is_exclusive: bool,
}

/// Why something must not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoWait {
    /// [`MAX_WAITING`] do.
    TooMany,
    /// What it waits for waits for it.
    Circle,
}

/// What waits, by the number that the work has.
#[derive(Default)]
pub(super) struct Waits {
    waiting: HashMap<u64, Waiting>,
    /// Who waits for a call until it is answered.
    awaited: HashMap<CallName, u64>,
}

struct Waiting {
    served: Option<Served>,
    /// For how many answers at once.
    times: usize,
    /// The object whose answer it waits for, however long that takes.
    blocked_by: Option<ObjectId>,
}

impl Waits {
    /// How many threads wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Work is about to wait for a call of this object; for one that has a name, until it is answered.
    pub(super) fn begin(
        &mut self,
        work: u64,
        served: Option<&Served>,
        object: ObjectId,
        call: Option<&CallName>,
    ) -> Result<(), NoWait> {
        if self.len() >= MAX_WAITING && !self.waiting.contains_key(&work) {
            return Err(NoWait::TooMany);
        }
        let waiting = self.waiting.entry(work).or_insert_with(|| Waiting {
            served: served.cloned(),
            times: 0,
            blocked_by: None,
        });
        waiting.times += 1;
        let Some(call) = call else {
            return Ok(());
        };
        waiting.blocked_by = Some(object);
        self.awaited.insert(call.clone(), work);
        // Whoever serves the call may have come here first.
        if self.waiting.values().any(|waiting| self.is_stuck(waiting)) {
            self.end(work, Some(call));
            return Err(NoWait::Circle);
        }
        Ok(())
    }

    /// It does not any more.
    pub(super) fn end(&mut self, work: u64, call: Option<&CallName>) {
        if let Some(call) = call {
            self.awaited.remove(call);
        }
        if let Some(waiting) = self.waiting.get_mut(&work) {
            waiting.times -= 1;
            if call.is_some() {
                waiting.blocked_by = None;
            }
            if waiting.times == 0 {
                self.waiting.remove(&work);
            }
        }
    }

    /// The work has ended, whatever it has left behind.
    pub(super) fn forget(&mut self, work: u64) {
        self.waiting.remove(&work);
    }

    /// Whether the object that it waits for is kept from everybody else by this, by who waits for this, and so on.
    fn is_stuck(&self, waiting: &Waiting) -> bool {
        let Some(object) = waiting.blocked_by else {
            return false;
        };
        let mut served = waiting.served.as_ref();
        // Each was called by the next one, so it ends; what a client says amiss must not keep it going.
        for _ in 0..=self.waiting.len() {
            let Some(now) = served else {
                return false;
            };
            if now.object == object && now.is_exclusive {
                return true;
            }
            let caller = now.call.as_ref().and_then(|call| self.awaited.get(call));
            let caller = caller.and_then(|caller| self.waiting.get(caller));
            served = caller.and_then(|caller| caller.served.as_ref());
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SocketName;

    fn call(number: u64) -> CallName {
        (SocketName::Unix(b"server".to_vec()), number)
    }

    fn served(object: u64, by: u64, is_exclusive: bool) -> Served {
        Served {
            object: ObjectId(object),
            call: Some(call(by)),
            is_exclusive,
        }
    }

    #[test]
    fn whoever_would_close_a_circle_is_told() {
        let mut waits = Waits::default();
        // 1 is called by somebody, and calls 2, which calls 3.
        let (one, two, three) = (
            served(1, 70, true),
            served(2, 71, false),
            served(3, 72, true),
        );
        assert_eq!(
            waits.begin(1, Some(&one), ObjectId(2), Some(&call(71))),
            Ok(())
        );
        assert_eq!(
            waits.begin(2, Some(&two), ObjectId(3), Some(&call(72))),
            Ok(())
        );
        for (object, may) in [(1, false), (2, true), (3, false), (4, true)] {
            let begun = waits.begin(3, Some(&three), ObjectId(object), Some(&call(73)));
            assert_eq!(begun.is_ok(), may, "{object}");
            if may {
                waits.end(3, Some(&call(73)));
            }
        }
        // It ends by itself.
        assert_eq!(waits.begin(3, Some(&three), ObjectId(1), None), Ok(()));
        waits.end(3, None);
        // Somebody else's call of 3 has nothing to do with 1.
        let other = served(3, 80, true);
        assert_eq!(
            waits.begin(4, Some(&other), ObjectId(1), Some(&call(74))),
            Ok(())
        );
    }

    #[test]
    fn a_circle_is_seen_whoever_of_it_comes_last() {
        let mut waits = Waits::default();
        let (one, two) = (served(1, 70, true), served(2, 71, true));
        // 1 has called 2, which is served before 1 waits.
        assert_eq!(
            waits.begin(2, Some(&two), ObjectId(1), Some(&call(72))),
            Ok(())
        );
        let late = waits.begin(1, Some(&one), ObjectId(2), Some(&call(71)));
        assert_eq!(late, Err(NoWait::Circle));
        assert_eq!(waits.len(), 1);
    }

    #[test]
    fn so_many_may_wait_and_no_more() {
        let mut waits = Waits::default();
        let one = served(1, 1, false);
        for work in 0..MAX_WAITING as u64 {
            assert_eq!(waits.begin(work, Some(&one), ObjectId(2), None), Ok(()));
        }
        let late = MAX_WAITING as u64;
        let refused = waits.begin(late, Some(&one), ObjectId(2), None);
        assert_eq!(refused, Err(NoWait::TooMany));
        // One that waits already waits for several things.
        assert_eq!(waits.begin(0, Some(&one), ObjectId(2), None), Ok(()));
        waits.end(0, None);
        assert_eq!(waits.len(), MAX_WAITING);
        waits.end(0, None);
        assert_eq!(waits.begin(late, Some(&one), ObjectId(2), None), Ok(()));
        waits.forget(late);
        waits.end(late, None);
        assert_eq!(waits.len(), MAX_WAITING - 1);
    }
}
