//! Types of one's own in a manager that is another process.

mod support;

use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};

use futures::executor::block_on;
use futures::future::{join_all, select};
use procession::manager::{Address, Key, ListProxy, Manager, ManagerError, Server};
use procession::pipe::{self, Sender};
use procession::{Failure, Process, ProcessPoolExecutor};

fn main() {
    support::run(|| {
        support::tests![
            methods_are_called_in_the_manager,
            a_constructor_that_fails_says_why,
            a_panic_is_an_error_at_its_caller_alone,
            calls_are_awaited_many_at_a_time,
            processes_call_one_object,
            shared_calls_run_beside_one_that_blocks,
            a_call_that_is_dropped_while_it_waits_is_not_made,
            a_method_calls_another_object,
            an_object_is_kept_by_the_value_that_has_its_proxy,
            a_proxy_is_returned_by_a_constructor_that_fails,
            proxies_of_another_manager_are_refused,
            a_published_object_is_found_as_what_it_is,
            the_server_of_this_process_is_called_as_any_other,
            a_value_that_calls_its_server_when_it_is_dropped_does_not_keep_that_from_ending,
            methods_that_wait_for_others_leave_room_for_them,
            a_chain_that_comes_back_to_where_it_began_is_an_error,
            what_is_started_in_a_manager_is_reached_by_signals,
            calls_that_fail_leave_nothing_behind,
        ]
    });
}

/// What it holds, and another one.
struct Tally {
    n: u64,
    other: Option<TallyProxy>,
    gate: Arc<Gate>,
}

/// Closed until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    changed: Condvar,
}

#[procession::managed]
impl Tally {
    pub fn new(start: u64) -> Self {
        assert_ne!(start, 13, "there is no such tally");
        Self {
            n: start,
            other: None,
            gate: Arc::default(),
        }
    }

    pub fn positive(n: i64) -> Result<Self, String> {
        match u64::try_from(n) {
            Ok(n) => Ok(Self::new(n)),
            Err(_) => Err(format!("{n} is below 0")),
        }
    }

    pub fn unlike(other: TallyProxy) -> Result<Self, TallyProxy> {
        Err(other)
    }

    pub fn add(&mut self, by: u64) -> u64 {
        self.n += by;
        self.n
    }

    pub fn get(&self) -> u64 {
        self.n
    }

    pub async fn later(&self, (text, times): (String, usize), bytes: Vec<u8>) -> (String, Vec<u8>) {
        let text = std::future::ready(text).await;
        (text.repeat(times), bytes)
    }

    pub fn add_and_panic(&mut self, by: u64) {
        self.n += by;
        panic!("{by} is too much");
    }

    pub fn add_to(&self, other: TallyProxy, more: Vec<TallyProxy>) -> Result<u64, Failure> {
        let mut sum = other.add(self.n)?;
        for other in more {
            sum += other.add(self.n)?;
        }
        Ok(sum)
    }

    pub fn keep(&mut self, other: Option<TallyProxy>) {
        self.other = other;
    }

    pub fn kept(&self) -> Option<TallyProxy> {
        self.other.clone()
    }

    pub fn wait(&self) {
        let mut is_open = self.gate.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.gate.changed.wait(is_open).unwrap();
        }
    }

    pub fn open(&self) {
        *self.gate.is_open.lock().unwrap() = true;
        self.gate.changed.notify_all();
    }
}

/// Asks others.
struct Asker;

#[procession::managed]
impl Asker {
    pub fn new() -> Self {
        Self
    }

    pub fn get(&self, tally: TallyProxy) -> Result<u64, Failure> {
        Ok(tally.get()?)
    }

    pub async fn get_all(&self, tallies: Vec<TallyProxy>) -> Result<u64, Failure> {
        let calls = join_all(tallies.iter().map(TallyProxy::get_async)).await;
        Ok(calls.into_iter().sum::<Result<u64, _>>()?)
    }

    /// By way of so many others. Nothing else of this one is done meanwhile.
    pub fn get_by(
        &mut self,
        mut others: Vec<AskerProxy>,
        tally: TallyProxy,
    ) -> Result<u64, Failure> {
        match others.pop() {
            Some(next) => Ok(next.get_by(others, tally)??),
            None => Ok(tally.get()?),
        }
    }
}

struct Other;

