use std::any::Any;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use serde::de::DeserializeOwned;

use super::{Ended, Failure, Found, HowToEnd, Owned, Pool, PoolOp, Said};
use crate::ThreadPoolExecutor;
use crate::error::{EndOfWorker, Panic, SubmitError, TaskError, TaskId, Travelling, WorkerLost};
use crate::manager::protocol::{Fault, ObjectId, Packed, encode_object};
use crate::manager::store::{Caller, Effect, Kind, Mailbox, RootOp, SessionId, Store};
use crate::registry::registry;
use crate::wire;

const MAX_FRAME: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn double(n: u64) -> u64 {
    2 * n
}

fn refuse(what: String) {
    panic!("no {what}");
}

fn wait_for(gate: u64) -> u64 {
    GATES.wait(gate)
}

fn long(len: usize) -> Vec<u8> {
    vec![7; len]
}

crate::register!(double as "pool tests: double");
crate::register!(refuse as "pool tests: refuse");
crate::register!(wait_for as "pool tests: wait_for");
crate::register!(long as "pool tests: long");

/// Tasks that end when a test says so: the executor's threads are this process's.
struct Gates {
    open: Mutex<Vec<u64>>,
    changed: std::sync::Condvar,
}

static GATES: Gates = Gates {
    open: Mutex::new(Vec::new()),
    changed: std::sync::Condvar::new(),
};

impl Gates {
    fn wait(&self, gate: u64) -> u64 {
        let open = self.open.lock().unwrap();
        let is_closed = |open: &mut Vec<u64>| !open.contains(&gate);
        let waited = self.changed.wait_timeout_while(open, PATIENCE, is_closed);
        assert!(!waited.unwrap().1.timed_out(), "gate {gate} is opened");
        gate
    }

    fn open(&self, gate: u64) {
        self.open.lock().unwrap().push(gate);
        self.changed.notify_all();
    }
}

/// A store with one pool, whose executor is made of threads.
struct Bench {
    store: Store,
    object: ObjectId,
    mailbox: Mailbox,
    said: Receiver<Box<dyn Any + Send>>,
    next_call: u64,
    answers: HashMap<Caller, Result<Vec<u8>, Fault>>,
    works: usize,
}

impl Bench {
    /// One whose executor is still being built.
    fn building(workers: u64) -> Result<Self, Fault> {
        let (sender, said): (Sender<Box<dyn Any + Send>>, _) = channel();
        let sender = Mutex::new(sender);
        let send = move |_, what| drop(sender.lock().unwrap().send(what));
        // The first object.
        let object = ObjectId(1);
        let mut bench = Self {
            store: Store::new(MAX_FRAME),
            object: ObjectId::ROOT,
            mailbox: Mailbox::new(object, Arc::new(send)),
            said,
            next_call: 0,
            answers: HashMap::new(),
            works: 0,
        };
        let maker = bench.open(u64::MAX);
        let mut init = Packed::default();
        wire::encode(&workers, &mut init.bytes).unwrap();
        let kind = Kind::Pool;
        let type_name = String::new();
        let made = bench.ask_object(
            maker,
            &RootOp::Create {
                kind,
                type_name,
                init,
            },
        );
        let made = bench.result::<ObjectId>(made).unwrap()?;
        assert_eq!(made, object);
        let name = "it".to_owned();
        bench.ask_object(maker, &RootOp::Publish { name, object });
        bench.store.close(maker);
        bench.object = object;
        assert_eq!(bench.works, 1, "the executor is to be built elsewhere");
        Ok(bench)
    }

    fn new(workers: usize) -> Self {
        let mut bench = Self::building(workers as u64).unwrap();
        bench.build(workers);
        bench
    }

    fn build(&mut self, workers: usize) {
        let executor = ThreadPoolExecutor::with_max_workers(workers).unwrap();
        let built = Ok(Owned(Some(Box::new(executor))));
        self.hear(Box::new(Said::Built(built, self.mailbox.clone())));
    }

    fn open(&mut self, session: u64) -> SessionId {
        self.store.open(SessionId(session));
        SessionId(session)
    }

