//! Bare pipes, and bare processes: what it cannot be faster than.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use rustix::pipe::fcntl_setpipe_size;

use crate::Error;

const ECHO: &str = "echo-frames";
const ECHO_BYTES: &str = "echo-bytes";
const ONE_BYTE: &str = "one-byte";
const SOURCE: &str = "source";

/// Is the other end, if that is what this process was started for.
pub fn serve(arguments: &[String]) -> Option<Result<(), Error>> {
    match arguments.first()?.as_str() {
        ECHO => Some(echo_frames()),
        ECHO_BYTES => Some(echo_bytes()),
        ONE_BYTE => Some(one_byte()),
        SOURCE => Some(source(&arguments[1..])),
        _ => None,
    }
}

/// A Unix socket to a process that sends back what it gets, frame by frame.
pub struct Socket {
    child: Child,
    socket: Option<UnixStream>,
}

impl Socket {
    pub fn open() -> Result<Self, Error> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .arg(ECHO)
            .stdin(OwnedFd::from(theirs.try_clone()?))
            .stdout(OwnedFd::from(theirs))
            .spawn()?;
        Ok(Self {
            child,
            socket: Some(ours),
        })
    }

    pub fn ping(&mut self, frame: &mut [u8]) -> Result<(), Error> {
        let socket = self.socket.as_mut().ok_or("a socket was asked for")?;
        socket.write_all(frame)?;
        Ok(socket.read_exact(frame)?)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The child ends when its input does.
        self.socket = None;
        let _ = self.child.wait();
    }
}

/// Two pipes to a process.
pub struct Pipe {
    child: Child,
    tasks: Option<ChildStdin>,
    results: ChildStdout,
}

impl Pipe {
    /// To one that sends back what it gets, frame by frame.
    pub fn of_frames() -> Result<Self, Error> {
        Self::open(&[ECHO])
    }

    /// To one that takes so many bytes, and sends them back. The pipes are a megabyte, if the system lets them be.
    pub fn of_bytes() -> Result<Self, Error> {
        let this = Self::open(&[ECHO_BYTES])?;
        if let Some(tasks) = &this.tasks {
            let _ = fcntl_setpipe_size(tasks.as_fd(), 1 << 20);
        }
        let _ = fcntl_setpipe_size(this.results.as_fd(), 1 << 20);
        Ok(this)
    }

    fn open(what: &[&str]) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            tasks: child.stdin.take(),
            results: child.stdout.take().ok_or("a pipe was asked for")?,
            child,
        })
    }

    pub fn ping(&mut self, frame: &mut [u8]) -> Result<(), Error> {
        let tasks = self.tasks.as_mut().ok_or("a pipe was asked for")?;
        tasks.write_all(frame)?;
        self.results.read_exact(frame)?;
        Ok(())
    }

    /// Sends bytes, and has them back in a fresh buffer.
    pub fn echo(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let tasks = self.tasks.as_mut().ok_or("a pipe was asked for")?;
        tasks.write_all(&(bytes.len() as u64).to_le_bytes())?;
        tasks.write_all(bytes)?;
        let mut back = vec![0; bytes.len()];
        self.results.read_exact(&mut back)?;
        Ok(back)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // The child ends when its input does.
        self.tasks = None;
        let _ = self.child.wait();
    }
}

fn echo_frames() -> Result<(), Error> {
    // Below `Stdin` and `Stdout`, which would add a buffer and a lock.
    let (tasks, results) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let mut frame = [0; 4096];
    loop {
        let count = rustix::io::read(tasks, &mut frame)?;
        if count == 0 {
            return Ok(());
        }
        rustix::io::write(results, &frame[..count])?;
    }
}

fn echo_bytes() -> Result<(), Error> {
    let (tasks, results) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    loop {
        let mut size = [0; 8];
        if !fill(tasks, &mut size)? {
            return Ok(());
        }
        let mut bytes = vec![0; usize::try_from(u64::from_le_bytes(size))?];
        fill(tasks, &mut bytes)?;
        let mut left = &bytes[..];
        while !left.is_empty() {
            left = &left[rustix::io::write(results, left)?..];
        }
    }
}

fn fill(pipe: impl AsFd, mut buffer: &mut [u8]) -> Result<bool, Error> {
    while !buffer.is_empty() {
        let count = rustix::io::read(&pipe, &mut *buffer)?;
        if count == 0 {
            return Ok(false);
        }
        buffer = &mut buffer[count..];
    }
    Ok(true)
}

/// Says that it is there, and waits until its input ends.
fn one_byte() -> Result<(), Error> {
    rustix::io::write(rustix::stdio::stdout(), b"1")?;
    let mut byte = [0];
    fill(rustix::stdio::stdin(), &mut byte)?;
    Ok(())
}

/// Starts so many bare processes and waits for a byte of each; they are ended when they are dropped.
pub fn bare_processes(count: usize) -> Result<Vec<Pipe>, Error> {
    let open = |_| Pipe::open(&[ONE_BYTE]);
    let mut processes = (0..count).map(open).collect::<Result<Vec<_>, _>>()?;
    for process in &mut processes {
        process.results.read_exact(&mut [0])?;
    }
    Ok(processes)
}

/// Gets so many items of this size, one by one, each in a fresh buffer; says how long that took, in seconds.
pub fn stream(size: usize, count: usize) -> Result<f64, Error> {
    let mut pipe = Pipe::open(&[SOURCE, &size.to_string(), &count.to_string()])?;
    pipe.results.read_exact(&mut [0])?;
    let tasks = pipe.tasks.as_mut().ok_or("a pipe was asked for")?;
    let begun = Instant::now();
    tasks.write_all(b"1")?;
    for _ in 0..count {
        let mut item = vec![0; size];
        pipe.results.read_exact(&mut item)?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// Says that it is there, and when it is told to, writes so many items.
fn source(arguments: &[String]) -> Result<(), Error> {
    let [size, count] = arguments else {
        return Err("a size and a count are needed".into());
    };
    let (item, count) = (vec![7_u8; size.parse()?], count.parse::<usize>()?);
    let results = rustix::stdio::stdout();
    rustix::io::write(results, b"1")?;
    fill(rustix::stdio::stdin(), &mut [0])?;
    for _ in 0..count {
        let mut left = &item[..];
        while !left.is_empty() {
            left = &left[rustix::io::write(results, left)?..];
        }
    }
    Ok(())
}
