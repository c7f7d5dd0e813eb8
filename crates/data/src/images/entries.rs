//! What a folder, an archive or a single file holds, one entry after another, in memory, and a
//! survey of the images among it.
//!
//! Links are never followed, nothing is ever written to disk, archives inside archives stay shut,
//! and everything that is read is read against a limit: a small archive that unpacks to a huge one
//! ends in a message.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, FileType},
    io::{self, BufReader, Read},
    path::{Component, Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use super::{
    decode::{self, Header},
    is_image_start,
};
use crate::{
    error::DataError,
    limits::ReadLimits,
    notice::Notice,
    table::{encoding::GZIP, text::malformed},
};

/// How a zip archive begins that holds something.
pub(crate) const ZIP: &[u8] = b"PK\x03\x04";

/// Bytes that tell what a file is: those of a tar archive say so in the first block of 512.
const START_BYTES: u64 = 512;

/// The memory of an entry is used again for the next, but no more than this is kept of it: hardly any
/// photograph is larger.
const KEPT_BYTES: usize = 16 << 20;

/// Bytes that the headers of one tar entry may take, on top of its content: a long name and a
/// path extension each take two blocks of 512 bytes and more.
const TAR_HEADER_BYTES_MAX: u64 = 8 << 10;

/// Names of which a file says that it is an image.
const IMAGE_EXTENSIONS: [&str; 12] = [
    "png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm",
];

/// How many names a notice gives at most.
const EXAMPLES_MAX: usize = 3;

/// What stands under a path.
pub(crate) enum Item<'a> {
    /// A folder.
    Folder,
    /// What systems leave behind: hidden files, thumbnails; its content was not looked at.
    Litter,
    /// A link, a device or a path that leads out: it was not looked at, for this reason.
    Refused(String),
    /// A file of which the content could not be had, for this reason.
    Broken(String),
    /// A file and its content; of a file on disk that is no image, its first bytes.
    File(&'a [u8]),
}

/// How the entries are held together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Folder,
    Zip,
    Tar,
    GzipTar,
    SingleFile,
}

/// An image that was found.
#[derive(Clone, Copy)]
pub(crate) struct Surveyed {
    pub(crate) header: Header,
    /// Of its file.
    pub(crate) hash: blake3::Hash,
    pub(crate) bytes: u64,
}

/// What was found under a path, by the headers of the files; every list is sorted by path.
#[derive(Default)]
pub(crate) struct Survey {
    pub(crate) images: BTreeMap<String, Surveyed>,
    /// Images that cannot be used, with the reasons.
    pub(crate) broken: BTreeMap<String, String>,
    /// Links and the like, with the reasons.
    pub(crate) refused: BTreeMap<String, String>,
    /// Folders, those of files that cannot be used too, with a `/` at the end.
    pub(crate) folders: BTreeSet<String>,
    others: BTreeSet<String>,
    repeated: BTreeSet<String>,
}

impl Survey {
    pub(crate) fn of(path: &Path, limits: &ReadLimits) -> Result<Survey, DataError> {
        let mut survey = Survey::default();
        visit(path, limits, &mut |name, item| {
            survey.add(name, item, limits)
        })?;
        Ok(survey)
    }

    /// The same of the files of these names in a folder, whatever else is there.
    pub(crate) fn of_named(folder: &Path, names: &[&str], limits: &ReadLimits) -> Survey {
        let mut survey = Survey::default();
        visit_named(folder, names, limits, &mut |name, item| {
            survey.add(name, item, limits)
        });
        survey
    }

    fn add(&mut self, name: &str, item: Item<'_>, limits: &ReadLimits) {
        if self.images.contains_key(name) || self.broken.contains_key(name) {
            self.repeated.insert(name.into());
            return;
        }
        let image = match item {
            Item::Folder => {
                self.folders.insert(format!("{name}/"));
                return;
            }
            Item::Litter => {
                self.others.insert(name.into());
                return;
            }
            Item::Refused(reason) => {
                self.refused.insert(name.into(), reason);
                return;
            }
            Item::Broken(reason) => Err(reason),
            Item::File(content) => decode::header(content, limits).map(|header| {
                header.map(|header| Surveyed {
                    header,
                    hash: blake3::hash(content),
                    bytes: content.len() as u64,
                })
            }),
        };
        if let Some((folder, _)) = name.rsplit_once('/') {
            self.folders.insert(format!("{folder}/"));
        }
        match image {
            Ok(Some(image)) => {
                self.images.insert(name.into(), image);
            }
            Ok(None) if !is_called_image(name) => {
                self.others.insert(name.into());
            }
            Ok(None) => {
                self.broken.insert(
                    name.into(),
                    "its content is that of no image that is read".into(),
                );
            }
            Err(reason) => {
                self.broken.insert(name.into(), reason);
            }
        }
    }

