//! A table that is gone through part after part, whatever its format, several parts at once.
//!
//! The first part decides on columns, delimiter and decimal mark, as the first lines of a file that is
//! read as a whole do. What is found in the parts comes back in their order, so that nothing depends on
//! how many threads there are.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use flate2::read::MultiGzDecoder;

use super::{
    Reading, Taken, arrow,
    dialect::{Decimal, Delimiter, Dialect},
    encoding::{Decoded, GZIP, UTF16},
    json, parquet,
    parts::{TextPart, TextParts},
    text::{self, Delimited, Names, Quoting, Ragged, Records, Row, malformed},
};
use crate::{
    error::DataError,
    limits::ReadLimits,
    notice::Notice,
    read::{first_bytes, format_of},
};

/// Bytes of text in a part.
const PART_BYTES: usize = 4 << 20;

/// Bytes that a cell takes at least once it is text, however few it takes in its file.
pub(super) const CELL_BYTES_MIN: u64 = 8;

/// Rows of a part that comes as cells, and the cells from which on it has fewer rows.
const BATCH_ROWS: usize = 8 << 10;
const BATCH_CELLS: usize = 512 << 10;

/// Bytes of its text from which on it is not filled further: a word may stand once in its file and in all rows.
pub(super) const BATCH_BYTES: usize = 64 << 20;

/// How many rows with so many columns are read at once from a file that is not held as a whole.
pub(super) fn batch_rows(columns: usize) -> usize {
    (BATCH_CELLS / columns.max(1)).clamp(1, BATCH_ROWS)
}

/// What is known of a table's form, once its first part has been seen.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(super) path: PathBuf,
    format: Format,
    pub(super) header: Vec<String>,
    names: Names,
    pub(super) decimal: Decimal,
    dialect: Dialect,
    limits: ReadLimits,
    /// What happens to a row with another number of cells.
    ragged: Ragged,
    /// Columns whose cells are not wanted.
    passed_over: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    Delimited {
        delimiter: Delimiter,
        quoting: Quoting,
        packing: Packing,
    },
    JsonLines {
        packing: Packing,
    },
    Parquet,
    Arrow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Plain,
    Gzip,
}

/// Some rows of a table.
pub(crate) struct Part {
    content: Content,
    is_first: bool,
}

impl Part {
    /// What is to be said of a part behind the first.
    pub(super) fn notice(&self) -> Option<Notice> {
        match &self.content {
            Content::Text(part) if !self.is_first => part.notice.clone(),
            Content::Text(_) | Content::Rows(_) => None,
        }
    }
}

enum Content {
    Text(TextPart),
    Rows(Vec<Row>),
}

/// A row that is looked at.
pub(crate) enum Seen<'a> {
    Record(&'a csv::StringRecord),
    Row(&'a Row),
}

impl Seen<'_> {
    pub(crate) fn width(&self) -> usize {
        match self {
            Seen::Record(record) => record.len(),
            Seen::Row(row) => row.cells.len(),
        }
    }

    pub(crate) fn cell(&self, place: usize) -> &str {
        match self {
            Seen::Record(record) => record[place].trim(),
            Seen::Row(row) => &row.cells[place],
        }
    }

    pub(crate) fn to_row(&self, line: u64) -> Row {
        let cells = (0..self.width()).map(|place| self.cell(place).to_string());
        Row {
            line,
            cells: cells.collect(),
        }
    }
}

