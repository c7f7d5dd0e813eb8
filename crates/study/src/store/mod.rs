//! Where weights and data lie for all nodes of a study: a directory that they share, or an object store.
//!
//! Objects are named by the digest of their bytes, written once and as a whole, and checked when read. Nothing
//! here locks, and nothing hangs on who writes first: the same name is the same bytes.
//!
//! Read in this order: [`address`] (where a store lies), [`directory`](self) and [`remote`](self) (the two kinds
//! of places), [`cache`] (what a node keeps of it), [`delivery`] (how data reach a node), [`sweep`] (what may
//! go). Object stores are reached through `rclone`; why is said in `docs/decisions/`.

pub mod address;
pub mod cache;
pub mod delivery;
mod directory;
mod environment;
mod object;
pub mod patience;
mod remote;
pub mod sweep;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use thiserror::Error;

pub use self::cache::{InUse, NodeCache, NodeWeights};
pub use self::{
    address::StoreAddress,
    object::{Kind, Listed, ObjectName, Stored},
    patience::Patience,
};
use self::{
    directory::Directory,
    patience::{chance, random_bytes, sleep_unless_stopped},
    remote::Remote,
};
use crate::{
    outside::OutsideError,
    trial::{Bytes, Digest},
};

/// Why a store could not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A file of this node or of a shared directory.
    #[error("{} could not be {action}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The directory of a shared store is not there.
    #[error(
        "the store {} is no directory on this machine: make it, or mount the file system that is to hold it",
        .path.display()
    )]
    NoDirectory {
        /// Which.
        path: PathBuf,
    },
    /// There is no such object.
    #[error("{name} is not in the store {store}")]
    Missing {
        /// Which.
        name: ObjectName,
        /// Where it was looked for.
        store: String,
    },
    /// The bytes are not those of the name, also when read again.
    #[error("{name} in {store} is damaged: its {} have digest {found}", Bytes(*.bytes))]
    Damaged {
        /// Which.
        name: ObjectName,
        /// Where it lies.
        store: String,
        /// How many bytes there are.
        bytes: u64,
        /// Their digest.
        found: Digest,
    },
    /// `rclone` cannot be started.
    #[error(
        "`{program}` could not be started, which carries files to and from {store}: install rclone (Debian: \
         `apt install rclone`) on every node, or use a directory as store"
    )]
    NoProgram {
        /// What was started.
        program: String,
        /// For which store.
        store: String,
        /// What came of it.
        #[source]
        source: OutsideError,
    },
    /// The store knows the asker not, or has no such place: asking again would not help.
    #[error(
        "the store {store} refuses: {said}; look at its address, and at the keys that lehr was given in the \
         environment or in the file that `credentials` names"
    )]
    Refused {
        /// Which store.
        store: String,
        /// What rclone said.
        said: String,
    },
    /// It did not work, however often it was tried.
    #[error("{action} the store {store} failed {attempts} time(s), at last because {said}")]
    Failed {
        /// What was to be done.
        action: &'static str,
        /// Which store.
        store: String,
        /// How often.
        attempts: u32,
        /// What rclone said last.
        said: String,
    },
    /// The file with secrets cannot be used.
    #[error("the credentials file {} {problem}", .path.display())]
    Credentials {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A list of files, or of objects, that this version does not understand.
    #[error("{what} cannot be understood")]
    Unreadable {
        /// What it is.
        what: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// It was told to stop.
    #[error("the transfer with {store} was stopped, because the process ends")]
    Stopped {
        /// Which store.
        store: String,
    },
}

pub(crate) fn failed(
    action: &'static str,
    path: &Path,
) -> impl Fn(io::Error) -> StoreError + use<> {
    let path = path.to_path_buf();
    move |source| StoreError::Io {
        path: path.clone(),
        action,
        source,
    }
}

/// A store of objects that are named by their content; a clone is the same store.
#[derive(Clone, Debug)]
pub struct Store {
    address: StoreAddress,
    place: Arc<Place>,
    patience: Patience,
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Debug)]
enum Place {
    Directory(Directory),
    Remote(Remote),
}

