//! The second process of a slave node (R5): trains and validates one model after the other, with the
//! resources of this machine and the hyperparameters it was given.
//!
//! What it is told to train is what it trains, or it says why not; it never trains something else.
//! Its memory is limited by the system, so that a model that is too large ends this process only.

mod start;

use std::{
    io::{self, BufReader},
    num::{NonZeroU8, NonZeroU32},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::channel},
    thread,
    time::Instant,
};

use data::Examples;
use morph::Architecture;
use train::{
    Ended, EpochReport, Evaluation, FitError, FitTask, Fitted, GoOn, Kept, Metric, Network, Plan,
    Purpose, Recipe, Threads, Training, Verdict, Weights,
    ensemble::{check_members, members_to_safetensors},
    evaluate_weighted,
};

use crate::{
    artifact::{ArtifactError, ArtifactStore},
    folding::FOLDS,
    message::{FromTrainer, StopCause, TellTrainer, TrainerSetup, receive, send},
    prepared::PreparedFiles,
    process::{
        checkpoints::Checkpoints, end_with_parent, first_line, limit_memory, underway::Underway,
    },
    trial::{Digest, EarlyStop, FailReason, Job, TrialResult},
};

/// Share of the time left that a trial may plan for: validating and storing take time too.
const PLANNED_SHARE: f64 = 0.9;

/// Fewer rows than these that validate a training do not say which of its epochs is best: decision 0027.
const LATE_ROWS_MAX: usize = 300;

struct Trainer {
    setup: TrainerSetup,
    threads: Threads,
    train: Examples,
    validation: Examples,
    artifacts: ArtifactStore,
    stop: Arc<Mutex<Option<StopCause>>>,
}

/// What a training came to.
enum Trained {
    Whole(TrialResult),
    Stopped(EarlyStop),
    /// Its node must leave; where to go on, if not at the beginning.
    Paused(Option<Digest>),
}

/// Why a training came to nothing.
enum Trouble {
    /// The model is to blame: its trial has failed.
    Model(FailReason),
    /// This machine is: the trial is tried again, elsewhere if there is an elsewhere.
    Machine(ArtifactError),
}

impl From<FailReason> for Trouble {
    fn from(reason: FailReason) -> Trouble {
        Trouble::Model(reason)
    }
}

/// What training on one part came to.
enum PartTrained {
    Fitted(Fitted),
    /// Where it is, as a file.
    Paused(Vec<u8>),
}

/// Runs a trainer on standard input and output until its worker is gone.
///
/// # Errors
/// If the prepared rows cannot be loaded, weights cannot be stored, or its worker says something that is no
/// message.
pub fn run() -> io::Result<()> {
    end_with_parent();
    let mut input = BufReader::new(io::stdin());
    let TellTrainer::Setup { setup } = first_line(&mut input)? else {
        return Err(io::Error::other("a trainer hears its setup first"));
    };
    let load = |path| PreparedFiles::load(path).map_err(io::Error::other);
    let train = load(&setup.train)?;
    let validation = load(&setup.validation)?;
    if let Some(bytes) = setup.memory_bytes_max {
        limit_memory(bytes);
    }
    let threads = NonZeroU8::new(setup.threads).unwrap_or(NonZeroU8::MIN);
    let artifacts = ArtifactStore::at(&setup.artifacts);
    let stop = Arc::new(Mutex::new(None));
    let trainer = Trainer {
        threads: Threads::new(threads),
        train,
        validation,
        setup: *setup,
        artifacts,
        stop: Arc::clone(&stop),
    };
    let (sender, jobs) = channel();
    thread::spawn(move || {
        while let Ok(Some(message)) = receive::<TellTrainer>(&mut input) {
            match message {
                TellTrainer::Setup { .. } => {}
                TellTrainer::Stop { cause } => {
                    // The first cause stays: who is told that all is over keeps what it has.
                    locked(&stop).get_or_insert(cause);
                }
                TellTrainer::Train { job } => {
                    *locked(&stop) = None;
                    if sender.send(job).is_err() {
                        return;
                    }
                }
            }
        }
        // The worker is gone: nobody would hear a result.
        std::process::exit(0);
    });
    for job in jobs {
        let lease = job.lease;
        let said = match trainer.train(*job) {
            Ok(Trained::Whole(result)) => FromTrainer::Finished {
                lease,
                result: Box::new(result),
            },
            Ok(Trained::Stopped(stop)) => FromTrainer::Stopped {
                lease,
                stop: Box::new(stop),
            },
            Ok(Trained::Paused(checkpoint)) => FromTrainer::Paused { lease, checkpoint },
            Err(Trouble::Model(reason)) => FromTrainer::Failed { lease, reason },
            Err(Trouble::Machine(error)) => return Err(io::Error::other(error)),
        };
        send(&mut io::stdout().lock(), &said)?;
    }
    Ok(())
}

