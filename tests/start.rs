//! How workers start: what they have, what they do not have, and what is said when they cannot.

mod programs;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use procession::{BuildError, EndOfWorker, ProcessPoolExecutor, TaskError};
use programs::{
    count_starts, describe, finish, program, program_at, programs, script, script_of, skip, starts,
    this_binary,
};
use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};
use support::{Directory, awaiting};

fn main() {
    programs::run_if_asked(&programs![
        ends_at_once,
        forgets_init,
        has_a_replaced_binary,
        has_no_proc,
        has_no_standard_streams,
        is_used_at_all,
        moves_away,
        prints_before_init,
        runs_on,
        starts_an_executor_without_init,
    ]);
    support::run(|| {
        support::tests![
            a_program_without_init_is_refused_before_anything_is_started,
            a_worker_that_ends_before_init_is_named_with_its_code,
            a_worker_that_dies_at_its_start_is_named_with_its_signal,
            a_worker_that_runs_on_without_init_is_given_up,
            a_worker_that_builds_an_executor_before_init_is_told_apart_at_once,
            what_is_printed_before_init_disturbs_nothing,
            a_program_that_cannot_be_executed_is_named,
            a_relative_program_is_found_after_the_directory_has_changed,
            a_worker_has_its_own_descriptors_and_no_others,
            a_descriptor_without_close_on_exec_is_closed_in_the_worker,
            a_kept_descriptor_has_its_number_in_every_worker,
            many_and_far_apart_descriptors_can_be_kept,
            the_standard_streams_can_be_kept,
            the_marker_is_not_left_in_the_environment,
            every_worker_leads_a_group_of_its_own,
            a_worker_bears_the_name_of_its_program,
            a_worker_starts_when_its_binary_has_been_deleted_or_replaced,
            without_proc_a_program_must_be_named,
            an_odd_name_of_the_program_is_no_obstacle,
            closed_standard_streams_are_no_obstacle,
            executors_nest_to_a_limit,
            workers_are_not_forked,
            a_pool_outlives_the_thread_that_built_it,
        ]
    });
}

// ---- tasks ----

#[procession::task]
fn answer() -> u32 {
    42
}

#[procession::task]
fn pid() -> u32 {
    std::process::id()
}

#[procession::task]
fn die() {
    std::process::abort()
}

#[procession::task]
fn variable(name: String) -> Option<String> {
    std::env::var(name).ok()
}

#[procession::task]
fn environment_of_a_grandchild() -> String {
    let output = Command::new("env").output().expect("env");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[procession::task]
fn group() -> i32 {
    rustix::process::getpgrp().as_raw_nonzero().get()
}

/// An open descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Descriptor {
    target: String,
    is_close_on_exec: bool,
}

/// The open descriptors of this process.
#[procession::task]
fn descriptors() -> BTreeMap<i32, Descriptor> {
    let entries = fs::read_dir("/proc/self/fd").expect("/proc/self/fd");
    let describe = |number: i32| {
        // The one through which this directory is read is no more.
        let target = fs::read_link(format!("/proc/self/fd/{number}")).ok()?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
        let flags = u32::from_str_radix(flags.trim(), 8).ok()?;
        let descriptor = Descriptor {
            target: target.to_string_lossy().into_owned(),
            is_close_on_exec: flags & 0o2_000_000 != 0,
        };
        Some((number, descriptor))
    };
    let numbers: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.into_iter().filter_map(describe).collect()
}

/// How deep executors can be nested below this one, and what is said then.
#[procession::task]
fn nest(depth: u32) -> (u32, String) {
    let pool = match ProcessPoolExecutor::builder().max_workers(1).build() {
        Ok(pool) => pool,
        Err(error) => return (depth, describe(&error)),
    };
    let nested = pool.submit(nest, depth + 1).expect("to be taken");
    nested.wait().expect("the nested executor's answer")
}

// ---- programs ----

/// Makes a pool and uses it.
fn is_used_at_all() {
    procession::init();
    let pool = pool(2);
    println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    let name = fs::read_to_string(format!("/proc/{worker}/comm")).expect("its name");
    println!("{}", name.trim_end());
}

fn forgets_init() {
    println!("{}", describe(&ProcessPoolExecutor::new().unwrap_err()));
}

