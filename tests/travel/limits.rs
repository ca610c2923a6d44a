//! More than may be open.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use procession::{Descriptor, ProcessPoolExecutor, SubmitError, TaskError, Travelling};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::support::Case;
use super::tasks::*;
use super::{numbered, open_here, pool, text_of};

pub(crate) fn tests() -> Vec<Case> {
    super::support::tests![
        a_worker_without_room_fails_the_task_and_goes_on,
        this_process_without_room_fails_the_task_and_goes_on,
        few_open_files_are_no_hang,
        more_than_a_frame_can_announce_are_refused,
        what_the_system_refuses_for_a_while_waits,
        what_the_system_goes_on_refusing_fails_its_task,
    ]
}

/// While it lives, this process may have no more open files than so many.
struct Limited(Rlimit);

impl Limited {
    fn to(count: usize) -> Self {
        let before = getrlimit(Resource::Nofile);
        let limit = Rlimit {
            current: Some(count as u64),
            ..before
        };
        setrlimit(Resource::Nofile, limit).expect("a limit");
        Self(before)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).expect("the limit of before");
    }
}

#[track_caller]
fn lost<T: std::fmt::Debug>(outcome: Result<T, TaskError>, whose: Travelling, sent: u16) -> u16 {
    match outcome {
        Err(TaskError::DescriptorsLost {
            of,
            announced,
            came,
            ..
        }) => {
            assert_eq!((of, announced), (whose, sent));
            assert!(came < announced);
            came
        }
        other => panic!("{other:?}"),
    }
}

fn a_worker_without_room_fails_the_task_and_goes_on() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .open_files(40)
        .build()
        .unwrap();
    let open = || pool.submit(count, ()).unwrap().wait().unwrap();
    let (worker, before) = (pool.submit(pid, ()).unwrap().wait().unwrap(), open());
    for count in [50, 600] {
        let outcome = pool.submit(echo, numbered(count)).unwrap().wait();
        let error = outcome.as_ref().unwrap_err().to_string();
        assert!(error.contains("descriptors of the arguments"), "{error}");
        assert!(!outcome.as_ref().unwrap_err().may_have_run());
        let came = lost(outcome, Travelling::Out, count as u16);
        assert!(came > 0 || count == 600);
    }
    assert_eq!(open(), before);
    let echoed = pool.submit(echo, numbered(3)).unwrap().wait().unwrap();
    assert_eq!(text_of(&echoed[2]), "2");
    let still = pool.submit(pid, ()).unwrap().wait().unwrap();
    assert_eq!(still, worker, "it goes on");
}

fn this_process_without_room_fails_the_task_and_goes_on() {
    let pool = pool(1);
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    let before = open_here();
    {
        let _limited = Limited::to(before + 10);
        for count in [20, 600] {
            let outcome = pool.submit(make_some, count).unwrap().wait();
            assert!(outcome.as_ref().unwrap_err().may_have_run());
            lost(outcome, Travelling::Back, count as u16);
            assert_eq!(open_here(), before);
        }
        // In a chunk, one item.
        let items: Vec<_> = pool.map(make_some, [2, 20, 3]).chunksize(3).collect();
        assert_eq!(items[0].as_ref().unwrap().len(), 2);
        assert!(matches!(items[1], Err(TaskError::DescriptorsLost { .. })));
        assert_eq!(text_of(&items[2].as_ref().unwrap()[2]), "2");
    }
    let made = pool.submit(make_some, 600).unwrap().wait().unwrap();
    assert_eq!(text_of(&made[599]), "599");
    assert_eq!(pool.submit(pid, ()).unwrap().wait().unwrap(), worker);
}

/// As `ulimit -n 64` has it, here and in the workers.
fn few_open_files_are_no_hang() {
    let _limited = Limited::to(64.max(open_here() + 40));
    let pool = pool(1);
    for count in [1, 2, 5, 10] {
        let echoed = pool.submit(echo, numbered(count)).unwrap().wait().unwrap();
        assert_eq!(echoed.len(), count);
    }
    let outcome = pool.submit(make_some, 60).unwrap().wait();
    match outcome {
        // What it had made has been closed by its end.
        Err(TaskError::Panicked(_) | TaskError::DescriptorsLost { .. }) => {}
        other => panic!("{other:?}"),
    }
    let echoed = pool.submit(echo, numbered(2)).unwrap().wait().unwrap();
    assert_eq!(text_of(&echoed[1]), "1");
}

