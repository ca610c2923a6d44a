//! A process that is driven instruction by instruction, and killed or stopped at one of them.
//!
//! A run that nobody kills goes step by step, and writes down where each instruction was. To be killed at the n-th, the process
//! runs at full speed up to a breakpoint there, as often as that place came before. (If it goes another way this time, it may finish:
//! that is told.) Where breakpoints are not known, it goes step by step each time.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::ptr;
use std::sync::Mutex;

use crate::support::exit_at_once;

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was killed, or stopped, before this instruction, or where it slept.
    Killed(u64),
    /// It has done all of them, so many.
    Finished(u64),
}

/// Where the instructions were in the last run that nobody killed.
static TRACE: Mutex<Vec<u64>> = Mutex::new(Vec::new());

/// Does something in a process that is forked off, which is killed before an instruction; never at `u64::MAX`. If it falls asleep
/// before that, `awake` is called, once, to let it go on.
pub(crate) fn killed_at(instruction: u64, what: impl FnOnce(), awake: Option<&dyn Fn()>) -> End {
    let child = Tracee::fork(what);
    reach(&child, instruction, awake, Often::Once) // And it is killed by the drop of it.
}

/// Does something in a process that is forked off, which is stopped before an instruction while something else is done, and then goes on to
/// its end. Whenever it has fallen asleep, `awake` is called.
pub(crate) fn stopped_at(
    instruction: u64,
    what: impl FnOnce(),
    awake: &dyn Fn(),
    meanwhile: impl FnOnce(),
) -> End {
    let child = Tracee::fork(what);
    let end = reach(&child, instruction, Some(awake), Often::Always);
    if end == End::Killed(instruction) {
        meanwhile();
        child.go_on(How::Run);
        loop {
            match child.state(true) {
                State::Ended => break,
                State::Asleep => awake(),
                State::Stopped => unreachable!("nothing stops it"),
            }
        }
    }
    end
}

/// How often one that sleeps is awoken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Often {
    Once,
    Always,
}

/// Up to before an instruction.
fn reach(child: &Tracee, instruction: u64, awake: Option<&dyn Fn()>, often: Often) -> End {
    let mut trace = TRACE.lock().unwrap();
    let place = usize::try_from(instruction).unwrap();
    let mut awake = awake;
    let mut go_on = |how: How| {
        child.go_on(how);
        loop {
            match child.state(awake.is_some()) {
                State::Stopped => return true,
                State::Ended => return false,
                State::Asleep => {
                    awake.expect("it is not looked at otherwise")();
                    awake = awake.filter(|_| often == Often::Always);
                }
            }
        }
    };
    if instruction == u64::MAX {
        trace.clear();
        loop {
            trace.push(child.place());
            if !go_on(How::Step) {
                return End::Finished(trace.len() as u64 - 1);
            }
        }
    }
    let known = trace.get(place).filter(|place| **place != 0);
    if let Some(&address) = known {
        let before = trace[..place].iter().filter(|at| **at == address).count();
        for _ in 0..before {
            // Past it, from where it is now: a breakpoint where it stands would hit at once.
            if child.place() != address && !child.runs_to(address, &mut go_on) {
                return End::Finished(instruction);
            }
            if !go_on(How::Step) {
                return End::Finished(instruction);
            }
        }
        if child.place() != address && !child.runs_to(address, &mut go_on) {
            return End::Finished(instruction);
        }
        return End::Killed(instruction);
    }
    for _ in 0..instruction {
        if !go_on(How::Step) {
            return End::Finished(instruction);
        }
    }
    End::Killed(instruction)
}

/// The same by steps alone, for what is not what the last run was: that stays written down.
pub(crate) fn killed_by_steps(instruction: u64, what: impl FnOnce()) {
    let child = Tracee::fork(what);
    for _ in 0..instruction {
        child.go_on(How::Step);
        if !matches!(child.state(false), State::Stopped) {
            break;
        }
    }
}

/// The instructions of that run that are quickly come to: those whose places had hardly been before.
pub(crate) fn soon_reached() -> Vec<u64> {
    let mut seen = BTreeMap::<u64, u32>::new();
    let trace = TRACE.lock().unwrap();
    let numbered = (0_u64..).zip(trace.iter());
    let rare = numbered.filter(|(_, place)| {
        let count = seen.entry(**place).or_default();
        *count += 1;
        *count <= 2
    });
    rare.map(|(number, _)| number).collect()
}

/// How many system calls something takes, in a process that is forked off.
pub(crate) fn system_calls(what: impl FnOnce()) -> usize {
    // Two stops for each; some are of what is around it.
    (stops(what) - stops(|| {})).div_ceil(2)
}

fn stops(what: impl FnOnce()) -> usize {
    let child = Tracee::fork(what);
    let mut stops = 0;
    loop {
        child.go_on(How::UntilSystemCall);
        match child.state(false) {
            State::Stopped => stops += 1,
            State::Ended | State::Asleep => return stops,
        }
    }
}

#[derive(Clone, Copy)]
enum How {
    UntilSystemCall,
    Step,
    Run,
}

