//! The object on a store: its work is done when the test says so.

use std::any::Any;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Barrier, LazyLock};
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::MAX_AT_ONCE;
use super::words::{Making, ManagedOp};
use crate::manager::protocol::{self, Fault, ObjectId, Packed};
use crate::manager::store::{
    Caller, Effect, Kind, MAX_CALLS, Mailbox, RootOp, SessionId, Store, Work,
};
use crate::primitives::plain::{Mutex, lock};
use crate::registry::private::{
    Constructor, ManagedType, Method, Name, construct, construct_or_fail, exclusive, shared,
};
use crate::wire;

/// How long a test waits for another thread before it says that nothing came.
const PATIENCE: Duration = Duration::from_secs(60);

struct Probe(u64);

/// Those that are gone, and on which thread each went.
static DROPPED: Mutex<Vec<(u64, thread::ThreadId)>> = Mutex::new(Vec::new());

/// Where a method waits, twice, for one other: one place for each test.
static PLACES: LazyLock<[Barrier; 3]> = LazyLock::new(|| [0; 3].map(|_| Barrier::new(2)));

impl Probe {
    fn new(n: u64) -> Self {
        assert_ne!(n, 666, "no such probe");
        Self(n)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        lock(&DROPPED).push((self.0, thread::current().id()));
        assert_ne!(self.0, 1313, "an unlucky drop");
    }
}

fn meet(place: usize) {
    PLACES[place].wait();
    PLACES[place].wait();
}

inventory::submit! {
    ManagedType {
        name: Name::Explicit("tests::Probe"),
        file: file!(),
        line: line!(),
        constructors: &[
            Constructor { name: "new", shim: |arguments| construct(arguments, Probe::new) },
            Constructor {
                name: "positive",
                shim: |arguments| construct_or_fail(arguments, |n: i64| {
                    u64::try_from(n).map(Probe::new).map_err(|_| format!("{n} is below 0"))
                }),
            },
        ],
        methods: &[
            Method {
                name: "add",
                is_exclusive: true,
                shim: |arguments| exclusive(arguments, |this: &mut Probe, by: u64| {
                    this.0 += by;
                    this.0
                }),
            },
            Method {
                name: "get",
                is_exclusive: false,
                shim: |arguments| shared(arguments, |this: &Probe, (): ()| this.0),
            },
            Method {
                name: "add_and_panic",
                is_exclusive: true,
                shim: |arguments| exclusive(arguments, |this: &mut Probe, by: u64| {
                    this.0 += by;
                    assert_eq!(by, 0, "after all");
                }),
            },
            Method {
                name: "long",
                is_exclusive: false,
                shim: |arguments| shared(arguments, |_: &Probe, len: usize| vec![0_u8; len]),
            },
            Method {
                name: "meet",
                is_exclusive: false,
                shim: |arguments| shared(arguments, |_: &Probe, place: usize| meet(place)),
            },
            Method {
                name: "of_another",
                is_exclusive: false,
                shim: |arguments| shared(arguments, |_: &String, (): ()| ()),
            },
        ],
    }
}

type Heard = (ObjectId, Box<dyn Any + Send>);

/// A store with one session, what it wants to have done, and what it has answered.
struct World {
    store: Store,
    work: Vec<(ObjectId, Work)>,
    answers: Vec<(u64, Result<Vec<u8>, Fault>)>,
    say: Sender<Heard>,
    heard: Receiver<Heard>,
    next_call: u64,
}

const SESSION: SessionId = SessionId(1);
const MAX_FRAME: u64 = 1000;

impl World {
    fn new() -> Self {
        let (say, heard) = channel();
        let mut store = Store::new(MAX_FRAME);
        store.open(SESSION);
        Self {
            store,
            work: Vec::new(),
            answers: Vec::new(),
            say,
            heard,
            next_call: 0,
        }
    }

    /// One with a probe in it, whose constructor has not run yet.
    fn with_probe(constructor: &str, argument: i64) -> (Self, ObjectId) {
        let mut world = Self::new();
        let made = match constructor {
            "new" => world.create("tests::Probe", constructor, &argument.unsigned_abs()),
            _ => world.create("tests::Probe", constructor, &argument),
        };
        (world, made.unwrap())
    }

    /// One with a probe in it.
    fn with_ready_probe(n: i64) -> (Self, ObjectId) {
        let (mut world, probe) = Self::with_probe("new", n);
        world.run_all();
        (world, probe)
    }

