//! Bytes that must never change within one version of the protocol.

const WIRE_FORMAT: &str = include_str!("../../docs/wire-format.md");

/// Checks that `bytes` are what `hex` says (spaces do not count), and that `docs/wire-format.md`
/// shows them.
#[track_caller]
pub(crate) fn check(bytes: &[u8], hex: &str) {
    let is: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let pinned: String = hex.split_whitespace().collect();
    assert_eq!(
        is, pinned,
        "these bytes are pinned: a change needs a new `PROTOCOL`"
    );
    let document: String = WIRE_FORMAT.split_whitespace().collect();
    assert!(
        document.contains(&pinned),
        "docs/wire-format.md does not show {hex}"
    );
}
