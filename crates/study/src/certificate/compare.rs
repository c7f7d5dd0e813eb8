//! Rows through lehr's own predictor and through an exported file, and how far the two are apart.

use std::{collections::BTreeMap, num::NonZeroUsize, path::Path, thread};

use data::{Cells, Column, Dataset, FittedKind, FittedTask, Sample, Series, TextUnit};
use replay::{Element, Replay, ReplayError, Tensor, Values};

use super::{CertifyError, RowsOf, TOLERANCE, Tried};
use crate::model::{Model, Predictions};

/// Rows that are run at once by one thread, …
const BATCH: usize = 32;

/// … and fewer of a network whose largest layer gives more values than these for so many: a file that is run
/// again keeps all its values to the end.
const BATCH_VALUES: usize = 1 << 22;

/// Largest relative change of a number that is rounded to `f32`.
const HALF_STEP: f64 = 1.0 / 16_777_216.0;

/// What lehr says of rows beside what the file says.
///
/// # Errors
/// If they differ by more than the tolerance, or one of them says nothing.
pub(super) fn compare(
    model: &Model,
    replay: &Replay,
    path: &Path,
    rows_of: RowsOf,
    sample: &Sample,
) -> Result<Tried, CertifyError> {
    let dataset = sample.dataset();
    let rows: Vec<u32> = (0..dataset.rows() as u32).collect();
    let preprocessor = &model.card.preprocessor;
    let lehr = Lehr {
        predictions: model.predict(&preprocessor.apply(dataset, &rows)?)?,
        threshold: model.card.calibration.threshold(),
        centre: match preprocessor.task() {
            FittedTask::Regression { mean, scale, .. } => Some((*mean, *scale)),
            FittedTask::Classification { .. } => None,
        },
    };
    let said = said_by_file(model, replay, dataset).map_err(|source| CertifyError::Replay {
        path: path.to_path_buf(),
        source,
    })?;
    let mut tried = Tried {
        rows_of,
        rows: rows.len(),
        largest_difference: 0.0,
        labels_that_differ: 0,
    };
    for (row, said) in said.iter().enumerate() {
        let difference = lehr.difference(row, said);
        // A comparison with what is not a number is false.
        let is_near = difference <= TOLERANCE;
        let same_label = said.label.as_deref() == lehr.label(row);
        let is_tie = || lehr.is_tie(row, said.label.as_deref());
        if !is_near || !(same_label || is_tie()) {
            return Err(lehr.differs(row, said, rows_of));
        }
        tried.largest_difference = tried.largest_difference.max(difference);
        tried.labels_that_differ += usize::from(!same_label);
    }
    Ok(tried)
}

/// What a file says of one row.
struct Said {
    /// Probabilities, or the one value.
    numbers: Vec<f64>,
    label: Option<String>,
}

fn rows_at_once(model: &Model) -> usize {
    let architecture = &model.card.architecture;
    let sizes = architecture.ids().map(|id| architecture.shape(id).values());
    let largest = sizes.max().unwrap_or(1).max(1);
    (BATCH_VALUES / largest).clamp(1, BATCH)
}

