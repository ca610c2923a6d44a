//! A hash that two processes agree on.
//!
//! It is FNV-1a with 64 bits: the standard library's hasher may change between releases of the
//! compiler, this one is fixed by its constants. It guards against a stale binary, not against an
//! enemy.

/// The hash of a signature's text.
pub(crate) fn of_signature(signature: &str) -> u64 {
    Fnv::new().text(signature).0
}

/// The hash of names and signatures, in the order given.
pub(crate) fn of_functions<'a>(functions: impl IntoIterator<Item = (&'a str, &'a str)>) -> u64 {
    functions
        .into_iter()
        .fold(Fnv::new(), |hash, (name, signature)| {
            hash.text(name).text(signature)
        })
        .0
}

/// FNV-1a, 64 bits.
pub(crate) struct Fnv(pub(crate) u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }

    /// Text, and an end that no text contains: "ab" + "c" is not "a" + "bc".
    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).bytes(&[0xff])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values_of_fnv_1a_come_out() {
        assert_eq!(Fnv::new().0, 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv::new().bytes(b"a").0, 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv::new().bytes(b"foobar").0, 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_boundary_between_texts_counts() {
        assert_ne!(of_functions([("ab", "c")]), of_functions([("a", "bc")]));
        assert_ne!(
            of_functions([("a", "b"), ("c", "d")]),
            of_functions([("c", "d"), ("a", "b")])
        );
    }
}
