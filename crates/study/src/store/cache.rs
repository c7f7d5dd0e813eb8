//! What a node keeps of a store: weights by digest, bounded in bytes, those that nobody used for longest go first.
//!
//! Several workers of one node, and several studies, share a cache. Whoever uses a file holds a shared lock on
//! it, and only what can be locked alone is removed; locks end with their process, however that ends. A file
//! that the store does not have yet can be written, as its trainer left it; one that it has is read-only, and
//! only such ones are removed.

use std::{
    fs::{self, File, FileTimes, OpenOptions, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use super::{
    Listed, ObjectName, Patience, Store, StoreError, UNFINISHED, failed,
    patience::sleep_unless_stopped,
};
use crate::trial::Digest;

/// How often is asked for a lock that somebody else has.
const LOCK_EVERY: Duration = Duration::from_millis(50);

/// A file that was begun and not ended is nobody's after so long.
pub(crate) const BROKEN_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// A directory of this node, for things that are in a store, too.
#[derive(Clone, Debug)]
pub struct NodeCache {
    root: PathBuf,
    bytes_max: u64,
}

/// The right to find a cached file where it is, until it is dropped.
#[derive(Debug)]
pub struct InUse {
    _lock: Option<File>,
}

/// A file of the cache.
struct Entry {
    path: PathBuf,
    bytes: u64,
    used_at: SystemTime,
    is_in_store: bool,
}

impl NodeCache {
    /// The cache in this directory, which is made if it is not there. It holds at most so many bytes of weights
    /// and as many of data, beside what is in use.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn at(root: &Path, bytes_max: u64) -> Result<NodeCache, StoreError> {
        let cache = NodeCache {
            root: root.to_path_buf(),
            bytes_max,
        };
        for directory in [cache.weights(), cache.data(), cache.locks()] {
            fs::create_dir_all(&directory).map_err(failed("made", &directory))?;
        }
        cache.remove_broken()?;
        Ok(cache)
    }

    /// Where weights lie: what a trainer is told.
    pub fn weights(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// How many bytes it may hold of one sort.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Bytes of weights that lie in it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn bytes(&self) -> Result<u64, StoreError> {
        Ok(self.entries()?.iter().map(|entry| entry.bytes).sum())
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.weights().join(name.to_string())
    }

    /// A lock file of the cache, open.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, StoreError> {
        let path = self.locks().join(name);
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).open(&path);
        file.map_err(failed("opened", &path))
    }

    /// The right to bring this object into the cache, alone.
    fn turn(&self, name: &ObjectName, stop: &AtomicBool) -> Result<Option<File>, StoreError> {
        // As many locks as first digits: few files, and hardly anybody waits for another object.
        let first = &name.digest().as_str()[..1];
        let file = self.lock_file(&format!("weights-{first}"))?;
        let is_ours = lock_alone(&file, stop).map_err(failed("locked", &self.locks()))?;
        Ok(is_ours.then_some(file))
    }

    /// A cached file in use, if it is there: nobody removes it while this lives.
    fn hold(&self, name: &ObjectName) -> Result<Option<File>, StoreError> {
        let path = self.path(name);
        let held = failed("locked", &path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(held(error)),
        };
        file.lock_shared().map_err(&held)?;
        // It may have been removed between the two lines above.
        let locked = file.metadata().map_err(&held)?;
        let is_there = fs::metadata(&path).is_ok_and(|there| there.ino() == locked.ino());
        if !is_there {
            return Ok(None);
        }
        // Who cannot set the time finds it removed a little earlier than others.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Ok(Some(file))
    }

    fn entries(&self) -> Result<Vec<Entry>, StoreError> {
        let root = self.weights();
        let read = failed("listed", &root);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&root).map_err(&read)? {
            let path = entry.map_err(&read)?.path();
            // One that goes while it is looked at counts nothing.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_object = ObjectName::parse(&name).is_some();
            entries.push(Entry {
                bytes: metadata.len(),
                used_at: metadata.modified().map_err(&read)?,
                is_in_store: is_object && metadata.permissions().readonly(),
                path,
            });
        }
        Ok(entries)
    }

    /// Removes what was not used for longest until the bound is kept; what is in use, or not in the store yet,
    /// stays.
    fn make_room(&self) -> Result<(), StoreError> {
        let mut entries = self.entries()?;
        let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
        entries.retain(|entry| entry.is_in_store);
        entries.sort_by_key(|entry| entry.used_at);
        for entry in entries {
            if bytes <= self.bytes_max {
                return Ok(());
            }
            let Ok(file) = File::open(&entry.path) else {
                continue;
            };
            if file.try_lock().is_ok() && fs::remove_file(&entry.path).is_ok() {
                bytes -= entry.bytes;
            }
        }
        Ok(())
    }

    /// Removes what somebody began to write more than a day ago.
    fn remove_broken(&self) -> Result<(), StoreError> {
        let is_old = |at: SystemTime| at.elapsed().is_ok_and(|age| age > BROKEN_AFTER);
        for entry in self.entries()? {
            let is_part = entry.path.extension().is_some_and(|end| end == UNFINISHED);
            if is_part && is_old(entry.used_at) {
                // Another worker may have done it.
                let _ = fs::remove_file(&entry.path);
            }
        }
        Ok(())
    }
}

/// Waits for a lock that nobody else has; `false` if it was told to stop meanwhile.
pub(super) fn lock_alone(file: &File, stop: &AtomicBool) -> io::Result<bool> {
    lock_patiently(stop, || file.try_lock())
}

/// Waits for a lock that others may have, too; `false` if it was told to stop meanwhile.
pub(super) fn lock_shared(file: &File, stop: &AtomicBool) -> io::Result<bool> {
    lock_patiently(stop, || file.try_lock_shared())
}

