//! Object 0: makes objects, names them, and ends the server.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Caller, Context, Effect, Entry, Item, Object, ObjectId, Ref, Refs, Store};
use crate::manager::objects;
use crate::manager::protocol::{Fault, PROTOCOL, Packed};

/// The longest name, in bytes.
const MAX_NAME: usize = 255;

/// What an object is.
// `pub` because `Proxy` names it; nothing outside can.
#[allow(missing_docs, reason = "nobody outside can name it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    List,
    Dict,
    Set,
    Queue,
    Value,
    Array,
    Namespace,
    Lock,
    RLock,
    Semaphore,
    BoundedSemaphore,
    Event,
    Condition,
    Barrier,
    Pool,
    /// A type of a user's own; its `type_name` says which.
    Managed,
}

/// What is asked of a server itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum RootOp {
    /// The first request of every client: which protocol it speaks. Answered with [`Welcome`].
    Hello { protocol: u32 },
    /// Makes an object. Answered with its id, which is granted.
    Create {
        kind: Kind,
        /// What its values are, for those who look for it by its name.
        type_name: String,
        /// How it begins, in the words of its kind.
        init: Packed,
    },
    /// Gives an object a name, and keeps it while it has that.
    Publish { name: String, object: ObjectId },
    /// Takes a name away. Answered with whether there was one.
    Unpublish { name: String },
    /// The object of a name: answered with its id, kind, and type; granted.
    Lookup { name: String },
    /// All names.
    Names,
    /// One more grant of an object, for the session that asks.
    Hold { object: ObjectId },
    /// Answered with [`Status`].
    Status,
    /// Ends the server: answered, and then nobody is served any more.
    Shutdown,
}

/// Who a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) protocol: u32,
    /// The longest payload that it takes, and the longest answer that it gives.
    pub(crate) max_frame: u64,
    /// Random: tells it from those that had, or will have, its address.
    pub(crate) server: u64,
}

/// How a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) objects: u64,
    pub(crate) connections: u64,
    /// The process that it runs in.
    pub(crate) pid: u32,
}

/// Does what is asked of the server itself. Nothing of it waits.
pub(super) fn ask(store: &mut Store, caller: Caller, op: &[u8]) {
    let (op, mut effects) = {
        let mut effects = Vec::new();
        let mut context = context(store, &mut effects);
        (context.understand::<RootOp>(caller, op), effects)
    };
    if let Some(op) = op
        && let Err(fault) = answer(store, caller, op, &mut effects)
    {
        effects.push(Effect::Fail { caller, fault });
    }
    store.effects.append(&mut effects);
}

fn context<'a>(store: &'a Store, effects: &'a mut Vec<Effect>) -> Context<'a> {
    Context::new(ObjectId::ROOT, &store.directory, effects, store.max_frame)
}

fn answer(
    store: &mut Store,
    caller: Caller,
    op: RootOp,
    effects: &mut Vec<Effect>,
) -> Result<(), Fault> {
    match op {
        RootOp::Hello { protocol } if protocol != PROTOCOL => Err(Fault::Invalid(format!(
            "the server speaks version {PROTOCOL} of the protocol, the client version {protocol}"
        ))),
        RootOp::Hello { .. } => {
            let welcome = Welcome {
                protocol: PROTOCOL,
                max_frame: store.max_frame,
                server: store.number,
            };
            context(store, effects).answer(caller, &welcome);
            Ok(())
        }
        RootOp::Create {
            kind,
            type_name,
            init,
        } => {
            let reference = create(store, kind, type_name, init, effects)?;
            grant(store, caller, reference, effects, |id| id)
        }
        RootOp::Publish { name, object } => {
            if name.is_empty() || name.len() > MAX_NAME {
                return Err(Fault::Invalid(format!(
                    "a name has 1 to {MAX_NAME} bytes, not {}",
                    name.len()
                )));
            }
            let reference = context(store, effects).find(object)?;
            match store.names.get(&name) {
                Some(known) if known.id() != object => return Err(Fault::NameTaken(name)),
                Some(_) => {}
                None => drop(store.names.insert(name, reference)),
            }
            context(store, effects).answer(caller, &());
            Ok(())
        }
        RootOp::Unpublish { name } => {
            let known = store.names.remove(&name).is_some();
            context(store, effects).answer(caller, &known);
            Ok(())
        }
        RootOp::Lookup { name } => {
            let Some(reference) = store.names.get(&name).cloned() else {
                return Err(Fault::NoName(name));
            };
            let entry = store.objects.get(&reference.id()).ok_or(Fault::NoObject)?;
            let (kind, type_name) = (entry.kind, entry.type_name.clone());
            grant(store, caller, reference, effects, move |id| {
                (id, kind, type_name)
            })
        }
        RootOp::Names => {
            let names: Vec<String> = store.names.keys().cloned().collect();
            context(store, effects).answer(caller, &names);
            Ok(())
        }
        RootOp::Hold { object } => {
            let reference = context(store, effects).find(object)?;
            grant(store, caller, reference, effects, |_| ())
        }
        RootOp::Status => {
            let status = Status {
                objects: store.len() as u64,
                connections: store.sessions() as u64,
                pid: std::process::id(),
            };
            context(store, effects).answer(caller, &status);
            Ok(())
        }
        RootOp::Shutdown => {
            context(store, effects).answer(caller, &());
            effects.push(Effect::Shutdown);
            Ok(())
        }
    }
}

/// Answers with something about an object, which is granted.
fn grant<T: Serialize + 'static>(
    store: &Store,
    caller: Caller,
    reference: Ref,
    effects: &mut Vec<Effect>,
    describe: impl FnOnce(ObjectId) -> T,
) -> Result<(), Fault> {
    let mut answer = Vec::new();
    crate::wire::encode(&describe(reference.id()), &mut answer)
        .map_err(|error| Fault::Failed(error.into_message()))?;
    let grants: Refs = std::iter::once(reference).collect();
    context(store, effects).answer_encoded(caller, answer, grants);
    Ok(())
}

fn create(
    store: &mut Store,
    kind: Kind,
    type_name: String,
    init: Packed,
    effects: &mut Vec<Effect>,
) -> Result<Ref, Fault> {
    let init: Item = context(store, effects).keep(init)?;
    let object: Box<dyn Object> = objects::create(kind, &type_name, init)?;
    let id = ObjectId(store.next_object);
    store.next_object += 1;
    let reference = store.directory.enter(id);
    let mut entry = Entry {
        kind,
        type_name,
        object,
        askers: HashSet::new(),
    };
    entry.object.begin(&mut Context::new(
        id,
        &store.directory,
        effects,
        store.max_frame,
    ));
    store.objects.insert(id, entry);
    Ok(reference)
}
