//! The one thread of a pool: it reads for everybody who does not read for themselves, starts
//! workers, finishes partial writes, and looks at the clock when there is a limit.
//!
//! It sleeps in `epoll_wait` and is woken by nothing while the pool is idle.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::link::{Link, Which, from_key};
use super::pool::{Gone, Limit, Pool};
use super::reading;
use crate::error::{BuildError, EndOfWorker};
use crate::executor::core::{Core, Shutdown};
use crate::scheduler::WorkerId;
use crate::sys::Ready;
use crate::wire::Setup;
use crate::worker::{self, StartError};

/// Runs until the pool has been shut down, or has broken, and its last worker is gone.
pub(super) fn run(pool: &Arc<Pool>) {
    // Set before anything can be asked of this thread; a second value cannot be.
    let _ = pool.reactor.set(std::thread::current().id());
    let _last_word = LastWord(pool);
    let mut ready: Vec<Ready> = Vec::new();
    let mut pause = Pause::default();
    while !pool.is_finished() {
        start_workers(pool, &mut pause);
        if pool.is_finished() {
            break;
        }
        let deadline = pool.next_limit().into_iter().chain(pause.until).min();
        if pool.poller.wait(&mut ready, deadline).is_err() {
            // epoll_wait fails for bad arguments only. Without it nobody would be told of anything:
            // every task ends here, and the workers are reaped when the pool is dropped.
            pool.begin_shutdown(Shutdown::Kill);
            break;
        }
        for event in &ready {
            let Some((worker, which)) = from_key(event.key) else {
                continue;
            };
            let Some(link) = pool.link(worker) else {
                continue;
            };
            match which {
                Which::Results => drop(reading::results(pool, &link)),
                Which::Tasks => link.flush_armed(),
                Which::Process => reading::process_ended(pool, &link),
            }
        }
        give_up_overdue(pool);
    }
}

/// Says that the pool has ended, also when the reactor panics: a broken invariant of ours must not
/// leave anybody waiting.
struct LastWord<'a>(&'a Pool);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.begin_shutdown(Shutdown::Kill);
        }
        self.0.end();
    }
}

/// How long after a worker could not be started the next one is tried: what was missing may be there
/// again then. Doubled with every failure.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The pause after a worker could not be started.
#[derive(Default)]
struct Pause {
    /// `None` when there is nothing to wait for.
    until: Option<Instant>,
    /// How long the last one was.
    length: Duration,
}

