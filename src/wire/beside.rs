//! The messages that carry descriptors beside a frame, on the control socket.
//!
//! They are sent before the first byte of their frame, so that whoever has read its header finds them
//! there: as many as it takes, [`MAX_PASSED`] descriptors in each but the last. One that comes with
//! fewer descriptors than it speaks of (the receiver had no room for them, or the system would not let
//! them go) costs its own frame and nothing else, because every frame takes its own messages out.

use std::sync::Arc;

use super::handles::{Carried, Handles};

/// How many descriptors one message can carry (`SCM_MAX_FD` of Linux).
const MAX_PASSED: usize = 253;

/// The length of a message, in bytes.
const BESIDE_LEN: usize = 16;

/// What one message says of its descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beside {
    /// Of the frame.
    pub(crate) task: u64,
    pub(crate) seq: u32,
    /// The place of the first of them among those of the frame.
    pub(crate) first: u16,
    /// How many they are.
    pub(crate) count: u16,
}

impl Beside {
    /// The message of a frame with so many descriptors that carries those from this place on.
    pub(crate) fn at(task: u64, seq: u32, first: u16, announced: u16) -> Self {
        Self {
            task,
            seq,
            first,
            count: announced.saturating_sub(first).min(MAX_PASSED as u16),
        }
    }

    pub(crate) fn encode(&self) -> [u8; BESIDE_LEN] {
        let mut bytes = [0; BESIDE_LEN];
        bytes[0..8].copy_from_slice(&self.task.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.seq.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.first.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }
}

/// What comes beside a frame, message by message.
#[derive(Debug)]
pub(crate) struct Arriving {
    task: u64,
    seq: u32,
    announced: u16,
    /// The place of the next one.
    next: u16,
    came: Vec<Arc<Carried>>,
}

/// What has come beside a frame.
#[derive(Debug)]
pub(crate) enum Arrived {
    All(Handles),
    /// Those that came have been closed.
    Lost {
        announced: u16,
        came: u16,
    },
}

impl Arriving {
    /// Of a frame that announces so many.
    pub(crate) fn new(task: u64, seq: u32, announced: u16) -> Self {
        Self {
            task,
            seq,
            announced,
            next: 0,
            came: Vec::new(),
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.next == self.announced
    }

    /// Takes the next message. The error says what is wrong with it, in words that follow "because it sent".
    pub(crate) fn take(&mut self, message: &[u8], descriptors: Vec<Carried>) -> Result<(), String> {
        let expected = Beside::at(self.task, self.seq, self.next, self.announced);
        if message != expected.encode() || descriptors.len() > usize::from(expected.count) {
            return Err(format!(
                "a frame that announces {} descriptors, and others",
                self.announced
            ));
        }
        self.next += expected.count;
        self.came.extend(descriptors.into_iter().map(Arc::new));
        Ok(())
    }

    /// What has come, when it is complete.
    pub(crate) fn finish(self) -> Arrived {
        if self.came.len() == usize::from(self.announced) {
            return Arrived::All(Handles::new(self.came));
        }
        Arrived::Lost {
            announced: self.announced,
            // Never more than were announced.
            came: self.came.len() as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    fn nulls(count: usize) -> Vec<Carried> {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        (0..count).map(|_| null().into()).collect()
    }

    /// Every message of a frame with so many, with as many descriptors as `carries` lets it.
    fn arrive(announced: u16, carries: impl Fn(usize) -> usize) -> (usize, Arrived) {
        let mut arriving = Arriving::new(7, 3, announced);
        let mut messages = 0;
        while !arriving.is_complete() {
            let message = Beside::at(7, 3, arriving.next, announced);
            let descriptors = nulls(carries(message.count.into()));
            arriving.take(&message.encode(), descriptors).unwrap();
            messages += 1;
        }
        (messages, arriving.finish())
    }

    #[test]
    fn the_bytes_are_those_of_the_documentation() {
        let message = Beside {
            task: 0x0102_0304_0506_0708,
            seq: 0x1112_1314,
            first: 253,
            count: 7,
        };
        crate::frame::golden::check(&message.encode(), "0807060504030201 14131211 fd00 0700");
    }

    #[test]
    fn many_come_in_several_messages() {
        for (announced, messages) in [(1, 1), (253, 1), (254, 2), (506, 2), (507, 3)] {
            let (count, arrived) = arrive(announced, |count| count);
            assert_eq!(count, messages, "{announced}");
            let Arrived::All(handles) = arrived else {
                panic!("all of {announced} have come");
            };
            assert_eq!(handles.len(), announced);
        }
    }

    #[test]
    fn what_did_not_come_along_is_counted() {
        let (_, arrived) = arrive(300, |count| count.min(50));
        assert!(matches!(
            arrived,
            Arrived::Lost {
                announced: 300,
                came: 97
            }
        ));
        let (_, arrived) = arrive(1, |_| 0);
        assert!(matches!(arrived, Arrived::Lost { came: 0, .. }));
    }

    #[test]
    fn another_message_is_refused() {
        let right = Beside::at(7, 3, 0, 2);
        let wrong = [
            Beside { task: 8, ..right },
            Beside { seq: 4, ..right },
            Beside { first: 1, ..right },
            Beside { count: 1, ..right },
            Beside { count: 3, ..right },
        ];
        for message in wrong {
            let mut arriving = Arriving::new(7, 3, 2);
            assert!(arriving.take(&message.encode(), nulls(2)).is_err());
        }
        let mut arriving = Arriving::new(7, 3, 2);
        assert!(arriving.take(&right.encode(), nulls(3)).is_err());
        assert!(arriving.take(&right.encode()[..15], nulls(2)).is_err());
        assert!(arriving.take(&[], Vec::new()).is_err());
        assert!(arriving.take(&right.encode(), nulls(2)).is_ok());
        assert!(arriving.is_complete());
    }
}
