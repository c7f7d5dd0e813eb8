//! Where a study goes: whether it goes on, drains or ends, and when its best models are trained once more.
//!
//! Decided from the ledger and the time, by whoever is master: of one machine or of a cluster. Every decision
//! is written into the ledger, where all desks see it; to decide the same twice changes nothing. It names the term
//! in which this master leads: one that is no longer master by now writes nothing.
//!
//! Towards the end the best models are trained once more, for longer, from scratch and from their own weights.
//! A model that was found late in a lineage has met many short trainings; one that trains from scratch may
//! end better (Ash, Adams 2020, arXiv:1910.08475), and one that goes on may, too. Only a measurement tells.

use search::{Origin, Restart, TrialId};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Inherit, Retrain, StudyConfig},
    ledger::{Ledger, LedgerError, Standing, Term},
    message::Course,
    trial::{Candidate, Instant, Trial},
};

/// How often the time spent is written to the ledger, in seconds.
const SPENT_WRITE_SECS: f64 = 2.0;

/// Share of the time after which the best models so far are trained once more, for longer.
const FINALE_AT: f64 = 0.8;

/// A budget of fewer trials than this keeps none of them back for that.
const FINALE_TRIALS_MIN: u64 = 10;

/// Why a study ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "because", rename_all = "snake_case")]
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

/// Whether the best models are being trained once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finale {
    /// They never will be.
    Never,
    /// Not yet.
    Ahead,
    /// Yes, and what becomes the best from now on will be, too.
    Begun,
    /// Yes, and nothing else will be proposed.
    Last,
}

/// Who works for a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    /// How many workers are there.
    pub(crate) workers: usize,
    /// How many of them find nothing new.
    pub(crate) exhausted: usize,
    /// Trainers of all of them.
    pub(crate) slots: u32,
}

/// What a master knows of where the study goes.
#[derive(Debug)]
pub(crate) struct Helm {
    config: StudyConfig,
    term: Term,
    finale: Finale,
    best: Option<TrialId>,
    ending: Option<EndReason>,
    counted_at: Instant,
}

impl Helm {
    /// Takes a study up, at this time; one that is ending goes on ending. Who starts to explore it again says
    /// so in the ledger first.
    ///
    /// # Errors
    /// If the ledger cannot be read or written, or another master leads.
    pub(crate) fn take_up(
        ledger: &mut dyn Ledger,
        config: StudyConfig,
        term: Term,
        now: Instant,
    ) -> Result<Helm, LedgerError> {
        ledger.resume_clock(term, now)?;
        let ending = ledger.standing(now)?.ending;
        let finale = match config.training.retrain {
            Retrain::Nothing => Finale::Never,
            Retrain::Best if ledger.trials()?.iter().any(waits_to_be_trained_again) => {
                Finale::Begun
            }
            Retrain::Best => Finale::Ahead,
        };
        let helm = Helm {
            config,
            term,
            finale,
            best: None,
            ending: ending.and_then(|text| serde_json::from_str(&text).ok()),
            counted_at: now,
        };
        ledger.keep_back(term, helm.kept_back(finale), now)?;
        Ok(helm)
    }

    /// The time in which this master leads.
    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Counts the time that has passed.
    ///
    /// # Errors
    /// If the ledger cannot be written, or another master leads.
    pub(crate) fn count_time(
        &self,
        ledger: &mut dyn Ledger,
        now: Instant,
    ) -> Result<(), LedgerError> {
        ledger.count_time(self.term, now)
    }

    /// Why the study ends, if it does.
    pub(crate) fn ending(&self) -> Option<&EndReason> {
        self.ending.as_ref()
    }

    /// The study ends, for the first reason there is.
    ///
    /// # Errors
    /// If the ledger cannot be written, or another master leads.
    pub(crate) fn end_for(
        &mut self,
        ledger: &mut dyn Ledger,
        reason: EndReason,
        now: Instant,
    ) -> Result<(), LedgerError> {
        if self.ending.is_none() {
            let text = serde_json::to_string(&reason).expect("a reason has string keys only");
            ledger.set_ending(self.term, &text, now)?;
            self.ending = Some(reason);
        }
        Ok(())
    }

