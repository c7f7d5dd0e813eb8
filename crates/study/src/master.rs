//! The master's decisions: what the master node does when something happens, as a step function (R1).
//!
//! Events in, actions out. It owns the ledger, so every answer it gives is already durable; it
//! reads no clock and starts no process: the shell around it ([`crate::explore`]) does.

mod finale;

use std::collections::{BTreeMap, BTreeSet};

use data::Targets;
use search::{Origin, TrialId};

use crate::{
    config::{Inherit, StudyConfig},
    judge::Judge,
    ledger::{
        Claim, Ending, FinishOutcome, Ledger, LedgerError, Parent, Proposed, Release,
        ReleaseOutcome,
    },
    master::finale::Finale,
    message::{Answer, Ask, Course, News, Progress, ProposalVerdict, Reply},
    recipe::{self, Start},
    trial::{
        Candidate, Digest, EarlyStop, FailReason, Inheritance, Instant, Job, Lease, Sequence, Slot,
        TrialResult, WorkerName,
    },
};

/// How often workers may be restarted without any trial ending in between.
pub const RESTARTS_MAX: u32 = 5;

/// How often leases are extended, in seconds; a lease lasts four times as long.
const BEAT_SECS: f64 = 15.0;

/// How often the time spent is written to the ledger, in seconds.
const SPENT_WRITE_SECS: f64 = 2.0;

/// What happens to a master.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker asked something.
    Asked(WorkerName, Ask),
    /// A worker's process is gone.
    Left {
        /// Which.
        worker: WorkerName,
        /// Exit status and last words.
        message: String,
    },
    /// Time has passed.
    Tick,
    /// The user wants it to end.
    Interrupt,
}

/// What a master wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Answer a worker, or push news to it.
    Reply(WorkerName, Box<Reply>),
    /// Start a worker again.
    StartWorker(WorkerName),
    /// Write this to the log.
    Log(Happening),
    /// All is done: end.
    End(EndReason),
}

/// What happened, for the log.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Happening {
    /// A trial has a score.
    Finished {
        /// Which.
        trial: TrialId,
        /// Its score.
        score: f64,
        /// Whether it is the best now.
        best: Standing,
    },
    /// A trial was stopped at a rung.
    Stopped {
        /// Which.
        trial: TrialId,
        /// After so many epochs.
        epochs: u32,
        /// Of so many.
        planned: u32,
    },
    /// A trial will have none.
    Failed {
        /// Which.
        trial: TrialId,
        /// Why.
        reason: FailReason,
    },
    /// A trainer died; its trial waits again.
    Crashed {
        /// Which trial.
        trial: TrialId,
        /// Exit status and last words.
        message: String,
    },
    /// A worker's process is gone.
    WorkerLeft {
        /// Which.
        worker: WorkerName,
        /// How many trials wait again.
        trials: usize,
        /// Exit status and last words.
        message: String,
    },
    /// A result came whose lease was lost.
    Stray {
        /// Of which trial.
        trial: TrialId,
    },
    /// A generator finds nothing new.
    Exhausted {
        /// Whose.
        worker: WorkerName,
        /// Why.
        reason: String,
    },
}

/// Where a new score stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Better than all before.
    Best,
    /// Not.
    Behind,
}

/// Why a study ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The time is used up.
    Time,
    /// The trials are used up.
    Trials,
    /// The user stopped it; the same command goes on.
    Interrupted,
    /// No generator finds anything new.
    Exhausted,
    /// Workers die as soon as they are started.
    WorkersDie {
        /// What the last one said.
        message: String,
    },
}

#[derive(Clone, Debug, Default)]
struct Told {
    sequence: Sequence,
    trial: u64,
    progress: Vec<Progress>,
    beat_at: Option<Instant>,
    stop_pushed: bool,
    here: bool,
}

