//! One pool, from its making to its end.

use std::sync::{Arc, mpsc};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use procession::{ProcessPoolExecutor, Shutdown, Stdio};

use crate::assassin::{Assassin, Hits};
use crate::driver::Driver;
pub(crate) use crate::ledger::Tally;
use crate::ledger::{Evidence, Lines};
use crate::random::Random;
use crate::support::{Census, Directory, awaiting, until};
use crate::tasks::{Deed, MARKS, Marks, Order, expected_text, work};

/// How long what has been ended may take to be gone.
const SETTLING: Duration = Duration::from_secs(5);

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Everything is waited for, and the pool then does its work as on its first day.
    Settled,
    /// The pool is dropped with what is pending, which runs first.
    Dropped,
    ShutDown(Shutdown, Option<Duration>),
}

impl Ending {
    /// What may become of a task that nobody has done anything to: it is cancelled, or ended by the end of the pool.
    fn cancels(self) -> bool {
        matches!(self, Self::ShutDown(Shutdown::CancelPending, _))
    }

    fn kills(self) -> bool {
        match self {
            Self::Settled | Self::Dropped => false,
            Self::ShutDown(how, deadline) => how > Shutdown::CancelPending || deadline.is_some(),
        }
    }
}

/// The pool, as it was drawn.
struct Drawn {
    pool: ProcessPoolExecutor,
    timeout: Option<Duration>,
    lines: Option<Arc<Lines>>,
}

