//! Calls of a manager, beside a bare Unix socket and `multiprocessing.Manager`.

use futures::executor::block_on;
use procession::manager::{Address, Key, Manager, ValueProxy};

use super::memory::resident;
use super::pool;
use crate::measure::{Contestant, Pinned, check, in_turns, seconds, trips};
use crate::peers::pipe::Socket;
use crate::peers::python::Python;
use crate::table::{Peer, Table, Unit};
use crate::tasks::ask_all;
use crate::{Effort, Error};

/// As long as a request, and as its answer, with what stands before them.
const FRAME: usize = 32;

/// How many processes ask at once, where several do.
const CLIENTS: usize = 8;

pub fn run(effort: Effort, table: &mut Table) -> Result<(), Error> {
    {
        let _pinned = Pinned::new()?;
        round_trip(effort, table, "one CPU", true)?;
    }
    round_trip(effort, table, "any CPU", false)?;
    clients(effort, table)?;
    memory(effort, table)
}

/// `dict.get` there and back: over the Unix socket of a server process, awaited too, and over TCP to a server that is a thread here.
fn round_trip(
    effort: Effort,
    table: &mut Table,
    place: &str,
    is_pinned: bool,
) -> Result<(), Error> {
    let (rounds, count) = (effort.of(15, 2), effort.of(5_000, 100));
    let python_count = effort.of(1_000, 20);
    let key = "key".to_owned();
    let manager = Manager::start()?;
    let dict = manager.dict::<String, u64>()?;
    dict.insert(key.clone(), 7)?;
    let secret = Key::generate()?;
    let server = Manager::serve(&Address::Tcp("127.0.0.1:0".to_owned()), &secret)?;
    let over_tcp = Manager::connect(server.address(), &secret)?.dict::<String, u64>()?;
    over_tcp.insert(key.clone(), 7)?;
    let mut socket = Socket::open()?;
    let mut python = Python::start(1);
    let mut contestants: Vec<Contestant<'_>> = vec![
        (
            Peer::Procession,
            Box::new(|| {
                let mut all = trips(count, |_| check(dict.get(&key)?, Some(7)))?;
                all.extend(trips(count, |_| {
                    check(block_on(dict.get_async(&key))?, Some(7))
                })?);
                all.extend(trips(count, |_| check(over_tcp.get(&key)?, Some(7)))?);
                Ok(all)
            }),
        ),
        (
            Peer::Pipe,
            Box::new(|| {
                let mut frame = [7; FRAME];
                trips(count, |_| socket.ping(&mut frame))
            }),
        ),
    ];
    if let Some(python) = &mut python {
        contestants.push((
            Peer::Pool,
            Box::new(|| python.does(&format!("manager {python_count}"))),
        ));
    }
    let results = in_turns(rounds, contestants)?;
    for (at, part) in [(0, "median"), (1, "99 %")] {
        table.row(
            format!("manager, `dict.get`, {place}, {part}"),
            Unit::Seconds,
            vec![
                (Peer::Procession, results.median(Peer::Procession, at)),
                (Peer::Pipe, results.median(Peer::Pipe, at)),
                (Peer::Pool, results.median(Peer::Pool, at)),
            ],
        );
        for (from, how) in [(2, "awaited"), (4, "over TCP, encrypted")] {
            table.row(
                format!("manager, `dict.get`, {how}, {place}, {part}"),
                Unit::Seconds,
                vec![(
                    Peer::Procession,
                    results.median(Peer::Procession, at + from),
                )],
            );
        }
    }
    if is_pinned && let Some(ratio) = results.ratio(Peer::Procession, Peer::Pipe, 0) {
        table.at_most(
            format!("manager, `dict.get`, {place} / socket pair"),
            ratio,
            1.5,
        );
    }
    Ok(())
}

/// Several processes that ask the same dictionary.
fn clients(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let (count, python_count) = (effort.of(200_000, 800), effort.of(16_000, 80));
    let manager = Manager::start()?;
    let dict = manager.dict::<String, u64>()?;
    dict.insert("key".to_owned(), 7)?;
    let executor = pool(CLIENTS)?;
    let each = count / CLIENTS;
    let mut python = Python::start(1);
    let mut contestants: Vec<Contestant<'_>> = vec![(
        Peer::Procession,
        Box::new(|| {
            let took = seconds(|| {
                let calls = (0..CLIENTS).map(|_| executor.submit(ask_all, (dict.clone(), each)));
                let futures = calls.collect::<Result<Vec<_>, _>>()?;
                futures
                    .into_iter()
                    .try_for_each(|future| check(future.wait()?, Ok(each)))
            })?;
            Ok(vec![(each * CLIENTS) as f64 / took])
        }),
    )];
    if let Some(python) = &mut python {
        let order = format!("manager_clients {CLIENTS} {python_count}");
        contestants.push((
            Peer::Pool,
            Box::new(move || Ok(vec![python_count as f64 / python.does(&order)?[0]])),
        ));
    }
    let results = in_turns(effort.of(7, 1), contestants)?;
    let what = format!("manager, `dict.get` from {CLIENTS} processes");
    table.row(
        what.clone(),
        Unit::Rate,
        vec![
            (Peer::Procession, results.median(Peer::Procession, 0)),
            (Peer::Pool, results.median(Peer::Pool, 0)),
        ],
    );
    if let Some(ratio) = results.ratio(Peer::Procession, Peer::Pool, 0) {
        table.at_least(format!("{what}, by `multiprocessing.Manager`"), ratio, 10.0);
    }
    Ok(())
}

/// What an object takes, in a server that is a process of its own, with nothing else; and a connection, whose other end is another process.
fn memory(effort: Effort, table: &mut Table) -> Result<(), Error> {
    let (objects, connections) = (effort.of(100_000, 1_000), effort.of(64, 4));
    let manager = Manager::start()?;
    let server = manager.pid().ok_or("this process started it")?.to_string();
    // What is kept for the next ones has been taken after these.
    drop(values(&manager, objects / 10)?);
    let before = resident(&server)?;
    let held = values(&manager, objects)?;
    let per_object = resident(&server)?.saturating_sub(before) as f64 / objects as f64;
    drop(held);
    let dict = manager.dict::<String, u64>()?;
    dict.insert("key".to_owned(), 7)?;
    let executor = pool(connections)?;
    let connect = || -> Result<(), Error> {
        let futures = (0..connections).map(|_| executor.submit(ask_all, (dict.clone(), 100)));
        let futures = futures.collect::<Result<Vec<_>, _>>()?;
        futures
            .into_iter()
            .try_for_each(|future| check(future.wait()?, Ok(100)))
    };
    let before = resident(&server)?;
    while manager.status()?.connections < connections as u64 {
        connect()?;
    }
    let grown = resident(&server)?.saturating_sub(before);
    for (what, bytes) in [
        ("memory of a managed value, in the server", per_object),
        (
            "memory of an idle connection to a manager, in the server",
            grown as f64 / connections as f64,
        ),
    ] {
        table.row(what, Unit::Bytes, vec![(Peer::Procession, Some(bytes))]);
    }
    Ok(())
}

fn values(manager: &Manager, count: usize) -> Result<Vec<ValueProxy<u64>>, Error> {
    (0..count as u64).map(|n| Ok(manager.value(n)?)).collect()
}
