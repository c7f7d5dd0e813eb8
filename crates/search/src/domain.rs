//! The values one hyperparameter may take, and how to move among them.
//!
//! Every domain is seen through a unit scale from 0 to 1, logarithmic where it says so, so that a
//! step means the same for a learning rate and for a number of rows. Sampled floats keep three
//! significant digits, more only where the range is narrow: settings that train alike are then equal,
//! and people can read them.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{normal::quantile, setting::Value};

/// Standard deviation of a mutation of a float on the unit scale.
const MUTATION_STEP: f64 = 0.2;

/// How often a mutation is drawn again because rounding led back to the same value.
const MUTATION_DRAWS_MAX: usize = 8;

/// Whether equal steps add or multiply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal steps add.
    #[default]
    Linear,
    /// Equal steps multiply; the lower end is above 0.
    Log,
}

impl Scale {
    /// The smallest step that moves a whole number: added, or multiplied by.
    pub(crate) fn least_step(self) -> i64 {
        match self {
            Scale::Linear => 1,
            Scale::Log => 2,
        }
    }
}

/// The values one hyperparameter may take; both ends belong to it.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Any number in between.
    Float {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
        /// How it is searched.
        scale: Scale,
    },
    /// The numbers `low`, `low + step` … (linear) or `low`, `low · step` … (log).
    Stepped {
        /// Lower end.
        low: f64,
        /// Upper end; the last value may lie below it.
        high: f64,
        /// How it is searched.
        scale: Scale,
        /// Difference of neighbours, or their ratio: above 0, or above 1.
        step: f64,
    },
    /// Whole numbers `low`, `low + step` … (linear) or `low`, `low · step` … (log).
    Integer {
        /// Lower end.
        low: i64,
        /// Upper end.
        high: i64,
        /// How it is searched.
        scale: Scale,
        /// Difference of neighbours, or their ratio: at least 1, or at least 2.
        step: i64,
    },
    /// One of a few names, in no order.
    Category {
        /// The names.
        choices: Vec<String>,
    },
}

/// A value as a distance sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Coordinate {
    /// From 0 to 1 on the scale of its domain.
    Unit(f64),
    /// Which of the names.
    Name(u64),
}

impl Coordinate {
    /// From 0 for the same to 1: the root of the difference on the unit scale, or 1 for another name.
    pub fn distance(self, other: Coordinate) -> f64 {
        match (self, other) {
            (Coordinate::Unit(a), Coordinate::Unit(b)) => (a - b).abs().sqrt(),
            (a, b) => f64::from(u8::from(a != b)),
        }
    }
}

/// Which rule a domain breaks.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DomainError {
    /// Ends the wrong way round, or not numbers.
    #[error("`low` = {low} and `high` = {high} are no range: low must be a number, not above high")]
    NoRange {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// A logarithm of nothing.
    #[error("`low` = {low} has no logarithm: with scale \"log\" it must be above 0")]
    NoLogarithm {
        /// Lower end.
        low: f64,
    },
    /// Whole numbers that floats cannot tell apart.
    #[error(
        "`low` = {low} and `high` = {high} are too large: at most ±{}",
        Domain::INTEGER_MAX
    )]
    TooLarge {
        /// Lower end.
        low: i64,
        /// Upper end.
        high: i64,
    },
    /// A step that does not move.
    #[error("`step` = {step} does not move: it must be at least {least}")]
    NoStep {
        /// The step.
        step: i64,
        /// What it must be at least.
        least: i64,
    },
    /// A step of numbers that does not move, or moves too little.
    #[error(
        "`step` = {step} is no step from {low} to {high}: it must be a number above {least}, and not make more than \
         {} values",
        Domain::STEPS_MAX
    )]
    WrongStep {
        /// The step.
        step: f64,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
        /// What it must be above.
        least: f64,
    },
    /// Nothing to choose from.
    #[error("`choices` is empty: name at least one")]
    NoChoice,
    /// The same choice twice.
    #[error("the choice {choice:?} is given twice")]
    RepeatedChoice {
        /// Which.
        choice: String,
    },
}

impl Domain {
    /// Larger whole numbers are not exact as floats.
    pub const INTEGER_MAX: i64 = 1 << 53;

    /// More steps are not told apart by rounding.
    pub const STEPS_MAX: u32 = 1_000_000_000;

