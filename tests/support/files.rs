//! Meeting points of a test and its tasks, whatever process these run in: named pipes and files.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde::{Deserialize, Serialize};

/// A directory that is removed when dropped.
#[derive(Debug)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("procession-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // A process that had this one's number was killed before it could remove it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => panic!("a temporary directory: {error}"),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A named pipe, which nobody has opened.
    pub(crate) fn pipe(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a named pipe");
        path
    }

    /// A file to which tasks append lines.
    pub(crate) fn log(&self, name: &str) -> Log {
        let path = self.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.expect("a log");
        Log(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A gate before which tasks stop until the test lets them through: the end that tasks get, as an
/// argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Gate(PathBuf);

/// The end of a gate that the test holds.
#[derive(Debug)]
pub(crate) struct GateKeeper {
    directory: Directory,
    arrivals: File,
    passes: File,
}

/// A task that has come to a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) pid: u32,
    pub(crate) label: u32,
}

impl GateKeeper {
    pub(crate) fn new() -> Self {
        let directory = Directory::new();
        let pipe = |name| {
            // Open for both, it neither blocks here nor ever comes to an end.
            let both = OpenOptions::new()
                .read(true)
                .write(true)
                .open(directory.pipe(name));
            both.expect("a named pipe")
        };
        Self {
            arrivals: pipe("arrivals"),
            passes: pipe("passes"),
            directory,
        }
    }

    /// What tasks are given.
    pub(crate) fn gate(&self) -> Gate {
        Gate(self.directory.path().to_owned())
    }

    /// A file to which tasks append lines, as long as this lives.
    pub(crate) fn log(&self) -> Log {
        self.directory.log("log")
    }

    /// Waits for the next task to come to the gate.
    pub(crate) fn arrival(&self) -> Arrival {
        super::awaiting("a task to come to the gate");
        let mut bytes = [0; 8];
        (&self.arrivals)
            .read_exact(&mut bytes)
            .expect("a task arrives");
        let [a, b, c, d, e, f, g, h] = bytes;
        Arrival {
            pid: u32::from_ne_bytes([a, b, c, d]),
            label: u32::from_ne_bytes([e, f, g, h]),
        }
    }

    /// Waits for `count` tasks.
    pub(crate) fn arrivals(&self, count: usize) -> Vec<Arrival> {
        (0..count).map(|_| self.arrival()).collect()
    }

    /// How many tasks have come since, without waiting for one.
    pub(crate) fn arrived(&self) -> usize {
        let waiting = rustix::io::ioctl_fionread(&self.arrivals).expect("a named pipe");
        self.arrivals(waiting as usize / 8).len()
    }

    /// Lets `count` tasks through, those that wait or those to come.
    pub(crate) fn open(&self, count: usize) {
        (&self.passes)
            .write_all(&vec![0; count])
            .expect("the gate opens");
    }
}

impl Gate {
    /// In a task: says that it has come, and waits to be let through.
    pub(crate) fn pass(&self, label: u32) {
        self.arrive(label);
        let mut passes = File::open(self.0.join("passes")).expect("the gate");
        passes.read_exact(&mut [0]).expect("the gate opens");
    }

    /// In a task: says that it has come, and goes on.
    pub(crate) fn arrive(&self, label: u32) {
        let arrivals = OpenOptions::new().write(true).open(self.0.join("arrivals"));
        let mut bytes = std::process::id().to_ne_bytes().to_vec();
        bytes.extend(label.to_ne_bytes());
        // So few bytes are written at once or not at all.
        arrivals
            .expect("the gate")
            .write_all(&bytes)
            .expect("the gate");
    }
}

/// A file to which tasks append lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Log(PathBuf);

impl Log {
    /// In a task: one more line.
    pub(crate) fn add(&self, line: impl std::fmt::Display) {
        let mut file = OpenOptions::new()
            .append(true)
            .open(&self.0)
            .expect("the log");
        file.write_all(format!("{line}\n").as_bytes())
            .expect("the log");
    }

    /// The lines so far, in the order in which they were written.
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(&self.0).expect("the log");
        text.lines().map(str::to_owned).collect()
    }

    /// The lines so far, sorted.
    pub(crate) fn sorted(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.sort();
        lines
    }
}
