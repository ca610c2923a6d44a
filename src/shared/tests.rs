use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::sync::tests::{twin, watched};
use crate::sync::{Condition, Lock, LockError};
use crate::wire::{Handle, decode, encode, handles};

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Point {
    x: f64,
    y: f64,
    tag: [u8; 16],
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn goes<T: Send + Sync + Clone + 'static>() {}
    goes::<Value<Point>>();
    goes::<Array<u8>>();
    goes::<SharedMemory>();
    goes::<SharedBytes>();
}

#[test]
fn a_value_that_is_changed_there_is_changed_here() {
    fn changes<T: PlainData + PartialEq + std::fmt::Debug>(from: T, to: T) {
        let value = Value::new(from).unwrap();
        let there = twin(&value);
        assert!(there.is_same(&value));
        assert_eq!(there.get().unwrap(), from);
        there.set(to).unwrap();
        assert_eq!(value.get().unwrap(), to);
        value.set_unlocked(from);
        assert_eq!(there.get_unlocked(), from);
    }
    changes(1_i32, i32::MIN);
    changes(1.5_f64, f64::MIN);
    changes(-3_i16, 7);
    changes(1_u128, u128::MAX);
    changes(b'x', 0xff);
    changes([1_u8; 10_000], [2; 10_000]);
    let point = |x| Point {
        x,
        y: 2.0,
        tag: *b"sixteen letters!",
    };
    changes(point(1.0), point(-1.0));
    changes((), ());
}

#[test]
fn updates_of_a_value_are_all_there() {
    watched(|| {
        let (count, atomic) = (Value::new(0_u64).unwrap(), Value::new(0_i32).unwrap());
        thread::scope(|scope| {
            for _ in 0..4 {
                let (count, atomic) = (twin(&count), twin(&atomic));
                scope.spawn(move || {
                    for _ in 0..2_000 {
                        count.update(|n| *n += 1).unwrap();
                        atomic.as_atomic().fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert_eq!(count.get().unwrap(), 8_000);
        assert_eq!(atomic.get_unlocked(), 8_000);
    });
}

#[test]
fn an_update_that_panics_changes_nothing() {
    let value = Value::new(1_u32).unwrap();
    let panicked = std::panic::catch_unwind(|| {
        value.update(|n| {
            *n = 2;
            panic!("on purpose");
        })
    });
    assert!(panicked.is_err());
    assert_eq!(value.get().unwrap(), 1);
}

#[test]
fn a_value_whose_changer_has_died_is_there_with_the_news() {
    watched(|| {
        let value = Value::new(1_u32).unwrap();
        let array = Array::<u32>::new(3).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let guard = value.lock().unwrap();
                guard.set(2);
                std::mem::forget(guard);
                std::mem::forget(array.lock().unwrap());
            });
        });
        let (value, array) = (twin(&value), twin(&array));
        let guard = value.get().unwrap_err().into_guard().unwrap();
        assert_eq!(guard.get(), 2);
        assert!(matches!(value.try_lock(), Err(LockError::WouldBlock)));
        drop(guard);
        value.set(3).unwrap();
        assert!(matches!(array.lock(), Err(LockError::OwnerDied(_))));
        drop(array.lock().unwrap());
    });
}

#[test]
fn a_value_is_waited_for_with_its_own_lock() {
    watched(|| {
        let value = Value::new(0_u32).unwrap();
        let condition = Condition::new(value.as_lock()).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let (value, condition) = twin(&(value.clone(), condition.clone()));
                let guard = value.lock().unwrap();
                guard.set(5);
                condition.notify_all(&guard.into_lock_guard()).unwrap();
            });
            let guard = value.as_lock().lock().unwrap();
            let is_so = || value.get_unlocked() == 0;
            let guard = condition.wait_while(guard, is_so).unwrap();
            assert_eq!(value.locked_by(guard).unwrap().get(), 5);
        });
        let other = Lock::new().unwrap();
        let wrong = value.locked_by(other.lock().unwrap());
        assert!(matches!(wrong, Err(LockError::WrongLock(_))));
    });
}

#[test]
fn a_value_of_another_size_is_refused() {
    let mut bytes = Vec::new();
    let value = Value::new(1_u32).unwrap();
    let (_, descriptors) = handles::collect(|| encode(&value, &mut bytes));
    handles::provide(&descriptors, || {
        assert!(decode::<Value<f32>>(&bytes).is_ok());
        assert!(decode::<Value<u64>>(&bytes).is_err());
        assert!(decode::<Array<u8>>(&bytes).is_ok());
        assert!(decode::<Array<[u8; 3]>>(&bytes).is_err());
        assert!(decode::<SharedBytes>(&bytes).is_err());
        // A length that the descriptor does not have.
        bytes[0] = 0x7f;
        assert!(decode::<Array<u8>>(&bytes).is_ok());
        let long: Vec<u8> = [0xff, 0xff, 0x7f]
            .iter()
            .chain(&bytes[1..])
            .copied()
            .collect();
        assert!(decode::<Array<u8>>(&long).is_err());
    });
}

