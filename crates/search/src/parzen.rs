//! Hyperparameters by Parzen estimators: where good settings are dense and others are not.
//!
//! Multivariate tree-structured Parzen estimator without a tree, since no hyperparameter here depends on
//! another. Notation: l the density of the good settings, g that of the others, n how many a density is made
//! of, d the number of hyperparameters that have more than one value, h = 0.2·n^(−1/(d+4)) the bandwidth on the
//! unit scale. What has one value only is no part of a density.
//! Each density has one component more than settings: the prior, which is flat.
//!
//! Source: Bergstra, Bardenet, Bengio, Kégl 2011; the multivariate form and its bandwidth as in Watanabe
//! 2023 (arXiv:2304.11127).

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    domain::Coordinate,
    normal,
    setting::Setting,
    space::{Parameter, Space},
};

/// Settings drawn at random before there is an estimate.
const DRAWN_FIRST: usize = 10;

/// The good ones are the best tenth, …
const GOOD_SHARE: f64 = 0.1;

/// … but no more than this.
const GOOD_MAX: usize = 25;

/// Draws from the good density, of which the most promising is taken.
const DRAWS: usize = 24;

/// The bandwidth of a single component on the unit scale.
const BANDWIDTH: f64 = 0.2;

/// What the history says about where good settings are.
pub struct Parzen<'a> {
    space: &'a Space,
    /// Of the good settings and of the others, once there are enough.
    densities: Option<(Density<'a>, Density<'a>)>,
}

impl<'a> Parzen<'a> {
    /// Looks at the settings of all trials and at how these stand.
    ///
    /// # Shapes
    /// `settings` and `standing` have one value for each trial.
    /// # Cost
    /// `O(trials·d)`, and sorting.
    pub fn new(space: &'a Space, settings: &[&Setting], standing: &[f64]) -> Parzen<'a> {
        assert_eq!(settings.len(), standing.len());
        let trials = settings.len();
        if trials < DRAWN_FIRST {
            let densities = None;
            return Parzen { space, densities };
        }
        let mut order: Vec<usize> = (0..trials).collect();
        order.sort_by(|a, b| standing[*b].total_cmp(&standing[*a]));
        let good = ((GOOD_SHARE * trials as f64).ceil() as usize).min(GOOD_MAX);
        let density = |trials: &[usize]| {
            let centres = trials
                .iter()
                .map(|trial| space.coordinates(settings[*trial]));
            Density::new(space, centres.collect())
        };
        let densities = Some((density(&order[..good]), density(&order[good..])));
        Parzen { space, densities }
    }

    /// The setting among [`DRAWS`] draws from l for which l/g is largest; a uniform draw while fewer than
    /// [`DRAWN_FIRST`] trials have ended.
    ///
    /// # Cost
    /// `O(trials·d)` for each of [`DRAWS`].
    /// # Source
    /// Bergstra et al. 2011, section 4.1.
    pub fn draw(&self, rng: &mut ChaCha8Rng) -> Setting {
        let Some((good, others)) = &self.densities else {
            return self.space.sample(rng);
        };
        let mut best: Option<(f64, Vec<Coordinate>)> = None;
        for _ in 0..DRAWS {
            let drawn = good.draw(rng);
            let gain = good.log(&drawn) - others.log(&drawn);
            if best.as_ref().is_none_or(|(highest, _)| gain > *highest) {
                best = Some((gain, drawn));
            }
        }
        let (_, best) = best.expect("there is at least one draw");
        self.space.at(&best)
    }
}

/// A mixture of products, one component for each centre and a flat one.
struct Density<'a> {
    parameters: &'a [Parameter],
    centres: Vec<Vec<Coordinate>>,
    bandwidth: f64,
}

