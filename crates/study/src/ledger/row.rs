//! Rows as both engines give them, before their texts are parsed.

use search::{Outcome, TrialId};
use serde::{Deserialize, Deserializer};

use super::{Ended, LedgerError, from_json};
use crate::trial::{
    Candidate, HistoryRow, Instant, LeaseEpoch, Run, Sequence, Slot, Trial, TrialState, Underway,
    WorkerName,
};

/// A trial, with all that is known of it.
#[derive(Debug, Deserialize)]
pub(super) struct TrialRow {
    pub(super) id: u64,
    pub(super) candidate: String,
    pub(super) state: String,
    pub(super) epoch: u32,
    pub(super) crashes: u32,
    pub(super) proposed_at: f64,
    pub(super) worker: Option<String>,
    pub(super) slot: Option<u16>,
    pub(super) claimed_at: Option<f64>,
    pub(super) lease_until: Option<f64>,
    pub(super) finished_at: Option<f64>,
    pub(super) sequence: Option<u64>,
    pub(super) result: Option<String>,
    pub(super) failure: Option<String>,
    pub(super) stop: Option<String>,
    #[serde(deserialize_with = "any_number")]
    pub(super) expected: Option<f64>,
}

/// A trial that has ended, as far as generators follow it.
#[derive(Debug, Deserialize)]
pub(super) struct EndedRow {
    pub(super) sequence: u64,
    pub(super) id: u64,
    pub(super) candidate: String,
    #[serde(deserialize_with = "any_number")]
    pub(super) score: Option<f64>,
    #[serde(deserialize_with = "any_number")]
    pub(super) expected: Option<f64>,
}

/// A trial that has ended, as far as trainings are compared with it.
#[derive(Debug, Deserialize)]
pub(super) struct TrackRow {
    sequence: u64,
    id: u64,
    track: Option<String>,
}

/// A trial that has no end yet.
#[derive(Debug, Deserialize)]
pub(super) struct PendingRow {
    pub(super) id: u64,
    pub(super) candidate: String,
}

/// JSON has no infinite numbers: PostgreSQL writes them as texts.
fn any_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        Text(String),
    }
    match Option::<Number>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Finite(number)) => Ok(Some(number)),
        Some(Number::Text(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl EndedRow {
    pub(super) fn parse(self) -> Result<HistoryRow, LedgerError> {
        let outcome = match (self.score, self.expected) {
            (Some(score), _) => Outcome::Scored(score),
            (None, Some(expected)) => Outcome::Stopped { expected },
            (None, None) => Outcome::Failed,
        };
        Ok(HistoryRow {
            sequence: Sequence(self.sequence),
            trial: TrialId(self.id),
            candidate: from_json("candidate", &self.candidate)?,
            outcome,
        })
    }
}

impl TrackRow {
    pub(super) fn parse(self) -> Result<Ended, LedgerError> {
        let track = self.track.as_deref().map(|text| from_json("track", text));
        Ok(Ended {
            sequence: Sequence(self.sequence),
            trial: TrialId(self.id),
            track: track.transpose()?,
        })
    }
}

impl PendingRow {
    pub(super) fn parse(self) -> Result<(TrialId, Underway), LedgerError> {
        let Candidate {
            architecture,
            setting,
            ..
        } = from_json("candidate", &self.candidate)?;
        let underway = Underway {
            architecture,
            setting,
        };
        Ok((TrialId(self.id), underway))
    }
}

impl TrialRow {
    pub(super) fn parse(self) -> Result<Trial, LedgerError> {
        Ok(Trial {
            id: TrialId(self.id),
            candidate: from_json("candidate", &self.candidate)?,
            proposed_at: Instant(self.proposed_at),
            crashes: self.crashes,
            state: self.state()?,
        })
    }

    fn state(&self) -> Result<TrialState, LedgerError> {
        let worker = WorkerName(self.worker.clone().unwrap_or_default());
        let slot = Slot(self.slot.unwrap_or_default());
        let claimed_at = Instant(self.claimed_at.unwrap_or_default());
        if self.state == "queued" {
            return Ok(TrialState::Queued);
        }
        if self.state == "running" {
            let lease_until = Instant(self.lease_until.unwrap_or_default());
            let epoch = LeaseEpoch(self.epoch);
            return Ok(TrialState::Running {
                epoch,
                worker,
                slot,
                claimed_at,
                lease_until,
            });
        }
        let finished_at = Instant(self.finished_at.unwrap_or_default());
        let run = Run {
            worker,
            slot,
            claimed_at,
            finished_at,
        };
        let sequence = Sequence(self.sequence.unwrap_or_default());
        match (&self.result, &self.stop) {
            (Some(text), _) => {
                let result = Box::new(from_json("result", text)?);
                Ok(TrialState::Finished {
                    sequence,
                    run,
                    result,
                })
            }
            (None, Some(text)) => Ok(TrialState::Stopped {
                sequence,
                run,
                stop: Box::new(from_json("stop", text)?),
                expected: self.expected.unwrap_or(f64::NEG_INFINITY),
            }),
            (None, None) => {
                let reason = from_json("failure", self.failure.as_deref().unwrap_or_default())?;
                Ok(TrialState::Failed {
                    sequence,
                    run,
                    reason,
                })
            }
        }
    }
}
