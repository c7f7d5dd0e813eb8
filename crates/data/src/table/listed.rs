//! Tables that name images: the images are read instead, and rows without one are left out.

use std::path::Path;

use super::{origins::Origins, read::ReadTable};
use crate::{
    error::DataError,
    images::listed::{Listed, are_image_names, folder_of, read_listed},
    notice::Notice,
    oddities::Oddities,
    roles::RowFacts,
    source::{Column, DataKind, Dataset, Images, RawTargets, Request, Task},
};

/// What is known of the rows beside their images.
pub(super) struct Rows<'a> {
    /// Where they were read.
    pub(super) origins: &'a Origins,
    /// Where the rows of the data, of the validation file and of the test file end.
    pub(super) ends: Vec<usize>,
    pub(super) task: Task,
    pub(super) targets: RawTargets,
    pub(super) facts: RowFacts,
}

/// The column that names images, if there is one and the user does not say that it is something else.
pub(super) fn image_names<'a>(request: &Request, columns: &'a [Column]) -> Option<&'a Column> {
    if !matches!(request.kind, None | Some(DataKind::Images)) {
        return None;
    }
    let folder = folder_of(&request.path);
    columns.iter().find(|column| {
        let names = column.cells.written();
        names.is_some_and(|names| are_image_names(folder, names.iter().map(Option::as_deref)))
    })
}

/// Images instead of their names; other columns are left out.
pub(super) fn read_images(
    request: &Request,
    column: &Column,
    rows: Rows<'_>,
    mut notices: Vec<Notice>,
) -> Result<ReadTable, DataError> {
    let Some(names) = column.cells.written() else {
        unreachable!("names are words")
    };
    let names: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
    let mut listed = read_all(request, &names, &rows.ends)?;
    notices.push(Notice::note(format!(
        "the images that `{}` names are learned from; other columns are left out \
         (--kind table says otherwise)",
        column.name
    )));
    notices.append(&mut listed.notices);
    if let Some((row, reason)) = listed.bad.first() {
        let count = listed.bad.len();
        notices.push(Notice::warning(format!(
            "{count} row(s) without an image that can be used are left out, the first is {}: {reason}",
            rows.origins.called(*row, request)
        )));
    }
    let good = &listed.good;
    let of_part = |part: usize| {
        let part = rows.ends[part - 1]..rows.ends[part];
        good.iter().filter(|row| part.contains(*row)).count()
    };
    let (height, width, channels) = listed.size;
    let images = Images {
        height,
        width,
        channels,
        targets: chosen_targets(&rows.targets, good),
        bytes: listed.bytes,
    };
    Ok(ReadTable {
        dataset: Dataset::Images(images),
        task: rows.task,
        notices,
        validation_rows: of_part(1),
        test_rows: of_part(2),
        facts: rows.facts.chosen(good),
        row_names: Some(
            good.iter()
                .map(|row| names[*row].unwrap_or_default().to_string())
                .collect(),
        ),
        oddities: Oddities::default(),
        beyond: None,
    })
}

/// The images of all files, each beside its own, in the size of those to learn from.
fn read_all(
    request: &Request,
    names: &[Option<&str>],
    ends: &[usize],
) -> Result<Listed, DataError> {
    let limits = &request.limits;
    let mut listed = read_listed(folder_of(&request.path), &names[..ends[0]], None, limits)?;
    let files = [request.validation.as_deref(), request.test.as_deref()];
    for (part, file) in files.into_iter().enumerate() {
        let (start, end) = (ends[part], ends[part + 1]);
        let Some(file) = file.filter(|_| start < end) else {
            continue;
        };
        let folder: &Path = folder_of(file);
        let more = read_listed(folder, &names[start..end], Some(listed.size), limits)?;
        listed.bytes.extend(more.bytes);
        listed.good.extend(more.good.iter().map(|row| row + start));
        listed
            .bad
            .extend(more.bad.into_iter().map(|(row, why)| (row + start, why)));
    }
    Ok(listed)
}

fn chosen_targets(targets: &RawTargets, rows: &[usize]) -> RawTargets {
    match targets {
        RawTargets::Classes(ids) => RawTargets::Classes(rows.iter().map(|row| ids[*row]).collect()),
        RawTargets::Values(values) => {
            RawTargets::Values(rows.iter().map(|row| values[*row]).collect())
        }
        RawTargets::Unknown(_) => RawTargets::Unknown(rows.len()),
    }
}
