//! What is done with a connection.

use std::sync::OnceLock;

use procession::pipe::{self, Receiver, RecvError, Sender};

use crate::step::{End, killed_at};
use crate::support::awaiting;

/// A message of one packet, and one of several, which have room in the socket.
const SHORT: usize = 100;
const LONG: usize = 150_000;

fn ends() -> (Sender<()>, Receiver<()>) {
    pipe::one_way().unwrap()
}

/// Made once, and not by the process that is killed.
fn message(of: u8, len: usize) -> &'static [u8] {
    static ALL: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let all = ALL.get_or_init(|| [1, 2].map(|of| vec![of; LONG]));
    &all[usize::from(of) - 1][..len]
}

fn received(receiver: &Receiver<()>) -> Result<u8, RecvError> {
    awaiting("a message");
    let message = receiver.recv_bytes()?;
    assert!(message.iter().all(|byte| *byte == message[0]), "torn");
    Ok(message[0])
}

pub(crate) fn send_a_short_message(at: u64) -> End {
    send(at, SHORT)
}

pub(crate) fn send_a_long_message(at: u64) -> End {
    send(at, LONG)
}

/// What is sent after it comes; before that, all of what was being sent, or nothing.
fn send(at: u64, len: usize) -> End {
    let (sender, receiver) = ends();
    let first = message(1, len);
    let end = killed_at(at, || sender.send_bytes(first).unwrap(), None);
    sender.send_bytes(message(2, SHORT)).unwrap();
    match received(&receiver).unwrap() {
        1 => assert_eq!(received(&receiver).unwrap(), 2),
        other => assert!(other == 2 && matches!(end, End::Killed(_))),
    }
    drop(sender);
    // Or a part of the first message, whose sender is known to be gone by now.
    match received(&receiver) {
        Err(RecvError::Closed) => {}
        Err(RecvError::Cut { .. }) => assert!(matches!(end, End::Killed(_)) && len == LONG),
        other => panic!("{other:?}"),
    }
    end
}

pub(crate) fn receive_a_short_message(at: u64) -> End {
    receive(at, SHORT)
}

pub(crate) fn receive_a_long_message(at: u64) -> End {
    receive(at, LONG)
}

/// What is sent after it comes to the next one; before that, all of what was being received, or nothing, or word of a part.
fn receive(at: u64, len: usize) -> End {
    let (sender, receiver) = ends();
    let first = message(1, len);
    let send = || sender.send_bytes(first).unwrap();
    // It is there before, and is not looked through: what is killed is short.
    let mut buffer = vec![0; len];
    let receive = || assert_eq!(receiver.recv_bytes_into(&mut buffer).unwrap(), len);
    let end = killed_at(at, receive, Some(&send));
    sender.send_bytes(message(2, SHORT)).unwrap();
    let mut came = received(&receiver);
    while !matches!(came, Ok(2)) {
        assert!(matches!(end, End::Killed(_)));
        assert!(matches!(came, Ok(1) | Err(RecvError::Torn)), "{came:?}");
        came = received(&receiver);
    }
    end
}
