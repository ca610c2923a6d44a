//! What a worker answers, and what of it outlives the worker.

use std::sync::Arc;
use std::time::Duration;

use super::memory::Memory;
use super::pipes::ResultPipe;
use super::serve::Over;
use crate::frame::{self, FLAG_LAST, Header, Kind};
use crate::registry::Function;
use crate::run;
use crate::sys::{self, ControlSocket, SharedPage};
use crate::wire::{
    self, Arrived, ChunkReader, Handles, Hello, ItemOutcome, PartWriter, TaskFailure,
};

/// A chunk sends what it has finished at least this often, between two of its items: what a crash
/// can take with it stays small.
const PART_INTERVAL: Duration = Duration::from_millis(1);

/// A chunk also sends when this many bytes have gathered, in one write.
const PART_BYTES: usize = 64 * 1024;

/// What a part's frame takes beside the results: its first index, its count, and per item a tag and a
/// length, generously.
const PART_OVERHEAD: usize = 32;

/// A buffer that grew beyond this for one large result is given back after it.
const KEPT_BUFFER: usize = 1024 * 1024;

/// The result pipe, and the buffer in which every frame for it is built and written at once.
pub(super) struct Answers {
    pub(super) results: Arc<ResultPipe>,
    pub(super) control: Arc<ControlSocket>,
    pub(super) max_frame: u64,
    pub(super) is_captured: bool,
    pub(super) buffer: Vec<u8>,
    pub(super) memory: Memory,
}

impl Answers {
    /// One task: its result, or why there is none. Says whether another one may begin.
    pub(super) fn task(
        &mut self,
        function: &'static Function,
        input: &[u8],
        beside: Arrived,
        place: &Place,
    ) -> Result<bool, Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let outcome = self.run(start, function, input, beside);
        self.answer(start, outcome, place)
    }

    /// A task, or a chunk, whose arguments could not be held.
    pub(super) fn no_memory(&mut self, len: u64, place: &Place) -> Result<bool, Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let message = format!("there is no memory for its {len} bytes within `address_space`");
        self.answer(start, Err(TaskFailure::ArgumentNotDecoded(message)), place)
    }

    fn answer(
        &mut self,
        start: usize,
        outcome: Result<Handles, TaskFailure>,
        place: &Place,
    ) -> Result<bool, Over> {
        self.flush_output();
        let goes_on = place.end(0, &mut self.memory);
        let (kind, handles) = match outcome {
            Ok(handles) => (Kind::Done, handles),
            Err(failure) => {
                self.put_failure(start, &failure);
                (Kind::Failed, Handles::default())
            }
        };
        self.finish(start, Header::new(kind, place.task, place.seq), handles)?;
        Ok(goes_on)
    }

    /// Runs a function, whose result goes behind the header at `start`.
    fn run(
        &mut self,
        start: usize,
        function: &'static Function,
        input: &[u8],
        beside: Arrived,
    ) -> Result<Handles, TaskFailure> {
        let handles = match beside {
            Arrived::All(handles) => handles,
            Arrived::Lost { announced, came } => {
                return Err(TaskFailure::DescriptorsLost { announced, came });
            }
        };
        let handles = run::run(function, input, handles, &mut self.buffer)?;
        self.check_size(start).map(|()| handles)
    }

    /// What was printed reaches whoever reads it before the result does.
    pub(super) fn flush_output(&self) {
        if self.is_captured {
            sys::flush_standard_streams();
        }
    }

    /// The items of a chunk, one after another, in as few frames as keeps a crash cheap. Says whether another task may
    /// begin.
    pub(super) fn chunk(
        &mut self,
        items: ChunkReader<'_>,
        function: &'static Function,
        is_prompt: bool,
        place: &Place,
    ) -> Result<bool, Over> {
        let last_item = (items.len() as u32).saturating_sub(1);
        let mut items = (0u32..).zip(items).peekable();
        let mut result = Vec::new();
        // The outcome of an item that did not fit beside those before it.
        let mut held_over: Option<(u32, Result<Handles, TaskFailure>)> = None;
        let mut sent_at = place.begun;
        let mut now = place.begun;
        let mut is_condemned = false;
        loop {
            self.buffer.clear();
            let start = frame::begin(&mut self.buffer);
            let first = held_over.as_ref().map_or_else(
                || items.peek().map_or(0, |(index, _)| *index),
                |(index, _)| *index,
            );
            let mut part = PartWriter::new(first, &mut self.buffer);
            let mut keeps = Keeper::new(place, first, part.len());
            let mut beside = Handles::default();
            let mut last = true;
            loop {
                let (index, outcome) = if let Some(held_over) = held_over.take() {
                    held_over
                } else if let Some((index, item)) = items.next() {
                    if index > 0 && !place.page.advance(place.seq, index - 1, now) {
                        is_condemned = true;
                        last = false;
                        break;
                    }
                    if place.page.is_cancel_asked(place.seq) {
                        part.push(ItemOutcome::Cancelled);
                        continue;
                    }
                    result.clear();
                    let outcome = run::run(function, item, Handles::default(), &mut result);
                    let size = result.len() + PART_OVERHEAD;
                    (
                        index,
                        outcome.and_then(|handles| fits(size, self.max_frame).map(|()| handles)),
                    )
                } else {
                    break;
                };
                let size = part.len() - start - frame::HEADER_LEN + result.len() + PART_OVERHEAD;
                let has_handles = outcome.as_ref().is_ok_and(|handles| !handles.is_empty());
                // The descriptors beside a part are those of one result.
                if part.count() > 0 && (size as u64 > self.max_frame || has_handles) {
                    held_over = Some((index, outcome));
                    last = false;
                    break;
                }
                match outcome {
                    Ok(handles) => {
                        beside = handles;
                        part.push(ItemOutcome::Value(&result));
                    }
                    Err(failure) => {
                        let mut bytes = Vec::new();
                        failure.write_to(
                            &mut bytes,
                            self.max_frame.saturating_sub(PART_OVERHEAD as u64),
                        );
                        part.push(ItemOutcome::Failure(&bytes));
                    }
                }
                now = sys::monotonic_ns();
                let is_due = has_handles
                    || self.is_captured
                    || is_prompt
                    || now.saturating_sub(sent_at) >= PART_INTERVAL.as_nanos() as u64;
                if (is_due || part.len() >= PART_BYTES) && items.peek().is_some() {
                    sent_at = now;
                    last = false;
                    break;
                }
                // The memory behind the page holds no descriptors; this one is sent next.
                if !has_handles {
                    keeps.keep(&part);
                }
            }
            let is_empty = part.count() == 0;
            part.finish();
            self.flush_output();
            let goes_on = !last || place.end(last_item, &mut self.memory);
            let flags = if last { FLAG_LAST } else { 0 };
            let header = Header {
                flags,
                ..Header::new(Kind::Part, place.task, place.seq)
            };
            if last || !is_empty {
                self.finish(start, header, beside)?;
                // What the pipe took to take it is not the next item's time.
                now = sys::monotonic_ns();
            }
            if last || is_condemned {
                return Ok(goes_on && !is_condemned);
            }
        }
    }

    /// Runs the initializer; its result goes to the driver, which knows its type.
    pub(super) fn initializer(
        &mut self,
        function: &'static Function,
        input: &[u8],
        beside: Arrived,
    ) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        let outcome = self.run(start, function, input, beside);
        self.flush_output();
        let (kind, handles) = match outcome {
            Ok(handles) => (Kind::Ready, handles),
            Err(failure) => {
                self.put_failure(start, &failure);
                (Kind::InitializerFailed, Handles::default())
            }
        };
        self.finish(start, Header::new(kind, 0, 0), handles)
    }

    pub(super) fn message(&mut self, kind: Kind, message: &Hello) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        wire::encode(message, &mut self.buffer)
            .map_err(|error| Over::Malformed(error.to_string()))?;
        self.finish(start, Header::new(kind, 0, 0), Handles::default())
    }

    pub(super) fn bytes(&mut self, header: Header, payload: &[u8]) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        self.buffer.extend_from_slice(payload);
        self.finish(start, header, Handles::default())
    }

    fn check_size(&self, start: usize) -> Result<(), TaskFailure> {
        fits(
            self.buffer.len() - start - frame::HEADER_LEN,
            self.max_frame,
        )
    }

    fn put_failure(&mut self, start: usize, failure: &TaskFailure) {
        self.buffer.truncate(start + frame::HEADER_LEN);
        failure.write_to(&mut self.buffer, self.max_frame);
    }

    /// Completes the frame at `start` and writes it.
    fn finish(&mut self, start: usize, header: Header, beside: Handles) -> Result<(), Over> {
        let header = Header {
            handles: beside.len(),
            ..header
        };
        frame::finish(&mut self.buffer, start, header);
        match beside.is_empty() {
            true => self.results.write(&self.buffer)?,
            false => {
                self.results
                    .write_beside(&self.control, &header, &beside, &self.buffer)?;
            }
        }
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(())
    }
}

