//! What others must know of a trial that has ended, to compare their trainings with it: a few numbers, where the
//! whole result is ten thousand bytes that every node of a cluster would read of every trial.

use search::TrialId;
use serde::{Deserialize, Serialize};
use train::EpochReport;

use super::Ending;
use crate::trial::{Sequence, Trial, TrialResult, TrialState};

/// The course of a training that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Whether it began with inherited weights.
    pub is_inherited: bool,
    /// How many epochs were planned.
    pub planned: u32,
    /// How many were trained.
    pub trained: u32,
    /// Every epoch, from 1, that was better than all before it, and its score.
    pub bests: Vec<(u32, f64)>,
    /// The score of the whole training; absent if it was stopped.
    pub score: Option<f64>,
}

/// A place of the history: which trial has ended, and its track, if others are compared with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// The place.
    pub sequence: Sequence,
    /// Which trial.
    pub trial: TrialId,
    /// Absent of a trial that failed, and of one that was trained once more, for longer.
    pub track: Option<Track>,
}

impl Track {
    /// Of a trial that ended like this; `None` if it failed.
    pub fn of(ending: &Ending) -> Option<Track> {
        match ending {
            Ending::Finished(result) => Some(Track {
                score: Some(result.score),
                ..Track::along(
                    &result.curve,
                    result.recipe.epochs.get(),
                    result.inheritance.is_some(),
                )
            }),
            Ending::Stopped { stop, .. } => Some(Track::along(
                &stop.curve,
                stop.recipe.epochs.get(),
                stop.inheritance.is_some(),
            )),
            Ending::Failed(_) => None,
        }
    }

    fn along(curve: &[EpochReport], planned: u32, is_inherited: bool) -> Track {
        let mut bests: Vec<(u32, f64)> = Vec::new();
        for (number, epoch) in (1..).zip(curve) {
            let is_best = bests.last().is_none_or(|(_, best)| epoch.score > *best);
            // JSON knows no infinite numbers; a beginning without any other is as bad as can be.
            if is_best && epoch.score.is_finite() {
                bests.push((number, epoch.score));
            }
        }
        Track {
            is_inherited,
            planned,
            trained: curve.len() as u32,
            bests,
            score: None,
        }
    }

    /// The best score within the first so many epochs; `None` if fewer were trained.
    pub fn best_within(&self, epochs: u32) -> Option<f64> {
        let within = self.bests.iter().rev().find(|(epoch, _)| *epoch <= epochs);
        let is_trained = (1..=self.trained).contains(&epochs);
        is_trained.then(|| within.map_or(f64::NEG_INFINITY, |(_, score)| *score))
    }
}

impl TrialResult {
    /// The best score of its epochs; its own if none of them has a finite one.
    ///
    /// With cross-validation the epochs are those of the first fold. A child is compared with its parent while it
    /// trains on that fold, and what all folds came to together says nothing of how hard the rows of one of them are.
    pub(super) fn best_of_epochs(&self) -> f64 {
        let scores = self.curve.iter().map(|epoch| epoch.score);
        let best = scores.filter(|score| score.is_finite()).reduce(f64::max);
        best.unwrap_or(self.score)
    }
}

impl Ended {
    /// Of a trial, if it has ended.
    pub fn of(trial: &Trial) -> Option<Ended> {
        let ending = match &trial.state {
            TrialState::Finished { result, .. } => Ending::Finished(result.clone()),
            TrialState::Stopped { stop, expected, .. } => Ending::Stopped {
                stop: stop.clone(),
                expected: *expected,
            },
            TrialState::Failed { reason, .. } => Ending::Failed(reason.clone()),
            TrialState::Queued | TrialState::Running { .. } => return None,
        };
        let is_compared = trial.candidate.retrains().is_none();
        Some(Ended {
            sequence: trial.sequence()?,
            trial: trial.id,
            track: is_compared.then(|| Track::of(&ending)).flatten(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use train::Evaluation;

    use super::*;
    use crate::trial::Digest;

    fn curve(scores: &[f64]) -> Vec<EpochReport> {
        let epoch = |(number, score): (u32, &f64)| EpochReport {
            epoch: number,
            train_loss: 1.0,
            validation: Evaluation {
                rows: 1,
                loss: 1.0,
                metrics: BTreeMap::new(),
            },
            score: *score,
            seconds: 1.0,
        };
        (1..).zip(scores).map(epoch).collect()
    }

    #[test]
    fn the_best_epoch_is_one_of_the_first_fold_whatever_all_folds_came_to() {
        let best = |scores: &[f64]| {
            let result = TrialResult {
                score: 0.9,
                loss: 1.0,
                metrics: BTreeMap::new(),
                epoch: 1,
                curve: curve(scores),
                ended: train::Ended::AllEpochs,
                artifact: Digest::of(b"weights"),
                artifact_bytes: 7,
                inheritance: None,
                seconds: 1.0,
                memory_bytes: 1,
                recipe: train::Recipe::default(),
            };
            result.best_of_epochs()
        };
        assert_eq!(best(&[0.3, 0.5, 0.4]), 0.5);
        assert_eq!(best(&[0.3, f64::INFINITY, f64::NAN]), 0.3);
        assert_eq!(best(&[]), 0.9);
    }

    #[test]
    fn a_track_knows_the_best_of_every_beginning_that_was_trained() {
        let scores = [0.3, 0.2, 0.5, 0.5, 0.4];
        let track = Track::along(&curve(&scores), 8, false);
        assert_eq!(track.bests, [(1, 0.3), (3, 0.5)]);
        for epochs in 1..=5_u32 {
            let first = &scores[..epochs as usize];
            let best = first.iter().copied().reduce(f64::max);
            assert_eq!(track.best_within(epochs), best);
        }
        assert_eq!(track.best_within(6), None);
        assert_eq!(track.best_within(0), None);
    }
}
