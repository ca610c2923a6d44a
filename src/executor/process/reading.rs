//! Reading what workers send, and noticing their ends: by the reactor, or by whoever waits.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::job::{Death, end_of_worker};
use super::link::{Incoming, Link, Stage};
use super::message::Message;
use super::pool::{Effects, Gone, Pool};
use super::reactor::initializer_name;
use super::token::Taken;
use crate::error::{BuildError, TaskId};
use crate::executor::initializer::describe;
use crate::frame::Kind;

/// How often a pipe is read before the results are handed on: a worker that never pauses must not
/// keep them from their waiters.
const READS: usize = 8;

/// A read that brings less than this has emptied the pipe; if not, the pipe, once armed, says so.
const FULL_READ: usize = 32 * 1024;

/// There is something to read, as the reactor has been told or a submitter has seen. False says
/// that somebody else is reading.
pub(super) fn results(pool: &Pool, link: &Arc<Link>) -> bool {
    let Some(mut taken) = link.token.take_for_event(&**link) else {
        return false;
    };
    let mut effects = Effects::default();
    read(pool, link, taken.reader(), &mut effects);
    effects.leaves(link);
    settle(pool, link, taken);
    pool.carry_out(effects);
    true
}

/// The reactor has been told that the process has ended.
pub(super) fn process_ended(pool: &Pool, link: &Arc<Link>) {
    let taken = link.token.take_at_end(&**link);
    bury(pool, link, taken);
}

/// The worker has not presented itself in time, or has closed its pipe; `note` notes which. Nobody waits with the token of such
/// a worker for what it may send.
pub(super) fn give_up(pool: &Pool, link: &Arc<Link>, note: impl FnOnce(&mut Incoming)) {
    let mut taken = link.token.take_at_end(&**link);
    note(taken.reader());
    link.child.kill_group();
    leave(pool, link, taken);
}

/// A thread is about to block until `task` is done: while that is the head of its worker, this thread
/// does the reading. See [`Host::drain`](crate::future::Host::drain).
pub(super) fn wait_for(
    pool: &Pool,
    task: TaskId,
    is_done: &dyn Fn() -> bool,
    deadline: Option<Instant>,
) {
    while !is_done() {
        let Some((link, seq)) = pool.place_to_wait(task) else {
            return;
        };
        // Somebody else reads here: they, or the reactor after them, complete the task.
        let Some(mut taken) = link.token.take_to_wait(&*link) else {
            return;
        };
        if is_held_up(pool, taken.reader()) {
            // Its future is completed behind what is in the way, on another thread.
            return leave(pool, &link, taken);
        }
        if taken.reader().ended || !pool.wait_here(&link, task, seq) {
            // Between the look and the token something happened to it.
            let ended = taken.reader().ended;
            leave(pool, &link, taken);
            if ended {
                return;
            }
            continue;
        }
        let woken = link.wait(deadline);
        link.clear_waited_for();
        let Ok(woken) = woken else {
            leave(pool, &link, taken);
            return;
        };
        if woken.bell {
            link.bell.silence();
        }
        let mut effects = Effects::default();
        if woken.results {
            read(pool, &link, taken.reader(), &mut effects);
        }
        effects.leaves(&link);
        if woken.process {
            bury(pool, &link, taken);
        } else {
            settle(pool, &link, taken);
        }
        pool.carry_out(effects);
        if woken.by_deadline() {
            return;
        }
    }
}

/// Whether nothing is read from a worker, because more of what workers have said waits than may.
fn is_held_up(pool: &Pool, incoming: &Incoming) -> bool {
    incoming.stage != Stage::Started && pool.output.is_full()
}

fn leave(pool: &Pool, link: &Arc<Link>, mut taken: Taken<'_, Incoming, Link>) {
    if taken.reader().ended {
        taken.leave_unarmed();
    } else if is_held_up(pool, taken.reader()) {
        // Unlock, then arm, here too: either now, or when there is room again.
        taken.leave_unarmed();
        pool.output.arm_results(link);
    } else {
        taken.leave();
    }
}

/// Leaves the token after reading. Where nothing else tells of a process's end, the end of its pipe
/// does.
fn settle(pool: &Pool, link: &Arc<Link>, mut taken: Taken<'_, Incoming, Link>) {
    if taken.reader().ended && link.child.pidfd().is_none() {
        link.child.kill_and_reap();
        bury(pool, link, taken);
    } else {
        leave(pool, link, taken);
    }
}

/// Reads what is there, and brings it to the scheduler.
fn read(pool: &Pool, link: &Arc<Link>, incoming: &mut Incoming, effects: &mut Effects) {
    for _ in 0..READS {
        if is_held_up(pool, incoming) {
            return;
        }
        if read_once(pool, link, incoming, effects) < FULL_READ {
            return;
        }
    }
}

/// One read; says how many bytes came.
fn read_once(
    pool: &Pool,
    link: &Arc<Link>,
    incoming: &mut Incoming,
    effects: &mut Effects,
) -> usize {
    if incoming.ended {
        return 0;
    }
    let count = match link.read_into(&mut incoming.decoder) {
        Ok(0) => {
            incoming.ended = true;
            if incoming.stage != Stage::Ready
                && let Some(excuse) = link.excuse()
            {
                incoming.failure.get_or_insert(excuse);
                link.child.kill_group();
            } else if !link.child.has_ended() {
                pool.closed(link.worker, effects);
            }
            return 0;
        }
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return 0,
        Err(error) => {
            refuse(link, incoming, &format!("what cannot be read: {error}"));
            return 0;
        }
    };
    let mut messages = std::mem::take(&mut incoming.batch);
    let decoded = decode(pool, link, incoming, &mut messages);
    let said = if messages.is_empty() {
        Ok(())
    } else {
        if pool.output.is_captured() {
            // Not what tells of frames that were skipped: the next task may have begun, and a line of it.
            let is_end = messages.iter().any(|message| match message {
                Message::Ended { .. } | Message::Ready(_) | Message::InitializerFailed(_) => true,
                Message::Part { part, .. } => part.is_last,
                Message::Hello(_) | Message::Passed { .. } | Message::Record { .. } => false,
            });
            pool.output.before_result(link, is_end, || pool.runs(link));
            if is_end {
                link.output.forget_last_words();
            }
        }
        let said = pool.said(link, &mut messages, effects);
        pool.output.say(effects.take_records());
        said
    };
    if let Err(what) = said.and(decoded) {
        refuse(link, incoming, &what);
    }
    messages.clear();
    incoming.batch = messages;
    count
}