#[procession::managed(name = "another type", proxy = AnotherProxy)]
impl Other {
    pub fn new() -> Self {
        Self
    }
}

/// Which signals are blocked in a process that is started here.
#[procession::task]
fn blocked_in_a_child() -> String {
    let cat = Command::new("cat")
        .arg("/proc/self/status")
        .output()
        .unwrap();
    let status = String::from_utf8(cat.stdout).unwrap();
    let mask = status.lines().find(|line| line.starts_with("SigBlk:"));
    mask.expect("a mask").to_owned()
}

struct Starter;

#[procession::managed]
impl Starter {
    pub fn new() -> Self {
        Self
    }

    pub fn blocked_in_a_child(&self) -> String {
        blocked_in_a_child()
    }

    pub fn blocked_in_a_process(&self) -> Result<String, Failure> {
        Ok(Process::spawn(blocked_in_a_child, ())?.join()?)
    }
}

/// Says by a call when it is dropped, and to the channel what came of it.
struct Farewell {
    notes: ListProxy<String>,
    said: Option<Sender<bool>>,
}

#[procession::managed]
impl Farewell {
    pub fn new(notes: ListProxy<String>) -> Self {
        Self { notes, said: None }
    }

    pub fn tell(&mut self) {
        self.said = FAREWELLS.lock().unwrap().take();
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let end = self.notes.push("farewell".to_owned());
        if let Some(said) = self.said.take() {
            let _ = said.send(&end.is_ok());
        }
    }
}

static FAREWELLS: Mutex<Option<Sender<bool>>> = Mutex::new(None);

#[procession::task]
fn serve(key: String, listens: Sender<String>) -> Result<(), Failure> {
    let key: Key = key.parse()?;
    let name = format!("unix:@procession-test-{}", std::process::id());
    let server = Server::builder().serve(&name.parse()?, &key)?;
    listens.send(&server.address().to_string())?;
    server.wait();
    Ok(())
}

/// A manager in another process, which ends with this.
struct Elsewhere {
    manager: Manager,
    process: Process<Result<(), Failure>>,
}

impl Elsewhere {
    fn start() -> Self {
        let key = Key::generate().unwrap();
        let (listens, addresses) = pipe::one_way().unwrap();
        let process = Process::spawn(serve, (key.to_hex(), listens)).unwrap();
        let address: Address = addresses.recv().unwrap().parse().unwrap();
        let manager = Manager::connect(&address, &key).unwrap();
        Self { manager, process }
    }

    /// Until there are so many objects: what is let go of is told without waiting.
    fn settle(&self, objects: u64) {
        support::awaiting(format!("{objects} objects to be left"));
        while self.manager.status().unwrap().objects != objects {
            std::thread::yield_now();
        }
    }

    fn end(self) {
        self.manager.shutdown().unwrap();
        self.process.join().unwrap().unwrap();
    }
}

fn expect_panic<T: std::fmt::Debug>(result: Result<T, ManagerError>, of: &str, said: &str) {
    match result {
        Err(ManagerError::Panicked {
            method,
            message,
            location,
            backtrace,
        }) => {
            assert!(method.ends_with(of), "{method}");
            assert!(message.contains(said), "{message}");
            let location = location.expect("a place");
            assert!(location.contains("managed.rs:"), "{location}");
            let backtrace = backtrace.expect("the way there");
            let of = of.rsplit("::").next().unwrap();
            assert!(backtrace.contains(of), "{backtrace}");
        }
        other => panic!("{other:?}"),
    }
}

fn methods_are_called_in_the_manager() {
    let elsewhere = Elsewhere::start();
    let tally = TallyProxy::new(&elsewhere.manager, 40).unwrap();
    assert_eq!(tally.add(2).unwrap(), 42);
    assert_eq!(tally.clone().get().unwrap(), 42);
    let bytes = vec![7; 100_000];
    let (text, same) = tally.later(("ab".into(), 2), bytes.clone()).unwrap();
    assert_eq!((&*text, same), ("abab", bytes));
    elsewhere.settle(1);
    drop(tally);
    elsewhere.settle(0);
    elsewhere.end();
}

