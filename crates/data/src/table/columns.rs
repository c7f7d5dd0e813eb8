//! From words to typed columns: what is a number, what is a category, what says nothing.

use std::collections::BTreeSet;

use super::text::Decimal;
use crate::{
    notice::Notice,
    oddities::{LeftOut, Oddities, Strays, Useless},
    roles::ambiguous,
    source::{Cells, Column},
    times::TimeFormat,
};

/// What people write where they have no value.
const MISSING: [&str; 12] = [
    "", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None",
];

/// A column is numeric if at most this share of its cells is neither number nor missing.
const STRAY_WORDS_SHARE: f64 = 0.1;

/// A column is one of numbers if at least this share of its cells with a value are.
pub(super) const NUMBERS_SHARE: f64 = 1.0 - STRAY_WORDS_SHARE;

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
        Decimal::Comma => with_point(cell)?.parse::<f64>().ok(),
    };
    value.filter(|value| value.is_finite())
}

/// A number with a comma as one with a point; points in it may only set thousands apart.
fn with_point(cell: &str) -> Option<String> {
    let (whole, fraction) = cell.split_at(cell.find(',').unwrap_or(cell.len()));
    let are_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = whole.trim_start_matches(['+', '-']).split('.');
    let first = groups.next().unwrap_or_default();
    let is_grouped = (1..=3).contains(&first.len())
        && are_digits(first)
        && groups.all(|group| group.len() == 3 && are_digits(group));
    let is_number = is_grouped || !whole.contains('.');
    is_number.then(|| whole.replace('.', "") + &fraction.replacen(',', ".", 1))
}

/// The cells of a column, typed; what was odd about them is noted.
pub(crate) fn typed(
    name: &str,
    cells: &[&str],
    decimal: Decimal,
    notices: &mut Vec<Notice>,
    oddities: &mut Oddities,
) -> Cells {
    let present: Vec<&str> = cells
        .iter()
        .copied()
        .filter(|cell| !is_missing(cell))
        .collect();
    let strays = |is_usable: &dyn Fn(&str) -> bool| -> Vec<&str> {
        present
            .iter()
            .copied()
            .filter(|cell| !is_usable(cell))
            .collect()
    };
    let mut note = |strays: &[&str], wanted: String| {
        oddities.strays.extend(strays.first().map(|example| Strays {
            column: name.to_string(),
            count: strays.len(),
            example: (*example).to_string(),
            wanted,
        }));
    };
    let others = strays(&|cell| number(cell, decimal).is_some());
    let infinite = |cell: &str| cell.parse::<f64>().is_ok_and(f64::is_infinite);
    let words = others.iter().filter(|cell| !infinite(cell)).count();
    if words as f64 <= STRAY_WORDS_SHARE * present.len() as f64 && !present.is_empty() {
        note(&others, "usable numbers".to_string());
        let value = |cell: &&str| number(cell, decimal).unwrap_or(f64::NAN);
        return Cells::Numbers(cells.iter().map(value).collect());
    }
    if let Some(sniffed) = TimeFormat::sniff(&present) {
        let format = sniffed.format;
        note(
            &strays(&|cell| format.seconds(cell).is_some()),
            format!("dates like {format}"),
        );
        notices.extend(sniffed.rival.map(|rival| ambiguous(name, &format, &rival)));
        let second = |cell: &&str| format.seconds(cell).unwrap_or(f64::NAN);
        return Cells::Times {
            seconds: cells.iter().map(second).collect(),
            format,
        };
    }
    Cells::words(cells)
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
pub(crate) fn without_useless(columns: Vec<Column>, oddities: &mut Oddities) -> Vec<Column> {
    columns
        .into_iter()
        .filter_map(|column| match useless(&column.cells) {
            Some(why) => {
                let name = column.name;
                oddities.left_out.push(LeftOut { name, why });
                None
            }
            None => Some(column),
        })
        .collect()
}

fn useless(cells: &Cells) -> Option<Useless> {
    match cells {
        Cells::Numbers(values) => {
            let counts_up = values.len() >= IDENTIFIER_ROWS_MIN
                && values.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
            useless_numbers(values).or(counts_up.then_some(Useless::CountsRows))
        }
        Cells::Times { seconds, .. } => useless_numbers(seconds),
        Cells::Words(words) => {
            let present: Vec<&String> = words.iter().flatten().collect();
            let different: BTreeSet<&String> = present.iter().copied().collect();
            if present.is_empty() {
                return Some(Useless::Missing);
            }
            if different.len() == 1 && present.len() == words.len() {
                return Some(Useless::Constant);
            }
            let unique = different.len() as f64 > IDENTIFIER_SHARE * present.len() as f64;
            (unique && words.len() >= IDENTIFIER_ROWS_MIN && !is_free_text(cells))
                .then_some(Useless::Identifier)
        }
    }
}

fn useless_numbers(values: &[f64]) -> Option<Useless> {
    let mut present = values.iter().copied().filter(|value| !value.is_nan());
    let Some(first) = present.next() else {
        return Some(Useless::Missing);
    };
    let is_constant =
        present.all(|value| value == first) && !values.iter().any(|value| value.is_nan());
    is_constant.then_some(Useless::Constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_a_decimal_comma_points_set_thousands_apart_and_nothing_else() {
        let read = |cell: &str| number(cell, Decimal::Comma);
        for (cell, value) in [
            ("3", 3.0),
            ("-3,5", -3.5),
            (",5", 0.5),
            ("1e3", 1000.0),
            ("1.234", 1234.0),
            ("+12.345.678,9", 12_345_678.9),
        ] {
            assert_eq!(read(cell), Some(value), "{cell}");
        }
        for cell in [
            "01.02.2024",
            "2.5",
            "1.5e3",
            "1234.567",
            "192.168.1.1",
            "1,2,3",
            "1,234.5",
            ".123",
        ] {
            assert_eq!(read(cell), None, "{cell}");
        }
    }

    #[test]
    fn dates_with_points_are_dates_beside_a_decimal_comma() {
        let cells = ["01.02.2024", "15.02.2024", "01.03.2024"];
        let (mut notices, mut oddities) = (Vec::new(), Oddities::default());
        let typed = typed("Datum", &cells, Decimal::Comma, &mut notices, &mut oddities);
        let Cells::Times { seconds, .. } = typed else {
            panic!("{typed:?}");
        };
        assert!(seconds.is_sorted(), "{seconds:?}");
    }
}
