#[cfg(feature = "network")]
mod full;

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::door::MAX_UNAUTHENTICATED;
use super::session::MAX_UNSENT;
use super::threads::Threads;
use super::*;
use crate::frame::{self, Decoder, Header, Kind};
use crate::manager::protocol::{Fault, ObjectId, PROTOCOL, decode_reply, encode_object};
use crate::manager::secure::{Address, ConnectError, Key, Line, connect_blocking};
use crate::manager::store::{Mailbox, RootOp, Status};
use crate::manager::{Manager, ManagerError};
use crate::sys;
use crate::wire;

/// Every wait of these tests ends by then.
const LIMIT: Duration = Duration::from_secs(60);

fn somewhere() -> Address {
    let name = Key::generate().unwrap().to_hex();
    Address::Abstract(format!("procession-test-{name}"))
}

/// A server, and its key.
fn served(builder: ServerBuilder) -> (Server, Key) {
    let key = Key::generate().unwrap();
    (builder.serve(&somewhere(), &key).unwrap(), key)
}

/// A client that talks by itself.
struct Client {
    line: Line,
    decoder: Decoder,
    calls: u64,
}

impl Client {
    fn of(server: &Server, key: &Key) -> Self {
        Self {
            line: connect_blocking(server.address(), key, LIMIT).unwrap(),
            decoder: Decoder::new(1 << 30),
            calls: 0,
        }
    }

    /// Queues a request, and sends what can be sent; whether that was all.
    fn ask(&mut self, op: &RootOp) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let start = frame::begin(&mut bytes);
        encode_object(ObjectId::ROOT, &mut bytes).unwrap();
        wire::encode(op, &mut bytes).unwrap();
        let header = Header::new(Kind::Request, self.calls, 0);
        frame::finish(&mut bytes, start, header);
        self.calls += 1;
        self.line.outgoing.push(bytes);
        self.line.outgoing.flush()
    }

    /// The next reply: to which call, and what. It goes on sending meanwhile.
    fn reply(&mut self) -> io::Result<(u64, Result<Vec<u8>, Fault>)> {
        let deadline = Some(Instant::now() + LIMIT);
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                assert_eq!(frame.header.kind, Kind::Reply);
                let replied = decode_reply(&frame.payload).unwrap();
                return Ok((frame.header.task, replied.answer.map(<[u8]>::to_vec)));
            }
            self.line.outgoing.flush()?;
            match self.decoder.read_from(&mut &mut self.line.incoming) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let poller = sys::Poller::new()?;
                    let writes = self.line.outgoing.len() > 0;
                    poller.add(&self.line, 1)?;
                    poller.watch(&self.line, 1, true, writes)?;
                    let mut ready = Vec::new();
                    poller.wait(&mut ready, deadline)?;
                    assert!(!ready.is_empty(), "nothing has come");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for something that is always answered.
    fn is_served(&mut self) -> Status {
        self.ask(&RootOp::Status).unwrap();
        let (call, answer) = self.reply().unwrap();
        assert_eq!(call, self.calls - 1);
        wire::decode(&answer.unwrap()).unwrap()
    }

    fn send_raw(&mut self, bytes: Vec<u8>) {
        self.line.outgoing.push(bytes);
        let _ = self.line.outgoing.flush();
    }
}

