//! The one thread of a pool: it reads for everybody who does not read for themselves, starts
//! workers, finishes partial writes, and looks at the clock when there is a limit.
//!
//! It sleeps in `epoll_wait` and is woken by nothing while the pool is idle.

use std::sync::Arc;

use super::link::{Link, Which, from_key};
use super::pool::{Limit, Pool};
use super::reading;
use crate::error::BuildError;
use crate::executor::core::{Core, Shutdown};
use crate::record;
use crate::scheduler::WorkerId;
use crate::sys::Ready;
use crate::wire::{Setup, Wanted};
use crate::worker::{self, StartError};

/// Runs until the pool has been shut down, or has broken, and its last worker is gone.
pub(super) fn run(pool: &Arc<Pool>) {
    // Set before anything can be asked of this thread; a second value cannot be.
    let _ = pool.reactor.set(std::thread::current().id());
    let _last_word = LastWord(pool);
    let mut ready: Vec<Ready> = Vec::new();
    while !pool.is_finished() {
        start_workers(pool);
        if pool.is_finished() {
            break;
        }
        if pool.poller.wait(&mut ready, pool.next_look()).is_err() {
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
                Which::Stdout | Which::Stderr => {
                    pool.output.can_be_read(&link, which, || pool.runs(&link));
                }
            }
        }
        pool.tick();
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

fn start_workers(pool: &Arc<Pool>) {
    loop {
        let workers = pool.take_to_start();
        if workers.is_empty() {
            return;
        }
        for worker in workers {
            if pool.is_unwanted(worker) {
                pool.not_started(worker, BuildError::NotInitialised);
                continue;
            }
            // One that cannot be started may be replaced at once, and nobody else wakes this thread for that.
            match start(pool, worker) {
                Ok(link) => pool.started(link),
                Err(failure) => pool.not_started(worker, failure),
            }
        }
    }
}

fn start(pool: &Pool, worker: WorkerId) -> Result<Arc<Link>, BuildError> {
    let settings = &pool.settings;
    let setup = Setup {
        worker: worker.0,
        // What is listened to may change from one worker's start to the next one's.
        records: match settings.forwards {
            true => record::heard(),
            false => Wanted::default(),
        },
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
    let captured = settings.captured;
    let poller = pool.poller.clone();
    Link::new(worker, started, setup.max_frame, captured, poller)
        .map_err(|source| system("to watch a worker", source))
}

fn give_up_overdue(pool: &Pool) {
    for (link, limit) in pool.overdue() {
        if limit == Limit::End {
            // Somebody may be waiting there, with the token, until that worker ends.
            link.child.kill_group();
            continue;
        }
        reading::give_up(pool, &link, |incoming| match limit {
            Limit::Hello => {
                incoming.failure.get_or_insert(BuildError::NoHello {
                    pid: link.pid,
                    start_timeout: pool.settings.start_timeout,
                });
            }
            Limit::Initializer => {
                let settings = &pool.settings;
                incoming
                    .failure
                    .get_or_insert(BuildError::InitializerTimeout {
                        function: initializer_name(pool),
                        pid: link.pid,
                        initializer_timeout: settings.initializer_timeout.unwrap_or_default(),
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

/// The registered name of the initializer.
pub(super) fn initializer_name(pool: &Pool) -> String {
    let initializer = pool.settings.initializer.as_ref();
    initializer.map_or_else(String::new, |initializer| {
        initializer.function.name.to_owned()
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::TaskError;
    use crate::executor::core::{Promises, Work};
    use crate::executor::process::pool::Settings;
    use crate::registry::registry;
    use crate::scheduler::Policy;
    use crate::sys::{Environment, Program};
    use crate::wire::{Limits, PROTOCOL};
    use crate::worker::{Destination, Launch};

    fn never_runs() {}
    crate::register!(never_runs);

    fn pool_without_workers() -> Arc<Pool> {
        let settings = Settings {
            policy: Policy::of(1),
            launch: Launch {
                program: Program::ThisProgram,
                arguments: Vec::new(),
                test_binary: true,
                depth: 1,
                kept: Vec::new(),
                environment: Environment::default(),
                stdout: Destination::Inherited,
                stderr: Destination::Inherited,
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
                tells_memory: false,
                is_captured: false,
                records: Wanted::default(),
                limits: Limits::default(),
            },
            start_timeout: Duration::from_secs(10),
            initializer: None,
            initializer_timeout: None,
            timeout: None,
            deadline: None,
            exit_grace: Duration::from_secs(10),
            terminate_signal: 15,
            captured: [false; 2],
            forwards: false,
        };
        Pool::new(settings, 1, None).unwrap()
    }

    /// A task that waits for a worker.
    fn queued(pool: &Arc<Pool>) -> crate::future::RawFuture {
        let function = &registry().unwrap().functions()[0];
        let permit = pool.gate().try_enter().unwrap();
        let work = Work::task(function, |_| Ok(())).unwrap();
        let Ok(Promises::One(future)) = pool.clone().begin(permit, work) else {
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