fn a_constructor_that_fails_says_why() {
    let elsewhere = Elsewhere::start();
    let manager = &elsewhere.manager;
    expect_panic(TallyProxy::new(manager, 13), "Tally::new", "no such tally");
    let refused = TallyProxy::positive(manager, -1).unwrap();
    assert_eq!(refused.unwrap_err(), "-1 is below 0");
    let made = TallyProxy::positive(manager, 1).unwrap().unwrap();
    assert_eq!(made.get().unwrap(), 1);
    drop(made);
    elsewhere.settle(0);
    elsewhere.end();
}

fn a_panic_is_an_error_at_its_caller_alone() {
    let elsewhere = Elsewhere::start();
    let tally = TallyProxy::new(&elsewhere.manager, 1).unwrap();
    expect_panic(
        tally.add_and_panic(2),
        "Tally::add_and_panic",
        "2 is too much",
    );
    assert_eq!(tally.add(3).unwrap(), 6, "as the method left it");
    elsewhere.end();
}

fn calls_are_awaited_many_at_a_time() {
    let elsewhere = Elsewhere::start();
    let manager = &elsewhere.manager;
    block_on(async {
        let tally = TallyProxy::new_async(manager, 0).await.unwrap();
        let adding = (0..500).map(|_| tally.add_async(1));
        let mut sums: Vec<u64> = Vec::new();
        for sum in join_all(adding).await {
            sums.push(sum.unwrap());
        }
        // One after the other, in the order in which they were made.
        assert_eq!(sums, (1..=500).collect::<Vec<_>>());
        let refused = TallyProxy::positive_async(manager, -1).await.unwrap();
        assert!(refused.is_err());
    });
    elsewhere.end();
}

#[procession::task]
fn add_often(tally: TallyProxy, times: u64) -> Result<(), Failure> {
    for _ in 0..times {
        tally.add(1)?;
    }
    Ok(())
}

fn processes_call_one_object() {
    let elsewhere = Elsewhere::start();
    let tally = TallyProxy::new(&elsewhere.manager, 0).unwrap();
    let pool = ProcessPoolExecutor::builder()
        .max_workers(2)
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..4)
        .map(|_| pool.submit(add_often, (tally.clone(), 100)).unwrap())
        .collect();
    for task in tasks {
        task.wait().unwrap().unwrap();
    }
    assert_eq!(tally.get().unwrap(), 400);
    drop(pool);
    elsewhere.end();
}

fn shared_calls_run_beside_one_that_blocks() {
    let elsewhere = Elsewhere::start();
    let tally = TallyProxy::new(&elsewhere.manager, 7).unwrap();
    let blocked = tally.wait_async();
    assert_eq!(tally.get().unwrap(), 7);
    tally.open().unwrap();
    support::awaiting("the call that was blocked");
    block_on(blocked).unwrap();
    elsewhere.end();
}

fn a_call_that_is_dropped_while_it_waits_is_not_made() {
    let elsewhere = Elsewhere::start();
    let tally = TallyProxy::new(&elsewhere.manager, 7).unwrap();
    let blocked = tally.wait_async();
    // It waits for the one that is blocked, and what comes behind waits for it.
    let adding = tally.add_async(1);
    let behind = tally.get_async();
    drop(adding);
    support::awaiting("the call behind the one that was dropped");
    assert_eq!(block_on(behind).unwrap(), 7);
    tally.open().unwrap();
    block_on(blocked).unwrap();
    assert_eq!(tally.get().unwrap(), 7);
    elsewhere.end();
}

fn a_method_calls_another_object() {
    let elsewhere = Elsewhere::start();
    let manager = &elsewhere.manager;
    let [one, two, three] = [1, 20, 300].map(|n| TallyProxy::new(manager, n).unwrap());
    let sum = one.add_to(two.clone(), vec![three.clone(), two.clone()]);
    assert_eq!(sum.unwrap().unwrap(), 21 + 301 + 22);
    assert_eq!((two.get().unwrap(), three.get().unwrap()), (22, 301));
    drop((one, two, three));
    elsewhere.settle(0);
    elsewhere.end();
}

