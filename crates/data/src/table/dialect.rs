//! How a table is written as text: what separates cells, how a fraction is written, how characters are bytes.
//!
//! All of it is found out by looking, and all of it can be said.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    columns::{is_missing, number},
    encoding::Encoding,
    text::{Row, squeezed},
};

/// Lines that are looked at to find the delimiter.
const SNIFFED_LINES: usize = 50;

/// Cells between blanks are cells if so many of them at least are numbers: words stand between blanks, too.
const NUMBERS_BETWEEN_BLANKS_MIN: f64 = 0.5;

/// Characters that separate cells without being said; of equally good ones the last.
const USUAL: [u8; 4] = [b'|', b'\t', b';', b','];

/// What a user says of the way in which a table is written; what is absent is found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// What separates cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// How a fraction is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// How characters are written as bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
}

impl Dialect {
    /// Whether nothing is said.
    pub fn is_found_out(&self) -> bool {
        *self == Dialect::default()
    }

    /// What separates the cells of a text.
    pub(crate) fn delimiter_of(self, text: &str) -> Delimiter {
        self.delimiter.unwrap_or_else(|| sniff_delimiter(text))
    }

    /// The same, except for what `other` says.
    #[must_use]
    pub fn overruled_by(self, other: Dialect) -> Dialect {
        Dialect {
            delimiter: other.delimiter.or(self.delimiter),
            decimal: other.decimal.or(self.decimal),
            encoding: other.encoding.or(self.encoding),
        }
    }
}

/// How a fraction is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decimal {
    /// As in `0.5`.
    Point,
    /// As in `0,5`.
    Comma,
}

/// What separates the cells of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Delimiter {
    /// A character of one byte, each time.
    Byte(u8),
    /// Blanks and tabs, any number of them.
    Blanks,
}

impl Delimiter {
    pub(crate) const COMMA: Delimiter = Delimiter::Byte(b',');
    pub(crate) const SEMICOLON: Delimiter = Delimiter::Byte(b';');
    pub(crate) const TAB: Delimiter = Delimiter::Byte(b'\t');

    /// Whether a cell may begin behind this byte.
    pub(crate) fn separates(self, byte: u8) -> bool {
        match self {
            Delimiter::Byte(own) => byte == own,
            Delimiter::Blanks => matches!(byte, b' ' | b'\t'),
        }
    }

    /// How many cells a line has, if none is quoted.
    pub(super) fn cells_in(self, line: &str) -> usize {
        match self {
            Delimiter::Byte(byte) => 1 + line.bytes().filter(|other| *other == byte).count(),
            Delimiter::Blanks => line.split_whitespace().count(),
        }
    }

    /// Whether a cell may begin behind this byte, as long as it is not known what separates cells.
    pub(crate) fn may_separate(byte: u8) -> bool {
        USUAL.contains(&byte)
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delimiter::Byte(b'\t') => f.write_str("tab"),
            Delimiter::Byte(b' ') => f.write_str("space"),
            Delimiter::Byte(byte) => write!(f, "{}", char::from(*byte)),
            Delimiter::Blanks => f.write_str("blanks"),
        }
    }
}

impl FromStr for Delimiter {
    type Err = String;

