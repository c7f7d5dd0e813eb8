//! From determined hyperparameters to the recipe a trainer follows (R5), and how long a trial is.

use std::num::{NonZeroU8, NonZeroU32, NonZeroUsize};

use data::Targets;
use search::{Domain, Setting, Space, Value};
use thiserror::Error;
use train::{Augmentation, Flip, Loss, Optimizer, Recipe};

use crate::config::{Budget, Resources, TrainingSettings};

/// Examples seen by a trial that starts from nothing, where the user does not say otherwise:
/// 40 epochs of ten thousand rows, 8 of fifty thousand. A time budget cuts what does not fit it.
const EXAMPLES_PER_TRIAL: u64 = 400_000;

/// Few rows are seen again and again until a trial has seen so many examples: it takes some hundred steps to
/// learn anything.
const EXAMPLES_PER_TRIAL_MIN: u64 = 10_000;

/// Epochs chosen by the number of rows: no fewer, no more, and no more even where rows are few.
const EPOCHS_MIN: u64 = 8;
const EPOCHS_USUAL_MAX: u64 = 40;
const EPOCHS_MAX: u64 = 300;

/// A model that is trained once more at the end gets so many times the epochs of a fresh one.
const EPOCHS_AGAIN: u32 = 2;

/// A time budget should hold at least so many trials per slot, whatever one of them would like.
const TRIALS_PER_SLOT_MIN: f64 = 10.0;

/// Share of a trial's steps over which the learning rate rises.
const WARMUP_SHARE: f64 = 0.05;

/// Why a setting is no recipe.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum RecipeError {
    /// A hyperparameter of the wrong kind or out of range.
    #[error("hyperparameter `{name}` = {value} cannot be used: it must be {rule}")]
    Unusable {
        /// Which.
        name: String,
        /// Its value.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A name that nothing understands.
    #[error(
        "hyperparameter `{name}` is not one that trainers know: {}",
        KNOWN.join(", ")
    )]
    Unknown {
        /// Which.
        name: String,
    },
}

/// Hyperparameters that trainers know.
pub const KNOWN: [&str; 12] = [
    "learning_rate",
    "weight_decay",
    "batch_size",
    "optimizer",
    "label_smoothing",
    "gradient_norm_max",
    "average_decay",
    "flip",
    "crop",
    "cutout",
    "mixup",
    "noise",
];

/// The recipe of a trial.
///
/// # Errors
/// If the setting holds a name or value that trainers do not know.
pub fn decide(
    setting: &Setting,
    training: &TrainingSettings,
    targets: &Targets,
    start: Start,
) -> Result<Recipe, RecipeError> {
    let mut recipe = standard(training, targets, start);
    for (name, value) in setting.values() {
        apply(&mut recipe, name, value)?;
    }
    Ok(recipe)
}

/// Whether every value of a space can be used; asked before a study begins, so that no trial fails
/// of it.
///
/// # Errors
/// If the space holds a name that trainers do not know, or reaches a value that they cannot use.
pub fn check_space(space: &Space) -> Result<(), RecipeError> {
    let mut recipe = Recipe::default();
    for parameter in space.parameters() {
        // What can be used is an interval or a list of names, so the ends speak for all between.
        let extremes = match parameter.domain() {
            Domain::Float { low, high, .. } => vec![Value::Float(*low), Value::Float(*high)],
            // The last value may lie below the upper end.
            domain @ Domain::Stepped { low, high, .. } => {
                let ends = [low, high].map(|end| domain.clamp(&Value::Float(*end)));
                ends.into_iter().flatten().collect()
            }
            Domain::Integer { low, high, .. } => vec![Value::Integer(*low), Value::Integer(*high)],
            Domain::Category { choices } => choices.iter().cloned().map(Value::Category).collect(),
        };
        for value in &extremes {
            apply(&mut recipe, parameter.name(), value)?;
        }
    }
    Ok(())
}

/// From what a trial starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From random weights.
    Fresh,
    /// From a parent's weights.
    Inherited,
    /// Once more, for longer.
    Again,
}

fn standard(training: &TrainingSettings, targets: &Targets, start: Start) -> Recipe {
    let rows = match targets {
        Targets::Classes { ids, .. } => ids.len(),
        Targets::Values(values) => values.len(),
        Targets::None => 0,
    };
    let epochs = epochs(training, rows, start);
    Recipe {
        optimizer: Optimizer::AdamW {
            beta1: 0.9,
            beta2: 0.999,
        },
        learning_rate: 3e-3,
        weight_decay: 1e-2,
        batch_size: NonZeroUsize::new(64).expect("64 is not 0"),
        epochs,
        patience: training.patience.and_then(NonZeroU32::new),
        loss: match targets {
            Targets::Classes { .. } => Loss::CrossEntropy {
                label_smoothing: 0.0,
            },
            // Targets are standardised: beyond one deviation an error counts linearly.
            _ => Loss::Huber { delta: 1.0 },
        },
        class_weights: training.class_weights.unwrap_or_default(),
        precision: training.precision,
        warmup_epochs: WARMUP_SHARE * f64::from(epochs.get()),
        ..Recipe::default()
    }
}

