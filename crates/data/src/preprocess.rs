//! From raw rows to numbers: fitted on training rows alone, then the same for every row ever.
//!
//! One object does it in training, in prediction and, as the exporter's guide, inside the ONNX graph;
//! it is written as versioned JSON. What it never does: look at a row outside `train_rows`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::DataError,
    examples::{Examples, ItemShape, Targets},
    fitted::{
        CLIP, FORMAT, FittedColumn, FittedImage, FittedInputs, FittedKind, FittedTask, Indicator,
    },
    source::{Cells, Column, Dataset, Images, RawTargets, Source, Table, Task},
};

/// Levels of a category; rarer words count as never seen.
const LEVELS_MAX: usize = 100;

/// A scale is at least this, so that a column that hardly varies is not blown up.
const SCALE_MIN: f64 = 1e-12;

/// Fitted preprocessing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessor {
    format: u32,
    pub(crate) inputs: FittedInputs,
    task: FittedTask,
}

impl Preprocessor {
    /// Learns means, scales and levels from the training rows.
    ///
    /// # Errors
    /// If there is no training row.
    pub fn fit(source: &Source, train_rows: &[u32]) -> Result<Preprocessor, DataError> {
        if train_rows.is_empty() {
            return Err(DataError::Split {
                problem: "no row is left to learn from".to_string(),
            });
        }
        let inputs = match &source.dataset {
            Dataset::Table(table) => FittedInputs::Columns(
                table
                    .columns
                    .iter()
                    .map(|column| fit_column(column, train_rows))
                    .collect(),
            ),
            Dataset::Images(images) => FittedInputs::Image(fit_image(images, train_rows)),
        };
        let task = match (&source.task, source.dataset.targets()) {
            (Task::Regression { target }, RawTargets::Values(values)) => {
                let chosen: Vec<f64> = train_rows.iter().map(|row| values[*row as usize]).collect();
                let (mean, scale) = mean_and_deviation(&chosen);
                FittedTask::Regression {
                    target: target.clone(),
                    mean,
                    scale,
                }
            }
            (Task::Classification { classes }, _) => FittedTask::Classification {
                classes: classes.clone(),
            },
            (Task::Regression { target }, _) => {
                let problem = format!("`{target}` has no values");
                return Err(DataError::Split { problem });
            }
        };
        Ok(Preprocessor {
            format: FORMAT,
            inputs,
            task,
        })
    }

    /// What a network gets for one row.
    pub fn item(&self) -> ItemShape {
        self.inputs.item()
    }

    /// What is predicted.
    pub fn task(&self) -> &FittedTask {
        &self.task
    }

    /// The columns of a table, in order; none for images.
    pub fn columns(&self) -> Option<&[FittedColumn]> {
        match &self.inputs {
            FittedInputs::Columns(columns) => Some(columns),
            FittedInputs::Image(_) => None,
        }
    }

    /// The images; none for a table.
    pub fn image(&self) -> Option<&FittedImage> {
        match &self.inputs {
            FittedInputs::Columns(_) => None,
            FittedInputs::Image(image) => Some(image),
        }
    }

