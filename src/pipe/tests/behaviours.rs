//! What users of Python's connections rely on.

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn everything_comes_back_from_an_echo() {
    watched(|| {
        let (ours, theirs) = pipe::<(u32, String)>().unwrap();
        let echo = thread::spawn(move || {
            let value = theirs.recv().unwrap();
            theirs.send(&value).unwrap();
            while let Ok(bytes) = theirs.recv_bytes() {
                theirs.send_bytes(&bytes).unwrap();
            }
        });
        let value = (7, "seven".to_owned());
        ours.send(&value).unwrap();
        assert_eq!(ours.recv().unwrap(), value);
        let long: Vec<u8> = (0..16 << 20).map(|at: u32| (at >> 3) as u8).collect();
        for bytes in [&b"hello"[..], b"", &long] {
            ours.send_bytes(bytes).unwrap();
            assert!(ours.recv_bytes().unwrap() == bytes);
        }
        drop(ours);
        echo.join().unwrap();
    });
}

#[test]
fn lengths_around_those_of_packets_come_whole() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let part = ours.end().part;
        let lengths = [
            0,
            1,
            part - 3,
            part - 1,
            part,
            part + 1,
            2 * part,
            2 * part + 1,
        ];
        let sender = thread::spawn(move || {
            for len in lengths {
                ours.send_bytes(&vec![len as u8; len]).unwrap();
                ours.send(&vec![len as u8; len]).unwrap();
            }
        });
        for len in lengths {
            assert!(theirs.recv_bytes().unwrap() == vec![len as u8; len]);
            assert!(theirs.recv().unwrap() == vec![len as u8; len]);
        }
        sender.join().unwrap();
    });
}

#[test]
fn bytes_go_into_a_buffer_or_into_the_error() {
    watched(|| {
        let (ours, theirs) = pipe::<()>().unwrap();
        let mut buffer = [0; 10];
        ours.send_bytes(b"hello").unwrap();
        assert_eq!(theirs.recv_bytes_into(&mut buffer[3..]).unwrap(), 5);
        assert_eq!(&buffer, b"\0\0\0hello\0\0");
        for len in [11, 100_000] {
            ours.send_bytes(&vec![7; len]).unwrap();
            match theirs.recv_bytes_into(&mut buffer) {
                Err(RecvError::BufferTooShort { message }) => assert_eq!(message, vec![7; len]),
                other => panic!("{other:?}"),
            }
        }
        ours.send_bytes(b"1234567890").unwrap();
        assert_eq!(theirs.recv_bytes_into(&mut buffer).unwrap(), 10);
    });
}

#[test]
fn every_part_of_a_slice_can_be_sent() {
    watched(|| {
        let (ours, theirs) = pipe::<()>().unwrap();
        let letters: Vec<u8> = (b'a'..=b'z').collect();
        for from in 0..=26 {
            for to in from..=26 {
                ours.send_bytes(&letters[from..to]).unwrap();
                assert_eq!(theirs.recv_bytes().unwrap(), letters[from..to]);
            }
        }
    });
}

#[test]
fn poll_says_whether_there_is_something_and_not_early() {
    watched(|| {
        let (ours, theirs) = pipe::<u8>().unwrap();
        assert!(!theirs.poll(Duration::ZERO).unwrap());
        let begun = Instant::now();
        assert!(!theirs.poll(20 * MS).unwrap());
        assert!(begun.elapsed() >= 20 * MS);
        ours.send(&1).unwrap();
        assert!(theirs.poll(Duration::MAX).unwrap());
        assert!(theirs.poll(Duration::ZERO).unwrap());
        assert_eq!(theirs.recv().unwrap(), 1);
        assert!(!theirs.poll(Duration::ZERO).unwrap());
        let begun = Instant::now();
        assert_eq!(theirs.recv_timeout(20 * MS).unwrap(), None);
        assert!(begun.elapsed() >= 20 * MS);
        assert_eq!(theirs.try_recv().unwrap(), None);
        drop(ours);
        assert!(
            theirs.poll(Duration::MAX).unwrap(),
            "the end can be received"
        );
    });
}