fn an_object_is_kept_by_the_value_that_has_its_proxy() {
    let elsewhere = Elsewhere::start();
    let manager = &elsewhere.manager;
    let keeper = TallyProxy::new(manager, 1).unwrap();
    let kept = TallyProxy::new(manager, 2).unwrap();
    keeper.keep(Some(kept.clone())).unwrap();
    let again = keeper.kept().unwrap().unwrap();
    assert!(again.is_same(&kept) && !again.is_same(&keeper));
    drop((kept, again));
    // Nobody has a proxy here any more; the value has.
    assert_eq!(manager.status().unwrap().objects, 2);
    let kept = keeper.kept().unwrap().unwrap();
    assert_eq!(kept.add(3).unwrap(), 5);
    drop(kept);
    keeper.keep(None).unwrap();
    elsewhere.settle(1);
    drop(keeper);
    elsewhere.settle(0);
    elsewhere.end();
}

fn a_proxy_is_returned_by_a_constructor_that_fails() {
    let elsewhere = Elsewhere::start();
    let manager = &elsewhere.manager;
    let tally = TallyProxy::new(manager, 1).unwrap();
    let refused = TallyProxy::unlike(manager, tally.clone()).unwrap();
    assert!(refused.unwrap_err().is_same(&tally));
    elsewhere.settle(1);
    elsewhere.end();
}

