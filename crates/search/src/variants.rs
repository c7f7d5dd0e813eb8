//! Variants of target base models: up to three morphs, and hyperparameters of their own.
//!
//! A variant without a morph has other hyperparameters than its parent. A variant is never a duplicate
//! of a trial that has ended, is under way, or of another variant of the same batch, and never breaks a
//! limit. Its hyperparameters are its parent's, near its parent's, or new ones. Nothing is said here about
//! which variant is worth training: see [`crate::screen`].

use std::collections::BTreeSet;

use morph::{Architecture, Morph};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    annealing::BaseModel,
    chain::Chain,
    fingerprint::Fingerprint,
    models::Models,
    parzen::Parzen,
    pool::{Pool, PoolEntry},
    setting::Setting,
    settings::Hyperparameters,
    space::Space,
};

/// A chain ends after each morph with this probability, …
const CHAIN_END: f64 = 0.6;

/// … and after this many in any case.
const CHAIN_MAX: usize = 3;

/// How often a variant keeps its parent's hyperparameters.
const INHERITED_SHARE: f64 = 0.5;

/// How often it changes one to three of them; otherwise all are drawn anew.
const MUTATED_SHARE: f64 = 0.4;

/// How often a variant with other hyperparameters keeps its parent's architecture.
const UNEDITED_SHARE: f64 = 0.5;

/// A child of a target base model.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// Its parent's index in [`Pool::entries`].
    pub parent: usize,
    /// What makes it of its parent's architecture, in order.
    pub morphs: Vec<Morph>,
    /// What they lead to.
    pub architecture: Architecture,
    /// Its hyperparameters.
    pub setting: Setting,
}

/// All legal variants among `tries` draws for each target base model.
///
/// # Cost
/// For each draw a chain of morphs and one canonical hash: for 4 targets and 24 tries a few milliseconds.
pub fn variants(
    targets: &[BaseModel],
    tries: usize,
    hyperparameters: Hyperparameters,
    pool: &Pool,
    models: &impl Models,
    rng: &mut ChaCha8Rng,
) -> Vec<Variant> {
    let estimators = match hyperparameters {
        Hyperparameters::Inherited => None,
        Hyperparameters::Parzen => {
            let settings = pool.entries().iter().map(|entry| &entry.setting);
            let settings: Vec<&Setting> = settings.collect();
            Some(Parzen::new(models.space(), &settings, &pool.standing()))
        }
    };
    let mut batch = BTreeSet::new();
    let mut variants = Vec::new();
    for target in targets {
        for _ in 0..tries {
            let Some(variant) = draw(target.entry, estimators.as_ref(), pool, models, rng) else {
                continue;
            };
            let fingerprint = Fingerprint::of(&variant.architecture, &variant.setting);
            if !pool.contains(fingerprint) && batch.insert(fingerprint) {
                variants.push(variant);
            }
        }
    }
    variants
}

fn draw(
    parent: usize,
    estimators: Option<&Parzen<'_>>,
    pool: &Pool,
    models: &impl Models,
    rng: &mut ChaCha8Rng,
) -> Option<Variant> {
    let PoolEntry {
        architecture,
        setting,
        ..
    } = &pool.entries()[parent];
    let inherited = setting;
    let setting = match estimators {
        Some(estimators) => estimators.draw(rng),
        None => child_setting(inherited, models.space(), rng),
    };
    let edits = match setting != *inherited && rng.random_bool(UNEDITED_SHARE) {
        true => 0,
        false => chain_length(rng),
    };
    let Chain {
        morphs,
        architecture,
    } = models.edited(architecture, &setting, edits, rng)?;
    Some(Variant {
        parent,
        morphs,
        architecture,
        setting,
    })
}

fn chain_length(rng: &mut ChaCha8Rng) -> usize {
    let mut length = 1;
    while length < CHAIN_MAX && !rng.random_bool(CHAIN_END) {
        length += 1;
    }
    length
}

