//! Tables whose columns are the steps of a series, and how they are told from other tables.
//!
//! Neighbouring steps of a series are alike. Columns that each mean something of their own are as alike to
//! their neighbours as to any others.

use super::{Growing, single};
use crate::{
    notice::Notice,
    source::{Cells, Column, Series},
};

/// Fewer columns are a table.
const STEPS_MIN: usize = 16;

/// Rows and columns that are compared.
const ROWS_COMPARED: usize = 500;
const COLUMNS_COMPARED: usize = 512;

/// Neighbours of a series correlate at least so much,
const CORRELATION_MIN: f64 = 0.5;
/// and they differ by at most this share of what any two columns differ by.
const DIFFERENCE_SHARE_MAX: f64 = 0.5;

/// Whether these columns are the steps of a series.
///
/// # Cost
/// `O(columns · rows)`, of at most 512 columns and 500 rows.
pub(crate) fn looks_like_series(columns: &[Column]) -> bool {
    if columns.len() < STEPS_MIN {
        return false;
    }
    // One column of words is enough, also among those that are not compared.
    let numbers: Option<Vec<&Vec<f64>>> = columns
        .iter()
        .map(|column| match &column.cells {
            Cells::Numbers(values) => Some(values),
            Cells::Words(_) | Cells::Texts(_) | Cells::Times { .. } => None,
        })
        .collect();
    let Some(numbers) = numbers else {
        return false;
    };
    let compared = numbers.iter().take(COLUMNS_COMPARED);
    let standardised: Vec<Vec<f64>> = compared.map(|values| standardised(values)).collect();
    let (near, any) = correlations(&standardised);
    near >= CORRELATION_MIN && 1.0 - near <= DIFFERENCE_SHARE_MAX * (1.0 - any)
}

/// That these columns were taken for the steps of a series.
pub(crate) fn taken_for_series(columns: &[Column]) -> Notice {
    Notice::note(format!(
        "its {} columns are alike as the steps of a series are, and are read as one \
         (--kind table says otherwise)",
        columns.len()
    ))
}

/// Values without their mean, of length 1; what is missing is the mean.
fn standardised(values: &[f64]) -> Vec<f64> {
    let compared = &values[..values.len().min(ROWS_COMPARED)];
    let present = || compared.iter().filter(|value| !value.is_nan());
    let mean = present().sum::<f64>() / present().count().max(1) as f64;
    let centred = compared
        .iter()
        .map(|value| if value.is_nan() { 0.0 } else { value - mean });
    let norm = centred
        .clone()
        .map(|value| value * value)
        .sum::<f64>()
        .sqrt();
    centred
        .map(|value| if norm > 0.0 { value / norm } else { 0.0 })
        .collect()
}

/// The mean correlation of neighbours, and that of any two.
fn correlations(columns: &[Vec<f64>]) -> (f64, f64) {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let near: f64 = columns
        .windows(2)
        .map(|pair| product(&pair[0], &pair[1]))
        .sum();
    let count = columns.len() as f64;
    // The sum over all pairs is what the sum of all columns has beside their own lengths.
    let mut total = vec![0.0; columns[0].len()];
    for column in columns {
        total
            .iter_mut()
            .zip(column)
            .for_each(|(sum, value)| *sum += value);
    }
    let own: f64 = columns.iter().map(|column| product(column, column)).sum();
    let any = (product(&total, &total) - own) / (count * (count - 1.0));
    (near / (count - 1.0), any)
}

/// The rows of these columns as series of one channel; a row ends where nothing but missing follows.
///
/// Columns of words and dates count as missing.
pub(crate) fn series_of(columns: &[Column], rows: usize) -> Series {
    let mut series = Growing::new(1);
    for row in 0..rows {
        let value = |column: &Column| match &column.cells {
            Cells::Numbers(values) => single(values[row]),
            Cells::Words(_) | Cells::Texts(_) | Cells::Times { .. } => f32::NAN,
        };
        let mut steps: Vec<f32> = columns.iter().map(value).collect();
        let end = steps
            .iter()
            .rposition(|value| !value.is_nan())
            .map_or(1, |last| last + 1);
        steps.truncate(end);
        series.push(&[steps]);
    }
    Series {
        columns: columns.iter().map(|column| column.name.clone()).collect(),
        ..series.finish()
    }
}

