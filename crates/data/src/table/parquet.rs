//! Parquet files as records: flat columns only, a cell that is null is a missing one.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use parquet::{
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        reader::{FileReader, SerializedFileReader},
    },
    record::{Field, Row as ParquetRow, reader::RowIter},
};

use super::{
    flow::{CELL_BYTES_MIN, batch_rows},
    guarded::guarded,
    text::{Records, Row, check_header, malformed},
};
use crate::{error::DataError, limits::ReadLimits};

/// What a Parquet file begins and ends with.
pub(crate) const MAGIC: &[u8] = b"PAR1";

/// The rows of a file, batch after batch.
pub(super) struct Batches {
    path: PathBuf,
    rows: RowIter<'static>,
    /// Rows that are read at once.
    batch: usize,
    done: u64,
}

impl Batches {
    /// Opens a file; its columns are told with no rows.
    pub(super) fn open(path: &Path, limits: &ReadLimits) -> Result<(Batches, Records), DataError> {
        guarded(path, "Parquet", || {
            let reader = reader(path)?;
            let header = header(path, &reader, limits)?;
            let batches = Batches {
                path: path.to_path_buf(),
                rows: reader.into_iter(),
                batch: batch_rows(header.len()),
                done: 0,
            };
            Ok((batches, Records::named(header, Vec::new())))
        })
    }

    /// The next rows; none at the end.
    pub(super) fn next(&mut self) -> Result<Vec<Row>, DataError> {
        let Batches {
            path,
            rows,
            batch,
            done,
        } = self;
        let read = guarded(path, "Parquet", || {
            let mut read = Vec::new();
            for row in rows.take(*batch) {
                *done += 1;
                read.push(Row {
                    line: *done,
                    cells: cells(&row.map_err(|error| damaged(path, &error))?),
                });
            }
            Ok(read)
        })?;
        Ok(read)
    }
}

/// Reads a Parquet file of plain columns.
pub(crate) fn read(path: &Path, limits: &ReadLimits) -> Result<Records, DataError> {
    guarded(path, "Parquet", || read_whole(path, limits))
}

fn damaged(path: &Path, error: &ParquetError) -> DataError {
    let problem = format!("it is no whole Parquet file ({error}): was it cut?");
    malformed(path, problem)
}

fn reader(path: &Path) -> Result<SerializedFileReader<File>, DataError> {
    let file = File::open(path).map_err(|source| DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    SerializedFileReader::new(file).map_err(|error| damaged(path, &error))
}

fn header(
    path: &Path,
    reader: &SerializedFileReader<File>,
    limits: &ReadLimits,
) -> Result<Vec<String>, DataError> {
    let fields = reader.metadata().file_metadata().schema().get_fields();
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
    Ok(header)
}

/// Bytes of the rows once they are unpacked, as far as the file says: repeated values take none in it.
pub(super) fn unpacked_bytes(path: &Path) -> Result<u64, DataError> {
    guarded(path, "Parquet", || Ok(unpacked(&reader(path)?)))
}

fn unpacked(reader: &SerializedFileReader<File>) -> u64 {
    let groups = reader.metadata().row_groups().iter();
    let bytes = |group: &RowGroupMetaData| {
        // A negative number of rows is larger than any limit.
        let rows = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
        let cells = rows.saturating_mul(group.num_columns() as u64);
        let told = u64::try_from(group.total_byte_size()).unwrap_or(0);
        told.max(cells.saturating_mul(CELL_BYTES_MIN))
    };
    groups.map(bytes).fold(0, u64::saturating_add)
}

fn read_whole(path: &Path, limits: &ReadLimits) -> Result<Records, DataError> {
    let reader = reader(path)?;
    if unpacked(&reader) > limits.bytes_max {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "its content".to_string(),
            limit: format!("{} bytes", limits.bytes_max),
        });
    }
    let header = header(path, &reader, limits)?;
    let mut rows = Vec::new();
    let all = reader
        .get_row_iter(None)
        .map_err(|error| damaged(path, &error))?;
    for (index, row) in all.enumerate() {
        rows.push(Row {
            line: index as u64 + 1,
            cells: cells(&row.map_err(|error| damaged(path, &error))?),
        });
    }
    Ok(Records::named(header, rows))
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

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use parquet::{
        basic::Compression,
        data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type},
        file::{properties::WriterProperties, writer::SerializedFileWriter},
        schema::parser::parse_message_type,
    };

    use super::*;

    const FLAT: &str = "message schema {
        OPTIONAL DOUBLE size; REQUIRED BYTE_ARRAY kind (UTF8); REQUIRED INT64 count;
    }";

    /// Three rows; the second has no size.
    fn written(schema: &str, compression: Compression) -> Vec<u8> {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let sizes = column.typed::<DoubleType>();
        sizes
            .write_batch(&[0.5, 1e-7], Some(&[1, 0, 1]), None)
            .unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let kinds = ["red", "dark blue", "grün"].map(ByteArray::from);
        let texts = column.typed::<ByteArrayType>();
        texts.write_batch(&kinds, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let counts = column.typed::<Int64Type>();
        counts.write_batch(&[3, -4, 5], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    fn read_bytes(name: &str, bytes: &[u8]) -> Result<Records, DataError> {
        let path: PathBuf = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let records = read(&path, &ReadLimits::default());
        fs::remove_file(&path).unwrap();
        records
    }

    #[test]
    fn columns_of_every_common_compression_are_read_as_text() {
        let compressions = [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::ZSTD(Default::default()),
        ];
        for compression in compressions {
            let records = read_bytes("good.parquet", &written(FLAT, compression)).unwrap();
            assert_eq!(records.header, ["size", "kind", "count"]);
            let rows: Vec<Vec<String>> = records.rows.into_iter().map(|row| row.cells).collect();
            let expected = [
                ["0.5", "red", "3"],
                ["", "dark blue", "-4"],
                ["0.0000001", "grün", "5"],
            ];
            assert_eq!(rows, expected, "{compression}");
        }
    }

    #[test]
    fn a_damaged_file_is_read_or_refused_and_never_worse() {
        let whole = written(FLAT, Compression::SNAPPY);
        for length in 0..whole.len() {
            assert!(read_bytes("cut.parquet", &whole[..length]).is_err());
        }
        for place in 0..whole.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= mask;
                // Bits of a value may change without anyone noticing; a panic or a huge table may not be.
                if let Ok(records) = read_bytes("damaged.parquet", &damaged) {
                    assert!(records.rows.len() <= 1000, "byte {place} with {mask:#x}");
                }
            }
        }
    }
}
