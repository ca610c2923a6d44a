//! What stress tests share: items that tell who made them, what came of them, and chance that can be had again.

use std::collections::BTreeMap;

/// What decides: that of the environment, or another one in each run. It is printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("PROCESSION_STRESS_SEED").map_or_else(
        |_| u64::from(std::process::id()) * 7919 % 1_000_000,
        |seed| seed.parse().expect("a number"),
    );
    eprintln!("PROCESSION_STRESS_SEED={seed}");
    seed
}

pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Who made it, its number, and bytes that depend on both.
pub(crate) type Item = (u64, u64, Vec<u8>);

pub(crate) fn item(who: u64, number: u64) -> Item {
    let len = match number % 40 {
        0 => 70_000,
        9 => 3_000,
        _ => number * 31 % 500,
    };
    (who, number, vec![(who * 7 + number) as u8; len as usize])
}

/// The numbers that came of each.
#[derive(Default)]
pub(crate) struct Came(BTreeMap<u64, Vec<u64>>);

impl Came {
    pub(crate) fn note(&mut self, came: Item) {
        assert!(came == item(came.0, came.1), "torn");
        self.0.entry(came.0).or_default().push(came.1);
    }

    /// How many came.
    pub(crate) fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// How many are missing, of those of `who` that are known to have been put; none came twice.
    pub(crate) fn missing(&self, who: u64, known: Option<u64>) -> u64 {
        let mut numbers = self.0.get(&who).cloned().unwrap_or_default();
        numbers.sort_unstable();
        assert!(
            numbers.is_sorted_by(|a, b| a < b),
            "something of {who} came twice"
        );
        let behind = numbers.last().map_or(0, |last| last + 1);
        assert!(known.is_none_or(|known| behind <= known));
        known.unwrap_or(behind) - numbers.len() as u64
    }
}
