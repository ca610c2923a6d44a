//! What workers print.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio as Pipe;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

use procession::{
    EndOfWorker, Future, OutputLine, OutputStream, ProcessPoolExecutor, ProcessPoolExecutorBuilder,
    Shutdown, Stdio, TaskError, TaskId, as_completed,
};
use rustix::process::{Pid, Signal, kill_process};

use super::programs::{self, Finished, finish, program};
use super::support::{self, Case, GateKeeper, Log, awaiting, stays, until};
use super::tasks::*;
use super::{builder, children, lost, refused_parameter};

pub(crate) fn programs() -> Vec<programs::Entry> {
    programs::programs![prints_as_chosen, holds_its_output].into()
}

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        every_line_is_there_before_the_future_is_done,
        lines_come_whole_however_they_were_written,
        lines_of_two_workers_are_told_apart,
        items_of_a_map_have_their_own_numbers,
        what_the_start_prints_is_no_tasks,
        what_is_printed_before_init_is_no_tasks,
        what_a_dying_worker_printed_is_there_before_its_error,
        what_a_task_printed_before_its_time_was_up_is_there,
        workers_that_are_replaced_lose_no_line,
        a_line_comes_while_its_task_runs,
        somebody_who_holds_the_pipe_open_holds_nobody_up,
        somebody_who_never_stops_writing_holds_nobody_up,
        a_handler_may_panic,
        a_handler_may_submit,
        a_handler_that_blocks_holds_up_futures_and_nothing_else,
        workers_wait_for_a_slow_handler,
        tasks_wait_for_a_slow_handler,
        a_worker_that_is_held_back_for_the_handler_is_not_suspected,
        tasks_that_print_nothing_are_bounded_while_the_handler_is_slow,
        a_shutdown_waits_for_the_handler,
        last_words_are_kept,
        last_words_of_a_captured_stream_are_the_tasks_own,
        streams_go_where_they_are_sent,
        nobody_needs_to_listen_to_a_tee,
        a_program_may_hold_its_own_output,
        choices_that_contradict_each_other_are_refused,
    ]
}

// ---- support ----

type Lines = Arc<Mutex<Vec<OutputLine>>>;

/// A pool of so many workers that captures both streams, and what it has captured.
fn capture(workers: usize) -> (ProcessPoolExecutorBuilder, Lines) {
    let lines = Lines::default();
    let builder = capture_with(workers, {
        let lines = lines.clone();
        move |line| lines.lock().unwrap().push(line.clone())
    });
    (builder, lines)
}

fn capture_with(
    workers: usize,
    handler: impl Fn(&OutputLine) + Send + Sync + 'static,
) -> ProcessPoolExecutorBuilder {
    let builder = builder(workers)
        .stdout(Stdio::Capture)
        .stderr(Stdio::Capture);
    builder.on_output(handler)
}

fn take(lines: &Lines) -> Vec<OutputLine> {
    std::mem::take(&mut lines.lock().unwrap())
}

/// What was printed to a stream.
fn texts(lines: &[OutputLine], stream: OutputStream) -> Vec<&str> {
    let lines = lines.iter().filter(|line| line.stream == stream);
    lines.map(|line| &*line.text).collect()
}

/// All of it was printed by this task in this process.
#[track_caller]
fn are_of(lines: &[OutputLine], task: TaskId, pid: u32, function: &str) {
    for line in lines {
        assert_eq!((line.task, line.pid), (Some(task), pid), "{line:?}");
        let name = line.function.unwrap_or_default();
        assert!(name.ends_with(&format!("::{function}")), "{line:?}");
    }
}

const STDOUT: OutputStream = OutputStream::Stdout;
const STDERR: OutputStream = OutputStream::Stderr;

// ---- lines ----

