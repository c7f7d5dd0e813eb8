//! How much two trials say about each other.
//!
//! Notation: δ the edit distance of the architectures ([`super::profile`]), λ² the squared distance of their
//! neighbourhoods ([`super::labels`]), ηⱼ the distance in the j-th hyperparameter. The covariance of two
//! scores, in units of their variance, is `[w·exp(−δ/ℓ) + (1 − w)·exp(−λ²/m)]·exp(−Σⱼ ηⱼ/ℓⱼ)`, and 1 plus the
//! noise for a trial with itself. Each hyperparameter has a length of its own: most say little.
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

/// What the kernel knows of a trial and some others, column by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Relations {
    edits: Vec<f32>,
    labels: Vec<[f32; DEPTHS]>,
    /// For each of the others one distance for each hyperparameter.
    settings: Vec<f32>,
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
}

impl Relations {
    /// How a point is related to others of the same space, made with the same parts.
    ///
    /// # Cost
    /// That of [`Profile::distance`] for each: about a microsecond for twenty layers.
    pub(crate) fn of<'a>(
        point: &Point,
        others: impl Iterator<Item = &'a Point>,
        parts: &Parts,
    ) -> Relations {
        let mut relations = Relations::default();
        others.for_each(|other| relations.push(point, other, parts));
        relations
    }

    /// One more, looked at.
    pub(crate) fn push(&mut self, point: &Point, other: &Point, parts: &Parts) {
        self.edits
            .push(point.profile.distance(&other.profile, parts) as f32);
        let labels = point.labels.distances(&other.labels);
        self.labels.push(labels.map(|distance| distance as f32));
        let pairs = point.coordinates.iter().zip(&other.coordinates);
        self.settings
            .extend(pairs.map(|(a, b)| a.distance(*b) as f32));
    }

    /// One more, known from these.
    pub(crate) fn push_known(&mut self, known: &Relations, index: usize) {
        let hyperparameters = known.settings.len() / known.edits.len();
        self.edits.push(known.edits[index]);
        self.labels.push(known.labels[index]);
        let settings = &known.settings[index * hyperparameters..][..hyperparameters];
        self.settings.extend(settings);
    }
}

/// The numbers of the kernel that are chosen by the marginal likelihood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Kernel {
    /// ℓ, in edits.
    pub(crate) edit_length: f64,
    /// w, from 0 to 1.
    pub(crate) edit_weight: f64,
    /// Rounds of relabelling.
    pub(crate) depth: usize,
    /// m, in squared counts of labels.
    pub(crate) label_length: f64,
    /// ℓⱼ, one for each hyperparameter.
    pub(crate) setting_lengths: Vec<f64>,
    /// Variance of a score that is measured again, in units of the variance of all.
    pub(crate) noise: f64,
}

/// Values that are tried for each number. A hyperparameter of the longest length hardly matters.
const EDIT_LENGTHS: [f64; 5] = [1.0, 2.0, 4.0, 8.0, 16.0];
const EDIT_WEIGHTS: [f64; 4] = [1.0, 0.7, 0.3, 0.0];
const LABEL_LENGTHS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const SETTING_LENGTHS: [f64; 6] = [0.25, 0.5, 1.0, 2.0, 4.0, 16.0];
const NOISES: [f64; 4] = [1e-3, 1e-2, 1e-1, 3e-1];

impl Kernel {
    /// Where the choice begins, and what holds while there are too few trials to choose.
    pub(crate) fn first(hyperparameters: usize) -> Kernel {
        Kernel {
            edit_length: 4.0,
            edit_weight: 0.7,
            depth: 1,
            label_length: 8.0,
            setting_lengths: vec![2.0; hyperparameters],
            noise: 1e-2,
        }
    }

    /// The covariances of a trial with others.
    ///
    /// # Shapes
    /// One for each of the others, in their order.
    pub(crate) fn covariances(&self, relations: &Relations) -> Vec<f64> {
        let hyperparameters = self.setting_lengths.len();
        let inverse: Vec<f64> = self.setting_lengths.iter().map(|l| 1.0 / l).collect();
        let architectures = relations.edits.iter().zip(&relations.labels);
        let covariance = |(index, (edit, labels)): (usize, (&f32, &[f32; DEPTHS]))| {
            let edit = (-f64::from(*edit) / self.edit_length).exp();
            let labels = (-f64::from(labels[self.depth]) / self.label_length).exp();
            let settings = &relations.settings[index * hyperparameters..][..hyperparameters];
            let far = settings.iter().zip(&inverse);
            let far: f64 = far
                .map(|(distance, inverse)| f64::from(*distance) * inverse)
                .sum();
            (self.edit_weight * edit + (1.0 - self.edit_weight) * labels) * (-far).exp()
        };
        architectures.enumerate().map(covariance).collect()
    }

    /// The numbers of a kernel, each with the kernels that differ from this one in it, and itself.
    fn along(&self, number: usize) -> Vec<Kernel> {
        let each = |values: &[f64], set: &dyn Fn(&mut Kernel, f64)| -> Vec<Kernel> {
            let with = |value: &f64| {
                let mut kernel = self.clone();
                set(&mut kernel, *value);
                kernel
            };
            values.iter().map(with).collect()
        };
        match number {
            0 => each(&NOISES, &|kernel, noise| kernel.noise = noise),
            1 => each(&EDIT_LENGTHS, &|kernel, length| kernel.edit_length = length),
            2 => each(&EDIT_WEIGHTS, &|kernel, weight| kernel.edit_weight = weight),
            3 => (0..DEPTHS)
                .map(|depth| Kernel {
                    depth,
                    ..self.clone()
                })
                .collect(),
            4 => each(&LABEL_LENGTHS, &|kernel, length| {
                kernel.label_length = length
            }),
            setting => each(&SETTING_LENGTHS, &|kernel, length| {
                kernel.setting_lengths[setting - 5] = length;
            }),
        }
    }