    fn ask_object(&mut self, session: SessionId, op: &(impl serde::Serialize + 'static)) -> Caller {
        let mut words = Vec::new();
        wire::encode(op, &mut words).unwrap();
        self.ask_encoded(session, &words)
    }

    fn ask_encoded(&mut self, session: SessionId, words: &[u8]) -> Caller {
        let call = self.next_call;
        self.next_call += 1;
        let caller = Caller { session, call };
        let mut payload = Vec::new();
        encode_object(self.object, &mut payload).unwrap();
        payload.extend_from_slice(words);
        assert!(self.store.ask(caller, &payload));
        self.carry_out();
        caller
    }

    fn call<T: DeserializeOwned + 'static>(&mut self, session: SessionId, op: PoolOp) -> T {
        let caller = self.ask_object(session, &op);
        self.result(caller).unwrap().unwrap()
    }

    /// Submits a call of the function of this name, as somebody who knows its signature.
    fn submit(
        &mut self,
        session: SessionId,
        task: u64,
        function: &str,
        argument: &(impl serde::Serialize + 'static),
    ) -> Caller {
        let function = format!("pool tests: {function}");
        let known = registry().unwrap().by_name(&function).unwrap();
        let mut arguments = Vec::new();
        wire::encode_whole(argument, &mut arguments).unwrap();
        let op = PoolOp::Submit {
            task,
            function,
            signature: known.signature.clone(),
            arguments: packed(arguments),
        };
        self.ask_object(session, &op)
    }

    fn hear(&mut self, said: Box<dyn Any + Send>) {
        self.store.hear(self.object, said);
        self.carry_out();
    }

    /// Hears what is said until the call is answered.
    fn wait<T: DeserializeOwned + 'static>(&mut self, caller: Caller) -> Result<T, Fault> {
        while !self.answers.contains_key(&caller) {
            match self.said.recv_timeout(PATIENCE) {
                Ok(said) => self.hear(said),
                Err(RecvTimeoutError::Timeout) => panic!("{caller:?} is answered in time"),
                Err(RecvTimeoutError::Disconnected) => unreachable!("the bench has a mailbox"),
            }
        }
        self.result(caller).unwrap()
    }

    fn ended(&mut self, caller: Caller) -> Ended {
        self.wait(caller).unwrap()
    }

    fn result<T: DeserializeOwned + 'static>(
        &mut self,
        caller: Caller,
    ) -> Option<Result<T, Fault>> {
        let answer = self.answers.remove(&caller)?;
        Some(answer.map(|answer| wire::decode(&answer).unwrap()))
    }

    fn carry_out(&mut self) {
        for effect in self.store.take_effects() {
            let (caller, answer) = match effect {
                Effect::Answer { caller, answer, .. } => (caller, Ok(answer)),
                Effect::Fail { caller, fault } => (caller, Err(fault)),
                Effect::Work { .. } => {
                    self.works += 1;
                    continue;
                }
                Effect::Admit { .. } | Effect::Identify { .. } | Effect::Shutdown => {
                    unreachable!("nobody asks for that")
                }
            };
            let earlier = self.answers.insert(caller, answer);
            assert!(earlier.is_none(), "{caller:?} is answered once");
        }
    }

    /// Until the task has begun.
    fn wait_until_running(&mut self, session: SessionId, task: u64) {
        while !self.call::<bool>(session, PoolOp::IsRunning { task }) {
            std::thread::yield_now();
        }
    }
}

fn packed(bytes: Vec<u8>) -> Packed {
    let refs = Vec::new();
    Packed { bytes, refs }
}

