//! What the history says about models that were not trained: the screen of variants.
//!
//! A Gaussian process ([`process`]) over pairs of architecture and hyperparameters ([`kernel`]), scores
//! by rank. It only decides which of many legal variants is trained; nothing that it expects is ever
//! taken for a score.
//!
//! Everything is a function of the pool: a surrogate that is made anew from the same pool expects the
//! same, bit by bit. Trials that have failed stand lowest and are points like all others; the model has as
//! many points as trials have ended, up to [`POINTS_MAX`]. Beyond it knows the best third, the newest third
//! and a third spread evenly over the rest of the history. Of what is under way it believes
//! [`BELIEVED_MAX`] trials at most.

mod assignment;
mod factor;
mod kernel;
mod labels;
mod process;
mod profile;

use morph::Architecture;
use serde::{Deserialize, Serialize};

use crate::{normal, pool::Pool, setting::Setting, space::Space};
use kernel::{Kernel, Point, Relations};
use process::{Covariance, Expected};
use profile::Parts;

/// Trials that the model knows at most.
pub const POINTS_MAX: usize = 768;

/// Trials under way that are believed at most: each costs as much as a candidate, and all are believed
/// anew for every proposal.
pub const BELIEVED_MAX: usize = 256;

/// Beyond [`POINTS_MAX`] the known trials are chosen again after so many new ones.
const CHOSEN_EVERY: usize = 64;

/// The kernel is chosen again after so many new trials, or a tenth more than before.
const FITTED_EVERY: usize = 5;

/// The kernel is chosen by at most so many trials.
const FITTED_BY_MAX: usize = 192;

/// A trial that the model knows.
#[derive(Clone, Debug)]
struct Known {
    /// Its index in [`Pool::entries`].
    entry: usize,
    point: Point,
    /// To those that are known before it.
    relations: Relations,
}

/// What the history says about models that were not trained.
#[derive(Clone, Debug, Default)]
pub struct Surrogate {
    parts: Parts,
    known: Vec<Known>,
    /// How many entries of the pool have been followed.
    followed: usize,
    /// The kernel, and by how many entries it was chosen.
    kernel: Option<(usize, Kernel)>,
    /// Of all that are known, by this kernel.
    covariance: Option<Covariance>,
}

/// What speaks for a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// How many trials had ended by then: those that its standing is among.
    pub ended: u64,
    /// The standing that is expected of it, in standard deviations.
    pub mean: f64,
    /// How uncertain that is.
    pub deviation: f64,
    /// By how much it is expected to stand above the best: of what was measured, or is expected of trials
    /// that were stopped or are under way.
    pub improvement: f64,
}

impl Surrogate {
    /// Hears of the trials that have ended since it followed this pool last.
    ///
    /// # Cost
    /// `O(n)` distances and `O(n²)` operations for each, now and then `O(n³)` to choose the kernel.
    pub fn follow(&mut self, pool: &Pool, space: &Space) {
        let entries = pool.entries().len();
        if let Some(choice) = last_choice(entries).filter(|choice| *choice > self.followed) {
            self.choose_points(choice, pool, space);
        }
        for entry in self.followed..entries {
            self.add(entry, pool, space);
            let newest = &self.known[self.known.len() - 1];
            if let (Some(covariance), Some((_, kernel))) = (&mut self.covariance, &self.kernel)
                && !covariance.append(&row(kernel, &newest.relations))
            {
                self.covariance = None;
            }
        }
        self.followed = entries;
        let fitted = last_fit(entries);
        if self.kernel.as_ref().is_none_or(|(by, _)| *by != fitted) {
            self.kernel = Some((fitted, chosen_kernel(fitted, pool, space)));
            self.covariance = None;
        }
    }

    /// How many trials the model knows.
    pub fn points(&self) -> usize {
        self.known.len()
    }

    fn add(&mut self, entry: usize, pool: &Pool, space: &Space) {
        let trial = &pool.entries()[entry];
        let model = (&trial.architecture, &trial.setting);
        let point = Point::of(model, space, &mut self.parts);
        let known = self.known.iter().map(|known| &known.point);
        let relations = Relations::of(&point, known, &self.parts);
        self.known.push(Known {
            entry,
            point,
            relations,
        });
    }

