//! What is said through `log` and `tracing`: taken in a worker, and said again in its driver.
//!
//! | file | one line |
//! |--|--|
//! | `log`, `tracing` | one facade each, both ways |
//! | `sink` | where a worker's records go |
//! | `cut` | how long a record and its parts may be |
//!
//! Taking runs code of the user's: the `Display` and `Debug` of what is said. So no lock is held and nothing is borrowed
//! while it runs, it may panic, and it may say something itself, which then comes first. Saying again runs the user's
//! logger or subscriber: whoever calls [`say`] holds nothing either.

#[cfg(any(feature = "log", feature = "tracing"))]
mod cut;
#[cfg(feature = "log")]
mod log;
#[cfg(any(feature = "log", feature = "tracing"))]
mod sink;
#[cfg(feature = "tracing")]
mod tracing;

use std::borrow::Cow;

use crate::error::TaskId;
use crate::wire::{Facade, Record, Value, Wanted};

/// What a record is given on its way: who said it. In a driver that is a worker itself, it goes on with what it was given first.
const PID: &str = "worker.pid";
const TASK: &str = "worker.task";
const FUNCTION: &str = "worker.function";

/// The spans around a `tracing` event, which are not spans of this process.
const SPANS: &str = "worker.spans";

/// Who said something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub(crate) pid: u32,
    /// What it ran meanwhile.
    pub(crate) task: Option<TaskId>,
    pub(crate) function: Option<&'static str>,
}

/// What this process listens to.
pub(crate) fn heard() -> Wanted {
    #[cfg(feature = "log")]
    let log = log::heard();
    #[cfg(not(feature = "log"))]
    let log = None;
    #[cfg(feature = "tracing")]
    let tracing = tracing::heard();
    #[cfg(not(feature = "tracing"))]
    let tracing = None;
    Wanted { log, tracing }
}

/// Says here what a worker has said.
pub(crate) fn say(mut record: Record, speaker: &Speaker) {
    let fields = fields(&mut record, speaker);
    match record.facade {
        #[cfg(feature = "log")]
        Facade::Log => log::say(&record, fields),
        #[cfg(feature = "tracing")]
        Facade::Tracing => tracing::say(record, fields),
        // It can be asked for only where it can be said.
        #[cfg(not(all(feature = "log", feature = "tracing")))]
        _ => drop(fields),
    }
}

/// A field by name; one without a value is not said.
type Field = (Cow<'static, str>, Option<Value>);

/// Takes out everything that a record is to say besides its message.
fn fields(record: &mut Record, speaker: &Speaker) -> Vec<Field> {
    let own = std::mem::take(&mut record.fields);
    let is_passed_on = own.iter().any(|(name, _)| name == PID);
    let own = own.into_iter();
    let mut fields: Vec<Field> = own
        .map(|(name, value)| (Cow::Owned(name), Some(value)))
        .collect();
    if record.facade == Facade::Tracing && !is_passed_on {
        let spans = std::mem::take(&mut record.spans);
        let spans = (!spans.is_empty()).then_some(Value::Text(spans));
        fields.push((SPANS.into(), spans));
    }
    if !is_passed_on {
        let task = speaker.task.map(|task| Value::U64(task.0));
        let function = speaker.function.map(|name| Value::Str(name.to_owned()));
        fields.push((PID.into(), Some(Value::U64(speaker.pid.into()))));
        fields.push((TASK.into(), task));
        fields.push((FUNCTION.into(), function));
    }
    fields
}

#[cfg(any(feature = "log", feature = "tracing"))]
pub(crate) use sink::forward;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Level;

    fn names(fields: &[(&str, Value)], facade: Facade) -> Vec<String> {
        let own = fields.iter();
        let mut record = Record {
            facade,
            level: Level::Info,
            target: String::new(),
            name: String::new(),
            module_path: None,
            file: None,
            line: None,
            message: None,
            fields: own
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
            spans: "outer".to_owned(),
        };
        let speaker = Speaker {
            pid: 7,
            task: Some(TaskId(3)),
            function: None,
        };
        let said = super::fields(&mut record, &speaker).into_iter();
        said.filter(|(_, value)| value.is_some())
            .map(|(name, _)| name.into_owned())
            .collect()
    }

    #[test]
    fn a_record_is_given_its_worker_and_its_task() {
        let own = [("a", Value::Null)];
        assert_eq!(names(&own, Facade::Log), ["a", PID, TASK]);
        assert_eq!(names(&own, Facade::Tracing), ["a", SPANS, PID, TASK]);
    }

    #[test]
    fn a_record_that_is_passed_on_keeps_the_worker_that_made_it() {
        let own = [(PID, Value::U64(6)), (TASK, Value::U64(2))];
        assert_eq!(names(&own, Facade::Log), [PID, TASK]);
    }
}
