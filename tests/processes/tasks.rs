//! The registered functions.

use std::io::{Read as _, Write as _};

use procession::queue::Queue;
use procession::shared::{Array, SharedBytes, SharedMemory};
use procession::{
    CurrentProcess, Descriptor, Failure, Process, ProcessPoolExecutor, SpawnError, active_children,
    current_process,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::support::{self, Gate};

#[procession::task]
pub(crate) fn add(a: u64, b: u64) -> u64 {
    a + b
}

#[procession::task]
pub(crate) fn nothing() {}

#[procession::task]
pub(crate) fn fail(message: String) -> Result<u64, String> {
    Err(message)
}

#[procession::task]
pub(crate) fn panic(message: String) {
    panic!("{message}");
}

#[procession::task]
pub(crate) fn exit(code: i32) {
    std::process::exit(code);
}

#[procession::task]
pub(crate) fn exit_at_once(code: i32) {
    support::exit_at_once(code);
}

#[procession::task]
pub(crate) fn abort() {
    std::process::abort();
}

#[procession::task]
pub(crate) fn segfault() {
    support::segfault();
}

#[procession::task]
pub(crate) fn end_with(signal: i32) {
    support::signal(std::process::id(), signal);
    park();
}

#[procession::task]
pub(crate) fn park() {
    loop {
        std::thread::park();
    }
}

#[procession::task]
pub(crate) fn pass(gate: Gate, label: u32) -> u32 {
    gate.pass(label);
    label
}

#[procession::task]
pub(crate) fn repeat(byte: u8, times: usize) -> Vec<u8> {
    vec![byte; 60 * times]
}

#[procession::task]
pub(crate) fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

#[procession::task]
pub(crate) fn who() -> (CurrentProcessAsData, usize) {
    (current_process().into(), active_children().len())
}

/// What may travel of a [`CurrentProcess`].
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CurrentProcessAsData {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) parent_pid: u32,
    pub(crate) is_daemon: bool,
}

impl From<CurrentProcess> for CurrentProcessAsData {
    fn from(current: CurrentProcess) -> Self {
        Self {
            name: current.name,
            pid: current.pid,
            parent_pid: current.parent_pid,
            is_daemon: current.is_daemon,
        }
    }
}

/// Ignores the signals that can be, and says so.
#[procession::task]
pub(crate) fn be_stubborn(gate: Gate) {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        support::ignore(signal);
    }
    gate.arrive(0);
    park();
}

/// Writes its own place among its siblings into a pipe, then has two children do so.
#[procession::task]
pub(crate) fn recurse(place: Vec<u32>, to: Descriptor) -> Result<(), Failure> {
    let mut line = std::fs::File::from(to.try_clone_to_owned()?);
    writeln!(line, "{place:?}")?;
    if place.len() < 2 {
        for n in 0..2 {
            let place = place.iter().copied().chain([n]).collect();
            Process::spawn(recurse, (place, to.clone()))?.join()??;
        }
    }
    Ok(())
}

/// Starts processes within one another until that is refused; says how many there were.
#[procession::task]
pub(crate) fn descend(depth: u32) -> Result<(u32, String), Failure> {
    match Process::spawn(descend, depth + 1) {
        Ok(process) => Ok(process.join()??),
        Err(SpawnError::Start(error)) => Ok((depth, error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// What there is to read on its standard input.
#[procession::task]
pub(crate) fn listen() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// A thread that goes on when the function has returned.
#[procession::task]
pub(crate) fn leave_a_thread(gate: Gate) -> u32 {
    std::thread::spawn(move || {
        gate.pass(1);
        std::process::exit(77);
    });
    7
}

/// The kernel's number of the thread that runs it.
#[procession::task]
pub(crate) fn thread_number() -> (u32, i32) {
    let thread = rustix::thread::gettid();
    (std::process::id(), thread.as_raw_nonzero().get())
}

/// A child of its own goes on for ever.
#[procession::task]
pub(crate) fn leave_a_child() -> Result<u32, Failure> {
    let child = std::process::Command::new("sleep").arg("1000000").spawn()?;
    Ok(child.id())
}

/// Writes into the memory for its result.
#[procession::task]
pub(crate) fn forge(bytes: Vec<u8>) {
    let memory = support::descriptors()
        .into_iter()
        .filter(|(_, what)| what.contains("procession-parcel"))
        .map(|(number, _)| format!("/proc/self/fd/{number}"))
        .find(|path| std::fs::metadata(path).is_ok_and(|memory| memory.len() == 0));
    let path = memory.expect("its memory");
    let file = std::fs::OpenOptions::new().write(true).open(path);
    let file = file.expect("to open it");
    std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).expect("to write");
    support::exit_at_once(0);
}

/// A value that cannot be encoded, or decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unwilling(pub(crate) bool);

impl Serialize for Unwilling {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            true => serializer.serialize_bool(true),
            false => Err(serde::ser::Error::custom("no")),
        }
    }
}

impl<'de> Deserialize<'de> for Unwilling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bool::deserialize(deserializer).map(Self)
    }
}

