//! What rungs are worth: recorded learning curves, trained by simulated workers with and without them.
//!
//! LCBench by way of YAHPO Gym's surrogate (Zimmer, Lindauer, Hutter 2021; Pfisterer et al. 2022): 500 random
//! multilayer perceptrons on each of six tasks, validation accuracy and seconds after each of 52 epochs.
//! lehr's surrogate chooses among models that were not trained yet; a training that a rung stops is
//! known to it as stopped. Only whole trainings count as found. Who stops the only good model has to go
//! through all others first, and then trains whole what was stopped: that time counts.

use std::{cmp::Reverse, collections::BinaryHeap, path::Path};

use data::{
    ReadLimits,
    raw::{RawArray, read_arrays},
};
use morph::Architecture;
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use search::{
    Birth, Domain, Fingerprint, Ladder, Look, Outcome, Parameter, Pool, PoolEntry, Rung, Rungs,
    Scale, Setting, Space, Stage, Surrogate, TrialId, Value, Verdict,
};

use crate::table::TableError;

/// Names of the tasks, in the order of the file.
pub const TASKS: [&str; 6] = ["167168", "189873", "189906", "126029", "168868", "3945"];

/// Models trained at random before the surrogate chooses.
const STARTS: usize = 10;

/// Models that the surrogate chooses among.
const CANDIDATES: usize = 64;

/// Simulated time is counted in whole microseconds, so that events have an order.
const MICROS: f64 = 1e6;

/// A task's models and how each was trained.
#[derive(Clone, Debug)]
pub struct Curves {
    task: &'static str,
    models: Vec<(Architecture, Setting)>,
    space: Space,
    /// For each model, after each epoch: validation accuracy in percent, and seconds so far.
    epochs: Vec<Vec<(f64, f64)>>,
}

/// What a search among curves came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Seconds until a whole training was good enough.
    pub seconds: f64,
    /// Trainings begun until then.
    pub trainings: usize,
    /// Whether it was found before all models were begun, so that none that was stopped had to be begun
    /// again.
    pub is_at_first: bool,
}

impl Curves {
    /// Reads the curves of a task, by its place in [`TASKS`].
    ///
    /// # Errors
    /// If the file is missing or not what it should be.
    pub fn read(folder: &Path, task: usize) -> Result<Curves, TableError> {
        let path = folder.join("yahpo-lcbench").join("curves_500x52.npz");
        let arrays = read_arrays(&path, &ReadLimits::default())?;
        let array = |name: &str, extents: &[usize]| -> Result<&RawArray, TableError> {
            let found = arrays.iter().find(|array| array.name == name);
            found
                .filter(|array| array.shape == extents)
                .ok_or_else(|| TableError::Content {
                    path: path.clone(),
                    problem: format!("it has no array `{name}` of shape {extents:?}"),
                })
        };
        let values = array("values", &[TASKS.len(), 500, 52, 3])?;
        let configs = array("configs", &[500, 7])?;
        let space = space();
        let model = |row: &[f64]| (architecture(row), setting(row, &space));
        let models = configs.values.chunks_exact(7).map(model).collect();
        let own = &values.values[task * 500 * 52 * 3..][..500 * 52 * 3];
        let epochs = own.chunks_exact(52 * 3).map(|curve| {
            // Seconds are rounded in the file, so that some stand still or fall.
            let mut seconds = 0.0_f64;
            let each = curve.chunks_exact(3).map(|epoch| {
                seconds = seconds.max(epoch[2]);
                (epoch[0], seconds)
            });
            each.collect()
        });
        Ok(Curves {
            task: TASKS[task],
            models,
            epochs: epochs.collect(),
            space,
        })
    }

    /// What it is called.
    pub fn task(&self) -> &'static str {
        self.task
    }

    /// The best accuracy after a whole training.
    pub fn best(&self) -> f64 {
        let ends = self.epochs.iter().map(|epochs| epochs[epochs.len() - 1].0);
        ends.fold(f64::NEG_INFINITY, f64::max)
    }
}

fn architecture(row: &[f64]) -> Architecture {
    let (layers, units, dropout) = (row[4] as usize, row[5], row[6]);
    // Units fall linearly from the first to the last hidden layer, as in the original (Zimmer et al.).
    let hidden = (0..layers).map(|layer| {
        let units = (units * (layers - layer) as f64 / layers as f64).max(2.0) as u32;
        let rate = (dropout * 1000.0).round().clamp(1.0, 900.0) / 1000.0;
        format!("dense {units} | relu | dropout {rate} | ")
    });
    let text = format!("in 20 | {}dense 2", hidden.collect::<String>());
    text.parse().expect("every row is a network")
}

fn space() -> Space {
    let float = |low, high, scale| Domain::Float { low, high, scale };
    let parameters = [
        ("batch_size", float(16.0, 512.0, Scale::Log)),
        ("learning_rate", float(1e-4, 1e-1, Scale::Log)),
        ("momentum", float(0.1, 0.99, Scale::Linear)),
        ("weight_decay", float(1e-5, 1e-1, Scale::Linear)),
    ];
    let checked = parameters
        .map(|(name, domain)| Parameter::new(name, domain, None).expect("the ranges are legal"));
    Space::new(checked.into()).expect("the names differ")
}

