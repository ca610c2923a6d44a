//! The spans that are open in a worker.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record as Values};
use tracing_core::{Event, Metadata};

use super::super::cut::{Room, cut};
use super::super::sink::room;
use crate::primitives::plain::{Mutex, lock};

/// How many spans around an event are named: the innermost.
const MAX_DEPTH: usize = 32;

thread_local! {
    /// The spans that this thread has entered.
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

#[derive(Debug, Default)]
pub(super) struct Spans {
    open: Mutex<HashMap<u64, Span>>,
    last: AtomicU64,
}

#[derive(Debug)]
struct Span {
    metadata: &'static Metadata<'static>,
    /// It stays open as long as this one.
    parent: Option<u64>,
    handles: usize,
    /// `name=value`, one beside the other.
    fields: String,
}

impl Spans {
    pub(super) fn open(&self, span: &Attributes<'_>) -> Id {
        let fields = printed(|visitor| span.record(visitor));
        let parent = parent(span.parent(), span.is_contextual());
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let open = &mut *lock(&self.open);
        let parent = parent.filter(|parent| {
            let parent = open.get_mut(parent);
            parent.map(|parent| parent.handles += 1).is_some()
        });
        let span = Span {
            metadata: span.metadata(),
            parent,
            handles: 1,
            fields,
        };
        open.insert(id, span);
        Id::from_u64(id)
    }

    /// Values that a span is given later.
    pub(super) fn add(&self, span: &Id, values: &Values<'_>) {
        let more = printed(|visitor| values.record(visitor));
        if let Some(span) = lock(&self.open).get_mut(&span.into_u64())
            && let Some(room) = room()
        {
            let space = if span.fields.is_empty() { "" } else { " " };
            span.fields = cut(
                room.value(),
                format_args!("{}{space}{more}", span.fields.trim_end_matches('…')),
            );
        }
    }

    pub(super) fn share(&self, span: &Id) {
        if let Some(span) = lock(&self.open).get_mut(&span.into_u64()) {
            span.handles += 1;
        }
    }

    /// One handle less; says whether it was the last.
    pub(super) fn close(&self, span: &Id) -> bool {
        let open = &mut *lock(&self.open);
        let mut next = Some(span.into_u64());
        let mut is_first_closed = None;
        while let Some(id) = next.take() {
            let Some(span) = open.get_mut(&id) else { break };
            span.handles -= 1;
            let is_closed = span.handles == 0;
            if is_closed {
                next = span.parent;
                open.remove(&id);
            }
            is_first_closed.get_or_insert(is_closed);
        }
        is_first_closed.unwrap_or(false)
    }

    pub(super) fn enter(&self, span: &Id) {
        // At the end of a thread nothing is entered any more.
        let _ = ENTERED.try_with(|entered| entered.borrow_mut().push(span.into_u64()));
    }

    pub(super) fn exit(&self, span: &Id) {
        let _ = ENTERED.try_with(|entered| {
            let entered = &mut *entered.borrow_mut();
            let at = entered.iter().rposition(|id| *id == span.into_u64());
            at.map(|at| entered.remove(at))
        });
    }

    pub(super) fn current(&self) -> Current {
        let Some(id) = innermost() else {
            return Current::none();
        };
        let metadata = lock(&self.open).get(&id).map(|span| span.metadata);
        metadata.map_or_else(Current::none, |metadata| {
            Current::new(Id::from_u64(id), metadata)
        })
    }

    /// The spans around an event, as text: `outer{a=1}:inner`.
    pub(super) fn around(&self, event: &Event<'_>, room: Room) -> String {
        let Some(innermost) = parent(event.parent(), event.is_contextual()) else {
            return String::new();
        };
        let open = &*lock(&self.open);
        let chain = std::iter::successors(open.get(&innermost), |span| open.get(&span.parent?));
        let mut chain: Vec<&Span> = chain.take(MAX_DEPTH).collect();
        chain.reverse();
        cut(room.spans(), Chain(&chain))
    }
}

/// The spans around something, from the outermost in.
struct Chain<'a>(&'a [&'a Span]);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, span) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{}", span.metadata.name())?;
            if !span.fields.is_empty() {
                write!(f, "{{{}}}", span.fields)?;
            }
        }
        Ok(())
    }
}

/// What stands around what has this parent, or has that of its place.
fn parent(explicit: Option<&Id>, is_contextual: bool) -> Option<u64> {
    match explicit {
        Some(parent) => Some(parent.into_u64()),
        None if is_contextual => innermost(),
        None => None,
    }
}

fn innermost() -> Option<u64> {
    let innermost = ENTERED.try_with(|entered| entered.borrow().last().copied());
    innermost.ok().flatten()
}

/// Fields as text.
fn printed(record: impl FnOnce(&mut dyn Visit)) -> String {
    let Some(room) = room() else {
        return String::new();
    };
    let mut printed = Printed {
        room,
        text: String::new(),
    };
    record(&mut printed);
    cut(room.value(), printed.text)
}

struct Printed {
    room: Room,
    text: String,
}

impl Visit for Printed {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if self.text.len() > self.room.value() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let value = cut(self.room.value(), format_args!("{value:?}"));
        // Printing to a text cannot fail.
        let _ = write!(self.text, "{}={value}", field.name());
    }
}