fn every_line_is_there_before_the_future_is_done() {
    const COUNT: u32 = 10_000;
    let (builder, lines) = capture(1);
    let pool = builder.build().unwrap();
    let expected: Vec<String> = (0..COUNT).map(|line| format!("a {line}")).collect();
    let check = |task, pid| {
        let lines = take(&lines);
        assert_eq!(texts(&lines, STDOUT), expected);
        assert_eq!(lines.len(), expected.len());
        are_of(&lines, task, pid, "print_lines");
    };
    let submit = || pool.submit(print_lines, ("a".to_owned(), COUNT)).unwrap();
    for _ in 0..3 {
        let future = submit();
        let pid = future.wait().unwrap();
        check(future.id(), pid);
        let future = submit();
        let task = future.id();
        check(task, futures::executor::block_on(future).unwrap());
        for future in as_completed([submit()]) {
            check(future.id(), future.wait().unwrap());
        }
        let (sender, done) = mpsc::channel();
        let future = submit();
        let task = future.id();
        future.on_done(move |result| {
            let _ = sender.send(result.unwrap());
        });
        awaiting("a callback");
        check(task, done.recv().unwrap());
    }
}

fn lines_come_whole_however_they_were_written() {
    let long = "x".repeat(150_000);
    let pieces: Vec<Vec<u8>> = [
        &b"a"[..],
        b"b\nc",
        b"\n",
        b"\n",
        b"not \xff\xfe UTF-8, cut: \xc3",
        b"\xa4\n",
        b"\0\r\n",
        &long.as_bytes()[..100_000],
        &long.as_bytes()[100_000..],
        b"\nrest",
    ]
    .map(<[u8]>::to_vec)
    .into();
    let expected = [
        "ab",
        "c",
        "",
        "not \u{fffd}\u{fffd} UTF-8, cut: ä",
        "\0\r",
        &long[..65_536],
        &long[65_536..131_072],
        &long[131_072..],
        "rest",
    ];
    let (builder, lines) = capture(1);
    let pool = builder.build().unwrap();
    for (stdout, stderr) in [(true, false), (false, true), (true, true)] {
        let pieces = |is_used| if is_used { pieces.clone() } else { Vec::new() };
        let arguments = (pieces(stdout), pieces(stderr));
        let future = pool.submit(print_pieces, arguments).unwrap();
        let pid = future.wait().unwrap();
        let lines = take(&lines);
        for (stream, is_used) in [(STDOUT, stdout), (STDERR, stderr)] {
            let expected = if is_used { &expected[..] } else { &[] };
            assert_eq!(texts(&lines, stream), expected);
        }
        are_of(&lines, future.id(), pid, "print_pieces");
    }
    // What one left without an end is not the beginning of the next one's.
    for text in ["one", "two", ""] {
        let future = pool.submit(print_without_an_end, text.to_owned()).unwrap();
        future.wait().unwrap();
        let expected = if text.is_empty() { vec![] } else { vec![text] };
        assert_eq!(texts(&take(&lines), STDOUT), expected);
    }
}

fn lines_of_two_workers_are_told_apart() {
    let (builder, lines) = capture(2);
    let pool = builder.build().unwrap();
    let futures: Vec<_> = (0..20)
        .map(|n| {
            pool.submit(print_lines, (format!("task {n}"), 300))
                .unwrap()
        })
        .collect();
    let mut tasks = BTreeMap::new();
    for (n, future) in futures.iter().enumerate() {
        tasks.insert(future.id(), (n, future.wait().unwrap()));
    }
    let lines = take(&lines);
    assert_eq!(lines.len(), 20 * 300);
    for (task, (n, pid)) in tasks {
        let of_task = lines.iter().filter(|line| line.task == Some(task));
        let of_task: Vec<OutputLine> = of_task.cloned().collect();
        let expected: Vec<String> = (0..300).map(|line| format!("task {n} {line}")).collect();
        assert_eq!(texts(&of_task, STDOUT), expected);
        are_of(&of_task, task, pid, "print_lines");
    }
}