fn lock_patiently(
    stop: &AtomicBool,
    try_lock: impl Fn() -> Result<(), TryLockError>,
) -> io::Result<bool> {
    loop {
        match try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        if !sleep_unless_stopped(LOCK_EVERY, stop) {
            return Ok(false);
        }
    }
}

/// The weights of a study as one node sees them.
#[derive(Clone, Debug)]
pub enum NodeWeights {
    /// In the study's own directory: every process sees it, and nothing is copied.
    InPlace(PathBuf),
    /// In the node's cache, in front of a store.
    Cached(NodeCache, Store),
}

impl NodeWeights {
    /// Where trainers write weights, and read those of parents.
    pub fn directory(&self) -> PathBuf {
        match self {
            NodeWeights::InPlace(directory) => directory.clone(),
            NodeWeights::Cached(cache, _) => cache.weights(),
        }
    }

    /// Whether weights are anywhere.
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        let name = ObjectName::weights(digest);
        match self {
            NodeWeights::InPlace(directory) => Ok(directory.join(name.to_string()).exists()),
            NodeWeights::Cached(cache, store) => {
                Ok(cache.path(&name).exists() || store.has(&name)?)
            }
        }
    }

    /// Makes sure that weights which a trainer has written are where every node finds them: before the ledger
    /// hears of them, so that no row ever points to nothing.
    ///
    /// # Errors
    /// If they are not there, or the store refuses or fails; it may be tried again for ever.
    pub fn publish(&self, digest: &Digest) -> Result<(), StoreError> {
        let name = ObjectName::weights(digest);
        let (cache, store) = match self {
            NodeWeights::Cached(cache, store) => (cache, store),
            NodeWeights::InPlace(directory) => {
                return match directory.join(name.to_string()).exists() {
                    true => Ok(()),
                    false => Err(StoreError::Missing {
                        name,
                        store: directory.display().to_string(),
                    }),
                };
            }
        };
        let path = cache.path(&name);
        let Some(_in_use) = cache.hold(&name)? else {
            // Removed by another worker: then the store had it.
            return match store.has(&name)? {
                true => Ok(()),
                // A checkpoint that a newer one has replaced meanwhile.
                false => Err(StoreError::Missing {
                    name,
                    store: store.to_string(),
                }),
            };
        };
        store.put(&name, &path)?;
        mark_in_store(&path)?;
        cache.make_room()
    }

    /// Makes sure that weights are in [`NodeWeights::directory`], and stay there while the answer is kept. What
    /// is damaged is fetched again, once.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if no node has them any more: their trial's parent was not worth keeping. Else if
    /// the store refuses or fails.
    ///
    /// # Cost
    /// The file is read once to check it.
    pub fn provide(&self, digest: &Digest) -> Result<InUse, StoreError> {
        let name = ObjectName::weights(digest);
        let (cache, store) = match self {
            NodeWeights::Cached(cache, store) => (cache, store),
            NodeWeights::InPlace(directory) => {
                return match directory.join(name.to_string()).exists() {
                    true => Ok(InUse { _lock: None }),
                    false => Err(StoreError::Missing {
                        name,
                        store: directory.display().to_string(),
                    }),
                };
            }
        };
        if let Some(in_use) = cached(cache, &name)? {
            return Ok(in_use);
        }
        let stopped = || StoreError::Stopped {
            store: store.to_string(),
        };
        let _turn = cache.turn(&name, &store.stop)?.ok_or_else(stopped)?;
        // Another worker may have brought it meanwhile.
        if let Some(in_use) = cached(cache, &name)? {
            return Ok(in_use);
        }
        let path = cache.path(&name);
        store.get(&name, &path)?;
        mark_in_store(&path)?;
        let in_use = cache.hold(&name)?;
        cache.make_room()?;
        match in_use {
            Some(lock) => Ok(InUse { _lock: Some(lock) }),
            None => Err(failed("kept", &path)(io::ErrorKind::NotFound.into())),
        }
    }

    /// Takes an object out of the store that nobody will ask for; one that cannot be taken out only takes room.
    pub(crate) fn withdraw(&self, digest: &Digest) {
        let NodeWeights::Cached(_, store) = self else {
            return;
        };
        let once = Patience {
            attempts: 1,
            ..Patience::default()
        };
        let name = ObjectName::weights(digest).to_string();
        let _ = store.clone().with_patience(once).remove(&[name]);
    }
}

/// A cached file in use whose bytes are right; one that is damaged is removed.
fn cached(cache: &NodeCache, name: &ObjectName) -> Result<Option<InUse>, StoreError> {
    let Some(lock) = cache.hold(name)? else {
        return Ok(None);
    };
    let path = cache.path(name);
    match super::check_file(name, &path) {
        Ok(_) => Ok(Some(InUse { _lock: Some(lock) })),
        Err(StoreError::Damaged { .. }) => {
            // Whoever reads it now finds the damage, too.
            let _ = fs::remove_file(&path);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// From now on the file may be removed to make room.
fn mark_in_store(path: &Path) -> Result<(), StoreError> {
    let marked = failed("marked as stored", path);
    let mut permissions = fs::metadata(path).map_err(&marked)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(path, permissions).map_err(&marked)
}

/// Files of this cache that are listed as a store's are: for tests and tools that look on.
impl NodeCache {
    /// What lies in the cache, by name.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed: Vec<Listed> = self
            .entries()?
            .into_iter()
            .map(|entry| Listed {
                name: entry
                    .path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                bytes: entry.bytes,
                age_seconds: entry.used_at.elapsed().map_or(0.0, |age| age.as_secs_f64()),
            })
            .collect();
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }
}
