//! What must hold of a store, whatever its clients ask.

use std::collections::BTreeSet;

use super::session::perform;
use crate::frame::{Decoder, Header, Kind};
use crate::manager::store::{Effect, SessionId, Store};

/// The longest request, and answer.
const MAX_FRAME: u64 = 64 * 1024;

/// How many clients there are.
const CLIENTS: u8 = 3;

/// The store, and what it owes.
struct Model {
    store: Store,
    /// Sessions that are open.
    open: BTreeSet<u64>,
    /// Calls that have not been answered.
    owed: BTreeSet<(u64, u64)>,
    /// Something was to be done on a thread, which is nobody's here: an answer may depend on it.
    has_work: bool,
}

/// Steps of `[what, who, call, len, payload…]`: a request, a cancellation, a release, the end of a session, or bytes for a decoder.
pub(crate) fn fuzz(mut data: &[u8]) {
    let mut model = Model {
        store: Store::new(MAX_FRAME),
        open: BTreeSet::new(),
        owed: BTreeSet::new(),
        has_work: false,
    };
    while let [what, who, call, len, rest @ ..] = data {
        let session = u64::from(who % CLIENTS);
        let (payload, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        data = rest;
        if model.open.insert(session) {
            model.store.open(SessionId(session));
        }
        let header = |kind| Header::new(kind, u64::from(*call), 0);
        match what % 8 {
            0..4 => model.perform(session, header(Kind::Request), payload),
            4 => model.perform(session, header(Kind::Cancel), &[]),
            5 => model.perform(session, header(Kind::Release), payload),
            6 => model.close(session),
            _ => model.decode(session, payload),
        }
    }
    model.end();
}

impl Model {
    fn perform(&mut self, session: u64, header: Header, payload: &[u8]) {
        let call = (session, header.task);
        let is_known = self.owed.contains(&call);
        if header.kind == Kind::Request && !is_known {
            self.owed.insert(call);
        }
        let is_fine = perform(&mut self.store, SessionId(session), header, payload);
        if header.kind == Kind::Request && is_known {
            assert!(!is_fine, "a call number is in use");
        }
        if is_fine {
            self.see_to_effects();
        } else {
            self.close(session);
        }
    }

    fn decode(&mut self, session: u64, bytes: &[u8]) {
        let mut decoder = Decoder::new(MAX_FRAME);
        let mut source = bytes;
        while let Ok(1..) = decoder.read_from(&mut source) {
            while let Ok(Some(frame)) = decoder.next() {
                let (header, payload) = (frame.header, frame.payload.into_owned());
                if self.open.contains(&session) {
                    self.perform(session, header, &payload);
                }
            }
        }
    }

    fn close(&mut self, session: u64) {
        self.store.close(SessionId(session));
        self.open.remove(&session);
        self.owed.retain(|(of, _)| *of != session);
        self.see_to_effects();
    }

    fn see_to_effects(&mut self) {
        for effect in self.store.take_effects() {
            let caller = match effect {
                Effect::Answer { caller, answer, .. } => {
                    assert!(answer.len() as u64 <= MAX_FRAME);
                    caller
                }
                Effect::Fail { caller, .. } => caller,
                Effect::Work { .. } => {
                    self.has_work = true;
                    continue;
                }
                Effect::Admit { .. } | Effect::Identify { .. } | Effect::Shutdown => continue,
            };
            let call = (caller.session.0, caller.call);
            let is_owed = self.owed.remove(&call);
            assert!(
                is_owed || !self.open.contains(&call.0),
                "{caller:?} is answered without having asked, or twice"
            );
        }
    }

    /// Everybody loses patience, and goes.
    fn end(mut self) {
        for (session, call) in self.owed.clone() {
            let header = Header::new(Kind::Cancel, call, 0);
            self.perform(session, header, &[]);
        }
        let left = &self.owed;
        assert!(
            left.is_empty() || self.has_work,
            "{left:?}: cancelled, and not answered"
        );
        for session in self.open.clone() {
            self.close(session);
        }
        assert_eq!(self.store.sessions(), 0);
    }
}

/// Name, and steps.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    use crate::frame;
    use crate::manager::protocol::{ObjectId, Packed, encode_object};
    use crate::manager::store::{Kind as Of, RootOp};
    use crate::wire;

    let step = |what: u8, who: u8, call: u8, payload: &[u8]| {
        [&[what, who, call, payload.len() as u8], payload].concat()
    };
    let asks = |object: u64, op: &[u8]| {
        let mut bytes = Vec::new();
        encode_object(ObjectId(object), &mut bytes).expect("a seed encodes");
        bytes.extend_from_slice(op);
        bytes
    };
    let root = |op: &RootOp| {
        let mut bytes = Vec::new();
        wire::encode(op, &mut bytes).expect("a seed encodes");
        asks(0, &bytes)
    };
    let kinds = [
        Of::List,
        Of::Dict,
        Of::Set,
        Of::Queue,
        Of::Value,
        Of::Array,
        Of::Namespace,
        Of::Lock,
        Of::RLock,
        Of::Semaphore,
        Of::BoundedSemaphore,
        Of::Event,
        Of::Condition,
        Of::Barrier,
        Of::Managed,
    ];
    let mut created = Vec::new();
    for (call, kind) in kinds.into_iter().enumerate() {
        let create = root(&RootOp::Create {
            kind,
            type_name: "u8".to_owned(),
            init: Packed {
                bytes: vec![0; 4],
                refs: Vec::new(),
            },
        });
        created.extend(step(0, 0, call as u8, &create));
    }
    let mut asked = created.clone();
    for object in 1..16 {
        for op in 0..8 {
            asked.extend(step(
                0,
                op,
                (object * 8) as u8,
                &asks(object, &[op, 1, 1, 1, 1]),
            ));
        }
        asked.extend(step(4, 0, (object * 8) as u8, &[]));
        asked.extend(step(6, 1, 0, &[]));
    }
    let name = || "n".to_owned();
    let object = ObjectId(1);
    let mut named = created.clone();
    for (who, op) in [
        (0, RootOp::Hello { protocol: 1 }),
        (0, RootOp::Hello { protocol: 2 }),
        (
            0,
            RootOp::Publish {
                name: name(),
                object,
            },
        ),
        (1, RootOp::Lookup { name: name() }),
        (1, RootOp::Names),
        (2, RootOp::Hold { object }),
        (1, RootOp::Unpublish { name: name() }),
        (1, RootOp::Lookup { name: name() }),
        (2, RootOp::Status),
        (0, RootOp::Shutdown),
    ] {
        named.extend(step(0, who, 100, &root(&op)));
    }
    named.extend(step(5, 0, 0, &[1, 1, 1]));
    named.extend(step(5, 2, 0, &[2, 1, 1, 9, 200, 1]));
    named.extend(step(6, 2, 0, &[]));
    let mut framed = Vec::new();
    for call in 0..3 {
        let start = frame::begin(&mut framed);
        framed.extend(root(&RootOp::Status));
        frame::finish(&mut framed, start, Header::new(Kind::Request, call, 0));
    }
    vec![
        ("created", created),
        ("asked", asked),
        ("named", named),
        ("framed", step(7, 1, 0, &framed)),
        ("not-understood", step(0, 0, 1, &[0, 99, 1])),
        ("no-object", step(0, 0, 1, &[7, 0])),
        ("empty", step(0, 0, 1, &[])),
    ]
}
