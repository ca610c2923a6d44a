//! Connections leave nothing behind: no descriptor, no thread.

mod support;

use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::executor::block_on;
use procession::pipe::{self, Connection, RecvError, SendError, Sender, Waitable};
use support::{awaiting, in_a_fork};

fn main() {
    support::run(|| {
        support::tests![
            both_ends_are_closed,
            unread_messages_are_gone_with_their_connection,
            the_thread_for_awaiting_goes_with_the_last_connection,
            signals_are_for_other_threads_than_those_of_this_crate,
            ends_that_were_never_received_are_closed,
            ends_that_could_not_be_decoded_are_closed,
            a_future_that_is_dropped_leaves_nothing,
            thousands_are_waited_for,
            a_process_and_a_connection_are_awaited_together,
            running_out_of_descriptors_is_an_error,
            sending_to_nobody_raises_no_signal,
            long_messages_of_a_forked_process_and_its_parent_stay_whole,
            a_forked_process_forgets_what_its_parent_sends,
            a_forked_process_that_drops_a_connection_leaves_its_parent_alone,
            a_forked_process_awaits_connections,
            a_forked_process_awaits_with_a_time_limit,
        ]
    });
}

fn both_ends_are_closed() {
    let (one, other) = procession::pipe::<String>().unwrap();
    one.send(&"once".into()).unwrap();
    assert_eq!(other.recv().unwrap(), "once");
    let clone = one.clone();
    one.close();
    clone.send(&"more".into()).unwrap();
    drop(clone);
    assert_eq!(other.recv().unwrap(), "more");
    assert!(matches!(other.recv(), Err(RecvError::Closed)));
}

fn unread_messages_are_gone_with_their_connection() {
    let (one, _other) = procession::pipe::<Vec<u8>>().unwrap();
    while one.try_send(&vec![1; 1000]).is_ok() {}
    assert!(matches!(
        one.try_send(&vec![1; 1 << 20]),
        Err(SendError::Full)
    ));
}

fn the_thread_for_awaiting_goes_with_the_last_connection() {
    for _ in 0..3 {
        let (one, other) = procession::pipe::<u32>().unwrap();
        let echo = thread::spawn(move || {
            block_on(async {
                while let Ok(n) = other.recv_async().await {
                    other.send_async(&n).await.unwrap();
                }
            });
        });
        for n in 0..100 {
            one.send(&n).unwrap();
            assert_eq!(block_on(one.recv_async()).unwrap(), n);
        }
        drop(one);
        awaiting("the echo's end");
        echo.join().unwrap();
    }
}

/// Whether SIGTERM is blocked in the threads of this process whose names begin so.
fn blocks_signals(name: &str) -> Vec<bool> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let read = |thread: &std::path::Path, what| std::fs::read_to_string(thread.join(what));
    threads
        .filter_map(|thread| {
            let thread = thread.ok()?.path();
            // One that has ended meanwhile is not there.
            let status = read(&thread, "status").ok()?;
            if !read(&thread, "comm").ok()?.starts_with(name) {
                return None;
            }
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
            let mask = u64::from_str_radix(mask?.trim(), 16).unwrap();
            Some(mask & 1 << (libc::SIGTERM - 1) != 0)
        })
        .collect()
}

fn signals_are_for_other_threads_than_those_of_this_crate() {
    let (_there, here) = pipe::one_way::<u8>().unwrap();
    let queue = procession::Queue::<u8>::bounded(1).unwrap();
    let ends = [here];
    let waiting = begun(Box::pin(pipe::wait_async(
        &ends,
        Some(Duration::from_secs(3600)),
    )));
    let getting = begun(Box::pin(queue.get_async()));
    for name in ["procession-conn", "procession-time", "procession-queu"] {
        // Their names may come a moment later than they do.
        while blocks_signals(name).is_empty() {
            awaiting(name);
            thread::yield_now();
        }
        assert_eq!(blocks_signals(name), [true], "{name}");
    }
    drop((waiting, getting));
}

fn ends_that_were_never_received_are_closed() {
    let (courier, there) = pipe::duplex::<Sender<u8>, ()>().unwrap();
    let (sender, receiver) = pipe::one_way::<u8>().unwrap();
    courier.send(&sender).unwrap();
    drop(sender);
    assert!(!receiver.poll(Duration::ZERO).unwrap(), "one is on its way");
    drop(there);
    awaiting("the end of a connection whose other end was on its way");
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    drop(courier);
}

fn ends_that_could_not_be_decoded_are_closed() {
    let (courier, there) = procession::pipe::<Connection<u8>>().unwrap();
    let (one, other) = procession::pipe::<u8>().unwrap();
    courier.send(&one).unwrap();
    drop(one);
    // As bytes, what came beside it is of no use.
    assert!(!there.recv_bytes().unwrap().is_empty());
    awaiting("the end of a connection whose other end was thrown away");
    assert!(matches!(other.recv(), Err(RecvError::Closed)));
}

fn a_future_that_is_dropped_leaves_nothing() {
    let (one, other) = procession::pipe::<Vec<u8>>().unwrap();
    let long = vec![1; 4 << 20];
    for _ in 0..20 {
        let (mut send, mut recv) = (one.send_async(&long), one.recv_async());
        let sent = block_on(async { futures::poll!(&mut send) });
        assert!(sent.is_pending());
        assert!(block_on(async { futures::poll!(&mut recv) }).is_pending());
    }
    drop(other);
    assert!(block_on(one.send_async(&long)).is_err());
}

