//! Tables: from bytes to typed columns.

mod arff;
pub(crate) mod columns;
pub(crate) mod header;
mod json;
mod listed;
mod parquet;
pub(crate) mod read;
pub(crate) mod text;

use std::{fs::File, io::Read, path::Path};

use crate::{error::DataError, limits::ReadLimits};
use header::HeaderLine;
use text::{Ragged, Records};

/// How a table is read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) limits: &'a ReadLimits,
    pub(crate) ragged: Ragged,
    pub(crate) header: HeaderLine,
}

/// Reads a table of any format, which is found out by looking.
pub(crate) fn records(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    let mut start = Vec::new();
    // What cannot be read at all is said by the reader of text.
    if let Ok(file) = File::open(path) {
        let _ = file
            .take(parquet::MAGIC.len() as u64)
            .read_to_end(&mut start);
    }
    if start == parquet::MAGIC {
        return parquet::read(path, reading.limits);
    }
    match crate::read::format_of(path) {
        "arff" => arff::read(path, reading.limits),
        "json" | "jsonl" | "ndjson" => json::read(path, reading.limits),
        _ => text::read(path, reading),
    }
}
