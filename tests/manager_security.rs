//! Whoever does not have the key of a manager gets nothing from its server, costs it next to nothing, and keeps nobody
//! else from being served. These clients speak the protocol by themselves, as far as they do.

mod support;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

use procession::manager::{Address, Key, ServeError, Server};
use procession::pipe::{self, Receiver, Sender};
use procession::{Process, ProcessError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Directory, allocated_memory, awaiting};

procession::register!(serves_with_few_descriptors, serves_until_told);

fn main() {
    support::run(|| {
        support::tests![
            who_has_the_key_is_let_in,
            who_has_not_is_told_so_and_nothing_else,
            a_key_that_is_too_short_is_waited_for_and_then_refused,
            garbage_is_hung_up_on,
            a_client_of_another_version_is_told_so,
            a_key_that_comes_byte_by_byte_is_taken,
            clients_that_are_silent_keep_nobody_out,
            clients_that_come_and_go_keep_nobody_out,
            what_is_claimed_before_the_key_costs_nothing,
            what_is_claimed_after_the_key_is_not_allocated,
            half_a_request_costs_its_connection,
            another_user_is_hung_up_on,
            who_finds_no_descriptor_is_told_so_and_others_are_served,
            a_path_is_for_its_user_alone_and_goes_with_the_server,
            a_path_that_is_in_use_is_refused,
            a_server_that_is_killed_hangs_up,
        ]
    });
}

// ---- a client ----

const GREETING: &[u8; 12] = b"\x93pcsn-m\n\x01\0\0\0";
const WELCOME: u8 = 0xd0;
const REFUSED: u8 = 0xd1;
const FULL: u8 = 0xd2;
const OTHER_VERSION: u8 = 0xd3;

/// Kinds of frames, as docs/wire-format.md numbers them.
const REQUEST: u8 = 32;

/// Object 0, asked for its status.
const STATUS: &[u8] = &[0, 7];

struct Served {
    server: Server,
    key: Key,
}

fn somewhere() -> Address {
    let name = Key::generate().unwrap().to_hex();
    Address::Abstract(format!("procession-test-{name}"))
}

fn serve() -> Served {
    let key = Key::generate().unwrap();
    let server = Server::builder().serve(&somewhere(), &key).unwrap();
    Served { server, key }
}

impl Served {
    fn stranger(&self) -> UnixStream {
        stranger(self.server.address()).unwrap()
    }

    fn client(&self) -> UnixStream {
        let mut socket = self.stranger();
        assert_eq!(prove(&mut socket, &self.key), Some(WELCOME));
        socket
    }
}

/// A connection on which nothing has been said.
fn stranger(address: &Address) -> io::Result<UnixStream> {
    let socket = match address {
        Address::Abstract(name) => {
            UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap())
        }
        Address::Unix(path) => UnixStream::connect(path),
        other => panic!("{other}"),
    }?;
    Ok(socket)
}

/// The bytes of a key.
fn bytes_of(key: &Key) -> Vec<u8> {
    let hex = key.to_hex();
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Says the key, and gives what the server says to it, if anything.
fn prove(socket: &mut UnixStream, key: &Key) -> Option<u8> {
    say(socket, &[&GREETING[..], &bytes_of(key)].concat());
    let mut said = [0];
    awaiting("the server's answer to a key");
    match socket.read(&mut said) {
        Ok(1) => Some(said[0]),
        Ok(_) => None,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        Err(error) => panic!("{error}"),
    }
}

/// The server may have hung up.
fn say(socket: &mut UnixStream, bytes: &[u8]) {
    match socket.write_all(bytes) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("{error}"),
        _ => {}
    }
}

/// Everything that is said until the server hangs up.
fn last_words(socket: &mut UnixStream) -> Vec<u8> {
    awaiting("the server to hang up");
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => said,
    }
}

fn header(kind: u8, call: u64, len: u64) -> Vec<u8> {
    let mut bytes = [len.to_le_bytes(), call.to_le_bytes()].concat();
    bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// Asks something that is always answered, and waits for the answer.
fn is_served(socket: &mut UnixStream) {
    let request = [header(REQUEST, 7, STATUS.len() as u64), STATUS.to_vec()].concat();
    socket.write_all(&request).unwrap();
    awaiting("an answer");
    let mut reply = [0; 24];
    socket.read_exact(&mut reply).unwrap();
    assert_eq!(reply[8..17], header(48, 7, 0)[8..17]);
    let len = u64::from_le_bytes(reply[..8].try_into().unwrap());
    let mut payload = vec![0; len as usize];
    socket.read_exact(&mut payload).unwrap();
    assert_eq!(payload[..2], [0, 1], "no grants, and an answer");
}

// ---- who comes in ----

fn who_has_the_key_is_let_in() {
    let served = serve();
    is_served(&mut served.client());
}

fn who_has_not_is_told_so_and_nothing_else() {
    let served = serve();
    let mut good = served.client();
    let mut bad = served.stranger();
    assert_eq!(prove(&mut bad, &Key::generate().unwrap()), Some(REFUSED));
    assert_eq!(last_words(&mut bad), b"");
    is_served(&mut good);
}

fn a_key_that_is_too_short_is_waited_for_and_then_refused() {
    let served = serve();
    let mut short = served.stranger();
    say(
        &mut short,
        &[&GREETING[..], &bytes_of(&served.key)[..31]].concat(),
    );
    is_served(&mut served.client());
    short.shutdown(Shutdown::Write).unwrap();
    assert_eq!(last_words(&mut short), b"");
}

fn garbage_is_hung_up_on() {
    let served = serve();
    let mut good = served.client();
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0], &[0xff; 4096]] {
        let mut bad = served.stranger();
        say(&mut bad, garbage);
        assert_eq!(last_words(&mut bad), b"");
        is_served(&mut good);
    }
}

