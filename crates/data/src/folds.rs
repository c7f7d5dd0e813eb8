//! Cross-validation: rows dealt into folds, each of which validates what was learned from the others.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::source::RawTargets;

/// The fold of each of these rows, from 0: all of about the same size, classes spread evenly.
///
/// # Source
/// Kohavi 1995, stratified cross-validation.
pub fn folds(targets: &RawTargets, rows: &[u32], count: u8, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.shuffle(rng);
    if let RawTargets::Classes(ids) = targets {
        // Class after class; the deal goes on where the class before ended.
        order.sort_by_key(|place| ids[rows[*place] as usize]);
    }
    let mut folds = vec![0; rows.len()];
    for (turn, place) in order.into_iter().enumerate() {
        folds[place] = (turn % usize::from(count)) as u8;
    }
    folds
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn folds_are_of_equal_size_and_classes_spread_evenly() {
        let ids: Vec<u32> = (0..83).map(|row| u32::from(row % 5 == 0)).collect();
        let rows: Vec<u32> = (0..83).filter(|row| row % 7 != 0).collect();
        let targets = RawTargets::Classes(ids.clone());
        let folds = folds(&targets, &rows, 5, &mut ChaCha8Rng::seed_from_u64(3));
        let count = |fold: u8, class: u32| {
            let is = |(place, row): &(usize, &u32)| {
                folds[*place] == fold && ids[**row as usize] == class
            };
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
}