fn ends_at_once() {
    std::process::exit(3);
}

fn runs_on() {
    loop {
        std::thread::park();
    }
}

fn starts_an_executor_without_init() {
    let itself = ProcessPoolExecutor::builder().program(this_binary());
    // This program would start itself, over and over.
    assert!(itself.build().is_err());
    runs_on();
}

fn prints_before_init() {
    print!("begun without an end of line, ");
    eprintln!("and on standard error");
    println!("and with one");
    procession::init();
    let pool = pool(1);
    println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
}

/// Has its own file taken away and replaced while it runs.
fn has_a_replaced_binary() {
    procession::init();
    let own = this_binary();
    let pool = pool(1);
    let replace_worker = || {
        let lost = pool.submit(die, ()).unwrap().wait();
        assert!(matches!(lost, Err(TaskError::WorkerLost(_))), "{lost:?}");
        println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
    };
    fs::remove_file(&own).expect("to remove the binary");
    replace_worker();
    fs::copy("/bin/false", &own).expect("another program in its place");
    replace_worker();
    let second = ProcessPoolExecutor::builder().max_workers(1).build();
    let second = second.expect("another pool");
    println!("{}", second.submit(answer, ()).unwrap().wait().unwrap());
}

/// Is run where nothing is mounted at `/proc`.
fn has_no_proc() {
    procession::init();
    let builder = || ProcessPoolExecutor::builder().max_workers(1);
    println!("{}", describe(&builder().build().unwrap_err()));
    let path = std::env::args_os().next().expect("its name");
    let (inherited, _keep) = rustix::pipe::pipe().expect("a pipe");
    let (kept, _keep) = rustix::pipe::pipe().expect("a pipe");
    let pool = builder().program(path).keep_fd(&kept).build();
    let pool = pool.unwrap_or_else(|error| panic!("{}", describe(&error)));
    println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
    let is_open = |fd: BorrowedFd<'_>| {
        let asked = pool.submit(is_a_pipe, fd.as_raw_fd());
        asked.unwrap().wait().unwrap()
    };
    println!("{} {}", is_open(kept.as_fd()), is_open(inherited.as_fd()));
}

/// Whether a pipe is open under this number, asked without `/proc`. (Something else may be, by now.)
#[procession::task]
fn is_a_pipe(number: i32) -> bool {
    // SAFETY: only to ask for its size; if the number is not open, or no pipe, the system says so.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::pipe::fcntl_getpipe_size(fd).is_ok()
}

/// Closes its standard streams, so that their numbers are free for whatever is opened next.
fn has_no_standard_streams() {
    procession::init();
    let result = PathBuf::from(std::env::args_os().nth(1).expect("where to put the result"));
    for number in 0..=2 {
        // SAFETY: nothing here owns these numbers, and nothing is printed from now on.
        unsafe { rustix::io::close(number) };
    }
    let text = match ProcessPoolExecutor::builder().max_workers(2).build() {
        Ok(pool) => {
            println!("This goes nowhere: not into a pipe of the pool's.");
            let lost = pool.submit(die, ()).unwrap().wait();
            eprintln!("Nor does this.");
            let answers: Result<Vec<u32>, _> = (0..20)
                .map(|_| pool.submit(answer, ()).unwrap().wait())
                .collect();
            format!("{} {:?}", lost.is_err(), answers.map(|all| all.len()))
        }
        Err(error) => describe(&error),
    };
    fs::write(result, text).expect("the result");
}

/// Changes its directory, and names its workers' program by a relative path.
fn moves_away() {
    procession::init();
    let name = this_binary();
    let name = name.file_name().expect("a name");
    let pool = ProcessPoolExecutor::builder().max_workers(1).program(name);
    let pool = pool
        .build()
        .unwrap_or_else(|error| panic!("{}", describe(&error)));
    std::env::set_current_dir("/").expect("to change to /");
    assert!(pool.submit(die, ()).unwrap().wait().is_err());
    println!("{}", pool.submit(answer, ()).unwrap().wait().unwrap());
}

// ---- tests: programs that do not call init ----

fn pool(workers: usize) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(workers);
    builder
        .build()
        .unwrap_or_else(|error| panic!("{}", describe(&error)))
}

