//! Which hyperparameters are searched, and within which bounds.
//!
//! In a `lehr.toml` a space is one table per hyperparameter:
//!
//! ```toml
//! [search.space]
//! learning_rate = { kind = "float", low = 3e-4, high = 3e-2, scale = "log", default = 3e-3 }
//! mixup = { kind = "float", low = 0.0, high = 0.4, step = 0.1 }
//! batch_size = { kind = "int", low = 32, high = 256, scale = "log", step = 2 }
//! optimizer = { kind = "category", choices = ["adamw", "sgd"] }
//! ```
//!
//! Which names a trainer understands is its own business; how many epochs it trains is not
//! searched.

mod written;

use std::collections::BTreeMap;

use rand::{Rng, seq::index};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    domain::{Coordinate, Domain, DomainError, Scale},
    setting::{Setting, Value},
    space::written::Written,
};

/// A mutation changes at most so many hyperparameters.
const MUTATED_MAX: usize = 3;

/// Share of the probability that label smoothing spreads over the other classes.
const LABEL_SMOOTHING: &str = "label_smoothing";

/// Rows of a step.
const BATCH_SIZE: &str = "batch_size";

/// An epoch of fewer steps is no epoch.
const STEPS_PER_EPOCH_MIN: usize = 12;

/// By how many pixels images are moved at most, in each direction.
pub const CROP: &str = "crop";

/// Images are moved by up to so large a part of their shorter side at first, and by so large a one at most.
const CROP_PART: u32 = 16;
const CROP_PART_MAX: u32 = 8;

/// A byte counts the pixels.
const CROP_MAX: u32 = u8::MAX as u32;

/// Statistics over a batch need so many rows.
const BATCH_MIN: i64 = 8;

/// What the data look like, as far as the default space depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskHint {
    /// Rows of a table.
    Table,
    /// Images.
    Image,
    /// Series or texts.
    Sequence,
}

/// One searched hyperparameter: its name, what it may be, and what it is at first.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    name: String,
    domain: Domain,
    default: Value,
}

/// Searched hyperparameters, ordered by name; names are unique.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(
    try_from = "BTreeMap<String, Written>",
    into = "BTreeMap<String, Written>"
)]
pub struct Space {
    parameters: Vec<Parameter>,
}

/// Why there is no such space.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpaceError {
    /// A hyperparameter without a name.
    #[error("a hyperparameter has an empty name")]
    NoName,
    /// A name given twice.
    #[error("the hyperparameter `{name}` is given twice")]
    RepeatedName {
        /// Which.
        name: String,
    },
    /// Values that are no domain.
    #[error("the hyperparameter `{name}` cannot be searched: {source}")]
    Domain {
        /// Which.
        name: String,
        /// The rule broken; part of the message, since readers of files show one line only.
        source: DomainError,
    },
    /// A default that the domain does not hold.
    #[error("the hyperparameter `{name}` cannot be {default} at first: {nearest}")]
    Default {
        /// Which.
        name: String,
        /// The default given.
        default: Value,
        /// What could be meant.
        nearest: Nearest,
    },
}

/// The value that a wrong default may have meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest(Option<Value>);

impl std::fmt::Display for Nearest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(value) => write!(f, "the nearest value that it may be is {value}"),
            None => f.write_str("it is not one of its values"),
        }
    }
}

impl Parameter {
    /// Checks name, domain and default; without a default, the middle of the domain is it.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn new(
        name: &str,
        domain: Domain,
        default: Option<Value>,
    ) -> Result<Parameter, SpaceError> {
        if name.is_empty() {
            return Err(SpaceError::NoName);
        }
        domain.check().map_err(|source| SpaceError::Domain {
            name: name.to_string(),
            source,
        })?;
        let default = default.unwrap_or_else(|| domain.middle());
        let nearest = domain.clamp(&default);
        if nearest.as_ref() != Some(&default) {
            let nearest = Nearest(nearest);
            return Err(SpaceError::Default {
                name: name.to_string(),
                default,
                nearest,
            });
        }
        Ok(Parameter {
            name: name.to_string(),
            domain,
            default,
        })
    }

    /// What trainers call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may be.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What it is at first.
    pub fn default_value(&self) -> &Value {
        &self.default
    }
}

