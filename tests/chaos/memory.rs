//! What this process takes.

use std::fs;

use crate::support::allocated_memory;

/// How much more may be allocated than after the first rounds, in KiB.
const SLACK_KIB: u64 = 4 * 1024;

/// How much more may be resident, in KiB: what the allocator keeps, in pieces too small to give back, grows
/// for a while with the number of threads that have run at a time.
const RESIDENT_SLACK_KIB: u64 = 160 * 1024;

/// How many more mappings there may be: stacks and arenas of threads, which the C library keeps for the next ones.
const SLACK_MAPPINGS: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Where the C library can tell.
    allocated_kib: Option<u64>,
    resident_kib: u64,
    mappings: usize,
}

impl Memory {
    pub(crate) fn taken() -> Self {
        let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        let mappings = fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
        Self {
            allocated_kib: allocated_memory().map(|bytes| bytes / 1024),
            resident_kib: resident.expect("what is resident"),
            mappings: mappings.lines().count(),
        }
    }

    /// What is wrong with that.
    pub(crate) fn more_than(&self, before: &Self) -> Option<String> {
        let is_fine = self.allocated_kib <= before.allocated_kib.map(|kib| kib + SLACK_KIB)
            && self.resident_kib <= before.resident_kib + RESIDENT_SLACK_KIB
            && self.mappings <= before.mappings + SLACK_MAPPINGS;
        (!is_fine).then(|| format!("there was {before:?}, and now is {self:?}"))
    }
}
