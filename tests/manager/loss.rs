//! The server is killed, or comes again where it was.

use std::pin::pin;

use futures::executor::block_on;
use procession::manager::{
    EventProxy, GetError, Key, ListProxy, LockError, LockProxy, Manager, ManagerError, PutError,
    QueueProxy, SemaphoreProxy,
};
use procession::pipe::{self, Sender};
use procession::{Failure, Process};
use serde::{Deserialize, Serialize};

use super::support::{self, Directory, awaiting};
use super::{On, Place, Test, begin, tests};

pub(crate) fn tests() -> Vec<Test> {
    tests![On::Processes;
        everybody_is_told_at_once_that_the_server_was_killed,
        an_address_can_be_used_again_at_once,
    ]
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Deed {
    Get,
    Put,
    Lock,
    Wait,
    Hold,
    HoldPermit,
    Write,
    Call,
}

const DEEDS: [Deed; 8] = [
    Deed::Get,
    Deed::Put,
    Deed::Lock,
    Deed::Wait,
    Deed::Hold,
    Deed::HoldPermit,
    Deed::Write,
    Deed::Call,
];

#[derive(Clone, Serialize, Deserialize)]
struct All {
    empty: QueueProxy<u64>,
    full: QueueProxy<u64>,
    taken: LockProxy,
    free: LockProxy,
    semaphore: SemaphoreProxy,
    never: EventProxy,
    texts: ListProxy<String>,
}

fn lost<T>(result: Result<T, ManagerError>) -> ManagerError {
    match result {
        Err(error @ ManagerError::Lost { .. }) => error,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("nobody can have answered"),
    }
}

/// Does what it is to do until that fails, and says how all that follows fails.
#[procession::task]
fn act(deed: Deed, all: All, begun: Sender<()>) -> Result<(), Failure> {
    let told = || begun.send(&());
    let error = match deed {
        Deed::Get => {
            let mut gets = pin!(all.empty.get_async());
            begin(gets.as_mut());
            told()?;
            match block_on(gets) {
                Err(GetError::Manager(error)) => error,
                other => panic!("{other:?}"),
            }
        }
        Deed::Put => {
            told()?;
            match all.full.put(7) {
                Err(PutError::Manager { value: 7, source }) => source,
                other => panic!("{other:?}"),
            }
        }
        Deed::Lock => {
            told()?;
            match all.taken.lock() {
                Err(LockError::Manager(error)) => error,
                Err(error) => panic!("{error:?}"),
                Ok(_) => panic!("somebody else has it"),
            }
        }
        Deed::Wait => {
            let mut waits = pin!(all.never.wait_async());
            begin(waits.as_mut());
            told()?;
            lost(block_on(waits))
        }
        Deed::Hold => {
            let _guard = all.free.lock().map_err(LockError::without_guard)?;
            told()?;
            lost(all.never.wait())
        }
        Deed::HoldPermit => {
            let _permits = [all.semaphore.acquire()?, all.semaphore.acquire()?];
            told()?;
            lost(all.never.wait())
        }
        Deed::Write => {
            let text = "a".repeat(1 << 20);
            all.texts.push(text.clone())?;
            told()?;
            loop {
                if let Err(error) = all.texts.modify(|texts| *texts = vec![text.clone()]) {
                    break error;
                }
            }
        }
        Deed::Call => {
            all.texts.len()?;
            told()?;
            loop {
                if let Err(error) = all.texts.len() {
                    break error;
                }
            }
        }
    };
    lost::<()>(Err(error));
    for _ in 0..3 {
        lost(all.texts.push("b".to_owned()));
        lost(block_on(all.never.wait_async()));
        lost(all.semaphore.acquire());
        assert!(matches!(all.free.try_lock(), Err(LockError::Manager(_))));
    }
    Ok(())
}

fn everybody_is_told_at_once_that_the_server_was_killed(place: Place) {
    let manager = place.manager();
    let all = All {
        empty: manager.queue().unwrap(),
        full: manager.bounded_queue(1).unwrap(),
        taken: manager.lock().unwrap(),
        free: manager.lock().unwrap(),
        semaphore: manager.semaphore(2).unwrap(),
        never: manager.event().unwrap(),
        texts: manager.list().unwrap(),
    };
    all.full.put(1).unwrap();
    let _guard = all.taken.lock().unwrap();
    let (told, begun) = pipe::one_way::<()>().unwrap();
    let clients = DEEDS.map(|deed| Process::spawn(act, (deed, all.clone(), told.clone())).unwrap());
    for _ in DEEDS {
        awaiting("the clients to begin");
        begun.recv().unwrap();
    }

    support::signal(manager.pid().unwrap(), libc::SIGKILL);

    for (deed, client) in DEEDS.into_iter().zip(clients) {
        awaiting(format!("the end of the client that was to {deed:?}"));
        client.join().unwrap().unwrap();
    }
    lost(all.texts.len());
    lost(manager.status());
    lost(manager.list::<u8>());
    assert!(!manager.is_alive());
}

fn an_address_can_be_used_again_at_once(place: Place) {
    let directory = Directory::new();
    let mut address = match place {
        Place::Process => procession::manager::Address::Unix(directory.join("socket")),
        _ => "tcp:127.0.0.1:0".parse().unwrap(),
    };
    for turn in 0..4_u32 {
        let manager = Manager::builder().address(&address).start().unwrap();
        address = manager.address().clone();
        let list = manager.list_of([turn]).unwrap();
        let child = Process::spawn(read, list.clone()).unwrap();
        assert_eq!(child.join().unwrap().unwrap(), [turn]);
        // Another key is another manager's, also if it was here a moment ago.
        let key = Key::generate().unwrap();
        assert!(Manager::connect(&address, &key).is_err());
        drop(manager);
        lost(list.len());
    }
}

#[procession::task]
fn read(list: ListProxy<u32>) -> Result<Vec<u32>, Failure> {
    Ok(list.to_vec()?)
}
