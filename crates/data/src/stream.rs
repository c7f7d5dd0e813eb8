//! A table that may never end, as from a pipe: rows are given on as they arrive, in bounded memory.
//!
//! The first whole lines decide on delimiter and columns. A part ends where a row ends, so that a quote
//! over several lines stays whole. UTF-8 and Latin-1 are read; what needs the whole file to be
//! understood (UTF-16, gzip, Parquet) is refused.

use std::{
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use crate::{
    error::DataError,
    limits::ReadLimits,
    preprocess::Preprocessor,
    rows::{Places, RawRows, Wanted, unfit},
    table::{
        header::{is_numbered, numbered},
        text::{self, Decimal, Names, Quoting, Row, malformed},
    },
};

/// Bytes that are read at once, if so many have arrived.
const BLOCK_BYTES: usize = 256 << 10;

/// Bytes of one row, its quoted line ends among them.
const ROW_BYTES_MAX: usize = 16 << 20;

/// How files begin that cannot be read in parts, and what they are.
const WHOLE_ONLY: [(&[u8], &str); 4] = [
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PAR1", "a Parquet file"),
];

/// New rows of a table for a fitted model, part after part.
pub struct RowStream<'a, R> {
    preprocessor: &'a Preprocessor,
    wanted: Wanted<'a>,
    limits: ReadLimits,
    name: PathBuf,
    source: R,
    waiting: Waiting,
    table: Option<TableForm>,
    rows_done: u64,
    lines_done: u64,
    is_ended: bool,
}

/// What the first line has decided.
struct TableForm {
    delimiter: u8,
    first_line: String,
    places: Places,
    /// Of the rows so far.
    decimal: Decimal,
}

impl<'a, R: Read> RowStream<'a, R> {
    /// Begins to read; `name` is what the source is called in messages.
    ///
    /// # Errors
    /// If the model takes no tables.
    pub fn new(
        preprocessor: &'a Preprocessor,
        name: &Path,
        source: R,
        limits: ReadLimits,
    ) -> Result<RowStream<'a, R>, DataError> {
        let wanted = preprocessor.wanted().ok_or_else(|| {
            let problem = "only rows of a table can come as a stream, and it takes none";
            unfit(name, problem.to_string())
        })?;
        Ok(RowStream {
            preprocessor,
            wanted,
            limits,
            name: name.to_path_buf(),
            source,
            waiting: Waiting::default(),
            table: None,
            rows_done: 0,
            lines_done: 0,
            is_ended: false,
        })
    }

    /// The rows that have arrived, at least one unless the table has ended; waits for them.
    ///
    /// # Errors
    /// If the source cannot be read, its header lacks a column, or a row cannot be told from the next.
    pub fn next_part(&mut self) -> Result<Option<RawRows>, DataError> {
        loop {
            let part = match self.next_text()? {
                None if self.table.is_none() => {
                    let problem = "it is empty: a header and rows are needed".to_string();
                    return Err(malformed(&self.name, problem));
                }
                None => return Ok(None),
                Some(part) => part,
            };
            let rows = self.read_part(&part)?;
            if let Some(rows) =
                rows.filter(|rows| !rows.row_numbers.is_empty() || !rows.bad.is_empty())
            {
                return Ok(Some(rows));
            }
        }
    }

    /// Text of whole rows; nothing at the end.
    fn next_text(&mut self) -> Result<Option<String>, DataError> {
        while !self.is_ended && self.waiting.whole == 0 {
            self.read_block()?;
        }
        if self.is_ended {
            self.waiting.all_is_whole().map_err(|lines| {
                let line = self.lines_done + lines;
                let problem =
                    format!("line {line} or one behind it opens a quote that is never closed");
                malformed(&self.name, problem)
            })?;
        }
        let bytes = self.waiting.take();
        if bytes.is_empty() {
            return Ok(None);
        }
        text::decode(&self.name, &bytes, &mut Vec::new()).map(Some)
    }

    fn read_block(&mut self) -> Result<(), DataError> {
        let mut block = vec![0; BLOCK_BYTES];
        let count = loop {
            match self.source.read(&mut block) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => break count,
                Err(source) => {
                    return Err(DataError::Unreadable {
                        path: self.name.clone(),
                        source,
                    });
                }
            }
        };
        self.is_ended = count == 0;
        self.waiting.add(&block[..count]);
        if self.table.is_none() {
            self.refuse_unreadable()?;
        }
        if self.waiting.bytes.len() > ROW_BYTES_MAX + BLOCK_BYTES {
            return Err(DataError::TooLarge {
                path: self.name.clone(),
                what: format!("the row at line {}", self.lines_done + 1),
                limit: format!("{ROW_BYTES_MAX} bytes"),
            });
        }
        Ok(())
    }

    fn refuse_unreadable(&self) -> Result<(), DataError> {
        let begins = |(start, _): &&(&[u8], &str)| self.waiting.bytes.starts_with(start);
        match WHOLE_ONLY.iter().find(begins) {
            None => Ok(()),
            Some((_, what)) => {
                let problem =
                    format!("it is {what}, which cannot be read as a stream: give it as a file");
                Err(malformed(&self.name, problem))
            }
        }
    }

    /// Rows of a part; nothing as long as there is no first line.
    fn read_part(&mut self, part: &str) -> Result<Option<RawRows>, DataError> {
        let (delimiter, quoting) = match &self.table {
            Some(table) => (table.delimiter, table.quoting_of(part)),
            None => {
                let delimiter = text::sniff_delimiter(part);
                (delimiter, Quoting::of(part, delimiter))
            }
        };
        let lines_before = self.lines_done;
        let mut rows = text::rows_of(
            &self.name,
            part,
            delimiter,
            quoting,
            lines_before,
            &self.limits,
        )?;
        self.lines_done += part.matches('\n').count() as u64;
        if self.table.is_none() && !rows.is_empty() {
            let first_line = part.lines().find(|line| !line.is_empty());
            let first_line = first_line.unwrap_or_default().to_string();
            self.table = Some(self.begin(delimiter, first_line, &mut rows)?);
            self.waiting.delimiter = Some(delimiter);
        }
        let Some(table) = &mut self.table else {
            return Ok(None);
        };
        if let (b';', Some(mark)) = (delimiter, text::decimal_mark(&rows)) {
            table.decimal = mark;
        }
        let places = &table.places;
        let read = places.typed(&self.wanted, &rows, table.decimal, self.rows_done);
        self.rows_done += rows.len() as u64;
        let read = self.preprocessor.of_table(read);
        self.preprocessor.prepared(read).map(Some)
    }

    /// Finds the columns. The first line names them, unless those of the model were numbered for want of
    /// names, and it has none of them.
    fn begin(
        &self,
        delimiter: u8,
        first_line: String,
        rows: &mut Vec<Row>,
    ) -> Result<TableForm, DataError> {
        let first = &rows[0].cells;
        let is_unnamed =
            |(name, _): &(&str, _)| is_numbered(name) && !first.iter().any(|cell| cell == name);
        let (header, names) = match self.wanted.iter().all(is_unnamed) {
            true => (numbered(first.len()), Names::Numbered),
            false => (rows.remove(0).cells, Names::Written),
        };
        text::check_header(&self.name, &header, &self.limits)?;
        Ok(TableForm {
            delimiter,
            first_line,
            places: Places::find(&self.wanted, &self.name, &header, names)?,
            decimal: Decimal::Point,
        })
    }
}

