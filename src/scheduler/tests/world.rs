//! Random events: see `scheduler/world`.

use proptest::prelude::*;

use crate::scheduler::fuzz;

proptest! {
    #[test]
    fn any_events_keep_the_invariants_and_every_task_ends_once(
        config: [u8; 4],
        events in prop::collection::vec(any::<[u8; 2]>(), 0..500),
    ) {
        let mut data = config.to_vec();
        data.extend(events.iter().flatten());
        fuzz(&data);
    }
}
