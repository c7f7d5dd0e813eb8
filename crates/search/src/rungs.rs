//! Rungs: a training that has fallen behind others is stopped before its end.
//!
//! Trainings are looked at after 1/η, 1/η² … of their epochs, so that those of different lengths are
//! compared at the same stage of their learning-rate schedule; never before one in [`EARLIEST`] of them is
//! over, because slow learners win, and a training that was stopped is lost. Nobody waits for anybody.
//! Trainings that began with inherited weights are ahead of those that did not, so each kind is compared
//! with its own; and at its first rung a child that is at least as good as its parent's best epoch always goes on.
//! A score at a rung is never taken for a model's score: only whole trainings can win.

mod forecast;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    normal,
    pool::TrialId,
    rungs::forecast::{Line, Normal},
};

/// No training is looked at before one in so many of its epochs is over: with looks after 1, 2, 6 and 18 of
/// 52 the only good model was stopped in most searches on three of six recorded tasks (decision 0012).
pub const EARLIEST: u32 = 4;

/// [`Rule::Halving`] lets so many of so many go on (decision 0012).
const KEPT: (usize, usize) = (2, 5);

/// A training with less chance than this to end above the best is stopped by [`Rule::Extrapolation`].
const CHANCE_MIN: f64 = 0.05;

/// Which trainings go on at a rung.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// All: there are no rungs.
    None,
    /// Those that may still end above the best whole training, judged by how earlier ones went on from
    /// this rung to the next and from the last to the end.
    Extrapolation,
    /// The best two of five of all that came so far: asynchronous successive halving in its stopping form
    /// (Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar 2020, arXiv:1810.05934),
    /// whose share is 1/η.
    #[default]
    Halving,
    /// Those not below the median of all that came so far (Golovin, Solnik, Moitra, Kochanski, Karro,
    /// Sculley 2017, section 3.2, of scores instead of their running means).
    Median,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::None => "none",
            Rule::Extrapolation => "extrapolation",
            Rule::Halving => "halving",
            Rule::Median => "median",
        })
    }
}

/// Where trainings are compared, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rungs {
    /// Which trainings go on.
    pub rule: Rule,
    /// Epochs before the first comparison; at least 1.
    pub first: u32,
    /// η: how many times longer each rung is than the one before; at least 2.
    pub factor: u32,
}

impl Default for Rungs {
    fn default() -> Rungs {
        Rungs {
            rule: Rule::default(),
            first: 1,
            factor: 2,
        }
    }
}

/// A place on the ladder: how many rungs there are from here to the end, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rung(pub u32);

/// Why trainings cannot be compared at these rungs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RungsError {
    /// A comparison before anything was trained.
    #[error("`rung_first` = 0 leaves nothing to compare: it must be at least 1 epoch")]
    NoEpoch,
    /// Rungs that do not get longer.
    #[error(
        "`rung_factor` = {factor} makes no rung longer than the one before: it must be at least 2"
    )]
    NoLonger {
        /// How many times longer each was to be.
        factor: u32,
    },
}

impl Rungs {
    /// Checks every rule of the rungs.
    ///
    /// # Errors
    /// The first rule broken.
    pub fn check(self) -> Result<(), RungsError> {
        match (self.first, self.factor) {
            (0, _) => Err(RungsError::NoEpoch),
            (_, factor @ 0..=1) => Err(RungsError::NoLonger { factor }),
            _ => Ok(()),
        }
    }

    /// The rungs of a training of so many epochs, and after how many epochs each is: shortest first.
    pub fn of(self, epochs: u32) -> Vec<(Rung, u32)> {
        if self.rule == Rule::None {
            return Vec::new();
        }
        // Studies that are older than [`Rungs::check`] may have less.
        let first = self.first.max(epochs.div_ceil(EARLIEST)).max(1);
        let factor = self.factor.max(2);
        let shorter = |length: &u32| (*length > 1).then(|| length.div_ceil(factor));
        let lengths = std::iter::successors(Some(epochs), shorter).skip(1);
        let mut rungs: Vec<(Rung, u32)> = (1..)
            .map(Rung)
            .zip(lengths.take_while(|length| *length >= first))
            .collect();
        rungs.reverse();
        rungs
    }

    /// Which rung it is after so many epochs of a training, if one.
    pub fn at(self, epoch: u32, epochs: u32) -> Option<Stage> {
        let rungs = self.of(epochs);
        let place = rungs.iter().position(|(_, length)| *length == epoch)?;
        Some(Stage {
            rung: rungs[place].0,
            is_first: place == 0,
        })
    }
}

/// How far a training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The rung it has reached.
    pub rung: Rung,
    /// Whether it is its first.
    pub is_first: bool,
}

/// What a training began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Birth {
    /// Random weights.
    Fresh,
    /// The weights of another model.
    Inherited,
}

/// What becomes of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It goes on.
    Continue,
    /// It ends here.
    Stop,
}