fn more_than_a_frame_can_announce_are_refused() {
    let wanted = usize::from(u16::MAX) + 1;
    let before = getrlimit(Resource::Nofile);
    if before
        .maximum
        .is_some_and(|maximum| maximum < wanted as u64 + 200)
    {
        eprintln!("skipped: this process may not have as many open files");
        return;
    }
    let _limited = Limited::to(wanted + 200);
    let one = super::said("x");
    let many: Vec<_> = (0..wanted)
        .map(|_| Descriptor::new(one.try_clone_to_owned().unwrap()))
        .collect();
    let pool = pool(1);
    match pool.submit(echo, many) {
        Err(SubmitError::NotEncoded { message, .. }) => {
            assert!(
                message.contains("more descriptors travel at once"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// From now on this thread, and those that it starts, have no privileges: the system counts what their user has on the way.
fn become_ordinary() {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).expect("to give up capabilities");
}

fn at_most(count: u64) -> Rlimit {
    Rlimit {
        current: Some(count),
        ..getrlimit(Resource::Nofile)
    }
}

/// Sends so many times 250 through a socket in which they stay until what this returns is dropped. Other programs of this user may
/// have some on the way, too: there are many, and what is expected has room for more.
fn on_the_way(times: usize) -> (OwnedFd, OwnedFd) {
    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, sendmsg, socketpair,
    };
    let flags = SocketFlags::CLOEXEC;
    let (from, to) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let one = super::said("x");
    let many = vec![one.as_fd(); 250];
    for _ in 0..times {
        let rights = SendAncillaryMessage::ScmRights(&many);
        let mut space = vec![MaybeUninit::uninit(); rights.size()];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(rights));
        let bytes = [IoSlice::new(b"x")];
        sendmsg(&from, &bytes, &mut ancillary, SendFlags::empty()).unwrap();
    }
    (from, to)
}

/// In a worker, which has a pool of its own and is as ordinary as that of a user.
#[procession::task]
fn drive_while_refused() -> String {
    become_ordinary();
    let pool = pool(1);
    pool.submit(pid, ()).unwrap().wait().unwrap();
    let way = on_the_way(8);
    setrlimit(Resource::Nofile, at_most(1500)).unwrap();
    let echoed = pool.submit(read, super::said("late")).unwrap();
    let behind = pool.submit(count, ()).unwrap();
    let early = echoed.wait_timeout(Duration::from_millis(50)).is_some();
    // Nothing is on the way any more.
    drop(way);
    let text = echoed.wait().unwrap();
    assert!(behind.wait().unwrap() > 0);
    format!("{text} {early}")
}

fn what_the_system_refuses_for_a_while_waits() {
    let _alone = one_at_a_time();
    let pool = pool(1);
    let driven = pool.submit(drive_while_refused, ()).unwrap();
    // Where a user has a namespace of its own, everything may be allowed.
    let text = driven.wait().unwrap();
    assert!(text == "late false", "{text}");
}

#[procession::task]
fn drive_refused() -> Result<u16, String> {
    become_ordinary();
    let pool = pool(1);
    pool.submit(pid, ()).unwrap().wait().unwrap();
    let (many, one) = (numbered(300), super::said("one"));
    let way = on_the_way(5);
    setrlimit(Resource::Nofile, at_most(1500)).unwrap();
    let outcome = pool.submit(echo, many).unwrap().wait();
    drop(way);
    // The worker goes on.
    assert_eq!(pool.submit(read, one).unwrap().wait().unwrap(), "one");
    match outcome {
        Err(TaskError::DescriptorsLost { came, .. }) => Ok(came),
        other => Err(format!("{other:?}")),
    }
}

#[procession::task]
fn make_refused() -> Vec<Descriptor> {
    let many = numbered(300);
    become_ordinary();
    // Until the end of this process.
    std::mem::forget(on_the_way(5));
    setrlimit(Resource::Nofile, at_most(1500)).unwrap();
    many
}

/// What a user has on the way is counted for all of its processes, so these tests are run one after the other, also by a harness that
/// runs each in a process of its own.
pub(super) fn one_at_a_time() -> std::fs::File {
    let place = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("on-the-way.lock");
    let file = std::fs::File::create(place).unwrap();
    file.lock().unwrap();
    file
}

fn what_the_system_goes_on_refusing_fails_its_task() {
    let _alone = one_at_a_time();
    // One after the other: both have the same user, and what that has on its way is counted for both.
    let driven = pool(1).submit(drive_refused, ()).unwrap();
    let came = driven.wait().unwrap().unwrap();
    assert!(came <= 253, "{came}");
    let made = pool(1).submit(make_refused, ()).unwrap();
    let came = lost(made.wait(), Travelling::Back, 300);
    assert!(came <= 253, "{came}");
}
