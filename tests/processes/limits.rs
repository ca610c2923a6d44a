//! What a process may have, and what happens at that limit.

use procession::shared::SharedMemory;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use procession::{
    BuildError, EndOfWorker, Process, ProcessError, ProcessOutput, SpawnError, TaskError,
};

use super::support::{self, Case};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        memory_past_the_limit_for_files_is_an_error_and_no_signal,
        a_result_past_the_limit_for_files_is_named,
        a_kept_descriptor_is_open_and_others_are_not,
        what_was_chosen_is_what_it_has,
        memory_past_its_address_space_is_named,
        cpu_time_past_its_limit_is_named,
        limits_that_cannot_be_are_refused,
    ]
}

fn memory_past_the_limit_for_files_is_an_error_and_no_signal() {
    let name = support::segment_name("long-enough");
    let memory = SharedMemory::create(&name, 1 << 20).unwrap();
    let process = Process::spawn(outgrow_files, (memory, 8192)).unwrap();
    for (what, refused) in process.join().unwrap() {
        let refused = refused.unwrap_or_else(|| panic!("{what} was not refused"));
        assert!(
            refused.contains("limit for the length of files"),
            "{what}: {refused}"
        );
    }
}

fn a_result_past_the_limit_for_files_is_named() {
    let quiet = Process::builder().stderr(ProcessOutput::null());
    let process = quiet
        .spawn(repeat_with_short_files, (100_000, 8192))
        .unwrap();
    match process.join() {
        Err(ProcessError::NotDelivered(TaskError::ResultNotEncoded { message, .. })) => {
            assert!(
                message.contains("limit for the length of files"),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// One that would come across exec.
fn inheritable() -> OwnedFd {
    let file = std::fs::File::open("/dev/zero").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    file.into()
}

fn a_kept_descriptor_is_open_and_others_are_not() {
    let (kept, other) = (inheritable(), inheritable());
    let builder = Process::builder().keep_fd(&kept);
    let numbers = vec![kept.as_raw_fd(), other.as_raw_fd()];
    for builder in [builder.clone(), builder] {
        let process = builder
            .spawn(are_open, (numbers.clone(), "/dev/zero".into()))
            .unwrap();
        assert_eq!(process.join().unwrap(), [true, false]);
    }
}

fn what_was_chosen_is_what_it_has() {
    let process = Process::builder()
        .address_space(4 << 30)
        .open_files(111)
        .core_size(0)
        .nice(7)
        .cpu_affinity([0])
        .spawn(what_is_allowed, ())
        .unwrap();
    let allowed = process.join().unwrap();
    assert_eq!(allowed, (Some(4 << 30), Some(111), Some(0), 7, vec![0]));
}

#[track_caller]
fn end_of(process: Result<Process<usize>, SpawnError>) -> EndOfWorker {
    match process.unwrap().join() {
        Err(ProcessError::Ended(ended)) => ended.end,
        other => panic!("{other:?}"),
    }
}

fn memory_past_its_address_space_is_named() {
    let limited = Process::builder().address_space(1 << 30);
    let process = limited.clone().spawn(fill, 1000).unwrap();
    assert_eq!(process.join().unwrap(), 1000);
    let quiet = limited.core_size(0).stderr(ProcessOutput::null());
    let end = end_of(quiet.spawn(fill, 2 << 30));
    assert!(
        matches!(end, EndOfWorker::MemoryLimit { limit, .. } if limit == 1 << 30),
        "{end:?}"
    );
}

fn cpu_time_past_its_limit_is_named() {
    let limit = Duration::from_secs(1);
    let end = end_of(
        Process::builder()
            .core_size(0)
            .cpu_time(limit)
            .spawn(spin, 0),
    );
    assert_eq!(end, EndOfWorker::CpuLimit { limit });
}

fn limits_that_cannot_be_are_refused() {
    let builder = Process::builder;
    let kept = inheritable();
    let too_many = (0..201).fold(builder(), |builder, _| builder.keep_fd(&kept));
    let cases = [
        (builder().address_space(0), "address_space"),
        (builder().cpu_time(Duration::ZERO), "cpu_time"),
        (builder().open_files(0), "open_files"),
        (builder().nice(20), "nice"),
        (builder().cpu_affinity([]), "cpu_affinity"),
        (builder().cpu_affinity([1024]), "cpu_affinity"),
        (too_many, "keep_fd"),
    ];
    for (builder, name) in cases {
        match builder.spawn(nothing, ()).map(drop) {
            Err(SpawnError::Start(BuildError::Parameter { parameter, .. })) => {
                assert_eq!(parameter, name);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    // Too little for the program itself.
    let process = builder().address_space(1 << 20).spawn(nothing, ()).unwrap();
    match process.join() {
        Err(ProcessError::NotStarted(BuildError::CannotStart { reason, .. })) => {
            assert!(reason.contains("address_space"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