    fn create<T: Serialize + 'static>(
        &mut self,
        type_name: &str,
        constructor: &str,
        argument: &T,
    ) -> Result<ObjectId, Fault> {
        let mut bytes = encoded(&Making {
            constructor: constructor.to_owned(),
        });
        bytes.extend(encoded(argument));
        let create = RootOp::Create {
            kind: Kind::Managed,
            type_name: type_name.to_owned(),
            init: Packed {
                bytes,
                refs: Vec::new(),
            },
        };
        let call = self.ask(SESSION, ObjectId::ROOT, &create);
        self.answer(call)
    }

    /// Asks, and gives the number of the call.
    fn ask<T: Serialize + 'static>(&mut self, session: SessionId, of: ObjectId, op: &T) -> u64 {
        let mut payload = Vec::new();
        protocol::encode_object(of, &mut payload).unwrap();
        wire::encode(op, &mut payload).unwrap();
        self.next_call += 1;
        let call = self.next_call;
        assert!(self.store.ask(Caller { session, call }, &payload));
        self.collect();
        call
    }

    fn call<T: Serialize + 'static>(&mut self, of: ObjectId, method: &str, argument: &T) -> u64 {
        self.call_in(SESSION, of, method, argument)
    }

    fn call_in<T: Serialize + 'static>(
        &mut self,
        session: SessionId,
        of: ObjectId,
        method: &str,
        argument: &T,
    ) -> u64 {
        let arguments = Packed {
            bytes: encoded(argument),
            refs: Vec::new(),
        };
        let method = method.to_owned();
        self.ask(session, of, &ManagedOp::Call { method, arguments })
    }

    fn ready(&mut self, of: ObjectId) -> u64 {
        self.ask(SESSION, of, &ManagedOp::Ready)
    }

    fn cancel(&mut self, call: u64) {
        let session = SESSION;
        self.store.cancel(Caller { session, call });
        self.collect();
    }

    fn collect(&mut self) {
        for effect in self.store.take_effects() {
            match effect {
                Effect::Answer { caller, answer, .. } => {
                    self.answers.push((caller.call, Ok(answer)));
                }
                Effect::Fail { caller, fault } => self.answers.push((caller.call, Err(fault))),
                Effect::Work { object, work, .. } => self.work.push((object, work)),
                Effect::Admit { .. } | Effect::Identify { .. } | Effect::Shutdown => {
                    panic!("nobody asked for that")
                }
            }
        }
    }

    fn mailbox(&self, object: ObjectId) -> Mailbox {
        let say = self.say.clone();
        let send = move |object, what| drop(say.send((object, what)));
        Mailbox::new(object, Arc::new(send))
    }

    /// Has the first work there is done, and hears what it says. It is done on another thread, whose number is returned.
    fn run_one(&mut self) -> thread::ThreadId {
        let (object, work) = self.work.remove(0);
        let (say, heard) = channel();
        let send = move |object, what| drop(say.send((object, what)));
        let mailbox = Mailbox::new(object, Arc::new(send));
        let worker = thread::spawn(move || work(mailbox));
        loop {
            match heard.recv_timeout(PATIENCE) {
                Ok((object, said)) => self.store.hear(object, said),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the work does not end"),
            }
        }
        let id = worker.thread().id();
        worker.join().expect("what panics is caught");
        self.collect();
        id
    }

    fn run_all(&mut self) {
        while !self.work.is_empty() {
            self.run_one();
        }
    }

    /// Begins all work there is, each on a thread.
    fn start_all(&mut self) {
        for (object, work) in std::mem::take(&mut self.work) {
            let mailbox = self.mailbox(object);
            thread::spawn(move || work(mailbox));
        }
    }

    /// Hears the next that a thread says.
    fn hear_one(&mut self) {
        let (object, said) = self.heard.recv_timeout(PATIENCE).expect("a thread speaks");
        self.store.hear(object, said);
        self.collect();
    }

    fn is_answered(&self, call: u64) -> bool {
        self.answers.iter().any(|(of, _)| *of == call)
    }

    /// The answer to a call of the store's own.
    fn answer<T: DeserializeOwned + 'static>(&mut self, call: u64) -> Result<T, Fault> {
        let at = self.answers.iter().position(|(of, _)| *of == call);
        let (_, answer) = self.answers.remove(at.expect("an answer"));
        answer.map(|answer| wire::decode(&answer).unwrap())
    }

    /// What a method returned.
    fn returned<T: DeserializeOwned + 'static>(&mut self, call: u64) -> Result<T, Fault> {
        let packed: Packed = self.answer(call)?;
        Ok(wire::decode(&packed.bytes).unwrap())
    }
}

