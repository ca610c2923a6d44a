//! The other end is killed half-way through, or is no connection at all.

use super::*;
use crate::pipe::packet::{ABANDONED, BYTES, MAX_PART, Tag};

fn first(total: u64, sender: u32) -> Header {
    Header {
        total,
        tag: Tag { sender, number: 1 },
        flags: FIRST,
        ..Header::default()
    }
}

#[test]
fn a_message_that_was_cut_is_told_from_the_end() {
    watched(|| {
        let (ours, peer) = with_raw_peer::<Vec<u8>>();
        send_raw(&peer, &whole(2), &[1, 7], &[]);
        send_raw(&peer, &first(100_000, 1), &[0; 60_000], &[]);
        drop(peer);
        assert_eq!(ours.recv().unwrap(), [7]);
        match ours.recv() {
            Err(RecvError::Cut { received, len }) => assert_eq!((received, len), (60_000, 100_000)),
            other => panic!("{other:?}"),
        }
        assert!(matches!(ours.recv(), Err(RecvError::Closed)));
    });
}

#[test]
fn garbage_costs_one_message_and_the_next_one_comes() {
    watched(|| {
        let (ours, peer) = with_raw_peer::<(u8, bool)>();
        let good = |n| send_raw(&peer, &whole(2), &[n, 1], &[]);
        send_garbage(&peer, b"?", &[]);
        good(1);
        send_garbage(&peer, &[0xff; 1000], &[]);
        good(2);
        send_garbage(&peer, &[0; 70_000], &[]);
        good(3);
        send_raw(&peer, &whole(2), &[4, 9], &[]); // no bool is 9
        send_raw(&peer, &whole(3), &[4, 1, 1], &[]); // something is left over
        send_raw(&peer, &whole(5), &[4, 1], &[]); // it ends before its end
        send_raw(&peer, &whole(1), &[4, 1], &[]); // and after it
        good(4);
        send_garbage(&peer, b"", &[]); // not the end
        good(5);
        let mut errors = Vec::new();
        let mut values = Vec::new();
        drop(peer);
        loop {
            match ours.recv() {
                Ok((n, _)) => values.push(n),
                Err(RecvError::Closed) => break,
                Err(error) => errors.push(error),
            }
        }
        assert_eq!(values, [1, 2, 3, 4, 5]);
        assert_eq!(errors.len(), 8, "{errors:?}");
        assert!(errors.iter().all(RecvError::is_about_one_message));
        match &errors[3] {
            RecvError::NotDecoded {
                payload, message, ..
            } => {
                assert_eq!(payload, &[4, 9]);
                assert!(message.contains("bool"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_length_that_is_only_claimed_costs_nothing() {
    watched(|| {
        let (ours, peer) = with_raw_peer::<Vec<u8>>();
        ours.set_max_message(u64::MAX);
        for (number, total) in [(1, 1 << 40), (2, i64::MAX as u64), (3, u64::MAX)] {
            send_raw(&peer, &first(total, number), &[1; 10], &[]);
        }
        match ours.recv_timeout(Duration::from_millis(1)) {
            Err(RecvError::TooLong { len: u64::MAX, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(ours.recv_timeout(Duration::from_millis(1)).unwrap(), None);
        let incoming = ours.end().receiving.try_take().unwrap();
        assert!(
            incoming.allocated() <= 2 * 2 * MAX_PART,
            "{}",
            incoming.allocated()
        );
    });
}

#[test]
fn nobody_takes_more_descriptors_than_were_announced() {
    watched(|| {
        let (ours, peer) = with_raw_peer::<u8>();
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        send_raw(&peer, &whole(1), &[1], &[null()]);
        let announces = Header {
            handles: 1,
            beside: 1,
            ..whole(1)
        };
        send_raw(&peer, &announces, &[2], &[]);
        send_raw(&peer, &announces, &[3], &[null()]); // one that no value names is closed
        for _ in 0..2 {
            assert!(matches!(ours.recv(), Err(RecvError::Malformed(_))));
        }
        assert_eq!(ours.recv().unwrap(), 3);
        let pipe_end = announces;
        let (ours, peer) = with_raw_peer::<Connection<u8>>();
        send_raw(
            &peer,
            &Header {
                total: 3,
                ..pipe_end
            },
            &[0, 100, 0],
            &[null()],
        );
        match ours.recv() {
            Err(RecvError::NotDecoded { message, .. }) => {
                assert!(message.contains("socket"), "{message}")
            }
            other => panic!("{other:?}"),
        }
        send_raw(&peer, &whole(3), &[0, 100, 0], &[]);
        match ours.recv() {
            Err(RecvError::NotDecoded { message, .. }) => {
                assert!(message.contains("did not come along"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn a_message_that_was_given_up_is_forgotten() {
    watched(|| {
        let (ours, peer) = with_raw_peer::<u8>();
        send_raw(&peer, &first(100, 1), &[0; 10], &[]);
        let given_up = Header {
            flags: ABANDONED,
            ..first(0, 1)
        };
        send_raw(&peer, &given_up, &[], &[]);
        // One that was given up without a word, and the next of the same sender.
        send_raw(&peer, &first(100, 2), &[0; 10], &[]);
        let next = Tag {
            sender: 2,
            number: 2,
        };
        send_raw(
            &peer,
            &Header {
                tag: next,
                ..first(2, 2)
            },
            &[7],
            &[],
        );
        let rest = Header {
            total: 2,
            offset: 1,
            tag: next,
            flags: LAST,
            ..Header::default()
        };
        send_raw(&peer, &rest, &[7], &[]);
        drop(peer);
        assert!(matches!(ours.recv(), Err(RecvError::NotDecoded { .. })));
        assert!(matches!(ours.recv(), Err(RecvError::Closed)));
    });
}

#[test]
fn bytes_are_no_value() {
    watched(|| {
        let (ours, peer) = with_raw_peer::<u8>();
        let bytes = Header {
            flags: FIRST | LAST | BYTES,
            ..whole(1)
        };
        send_raw(&peer, &bytes, &[7], &[]);
        send_raw(&peer, &bytes, &[7], &[]);
        match ours.recv() {
            Err(RecvError::NotDecoded {
                payload, message, ..
            }) => {
                assert_eq!((payload, &*message), (vec![7], "it was sent as bytes"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(ours.recv_bytes().unwrap(), [7]);
    });
}
