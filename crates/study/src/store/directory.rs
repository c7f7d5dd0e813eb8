//! A store that is a directory, of one machine or of a file system that many share.
//!
//! No locks: an object is written beside its place, synced, and renamed, which is atomic on local file systems
//! and on NFS alike. On NFS a machine may not see for some seconds what another one has renamed; opening the
//! directory makes it look again, so what seems not to be there is looked for twice.

use std::{
    fs::{self, File, FileTimes, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{Listed, ObjectName, StoreError, Stored, Trouble, failed, unfinished};

#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn open(root: &Path) -> Result<Directory, StoreError> {
        // Not made: where a shared file system is not mounted, weights would go to the local disk, unseen.
        match root.is_dir() {
            true => Ok(Directory {
                root: root.to_path_buf(),
            }),
            false => Err(StoreError::NoDirectory {
                path: root.to_path_buf(),
            }),
        }
    }

    pub(super) fn put(
        &self,
        name: &ObjectName,
        file: &Path,
        bytes: u64,
    ) -> Result<Stored, Trouble> {
        let path = self.root.join(name.to_string());
        if self.look(&path)? == Some(bytes) {
            // Somebody may be about to collect what nobody has named for long: it is young again.
            let touched = OpenOptions::new()
                .append(true)
                .open(&path)
                .and_then(|own| own.set_times(FileTimes::new().set_modified(SystemTime::now())));
            if touched.is_ok() {
                return Ok(Stored::There);
            }
        }
        let part = unfinished(&path);
        let written = copy_durably(file, &part)
            .and_then(|()| fs::rename(&part, &path))
            .and_then(|()| File::open(&self.root)?.sync_all());
        written.map(|()| Stored::Sent).map_err(|source| {
            // If it cannot go, it stays a `.part`, which is collected after a day.
            let _ = fs::remove_file(&part);
            trouble("written", &path, source)
        })
    }

    pub(super) fn get(&self, name: &ObjectName, part: &Path) -> Result<(), Trouble> {
        let path = self.root.join(name.to_string());
        if self.look(&path)?.is_none() {
            return Err(Trouble::Final(StoreError::Missing {
                name: name.clone(),
                store: self.root.display().to_string(),
            }));
        }
        let copied = fs::copy(&path, part);
        copied
            .map(|_| ())
            .map_err(|source| trouble("read", &path, source))
    }

    pub(super) fn size_of(&self, name: &ObjectName) -> Result<Option<u64>, Trouble> {
        self.look(&self.root.join(name.to_string()))
    }

    /// The size of a file; looks twice before it says that there is none.
    fn look(&self, path: &Path) -> Result<Option<u64>, Trouble> {
        let size = || fs::metadata(path).map(|metadata| metadata.len());
        let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let found = match size() {
            Err(error) if is_missing(&error) => {
                // Opened, so that a network file system asks its server what is in it.
                fs::read_dir(&self.root).map_err(|source| trouble("read", &self.root, source))?;
                size()
            }
            other => other,
        };
        match found {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(source) => Err(trouble("read", path, source)),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Listed>, Trouble> {
        let read = |source| trouble("listed", &self.root, source);
        let now = SystemTime::now();
        let mut listed = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !Listed::is_ours(&name) {
                continue;
            }
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // It went while it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(read(source)),
            };
            let age = now.duration_since(metadata.modified().map_err(read)?);
            listed.push(Listed {
                name,
                bytes: metadata.len(),
                age_seconds: age.map_or(0.0, |age| age.as_secs_f64()),
            });
        }
        Ok(listed)
    }

    pub(super) fn remove(&self, names: &[String]) -> Result<(), Trouble> {
        for name in names {
            let path = self.root.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(trouble("removed", &path, error));
                }
                _ => {}
            }
        }
        let synced = File::open(&self.root).and_then(|root| root.sync_all());
        synced.map_err(|source| trouble("removed", &self.root, source))
    }
}

/// What the system said, and whether it may say something else the next time.
fn trouble(action: &'static str, path: &Path, source: io::Error) -> Trouble {
    use io::ErrorKind;
    let is_passing = matches!(
        source.kind(),
        ErrorKind::StaleNetworkFileHandle
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::ResourceBusy
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
    );
    match is_passing {
        true => Trouble::Passing(format!(
            "{} could not be {action}: {source}",
            path.display()
        )),
        false => Trouble::Final(failed(action, path)(source)),
    }
}

fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    let mut reader = File::open(from)?;
    let mut writer = File::create(to)?;
    io::copy(&mut reader, &mut writer)?;
    writer.sync_all()
}
