//! How a client proves the key, as the server sees it: a machine that is given bytes, and knows no socket and no clock.
//!
//! | step | over a Unix socket | over a network |
//! |--|--|--|
//! | client | [`GREETING`], the key | `GREETING`, the first message of `Noise_NNpsk0`: it cannot be made without the key |
//! | server | | `Onward`, the second one, which proves that the server has the key as well |
//! | client | | a transport message: only who has made the first message can make it, so that one that was recorded and is sent again ends here |
//! | server | a [`Status`] | a `Status`, as a transport message |
//!
//! All steps have fixed lengths. No more than the next one is ever taken from the socket, into a buffer of [`LONGEST`] bytes; and nothing
//! is allocated before the key has been proved, but for the few hundred bytes of a Noise state that has accepted the first message.
//!
//! A server that refuses says so by a `Status` in the clear, and hangs up.

use super::cipher::Cipher;
use super::key::{KEY_LEN, Key};
use crate::manager::protocol::PROTOCOL;

/// What every client says first: what it is for, and which version it speaks. Over a network it is authenticated as well.
pub(super) const GREETING: [u8; GREETING_LEN] = {
    let [a, b, c, d] = PROTOCOL.to_le_bytes();
    let [p, r, o, s, e, i, n, m] = *MAGIC;
    [p, r, o, s, e, i, n, m, a, b, c, d]
};

const MAGIC: &[u8; 8] = b"\x93pcsn-m\n";
const GREETING_LEN: usize = MAGIC.len() + 4;

/// The longest step of a client's.
pub(super) const LONGEST: usize = GREETING_LEN + 48;

/// What a server says. None of these bytes begins a text, or a message of a protocol that is widely spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Welcome = 0xd0,
    /// The key is another one.
    Refused = 0xd1,
    /// There is no room for another client.
    Full = 0xd2,
    /// The server speaks another version.
    OtherVersion = 0xd3,
    /// Over a network: the second message of the handshake follows.
    Onward = 0xd4,
}

impl Status {
    pub(super) fn decode(byte: u8) -> Option<Self> {
        let all = [
            Self::Welcome,
            Self::Refused,
            Self::Full,
            Self::OtherVersion,
            Self::Onward,
        ];
        all.into_iter().find(|status| *status as u8 == byte)
    }
}

/// A client that has not proved the key yet.
pub(crate) struct Negotiation {
    buffer: [u8; LONGEST],
    len: usize,
    stage: Stage,
}

enum Stage {
    Plain,
    #[cfg(feature = "network")]
    First,
    #[cfg(feature = "network")]
    Proof(Box<Cipher>),
    Over,
}

/// What came of the bytes that came.
pub(crate) enum Outcome {
    /// More has to come.
    Waits,
    /// This is to be sent, and more has to come.
    #[cfg(feature = "network")]
    Answers(Vec<u8>),
    /// The client has the key.
    Proved(Cipher),
    /// It has not, or does not know how to say so. This may be sent; then the connection is to be closed.
    TurnedAway(Option<[u8; 1]>),
}

impl Negotiation {
    /// Of a client on this machine.
    pub(crate) fn plain() -> Self {
        Self::at(Stage::Plain)
    }

    /// Of a client anywhere.
    #[cfg(feature = "network")]
    pub(crate) fn encrypted() -> Self {
        Self::at(Stage::First)
    }

    fn at(stage: Stage) -> Self {
        Self {
            buffer: [0; LONGEST],
            len: 0,
            stage,
        }
    }

    /// How long the client's next step is.
    fn wanted(&self) -> usize {
        match &self.stage {
            Stage::Plain => GREETING_LEN + KEY_LEN,
            #[cfg(feature = "network")]
            Stage::First => GREETING_LEN + super::noise::FIRST_LEN,
            #[cfg(feature = "network")]
            Stage::Proof(_) => super::noise::PROOF_LEN,
            Stage::Over => 0,
        }
    }

    /// Where the bytes belong that are still missing of that.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let wanted = self.wanted();
        &mut self.buffer[self.len..wanted]
    }

    /// So many have come to the front of [`room`](Self::room).
    pub(crate) fn came(&mut self, count: usize, key: &Key) -> Outcome {
        let wanted = self.wanted();
        self.len = self.len.saturating_add(count).min(wanted);
        let step = &self.buffer[..self.len];
        let greets = match &self.stage {
            #[cfg(feature = "network")]
            Stage::Proof(_) => false,
            _ => true,
        };
        if greets {
            // Whoever speaks another protocol is not waited for until it has said enough.
            let magic = self.len.min(MAGIC.len());
            if step[..magic] != MAGIC[..magic] {
                return self.turn_away(None);
            }
            let greeting = self.len.min(GREETING_LEN);
            if step[..greeting] != GREETING[..greeting] {
                return self.turn_away(Some(Status::OtherVersion));
            }
        }
        if self.len < wanted {
            return Outcome::Waits;
        }
        let outcome = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Plain if key.is(&step[GREETING_LEN..]) => Outcome::Proved(Cipher::none()),
            #[cfg(feature = "network")]
            Stage::First => match super::noise::respond(key, &step[GREETING_LEN..]) {
                Some((cipher, answer)) => {
                    self.stage = Stage::Proof(Box::new(cipher));
                    Outcome::Answers([&[Status::Onward as u8], &answer[..]].concat())
                }
                None => self.turn_away(Some(Status::Refused)),
            },
            #[cfg(feature = "network")]
            Stage::Proof(mut cipher) => match super::noise::is_proof(&mut cipher, step) {
                true => Outcome::Proved(*cipher),
                false => self.turn_away(Some(Status::Refused)),
            },
            Stage::Plain => self.turn_away(Some(Status::Refused)),
            Stage::Over => self.turn_away(None),
        };
        // A key is not left lying about.
        self.buffer = [0; LONGEST];
        self.len = 0;
        outcome
    }

    fn turn_away(&mut self, status: Option<Status>) -> Outcome {
        self.stage = Stage::Over;
        self.len = 0;
        Outcome::TurnedAway(status.map(|status| [status as u8]))
    }
}
