//! What decides between models, in the words and units that users know.

use std::{fmt, str::FromStr};

use data::Targets;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A figure of merit on validation or vault rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of rows whose most probable class is right.
    Accuracy,
    /// Mean over classes of the share of their rows that is found.
    BalancedAccuracy,
    /// Mean over classes of the harmonic mean of precision and recall.
    F1Macro,
    /// Matthews' correlation coefficient between classes said and classes true.
    Mcc,
    /// Area under the ROC curve; over more classes the mean of one against the rest.
    Auc,
    /// Mean negative logarithm of the probability given to the right class.
    LogLoss,
    /// Root of the mean squared error, in the target's unit.
    Rmse,
    /// Mean absolute error, in the target's unit.
    Mae,
    /// Share of the target's variance that is explained.
    R2,
}

/// A word that is no metric.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no metric")]
pub struct UnknownMetric {
    /// The word.
    pub text: String,
}

impl Metric {
    /// All of them.
    pub const ALL: [Metric; 9] = [
        Metric::Accuracy,
        Metric::BalancedAccuracy,
        Metric::F1Macro,
        Metric::Mcc,
        Metric::Auc,
        Metric::LogLoss,
        Metric::Rmse,
        Metric::Mae,
        Metric::R2,
    ];

    /// Those that look at labels only.
    pub const OF_LABELS: [Metric; 4] = [
        Metric::Accuracy,
        Metric::BalancedAccuracy,
        Metric::F1Macro,
        Metric::Mcc,
    ];

    /// The score of a value: the same if higher is better, its negative if lower is.
    pub fn score(self, value: f64) -> f64 {
        match self {
            Metric::LogLoss | Metric::Rmse | Metric::Mae => -value,
            _ => value,
        }
    }

    /// The value of a score: the inverse of [`Metric::score`].
    pub fn value(self, score: f64) -> f64 {
        // Negation is its own inverse.
        self.score(score)
    }

    /// What rows with these targets can be judged by: itself, or the loss where it is not defined for them. Of a
    /// single class there is no area under a curve, and of equal numbers no variance.
    #[must_use]
    pub fn or_loss(self, targets: &Targets) -> Metric {
        let is_one = match targets {
            Targets::Classes { ids, .. } => ids.windows(2).all(|pair| pair[0] == pair[1]),
            Targets::Values(values) => values.windows(2).all(|pair| pair[0] == pair[1]),
            Targets::None => false,
        };
        match self {
            Metric::Auc if is_one => Metric::LogLoss,
            Metric::R2 if is_one => Metric::Rmse,
            _ => self,
        }
    }

    /// Its name, as in `lehr.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::BalancedAccuracy => "balanced_accuracy",
            Metric::F1Macro => "f1_macro",
            Metric::Mcc => "mcc",
            Metric::Auc => "auc",
            Metric::LogLoss => "log_loss",
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::R2 => "r2",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Metric, UnknownMetric> {
        let found = Metric::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| UnknownMetric {
            text: text.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::evaluate;

    #[test]
    fn what_stands_in_for_a_metric_is_defined_for_rows_of_one_class_or_number() {
        let classes = |ids: [u32; 3]| Targets::Classes {
            ids: ids.to_vec(),
            count: 2,
        };
        let values = |values: [f32; 3]| Targets::Values(values.to_vec());
        for (metric, one, other, stands_in) in [
            (
                Metric::Auc,
                classes([1; 3]),
                classes([1, 0, 1]),
                Metric::LogLoss,
            ),
            (
                Metric::R2,
                values([2.5; 3]),
                values([2.5, 1.0, 2.5]),
                Metric::Rmse,
            ),
        ] {
            assert_eq!(metric.or_loss(&one), stands_in);
            assert_eq!(metric.or_loss(&other), metric);
            for targets in [&one, &other] {
                let evaluation = evaluate(&[0.0; 6], targets, 1.0);
                assert!(evaluation.metrics.contains_key(&metric.or_loss(targets)));
            }
            assert!(!evaluate(&[0.0; 6], &one, 1.0).metrics.contains_key(&metric));
        }
    }

    #[test]
    fn a_score_is_higher_where_the_value_is_better() {
        assert!(Metric::Rmse.score(1.0) > Metric::Rmse.score(2.0));
        assert!(Metric::Auc.score(0.9) > Metric::Auc.score(0.8));
        for metric in Metric::ALL {
            assert_eq!(metric.value(metric.score(0.3)), 0.3);
            assert_eq!(metric.name().parse(), Ok(metric));
        }
    }
}
