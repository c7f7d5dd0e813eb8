//! What labels are worth: every metric that looks at classes said and classes true, from three sums for each class.

use crate::metric::Metric;

/// By how much rows of each class count: as they are, as they are said to be, and where both agree.
///
/// # Shapes
/// Each `[classes]`.
/// # Units
/// Weights of rows; of rows that all count the same, numbers of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelCounts {
    is: Vec<f64>,
    said: Vec<f64>,
    right: Vec<f64>,
}

impl LabelCounts {
    /// No rows.
    pub fn of_no_rows(classes: usize) -> LabelCounts {
        LabelCounts {
            is: vec![0.0; classes],
            said: vec![0.0; classes],
            right: vec![0.0; classes],
        }
    }

    /// Counts a row of one class that is said to be of another, or of the same.
    pub fn count(&mut self, is: usize, said: usize, weight: f64) {
        self.is[is] += weight;
        self.said[said] += weight;
        if is == said {
            self.right[is] += weight;
        }
    }

    /// By how much rows count that are of a class.
    pub fn is(&self, class: usize) -> f64 {
        self.is[class]
    }

    /// By how much rows count that are said to be of a class.
    pub fn said(&self, class: usize) -> f64 {
        self.said[class]
    }

    /// By how much rows count that are of a class and said to be.
    pub fn right(&self, class: usize) -> f64 {
        self.right[class]
    }

    /// A metric of labels; not finite if it is not defined for these rows, `None` if it looks at more than labels.
    ///
    /// # Cost
    /// `O(classes)`.
    /// # Source
    /// Matthews' coefficient of more than two classes: Gorodkin 2004, equation 8, written with sums of classes;
    /// 0 where one class is said of all rows, or true of all. The F measure: van Rijsbergen 1979, chapter 7; its mean
    /// is over the classes that are true or said of some row.
    pub fn value(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Accuracy => Some(self.right.iter().sum::<f64>() / self.is.iter().sum::<f64>()),
            Metric::BalancedAccuracy => Some(self.mean_recall()),
            Metric::F1Macro => Some(self.mean_f1()),
            Metric::Mcc => Some(self.correlation()),
            Metric::Auc | Metric::LogLoss | Metric::Rmse | Metric::Mae | Metric::R2 => None,
        }
    }

    fn mean_recall(&self) -> f64 {
        let each = self.right.iter().zip(&self.is);
        mean(
            each.filter(|(_, is)| **is > 0.0)
                .map(|(right, is)| right / is),
        )
    }

    fn mean_f1(&self) -> f64 {
        let told = self.is.iter().zip(&self.said).map(|(is, said)| is + said);
        let each = self.right.iter().zip(told);
        mean(
            each.filter(|(_, told)| *told > 0.0)
                .map(|(right, told)| 2.0 * right / told),
        )
    }

    fn correlation(&self) -> f64 {
        let product =
            |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(one, other)| one * other).sum::<f64>();
        let rows: f64 = self.is.iter().sum();
        let right: f64 = self.right.iter().sum();
        let of_is = rows * rows - product(&self.is, &self.is);
        let of_said = rows * rows - product(&self.said, &self.said);
        // Rounding may leave a little of what is nothing.
        let is_one_class = |spread: f64| spread <= 1e-12 * rows * rows;
        if rows > 0.0 && (is_one_class(of_is) || is_one_class(of_said)) {
            return 0.0;
        }
        (right * rows - product(&self.is, &self.said)) / (of_is * of_said).sqrt()
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    sum / count
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn counted(classes: usize, rows: &[(usize, usize)]) -> LabelCounts {
        let mut counts = LabelCounts::of_no_rows(classes);
        for (is, said) in rows {
            counts.count(*is, *said, 1.0);
        }
        counts
    }

    /// The correlation of the indicators of the classes that are and those that are said (Gorodkin 2004, equations 1
    /// to 3), row by row.
    fn slow_correlation(classes: usize, rows: &[(usize, usize)]) -> f64 {
        let indicator = |class: usize, of: usize| f64::from(u8::from(class == of));
        let covariance = |one: &dyn Fn(usize, usize) -> f64,
                          other: &dyn Fn(usize, usize) -> f64| {
            let of_class = |class: usize| {
                let mean = |of: &dyn Fn(usize, usize) -> f64| {
                    (0..rows.len()).map(|row| of(row, class)).sum::<f64>() / rows.len() as f64
                };
                let (first, second) = (mean(one), mean(other));
                (0..rows.len())
                    .map(|row| (one(row, class) - first) * (other(row, class) - second))
                    .sum::<f64>()
            };
            (0..classes).map(of_class).sum::<f64>()
        };
        let is = |row: usize, class: usize| indicator(class, rows[row].0);
        let said = |row: usize, class: usize| indicator(class, rows[row].1);
        covariance(&is, &said) / (covariance(&is, &is) * covariance(&said, &said)).sqrt()
    }

    /// Precision and recall of each class, and their harmonic mean.
    fn slow_f1(classes: usize, rows: &[(usize, usize)]) -> f64 {
        let number = |wanted: &dyn Fn(&(usize, usize)) -> bool| {
            rows.iter().filter(|row| wanted(row)).count()
        };
        let of_class = |class: usize| {
            let is = number(&|row| row.0 == class);
            let said = number(&|row| row.1 == class);
            let both = number(&|row| *row == (class, class)) as f64;
            match (is, said) {
                (0, 0) => None,
                _ if both == 0.0 => Some(0.0),
                _ => {
                    let (precision, recall) = (both / said as f64, both / is as f64);
                    Some(2.0 * precision * recall / (precision + recall))
                }
            }
        };
        let found: Vec<f64> = (0..classes).filter_map(of_class).collect();
        found.iter().sum::<f64>() / found.len() as f64
    }

    #[test]
    fn both_agree_with_their_slow_definitions() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for classes in [2, 3, 7] {
            for _ in 0..20 {
                let mut row = || (rng.random_range(0..classes), rng.random_range(0..classes));
                let rows: Vec<(usize, usize)> = (0..30).map(|_| row()).collect();
                let counts = counted(classes, &rows);
                let pairs = [
                    (Metric::Mcc, slow_correlation(classes, &rows)),
                    (Metric::F1Macro, slow_f1(classes, &rows)),
                ];
                for (metric, slow) in pairs {
                    let fast = counts.value(metric).unwrap();
                    assert!((fast - slow).abs() < 1e-12, "{metric}: {fast}, {slow}");
                }
            }
        }
    }

    #[test]
    fn who_always_says_the_same_has_no_correlation_and_who_is_always_right_the_whole() {
        let constant = counted(3, &[(0, 1), (1, 1), (2, 1)]);
        assert_eq!(constant.value(Metric::Mcc), Some(0.0));
        let right = counted(3, &[(0, 0), (1, 1), (1, 1)]);
        for metric in [Metric::Mcc, Metric::F1Macro, Metric::BalancedAccuracy] {
            assert_eq!(right.value(metric), Some(1.0));
        }
        let wrong = counted(2, &[(0, 1), (1, 0)]);
        assert_eq!(wrong.value(Metric::Mcc), Some(-1.0));
        assert_eq!(wrong.value(Metric::F1Macro), Some(0.0));
        for metric in [Metric::Accuracy, Metric::Mcc, Metric::F1Macro] {
            let of_nothing = LabelCounts::of_no_rows(2).value(metric);
            assert!(!of_nothing.unwrap().is_finite(), "{metric}");
        }
    }
}
