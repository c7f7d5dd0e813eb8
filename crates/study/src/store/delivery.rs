//! How a study's prepared rows reach a node: once, in pieces that are named by their content.
//!
//! A manifest names the files and their pieces; its own digest is all that a worker must be told. A node that
//! was stopped in between goes on with the next piece; whoever comes second to a node waits and finds them.

use std::{
    fs::{self, File, FileTimes, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::{
    Kind, NodeCache, ObjectName, Store, StoreError,
    cache::{lock_alone, lock_shared},
    failed, unfinished,
};
use crate::trial::Digest;

/// Bytes of a piece: large enough that its transfer outweighs the start of one, small enough to begin again.
pub const CHUNK_BYTES: u64 = 64 << 20;

/// Changes when an older reader would misunderstand a manifest.
const FORMAT: u32 = 1;

/// The manifest's name beside the files.
const MANIFEST: &str = "manifest.json";

/// Files, and the pieces that they are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Bytes of each piece but a file's last.
    chunk_bytes: u64,
    files: Vec<ManifestFile>,
}

/// A file of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ManifestFile {
    name: String,
    bytes: u64,
    chunks: Vec<Digest>,
}

/// Where the files of a manifest lie on this node, until this is dropped.
#[derive(Debug)]
pub struct DataSet {
    directory: PathBuf,
    _in_use: File,
}