fn setting(row: &[f64], space: &Space) -> Setting {
    let names = ["batch_size", "learning_rate", "momentum", "weight_decay"];
    let values = names.iter().zip(row);
    let raw: Setting = values
        .map(|(name, value)| (name.to_string(), Value::Float(*value)))
        .collect();
    space.clamp(&raw)
}

/// Where trainings are looked at: at a rung, or at the end.
#[derive(Clone, Copy, Debug)]
struct Stop {
    rung: Option<Rung>,
    epochs: usize,
}

/// A training under way: when it is next looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Underway {
    micros: u64,
    trial: usize,
    model: usize,
    began: u64,
    stop: usize,
}

/// All looks at a training of so many epochs, the last at its end.
fn stops(rungs: Rungs, whole: usize) -> Vec<Stop> {
    let at_rungs = rungs.of(whole as u32).into_iter();
    let at_end = Stop {
        rung: None,
        epochs: whole,
    };
    at_rungs
        .map(|(rung, epochs)| Stop {
            rung: Some(rung),
            epochs: epochs as usize,
        })
        .chain([at_end])
        .collect()
}

impl Underway {
    fn begun(trial: usize, model: usize, now: u64) -> Underway {
        Underway {
            micros: now,
            trial,
            model,
            began: now,
            stop: 0,
        }
    }

    fn look(self, rung: Rung, score: f64) -> Look {
        Look {
            trial: TrialId(self.trial as u64),
            birth: Birth::Fresh,
            parent: None,
            stage: Stage {
                rung,
                is_first: self.stop == 0,
            },
            score,
        }
    }

    fn until(self, curves: &Curves, stops: &[Stop]) -> Underway {
        let (_, seconds) = curves.epochs[self.model][stops[self.stop].epochs - 1];
        Underway {
            micros: self.began + (seconds * MICROS) as u64,
            ..self
        }
    }
}

/// Searches until a whole training is within `regret` percentage points of the best; when all models were
/// begun, those that were stopped are trained again and whole, the most expected first. The same arguments
/// give the same answer.
pub fn reach(curves: &Curves, rungs: Rungs, workers: usize, regret: f64, seed: u64) -> Reached {
    let goal = curves.best() - regret;
    let stops = stops(rungs, curves.epochs[0].len());
    let mut search = Search::new(curves, seed);
    let mut ladder = Ladder::default();
    let mut running: BinaryHeap<Reverse<Underway>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        while running.len() < workers
            && let Some(begun) = search.begin(now, stops.len() - 1)
        {
            running.push(Reverse(begun.until(curves, &stops)));
        }
        let Some(Reverse(at)) = running.pop() else {
            break;
        };
        now = at.micros;
        let (score, _) = curves.epochs[at.model][stops[at.stop].epochs - 1];
        let Some(rung) = stops[at.stop].rung else {
            let trial = TrialId(at.trial as u64);
            ladder.end(trial, Birth::Fresh, score);
            search.end(at.model, Outcome::Scored(score));
            if score >= goal {
                break;
            }
            continue;
        };
        match ladder.look(rungs, at.look(rung, score)) {
            Verdict::Continue => {
                let next = Underway {
                    stop: at.stop + 1,
                    ..at
                };
                running.push(Reverse(next.until(curves, &stops)));
            }
            Verdict::Stop => {
                let expected = ladder.expected(Birth::Fresh, rung, score);
                search.stop(at.model, expected);
            }
        }
    }
    Reached {
        seconds: now as f64 / MICROS,
        trainings: search.begun + search.begun_again,
        is_at_first: search.begun_again == 0,
    }
}

/// Which model is trained next.
struct Search<'a> {
    curves: &'a Curves,
    pool: Pool,
    surrogate: Surrogate,
    left: Vec<usize>,
    /// Models that were stopped, with what was expected of them.
    stopped: Vec<(f64, usize)>,
    begun: usize,
    begun_again: usize,
    seed: u64,
}

