//! Parquet files as records: flat columns only, a cell that is null is a missing one.

use std::{fs::File, path::Path};

use parquet::{
    errors::ParquetError,
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row as ParquetRow},
};

use super::text::{Decimal, Records, Row, check_header, malformed};
use crate::{error::DataError, limits::ReadLimits};

/// What a Parquet file begins and ends with.
pub(crate) const MAGIC: &[u8] = b"PAR1";

/// Reads a Parquet file of plain columns.
pub(crate) fn read(path: &Path, limits: &ReadLimits) -> Result<Records, DataError> {
    let damaged = |error: ParquetError| {
        let problem = format!("it is no whole Parquet file ({error}): was it cut?");
        malformed(path, problem)
    };
    let file = File::open(path).map_err(|source| DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let metadata = reader.metadata();
    let unpacked: i64 = metadata
        .row_groups()
        .iter()
        .map(|group| group.total_byte_size())
        .fold(0, i64::saturating_add);
    if u64::try_from(unpacked).is_ok_and(|bytes| bytes > limits.bytes_max) {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "its content".to_string(),
            limit: format!("{} bytes", limits.bytes_max),
        });
    }
    let fields = metadata.file_metadata().schema().get_fields();
    if let Some(nested) = fields.iter().find(|field| field.is_group()) {
        let problem = format!(
            "column `{}` holds lists or records: only plain columns are read",
            nested.name()
        );
        return Err(malformed(path, problem));
    }
    let header: Vec<String> = fields
        .iter()
        .map(|field| field.name().to_string())
        .collect();
    check_header(path, &header, limits)?;
    let mut rows = Vec::new();
    for (index, row) in reader.get_row_iter(None).map_err(damaged)?.enumerate() {
        rows.push(Row {
            line: index as u64 + 1,
            cells: cells(&row.map_err(damaged)?),
        });
    }
    Ok(Records {
        header,
        rows,
        decimal: Decimal::Point,
        notices: Vec::new(),
    })
}

fn cells(row: &ParquetRow) -> Vec<String> {
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.trim().to_string(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).trim().to_string(),
        // What these print is not what they are read from elsewhere.
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Bool(value) => value.to_string(),
        other => other.to_string(),
    };
    row.get_column_iter()
        .map(|(_, field)| text(field))
        .collect()
}
