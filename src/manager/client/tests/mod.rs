mod fake;
mod hostile;
mod releases;
mod room;
mod unread;
mod verdicts;

use std::future::poll_fn;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::future::join_all;
use std::future::Future;
use std::pin::pin;

use self::fake::{MAX_FRAME, Op, Seen};
use super::manager::Manager;
use super::remote::Remote;
use super::scope::granted;
use super::{Calling, unpack};
use crate::manager::ManagerError;
use crate::manager::protocol::{ObjectId, Packed};
use crate::manager::secure::{Address, Key};
use crate::manager::server::Server;
use crate::primitives::plain::lock;
use crate::sync::tests::{until, watched};

/// An object of a new server, and what that has seen.
fn object() -> (Remote, Seen) {
    let (manager, seen) = fake::start();
    (manager.root().site().granted(ObjectId(1)), seen)
}

fn echo(remote: &Remote, bytes: &[u8]) -> Calling<Vec<u8>> {
    remote.call(&Op::Echo(bytes.to_vec()), |answer: serde_bytes::ByteBuf| {
        Ok(answer.into_vec())
    })
}

fn ask(remote: &Remote, op: &Op) -> Calling<()> {
    remote.call(op, Ok)
}

fn undo(answer: &[u8]) -> Option<Vec<u8>> {
    let number: u64 = crate::wire::decode(answer).ok()?;
    let mut op = Vec::new();
    crate::wire::encode(&Op::Undo(number), &mut op).ok()?;
    Some(op)
}

fn late(remote: &Remote, number: u64) -> Calling<u64> {
    remote.call(&Op::Late(number), Ok).undone_by(undo)
}

fn grant(remote: &Remote, id: u64) -> Calling<Remote> {
    remote.call(&Op::Grant(id), granted)
}

fn is_lost<T>(end: Result<T, ManagerError>) -> bool {
    matches!(end, Err(ManagerError::Lost { .. }))
}

/// Nothing is left of any call.
fn is_idle(remote: &Remote) -> bool {
    let connection = remote.site().connected().unwrap();
    connection.calls() == 0 && connection.queued() == 0
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn goes<T: Send + Sync + Clone + 'static>() {}
    fn is_sent<T: Send + Unpin>() {}
    goes::<Manager>();
    goes::<Remote>();
    is_sent::<Calling<Vec<u8>>>();
}

#[test]
fn one_thread_asks_and_is_answered() {
    watched(|| {
        let (remote, _) = object();
        for len in [0, 1, 1000, 100_000, 5_000_000] {
            let bytes = vec![7; len];
            assert!(echo(&remote, &bytes).wait().unwrap() == bytes);
        }
        assert!(is_idle(&remote));
    });
}

#[test]
fn many_threads_ask_at_once() {
    watched(|| {
        let (remote, _) = object();
        thread::scope(|scope| {
            for thread in 0..16_u8 {
                let remote = &remote;
                scope.spawn(move || {
                    for turn in 0..200_u8 {
                        let bytes = [thread, turn];
                        assert_eq!(echo(remote, &bytes).wait().unwrap(), bytes);
                    }
                });
            }
        });
        assert!(is_idle(&remote));
    });
}

#[test]
fn many_tasks_ask_at_once() {
    watched(|| {
        let (remote, _) = object();
        thread::scope(|scope| {
            for thread in 0..4_u32 {
                let remote = &remote;
                scope.spawn(move || {
                    let calls = (0..300_u32).map(|turn| async move {
                        let bytes = (thread << 16 | turn).to_le_bytes();
                        assert_eq!(echo(remote, &bytes).await.unwrap(), bytes);
                    });
                    block_on(join_all(calls));
                });
            }
        });
        assert!(is_idle(&remote));
    });
}

#[test]
fn threads_and_tasks_ask_at_once_while_one_waits_all_the_time() {
    watched(|| {
        let (remote, seen) = object();
        let waits = thread::spawn({
            let call = ask(&remote, &Op::Wait);
            || block_on(call)
        });
        thread::scope(|scope| {
            for thread in 0..8_u8 {
                let remote = &remote;
                scope.spawn(move || {
                    for turn in 0..100_u8 {
                        let bytes = [thread, turn];
                        let call = echo(remote, &bytes);
                        let end = match thread % 2 {
                            0 => call.wait(),
                            _ => block_on(call),
                        };
                        assert_eq!(end.unwrap(), bytes);
                    }
                });
            }
        });
        assert_eq!(lock(&seen).waiting, 1);
        ask(&remote, &Op::Wake).wait().unwrap();
        waits.join().unwrap().unwrap();
        assert!(is_idle(&remote));
    });
}

