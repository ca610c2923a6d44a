//! A process pool that lives in the server.
//!
//! ```text
//!   begin ──▶ a thread for work builds the executor ──▶ Built
//!   Submit ─▶ line ──▶ executor ──▶ its callback says Ended ──▶ answered
//! ```
//!
//! A task waits in the line while the executor is being built, and while as many tasks are pending as it takes. Nothing here waits. Arguments and
//! results pass as bytes: the server knows its functions by name, and compares their signatures with those that the client knows. What proxies in them stand
//! for goes [beside them](lending).

mod failure;
mod lending;
mod words;

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::thread;

pub(crate) use self::failure::{Failure, in_full};
use self::lending::Lent;
use self::words::Outcome;
pub(crate) use self::words::{Ended, Found, HowToEnd, PoolOp};
use super::turns::Turns;
use crate::error::SubmitError;
use crate::executor::{Executor, ProcessPoolExecutor, Shutdown, try_submit_encoded};
use crate::future::{Kill, RawFuture};
use crate::manager::protocol::Fault;
use crate::manager::store::{Caller, Context, Item, Mailbox, Object, Refs, SessionId};
use crate::registry::registry;
use crate::sys;
use crate::wire;

/// The most workers, as [`max_workers`](crate::ProcessPoolExecutorBuilder::max_workers) has it.
const MAX_WORKERS: u64 = 4096;

/// How many tasks are with the executor at a time. Others wait in the line, and are bounded by how many calls a session may have.
const MAX_PENDING: usize = 65_536;

/// What is heard from elsewhere.
enum Said {
    Built(Result<Owned, String>, Mailbox),
    /// The task of this number has ended.
    Ended(u64),
    /// The executor has.
    ShutDown,
}

/// An executor, whose end is waited for on a thread of its own.
struct Owned(Option<Box<dyn Executor>>);

impl Drop for Owned {
    fn drop(&mut self) {
        let Some(executor) = self.0.take() else {
            return;
        };
        // Nobody is there to be told anything.
        executor.handle().0.begin_shutdown(Shutdown::Kill);
        // Without a thread it is waited for here, which is not long: everything is killed.
        let thread = thread::Builder::new().name("procession-drop".into());
        let _ = sys::with_signals_blocked(|| thread.spawn(move || drop(executor)));
    }
}

enum Stage {
    /// The executor is being built; whether it is to be shut down then.
    Building(Option<HowToEnd>),
    Running(Owned, Mailbox),
    Failed(String),
}

/// A task that waits for the executor.
struct Asked {
    task: u64,
    function: String,
    signature: String,
    arguments: Item,
}

/// A task that the executor has.
struct Begun {
    /// Who is to be told; nobody, when it has been cancelled or has gone.
    caller: Option<Caller>,
    task: u64,
    future: RawFuture,
}

pub(super) struct Pool {
    max_workers: usize,
    stage: Stage,
    line: Turns<Asked>,
    begun: HashMap<u64, Begun>,
    next_number: u64,
    /// The numbers of those that somebody waits for: by who does, and by what the client calls them.
    by_caller: BTreeMap<Caller, u64>,
    by_task: BTreeMap<(SessionId, u64), Place>,
    /// Whether no more tasks are taken.
    is_shut: bool,
    has_ended: bool,
    /// Those who wait for the end.
    shutting: Turns<()>,
    lent: Lent,
}

/// Where a task is.
#[derive(Clone, Copy)]
enum Place {
    InLine(Caller),
    Begun(u64),
}

/// Makes one, of so many workers as `init` says, a `u64`.
pub(super) fn create(init: &Item) -> Result<Box<dyn Object>, Fault> {
    let workers: u64 =
        wire::decode(&init.bytes).map_err(|error| Fault::NotUnderstood(error.into_message()))?;
    if workers == 0 || workers > MAX_WORKERS {
        return Err(Fault::Invalid(format!(
            "`max_workers` must be from 1 to {MAX_WORKERS}, not {workers}"
        )));
    }
    Ok(Box::new(Pool {
        max_workers: workers as usize,
        stage: Stage::Building(None),
        line: Turns::default(),
        begun: HashMap::new(),
        next_number: 0,
        by_caller: BTreeMap::new(),
        by_task: BTreeMap::new(),
        is_shut: false,
        has_ended: false,
        shutting: Turns::default(),
        lent: Lent::default(),
    }))
}

/// On a thread that may block.
fn build(max_workers: usize, mailbox: Mailbox) {
    let built = ProcessPoolExecutor::builder()
        .max_workers(max_workers)
        .max_pending(2 * MAX_PENDING)
        .build();
    let built = match built {
        Ok(executor) => Ok(Owned(Some(Box::new(executor)))),
        Err(error) => Err(in_full(&error)),
    };
    let said = Said::Built(built, mailbox.clone());
    mailbox.say(Box::new(said));
}