fn fits(size: usize, max_frame: u64) -> Result<(), TaskFailure> {
    let size = size as u64;
    if size <= max_frame {
        Ok(())
    } else {
        Err(TaskFailure::ResultTooLarge { size })
    }
}

/// Where a task stands on the status page.
pub(super) struct Place {
    pub(super) page: &'static SharedPage,
    pub(super) task: u64,
    pub(super) seq: u32,
    pub(super) begun: u64,
}

impl Place {
    /// The task has ended, with this item. False says that nothing more is to begin here.
    fn end(&self, item: u32, memory: &mut Memory) -> bool {
        let now = sys::monotonic_ns();
        if let Some(kib) = memory.kib(now) {
            self.page.note_resident(self.seq, kib);
        }
        // Not zero, which is what the page says of a task that has not ended.
        let elapsed = now.saturating_sub(self.begun).max(1);
        self.page.end(self.seq, item, elapsed)
    }
}

/// Keeps what has ended of a part where it outlives this process, until the part is sent: so a crash costs the item that ran,
/// and no other.
struct Keeper<'a> {
    place: &'a Place,
    /// Where the items of the part begin.
    start: usize,
    /// How many bytes of them are kept.
    len: usize,
    is_full: bool,
}

impl<'a> Keeper<'a> {
    fn new(place: &'a Place, first: u32, start: usize) -> Self {
        place.page.keep_nothing(place.seq, first);
        Self {
            place,
            start,
            len: 0,
            is_full: false,
        }
    }

    fn keep(&mut self, part: &PartWriter<'_>) {
        let bytes = part.since(self.start + self.len);
        self.is_full = self.is_full || !self.place.page.keep_bytes(self.len, bytes);
        if !self.is_full {
            self.len += bytes.len();
            self.place
                .page
                .keep(self.place.seq, part.count(), self.len as u64);
        }
    }
}