/// A socket that is connected to a server at an abstract address, and has said nothing.
fn stranger(server: &Server) -> UnixStream {
    let Address::Abstract(name) = server.address() else {
        panic!("{server:?}");
    };
    let address = SocketAddr::from_abstract_name(name).unwrap();
    let socket = UnixStream::connect_addr(&address).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// What a server says until it hangs up.
fn last_words(mut socket: UnixStream) -> Vec<u8> {
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Ok(_) => said,
        // It had not read all that was sent.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => said,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn requests_are_answered_in_one_connection_and_another() {
    let (server, key) = served(Server::builder());
    let mut one = Client::of(&server, &key);
    one.is_served();
    let mut other = Client::of(&server, &key);
    assert_eq!(other.is_served().connections, 2);
    one.ask(&RootOp::Hello { protocol: PROTOCOL }).unwrap();
    one.ask(&RootOp::Names).unwrap();
    one.ask(&RootOp::Lookup { name: "a".into() }).unwrap();
    assert!(one.reply().unwrap().1.is_ok());
    let names: Vec<String> = wire::decode(&one.reply().unwrap().1.unwrap()).unwrap();
    assert!(names.is_empty());
    assert_eq!(one.reply().unwrap().1, Err(Fault::NoName("a".into())));
}

#[test]
fn a_client_that_goes_is_forgotten() {
    let (server, key) = served(Server::builder());
    let mut one = Client::of(&server, &key);
    for _ in 0..20 {
        Client::of(&server, &key).is_served();
    }
    while one.is_served().connections > 1 {}
}

#[test]
fn a_server_that_is_shut_down_by_a_client_answers_and_ends() {
    let (server, key) = served(Server::builder());
    let mut client = Client::of(&server, &key);
    client.ask(&RootOp::Shutdown).unwrap();
    assert!(client.reply().unwrap().1.is_ok());
    assert!(client.reply().is_err());
    server.wait();
    let address = server.address().clone();
    drop(server);
    assert!(matches!(
        connect_blocking(&address, &key, LIMIT),
        Err(ConnectError::NobodyThere { .. })
    ));
}

#[test]
fn a_server_that_is_dropped_hangs_up() {
    let (server, key) = served(Server::builder());
    let mut client = Client::of(&server, &key);
    client.is_served();
    drop(server);
    assert!(client.reply().is_err());
}

#[test]
fn one_client_too_many_is_told_so_and_the_next_one_finds_room() {
    let (server, key) = served(Server::builder().max_connections(1));
    let mut one = Client::of(&server, &key);
    one.is_served();
    let full = connect_blocking(server.address(), &key, LIMIT).map(drop);
    assert!(matches!(full, Err(ConnectError::Full { .. })), "{full:?}");
    one.is_served();
    drop(one);
    // Its end comes to the server when it comes.
    while connect_blocking(server.address(), &key, LIMIT).is_err() {}
}

#[test]
fn a_silent_client_is_hung_up_on() {
    let builder = Server::builder().handshake_time(Duration::from_millis(30));
    let (server, key) = served(builder);
    let mut good = Client::of(&server, &key);
    let (silent, mut slow) = (stranger(&server), stranger(&server));
    slow.write_all(b"\x93pcs").unwrap();
    assert_eq!(last_words(silent), b"");
    assert_eq!(last_words(slow), b"");
    good.is_served();
}

#[test]
fn a_flood_of_silent_clients_loses_its_oldest_and_others_are_let_in() {
    let (server, key) = served(Server::builder());
    let mut good = Client::of(&server, &key);
    let first = stranger(&server);
    let mut flood = Vec::new();
    for count in 0..2 * MAX_UNAUTHENTICATED {
        flood.push(stranger(&server));
        if count % 50 == 0 {
            good.is_served();
            Client::of(&server, &key).is_served();
        }
    }
    assert_eq!(last_words(first), b"");
}

#[test]
fn what_is_no_request_costs_its_connection_alone() {
    let (server, key) = served(Server::builder().max_frame(1 << 20));
    let mut good = Client::of(&server, &key);
    let frame = |kind: Kind, len: u64, payload: &[u8]| {
        let mut header = Header::new(kind, 7, 0);
        header.len = len;
        [&header.encode()[..], payload].concat()
    };
    let mut unknown = frame(Kind::Request, 0, &[]);
    unknown[16] = 99;
    for bytes in [
        frame(Kind::Request, 1 << 40, &[]),
        frame(Kind::Request, 0, &[]),
        frame(Kind::Reply, 1, &[0]),
        frame(Kind::Hello, 1, &[0]),
        frame(Kind::Release, 1, &[5]),
        frame(Kind::Cancel, 1, &[5]),
        unknown,
        vec![0xff; 100],
    ] {
        let mut bad = Client::of(&server, &key);
        bad.send_raw(bytes);
        assert!(bad.reply().is_err());
        good.is_served();
    }
}

#[test]
fn a_call_number_that_is_in_use_is_none_once_it_is_answered() {
    let (server, key) = served(Server::builder());
    let mut client = Client::of(&server, &key);
    client.is_served();
    client.calls = 0;
    client.is_served();
}

#[test]
fn who_does_not_read_is_not_listened_to_and_others_are() {
    let (server, key) = served(Server::builder());
    let mut good = Client::of(&server, &key);
    let mut deaf = Client::of(&server, &key);
    // What it asks for is answered with its own words.
    let name = "a".repeat(MAX_UNSENT / 4);
    let lookup = RootOp::Lookup { name };
    const ASKED: u64 = 200;
    let mut is_all = true;
    for _ in 0..ASKED {
        is_all = deaf.ask(&lookup).unwrap();
    }
    for _ in 0..100 {
        good.is_served();
        is_all = deaf.line.outgoing.flush().unwrap();
    }
    assert!(!is_all, "the server has taken all of it");
    for call in 0..ASKED {
        let (answered, answer) = deaf.reply().unwrap();
        assert_eq!(answered, call);
        assert!(matches!(answer, Err(Fault::NoName(_))));
    }
}

#[test]
fn who_asks_without_end_does_not_keep_others_from_being_served() {
    let (server, key) = served(Server::builder());
    let mut good = Client::of(&server, &key);
    let mut eager = Client::of(&server, &key);
    for _ in 0..50 {
        for _ in 0..200 {
            eager.ask(&RootOp::Names).unwrap();
        }
        good.is_served();
        for _ in 0..200 {
            assert!(eager.reply().unwrap().1.is_ok());
        }
    }
}

#[test]
fn what_may_block_runs_on_so_many_threads_and_panics_alone() {
    let nobody = Arc::new(|| Err(ManagerError::Forked));
    let mut threads = Threads::new(2, nobody, 0, Arc::new(|| {}));
    let (say, said) = mpsc::channel();
    let mailbox = |object| {
        let say = say.clone();
        Mailbox::new(
            ObjectId(object),
            Arc::new(move |object, _| say.send(object.0).unwrap()),
        )
    };
    let (enter, entered) = mpsc::channel();
    let mut gates = Vec::new();
    for object in 0..4 {
        let (open, opened) = mpsc::channel::<()>();
        let enter = enter.clone();
        gates.push(open);
        let work = Box::new(move |mailbox: Mailbox| {
            enter.send(object).unwrap();
            let _ = opened.recv();
            mailbox.say(Box::new(()));
        });
        assert_eq!(threads.begin(work, mailbox(object), None), None);
    }
    let first = [entered.recv().unwrap(), entered.recv().unwrap()];
    assert!(first.contains(&0) && first.contains(&1));
    assert!(entered.try_recv().is_err(), "only two may run");
    drop(gates);
    let mut all: Vec<u64> = (0..4).map(|_| said.recv().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3]);
    for _ in 0..2 {
        let panics = Box::new(|_| panic!("contained"));
        assert_eq!(threads.begin(panics, mailbox(9), None), None);
    }
    let goes_on = Box::new(|mailbox: Mailbox| mailbox.say(Box::new(())));
    assert_eq!(threads.begin(goes_on, mailbox(7), None), None);
    assert_eq!(said.recv().unwrap(), 7);
}

