//! Arrays of NumPy as data: inputs and targets by their names, images, series or a table by their extents.

use std::path::Path;

use super::{Beside, Found, Given, labelled::labelled_images, nothing, refuse_other_kind};
use crate::{
    error::DataError,
    fitted::FittedSeries,
    limits::ReadLimits,
    notice::Notice,
    npy::{self, Array, Values},
    roles::{RoleRows, read_facts},
    rows::unfit,
    series::{Growing, single, too_large, wide},
    source::{
        Cells, Column, DataKind, Dataset, Images, RawTargets, Request, Series, Table, Task,
        TaskKind,
    },
    table::{
        self,
        read::class_ids,
        text::{Decimal, malformed},
    },
};

/// Names of an array of inputs, and of an array of targets.
pub(crate) const INPUT_NAMES: [&str; 5] = ["X", "x", "data", "images", "inputs"];
const TARGET_NAMES: [&str; 5] = ["y", "Y", "labels", "target", "targets"];

/// Named arrays of an NPZ file.
struct NamedArrays<'a> {
    path: &'a Path,
    arrays: Vec<(String, Array)>,
}

impl NamedArrays<'_> {
    fn read<'a>(path: &'a Path, limits: &ReadLimits) -> Result<NamedArrays<'a>, DataError> {
        let arrays = npy::read_npz(path, npy::Texts::Refuse, limits)?;
        Ok(NamedArrays { path, arrays })
    }

    fn take(&self, wanted: &[&str]) -> Option<Array> {
        let named = |wanted: &&str| self.arrays.iter().find(|(name, _)| name == wanted);
        wanted
            .iter()
            .find_map(named)
            .map(|(_, array)| array.clone())
    }

    fn needed(&self, wanted: &[&str]) -> Result<Array, DataError> {
        self.take(wanted).ok_or_else(|| {
            let names: Vec<&str> = self.arrays.iter().map(|(name, _)| name.as_str()).collect();
            let problem = format!(
                "it has no array named one of {}: its arrays are {}",
                wanted.join(", "),
                names.join(", ")
            );
            malformed(self.path, problem)
        })
    }

    /// Test rows: those of the file itself, or those of the file that was named for them.
    fn test_rows(&self, request: &Request) -> Result<Option<(Array, Array)>, DataError> {
        let own = self.take(&["X_test", "x_test"]).zip(self.take(&["y_test"]));
        let Some(path) = &request.test else {
            return Ok(own);
        };
        if own.is_some() {
            let problem = format!(
                "it has test rows of its own, and {} is named for them, too: give one of the two",
                path.display()
            );
            return Err(malformed(self.path, problem));
        }
        given_arrays(Some(path), &request.limits)
    }
}

/// Arrays of inputs and targets in an NPZ file.
pub(super) fn find(request: &Request) -> Result<Found, DataError> {
    let path = &request.path;
    let arrays = NamedArrays::read(path, &request.limits)?;
    let (mut inputs, mut targets) = (arrays.needed(&INPUT_NAMES)?, arrays.needed(&TARGET_NAMES)?);
    let mut given = Given::default();
    let more = [
        given_arrays(request.validation.as_deref(), &request.limits)?,
        arrays.test_rows(request)?,
    ];
    for (more, count) in more
        .into_iter()
        .zip([&mut given.validation, &mut given.test])
    {
        let Some((more, more_targets)) = more else {
            continue;
        };
        *count = more.shape.first().copied().unwrap_or(0);
        inputs = joined(path, inputs, more)?;
        targets = joined(path, targets, more_targets)?;
    }
    let rows = inputs.shape.first().copied().unwrap_or(0);
    let labels = targets.values.to_floats();
    if labels.len() != rows {
        let problem = format!("it has {rows} inputs but {} targets", labels.len());
        return Err(malformed(path, problem));
    }
    if is_series(request, &inputs) {
        let read = array_series(path, &inputs, None)?;
        let (task, targets) = array_targets(request, &labels, &mut Vec::new())?;
        let said = Notice::note(read.said);
        return Ok(Found {
            dataset: Dataset::Series(Series {
                targets,
                ..read.series
            }),
            task,
            notices: [said].into_iter().chain(read.too_large).collect(),
            given,
            beside: Beside::default(),
        });
    }
    if inputs.shape.len() > 2 {
        let words: Vec<String> = labels.iter().map(f64::to_string).collect();
        if let Some(odd) = labels.iter().find(|label| label.fract() != 0.0) {
            return Err(malformed(
                path,
                format!("the label {odd} is no whole number, so no class"),
            ));
        }
        let images = array_images(path, inputs)?;
        return labelled_images(request, images, &words, given);
    }
    find_array_table(request, &inputs, &labels, given)
}

/// Inputs and targets of a file that was named for one purpose.
fn given_arrays(
    path: Option<&Path>,
    limits: &ReadLimits,
) -> Result<Option<(Array, Array)>, DataError> {
    let Some(path) = path else { return Ok(None) };
    let arrays = NamedArrays::read(path, limits)?;
    Ok(Some((
        arrays.needed(&INPUT_NAMES)?,
        arrays.needed(&TARGET_NAMES)?,
    )))
}

