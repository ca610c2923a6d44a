//! The pipes through which a worker's output comes: cut into lines, and the last of it kept.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::Which;
use crate::primitives::plain::{Mutex, lock};

/// A line that is longer is cut.
const MAX_LINE: usize = 64 * 1024;

/// How much of a worker's standard error is kept for the error that names its end.
const LAST_WORDS: usize = 2048;

/// The pipes of one worker.
pub(in super::super) struct Pipes {
    pub(super) streams: Mutex<[Option<Stream>; 2]>,
}

/// One of them.
pub(super) struct Stream {
    pub(super) pipe: OwnedFd,
    pub(super) is_captured: bool,
    /// The beginning of a line.
    pub(super) begun: Vec<u8>,
    /// The last bytes that came.
    last: VecDeque<u8>,
}

impl Pipes {
    /// Whatever of the two is to be read, and whether it is captured.
    pub(in super::super) fn new(
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
        captured: [bool; 2],
    ) -> Self {
        let mut captured = captured.into_iter();
        let streams = [stdout, stderr].map(|pipe| {
            let is_captured = captured.next().unwrap_or(false);
            Some(Stream {
                pipe: pipe?,
                is_captured,
                begun: Vec::new(),
                last: VecDeque::new(),
            })
        });
        Self {
            streams: Mutex::new(streams),
        }
    }

    /// Does something with each of the pipes.
    pub(in super::super) fn for_each<E>(
        &self,
        mut what: impl FnMut(&OwnedFd, Which) -> Result<(), E>,
    ) -> Result<(), E> {
        for (at, stream) in lock(&self.streams).iter().enumerate() {
            if let Some(stream) = stream {
                what(&stream.pipe, which_at(at))?;
            }
        }
        Ok(())
    }

    /// A task has ended well: what it printed are nobody's last words, where that can be told from what comes behind it.
    pub(in super::super) fn forget_last_words(&self) {
        let mut streams = lock(&self.streams);
        for stream in streams.iter_mut().flatten() {
            if stream.is_captured {
                stream.last.clear();
            }
        }
    }

    /// The last lines of standard error, if it is read.
    pub(in super::super) fn last_words(&self) -> Option<Arc<str>> {
        let mut streams = lock(&self.streams);
        let stream = streams[index(Which::Stderr)].as_mut()?;
        let is_cut = stream.last.len() >= LAST_WORDS;
        let bytes = &*stream.last.make_contiguous();
        // What was cut within a line begins with the next one.
        let start = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if is_cut && end + 1 < bytes.len() => end + 1,
            _ => 0,
        };
        let text = String::from_utf8_lossy(&bytes[start..]);
        (!text.trim().is_empty()).then(|| text.trim_end().into())
    }
}

impl Stream {
    pub(super) fn note_last(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(LAST_WORDS)..];
        let excess = (self.last.len() + kept.len()).saturating_sub(LAST_WORDS);
        self.last.drain(..excess.min(self.last.len()));
        self.last.extend(kept);
    }

    /// The lines that are complete with these bytes.
    pub(super) fn lines(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_line) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let mut left = text;
            while self.begun.len() + left.len() > MAX_LINE {
                let (part, rest) = left.split_at(MAX_LINE - self.begun.len());
                self.begun.extend_from_slice(part);
                lines.push(std::mem::take(&mut self.begun));
                left = rest;
            }
            self.begun.extend_from_slice(left);
            if is_line {
                lines.push(std::mem::take(&mut self.begun));
            }
        }
        lines
    }
}

pub(super) fn index(which: Which) -> usize {
    usize::from(which == Which::Stderr)
}

fn which_at(at: usize) -> Which {
    if at == 0 {
        Which::Stdout
    } else {
        Which::Stderr
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sys;

    fn stream() -> Stream {
        let pipe = sys::pipe().unwrap();
        Stream {
            pipe: pipe.reader,
            is_captured: true,
            begun: Vec::new(),
            last: VecDeque::new(),
        }
    }

    #[test]
    fn a_line_without_an_end_is_cut_at_its_greatest_length() {
        let mut stream = stream();
        let lines = stream.lines(&vec![b'x'; 2 * MAX_LINE + 7]);
        let lengths: Vec<_> = lines.iter().map(Vec::len).collect();
        assert_eq!((lengths, stream.begun.len()), (vec![MAX_LINE; 2], 7));
    }

    #[test]
    fn the_last_words_begin_with_a_whole_line() {
        let pipe = sys::pipe().unwrap();
        let pipes = Pipes::new(None, Some(pipe.reader), [false; 2]);
        assert_eq!(pipes.last_words(), None);
        let note = |text: &str| {
            let mut streams = lock(&pipes.streams);
            streams[1].as_mut().unwrap().note_last(text.as_bytes());
        };
        note("short\n");
        assert_eq!(pipes.last_words().as_deref(), Some("short"));
        (0..500).for_each(|n| note(&format!("line {n}\n")));
        let words = pipes.last_words().unwrap();
        assert!(
            words.starts_with("line ") && words.ends_with("line 499"),
            "{words}"
        );
        assert!(words.len() <= LAST_WORDS);
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_come(
            text in "[a-c\n]{0,60}",
            cuts in prop::collection::vec(0..8_usize, 0..30),
        ) {
            let mut stream = stream();
            let (mut lines, mut rest) = (Vec::new(), text.as_bytes());
            for cut in cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                lines.extend(stream.lines(now));
                rest = later;
            }
            lines.extend(stream.lines(rest));
            let mut expected: Vec<Vec<u8>> = text.split('\n').map(|line| line.into()).collect();
            let begun = expected.pop().unwrap_or_default();
            prop_assert_eq!((lines, stream.begun), (expected, begun));
        }
    }
}