fn proxies_of_another_manager_are_refused() {
    let (elsewhere, other) = (Elsewhere::start(), Elsewhere::start());
    let here = TallyProxy::new(&elsewhere.manager, 1).unwrap();
    let there = TallyProxy::new(&other.manager, 2).unwrap();
    match here.keep(Some(there.clone())) {
        Err(ManagerError::NotEncoded { message, .. }) => {
            assert!(message.contains("another manager"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert!(block_on(here.keep_async(Some(there))).is_err());
    assert!(here.kept().unwrap().is_none());
    elsewhere.end();
    other.end();
}

fn a_published_object_is_found_as_what_it_is() {
    let elsewhere = Elsewhere::start();
    let manager = &elsewhere.manager;
    let tally = TallyProxy::new(manager, 1).unwrap();
    manager.publish("tally", &tally).unwrap();
    manager
        .publish("other", &AnotherProxy::new(manager).unwrap())
        .unwrap();
    drop(tally);
    assert_eq!(
        manager.get::<TallyProxy>("tally").unwrap().get().unwrap(),
        1
    );
    match manager.get::<TallyProxy>("other") {
        Err(ManagerError::WrongType { expected, found }) => {
            assert!(expected.contains("Tally") && found.contains("another type"));
        }
        other => panic!("{other:?}"),
    }
    elsewhere.end();
}

fn the_server_of_this_process_is_called_as_any_other() {
    let key = Key::generate().unwrap();
    let address = format!("unix:@procession-test-here-{}", std::process::id());
    let server = Server::builder()
        .threads(1)
        .serve(&address.parse().unwrap(), &key)
        .unwrap();
    let manager = Manager::connect(server.address(), &key).unwrap();
    let keeper = TallyProxy::new(&manager, 1).unwrap();
    let kept = TallyProxy::new(&manager, 2).unwrap();
    keeper.keep(Some(kept)).unwrap();
    let kept = keeper.kept().unwrap().unwrap();
    // Whichever is answered first.
    let either = block_on(select(kept.get_async(), kept.get_async()));
    assert_eq!(either.factor_first().0.unwrap(), 2);
    drop((keeper, kept));
    server.shutdown();
    assert!(!manager.is_alive());
}

fn a_value_that_calls_its_server_when_it_is_dropped_does_not_keep_that_from_ending() {
    let key = Key::generate().unwrap();
    let address = format!("unix:@procession-test-farewell-{}", std::process::id());
    let server = Manager::serve(&address.parse().unwrap(), &key).unwrap();
    let manager = Manager::connect(server.address(), &key).unwrap();
    let notes = manager.list().unwrap();
    let (said, farewells) = pipe::one_way().unwrap();
    *FAREWELLS.lock().unwrap() = Some(said);
    let heard = FarewellProxy::new(&manager, notes.clone()).unwrap();
    heard.tell().unwrap();
    let unheard = FarewellProxy::new(&manager, notes.clone()).unwrap();

    // While the server is there, it is called.
    drop(unheard);
    support::until("the farewell", || notes.len().unwrap() == 1);

    drop(server);

    assert!(!farewells.recv().unwrap(), "nobody served it any more");
    assert!(!manager.is_alive());
    drop(heard);
}

fn methods_that_wait_for_others_leave_room_for_them() {
    const CALLS: usize = 100;
    let manager = Manager::builder().threads(1).start().unwrap();
    let tally = TallyProxy::new(&manager, 7).unwrap();
    let asker = AskerProxy::new(&manager).unwrap();
    assert_eq!(asker.get(tally.clone()).unwrap().unwrap(), 7);
    let tallies = vec![tally.clone(); 3];
    assert_eq!(asker.get_all(tallies).unwrap().unwrap(), 21);

    let others: Vec<_> = (0..10)
        .map(|_| AskerProxy::new(&manager).unwrap())
        .collect();
    let by_others = asker.get_by(others, tally.clone()).unwrap();
    assert_eq!(by_others.unwrap(), 7);

    let many = (0..CALLS).map(|_| asker.get_async(tally.clone()));
    for got in block_on(join_all(many)) {
        assert_eq!(got.unwrap().unwrap(), 7);
    }
}

fn a_chain_that_comes_back_to_where_it_began_is_an_error() {
    let manager = Manager::start().unwrap();
    let tally = TallyProxy::new(&manager, 7).unwrap();
    let askers = [(); 3].map(|()| AskerProxy::new(&manager).unwrap());
    let [one, two, three] = &askers;
    for others in [
        vec![one.clone()],
        vec![one.clone(), two.clone()],
        vec![one.clone(), three.clone(), two.clone()],
        vec![three.clone(), two.clone(), three.clone()],
    ] {
        let refused = one.get_by(others, tally.clone()).unwrap().unwrap_err();
        assert!(refused.to_string().contains("for ever"), "{refused}");
    }
    // Nobody is left in the way.
    for asker in &askers {
        let got = asker.get_by(Vec::new(), tally.clone()).unwrap();
        assert_eq!(got.unwrap(), 7);
    }
}

fn what_is_started_in_a_manager_is_reached_by_signals() {
    let here = blocked_in_a_child();
    let manager = Manager::start().unwrap();
    let starter = StarterProxy::new(&manager).unwrap();
    assert_eq!(starter.blocked_in_a_child().unwrap(), here);
    assert_eq!(starter.blocked_in_a_process().unwrap().unwrap(), here);
    let pool = manager.pool(1).unwrap();
    let in_pool = pool.submit(blocked_in_a_child, ()).unwrap();
    let (say, said) = std::sync::mpsc::channel();
    let in_callback = pool.submit(blocked_in_a_child, ()).unwrap();
    in_callback.on_done(move |_| say.send(blocked_in_a_child()).unwrap());
    assert_eq!(said.recv().unwrap(), here);
    assert_eq!(in_pool.wait().unwrap(), here);
}

/// How many bytes of memory a process has that are its own.
fn memory_of(pid: u32) -> usize {
    let numbers = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages = |at| {
        numbers
            .split(' ')
            .nth(at)
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    (pages(1) - pages(2)) * 4096
}

fn calls_that_fail_leave_nothing_behind() {
    const CALLS: usize = 10_000;
    const SLACK: usize = 4 << 20;
    let manager = Manager::start().unwrap();
    let pid = manager.pid().unwrap();
    let tally = TallyProxy::new(&manager, 1).unwrap();
    let list = manager.list_of([1_u64]).unwrap();
    let fail = |calls: usize| {
        for call in 0..calls {
            let failed = match call % 5 {
                // A backtrace takes its time.
                0 if call % 100 == 0 => tally.add_and_panic(1).err(),
                0 | 1 => list.set(7, 7).err(),
                2 => manager.get::<TallyProxy>("nobody").err(),
                3 => manager.bounded_queue::<u64>(0).err(),
                _ => {
                    let kept = TallyProxy::unlike(&manager, tally.clone()).unwrap();
                    assert!(kept.unwrap_err().is_same(&tally));
                    continue;
                }
            };
            assert!(failed.is_some(), "call {call}");
        }
    };
    let objects = || manager.status().unwrap().objects;
    let before = objects();
    fail(CALLS / 2);
    support::awaiting("the objects of failed constructors to go");
    while objects() != before {
        std::thread::yield_now();
    }
    let (there, here) = (memory_of(pid), memory_of(std::process::id()));
    fail(CALLS);
    while objects() != before {
        std::thread::yield_now();
    }
    let there = memory_of(pid).saturating_sub(there);
    let here = memory_of(std::process::id()).saturating_sub(here);
    assert!(
        there < SLACK && here < SLACK,
        "{there} bytes there, {here} here"
    );
}
