//! An object of a user's own: which of its calls may begin, and what came of them.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::MAX_AT_ONCE;
use super::running::{self, Answer, Cell, New, Said, Ticket, full_name};
use super::words::{Making, ManagedOp};
use crate::manager::objects::turns::Turns;
use crate::manager::protocol::{Fault, Packed};
use crate::manager::store::{Caller, Context, Item, Object, Serves, SessionId};
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
    ready: Turns<()>,
    /// What has not been handed out yet, in the order in which it came.
    waiting: Turns<Waiting>,
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
            ready: Turns::default(),
            waiting: Turns::default(),
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
        self.waiting.push(caller, Waiting { method, arguments });
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
                while let Some((caller, ())) = self.ready.pop() {
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
        while let Some((caller, ())) = self.ready.pop() {
            context.answer(caller, &None::<Packed>);
        }
        while let Some((caller, next)) = self.next() {
            let (number, ticket) = (self.next_number, Ticket::default());
            self.next_number += 1;
            let is_exclusive = next.method.is_exclusive;
            let running = Running {
                caller: Some(caller),
                is_exclusive,
                ticket: ticket.clone(),
            };
            self.running.insert(number, running);
            let name = full_name(&self.type_name, next.method.name);
            let serves = Serves {
                caller,
                is_exclusive,
            };
            let work = running::call(
                number,
                next.method,
                name,
                next.arguments,
                cell.clone(),
                ticket,
            );
            context.serve(serves, work);
        }
    }

    /// The first that waits, if it may run beside what runs.
    fn next(&mut self) -> Option<(Caller, Waiting)> {
        let mut running = self.running.values();
        let may_run = match self.waiting.first()?.method.is_exclusive {
            true => running.len() == 0,
            false => running.len() < MAX_AT_ONCE && !running.any(|call| call.is_exclusive),
        };
        may_run.then(|| self.waiting.pop()).flatten()
    }

    fn fail_all(&mut self, fault: &Fault, context: &mut Context<'_>) {
        while let Some((caller, ())) = self.ready.pop() {
            context.fail(caller, fault.clone());
        }
        while let Some((caller, _)) = self.waiting.pop() {
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

    /// Forgets for whom calls run, and says whether there were any.
    fn abandon(&mut self, is_gone: impl Fn(Caller) -> bool) -> bool {
        let mut was_any = false;
        for call in self.running.values_mut() {
            if call.caller.take_if(|caller| is_gone(*caller)).is_some() {
                // Whether or not it has begun: its work says when it has ended, or that it never will have begun.
                call.ticket.take();
                was_any = true;
            }
        }
        was_any
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
                self.ready.push(caller, ());
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
        let was_there = self.waiting.remove(caller).is_some()
            || self.ready.remove(caller).is_some()
            || self.abandon(|of| of == caller);
        if was_there {
            context.fail(caller, Fault::Cancelled);
        }
        // What waited behind it may not have to wait any more.
        self.advance(context);
    }

    fn leave(&mut self, session: SessionId, context: &mut Context<'_>) {
        self.waiting.remove_session(session);
        self.ready.remove_session(session);
        self.abandon(|of| of.session == session);
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