#[procession::task]
pub(crate) fn be_unwilling() -> Unwilling {
    Unwilling(false)
}

#[procession::task]
pub(crate) fn take(what: Unwilling) -> bool {
    what.0
}

/// Files that say their numbers.
#[procession::task]
pub(crate) fn read_all(from: Vec<Descriptor>) -> Result<(Vec<String>, Vec<Descriptor>), Failure> {
    let texts = from.iter().map(text_of).collect::<Result<_, _>>()?;
    Ok((texts, from))
}

pub(crate) fn text_of(descriptor: &Descriptor) -> std::io::Result<String> {
    use std::io::Seek as _;
    let mut file = std::fs::File::from(descriptor.try_clone_to_owned()?);
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Starts one that goes on, and returns.
#[procession::task]
pub(crate) fn have_a_process(gate: Gate, is_daemon: bool) -> Result<(), Failure> {
    drop(
        Process::builder()
            .daemon(is_daemon)
            .spawn(pass, (gate, 5))?,
    );
    Ok(())
}

/// Sends back what comes, until nothing does.
#[procession::task]
pub(crate) fn answer(connection: procession::pipe::Connection<u64, u64>) -> u64 {
    let mut sum = 0;
    while let Ok(number) = connection.recv() {
        sum += number;
        if connection.send(&(number + 1)).is_err() {
            break;
        }
    }
    sum
}

fn let_files_be(len: u64) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Rlimit {
        current: Some(len),
        maximum: Some(len),
    };
    setrlimit(Resource::Fsize, limit).unwrap();
}

#[procession::task]
pub(crate) fn repeat_with_short_files(times: usize, len: u64) -> Vec<u8> {
    let_files_be(len);
    vec![7; times]
}

/// Asks for memory of every kind, and more of each than files may be long. Says for each what was said.
#[procession::task]
pub(crate) fn outgrow_files(named: SharedMemory, len: u64) -> Vec<(String, Option<String>)> {
    fn said<T>(what: &str, asked: Result<T, impl Into<anyhow::Error>>) -> (String, Option<String>) {
        let said = asked.err().map(|error| format!("{:#}", error.into()));
        (what.into(), said)
    }
    let_files_be(len);
    let many = vec![7_u8; 100_000];
    let mut bytes = SharedBytes::writer().unwrap();
    bytes.write_all(&many[..100]).unwrap();
    vec![
        said("memory", SharedMemory::new(many.len())),
        said(
            "named memory",
            SharedMemory::create("procession-test-too-long", many.len()),
        ),
        said("writing behind the limit", named.write(500_000, b"x")),
        said(
            "writing across the limit",
            named.write(len as usize - 1, b"two"),
        ),
        said("an array", Array::<u8>::new(many.len())),
        said("bytes", SharedBytes::new(&many)),
        said("more bytes", bytes.write_all(&many)),
        said("a queue", Queue::<u64>::unbounded()),
        said("an argument", Process::spawn(echo, many)),
        said("a pool", ProcessPoolExecutor::new().map(drop)),
    ]
}

/// Which of them are open, and lead there.
#[procession::task]
pub(crate) fn are_open(numbers: Vec<i32>, file: String) -> Vec<bool> {
    let path = |number| format!("/proc/self/fd/{number}");
    let is_open =
        |number| std::fs::read_link(path(number)).is_ok_and(|to| to.as_os_str() == &*file);
    numbers.into_iter().map(is_open).collect()
}

type Allowed = (Option<u64>, Option<u64>, Option<u64>, i32, Vec<usize>);

/// Address space, descriptors, core dump, niceness, and CPUs.
#[procession::task]
pub(crate) fn what_is_allowed() -> Allowed {
    use rustix::process::{Resource, getpriority_process, getrlimit};
    let limit = |resource| getrlimit(resource).current;
    let cpus = rustix::thread::sched_getaffinity(None).unwrap();
    (
        limit(Resource::As),
        limit(Resource::Nofile),
        limit(Resource::Core),
        getpriority_process(None).unwrap(),
        (0..1024).filter(|cpu| cpus.is_set(*cpu)).collect(),
    )
}

#[procession::task]
pub(crate) fn fill(bytes: usize) -> usize {
    std::hint::black_box(vec![1_u8; bytes]).len()
}

#[procession::task]
pub(crate) fn spin(_: usize) -> usize {
    loop {
        std::hint::spin_loop();
    }
}
