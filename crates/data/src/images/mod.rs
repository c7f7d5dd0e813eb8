//! Images in class folders: a folder or an archive, with `train/` and `test/` on top or without.
//!
//! Everything is gone through twice: once for the headers, which decide on size and colours, once
//! for the pixels, which are resized at once, so that the memory needed is that of the result.
//! Rows are in the order of their paths, whatever the order of the files. One bad file is a notice,
//! not the end. Nothing is written to disk and no link is followed.

mod decode;
mod entries;
pub(crate) mod listed;
mod rest;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    error::DataError, large::Unheld, limits::ReadLimits, notice::Notice, oddities::ImageFile,
    roles::Part, table::flow::FileContent,
};
use decode::Size;
pub(crate) use entries::ZIP;
use entries::{Container, Item, Survey, Surveyed, some_of};
pub(crate) use rest::ImagesRest;

/// Images with their classes.
pub(crate) struct ReadImages {
    pub(crate) height: u32,
    pub(crate) width: u32,
    /// 1 (gray) or 3 (red, green, blue).
    pub(crate) channels: u32,
    /// Image after image, row by row, channels last.
    pub(crate) bytes: Vec<u8>,
    /// Class of each image.
    pub(crate) labels: Vec<String>,
    /// Path of each image, below the folder or in the archive.
    pub(crate) paths: Vec<String>,
    /// What the folder on top says that each image is for.
    pub(crate) parts: Vec<Part>,
    /// What the files were before they got one size.
    pub(crate) files: Vec<ImageFile>,
    pub(crate) notices: Vec<Notice>,
    /// Those to learn from that are too many to be held.
    pub(crate) rest: Option<ImagesRest>,
}

/// Images without classes.
pub(crate) struct Unlabelled {
    /// Pixels of the good ones.
    pub(crate) bytes: Vec<u8>,
    /// Their numbers and paths.
    pub(crate) good: Vec<(u64, String)>,
    /// Numbers of the bad ones, with the reasons.
    pub(crate) bad: Vec<(u64, String)>,
}

/// An image that is to become a row.
#[derive(Clone, Copy)]
struct Row<'a> {
    path: &'a str,
    class: &'a str,
    part: Part,
}

/// Pixels of the images that could be decoded, without gaps, and why the others could not.
struct Decoded {
    bytes: Vec<u8>,
    /// Number of the image among those asked for, and the reason.
    problems: BTreeMap<usize, String>,
}

/// Whether something can be images in class folders: a folder with folders in it, or an archive.
pub(crate) fn looks_like_images(path: &Path) -> bool {
    match Container::of(path) {
        Ok(Container::Folder) => std::fs::read_dir(path).is_ok_and(|mut entries| {
            entries.any(|entry| {
                entry
                    .and_then(|entry| entry.file_type())
                    .is_ok_and(|kind| kind.is_dir())
            })
        }),
        Ok(Container::Zip | Container::Tar | Container::GzipTar) => true,
        Ok(Container::SingleFile) | Err(_) => false,
    }
}

