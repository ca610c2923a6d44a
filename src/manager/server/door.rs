//! Clients that have not proved the key yet.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::turn::LISTENER;
use crate::manager::secure::{Guest, Key, Listener, Progress, Visit};
use crate::sys::{self, Poller};

/// How many clients there may be that have not proved the key; for one more, the oldest goes.
pub(super) const MAX_UNAUTHENTICATED: usize = 128;

/// How many are accepted before those who are there already have their turn.
pub(super) const ACCEPTS_PER_TURN: usize = 16;

/// Where nobody can be accepted, because there is no descriptor or no memory, this is when it is tried again; or at once, when a connection ends.
const PAUSE: Duration = Duration::from_secs(1);

/// Where clients come in.
pub(super) struct Door {
    /// Until it is closed for good.
    listener: Option<Listener>,
    key: Key,
    handshake_time: Duration,
    /// By their numbers, which ascend: the first is the oldest.
    visits: BTreeMap<u64, (Instant, Visit)>,
    /// Given up to accept a client for which there is no descriptor, only to tell it so.
    spare: Option<OwnedFd>,
    is_paused: bool,
    /// When it is looked again whether somebody has come.
    alarm: Option<Instant>,
}

impl Door {
    pub(super) fn new(listener: Listener, key: Key, handshake_time: Duration) -> io::Result<Self> {
        Ok(Self {
            listener: Some(listener),
            key,
            handshake_time,
            visits: BTreeMap::new(),
            spare: Some(sys::null()?),
            is_paused: false,
            alarm: None,
        })
    }

    /// Nobody comes in any more, and the address is free for another server.
    pub(super) fn close(&mut self) {
        // Closed, it is reported no more.
        drop(self.listener.take());
        self.hang_up(|_| true);
    }

