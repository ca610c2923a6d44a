//! A client that has proved the key.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use crate::frame::{self, Decoder, HEADER_LEN, Header, Kind};
use crate::manager::protocol::{Fault, ObjectId, begin_answer, encode_fault_within};
use crate::manager::secure::Line;
use crate::manager::store::{Caller, SessionId, Store};
use crate::sys::{Poller, SocketName};
use crate::wire;

/// How many frames of one client are done before others have their turn.
pub(super) const FRAMES_PER_TURN: usize = 64;

/// How many bytes may wait for a client to read them, before it is not listened to any more until it has.
pub(super) const MAX_UNSENT: usize = 1 << 20;

/// Answers from this length on are sent from where they are.
const LARGE: usize = 32 * 1024;

/// A client that has proved the key, and what is on its way from and to it.
pub(super) struct Session {
    number: u64,
    line: Line,
    /// What its other end is called.
    name: Option<SocketName>,
    decoder: Decoder,
    max_frame: u64,
    /// Nothing is read: it has to read itself.
    is_full: bool,
    /// What the poller reports.
    watched: (bool, bool),
    /// Something is queued that has not been tried to be written.
    pub(super) is_dirty: bool,
    /// It is in the list of those that have more to do.
    pub(super) is_busy: bool,
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// One frame was done; its effects are to be seen to.
    Done,
    /// There is nothing more to do until something comes.
    Idle,
    /// It is gone, or has broken the rules.
    Ended,
}

impl Session {
    pub(super) fn new(number: u64, line: Line, max_frame: u64) -> Self {
        Self {
            number,
            name: SocketName::of_peer(line.as_fd()),
            line,
            decoder: Decoder::new(max_frame),
            max_frame,
            is_full: false,
            watched: (true, false),
            is_dirty: false,
            is_busy: false,
        }
    }

    pub(super) fn name(&self) -> Option<&SocketName> {
        self.name.as_ref()
    }

    fn id(&self) -> SessionId {
        SessionId(self.number)
    }

    /// Does the next frame that has come, reading once at most where `may_read`, which it then sets to false.
    pub(super) fn step(&mut self, store: &mut Store, may_read: &mut bool) -> Step {
        let session = self.id();
        loop {
            let frame = match self.decoder.next() {
                Ok(Some(frame)) => frame,
                Ok(None) if !*may_read => return Step::Idle,
                Ok(None) => {
                    *may_read = false;
                    match self.decoder.read_from(&mut &mut self.line.incoming) {
                        Ok(0) => return Step::Ended,
                        Ok(_) => continue,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            return Step::Idle;
                        }
                        Err(_) => return Step::Ended,
                    }
                }
                Err(_) => return Step::Ended,
            };
            return match perform(store, session, frame.header, &frame.payload) {
                true => Step::Done,
                false => Step::Ended,
            };
        }
    }

    /// Whether something has come that the socket does not tell of any more.
    pub(super) fn has_more(&self) -> bool {
        self.line.incoming.has_more()
    }

    /// Whether it is not to be listened to, since it does not read.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether more is queued than may be, so that writing has to be tried before it asks more.
    pub(super) fn is_over_limit(&self) -> bool {
        self.line.outgoing.len() > MAX_UNSENT
    }

    /// Queues an answer.
    pub(super) fn answer(&mut self, call: u64, granted: &[ObjectId], answer: Vec<u8>) {
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        if begin_answer(granted, &mut out).is_err() {
            // Ids encode; but whoever waits is told something whatever happens.
            let fault = Fault::Failed("the answer does not encode".to_owned());
            return self.fail(call, &fault);
        }
        let mut header = Header::new(Kind::Reply, call, 0);
        if answer.len() < LARGE {
            out.extend_from_slice(&answer);
            frame::finish(&mut out, start, header);
            self.line.outgoing.push(out);
        } else {
            header.len = (out.len() - HEADER_LEN + answer.len()) as u64;
            out[..HEADER_LEN].copy_from_slice(&header.encode());
            self.line.outgoing.push(out);
            self.line.outgoing.push(answer);
        }
    }

    /// Queues what is said in place of an answer.
    pub(super) fn fail(&mut self, call: u64, fault: &Fault) {
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        if encode_fault_within(fault, self.max_frame, &mut out).is_err() {
            return;
        }
        frame::finish(&mut out, start, Header::new(Kind::Reply, call, 0));
        self.line.outgoing.push(out);
    }

    /// Writes what the socket takes, and has the poller report what is waited for now; an error says that the connection is lost. Says whether it has read
    /// enough by this to be listened to again: then it is to be served, since what it has asked may have come already.
    pub(super) fn flush(&mut self, poller: &Poller) -> io::Result<bool> {
        self.is_dirty = false;
        let was_full = self.is_full;
        let is_all = self.line.outgoing.flush()?;
        self.is_full = self.is_over_limit();
        let wanted = (!self.is_full, !is_all);
        if self.watched != wanted {
            poller.watch(&self.line, self.number, wanted.0, wanted.1)?;
            self.watched = wanted;
        }
        Ok(was_full && !self.is_full)
    }
}

impl AsFd for Session {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}

/// Does what a frame asks; false, if it breaks the rules.
pub(super) fn perform(
    store: &mut Store,
    session: SessionId,
    header: Header,
    payload: &[u8],
) -> bool {
    let caller = Caller {
        session,
        call: header.task,
    };
    match header.kind {
        Kind::Request => return store.ask(caller, payload),
        Kind::Cancel => store.cancel(caller),
        Kind::Release => match wire::decode::<Vec<(ObjectId, u64)>>(payload) {
            Ok(grants) => store.release(session, &grants),
            Err(_) => return false,
        },
        _ => return false,
    }
    true
}