fn a_client_of_another_version_is_told_so() {
    let served = serve();
    let mut other = served.stranger();
    let mut said = [&GREETING[..], &bytes_of(&served.key)].concat();
    said[8] = 99;
    say(&mut other, &said);
    assert_eq!(last_words(&mut other), [OTHER_VERSION]);
}

fn a_key_that_comes_byte_by_byte_is_taken() {
    let served = serve();
    let (mut good, mut slow) = (served.client(), served.stranger());
    for byte in [&GREETING[..], &bytes_of(&served.key)].concat() {
        say(&mut slow, &[byte]);
        is_served(&mut good);
    }
    let mut said = [0];
    slow.read_exact(&mut said).unwrap();
    assert_eq!(said, [WELCOME]);
    is_served(&mut slow);
}

fn clients_that_are_silent_keep_nobody_out() {
    let served = serve();
    let mut good = served.client();
    // Some of them begin as good ones do.
    let silent: Vec<UnixStream> = (0..300)
        .map(|i| {
            let mut silent = served.stranger();
            say(&mut silent, &GREETING[..i % GREETING.len()]);
            silent
        })
        .collect();
    is_served(&mut good);
    is_served(&mut served.client());
    drop(silent);
}

fn clients_that_come_and_go_keep_nobody_out() {
    let served = serve();
    let mut good = served.client();
    let flood = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let mut stranger = served.stranger();
                        say(&mut stranger, b"\x93pcsn");
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            is_served(&mut good);
            is_served(&mut served.client());
        }
        floods.into_iter().all(|flood| flood.join().is_ok())
    });
    assert!(flood);
}

// ---- what it costs ----

/// What is allocated more than before, for each of `count`.
fn each_costs(before: Option<u64>, count: u64) -> u64 {
    match (before, allocated_memory()) {
        (Some(before), Some(after)) => after.saturating_sub(before) / count,
        _ => 0,
    }
}

fn what_is_claimed_before_the_key_costs_nothing() {
    let served = serve();
    let mut good = served.client();
    is_served(&mut good);
    let before = allocated_memory();
    const COUNT: u64 = 100;
    let claims: Vec<UnixStream> = (0..COUNT)
        .map(|_| {
            let mut claims = served.stranger();
            say(&mut claims, &GREETING[..]);
            claims
        })
        .collect();
    is_served(&mut good);
    let cost = each_costs(before, COUNT);
    assert!(cost < 2048, "{cost} bytes for each");
    drop(claims);
}

fn what_is_claimed_after_the_key_is_not_allocated() {
    let served = serve();
    let mut good = served.client();
    is_served(&mut good);
    let mut large = served.client();
    say(&mut large, &header(REQUEST, 1, u64::MAX));
    assert_eq!(last_words(&mut large), b"", "it is past `max_frame`");

    let before = allocated_memory();
    const COUNT: u64 = 20;
    let claims: Vec<UnixStream> = (0..COUNT)
        .map(|_| {
            let mut claims = served.client();
            let bytes = [header(REQUEST, 1, 1 << 30), vec![0; 1000]].concat();
            say(&mut claims, &bytes);
            claims
        })
        .collect();
    is_served(&mut good);
    let cost = each_costs(before, COUNT);
    assert!(cost < 512 * 1024, "{cost} bytes for each");
    drop(claims);
}

fn half_a_request_costs_its_connection() {
    let served = serve();
    let mut good = served.client();
    for len in [1, 23, 24, 25] {
        let mut half = served.client();
        let request = [header(REQUEST, 7, STATUS.len() as u64), STATUS.to_vec()].concat();
        say(&mut half, &request[..len]);
        half.shutdown(Shutdown::Write).unwrap();
        assert_eq!(last_words(&mut half), b"");
        is_served(&mut good);
    }
}

