//! Where answers go: standard output, a file, or what only looks like a file, as a device or a pipe.
//!
//! A file is written beside its place and put there when it is whole; whatever ends before that leaves what was there.
//! What is written is not decided here.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, StdoutLock, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use study::artifact::sync_name;
use tempfile::{Builder, NamedTempFile};

/// Folders of what only looks like a file, as `/dev/stdout`.
const DEVICES: [&str; 2] = ["/dev", "/proc"];

/// Who may read and write a new file, but for those whom the user's mask leaves out.
const NEW_FILE_MODE: u32 = 0o666;

/// When a file appears at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appears {
    /// When all of it is written.
    Whole,
    /// At once, to be read while it grows.
    AtOnce,
}

/// Something that answers are written into.
pub(crate) enum Destination {
    StandardOutput(StdoutLock<'static>),
    /// Written where it is.
    InPlace(File),
    /// Written beside its place; gone again if it is dropped before it is finished.
    Beside {
        file: NamedTempFile,
        place: PathBuf,
    },
}

impl Destination {
    /// Begins to write at this path.
    pub(crate) fn open(path: &Path, appears: Appears) -> Result<Destination> {
        let opened = match (appears, file_at(path)) {
            (Appears::Whole, Some(place)) => beside(place),
            _ => File::create(path).map(Destination::InPlace),
        };
        opened.with_context(|| unwritten(path))
    }

    /// Ends it: a file is on the disk and at its place then.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()?;
        let Destination::Beside { file, place } = self else {
            return Ok(());
        };
        put(file, &place).with_context(|| unwritten(&place))
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Destination::StandardOutput(output) => output.write(bytes),
            Destination::InPlace(file) => file.write(bytes),
            Destination::Beside { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Destination::StandardOutput(output) => output.flush(),
            Destination::InPlace(file) => file.flush(),
            Destination::Beside { file, .. } => file.flush(),
        }
    }
}

/// The file that a path means, whether it is there or not, by the one name that all its paths share; `None` for what
/// cannot be replaced: a device, a pipe, a folder, a link to nothing.
pub(crate) fn file_at(path: &Path) -> Option<PathBuf> {
    if DEVICES.iter().any(|folder| path.starts_with(folder)) {
        return None;
    }
    match fs::canonicalize(path) {
        Ok(real) => real.is_file().then_some(real),
        Err(_) if path.is_symlink() => None,
        Err(_) => {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let folder = fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
            Some(folder.join(path.file_name()?))
        }
    }
}

/// Begins a file beside its place.
fn beside(place: PathBuf) -> io::Result<Destination> {
    let mode = match OpenOptions::new().write(true).open(&place) {
        // It stays as private as it was.
        Ok(known) => known.metadata()?.permissions().mode() & NEW_FILE_MODE,
        Err(error) if error.kind() == ErrorKind::NotFound => NEW_FILE_MODE,
        // What may not be written is not replaced either.
        Err(error) => return Err(error),
    };
    let mut name = place.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    let file = Builder::new()
        .prefix(&name)
        .suffix(".part")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(place.parent().unwrap_or(Path::new(".")))?;
    Ok(Destination::Beside { file, place })
}

/// Puts a whole file in its place.
fn put(file: NamedTempFile, place: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(place).map_err(|failed| failed.error)?;
    sync_name(place)
}

fn unwritten(path: &Path) -> String {
    format!("could not write {}", path.display())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_when_it_is_whole_and_stays_as_private_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("answers.csv");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let mut destination = Destination::open(&path, Appears::Whole).unwrap();
        destination.write_all(b"new").unwrap();
        destination.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert!(names(place.path())[1].ends_with(".part"));
        destination.finish().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(place.path()), ["answers.csv"]);
    }

    #[test]
    fn what_is_not_finished_leaves_what_was_there_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("answers.csv");
        for old in [None, Some("old")] {
            if let Some(old) = old {
                fs::write(&path, old).unwrap();
            }
            let mut destination = Destination::open(&path, Appears::Whole).unwrap();
            destination.write_all(b"new").unwrap();
            drop(destination);
            assert_eq!(fs::read_to_string(&path).ok().as_deref(), old);
            assert_eq!(names(place.path()).len(), usize::from(old.is_some()));
        }
    }

    #[test]
    fn what_has_no_end_is_written_where_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("answers.csv");
        let mut destination = Destination::open(&path, Appears::AtOnce).unwrap();
        destination.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_file_has_one_name_for_all_its_paths_and_a_device_or_a_link_to_nothing_has_none() {
        let place = tempfile::tempdir().unwrap();
        let folder = fs::canonicalize(place.path()).unwrap();
        let path = folder.join("answers.csv");
        for is_there in [false, true] {
            if is_there {
                fs::write(&path, "old").unwrap();
            }
            assert_eq!(file_at(&path), Some(path.clone()));
            assert_eq!(file_at(&folder.join("./answers.csv")), Some(path.clone()));
        }
        let link = folder.join("link.csv");
        symlink(&path, &link).unwrap();
        assert_eq!(file_at(&link), Some(path.clone()));
        fs::remove_file(&path).unwrap();
        let nothing = [link.as_path(), &folder, Path::new("/dev/stdout")];
        assert!(nothing.into_iter().all(|path| file_at(path).is_none()));
    }
}
