//! The queue against a plain one.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(usize),
    Get,
    Done,
    Close,
    /// A handle comes and another goes.
    Travel,
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        8 => prop_oneof![0..50_usize, 0..3000_usize, Just(100_000_usize)].prop_map(Step::Put),
        7 => Just(Step::Get),
        2 => Just(Step::Done),
        1 => Just(Step::Travel),
    ];
    let end = prop::collection::vec(
        prop_oneof![3 => Just(Step::Get), 1 => Just(Step::Put(1))],
        0..20,
    );
    let end = end.prop_map(|steps| [vec![Step::Close], steps].concat());
    let steps = (prop::collection::vec(step, 0..120), end);
    steps.prop_flat_map(|(steps, end)| {
        let steps = [steps, end].concat();
        let handles = prop::collection::vec(0..3_usize, steps.len());
        handles.prop_map(move |handles| handles.into_iter().zip(steps.clone()).collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_queue_is_a_plain_one(
        capacity in prop::option::of(1..6_u64),
        max_bytes in prop_oneof![Just(1 << 30), 8..200_000_u64],
        steps in steps(),
    ) {
        let mut builder = Queue::<Vec<u8>>::builder().max_bytes(max_bytes);
        if let Some(capacity) = capacity {
            builder = builder.capacity(capacity);
        }
        let mut handles = vec![builder.build().unwrap()];
        handles.push(twin(&handles[0]));
        handles.push(handles[1].clone());
        let mut model = VecDeque::new();
        let (mut bytes, mut put, mut done, mut is_closed) = (0, 0_u64, 0_u64, false);
        // The bytes, up to a multiple of 8, and 8 more.
        let framed = |len: usize| (len.next_multiple_of(8) + 8) as u64;
        for (number, (handle, step)) in steps.into_iter().enumerate() {
            let queue = &handles[handle];
            match step {
                Step::Put(len) => {
                    let item = vec![number as u8; len];
                    let frame = framed(len);
                    let is_full = capacity.is_some_and(|most| model.len() as u64 >= most);
                    match queue.try_put(item.clone()) {
                        Ok(()) => {
                            prop_assert!(!is_closed && !is_full && bytes + frame <= max_bytes);
                            model.push_back(item);
                            bytes += frame;
                            put += 1;
                        }
                        Err(PutError::TooLarge { .. }) => prop_assert!(frame > max_bytes),
                        Err(PutError::Closed(_)) => prop_assert!(is_closed),
                        Err(PutError::Full(back)) => {
                            prop_assert!(is_full || bytes + frame > max_bytes);
                            prop_assert!(back == item);
                        }
                        Err(other) => prop_assert!(false, "{other:?}"),
                    }
                }
                Step::Get => match (queue.try_get(), model.pop_front()) {
                    (Ok(item), Some(should)) => {
                        prop_assert!(item == should);
                        bytes -= framed(item.len());
                    }
                    (Err(GetError::Empty), None) => prop_assert!(!is_closed),
                    (Err(GetError::Closed), None) => prop_assert!(is_closed),
                    other => prop_assert!(false, "{other:?}"),
                },
                Step::Done => {
                    prop_assert_eq!(queue.task_done().is_ok(), done < put);
                    done = (done + 1).min(put);
                }
                Step::Close => {
                    queue.close().unwrap();
                    is_closed = true;
                }
                Step::Travel => handles[handle] = twin(queue),
            }
            let queue = &handles[(handle + 1) % 3];
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_empty(), model.is_empty());
            prop_assert_eq!(queue.unfinished(), put - done);
            prop_assert_eq!(queue.join_timeout(Duration::ZERO).is_ok(), put == done);
            prop_assert_eq!(queue.is_full(), capacity == Some(model.len() as u64));
        }
    }
}
