//! Which weights may go. Rows of the ledger stay for ever; the weights of most trials are never asked for again.
//!
//! Kept are the best trials', what trials that wait or run begin with, what the end of a study compares with,
//! and what nobody names but may be about to name: weights are written before their row.

use std::{cmp::Reverse, collections::BTreeSet};

use search::TrialId;

use super::{Kind, Listed, Store, StoreError, cache::BROKEN_AFTER};
use crate::{
    conclude::is_linear_baseline,
    trial::{Digest, Trial, by_standing},
};

/// How many of the best trials keep their weights if nobody says otherwise.
pub const KEPT_BEST: usize = 20;

/// When what no row names goes from a place that is not one study's alone: a study of the same name in another
/// database may have put it there.
pub const NEVER: f64 = f64::INFINITY;

/// What is kept beside what is needed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keep {
    /// So many of the best trials; the best one in any case.
    pub best: usize,
    /// So many of those that ended last.
    pub newest: usize,
    /// What no row names, if it is younger than this: it may be under way.
    pub young_seconds: f64,
}

impl Default for Keep {
    fn default() -> Keep {
        Keep {
            best: KEPT_BEST,
            newest: 0,
            young_seconds: BROKEN_AFTER.as_secs_f64(),
        }
    }
}

/// What a ledger says of weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The weights of finished trials, best first.
    ranked: Vec<Digest>,
    /// The same weights, the newest first.
    newest: Vec<Digest>,
    /// Weights that somebody needs, however good they are.
    needed: BTreeSet<Digest>,
}

impl Needs {
    /// What these trials need, all of a study's. `front` are those that none beats in all objectives;
    /// `under_way` is what running trainings would go on from, and the weights of results that the ledger has
    /// not heard of.
    pub fn of(trials: &[Trial], front: &[TrialId], under_way: &[Digest]) -> Needs {
        let mut finished: Vec<&Trial> = trials
            .iter()
            .filter(|trial| trial.result().is_some())
            .collect();
        let artifact = |trial: &&Trial| trial.result().map(|result| result.artifact.clone());
        finished.sort_by_key(|trial| Reverse(trial.sequence()));
        let newest = finished.iter().filter_map(artifact).collect();
        finished.sort_by(|a, b| by_standing(a, b));
        let not_ended = trials.iter().filter(|trial| trial.sequence().is_none());
        let named: BTreeSet<TrialId> = not_ended
            .filter_map(|trial| trial.candidate.parent())
            .chain(front.iter().copied())
            .chain(trials.iter().find(|t| is_linear_baseline(t)).map(|t| t.id))
            .collect();
        let needed = finished.iter().filter(|trial| named.contains(&trial.id));
        Needs {
            newest,
            needed: needed
                .filter_map(&artifact)
                .chain(under_way.iter().cloned())
                .collect(),
            ranked: finished.iter().filter_map(artifact).collect(),
        }
    }
}

/// What goes and what stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sweep {
    /// Nobody needs these.
    pub goes: Vec<Listed>,
    /// These are kept.
    pub stays: Vec<Listed>,
}

impl Sweep {
    /// Bytes that go.
    pub fn bytes_freed(&self) -> u64 {
        self.goes.iter().map(|listed| listed.bytes).sum()
    }

    /// Bytes that stay.
    pub fn bytes_kept(&self) -> u64 {
        self.stays.iter().map(|listed| listed.bytes).sum()
    }

    /// Removes what goes.
    ///
    /// # Errors
    /// If the store refuses or fails; doing it again is right then.
    pub fn carry_out(&self, store: &Store) -> Result<(), StoreError> {
        let names: Vec<String> = self.goes.iter().map(|listed| listed.name.clone()).collect();
        store.remove(&names)?;
        store.forget_broken_uploads()
    }
}

/// Says of everything in a study's store whether it goes. The list is to be made after the ledger was read, not
/// before: what a trial has written since is young then, and stays.
///
/// # Cost
/// `O((trials + listed) log trials)`.
pub fn sweep(needs: &Needs, keep: Keep, listed: &[Listed]) -> Sweep {
    let best = needs.ranked.iter().take(keep.best.max(1));
    let chosen: BTreeSet<&Digest> = best.chain(needs.newest.iter().take(keep.newest)).collect();
    let rows: BTreeSet<&Digest> = needs.ranked.iter().collect();
    let is_kept = |listed: &&Listed| {
        let is_young = listed.age_seconds < keep.young_seconds;
        match listed.object() {
            // Every node that joins asks for the data.
            Some(name) if name.kind() != Kind::Weights => true,
            Some(name) => {
                let digest = name.digest();
                chosen.contains(digest)
                    || needs.needed.contains(digest)
                    || (is_young && !rows.contains(digest))
            }
            None => is_young,
        }
    };
    let (stays, goes) = listed.iter().partition::<Vec<&Listed>, _>(is_kept);
    let owned = |listed: Vec<&Listed>| listed.into_iter().cloned().collect();
    Sweep {
        goes: owned(goes),
        stays: owned(stays),
    }
}

#[cfg(test)]
pub(crate) mod tests;
