//! From the bytes of a delimited file to its records: encoding, delimiter and header are found out, or said.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::Path,
};

use flate2::read::MultiGzDecoder;

use super::{
    Reading,
    chosen::Chosen,
    columns::number,
    dialect::{Decimal, Delimiter, Dialect, decimal_mark},
    encoding::decode,
    header::{HeaderLine, is_header, numbered},
    held::Held,
};
use crate::{error::DataError, limits::ReadLimits, notice::Notice};

/// A cell with more than this many line ends may be what follows a quote that was left open.
const CELL_LINES_MAX: usize = 200;

/// It is, if at least this share of its lines have as many cells as a record: of a text, hardly any have.
const RECORDS_SHARE: f64 = 0.9;

/// How a text may begin to say that it is UTF-8.
pub(crate) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Records of a table.
pub(crate) struct Records {
    pub(crate) header: Vec<String>,
    pub(crate) names: Names,
    /// What the file itself says of its columns; empty if it says nothing.
    pub(crate) declared: Vec<Declared>,
    pub(crate) rows: Vec<Row>,
    pub(crate) decimal: Decimal,
    pub(crate) notices: Vec<Notice>,
    /// Why rows could not be read, by their places, where they are kept all the same.
    pub(crate) unread: BTreeMap<usize, String>,
    /// Numbers of the rows in their file, from 1, where not all of them are here.
    pub(crate) numbers: Option<Vec<u64>>,
    /// How the rows were chosen, where not all of them are here.
    pub(crate) chosen: Option<Chosen>,
}

impl Records {
    /// All rows of a file that names its columns and has a point in its numbers.
    pub(crate) fn named(header: Vec<String>, rows: Vec<Row>) -> Records {
        Records {
            header,
            names: Names::Written,
            declared: Vec::new(),
            rows,
            decimal: Decimal::Point,
            notices: Vec::new(),
            unread: BTreeMap::new(),
            numbers: None,
            chosen: None,
        }
    }
}

/// Where the names of columns come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// They stand in the file.
    Written,
    /// It has none, and they are numbered.
    Numbered,
}

/// What a file says of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    Number,
    Words,
    /// Dates or times, in a way of writing that is found out.
    Times,
}

/// A record and the line where it starts.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) cells: Vec<String>,
}

/// Rows of a format that says of each by itself whether it is one.
pub(crate) struct Judged {
    pub(crate) rows: Vec<Row>,
    /// As in [`Records`].
    pub(crate) unread: BTreeMap<usize, String>,
    held: Held,
}

impl Judged {
    pub(super) fn new() -> Judged {
        Judged {
            rows: Vec::new(),
            unread: BTreeMap::new(),
            held: Held::cells(),
        }
    }

    /// Adds a row; of one that could not be read only its line, if such rows are kept.
    ///
    /// # Errors
    /// What is wrong with it, if they are not; or that all rows take too much.
    pub(super) fn add(
        &mut self,
        path: &Path,
        reading: Reading<'_>,
        line: u64,
        cells: Result<Vec<String>, String>,
    ) -> Result<(), DataError> {
        let cells = match (cells, reading.ragged) {
            (Ok(cells), _) => cells,
            (Err(odd), Ragged::Refuse) => return Err(malformed(path, odd)),
            (Err(odd), Ragged::Keep) => {
                self.unread.insert(self.rows.len(), odd);
                Vec::new()
            }
        };
        self.held.add(path, &cells, reading.limits)?;
        self.rows.push(Row { line, cells });
        Ok(())
    }
}

/// What happens to a record with another number of cells than the header, or that cannot be read by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ragged {
    /// The file is refused.
    Refuse,
    /// The record is kept as it is, for the caller to judge.
    Keep,
}

/// Reads a delimited file, plain or gzipped.
pub(crate) fn read(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    read_from(path, &read_bytes(path, reading.limits)?, reading)
}

