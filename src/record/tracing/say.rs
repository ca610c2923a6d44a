//! An event of a worker, said to the subscriber of this process.

use std::borrow::Cow;
use std::fmt::Write as _;

use tracing_core::field::{self, DisplayValue};
use tracing_core::{Dispatch, Event, LevelFilter, dispatcher};

use super::super::{FUNCTION, Field, PID, SPANS, TASK};
use super::place::{Description, PLACES, Place, Places};
use super::to_tracing;
use crate::wire::{MAX_FIELDS, Record, Value};

/// As many fields as an event can have: its own, its message, and what it is given on its way.
const MAX_VALUES: usize = MAX_FIELDS + 5;

/// Says it, if the subscriber listens to such events.
pub(in crate::record) fn say(mut record: Record, fields: Vec<Field>) {
    if to_tracing(record.level) > LevelFilter::current() {
        return;
    }
    let mut said: Vec<Field> = vec![("message".into(), record.message.take().map(Value::Text))];
    said.extend(fields);
    let names: Vec<&str> = said.iter().map(|(name, _)| &**name).collect();
    let of = Description {
        level: record.level,
        name: &record.name,
        target: &record.target,
        module_path: record.module_path.as_deref(),
        file: record.file.as_deref(),
        line: record.line,
    };
    match PLACES.find(of, &names) {
        Some(place) => say_at(place, &said),
        None => say_elsewhere(record, said),
    }
}

/// What cannot have a place of its own: its place becomes fields, and its own fields a text.
fn say_elsewhere(record: Record, said: Vec<Field>) {
    const NAMES: [&str; 10] = [
        "message",
        "record.target",
        "record.module_path",
        "record.file",
        "record.line",
        "record.fields",
        SPANS,
        PID,
        TASK,
        FUNCTION,
    ];
    let Some(place) = Places::elsewhere(record.level, &NAMES) else {
        return;
    };
    let mut own = String::new();
    let mut known: Vec<Field> = Vec::new();
    for (name, value) in said {
        if NAMES.contains(&&*name) {
            known.push((name, value));
        } else if let Some(value) = value {
            let space = if own.is_empty() { "" } else { " " };
            // Printing to a text cannot fail.
            let _ = write!(own, "{space}{name}={value}");
        }
    }
    let line = record.line.map(|line| Value::U64(line.into()));
    known.extend([
        ("record.target".into(), Some(Value::Str(record.target))),
        (
            "record.module_path".into(),
            record.module_path.map(Value::Str),
        ),
        ("record.file".into(), record.file.map(Value::Str)),
        ("record.line".into(), line),
        ("record.fields".into(), Some(Value::Text(own))),
    ]);
    let said = NAMES.map(|name| {
        let found = known.iter().find(|(known, _)| known == name);
        (
            Cow::Borrowed(name),
            found.and_then(|(_, value)| value.clone()),
        )
    });
    say_at(place, &said);
}

fn say_at(place: &'static Place, said: &[Field]) {
    let Some(metadata) = place.description() else {
        return;
    };
    let fields: Vec<field::Field> = metadata.fields().iter().collect();
    let texts: Vec<DisplayValue<&str>> = said.iter().map(|(_, value)| text(value)).collect();
    let Some(first) = fields.first() else { return };
    let mut values: [(&field::Field, Option<&dyn field::Value>); MAX_VALUES] =
        [(first, None); MAX_VALUES];
    let given = fields.iter().zip(said).zip(&texts);
    for (at, ((field, (_, value)), text)) in values.iter_mut().zip(given) {
        *at = (field, value.as_ref().and_then(|value| shown(value, text)));
    }
    let say = |subscriber: &Dispatch| {
        if place.is_heard(subscriber) {
            let values = metadata.fields().value_set(&values);
            subscriber.event(&Event::new_child_of(None, metadata, &values));
        }
    };
    dispatcher::get_default(say);
}

/// The text of a value that prints as one.
fn text(value: &Option<Value>) -> DisplayValue<&str> {
    field::display(match value {
        Some(Value::Text(text)) => text,
        _ => "",
    })
}

fn shown<'a>(value: &'a Value, text: &'a DisplayValue<&str>) -> Option<&'a dyn field::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => value,
        Value::I64(value) => value,
        Value::U64(value) => value,
        Value::I128(value) => value,
        Value::U128(value) => value,
        Value::F64(value) => value,
        Value::Str(value) => value,
        Value::Text(_) => text,
    })
}