    /// Makes the model know what it should after so many entries, with all that it knew already.
    fn choose_points(&mut self, entries: usize, pool: &Pool, space: &Space) {
        let before = std::mem::take(&mut self.known);
        let place = |entry: usize| {
            before
                .binary_search_by_key(&entry, |known| known.entry)
                .ok()
        };
        for entry in chosen_points(&pool.standing_after(entries)) {
            let Some(old) = place(entry) else {
                self.add(entry, pool, space);
                continue;
            };
            let Known {
                point, relations, ..
            } = &before[old];
            let mut kept = Relations::default();
            for known in &self.known {
                match place(known.entry) {
                    Some(other) => kept.push_known(relations, other),
                    None => kept.push(point, &known.point, &self.parts),
                }
            }
            let point = point.clone();
            self.known.push(Known {
                entry,
                point,
                relations: kept,
            });
        }
        self.followed = entries;
        self.covariance = None;
    }

    /// What speaks for these candidates, given what has ended and what is under way.
    ///
    /// # Cost
    /// For each, and for at most [`BELIEVED_MAX`] that are under way, `O(n)` distances and `O(n²)` operations.
    pub fn promises<'a>(
        &mut self,
        pool: &Pool,
        space: &Space,
        candidates: impl Iterator<Item = (&'a Architecture, &'a Setting)>,
    ) -> Vec<Promise> {
        let kernel = match &self.kernel {
            Some((_, kernel)) => kernel.clone(),
            None => Kernel::first(space.parameters().len()),
        };
        let standing = pool.standing();
        let standing: Vec<f64> = self
            .known
            .iter()
            .map(|known| standing[known.entry])
            .collect();
        // Where nothing has ended, the middle is what there is to improve on.
        let mut best = standing.iter().copied().reduce(f64::max).unwrap_or(0.0);
        let covariance = self.covariance.get_or_insert_with(|| {
            let rows = self
                .known
                .iter()
                .map(|known| row(&kernel, &known.relations));
            Covariance::new(&rows.collect::<Vec<_>>())
        });
        let mut posterior = covariance.clone().posterior(&standing, kernel.noise);
        let mut points: Vec<&Point> = self.known.iter().map(|known| &known.point).collect();
        // In the order of the fingerprints: as good as drawn.
        let pending: Vec<Point> = pool
            .pending_models()
            .take(BELIEVED_MAX)
            .map(|model| Point::of(model, space, &mut self.parts))
            .collect();
        for point in &pending {
            let relations = Relations::of(point, points.iter().copied(), &self.parts);
            // What is believed is what there is to improve on: otherwise all workers gather where the first of
            // them is expected to be best.
            let expected = posterior.expected(&kernel.covariances(&relations));
            best = best.max(expected.mean);
            if posterior.believe(&row(&kernel, &relations)) {
                points.push(point);
            }
        }
        candidates
            .map(|model| {
                let point = Point::of(model, space, &mut self.parts);
                let relations = Relations::of(&point, points.iter().copied(), &self.parts);
                let expected = posterior.expected(&kernel.covariances(&relations));
                let ended = pool.entries().len() as u64;
                promise(expected, best, ended)
            })
            .collect()
    }
}

/// A row of the covariance matrix, up to its diagonal.
fn row(kernel: &Kernel, relations: &Relations) -> Vec<f64> {
    let mut row = kernel.covariances(relations);
    row.push(1.0 + kernel.noise);
    row
}

/// Expected improvement: E[max(0, score − best)] = s·(u·Φ(u) + φ(u)) with u = (μ − best)/s.
///
/// # Source
/// Mockus 1974; Jones, Schonlau, Welch 1998, equation 15.
fn promise(expected: Expected, best: f64, ended: u64) -> Promise {
    let Expected { mean, deviation } = expected;
    let improvement = if deviation > 0.0 {
        let u = (mean - best) / deviation;
        deviation * (u * normal::distribution(u) + normal::density(u))
    } else {
        (mean - best).max(0.0)
    };
    Promise {
        ended,
        mean,
        deviation,
        improvement,
    }
}

