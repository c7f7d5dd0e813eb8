//! Arrays of NumPy as data, in one file or in a folder: inputs and targets by their names, images, series or a
//! table by their extents.

use std::{
    fs,
    path::{Path, PathBuf},
    slice,
};

use super::{
    Beside, Found, Given, labelled::labelled_images, nothing, refuse_ignored, refuse_other_kind,
};
use crate::{
    error::DataError,
    fitted::FittedSeries,
    limits::ReadLimits,
    notice::Notice,
    npy::{self, Array, Saved, Values},
    roles::{RoleRows, read_facts},
    rows::unfit,
    series::{Growing, single, too_large, wide},
    source::{
        Cells, Column, DataKind, Dataset, Images, RawTargets, Request, Series, Table, Task,
        TaskKind,
    },
    table::{
        self,
        dialect::Decimal,
        read::{class_ids, refuse_many_classes},
        text::malformed,
    },
};

/// Names of an array of inputs, and of an array of targets; where several are there, the first of these counts.
pub const INPUT_NAMES: [&str; 9] = [
    "X",
    "x",
    "data",
    "images",
    "inputs",
    "X_train",
    "x_train",
    "train_images",
    "train_data",
];
const TARGET_NAMES: [&str; 7] = [
    "y",
    "Y",
    "labels",
    "target",
    "targets",
    "y_train",
    "train_labels",
];

/// The same of validation and of test rows in one file with the others.
const VALIDATION: PartNames = PartNames {
    what: "validation",
    inputs: &[
        "X_val",
        "x_val",
        "X_valid",
        "x_valid",
        "X_validation",
        "x_validation",
        "val_images",
    ],
    targets: &["y_val", "y_valid", "y_validation", "val_labels"],
    words: &["val", "valid", "validation"],
};
const TEST: PartNames = PartNames {
    what: "test",
    inputs: &["X_test", "x_test", "test_images", "test_data"],
    targets: &["y_test", "test_labels"],
    words: &["test"],
};

/// What is in the names of arrays to learn from, where the others have a word of their part.
const TRAIN: &str = "train";

/// How the arrays of rows for one purpose are called.
struct PartNames {
    /// The purpose.
    what: &'static str,
    inputs: &'static [&'static str],
    targets: &'static [&'static str],
    /// What tells the name of such an array from that of one to learn from.
    words: &'static [&'static str],
}

impl PartNames {
    /// Names of the targets; where a user has named those to learn from, `labels` say, `labels_test` and
    /// `test_labels`.
    fn targets(&self, named: Option<&str>) -> Vec<String> {
        let Some(named) = named else {
            let usual = self.targets.iter();
            return usual.map(|name| (*name).to_string()).collect();
        };
        let with_word = |word: &&str| match named.contains(TRAIN) {
            true => vec![named.replacen(TRAIN, word, 1)],
            false => vec![format!("{named}_{word}"), format!("{word}_{named}")],
        };
        self.words.iter().flat_map(with_word).collect()
    }
}

/// The NPY files of a folder, and the names of their arrays.
fn npy_files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut files: Vec<(String, PathBuf)> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "npy") && path.is_file())
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_string(), path)))
        .collect();
    files.sort();
    files
}

/// Whether a folder holds an array of inputs, and of targets, in files of their own; these may have been named.
pub(super) fn are_in(folder: &Path, target: Option<&str>) -> bool {
    let files = npy_files(folder);
    let has = |wanted: &[&str]| {
        files
            .iter()
            .any(|(name, _)| wanted.contains(&name.as_str()))
    };
    has(&INPUT_NAMES) && (has(&TARGET_NAMES) || target.is_some_and(|name| has(&[name])))
}

/// Named arrays of an NPZ file, or of a folder with a file for each.
struct NamedArrays<'a> {
    path: &'a Path,
    arrays: Vec<(String, Saved)>,
}

