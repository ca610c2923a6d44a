//! Awaited, in no particular runtime.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures::executor::{LocalPool, block_on};
use futures::future::{join_all, select};
use futures::task::LocalSpawnExt;
use futures::{FutureExt, StreamExt};

use super::*;

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    future.poll_unpin(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn messages_are_awaited_also_long_ones() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let lengths = [0, 10, 1 << 20, 5, 3 << 20];
        block_on(async {
            let send = async {
                for len in lengths {
                    ours.send_async(&vec![1; len]).await.unwrap();
                    ours.send_bytes_async(&vec![2; len]).await.unwrap();
                }
            };
            let receive = async {
                for len in lengths {
                    assert!(theirs.recv_async().await.unwrap() == vec![1; len]);
                    assert!(theirs.recv_bytes_async().await.unwrap() == vec![2; len]);
                }
            };
            futures::join!(send, receive);
        });
    });
}

#[test]
fn a_dropped_receive_loses_nothing() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let mut dropped = theirs.recv_async();
        assert!(poll_once(&mut dropped).is_pending());
        ours.send(&vec![1]).unwrap();
        drop(dropped);
        assert_eq!(block_on(theirs.recv_async()).unwrap(), [1]);
        // Also not the part of a long message that has come.
        let (theirs, peer) = with_raw_peer::<Vec<u8>>();
        send_half(&peer);
        let mut dropped = theirs.recv_bytes_async();
        assert!(poll_once(&mut dropped).is_pending());
        drop(dropped);
        send_other_half(&peer);
        assert!(block_on(theirs.recv_bytes_async()).unwrap() == [2; 100_000]);
    });
}

#[test]
fn a_dropped_send_has_sent_nothing() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let mut dropped = ours.send_async(&vec![1; 4 << 20]);
        assert!(poll_once(&mut dropped).is_pending());
        drop(dropped);
        drop(ours.send_async(&vec![9]));
        block_on(async {
            let send = async { ours.send_async(&vec![2; 1 << 20]).await.unwrap() };
            let (received, ()) = futures::join!(theirs.recv_async(), send);
            assert!(received.unwrap() == vec![2; 1 << 20]);
        });
        assert_eq!(theirs.try_recv().unwrap(), None);
    });
}

#[test]
fn a_long_send_that_fails_in_the_middle_is_forgotten() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let bytes = vec![1; 6 * ours.end().part];
        let mut fails = ours.send_bytes_async(&bytes);
        assert!(poll_once(&mut fails).is_pending());
        // From now on the system takes no packet as long as those.
        rustix::net::sockopt::set_socket_send_buffer_size(&ours, 1).unwrap();
        assert!(matches!(
            poll_once(&mut fails),
            Poll::Ready(Err(SendError::System(_)))
        ));
        drop(fails);
        assert_eq!(theirs.try_recv().unwrap(), None);
        ours.send(&vec![2]).unwrap();
        assert_eq!(theirs.recv().unwrap(), [2]);
        assert!(theirs.end().receiving.try_take().unwrap().is_empty());
    });
}

#[test]
fn a_long_send_that_was_dropped_lets_the_next_one_go() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let mut first = ours.send_async(&vec![1; 4 << 20]);
        assert!(poll_once(&mut first).is_pending());
        let blocked = thread::spawn({
            let ours = ours.clone();
            move || ours.send(&vec![2; 1 << 20])
        });
        let mut third = ours.send_async(&vec![3; 1 << 20]);
        assert!(poll_once(&mut third).is_pending());
        drop(first);
        block_on(async {
            let receive = async {
                let mut firsts = [
                    theirs.recv_async().await.unwrap()[0],
                    theirs.recv_async().await.unwrap()[0],
                ];
                firsts.sort_unstable();
                assert_eq!(firsts, [2, 3]);
            };
            let (sent, ()) = futures::join!(third, receive);
            sent.unwrap();
        });
        blocked.join().unwrap().unwrap();
    });
}

#[test]
fn blocking_and_awaiting_share_an_end() {
    watched(|| {
        let (ours, theirs) = pipe::<u32>().unwrap();
        let blocking = thread::spawn({
            let theirs = theirs.clone();
            move || theirs.messages().map(Result::unwrap).collect::<Vec<_>>()
        });
        let awaiting = thread::spawn(move || {
            block_on(
                theirs
                    .messages()
                    .stream()
                    .map(Result::unwrap)
                    .collect::<Vec<_>>(),
            )
        });
        for n in 0..2000 {
            ours.send(&n).unwrap();
        }
        drop(ours);
        let mut received = [blocking.join().unwrap(), awaiting.join().unwrap()].concat();
        received.sort_unstable();
        assert!(received.into_iter().eq(0..2000));
    });
}

#[test]
fn many_tasks_await_many_connections() {
    watched(|| {
        let pairs: Vec<_> = (0..100).map(|_| pipe::<u32>().unwrap()).collect();
        let mut pool = LocalPool::new();
        for (one, other) in pairs {
            let spawner = pool.spawner();
            let ping = async move {
                for n in 0..50 {
                    one.send_async(&n).await.unwrap();
                    assert_eq!(one.recv_async().await.unwrap(), n + 1);
                }
            };
            let pong = async move {
                while let Ok(n) = other.recv_async().await {
                    other.send_async(&(n + 1)).await.unwrap();
                }
            };
            spawner.spawn_local(ping).unwrap();
            spawner.spawn_local(pong).unwrap();
        }
        pool.run();
    });
}

