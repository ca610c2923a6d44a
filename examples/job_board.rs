//! A job board: one program has a manager and workers; another one, which connects by address and key, hangs up jobs and reads the results.
//!
//! On the board are a queue of jobs and a dictionary of results, found by their names. Workers take jobs one at a time, so a slow one holds nobody
//! up; one that is killed loses the job that it had, and nothing else.
//!
//! ```sh
//! cargo run --release --example job_board     # both programs, one after the other
//! ```
//!
//! or, in two terminals (with `--features network` and an address such as `tcp:0.0.0.0:4711`, on two hosts that both have the key file):
//!
//! ```sh
//! cargo run --release --example job_board -- serve unix:/tmp/board /tmp/board.key
//! cargo run --release --example job_board -- connect unix:/tmp/board /tmp/board.key
//! cargo run --release --example job_board -- close unix:/tmp/board /tmp/board.key
//! ```

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use procession::manager::{Address, DictProxy, Key, Manager, QueueProxy};
use procession::{Failure, Process};
use serde::{Deserialize, Serialize};

const WORKERS: usize = 3;

/// Find the factors of a number.
#[derive(Serialize, Deserialize)]
struct Job {
    name: String,
    number: u64,
}

type Jobs = QueueProxy<Job>;
type Results = DictProxy<String, Vec<u64>>;

/// Takes jobs until the board is closed, and says how many.
#[procession::task]
fn work(jobs: Jobs, results: Results) -> Result<usize, Failure> {
    let mut count = 0;
    for job in jobs.iter() {
        let Job { name, number } = job?;
        results.insert(name, factors(number))?;
        jobs.task_done()?;
        count += 1;
    }
    Ok(count)
}

fn factors(mut number: u64) -> Vec<u64> {
    let mut factors = Vec::new();
    let mut divisor = 2;
    while divisor * divisor <= number {
        while number.is_multiple_of(divisor) {
            number /= divisor;
            factors.push(divisor);
        }
        divisor += 1;
    }
    if number > 1 {
        factors.push(number);
    }
    factors
}

fn main() -> ExitCode {
    procession::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => both(),
        ["serve", address, key_file] => serve(address, key_file.as_ref(), || Ok(())),
        ["connect", address, key_file] => connect(address, key_file.as_ref()),
        ["close", address, key_file] => close(address, key_file.as_ref()),
        _ => Err("what to do is one of `serve`, `connect` and `close`, with an address and a file for the key".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The first program: the board, and those who work for it. `open` is called when the board is there.
fn serve(
    address: &str,
    key_file: &Path,
    open: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let manager = Manager::builder().address(&address.parse()?).start()?;
    let (jobs, results): (Jobs, Results) = (manager.queue()?, manager.dict()?);
    manager.publish("jobs", &jobs)?;
    manager.publish("results", &results)?;

    // Whoever can read this file can use the board.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(key_file)
        .map_err(|error| format!("{}: {error}", key_file.display()))?;
    writeln!(file, "{}", manager.key().to_hex())?;
    println!("the board is at {}", manager.address());

    let workers = (0..WORKERS).map(|_| Process::spawn(work, (jobs.clone(), results.clone())));
    let workers = workers.collect::<Result<Vec<_>, _>>()?;
    let opened = open();
    if opened.is_err() {
        jobs.close()?;
    }
    for worker in workers {
        println!("a worker has done {} jobs", worker.join()??);
    }
    fs::remove_file(key_file)?;
    opened
}

/// The second program.
fn connect(address: &str, key_file: &Path) -> Result<(), Failure> {
    let manager = find(address, key_file)?;
    let jobs: Jobs = manager.get("jobs")?;
    let results: Results = manager.get("results")?;
    for (name, number) in [
        ("a perfect one", 33_550_336),
        ("a prime", 2_147_483_647),
        ("a power", 1 << 40),
        ("ones", 11_111_111_111),
        ("the hardest", 999_983 * 1_000_003),
    ] {
        let name = name.to_owned();
        jobs.put(Job { name, number })
            .map_err(|error| error.to_string())?;
    }
    // Until all jobs are done, whoever hung them up.
    jobs.join()?;
    for (name, factors) in results.items()? {
        println!("{name}: {factors:?}");
    }
    assert_eq!(results.get("a power")?, Some(vec![2; 40]));
    Ok(())
}

/// There are no more jobs: then the workers come to their end, and with them the first program and the board.
fn close(address: &str, key_file: &Path) -> Result<(), Failure> {
    Ok(find(address, key_file)?.get::<Jobs>("jobs")?.close()?)
}

fn find(address: &str, key_file: &Path) -> Result<Manager, Failure> {
    let address: Address = address.parse()?;
    let key =
        fs::read_to_string(key_file).map_err(|error| format!("{}: {error}", key_file.display()))?;
    let key: Key = key.parse()?;
    Ok(Manager::connect(&address, &key)?)
}

/// The first program, which starts the second one when the board is there.
fn both() -> Result<(), Failure> {
    let own = std::env::current_exe()?;
    let address = format!("unix:@job-board-{}", std::process::id());
    let key_file = std::env::temp_dir().join(format!("job-board-{}.key", std::process::id()));
    serve(&address, &key_file, || {
        for part in ["connect", "close"] {
            let status = Command::new(&own)
                .args([part, &address])
                .arg(&key_file)
                .status()?;
            if !status.success() {
                return Err(format!("`{part}` has failed: {status}").into());
            }
        }
        Ok(())
    })
}