impl NamedArrays<'_> {
    fn read<'a>(path: &'a Path, limits: &ReadLimits) -> Result<NamedArrays<'a>, DataError> {
        let arrays = match path.is_dir() {
            false => npy::read_npz(path, limits)?,
            true => npy_files(path)
                .into_iter()
                .map(|(name, file)| {
                    let bytes = table::text::read_bytes(&file, limits)?;
                    Ok((name.clone(), npy::parse(&file, &name, &bytes, limits)?))
                })
                .collect::<Result<_, DataError>>()?,
        };
        Ok(NamedArrays { path, arrays })
    }

    fn take(&self, wanted: &[&str]) -> Option<&(String, Saved)> {
        let named = |wanted: &&str| self.arrays.iter().find(|(name, _)| name == wanted);
        wanted.iter().find_map(named)
    }

    fn inputs(&self, wanted: &[&str]) -> Result<Option<Array>, DataError> {
        let found = self.take(wanted);
        let found = found.map(|(name, saved)| saved.clone().numbers(self.path, name));
        found.transpose()
    }

    fn targets(&self, wanted: &[&str]) -> Option<Saved> {
        self.take(wanted).map(|(_, saved)| saved.clone())
    }

    /// Inputs and targets that must be there, and what the user says is predicted.
    fn needed(&self, target: Option<&str>) -> Result<(Array, Saved), DataError> {
        let inputs = self.inputs(&INPUT_NAMES)?;
        let inputs = inputs.ok_or_else(|| self.lacks(&INPUT_NAMES))?;
        let wanted: &[&str] = match &target {
            Some(name) => slice::from_ref(name),
            None => &TARGET_NAMES,
        };
        let targets = self.targets(wanted).ok_or_else(|| self.lacks(wanted))?;
        let is_input = |name: &&str| self.take(&INPUT_NAMES).is_some_and(|(own, _)| own == name);
        match target.filter(is_input) {
            None => Ok((inputs, targets)),
            Some(name) => {
                let problem = format!(
                    "`{name}` is what is predicted from, so it cannot be predicted: its arrays are {}",
                    self.names()
                );
                Err(malformed(self.path, problem))
            }
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.arrays.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }

    fn lacks(&self, wanted: &[&str]) -> DataError {
        let wanted = match wanted {
            [only] => format!("`{only}`"),
            several => format!("one of {}", several.join(", ")),
        };
        let names = self.names();
        let problem = format!("it has no array named {wanted}: its arrays are {names}");
        malformed(self.path, problem)
    }

    /// Rows for one purpose: those of the file itself, or those of the file that was named for it.
    fn given(
        &self,
        part: &PartNames,
        file: Option<&Path>,
        request: &Request,
    ) -> Result<Option<(Array, Saved)>, DataError> {
        let target = request.target.as_deref();
        let targets = part.targets(target);
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let own = (self.inputs(part.inputs)?, self.targets(&targets));
        match (own, file) {
            // What was named is predicted of all rows, or these are none.
            ((Some(_), None), None) if target.is_some() => Err(self.lacks(&targets)),
            ((inputs, targets), None) => Ok(inputs.zip(targets)),
            ((Some(_), Some(_)), Some(path)) => {
                let problem = format!(
                    "it has {} rows of its own, and {} is named for them, too: give one of the two",
                    part.what,
                    path.display()
                );
                Err(malformed(self.path, problem))
            }
            (_, Some(path)) => {
                let arrays = NamedArrays::read(path, &request.limits)?;
                arrays.needed(target).map(Some)
            }
        }
    }
}

/// Arrays of inputs and targets in an NPZ file.
pub(super) fn find(request: &Request) -> Result<Found, DataError> {
    let (path, limits) = (&request.path, &request.limits);
    let arrays = NamedArrays::read(path, limits)?;
    let (mut inputs, mut labels) = arrays.needed(request.target.as_deref())?;
    let validation = arrays.given(&VALIDATION, request.validation.as_deref(), request)?;
    let test = arrays.given(&TEST, request.test.as_deref(), request)?;
    let mut given = Given::default();
    for (more, count) in [(validation, &mut given.validation), (test, &mut given.test)] {
        let Some((more, more_labels)) = more else {
            continue;
        };
        *count = more.shape.first().copied().unwrap_or(0);
        inputs = joined(path, inputs, more)?;
        labels = joined_labels(path, labels, more_labels)?;
    }
    let rows = inputs.shape.first().copied().unwrap_or(0);
    if labels.len() != rows {
        let problem = format!("it has {rows} inputs but {} targets", labels.len());
        return Err(malformed(path, problem));
    }
    if is_series(request, &inputs) {
        refuse_ignored(request)?;
        refuse_other_kind(request, DataKind::Series)?;
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
        refuse_ignored(request)?;
        let words = classes_of_images(path, &labels)?;
        let images = array_images(path, inputs)?;
        return labelled_images(request, images, &words, given);
    }
    find_array_table(request, &inputs, &labels, given)
}