/// A job while it is carried out.
struct Run {
    job: Job,
    started: Instant,
    /// Seconds that the first part may take.
    deadline: Option<f64>,
    /// Epochs of each part: may be cut after the first epoch.
    planned: NonZeroU32,
    checkpoints: Checkpoints,
    memory_bytes: u64,
}

impl Run {
    fn of(mut job: Job, memory_bytes: u64, trainer: &Trainer) -> Run {
        job.recipe.kept = trainer.kept();
        let parts = trainer.parts() as f64;
        // A trial of more parts than usual takes as much longer, so that each part learns as much.
        let shares = parts.min(f64::from(FOLDS));
        let usual = job.seconds_max.map(|seconds| seconds / shares);
        let left = job.seconds_left.map(|seconds| seconds / parts);
        let deadline = [usual, left].into_iter().flatten();
        Run {
            deadline: deadline.reduce(f64::min),
            planned: job.recipe.epochs,
            checkpoints: Checkpoints::every(trainer.setup.checkpoint_secs),
            job,
            started: Instant::now(),
            memory_bytes,
        }
    }

    /// The end of a trial that has fallen behind.
    fn stopped(self, underway: Underway) -> EarlyStop {
        let (first, _) = underway.finish();
        EarlyStop {
            recipe: self.recipe(),
            curve: first.curve,
            inheritance: first.inheritance,
            seconds: self.started.elapsed().as_secs_f64(),
            memory_bytes: self.memory_bytes,
        }
    }

    /// The recipe as it is carried out.
    fn recipe(&self) -> Recipe {
        let mut recipe = self.job.recipe.clone();
        // The learning rate rises for the same share of fewer epochs.
        recipe.warmup_epochs *= f64::from(self.planned.get()) / f64::from(recipe.epochs.get());
        recipe.epochs = self.planned;
        recipe
    }
}

impl Trainer {
    /// Trains a model, with cross-validation once for each fold. The first fold's training is the one that is
    /// compared with others at rungs; the others are as long.
    fn train(&self, job: Job) -> Result<Trained, Trouble> {
        let memory_bytes = self.check_memory(&job)?;
        let mut run = Run::of(job, memory_bytes, self);
        let parents = self.parents(&run.job)?;
        let mut underway = self.underway(&mut run);
        for part in underway.members().len()..self.parts() {
            let (start, proof) = self.start_weights(&run.job, &parents, part)?;
            let fitted = match self.fit(&mut run, &mut underway, start)? {
                PartTrained::Fitted(fitted) => fitted,
                PartTrained::Paused(paused) => {
                    // Without room for it, the next node begins anew.
                    let kept = run.checkpoints.keep(&self.artifacts, || paused);
                    return Ok(Trained::Paused(kept));
                }
            };
            let is_behind = self.is_behind(&fitted);
            underway.note(fitted, run.planned, proof);
            if is_behind {
                run.checkpoints.forget(&self.artifacts);
                return Ok(Trained::Stopped(run.stopped(underway)));
            }
        }
        self.whole(run, underway).map(Trained::Whole)
    }