#[cfg(feature = "network")]
mod over_a_network {
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::thread;

    use super::*;

    pub(super) fn served_on_loopback() -> (Server, Key) {
        let key = Key::generate().unwrap();
        let address = Address::Tcp("127.0.0.1:0".into());
        let server = Server::builder().serve(&address, &key).unwrap();
        (server, key)
    }

    fn host_and_port(server: &Server) -> String {
        let Address::Tcp(host_and_port) = server.address() else {
            panic!("{server:?}");
        };
        host_and_port.clone()
    }

    #[test]
    fn large_requests_are_answered() {
        let (server, key) = served_on_loopback();
        let mut client = Client::of(&server, &key);
        let name = "a".repeat(3_000_000);
        client.ask(&RootOp::Lookup { name: name.clone() }).unwrap();
        assert_eq!(client.reply().unwrap().1, Err(Fault::NoName(name)));
        client.is_served();
    }

    #[test]
    fn what_a_good_client_said_is_of_no_use_to_another_one() {
        let (server, key) = served_on_loopback();
        // Everything that a client says, up to its first answer, goes through here.
        let between = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(between.local_addr().unwrap().to_string());
        let there = host_and_port(&server);
        let recorder = thread::spawn(move || {
            let (mut here, _) = between.accept().unwrap();
            let mut there = TcpStream::connect(there).unwrap();
            let (mut back, mut forth) = (there.try_clone().unwrap(), here.try_clone().unwrap());
            let answers = thread::spawn(move || io::copy(&mut back, &mut forth));
            let mut recorded = Vec::new();
            let mut piece = [0; 4096];
            loop {
                let count = here.read(&mut piece).unwrap();
                if count == 0 {
                    break;
                }
                recorded.extend_from_slice(&piece[..count]);
                there.write_all(&piece[..count]).unwrap();
            }
            let _ = there.shutdown(Shutdown::Both);
            let _ = answers.join();
            recorded
        });
        let line = connect_blocking(&address, &key, LIMIT).unwrap();
        let mut client = Client {
            line,
            decoder: Decoder::new(1 << 20),
            calls: 0,
        };
        client.is_served();
        drop(client);
        let recorded = recorder.join().unwrap();

        let mut good = Client::of(&server, &key);
        let before = good.is_served().connections;
        let mut replay = TcpStream::connect(host_and_port(&server)).unwrap();
        replay.set_read_timeout(Some(LIMIT)).unwrap();
        replay.write_all(&recorded).unwrap();
        let mut said = Vec::new();
        let _ = replay.read_to_end(&mut said);
        // The second message of a handshake, and that it is refused: nothing that anything can be read from.
        assert!(said.len() <= 1 + 48 + 1, "{} bytes", said.len());
        assert!(good.is_served().connections <= before);
    }

