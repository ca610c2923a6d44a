use super::*;
use rustix::fs::memfd_create;

#[test]
fn what_is_copied_in_by_one_mapping_is_copied_out_by_another() {
    let (one, memory) = Mapping::create("procession-test", 10_000).unwrap();
    let other = Mapping::attach(&memory, 10_000).unwrap();
    one.copy_in(9_997, b"end").unwrap();
    let mut bytes = [0; 4];
    other.copy_out(9_996, &mut bytes).unwrap();
    assert_eq!(&bytes, b"\0end");
    one.u64_at(8)
        .unwrap()
        .store(7, std::sync::atomic::Ordering::Relaxed);
    other.copy_out(8, &mut bytes[..1]).unwrap();
    assert_eq!(bytes[0], u64::to_ne_bytes(7)[0]);
}

#[test]
fn nothing_is_reached_outside() {
    let (memory, _) = Mapping::create("procession-test", 100).unwrap();
    let mut bytes = [0; 2];
    assert!(memory.copy_out(98, &mut bytes).is_ok());
    assert!(memory.copy_out(100, &mut []).is_ok());
    for offset in [99, 100, 101, 4096, usize::MAX, usize::MAX - 1] {
        let refused = memory.copy_out(offset, &mut bytes).unwrap_err();
        assert_eq!(memory.copy_in(offset, &bytes), Err(refused));
        assert!(memory.u32_at(offset).is_err());
    }
    assert!(memory.u32_at(96).is_ok());
    for unaligned in [1, 2, 97] {
        assert!(memory.u32_at(unaligned).is_err());
    }
    assert_eq!(memory.atomics_at::<AtomicU16>(0, 50).unwrap().len(), 50);
    assert!(memory.atomics_at::<AtomicU16>(0, 51).is_err());
    assert!(memory.atomics_at::<AtomicU16>(0, usize::MAX).is_err());
    assert!(
        memory
            .atomics_at::<AtomicU16>(0, usize::MAX / 2 + 1)
            .is_err()
    );
}

#[test]
fn memory_that_could_shrink_or_has_another_size_is_refused() {
    let (_, memory) = Mapping::create("procession-test", 4096).unwrap();
    assert!(Mapping::attach(&memory, 4096).is_ok());
    assert!(Mapping::attach(&memory, 4097).is_err());
    assert!(Mapping::attach(&memory, usize::MAX).is_err());
    assert!(ftruncate(&memory, 0).is_err());
    let unsealed = memfd_create("procession-test", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&unsealed, 4096).unwrap();
    assert!(Mapping::attach(&unsealed, 4096).is_err());
    assert!(Mapping::attach(std::fs::File::open("/dev/null").unwrap(), 4096).is_err());
    assert!(Mapping::create("procession-test", usize::MAX).is_err());
    assert!(Mapping::create("procession-test", isize::MAX as usize).is_err());
}

#[test]
fn no_bytes_can_be_mapped() {
    let (memory, _) = Mapping::create("procession-test", 0).unwrap();
    assert_eq!(memory.len(), 0);
    assert!(memory.copy_in(0, &[1]).is_err());
}