/// Shown every row of a part, with its line.
pub(crate) type See<'a> = &'a mut dyn FnMut(u64, Seen<'_>) -> Result<(), DataError>;

impl Form {
    /// Goes through the rows of a part.
    ///
    /// # Errors
    /// The first that `see` gives, or a row that has more or fewer cells than there are columns, unless such rows are
    /// kept for `see` to judge.
    pub(crate) fn each(&self, part: &Part, see: See<'_>) -> Result<(), DataError> {
        let mut is_header = part.is_first && self.names == Names::Written;
        let mut checked = |line: u64, row: Seen<'_>| {
            if std::mem::take(&mut is_header) {
                return Ok(());
            }
            if row.width() != self.header.len() && self.ragged == Ragged::Refuse {
                return Err(self.refused(line, row.width()));
            }
            see(line, row)
        };
        match (&part.content, self.format) {
            (Content::Rows(rows), _) => rows
                .iter()
                .try_for_each(|row| see(row.line, Seen::Row(row))),
            (
                Content::Text(part),
                Format::Delimited {
                    delimiter, quoting, ..
                },
            ) => {
                let records = Delimited {
                    path: &self.path,
                    text: &part.text,
                    delimiter,
                    quoting,
                    lines_before: part.lines_before,
                };
                records.each(&mut |line, record| checked(line, Seen::Record(record)))
            }
            (Content::Text(part), _) => {
                let reading = Reading {
                    ragged: self.ragged,
                    taken: self.taken(),
                    ..Reading::whole(&self.limits)
                };
                let rows = json::rows_of(
                    &self.path,
                    &self.header,
                    reading,
                    &part.text,
                    part.lines_before,
                )?;
                rows.iter()
                    .try_for_each(|row| see(row.line, Seen::Row(row)))
            }
        }
    }

    fn taken(&self) -> Taken<'_> {
        Taken::Without(&self.passed_over)
    }

    fn refused(&self, line: u64, cells: usize) -> DataError {
        let problem = format!(
            "the header has {} columns, but line {line} has {cells} cells",
            self.header.len()
        );
        malformed(&self.path, problem)
    }
}

/// Whether only a part of a table's rows is held in memory.
pub(crate) fn is_large(path: &Path, limits: &ReadLimits) -> bool {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    // What cannot be read is said by the reader of small files.
    match format(path) {
        Some(Format::Parquet) => {
            parquet::unpacked_bytes(path).is_ok_and(|bytes| bytes > limits.held_text_bytes)
        }
        Some(Format::Arrow) => {
            arrow::unpacked_bytes(path, limits).is_ok_and(|bytes| bytes > limits.held_text_bytes)
        }
        Some(Format::Delimited { packing, .. } | Format::JsonLines { packing }) => match packing {
            Packing::Plain => bytes > limits.held_text_bytes,
            Packing::Gzip => unpacks_beyond(path, limits.held_text_bytes),
        },
        None => false,
    }
}

/// Whether a gzip file unpacks to more than so many bytes; no more than these are unpacked.
fn unpacks_beyond(path: &Path, bytes: u64) -> bool {
    let unpacked = File::open(path).and_then(|file| {
        let mut start = MultiGzDecoder::new(file).take(bytes.saturating_add(1));
        io::copy(&mut start, &mut io::sink())
    });
    unpacked.is_ok_and(|unpacked| unpacked > bytes)
}

/// The text of a table with delimiters that is too large to be held, unpacked; nothing for another file.
///
/// # Errors
/// If it cannot be opened.
pub(crate) fn large_text(
    path: &Path,
    limits: &ReadLimits,
) -> Result<Option<Box<dyn Read + Send>>, DataError> {
    match format(path) {
        Some(Format::Delimited { packing, .. }) if is_large(path, limits) => {
            let file = File::open(path).map_err(|source| unreadable(path, source))?;
            Ok(Some(match packing {
                Packing::Plain => Box::new(file),
                Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
            }))
        }
        _ => Ok(None),
    }
}

/// The format of a table that can be gone through in parts.
fn format(path: &Path) -> Option<Format> {
    let start = first_bytes(path).ok()?;
    let packing = match start.starts_with(GZIP) {
        true => Packing::Gzip,
        false => Packing::Plain,
    };
    let begins = |marks: &[&[u8]]| marks.iter().any(|mark| start.starts_with(mark));
    if begins(&[parquet::MAGIC]) {
        return Some(Format::Parquet);
    }
    if arrow::is_arrow(&start) {
        return Some(Format::Arrow);
    }
    let is_array = || packing == Packing::Plain && start.trim_ascii_start().starts_with(b"[");
    match format_of(path) {
        "arff" => None,
        _ if begins(&UTF16) => None,
        "jsonl" | "ndjson" => Some(Format::JsonLines { packing }),
        "json" if packing == Packing::Gzip || is_array() => None,
        "json" => Some(Format::JsonLines { packing }),
        _ => Some(Format::Delimited {
            delimiter: Delimiter::COMMA,
            quoting: Quoting::Used,
            packing,
        }),
    }
}

