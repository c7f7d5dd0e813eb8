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

/// By how much one model is better than another on the same rows, and what that shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Below 0 if it is worse, also where less is better; the interval is that of a paired bootstrap.
    #[serde(flatten)]
    pub interval: WithInterval,
    /// What chance does not explain of it.
    pub shows: Shows,
}

/// What a difference shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// The one is better.
    Better,
    /// The one is worse.
    Worse,
    /// Neither: chance may explain it.
    Nothing,
}

/// Rows, or groups of rows, that must tell two models apart before anything is said: if chance decided whom each
/// favours, six would favour the same one once in 32 times, five once in 16.
///
/// Dixon & Mood 1946, the sign test, both sides at 5 %. Draws of fewer units scatter less than new ones would, so
/// that their interval alone would claim more.
const TELLING_MIN: usize = 6;

impl Difference {
    /// Of models that so many units tell apart.
    fn of(interval: WithInterval, telling: usize) -> Difference {
        let shows = match interval {
            _ if telling < TELLING_MIN => Shows::Nothing,
            WithInterval { low, .. } if low > 0.0 => Shows::Better,
            WithInterval { high, .. } if high < 0.0 => Shows::Worse,
            _ => Shows::Nothing,
        };
        Difference { interval, shows }
    }
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
    /// How many units tell one contender apart from another: `[contenders][contenders]`.
    telling: Vec<Vec<usize>>,
}

impl Standing {
    /// By how much one contender is better than another on the same rows; `None` where either has no score.
    pub(super) fn better_by(&self, one: usize, other: usize, metric: Metric) -> Option<Difference> {
        let better_by = |one: f64, other: f64| metric.score(one) - metric.score(other);
        let value = |place: usize| self.scored[place].vault.map(|vault| vault.value);
        let draws = self
            .draws
            .iter()
            .filter_map(|draw| Some(better_by(draw[one]?, draw[other]?)));
        let interval = with_interval(better_by(value(one)?, value(other)?), draws);
        Some(Difference::of(interval, self.telling[one][other]))
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
    let telling = |one: &resample::Scored| -> Vec<usize> {
        let others = reduced.iter();
        others
            .map(|other| units.telling_apart(one, other, &weights))
            .collect()
    };
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
            (Metric::Accuracy, Units::Rows(_) | Units::OneGroup(_))
                if vault.weights().is_none() =>
            {
                wilson(value, rows)
            }
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
        telling: reduced.iter().map(telling).collect(),
        draws,
    }
}

/// What always saying the same would put out for one row, by the weights of the rows: the commonest class, or the
/// number with the least errors by this metric, absolute ones the median and squared ones the mean.
pub(super) fn constant(train: &Examples, metric: Metric) -> (&'static str, Vec<f32>) {
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
        Targets::Values(values) if metric == Metric::Mae => {
            ("the median", vec![median(values, &weight)])
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

/// The value below and above which lie no more than half of all weights; between two such values their middle.
fn median(values: &[f32], weight: &dyn Fn(usize) -> f64) -> f32 {
    let mut order: Vec<usize> = (0..values.len()).filter(|row| weight(*row) > 0.0).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let half = order.iter().map(|row| weight(*row)).sum::<f64>() / 2.0;
    let mut below = 0.0;
    for (place, row) in order.iter().enumerate() {
        below += weight(*row);
        if below >= half {
            let next = order.get(place + 1).filter(|_| below == half);
            let next = next.map_or(values[*row], |next| values[*next]);
            return f32::midpoint(values[*row], next);
        }
    }
    // Without rows that count nothing is better than the mean of all, which is 0.
    0.0
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
        let classes =
            examples(Targets::Classes { ids, count: 2 }, 3).with_weights(&[1.0, 0.0, 4.0]);
        let (_, said) = constant(&classes, Metric::Accuracy);
        assert!((said[0].exp() - 0.2).abs() < 1e-6 && (said[1].exp() - 0.8).abs() < 1e-6);
        let values = vec![-1.0, 1.0, 4.0];
        let numbers = examples(Targets::Values(values), 3).with_weights(&[3.0, 1.0, 0.0]);
        assert_eq!(constant(&numbers, Metric::Rmse), ("the mean", vec![-0.5]));
        assert_eq!(constant(&numbers, Metric::Mae), ("the median", vec![-1.0]));
    }

    #[test]
    fn of_absolute_errors_the_constant_is_the_median_which_no_other_number_beats() {
        let values = [-1.0, 0.5, -0.9, 4.0, -0.8, 0.1_f32];
        for weights in [[1.0; 6], [1.0, 2.0, 0.0, 5.0, 1.0, 3.0]] {
            let inputs = vec![0.0; 6];
            let targets = Targets::Values(values.to_vec());
            let plain = Examples::from_floats(ItemShape::Features(1), inputs, targets);
            let rows = plain.with_weights(&weights);
            let (_, said) = constant(&rows, Metric::Mae);
            let error = |constant: f32| -> f64 {
                let each = values.iter().zip(weights);
                each.map(|(value, weight)| weight * f64::from((value - constant).abs()))
                    .sum()
            };
            for other in -50..50 {
                assert!(error(said[0]) <= error(other as f32 / 10.0) + 1e-5);
            }
        }
        let two = Targets::Values(vec![3.0, 1.0]);
        let two = Examples::from_floats(ItemShape::Features(1), vec![0.0; 2], two);
        assert_eq!(constant(&two, Metric::Mae), ("the median", vec![2.0]));
        assert_eq!(constant(&two, Metric::R2), ("the mean", vec![0.0]));
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
