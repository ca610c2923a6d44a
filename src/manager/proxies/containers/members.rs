//! What is done with two sets, once both are here.

use std::collections::HashSet;

/// A value, and the bytes by which it is compared.
pub(super) type Member<T> = (Vec<u8>, T);

pub(super) fn union<T>(mine: Vec<Member<T>>, theirs: Vec<Member<T>>) -> Vec<T> {
    let known = keys(&mine);
    let more = pick(theirs, |key| !known.contains(key));
    values(mine).chain(more).collect()
}

pub(super) fn intersection<T>(mine: Vec<Member<T>>, theirs: Vec<Member<T>>) -> Vec<T> {
    let known = keys(&theirs);
    pick(mine, |key| known.contains(key))
}

pub(super) fn difference<T>(mine: Vec<Member<T>>, theirs: Vec<Member<T>>) -> Vec<T> {
    let known = keys(&theirs);
    pick(mine, |key| !known.contains(key))
}

pub(super) fn symmetric_difference<T>(mine: Vec<Member<T>>, theirs: Vec<Member<T>>) -> Vec<T> {
    let (own, known) = (keys(&mine), keys(&theirs));
    let mine = pick(mine, |key| !known.contains(key));
    let theirs = pick(theirs, |key| !own.contains(key));
    mine.into_iter().chain(theirs).collect()
}

pub(super) fn is_subset<T>(mine: Vec<Member<T>>, theirs: Vec<Member<T>>) -> bool {
    let known = keys(&theirs);
    mine.iter().all(|(key, _)| known.contains(key))
}

pub(super) fn is_superset<T>(mine: Vec<Member<T>>, theirs: Vec<Member<T>>) -> bool {
    is_subset(theirs, mine)
}

pub(super) fn is_disjoint<T>(mine: Vec<Member<T>>, theirs: Vec<Member<T>>) -> bool {
    let known = keys(&theirs);
    !mine.iter().any(|(key, _)| known.contains(key))
}

fn keys<T>(members: &[Member<T>]) -> HashSet<Vec<u8>> {
    members.iter().map(|(key, _)| key.clone()).collect()
}

/// Those whose key is wanted, each once: what a user compares with may have one twice.
fn pick<T>(members: Vec<Member<T>>, is_wanted: impl Fn(&Vec<u8>) -> bool) -> Vec<T> {
    let mut had = HashSet::new();
    let members = members.into_iter();
    let wanted = members.filter_map(|(key, value)| {
        let is_wanted = is_wanted(&key) && had.insert(key);
        is_wanted.then_some(value)
    });
    wanted.collect()
}

fn values<T>(members: Vec<Member<T>>) -> impl Iterator<Item = T> {
    members.into_iter().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::collection::{hash_set, vec};
    use proptest::prelude::*;

    use super::*;

    fn members(values: &[u8]) -> Vec<Member<u8>> {
        values.iter().map(|value| (vec![*value], *value)).collect()
    }

    fn sorted(mut values: Vec<u8>) -> Vec<u8> {
        values.sort_unstable();
        values
    }

    proptest! {
        #[test]
        fn two_sets_are_as_two_hash_sets(
            mine in hash_set(0..8u8, 0..8),
            others in vec(0..8u8, 0..8),
        ) {
            let theirs: HashSet<u8> = others.iter().copied().collect();
            let both = || {
                let mine: Vec<u8> = mine.iter().copied().collect();
                (members(&mine), members(&others))
            };
            let expected = |values: Vec<&u8>| sorted(values.into_iter().copied().collect());
            let check = |combine: fn(Vec<Member<u8>>, Vec<Member<u8>>) -> Vec<u8>| {
                let (mine, theirs) = both();
                sorted(combine(mine, theirs))
            };
            prop_assert_eq!(check(union), expected(mine.union(&theirs).collect()));
            prop_assert_eq!(check(intersection), expected(mine.intersection(&theirs).collect()));
            prop_assert_eq!(check(difference), expected(mine.difference(&theirs).collect()));
            prop_assert_eq!(
                check(symmetric_difference),
                expected(mine.symmetric_difference(&theirs).collect())
            );
            let ask = |ask: fn(Vec<Member<u8>>, Vec<Member<u8>>) -> bool| {
                let (mine, theirs) = both();
                ask(mine, theirs)
            };
            prop_assert_eq!(ask(is_subset), mine.is_subset(&theirs));
            prop_assert_eq!(ask(is_superset), mine.is_superset(&theirs));
            prop_assert_eq!(ask(is_disjoint), mine.is_disjoint(&theirs));
        }
    }

    #[test]
    fn the_order_of_both_is_kept() {
        let (mine, theirs) = ([3, 1, 2], [9, 1, 8, 9]);
        assert_eq!(union(members(&mine), members(&theirs)), [3, 1, 2, 9, 8]);
        let either = symmetric_difference(members(&mine), members(&theirs));
        assert_eq!(either, [3, 2, 9, 8]);
    }
}