#[test]
fn an_array_is_zeros_at_first_also_where_there_was_another() {
    for _ in 0..3 {
        let array = Array::<u32>::new(5_000).unwrap();
        assert_eq!(array.unlocked().to_vec(), [0; 5_000]);
        array.unlocked().write(0, &[7; 5_000]).unwrap();
    }
    assert!(Array::<u64>::new(0).unwrap().is_empty());
    assert!(Array::<u64>::new(usize::MAX).is_err());
    assert!(Array::<u8>::new(usize::MAX).is_err());
}

#[test]
fn prefix_sums_are_computed_in_place() {
    let array = Array::from_slice(&(0..100).collect::<Vec<i64>>()).unwrap();
    let there = twin(&array);
    let guard = there.lock().unwrap();
    for index in 1..guard.len() {
        let before = guard.get(index - 1).unwrap();
        guard.update(index, |sum| *sum += before).unwrap();
    }
    drop(guard);
    assert_eq!(array.lock().unwrap().get(99), Some(4950));
    array.as_atomic()[0].store(-1, Relaxed);
    assert_eq!(there.as_atomic().len(), 100);
    assert_eq!(there.unlocked().range(0..2).unwrap(), [-1, 1]);
}

#[test]
#[expect(
    clippy::reversed_empty_ranges,
    reason = "it is what is to be looked at"
)]
fn places_outside_of_an_array_are_errors() {
    let array = Array::from_slice(
        &[Point {
            x: 1.0,
            y: 2.0,
            tag: [3; 16],
        }; 4],
    )
    .unwrap();
    let guard = array.lock().unwrap();
    let one = guard.get(0).unwrap();
    let refused = guard.write(3, &[one; 2]).unwrap_err();
    assert_eq!((refused.start, refused.count, refused.len), (3, 2, 4));
    assert!(guard.set(4, one).is_err());
    assert!(guard.update(usize::MAX, |_| unreachable!()).is_err());
    assert!(guard.read(usize::MAX, &mut [one]).is_err());
    assert!(guard.range(0..usize::MAX).is_err());
    assert_eq!(guard.range(3..1).unwrap(), []);
    assert_eq!(guard.range(4..4).unwrap(), []);
    assert!(guard.range(5..5).is_err());
}