/// Reads images in class folders, in the size that most of them have, unless that is too large, and gray if all of
/// them are; those to be scored, in the size (height, width, channels) of the others.
///
/// # Errors
///
/// If there is nothing to learn from, if the archive is damaged, and if a limit is exceeded.
pub(crate) fn read(
    path: &Path,
    size_of_others: Option<Size>,
    limits: &ReadLimits,
) -> Result<ReadImages, DataError> {
    let mut survey = Survey::of(path, limits)?;
    if survey.images.is_empty() {
        return Err(survey.nothing_found(path));
    }
    let images = survey.images.clone();
    let layout = Layout::of(images.keys().map(String::as_str));
    let rows = rows_in_classes(path, &layout, &images)?;
    let headers: Vec<_> = rows.iter().map(|row| images[row.path].header).collect();
    let (height, width, channels) =
        size_of_others.unwrap_or_else(|| decode::common_size(&headers, limits.image_side_max));
    let size = (height, width, channels);
    let all = rows.len();
    let chosen = rest::chosen(&rows, size, limits);
    let rest = chosen
        .as_ref()
        .map(|chosen| ImagesRest::new(path, size, &rows, chosen, &survey));
    let rows: Vec<Row<'_>> = match &chosen {
        Some(chosen) => chosen.iter().map(|row| rows[*row]).collect(),
        None => rows,
    };
    let paths: Vec<&str> = rows.iter().map(|row| row.path).collect();
    let decoded = decode_all(path, &paths, size, limits)?;

    let outside = images
        .keys()
        .map(String::as_str)
        .filter(|path| layout.place(path).is_none());
    let mut notices = layout_notices(&outside.collect());
    let unheld = match size_of_others {
        Some(_) => Unheld::Unused,
        None => Unheld::LearnedFrom,
    };
    notices.extend(rest.is_some().then(|| rest::said(rows.len(), all, unheld)));
    notices.extend(decode::conversions(&headers, size, limits.image_side_max));
    for (row, reason) in &decoded.problems {
        survey
            .broken
            .insert(paths[*row].to_string(), reason.clone());
    }
    let good: Vec<&Row<'_>> = rows
        .iter()
        .enumerate()
        .filter(|(row, _)| !decoded.problems.contains_key(row))
        .map(|(_, row)| row)
        .collect();
    if good.is_empty() {
        return Err(survey.nothing_found(path));
    }
    notices.extend(survey.notices());
    notices.extend(empty_classes(&layout, &survey, &good));
    check_classes(path, &good, limits)?;
    Ok(ReadImages {
        height,
        width,
        channels,
        bytes: decoded.bytes,
        labels: good.iter().map(|row| row.class.to_string()).collect(),
        paths: good.iter().map(|row| row.path.to_string()).collect(),
        parts: good.iter().map(|row| row.part).collect(),
        files: headers.iter().map(decode::file).collect(),
        notices,
        rest,
    })
}

/// The images that are in class folders, in the order of their paths.
fn rows_in_classes<'a>(
    path: &Path,
    layout: &Layout,
    images: &'a BTreeMap<String, Surveyed>,
) -> Result<Vec<Row<'a>>, DataError> {
    let rows: Vec<Row<'_>> = images.keys().filter_map(|path| row(layout, path)).collect();
    if !rows.is_empty() {
        return Ok(rows);
    }
    let problem = format!(
        "its {} images are in no class folders: put those of each class into a folder named after it",
        images.len()
    );
    Err(DataError::NothingToLearn {
        path: path.to_path_buf(),
        problem,
    })
}

/// Reads images without classes: one file, or all that a folder or an archive holds at any depth.
///
/// What is an image by content or name, is a link, or leads out is numbered from 1 in the order of
/// the paths; other files are left out.
///
/// # Errors
///
/// If there is no image, if the archive is damaged, and if a limit is exceeded.
pub(crate) fn read_unlabelled(
    path: &Path,
    size: Size,
    limits: &ReadLimits,
) -> Result<Unlabelled, DataError> {
    let survey = Survey::of(path, limits)?;
    if survey.images.is_empty() && survey.broken.is_empty() {
        return Err(survey.nothing_found(path));
    }
    let paths: Vec<&str> = survey.images.keys().map(String::as_str).collect();
    let decoded = decode_all(path, &paths, size, limits)?;
    let mut outcomes: BTreeMap<&str, Option<&String>> = paths
        .iter()
        .enumerate()
        .map(|(row, path)| (*path, decoded.problems.get(&row)))
        .collect();
    for (path, reason) in survey.broken.iter().chain(&survey.refused) {
        outcomes.entry(path).or_insert(Some(reason));
    }
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for (number, (path, outcome)) in (1..).zip(outcomes) {
        match outcome {
            None => good.push((number, path.to_string())),
            Some(reason) => bad.push((number, format!("`{path}`: {reason}"))),
        }
    }
    Ok(Unlabelled {
        bytes: decoded.bytes,
        good,
        bad,
    })
}

/// The pixels of one image file, in the size a model wants.
///
/// # Errors
///
/// Why the image cannot be used.
pub(crate) fn pixels(content: &[u8], size: Size, limits: &ReadLimits) -> Result<Vec<u8>, String> {
    match decode::header(content, limits)? {
        Some(_) => decode::pixels(content, size, limits),
        None => Err("its content is that of no image that is read".to_string()),
    }
}

