//! Tables: from bytes to typed columns.

pub(crate) mod all;
mod arff;
pub(crate) mod arrow;
pub(crate) mod chosen;
pub(crate) mod columns;
mod dataset;
pub(crate) mod dialect;
pub(crate) mod encoding;
pub(crate) mod flow;
mod guarded;
pub(crate) mod header;
mod held;
pub(crate) mod json;
pub(crate) mod kinds;
mod listed;
mod origins;
pub(crate) mod parquet;
pub(crate) mod parts;
pub(crate) mod read;
pub(crate) mod rest;
pub(crate) mod text;
pub(crate) mod writing;

use std::path::Path;

use crate::{
    error::DataError,
    limits::ReadLimits,
    read::{first_bytes, format_of},
};
use dialect::Dialect;
use header::HeaderLine;
use text::{Ragged, Records};

/// How a table is read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) limits: &'a ReadLimits,
    pub(crate) ragged: Ragged,
    pub(crate) header: HeaderLine,
    pub(crate) dialect: Dialect,
    pub(crate) taken: Taken<'a>,
}

impl<'a> Reading<'a> {
    /// All columns of a file that may have no odd row; what it looks like decides.
    pub(crate) fn whole(limits: &'a ReadLimits) -> Reading<'a> {
        Reading {
            limits,
            ragged: Ragged::Refuse,
            header: HeaderLine::Guess,
            dialect: Dialect::default(),
            taken: Taken::All,
        }
    }
}

/// The columns whose cells are wanted. What stands in the others is never wrong; it may be read as empty cells.
#[derive(Clone, Copy)]
pub(crate) enum Taken<'a> {
    All,
    /// All but these.
    Without(&'a [String]),
    /// Those for which it says so.
    Only(&'a dyn Fn(&str) -> bool),
}

impl Taken<'_> {
    pub(crate) fn is_taken(&self, column: &str) -> bool {
        match self {
            Taken::All => true,
            Taken::Without(names) => !names.iter().any(|name| name == column),
            Taken::Only(names) => names(column),
        }
    }

    /// The columns that are not taken, as far as they can be named; others may follow.
    pub(crate) fn passed_over(&self, header: &[String]) -> Vec<String> {
        match self {
            Taken::Without(names) => names.to_vec(),
            Taken::All | Taken::Only(_) => {
                let others = header.iter().filter(|name| !self.is_taken(name));
                others.cloned().collect()
            }
        }
    }
}

/// Which of a file's columns are read, where a format reads columns one by one.
struct Projection {
    width: usize,
    /// Places of those that are, ascending.
    places: Vec<usize>,
}

impl Projection {
    fn of(header: &[String], taken: Taken<'_>) -> Projection {
        let places = (0..header.len()).filter(|place| taken.is_taken(&header[*place]));
        Projection {
            width: header.len(),
            places: places.collect(),
        }
    }

    fn is_whole(&self) -> bool {
        self.places.len() == self.width
    }

    /// A row of all columns, with empty cells where none were read.
    fn row(&self, read: impl Iterator<Item = String>) -> Vec<String> {
        if self.is_whole() {
            return read.collect();
        }
        let mut row = vec![String::new(); self.width];
        for (place, cell) in self.places.iter().zip(read) {
            row[*place] = cell;
        }
        row
    }
}

/// Why a column that is taken is refused.
fn nested(column: &str) -> String {
    format!(
        "column `{column}` holds lists or records: only plain columns are read (--ignore {column} leaves it out)"
    )
}

/// Reads a table of any format, which is found out by looking, as a whole.
pub(crate) fn records(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    // What cannot be read at all is said by the reader of text.
    let start = first_bytes(path).unwrap_or_default();
    if start.starts_with(parquet::MAGIC) {
        return parquet::read(path, reading);
    }
    if arrow::is_arrow(&start) {
        return arrow::read(path, reading);
    }
    match format_of(path) {
        "arff" => arff::read(path, reading),
        "json" | "jsonl" | "ndjson" => json::read(path, reading),
        _ => text::read(path, reading),
    }
}

/// Whether a table is of a format that has a point in its fractions, whatever is said of it.
fn always_has_points(path: &Path) -> bool {
    let start = first_bytes(path).unwrap_or_default();
    start.starts_with(parquet::MAGIC)
        || arrow::is_arrow(&start)
        || ["arff", "json", "jsonl", "ndjson"].contains(&format_of(path))
}
