//! How a study searches: strategy, limits, and the few numbers of the method.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{limits::Limits, objectives::Objective, space::Space};

/// How the next model is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Variants of base models that simulated annealing picks from the history pool, screened by a
    /// surrogate of the score.
    #[default]
    Annealing,
    /// The same without the surrogate: any variant; what screening is compared with.
    Unscreened,
    /// Models drawn without looking at the pool; what annealing is compared with.
    Random,
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::Annealing => "annealing",
            Strategy::Unscreened => "unscreened",
            Strategy::Random => "random",
        })
    }
}

/// How a variant gets its hyperparameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hyperparameters {
    /// Its parent's, near its parent's, or drawn anew, so that the surrogate screens them together with
    /// the architecture.
    #[default]
    Inherited,
    /// Drawn where good ones are dense in the whole pool, whatever the architecture.
    Parzen,
}

impl fmt::Display for Hyperparameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hyperparameters::Inherited => "inherited",
            Hyperparameters::Parzen => "parzen",
        })
    }
}

/// Share of the budget used, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct BudgetFraction(f64);

impl BudgetFraction {
    /// The nearest fraction; what is not a number is nothing used.
    pub fn clamped(share: f64) -> BudgetFraction {
        BudgetFraction(if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        })
    }

    /// The fraction itself.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// How a study searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// How the next model is chosen.
    pub strategy: Strategy,
    /// How variants get their hyperparameters.
    pub hyperparameters: Hyperparameters,
    /// What no model may exceed.
    pub limits: Limits,
    /// What models should have little of, beside a high score; usually nothing.
    pub objectives: Vec<Objective>,
    /// Which hyperparameters are searched.
    pub space: Space,
    /// Base models taken from the pool.
    pub base_models: usize,
    /// Target base models picked among them.
    pub targets: usize,
    /// Variants made of each target base model.
    pub variants: usize,
    /// Fresh draws among the candidates, beside the variants.
    pub fresh: usize,
    /// Temperature at the beginning, in standard deviations of the standing.
    pub temperature_start: f64,
    /// Temperature at the end.
    pub temperature_end: f64,
}

impl Default for SearchSettings {
    fn default() -> SearchSettings {
        SearchSettings {
            strategy: Strategy::default(),
            hyperparameters: Hyperparameters::default(),
            limits: Limits::default(),
            objectives: Vec::new(),
            space: Space::default(),
            base_models: 16,
            targets: 4,
            variants: 24,
            fresh: 8,
            temperature_start: 1.0,
            temperature_end: 0.1,
        }
    }
}

/// Why nothing can be searched with these settings.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SettingsError {
    /// A number that must be at least 1.
    #[error("`{name}` = 0 leaves nothing to propose: it must be at least 1")]
    Zero {
        /// Which.
        name: &'static str,
    },
    /// More target base models than base models.
    #[error("`targets` = {targets} cannot be picked among `base_models` = {base_models}")]
    TooManyTargets {
        /// Target base models.
        targets: usize,
        /// Base models.
        base_models: usize,
    },
    /// A temperature that is no positive number, or rises.
    #[error(
        "the temperature cannot go from {start} to {end}: both must be above 0, and it must not \
         rise"
    )]
    Temperature {
        /// At the beginning.
        start: f64,
        /// At the end.
        end: f64,
    },
}

impl SearchSettings {
    /// Checks every rule of the settings.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn check(&self) -> Result<(), SettingsError> {
        let (targets, base_models) = (self.targets, self.base_models);
        let counts = [
            ("base_models", base_models),
            ("targets", targets),
            ("variants", self.variants),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(SettingsError::Zero { name });
        }
        if targets > base_models {
            return Err(SettingsError::TooManyTargets {
                targets,
                base_models,
            });
        }
        let (start, end) = (self.temperature_start, self.temperature_end);
        if !(start.is_finite() && end > 0.0 && end <= start) {
            return Err(SettingsError::Temperature { start, end });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_settings_are_legal_and_survive_json() {
        let settings = SearchSettings::default();
        assert_eq!(settings.check(), Ok(()));
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<SearchSettings>(&text).unwrap(),
            settings
        );
        assert_eq!(
            serde_json::from_str::<SearchSettings>("{}").unwrap(),
            settings
        );
    }

    #[test]
    fn illegal_settings_are_refused_with_the_value_and_the_rule() {
        let message = |change: fn(&mut SearchSettings)| {
            let mut settings = SearchSettings::default();
            change(&mut settings);
            settings.check().unwrap_err().to_string()
        };
        insta::assert_snapshot!(message(|settings| settings.variants = 0), @"`variants` = 0 leaves nothing to propose: it must be at least 1");
        insta::assert_snapshot!(message(|settings| settings.targets = 17), @"`targets` = 17 cannot be picked among `base_models` = 16");
        insta::assert_snapshot!(message(|settings| settings.temperature_end = 2.0), @"the temperature cannot go from 1 to 2: both must be above 0, and it must not rise");
        assert!(!message(|settings| settings.temperature_end = f64::NAN).is_empty());
    }

    #[test]
    fn a_budget_fraction_stays_between_nothing_and_all() {
        let fractions =
            [-1.0, f64::NAN, 0.25, 7.0].map(|share| BudgetFraction::clamped(share).get());
        assert_eq!(fractions, [0.0, 0.0, 0.25, 1.0]);
    }
}
