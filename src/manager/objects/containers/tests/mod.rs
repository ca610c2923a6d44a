//! Each kind on a store of its own, against what the standard library does.

mod array;
mod dict;
mod hostile;
mod list;
mod namespace;
mod number;
mod queue;
mod references;
mod set;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use crate::manager::protocol::{Fault, ObjectId, Packed};
use crate::manager::store::testing::{Bench, encoded, packed};
use crate::manager::store::{Kind, SessionId};
use crate::wire;

/// One object, and one session that asks it.
struct One {
    bench: Bench,
    session: SessionId,
    object: ObjectId,
}

impl One {
    fn new<I: Serialize + 'static>(kind: Kind, init: &I) -> Self {
        Self::with_max_frame(1 << 20, kind, init)
    }

    fn with_max_frame<I: Serialize + 'static>(max_frame: u64, kind: Kind, init: &I) -> Self {
        let mut bench = Bench::with_max_frame(max_frame);
        let session = bench.session();
        let object = bench.create(session, kind, init);
        Self {
            bench,
            session,
            object,
        }
    }

    #[track_caller]
    fn ask<O: Serialize + 'static, A: DeserializeOwned + 'static>(
        &mut self,
        op: O,
    ) -> Result<A, Fault> {
        self.bench.ask(self.session, self.object, &op)
    }
}

fn bytes<T: Serialize + 'static>(value: &T) -> ByteBuf {
    ByteBuf::from(encoded(value))
}

fn unpacked<T: DeserializeOwned + 'static>(value: &Packed) -> T {
    wire::decode(&value.bytes).unwrap()
}

fn all_packed<T: Serialize + 'static>(values: &[T]) -> Vec<Packed> {
    values.iter().map(packed).collect()
}

fn all_unpacked<T: DeserializeOwned + 'static>(values: &[Packed]) -> Vec<T> {
    values.iter().map(unpacked).collect()
}
