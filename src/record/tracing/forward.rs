//! The subscriber of a worker.

use std::error::Error;
use std::fmt;

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record as Values};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata, Subscriber};

use super::super::cut::{Fields, Room, cut};
use super::super::sink::send;
use super::spans::Spans;
use super::{from_tracing, to_tracing};
use crate::wire::{Facade, Level, Record, Value};

/// Sends what is said in this process, unless a subscriber is there.
pub(in crate::record) fn forward(level: Level) {
    let forward = Forward {
        most: LevelFilter::from_level(to_tracing(level)),
        spans: Spans::default(),
    };
    // It fails where there is one.
    let _ = tracing_core::dispatcher::set_global_default(Dispatch::new(forward));
}

struct Forward {
    most: LevelFilter,
    spans: Spans,
}

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn event(&self, event: &Event<'_>) {
        send(|room| {
            let metadata = event.metadata();
            let mut said = Taken::new(room);
            event.record(&mut said);
            let place = |text| cut(room.place(), text);
            Record {
                facade: Facade::Tracing,
                level: from_tracing(*metadata.level()),
                target: place(metadata.target()),
                name: place(metadata.name()),
                module_path: metadata.module_path().map(place),
                file: metadata.file().map(place),
                line: metadata.line(),
                message: said.message,
                fields: said.fields.finish(),
                spans: self.spans.around(event, room),
            }
        });
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.spans.open(span)
    }

    fn record(&self, span: &Id, values: &Values<'_>) {
        self.spans.add(span, values);
    }

    /// What follows from what is not passed on.
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, span: &Id) {
        self.spans.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.spans.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.spans.share(span);
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        self.spans.close(&span)
    }

    fn current_span(&self) -> Current {
        self.spans.current()
    }
}

/// Takes the fields of an event.
struct Taken {
    room: Room,
    message: Option<String>,
    fields: Fields,
}

impl Taken {
    fn new(room: Room) -> Self {
        Self {
            room,
            message: None,
            fields: Fields::new(room),
        }
    }
}

/// What every event says first.
fn is_message(field: &Field) -> bool {
    field.name() == "message"
}

impl Visit for Taken {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push(field.name(), Value::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push(field.name(), Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push(field.name(), Value::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.fields.push(field.name(), Value::I128(value));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.fields.push(field.name(), Value::U128(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push(field.name(), Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if is_message(field) {
            self.message = Some(cut(self.room.message(), value));
        } else {
            self.fields.push_str(field.name(), value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.fields.push_display(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if is_message(field) {
            self.message = Some(cut(self.room.message(), format_args!("{value:?}")));
        } else {
            self.fields
                .push_display(field.name(), format_args!("{value:?}"));
        }
    }
}
