//! A function in a process of its own: what it gives, how it ends, who waits for it; and nobody is left behind. (What becomes of
//! processes when their parent is killed is in tests/orphans.rs.)
//!
//! | file | one line |
//! |--|--|
//! | `tasks` | the registered functions |
//! | `ends` | every way to end, and what is said of it |
//! | `limits` | what it may have |
//! | `lives` | alive or not, names, children, what is dropped |
//! | `many` | at once, within one another, in threads and runtimes |
//! | `parents` | programs that exit while their processes run |

#[path = "../programs/mod.rs"]
mod programs;
#[path = "../support/mod.rs"]
mod support;
mod tasks;
mod ends;
mod limits;
mod lives;
mod many;
mod parents;

fn main() {
    programs::run_if_asked(parents::PROGRAMS);
    support::run(|| {
        [
            ends::tests(),
            limits::tests(),
            lives::tests(),
            many::tests(),
            parents::tests(),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
}
