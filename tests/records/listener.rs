//! The logger and the subscriber of the process that runs the tests: they remember what they hear.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use log::kv::{self, Key, VisitSource, VisitValue};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) by: By,
    pub(crate) level: String,
    pub(crate) target: String,
    pub(crate) name: String,
    pub(crate) module_path: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
    pub(crate) message: String,
    pub(crate) fields: Vec<(String, Value)>,
    pub(crate) thread: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    Log,
    Tracing,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    U128(u128),
    F64(f64),
    Str(String),
    /// What prints itself.
    Text(String),
}

impl Heard {
    /// The field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.field(name) {
            Some(Value::U64(value)) => Some(*value),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.field(name) {
            Some(Value::Str(text) | Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Those that a worker gave it.
    pub(crate) fn own_fields(&self) -> Vec<(&str, Value)> {
        let own = self.fields.iter();
        own.filter(|(name, _)| !name.starts_with("worker."))
            .map(|(name, value)| (&**name, value.clone()))
            .collect()
    }
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    is_held: bool,
}

static STATE: Mutex<State> = Mutex::new(State {
    heard: Vec::new(),
    is_held: false,
});
static CHANGED: Condvar = Condvar::new();

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens to everything up to debug, but for targets that begin with `quiet`.
pub(crate) fn install() {
    log::set_logger(&Logger).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    tracing::subscriber::set_global_default(Listener).unwrap();
}

/// Forgets everything.
pub(crate) fn forget() {
    state().heard.clear();
}

/// Everything since it was last asked.
pub(crate) fn take() -> Vec<Heard> {
    std::mem::take(&mut state().heard)
}

/// The same, and it is kept.
pub(crate) fn so_far() -> Vec<Heard> {
    state().heard.clone()
}

/// The messages since it was last asked.
pub(crate) fn messages() -> Vec<String> {
    take().into_iter().map(|heard| heard.message).collect()
}

/// Waits until something with this message is heard.
pub(crate) fn wait_for(message: &str) -> Heard {
    super::support::awaiting(format!("{message:?} to be heard"));
    let mut state = state();
    loop {
        if let Some(heard) = state.heard.iter().find(|heard| heard.message == message) {
            return heard.clone();
        }
        state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// While it lives, whoever says something waits.
pub(crate) struct Held;

pub(crate) fn hold() -> Held {
    state().is_held = true;
    Held
}

impl Drop for Held {
    fn drop(&mut self) {
        state().is_held = false;
        CHANGED.notify_all();
    }
}

fn hear(heard: Heard) {
    let mut state = state();
    while state.is_held {
        state = CHANGED.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let is_panic = heard.message == "panic, please";
    state.heard.push(heard);
    CHANGED.notify_all();
    drop(state);
    assert!(!is_panic, "as you please");
}

fn this_thread() -> String {
    std::thread::current().name().unwrap_or("").to_owned()
}

fn is_quiet(target: &str) -> bool {
    target.starts_with("quiet")
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        !is_quiet(metadata.target())
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut pairs = Pairs(Vec::new());
        record.key_values().visit(&mut pairs).unwrap();
        hear(Heard {
            by: By::Log,
            level: record.level().to_string(),
            target: record.target().to_owned(),
            name: String::new(),
            module_path: record.module_path().map(str::to_owned),
            file: record.file().map(str::to_owned),
            line: record.line(),
            message: record.args().to_string(),
            fields: pairs.0,
            thread: this_thread(),
        });
    }

    fn flush(&self) {}
}

struct Pairs(Vec<(String, Value)>);

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let mut one = One(Value::Null);
        value.visit(&mut one)?;
        self.0.push((key.as_str().to_owned(), one.0));
        Ok(())
    }
}

struct One(Value);

impl<'v> VisitValue<'v> for &mut One {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.0 = Value::Text(value.to_string());
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.0 = Value::Null;
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = Value::U64(value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = Value::I64(value);
        Ok(())
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.0 = Value::U128(value);
        Ok(())
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.0 = Value::I128(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = Value::F64(value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = Value::Bool(value);
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.0 = Value::Str(value.to_owned());
        Ok(())
    }
}

struct Listener;

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == "quiet::for_ever" {
            Interest::never()
        } else {
            Interest::sometimes()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !is_quiet(metadata.target()) && *metadata.level() <= tracing::Level::DEBUG
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::DEBUG)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        assert!(event.is_root());
        let mut said = Said::default();
        event.record(&mut said);
        let metadata = event.metadata();
        hear(Heard {
            by: By::Tracing,
            level: metadata.level().to_string(),
            target: metadata.target().to_owned(),
            name: metadata.name().to_owned(),
            module_path: metadata.module_path().map(str::to_owned),
            file: metadata.file().map(str::to_owned),
            line: metadata.line(),
            message: said.message,
            fields: said.fields,
            thread: this_thread(),
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Said {
    message: String,
    fields: Vec<(String, Value)>,
}

impl Said {
    fn push(&mut self, field: &Field, value: Value) {
        self.fields.push((field.name().to_owned(), value));
    }
}

impl Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, Value::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Value::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.push(field, Value::I128(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.push(field, Value::U128(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, Value::Str(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.push(field, Value::Text(format!("{value:?}")));
        }
    }
}