impl Density<'_> {
    fn new(space: &Space, centres: Vec<Vec<Coordinate>>) -> Density<'_> {
        let parameters = space.parameters();
        let count = centres.len().max(1) as f64;
        let free = parameters.iter().filter(|one| one.domain().is_free());
        let bandwidth = BANDWIDTH * count.powf(-1.0 / (free.count() as f64 + 4.0));
        Density {
            parameters,
            centres,
            bandwidth,
        }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<Coordinate> {
        let component = rng.random_range(0..=self.centres.len());
        let centre = self.centres.get(component);
        let each = self
            .parameters
            .iter()
            .enumerate()
            .map(|(index, parameter)| {
                let domain = parameter.domain();
                if !domain.is_free() {
                    return domain.coordinate(parameter.default_value());
                }
                let names = domain.names();
                match centre.map(|centre| centre[index]) {
                    Some(Coordinate::Name(name)) => match rng.random_bool(self.stays(names)) {
                        true => Coordinate::Name(name),
                        false => Coordinate::Name(rng.random_range(0..names)),
                    },
                    Some(Coordinate::Unit(unit)) => self.near(unit, rng),
                    None if names > 0 => Coordinate::Name(rng.random_range(0..names)),
                    None => Coordinate::Unit(rng.random()),
                }
            });
        each.collect()
    }

    /// A normal draw around a place, cut off at the ends of the scale.
    fn near(&self, unit: f64, rng: &mut ChaCha8Rng) -> Coordinate {
        let (low, high) = self.tails(unit);
        let share = rng.random_range(low..high);
        // Far out in a tail the quantile is infinite.
        let step = normal::quantile(share.clamp(f64::EPSILON, 1.0 - f64::EPSILON));
        Coordinate::Unit((unit + self.bandwidth * step).clamp(0.0, 1.0))
    }

    /// Shares of a normal distribution around a place that lie below 0, and below 1.
    fn tails(&self, unit: f64) -> (f64, f64) {
        let below = |end: f64| normal::distribution((end - unit) / self.bandwidth);
        (below(0.0), below(1.0))
    }

    /// How often a component keeps its name: as if its count were 1 and every name's prior 1/(n + 1).
    fn stays(&self, names: u64) -> f64 {
        let prior = 1.0 / (self.centres.len() as f64 + 1.0);
        1.0 / (1.0 + names as f64 * prior)
    }

    /// ln of the density.
    fn log(&self, place: &[Coordinate]) -> f64 {
        let flat: f64 = self
            .parameters
            .iter()
            .map(|parameter| match parameter.domain().names() {
                0 => 0.0,
                names => -(names as f64).ln(),
            })
            .sum();
        let components = self.centres.iter().map(|centre| {
            let both = place.iter().zip(centre).zip(self.parameters);
            let free = both.filter(|(_, parameter)| parameter.domain().is_free());
            free.map(|((place, centre), parameter)| {
                self.log_factor(*place, *centre, parameter.domain().names())
            })
            .sum()
        });
        let logs: Vec<f64> = components.chain([flat]).collect();
        let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|log| (log - highest).exp()).sum();
        highest + (sum / logs.len() as f64).ln()
    }

    fn log_factor(&self, place: Coordinate, centre: Coordinate, names: u64) -> f64 {
        match (place, centre) {
            (Coordinate::Unit(place), Coordinate::Unit(centre)) => {
                let (low, high) = self.tails(centre);
                let density = normal::density((place - centre) / self.bandwidth);
                (density / (self.bandwidth * (high - low))).ln()
            }
            (place, centre) => {
                let stays = self.stays(names);
                let other = (1.0 - stays) / names as f64;
                (other + if place == centre { stays } else { 0.0 }).ln()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::{Domain, Scale, Value};

    fn space() -> Space {
        let float = Domain::Float {
            low: 1e-4,
            high: 1.0,
            scale: Scale::Log,
        };
        let names = Domain::Category {
            choices: ["a", "b", "c"].map(str::to_string).to_vec(),
        };
        let parameters = [("rate", float), ("kind", names)];
        let checked = parameters.map(|(name, domain)| Parameter::new(name, domain, None).unwrap());
        Space::new(checked.into()).unwrap()
    }

    /// 0 at rate 0.01 and kind b.
    fn score(setting: &Setting) -> f64 {
        let Some(Value::Float(rate)) = setting.value("rate") else {
            panic!("{setting} has a rate")
        };
        let kind = setting.value("kind") == Some(&Value::Category("b".to_string()));
        -(rate / 0.01).log10().abs() - if kind { 0.0 } else { 1.0 }
    }

    #[test]
    fn draws_gather_where_good_settings_are() {
        let space = space();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let known: Vec<Setting> = (0..100).map(|_| space.sample(&mut rng)).collect();
        let standing: Vec<f64> = known.iter().map(score).collect();
        let known: Vec<&Setting> = known.iter().collect();
        let parzen = Parzen::new(&space, &known, &standing);
        let mean = |draw: &mut dyn FnMut() -> Setting| {
            (0..200).map(|_| score(&draw())).sum::<f64>() / 200.0
        };
        let mut other = ChaCha8Rng::seed_from_u64(2);
        let uniform = mean(&mut || space.sample(&mut rng));
        let drawn = mean(&mut || parzen.draw(&mut other));
        // When this was written: -1.66 and -0.16.
        assert!(drawn > uniform + 1.0, "{drawn} and {uniform}");
    }

    #[test]
    fn what_has_one_value_only_changes_nothing_in_the_draws_of_the_others() {
        let space = space();
        let fixed = [
            (
                "always",
                Domain::Float {
                    low: 0.0,
                    high: 0.0,
                    scale: Scale::Linear,
                },
            ),
            (
                "name",
                Domain::Category {
                    choices: vec!["only".to_string()],
                },
            ),
        ];
        let fixed = fixed.map(|(name, domain)| Parameter::new(name, domain, None).unwrap());
        let more = Space::new([space.parameters(), &fixed[..]].concat()).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let known: Vec<Setting> = (0..60).map(|_| space.sample(&mut rng)).collect();
        let longer: Vec<Setting> = known.iter().map(|setting| more.clamp(setting)).collect();
        let standing: Vec<f64> = known.iter().map(score).collect();
        let few = Parzen::new(&space, &Vec::from_iter(&known), &standing);
        let many = Parzen::new(&more, &Vec::from_iter(&longer), &standing);
        let (mut one, mut other) = (rng.clone(), rng);
        for _ in 0..50 {
            let drawn = many.draw(&mut other);
            assert_eq!(drawn, more.clamp(&drawn));
            assert_eq!(few.draw(&mut one), space.clamp(&drawn));
        }
    }

    #[test]
    fn a_density_sums_to_one() {
        let space = space();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let centres = (0..5).map(|_| space.coordinates(&space.sample(&mut rng)));
        let density = Density::new(&space, centres.collect());
        let steps = 2000;
        let mut sum = 0.0;
        for step in 0..steps {
            let unit = Coordinate::Unit((f64::from(step) + 0.5) / f64::from(steps));
            // Hyperparameters stand in the order of their names.
            let places = (0..3).map(|name| density.log(&[Coordinate::Name(name), unit]).exp());
            sum += places.sum::<f64>() / f64::from(steps);
        }
        assert!((sum - 1.0).abs() < 1e-3, "{sum}");
    }

    #[test]
    fn draws_follow_the_density() {
        let space = space();
        let centre = vec![Coordinate::Name(1), Coordinate::Unit(0.1)];
        let density = Density::new(&space, vec![centre]);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let drawn: Vec<Vec<Coordinate>> = (0..20_000).map(|_| density.draw(&mut rng)).collect();
        let share = |wanted: &dyn Fn(&[Coordinate]) -> bool| {
            drawn.iter().filter(|place| wanted(place)).count() as f64 / drawn.len() as f64
        };
        let low = share(&|place| matches!(place[1], Coordinate::Unit(unit) if unit < 0.2));
        let expected: f64 = (0..2000)
            .map(|step| (f64::from(step) + 0.5) / 10_000.0)
            .map(|unit| {
                let at = |name| density.log(&[Coordinate::Name(name), Coordinate::Unit(unit)]);
                (0..3).map(|name| at(name).exp()).sum::<f64>() / 10_000.0
            })
            .sum();
        assert!((low - expected).abs() < 0.015, "{low} and {expected}");
        let kind = share(&|place| place[0] == Coordinate::Name(1));
        let at = |unit: f64| {
            density
                .log(&[Coordinate::Name(1), Coordinate::Unit(unit)])
                .exp()
        };
        let expected: f64 = (0..2000)
            .map(|step| at((f64::from(step) + 0.5) / 2000.0) / 2000.0)
            .sum();
        assert!((kind - expected).abs() < 0.015, "{kind} and {expected}");
    }
}