impl Pool {
    /// Hands to the executor what it takes.
    fn pump(&mut self, context: &mut Context<'_>) {
        loop {
            match &self.stage {
                Stage::Building(_) => return,
                Stage::Running(..) if self.begun.len() >= MAX_PENDING => return,
                _ => {}
            }
            let Some((caller, asked)) = self.line.pop() else {
                return;
            };
            let task = asked.task;
            if let Err(failure) = self.start(caller, asked, context) {
                self.by_task.remove(&(caller.session, task));
                context.answer(caller, &Ended::Failed(failure));
            }
        }
    }

    fn start(
        &mut self,
        caller: Caller,
        asked: Asked,
        context: &mut Context<'_>,
    ) -> Result<(), Failure> {
        let (executor, mailbox) = match &self.stage {
            Stage::Running(Owned(Some(executor)), mailbox) => (executor, mailbox),
            Stage::Failed(message) => {
                return Err(Failure::from(&SubmitError::Broken(message.clone())));
            }
            _ => return Err(Failure::NotTaken),
        };
        let registry =
            registry().map_err(|error| Failure::from(&SubmitError::Registry(error.to_string())))?;
        let name = asked.function;
        let Some(function) = registry.by_name(&name) else {
            return Err(Failure::UnknownName(name));
        };
        if function.signature != asked.signature {
            return Err(Failure::OtherTypes {
                name,
                registered: function.signature.clone(),
                asked: asked.signature,
            });
        }
        let (arguments, refs) = asked.arguments.into_parts();
        let handles = self.lent.lend(refs, context);
        let handles = handles.map_err(|error| Failure::Other {
            message: format!("its proxies do not travel to a worker: {error}"),
            may_have_run: false,
        })?;
        let future = try_submit_encoded(executor.handle(), function, &arguments, handles)
            .map_err(|error| Failure::from(&error))?;
        let number = self.next_number;
        self.next_number += 1;
        let mailbox = mailbox.clone();
        let begun = Begun {
            caller: Some(caller),
            task: asked.task,
            future: future.clone(),
        };
        self.begun.insert(number, begun);
        self.by_caller.insert(caller, number);
        self.by_task
            .insert((caller.session, asked.task), Place::Begun(number));
        // Perhaps here and now: it is heard later all the same.
        future.on_done(Box::new(move |_| {
            mailbox.say(Box::new(Said::Ended(number)));
        }));
        Ok(())
    }

    fn ended(&mut self, number: u64, context: &mut Context<'_>) {
        let begun = self.begun.get(&number);
        let result = begun.and_then(|begun| begun.future.outcome()?.ok());
        match result.filter(|result| !result.handles.is_empty()) {
            Some(result) => context.identify(number, result.handles.clone()),
            None => self.answer(number, Some(Refs::default()), context),
        }
    }

    /// Answers whoever waits for a task that has ended, with the objects that its result has proxies of.
    fn answer(&mut self, number: u64, held: Option<Refs>, context: &mut Context<'_>) {
        let Some(begun) = self.begun.remove(&number) else {
            return;
        };
        if let Some(caller) = begun.caller {
            self.by_caller.remove(&caller);
            self.by_task.remove(&(caller.session, begun.task));
            let future = begun.future;
            context.answer(caller, &Outcome { future, held });
        }
        self.pump(context);
    }

    fn cancel_task(&mut self, session: SessionId, task: u64, context: &mut Context<'_>) -> bool {
        match self.by_task.get(&(session, task)) {
            None => false,
            Some(Place::Begun(number)) => {
                let begun = self.begun.get(number);
                begun.is_some_and(|begun| begun.future.cancel())
            }
            Some(Place::InLine(caller)) => {
                let caller = *caller;
                self.by_task.remove(&(session, task));
                self.line.remove(caller);
                let may_have_run = false;
                let failure = Failure::Cancelled { may_have_run };
                context.answer(caller, &Ended::Failed(failure));
                true
            }
        }
    }

    fn kill_task(&mut self, session: SessionId, task: u64, context: &mut Context<'_>) -> Found {
        let begun = match self.by_task.get(&(session, task)) {
            Some(Place::Begun(number)) => self.begun.get(number),
            Some(Place::InLine(_)) => {
                self.cancel_task(session, task, context);
                return Found::Cancelled;
            }
            None => None,
        };
        match begun.map(|begun| begun.future.kill()) {
            Some(Kill::Cancelled) => Found::Cancelled,
            Some(Kill::Killing | Kill::Asked) => Found::Killing,
            Some(Kill::TooLate) | None => Found::TooLate,
        }
    }

    fn is_running(&self, session: SessionId, task: u64) -> bool {
        match self.by_task.get(&(session, task)) {
            Some(Place::Begun(number)) => {
                let begun = self.begun.get(number);
                begun.is_some_and(|begun| begun.future.is_running())
            }
            _ => false,
        }
    }

    fn submit(&mut self, caller: Caller, asked: Asked, context: &mut Context<'_>) {
        if self.is_shut {
            return context.answer(caller, &Ended::Failed(Failure::NotTaken));
        }
        let key = (caller.session, asked.task);
        if self.by_task.contains_key(&key) {
            let what = "the number of the task is in use".to_owned();
            return context.fail(caller, Fault::Invalid(what));
        }
        self.by_task.insert(key, Place::InLine(caller));
        self.line.push(caller, asked);
        self.pump(context);
    }