fn encoded<T: Serialize + 'static>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(value, &mut bytes).unwrap();
    bytes
}

#[test]
fn methods_are_called_by_their_names() {
    let (mut world, probe) = World::with_ready_probe(40);
    let (add, get) = (
        world.call(probe, "add", &2_u64),
        world.call(probe, "get", &()),
    );
    world.run_all();
    assert_eq!(world.returned::<u64>(add), Ok(42));
    assert_eq!(world.returned::<u64>(get), Ok(42));
}

#[test]
fn only_registered_types_constructors_and_methods_are_called() {
    let mut world = World::new();
    let unknown = world.create("tests::Unknown", "new", &1_u64);
    assert_eq!(unknown, Err(Fault::NoType("tests::Unknown".into())));
    let no_method = |method: &str| Fault::NoMethod {
        type_name: "tests::Probe".into(),
        method: method.into(),
    };
    let unknown = world.create("tests::Probe", "get", &());
    assert_eq!(unknown, Err(no_method("get")));
    assert!(world.work.is_empty());

    let (mut world, probe) = World::with_ready_probe(1);
    let hidden = world.call(probe, "new", &1_u64);
    assert_eq!(world.returned::<u64>(hidden), Err(no_method("new")));
}

#[test]
fn what_does_not_decode_is_refused() {
    let mut world = World::new();
    let create = RootOp::Create {
        kind: Kind::Managed,
        type_name: "tests::Probe".into(),
        init: Packed::default(),
    };
    let call = world.ask(SESSION, ObjectId::ROOT, &create);
    assert!(matches!(
        world.answer::<ObjectId>(call),
        Err(Fault::NotUnderstood(_))
    ));

    let (mut world, probe) = World::with_ready_probe(1);
    let calls = [
        world.call(probe, "get", &7_u8),
        world.call(probe, "add", &()),
        world.ask(SESSION, probe, &[77_u8; 3]),
    ];
    world.run_all();
    for call in calls {
        assert!(matches!(
            world.returned::<u64>(call),
            Err(Fault::NotUnderstood(_))
        ));
    }
    let get = world.call(probe, "get", &());
    world.run_all();
    assert_eq!(world.returned::<u64>(get), Ok(1));
}

#[test]
fn arguments_that_name_objects_that_are_not_there_are_refused() {
    let (mut world, probe) = World::with_ready_probe(1);
    let arguments = Packed {
        bytes: Vec::new(),
        refs: vec![ObjectId(4711)],
    };
    let method = "get".to_owned();
    let call = world.ask(SESSION, probe, &ManagedOp::Call { method, arguments });
    assert_eq!(world.returned::<u64>(call), Err(Fault::NoObject));
}

