//! Events and spans of `tracing`.

use super::listener::{self, By, Value};
use super::support::{self, Case};
use super::{pool, tasks};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        an_event_comes_as_it_was_made,
        fields_keep_their_types,
        levels_and_targets_are_filtered,
        the_spans_around_an_event_are_named,
        spans_of_threads_are_their_own,
        an_event_without_a_message_has_none,
        more_places_than_are_kept_are_told_as_fields,
        both_facades_come_in_one_order,
    ]
}

fn an_event_comes_as_it_was_made() {
    let pool = pool(1);
    let future = pool.submit(tasks::trace_one, ()).unwrap();
    let (pid, line) = future.wait().unwrap();
    let heard = listener::take();
    let [heard] = &heard[..] else {
        panic!("{heard:#?}")
    };
    assert_eq!((heard.by, &*heard.level), (By::Tracing, "INFO"));
    assert_eq!(heard.target, "some::target");
    assert_eq!(heard.name, "ink");
    assert_eq!(heard.message, "low on ink: 3 left");
    assert_eq!(heard.module_path.as_deref(), Some("records::tasks"));
    assert_eq!(heard.file.as_deref(), Some("tests/records/tasks.rs"));
    assert_eq!(heard.line, Some(line));
    assert_eq!(heard.own_fields(), [("left", Value::I64(3))]);
    assert_eq!(heard.field("worker.spans"), None);
    assert_eq!(heard.number("worker.pid"), Some(pid.into()));
    let id = future.id().to_string();
    assert_eq!(heard.number("worker.task"), id.parse().ok());
    assert_eq!(
        heard.text("worker.function"),
        Some("records::tasks::trace_one")
    );
    assert_eq!(heard.thread, "procession-output");
}

fn fields_keep_their_types() {
    let pool = pool(1);
    // More than once: the second time, its place is known here.
    for _ in 0..3 {
        listener::forget();
        let said = pool.submit(tasks::trace_values, ()).unwrap();
        said.wait().unwrap();
        assert_eq!(
            listener::wait_for("values").own_fields(),
            [
                ("bool", Value::Bool(true)),
                ("i64", Value::I64(-1)),
                ("u64", Value::U64(u64::MAX)),
                ("i128", Value::I128(i128::MIN)),
                ("u128", Value::U128(u128::MAX)),
                ("f64", Value::F64(1.5)),
                ("str", Value::Str("text".into())),
                ("debug", Value::Text("Some(1)".into())),
                ("display", Value::Text("127.0.0.1".into())),
                ("error", Value::Text("an error".into())),
                ("dotted.name", Value::U64(1)),
            ]
        );
    }
}

fn levels_and_targets_are_filtered() {
    let pool = pool(1);
    for _ in 0..2 {
        let said = pool.submit(tasks::trace_levels, ()).unwrap();
        said.wait().unwrap();
        assert_eq!(listener::messages(), ["error", "warn", "info", "debug"]);
    }
}

fn the_spans_around_an_event_are_named() {
    let pool = pool(1);
    pool.submit(tasks::trace_in_spans, ())
        .unwrap()
        .wait()
        .unwrap();
    let heard = listener::take();
    let spans: Vec<(&str, Option<&str>)> = heard
        .iter()
        .map(|heard| (&*heard.message, heard.text("worker.spans")))
        .collect();
    assert_eq!(
        spans,
        [
            ("around nothing", None),
            ("in one", Some("outer{a=1 b=\"x\"}")),
            ("in two", Some("outer{a=1 b=\"x\"}:inner")),
            ("told later", Some("outer{a=1 b=\"x\"}:inner{later=true}")),
            ("by its parent", Some("outer{a=1 b=\"x\"}")),
            ("a root", None),
            ("after its parent was closed", Some("gone:stays")),
            ("in a span that is not listened to", None),
            ("at the end", None),
        ]
    );
}

fn spans_of_threads_are_their_own() {
    let pool = pool(1);
    let threads = 4;
    let said = pool.submit(tasks::trace_in_threads, threads).unwrap();
    said.wait().unwrap();
    let mut spans: Vec<(String, String)> = listener::take()
        .into_iter()
        .map(|heard| {
            let spans = heard.text("worker.spans").unwrap_or_default().to_owned();
            (heard.message, spans)
        })
        .collect();
    spans.sort();
    let mut expected: Vec<(String, String)> = (0..threads)
        .flat_map(|n| (0..100).map(move |_| (format!("thread {n}"), format!("thread{{n={n}}}"))))
        .collect();
    expected.sort();
    assert_eq!(spans, expected);
}

fn an_event_without_a_message_has_none() {
    let pool = pool(1);
    pool.submit(tasks::trace_without_a_message, 7)
        .unwrap()
        .wait()
        .unwrap();
    let heard = listener::take();
    let [heard] = &heard[..] else {
        panic!("{heard:#?}")
    };
    assert_eq!(heard.message, "");
    assert_eq!(heard.own_fields(), [("n", Value::U64(7))]);
}

/// What a worker would have to be patched for: as many places as a program never has.
fn more_places_than_are_kept_are_told_as_fields() {
    let pool = pool(1);
    let places = 4200;
    let said = pool.submit(super::processes::invent_places, places);
    said.unwrap().wait().unwrap();
    let heard = listener::take();
    assert_eq!(heard.len(), places as usize);
    let elsewhere = heard
        .iter()
        .position(|heard| heard.target == "procession::elsewhere");
    let elsewhere = elsewhere.unwrap();
    // Those of the other tests are among those that are kept, where this process has run any.
    assert!((4000..=4096).contains(&elsewhere), "{elsewhere}");
    for (n, heard) in heard.iter().enumerate() {
        let target = format!("place::{n}");
        if n < elsewhere {
            assert_eq!(heard.target, target);
            assert_eq!(heard.own_fields(), [("n", Value::U64(n as u64))]);
        } else {
            assert_eq!(heard.target, "procession::elsewhere");
            assert_eq!(heard.text("record.target"), Some(&*target));
            assert_eq!(heard.text("record.fields"), Some(&*format!("n={n}")));
            assert_eq!(heard.number("record.line"), Some(n as u64));
        }
        assert_eq!(heard.level, "INFO");
        assert_eq!(heard.message, "invented");
        assert!(heard.number("worker.pid").is_some());
    }
}

fn both_facades_come_in_one_order() {
    let pool = pool(1);
    pool.submit(tasks::by_turns, 50).unwrap().wait().unwrap();
    let expected: Vec<String> = (0..50)
        .flat_map(|n| [format!("log {n}"), format!("tracing {n}")])
        .collect();
    assert_eq!(listener::messages(), expected);
}
