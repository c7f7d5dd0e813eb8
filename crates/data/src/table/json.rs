//! JSON Lines, one object per line, and JSON with an array of objects: keys are columns, in the order in
//! which they are written. Values that are lists or objects themselves are refused.

use std::{collections::BTreeMap, fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::text::{Records, Row, check_header, decode, malformed, read_bytes};
use crate::{error::DataError, limits::ReadLimits, notice::Notice};

/// Reads a file of objects, plain or gzipped.
pub(super) fn read(path: &Path, limits: &ReadLimits) -> Result<Records, DataError> {
    let mut notices = Vec::new();
    let objects = objects(path, limits, &mut notices)?;
    records_of(path, objects, notices, limits)
}

/// Reads the first lines of a file of objects; their keys are the columns.
pub(super) fn first_lines(
    path: &Path,
    text: &str,
    limits: &ReadLimits,
) -> Result<Records, DataError> {
    let mut objects = Vec::new();
    each_line(path, text, 0, &mut |line, object| {
        objects.push((line, object));
        Ok(())
    })?;
    records_of(path, objects, Vec::new(), limits)
}

/// The rows of further lines, whose columns are known.
pub(super) fn rows_of(
    path: &Path,
    header: &[String],
    text: &str,
    lines_before: u64,
) -> Result<Vec<Row>, DataError> {
    let places: BTreeMap<&str, usize> = header.iter().map(String::as_str).zip(0..).collect();
    let mut rows = Vec::new();
    let place = |key: &str| places.get(key).copied();
    each_line(path, text, lines_before, &mut |line, object| {
        rows.push(row_of(path, (line, object), header.len(), &place)?);
        Ok(())
    })?;
    Ok(rows)
}

fn records_of(
    path: &Path,
    objects: Vec<Numbered>,
    notices: Vec<Notice>,
    limits: &ReadLimits,
) -> Result<Records, DataError> {
    let mut header: Vec<String> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (key, _) in objects.iter().flat_map(|(_, object)| &object.0) {
        if !places.contains_key(key) {
            places.insert(key.clone(), header.len());
            header.push(key.clone());
        }
    }
    check_header(path, &header, limits)?;
    let place = |key: &str| places.get(key).copied();
    let rows = objects
        .into_iter()
        .map(|object| row_of(path, object, header.len(), &place))
        .collect::<Result<_, _>>()?;
    Ok(Records {
        notices,
        ..Records::named(header, rows)
    })
}

fn row_of(
    path: &Path,
    (line, object): Numbered,
    width: usize,
    place: &dyn Fn(&str) -> Option<usize>,
) -> Result<Row, DataError> {
    let mut cells: Vec<Option<String>> = vec![None; width];
    for (key, value) in object.0 {
        let place = place(&key).ok_or_else(|| {
            let problem = format!(
                "line {line} has the key `{key}`, which the first lines have not: the columns of a \
                 large file are told by its beginning, so name it there (null will do)"
            );
            malformed(path, problem)
        })?;
        let cell = cell(value).map_err(|what| {
            let problem = format!(
                "line {line}: `{key}` holds {what}: only numbers, words and true or false are read"
            );
            malformed(path, problem)
        })?;
        if cells[place].replace(cell).is_some() {
            let problem = format!("line {line} has the key `{key}` twice: remove one of them");
            return Err(malformed(path, problem));
        }
    }
    let cells = cells.into_iter().map(Option::unwrap_or_default).collect();
    Ok(Row { line, cells })
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

/// An object and where it stands.
type Numbered = (u64, Object);

/// All objects of a file, and the line of each; in an array, its number.
fn objects(
    path: &Path,
    limits: &ReadLimits,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Numbered>, DataError> {
    let text = decode(path, &read_bytes(path, limits)?, notices)?;
    let mut objects = Vec::new();
    if text.trim_start().starts_with('[') {
        let all: Vec<Object> = serde_json::from_str(&text).map_err(|error| {
            malformed(path, format!("it is no JSON array of objects ({error})"))
        })?;
        objects.extend((1..).zip(all));
    } else {
        each_line(path, &text, 0, &mut |line, object| {
            objects.push((line, object));
            Ok(())
        })?;
    }
    if objects.is_empty() {
        return Err(malformed(
            path,
            "the file is empty: objects are needed".into(),
        ));
    }
    Ok(objects)
}

/// Shows the object of every line that is not empty.
fn each_line(
    path: &Path,
    text: &str,
    lines_before: u64,
    see: &mut dyn FnMut(u64, Object) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for (number, line) in (lines_before + 1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let object = serde_json::from_str(line).map_err(|error| {
            let problem = format!("line {number} is no JSON object ({error})");
            malformed(path, problem)
        })?;
        see(number, object)?;
    }
    Ok(())
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

    fn records(text: &str) -> Result<Records, DataError> {
        first_lines(Path::new("t.jsonl"), text, &ReadLimits::default())
    }

    #[test]
    fn columns_stand_in_the_order_in_which_their_keys_are_written() {
        let records = records("{\"size\": 1, \"colour\": \"red\"}\n{\"colour\": 2, \"age\": 3}\n");
        let records = records.unwrap();
        assert_eq!(records.header, ["size", "colour", "age"]);
        assert_eq!(records.rows[1].cells, ["", "2", "3"]);
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