#[test]
fn a_call_that_was_polled_can_be_waited_for() {
    watched(|| {
        let (remote, seen) = object();
        let mut call = ask(&remote, &Op::Wait);
        let mut context = Context::from_waker(Waker::noop());
        assert!(
            std::pin::Pin::new(&mut call)
                .poll(&mut context)
                .is_pending()
        );
        let waits = thread::spawn(|| call.wait());
        until(|| lock(&seen).waiting == 1);
        ask(&remote, &Op::Wake).wait().unwrap();
        waits.join().unwrap().unwrap();
    });
}

#[test]
fn a_call_whose_time_is_up_says_so_and_what_comes_late_is_undone() {
    watched(|| {
        let (remote, seen) = object();
        let soon = Instant::now() + Duration::from_millis(20);
        let end = late(&remote, 5).wait_until(Some(soon));
        assert!(matches!(end, Err(ManagerError::TimedOut)));
        assert!(Instant::now() >= soon);
        // Nobody asks anything else: the answer is found all the same.
        until(|| lock(&seen).undone == [5]);
        echo(&remote, b"").wait().unwrap();
        assert!(is_idle(&remote));
    });
}

#[test]
fn no_time_at_all_is_enough_for_an_answer_that_is_there() {
    watched(|| {
        let (remote, _) = object();
        let first = echo(&remote, b"first");
        echo(&remote, b"second").wait().unwrap();
        // The server answers in order.
        let end = first.wait_until(Some(Instant::now()));
        assert_eq!(end.unwrap(), b"first");
    });
}

#[test]
fn many_deadlines_pass_at_once() {
    watched(|| {
        let (remote, seen) = object();
        let soon = Instant::now() + Duration::from_millis(20);
        thread::scope(|scope| {
            for number in 0..16 {
                let remote = &remote;
                scope.spawn(move || {
                    let end = late(remote, number).wait_until(Some(soon));
                    assert!(matches!(end, Err(ManagerError::TimedOut)));
                });
            }
        });
        until(|| lock(&seen).undone.len() == 16);
        echo(&remote, b"").wait().unwrap();
        assert!(is_idle(&remote));
    });
}

#[test]
fn a_dropped_call_is_cancelled_and_what_comes_late_is_undone() {
    watched(|| {
        let (remote, seen) = object();
        // Not polled; polled; answered and not looked at.
        drop(late(&remote, 1));
        let mut polled = late(&remote, 2);
        let mut context = Context::from_waker(Waker::noop());
        assert!(
            std::pin::Pin::new(&mut polled)
                .poll(&mut context)
                .is_pending()
        );
        drop(polled);
        until(|| lock(&seen).undone == [1, 2]);
        drop(ask(&remote, &Op::Wait));
        until(|| lock(&seen).cancelled == 3);
        until(|| is_idle(&remote));
    });
}

#[test]
fn an_answer_that_nobody_looks_at_is_undone() {
    watched(|| {
        let (remote, seen) = object();
        let answered = late(&remote, 9);
        let cancelled = remote.with(|ear| {
            ear.cancel(1);
            Ok(())
        });
        cancelled.unwrap();
        echo(&remote, b"").wait().unwrap();
        drop(answered);
        until(|| lock(&seen).undone == [9]);
    });
}

#[test]
fn the_last_call_of_a_connection_that_is_dropped_is_undone() {
    watched(|| {
        let (remote, seen) = object();
        let call = late(&remote, 4);
        drop(remote);
        drop(call);
        until(|| lock(&seen).undone == [4]);
    });
}

/// What a server writes before it goes.
fn last_words() -> Vec<Vec<u8>> {
    use crate::frame::{Header, Kind};
    let header = |kind, task, len| {
        let header = Header {
            len,
            ..Header::new(kind, task, 0)
        };
        header.encode().to_vec()
    };
    vec![
        Vec::new(),
        vec![0; 7],
        header(Kind::Reply, 1, 100),
        header(Kind::Reply, 1, u64::MAX),
        header(Kind::Request, 1, 0),
        [header(Kind::Reply, 1, 3), vec![255; 3]].concat(),
        // An answer to what was never asked.
        [header(Kind::Reply, 1 << 40, 2), vec![0, 1]].concat(),
        vec![255; 1000],
    ]
}

