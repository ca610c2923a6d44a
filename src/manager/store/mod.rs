//! What a server holds: a pure machine. Requests go in, answers come out; it knows no sockets, no threads and no clock.
//!
//! One owner (the server's loop, or a test) drives it. A blocked call is an entry in its object's own queue: it is answered when
//! another call makes that possible, or taken out when it is cancelled or its session ends. So thousands may wait without a thread.
//!
//! | file | one line |
//! |--|--|
//! | `references` | who keeps an object alive: a [`Ref`] is one reason |
//! | `item` | users' values as they are kept |
//! | `context` | what an object can do while it is asked: answer, keep, resolve, have work done elsewhere |
//! | `root` | object 0: makes objects, names them |

mod context;
mod item;
mod references;
mod root;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};

pub(crate) use self::context::{Context, Effect, Mailbox, Serves, Work};
pub(crate) use self::item::{Item, ItemRef};
use self::references::Directory;
pub(crate) use self::references::{Ref, Refs};
#[allow(unreachable_pub, reason = "`Proxy` names it; nothing outside can")]
pub use self::root::Kind;
pub(crate) use self::root::{RootOp, Status, Welcome};
use super::protocol::{Fault, ObjectId, decode_object};

/// The most calls that a client can have waiting for an answer.
pub(crate) const MAX_CALLS: usize = 65_536;

/// The most that one session can have. There is always one more than a client uses up: by that it gives back what it has, which is answered at once.
const MAX_CALLS_OF_SESSION: usize = MAX_CALLS + 1;

/// A connection, as the store knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) u64);

/// Who asks: a session, and the number of the call in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Caller {
    pub(crate) session: SessionId,
    pub(crate) call: u64,
}

/// Something that the store holds and clients ask.
pub(crate) trait Object: Send {
    /// It has just been made, and nobody has asked it anything: what it has to begin elsewhere it begins here.
    fn begin(&mut self, _context: &mut Context<'_>) {}

    /// Does what `op` asks, in this object's own words, and answers by [`Context::answer`] or [`Context::fail`]; or remembers the caller, and answers
    /// when another call lets it.
    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>);

