//! What this process has at a moment: children, threads, descriptors, mappings of status pages and of shared memory, and files
//! in shared memory that have its number in their names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A count of what could be left behind.
pub(crate) struct Census {
    children: BTreeSet<u32>,
    threads: BTreeSet<u32>,
    descriptors: BTreeMap<u32, String>,
    mappings: BTreeSet<String>,
    segments: BTreeSet<String>,
}

/// A thread of this process.
pub(crate) struct Task {
    pub(crate) id: u32,
    pub(crate) name: String,
    state: String,
    waits_in: String,
    pub(crate) kernel_stack: String,
}

/// A child of this process, perhaps a zombie.
pub(crate) struct ChildProcess {
    pub(crate) pid: u32,
    pub(crate) name: String,
    /// One letter: R, S, D, T (stopped), Z (zombie)…
    pub(crate) state: char,
    waits_in: String,
}

impl Census {
    pub(crate) fn take() -> Self {
        Self {
            children: children().into_iter().map(|child| child.pid).collect(),
            threads: threads().into_iter().map(|task| task.id).collect(),
            descriptors: descriptors(),
            mappings: mappings(),
            segments: segments(),
        }
    }

    /// What is there now that was not there then, as text; `None` when nothing is. Children must be
    /// gone at once. Threads, descriptors and mappings may take a moment: a joined thread is taken
    /// off the kernel's list after it has woken its joiner.
    pub(crate) fn left_over(&self, settling: Duration) -> Option<String> {
        let mut left = String::new();
        for child in children() {
            if !self.children.contains(&child.pid) {
                let _ = writeln!(left, "  child process {child}");
            }
        }
        let deadline = Instant::now() + settling;
        loop {
            let more = self.kernel_left_over();
            if more.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                left += &more;
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        (!left.is_empty()).then_some(left)
    }

    fn kernel_left_over(&self) -> String {
        let mut left = String::new();
        let watchdogs = |task: &Task| task.name == "watchdog";
        for task in threads().iter().filter(|task| !watchdogs(task)) {
            if !self.threads.contains(&task.id) {
                let _ = writeln!(left, "  thread {task}");
            }
        }
        for (fd, what) in descriptors() {
            if self.descriptors.get(&fd) != Some(&what) {
                let _ = writeln!(left, "  descriptor {fd}: {what}");
            }
        }
        for mapping in mappings().difference(&self.mappings) {
            let _ = writeln!(left, "  mapping {mapping}");
        }
        for segment in segments().difference(&self.segments) {
            let _ = writeln!(left, "  shared memory {segment}");
        }
        left
    }
}

impl Task {
    /// Whether it sleeps in a kernel function with this in its name; any, where that is secret.
    pub(crate) fn sleeps_in(&self, function: &str) -> bool {
        let is_secret = self.waits_in.starts_with("0 ") || self.waits_in.starts_with(' ');
        self.state == "S" && (is_secret || self.waits_in.contains(function))
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            name,
            state,
            waits_in,
            ..
        } = self;
        write!(f, "{id} {name} [{state}] in {waits_in}")
    }
}

impl fmt::Display for ChildProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pid,
            name,
            state,
            waits_in,
        } = self;
        write!(f, "{pid} {name} [{state}] in {waits_in}")
    }
}

/// The threads of this process.
pub(crate) fn threads() -> Vec<Task> {
    numbered(Path::new("/proc/self/task"))
        .into_iter()
        .filter_map(|id| {
            let place = format!("/proc/self/task/{id}");
            let (name, state, _) = stat(&place)?;
            Some(Task {
                id,
                name,
                state: state.to_string(),
                waits_in: waits_in(&place),
                kernel_stack: fs::read_to_string(format!("{place}/stack")).unwrap_or_default(),
            })
        })
        .collect()
}

/// The processes whose parent is this one, zombies among them.
pub(crate) fn children() -> Vec<ChildProcess> {
    numbered(Path::new("/proc"))
        .into_iter()
        .filter_map(|pid| {
            let place = format!("/proc/{pid}");
            let (name, state, parent) = stat(&place)?;
            (parent == std::process::id()).then(|| ChildProcess {
                pid,
                name,
                state,
                waits_in: waits_in(&place),
            })
        })
        .collect()
}

/// The state of a process, as one letter; `None` when there is no such process.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    stat(&format!("/proc/{pid}")).map(|(_, state, _)| state)
}

/// The parent of a process; `None` when there is no such process.
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    stat(&format!("/proc/{pid}")).map(|(.., parent)| parent)
}

/// The open descriptors, and what they are.
pub(crate) fn descriptors() -> BTreeMap<u32, String> {
    let place = Path::new("/proc/self/fd");
    numbered(place)
        .into_iter()
        .filter_map(|fd| {
            // The one that was open to read this very directory is no more.
            let target = fs::read_link(place.join(fd.to_string())).ok()?;
            Some((fd, target.to_string_lossy().into_owned()))
        })
        .collect()
}

/// How many bytes are allocated, where the C library can tell.
pub(crate) fn allocated_memory() -> Option<u64> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: it reads the allocator's own figures, under its locks.
        let figures = unsafe { libc::mallinfo2() };
        Some((figures.uordblks + figures.hblkhd) as u64)
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    None
}

fn mappings() -> BTreeSet<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
    let status = maps.lines().filter(|line| line.contains("procession-"));
    status.map(str::to_owned).collect()
}

/// Shared memory that a test has given a name: `…-<the number of this process>-…`, see `segment_name`. Others on this machine
/// have theirs.
fn segments() -> BTreeSet<String> {
    let ours = format!("-{}-", std::process::id());
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains(&ours)).collect()
}

/// A name for shared memory, of which the census knows whose it is.
pub(crate) fn segment_name(what: &str) -> String {
    format!("procession-test-{}-{what}", std::process::id())
}

/// The entries of a directory whose names are numbers.
fn numbered(directory: &Path) -> Vec<u32> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{directory:?}: {error}"));
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect()
}

/// Name, state and parent. `None` when it has gone meanwhile.
fn stat(place: &str) -> Option<(String, char, u32)> {
    let text = fs::read_to_string(format!("{place}/stat")).ok()?;
    // The name may hold anything, parentheses too.
    let (front, rest) = text.rsplit_once(") ")?;
    let name = front.split_once('(')?.1.to_owned();
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((name, state, fields.next()?.parse().ok()?))
}

/// The kernel function that it sleeps in, and its system call, as far as this may be known.
fn waits_in(place: &str) -> String {
    let read = |file| fs::read_to_string(format!("{place}/{file}")).unwrap_or_default();
    let (function, call) = (read("wchan"), read("syscall"));
    let call = call.split(' ').next().unwrap_or_default().trim();
    format!("{function} (system call {call})")
}
