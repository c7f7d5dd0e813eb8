//! What rows take while they are read, where their file may be far smaller: cells that it leaves out, and long words
//! that it holds once for many rows.

use std::path::Path;

use crate::{error::DataError, limits::ReadLimits};

/// A longer cell counts by its text: no number that people measure is as long.
const LONG_CELL_BYTES: usize = 32;

/// What the rows of a table take so far.
pub(super) struct Held {
    /// What each cell takes beside its text, unless all cells are counted already.
    cell_bytes: u64,
    rows: u64,
    bytes: u64,
}

impl Held {
    /// Of a format whose rows leave cells out: every cell counts.
    pub(super) fn cells() -> Held {
        Held {
            cell_bytes: size_of::<String>() as u64,
            rows: 0,
            bytes: 0,
        }
    }

    /// Of a format that tells before it is read how many cells there are: only long words count.
    pub(super) fn words() -> Held {
        Held {
            cell_bytes: 0,
            ..Held::cells()
        }
    }

    /// Counts one more row.
    ///
    /// # Errors
    /// If it is too much for what may be read.
    pub(super) fn add(
        &mut self,
        path: &Path,
        cells: &[String],
        limits: &ReadLimits,
    ) -> Result<(), DataError> {
        let lengths = cells.iter().map(String::len);
        let long = lengths.filter(|length| *length > LONG_CELL_BYTES);
        self.rows += 1;
        self.bytes += self.cell_bytes * cells.len() as u64 + long.sum::<usize>() as u64;
        match self.bytes > limits.bytes_max {
            false => Ok(()),
            true => Err(DataError::TooLarge {
                path: path.to_path_buf(),
                what: format!("what its first {} rows take in memory", self.rows),
                limit: limits.bytes_said(),
            }),
        }
    }
}

/// Bytes of the texts of a row.
pub(super) fn text_bytes(cells: &[String]) -> usize {
    cells.iter().map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_count_where_a_file_leaves_them_out_and_long_words_always() {
        let path = Path::new("t.parquet");
        let limits = ReadLimits {
            bytes_max: 1_000,
            ..ReadLimits::default()
        };
        let taken = |mut held: Held, row: &[String]| {
            let rows = (0..100).take_while(|_| held.add(path, row, &limits).is_ok());
            rows.count()
        };
        let short = vec!["1.5".to_string(); 10];
        assert_eq!(taken(Held::words(), &short), 100);
        assert_eq!(
            taken(Held::cells(), &short),
            1_000 / (10 * size_of::<String>())
        );
        let long = vec!["word".repeat(100)];
        assert_eq!(taken(Held::words(), &long), 2);
        let mut held = Held::words();
        let refused = (0..3).find_map(|_| held.add(path, &long, &limits).err());
        assert_eq!(
            refused.unwrap().to_string(),
            "t.parquet: what its first 3 rows take in memory exceeds the limit of 1000 bytes \
             (--read-mib-max allows more)"
        );
    }
}
