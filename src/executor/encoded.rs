//! Calls whose arguments somebody else has encoded, and whose results somebody else decodes.

use super::core::{Promises, Work};
use super::erased::Handle;
use crate::error::SubmitError;
use crate::future::RawFuture;
use crate::registry::Function;
use crate::wire::Handles;

/// Submits a call to this function, without waiting for room.
pub(crate) fn try_submit_encoded(
    executor: &Handle,
    function: &'static Function,
    arguments: &[u8],
    handles: Handles,
) -> Result<RawFuture, SubmitError> {
    let core = &executor.0;
    let permit = core.gate().try_enter()?;
    let work = Work::encoded(function, arguments, handles);
    match core.clone().begin(permit, work)? {
        Promises::One(future) => Ok(future),
        // That is of a chunk.
        Promises::Many(stage, _) => Ok(stage.future().clone()),
    }
}