impl Space {
    /// The space of these hyperparameters.
    ///
    /// # Errors
    /// If a name is given twice.
    pub fn new(mut parameters: Vec<Parameter>) -> Result<Space, SpaceError> {
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        match parameters
            .windows(2)
            .find(|pair| pair[0].name == pair[1].name)
        {
            Some(pair) => Err(SpaceError::RepeatedName {
                name: pair[0].name.clone(),
            }),
            None => Ok(Space { parameters }),
        }
    }

    /// The usual hyperparameters of a network trained by AdamW.
    ///
    /// The optimiser itself is not among them, because no one range of learning rates suits two of
    /// them; whoever wants to search it adds it.
    pub fn default_for(hint: TaskHint) -> Space {
        // Images gain from more smoothing: their labels are more often wrong or arguable.
        let smoothing_max = match hint {
            TaskHint::Table | TaskHint::Sequence => 0.1,
            TaskHint::Image => 0.2,
        };
        let float = |low, high, scale| Domain::Float { low, high, scale };
        let rows = Domain::Integer {
            low: 32,
            high: 256,
            scale: Scale::Log,
            step: 2,
        };
        let parameters = [
            (
                "learning_rate",
                float(3e-4, 3e-2, Scale::Log),
                Value::Float(3e-3),
            ),
            (
                "weight_decay",
                float(1e-4, 1e-1, Scale::Log),
                Value::Float(1e-2),
            ),
            (BATCH_SIZE, rows, Value::Integer(64)),
            (
                LABEL_SMOOTHING,
                float(0.0, smoothing_max, Scale::Linear),
                Value::Float(0.0),
            ),
        ];
        let checked = parameters.map(|(name, domain, default)| {
            Parameter::new(name, domain, Some(default)).expect("the defaults are legal")
        });
        Space::new(checked.into()).expect("the default names differ")
    }

    /// This space for so many training rows: where there are few, batches are smaller, so that an epoch
    /// has steps enough to learn by.
    #[must_use]
    pub fn for_rows(&self, rows: usize) -> Space {
        let wanted = (rows / STEPS_PER_EPOCH_MIN).max(1).next_power_of_two() as i64;
        let mut space = self.clone();
        for parameter in &mut space.parameters {
            let Domain::Integer { low, high, .. } = &mut parameter.domain else {
                continue;
            };
            let Value::Integer(usual) = parameter.default else {
                continue;
            };
            if parameter.name == BATCH_SIZE && wanted < usual {
                let first = wanted.max(BATCH_MIN);
                *high = (*high * first / usual).max(first);
                *low = (*low * first / usual).max(BATCH_MIN);
                parameter.default = Value::Integer(first);
            }
        }
        space
    }

    /// This space for images of these extents: it is also searched how far they are moved, and whether they are
    /// mirrored, on their way into a network. At first they are moved and not mirrored.
    #[must_use]
    pub fn for_images(&self, height: u32, width: u32) -> Space {
        let side = height.min(width);
        let pixels = |part: u32| Value::Integer(i64::from((side / part).min(CROP_MAX)));
        let mut parameters = self.parameters.clone();
        if let Value::Integer(high @ 1..) = pixels(CROP_PART_MAX) {
            let crop = Domain::Integer {
                low: 0,
                high,
                scale: Scale::Linear,
                step: 1,
            };
            let crop = Parameter::new(CROP, crop, Some(pixels(CROP_PART)));
            parameters.push(crop.expect("a part of a larger part is within it"));
        }
        let choices = ["never", "horizontal"].map(str::to_string).to_vec();
        let flip = Parameter::new("flip", Domain::Category { choices }, None);
        parameters.push(flip.expect("two names are a domain"));
        Space::new(parameters).expect("a space of defaults says nothing of images")
    }

    /// Whether nothing is searched.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    /// All searched hyperparameters, ordered by name.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// What every hyperparameter is at first.
    pub fn defaults(&self) -> Setting {
        self.each(|parameter| parameter.default.clone())
    }

    /// Where a setting lies in this space, hyperparameter by hyperparameter.
    pub(crate) fn coordinates(&self, setting: &Setting) -> Vec<Coordinate> {
        let each = self.parameters.iter().map(|parameter| {
            let value = setting.value(&parameter.name).unwrap_or(&parameter.default);
            parameter.domain.coordinate(value)
        });
        each.collect()
    }