impl Store {
    /// The store at this address. Nothing is asked of it yet.
    ///
    /// # Errors
    /// If the directory is not there, or the file with secrets cannot be used.
    pub fn open(address: &StoreAddress) -> Result<Store, StoreError> {
        let place = match address {
            StoreAddress::Directory(path) => Place::Directory(Directory::open(path)?),
            _ => Place::Remote(Remote::open(address)?),
        };
        Ok(Store {
            address: address.clone(),
            place: Arc::new(place),
            patience: Patience::default(),
            stop: Arc::new(AtomicBool::new(false)),
        })
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Store {
        Store { patience, ..self }
    }

    /// The same, whose transfers and waits end when the flag is set.
    #[must_use]
    pub fn stopped_by(self, stop: Arc<AtomicBool>) -> Store {
        Store { stop, ..self }
    }

    /// The store at a place within this one, made if it is not there.
    ///
    /// # Errors
    /// If the directory cannot be made, or the name is no word.
    pub fn within(&self, name: &str) -> Result<Store, StoreError> {
        let address = self
            .address
            .within(name)
            .map_err(|error| StoreError::Refused {
                store: self.to_string(),
                said: error.to_string(),
            })?;
        if let StoreAddress::Directory(path) = &address {
            fs::create_dir_all(path).map_err(failed("made", path))?;
        }
        let inner = Store::open(&address)?;
        Ok(inner
            .with_patience(self.patience)
            .stopped_by(Arc::clone(&self.stop)))
    }

    /// Where it lies.
    pub fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// Sends the file, whose bytes must be those of the name; nothing is sent of what is there already.
    /// When this returns, the object is durable, and readers see all of it.
    ///
    /// # Errors
    /// If the file is damaged, or the store refuses or fails.
    ///
    /// # Cost
    /// The file is read twice; an object store is asked once more, whether it has it.
    pub fn put(&self, name: &ObjectName, file: &Path) -> Result<Stored, StoreError> {
        let bytes = check_file(name, file)?;
        self.patiently("sending to", || match &*self.place {
            Place::Directory(directory) => directory.put(name, file, bytes),
            Place::Remote(remote) => remote.put(name, file, bytes, &self.stop),
        })
    }

    /// Brings an object into a file, which appears at once and is checked before; bytes that are damaged are
    /// asked for once more.
    ///
    /// # Errors
    /// If it is missing or damaged, or the store refuses or fails.
    pub fn get(&self, name: &ObjectName, file: &Path) -> Result<u64, StoreError> {
        match self.get_once(name, file) {
            Err(StoreError::Damaged { .. }) => self.get_once(name, file),
            other => other,
        }
    }

    fn get_once(&self, name: &ObjectName, file: &Path) -> Result<u64, StoreError> {
        let part = unfinished(file);
        let got = self
            .patiently("reading from", || match &*self.place {
                Place::Directory(directory) => directory.get(name, &part),
                Place::Remote(remote) => remote.get(name, &part, &self.stop),
            })
            .and_then(|()| check_file(name, &part).map_err(|error| self.blamed(error)))
            .and_then(|bytes| {
                fs::rename(&part, file).map_err(failed("written", file))?;
                Ok(bytes)
            });
        if got.is_err() {
            // What came of a failed transfer helps nobody; if it cannot go, it stays a `.part`.
            let _ = fs::remove_file(&part);
        }
        got
    }

    /// Damage of a file that was just fetched is the store's.
    fn blamed(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Damaged {
                name, bytes, found, ..
            } => StoreError::Damaged {
                name,
                store: self.to_string(),
                bytes,
                found,
            },
            other => other,
        }
    }

    /// Size of an object; `None` if it is not there. Its bytes are not looked at.
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub fn size_of(&self, name: &ObjectName) -> Result<Option<u64>, StoreError> {
        self.patiently("asking", || match &*self.place {
            Place::Directory(directory) => directory.size_of(name),
            Place::Remote(remote) => remote.size_of(name, &self.stop),
        })
    }

    /// Whether an object is there.
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub fn has(&self, name: &ObjectName) -> Result<bool, StoreError> {
        Ok(self.size_of(name)?.is_some())
    }

    /// Everything in the store, by name, with sizes and ages. Files that are none of lehr's are left out.
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut listed = self.patiently("listing", || match &*self.place {
            Place::Directory(directory) => directory.list(),
            Place::Remote(remote) => remote.list(&self.stop),
        })?;
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }

    /// Removes objects; one that is not there is no error.
    ///
    /// # Errors
    /// If the store refuses or fails; some may be gone then.
    pub fn remove(&self, names: &[String]) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        self.patiently("removing from", || match &*self.place {
            Place::Directory(directory) => directory.remove(names),
            Place::Remote(remote) => remote.remove(names, &self.stop),
        })
    }

    /// Forgets uploads that somebody began more than a day ago and never ended; an object store keeps what came
    /// of them, out of sight, and counts it.
    ///
    /// # Errors
    /// If the store refuses or fails.
    pub fn forget_broken_uploads(&self) -> Result<(), StoreError> {
        self.patiently("tidying", || match &*self.place {
            // Their `.part` files are listed like everything else.
            Place::Directory(_) => Ok(()),
            Place::Remote(remote) => remote.forget_broken_uploads(&self.stop),
        })
    }

    /// Tries until it works, it cannot work, or patience ends.
    fn patiently<T>(
        &self,
        action: &'static str,
        mut attempt: impl FnMut() -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let mut tried = 0;
        loop {
            let said = match attempt() {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Passing(said)) => said,
            };
            tried += 1;
            if tried >= self.patience.attempts {
                return Err(StoreError::Failed {
                    action,
                    store: self.to_string(),
                    attempts: tried,
                    said,
                });
            }
            let wait = self.patience.wait_after(tried, chance());
            if !sleep_unless_stopped(wait, &self.stop) {
                return Err(StoreError::Stopped {
                    store: self.to_string(),
                });
            }
        }
    }

    /// Whether its transfers have been told to end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl std::fmt::Display for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)
    }
}

/// Why one try did not work.
#[derive(Debug)]
enum Trouble {
    /// It may work the next time.
    Passing(String),
    /// It will not.
    Final(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Final(error)
    }
}

/// The size of a file whose bytes are those of the name.
fn check_file(name: &ObjectName, path: &Path) -> Result<u64, StoreError> {
    let read = failed("read", path);
    let file = fs::File::open(path).map_err(&read)?;
    let bytes = file.metadata().map_err(&read)?.len();
    let found = Digest::of_reader(file).map_err(&read)?;
    if found != *name.digest() {
        return Err(StoreError::Damaged {
            name: name.clone(),
            store: path.display().to_string(),
            bytes,
            found,
        });
    }
    Ok(bytes)
}

/// Ending of a file that is being written.
const UNFINISHED: &str = "part";

/// The name under which a file is written before it has its own; no two writers on any node have the same.
pub(crate) fn unfinished(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    let number = u64::from_le_bytes(random_bytes());
    name.push(format!(".{number:016x}.{UNFINISHED}"));
    file.with_file_name(name)
}

#[cfg(test)]
mod tests;
