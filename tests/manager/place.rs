//! Where the server is.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::ops::Deref;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use procession::manager::{Address, Key, Manager, Server};

use super::On;
use super::programs::{Finished, Running, begin, finish, program, skip, this_binary};
use super::support::{self, Directory, until};

/// Where the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process, behind a Unix socket that is a file.
    Unix,
    /// In a process of its own, behind an abstract Unix socket.
    Process,
    /// In a process of its own, at the other end of a TCP connection.
    Tcp,
    /// In a process that has a network of its own.
    Network,
}

/// A manager, and whatever goes with it.
pub(crate) struct There {
    manager: Manager,
    server: Option<Server>,
    program: Option<Running>,
    /// Of the socket.
    _directory: Option<Directory>,
    /// The children and the servers' threads of this process, before.
    before: BTreeSet<u32>,
}

impl Place {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let here = [Self::Unix, Self::Process].into_iter();
        let over_there = [Self::Tcp, Self::Network].into_iter();
        here.chain(over_there.filter(|place| {
            cfg!(feature = "network") && (*place != Self::Network || can_have_networks())
        }))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Process => "process",
            Self::Tcp => "tcp",
            Self::Network => "network",
        }
    }

    pub(crate) fn is_of(self, on: On) -> bool {
        match on {
            On::Every => true,
            On::ThisMachine => self != Self::Network,
            On::Processes => matches!(self, Self::Process | Self::Tcp),
        }
    }

    /// A new manager.
    pub(crate) fn manager(self) -> There {
        match self {
            Self::Unix => {
                let before = of_servers();
                let directory = Directory::new();
                let key = Key::generate().unwrap();
                let address = Address::Unix(directory.join("socket"));
                let server = Server::builder().serve(&address, &key).unwrap();
                There {
                    manager: Manager::connect(&address, &key).unwrap(),
                    server: Some(server),
                    program: None,
                    _directory: Some(directory),
                    before,
                }
            }
            Self::Process => There::of(Manager::start().unwrap()),
            Self::Tcp => {
                let address = "tcp:127.0.0.1:0".parse().unwrap();
                There::of(Manager::builder().address(&address).start().unwrap())
            }
            Self::Network => in_another_network(),
        }
    }
}

impl There {
    fn of(manager: Manager) -> Self {
        Self {
            manager,
            server: None,
            program: None,
            _directory: None,
            before: BTreeSet::new(),
        }
    }
}

impl Deref for There {
    type Target = Manager;

    fn deref(&self) -> &Manager {
        &self.manager
    }
}

impl Drop for There {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            drop(server);
            // What makes a pool may still be at it, and the workers of pools that were there have been killed and not yet waited for.
            until(
                "a server's threads and the workers of its pools to end",
                || of_servers().is_subset(&self.before),
            );
        }
        if let Some(mut program) = self.program.take() {
            // It may be gone already.
            let _ = program.child.kill();
            program.child.wait().expect("the end of a server");
        }
    }
}

/// The threads of servers in this process, and then its children, which those may have started.
fn of_servers() -> BTreeSet<u32> {
    let works = |name: &str| ["procession-mana", "procession-drop"].contains(&name);
    let threads = support::threads().into_iter();
    let threads: Vec<u32> = threads
        .filter(|thread| works(&thread.name))
        .map(|thread| thread.id)
        .collect();
    let children = support::children().into_iter().map(|child| child.pid);
    threads.into_iter().chain(children).collect()
}

const KEY: &str = "PROCESSION_TEST_KEY";

/// A program: serves wherever it is, and says at which port.
pub(crate) fn serves_another_network() {
    procession::init();
    let key: Key = std::env::var(KEY).unwrap().parse().unwrap();
    let server = Server::builder().serve(&"tcp:0.0.0.0:0".parse().unwrap(), &key);
    let server = server.unwrap();
    println!("{}", server.address());
    std::io::stdout().flush().unwrap();
    server.wait();
}

/// A server in a network of its own, which a cable leads to.
fn in_another_network() -> There {
    let key = Key::generate().unwrap();
    let mut command = program("serves_another_network");
    let mut alone = Command::new("unshare");
    alone.arg("-n").arg(this_binary());
    for (name, value) in command.env(KEY, key.to_hex()).get_envs() {
        match value {
            Some(value) => alone.env(name, value),
            None => alone.env_remove(name),
        };
    }
    let mut program = begin(&mut alone);
    let address = program.line().expect("its address");
    let (_, port) = address.rsplit_once(':').expect("its port");
    let cable = Cable::lay(program.child.id());
    let address: Address = format!("tcp:{}:{port}", cable.there).parse().unwrap();
    There {
        manager: Manager::connect(&address, &key).unwrap(),
        server: None,
        program: Some(program),
        _directory: None,
        before: BTreeSet::new(),
    }
}

/// A pair of network devices. It goes with the network that one of them is in.
struct Cable {
    there: String,
}

impl Cable {
    fn lay(pid: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Another test may have one of this number: its name says so before anything else is done.
        for _ in 0..64 {
            let number = 8 * std::process::id() + NEXT.fetch_add(1, Ordering::Relaxed);
            match Self::numbered(number % (1 << 14), pid) {
                Ok(cable) => return cable,
                Err(laid) => assert!(laid.stderr.contains("File exists"), "{laid:?}"),
            }
        }
        panic!("there are too many");
    }

    fn numbered(number: u32, pid: u32) -> Result<Self, Finished> {
        // Of the addresses that are kept for tests of networks: 198.18.0.0/15.
        let net = format!("198.18.{}.", number >> 6);
        let [here, there] = [1, 2].map(|end| format!("{net}{}", (number & 63) * 4 + end));
        let name = format!("pt{number}");
        let inside = format!("nsenter -t {pid} -n ip");
        let commands = format!(
            "ip link add {name} type veth peer name there netns {pid} &&
             ip addr add {here}/30 dev {name} && ip link set {name} up &&
             {inside} addr add {there}/30 dev there && {inside} link set there up &&
             {inside} link set lo up"
        );
        let laid = finish(Command::new("sh").args(["-c", &commands]));
        match laid.status.success() {
            true => Ok(Self { there }),
            false => Err(laid),
        }
    }
}

/// Whether this user may make networks, and has the tools.
fn can_have_networks() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let commands = "ip link add there type veth peer name here && nsenter --version";
        let tried = Command::new("unshare")
            .args(["-n", "sh", "-c", commands])
            .output();
        let can = tried.is_ok_and(|tried| tried.status.success());
        if !can {
            skip("this user cannot make a network of its own: not tried between two of them");
        }
        can
    })
}
