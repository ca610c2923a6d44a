//! Whole programs for tests to run: each is a function of the test binary itself, chosen by a
//! variable of the environment before the harness, or anything else, has a say.
//!
//! ```ignore
//! fn main() {
//!     programs::run_if_asked(&programs![forgets_init, crashes]);
//!     support::run(|| support::tests![…]);
//! }
//! ```
//!
//! The variable is inherited by the workers of such a program, which are that same program, as in
//! real life.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "each test target uses a part of it"
)]

mod ending;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use crate::support::{Directory, awaiting};

pub(crate) use ending::{ENDS, end_as_told, end_by, prepare_to_end, set_default_action};

/// Chooses the program.
const PROGRAM: &str = "PROCESSION_TEST_PROGRAM";

/// Where every process of a program leaves a line when it starts, if this is set.
const STARTS: &str = "PROCESSION_TEST_STARTS";

/// A program and its name.
pub(crate) type Entry = (&'static str, fn());

/// The table of programs: functions, named as they are written.
macro_rules! programs {
    ($($function:ident),* $(,)?) => {
        [$((stringify!($function), $function as fn())),*]
    };
}
pub(crate) use programs;

/// Runs a program instead of the tests, if one was asked for; then it never returns.
pub(crate) fn run_if_asked(programs: &[Entry]) {
    let Some(name) = std::env::var_os(PROGRAM) else {
        return;
    };
    if let Some(path) = std::env::var_os(STARTS) {
        let file = fs::OpenOptions::new().create(true).append(true).open(path);
        let line = format!("{}\n", std::process::id());
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the log of starts");
    }
    if std::env::var_os("PROCESSION_WORKER").is_none() {
        // Not longer than the test that started it. (It could not be set for a worker: that would
        // hide what is to be seen.)
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
            .expect("to go with the test");
    }
    let program = programs.iter().find(|(known, _)| *known == name);
    let Some((_, run)) = program else {
        panic!("no program {name:?}");
    };
    run();
    std::process::exit(0)
}

/// A command that runs a program of this test binary.
pub(crate) fn program(name: &str) -> Command {
    program_at(&this_binary(), name)
}

/// The same, of a copy of this test binary.
pub(crate) fn program_at(path: &Path, name: &str) -> Command {
    let mut command = Command::new(path);
    command.env(PROGRAM, name).env_remove("RUST_BACKTRACE");
    command
}

/// This test binary.
pub(crate) fn this_binary() -> PathBuf {
    std::env::current_exe().expect("the path of this test binary")
}

/// An executable file that runs a program of this test binary: for `.program(path)`.
pub(crate) fn script_of(directory: &Directory, name: &str) -> PathBuf {
    let binary = this_binary();
    let text = format!(
        "export {PROGRAM}={name} {STARTS}={}\nexec {}",
        starts_of(directory).display(),
        binary.display()
    );
    script(directory, name, &text)
}

/// An executable file of shell commands.
pub(crate) fn script(directory: &Directory, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an executable script");
    path
}

/// Lets every process of `command` leave a line in `directory` when it starts.
pub(crate) fn count_starts<'a>(command: &'a mut Command, directory: &Directory) -> &'a mut Command {
    command.env(STARTS, starts_of(directory))
}

/// How many processes left a line there.
pub(crate) fn starts(directory: &Directory) -> usize {
    fs::read_to_string(starts_of(directory)).map_or(0, |text| text.lines().count())
}

fn starts_of(directory: &Directory) -> PathBuf {
    directory.join("starts")
}

/// What a program has left.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// It ended well, and had nothing to complain of.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.status.success(), "{self:#?}");
        assert_eq!(self.stderr, "", "{self:#?}");
        self
    }

    /// What it printed, line by line.
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// The signal that ended it.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.signal()
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Finished {
    awaiting(format!("{:?} to end", name_of(command)));
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Finished {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn name_of(command: &Command) -> String {
    let chosen = command
        .get_envs()
        .find_map(|(name, value)| value.filter(|_| name == OsStr::new(PROGRAM)));
    let name = chosen.unwrap_or_else(|| command.get_program());
    name.to_string_lossy().into_owned()
}

/// A program that runs, and the lines that it prints.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

/// Starts a command whose lines are to be read one by one.
pub(crate) fn begin(command: &mut Command) -> Running {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let lines = BufReader::new(child.stdout.take().expect("a pipe"));
    Running { child, lines }
}

impl Running {
    /// Waits for its next line; `None` at the end of its output.
    pub(crate) fn line(&mut self) -> Option<String> {
        awaiting("a line of a program");
        let mut line = String::new();
        let count = self.lines.read_line(&mut line).expect("its output");
        (count > 0).then(|| line.trim_end().to_owned())
    }
}

/// Says visibly that a test cannot be run here.
pub(crate) fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// An error and all its causes, on one line.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}
