//! Several objectives at once: small or fast models beside good ones, on request.
//!
//! Notation: k objectives, the score first; uⱼ a model's rank in objective j from 0 (worst) to 1 (best);
//! wⱼ ≥ 0 weights that sum to 1. What a search maximises for given weights is the augmented Chebyshev value
//! −(max wⱼ(1 − uⱼ) + ρ·Σ wⱼ(1 − uⱼ)): every model that nobody beats in all objectives is its maximum for
//! some weights, also where the front is not convex. Weights are drawn anew for every proposal.
//! Ranks, so that parameters, seconds and scores need no common unit.
//!
//! Source: Knowles 2006 (ParEGO), equations 1 and 2.

use std::{fmt, str::FromStr};

use morph::Architecture;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::pool::{Outcome, middles_of_ranks};

/// ρ of the formula: keeps a model that is worse in one objective and equal in the others behind.
const SUM_SHARE: f64 = 0.05;

/// How often the score alone counts, so that asking for more objectives costs the best score at most half
/// of the search.
const SCORE_ONLY_SHARE: f64 = 0.5;

/// What a model should have little of, beside a high score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Learned values.
    Params,
    /// Operations of the forward pass of one example.
    Flops,
    /// Seconds of the forward pass of one example, as measured.
    Latency,
}

/// A word that names no objective.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{word}` is not an objective: beside the score there are params, flops and latency")]
pub struct UnknownObjective {
    /// The word.
    pub word: String,
}

impl Objective {
    /// All of them.
    pub const ALL: [Objective; 3] = [Objective::Params, Objective::Flops, Objective::Latency];

    /// What a model costs in this objective; `None` for a latency that was not measured.
    pub fn cost(self, architecture: &Architecture, latency_seconds: Option<f64>) -> Option<f64> {
        match self {
            Objective::Params => Some(architecture.cost().parameters as f64),
            Objective::Flops => Some(architecture.cost().flops as f64),
            Objective::Latency => latency_seconds,
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Objective::Params => "params",
            Objective::Flops => "flops",
            Objective::Latency => "latency",
        })
    }
}

impl FromStr for Objective {
    type Err = UnknownObjective;

    fn from_str(word: &str) -> Result<Objective, UnknownObjective> {
        let found = Objective::ALL
            .into_iter()
            .find(|objective| objective.to_string() == word);
        found.ok_or_else(|| UnknownObjective {
            word: word.to_string(),
        })
    }
}

/// How much each objective counts; the score first.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights(Vec<f64>);

impl Weights {
    /// All on the score with probability [`SCORE_ONLY_SHARE`], else uniform over all that sum to 1.
    pub fn draw(objectives: usize, rng: &mut ChaCha8Rng) -> Weights {
        if rng.random_bool(SCORE_ONLY_SHARE) {
            let mut weights = vec![0.0; objectives + 1];
            weights[0] = 1.0;
            return Weights(weights);
        }
        // Exponential variables over their sum are uniform on the simplex (Devroye 1986, V.2).
        let drawn: Vec<f64> = (0..=objectives)
            .map(|_| -rng.random_range(f64::EPSILON..1.0).ln())
            .collect();
        let sum: f64 = drawn.iter().sum();
        Weights(drawn.iter().map(|weight| weight / sum).collect())
    }
}

/// Outcomes that rank models by the weighted objectives; failures stay failures, and what was stopped
/// stays stopped.
///
/// # Shapes
/// `outcomes: [n]`; `costs[j]: [n]` for objective j beside the score, less is better, `None` the worst.
/// # Units
/// Of the values returned: none; at most 0, higher is better.
/// # Cost
/// `O(k·n·log n)`.
pub fn valued(outcomes: &[Outcome], costs: &[Vec<Option<f64>>], weights: &Weights) -> Vec<Outcome> {
    assert_eq!(
        weights.0.len(),
        costs.len() + 1,
        "one weight per objective, the score first"
    );
    let scores: Vec<f64> = outcomes.iter().map(|outcome| outcome.rank()).collect();
    let mut ranks = vec![shares_of_rank(&scores)];
    for of_objective in costs {
        let gains = of_objective
            .iter()
            .map(|cost| cost.map_or(f64::NEG_INFINITY, |cost| -cost));
        ranks.push(shares_of_rank(&gains.collect::<Vec<f64>>()));
    }
    let value = |model: usize| {
        let losses = weights
            .0
            .iter()
            .zip(&ranks)
            .map(|(weight, ranks)| weight * (1.0 - ranks[model]));
        let (largest, sum) = losses.fold((0.0_f64, 0.0), |(largest, sum), loss| {
            (largest.max(loss), sum + loss)
        });
        -(largest + SUM_SHARE * sum)
    };
    let each = outcomes.iter().enumerate();
    each.map(|(model, outcome)| match outcome {
        Outcome::Scored(score) if score.is_finite() => Outcome::Scored(value(model)),
        Outcome::Stopped { expected } if expected.is_finite() => Outcome::Stopped {
            expected: value(model),
        },
        other => *other,
    })
    .collect()
}