fn a_program_without_init_is_refused_before_anything_is_started() {
    let directory = Directory::new();
    let finished = finish(count_starts(&mut program("forgets_init"), &directory)).succeeded();
    assert_eq!(
        finished.lines(),
        [
            "`procession::init()` has not been called: make it the first line of `main` \
          (or put `#[procession::main]` above it; in a test crate, `procession::init_in_tests!();`)"
        ]
    );
    assert_eq!(starts(&directory), 1);
}

/// Builds a pool of workers of a program that is not what it should be.
fn build_with(name: &str, start_timeout: Duration) -> (BuildError, usize) {
    let directory = Directory::new();
    let path = script_of(&directory, name);
    let builder = ProcessPoolExecutor::builder().max_workers(3).program(path);
    awaiting("the pool to say that its workers are of no use");
    let error = builder.start_timeout(start_timeout).build().unwrap_err();
    (error, starts(&directory))
}

/// Longer than a test may take.
const NEVER: Duration = Duration::from_secs(3600);

fn a_worker_that_ends_before_init_is_named_with_its_code() {
    let (error, started) = build_with("ends_at_once", NEVER);
    let BuildError::WorkerEnded { pid, ref end, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(*end, EndOfWorker::Exited(3));
    assert_eq!(
        error.to_string(),
        format!(
            "worker {pid} exited with code 3 before it was ready: does `main` call `procession::init()` first?"
        )
    );
    assert!(started <= 3, "{started} processes");
}

fn a_worker_that_dies_at_its_start_is_named_with_its_signal() {
    let directory = Directory::new();
    let path = script(&directory, "dies", "kill -KILL $$");
    let builder = ProcessPoolExecutor::builder().max_workers(2).program(path);
    let error = builder.start_timeout(NEVER).build().unwrap_err();
    let BuildError::WorkerEnded { pid, ref end, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(*end, EndOfWorker::Signalled(9));
    let text = error.to_string();
    assert!(
        text.starts_with(&format!(
            "worker {pid} was ended by SIGKILL (signal 9) before it was ready"
        )),
        "{text}"
    );
}

fn a_worker_that_runs_on_without_init_is_given_up() {
    let (error, started) = build_with("runs_on", Duration::from_millis(500));
    let BuildError::NoHello { pid, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(
        error.to_string(),
        format!(
            "worker {pid} did not come to `procession::init()` within the `start_timeout` of 500ms: is that the first line of `main`?"
        )
    );
    assert!(started <= 3, "{started} processes");
}

fn a_worker_that_builds_an_executor_before_init_is_told_apart_at_once() {
    let (error, started) = build_with("starts_an_executor_without_init", NEVER);
    let BuildError::NeverInitialised { pid } = error else {
        panic!("{error}");
    };
    assert_eq!(
        error.to_string(),
        format!(
            "worker {pid} came to an executor before `procession::init()`: make it the first line of `main`"
        )
    );
    assert!(started <= 3, "{started} processes");
}

fn what_is_printed_before_init_disturbs_nothing() {
    let finished = finish(&mut program("prints_before_init"));
    assert!(finished.status.success(), "{finished:#?}");
    // What a worker had not written when it reached `init()` it writes when it ends.
    assert_eq!(
        finished
            .stdout
            .matches("begun without an end of line, and with one\n")
            .count(),
        2,
        "{finished:#?}"
    );
    assert_eq!(finished.stdout.matches("42\n").count(), 1, "{finished:#?}");
    assert_eq!(finished.stderr, "and on standard error\n".repeat(2));
}

// ---- tests: other programs ----

fn a_program_that_cannot_be_executed_is_named() {
    let directory = Directory::new();
    let plain = directory.join("plain");
    fs::write(&plain, "no program").expect("a file");
    let garbled = script(&directory, "garbled", "");
    fs::write(&garbled, [0x7f, b'E', b'L', b'F', 0, 0]).expect("a file");
    let missing = directory.join("missing");
    let itself = directory.path().to_owned();
    for path in [missing, plain, garbled, itself] {
        let builder = ProcessPoolExecutor::builder().max_workers(2);
        let error = builder.program(&path).build().unwrap_err();
        assert!(matches!(error, BuildError::Spawn { .. }), "{error:?}");
        let text = describe(&error);
        assert!(text.contains(&*path.to_string_lossy()), "{text}");
    }
}

fn a_relative_program_is_found_after_the_directory_has_changed() {
    let own = this_binary();
    let directory = own.parent().expect("its directory");
    let finished = finish(program("moves_away").current_dir(directory));
    assert_eq!(finished.lines(), ["42"], "{finished:#?}");
}

// ---- tests: what a worker has ----

fn census_of_a_worker(pool: &ProcessPoolExecutor) -> BTreeMap<i32, Descriptor> {
    pool.submit(descriptors, ()).unwrap().wait().unwrap()
}

fn a_worker_has_its_own_descriptors_and_no_others() {
    // With siblings, whose descriptors it must not have.
    let pool = pool(3);
    let mut all = census_of_a_worker(&pool);
    let mut take = |number| all.remove(&number).map(|descriptor| descriptor.target);
    assert_eq!(take(0).as_deref(), Some("/dev/null"));
    let ours = |number: i32| fs::read_link(format!("/proc/self/fd/{number}")).ok();
    let path = |target: Option<String>| target.map(PathBuf::from);
    assert_eq!((path(take(1)), path(take(2))), (ours(1), ours(2)));
    assert!(all.values().all(|one| one.is_close_on_exec), "{all:#?}");
    let mut kinds: Vec<String> = all
        .values()
        .map(|one| one.target.split(':').next().unwrap_or_default().to_owned())
        .collect();
    kinds.sort();
    // Tasks, results, the control socket, the driver, and the program itself.
    let binary = this_binary().to_string_lossy().into_owned();
    assert_eq!(
        kinds,
        [binary.as_str(), "anon_inode", "pipe", "pipe", "socket"],
        "{all:#?}"
    );
}

/// A descriptor that children inherit.
struct Inherited(std::os::fd::OwnedFd);

impl Inherited {
    fn new() -> Self {
        let file = fs::File::open("/dev/zero").expect("/dev/zero");
        rustix::io::fcntl_setfd(&file, FdFlags::empty()).expect("its flags");
        Self(file.into())
    }

    /// At a chosen number.
    fn at(number: i32) -> Self {
        let free = rustix::io::fcntl_dupfd_cloexec(Self::new().0, number).expect("a number");
        assert_eq!(free.as_raw_fd(), number);
        rustix::io::fcntl_setfd(&free, FdFlags::empty()).expect("its flags");
        Self(free)
    }

    fn number(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn a_descriptor_without_close_on_exec_is_closed_in_the_worker() {
    let inherited = Inherited::new();
    let pool = pool(1);
    let all = census_of_a_worker(&pool);
    let there = all.get(&inherited.number());
    assert!(
        there.is_none_or(|other| other.target != "/dev/zero"),
        "{all:#?}"
    );
}

fn a_kept_descriptor_has_its_number_in_every_worker() {
    let kept = Inherited::new();
    let closed_meanwhile = Inherited::new();
    let number = closed_meanwhile.number();
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let pool = builder
        .keep_fd(&kept.0)
        .keep_fd(&closed_meanwhile.0)
        .build();
    let pool = pool.expect("a pool");
    drop(closed_meanwhile);
    for _ in 0..2 {
        let all = census_of_a_worker(&pool);
        for number in [kept.number(), number] {
            let there = all.get(&number).map(|one| one.target.as_str());
            assert_eq!(there, Some("/dev/zero"), "{number} of {all:#?}");
        }
        let foreign = all.values().filter(|one| one.target == "/dev/zero");
        assert_eq!(foreign.count(), 2, "{all:#?}");
        // The next worker is another one.
        assert!(pool.submit(die, ()).unwrap().wait().is_err());
    }
}

fn many_and_far_apart_descriptors_can_be_kept() {
    use rustix::process::{Resource, getrlimit};
    // As many as there may be, where the worker's own would be; and the last number there is.
    let mut kept: Vec<Inherited> = (0..198).map(|_| Inherited::new()).collect();
    kept.push(Inherited::at(700));
    let last = getrlimit(Resource::Nofile)
        .current
        .unwrap_or(1024)
        .min(1 << 20)
        - 1;
    kept.push(Inherited::at(i32::try_from(last).expect("a number")));
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    let pool = kept
        .iter()
        .fold(builder, |builder, one| builder.keep_fd(&one.0));
    let pool = pool
        .build()
        .unwrap_or_else(|error| panic!("{}", describe(&error)));
    let all = census_of_a_worker(&pool);
    for one in &kept {
        let there = all.get(&one.number()).map(|one| one.target.as_str());
        assert_eq!(there, Some("/dev/zero"), "{} of {all:#?}", one.number());
    }
    assert_eq!(all.len(), kept.len() + 8, "{all:#?}");
    drop(pool);
    let one_more = Inherited::new();
    let builder = ProcessPoolExecutor::builder().keep_fd(&one_more.0);
    let pool = kept
        .iter()
        .fold(builder, |builder, one| builder.keep_fd(&one.0));
    let error = pool.build().unwrap_err();
    assert_eq!(
        error.to_string(),
        "`keep_fd` must be at most 200 descriptors, not 201"
    );
}

fn the_standard_streams_can_be_kept() {
    let zero = Inherited::new();
    let builder = ProcessPoolExecutor::builder().max_workers(1);
    let builder = builder.keep_fd(std::io::stdin()).keep_fd(&zero.0);
    let pool = builder.build().expect("a pool");
    let all = census_of_a_worker(&pool);
    let own = fs::read_link("/proc/self/fd/0").expect("standard input");
    assert_eq!(all[&0].target, own.to_string_lossy());
    assert_eq!(all[&zero.number()].target, "/dev/zero");
}

fn the_marker_is_not_left_in_the_environment() {
    let pool = pool(1);
    let marker = pool.submit(variable, "PROCESSION_WORKER".to_owned());
    assert_eq!(marker.unwrap().wait().unwrap(), None);
    let all = pool
        .submit(environment_of_a_grandchild, ())
        .unwrap()
        .wait()
        .unwrap();
    assert!(all.contains("PATH="), "{all}");
    assert!(!all.contains("PROCESSION"), "{all}");
    assert_eq!(std::env::var_os("PROCESSION_WORKER"), None);
}

fn every_worker_leads_a_group_of_its_own() {
    let pool = pool(2);
    for _ in 0..4 {
        let pid = pool.submit(pid, ()).unwrap().wait().unwrap();
        // Nobody else was asked in between: the last worker that was used is used again.
        let group = pool.submit(group, ()).unwrap().wait().unwrap();
        assert_ne!(group, rustix::process::getpgrp().as_raw_nonzero().get());
        assert_eq!(u32::try_from(group).ok(), Some(pid));
    }
}

fn a_worker_bears_the_name_of_its_program() {
    let pool = pool(1);
    let worker = pool.submit(pid, ()).unwrap().wait().unwrap();
    let name_of = |place: &str| fs::read_to_string(format!("/proc/{place}/comm")).expect("a name");
    assert_eq!(name_of(&worker.to_string()), name_of("self"));
}

fn a_worker_starts_when_its_binary_has_been_deleted_or_replaced() {
    let directory = Directory::new();
    let copy = directory.join("copy");
    fs::copy(this_binary(), &copy).expect("a copy");
    let finished = finish(&mut program_at(&copy, "has_a_replaced_binary"));
    assert_eq!(finished.lines(), ["42", "42", "42"], "{finished:#?}");
    assert!(finished.status.success(), "{finished:#?}");
}

fn without_proc_a_program_must_be_named() {
    let can = finish(Command::new("unshare").args(["-m", "umount", "-l", "/proc"]));
    if !can.status.success() {
        return skip(&format!(
            "/proc cannot be unmounted here: {}",
            can.stderr.trim_end()
        ));
    }
    let mut command = program("has_no_proc");
    let own = this_binary();
    let mut unmounted = Command::new("unshare");
    unmounted
        .args(["-m", "sh", "-c", "umount -l /proc && exec \"$0\""])
        .arg(own);
    unmounted.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    unmounted.env_remove("RUST_BACKTRACE");
    command = unmounted;
    let finished = finish(&mut command);
    let lines = finished.lines();
    assert_eq!(lines.len(), 3, "{finished:#?}");
    assert!(
        lines[0].starts_with("this program cannot be found to start workers from it: name one with `.program(path)`: "),
        "{finished:#?}"
    );
    assert_eq!(lines[1..], ["42", "true false"], "{finished:#?}");
}

fn an_odd_name_of_the_program_is_no_obstacle() {
    for (name, shown) in [
        ("", "procession"),
        ("/", "procession"),
        ("a (strange) name\n", "a (strange) nam"),
        ("/usr/bin/longer than fifteen bytes", "longer than fif"),
        ("--help", "--help"),
    ] {
        let finished = finish(program("is_used_at_all").arg0(name)).succeeded();
        assert_eq!(finished.lines(), ["42", shown], "{name:?}");
    }
}

fn closed_standard_streams_are_no_obstacle() {
    let directory = Directory::new();
    // Closed before the program starts: the standard library puts /dev/null there.
    let path = script_of(&directory, "is_used_at_all");
    let out = directory.join("out");
    let closed = format!("{} <&- 2>&- >{}", path.display(), out.display());
    let finished = finish(Command::new("sh").args(["-c", &closed]));
    assert!(finished.status.success(), "{finished:#?}");
    let text = fs::read_to_string(out).expect("its output");
    assert!(text.starts_with("42\n"), "{text}");
    let closed = format!("{} <&- 2>&- >&-", path.display());
    let finished = finish(Command::new("sh").args(["-c", &closed]));
    // It cannot print; nothing else is wrong with it.
    assert!(finished.status.success(), "{finished:#?}");
    // Closed by the program itself: the numbers are free.
    let result = directory.join("result");
    finish(program("has_no_standard_streams").arg(&result));
    let text = fs::read_to_string(result).expect("the result");
    assert_eq!(text, "true Ok(20)");
}

// ---- tests: how a worker is started ----

fn executors_nest_to_a_limit() {
    let pool = pool(1);
    let (depth, error) = pool.submit(nest, 1).unwrap().wait().unwrap();
    assert_eq!(depth, 10);
    assert_eq!(
        error,
        "executors and processes are nested 11 deep, 10 are allowed"
    );
}

/// A `fork` copies the page tables of a driver, which may be large, and stops all its threads
/// meanwhile.
fn workers_are_not_forked() {
    let directory = Directory::new();
    let trace = directory.join("trace");
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-e",
        "trace=fork,vfork,clone,clone3,execve",
        "-o",
    ]);
    command.arg(&trace).arg(this_binary());
    command.env("PROCESSION_TEST_PROGRAM", "is_used_at_all");
    if Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .status()
        .is_err()
    {
        return skip("there is no strace");
    }
    let finished = finish(&mut command);
    if !finished.status.success() && finished.stderr.contains("ptrace") {
        return skip("strace is not permitted");
    }
    assert!(finished.stdout.starts_with("42\n"), "{finished:#?}");
    let text = fs::read_to_string(trace).expect("the trace");
    let calls = |name: &str| -> Vec<&str> {
        text.lines()
            .filter(|line| line.contains(name) && !line.contains("resumed"))
            .collect()
    };
    assert_eq!(calls(" fork("), Vec::<&str>::new(), "{text}");
    let processes: Vec<&str> = calls(" clone")
        .into_iter()
        .filter(|line| !line.contains("CLONE_THREAD"))
        .collect();
    assert_eq!(processes.len() + calls(" vfork(").len(), 2, "{text}");
    assert!(
        processes.iter().all(|line| line.contains("CLONE_VFORK")),
        "{text}"
    );
    let executed = calls("execve(\"/proc/self/fd/");
    assert_eq!(executed.len(), 2, "{text}");
}

fn a_pool_outlives_the_thread_that_built_it() {
    let built = std::thread::spawn(|| {
        let pool = pool(1);
        let future = pool.submit(answer, ()).unwrap();
        (pool, future)
    });
    let (pool, future) = built.join().expect("a thread");
    assert_eq!(future.wait().unwrap(), 42);
    assert!(pool.submit(die, ()).unwrap().wait().is_err());
    // The worker that came for it was started by no thread of the test's.
    assert_eq!(pool.submit(answer, ()).unwrap().wait().unwrap(), 42);
}