    /// What waits for the executor to be built still runs, unless it is to be cancelled; what waits because it has too much is refused.
    fn shut_down(&mut self, how: HowToEnd, context: &mut Context<'_>) {
        self.is_shut = true;
        if how > HowToEnd::Wait || !matches!(self.stage, Stage::Building(_)) {
            while let Some((caller, asked)) = self.line.pop() {
                self.by_task.remove(&(caller.session, asked.task));
                context.answer(caller, &Ended::Failed(Failure::NotTaken));
            }
        }
        match &mut self.stage {
            Stage::Building(wanted) => {
                *wanted = Some(wanted.map_or(how, |wanted| wanted.max(how)));
            }
            Stage::Running(Owned(Some(executor)), mailbox) => {
                let core = &executor.handle().0;
                core.begin_shutdown(how.into());
                let mailbox = mailbox.clone();
                core.ended()
                    .on_done(Box::new(move |_| mailbox.say(Box::new(Said::ShutDown))));
            }
            _ => self.has_shut_down(context),
        }
    }

    fn has_shut_down(&mut self, context: &mut Context<'_>) {
        self.has_ended = true;
        while let Some((caller, ())) = self.shutting.pop() {
            context.answer(caller, &());
        }
    }

    /// Nobody waits for it any more: it is cancelled if it has not begun, and told so if it has.
    fn abandon(&mut self, number: u64) {
        if let Some(begun) = self.begun.get_mut(&number) {
            if let Some(caller) = begun.caller.take() {
                self.by_task.remove(&(caller.session, begun.task));
            }
            begun.future.cancel();
        }
    }
}

impl Object for Pool {
    fn begin(&mut self, context: &mut Context<'_>) {
        let max_workers = self.max_workers;
        context.work(Box::new(move |mailbox| build(max_workers, mailbox)));
    }

    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        let Some(op) = context.understand(caller, op) else {
            return;
        };
        let session = caller.session;
        match op {
            PoolOp::Submit {
                task,
                function,
                signature,
                arguments,
            } => {
                let arguments = match context.keep(arguments) {
                    Ok(arguments) => arguments,
                    Err(fault) => return context.fail(caller, fault),
                };
                let asked = Asked {
                    task,
                    function,
                    signature,
                    arguments,
                };
                self.submit(caller, asked, context);
            }
            PoolOp::Cancel { task } => {
                let is_cancelled = self.cancel_task(session, task, context);
                context.answer(caller, &is_cancelled);
            }
            PoolOp::Kill { task } => {
                let killing = self.kill_task(session, task, context);
                context.answer(caller, &killing);
            }
            PoolOp::IsRunning { task } => {
                let is_running = self.is_running(session, task);
                context.answer(caller, &is_running);
            }
            PoolOp::Pending => {
                let pending = (self.line.len() + self.begun.len()) as u64;
                context.answer(caller, &pending);
            }
            PoolOp::Shutdown { how } => {
                if self.has_ended {
                    return context.answer(caller, &());
                }
                self.shutting.push(caller, ());
                self.shut_down(how, context);
            }
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        if let Some((_, asked)) = self.line.remove(caller) {
            self.by_task.remove(&(caller.session, asked.task));
        } else if let Some(number) = self.by_caller.remove(&caller) {
            self.abandon(number);
        } else if self.shutting.remove(caller).is_none() {
            return;
        }
        context.fail(caller, Fault::Cancelled);
    }

    fn leave(&mut self, session: SessionId, _: &mut Context<'_>) {
        for (_, asked) in self.line.remove_session(session) {
            self.by_task.remove(&(session, asked.task));
        }
        let bound = |call| Caller { session, call };
        let own = self.by_caller.range(bound(0)..=bound(u64::MAX));
        let own: Vec<(Caller, u64)> = own.map(|(caller, number)| (*caller, *number)).collect();
        for (caller, number) in own {
            self.by_caller.remove(&caller);
            self.abandon(number);
        }
        self.shutting.remove_session(session);
    }

    fn know(&mut self, number: u64, held: Option<Refs>, context: &mut Context<'_>) {
        self.answer(number, held, context);
    }

    fn hear(&mut self, said: Box<dyn Any + Send>, context: &mut Context<'_>) {
        let Ok(said) = said.downcast::<Said>() else {
            return;
        };
        match *said {
            Said::Built(built, mailbox) => {
                let wanted = match &self.stage {
                    Stage::Building(wanted) => *wanted,
                    _ => return,
                };
                self.stage = match built {
                    Ok(executor) => Stage::Running(executor, mailbox),
                    Err(message) => Stage::Failed(message),
                };
                self.pump(context);
                if let Some(how) = wanted {
                    self.shut_down(how, context);
                }
            }
            Said::Ended(number) => self.ended(number, context),
            Said::ShutDown => self.has_shut_down(context),
        }
    }
}

#[cfg(test)]
mod tests;
