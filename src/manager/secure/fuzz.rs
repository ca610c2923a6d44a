//! What must hold of a handshake for any bytes whatsoever, as the server sees it.

use super::key::Key;
use super::negotiation::{GREETING, LONGEST, Negotiation, Outcome};

/// The server's key. It is no secret here.
pub(crate) const KEY: [u8; 32] = [0x5a; 32];

/// What came of all bytes.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Waits,
    Proved,
    TurnedAway(Option<[u8; 1]>),
}

/// The first byte chooses between a client of this machine and one of the network, the second how many bytes come at a time; the others are what it says.
pub(crate) fn fuzz(data: &[u8]) {
    let [which, step, said @ ..] = data else {
        return;
    };
    let step = usize::from(*step).max(1);
    #[cfg(feature = "network")]
    if which % 2 == 1 {
        // What it would have to say last depends on what the server has chosen by chance.
        let (whole, split) = (
            negotiate(Negotiation::encrypted(), said, usize::MAX),
            negotiate(Negotiation::encrypted(), said, step),
        );
        assert_ne!(whole.0, Came::Proved, "nobody can have said this");
        assert_eq!(whole, split, "how the bytes are split makes no difference");
        return;
    }
    let _ = which;
    let whole = negotiate(Negotiation::plain(), said, usize::MAX);
    let split = negotiate(Negotiation::plain(), said, step);
    assert_eq!(whole, split, "how the bytes are split makes no difference");
    let right = [&GREETING[..], &KEY].concat();
    assert_eq!(whole.0 == Came::Proved, said.starts_with(&right));
    if whole.0 == Came::Proved {
        assert_eq!(whole.1, right.len(), "what follows is left where it is");
    }
}

/// What comes of it, and how many bytes have been taken.
fn negotiate(mut negotiation: Negotiation, said: &[u8], step: usize) -> (Came, usize) {
    let key = Key::from_bytes(KEY);
    let mut taken = 0;
    loop {
        let room = negotiation.room();
        assert!(!room.is_empty(), "who waits has room");
        assert!(room.len() <= LONGEST);
        let count = room.len().min(step).min(said.len() - taken);
        if count == 0 {
            return (Came::Waits, taken);
        }
        room[..count].copy_from_slice(&said[taken..taken + count]);
        taken += count;
        match negotiation.came(count, &key) {
            Outcome::Waits => {}
            #[cfg(feature = "network")]
            Outcome::Answers(_) => {}
            Outcome::Proved(_) => return (Came::Proved, taken),
            Outcome::TurnedAway(last) => {
                assert!(negotiation.room().is_empty(), "it is not listened to");
                // How much of it was looked at before depends on how it came.
                return (Came::TurnedAway(last), 0);
            }
        }
    }
}

/// Name, and what the first bytes choose, and what a client says.
#[cfg(test)]
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let right = [&GREETING[..], &KEY].concat();
    let mut other_key = right.clone();
    other_key[20] ^= 1;
    let mut other_version = right.clone();
    other_version[8] ^= 1;
    let seed = |which: u8, step: u8, said: &[u8]| [&[which, step], said].concat();
    vec![
        ("right", seed(0, 255, &right)),
        ("byte-by-byte", seed(0, 1, &right)),
        ("and-more", seed(0, 7, &[&right[..], b"more"].concat())),
        ("cut", seed(0, 255, &right[..40])),
        ("other-key", seed(0, 255, &other_key)),
        ("other-version", seed(0, 3, &other_version)),
        ("text", seed(0, 255, b"GET / HTTP/1.1\r\n\r\n")),
        (
            "first-of-noise",
            seed(1, 20, &[&GREETING[..], &[9; 70]].concat()),
        ),
    ]
}
