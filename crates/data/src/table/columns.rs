//! From words to typed columns: what is a number, what is a category, what says nothing.

use std::collections::BTreeSet;

use super::text::Decimal;
use crate::{
    notice::Notice,
    source::{Cells, Column},
};

/// What people write where they have no value.
const MISSING: [&str; 12] = [
    "", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None",
];

/// A column is numeric if at most this share of its cells is neither number nor missing.
const STRAY_WORDS_SHARE: f64 = 0.1;

/// A column of words is an identifier if more than this share of its cells are different.
const IDENTIFIER_SHARE: f64 = 0.95;

/// No column of fewer rows is called an identifier.
const IDENTIFIER_ROWS_MIN: usize = 30;

/// Cells of a text hold at least so many words in the mean,
const TEXT_WORDS_MIN: f64 = 3.0;
/// and at least this share of them are different.
const TEXT_DIFFERENT_SHARE: f64 = 0.3;

/// Whether a cell says that there is no value.
pub(crate) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell)
}

/// A number as people write it; infinities are no values that anything can be learned from.
pub(crate) fn number(cell: &str, decimal: Decimal) -> Option<f64> {
    let value = match decimal {
        Decimal::Point => cell.parse::<f64>().ok(),
        Decimal::Comma => cell.replace('.', "").replace(',', ".").parse::<f64>().ok(),
    };
    value.filter(|value| value.is_finite())
}

/// The cells of a column, typed; what was odd about them is said.
pub(crate) fn typed(
    name: &str,
    cells: &[&str],
    decimal: Decimal,
    notices: &mut Vec<Notice>,
) -> Cells {
    let present: Vec<&str> = cells
        .iter()
        .copied()
        .filter(|cell| !is_missing(cell))
        .collect();
    let strays: Vec<&str> = present
        .iter()
        .copied()
        .filter(|cell| number(cell, decimal).is_none())
        .collect();
    let infinite = |cell: &str| cell.parse::<f64>().is_ok_and(f64::is_infinite);
    let words = strays.iter().filter(|cell| !infinite(cell)).count();
    let numeric = words as f64 <= STRAY_WORDS_SHARE * present.len() as f64 && !present.is_empty();
    if !numeric {
        return Cells::words(cells);
    }
    if let Some(example) = strays.first() {
        notices.push(Notice::warning(format!(
            "column `{name}`: {} cell(s) are no usable numbers (as `{example}`) and count as missing",
            strays.len()
        )));
    }
    Cells::Numbers(
        cells
            .iter()
            .map(|cell| number(cell, decimal).unwrap_or(f64::NAN))
            .collect(),
    )
}

impl Cells {
    /// Words, or `None` where there is no value.
    pub(crate) fn words(cells: &[&str]) -> Cells {
        let word = |cell: &&str| (!is_missing(cell)).then(|| (*cell).to_string());
        Cells::Words(cells.iter().map(word).collect())
    }
}

/// Whether these cells are sentences rather than categories.
pub(crate) fn is_free_text(cells: &Cells) -> bool {
    let Cells::Words(words) = cells else {
        return false;
    };
    let present: Vec<&String> = words.iter().flatten().collect();
    let different: BTreeSet<&String> = present.iter().copied().collect();
    words_per_cell(cells) >= TEXT_WORDS_MIN
        && different.len() as f64 >= TEXT_DIFFERENT_SHARE * present.len() as f64
}

/// How many words the cells hold in the mean; none if they are numbers.
pub(crate) fn words_per_cell(cells: &Cells) -> f64 {
    let Cells::Words(words) = cells else {
        return 0.0;
    };
    let counts = words
        .iter()
        .flatten()
        .map(|cell| cell.split_whitespace().count());
    let present = words.iter().flatten().count().max(1);
    counts.sum::<usize>() as f64 / present as f64
}

/// Leaves out columns that say nothing: constant, empty, or different in every row.
pub(crate) fn without_useless(columns: Vec<Column>, notices: &mut Vec<Notice>) -> Vec<Column> {
    columns
        .into_iter()
        .filter(|column| match useless(&column.cells) {
            Some(why) => {
                let name = &column.name;
                notices.push(Notice::note(format!("column `{name}` is left out: {why}")));
                false
            }
            None => true,
        })
        .collect()
}

fn useless(cells: &Cells) -> Option<&'static str> {
    match cells {
        Cells::Numbers(values) => {
            let mut present = values.iter().copied().filter(|value| !value.is_nan());
            let Some(first) = present.next() else {
                return Some("every cell is missing");
            };
            if present.all(|value| value == first) && !values.iter().any(|value| value.is_nan()) {
                return Some("every cell has the same value");
            }
            let counts_up = values.len() >= IDENTIFIER_ROWS_MIN
                && values.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
            counts_up.then_some("it counts the rows")
        }
        Cells::Words(words) => {
            let present: Vec<&String> = words.iter().flatten().collect();
            let different: BTreeSet<&String> = present.iter().copied().collect();
            if present.is_empty() {
                return Some("every cell is missing");
            }
            if different.len() == 1 && present.len() == words.len() {
                return Some("every cell has the same value");
            }
            let unique = different.len() as f64 > IDENTIFIER_SHARE * present.len() as f64;
            (unique && words.len() >= IDENTIFIER_ROWS_MIN && !is_free_text(cells))
                .then_some("nearly every row has another word, as an identifier")
        }
    }
}
