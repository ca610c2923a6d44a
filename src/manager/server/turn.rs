//! The loop.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Limits;
use super::door::Door;
use super::session::{FRAMES_PER_TURN, Session, Step};
use super::threads::Threads;
use super::waits::Served;
use crate::manager::managed;
use crate::manager::protocol::ObjectId;
use crate::manager::secure::{Guest, Key, Line, Listener};
use crate::manager::store::{Effect, Mailbox, Ref, Serves, SessionId, Store};
use crate::primitives::plain::{Mutex, lock};
use crate::sys::{self, Poller, Ready, SocketName, deadline_after};
use crate::wire::Handles;

/// What the listener is reported as. Connections have the numbers from [`FIRST`] on.
pub(super) const LISTENER: u64 = 0;

/// No thread could be started: it is to be tried again.
const RETRY: u64 = 1;
const FIRST: u64 = 2;

/// How long a server that is to end when it is not used waits at least for its first client.
const FIRST_CLIENT_TIME: Duration = Duration::from_secs(60);

/// Something that was begun for an object has said this.
type Said = (ObjectId, Box<dyn Any + Send>);

/// What others say to the loop.
pub(super) struct Shared {
    pub(super) poller: Poller,
    /// Until it is over: what comes later is dropped. It may have a pool in it, and a way to say more, which is this again.
    said: Mutex<Option<Vec<Said>>>,
    is_over: AtomicBool,
}

impl Shared {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poller: Poller::new()?,
            said: Mutex::new(Some(Vec::new())),
            is_over: AtomicBool::new(false),
        })
    }

    /// Ends the loop, soon.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.poller.notify();
    }
}

/// A server.
pub(super) struct Turn {
    shared: Arc<Shared>,
    send: Arc<dyn Fn(ObjectId, Box<dyn Any + Send>) + Send + Sync>,
    limits: Limits,
    // Dropped in this order: nobody is served any more, and whoever calls is told so, when values of users' types go. What those do then may be a call.
    door: Door,
    sessions: HashMap<u64, Session>,
    /// Them, by what their other ends are called.
    names: HashMap<SocketName, u64>,
    store: Store,
    threads: Threads,
    /// The number of the next connection.
    next: u64,
    /// Those that have more to do than one turn allows.
    busy: Vec<u64>,
    /// Those to which something is to be written.
    dirty: Vec<u64>,
    /// Those that are found to be lost while something is written to them.
    lost: Vec<u64>,
    /// When it has not been used for long enough: while it has no client, and is to end for that.
    unused_until: Option<Instant>,
    is_over: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.door.close();
        for (_, session) in self.sessions.drain() {
            hang_up(&self.shared.poller, &session);
        }
        let unheard = lock(&self.shared.said).take();
        drop(unheard);
    }
}

impl Turn {
    pub(super) fn new(
        shared: Arc<Shared>,
        listener: Listener,
        key: Key,
        limits: Limits,
    ) -> io::Result<Self> {
        shared.poller.add_watched(&listener, LISTENER)?;
        let of_mailboxes = shared.clone();
        let reach = managed::reach(listener.address(), &key);
        let of_threads = shared.clone();
        let store = Store::new(limits.max_frame);
        let wake = Arc::new(move || of_threads.poller.notify());
        Ok(Self {
            send: Arc::new(move |object, said| {
                // If it is over, it is dropped when the lock is open again.
                let late = match &mut *lock(&of_mailboxes.said) {
                    Some(heard) => {
                        heard.push((object, said));
                        None
                    }
                    None => Some(said),
                };
                match late {
                    None => of_mailboxes.poller.notify(),
                    Some(late) => drop(late),
                }
            }),
            shared,
            limits,
            door: Door::new(listener, key, limits.handshake_time)?,
            sessions: HashMap::new(),
            names: HashMap::new(),
            threads: Threads::new(limits.threads, reach, store.number(), wake),
            store,
            next: FIRST,
            busy: Vec::new(),
            dirty: Vec::new(),
            lost: Vec::new(),
            unused_until: limits
                .idle_timeout
                .and_then(|time| deadline_after(time.max(FIRST_CLIENT_TIME))),
            is_over: false,
        })
    }

