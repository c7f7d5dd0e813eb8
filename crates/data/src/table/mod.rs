//! Tables: from bytes to typed columns.

pub(crate) mod columns;
mod parquet;
pub(crate) mod read;
pub(crate) mod text;

use std::{fs::File, io::Read, path::Path};

use crate::{error::DataError, limits::ReadLimits};
use text::{Ragged, Records};

/// Reads a table of any format, which is found out by looking.
pub(crate) fn records(
    path: &Path,
    limits: &ReadLimits,
    ragged: Ragged,
) -> Result<Records, DataError> {
    let mut start = Vec::new();
    // What cannot be read at all is said by the reader of text.
    if let Ok(file) = File::open(path) {
        let _ = file
            .take(parquet::MAGIC.len() as u64)
            .read_to_end(&mut start);
    }
    match start == parquet::MAGIC {
        true => parquet::read(path, limits),
        false => text::read(path, limits, ragged),
    }
}