fn epochs(training: &TrainingSettings, rows: usize, start: Start) -> NonZeroU32 {
    let rows = (rows as u64).max(1);
    let few = (EXAMPLES_PER_TRIAL_MIN / rows).min(EPOCHS_MAX);
    let usual = (EXAMPLES_PER_TRIAL / rows).clamp(EPOCHS_MIN, EPOCHS_USUAL_MAX);
    let fresh = training.epochs.unwrap_or(usual.max(few) as u32);
    let epochs = match start {
        Start::Fresh => fresh,
        Start::Inherited => training.epochs_inherited.unwrap_or(fresh.div_ceil(2)),
        Start::Again => fresh.saturating_mul(EPOCHS_AGAIN),
    };
    NonZeroU32::new(epochs).unwrap_or(NonZeroU32::MIN)
}

fn apply(recipe: &mut Recipe, name: &str, value: &Value) -> Result<(), RecipeError> {
    let unusable = |rule| RecipeError::Unusable {
        name: name.to_string(),
        value: value.to_string(),
        rule,
    };
    match (name, value) {
        ("learning_rate", Value::Float(rate)) if *rate > 0.0 => recipe.learning_rate = *rate,
        ("learning_rate", _) => return Err(unusable("a number above 0")),
        ("weight_decay", Value::Float(decay)) if *decay >= 0.0 => recipe.weight_decay = *decay,
        ("weight_decay", _) => return Err(unusable("a number, 0 or more")),
        ("batch_size", Value::Integer(rows)) => {
            recipe.batch_size = usize::try_from(*rows)
                .ok()
                .and_then(NonZeroUsize::new)
                .ok_or_else(|| unusable("a whole number above 0"))?;
        }
        ("batch_size", _) => return Err(unusable("a whole number above 0")),
        ("optimizer", Value::Category(kind)) if kind == "adamw" => {
            recipe.optimizer = Optimizer::AdamW {
                beta1: 0.9,
                beta2: 0.999,
            };
        }
        ("optimizer", Value::Category(kind)) if kind == "sgd" => {
            recipe.optimizer = Optimizer::Sgd { momentum: 0.9 };
        }
        ("optimizer", _) => return Err(unusable("adamw or sgd")),
        ("label_smoothing", Value::Float(share)) if (0.0..1.0).contains(share) => {
            if let Loss::CrossEntropy { label_smoothing } = &mut recipe.loss {
                *label_smoothing = *share as f32;
            }
        }
        ("label_smoothing", _) => return Err(unusable("a number from 0 to below 1")),
        ("gradient_norm_max", Value::Float(norm)) if *norm > 0.0 => {
            recipe.gradient_norm_max = Some(*norm);
        }
        ("gradient_norm_max", _) => return Err(unusable("a number above 0")),
        ("average_decay", Value::Float(decay)) if (0.0..1.0).contains(decay) => {
            recipe.average_decay = (*decay > 0.0).then_some(*decay);
        }
        ("average_decay", _) => return Err(unusable("a number from 0 (none) to below 1")),
        _ => return augment(&mut recipe.augmentation, name, value),
    }
    Ok(())
}

/// The hyperparameters that say how training examples are changed; 0 or `never` always means not.
fn augment(asked: &mut Augmentation, name: &str, value: &Value) -> Result<(), RecipeError> {
    let unusable = |rule| {
        Err(RecipeError::Unusable {
            name: name.to_string(),
            value: value.to_string(),
            rule,
        })
    };
    let pixels = |count: &i64| u8::try_from(*count).map(NonZeroU8::new);
    match (name, value) {
        ("flip", Value::Category(kind)) if kind == "never" => asked.flip = Flip::Never,
        ("flip", Value::Category(kind)) if kind == "horizontal" => asked.flip = Flip::Horizontal,
        ("flip", _) => return unusable("never or horizontal"),
        ("crop" | "cutout", Value::Integer(count)) => match pixels(count) {
            Ok(count) if name == "crop" => asked.crop = count,
            Ok(count) => asked.cutout = count,
            Err(_) => return unusable("a number of pixels from 0 to 255"),
        },
        ("crop" | "cutout", _) => return unusable("a number of pixels from 0 to 255"),
        ("mixup", Value::Float(alpha)) if (0.0..=1.0).contains(alpha) => {
            // A share drawn with a smaller α is 0 or 1 for all that `f32` can tell.
            asked.mixup = (*alpha >= 1e-3).then_some(*alpha);
        }
        ("mixup", _) => return unusable("a number from 0 (none) to 1"),
        ("noise", Value::Float(deviation)) if *deviation >= 0.0 => {
            asked.noise = (*deviation > 0.0).then_some(*deviation);
        }
        ("noise", _) => return unusable("a number, 0 or more"),
        _ => {
            return Err(RecipeError::Unknown {
                name: name.to_string(),
            });
        }
    }
    Ok(())
}

/// How long one trial may take under a time budget, so that a study holds enough of them.
pub fn seconds_max(budget: Budget, resources: Resources) -> Option<f64> {
    let slots = f64::from(resources.total_slots().max(1));
    let trials_per_slot = budget
        .trials
        .map_or(TRIALS_PER_SLOT_MIN, |trials| (trials as f64 / slots).ceil());
    budget
        .seconds
        .map(|seconds| seconds / trials_per_slot.clamp(1.0, TRIALS_PER_SLOT_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_that_is_shown_as_an_example_names_what_trainers_know() {
        let documented = include_str!("../../search/src/space.rs");
        let shown = documented
            .lines()
            .filter_map(|line| line.strip_prefix("//! ")?.split_once(" = {"));
        let names: Vec<&str> = shown.map(|(name, _)| name).collect();
        assert_eq!(names.len(), 4, "{names:?}");
        for name in names {
            assert!(KNOWN.contains(&name), "{name}");
        }
    }
}
