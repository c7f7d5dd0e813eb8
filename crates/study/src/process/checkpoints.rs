//! When a training is kept while it goes on, so that little of it is lost if its node dies.

use std::time::{Duration, Instant};

use crate::{artifact::ArtifactStore, trial::Digest};

/// A training is not kept more often, in seconds.
pub(crate) const CHECKPOINT_SECS: f64 = 60.0;

/// Keeping takes at most one part in so many of the time.
const COST_SHARE: u32 = 20;

/// So many of a training are there at once: the ledger may not have heard of the newest yet.
pub(crate) const CHECKPOINTS_KEPT: usize = 2;

/// The checkpoints of one training.
#[derive(Debug)]
pub(super) struct Checkpoints {
    pause: Duration,
    since: Instant,
    cost: Duration,
    kept: Vec<Digest>,
}

impl Checkpoints {
    /// Of a training that begins now, and is kept every so many seconds; with 0, after each epoch, whatever that
    /// costs.
    pub(super) fn every(seconds: f64) -> Checkpoints {
        Checkpoints {
            pause: Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
            since: Instant::now(),
            cost: Duration::ZERO,
            kept: Vec::new(),
        }
    }

    /// Whether it is time for one.
    pub(super) fn is_due(&self) -> bool {
        let pause = match self.pause.is_zero() {
            true => Duration::ZERO,
            false => self.pause.max(self.cost * COST_SHARE),
        };
        self.since.elapsed() >= pause
    }

    /// Keeps where the training is, if there is room, and lets go of the one before the last.
    pub(super) fn keep(
        &mut self,
        artifacts: &ArtifactStore,
        paused: impl FnOnce() -> Vec<u8>,
    ) -> Option<Digest> {
        let began = Instant::now();
        let kept = artifacts.put(&paused()).ok();
        if let Some(digest) = &kept {
            self.kept.push(digest.clone());
            let many = self.kept.len().saturating_sub(CHECKPOINTS_KEPT);
            self.kept
                .drain(..many)
                .for_each(|old| artifacts.remove(&old));
        }
        self.cost = began.elapsed();
        self.since = Instant::now();
        kept
    }

    /// The training has ended: nobody goes on with it.
    pub(super) fn forget(&mut self, artifacts: &ArtifactStore) {
        self.kept.drain(..).for_each(|old| artifacts.remove(&old));
    }
}