/// Takes the frames that are complete out of the decoder.
fn decode(
    pool: &Pool,
    link: &Arc<Link>,
    incoming: &mut Incoming,
    messages: &mut Vec<Message>,
) -> Result<(), String> {
    while let Some(frame) = incoming.decoder.next().map_err(|error| error.to_string())? {
        let kind = frame.header.kind;
        let beside = link.receive_beside(&frame.header)?;
        let message = Message::decode(frame, beside, link.most_items())?;
        incoming.stage = match (incoming.stage, kind) {
            (Stage::Started, Kind::Hello) => Stage::Greeted,
            (Stage::Greeted, Kind::Ready | Kind::InitializerFailed) => Stage::Ready,
            (Stage::Ready, Kind::Hello | Kind::Ready | Kind::InitializerFailed) => {
                let article = if kind == Kind::InitializerFailed {
                    "an"
                } else {
                    "a"
                };
                return Err(format!("{article} `{kind:?}` frame after its start"));
            }
            (Stage::Ready, _) => Stage::Ready,
            (Stage::Greeted, Kind::Record) => Stage::Greeted,
            (Stage::Started | Stage::Greeted, _) => {
                return Err(format!("a `{kind:?}` frame before it was ready"));
            }
        };
        if let Message::Hello(hello) = &message {
            incoming.first_peak = Some((hello.peak_kib, hello.peak_is_own));
        }
        if let Err(failure) = check_start(pool, link, &message) {
            incoming.failure.get_or_insert(failure);
            incoming.ended = true;
            link.child.kill_group();
            return Ok(());
        }
        messages.push(message);
    }
    Ok(())
}

/// Looks at what a worker says before it is ready.
fn check_start(pool: &Pool, link: &Arc<Link>, message: &Message) -> Result<(), BuildError> {
    let initializer = pool.settings.initializer.as_ref();
    let failed = |message: String| BuildError::Initializer {
        function: initializer_name(pool),
        pid: link.pid,
        message,
    };
    match message {
        Message::Hello(hello) => pool.check_hello(link.pid, hello),
        Message::Ready(result) => initializer.map_or(Ok(()), |initializer| {
            initializer.judge(result).map_err(failed)
        }),
        Message::InitializerFailed(failure) => Err(failed(describe(failure.clone()))),
        _ => Ok(()),
    }
}

/// The worker has sent something that is not of the protocol: nothing more is read from it.
fn refuse(link: &Arc<Link>, incoming: &mut Incoming, what: &str) {
    incoming
        .malformed
        .get_or_insert_with(|| format!("sent {what}").into());
    incoming.ended = true;
    link.discard_outbound();
    link.child.kill_group();
}

/// The process has ended: what it sent is still brought, then its tasks are judged, and it is reaped
/// after what is left of its group.
fn bury(pool: &Pool, link: &Arc<Link>, mut taken: Taken<'_, Incoming, Link>) {
    let incoming = taken.reader();
    if incoming.buried {
        return taken.leave_unarmed();
    }
    let mut effects = Effects::default();
    // As much as a pipe can hold, many times over: the writer is dead.
    for _ in 0..1024 {
        if read_once(pool, link, incoming, &mut effects) == 0 {
            break;
        }
    }
    let was_killed = link.child.was_killed();
    let Some(reaped) = link.child.try_reap() else {
        // It lives: the event was somebody else's.
        link.watch_process();
        leave(pool, link, taken);
        return pool.carry_out(effects);
    };
    incoming.ended = true;
    incoming.buried = true;
    pool.output.before_result(link, true, || pool.runs(link));
    if incoming.malformed.is_none() {
        pool.recover(link, &mut effects);
    }
    let end = end_of_worker(reaped.end, incoming.malformed.as_ref());
    let death = Death {
        pid: link.pid,
        end: if was_killed { end } else { pool.explain(end) },
        run_time: None,
        // What has not become more than was handed on may be the driver's.
        peak_memory: incoming.first_peak.and_then(|(first_kib, is_own)| {
            let is_known = is_own || reaped.peak_kib > first_kib;
            is_known.then_some(reaped.peak_kib.saturating_mul(1024))
        }),
        last_words: link.output.last_words(),
    };
    let initializes = incoming.stage == Stage::Greeted && pool.settings.initializer.is_some();
    let failure = incoming.failure.take().unwrap_or_else(|| {
        link.excuse().unwrap_or_else(|| BuildError::WorkerEnded {
            pid: link.pid,
            end: death.end.clone(),
            initializer: initializes.then(|| initializer_name(pool)),
            last_words: death.last_words.clone(),
        })
    });
    link.throw_rest_away();
    link.unwatch();
    taken.leave_unarmed();
    pool.carry_out(effects);
    pool.gone(Gone {
        worker: link.worker,
        death,
        failure,
    });
}