#[test]
fn the_end_is_told_again_and_again_after_everything_that_was_sent() {
    watched(|| {
        let (ours, theirs) = pipe::<u8>().unwrap();
        theirs.send(&9).unwrap(); // never received: the system has a word to say about that
        ours.send(&1).unwrap();
        ours.send(&2).unwrap();
        ours.close();
        assert_eq!(theirs.recv().unwrap(), 1);
        assert_eq!(theirs.recv().unwrap(), 2);
        for _ in 0..3 {
            assert!(matches!(theirs.recv(), Err(RecvError::Closed)));
            assert!(matches!(theirs.recv_bytes(), Err(RecvError::Closed)));
            assert!(matches!(theirs.try_recv(), Err(RecvError::Closed)));
            assert!(matches!(theirs.recv_timeout(MS), Err(RecvError::Closed)));
            assert!(matches!(theirs.send(&1), Err(SendError::Closed)));
            assert!(matches!(
                theirs.send_bytes(&[1; 1 << 20]),
                Err(SendError::Closed)
            ));
        }
    });
}

#[test]
fn a_blocked_receiver_and_a_blocked_sender_learn_of_the_end() {
    watched(|| {
        let (ours, theirs) = pipe::<u8>().unwrap();
        let receiver = thread::spawn(move || theirs.recv());
        drop(ours);
        assert!(matches!(receiver.join().unwrap(), Err(RecvError::Closed)));
        let (ours, theirs) = pipe::<u8>().unwrap();
        let sender = thread::spawn(move || ours.send_bytes(&vec![0; 8 << 20]));
        assert!(theirs.poll(Duration::MAX).unwrap());
        drop(theirs);
        assert!(matches!(sender.join().unwrap(), Err(SendError::Closed)));
    });
}

#[test]
fn one_direction_is_one_direction() {
    watched(|| {
        let (sender, receiver) = one_way::<u8>().unwrap();
        sender.send(&7).unwrap();
        assert_eq!(receiver.recv().unwrap(), 7);
        drop(receiver);
        assert!(matches!(sender.send(&7), Err(SendError::Closed)));
    });
}

#[test]
fn what_is_full_says_so_and_loses_nothing() {
    watched(|| {
        let (ours, theirs) = pipe::<u64>().unwrap();
        let mut sent = 0;
        while ours.try_send(&sent).is_ok() {
            sent += 1;
        }
        assert!(sent > 100, "{sent}");
        assert!(matches!(ours.try_send(&0), Err(SendError::Full)));
        let begun = Instant::now();
        assert!(matches!(
            ours.send_timeout(&0, 20 * MS),
            Err(SendError::Full)
        ));
        assert!(begun.elapsed() >= 20 * MS);
        for expected in 0..sent {
            assert_eq!(theirs.recv().unwrap(), expected);
        }
        assert_eq!(theirs.try_recv().unwrap(), None);
        ours.send(&7).unwrap();
        assert_eq!(theirs.recv().unwrap(), 7);
    });
}

#[test]
fn nothing_is_received_of_a_long_message_that_found_no_room() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let long = vec![1; 4 << 20];
        assert!(matches!(ours.try_send(&long), Err(SendError::Full)));
        assert!(matches!(ours.send_timeout(&long, MS), Err(SendError::Full)));
        let sender = thread::spawn(move || {
            ours.send(&vec![2]).unwrap();
            ours.send(&vec![3; 4 << 20]).unwrap();
            ours.send(&vec![4]).unwrap();
        });
        assert_eq!(theirs.recv().unwrap(), [2]);
        assert!(theirs.recv().unwrap() == vec![3; 4 << 20]);
        assert_eq!(theirs.recv().unwrap(), [4]);
        assert!(matches!(theirs.recv(), Err(RecvError::Closed)));
        sender.join().unwrap();
    });
}

#[test]
fn a_receiver_forgets_what_was_given_up_with_the_next_message() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let long = vec![1; 4 << 20];
        assert!(matches!(ours.try_send(&long), Err(SendError::Full)));
        assert_eq!(theirs.try_recv().unwrap(), None);
        assert!(travelled::<_, Connection<Vec<u8>>>(&theirs).is_err());
        ours.send(&vec![2]).unwrap();
        assert_eq!(theirs.recv().unwrap(), [2]);
        assert!(travelled::<_, Connection<Vec<u8>>>(&theirs).is_ok());
        assert!(matches!(ours.try_send(&long), Err(SendError::Full)));
        assert_eq!(theirs.try_recv().unwrap(), None);
        ours.close(); // there is room to tell by now
        assert!(matches!(theirs.recv(), Err(RecvError::Closed)));
    });
}

