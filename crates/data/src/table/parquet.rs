//! Parquet files as records: flat columns only, a cell that is null is a missing one.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::{
    basic::{LogicalType, TimeUnit},
    errors::ParquetError,
    file::{
        metadata::RowGroupMetaData,
        reader::{FileReader, SerializedFileReader},
    },
    record::{Field, Row as ParquetRow, reader::RowIter},
    schema::types::Type,
};

use super::{
    Projection, Reading,
    arrow::instant_of_nanos,
    flow::{BATCH_BYTES, CELL_BYTES_MIN, batch_rows},
    guarded::guarded,
    held::{Held, text_bytes},
    text::{Records, Row, check_header, malformed},
};
use crate::error::DataError;

/// What a Parquet file begins and ends with.
pub(crate) const MAGIC: &[u8] = b"PAR1";

/// The rows of a file, batch after batch.
pub(super) struct Batches {
    path: PathBuf,
    rows: RowIter<'static>,
    columns: Columns,
    /// Rows that are read at once.
    batch: usize,
    done: u64,
}

impl Batches {
    /// Opens a file; its columns are told with no rows.
    pub(super) fn open(path: &Path, reading: Reading<'_>) -> Result<(Batches, Records), DataError> {
        guarded(path, "Parquet", || {
            let reader = reader(path)?;
            let columns = Columns::of(path, &reader, reading)?;
            let head = Records::named(columns.header.clone(), Vec::new());
            let batches = Batches {
                path: path.to_path_buf(),
                rows: rows(path, reader, &columns.projection)?,
                batch: batch_rows(columns.header.len()),
                columns,
                done: 0,
            };
            Ok((batches, head))
        })
    }

    /// The next rows; none at the end.
    pub(super) fn next(&mut self) -> Result<Vec<Row>, DataError> {
        let Batches {
            path,
            rows,
            columns,
            batch,
            done,
        } = self;
        guarded(path, "Parquet", || {
            let (mut read, mut bytes) = (Vec::new(), 0);
            while read.len() < *batch
                && bytes < BATCH_BYTES
                && let Some(row) = rows.next()
            {
                *done += 1;
                let row = row.map_err(|error| damaged(path, &error))?;
                let cells = columns.cells(&row);
                bytes += text_bytes(&cells);
                read.push(Row { line: *done, cells });
            }
            Ok(read)
        })
    }
}

/// Reads a Parquet file; the columns that are taken must be plain.
pub(super) fn read(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    guarded(path, "Parquet", || read_whole(path, reading))
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

/// The columns of a file, and which of them are read.
struct Columns {
    header: Vec<String>,
    projection: Projection,
    /// Of each that is read, whether it holds instants in nanoseconds: the library takes these for numbers.
    are_nanos: Vec<bool>,
}

impl Columns {
    fn of(
        path: &Path,
        reader: &SerializedFileReader<File>,
        reading: Reading<'_>,
    ) -> Result<Columns, DataError> {
        let fields = reader.metadata().file_metadata().schema().get_fields();
        let is_nested =
            |field: &&Arc<Type>| field.is_group() && reading.taken.is_taken(field.name());
        if let Some(nested) = fields.iter().find(is_nested) {
            return Err(malformed(path, super::nested(nested.name())));
        }
        let names = fields.iter().map(|field| field.name().to_string());
        let header: Vec<String> = names.collect();
        check_header(path, &header, reading.limits)?;
        let projection = Projection::of(&header, reading.taken);
        let are_nanos = projection
            .places
            .iter()
            .map(|place| is_nanos(&fields[*place]));
        Ok(Columns {
            are_nanos: are_nanos.collect(),
            header,
            projection,
        })
    }

    /// The cells of a row.
    fn cells(&self, row: &ParquetRow) -> Vec<String> {
        let read = row.get_column_iter().zip(&self.are_nanos);
        let texts = read.map(|((_, field), is_nanos)| text(field, *is_nanos));
        self.projection.row(texts)
    }
}

fn is_nanos(field: &Type) -> bool {
    let kind = field.get_basic_info().logical_type_ref();
    matches!(kind, Some(LogicalType::Timestamp(time)) if time.unit == TimeUnit::NANOS)
}

/// The rows of a file; of its columns only those that are read.
fn rows(
    path: &Path,
    reader: SerializedFileReader<File>,
    projection: &Projection,
) -> Result<RowIter<'static>, DataError> {
    let schema = reader.metadata().file_metadata().schema();
    let fields = schema.get_fields();
    let read = projection.places.iter().map(|place| fields[*place].clone());
    let group = Type::group_type_builder(schema.name()).with_fields(read.collect());
    let projected = (!projection.is_whole()).then(|| group.build()).transpose();
    let broken = |error| damaged(path, &error);
    let projected = projected.map_err(broken)?;
    let all = RowIter::from_file_into(Box::new(reader));
    all.project(projected).map_err(broken)
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

fn read_whole(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    let reader = reader(path)?;
    if unpacked(&reader) > reading.limits.bytes_max {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "its content".to_string(),
            limit: reading.limits.bytes_said(),
        });
    }
    let columns = Columns::of(path, &reader, reading)?;
    let (mut read, mut held) = (Vec::new(), Held::words());
    for (index, row) in rows(path, reader, &columns.projection)?.enumerate() {
        let row = row.map_err(|error| damaged(path, &error))?;
        let (line, cells) = (index as u64 + 1, columns.cells(&row));
        held.add(path, &cells, reading.limits)?;
        read.push(Row { line, cells });
    }
    Ok(Records::named(columns.header, read))
}

