//! Training: batches in random order, validation after each epoch, the weights of the best one kept, or of the best
//! of the late ones.
//!
//! Of data larger than memory each epoch takes another portion of the rows, as many as are held.
//! The same task with the same start, seed and number of threads gives the same bits on the same kind
//! of CPU, paused in between or not.

use std::{num::NonZeroU32, time::Instant};

use data::{Examples, Targets, error::with_causes};
use morph::Architecture;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    augment::Augmenter,
    checkpoint::WeightsError,
    evaluate::{Evaluation, evaluate_epoch, evaluate_weighted},
    loss::{BatchTargets, Weighting, balanced_weights},
    metric::Metric,
    network::{Network, StepTask},
    optimizer::StepRule,
    pass::Purpose,
    pause::{Paused, PausedError, Progress},
    plan::{Plan, PlanError},
    recipe::{ClassWeights, Kept, Loss, Recipe},
    threads::Threads,
    weights::Weights,
};

/// Stream of random numbers of the first order of rows: those of the same seed before it change and choose examples.
const FIRST_ORDER: u64 = 1 << 63;

/// What is trained, on what, and how.
#[derive(Clone, Copy)]
pub struct FitTask<'a> {
    /// The network.
    pub architecture: &'a Architecture,
    /// Rows that are learned from; with more of them on disk, each epoch takes as many as are in memory.
    pub train: &'a Examples,
    /// Rows that say which epoch is best.
    pub validation: &'a Examples,
    /// The determined hyperparameters.
    pub recipe: &'a Recipe,
    /// What best means.
    pub metric: Metric,
    /// One standard deviation of the target in its own unit; 1 for classes.
    pub target_scale: f64,
    /// Threads to work with.
    pub threads: Threads,
    /// Seed of the order of rows and of dropout.
    pub seed: u64,
    /// Asked before each step whether to go on.
    pub stop: &'a dyn Fn() -> GoOn,
    /// Told the loss of each step.
    pub heard: &'a dyn Fn(f64),
}

/// Whether there is time for another step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// There is.
    Yes,
    /// There is not: training ends now, with the best so far.
    No,
}

/// Whether training goes on after an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Continue,
    /// It ends with this epoch's number, and the learning rate falls to 0 until then.
    EndAfter(NonZeroU32),
    /// It ends now, with the best so far.
    Stop,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Its number, from 1.
    pub epoch: u32,
    /// Mean loss of its steps.
    pub train_loss: f64,
    /// How good the network was after it, on the validation rows; of more than two classes without the area under
    /// the curve, unless that is the metric.
    pub validation: Evaluation,
    /// The same as one number, higher is better.
    pub score: f64,
    /// Seconds since training began.
    pub seconds: f64,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// All epochs were trained.
    AllEpochs,
    /// The score did not rise any more.
    Patience,
    /// It was told to.
    Stopped,
}

/// A trained network.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// Weights of the epoch that is kept.
    pub weights: Weights,
    /// That epoch, with every metric.
    pub kept: EpochReport,
    /// Every epoch.
    pub curve: Vec<EpochReport>,
    /// Why it ended.
    pub ended: Ended,
}

/// Why there is no trained network.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FitError {
    /// Loss or validation stopped being finite.
    #[error(
        "the loss was no longer a number in epoch {epoch}, step {step}: a smaller learning rate may help"
    )]
    Diverged {
        /// In which epoch, from 1.
        epoch: u32,
        /// After how many steps of it.
        step: u64,
    },
    /// It was stopped before its first step.
    #[error("training was stopped before its first step")]
    NotStarted,
    /// Rows without targets, or none at all.
    #[error("the {what} rows cannot be used: {problem}")]
    Rows {
        /// Which.
        what: &'static str,
        /// Why.
        problem: &'static str,
    },
    /// Rows of another shape than the network takes, or of another number of classes.
    #[error("the {what} rows have {found} {of} each; the network has {expected}")]
    Mismatch {
        /// Which.
        what: &'static str,
        /// Of what.
        of: &'static str,
        /// In the rows.
        found: usize,
        /// In the network.
        expected: usize,
    },
    /// The metric cannot be computed on the validation rows.
    #[error(
        "`{metric}` is not defined on the validation rows: it belongs to another kind of task, or \
         they hold a single class or value"
    )]
    MetricUndefined {
        /// Which.
        metric: Metric,
    },
    /// The weights to start from are not those of the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The network cannot be compiled.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What was paused cannot go on.
    #[error(transparent)]
    Paused(#[from] PausedError),
    /// Rows on disk.
    #[error("the training rows cannot be read: {reason}")]
    Unreadable {
        /// Of which file, and why.
        reason: String,
    },
}

