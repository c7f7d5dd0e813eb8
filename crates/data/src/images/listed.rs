//! Images that a table names, one per row, by their paths from the table's folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path},
};

use super::{
    affordable_item, decode,
    decode::{Header, Size},
    decode_named,
    entries::Survey,
    is_image_start,
};
use crate::{error::DataError, limits::ReadLimits, notice::Notice, read::first_bytes};

/// Cells that are looked at to find the column.
const CELLS_LOOKED_AT: usize = 20;

/// At least this share of them are names of images.
const NAMES_SHARE: f64 = 0.8;

/// Images of rows.
pub(crate) struct Listed {
    /// Height, width, channels.
    pub(crate) size: Size,
    /// Pixels of the good rows, one after the other.
    pub(crate) bytes: Vec<u8>,
    /// Which rows these are, from 0.
    pub(crate) good: Vec<usize>,
    /// The others, and why.
    pub(crate) bad: Vec<(usize, String)>,
    /// What was done to images so that all have one size.
    pub(crate) notices: Vec<Notice>,
}

/// The folder that a table lies in.
pub(crate) fn folder_of(table: &Path) -> &Path {
    let folder = table.parent().unwrap_or(Path::new(""));
    match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    }
}

/// Whether these cells are names of images in a folder.
pub(crate) fn are_image_names<'a>(
    folder: &Path,
    cells: impl Iterator<Item = Option<&'a str>>,
) -> bool {
    let looked_at: Vec<Option<&str>> = cells.take(CELLS_LOOKED_AT).collect();
    let names = looked_at
        .iter()
        .flatten()
        .filter(|cell| is_image(folder, cell))
        .count();
    names > 0 && names as f64 >= NAMES_SHARE * looked_at.len() as f64
}

fn is_image(folder: &Path, name: &str) -> bool {
    // A name that leads elsewhere is none; what is in the folder is read by the rules for all images.
    let is_inside = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    is_inside && name.contains('.') && begins_like_an_image(&folder.join(name))
}

/// Whether a file can be read and is an image by its first bytes.
pub(crate) fn begins_like_an_image(path: &Path) -> bool {
    first_bytes(path).is_ok_and(|start| is_image_start(&start))
}

/// The size of these images, and what has to be done to them if no model has decided on it.
fn sized(size: Option<Size>, headers: &[Header], limits: &ReadLimits) -> (Size, Vec<Notice>) {
    if let Some(size) = size {
        return (size, Vec::new());
    }
    let side_max = limits.image_side_max;
    let size = decode::common_size(headers, side_max);
    (size, decode::conversions(headers, size, side_max))
}

/// A name as its file is found by.
fn plain(name: &str) -> &str {
    name.strip_prefix("./").unwrap_or(name)
}

/// Reads the images of these names, as `size` if a model wants it so; else in the size that most of them have. Of
/// the folder nothing else is looked at.
///
/// # Errors
/// If a limit is exceeded, or no name is that of an image.
pub(crate) fn read_listed(
    folder: &Path,
    names: &[Option<&str>],
    size: Option<Size>,
    limits: &ReadLimits,
) -> Result<Listed, DataError> {
    let names: Vec<Option<&str>> = names.iter().map(|name| name.map(plain)).collect();
    let wanted: BTreeSet<&str> = names.iter().flatten().copied().collect();
    let wanted: Vec<&str> = wanted.into_iter().collect();
    let survey = Survey::of_named(folder, &wanted, limits);
    let paths: Vec<&str> = survey.images.keys().map(String::as_str).collect();
    if paths.is_empty() {
        return Err(nothing_usable(folder, &survey, &wanted));
    }
    let headers: Vec<Header> = survey.images.values().map(|image| image.header).collect();
    let (size, notices) = sized(size, &headers, limits);
    // An image may be named by many rows.
    let item = affordable_item(folder, names.len(), size, limits)?;
    let decoded = decode_named(folder, &paths, size, limits)?;
    // Where the pixels of each image stand: those that could not be decoded have left no gap.
    let whole = paths
        .iter()
        .enumerate()
        .filter(|(row, _)| !decoded.problems.contains_key(row));
    let places: BTreeMap<&str, usize> = whole
        .enumerate()
        .map(|(place, (_, path))| (*path, place))
        .collect();
    let mut listed = Listed {
        size,
        bytes: Vec::with_capacity(item * names.len()),
        good: Vec::new(),
        bad: Vec::new(),
        notices,
    };
    for (row, name) in names.iter().enumerate() {
        match name.and_then(|name| places.get(name)) {
            Some(place) => {
                listed
                    .bytes
                    .extend(&decoded.bytes[place * item..(place + 1) * item]);
                listed.good.push(row);
            }
            None => {
                let reason = match name {
                    None => "it names no image".to_string(),
                    Some(name) => problem(&survey, &paths, &decoded.problems, name),
                };
                listed.bad.push((row, reason));
            }
        }
    }
    Ok(listed)
}

/// That no image of a table can be used, and why the first is none.
fn nothing_usable(folder: &Path, survey: &Survey, names: &[&str]) -> DataError {
    let problem = match names.first() {
        None => "the table names no image in it".to_string(),
        Some(first) => format!(
            "none of the {} images that the table names in it can be used: {}",
            names.len(),
            problem(survey, &[], &BTreeMap::new(), first)
        ),
    };
    DataError::NothingToLearn {
        path: folder.to_path_buf(),
        problem,
    }
}

fn problem(
    survey: &Survey,
    paths: &[&str],
    problems: &BTreeMap<usize, String>,
    name: &str,
) -> String {
    let decoding = paths
        .binary_search(&name)
        .ok()
        .and_then(|row| problems.get(&row));
    let known = decoding
        .or_else(|| survey.broken.get(name))
        .or_else(|| survey.refused.get(name));
    match known {
        Some(reason) => format!("`{name}`: {reason}"),
        None => format!("`{name}` is no image in the table's folder"),
    }
}
