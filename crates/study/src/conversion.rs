//! Training rows that do not fit into memory: prepared once into a file, which later studies of the same
//! data and settings take from the cache.
//!
//! The cache is a folder of such files beside everything else that programs may throw away; the study has
//! the file under a second name (a hard link), so that it needs nothing of the cache later. A file is
//! called after what is in it: the content of the data, the preprocessing, and which rows validate. It
//! gets its name when it is whole. Until then it has one that no other writer has, on whatever machine, and is
//! locked; what a killed conversion leaves is swept away after a day.

use std::{
    env,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use data::{Counted, DataError, Examples, Notice, RestTask, Shards};

use crate::{
    artifact::write_durably,
    prepared::{PrepareError, PreparedData},
    store::{cache::BROKEN_AFTER, unfinished},
};

/// Changes when the same data would be prepared otherwise.
const FORMAT: u32 = 1;

/// Bytes that the cache holds at most; beyond it, what was not used for the longest time goes.
const CACHE_BYTES_MAX: u64 = 64 << 30;

/// Bytes that stay free on the disk, for what else a study writes.
const FREE_BYTES: u64 = 256 << 20;

/// The held training rows with those beyond them, which lie at `place` then, and what is to be said.
///
/// # Errors
/// If the data cannot be read, are not what they were, or the disk is too small.
pub(crate) fn converted(
    prepared: &PreparedData,
    held: Examples,
    place: &Path,
) -> Result<(Examples, Vec<Notice>), PrepareError> {
    let Some(beyond) = &prepared.source.beyond else {
        return Ok((held, Vec::new()));
    };
    let task = Conversion {
        prepared,
        held: &held,
        rows: beyond.rows_left(),
        needed_bytes: beyond.bytes_needed(&held),
        convert: &|path| {
            let task = RestTask {
                source: &prepared.source,
                split: &prepared.split,
                preprocessor: &prepared.preprocessor,
            };
            beyond.convert(&task, &held, path)
        },
    };
    let counted = match Cache::of_environment() {
        Some(cache) => task.through(&cache, place)?,
        None => task.write(place)?,
    };
    let rest = Shards::open(place)?;
    let mut notices = counted.notices();
    notices.push(Notice::note(format!(
        "{} rows are learned from, {} of them in each epoch in turn",
        held.len() as u64 + rest.rows(),
        held.len()
    )));
    match rest.rows() {
        0 => Ok((held, notices)),
        _ => Ok((held.with_rest(rest), notices)),
    }
}

/// What is to be converted.
struct Conversion<'a> {
    prepared: &'a PreparedData,
    held: &'a Examples,
    rows: u64,
    needed_bytes: u64,
    convert: &'a dyn Fn(&Path) -> Result<Counted, DataError>,
}

impl Conversion<'_> {
    /// What makes the file this one.
    fn key(&self) -> String {
        let PreparedData {
            source,
            split,
            preprocessor,
            ..
        } = self.prepared;
        let mut hasher = blake3::Hasher::new();
        hasher.update(format!("{FORMAT} {} {}", source.fingerprint, self.held.len()).as_bytes());
        let preprocessor = serde_json::to_vec(preprocessor).expect("its keys are strings");
        hasher.update(&preprocessor);
        // Two columns may have the same classes, and any may be the weights.
        hasher.update(format!("{:?} {:?}", self.held.targets(), source.facts).as_bytes());
        for rows in [&split.train, &split.validation, &split.vault] {
            hasher.update(&(rows.len() as u64).to_le_bytes());
            rows.iter().for_each(|row| {
                hasher.update(&row.to_le_bytes());
            });
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Takes the file from the cache, or makes it there.
    fn through(&self, cache: &Cache, place: &Path) -> Result<Counted, PrepareError> {
        let entry = cache.entry(&self.key());
        if let Some(counted) = entry.read() {
            entry.link(place)?;
            return Ok(counted);
        }
        fs::create_dir_all(&cache.folder).map_err(file(&cache.folder, "made"))?;
        cache.sweep(self.needed_bytes);
        let counted = self.write(&entry.unfinished)?;
        entry.finish(&counted)?;
        entry.link(place)?;
        Ok(counted)
    }

    /// Makes the file; nothing is left of it if that fails.
    fn write(&self, path: &Path) -> Result<Counted, PrepareError> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let free_bytes = free_bytes(folder);
        if free_bytes.is_some_and(|free| free < self.needed_bytes.saturating_add(FREE_BYTES)) {
            return Err(self.disk_full(folder));
        }
        // Locked while it is written. Where that cannot be, its age keeps it, or the conversion says what is wrong.
        let _writing = File::create(path).inspect(|begun| {
            let _ = begun.try_lock();
        });
        (self.convert)(path).map_err(|error| {
            // Half a file helps nobody; if it cannot go, it is swept away later.
            let _ = fs::remove_file(path);
            match &error {
                DataError::Unreadable { path: of, source } if of == path && is_full(source) => {
                    self.disk_full(folder)
                }
                _ => error.into(),
            }
        })
    }

    fn disk_full(&self, folder: &Path) -> PrepareError {
        PrepareError::DiskFull {
            rows: self.rows,
            needed_bytes: self.needed_bytes,
            free_bytes: free_bytes(folder).unwrap_or(0),
            folder: folder.to_path_buf(),
        }
    }
}

/// Whether there was no room, on the disk or in what the user may write.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    [FileTooLarge, QuotaExceeded, StorageFull].contains(&error.kind())
}

/// Bytes that may still be written to the disk of a folder, if the system says so.
fn free_bytes(folder: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(folder).ok()?;
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}

