//! ARFF, the format of Weka: columns are declared before the data, words with all their values.
//!
//! Dense and sparse rows; columns of whole series (`relational`) are refused.

use std::{collections::BTreeSet, path::Path};

use super::{
    Reading,
    dialect::Decimal,
    encoding::decode,
    text::{Declared, Judged, Names, Records, check_header, malformed, numbered_lines, read_bytes},
};
use crate::error::DataError;

/// What a column may hold.
enum Kind {
    Number,
    /// Any words.
    Words,
    /// Dates or times.
    Times,
    /// One of these.
    OneOf(Values),
}

/// The values that a column may have.
struct Values {
    /// In the order in which the file declares them.
    declared: Vec<String>,
    /// The same, to be looked up: there may be thousands, and every cell is one of them.
    known: BTreeSet<String>,
}

impl Values {
    fn of(declared: Vec<String>) -> Values {
        let known = declared.iter().cloned().collect();
        Values { declared, known }
    }
}

struct Attribute {
    name: String,
    kind: Kind,
}

/// Reads an ARFF file, plain or gzipped.
pub(super) fn read(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    let mut notices = Vec::new();
    let bytes = read_bytes(path, reading.limits)?;
    let text = decode(path, &bytes, reading.dialect.encoding, &mut notices)?;
    let mut lines = numbered_lines(&text, &['%']);
    let attributes = declarations(path, &mut lines)?;
    let header: Vec<String> = attributes.iter().map(|a| a.name.clone()).collect();
    check_header(path, &header, reading.limits)?;
    let mut judged = Judged::new();
    for (line, text) in lines {
        let cells = match text.strip_prefix('{') {
            Some(rest) => sparse_cells(rest, &attributes),
            None => dense_cells(text, &attributes),
        };
        let cells = cells.map_err(|odd| format!("line {line}: {odd}"));
        judged.add(path, reading, line, cells)?;
    }
    let declared = attributes.iter().map(|attribute| match attribute.kind {
        Kind::Number => Declared::Number,
        Kind::Words | Kind::OneOf(_) => Declared::Words,
        Kind::Times => Declared::Times,
    });
    Ok(Records {
        header,
        names: Names::Written,
        declared: declared.collect(),
        rows: judged.rows,
        decimal: Decimal::Point,
        notices,
        unread: judged.unread,
        numbers: None,
        chosen: None,
    })
}

/// Reads up to `@data`.
fn declarations<'a>(
    path: &Path,
    lines: &mut impl Iterator<Item = (u64, &'a str)>,
) -> Result<Vec<Attribute>, DataError> {
    let mut attributes = Vec::new();
    for (line, text) in lines {
        let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match keyword.to_ascii_lowercase().as_str() {
            "@relation" => {}
            "@data" if attributes.is_empty() => {
                let problem = format!("line {line}: the data begin before any @attribute");
                return Err(malformed(path, problem));
            }
            "@data" => return Ok(attributes),
            "@attribute" => {
                let parsed = attribute(rest.trim());
                attributes
                    .push(parsed.map_err(|what| malformed(path, format!("line {line}: {what}")))?);
            }
            _ => {
                let problem =
                    format!("line {line} begins with `{keyword}`: @attribute or @data is expected");
                return Err(malformed(path, problem));
            }
        }
    }
    Err(malformed(
        path,
        "it has no @data: an ARFF file has its rows behind that".into(),
    ))
}

