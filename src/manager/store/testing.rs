//! A store that a test drives by hand, for the tests of the objects in it.
//!
//! It holds the store to its promises on the way: no call is answered twice, and none of a session that has ended.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Caller, Effect, Kind, RootOp, SessionId, Store, Work};
use crate::manager::protocol::{Fault, ObjectId, Packed, encode_object};
use crate::wire;

/// The longest answer, in bytes, unless a test says otherwise.
const MAX_FRAME: u64 = 1 << 20;

pub(crate) struct Bench {
    pub(crate) store: Store,
    /// What is to be done elsewhere, for a test to run.
    pub(crate) work: Vec<(ObjectId, Work)>,
    /// Whether the server is to end.
    pub(crate) is_shut_down: bool,
    answers: HashMap<Caller, Result<Answer, Fault>>,
    answered: HashSet<Caller>,
    ended: HashSet<SessionId>,
    next_session: u64,
    next_call: u64,
}

/// What a call has been answered, encoded, and the objects granted along with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) granted: Vec<ObjectId>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_max_frame(MAX_FRAME)
    }

    pub(crate) fn with_max_frame(max_frame: u64) -> Self {
        Self {
            store: Store::new(max_frame),
            work: Vec::new(),
            is_shut_down: false,
            answers: HashMap::new(),
            answered: HashSet::new(),
            ended: HashSet::new(),
            next_session: 1,
            next_call: 1,
        }
    }

    /// Opens one more session.
    pub(crate) fn session(&mut self) -> SessionId {
        let session = SessionId(self.next_session);
        self.next_session += 1;
        self.store.open(session);
        session
    }

    /// Ends one.
    pub(crate) fn close(&mut self, session: SessionId) {
        // What was answered before is not held against the store.
        self.collect();
        self.ended.insert(session);
        self.store.close(session);
        self.collect();
    }

    /// Makes an object of a kind, which begins as `init` says; it is granted to the session.
    pub(crate) fn create<I: Serialize + 'static>(
        &mut self,
        session: SessionId,
        kind: Kind,
        init: &I,
    ) -> ObjectId {
        self.try_create(session, kind, packed(init)).unwrap()
    }

    pub(crate) fn try_create(
        &mut self,
        session: SessionId,
        kind: Kind,
        init: Packed,
    ) -> Result<ObjectId, Fault> {
        let op = RootOp::Create {
            kind,
            type_name: "test".to_owned(),
            init,
        };
        self.root(session, &op)
    }

    /// Asks the server itself.
    pub(crate) fn root<A: DeserializeOwned + 'static>(
        &mut self,
        session: SessionId,
        op: &RootOp,
    ) -> Result<A, Fault> {
        self.ask(session, ObjectId::ROOT, op)
    }

    /// Asks something that is answered at once.
    #[track_caller]
    pub(crate) fn ask<O: Serialize + 'static, A: DeserializeOwned + 'static>(
        &mut self,
        session: SessionId,
        object: ObjectId,
        op: &O,
    ) -> Result<A, Fault> {
        let call = self.begin(session, object, op);
        match self.answer(call) {
            Some(answer) => answer,
            None => panic!("{call:?} waits"),
        }
    }

    /// Asks something that may have to wait.
    pub(crate) fn begin<O: Serialize + 'static>(
        &mut self,
        session: SessionId,
        object: ObjectId,
        op: &O,
    ) -> Caller {
        self.begin_raw(session, object, &encoded(op))
    }

    /// The same, in bytes that may be anything.
    pub(crate) fn begin_raw(&mut self, session: SessionId, object: ObjectId, op: &[u8]) -> Caller {
        let call = self.next_call;
        self.next_call += 1;
        let caller = Caller { session, call };
        let mut payload = Vec::new();
        encode_object(object, &mut payload).unwrap();
        payload.extend_from_slice(op);
        assert!(self.store.ask(caller, &payload), "the session is there");
        self.collect();
        caller
    }

    /// What a call has been answered, if it has been, and that has not been taken yet.
    #[track_caller]
    pub(crate) fn answer<A: DeserializeOwned + 'static>(
        &mut self,
        call: Caller,
    ) -> Option<Result<A, Fault>> {
        let answer = self.raw_answer(call)?;
        Some(answer.map(|answer| match wire::decode(&answer.bytes) {
            Ok(answer) => answer,
            Err(error) => panic!("the answer is of another type: {error}"),
        }))
    }

    /// The same, encoded.
    pub(crate) fn raw_answer(&mut self, call: Caller) -> Option<Result<Answer, Fault>> {
        self.answers.remove(&call)
    }

    /// Whether it has not been answered.
    pub(crate) fn waits(&self, call: Caller) -> bool {
        !self.answered.contains(&call)
    }

    pub(crate) fn cancel(&mut self, call: Caller) {
        self.store.cancel(call);
        self.collect();
    }

    pub(crate) fn release(&mut self, session: SessionId, object: ObjectId, count: u64) {
        self.store.release(session, &[(object, count)]);
        self.collect();
    }

    /// Takes what is to be done.
    pub(crate) fn collect(&mut self) {
        for effect in self.store.take_effects() {
            let (caller, answer) = match effect {
                Effect::Answer {
                    caller,
                    answer: bytes,
                    granted,
                    ..
                } => (caller, Ok(Answer { bytes, granted })),
                Effect::Fail { caller, fault } => (caller, Err(fault)),
                Effect::Work { object, work, .. } => {
                    self.work.push((object, work));
                    continue;
                }
                Effect::Admit { .. } | Effect::Identify { .. } => {
                    panic!("only pools ask for that")
                }
                Effect::Shutdown => {
                    self.is_shut_down = true;
                    continue;
                }
            };
            let session = caller.session;
            assert!(!self.ended.contains(&session), "{caller:?} is gone");
            assert!(self.answered.insert(caller), "{caller:?} twice");
            self.answers.insert(caller, answer);
        }
    }
}

pub(crate) fn encoded<T: Serialize + 'static>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(value, &mut bytes).unwrap();
    bytes
}

/// A value as a client sends it, without proxies in it.
pub(crate) fn packed<T: Serialize + 'static>(value: &T) -> Packed {
    Packed {
        bytes: encoded(value),
        refs: Vec::new(),
    }
}

/// A value with the objects that it refers to.
pub(crate) fn packed_with<T: Serialize + 'static>(value: &T, refs: &[ObjectId]) -> Packed {
    Packed {
        bytes: encoded(value),
        refs: refs.to_vec(),
    }
}
