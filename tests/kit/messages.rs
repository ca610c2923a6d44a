//! Who sends or receives is killed.

use std::thread;

use procession::pipe::{self, RecvError, SendError};

use super::support::{Case, GateKeeper, awaiting, tests, until};
use super::tasks::*;
use super::{asleep, has_here, kill, kill_at, pool};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        a_sender_that_is_killed_half_way_is_an_error,
        a_sender_that_is_killed_half_way_does_not_end_the_others,
        a_receiver_that_is_killed_half_way_is_an_error,
        a_receiver_that_is_killed_waiting_loses_nothing,
    ]
}

/// More than a socket has room for.
const LONG: usize = 64 << 20;

fn a_sender_that_is_killed_half_way_is_an_error() {
    let (pool, before) = (pool(1), has_here());
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    let (sender, receiver) = pipe::one_way::<Vec<u8>>().unwrap();
    let sending = pool.submit(send_bytes, (sender, LONG)).unwrap();
    awaiting("the first part of a message");
    assert_eq!(pipe::wait(&[&receiver], None).unwrap(), [0]);
    asleep(worker);
    kill(worker, sending);
    awaiting("what there is of a message");
    match receiver.recv_bytes() {
        Err(RecvError::Cut { received, len }) => {
            assert_eq!(len, LONG as u64);
            assert!(0 < received && received < len);
        }
        other => panic!("{:?}", other.map(|bytes| bytes.len())),
    }
    assert!(matches!(receiver.recv_bytes(), Err(RecvError::Closed)));
    drop(receiver);
    pool.submit(pid, ()).unwrap().wait().unwrap();
    until("the same as before to be open", || has_here() == before);
}

fn a_sender_that_is_killed_half_way_does_not_end_the_others() {
    let pool = pool(1);
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    let (sender, receiver) = pipe::one_way::<Vec<u8>>().unwrap();
    let sending = pool.submit(send_bytes, (sender.clone(), LONG)).unwrap();
    awaiting("the first part of a message");
    pipe::wait(&[&receiver], None).unwrap();
    asleep(worker);
    kill(worker, sending);
    let others = thread::spawn(move || sender.send(&vec![1, 2, 3]));
    awaiting("another sender's message");
    assert_eq!(receiver.recv().unwrap(), [1, 2, 3]);
    others.join().unwrap().unwrap();
    match receiver.recv() {
        Err(RecvError::Cut { .. } | RecvError::Closed) => {}
        other => panic!("{:?}", other.map(|bytes| bytes.len())),
    }
}

fn a_receiver_that_is_killed_half_way_is_an_error() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let before = has_here();
    for parts in [0, 5] {
        let (sender, receiver) = pipe::one_way::<Vec<u8>>().unwrap();
        let sending = thread::spawn(move || sender.send_bytes(&vec![7; LONG]));
        let arguments = (receiver, parts, keeper.gate());
        kill_at(&keeper, pool.submit(take_parts, arguments).unwrap());
        awaiting("the one who sends to be told");
        let sent = sending.join().unwrap();
        assert!(matches!(sent, Err(SendError::Closed)), "{sent:?}");
    }
    pool.submit(pid, ()).unwrap().wait().unwrap();
    until("the same as before to be open", || has_here() == before);
}

fn a_receiver_that_is_killed_waiting_loses_nothing() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let (sender, receiver) = pipe::one_way::<Vec<u8>>().unwrap();
    let arguments = (receiver.clone(), keeper.gate());
    let receiving = pool.submit(come_and_receive, arguments).unwrap();
    let worker = keeper.arrival().pid;
    asleep(worker);
    kill(worker, receiving);
    sender.send(&vec![5; 100]).unwrap();
    let receiving = pool.submit(come_and_receive, (receiver, keeper.gate()));
    assert_eq!(receiving.unwrap().wait().unwrap().unwrap(), 100);
    awaiting("the end of all copies of a receiver");
    until("it to be told", || {
        matches!(sender.try_send(&vec![]), Err(SendError::Closed))
    });
}