impl DataSet {
    /// Where all of them lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a file of the manifest lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Manifest {
    /// Whether it is one that this version can follow; a name may not lead out of the directory.
    fn is_usable(&self) -> bool {
        let is_plain = |name: &str| {
            let is_word = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
            !name.is_empty() && !name.starts_with('.') && name.chars().all(is_word)
        };
        self.format == FORMAT
            && self.chunk_bytes > 0
            && self.files.iter().all(|file| {
                is_plain(&file.name)
                    && file.chunks.len() as u64 == file.bytes.div_ceil(self.chunk_bytes)
                    && file.chunks.iter().all(is_digest)
            })
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// What was parsed may be any text.
fn is_digest(digest: &Digest) -> bool {
    Digest::from_hex(digest.as_str()).is_some()
}

/// Puts files of a directory into a store and says under which digest a node finds them. What is there already
/// is not sent again, so this may be broken off and repeated.
///
/// `chunk_bytes` is usually [`CHUNK_BYTES`].
///
/// # Errors
/// If a file cannot be read, or the store refuses or fails.
///
/// # Cost
/// Memory for one piece; each piece is written once beside its file.
pub fn publish(
    store: &Store,
    directory: &Path,
    names: &[&str],
    chunk_bytes: u64,
) -> Result<Digest, StoreError> {
    let mut files = Vec::new();
    for name in names {
        let path = directory.join(name);
        let read = failed("read", &path);
        let mut file = File::open(&path).map_err(&read)?;
        let mut bytes = 0;
        let mut chunks = Vec::new();
        loop {
            let mut chunk = Vec::new();
            let limited = Read::take(&mut file, chunk_bytes).read_to_end(&mut chunk);
            if limited.map_err(&read)? == 0 {
                break;
            }
            bytes += chunk.len() as u64;
            chunks.push(send(store, directory, &chunk, Kind::Chunk)?);
        }
        files.push(ManifestFile {
            name: name.to_string(),
            bytes,
            chunks,
        });
    }
    let manifest = Manifest {
        format: FORMAT,
        chunk_bytes,
        files,
    };
    let text = serde_json::to_vec(&manifest).expect("a manifest has string keys only");
    // Last: who finds the manifest finds all that it names.
    send(store, directory, &text, Kind::Manifest)
}

/// Puts bytes into a store by way of a file that goes again.
fn send(store: &Store, scratch: &Path, bytes: &[u8], kind: Kind) -> Result<Digest, StoreError> {
    let digest = Digest::of(bytes);
    let part = unfinished(&scratch.join(digest.as_str()));
    fs::write(&part, bytes).map_err(failed("written", &part))?;
    let sent = store.put(&ObjectName::new(&digest, kind), &part);
    // If it cannot go, it stays a `.part` in the study's folder.
    let _ = fs::remove_file(&part);
    sent.map(|_| digest)
}

/// Brings the files of a manifest into a node's cache, or finds them there.
///
/// # Errors
/// If something is missing or damaged in the store, or it refuses or fails; what was brought so far stays for
/// the next try.
pub fn fetch(store: &Store, manifest: &Digest, cache: &NodeCache) -> Result<DataSet, StoreError> {
    let place = cache.data().join(manifest.as_str());
    let lock = cache.lock_file(&lock_name(manifest.as_str()))?;
    let locked = failed("locked", &place);
    let stopped = || StoreError::Stopped {
        store: store.to_string(),
    };
    loop {
        // Shared by all that use it; whoever brings or removes it holds the same lock alone.
        if !lock_shared(&lock, &store.stop).map_err(&locked)? {
            return Err(stopped());
        }
        if place.is_dir() {
            // Who cannot set the time finds it removed a little earlier than others.
            let _ = lock.set_times(FileTimes::new().set_modified(SystemTime::now()));
            return Ok(DataSet {
                directory: place,
                _in_use: lock,
            });
        }
        lock.unlock().map_err(&locked)?;
        if !lock_alone(&lock, &store.stop).map_err(&locked)? {
            return Err(stopped());
        }
        if !place.is_dir() {
            bring(store, manifest, cache, &place)?;
        }
        lock.unlock().map_err(&locked)?;
    }
}

fn lock_name(manifest: &str) -> String {
    format!("data-{manifest}")
}

/// Where files are until all of them are there.
fn unfinished_place(place: &Path) -> PathBuf {
    place.with_extension(super::UNFINISHED)
}

fn bring(
    store: &Store,
    digest: &Digest,
    cache: &NodeCache,
    place: &Path,
) -> Result<(), StoreError> {
    let part = unfinished_place(place);
    fs::create_dir_all(&part).map_err(failed("made", &part))?;
    remove_leftovers(&part)?;
    let path = part.join(MANIFEST);
    store.get(&ObjectName::new(digest, Kind::Manifest), &path)?;
    let manifest = read_manifest(&path)?;
    make_room(cache, digest, manifest.bytes())?;
    for file in &manifest.files {
        bring_file(store, &manifest, file, &part)?;
    }
    let synced = File::open(&part).and_then(|part| part.sync_all());
    synced.map_err(failed("written", &part))?;
    fs::rename(&part, place).map_err(failed("written", place))
}

/// Transfers that a dead predecessor had begun.
fn remove_leftovers(part: &Path) -> Result<(), StoreError> {
    let listed = failed("listed", part);
    for entry in fs::read_dir(part).map_err(&listed)? {
        let path = entry.map_err(&listed)?.path();
        if path.extension().is_some_and(|end| end == super::UNFINISHED) {
            fs::remove_file(&path).map_err(failed("removed", &path))?;
        }
    }
    Ok(())
}

fn read_manifest(path: &Path) -> Result<Manifest, StoreError> {
    let text = fs::read(path).map_err(failed("read", path))?;
    let unreadable = |source| StoreError::Unreadable {
        what: format!("the list of prepared files {}", path.display()),
        source,
    };
    let manifest: Manifest = serde_json::from_slice(&text).map_err(unreadable)?;
    match manifest.is_usable() {
        true => Ok(manifest),
        false => Err(unreadable(serde::de::Error::custom(
            "it is of another version, or names files outside of its folder",
        ))),
    }
}

/// Brings what is missing of a file. As much of it as there is on the disk is looked at first: it is right as
/// far as its pieces have their digests.
fn bring_file(
    store: &Store,
    manifest: &Manifest,
    file: &ManifestFile,
    part: &Path,
) -> Result<(), StoreError> {
    let path = part.join(&file.name);
    let written = failed("written", &path);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    let mut target = options.open(&path).map_err(&written)?;
    let whole = whole_chunks(&mut target, manifest, file).map_err(failed("read", &path))?;
    let length = (whole as u64 * manifest.chunk_bytes).min(file.bytes);
    target.set_len(length).map_err(&written)?;
    target.seek(SeekFrom::Start(length)).map_err(&written)?;
    for digest in &file.chunks[whole..] {
        let chunk = part.join(format!("{digest}.chunk"));
        store.get(&ObjectName::new(digest, Kind::Chunk), &chunk)?;
        let bytes = fs::read(&chunk).map_err(failed("read", &chunk))?;
        target.write_all(&bytes).map_err(&written)?;
        fs::remove_file(&chunk).map_err(failed("removed", &chunk))?;
    }
    target.sync_all().map_err(&written)
}

/// How many pieces at the beginning of a file are there and right.
fn whole_chunks(target: &mut File, manifest: &Manifest, file: &ManifestFile) -> io::Result<usize> {
    for (index, expected) in file.chunks.iter().enumerate() {
        if Digest::of_reader(Read::take(&mut *target, manifest.chunk_bytes))? != *expected {
            return Ok(index);
        }
    }
    Ok(file.chunks.len())
}

/// Removes data that nobody uses, those unused for longest first, until so much more keeps to the bound.
fn make_room(cache: &NodeCache, own: &Digest, more: u64) -> Result<(), StoreError> {
    let root = cache.data();
    let listed = failed("listed", &root);
    let mut sets = Vec::new();
    for entry in fs::read_dir(&root).map_err(&listed)? {
        let path = entry.map_err(&listed)?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let Some(digest) = Digest::from_hex(&stem).filter(|digest| digest != own) else {
            continue;
        };
        let lock = cache.lock_file(&lock_name(digest.as_str()))?;
        let used_at = lock.metadata().and_then(|metadata| metadata.modified());
        sets.push((used_at.map_err(&listed)?, bytes_in(&path), path, lock));
    }
    sets.sort_by_key(|(used_at, ..)| *used_at);
    let mut bytes: u64 = sets.iter().map(|(_, bytes, ..)| bytes).sum();
    for (_, own_bytes, path, lock) in &sets {
        if bytes.saturating_add(more) <= cache.bytes_max() {
            return Ok(());
        }
        if lock.try_lock().is_err() {
            continue;
        }
        let part = unfinished_place(path);
        // Renamed first: whoever looks for it finds all of it or nothing.
        let is_gone = fs::rename(path, &part).and_then(|()| fs::remove_dir_all(&part));
        if is_gone.is_ok() {
            bytes -= own_bytes;
        }
    }
    Ok(())
}

/// Bytes of the files of a directory; one that goes meanwhile counts nothing.
fn bytes_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| entry.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}

#[cfg(test)]
mod tests;
