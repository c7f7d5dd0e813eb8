//! Where PostgreSQL's programs are, and as whom they run.

use std::{
    env, fs,
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

use super::DatabaseError;
use crate::outside::Outside;

/// The oldest version with all that the ledger uses.
const MAJOR_MIN: u32 = 14;

/// What a server needs; a folder without one of them is not that of a server.
const NEEDED: [&str; 5] = ["initdb", "pg_ctl", "postgres", "psql", "pg_isready"];

/// The programs of one version.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The newest that is installed, or the one that made these data.
    pub(super) fn find(data: Option<&Path>) -> Result<Programs, DatabaseError> {
        let made_by = data.and_then(|data| {
            let version = fs::read_to_string(data.join("PG_VERSION")).ok()?;
            version.trim().parse::<u32>().ok()
        });
        let complete = candidates()
            .into_iter()
            .filter(|folder| NEEDED.iter().all(|program| folder.join(program).is_file()));
        let versions = complete.filter_map(|folder| Some((major(&folder)?, folder)));
        let fitting = versions.filter(|(major, _)| match made_by {
            Some(made_by) => *major == made_by,
            None => *major >= MAJOR_MIN,
        });
        match fitting.max_by_key(|(major, _)| *major) {
            Some((_, folder)) => Ok(Programs { folder }),
            None => Err(DatabaseError::NotInstalled {
                needed: match made_by {
                    Some(made_by) => format!("of version {made_by}, which made these data,"),
                    None => format!("of version {MAJOR_MIN} or newer"),
                },
            }),
        }
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Folders in which there may be programs of PostgreSQL.
fn candidates() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default();
    // Debian keeps several versions beside each other, and none of their servers on the PATH.
    for (parent, begin) in [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(begin));
        folders.extend(named.map(|entry| entry.path().join("bin")));
    }
    if let Ok(told) = Outside::new("pg_config").arg("--bindir").run() {
        folders.push(PathBuf::from(told.trim()));
    }
    folders
}

/// The major version: `postgres (PostgreSQL) 15.18` is 15.
fn major(folder: &Path) -> Option<u32> {
    let told = Outside::new(folder.join("postgres"))
        .arg("--version")
        .run()
        .ok()?;
    let number = told
        .split_whitespace()
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Who owns the server and its files.
#[derive(Debug)]
pub(super) enum Owner {
    /// Whoever runs lehr.
    Caller,
    /// Somebody else; lehr runs as root.
    Other { user: u32, group: u32 },
}

impl Owner {
    pub(super) fn find(as_user: Option<&str>) -> Result<Owner, DatabaseError> {
        let is_root = rustix::process::geteuid().is_root();
        match as_user {
            None if is_root => Err(DatabaseError::Root),
            None => Ok(Owner::Caller),
            Some(user) if !is_root => Err(DatabaseError::NotRoot {
                user: user.to_string(),
            }),
            Some(user) => {
                let number = |what| {
                    let told = Outside::new("id").args([what, "--", user]).run();
                    let told = told.map_err(|cause| DatabaseError::NoUser {
                        user: user.to_string(),
                        cause,
                    })?;
                    // A name that is known has a number.
                    Ok(told.trim().parse().unwrap_or(0))
                };
                match (number("-u")?, number("-g")?) {
                    (0, _) => Err(DatabaseError::RootByName {
                        user: user.to_string(),
                    }),
                    (user, group) => Ok(Owner::Other { user, group }),
                }
            }
        }
    }

    /// A command that this owner runs.
    pub(super) fn command(&self, program: &Path) -> Outside {
        match self {
            Owner::Caller => Outside::new(program),
            Owner::Other { user, group } => Outside::new("setpriv")
                .arg(format!("--reuid={user}"))
                .arg(format!("--regid={group}"))
                .args(["--clear-groups", "--"])
                .arg(program),
        }
    }

    /// Gives a file or folder to this owner.
    pub(super) fn give(&self, path: &Path) -> Result<(), DatabaseError> {
        match self {
            Owner::Caller => Ok(()),
            Owner::Other { user, group } => {
                chown(path, Some(*user), Some(*group)).map_err(|source| DatabaseError::System {
                    action: "give away",
                    path: path.to_path_buf(),
                    source,
                })
            }
        }
    }
}
