//! Who goes on: the master's view of all trainings at their rungs ([`search::rungs`]).
//!
//! Nothing of it is durable by itself: every ended trial keeps its curve, and a judge made anew from the
//! ledger knows what its predecessor knew of them.

use std::collections::BTreeMap;

use search::{Birth, Ladder, Look, Rule, Rungs, Stage, TrialId, Verdict};
use train::EpochReport;

use crate::ledger::Track;

/// What a trial began with.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Beginning {
    birth: Birth,
    parent: Option<f64>,
}

/// Decides at rungs which trainings go on.
#[derive(Debug)]
pub(crate) struct Judge {
    rungs: Rungs,
    ladder: Ladder,
    running: BTreeMap<TrialId, Beginning>,
}

impl Judge {
    /// A judge who knows of no training yet.
    pub(crate) fn new(rungs: Rungs) -> Judge {
        Judge {
            rungs,
            ladder: Ladder::default(),
            running: BTreeMap::new(),
        }
    }

    /// A training has ended somewhere.
    pub(crate) fn note_ended(&mut self, trial: TrialId, track: &Track) {
        let birth = birth(track.is_inherited);
        for (rung, length) in self.rungs.of(track.planned) {
            if let Some(score) = track.best_within(length) {
                self.ladder.note(trial, birth, rung, score);
            }
        }
        if let Some(score) = track.score {
            self.ladder.end(trial, birth, score);
        }
    }

    /// Whether it needs to know of other trainings.
    pub(crate) fn compares(&self) -> bool {
        self.rungs.rule != Rule::None
    }

    /// A training begins; `parent` is the best score of the epochs of the trial whose weights it inherits.
    pub(crate) fn begins(&mut self, trial: TrialId, parent: Option<f64>) {
        let birth = birth(parent.is_some());
        self.running.insert(trial, Beginning { birth, parent });
    }

    /// A training has come to a rung with this score, the best of its epochs so far.
    pub(crate) fn look(&mut self, trial: TrialId, stage: Stage, score: f64) -> Verdict {
        let Some(Beginning { birth, parent }) = self.running.get(&trial).copied() else {
            return Verdict::Continue;
        };
        let look = Look {
            trial,
            birth,
            parent,
            stage,
            score,
        };
        self.ladder.look(self.rungs, look)
    }

    /// A training has ended whole.
    pub(crate) fn ends(&mut self, trial: TrialId, score: f64) {
        if let Some(Beginning { birth, .. }) = self.running.remove(&trial) {
            self.ladder.end(trial, birth, score);
        }
    }

    /// A training has ended before its time.
    pub(crate) fn forget(&mut self, trial: TrialId) {
        self.running.remove(&trial);
    }

    /// The score that a training would have ended with that was stopped, out of so many epochs.
    pub(crate) fn expected(&self, trial: TrialId, curve: &[EpochReport], epochs: u32) -> f64 {
        let birth = self.running.get(&trial).map(|running| running.birth);
        let mut longest_first = self.rungs.of(epochs).into_iter().rev();
        let last = longest_first.find(|(_, length)| *length as usize <= curve.len());
        let scored = last.and_then(|(rung, length)| Some((rung, best_of(curve, length)?)));
        match (birth, scored) {
            (Some(birth), Some((rung, score))) => self.ladder.expected(birth, rung, score),
            _ => best_of(curve, curve.len() as u32).unwrap_or(f64::NEG_INFINITY),
        }
    }
}

fn birth(is_inherited: bool) -> Birth {
    match is_inherited {
        true => Birth::Inherited,
        false => Birth::Fresh,
    }
}

/// The best score within the first so many epochs; `None` if the curve is shorter.
fn best_of(curve: &[EpochReport], epochs: u32) -> Option<f64> {
    let first = curve.get(..epochs as usize)?;
    first.iter().map(|epoch| epoch.score).reduce(f64::max)
}