/// Whether a file that begins so is an image, of a format that is read or of another.
///
/// Two letters are no mark: a table may begin with `BMI` or `P1`, and portable bitmaps are not read anyway.
pub(crate) fn is_image_start(start: &[u8]) -> bool {
    match image::guess_format(start) {
        Ok(image::ImageFormat::Bmp) => start.get(6..10).is_some_and(|reserved| reserved == [0; 4]),
        Ok(image::ImageFormat::Pnm) | Err(_) => false,
        Ok(_) => true,
    }
}

/// What all images of a folder or an archive hold together.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn content(path: &Path, limits: &ReadLimits) -> Result<FileContent, DataError> {
    Ok(rest::content_of(&Survey::of(path, limits)?))
}

fn row<'a>(layout: &Layout, path: &'a str) -> Option<Row<'a>> {
    layout
        .place(path)
        .map(|(class, part)| Row { path, class, part })
}

/// Bytes of one image.
pub(crate) fn item_bytes((height, width, channels): Size) -> usize {
    let pixels = height as usize * width as usize;
    pixels.saturating_mul(channels as usize)
}

/// Bytes of one image, unless so many of them are too large to be held.
fn affordable_item(
    path: &Path,
    count: usize,
    size: Size,
    limits: &ReadLimits,
) -> Result<usize, DataError> {
    let item = item_bytes(size);
    if item.saturating_mul(count) as u64 > limits.bytes_max {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: format!("{count} images of {item} bytes"),
            limit: limits.bytes_said(),
        });
    }
    Ok(item)
}

/// Decodes the images of the given paths, which are sorted, of all that stand under a path.
fn decode_all(
    path: &Path,
    paths: &[&str],
    size: Size,
    limits: &ReadLimits,
) -> Result<Decoded, DataError> {
    let mut decoding = Decoding::new(path, paths, size, limits)?;
    entries::visit(path, limits, &mut |name, entry| decoding.add(name, entry))?;
    Ok(decoding.finish())
}

/// Decodes the images of the given names, which are sorted, in a folder of which nothing else is looked at.
fn decode_named(
    folder: &Path,
    names: &[&str],
    size: Size,
    limits: &ReadLimits,
) -> Result<Decoded, DataError> {
    let mut decoding = Decoding::new(folder, names, size, limits)?;
    entries::visit_named(folder, names, limits, &mut |name, entry| {
        decoding.add(name, entry)
    });
    Ok(decoding.finish())
}

/// Images while they are decoded.
struct Decoding<'a> {
    /// Those that are asked for, sorted.
    paths: &'a [&'a str],
    size: Size,
    limits: &'a ReadLimits,
    /// Bytes of one.
    item: usize,
    decoded: Decoded,
    seen: BTreeSet<usize>,
}

impl<'a> Decoding<'a> {
    fn new(
        path: &Path,
        paths: &'a [&'a str],
        size: Size,
        limits: &'a ReadLimits,
    ) -> Result<Decoding<'a>, DataError> {
        let item = affordable_item(path, paths.len(), size, limits)?;
        let gone = "it was gone when it was to be read".to_string();
        let decoded = Decoded {
            bytes: vec![0; item * paths.len()],
            problems: (0..paths.len()).map(|row| (row, gone.clone())).collect(),
        };
        Ok(Decoding {
            paths,
            size,
            limits,
            item,
            decoded,
            seen: BTreeSet::new(),
        })
    }

    fn add(&mut self, name: &str, entry: Item<'_>) {
        let Ok(row) = self.paths.binary_search(&name) else {
            return;
        };
        if !self.seen.insert(row) {
            return;
        }
        let pixels = match entry {
            Item::File(content) => decode::pixels(content, self.size, self.limits),
            Item::Broken(reason) | Item::Refused(reason) => Err(reason),
            Item::Folder | Item::Litter => return,
        };
        let Decoded { bytes, problems } = &mut self.decoded;
        match pixels {
            Ok(pixels) => {
                bytes[row * self.item..(row + 1) * self.item].copy_from_slice(&pixels);
                problems.remove(&row);
            }
            Err(reason) => {
                problems.insert(row, reason);
            }
        }
    }

    fn finish(self) -> Decoded {
        let Decoded {
            mut bytes,
            problems,
        } = self.decoded;
        close_gaps(&mut bytes, self.item, self.paths.len(), &problems);
        Decoded { bytes, problems }
    }
}

