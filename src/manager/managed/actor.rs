//! An object of a user's own: which of its calls may begin, and what came of them.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::MAX_AT_ONCE;
use super::running::{self, Answer, Cell, New, Said, Ticket, full_name};
use super::words::{Making, ManagedOp};
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::{Caller, Context, Item, Object, SessionId};
use crate::registry::{Constructor, ManagedType, Method, types};
use crate::wire;

/// Makes an object of the type of this name, as `init` says.
pub(crate) fn create(type_name: &str, init: Item) -> Result<Box<dyn Object>, Fault> {
    let of = types()
        .map_err(|error| Fault::Failed(error.to_string()))?
        .by_name(type_name)
        .ok_or_else(|| Fault::NoType(type_name.to_owned()))?;
    Ok(Box::new(Managed::new(of, type_name, init)?))
}

/// A value of a user's type, and who calls it.
pub(super) struct Managed {
    of: &'static ManagedType,
    type_name: String,
    value: Value,
    /// Who waits for the constructor.
    ready: Vec<Caller>,
    /// What has not been handed out yet, in the order in which it came.
    waiting: VecDeque<Waiting>,
    /// What has been handed out, and has not ended, by number. One that is exclusive is the only one.
    running: BTreeMap<u64, Running>,
    next_number: u64,
}

enum Value {
    /// Nothing has been begun yet.
    New {
        constructor: &'static Constructor,
        init: Item,
        /// Where the arguments begin.
        offset: usize,
    },
    /// The constructor runs.
    Making,
    Made(Arc<Cell>),
    /// The constructor has returned an error.
    Refused(Item),
    /// The constructor has panicked, or was not called.
    Failed(Fault),
}

struct Waiting {
    caller: Caller,
    method: &'static Method,
    arguments: Item,
}

struct Running {
    /// Nobody, if the answer is not waited for any more.
    caller: Option<Caller>,
    is_exclusive: bool,
    ticket: Ticket,
}

impl Managed {
    fn new(of: &'static ManagedType, type_name: &str, init: Item) -> Result<Self, Fault> {
        let mut arguments = &init.bytes[..];
        let Making { constructor } = wire::decode_prefix(&mut arguments)
            .map_err(|error| Fault::NotUnderstood(error.into_message()))?;
        let offset = init.bytes.len() - arguments.len();
        let constructor = of.constructor(&constructor).ok_or(Fault::NoMethod {
            type_name: type_name.to_owned(),
            method: constructor,
        })?;
        Ok(Self {
            of,
            type_name: type_name.to_owned(),
            value: Value::New {
                constructor,
                init,
                offset,
            },
            ready: Vec::new(),
            waiting: VecDeque::new(),
            running: BTreeMap::new(),
            next_number: 0,
        })
    }

    /// A call of a method: it waits for its turn, and for the constructor.
    fn call(
        &mut self,
        caller: Caller,
        method: String,
        arguments: Packed,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let Some(method) = self.of.method(&method) else {
            let type_name = self.type_name.clone();
            return Err(Fault::NoMethod { type_name, method });
        };
        let arguments = context.keep(arguments)?;
        self.waiting.push_back(Waiting {
            caller,
            method,
            arguments,
        });
        self.advance(context);
        Ok(())
    }

    /// Answers whoever waits for the constructor, and hands out what may run.
    fn advance(&mut self, context: &mut Context<'_>) {
        let cell = match &self.value {
            Value::New { .. } | Value::Making => return,
            Value::Made(cell) => cell.clone(),
            Value::Refused(error) => {
                let error = Some(error.clone());
                for caller in self.ready.drain(..) {
                    context.answer(caller, &error);
                }
                let fault = Fault::Failed(format!(
                    "there is no `{}`: its constructor returned an error",
                    self.type_name
                ));
                return self.fail_all(&fault, context);
            }
            Value::Failed(fault) => {
                let fault = fault.clone();
                return self.fail_all(&fault, context);
            }
        };
        for caller in self.ready.drain(..) {
            context.answer(caller, &None::<Packed>);
        }
        while let Some(next) = self.next() {
            let (number, ticket) = (self.next_number, Ticket::default());
            self.next_number += 1;
            let running = Running {
                caller: Some(next.caller),
                is_exclusive: next.method.is_exclusive,
                ticket: ticket.clone(),
            };
            self.running.insert(number, running);
            let name = full_name(&self.type_name, next.method.name);
            context.work(running::call(
                number,
                next.method,
                name,
                next.arguments,
                cell.clone(),
                ticket,
            ));
        }
    }

