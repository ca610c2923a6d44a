//! Each kind on a store of its own, with sessions that come and go.

mod barrier;
mod condition;
mod event;
mod hostile;
mod lock;
mod rlock;
mod semaphore;
mod turns;

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::manager::objects::locks::Taken;
use crate::manager::protocol::{Fault, ObjectId, Packed, encode_object};
use crate::manager::store::{Caller, Effect, Kind, RootOp, SessionId, Store};
use crate::wire;

const MAX_FRAME: u64 = 1 << 20;

/// A store with one object, which stays.
pub(super) struct Bench {
    store: Store,
    object: ObjectId,
    next_call: u64,
    answers: HashMap<Caller, Result<Vec<u8>, Fault>>,
}

impl Bench {
    pub(super) fn new(kind: Kind, init: &(impl Serialize + 'static)) -> Self {
        Self::try_new(kind, init).expect("it is made")
    }

    pub(super) fn try_new(kind: Kind, init: &(impl Serialize + 'static)) -> Result<Self, Fault> {
        let mut init_bytes = Vec::new();
        wire::encode(init, &mut init_bytes).expect("it encodes");
        let mut bench = Self {
            store: Store::new(MAX_FRAME),
            object: ObjectId::ROOT,
            next_call: 0,
            answers: HashMap::new(),
        };
        let maker = bench.open(u64::MAX);
        let init = Packed {
            bytes: init_bytes,
            refs: Vec::new(),
        };
        let type_name = String::new();
        let made = bench.ask(
            maker,
            &RootOp::Create {
                kind,
                type_name,
                init,
            },
        );
        let object = bench.result::<ObjectId>(made).expect("it is answered")?;
        let name = "it".to_owned();
        bench.ask(maker, &RootOp::Publish { name, object });
        bench.close(maker);
        bench.object = object;
        bench.answers.clear();
        Ok(bench)
    }

    pub(super) fn open(&mut self, session: u64) -> SessionId {
        self.store.open(SessionId(session));
        SessionId(session)
    }

    pub(super) fn close(&mut self, session: SessionId) {
        self.store.close(session);
        self.carry_out();
    }

    pub(super) fn ask(&mut self, session: SessionId, op: &(impl Serialize + 'static)) -> Caller {
        let mut payload = Vec::new();
        wire::encode(op, &mut payload).expect("it encodes");
        self.ask_encoded(session, &payload)
    }

    pub(super) fn ask_encoded(&mut self, session: SessionId, op: &[u8]) -> Caller {
        let call = self.next_call;
        self.next_call += 1;
        let caller = Caller { session, call };
        let mut payload = Vec::new();
        encode_object(self.object, &mut payload).expect("a number encodes");
        payload.extend_from_slice(op);
        assert!(self.store.ask(caller, &payload));
        self.carry_out();
        caller
    }

    pub(super) fn cancel(&mut self, caller: Caller) {
        self.store.cancel(caller);
        self.carry_out();
    }

    /// What a call was answered with; `None` as long as it waits. To be asked once.
    pub(super) fn result<T: DeserializeOwned + 'static>(
        &mut self,
        caller: Caller,
    ) -> Option<Result<T, Fault>> {
        let answer = self.answers.remove(&caller)?;
        Some(answer.map(|answer| wire::decode(&answer).expect("the answer is of this type")))
    }

    pub(super) fn waits(&self, caller: Caller) -> bool {
        !self.answers.contains_key(&caller)
    }

    /// Asks, and is answered at once.
    pub(super) fn call<T: DeserializeOwned + 'static>(
        &mut self,
        session: SessionId,
        op: &(impl Serialize + 'static),
    ) -> Result<T, Fault> {
        let caller = self.ask(session, op);
        self.result(caller).expect("it is answered at once")
    }

    /// The lock that a call has got.
    pub(super) fn taken(&mut self, caller: Caller) -> Taken {
        let answer = self.result::<Option<Taken>>(caller);
        answer
            .expect("it is answered")
            .expect("it is no fault")
            .expect("it is taken")
    }

    fn carry_out(&mut self) {
        for effect in self.store.take_effects() {
            let (caller, answer) = match effect {
                Effect::Answer { caller, answer, .. } => (caller, Ok(answer)),
                Effect::Fail { caller, fault } => (caller, Err(fault)),
                other => panic!("{other:?}"),
            };
            let earlier = self.answers.insert(caller, answer);
            assert!(earlier.is_none(), "{caller:?} is answered once");
        }
    }
}
