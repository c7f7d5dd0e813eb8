//! Where a study's ledger is, and the file that lets workers into it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    artifact::replace_durably,
    folder::StudyFolder,
    ledger::{Admission, LedgerAddress, StudyName},
    store::{Store, StoreAddress, StoreError},
    trial::Digest,
};

/// Permissions of a file with a secret: its owner reads and writes it, nobody else does.
const SECRET_MODE: u32 = 0o600;

/// Why a file about a study in a database cannot be used.
#[derive(Debug, Error)]
pub enum InvitationError {
    /// It cannot be read or written.
    #[error("{} could not be {action}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a file that lehr wrote to let workers into a study", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// There is none, or something that is no file.
    #[error("there is no invitation {}: `lehr explore` writes it into the study's folder", .path.display())]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },
    /// It is somebody else's.
    #[error("{} belongs to somebody else: use one of your own", .path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// Others may read it.
    #[error(
        "{} holds a password, and others may read it (mode {mode:o}): `chmod 600` it",
        .path.display()
    )]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// Where the ledger of a study is that lies in a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerPlace {
    /// The database, and the role that owns the study.
    pub ledger: LedgerAddress,
    /// The study's name.
    pub study: StudyName,
    /// How long a lease lasts without a beat, in seconds.
    pub lease_secs: f64,
    /// Where nodes find prepared rows and weights; in the study's folder if absent, which all of them see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreAddress>,
}

impl LedgerPlace {
    /// Where the ledger of the study in this folder is; `None` if it is a file there.
    ///
    /// # Errors
    /// If the file that says so cannot be read.
    pub fn of(folder: &StudyFolder) -> Result<Option<LedgerPlace>, InvitationError> {
        let path = folder.ledger_place();
        path.is_file().then(|| read(&path)).transpose()
    }

    /// The study's part of the store, if there is one.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn store(&self) -> Result<Option<Store>, StoreError> {
        let within = |address| Store::open(address)?.within(&self.study.to_string());
        self.store.as_ref().map(within).transpose()
    }

    /// Writes it into a study's folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), InvitationError> {
        let text = serde_json::to_vec_pretty(self).expect("a place has string keys only");
        replace_durably(path, &text).map_err(failed(path, "written"))
    }
}

/// All that a worker needs to join a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Invitation {
    /// Lets it into the ledger.
    pub admission: Admission,
    /// Where it finds prepared rows and weights.
    pub share: Share,
}

/// What nodes share beside the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Share {
    /// The study's folder, which all nodes see.
    Folder(PathBuf),
    /// A store: its address, and the manifest of the prepared rows.
    Store {
        /// The study's part of it.
        address: StoreAddress,
        /// Digest of the manifest.
        data: Digest,
    },
}

impl Invitation {
    /// Reads one, if nobody else can.
    ///
    /// # Errors
    /// If it is not there, or something else, or others may read it.
    pub fn read(path: &Path) -> Result<Invitation, InvitationError> {
        Invitation::check(path)?;
        read(path)
    }

    /// Whether there is a file that its owner alone can read, who is the one that asks or anybody if root asks.
    ///
    /// # Errors
    /// If it is not there, or no file, or others may read it.
    pub fn check(path: &Path) -> Result<(), InvitationError> {
        let at = path.to_path_buf();
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(path, "read")(error));
            }
            found => found.ok().filter(fs::Metadata::is_file),
        };
        let Some(metadata) = metadata else {
            return Err(InvitationError::Absent { path: at });
        };
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(InvitationError::Open { path: at, mode });
        }
        let user = rustix::process::geteuid();
        match user.is_root() || metadata.uid() == user.as_raw() {
            true => Ok(()),
            false => Err(InvitationError::Foreign { path: at }),
        }
    }

    /// Writes it so that only its owner can read it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), InvitationError> {
        let text = serde_json::to_vec_pretty(self).expect("an invitation has string keys only");
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(SECRET_MODE);
        let mut file = options.open(path).map_err(failed(path, "written"))?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(failed(path, "written"))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, InvitationError> {
    let text = fs::read(path).map_err(failed(path, "read"))?;
    serde_json::from_slice(&text).map_err(|source| InvitationError::Damaged {
        path: path.to_path_buf(),
        source,
    })
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> InvitationError {
    let path = path.to_path_buf();
    move |source| InvitationError::Io {
        path,
        action,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        Invitation {
            admission: Admission {
                ledger: "postgres://lehr_digits@127.0.0.1/work".parse().unwrap(),
                study: "digits".parse().unwrap(),
                password: Some("secret".to_string()),
            },
            share: Share::Folder("/shared/digits.lehr".into()),
        }
    }

    #[test]
    fn an_invitation_is_for_its_owners_eyes_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("invitation.json");
        invitation().write(&path).unwrap();
        assert_eq!(Invitation::read(&path).unwrap(), invitation());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Invitation::read(&path).unwrap_err();
        assert!(
            matches!(error, InvitationError::Open { mode: 0o640, .. }),
            "{error}"
        );
        let error = Invitation::read(folder.path()).unwrap_err();
        assert!(matches!(error, InvitationError::Absent { .. }), "{error}");
        assert!(!format!("{:?}", invitation()).contains("secret"));
    }
}