    /// All parts have been trained.
    fn whole(&self, mut run: Run, underway: Underway) -> Result<TrialResult, Trouble> {
        let (first, members) = underway.finish();
        let validation = match &members[..] {
            [_] => first.kept.validation,
            _ => self.cross_validated(&run.job, &members)?,
        };
        let bytes = members_to_safetensors(&members);
        let artifact = self.artifacts.put(&bytes).map_err(Trouble::Machine)?;
        run.checkpoints.forget(&self.artifacts);
        Ok(TrialResult {
            score: self.setup.metric.score_of(&validation),
            loss: validation.loss,
            metrics: validation.metrics,
            epoch: first.kept.epoch,
            curve: first.curve,
            ended: first.ended,
            artifact,
            artifact_bytes: bytes.len() as u64,
            inheritance: first.inheritance,
            seconds: run.started.elapsed().as_secs_f64(),
            memory_bytes: run.memory_bytes,
            recipe: run.recipe(),
        })
    }

    /// How many times a model is trained.
    fn parts(&self) -> usize {
        self.setup.folds.networks()
    }

    /// Numbers of the rows that validate the first part, at most so many.
    fn first_validating(&self, most: usize) -> Vec<u32> {
        let folds = &self.setup.folds;
        let mut rows = match folds.is_empty() {
            true => (0..self.validation.len().min(most) as u32).collect(),
            false => folds.validating(0),
        };
        rows.truncate(most);
        rows
    }

    /// Which epoch is kept, by how many rows say so.
    fn kept(&self) -> Kept {
        match self.first_validating(LATE_ROWS_MAX).len() < LATE_ROWS_MAX {
            true => Kept::Late,
            false => Kept::Best,
        }
    }

    /// Where a job's trial is: where another node has left it, or at the beginning if that is lost.
    fn underway(&self, run: &mut Run) -> Underway {
        let kept = run.job.checkpoint.as_ref();
        let bytes = kept.and_then(|digest| self.artifacts.get(digest).ok());
        let found = bytes.and_then(|bytes| Underway::from_bytes(&bytes, &run.job, self.parts()));
        let underway = found.unwrap_or_default();
        if let Some(first) = underway.first() {
            run.planned = first.planned;
        }
        underway
    }

    /// Trains on the next part.
    fn fit(
        &self,
        run: &mut Run,
        underway: &mut Underway,
        start: Weights,
    ) -> Result<PartTrained, FailReason> {
        let part = underway.members().len();
        let recipe = run.recipe();
        let folds = &self.setup.folds;
        let (train, validation) = folds.part(part, &self.train, &self.validation);
        let Run {
            job,
            started,
            deadline,
            checkpoints,
            ..
        } = run;
        let started = *started;
        let task = FitTask {
            architecture: &job.architecture,
            train: &train,
            validation: &validation,
            recipe: &recipe,
            metric: self.metric_on(&validation),
            target_scale: self.setup.target_scale,
            threads: self.threads,
            seed: job.seed.wrapping_add(part as u64),
            stop: &|| self.goes_on(started, job.seconds_left),
            heard: &|_| {},
        };
        let mut training = begin(&task, underway, start).map_err(fail_reason)?;
        // A training that goes on may have been cut before.
        let mut planned = NonZeroU32::new(training.epochs()).unwrap_or(recipe.epochs);
        let scores = training.curve().iter().map(|epoch| epoch.score);
        let mut best = scores.fold(f64::NEG_INFINITY, f64::max);
        let mut observe = |report: &EpochReport| {
            if part > 0 {
                return Verdict::Continue;
            }
            let verdict = epochs_that_fit(report, started, *deadline, planned);
            if let Verdict::EndAfter(epochs) = verdict {
                planned = epochs;
            }
            best = best.max(report.score);
            self.report(job, report, planned, best);
            verdict
        };
        while training.ended().is_none() {
            training.epoch(&mut observe).map_err(fail_reason)?;
            if training.ended().is_some() {
                continue;
            }
            let file = || underway.to_bytes(job, training.pause());
            if self.is_leaving() {
                return Ok(PartTrained::Paused(file()));
            }
            if checkpoints.is_due() {
                let kept = checkpoints.keep(&self.artifacts, file);
                if let Some(checkpoint) = kept {
                    let lease = job.lease;
                    say(&FromTrainer::Checkpoint { lease, checkpoint });
                }
            }
        }
        run.planned = planned;
        let fitted = training.finish().map_err(fail_reason)?;
        Ok(PartTrained::Fitted(fitted))
    }

