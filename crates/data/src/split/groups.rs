//! Groups that stay together: each group goes where it brings sizes and classes nearest to what was asked.
//!
//! Greedy, large groups first, after the idea of Sechidis, Tsoumakas & Vlahavas 2011 (iterative
//! stratification); what is made small is the chi-square distance of all class counts from those wanted.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Rows of one group, and how many of them are of each class.
#[derive(Default)]
struct Group {
    rows: Vec<u32>,
    counts: BTreeMap<usize, f64>,
}

/// One side of the split while it is filled.
struct Side {
    /// Rows of each class that it should get.
    wanted: Vec<f64>,
    /// Rows of each class that it has.
    filled: Vec<f64>,
    groups: Vec<Group>,
}

/// Deals groups to sides that get these shares of all rows; every side gets one at least.
///
/// # Shapes
/// `numbers`: group of every row; `strata`: rows by class, or by band of a number; returns the rows of
/// each side.
/// # Errors
/// How many groups there are, if these are fewer than sides.
/// # Cost
/// `O(rows log rows + groups · classes of a group · sides)`.
pub(crate) fn deal(
    numbers: &[u32],
    strata: &[Vec<u32>],
    shares: &[f64],
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<u32>>, usize> {
    let mut groups = grouped(numbers, strata);
    groups.shuffle(rng);
    groups.sort_by_key(|group| Reverse(group.rows.len()));
    if groups.len() < shares.len() {
        return Err(groups.len());
    }
    let side = |share: &f64| Side {
        wanted: strata
            .iter()
            .map(|rows| share * rows.len() as f64)
            .collect(),
        filled: vec![0.0; strata.len()],
        groups: Vec::new(),
    };
    let mut sides: Vec<Side> = shares.iter().map(side).collect();
    for group in groups {
        let nearest = sides
            .iter_mut()
            .min_by(|a, b| a.cost_of(&group).total_cmp(&b.cost_of(&group)));
        nearest.expect("some side has a share").take(group);
    }
    fill_empty(&mut sides);
    let rows = |side: Side| side.groups.into_iter().flat_map(|group| group.rows);
    Ok(sides.into_iter().map(|side| rows(side).collect()).collect())
}

/// How many groups these rows are of.
pub(crate) fn count(numbers: &[u32], rows: &[u32]) -> usize {
    let groups: BTreeSet<u32> = rows.iter().map(|row| numbers[*row as usize]).collect();
    groups.len()
}

fn grouped(numbers: &[u32], strata: &[Vec<u32>]) -> Vec<Group> {
    let mut groups: BTreeMap<u32, Group> = BTreeMap::new();
    for (class, rows) in strata.iter().enumerate() {
        for row in rows {
            let group = groups.entry(numbers[*row as usize]).or_default();
            group.rows.push(*row);
            *group.counts.entry(class).or_default() += 1.0;
        }
    }
    groups.into_values().collect()
}

impl Side {
    /// How much farther from what was asked all sides together are once this one has the group.
    fn cost_of(&self, group: &Group) -> f64 {
        let of_class = |(class, count): (&usize, &f64)| {
            let (wanted, filled) = (self.wanted[*class], self.filled[*class]);
            count * (2.0 * (filled - wanted) + count) / wanted
        };
        group.counts.iter().map(of_class).sum()
    }

    fn take(&mut self, group: Group) {
        for (class, count) in &group.counts {
            self.filled[*class] += count;
        }
        self.groups.push(group);
    }
}

/// A part must not stay empty, however small its share: it gets the smallest group of the side with
/// the most groups.
fn fill_empty(sides: &mut [Side]) {
    while let Some(empty) = sides.iter().position(|side| side.groups.is_empty()) {
        let richest = sides.iter_mut().max_by_key(|side| side.groups.len());
        // Groups are dealt by size, so the last one is among the smallest.
        let group = richest.and_then(|side| side.groups.pop());
        let group = group.expect("there are at least as many groups as sides");
        sides[empty].take(group);
    }
}