fn child_setting(parent: &Setting, space: &Space, rng: &mut ChaCha8Rng) -> Setting {
    let drawn: f64 = rng.random();
    if drawn < INHERITED_SHARE {
        space.clamp(parent)
    } else if drawn < INHERITED_SHARE + MUTATED_SHARE {
        space.mutate(parent, rng)
    } else {
        space.sample(rng)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::{
        annealing::base_models,
        limits::Limits,
        models::{Morphs, Task},
        pool::{Outcome, TrialId},
        setting::Value,
        settings::SearchSettings,
        space::TaskHint,
    };

    fn space() -> Space {
        Space::default_for(TaskHint::Table)
    }

    fn pool_of(notation: &str) -> Pool {
        let mut pool = Pool::default();
        let entry = PoolEntry {
            trial: TrialId(1),
            sequence: 1,
            architecture: notation.parse().unwrap(),
            setting: space().defaults(),
            outcome: Outcome::Scored(0.5),
            parent: None,
        };
        pool.push(entry).unwrap();
        pool
    }

    fn drawn(pool: &Pool, limits: &Limits, tries: usize, seed: u64) -> Vec<Variant> {
        let settings = SearchSettings {
            space: space(),
            limits: *limits,
            ..SearchSettings::default()
        };
        let input = pool.entries()[0].architecture.input_shape();
        let models = Morphs::new(
            &Task {
                input,
                tokens: None,
                outputs: 2,
            },
            &settings,
        )
        .unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let targets = base_models(pool, 1, &mut rng);
        variants(
            &targets,
            tries,
            Hyperparameters::Inherited,
            pool,
            &models,
            &mut rng,
        )
    }

    fn fingerprints(variants: &[Variant]) -> BTreeSet<Fingerprint> {
        variants
            .iter()
            .map(|one| Fingerprint::of(&one.architecture, &one.setting))
            .collect()
    }

    #[test]
    fn no_variant_repeats_another_or_a_known_trial() {
        let mut pool = pool_of("in 4 | dense 8 | relu | dense 2");
        let first = drawn(&pool, &Limits::default(), 100, 1);
        let known = fingerprints(&first);
        assert_eq!(known.len(), first.len());
        for variant in first {
            pool.add_pending(variant.architecture, variant.setting);
        }
        // The same random stream would draw the same variants again.
        let second = drawn(&pool, &Limits::default(), 100, 1);
        assert!(fingerprints(&second).is_disjoint(&known));
    }

    #[test]
    fn chains_are_one_to_three_morphs_long_in_geometric_shares() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut met = [0.0_f64; 4];
        (0..10_000).for_each(|_| met[chain_length(&mut rng)] += 1e-4);
        for (met, expected) in met.iter().zip([0.0, 0.6, 0.24, 0.16]) {
            // Four standard deviations of a frequency are at most 0.02.
            assert!((met - expected).abs() < 0.02, "{met} instead of {expected}");
        }
    }

    #[test]
    fn half_of_the_children_keep_their_parents_hyperparameters() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let parent = space().sample(&mut rng);
        let mut kept = 0;
        let mut all_changed = 0;
        for _ in 0..2000 {
            let child = child_setting(&parent, &space(), &mut rng);
            let same = child
                .values()
                .zip(parent.values())
                .filter(|(a, b)| a == b)
                .count();
            kept += u32::from(same == 4);
            // A mutation changes at most three of the four.
            all_changed += u32::from(same == 0);
        }
        assert!(
            (1000.0 - f64::from(kept)).abs() < 90.0,
            "{kept} of 2000 kept"
        );
        // A tenth are fresh; of those a quarter meet the parent's batch size by chance.
        assert!(
            (150.0 - f64::from(all_changed)).abs() < 49.0,
            "{all_changed} of 2000 changed"
        );
    }

    #[test]
    fn every_variant_stays_within_the_limits_at_its_own_batch_size() {
        let pool = pool_of("in 10 | dense 64 | relu | dense 64 | relu | dense 3");
        let limits = Limits {
            memory_bytes: Some(350_000),
            ..Limits::default()
        };
        let variants = drawn(&pool, &limits, 60, 4);
        assert!(variants.len() > 10, "{}", variants.len());
        for variant in &variants {
            assert!(
                limits.allow(&variant.architecture, &variant.setting),
                "{variant:?}"
            );
        }
    }

    #[test]
    fn a_parents_value_outside_the_space_does_not_pass_on() {
        let foreign = space().defaults().with("learning_rate", Value::Float(9.0));
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for _ in 0..50 {
            let child = child_setting(&foreign, &space(), &mut rng);
            assert_eq!(space().clamp(&child), child);
        }
    }
}
