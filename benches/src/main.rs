//! How fast it is, beside others, in one run:
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml [-- [--quick] [NAME OF A WORKLOAD]…]
//! ```
//!
//! Everything that is compared is measured in turns, so that a machine that is slow for a while is slow for all, and the
//! figures are medians. The ratios are what counts: each is the median of the ratios within one turn. What is not
//! installed is named as skipped. `--quick` takes few turns of little work, to see that it works.
//!
//! | file | one line |
//! |--|--|
//! | `measure` | turns, medians, ratios |
//! | `table` | what is printed |
//! | `tasks` | the registered functions |
//! | `peers` | those beside which it is measured |
//! | `workloads` | what is measured |

mod measure;
mod peers;
mod table;
mod tasks;
mod workloads;

use std::process::ExitCode;

use table::Table;

pub type Error = Box<dyn std::error::Error>;

/// How much is done.
#[derive(Clone, Copy)]
pub struct Effort {
    is_quick: bool,
}

impl Effort {
    /// So many; few where it is to be quick.
    pub fn of(self, full: usize, quick: usize) -> usize {
        if self.is_quick { quick } else { full }
    }
}

fn main() -> ExitCode {
    // In a worker these do not return. The second one is of the peer of that name, whose workers are this program, too.
    procession::init();
    procspawn::init();
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(ended) = peers::pipe::serve(&arguments) {
        return exit(ended);
    }
    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    arguments.retain(|argument| !argument.starts_with("--"));
    let mut table = Table::new();
    let effort = Effort { is_quick };
    table.note(format!(
        "{} CPUs; {}",
        measure::cpus(),
        peers::python::version()
    ));
    if is_quick {
        table.note("few turns of little work: the figures mean nothing");
    }
    for (name, workload) in workloads::ALL {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| wanted == name) {
            continue;
        }
        eprintln!("{name} …");
        if let Err(error) = workload(effort, &mut table) {
            return exit(Err(format!("{name}: {error}").into()));
        }
    }
    if is_quick {
        table.forget_goals();
    }
    table.print();
    ExitCode::SUCCESS
}

fn exit(ended: Result<(), Error>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
