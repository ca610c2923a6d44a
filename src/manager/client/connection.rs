//! One connection: how requests get out, how answers come in, and its place in the reactor.

pub(super) mod sending;

use std::fmt;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use super::calls::{Begin, Callback, Calls, Lost, NotBegun, Patience, Source, Waited};
use super::remote::Remote;
use super::room::Waiting;
use super::site::Site;
use crate::frame::{self, Decoder, Header, Kind};
use crate::manager::protocol::{Fault, ObjectId, decode_reply, encode_object};
use crate::manager::secure::{Incoming, Line, Outgoing};
use crate::manager::store::Welcome;
use crate::pipe::reactor::{For, Seat, Watch};
use crate::primitives::plain::{Mutex, lock};
use crate::sys;
use crate::wire::{CodecError, Handle};

/// How long an answer may lie unread for which nobody comes.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// A connection that has been welcomed.
pub(super) struct Connection {
    calls: Calls<Reader, Reply>,
    out: Mutex<Out>,
    /// From the first time that something is awaited. It stands before the socket, which is still open when this leaves the
    /// reactor.
    watch: OnceLock<Watch>,
    seats: Mutex<Seats>,
    /// What the reactor calls when there is something to read, or room to write.
    listener: Waker,
    flusher: Waker,
    /// What it calls when it is time: to look for answers, to tell what has been let go of.
    looker: Waker,
    releaser: Waker,
    socket: Handle,
    welcome: Welcome,
}

/// What the token is the right to use.
pub(super) struct Reader {
    decoder: Decoder,
    incoming: Incoming,
}

struct Out {
    outgoing: Outgoing,
    /// The reactor has been asked to go on with what is queued, or is about to be.
    is_watched: bool,
    /// Nothing can be sent any more.
    has_ended: bool,
    /// Grants that are given back, and have not been told.
    released: Vec<(ObjectId, u64)>,
    /// When some were last told.
    released_at: Option<Instant>,
    /// The reactor is coming to tell them.
    is_releasing: bool,
    /// Who waits until less is queued.
    waiting: Waiting,
}

#[derive(Default)]
struct Seats {
    reading: Seat,
    writing: Seat,
    looking: Seat,
    releasing: Seat,
}

/// The answer to a call. Dropping it gives back what was granted with it.
pub(super) struct Reply {
    pub(super) answer: Result<Answer, Fault>,
    pub(super) granted: Vec<Remote>,
}

/// An encoded answer: the end of the payload that it came in.
pub(super) struct Answer {
    payload: Vec<u8>,
    begin: usize,
}

/// A connection, and whose it is: what was granted is entered there.
#[derive(Clone, Copy)]
pub(super) struct Ear<'a> {
    pub(super) site: &'a Arc<Site>,
    pub(super) connection: &'a Connection,
}

/// A connection, as the reactor reaches it.
struct Reached {
    site: Weak<Site>,
    run: fn(Ear<'_>),
}

impl Connection {
    pub(super) fn new(site: Weak<Site>, line: Line, welcome: Welcome) -> io::Result<Self> {
        let Line {
            socket,
            incoming,
            outgoing,
        } = line;
        // Nobody else has it. A read that may wait then does, without asking first.
        sys::let_block(&socket)?;
        // The objects that an answer grants take no more bytes than they do in the answer itself.
        let longest = welcome.max_frame.saturating_mul(2).saturating_add(64);
        let reader = Reader {
            decoder: Decoder::new(longest),
            incoming,
        };
        let out = Out {
            outgoing,
            is_watched: false,
            has_ended: false,
            released: Vec::new(),
            released_at: None,
            is_releasing: false,
            waiting: Waiting::default(),
        };
        let waker = |run| {
            let site = site.clone();
            Waker::from(Arc::new(Reached { site, run }))
        };
        Ok(Self {
            calls: Calls::new(reader),
            out: Mutex::new(out),
            watch: OnceLock::new(),
            seats: Mutex::default(),
            listener: waker(|ear| ear.connection.calls.hear(&ear)),
            flusher: waker(|ear| ear.connection.flush_more()),
            looker: waker(|ear| ear.connection.calls.look(&ear)),
            releaser: waker(|ear| ear.connection.release_all()),
            socket,
            welcome,
        })
    }

    pub(super) fn socket(&self) -> &Handle {
        &self.socket
    }

    pub(super) fn max_frame(&self) -> u64 {
        self.welcome.max_frame
    }

    pub(super) fn is_lost(&self) -> bool {
        self.calls.is_lost()
    }

    /// Its place in the reactor, from the first time on that it is asked for.
    pub(super) fn watch(&self) -> io::Result<&Watch> {
        if let Some(watch) = self.watch.get() {
            return Ok(watch);
        }
        let watch = Watch::new(&self.socket)?;
        // Of two that come at once, one leaves the reactor again.
        Ok(self.watch.get_or_init(|| watch))
    }

