//! Rungs: a training that has fallen behind others of its length is stopped.
//!
//! Asynchronous successive halving in its stopping form: at lengths r, rη, rη² … a training goes on if its
//! score is among the best 1/η of all that came so far; nobody waits for anybody. Trainings that began with
//! inherited weights are ahead of those that did not, so each kind is compared with its own; and at its
//! first rung a child that is at least as good as its parent ended always goes on.
//! A score at a rung is never taken for a model's score: only whole trainings can win.
//!
//! Source: Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar 2020 (arXiv:1810.05934),
//! section 3; the stopping form as in Salinas et al. 2022 (Syne Tune).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where trainings are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rungs {
    /// r: epochs before the first comparison.
    pub first: u32,
    /// η: a training goes on if it is among the best 1/η; at least 2.
    pub factor: u32,
}

/// What a training began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Birth {
    /// Random weights.
    Fresh,
    /// The weights of another model.
    Inherited,
}

/// What becomes of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Continue,
    /// It ends here.
    Stop,
}

impl Rungs {
    /// Lengths in epochs at which trainings of so many epochs are compared.
    pub fn lengths(self, epochs: u32) -> impl Iterator<Item = u32> {
        let next = move |length: &u32| length.checked_mul(self.factor.max(2));
        std::iter::successors(Some(self.first.max(1)), next)
            .take_while(move |length| *length < epochs)
    }
}

/// Scores of all trainings that have reached each rung.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ladder {
    /// Best first.
    scores: BTreeMap<(Birth, u32), Vec<f64>>,
}

impl Ladder {
    /// A training has this score (higher is better) after so many epochs; `parent` is the score that its
    /// parent ended with.
    ///
    /// # Cost
    /// `O(n)` in the trainings that have reached this rung.
    pub fn report(
        &mut self,
        rungs: Rungs,
        birth: Birth,
        epochs: u32,
        score: f64,
        parent: Option<f64>,
    ) -> Verdict {
        let known = self.scores.entry((birth, epochs)).or_default();
        let place = known.partition_point(|other| *other > score);
        known.insert(place, score);
        let factor = rungs.factor.max(2) as usize;
        let is_first = epochs == rungs.first.max(1);
        let as_good_as_parent = is_first && parent.is_some_and(|parent| score >= parent);
        // Too few to say what the best 1/η are.
        let undecided = known.len() < factor;
        match undecided || as_good_as_parent || place < known.len() / factor {
            true => Verdict::Continue,
            false => Verdict::Stop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNGS: Rungs = Rungs {
        first: 2,
        factor: 3,
    };

    #[test]
    fn rungs_lie_below_the_whole_training() {
        let lengths = |epochs| RUNGS.lengths(epochs).collect::<Vec<u32>>();
        assert_eq!(lengths(52), [2, 6, 18]);
        assert_eq!(lengths(54), [2, 6, 18]);
        assert_eq!(lengths(55), [2, 6, 18, 54]);
        assert!(lengths(2).is_empty());
    }

    #[test]
    fn the_best_third_goes_on_as_a_slow_count_says() {
        let mut ladder = Ladder::default();
        let scores = [0.5, 0.1, 0.4, 0.9, 0.3, 0.6, 0.95, 0.2, 0.91, 0.5, 0.5, 0.5];
        for (place, score) in scores.into_iter().enumerate() {
            let better = scores[..place]
                .iter()
                .filter(|other| **other > score)
                .count();
            let count = place + 1;
            let expected = count < 3 || better < count / 3;
            let verdict = ladder.report(RUNGS, Birth::Fresh, 2, score, None);
            assert_eq!(verdict == Verdict::Continue, expected, "{place}");
        }
    }

    #[test]
    fn inherited_trainings_are_compared_with_their_own_and_their_parents() {
        let mut ladder = Ladder::default();
        for score in [0.9, 0.91, 0.92, 0.93] {
            ladder.report(RUNGS, Birth::Inherited, 2, score, None);
        }
        let mut report = |birth, epochs, parent| ladder.report(RUNGS, birth, epochs, 0.5, parent);
        assert_eq!(report(Birth::Fresh, 2, None), Verdict::Continue);
        assert_eq!(report(Birth::Inherited, 2, Some(0.6)), Verdict::Stop);
        assert_eq!(report(Birth::Inherited, 2, Some(0.5)), Verdict::Continue);
        for _ in 0..3 {
            report(Birth::Inherited, 6, None);
        }
        let late = ladder.report(RUNGS, Birth::Inherited, 6, 0.4, Some(0.1));
        assert_eq!(
            late,
            Verdict::Stop,
            "a parent counts at the first rung only"
        );
    }
}