/// From 0 for the smallest to 1 for the largest; equal values share the mean of their ranks.
fn shares_of_rank(values: &[f64]) -> Vec<f64> {
    let last = values.len().saturating_sub(1).max(1) as f64;
    let middles = middles_of_ranks(values).into_iter();
    middles.map(|middle| (middle - 0.5) / last).collect()
}

/// Places of the points that no other point dominates (at least as good in everything and better in
/// something), in their order; of equal points the first.
///
/// # Shapes
/// `points: [n][k]`, higher is better.
/// # Cost
/// `O(k·n·front)`, after sorting.
pub fn front(points: &[Vec<f64>]) -> Vec<usize> {
    // Who dominates another comes before it in this order, so that one pass is enough.
    let mut order: Vec<usize> = (0..points.len()).collect();
    let descending = |a: &usize, b: &usize| {
        let each = points[*a].iter().zip(&points[*b]);
        let differing = each
            .map(|(a, b)| b.total_cmp(a))
            .find(|order| order.is_ne());
        differing.unwrap_or_else(|| a.cmp(b))
    };
    order.sort_by(descending);
    let mut front: Vec<usize> = Vec::new();
    for place in order {
        let is_covered = |other: &usize| {
            let mut each = points[*other].iter().zip(&points[place]);
            each.all(|(other, own)| other >= own)
        };
        if !front.iter().any(is_covered) {
            front.push(place);
        }
    }
    front.sort_unstable();
    front
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    /// The definition, word by word.
    fn slow_front(points: &[Vec<f64>]) -> Vec<usize> {
        let dominates = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).all(|(a, b)| a >= b) && a.iter().zip(b).any(|(a, b)| a > b)
        };
        let is_best = |place: &usize| {
            let own = &points[*place];
            let beaten = points.iter().any(|other| dominates(other, own));
            let is_repeated = points[..*place].contains(own);
            !beaten && !is_repeated
        };
        (0..points.len()).filter(is_best).collect()
    }

    proptest! {
        #[test]
        fn the_front_is_what_nobody_dominates(
            points in proptest::collection::vec(
                proptest::collection::vec((0..5_i32).prop_map(f64::from), 3), 0..40)
        ) {
            prop_assert_eq!(front(&points), slow_front(&points));
        }

        #[test]
        fn whatever_the_weights_the_best_value_is_on_the_front(
            seed in 0..1000_u64,
            models in proptest::collection::vec((0..9_i32, 0..9_i32), 1..30),
        ) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let weights = Weights::draw(1, &mut rng);
            let outcomes: Vec<Outcome> =
                models.iter().map(|(score, _)| Outcome::Scored(f64::from(*score))).collect();
            let costs = vec![models.iter().map(|(_, cost)| Some(f64::from(*cost))).collect()];
            let values = valued(&outcomes, &costs, &weights);
            let best = values.iter().map(|value| value.rank()).fold(f64::NEG_INFINITY, f64::max);
            let points: Vec<Vec<f64>> =
                models.iter().map(|(score, cost)| vec![f64::from(*score), -f64::from(*cost)]).collect();
            let on_front = slow_front(&points);
            prop_assert!(on_front.iter().any(|place| values[*place].rank() == best));
        }
    }

    #[test]
    fn all_weight_on_the_score_ranks_by_score() {
        let outcomes = [0.3, 0.9, 0.5].map(Outcome::Scored);
        let costs = vec![vec![Some(1.0), Some(9.0), None]];
        let values = valued(&outcomes, &costs, &Weights(vec![1.0, 0.0]));
        assert!(values[1].rank() > values[2].rank() && values[2].rank() > values[0].rank());
        let smallest = valued(&outcomes, &costs, &Weights(vec![0.0, 1.0]));
        assert!(smallest[0].rank() > smallest[1].rank());
        // What was not measured counts as the worst.
        assert!(smallest[1].rank() > smallest[2].rank());
    }

    #[test]
    fn failures_stay_failures_and_stopped_trials_stopped() {
        let outcomes = [
            Outcome::Failed,
            Outcome::Stopped { expected: 0.4 },
            Outcome::Scored(0.5),
        ];
        let costs = vec![vec![Some(1.0); 3]];
        let values = valued(&outcomes, &costs, &Weights(vec![0.5, 0.5]));
        assert_eq!(values[0], Outcome::Failed);
        assert!(matches!(values[1], Outcome::Stopped { expected } if expected < values[2].rank()));
    }

    #[test]
    fn half_of_all_weights_are_the_scores_and_the_others_sum_to_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let drawn: Vec<Weights> = (0..2000).map(|_| Weights::draw(2, &mut rng)).collect();
        let alone = drawn.iter().filter(|weights| weights.0[0] == 1.0).count();
        // Four standard deviations are 90.
        assert!((910..1090).contains(&alone), "{alone}");
        for Weights(weights) in &drawn {
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(weights.iter().all(|weight| *weight >= 0.0));
        }
    }

    #[test]
    fn an_objective_is_read_as_it_is_written() {
        for objective in Objective::ALL {
            assert_eq!(objective.to_string().parse(), Ok(objective));
        }
        let error = "size".parse::<Objective>().unwrap_err().to_string();
        insta::assert_snapshot!(error, @"`size` is not an objective: beside the score there are params, flops and latency");
    }
}
