//! Arrow IPC as records: files (Feather 2 is the same) and streams, plain or compressed with LZ4 or
//! Zstandard; flat columns only, a cell that is null is a missing one.
//!
//! Both are read message after message, so that only one batch of rows is here at a time. What a message
//! asks for is held against the file and the limits before the library sees it: a length that is made up
//! costs nothing.

mod cells;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{
    Block, Message, MessageHeader, RecordBatch as BatchMessage, convert::try_fb_to_schema,
    reader::FileDecoder, root_as_message,
};
use arrow_schema::{ArrowError, SchemaRef};

use super::{
    Projection, Reading,
    flow::{BATCH_BYTES, CELL_BYTES_MIN, batch_rows},
    guarded::guarded,
    held::{Held, text_bytes},
    text::{Records, Row, check_header, malformed},
};
use crate::{error::DataError, limits::ReadLimits};

pub(super) use cells::instant_of_nanos;

/// What an Arrow file begins and ends with.
pub(crate) const MAGIC: &[u8] = b"ARROW1";

/// Bytes before the first message of a file: its mark, filled up.
const FILE_START: u64 = 8;

/// Bytes of the length of the footer, and of the mark behind it.
const FILE_END: u64 = 10;

/// What stands before the length of a message; old files have the length alone.
pub(crate) const CONTINUATION: [u8; 4] = [0xff; 4];

/// Bytes of a length in front of a compressed buffer, and the length that says that it is none.
const LENGTH_BYTES: u64 = 8;
const NOT_COMPRESSED: i64 = -1;

/// Whether a file that begins so is one.
pub(crate) fn is_arrow(start: &[u8]) -> bool {
    start.starts_with(MAGIC) || is_stream(start)
}

/// A stream begins with a message, whose length is a multiple of 8 as it stands.
fn is_stream(start: &[u8]) -> bool {
    let length = start.get(4..8).and_then(|four| four.try_into().ok());
    let length = length.map_or(0, i32::from_le_bytes);
    start.starts_with(&CONTINUATION) && length > 0 && length % 8 == 0
}

/// Reads a file as a whole.
pub(super) fn read(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    let limits = reading.limits;
    guarded(path, "Arrow", || {
        if unpacked(path, limits)? > limits.bytes_max {
            return Err(too_large(path, "its content", limits));
        }
        let mut reader = Reader::open(path, reading)?;
        let (mut rows, mut held) = (Vec::new(), Held::words());
        while let Some(batch) = reader.next()? {
            for row in 0..batch.num_rows() {
                let row = row_of(&batch, &reader.projection, row, rows.len());
                held.add(path, &row.cells, limits)?;
                rows.push(row);
            }
        }
        Ok(Records::named(reader.header, rows))
    })
}

/// Bytes of the rows once they are unpacked, as far as the file says: cells without a value take none in it.
pub(super) fn unpacked_bytes(path: &Path, limits: &ReadLimits) -> Result<u64, DataError> {
    guarded(path, "Arrow", || unpacked(path, limits))
}

fn unpacked(path: &Path, limits: &ReadLimits) -> Result<u64, DataError> {
    let mut messages = Messages::open(path, limits)?;
    let mut sum: u64 = 0;
    while let Some(head) = messages.next()? {
        sum = sum.saturating_add(messages.unpacked(&head)?);
    }
    Ok(sum)
}

/// The rows of a file, some after the others.
pub(super) struct Batches {
    reader: Reader,
    batch: Option<RecordBatch>,
    /// Rows of the batch that have been given on.
    given: usize,
    done: u64,
}

impl Batches {
    /// Opens a file; its columns are told with no rows.
    pub(super) fn open(path: &Path, reading: Reading<'_>) -> Result<(Batches, Records), DataError> {
        guarded(path, "Arrow", || {
            let reader = Reader::open(path, reading)?;
            let head = Records::named(reader.header.clone(), Vec::new());
            let batches = Batches {
                reader,
                batch: None,
                given: 0,
                done: 0,
            };
            Ok((batches, head))
        })
    }

    /// The next rows; none at the end.
    pub(super) fn next(&mut self) -> Result<Vec<Row>, DataError> {
        let path = self.reader.messages.path.clone();
        guarded(&path, "Arrow", || {
            while self
                .batch
                .as_ref()
                .is_none_or(|batch| self.given == batch.num_rows())
            {
                self.batch = self.reader.next()?;
                self.given = 0;
                if self.batch.is_none() {
                    return Ok(Vec::new());
                }
            }
            let Some(batch) = &self.batch else {
                return Ok(Vec::new());
            };
            let projection = &self.reader.projection;
            let end = batch
                .num_rows()
                .min(self.given + batch_rows(projection.width));
            let before = self.done as usize - self.given;
            let (mut rows, mut bytes) = (Vec::new(), 0);
            while self.given < end && bytes < BATCH_BYTES {
                let row = row_of(batch, projection, self.given, before + self.given);
                bytes += text_bytes(&row.cells);
                rows.push(row);
                self.given += 1;
            }
            self.done += rows.len() as u64;
            Ok(rows)
        })
    }
}

