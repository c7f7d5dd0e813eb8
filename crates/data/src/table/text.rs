//! From the bytes of a delimited file to its records: encoding, delimiter and header are found out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::Path,
};

use flate2::read::MultiGzDecoder;

use super::{
    Reading,
    chosen::Chosen,
    header::{HeaderLine, is_header, numbered},
};
use crate::{error::DataError, limits::ReadLimits, notice::Notice};

/// Lines that are looked at to find the delimiter.
const SNIFFED_LINES: usize = 50;

/// A cell with more than this many line ends is an unbalanced quote, not text.
const CELL_LINES_MAX: usize = 200;

/// What may separate cells; of equally good ones the last.
pub(crate) const DELIMITERS: [u8; 4] = [b'|', b'\t', b';', b','];

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
}

/// A record and the line where it starts.
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) cells: Vec<String>,
}

/// Rows of a format that says of each by itself whether it is one.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) rows: Vec<Row>,
    /// As in [`Records`].
    pub(super) unread: BTreeMap<usize, String>,
}

impl Judged {
    /// Adds a row; of one that could not be read only its line, if such rows are kept.
    ///
    /// # Errors
    /// What is wrong with it, if they are not.
    pub(super) fn add(
        &mut self,
        path: &Path,
        ragged: Ragged,
        line: u64,
        cells: Result<Vec<String>, String>,
    ) -> Result<(), DataError> {
        let cells = match (cells, ragged) {
            (Ok(cells), _) => cells,
            (Err(odd), Ragged::Refuse) => return Err(malformed(path, odd)),
            (Err(odd), Ragged::Keep) => {
                self.unread.insert(self.rows.len(), odd);
                Vec::new()
            }
        };
        self.rows.push(Row { line, cells });
        Ok(())
    }
}

/// How a fraction is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decimal {
    Point,
    Comma,
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
    let text = decode(path, bytes, &mut notices)?;
    let delimiter = sniff_delimiter(&text);
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
            notices.push(Notice::note(format!(
                "the first line is taken for data, so the columns are called {} \
                 (--header present says otherwise)",
                shown(&header)
            )));
            header
        }
    };
    check_header(path, &header, reading.limits)?;
    if reading.ragged == Ragged::Refuse {
        refuse_ragged(path, &header, &rows)?;
    }
    let decimal = match delimiter {
        b';' if has_decimal_commas(&rows) => {
            notices.push(Notice::note(
                "`;` separates the columns and `,` is the decimal mark",
            ));
            Decimal::Comma
        }
        _ => Decimal::Point,
    };
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
            limit: format!("{} bytes", limits.bytes_max),
        });
    }
    Ok(bytes)
}

/// Text from bytes: UTF-8 and UTF-16 by their marks, otherwise UTF-8, otherwise Latin-1.
pub(crate) fn decode(
    path: &Path,
    bytes: &[u8],
    notices: &mut Vec<Notice>,
) -> Result<String, DataError> {
    decode_part(path, bytes, 0, notices)
}

/// Text from bytes that stand behind so many lines of their file.
pub(super) fn decode_part(
    path: &Path,
    bytes: &[u8],
    lines_before: u64,
    notices: &mut Vec<Notice>,
) -> Result<String, DataError> {
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(path, rest, u16::from_le_bytes, notices)?,
        [0xfe, 0xff, rest @ ..] => utf16(path, rest, u16::from_be_bytes, notices)?,
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_string(),
            Err(_) => {
                notices.push(Notice::note(
                    "the text is not UTF-8 and was read as Latin-1",
                ));
                bytes.iter().map(|byte| char::from(*byte)).collect()
            }
        },
    };
    match text.bytes().position(|byte| byte == 0) {
        Some(place) => {
            let line = lines_before + text[..place].matches('\n').count() as u64 + 1;
            Err(malformed(
                path,
                format!("line {line} holds a NUL byte: this is no text table"),
            ))
        }
        None => Ok(text),
    }
}

fn utf16(
    path: &Path,
    bytes: &[u8],
    unit: fn([u8; 2]) -> u16,
    notices: &mut Vec<Notice>,
) -> Result<String, DataError> {
    notices.push(Notice::note("the text is UTF-16"));
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    String::from_utf16(&units).map_err(|_| {
        malformed(
            path,
            "it begins like UTF-16 but is not: save it as UTF-8".into(),
        )
    })
}

