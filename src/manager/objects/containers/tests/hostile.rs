use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::manager::store::Caller;

const KINDS: [Kind; 7] = [
    Kind::List,
    Kind::Dict,
    Kind::Set,
    Kind::Queue,
    Kind::Value,
    Kind::Array,
    Kind::Namespace,
];

/// One object of each kind, with a little in it.
fn create(bench: &mut Bench, session: SessionId, kind: Kind) -> ObjectId {
    let values = all_packed(&[1u8, 2, 3]);
    match kind {
        Kind::List | Kind::Set | Kind::Array => bench.create(session, kind, &values),
        Kind::Dict => {
            let entries: Vec<_> = values.iter().cloned().zip(values.iter().cloned()).collect();
            bench.create(session, kind, &entries)
        }
        Kind::Queue => bench.create(session, kind, &Some(2u64)),
        _ => bench.create(session, kind, &()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn nothing_that_can_be_asked_is_the_end_of_an_object(
        asked in vec((0..KINDS.len(), 0..32u8, vec(any::<u8>(), 0..24), any::<bool>()), 1..24),
        small in any::<bool>(),
    ) {
        let mut bench = Bench::with_max_frame(if small { 64 } else { 1 << 20 });
        let session = bench.session();
        let objects = KINDS.map(|kind| create(&mut bench, session, kind));
        for (of, variant, mut bytes, cancel) in asked {
            bytes.insert(0, variant);
            if small {
                // Small numbers are lengths and indices that are there.
                bytes.iter_mut().skip(1).for_each(|byte| *byte %= 5);
            }
            let call: Caller = bench.begin_raw(session, objects[of], &bytes);
            if cancel {
                bench.cancel(call);
                prop_assert!(!bench.waits(call));
            }
        }
        bench.close(session);
        // Objects that were put into each other stay.
        prop_assert_eq!(bench.store.sessions(), 0);
    }

    #[test]
    fn nothing_that_an_object_can_begin_with_is_the_end_of_a_server(
        of in 0..KINDS.len(),
        bytes in vec(any::<u8>(), 0..24),
        refs in vec(0..3u64, 0..2),
    ) {
        let mut bench = Bench::new();
        let session = bench.session();
        bench.create(session, Kind::Namespace, &());
        let refs = refs.into_iter().map(ObjectId).collect();
        let made = bench.try_create(session, KINDS[of], Packed { bytes, refs });
        prop_assert_eq!(bench.store.len(), 1 + usize::from(made.is_ok()));
    }
}
