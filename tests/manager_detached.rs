//! Managers whose owners end: those that end with them, and those that are detached. What is left of either, and how the latter are found, used and ended.

mod programs;
mod support;

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use procession::manager::{Address, Key, ListProxy, Manager, ManagerError, ServeError};
use procession::{ProcessOutput, ProcessPoolExecutor, Shutdown, active_children, pipe};
use programs::{ENDS, end_as_told, end_by, prepare_to_end, program, programs};
use rustix::process::{Pid, WaitOptions, getsid, waitpid};
use support::{Case, Directory, Gate, GateKeeper, Terminal, sit_down_at, state_of, until};

fn main() {
    programs::run_if_asked(&programs![owns, owns_when_it_is_let]);
    support::run(|| {
        // Those who lose their parents become children of this process, which sees how they end.
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own)).expect("to adopt orphans");
        let mut cases = support::tests![
            one_whose_owner_lives_is_reaped_by_it,
            one_that_a_task_has_begun_outlives_its_worker,
            one_that_has_not_begun_ends_with_its_owner,
            an_owner_that_is_killed_at_any_moment_leaves_nobody_who_does_not_answer,
            one_that_was_killed_is_begun_again_where_it_was,
            one_where_another_is_says_so,
            one_that_nobody_uses_ends,
            one_ends_with_its_pools,
            its_output_goes_where_it_is_told,
        ];
        for (end, looks) in ENDS {
            for is_detached in [false, true] {
                let kind = if is_detached { "goes_on" } else { "goes_along" };
                let run = move || ends_an_owner(is_detached, end, looks);
                cases.push(Case::new(format!("{kind}::{end}"), run));
            }
        }
        cases
    });
}

const SEVEN: u64 = 7;
const ADDRESS: &str = "PROCESSION_TEST_ADDRESS";
const KEY: &str = "PROCESSION_TEST_KEY";

/// Waits for the end of a process that this one has adopted, and says how it was; nothing, if its own parent has reaped it.
fn end_of(pid: u32) -> Option<String> {
    support::awaiting(format!("the end of {pid}"));
    let pid = Pid::from_raw(pid as i32).unwrap();
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).ok()??;
    Some(match (status.terminating_signal(), status.exit_status()) {
        (Some(signal), _) => format!("signal {signal}"),
        (_, code) => format!("code {}", code.unwrap_or(-1)),
    })
}

fn is_lost<T>(call: Result<T, ManagerError>) -> bool {
    matches!(call, Err(ManagerError::Lost { .. }))
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

/// An address in a directory, and a key, for a server that is to be found again.
fn place() -> (Directory, Address, Key) {
    let directory = Directory::new();
    let address = Address::from(directory.join("socket"));
    (directory, address, Key::generate().unwrap())
}

// ---- owners ----

/// A program: has a manager, says where, and ends as it is told.
fn owns() {
    procession::init();
    let mut arguments = std::env::args().skip(1);
    let (is_detached, end) = (arguments.next().unwrap(), arguments.next().unwrap());
    if let Some(terminal) = arguments.next() {
        sit_down_at(Path::new(&terminal));
    }
    prepare_to_end();
    let mut builder = Manager::builder().detached(is_detached == "true");
    if let (Ok(address), Ok(key)) = (std::env::var(ADDRESS), std::env::var(KEY)) {
        builder = builder.address(&address.parse().unwrap());
        builder = builder.key(&key.parse().unwrap());
    }
    let manager = builder.start().unwrap();
    let list = manager.list_of([SEVEN]).unwrap();
    manager.publish("list", &list).unwrap();
    let pid = manager.status().unwrap().pid;
    println!("{} {} {pid}", manager.address(), manager.key().to_hex());
    let _ = std::io::stdin().read(&mut [0]);
    let _dropped_if_at_all = (list, manager);
    end_by(&end)
}

/// What `owns` has said: where the manager is, its key, and its process.
fn read_told(line: &str) -> (Address, Key, u32) {
    let mut words = line.split_whitespace();
    let mut word = || words.next().expect(line);
    let (address, key) = (word().parse(), word().parse());
    (address.unwrap(), key.unwrap(), word().parse().unwrap())
}

fn ends_an_owner(is_detached: bool, end: &str, looks: &str) {
    let mut command = program("owns");
    command.arg(is_detached.to_string()).arg(end);
    command.stdin(Stdio::piped());
    let (directory, place, key) = place();
    if !is_detached {
        command.env(ADDRESS, place.to_string());
        command.env(KEY, key.to_hex());
    }
    let (mut owner, told) = if end == "terminal" {
        let terminal = Terminal::new();
        let owner = command.arg(terminal.path()).spawn().expect("the owner");
        let told = terminal.read_until("\n");
        // What is dropped here ends the terminal.
        (owner, told)
    } else {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut owner = command.process_group(0).spawn().expect("the owner");
        let mut told = String::new();
        let stdout = owner.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut told).expect("a line");
        (owner, told)
    };
    let (address, key, pid) = read_told(&told);
    end_as_told(&mut owner, end);
    assert_eq!(end_of(owner.id()).as_deref(), Some(looks));

    if !is_detached {
        let end_of_server = end_of(pid);
        // Its owner may have ended and reaped it, in good order.
        let is_killed = end_of_server.as_deref() == Some("signal 9");
        assert!(end_of_server.is_none() || is_killed, "{end_of_server:?}");
        assert_eq!(state_of(pid), None);
        assert!(is_lost(Manager::connect(&address, &key)));
        assert_eq!(address, place);
        // Neither the socket nor its lock is left.
        assert!(is_empty(directory.path()));
        return;
    }
    assert_eq!(support::parent_of(pid), Some(std::process::id()));
    assert_eq!(
        getsid(Pid::from_raw(pid as i32))
            .unwrap()
            .as_raw_nonzero()
            .get() as u32,
        pid
    );
    for stream in 0..3 {
        let goes = std::fs::read_link(format!("/proc/{pid}/fd/{stream}")).unwrap();
        assert_eq!(goes, Path::new("/dev/null"));
    }
    let manager = Manager::connect(&address, &key).unwrap();
    assert_eq!((manager.status().unwrap().pid, manager.pid()), (pid, None));
    let list: ListProxy<u64> = manager.get("list").unwrap();
    list.push(SEVEN + 1).unwrap();
    assert_eq!(list.to_vec().unwrap(), [SEVEN, SEVEN + 1]);
    manager.shutdown().unwrap();
    assert!(is_lost(list.len()));
    assert!(is_lost(Manager::connect(&address, &key)));
    assert_eq!(end_of(pid).as_deref(), Some("code 0"));
}

