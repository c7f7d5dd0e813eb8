//! From raw rows to numbers: fitted on training rows alone, then the same for every row ever.
//!
//! One object does it in training, in prediction and, as the exporter's guide, inside the ONNX graph;
//! it is written as versioned JSON. What it never does: look at a row outside `train_rows`.

mod check;
pub(crate) mod columns;
mod images;
mod lookups;
mod series;
mod tails;
pub(crate) mod text;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    error::DataError,
    examples::{Examples, ItemShape, Targets},
    fitted::{FORMAT, FittedColumn, FittedInputs, FittedTask},
    source::{DataKind, Dataset, RawTargets, Source, Task},
    table::dialect::Dialect,
};
use lookups::Lookups;

/// A scale is at least this, so that a column that hardly varies is not blown up.
const SCALE_MIN: f64 = 1e-12;

/// Fitted preprocessing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "check::Written")]
pub struct Preprocessor {
    format: u32,
    inputs: FittedInputs,
    task: FittedTask,
    /// What was said of how files of rows are written; others are found out.
    #[serde(default, skip_serializing_if = "Dialect::is_found_out")]
    dialect: Dialect,
    #[serde(skip)]
    lookups: Arc<Lookups>,
}

impl Preprocessor {
    /// Learns means, scales and levels from the training rows.
    ///
    /// # Errors
    /// If there is no training row, or a network would get no value of it.
    pub fn fit(source: &Source, train_rows: &[u32]) -> Result<Preprocessor, DataError> {
        if train_rows.is_empty() {
            return Err(DataError::Split {
                problem: "no row is left to learn from".to_string(),
            });
        }
        let inputs = match &source.dataset {
            Dataset::Table(table) => {
                let fitted = table
                    .columns
                    .iter()
                    .map(|column| columns::fit(column, train_rows));
                FittedInputs::Columns(fitted.collect())
            }
            Dataset::Images(images) => FittedInputs::Image(images::fit(images, train_rows)),
            Dataset::Series(series) => FittedInputs::Series(series::fit(series, train_rows)),
            Dataset::Texts(texts) => FittedInputs::Text(text::fit(texts, train_rows)),
        };
        if inputs.item().values() == 0 {
            let problem = "a network would get no value of a row: it is empty, or its texts have no word \
                           that comes twice";
            return Err(DataError::NothingToLearn {
                path: "the data".into(),
                problem: problem.into(),
            });
        }
        let task = fit_task(source, train_rows)?;
        Ok(Preprocessor::of(inputs, task, Dialect::default()))
    }

    fn of(inputs: FittedInputs, task: FittedTask, dialect: Dialect) -> Preprocessor {
        Preprocessor {
            format: FORMAT,
            lookups: Arc::new(Lookups::of(&inputs)),
            inputs,
            task,
            dialect,
        }
    }

    /// The same for files that are written so, as far as `said` says.
    #[must_use]
    pub fn written_as(self, said: Dialect) -> Preprocessor {
        let dialect = self.dialect.overruled_by(said);
        Preprocessor { dialect, ..self }
    }

    /// What is said of how files of rows are written.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What a network gets for one row.
    pub fn item(&self) -> ItemShape {
        self.inputs.item()
    }

    /// What is predicted.
    pub fn task(&self) -> &FittedTask {
        &self.task
    }

    /// How inputs become numbers.
    pub fn inputs(&self) -> &FittedInputs {
        &self.inputs
    }

    /// The columns of a table, in order; none for another kind.
    pub fn columns(&self) -> Option<&[FittedColumn]> {
        match &self.inputs {
            FittedInputs::Columns(columns) => Some(columns),
            _ => None,
        }
    }

    /// What a row is.
    pub fn kind(&self) -> DataKind {
        match &self.inputs {
            FittedInputs::Columns(_) => DataKind::Table,
            FittedInputs::Image(_) => DataKind::Images,
            FittedInputs::Series(_) => DataKind::Series,
            FittedInputs::Text(_) => DataKind::Text,
        }
    }