/// Reads the content of a delimited file; `path` is what it is called in messages.
pub(crate) fn read_from(
    path: &Path,
    bytes: &[u8],
    reading: Reading<'_>,
) -> Result<Records, DataError> {
    let mut notices = Vec::new();
    let text = decode(path, bytes, reading.dialect.encoding, &mut notices)?;
    let delimiter = reading.dialect.delimiter_of(&text);
    let mut rows = parse(path, &text, delimiter, reading.limits)?;
    // Of blanks and line ends no row is made.
    if rows.is_empty() {
        return Err(malformed(
            path,
            "the file is empty: a header and rows are needed".into(),
        ));
    }
    let names = match reading.header {
        HeaderLine::Present => Names::Written,
        HeaderLine::Absent => Names::Numbered,
        HeaderLine::Guess if is_header(&rows) => Names::Written,
        HeaderLine::Guess => Names::Numbered,
    };
    let header = match names {
        Names::Written => rows.remove(0).cells,
        Names::Numbered => {
            let header = numbered(rows[0].cells.len());
            // Of new rows nobody is asked what their first line is.
            if reading.header == HeaderLine::Guess && reading.ragged == Ragged::Refuse {
                notices.push(Notice::note(format!(
                    "the first line is taken for data, so the columns are called {} \
                     (--header present says otherwise)",
                    shown(&header)
                )));
            }
            header
        }
    };
    check_header(path, &header, reading.limits)?;
    if reading.ragged == Ragged::Refuse {
        refuse_ragged(path, &header, &rows, delimiter)?;
    }
    let decimal = decimal_of(reading.dialect, delimiter, &rows, &mut notices);
    Ok(Records {
        header,
        names,
        declared: Vec::new(),
        rows,
        decimal,
        notices,
        unread: BTreeMap::new(),
        numbers: None,
        chosen: None,
    })
}

/// The decimal mark of these rows.
fn decimal_of(
    said: Dialect,
    delimiter: Delimiter,
    rows: &[Row],
    notices: &mut Vec<Notice>,
) -> Decimal {
    let found = || has_decimal_commas(delimiter, rows);
    match said.decimal {
        Some(decimal) => decimal,
        None if found() => {
            let separate = match delimiter {
                Delimiter::Blanks => "blanks separate".to_string(),
                Delimiter::Byte(_) => format!("`{delimiter}` separates"),
            };
            notices.push(Notice::note(format!(
                "{separate} the columns and `,` is the decimal mark (--decimal point says otherwise)"
            )));
            Decimal::Comma
        }
        None => Decimal::Point,
    }
}

/// Whether commas are decimal marks in these rows. Where `;` separates cells they are, if there are more of them than
/// points; where blanks do, they may set thousands apart; elsewhere they do.
pub(crate) fn has_decimal_commas(delimiter: Delimiter, rows: &[Row]) -> bool {
    let sets_no_thousands = |cell: &String| {
        let fraction = cell.split_once(',').map(|(_, fraction)| fraction.len());
        fraction.is_some_and(|digits| digits != 3) && number(cell, Decimal::Comma).is_some()
    };
    let may_be = || match delimiter {
        Delimiter::SEMICOLON => true,
        Delimiter::Blanks => rows
            .iter()
            .flat_map(|row| &row.cells)
            .any(sets_no_thousands),
        Delimiter::Byte(_) => false,
    };
    decimal_mark(rows) == Some(Decimal::Comma) && may_be()
}

fn shown(header: &[String]) -> String {
    match header {
        [only] => only.clone(),
        [first, .., last] => format!("{first} to {last}"),
        [] => String::new(),
    }
}

/// Lines with their numbers from 1; without those that are empty or begin with a mark of comments.
pub(crate) fn numbered_lines<'a>(
    text: &'a str,
    comments: &'static [char],
) -> impl Iterator<Item = (u64, &'a str)> {
    let lines = (1..).zip(text.lines().map(str::trim));
    lines.filter(move |(_, line)| !line.is_empty() && !line.starts_with(comments))
}

pub(crate) fn malformed(path: &Path, problem: String) -> DataError {
    DataError::Malformed {
        path: path.to_path_buf(),
        problem,
    }
}