    /// In a process that was forked off: the reactor's list is its parent's.
    pub(super) fn forget(&mut self) {
        if let Some(watch) = self.watch.take() {
            mem::forget(watch);
        }
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn queued(&self) -> usize {
        lock(&self.out).outgoing.len()
    }
}

impl Ear<'_> {
    /// Sends a request (a frame whose header is still to be finished), and gives the number of its call.
    pub(super) fn begin(&self, mut frame: Vec<u8>, begin: Begin) -> Result<u64, NotBegun> {
        let number = self.connection.calls.begin(self, begin)?;
        frame::finish(&mut frame, 0, Header::new(Kind::Request, number, 0));
        self.connection.send(frame);
        Ok(number)
    }

    pub(super) fn wait(&self, number: u64, deadline: Option<Instant>) -> Waited<Reply> {
        self.connection.calls.wait(self, number, deadline)
    }

    pub(super) fn poll(&self, number: u64, context: &mut Context<'_>) -> Poll<Waited<Reply>> {
        self.connection.calls.poll(self, number, context)
    }

    pub(super) fn tell(
        &self,
        number: u64,
        callback: Callback<Reply>,
    ) -> Result<(), (Callback<Reply>, Waited<Reply>)> {
        self.connection.calls.tell(self, number, callback)
    }

    /// Says that a call is not waited for any more.
    pub(super) fn cancel(&self, number: u64) {
        let mut frame = Vec::with_capacity(frame::HEADER_LEN);
        let start = frame::begin(&mut frame);
        frame::finish(&mut frame, start, Header::new(Kind::Cancel, number, 0));
        self.connection.send(frame);
    }

    fn to_reply(self, payload: std::borrow::Cow<'_, [u8]>) -> Result<Reply, CodecError> {
        let replied = decode_reply(&payload)?;
        let granted = replied.grants.iter();
        let granted = granted.map(|id| self.site.granted(*id)).collect();
        let answer = replied.answer.map(<[u8]>::len);
        let answer = answer.map(|len| Answer {
            begin: payload.len() - len,
            payload: payload.into_owned(),
        });
        Ok(Reply { answer, granted })
    }
}

impl Source for Ear<'_> {
    type Reader = Reader;
    type Answer = Reply;

    fn read(
        &self,
        reader: &mut Reader,
        patience: Patience,
        came: &mut Vec<(u64, Reply)>,
    ) -> Result<(), Lost> {
        let Reader { decoder, incoming } = reader;
        let socket = self.connection.socket.as_fd();
        if let Patience::Until(_) = patience
            && !incoming.has_more()
            && sys::wait_for(&[socket], deadline_of(patience)).map_err(lost)? == 0
        {
            return Ok(());
        }
        incoming.let_wait(patience == Patience::Forever);
        loop {
            match decoder.read_from(&mut &mut *incoming) {
                Ok(0) => return Err(None),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // It was asked before it was waited for.
                    if patience == Patience::Forever && came.is_empty() {
                        sys::wait_for(&[socket], None).map_err(lost)?;
                    }
                    return Ok(());
                }
                Err(error) => return Err(lost(error)),
            }
            while let Some(frame) = decoder.next().map_err(malformed)? {
                if frame.header.kind != Kind::Reply {
                    return Err(malformed(frame::FrameError::Unexpected(frame.header.kind)));
                }
                let reply = self.to_reply(frame.payload).map_err(malformed)?;
                came.push((frame.header.task, reply));
            }
            // Nothing tells the reactor of what has been taken from the socket already.
            if !incoming.has_more() {
                return Ok(());
            }
        }
    }

    fn arm(&self) -> Result<bool, Lost> {
        let waker = self.connection.listener.clone();
        let Ok(watch) = self.connection.watch() else {
            return Ok(false);
        };
        let mut seats = lock(&self.connection.seats);
        let armed = watch.wake(&mut seats.reading, For::Message, waker);
        armed.map(|()| true).map_err(lost)
    }

    fn disarm(&self) {
        if let Some(watch) = self.connection.watch.get() {
            watch.rest(&mut lock(&self.connection.seats).reading);
        }
    }

    fn look_later(&self) -> bool {
        let Ok(watch) = self.connection.watch() else {
            return false;
        };
        let (waker, at) = (self.connection.looker.clone(), Instant::now() + LOOK_AFTER);
        let seat = &mut lock(&self.connection.seats).looking;
        watch.wake_at(seat, at, waker).is_ok()
    }
}

impl Wake for Reached {
    fn wake(self: Arc<Self>) {
        if let Some(site) = self.site.upgrade()
            && let Some(connection) = site.connected()
        {
            let site = &site;
            (self.run)(Ear { site, connection });
        }
    }
}

impl Answer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.payload[self.begin..]
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Begins a request: its header is [finished](Ear::begin) when it is sent.
pub(super) fn begin_request(object: ObjectId) -> Result<Vec<u8>, CodecError> {
    let mut frame = Vec::with_capacity(128);
    frame::begin(&mut frame);
    encode_object(object, &mut frame)?;
    Ok(frame)
}

fn deadline_of(patience: Patience) -> Option<Instant> {
    match patience {
        Patience::Until(deadline) => Some(deadline),
        Patience::Never | Patience::Forever => None,
    }
}

fn lost(error: io::Error) -> Lost {
    Some(Arc::new(error))
}

#[cold]
fn malformed(error: impl std::error::Error + Send + Sync + 'static) -> Lost {
    lost(io::Error::new(io::ErrorKind::InvalidData, error))
}
