//! How long a record and its parts may be: what is longer is cut, and ends with [`MARK`].

use std::fmt::{self, Write as _};

use crate::frame::MAX_RECORD;
use crate::wire::{MAX_FIELDS, Value};

/// Where something was cut.
const MARK: char = '…';

/// What a field takes beside its name and its value, generously.
const FIELD_OVERHEAD: usize = 24;

/// How long the parts of a record may be, so that it fits into a frame however long they are:
///
/// | part | of the whole |
/// |--|--|
/// | message | 1/4 |
/// | fields together | 1/4 |
/// | spans | 1/8 |
/// | target, module, file, name of an event | 1/32 each |
///
/// which leaves a third for marks and lengths. (A frame has 4096 bytes at least.)
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(usize);

impl Room {
    /// Where frames of `max_frame` bytes are allowed.
    pub(super) fn of(max_frame: u64) -> Self {
        Self(max_frame.min(MAX_RECORD) as usize)
    }

    pub(super) fn message(self) -> usize {
        self.0 / 4
    }

    fn fields(self) -> usize {
        self.0 / 4
    }

    /// One of them.
    pub(super) fn value(self) -> usize {
        self.0 / 16
    }

    fn name(self) -> usize {
        self.0 / 64
    }

    #[cfg(feature = "tracing")]
    pub(super) fn spans(self) -> usize {
        self.0 / 8
    }

    pub(super) fn place(self) -> usize {
        self.0 / 32
    }
}

/// A text of at most `max` bytes, and a mark. What would be longer is not even kept while it is being printed.
pub(super) fn cut(max: usize, what: impl fmt::Display) -> String {
    let mut text = Cut {
        text: String::new(),
        max,
        is_full: false,
    };
    // What cannot be printed leaves what it has printed.
    let _ = write!(text, "{what}");
    text.text
}

struct Cut {
    text: String,
    max: usize,
    is_full: bool,
}

impl fmt::Write for Cut {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        // Never an error, on which some `Display`s panic.
        if self.is_full {
            return Ok(());
        }
        let left = self.max - self.text.len();
        let end = more.floor_char_boundary(left);
        self.text.push_str(&more[..end]);
        if end < more.len() {
            self.is_full = true;
            self.text.push(MARK);
        }
        Ok(())
    }
}

/// Fields, as many as there is room for.
pub(super) struct Fields {
    room: Room,
    list: Vec<(String, Value)>,
    used: usize,
    left_out: usize,
}

impl Fields {
    pub(super) fn new(room: Room) -> Self {
        Self {
            room,
            list: Vec::new(),
            used: 0,
            left_out: 0,
        }
    }

    pub(super) fn push(&mut self, name: &str, value: Value) {
        let name = cut(self.room.name(), name);
        let text = match &value {
            Value::Str(text) | Value::Text(text) => text.len(),
            _ => 0,
        };
        let size = name.len() + text + FIELD_OVERHEAD;
        // One place is left for the note below.
        if self.list.len() + 1 < MAX_FIELDS && self.used + size <= self.room.fields() {
            self.used += size;
            self.list.push((name, value));
        } else {
            self.left_out += 1;
        }
    }

    /// A text that is a value.
    pub(super) fn push_str(&mut self, name: &str, text: &str) {
        self.push(name, Value::Str(cut(self.room.value(), text)));
    }

    /// A value that prints itself.
    pub(super) fn push_display(&mut self, name: &str, value: impl fmt::Display) {
        self.push(name, Value::Text(cut(self.room.value(), value)));
    }

    pub(super) fn finish(mut self) -> Vec<(String, Value)> {
        if self.left_out > 0 {
            let note = Value::Text(format!("{} more", self.left_out));
            self.list.push((MARK.into(), note));
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Facade, Level, Record};

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(cut(4, "four"), "four");
        assert_eq!(cut(4, "fours"), "four…");
        assert_eq!(cut(4, "thrü"), "thr…");
        assert_eq!(cut(4, format_args!("{}{}{}", "thr", "ü", "b")), "thr…");
        assert_eq!(cut(0, "x"), "…");
    }

    #[test]
    fn what_fails_to_print_leaves_what_it_printed() {
        struct Half;
        impl fmt::Display for Half {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(cut(9, Half), "half");
    }

    /// Every part as long as it may be.
    fn greatest(room: Room, name: &str, value: &str, count: usize) -> Record {
        let place = || cut(room.place(), "x".repeat(1 << 17));
        let mut fields = Fields::new(room);
        for _ in 0..count {
            fields.push_str(name, value);
        }
        Record {
            facade: Facade::Tracing,
            level: Level::Trace,
            target: place(),
            name: place(),
            module_path: Some(place()),
            file: Some(place()),
            line: Some(u32::MAX),
            message: Some(cut(room.message(), "x".repeat(1 << 17))),
            fields: fields.finish(),
            spans: cut(room.0 / 8, "x".repeat(1 << 17)),
        }
    }

    #[test]
    fn a_record_fits_into_its_frame_however_long_its_parts_are() {
        let long = "y".repeat(1 << 17);
        for max_frame in [4096, 5000, 64 * 1024, u64::MAX] {
            let room = Room::of(max_frame);
            for (name, value) in [("", ""), ("a", ""), (&*long, &*long), ("a", &*long)] {
                for count in [0, 1, 31, 32, 33, 10_000] {
                    let record = greatest(room, name, value, count);
                    let mut bytes = Vec::new();
                    wire::encode(&record, &mut bytes).unwrap();
                    assert!(bytes.len() as u64 <= max_frame.min(MAX_RECORD));
                    assert_eq!(Record::decode(&bytes), Ok(record));
                }
            }
        }
    }

    #[test]
    fn fields_that_are_left_out_are_counted() {
        let mut fields = Fields::new(Room::of(4096));
        for n in 0..40 {
            fields.push(&format!("n{n}"), Value::U64(n));
        }
        let fields = fields.finish();
        assert_eq!(fields.len(), MAX_FIELDS);
        assert_eq!(fields[30], ("n30".into(), Value::U64(30)));
        assert_eq!(fields[31], ("…".into(), Value::Text("9 more".into())));
    }
}