/// The cell of a value; of a number it may be known that it counts nanoseconds.
fn text(field: &Field, is_nanos: bool) -> String {
    match field {
        Field::Null => String::new(),
        Field::Long(nanos) if is_nanos => instant_of_nanos(*nanos),
        Field::Str(text) => text.trim().to_string(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).trim().to_string(),
        // What these print is not what they are read from elsewhere.
        Field::Float(value) => value.to_string(),
        Field::Double(value) => value.to_string(),
        Field::Bool(value) => value.to_string(),
        other => other.to_string(),
    }
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
    use crate::{limits::ReadLimits, table::Taken};

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

    /// A column of numbers and one of words, both without gaps.
    fn numbers_and_words(kind: &str, numbers: &[i64], words: &[&str]) -> Vec<u8> {
        let schema = format!(
            "message schema {{ REQUIRED INT64 at{kind}; REQUIRED BYTE_ARRAY word (UTF8); }}"
        );
        let schema = Arc::new(parse_message_type(&schema).unwrap());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let written = column.typed::<Int64Type>();
        written.write_batch(numbers, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let words: Vec<ByteArray> = words.iter().map(|word| ByteArray::from(*word)).collect();
        let written = column.typed::<ByteArrayType>();
        written.write_batch(&words, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    fn read_bytes(name: &str, bytes: &[u8]) -> Result<Records, DataError> {
        read_taken(name, bytes, Taken::All)
    }

    fn read_taken(name: &str, bytes: &[u8], taken: Taken<'_>) -> Result<Records, DataError> {
        read_limited(name, bytes, taken, &ReadLimits::default())
    }

    fn read_limited(
        name: &str,
        bytes: &[u8],
        taken: Taken<'_>,
        limits: &ReadLimits,
    ) -> Result<Records, DataError> {
        let path: PathBuf = std::env::temp_dir().join(format!("{}-{name}", std::process::id()));
        fs::write(&path, bytes).unwrap();
        let reading = Reading {
            taken,
            ..Reading::whole(limits)
        };
        let records = read(&path, reading);
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
    fn instants_in_nanoseconds_are_written_as_those_of_arrow_files() {
        let nanos = [0, 1_709_994_600_500_000_000];
        let expected = [
            "1970-01-01 00:00:00.000000000 +00:00",
            "2024-03-09 14:30:00.500000000 +00:00",
        ];
        let without = ["word".to_string()];
        for kind in [" (TIMESTAMP(NANOS,false))", " (TIMESTAMP(NANOS,true))"] {
            let bytes = numbers_and_words(kind, &nanos, &["a", "b"]);
            for taken in [Taken::All, Taken::Without(&without)] {
                let records = read_taken("nanos.parquet", &bytes, taken).unwrap();
                let rows = records.rows.iter();
                let cells: Vec<&str> = rows.map(|row| row.cells[0].as_str()).collect();
                assert_eq!(cells, expected, "{kind}");
            }
        }
        let numbers = numbers_and_words("", &nanos, &["a", "b"]);
        let records = read_bytes("numbers.parquet", &numbers).unwrap();
        assert_eq!(records.rows[1].cells[0], "1709994600500000000");
    }

    #[test]
    fn a_long_word_that_stands_once_for_all_rows_counts_as_often_as_it_is_read() {
        let word = "word".repeat(250);
        let without = ["word".to_string()];
        let numbers: Vec<i64> = (0..100).collect();
        let bytes = numbers_and_words("", &numbers, &[word.as_str(); 100]);
        let limits = ReadLimits {
            bytes_max: 20_000,
            ..ReadLimits::default()
        };
        let read = |taken| read_limited("words.parquet", &bytes, taken, &limits);
        let Err(refused) = read(Taken::All) else {
            panic!("it was read");
        };
        let told = refused.to_string();
        assert!(told.contains("its first 21 rows take in memory"), "{told}");
        assert_eq!(read(Taken::Without(&without)).unwrap().rows.len(), 100);
    }

    const NESTED: &str = "message schema {
        OPTIONAL DOUBLE size; REQUIRED group kind { REQUIRED BYTE_ARRAY name (UTF8); }
        REQUIRED INT64 count;
    }";

    #[test]
    fn a_column_of_records_is_refused_unless_it_is_not_taken() {
        let bytes = written(NESTED, Compression::SNAPPY);
        let Err(refused) = read_bytes("nested.parquet", &bytes) else {
            panic!("records are no cells");
        };
        let told = refused.to_string();
        assert!(
            told.contains("column `kind` holds lists or records") && told.contains("--ignore kind"),
            "{told}"
        );
        let without = ["kind".to_string()];
        let records = read_taken("nested.parquet", &bytes, Taken::Without(&without)).unwrap();
        assert_eq!(records.header, ["size", "kind", "count"]);
        let cells: Vec<Vec<String>> = records.rows.into_iter().map(|row| row.cells).collect();
        assert_eq!(cells[0], ["0.5", "", "3"]);
        assert_eq!(cells[1], ["", "", "-4"]);
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
