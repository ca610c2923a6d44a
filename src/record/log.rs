//! `log`: its records are sent by a logger, and said again to the logger.

use ::log::kv::{self, Key, Source, VisitSource, VisitValue};
use ::log::{Log, Metadata, max_level};

use super::cut::{Fields, cut};
use super::{Field, sink::send};
use crate::wire::{Facade, Level, Record, Value};

/// The most verbose level that this process listens to.
pub(super) fn heard() -> Option<Level> {
    Some(from_log(max_level().to_level()?))
}

/// Sends what is said in this process, unless a logger is there.
pub(super) fn forward(level: Level) {
    if ::log::set_logger(&Forward).is_ok() {
        ::log::set_max_level(to_log(level).to_level_filter());
    }
}

/// The logger of a worker.
struct Forward;

impl Log for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= max_level()
    }

    fn log(&self, record: &::log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        send(|room| {
            let mut fields = Pairs(Fields::new(room));
            // A source that fails leaves what it has shown.
            let _ = record.key_values().visit(&mut fields);
            let place = |text| cut(room.place(), text);
            Record {
                facade: Facade::Log,
                level: from_log(record.level()),
                target: place(record.target()),
                name: String::new(),
                module_path: record.module_path().map(place),
                file: record.file().map(place),
                line: record.line(),
                message: Some(cut(room.message(), record.args())),
                fields: fields.0.finish(),
                spans: String::new(),
            }
        });
    }

    fn flush(&self) {}
}

/// Takes key-value pairs.
struct Pairs(Fields);

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(Pair(key.as_str(), &mut self.0))
    }
}

struct Pair<'a>(&'a str, &'a mut Fields);

impl Pair<'_> {
    fn push(&mut self, value: Value) -> Result<(), kv::Error> {
        self.1.push(self.0, value);
        Ok(())
    }
}

impl<'v> VisitValue<'v> for Pair<'_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.1.push_display(self.0, value);
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.push(Value::Null)
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.push(Value::U64(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.push(Value::I64(value))
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.push(Value::U128(value))
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.push(Value::I128(value))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.push(Value::F64(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.push(Value::Bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.1.push_str(self.0, value);
        Ok(())
    }
}

/// Says it to the logger, if that listens to such records.
pub(super) fn say(record: &Record, fields: Vec<Field>) {
    let level = to_log(record.level);
    if level > max_level() {
        return;
    }
    let logger = ::log::logger();
    let metadata = Metadata::builder()
        .level(level)
        .target(&record.target)
        .build();
    if !logger.enabled(&metadata) {
        return;
    }
    let message = record.message.as_deref().unwrap_or_default();
    logger.log(
        &::log::Record::builder()
            .metadata(metadata)
            .args(format_args!("{message}"))
            .module_path(record.module_path.as_deref())
            .file(record.file.as_deref())
            .line(record.line)
            .key_values(&Shown(fields))
            .build(),
    );
}

/// Shows the pairs of a record again.
struct Shown(Vec<Field>);

impl Source for Shown {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        for (name, value) in &self.0 {
            if let Some(value) = value {
                visitor.visit_pair(Key::from_str(name), shown(value))?;
            }
        }
        Ok(())
    }
}

fn shown(value: &Value) -> kv::Value<'_> {
    match value {
        Value::Null => kv::Value::null(),
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::I128(value) => value.into(),
        Value::U128(value) => value.into(),
        Value::F64(value) => (*value).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Text(text) => kv::Value::from_display(text),
    }
}

fn from_log(level: ::log::Level) -> Level {
    match level {
        ::log::Level::Error => Level::Error,
        ::log::Level::Warn => Level::Warn,
        ::log::Level::Info => Level::Info,
        ::log::Level::Debug => Level::Debug,
        ::log::Level::Trace => Level::Trace,
    }
}

fn to_log(level: Level) -> ::log::Level {
    match level {
        Level::Error => ::log::Level::Error,
        Level::Warn => ::log::Level::Warn,
        Level::Info => ::log::Level::Info,
        Level::Debug => ::log::Level::Debug,
        Level::Trace => ::log::Level::Trace,
    }
}
