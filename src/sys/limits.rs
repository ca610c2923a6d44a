//! What a worker allows itself, and what it has used.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::primitives::AtomicU64;

/// How much address space must be left for a worker's own needs (a thread's stack, buffers, an arena of the allocator)
/// when its limit is set.
const SPARE: u64 = 16 << 20;

/// Bounds what this process may map, in bytes.
pub(crate) fn limit_address_space(bytes: u64) -> io::Result<()> {
    let (mapped, _) = MemoryGauge::open()?.read()?;
    if bytes < mapped.saturating_add(SPARE) {
        return Err(io::Error::other(format!(
            "at least {} MiB are needed, of which this program takes {} from the start",
            (mapped + SPARE).div_ceil(1 << 20),
            mapped.div_ceil(1 << 20)
        )));
    }
    limit(Resource::As, bytes)
}

/// Bounds how many descriptors this process may have open.
pub(crate) fn limit_open_files(count: u64) -> io::Result<()> {
    limit(Resource::Nofile, count)
}

/// Lets this process have as many descriptors open as the system allows it to ask for.
pub(crate) fn allow_open_files() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(setrlimit(Resource::Nofile, all)?)
}

/// Bounds the size of a core dump of this process, in bytes.
pub(crate) fn limit_core(bytes: u64) -> io::Result<()> {
    limit(Resource::Core, bytes)
}

fn limit(resource: Resource, value: u64) -> io::Result<()> {
    let hard = getrlimit(resource).maximum;
    if hard.is_some_and(|hard| value > hard) {
        return Err(io::Error::other(format!(
            "the system allows {}",
            hard.unwrap_or(0)
        )));
    }
    let both = Rlimit {
        current: Some(value),
        maximum: Some(value),
    };
    Ok(setrlimit(resource, both)?)
}

/// Has this process sent SIGXCPU when it has used so much more CPU time, in whole seconds, rounded up.
pub(crate) fn allow_cpu_time(more: Duration) -> io::Result<()> {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let used = Duration::new(used.tv_sec.max(0) as u64, used.tv_nsec.max(0) as u32);
    let until = used.saturating_add(more);
    let seconds = until
        .as_secs()
        .saturating_add(u64::from(until.subsec_nanos() > 0));
    let hard = getrlimit(Resource::Cpu).maximum;
    let limit = Rlimit {
        // What is allowed to this process altogether is not for this crate to exceed.
        current: Some(hard.map_or(seconds, |hard| seconds.min(hard))),
        maximum: hard,
    };
    Ok(setrlimit(Resource::Cpu, limit)?)
}

/// Refuses a file that would be longer than this process's files may be (`RLIMIT_FSIZE`): the system would send it SIGXFSZ, which ends
/// it. Memory without a name, too, is a file.
pub(super) fn check_file_len(len: u64) -> io::Result<()> {
    match getrlimit(Resource::Fsize).current {
        Some(limit) if limit < len => {
            let what = "the limit for the length of files is below what the memory could need";
            Err(io::Error::new(io::ErrorKind::FileTooLarge, what))
        }
        _ => Ok(()),
    }
}

/// Sets the niceness of this thread, and of those that it starts.
pub(crate) fn set_niceness(niceness: i32) -> io::Result<()> {
    Ok(setpriority_process(None, niceness)?)
}

/// Restricts this thread, and those that it starts, to these CPUs.
pub(crate) fn set_affinity(cpus: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if cpu as usize >= CpuSet::MAX_CPU {
            return Err(io::Error::other(format!("there is no CPU {cpu}")));
        }
        set.set(cpu as usize);
    }
    sched_setaffinity(None, &set)?;
    // The system leaves out what is not there without a word, unless nothing is left.
    let granted = sched_getaffinity(None)?;
    match cpus.iter().find(|cpu| !granted.is_set(**cpu as usize)) {
        Some(cpu) => Err(io::Error::other(format!("CPU {cpu} is not to be had"))),
        None => Ok(()),
    }
}

/// Sets the working directory.
pub(crate) fn enter_directory(directory: &Path) -> io::Result<()> {
    Ok(rustix::process::chdir(directory)?)
}

/// Tells how much memory this process has. It keeps the file open that says so: one system call for each look, and none that
/// fails when the process has no descriptor left.
#[derive(Debug)]
pub(crate) struct MemoryGauge(File);

impl MemoryGauge {
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(File::open("/proc/self/statm")?))
    }

    /// How much is resident, in KiB.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let (_, resident) = self.read().ok()?;
        Some(resident / 1024)
    }

    /// How much is mapped, and how much of it is resident, in bytes.
    fn read(&self) -> io::Result<(u64, u64)> {
        let mut buffer = [0; 128];
        let length = self.0.read_at(&mut buffer, 0)?;
        let page = rustix::param::page_size() as u64;
        let text = std::str::from_utf8(&buffer[..length]).unwrap_or_default();
        let mut pages = text.split(' ').map(|field| field.parse::<u64>().ok());
        match (pages.next().flatten(), pages.next().flatten()) {
            (Some(mapped), Some(resident)) => {
                Ok((mapped.saturating_mul(page), resident.saturating_mul(page)))
            }
            _ => Err(io::Error::other("/proc/self/statm cannot be read")),
        }
    }
}