#[test]
fn a_message_that_comes_slowly_is_kept_for_the_next_call() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let len = 1 << 20;
        let (go_on, may_go_on) = mpsc::channel();
        let slow = copy_of(&ours);
        let sender = thread::spawn(move || {
            // As much as there is room for, and the rest when that was taken.
            let _turn = may_go_on.recv();
            slow.send(&vec![5; len])
        });
        assert_eq!(theirs.recv_timeout(MS).unwrap(), None);
        go_on.send(()).unwrap();
        let mut looks = 0;
        let came = loop {
            looks += 1;
            assert!(theirs.poll(Duration::MAX).unwrap());
            if let Some(came) = theirs.try_recv().unwrap() {
                break came;
            }
        };
        assert!(came == vec![5; len] && looks >= 1);
        sender.join().unwrap().unwrap();
        drop(ours);
    });
}

#[test]
fn a_message_beyond_the_limit_costs_itself_only() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        theirs.set_max_message(1000);
        let sender = thread::spawn(move || {
            for len in [1001, 998, 3 << 20, 1] {
                ours.send(&vec![8; len]).unwrap();
            }
        });
        let too_long = |received| {
            matches!(
                received,
                Err(RecvError::TooLong {
                    max_message: 1000,
                    ..
                })
            )
        };
        assert!(too_long(theirs.recv()));
        assert_eq!(theirs.recv().unwrap().len(), 998);
        assert!(too_long(theirs.recv()));
        assert_eq!(theirs.recv().unwrap().len(), 1);
        sender.join().unwrap();
        assert!(matches!(
            theirs.send_bytes(&[0; 1001]),
            Err(SendError::TooLong { len: 1001, .. })
        ));
    });
}

#[test]
fn messages_end_with_the_other_end() {
    watched(|| {
        let (sender, receiver) = one_way::<u8>().unwrap();
        sender.send(&1).unwrap();
        sender.send_bytes(b"no value").unwrap();
        sender.send(&2).unwrap();
        drop(sender);
        let received: Vec<_> = receiver.messages().collect();
        assert!(matches!(
            &received[..],
            [Ok(1), Err(RecvError::NotDecoded { .. }), Ok(2)]
        ));
    });
}