fn file(path: &Path, action: &'static str) -> impl Fn(io::Error) -> PrepareError {
    let path = path.to_path_buf();
    move |source| PrepareError::File {
        path: path.clone(),
        action,
        source,
    }
}

/// Converted rows of earlier studies.
struct Cache {
    folder: PathBuf,
}

/// One file of the cache.
struct Entry {
    whole: PathBuf,
    /// What was counted while it was made.
    counted: PathBuf,
    unfinished: PathBuf,
}

impl Cache {
    /// Where programs of this user keep what they can make again; none if there is no such place.
    fn of_environment() -> Option<Cache> {
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        let told = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let caches = told
            .and_then(absolute)
            .or_else(|| home().and_then(absolute))?;
        let folder = caches.join("lehr").join("rows");
        fs::create_dir_all(&folder).ok()?;
        Some(Cache { folder })
    }

    fn entry(&self, key: &str) -> Entry {
        let whole = self.folder.join(format!("{key}.shards"));
        Entry {
            counted: whole.with_extension("json"),
            unfinished: unfinished(&whole),
            whole,
        }
    }

    /// Removes what killed conversions have left, and as many old files as so many bytes need.
    fn sweep(&self, needed_bytes: u64) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut whole: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".part") && is_left(&path) {
                // Best effort: what cannot go stays, and is tried again.
                let _ = fs::remove_file(&path);
            }
            if let (true, Ok(file)) = (name.ends_with(".shards"), entry.metadata()) {
                let used = file.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                whole.push((used, file.len(), path));
            }
        }
        whole.sort();
        let mut sum: u64 = whole.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in whole {
            if sum.saturating_add(needed_bytes) <= CACHE_BYTES_MAX {
                return;
            }
            sum -= bytes;
            let _ = fs::remove_file(&path);
            let _ = fs::remove_file(path.with_extension("json"));
        }
    }
}

/// Whether nobody writes a file that was begun: it has not changed for long, and nobody has it locked.
fn is_left(path: &Path) -> bool {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    let is_old = changed
        .ok()
        .and_then(|at| at.elapsed().ok())
        .is_some_and(|age| age > BROKEN_AFTER);
    // Where nothing can be locked, its age alone says so.
    let is_locked = |file: File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    is_old
        && !OpenOptions::new()
            .write(true)
            .open(path)
            .is_ok_and(is_locked)
}

impl Entry {
    /// What was counted, if the file is there and whole; notes that it was used.
    fn read(&self) -> Option<Counted> {
        let counted = serde_json::from_slice(&fs::read(&self.counted).ok()?).ok()?;
        Shards::open(&self.whole).ok()?;
        let used = File::open(&self.whole).and_then(|file| file.set_modified(SystemTime::now()));
        // Who may not note the time only loses the file earlier.
        let _ = used;
        Some(counted)
    }

    fn finish(&self, counted: &Counted) -> Result<(), PrepareError> {
        let bytes = serde_json::to_vec(counted).expect("its keys are strings");
        write_durably(&self.counted, &bytes).map_err(file(&self.counted, "written"))?;
        fs::rename(&self.unfinished, &self.whole).map_err(file(&self.whole, "written"))
    }

    /// Gives the file a second name, or copies it where that cannot be.
    fn link(&self, place: &Path) -> Result<(), PrepareError> {
        // What stands there may be this very file: a copy would be written over the rows of all its studies.
        match fs::remove_file(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file(place, "removed")(error));
            }
            _ => {}
        }
        let linked = match fs::hard_link(&self.whole, place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => self.copy(place),
            linked => linked,
        };
        linked.map_err(file(place, "written"))
    }

    /// A file of its own, on the disk.
    fn copy(&self, place: &Path) -> io::Result<()> {
        fs::copy(&self.whole, place)?;
        File::open(place)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::MetadataExt, time::Duration};

    use super::*;

    fn cache(place: &Path) -> Cache {
        Cache {
            folder: place.to_path_buf(),
        }
    }

    #[test]
    fn a_study_gets_the_rows_of_the_cache_whatever_a_killed_run_has_left_in_their_place() {
        let place = tempfile::tempdir().unwrap();
        let entry = cache(place.path()).entry("key");
        fs::write(&entry.whole, "rows").unwrap();
        let own = place.path().join("train.shards");
        // Nothing, then the same file, then another one.
        for left in 0..3 {
            if left == 2 {
                fs::remove_file(&own).unwrap();
                fs::write(&own, "others").unwrap();
            }
            entry.link(&own).unwrap();
            let inode = |path: &Path| fs::metadata(path).unwrap().ino();
            assert_eq!(inode(&own), inode(&entry.whole));
            assert_eq!(fs::read(&entry.whole).unwrap(), b"rows");
        }
    }

    #[test]
    fn only_what_is_old_and_locked_by_nobody_is_swept_away() {
        let place = tempfile::tempdir().unwrap();
        let cache = cache(place.path());
        let begun = |is_old: bool| {
            let path = cache.entry("key").unfinished;
            let file = File::create(&path).unwrap();
            let age = if is_old {
                2 * BROKEN_AFTER
            } else {
                Duration::ZERO
            };
            file.set_modified(SystemTime::now() - age).unwrap();
            (path, file)
        };
        let [(young, _), (left, _), (written, writing)] = [false, true, true].map(begun);
        writing.try_lock().unwrap();
        cache.sweep(0);
        assert!(young.exists() && written.exists());
        assert!(!left.exists());
        drop(writing);
        cache.sweep(0);
        assert!(young.exists() && !written.exists());
    }
}
