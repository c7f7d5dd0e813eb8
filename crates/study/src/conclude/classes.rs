//! Which classes a model takes for which, and how well it knows each.
//!
//! Rows are counted one by one; precision, recall and what is made of them count rows by their weights, as
//! the metrics do.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use train::{LabelCounts, Metric};

/// With more classes a matrix says nothing to anyone; what is confused most is said all the same.
const MATRIX_CLASSES_MAX: usize = 40;

/// Pairs of classes that are named.
const CONFUSED_MAX: usize = 10;

/// Right and wrong answers by class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// Rows of each class by the class that was said: `[true][said]`; empty if there are too many classes.
    pub matrix: Vec<Vec<u64>>,
    /// How well each class is known, in the order of the classes.
    pub classes: Vec<ClassScores>,
    /// Mean F1 over the classes that are there.
    #[serde(alias = "macro_f1")]
    pub f1_macro: f64,
    /// What is confused most, most often first.
    pub confused: Vec<Confused>,
}

/// How well a class is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Its name.
    pub class: String,
    /// How many rows are of it.
    pub rows: u64,
    /// Share that is right among the rows said to be of it; absent if none is.
    pub precision: Option<f64>,
    /// Share that is found among the rows that are of it; absent if none is.
    pub recall: Option<f64>,
    /// Harmonic mean of both; absent if no row is of it or said to be.
    pub f1: Option<f64>,
}

/// One class taken for another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confused {
    /// What the rows are.
    pub truth: String,
    /// What they were said to be.
    pub said: String,
    /// How many.
    pub rows: u64,
}

/// Counts answers; `said` and `ids` are classes by number, all rows weigh the same without weights.
///
/// # Cost
/// `O(rows log rows + classes)`, in memory too: of thousands of classes most pairs never come up.
pub(super) fn confusion(
    names: &[String],
    ids: &[u32],
    said: &[usize],
    weights: Option<&[f32]>,
) -> Confusion {
    let mut pairs: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    let mut rows_of = vec![0_u64; names.len()];
    let mut labels = LabelCounts::of_no_rows(names.len());
    for (row, (id, said)) in ids.iter().zip(said).enumerate() {
        let truth = *id as usize;
        *pairs.entry((truth, *said)).or_default() += 1;
        rows_of[truth] += 1;
        let weight = weights.map_or(1.0, |weights| f64::from(weights[row]));
        labels.count(truth, *said, weight);
    }
    let classes = names.iter().enumerate().map(|(class, name)| ClassScores {
        rows: rows_of[class],
        ..class_scores(name, class, &labels)
    });
    Confusion {
        matrix: match names.len() <= MATRIX_CLASSES_MAX {
            true => matrix(&pairs, names.len()),
            false => Vec::new(),
        },
        classes: classes.collect(),
        // Without rows there is none.
        f1_macro: labels
            .value(Metric::F1Macro)
            .filter(|value| value.is_finite())
            .unwrap_or(0.0),
        confused: confused(&pairs, names),
    }
}

/// Every pair of classes, those that never came up among them: `[true][said]`.
fn matrix(pairs: &BTreeMap<(usize, usize), u64>, classes: usize) -> Vec<Vec<u64>> {
    let mut matrix = vec![vec![0; classes]; classes];
    for ((truth, said), rows) in pairs {
        matrix[*truth][*said] = *rows;
    }
    matrix
}

/// The pairs that are confused most.
fn confused(pairs: &BTreeMap<(usize, usize), u64>, names: &[String]) -> Vec<Confused> {
    let wrong = pairs.iter().filter(|((truth, said), _)| truth != said);
    let mut wrong: Vec<_> = wrong.collect();
    // A stable sort: pairs that come up as often stay in the order of the classes.
    wrong.sort_by_key(|(_, rows)| Reverse(**rows));
    wrong.truncate(CONFUSED_MAX);
    let named = |((truth, said), rows): (&(usize, usize), &u64)| Confused {
        truth: names[*truth].clone(),
        said: names[*said].clone(),
        rows: *rows,
    };
    wrong.into_iter().map(named).collect()
}

