//! Data whose labels lie beside them: images in class folders, IDX pairs, series with their classes.

use std::collections::BTreeSet;

use super::{Found, format_of, nothing, refuse_other_kind};
use crate::{
    error::DataError,
    idx, images,
    notice::Notice,
    series::{joined, ts},
    source::{DataKind, Dataset, Images, RawTargets, Request, Series, Task, TaskKind},
    table::{read::class_ids, text::malformed},
};

/// Images and labels in two IDX files, and the test rows in two more.
pub(super) fn find_idx(
    request: &Request,
    train: &idx::Pair,
    test: Option<&idx::Pair>,
) -> Result<Found, DataError> {
    let mut read = idx::read(train, &request.limits)?;
    let mut test_rows = 0;
    if let Some(test) = test {
        let more = idx::read(test, &request.limits)?;
        if (more.height, more.width) != (read.height, read.width) {
            let problem = "its images have another size than those to learn from";
            return Err(malformed(&test.images, problem.into()));
        }
        test_rows = more.labels.len();
        read.bytes.extend(more.bytes);
        read.labels.extend(more.labels);
    }
    let labels: Vec<String> = read.labels.iter().map(u8::to_string).collect();
    let images = Images {
        height: read.height,
        width: read.width,
        channels: 1,
        bytes: read.bytes,
        targets: RawTargets::Unknown(labels.len()),
    };
    labelled_images(request, images, &labels, Vec::new(), test_rows)
}

/// Images with the names of their classes; the last rows are test rows.
pub(super) fn labelled_images(
    request: &Request,
    mut images: Images,
    labels: &[String],
    notices: Vec<Notice>,
    test_rows: usize,
) -> Result<Found, DataError> {
    refuse_other_kind(request, DataKind::Images)?;
    if request.task == Some(TaskKind::Regression) {
        let problem = "images with a number to predict cannot be learned yet";
        return Err(nothing(request, problem.into()));
    }
    let (task, targets) = classes(request, labels, test_rows)?;
    images.targets = targets;
    let mut notices = notices;
    notices.extend(shared_images(&images, test_rows));
    Ok(Found {
        dataset: Dataset::Images(images),
        task,
        notices,
        test_rows,
        row_names: None,
    })
}

/// Classes from their names; the last rows are test rows, and have no class that the others lack.
pub(super) fn classes(
    request: &Request,
    labels: &[String],
    test_rows: usize,
) -> Result<(Task, RawTargets), DataError> {
    let own = labels.len() - test_rows;
    let (classes, ids) = class_ids(labels);
    let unknown = ids[own..].iter().find(|id| !ids[..own].contains(id));
    if let Some(id) = unknown {
        let class = &classes[*id as usize];
        let problem = format!("the test rows have the class `{class}`, the others do not");
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

/// Identical images among the test rows and the others.
fn shared_images(images: &Images, test_rows: usize) -> Option<Notice> {
    let item = (images.height * images.width * images.channels) as usize;
    let own = images.targets.len() - test_rows;
    let digest = |bytes: &[u8]| *blake3::hash(bytes).as_bytes();
    let known: BTreeSet<[u8; 32]> = match test_rows {
        0 => return None,
        _ => images.bytes[..own * item]
            .chunks_exact(item)
            .map(digest)
            .collect(),
    };
    let tests = images.bytes[own * item..].chunks_exact(item);
    let shared = tests.filter(|bytes| known.contains(&digest(bytes))).count();
    (shared > 0).then(|| {
        Notice::warning(format!(
            "{shared} of {test_rows} test images are identical to images to learn from: \
             the score on them flatters"
        ))
    })
}

/// Images in class folders.
pub(super) fn find_images(request: &Request) -> Result<Found, DataError> {
    let mut read = images::read(&request.path, None, &request.limits)?;
    let size = (read.height, read.width, read.channels);
    if let Some(test) = &request.test {
        let more = images::read(test, Some(size), &request.limits)?;
        read.is_test
            .extend(std::iter::repeat_n(true, more.labels.len()));
        read.labels.extend(more.labels);
        read.paths.extend(more.paths);
        read.bytes.extend(more.bytes);
        read.notices.extend(more.notices);
    }
    // Test rows stand at the end.
    let item = (size.0 * size.1 * size.2) as usize;
    let mut order: Vec<usize> = (0..read.labels.len()).collect();
    order.sort_by_key(|row| read.is_test[*row]);
    let labels: Vec<String> = order.iter().map(|row| read.labels[*row].clone()).collect();
    let bytes: Vec<u8> = order
        .iter()
        .flat_map(|row| &read.bytes[row * item..(row + 1) * item])
        .copied()
        .collect();
    let test_rows = read.is_test.iter().filter(|test| **test).count();
    let targets = RawTargets::Unknown(labels.len());
    let images = Images {
        height: size.0,
        width: size.1,
        channels: size.2,
        bytes,
        targets,
    };
    let mut found = labelled_images(request, images, &labels, read.notices, test_rows)?;
    let path = |row: &usize| std::mem::take(&mut read.paths[*row]);
    found.row_names = Some(order.iter().map(path).collect());
    Ok(found)
}

/// Series with their classes, or numbers, behind them.
pub(super) fn find_ts(request: &Request) -> Result<Found, DataError> {
    refuse_other_kind(request, DataKind::Series)?;
    let ts::ReadSeries {
        mut series,
        mut labels,
        is_regression,
        mut notices,
    } = ts::read(&request.path, &request.limits)?;
    if labels.is_empty() {
        let problem =
            "it declares no labels (@classLabel or @targetLabel), so nothing can be learned";
        return Err(nothing(request, problem.into()));
    }
    let mut test_rows = 0;
    if let Some(path) = &request.test {
        let more = ts::read(path, &request.limits)?;
        if more.series.channels != series.channels || more.labels.is_empty() {
            let problem = format!(
                "it has {} channel(s) and {} labels, those to learn from have {} channel(s)",
                more.series.channels,
                more.labels.len(),
                series.channels
            );
            return Err(malformed(path, problem));
        }
        test_rows = more.labels.len();
        series = joined(series, more.series);
        labels.extend(more.labels);
        notices.extend(more.notices);
    }
    let wanted = request.task.unwrap_or(match is_regression {
        true => TaskKind::Regression,
        false => TaskKind::Classification,
    });
    let (task, targets) = match wanted {
        TaskKind::Classification => classes(request, &labels, test_rows)?,
        TaskKind::Regression => values(request, &labels)?,
    };
    Ok(Found {
        dataset: Dataset::Series(Series { targets, ..series }),
        task,
        notices,
        test_rows,
        row_names: None,
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