impl TableForm {
    /// Whether this part of the table quotes: each of its lines is compared with the first one.
    fn quoting_of(&self, part: &str) -> Quoting {
        match self.delimiter {
            b'\t' => Quoting::of(&format!("{}\n{part}", self.first_line), self.delimiter),
            _ => Quoting::Used,
        }
    }
}

/// Bytes that have arrived and are not yet given on.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many of them have been looked at.
    scanned: usize,
    /// How many of them are whole rows.
    whole: usize,
    /// Whether the last one that was looked at stands inside of quotes.
    is_quoted: bool,
    /// What separates cells; any of the usual ones as long as it is not known.
    delimiter: Option<u8>,
}

impl Waiting {
    fn add(&mut self, block: &[u8]) {
        self.bytes.extend_from_slice(block);
        for at in self.scanned..self.bytes.len() {
            match self.bytes[at] {
                // With tabs, lines are rows, and whether quotes mean anything is found out later.
                b'"' if self.delimiter != Some(b'\t') => {
                    self.is_quoted = !self.is_quoted && self.begins_cell(at);
                }
                b'\n' if !self.is_quoted => self.end_row(at + 1),
                _ => {}
            }
        }
        self.scanned = self.bytes.len();
    }

    /// A row ends here; the first one says what separates cells, as far as can be seen from it.
    fn end_row(&mut self, end: usize) {
        let row = &self.bytes[self.whole..end];
        if self.delimiter.is_none() && !row.trim_ascii().is_empty() {
            let row = String::from_utf8_lossy(row);
            self.delimiter = Some(text::sniff_delimiter(&row));
        }
        self.whole = end;
    }

    /// Whether a quote here opens a cell; a doubled one opens its cell again.
    fn begins_cell(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| self.bytes[before]) else {
            return true;
        };
        let separates = match self.delimiter {
            Some(delimiter) => before == delimiter,
            None => text::DELIMITERS.contains(&before),
        };
        separates || [b'\n', b'\r', b'"'].contains(&before) || self.bytes[..at] == *text::UTF8_MARK
    }

    /// The source has ended: what is left is a row, too. If a quote is open, the lines before are counted.
    fn all_is_whole(&mut self) -> Result<(), u64> {
        if self.is_quoted {
            let whole = &self.bytes[..self.whole];
            return Err(1 + whole.iter().filter(|byte| **byte == b'\n').count() as u64);
        }
        self.whole = self.bytes.len();
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.whole);
        self.scanned -= self.whole;
        self.whole = 0;
        std::mem::replace(&mut self.bytes, rest)
    }
}
