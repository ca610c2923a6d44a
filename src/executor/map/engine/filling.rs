//! The near end of a map: items are pulled, encoded, and made into tasks.

use std::panic::{self, AssertUnwindSafe};
use std::time::Duration;

use super::{Chunks, Ended, Engine, Entry, Pulled};
use crate::error::{SubmitError, TaskError};
use crate::executor::core::Work;
use crate::executor::gate::Permit;
use crate::executor::map::batch::{Batch, Given};
use crate::page::MAX_ITEMS;
use crate::wire::Handles;

/// How many tasks per worker are submitted ahead, unless [`Map::buffersize`](crate::Map::buffersize) says otherwise: enough to
/// keep every pipe full of short tasks.
const WINDOW_PER_WORKER: usize = 64;

/// The same for chunks that are to take their time: enough for the next one to be there, and for this thread to be away for a
/// while.
const CHUNKS_PER_WORKER: usize = 4;

/// The same for chunks that are over sooner, since no more items fit into them: as many as take the time of those, and no more than
/// these. The kernel keeps a worker, or this thread, from its CPU for as long as several chunks.
const SHORT_CHUNKS_PER_WORKER: usize = 16;

/// How much more items a chunk may have than the one before, or than have been given so far: what is known of a function may be of
/// other inputs.
const GROWTH: usize = 4;

/// How many bytes of arguments a chunk may have, but for its last item: larger ones gain nothing.
const CHUNK_BYTES: usize = 64 * 1024;

/// How many bytes the results of a chunk may have, if they are like those before.
const CHUNK_RESULT_BYTES: u64 = 1 << 20;

impl<I: Iterator, E> Engine<I, E> {
    /// Whether another task may be submitted.
    pub(super) fn has_room(&self) -> bool {
        let workers = self.executor.0.max_workers();
        let ahead = self
            .buffersize
            .unwrap_or(workers.saturating_mul(WINDOW_PER_WORKER));
        // What was refused has no task, and an input may be without an end.
        let is_refused = matches!(self.window.back(), Some(Entry::Ended(_)));
        if self.tasks >= ahead || (is_refused && self.window.len() >= ahead) {
            return false;
        }
        match self.chunks {
            // Counted by the item, as long as there are chunks enough.
            Chunks::Taking(time) if self.buffersize.is_none() => {
                let items = self.pulled.saturating_sub(self.given);
                let of_work = u128::from(self.item_ns) * items as u128;
                let enough = time.as_nanos() * workers.saturating_mul(CHUNKS_PER_WORKER) as u128;
                items < ahead
                    || self.tasks < workers.saturating_mul(CHUNKS_PER_WORKER)
                    || (self.tasks < workers.saturating_mul(SHORT_CHUNKS_PER_WORKER)
                        && of_work < enough)
            }
            _ => true,
        }
    }

    /// How many items the next task is to have, and within which time they are to be pulled.
    fn next_chunk(&mut self) -> (usize, Option<Duration>) {
        let time = match self.chunks {
            Chunks::Of(chunksize) => return (chunksize, None),
            Chunks::Taking(time) => time,
        };
        let function = self.function.as_ref().ok();
        // With limits of its own, or attempts, each item is sent back by itself anyway; and what is bounded by its user is
        // counted by the item.
        let is_plain = self.options.is_plain() && self.buffersize.is_none();
        let item_ns = function
            .filter(|_| is_plain)
            .and_then(|function| self.executor.0.item_ns(function.index));
        let Some(item_ns) = item_ns else {
            self.last_chunk = 1;
            return (1, None);
        };
        self.item_ns = item_ns.max(1);
        if !self.pace.is_for_chunks() {
            self.last_chunk = 1;
            return (1, Some(time));
        }
        let fitting = usize::try_from(time.as_nanos() / u128::from(self.item_ns));
        let fitting = fitting.unwrap_or(usize::MAX);
        let result_len = self.given_bytes / (self.given as u64).max(1);
        let held = usize::try_from(CHUNK_RESULT_BYTES / result_len.max(1)).unwrap_or(usize::MAX);
        // Towards the end of an input whose length is known, nobody is to have the last of it alone.
        let left = self
            .inputs
            .as_ref()
            .map_or(0, |inputs| inputs.size_hint().0);
        let share = match left / (2 * self.executor.0.max_workers()) {
            0 => usize::MAX,
            share => share,
        };
        self.last_chunk = fitting
            .min(share)
            .min(held)
            .min(self.last_chunk.min(self.given).saturating_mul(GROWTH))
            .max(1);
        (self.last_chunk, Some(time))
    }

