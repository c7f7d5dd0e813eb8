//! JSON Lines, one object per line, and JSON with an array of objects: keys are columns. Values that are
//! lists or objects themselves are refused.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

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
    each_line(path, text, 0, &mut |line, value| {
        objects.push(object(path, line, value)?);
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
    each_line(path, text, lines_before, &mut |line, value| {
        let place = |key: &str| places.get(key).copied();
        rows.push(row_of(
            path,
            object(path, line, value)?,
            header.len(),
            &place,
        )?);
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
    for key in objects.iter().flat_map(|(_, object)| object.keys()) {
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
    let mut cells = vec![String::new(); width];
    for (key, value) in object {
        let place = place(&key).ok_or_else(|| {
            let problem = format!(
                "line {line} has the key `{key}`, which the first lines have not: the columns of a \
                 large file are told by its beginning, so name it there (null will do)"
            );
            malformed(path, problem)
        })?;
        cells[place] = cell(value).map_err(|what| {
            let problem = format!(
                "line {line}: `{key}` holds {what}: only numbers, words and true or false are read"
            );
            malformed(path, problem)
        })?;
    }
    Ok(Row { line, cells })
}

/// An object and where it stands.
type Numbered = (u64, Map<String, Value>);

/// All objects of a file, and the line of each; in an array, its number.
fn objects(
    path: &Path,
    limits: &ReadLimits,
    notices: &mut Vec<Notice>,
) -> Result<Vec<Numbered>, DataError> {
    let text = decode(path, &read_bytes(path, limits)?, notices)?;
    let mut objects = Vec::new();
    if text.trim_start().starts_with('[') {
        let values: Vec<Value> = serde_json::from_str(&text)
            .map_err(|error| malformed(path, format!("it is no JSON array ({error})")))?;
        for (index, value) in values.into_iter().enumerate() {
            objects.push(object(path, index as u64 + 1, value)?);
        }
    } else {
        each_line(path, &text, 0, &mut |line, value| {
            objects.push(object(path, line, value)?);
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

/// Shows the value of every line that is not empty.
fn each_line(
    path: &Path,
    text: &str,
    lines_before: u64,
    see: &mut dyn FnMut(u64, Value) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for (number, line) in (lines_before + 1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str(line).map_err(|error| {
            let problem = format!("line {number} is no JSON object ({error})");
            malformed(path, problem)
        })?;
        see(number, value)?;
    }
    Ok(())
}

fn object(path: &Path, line: u64, value: Value) -> Result<Numbered, DataError> {
    match value {
        Value::Object(object) => Ok((line, object)),
        other => {
            let problem = format!(
                "line {line} is no object in braces but `{}`",
                start_of(&other)
            );
            Err(malformed(path, problem))
        }
    }
}

fn start_of(value: &Value) -> String {
    const SHOWN: usize = 40;
    value.to_string().chars().take(SHOWN).collect()
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