/// All bytes of a file, unpacked if it is gzip, up to the limit.
pub(crate) fn read_bytes(path: &Path, limits: &ReadLimits) -> Result<Vec<u8>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let file = fs::File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(malformed(
            path,
            "it is a folder where a file was expected".into(),
        ));
    }
    let mut start = Vec::new();
    let mut reader = file.take(limits.bytes_max + 1);
    reader
        .by_ref()
        .take(2)
        .read_to_end(&mut start)
        .map_err(unreadable)?;
    let is_gzip = start == [0x1f, 0x8b];
    let whole = start.as_slice().chain(reader);
    let mut bytes = Vec::new();
    let read = match is_gzip {
        true => MultiGzDecoder::new(whole)
            .take(limits.bytes_max + 1)
            .read_to_end(&mut bytes),
        false => whole.take(limits.bytes_max + 1).read_to_end(&mut bytes),
    };
    if let Err(error) = read {
        let problem = match is_gzip {
            true => format!("its gzip stream is damaged or cut ({error})"),
            false => return Err(unreadable(error)),
        };
        return Err(malformed(path, problem));
    }
    if bytes.len() as u64 > limits.bytes_max {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: "its content".to_string(),
            limit: limits.bytes_said(),
        });
    }
    Ok(bytes)
}

fn parse(
    path: &Path,
    text: &str,
    delimiter: Delimiter,
    limits: &ReadLimits,
) -> Result<Vec<Row>, DataError> {
    let quoting = Quoting::of(text, delimiter);
    let rows = rows_of(path, text, delimiter, quoting, 0, limits)?;
    if quoting == Quoting::Used {
        refuse_open_quote(path, text, delimiter)?;
    }
    Ok(rows)
}

/// Whether a quote at the beginning of a cell holds it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quoting {
    Used,
    Unused,
}

impl Quoting {
    /// What a text from the first line on does.
    pub(crate) fn of(text: &str, delimiter: Delimiter) -> Quoting {
        match is_without_quoting(text, delimiter) {
            true => Quoting::Unused,
            false => Quoting::Used,
        }
    }
}

/// The records of a text that begins behind `lines_before` lines of its file.
pub(crate) fn rows_of(
    path: &Path,
    text: &str,
    delimiter: Delimiter,
    quoting: Quoting,
    lines_before: u64,
    limits: &ReadLimits,
) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    let records = Delimited {
        path,
        text,
        delimiter,
        quoting,
        lines_before,
    };
    records.each(&mut |line, record| {
        // One more, as the first may be a header.
        if rows.len() > limits.rows_max {
            return Err(DataError::TooLarge {
                path: path.to_path_buf(),
                what: "the number of its rows".to_string(),
                limit: format!("{} rows", limits.rows_max),
            });
        }
        let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_string()).collect();
        rows.push(Row { line, cells });
        Ok(())
    })?;
    Ok(rows)
}

/// A text of records that begins behind `lines_before` lines of its file.
#[derive(Clone, Copy)]
pub(crate) struct Delimited<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
    pub(crate) delimiter: Delimiter,
    pub(crate) quoting: Quoting,
    pub(crate) lines_before: u64,
}

impl Delimited<'_> {
    /// Shows every record, with the line of the file in which it begins.
    pub(crate) fn each(
        &self,
        see: &mut dyn FnMut(u64, &csv::StringRecord) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let (text, delimiter) = match self.delimiter {
            Delimiter::Byte(byte) => (Cow::Borrowed(self.text), byte),
            Delimiter::Blanks => (Cow::Owned(squeezed(self.text)), b'\t'),
        };
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(self.quoting == Quoting::Used)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let path = self.path;
        let mut record = csv::StringRecord::new();
        let mut width = None;
        while reader
            .read_record(&mut record)
            .map_err(|error| malformed(path, error.to_string()))?
        {
            let line = self.lines_before + record.position().map_or(0, |at| line_at(&text, at));
            let width = *width.get_or_insert(record.len());
            if let Some(lines) = self.lines_behind_open_quote(&record, width) {
                let problem = format!(
                    "line {line} opens a quote that runs over {lines} lines: close it, or double it"
                );
                return Err(malformed(path, problem));
            }
            see(line, &record)?;
        }
        Ok(())
    }

    /// Lines that a quote swallows which was left open; nothing if a long cell can be a text: its record then has
    /// as many cells as the first one, and its lines are none of their own.
    fn lines_behind_open_quote(&self, record: &csv::StringRecord, width: usize) -> Option<usize> {
        let are_records = |text: &str| {
            let lines = text.lines().skip(1);
            let is_record = |line: &&str| self.delimiter.cells_in(line) == width;
            let records = lines.clone().filter(is_record).count();
            width > 1 && records as f64 >= RECORDS_SHARE * lines.count() as f64
        };
        let is_open = |cell: &&str| record.len() != width || are_records(cell);
        let mut long = record
            .iter()
            .filter(|cell| line_ends(cell) > CELL_LINES_MAX);
        long.find(is_open).map(line_ends)
    }
}

