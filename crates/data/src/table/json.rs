//! JSON Lines, one object per line, and JSON with an array of objects: keys are columns. Values that are
//! lists or objects themselves are refused.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use super::text::{Decimal, Names, Records, Row, check_header, decode, malformed, read_bytes};
use crate::{error::DataError, limits::ReadLimits, notice::Notice};

/// Reads a file of objects, plain or gzipped.
pub(super) fn read(path: &Path, limits: &ReadLimits) -> Result<Records, DataError> {
    let mut notices = Vec::new();
    let objects = objects(path, limits, &mut notices)?;
    let mut header: Vec<String> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for key in objects.iter().flat_map(|(_, object)| object.keys()) {
        if !places.contains_key(key) {
            places.insert(key.clone(), header.len());
            header.push(key.clone());
        }
    }
    check_header(path, &header, limits)?;
    let mut rows = Vec::with_capacity(objects.len());
    for (line, object) in objects {
        let mut cells = vec![String::new(); header.len()];
        for (key, value) in object {
            let cell = cell(value).map_err(|what| {
                let problem = format!(
                    "line {line}: `{key}` holds {what}: only numbers, words and true or false are read"
                );
                malformed(path, problem)
            })?;
            cells[places[&key]] = cell;
        }
        rows.push(Row { line, cells });
    }
    Ok(Records {
        header,
        names: Names::Written,
        declared: Vec::new(),
        rows,
        decimal: Decimal::Point,
        notices,
    })
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
    let mut add = |line: u64, value: Value| match value {
        Value::Object(object) => {
            objects.push((line, object));
            Ok(())
        }
        other => {
            let problem = format!(
                "line {line} is no object in braces but `{}`",
                start_of(&other)
            );
            Err(malformed(path, problem))
        }
    };
    if text.trim_start().starts_with('[') {
        let values: Vec<Value> = serde_json::from_str(&text)
            .map_err(|error| malformed(path, format!("it is no JSON array ({error})")))?;
        for (index, value) in values.into_iter().enumerate() {
            add(index as u64 + 1, value)?;
        }
    } else {
        for (index, line) in text.lines().enumerate() {
            let number = index as u64 + 1;
            if line.trim().is_empty() {
                continue;
            }
            let value = serde_json::from_str(line).map_err(|error| {
                let problem = format!("line {number} is no JSON object ({error})");
                malformed(path, problem)
            })?;
            add(number, value)?;
        }
    }
    if objects.is_empty() {
        return Err(malformed(
            path,
            "the file is empty: objects are needed".into(),
        ));
    }
    Ok(objects)
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
