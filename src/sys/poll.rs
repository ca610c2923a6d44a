//! Waiting for descriptors.
//!
//! The reactor uses epoll through rustix: safe calls, one system call to arm a pipe, and none
//! besides `epoll_wait` to sleep. (The `polling` crate sets a timer descriptor before each wait.)

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use smallvec::SmallVec;

use super::descriptors::{Doorbell, off_standard};
use crate::primitives::plain::{Mutex, lock};

/// What a [`Poller`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    /// The key the descriptor was added with.
    pub(crate) key: u64,
}

/// The reactor's list of descriptors. Each is armed for one event and then silent until armed again.
pub(crate) struct Poller {
    epoll: OwnedFd,
    bell: Doorbell,
    alarms: Mutex<Vec<(Instant, u64)>>,
    /// Whether there are any.
    has_alarms: AtomicBool,
}

/// The bell's key; no descriptor is added with it.
const BELL: u64 = u64::MAX;

impl Poller {
    /// An empty one: two descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Self {
            epoll: off_standard(epoll::create(CreateFlags::CLOEXEC)?)?,
            bell: Doorbell::new()?,
            alarms: Mutex::new(Vec::new()),
            has_alarms: AtomicBool::new(false),
        };
        epoll::add(
            &poller.epoll,
            &poller.bell,
            EventData::new_u64(BELL),
            EventFlags::IN,
        )?;
        Ok(poller)
    }

    /// Adds a descriptor, silent as [`Poller::disarm`] has it. It leaves when it is closed, or by [`Poller::remove`].
    pub(crate) fn add(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(key),
            EventFlags::ONESHOT,
        )?)
    }

    /// Reports once that `fd` can be read, or that its other end is gone.
    pub(crate) fn arm_read(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        self.modify(fd, key, EventFlags::IN | EventFlags::ONESHOT)
    }

    /// Reports once that `fd` can be written.
    pub(crate) fn arm_write(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        self.modify(fd, key, EventFlags::OUT | EventFlags::ONESHOT)
    }

    /// Reports once that `fd` can be read, or written, of those asked for.
    pub(crate) fn arm(&self, fd: impl AsFd, key: u64, reads: bool, writes: bool) -> io::Result<()> {
        let mut flags = EventFlags::ONESHOT;
        flags.set(EventFlags::IN, reads);
        flags.set(EventFlags::OUT, writes);
        self.modify(fd, key, flags)
    }

    /// Adds a descriptor that reports whenever it can be read, again and again until it has been.
    pub(crate) fn add_watched(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            fd,
            EventData::new_u64(key),
            EventFlags::IN,
        )?)
    }

    /// Reports whenever `fd` can be read, or written, of those asked for: again and again while it is so. A hang-up is reported whatever is
    /// asked for.
    pub(crate) fn watch(
        &self,
        fd: impl AsFd,
        key: u64,
        reads: bool,
        writes: bool,
    ) -> io::Result<()> {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, reads);
        flags.set(EventFlags::OUT, writes);
        self.modify(fd, key, flags)
    }

    /// Makes it silent, but for a hang-up, which epoll reports (once) whatever it was asked for.
    pub(crate) fn disarm(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        self.modify(fd, key, EventFlags::ONESHOT)
    }

    fn modify(&self, fd: impl AsFd, key: u64, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            EventData::new_u64(key),
            flags,
        )?)
    }

    /// Forgets a descriptor.
    pub(crate) fn remove(&self, fd: impl AsFd) {
        // Not being in the list any more is what was asked for.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Makes a thread in [`Poller::wait`] return.
    pub(crate) fn notify(&self) {
        self.bell.ring();
    }

    /// Reports a key once, at this moment: for what no descriptor tells of.
    pub(crate) fn alarm(&self, at: Instant, key: u64) {
        lock(&self.alarms).push((at, key));
        // Whoever does not see it yet is woken, and looks again.
        self.has_alarms.store(true, Ordering::SeqCst);
        self.notify();
    }

    /// Takes out what is due, and says when the next one is.
    fn take_due(&self, ready: &mut Vec<Ready>) -> Option<Instant> {
        if !self.has_alarms.load(Ordering::SeqCst) {
            return None;
        }
        let mut alarms = lock(&self.alarms);
        let now = Instant::now();
        alarms.retain(|(at, key)| {
            let is_due = *at <= now;
            if is_due {
                ready.push(Ready { key: *key });
            }
            !is_due
        });
        self.has_alarms.store(!alarms.is_empty(), Ordering::SeqCst);
        alarms.iter().map(|(at, _)| *at).min()
    }

    /// Waits until something is ready, the deadline passes, an alarm is due or [`Poller::notify`] is called.
    pub(crate) fn wait(&self, ready: &mut Vec<Ready>, deadline: Option<Instant>) -> io::Result<()> {
        ready.clear();
        let alarm = self.take_due(ready);
        let deadline = match ready.is_empty() {
            true => [deadline, alarm].into_iter().flatten().min(),
            // What else is ready comes along.
            false => Some(Instant::now()),
        };
        let mut events = [epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        }; 64];
        let timeout = deadline.map(time_left);
        let count = match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            let data = event.data;
            if data.u64() == BELL {
                self.bell.silence();
            } else {
                ready.push(Ready { key: data.u64() });
            }
        }
        Ok(())
    }
}

