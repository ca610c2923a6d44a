//! Managers that are started, connected to and first called by tasks, which never block: on every runtime, given up at any moment, and with servers that do not answer.

mod support;

use std::future::Future;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::{join_all, poll_fn};
use procession::manager::{
    Address, ConnectError, Key, ListProxy, Manager, ManagerError, ServeError, Server,
};
use procession::pipe::{self, Connection};
use procession::{Process, active_children};
use support::{Case, Directory, until};

procession::register!(calls_first);

fn main() {
    support::run(|| {
        let mut cases = support::tests![
            a_start_that_is_given_up_leaves_nothing,
            why_a_manager_does_not_start_is_told_as_to_who_blocks,
            a_connection_that_is_given_up_leaves_nothing,
            who_does_not_answer_is_not_waited_for,
            a_socket_at_which_too_many_wait_is_tried_again,
            a_first_call_that_is_awaited_does_not_block,
            values_that_cannot_work_are_refused,
            an_address_of_the_network_names_the_feature,
        ];
        for (name, run) in on_runtimes() {
            cases.push(Case::new(name, run).before(warm_up_runtimes));
        }
        cases
    });
}

fn on_runtimes() -> [(&'static str, fn()); 2] {
    [
        (
            "a_manager_is_started_on_every_runtime",
            a_manager_is_started_on_every_runtime,
        ),
        (
            "a_manager_is_connected_to_on_every_runtime",
            a_manager_is_connected_to_on_every_runtime,
        ),
    ]
}

/// One of them has a thread that stays.
fn warm_up_runtimes() {
    smol::block_on(async {
        smol::spawn(async {}).await;
        smol::Timer::after(Duration::from_millis(1)).await;
    });
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

/// Runs what `make` makes on each of them.
fn on_every_runtime<F: Future<Output = ()> + Send + 'static>(make: impl Fn() -> F) {
    block_on(make());
    smol::block_on(make());
    let mut one = tokio::runtime::Builder::new_current_thread();
    one.build().unwrap().block_on(make());
    let several = tokio::runtime::Builder::new_multi_thread();
    let several = { several }.worker_threads(2).build().unwrap();
    several.block_on(several.spawn(make())).unwrap();
}

/// Polls a future so often, each time it is woken, and then drops it. Says whether it has come to its end.
fn give_up_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    let mut polled = 0;
    block_on(poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(false);
        }
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if polled == polls => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    }))
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Sockets, and what else this process has open; not what its threads that watch have of their own, which end a moment later.
fn sockets() -> usize {
    let descriptors = support::descriptors();
    let sockets = descriptors.values().filter(|of| of.starts_with("socket:"));
    sockets.count()
}

fn a_manager_is_started_on_every_runtime() {
    on_every_runtime(|| async {
        let manager = Manager::start_async().await.unwrap();
        let list = manager.list_async().await.unwrap();
        list.push_async(7).await.unwrap();
        assert_eq!(list.to_vec_async().await.unwrap(), [7]);
        manager.shutdown_async().await.unwrap();
    });
}

fn a_start_that_is_given_up_leaves_nothing() {
    // So that the threads that watch are there.
    drop(block_on(Manager::start_async()).unwrap());
    let before = sockets();
    let mut has_been_whole = false;
    for is_detached in [false, true] {
        for polls in 0..30 {
            let directory = Directory::new();
            let address = Address::from(directory.join("socket"));
            let builder = Manager::builder().address(&address).detached(is_detached);
            if give_up_after(polls, builder.start_async()) {
                has_been_whole = true;
                if is_detached {
                    // Its key is not known here: nobody else would end it.
                    for child in support::children() {
                        support::signal(child.pid, 9);
                    }
                    until("it to be reaped", || support::children().is_empty());
                }
                break;
            }
            until("the process to be reaped", || {
                support::children().is_empty()
            });
            until("the socket to be removed", || is_empty(directory.path()));
            assert!(active_children().is_empty());
        }
    }
    assert!(has_been_whole);
    until("all to be closed", || sockets() <= before);
}

fn why_a_manager_does_not_start_is_told_as_to_who_blocks() {
    let directory = Directory::new();
    let address = Address::from(directory.join("socket"));
    let first = Manager::builder().address(&address).start().unwrap();
    match block_on(Manager::builder().address(&address).start_async()) {
        Err(ManagerError::NotStarted(ServeError::AddressInUse { address: at, .. })) => {
            assert_eq!(at, address);
        }
        other => panic!("{other:?}"),
    }
    assert!(first.is_alive());
    drop(first);
    until("the other process to be reaped", || {
        support::children().is_empty()
    });
    assert!(is_empty(directory.path()));
}

fn served() -> (Server, Key) {
    let key = Key::generate().unwrap();
    let address = match cfg!(feature = "network") {
        true => "tcp:localhost:0".to_owned(),
        false => format!("unix:@procession-async-{}", std::process::id()),
    };
    let server = Server::builder().serve(&address.parse().unwrap(), &key);
    (server.unwrap(), key)
}

fn a_manager_is_connected_to_on_every_runtime() {
    let (server, key) = served();
    on_every_runtime(|| {
        let connecting = Manager::connect_async(server.address(), &key);
        async {
            let manager = connecting.await.unwrap();
            assert_eq!(manager.names_async().await.unwrap(), [""; 0]);
        }
    });
    let other = Key::generate().unwrap();
    let refused = block_on(Manager::connect_async(server.address(), &other));
    let is_refused = |error| matches!(error, ManagerError::Connect(ConnectError::Refused { .. }));
    assert!(refused.is_err_and(is_refused));
}

