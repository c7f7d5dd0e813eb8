//! Levels of categories as values: the commonest have one each, the rarer share some.
//!
//! A rarer level is 1 at three of the shared values, at other three than every other level, and 0 elsewhere; so a
//! first layer of a network learns a vector for it, the sum of three that it has in part with others. It costs a
//! fraction of a value for each level, of which there can be thousands.
//!
//! # Source
//! Serrà and Karatzoglou 2017 (arXiv:1706.03993), with places that are dealt out instead of hashed.

use std::{cmp::Reverse, collections::BTreeMap};

/// So many of the commonest levels have a value of their own.
pub const OWN: usize = 100;

/// So many values the rarer levels share, if there are any.
pub const SHARED: usize = 64;

/// Shared values that are 1 for a level.
pub const ONES: usize = 3;

/// Levels that are told apart at most.
pub const LEVELS_MAX: usize = 8_000;

/// Sets of three shared values.
const SETS: usize = SHARED * (SHARED - 1) * (SHARED - 2) / 6;

/// From the set of one level to that of the next, so that neighbours have little in common; prime to [`SETS`].
pub const STEP: usize = 25_747;

/// `STEP · STEP_BACK` is 1 more than a multiple of [`SETS`].
const STEP_BACK: usize = 29_275;

/// Levels with a value of their own, of these, the commonest first.
pub fn own(levels: &[String]) -> &[String] {
    &levels[..levels.len().min(OWN)]
}

/// Levels that share values, of these.
pub fn rarer(levels: &[String]) -> &[String] {
    &levels[levels.len().min(OWN)..]
}

/// How many values the rarer of these levels share.
pub fn shared(levels: &[String]) -> usize {
    match rarer(levels).is_empty() {
        true => 0,
        false => SHARED,
    }
}

/// The shared values that are 1 for a rarer level, by its place among these; ascending.
pub fn places_of(rarer: usize) -> [usize; ONES] {
    let mut rest = rarer % SETS * STEP % SETS;
    let last = (2..SHARED)
        .rfind(|place| triples(*place) <= rest)
        .unwrap_or(2);
    rest -= triples(last);
    let middle = (1..last).rfind(|place| pairs(*place) <= rest).unwrap_or(1);
    [rest - pairs(middle), middle, last]
}

/// The rarer level that a column's values tell of, by its place among these; nothing if they are of none.
pub fn rarer_in(values: &[f32], levels: &[String]) -> Option<usize> {
    rarer_told(&values[values.len() - shared(levels)..])
}

/// The rarer level of which these are the shared values.
fn rarer_told(shared: &[f32]) -> Option<usize> {
    let mut places = (0..shared.len()).filter(|place| shared[*place] > 0.5);
    let (first, middle, last) = (places.next()?, places.next()?, places.next()?);
    Some((first + pairs(middle) + triples(last)) % SETS * STEP_BACK % SETS)
}

/// What occurs most and how often, the commonest first, equally common ones in their own order.
pub(crate) fn commonest<K: Ord + Copy>(
    counts: &BTreeMap<K, usize>,
    most: usize,
) -> Vec<(K, usize)> {
    let mut sorted: Vec<(K, usize)> = counts.iter().map(|(key, count)| (*key, *count)).collect();
    sorted.sort_by_key(|(key, count)| (Reverse(*count), *key));
    sorted.truncate(most);
    sorted
}

/// Ways to choose two below a number.
fn pairs(below: usize) -> usize {
    below * below.saturating_sub(1) / 2
}

/// Ways to choose three below a number.
fn triples(below: usize) -> usize {
    below * below.saturating_sub(1) * below.saturating_sub(2) / 6
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_level_has_places_that_no_other_has() {
        let mut seen = BTreeSet::new();
        for rarer in 0..SETS {
            let places = places_of(rarer);
            assert!(places.is_sorted_by(|a, b| a < b) && places[2] < SHARED);
            assert!(seen.insert(places), "{rarer} is {places:?} again");
            let mut shared = [0.0; SHARED];
            places.iter().for_each(|place| shared[*place] = 1.0);
            assert_eq!(rarer_told(&shared), Some(rarer));
        }
        const { assert!(SETS > LEVELS_MAX) };
        assert_eq!(rarer_told(&[0.0; SHARED]), None);
    }

    #[test]
    fn all_shared_values_are_used_as_often_and_neighbours_have_little_in_common() {
        let mut uses = [0; SHARED];
        for rarer in 0..1_000 {
            let (own, next) = (places_of(rarer), places_of(rarer + 1));
            own.iter().for_each(|place| uses[*place] += 1);
            assert!(own.iter().filter(|place| next.contains(place)).count() <= 1);
        }
        let mean = 1_000 * ONES / SHARED;
        assert!(
            uses.iter()
                .all(|count| (mean / 2..=2 * mean).contains(count)),
            "{uses:?}"
        );
    }

    #[test]
    fn few_levels_share_nothing() {
        let levels: Vec<String> = (0..=OWN).map(|level| level.to_string()).collect();
        assert_eq!(shared(&levels[..OWN]), 0);
        assert_eq!(
            (own(&levels).len(), rarer(&levels).len(), shared(&levels)),
            (OWN, 1, SHARED)
        );
    }
}
