//! Tables: from bytes to typed columns.

pub(crate) mod all;
mod arff;
pub(crate) mod arrow;
pub(crate) mod chosen;
pub(crate) mod columns;
mod dataset;
pub(crate) mod flow;
mod guarded;
pub(crate) mod header;
mod json;
pub(crate) mod kinds;
mod listed;
mod origins;
mod parquet;
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
use header::HeaderLine;
use text::{Ragged, Records};

/// How a table is read.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) limits: &'a ReadLimits,
    pub(crate) ragged: Ragged,
    pub(crate) header: HeaderLine,
}

/// Reads a table of any format, which is found out by looking, as a whole.
pub(crate) fn records(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    // What cannot be read at all is said by the reader of text.
    let start = first_bytes(path).unwrap_or_default();
    if start.starts_with(parquet::MAGIC) {
        return parquet::read(path, reading.limits);
    }
    if arrow::is_arrow(&start) {
        return arrow::read(path, reading.limits);
    }
    match format_of(path) {
        "arff" => arff::read(path, reading),
        "json" | "jsonl" | "ndjson" => json::read(path, reading),
        _ => text::read(path, reading),
    }
}