/// A table while it is gone through.
pub(crate) struct Flow {
    source: Parts,
    first: Option<Part>,
    digest: Digest,
}

enum Parts {
    Text(Box<TextParts<Decoded<Box<dyn Read + Send>>>>),
    Parquet(Box<parquet::Batches>),
    Arrow(Box<arrow::Batches>),
}

impl Flow {
    /// Opens a table that [`is_large`]; the records are those of its first part.
    ///
    /// # Errors
    /// If it cannot be read, or is no table.
    pub(crate) fn open(
        path: &Path,
        reading: Reading<'_>,
    ) -> Result<(Flow, Form, Records), DataError> {
        let format = format(path).unwrap_or(Format::Parquet);
        let mut flow = Flow::begin(path, format, reading)?;
        let first = flow.read_part()?;
        let mut head = match (&first, format) {
            (Some(Content::Rows(rows)), _) => {
                let mut head = match format {
                    Format::Arrow => arrow::Batches::open(path, reading)?.1,
                    _ => parquet::Batches::open(path, reading)?.1,
                };
                head.rows = rows.iter().map(copy).collect();
                head
            }
            (Some(Content::Text(part)), Format::JsonLines { .. }) => {
                json::first_lines(path, &part.text, reading)?
            }
            (Some(Content::Text(part)), _) => {
                // It is UTF-8 by now, whatever the file is.
                let mut reading = reading;
                reading.dialect.encoding = None;
                text::read_from(path, part.text.as_bytes(), reading)?
            }
            (None, _) => {
                let problem = "the file is empty: a header and rows are needed";
                return Err(malformed(path, problem.into()));
            }
        };
        if let Some(Content::Text(part)) = &first {
            head.notices.extend(part.notice.clone());
        }
        let format = match (&first, format) {
            (Some(Content::Text(part)), Format::Delimited { packing, .. }) => {
                let delimiter = reading.dialect.delimiter_of(&part.text);
                Format::Delimited {
                    delimiter,
                    quoting: Quoting::of(&part.text, delimiter),
                    packing,
                }
            }
            _ => format,
        };
        let form = Form {
            path: path.to_path_buf(),
            format,
            header: head.header.clone(),
            names: head.names,
            decimal: head.decimal,
            dialect: reading.dialect,
            limits: *reading.limits,
            ragged: reading.ragged,
            passed_over: reading.taken.passed_over(&head.header),
        };
        flow.know(format);
        flow.first = first.map(|content| Part {
            content,
            is_first: true,
        });
        Ok((flow, form, head))
    }