fn thousands_are_waited_for() {
    let limit = support::descriptors().len() + 2000;
    let pairs: Vec<_> = (0..400)
        .map(|_| procession::pipe::<usize>().unwrap())
        .collect();
    assert!(support::descriptors().len() < limit);
    let (ones, others): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    for place in [399, 7, 200] {
        others[place].send(&place).unwrap();
    }
    drop(others);
    // All are ready now: some for a message, the others for the end.
    let ready = pipe::wait(&ones, None).unwrap();
    assert!(ready.into_iter().eq(0..400));
    for place in [7, 200, 399] {
        assert_eq!(ones[place].recv().unwrap(), place);
    }
}

fn running_out_of_descriptors_is_an_error() {
    let mut taken = Vec::new();
    let refused = loop {
        match procession::pipe::<u8>() {
            Ok(pair) => taken.push(pair),
            Err(error) => break error,
        }
        if taken.len() == 100_000 {
            return; // there is no limit that could be reached here
        }
    };
    assert_eq!(refused.raw_os_error(), Some(libc::EMFILE));
    let (one, other) = taken.pop().unwrap();
    let spare = taken.pop();
    one.send(&7).unwrap();
    assert_eq!(other.recv().unwrap(), 7);
    drop(spare);
}

fn sending_to_nobody_raises_no_signal() {
    // Rust's programs ignore SIGPIPE; those of others that call into Rust may not.
    // SAFETY: the default action is no handler, and the one before is put back.
    let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let (one, other) = procession::pipe::<Vec<u8>>().unwrap();
    drop(other);
    assert!(matches!(one.send(&vec![1]), Err(SendError::Closed)));
    assert!(matches!(
        one.send(&vec![1; 1 << 20]),
        Err(SendError::Closed)
    ));
    assert!(block_on(one.send_async(&vec![1])).is_err());
    // SAFETY: as above.
    unsafe { libc::signal(libc::SIGPIPE, before) };
}

const LONG: usize = 2 << 20;

/// What is polled once, so that it has begun.
fn begun<F: Future + Unpin>(mut future: F) -> F {
    assert!((&mut future).now_or_never().is_none());
    future
}

fn long_messages_of_a_forked_process_and_its_parent_stay_whole() {
    let (one, other) = procession::pipe::<Vec<u8>>().unwrap();
    let message = vec![1; LONG];
    let sending = begun(one.send_async(&message));
    let receiver = thread::spawn(move || (other.recv().unwrap(), other.recv().unwrap()));
    awaiting("a process that was forked off, and sends");
    let code = in_a_fork(|| one.send(&vec![2; LONG]).unwrap());
    assert_eq!(code, 0);
    block_on(sending).unwrap();
    awaiting("both messages");
    let (first, second) = receiver.join().unwrap();
    assert!(first == [2; LONG] && second == [1; LONG]);
}

fn a_forked_process_forgets_what_its_parent_sends() {
    let (one, other) = procession::pipe::<Vec<u8>>().unwrap();
    let message = vec![1; LONG];
    let mut polled = begun(one.send_async(&message));
    let code = in_a_fork(|| {
        let answer = (&mut polled).now_or_never();
        assert!(matches!(answer, Some(Err(SendError::System(_)))));
    });
    assert_eq!(code, 0);
    let mut dropped = Some(polled);
    assert_eq!(in_a_fork(|| drop(dropped.take())), 0);
    let receiver = thread::spawn(move || other.recv().unwrap());
    block_on(dropped.take().unwrap()).unwrap();
    awaiting("the message");
    assert!(receiver.join().unwrap() == [1; LONG]);
}

fn goes_through(one: &Connection<u8>, other: &Connection<u8>) {
    block_on(async {
        let receive = async { other.recv_async().await.unwrap() };
        let send = async { one.send_async(&7).await.unwrap() };
        assert_eq!(futures::join!(receive, send).0, 7);
    });
}

fn a_forked_process_that_drops_a_connection_leaves_its_parent_alone() {
    let (one, other) = procession::pipe::<u8>().unwrap();
    goes_through(&one, &other);
    let mut other = Some(other);
    assert_eq!(in_a_fork(|| drop(other.take())), 0);
    awaiting("a message");
    goes_through(&one, &other.unwrap());
}

fn a_forked_process_awaits_connections() {
    let (one, other) = procession::pipe::<u8>().unwrap();
    goes_through(&one, &other);
    awaiting("a process that was forked off, and awaits");
    assert_eq!(in_a_fork(|| goes_through(&one, &other)), 0);
    goes_through(&one, &other);
}

#[procession::task]
fn receive_one(receiver: pipe::Receiver<u8>) -> Option<u8> {
    receiver.recv().ok()
}

fn a_process_and_a_connection_are_awaited_together() {
    let (ours, theirs) = pipe::one_way::<u8>().unwrap();
    let (_never, here) = pipe::one_way::<u8>().unwrap();
    let process = procession::Process::spawn(receive_one, theirs).unwrap();
    let all: [&(dyn Waitable + Sync); 2] = [&here, &process];
    let mut waiting = begun(pipe::wait_async(&all, None));
    assert_eq!(in_a_fork(|| drop(pipe::wait_async(&all, None))), 0);
    ours.send(&7).unwrap();
    awaiting("the process to end");
    assert_eq!(block_on(&mut waiting).unwrap(), [1]);
    drop(begun(pipe::wait_async(&[&here], None)));
    assert_eq!(process.join().unwrap(), Some(7));
}

fn a_forked_process_awaits_with_a_time_limit() {
    let (_there, here) = pipe::one_way::<u8>().unwrap();
    let ends = [here];
    let soon = || {
        let waiting = pipe::wait_async(&ends, Some(Duration::from_millis(1)));
        assert!(block_on(waiting).unwrap().is_empty());
    };
    let long = begun(pipe::wait_async(&ends, Some(Duration::from_secs(3600))));
    awaiting("the time limit of a process that was forked off");
    assert_eq!(in_a_fork(soon), 0);
    soon();
    drop(long);
}
