//! The winner and simple models on the same rows, each with the interval of its score.

use std::collections::BTreeMap;

use data::{Examples, Targets};
use serde::{Deserialize, Serialize};
use train::{Calibration, Metric};

use super::resample::{self, Units, bootstrap, with_interval};

/// A value with the interval that 95 % of repetitions would cover.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WithInterval {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One model beside others: the winner, or a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// What it is.
    pub name: String,
    /// More about it; empty if its name says all.
    pub about: String,
    /// The metric on the validation rows, which the search has seen.
    pub validation: Option<f64>,
    /// The metric on the vault's rows, which nothing has seen before.
    pub vault: Option<WithInterval>,
    /// Every metric on the vault's rows.
    pub vault_metrics: BTreeMap<Metric, f64>,
}

/// A model as it is scored: what it says of the rows, calibrated as every other.
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) about: String,
    /// The metric as the search saw it.
    pub(super) validation: Option<f64>,
    /// What it says of the vault's rows.
    pub(super) vault: Vec<f32>,
    pub(super) calibration: Calibration,
}

/// Scores of contenders, and their metric in every draw of rows.
pub(super) struct Standing {
    pub(super) scored: Vec<Scored>,
    /// `[draws][contenders]`.
    pub(super) draws: Vec<Vec<Option<f64>>>,
}

impl Standing {
    /// By how much one contender is better than another on the same rows, also where less is better, with
    /// the interval of a paired bootstrap; `None` where either has no score.
    pub(super) fn better_by(
        &self,
        one: usize,
        other: usize,
        metric: Metric,
    ) -> Option<WithInterval> {
        let better_by = |one: f64, other: f64| metric.score(one) - metric.score(other);
        let value = |place: usize| self.scored[place].vault.map(|vault| vault.value);
        let draws = self
            .draws
            .iter()
            .filter_map(|draw| Some(better_by(draw[one]?, draw[other]?)));
        Some(with_interval(better_by(value(one)?, value(other)?), draws))
    }
}

/// Scores contenders on the vault's rows; where these come in groups, `groups` has the number of each row's.
pub(super) fn score(
    contenders: &[Contender],
    vault: &Examples,
    groups: &[u32],
    metric: Metric,
    scale: f64,
    seed: u64,
) -> Standing {
    let rows = vault.len();
    let reduced: Vec<resample::Scored> = contenders
        .iter()
        .map(|contender| {
            let Contender {
                vault: outputs,
                calibration,
                ..
            } = contender;
            resample::Scored::of(metric, outputs, vault.targets(), scale, calibration)
        })
        .collect();
    let weights: Vec<f64> = match vault.weights() {
        Some(weights) => weights.iter().map(|weight| f64::from(*weight)).collect(),
        None => vec![1.0; rows],
    };
    let units = Units::of(groups, rows);
    let draws = bootstrap(&reduced, &units, &weights, seed);
    let one = |(index, contender): (usize, &Contender)| {
        let metrics = match rows {
            0 => BTreeMap::new(),
            _ => {
                let outputs = &contender.vault;
                let calibration = &contender.calibration;
                calibration
                    .evaluate(outputs, vault.targets(), vault.weights(), scale)
                    .metrics
            }
        };
        let value = metrics.get(&metric).copied();
        let drawn = || draws.iter().filter_map(|draw| draw[index]);
        let interval = |value: f64| match (metric, &units) {
            (Metric::Accuracy, Units::Rows(_)) if vault.weights().is_none() => wilson(value, rows),
            _ => with_interval(value, drawn()),
        };
        Scored {
            name: contender.name.clone(),
            about: contender.about.clone(),
            validation: contender.validation,
            vault: value.map(interval),
            vault_metrics: metrics,
        }
    };
    Standing {
        scored: contenders.iter().enumerate().map(one).collect(),
        draws,
    }
}

/// What always saying the same would put out for one row: the commonest class, or the mean, by the weights of
/// the rows.
pub(super) fn constant(train: &Examples) -> (&'static str, Vec<f32>) {
    let weight = |row: usize| {
        train
            .weights()
            .map_or(1.0, |weights| f64::from(weights[row]))
    };
    match train.targets() {
        Targets::Classes { ids, count } => {
            let mut counts = vec![0.0_f64; *count as usize];
            for (row, id) in ids.iter().enumerate() {
                counts[*id as usize] += weight(row);
            }
            let total: f64 = counts.iter().sum();
            // Logits whose softmax is the share of each class.
            let logit = |count: &f64| (count.max(0.5) / total).ln() as f32;
            ("the commonest class", counts.iter().map(logit).collect())
        }
        // Values are standardised: their plain mean is 0.
        Targets::Values(values) if train.weights().is_some() => {
            let each = values.iter().enumerate();
            let weighed = each.map(|(row, value)| (weight(row), f64::from(*value)));
            let (total, sum) = weighed.fold((0.0, 0.0), |(total, sum), (weight, value)| {
                (total + weight, sum + weight * value)
            });
            ("the mean", vec![(sum / total) as f32])
        }
        _ => ("the mean", vec![0.0]),
    }
}

/// The interval of a share, right also near 0 and 1.
///
/// # Source
/// Wilson 1927; 1.96 is the normal quantile of 97.5 %.
fn wilson(share: f64, rows: usize) -> WithInterval {
    const Z: f64 = 1.959_964;
    let n = rows as f64;
    let denominator = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / denominator;
    let half = Z / denominator * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    WithInterval {
        value: share,
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use data::ItemShape;

    use super::*;

    #[test]
    fn the_constant_is_that_of_rows_as_often_as_they_weigh() {
        let examples = |targets: Targets, rows: usize| {
            Examples::from_floats(ItemShape::Features(1), vec![0.0; rows], targets)
        };
        let ids = vec![0, 0, 1];
        let (_, said) = constant(
            &examples(Targets::Classes { ids, count: 2 }, 3).with_weights(&[1.0, 0.0, 4.0]),
        );
        assert!((said[0].exp() - 0.2).abs() < 1e-6 && (said[1].exp() - 0.8).abs() < 1e-6);
        let values = vec![-1.0, 1.0, 4.0];
        let (_, said) =
            constant(&examples(Targets::Values(values), 3).with_weights(&[3.0, 1.0, 0.0]));
        assert_eq!(said, [-0.5]);
    }

    #[test]
    fn the_interval_of_a_perfect_share_is_not_a_point() {
        let interval = wilson(1.0, 360);
        assert!((interval.low - 0.98944).abs() < 1e-4, "{interval:?}");
        assert_eq!(interval.high, 1.0);
    }

    #[test]
    fn the_interval_of_a_share_matches_the_textbook() {
        // 45 of 50: 0.7864 to 0.9565 by Wilson's formula.
        let interval = wilson(0.9, 50);
        assert!((interval.low - 0.7864).abs() < 1e-4, "{interval:?}");
        assert!((interval.high - 0.9565).abs() < 1e-4, "{interval:?}");
    }
}
