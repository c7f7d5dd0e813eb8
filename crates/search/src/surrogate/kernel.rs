//! How much two trials say about each other.
//!
//! Notation: δ the edit distance of the architectures ([`super::profile`]), a their likeness by shared
//! neighbourhoods ([`super::labels`]), η the distance of the hyperparameters. The covariance of two
//! scores, in units of their variance, is `[w·exp(−δ/ℓ) + (1 − w)·a]·exp(−η/ℓₕ)`, and 1 plus the noise for
//! a trial with itself.
//!
//! An edit distance need not be Euclidean, so `exp(−δ/ℓ)` need not be positive definite: the process
//! repairs that on the diagonal ([`super::process`]). The other factors are positive definite.

use morph::Architecture;

use super::{
    labels::{DEPTHS, Labels},
    profile::{Parts, Profile},
};
use crate::{domain::Coordinate, setting::Setting, space::Space};

/// A trial as far as the surrogate sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    profile: Profile,
    labels: Labels,
    coordinates: Vec<Coordinate>,
}

/// What the kernel knows of two trials.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Relation {
    edit: f32,
    alike: [f32; DEPTHS],
    settings: f32,
}

impl Point {
    /// Looks at a model once, so that it can be compared often.
    pub(crate) fn of(
        (architecture, setting): (&Architecture, &Setting),
        space: &Space,
        parts: &mut Parts,
    ) -> Point {
        Point {
            profile: Profile::of(architecture, parts),
            labels: Labels::of(architecture),
            coordinates: space.coordinates(setting),
        }
    }

    /// How it is related to another point of the same space, made with the same parts.
    ///
    /// # Cost
    /// That of [`Profile::distance`]: about a microsecond for twenty layers.
    pub(crate) fn relation(&self, other: &Point, parts: &Parts) -> Relation {
        let pairs = self.coordinates.iter().zip(&other.coordinates);
        let settings: f64 = pairs.map(|(a, b)| a.distance(*b)).sum();
        Relation {
            edit: self.profile.distance(&other.profile, parts) as f32,
            alike: self.labels.alike(&other.labels).map(|alike| alike as f32),
            settings: settings as f32,
        }
    }
}

/// The numbers of the kernel that are chosen by the marginal likelihood.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kernel {
    /// ℓ, in edits.
    pub(crate) edit_length: f64,
    /// w, from 0 to 1.
    pub(crate) edit_weight: f64,
    /// Rounds of relabelling.
    pub(crate) depth: usize,
    /// ℓₕ.
    pub(crate) settings_length: f64,
    /// Variance of a score that is measured again, in units of the variance of all.
    pub(crate) noise: f64,
}

/// Values that are tried for each number.
const EDIT_LENGTHS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];
const EDIT_WEIGHTS: [f64; 4] = [1.0, 0.7, 0.3, 0.0];
const SETTINGS_LENGTHS: [f64; 5] = [0.5, 1.0, 2.0, 4.0, 8.0];
const NOISES: [f64; 4] = [1e-3, 1e-2, 1e-1, 3e-1];

impl Kernel {
    /// Where the choice begins, and what holds while there are too few trials to choose.
    pub(crate) const FIRST: Kernel = Kernel {
        edit_length: 4.0,
        edit_weight: 0.7,
        depth: 1,
        settings_length: 2.0,
        noise: 1e-2,
    };

    /// The covariance of two different trials.
    pub(crate) fn covariance(&self, relation: &Relation) -> f64 {
        let edit = (-f64::from(relation.edit) / self.edit_length).exp();
        let alike = f64::from(relation.alike[self.depth]);
        let architectures = self.edit_weight * edit + (1.0 - self.edit_weight) * alike;
        architectures * (-f64::from(relation.settings) / self.settings_length).exp()
    }

    /// The kernels that differ from this one in one number, and itself, by which number it is.
    fn along(&self, number: usize) -> Vec<Kernel> {
        let each = |values: &[f64], with: &dyn Fn(f64) -> Kernel| -> Vec<Kernel> {
            values.iter().map(|value| with(*value)).collect()
        };
        match number {
            0 => each(&NOISES, &|noise| Kernel { noise, ..*self }),
            1 => each(&EDIT_LENGTHS, &|edit_length| Kernel {
                edit_length,
                ..*self
            }),
            2 => each(&SETTINGS_LENGTHS, &|settings_length| Kernel {
                settings_length,
                ..*self
            }),
            3 => each(&EDIT_WEIGHTS, &|edit_weight| Kernel {
                edit_weight,
                ..*self
            }),
            _ => (0..DEPTHS).map(|depth| Kernel { depth, ..*self }).collect(),
        }
    }

    /// The best kernel by a measure: each number in turn, until none changes or twice.
    pub(crate) fn best(measure: impl Fn(&Kernel) -> f64) -> Kernel {
        let mut best = (measure(&Kernel::FIRST), Kernel::FIRST);
        for _ in 0..2 {
            let before = best.1;
            for number in 0..5 {
                for kernel in best.1.along(number) {
                    let value = measure(&kernel);
                    if value > best.0 {
                        best = (value, kernel);
                    }
                }
            }
            if best.1 == before {
                break;
            }
        }
        best.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Value, space::TaskHint};

    #[test]
    fn a_trial_is_wholly_related_to_itself_and_less_to_others() {
        let (space, mut parts) = (Space::default_for(TaskHint::Table), Parts::default());
        let mut point = |text: &str, rate: f64| {
            let setting = space.defaults().with("learning_rate", Value::Float(rate));
            Point::of((&text.parse().unwrap(), &setting), &space, &mut parts)
        };
        let plain = point("in 4 | dense 8 | relu | dense 2", 1e-3);
        let wider = point("in 4 | dense 16 | relu | dense 2", 1e-3);
        let faster = point("in 4 | dense 16 | relu | dense 2", 1e-2);
        let covariance = |a: &Point, b: &Point| Kernel::FIRST.covariance(&a.relation(b, &parts));
        assert!((covariance(&plain, &plain) - 1.0).abs() < 1e-6);
        assert!(covariance(&plain, &wider) < 1.0);
        assert!(covariance(&plain, &faster) < covariance(&plain, &wider));
        assert_eq!(covariance(&plain, &faster), covariance(&faster, &plain));
    }

    #[test]
    fn each_number_is_chosen_by_the_measure() {
        let wanted = Kernel {
            edit_length: 16.0,
            edit_weight: 0.3,
            depth: 2,
            settings_length: 0.5,
            noise: 1e-1,
        };
        let near = |a: f64, b: f64| -(a.ln() - b.ln()).abs();
        let found = Kernel::best(|kernel| {
            near(kernel.edit_length, wanted.edit_length)
                + near(kernel.settings_length, wanted.settings_length)
                + near(kernel.noise, wanted.noise)
                - (kernel.edit_weight - wanted.edit_weight).abs()
                - kernel.depth.abs_diff(wanted.depth) as f64
        });
        assert_eq!(found, wanted);
    }
}
