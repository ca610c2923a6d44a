use std::io;
use std::os::fd::AsFd as _;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::negotiation::{GREETING, Negotiation, Outcome};
use super::*;
use crate::frame::{self, Decoder, Header};
use crate::sys;

/// Every wait of these tests ends by then.
const LIMIT: Duration = Duration::from_secs(60);

fn deadline() -> Option<Instant> {
    Some(Instant::now() + LIMIT)
}

/// An address that nobody else has.
fn somewhere() -> Address {
    Address::Abstract(format!(
        "procession-test-{}",
        Key::generate().unwrap().to_hex()
    ))
}

/// What came of one visit.
#[derive(Debug, PartialEq)]
enum Came {
    In,
    Not,
}

/// A server that lets one client in, or not; its line, and what came of it.
fn one_visit(address: &Address, key: &Key) -> (Address, JoinHandle<(Came, Option<Line>)>) {
    let listener = listen(address).unwrap();
    let (address, key) = (listener.address().clone(), key.clone());
    let server = thread::spawn(move || {
        sys::wait_for(&[listener.as_fd()], deadline()).unwrap();
        let Some(mut visit) = listener.accept().unwrap() else {
            return (Came::Not, None);
        };
        loop {
            sys::wait_for(&[visit.as_fd()], deadline()).unwrap();
            match visit.go_on(&key) {
                Progress::Waits(again) => visit = again,
                Progress::Proved(guest) => return (Came::In, guest.welcome()),
                Progress::Over => return (Came::Not, None),
            }
        }
    });
    (address, server)
}