fn items_of_a_map_have_their_own_numbers() {
    let (builder, lines) = capture(2);
    let pool = builder.build().unwrap();
    for (chunksize, tasks) in [(1, 12), (4, 3)] {
        let items = (0..12).map(|n| (format!("item {n}"), 5));
        let results = pool.map(print_lines, items).chunksize(chunksize);
        assert_eq!(results.filter(Result::is_ok).count(), 12);
        let mut by_task: BTreeMap<Option<TaskId>, Vec<String>> = BTreeMap::new();
        for line in take(&lines) {
            by_task.entry(line.task).or_default().push(line.text);
        }
        assert_eq!(by_task.len(), tasks);
        let mut all = Vec::new();
        for (task, lines) in by_task {
            assert!(task.is_some() && lines.len() == 5 * chunksize, "{lines:?}");
            all.extend(lines);
        }
        let line = |n| move |line| format!("item {n} {line}");
        let mut expected: Vec<String> = (0..12).flat_map(|n| (0..5).map(line(n))).collect();
        all.sort();
        expected.sort();
        assert_eq!(all, expected);
    }
}

fn what_the_start_prints_is_no_tasks() {
    let (builder, lines) = capture(2);
    let builder = builder.initializer(print_at_the_start, "hello".to_owned());
    let pool = builder.build().unwrap();
    for future in [(); 4].map(|()| pool.submit(print_lines, ("a".into(), 1)).unwrap()) {
        future.wait().unwrap();
    }
    drop(pool);
    let lines = take(&lines);
    let (of_tasks, others): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.task.is_some());
    assert_eq!(texts(&of_tasks, STDOUT), ["a 0"; 4]);
    assert_eq!(texts(&others, STDERR), ["hello"; 2]);
    let mut stdout = texts(&others, STDOUT);
    stdout.sort_unstable();
    assert_eq!(
        stdout,
        [
            "hello",
            "hello",
            "hello without an end",
            "hello without an end"
        ]
    );
    assert!(others.iter().all(|line| line.function.is_none()));
}

/// Chooses [`print_before_init`] for a worker.
const PRINTS_FIRST: &str = "WORKERS_PRINTS_FIRST";

/// What a program does before it comes to `init()`, if it is so unwise.
pub(crate) fn print_before_init() {
    if std::env::var_os(PRINTS_FIRST).is_some() {
        println!("too");
        print!("early");
    }
}

fn what_is_printed_before_init_is_no_tasks() {
    let (builder, lines) = capture(1);
    let pool = builder.env(PRINTS_FIRST, "1").build().unwrap();
    let future = pool.submit(print_lines, ("a".into(), 1)).unwrap();
    future.wait().unwrap();
    let lines = take(&lines);
    assert_eq!(texts(&lines, STDOUT), ["too", "early", "a 0"]);
    let tasks: Vec<_> = lines.iter().map(|line| line.task).collect();
    assert_eq!(tasks, [None, None, Some(future.id())]);
}

// ---- ends ----

fn what_a_dying_worker_printed_is_there_before_its_error() {
    let (builder, lines) = capture(2);
    let pool = builder.build().unwrap();
    for _ in 0..5 {
        let future = pool.submit(print_and_die, "farewell".to_owned()).unwrap();
        let lost = lost(&future);
        assert_eq!(lost.end, EndOfWorker::Signalled(libc::SIGABRT));
        let lines = take(&lines);
        assert_eq!(texts(&lines, STDOUT), ["farewell"]);
        assert_eq!(
            texts(&lines, STDERR),
            ["farewell", "farewell without an end"]
        );
        are_of(&lines, future.id(), lost.pid, "print_and_die");
        let words = lost.last_words.as_deref();
        assert_eq!(words, Some("farewell\nfarewell without an end"));
    }
}

fn what_a_task_printed_before_its_time_was_up_is_there() {
    let (builder, lines) = capture(1);
    let pool = builder.build().unwrap();
    let keeper = GateKeeper::new();
    let call = pool
        .call(print_and_pass)
        .timeout(Duration::from_millis(100));
    let future = call.submit((keeper.gate(), 1)).unwrap();
    match future.wait() {
        Err(TaskError::TimeLimit(limit)) => {
            let lines = take(&lines);
            assert_eq!(texts(&lines, STDOUT), ["before 1"]);
            are_of(&lines, future.id(), limit.pid.unwrap(), "print_and_pass");
        }
        other => panic!("{other:?}"),
    }
}

