//! Records of `log`.

use super::listener::{self, By, Value};
use super::support::{self, Case};
use super::{builder, pool, tasks};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        a_log_record_comes_as_it_was_made,
        pairs_keep_their_types,
        levels_and_targets_are_filtered,
        a_worker_listens_as_its_driver_did_at_its_start,
        what_is_too_long_is_cut,
        what_speaks_while_it_is_printed_is_heard_first,
        a_panic_while_a_record_is_made_is_the_tasks,
        nothing_is_said_unless_it_was_asked_for,
    ]
}

fn a_log_record_comes_as_it_was_made() {
    let pool = pool(1);
    let future = pool.submit(tasks::log_one, ()).unwrap();
    let (pid, line) = future.wait().unwrap();
    let heard = listener::take();
    let [heard] = &heard[..] else {
        panic!("{heard:#?}")
    };
    assert_eq!((heard.by, &*heard.level), (By::Log, "WARN"));
    assert_eq!(heard.target, "some::target");
    assert_eq!(heard.message, "low on ink: 3 left");
    assert_eq!(heard.module_path.as_deref(), Some("records::tasks"));
    assert_eq!(heard.file.as_deref(), Some("tests/records/tasks.rs"));
    assert_eq!(heard.line, Some(line));
    assert_eq!(
        heard.own_fields(),
        [("printer", Value::Str("upstairs".into()))]
    );
    assert_eq!(heard.number("worker.pid"), Some(pid.into()));
    let id = future.id().to_string();
    assert_eq!(heard.number("worker.task"), id.parse().ok());
    assert_eq!(
        heard.text("worker.function"),
        Some("records::tasks::log_one")
    );
    assert_eq!(heard.thread, "procession-output");
}

fn pairs_keep_their_types() {
    let pool = pool(1);
    pool.submit(tasks::log_values, ()).unwrap().wait().unwrap();
    let heard = listener::wait_for("values");
    assert_eq!(
        heard.own_fields(),
        [
            ("bool", Value::Bool(true)),
            ("i64", Value::I64(-1)),
            ("u64", Value::U64(u64::MAX)),
            ("i128", Value::I128(i128::MIN)),
            ("u128", Value::U128(u128::MAX)),
            ("f64", Value::F64(1.5)),
            ("str", Value::Str("text".into())),
            ("char", Value::Str("ü".into())),
            ("debug", Value::Text("Some(1)".into())),
            ("display", Value::Text("127.0.0.1".into())),
            ("null", Value::Null),
        ]
    );
}

fn levels_and_targets_are_filtered() {
    let pool = pool(1);
    pool.submit(tasks::log_levels, ()).unwrap().wait().unwrap();
    assert_eq!(listener::messages(), ["error", "warn", "info", "debug"]);
}

fn a_worker_listens_as_its_driver_did_at_its_start() {
    struct Restored;
    impl Drop for Restored {
        fn drop(&mut self) {
            log::set_max_level(log::LevelFilter::Debug);
        }
    }
    let _restored = Restored;
    log::set_max_level(log::LevelFilter::Warn);
    let pool = pool(1);
    log::set_max_level(log::LevelFilter::Trace);
    pool.submit(tasks::log_levels, ()).unwrap().wait().unwrap();
    assert_eq!(listener::messages(), ["error", "warn"]);
    // Its successor listens to more.
    pool.resize_between(0, 1).unwrap();
    let crashed = pool.submit(tasks::exit_after_saying, "bye".to_owned());
    crashed.unwrap().wait().unwrap_err();
    listener::forget();
    pool.submit(tasks::log_levels, ()).unwrap().wait().unwrap();
    let all = ["error", "warn", "info", "debug", "trace"];
    assert_eq!(listener::messages(), all);
    drop(pool);
    log::set_max_level(log::LevelFilter::Off);
    let pool = builder(1).build().unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    pool.submit(tasks::log_levels, ()).unwrap().wait().unwrap();
    assert_eq!(listener::messages(), [""; 0]);
}

fn what_is_too_long_is_cut() {
    for (max_frame, room) in [(4096, 4096), (1 << 20, 64 * 1024)] {
        listener::forget();
        let pool = builder(1).max_frame(max_frame).build().unwrap();
        let said = pool.submit(tasks::log_at_length, 1_000_000).unwrap();
        said.wait().unwrap();
        let heard = listener::take();
        assert_eq!(heard.len(), 2);
        for heard in heard {
            assert_eq!(heard.message.len(), room / 4 + '…'.len_utf8());
            assert!(heard.message.ends_with('…'));
            let value = heard.text("long").unwrap();
            assert_eq!(value.len(), room / 16 + '…'.len_utf8());
            assert_eq!(heard.own_fields().len(), 2);
        }
    }
    let pool = pool(1);
    pool.submit(tasks::log_many_pairs, 40)
        .unwrap()
        .wait()
        .unwrap();
    let heard = listener::wait_for("pairs");
    let own = heard.own_fields();
    assert_eq!(own.len(), 32);
    assert_eq!(own[30], ("key30", Value::U64(30)));
    assert_eq!(own[31], ("…", Value::Text("9 more".into())));
}

fn what_speaks_while_it_is_printed_is_heard_first() {
    let pool = pool(1);
    let depth = 5;
    pool.submit(tasks::log_inside_of_log, depth)
        .unwrap()
        .wait()
        .unwrap();
    let expected: Vec<String> = (0..=depth).map(|n| format!("level {n}")).collect();
    assert_eq!(listener::messages(), expected);
}

fn a_panic_while_a_record_is_made_is_the_tasks() {
    let pool = pool(1);
    let error = pool.submit(tasks::panic_in_a_record, ()).unwrap().wait();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("cannot be printed"), "{error}");
    assert_eq!(listener::messages(), [""; 0]);
    pool.submit(tasks::say, "next".to_owned())
        .unwrap()
        .wait()
        .unwrap();
    assert_eq!(listener::messages(), ["next"]);
}

fn nothing_is_said_unless_it_was_asked_for() {
    listener::forget();
    let pool = builder(1).forward_records(false).build().unwrap();
    pool.submit(tasks::say, "nothing".to_owned())
        .unwrap()
        .wait()
        .unwrap();
    pool.submit(tasks::trace_one, ()).unwrap().wait().unwrap();
    assert!(
        pool.submit(tasks::set_a_logger, ())
            .unwrap()
            .wait()
            .unwrap()
    );
    assert_eq!(listener::take(), []);
}