/// The line of a text in which a record begins: the parser stands before the line ends that it skips on the way to it.
fn line_at(text: &str, position: &csv::Position) -> u64 {
    let rest = text.as_bytes().iter().skip(position.byte() as usize);
    let skipped = rest.take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
}

/// The same lines with one tab between cells that any number of blanks separates, and none around them.
pub(super) fn squeezed(text: &str) -> String {
    let mut squeezed = String::with_capacity(text.len());
    let (mut is_quoted, mut is_gap, mut has_closed) = (false, false, false);
    for character in text.chars() {
        if matches!(character, ' ' | '\t') && !is_quoted {
            is_gap = true;
            continue;
        }
        let begins_line = squeezed.is_empty() || squeezed.ends_with(['\n', '\r']);
        let ends_line = matches!(character, '\n' | '\r');
        if std::mem::take(&mut is_gap) && !begins_line && !ends_line {
            squeezed.push('\t');
        }
        // A doubled quote opens its cell again; one in the middle of a cell means nothing.
        let opens = has_closed || squeezed.is_empty() || squeezed.ends_with(['\n', '\r', '\t']);
        has_closed = character == '"' && is_quoted;
        if character == '"' {
            is_quoted = !is_quoted && opens;
        }
        squeezed.push(character);
    }
    squeezed
}

fn line_ends(cell: &str) -> usize {
    cell.bytes().filter(|byte| *byte == b'\n').count()
}

/// Files with tabs rarely quote, and then a quote is part of the text: so it is if every line has as many
/// tabs as the first, and not every line has a cell in quotes.
fn is_without_quoting(text: &str, delimiter: Delimiter) -> bool {
    if delimiter != Delimiter::TAB {
        return false;
    }
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let tabs = |line: &str| line.matches('\t').count();
    let Some(first) = lines.clone().next().map(tabs) else {
        return false;
    };
    let is_in_quotes = |cell: &str| cell.len() > 1 && cell.starts_with('"') && cell.ends_with('"');
    let is_quoting = lines
        .clone()
        .skip(1)
        .all(|line| line.split('\t').any(is_in_quotes));
    !is_quoting && lines.all(|line| tabs(line) == first)
}

/// The parser closes an open quote at the end of the file in silence; a user wants to know.
fn refuse_open_quote(path: &Path, text: &str, delimiter: Delimiter) -> Result<(), DataError> {
    let mut open_at: Option<usize> = None;
    let mut line = 1;
    let mut before = b'\n';
    for byte in text.bytes() {
        match (byte, open_at) {
            (b'"', None) if matches!(before, b'\n' | b'\r') || delimiter.separates(before) => {
                open_at = Some(line);
            }
            (b'"', Some(_)) => open_at = None,
            // A doubled quote inside a quoted cell opens it again.
            (b'"', None) if before == b'"' => open_at = Some(line),
            (b'\n', _) => line += 1,
            _ => {}
        }
        before = byte;
    }
    match open_at {
        Some(line) => {
            let problem = format!("line {line} opens a quote that is never closed");
            Err(malformed(path, problem))
        }
        None => Ok(()),
    }
}

pub(crate) fn check_header(
    path: &Path,
    header: &[String],
    limits: &ReadLimits,
) -> Result<(), DataError> {
    if header.is_empty() {
        return Err(malformed(path, "it has no columns".into()));
    }
    if header.len() > limits.columns_max {
        return Err(DataError::TooLarge {
            path: path.to_path_buf(),
            what: format!("a header of {} columns", header.len()),
            limit: format!("{} columns (--columns-max allows more)", limits.columns_max),
        });
    }
    let mut seen = BTreeSet::new();
    match header.iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => {
            let problem = format!("two columns are named `{name}`: rename one of them");
            Err(malformed(path, problem))
        }
        None => Ok(()),
    }
}

