//! The floor: what is asked of the system. All `unsafe` of the crate lives here.
//!
//! Whatever leaves this room is owned, checked, and closes itself. The safe bindings are rustix's;
//! what it does not offer is done with `libc`, each block with its argument.

#[cfg(not(unix))]
compile_error!(
    "procession runs on Unix: its workers are started, fed and watched through pipes, Unix sockets and process groups"
);

#[cfg(all(unix, not(target_os = "linux")))]
compile_error!(
    "procession runs on Linux so far: this system still needs its own way to pass a page of memory, \
     to wait for pipes and to notice the end of a process (src/sys)"
);

mod clock;
mod control;
mod descriptors;
mod host;
mod mapping;
mod poll;
mod spawn;

pub(crate) use clock::{deadline_after, monotonic_ns};
pub(crate) use control::{ControlSocket, pair as control_pair};
pub(crate) use descriptors::{Doorbell, Pipe, duplicate_beside, fork_of, pipe, read, write};
pub(crate) use host::{
    adopt_standard_output, close_foreign, continue_when_parent_ends, die_with_group, end_now,
    environment, name_process, place_at, remove_from_environment, say_on_standard_input,
    take_standard_input, tell_user, with_signals_blocked,
};
pub(crate) use mapping::SharedPage;
pub(crate) use poll::{Poller, Ready, wait_for, wait_for_hangup};
pub(crate) use spawn::{Child, End, Program, spawn};
