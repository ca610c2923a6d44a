//! What a worker answers, and what of it outlives the worker.

use std::borrow::Cow;
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

/// A payload of at least this many bytes is not copied beside its header.
const APART: usize = 16 * 1024;

/// A buffer that grew beyond this for one large result is given back after it.
const KEPT_BUFFER: usize = 1024 * 1024;

/// The result pipe, and the buffer in which every frame for it is built and written at once.
pub(super) struct Answers {
    pub(super) results: Arc<ResultPipe>,
    pub(super) control: Arc<ControlSocket>,
    pub(super) max_frame: u64,
    pub(super) is_captured: bool,
    pub(super) buffer: Vec<u8>,
    /// What a task gave; kept for the next one.
    pub(super) result: Vec<u8>,
    pub(super) memory: Memory,
}

impl Answers {
    /// One task: its result, or why there is none. Says whether another one may begin.
    pub(super) fn task(
        &mut self,
        function: &'static Function,
        input: Cow<'_, [u8]>,
        beside: Arrived,
        place: &Place,
    ) -> Result<bool, Over> {
        let outcome = self.run(function, input, beside);
        self.answer(outcome, place)
    }

    /// Puts into `result` what the function gives; returns the descriptors beside that.
    fn run(
        &mut self,
        function: &'static Function,
        input: Cow<'_, [u8]>,
        beside: Arrived,
    ) -> Result<Handles, TaskFailure> {
        let handles = match beside {
            Arrived::All(handles) => handles,
            Arrived::Lost { announced, came } => {
                return Err(TaskFailure::DescriptorsLost { announced, came });
            }
        };
        self.result.clear();
        let handles = run::run(function, input, handles, &mut self.result)?;
        fits(self.result.len(), self.max_frame).map(|()| handles)
    }

    /// A task, or a chunk, whose arguments could not be held.
    pub(super) fn no_memory(&mut self, len: u64, place: &Place) -> Result<bool, Over> {
        let message = format!("there is no memory for its {len} bytes within `address_space`");
        self.answer(Err(TaskFailure::ArgumentNotDecoded(message)), place)
    }

    fn answer(
        &mut self,
        outcome: Result<Handles, TaskFailure>,
        place: &Place,
    ) -> Result<bool, Over> {
        self.flush_output();
        let goes_on = place.end(0, &mut self.memory);
        self.send_result(outcome, [Kind::Done, Kind::Failed], place.task, place.seq)?;
        Ok(goes_on)
    }

    /// Sends `result`, or why there is none, each in a frame of its kind.
    fn send_result(
        &mut self,
        outcome: Result<Handles, TaskFailure>,
        [good, bad]: [Kind; 2],
        task: u64,
        seq: u32,
    ) -> Result<(), Over> {
        let (kind, handles) = match outcome {
            Ok(handles) => (good, handles),
            Err(failure) => {
                self.result.clear();
                failure.write_to(&mut self.result, self.max_frame);
                (bad, Handles::default())
            }
        };
        let result = std::mem::take(&mut self.result);
        let sent = self.bytes(Header::new(kind, task, seq), &result, &handles);
        if result.capacity() <= KEPT_BUFFER {
            self.result = result;
        }
        sent
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
        let mut held_over: Option<(u32, Ended)> = None;
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
                    result.clear();
                    let ended = if place.page.is_cancel_asked(place.seq) {
                        Ended::Cancelled
                    } else {
                        run_item(function, item, self.max_frame, &mut result)
                    };
                    (index, ended)
                } else {
                    break;
                };
                let size = part.len() - start - frame::HEADER_LEN + result.len() + PART_OVERHEAD;
                let has_handles = matches!(&outcome, Ended::Value(handles) if !handles.is_empty());
                // The descriptors beside a part are those of one result.
                if part.count() > 0 && (size as u64 > self.max_frame || has_handles) {
                    held_over = Some((index, outcome));
                    last = false;
                    break;
                }
                match outcome {
                    Ended::Value(handles) => {
                        beside = handles;
                        part.push(ItemOutcome::Value(&result));
                    }
                    Ended::Failed => part.push(ItemOutcome::Failure(&result)),
                    Ended::Cancelled => {
                        part.push(ItemOutcome::Cancelled);
                        continue;
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
                self.finish(start, header, &beside)?;
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
        input: Cow<'_, [u8]>,
        beside: Arrived,
    ) -> Result<(), Over> {
        let outcome = self.run(function, input, beside);
        self.flush_output();
        self.send_result(outcome, [Kind::Ready, Kind::InitializerFailed], 0, 0)
    }

    pub(super) fn message(&mut self, kind: Kind, message: &Hello) -> Result<(), Over> {
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        wire::encode(message, &mut self.buffer)
            .map_err(|error| Over::Malformed(error.to_string()))?;
        self.finish(start, Header::new(kind, 0, 0), &Handles::default())
    }

    /// One frame; a payload that is not short is written from where it is.
    pub(super) fn bytes(
        &mut self,
        header: Header,
        payload: &[u8],
        beside: &Handles,
    ) -> Result<(), Over> {
        if payload.len() >= APART {
            let header = Header {
                len: payload.len() as u64,
                handles: beside.len(),
                ..header
            };
            return self.write(&header, beside, &header.encode(), payload);
        }
        self.buffer.clear();
        let start = frame::begin(&mut self.buffer);
        self.buffer.extend_from_slice(payload);
        self.finish(start, header, beside)
    }

    /// Writes a frame that begins with these bytes and may continue in `rest`, and before it what goes beside it.
    fn write(
        &self,
        header: &Header,
        beside: &Handles,
        bytes: &[u8],
        rest: &[u8],
    ) -> Result<(), Over> {
        match beside.is_empty() {
            true => self.results.write(bytes, rest)?,
            false => {
                self.results
                    .write_beside(&self.control, header, beside, bytes, rest)?;
            }
        }
        Ok(())
    }

    /// Completes the frame at `start` and writes it.
    fn finish(&mut self, start: usize, header: Header, beside: &Handles) -> Result<(), Over> {
        let header = Header {
            handles: beside.len(),
            ..header
        };
        frame::finish(&mut self.buffer, start, header);
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&header, beside, &buffer, &[])?;
        self.buffer = buffer;
        if self.buffer.capacity() > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(())
    }
}

/// How an item of a chunk has ended.
enum Ended {
    /// With a result, beside which these are.
    Value(Handles),
    Failed,
    Cancelled,
}

/// Runs one item of a chunk. What it gave, or why it gave nothing, is put into `result`, and fits into a part by itself.
fn run_item(function: &Function, item: &[u8], max_frame: u64, result: &mut Vec<u8>) -> Ended {
    let outcome = run::run(function, item.into(), Handles::default(), result)
        .and_then(|handles| fits(result.len() + PART_OVERHEAD, max_frame).map(|()| handles));
    match outcome {
        Ok(handles) => Ended::Value(handles),
        Err(failure) => {
            result.clear();
            failure.write_to(result, max_frame.saturating_sub(PART_OVERHEAD as u64));
            Ended::Failed
        }
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