/// The peak of this process's resident memory that `wait4` would tell now, in KiB; and whether it is this
/// program's own. If not, it is that of the program that started it: the system hands it on, through fork and exec.
pub(crate) fn peak_so_far_kib() -> (u64, bool) {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the place is one for an rusage, which zeros are, and the call keeps no pointer to it.
    // https://man7.org/linux/man-pages/man2/getrusage.2.html
    let peak = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init().ru_maxrss
    };
    let peak = u64::try_from(peak).unwrap_or(0);
    let own = std::fs::read_to_string("/proc/self/status").ok();
    let own = own.as_deref().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    (peak, own.is_some_and(|own| own >= peak))
}

/// What [`note_failed_allocations_in`] leaves in its word.
pub(crate) const ALLOCATION_FAILED: u64 = u64::MAX;

/// Where the handler leaves its note; null for nowhere.
static NOTE: AtomicPtr<AtomicU64> = AtomicPtr::new(std::ptr::null_mut());

/// The actions that were there before, for the signals of [`FATAL`] in their order.
static BEFORE: [AtomicPtr<libc::sigaction>; FATAL.len()] =
    [const { AtomicPtr::new(std::ptr::null_mut()) }; FATAL.len()];

/// How a process ends that could not get memory: Rust and C++ abort; C that does not look follows a null pointer.
const FATAL: [libc::c_int; 3] = [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS];

/// From now on, [`ALLOCATION_FAILED`] is left in `word` when this process is about to end by a signal as it does
/// when it cannot get memory. For a process that is ours, whose memory is limited.
///
/// The error number of the thread tells: an allocation that fails leaves `ENOMEM` there, and what comes between that and
/// the signal (a message on standard error) does not touch it, as long as it succeeds. What this thread has done before is
/// forgotten here.
pub(crate) fn note_failed_allocations_in(word: &'static AtomicU64) {
    // SAFETY: the address of this thread's own error number, which is always there.
    unsafe { *libc::__errno_location() = 0 };
    let is_installed = !NOTE
        .swap(std::ptr::from_ref(word).cast_mut(), Ordering::AcqRel)
        .is_null();
    if is_installed {
        return;
    }
    for (signal, before) in FATAL.iter().zip(&BEFORE) {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        let mut previous = Box::new(std::mem::MaybeUninit::<libc::sigaction>::zeroed());
        // SAFETY: an action of zeros is one without flags and with an empty mask; its handler is set to a
        // function of the type that SA_SIGINFO asks for, which does only what a handler may (see there). The
        // previous action is written to a place of its type.
        // https://man7.org/linux/man-pages/man2/sigaction.2.html
        let is_set = unsafe {
            let place = action.as_mut_ptr();
            (*place).sa_sigaction = note_and_step_aside as *const () as usize;
            (*place).sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            libc::sigaction(*signal, place, previous.as_mut_ptr()) == 0
        };
        if is_set {
            // Kept for the handler, for the life of the process.
            let previous = Box::leak(previous).as_mut_ptr();
            before.store(previous, Ordering::Release);
        }
    }
}

/// The handler: leaves its note, puts back what was there before, and returns. What raised the signal raises it again (the
/// instruction is executed anew; what was sent is sent again from here), and then it is the business of whoever was there before.
extern "C" fn note_and_step_aside(
    signal: libc::c_int,
    information: *mut libc::siginfo_t,
    _: *mut libc::c_void,
) {
    // SAFETY: the address of this thread's own error number, which is always there.
    let has_failed = unsafe { *libc::__errno_location() } == libc::ENOMEM;
    let note = NOTE.load(Ordering::Acquire);
    if has_failed && !note.is_null() {
        // SAFETY: a pointer that is not null was made of a `&'static AtomicU64`. Storing to an atomic is allowed in a
        // signal handler.
        unsafe { (*note).store(ALLOCATION_FAILED, Ordering::Release) };
    }
    for (fatal, before) in FATAL.iter().zip(&BEFORE) {
        let previous = before.load(Ordering::Acquire);
        if *fatal == signal && !previous.is_null() {
            // SAFETY: `previous` was filled by `sigaction` and is never freed; the call is one that a handler may make.
            unsafe { libc::sigaction(signal, previous, std::ptr::null_mut()) };
        }
    }
    // SAFETY: the handler is installed with `SA_SIGINFO`, so that the system passes a valid pointer, if any.
    let is_sent =
        unsafe { information.as_ref() }.is_some_and(|information| information.si_code <= 0);
    if is_sent {
        // Nobody would send it a second time.
        // SAFETY: a call that a handler may make.
        unsafe { libc::raise(signal) };
    }
}
