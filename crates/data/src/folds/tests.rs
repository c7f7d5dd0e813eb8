//! What folds keep to, whatever the rows are.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng};

use super::*;
use crate::split::tests::{distance_of_distributions, measured, source_of};

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Rows of each fold.
fn rows_by_fold(rows: &[u32], folds: &[u8]) -> BTreeMap<u8, Vec<u32>> {
    let mut by_fold: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
    for (row, fold) in rows.iter().zip(folds) {
        by_fold.entry(*fold).or_default().push(*row);
    }
    by_fold
}

#[test]
fn folds_are_of_equal_size_and_classes_spread_evenly() {
    let ids: Vec<u32> = (0..83).map(|row| u32::from(row % 5 == 0)).collect();
    let rows: Vec<u32> = (0..83).filter(|row| row % 7 != 0).collect();
    let source = source_of(ids.clone());
    let folds = folds(&source, &rows, 5, &mut rng(3)).unwrap();
    let count = |fold: u8, class: u32| {
        let is =
            |(place, row): &(usize, &u32)| folds[*place] == fold && ids[**row as usize] == class;
        rows.iter().enumerate().filter(is).count()
    };
    for class in 0..2 {
        let counts: Vec<usize> = (0..5).map(|fold| count(fold, class)).collect();
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 1, "class {class}: {counts:?}");
    }
    let sizes: Vec<usize> = (0..5).map(|fold| count(fold, 0) + count(fold, 1)).collect();
    assert!(
        sizes.iter().all(|size| (14..=15).contains(size)),
        "{sizes:?}"
    );
}

#[test]
fn every_fold_has_low_and_high_numbers_as_all_rows_do() {
    for seed in 0..20 {
        let mut random = rng(seed);
        // A long tail, which dealing by chance would leave to some folds.
        let values: Vec<f64> = (0..103)
            .map(|_| random.random::<f64>().powi(-2).min(1e6))
            .collect();
        let source = measured(values.clone());
        let rows: Vec<u32> = (0..103).collect();
        let folds = folds(&source, &rows, 5, &mut random).unwrap();
        for of_fold in rows_by_fold(&rows, &folds).values() {
            assert!((20..=21).contains(&of_fold.len()), "seed {seed}");
            // Each has one of five consecutive numbers, and a row more or less than the others.
            let off = distance_of_distributions(&values, of_fold);
            assert!(off <= 1.6 / of_fold.len() as f64, "seed {seed}: {off}");
        }
    }
}

#[test]
fn no_group_is_in_two_folds_and_sizes_and_classes_are_nearly_even() {
    for seed in 0..20 {
        let mut random = rng(seed);
        let ids: Vec<u32> = (0..600)
            .map(|_| u32::from(random.random_bool(0.2)))
            .collect();
        let groups: Vec<u32> = (0..600)
            .map(|_| (80.0 * random.random::<f64>().powi(2)) as u32)
            .collect();
        let mut source = source_of(ids.clone());
        source.facts.sides = Sides::Groups(groups.clone());
        // Some rows are in the vault, with all of their group.
        let rows: Vec<u32> = (0..600)
            .filter(|row| !groups[*row as usize].is_multiple_of(5))
            .collect();
        let dealt = folds(&source, &rows, 5, &mut rng(seed)).unwrap();
        assert_eq!(
            dealt,
            folds(&source, &rows, 5, &mut rng(seed)).unwrap(),
            "the same seed gives the same folds"
        );
        let by_fold = rows_by_fold(&rows, &dealt);
        assert_eq!(by_fold.len(), 5);
        let mut seen = BTreeSet::new();
        for of_fold in by_fold.values() {
            let own: BTreeSet<u32> = of_fold.iter().map(|row| groups[*row as usize]).collect();
            assert!(seen.is_disjoint(&own), "seed {seed}");
            seen.extend(own);
            let wanted = rows.len() as f64 / 5.0;
            let size = of_fold.len() as f64;
            assert!((size / wanted - 1.0).abs() < 0.25, "seed {seed}: {size}");
            let rare = of_fold.iter().filter(|row| ids[**row as usize] == 1);
            let share = rare.count() as f64 / size;
            assert!((share - 0.2).abs() < 0.08, "seed {seed}: {share}");
        }
    }
}

#[test]
fn there_are_not_more_folds_than_groups() {
    let mut source = measured((0..90).map(f64::from).collect());
    source.facts.sides = Sides::Groups((0..90).map(|row| row / 30).collect());
    let rows: Vec<u32> = (0..90).collect();
    let dealt = folds(&source, &rows, 5, &mut rng(1)).unwrap();
    assert_eq!(folds_max(&source, &rows, 5), 3);
    let by_fold = rows_by_fold(&rows, &dealt);
    let sizes: Vec<usize> = by_fold.values().map(Vec::len).collect();
    assert_eq!(sizes, [30, 30, 30]);
    let error = folds(&source, &rows[..30], 5, &mut rng(1)).unwrap_err();
    assert!(error.to_string().contains("of one group"), "{error}");
}

#[test]
fn there_are_not_more_folds_than_rows_and_none_is_empty() {
    let rows: Vec<u32> = (0..16).map(|row| row + row / 4).collect();
    let numbers = measured((0..20).map(f64::from).collect());
    let classes = source_of((0..20).map(|row| row % 3).collect());
    for source in [numbers, classes] {
        for (count, dealt) in [(20, 16), (16, 16), (15, 15)] {
            assert_eq!(folds_max(&source, &rows, count), dealt);
            let folds = folds(&source, &rows, count, &mut rng(2)).unwrap();
            let by_fold = rows_by_fold(&rows, &folds);
            assert!(by_fold.keys().copied().eq(0..dealt), "{by_fold:?}");
        }
        let error = folds(&source, &rows[..1], 5, &mut rng(2)).unwrap_err();
        assert!(
            error.to_string().contains("1 row(s) in one fold"),
            "{error}"
        );
    }
}

#[test]
fn folds_that_leave_one_class_to_learn_from_are_refused() {
    let mut source = source_of((0..40).map(|row| row / 20).collect());
    source.facts.sides = Sides::Groups((0..40).map(|row| row / 20).collect());
    let rows: Vec<u32> = (0..40).collect();
    let error = folds(&source, &rows, 2, &mut rng(1)).unwrap_err();
    assert!(error.to_string().contains("are of class `"), "{error}");
}

#[test]
fn rows_in_the_order_of_time_are_not_dealt_into_folds() {
    let mut source = measured((0..40).map(f64::from).collect());
    source.facts.sides = Sides::Times((0..40).map(f64::from).collect());
    let rows: Vec<u32> = (0..32).collect();
    let error = folds(&source, &rows, 4, &mut rng(1)).unwrap_err();
    assert!(error.to_string().contains("from later rows"), "{error}");
}