/// What one may do with an array of ten.
#[derive(Clone, Debug)]
enum Step {
    Set(usize, u16),
    Write(usize, Vec<u16>),
    Read(usize, usize),
    Add(usize, u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0_usize..12, any::<u16>()).prop_map(|(at, value)| Step::Set(at, value)),
        (0_usize..12, prop::collection::vec(any::<u16>(), 0..12))
            .prop_map(|(at, values)| Step::Write(at, values)),
        (0_usize..12, 0_usize..12).prop_map(|(at, count)| Step::Read(at, count)),
        (0_usize..12, any::<u16>()).prop_map(|(at, value)| Step::Add(at, value)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_array_is_a_slice(steps in prop::collection::vec(step(), 0..60)) {
        let mut model = [0_u16; 10];
        let array = Array::<u16>::new(10).unwrap();
        let there = twin(&array);
        for (number, step) in steps.into_iter().enumerate() {
            let array = if number % 2 == 0 { &array } else { &there };
            match step {
                Step::Set(at, value) => {
                    let place = model.get_mut(at).map(|place| *place = value);
                    prop_assert_eq!(array.unlocked().set(at, value).ok(), place);
                }
                Step::Write(at, values) => {
                    let place = model.get_mut(at..).and_then(|rest| rest.get_mut(..values.len()));
                    let place = place.map(|place| place.copy_from_slice(&values));
                    prop_assert_eq!(array.lock().unwrap().write(at, &values).ok(), place);
                }
                Step::Read(at, count) => {
                    let part = model.get(at..at + count).map(<[u16]>::to_vec);
                    prop_assert_eq!(array.unlocked().range(at..at + count).ok(), part);
                }
                Step::Add(at, value) => match array.as_atomic().get(at) {
                    Some(atomic) => {
                        atomic.fetch_add(value, Relaxed);
                        model[at] = model[at].wrapping_add(value);
                    }
                    None => prop_assert!(at >= 10),
                },
            }
            prop_assert_eq!(array.unlocked().to_vec(), model);
        }
    }
}

#[test]
fn bytes_that_are_written_once_are_read_in_place() {
    let bytes = SharedBytes::new(&[7; 100_000]).unwrap();
    let there = twin(&bytes);
    assert_ne!(there.as_ptr(), bytes.as_ptr());
    assert_eq!(there, bytes);
    assert_eq!(there.len(), 100_000);
    assert_eq!(twin(&there)[99_999], 7);
    assert!(twin(&bytes).is_same(&bytes));
    assert!(!SharedBytes::new(&bytes).unwrap().is_same(&bytes));
    let empty = SharedBytes::new(&[]).unwrap();
    assert!(empty.is_empty() && twin(&empty).is_empty());
    let mut writer = SharedBytes::writer().unwrap();
    writer.write_all(&[1, 0]).unwrap();
    writer.write_all(&[2, 0, 3]).unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(&*bytes, [1, 0, 2, 0, 3]);
    assert_eq!(bytes.as_values::<u16>(), None);
    let values = twin(&SharedBytes::from_values(&[1.5_f32, 2.5]).unwrap());
    assert_eq!(values.as_values::<f32>(), Some(&[1.5, 2.5][..]));
    assert_eq!(values.as_values::<f64>().map(<[_]>::len), Some(1));
}

#[test]
fn nobody_can_change_what_is_final() {
    let mut bytes = Vec::new();
    let (_, descriptors) =
        handles::collect(|| encode(&SharedBytes::new(b"final").unwrap(), &mut bytes));
    let file = descriptors.as_slice()[0]
        .as_fd()
        .try_clone_to_owned()
        .unwrap();
    assert!(rustix::io::pwrite(&file, b"x", 0).is_err());
    assert!(rustix::fs::ftruncate(&file, 0).is_err());
    assert!(rustix::fs::ftruncate(&file, 10_000).is_err());
}

#[test]
fn bytes_that_can_still_be_changed_are_refused() {
    let refuses = |file: OwnedFd| {
        let mut bytes = Vec::new();
        let (_, descriptors) = handles::collect(|| encode(&Handle::from(file), &mut bytes));
        handles::provide(&descriptors, || decode::<SharedBytes>(&bytes)).is_err()
    };
    let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
    assert!(refuses(
        rustix::fs::memfd_create("procession-test", flags).unwrap()
    ));
    assert!(refuses(std::fs::File::open("/dev/null").unwrap().into()));
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(refuses(reader.into()));
}

#[test]
fn memory_without_a_name_is_seen_by_all_who_have_it() {
    let memory = SharedMemory::new(10_001).unwrap();
    let there = twin(&memory);
    assert_eq!((there.len(), there.name()), (10_001, None));
    there.write(9_996, b"hello").unwrap();
    let mut bytes = [0; 5];
    memory.read(9_996, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    let refused = memory.read(9_997, &mut bytes);
    assert!(matches!(refused, Err(SharedMemoryError::OutOfRange(_))));
    assert!(memory.write(usize::MAX, &bytes).is_err());
    memory.write_value(3, &1.5_f64).unwrap();
    assert_eq!(there.read_value::<f64>(3).unwrap(), 1.5);
    there.as_atomic::<u32>(16, 2).unwrap()[1].store(9, Relaxed);
    assert_eq!(memory.read_value::<u32>(20).unwrap(), 9);
    assert!(memory.as_atomic::<u32>(2, 1).is_err());
    assert!(memory.as_atomic::<u32>(10_000, 1).is_err());
    for len in [0, usize::MAX] {
        let refused = SharedMemory::new(len);
        assert!(matches!(
            refused,
            Err(SharedMemoryError::InvalidLength { .. })
        ));
    }
}

/// A name of this test's own.
fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Relaxed);
    format!("procession-test-{}-{count}", std::process::id())
}

fn file_of(name: &str) -> PathBuf {
    PathBuf::from("/dev/shm").join(name)
}

