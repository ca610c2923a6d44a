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

mod arena;
mod cgroup;
mod clock;
mod control;
mod descriptors;
mod futex;
mod host;
mod limits;
mod lock_file;
mod mapping;
mod named;
mod own_file;
mod packets;
mod parcel;
mod per_process;
mod poll;
mod robust;
mod sealed;
mod segment;
mod spawn;
mod streams;

pub(crate) use arena::Arena;
pub(crate) use cgroup::OomKills;
pub(crate) use clock::{Deadline, deadline_after, instant_at, monotonic_ns};
pub(crate) use control::{ControlSocket, is_refused_for_now, pair as control_pair};
pub(crate) use descriptors::{
    Doorbell, PIPE_LEN, Pipe, duplicate_beside, enlarge_pipe, fork_of, is_lack_of_descriptors,
    is_open, null, pipe, read, read_to_end_of, readable, write, write_both,
};
pub(crate) use futex::{futex_wait, futex_wake_all};
pub(crate) use host::{
    Home, SignalMask, adopt_standard_output, aside, at_exit, begin_session, close_foreign,
    continue_when_parent_ends, die_with_group, end_now, environment, flush_standard_streams,
    ignore_stops_by_terminal, name_process, number_of, place_at, remove_from_environment,
    say_on_standard_input, take_standard_input, tell_user, with_signals_blocked, write_to_stderr,
    write_to_stdout,
};
pub(crate) use limits::{
    ALLOCATION_FAILED, MemoryGauge, allow_cpu_time, allow_open_files, enter_directory,
    limit_address_space, limit_core, limit_open_files, note_failed_allocations_in, peak_so_far_kib,
    set_affinity, set_niceness,
};
pub(crate) use lock_file::lock_file;
pub(crate) use mapping::SharedPage;
pub(crate) use named::{NamedFile, remove_abandoned, unlink_named};
pub(crate) use own_file::{OwnFile, remove_own_files};
pub(crate) use packets::{
    MAX_BESIDE, has_ended, is_gone, is_packet_socket, longest_packet, packet_pair, receive_packet,
    send_packet,
};
pub(crate) use parcel::Parcel;
pub(crate) use per_process::PerProcess;
#[cfg(all(test, not(loom)))]
pub(crate) use per_process::{Forked, in_a_fork, use_up_descriptors};
pub(crate) use poll::{
    Poller, Ready, any_of, wait_among, wait_for, wait_for_either, wait_for_hangup,
    wait_for_hangup_until, wait_for_room_until,
};
pub(crate) use robust::{Header, Held, LockedMapping, MutexError, Owner};
pub(crate) use rustix::process::Signal;
pub(crate) use sealed::{SealedBytes, UnsealedFile};
pub(crate) use segment::{Mapping, OutOfRange, SharedAtomic};
pub(crate) use spawn::{Child, End, Environment, Program, Streams, can_be_handled, spawn};
pub(crate) use streams::{
    Place, SocketName, accept, connect_to, connected_pair, end_socket, fill_randomly, let_block,
    listen_at, own_user, receive, receive_to_end_of, send, try_connect_to, user_of_peer,
};
#[cfg(feature = "network")]
pub(crate) use streams::{begin_to_connect_over, error_of_socket, listen_on, tune_network};