fn joined(path: &Path, first: Array, second: Array) -> Result<Array, DataError> {
    let ([own, size @ ..], [more, size_of_more @ ..]) = (&first.shape[..], &second.shape[..])
    else {
        let problem =
            "an array of it, or of its validation or test rows, is one number: rows are needed";
        return Err(malformed(path, problem.into()));
    };
    if size != size_of_more {
        let problem = "its validation or test rows have another shape than the others";
        return Err(malformed(path, problem.into()));
    }
    let shape = [&[own + more][..], size].concat();
    let values = match (first.values, second.values) {
        (Values::Bytes(mut bytes), Values::Bytes(more)) => {
            bytes.extend(more);
            Values::Bytes(bytes)
        }
        (first, second) => {
            let mut values = first.to_floats();
            values.extend(second.to_floats());
            Values::Floats(values)
        }
    };
    Ok(Array { shape, values })
}

/// Three extents are images if all values are bytes, and series otherwise, unless the user says which.
fn is_series(request: &Request, inputs: &Array) -> bool {
    if inputs.shape.len() != 3 {
        return false;
    }
    match (request.kind, &inputs.values) {
        (Some(kind), _) => kind == DataKind::Series,
        (None, Values::Bytes(_)) => false,
        (None, Values::Floats(values)) => !values.iter().all(|value| is_byte(*value)),
    }
}

/// Series of an array.
pub(crate) struct ArraySeries {
    pub(crate) series: Series,
    /// What was taken for what.
    pub(crate) said: String,
    /// Whether values are missing because they are too large.
    pub(crate) too_large: Option<Notice>,
}

/// An array of series, new ones for a model if there is one: rows, channels and steps.
pub(crate) fn array_series(
    path: &Path,
    array: &Array,
    model: Option<&FittedSeries>,
) -> Result<ArraySeries, DataError> {
    let shape = &array.shape;
    let (rows, channels, steps, is_channels_first) = match shape[..] {
        [rows, steps] => (rows, 1, steps, true),
        [rows, first, second] => match are_channels_first(first, second, model) {
            Some(true) => (rows, first, second, true),
            Some(false) => (rows, second, first, false),
            None => {
                let problem = format!(
                    "its shape {shape:?} does not tell channels from steps: add a step that is not a \
                     number behind the others, which counts as missing"
                );
                return Err(unfit(path, problem));
            }
        },
        _ => {
            let problem = format!(
                "an array of shape {shape:?} is no list of series: rows, channels and steps are"
            );
            return Err(malformed(path, problem));
        }
    };
    let values = array.values.to_floats();
    let mut growing = Growing::new(channels);
    for row in 0..rows {
        let at = |channel: usize, step: usize| match is_channels_first {
            true => values[(row * channels + channel) * steps + step],
            false => values[(row * steps + step) * channels + channel],
        };
        let each: Vec<Vec<f32>> = (0..channels)
            .map(|channel| (0..steps).map(|step| single(at(channel, step))).collect())
            .collect();
        growing.push(&each);
    }
    Ok(ArraySeries {
        series: growing.finish(),
        said: format!(
            "the array of shape {shape:?} is read as {rows} series of {steps} steps of {channels} \
             channel(s)"
        ),
        too_large: too_large(values.into_iter()),
    })
}

/// Whether the first of these extents is that of the channels: the one that a model has as many of, and
/// where nobody knows, the smaller one. Nothing if a model was taught with one order and both fit.
fn are_channels_first(first: usize, second: usize, model: Option<&FittedSeries>) -> Option<bool> {
    let Some(model) = model else {
        return Some(first <= second);
    };
    let channels = model.channels as usize;
    match (first == channels, second == channels) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        (false, false) => Some(first <= second),
        // One value has no order; and so an array with as many steps as channels was read in training.
        (true, true) if channels == 1 || model.length == model.channels => Some(true),
        (true, true) => None,
    }
}

/// An array of images: rows, height, width, and perhaps channels behind them or before.
pub(crate) fn array_images(path: &Path, array: Array) -> Result<Images, DataError> {
    let (rows, height, width, channels) = match array.shape[..] {
        [rows, height, width] => (rows, height, width, 1),
        [rows, height, width, channels @ (1 | 3)] => (rows, height, width, channels),
        _ => {
            let problem = format!(
                "an array of shape {:?} is no list of images: rows, height, width and 1 or 3 \
                 channels behind them are",
                array.shape
            );
            return Err(malformed(path, problem));
        }
    };
    let bytes = match array.values {
        Values::Bytes(bytes) => bytes,
        Values::Floats(values) => whole_bytes(path, &values)?,
    };
    Ok(Images {
        height: height as u32,
        width: width as u32,
        channels: channels as u32,
        bytes,
        targets: RawTargets::Unknown(rows),
    })
}

