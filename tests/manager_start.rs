//! Managers that begin: with a key of one's own, with an initializer, where others have ended or were killed, or where somebody is; and their users when the system has no descriptor
//! left, or a thread ends.

mod support;

use std::cell::RefCell;
use std::fs::{self, File};
use std::path::Path;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use procession::manager::{
    Address, ConnectError, Key, Manager, ManagerError, QueueProxy, ServeError, Server,
};
use procession::pipe::{self, Sender};
use procession::{Process, Queue, SubmitError, active_children};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Directory, until};

procession::register!(serves_at, gives_calls_up_without_descriptors);

fn main() {
    support::run(|| {
        support::tests![
            the_socket_of_a_server_that_was_killed_is_taken_over,
            of_many_who_take_a_socket_over_one_has_it,
            what_a_server_has_not_left_behind_is_not_taken_over,
            a_manager_that_finds_its_address_in_use_says_so,
            a_manager_begins_again_where_it_was_killed,
            a_manager_begins_again_where_it_was_shut_down,
            a_server_begins_again_where_it_was_shut_down,
            a_manager_that_was_shut_down_exits_well,
            a_manager_ends_with_its_scope,
            a_manager_has_the_key_that_it_is_given,
            an_initializer_has_run_before_anybody_is_served,
            an_initializer_that_fails_says_why_and_nobody_is_served,
            an_initializer_that_cannot_be_called_is_refused,
            a_server_that_nobody_uses_ends,
            why_there_is_no_connection_can_be_told_apart,
            calls_are_given_up_without_a_descriptor,
            a_manager_ends_with_the_thread_that_keeps_it,
        ]
    });
}

