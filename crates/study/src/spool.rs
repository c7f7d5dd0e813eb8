//! Results on disk between a trainer's word and the ledger's: what was computed is not lost if the
//! master dies in between.
//!
//! A worker writes the result here before it tells the master, and removes it when the master has
//! noted it. Whoever takes up the study again, or joins it on this machine, brings what is left into the ledger first.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    artifact::replace_durably,
    trial::{Lease, TrialResult},
};

/// A result that the ledger may not have yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spooled {
    /// The right it was trained by.
    pub lease: Lease,
    /// The result.
    pub result: TrialResult,
}

/// A directory of results on their way.
#[derive(Clone, Debug)]
pub struct Spool {
    directory: PathBuf,
}

impl Spool {
    /// The spool in this directory, which exists.
    pub fn at(directory: &Path) -> Spool {
        Spool {
            directory: directory.to_path_buf(),
        }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Keeps a result, durably.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn put(&self, spooled: &Spooled) -> io::Result<()> {
        replace_durably(&self.path(spooled.lease), &serde_json::to_vec(spooled)?)
    }

    /// Forgets a result that the ledger has.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn remove(&self, lease: Lease) -> io::Result<()> {
        match fs::remove_file(self.path(lease)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Gives out all results left here, and forgets each that was taken.
    ///
    /// # Errors
    /// If the directory cannot be read, a result is not taken, or its file cannot be removed.
    pub(crate) fn hand_over<E>(
        &self,
        failed: impl Fn(&'static str, io::Error) -> E,
        mut take: impl FnMut(Lease, TrialResult) -> Result<(), E>,
    ) -> Result<(), E> {
        for Spooled { lease, result } in self.all().map_err(|e| failed("read the spool", e))? {
            take(lease, result)?;
            self.remove(lease)
                .map_err(|e| failed("clear the spool", e))?;
        }
        Ok(())
    }

    /// All results left here, by trial. A file that cannot be understood was written by another version, or is
    /// damaged, for none is cut by a power failure: it is passed over, and stays.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn all(&self) -> io::Result<Vec<Spooled>> {
        let mut spooled = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match fs::read(&path) {
                Ok(bytes) => spooled.extend(serde_json::from_slice::<Spooled>(&bytes)),
                // Its worker has been heard meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        spooled.sort_by_key(|result| result.lease);
        Ok(spooled)
    }

    fn path(&self, lease: Lease) -> PathBuf {
        self.directory
            .join(format!("{}-{}.json", lease.trial, lease.epoch.0))
    }
}
