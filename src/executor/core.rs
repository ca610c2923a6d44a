//! What every executor offers to the code above it: a gate, and a place to put a call. Bytes in,
//! bytes out; nothing here knows the types of arguments and results.

use std::sync::Arc;

use super::gate::{Gate, Permit};
use super::retry::Options;
use crate::error::{SubmitError, TaskId};
use crate::frame::Kind;
use crate::future::{Host, HostRef, RawFuture, Stage};
use crate::registry::Function;
use crate::wire::{self, ChunkWriter, Handles, handles};

/// A function, and the encoded arguments of one call or of a chunk of calls.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) function: &'static Function,
    /// The encoded arguments of a task, or the payload of a `Chunk` frame.
    pub(crate) payload: Vec<u8>,
    /// What travels beside it; a chunk has none.
    pub(crate) handles: Handles,
    pub(crate) shape: Shape,
    pub(crate) options: Options,
}

/// One call, or many in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One call.
    Task,
    /// That many calls, one after another on one worker.
    Chunk(u32),
}

/// What a caller is given for a call.
#[derive(Clone, Debug)]
pub(crate) enum Promises {
    /// Of a task.
    One(RawFuture),
    /// Of a chunk of so many items.
    Many(Stage, u32),
}

/// How an executor is to end: what [`shutdown`](crate::Executor::shutdown) is to do with pending tasks.
///
/// They are ordered by strength. Shutting down again with a stronger one takes over.
///
/// ```
/// use procession::{InlineExecutor, Shutdown};
///
/// let executor = InlineExecutor::new();
/// executor.shutdown(Shutdown::CancelPending, None)?;
/// assert!(Shutdown::Wait < Shutdown::Kill);
/// # Ok::<(), procession::ShutdownError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Shutdown {
    /// Everything submitted still runs. As Python's `shutdown(wait=True)`.
    #[default]
    Wait,
    /// What has begun still runs, the rest is cancelled. As Python's `cancel_futures=True`.
    CancelPending,
    /// Everything ends now: workers, and their process groups, are sent SIGTERM (or the
    /// [`terminate_signal`](crate::ProcessPoolExecutorBuilder::terminate_signal) that was chosen), and are killed if they have not ended after
    /// [`exit_grace`](crate::ProcessPoolExecutorBuilder::exit_grace). As Python's `terminate_workers()`.
    ///
    /// Threads cannot be ended: in an executor without processes, this is `CancelPending`.
    Terminate,
    /// Everything ends now: workers are killed, with their process groups. As Python's `kill_workers()`.
    ///
    /// Threads cannot be killed: in an executor without processes, this is `CancelPending`.
    Kill,
}

/// An executor below its types.
///
/// `Host` is how futures reach it.
pub(crate) trait Core: Host {
    /// The permits for what is pending.
    fn gate(&self) -> &Arc<Gate>;

    /// The longest payload, in bytes.
    fn max_frame(&self) -> u64;

    /// How many tasks can run at a time.
    fn max_workers(&self) -> usize;

    /// How long a run of this function takes, in nanoseconds, where that is known and many of them may be made one task.
    fn item_ns(&self, function: u32) -> Option<u64> {
        let _ = function;
        None
    }

    /// Takes a call on. It ends exactly once; the permit comes back when it has.
    fn begin(self: Arc<Self>, permit: Permit, work: Work) -> Result<Promises, SubmitError>;

    /// Takes no more calls, deals with the pending ones as told, and completes [`Core::ended`] when
    /// nothing is left. May be called again with a stronger mode.
    fn begin_shutdown(&self, how: Shutdown);

    /// Completed when nothing is left, and no thread runs anything of the user's.
    fn ended(&self) -> &RawFuture;

    /// Whether `Kill` ends what runs: processes can be killed, threads cannot.
    fn can_kill(&self) -> bool;

    /// Whether this process was forked off by the one whose workers the executor has: then it is not this one's to end.
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// Whether the calling thread is one that the end of the executor waits for.
    fn is_own_thread(&self) -> bool;

    /// How many calls are pending.
    fn pending(&self) -> usize;

    /// Waits for the thread on which callbacks run, after those that wait; not on that thread itself.
    fn join_callbacks(&self);

    /// Waits for the executor's other threads, which have nothing left to do once it has ended.
    fn join(&self);
}

impl Work {
    /// One call, whose arguments `encode` appends.
    pub(crate) fn task(
        function: &'static Function,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), String>,
    ) -> Result<Self, SubmitError> {
        let mut payload = Vec::new();
        let (encoded, handles) = handles::collect(|| encode(&mut payload));
        encoded.map_err(|message| SubmitError::NotEncoded {
            function: function.name,
            message,
        })?;
        Ok(Self::new(function, payload, handles, Shape::Task))
    }

    /// One call, whose arguments are encoded already.
    pub(crate) fn encoded(function: &'static Function, arguments: &[u8], handles: Handles) -> Self {
        Self::new(function, arguments.to_vec(), handles, Shape::Task)
    }

    /// A chunk of calls whose arguments are encoded already.
    pub(crate) fn chunk<'a>(
        function: &'static Function,
        items: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        Self::chunk_written(function, 64, |writer| {
            items.into_iter().for_each(|item| writer.push(item));
        })
    }

    /// A chunk of `count` items that stand one behind the other, as [`begin_item`](wire::begin_item) has them put there.
    pub(crate) fn chunk_of(function: &'static Function, count: u32, items: &[u8]) -> Self {
        Self::chunk_written(function, items.len() + 16, |writer| {
            writer.push_all(count, items);
        })
    }

    fn chunk_written(
        function: &'static Function,
        capacity: usize,
        write: impl FnOnce(&mut ChunkWriter<'_>),
    ) -> Self {
        let mut payload = Vec::with_capacity(capacity);
        let mut writer = ChunkWriter::new(function.index, &mut payload);
        write(&mut writer);
        let count = writer.count();
        writer.finish();
        Self::new(function, payload, Handles::default(), Shape::Chunk(count))
    }

    fn new(function: &'static Function, payload: Vec<u8>, handles: Handles, shape: Shape) -> Self {
        Self {
            function,
            payload,
            handles,
            shape,
            options: Options::default(),
        }
    }

    /// The same, with what else was asked for.
    pub(crate) fn with(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Refuses a call that no frame can carry.
    pub(crate) fn check_size(&self, max_frame: u64) -> Result<(), SubmitError> {
        let behind = match self.shape {
            Shape::Task => wire::FUNCTION_LEN,
            Shape::Chunk(_) => 0,
        };
        let size = (self.payload.len() + behind) as u64;
        if size <= max_frame {
            return Ok(());
        }
        Err(SubmitError::TooLarge {
            function: self.function.name,
            size,
            max_frame,
        })
    }
}

impl Shape {
    /// The kind of frame that carries it.
    /// How many calls it is.
    pub(crate) fn items(self) -> u32 {
        match self {
            Self::Task => 1,
            Self::Chunk(count) => count.max(1),
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Task => Kind::Task,
            Self::Chunk(_) => Kind::Chunk,
        }
    }
}

impl Promises {
    /// The futures of a call of this shape, under this number.
    pub(crate) fn new(shape: Shape, id: TaskId, host: &HostRef) -> Self {
        let future = || RawFuture::pending(id, Some(host.clone()));
        match shape {
            Shape::Task => Self::One(future()),
            Shape::Chunk(count) => Self::Many(Stage::new(future()), count),
        }
    }
}
