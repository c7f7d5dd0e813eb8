//! Base models from the history pool (R6), and among them the target base models by simulated
//! annealing (R7).
//!
//! Notation: z a model's standing in the pool ([`Pool::standing`]), u the share of the budget used,
//! T(u) = T₀(T₁/T₀)^u the temperature in the unit of z, w = 1/√(1 + children) a model's weight.
//! Failed trials have no weights to inherit and are never base models. Which variants are made of
//! the target base models is said in [`crate::variants`].
//!
//! Source: Metropolis, Rosenbluth, Rosenbluth, Teller, Teller 1953; Kirkpatrick, Gelatt, Vecchi
//! 1983.

use rand::{
    Rng,
    seq::{IteratorRandom, SliceRandom},
};
use rand_chacha::ChaCha8Rng;

use crate::{pool::Pool, settings::BudgetFraction};

/// Moves of the Metropolis walk before a target is taken, for each base model there is. The walk
/// forgets its start by the factor (1 − m)^moves, m the smallest ratio of a model's chance to be
/// drawn to its share in the long run (Liu 1996 on independence samplers): for 16 equally drawn
/// base models and no temperature at all, m = 1/16 leaves less than 10⁻⁷.
const MOVES_PER_BASE_MODEL: usize = 16;

/// T(u) = T₀(T₁/T₀)^u.
///
/// # Units
/// Standard deviations of the standing; `start` and `end` are above 0.
pub fn temperature(budget_used: BudgetFraction, start: f64, end: f64) -> f64 {
    start * (end / start).powf(budget_used.get())
}

/// A model that variants may be made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BaseModel {
    /// Its index in [`Pool::entries`].
    pub entry: usize,
    /// Its standing z.
    pub standing: f64,
    /// Its weight w: models with many children are asked less often.
    pub weight: f64,
}

/// Half of `count` the best of the pool, a quarter the newest of the others, a quarter drawn
/// uniformly from the rest. No model twice; all of them if there are no more than `count`.
///
/// # Cost
/// `O(n log n)`.
pub fn base_models(pool: &Pool, count: usize, rng: &mut ChaCha8Rng) -> Vec<BaseModel> {
    let standing = pool.standing();
    let entries = pool.entries();
    let mut left: Vec<usize> = (0..entries.len())
        .filter(|entry| entries[*entry].score().is_some())
        .collect();

    // Newest first among equals, because the sort keeps their order.
    left.reverse();
    left.sort_by(|a, b| standing[*b].total_cmp(&standing[*a]));
    let mut chosen: Vec<usize> = left.drain(..count.div_ceil(2).min(left.len())).collect();

    left.sort_unstable_by(|a, b| b.cmp(a));
    let newest = (count / 4).min(left.len());
    chosen.extend(left.drain(..newest));

    let rest = count - count.div_ceil(2) - count / 4;
    let mut drawn = left.into_iter().choose_multiple(rng, rest);
    // What `choose_multiple` draws is uniform, its order is not.
    drawn.shuffle(rng);
    chosen.extend(drawn);
    chosen
        .into_iter()
        .map(|entry| {
            let children = f64::from(pool.children(entries[entry].trial));
            let weight = 1.0 / (1.0 + children).sqrt();
            BaseModel {
                entry,
                standing: standing[entry],
                weight,
            }
        })
        .collect()
}