fn classes_of_images(path: &Path, labels: &Saved) -> Result<Vec<String>, DataError> {
    let numbers = match labels {
        Saved::Words(words) => return Ok(words.clone()),
        Saved::Numbers(array) => array.values.to_floats(),
    };
    match numbers.iter().find(|label| label.fract() != 0.0) {
        None => Ok(numbers.iter().map(f64::to_string).collect()),
        Some(odd) => Err(malformed(
            path,
            format!("the label {odd} is no whole number, so no class"),
        )),
    }
}

fn joined_labels(path: &Path, first: Saved, second: Saved) -> Result<Saved, DataError> {
    match (first, second) {
        (Saved::Numbers(own), Saved::Numbers(more)) => joined(path, own, more).map(Saved::Numbers),
        (Saved::Words(own), Saved::Words(more)) => Ok(Saved::Words([own, more].concat())),
        _ => {
            let problem = "its targets are numbers, those of its validation or test rows words, or the other way \
                           round: save both alike";
            Err(malformed(path, problem.into()))
        }
    }
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
    labels: &Saved,
    given: Given,
) -> Result<Found, DataError> {
    let (mut notices, mut beside) = (Vec::new(), Beside::default());
    let columns = array_columns(request, inputs, &mut notices, &mut beside)?;
    let columns = some_left(request, columns)?;
    let (task, targets) = array_targets(request, labels, &mut notices)?;
    let is_series = match request.kind {
        None => wide::looks_like_series(&columns),
        Some(kind) => kind == DataKind::Series,
    };
    let kind = match is_series {
        true => DataKind::Series,
        false => DataKind::Table,
    };
    refuse_other_kind(request, kind)?;
    let dataset = if is_series {
        if request.kind.is_none() {
            notices.push(wide::taken_for_series(&columns));
        }
        notices.extend(too_large(wide::numbers(&columns)));
        let series = wide::series_of(&columns, labels.len());
        Dataset::Series(Series { targets, ..series })
    } else {
        let columns =
            table::columns::without_useless(columns, &request.columns, &mut beside.oddities);
        let columns = some_left(request, columns)?;
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

fn some_left(request: &Request, columns: Vec<Column>) -> Result<Vec<Column>, DataError> {
    match columns.is_empty() {
        false => Ok(columns),
        true => {
            let problem = "no column is left to predict from".to_string();
            Err(nothing(request, problem))
        }
    }
}

/// What the array of targets is called.
fn target_of(request: &Request) -> &str {
    request.target.as_deref().unwrap_or(TARGET_NAMES[0])
}

/// Classes if all targets are words or whole, else numbers, unless the user says which.
fn array_targets(
    request: &Request,
    labels: &Saved,
    notices: &mut Vec<Notice>,
) -> Result<(Task, RawTargets), DataError> {
    let name = target_of(request);
    let labels = match (labels, request.task) {
        (Saved::Words(words), Some(TaskKind::Regression)) => {
            let odd = words.first().map_or("", String::as_str);
            let problem = format!("`{name}` holds `{odd}`, so it cannot be predicted as a number");
            return Err(nothing(request, problem));
        }
        (Saved::Words(words), _) => return array_classes(request, words),
        (Saved::Numbers(array), _) => array.values.to_floats(),
    };
    let odd = labels.iter().find(|label| label.fract() != 0.0);
    let looks = match odd {
        None => TaskKind::Classification,
        Some(_) => TaskKind::Regression,
    };
    match (request.task.unwrap_or(looks), odd) {
        (TaskKind::Regression, _) => {
            if request.task.is_none() {
                notices.push(Notice::note(format!(
                    "`{name}` holds fractions, so it is predicted as a number"
                )));
            }
            array_values(request, &labels)
        }
        (TaskKind::Classification, Some(odd)) => {
            let problem =
                format!("`{name}` holds {odd}, which is no class: --task regression predicts it");
            Err(nothing(request, problem))
        }
        (TaskKind::Classification, None) => {
            let words: Vec<String> = labels.iter().map(f64::to_string).collect();
            array_classes(request, &words)
        }
    }
}

/// The place of the column of an array that has this name; `x01` and `x+1` are names of none.
pub(crate) fn place_named(name: &str) -> Option<usize> {
    let place = name.strip_prefix('x')?.parse::<usize>().ok()?;
    (name_at(place) == name).then_some(place)
}

/// The name of the column of an array at this place.
fn name_at(place: usize) -> String {
    format!("x{place}")
}

/// Refuses to leave out a column that is not there.
fn check_ignored(request: &Request, width: usize) -> Result<(), DataError> {
    let is_there = |name: &&String| place_named(name).is_some_and(|place| place < width);
    match request.ignore.iter().find(|name| !is_there(name)) {
        None => Ok(()),
        Some(name) => {
            let problem = format!(
                "it has no column `{name}`: its {width} columns are named by their places, x0, x1, …"
            );
            Err(malformed(&request.path, problem))
        }
    }
}

/// The columns of an array that are left, named by their places: `x0`, `x1`, …
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
    check_ignored(request, width)?;
    let is_left = |column: &usize| !request.ignore.contains(&name_at(*column));
    let left: Vec<usize> = (0..width).filter(is_left).collect();
    let of_column = |column: usize| (0..rows).map(move |row| row * width + column);
    let values = inputs.values.to_floats();
    let all_left = left.iter().flat_map(|column| of_column(*column));
    let odd = all_left.filter(|at| !values[*at].is_finite()).count();
    if odd > 0 {
        notices.push(Notice::warning(format!(
            "{odd} value(s) are infinite or not a number and count as missing"
        )));
    }
    let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
    let texts = |name: &str| {
        let column = left.iter().find(|column| name_at(**column) == name)?;
        let cells = of_column(*column).map(|at| values[at].to_string());
        Some(cells.collect())
    };
    let role_rows = RoleRows {
        cells_of: &texts,
        called: &|row| format!("row {}", row + 1),
        decimal: Decimal::Point,
    };
    beside.facts = read_facts(&request.roles, &role_rows, notices)
        .map_err(|problem| malformed(&request.path, problem))?;
    let column = |column: usize| Column {
        name: name_at(column),
        cells: Cells::Numbers(of_column(column).map(|at| finite(values[at])).collect()),
    };
    let is_input = |column: &usize| !request.roles.columns().any(|role| role == name_at(*column));
    let inputs = left.iter().copied().filter(is_input);
    Ok(inputs.map(column).collect())
}

fn array_values(request: &Request, labels: &[f64]) -> Result<(Task, RawTargets), DataError> {
    let differs = labels.iter().any(|label| *label != labels[0]);
    let target = target_of(request).to_string();
    if !differs || labels.iter().any(|label| !label.is_finite()) {
        let problem = format!("`{target}` must hold different, finite numbers");
        return Err(nothing(request, problem));
    }
    Ok((
        Task::Regression { target },
        RawTargets::Values(labels.to_vec()),
    ))
}

fn array_classes(request: &Request, words: &[String]) -> Result<(Task, RawTargets), DataError> {
    let (classes, ids) = class_ids(words);
    if classes.len() < 2 || classes.len() * 2 > words.len() {
        let problem = format!(
            "`{}` has {} classes in {} rows",
            target_of(request),
            classes.len(),
            words.len()
        );
        return Err(nothing(request, problem));
    }
    refuse_many_classes(request, target_of(request), classes.len())?;
    Ok((Task::Classification { classes }, RawTargets::Classes(ids)))
}
