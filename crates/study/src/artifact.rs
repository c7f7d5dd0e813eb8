//! Weights on disk, named by the digest of their bytes: written once, never changed, checked when read.
//!
//! An artifact is durable before any ledger row names it, so a row never points to nothing.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::trial::Digest;

/// Why an artifact could not be kept or read.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The file system said no.
    #[error("artifact {digest} could not be {action} at {}", .path.display())]
    Io {
        /// Which.
        digest: Digest,
        /// What was to be done.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It was removed: a trial keeps its row for ever, its weights only while they are worth it.
    #[error(
        "the weights {digest} are no longer at {}: `lehr clean` keeps those of the best trials only, or somebody \
         has removed them; the trial's row and scores stay, its weights would have to be trained again",
        .path.display()
    )]
    Removed {
        /// Which.
        digest: Digest,
        /// Where they were.
        path: PathBuf,
    },
    /// The bytes are not those that were written.
    #[error("artifact {digest} at {} is damaged: its bytes have digest {found}", .path.display())]
    Damaged {
        /// Which.
        digest: Digest,
        /// What is there instead.
        found: Digest,
        /// Where.
        path: PathBuf,
    },
}

/// A directory of artifacts.
#[derive(Clone, Debug)]
pub struct ArtifactStore {
    directory: PathBuf,
}

impl ArtifactStore {
    /// The store in this directory, which exists.
    pub fn at(directory: &Path) -> ArtifactStore {
        ArtifactStore {
            directory: directory.to_path_buf(),
        }
    }

    /// Keeps these bytes, durably; the same bytes twice are one artifact.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, ArtifactError> {
        let digest = Digest::of(bytes);
        let path = self.path(&digest);
        if path.exists() {
            return Ok(digest);
        }
        let unfinished = self
            .directory
            .join(format!("{digest}.{}.part", std::process::id()));
        let written = write_durably(&unfinished, bytes)
            .and_then(|()| fs::rename(&unfinished, &path))
            .and_then(|()| File::open(&self.directory)?.sync_all());
        match written {
            Ok(()) => Ok(digest),
            Err(source) => {
                // What is left of a failed write helps nobody; if it cannot go, it stays a `.part`.
                let _ = fs::remove_file(&unfinished);
                Err(ArtifactError::Io {
                    digest,
                    action: "written",
                    path,
                    source,
                })
            }
        }
    }

    /// The bytes of an artifact, checked against its name.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn get(&self, digest: &Digest) -> Result<Vec<u8>, ArtifactError> {
        let path = self.path(digest);
        let bytes = fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => ArtifactError::Removed {
                digest: digest.clone(),
                path: path.clone(),
            },
            _ => ArtifactError::Io {
                digest: digest.clone(),
                action: "read",
                path: path.clone(),
                source,
            },
        })?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(ArtifactError::Damaged {
                digest: digest.clone(),
                found,
                path,
            });
        }
        Ok(bytes)
    }

    /// Takes an artifact away that nobody needs; one that stays only takes room.
    pub(crate) fn remove(&self, digest: &Digest) {
        let _ = fs::remove_file(self.path(digest));
    }

    /// Where an artifact lies.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{digest}.safetensors"))
    }
}

/// Writes a new file and makes sure that it is on the disk.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Replaces a file in one step: readers see the old one or the new one, never half of one. What is new is on the
/// disk before it is seen, and two processes that replace the same file do not disturb each other.
///
/// # Errors
/// If the file cannot be written.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_together(&[(path, bytes)])
}

/// Replaces files that belong together. All are on the disk before the first is replaced: who reads at the
/// wrong instant may meet old and new ones, but a full disk changes none of them.
pub(crate) fn replace_together(files: &[(&Path, &[u8])]) -> io::Result<()> {
    let mut unfinished = Vec::new();
    for (path, bytes) in files {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let beside = path.with_file_name(name);
        write_durably(&beside, bytes)?;
        unfinished.push(beside);
    }
    for (beside, (path, _)) in unfinished.iter().zip(files) {
        fs::rename(beside, path)?;
        sync_name(path)?;
    }
    Ok(())
}

/// Makes sure that a file, or a folder, is on the disk under its name.
///
/// # Errors
/// If the folder that it is in cannot be synced.
pub fn sync_name(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_what_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = ArtifactStore::at(directory.path());
        let digest = store.put(b"weights").unwrap();
        assert_eq!(store.put(b"weights").unwrap(), digest);
        assert_eq!(store.get(&digest).unwrap(), b"weights");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_artifact_that_was_removed_is_said_to_be() {
        let directory = tempfile::tempdir().unwrap();
        let store = ArtifactStore::at(directory.path());
        let error = store.get(&Digest::of(b"weights")).unwrap_err();
        assert!(error.to_string().contains("`lehr clean`"), "{error}");
    }

    #[test]
    fn a_damaged_artifact_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let store = ArtifactStore::at(directory.path());
        let digest = store.put(b"weights").unwrap();
        fs::write(store.path(&digest), b"weighty").unwrap();
        let error = store.get(&digest).unwrap_err();
        assert!(matches!(error, ArtifactError::Damaged { .. }), "{error}");
    }
}