fn one_whose_owner_lives_is_reaped_by_it() {
    let manager = Manager::builder().detached(true).start().unwrap();
    let pid = manager.pid().unwrap();
    let clone = manager.clone();
    let (address, key) = (manager.address().clone(), manager.key());
    assert!(active_children().iter().all(|child| child.pid() != pid));
    drop((manager, clone));
    let manager = Manager::connect(&address, &key).unwrap();
    assert_eq!(manager.status().unwrap().pid, pid);
    manager.shutdown().unwrap();
    until("it to be reaped", || state_of(pid).is_none());
    assert!(is_lost(manager.status()));
}

#[procession::task]
fn begin_one() -> (Address, String, u32) {
    let manager = Manager::builder().detached(true).start().unwrap();
    let list = manager.list_of([SEVEN]).unwrap();
    manager.publish("list", &list).unwrap();
    let key = manager.key().to_hex();
    (manager.address().clone(), key, manager.pid().unwrap())
}

fn one_that_a_task_has_begun_outlives_its_worker() {
    // However that ends: told to, or killed with all of its group.
    for how in [Shutdown::Wait, Shutdown::Kill] {
        let pool = ProcessPoolExecutor::builder().max_workers(1).build();
        let pool = pool.unwrap();
        let (address, key, pid) = pool.submit(begin_one, ()).unwrap().wait().unwrap();
        pool.shutdown(how, None).unwrap();
        drop(pool);
        assert_eq!(support::parent_of(pid), Some(std::process::id()));
        let manager = Manager::connect(&address, &key.parse().unwrap()).unwrap();
        let list: ListProxy<u64> = manager.get("list").unwrap();
        assert_eq!(list.to_vec().unwrap(), [SEVEN]);
        manager.shutdown().unwrap();
        assert_eq!(end_of(pid).as_deref(), Some("code 0"));
    }
}

// ---- while it begins ----

#[procession::task]
fn stand_before(gate: Gate) {
    gate.pass(0);
}

/// A program: has a detached manager as soon as a gate opens.
fn owns_when_it_is_let() {
    procession::init();
    let gate = std::env::args().nth(1).unwrap();
    let gate: Gate = serde_json::from_str(&gate).unwrap();
    let builder = Manager::builder().detached(true);
    let _ = builder.initializer(stand_before, gate).start();
}

fn kill(owner: &mut Child) {
    owner.kill().expect("to kill the owner");
    owner.wait().expect("its end");
}