    /// The best kernel by a measure: each number in turn, until none changes or twice.
    pub(crate) fn best(hyperparameters: usize, measure: impl Fn(&Kernel) -> f64) -> Kernel {
        let first = Kernel::first(hyperparameters);
        let mut best = (measure(&first), first);
        for _ in 0..2 {
            let before = best.1.clone();
            for number in 0..5 + hyperparameters {
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
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        Value,
        domain::{Domain, Scale},
        space::TaskHint,
    };

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
        let kernel = Kernel::first(space.parameters().len());
        let covariance = |a: &Point, b: &Point| {
            kernel.covariances(&Relations::of(a, [b].into_iter(), &parts))[0]
        };
        assert!((covariance(&plain, &plain) - 1.0).abs() < 1e-6);
        assert!(covariance(&plain, &wider) < 1.0);
        assert!(covariance(&plain, &faster) < covariance(&plain, &wider));
        assert_eq!(covariance(&plain, &faster), covariance(&faster, &plain));
    }

    /// The root of the difference of two values on the scale of their range; 1 for different names.
    fn apart(domain: &Domain, one: &Value, other: &Value) -> f64 {
        let on_scale = |value: f64, low: f64, high: f64, scale: Scale| match scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => (value / low).ln() / (high / low).ln(),
        };
        match (domain, one, other) {
            (Domain::Float { low, high, scale }, Value::Float(a), Value::Float(b)) => {
                let [a, b] = [a, b].map(|value| on_scale(*value, *low, *high, *scale));
                (a - b).abs().sqrt()
            }
            (
                domain @ Domain::Integer {
                    low,
                    high,
                    scale,
                    step,
                },
                Value::Integer(a),
                Value::Integer(b),
            ) => {
                assert!(matches!(scale, Scale::Log), "{domain:?}");
                let steps = |value: i64| (value as f64 / *low as f64).log(*step as f64);
                ((steps(*a) - steps(*b)) / steps(*high).round())
                    .abs()
                    .sqrt()
            }
            (Domain::Category { .. }, a, b) => f64::from(u8::from(a != b)),
            _ => panic!("{domain:?} holds neither {one:?} nor {other:?}"),
        }
    }

    #[test]
    fn the_covariances_are_those_of_the_formula() {
        let space = Space::default_for(TaskHint::Table);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let texts = [
            "in 4 | dense 8 | relu | dense 2",
            "in 4 | dense 16 | bn | relu | dense 2",
            "in 4 | dense 8 | a: relu | dense 8 | b: bn | add a b | relu | dense 2",
        ];
        let trials: Vec<(Architecture, Setting)> = (0..12)
            .map(|trial| (texts[trial % 3].parse().unwrap(), space.sample(&mut rng)))
            .collect();
        let mut parts = Parts::default();
        let point = |(architecture, setting): &(Architecture, Setting), parts: &mut Parts| {
            Point::of((architecture, setting), &space, parts)
        };
        let points: Vec<Point> = trials.iter().map(|t| point(t, &mut parts)).collect();
        let lengths = space.parameters().iter().enumerate();
        let kernel = Kernel {
            edit_length: 3.0,
            edit_weight: 0.4,
            depth: 2,
            label_length: 5.0,
            setting_lengths: lengths.map(|(place, _)| 0.5 + place as f64).collect(),
            noise: 0.1,
        };
        for (one, (_, setting)) in points.iter().zip(&trials) {
            let found = kernel.covariances(&Relations::of(one, points.iter(), &parts));
            for ((other, (_, others)), found) in points.iter().zip(&trials).zip(found) {
                let edits = one.profile.distance(&other.profile, &parts);
                let labels = one.labels.distances(&other.labels)[2];
                let of_architectures = 0.4 * (-edits / 3.0).exp() + 0.6 * (-labels / 5.0).exp();
                let parameters = space.parameters().iter().zip(&kernel.setting_lengths);
                let far = parameters.map(|(parameter, length)| {
                    let value =
                        |setting: &Setting| setting.value(parameter.name()).unwrap().clone();
                    apart(parameter.domain(), &value(setting), &value(others)) / length
                });
                let expected = of_architectures * (-far.sum::<f64>()).exp();
                assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
            }
        }
    }

    #[test]
    fn each_number_is_chosen_by_the_measure() {
        let wanted = Kernel {
            edit_length: 16.0,
            edit_weight: 0.3,
            depth: 2,
            label_length: 32.0,
            setting_lengths: vec![0.5, 16.0],
            noise: 1e-1,
        };
        let near = |a: f64, b: f64| -(a.ln() - b.ln()).abs();
        let found = Kernel::best(2, |kernel| {
            near(kernel.edit_length, wanted.edit_length)
                + near(kernel.setting_lengths[0], wanted.setting_lengths[0])
                + near(kernel.setting_lengths[1], wanted.setting_lengths[1])
                + near(kernel.noise, wanted.noise)
                + near(kernel.label_length, wanted.label_length)
                - (kernel.edit_weight - wanted.edit_weight).abs()
                - kernel.depth.abs_diff(wanted.depth) as f64
        });
        assert_eq!(found, wanted);
    }
}
