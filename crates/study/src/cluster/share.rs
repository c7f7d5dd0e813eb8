//! Prepared rows and weights of a study that nodes share: in the study's folder, or in a store.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use thiserror::Error;

use crate::{
    cluster::invitation::{InvitationError, LedgerPlace, Share},
    folder::StudyFolder,
    prepared::PreparedFiles,
    store::{
        NodeCache, NodeWeights, Store, StoreError,
        delivery::{CHUNK_BYTES, DataSet, fetch, publish},
    },
};

/// Why it cannot be said where weights are.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The file that says where the ledger and the weights are.
    #[error(transparent)]
    Place(#[from] InvitationError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a node has on its own disk of what is shared.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Where the prepared rows are.
    pub(crate) prepared: PathBuf,
    /// Where weights are.
    pub(crate) weights: NodeWeights,
    /// Ends the transfers of weights.
    pub(crate) stop: Arc<AtomicBool>,
    /// Held while the rows are used.
    _rows: Option<DataSet>,
}

/// Puts what nodes need into the store, or says where they find it in this folder, which will lie at `root`.
///
/// # Errors
/// If the store cannot be written.
pub(crate) fn offer(
    folder: &StudyFolder,
    root: PathBuf,
    place: &LedgerPlace,
) -> Result<Share, StoreError> {
    let Some(store) = place.store()? else {
        return Ok(Share::Folder(root));
    };
    let names = PreparedFiles::names_for_nodes();
    let prepared = folder.prepared();
    let there = names
        .into_iter()
        .filter(|name| prepared.join(name).exists());
    let names: Vec<&str> = there.collect();
    let data = publish(&store, &prepared, &names, CHUNK_BYTES)?;
    let address = store.address().clone();
    Ok(Share::Store { address, data })
}

/// Brings what a node needs onto its own disk, into `cache`, which holds at most so many bytes of a kind.
///
/// # Errors
/// If the store cannot be read; [`StoreError::Stopped`] if the node must leave before all is there.
pub(crate) fn receive(
    share: &Share,
    cache: &Path,
    bytes_max: u64,
    leave: &Arc<AtomicBool>,
) -> Result<Shared, StoreError> {
    let stop: Arc<AtomicBool> = Arc::default();
    match share {
        Share::Folder(folder) => Ok(Shared {
            prepared: folder.join("prepared"),
            weights: NodeWeights::InPlace(folder.join("artifacts")),
            stop,
            _rows: None,
        }),
        Share::Store { address, data } => {
            let store = Store::open(address)?;
            let cache = NodeCache::at(cache, bytes_max)?;
            let rows = fetch(&store.clone().stopped_by(Arc::clone(leave)), data, &cache)?;
            // Who leaves has weights to send yet.
            let store = store.stopped_by(Arc::clone(&stop));
            Ok(Shared {
                prepared: rows.directory().to_path_buf(),
                weights: NodeWeights::Cached(cache, store),
                stop,
                _rows: Some(rows),
            })
        }
    }
}

/// The weights of a study, as whoever has its folder sees them.
///
/// # Errors
/// If the store cannot be opened.
pub fn weights_of(folder: &StudyFolder) -> Result<NodeWeights, ShareError> {
    let place = LedgerPlace::of(folder)?;
    Ok(
        match place.map(|place| place.store()).transpose()?.flatten() {
            // The folder's own artifacts are the cache.
            Some(store) => NodeWeights::Cached(NodeCache::at(folder.root(), u64::MAX)?, store),
            None => NodeWeights::InPlace(folder.artifacts()),
        },
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::folder::FolderError;

    #[test]
    fn a_damaged_file_about_the_ledger_is_named_and_not_taken_for_none() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("study");
        let folder = StudyFolder::create::<FolderError>(&root, |_| Ok(())).unwrap();
        let own = weights_of(&folder).unwrap();
        assert_eq!(own.directory(), folder.artifacts());
        fs::write(folder.ledger_place(), "{\"ledger\":").unwrap();
        let error = weights_of(&folder).unwrap_err();
        assert!(error.to_string().contains("ledger.json"), "{error}");
    }
}
