//! The history pool: every model that any slave node has trained, in commit order, without gaps.
//!
//! A pool is only ever appended to, by sequence numbers 1, 2, 3 …; whoever skips or repeats one is
//! refused, so that every generator that has heard the first `n` rows knows the same. Trials that
//! are under way are known without a score. Scores are looked at by rank, never by
//! value: failed trials are the worst and stay.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use morph::Architecture;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    fingerprint::Fingerprint,
    normal,
    objectives::{Objective, Weights, valued},
    setting::Setting,
};

/// Number of a trial within its study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u64);

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a score; higher is better. One that is not finite counts as a failure.
    Scored(f64),
    /// Early, behind others ([`crate::rungs`]). It has no score and cannot be the best, but it stands among
    /// the others where it is expected.
    Stopped {
        /// The score it would have had, as far as others showed when it was stopped.
        expected: f64,
    },
    /// Without one.
    Failed,
}

impl Outcome {
    /// What trials are ranked by.
    pub(crate) fn rank(self) -> f64 {
        match self {
            Outcome::Scored(value) | Outcome::Stopped { expected: value } if value.is_finite() => {
                value
            }
            _ => f64::NEG_INFINITY,
        }
    }
}

/// A trial that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolEntry {
    /// Which.
    pub trial: TrialId,
    /// Its place in the history, from 1.
    pub sequence: u64,
    /// What was trained.
    pub architecture: Architecture,
    /// With which hyperparameters.
    pub setting: Setting,
    /// How it ended.
    pub outcome: Outcome,
    /// The trial whose weights it inherited.
    pub parent: Option<TrialId>,
}

impl PoolEntry {
    /// Its score, if it has one.
    pub fn score(&self) -> Option<f64> {
        match self.outcome {
            Outcome::Scored(score) if score.is_finite() => Some(score),
            _ => None,
        }
    }
}

/// Why a row of the history was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PoolError {
    /// A gap or a repetition.
    #[error("trial {trial} has sequence number {given}; the next one of this pool is {next}")]
    NotNext {
        /// Which trial.
        trial: TrialId,
        /// Its sequence number.
        given: u64,
        /// The one that is missing.
        next: u64,
    },
    /// A trial that has ended before.
    #[error("trial {trial} has ended already, at sequence number {earlier}; a trial ends once")]
    EndedTwice {
        /// Which trial.
        trial: TrialId,
        /// Its earlier sequence number.
        earlier: u64,
    },
}

/// All trials that have ended, and the models of those that have not.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    records: Arc<Records>,
    /// By what the entries are ranked, if not by their own outcomes.
    valued: Option<Vec<Outcome>>,
}

/// What a pool has heard; shared by its views.
#[derive(Clone, Debug, Default)]
struct Records {
    entries: Vec<PoolEntry>,
    /// Sequence number of each trial.
    sequences: BTreeMap<TrialId, u64>,
    ended: BTreeSet<Fingerprint>,
    pending: BTreeMap<Fingerprint, (Architecture, Setting)>,
    refused: BTreeSet<Fingerprint>,
    children: BTreeMap<TrialId, u32>,
    latencies: BTreeMap<TrialId, f64>,
}

impl Pool {
    /// Appends the next row of the history; its fingerprint is no longer pending.
    ///
    /// # Errors
    /// If its sequence number is not the next, or its trial has ended before. Nothing changes then.
    pub fn push(&mut self, entry: PoolEntry) -> Result<(), PoolError> {
        let records = Arc::make_mut(&mut self.records);
        let next = records.entries.len() as u64 + 1;
        let (trial, given) = (entry.trial, entry.sequence);
        if given != next {
            return Err(PoolError::NotNext { trial, given, next });
        }
        if let Some(earlier) = records.sequences.get(&trial) {
            return Err(PoolError::EndedTwice {
                trial,
                earlier: *earlier,
            });
        }
        let fingerprint = Fingerprint::of(&entry.architecture, &entry.setting);
        self.valued = None;
        records.pending.remove(&fingerprint);
        records.ended.insert(fingerprint);
        records.sequences.insert(trial, given);
        if let Some(parent) = entry.parent {
            *records.children.entry(parent).or_default() += 1;
        }
        records.entries.push(entry);
        Ok(())
    }

