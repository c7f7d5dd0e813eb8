//! Training rows that do not fit into memory: prepared once into a file, which later studies of the same
//! data and settings take from the cache.
//!
//! The cache is a folder of such files beside everything else that programs may throw away; the study has
//! the file under a second name (a hard link), so that it needs nothing of the cache later. A file is
//! called after what is in it: the content of the data, the preprocessing, and which rows validate. It
//! gets its name when it is whole; what a killed conversion leaves is called otherwise and swept away.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use data::{Counted, DataError, Examples, Notice, RestTask, Shards};
use rustix::process::{Pid, test_kill_process};

use crate::{
    artifact::write_durably,
    prepared::{PrepareError, PreparedData},
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
        let own = std::process::id();
        Entry {
            whole: self.folder.join(format!("{key}.shards")),
            counted: self.folder.join(format!("{key}.json")),
            unfinished: self.folder.join(format!("{key}.{own}.part")),
        }
    }

    /// Removes what killed conversions have left, and as many old files as so many bytes need.
    fn sweep(&self, needed_bytes: u64) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut whole: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".part") && !is_being_written(&name) {
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

/// Whether the process that began a file still lives.
fn is_being_written(name: &str) -> bool {
    let process = name
        .strip_suffix(".part")
        .and_then(|name| name.rsplit('.').next());
    let process = process.and_then(|number| number.parse::<i32>().ok());
    let process = process.and_then(Pid::from_raw);
    process.is_some_and(|process| test_kill_process(process) != Err(rustix::io::Errno::SRCH))
}

impl Entry {
    /// What was counted, if the file is there and whole; notes that it was used.
    fn read(&self) -> Option<Counted> {
        let counted = serde_json::from_slice(&fs::read(&self.counted).ok()?).ok()?;
        Shards::open(&self.whole).ok()?;
        let used =
            fs::File::open(&self.whole).and_then(|file| file.set_modified(SystemTime::now()));
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
        let linked = fs::hard_link(&self.whole, place);
        linked
            .or_else(|_| fs::copy(&self.whole, place).map(|_| ()))
            .map_err(file(place, "written"))
    }
}