/// The state of a master.
#[derive(Debug)]
pub struct Master {
    ledger: Ledger,
    judge: Judge,
    config: StudyConfig,
    targets: Targets,
    workers: BTreeMap<WorkerName, Told>,
    exhausted: BTreeSet<WorkerName>,
    started_at: Instant,
    spent_before: f64,
    spent_written_at: Instant,
    finale: Finale,
    ending: Option<EndReason>,
    restarts: u32,
    /// Weights that rows name and that are no longer there.
    weightless: BTreeSet<Digest>,
}

impl Master {
    /// A master that takes a study up, at this time; leases of a dead predecessor are taken back.
    ///
    /// `targets` are those of the training rows: their number decides how long a trial is.
    ///
    /// # Errors
    /// If the ledger cannot be read or written.
    pub fn take_up(
        mut ledger: Ledger,
        config: StudyConfig,
        targets: Targets,
        now: Instant,
    ) -> Result<Master, LedgerError> {
        ledger.release_all(None)?;
        let spent_before = ledger.spent_seconds()?;
        let trials = ledger.trials()?;
        let judge = Judge::new(config.training.rungs, &trials);
        let finale = Finale::of(&config, &trials);
        Ok(Master {
            ledger,
            judge,
            finale,
            config,
            targets,
            workers: BTreeMap::new(),
            exhausted: BTreeSet::new(),
            started_at: now,
            spent_before,
            spent_written_at: now,
            ending: None,
            restarts: 0,
            weightless: BTreeSet::new(),
        })
    }

    /// The same master, told which weights are no longer there: what would inherit them begins with random ones.
    #[must_use]
    pub fn without(self, weightless: BTreeSet<Digest>) -> Master {
        Master { weightless, ..self }
    }

    /// The ledger, to be read.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The ledger, back from a master that has ended.
    pub fn into_ledger(self) -> Ledger {
        self.ledger
    }

    /// How far the running trials are.
    pub fn progress(&self) -> impl Iterator<Item = &Progress> {
        self.workers.values().flat_map(|told| &told.progress)
    }

    /// Whether the study is winding up.
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Seconds of exploring so far, over all runs of the command.
    pub fn spent_seconds(&self, now: Instant) -> f64 {
        self.spent_before + now.since(self.started_at)
    }

    /// What to do now that this has happened.
    ///
    /// # Errors
    /// If the ledger cannot be read or written: then nothing may go on.
    pub fn step(&mut self, event: Event, now: Instant) -> Result<Vec<Action>, LedgerError> {
        let mut actions = Vec::new();
        match event {
            Event::Asked(worker, ask) => self.on_ask(worker, ask, now, &mut actions)?,
            Event::Left { worker, message } => self.on_left(worker, message, &mut actions)?,
            Event::Tick => self.write_spent(now)?,
            Event::Interrupt => self.end_for(EndReason::Interrupted),
        }
        self.decide_course(now)?;
        if self.ending.is_some() {
            self.wind_up(now, &mut actions)?;
        }
        Ok(actions)
    }

