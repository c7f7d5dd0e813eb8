//! The next model to train: seeds first, then variants of what the pool has shown to be good.
//!
//! Each seed architecture comes once, with the default hyperparameters. Then, by annealing, the
//! candidates are variants of target base models and a few fresh draws, so that no basin keeps the
//! search for ever; [`crate::screen`] says which of them is proposed. With [`Strategy::Random`] every
//! proposal is a fresh draw. A study that runs in parallel proposes before anything has ended: until
//! there is a score, all candidates are fresh draws.

use morph::Shape;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::{
    annealing::{BaseModel, base_models, target_base_models, temperature},
    fingerprint::Fingerprint,
    limits::{Limits, Need},
    models::{Models, Morphs, Task},
    objectives::Weights,
    origin::{Origin, Proposal},
    pool::{Pool, TrialId},
    screen::{any, screen},
    settings::{BudgetFraction, SearchSettings, SettingsError, Strategy},
    surrogate::Surrogate,
    variants::{Variant, variants},
};

/// Fresh draws until one is legal and new.
const FRESH_DRAWS_MAX: usize = 64;

/// Choices of target base models until there is a legal and new candidate.
const ANNEALING_ROUNDS_MAX: usize = 8;

/// Why nothing is proposed.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SearchError {
    /// Settings that break a rule.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No network is known for such data.
    #[error(
        "no seed architecture takes examples of shape {input} and gives {outputs} value(s): tables, \
         images, series and texts with at least one of each are searched"
    )]
    NoSeeds {
        /// Shape of one example.
        input: Shape,
        /// Values to predict.
        outputs: u32,
    },
    /// Limits that not even shrunken seeds meet, nor any model that the study knows.
    #[error(
        "no model was found within the limits ({limits}): of the seed architectures the one nearest to them \
         needs {} {} where {} are allowed; {}",
        .nearest.needed, .nearest.unit, .nearest.allowed, .limits.advice(.nearest)
    )]
    NothingFits {
        /// The limits.
        limits: Box<Limits>,
        /// What the nearest seed needs of the limit that it breaks most.
        nearest: Need,
    },
    /// All that was drawn is known already.
    #[error(
        "nothing new was found: {ended} trials have ended, {pending} are under way, and no further \
         draw was new and legal; widen the space or the limits to go on"
    )]
    Exhausted {
        /// Trials that have ended.
        ended: usize,
        /// Trials under way.
        pending: usize,
    },
}

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
    let one = propose_several(1, pool, surrogate, budget_used, task, settings, rng)?;
    Ok(one.into_iter().next().expect("at least one is proposed"))
}