/// Moves the items that are no problem to the front, in place.
fn close_gaps(bytes: &mut Vec<u8>, item: usize, count: usize, problems: &BTreeMap<usize, String>) {
    let mut end = 0;
    for row in (0..count).filter(|row| !problems.contains_key(row)) {
        bytes.copy_within(row * item..(row + 1) * item, end);
        end += item;
    }
    bytes.truncate(end);
}

/// What is to be said of images that are not where classes are.
fn layout_notices(outside: &BTreeSet<&str>) -> Vec<Notice> {
    if outside.is_empty() {
        return Vec::new();
    }
    vec![Notice::warning(format!(
        "skipped {} images that are in no class folder: {}",
        outside.len(),
        some_of(outside.iter().copied())
    ))]
}

/// Class folders in which nothing could be used.
fn empty_classes(layout: &Layout, survey: &Survey, good: &[&Row<'_>]) -> Vec<Notice> {
    let filled: BTreeSet<&str> = good.iter().map(|row| row.class).collect();
    let named: BTreeSet<&str> = survey
        .folders
        .iter()
        .filter_map(|folder| layout.class_folder(folder))
        .collect();
    named
        .difference(&filled)
        .map(|class| {
            Notice::warning(format!(
                "folder `{class}` holds no image that can be used, so it is no class"
            ))
        })
        .collect()
}

fn check_classes(path: &Path, good: &[&Row<'_>], limits: &ReadLimits) -> Result<(), DataError> {
    let classes: BTreeSet<&str> = good.iter().map(|row| row.class).collect();
    if classes.len() > limits.classes_max {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: format!("the number of class folders ({})", classes.len()),
            limit: limits.classes_said(),
        });
    }
    Ok(())
}

/// Where the classes are: under a folder that wraps everything, and under `train/` and `test/`, or
/// not.
struct Layout {
    /// With the `/` at its end; empty if there is none.
    wrapper: String,
    levels: Levels,
}

/// What the folders on top stand for.
#[derive(Clone, Copy)]
enum Levels {
    Classes,
    PartsThenClasses,
}

impl Layout {
    /// A single folder on top is a wrapper if the images under it are in folders, and if it is not
    /// `train/`. `train/` and `test/` count as such if nothing else is on their level.
    fn of<'a>(images: impl Iterator<Item = &'a str> + Clone) -> Layout {
        let tops: BTreeSet<&str> = images.clone().map(top).collect();
        let deep = images.clone().any(|path| path.split('/').count() >= 3);
        let wrapper = match tops.first() {
            Some(only) if tops.len() == 1 && deep && !Layout::is_training(only) => {
                format!("{only}/")
            }
            _ => String::new(),
        };
        let inner = images.map(|path| path.strip_prefix(&wrapper).unwrap_or(path));
        let tops: BTreeSet<&str> = inner.clone().map(top).collect();
        let deep = inner.clone().any(|path| path.split('/').count() >= 3);
        let parts = tops.iter().all(|name| Part::of_word(name).is_some());
        let trains = tops.iter().any(|name| Layout::is_training(name));
        let levels = if parts && trains && deep {
            Levels::PartsThenClasses
        } else {
            Levels::Classes
        };
        Layout { wrapper, levels }
    }

    fn is_training(name: &str) -> bool {
        Part::of_word(name) == Some(Part::Train)
    }

    /// The class of the file at `path`, and what it is for; nothing if it is in no class folder.
    fn place<'a>(&self, path: &'a str) -> Option<(&'a str, Part)> {
        let mut path = path.strip_prefix(&self.wrapper)?;
        let mut part = Part::Train;
        if let Levels::PartsThenClasses = self.levels {
            let (top, rest) = path.split_once('/')?;
            part = Part::of_word(top)?;
            path = rest;
        }
        path.split_once('/').map(|(class, _)| (class, part))
    }

    /// The class that a folder, with a `/` at its end, is or lies in.
    fn class_folder<'a>(&self, folder: &'a str) -> Option<&'a str> {
        self.place(folder).map(|(class, _)| class)
    }
}

fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}