#[test]
fn memory_with_a_name_is_found_by_it_and_goes_with_its_last_user() {
    let name = name();
    let memory = SharedMemory::create(&name, 10_000).unwrap();
    let same = SharedMemory::attach(&name).unwrap();
    assert_eq!((same.len(), same.name()), (10_000, Some(&*name)));
    same.write(9_995, b"hello").unwrap();
    let mut bytes = [0; 5];
    memory.read(9_995, &mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    assert!(memory.read(9_996, &mut bytes).is_err());
    assert!(memory.write(9_996, &bytes).is_err());
    memory.write_value(1, &7_u64).unwrap();
    assert_eq!(same.read_value::<u64>(1).unwrap(), 7);
    assert!(matches!(
        memory.as_atomic::<u8>(0, 1),
        Err(SharedMemoryError::NotMapped { .. })
    ));
    drop(memory);
    assert!(file_of(&name).exists());
    drop(same);
    assert!(!file_of(&name).exists());
}

#[test]
fn memory_with_a_name_arrives_as_a_user_of_its_own() {
    let name = name();
    let memory = SharedMemory::create(&name, 10).unwrap();
    let mut bytes = Vec::new();
    let (encoded, descriptors) = handles::collect(|| encode(&memory, &mut bytes));
    encoded.unwrap();
    let receive = || handles::provide(&descriptors, || decode::<SharedMemory>(&bytes)).unwrap();
    let (one, two) = (receive(), receive());
    drop(memory);
    let three = twin(&one);
    three.write(0, b"x").unwrap();
    drop((one, three));
    assert_eq!(two.read_value::<u8>(0).unwrap(), b'x');
    assert!(file_of(&name).exists());
    drop(two);
    // The message is still there, and is a user, too.
    assert!(file_of(&name).exists());
    let late = receive();
    assert_eq!(late.read_value::<u8>(0).unwrap(), b'x');
    drop(late);
    assert!(file_of(&name).exists());
    drop(descriptors);
    assert!(!file_of(&name).exists());
}

#[test]
fn a_name_that_is_in_use_is_refused_and_one_that_is_not_is_not_found() {
    let name = name();
    let found = SharedMemory::attach(&name);
    assert!(matches!(found, Err(SharedMemoryError::NotFound { .. })));
    let unlinked = SharedMemory::unlink(&name);
    assert!(matches!(unlinked, Err(SharedMemoryError::NotFound { .. })));
    let memory = SharedMemory::create(&name, 1).unwrap();
    let again = SharedMemory::create(&name, 1);
    assert!(matches!(
        again,
        Err(SharedMemoryError::AlreadyExists { .. })
    ));
    SharedMemory::unlink(&name).unwrap();
    assert!(matches!(
        SharedMemory::unlink(&name),
        Err(SharedMemoryError::NotFound { .. })
    ));
    // The name is free, and the last user of the old one leaves the new one alone.
    let new = SharedMemory::create(&name, 2).unwrap();
    memory.write(0, b"x").unwrap();
    drop(memory);
    assert_eq!(SharedMemory::attach(&name).unwrap().len(), 2);
    drop(new);
    assert!(!file_of(&name).exists());
}

/// As a pool has it with the arguments of a task, and a future with its result.
#[test]
fn what_is_on_its_way_is_a_user_that_removes_the_file_like_any_other() {
    let name = name();
    let memory = SharedMemory::create(&name, 1).unwrap();
    let mut bytes = Vec::new();
    let (_, on_the_way) = handles::collect(|| encode(&memory, &mut bytes));
    drop(memory);
    let came: SharedMemory = handles::provide(&on_the_way, || decode(&bytes)).unwrap();
    drop(came);
    assert!(file_of(&name).exists());
    drop(on_the_way);
    assert!(!file_of(&name).exists());
}

#[test]
fn names_and_lengths_that_cannot_be_are_refused() {
    for bad in ["", ".", "..", "a/b", "/a", "a\0b", &"x".repeat(256)] {
        for refused in [
            SharedMemory::create(bad, 1).map(drop),
            SharedMemory::attach(bad).map(drop),
            SharedMemory::unlink(bad),
        ] {
            assert!(matches!(
                refused,
                Err(SharedMemoryError::InvalidName { .. })
            ));
        }
    }
    for len in [0, usize::MAX] {
        let refused = SharedMemory::create(&name(), len);
        assert!(matches!(
            refused,
            Err(SharedMemoryError::InvalidLength { .. })
        ));
    }
    let refused = SharedMemory::create(&name(), isize::MAX as usize);
    assert!(matches!(refused, Err(SharedMemoryError::System(_))));
}

/// As it is when all users have been killed: the file is there, and nobody has it open.
fn abandon(name: &str) {
    let memory = SharedMemory::create(name, 10).unwrap();
    std::fs::hard_link(file_of(name), file_of(&format!("{name}-kept"))).unwrap();
    drop(memory);
    std::fs::rename(file_of(&format!("{name}-kept")), file_of(name)).unwrap();
}

#[test]
fn what_nobody_uses_any_more_is_not_found_and_removed() {
    let name = name();
    abandon(&name);
    let found = SharedMemory::attach(&name);
    assert!(matches!(found, Err(SharedMemoryError::NotFound { .. })));
    assert!(!file_of(&name).exists());
    abandon(&name);
    let new = SharedMemory::create(&name, 20).unwrap();
    assert_eq!(SharedMemory::attach(&name).unwrap().len(), 20);
    drop(new);
    abandon(&name);
    // (Another test, which does the same, may have been quicker.)
    SharedMemory::remove_abandoned().unwrap();
    assert!(!file_of(&name).exists());
}

#[test]
fn a_lock_that_somebody_keeps_makes_nobody_wait() {
    use rustix::fs::{FlockOperation, flock};
    let open = |name: &str| {
        let options = std::fs::File::options().read(true).write(true).to_owned();
        options.open(file_of(name)).unwrap()
    };
    watched(move || {
        let name = name();
        abandon(&name);
        let other = open(&name);
        flock(&other, FlockOperation::LockExclusive).unwrap();
        let found = SharedMemory::attach(&name);
        assert!(matches!(found, Err(SharedMemoryError::NotFound { .. })));
        // Sent by somebody who is no user of it.
        let mut bytes = Vec::new();
        let sent = (
            1_u32,
            name.clone(),
            Handle::from(OwnedFd::from(open(&name))),
        );
        let (_, descriptors) = handles::collect(|| encode(&sent, &mut bytes));
        let received = handles::provide(&descriptors, || decode::<SharedMemory>(&bytes));
        assert!(received.is_err());
        drop(other);
        SharedMemory::unlink(&name).unwrap();
    });
}

#[test]
fn a_file_that_is_not_ours_is_used_and_left() {
    let name = name();
    std::fs::write(file_of(&name), b"of another program").unwrap();
    let created = SharedMemory::create(&name, 1);
    assert!(matches!(
        created,
        Err(SharedMemoryError::AlreadyExists { .. })
    ));
    let memory = SharedMemory::attach(&name).unwrap();
    assert_eq!(memory.len(), 18);
    SharedMemory::remove_abandoned().unwrap();
    drop(memory);
    assert!(file_of(&name).exists());
    std::fs::write(file_of(&name), b"").unwrap();
    let empty = SharedMemory::attach(&name);
    assert!(matches!(
        empty,
        Err(SharedMemoryError::InvalidLength { len: 0 })
    ));
    SharedMemory::unlink(&name).unwrap();
    assert!(!file_of(&name).exists());
}

#[test]
fn memory_that_has_shrunk_is_an_error() {
    let name = name();
    let memory = SharedMemory::create(&name, 10_000).unwrap();
    let file = std::fs::File::options()
        .write(true)
        .open(file_of(&name))
        .unwrap();
    file.set_len(5).unwrap();
    let mut bytes = [0; 10];
    for refused in [memory.read(0, &mut bytes), memory.write(4, &bytes[..2])] {
        match refused {
            Err(SharedMemoryError::Shrunk { len, .. }) => assert_eq!(len, 5),
            other => panic!("{other:?}"),
        }
    }
    memory.read(0, &mut bytes[..5]).unwrap();
    memory.write(3, &bytes[..2]).unwrap();
}

#[test]
fn a_link_or_directory_is_no_memory() {
    let name = name();
    std::os::unix::fs::symlink("/dev/null", file_of(&name)).unwrap();
    assert!(matches!(
        SharedMemory::attach(&name),
        Err(SharedMemoryError::System(_))
    ));
    std::fs::remove_file(file_of(&name)).unwrap();
    // A descriptor that does not come from there.
    let file = OwnedFd::from(std::fs::File::open("/proc/self/exe").unwrap());
    let mut bytes = Vec::new();
    let sent = (1_u32, "name", Handle::from(file));
    let (_, descriptors) = handles::collect(|| encode(&sent, &mut bytes));
    let received = handles::provide(&descriptors, || decode::<SharedMemory>(&bytes));
    assert!(received.is_err());
}

#[test]
fn many_create_and_attach_and_leave_at_once() {
    watched(|| {
        let name = name();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let made = SharedMemory::create(&name, 8);
                        let memory = match made {
                            Err(SharedMemoryError::AlreadyExists { .. }) => {
                                SharedMemory::attach(&name)
                            }
                            made => made,
                        };
                        match memory {
                            Ok(memory) => memory.write(0, b"x").unwrap(),
                            Err(SharedMemoryError::NotFound { .. }) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                });
            }
        });
        assert!(!file_of(&name).exists());
    });
}