/// Sends frames of these lengths from one line to the other, whose ends both wait.
fn sends_frames(from: Line, to: Line, lens: &[usize]) {
    let (mut outgoing, sender) = (from.outgoing, from.socket);
    let lens = lens.to_vec();
    let count = lens.len();
    let (done, is_done) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        for (at, len) in lens.into_iter().enumerate() {
            let mut bytes = Vec::new();
            let start = frame::begin(&mut bytes);
            bytes.extend((0..len).map(|i| (i + at) as u8));
            let header = Header::new(frame::Kind::Request, at as u64, 0);
            frame::finish(&mut bytes, start, header);
            outgoing.push(bytes);
            while !outgoing.flush().unwrap() {
                sys::wait_for_room_until(sender.as_fd(), deadline()).unwrap();
            }
        }
        // It is open until all has been read.
        let _ = is_done.recv();
    });
    let mut incoming = to.incoming;
    let mut decoder = Decoder::new(1 << 30);
    let mut came = 0;
    loop {
        while let Some(frame) = decoder.next().unwrap() {
            assert_eq!(frame.header.task, came as u64);
            let is_right = frame
                .payload
                .iter()
                .enumerate()
                .all(|(i, byte)| *byte == (i + came) as u8);
            assert!(is_right, "frame {came}");
            came += 1;
        }
        if came == count {
            break;
        }
        match decoder.read_from(&mut &mut incoming) {
            Ok(count) => assert_ne!(count, 0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(!incoming.has_more());
                sys::wait_for(&[to.socket.as_fd()], deadline()).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    drop(done);
    writer.join().unwrap();
}

fn lets_in_who_has_the_key(address: &Address) {
    let key = Key::generate().unwrap();
    let (address, server) = one_visit(address, &key);
    let line = connect_blocking(&address, &key, LIMIT).unwrap();
    let (came, other) = server.join().unwrap();
    assert_eq!(came, Came::In);
    sends_frames(line, other.unwrap(), &[0, 1, 100, 70_000, 3_000_000, 5]);
}

fn refuses_another_key(address: &Address) {
    let (address, server) = one_visit(address, &Key::generate().unwrap());
    let refused = connect_blocking(&address, &Key::generate().unwrap(), LIMIT);
    assert!(matches!(refused, Err(ConnectError::Refused { .. })));
    assert_eq!(server.join().unwrap().0, Came::Not);
}

#[test]
fn who_has_the_key_is_let_in() {
    lets_in_who_has_the_key(&somewhere());
}

#[test]
fn another_key_is_refused() {
    refuses_another_key(&somewhere());
}

#[cfg(feature = "network")]
mod over_a_network {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn loopback() -> Address {
        Address::Tcp("127.0.0.1:0".into())
    }

    #[test]
    fn who_has_the_key_is_let_in() {
        lets_in_who_has_the_key(&loopback());
    }

    #[test]
    fn another_key_is_refused() {
        refuses_another_key(&loopback());
    }

    #[test]
    fn a_first_message_that_was_recorded_proves_nothing() {
        let key = Key::generate().unwrap();
        let (_, first) = noise::Initiator::begin(&key).unwrap();
        let recorded = [&GREETING[..], &first].concat();
        for _ in 0..2 {
            let mut negotiation = Negotiation::encrypted();
            negotiation.room().copy_from_slice(&recorded);
            let outcome = negotiation.came(recorded.len(), &key);
            assert!(matches!(outcome, Outcome::Answers(_)));
            // Whoever sends it does not know what to say next.
            let proof = negotiation.room();
            proof.fill(7);
            let len = proof.len();
            let outcome = negotiation.came(len, &key);
            assert!(matches!(outcome, Outcome::TurnedAway(_)));
        }
    }

    #[test]
    fn a_byte_that_was_changed_ends_the_connection() {
        let key = Key::generate().unwrap();
        let (initiator, first) = noise::Initiator::begin(&key).unwrap();
        let (there, answer) = noise::respond(&key, &first).unwrap();
        let (here, proof) = initiator.finish(&answer).unwrap();
        let mut there = there;
        assert!(noise::is_proof(&mut there, &proof));
        let (one, other) = UnixStream::pair().unwrap();
        other.set_nonblocking(true).unwrap();
        let mut sent = here.split().1.noise.unwrap().seal(b"hello").unwrap();
        sent[4] ^= 1;
        io::Write::write_all(&mut &one, &sent).unwrap();
        let mut line = Line::new(OwnedFd::from(other).into(), there);
        let mut decoder = Decoder::new(100);
        let error = decoder.read_from(&mut &mut line.incoming).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[cfg(not(feature = "network"))]
#[test]
fn an_address_of_the_network_names_the_feature() {
    let address = Address::Tcp("127.0.0.1:1".into());
    let Err(error) = connect_blocking(&address, &Key::generate().unwrap(), LIMIT) else {
        panic!("it is connected");
    };
    assert!(error.to_string().contains("feature `network`"), "{error}");
    let Err(error) = listen(&address) else {
        panic!("it listens");
    };
    assert!(error.to_string().contains("feature `network`"), "{error}");
}

#[test]
fn nobody_there_is_told() {
    let nobody = connect_blocking(&somewhere(), &Key::generate().unwrap(), LIMIT);
    assert!(matches!(nobody, Err(ConnectError::NobodyThere { .. })));
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    let address = somewhere();
    let _listener = listen(&address).unwrap();
    let limit = Duration::from_millis(30);
    let silent = connect_blocking(&address, &Key::generate().unwrap(), limit);
    assert!(matches!(silent, Err(ConnectError::NoAnswer { .. })));
}

#[test]
fn an_address_is_not_taken_twice() {
    let address = somewhere();
    let listener = listen(&address).unwrap();
    assert!(matches!(
        listen(&address),
        Err(ServeError::AddressInUse { .. })
    ));
    drop(listener);
    assert!(listen(&address).is_ok());
}

#[test]
fn a_key_is_taken_byte_by_byte_and_garbage_at_its_first_byte() {
    let key = Key::generate().unwrap();
    let step = [&GREETING[..], key.bytes()].concat();
    let mut negotiation = Negotiation::plain();
    for (at, byte) in step.iter().enumerate() {
        negotiation.room()[0] = *byte;
        let outcome = negotiation.came(1, &key);
        match at + 1 == step.len() {
            true => assert!(matches!(outcome, Outcome::Proved(_))),
            false => assert!(matches!(outcome, Outcome::Waits)),
        }
    }
    let mut negotiation = Negotiation::plain();
    negotiation.room()[0] = b'G';
    assert!(matches!(
        negotiation.came(1, &key),
        Outcome::TurnedAway(None)
    ));
}

#[test]
fn the_greeting_is_pinned() {
    crate::frame::golden::check(&GREETING, "93 70 63 73 6e 2d 6d 0a 01 00 00 00");
}