/// After how many entries the kernel was chosen last.
fn last_fit(entries: usize) -> usize {
    let next = |at: &usize| Some((at + FITTED_EVERY).max(at + at / 10));
    let fits = std::iter::successors(Some(FITTED_EVERY), next);
    fits.take_while(|at| *at <= entries).last().unwrap_or(0)
}

/// After how many entries the known trials were chosen last; `None` while all are known.
fn last_choice(entries: usize) -> Option<usize> {
    let beyond = entries.checked_sub(POINTS_MAX + 1)?;
    Some(entries - beyond % CHOSEN_EVERY)
}

/// Which entries are known when they are chosen: as many as leave room until the next choice.
fn chosen_points(standing: &[f64]) -> Vec<usize> {
    let count = POINTS_MAX + 1 - CHOSEN_EVERY;
    let entries = standing.len();
    let newest = entries - count / 3..entries;
    let mut others: Vec<usize> = (0..newest.start).collect();
    others.sort_by(|a, b| standing[*b].total_cmp(&standing[*a]).then(a.cmp(b)));
    let mut rest = others.split_off(count / 3);
    rest.sort_unstable();
    let spread = count - others.len() - newest.len();
    others.extend((0..spread).map(|index| rest[index * rest.len() / spread]));
    others.extend(newest);
    others.sort_unstable();
    others
}

