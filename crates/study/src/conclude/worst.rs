//! The rows that a model gets most wrong: often the first place to look for wrong labels.

use data::{
    Examples, FittedColumn, FittedInputs, FittedKind, FittedTask, Indicator, ItemShape,
    Preprocessor, Targets, levels,
};
use serde::{Deserialize, Serialize};
use train::Calibration;

/// How many are told of.
const ROWS_MAX: usize = 12;

/// Columns whose cells are shown.
const CELLS_MAX: usize = 6;

/// Words of a text that are shown, of those that the model knows.
const WORDS_MAX: usize = 8;

/// Larger images are not shown.
const IMAGE_SIDE_MAX: u32 = 64;

/// A row that is got very wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstRow {
    /// What the user calls it: its number in its file, or its path; absent if that is not known.
    pub name: Option<String>,
    /// What it is.
    pub truth: String,
    /// What it was said to be.
    pub said: String,
    /// The probability given to what it is; absent for numbers.
    pub probability: Option<f64>,
    /// Its log-loss, or the size of its error in the target's unit.
    pub loss: f64,
    /// Some of its cells: name of the column and value.
    pub cells: Vec<(String, String)>,
    /// Its picture, if it is a small one.
    #[serde(skip)]
    pub picture: Option<Picture>,
}

/// A small image, as it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
    /// Values per pixel.
    pub channels: u32,
    /// Row after row, channels last.
    pub bytes: Vec<u8>,
}

/// What is needed to tell of rows.
pub(super) struct Told<'a> {
    pub(super) examples: &'a Examples,
    pub(super) outputs: &'a [f32],
    pub(super) preprocessor: &'a Preprocessor,
    pub(super) calibration: &'a Calibration,
    pub(super) names: &'a [String],
    /// Columns to be shown, the most telling ones first.
    pub(super) columns: Vec<&'a str>,
}

/// The rows with the largest loss, largest first; rows without an error are none.
pub(super) fn worst_rows(told: &Told<'_>) -> Vec<WorstRow> {
    let answers = answers(told);
    let mut rows: Vec<usize> = (0..answers.len())
        .filter(|row| answers[*row].is_wrong)
        .collect();
    rows.sort_by(|a, b| answers[*b].loss.total_cmp(&answers[*a].loss));
    rows.truncate(ROWS_MAX);
    let row = |row: usize| {
        let answer = &answers[row];
        WorstRow {
            name: told.names.get(row).cloned(),
            truth: answer.truth.clone(),
            said: answer.said.clone(),
            probability: answer.probability,
            loss: answer.loss,
            cells: cells(told, row),
            picture: picture(told, row),
        }
    };
    rows.into_iter().map(row).collect()
}

struct Answer {
    truth: String,
    said: String,
    probability: Option<f64>,
    loss: f64,
    is_wrong: bool,
}

fn answers(told: &Told<'_>) -> Vec<Answer> {
    match (told.preprocessor.task(), told.examples.targets()) {
        (FittedTask::Classification { classes }, Targets::Classes { ids, .. }) => {
            let rows = told.outputs.chunks_exact(classes.len()).zip(ids);
            rows.map(|(logits, id)| {
                let probabilities = told.calibration.probabilities(logits);
                let said = told.calibration.label(&probabilities);
                let own = probabilities[*id as usize];
                Answer {
                    truth: classes[*id as usize].clone(),
                    said: classes[said].clone(),
                    probability: Some(own),
                    loss: -own.max(1e-15).ln(),
                    is_wrong: said != *id as usize,
                }
            })
            .collect()
        }
        (FittedTask::Regression { mean, scale, .. }, Targets::Values(values)) => {
            let rows = told.outputs.iter().zip(values);
            rows.map(|(output, value)| {
                let [said, truth] = [output, value].map(|v| f64::from(*v) * scale + mean);
                Answer {
                    truth: short(truth, *scale),
                    said: short(said, *scale),
                    probability: None,
                    loss: (said - truth).abs(),
                    is_wrong: true,
                }
            })
            .collect()
        }
        _ => Vec::new(),
    }
}

fn prepared(examples: &Examples, row: usize) -> Vec<f32> {
    let mut values = vec![0.0; examples.item_len()];
    examples.copy_inputs(&[row as u32], &mut values);
    values
}

/// Cells of a table's row, read back from what preprocessing made of them.
fn cells(told: &Told<'_>, row: usize) -> Vec<(String, String)> {
    let Some(columns) = told.preprocessor.columns() else {
        return Vec::new();
    };
    let values = prepared(told.examples, row);
    let mut offset = 0;
    let mut all = Vec::with_capacity(columns.len());
    for column in columns {
        let end = offset + column.width();
        all.push((column.name.as_str(), cell(column, &values[offset..end])));
        offset = end;
    }
    let shown = told.columns.iter().take(CELLS_MAX);
    shown
        .filter_map(|name| all.iter().find(|(other, _)| other == name))
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect()
}

fn cell(column: &FittedColumn, values: &[f32]) -> String {
    match &column.kind {
        FittedKind::Numeric { scaling, .. } => match values {
            [_, missing] if *missing > 0.5 => "missing".to_string(),
            _ => {
                let (value, unit) = scaling.raw(f64::from(values[0]));
                short(value, unit)
            }
        },
        FittedKind::Time(time) => {
            let told = time.missing_indicator == Indicator::Present;
            match values.last() {
                Some(missing) if told && *missing > 0.5 => "missing".to_string(),
                _ => {
                    let seconds = f64::from(values[0]) * time.scale + time.shift;
                    time.format
                        .written(seconds)
                        .unwrap_or_else(|| seconds.to_string())
                }
            }
        }
        FittedKind::Text { forms, .. } => {
            let has = |place: u16| values.get(usize::from(place)).is_some_and(|v| *v > 0.5);
            let mut known: Vec<u16> = forms.values().copied().filter(|p| has(*p)).collect();
            known.sort_unstable();
            known.dedup();
            let first_form = |place: &u16| {
                let form = forms.iter().find(|(_, other)| *other == place);
                form.map(|(form, _)| form.as_str())
            };
            let words: Vec<&str> = known
                .iter()
                .take(WORDS_MAX)
                .filter_map(first_form)
                .collect();
            words.join(" ")
        }
        FittedKind::Category { levels, .. } => level_of(values, levels),
    }
}