/// Scores of a class by what its rows weigh, which are not counted yet.
fn class_scores(name: &str, class: usize, labels: &LabelCounts) -> ClassScores {
    let (there, said, right) = (labels.is(class), labels.said(class), labels.right(class));
    let share = |of: f64| (of > 0.0).then(|| right / of);
    ClassScores {
        class: name.to_string(),
        rows: 0,
        precision: share(said),
        recall: share(there),
        f1: (there + said > 0.0).then(|| 2.0 * right / (there + said)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn scores_of_classes_are_those_of_scikit_learn() {
        // precision_recall_fscore_support of scikit-learn 1.9 on these rows.
        let truth = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2];
        let said = [0, 0, 1, 2, 1, 1, 0, 2, 2, 2, 1, 2];
        let found = confusion(&names(&["a", "b", "c"]), &truth, &said, None);
        assert_eq!(found.matrix, [[2, 1, 1], [1, 2, 0], [0, 1, 4]]);
        let wanted = [
            (4, 0.666_666_666_667, 0.5, 0.571_428_571_429),
            (3, 0.5, 0.666_666_666_667, 0.571_428_571_429),
            (5, 0.8, 0.8, 0.8),
        ];
        for (class, (rows, precision, recall, f1)) in found.classes.iter().zip(wanted) {
            assert_eq!(class.rows, rows);
            let close = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-11;
            assert!(close(class.precision, precision), "{class:?}");
            assert!(
                close(class.recall, recall) && close(class.f1, f1),
                "{class:?}"
            );
        }
        assert!((found.f1_macro - 0.647_619_047_619).abs() < 1e-11);
        assert_eq!(found.confused.len(), 4);
    }

    #[test]
    fn rows_are_counted_as_they_are_and_scored_as_often_as_they_weigh() {
        let names = names(&["a", "b"]);
        let (truth, said) = ([0, 0, 1, 1, 1_u32], [0, 1, 1, 0, 0_usize]);
        let weights = [3.0, 1.0, 2.0, 1.0, 0.0];
        let weighed = confusion(&names, &truth, &said, Some(&weights));
        fn often<T: Copy>(classes: &[T], weights: &[f32]) -> Vec<T> {
            let each = classes.iter().zip(weights);
            each.flat_map(|(class, weight)| vec![*class; *weight as usize])
                .collect()
        }
        let (truth, said) = (often(&truth, &weights), often(&said, &weights));
        let repeated = confusion(&names, &truth, &said, None);
        assert_eq!(weighed.matrix, [[1, 1], [2, 1]]);
        assert_eq!(weighed.classes[1].rows, 3);
        assert_eq!(weighed.f1_macro, repeated.f1_macro);
        for (weighed, repeated) in weighed.classes.iter().zip(&repeated.classes) {
            let scores = |class: &ClassScores| [class.precision, class.recall, class.f1];
            assert_eq!(scores(weighed), scores(repeated));
        }
    }

    #[test]
    fn a_class_that_is_never_said_has_no_precision_and_one_that_is_not_there_no_recall() {
        let found = confusion(&names(&["a", "b", "c"]), &[0, 0, 1], &[0, 0, 0], None);
        assert_eq!(found.classes[1].precision, None);
        assert_eq!(found.classes[1].recall, Some(0.0));
        assert_eq!(found.classes[2].recall, None);
        assert_eq!(found.classes[2].f1, None);
        assert!((found.f1_macro - 0.4).abs() < 1e-12);
        assert_eq!(found.confused[0].rows, 1);
    }

    #[test]
    fn many_classes_have_no_matrix_but_their_confusions_are_named() {
        let names: Vec<String> = (0..100).map(|class| class.to_string()).collect();
        let found = confusion(&names, &[7, 7, 8], &[9, 9, 8], None);
        assert!(found.matrix.is_empty());
        assert_eq!(
            (found.confused[0].rows, found.confused[0].said.as_str()),
            (2, "9")
        );
    }

    #[test]
    fn of_twenty_thousand_classes_only_pairs_that_come_up_take_memory() {
        let names: Vec<String> = (0..20_000).map(|class| class.to_string()).collect();
        let found = confusion(&names, &[7, 19_999, 7], &[7, 7, 19_999], None);
        assert_eq!(found.classes.len(), 20_000);
        let scores = |class: usize| {
            let ClassScores {
                rows,
                precision,
                recall,
                ..
            } = found.classes[class];
            (rows, precision, recall)
        };
        assert_eq!(scores(7), (2, Some(0.5), Some(0.5)));
        assert_eq!(scores(19_999), (1, Some(0.0), Some(0.0)));
        assert_eq!(scores(8), (0, None, None));
        let pairs = found.confused.iter().map(|pair| pair.truth.as_str());
        assert_eq!(pairs.collect::<Vec<_>>(), ["7", "19999"]);
    }
}
