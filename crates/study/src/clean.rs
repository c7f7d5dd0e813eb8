//! Weights that a study needs no more, in its folder or its store; its rows, scores and curves stay.

use search::TrialId;
use serde::Serialize;
use thiserror::Error;

use crate::{
    cluster::invitation::{InvitationError, LedgerPlace},
    config::StudyConfig,
    explore::now,
    folder::{FolderError, StudyFolder},
    front::front_of,
    ledger::{self, Ledger, LedgerError, Node},
    spool::Spool,
    store::{
        Store, StoreAddress, StoreError,
        sweep::{Keep, NEVER, Needs, Sweep, sweep},
    },
    trial::{Digest, WorkerName},
};

/// Why a study could not be cleaned.
#[derive(Debug, Error)]
pub enum CleanError {
    /// Somebody explores it, or the folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A node of a cluster works on it.
    #[error(
        "the study is being explored: {worker} on {host} works on it; end it first (Ctrl-C on its `lehr explore`), \
         or wait until the node has left"
    )]
    Busy {
        /// Which node.
        worker: WorkerName,
        /// On which machine.
        host: String,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The file that says where ledger and weights are.
    #[error(transparent)]
    Place(#[from] InvitationError),
    /// The weights.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Results that the ledger has not heard of.
    #[error("the results on their way into the ledger could not be read")]
    Spool {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Whether files really go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It is only said what would go.
    Said,
    /// They go.
    Done,
}

/// What went, or would go, and what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cleaned {
    /// Files that went.
    pub removed: usize,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Files that stay.
    pub kept: usize,
    /// Their bytes.
    pub kept_bytes: u64,
}

impl From<&Sweep> for Cleaned {
    fn from(swept: &Sweep) -> Cleaned {
        Cleaned {
            removed: swept.goes.len(),
            removed_bytes: swept.bytes_freed(),
            kept: swept.stays.len(),
            kept_bytes: swept.bytes_kept(),
        }
    }
}

/// Removes the weights that nobody needs from a study's folder, or from the store that it shares.
///
/// # Errors
/// If somebody explores the study, or something cannot be read or removed.
pub fn clean(
    folder: &StudyFolder,
    config: &StudyConfig,
    keep: Keep,
    extent: Extent,
) -> Result<Cleaned, CleanError> {
    // Held while files go: a master would give out trials that begin with them.
    let _lock = match extent {
        Extent::Done => Some(folder.lock()?),
        Extent::Said => None,
    };
    let ledger = ledger::open_to_read(folder)?;
    if extent == Extent::Done && LedgerPlace::of(folder)?.is_some() {
        // There nobody holds the lock; nodes work on without a master, too.
        refuse_if_alive(&*ledger)?;
    }
    let needs = needs(folder, config, &*ledger)?;
    let shared = LedgerPlace::of(folder)?.map(|place| place.store());
    let (store, young_seconds) = match shared.transpose()?.flatten() {
        Some(store) => (store, NEVER),
        None => {
            let own = StoreAddress::Directory(folder.artifacts());
            (Store::open(&own)?, keep.young_seconds)
        }
    };
    let keep = Keep {
        young_seconds,
        ..keep
    };
    let swept = sweep(&needs, keep, &store.list()?);
    if extent == Extent::Done {
        swept.carry_out(&store)?;
    }
    Ok(Cleaned::from(&swept))
}

fn refuse_if_alive(ledger: &dyn Ledger) -> Result<(), CleanError> {
    let at = ledger.standing(now())?.at;
    let nodes = ledger.nodes()?.into_iter();
    let mut alive = nodes.filter(|node| node.is_alive(ledger.lease_secs(), at));
    match alive.next() {
        Some(Node { worker, host, .. }) => Err(CleanError::Busy { worker, host }),
        None => Ok(()),
    }
}

/// What the ledger says of a study's weights.
pub(crate) fn needs(
    folder: &StudyFolder,
    config: &StudyConfig,
    ledger: &dyn Ledger,
) -> Result<Needs, CleanError> {
    let trials = ledger.trials()?;
    let objectives = &config.search.objectives;
    let front: Vec<TrialId> = match config.metric.filter(|_| !objectives.is_empty()) {
        Some(metric) => {
            let front = front_of(&trials, objectives, metric, 1);
            front.iter().map(|model| model.trial).collect()
        }
        None => Vec::new(),
    };
    let spooled = Spool::at(&folder.spool())
        .all()
        .map_err(|source| CleanError::Spool { source })?;
    let under_way: Vec<Digest> = spooled
        .into_iter()
        .map(|spooled| spooled.result.artifact)
        .chain(ledger.checkpoints()?)
        .collect();
    Ok(Needs::of(&trials, &front, &under_way))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Keeping, Sqlite, StudyRecord};

    #[test]
    fn a_study_that_a_node_works_on_is_not_cleaned_until_the_node_has_left() {
        let record = StudyRecord {
            config: "{}".to_string(),
            data: String::new(),
            trials_max: None,
        };
        let mut ledger = Sqlite::in_memory(&record, now()).unwrap();
        let worker = WorkerName("far".to_string());
        assert!(refuse_if_alive(&ledger).is_ok());
        ledger.join(&worker, "host", 1, now()).unwrap();
        let refused = refuse_if_alive(&ledger).unwrap_err().to_string();
        assert!(refused.contains("far on host works on it"), "{refused}");
        ledger.leave(&worker, now()).unwrap();
        assert!(refuse_if_alive(&ledger).is_ok());
    }
}