impl Search<'_> {
    fn new(curves: &Curves, seed: u64) -> Search<'_> {
        Search {
            curves,
            pool: Pool::default(),
            surrogate: Surrogate::default(),
            left: (0..curves.models.len()).collect(),
            stopped: Vec::new(),
            begun: 0,
            begun_again: 0,
            seed,
        }
    }

    /// A training begins, of a model that was never begun as long as there is one.
    fn begin(&mut self, now: u64, last_stop: usize) -> Option<Underway> {
        let trial = self.begun + self.begun_again;
        if let Some(model) = self.next() {
            return Some(Underway::begun(trial, model, now));
        }
        let (_, model) = self.stopped.pop()?;
        self.begun_again += 1;
        Some(Underway {
            stop: last_stop,
            ..Underway::begun(trial, model, now)
        })
    }

    fn stop(&mut self, model: usize, expected: f64) {
        self.end(model, Outcome::Stopped { expected });
        let place = self
            .stopped
            .partition_point(|(other, _)| *other <= expected);
        self.stopped.insert(place, (expected, model));
    }

    fn next(&mut self) -> Option<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.begun as u64);
        let places = index::sample(&mut rng, self.left.len(), CANDIDATES.min(self.left.len()));
        let places = places.into_vec();
        let first = *places.first()?;
        let place = match self.begun < STARTS {
            true => first,
            false => self.most_promising(&places),
        };
        let model = self.left.swap_remove(place);
        self.begun += 1;
        let (architecture, setting) = self.curves.models[model].clone();
        self.pool.add_pending(architecture, setting);
        Some(model)
    }

    fn most_promising(&mut self, places: &[usize]) -> usize {
        self.surrogate.follow(&self.pool, &self.curves.space);
        let models = places.iter().map(|place| {
            let (architecture, setting) = &self.curves.models[self.left[*place]];
            (architecture, setting)
        });
        let promises = self
            .surrogate
            .promises(&self.pool, &self.curves.space, models);
        let both = places.iter().zip(promises);
        let (best, _) = both
            .max_by(|(_, a), (_, b)| a.improvement.total_cmp(&b.improvement))
            .expect("there is a candidate");
        *best
    }

    fn end(&mut self, model: usize, outcome: Outcome) {
        let (architecture, setting) = self.curves.models[model].clone();
        // Two rows that are one model: the second says nothing new.
        if !self.pool.contains(Fingerprint::of(&architecture, &setting)) {
            return;
        }
        let sequence = self.pool.entries().len() as u64 + 1;
        let entry = PoolEntry {
            trial: TrialId(sequence),
            sequence,
            architecture,
            setting,
            outcome,
            parent: None,
        };
        self.pool.push(entry).expect("sequence numbers count up");
    }
}

#[cfg(test)]
mod tests {
    use search::Rule;

    use super::*;

    /// Forty models that learn for nine seconds of nine epochs; a higher learning rate is better all along.
    fn curves() -> Curves {
        let space = space();
        let model = |place: usize| {
            let row = [64.0, 1e-4 * 10_f64.powf(place as f64 / 15.0), 0.5, 0.01];
            let architecture = "in 20 | dense 8 | relu | dense 2".parse().unwrap();
            (architecture, setting(&row, &space))
        };
        let epochs = |place: usize| {
            let each = (1..=9).map(|epoch| (f64::from(epoch) + place as f64, f64::from(epoch)));
            each.collect()
        };
        Curves {
            task: "made",
            models: (0..40).map(model).collect(),
            epochs: (0..40).map(epochs).collect(),
            space: space.clone(),
        }
    }

    const NONE: Rungs = Rungs {
        rule: Rule::None,
        ..RUNGS
    };

    const RUNGS: Rungs = Rungs {
        rule: Rule::Halving,
        first: 1,
        factor: 2,
    };

    #[test]
    fn rungs_find_the_best_of_simple_curves_sooner() {
        let curves = curves();
        let mut shares = Vec::new();
        for seed in 0..5 {
            let whole = reach(&curves, NONE, 1, 0.0, seed);
            let stopped = reach(&curves, RUNGS, 1, 0.0, seed);
            // One worker, nine seconds for each whole training.
            assert!((whole.seconds - 9.0 * whole.trainings as f64).abs() < 1e-3);
            assert_eq!(stopped, reach(&curves, RUNGS, 1, 0.0, seed));
            shares.push(stopped.seconds / whole.seconds);
        }
        assert!(shares.iter().sum::<f64>() / 5.0 < 0.9, "{shares:?}");
    }

    #[test]
    fn who_stops_the_best_goes_through_all_others_first_and_then_trains_it_whole() {
        // The best learns all it knows in its last epoch.
        let mut curves = curves();
        for (score, _) in &mut curves.epochs[39][..8] {
            *score = 0.0;
        }
        let mut lost = 0;
        for seed in 0..5 {
            let whole = reach(&curves, NONE, 1, 0.0, seed);
            assert!(whole.is_at_first && whole.trainings <= 40);
            let stopped = reach(&curves, RUNGS, 1, 0.0, seed);
            assert_eq!(stopped.is_at_first, stopped.trainings <= 40);
            // Forty times three epochs, and the whole training that finds it.
            assert!(stopped.is_at_first || stopped.seconds >= 129.0);
            lost += u32::from(!stopped.is_at_first);
        }
        assert!(lost > 0);
    }

    #[test]
    fn workers_share_the_time() {
        let curves = curves();
        let one = reach(&curves, NONE, 1, -1.0, 1);
        let four = reach(&curves, NONE, 4, -1.0, 1);
        // Nothing is better than the best: all forty are trained.
        assert_eq!((one.trainings, four.trainings), (40, 40));
        assert!((one.seconds - 360.0).abs() < 1e-3 && (four.seconds - 90.0).abs() < 1e-3);
    }
}
