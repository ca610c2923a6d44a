//! How much memory workers had, and who ended them for it.

use std::fs;
use std::path::{Path, PathBuf};

use procession::EndOfWorker;

use super::programs::{self, finish, program, skip};
use super::support::{self, Case, until};
use super::tasks::*;
use super::{builder, lost};

pub(crate) fn programs() -> Vec<programs::Entry> {
    programs::programs![tells_peaks, is_short_of_memory].into()
}

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        the_error_tells_how_much_memory_a_worker_had,
        a_kill_for_lack_of_memory_is_told_from_any_other,
    ]
}

// ---- peaks ----

/// In a process of its own: what this one has had at its peak, its workers are said to have had, too.
fn tells_peaks() {
    procession::init();
    let pool = builder(1).build().unwrap();
    let peak = |mib| {
        let lost = lost(&pool.submit(touch_and_die, mib).unwrap());
        let peak_mib = lost.peak_memory.map(|bytes| bytes >> 20);
        println!(
            "{}",
            peak_mib.map_or("unknown".into(), |mib| mib.to_string())
        );
    };
    peak(200);
    peak(1);
    drop(touched(300));
    // Of those to be started from here on: the one that is there has been started before.
    peak(2);
    peak(2);
    peak(400);
}

fn the_error_tells_how_much_memory_a_worker_had() {
    let finished = finish(&mut program("tells_peaks")).succeeded();
    let peaks: Vec<Option<u64>> = finished
        .lines()
        .iter()
        .map(|line| line.parse().ok())
        .collect();
    let [large, small, _, below_ours, above_ours] = peaks[..] else {
        panic!("{peaks:?}");
    };
    let within = |peak: Option<u64>, least: u64| {
        let range = least..least + 60;
        assert!(peak.is_some_and(|peak| range.contains(&peak)), "{peaks:?}");
    };
    within(large, 200);
    within(above_ours, 400);
    assert!(small.is_none_or(|peak| peak < 60), "{peaks:?}");
    assert_eq!(below_ours, None, "it cannot be known: {peaks:?}");
}

// ---- kills for lack of memory ----

/// More than a driver and a worker need.
const LIMIT: u64 = 96 << 20;

/// Joins the group that it is given, and has workers that do not fit into it.
fn is_short_of_memory() {
    let group = std::env::args().nth(1);
    if !procession_worker() {
        let group = PathBuf::from(group.expect("the group to join"));
        let own = std::process::id().to_string();
        fs::write(group.join("cgroup.procs"), own).expect("to join the group");
    }
    procession::init();
    let pool = builder(2).build().unwrap();
    for _ in 0..2 {
        println!("{:?}", lost(&pool.submit(touch, 400).unwrap()).end);
        println!("{:?}", lost(&pool.submit(touch_and_die, 1).unwrap()).end);
        pool.submit(touch, 1).unwrap().wait().unwrap();
    }
    println!("{:?}", lost(&pool.submit(touch_and_die, 1).unwrap()).end);
}

fn procession_worker() -> bool {
    std::env::var_os("PROCESSION_WORKER").is_some()
}

fn a_kill_for_lack_of_memory_is_told_from_any_other() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(why) => return skip(&format!("no memory cgroup can be made here: {why}")),
    };
    let finished = finish(program("is_short_of_memory").arg(&group.0)).succeeded();
    let (short, killed) = (
        EndOfWorker::OomKilled,
        EndOfWorker::Signalled(libc::SIGKILL),
    );
    let expected = [&short, &killed, &short, &killed, &killed];
    assert_eq!(finished.lines(), expected.map(|end| format!("{end:?}")));
}

/// A cgroup below that of this process, with little memory. It is removed when dropped.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self, String> {
        let known = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let mount = Path::new("/sys/fs/cgroup");
        let mut why = String::from("there is no memory controller");
        for line in known.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(own)) = (fields.next(), fields.next()) else {
                continue;
            };
            let (root, files) = if controllers.split(',').any(|name| name == "memory") {
                let swap = "memory.memsw.limit_in_bytes";
                (mount.join("memory"), ["memory.limit_in_bytes", swap])
            } else if controllers.is_empty() {
                (mount.to_owned(), ["memory.max", "memory.swap.max"])
            } else {
                continue;
            };
            let own = root.join(own.trim_start_matches('/'));
            match Self::below(&own, files) {
                Ok(group) => return Ok(group),
                Err(error) => why = format!("{}: {error}", own.display()),
            }
        }
        Err(why)
    }

    fn below(own: &Path, [memory, swap]: [&str; 2]) -> std::io::Result<Self> {
        let group = Self(own.join(format!("procession-test-{}", std::process::id())));
        fs::create_dir(&group.0)?;
        fs::write(group.0.join(memory), LIMIT.to_string())?;
        // Nothing is to be said about swap where there is none.
        let limit = if swap.ends_with("max") { 0 } else { LIMIT };
        let _ = fs::write(group.0.join(swap), limit.to_string());
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.0.exists() {
            until("the cgroup to be empty", || fs::remove_dir(&self.0).is_ok());
        }
    }
}