    /// A trial is under way; nothing happens if it has ended already.
    pub fn add_pending(&mut self, architecture: Architecture, setting: Setting) {
        let fingerprint = Fingerprint::of(&architecture, &setting);
        if !self.records.ended.contains(&fingerprint) {
            let records = Arc::make_mut(&mut self.records);
            records.pending.insert(fingerprint, (architecture, setting));
        }
    }

    /// What is under way, in the order of the fingerprints.
    pub fn pending_models(&self) -> impl Iterator<Item = (&Architecture, &Setting)> {
        self.records
            .pending
            .values()
            .map(|(architecture, setting)| (architecture, setting))
    }

    /// Such a trial will never be: a limit that is measured, not counted, speaks against it.
    pub fn refuse(&mut self, fingerprint: Fingerprint) {
        Arc::make_mut(&mut self.records).refused.insert(fingerprint);
    }

    /// Whether such a trial has ended, is under way, or was refused.
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        let records = &self.records;
        records.ended.contains(&fingerprint)
            || records.pending.contains_key(&fingerprint)
            || records.refused.contains(&fingerprint)
    }

    /// How long a trial's model takes for one example, in seconds, as it was measured.
    pub fn note_latency(&mut self, trial: TrialId, seconds: f64) {
        Arc::make_mut(&mut self.records)
            .latencies
            .insert(trial, seconds);
    }

    /// All trials that have ended, in commit order.
    pub fn entries(&self) -> &[PoolEntry] {
        &self.records.entries
    }

    /// How many trials are under way.
    pub fn pending(&self) -> usize {
        self.records.pending.len()
    }

    /// How many ended trials inherited this one's weights.
    pub fn children(&self, trial: TrialId) -> u32 {
        self.records.children.get(&trial).copied().unwrap_or(0)
    }

    /// The same pool, its trials ranked by several objectives at once ([`crate::objectives`]).
    ///
    /// # Cost
    /// `O(n log n)` for each objective; the history itself is shared, not copied.
    pub fn valued_by(&self, objectives: &[Objective], weights: &Weights) -> Pool {
        let entries = self.entries();
        let cost = |entry: &PoolEntry, objective: Objective| {
            let latency = self.records.latencies.get(&entry.trial).copied();
            objective.cost(&entry.architecture, latency)
        };
        let costs: Vec<Vec<Option<f64>>> = objectives
            .iter()
            .map(|objective| {
                entries
                    .iter()
                    .map(|entry| cost(entry, *objective))
                    .collect()
            })
            .collect();
        let outcomes: Vec<Outcome> = entries.iter().map(|entry| entry.outcome).collect();
        Pool {
            records: Arc::clone(&self.records),
            valued: Some(valued(&outcomes, &costs, weights)),
        }
    }

    /// Each entry's score, or what it is valued by, on a scale that depends on ranks only: [`standing`].
    pub fn standing(&self) -> Vec<f64> {
        match &self.valued {
            Some(values) => standing(values.iter().copied()),
            None => self.standing_after(self.entries().len()),
        }
    }

    /// Each entry's score on that scale as it was after the first `entries`.
    pub fn standing_after(&self, entries: usize) -> Vec<f64> {
        let first = &self.entries()[..entries];
        standing(first.iter().map(|entry| entry.outcome))
    }
}

/// Each outcome's score on a scale that depends on ranks only.
///
/// # Shapes
/// One value per outcome, in the same order.
/// # Units
/// Standard deviations: z = Φ⁻¹((rank − ½)/n), rank 1 the worst. Equal scores share the mean of
/// their ranks; stopped trials stand where they are expected, failed ones share the worst ranks.
/// # Cost
/// `O(n log n)`.
/// # Source
/// Rank-based inverse normal transformation with Hazen's offset (Hazen 1914).
pub fn standing(outcomes: impl Iterator<Item = Outcome>) -> Vec<f64> {
    let middles = middles_of_ranks(&outcomes.map(Outcome::rank).collect::<Vec<f64>>());
    let count = middles.len() as f64;
    let each = middles.into_iter();
    each.map(|middle| normal::quantile(middle / count))
        .collect()
}

