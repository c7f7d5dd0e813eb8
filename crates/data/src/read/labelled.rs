//! Data whose labels lie beside them: images in class folders, IDX pairs, series with their classes.

use std::{collections::BTreeSet, path::PathBuf};

use super::{Beside, Found, Given, format_of, nothing, refuse_columns, refuse_other_kind};
use crate::{
    error::DataError,
    idx, images,
    large::{Beyond, Rest},
    roles::Part,
    series::{joined, ts},
    source::{DataKind, Dataset, Images, RawTargets, Request, Series, Task, TaskKind},
    table::{Reading, read::class_ids, text::malformed},
};

/// Images and labels in two IDX files, and the validation and test rows in two more each.
pub(super) fn find_idx(
    request: &Request,
    train: &idx::Pair,
    own_test: Option<idx::Pair>,
) -> Result<Found, DataError> {
    refuse_columns(request)?;
    let pair = |path: &Option<PathBuf>| path.as_deref().map(idx::pair_of).transpose();
    let (validation, test) = (
        pair(&request.validation)?,
        pair(&request.test)?.or(own_test),
    );
    let mut read = idx::read(train, &request.limits)?;
    let mut append = |pair: Option<idx::Pair>| -> Result<usize, DataError> {
        let Some(pair) = pair else { return Ok(0) };
        let more = idx::read(&pair, &request.limits)?;
        if (more.height, more.width) != (read.height, read.width) {
            let problem = "its images have another size than those to learn from";
            return Err(malformed(&pair.images, problem.into()));
        }
        let rows = more.labels.len();
        read.bytes.extend(more.bytes);
        read.labels.extend(more.labels);
        Ok(rows)
    };
    let given = Given {
        validation: append(validation)?,
        test: append(test)?,
    };
    let labels: Vec<String> = read.labels.iter().map(u8::to_string).collect();
    let images = Images {
        height: read.height,
        width: read.width,
        channels: 1,
        bytes: read.bytes,
        targets: RawTargets::Unknown(labels.len()),
    };
    labelled_images(request, images, &labels, given)
}

/// Images with the names of their classes.
pub(super) fn labelled_images(
    request: &Request,
    mut images: Images,
    labels: &[String],
    given: Given,
) -> Result<Found, DataError> {
    refuse_other_kind(request, DataKind::Images)?;
    if request.task == Some(TaskKind::Regression) {
        let problem = "images with a number to predict cannot be learned yet";
        return Err(nothing(request, problem.into()));
    }
    let (task, targets) = classes(request, labels, given)?;
    images.targets = targets;
    Ok(Found {
        dataset: Dataset::Images(images),
        task,
        notices: Vec::new(),
        given,
        beside: Beside::default(),
    })
}

/// Classes from their names; rows that were given for one purpose have none that the others lack.
pub(super) fn classes(
    request: &Request,
    labels: &[String],
    given: Given,
) -> Result<(Task, RawTargets), DataError> {
    let own = labels.len() - given.sum();
    let (classes, ids) = class_ids(labels);
    let known: BTreeSet<u32> = ids[..own].iter().copied().collect();
    let unknown = ids[own..].iter().find(|id| !known.contains(*id));
    if let Some(id) = unknown {
        let class = &classes[*id as usize];
        let problem =
            format!("the validation or test rows have the class `{class}`, the others do not");
        return Err(nothing(request, problem));
    }
    if classes.len() < 2 {
        let what = match format_of(&request.path) {
            "ts" => "series",
            _ => "image",
        };
        let only = classes.join("");
        let problem = format!("every {what} is of class `{only}`: two are needed");
        return Err(nothing(request, problem));
    }
    Ok((Task::Classification { classes }, RawTargets::Classes(ids)))
}