fn attribute(text: &str) -> Result<Attribute, String> {
    let (name, rest) = first_word(text, char::is_whitespace);
    let rest = rest.trim();
    if name.is_empty() || rest.is_empty() {
        return Err(format!("`@attribute {text}` names no column and kind"));
    }
    if let Some(list) = rest.strip_prefix('{') {
        let list = list.trim_end().strip_suffix('}');
        let list = list.ok_or_else(|| format!("the values of `{name}` have no closing brace"))?;
        let values = Values::of(split(list));
        return Ok(Attribute {
            name,
            kind: Kind::OneOf(values),
        });
    }
    let (word, _) = first_word(rest, char::is_whitespace);
    let kind = match word.to_ascii_lowercase().as_str() {
        "numeric" | "real" | "integer" => Kind::Number,
        "string" => Kind::Words,
        "date" => Kind::Times,
        "relational" => {
            return Err(format!(
                "`{name}` is relational, which is not read: bring series as a .ts file"
            ));
        }
        other => {
            return Err(format!(
                "`{name}` is of kind `{other}`: numeric, string, date or {{values}} are known"
            ));
        }
    };
    Ok(Attribute { name, kind })
}

fn dense_cells(text: &str, attributes: &[Attribute]) -> Result<Vec<String>, String> {
    let cells = split(text);
    if cells.len() != attributes.len() {
        return Err(format!(
            "it has {} values, but {} columns are declared",
            cells.len(),
            attributes.len()
        ));
    }
    for (cell, attribute) in cells.iter().zip(attributes) {
        check(cell, attribute)?;
    }
    Ok(cells)
}

/// Pairs of a column's number, from 0, and its value; what is not named is 0, or the first value.
fn sparse_cells(text: &str, attributes: &[Attribute]) -> Result<Vec<String>, String> {
    let list = text.trim_end().strip_suffix('}');
    let list = list.ok_or("its opening brace is never closed")?;
    let mut cells: Vec<String> = attributes
        .iter()
        .map(|attribute| match &attribute.kind {
            Kind::OneOf(values) => values.declared.first().cloned().unwrap_or_default(),
            Kind::Number | Kind::Words | Kind::Times => "0".to_string(),
        })
        .collect();
    let mut rest = behind_commas(list);
    while !rest.is_empty() {
        let is_end = |letter: char| letter == ',' || letter.is_whitespace();
        let (place, behind) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
        let value = behind.trim_start();
        if value.is_empty() || value.starts_with(',') {
            return Err(format!(
                "`{place}` is no pair of a column's number and a value"
            ));
        }
        let column = place.parse::<usize>().ok();
        let column = column.filter(|column| *column < cells.len());
        let column = column.ok_or_else(|| format!("`{place}` names no column"))?;
        let (value, behind) = first_word(value, |letter| letter == ',');
        let behind = behind.trim_start();
        if !behind.is_empty() && !behind.starts_with(',') {
            return Err(format!(
                "behind the quotes of `{value}` stands `{behind}`, where a comma is expected"
            ));
        }
        check(&value, &attributes[column])?;
        cells[column] = value;
        rest = behind_commas(behind);
    }
    Ok(cells)
}

/// A text without the commas and blanks that it begins with.
fn behind_commas(text: &str) -> &str {
    text.trim_start_matches(|letter: char| letter == ',' || letter.is_whitespace())
}

fn check(cell: &str, attribute: &Attribute) -> Result<(), String> {
    let name = &attribute.name;
    match &attribute.kind {
        _ if cell == "?" => Ok(()),
        Kind::OneOf(values) if !values.known.contains(cell) => Err(format!(
            "`{cell}` is not among the declared values of `{name}` ({})",
            values.declared.join(", ")
        )),
        Kind::Number if cell.parse::<f64>().is_err() => Err(format!(
            "`{cell}` is no number, but `{name}` is declared as one"
        )),
        _ => Ok(()),
    }
}

/// The values between commas, without their quotes.
fn split(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut rest = text;
    loop {
        let (value, behind) = first_word(rest.trim_start(), |letter| letter == ',');
        values.push(value);
        match behind.trim_start().strip_prefix(',') {
            Some(more) => rest = more,
            None => return values,
        }
    }
}