/// Picks `count` target base models, one after the other, without picking one twice.
///
/// Each is where a Metropolis walk over the remaining base models ends: a move to i, drawn with
/// probability proportional to wᵢ, is made from c if U < exp((zᵢ − z_c)/T). In the long run the
/// walk is at i with probability proportional to wᵢ·exp(zᵢ/T).
///
/// # Cost
/// `O(count · bases²)`, and 16 bases are usual.
pub fn target_base_models(
    base_models: &[BaseModel],
    temperature: f64,
    count: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<BaseModel> {
    let mut left = base_models.to_vec();
    let mut targets = Vec::new();
    while targets.len() < count && !left.is_empty() {
        targets.push(left.remove(walk(&left, temperature, rng)));
    }
    targets
}

/// Where a Metropolis walk over these models ends.
fn walk(models: &[BaseModel], temperature: f64, rng: &mut ChaCha8Rng) -> usize {
    let mut current = by_weight(models, rng);
    for _ in 0..MOVES_PER_BASE_MODEL * models.len() {
        let next = by_weight(models, rng);
        let gain = models[next].standing - models[current].standing;
        if rng.random::<f64>() < (gain / temperature).exp() {
            current = next;
        }
    }
    current
}

/// An index with probability proportional to its model's weight.
fn by_weight(models: &[BaseModel], rng: &mut ChaCha8Rng) -> usize {
    let sum: f64 = models.iter().map(|model| model.weight).sum();
    let mut left = rng.random::<f64>() * sum;
    for (index, model) in models.iter().enumerate() {
        left -= model.weight;
        if left < 0.0 {
            return index;
        }
    }
    models.len() - 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;
    use crate::{
        pool::{Outcome, PoolEntry, TrialId},
        setting::{Setting, Value},
    };

    /// Trial i + 1 has score i; every tenth has failed.
    fn pool(size: u64) -> Pool {
        let mut pool = Pool::default();
        for place in 0..size {
            let failed = place % 10 == 9;
            let entry = PoolEntry {
                trial: TrialId(place + 1),
                sequence: place + 1,
                architecture: "in 4 | dense 8 | relu | dense 2".parse().unwrap(),
                setting: Setting::default().with("number", Value::Integer(place as i64)),
                // Best in the middle, so that best and newest differ.
                outcome: match failed {
                    true => Outcome::Failed,
                    false => Outcome::Scored(-((place as f64) - 50.0).abs()),
                },
                parent: None,
            };
            pool.push(entry).unwrap();
        }
        pool
    }

    fn at(used: f64) -> f64 {
        temperature(BudgetFraction::clamped(used), 1.0, 0.1)
    }

    #[test]
    fn temperature_falls_geometrically_with_the_budget() {
        assert_eq!(at(0.0), 1.0);
        assert!((at(1.0) - 0.1).abs() < 1e-12);
        assert!((at(0.5) - 0.1_f64.sqrt()).abs() < 1e-12);
        assert!((at(0.3) / at(0.2) - at(0.9) / at(0.8)).abs() < 1e-12);
    }

    #[test]
    fn base_models_are_half_the_best_a_quarter_the_newest_a_quarter_any() {
        let pool = pool(100);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut met = BTreeSet::new();
        for _ in 0..400 {
            let bases: Vec<usize> = base_models(&pool, 16, &mut rng)
                .iter()
                .map(|base| base.entry)
                .collect();
            // 49 and 59 have failed.
            assert_eq!(bases[..8], [50, 51, 52, 48, 53, 47, 54, 46]);
            assert_eq!(bases[8..12], [98, 97, 96, 95]);
            let distinct: BTreeSet<usize> = bases.iter().copied().collect();
            assert_eq!(distinct.len(), 16);
            assert!(
                bases.iter().all(|base| base % 10 != 9),
                "a failed trial is no base model"
            );
            met.extend(bases[12..].iter().copied());
        }
        // 90 trials have a score; 12 of them are always chosen before.
        assert_eq!(met.len(), 78);
    }

    #[test]
    fn a_small_pool_gives_all_it_has() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        assert_eq!(base_models(&pool(11), 16, &mut rng).len(), 10);
        assert!(base_models(&Pool::default(), 16, &mut rng).is_empty());
        assert_eq!(base_models(&pool(50), 1, &mut rng)[0].entry, 48);
    }

    fn models(standing: &[f64], children: &[f64]) -> Vec<BaseModel> {
        standing
            .iter()
            .zip(children)
            .enumerate()
            .map(|(entry, (standing, children))| BaseModel {
                entry,
                standing: *standing,
                weight: 1.0 / (1.0 + children).sqrt(),
            })
            .collect()
    }

    #[test]
    fn the_first_target_follows_weight_times_boltzmann_factor() {
        let models = models(&[-1.2, -0.4, 0.1, 0.6, 1.5], &[0.0, 3.0, 0.0, 1.0, 8.0]);
        for temperature in [3.0, 1.0, 0.5] {
            let factors: Vec<f64> = models
                .iter()
                .map(|model| model.weight * (model.standing / temperature).exp())
                .collect();
            let sum: f64 = factors.iter().sum();
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            let mut met = [0.0; 5];
            let draws = 20_000;
            for _ in 0..draws {
                let first = target_base_models(&models, temperature, 1, &mut rng)[0];
                met[first.entry] += 1.0 / f64::from(draws);
            }
            for (met, factor) in met.iter().zip(&factors) {
                // Four standard deviations of a frequency are at most 0.014.
                assert!(
                    (met - factor / sum).abs() < 0.02,
                    "T = {temperature}: {met} {factor}"
                );
            }
        }
    }

    #[test]
    fn targets_are_distinct_and_no_more_than_there_are() {
        let models = models(&[0.0, 1.0, 2.0], &[0.0; 3]);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for _ in 0..50 {
            let targets = target_base_models(&models, 0.5, 4, &mut rng);
            let distinct: BTreeSet<usize> = targets.iter().map(|target| target.entry).collect();
            assert_eq!((targets.len(), distinct.len()), (3, 3));
        }
    }

    #[test]
    fn a_cold_walk_takes_the_best_and_a_hot_one_takes_any() {
        let standing: Vec<f64> = (0..16)
            .map(|place| -1.8 + 0.24 * f64::from(place))
            .collect();
        let models = models(&standing, &[0.0; 16]);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut mean = |temperature: f64| {
            let firsts =
                (0..500).map(|_| target_base_models(&models, temperature, 1, &mut rng)[0].standing);
            firsts.sum::<f64>() / 500.0
        };
        assert!(mean(0.1) > 1.6);
        assert!(mean(1000.0).abs() < 0.2);
    }
}