    /// Checks every rule of a domain.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn check(&self) -> Result<(), DomainError> {
        match self {
            Domain::Float { low, high, scale } => check_range(*low, *high, *scale),
            Domain::Stepped {
                low,
                high,
                scale,
                step,
            } => {
                check_range(*low, *high, *scale)?;
                check_step(*low, *high, *scale, *step)
            }
            Domain::Integer {
                low,
                high,
                scale,
                step,
            } => {
                if low.unsigned_abs().max(high.unsigned_abs()) > Domain::INTEGER_MAX as u64 {
                    return Err(DomainError::TooLarge {
                        low: *low,
                        high: *high,
                    });
                }
                check_range(*low as f64, *high as f64, *scale)?;
                let least = scale.least_step();
                if *step < least {
                    return Err(DomainError::NoStep { step: *step, least });
                }
                Ok(())
            }
            Domain::Category { choices } => check_choices(choices),
        }
    }

    /// Whether it has more than one value, so that there is something to search.
    pub fn is_free(&self) -> bool {
        match self {
            Domain::Float { low, high, .. } => low < high,
            _ => self.count() > 1,
        }
    }

    /// The value in the middle of its scale; of an even number of values, the lower middle one; of
    /// names, the first.
    pub fn middle(&self) -> Value {
        match self {
            Domain::Float { .. } => Value::Float(self.float_at(0.5)),
            Domain::Integer { .. } | Domain::Stepped { .. } => self.nth((self.count() - 1) / 2),
            Domain::Category { .. } => self.nth(0),
        }
    }

    /// A value drawn uniformly on its scale.
    pub fn sample(&self, rng: &mut ChaCha8Rng) -> Value {
        match self {
            Domain::Float { .. } => Value::Float(self.float_at(rng.random())),
            _ => self.nth(rng.random_range(0..self.count())),
        }
    }

    /// Another value near this one (of names: any other); the same one if there is no other.
    pub fn mutate(&self, value: &Value, rng: &mut ChaCha8Rng) -> Value {
        let value = self.clamp(value).unwrap_or_else(|| self.middle());
        if !self.is_free() {
            return value;
        }
        match (self, &value) {
            (Domain::Float { .. }, Value::Float(from)) => {
                Value::Float(self.mutated_float(*from, rng))
            }
            (Domain::Category { .. }, _) => {
                // Uniform over the others: the places after its own move up by one.
                let drawn = rng.random_range(0..self.count() - 1);
                self.nth(drawn + u64::from(drawn >= self.place(&value)))
            }
            _ => self.mutated_place(self.place(&value), rng),
        }
    }

    /// The nearest value of this domain, or `None` if the kind of value is another.
    pub fn clamp(&self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Domain::Float { low, high, .. }, Value::Float(value)) if !value.is_nan() => {
                Some(Value::Float(value.clamp(*low, *high)))
            }
            (Domain::Float { low, high, .. }, Value::Integer(value)) => {
                Some(Value::Float((*value as f64).clamp(*low, *high)))
            }
            (Domain::Stepped { .. }, Value::Float(number)) if number.is_nan() => None,
            (Domain::Stepped { .. }, Value::Float(_) | Value::Integer(_))
            | (Domain::Integer { .. }, Value::Integer(_)) => Some(self.nth(self.place(value))),
            (Domain::Category { choices }, Value::Category(name)) if choices.contains(name) => {
                Some(value.clone())
            }
            _ => None,
        }
    }

    /// Where a value lies on the unit scale, or which name it is; the middle for a value of another kind.
    pub fn coordinate(&self, value: &Value) -> Coordinate {
        let value = self.clamp(value).unwrap_or_else(|| self.middle());
        match (self, &value) {
            (Domain::Float { low, high, .. }, _) if low == high => Coordinate::Unit(0.0),
            (Domain::Float { low, high, scale }, Value::Float(value)) => {
                Coordinate::Unit(unit_of(*value, *low, *high, *scale))
            }
            (Domain::Category { .. }, _) => Coordinate::Name(self.place(&value)),
            _ => {
                let last = self.count().saturating_sub(1).max(1);
                Coordinate::Unit(self.place(&value) as f64 / last as f64)
            }
        }
    }

    /// Where a value lies between the ends of its scale, from 0 to 1; names lie in the order in which they were given.
    pub fn share(&self, value: &Value) -> f64 {
        match self.coordinate(value) {
            Coordinate::Unit(unit) => unit,
            Coordinate::Name(name) => {
                let last = self.count().saturating_sub(1).max(1);
                name as f64 / last as f64
            }
        }
    }

    /// The value there; the inverse of [`Domain::coordinate`] up to rounding.
    pub fn at(&self, coordinate: Coordinate) -> Value {
        match (self, coordinate) {
            (Domain::Float { .. }, Coordinate::Unit(unit)) => Value::Float(self.float_at(unit)),
            (Domain::Integer { .. } | Domain::Stepped { .. }, Coordinate::Unit(unit)) => {
                let last = self.count().saturating_sub(1);
                self.nth((unit.clamp(0.0, 1.0) * last as f64).round() as u64)
            }
            (Domain::Category { .. }, Coordinate::Name(place)) if place < self.count() => {
                self.nth(place)
            }
            _ => self.middle(),
        }
    }

    /// How many names it has; none if it has numbers.
    pub fn names(&self) -> u64 {
        match self {
            Domain::Category { choices } => choices.len() as u64,
            _ => 0,
        }
    }

    /// How many values a domain of steps or names has.
    fn count(&self) -> u64 {
        match self {
            Domain::Float { .. } => 0,
            Domain::Stepped { high, .. } => self.steps_to(*high).floor() as u64 + 1,
            Domain::Integer {
                low,
                high,
                scale: Scale::Linear,
                step,
            } => ((high - low) / step).unsigned_abs() + 1,
            Domain::Integer {
                low,
                high,
                scale: Scale::Log,
                step,
            } => {
                let powers = std::iter::successors(Some(*low), |value| value.checked_mul(*step));
                powers.take_while(|value| value <= high).count() as u64
            }
            Domain::Category { choices } => choices.len() as u64,
        }
    }

    /// How many steps of a stepped domain lead to a number; a little more, so that rounding loses no step.
    fn steps_to(&self, value: f64) -> f64 {
        let Domain::Stepped {
            low, scale, step, ..
        } = self
        else {
            unreachable!("only stepped numbers have steps")
        };
        let steps = match scale {
            Scale::Linear => (value - low) / step,
            Scale::Log => (value / low).ln() / step.ln(),
        };
        steps * (1.0 + 1e-12) + 1e-9
    }

    /// The value at this place of steps or names.
    fn nth(&self, place: u64) -> Value {
        match self {
            Domain::Float { .. } => unreachable!("floats are not counted"),
            Domain::Stepped {
                low,
                high,
                scale,
                step,
            } => {
                let exact = match scale {
                    Scale::Linear => low + step * place as f64,
                    Scale::Log => low * step.powf(place as f64),
                };
                let extent = low.abs().max(high.abs());
                Value::Float(shortened(exact, *scale, extent).clamp(*low, *high))
            }
            Domain::Integer {
                low,
                scale: Scale::Linear,
                step,
                ..
            } => Value::Integer(low + step * place as i64),
            Domain::Integer {
                low,
                scale: Scale::Log,
                step,
                ..
            } => Value::Integer(low * step.pow(place as u32)),
            Domain::Category { choices } => Value::Category(choices[place as usize].clone()),
        }
    }

    /// The place of the nearest value; 0 for a name that is not there.
    fn place(&self, value: &Value) -> u64 {
        let last = self.count().saturating_sub(1);
        match (self, value) {
            (
                Domain::Integer {
                    low,
                    high,
                    scale,
                    step,
                },
                Value::Integer(value),
            ) => {
                let (low, value, step) = (
                    *low as f64,
                    (*value).clamp(*low, *high) as f64,
                    *step as f64,
                );
                let steps = match scale {
                    Scale::Linear => (value - low) / step,
                    Scale::Log => (value / low).ln() / step.ln(),
                };
                (steps.round() as u64).min(last)
            }
            (Domain::Stepped { low, high, .. }, Value::Float(value)) => {
                (self.steps_to(value.clamp(*low, *high)).round() as u64).min(last)
            }
            (Domain::Stepped { .. }, Value::Integer(value)) => {
                self.place(&Value::Float(*value as f64))
            }
            (Domain::Category { choices }, Value::Category(name)) => choices
                .iter()
                .position(|choice| choice == name)
                .unwrap_or(0)
                as u64,
            _ => 0,
        }
    }

    /// The float at this place of the unit scale, as [`rounded`], within the domain.
    fn float_at(&self, unit: f64) -> f64 {
        let Domain::Float { low, high, scale } = self else {
            unreachable!("only floats have a place on the unit scale")
        };
        let exact = match scale {
            Scale::Linear => low + unit * (high - low),
            Scale::Log => low * (high / low).powf(unit),
        };
        rounded(exact, high - low).clamp(*low, *high)
    }

    fn mutated_float(&self, from: f64, rng: &mut ChaCha8Rng) -> f64 {
        let Domain::Float { low, high, scale } = self else {
            unreachable!("only floats have a place on the unit scale")
        };
        let unit = unit_of(from, *low, *high, *scale);
        let mut mutated = from;
        for _ in 0..MUTATION_DRAWS_MAX {
            let step = MUTATION_STEP * quantile(rng.random_range(f64::EPSILON..1.0));
            mutated = self.float_at(reflected(unit + step));
            if mutated != from {
                break;
            }
        }
        mutated
    }

    /// A step or more up or down; each further step is half as likely.
    fn mutated_place(&self, from: u64, rng: &mut ChaCha8Rng) -> Value {
        let last = self.count() - 1;
        let mut steps = 1;
        while steps < last && rng.random_bool(0.5) {
            steps += 1;
        }
        let (up, down) = (
            from.checked_add(steps).filter(|to| *to <= last),
            from.checked_sub(steps),
        );
        let to = match (up, down) {
            (Some(up), Some(down)) => {
                if rng.random_bool(0.5) {
                    up
                } else {
                    down
                }
            }
            (Some(only), None) | (None, Some(only)) => only,
            // Too far for both sides: to the end that is farther away.
            (None, None) => {
                if from > last / 2 {
                    0
                } else {
                    last
                }
            }
        };
        self.nth(to)
    }
}