/// A row of a batch, with so many rows before it in the file.
fn row_of(batch: &RecordBatch, projection: &Projection, row: usize, before: usize) -> Row {
    let columns = batch.columns().iter();
    Row {
        line: before as u64 + 1,
        cells: projection.row(columns.map(|column| cells::text(column, row))),
    }
}

/// A file whose columns are known.
struct Reader {
    messages: Messages,
    decoder: FileDecoder,
    header: Vec<String>,
    projection: Projection,
}

impl Reader {
    fn open(path: &Path, reading: Reading<'_>) -> Result<Reader, DataError> {
        let mut messages = Messages::open(path, reading.limits)?;
        let head = messages.next()?;
        let head = head.ok_or_else(|| damaged(path, "it says nothing of its columns"))?;
        let message = head.message(path)?;
        let schema = message
            .header_as_schema()
            .ok_or_else(|| damaged(path, "it does not begin with its columns"))?;
        if !schema.endianness().equals_to_target_endianness() {
            let problem =
                "it was written by a processor of the other byte order: save it as Parquet";
            return Err(malformed(path, problem.to_string()));
        }
        let schema: SchemaRef =
            Arc::new(try_fb_to_schema(schema).map_err(|error| broken(path, &error))?);
        cells::check_columns(path, &schema, reading.taken)?;
        let names = schema.fields().iter().map(|field| field.name().clone());
        let header: Vec<String> = names.collect();
        check_header(path, &header, reading.limits)?;
        let projection = Projection::of(&header, reading.taken);
        let decoder = FileDecoder::new(schema, message.version());
        Ok(Reader {
            decoder: decoder.with_projection(projection.places.clone()),
            header,
            projection,
            messages,
        })
    }

    /// The next rows; dictionaries on the way are kept.
    fn next(&mut self) -> Result<Option<RecordBatch>, DataError> {
        let path = self.messages.path.clone();
        let broken = |error: ArrowError| broken(&path, &error);
        while let Some(head) = self.messages.next()? {
            let kind = head.message(&path)?.header_type();
            let (block, buffer) = match kind {
                MessageHeader::DictionaryBatch | MessageHeader::RecordBatch => {
                    self.messages.body_of(head)?
                }
                other => {
                    let problem = format!("a message of it is {other:?}");
                    return Err(damaged(&path, &problem));
                }
            };
            if kind == MessageHeader::DictionaryBatch {
                self.decoder
                    .read_dictionary(&block, &buffer)
                    .map_err(broken)?;
                continue;
            }
            let read = self.decoder.read_record_batch(&block, &buffer);
            return read.map_err(broken);
        }
        Ok(None)
    }
}

/// The messages of a file, one after the other.
struct Messages {
    path: PathBuf,
    file: File,
    limits: ReadLimits,
    /// Where the next one begins, and where the last one ends.
    at: u64,
    end: u64,
}

/// A message without its body.
struct Head {
    /// Its length and what it says.
    bytes: Vec<u8>,
    /// How many of them are the length.
    prefix: usize,
    body_at: u64,
    body_bytes: u64,
}

impl Head {
    fn message(&self, path: &Path) -> Result<Message<'_>, DataError> {
        let message = root_as_message(&self.bytes[self.prefix..]);
        message.map_err(|error| damaged(path, &error.to_string()))
    }
}

impl Messages {
    fn open(path: &Path, limits: &ReadLimits) -> Result<Messages, DataError> {
        let unreadable = |source| DataError::Unreadable {
            path: path.to_path_buf(),
            source,
        };
        let file = File::open(path).map_err(unreadable)?;
        let end = file.metadata().map_err(unreadable)?.len();
        let mut messages = Messages {
            path: path.to_path_buf(),
            file,
            limits: *limits,
            at: 0,
            end,
        };
        let mut start = [0; MAGIC.len()];
        messages.read_at(0, &mut start)?;
        if start == *MAGIC {
            messages.at = FILE_START;
            messages.end = messages.footer_begin()?;
        }
        Ok(messages)
    }

