//! JSON Lines, one object per line, and JSON with an array of objects: keys are columns, in the order in
//! which they are written. Values that are lists or objects themselves are refused where their column is taken.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    Reading, Taken,
    encoding::decode,
    text::{Judged, Ragged, Records, Row, check_header, malformed, read_bytes},
};
use crate::{error::DataError, notice::Notice};

/// Reads a file of objects, plain or gzipped.
pub(super) fn read(path: &Path, reading: Reading<'_>) -> Result<Records, DataError> {
    let mut notices = Vec::new();
    let objects = objects(path, reading, &mut notices)?;
    let records = records_of(path, objects, reading)?;
    Ok(Records { notices, ..records })
}

/// Reads the first lines of a file of objects; their keys are the columns.
pub(super) fn first_lines(
    path: &Path,
    text: &str,
    reading: Reading<'_>,
) -> Result<Records, DataError> {
    records_of(path, of_lines(text, 0).collect(), reading)
}

/// The rows of further lines, whose columns are known.
pub(super) fn rows_of(
    path: &Path,
    header: &[String],
    reading: Reading<'_>,
    text: &str,
    lines_before: u64,
) -> Result<Vec<Row>, DataError> {
    let judged = judged(path, header, reading, text, lines_before)?;
    Ok(judged.rows)
}

/// The same, each for itself where such are kept that cannot be read.
pub(crate) fn judged(
    path: &Path,
    header: &[String],
    reading: Reading<'_>,
    text: &str,
    lines_before: u64,
) -> Result<Judged, DataError> {
    judge(path, header, reading, of_lines(text, lines_before))
}

fn judge(
    path: &Path,
    header: &[String],
    reading: Reading<'_>,
    objects: impl Iterator<Item = Numbered>,
) -> Result<Judged, DataError> {
    let places: BTreeMap<&str, usize> = header.iter().map(String::as_str).zip(0..).collect();
    let place = |key: &str| places.get(key).copied();
    let mut judged = Judged::new();
    for found in objects {
        let line = found.0;
        let cells = cells_of(found, header.len(), &place, reading.taken);
        judged.add(path, reading, line, cells)?;
    }
    Ok(judged)
}

/// The keys of the first object of a text that can be read.
pub(crate) fn first_keys(text: &str) -> Option<Vec<String>> {
    let first = of_lines(text, 0).find_map(|(_, object)| object.ok())?;
    Some(first.0.into_iter().map(|(key, _)| key).collect())
}

fn records_of(
    path: &Path,
    objects: Vec<Numbered>,
    reading: Reading<'_>,
) -> Result<Records, DataError> {
    let mut header: Vec<String> = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let read = objects
        .iter()
        .filter_map(|(_, object)| object.as_ref().ok());
    for (key, _) in read.flat_map(|object| &object.0) {
        if known.insert(key) {
            header.push(key.clone());
        }
    }
    let first_odd = objects.iter().find_map(|(_, object)| object.as_ref().err());
    if let Some(odd) = first_odd
        && (reading.ragged == Ragged::Refuse || header.is_empty())
    {
        return Err(malformed(path, odd.clone()));
    }
    check_header(path, &header, reading.limits)?;
    let judged = judge(path, &header, reading, objects.into_iter())?;
    Ok(Records {
        unread: judged.unread,
        ..Records::named(header, judged.rows)
    })
}

/// The cells of an object.
///
/// # Errors
/// What is wrong with it, as a sentence with its line.
fn cells_of(
    (line, object): Numbered,
    width: usize,
    place: &dyn Fn(&str) -> Option<usize>,
    taken: Taken<'_>,
) -> Result<Vec<String>, String> {
    let mut cells: Vec<Option<String>> = vec![None; width];
    for (key, value) in object?.0 {
        let Some(place) = place(&key) else {
            if !taken.is_taken(&key) {
                continue;
            }
            return Err(format!(
                "line {line} has the key `{key}`, which the first lines have not: the columns of a \
                 large file are told by its beginning, so name it there (null will do)"
            ));
        };
        let cell = match cell(value) {
            Ok(cell) => cell,
            Err(_) if !taken.is_taken(&key) => String::new(),
            Err(what) => {
                return Err(format!(
                    "line {line}: `{key}` holds {what}: only numbers, words and true or false are read (--ignore \
                     {key} leaves it out)"
                ));
            }
        };
        if cells[place].replace(cell).is_some() {
            return Err(format!(
                "line {line} has the key `{key}` twice: remove one of them"
            ));
        }
    }
    Ok(cells.into_iter().map(Option::unwrap_or_default).collect())
}

