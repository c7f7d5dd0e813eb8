//! The folder of a study: what lies where in it, and who may write it.
//!
//! A new study is built beside its final place and moved there in one step, so that a folder with a
//! ledger is always a whole study.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{artifact::sync_name, file_system::network_file_system};

/// Why a study folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// The file system said no.
    #[error("the study folder {} could not be {action}", .path.display())]
    Io {
        /// Which folder.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no study.
    #[error("{} is not a study folder: it has no ledger", .path.display())]
    NoStudy {
        /// Which folder.
        path: PathBuf,
    },
    /// Something else lies there.
    #[error("{} exists and is not a study: choose another --out, or remove it", .path.display())]
    Occupied {
        /// Which folder.
        path: PathBuf,
    },
    /// The place has no name of its own.
    #[error(
        "no study can be made at {}, which is a folder without a name of its own: a study appears under its name when \
         it is whole; name a folder that is not there yet, as --out {}",
        .path.display(), .path.join("study").display()
    )]
    Nameless {
        /// Which place.
        path: PathBuf,
    },
    /// Another process explores it.
    #[error("{} is being explored by another process", .path.display())]
    Busy {
        /// Which folder.
        path: PathBuf,
    },
    /// SQLite is not safe there.
    #[error(
        "{} lies on a network file system ({kind}), where SQLite loses data: choose a local --out",
        .path.display()
    )]
    NetworkFileSystem {
        /// Which folder.
        path: PathBuf,
        /// Which kind.
        kind: &'static str,
    },
}

/// Where everything of a study lies.
#[derive(Clone, Debug)]
pub struct StudyFolder {
    root: PathBuf,
}

impl StudyFolder {
    /// The folder of an existing study.
    ///
    /// # Errors
    /// If there is no ledger in it.
    pub fn open(root: &Path) -> Result<StudyFolder, FolderError> {
        let folder = StudyFolder {
            root: root.to_path_buf(),
        };
        if !folder.ledger().is_file() && !folder.ledger_place().is_file() {
            return Err(FolderError::NoStudy { path: folder.root });
        }
        Ok(folder)
    }

    /// Whether a study is at this place; something else there is an error, and so is a place where none can be made.
    ///
    /// # Errors
    /// If the place is taken by something that is no study, or has no name, as `.` and `..`.
    pub fn find(root: &Path) -> Result<Option<StudyFolder>, FolderError> {
        let empty = || fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_none());
        match StudyFolder::open(root) {
            Ok(folder) => Ok(Some(folder)),
            Err(_) if !root.exists() || empty() => name_of(root).map(|_| None),
            Err(_) => Err(FolderError::Occupied {
                path: root.to_path_buf(),
            }),
        }
    }

    /// Builds a new study folder: `fill` puts everything in, then it appears at `root` at once.
    ///
    /// # Errors
    /// If the place has no name, the folder cannot be written, or `fill` fails.
    pub fn create<E: From<FolderError>>(
        root: &Path,
        fill: impl FnOnce(&StudyFolder) -> Result<(), E>,
    ) -> Result<StudyFolder, E> {
        let name = name_of(root)?;
        // Without what may stand behind the name, as in `study/.`: nothing can be moved there.
        let root = root.with_file_name(name);
        let mut unfinished = name.to_os_string();
        unfinished.push(format!(".{}.part", std::process::id()));
        let unfinished = StudyFolder {
            root: root.with_file_name(unfinished),
        };
        let made = unfinished
            .remove_leftover()
            .and_then(|()| unfinished.make_directories())
            .map_err(E::from)
            .and_then(|()| fill(&unfinished))
            .and_then(|()| unfinished.appear_at(&root).map_err(E::from));
        if let Err(error) = made {
            // Best effort: the study was not made, and half a folder should not stay.
            let _ = fs::remove_dir_all(&unfinished.root);
            return Err(error);
        }
        Ok(StudyFolder { root })
    }

    /// Takes away what a killed process of the same number has left: files of two studies must not mix.
    fn remove_leftover(&self) -> Result<(), FolderError> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(&self.root, "removed")(error))
            }
            _ => Ok(()),
        }
    }

    /// Moves a whole study to its place. All of it is on the disk before, since a study that is there is taken for
    /// whole.
    fn appear_at(&self, root: &Path) -> Result<(), FolderError> {
        sync_folders(&self.root).map_err(failed(root, "written"))?;
        let _ = fs::remove_dir(root);
        fs::rename(&self.root, root).map_err(failed(root, "created"))?;
        sync_name(root).map_err(failed(root, "written"))
    }

    fn make_directories(&self) -> Result<(), FolderError> {
        for directory in [self.artifacts(), self.prepared(), self.spool(), self.best()] {
            fs::create_dir_all(&directory).map_err(failed(&self.root, "created"))?;
        }
        Ok(())
    }

    /// Whether SQLite keeps what it is given here.
    ///
    /// # Errors
    /// If the folder lies on a network file system.
    pub fn check_is_local(&self) -> Result<(), FolderError> {
        match network_file_system(&self.root) {
            Some(kind) => Err(FolderError::NetworkFileSystem {
                path: self.root.clone(),
                kind,
            }),
            None => Ok(()),
        }
    }

    /// The right to write this study, until it is dropped.
    ///
    /// # Errors
    /// If another process has it.
    pub fn lock(&self) -> Result<StudyLock, FolderError> {
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(failed(&self.root, "written"))?;
        match file.try_lock() {
            Ok(()) => Ok(StudyLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Busy {
                path: self.root.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(&self.root, "locked")(source)),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger.sqlite")
    }

    /// Where the ledger is, if it is in a database.
    pub fn ledger_place(&self) -> PathBuf {
        self.root.join("ledger.json")
    }

    /// What lets workers into a study whose ledger is in a database; for its owner's eyes only.
    pub fn invitation(&self) -> PathBuf {
        self.root.join("invitation.json")
    }

    /// Weights, by digest.
    pub fn artifacts(&self) -> PathBuf {
        self.root.join("artifacts")
    }

    /// Preprocessed rows, as trainers load them.
    pub fn prepared(&self) -> PathBuf {
        self.root.join("prepared")
    }

    /// Results on their way into the ledger.
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// Gradient-boosted trees that the winner is compared with.
    pub fn trees(&self) -> PathBuf {
        self.root.join("trees.json")
    }

    /// The winner, ready to use.
    pub fn best(&self) -> PathBuf {
        self.root.join("best")
    }

    /// With several objectives: a folder for each model that none beats in all of them.
    pub fn front(&self) -> PathBuf {
        self.root.join("front")
    }

    /// Where it was asked for: several trials that answer together, as one model.
    pub fn ensemble(&self) -> PathBuf {
        self.root.join("ensemble")
    }

    /// What is being explored, and how: every default visible.
    pub fn config(&self) -> PathBuf {
        self.root.join("lehr.toml")
    }

    /// All finished trials as a table.
    pub fn leaderboard(&self) -> PathBuf {
        self.root.join("leaderboard.csv")
    }

    /// What happened, for people.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// What the nodes of this machine print, where they join by invitation.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// What happened, for machines.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.jsonl")
    }
}