/// A child that stands still until it is told to step; killed and reaped on drop.
struct Tracee {
    pid: libc::pid_t,
    has_ended: Cell<bool>,
}

enum State {
    Stopped,
    Ended,
    Asleep,
}

impl Tracee {
    fn fork(what: impl FnOnce()) -> Self {
        // SAFETY: the new process has a copy of all memory, and this thread alone. What it does takes no lock that another thread
        // may hold but those of the C library, which makes its own usable in the new process, and those that this is about,
        // which are shared.
        // https://man7.org/linux/man-pages/man2/fork.2.html
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: they touch no memory.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, ptr::null_mut::<u8>(), 0);
                libc::raise(libc::SIGSTOP);
            }
            what();
            exit_at_once(0);
        }
        let this = Self {
            pid,
            has_ended: Cell::new(false),
        };
        assert!(matches!(this.state(false), State::Stopped));
        this
    }

    fn go_on(&self, how: How) {
        let request = match how {
            How::UntilSystemCall => libc::PTRACE_SYSCALL,
            How::Step => libc::PTRACE_SINGLESTEP,
            How::Run => libc::PTRACE_CONT,
        };
        let no = ptr::null_mut::<u8>();
        // SAFETY: the child is stopped, and is traced by this thread; no memory of this process is touched.
        // https://man7.org/linux/man-pages/man2/ptrace.2.html
        let done = unsafe { libc::ptrace(request, self.pid, no, no) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
    }

    /// Where it is; 0 where that is not known.
    #[cfg(target_arch = "x86_64")]
    fn place(&self) -> u64 {
        self.registers().rip
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn place(&self) -> u64 {
        0
    }

    #[cfg(target_arch = "x86_64")]
    fn registers(&self) -> libc::user_regs_struct {
        let mut registers = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
        let no = ptr::null_mut::<u8>();
        // SAFETY: the child is stopped and ours, and the place is as large as what is written there: plain numbers.
        unsafe {
            let done = libc::ptrace(libc::PTRACE_GETREGS, self.pid, no, registers.as_mut_ptr());
            assert_eq!(done, 0, "{}", io::Error::last_os_error());
            registers.assume_init()
        }
    }

    /// Runs until it is before the instruction at an address; `false` if it ends without.
    #[cfg(target_arch = "x86_64")]
    fn runs_to(&self, address: u64, go_on: &mut impl FnMut(How) -> bool) -> bool {
        const BREAKPOINT: i64 = 0xcc;
        let at = ptr::without_provenance_mut::<u8>(address as usize);
        // SAFETY: they read and write a word of the child's code, which is stopped and ours, and no memory of this process. (The child's
        // code is its own from there on.)
        let poke = |word: i64| unsafe {
            let done = libc::ptrace(libc::PTRACE_POKETEXT, self.pid, at, word);
            assert_eq!(done, 0, "{}", io::Error::last_os_error());
        };
        // SAFETY: as above.
        let word =
            unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, at, ptr::null_mut::<u8>()) };
        poke(word & !0xff | BREAKPOINT);
        if !go_on(How::Run) {
            return false;
        }
        poke(word);
        let mut registers = self.registers();
        assert_eq!(registers.rip, address + 1, "it has stopped elsewhere");
        registers.rip = address;
        let no = ptr::null_mut::<u8>();
        // SAFETY: as in `registers`.
        let done =
            unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, no, &raw const registers) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
        true
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn runs_to(&self, _address: u64, _go_on: &mut impl FnMut(How) -> bool) -> bool {
        unreachable!("no place is known")
    }

    /// What it does, once that is known. If it `may_sleep`, it is looked at whether it sleeps in the kernel instead of coming
    /// back from there. A glance may find it so in passing; it is looked at again until that holds.
    fn state(&self, may_sleep: bool) -> State {
        let mut glances = 0;
        let flags = if may_sleep { libc::WNOHANG } else { 0 };
        for tries in 0_u64.. {
            let mut status = 0;
            // SAFETY: the place is there, and the child is this thread's to wait for.
            let waited = unsafe { libc::waitpid(self.pid, &mut status, flags) };
            assert!(waited >= 0, "{}", io::Error::last_os_error());
            if waited == self.pid {
                if libc::WIFSTOPPED(status) {
                    return State::Stopped;
                }
                self.has_ended.set(true);
                assert!(
                    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0,
                    "it ended with {status:#x}"
                );
                return State::Ended;
            }
            std::thread::yield_now();
            if tries > 50 && tries.is_multiple_of(16) {
                let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
                let is_asleep = stat.is_ok_and(|stat| stat.contains(") S "));
                glances = if is_asleep { glances + 1 } else { 0 };
                if glances > 20 {
                    return State::Asleep;
                }
            }
        }
        unreachable!("numbers do not end")
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.has_ended.get() {
            return;
        }
        let mut status = 0;
        // SAFETY: a child of ours that has not been reaped; the place is there. A process that is killed while it is traced is gone
        // when `waitpid` says so, and what it held has been let go by the kernel.
        unsafe {
            libc::kill(self.pid, libc::SIGKILL);
            libc::waitpid(self.pid, &mut status, libc::__WALL);
        }
    }
}
