//! Where the rows of a table were read, which may be of up to three files, once some of them are left out.

use super::{columns::is_missing, text::Records};
use crate::source::Request;

/// Where rows with a target were read. Nothing is held of rows that are all there.
pub(super) struct Origins {
    /// Places of the rows with a target among all; absent if all have one.
    kept: Option<Vec<usize>>,
    /// Where the rows of each file end, among all.
    ends: Vec<usize>,
    /// Numbers of all rows in their files, from 1, where not all of these are here.
    numbers: Option<Vec<u64>>,
}

/// Where a row was read.
struct InFile {
    /// Of the data, the validation and the test rows.
    file: usize,
    /// Its number there, from 1.
    number: u64,
}

impl Origins {
    /// Before rows without a target are left out.
    pub(super) fn of(records: &Records, ends: &[usize], target: usize) -> Origins {
        let has_target = |row: &usize| !is_missing(&records.rows[*row].cells[target]);
        let rows = records.rows.len();
        let is_whole = (0..rows).all(|row| has_target(&row));
        Origins {
            kept: (!is_whole).then(|| (0..rows).filter(has_target).collect()),
            ends: ends.to_vec(),
            numbers: records.numbers.clone(),
        }
    }

    /// Numbers of the kept rows, each in its own file; `None` if they are those that all rows have.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        let kept = match (&self.kept, &self.numbers) {
            (None, None) => return None,
            (Some(kept), _) => kept.len(),
            (None, Some(numbers)) => numbers.len(),
        };
        let name = |row| self.in_file(row).number.to_string();
        Some((0..kept).map(name).collect())
    }

    /// What a user finds a kept row by.
    pub(super) fn called(&self, row: usize, request: &Request) -> String {
        let InFile { file, number } = self.in_file(row);
        let other = match file {
            1 => request.validation.as_ref(),
            2 => request.test.as_ref(),
            _ => None,
        };
        match other {
            None => format!("row {number}"),
            Some(path) => format!("row {number} of {}", path.display()),
        }
    }

    fn in_file(&self, row: usize) -> InFile {
        let row = self.kept.as_ref().map_or(row, |kept| kept[row]);
        let file = self.ends.iter().filter(|end| **end <= row).count();
        let before = if file == 0 { 0 } else { self.ends[file - 1] };
        let number = match &self.numbers {
            Some(numbers) => numbers[row],
            None => (row - before + 1) as u64,
        };
        InFile { file, number }
    }
}