fn workers_that_are_replaced_lose_no_line() {
    let (builder, lines) = capture(2);
    let pool = builder.max_tasks_per_child(2).build().unwrap();
    let futures: Vec<_> = (0..40)
        .map(|n| pool.submit(print_lines, (format!("task {n}"), 20)).unwrap())
        .collect();
    for future in &futures {
        future.wait().unwrap();
    }
    let lines = take(&lines);
    for (n, future) in futures.iter().enumerate() {
        let of_task = lines.iter().filter(|line| line.task == Some(future.id()));
        let of_task: Vec<&str> = of_task.map(|line| &*line.text).collect();
        let expected: Vec<String> = (0..20).map(|line| format!("task {n} {line}")).collect();
        assert_eq!(of_task, expected);
    }
}

fn a_line_comes_while_its_task_runs() {
    let (builder, lines) = capture(1);
    let pool = builder.build().unwrap();
    let keeper = GateKeeper::new();
    let future = pool.submit(print_and_pass, (keeper.gate(), 1)).unwrap();
    let pid = keeper.arrival().pid;
    until("the first line", || !lines.lock().unwrap().is_empty());
    assert!(!future.is_done());
    are_of(&take(&lines), future.id(), pid, "print_and_pass");
    keeper.open(1);
    future.wait().unwrap();
    assert_eq!(texts(&take(&lines), STDOUT), ["after 1"]);
}

// ---- others that write ----

/// Ends what a task has left behind; it may have gone with its worker.
fn end(pid: u32) {
    let pid = Pid::from_raw(pid as i32).expect("a process's number");
    let _ = kill_process(pid, Signal::KILL);
}

fn somebody_who_holds_the_pipe_open_holds_nobody_up() {
    let (builder, lines) = capture(1);
    let pool = builder.build().unwrap();
    for escapes in [false, true] {
        let future = pool.submit(leave_a_holder, ("holder".into(), escapes));
        let holder = future.unwrap().wait().unwrap();
        assert_eq!(texts(&take(&lines), STDOUT), ["holder"]);
        pool.submit(print_lines, ("next".into(), 1))
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(texts(&take(&lines), STDOUT), ["next 0"]);
        // Also when its worker dies before it does.
        let lost = lost(&pool.submit(print_and_die, "end".into()).unwrap());
        assert_eq!(lost.end, EndOfWorker::Signalled(libc::SIGABRT));
        take(&lines);
        let is_gone = || support::state_of(holder).is_none_or(|state| state == 'Z');
        if escapes {
            assert!(!is_gone());
            end(holder);
        } else {
            until("the holder to go with its worker", is_gone);
        }
    }
    let future = pool
        .submit(leave_a_holder, ("holder".into(), true))
        .unwrap();
    let holder = future.wait().unwrap();
    awaiting("the shutdown, while somebody holds the pipe");
    pool.shutdown(Shutdown::Wait, None).unwrap();
    end(holder);
}

fn somebody_who_never_stops_writing_holds_nobody_up() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let pool = capture_with(2, {
        let lines = lines.clone();
        move |line| {
            if line.text != "y" {
                lines.lock().unwrap().push(line.clone());
            }
        }
    });
    let pool = pool.build().unwrap();
    for escapes in [false, true] {
        let future = pool.submit(leave_a_writer, ("writer".into(), escapes));
        let writer = future.unwrap().wait().unwrap();
        for _ in 0..5 {
            awaiting("a task, while somebody writes");
            assert_eq!(pool.submit(double, 21).unwrap().wait().unwrap(), 42);
        }
        if escapes {
            awaiting("the shutdown, while somebody writes");
            pool.shutdown(Shutdown::Wait, None).unwrap();
        }
        end(writer);
    }
    assert_eq!(lines.lock().unwrap().len(), 2);
}

// ---- handlers ----

/// A handler that waits until it is let through, once.
fn barred() -> (
    impl Fn(&OutputLine) + Send + Sync + 'static,
    Sender<()>,
    Lines,
) {
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(Some(receiver));
    let lines = Lines::default();
    let handler = {
        let lines = lines.clone();
        move |line: &OutputLine| {
            if let Some(receiver) = receiver.lock().unwrap().take() {
                receiver.recv().unwrap();
            }
            lines.lock().unwrap().push(line.clone());
        }
    };
    (handler, sender, lines)
}

