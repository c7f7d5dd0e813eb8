//! The next model to train: seeds first, then variants of what the pool has shown to be good.
//!
//! Each seed architecture comes once, with the default hyperparameters. Then, by annealing, a
//! proposal is a variant of a target base model, and now and then a fresh draw, so that no basin
//! keeps the search for ever. With [`Strategy::Random`] every proposal is a fresh draw. A study
//! that runs in parallel proposes before anything has ended: it draws afresh until there is a
//! score.

use morph::{Architecture, Shape, seeds};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    annealing::{BaseModel, base_models, target_base_models, temperature},
    chain::Chain,
    fingerprint::Fingerprint,
    limits::Limits,
    origin::{Origin, Proposal},
    pool::{Pool, TrialId},
    screen::screen,
    setting::Setting,
    settings::{BudgetFraction, SearchSettings, SettingsError, Strategy},
    variants::{Bounds, Variant, variants},
};

/// Morphs of a fresh draw: enough to leave its seed architecture far behind.
const FRESH_CHAIN_MAX: usize = 10;

/// Fresh draws until one is legal and new.
const FRESH_DRAWS_MAX: usize = 64;

/// Choices of target base models until one has a legal and new variant.
const ANNEALING_ROUNDS_MAX: usize = 8;

/// What networks take and give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Shape of one example.
    pub input: Shape,
    /// Classes, or 1 for a regression.
    pub outputs: u32,
}

/// Why nothing is proposed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SearchError {
    /// Settings that break a rule.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No network is known for such data.
    #[error(
        "no seed architecture takes examples of shape {input} and gives {outputs} value(s): tables \
         and images with at least one of each are searched"
    )]
    NoSeeds {
        /// Shape of one example.
        input: Shape,
        /// Values to predict.
        outputs: u32,
    },
    /// Limits that not even shrunken seeds meet.
    #[error(
        "no model was found within the limits ({limits}): the smallest seed architecture has \
         {parameters} parameters and takes {flops} operations per example; raise the limits"
    )]
    NothingFits {
        /// The limits.
        limits: Limits,
        /// Parameters of the seed with the fewest.
        parameters: u64,
        /// Operations of the same seed.
        flops: u64,
    },
    /// All that was drawn is known already.
    #[error(
        "nothing new was found: {ended} trials have ended, {pending} are under way, and {draws} \
         further draws were all known or illegal; widen the space or the limits to go on"
    )]
    Exhausted {
        /// Trials that have ended.
        ended: usize,
        /// Trials under way.
        pending: usize,
        /// Draws that led to nothing.
        draws: usize,
    },
}