    #[test]
    fn another_key_and_garbage_are_refused_while_others_are_served() {
        let (server, key) = served_on_loopback();
        let mut good = Client::of(&server, &key);
        let other = connect_blocking(server.address(), &Key::generate().unwrap(), LIMIT).map(drop);
        assert!(matches!(other, Err(ConnectError::Refused { .. })));
        let mut garbage = TcpStream::connect(host_and_port(&server)).unwrap();
        garbage.set_read_timeout(Some(LIMIT)).unwrap();
        garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut said = Vec::new();
        let _ = garbage.read_to_end(&mut said);
        assert_eq!(said, b"");
        good.is_served();
    }
}

#[test]
fn a_large_call_goes_out_where_there_is_no_descriptor_for_a_reactor() {
    let (server, key) = served(Server::builder());
    let status = sys::in_a_fork(|| {
        let manager = Manager::connect(server.address(), &key).unwrap();
        let all = sys::use_up_descriptors();
        let list = manager.list::<Vec<u8>>().unwrap();
        let lock = manager.lock().unwrap();
        let guard = lock.lock().unwrap();
        list.push(vec![1; 1000]).unwrap();
        list.push(vec![2; 8 << 20]).unwrap();
        // What is asked for and not awaited yet comes meanwhile.
        let first = list.get_async(1);
        list.push(vec![3; 8 << 20]).unwrap();
        drop(guard);
        let lens: Vec<usize> = list.to_vec().unwrap().iter().map(Vec::len).collect();
        drop((all, first));
        lens == [1000, 8 << 20, 8 << 20]
    });
    assert_eq!(status, 0);
}

#[test]
fn clients_are_told_of_the_end_of_a_server_that_has_forked() {
    let (server, key) = served(Server::builder());
    let client = Client::of(&server, &key);
    let forked = sys::Forked::new(|| {});
    server.shutdown();
    drop(server);
    // Before what was forked off ends, which would do as well.
    let until = Some(Instant::now() + LIMIT / 6);
    let told = sys::wait_for(&[client.line.as_fd()], until).unwrap();
    assert_eq!(told, 1, "it is not told");
    drop(forked);
}