/// Runs all rows through the file, on all cores: nobody else needs them when an exploration has ended.
fn said_by_file(
    model: &Model,
    replay: &Replay,
    dataset: &Dataset,
) -> Result<Vec<Said>, ReplayError> {
    let rows = dataset.rows();
    let batch = rows_at_once(model);
    let batches: Vec<(usize, usize)> = (0..rows)
        .step_by(batch)
        .map(|first| (first, batch.min(rows - first)))
        .collect();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = batches.len().div_ceil(cores).max(1);
    let run = |batches: &[(usize, usize)]| -> Result<Vec<Said>, ReplayError> {
        let mut said = Vec::new();
        for (first, count) in batches {
            let inputs = raw_inputs(model, replay, dataset, *first, *count);
            said.extend(said_of(replay, &replay.run(&inputs)?, *count));
        }
        Ok(said)
    };
    let run = &run;
    thread::scope(|scope| {
        let started: Vec<_> = batches
            .chunks(share)
            .map(|batches| scope.spawn(move || run(batches)))
            .collect();
        let mut all = Vec::with_capacity(rows);
        for thread in started {
            match thread.join() {
                Ok(said) => all.extend(said?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(all)
    })
}

/// Raw rows as the inputs that the file declares: one per column in the order of the preprocessing, or
/// the pixels.
fn raw_inputs(
    model: &Model,
    replay: &Replay,
    dataset: &Dataset,
    first: usize,
    count: usize,
) -> BTreeMap<String, Tensor> {
    let mut inputs = BTreeMap::new();
    let mut give = |name: &str, shape: Vec<usize>, values: Values| {
        let tensor = Tensor::new(shape, values).expect("so many cells were taken");
        inputs.insert(name.to_string(), tensor);
    };
    match dataset {
        Dataset::Table(table) => {
            let columns = model.card.preprocessor.columns().unwrap_or_default();
            let named = table.columns.iter().map(|column| (&column.name, column));
            let named: BTreeMap<&String, &Column> = named.collect();
            for (declared, fitted) in replay.inputs().iter().zip(columns) {
                let column = named.get(&fitted.name);
                let column = column.expect("preprocessing has found every column");
                let values = raw_cells(&column.cells, &fitted.kind, declared.element, first, count);
                give(&declared.name, vec![count, 1], values);
            }
        }
        Dataset::Images(images) => {
            let shape = [images.height, images.width, images.channels].map(|e| e as usize);
            let item = shape.iter().product::<usize>();
            let bytes = images.bytes[first * item..][..count * item].to_vec();
            for declared in replay.inputs() {
                let shape = [&[count], &shape[..]].concat();
                give(&declared.name, shape, Values::Bytes(bytes.clone()));
            }
        }
        Dataset::Series(series) => {
            for declared in replay.inputs() {
                // Extents that the file leaves open would be refused there.
                let steps = declared.extents.get(1).copied().flatten().unwrap_or(0);
                let channels = series.channels as usize;
                let values = raw_series(series, steps * channels, first, count);
                give(&declared.name, vec![count, steps, channels], values);
            }
        }
        Dataset::Texts(texts) if texts.unit == TextUnit::Character => {
            for declared in replay.inputs() {
                let places = declared.extents.get(1).copied().flatten().unwrap_or(0);
                let own = &texts.texts[first..first + count];
                let points = own.iter().flat_map(|text| code_points(text, places));
                let points = Values::Ints(points.collect());
                give(&declared.name, vec![count, places], points);
            }
        }
        Dataset::Texts(texts) => {
            let texts = texts.texts[first..first + count]
                .iter()
                .map(|text| with_blanks(text));
            let texts = Values::Texts(texts.collect());
            for declared in replay.inputs() {
                give(&declared.name, vec![count, 1], texts.clone());
            }
        }
    }
    inputs
}

/// Series of one length: behind the end of each nothing was measured.
fn raw_series(series: &Series, length: usize, first: usize, count: usize) -> Values {
    let mut values = Vec::with_capacity(count * length);
    for own in series.each().skip(first).take(count) {
        let own = &own[..own.len().min(length)];
        values.extend(own);
        values.extend(std::iter::repeat_n(f32::NAN, length - own.len()));
    }
    Values::Floats(values)
}

/// As the description of an input of characters asks for it.
fn code_points(text: &str, places: usize) -> impl Iterator<Item = i64> {
    let points = text
        .trim_ascii()
        .chars()
        .map(|letter| i64::from(u32::from(letter)));
    points.chain(std::iter::repeat(0)).take(places)
}

/// As the description of an input of texts asks for it: a text ends with a line end where it is a file.
fn with_blanks(text: &str) -> String {
    text.trim_ascii()
        .replace(|letter: char| letter.is_ascii_whitespace(), " ")
}

fn raw_cells(
    cells: &Cells,
    kind: &FittedKind,
    element: Element,
    first: usize,
    count: usize,
) -> Values {
    let rows = first..first + count;
    match cells {
        Cells::Numbers(cells) if element == Element::Double => {
            Values::Doubles(cells[rows].to_vec())
        }
        Cells::Numbers(cells) => Values::Floats(cells[rows].iter().map(|c| *c as f32).collect()),
        Cells::Times { seconds, .. } => Values::Doubles(seconds[rows].to_vec()),
        Cells::Words(cells) | Cells::Texts(cells) => {
            let word = |cell: &Option<String>| match (cell, kind) {
                (Some(text), FittedKind::Text { .. }) => with_blanks(text),
                (Some(word), _) => word.clone(),
                (None, _) => String::new(),
            };
            Values::Texts(cells[rows].iter().map(word).collect())
        }
    }
}

/// Outputs row by row.
fn said_of(replay: &Replay, outputs: &[Tensor], count: usize) -> Vec<Said> {
    let mut said: Vec<Said> = (0..count)
        .map(|_| Said {
            numbers: Vec::new(),
            label: None,
        })
        .collect();
    for (_, output) in replay.outputs().iter().zip(outputs) {
        match output.values() {
            Values::Floats(values) => {
                let rows = values.chunks(values.len().div_ceil(count.max(1)).max(1));
                for (said, row) in said.iter_mut().zip(rows) {
                    said.numbers = row.iter().map(|value| f64::from(*value)).collect();
                }
            }
            Values::Texts(values) => {
                for (said, label) in said.iter_mut().zip(values) {
                    said.label = Some(label.clone());
                }
            }
            _ => {}
        }
    }
    said
}

/// What lehr says of all rows.
struct Lehr {
    predictions: Predictions,
    /// Mean and standard deviation of what is predicted, if it is a number.
    centre: Option<(f64, f64)>,
    /// Above which probability the second of two classes is said.
    threshold: f64,
}

impl Lehr {
    fn label(&self, row: usize) -> Option<&str> {
        match &self.predictions {
            Predictions::Classes {
                classes, labels, ..
            } => Some(&classes[labels[row]]),
            Predictions::Values { .. } => None,
        }
    }

    fn numbers(&self, row: usize) -> Vec<f64> {
        match &self.predictions {
            Predictions::Classes { probabilities, .. } => probabilities[row].clone(),
            Predictions::Values { values, .. } => vec![values[row]],
        }
    }

    /// Largest difference of a row: of probabilities as it is; of a value in standard deviations, relative
    /// to its own distance from the mean if that is larger, beyond what rounding to `f32` takes.
    fn difference(&self, row: usize, said: &Said) -> f64 {
        let expected = self.numbers(row);
        if expected.len() != said.numbers.len() {
            return f64::INFINITY;
        }
        let apart = |(expected, said): (&f64, &f64)| match self.centre {
            None => (expected - said).abs(),
            Some((mean, scale)) => {
                let apart = (expected - said).abs() - expected.abs() * HALF_STEP;
                // What is not a number stays so: `f64::max` would make it 0.
                let beyond = if apart < 0.0 { 0.0 } else { apart };
                beyond / scale.max((expected - mean).abs())
            }
        };
        let all = expected.iter().zip(&said.numbers).map(apart);
        all.fold(0.0, |most, apart| match apart > most || apart.is_nan() {
            true => apart,
            false => most,
        })
    }

    /// Whether another label is as probable as lehr's own, or either side of the threshold as near, within the
    /// tolerance.
    fn is_tie(&self, row: usize, label: Option<&str>) -> bool {
        let Predictions::Classes {
            classes,
            probabilities,
            labels,
        } = &self.predictions
        else {
            return false;
        };
        let other = classes
            .iter()
            .position(|class| Some(class.as_str()) == label);
        let own = &probabilities[row];
        other.is_some_and(|other| match own[..] {
            [_, second] => (second - self.threshold).abs() <= TOLERANCE,
            _ => own[labels[row]] - own[other] <= 2.0 * TOLERANCE,
        })
    }

    fn differs(&self, row: usize, said: &Said, rows_of: RowsOf) -> CertifyError {
        let expected = self.numbers(row);
        let found = |place: usize| said.numbers.get(place).copied().unwrap_or(f64::NAN);
        let apart = |place: usize| match (found(place) - expected[place]).abs() {
            apart if apart.is_nan() => f64::INFINITY,
            apart => apart,
        };
        let worst = (0..expected.len()).max_by(|a, b| apart(*a).total_cmp(&apart(*b)));
        let worst = worst.expect("lehr says at least one number");
        let output = match &self.predictions {
            Predictions::Classes { classes, .. } => format!("probability of {}", classes[worst]),
            Predictions::Values { target, .. } => target.clone(),
        };
        CertifyError::Differs {
            found: found(worst).to_string(),
            expected: expected[worst].to_string(),
            output,
            rows_of,
            row: row + 1,
        }
    }
}