fn one_that_has_not_begun_ends_with_its_owner() {
    let keeper = GateKeeper::new();
    let mut command = program("owns_when_it_is_let");
    command.arg(serde_json::to_string(&keeper.gate()).unwrap());
    let mut owner = command.spawn().expect("the owner");
    let server = keeper.arrival().pid;
    kill(&mut owner);
    assert_eq!(end_of(server).as_deref(), Some("signal 9"));
}

/// Starts a detached one at a place.
fn start_at(address: &Address, key: &Key) -> Result<Manager, ManagerError> {
    let builder = Manager::builder().address(address).key(key);
    builder.detached(true).start()
}

fn an_owner_that_is_killed_at_any_moment_leaves_nobody_who_does_not_answer() {
    for turn in 0..40 {
        let (directory, address, key) = place();
        let mut command = program("owns");
        command.args(["true", "kill"]);
        command.env(ADDRESS, address.to_string());
        command.env(KEY, key.to_hex());
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut owner = command.spawn().expect("the owner");
        // Not waited for anything: any moment will do.
        thread::park_timeout(Duration::from_micros(1500 * turn));
        kill(&mut owner);
        let mut has_answered = false;
        until("the server to end, or to answer and end", || {
            if let Ok(manager) = Manager::connect(&address, &key) {
                has_answered |= manager.shutdown().is_ok();
            }
            while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
            support::children().is_empty()
        });
        assert!(!has_answered || is_empty(directory.path()));
    }
}

// ---- where it is ----

fn one_that_was_killed_is_begun_again_where_it_was() {
    let (directory, address, key) = place();
    let killed = start_at(&address, &key).unwrap();
    let pid = killed.pid().unwrap();
    support::signal(pid, 9);
    until("it to be reaped", || state_of(pid).is_none());
    assert!(is_lost(killed.status()));
    assert!(!is_empty(directory.path()));

    let again = start_at(&address, &key).unwrap();
    assert!(again.key() == key && !again.is_same(&killed));
    let pid = again.pid().unwrap();
    again.shutdown().unwrap();
    assert!(is_empty(directory.path()));
    until("it to be reaped", || state_of(pid).is_none());
}

fn one_where_another_is_says_so() {
    let (_directory, address, key) = place();
    let first = start_at(&address, &key).unwrap();
    let pid = first.pid().unwrap();
    match start_at(&address, &Key::generate().unwrap()) {
        Err(ManagerError::NotStarted(ServeError::AddressInUse { address: at, .. })) => {
            assert_eq!(at, address);
        }
        other => panic!("{other:?}"),
    }
    assert!(first.is_alive());
    first.shutdown().unwrap();
    until("it to be reaped", || state_of(pid).is_none());
}

// ---- what becomes of it ----

fn one_that_nobody_uses_ends() {
    let (directory, address, key) = place();
    let builder = Manager::builder()
        .address(&address)
        .key(&key)
        .detached(true);
    let manager = builder.idle_timeout(Duration::ZERO).start().unwrap();
    let pid = manager.pid().unwrap();
    let list = manager.list_of([SEVEN]).unwrap();
    manager.publish("list", &list).unwrap();

    // One that is on its way is in use.
    let (sender, receiver) = pipe::one_way::<ListProxy<u64>>().unwrap();
    sender.send(&list).unwrap();
    drop((manager, list));
    let list = receiver.recv().unwrap();
    assert_eq!(list.to_vec().unwrap(), [SEVEN]);
    drop(list);
    until("it to end, and to be reaped", || state_of(pid).is_none());
    assert!(is_empty(directory.path()));
}

#[procession::task]
fn own_pid() -> u32 {
    std::process::id()
}

fn one_ends_with_its_pools() {
    let manager = Manager::builder().detached(true).start().unwrap();
    let pid = manager.pid().unwrap();
    let pool = manager.pool(1).unwrap();
    let worker = pool.submit(own_pid, ()).unwrap().wait().unwrap();
    assert_eq!(support::parent_of(worker), Some(pid));
    manager.shutdown().unwrap();
    until("it to be reaped", || state_of(pid).is_none());
    // Its parent, which has ended, has reaped it or left it to this process.
    end_of(worker);
    assert_eq!(state_of(worker), None);
}

#[procession::task]
fn complain() {
    eprintln!("it is cold");
}

fn its_output_goes_where_it_is_told() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let builder = Manager::builder().detached(true);
    let builder = builder.stderr(ProcessOutput::to(writer));
    let manager = builder.initializer(complain, ()).start().unwrap();
    let pid = manager.pid().unwrap();
    manager.shutdown().unwrap();
    let mut said = String::new();
    // To its end: nobody else has the pipe.
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, "it is cold\n");
    until("it to be reaped", || state_of(pid).is_none());
}