#[test]
fn several_tasks_await_one_end() {
    watched(|| {
        let (ours, theirs) = pipe::<u32>().unwrap();
        let sender = thread::spawn(move || (0..500).for_each(|n| ours.send(&n).unwrap()));
        let receive = || async {
            let mut received = Vec::new();
            while let Ok(n) = theirs.recv_async().await {
                received.push(n);
            }
            received
        };
        let received = block_on(join_all((0..5).map(|_| receive())));
        let mut received = received.concat();
        received.sort_unstable();
        assert!(received.into_iter().eq(0..500));
        sender.join().unwrap();
    });
}

#[test]
fn who_awaits_learns_of_the_end() {
    watched(|| {
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let receiver = thread::spawn(move || block_on(theirs.recv_async()));
        drop(ours);
        assert!(matches!(receiver.join().unwrap(), Err(RecvError::Closed)));
        let (ours, theirs) = pipe::<Vec<u8>>().unwrap();
        let sender = thread::spawn(move || block_on(ours.send_async(&vec![0; 8 << 20])));
        assert!(theirs.poll(Duration::MAX).unwrap());
        drop(theirs);
        assert!(matches!(sender.join().unwrap(), Err(SendError::Closed)));
    });
}

#[test]
fn several_are_awaited_together() {
    watched(|| {
        let (a, a_peer) = pipe::<u8>().unwrap();
        let (b, b_peer) = pipe::<String>().unwrap();
        let all: [&(dyn Waitable + Sync); 3] = [&a, &b, &a];
        assert_eq!(
            block_on(wait_async::<&dyn Waitable>(&[], None)).unwrap(),
            [0; 0]
        );
        for _ in 0..20 {
            let mut waiting = wait_async(&all, Some(LONG));
            assert!(poll_once(&mut waiting).is_pending());
            thread::scope(|scope| {
                scope.spawn(|| a_peer.send(&1).unwrap());
                assert_eq!(block_on(&mut waiting).unwrap(), [0, 2]);
            });
            assert_eq!(a.recv().unwrap(), 1);
            assert_eq!(block_on(waiting).unwrap(), [0; 0], "it is over");
        }
        // Beside others who await one of them.
        let mut receiving = a.recv_async();
        assert!(poll_once(&mut receiving).is_pending());
        thread::scope(|scope| {
            scope.spawn(|| b_peer.send(&"b".to_owned()).unwrap());
            assert_eq!(block_on(wait_async(&all, None)).unwrap(), [1]);
        });
        drop((receiving, a_peer));
        assert_eq!(block_on(wait_async(&all, None)).unwrap(), [0, 1, 2]);
    });
}

#[test]
fn several_are_awaited_for_so_long_and_not_less() {
    watched(|| {
        let (ours, _peer) = pipe::<u8>().unwrap();
        let limit = Duration::from_millis(20);
        let begun = std::time::Instant::now();
        let ends = [&ours];
        let waiting = wait_async(&ends, Some(limit));
        fn goes<T: Send>(_: &T) {}
        goes(&waiting);
        assert_eq!(block_on(waiting).unwrap(), [0; 0]);
        assert!(begun.elapsed() >= limit);
        let ready = block_on(wait_async(&ends, Some(Duration::ZERO)));
        assert_eq!(ready.unwrap(), [0; 0]);
    });
}

#[test]
fn futures_that_are_dropped_leave_no_waker() {
    watched(|| {
        let (_ours, theirs) = pipe::<u8>().unwrap();
        for _ in 0..100 {
            let mut receiving = theirs.recv_async();
            assert!(poll_once(&mut receiving).is_pending());
        }
        assert_eq!(theirs.end().watch().unwrap().waiting(), 0);
    });
}

#[test]
fn two_copies_with_one_descriptor_are_both_awaited() {
    watched(|| {
        let (ours, theirs) = pipe::<u8>().unwrap();
        let other = copy_of(&theirs);
        let (mut one, mut two) = (theirs.recv_async(), other.recv_async());
        assert!(poll_once(&mut one).is_pending() && poll_once(&mut two).is_pending());
        let sender = thread::spawn(move || (1..=2).for_each(|n| ours.send(&n).unwrap()));
        let (one, two) = block_on(async { futures::join!(one, two) });
        assert_eq!(one.unwrap() + two.unwrap(), 3);
        sender.join().unwrap();
    });
}

#[test]
fn a_receive_loses_a_race_and_nothing_else() {
    watched(|| {
        let (ours, theirs) = pipe::<u32>().unwrap();
        let (other, other_peer) = pipe::<u32>().unwrap();
        let sender = thread::spawn(move || {
            for n in 0..300 {
                ours.send(&n).unwrap();
                other_peer.send(&n).unwrap();
            }
        });
        block_on(async {
            let (mut a, mut b) = (0, 0);
            while a + b < 600 {
                let (one, two) = (pin!(theirs.recv_async()), pin!(other.recv_async()));
                match select(one, two).await {
                    futures::future::Either::Left((Ok(n), _)) => {
                        assert_eq!(n, a);
                        a += 1;
                    }
                    futures::future::Either::Right((Ok(n), _)) => {
                        assert_eq!(n, b);
                        b += 1;
                    }
                    other => panic!(
                        "{}",
                        if matches!(other, futures::future::Either::Left(_)) {
                            "left"
                        } else {
                            "right"
                        }
                    ),
                }
                if a == 300 || b == 300 {
                    while a < 300 {
                        assert_eq!(theirs.recv_async().await.unwrap(), a);
                        a += 1;
                    }
                    while b < 300 {
                        assert_eq!(other.recv_async().await.unwrap(), b);
                        b += 1;
                    }
                }
            }
        });
        sender.join().unwrap();
    });
}
