//! What makes data these data, and how they are called in one line.

use std::path::Path;

use super::Given;
use crate::{
    error::DataError,
    images,
    large::Beyond,
    limits::ReadLimits,
    roles::RowFacts,
    source::{Cells, Dataset, Fingerprint, Images, RawTargets, Request, Task},
    table::flow::{Digest, FileContent},
};

/// Digest of everything that was read, targets included.
pub(super) fn fingerprint(
    dataset: &Dataset,
    task: &Task,
    given: Given,
    facts: &RowFacts,
) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    hasher.update(format!("{task:?} {} {}", given.test, dataset.rows()).as_bytes());
    if given.validation > 0 || *facts != RowFacts::default() {
        hasher.update(format!("{} {facts:?}", given.validation).as_bytes());
    }
    match dataset {
        Dataset::Images(images) => {
            let size = (images.height, images.width, images.channels);
            hasher.update(format!("{size:?}").as_bytes());
            hasher.update(&images.bytes);
        }
        Dataset::Table(table) => {
            for column in &table.columns {
                hasher.update(column.name.as_bytes());
                match &column.cells {
                    Cells::Numbers(values) => values.iter().for_each(|value| {
                        hasher.update(&value.to_bits().to_le_bytes());
                    }),
                    Cells::Times { seconds, .. } => seconds.iter().for_each(|second| {
                        hasher.update(&second.to_bits().to_le_bytes());
                    }),
                    Cells::Words(words) | Cells::Texts(words) => words.iter().for_each(|word| {
                        hasher.update(format!("{word:?}").as_bytes());
                    }),
                }
            }
        }
        Dataset::Series(series) => {
            hasher.update(format!("series {} {:?}", series.channels, series.lengths).as_bytes());
            series.values.iter().for_each(|value| {
                hasher.update(&value.to_bits().to_le_bytes());
            });
        }
        Dataset::Texts(texts) => texts.texts.iter().for_each(|text| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }),
    }
    match dataset.targets() {
        RawTargets::Classes(ids) => ids.iter().for_each(|id| {
            hasher.update(&id.to_le_bytes());
        }),
        RawTargets::Values(values) => values.iter().for_each(|value| {
            hasher.update(&value.to_bits().to_le_bytes());
        }),
        RawTargets::Unknown(_) => {}
    }
    Fingerprint::of(&hasher)
}

/// Digest of the files of a request whose data are not held as a whole, of which the first is known.
pub(super) fn of_files(request: &Request, own: blake3::Hash) -> Result<Fingerprint, DataError> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(own.as_bytes());
    for more in [&request.validation, &request.test] {
        hasher.update(&[u8::from(more.is_some())]);
        if let Some(path) = more {
            hasher.update(content_of(path, &request.limits)?.hash.as_bytes());
        }
    }
    Ok(Fingerprint::of(&hasher))
}

/// What a file, or the images of a folder, hold.
pub(super) fn content_of(path: &Path, limits: &ReadLimits) -> Result<FileContent, DataError> {
    match path.is_dir() {
        true => images::content(path, limits),
        false => Ok(Digest::of(path)?.content()),
    }
}

/// One line: kind, rows, size, what is predicted.
pub(super) fn describe(
    dataset: &Dataset,
    task: &Task,
    given: Given,
    beyond: Option<&Beyond>,
) -> String {
    let what = match dataset {
        Dataset::Images(Images {
            height,
            width,
            channels,
            ..
        }) => {
            format!("{height}x{width}x{channels}")
        }
        Dataset::Table(table) => format!("{} columns", table.columns.len()),
        Dataset::Series(series) => {
            let (shortest, longest) = (series.lengths.iter().min(), series.longest());
            let steps = match shortest {
                Some(shortest) if *shortest < longest => format!("{shortest} to {longest} steps"),
                _ => format!("{longest} steps"),
            };
            match series.channels {
                1 => steps,
                channels => format!("{steps} of {channels} channels"),
            }
        }
        Dataset::Texts(texts) => {
            let (mean, unit) = (texts.mean_length(), texts.unit.plural());
            format!("{mean:.0} {unit} in the mean")
        }
    };
    let predicted = match task {
        Task::Classification { classes } => format!("{} classes", classes.len()),
        Task::Regression { target } => format!("`{target}` is a number"),
    };
    let told = |rows: usize, what: &str| match rows {
        0 => String::new(),
        rows => format!(", {rows} of them given as {what} rows"),
    };
    let of = beyond.map_or(String::new(), |beyond| {
        format!(" held of {}", beyond.rows() + given.sum() as u64)
    });
    format!(
        "{}, {} rows{of}{}{}, {what}, {predicted}",
        dataset.kind(),
        dataset.rows(),
        told(given.validation, "validation"),
        told(given.test, "test"),
    )
}