#[test]
fn proxies_are_refused_where_the_server_cannot_be_reached() {
    let (mut world, probe) = World::with_ready_probe(1);
    let arguments = Packed {
        bytes: Vec::new(),
        refs: vec![probe],
    };
    let method = "get".to_owned();
    let call = world.ask(SESSION, probe, &ManagedOp::Call { method, arguments });
    world.run_all();
    match world.returned::<u64>(call) {
        Err(Fault::NotUnderstood(why)) => assert!(why.contains("cannot be reached"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn calls_wait_for_the_constructor() {
    let (mut world, probe) = World::with_probe("new", 40);
    let (add, ready) = (world.call(probe, "add", &2_u64), world.ready(probe));
    assert_eq!(world.work.len(), 1, "the constructor alone");
    assert!(!world.is_answered(ready));
    world.run_one();
    assert_eq!(world.answer::<Option<Packed>>(ready), Ok(None));
    world.run_all();
    assert_eq!(world.returned::<u64>(add), Ok(42));
}

#[test]
fn every_call_says_that_the_constructor_panicked() {
    let (mut world, probe) = World::with_probe("new", 666);
    let calls = [world.ready(probe), world.call(probe, "get", &())];
    world.run_all();
    let later = [world.ready(probe), world.call(probe, "add", &1_u64)];
    for call in calls.into_iter().chain(later) {
        match world.answer::<()>(call) {
            Err(Fault::Panicked {
                method, message, ..
            }) => {
                assert_eq!(method, "tests::Probe::new");
                assert!(message.contains("no such probe"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_error_of_the_constructor_is_a_value() {
    let (mut world, probe) = World::with_probe("positive", -1);
    let (ready, get) = (world.ready(probe), world.call(probe, "get", &()));
    world.run_all();
    let error = world.answer::<Option<Packed>>(ready).unwrap().unwrap();
    assert_eq!(
        wire::decode::<String>(&error.bytes).unwrap(),
        "-1 is below 0"
    );
    assert!(matches!(world.returned::<u64>(get), Err(Fault::Failed(_))));

    let (mut world, probe) = World::with_probe("positive", 1);
    let ready = world.ready(probe);
    world.run_all();
    assert_eq!(world.answer::<Option<Packed>>(ready), Ok(None));
}

#[test]
fn a_panic_ends_its_call_and_leaves_the_object_as_it_is() {
    let (mut world, probe) = World::with_ready_probe(1);
    let panics = world.call(probe, "add_and_panic", &2_u64);
    let (add, get) = (
        world.call(probe, "add", &3_u64),
        world.call(probe, "get", &()),
    );
    world.run_all();
    match world.returned::<()>(panics) {
        Err(Fault::Panicked {
            method, message, ..
        }) => {
            assert_eq!(method, "tests::Probe::add_and_panic");
            assert!(message.contains("after all"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.returned::<u64>(add), Ok(6));
    assert_eq!(world.returned::<u64>(get), Ok(6));
}

#[test]
fn a_result_over_the_limit_says_so() {
    let (mut world, probe) = World::with_ready_probe(1);
    let (fits, long) = (
        world.call(probe, "long", &900_usize),
        world.call(probe, "long", &1000_usize),
    );
    world.run_all();
    assert_eq!(world.returned::<Vec<u8>>(fits).unwrap().len(), 900);
    match world.returned::<Vec<u8>>(long) {
        Err(Fault::TooLong { len, max_frame }) => assert!(len > 1000 && max_frame == MAX_FRAME),
        other => panic!("{other:?}"),
    }
}

#[test]
fn shared_calls_run_at_the_same_time() {
    let (mut world, probe) = World::with_ready_probe(1);
    let calls = [
        world.call(probe, "meet", &0_usize),
        world.call(probe, "meet", &0_usize),
    ];
    // Each of the two waits for the other.
    world.start_all();
    world.hear_one();
    world.hear_one();
    for call in calls {
        assert_eq!(world.returned::<()>(call), Ok(()));
    }
}

#[test]
fn an_exclusive_call_runs_alone_and_is_not_overtaken() {
    let (mut world, probe) = World::with_ready_probe(0);
    let calls =
        ["get", "get", "add", "get", "add", "add", "get", "get"].map(|method| match method {
            "get" => world.call(probe, method, &()),
            _ => world.call(probe, method, &1_u64),
        });
    let mut at_once = Vec::new();
    while !world.work.is_empty() {
        let batch = world.work.len();
        at_once.push(batch);
        for _ in 0..batch {
            world.run_one();
        }
    }
    assert_eq!(at_once, [2, 1, 1, 1, 1, 2]);
    let found = calls.map(|call| world.returned::<u64>(call).unwrap());
    assert_eq!(found, [0, 0, 1, 1, 2, 3, 3, 3]);
}

#[test]
fn one_object_does_not_take_all_threads() {
    let (mut world, probe) = World::with_ready_probe(5);
    let calls: Vec<u64> = (0..MAX_AT_ONCE + 1)
        .map(|_| world.call(probe, "get", &()))
        .collect();
    assert_eq!(world.work.len(), MAX_AT_ONCE);
    world.run_one();
    assert_eq!(world.work.len(), MAX_AT_ONCE);
    world.run_all();
    for call in calls {
        assert_eq!(world.returned::<u64>(call), Ok(5));
    }
}

#[test]
fn a_call_that_waits_is_taken_back() {
    let (mut world, probe) = World::with_ready_probe(1);
    let first = world.call(probe, "add", &1_u64);
    let waits = world.call(probe, "add", &10_u64);
    world.cancel(waits);
    assert_eq!(world.returned::<u64>(waits), Err(Fault::Cancelled));
    world.run_all();
    assert_eq!(world.returned::<u64>(first), Ok(2));
}

#[test]
fn as_many_calls_as_may_wait_are_taken_back_one_by_one() {
    let (mut world, probe) = World::with_ready_probe(1);
    let running = world.call(probe, "add", &1_u64);
    let waiting: Vec<u64> = (1..MAX_CALLS)
        .map(|_| world.call(probe, "add", &1_u64))
        .collect();
    // It does not take longer for each of them the more there are.
    for call in waiting.iter().rev() {
        world.cancel(*call);
    }
    assert_eq!(world.answers.len(), waiting.len());
    let cancelled = |(_, answer): &(u64, Result<Vec<u8>, Fault>)| *answer == Err(Fault::Cancelled);
    assert!(world.answers.iter().all(cancelled));
    world.run_all();
    assert_eq!(world.returned::<u64>(running), Ok(2));
}

#[test]
fn those_behind_a_call_that_was_taken_back_go_on() {
    let (mut world, probe) = World::with_ready_probe(1);
    let first = world.call(probe, "get", &());
    let waits = world.call(probe, "add", &10_u64);
    let behind = world.call(probe, "get", &());
    assert_eq!(world.work.len(), 1);
    world.cancel(waits);
    assert_eq!(world.work.len(), 2);
    world.run_all();
    assert_eq!(world.returned::<u64>(first), Ok(1));
    assert_eq!(world.returned::<u64>(behind), Ok(1));
}

#[test]
fn a_call_that_no_thread_has_begun_is_taken_back() {
    let (mut world, probe) = World::with_ready_probe(1);
    let handed_out = world.call(probe, "add", &10_u64);
    let behind = world.call(probe, "get", &());
    world.cancel(handed_out);
    assert_eq!(world.returned::<u64>(handed_out), Err(Fault::Cancelled));
    world.run_all();
    assert_eq!(world.returned::<u64>(behind), Ok(1));
}

#[test]
fn a_call_that_has_begun_runs_on_for_nobody() {
    let (mut world, probe) = World::with_ready_probe(1);
    let begun = world.call(probe, "meet", &1_usize);
    let behind = world.call(probe, "add", &1_u64);
    world.start_all();
    PLACES[1].wait();
    world.cancel(begun);
    assert_eq!(world.returned::<()>(begun), Err(Fault::Cancelled));
    assert!(
        world.work.is_empty(),
        "the exclusive call waits for it all the same"
    );
    PLACES[1].wait();
    world.hear_one();
    assert!(!world.is_answered(begun), "one answer is enough");
    world.run_all();
    assert_eq!(world.returned::<u64>(behind), Ok(2));
}

#[test]
fn a_session_that_ends_is_forgotten() {
    let (mut world, probe) = World::with_ready_probe(1);
    let other = SessionId(2);
    world.store.open(other);
    let running = world.call_in(other, probe, "add", &1_u64);
    let waiting = world.call_in(other, probe, "add", &10_u64);
    let mine = world.call(probe, "get", &());
    world.store.close(other);
    world.collect();
    world.run_all();
    assert!(!world.is_answered(running) && !world.is_answered(waiting));
    assert_eq!(world.returned::<u64>(mine), Ok(1));
}

#[test]
fn a_value_is_dropped_by_work_and_not_by_the_store() {
    for n in [1312, 1313] {
        let (mut world, probe) = World::with_ready_probe(n);
        world.store.release(SESSION, &[(probe, 1)]);
        world.collect();
        let n = n.unsigned_abs();
        let dropped = || lock(&DROPPED).iter().find(|(of, _)| *of == n).copied();
        assert_eq!((world.store.len(), dropped()), (0, None));
        // 1313 panics when it is dropped.
        let id = world.run_one();
        assert_eq!(dropped(), Some((n, id)));
    }
}

#[test]
fn a_value_whose_object_has_gone_before_it_was_made_is_dropped_where_it_was_made() {
    let (mut world, probe) = World::with_probe("new", 1414);
    world.store.release(SESSION, &[(probe, 1)]);
    let id = world.run_one();
    let dropped = lock(&DROPPED).iter().find(|(of, _)| *of == 1414).copied();
    assert_eq!(dropped, Some((1414, id)));
}

#[test]
fn a_value_outlives_its_object_until_its_call_has_ended() {
    let (mut world, probe) = World::with_ready_probe(77);
    let call = world.call(probe, "meet", &2_usize);
    world.start_all();
    PLACES[2].wait();
    world.store.release(SESSION, &[(probe, 1)]);
    world.collect();
    assert_eq!(world.answer::<()>(call), Err(Fault::NoObject));
    world.run_all();
    let is_dropped = || lock(&DROPPED).iter().any(|(of, _)| *of == 77);
    assert!(!is_dropped(), "its method runs still");
    PLACES[2].wait();
    world.hear_one();
    assert!(is_dropped());
}

#[test]
fn a_method_of_another_type_is_not_called() {
    let (mut world, probe) = World::with_ready_probe(1);
    let call = world.call(probe, "of_another", &());
    world.run_all();
    let fault = Fault::Failed("`tests::Probe::of_another` is a method of another type".into());
    assert_eq!(world.returned::<()>(call), Err(fault));
}