    /// Rows as a network takes them, with their targets.
    ///
    /// # Errors
    /// If the data are of another kind or size than those it was fitted on.
    pub fn apply(&self, dataset: &Dataset, rows: &[u32]) -> Result<Examples, DataError> {
        let targets = self.targets(dataset.targets(), rows);
        match (&self.inputs, dataset) {
            (FittedInputs::Columns(columns), Dataset::Table(table)) => {
                let inputs = table_inputs(columns, table, rows)?;
                Ok(Examples::from_floats(self.item(), inputs, targets))
            }
            (FittedInputs::Image(image), Dataset::Images(images)) => {
                let size = (images.height, images.width, images.channels);
                if size != (image.height, image.width, image.channels) {
                    let problem = format!("images of {size:?} are not those it was fitted on");
                    return Err(unfit(problem));
                }
                let bytes = chosen_images(images, rows);
                let (shift, scale) = (image.shift.clone(), image.scale.clone());
                Ok(Examples::from_bytes(
                    self.item(),
                    bytes,
                    shift,
                    scale,
                    targets,
                ))
            }
            _ => Err(unfit("a table is not images".to_string())),
        }
    }
    fn targets(&self, targets: &RawTargets, rows: &[u32]) -> Targets {
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

fn unfit(problem: String) -> DataError {
    DataError::Unfit {
        path: "the data".into(),
        problem,
    }
}

fn fit_column(column: &Column, rows: &[u32]) -> FittedColumn {
    let kind = match &column.cells {
        Cells::Numbers(values) => {
            let mut present: Vec<f64> = rows
                .iter()
                .map(|row| values[*row as usize])
                .filter(|value| !value.is_nan())
                .collect();
            let missing = present.len() < rows.len();
            let (shift, scale) = mean_and_deviation(&present);
            present.sort_by(f64::total_cmp);
            let fill = present.get(present.len() / 2).copied().unwrap_or(0.0);
            FittedKind::Numeric {
                fill,
                missing_indicator: indicator(missing),
                shift,
                scale,
            }
        }
        Cells::Words(words) => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            let mut missing = false;
            for row in rows {
                match &words[*row as usize] {
                    Some(word) => *counts.entry(word).or_default() += 1,
                    None => missing = true,
                }
            }
            let mut levels: Vec<(&str, usize)> = counts.into_iter().collect();
            levels.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            levels.truncate(LEVELS_MAX);
            let levels = levels
                .into_iter()
                .map(|(word, _)| word.to_string())
                .collect();
            FittedKind::Category {
                levels,
                missing_indicator: indicator(missing),
            }
        }
    };
    FittedColumn {
        name: column.name.clone(),
        kind,
    }
}

fn indicator(missing: bool) -> Indicator {
    if missing {
        Indicator::Present
    } else {
        Indicator::Absent
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

fn fit_image(images: &Images, rows: &[u32]) -> FittedImage {
    let channels = images.channels as usize;
    let item = images.height as usize * images.width as usize * channels;
    let mut sums = vec![(0.0_f64, 0.0_f64); channels];
    for row in rows {
        let start = *row as usize * item;
        for (index, byte) in images.bytes[start..start + item].iter().enumerate() {
            let value = f64::from(*byte);
            let sum = &mut sums[index % channels];
            sum.0 += value;
            sum.1 += value * value;
        }
    }
    let count = (rows.len() * item / channels) as f64;
    let mean = |sum: &(f64, f64)| sum.0 / count;
    let deviation = |sum: &(f64, f64)| (sum.1 / count - mean(sum).powi(2)).max(0.0).sqrt();
    let scale = |sum| {
        if deviation(sum) > 1e-6 {
            deviation(sum) as f32
        } else {
            1.0
        }
    };
    FittedImage {
        height: images.height,
        width: images.width,
        channels: images.channels,
        shift: sums.iter().map(|sum| mean(sum) as f32).collect(),
        scale: sums.iter().map(scale).collect(),
    }
}

fn chosen_images(images: &Images, rows: &[u32]) -> Vec<u8> {
    let item = (images.height * images.width * images.channels) as usize;
    rows.iter()
        .flat_map(|row| &images.bytes[*row as usize * item..(*row as usize + 1) * item])
        .copied()
        .collect()
}

fn table_inputs(
    fitted: &[FittedColumn],
    table: &Table,
    rows: &[u32],
) -> Result<Vec<f32>, DataError> {
    let width: usize = fitted.iter().map(FittedColumn::width).sum();
    let mut inputs = vec![0.0; width * rows.len()];
    let mut offset = 0;
    for fitted in fitted {
        let column = table
            .columns
            .iter()
            .find(|column| column.name == fitted.name);
        let column =
            column.ok_or_else(|| unfit(format!("the column `{}` is missing", fitted.name)))?;
        for (row, out) in rows.iter().zip(inputs.chunks_exact_mut(width)) {
            write_cell(
                &fitted.kind,
                &column.cells,
                *row as usize,
                &mut out[offset..],
            );
        }
        offset += fitted.width();
    }
    Ok(inputs)
}

fn write_cell(kind: &FittedKind, cells: &Cells, row: usize, out: &mut [f32]) {
    match (kind, cells) {
        (
            FittedKind::Numeric {
                fill,
                missing_indicator,
                shift,
                scale,
            },
            Cells::Numbers(values),
        ) => {
            let missing = values[row].is_nan();
            let value = if missing { *fill } else { values[row] };
            out[0] = ((value - shift) / scale).clamp(-CLIP, CLIP) as f32;
            if *missing_indicator == Indicator::Present {
                out[1] = f32::from(u8::from(missing));
            }
        }
        (
            FittedKind::Category {
                levels,
                missing_indicator,
            },
            Cells::Words(words),
        ) => match &words[row] {
            Some(word) => {
                if let Some(level) = levels.iter().position(|level| level == word) {
                    out[level] = 1.0;
                }
            }
            None if *missing_indicator == Indicator::Present => out[levels.len()] = 1.0,
            None => {}
        },
        // A column that was words and now is numbers, or the other way round, is read again by
        // `rows`, which knows the fitted kind; what still differs is as if never seen.
        _ => {}
    }
}
