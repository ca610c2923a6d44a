//! What a process may have, and what happens at that limit.

use procession::shared::SharedMemory;
use procession::{Process, ProcessError, ProcessOutput, TaskError};

use super::support::{self, Case};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        memory_past_the_limit_for_files_is_an_error_and_no_signal,
        a_result_past_the_limit_for_files_is_named,
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