    fn from_str(text: &str) -> Result<Delimiter, String> {
        match text {
            "tab" | "\\t" => return Ok(Delimiter::TAB),
            "space" => return Ok(Delimiter::Byte(b' ')),
            "blanks" => return Ok(Delimiter::Blanks),
            _ => {}
        }
        let refused = ["\"", "\n", "\r", "\0"];
        match text.as_bytes() {
            [byte] if byte.is_ascii() && !refused.contains(&text) => Ok(Delimiter::Byte(*byte)),
            _ => Err(format!(
                "`{}` separates no cells: it is one character of ASCII, no quote and no line end, or `tab`, `space` \
                 or `blanks` (any number of them)",
                text.escape_default()
            )),
        }
    }
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Delimiter, String> {
        text.parse()
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> String {
        delimiter.to_string()
    }
}

/// The delimiter that splits the first lines into the most equal and the most numerous cells; blanks, if they make a
/// table and no other does, or tabs leave numbers side by side.
pub(crate) fn sniff_delimiter(text: &str) -> Delimiter {
    let lines: Vec<&str> = text
        .lines()
        .take(SNIFFED_LINES)
        .filter(|line| !line.trim().is_empty())
        .collect();
    let quality = |delimiter: u8| {
        let counts: Vec<usize> = lines.iter().map(|line| unquoted(line, delimiter)).collect();
        let first = counts.first().copied().unwrap_or(0);
        let equal = counts
            .iter()
            .filter(|count| **count == first && first > 0)
            .count();
        (equal, first)
    };
    let best = USUAL
        .into_iter()
        .max_by_key(|delimiter| quality(*delimiter));
    let best = Delimiter::Byte(best.unwrap_or(b','));
    let may_be_blanks = match best {
        Delimiter::TAB => lines.iter().all(|line| has_numbers_side_by_side(line)),
        Delimiter::Byte(byte) => quality(byte).0 == 0,
        Delimiter::Blanks => true,
    };
    match may_be_blanks && are_table_of_blanks(&lines) {
        true => Delimiter::Blanks,
        false => best,
    }
}

/// Whether blanks stand between two numbers of a cell, if tabs separate cells: they do so, too, then.
fn has_numbers_side_by_side(line: &str) -> bool {
    let is_number = |part: &&str| number(part, Decimal::Point).is_some();
    let mut cells = line.split('\t');
    cells.any(|cell| cell.split_whitespace().filter(is_number).count() > 1)
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

/// Whether blanks split all lines into equally many cells, of which many are numbers.
fn are_table_of_blanks(lines: &[&str]) -> bool {
    let squeezed: Vec<String> = lines.iter().map(|line| squeezed(line)).collect();
    let lines: Vec<Vec<&str>> = squeezed
        .iter()
        .map(|line| line.split('\t').collect())
        .collect();
    // The first line may name the columns, unless it is the only one.
    let (first, rest) = match &lines[..] {
        [] => return false,
        [only] => (only, &lines[..]),
        [first, rest @ ..] => (first, rest),
    };
    let cells = || rest.iter().flatten();
    let is_number = |cell: &str, mark: Decimal| number(cell, mark).is_some();
    let marks = [Decimal::Point, Decimal::Comma];
    let is_value =
        |cell: &&&str| is_missing(cell) || marks.into_iter().any(|mark| is_number(cell, mark));
    let values = cells().filter(is_value).count() as f64;
    let is_even = rest.iter().all(|line| line.len() == first.len());
    first.len() > 1 && is_even && values >= NUMBERS_BETWEEN_BLANKS_MIN * cells().count() as f64
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
    fn what_separates_most_and_evenly_is_the_delimiter() {
        assert_eq!(sniff_delimiter("a,b;c\n1,2;3\n"), Delimiter::COMMA);
        assert_eq!(sniff_delimiter("a;b;c\n1,2;3;4\n"), Delimiter::SEMICOLON);
        assert_eq!(sniff_delimiter("a\tb c\n1\t2 3\n4\t5 6\n"), Delimiter::TAB);
    }

    #[test]
    fn blanks_separate_where_nothing_else_does_and_numbers_stand_between_them() {
        let housing = " 0.00632  18.00   2.310  0\n 0.02731   0.00   7.070  ?\n12.1 0 7.07 1\n";
        assert_eq!(sniff_delimiter(housing), Delimiter::Blanks);
        let named = "mpg cyl name\n18.0   8  \"chevrolet  malibu\"\n15.0 8 \"buick\"\n";
        assert_eq!(sniff_delimiter(named), Delimiter::Blanks);
        let mixed =
            "18.0  8  307.0\t\"chevrolet\"\n15.0 8 350.0\t\"buick  skylark\"\n9 4 8\t\"x\"\n";
        assert_eq!(sniff_delimiter(mixed), Delimiter::Blanks);
        assert_eq!(sniff_delimiter("a b\n1 2\n"), Delimiter::Blanks);
        assert_eq!(
            sniff_delimiter("town size\nBonn 1,5\nUlm 2\n"),
            Delimiter::Blanks
        );
        assert_eq!(sniff_delimiter(" 1.5  2 x\n"), Delimiter::Blanks);
        let times = "2020-01-01 10:00:00\t1.5\t2\n2020-01-02 11:00:00\t2.5\t3\n";
        assert_eq!(sniff_delimiter(times), Delimiter::TAB);
        let sentences = "text\nso it goes\nthat is all\n";
        assert_eq!(sniff_delimiter(sentences), Delimiter::COMMA);
        let equal = "one two\nthree four\nfive six\n";
        assert_eq!(sniff_delimiter(equal), Delimiter::COMMA);
    }

    #[test]
    fn delimiters_are_read_as_they_are_written() {
        for delimiter in [
            Delimiter::COMMA,
            Delimiter::TAB,
            Delimiter::Blanks,
            Delimiter::Byte(b' '),
            Delimiter::Byte(b'^'),
            Delimiter::Byte(1),
        ] {
            assert_eq!(delimiter.to_string().parse(), Ok(delimiter));
        }
        assert_eq!("\\t".parse(), Ok(Delimiter::TAB));
        for refused in ["", "::", "\"", "\n", "é"] {
            assert!(refused.parse::<Delimiter>().is_err(), "{refused:?}");
        }
    }
}