fn done(value: &(impl serde::Serialize + 'static)) -> Ended {
    let mut bytes = Vec::new();
    wire::encode_whole(value, &mut bytes).unwrap();
    Ended::Done(packed(bytes))
}

#[test]
fn tasks_are_run_and_answered() {
    let mut bench = Bench::new(2);
    let session = bench.open(1);
    let calls: Vec<Caller> = (0..20)
        .map(|task| bench.submit(session, task, "double", &task))
        .collect();

    for (n, call) in (0..).zip(calls) {
        assert_eq!(bench.ended(call), done(&(2_u64 * n)));
    }
    assert_eq!(bench.call::<u64>(session, PoolOp::Pending), 0);
}

#[test]
fn tasks_wait_until_the_executor_is_built() {
    let mut bench = Bench::building(1).unwrap();
    let session = bench.open(1);
    let call = bench.submit(session, 0, "double", &21_u64);
    let cancelled = bench.submit(session, 1, "double", &21_u64);
    let given_up = bench.submit(session, 2, "double", &21_u64);
    assert_eq!(bench.call::<u64>(session, PoolOp::Pending), 3);
    assert!(bench.call::<bool>(session, PoolOp::Cancel { task: 1 }));
    bench.store.cancel(given_up);
    bench.carry_out();

    bench.build(1);

    assert_eq!(bench.ended(call), done(&42_u64));
    let may_have_run = false;
    let failure = Failure::Cancelled { may_have_run };
    assert_eq!(bench.ended(cancelled), Ended::Failed(failure));
    assert_eq!(bench.wait::<Ended>(given_up), Err(Fault::Cancelled));
}

#[test]
fn tasks_of_one_that_could_not_be_built_say_so() {
    let mut bench = Bench::building(1).unwrap();
    let session = bench.open(1);
    let before = bench.submit(session, 0, "double", &21_u64);
    let said = Said::Built(Err("no workers".to_owned()), bench.mailbox.clone());
    bench.hear(Box::new(said));
    let after = bench.submit(session, 1, "double", &21_u64);

    for call in [before, after] {
        match bench.ended(call) {
            Ended::Failed(Failure::Other { message, .. }) => {
                assert!(message.contains("no workers"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let how = HowToEnd::Wait;
    bench.call::<()>(session, PoolOp::Shutdown { how });
}

#[test]
fn a_function_that_the_server_does_not_know_or_knows_otherwise_is_refused() {
    let mut bench = Bench::new(1);
    let session = bench.open(1);
    let function = "nobody".to_owned();
    let signature = "(u64) -> u64".to_owned();
    let arguments = Packed::default();
    let nobody = bench.ask_object(
        session,
        &PoolOp::Submit {
            task: 0,
            function,
            signature: signature.clone(),
            arguments: arguments.clone(),
        },
    );
    let function = "pool tests: long".to_owned();
    let other = bench.ask_object(
        session,
        &PoolOp::Submit {
            task: 1,
            function,
            signature,
            arguments,
        },
    );

    let nobody = bench.ended(nobody);
    assert_eq!(
        nobody,
        Ended::Failed(Failure::UnknownName("nobody".to_owned()))
    );
    let other = bench.ended(other);
    assert!(matches!(other, Ended::Failed(Failure::OtherTypes { .. })));
}

#[test]
fn a_panic_and_arguments_that_do_not_decode_are_the_task_s() {
    let mut bench = Bench::new(1);
    let session = bench.open(1);
    let panics = bench.submit(session, 0, "refuse", &"luck".to_owned());
    let garbled = bench.submit(session, 1, "refuse", &u64::MAX);

    match bench.ended(panics) {
        Ended::Failed(Failure::Panicked { message, .. }) => assert_eq!(message, "no luck"),
        other => panic!("{other:?}"),
    }
    let garbled = bench.ended(garbled);
    assert!(matches!(
        garbled,
        Ended::Failed(Failure::ArgumentNotDecoded { .. })
    ));
}

#[test]
fn a_result_over_the_limit_is_a_fault_of_its_call() {
    let mut bench = Bench::new(1);
    let session = bench.open(1);
    let call = bench.submit(session, 0, "long", &(MAX_FRAME as usize));

    let answer = bench.wait::<Ended>(call);

    assert!(matches!(answer, Err(Fault::TooLong { .. })));
}

#[test]
fn a_task_that_has_not_begun_is_cancelled_by_who_submitted_it() {
    let mut bench = Bench::new(1);
    let (mine, other) = (bench.open(1), bench.open(2));
    let runs = bench.submit(mine, 0, "wait_for", &100_u64);
    bench.wait_until_running(mine, 0);
    let waits = bench.submit(mine, 1, "double", &1_u64);

    assert!(!bench.call::<bool>(other, PoolOp::Cancel { task: 1 }));
    assert!(!bench.call::<bool>(mine, PoolOp::Cancel { task: 0 }));
    assert!(bench.call::<bool>(mine, PoolOp::Cancel { task: 1 }));
    let killing = bench.call::<Found>(mine, PoolOp::Kill { task: 7 });
    assert_eq!(killing, Found::TooLate);

    let cancelled = bench.ended(waits);
    assert!(matches!(
        cancelled,
        Ended::Failed(Failure::Cancelled { .. })
    ));
    GATES.open(100);
    assert_eq!(bench.ended(runs), done(&100_u64));
}

#[test]
fn a_call_that_is_given_up_and_a_session_that_ends_cancel_their_tasks() {
    let mut bench = Bench::new(1);
    let (dies, lives) = (bench.open(1), bench.open(2));
    let runs = bench.submit(dies, 0, "wait_for", &101_u64);
    bench.wait_until_running(dies, 0);
    let gone = bench.submit(dies, 1, "double", &1_u64);
    let given_up = bench.submit(lives, 0, "double", &2_u64);
    let last = bench.submit(lives, 1, "double", &3_u64);

    bench.store.cancel(given_up);
    bench.carry_out();
    bench.store.close(dies);
    bench.carry_out();
    GATES.open(101);

    assert_eq!(bench.wait::<Ended>(given_up), Err(Fault::Cancelled));
    assert_eq!(bench.ended(last), done(&6_u64));
    assert!(!bench.answers.contains_key(&runs) && !bench.answers.contains_key(&gone));
    while bench.call::<u64>(lives, PoolOp::Pending) > 0 {
        let said = bench.said.recv_timeout(PATIENCE).unwrap();
        bench.hear(said);
    }
}

#[test]
fn one_that_is_shut_down_ends_what_it_has_and_takes_no_more() {
    let mut bench = Bench::new(1);
    let session = bench.open(1);
    let runs = bench.submit(session, 0, "double", &1_u64);
    let how = HowToEnd::Wait;
    let shut = bench.ask_object(session, &PoolOp::Shutdown { how });
    let late = bench.submit(session, 1, "double", &1_u64);

    assert_eq!(bench.ended(late), Ended::Failed(Failure::NotTaken));
    assert_eq!(bench.ended(runs), done(&2_u64));
    assert_eq!(bench.wait::<()>(shut), Ok(()));
    bench.call::<()>(session, PoolOp::Shutdown { how });
}

#[test]
fn one_that_is_shut_down_while_it_is_built_runs_what_waits() {
    for (how, expected) in [
        (HowToEnd::Wait, done(&2_u64)),
        (HowToEnd::Kill, Ended::Failed(Failure::NotTaken)),
    ] {
        let mut bench = Bench::building(1).unwrap();
        let session = bench.open(1);
        let waits = bench.submit(session, 0, "double", &1_u64);
        let shut = bench.ask_object(session, &PoolOp::Shutdown { how });
        let gives_up = bench.ask_object(session, &PoolOp::Shutdown { how });
        bench.store.cancel(gives_up);
        bench.carry_out();

        bench.build(1);

        assert_eq!(bench.ended(waits), expected);
        assert_eq!(bench.wait::<()>(shut), Ok(()));
        assert_eq!(bench.wait::<()>(gives_up), Err(Fault::Cancelled));
    }
}

#[test]
fn another_number_of_workers_is_refused() {
    for workers in [0, 4097, u64::MAX] {
        let refused = Bench::building(workers);
        assert!(matches!(refused, Err(Fault::Invalid(_))), "{workers}");
    }
}

#[test]
fn the_number_of_a_task_is_not_used_twice_at_a_time() {
    let mut bench = Bench::building(1).unwrap();
    let session = bench.open(1);
    bench.submit(session, 0, "double", &1_u64);

    let again = bench.submit(session, 0, "double", &1_u64);

    assert!(matches!(
        bench.result::<Ended>(again),
        Some(Err(Fault::Invalid(_)))
    ));
}

#[test]
fn ten_thousand_wait_and_leave() {
    let mut bench = Bench::building(1).unwrap();
    let sessions: Vec<SessionId> = (0..10_000).map(|at| bench.open(at)).collect();
    for session in &sessions {
        bench.submit(*session, 0, "double", &1_u64);
    }

    for session in sessions.iter().rev() {
        bench.store.close(*session);
    }

    let looks = bench.open(10_000);
    assert_eq!(bench.call::<u64>(looks, PoolOp::Pending), 0);
}

#[test]
fn what_is_said_to_a_pool_that_has_gone_harms_nobody() {
    let mut bench = Bench::new(1);
    let session = bench.open(1);
    let name = "it".to_owned();
    let pool = bench.object;
    bench.object = ObjectId::ROOT;
    bench.ask_object(session, &RootOp::Unpublish { name });
    assert_eq!(bench.store.len(), 0);

    bench.object = pool;
    bench.build(1);
    bench.hear(Box::new(Said::Ended(0)));
}

#[test]
fn failures_arrive_as_they_were() {
    let lost = WorkerLost {
        function: "f".into(),
        task: TaskId(7),
        pid: 4711,
        end: EndOfWorker::MemoryLimit {
            limit: 1 << 30,
            signal: 6,
        },
        run_time: Some(Duration::from_millis(3)),
        attempts: 2,
        peak_memory: Some(5),
        last_words: Some("ouch".into()),
        may_have_run: true,
    };
    let ends = [
        EndOfWorker::Exited(1),
        EndOfWorker::Signalled(9),
        EndOfWorker::OomKilled,
        EndOfWorker::CpuLimit {
            limit: Duration::from_secs(1),
        },
        EndOfWorker::Malformed("sent nonsense".into()),
        EndOfWorker::Unknown,
    ];
    let mut errors: Vec<TaskError> = ends
        .into_iter()
        .map(|end| WorkerLost {
            end,
            ..lost.clone()
        })
        .chain([lost.clone()])
        .map(|lost| TaskError::WorkerLost(Box::new(lost)))
        .collect();
    errors.extend([
        TaskError::Killed(Box::new(lost)),
        TaskError::Panicked(Panic {
            function: "f".into(),
            message: "no".into(),
            location: Some("here:1:2".into()),
            backtrace: Some("0: f".into()),
            pid: 3,
        }),
        TaskError::Cancelled { may_have_run: true },
        TaskError::ArgumentNotDecoded {
            function: "f".into(),
            message: "m".into(),
        },
        TaskError::ResultNotEncoded {
            function: "f".into(),
            message: "m".into(),
        },
        TaskError::ResultTooLarge {
            function: "f".into(),
            size: 2,
            max_frame: 1,
        },
        TaskError::DescriptorsLost {
            function: "f".into(),
            of: Travelling::Back,
            announced: 2,
            came: 1,
        },
        TaskError::ShutDown { may_have_run: true },
        TaskError::Refused(SubmitError::UnknownName {
            name: "g".to_owned(),
        }),
        TaskError::Refused(SubmitError::OtherTypes {
            name: "g".to_owned(),
            registered: "a".to_owned(),
            asked: "b".to_owned(),
        }),
        TaskError::Refused(SubmitError::ShutDown),
    ]);

    for error in errors {
        let mut bytes = Vec::new();
        wire::encode(&Ended::Failed(Failure::from(&error)), &mut bytes).unwrap();
        let Ok(Ended::Failed(failure)) = wire::decode::<Ended>(&bytes) else {
            panic!("{error:?} is a failure");
        };
        let arrived = failure.into_error();
        assert_eq!(format!("{arrived:?}"), format!("{error:?}"));
        assert_eq!(arrived.may_have_run(), error.may_have_run());
    }
}

#[test]
fn what_does_not_travel_arrives_as_text() {
    let error = TaskError::TimedOut {
        unfinished: 1,
        total: 2,
    };
    let TaskError::Manager {
        message,
        may_have_run,
    } = Failure::from(&error).into_error()
    else {
        panic!("it is none of the others");
    };
    assert_eq!(*message, *error.to_string());
    assert!(may_have_run);
}

proptest! {
    #[test]
    fn whatever_is_said_nothing_panics(
        words in prop::collection::vec(
            prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..8),
            0..40,
        )
    ) {
        let mut bench = Bench::building(1).unwrap();
        let session = bench.open(1);
        for words in words {
            bench.ask_encoded(session, &words);
        }
        bench.store.close(session);
    }
}

#[test]
fn a_pool_is_sent_between_threads() {
    fn is_sent<T: Send>() {}
    is_sent::<Pool>();
}
