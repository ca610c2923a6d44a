//! Name to function: what is registered, under which name, with which types.
//!
//! * `task_function`: what a function must look like to be run as a task, and its arguments' bytes.
//! * `function`: a registered function, and what [`register!`](crate::register) leaves in the program.
//! * `table`: all of them, looked up by type and by name.
//! * `fingerprint`: a hash that two processes of one build agree on.
//! * `managed`: registered types, of which a manager has values.
//! * `block_on`: drives the future of an `async fn`.

mod block_on;
mod fingerprint;
mod function;
mod managed;
mod register;
mod table;
mod task_function;

pub use block_on::set_worker_runtime;
pub use task_function::TaskFunction;

pub(crate) use function::{Function, RunError};
pub(crate) use managed::{Constructor, Invoke, ManagedType, ManagedValue, Method, Returned, types};
pub(crate) use table::{find, find_by_name, registry};
pub(crate) use task_function::assert_zero_sized;

/// Whether all that is registered can be: functions, and types.
pub(crate) fn check() -> Result<(), String> {
    registry().map_err(ToString::to_string)?;
    types().map_err(ToString::to_string)?;
    Ok(())
}

/// What the macros expand to. No part of the interface: it changes without notice.
pub(crate) mod private {
    pub use super::function::{Call, Description, Name, Registration, RunError, Shim};
    pub use super::managed::{
        Construct, Constructor, Encodes, ExclusiveCall, Fallible, Invoke, ManagedType,
        ManagedValue, Method, Returned, SharedCall, can_be_managed, construct, construct_or_fail,
        exclusive, shared, wait_for,
    };
    pub use super::task_function::{
        Async, Plain, argument_crosses_processes, result_crosses_processes,
    };
    pub use inventory;
}
