//! The registered function, and the marks that its runs leave.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::support::{exit_at_once, segfault, signal};

/// The variable of the workers' environment that names the file of marks.
pub(crate) const MARKS: &str = "PROCESSION_CHAOS_MARKS";

/// How a grandchild is known from other processes.
const FOREVER: &str = "1000001";

/// What a task is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: u64,
    pub(crate) deed: Deed,
    /// How long its result is to be, in bytes.
    pub(crate) length: usize,
    /// Makes its argument long.
    pub(crate) ballast: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Deed {
    Nothing,
    Sleep {
        us: u64,
    },
    Spin {
        us: u64,
    },
    /// Prints so many lines to standard error.
    Print {
        lines: u32,
    },
    /// Goes on until it is asked to stop.
    Heed,
    SleepForEver,
    SpinForEver,
    /// Waits for a process of its own that never ends.
    HaveAChild,
    Panic,
    Refuse,
    Segfault,
    Abort,
    Exit {
        code: i32,
    },
    ExitAtOnce {
        code: i32,
    },
    Signal {
        signal: i32,
    },
}

impl Deed {
    /// It ends only when it is made to.
    pub(crate) fn is_endless(self) -> bool {
        matches!(
            self,
            Self::SleepForEver | Self::SpinForEver | Self::HaveAChild
        )
    }
}

/// A text of this length that is nobody else's.
pub(crate) fn expected_text(id: u64, length: usize) -> String {
    let mut text = format!("{id:016x}").repeat(length / 16 + 1);
    text.truncate(length);
    text
}

#[procession::task]
pub(crate) fn work(order: Order) -> Result<String, String> {
    let Order {
        id,
        deed,
        length,
        ballast,
    } = order;
    mark(id, Kind::Begun);
    assert_eq!(
        ballast,
        expected_text(!id, ballast.len()),
        "the argument came as it was sent"
    );
    match deed {
        Deed::Nothing => {}
        Deed::Sleep { us } => std::thread::sleep(Duration::from_micros(us)),
        Deed::Spin { us } => {
            let end = Instant::now() + Duration::from_micros(us);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        }
        Deed::Print { lines } => {
            for line in 0..lines {
                eprintln!("{id} {line}");
            }
        }
        Deed::Heed => {
            while !procession::is_cancelled() {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        Deed::SleepForEver => loop {
            std::thread::park();
        },
        Deed::SpinForEver => loop {
            std::hint::spin_loop();
        },
        Deed::HaveAChild => {
            let child = Command::new("sleep").arg(FOREVER).spawn();
            let mut child = child.map_err(|error| error.to_string())?;
            mark(u64::from(child.id()), Kind::Child);
            let _ = child.wait();
        }
        Deed::Panic => panic!("panic of {id}"),
        Deed::Refuse => {
            mark(id, Kind::Ended);
            return Err(format!("refusal of {id}"));
        }
        _ => die(id, deed),
    }
    mark(id, Kind::Ended);
    Ok(expected_text(id, length))
}

fn die(id: u64, deed: Deed) {
    mark(id, Kind::Dies);
    match deed {
        Deed::Segfault => segfault(),
        Deed::Abort => std::process::abort(),
        Deed::Exit { code } => std::process::exit(code),
        Deed::ExitAtOnce { code } => exit_at_once(code),
        Deed::Signal { signal: number } => signal(std::process::id(), number),
        other => unreachable!("{other:?}"),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Begun = 0,
    Ended = 1,
    Dies = 2,
    Child = 3,
}

/// Leaves a mark that no death can take back: it has been handed to the kernel, whole or not at all.
fn mark(id: u64, kind: Kind) {
    static FILE: OnceLock<File> = OnceLock::new();
    let mut file = FILE.get_or_init(|| {
        let path = std::env::var_os(MARKS).expect("the name of the file of marks");
        OpenOptions::new()
            .append(true)
            .open(path)
            .expect("the file of marks")
    });
    let mut record = [0; 16];
    record[..8].copy_from_slice(&id.to_ne_bytes());
    record[8..12].copy_from_slice(&std::process::id().to_ne_bytes());
    record[12] = kind as u8;
    let written = file.write(&record).expect("the file of marks");
    assert_eq!(written, record.len(), "a mark is written whole");
}

/// What the runs of a round have left.
#[derive(Default)]
pub(crate) struct Marks {
    /// How often each task has begun, and come to its end.
    runs: HashMap<u64, (u32, u32)>,
    /// What was about to end each worker from within.
    pub(crate) deaths: HashMap<u32, Vec<u64>>,
    /// What tasks have started.
    pub(crate) children: Vec<u32>,
}

impl Marks {
    pub(crate) fn read(path: &Path) -> Self {
        let mut marks = Self::default();
        let bytes = std::fs::read(path).expect("the file of marks");
        let (records, rest) = bytes.as_chunks::<16>();
        assert!(rest.is_empty(), "marks are written whole");
        for record in records {
            let [a, b, c, d, e, f, g, h, p, i, j, k, kind, ..] = *record;
            let id = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
            let pid = u32::from_ne_bytes([p, i, j, k]);
            match kind {
                0 => marks.runs.entry(id).or_default().0 += 1,
                1 => marks.runs.entry(id).or_default().1 += 1,
                2 => marks.deaths.entry(pid).or_default().push(id),
                _ => marks.children.push(id as u32),
            }
        }
        marks
    }

    /// How often a task has begun, and how often it has come to its end.
    pub(crate) fn runs(&self, id: u64) -> (u32, u32) {
        self.runs.get(&id).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> u64 {
        self.runs.values().map(|runs| u64::from(runs.0)).sum()
    }

    /// The children of tasks that still run. (One that is dead, and that nobody has reaped, does not.)
    pub(crate) fn living_children(&self) -> Vec<u32> {
        let is_living = |pid: &&u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            words
                .windows(FOREVER.len())
                .any(|part| part == FOREVER.as_bytes())
        };
        self.children.iter().filter(is_living).copied().collect()
    }
}