    fn on_ask(
        &mut self,
        worker: WorkerName,
        ask: Ask,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<(), LedgerError> {
        let answer = match ask {
            Ask::Hello => {
                let fresh = Told {
                    here: true,
                    ..Told::default()
                };
                self.workers.insert(worker.clone(), fresh);
                Answer::Welcome
            }
            Ask::Started { role, process } => {
                self.ledger.note_process(&worker, role, process, now)?;
                Answer::Noted { trial: None }
            }
            Ask::Propose { candidate } => Answer::Proposed {
                verdict: self.propose(&candidate, now)?,
            },
            Ask::Exhausted { reason } => {
                self.exhausted.insert(worker.clone());
                actions.push(Action::Log(Happening::Exhausted {
                    worker: worker.clone(),
                    reason,
                }));
                Answer::Noted { trial: None }
            }
            Ask::Claim { slot } => self.claim(&worker, slot, now, actions)?,
            Ask::Beat { leases, progress } => {
                let told = self.workers.entry(worker.clone()).or_default();
                told.progress = progress;
                Answer::Lost {
                    leases: self.beat(&worker, &leases, now)?,
                }
            }
            Ask::Look {
                lease,
                stage,
                score,
            } => Answer::Verdict {
                lease,
                verdict: self.judge.look(lease.trial, stage, score),
            },
            Ask::Stop { lease, stop } => self.stop(lease, stop, now, actions)?,
            Ask::Finish { lease, result } => self.finish(lease, result, now, actions)?,
            Ask::Fail { lease, reason } => self.fail(lease, reason, now, actions)?,
            Ask::Release { lease, crash } => self.release(lease, crash, now, actions)?,
        };
        let news = self.news_for(&worker, now)?;
        actions.push(Action::Reply(worker, Box::new(Reply { answer, news })));
        Ok(())
    }

    fn propose(
        &mut self,
        candidate: &Candidate,
        now: Instant,
    ) -> Result<ProposalVerdict, LedgerError> {
        if self.left_to_propose()? == Some(0) {
            return Ok(ProposalVerdict::BudgetSpent);
        }
        Ok(match self.ledger.propose(candidate, now)? {
            Proposed::Accepted(_) => ProposalVerdict::Queued,
            Proposed::Duplicate => ProposalVerdict::Duplicate,
            Proposed::BudgetSpent => ProposalVerdict::BudgetSpent,
        })
    }

    /// Reports come often, for the eyes; leases are extended, durably, only when it is time.
    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        now: Instant,
    ) -> Result<Vec<Lease>, LedgerError> {
        let told = self.workers.entry(worker.clone()).or_default();
        if told.beat_at.is_some_and(|at| now.since(at) < BEAT_SECS) {
            return Ok(Vec::new());
        }
        told.beat_at = Some(now);
        self.ledger.beat(leases, now)
    }