fn refuse_ragged(
    path: &Path,
    header: &[String],
    rows: &[Row],
    delimiter: Delimiter,
) -> Result<(), DataError> {
    let ragged: Vec<&Row> = rows
        .iter()
        .filter(|row| row.cells.len() != header.len())
        .collect();
    let Some(first) = ragged.first() else {
        return Ok(());
    };
    let lines: Vec<String> = ragged
        .iter()
        .take(10)
        .map(|row| row.line.to_string())
        .collect();
    let problem = format!(
        "the header has {} columns, but line {} has {} cells ({} such line(s): line {}); cells are separated by \
         `{delimiter}`, unless --delimiter says something else",
        header.len(),
        first.line,
        first.cells.len(),
        ragged.len(),
        lines.join(", ")
    );
    Err(malformed(path, problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_by_the_line_in_which_it_begins() {
        let text = "a,b\r\n1,2\r\n\r\n3,\"x\r\ny\"\r\n\n5,6\n7,8";
        let (path, limits) = (Path::new("t.csv"), ReadLimits::default());
        let rows = rows_of(path, text, Delimiter::COMMA, Quoting::Used, 10, &limits).unwrap();
        let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [11, 12, 14, 17, 18]);
        assert_eq!(rows[2].cells, ["3", "x\r\ny"]);
    }

    #[test]
    fn a_text_of_many_lines_is_a_cell_and_what_an_open_quote_swallows_is_refused() {
        let (path, limits) = (Path::new("t.csv"), ReadLimits::default());
        let read = |text: &str| rows_of(path, text, Delimiter::COMMA, Quoting::Used, 0, &limits);
        let lines = "a line, of which some have a comma\nand this one has none\n".repeat(150);
        let rows = read(&format!("1,\"{lines}\",2\n3,word,4\n5,\"{lines}\",6\n")).unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[2].cells[2], "6");
        let swallowed = "3,word,4\n".repeat(300);
        for text in [
            format!("1,word,2\n1,\"word,2\n{swallowed}1,word\",2\n"),
            format!("1,word,2\n1,\"word,2\n{swallowed}1,word\",2,3\n"),
            format!("1,\"word,2\n{swallowed}1,\"word,2\n"),
        ] {
            let Err(refused) = read(&text) else {
                panic!("it was read");
            };
            let told = refused.to_string();
            assert!(
                told.contains("opens a quote that runs over 301 lines"),
                "{told}"
            );
        }
    }

    #[test]
    fn blanks_around_and_between_cells_are_one_separator_and_within_quotes_none() {
        let text = "  1.5   2\t 3 \r\n\n4 5\"\" \"a  b\"\n\"c \"\"d\"\"  e\"  6 7\n";
        let (path, limits) = (Path::new("t.data"), ReadLimits::default());
        let rows = rows_of(path, text, Delimiter::Blanks, Quoting::Used, 0, &limits).unwrap();
        let cells: Vec<(u64, Vec<String>)> =
            rows.into_iter().map(|row| (row.line, row.cells)).collect();
        let row = |line: u64, cells: [&str; 3]| (line, cells.map(str::to_string).to_vec());
        assert_eq!(
            cells,
            [
                row(1, ["1.5", "2", "3"]),
                row(3, ["4", "5\"\"", "a  b"]),
                row(4, ["c \"d\"  e", "6", "7"]),
            ]
        );
    }

    #[test]
    fn what_is_said_of_delimiter_and_decimal_mark_overrules_what_it_looks_like() {
        let limits = ReadLimits::default();
        let said = |dialect| {
            let reading = Reading {
                dialect,
                ..Reading::whole(&limits)
            };
            read_from(Path::new("t.csv"), b"a;b\n1;2,5\n3;4\n5;6,5\n", reading).unwrap()
        };
        let found = said(Dialect::default());
        assert_eq!((found.header.len(), found.decimal), (2, Decimal::Comma));
        let by_bar = said(Dialect {
            delimiter: Some(Delimiter::Byte(b'|')),
            ..Dialect::default()
        });
        assert_eq!(by_bar.header, ["a;b"]);
        let pointed = said(Dialect {
            decimal: Some(Decimal::Point),
            ..Dialect::default()
        });
        assert_eq!(
            (pointed.decimal, pointed.notices.len()),
            (Decimal::Point, 0)
        );
    }
}