fn whole_bytes(path: &Path, values: &[f64]) -> Result<Vec<u8>, DataError> {
    let byte = |value: f64| is_byte(value).then_some(value as u8);
    values
        .iter()
        .map(|value| byte(*value))
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| {
            let problem = "its images are not whole numbers from 0 to 255: save them as bytes";
            malformed(path, problem.into())
        })
}

fn is_byte(value: f64) -> bool {
    value.fract() == 0.0 && (0.0..=255.0).contains(&value)
}

fn find_array_table(
    request: &Request,
    inputs: &Array,
    labels: &[f64],
    given: Given,
) -> Result<Found, DataError> {
    let (mut notices, mut beside) = (Vec::new(), Beside::default());
    let columns = array_columns(request, inputs, &mut notices, &mut beside)?;
    let (task, targets) = array_targets(request, labels, &mut notices)?;
    let is_series = match request.kind {
        None => wide::looks_like_series(&columns),
        Some(kind) => kind == DataKind::Series,
    };
    let dataset = if is_series {
        if request.kind.is_none() {
            notices.push(wide::taken_for_series(&columns));
        }
        notices.extend(too_large(wide::numbers(&columns)));
        let series = wide::series_of(&columns, labels.len());
        Dataset::Series(Series { targets, ..series })
    } else {
        refuse_other_kind(request, DataKind::Table)?;
        let columns = table::columns::without_useless(columns, &mut beside.oddities);
        if columns.is_empty() {
            let problem = "no column is left to predict from".to_string();
            return Err(nothing(request, problem));
        }
        Dataset::Table(Table { columns, targets })
    };
    Ok(Found {
        dataset,
        task,
        notices,
        given,
        beside,
    })
}

/// Classes if all targets are whole, else numbers, unless the user says which.
fn array_targets(
    request: &Request,
    labels: &[f64],
    notices: &mut Vec<Notice>,
) -> Result<(Task, RawTargets), DataError> {
    let whole = labels.iter().all(|label| label.fract() == 0.0);
    let looks = if whole {
        TaskKind::Classification
    } else {
        TaskKind::Regression
    };
    match request.task.unwrap_or(looks) {
        TaskKind::Regression => {
            if request.task.is_none() {
                notices.push(Notice::note(
                    "`y` holds fractions, so it is predicted as a number",
                ));
            }
            array_values(request, labels)
        }
        TaskKind::Classification => array_classes(request, labels),
    }
}

/// The columns of an array, named by their places: `x0`, `x1`, …
fn array_columns(
    request: &Request,
    inputs: &Array,
    notices: &mut Vec<Notice>,
    beside: &mut Beside,
) -> Result<Vec<Column>, DataError> {
    let [rows, width] = inputs.shape[..] else {
        let problem = format!("its inputs have the shape {:?}", inputs.shape);
        return Err(malformed(&request.path, problem));
    };
    let values = inputs.values.to_floats();
    let odd = values.iter().filter(|value| !value.is_finite()).count();
    if odd > 0 {
        notices.push(Notice::warning(format!(
            "{odd} value(s) are infinite or not a number and count as missing"
        )));
    }
    let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
    let of_column = |column: usize| (0..rows).map(move |row| row * width + column);
    let named = |column: usize| format!("x{column}");
    let texts = |name: &str| {
        let column = (0..width).find(|column| named(*column) == name)?;
        Some(of_column(column).map(|at| values[at].to_string()).collect())
    };
    let role_rows = RoleRows {
        cells_of: &texts,
        called: &|row| format!("row {}", row + 1),
        decimal: Decimal::Point,
    };
    beside.facts = read_facts(&request.roles, &role_rows, notices)
        .map_err(|problem| malformed(&request.path, problem))?;
    let column = |column: usize| Column {
        name: named(column),
        cells: Cells::Numbers(of_column(column).map(|at| finite(values[at])).collect()),
    };
    let is_input = |column: &usize| !request.roles.columns().any(|role| role == named(*column));
    Ok((0..width).filter(is_input).map(column).collect())
}

fn array_values(request: &Request, labels: &[f64]) -> Result<(Task, RawTargets), DataError> {
    let differs = labels.iter().any(|label| *label != labels[0]);
    if !differs || labels.iter().any(|label| !label.is_finite()) {
        return Err(nothing(
            request,
            "`y` must hold different, finite numbers".to_string(),
        ));
    }
    Ok((
        Task::Regression {
            target: "y".to_string(),
        },
        RawTargets::Values(labels.to_vec()),
    ))
}

fn array_classes(request: &Request, labels: &[f64]) -> Result<(Task, RawTargets), DataError> {
    if let Some(odd) = labels.iter().find(|label| label.fract() != 0.0) {
        let problem = format!("`y` holds {odd}, which is no class: --task regression predicts it");
        return Err(nothing(request, problem));
    }
    let words: Vec<String> = labels.iter().map(f64::to_string).collect();
    let (classes, ids) = class_ids(&words);
    if classes.len() < 2 || classes.len() * 2 > labels.len() {
        let problem = format!("`y` has {} classes in {} rows", classes.len(), labels.len());
        return Err(nothing(request, problem));
    }
    Ok((Task::Classification { classes }, RawTargets::Classes(ids)))
}