/// What a study at this place is called.
fn name_of(root: &Path) -> Result<&OsStr, FolderError> {
    root.file_name().ok_or_else(|| FolderError::Nameless {
        path: root.to_path_buf(),
    })
}

/// Makes sure that the names of all that is in a folder are on the disk.
fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

fn failed(path: &Path, action: &'static str) -> impl Fn(io::Error) -> FolderError {
    let path = path.to_path_buf();
    move |source| FolderError::Io {
        path: path.clone(),
        action,
        source,
    }
}

/// The right to write a study; it ends with the process, however that ends.
#[derive(Debug)]
pub struct StudyLock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_that_could_not_be_filled_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("study");
        let error = FolderError::NoStudy { path: root.clone() };
        let made = StudyFolder::create(&root, |_| Err(error));
        assert!(made.is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_study_that_cannot_be_moved_to_its_place_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("study");
        let made = StudyFolder::create::<FolderError>(&root, |_| {
            // Somebody else takes the place meanwhile.
            fs::create_dir(&root).unwrap();
            fs::write(root.join("thesis.tex"), "do not lose me").unwrap();
            Ok(())
        });
        assert!(matches!(made, Err(FolderError::Io { .. })), "{made:?}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(root.join("thesis.tex").is_file());
    }

    #[test]
    fn what_a_killed_process_has_left_is_in_no_study() {
        let place = tempfile::tempdir().unwrap();
        let left = place
            .path()
            .join(format!("study.{}.part", std::process::id()));
        fs::create_dir_all(left.join("prepared")).unwrap();
        fs::write(left.join("prepared").join("train.shards"), "others").unwrap();
        let root = place.path().join("study").join(".");
        let folder = StudyFolder::create::<FolderError>(&root, |_| Ok(())).unwrap();
        assert_eq!(folder.root(), place.path().join("study"));
        assert_eq!(fs::read_dir(folder.prepared()).unwrap().count(), 0);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_without_a_name_is_refused_before_anything_is_prepared() {
        let place = tempfile::tempdir().unwrap();
        let nameless = place.path().join("missing").join("..");
        let error = StudyFolder::find(&nameless).unwrap_err();
        assert!(matches!(error, FolderError::Nameless { .. }), "{error}");
        assert!(error.to_string().ends_with("../study"), "{error}");
        let made = StudyFolder::create::<FolderError>(&nameless, |_| panic!("nothing is prepared"));
        assert!(matches!(made, Err(FolderError::Nameless { .. })));
    }

    #[test]
    fn a_folder_with_something_else_in_it_is_not_taken() {
        let place = tempfile::tempdir().unwrap();
        assert!(StudyFolder::find(place.path()).unwrap().is_none());
        fs::write(place.path().join("thesis.tex"), "do not lose me").unwrap();
        let error = StudyFolder::find(place.path()).unwrap_err();
        assert!(matches!(error, FolderError::Occupied { .. }), "{error}");
    }

    #[test]
    fn two_processes_never_write_one_study() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("study");
        let folder = StudyFolder::create::<FolderError>(&root, |_| Ok(())).unwrap();
        let held = folder.lock().unwrap();
        assert!(matches!(folder.lock(), Err(FolderError::Busy { .. })));
        drop(held);
        folder.lock().unwrap();
    }
}