#[test]
fn everybody_is_told_that_the_server_is_gone() {
    watched(|| {
        for words in last_words() {
            let (remote, seen) = object();
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let call = ask(&remote, &Op::Wait);
                    thread::spawn(move || match thread % 2 {
                        0 => call.wait(),
                        _ => block_on(call),
                    })
                })
                .collect();
            let (before, dropped) = (ask(&remote, &Op::Wait), ask(&remote, &Op::Wait));
            until(|| lock(&seen).waiting == 6);
            drop(dropped);
            let _ = ask(&remote, &Op::Write(words)).wait();
            for thread in threads {
                assert!(is_lost(thread.join().unwrap()));
            }
            assert!(is_lost(before.wait()));
            assert!(is_lost(echo(&remote, b"").wait()));
            assert!(is_lost(block_on(echo(&remote, b""))));
            remote.tell(&Op::Wake);
            assert!(remote.site().connected().unwrap().is_lost());
        }
    });
}

#[test]
fn an_answer_that_came_before_the_end_is_given() {
    watched(|| {
        let (remote, _) = object();
        let (first, last) = (
            echo(&remote, b"first"),
            ask(&remote, &Op::Write(Vec::new())),
        );
        let after = echo(&remote, b"after");
        assert!(is_lost(after.wait()));
        assert_eq!(first.wait().unwrap(), b"first");
        last.wait().unwrap();
    });
}

#[test]
fn grants_are_counted_while_proxies_come_and_go() {
    watched(|| {
        let (remote, seen) = object();
        thread::scope(|scope| {
            for thread in 0..8 {
                let remote = &remote;
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for turn in 0..200 {
                        let id = 10 + turn % 3;
                        let call = grant(remote, id);
                        let proxy = match thread % 3 {
                            0 => block_on(call).unwrap(),
                            1 => call.wait().unwrap(),
                            // Given up: what it brings goes back.
                            _ => continue,
                        };
                        assert_eq!(proxy.id(), ObjectId(id));
                        kept.push(proxy);
                        if turn % 7 == 0 {
                            kept.clear();
                        }
                    }
                });
            }
        });
        until(|| is_idle(&remote));
        echo(&remote, b"").wait().unwrap();
        assert!(lock(&seen).granted.values().all(|count| *count == 0));
        // This one, and the server itself is not held by anybody.
        assert_eq!(remote.site().objects(), 1);
    });
}

#[test]
fn proxies_of_one_object_are_one() {
    watched(|| {
        let (remote, seen) = object();
        let (one, other) = (
            grant(&remote, 5).wait().unwrap(),
            grant(&remote, 5).wait().unwrap(),
        );
        assert!(one.is_same(&other) && !one.is_same(&remote));
        drop(one);
        echo(&remote, b"").wait().unwrap();
        assert_eq!(lock(&seen).granted[&ObjectId(5)], 2);
        drop(other);
        echo(&remote, b"").wait().unwrap();
        assert_eq!(lock(&seen).granted[&ObjectId(5)], 0);
    });
}

#[test]
fn sockets_that_are_full_both_ways_are_no_deadlock() {
    watched(|| {
        let (remote, _) = object();
        let long = vec![1; 100 << 20];
        let bytes = vec![2; 10_000];
        let calls: Vec<_> = (0..1000).map(|_| echo(&remote, &bytes)).collect();
        // The server writes the answers above before it reads all of this.
        let answer = echo(&remote, &long).wait().unwrap();
        assert!(answer == long);
        for call in calls {
            assert!(block_on(call).unwrap() == bytes);
        }
        assert!(is_idle(&remote));
    });
}

#[test]
fn a_task_alone_has_a_long_request_sent() {
    watched(|| {
        let (remote, _) = object();
        let long = vec![1; 30 << 20];
        assert!(block_on(echo(&remote, &long)).unwrap() == long);
    });
}

#[test]
fn what_is_only_told_is_read_by_somebody() {
    watched(|| {
        let (remote, seen) = object();
        for number in 0..20_000 {
            remote.tell(&Op::Undo(number));
        }
        // Nobody waits for anything.
        until(|| lock(&seen).undone.len() == 20_000);
        echo(&remote, b"").wait().unwrap();
        until(|| is_idle(&remote));
    });
}