fn another_user_is_hung_up_on() {
    /// Who has no rights anywhere.
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can be somebody else");
        return;
    }
    let served = serve();
    let mut good = served.client();
    let code = support::in_a_fork(|| {
        // SAFETY: a system call that touches no memory; this process has no other thread.
        let changed = unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) };
        let Ok(mut other) = stranger(served.server.address()) else {
            support::exit_at_once(1);
            return;
        };
        let answer = prove(&mut other, &served.key);
        support::exit_at_once(match (changed, answer) {
            (0, None) => 42,
            _ => 2,
        });
    });
    assert_eq!(code, 42, "it has not been told anything");
    is_served(&mut good);
}

// ---- without descriptors ----

/// A server that can have few descriptors; it says where it is, and ends when the other end of `until` does.
fn serves_with_few_descriptors(key: String, ready: Sender<String>, until: Receiver<()>) {
    let key: Key = key.parse().unwrap();
    let address = somewhere();
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let server = Server::builder().serve(&address, &key).unwrap();
    let limit = Rlimit {
        current: Some(open + 16),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).unwrap();
    ready.send(&server.address().to_string()).unwrap();
    let _ = until.recv();
}

fn who_finds_no_descriptor_is_told_so_and_others_are_served() {
    let key = Key::generate().unwrap();
    let (ready, is_ready) = pipe::one_way::<String>().unwrap();
    let (end, until) = pipe::one_way::<()>().unwrap();
    let process =
        Process::spawn(serves_with_few_descriptors, (key.to_hex(), ready, until)).unwrap();
    let address: Address = is_ready.recv().unwrap().parse().unwrap();

    let mut clients = Vec::new();
    loop {
        let mut client = stranger(&address).unwrap();
        match prove(&mut client, &key) {
            Some(WELCOME) => clients.push(client),
            Some(FULL) => break,
            // It came when there was not even the last one.
            None => {}
            other => panic!("{other:?}"),
        }
        assert!(clients.len() < 100, "it has more descriptors than it may");
    }
    assert!(clients.len() > 2);
    // Nobody of those who are there is worse off, also when many more come.
    for _ in 0..50 {
        let mut client = stranger(&address).unwrap();
        let said = prove(&mut client, &key);
        assert!(matches!(said, Some(FULL) | None), "{said:?}");
        clients.iter_mut().for_each(is_served);
    }
    drop(clients.pop());
    support::until("a place for another client", || {
        let mut client = stranger(&address).unwrap();
        prove(&mut client, &key) == Some(WELCOME)
    });
    drop((clients, end));
    process.join().unwrap();
}

// ---- addresses ----

fn a_path_is_for_its_user_alone_and_goes_with_the_server() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = Directory::new();
    let path = directory.path().join("socket");
    let key = Key::generate().unwrap();
    for _ in 0..3 {
        let address = Address::from(&*path);
        let server = Server::builder().serve(&address, &key).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        let mut client = stranger(server.address()).unwrap();
        assert_eq!(prove(&mut client, &key), Some(WELCOME));
        is_served(&mut client);
        drop(server);
        assert!(!path.exists());
    }
}

fn a_path_that_is_in_use_is_refused() {
    let directory = Directory::new();
    let path = directory.path().join("socket");
    let key = Key::generate().unwrap();
    let address = Address::from(&*path);
    let server = Server::builder().serve(&address, &key).unwrap();
    match Server::builder().serve(&address, &key) {
        Err(ServeError::AddressInUse { .. }) => {}
        other => panic!("{other:?}"),
    }
    let mut client = stranger(server.address()).unwrap();
    assert_eq!(prove(&mut client, &key), Some(WELCOME));
    is_served(&mut client);

    let missing = Address::from(&*directory.path().join("no/such/socket"));
    match Server::builder().serve(&missing, &key) {
        Err(ServeError::NotListening { .. }) => {}
        other => panic!("{other:?}"),
    }
}

// ---- its end ----

/// Serves until it is killed.
fn serves_until_told(key: String, ready: Sender<String>) {
    let key: Key = key.parse().unwrap();
    let server = Server::builder().serve(&somewhere(), &key).unwrap();
    ready.send(&server.address().to_string()).unwrap();
    server.wait();
}

fn a_server_that_is_killed_hangs_up() {
    let key = Key::generate().unwrap();
    let (ready, is_ready) = pipe::one_way::<String>().unwrap();
    let process = Process::spawn(serves_until_told, (key.to_hex(), ready)).unwrap();
    let address: Address = is_ready.recv().unwrap().parse().unwrap();
    let mut client = stranger(&address).unwrap();
    assert_eq!(prove(&mut client, &key), Some(WELCOME));
    is_served(&mut client);
    process.kill();
    assert_eq!(last_words(&mut client), b"");
    assert!(matches!(process.join(), Err(ProcessError::Ended(_))));
    assert!(stranger(&address).is_err());
}