fn a_handler_may_panic() {
    let lines = Lines::default();
    let pool = capture_with(1, {
        let lines = lines.clone();
        move |line| {
            lines.lock().unwrap().push(line.clone());
            // Without a message.
            std::panic::resume_unwind(Box::new(()));
        }
    });
    let pool = pool.build().unwrap();
    for _ in 0..2 {
        pool.submit(print_lines, ("a".into(), 100))
            .unwrap()
            .wait()
            .unwrap();
        assert_eq!(take(&lines).len(), 100);
    }
}

fn a_handler_may_submit() {
    let place: Arc<OnceLock<Weak<ProcessPoolExecutor>>> = Arc::default();
    let futures: Arc<Mutex<Vec<Future<u64>>>> = Arc::default();
    let pool = capture_with(1, {
        let (place, futures) = (place.clone(), futures.clone());
        move |line| {
            let pool = place.get().and_then(Weak::upgrade).unwrap();
            let length = line.text.len() as u64;
            let future = pool.submit(double, length).unwrap();
            futures.lock().unwrap().push(future);
        }
    });
    let pool = Arc::new(pool.build().unwrap());
    place.set(Arc::downgrade(&pool)).unwrap();
    pool.submit(print_lines, ("a".into(), 10))
        .unwrap()
        .wait()
        .unwrap();
    let futures = std::mem::take(&mut *futures.lock().unwrap());
    assert_eq!(futures.len(), 10);
    for future in futures {
        assert_eq!(future.wait().unwrap(), 6);
    }
}

fn a_handler_that_blocks_holds_up_futures_and_nothing_else() {
    let (handler, open, lines) = barred();
    let pool = capture_with(1, handler).build().unwrap();
    let keeper = GateKeeper::new();
    let first = pool.submit(print_lines, ("a".into(), 1)).unwrap();
    // The next one runs meanwhile, and a time limit ends it.
    let call = pool.call(pass).timeout(Duration::from_millis(500));
    let second = call.submit((keeper.gate(), 0)).unwrap();
    let third = pool.submit(pass, (keeper.gate(), 1)).unwrap();
    let pids = [keeper.arrival().pid, keeper.arrival().pid];
    assert_ne!(pids[0], pids[1], "the time limit has ended a worker");
    assert!(!first.is_done() && !second.is_done() && !third.is_done());
    open.send(()).unwrap();
    first.wait().unwrap();
    assert_eq!(take(&lines).len(), 1);
    assert!(matches!(second.wait(), Err(TaskError::TimeLimit(_))));
    keeper.open(1);
    assert_eq!(third.wait().unwrap(), pids[1]);
}

/// Waits until a number stays as it is.
fn settled(mut number: impl FnMut() -> usize) -> usize {
    let mut last = (number(), Instant::now());
    until("a number to stay as it is", || {
        let now = number();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(200)
    });
    last.0
}

fn workers_wait_for_a_slow_handler() {
    let (handler, open, lines) = barred();
    let pool = capture_with(1, handler).build().unwrap();
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let future = pool
        .submit(print_and_note, (log.clone(), 100, 60_000))
        .unwrap();
    // A megabyte, and what pipes and buffers hold.
    let count = settled(|| log.lines().len());
    assert!((10..30).contains(&count), "{count} lines of 60 000 bytes");
    assert!(!future.is_done());
    open.send(()).unwrap();
    future.wait().unwrap();
    assert_eq!(take(&lines).len(), 100);
}

fn tasks_wait_for_a_slow_handler() {
    let (handler, open, lines) = barred();
    let pool = capture_with(2, handler).build().unwrap();
    let keeper = GateKeeper::new();
    let log: Log = keeper.log();
    let submit = |line| {
        let arguments = (log.clone(), line, 60_000);
        pool.submit(note_and_print, arguments).unwrap()
    };
    let mut futures: Vec<_> = (0..100).map(submit).collect();
    let count = settled(|| log.lines().len());
    assert!(
        (10..30).contains(&count),
        "{count} tasks that print 60 000 bytes"
    );
    // One that waits like that has not begun.
    let waiting = futures.pop().unwrap();
    assert!(waiting.cancel());
    open.send(()).unwrap();
    for future in futures {
        future.wait().unwrap();
    }
    assert_eq!((take(&lines).len(), log.lines().len()), (99, 99));
}

