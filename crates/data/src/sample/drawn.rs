//! Rows that nobody has: ordinary cells, and what files also hold, which is cells without a value, wild ones,
//! and words that were never seen.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    fitted::{
        CLIP, FittedColumn, FittedImage, FittedInputs, FittedKind, FittedSeries, FittedText,
        Scaling, TextUnit,
    },
    images::item_bytes,
    source::{Cells, Column, Dataset, Images, RawTargets, Series, Table, Texts},
    table::columns::is_missing,
};

/// A word that no file holds.
const UNSEEN: &str = "a word that was never seen";

/// A character that no file holds.
const UNSEEN_CHARACTER: &str = "\u{10fffd}";

/// Words of a drawn text beside other columns, at most.
const BAG_WORDS: usize = 20;

/// Of so many drawn rows one has an odd cell: no value, and the next time a wild one or a word never seen.
const ODD_EVERY: usize = 5;

/// Rows of the kind that preprocessing takes.
pub(super) fn dataset(inputs: &FittedInputs, rows: usize, rng: &mut ChaCha8Rng) -> Dataset {
    match inputs {
        FittedInputs::Columns(columns) => Dataset::Table(Table {
            columns: drawn_columns(columns, rows, rng),
            targets: RawTargets::Unknown(rows),
        }),
        FittedInputs::Image(image) => Dataset::Images(drawn_images(image, rows, rng)),
        FittedInputs::Series(series) => Dataset::Series(drawn_series(series, rows, rng)),
        FittedInputs::Text(text) => Dataset::Texts(drawn_texts(text, rows, rng)),
    }
}

/// Columns with an odd cell here and there, at most one in a row: many at once are no row that anybody has.
fn drawn_columns(columns: &[FittedColumn], rows: usize, rng: &mut ChaCha8Rng) -> Vec<Column> {
    let odd: Vec<usize> = (0..rows)
        .map(|_| rng.random_range(0..columns.len().max(1)))
        .collect();
    let is_odd = |row: usize, place: usize| row.is_multiple_of(ODD_EVERY) && odd[row] == place;
    let column = |(place, column): (usize, &FittedColumn)| {
        let cells = match &column.kind {
            FittedKind::Numeric { scaling, .. } => {
                let number = |row: usize| match (is_odd(row, place), row / ODD_EVERY % 2) {
                    (true, 0) => f64::NAN,
                    (true, _) => rounded(far_value(scaling)),
                    _ => rounded(scaling.raw(rng.random_range(-2.0..2.0)).0),
                };
                Cells::Numbers((0..rows).map(number).collect())
            }
            FittedKind::Time(time) => {
                let second = |row: usize| match (is_odd(row, place), row / ODD_EVERY % 2) {
                    (true, 0) => f64::NAN,
                    (true, _) => (time.shift + 100.0 * CLIP * time.scale).round(),
                    _ => (time.shift + time.scale * rng.random_range(-2.0..2.0)).round(),
                };
                Cells::Times {
                    seconds: (0..rows).map(second).collect(),
                    format: time.format.clone(),
                }
            }
            FittedKind::Text { forms, .. } => {
                let forms: Vec<&String> = forms.keys().collect();
                let text = |row: usize| match (is_odd(row, place), row / ODD_EVERY % 2) {
                    (true, 0) => None,
                    _ => Some(drawn_text(TextUnit::Word, &forms, BAG_WORDS, rng)),
                };
                Cells::Words((0..rows).map(text).collect())
            }
            FittedKind::Category { levels, .. } => {
                let word = |row: usize| match (is_odd(row, place), row / ODD_EVERY % 2) {
                    (true, 0) => None,
                    (true, _) => Some(UNSEEN.to_string()),
                    _ if levels.is_empty() => None,
                    _ => Some(levels[rng.random_range(0..levels.len())].clone()),
                };
                Cells::Words((0..rows).map(word).collect())
            }
        };
        Column {
            name: column.name.clone(),
            cells,
        }
    };
    columns.iter().enumerate().map(column).collect()
}

/// A number so far out that it is clipped.
fn far_value(scaling: &Scaling) -> f64 {
    match scaling {
        Scaling::Deviation { shift, scale } => shift + 100.0 * CLIP * scale,
        Scaling::Quantiles { knots } => {
            let (end, unit) = knots.raw(CLIP);
            end + 100.0 * CLIP * unit
        }
    }
}