    /// Submits until the window is full. Says whether that takes a permit that is not to be had.
    pub(super) fn fill(&mut self) -> bool {
        if self.is_late() {
            return false;
        }
        while self.has_room() {
            if self.draft.is_empty() {
                self.pull_draft();
            }
            if self.draft.is_empty() {
                let Some(ended) = self.after_draft.take() else {
                    return false;
                };
                self.window.push_back(Entry::Ended(ended));
                continue;
            }
            match self.executor.0.gate().try_enter() {
                Err(SubmitError::Full { .. }) => return true,
                entered => self.submit_draft(entered),
            }
        }
        false
    }

    /// Whether there is something that has not been submitted.
    pub(super) fn has_more(&mut self) -> bool {
        if self.draft.is_empty() && self.after_draft.is_none() {
            self.pull_draft();
        }
        !self.draft.is_empty() || self.after_draft.is_some()
    }

    /// Pulls a chunk from the input.
    fn pull_draft(&mut self) {
        if self.inputs.is_none() {
            return;
        }
        // As many as can be counted on a status page.
        let (chunksize, time) = self.next_chunk();
        let chunksize = chunksize.min(MAX_ITEMS as usize);
        let pulling = time.map(|time| self.pace.begin(time));
        // The last item may be of any length: see `Draft::fitting`.
        let half_a_frame = usize::try_from(self.executor.0.max_frame() / 2).unwrap_or(usize::MAX);
        let enough = CHUNK_BYTES.min(half_a_frame);
        let Some(inputs) = &mut self.inputs else {
            return;
        };
        let mut is_at_end = false;
        while self.draft.len() < chunksize
            && self.draft.handles.is_empty()
            && self.after_draft.is_none()
            && !is_at_end
        {
            if pulling.is_some() && self.draft.size() >= enough {
                break;
            }
            if let Some(pulling) = &pulling
                && pulling.is_over(self.draft.len())
            {
                self.last_chunk = self.draft.len();
                break;
            }
            let draft = &mut self.draft;
            match panic::catch_unwind(AssertUnwindSafe(|| (self.pull)(inputs, draft.begin()))) {
                Ok(Pulled::Item(handles)) => {
                    draft.finish();
                    draft.handles = handles;
                }
                Ok(Pulled::Refused(error)) => self.after_draft = Some(refused(error)),
                Ok(Pulled::Error(error)) => self.after_draft = Some(Ended::Input(error)),
                Ok(Pulled::End) => is_at_end = true,
                Err(panic) => {
                    self.panic = Some(panic);
                    is_at_end = true;
                }
            }
            draft.forget();
        }
        if let Some(pulling) = pulling {
            self.pace.end(&pulling, self.draft.len().max(1));
        }
        self.pulled += self.draft.len() + usize::from(self.after_draft.is_some());
        if is_at_end {
            // Its end is asked for once only, and what it holds is let go.
            self.inputs = None;
        }
    }

    /// Makes a task of the draft; or, where the executor takes none, gives its items that answer.
    pub(super) fn submit_draft(&mut self, entered: Result<Permit, SubmitError>) {
        // Who waited for a permit may have been given another one meanwhile.
        self.entering = None;
        let count = match self.chunks {
            Chunks::Of(_) => self.draft.len(),
            Chunks::Taking(_) => self.draft.fitting(self.executor.0.max_frame()),
        };
        let count = self.draft.alike(count);
        let begun = entered.and_then(|permit| {
            let function = self.function.clone()?;
            let work = if count == 1 {
                // Of the last item, if that is this one.
                let handles = match self.draft.len() {
                    1 => std::mem::take(&mut self.draft.handles),
                    _ => Handles::default(),
                };
                Work::encoded(function, self.draft.first(), handles)
            } else {
                let items = u32::try_from(count).unwrap_or(u32::MAX);
                Work::chunk_of(function, items, self.draft.items(count))
            };
            let work = work.with(self.options.clone());
            self.executor.0.clone().begin(permit, work)
        });
        self.draft.remove_first(count);
        match begun {
            Ok(promises) => {
                self.tasks += 1;
                self.enter(Batch::new(promises));
            }
            Err(error) => {
                let is_last = matches!(error, SubmitError::ShutDown | SubmitError::Broken(_));
                let refused = |_| Entry::Ended(refused(error.clone()));
                self.window.extend((0..count).map(refused));
                if is_last {
                    // The executor takes nothing any more.
                    self.inputs = None;
                }
            }
        }
        if self.draft.is_empty() {
            self.window
                .extend(self.after_draft.take().map(Entry::Ended));
        }
    }

    /// Gives a task its place.
    fn enter(&mut self, batch: Batch) {
        let Some(unordered) = &mut self.unordered else {
            self.window.push_back(Entry::Batch(batch));
            return;
        };
        let index = unordered.next;
        unordered.next += 1;
        if let Some(future) = batch.future() {
            unordered.watch.add(future, index);
        }
        unordered.batches.insert(index, batch);
    }
}

/// What becomes of an item that cannot be submitted.
fn refused<E>(error: SubmitError) -> Ended<E> {
    Ended::Item(Given::Failed(TaskError::Refused(error)))
}
