//! What a worker is answered: every question of a slave node meets the ledger here.
//!
//! On one machine the master keeps the desk for all its workers; on a cluster every node has one of its own,
//! and the ledger is what they share. It reads no clock; what it has answered is durable.

use std::collections::{BTreeMap, BTreeSet};

use data::Targets;
use search::{Origin, Stage, TrialId};

use crate::{
    config::{Inherit, StudyConfig},
    helm::Present,
    judge::Judge,
    ledger::{
        Claim, ClaimKey, Ended, Ending, FinishOutcome, Ledger, LedgerError, Parent, Release,
        ReleaseOutcome, WORKER_CRASHES_MAX,
    },
    message::{Answer, Ask, Course, News, Progress, Reply},
    recipe::{self, Start},
    trial::{
        Digest, EarlyStop, FailReason, Inheritance, Instant, Job, Lease, Sequence, TrialResult,
        WorkerName,
    },
};

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
        best: Rank,
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
    /// A worker has come.
    WorkerJoined {
        /// Which.
        worker: WorkerName,
        /// On which machine.
        host: String,
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
    /// The ledger or the store is away; it is tried again.
    Waiting {
        /// What is said of it.
        reason: String,
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
pub enum Rank {
    /// Better than all before.
    Best,
    /// Not.
    Behind,
}

/// A lease is extended at most so many times while it lasts: more often than any node asks for it by itself.
const BEATS_PER_LEASE_MAX: f64 = 5.0;

/// What a worker has been told.
#[derive(Clone, Debug, Default)]
struct Told {
    incarnation: u32,
    slots: u16,
    sequence: Sequence,
    trial: u64,
    progress: Vec<Progress>,
    beat_at: Option<Instant>,
    is_exhausted: bool,
    is_stopped: bool,
    is_quarantined: bool,
}

/// The state of a desk.
#[derive(Debug)]
pub struct Desk {
    ledger: Box<dyn Ledger>,
    judge: Judge,
    /// How far it has followed what trainings came to, and how many have ended as far as it knows.
    judged: Sequence,
    ended: u64,
    config: StudyConfig,
    targets: Targets,
    workers: BTreeMap<WorkerName, Told>,
    host: String,
    quarantines: bool,
    /// Weights that rows name and that are no longer there.
    weightless: BTreeSet<Digest>,
}

impl Desk {
    /// A desk that knows what has happened so far. `targets` are those of the training rows: their number
    /// decides how long a trial is. `host` is the machine that its workers are on.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub fn new(
        ledger: Box<dyn Ledger>,
        config: StudyConfig,
        targets: Targets,
        host: String,
    ) -> Result<Desk, LedgerError> {
        let judge = Judge::new(config.training.rungs);
        Ok(Desk {
            ledger,
            judge,
            judged: Sequence(0),
            ended: 0,
            config,
            targets,
            workers: BTreeMap::new(),
            host,
            quarantines: false,
            weightless: BTreeSet::new(),
        })
    }

    /// Is told which weights are no longer there: what would inherit them begins with random ones.
    #[must_use]
    pub fn without(self, weightless: BTreeSet<Digest>) -> Desk {
        Desk { weightless, ..self }
    }

    /// Gives no more work to workers whose trainers die one after the other: elsewhere they may live.
    #[must_use]
    pub fn with_quarantine(self) -> Desk {
        Desk {
            quarantines: true,
            ..self
        }
    }

    /// The ledger, to be read.
    pub fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    /// Whether this worker gets no more work because its trainers died: it should leave. Once it is known, results
    /// that were on their way change nothing.
    pub fn is_quarantined(&self, worker: &WorkerName) -> bool {
        let told = self.workers.get(worker);
        told.is_some_and(|told| told.is_quarantined)
    }

    /// The ledger, for decisions about the study as a whole.
    pub(crate) fn ledger_mut(&mut self) -> &mut dyn Ledger {
        &mut *self.ledger
    }

    /// How far the running trials are.
    pub fn progress(&self) -> impl Iterator<Item = &Progress> {
        self.workers.values().flat_map(|told| &told.progress)
    }

    /// The workers that have greeted and not left.
    pub(crate) fn present(&self) -> Present {
        let exhausted = self.workers.values().filter(|told| told.is_exhausted);
        Present {
            workers: self.workers.len(),
            exhausted: exhausted.count(),
            slots: self
                .workers
                .values()
                .map(|told| u32::from(told.slots))
                .sum(),
        }
    }

    /// A worker's process is gone. Returns how many trials wait again.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn leave(&mut self, worker: &WorkerName, now: Instant) -> Result<usize, LedgerError> {
        self.workers.remove(worker);
        self.ledger.leave(worker, now)
    }

    /// Workers that have not heard yet that they should stop, each with what tells it.
    ///
    /// # Errors
    /// If the ledger cannot be read.
    pub(crate) fn stops(&mut self, now: Instant) -> Result<Vec<(WorkerName, Reply)>, LedgerError> {
        let untold = self.workers.iter().filter(|(_, told)| !told.is_stopped);
        let untold: Vec<WorkerName> = untold.map(|(worker, _)| worker.clone()).collect();
        let answer = Answer::Noted { trial: None };
        let mut stops = Vec::new();
        for worker in untold {
            let news = self.news_for(&worker, now)?;
            let answer = answer.clone();
            stops.push((worker, Reply { answer, news }));
        }
        Ok(stops)
    }

    /// Answers a worker; what happened by it is added to `log`.
    ///
    /// # Errors
    /// If the ledger cannot be read or written. The same may be asked again: nothing is counted twice.
    pub fn answer(
        &mut self,
        worker: &WorkerName,
        ask: &Ask,
        now: Instant,
        log: &mut Vec<Happening>,
    ) -> Result<Reply, LedgerError> {
        let answer = match ask {
            Ask::Hello { slots } => self.welcome(worker, *slots, now)?,
            Ask::Started { role, process } => {
                self.ledger.note_process(worker, *role, *process, now)?;
                Answer::Noted { trial: None }
            }
            Ask::Propose { candidate } => {
                self.ledger.propose(candidate, now)?;
                Answer::Proposed
            }
            Ask::Exhausted { reason } => self.exhausted(worker, reason, log)?,
            Ask::Claim { slot, number } => {
                let key = ClaimKey {
                    slot: *slot,
                    incarnation: self.told(worker).incarnation,
                    number: *number,
                };
                self.claim(worker, key, now, log)?
            }
            Ask::Beat {
                leases,
                unnoted,
                progress,
            } => {
                self.told(worker).progress.clone_from(progress);
                let held = [leases.as_slice(), unnoted].concat();
                let leases = self.beat(worker, &held, now)?;
                Answer::Lost { leases }
            }
            Ask::Look {
                lease,
                stage,
                score,
            } => self.look(*lease, *stage, *score)?,
            Ask::Checkpoint { lease, checkpoint } => self.checkpoint(*lease, checkpoint)?,
            Ask::Stop { lease, stop } => self.stop(*lease, stop, now, log)?,
            Ask::Finish { lease, result } => self.finish(*lease, result, now, log)?,
            Ask::Fail { lease, reason } => self.fail(*lease, reason, now, log)?,
            Ask::Weightless { lease, weights } => {
                self.weightless.insert(weights.clone());
                let checkpoint = None;
                self.release(*lease, &Release::Returned { checkpoint }, now, log)?
            }
            Ask::Release {
                lease,
                crash,
                checkpoint,
            } => {
                let release = match crash.clone() {
                    Some(message) => Release::Crashed { message },
                    None => Release::Returned {
                        checkpoint: checkpoint.clone(),
                    },
                };
                self.release(*lease, &release, now, log)?
            }
        };
        let news = self.news_for(worker, now)?;
        Ok(Reply { answer, news })
    }

    fn welcome(
        &mut self,
        worker: &WorkerName,
        slots: u16,
        now: Instant,
    ) -> Result<Answer, LedgerError> {
        let joined = self.ledger.join(worker, &self.host, slots, now)?;
        let told = Told {
            incarnation: joined.incarnation,
            slots,
            ..Told::default()
        };
        self.workers.insert(worker.clone(), told);
        Ok(Answer::Welcome)
    }

    fn exhausted(
        &mut self,
        worker: &WorkerName,
        reason: &str,
        log: &mut Vec<Happening>,
    ) -> Result<Answer, LedgerError> {
        self.ledger.note_exhausted(worker)?;
        self.told(worker).is_exhausted = true;
        let (worker, reason) = (worker.clone(), reason.to_string());
        log.push(Happening::Exhausted { worker, reason });
        Ok(Answer::Noted { trial: None })
    }

    fn checkpoint(&mut self, lease: Lease, checkpoint: &Digest) -> Result<Answer, LedgerError> {
        Ok(match self.ledger.note_checkpoint(lease, checkpoint)? {
            true => Answer::Noted { trial: None },
            false => Answer::Lost {
                leases: vec![lease],
            },
        })
    }

    fn look(&mut self, lease: Lease, stage: Stage, score: f64) -> Result<Answer, LedgerError> {
        self.follow()?;
        let verdict = self.judge.look(lease.trial, stage, score);
        Ok(Answer::Verdict { lease, verdict })
    }

    fn told(&mut self, worker: &WorkerName) -> &mut Told {
        self.workers.entry(worker.clone()).or_default()
    }

    /// Reports come often, for the eyes; leases are extended, durably, only when it is time.
    fn beat(
        &mut self,
        worker: &WorkerName,
        leases: &[Lease],
        now: Instant,
    ) -> Result<Vec<Lease>, LedgerError> {
        let pause = self.ledger.lease_secs() / BEATS_PER_LEASE_MAX;
        let told = self.told(worker);
        if told.beat_at.is_some_and(|at| now.since(at) < pause) {
            return Ok(Vec::new());
        }
        let progress = told.progress.clone();
        let lost = self.ledger.beat(worker, leases, &progress, now)?;
        self.told(worker).beat_at = Some(now);
        Ok(lost)
    }

    fn claim(
        &mut self,
        worker: &WorkerName,
        key: ClaimKey,
        now: Instant,
        log: &mut Vec<Happening>,
    ) -> Result<Answer, LedgerError> {
        let slot = key.slot;
        if self.is_quarantined(worker) {
            return Ok(Answer::NoWork { slot });
        }
        let standing = self.ledger.standing(now)?;
        if standing.course(self.config.budget.seconds) == Course::Stop {
            return Ok(Answer::NoWork { slot });
        }
        let Some(claim) = self.ledger.claim(worker, key, now)? else {
            return Ok(Answer::NoWork { slot });
        };
        match self.job(claim, standing.spent_seconds) {
            Ok(job) => {
                let job = Box::new(job);
                Ok(Answer::Work { slot, job })
            }
            Err((lease, reason)) => {
                self.fail(lease, &reason, now, log)?;
                Ok(Answer::NoWork { slot })
            }
        }
    }

    fn job(&mut self, claim: Claim, spent: f64) -> Result<Job, (Lease, FailReason)> {
        let Claim {
            lease,
            candidate,
            parent,
            checkpoint,
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
                .begins(lease.trial, parent.as_ref().map(|parent| parent.best_score));
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
        Ok(Job {
            lease,
            architecture: candidate.architecture,
            recipe,
            inheritance,
            checkpoint,
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
        result: &TrialResult,
        now: Instant,
        log: &mut Vec<Happening>,
    ) -> Result<Answer, LedgerError> {
        let (trial, score) = (lease.trial, result.score);
        let ending = Ending::Finished(Box::new(result.clone()));
        match self.ledger.finish(lease, &ending, now)? {
            FinishOutcome::Recorded { sequence, is_best } => {
                self.note_place(sequence);
                self.judge.ends(trial, score);
                let best = match is_best {
                    true => Rank::Best,
                    false => Rank::Behind,
                };
                log.push(Happening::Finished { trial, score, best });
            }
            FinishOutcome::Again(_) => {}
            FinishOutcome::Stray => log.push(Happening::Stray { trial }),
        }
        Ok(Answer::Noted { trial: Some(trial) })
    }

    fn stop(
        &mut self,
        lease: Lease,
        stop: &EarlyStop,
        now: Instant,
        log: &mut Vec<Happening>,
    ) -> Result<Answer, LedgerError> {
        let (trial, epochs) = (lease.trial, stop.curve.len() as u32);
        let planned = stop.recipe.epochs.get();
        self.follow()?;
        let expected = self.judge.expected(trial, &stop.curve, planned);
        let stop = Box::new(stop.clone());
        let ending = Ending::Stopped { stop, expected };
        let outcome = self.ledger.finish(lease, &ending, now)?;
        self.judge.forget(trial);
        if let FinishOutcome::Recorded { sequence, .. } = outcome {
            self.note_place(sequence);
            log.push(Happening::Stopped {
                trial,
                epochs,
                planned,
            });
        }
        Ok(Answer::Noted { trial: Some(trial) })
    }

    fn fail(
        &mut self,
        lease: Lease,
        reason: &FailReason,
        now: Instant,
        log: &mut Vec<Happening>,
    ) -> Result<Answer, LedgerError> {
        let trial = lease.trial;
        let noted = Answer::Noted { trial: Some(trial) };
        if *reason == FailReason::OutOfTime {
            let standing = self.ledger.standing(now)?;
            if standing.course(self.config.budget.seconds) == Course::Stop {
                // Nothing is wrong with it: whoever goes on with the study tries it again.
                let checkpoint = None;
                let release = Release::Returned { checkpoint };
                self.ledger.release(lease, &release, now)?;
                return Ok(noted);
            }
        }
        let reason = reason.clone();
        let ending = Ending::Failed(reason.clone());
        if let FinishOutcome::Recorded { sequence, .. } = self.ledger.finish(lease, &ending, now)? {
            self.note_place(sequence);
            log.push(Happening::Failed { trial, reason });
        }
        Ok(noted)
    }

    fn release(
        &mut self,
        lease: Lease,
        release: &Release,
        now: Instant,
        log: &mut Vec<Happening>,
    ) -> Result<Answer, LedgerError> {
        let trial = lease.trial;
        let outcome = self.ledger.release(lease, release, now)?;
        log.extend(match (outcome, release) {
            (ReleaseOutcome::GivenUp(reason), _) => Some(Happening::Failed { trial, reason }),
            (ReleaseOutcome::Queued, Release::Crashed { message }) => {
                let message = message.clone();
                Some(Happening::Crashed { trial, message })
            }
            _ => None,
        });
        Ok(Answer::Noted { trial: Some(trial) })
    }

    fn news_for(&mut self, worker: &WorkerName, now: Instant) -> Result<News, LedgerError> {
        let (sequence, trial) = match self.workers.get(worker) {
            Some(told) => (told.sequence, TrialId(told.trial)),
            None => (Sequence(0), TrialId(0)),
        };
        let unheard = self.ledger.unheard(worker, sequence, trial, now)?;
        self.ended = unheard.ended;
        let budget = self.config.budget;
        let is_quarantined = self.quarantines && unheard.crashes >= WORKER_CRASHES_MAX;
        let course = unheard.standing.course(budget.seconds);
        let told = self.told(worker);
        told.is_quarantined |= is_quarantined;
        told.sequence = unheard.history.last().map_or(sequence, |row| row.sequence);
        told.trial = unheard.pending.last().map_or(trial.0, |(trial, _)| trial.0);
        told.is_stopped |= course == Course::Stop;
        Ok(News {
            history: unheard.history,
            pending: unheard.pending,
            budget_used: budget.used(unheard.standing.spent_seconds, unheard.ended),
            queued: unheard.claimable,
            course,
        })
    }

    /// What this desk has recorded itself, in order, needs not be read again.
    fn note_place(&mut self, sequence: Sequence) {
        if sequence.0 == self.judged.0 + 1 {
            self.judged = sequence;
        }
    }

    /// Learns what trainings of other nodes have come to, as far as it has heard that they have ended: only when
    /// there is something to judge, because every node of a cluster reads this of every trial.
    fn follow(&mut self) -> Result<(), LedgerError> {
        while self.judge.compares() && self.judged.0 < self.ended {
            let ended = self.ledger.tracks(self.judged)?;
            let Some(last) = ended.last().map(|last| last.sequence) else {
                return Ok(());
            };
            for Ended { trial, track, .. } in &ended {
                if let Some(track) = track {
                    self.judge.note_ended(*trial, track);
                }
            }
            self.judged = last;
        }
        Ok(())
    }
}

/// Spreads neighbouring trial numbers over all bits of a seed (2⁶⁴ divided by the golden ratio).
const SEED_SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