/// Waits until one of at most four descriptors can be read or has lost its other end; bit `i` of the
/// answer stands for the i-th. Zero: the deadline passed.
pub(crate) fn wait_for(fds: &[BorrowedFd<'_>], deadline: Option<Instant>) -> io::Result<u32> {
    debug_assert!(!fds.is_empty() && fds.len() <= 4, "one to four descriptors");
    let mut list: [PollFd<'_>; 4] =
        std::array::from_fn(|i| PollFd::from_borrowed_fd(fds[i.min(fds.len() - 1)], PollFlags::IN));
    let list = &mut list[..fds.len()];
    loop {
        let timeout = deadline.map(time_left);
        match poll(list, timeout.as_ref()) {
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(list
        .iter()
        .enumerate()
        .filter(|(_, fd)| !fd.revents().is_empty())
        .map(|(i, _)| 1 << i)
        .sum())
}

/// Waits until one or more of any number of descriptors can be read or have lost their other end, and
/// says of each whether it is one of those; none is when the deadline has passed. One descriptor may
/// stand there several times.
pub(crate) fn wait_among(
    fds: &[BorrowedFd<'_>],
    deadline: Option<Instant>,
) -> io::Result<Vec<bool>> {
    // Each once: the system takes no longer list than one of all descriptors that may be open.
    let mut each: Vec<BorrowedFd<'_>> = fds.to_vec();
    each.sort_unstable_by_key(AsRawFd::as_raw_fd);
    each.dedup_by_key(|fd| fd.as_raw_fd());
    let mut list: Vec<PollFd<'_>> = each
        .iter()
        .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
        .collect();
    loop {
        let timeout = deadline.map(time_left);
        match poll(&mut list, timeout.as_ref()) {
            Ok(0) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
            Ok(_) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if list.iter().any(|fd| fd.revents().contains(PollFlags::NVAL)) {
        return Err(Errno::BADF.into());
    }
    let is_ready = |fd: &BorrowedFd<'_>| {
        let place = each.binary_search_by_key(&fd.as_raw_fd(), AsRawFd::as_raw_fd);
        place.is_ok_and(|place| !list[place].revents().is_empty())
    };
    Ok(fds.iter().map(is_ready).collect())
}

/// A descriptor that can be read while one of these can be read or has lost its other end, of which one may stand there several times.
pub(crate) fn any_of(fds: &[BorrowedFd<'_>]) -> io::Result<OwnedFd> {
    let all = off_standard(epoll::create(CreateFlags::CLOEXEC)?)?;
    for fd in fds {
        match epoll::add(&all, fd, EventData::new_u64(0), EventFlags::IN) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// Waits until a descriptor can be written to, or never can again; false when the deadline passed
/// first.
pub(crate) fn wait_for_room_until(
    fd: BorrowedFd<'_>,
    deadline: Option<Instant>,
) -> io::Result<bool> {
    let found = wait_until(PollFd::from_borrowed_fd(fd, PollFlags::OUT), deadline)?;
    Ok(!found.is_empty())
}

/// What was found; nothing when the deadline passed first.
fn wait_until(fd: PollFd<'_>, deadline: Option<Instant>) -> io::Result<PollFlags> {
    let mut list = [fd];
    loop {
        let timeout = deadline.map(time_left);
        match poll(&mut list, timeout.as_ref()) {
            Ok(0) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
            Ok(_) => return Ok(list[0].revents()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until a descriptor can be read or written, or never can be again, and says whether it can be read; `None` when the deadline passed first.
pub(crate) fn wait_for_either(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<Option<bool>> {
    let either = PollFlags::IN | PollFlags::OUT;
    let found = wait_until(PollFd::from_borrowed_fd(fd, either), Some(deadline))?;
    Ok((!found.is_empty()).then_some(found != PollFlags::OUT))
}

/// Waits until a descriptor can be written to, or never can again.
pub(crate) fn wait_for_room(fd: BorrowedFd<'_>) {
    let mut list = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    while let Err(Errno::INTR) = poll(&mut list, None) {}
}

/// Waits until the other end of a socket is gone, whatever lies in it unread; or the process of this pidfd.
pub(crate) fn wait_for_hangup(fd: BorrowedFd<'_>, process: Option<BorrowedFd<'_>>) {
    let process = process.map(|process| PollFd::from_borrowed_fd(process, PollFlags::IN));
    let socket = PollFd::from_borrowed_fd(fd, PollFlags::empty());
    let mut list: SmallVec<[PollFd<'_>; 2]> = std::iter::once(socket).chain(process).collect();
    while let Err(Errno::INTR) = poll(&mut list, None) {}
}

/// The same, until a deadline passes.
pub(crate) fn wait_for_hangup_until(fd: BorrowedFd<'_>, deadline: Instant) {
    let mut list = [PollFd::from_borrowed_fd(fd, PollFlags::empty())];
    loop {
        let timeout = time_left(deadline);
        match poll(&mut list, Some(&timeout)) {
            Err(Errno::INTR) => {}
            _ => return,
        }
    }
}

fn time_left(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    // A day is as good as for ever, since the caller looks again; and `epoll_wait`, which old kernels
    // have in place of `epoll_pwait2`, counts no more than 24 days.
    let left = left.min(Duration::from_secs(24 * 3600));
    Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_reported_once_and_never_early() {
        let poller = Poller::new().unwrap();
        let mut ready = Vec::new();
        let at = Instant::now() + Duration::from_millis(20);
        poller.alarm(at, 7);
        while ready.is_empty() {
            poller.wait(&mut ready, None).unwrap();
        }
        assert!(Instant::now() >= at);
        assert_eq!(ready, [Ready { key: 7 }]);
        poller.wait(&mut ready, Some(Instant::now())).unwrap();
        assert!(ready.is_empty());
    }
}