    /// What is to be said of the files that are not used.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        if !self.others.is_empty() {
            notices.push(Notice::note(format!(
                "skipped {} files or folders that are no images or hidden: {}",
                self.others.len(),
                some_of(self.others.iter().map(String::as_str))
            )));
        }
        let lists = [
            (&self.broken, "broken images"),
            (&self.refused, "links and unsafe paths"),
        ];
        for (list, what) in lists {
            if let Some((path, reason)) = list.first_key_value() {
                let count = list.len();
                notices.push(Notice::warning(format!(
                    "skipped {count} {what}; the first is `{path}`: {reason}"
                )));
            }
        }
        if !self.repeated.is_empty() {
            notices.push(Notice::warning(format!(
                "{} paths are given more than once, only the first of each is used: {}",
                self.repeated.len(),
                some_of(self.repeated.iter().map(String::as_str))
            )));
        }
        notices
    }

    /// The error if there is no image that can be used: it says what there is instead.
    pub(crate) fn nothing_found(&self, path: &Path) -> DataError {
        let mut found: Vec<String> = self
            .notices()
            .into_iter()
            .map(|notice| notice.text)
            .collect();
        if found.is_empty() {
            found.push("it is empty".into());
        }
        let problem = format!(
            "there is no image in it that can be used ({}): PNG, JPEG, WebP, BMP and GIF are read",
            found.join("; ")
        );
        DataError::NothingToLearn {
            path: path.to_path_buf(),
            problem,
        }
    }
}

/// The first few of many names, for a notice.
pub(crate) fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(EXAMPLES_MAX);
    let mut named: Vec<String> = names
        .take(EXAMPLES_MAX)
        .map(|name| format!("`{name}`"))
        .collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}

fn is_called_image(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| IMAGE_EXTENSIONS.contains(&extension.to_lowercase().as_str()))
}

impl Container {
    /// Finds out what `path` is, by its content first: a gzip file is taken for a tar archive only
    /// if its name says so, as there is nothing else to tell it from a compressed table.
    pub(crate) fn of(path: &Path) -> io::Result<Container> {
        if path.is_dir() {
            return Ok(Container::Folder);
        }
        let mut start = Vec::new();
        File::open(path)?
            .take(START_BYTES)
            .read_to_end(&mut start)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        if start.starts_with(ZIP) || start.starts_with(b"PK\x05\x06") {
            Ok(Container::Zip)
        } else if start.get(257..262) == Some(b"ustar") {
            Ok(Container::Tar)
        } else if start.starts_with(GZIP) && (name.ends_with(".tar.gz") || name.ends_with(".tgz")) {
            Ok(Container::GzipTar)
        } else {
            Ok(Container::SingleFile)
        }
    }
}

/// Shows everything under `path` to `see`, with paths relative to it and `/` between their parts.
///
/// # Errors
///
/// Of single entries, `see` is told. An archive that is damaged as a whole, a folder that cannot be
/// listed, and more than the limits allow, are errors.
pub(crate) fn visit(
    path: &Path,
    limits: &ReadLimits,
    see: &mut dyn FnMut(&str, Item<'_>),
) -> Result<(), DataError> {
    let mut viewer = Viewer::new(path, limits, see);
    let open = || File::open(path).map_err(|source| unreadable(path, source));
    match Container::of(path).map_err(|source| unreadable(path, source))? {
        Container::Folder => viewer.folder(),
        Container::Zip => viewer.zip(open()?),
        Container::Tar => viewer.tar(BufReader::new(open()?)),
        Container::GzipTar => viewer.tar(MultiGzDecoder::new(BufReader::new(open()?))),
        Container::SingleFile => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            viewer.file_on_disk(&name, path);
            Ok(())
        }
    }
}

/// Shows the files of these names in a folder to `see`, as [`visit`] would, and opens nothing else there. It is not
/// told of what is not there.
pub(crate) fn visit_named(
    folder: &Path,
    names: &[&str],
    limits: &ReadLimits,
    see: &mut dyn FnMut(&str, Item<'_>),
) {
    let mut viewer = Viewer::new(folder, limits, see);
    names.iter().for_each(|name| viewer.named(name));
}

struct Viewer<'a> {
    path: &'a Path,
    limits: &'a ReadLimits,
    entries: usize,
    unpacked: u64,
    /// Content of the current entry; kept so that its memory is used again.
    content: Vec<u8>,
    see: &'a mut dyn FnMut(&str, Item<'_>),
}