    /// The setting that lies there, each value the nearest that its domain has.
    ///
    /// # Shapes
    /// One coordinate for each hyperparameter, in their order.
    pub(crate) fn at(&self, coordinates: &[Coordinate]) -> Setting {
        let each = self.parameters.iter().zip(coordinates);
        each.map(|(parameter, at)| (parameter.name.clone(), parameter.domain.at(*at)))
            .collect()
    }

    /// Every hyperparameter drawn uniformly on its scale.
    pub fn sample(&self, rng: &mut ChaCha8Rng) -> Setting {
        self.each(|parameter| parameter.domain.sample(rng))
    }

    /// One to three hyperparameters moved to near values, the others as they are.
    pub fn mutate(&self, setting: &Setting, rng: &mut ChaCha8Rng) -> Setting {
        let mut mutated = self.clamp(setting);
        let free: Vec<&Parameter> = self
            .parameters
            .iter()
            .filter(|parameter| parameter.domain.is_free())
            .collect();
        if free.is_empty() {
            return mutated;
        }
        let count = rng.random_range(1..=MUTATED_MAX.min(free.len()));
        let mut places = index::sample(rng, free.len(), count).into_vec();
        places.sort_unstable();
        for place in places {
            let Parameter {
                name,
                domain,
                default,
            } = free[place];
            let value = domain.mutate(mutated.value(name).unwrap_or(default), rng);
            mutated = mutated.with(name, value);
        }
        mutated
    }

    /// The nearest setting of this space: what is missing becomes its default, what is not searched
    /// is dropped.
    pub fn clamp(&self, setting: &Setting) -> Setting {
        self.each(|parameter| {
            let value = setting.value(&parameter.name);
            let nearest = value.and_then(|value| parameter.domain.clamp(value));
            nearest.unwrap_or_else(|| parameter.default.clone())
        })
    }

    /// This space for networks with so many outputs: where there is only one value to predict,
    /// there are no labels to smooth, and trials that differ in nothing else would be the same.
    #[must_use]
    pub fn for_outputs(&self, outputs: u32) -> Space {
        let mut space = self.clone();
        if outputs == 1 {
            for parameter in &mut space.parameters {
                if let (LABEL_SMOOTHING, Value::Float(value)) =
                    (parameter.name.as_str(), &parameter.default)
                {
                    let (low, high) = (*value, *value);
                    parameter.domain = Domain::Float {
                        low,
                        high,
                        scale: Scale::Linear,
                    };
                }
            }
        }
        space
    }