    /// What chooses among the epochs of a network. What decides between trials is the score of all folds together; one
    /// of them may be of a single class.
    fn metric_on(&self, validation: &Examples) -> Metric {
        match self.parts() {
            1 => self.setup.metric,
            _ => self.setup.metric.or_loss(validation.targets()),
        }
    }

    fn is_leaving(&self) -> bool {
        *locked(&self.stop) == Some(StopCause::Leave)
    }

    /// Whether a training was stopped because others are better.
    fn is_behind(&self, fitted: &Fitted) -> bool {
        fitted.ended == Ended::Stopped && *locked(&self.stop) == Some(StopCause::Behind)
    }

    /// How good all members are on rows that they have not learned from.
    fn cross_validated(&self, job: &Job, members: &[Weights]) -> Result<Evaluation, FailReason> {
        let folds = &self.setup.folds;
        let outputs = folds.told(&self.validation, &|network, rows| {
            self.outputs(job, &job.architecture, members[network].clone(), rows)
        })?;
        let (targets, weights) = (self.validation.targets(), self.validation.weights());
        Ok(evaluate_weighted(
            &outputs,
            targets,
            weights,
            self.setup.target_scale,
        ))
    }

    /// What a network says of all these rows.
    fn outputs(
        &self,
        job: &Job,
        architecture: &Architecture,
        weights: Weights,
        examples: &Examples,
    ) -> Result<Vec<f32>, FailReason> {
        let plan = self.plan(architecture, job.recipe.batch_size, Purpose::Infer)?;
        let rows: Vec<u32> = (0..examples.len() as u32).collect();
        Ok(Network::new(plan, weights).outputs(examples, &rows))
    }

    /// Refuses a model that does not fit with what a checkpoint of it takes, before any of its memory is taken;
    /// otherwise says what its plan takes.
    fn check_memory(&self, job: &Job) -> Result<u64, FailReason> {
        check_members(&job.architecture, self.parts()).map_err(|error| FailReason::Refused {
            message: format!("with {} folds {error}", self.parts()),
        })?;
        let plan = self.plan(&job.architecture, job.recipe.batch_size, Purpose::Train)?;
        let parameters = job.architecture.cost().parameters;
        let paused_bytes = Underway::bytes(&plan, parameters, self.parts());
        let memory_bytes = plan.memory_bytes();
        let needed_bytes = memory_bytes.saturating_add(paused_bytes);
        match self.setup.memory_bytes_max {
            Some(limit_bytes) if needed_bytes > limit_bytes => Err(FailReason::Infeasible {
                needed_bytes,
                limit_bytes,
            }),
            _ => Ok(memory_bytes),
        }
    }

    fn plan(
        &self,
        architecture: &Architecture,
        batch: std::num::NonZeroUsize,
        purpose: Purpose,
    ) -> Result<Plan, FailReason> {
        Plan::compile(architecture, batch, self.threads, purpose).map_err(|error| {
            FailReason::Refused {
                message: error.to_string(),
            }
        })
    }

    fn goes_on(&self, started: Instant, seconds_left: Option<f64>) -> GoOn {
        let over = seconds_left.is_some_and(|seconds| started.elapsed().as_secs_f64() > seconds);
        // Of a node that leaves it is paused, at the end of the epoch.
        let is_stopped = matches!(
            *locked(&self.stop),
            Some(StopCause::Over | StopCause::Behind)
        );
        match over || is_stopped {
            true => GoOn::No,
            false => GoOn::Yes,
        }
    }

    fn report(&self, job: &Job, report: &EpochReport, planned: NonZeroU32, best: f64) {
        say(&FromTrainer::Epoch {
            lease: job.lease,
            epochs: planned.get(),
            report: Box::new(report.clone()),
            best,
        });
    }
}

/// Tells the worker something on the way. If nobody listens the worker is gone, and the listening thread ends this
/// process.
fn say(said: &FromTrainer) {
    let _ = send(&mut io::stdout().lock(), said);
}