/// The next models to train, at least one and at most `count`, from one look at the pool: for those who
/// train faster than models are proposed one by one. The first is that of [`propose`].
///
/// # Errors
/// As [`propose`].
/// # Cost
/// That of [`propose`], however many are wanted.
pub fn propose_several(
    count: usize,
    pool: &Pool,
    surrogate: &mut Surrogate,
    budget_used: BudgetFraction,
    task: &Task,
    settings: &SearchSettings,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Proposal>, SearchError> {
    settings.check()?;
    let Task { input, outputs, .. } = *task;
    let models = Morphs::new(task, settings).ok_or(SearchError::NoSeeds { input, outputs })?;
    let proposed = several_among(count, &models, pool, surrogate, budget_used, settings, rng);
    match proposed.is_empty() {
        true => Err(nothing_found(&models, pool, settings)),
        false => Ok(proposed),
    }
}

/// One among any models: `None` if nothing legal and new was found. Of the settings those that say
/// which models there are, [`SearchSettings::space`] and [`SearchSettings::limits`], are not looked at.
pub fn propose_among(
    models: &impl Models,
    pool: &Pool,
    surrogate: &mut Surrogate,
    budget_used: BudgetFraction,
    settings: &SearchSettings,
    rng: &mut ChaCha8Rng,
) -> Option<Proposal> {
    let one = several_among(1, models, pool, surrogate, budget_used, settings, rng);
    one.into_iter().next()
}

/// None if nothing legal and new was found. A seed and a random draw come alone.
fn several_among(
    count: usize,
    models: &impl Models,
    pool: &Pool,
    surrogate: &mut Surrogate,
    budget_used: BudgetFraction,
    settings: &SearchSettings,
    rng: &mut ChaCha8Rng,
) -> Vec<Proposal> {
    if settings.strategy == Strategy::Random {
        return Vec::from_iter(fresh(models, pool, rng));
    }
    if let Some(seed) = next_seed(models, pool) {
        return vec![seed];
    }
    let valued;
    let pool = match settings.objectives.is_empty() {
        true => pool,
        false => {
            let weights = Weights::draw(settings.objectives.len(), rng);
            valued = pool.valued_by(&settings.objectives, &weights);
            &valued
        }
    };
    let cold = temperature(
        budget_used,
        settings.temperature_start,
        settings.temperature_end,
    );
    for _ in 0..ANNEALING_ROUNDS_MAX {
        let candidates = candidates(models, pool, cold, settings, rng);
        let chosen = match settings.strategy {
            Strategy::Annealing => screen(candidates, count, surrogate, pool, models.space()),
            _ => Vec::from_iter(any(candidates, rng)),
        };
        if !chosen.is_empty() {
            return chosen;
        }
    }
    Vec::from_iter(fresh(models, pool, rng))
}

/// The first seed that was not proposed yet and breaks no limit.
fn next_seed(models: &impl Models, pool: &Pool) -> Option<Proposal> {
    let seeds = models.seeds().into_iter();
    seeds
        .filter(|seed| models.allow(&seed.architecture, &seed.setting))
        .find(|seed| is_new(seed, pool))
}

/// The first new one of a few fresh draws.
fn fresh(models: &impl Models, pool: &Pool, rng: &mut ChaCha8Rng) -> Option<Proposal> {
    (0..FRESH_DRAWS_MAX).find_map(|_| models.fresh(rng).filter(|drawn| is_new(drawn, pool)))
}

/// Variants of target base models, none if no trial has a score, and fresh draws.
fn candidates(
    models: &impl Models,
    pool: &Pool,
    temperature: f64,
    settings: &SearchSettings,
    rng: &mut ChaCha8Rng,
) -> Vec<Proposal> {
    let entries = pool.entries();
    let trials = |models: &[BaseModel]| -> Vec<TrialId> {
        let trials = models.iter().map(|model| entries[model.entry].trial);
        trials.collect()
    };
    let bases = base_models(pool, settings.base_models, rng);
    let targets = target_base_models(&bases, temperature, settings.targets, rng);
    let legal = variants(
        &targets,
        settings.variants,
        settings.hyperparameters,
        pool,
        models,
        rng,
    );
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
        promise: None,
    };
    let mut candidates: Vec<Proposal> = legal.into_iter().map(proposed).collect();
    candidates.extend((0..settings.fresh).filter_map(|_| fresh(models, pool, rng)));
    candidates
}

fn is_new(proposal: &Proposal, pool: &Pool) -> bool {
    !pool.contains(Fingerprint::of(&proposal.architecture, &proposal.setting))
}

/// Either all that was found has been proposed, or nothing is within the limits. Models in the pool do not show
/// that something is: not all of them were subject to the limits.
fn nothing_found(models: &Morphs, pool: &Pool, settings: &SearchSettings) -> SearchError {
    let seeds = models.seeds();
    let mut ended = pool.entries().iter();
    let is_any_within = seeds
        .iter()
        .any(|seed| models.allow(&seed.architecture, &seed.setting))
        || ended.any(|entry| models.allow(&entry.architecture, &entry.setting))
        || pool
            .pending_models()
            .any(|(architecture, setting)| models.allow(architecture, setting));
    if is_any_within {
        let (ended, pending) = (pool.entries().len(), pool.pending());
        return SearchError::Exhausted { ended, pending };
    }
    let limits = settings.limits;
    let nearest = seeds
        .iter()
        .filter_map(|seed| limits.tightest(&seed.architecture, &seed.setting))
        .min_by(|one, other| one.share().total_cmp(&other.share()))
        .expect("there are seeds, and each of them breaks a limit");
    SearchError::NothingFits {
        limits: Box::new(limits),
        nearest,
    }
}