#[test]
fn wait_gives_all_messages_of_four_writers_and_their_ends() {
    watched(|| {
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        for writer in 0..4u32 {
            let (sender, receiver) = one_way::<(u32, u32)>().unwrap();
            readers.push(receiver);
            writers.push(thread::spawn(move || {
                for n in 0..10 {
                    sender.send(&(writer, n)).unwrap();
                    thread::yield_now();
                }
            }));
        }
        let mut received = Vec::new();
        while !readers.is_empty() {
            for place in wait(&readers, None).unwrap().into_iter().rev() {
                match readers[place].recv() {
                    Ok(message) => received.push(message),
                    Err(RecvError::Closed) => drop(readers.remove(place)),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        received.sort_unstable();
        let all: Vec<_> = (0..4).flat_map(|w| (0..10).map(move |n| (w, n))).collect();
        assert_eq!(received, all);
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
    });
}

#[test]
fn wait_returns_exactly_what_is_ready_in_any_order_and_with_duplicates() {
    watched(|| {
        let (a, a_peer) = pipe::<u8>().unwrap();
        let (b, _b_peer) = pipe::<u8>().unwrap();
        let (c, c_peer) = pipe::<String>().unwrap();
        let (socket, socket_peer) = UnixStream::pair().unwrap();
        let socket = socket.as_fd();
        let begun = Instant::now();
        let all: [&dyn Waitable; 4] = [&a, &b, &c, &socket];
        assert_eq!(wait(&all, Some(20 * MS)).unwrap(), [0; 0]);
        assert!(begun.elapsed() >= 20 * MS);
        a_peer.send(&1).unwrap();
        drop(c_peer);
        assert_eq!(wait(&all, None).unwrap(), [0, 2]);
        let turned: [&dyn Waitable; 6] = [&socket, &c, &a, &b, &a, &c];
        assert_eq!(wait(&turned, None).unwrap(), [1, 2, 4, 5]);
        assert_eq!(a.recv().unwrap(), 1);
        drop(socket_peer);
        assert_eq!(wait(&turned, None).unwrap(), [0, 1, 5]);
        assert_eq!(wait::<&dyn Waitable>(&[], None).unwrap(), [0; 0]);
    });
}

#[test]
fn wait_takes_thousands_however_often_each_is_named() {
    watched(|| {
        let (a, a_peer) = pipe::<u8>().unwrap();
        let (b, _b_peer) = pipe::<u8>().unwrap();
        let many: Vec<&Connection<u8>> = (0..20_000)
            .map(|n| if n % 2 == 0 { &b } else { &a })
            .collect();
        assert!(wait(&many, Some(Duration::ZERO)).unwrap().is_empty());
        a_peer.send(&1).unwrap();
        assert_eq!(wait(&many, None).unwrap().len(), 10_000);
    });
}

#[test]
fn what_is_no_end_of_a_connection_is_refused() {
    watched(|| {
        let null = std::fs::File::open("/dev/null").unwrap();
        let end = End::new(OwnedFd::from(null).into(), Direction::Both, 100);
        let connection = Connection::<u8>::new(Arc::new(end));
        assert!(matches!(connection.send(&1), Err(SendError::System(_))));
        assert!(matches!(connection.recv(), Err(RecvError::System(_))));
        let refused = travelled::<_, Connection<u8>>(&connection).unwrap_err();
        assert!(
            refused.to_string().contains("no socket of that kind"),
            "{refused}"
        );
        assert!(futures::executor::block_on(connection.recv_async()).is_err());
    });
}

#[test]
fn somebody_else_may_have_made_the_socket_nonblocking() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        for end in [&ours, &theirs] {
            let flags = rustix::fs::fcntl_getfl(end).unwrap();
            rustix::fs::fcntl_setfl(end, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
        }
        let receiver = thread::spawn(move || (theirs.recv().unwrap(), theirs.recv().unwrap()));
        ours.send(&vec![1]).unwrap();
        ours.send(&vec![2; 4 << 20]).unwrap();
        let (short, long) = receiver.join().unwrap();
        assert_eq!((short, long.len()), (vec![1], 4 << 20));
    });
}

#[test]
fn awaiting_leaves_the_socket_blocking() {
    watched(|| {
        let (ours, theirs) = pipe::<u8>().unwrap();
        let flags = rustix::fs::fcntl_getfl(&theirs).unwrap();
        let sender = thread::spawn(move || ours.send(&7));
        assert_eq!(futures::executor::block_on(theirs.recv_async()).unwrap(), 7);
        assert_eq!(rustix::fs::fcntl_getfl(&theirs).unwrap(), flags);
        sender.join().unwrap().unwrap();
    });
}

#[test]
#[ignore = "takes ten gigabytes of memory"]
fn a_message_of_five_gigabytes_comes_whole() {
    let (ours, theirs) = pipe::<()>().unwrap();
    let len = 5 << 30;
    let sender = thread::spawn(move || ours.send_bytes(&vec![7; len]));
    let came = theirs.recv_bytes().unwrap();
    assert!(came.len() == len && came.iter().all(|byte| *byte == 7));
    sender.join().unwrap().unwrap();
}

#[test]
fn connections_are_send_and_sync_whatever_they_carry() {
    fn check<T: Send + Sync>(_: &T) {}
    let (one, _other) = pipe::<std::rc::Rc<u8>>().unwrap();
    check(&one);
    let (one, _other) = pipe::<u8>().unwrap();
    check(&one.recv_async());
    check(&one.send_async(&1));
    let _: BorrowedFd<'_> = one.as_fd();
}

#[test]
fn a_connection_is_printed_with_its_descriptor() {
    use std::os::fd::{AsFd as _, AsRawFd as _};

    let (one, _other) = pipe::<u8>().unwrap();
    let fd = one.as_fd().as_raw_fd();
    let printed = format!("Connection {{ fd: {fd}, direction: Both, .. }}");
    assert_eq!(format!("{one:?}"), printed);
}