/// Rank less ½ of each value, rank 1 the smallest; equal values share the mean of their ranks.
pub(crate) fn middles_of_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut middles = vec![0.0; values.len()];
    let mut below = 0;
    // Comparing by `==` puts 0.0 and -0.0, which `total_cmp` tells apart, in one group.
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        // Ranks below+1 ..= below+len have this mean, less the half.
        let middle = below as f64 + tied.len() as f64 / 2.0;
        tied.iter().for_each(|place| middles[*place] = middle);
        below += tied.len();
    }
    middles
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::setting::Value;

    fn entry(sequence: u64, outcome: Outcome) -> PoolEntry {
        PoolEntry {
            trial: TrialId(100 + sequence),
            sequence,
            architecture: "in 4 | dense 8 | relu | dense 2".parse().unwrap(),
            setting: Setting::default().with("number", Value::Integer(sequence as i64)),
            outcome,
            parent: None,
        }
    }

    fn pool(outcomes: &[Outcome]) -> Pool {
        let mut pool = Pool::default();
        for (place, outcome) in outcomes.iter().enumerate() {
            pool.push(entry(place as u64 + 1, *outcome)).unwrap();
        }
        pool
    }

    #[test]
    fn a_gap_or_a_repetition_in_the_history_is_refused() {
        let mut pool = pool(&[Outcome::Failed]);
        let gap = pool
            .push(entry(3, Outcome::Failed))
            .unwrap_err()
            .to_string();
        insta::assert_snapshot!(gap, @"trial 103 has sequence number 3; the next one of this pool is 2");
        let again = PoolEntry {
            sequence: 2,
            ..entry(1, Outcome::Failed)
        };
        let again = pool.push(again).unwrap_err().to_string();
        insta::assert_snapshot!(again, @"trial 101 has ended already, at sequence number 1; a trial ends once");
        assert_eq!(pool.entries().len(), 1);
        pool.push(entry(2, Outcome::Failed)).unwrap();
    }

    #[test]
    fn a_trial_is_known_from_proposal_to_end_and_after() {
        let mut pool = Pool::default();
        let trial = entry(1, Outcome::Scored(0.5));
        let fingerprint = Fingerprint::of(&trial.architecture, &trial.setting);
        assert!(!pool.contains(fingerprint));
        pool.add_pending(trial.architecture.clone(), trial.setting.clone());
        assert!(pool.contains(fingerprint));
        assert_eq!(pool.pending_models().count(), 1);
        pool.push(trial.clone()).unwrap();
        assert_eq!(pool.pending(), 0);
        // News of the proposal may arrive after the news of its end.
        pool.add_pending(trial.architecture, trial.setting);
        assert_eq!(pool.pending(), 0);
        assert!(pool.contains(fingerprint));
    }

    #[test]
    fn a_refused_model_is_known_and_not_under_way() {
        let mut pool = Pool::default();
        let fingerprint = Fingerprint::of(&"in 4 | dense 2".parse().unwrap(), &Setting::default());
        pool.refuse(fingerprint);
        assert!(pool.contains(fingerprint));
        assert_eq!((pool.pending(), pool.entries().len()), (0, 0));
    }

    #[test]
    fn a_pool_valued_by_latency_alone_ranks_fast_models_first_until_it_grows() {
        let mut pool = pool(&[0.9, 0.5, 0.7].map(Outcome::Scored));
        for (trial, seconds) in [(101, 3e-3), (102, 1e-3), (103, 2e-3)] {
            pool.note_latency(TrialId(trial), seconds);
        }
        let objectives = [Objective::Latency];
        // Of many weights some rank by latency and some by score.
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut firsts = BTreeSet::new();
        for _ in 0..100 {
            let weights = Weights::draw(1, &mut rng);
            let standing = pool.valued_by(&objectives, &weights).standing();
            let best = (0..3).max_by(|a, b| standing[*a].total_cmp(&standing[*b]));
            firsts.insert(best.unwrap());
        }
        assert!(firsts.contains(&0) && firsts.contains(&1), "{firsts:?}");
        let mut valued = pool.valued_by(&objectives, &Weights::draw(1, &mut rng));
        valued.push(entry(4, Outcome::Scored(0.1))).unwrap();
        assert_eq!(valued.standing(), valued.standing_after(4));
        assert_eq!(pool.entries().len(), 3);
    }

    #[test]
    fn children_are_counted_when_they_end() {
        let mut pool = pool(&[Outcome::Scored(1.0)]);
        for sequence in 2..5 {
            let parent = Some(TrialId(101));
            pool.push(PoolEntry {
                parent,
                ..entry(sequence, Outcome::Failed)
            })
            .unwrap();
        }
        assert_eq!(pool.children(TrialId(101)), 3);
        assert_eq!(pool.children(TrialId(102)), 0);
    }

    /// The definition, one entry at a time.
    fn slow_standing(outcomes: &[Outcome]) -> Vec<f64> {
        let score = |outcome: &Outcome| match outcome {
            Outcome::Scored(score) if score.is_finite() => *score,
            _ => f64::NEG_INFINITY,
        };
        let one = |own: &Outcome| {
            let worse = outcomes
                .iter()
                .filter(|other| score(other) < score(own))
                .count() as f64;
            let equal = outcomes
                .iter()
                .filter(|other| score(other) == score(own))
                .count() as f64;
            let rank = worse + (equal + 1.0) / 2.0;
            normal::quantile((rank - 0.5) / outcomes.len() as f64)
        };
        outcomes.iter().map(one).collect()
    }

    #[test]
    fn standing_agrees_with_its_definition_and_ties_and_failures_are_averaged() {
        let scored = |score| Outcome::Scored(score);
        let outcomes = [
            scored(0.5),
            scored(-3.0),
            Outcome::Failed,
            scored(0.5),
            scored(f64::NAN),
            scored(1e9),
            scored(0.0),
            scored(-0.0),
            scored(f64::INFINITY),
            scored(0.7),
        ];
        let standing = pool(&outcomes).standing();
        for (fast, slow) in standing.iter().zip(slow_standing(&outcomes)) {
            assert!((fast - slow).abs() < 1e-12, "{standing:?}");
        }
        assert_eq!(standing[0], standing[3]);
        assert_eq!(standing[6], standing[7]);
        // A failure, a score that is no number and an infinite one: the three worst.
        assert_eq!([standing[2], standing[4]], [standing[8]; 2]);
        assert!(standing.iter().all(|z| *z >= standing[2]));
        assert!(standing[5] > standing[9]);
    }

    #[test]
    fn stopped_trials_stand_where_they_are_expected_and_have_no_score() {
        let stopped = |expected| Outcome::Stopped { expected };
        let outcomes = [
            Outcome::Scored(0.5),
            stopped(0.4),
            stopped(0.6),
            Outcome::Failed,
            Outcome::Scored(0.3),
            stopped(f64::NAN),
        ];
        let pool = pool(&outcomes);
        let standing = pool.standing();
        let ascending = [3, 4, 1, 0, 2].map(|entry: usize| standing[entry]);
        assert!(ascending.is_sorted_by(|a, b| a < b), "{standing:?}");
        assert_eq!(standing[3], standing[5]);
        let scored = pool
            .entries()
            .iter()
            .filter(|entry| entry.score().is_some());
        assert_eq!(scored.count(), 2);
    }

    #[test]
    fn standing_does_not_depend_on_the_unit_of_the_score() {
        let scores = [0.3, 0.1, 0.9, 0.4];
        let plain = pool(&scores.map(Outcome::Scored)).standing();
        let warped = pool(&scores.map(|score: f64| Outcome::Scored(-1e6 / score.exp()))).standing();
        assert_eq!(plain, warped);
    }

    #[test]
    fn one_trial_stands_in_the_middle_and_none_stands_nowhere() {
        assert_eq!(pool(&[Outcome::Failed]).standing(), [0.0]);
        assert!(Pool::default().standing().is_empty());
    }
}
