//! The end of a study: its best models are trained once more, for longer, from scratch and from their own
//! weights, while there is budget left for it. What comes out best is kept like any other trial.
//!
//! A model that was found late in a lineage has met many short trainings; one that trains from scratch may
//! end better (Ash, Adams 2020, arXiv:1910.08475), and one that goes on may, too. Only a measurement tells.

use search::{Origin, Restart};

use super::Master;
use crate::{
    config::{Inherit, Retrain, StudyConfig},
    ledger::LedgerError,
    trial::{Candidate, Instant, Trial},
};

/// Share of the time after which the best models so far are trained once more, for longer.
const FINALE_AT: f64 = 0.8;

/// A budget of fewer trials than this keeps none of them back for that.
const FINALE_TRIALS_MIN: u64 = 10;

/// Whether the best models are being trained once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finale {
    /// They never will be.
    Never,
    /// Not yet.
    Ahead,
    /// Yes, and what becomes the best from now on will be, too.
    Begun,
    /// Yes, and nothing else will be proposed.
    Last,
}

impl Finale {
    /// Where a study with these trials is.
    pub(super) fn of(config: &StudyConfig, trials: &[Trial]) -> Finale {
        let is_waiting =
            |trial: &Trial| trial.candidate.retrains().is_some() && trial.sequence().is_none();
        match config.training.retrain {
            Retrain::Nothing => Finale::Never,
            Retrain::Best if trials.iter().any(is_waiting) => Finale::Begun,
            Retrain::Best => Finale::Ahead,
        }
    }
}

impl Master {
    /// How many trials generators may still propose; unlimited if absent.
    pub(super) fn left_to_propose(&self) -> Result<Option<u64>, LedgerError> {
        let kept_back = match (self.finale, self.config.budget.trials) {
            (Finale::Last, _) => return Ok(Some(0)),
            (Finale::Ahead, Some(trials)) if trials >= FINALE_TRIALS_MIN => {
                self.restarts_of_the_best().len() as u64
            }
            _ => 0,
        };
        let left = self.ledger.record()?.trials_max;
        Ok(left.map(|left| left.saturating_sub(kept_back)))
    }

    /// What the best models begin with when they are trained once more.
    fn restarts_of_the_best(&self) -> &'static [Restart] {
        match self.config.training.inherit {
            Inherit::Nothing => &[Restart::Scratch],
            _ => &[Restart::Scratch, Restart::Lineage],
        }
    }

    /// Towards the end the best models are trained once more: as many as there are trainers for.
    pub(super) fn begin_finale(&mut self, now: Instant) -> Result<(), LedgerError> {
        let seconds = self.config.budget.seconds;
        let is_late = seconds.is_some_and(|limit| self.spent_seconds(now) >= FINALE_AT * limit);
        // This is asked at every event: trials are counted only where it matters.
        let is_last = self.config.budget.trials >= Some(FINALE_TRIALS_MIN)
            && self.left_to_propose()? == Some(0)
            && self.ledger.counts()?.under_way() == 0;
        if self.ending.is_some() || !(is_late || is_last) {
            return Ok(());
        }
        self.finale = match is_last {
            true => Finale::Last,
            false => Finale::Begun,
        };
        let restarts = self.restarts_of_the_best().len() as u32;
        let models = (self.config.resources.total_slots() / restarts).max(1);
        for best in self.ledger.best_originals(models)? {
            self.train_again(&best, now)?;
        }
        Ok(())
    }

    /// Proposes the last trainings of a model; those that the study has already are left out.
    fn train_again(&mut self, best: &Trial, now: Instant) -> Result<(), LedgerError> {
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
            self.ledger.propose(&again, now)?;
        }
        Ok(())
    }

    /// A trial has become the best: if the finale is on, it is trained once more like those before it.
    pub(super) fn note_best(&mut self, best: &Trial, now: Instant) -> Result<(), LedgerError> {
        let is_original = best.candidate.retrains().is_none();
        match is_original && self.finale == Finale::Begun && self.ending.is_none() {
            true => self.train_again(best, now),
            false => Ok(()),
        }
    }
}