/// A seed architecture and its name.
type Seed = (&'static str, Architecture);

/// The next model to train. The same arguments give the same proposal.
///
/// # Errors
/// If the settings break a rule, or nothing legal and new is found.
/// # Cost
/// `O(n log n)` in the pool, and [`SearchSettings::variants`] chains of morphs for each of
/// [`SearchSettings::targets`].
pub fn propose(
    pool: &Pool,
    budget_used: BudgetFraction,
    task: &Task,
    settings: &SearchSettings,
    rng: &mut ChaCha8Rng,
) -> Result<Proposal, SearchError> {
    settings.check()?;
    let seeds = seeds_for(task)?;
    let space = settings.space.for_outputs(task.outputs);
    let bounds = Bounds {
        pool,
        space: &space,
        limits: &settings.limits,
    };
    let cold = temperature(
        budget_used,
        settings.temperature_start,
        settings.temperature_end,
    );
    let found = match settings.strategy {
        Strategy::Random => fresh(&seeds, bounds, rng),
        Strategy::Annealing => next_seed(&seeds, bounds).or_else(|| {
            if rng.random::<f64>() < settings.fresh_share {
                fresh(&seeds, bounds, rng).or_else(|| anneal(bounds, cold, settings, rng))
            } else {
                anneal(bounds, cold, settings, rng).or_else(|| fresh(&seeds, bounds, rng))
            }
        }),
    };
    found.ok_or_else(|| nothing_found(&seeds, bounds, settings))
}

fn seeds_for(task: &Task) -> Result<Vec<Seed>, SearchError> {
    let Task { input, outputs } = *task;
    let seeds = match input {
        Shape::Flat { features } => seeds::table_seeds(features, outputs),
        Shape::Image { .. } => seeds::image_seeds(input, outputs),
        Shape::Sequence { .. } => Vec::new(),
    };
    if seeds.is_empty() {
        return Err(SearchError::NoSeeds { input, outputs });
    }
    Ok(seeds)
}

/// The first seed architecture that was not proposed yet and breaks no limit.
fn next_seed(seeds: &[Seed], bounds: Bounds<'_>) -> Option<Proposal> {
    let setting = bounds.space.defaults();
    let (name, architecture) = seeds
        .iter()
        .find(|(_, architecture)| is_legal_and_new(architecture, &setting, bounds))?;
    let origin = Origin::Seed {
        name: name.to_string(),
    };
    Some(Proposal {
        architecture: architecture.clone(),
        setting,
        origin,
    })
}

/// A seed architecture with up to [`FRESH_CHAIN_MAX`] random morphs and random hyperparameters.
fn fresh(seeds: &[Seed], bounds: Bounds<'_>, rng: &mut ChaCha8Rng) -> Option<Proposal> {
    (0..FRESH_DRAWS_MAX).find_map(|_| {
        let (seed, start) = seeds.choose(rng)?;
        let setting = bounds.space.sample(rng);
        let length = rng.random_range(0..=FRESH_CHAIN_MAX);
        let chain = Chain::draw(start, &setting, bounds.limits, length, rng)?;
        let Chain {
            morphs,
            architecture,
        } = chain;
        let origin = Origin::Fresh {
            seed: seed.to_string(),
            morphs,
        };
        is_legal_and_new(&architecture, &setting, bounds).then_some(Proposal {
            architecture,
            setting,
            origin,
        })
    })
}

/// A variant of a target base model; `None` if no trial has a score, or nothing new is found.
fn anneal(
    bounds: Bounds<'_>,
    temperature: f64,
    settings: &SearchSettings,
    rng: &mut ChaCha8Rng,
) -> Option<Proposal> {
    let entries = bounds.pool.entries();
    let trials = |models: &[BaseModel]| -> Vec<TrialId> {
        models
            .iter()
            .map(|model| entries[model.entry].trial)
            .collect()
    };
    for _ in 0..ANNEALING_ROUNDS_MAX {
        let bases = base_models(bounds.pool, settings.base_models, rng);
        let targets = target_base_models(&bases, temperature, settings.targets, rng);
        let legal = variants(&targets, settings.variants, bounds, rng);
        if let Some(Variant {
            parent,
            morphs,
            architecture,
            setting,
        }) = screen(legal, rng)
        {
            let parent = entries[parent].trial;
            let (base_models, targets) = (trials(&bases), trials(&targets));
            let origin = Origin::Variant {
                parent,
                morphs,
                temperature,
                base_models,
                targets,
            };
            return Some(Proposal {
                architecture,
                setting,
                origin,
            });
        }
    }
    None
}

fn is_legal_and_new(architecture: &Architecture, setting: &Setting, bounds: Bounds<'_>) -> bool {
    bounds.limits.allow(architecture, setting)
        && !bounds.pool.contains(Fingerprint::of(architecture, setting))
}

fn nothing_found(seeds: &[Seed], bounds: Bounds<'_>, settings: &SearchSettings) -> SearchError {
    let (ended, pending) = (bounds.pool.entries().len(), bounds.pool.pending());
    if ended + pending == 0 {
        let smallest = seeds
            .iter()
            .map(|(_, architecture)| architecture.cost())
            .min_by_key(|cost| cost.parameters)
            .expect("a task without seeds was refused");
        let (parameters, flops) = (smallest.parameters, smallest.flops);
        return SearchError::NothingFits {
            limits: *bounds.limits,
            parameters,
            flops,
        };
    }
    let rounds = match settings.strategy {
        Strategy::Random => 0,
        Strategy::Annealing => ANNEALING_ROUNDS_MAX,
    };
    let draws = FRESH_DRAWS_MAX + rounds * settings.targets * settings.variants;
    SearchError::Exhausted {
        ended,
        pending,
        draws,
    }
}