    /// Rows as a network takes them, with their targets.
    ///
    /// # Errors
    /// If the data are of another kind or size than those it was fitted on.
    pub fn apply(&self, dataset: &Dataset, rows: &[u32]) -> Result<Examples, DataError> {
        let (item, targets) = (self.item(), self.targets(dataset.targets(), rows));
        match (&self.inputs, dataset) {
            (FittedInputs::Columns(fitted), Dataset::Table(table)) => {
                let inputs = columns::inputs(fitted, &self.lookups.levels, table, rows)?;
                Ok(Examples::from_floats(item, inputs, targets))
            }
            (FittedInputs::Image(image), Dataset::Images(images)) => {
                let size = (images.height, images.width, images.channels);
                if size != (image.height, image.width, image.channels) {
                    let problem = format!("images of {size:?} are not those it was fitted on");
                    return Err(unfit(problem));
                }
                let bytes = images::chosen(images, rows);
                let (shift, scale) = (image.shift.clone(), image.scale.clone());
                Ok(Examples::from_bytes(item, bytes, shift, scale, targets))
            }
            (FittedInputs::Series(fitted), Dataset::Series(series)) => {
                let inputs = series::inputs(fitted, series, rows)?;
                Ok(Examples::from_floats(item, inputs, targets))
            }
            (FittedInputs::Text(fitted), Dataset::Texts(texts)) => {
                let codes = text::codes(fitted, &self.lookups.pairs, texts, rows);
                Ok(Examples::from_codes(item, codes, targets))
            }
            _ => Err(unfit(format!(
                "it is fitted on {}, not on {}",
                self.kind(),
                dataset.kind()
            ))),
        }
    }

    pub(crate) fn targets(&self, targets: &RawTargets, rows: &[u32]) -> Targets {
        match (targets, &self.task) {
            (RawTargets::Classes(ids), FittedTask::Classification { classes }) => {
                Targets::Classes {
                    ids: rows.iter().map(|row| ids[*row as usize]).collect(),
                    count: classes.len() as u32,
                }
            }
            (RawTargets::Values(values), FittedTask::Regression { mean, scale, .. }) => {
                let standardised = |row: &u32| ((values[*row as usize] - mean) / scale) as f32;
                Targets::Values(rows.iter().map(standardised).collect())
            }
            _ => Targets::None,
        }
    }
}

pub(crate) fn unfit(problem: String) -> DataError {
    DataError::Unfit {
        path: "the data".into(),
        problem,
    }
}

fn fit_task(source: &Source, train_rows: &[u32]) -> Result<FittedTask, DataError> {
    match (&source.task, source.dataset.targets()) {
        (Task::Regression { target }, RawTargets::Values(values)) => {
            let chosen: Vec<f64> = train_rows.iter().map(|row| values[*row as usize]).collect();
            let (mean, scale) = mean_and_deviation(&chosen);
            Ok(FittedTask::Regression {
                target: target.clone(),
                mean,
                scale,
            })
        }
        (Task::Classification { classes }, _) => Ok(FittedTask::Classification {
            classes: classes.clone(),
        }),
        (Task::Regression { target }, _) => {
            let problem = format!("`{target}` has no values");
            Err(DataError::Split { problem })
        }
    }
}

/// Mean and standard deviation; a deviation of nothing becomes 1.
fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 1.0);
    }
    // The largest is divided out first, so that squares of huge values do not overflow.
    let largest = values
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let count = values.len() as f64;
    let mean = values.iter().map(|value| value / unit).sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value / unit - mean).powi(2))
        .sum::<f64>()
        / count;
    let deviation = variance.sqrt();
    let scale = if deviation > SCALE_MIN {
        deviation * unit
    } else {
        1.0
    };
    (mean * unit, scale)
}