/// The kernel that makes the first entries most likely; [`Kernel::first`] for none.
fn chosen_kernel(entries: usize, pool: &Pool, space: &Space) -> Kernel {
    let hyperparameters = space.parameters().len();
    if entries == 0 {
        return Kernel::first(hyperparameters);
    }
    // The newest half, and a half spread evenly over those before.
    let newest = entries.saturating_sub(FITTED_BY_MAX / 2);
    let spread = newest.min(FITTED_BY_MAX - FITTED_BY_MAX / 2);
    let spread = (0..spread).map(|index| index * newest / spread);
    let chosen: Vec<usize> = spread.chain(newest..entries).collect();
    let mut parts = Parts::default();
    let points: Vec<Point> = chosen
        .iter()
        .map(|entry| &pool.entries()[*entry])
        .map(|trial| Point::of((&trial.architecture, &trial.setting), space, &mut parts))
        .collect();
    let rows: Vec<Relations> = (0..points.len())
        .map(|index| Relations::of(&points[index], points[..index].iter(), &parts))
        .collect();
    let all = pool.standing_after(entries);
    let standing: Vec<f64> = chosen.iter().map(|entry| all[*entry]).collect();
    Kernel::best(hyperparameters, |kernel| {
        let rows: Vec<Vec<f64>> = rows
            .iter()
            .map(|relations| row(kernel, relations))
            .collect();
        Covariance::new(&rows).likelihood(&standing)
    })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        pool::{Outcome, PoolEntry, TrialId},
        setting::Value,
        space::TaskHint,
    };

    fn space() -> Space {
        Space::default_for(TaskHint::Table)
    }

    fn model(rng: &mut ChaCha8Rng) -> (Architecture, Setting) {
        let hidden: String = (0..rng.random_range(1..4))
            .map(|_| format!("dense {} | relu | ", rng.random_range(4..64)))
            .collect();
        let architecture = format!("in 4 | {hidden}dense 2").parse().unwrap();
        (architecture, space().sample(rng))
    }

    /// Deeper and slower is better; every seventh has failed.
    fn pool(trials: u64) -> Pool {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut pool = Pool::default();
        for sequence in 1..=trials {
            let (architecture, setting) = model(&mut rng);
            let Some(Value::Float(rate)) = setting.value("learning_rate") else {
                panic!("a learning rate is a float");
            };
            let outcome = match sequence % 7 {
                0 => Outcome::Failed,
                _ => Outcome::Scored(architecture.nodes().len() as f64 - rate.ln()),
            };
            pool.push(PoolEntry {
                trial: TrialId(sequence),
                sequence,
                architecture,
                setting,
                outcome,
                parent: None,
            })
            .unwrap();
        }
        pool
    }

    /// The same pool after each of its entries.
    fn grown(whole: &Pool, mut each: impl FnMut(&Pool)) {
        let mut pool = Pool::default();
        for entry in whole.entries() {
            pool.push(entry.clone()).unwrap();
            each(&pool);
        }
    }

    fn promises(surrogate: &mut Surrogate, pool: &Pool) -> Vec<Promise> {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let models: Vec<_> = (0..20).map(|_| model(&mut rng)).collect();
        surrogate.promises(pool, &space(), models.iter().map(|(a, s)| (a, s)))
    }

    #[test]
    fn it_knows_every_trial_that_has_ended_up_to_its_cap() {
        let whole = pool(POINTS_MAX as u64 + 70);
        let mut surrogate = Surrogate::default();
        let mut most = 0;
        grown(&whole, |pool| {
            // Now and then several have ended.
            let entries = pool.entries().len();
            if entries % 3 == 0 || entries > POINTS_MAX - 3 {
                surrogate.follow(pool, &space());
                assert!(surrogate.points() == entries || entries > POINTS_MAX);
                most = most.max(surrogate.points());
            }
        });
        assert_eq!(most, POINTS_MAX);
        assert!(surrogate.points() > POINTS_MAX - CHOSEN_EVERY);
        // As many as scores, failed ones too; and the newest are always among them.
        let newest = whole.entries().len() - 1;
        assert_eq!(surrogate.known[surrogate.known.len() - 1].entry, newest);
    }

    #[test]
    fn beyond_its_cap_it_knows_the_best_the_newest_and_some_of_all_times() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        // Whole numbers, so that many are equally good.
        let standing: Vec<f64> = (0..3_000)
            .map(|_| f64::from(rng.random_range(0..400)))
            .collect();
        let chosen = chosen_points(&standing);
        assert!(chosen.is_sorted_by(|a, b| a < b));
        assert_eq!(chosen.len(), POINTS_MAX + 1 - CHOSEN_EVERY);
        let (third, newest) = (chosen.len() / 3, standing.len() - chosen.len() / 3);
        assert!((newest..standing.len()).all(|entry| chosen.contains(&entry)));
        let is_better =
            |a: usize, b: usize| standing[a] > standing[b] || standing[a] == standing[b] && a < b;
        let better = |entry: usize| (0..newest).filter(|other| is_better(*other, entry)).count();
        let (best, others): (Vec<usize>, Vec<usize>) =
            (0..newest).partition(|entry| better(*entry) < third);
        assert!(best.iter().all(|entry| chosen.contains(entry)));
        // Of the others as many from each tenth of the time.
        let spread = chosen.len() - third - best.len();
        for tenth in others.chunks(others.len().div_ceil(10)) {
            let count = tenth.iter().filter(|entry| chosen.contains(entry)).count();
            let share = spread * tenth.len() / others.len();
            assert!(count.abs_diff(share) <= 1, "{count} and {share}");
        }
    }

    #[test]
    fn a_surrogate_made_anew_expects_the_same_bits() {
        let whole = pool(POINTS_MAX as u64 + 66);
        let mut kept = Surrogate::default();
        grown(&whole, |pool| {
            let entries = pool.entries().len();
            let is_looked_at = [1, 4, 5, 17, 40, 300].contains(&entries)
                || [0, 1, 2, 30, 65, 66]
                    .map(|more| POINTS_MAX + more)
                    .contains(&entries);
            if entries % 5 == 0 || is_looked_at {
                kept.follow(pool, &space());
            }
            if is_looked_at {
                let mut anew = Surrogate::default();
                anew.follow(pool, &space());
                assert_eq!(kept.kernel, anew.kernel, "{entries}");
                assert_eq!(
                    promises(&mut kept, pool),
                    promises(&mut anew, pool),
                    "{entries}"
                );
            }
        });
    }

    #[test]
    fn what_is_under_way_is_to_be_improved_on_as_if_it_had_ended() {
        let whole = pool(40);
        let mut surrogate = Surrogate::default();
        surrogate.follow(&whole, &space());
        let alone = promises(&mut surrogate, &whole);
        let better = |a: &&Promise, b: &&Promise| a.mean.total_cmp(&b.mean);
        let most = alone.iter().max_by(better).unwrap().mean;
        let mut busy = whole.clone();
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        for _ in 0..20 {
            let (architecture, setting) = model(&mut rng);
            busy.add_pending(architecture, setting);
        }
        let measured = whole.standing().into_iter().fold(f64::MIN, f64::max);
        let best = measured.max(most);
        for (before, after) in alone.iter().zip(promises(&mut surrogate, &busy)) {
            assert!(after.improvement <= before.improvement + 1e-9);
            // Without knowing less, as much above the best as the normal distribution allows.
            assert!(
                after.improvement <= (after.mean - best).max(0.0) + 0.4 * after.deviation + 1e-6
            );
        }
    }

    #[test]
    fn of_many_under_way_only_so_many_are_believed() {
        let ended = pool(7);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut busy = ended.clone();
        while busy.pending() < BELIEVED_MAX + 20 {
            let (architecture, setting) = model(&mut rng);
            busy.add_pending(architecture, setting);
        }
        let mut believed = ended;
        for (architecture, setting) in busy.pending_models().take(BELIEVED_MAX) {
            believed.add_pending(architecture.clone(), setting.clone());
        }
        let mut surrogate = Surrogate::default();
        surrogate.follow(&busy, &space());
        let expected = promises(&mut surrogate, &believed);
        assert_eq!(promises(&mut surrogate, &busy), expected);
    }

    #[test]
    fn it_learns_what_is_better() {
        let pool = pool(80);
        let mut surrogate = Surrogate::default();
        surrogate.follow(&pool, &space());
        let deep = "in 4 | dense 9 | relu | dense 9 | relu | dense 9 | relu | dense 2";
        let models = [("in 4 | dense 9 | relu | dense 2", 3e-2), (deep, 3e-4)];
        let models = models.map(|(text, rate)| {
            let setting = space().defaults().with("learning_rate", Value::Float(rate));
            (text.parse::<Architecture>().unwrap(), setting)
        });
        let found = surrogate.promises(&pool, &space(), models.iter().map(|(a, s)| (a, s)));
        assert!(found[1].mean > found[0].mean + 1.0, "{found:?}");
        assert!(found[1].improvement > found[0].improvement);
    }

    #[test]
    fn what_is_under_way_is_not_proposed_again() {
        let mut pool = pool(30);
        // One that may well be the best.
        let deep = "in 4 | dense 30 | relu | dense 30 | relu | dense 30 | relu | dense 2";
        let architecture: Architecture = deep.parse().unwrap();
        let setting = space().defaults().with("learning_rate", Value::Float(2e-4));
        let mut surrogate = Surrogate::default();
        surrogate.follow(&pool, &space());
        let wider = architecture.to_string().replacen("dense ", "dense 1", 1);
        let near: Architecture = wider.parse().unwrap();
        let mut promise =
            |pool: &Pool| surrogate.promises(pool, &space(), [(&near, &setting)].into_iter())[0];
        let before = promise(&pool);
        pool.add_pending(architecture.clone(), setting.clone());
        let after = promise(&pool);
        assert!(
            after.improvement < 0.9 * before.improvement,
            "{before:?} {after:?}"
        );
        assert!((after.mean - before.mean).abs() < 1e-6);
    }

    #[test]
    fn who_is_expected_lower_never_promises_more() {
        let improvement = |mean: f64| {
            let expected = Expected {
                mean,
                deviation: 0.1,
            };
            promise(expected, 0.0, 0).improvement
        };
        let lower = (0..400).map(|step| improvement(-f64::from(step) / 200.0));
        let lower: Vec<f64> = lower.collect();
        assert!(
            lower.is_sorted_by(|higher, lower| higher >= lower),
            "{lower:?}"
        );
        assert!(lower.iter().all(|improvement| *improvement >= 0.0));
    }

    #[test]
    fn expected_improvement_agrees_with_its_definition() {
        for (mean, deviation) in [(0.0, 1.0), (1.5, 0.3), (-2.0, 0.7), (0.4, 0.0)] {
            let best = 0.5;
            let expected = Expected { mean, deviation };
            // The mean of max(0, score − best), by quantiles.
            let slices = 200_000;
            let sum: f64 = (0..slices)
                .map(|k| normal::quantile((f64::from(k) + 0.5) / f64::from(slices)))
                .map(|quantile| (mean + deviation * quantile - best).max(0.0))
                .sum();
            let difference = promise(expected, best, 0).improvement - sum / f64::from(slices);
            assert!(difference.abs() < 1e-4, "{mean} {deviation}: {difference}");
        }
    }
}
