//! Hundreds of clients at once.

use std::os::unix::fs::symlink;

use futures::executor::block_on;
use futures::future::join_all;
use procession::manager::{Address, BarrierProxy, DictProxy, Key, Manager, Server};
use procession::{Failure, Process};

use super::support::{Directory, awaiting, until};
use super::{On, Place, Test, tests};

const PROCESSES: usize = 10;
/// Of each process.
const CLIENTS: usize = 50;

pub(crate) fn tests() -> Vec<Test> {
    tests![On::ThisMachine; five_hundred_clients_are_served_at_once]
}

/// A process has one connection to an address: each of these is one of its own.
#[procession::task]
fn come(addresses: Vec<Address>, key: String, who: usize) -> Result<(), Failure> {
    let key: Key = key.parse()?;
    let clients = addresses
        .iter()
        .map(|address| Manager::connect(address, &key))
        .collect::<Result<Vec<_>, _>>()?;
    let barriers = clients
        .iter()
        .map(|client| client.get::<BarrierProxy>("all are here"))
        .collect::<Result<Vec<_>, _>>()?;
    for barrier in block_on(join_all(barriers.iter().map(BarrierProxy::wait_async))) {
        barrier?;
    }
    for (number, client) in clients.iter().enumerate() {
        let served: DictProxy<usize, u64> = client.get("served")?;
        served.insert(who * CLIENTS + number, client.status()?.connections)?;
    }
    for barrier in block_on(join_all(barriers.iter().map(BarrierProxy::wait_async))) {
        barrier?;
    }
    Ok(())
}

fn five_hundred_clients_are_served_at_once(place: Place) {
    let directory = Directory::new();
    let socket = Address::Unix(directory.join("socket"));
    let (_server, manager) = match place {
        Place::Unix => {
            let key = Key::generate().unwrap();
            let server = Server::builder().serve(&socket, &key).unwrap();
            (Some(server), Manager::connect(&socket, &key).unwrap())
        }
        Place::Process => (None, Manager::builder().address(&socket).start().unwrap()),
        Place::Tcp => {
            let address = "tcp:0.0.0.0:0".parse().unwrap();
            (None, Manager::builder().address(&address).start().unwrap())
        }
        Place::Network => unreachable!("it is not run there"),
    };
    let addresses: Vec<Address> = (0..CLIENTS)
        .map(|number| match manager.address() {
            Address::Unix(path) => {
                let link = directory.join(&format!("socket {number}"));
                symlink(path, &link).unwrap();
                Address::Unix(link)
            }
            Address::Tcp(address) => {
                let (_, port) = address.rsplit_once(':').unwrap();
                Address::Tcp(format!("127.0.1.{}:{port}", number + 1))
            }
            other => panic!("{other}"),
        })
        .collect();
    let before = manager.status().unwrap();
    let barrier = manager.barrier((PROCESSES * CLIENTS) as u32).unwrap();
    let served = manager.dict::<usize, u64>().unwrap();
    manager.publish("all are here", &barrier).unwrap();
    manager.publish("served", &served).unwrap();
    let key = manager.key().to_hex();
    let processes: Vec<_> = (0..PROCESSES)
        .map(|who| Process::spawn(come, (addresses.clone(), key.clone(), who)).unwrap())
        .collect();
    for process in processes {
        awaiting("the end of a process with many clients");
        process.join().unwrap().unwrap();
    }
    let connections = served.values().unwrap();
    assert_eq!(connections.len(), PROCESSES * CLIENTS);
    for count in connections {
        assert_eq!(count, before.connections + (PROCESSES * CLIENTS) as u64);
    }
    manager.unpublish("all are here").unwrap();
    manager.unpublish("served").unwrap();
    drop((barrier, served));
    until("all to be gone", || manager.status().unwrap() == before);
}
