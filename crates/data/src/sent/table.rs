//! Rows of a table as JSON: objects of values by column.
//!
//! A value means what the same word means in a file: `"3"` is the number 3 in a column of numbers, and 3 is
//! the word `3` in a column of words.

use std::collections::{BTreeMap, BTreeSet};

use super::{Separated, given::Given};
use crate::{
    fitted::{FittedColumn, FittedKind},
    notice::Notice,
    rows::{CellKind, ReadRows, kind_of, stray_notice},
    source::{Cells, Column, Dataset, RawTargets, Table},
    table::{
        columns::{is_missing, number},
        dialect::Decimal,
    },
};

/// How many names a message lists before it stops.
const NAMES_LISTED: usize = 10;

/// Up to here every whole number is a number of its own in 64 bits.
const EXACT_MAX: u128 = 1 << 53;

pub(super) fn rows(columns: &[FittedColumn], rows: &[Given<'_>]) -> ReadRows {
    let names = columns.iter().zip(0..).map(|(c, i)| (c.name.as_str(), i));
    let mut reading = Reading {
        columns,
        places: names.collect(),
        levels: BTreeMap::new(),
        unknown: BTreeMap::new(),
        strays: BTreeMap::new(),
    };
    let separated = Separated::of(rows.iter().map(|given| reading.row(given)));
    let mut read = separated.read(|rows| Dataset::Table(columns_of(columns, rows)));
    read.notices = reading.notices();
    read
}

/// A cell of the kind of its column.
#[derive(Clone)]
enum Cell {
    Number(f64),
    Word(Option<String>),
    /// Seconds since 1970, UTC.
    Time(f64),
}

/// From rows of cells to columns.
fn columns_of(fitted: &[FittedColumn], rows: Vec<Vec<Cell>>) -> Table {
    let count = rows.len();
    let mut columns: Vec<Column> = fitted
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            cells: match kind_of(column) {
                CellKind::Numbers => Cells::Numbers(Vec::with_capacity(count)),
                CellKind::Words => Cells::Words(Vec::with_capacity(count)),
                CellKind::Times(format) => Cells::Times {
                    seconds: Vec::with_capacity(count),
                    format: format.clone(),
                },
            },
        })
        .collect();
    for row in rows {
        for (cell, column) in row.into_iter().zip(&mut columns) {
            match (cell, &mut column.cells) {
                (Cell::Number(value), Cells::Numbers(cells)) => cells.push(value),
                (Cell::Word(word), Cells::Words(cells)) => cells.push(word),
                (Cell::Time(time), Cells::Times { seconds, .. }) => seconds.push(time),
                _ => unreachable!("a cell was made for its column's kind"),
            }
        }
    }
    Table {
        columns,
        targets: RawTargets::Unknown(count),
    }
}

/// Rows of a table on their way in, with what is odd about them.
struct Reading<'a> {
    columns: &'a [FittedColumn],
    places: BTreeMap<&'a str, usize>,
    /// By column, made when a number first stands in one of words.
    levels: BTreeMap<&'a str, Levels<'a>>,
    /// Names that are no columns, and in how many rows.
    unknown: BTreeMap<String, usize>,
    /// Words in columns of numbers or dates that are none: by column, how many, and the first of them.
    strays: BTreeMap<&'a str, (usize, String)>,
}

impl<'a> Reading<'a> {
    fn row(&mut self, given: &Given<'_>) -> Result<Vec<Cell>, String> {
        let Given::Fields(fields) = given else {
            return Err(format!(
                "it is {}, where an object of values by column is needed",
                given.kind()
            ));
        };
        let mut found: Vec<Option<&Given<'_>>> = vec![None; self.columns.len()];
        let mut unknown = Vec::new();
        for (order, (name, value)) in fields.iter().enumerate() {
            match self.place(order, name) {
                None => unknown.push(name),
                Some(place) if found[place].is_some() => {
                    return Err(format!("`{name}` is given twice"));
                }
                Some(place) => found[place] = Some(value),
            }
        }
        if unknown.len() == fields.len() {
            return Err(self.no_column());
        }
        for name in unknown {
            *self.unknown.entry(name.to_string()).or_default() += 1;
        }
        let columns = self.columns;
        let cells = columns.iter().zip(found);
        cells
            .map(|(column, value)| self.cell(column, value.unwrap_or(&Given::Missing)))
            .collect()
    }

    /// Which column a name is; most rows have them in the model's order.
    fn place(&self, order: usize, name: &str) -> Option<usize> {
        let next = self.columns.get(order);
        match next.is_some_and(|column| column.name == name) {
            true => Some(order),
            false => self.places.get(name).copied(),
        }
    }

    fn no_column(&self) -> String {
        let names = self.columns.iter().map(|column| column.name.as_str());
        let mut listed: Vec<&str> = names.take(NAMES_LISTED).collect();
        if self.columns.len() > NAMES_LISTED {
            listed.push("…");
        }
        format!(
            "it names no column of the model, which are {}",
            listed.join(", ")
        )
    }