    /// A caller that has not been answered does not wait any more: it is to be forgotten, and answered with
    /// [`Fault::Cancelled`] (or whatever is true by now).
    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>);

    /// A session has ended: what it waits for here is forgotten (nobody is to be answered), and what it holds is given up. It is called
    /// only if this session has asked this object something.
    fn leave(&mut self, session: SessionId, context: &mut Context<'_>);

    /// Something that was begun with [`Context::work`] says something.
    fn hear(&mut self, _said: Box<dyn Any + Send>, _context: &mut Context<'_>) {}

    /// What [`Context::identify`] has found out: an object for each descriptor; or nothing, if one of them is none that holds one of this store's.
    fn know(&mut self, _number: u64, _held: Option<Refs>, _context: &mut Context<'_>) {}

    /// Nobody refers to it any more, and it is dropped next. Whoever waits is told by the store. What must not be dropped on the store's thread it
    /// hands out as work, which will not be heard.
    fn end(&mut self, _context: &mut Context<'_>) {}
}

/// An object, and what the store knows of it.
struct Entry {
    kind: Kind,
    /// The types of its values, in the words of whoever made it.
    type_name: String,
    object: Box<dyn Object>,
    /// Who has ever asked it something, and is still there.
    askers: HashSet<SessionId>,
}

/// A connection's part.
#[derive(Default)]
struct Session {
    /// What it has been granted, and how often.
    grants: HashMap<ObjectId, (Ref, u64)>,
    /// What has not been answered, and by whom it will be.
    calls: HashMap<u64, ObjectId>,
    /// What it has ever asked, and still lives.
    asked: HashSet<ObjectId>,
}

/// Everything that a server holds.
pub(crate) struct Store {
    directory: Directory,
    objects: HashMap<ObjectId, Entry>,
    sessions: HashMap<SessionId, Session>,
    names: BTreeMap<String, Ref>,
    next_object: u64,
    effects: Vec<Effect>,
    /// How many of them have been seen by `settle`.
    settled: usize,
    max_frame: u64,
    /// Random: who this one is.
    number: u64,
}

impl Store {
    /// An empty one, whose answers are at most so long, in bytes.
    pub(crate) fn new(max_frame: u64) -> Self {
        Self {
            directory: Directory::default(),
            objects: HashMap::new(),
            sessions: HashMap::new(),
            names: BTreeMap::new(),
            next_object: 1,
            effects: Vec::new(),
            settled: 0,
            max_frame,
            number: RandomState::new().build_hasher().finish(),
        }
    }

    /// The number that it has given itself.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// A client has connected, and been authenticated.
    pub(crate) fn open(&mut self, session: SessionId) {
        self.sessions.entry(session).or_default();
    }

    /// A client is gone.
    pub(crate) fn close(&mut self, session: SessionId) {
        let Some(ended) = self.sessions.remove(&session) else {
            return;
        };
        // Objects are left while all that it was granted is still there.
        for object in &ended.asked {
            if let Some(entry) = self.objects.get_mut(object) {
                entry.askers.remove(&session);
            }
            self.with(*object, |object, context| object.leave(session, context));
        }
        drop(ended);
        self.sweep();
    }

    /// A request's payload. A call number that is in use already is a mistake of the client's, for which its session should be ended: `false`.
    pub(crate) fn ask(&mut self, caller: Caller, mut payload: &[u8]) -> bool {
        let Some(session) = self.sessions.get_mut(&caller.session) else {
            return false;
        };
        if session.calls.contains_key(&caller.call) {
            return false;
        }
        let object = match decode_object(&mut payload) {
            Ok(object) => object,
            Err(_) => return false,
        };
        let refusal = if session.calls.len() >= MAX_CALLS_OF_SESSION {
            Some(Fault::TooMany {
                what: "calls that wait on one connection".to_owned(),
                limit: MAX_CALLS as u64,
            })
        } else if object == ObjectId::ROOT {
            None
        } else if let Some(entry) = self.objects.get_mut(&object) {
            if session.asked.insert(object) {
                entry.askers.insert(caller.session);
            }
            None
        } else {
            Some(Fault::NoObject)
        };
        session.calls.insert(caller.call, object);
        if let Some(fault) = refusal {
            self.effects.push(Effect::Fail { caller, fault });
        } else if object == ObjectId::ROOT {
            root::ask(self, caller, payload);
        } else {
            self.with(object, |object, context| {
                object.ask(caller, payload, context)
            });
        }
        self.sweep();
        true
    }

    /// A call is not waited for any more.
    pub(crate) fn cancel(&mut self, caller: Caller) {
        let session = self.sessions.get(&caller.session);
        // Answered already: then the answer is on its way.
        let Some(object) = session.and_then(|session| session.calls.get(&caller.call)) else {
            return;
        };
        self.with(*object, |object, context| object.cancel(caller, context));
        self.sweep();
    }

    /// A client gives grants back: more than it was given count as all.
    pub(crate) fn release(&mut self, session: SessionId, grants: &[(ObjectId, u64)]) {
        let Some(session) = self.sessions.get_mut(&session) else {
            return;
        };
        for (object, count) in grants {
            let Some((_, held)) = session.grants.get_mut(object) else {
                continue;
            };
            *held = held.saturating_sub(*count);
            if *held == 0 {
                session.grants.remove(object);
            }
        }
        self.sweep();
    }

    /// Something that was begun elsewhere for an object, by its [`Mailbox`], has said something.
    pub(crate) fn hear(&mut self, object: ObjectId, said: Box<dyn Any + Send>) {
        self.with(object, |object, context| object.hear(said, context));
        self.sweep();
    }

    /// A client that only holds an object, and was let in because this store asked for it.
    pub(crate) fn open_holding(&mut self, session: SessionId, holds: Ref) {
        let session = self.sessions.entry(session).or_default();
        session.grants.insert(holds.id(), (holds, 1));
    }

    /// Whose sockets those are that an object has asked about.
    pub(crate) fn know(&mut self, object: ObjectId, number: u64, whose: &[Option<SessionId>]) {
        let held = whose
            .iter()
            .map(|session| self.held_by((*session)?))
            .collect();
        self.with(object, |object, context| object.know(number, held, context));
        self.sweep();
    }

    /// The object that a client holds which holds no other.
    fn held_by(&self, session: SessionId) -> Option<Ref> {
        let grants = &self.sessions.get(&session)?.grants;
        let mut held = grants.values().map(|(held, _)| held.clone());
        held.next().filter(|_| held.next().is_none())
    }

    /// What is to be done now; to be asked for after each of the above, in whatever order. Answers are encoded, grants counted.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        self.settled = 0;
        std::mem::take(&mut self.effects)
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.objects.len()
    }

    /// How many sessions there are.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Lets an object do something, if it is there.
    fn with(&mut self, id: ObjectId, run: impl FnOnce(&mut dyn Object, &mut Context<'_>)) {
        let Some(entry) = self.objects.get_mut(&id) else {
            return;
        };
        let mut context = Context::new(id, &self.directory, &mut self.effects, self.max_frame);
        run(&mut *entry.object, &mut context);
        self.settle();
    }

    /// Counts what the latest answers grant, and forgets their calls.
    fn settle(&mut self) {
        // Each is seen once: the number of a call that was answered may be in use again.
        let settled = std::mem::replace(&mut self.settled, self.effects.len());
        for effect in self.effects.iter_mut().skip(settled) {
            let (caller, granted) = match effect {
                Effect::Answer { caller, grants, .. } => (caller, Some(grants)),
                Effect::Fail { caller, .. } => (caller, None),
                _ => continue,
            };
            let Some(session) = self.sessions.get_mut(&caller.session) else {
                continue;
            };
            session.calls.remove(&caller.call);
            // The references of an answer become its session's, once.
            for granted in granted.into_iter().flat_map(Refs::drain) {
                let id = granted.id();
                session.grants.entry(id).or_insert((granted, 0)).1 += 1;
            }
        }
    }

    /// Removes what nobody refers to any more, and what only that referred to.
    fn sweep(&mut self) {
        self.settle();
        loop {
            let released = self.directory.take_released();
            if released.is_empty() {
                return;
            }
            for id in released {
                // The object's own references are released by this.
                let Some(mut entry) = self.objects.remove(&id) else {
                    continue;
                };
                entry.object.end(&mut Context::new(
                    id,
                    &self.directory,
                    &mut self.effects,
                    self.max_frame,
                ));
                let waiting = self.waiting_for(id, &entry.askers);
                drop(entry);
                for caller in waiting {
                    let fault = Fault::NoObject;
                    self.effects.push(Effect::Fail { caller, fault });
                }
                self.settle();
            }
        }
    }

    /// Whoever waits for an object that goes. (A proxy keeps its object while it is called, so these are clients that broke the rules.)
    fn waiting_for(&mut self, id: ObjectId, askers: &HashSet<SessionId>) -> Vec<Caller> {
        let mut waiting = Vec::new();
        for session in askers {
            let Some(known) = self.sessions.get_mut(session) else {
                continue;
            };
            known.asked.remove(&id);
            let calls = known.calls.iter().filter(|(_, of)| **of == id);
            waiting.extend(calls.map(|(call, _)| Caller {
                session: *session,
                call: *call,
            }));
        }
        waiting
    }
}