    /// Opens a table whose form is known.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn again(form: &Form, limits: &ReadLimits) -> Result<Flow, DataError> {
        let reading = Reading {
            dialect: form.dialect,
            taken: form.taken(),
            ..Reading::whole(limits)
        };
        let mut flow = Flow::begin(&form.path, form.format, reading)?;
        let first = flow.read_part()?;
        flow.know(form.format);
        flow.first = first.map(|content| Part {
            content,
            is_first: true,
        });
        Ok(flow)
    }

    fn begin(path: &Path, format: Format, reading: Reading<'_>) -> Result<Flow, DataError> {
        let mut digest = Digest::default();
        let source = match format {
            Format::Parquet => {
                digest = Digest::of(path)?;
                Parts::Parquet(Box::new(parquet::Batches::open(path, reading)?.0))
            }
            Format::Arrow => {
                digest = Digest::of(path)?;
                Parts::Arrow(Box::new(arrow::Batches::open(path, reading)?.0))
            }
            Format::Delimited { packing, .. } | Format::JsonLines { packing } => {
                let file = File::open(path).map_err(|source| unreadable(path, source))?;
                let read: Box<dyn Read + Send> = match packing {
                    Packing::Plain => Box::new(Digesting {
                        file,
                        digest: digest.clone(),
                    }),
                    Packing::Gzip => {
                        digest = Digest::of(path)?;
                        Box::new(MultiGzDecoder::new(file))
                    }
                };
                let read = Decoded::new(read, reading.dialect.encoding);
                let mut parts = TextParts::new(path, read, PART_BYTES);
                match (format, reading.dialect.delimiter) {
                    // Lines are rows from the first one on, whatever they quote.
                    (Format::JsonLines { .. }, _) => parts.set_delimiter(Delimiter::TAB),
                    (_, Some(said)) => parts.set_delimiter(said),
                    (_, None) => {}
                }
                Parts::Text(Box::new(parts))
            }
        };
        Ok(Flow {
            source,
            first: None,
            digest,
        })
    }

    fn know(&mut self, format: Format) {
        if let (Parts::Text(parts), Format::Delimited { delimiter, .. }) =
            (&mut self.source, format)
        {
            parts.set_delimiter(delimiter);
        }
    }

    fn read_part(&mut self) -> Result<Option<Content>, DataError> {
        match &mut self.source {
            Parts::Text(parts) => Ok(parts.next()?.map(Content::Text)),
            Parts::Parquet(batches) => Ok(rows_of(batches.next()?)),
            Parts::Arrow(batches) => Ok(rows_of(batches.next()?)),
        }
    }

    fn next(&mut self) -> Result<Option<Part>, DataError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let part = self.read_part()?;
        Ok(part.map(|content| Part {
            content,
            is_first: false,
        }))
    }

    /// Looks at all parts, several at once while the next ones are read; what is found is given on in
    /// their order.
    ///
    /// # Errors
    /// The first of any part.
    pub(crate) fn in_order<T: Send>(
        mut self,
        threads: usize,
        work: &(dyn Fn(&Part) -> Result<T, DataError> + Sync),
        take: &mut dyn FnMut(T) -> Result<(), DataError>,
    ) -> Result<FileContent, DataError> {
        let mut parts = self.next_parts(threads)?;
        while !parts.is_empty() {
            let (found, next) = thread::scope(|scope| {
                let working: Vec<_> = parts
                    .iter()
                    .map(|part| scope.spawn(move || work(part)))
                    .collect();
                let next = self.next_parts(threads);
                let found = working.into_iter().map(|part| {
                    let joined = part.join();
                    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                });
                (found.collect::<Vec<_>>(), next)
            });
            for found in found {
                take(found?)?;
            }
            parts = next?;
        }
        Ok(self.digest.content())
    }

    fn next_parts(&mut self, count: usize) -> Result<Vec<Part>, DataError> {
        let mut parts = Vec::with_capacity(count);
        while parts.len() < count
            && let Some(part) = self.next()?
        {
            parts.push(part);
        }
        Ok(parts)
    }
}

/// Rows as the content of a part; at the end there are none.
fn rows_of(rows: Vec<Row>) -> Option<Content> {
    (!rows.is_empty()).then_some(Content::Rows(rows))
}

fn copy(row: &Row) -> Row {
    Row {
        line: row.line,
        cells: row.cells.clone(),
    }
}

fn unreadable(path: &Path, source: io::Error) -> DataError {
    DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    }
}

/// What a file holds, as a digest that grows while it is read.
#[derive(Clone, Default)]
pub(crate) struct Digest(Arc<Mutex<(blake3::Hasher, u64)>>);

impl Digest {
    /// That of a whole file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn of(path: &Path) -> Result<Digest, DataError> {
        let digest = Digest::default();
        let file = File::open(path).map_err(|source| unreadable(path, source))?;
        let mut reader = Digesting {
            file,
            digest: digest.clone(),
        };
        let mut block = vec![0; PART_BYTES];
        loop {
            match reader.read(&mut block) {
                Ok(0) => return Ok(digest),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(unreadable(path, source)),
            }
        }
    }

    fn add(&self, bytes: &[u8]) {
        // A panic cannot come between the two.
        let mut digest = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        digest.0.update(bytes);
        digest.1 += bytes.len() as u64;
    }

    /// What was read so far.
    pub(crate) fn content(&self) -> FileContent {
        let digest = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        FileContent {
            hash: digest.0.finalize(),
            bytes: digest.1,
        }
    }
}

/// What a file was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileContent {
    pub(crate) hash: blake3::Hash,
    pub(crate) bytes: u64,
}

struct Digesting {
    file: File,
    digest: Digest,
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.digest.add(&buffer[..count]);
        Ok(count)
    }
}