fn check_range(low: f64, high: f64, scale: Scale) -> Result<(), DomainError> {
    if !(low.is_finite() && high.is_finite() && (high - low).is_finite() && low <= high) {
        return Err(DomainError::NoRange { low, high });
    }
    if scale == Scale::Log && low <= 0.0 {
        return Err(DomainError::NoLogarithm { low });
    }
    Ok(())
}

fn check_step(low: f64, high: f64, scale: Scale, step: f64) -> Result<(), DomainError> {
    let (least, count) = match scale {
        Scale::Linear => (0.0, (high - low) / step),
        Scale::Log => (1.0, (high / low).ln() / step.ln()),
    };
    match step.is_finite() && step > least && count < Domain::STEPS_MAX as f64 {
        true => Ok(()),
        false => Err(DomainError::WrongStep {
            step,
            low,
            high,
            least,
        }),
    }
}

fn check_choices(choices: &[String]) -> Result<(), DomainError> {
    if choices.is_empty() {
        return Err(DomainError::NoChoice);
    }
    let repeated = choices
        .iter()
        .enumerate()
        .find(|(place, choice)| choices[..*place].contains(choice));
    match repeated {
        Some((_, choice)) => Err(DomainError::RepeatedChoice {
            choice: choice.clone(),
        }),
        None => Ok(()),
    }
}