fn tasks_that_print_nothing_are_bounded_while_the_handler_is_slow() {
    let (handler, open, _) = barred();
    let pool = capture_with(1, handler).max_pending(10).build().unwrap();
    let first = pool.submit(print_lines, ("a".into(), 1)).unwrap();
    let keeper = GateKeeper::new();
    let log = keeper.log();
    // As many as there may be: a future that has not been completed is pending.
    let mut futures = Vec::new();
    until("no more to be taken", || {
        let line = futures.len() as u32;
        match pool.try_submit(note, (log.clone(), line)) {
            Ok(future) => futures.push(future),
            Err(_) => return log.lines().len() == 9,
        }
        false
    });
    assert_eq!((futures.len(), pool.pending()), (9, 10));
    open.send(()).unwrap();
    first.wait().unwrap();
    for future in futures {
        future.wait().unwrap();
    }
}

fn a_shutdown_waits_for_the_handler() {
    let (handler, open, lines) = barred();
    let pool = capture_with(1, handler).build().unwrap();
    let future = pool.submit(print_lines, ("a".into(), 50)).unwrap();
    std::thread::scope(|scope| {
        let ends = scope.spawn(|| pool.shutdown(Shutdown::Wait, None));
        until("its worker to go", || super::children().is_empty());
        assert!(!future.is_done());
        open.send(()).unwrap();
        awaiting("the shutdown");
        ends.join().unwrap().unwrap();
    });
    future.wait().unwrap();
    assert_eq!(take(&lines).len(), 50);
}

// ---- where it goes ----

/// Its frame is with the driver, so that it cannot begin what has a time limit.
fn a_worker_that_is_held_back_for_the_handler_is_not_suspected() {
    let (handler, open, _) = barred();
    let pool = capture_with(1, handler).build().unwrap();
    let keeper = GateKeeper::new();
    let printing = print_and_note_all(&pool, &keeper);
    let before = children();
    let call = pool.call(pid).timeout(Duration::from_millis(50));
    let limited = call.submit(()).unwrap();
    stays(Duration::from_millis(2500), "the worker lives", || {
        children() == before
    });
    open.send(()).unwrap();
    printing.wait().unwrap();
    assert_eq!(limited.wait().unwrap(), before[0]);
}

/// A task that prints more than may wait for the handler, when it has.
fn print_and_note_all(pool: &ProcessPoolExecutor, keeper: &GateKeeper) -> Future<()> {
    let log = keeper.log();
    let future = pool
        .submit(print_and_note, (log.clone(), 18, 60_000))
        .unwrap();
    until("all of it to be printed", || log.lines().len() == 18);
    future
}

fn last_words_of_a_captured_stream_are_the_tasks_own() {
    let (builder, _) = capture(1);
    let pool = builder.build().unwrap();
    pool.submit(print_words, "nothing to worry about".into())
        .unwrap()
        .wait()
        .unwrap();
    let lost = lost(&pool.submit(die_silently, ()).unwrap());
    assert_eq!(lost.last_words, None, "{lost}");
}

fn last_words_are_kept() {
    let pool = builder(1)
        .stdout(Stdio::Null)
        .stderr(Stdio::Tee)
        .build()
        .unwrap();
    let died = lost(&pool.submit(print_and_die, "farewell".into()).unwrap());
    let words = died.last_words.as_deref();
    assert_eq!(words, Some("farewell\nfarewell without an end"));
    assert!(
        died.to_string()
            .ends_with("; its last words: farewell\nfarewell without an end")
    );
    // Only the last ones.
    let pieces = vec![vec![b'x'; 100_000], b"\nthe end\n".to_vec()];
    pool.submit(print_pieces, (vec![], pieces))
        .unwrap()
        .wait()
        .unwrap();
    let died = lost(&pool.submit(abort, ()).unwrap());
    assert_eq!(died.last_words.as_deref(), Some("the end"));
    let died = lost(&pool.submit(abort, ()).unwrap());
    assert_eq!(died.last_words, None, "of another worker");
}