/// Images in class folders.
pub(super) fn find_images(request: &Request) -> Result<Found, DataError> {
    refuse_columns(request)?;
    let mut read = images::read(&request.path, None, &request.limits)?;
    let size = (read.height, read.width, read.channels);
    for (path, part) in [
        (&request.validation, Part::Validation),
        (&request.test, Part::Vault),
    ] {
        let Some(path) = path else { continue };
        let more = images::read(path, Some(size), &request.limits)?;
        read.parts
            .extend(std::iter::repeat_n(part, more.labels.len()));
        read.labels.extend(more.labels);
        read.paths.extend(more.paths);
        read.bytes.extend(more.bytes);
        read.files.extend(more.files);
        read.notices.extend(more.notices);
    }
    // Validation rows stand behind those to learn from, test rows at the end.
    let item = images::item_bytes(size);
    let mut order: Vec<usize> = (0..read.labels.len()).collect();
    order.sort_by_key(|row| read.parts[*row]);
    let labels: Vec<String> = order.iter().map(|row| read.labels[*row].clone()).collect();
    let bytes: Vec<u8> = order
        .iter()
        .flat_map(|row| &read.bytes[row * item..(row + 1) * item])
        .copied()
        .collect();
    let of = |part: Part| read.parts.iter().filter(|other| **other == part).count();
    let given = Given {
        validation: of(Part::Validation),
        test: of(Part::Vault),
    };
    let images = Images {
        height: size.0,
        width: size.1,
        channels: size.2,
        bytes,
        targets: RawTargets::Unknown(labels.len()),
    };
    let own = (labels.len() - given.sum()) as u64;
    let mut found = labelled_images(request, images, &labels, given)?;
    found.beside.beyond = read.rest.map(|rest| {
        let rows = own + rest.len() as u64;
        Beyond::new(Rest::Images(Box::new(rest)), rows, own, request.limits)
    });
    found.notices = read.notices;
    found.beside.oddities.files = read.files;
    let path = |row: &usize| std::mem::take(&mut read.paths[*row]);
    found.beside.row_names = Some(order.iter().map(path).collect());
    Ok(found)
}

/// Series with their classes, or numbers, behind them.
pub(super) fn find_ts(request: &Request) -> Result<Found, DataError> {
    refuse_other_kind(request, DataKind::Series)?;
    refuse_columns(request)?;
    let reading = Reading {
        dialect: request.dialect,
        ..Reading::whole(&request.limits)
    };
    let ts::ReadSeries {
        mut series,
        mut labels,
        is_regression,
        mut notices,
        ..
    } = ts::read(&request.path, reading)?;
    if labels.is_empty() {
        let problem =
            "it declares no labels (@classLabel or @targetLabel), so nothing can be learned";
        return Err(nothing(request, problem.into()));
    }
    let mut given = Given::default();
    for (path, count) in [
        (&request.validation, &mut given.validation),
        (&request.test, &mut given.test),
    ] {
        let Some(path) = path else { continue };
        let more = ts::read(path, reading)?;
        if more.series.channels != series.channels || more.labels.is_empty() {
            let problem = format!(
                "it has {} channel(s) and {} labels, those to learn from have {} channel(s)",
                more.series.channels,
                more.labels.len(),
                series.channels
            );
            return Err(malformed(path, problem));
        }
        *count = more.labels.len();
        series = joined(series, more.series);
        labels.extend(more.labels);
        notices.extend(more.notices);
    }
    let wanted = request.task.unwrap_or(match is_regression {
        true => TaskKind::Regression,
        false => TaskKind::Classification,
    });
    let (task, targets) = match wanted {
        TaskKind::Classification => classes(request, &labels, given)?,
        TaskKind::Regression => values(request, &labels)?,
    };
    Ok(Found {
        dataset: Dataset::Series(Series { targets, ..series }),
        task,
        notices,
        given,
        beside: Beside::default(),
    })
}

fn values(request: &Request, labels: &[String]) -> Result<(Task, RawTargets), DataError> {
    let value = |label: &String| {
        let value = label.parse::<f64>().ok().filter(|value| value.is_finite());
        value.ok_or_else(|| {
            nothing(
                request,
                format!("`{label}` cannot be predicted as a number"),
            )
        })
    };
    let values = labels.iter().map(value).collect::<Result<Vec<f64>, _>>()?;
    if values.iter().all(|value| *value == values[0]) {
        let problem = format!("the target is always {}", values[0]);
        return Err(nothing(request, problem));
    }
    let target = "target".to_string();
    Ok((Task::Regression { target }, RawTargets::Values(values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_rows_have_the_classes_of_the_others_however_many_rows_are_sorted_by_class() {
        const ROWS: usize = 50_000;
        let given = Given {
            validation: 0,
            test: ROWS + 1,
        };
        let read = |last: &str| {
            let names = ["ant", "bee"].into_iter().chain(["bee"; 2]);
            let sorted = names.flat_map(|name| std::iter::repeat_n(name, ROWS / 2));
            let labels = sorted.chain([last]).map(str::to_string);
            classes(&Request::default(), &labels.collect::<Vec<_>>(), given)
        };
        let classes = ["ant", "bee"].map(str::to_string).to_vec();
        assert_eq!(read("ant").unwrap().0, Task::Classification { classes });
        let told = read("cat").unwrap_err().to_string();
        assert!(told.contains("have the class `cat`"), "{told}");
    }
}
