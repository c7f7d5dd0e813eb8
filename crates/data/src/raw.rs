//! Cells and arrays of a file as they stand there, for a reader who knows what they mean.
//!
//! Nothing is taken for a target, no type is guessed, no row is judged; limits and damage are
//! treated as everywhere.

use std::path::Path;

use crate::{
    error::DataError,
    limits::ReadLimits,
    npy::{Saved, read_npz},
    table::{self, Reading, header::HeaderLine},
};

/// Cells of a table, as text.
#[derive(Clone, Debug, PartialEq)]
pub struct RawTable {
    /// Names of the columns; no two are equal.
    pub header: Vec<String>,
    /// A cell for each column; a missing one is empty.
    pub rows: Vec<Vec<String>>,
}

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct RawArray {
    /// Its name in the file.
    pub name: String,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its values, the last extent running fastest.
    pub values: Vec<f64>,
}

/// Reads a CSV or Parquet file.
///
/// # Errors
/// If it cannot be read, breaks a rule of its format or a limit, or its rows are not all of one length.
pub fn read_table(path: &Path, limits: &ReadLimits) -> Result<RawTable, DataError> {
    let reading = Reading {
        header: HeaderLine::Present,
        ..Reading::whole(limits)
    };
    let records = table::records(path, reading)?;
    Ok(RawTable {
        header: records.header,
        rows: records.rows.into_iter().map(|row| row.cells).collect(),
    })
}

/// Reads the arrays of numbers of an NPZ file; arrays of text are left out.
///
/// # Errors
/// If it cannot be read, or breaks a rule of its format or a limit.
pub fn read_arrays(path: &Path, limits: &ReadLimits) -> Result<Vec<RawArray>, DataError> {
    let arrays = read_npz(path, limits)?.into_iter();
    let raw = arrays.filter_map(|(name, saved)| match saved {
        Saved::Numbers(array) => Some(RawArray {
            name,
            values: array.values.to_floats(),
            shape: array.shape,
        }),
        Saved::Words(_) => None,
    });
    Ok(raw.collect())
}
