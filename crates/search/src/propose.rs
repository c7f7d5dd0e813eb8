//! The next model to train: seeds first, then variants of what the pool has shown to be good.
//!
//! Each seed architecture comes once, with the default hyperparameters. Then, by annealing, the
//! candidates are variants of target base models and a few fresh draws, so that no basin keeps the
//! search for ever; [`crate::screen`] says which of them is proposed. With [`Strategy::Random`] every
//! proposal is a fresh draw. A study that runs in parallel proposes before anything has ended: it
//! draws afresh until there is a score.

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
    screen::{any, screen},
    setting::Setting,
    settings::{BudgetFraction, SearchSettings, SettingsError, Strategy},
    surrogate::Surrogate,
    variants::{Bounds, Variant, variants},
};

/// Morphs of a fresh draw: enough to leave its seed architecture far behind.
const FRESH_CHAIN_MAX: usize = 10;

/// Fresh draws until one is legal and new.
const FRESH_DRAWS_MAX: usize = 64;

/// Choices of target base models until there is a legal and new candidate.
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

/// The next model to train. The same arguments give the same proposal, and a surrogate that has
/// followed this pool before proposes what a new one does, only sooner.
///
/// # Errors
/// If the settings break a rule, or nothing legal and new is found.
/// # Cost
/// `O(n log n)` in the pool, [`SearchSettings::variants`] chains of morphs for each of
/// [`SearchSettings::targets`], and what [`Surrogate::promises`] costs.
pub fn propose(
    pool: &Pool,
    surrogate: &mut Surrogate,
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
        Strategy::Annealing | Strategy::Unscreened => next_seed(&seeds, bounds)
            .or_else(|| {
                let round = |_| {
                    let candidates = candidates(&seeds, bounds, cold, settings, rng);
                    match settings.strategy {
                        Strategy::Annealing => screen(candidates, surrogate, bounds),
                        _ => any(candidates, rng),
                    }
                };
                (0..ANNEALING_ROUNDS_MAX).find_map(round)
            })
            .or_else(|| fresh(&seeds, bounds, rng)),
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

/// Variants of target base models, none if no trial has a score, and fresh draws.
fn candidates(
    seeds: &[Seed],
    bounds: Bounds<'_>,
    temperature: f64,
    settings: &SearchSettings,
    rng: &mut ChaCha8Rng,
) -> Vec<Proposal> {
    let entries = bounds.pool.entries();
    let trials = |models: &[BaseModel]| -> Vec<TrialId> {
        let trials = models.iter().map(|model| entries[model.entry].trial);
        trials.collect()
    };
    let bases = base_models(bounds.pool, settings.base_models, rng);
    let targets = target_base_models(&bases, temperature, settings.targets, rng);
    let legal = variants(&targets, settings.variants, bounds, rng);
    let (base_models, targets) = (trials(&bases), trials(&targets));
    let proposed = |variant: Variant| Proposal {
        architecture: variant.architecture,
        setting: variant.setting,
        origin: Origin::Variant {
            parent: entries[variant.parent].trial,
            morphs: variant.morphs,
            temperature,
            base_models: base_models.clone(),
            targets: targets.clone(),
        },
    };
    let mut candidates: Vec<Proposal> = legal.into_iter().map(proposed).collect();
    candidates.extend((0..settings.fresh).filter_map(|_| fresh(seeds, bounds, rng)));
    candidates
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
        Strategy::Annealing | Strategy::Unscreened => ANNEALING_ROUNDS_MAX,
    };
    let each = settings.targets * settings.variants + settings.fresh * FRESH_DRAWS_MAX;
    let draws = FRESH_DRAWS_MAX + rounds * each;
    SearchError::Exhausted {
        ended,
        pending,
        draws,
    }
}