    fn claim(
        &mut self,
        worker: &WorkerName,
        slot: Slot,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<Answer, LedgerError> {
        if self.ending.is_some() {
            return Ok(Answer::NoWork { slot });
        }
        match self.ledger.claim(worker, slot, now)? {
            Some(claim) => match self.job(claim, now) {
                Ok(job) => Ok(Answer::Work {
                    slot,
                    job: Box::new(job),
                }),
                Err((lease, reason)) => {
                    self.fail(lease, reason, now, actions)?;
                    Ok(Answer::NoWork { slot })
                }
            },
            None => Ok(Answer::NoWork { slot }),
        }
    }

    fn job(&mut self, claim: Claim, now: Instant) -> Result<Job, (Lease, FailReason)> {
        let Claim {
            lease,
            candidate,
            parent,
        } = claim;
        let inherit = self.config.training.inherit;
        let is_there = |parent: &Parent| !self.weightless.contains(&parent.artifact);
        let parent = parent.filter(|parent| inherit != Inherit::Nothing && is_there(parent));
        let is_again = candidate.retrains().is_some();
        let start = match (is_again, &parent) {
            (true, _) => Start::Again,
            (false, Some(_)) => Start::Inherited,
            (false, None) => Start::Fresh,
        };
        let recipe = recipe::decide(
            &candidate.setting,
            &self.config.training,
            &self.targets,
            start,
        )
        .map_err(|error| {
            (
                lease,
                FailReason::Refused {
                    message: error.to_string(),
                },
            )
        })?;
        if !is_again {
            self.judge
                .begins(lease.trial, parent.as_ref().map(|parent| parent.score));
        }
        let inheritance = parent
            .zip(candidate.parent())
            .map(|(parent, id)| Inheritance {
                parent: id,
                architecture: parent.candidate.architecture,
                artifact: parent.artifact,
                morphs: match candidate.origin {
                    Origin::Variant { morphs, .. } => morphs,
                    _ => Vec::new(),
                },
                is_shrunk: inherit == Inherit::Shrunk,
            });
        let spent = self.spent_seconds(now);
        Ok(Job {
            lease,
            architecture: candidate.architecture,
            recipe,
            inheritance,
            seed: self.config.seed ^ lease.trial.0.wrapping_mul(SEED_SPREAD),
            seconds_max: match is_again {
                true => None,
                false => recipe::seconds_max(self.config.budget, self.config.resources),
            },
            seconds_left: self
                .config
                .budget
                .seconds
                .map(|seconds| (seconds - spent).max(0.0)),
        })
    }

    fn finish(
        &mut self,
        lease: Lease,
        result: Box<TrialResult>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<Answer, LedgerError> {
        let score = result.score;
        let trial = lease.trial;
        match self.ledger.finish(lease, &Ending::Finished(result), now)? {
            FinishOutcome::Recorded(_) => {
                self.restarts = 0;
                self.judge.ends(trial, score);
                let best = match self.ledger.best()?.filter(|best| best.id == trial) {
                    Some(best) => {
                        self.note_best(&best, now)?;
                        Standing::Best
                    }
                    None => Standing::Behind,
                };
                actions.push(Action::Log(Happening::Finished { trial, score, best }));
            }
            FinishOutcome::Again(_) => {}
            FinishOutcome::Stray => {
                actions.push(Action::Log(Happening::Stray { trial }));
            }
        }
        Ok(Answer::Noted { trial: Some(trial) })
    }

    fn stop(
        &mut self,
        lease: Lease,
        stop: Box<EarlyStop>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<Answer, LedgerError> {
        let (trial, epochs) = (lease.trial, stop.curve.len() as u32);
        let planned = stop.recipe.epochs.get();
        let expected = self.judge.expected(trial, &stop.curve, planned);
        let ending = Ending::Stopped { stop, expected };
        let outcome = self.ledger.finish(lease, &ending, now)?;
        if matches!(outcome, FinishOutcome::Recorded(_)) {
            self.restarts = 0;
            actions.push(Action::Log(Happening::Stopped {
                trial,
                epochs,
                planned,
            }));
        }
        Ok(Answer::Noted { trial: Some(trial) })
    }

    fn fail(
        &mut self,
        lease: Lease,
        reason: FailReason,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<Answer, LedgerError> {
        let trial = lease.trial;
        if reason == FailReason::OutOfTime && self.ending.is_some() {
            // Nothing is wrong with it: whoever goes on with the study tries it again.
            self.ledger.release(lease, &Release::Returned, now)?;
            return Ok(Answer::Noted { trial: Some(trial) });
        }
        self.ledger
            .finish(lease, &Ending::Failed(reason.clone()), now)?;
        actions.push(Action::Log(Happening::Failed { trial, reason }));
        Ok(Answer::Noted { trial: Some(trial) })
    }

    fn release(
        &mut self,
        lease: Lease,
        crash: Option<String>,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<Answer, LedgerError> {
        let trial = lease.trial;
        let release = match &crash {
            Some(message) => Release::Crashed {
                message: message.clone(),
            },
            None => Release::Returned,
        };
        let outcome = self.ledger.release(lease, &release, now)?;
        let happening = match (outcome, crash) {
            (ReleaseOutcome::GivenUp(reason), _) => Some(Happening::Failed { trial, reason }),
            (ReleaseOutcome::Queued, Some(message)) => Some(Happening::Crashed { trial, message }),
            _ => None,
        };
        actions.extend(happening.map(Action::Log));
        Ok(Answer::Noted { trial: Some(trial) })
    }

    fn on_left(
        &mut self,
        worker: WorkerName,
        message: String,
        actions: &mut Vec<Action>,
    ) -> Result<(), LedgerError> {
        let trials = self.ledger.release_all(Some(&worker))?;
        self.workers.remove(&worker);
        if self.ending.is_some() {
            return Ok(());
        }
        self.restarts += 1;
        let left = Happening::WorkerLeft {
            worker: worker.clone(),
            trials,
            message,
        };
        if self.restarts > RESTARTS_MAX {
            let Happening::WorkerLeft { message, .. } = &left else {
                unreachable!("built above")
            };
            self.end_for(EndReason::WorkersDie {
                message: message.clone(),
            });
        } else {
            actions.push(Action::StartWorker(worker));
        }
        actions.push(Action::Log(left));
        Ok(())
    }

    fn news_for(&mut self, worker: &WorkerName, now: Instant) -> Result<News, LedgerError> {
        let told = self.workers.get(worker).cloned().unwrap_or_default();
        let history = self.ledger.history(told.sequence)?;
        let pending = self.ledger.pending(TrialId(told.trial))?;
        let sequence = history.last().map_or(told.sequence, |row| row.sequence);
        let trial = pending.last().map_or(told.trial, |(trial, _)| trial.0);
        let course = self.course()?;
        let entry = self.workers.entry(worker.clone()).or_default();
        entry.sequence = sequence;
        entry.trial = trial;
        entry.stop_pushed |= course == Course::Stop;
        Ok(News {
            history,
            pending,
            budget_used: self.budget_used(now)?,
            queued: self.ledger.claimable(now)?,
            course,
        })
    }

    /// Share of the budget used.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn budget_used(&self, now: Instant) -> Result<f64, LedgerError> {
        let ended = self.ledger.counts()?.ended();
        Ok(self.config.budget.used(self.spent_seconds(now), ended))
    }

    fn course(&self) -> Result<Course, LedgerError> {
        if self.ending.is_some() {
            return Ok(Course::Stop);
        }
        Ok(if self.left_to_propose()? == Some(0) {
            Course::Drain
        } else {
            Course::Explore
        })
    }

    fn decide_course(&mut self, now: Instant) -> Result<(), LedgerError> {
        if self.finale == Finale::Ahead {
            self.begin_finale(now)?;
        }
        let spent = self.spent_seconds(now);
        if self
            .config
            .budget
            .seconds
            .is_some_and(|seconds| spent >= seconds)
        {
            self.end_for(EndReason::Time);
        }
        if self.ending.is_none() && self.ledger.counts()?.under_way() == 0 {
            let here = self.workers.values().filter(|told| told.here).count();
            if self.course()? == Course::Drain {
                self.end_for(EndReason::Trials);
            } else if here > 0 && self.exhausted.len() >= here {
                self.end_for(EndReason::Exhausted);
            }
        }
        Ok(())
    }

    fn end_for(&mut self, reason: EndReason) {
        self.ending.get_or_insert(reason);
    }

    /// Tells every worker to stop, once; ends when all have left.
    fn wind_up(&mut self, now: Instant, actions: &mut Vec<Action>) -> Result<(), LedgerError> {
        let untold: Vec<WorkerName> = self
            .workers
            .iter()
            .filter(|(_, told)| told.here && !told.stop_pushed)
            .map(|(worker, _)| worker.clone())
            .collect();
        for worker in untold {
            let news = self.news_for(&worker, now)?;
            let answer = Answer::Noted { trial: None };
            actions.push(Action::Reply(worker, Box::new(Reply { answer, news })));
        }
        if self.workers.is_empty() {
            self.ledger.set_spent_seconds(self.spent_seconds(now))?;
            actions.extend(self.ending.clone().map(Action::End));
        }
        Ok(())
    }

    fn write_spent(&mut self, now: Instant) -> Result<(), LedgerError> {
        if now.since(self.spent_written_at) >= SPENT_WRITE_SECS {
            self.spent_written_at = now;
            self.ledger.set_spent_seconds(self.spent_seconds(now))?;
        }
        Ok(())
    }
}

/// Spreads neighbouring trial numbers over all bits of a seed (2⁶⁴ divided by the golden ratio).
const SEED_SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
