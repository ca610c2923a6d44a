//! Values, arrays, bytes, and memory with a name.

use std::path::PathBuf;

use procession::shared::{Array, SharedBytes, SharedMemory, SharedMemoryError};

use crate::support::{Case, tests, until};
use crate::tasks::{count_bytes, die_with_memory, make_named, prefix_sums, write_named};
use crate::{expect_killed, pool};

pub(crate) fn tests() -> Vec<Case> {
    tests![
        prefix_sums_are_computed_there,
        bytes_are_read_in_place_by_all,
        memory_with_a_name_is_reached_by_it_and_by_handle,
        memory_with_a_name_outlives_one_of_its_users,
        memory_with_a_name_whose_users_were_killed_is_not_found,
        memory_with_a_name_comes_back,
    ]
}

fn name() -> String {
    format!("procession-test-sync-{}", std::process::id())
}

fn file() -> PathBuf {
    PathBuf::from("/dev/shm").join(name())
}

fn prefix_sums_are_computed_there() {
    let array = Array::from_slice(&[1_i32; 1000]).unwrap();
    let future = pool(1).submit(prefix_sums, array.clone()).unwrap();
    future.wait().unwrap();
    assert_eq!(
        array.lock().unwrap().to_vec(),
        (1..=1000).collect::<Vec<_>>()
    );
}

fn bytes_are_read_in_place_by_all() {
    let pool = pool(2);
    let bytes = SharedBytes::new(&b"abc".repeat(1 << 20)).unwrap();
    let call = |byte| pool.submit(count_bytes, (bytes.clone(), byte)).unwrap();
    let futures: Vec<_> = b"abcd".iter().map(|byte| call(*byte)).collect();
    let counts: Vec<usize> = futures.into_iter().map(|f| f.wait().unwrap()).collect();
    assert_eq!(counts, [1 << 20, 1 << 20, 1 << 20, 0]);
}

fn memory_with_a_name_is_reached_by_it_and_by_handle() {
    let memory = SharedMemory::create(&name(), 100).unwrap();
    let future = pool(1)
        .submit(write_named, (name(), memory.clone()))
        .unwrap();
    assert_eq!(future.wait().unwrap(), Some(name()));
    let mut bytes = [0; 9];
    memory.read(20, &mut bytes).unwrap();
    assert_eq!(&bytes, b"by handle");
    memory.read(1, &mut bytes[..7]).unwrap();
    assert_eq!(&bytes[..7], b"by name");
    assert!(file().exists());
    drop(memory);
    assert!(!file().exists());
}

fn memory_with_a_name_outlives_one_of_its_users() {
    let memory = SharedMemory::create(&name(), 100).unwrap();
    expect_killed(pool(1).submit(die_with_memory, (name(), false)).unwrap());
    assert!(SharedMemory::attach(&name()).is_ok());
    drop(memory);
    assert!(!file().exists());
}

fn memory_with_a_name_whose_users_were_killed_is_not_found() {
    let pool = pool(1);
    expect_killed(pool.submit(die_with_memory, (name(), true)).unwrap());
    assert!(file().exists());
    let found = SharedMemory::attach(&name());
    assert!(matches!(found, Err(SharedMemoryError::NotFound { .. })));
    assert!(!file().exists());
    expect_killed(pool.submit(die_with_memory, (name(), true)).unwrap());
    drop(SharedMemory::create(&name(), 1).unwrap());
    assert!(!file().exists());
}

fn memory_with_a_name_comes_back() {
    let pool = pool(1);
    let future = pool.submit(make_named, name()).unwrap();
    let memory = future.wait().unwrap();
    memory.write(0, b"x").unwrap();
    // What is in the future can be decoded again, and has its name for that long.
    drop(memory);
    assert!(file().exists());
    drop(future);
    // The worker may be the last to drop it.
    until("its name to go", || !file().exists());
}