    fn each(&self, mut value: impl FnMut(&Parameter) -> Value) -> Setting {
        self.parameters
            .iter()
            .map(|parameter| (parameter.name.clone(), value(parameter)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn differing(one: &Setting, other: &Setting) -> usize {
        one.values()
            .zip(other.values())
            .filter(|(a, b)| a != b)
            .count()
    }

    #[test]
    fn the_default_spaces_start_where_trainers_start() {
        for hint in [TaskHint::Table, TaskHint::Image] {
            let defaults = Space::default_for(hint).defaults();
            assert_eq!(
                defaults.to_string(),
                "batch_size=64 label_smoothing=0 learning_rate=0.003 weight_decay=0.01"
            );
        }
    }

    #[test]
    fn a_mutation_changes_one_to_three_hyperparameters_and_all_three_counts_occur() {
        let space = Space::default_for(TaskHint::Table);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut seen = [0; 4];
        for _ in 0..300 {
            let parent = space.sample(&mut rng);
            let child = space.mutate(&parent, &mut rng);
            assert_eq!(space.clamp(&child), child);
            seen[differing(&parent, &child)] += 1;
        }
        assert_eq!(seen[0], 0);
        assert!(
            seen[1..].iter().all(|count| (60..140).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn clamping_fills_drops_and_moves_inside() {
        let space = Space::default_for(TaskHint::Table);
        let foreign = Setting::default()
            .with("learning_rate", Value::Float(5.0))
            .with("batch_size", Value::Integer(100))
            .with("unknown", Value::Integer(1));
        assert_eq!(
            space.clamp(&foreign).to_string(),
            "batch_size=128 label_smoothing=0 learning_rate=0.03 weight_decay=0.01"
        );
    }

    #[test]
    fn images_are_moved_by_a_part_of_their_side_and_tiny_ones_are_not() {
        let crop = |height, width| {
            let space = Space::default_for(TaskHint::Image).for_images(height, width);
            let crop = space.parameters().iter().find(|one| one.name() == CROP);
            let first = crop.map(|crop| crop.default_value().clone());
            let most = crop.and_then(|crop| crop.domain().clamp(&Value::Integer(i64::MAX)));
            assert_eq!(space.defaults().value("flip").unwrap().to_string(), "never");
            first.zip(most)
        };
        let pixels = |first, most| Some((Value::Integer(first), Value::Integer(most)));
        assert_eq!(crop(32, 32), pixels(2, 4));
        assert_eq!(crop(28, 100), pixels(1, 3));
        assert_eq!(crop(8, 8), pixels(0, 1));
        assert_eq!(crop(1, 500), None);
        assert_eq!(crop(100_000, 100_000), pixels(255, 255));
    }

    #[test]
    fn a_regression_does_not_search_label_smoothing() {
        let space = Space::default_for(TaskHint::Table);
        let regression = space.for_outputs(1);
        assert_eq!(regression.defaults(), space.defaults());
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..50 {
            let setting = regression.mutate(&regression.sample(&mut rng), &mut rng);
            assert_eq!(setting.value("label_smoothing"), Some(&Value::Float(0.0)));
        }
        assert_eq!(space.for_outputs(2), space);
    }

    #[test]
    fn a_space_survives_json_and_says_what_is_wrong_with_a_broken_one() {
        let space = Space::default_for(TaskHint::Image);
        let text = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&text).unwrap(), space);
        let error = |text| serde_json::from_str::<Space>(text).unwrap_err().to_string();
        insta::assert_snapshot!(error(r#"{"rate": {"kind": "float", "low": 0, "high": 1, "scale": "log"}}"#), @r#"the hyperparameter `rate` cannot be searched: `low` = 0 has no logarithm: with scale "log" it must be above 0"#);
        insta::assert_snapshot!(error(r#"{"rows": {"kind": "integer", "low": 8, "high": 64, "scale": "log", "default": 12}}"#), @"the hyperparameter `rows` cannot be 12 at first: the nearest value that it may be is 16");
        insta::assert_snapshot!(error(r#"{"optimizer": {"kind": "category", "choices": ["adamw"], "default": "adam"}}"#), @"the hyperparameter `optimizer` cannot be adam at first: it is not one of its values");
        assert!(
            error(r#"{"rate": {"kind": "float", "lo": 0, "high": 1}}"#)
                .contains("unknown field `lo`")
        );
    }

    #[test]
    fn what_is_not_written_is_decided() {
        let text = r#"{"rows": {"kind": "integer", "low": 32, "high": 256, "scale": "log"}}"#;
        let space: Space = serde_json::from_str(text).unwrap();
        assert_eq!(space.defaults().to_string(), "rows=64");
        assert!(space.parameters()[0].domain().is_free());
    }

    #[test]
    fn a_float_with_a_step_and_the_names_of_other_tools_are_read() {
        let text = r#"{
            "momentum": {"kind": "float", "low": 0.5, "high": 0.9, "step": 0.2},
            "rows": {"kind": "int", "low": 8, "high": 64},
            "optimizer": {"kind": "categorical", "choices": ["adamw", "sgd"]}
        }"#;
        let space: Space = serde_json::from_str(text).unwrap();
        let written = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&written).unwrap(), space);
        let defaults = space.defaults();
        assert_eq!(defaults.value("momentum"), Some(&Value::Float(0.7)));
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..50 {
            let Some(Value::Float(momentum)) = space.sample(&mut rng).value("momentum").cloned()
            else {
                panic!("it is a float");
            };
            assert!([0.5, 0.7, 0.9].contains(&momentum), "{momentum}");
        }
    }

    #[test]
    fn an_empty_space_has_one_empty_setting() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let space = Space::default();
        assert!(space.is_empty());
        assert_eq!(space.sample(&mut rng), Setting::default());
        assert_eq!(
            space.mutate(&Setting::default(), &mut rng),
            Setting::default()
        );
    }
}