fn locked(stop: &Mutex<Option<StopCause>>) -> MutexGuard<'_, Option<StopCause>> {
    stop.lock().unwrap_or_else(PoisonError::into_inner)
}

/// After the first epoch its length is known: the schedule is cut to the epochs that still fit.
fn epochs_that_fit(
    report: &EpochReport,
    started: Instant,
    deadline: Option<f64>,
    planned: NonZeroU32,
) -> Verdict {
    let Some(deadline) = deadline.filter(|_| report.epoch == 1) else {
        return Verdict::Continue;
    };
    let elapsed = started.elapsed().as_secs_f64();
    let more = ((deadline * PLANNED_SHARE - elapsed) / elapsed.max(1e-6))
        .floor()
        .max(0.0);
    let fitting = NonZeroU32::MIN.saturating_add(more.min(f64::from(u32::MAX)) as u32);
    match fitting < planned {
        true => Verdict::EndAfter(fitting),
        false => Verdict::Continue,
    }
}

/// A training from where it was paused, or from its start if it was not, or another was.
fn begin<'a>(
    task: &'a FitTask<'a>,
    underway: &mut Underway,
    start: Weights,
) -> Result<Training<'a>, FitError> {
    let paused = underway.take_paused();
    let resumed = paused.and_then(|paused| Training::resume(task, &paused).ok());
    match resumed {
        Some(training) => Ok(training),
        None => Training::begin(task, start),
    }
}

fn fail_reason(error: FitError) -> FailReason {
    match error {
        FitError::Diverged { epoch, .. } => FailReason::Diverged { epoch },
        FitError::NotStarted => FailReason::OutOfTime,
        other => FailReason::Refused {
            message: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use data::{ItemShape, Targets};
    use search::TrialId;

    use super::*;
    use crate::{
        folds::Folds,
        trial::{Lease, LeaseEpoch, tests::job},
    };

    fn rows() -> Examples {
        let targets = Targets::Classes {
            ids: vec![0, 1],
            count: 2,
        };
        Examples::from_floats(ItemShape::Features(1), vec![0.0, 1.0], targets)
    }

    /// A trainer with so much memory, of a study with such folds.
    fn trainer(memory_bytes_max: u64, folds: Folds) -> Trainer {
        let nowhere = PathBuf::new();
        Trainer {
            threads: Threads::ONE,
            train: rows(),
            validation: rows(),
            artifacts: ArtifactStore::at(&nowhere),
            stop: Arc::default(),
            setup: TrainerSetup {
                train: nowhere.clone(),
                validation: nowhere.clone(),
                folds,
                artifacts: nowhere,
                metric: Metric::Accuracy,
                target_scale: 1.0,
                threads: 1,
                memory_bytes_max: Some(memory_bytes_max),
                checkpoint_secs: 0.0,
            },
        }
    }

    #[test]
    fn a_model_fits_if_its_checkpoint_does_too() {
        let lease = Lease {
            trial: TrialId(1),
            epoch: LeaseEpoch(1),
        };
        let job = job(lease, "in 1 | dense 64 | relu | dense 2");
        let batch = job.recipe.batch_size;
        let plan = Plan::compile(&job.architecture, batch, Threads::ONE, Purpose::Train).unwrap();
        let plan_bytes = plan.memory_bytes();
        let parameters = 64 + 64 + 2 * 64 + 2;
        let kept_bytes = [
            plan.pause_bytes(),
            2 * plan.pause_bytes() + 3 * 4 * parameters,
        ];
        let mut two = Folds::default();
        two.add(vec![0, 1]);
        for (folds, kept_bytes) in [Folds::default(), two].into_iter().zip(kept_bytes) {
            let needed_bytes = plan_bytes + kept_bytes;
            let fits = trainer(needed_bytes, folds.clone()).check_memory(&job);
            assert_eq!(fits, Ok(plan_bytes));
            let limit_bytes = needed_bytes - 1;
            assert_eq!(
                trainer(limit_bytes, folds).check_memory(&job),
                Err(FailReason::Infeasible {
                    needed_bytes,
                    limit_bytes
                })
            );
        }
    }
}