    fn cell(&mut self, column: &'a FittedColumn, given: &Given<'_>) -> Result<Cell, String> {
        let wrong = |needed: &str| {
            let name = &column.name;
            Err(format!("`{name}` is {}, {needed} is needed", given.kind()))
        };
        match (kind_of(column), given) {
            (CellKind::Numbers, Given::Missing) => Ok(Cell::Number(f64::NAN)),
            (CellKind::Numbers, Given::Number(value)) => Ok(Cell::Number(*value)),
            (CellKind::Numbers, Given::Whole(value)) => Ok(Cell::Number(*value as f64)),
            (CellKind::Numbers, Given::Word(word)) => {
                Ok(Cell::Number(self.number(column, word.trim())))
            }
            (CellKind::Numbers, _) => wrong("a number or null"),
            (CellKind::Words, Given::Missing) => Ok(Cell::Word(None)),
            (CellKind::Words, Given::Word(word)) => {
                let word = word.trim();
                Ok(Cell::Word((!is_missing(word)).then(|| word.to_string())))
            }
            (CellKind::Words, Given::Number(value)) => {
                let word = self.word(column, value.to_string(), Some(*value));
                Ok(Cell::Word(Some(word)))
            }
            (CellKind::Words, Given::Whole(value)) => {
                // Beyond these two numbers may round to one.
                let exact = (value.unsigned_abs() <= EXACT_MAX).then_some(*value as f64);
                let word = self.word(column, value.to_string(), exact);
                Ok(Cell::Word(Some(word)))
            }
            (CellKind::Words, Given::Flag(value)) => {
                Ok(Cell::Word(Some(level_of_flag(levels(column), *value))))
            }
            (CellKind::Words, _) => wrong("a word or null"),
            (CellKind::Times(_), Given::Missing) => Ok(Cell::Time(f64::NAN)),
            (CellKind::Times(format), Given::Word(word)) => {
                let word = word.trim();
                let seconds = format.seconds(word);
                Ok(Cell::Time(self.or_stray(column, word, seconds)))
            }
            (CellKind::Times(_), _) => wrong("a date as it stood in the training data, or null"),
        }
    }

    /// The word for a number in a column of words: as training saw it, `3` or `3.0`.
    fn word(&mut self, column: &'a FittedColumn, written: String, value: Option<f64>) -> String {
        let known = self.levels.entry(&column.name);
        let known = known.or_insert_with(|| Levels::of(levels(column)));
        match known.words.contains(written.as_str()) {
            true => written,
            false => value
                .and_then(|value| known.of_value(value))
                .map_or(written, str::to_string),
        }
    }

    /// A word in a column of numbers, as in a file: a number, or missing.
    fn number(&mut self, column: &'a FittedColumn, word: &str) -> f64 {
        let value = number(word, Decimal::Point);
        self.or_stray(column, word, value)
    }

    /// What was read of a word; not a number, and noted, if it says something that could not be read.
    fn or_stray(&mut self, column: &'a FittedColumn, word: &str, value: Option<f64>) -> f64 {
        if value.is_none() && !is_missing(word) {
            let first = || (0, word.to_string());
            self.strays.entry(&column.name).or_insert_with(first).0 += 1;
        }
        value.unwrap_or(f64::NAN)
    }

    fn notices(self) -> Vec<Notice> {
        let unknown = self.unknown.iter().map(|(name, rows)| {
            Notice::warning(format!(
                "`{name}` is no column of the model and is ignored in {rows} row(s)"
            ))
        });
        let strays = self.strays.iter();
        let strays = strays.map(|(column, (count, example))| stray_notice(column, *count, example));
        unknown.take(NAMES_LISTED).chain(strays).collect()
    }
}

/// The words that training saw in a column of classes; none in a column of texts.
fn levels(column: &FittedColumn) -> &[String] {
    match &column.kind {
        FittedKind::Category { levels, .. } => levels,
        FittedKind::Numeric { .. } | FittedKind::Text { .. } | FittedKind::Time(_) => &[],
    }
}

/// The words that training saw in a column, to be found by themselves and by the numbers that they are.
struct Levels<'a> {
    words: BTreeSet<&'a str>,
    /// By the bits of the number; of several words that are one number, the first.
    by_value: BTreeMap<u64, &'a str>,
}

impl<'a> Levels<'a> {
    fn of(levels: &'a [String]) -> Levels<'a> {
        let mut by_value = BTreeMap::new();
        for level in levels {
            if let Ok(value) = level.parse() {
                by_value.entry(bits_of(value)).or_insert(level.as_str());
            }
        }
        Levels {
            words: levels.iter().map(String::as_str).collect(),
            by_value,
        }
    }

    fn of_value(&self, value: f64) -> Option<&'a str> {
        self.by_value.get(&bits_of(value)).copied()
    }
}

/// Equal for equal numbers: the two zeros are one.
fn bits_of(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

/// The word for true or false in a column of words: as training saw it, `true` or `True`.
fn level_of_flag(levels: &[String], value: bool) -> String {
    let written = value.to_string();
    let same = |level: &&String| level.eq_ignore_ascii_case(&written);
    let found = levels.iter().find(same).cloned();
    found.unwrap_or(written)
}