    /// Where the last message of a file must have ended.
    fn footer_begin(&mut self) -> Result<u64, DataError> {
        let mut last = [0; FILE_END as usize];
        let at = self.end.checked_sub(FILE_END);
        let at = at.ok_or_else(|| damaged(&self.path, "it ends too early"))?;
        self.read_at(at, &mut last)?;
        let (length, mark) = last.split_at(4);
        let length = length.try_into().map_or(-1, i32::from_le_bytes);
        let begin = u64::try_from(length)
            .ok()
            .filter(|_| mark == MAGIC)
            .and_then(|length| at.checked_sub(length))
            .filter(|begin| *begin >= FILE_START);
        begin.ok_or_else(|| damaged(&self.path, "it does not end as one"))
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> Result<(), DataError> {
        let read = self
            .file
            .seek(SeekFrom::Start(at))
            .and_then(|_| self.file.read_exact(into));
        read.map_err(|error| damaged(&self.path, &error.to_string()))
    }

    /// Bytes from a place on, which must all lie before the end.
    fn taken(&mut self, at: u64, bytes: u64) -> Result<Vec<u8>, DataError> {
        let fits = at.checked_add(bytes).is_some_and(|end| end <= self.end);
        if !fits || bytes > self.limits.bytes_max {
            let problem = format!("at byte {at} it announces {bytes} more");
            return Err(damaged(&self.path, &problem));
        }
        let mut taken = vec![0; bytes as usize];
        self.read_at(at, &mut taken)?;
        Ok(taken)
    }

    /// The head of the next message; the one behind it follows.
    fn next(&mut self) -> Result<Option<Head>, DataError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let mut bytes = self.taken(self.at, 4)?;
        if bytes == CONTINUATION {
            bytes.extend(self.taken(self.at + 4, 4)?);
        }
        let prefix = bytes.len();
        let length = bytes[prefix - 4..]
            .try_into()
            .map_or(-1, i32::from_le_bytes);
        if length == 0 {
            self.at = self.end;
            return Ok(None);
        }
        // A negative one is longer than any file.
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let begin = self.at + prefix as u64;
        bytes.extend(self.taken(begin, length)?);
        let mut head = Head {
            bytes,
            prefix,
            body_at: begin + length,
            body_bytes: 0,
        };
        let body = head.message(&self.path)?.bodyLength();
        head.body_bytes = u64::try_from(body).unwrap_or(u64::MAX);
        let end = head.body_at.checked_add(head.body_bytes);
        let end = end.filter(|end| *end <= self.end).ok_or_else(|| {
            let problem = format!("a body of {body} bytes is announced");
            damaged(&self.path, &problem)
        })?;
        self.at = end;
        Ok(Some(head))
    }

    /// Bytes of a message's body once they are unpacked, as it says.
    fn unpacked(&mut self, head: &Head) -> Result<u64, DataError> {
        let path = self.path.clone();
        let message = head.message(&path)?;
        let Some(batch) = batch_of(&message) else {
            return Ok(0);
        };
        let is_compressed = batch.compression().is_some();
        let mut sum: u64 = 0;
        for buffer in batch.buffers().iter().flatten() {
            let (offset, length) = (buffer.offset(), buffer.length());
            let inside = u64::try_from(offset).ok().zip(u64::try_from(length).ok());
            let inside = inside.filter(|(offset, length)| {
                offset
                    .checked_add(*length)
                    .is_some_and(|end| end <= head.body_bytes)
            });
            let (offset, length) = inside.ok_or_else(|| {
                let problem = format!("values at {offset} of {length} bytes lie outside");
                damaged(&path, &problem)
            })?;
            if !is_compressed || length < LENGTH_BYTES {
                sum = sum.saturating_add(length);
                continue;
            }
            let told = self.taken(head.body_at + offset, LENGTH_BYTES)?;
            let told = told.try_into().map_or(0, i64::from_le_bytes);
            sum = sum.saturating_add(match told {
                NOT_COMPRESSED => length,
                // A negative one is larger than any limit.
                told => u64::try_from(told).unwrap_or(u64::MAX),
            });
        }
        let columns = batch.nodes().map_or(0, |nodes| nodes.len() as u64);
        let rows = u64::try_from(batch.length()).unwrap_or(u64::MAX);
        let cells = rows.saturating_mul(columns);
        Ok(sum.max(cells.saturating_mul(CELL_BYTES_MIN)))
    }

    /// A message with its body, after what it unpacks to and how many rows it has are found to be bearable.
    fn body_of(&mut self, head: Head) -> Result<(Block, Buffer), DataError> {
        if self.unpacked(&head)? > self.limits.bytes_max {
            return Err(too_large(&self.path, "a batch of its rows", &self.limits));
        }
        let rows = batch_of(&head.message(&self.path)?).map_or(0, |batch| batch.length());
        if usize::try_from(rows).is_ok_and(|rows| rows > self.limits.rows_max) || rows < 0 {
            let problem = format!("a batch of {rows} rows is announced");
            return Err(damaged(&self.path, &problem));
        }
        let metadata = i32::try_from(head.bytes.len())
            .map_err(|_| damaged(&self.path, "a message is too long"))?;
        let body = self.taken(head.body_at, head.body_bytes)?;
        let block = Block::new(0, metadata, head.body_bytes as i64);
        let mut bytes = head.bytes;
        bytes.extend(body);
        Ok((block, Buffer::from_vec(bytes)))
    }
}

/// The batch that a message holds, of rows or of the words of a dictionary.
fn batch_of<'a>(message: &Message<'a>) -> Option<BatchMessage<'a>> {
    let of_dictionary = || message.header_as_dictionary_batch()?.data();
    message.header_as_record_batch().or_else(of_dictionary)
}

fn damaged(path: &Path, problem: &str) -> DataError {
    let problem = format!("it is no whole Arrow file ({problem}): was it cut?");
    malformed(path, problem)
}

fn broken(path: &Path, error: &ArrowError) -> DataError {
    damaged(path, &error.to_string())
}

fn too_large(path: &Path, what: &str, limits: &ReadLimits) -> DataError {
    DataError::TooLarge {
        path: path.to_path_buf(),
        what: what.to_string(),
        limit: limits.bytes_said(),
    }
}