/// Keys and values as they are written, one after the other.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object in braces")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Object(fields))
    }
}

/// Where an object stands, and it, or what is wrong with it.
type Numbered = (u64, Result<Object, String>);

/// All objects of a file, and the line of each; in an array, its number.
fn objects(
    path: &Path,
    reading: Reading<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Numbered>, DataError> {
    let bytes = read_bytes(path, reading.limits)?;
    let text = decode(path, &bytes, reading.dialect.encoding, notices)?;
    let mut objects = Vec::new();
    if text.trim_start().starts_with('[') {
        let all: Vec<Object> = serde_json::from_str(&text).map_err(|error| {
            malformed(path, format!("it is no JSON array of objects ({error})"))
        })?;
        objects.extend((1..).zip(all.into_iter().map(Ok)));
    } else {
        objects.extend(of_lines(&text, 0));
    }
    if objects.is_empty() {
        return Err(malformed(
            path,
            "the file is empty: objects are needed".into(),
        ));
    }
    Ok(objects)
}

/// The object of every line that is not empty.
fn of_lines(text: &str, lines_before: u64) -> impl Iterator<Item = Numbered> {
    let lines = (lines_before + 1..).zip(text.lines());
    let some = lines.filter(|(_, line)| !line.trim().is_empty());
    some.map(|(number, line)| {
        let object = serde_json::from_str(line);
        let object = object.map_err(|error| format!("line {number} is no JSON object ({error})"));
        (number, object)
    })
}

fn cell(value: Value) -> Result<String, &'static str> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(value) => Ok(value.to_string()),
        Value::String(text) => Ok(text.trim().to_string()),
        Value::Array(_) => Err("a list"),
        Value::Object(_) => Err("an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::ReadLimits;

    fn records(text: &str) -> Result<Records, DataError> {
        read_with(text, Ragged::Refuse)
    }

    fn read_with(text: &str, ragged: Ragged) -> Result<Records, DataError> {
        let limits = ReadLimits::default();
        let reading = Reading {
            ragged,
            ..Reading::whole(&limits)
        };
        first_lines(Path::new("t.jsonl"), text, reading)
    }

    #[test]
    fn what_is_no_row_is_kept_with_its_reason_where_rows_are_to_be_judged_one_by_one() {
        let text = "{\"a\": 1}\nno object\n{\"a\": [1]}\n\n{\"a\": 2}\n";
        let records = read_with(text, Ragged::Keep).unwrap();
        let cells: Vec<usize> = records.rows.iter().map(|row| row.cells.len()).collect();
        assert_eq!(
            (cells, records.header),
            (vec![1, 0, 0, 1], vec!["a".to_string()])
        );
        assert!(records.unread[&1].starts_with("line 2 is no JSON object ("));
        assert!(records.unread[&2].starts_with("line 3: `a` holds a list"));
    }

    #[test]
    fn columns_stand_in_the_order_in_which_their_keys_are_written() {
        let records = records("{\"size\": 1, \"colour\": \"red\"}\n{\"colour\": 2, \"age\": 3}\n");
        let records = records.unwrap();
        assert_eq!(records.header, ["size", "colour", "age"]);
        assert_eq!(records.rows[1].cells, ["", "2", "3"]);
    }

    #[test]
    fn lines_with_a_key_each_are_refused_before_they_take_what_their_square_does() {
        let lines = |count: usize| -> String {
            let line = |line: usize| format!("{{\"k{line}\": 1}}\n");
            (0..count).map(line).collect()
        };
        let limits = ReadLimits {
            bytes_max: 20_000,
            ..ReadLimits::default()
        };
        let read = |count: usize| {
            let reading = Reading::whole(&limits);
            first_lines(Path::new("t.jsonl"), &lines(count), reading)
        };
        assert_eq!(read(20).unwrap().rows.len(), 20);
        let Err(refused) = read(200) else {
            panic!("they were read");
        };
        let told = refused.to_string();
        assert!(told.contains("exceeds the limit of 20000 bytes"), "{told}");
    }

    #[test]
    fn a_key_that_is_given_twice_and_a_line_that_is_no_object_are_refused() {
        let said = |text: &str| match records(text) {
            Ok(_) => panic!("{text} was read"),
            Err(error) => error.to_string(),
        };
        let twice = said("{\"a\": 1}\n{\"a\": 1, \"a\": null}\n");
        assert!(twice.contains("line 2 has the key `a` twice"), "{twice}");
        let list = said("[1]\n");
        assert!(list.contains("expected an object in braces"), "{list}");
    }
}