/// Trains a network.
///
/// # Errors
/// If the loss stops being finite, or nothing could be trained at all.
/// # Cost
/// `epochs · rows · 3 · flops` of training, and `rows · flops` of validation per epoch.
pub fn fit(
    task: &FitTask<'_>,
    start: Weights,
    observe: &mut dyn FnMut(&EpochReport) -> Verdict,
) -> Result<Fitted, FitError> {
    let mut training = Training::begin(task, start)?;
    while training.ended().is_none() {
        training.epoch(observe)?;
    }
    training.finish()
}

fn check_rows(task: &FitTask<'_>, what: &'static str, examples: &Examples) -> Result<(), FitError> {
    let refuse = |problem| Err(FitError::Rows { what, problem });
    if examples.is_empty() {
        return refuse("there are none");
    }
    let (of, targets) = match (examples.targets(), task.recipe.loss) {
        (Targets::None, _) => return refuse("they have no targets"),
        (Targets::Classes { count, .. }, Loss::CrossEntropy { .. }) => ("classes", *count as usize),
        (Targets::Values(_), Loss::SquaredError | Loss::Huber { .. }) => ("targets", 1),
        _ => return refuse("the loss is one of another kind of target"),
    };
    let inputs = task.architecture.input_shape().values();
    let outputs = task.architecture.outputs() as usize;
    for (of, found, expected) in [
        ("values", examples.item_len(), inputs),
        (of, targets, outputs),
    ] {
        if found != expected {
            return Err(FitError::Mismatch {
                what,
                of,
                found,
                expected,
            });
        }
    }
    Ok(())
}

/// A mean over rows of which none counts is no number, and would look as if the network had diverged.
fn check_weights(validation: &Examples) -> Result<(), FitError> {
    match validation.weights() {
        Some(weights) if weights.iter().all(|weight| *weight == 0.0) => Err(FitError::Rows {
            what: "validation",
            problem: "none of them weighs anything",
        }),
        _ => Ok(()),
    }
}

/// A training under way: [`fit`] does one epoch after the other; who wants to pause does so between.
pub struct Training<'a> {
    task: &'a FitTask<'a>,
    network: Network,
    augmenter: Augmenter,
    /// The rows of this epoch, if not all are in memory.
    portion: Option<Examples>,
    order: Vec<u32>,
    all_validation: Vec<u32>,
    class_weights: Vec<f32>,
    batch_ids: Vec<u32>,
    batch_values: Vec<f32>,
    batch_weights: Vec<f32>,
    epochs: u32,
    curve: Vec<EpochReport>,
    /// Place in the curve of the epoch whose weights are kept.
    kept: Option<usize>,
    ended: Option<Ended>,
    began: Instant,
    seconds_before: f64,
}