impl<'a> Viewer<'a> {
    fn new(
        path: &'a Path,
        limits: &'a ReadLimits,
        see: &'a mut dyn FnMut(&str, Item<'_>),
    ) -> Viewer<'a> {
        Viewer {
            path,
            limits,
            entries: 0,
            unpacked: 0,
            content: Vec::new(),
            see,
        }
    }

    fn folder(&mut self) -> Result<(), DataError> {
        let mut open: Vec<(PathBuf, String)> = vec![(self.path.to_path_buf(), String::new())];
        while let Some((folder, prefix)) = open.pop() {
            let failed = |source| unreadable(&folder, source);
            for entry in fs::read_dir(&folder).map_err(failed)? {
                self.count_entry()?;
                let entry = entry.map_err(failed)?;
                let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
                let kind = entry.file_type().map_err(failed)?;
                if is_litter(&name) {
                    (self.see)(&name, Item::Litter);
                } else if kind.is_dir() {
                    (self.see)(&name, Item::Folder);
                    open.push((entry.path(), format!("{name}/")));
                } else {
                    self.no_folder(&name, &entry.path(), kind);
                }
            }
        }
        Ok(())
    }

    /// A file of the folder by its name, if it is there; nothing on the way to it may be a link.
    fn named(&mut self, name: &str) {
        let parts = Path::new(name).components().map(|part| match part {
            Component::Normal(part) => Some(part),
            _ => None,
        });
        let Some(parts) = parts.collect::<Option<Vec<&OsStr>>>() else {
            let reason = "its path leads out of the folder".into();
            (self.see)(name, Item::Refused(reason));
            return;
        };
        if is_litter(name) {
            (self.see)(name, Item::Litter);
            return;
        }
        let mut path = self.path.to_path_buf();
        for (number, part) in (1..).zip(&parts) {
            path.push(part);
            let kind = match fs::symlink_metadata(&path) {
                Ok(found) => found.file_type(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(error) => {
                    let reason = format!("it could not be read ({error})");
                    (self.see)(name, Item::Broken(reason));
                    return;
                }
            };
            if number == parts.len() && kind.is_dir() {
                (self.see)(name, Item::Folder);
            } else if number == parts.len() || kind.is_symlink() {
                self.no_folder(name, &path, kind);
                return;
            }
        }
    }

    fn no_folder(&mut self, name: &str, path: &Path, kind: FileType) {
        if kind.is_symlink() {
            (self.see)(name, Item::Refused("it is a link".into()));
        } else if kind.is_file() {
            self.file_on_disk(name, path);
        } else {
            let reason = "it is a device, pipe or socket".into();
            (self.see)(name, Item::Refused(reason));
        }
    }

    fn file_on_disk(&mut self, name: &str, path: &Path) {
        let limit = self.limits.bytes_max;
        self.empty();
        let content = &mut self.content;
        let read = File::open(path).and_then(|file| read_image(file, limit, content));
        let item = match read {
            Err(error) => Item::Broken(format!("it could not be read ({error})")),
            Ok(()) if self.content.len() as u64 > limit => {
                Item::Broken(format!("it is larger than {limit} bytes"))
            }
            Ok(()) => Item::File(&self.content),
        };
        (self.see)(name, item);
    }

    /// Makes room for the next entry.
    fn empty(&mut self) {
        self.content.clear();
        self.content.shrink_to(KEPT_BYTES);
    }

    fn zip(&mut self, file: File) -> Result<(), DataError> {
        let path = self.path;
        let damaged = |error: &dyn std::fmt::Display| {
            malformed(
                path,
                format!("it is no whole zip archive ({error}): was it cut?"),
            )
        };
        let mut archive =
            zip::ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(&error))?;
        for index in 0..archive.len() {
            self.count_entry()?;
            let listed = archive
                .by_index_raw(index)
                .map_err(|error| damaged(&error))?;
            let name = String::from_utf8_lossy(listed.name_raw()).replace('\\', "/");
            let (folder, link, locked) = (listed.is_dir(), listed.is_symlink(), listed.encrypted());
            drop(listed);
            let Some(name) = self.usable(&name, link) else {
                continue;
            };
            if folder {
                (self.see)(&name, Item::Folder);
            } else if locked {
                (self.see)(&name, Item::Broken("it is locked with a password".into()));
            } else {
                match archive.by_index(index) {
                    Err(error) => (self.see)(&name, Item::Broken(error.to_string())),
                    Ok(mut entry) => match self.unpack(&mut entry)? {
                        Err(error) => (self.see)(&name, Item::Broken(error.to_string())),
                        Ok(()) => (self.see)(&name, Item::File(&self.content)),
                    },
                }
            }
        }
        Ok(())
    }

    fn tar(&mut self, source: impl Read) -> Result<(), DataError> {
        let headers = (self.limits.entries_max as u64).saturating_mul(TAR_HEADER_BYTES_MAX);
        let left = self.limits.bytes_max.saturating_add(headers);
        let mut archive = tar::Archive::new(Bounded { source, left });
        let (path, limits) = (self.path, self.limits);
        let damaged = |error: io::Error| match error.kind() {
            io::ErrorKind::FileTooLarge => too_much(path, limits),
            _ => malformed(
                path,
                format!("it is no whole tar archive ({error}): was it cut?"),
            ),
        };
        for entry in archive.entries().map_err(damaged)? {
            self.count_entry()?;
            let mut entry = entry.map_err(damaged)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let kind = entry.header().entry_type();
            if kind.is_pax_global_extensions() {
                continue;
            }
            let link = kind.is_symlink() || kind.is_hard_link();
            let Some(name) = self.usable(&name, link) else {
                continue;
            };
            match kind {
                EntryType::Directory => (self.see)(&name, Item::Folder),
                EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                    self.unpack(&mut entry)?.map_err(damaged)?;
                    (self.see)(&name, Item::File(&self.content));
                }
                _ => (self.see)(
                    &name,
                    Item::Refused("it is a device, pipe or the like".into()),
                ),
            }
        }
        Ok(())
    }

    /// The path of an archive's entry if it can be looked at; else, tells why not.
    fn usable(&mut self, name: &str, link: bool) -> Option<String> {
        let parts: Vec<&str> = name
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let drive = parts.first().is_some_and(|part| part.ends_with(':'));
        if name.starts_with('/') || drive || parts.contains(&"..") || name.contains('\0') {
            let reason = "its path leads out of the archive".into();
            (self.see)(name, Item::Refused(reason));
            return None;
        }
        let name = parts.join("/");
        if name.is_empty() {
            return None;
        }
        if is_litter(&name) {
            (self.see)(&name, Item::Litter);
            return None;
        }
        if link {
            (self.see)(&name, Item::Refused("it is a link".into()));
            return None;
        }
        Some(name)
    }

    /// Reads an entry into `content`. The outer error is the archive's, the inner one the entry's.
    fn unpack(&mut self, entry: &mut dyn Read) -> Result<io::Result<()>, DataError> {
        let left = self.limits.bytes_max.saturating_sub(self.unpacked);
        self.empty();
        let read = entry
            .take(left.saturating_add(1))
            .read_to_end(&mut self.content);
        self.unpacked = self.unpacked.saturating_add(self.content.len() as u64);
        if self.unpacked > self.limits.bytes_max {
            return Err(too_much(self.path, self.limits));
        }
        Ok(read.map(|_| ()))
    }

    fn count_entry(&mut self) -> Result<(), DataError> {
        self.entries += 1;
        if self.entries > self.limits.entries_max {
            return Err(DataError::TooLarge {
                path: self.path.to_path_buf(),
                what: "the number of files in it".into(),
                limit: format!("{} files", self.limits.entries_max),
            });
        }
        Ok(())
    }
}