#[test]
fn a_request_that_is_too_long_is_refused_and_the_others_go_on() {
    watched(|| {
        let (remote, _) = object();
        let long = vec![0; MAX_FRAME as usize];
        let end = echo(&remote, &long).wait();
        assert!(matches!(
            end,
            Err(ManagerError::TooLong {
                max_frame: MAX_FRAME,
                ..
            })
        ));
        assert_eq!(echo(&remote, b"a").wait().unwrap(), b"a");
    });
}

/// Makes a call when it is woken.
struct Calls(Remote, AtomicUsize);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        assert_eq!(echo(&self.0, b"within").wait().unwrap(), b"within");
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_waker_may_make_a_call_of_its_own() {
    watched(|| {
        let (remote, seen) = object();
        let woken = Arc::new(Calls(remote.clone(), AtomicUsize::new(0)));
        let waker = Waker::from(woken.clone());
        let mut calls: Vec<_> = (0..3).map(|_| ask(&remote, &Op::Wait)).collect();
        for call in &mut calls {
            let polled = std::pin::Pin::new(call).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
        }
        until(|| lock(&seen).waiting == 3);
        ask(&remote, &Op::Wake).wait().unwrap();
        until(|| woken.1.load(Ordering::SeqCst) == 3);
        for call in calls {
            call.wait().unwrap();
        }
    });
}

#[test]
fn a_task_that_moves_is_woken_by_its_last_waker() {
    watched(|| {
        struct Flag(AtomicBool);
        impl Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let (remote, seen) = object();
        let (first, last) = (
            Arc::new(Flag(AtomicBool::new(false))),
            Arc::new(Flag(AtomicBool::new(false))),
        );
        let mut call = pin!(ask(&remote, &Op::Wait));
        for flag in [&first, &last] {
            let waker = Waker::from(flag.clone());
            assert!(
                call.as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            );
        }
        until(|| lock(&seen).waiting == 1);
        ask(&remote, &Op::Wake).wait().unwrap();
        until(|| last.0.load(Ordering::SeqCst));
        assert!(!first.0.load(Ordering::SeqCst));
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(
            call.as_mut().poll(&mut context),
            Poll::Ready(Ok(()))
        ));
    });
}

#[test]
fn an_answer_can_be_made_into_something_else_and_told() {
    watched(|| {
        let (remote, _) = object();
        let doubled = echo(&remote, b"ab").map(|bytes| Ok(bytes.repeat(2)));
        assert_eq!(doubled.wait().unwrap(), b"abab");
        let (tell, told) = mpsc::channel();
        let failed = Calling::<u8>::failed(ManagerError::NotHeld);
        let calls = [
            echo(&remote, b"7").map(|bytes| Ok(bytes[0])),
            Calling::done(8),
            failed,
        ];
        for call in calls {
            let tell = tell.clone();
            call.then(move |end| tell.send(end.ok()).unwrap());
        }
        let mut told: Vec<_> = told.iter().take(3).collect();
        told.sort();
        assert_eq!(told, [None, Some(8), Some(b'7')]);
    });
}

#[test]
fn a_future_is_read_where_it_is_polled() {
    watched(|| {
        let (remote, _) = object();
        let mut call = Box::pin(grant(&remote, 3));
        let proxy = thread::spawn(move || block_on(poll_fn(|context| call.as_mut().poll(context))));
        assert_eq!(proxy.join().unwrap().unwrap().id(), ObjectId(3));
    });
}

#[test]
fn a_value_is_kept_as_its_bytes() {
    watched(|| {
        let (remote, _) = object();
        let value = vec![("a".to_owned(), 1_u64)];
        let packed = remote.pack(&value).unwrap();
        let kept = remote.call(&Op::Kept(packed.bytes, packed.refs), |packed: Packed| {
            unpack::<Vec<(String, u64)>>(&packed)
        });
        assert_eq!(kept.wait().unwrap(), value);
    });
}

#[test]
fn a_server_s_own_connection_is_made_again_when_it_is_lost() {
    watched(|| {
        let address = Address::Abstract(format!(
            "procession-test-{}",
            Key::generate().unwrap().to_hex()
        ));
        let key = Key::generate().unwrap();
        let _server = Server::builder().serve(&address, &key).unwrap();
        let reach = crate::manager::managed::reach(&address, &key);
        let manager = reach().unwrap();
        manager.status().unwrap();
        let connection = manager.root().site().connected().unwrap();
        crate::sys::end_socket(connection.socket().as_fd());
        assert!(is_lost(manager.status()));
        assert!(reach().unwrap().status().is_ok());
    });
}