/// Prints from a worker, with each stream sent somewhere.
fn prints_as_chosen() {
    procession::init();
    let chosen = |n| match std::env::args().nth(n).as_deref() {
        Some("inherit") => Stdio::Inherit,
        Some("null") => Stdio::Null,
        Some("tee") => Stdio::Tee,
        Some("capture") => Stdio::Capture,
        other => panic!("{other:?}"),
    };
    let streams = [chosen(1), chosen(2)];
    let mut builder = builder(1).stdout(streams[0]).stderr(streams[1]);
    if streams.contains(&Stdio::Capture) {
        builder = builder.on_output(|line| {
            let mut out: Box<dyn std::io::Write> = match line.stream {
                OutputStream::Stdout => Box::new(std::io::stdout()),
                _ => Box::new(std::io::stderr()),
            };
            writeln!(out, "[{}]", line.text).unwrap();
        });
    }
    let pool = builder.build().unwrap();
    for n in 0..20 {
        let line = |name| format!("{name} {n}\n").into_bytes();
        let pieces = (vec![line("out")], vec![line("err")]);
        pool.submit(print_pieces, pieces).unwrap().wait().unwrap();
    }
}

fn streams_go_where_they_are_sent() {
    let all = |name, left: &str, right: &str| -> String {
        let line = |n| format!("{left}{name} {n}{right}\n");
        (0..20).map(line).collect()
    };
    let expected = |how, name| match how {
        "null" => String::new(),
        "capture" => all(name, "[", "]"),
        _ => all(name, "", ""),
    };
    let ways = ["inherit", "null", "tee", "capture"];
    for (stdout, stderr) in ways.iter().flat_map(|way| ways.map(|other| (*way, other))) {
        let Finished {
            status,
            stdout: out,
            stderr: err,
        } = finish(program("prints_as_chosen").args([stdout, stderr]));
        assert!(status.success(), "{stdout}, {stderr}: {err}");
        assert_eq!(out, expected(stdout, "out"), "{stdout}, {stderr}");
        assert_eq!(err, expected(stderr, "err"), "{stdout}, {stderr}");
    }
}

fn nobody_needs_to_listen_to_a_tee() {
    for stream in ["tee", "inherit"] {
        let mut command = program("prints_as_chosen");
        command.args(["tee", stream]).stdin(Pipe::null());
        let mut child = command
            .stdout(Pipe::piped())
            .stderr(Pipe::null())
            .spawn()
            .unwrap();
        // It writes to a pipe that nobody reads any more.
        drop(child.stdout.take());
        awaiting("the program to end");
        assert!(child.wait().unwrap().success());
    }
}

/// As `let mut out = io::stdout().lock()` at the beginning of `main` does.
fn holds_its_output() {
    procession::init();
    let mut out = std::io::stdout().lock();
    let mut errors = std::io::stderr().lock();
    for how in [Stdio::Tee, Stdio::Inherit] {
        let pool = builder(1).stdout(how).stderr(how).build().unwrap();
        let pieces = (
            vec![b"of the worker\n".to_vec()],
            vec![b"of the worker\n".to_vec()],
        );
        pool.submit(print_pieces, pieces).unwrap().wait().unwrap();
        drop(pool);
        writeln!(out, "of the program").unwrap();
        writeln!(errors, "of the program").unwrap();
    }
}

fn a_program_may_hold_its_own_output() {
    let finished = finish(&mut program("holds_its_output"));
    assert!(finished.status.success(), "{finished:?}");
    let expected = ["of the worker", "of the program"].repeat(2);
    assert_eq!(finished.lines(), expected);
    assert_eq!(finished.stderr.lines().collect::<Vec<_>>(), expected);
}

fn choices_that_contradict_each_other_are_refused() {
    let refusals = [
        builder(1).stdout(Stdio::Capture),
        builder(1).stderr(Stdio::Capture),
        builder(1).on_output(|_| {}),
        builder(1).stderr(Stdio::Tee).on_output(|_| {}),
    ];
    assert_eq!(refusals.map(refused_parameter), ["on_output"; 4]);
}
