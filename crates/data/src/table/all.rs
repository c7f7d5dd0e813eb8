//! All rows of a table in their order, whatever its size: held at once if it is small, otherwise part
//! after part.

use std::path::Path;

use super::{
    Reading,
    flow::{self, Flow, Form, Part},
    records,
    text::{Records, Row},
};
use crate::{error::DataError, large::threads};

/// A table that is gone through once.
pub(crate) struct AllRows {
    /// What it says of itself, with its first rows or all of them.
    pub(crate) head: Records,
    /// The whole table, if the first rows are not all.
    flow: Option<(Flow, Form)>,
}

impl AllRows {
    /// Opens a table of any format.
    ///
    /// # Errors
    /// If it cannot be read, or is no table.
    pub(crate) fn open(path: &Path, reading: Reading<'_>) -> Result<AllRows, DataError> {
        if flow::is_large(path, reading.limits) {
            let (flow, form, head) = Flow::open(path, reading)?;
            let flow = Some((flow, form));
            return Ok(AllRows { head, flow });
        }
        let head = records(path, reading)?;
        Ok(AllRows { head, flow: None })
    }

    /// Shows each row with its number, from 1.
    ///
    /// # Errors
    /// The first that `see` gives, or what is wrong with a part that had not been read yet.
    pub(crate) fn each(
        self,
        see: &mut dyn FnMut(u64, &Row) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let Some((flow, form)) = self.flow else {
            return (1..)
                .zip(&self.head.rows)
                .try_for_each(|(number, row)| see(number, row));
        };
        let rows_of = |part: &Part| {
            let mut rows = Vec::new();
            form.each(part, &mut |line, row| {
                rows.push(row.to_row(line));
                Ok(())
            })?;
            Ok(rows)
        };
        let mut number = 0;
        flow.in_order(threads(), &rows_of, &mut |rows: Vec<Row>| {
            rows.iter().try_for_each(|row| {
                number += 1;
                see(number, row)
            })
        })?;
        Ok(())
    }
}