/// The delimiter that splits the first lines into the most equal and the most numerous cells.
pub(crate) fn sniff_delimiter(text: &str) -> u8 {
    let lines: Vec<&str> = text
        .lines()
        .take(SNIFFED_LINES)
        .filter(|l| !l.is_empty())
        .collect();
    let quality = |delimiter: &u8| {
        let counts: Vec<usize> = lines
            .iter()
            .map(|line| unquoted(line, *delimiter))
            .collect();
        let first = counts.first().copied().unwrap_or(0);
        let equal = counts
            .iter()
            .filter(|count| **count == first && first > 0)
            .count();
        (equal, first)
    };
    DELIMITERS.into_iter().max_by_key(quality).unwrap_or(b',')
}

fn unquoted(line: &str, delimiter: u8) -> usize {
    let mut quoted = false;
    let mut count = 0;
    for byte in line.bytes() {
        quoted ^= byte == b'"';
        count += usize::from(byte == delimiter && !quoted);
    }
    count
}

fn parse(
    path: &Path,
    text: &str,
    delimiter: u8,
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
    pub(crate) fn of(text: &str, delimiter: u8) -> Quoting {
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
    delimiter: u8,
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
    pub(crate) delimiter: u8,
    pub(crate) quoting: Quoting,
    pub(crate) lines_before: u64,
}

impl Delimited<'_> {
    /// Shows every record, with the line of the file in which it begins.
    pub(crate) fn each(
        &self,
        see: &mut dyn FnMut(u64, &csv::StringRecord) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .quoting(self.quoting == Quoting::Used)
            .has_headers(false)
            .flexible(true)
            .from_reader(self.text.as_bytes());
        let path = self.path;
        let mut record = csv::StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| malformed(path, error.to_string()))?
        {
            let line = self.lines_before + record.position().map_or(0, |at| self.line_at(at));
            if let Some(cell) = record.iter().find(|cell| line_ends(cell) > CELL_LINES_MAX) {
                let lines = line_ends(cell);
                let problem = format!(
                    "line {line} opens a quote that runs over {lines} lines: close it, or double it"
                );
                return Err(malformed(path, problem));
            }
            see(line, &record)?;
        }
        Ok(())
    }

    /// The line of the text in which a record begins: the parser stands before the line ends that it skips
    /// on the way to it.
    fn line_at(&self, position: &csv::Position) -> u64 {
        let rest = self.text.as_bytes().iter().skip(position.byte() as usize);
        let skipped = rest.take_while(|byte| matches!(byte, b'\r' | b'\n'));
        position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
    }
}

fn line_ends(cell: &str) -> usize {
    cell.bytes().filter(|byte| *byte == b'\n').count()
}

/// Files with tabs rarely quote, and then a quote is part of the text: so it is if every line has as many
/// tabs as the first, and not every line has a cell in quotes.
fn is_without_quoting(text: &str, delimiter: u8) -> bool {
    if delimiter != b'\t' {
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
fn refuse_open_quote(path: &Path, text: &str, delimiter: u8) -> Result<(), DataError> {
    let mut open_at: Option<usize> = None;
    let mut line = 1;
    let mut before = b'\n';
    for byte in text.bytes() {
        match (byte, open_at) {
            (b'"', None) if before == b'\n' || before == delimiter || before == b'\r' => {
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
            limit: format!("{} columns", limits.columns_max),
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

fn refuse_ragged(path: &Path, header: &[String], rows: &[Row]) -> Result<(), DataError> {
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
        "the header has {} columns, but line {} has {} cells ({} such line(s): line {})",
        header.len(),
        first.line,
        first.cells.len(),
        ragged.len(),
        lines.join(", ")
    );
    Err(malformed(path, problem))
}

fn has_decimal_commas(rows: &[Row]) -> bool {
    decimal_mark(rows) == Some(Decimal::Comma)
}

/// How fractions are written in the first of these rows; nothing if none of them holds one.
pub(crate) fn decimal_mark(rows: &[Row]) -> Option<Decimal> {
    let cells = || rows.iter().take(1000).flat_map(|row| &row.cells);
    let is_number = |cell: &str, mark: char| {
        cell.matches(mark).count() == 1 && cell.replace(mark, ".").parse::<f64>().is_ok()
    };
    let commas = cells().filter(|cell| is_number(cell, ',')).count();
    let points = cells().filter(|cell| is_number(cell, '.')).count();
    match (commas, points) {
        (0, 0) => None,
        _ if commas > points => Some(Decimal::Comma),
        _ => Some(Decimal::Point),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_by_the_line_in_which_it_begins() {
        let text = "a,b\r\n1,2\r\n\r\n3,\"x\r\ny\"\r\n\n5,6\n7,8";
        let (path, limits) = (Path::new("t.csv"), ReadLimits::default());
        let rows = rows_of(path, text, b',', Quoting::Used, 10, &limits).unwrap();
        let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
        assert_eq!(lines, [11, 12, 14, 17, 18]);
        assert_eq!(rows[2].cells, ["3", "x\r\ny"]);
    }
}
