//! Computes the SHA-256 of files, in worker processes, and prints what `sha256sum -c` accepts.
//!
//! ```sh
//! cargo run --release --example checksum -- ~/Pictures notes.txt > SHA256SUMS
//! sha256sum -c SHA256SUMS
//! ```
//!
//! * Of a folder, every regular file is taken, hidden ones too, in the order of their names. Symbolic
//!   links in it are not followed, and pipes, sockets and devices not opened: one line at the end says
//!   how many there were. What is given by name is followed.
//! * Without arguments it takes this repository's own folder, without `.git` and `target`: those change
//!   while other tools are at work.
//! * A file that cannot be read costs a line on stderr, and the exit code is 1 in the end.
//! * It streams: files are found while others are hashed, and lines printed as soon as all before them
//!   have been.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use procession::{Failure, ProcessPoolExecutor, TryMapError};
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

const BLOCK: usize = 64 * 1024;

/// The length and the SHA-256 of a file. This is what workers run.
///
/// The path is an `OsString`, since serde refuses a `Path` that is not UTF-8.
#[procession::task]
fn sha256(path: OsString) -> Result<(u64, [u8; 32]), Failure> {
    let mut file = open_regular(&path)?;
    let (mut hasher, mut length) = (Sha256::new(), 0);
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => return Ok((length, hasher.finalize().into())),
            n => {
                hasher.update(&block[..n]);
                length += n as u64;
            }
        }
    }
}

/// Opens a file, and nothing that could make a reader wait for ever.
fn open_regular(path: &OsStr) -> Result<File, Failure> {
    // Without O_NONBLOCK, opening a pipe waits for somebody to write to it.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err("not a regular file".into());
    }
    Ok(file)
}

fn main() -> ExitCode {
    procession::init();
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("checksum: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every file could be read.
fn run() -> Result<bool, Box<dyn Error>> {
    let Some(search) = Search::from_arguments() else {
        println!("usage: checksum [FILE or FOLDER]...");
        return Ok(true);
    };
    let pool = ProcessPoolExecutor::new()?;
    match print_checksums(&pool, &search) {
        // Whoever read the lines (`| head`) wants no more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("cannot write to stdout: {error}").into()),
        Ok(is_complete) => Ok(is_complete),
    }
}

/// Fails when stdout does.
fn print_checksums(pool: &ProcessPoolExecutor, search: &Search) -> io::Result<bool> {
    let mut out = Output::new(search);
    let left_out = RefCell::new(LeftOut::default());

    // The map pulls paths ahead of the results that it gives, as many as keep the workers busy. Those
    // wait here for their results, which come in the same order.
    let ahead = RefCell::new(VecDeque::new());
    let paths = search.entries().filter_map(|entry| match entry {
        Ok(entry) if is_hashed(&entry) => {
            let path = entry.into_path();
            ahead.borrow_mut().push_back(path.clone());
            Some(Ok(path.into_os_string()))
        }
        Ok(entry) => {
            left_out.borrow_mut().count(&entry);
            None
        }
        Err(error) => Some(Err(error)),
    });

    let mut is_complete = true;
    for result in pool.try_map(sha256, paths) {
        let complaint = match result {
            Err(TryMapError::Input(error)) => describe(&error),
            Err(TryMapError::Task(error)) => format!("{:?}: {error}", next(&ahead)),
            Ok(Err(failure)) => format!("{:?}: {failure:#}", next(&ahead)),
            Ok(Ok((length, digest))) => {
                out.line(&checksum_line(&next(&ahead), &digest), length)?;
                continue;
            }
        };
        is_complete = false;
        out.complain(&complaint)?;
    }
    if let Some(note) = left_out.into_inner().note() {
        out.complain(&note)?;
    }
    out.finish()?;
    Ok(is_complete)
}

fn next(ahead: &RefCell<VecDeque<PathBuf>>) -> PathBuf {
    ahead
        .borrow_mut()
        .pop_front()
        .expect("a result follows its path")
}

/// `"<path>": <what the system said>`.
fn describe(error: &walkdir::Error) -> String {
    match (error.path(), error.io_error()) {
        (Some(path), Some(reason)) => format!("{path:?}: {reason}"),
        _ => error.to_string(),
    }
}

/// `<hash>  <path>`, as GNU sha256sum writes it: with a backslash in front if the path needed any.
fn checksum_line(path: &Path, digest: &[u8; 32]) -> Vec<u8> {
    // A check file's `-` is the standard input.
    let path = if path == Path::new("-") {
        Path::new("./-")
    } else {
        path
    };
    let mut name = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'\\' => name.extend(b"\\\\"),
            b'\n' => name.extend(b"\\n"),
            b'\r' => name.extend(b"\\r"),
            _ => name.push(byte),
        }
    }
    let mut line = Vec::new();
    if name.len() > path.as_os_str().len() {
        line.push(b'\\');
    }
    for byte in digest {
        line.extend(format!("{byte:02x}").bytes());
    }
    line.extend(b"  ");
    line.extend(name);
    line.push(b'\n');
    line
}