    /// The first that waits, if it may run beside what runs.
    fn next(&mut self) -> Option<Waiting> {
        let mut running = self.running.values();
        let may_run = match self.waiting.front()?.method.is_exclusive {
            true => running.len() == 0,
            false => running.len() < MAX_AT_ONCE && !running.any(|call| call.is_exclusive),
        };
        may_run.then(|| self.waiting.pop_front()).flatten()
    }

    fn fail_all(&mut self, fault: &Fault, context: &mut Context<'_>) {
        let ready = self.ready.drain(..);
        let waiting = self.waiting.drain(..).map(|waiting| waiting.caller);
        for caller in ready.chain(waiting) {
            context.fail(caller, fault.clone());
        }
    }

    fn made(&mut self, made: Result<Result<New, Answer>, Fault>, context: &Context<'_>) {
        self.value = match made {
            Ok(Ok(new)) => Value::Made(new.cell),
            Ok(Err(error)) => match context.keep(error.packed) {
                Ok(error) => Value::Refused(error),
                Err(fault) => Value::Failed(fault),
            },
            Err(fault) => Value::Failed(fault),
        };
    }

    fn ended(
        &mut self,
        number: u64,
        answer: Option<Result<Answer, Fault>>,
        context: &mut Context<'_>,
    ) {
        let caller = self.running.remove(&number).and_then(|call| call.caller);
        let (Some(caller), Some(answer)) = (caller, answer) else {
            return;
        };
        match answer.and_then(|answer| context.keep(answer.packed)) {
            Ok(item) => context.answer(caller, &item),
            Err(fault) => context.fail(caller, fault),
        }
    }

    /// Forgets those who wait, and says who they were.
    fn forget(&mut self, is_gone: impl Fn(Caller) -> bool) -> Vec<Caller> {
        let mut gone: Vec<Caller> = self.ready.extract_if(.., |of| is_gone(*of)).collect();
        self.waiting.retain(|waiting| {
            let keep = !is_gone(waiting.caller);
            if !keep {
                gone.push(waiting.caller);
            }
            keep
        });
        for call in self.running.values_mut() {
            if let Some(caller) = call.caller.take_if(|caller| is_gone(*caller)) {
                // Whether or not it has begun: its work says when it has ended, or that it never will have begun.
                call.ticket.take();
                gone.push(caller);
            }
        }
        gone
    }
}

impl Object for Managed {
    fn begin(&mut self, context: &mut Context<'_>) {
        if let Value::New {
            constructor,
            init,
            offset,
        } = std::mem::replace(&mut self.value, Value::Making)
        {
            let name = full_name(&self.type_name, constructor.name);
            context.work(running::make(constructor, name, init, offset));
        }
    }

    fn ask(&mut self, caller: Caller, op: &[u8], context: &mut Context<'_>) {
        match context.understand(caller, op) {
            None => {}
            Some(ManagedOp::Ready) => {
                self.ready.push(caller);
                self.advance(context);
            }
            Some(ManagedOp::Call { method, arguments }) => {
                if let Err(fault) = self.call(caller, method, arguments, context) {
                    context.fail(caller, fault);
                }
            }
        }
    }

    fn cancel(&mut self, caller: Caller, context: &mut Context<'_>) {
        for caller in self.forget(|of| of == caller) {
            context.fail(caller, Fault::Cancelled);
        }
        // What waited behind it may not have to wait any more.
        self.advance(context);
    }

    fn leave(&mut self, session: SessionId, context: &mut Context<'_>) {
        self.forget(|of| of.session == session);
        self.advance(context);
    }

    fn hear(&mut self, said: Box<dyn Any + Send>, context: &mut Context<'_>) {
        match running::understand(said) {
            Some(Said::Made(made)) => self.made(made, context),
            Some(Said::Ended { number, answer }) => self.ended(number, answer, context),
            None => {}
        }
        self.advance(context);
    }

    fn end(&mut self, context: &mut Context<'_>) {
        let failed = Value::Failed(Fault::NoObject);
        if let Value::Made(cell) = std::mem::replace(&mut self.value, failed) {
            context.work(running::drop_value(cell));
        }
    }
}