impl Pause {
    fn begin(&mut self) {
        self.length = (self.length * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.until = Some(Instant::now() + self.length);
    }
}

fn start_workers(pool: &Arc<Pool>, pause: &mut Pause) {
    let is_paused = pause.until.is_some_and(|until| until > Instant::now());
    if !is_paused {
        pause.until = None;
    }
    for worker in pool.take_to_start() {
        if pool.is_unwanted(worker) {
            pool.gone(never_started(worker, BuildError::NotInitialised));
            continue;
        }
        if is_paused {
            pool.start_later(worker);
            continue;
        }
        match start(pool, worker) {
            Ok(link) => {
                *pause = Pause::default();
                pool.started(link);
            }
            Err(failure) => {
                pause.begin();
                // While others are there, nobody needs to hear of it.
                if pool.can_wait_for_workers() {
                    pool.start_later(worker);
                } else {
                    pool.gone(never_started(worker, failure));
                }
            }
        }
    }
}

fn start(pool: &Pool, worker: WorkerId) -> Result<Arc<Link>, BuildError> {
    let settings = &pool.settings;
    let setup = Setup {
        worker: worker.0,
        ..settings.setup.clone()
    };
    let system = |what, source| BuildError::System {
        what,
        source: Arc::new(source),
    };
    let started = worker::start(&settings.launch, &setup).map_err(|error| match error {
        StartError::System(what, source) => system(what, source),
        StartError::Spawn(source) => BuildError::Spawn {
            program: settings.launch.program.path(),
            source: Arc::new(source),
        },
    })?;
    Link::new(worker, started, setup.max_frame, pool.poller.clone())
        .map_err(|source| system("to watch a worker", source))
}

/// A worker that has no process, as the scheduler is to hear of it.
fn never_started(worker: WorkerId, failure: BuildError) -> Gone {
    Gone {
        worker,
        pid: 0,
        end: EndOfWorker::Unknown,
        failure,
    }
}

fn give_up_overdue(pool: &Pool) {
    // Asked only when a limit is set, so that an idle pool does not even read the clock.
    let Some(next) = pool.next_limit() else {
        return;
    };
    let now = Instant::now();
    if next > now {
        return;
    }
    for (link, limit) in pool.overdue(now) {
        reading::give_up(&link, |incoming| match limit {
            Limit::Hello => {
                incoming.failure.get_or_insert(BuildError::NoHello {
                    pid: link.pid,
                    start_timeout: pool.settings.start_timeout,
                });
            }
            Limit::Close => {
                let what = || "closed its result pipe".into();
                incoming.malformed.get_or_insert_with(what);
            }
            Limit::End => {}
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::TaskError;
    use crate::executor::core::{Call, Promises};
    use crate::executor::process::pool::Settings;
    use crate::registry::registry;
    use crate::sys::Program;
    use crate::wire::PROTOCOL;
    use crate::worker::Launch;

    #[procession::task]
    fn never_runs() {}

    fn pool_without_workers() -> Arc<Pool> {
        let settings = Settings {
            workers: 1,
            launch: Launch {
                program: Program::ThisProgram,
                arguments: Vec::new(),
                test_binary: true,
                depth: 1,
                kept: Vec::new(),
            },
            setup: Setup {
                protocol: PROTOCOL,
                registry: 0,
                worker: 0,
                depth: 1,
                max_frame: 4096,
                initializer: false,
                own_binary: true,
                kept: Vec::new(),
                stdout: false,
            },
            start_timeout: Duration::from_secs(10),
            initializer: None,
        };
        Pool::new(settings, 1).unwrap()
    }

    /// A task that waits for a worker.
    fn queued(pool: &Arc<Pool>) -> crate::future::RawFuture {
        let function = &registry().unwrap().functions()[0];
        let permit = pool.gate().try_enter().unwrap();
        let call = Call::task(function, |_| Ok(())).unwrap();
        let Ok(Promises::One(future)) = pool.clone().begin(permit, call) else {
            panic!("an open pool takes a task");
        };
        future
    }

    #[test]
    fn whoever_sees_the_end_of_a_task_may_count_on_its_room() {
        let pool = pool_without_workers();
        let future = queued(&pool);
        struct Enters(Arc<Pool>, std::sync::OnceLock<bool>);
        impl std::task::Wake for Enters {
            fn wake(self: Arc<Self>) {
                let _ = self.1.set(self.0.gate().try_enter().is_ok());
            }
        }
        let enters = Arc::new(Enters(pool, std::sync::OnceLock::new()));
        let waker = std::task::Waker::from(enters.clone());
        let mut context = std::task::Context::from_waker(&waker);
        let mut seat = crate::future::Seat::default();
        assert!(future.poll(&mut seat, &mut context).is_pending());
        assert!(future.cancel());
        assert_eq!(enters.1.get(), Some(&true));
    }

    #[test]
    fn a_reactor_that_panics_leaves_nobody_waiting() {
        let pool = pool_without_workers();
        let future = queued(&pool);
        let reactor = std::thread::spawn({
            let pool = pool.clone();
            move || {
                let _last_word = LastWord(&pool);
                panic!("as a broken invariant would");
            }
        });
        assert!(reactor.join().is_err());
        assert!(matches!(
            future.outcome(),
            Some(Err(TaskError::ShutDown {
                may_have_run: false
            }))
        ));
        assert!(pool.ready.is_done() && pool.ended().is_done());
    }
}