/// Where to look for files.
#[derive(Clone)]
struct Search {
    roots: Vec<PathBuf>,
    /// Below the roots.
    skipped: &'static [&'static str],
}

impl Search {
    /// None if help is asked for.
    fn from_arguments() -> Option<Self> {
        let roots: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
        if roots.iter().any(|root| root == "-h" || root == "--help") {
            return None;
        }
        if !roots.is_empty() {
            return Some(Self {
                roots,
                skipped: &[],
            });
        }
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        eprintln!("checksum: no files given, so here is {own:?}, less .git and target");
        Some(Self {
            roots: vec![own.into()],
            skipped: &[".git", "target"],
        })
    }

    /// Everything below the roots, and the roots themselves.
    fn entries(&self) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
        self.roots.iter().flat_map(|root| {
            WalkDir::new(root)
                .sort_by_file_name()
                .into_iter()
                .filter_entry(|entry| {
                    entry.depth() != 1
                        || !self.skipped.iter().any(|name| entry.file_name() == *name)
                })
        })
    }
}

/// What has a root's name is opened whatever it is, so that a missing file is complained about.
fn is_hashed(entry: &DirEntry) -> bool {
    entry.file_type().is_file() || entry.depth() == 0 && !entry.path().is_dir()
}

/// What was found but not hashed.
#[derive(Default)]
struct LeftOut {
    links: u64,
    special: u64,
}

impl LeftOut {
    fn count(&mut self, entry: &DirEntry) {
        if entry.path_is_symlink() && entry.depth() > 0 {
            self.links += 1;
        } else if !entry.path().is_dir() {
            self.special += 1;
        }
    }

    fn note(&self) -> Option<String> {
        let Self { links, special } = self;
        (links + special > 0).then(|| {
            format!("left out: symbolic links: {links}; pipes, sockets, devices: {special}")
        })
    }
}

/// Lines for stdout, complaints for stderr, and a progress bar where stderr is a terminal.
struct Output {
    stdout: BufWriter<io::Stdout>,
    bar: ProgressBar,
    is_one_screen: bool,
}

impl Output {
    fn new(search: &Search) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
        if !bar.is_hidden() {
            let (search, bar) = (search.clone(), bar.clone());
            thread::spawn(move || grow(&bar, &search));
        }
        let stdout = BufWriter::new(io::stdout());
        Self {
            stdout,
            is_one_screen: !bar.is_hidden() && io::stdout().is_terminal(),
            bar,
        }
    }

    fn line(&mut self, line: &[u8], length: u64) -> io::Result<()> {
        if self.is_one_screen {
            // The bar makes room for the line.
            let stdout = &mut self.stdout;
            self.bar
                .suspend(|| stdout.write_all(line).and_then(|()| stdout.flush()))?;
        } else {
            self.stdout.write_all(line)?;
        }
        self.bar.inc(length);
        Ok(())
    }

    fn complain(&mut self, complaint: &str) -> io::Result<()> {
        self.stdout.flush()?;
        self.bar.suspend(|| eprintln!("checksum: {complaint}"));
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.bar.finish_and_clear();
        self.stdout.flush()
    }
}

/// Finds out how much there is to do, while it is being done.
fn grow(bar: &ProgressBar, search: &Search) {
    for entry in search.entries().flatten().filter(is_hashed) {
        bar.inc_length(entry.metadata().map_or(0, |metadata| metadata.len()));
    }
}