/// What is said of a word that training did not see often enough.
const ANOTHER: &str = "another word";

/// The word of which a network got these values.
fn level_of(values: &[f32], levels: &[String]) -> String {
    let (own, rarer) = (levels::own(levels), levels::rarer(levels));
    if let Some(place) = levels::rarer_in(values, levels) {
        return rarer.get(place).map_or(ANOTHER, String::as_str).to_string();
    }
    let level = values.iter().position(|value| *value > 0.5);
    match level.map(|level| own.get(level)) {
        Some(Some(word)) => word.clone(),
        Some(None) => "missing".to_string(),
        None => ANOTHER.to_string(),
    }
}

/// A number with as many digits as a value in `f32` has for sure that deviates by this much on the whole.
fn short(value: f64, scale: f64) -> String {
    let decimals = (4.0 - scale.log10().floor()).clamp(0.0, 12.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    match text {
        "-0" => "0".to_string(),
        text => text.to_string(),
    }
}

fn picture(told: &Told<'_>, row: usize) -> Option<Picture> {
    let FittedInputs::Image(image) = told.preprocessor.inputs() else {
        return None;
    };
    let ItemShape::Image {
        height,
        width,
        channels,
    } = told.examples.item()
    else {
        return None;
    };
    if height.max(width) > IMAGE_SIDE_MAX {
        return None;
    }
    let values = prepared(told.examples, row);
    let byte = |(index, value): (usize, &f32)| {
        let channel = index % channels as usize;
        (value * image.scale[channel] + image.shift[channel]).round() as u8
    };
    Some(Picture {
        height,
        width,
        channels,
        bytes: values.iter().enumerate().map(byte).collect(),
    })
}

#[cfg(test)]
mod tests {
    use data::{Indicator, Knots, Request, Scaling, Source};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn numbers_are_shown_without_the_noise_of_their_scaling() {
        let shown = [
            (450.999_98, 100.0),
            (-0.000_001_9, 86.0),
            (0.123_456, 0.01),
            (1.5e9, 1e6),
        ]
        .map(|(value, scale)| short(value, scale));
        assert_eq!(shown, ["451", "0", "0.123456", "1500000000"]);
    }

    #[test]
    fn cells_are_read_back_as_they_stood_in_the_file() {
        let words = FittedColumn {
            name: "colour".to_string(),
            kind: FittedKind::Category {
                levels: vec!["red".to_string(), "blue".to_string()],
                missing_indicator: Indicator::Present,
            },
        };
        let shown =
            [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]].map(|values| cell(&words, &values));
        assert_eq!(shown, ["blue", "missing", "another word"]);
        let number = FittedColumn {
            name: "size".to_string(),
            kind: FittedKind::Numeric {
                fill: 0.0,
                missing_indicator: Indicator::Present,
                scaling: Scaling::Deviation {
                    shift: 10.0,
                    scale: 4.0,
                },
            },
        };
        let shown = [[-0.5, 0.0], [0.0, 1.0]].map(|values| cell(&number, &values));
        assert_eq!(shown, ["8", "missing"]);
        let knots = Knots::new(vec![(0.0, -1.0), (1_000.0, 0.0), (1e6, 2.0)]).unwrap();
        let income = FittedColumn {
            name: "income".to_string(),
            kind: FittedKind::Numeric {
                fill: 0.0,
                missing_indicator: Indicator::Absent,
                scaling: Scaling::Quantiles { knots },
            },
        };
        let shown = [[-0.75], [0.0], [2.0]].map(|values| cell(&income, &values));
        assert_eq!(shown, ["250", "1000", "1000000"]);
    }

    #[test]
    fn the_row_with_the_largest_error_comes_first_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let measured = |row: u32| row * 37 % 101;
        let rows: String = (0..30)
            .map(|row| format!("{},{}\n", measured(row), row * 2))
            .collect();
        std::fs::write(&path, format!("a,b\n{rows}")).unwrap();
        let request = Request {
            path,
            task: Some(data::TaskKind::Regression),
            ..Request::default()
        };
        let source: Source = data::read(&request).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let split = data::split(&source, data::SplitShares::default(), &mut rng).unwrap();
        let preprocessor = Preprocessor::fit(&source, &split.train).unwrap();
        let examples = preprocessor.apply(&source.dataset, &split.vault).unwrap();
        let Targets::Values(values) = examples.targets() else {
            panic!("b is a number")
        };
        let mut outputs = values.clone();
        outputs[3] += 1.0;
        let names: Vec<String> = split
            .vault
            .iter()
            .map(|row| source.row_name(*row))
            .collect();
        let told = Told {
            examples: &examples,
            outputs: &outputs,
            preprocessor: &preprocessor,
            calibration: &Calibration::default(),
            names: &names,
            columns: vec!["a"],
        };
        let worst = worst_rows(&told);
        let row = split.vault[3];
        assert_eq!(worst[0].name, Some((row + 1).to_string()));
        assert_eq!(
            worst[0].cells,
            [("a".to_string(), measured(row).to_string())]
        );
        assert_eq!(worst[0].truth, (2 * row).to_string());
    }
}