/// All numbers of these columns.
pub(crate) fn numbers(columns: &[Column]) -> impl Iterator<Item = f64> {
    columns.iter().flat_map(|column| {
        let numbers: &[f64] = match &column.cells {
            Cells::Numbers(values) => values,
            Cells::Words(_) | Cells::Texts(_) | Cells::Times { .. } => &[],
        };
        numbers.iter().copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(count: usize, value: impl Fn(usize, usize) -> f64) -> Vec<Column> {
        let column = |column: usize| Column {
            name: format!("x{column}"),
            cells: Cells::Numbers((0..60).map(|row| value(row, column)).collect()),
        };
        (0..count).map(column).collect()
    }

    /// A number between 0 and 1 that looks random.
    fn noise(row: usize, column: usize) -> f64 {
        let digest = blake3::hash(format!("{row} {column}").as_bytes());
        let first = digest.as_bytes()[..4]
            .try_into()
            .expect("a digest has 32 bytes");
        f64::from(u32::from_le_bytes(first)) / f64::from(u32::MAX)
    }

    #[test]
    fn smooth_rows_are_series_and_unrelated_columns_are_not() {
        let wave = |row: usize, column: usize| {
            (column as f64 * 0.2 + noise(row, 0) * 6.0).sin() + 0.1 * noise(row, column)
        };
        assert!(looks_like_series(&columns(40, wave)));
        assert!(!looks_like_series(&columns(40, noise)));
        assert!(!looks_like_series(&columns(8, wave)));
        let mut with_words = columns(COLUMNS_COMPARED + 20, wave);
        assert!(looks_like_series(&with_words));
        let last = with_words.last_mut().unwrap();
        last.cells = Cells::Words(vec![Some("word".to_string()); 60]);
        assert!(!looks_like_series(&with_words));
    }

    #[test]
    fn columns_that_all_say_the_same_are_a_table() {
        let same = |row: usize, column: usize| noise(row, 0) + 0.3 * noise(row, column + 1);
        assert!(!looks_like_series(&columns(40, same)));
    }

    #[test]
    fn the_sum_over_pairs_is_that_of_every_pair() {
        let columns: Vec<Vec<f64>> = (0..5)
            .map(|column| standardised(&(0..9).map(|row| noise(row, column)).collect::<Vec<f64>>()))
            .collect();
        let mut sum = 0.0;
        for (a, first) in columns.iter().enumerate() {
            for (b, second) in columns.iter().enumerate() {
                if a != b {
                    sum += first.iter().zip(second).map(|(x, y)| x * y).sum::<f64>();
                }
            }
        }
        assert!((correlations(&columns).1 - sum / 20.0).abs() < 1e-12);
    }

    #[test]
    fn a_row_ends_with_its_last_value() {
        let value = |row: usize, column: usize| match (row, column) {
            (0, 2..) | (1, 1) => f64::NAN,
            _ => 1.0,
        };
        let series = series_of(&columns(4, value), 60);
        assert_eq!(series.lengths[..3], [2, 4, 4]);
        assert!(series.each().nth(1).unwrap()[1].is_nan());
    }

    #[test]
    fn what_is_too_large_for_a_network_is_missing_and_said() {
        let columns = columns(4, |row, column| match (row, column) {
            (7, 2) => 1e39,
            _ => 1.0,
        });
        let series = series_of(&columns, 60);
        assert!(series.each().nth(7).unwrap()[2].is_nan());
        assert!(series.values.iter().all(|value| !value.is_infinite()));
        let said = crate::series::too_large(numbers(&columns))
            .unwrap()
            .to_string();
        assert!(said.contains("1 value(s) of series are too large for a network (as 1e39)"));
    }
}