pub(crate) fn run(seed: u64, workers: usize) -> Result<Tally, String> {
    // For the watchdog.
    let of_seed = |what: &str| format!("{what} (PROCESSION_CHAOS_SEED={seed})");
    awaiting(of_seed("a pool to be built"));
    let mut random = Random::of(seed, 0);
    let census = Census::take();
    let directory = Directory::new();
    let path = directory.join("marks");
    std::fs::File::create(&path).expect("the file of marks");
    let Drawn {
        pool,
        timeout,
        lines,
    } = draw(&mut random, workers, &path);
    let ending = random.pick(&[
        Ending::Settled,
        Ending::Settled,
        Ending::Settled,
        Ending::Dropped,
        Ending::ShutDown(Shutdown::Wait, None),
        Ending::ShutDown(Shutdown::Wait, Some(Duration::from_millis(20))),
        Ending::ShutDown(Shutdown::CancelPending, None),
        Ending::ShutDown(Shutdown::Terminate, None),
        Ending::ShutDown(Shutdown::Kill, None),
    ]);
    let length = random.within(150..900);
    let end = Instant::now() + Duration::from_millis(length);
    // The pool is shut down while the others still submit.
    let interrupted_after = (random.one_in(2) && matches!(ending, Ending::ShutDown(..)))
        .then(|| Duration::from_millis(random.within(0..length)));
    let hits = Hits::default();
    let driver = |thread: u64| Driver {
        pool: &pool,
        random: Random::of(seed, thread),
        first_id: thread << 32,
        timeout,
        lines: lines.clone(),
        entries: Vec::new(),
        held: Vec::new(),
        is_over: false,
    };
    let (mut drivers, mut mapper) = ([driver(1), driver(2)], driver(3));
    let assassin = Assassin::draw(Random::of(seed, 4), workers);
    awaiting(of_seed("the threads that submit"));
    thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel();
        let assassin = scope.spawn({
            let (pool, hits) = (&pool, &hits);
            move || assassin.run(pool, hits, &stopped, end)
        });
        let mapping = scope.spawn(|| {
            mapper.map_until(end);
        });
        let submitting = drivers.each_mut().map(|driver| {
            scope.spawn(move || {
                driver.submit_until(end);
                if ending == Ending::Settled {
                    driver.settle();
                }
            })
        });
        let join = || {
            [mapping.join()]
                .into_iter()
                .chain(submitting.map(ScopedJoinHandle::join))
        };
        let shut_down = || {
            awaiting(of_seed("the end of a shutdown"));
            if let Ending::ShutDown(how, deadline) = ending {
                let ended = pool.shutdown(how, deadline);
                assert!(ended.is_ok() || deadline.is_some(), "{ended:?}");
            }
        };
        let done: Vec<_> = match interrupted_after {
            Some(moment) => {
                // Not to wait for anything: it is a part of what was drawn.
                thread::sleep(moment);
                shut_down();
                join().collect()
            }
            None => {
                let done = join().collect();
                shut_down();
                done
            }
        };
        drop(stop);
        for result in done.into_iter().chain([assassin.join()]) {
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    if ending == Ending::Settled {
        is_as_on_its_first_day(&pool, of_seed)?;
    }
    // The futures that are left outlive the pool.
    let mut rest = Vec::new();
    let mut entries = Vec::new();
    for driver in drivers.into_iter().chain([mapper]) {
        let start = entries.len();
        rest.extend(
            driver
                .held
                .into_iter()
                .map(|(at, future)| (start + at, future)),
        );
        entries.extend(driver.entries);
    }
    awaiting(of_seed("the pool to be dropped"));
    drop(pool);
    for (at, future) in rest {
        if !future.is_done() {
            return Err(format!("it has not ended: {:#?}", entries[at]));
        }
        let entry = &mut entries[at];
        let seen =
            crate::ledger::Seen::new(entry.id, entry.length, future.wait(), lines.as_deref());
        entry.seen = Some(seen);
    }
    let evidence = Evidence {
        marks: Marks::read(&path),
        hits,
        lines,
        deeds: entries.iter().map(|entry| (entry.id, entry.deed)).collect(),
        was_cancelled: ending.cancels(),
        was_killed: ending.kills(),
        terminate_signal: Some(15),
    };
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for entry in &entries {
        tally.count(entry);
        wrong.extend(entry.check(&evidence).err());
    }
    tally.add("runs", evidence.marks.total());
    tally.add("hits", evidence.hits.count());
    until(&of_seed("the children of tasks to be gone"), || {
        evidence.marks.living_children().is_empty()
    });
    awaiting(of_seed("what is left of a round"));
    if let Some(left) = census.left_over(SETTLING) {
        wrong.push(format!("left behind after {ending:?}:\n{left}"));
    }
    if wrong.is_empty() {
        return Ok(tally);
    }
    wrong.insert(
        0,
        format!(
            "{} of {} do not come out even, after {ending:?}",
            wrong.len(),
            entries.len()
        ),
    );
    wrong.truncate(4);
    Err(wrong.join("\n"))
}

fn draw(random: &mut Random, workers: usize, marks: &std::path::Path) -> Drawn {
    let mut builder = ProcessPoolExecutor::builder()
        .max_workers(workers)
        // They are hit again and again.
        .max_restarts(1_000_000)
        .env(MARKS, marks)
        .stdout(Stdio::Null)
        .max_pending(random.pick(&[3, 64, 65_536]));
    if random.one_in(3) {
        builder = builder.max_tasks_per_child(random.within(1..50) as u32);
    }
    if random.one_in(4) {
        builder = builder.max_growth_per_child(random.within(256..4096) << 10);
    }
    if random.one_in(6) {
        builder = builder.max_age_per_child(random.micros(10_000..100_000));
    }
    if random.one_in(3) {
        builder = builder.min_workers(random.index(workers + 1));
        if !random.one_in(3) {
            builder = builder.idle_timeout(random.micros(1_000..50_000));
        }
    }
    if random.one_in(3) {
        builder = builder.cancel_grace(random.micros(1_000..20_000));
    }
    if random.one_in(3) {
        builder = builder.terminate_grace(random.micros(1_000..20_000));
    }
    if random.one_in(3) {
        builder = builder.exit_grace(Duration::from_millis(100));
    }
    let timeout = random.one_in(5).then(|| random.micros(20_000..100_000));
    if let Some(timeout) = timeout {
        builder = builder.timeout(timeout);
    }
    let lines = random.one_in(3).then(|| Arc::new(Lines::default()));
    builder = match lines.clone() {
        Some(lines) => builder
            .stderr(Stdio::Capture)
            .on_output(move |line| lines.note(line)),
        None => builder.stderr(Stdio::Null),
    };
    let pool = builder.build().unwrap_or_else(|error| panic!("{error:?}"));
    Drawn {
        pool,
        timeout,
        lines,
    }
}

/// Nobody hits it any more: every permit comes back, and every task has its value.
fn is_as_on_its_first_day(
    pool: &ProcessPoolExecutor,
    of_seed: impl Fn(&str) -> String,
) -> Result<(), String> {
    until(&of_seed("every permit to come back"), || {
        pool.pending() == 0
    });
    pool.resize(pool.max_workers()).expect("as it is");
    let orders = (0..20).map(|id| Order {
        id,
        deed: Deed::Nothing,
        length: 20,
        ballast: expected_text(!id, 10),
    });
    awaiting(of_seed("tasks of a pool that is left in peace"));
    for (id, result) in (0..).zip(pool.call(work).timeout(None).map(orders)) {
        if !matches!(&result, Ok(Ok(text)) if *text == expected_text(id, 20)) {
            return Err(format!("in a pool that is left in peace: {result:?}"));
        }
    }
    Ok(())
}
