//! New connections.

use std::io;

use super::connection::Connection;
use super::end::{Direction, End};

/// In place of a type of messages: none of these are sent, since there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {}

/// An end that only sends. Receiving from it does not compile:
///
/// ```compile_fail,E0599
/// let (sender, receiver) = procession::pipe::one_way::<u64>().unwrap();
/// sender.recv();
/// ```
pub type Sender<T> = Connection<T, Nothing>;

/// An end that only receives. Sending through it does not compile:
///
/// ```compile_fail,E0599
/// let (sender, receiver) = procession::pipe::one_way::<u64>().unwrap();
/// receiver.send(&7);
/// ```
pub type Receiver<T> = Connection<Nothing, T>;

/// A connection between two ends that both send and receive values of `T`. Python's
/// [`multiprocessing.Pipe()`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Pipe).
///
/// Each end is one descriptor.
///
/// # Errors
///
/// What the system says, when this process has too many descriptors open.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (parent, child) = procession::pipe::<String>()?;
/// let thread = std::thread::spawn(move || {
///     let name = child.recv()?;
///     child.send(&format!("good morning, {name}"))?;
///     Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// });
/// parent.send(&"Ada".into())?;
/// assert_eq!(parent.recv()?, "good morning, Ada");
/// # thread.join().unwrap().unwrap();
/// # Ok(())
/// # }
/// ```
pub fn pipe<T>() -> io::Result<(Connection<T>, Connection<T>)> {
    duplex()
}

/// A connection whose two directions have types of their own: the first end sends `A` and receives `B`.
///
/// # Errors
///
/// As [`pipe`](fn@pipe).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (asks, answers) = procession::pipe::duplex::<(u64, u64), Option<u64>>()?;
/// asks.send(&(7, 0))?;
/// let (dividend, divisor) = answers.recv()?;
/// answers.send(&u64::checked_div(dividend, divisor))?;
/// assert_eq!(asks.recv()?, None);
/// # Ok(())
/// # }
/// ```
pub fn duplex<A, B>() -> io::Result<(Connection<A, B>, Connection<B, A>)> {
    let (one, other) = End::pair(Direction::Both, Direction::Both)?;
    Ok((Connection::new(one), Connection::new(other)))
}

/// A connection of one direction: an end that only sends, and one that only receives. Python's `Pipe(duplex=False)`,
/// in the order of Rust's channels.
///
/// # Errors
///
/// As [`pipe`](fn@pipe).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sender, receiver) = procession::pipe::one_way::<f64>()?;
/// sender.send(&0.5)?;
/// assert_eq!(receiver.recv()?, 0.5);
/// # Ok(())
/// # }
/// ```
pub fn one_way<T>() -> io::Result<(Sender<T>, Receiver<T>)> {
    let (one, other) = End::pair(Direction::Sends, Direction::Receives)?;
    Ok((Connection::new(one), Connection::new(other)))
}
