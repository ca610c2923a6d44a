//! One of everything, in one value.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use procession::pipe::{self, Connection, Receiver, Sender};
use procession::shared::{Array, SharedBytes, SharedMemory, Value, bytemuck};
use procession::sync::{
    Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, ReleaseError, Semaphore,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[bytemuck(crate = "procession::shared::bytemuck")]
#[repr(C)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Handles in every place that a value has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kit {
    pub(crate) connection: Connection<String>,
    pub(crate) sender: Option<Sender<u32>>,
    pub(crate) receiver: (u8, Receiver<u32>),
    pub(crate) lock: Lock,
    pub(crate) rlock: Option<RLock>,
    pub(crate) semaphores: Vec<Semaphore>,
    pub(crate) bounded: Result<BoundedSemaphore, u32>,
    pub(crate) event: Box<Event>,
    pub(crate) condition: Condition,
    pub(crate) barrier: Barrier,
    pub(crate) values: BTreeMap<String, Value<i64>>,
    pub(crate) point: Value<Point>,
    pub(crate) array: Array<u16>,
    pub(crate) memory: [SharedMemory; 2],
    pub(crate) bytes: SharedBytes,
}

/// The other ends of its connections.
pub(crate) struct Others {
    pub(crate) connection: Connection<String>,
    pub(crate) receiver: Receiver<u32>,
    pub(crate) sender: Sender<u32>,
}

pub(crate) const LEN: usize = 1000;

impl Kit {
    pub(crate) fn new(segment: &str) -> (Self, Others) {
        let (connection, other) = procession::pipe().unwrap();
        let (sender, other_receiver) = pipe::one_way().unwrap();
        let (other_sender, receiver) = pipe::one_way().unwrap();
        let lock = Lock::new().unwrap();
        let value = || Value::new(0).unwrap();
        let kit = Self {
            connection,
            sender: Some(sender),
            receiver: (1, receiver),
            condition: Condition::new(&lock).unwrap(),
            lock,
            rlock: Some(RLock::new().unwrap()),
            semaphores: vec![Semaphore::new(0).unwrap(), Semaphore::new(1).unwrap()],
            bounded: Ok(BoundedSemaphore::new(2).unwrap()),
            event: Box::new(Event::new().unwrap()),
            barrier: Barrier::new(1).unwrap(),
            values: BTreeMap::from([("a".into(), value()), ("b".into(), value())]),
            point: Value::new(Point { x: 1.0, y: -1.0 }).unwrap(),
            array: Array::new(LEN).unwrap(),
            memory: [
                SharedMemory::new(LEN).unwrap(),
                SharedMemory::create(segment, LEN).unwrap(),
            ],
            bytes: SharedBytes::new(b"written once").unwrap(),
        };
        let others = Others {
            connection: other,
            receiver: other_receiver,
            sender: other_sender,
        };
        (kit, others)
    }

    /// Does with each what it is for.
    pub(crate) fn leave_traces(&self) {
        self.connection.send(&"traces".into()).unwrap();
        self.sender.as_ref().unwrap().send(&17).unwrap();
        {
            let guard = self.lock.lock().unwrap();
            assert!(self.condition.lock().is_same(&self.lock));
            assert!(self.condition.lock().is_locked());
            self.condition.notify_all(&guard).unwrap();
        }
        {
            let rlock = self.rlock.as_ref().unwrap();
            let (_once, _twice) = (rlock.lock().unwrap(), rlock.lock().unwrap());
        }
        self.semaphores[0].release_many(3).unwrap();
        self.semaphores[1].acquire().unwrap().forget();
        let bounded = self.bounded.as_ref().unwrap();
        assert!(matches!(bounded.release(), Err(ReleaseError::TooOften)));
        bounded.acquire().unwrap().forget();
        self.event.set().unwrap();
        self.barrier.abort().unwrap();
        self.values["a"].set(-5).unwrap();
        self.values["b"].as_atomic().fetch_add(6, Ordering::Relaxed);
        self.point.update(|point| point.y *= 3.0).unwrap();
        let array = self.array.lock().unwrap();
        array.write(LEN - 2, &[7, 8]).unwrap();
        self.memory[0].write(5, b"eight").unwrap();
        self.memory[1].write_value(8, &0x0123_u16).unwrap();
        assert_eq!(&*self.bytes, b"written once");
    }

    /// Finds what another handle to each has left.
    #[track_caller]
    pub(crate) fn has_traces(&self) {
        assert_eq!(self.semaphores[0].value(), 3);
        assert_eq!(self.semaphores[1].value(), 0);
        assert_eq!(self.bounded.as_ref().unwrap().value(), 1);
        assert!(!self.lock.is_locked());
        assert!(!self.rlock.as_ref().unwrap().is_locked());
        assert!(self.event.is_set());
        assert!(self.barrier.is_broken());
        assert_eq!(self.values["a"].get().unwrap(), -5);
        assert_eq!(self.values["b"].get().unwrap(), 6);
        assert_eq!(self.point.get().unwrap(), Point { x: 1.0, y: -3.0 });
        assert_eq!(self.array.unlocked().to_vec()[LEN - 3..], [0, 7, 8]);
        let mut bytes = [0; 5];
        self.memory[0].read(5, &mut bytes).unwrap();
        assert_eq!(&bytes, b"eight");
        let number: u16 = self.memory[1].read_value(8).unwrap();
        assert_eq!(number, 0x0123);
        assert_eq!(&*self.bytes, b"written once");
    }

    /// Whether the same things are behind both, as far as handles can tell.
    #[track_caller]
    pub(crate) fn is_the_same_as(&self, other: &Self) {
        assert!(self.lock.is_same(&other.lock));
        let rlocks = self.rlock.as_ref().zip(other.rlock.as_ref());
        assert!(rlocks.is_some_and(|(one, other)| one.is_same(other)));
        assert!(self.semaphores[0].is_same(&other.semaphores[0]));
        assert!(self.semaphores[1].is_same(&other.semaphores[1]));
        assert!(!self.semaphores[0].is_same(&other.semaphores[1]));
        assert!(self.event.is_same(&other.event));
        assert!(self.condition.lock().is_same(&other.lock));
        assert!(self.barrier.is_same(&other.barrier));
        assert!(self.values["a"].is_same(&other.values["a"]));
        assert!(!self.values["a"].is_same(&other.values["b"]));
        assert!(self.point.is_same(&other.point));
        assert!(self.array.is_same(&other.array));
        assert!(self.bytes.is_same(&other.bytes));
        assert_eq!(self.memory[1].name(), other.memory[1].name());
    }
}

impl Others {
    /// What was sent from the kit is here, what is sent from here arrives at it, and the kit's ends are the last.
    #[track_caller]
    pub(crate) fn are_connected_to(self, kit: Kit) {
        assert_eq!(self.connection.recv().unwrap(), "traces");
        assert_eq!(self.receiver.recv().unwrap(), 17);
        self.connection.send(&"back".into()).unwrap();
        self.sender.send(&18).unwrap();
        assert_eq!(kit.connection.recv().unwrap(), "back");
        assert_eq!(kit.receiver.1.recv().unwrap(), 18);
        drop(kit);
        super::support::awaiting("the last of the other ends to be closed");
        assert!(matches!(self.receiver.recv(), Err(pipe::RecvError::Closed)));
        assert!(matches!(
            self.connection.recv(),
            Err(pipe::RecvError::Closed)
        ));
    }
}
