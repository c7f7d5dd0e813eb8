//! Whether the first line of a table names its columns or is a row already.

use serde::{Deserialize, Serialize};

use super::{
    columns::{NUMBERS_SHARE, is_missing, number},
    dialect::Decimal,
    text::Row,
};

/// Rows that are looked at.
const ROWS_LOOKED_AT: usize = 1_000;

/// A column with at most so many different words is one of classes.
const WORDS_MAX: usize = 50;

/// What the user says of the first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderLine {
    /// Nothing: it is found out.
    #[default]
    Guess,
    /// It names the columns.
    Present,
    /// It is a row.
    Absent,
}

/// Names for columns that have none.
pub(crate) fn numbered(columns: usize) -> Vec<String> {
    (1..=columns)
        .map(|number| format!("column{number}"))
        .collect()
}

/// Whether a name is one of those.
pub(crate) fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix("column");
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// Whether the first of these rows looks like names of the columns.
///
/// A word above a column of numbers is a name. A number above a column of numbers is none, unless all of
/// the line counts up; nor is a word that comes again in a column of few words.
pub(crate) fn is_header(rows: &[Row]) -> bool {
    let Some((first, rest)) = rows.split_first() else {
        return true;
    };
    let rest = &rest[..rest.len().min(ROWS_LOOKED_AT)];
    if rest.is_empty() || counts_up(&first.cells) {
        return true;
    }
    let mut is_row = false;
    for (place, cell) in first.cells.iter().enumerate() {
        let column: Vec<&str> = rest
            .iter()
            .filter_map(|row| row.cells.get(place))
            .map(String::as_str)
            .filter(|cell| !is_missing(cell))
            .collect();
        let numbers = column.iter().filter(|cell| is_number(cell)).count();
        let is_numeric =
            !column.is_empty() && numbers as f64 >= NUMBERS_SHARE * column.len() as f64;
        match is_numeric {
            true if !is_number(cell) && !is_missing(cell) => return true,
            true => is_row = true,
            false => is_row |= is_one_of_few(cell, &column),
        }
    }
    !is_row
}

fn is_number(cell: &str) -> bool {
    number(cell, Decimal::Point).is_some() || number(cell, Decimal::Comma).is_some()
}

fn counts_up(cells: &[String]) -> bool {
    let whole: Option<Vec<i64>> = cells.iter().map(|cell| cell.parse().ok()).collect();
    let is_counting = |numbers: Vec<i64>| numbers.windows(2).all(|pair| pair[1] == pair[0] + 1);
    cells.len() > 2 && whole.is_some_and(is_counting)
}

fn is_one_of_few(cell: &str, column: &[&str]) -> bool {
    let mut words = column.to_vec();
    words.sort_unstable();
    words.dedup();
    words.len() <= WORDS_MAX && words.contains(&cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], is_named: bool) {
        let rows: Vec<Row> = lines
            .iter()
            .enumerate()
            .map(|(line, text)| Row {
                line: line as u64 + 1,
                cells: text.split(',').map(str::to_string).collect(),
            })
            .collect();
        assert_eq!(is_header(&rows), is_named, "{lines:?}");
    }

    #[test]
    fn a_word_above_numbers_is_a_name() {
        check(&["x,y,label", "1,2,a", "3,4,b", "5,6,a"], true);
        check(&["0.5,2", "1,2", "3,4"], false);
        check(&["0,1,2,3", "1.5,2,3,1", "0.5,3,4,1"], true);
    }

    #[test]
    fn a_word_that_comes_again_in_a_column_of_few_is_a_row() {
        check(&["ham,hello", "spam,win", "ham,good morning"], false);
        check(&["kind,words", "spam,win", "ham,good morning"], true);
    }

    #[test]
    fn one_line_alone_names_columns() {
        check(&["1,2"], true);
    }
}
