//! Memory with a name.

use procession::Process;
use procession::shared::{SharedMemory, SharedMemoryError};

use super::support::{Case, GateKeeper, segment_name, tests, until};
use super::tasks::*;
use super::{has_there, kill_at, pool};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        it_is_found_by_its_name_and_goes_with_the_last_user,
        what_a_worker_creates_stays_with_who_has_it,
        a_user_that_is_killed_takes_nothing_with_it,
        a_worker_that_is_killed_as_the_only_user_leaves_no_name,
        results_that_nobody_reads_leave_no_name,
        a_message_that_nobody_decodes_leaves_no_name,
    ]
}

pub(crate) fn text_in(memory: &SharedMemory) -> String {
    let mut bytes = vec![0; memory.len()];
    memory.read(0, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn is_gone(name: &str) {
    let attached = SharedMemory::attach(name);
    assert!(matches!(attached, Err(SharedMemoryError::NotFound { .. })));
    let file = std::path::Path::new("/dev/shm").join(name);
    assert!(!file.exists());
}

fn it_is_found_by_its_name_and_goes_with_the_last_user() {
    let (pool, name) = (pool(1), segment_name("by-name"));
    let before = has_there(&pool);
    let memory = SharedMemory::create(&name, 5).unwrap();
    memory.write(0, b"hello").unwrap();
    let attached = pool.submit(attach, name.clone()).unwrap().wait();
    assert_eq!(attached.unwrap().unwrap(), "hello");
    let sent = pool.submit(read, memory.clone()).unwrap().wait();
    assert_eq!(sent.unwrap(), "hello");
    drop(memory);
    is_gone(&name);
    let attached = pool.submit(attach, name).unwrap().wait();
    assert!(attached.unwrap().is_err());
    assert_eq!(has_there(&pool), before);
}

fn what_a_worker_creates_stays_with_who_has_it() {
    let (pool, name) = (pool(1), segment_name("created"));
    let arguments = (name.clone(), "by a worker".to_owned());
    let memory = pool.submit(create, arguments).unwrap().wait().unwrap();
    drop(pool);
    assert_eq!(text_in(&memory), "by a worker");
    assert_eq!(memory.name(), Some(&*name));
    let again = SharedMemory::create(&name, 1);
    assert!(matches!(
        again,
        Err(SharedMemoryError::AlreadyExists { .. })
    ));
    drop(memory);
    is_gone(&name);
}

fn a_user_that_is_killed_takes_nothing_with_it() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let name = segment_name("killed");
    let memory = SharedMemory::create(&name, 4).unwrap();
    memory.write(0, b"kept").unwrap();
    let arguments = (memory.clone(), keeper.gate());
    kill_at(&keeper, pool.submit(hold_memory, arguments).unwrap());
    let attached = pool.submit(attach, name.clone()).unwrap().wait();
    assert_eq!(attached.unwrap().unwrap(), "kept");
    drop(memory);
    is_gone(&name);
}

fn a_worker_that_is_killed_as_the_only_user_leaves_no_name() {
    let (pool, keeper) = (pool(1), GateKeeper::new());
    let name = segment_name("orphan");
    let arguments = (name.clone(), keeper.gate());
    kill_at(&keeper, pool.submit(create_and_stop, arguments).unwrap());
    is_gone(&name);

    let arguments = (name.clone(), keeper.gate());
    kill_at(&keeper, pool.submit(create_and_stop, arguments).unwrap());
    SharedMemory::remove_abandoned().unwrap();
    let file = std::path::Path::new("/dev/shm").join(&name);
    assert!(!file.exists());
    is_gone(&name);
}

/// The name is taken away by nobody who looks for it.
#[track_caller]
fn goes_by_itself(name: &str) {
    let file = std::path::Path::new("/dev/shm").join(name);
    until("a name to be taken away", || !file.exists());
}

fn results_that_nobody_reads_leave_no_name() {
    let (pool, name) = (pool(1), segment_name("unread"));
    let arguments = (name.clone(), "for nobody".to_owned());
    let result = pool.submit(create, arguments.clone()).unwrap();
    until("a result to be there", || result.is_done());
    drop(result);
    goes_by_itself(&name);

    let created = Process::spawn(create, arguments.clone()).unwrap();
    until("a process to end", || !created.is_alive());
    drop(created);
    goes_by_itself(&name);
}

fn a_message_that_nobody_decodes_leaves_no_name() {
    let name = segment_name("bytes");
    let (sender, receiver) = procession::pipe::one_way().unwrap();
    sender
        .send(&SharedMemory::create(&name, 5).unwrap())
        .unwrap();
    let bytes = receiver.recv_bytes().unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains(&name));
    goes_by_itself(&name);
}