/// Where a float lies on the unit scale of a range that is not a point.
fn unit_of(value: f64, low: f64, high: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => (value - low) / (high - low),
        Scale::Log => (value / low).ln() / (high / low).ln(),
    }
}

/// Three significant digits of the value, or of the range's extent where that is smaller.
fn rounded(value: f64, extent: f64) -> f64 {
    let magnitude = |number: f64| number.abs().max(f64::MIN_POSITIVE).log10().floor();
    // A float has 15 digits behind its first at most.
    let more = (magnitude(value) - magnitude(extent)).clamp(0.0, 13.0);
    let digits = 2 + more as usize;
    format!("{value:.digits$e}")
        .parse()
        .expect("a number that was printed can be read")
}

/// Without the last digits, which are those of rounding: 0.3, not 0.30000000000000004.
fn shortened(value: f64, scale: Scale, extent: f64) -> f64 {
    let written = match scale {
        Scale::Log => format!("{value:.12e}"),
        Scale::Linear => {
            let magnitude = extent.max(f64::MIN_POSITIVE).log10().floor();
            let digits = (12.0 - magnitude).clamp(0.0, 300.0) as usize;
            format!("{value:.digits$}")
        }
    };
    let shortened: f64 = written
        .parse()
        .expect("a number that was printed can be read");
    // There is no other nothing.
    shortened + 0.0
}

/// Back into 0 to 1 as if the ends were mirrors; beyond a whole length, the nearer end.
fn reflected(unit: f64) -> f64 {
    let once = if unit < 0.0 { -unit } else { unit };
    let twice = if once > 1.0 { 2.0 - once } else { once };
    twice.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