    /// Serves until it is told to end. An error is the system's: it cannot be waited any more.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        let mut proved: Vec<(u64, Guest)> = Vec::new();
        while !self.is_over && !self.shared.is_over.load(Ordering::SeqCst) {
            let unused_until = self.unused_until;
            let deadline = match self.busy.is_empty() {
                // Who is proving the key may be about to use it.
                true => self.door.deadline().or(unused_until),
                false => Some(Instant::now()),
            };
            self.shared.poller.wait(&mut ready, deadline)?;
            self.hear_threads();
            if self.threads.are_needed() {
                let pause = self.threads.start_more();
                self.retry_after(pause);
            }
            let busy = mem::take(&mut self.busy);
            for number in busy {
                if let Some(session) = self.sessions.get_mut(&number) {
                    session.is_busy = false;
                    self.serve(number);
                }
            }
            for Ready { key } in &ready {
                match *key {
                    LISTENER => {
                        let poller = &self.shared.poller;
                        self.door.accept(poller, &mut self.next, &mut proved);
                    }
                    RETRY => {
                        let pause = self.threads.retry();
                        self.retry_after(pause);
                    }
                    number if self.door.hear(&self.shared.poller, number, &mut proved) => {}
                    number => self.serve(number),
                }
            }
            for (number, guest) in proved.drain(..) {
                self.let_in(number, guest);
            }
            self.door.expire(&self.shared.poller);
            self.flush();
            // Whoever has come meanwhile has been looked at.
            if unused_until == self.unused_until && self.is_unused() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether nobody has used it for as long as is waited for that.
    fn is_unused(&self) -> bool {
        let is_late = |until| until <= Instant::now();
        self.unused_until.is_some_and(is_late) && self.door.deadline().is_none()
    }

    fn hear_threads(&mut self) {
        let said = lock(&self.shared.said).as_mut().map(mem::take);
        for (object, said) in said.into_iter().flatten() {
            self.store.hear(object, said);
            self.see_to_effects();
        }
    }

    fn let_in(&mut self, number: u64, guest: Guest) {
        if self.sessions.len() >= self.limits.max_connections {
            return guest.turn_away();
        }
        // If it has gone meanwhile, its descriptor has left the poller with it.
        let Some(line) = guest.welcome() else {
            return;
        };
        // Without memory for it, it has to go.
        if self
            .shared
            .poller
            .watch(&line, number, true, false)
            .is_err()
        {
            return sys::end_socket(line.as_fd());
        }
        self.enter(number, line);
        self.store.open(SessionId(number));
    }

    fn enter(&mut self, number: u64, line: Line) {
        let session = Session::new(number, line, self.limits.max_frame);
        if let Some(name) = session.name() {
            self.names.insert(name.clone(), number);
        }
        self.sessions.insert(number, session);
        self.unused_until = None;
    }

    /// Lets in what only holds an object. It is as many as tasks of pools have with them, and not counted among those that may come.
    fn admit(&mut self, socket: OwnedFd, holds: Ref) {
        let line = Line::plain(socket);
        let number = self.next;
        self.next += 1;
        // Without memory for it, nothing is held: whoever calls it is told so.
        if self.shared.poller.add_watched(&line, number).is_ok() {
            self.enter(number, line);
            self.store.open_holding(SessionId(number), holds);
        }
    }

    /// Whose sockets these are, of which this process has been sent the other ends.
    fn identify(&self, sockets: &Handles) -> Vec<Option<SessionId>> {
        let sockets = sockets.as_slice().iter();
        sockets
            .map(|socket| {
                let name = SocketName::of(socket.as_fd())?;
                self.names.get(&name).copied().map(SessionId)
            })
            .collect()
    }

    /// Does what a client has asked, as much as one turn allows.
    fn serve(&mut self, number: u64) {
        let mut may_read = true;
        for _ in 0..FRAMES_PER_TURN {
            let Some(session) = self.sessions.get_mut(&number) else {
                return;
            };
            if session.is_busy {
                // Its turn comes.
                return;
            }
            if session.is_over_limit() || session.is_full() {
                match session.flush(&self.shared.poller) {
                    Ok(_) if session.is_full() => return,
                    Ok(_) => {}
                    Err(_) => return self.end(number),
                }
            }
            match session.step(&mut self.store, &mut may_read) {
                Step::Done => self.see_to_effects(),
                Step::Idle => {
                    let has_more = session.has_more();
                    // The socket may have room again.
                    self.is_dirty(number);
                    if has_more {
                        self.is_busy(number);
                    }
                    return;
                }
                Step::Ended => {
                    self.see_to_effects();
                    return self.end(number);
                }
            }
        }
        self.is_busy(number);
    }

    fn is_busy(&mut self, number: u64) {
        if let Some(session) = self.sessions.get_mut(&number)
            && !session.is_busy
        {
            session.is_busy = true;
            self.busy.push(number);
        }
    }

    fn is_dirty(&mut self, number: u64) {
        if let Some(session) = self.sessions.get_mut(&number)
            && !session.is_dirty
        {
            session.is_dirty = true;
            self.dirty.push(number);
        }
    }

    fn see_to_effects(&mut self) {
        let mut effects = VecDeque::from(self.store.take_effects());
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Answer {
                    caller,
                    answer,
                    granted,
                    grants: _,
                } => {
                    let number = caller.session.0;
                    if let Some(session) = self.sessions.get_mut(&number) {
                        session.answer(caller.call, &granted, answer);
                        self.is_dirty(number);
                    }
                }
                Effect::Fail { caller, fault } => {
                    let number = caller.session.0;
                    if let Some(session) = self.sessions.get_mut(&number) {
                        session.fail(caller.call, &fault);
                        self.is_dirty(number);
                    }
                }
                Effect::Work {
                    object,
                    work,
                    serves,
                } => {
                    let mailbox = Mailbox::new(object, self.send.clone());
                    let served = serves.map(|serves| self.served(object, serves));
                    let pause = self.threads.begin(work, mailbox, served);
                    self.retry_after(pause);
                }
                Effect::Admit { socket, holds } => self.admit(socket, holds),
                Effect::Identify {
                    object,
                    number,
                    sockets,
                } => {
                    let whose = self.identify(&sockets);
                    self.store.know(object, number, &whose);
                    effects.extend(self.store.take_effects());
                }
                Effect::Shutdown => {
                    // Before that is answered: whoever has asked for it may begin again at the same address.
                    self.door.close();
                    self.is_over = true;
                }
            }
        }
    }

    /// What work does that serves this call.
    fn served(&self, object: ObjectId, serves: Serves) -> Served {
        let Serves {
            caller,
            is_exclusive,
        } = serves;
        let session = self.sessions.get(&caller.session.0);
        let name = session.and_then(Session::name).cloned();
        Served {
            object,
            call: name.map(|name| (name, caller.call)),
            is_exclusive,
        }
    }

    fn retry_after(&self, pause: Option<Duration>) {
        if let Some(pause) = pause {
            self.shared.poller.alarm(Instant::now() + pause, RETRY);
        }
    }

    /// Writes what has been queued in this turn.
    fn flush(&mut self) {
        // Who ends lets others go on, to whom something is queued then.
        while !self.dirty.is_empty() || !self.lost.is_empty() {
            for number in mem::take(&mut self.dirty) {
                let session = self.sessions.get_mut(&number);
                match session.map(|session| session.flush(&self.shared.poller)) {
                    Some(Ok(true)) => self.is_busy(number),
                    Some(Err(_)) => self.lost.push(number),
                    Some(Ok(false)) | None => {}
                }
            }
            for number in mem::take(&mut self.lost) {
                self.end(number);
            }
        }
    }

    /// A client is gone, or has to go.
    fn end(&mut self, number: u64) {
        let Some(session) = self.sessions.remove(&number) else {
            return;
        };
        hang_up(&self.shared.poller, &session);
        if let Some(name) = session.name()
            && self.names.get(name) == Some(&number)
        {
            self.names.remove(name);
        }
        drop(session);
        if self.sessions.is_empty() {
            self.unused_until = self.limits.idle_timeout.and_then(deadline_after);
        }
        self.store.close(SessionId(number));
        self.see_to_effects();
        self.door.has_room(&self.shared.poller);
    }
}

/// Closing it would not do where a process that was forked off has the socket too.
fn hang_up(poller: &Poller, session: &Session) {
    poller.remove(session);
    sys::end_socket(session.as_fd());
}