fn address_in(directory: &Directory) -> Address {
    Address::from(&*directory.path().join("socket"))
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

/// Serves until it is killed.
fn serves_at(address: String, ready: Sender<()>) {
    let key = Key::generate().unwrap();
    let server = Server::builder().serve(&address.parse().unwrap(), &key);
    let server = server.unwrap();
    ready.send(&()).unwrap();
    server.wait();
}

/// Leaves the socket of a server that was killed.
fn kill_a_server_at(address: &Address) {
    let (ready, is_ready) = pipe::one_way::<()>().unwrap();
    let process = Process::spawn(serves_at, (address.to_string(), ready)).unwrap();
    is_ready.recv().unwrap();
    process.kill();
    assert!(process.join().is_err());
}

fn the_socket_of_a_server_that_was_killed_is_taken_over() {
    let directory = Directory::new();
    let (address, key) = (address_in(&directory), Key::generate().unwrap());
    kill_a_server_at(&address);
    assert!(!is_empty(directory.path()));
    let server = Server::builder().serve(&address, &key).unwrap();
    assert!(Manager::connect(&address, &key).unwrap().is_alive());
    drop(server);
    assert!(is_empty(directory.path()));
}

fn of_many_who_take_a_socket_over_one_has_it() {
    for _ in 0..8 {
        let directory = Directory::new();
        let (address, key) = (address_in(&directory), Key::generate().unwrap());
        kill_a_server_at(&address);
        let served: Vec<_> = thread::scope(|scope| {
            let serve = || Server::builder().serve(&address, &key);
            let all: Vec<_> = (0..8).map(|_| scope.spawn(serve)).collect();
            all.into_iter()
                .map(|serves| serves.join().unwrap())
                .collect()
        });
        let mut servers = Vec::new();
        for served in served {
            match served {
                Ok(server) => servers.push(server),
                Err(ServeError::AddressInUse { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(servers.len(), 1);
        assert!(Manager::connect(&address, &key).unwrap().is_alive());
        drop(servers);
        assert!(is_empty(directory.path()));
    }
}

fn what_a_server_has_not_left_behind_is_not_taken_over() {
    let (directory, elsewhere) = (Directory::new(), Directory::new());
    let (address, key) = (address_in(&directory), Key::generate().unwrap());
    let path = directory.path().join("socket");
    let is_refused = || match Server::builder().serve(&address, &key) {
        Err(ServeError::AddressInUse { address: at, .. }) => assert_eq!(at, address),
        other => panic!("{other:?}"),
    };

    fs::write(&path, "a user's own").unwrap();
    is_refused();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a user's own");
    fs::remove_file(&path).unwrap();

    let left = address_in(&elsewhere);
    kill_a_server_at(&left);
    std::os::unix::fs::symlink(elsewhere.path().join("socket"), &path).unwrap();
    is_refused();
    fs::remove_file(&path).unwrap();

    // Somebody else's server, who knows nothing of locks.
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    is_refused();
    drop(listener);
    assert!(Server::builder().serve(&address, &key).is_ok());
    assert!(is_empty(directory.path()));
}

fn a_manager_that_finds_its_address_in_use_says_so() {
    let directory = Directory::new();
    let address = address_in(&directory);
    let first = Manager::builder().address(&address).start().unwrap();
    match Manager::builder().address(&address).start() {
        Err(ManagerError::NotStarted(ServeError::AddressInUse { address: at, .. })) => {
            assert_eq!(at, address);
        }
        other => panic!("{other:?}"),
    }
    assert!(first.is_alive());
    let missing = Address::from(&*directory.path().join("no/such/socket"));
    match Manager::builder().address(&missing).start() {
        Err(ManagerError::NotStarted(ServeError::NotListening { address, source })) => {
            assert_eq!(address, missing);
            assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
        }
        other => panic!("{other:?}"),
    }
    drop(first);
    assert!(is_empty(directory.path()));
}

fn a_manager_begins_again_where_it_was_killed() {
    let directory = Directory::new();
    let address = address_in(&directory);
    let killed = Manager::builder().address(&address).start().unwrap();
    support::signal(killed.pid().unwrap(), 9);
    until("the manager to be gone", || !killed.is_alive());
    drop(killed);
    let again = Manager::builder().address(&address).start().unwrap();
    assert!(again.is_alive());
}

/// Addresses of every kind.
fn addresses(directory: &Directory) -> Vec<Address> {
    let mut addresses = vec![
        address_in(directory),
        Address::Abstract(format!("procession-test-{}", std::process::id())),
    ];
    if cfg!(feature = "network") {
        // A port that is free.
        let any = Server::builder().serve(
            &"tcp:127.0.0.1:0".parse().unwrap(),
            &Key::generate().unwrap(),
        );
        addresses.push(any.unwrap().address().clone());
    }
    addresses
}

fn a_manager_begins_again_where_it_was_shut_down() {
    let directory = Directory::new();
    for address in addresses(&directory) {
        // Their processes may not have ended yet.
        let mut earlier = Vec::new();
        for turn in 0..10 {
            let manager = Manager::builder().address(&address).start().unwrap();
            let list = manager.list_of([turn]).unwrap();
            assert_eq!(list.to_vec().unwrap(), [turn]);
            manager.shutdown().unwrap();
            earlier.push((manager, list));
        }
        for (manager, list) in earlier {
            assert!(list.len().is_err() && !manager.is_alive());
        }
    }
    assert!(is_empty(directory.path()));
}

fn a_server_begins_again_where_it_was_shut_down() {
    let directory = Directory::new();
    let key = Key::generate().unwrap();
    for address in addresses(&directory) {
        let mut earlier = Vec::new();
        for _ in 0..10 {
            let server = Server::builder().serve(&address, &key).unwrap();
            Manager::connect(&address, &key)
                .unwrap()
                .shutdown()
                .unwrap();
            earlier.push(server);
        }
        for server in earlier {
            server.wait();
        }
    }
    assert!(is_empty(directory.path()));
}

fn a_manager_that_was_shut_down_exits_well() {
    let manager = Manager::start().unwrap();
    let mut children = active_children().into_iter();
    let process = children.find(|child| Some(child.pid()) == manager.pid());
    let process = process.expect("it is a process of this one");
    let list = manager.list::<u64>().unwrap();
    let queue = manager.queue::<u64>().unwrap();
    let waits = queue.get_async();
    manager.shutdown().unwrap();
    assert!(process.wait_timeout(Duration::MAX));
    assert_eq!(process.exit_code(), Some(0));
    drop((waits, list));
}

fn a_manager_ends_with_its_scope() {
    let pid = {
        let manager = Manager::start().unwrap();
        manager.list::<u64>().unwrap().push(7).unwrap();
        manager.pid().unwrap()
    };
    assert_eq!(support::state_of(pid), None);
}

fn a_manager_has_the_key_that_it_is_given() {
    let directory = Directory::new();
    let (address, key) = (address_in(&directory), Key::generate().unwrap());
    let builder = Manager::builder().address(&address).key(&key);
    assert!(!format!("{builder:?}").contains(&key.to_hex()));
    let manager = builder.start().unwrap();
    assert!(manager.key() == key && *manager.address() == address);
    let same = Manager::connect(&address, &key).unwrap();
    assert!(same.is_same(&manager));
    match Manager::connect(&address, &Key::generate().unwrap()) {
        Err(ManagerError::Connect(ConnectError::Refused { .. })) => {}
        other => panic!("{other:?}"),
    }
}

static GREETING: OnceLock<String> = OnceLock::new();

struct Greeter;

#[procession::managed]
impl Greeter {
    pub fn new() -> Self {
        Self
    }

    pub fn greeting(&self) -> Option<String> {
        GREETING.get().cloned()
    }
}

#[procession::task]
fn set_greeting(greeting: String, told: Queue<u32>) -> Result<(), String> {
    told.put(std::process::id())
        .map_err(|error| error.to_string())?;
    GREETING.set(greeting)
}

fn an_initializer_has_run_before_anybody_is_served() {
    let told = Queue::unbounded().unwrap();
    // It is used twice.
    let builder = Manager::builder().initializer(set_greeting, ("hi".to_owned(), told.clone()));
    for _ in 0..2 {
        let manager = builder.clone().start().unwrap();
        assert_eq!(Some(told.get().unwrap()), manager.pid());
        let greeter = GreeterProxy::new(&manager).unwrap();
        assert_eq!(greeter.greeting().unwrap().as_deref(), Some("hi"));
    }
    assert_eq!(GREETING.get(), None);
}

/// How an initializer fails.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
enum Failing {
    Error,
    Panic,
    Exit,
    Abort,
    /// With what panics when it is shown.
    Unspeakable,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Grief(Failing);

impl std::fmt::Display for Grief {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        assert_ne!(self.0, Failing::Unspeakable);
        f.write_str("there is no tea")
    }
}

#[procession::task]
fn fail(how: Failing) -> Result<(), Grief> {
    match how {
        Failing::Error | Failing::Unspeakable => Err(Grief(how)),
        Failing::Panic => panic!("no biscuits either"),
        Failing::Exit => std::process::exit(5),
        Failing::Abort => std::process::abort(),
    }
}

fn an_initializer_that_fails_says_why_and_nobody_is_served() {
    let directory = Directory::new();
    let address = address_in(&directory);
    for is_detached in [false, true] {
        let start = |how| {
            let builder = Manager::builder().address(&address).detached(is_detached);
            match builder.initializer(fail, how).start() {
                Err(ManagerError::NotStarted(error)) => error,
                other => panic!("{how:?}: {other:?}"),
            }
        };
        for (how, says) in [
            (Failing::Error, "there is no tea"),
            (Failing::Panic, "no biscuits either"),
            (Failing::Unspeakable, "panicked"),
        ] {
            match start(how) {
                ServeError::Initializer {
                    function,
                    pid,
                    message,
                } => {
                    assert_eq!(function, "manager_start::fail");
                    assert!(message.contains(says), "{message}");
                    assert_eq!(support::state_of(pid), None);
                }
                other => panic!("{how:?}: {other:?}"),
            }
        }
        for (how, says) in [(Failing::Exit, "5"), (Failing::Abort, "signal 6")] {
            let error = format!("{:?}", start(how));
            assert!(error.contains(says), "{error}");
        }
        assert!(is_empty(directory.path()));
    }
}

fn an_initializer_that_cannot_be_called_is_refused() {
    fn forgotten() {}
    match Manager::builder().initializer(forgotten, ()).start() {
        Err(ManagerError::NotStarted(ServeError::InitializerRefused(
            SubmitError::NotRegistered { .. },
        ))) => {}
        other => panic!("{other:?}"),
    }
}

fn a_server_that_nobody_uses_ends() {
    let directory = Directory::new();
    let (address, key) = (address_in(&directory), Key::generate().unwrap());
    let serve = || {
        let builder = Server::builder().idle_timeout(Duration::ZERO);
        builder.serve(&address, &key).unwrap()
    };
    // Who does not have the key does not use it.
    let server = serve();
    let other = Manager::connect(&address, &Key::generate().unwrap());
    assert!(other.is_err());
    let manager = Manager::connect(&address, &key).unwrap();
    let list = manager.list_of([7]).unwrap();
    manager.publish("list", &list).unwrap();
    drop(manager);
    assert_eq!(list.to_vec().unwrap(), [7]);
    drop(list);
    server.wait();
    // It is another one.
    let again = serve();
    let manager = Manager::connect(&address, &key).unwrap();
    assert_eq!(manager.names().unwrap(), [""; 0]);
    drop(manager);
    again.wait();
    assert!(is_empty(directory.path()));
}

fn why_there_is_no_connection_can_be_told_apart() {
    let directory = Directory::new();
    let (address, key) = (address_in(&directory), Key::generate().unwrap());
    let name = address.to_string();
    let says = |error: ManagerError| {
        let text = format!("{error:?}");
        assert!(text.contains(&name), "{text}");
        error
    };
    let nobody = Manager::connect(&address, &key).map_err(says);
    assert!(matches!(nobody, Err(ManagerError::Lost { .. })));
    kill_a_server_at(&address);
    let nobody = Manager::connect(&address, &key).map_err(says);
    assert!(matches!(nobody, Err(ManagerError::Lost { .. })));

    let server = Server::builder().serve(&address, &key).unwrap();
    let other = Manager::connect(&address, &Key::generate().unwrap()).map_err(says);
    assert!(matches!(
        other,
        Err(ManagerError::Connect(ConnectError::Refused { .. }))
    ));
    drop(server);
}

/// Has one descriptor left to connect with, and none while it gives up calls: only awaiting needs one.
fn gives_calls_up_without_descriptors(queue: QueueProxy<u64>) {
    let limit = Rlimit {
        current: Some(64),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut open = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        open.push(file);
    }
    open.pop();
    queue.len().unwrap();
    drop(queue.get_async());
    assert_eq!(queue.len().unwrap(), 0);
    let awaited = futures::executor::block_on(queue.get_async());
    assert!(format!("{awaited:?}").contains("cannot be awaited"));
    assert_eq!(queue.len().unwrap(), 0);
    drop(open);
    queue.put(1).unwrap();
    assert_eq!(queue.get().unwrap(), 1);
}

fn calls_are_given_up_without_a_descriptor() {
    let manager = Manager::start().unwrap();
    let queue = manager.queue::<u64>().unwrap();
    let process = Process::spawn(gives_calls_up_without_descriptors, queue).unwrap();
    process.join().unwrap();
}

fn a_manager_ends_with_the_thread_that_keeps_it() {
    thread_local! {
        static KEPT: RefCell<Option<Manager>> = const { RefCell::new(None) };
    }
    let keeps = thread::spawn(|| {
        // In this order: what the manager needs of this thread is gone before it.
        KEPT.with_borrow_mut(|kept| {
            let manager = kept.insert(Manager::start().unwrap());
            manager.pid().unwrap()
        })
    });
    let pid = keeps.join().unwrap();
    assert_eq!(support::state_of(pid), None);
}