/// Reads an image up to one byte more than so many; of any other file its first bytes, which tell.
fn read_image(mut file: File, most: u64, content: &mut Vec<u8>) -> io::Result<()> {
    let most = most.saturating_add(1);
    file.by_ref()
        .take(START_BYTES.min(most))
        .read_to_end(content)?;
    if is_image_start(content) {
        let left = most.saturating_sub(content.len() as u64);
        file.take(left).read_to_end(content)?;
    }
    Ok(())
}

/// A reader that fails, rather than ends, after so many bytes.
struct Bounded<R> {
    source: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.left = self
            .left
            .checked_sub(length as u64)
            .ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?;
        Ok(length)
    }
}

/// Whether a path is one of those that systems leave behind.
fn is_litter(path: &str) -> bool {
    path.split('/').any(|part| {
        part.starts_with('.')
            || matches!(
                part.to_lowercase().as_str(),
                "__macosx" | "thumbs.db" | "desktop.ini" | "ehthumbs.db"
            )
    })
}

fn too_much(path: &Path, limits: &ReadLimits) -> DataError {
    DataError::TooLarge {
        path: path.to_path_buf(),
        what: "what it unpacks to".into(),
        limit: limits.bytes_said(),
    }
}

pub(crate) fn unreadable(path: &Path, source: io::Error) -> DataError {
    DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    }
}
