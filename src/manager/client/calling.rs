//! One call, until it is answered.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::calls::{Callback, Waited};
use super::connection::{Ear, Reply};
use super::remote::Remote;
use super::room::Unsent;
use super::scope;
use super::waits::Wait;
use crate::manager::ManagerError;

/// A call to a manager's object that is on its way. It has been sent when this is there, unless more than 16 MiB wait to be sent to this manager: then it is sent
/// when it is awaited and there is room. Awaiting it gives the answer.
///
/// Where this process has no connection to the manager yet, as with the first calls of a proxy that came from another one, awaiting it connects, and then sends it. Until then nothing is
/// done: so those that are made before are sent in the order in which they are first awaited. Several connect together, and dropping all of them leaves no connection behind.
/// (Connecting takes 10 seconds at most, whatever time limit the call has.)
///
/// Awaiting starts the thread `procession-connections`, if it is not there; the runtime does not matter. Polled again after its end, it panics.
///
/// It runs, and its answer is taken from the connection, whether anybody awaits it or not: nothing else waits for that. The answer is kept in memory until it is asked for.
///
/// Dropping it before it is ready cancels it: what it might still have been given, an item of a queue, a lock, a value that is taken out by `pop` or `drain_all`, is given back. Anything else that it has
/// done by then stays done, and what it would have returned is lost, such as the value that was there before an `insert` or a `replace`.
#[must_use = "dropping it cancels the call"]
pub struct Calling<T>(Stage<T>);

enum Stage<T> {
    /// There was no connection, or no room.
    Unsent(Unsent, Read<T>),
    Sent(OnItsWay, Read<T>),
    Done(Result<T, ManagerError>),
    Over,
}

type Read<T> = Box<dyn FnOnce(&[u8]) -> Result<T, ManagerError> + Send>;

/// Given an encoded answer, the encoded request that undoes it.
pub(super) type Undo = fn(&[u8]) -> Option<Vec<u8>>;

/// A call that is given up when this is dropped, unless its end has been taken.
pub(super) struct OnItsWay {
    remote: Remote,
    number: u64,
    undo: Option<Undo>,
    is_over: bool,
    /// While it is awaited on a thread of its server.
    wait: Option<Wait>,
}

impl<T> Calling<T> {
    /// One that is sent now, if there is a connection, and room.
    pub(super) fn new(call: Unsent, read: Read<T>) -> Self {
        Self(match call.is_ready() {
            true => sent(call, read),
            false => Stage::Unsent(call, read),
        })
    }

    /// One that was not even sent.
    pub(crate) fn failed(error: ManagerError) -> Self {
        Self(Stage::Done(Err(error)))
    }

    /// One that need not be sent.
    #[cfg(test)]
    pub(crate) fn done(value: T) -> Self {
        Self(Stage::Done(Ok(value)))
    }

    /// Blocks until it is answered.
    pub(crate) fn wait(self) -> Result<T, ManagerError> {
        self.wait_until(None)
    }

    /// Blocks until it is answered, or the deadline (`None` is never) has passed: then it is cancelled, and this says [`ManagerError::TimedOut`].
    pub(crate) fn wait_until(self, deadline: Option<Instant>) -> Result<T, ManagerError> {
        self.wait_for(deadline, |call, ear| ear.wait(call.number, deadline))
    }

    /// The same, but when the deadline has passed, the server decides: it is told, and waited for until it says what has come of the call. So there is no doubt whether
    /// something has been done, and whoever waits may have to do so for longer: until the connection is lost.
    pub(crate) fn wait_verdict(self, deadline: Option<Instant>) -> Result<T, ManagerError> {
        self.wait_for(deadline, |call, ear| {
            match ear.wait(call.number, deadline) {
                Waited::TimedOut => {
                    ear.cancel(call.number);
                    ear.wait(call.number, None)
                }
                end => end,
            }
        })
    }

