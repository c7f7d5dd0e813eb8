//! A table that may never end, as from a pipe: rows are given on as they arrive, in bounded memory.
//!
//! The first whole lines decide on delimiter and columns; of objects (JSON Lines) the first has the key of every
//! column. A part ends where a row ends, so that a quote over several lines stays whole. UTF-8 and Latin-1 are read,
//! and any encoding that is said; what needs the whole file to be understood (UTF-16 that nobody spoke of, Parquet)
//! is refused.

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    error::DataError,
    limits::ReadLimits,
    notice::Notice,
    preprocess::Preprocessor,
    rows::{Places, RawRows, Wanted, kept, unfit},
    table::{
        Reading, Taken,
        dialect::{Decimal, Delimiter},
        encoding::Decoded,
        flow::large_text,
        header::{HeaderLine, numbered},
        json,
        parts::{TextPart, TextParts},
        text::{self, Names, Quoting, Row, malformed},
    },
};

/// Bytes that are read at once, if so many have arrived.
const BLOCK_BYTES: usize = 256 << 10;

/// New rows of a table for a fitted model, part after part.
pub struct RowStream<'a, R> {
    preprocessor: &'a Preprocessor,
    wanted: Wanted<'a>,
    limits: ReadLimits,
    name: PathBuf,
    parts: TextParts<Decoded<R>>,
    table: Option<TableForm>,
    objects: Option<Objects<'a>>,
    rows_done: u64,
    /// What is to be said with the next rows.
    notices: Vec<Notice>,
}

/// Rows are objects, one in a line.
struct Objects<'a> {
    /// The model's columns, which are the cells of a row.
    header: Vec<String>,
    names: BTreeSet<&'a str>,
    places: Places,
    /// Whether the first object had them all.
    has_begun: bool,
}

/// What the first line has decided.
struct TableForm {
    delimiter: Delimiter,
    first_line: String,
    places: Places,
    /// Of the rows so far.
    decimal: Decimal,
}