    /// When the next one has taken too long.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.visits.values().next().map(|(until, _)| *until)
    }

    /// Drops those that have taken too long.
    pub(super) fn expire(&mut self, poller: &Poller) {
        let Some(until) = self.deadline() else { return };
        if until <= Instant::now() {
            let now = Instant::now();
            self.hang_up(|until| until <= now);
            self.has_room(poller);
        }
    }

    fn hang_up(&mut self, is_over: impl Fn(Instant) -> bool) {
        while let Some(first) = self.visits.first_entry()
            && is_over(first.get().0)
        {
            first.remove().1.hang_up();
        }
    }

    /// Accepts whoever has connected, each with a number from `next` on, and says who has proved the key.
    pub(super) fn accept(
        &mut self,
        poller: &Poller,
        next: &mut u64,
        proved: &mut Vec<(u64, Guest)>,
    ) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok(Some(visit)) => {
                    if self.visits.len() >= MAX_UNAUTHENTICATED
                        && let Some((_, (_, oldest))) = self.visits.pop_first()
                    {
                        oldest.hang_up();
                    }
                    let number = *next;
                    *next += 1;
                    // Without memory for it, it is dropped. It is reported once at a time: one that has been given up, and that a process that was
                    // forked off has too, would be reported for ever.
                    if poller.add(&visit, number).is_ok() {
                        let until = Instant::now() + self.handshake_time;
                        self.visits.insert(number, (until, visit));
                        self.hear(poller, number, proved);
                    }
                }
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.is_paused {
                        self.resume(poller);
                    }
                    return;
                }
                // The system says so also where nobody has connected.
                Err(error) if sys::is_lack_of_descriptors(&error) => match self.turn_one_away() {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return self.resume(poller);
                    }
                    Err(_) => return self.pause(poller),
                },
                Err(_) => return self.pause(poller),
            }
        }
        self.resume(poller);
    }

    /// Something has come from a client, if this is the number of one; then true.
    pub(super) fn hear(
        &mut self,
        poller: &Poller,
        number: u64,
        proved: &mut Vec<(u64, Guest)>,
    ) -> bool {
        let Some((until, visit)) = self.visits.remove(&number) else {
            return false;
        };
        match visit.go_on(&self.key) {
            Progress::Waits(visit) => match poller.arm_read(&visit, number) {
                Ok(()) => drop(self.visits.insert(number, (until, visit))),
                Err(_) => {
                    visit.hang_up();
                    self.has_room(poller);
                }
            },
            Progress::Proved(guest) => proved.push((number, guest)),
            Progress::Over => self.has_room(poller),
        }
        true
    }

    /// A connection has ended: there is a descriptor again.
    pub(super) fn has_room(&mut self, poller: &Poller) {
        self.spare_again();
        self.resume(poller);
    }

    fn resume(&mut self, poller: &Poller) {
        if self.is_paused && self.is_reported(poller, true) {
            self.is_paused = false;
        }
        if self.is_paused && self.listener.is_some() {
            self.look_later(poller);
        }
    }

    fn pause(&mut self, poller: &Poller) {
        // It would report again and again, and nothing could be done about it.
        if !self.is_paused && self.is_reported(poller, false) {
            self.is_paused = true;
        }
        self.look_later(poller);
    }

    fn look_later(&mut self, poller: &Poller) {
        let now = Instant::now();
        if self.alarm.is_none_or(|alarm| alarm <= now) {
            self.alarm = Some(now + PAUSE);
            poller.alarm(now + PAUSE, LISTENER);
        }
    }

    /// Has the poller say, or not say, that somebody comes; false, if it cannot be told.
    fn is_reported(&self, poller: &Poller, wanted: bool) -> bool {
        let listener = self.listener.as_ref();
        listener.is_some_and(|listener| poller.watch(listener, LISTENER, wanted, false).is_ok())
    }

    fn spare_again(&mut self) {
        if self.spare.is_none() {
            self.spare = sys::null().ok();
        }
    }

    /// Accepts one with the last descriptor, and tells it that there is no room.
    fn turn_one_away(&mut self) -> io::Result<()> {
        // Closed here. Without one, this says once more what is missing.
        drop(self.spare.take());
        let accepted = self.listener.as_ref().map(Listener::accept).transpose();
        let is_away = accepted.map(|visit| {
            if let Some(visit) = visit.flatten() {
                visit.turn_away();
            }
        });
        self.spare_again();
        is_away
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::manager::secure::{Address, listen};
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixStream};

    const LIMIT: Duration = Duration::from_secs(60);

    struct Entrance {
        door: Door,
        poller: Poller,
        next: u64,
        address: SocketAddr,
    }

    impl Entrance {
        fn new(handshake_time: Duration) -> Self {
            let key = Key::generate().unwrap();
            let name = format!("procession-test-{}", Key::generate().unwrap().to_hex());
            let listener = listen(&Address::Abstract(name.clone())).unwrap();
            let poller = Poller::new().unwrap();
            poller.add_watched(&listener, LISTENER).unwrap();
            Self {
                door: Door::new(listener, key, handshake_time).unwrap(),
                poller,
                next: LISTENER + 1,
                address: SocketAddr::from_abstract_name(name).unwrap(),
            }
        }

        fn reports(&self, limit: Duration) -> usize {
            let until = Instant::now() + limit;
            let mut ready = Vec::new();
            while ready.is_empty() && Instant::now() < until {
                self.poller.wait(&mut ready, Some(until)).unwrap();
            }
            ready.len()
        }

        fn accept(&mut self) {
            let mut proved = Vec::new();
            self.door.accept(&self.poller, &mut self.next, &mut proved);
            assert!(proved.is_empty());
        }
    }

    #[test]
    fn it_opens_again_after_a_lack_of_descriptors() {
        let status = sys::in_a_fork(|| {
            let mut entrance = Entrance::new(LIMIT);
            // As for lack of memory, or where another thread was quicker to take the spare descriptor.
            entrance.door.pause(&entrance.poller);
            let all = sys::use_up_descriptors();
            assert_eq!(entrance.reports(LIMIT), 1, "the alarm");
            entrance.accept();
            drop(all);
            let _client = UnixStream::connect_addr(&entrance.address).unwrap();
            entrance.reports(LIMIT / 6) == 1
        });
        assert_eq!(status, 0, "nobody is accepted any more");
    }

    #[test]
    fn who_was_too_slow_is_told_and_not_reported_for_ever_after_a_fork() {
        let mut entrance = Entrance::new(Duration::ZERO);
        let client = UnixStream::connect_addr(&entrance.address).unwrap();
        assert_eq!(entrance.reports(LIMIT), 1);
        entrance.accept();
        assert_eq!(entrance.door.visits.len(), 1);
        let forked = sys::Forked::new(|| {});
        entrance.door.expire(&entrance.poller);
        assert_eq!(entrance.door.visits.len(), 0);
        client.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(std::io::Read::read(&mut &client, &mut [0; 8]).unwrap(), 0);
        drop(client);
        let reports = (0..8).map(|_| entrance.reports(Duration::from_millis(10)));
        assert!(
            reports.sum::<usize>() <= 1,
            "it is reported again and again"
        );
        drop(forked);
    }
}