impl<'a> Training<'a> {
    /// A training from weights.
    ///
    /// # Errors
    /// If rows, recipe, weights and architecture do not fit each other.
    pub fn begin(task: &'a FitTask<'a>, start: Weights) -> Result<Training<'a>, FitError> {
        check_rows(task, "training", task.train)?;
        check_rows(task, "validation", task.validation)?;
        check_weights(task.validation)?;
        start.check(task.architecture)?;
        let batch = task.recipe.batch_size;
        let plan = Plan::compile(task.architecture, batch, task.threads, Purpose::Train)?
            .with_precision(task.recipe.precision);
        Ok(Training::new(task, Network::new(plan, start)))
    }

    /// A training from where it was paused: it goes on as if it had not been.
    ///
    /// # Errors
    /// As [`Training::begin`], or if it was another task that was paused.
    pub fn resume(task: &'a FitTask<'a>, paused: &Paused) -> Result<Training<'a>, FitError> {
        paused.check(task)?;
        let anything = Weights::fresh(task.architecture, &mut ChaCha8Rng::seed_from_u64(0));
        let mut training = Training::begin(task, anything)?;
        let progress = &paused.progress;
        let fits = training.network.go_on_from(progress.steps, &paused.blocks);
        fits.ok_or(PausedError::OtherTask { what: "size" })?;
        training.epochs = progress.epochs;
        training.curve.clone_from(&progress.curve);
        training.kept = progress.kept;
        training.ended = progress.ended;
        training.seconds_before = progress.seconds;
        Ok(training)
    }

    /// Where it is now, between two epochs, as the bytes of a file for [`Paused::from_bytes`].
    ///
    /// # Cost
    /// Memory of [`Plan::pause_bytes`].
    pub fn pause(&self) -> Vec<u8> {
        let mut progress = Progress::of(self.task);
        progress.epochs = self.epochs;
        progress.steps = self.network.steps_done();
        progress.curve.clone_from(&self.curve);
        progress.kept = self.kept;
        progress.ended = self.ended;
        progress.seconds = self.seconds();
        progress.to_bytes(self.network.lasting_values())
    }

    /// The epochs that it has done, before it was paused as well.
    pub fn curve(&self) -> &[EpochReport] {
        &self.curve
    }

    /// In which order the last epoch took the rows.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// How many epochs it is planned to take.
    pub fn epochs(&self) -> u32 {
        self.epochs
    }

    /// Why it has ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    fn new(task: &'a FitTask<'a>, network: Network) -> Training<'a> {
        let class_weights = match (task.recipe.class_weights, task.train.targets()) {
            (ClassWeights::Balanced, Targets::Classes { ids, count }) => {
                balanced_weights(ids, task.train.weights().unwrap_or_default(), *count)
            }
            _ => Vec::new(),
        };
        let batch = task.recipe.batch_size.get();
        Training {
            task,
            network,
            augmenter: Augmenter::new(task.recipe.augmentation, task.train.item(), task.seed),
            portion: None,
            order: (0..task.train.len() as u32).collect(),
            all_validation: (0..task.validation.len() as u32).collect(),
            class_weights,
            batch_ids: Vec::with_capacity(batch),
            batch_values: Vec::with_capacity(batch),
            batch_weights: Vec::with_capacity(batch),
            epochs: task.recipe.epochs.get(),
            curve: Vec::new(),
            kept: None,
            ended: None,
            began: Instant::now(),
            seconds_before: 0.0,
        }
    }

    /// Rows of each step; a last step of a single row is left out where the others have more, because
    /// batch norm cannot use it.
    fn batches(&self) -> Vec<std::ops::Range<usize>> {
        let size = self.task.recipe.batch_size.get();
        let rows = self.order.len();
        (0..rows)
            .step_by(size)
            .map(|first| first..(first + size).min(rows))
            .filter(|range| range.len() > 1 || size == 1 || rows == 1)
            .collect()
    }

    /// One epoch more, unless it has ended.
    ///
    /// # Errors
    /// As [`fit`].
    pub fn epoch(
        &mut self,
        observe: &mut dyn FnMut(&EpochReport) -> Verdict,
    ) -> Result<(), FitError> {
        if self.ended.is_some() {
            return Ok(());
        }
        let number = self.curve.len() as u32 + 1;
        self.take_portion(number)?;
        self.shuffle(number);
        let batches = self.batches();
        let (mut sum, mut done) = (0.0, 0_u64);
        let mut stopped = false;
        for batch in &batches {
            if (self.task.stop)() == GoOn::No {
                stopped = true;
                break;
            }
            let loss = self.step(batch.clone(), batches.len());
            (self.task.heard)(loss);
            done += 1;
            if !loss.is_finite() {
                return Err(FitError::Diverged {
                    epoch: number,
                    step: done,
                });
            }
            sum += loss;
        }
        if stopped {
            self.ended = Some(Ended::Stopped);
            // Part of a later epoch is forgotten; part of the first is better than nothing.
            if number > 1 {
                return Ok(());
            }
            if done == 0 {
                return Err(FitError::NotStarted);
            }
        }
        let diverged = FitError::Diverged {
            epoch: number,
            step: done,
        };
        self.with_averages(|training| {
            let report = training
                .validate(number, sum / done as f64)
                .ok_or(diverged.clone())?;
            if !report.validation.loss.is_finite() {
                return Err(diverged);
            }
            let metric = training.task.metric;
            if !report.validation.metrics.contains_key(&metric) {
                return Err(FitError::MetricUndefined { metric });
            }
            training.take_note(report, observe);
            Ok(())
        })
    }

    /// Puts the rows into an order of this epoch's own, which its number and the seed alone decide: a paused
    /// training has nothing to remember of it.
    fn shuffle(&mut self, epoch: u32) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.task.seed);
        rng.set_stream(FIRST_ORDER + u64::from(epoch));
        self.order.clear();
        self.order.extend(0..self.task.train.len() as u32);
        self.order.shuffle(&mut rng);
    }

    /// Reads the rows of an epoch that are not in memory.
    fn take_portion(&mut self, epoch: u32) -> Result<(), FitError> {
        // The rows before are given up first: there is room for one portion.
        self.portion = None;
        let place = u64::from(epoch - 1);
        let portion = self.task.train.portion(self.task.seed, place);
        self.portion = portion.map_err(|error| FitError::Unreadable {
            reason: with_causes(&error),
        })?;
        Ok(())
    }

    /// Does something with the averages in place of the weights, where the recipe asks for averages.
    fn with_averages<R>(&mut self, work: impl FnOnce(&mut Training<'a>) -> R) -> R {
        let is_averaged = self.task.recipe.average_decay.is_some();
        if is_averaged {
            self.network.swap_averages();
        }
        let result = work(self);
        if is_averaged {
            self.network.swap_averages();
        }
        result
    }

    fn step(&mut self, batch: std::ops::Range<usize>, steps_per_epoch: usize) -> f64 {
        let recipe = self.task.recipe;
        let steps = f64::from(self.epochs) * steps_per_epoch as f64;
        let rate = recipe.learning_rate_at(self.network.steps_done() as f64, steps);
        let rows = &self.order[batch];
        let examples = self.portion.as_ref().unwrap_or(self.task.train);
        let targets = match examples.targets() {
            Targets::Classes { ids, .. } => {
                self.batch_ids.clear();
                self.batch_ids
                    .extend(rows.iter().map(|row| ids[*row as usize]));
                BatchTargets::Classes(&self.batch_ids)
            }
            Targets::Values(values) => {
                self.batch_values.clear();
                self.batch_values
                    .extend(rows.iter().map(|row| values[*row as usize]));
                BatchTargets::Values(&self.batch_values)
            }
            Targets::None => unreachable!("checked before training began"),
        };
        if let Some(weights) = examples.weights() {
            self.batch_weights.clear();
            self.batch_weights
                .extend(rows.iter().map(|row| weights[*row as usize]));
        }
        let rule = StepRule {
            optimizer: recipe.optimizer,
            learning_rate: rate,
        };
        let task = StepTask {
            loss: recipe.loss,
            weighting: Weighting {
                classes: &self.class_weights,
                rows: &self.batch_weights,
            },
            rule,
            weight_decay: recipe.weight_decay,
            gradient_norm_max: recipe.gradient_norm_max,
            average_decay: recipe.average_decay,
            seed: self.task.seed,
        };
        self.network
            .train_step(examples, rows, targets, &mut self.augmenter, &task)
    }

    /// How good the network is now; `None` if an output is no finite number, which metrics that only
    /// compare would not show.
    fn validate(&mut self, epoch: u32, train_loss: f64) -> Option<EpochReport> {
        let outputs = self
            .network
            .outputs(self.task.validation, &self.all_validation);
        if outputs.iter().any(|output| !output.is_finite()) {
            return None;
        }
        let (targets, weights) = (
            self.task.validation.targets(),
            self.task.validation.weights(),
        );
        let (scale, metric) = (self.task.target_scale, self.task.metric);
        let validation = evaluate_epoch(&outputs, targets, weights, scale, metric);
        let score = metric.score_of(&validation);
        let seconds = self.seconds();
        Some(EpochReport {
            epoch,
            train_loss,
            validation,
            score,
            seconds,
        })
    }

    fn take_note(&mut self, report: EpochReport, observe: &mut dyn FnMut(&EpochReport) -> Verdict) {
        if self.is_to_be_kept(&report) {
            self.kept = Some(self.curve.len());
            self.network.keep();
        }
        let verdict = observe(&report);
        let number = report.epoch;
        self.curve.push(report);
        match verdict {
            Verdict::Continue => {}
            Verdict::EndAfter(last) => self.epochs = self.epochs.min(last.get()),
            Verdict::Stop => self.end(Ended::Stopped),
        }
        if number >= self.epochs {
            self.end(Ended::AllEpochs);
        }
        let patience = self.task.recipe.patience;
        if patience.is_some_and(|patience| self.since_best() >= patience.get() as usize) {
            self.end(Ended::Patience);
        }
    }

    /// Whether an epoch that has just been done takes the place of the one that is kept.
    fn is_to_be_kept(&self, report: &EpochReport) -> bool {
        let Some(kept) = self.kept.map(|place| &self.curve[place]) else {
            return true;
        };
        let is_early = |epoch: &EpochReport| match self.task.recipe.kept {
            Kept::Best => false,
            Kept::Late => u64::from(epoch.epoch) * 4 <= u64::from(self.epochs) * 3,
        };
        is_early(kept) || is_better(report, kept)
    }

    /// Epochs since the best one.
    fn since_best(&self) -> usize {
        let mut best = 0;
        for (place, report) in self.curve.iter().enumerate() {
            if is_better(report, &self.curve[best]) {
                best = place;
            }
        }
        self.curve.len() - 1 - best
    }

    fn end(&mut self, reason: Ended) {
        self.ended.get_or_insert(reason);
    }

    /// The weights that are kept, with every metric; a training that has not ended is stopped.
    ///
    /// # Errors
    /// If no epoch was done.
    pub fn finish(mut self) -> Result<Fitted, FitError> {
        let kept = self.kept.ok_or(FitError::NotStarted)?;
        self.network.restore();
        let mut kept = self.curve[kept].clone();
        let task = self.task;
        if matches!(task.validation.targets(), Targets::Classes { .. })
            && !kept.validation.metrics.contains_key(&Metric::Auc)
        {
            let outputs = self.network.outputs(task.validation, &self.all_validation);
            let (targets, weights) = (task.validation.targets(), task.validation.weights());
            kept.validation = evaluate_weighted(&outputs, targets, weights, task.target_scale);
        }
        Ok(Fitted {
            weights: self.network.weights(),
            kept,
            curve: self.curve,
            ended: self.ended.unwrap_or(Ended::Stopped),
        })
    }
}

/// Whether the score of an epoch is higher, or its loss lower with the same score.
fn is_better(epoch: &EpochReport, other: &EpochReport) -> bool {
    (epoch.score, -epoch.validation.loss) > (other.score, -other.validation.loss)
}

#[cfg(test)]
mod tests;