fn a_connection_that_is_given_up_leaves_nothing() {
    let (server, key) = served();
    let other = Directory::new();
    let address = Address::from(other.join("socket"));
    let _silent = UnixListener::bind(other.join("socket")).unwrap();
    drop(block_on(Manager::connect_async(server.address(), &key)).unwrap());
    let before = sockets();
    for polls in 0..20 {
        if give_up_after(polls, Manager::connect_async(server.address(), &key)) {
            break;
        }
    }
    assert!(!give_up_after(1, Manager::connect_async(&address, &key)));
    until("all to be closed", || sockets() <= before);
}

fn who_does_not_answer_is_not_waited_for() {
    let directory = Directory::new();
    let address = Address::from(directory.join("socket"));
    let key = Key::generate().unwrap();
    let silent = UnixListener::bind(directory.join("socket")).unwrap();
    let limit = Duration::from_millis(30);
    let no_answer = block_on(Manager::connect_timeout_async(&address, &key, limit));
    let is_silence = |error| matches!(error, ManagerError::Connect(ConnectError::NoAnswer { .. }));
    assert!(no_answer.is_err_and(is_silence));
    drop(silent);
    let nobody = block_on(Manager::connect_async(&address, &key));
    assert!(matches!(nobody, Err(ManagerError::Lost { .. })));
}

fn a_socket_at_which_too_many_wait_is_tried_again() {
    let directory = Directory::new();
    let address = Address::from(directory.join("socket"));
    let key = Key::generate().unwrap();
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    );
    let socket = socket.unwrap();
    let place = rustix::net::SocketAddrUnix::new(directory.join("socket")).unwrap();
    rustix::net::bind(&socket, &place).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let mut waiting: Vec<_> = (0..4)
        .map(|_| Box::pin(Manager::connect_async(&address, &key)))
        .collect();
    for connecting in &mut waiting {
        assert!(poll_once(connecting.as_mut()).is_pending());
    }
    let limit = Duration::from_millis(50);
    let full = block_on(Manager::connect_timeout_async(&address, &key, limit));
    assert!(matches!(
        full,
        Err(ManagerError::Connect(ConnectError::NoAnswer { .. }))
    ));
}

/// Is given a list, and calls it for the first time while the server stands still, and then many times at once.
fn calls_first(other: Connection<u32, Option<ListProxy<u64>>>) {
    let list = other.recv().unwrap().expect("a list");
    let before = sockets();
    other.send(&0).unwrap();
    assert!(other.recv().unwrap().is_none()); // by now it stands still

    // Whoever blocked here would come back with an error, after long.
    let mut given_up = Box::pin(list.push_async(1));
    assert!(poll_once(given_up.as_mut()).is_pending());
    assert!(sockets() > before);
    drop(given_up);
    assert_eq!(sockets(), before);

    let mut begun: Vec<_> = (0..100).map(|n| Box::pin(list.push_async(n))).collect();
    for call in &mut begun {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    assert_eq!(sockets(), before + 1, "one connection is made for all");
    // Whichever is not polled any more keeps nobody waiting.
    let rest = begun.split_off(1);
    other.send(&1).unwrap();
    block_on(async {
        for end in join_all(rest).await {
            end.unwrap();
        }
        begun.remove(0).await.unwrap();
        assert_eq!(list.len_async().await.unwrap(), 100);
    });
    assert_eq!(sockets(), before + 1);
}

fn a_first_call_that_is_awaited_does_not_block() {
    let manager = Manager::start().unwrap();
    let pid = manager.pid().unwrap();
    let list = manager.list::<u64>().unwrap();
    let (here, there) = pipe::duplex().unwrap();
    let process = Process::spawn(calls_first, there).unwrap();
    here.send(&Some(list.clone())).unwrap();
    assert_eq!(here.recv().unwrap(), 0_u32);
    support::signal(pid, 19);
    until("the server to stand still", || {
        support::state_of(pid) == Some('T')
    });
    here.send(&None).unwrap();
    assert_eq!(here.recv().unwrap(), 1);
    support::signal(pid, 18);
    process.join().unwrap();
    let mut numbers = list.to_vec().unwrap();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..100));
}

fn values_that_cannot_work_are_refused() {
    let key = Key::generate().unwrap();
    let address = Address::Abstract(format!("procession-refused-{}", std::process::id()));
    let serves = [
        (Server::builder().max_connections(0), "max_connections", 0),
        (Server::builder().threads(0), "threads", 0),
        (Server::builder().max_frame(4095), "max_frame", 4095),
    ];
    for (builder, name, number) in serves {
        match builder.serve(&address, &key) {
            Err(ServeError::Parameter {
                parameter, value, ..
            }) => assert_eq!((parameter, value), (name, number)),
            other => panic!("{other:?}"),
        }
    }
    let started = [
        Manager::builder().max_connections(0).start(),
        Manager::builder().threads(0).start(),
        Manager::builder().max_frame(0).start(),
        block_on(Manager::builder().max_frame(4095).start_async()),
    ];
    for refused in started {
        assert!(matches!(
            refused,
            Err(ManagerError::NotStarted(ServeError::Parameter { .. }))
        ));
    }
    let least = Manager::builder()
        .max_connections(1)
        .threads(1)
        .max_frame(4096);
    assert!(least.start().unwrap().is_alive());
}

fn an_address_of_the_network_names_the_feature() {
    if cfg!(feature = "network") {
        return;
    }
    let address: Address = "tcp:127.0.0.1:0".parse().unwrap();
    let key = Key::generate().unwrap();
    let served = Server::builder().serve(&address, &key);
    assert!(matches!(served, Err(ServeError::NoNetwork { .. })));
    match Manager::builder().address(&address).start() {
        Err(ManagerError::NotStarted(ServeError::NoNetwork { address: at })) => {
            assert_eq!(at, address);
        }
        other => panic!("{other:?}"),
    }
}