    /// Decides what follows from what has happened.
    ///
    /// # Errors
    /// If the ledger cannot be read or written, or another master leads.
    pub(crate) fn decide(
        &mut self,
        ledger: &mut dyn Ledger,
        present: Present,
        now: Instant,
    ) -> Result<(), LedgerError> {
        if self.ending.is_some() {
            return Ok(());
        }
        if now.since(self.counted_at) >= SPENT_WRITE_SECS {
            self.counted_at = now;
            self.count_time(ledger, now)?;
        }
        let standing = ledger.standing(now)?;
        match self.finale {
            Finale::Ahead => self.begin_finale(ledger, &standing, present.slots, now)?,
            Finale::Begun => self.follow_the_best(ledger, &standing, now)?,
            Finale::Never | Finale::Last => {}
        }
        let limit = self.config.budget.seconds;
        if limit.is_some_and(|seconds| standing.spent_seconds >= seconds) {
            return self.end_for(ledger, EndReason::Time, now);
        }
        let course = ledger.standing(now)?.course(limit);
        let reason = match present {
            _ if course == Course::Drain => EndReason::Trials,
            Present {
                workers, exhausted, ..
            } if workers > 0 && exhausted >= workers => EndReason::Exhausted,
            _ => return Ok(()),
        };
        // Trials are counted last, and only then: this is asked at every event.
        match ledger.counts()?.under_way() {
            0 => self.end_for(ledger, reason, now),
            _ => Ok(()),
        }
    }

    /// What the best models begin with when they are trained once more.
    fn restarts_of_the_best(&self) -> &'static [Restart] {
        match self.config.training.inherit {
            Inherit::Nothing => &[Restart::Scratch],
            _ => &[Restart::Scratch, Restart::Lineage],
        }
    }

    /// Of a budget of trials, some are kept back for the finale while it is ahead; at the end, all that are left.
    fn kept_back(&self, finale: Finale) -> u64 {
        match (finale, self.config.budget.trials) {
            (Finale::Last, _) => u64::MAX,
            (Finale::Ahead, Some(trials)) if trials >= FINALE_TRIALS_MIN => {
                self.restarts_of_the_best().len() as u64
            }
            _ => 0,
        }
    }

    /// Towards the end the best models are trained once more: as many as there are trainers for.
    fn begin_finale(
        &mut self,
        ledger: &mut dyn Ledger,
        standing: &Standing,
        slots: u32,
        now: Instant,
    ) -> Result<(), LedgerError> {
        let limit = self.config.budget.seconds;
        let is_late = limit.is_some_and(|limit| standing.spent_seconds >= FINALE_AT * limit);
        // This is asked at every event: trials are counted only where it matters.
        let is_last = self.config.budget.trials >= Some(FINALE_TRIALS_MIN)
            && standing.course(None) == Course::Drain
            && ledger.counts()?.under_way() == 0;
        if !(is_late || is_last) {
            return Ok(());
        }
        let restarts = self.restarts_of_the_best().len() as u32;
        // Of a cluster the configuration knows no trainers, and at the beginning none may have come.
        let slots = slots.max(self.config.resources.total_slots());
        let models = (slots / restarts).max(1);
        let best = ledger.best_originals(models)?;
        if is_last && best.is_empty() {
            // No trial has a score: what was kept back for the best is explored with, too.
            ledger.keep_back(self.term, 0, now)?;
            self.finale = Finale::Never;
            return Ok(());
        }
        for best in best {
            self.train_again(ledger, &best, now)?;
        }
        let begun = match is_last {
            true => Finale::Last,
            false => Finale::Begun,
        };
        ledger.keep_back(self.term, self.kept_back(begun), now)?;
        // Only now: if the ledger was lost in between, all of it is done again.
        self.finale = begun;
        self.best = standing.best;
        Ok(())
    }

    /// While the finale is on, what becomes the best is trained once more like those before it.
    fn follow_the_best(
        &mut self,
        ledger: &mut dyn Ledger,
        standing: &Standing,
        now: Instant,
    ) -> Result<(), LedgerError> {
        let Some(best) = standing.best.filter(|_| standing.best != self.best) else {
            return Ok(());
        };
        let trial = ledger.trial(best)?;
        if trial.candidate.retrains().is_none() {
            self.train_again(ledger, &trial, now)?;
        }
        self.best = Some(best);
        Ok(())
    }

    /// Proposes the last trainings of a model; those that the study has already are left out.
    fn train_again(
        &self,
        ledger: &mut dyn Ledger,
        best: &Trial,
        now: Instant,
    ) -> Result<(), LedgerError> {
        for start in self.restarts_of_the_best() {
            let origin = Origin::Retrained {
                of: best.id,
                start: *start,
            };
            let again = Candidate {
                origin,
                promise: None,
                ..best.candidate.clone()
            };
            ledger.propose(&again, now)?;
        }
        Ok(())
    }
}

fn waits_to_be_trained_again(trial: &Trial) -> bool {
    trial.candidate.retrains().is_some() && trial.sequence().is_none()
}