/// A training at a rung.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Which training.
    pub trial: TrialId,
    /// What it began with.
    pub birth: Birth,
    /// The best score of its parent's epochs, on the rows on which its own are scored; if it has a parent.
    pub parent: Option<f64>,
    /// Where it is.
    pub stage: Stage,
    /// Its score there, higher is better.
    pub score: f64,
}

/// Scores of all trainings at the rungs they have reached, and at their ends.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    /// Of each kind of training: its scores by rung; rung 0 is the end.
    climbs: BTreeMap<(Birth, TrialId), BTreeMap<Rung, f64>>,
}

const END: Rung = Rung(0);

impl Ladder {
    /// A training has come to a rung: does it go on?
    ///
    /// # Cost
    /// `O(n)` in the trainings known.
    pub fn look(&mut self, rungs: Rungs, look: Look) -> Verdict {
        let known = self.scores_of_others(look);
        self.note(look.trial, look.birth, look.stage.rung, look.score);
        if look.stage.is_first && look.parent.is_some_and(|parent| look.score >= parent) {
            return Verdict::Continue;
        }
        let better = known.iter().filter(|other| **other > look.score).count();
        let goes_on = match rungs.rule {
            Rule::None => true,
            Rule::Halving => {
                let kept = (known.len() + 1) * KEPT.0 / KEPT.1;
                // Where it is none, they are too few to say which.
                kept == 0 || better < kept
            }
            Rule::Median => 2 * better <= known.len(),
            Rule::Extrapolation => self.may_win(look),
        };
        match goes_on {
            true => Verdict::Continue,
            false => Verdict::Stop,
        }
    }

    /// A training had this score at a rung.
    pub fn note(&mut self, trial: TrialId, birth: Birth, rung: Rung, score: f64) {
        let climb = self.climbs.entry((birth, trial)).or_default();
        climb.insert(rung, score);
    }

    /// A training has ended whole, with this score.
    pub fn end(&mut self, trial: TrialId, birth: Birth, score: f64) {
        self.note(trial, birth, END, score);
    }

    /// Where a training that was stopped at a rung would have ended, as far as others show; with none to
    /// show it, where it stands. No better than those ended in the mean that were ahead of it, and where
    /// none of these has ended, no better than the best that did, or than it stands.
    pub fn expected(&self, birth: Birth, rung: Rung, score: f64) -> f64 {
        let pairs = self.pairs(birth, rung, END);
        let ahead = pairs.iter().filter(|(at_rung, _)| *at_rung > score);
        let ends: Vec<f64> = ahead.map(|(_, end)| *end).collect();
        // Scores have an upper end that straight lines do not know of.
        let highest = match ends.is_empty() {
            true => pairs.iter().map(|(_, end)| *end).fold(score, f64::max),
            false => ends.iter().sum::<f64>() / ends.len() as f64,
        };
        let forecast = self.forecast(birth, rung, score, 2);
        forecast.map_or(score, |end| end.mean).min(highest)
    }

    fn may_win(&self, look: Look) -> bool {
        let ends = self.climbs.values().filter_map(|climb| climb.get(&END));
        let Some(best) = ends.copied().reduce(f64::max) else {
            return true;
        };
        let forecast = self.forecast(look.birth, look.stage.rung, look.score, forecast::PAIRS_MIN);
        forecast.is_none_or(|end| {
            let deviations = (end.mean - best) / end.variance.sqrt().max(f64::MIN_POSITIVE);
            // What is no number wins nothing.
            !deviations.is_nan() && normal::distribution(deviations) >= CHANCE_MIN
        })
    }

    /// From rung to rung by straight lines, each fitted to the trainings that have reached both; `None`
    /// where they are fewer than `pairs_min`.
    fn forecast(&self, birth: Birth, rung: Rung, score: f64, pairs_min: usize) -> Option<Normal> {
        let start = Normal {
            mean: score,
            variance: 0.0,
        };
        (0..rung.0).rev().try_fold(start, |here, next| {
            let pairs = self.pairs(birth, Rung(next + 1), Rung(next));
            (pairs.len() >= pairs_min).then(|| Line::fit(&pairs).follow(here))
        })
    }

    fn pairs(&self, birth: Birth, from: Rung, to: Rung) -> Vec<(f64, f64)> {
        let climbs = self.climbs.iter().filter(|((kind, _), _)| *kind == birth);
        climbs
            .filter_map(|(_, climb)| Some((*climb.get(&from)?, *climb.get(&to)?)))
            .collect()
    }

    /// At the rung of a look. A training that was begun again has been there before: not against itself.
    fn scores_of_others(&self, look: Look) -> Vec<f64> {
        let climbs = self.climbs.iter();
        climbs
            .filter(|((birth, trial), _)| *birth == look.birth && *trial != look.trial)
            .filter_map(|(_, climb)| climb.get(&look.stage.rung).copied())
            .collect()
    }
}

#[cfg(test)]
mod tests;
