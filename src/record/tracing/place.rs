//! The places of this program, as far as `tracing` can tell, where workers have said something.
//!
//! What describes an event to a subscriber, its *callsite*, lives as long as the program. So those of workers' events are made once
//! each and kept, and no more than [`MAX_PLACES`] of them, with texts of at most [`MAX_TEXT`] bytes: a worker cannot use up
//! memory by inventing more. What is beyond that is said at one place for each level, with its own place as fields.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing_core::callsite::{self, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::{Callsite, Dispatch, Interest, Kind, Metadata};

use super::to_tracing;
use crate::primitives::plain::{Mutex, lock};
use crate::wire::Level;

/// How many places of workers are kept.
const MAX_PLACES: usize = 4096;

/// How many bytes the texts of one may have together.
const MAX_TEXT: usize = 2048;

/// The target of what is said by those that are beyond.
pub(super) const ELSEWHERE: &str = "procession::elsewhere";

/// What describes an event.
#[derive(Clone, Copy)]
pub(super) struct Description<'a> {
    pub(super) level: Level,
    pub(super) name: &'a str,
    pub(super) target: &'a str,
    pub(super) module_path: Option<&'a str>,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<u32>,
}

/// A callsite of a worker.
pub(super) struct Place {
    interest: AtomicU8,
    /// Set when it is made.
    metadata: OnceLock<Metadata<'static>>,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;

/// The places that are known.
pub(super) struct Places {
    known: Mutex<BTreeMap<String, &'static Place>>,
    max: usize,
}

/// Those of this program.
pub(super) static PLACES: Places = Places::new(MAX_PLACES);

impl Places {
    const fn new(max: usize) -> Self {
        Self {
            known: Mutex::new(BTreeMap::new()),
            max,
        }
    }

    /// The place of such an event with these fields, if it is known or there is room for it.
    pub(super) fn find(&self, of: Description<'_>, fields: &[&str]) -> Option<&'static Place> {
        let key = key(of, fields);
        let mut known = lock(&self.known);
        if let Some(place) = known.get(&key) {
            return Some(place);
        }
        if known.len() >= self.max || key.len() > MAX_TEXT {
            return None;
        }
        let place = Place::leak(of, fields);
        known.insert(key, place);
        drop(known);
        // It asks the subscriber, which is the user's.
        callsite::register(place);
        Some(place)
    }

    /// The place for what has no place of its own.
    pub(super) fn elsewhere(level: Level, fields: &[&str]) -> Option<&'static Place> {
        static ELSEWHERE_PLACES: Places = Places::new(5);
        let of = Description {
            level,
            name: "event",
            target: ELSEWHERE,
            module_path: None,
            file: None,
            line: None,
        };
        ELSEWHERE_PLACES.find(of, fields)
    }
}

/// All of it as one text, which no other description has.
fn key(of: Description<'_>, fields: &[&str]) -> String {
    let mut key = format!("{:?} {:?} ", of.level, of.line);
    let places = [Some(of.name), Some(of.target), of.module_path, of.file];
    for text in places.into_iter().chain(fields.iter().copied().map(Some)) {
        // Printing to a text cannot fail.
        let _ = match text {
            Some(text) => write!(key, "{}:{text}", text.len()),
            None => write!(key, "-"),
        };
    }
    key
}

impl Place {
    fn leak(of: Description<'_>, fields: &[&str]) -> &'static Self {
        fn keep(text: &str) -> &'static str {
            Box::leak(text.into())
        }
        let fields: Vec<&'static str> = fields.iter().copied().map(keep).collect();
        let place: &'static Self = Box::leak(Box::new(Self {
            interest: AtomicU8::new(SOMETIMES),
            metadata: OnceLock::new(),
        }));
        place.metadata.get_or_init(|| {
            Metadata::new(
                keep(of.name),
                keep(of.target),
                to_tracing(of.level),
                of.file.map(keep),
                of.line,
                of.module_path.map(keep),
                FieldSet::new(Box::leak(fields.into()), Identifier(place)),
                Kind::EVENT,
            )
        });
        place
    }

    pub(super) fn description(&'static self) -> Option<&'static Metadata<'static>> {
        self.metadata.get()
    }

    /// Whether a subscriber wants to hear what is said here.
    pub(super) fn is_heard(&'static self, subscriber: &Dispatch) -> bool {
        match self.interest.load(Ordering::Relaxed) {
            NEVER => false,
            ALWAYS => true,
            _ => self
                .description()
                .is_some_and(|description| subscriber.enabled(description)),
        }
    }
}

impl Callsite for Place {
    fn set_interest(&self, interest: Interest) {
        let interest = if interest.is_never() {
            NEVER
        } else if interest.is_always() {
            ALWAYS
        } else {
            SOMETIMES
        };
        self.interest.store(interest, Ordering::Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        match self.metadata.get() {
            Some(metadata) => metadata,
            None => unreachable!("a place is described when it is made"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Description<'static> {
        Description {
            level: Level::Info,
            name: "event",
            target: "app",
            module_path: Some("app::inner"),
            file: Some("src/inner.rs"),
            line: Some(line),
        }
    }

    #[test]
    fn a_place_is_made_once() {
        let places = Places::new(10);
        let first = places.find(at(1), &["a", "b"]).unwrap();
        assert!(std::ptr::eq(
            first,
            places.find(at(1), &["a", "b"]).unwrap()
        ));
        for (of, fields) in [
            (at(2), &["a", "b"][..]),
            (at(1), &["a"]),
            (at(1), &["ab"]),
            (at(1), &["b", "a"]),
            (
                Description {
                    level: Level::Warn,
                    ..at(1)
                },
                &["a", "b"],
            ),
        ] {
            assert!(!std::ptr::eq(first, places.find(of, fields).unwrap()));
        }
        let metadata = first.metadata();
        assert_eq!(*metadata.level(), tracing_core::Level::INFO);
        assert_eq!((metadata.name(), metadata.target()), ("event", "app"));
        assert_eq!(metadata.module_path(), Some("app::inner"));
        assert_eq!(metadata.file(), Some("src/inner.rs"));
        assert_eq!(metadata.line(), Some(1));
        let fields = metadata.fields().iter().map(|field| field.name());
        assert_eq!(fields.collect::<Vec<_>>(), ["a", "b"]);
        assert!(metadata.is_event());
    }

    #[test]
    fn no_more_places_are_kept_than_there_is_room_for() {
        let places = Places::new(3);
        assert!((0..3).all(|line| places.find(at(line), &[]).is_some()));
        assert!(places.find(at(3), &[]).is_none());
        assert!(places.find(at(2), &[]).is_some());
        let long = "x".repeat(MAX_TEXT);
        assert!(Places::new(3).find(at(1), &[&long]).is_none());
    }

    #[test]
    fn what_has_no_place_has_one_for_its_level() {
        let place = Places::elsewhere(Level::Debug, &["a"]).unwrap();
        assert_eq!(place.metadata().target(), ELSEWHERE);
        assert!(std::ptr::eq(
            place,
            Places::elsewhere(Level::Debug, &["a"]).unwrap()
        ));
        assert!(Places::elsewhere(Level::Trace, &["a"]).is_some());
    }
}