    /// Tells the server that it is waited for no more than it takes to say what has come of it.
    pub(crate) fn ask_for_verdict(&mut self) {
        match &mut self.0 {
            // The server decides, as soon as it can be asked.
            Stage::Unsent(call, _) if !call.is_connected() => call.is_late = true,
            Stage::Unsent(..) => self.0 = Stage::Done(Err(ManagerError::TimedOut)),
            Stage::Sent(call, _) => call.remote.cancel(call.number),
            Stage::Done(_) | Stage::Over => {}
        }
    }

    fn wait_for(
        self,
        deadline: Option<Instant>,
        wait: impl FnOnce(&OnItsWay, Ear<'_>) -> Waited<Reply>,
    ) -> Result<T, ManagerError> {
        let stage = match self.0 {
            Stage::Unsent(mut call, read) => match call.wait_until_ready(deadline) {
                true => sent(call, read),
                false => return Err(ManagerError::TimedOut),
            },
            stage => stage,
        };
        match stage {
            Stage::Sent(call, read) => {
                let remote = call.remote.clone();
                let told = Wait::begin(&remote, call.number, deadline.is_none())?;
                let end = remote.with(|ear| Ok(wait(&call, ear)));
                drop(told);
                match end? {
                    // Dropped, it is cancelled.
                    Waited::TimedOut => Err(ManagerError::TimedOut),
                    end => finish(call, read, end),
                }
            }
            Stage::Done(end) => end,
            Stage::Unsent(..) | Stage::Over => over(),
        }
    }

    /// Says how to undo what an answer has brought that nobody waits for any more: given the encoded answer, the request that undoes it,
    /// for the same object, encoded.
    pub(crate) fn undone_by(mut self, undo: fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        match &mut self.0 {
            Stage::Unsent(call, _) => call.undo = Some(undo),
            Stage::Sent(call, _) => call.undo = Some(undo),
            Stage::Done(_) | Stage::Over => {}
        }
        self
    }

    /// The same call, whose answer is made into something else. Within `make`, values are [unpacked](super::unpack).
    pub(crate) fn map<U>(
        self,
        make: impl FnOnce(T) -> Result<U, ManagerError> + Send + 'static,
    ) -> Calling<U>
    where
        T: 'static,
    {
        Calling(match self.0 {
            Stage::Unsent(call, read) => {
                Stage::Unsent(call, Box::new(|answer| read(answer).and_then(make)))
            }
            Stage::Sent(call, read) => {
                Stage::Sent(call, Box::new(|answer| read(answer).and_then(make)))
            }
            Stage::Done(end) => Stage::Done(end.and_then(make)),
            Stage::Over => Stage::Over,
        })
    }

    /// Calls `callback` with its end: now, if that is there or nothing can come, or from whatever thread reads it, which the reactor does if nobody else.
    /// It must not block. From then on, the call is not cancelled any more. Where too much is queued to be sent, this waits until less is; and where there is no connection,
    /// until it has made one.
    pub(crate) fn then(self, callback: impl FnOnce(Result<T, ManagerError>) + Send + 'static)
    where
        T: 'static,
    {
        let stage = match self.0 {
            Stage::Unsent(mut call, read) => {
                // Without a limit, it waits until there is some.
                call.wait_until_ready(None);
                sent(call, read)
            }
            stage => stage,
        };
        let (call, read) = match stage {
            Stage::Sent(call, read) => (call, read),
            Stage::Done(end) => return callback(end),
            Stage::Unsent(..) | Stage::Over => return,
        };
        let (remote, number) = (call.remote.clone(), call.number);
        // Without a place in the reactor, nobody might come to read the answer.
        if let Err(error) = remote.with(watch) {
            drop(call);
            return callback(Err(error));
        }
        let told = move |end| callback(finish(call, read, end));
        let told: Callback<Reply> = Box::new(move |end| {
            told(match end {
                Ok(reply) => Waited::Answered(reply),
                Err(lost) => Waited::Lost(lost),
            });
        });
        let told = remote.with(|ear| Ok(ear.tell(number, told)));
        match told {
            Ok(Err((told, Waited::Answered(reply)))) => told(Ok(reply)),
            Ok(Err((told, Waited::Lost(lost)))) => told(Err(lost)),
            // It will be told.
            _ => {}
        }
    }
}

fn finish<T>(mut call: OnItsWay, read: Read<T>, end: Waited<Reply>) -> Result<T, ManagerError> {
    call.is_over = true;
    match end {
        Waited::Answered(Reply { answer, granted }) => {
            let answer = answer?;
            scope::read(granted, || read(answer.bytes()))
        }
        Waited::Lost(source) => Err(call.remote.site().lost(source)),
        Waited::TimedOut => Err(ManagerError::TimedOut),
    }
}

fn sent<T>(call: Unsent, read: Read<T>) -> Stage<T> {
    match call.send() {
        Ok(call) => Stage::Sent(call, read),
        Err(error) => Stage::Done(Err(error)),
    }
}

fn over<T>() -> Result<T, ManagerError> {
    panic!("`Calling` polled after its end")
}

impl<T> Unpin for Calling<T> {}

impl<T> Future for Calling<T> {
    type Output = Result<T, ManagerError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let stage = &mut self.get_mut().0;
        if let Stage::Unsent(call, _) = stage {
            match call.poll_ready(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    *stage = Stage::Over;
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => return Poll::Pending,
            }
            if let Stage::Unsent(call, read) = mem::replace(stage, Stage::Over) {
                *stage = sent(call, read);
            }
        }
        let polled = match stage {
            Stage::Unsent(..) => return Poll::Pending,
            Stage::Sent(call, _) => call.poll(context),
            Stage::Done(_) | Stage::Over => Poll::Ready(Ok(Waited::TimedOut)),
        };
        let Poll::Ready(end) = polled else {
            return Poll::Pending;
        };
        Poll::Ready(match mem::replace(stage, Stage::Over) {
            Stage::Sent(call, read) => end.and_then(|end| finish(call, read, end)),
            Stage::Done(end) => end,
            Stage::Unsent(..) | Stage::Over => over(),
        })
    }
}

/// Sees to a place in the reactor for what is awaited. Without one, only this call fails.
fn watch(ear: Ear<'_>) -> Result<(), ManagerError> {
    let watch = ear.connection.watch().map(drop);
    watch.map_err(ManagerError::not_awaited)
}

impl OnItsWay {
    pub(super) fn new(remote: Remote, number: u64, undo: Option<Undo>) -> Self {
        Self {
            remote,
            number,
            undo,
            is_over: false,
            wait: None,
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Waited<Reply>, ManagerError>> {
        let polled = self.remote.with(|ear| {
            watch(ear)?;
            Ok(ear.poll(self.number, context))
        });
        let end = match polled {
            Ok(Poll::Ready(end)) => Ok(end),
            Ok(Poll::Pending) if self.wait.is_some() => return Poll::Pending,
            Ok(Poll::Pending) => match Wait::begin(&self.remote, self.number, false) {
                Ok(wait) => {
                    self.wait = wait;
                    return Poll::Pending;
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        self.wait = None;
        Poll::Ready(end)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (remote, undo) = (self.remote.clone(), self.undo);
        // It keeps the object, and with it the connection, until the server has said the last word.
        let too_late: Callback<Reply> = Box::new(move |end| {
            let Ok(Reply { answer, granted }) = end else {
                return;
            };
            let answer = answer.as_ref().ok();
            if let Some(op) = answer.and_then(|answer| undo?(answer.bytes())) {
                remote.tell_encoded(&op);
            }
            drop(granted);
        });
        // In a process that was forked off, there is nothing to be cancelled.
        let _ = self.remote.with(|ear| {
            match ear.tell(self.number, too_late) {
                Ok(()) => ear.cancel(self.number),
                Err((too_late, Waited::Answered(reply))) => too_late(Ok(reply)),
                Err(_) => {}
            }
            Ok(())
        });
    }
}

impl<T> fmt::Debug for Calling<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").finish_non_exhaustive()
    }
}