/// The nearest number of `f32`; what `f32` cannot hold stays.
fn rounded(number: f64) -> f64 {
    match f64::from(number as f32) {
        rounded if rounded.is_finite() => rounded,
        _ => number,
    }
}

fn drawn_images(image: &FittedImage, rows: usize, rng: &mut ChaCha8Rng) -> Images {
    let (height, width, channels) = (image.height, image.width, image.channels);
    let count = rows * item_bytes((height, width, channels));
    Images {
        height,
        width,
        channels,
        bytes: (0..count).map(|_| rng.random()).collect(),
        targets: RawTargets::Unknown(rows),
    }
}

/// Series of any length, with a value missing or wild here and there.
fn drawn_series(fitted: &FittedSeries, rows: usize, rng: &mut ChaCha8Rng) -> Series {
    let lengths: Vec<u32> = (0..rows)
        .map(|_| rng.random_range(1..=fitted.length))
        .collect();
    let steps: usize = lengths.iter().map(|length| *length as usize).sum();
    let mut values = Vec::with_capacity(steps * fitted.channels as usize);
    for _ in 0..steps {
        for (shift, scale) in fitted.shift.iter().zip(&fitted.scale) {
            values.push(match rng.random_range(0..20) {
                0 => f32::NAN,
                1 => shift + 100.0 * scale,
                _ => shift + scale * rng.random_range(-2.0..2.0),
            });
        }
    }
    Series {
        columns: fitted.columns.clone(),
        steps: None,
        channels: fitted.channels,
        lengths,
        values,
        targets: RawTargets::Unknown(rows),
    }
}

fn drawn_texts(fitted: &FittedText, rows: usize, rng: &mut ChaCha8Rng) -> Texts {
    // No file holds the character that stands for the end of a text.
    let is_there = |known: &(&String, &u16)| *known.1 != FittedText::NOTHING;
    let forms: Vec<&String> = fitted
        .forms
        .iter()
        .filter(is_there)
        .map(|known| known.0)
        .collect();
    let most = fitted.length as usize + 3;
    Texts {
        name: fitted.name.clone(),
        unit: fitted.unit,
        texts: (0..rows)
            .map(|_| drawn_text(fitted.unit, &forms, most, rng))
            .collect(),
        targets: RawTargets::Unknown(rows),
    }
}

/// Up to so many known words or characters, and unknown ones between them.
fn drawn_text(unit: TextUnit, forms: &[&String], most: usize, rng: &mut ChaCha8Rng) -> String {
    let (between, unseen) = match unit {
        TextUnit::Word => (" ", UNSEEN),
        TextUnit::Character => ("", UNSEEN_CHARACTER),
    };
    let pieces = (0..rng.random_range(0..=most)).map(|_| match rng.random_range(0..5) {
        0 => unseen,
        _ if forms.is_empty() => unseen,
        _ => forms[rng.random_range(0..forms.len())].as_str(),
    });
    let text = pieces.collect::<Vec<&str>>().join(between);
    // No file holds these as a text: a reader takes them for missing.
    if is_missing(&text) {
        String::new()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::preprocess::Preprocessor;

    #[test]
    fn drawn_rows_have_gaps_wild_values_and_words_never_seen() {
        let text = r#"{"format": 1, "inputs": {"columns": [
            {"name": "n", "kind": "numeric", "fill": 0, "missing_indicator": "absent",
             "shift": 1e12, "scale": 2.5},
            {"name": "w", "kind": "category", "levels": ["x", "y"], "missing_indicator": "present"}]},
            "task": {"kind": "regression", "target": "t", "mean": 0, "scale": 1}}"#;
        let preprocessor: Preprocessor = serde_json::from_str(text).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let Dataset::Table(drawn) = dataset(preprocessor.inputs(), 100, &mut rng) else {
            unreachable!()
        };
        let (Cells::Numbers(numbers), Cells::Words(words)) =
            (&drawn.columns[0].cells, &drawn.columns[1].cells)
        else {
            unreachable!()
        };
        assert!(numbers.iter().any(|number| number.is_nan()));
        assert!(
            numbers
                .iter()
                .all(|number| number.is_nan() || f64::from(*number as f32) == *number)
        );
        assert!(words.contains(&None) && words.contains(&Some(UNSEEN.to_string())));
    }
}
