//! Encryption over a network: the Noise protocol, with the key as its pre-shared one.
//!
//! `psk0`: the first message can only be made, and only be read, with the key. Each connection has fresh keys of its own, which
//! neither side keeps: who records what travels, and finds the key later, cannot read it.

use std::io;
use std::sync::Arc;

use snow::{Builder, HandshakeState, StatelessTransportState};

use super::key::Key;
use super::negotiation::GREETING;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

/// What authentication adds to a message.
pub(super) const TAG_LEN: usize = 16;

/// Either message of the handshake: a public key, and a tag.
pub(super) const FIRST_LEN: usize = 32 + TAG_LEN;

/// A transport message of one byte.
pub(super) const PROOF_LEN: usize = 1 + TAG_LEN;

/// The longest message that Noise has.
pub(super) const LONGEST: usize = 65_535;

/// What a client says in its first transport message.
const PROOF: u8 = 0xd8;

/// Both directions, with how many messages each has had.
pub(super) struct Cipher {
    pub(super) transport: StatelessTransportState,
    pub(super) received: u64,
    pub(super) sent: u64,
}

/// One direction.
pub(super) struct Direction {
    transport: Arc<StatelessTransportState>,
    /// The number of the next message.
    nonce: u64,
}

fn said(error: snow::Error) -> io::Error {
    io::Error::other(error.to_string())
}

fn builder(key: &Key) -> Result<Builder<'_>, snow::Error> {
    let parameters = PATTERN.parse()?;
    Builder::new(parameters)
        .prologue(&GREETING)?
        .psk(0, key.bytes())
}

/// The server's side: its answer to a client's first message; `None`, if that was not made with this key.
pub(super) fn respond(key: &Key, first: &[u8]) -> Option<(super::cipher::Cipher, [u8; FIRST_LEN])> {
    let mut state = builder(key).and_then(|it| it.build_responder()).ok()?;
    let mut nothing = [0; FIRST_LEN];
    state.read_message(first, &mut nothing).ok()?;
    let mut answer = [0; FIRST_LEN];
    let len = state.write_message(&[], &mut answer).ok()?;
    let cipher = Cipher::of(state).ok()?;
    (len == FIRST_LEN).then_some((cipher, answer))
}

/// The server's side: whether this is the transport message of who has made the first message.
pub(super) fn is_proof(cipher: &mut super::cipher::Cipher, message: &[u8]) -> bool {
    cipher.open_one(message) == Some(PROOF)
}

/// The client's side, which has sent its first message.
pub(super) struct Initiator(HandshakeState);

impl Initiator {
    /// Begins, with the first message.
    pub(super) fn begin(key: &Key) -> io::Result<(Self, [u8; FIRST_LEN])> {
        let mut state = builder(key)
            .and_then(|it| it.build_initiator())
            .map_err(said)?;
        let mut first = [0; FIRST_LEN];
        state.write_message(&[], &mut first).map_err(said)?;
        Ok((Self(state), first))
    }

    /// Reads the server's answer, and makes the proof; `None`, if whoever answered does not have the key.
    pub(super) fn finish(
        mut self,
        answer: &[u8; FIRST_LEN],
    ) -> Option<(super::cipher::Cipher, [u8; PROOF_LEN])> {
        let mut nothing = [0; FIRST_LEN];
        self.0.read_message(answer, &mut nothing).ok()?;
        let mut cipher = Cipher::of(self.0).ok()?;
        let proof = cipher.seal_one(PROOF)?;
        Some((cipher, proof))
    }
}

impl Cipher {
    fn of(state: HandshakeState) -> Result<super::cipher::Cipher, snow::Error> {
        let cipher = Self {
            transport: state.into_stateless_transport_mode()?,
            received: 0,
            sent: 0,
        };
        Ok(super::cipher::Cipher {
            noise: Some(cipher),
        })
    }
}

/// Messages of one byte, by which the handshake ends.
impl super::cipher::Cipher {
    pub(super) fn seal_one(&mut self, byte: u8) -> Option<[u8; PROOF_LEN]> {
        let noise = self.noise.as_mut()?;
        let mut message = [0; PROOF_LEN];
        let nonce = noise.sent;
        noise.sent += 1;
        let written = noise.transport.write_message(nonce, &[byte], &mut message);
        (written.ok()? == PROOF_LEN).then_some(message)
    }

    pub(super) fn open_one(&mut self, message: &[u8]) -> Option<u8> {
        let noise = self.noise.as_mut()?;
        let mut opened = [0; PROOF_LEN];
        let nonce = noise.received;
        noise.received += 1;
        let read = noise.transport.read_message(nonce, message, &mut opened);
        (read.ok()? == 1).then_some(opened[0])
    }
}

impl Direction {
    pub(super) fn new(transport: Arc<StatelessTransportState>, nonce: u64) -> Self {
        Self { transport, nonce }
    }

    /// Encrypts bytes, as messages with their lengths in front.
    pub(super) fn seal(&mut self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        const MOST: usize = LONGEST - TAG_LEN;
        let messages = bytes.len().div_ceil(MOST);
        let mut out = vec![0; bytes.len() + messages * (2 + TAG_LEN)];
        let mut at = 0;
        for part in bytes.chunks(MOST) {
            let len = part.len() + TAG_LEN;
            out[at..at + 2].copy_from_slice(&(len as u16).to_be_bytes());
            let message = &mut out[at + 2..at + 2 + len];
            self.transport
                .write_message(self.nonce, part, message)
                .map_err(said)?;
            self.nonce += 1;
            at += 2 + len;
        }
        Ok(out)
    }

    /// Decrypts one message to the front of `out`, and says how long it was.
    pub(super) fn open(&mut self, message: &[u8], out: &mut [u8]) -> io::Result<usize> {
        let opened = self.transport.read_message(self.nonce, message, out);
        self.nonce += 1;
        opened.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what came does not decrypt"))
    }
}
