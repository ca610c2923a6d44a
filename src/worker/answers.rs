//! What a worker answers, and what of it outlives the worker.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::courier::Courier;
use super::memory::Memory;
use super::pipes::ResultPipe;
use super::serve::Over;
use crate::frame::{self, FLAG_LAST, Header, Kind};
use crate::page::Advance;
use crate::registry::Function;
use crate::run;
use crate::sys::{self, ControlSocket, SharedPage};
use crate::wire::{
    self, Arrived, ChunkReader, Handles, Hello, ItemOutcome, OutcomeTag, PartWriter, TaskFailure,
};

/// A chunk sends what it has finished at least this often, between two of its items: what a crash
/// can take with it stays small.
pub(super) const PART_INTERVAL: Duration = Duration::from_millis(1);

/// A chunk looks at the time about this often. At each of its items, that would be a fifth of the cost of a short one.
const LOOK_INTERVAL_NS: u64 = 50_000;

/// After so many items it looks at the latest, in case they become longer.
const LONGEST_STRIDE: u64 = 512;

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
    /// There from the first chunk on.
    pub(super) courier: Option<Arc<Courier>>,
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

    /// The items of a chunk, one after another, in as few frames as keeps a crash cheap; not those that the driver takes back
    /// meanwhile. Says whether another task may begin.
    pub(super) fn chunk(
        &mut self,
        items: ChunkReader<'_>,
        function: &'static Function,
        is_prompt: bool,
        place: &Place,
    ) -> Result<bool, Over> {
        let mut last_item = (items.len() as u32).saturating_sub(1);
        // What ends is sent at once where something may end the next item alone; otherwise now and then.
        let is_punctual = is_prompt || self.is_captured;
        let courier = (!is_punctual && last_item > 0)
            .then(|| self.courier(place.page))
            .flatten();
        let courier = courier.as_deref();
        let mut items = (0u32..).zip(items).peekable();
        // The outcome of an item that did not fit beside those before it.
        let mut held_over: Option<(u32, Ended, Vec<u8>)> = None;
        let mut clock = Clock::new(place.begun, courier);
        let mut is_condemned = false;
        loop {
            self.buffer.clear();
            let start = frame::begin(&mut self.buffer);
            let first = held_over.as_ref().map_or_else(
                || items.peek().map_or(0, |(index, _)| *index),
                |(index, ..)| *index,
            );
            let mut part = PartWriter::new(first, &mut self.buffer);
            let mut keeps = Keeper::new(place, first, part.len());
            if let Some(courier) = courier {
                courier.open(place.task, place.seq, first);
            }
            let mut beside = Handles::default();
            let mut last = true;
            loop {
                let ended = if let Some((_, ended, bytes)) = held_over.take() {
                    part.push(match ended {
                        Ended::Value(_) => ItemOutcome::Value(&bytes),
                        Ended::Failed => ItemOutcome::Failure(&bytes),
                        Ended::Cancelled => ItemOutcome::Cancelled,
                    });
                    ended
                } else if let Some((index, item)) = items.next() {
                    if index > 0 {
                        match place.page.advance(place.seq, index - 1, clock.now) {
                            Advance::On => {}
                            Advance::Over => {
                                last_item = index - 1;
                                break;
                            }
                            Advance::Condemned => {
                                is_condemned = true;
                                last = false;
                                break;
                            }
                        }
                    }
                    let begun = part.begin();
                    let ended = if place.page.is_cancel_asked(place.seq) {
                        Ended::Cancelled
                    } else {
                        run_item(function, item, self.max_frame, part.out())
                    };
                    let size = part.len() - start - frame::HEADER_LEN + PART_OVERHEAD;
                    let does_not_fit = size as u64 > self.max_frame || ended.has_handles();
                    // The descriptors beside a part are those of one result.
                    if part.count() > 0 && does_not_fit {
                        held_over = Some((index, ended, part.take_back(begun)));
                        last = false;
                        break;
                    }
                    part.end(begun, ended.tag());
                    ended
                } else {
                    break;
                };
                let has_handles = ended.has_handles();
                match ended {
                    Ended::Value(handles) => beside = handles,
                    Ended::Failed => {}
                    Ended::Cancelled => continue,
                }
                // The memory behind the page holds no descriptors; this one is sent next. It is kept before the clock is looked at:
                // the courier does not sleep over what it sees, and what it slept through is seen here.
                if !has_handles {
                    keeps.keep(&part);
                }
                let is_due = clock.is_due() || is_punctual || has_handles;
                if (is_due || part.len() >= PART_BYTES) && items.peek().is_some() {
                    last = false;
                    break;
                }
            }
            if let Some(courier) = courier {
                let sent = courier.close();
                if sent.items > 0 {
                    part.forget_first(sent.items, sent.bytes);
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
            }
            if last || is_condemned {
                return Ok(goes_on && !is_condemned);
            }
            // What the pipe took to take it is not the next item's time.
            clock.has_sent();
        }
    }

    /// Who sends while an item takes its time; nobody, if there can be no further thread.
    fn courier(&mut self, page: &'static SharedPage) -> Option<Arc<Courier>> {
        if self.courier.is_none() {
            self.courier = Courier::start(page, self.results.clone()).ok();
        }
        self.courier.clone()
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

impl Ended {
    fn has_handles(&self) -> bool {
        matches!(self, Self::Value(handles) if !handles.is_empty())
    }

    fn tag(&self) -> OutcomeTag {
        match self {
            Self::Value(_) => OutcomeTag::Value,
            Self::Failed => OutcomeTag::Failure,
            Self::Cancelled => OutcomeTag::Cancelled,
        }
    }
}

/// Tells when a chunk is to send what it has: with a courier, by looking at the time now and then.
struct Clock<'a> {
    /// As far as it is known.
    now: u64,
    sent_at: u64,
    courier: Option<&'a Courier>,
    /// The courier's last tick that is known.
    ticked: u64,
    /// How many items are to end between two looks, and how many of them are left.
    stride: u32,
    left: u32,
}

impl<'a> Clock<'a> {
    fn new(now: u64, courier: Option<&'a Courier>) -> Self {
        Self {
            now,
            sent_at: now,
            courier,
            ticked: courier.map_or(0, Courier::now_ns),
            stride: 1,
            left: 1,
        }
    }

    /// An item has ended: is it time?
    #[inline]
    fn is_due(&mut self) -> bool {
        if let Some(courier) = self.courier {
            let ticked = courier.now_ns();
            self.left = self.left.saturating_sub(1);
            // After a tick, the items may be longer than those before.
            if self.left > 0 && ticked == self.ticked {
                return false;
            }
            self.ticked = ticked;
        }
        self.look();
        self.now.saturating_sub(self.sent_at) >= PART_INTERVAL.as_nanos() as u64
    }

    /// Takes the time, and finds how many of such items there are to be until the next look.
    fn look(&mut self) {
        let before = std::mem::replace(&mut self.now, sys::monotonic_ns());
        let took = self.now.saturating_sub(before).max(1);
        let ended = u64::from(self.stride - self.left);
        let fitting = LOOK_INTERVAL_NS * ended / took;
        let longest = LONGEST_STRIDE.min(2 * u64::from(self.stride));
        self.stride = fitting.clamp(1, longest) as u32;
        self.left = self.stride;
    }

    fn has_sent(&mut self) {
        self.now = sys::monotonic_ns();
        self.sent_at = self.now;
        self.left = self.stride;
    }
}

/// Runs one item of a chunk. What it gave, or why it gave nothing, is appended to `out`, and fits into a part by itself.
fn run_item(function: &Function, item: &[u8], max_frame: u64, out: &mut Vec<u8>) -> Ended {
    let start = out.len();
    let outcome = run::run(function, item.into(), Handles::default(), out)
        .and_then(|handles| fits(out.len() - start + PART_OVERHEAD, max_frame).map(|()| handles));
    match outcome {
        Ok(handles) => Ended::Value(handles),
        Err(failure) => {
            out.truncate(start);
            failure.write_to(out, max_frame.saturating_sub(PART_OVERHEAD as u64));
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
                .keep(self.place.seq, part.count(), self.len as u32);
        }
    }
}
