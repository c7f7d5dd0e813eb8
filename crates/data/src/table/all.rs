//! All rows of a table in their order, whatever its size: held at once if it is small, otherwise part
//! after part.

use std::path::Path;

use super::{
    Reading,
    flow::{self, Flow, Form, Part},
    records,
    text::{Records, Row},
};
use crate::{error::DataError, large::threads, notice::Notice};

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

    /// Shows each row with its number, from 1; returns what is to be said of rows that the head has not seen.
    ///
    /// # Errors
    /// The first that `see` gives, or what is wrong with a part that had not been read yet.
    pub(crate) fn each(
        self,
        see: &mut dyn FnMut(u64, &Row) -> Result<(), DataError>,
    ) -> Result<Vec<Notice>, DataError> {
        let Some((flow, form)) = self.flow else {
            let mut rows = (1..).zip(&self.head.rows);
            rows.try_for_each(|(number, row)| see(number, row))?;
            return Ok(Vec::new());
        };
        let rows_of = |part: &Part| {
            let mut rows = Vec::new();
            form.each(part, &mut |line, row| {
                rows.push(row.to_row(line));
                Ok(())
            })?;
            Ok(Shown {
                rows,
                notice: part.notice(),
            })
        };
        let (mut number, mut notices) = (0, Vec::new());
        flow.in_order(threads(), &rows_of, &mut |shown: Shown| {
            notices.extend(shown.notice);
            shown.rows.iter().try_for_each(|row| {
                number += 1;
                see(number, row)
            })
        })?;
        Ok(notices)
    }
}

/// What a part holds.
struct Shown {
    rows: Vec<Row>,
    notice: Option<Notice>,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{limits::ReadLimits, table::header::HeaderLine};

    #[test]
    fn what_is_found_behind_the_first_part_of_a_large_table_is_said_once() {
        const ROWS: usize = 4_300;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        // Three parts, of which the last two are no UTF-8.
        let row = |first: u8| [&b"1,"[..], &[first], &[b'a'; 1_000], b"\n"].concat();
        let head = b"x,word\n".to_vec();
        let text = [head, row(b'a').repeat(ROWS), row(0xe4).repeat(ROWS)].concat();
        fs::write(&path, text).unwrap();
        let limits = ReadLimits {
            held_text_bytes: 100,
            ..ReadLimits::default()
        };
        let reading = Reading {
            header: HeaderLine::Present,
            ..Reading::whole(&limits)
        };
        let table = AllRows::open(&path, reading).unwrap();
        assert!(table.head.notices.is_empty());
        let mut last = 0;
        let notices = table.each(&mut |number, _| {
            last = number;
            Ok(())
        });
        let notices = notices.unwrap();
        assert_eq!(last, 2 * ROWS as u64);
        assert_eq!(notices.len(), 1);
        let told = &notices[0].text;
        assert!(told.contains("read as Latin-1"), "{told}");
    }
}
