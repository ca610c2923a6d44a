//! Limits of time, while the other side keeps up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use futures::FutureExt;

use super::end::Patience;
use super::sending::Outgoing;
use super::*;

/// Counts how often a task is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// While a test runs, several threads send messages that never come to their end.
fn beside_endless_messages(test: impl FnOnce(&Connection<Vec<u8>>)) {
    let (ours, peer) = with_raw_peer::<Vec<u8>>();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for sender in 0..3 {
            let (peer, is_over) = (&peer, &is_over);
            scope.spawn(move || {
                let mut header = Header {
                    total: 8 << 30,
                    flags: FIRST,
                    ..Header::default()
                };
                header.tag.sender = sender;
                while !is_over.load(SeqCst) {
                    let beside: [std::os::fd::BorrowedFd<'_>; 0] = [];
                    let packet = [&header.encode()[..], &[7]].concat();
                    let packet = [IoSlice::new(&packet)];
                    if crate::sys::send_packet(peer.as_fd(), &packet, &beside, false).is_ok() {
                        header.flags = 0;
                        header.offset += 1;
                    }
                }
            });
        }
        test(&ours);
        is_over.store(true, SeqCst);
    });
}

#[test]
fn a_message_without_an_end_is_given_up_in_time() {
    watched(|| {
        beside_endless_messages(|ours| {
            let limit = Duration::from_millis(20);
            for _ in 0..3 {
                assert_eq!(ours.recv_timeout(limit).unwrap(), None);
                assert_eq!(ours.try_recv().unwrap(), None);
            }
        });
    });
}

#[test]
fn a_poll_comes_to_its_end_while_a_message_does_not() {
    watched(|| {
        beside_endless_messages(|ours| {
            let mut receiving = ours.recv_async();
            for _ in 0..100 {
                let polled = receiving.poll_unpin(&mut Context::from_waker(Waker::noop()));
                assert!(polled.is_pending());
            }
        });
    });
}

#[test]
fn what_is_there_is_received_also_when_the_time_is_over() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        for patience in [Patience::Never, Patience::Until(Instant::now())] {
            ours.try_send(&vec![1; 200_000]).unwrap();
            let received = theirs.end().receive(patience, receiving::to_bytes);
            assert!(received.unwrap().is_some_and(|bytes| bytes.len() > 200_000));
        }
    });
}

#[test]
fn nothing_more_is_sent_of_a_long_message_when_the_time_is_over() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let is_over = Patience::Until(Instant::now());
        let sent = ours.end().send(Outgoing::bytes(&[1; 200_000]), is_over);
        assert!(matches!(sent, Err(SendError::Full)));
        let sent = ours.end().send(Outgoing::bytes(&[2; 200]), is_over);
        sent.unwrap();
        assert_eq!(theirs.recv_bytes().unwrap(), [2; 200]);
        assert_eq!(theirs.try_recv().unwrap(), None);
    });
}

#[test]
fn a_long_message_leaves_the_runtime_to_others_in_between() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let mut context = Context::from_waker(&waker);
        let bytes = vec![3; 5 * ours.end().part];
        let mut sending = ours.send_bytes_async(&bytes);
        assert!(sending.poll_unpin(&mut context).is_pending());
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(matches!(
            sending.poll_unpin(&mut context),
            Poll::Ready(Ok(()))
        ));
        let mut receiving = theirs.recv_bytes_async();
        assert!(receiving.poll_unpin(&mut context).is_pending());
        assert_eq!(count.0.load(SeqCst), 2);
        assert!(matches!(
            receiving.poll_unpin(&mut context),
            Poll::Ready(Ok(came)) if came == bytes
        ));
    });
}
