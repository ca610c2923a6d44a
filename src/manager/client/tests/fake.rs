//! A server of a few words, on one blocking thread: it reads nothing while it writes.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::frame::{self, Decoder, Header, Kind};
use crate::manager::client::manager::Manager;
use crate::manager::client::site::{Dial, Way};
use crate::manager::protocol::{
    Fault, ObjectId, PROTOCOL, begin_answer, decode_object, encode_fault,
};
use crate::manager::secure::{Address, Key, Line, Pace, at_once};
use crate::manager::store::{RootOp, Welcome};
use crate::primitives::plain::{Mutex, lock};
use crate::sync::tests::until;
use crate::wire;

pub(super) const MAX_FRAME: u64 = 256 << 20;

/// What can be asked of any of its objects but the root.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Op {
    /// Answered with what it was given.
    Echo(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Answered by [`Op::Wake`].
    Wait,
    /// Answers all that wait.
    Wake,
    /// Answered with the number, but only when it is too late.
    Late(u64),
    /// Noted.
    Undo(u64),
    /// Answered with an object, which is granted.
    Grant(u64),
    /// Answered with a value in which there are objects.
    Kept(#[serde(with = "serde_bytes")] Vec<u8>, Vec<ObjectId>),
    /// Answered when [`Ledger::goes_on`] says so; until then nothing is read.
    Stop,
    /// Answered, and more: these bytes are written as they are. Then it goes.
    Write(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// What it has seen.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) undone: Vec<u64>,
    pub(super) cancelled: usize,
    /// Grants, less those that came back.
    pub(super) granted: HashMap<ObjectId, u64>,
    pub(super) waiting: usize,
    /// Frames that gave something back.
    pub(super) releases: usize,
    /// Calls that were answered, and the answers written.
    pub(super) answered: usize,
    /// Whether [`Op::Stop`] is over.
    pub(super) goes_on: bool,
}

pub(super) type Seen = Arc<Mutex<Ledger>>;

/// A server, and a client of it.
pub(super) fn start() -> (Manager, Seen) {
    let seen = Seen::default();
    let shared = seen.clone();
    static SERVERS: AtomicU64 = AtomicU64::new(0);
    let server = SERVERS.fetch_add(1, Ordering::Relaxed);
    let dial: Dial = Arc::new(move || {
        let (ours, theirs) = UnixStream::pair()?;
        let seen = shared.clone();
        thread::spawn(move || Server::new(theirs, seen, server).serve());
        Ok(Line::plain(OwnedFd::from(ours)))
    });
    let address = Address::Abstract("a test's server".to_owned());
    let way = Way {
        dial: Some(dial),
        ..Way::new(address, Key::from_bytes([7; 32]))
    };
    let manager = at_once(Manager::open(way, Duration::from_secs(60), Pace::Blocks)).unwrap();
    (manager, seen)
}

struct Server {
    number: u64,
    stream: UnixStream,
    seen: Seen,
    /// Calls that wait; those that are answered late with their numbers.
    waiting: HashMap<u64, Option<u64>>,
}

impl Server {
    fn new(stream: UnixStream, seen: Seen, number: u64) -> Self {
        Self {
            number,
            stream,
            seen,
            waiting: HashMap::new(),
        }
    }

    /// Until the client, or the server, goes.
    fn serve(mut self) -> Option<()> {
        let mut decoder = Decoder::new(MAX_FRAME + 64);
        loop {
            while let Some(frame) = decoder.next().ok()? {
                let (call, payload) = (frame.header.task, frame.payload);
                match frame.header.kind {
                    Kind::Request => self.ask(call, &payload)?,
                    Kind::Cancel => self.cancel(call)?,
                    Kind::Release => self.release(&payload),
                    _ => return None,
                }
            }
            if decoder.read_from(&mut self.stream).ok()? == 0 {
                return None;
            }
        }
    }

    fn ask(&mut self, call: u64, mut payload: &[u8]) -> Option<()> {
        if decode_object(&mut payload).ok()? == ObjectId::ROOT {
            return match wire::decode(payload).ok()? {
                RootOp::Hello { .. } => {
                    let welcome = Welcome {
                        protocol: PROTOCOL,
                        max_frame: MAX_FRAME,
                        server: self.number,
                    };
                    self.answer(call, &[], &welcome)
                }
                _ => self.answer(call, &[], &()),
            };
        }
        match wire::decode(payload).ok()? {
            Op::Echo(bytes) => self.answer(call, &[], &bytes),
            Op::Wait => {
                self.waiting.insert(call, None);
                lock(&self.seen).waiting += 1;
                Some(())
            }
            Op::Wake => {
                for (waiting, _) in std::mem::take(&mut self.waiting) {
                    lock(&self.seen).waiting -= 1;
                    self.answer(waiting, &[], &())?;
                }
                self.answer(call, &[], &())
            }
            Op::Late(number) => {
                self.waiting.insert(call, Some(number));
                lock(&self.seen).waiting += 1;
                Some(())
            }
            Op::Undo(number) => {
                lock(&self.seen).undone.push(number);
                self.answer(call, &[], &())
            }
            Op::Grant(id) => {
                let id = ObjectId(id);
                *lock(&self.seen).granted.entry(id).or_default() += 1;
                self.answer(call, &[id], &id)
            }
            Op::Kept(bytes, refs) => {
                for id in &refs {
                    *lock(&self.seen).granted.entry(*id).or_default() += 1;
                }
                let packed = crate::manager::protocol::Packed { bytes, refs };
                self.answer(call, &packed.refs, &packed)
            }
            Op::Stop => {
                until(|| lock(&self.seen).goes_on);
                self.answer(call, &[], &())
            }
            Op::Write(bytes) => {
                self.answer(call, &[], &())?;
                self.stream.write_all(&bytes).ok()?;
                None
            }
        }
    }

    fn cancel(&mut self, call: u64) -> Option<()> {
        let Some(late) = self.waiting.remove(&call) else {
            return Some(());
        };
        lock(&self.seen).waiting -= 1;
        lock(&self.seen).cancelled += 1;
        match late {
            Some(number) => self.answer(call, &[], &number),
            None => self.write(call, |out| encode_fault(&Fault::Cancelled, out).unwrap()),
        }
    }

    fn release(&self, payload: &[u8]) {
        let released: Vec<(ObjectId, u64)> = wire::decode(payload).unwrap();
        lock(&self.seen).releases += 1;
        for (id, count) in released {
            let mut seen = lock(&self.seen);
            let granted = seen.granted.get_mut(&id).expect("never granted");
            *granted = granted.checked_sub(count).expect("more than was granted");
        }
    }

    fn answer<T: Serialize + 'static>(
        &mut self,
        call: u64,
        grants: &[ObjectId],
        answer: &T,
    ) -> Option<()> {
        self.write(call, |out| {
            begin_answer(grants, out).unwrap();
            wire::encode(answer, out).unwrap();
        })
    }

    fn write(&mut self, call: u64, payload: impl FnOnce(&mut Vec<u8>)) -> Option<()> {
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        payload(&mut out);
        frame::finish(&mut out, start, Header::new(Kind::Reply, call, 0));
        self.stream.write_all(&out).ok()?;
        lock(&self.seen).answered += 1;
        Some(())
    }
}