impl<'a> RowStream<'a, Box<dyn Read + Send>> {
    /// A file that is too large to be read as a whole, if the model takes tables and it is one with
    /// delimiters; nothing otherwise.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn of_large_file(
        preprocessor: &'a Preprocessor,
        path: &Path,
        limits: ReadLimits,
    ) -> Result<Option<Self>, DataError> {
        if preprocessor.wanted().is_none() || !path.is_file() {
            return Ok(None);
        }
        let source = large_text(path, &limits)?;
        let stream = source.map(|source| RowStream::new(preprocessor, path, source, limits));
        stream.transpose()
    }
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
            let problem = match preprocessor.is_of_steps() {
                true => {
                    "its series have a row for each step, and none is known to be whole before the end: \
                     give it as a file"
                }
                false => "only rows of a table can come as a stream, and it takes none",
            };
            unfit(name, problem.to_string())
        })?;
        let dialect = preprocessor.dialect();
        let source = Decoded::new(source, dialect.encoding);
        let mut parts = TextParts::new(name, source, BLOCK_BYTES);
        if let Some(said) = dialect.delimiter {
            parts.set_delimiter(said);
        }
        Ok(RowStream {
            preprocessor,
            wanted,
            limits,
            name: name.to_path_buf(),
            parts,
            table: None,
            objects: None,
            rows_done: 0,
            notices: Vec::new(),
        })
    }

    /// Its rows are objects, one in a line.
    pub(crate) fn are_objects(&mut self) {
        // Lines are rows, whatever they quote.
        self.parts.set_delimiter(Delimiter::TAB);
        let names = self.wanted.iter().map(|(name, _)| *name);
        self.objects = Some(Objects {
            header: names.clone().map(str::to_string).collect(),
            names: names.collect(),
            places: Places::in_order(self.wanted.len()),
            has_begun: false,
        });
    }

    /// The rows that have arrived, at least one unless the table has ended; waits for them.
    ///
    /// # Errors
    /// If the source cannot be read, its header lacks a column, or a row cannot be told from the next.
    pub fn next_part(&mut self) -> Result<Option<RawRows>, DataError> {
        loop {
            let part = match self.parts.next()? {
                None if self.rows_done == 0 && self.table.is_none() => {
                    let problem = "it is empty: a header and rows are needed".to_string();
                    return Err(malformed(&self.name, problem));
                }
                None => return Ok(None),
                Some(part) => part,
            };
            let rows = match self.objects.is_some() {
                true => self.read_objects(&part)?,
                false => self.read_part(&part)?,
            };
            self.notices.extend(part.notice);
            if let Some(mut rows) =
                rows.filter(|rows| !rows.row_numbers.is_empty() || !rows.bad.is_empty())
            {
                rows.notices.append(&mut self.notices);
                return Ok(Some(rows));
            }
        }
    }

    /// Rows of a part of objects; the first of all has the key of every column.
    fn read_objects(&mut self, part: &TextPart) -> Result<Option<RawRows>, DataError> {
        let Some(objects) = &mut self.objects else {
            return Ok(None);
        };
        if !objects.has_begun
            && let Some(keys) = json::first_keys(&part.text)
        {
            Places::find(&self.wanted, &self.name, &keys, Names::Written)?;
            objects.has_begun = true;
        }
        let is_wanted = |column: &str| objects.names.contains(column);
        let reading = Reading {
            taken: Taken::Only(&is_wanted),
            ..kept(self.preprocessor.dialect(), &self.limits)
        };
        let (name, header) = (&self.name, &objects.header);
        let judged = json::judged(name, header, reading, &part.text, part.lines_before)?;
        let (places, decimal) = (&objects.places, Decimal::Point);
        let mut read = places.typed(&self.wanted, &judged.rows, decimal, self.rows_done);
        read.give_reasons(&judged.unread, self.rows_done);
        self.rows_done += judged.rows.len() as u64;
        let read = self.preprocessor.of_table(read);
        self.preprocessor.prepared(read).map(Some)
    }

    /// Rows of a part; nothing as long as there is no first line.
    fn read_part(&mut self, part: &TextPart) -> Result<Option<RawRows>, DataError> {
        let TextPart {
            text: part,
            lines_before,
            ..
        } = part;
        let (delimiter, quoting) = match &self.table {
            Some(table) => (table.delimiter, table.quoting_of(part)),
            None => {
                let delimiter = self.preprocessor.dialect().delimiter_of(part);
                (delimiter, Quoting::of(part, delimiter))
            }
        };
        let mut rows = text::rows_of(
            &self.name,
            part,
            delimiter,
            quoting,
            *lines_before,
            &self.limits,
        )?;
        if self.table.is_none() && !rows.is_empty() {
            let first_line = part.lines().find(|line| !line.is_empty());
            let first_line = first_line.unwrap_or_default().to_string();
            self.table = Some(self.begin(delimiter, first_line, &mut rows)?);
            self.parts.set_delimiter(delimiter);
        }
        let Some(table) = &mut self.table else {
            return Ok(None);
        };
        // A comma stays: later rows may hold points that set thousands apart, and no fraction.
        let said = self.preprocessor.dialect().decimal;
        if said.is_none() && text::has_decimal_commas(delimiter, &rows) {
            table.decimal = Decimal::Comma;
        }
        let places = &table.places;
        let read = places.typed(&self.wanted, &rows, table.decimal, self.rows_done);
        self.rows_done += rows.len() as u64;
        let read = self.preprocessor.of_table(read);
        self.preprocessor.prepared(read).map(Some)
    }

    /// Finds the columns. The first line names them, unless it is a row: what it looks like decides nothing,
    /// as the lines behind it may not have arrived.
    fn begin(
        &self,
        delimiter: Delimiter,
        first_line: String,
        rows: &mut Vec<Row>,
    ) -> Result<TableForm, DataError> {
        let (header, names) = match crate::rows::first_line(&self.wanted, &rows[0].cells) {
            HeaderLine::Absent => (numbered(rows[0].cells.len()), Names::Numbered),
            HeaderLine::Present | HeaderLine::Guess => (rows.remove(0).cells, Names::Written),
        };
        text::check_header(&self.name, &header, &self.limits)?;
        Ok(TableForm {
            delimiter,
            first_line,
            places: Places::find(&self.wanted, &self.name, &header, names)?,
            decimal: self
                .preprocessor
                .dialect()
                .decimal
                .unwrap_or(Decimal::Point),
        })
    }
}

impl TableForm {
    /// Whether this part of the table quotes: each of its lines is compared with the first one.
    fn quoting_of(&self, part: &str) -> Quoting {
        match self.delimiter {
            Delimiter::TAB => Quoting::of(&format!("{}\n{part}", self.first_line), self.delimiter),
            _ => Quoting::Used,
        }
    }
}