/// What stands before the first end, without quotes around it, and the rest.
fn first_word(text: &str, is_end: impl Fn(char) -> bool) -> (String, &str) {
    let Some(quote) = text
        .chars()
        .next()
        .filter(|first| matches!(first, '\'' | '"'))
    else {
        let end = text.find(is_end).unwrap_or(text.len());
        return (text[..end].trim().to_string(), &text[end..]);
    };
    let mut word = String::new();
    let mut letters = text.char_indices().skip(1);
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next().map(|(_, escaped)| escaped)),
            letter if letter == quote => return (word, &text[place + letter.len_utf8()..]),
            letter => word.push(letter),
        }
    }
    (word, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ReadLimits;

    #[test]
    fn quoted_names_and_values_lose_their_quotes() {
        let parsed = attribute("'credit amount' {'0 to 4', \"it's\", 'it\\'s', plain}").unwrap();
        assert_eq!(parsed.name, "credit amount");
        let Kind::OneOf(values) = parsed.kind else {
            panic!("it has values")
        };
        assert_eq!(values.declared, ["0 to 4", "it's", "it's", "plain"]);
    }

    #[test]
    fn a_value_is_known_wherever_it_is_declared_and_others_are_told_with_those_in_their_order() {
        let attributes = [attribute("c {v2, v10, v1, v2}").unwrap()];
        for value in ["v1", "v2", "v10", "?"] {
            assert_eq!(dense_cells(value, &attributes).unwrap(), [value]);
        }
        let refused = dense_cells("v3", &attributes).unwrap_err();
        let expected = "`v3` is not among the declared values of `c` (v2, v10, v1, v2)";
        assert_eq!(refused, expected);
    }

    #[test]
    fn a_sparse_row_says_only_what_differs() {
        let attributes = ["a numeric", "c {x,y}", "b real"].map(|text| attribute(text).unwrap());
        assert_eq!(
            sparse_cells("0 1.5, 1 y}", &attributes).unwrap(),
            ["1.5", "y", "0"]
        );
        assert_eq!(sparse_cells("}", &attributes).unwrap(), ["0", "x", "0"]);
        assert_eq!(
            sparse_cells("0 3,,\t1  y ,}", &attributes).unwrap(),
            ["3", "y", "0"]
        );
        assert!(
            sparse_cells("1 z}", &attributes)
                .unwrap_err()
                .contains("`z`")
        );
        assert!(
            sparse_cells("7 1}", &attributes)
                .unwrap_err()
                .contains("no column")
        );
    }

    #[test]
    fn a_comma_within_quotes_separates_no_pairs_of_a_sparse_row() {
        let attributes = ["a string", "c {'x, y',z}", "b real"].map(|a| attribute(a).unwrap());
        assert_eq!(
            sparse_cells("0 'one, 2 three', 1 'x, y',2 4}", &attributes).unwrap(),
            ["one, 2 three", "x, y", "4"]
        );
        let refused = |row: &str| sparse_cells(row, &attributes).unwrap_err();
        assert!(refused("0 'one' two, 2 4}").contains("stands `two, 2 4`"));
        assert!(refused("0, 2 4}").contains("`0` is no pair"));
        assert!(refused("0 'one', 2}").contains("`2` is no pair"));
    }

    fn records(text: &str, limits: &ReadLimits) -> Result<Records, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.arff");
        std::fs::write(&path, text).unwrap();
        read(&path, Reading::whole(limits))
    }

    #[test]
    fn sparse_rows_of_many_columns_are_refused_before_they_take_all_memory() {
        let columns = (0..100).map(|column| format!("@attribute a{column} numeric\n"));
        let head = format!("@relation r\n{}@data\n", columns.collect::<String>());
        let limits = ReadLimits {
            bytes_max: 20_000,
            ..ReadLimits::default()
        };
        let read = |rows: usize| records(&format!("{head}{}", "{0 1}\n".repeat(rows)), &limits);
        assert_eq!(read(5).unwrap().rows.len(), 5);
        let Err(refused) = read(500) else {
            panic!("they were read");
        };
        let told = refused.to_string();
        assert!(told.contains("exceeds the limit of 20000 bytes"), "{told}");
    }
}
