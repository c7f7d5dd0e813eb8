//! From the records of a table to typed columns and a target.

use std::{collections::BTreeMap, path::Path};

use super::{
    columns::{is_missing, number, typed, without_useless},
    text::{Decimal, Ragged, Records, malformed},
};
use crate::{
    error::DataError,
    notice::Notice,
    source::{Column, RawTargets, Request, Table, Task, TaskKind},
};

/// Names that people give to what is to be predicted.
const TARGET_NAMES: [&str; 4] = ["target", "label", "class", "outcome"];

/// Whole numbers with at most so many different values are taken for classes.
const CLASSES_OF_NUMBERS_MAX: usize = 20;

/// A table as it was read, its task decided.
pub(crate) struct ReadTable {
    pub(crate) table: Table,
    pub(crate) task: Task,
    pub(crate) notices: Vec<Notice>,
    /// Rows that came from the file of test rows; they stand at the end.
    pub(crate) test_rows: usize,
}

/// Reads a table, and the test rows after it if they are given.
pub(crate) fn read(request: &Request) -> Result<ReadTable, DataError> {
    let path = &request.path;
    let mut records = super::records(path, &request.limits, Ragged::Refuse)?;
    let own_rows = records.rows.len();
    if let Some(test) = &request.test {
        append(&mut records, test, request)?;
    }
    let mut notices = std::mem::take(&mut records.notices);
    let target = find_target(path, &records, request, &mut notices)?;
    let kept = drop_rows_without_target(&mut records, own_rows, target, &mut notices);
    if records.rows.len() < 2 {
        let problem = format!(
            "it has {} row(s) with a target: nothing can be learned from so few",
            records.rows.len()
        );
        return Err(malformed(path, problem));
    }
    let cells = column(&records, target);
    let name = records.header[target].clone();
    let (task, targets) = decide_task(request, &name, &cells, records.decimal, &mut notices)?;
    let columns = feature_columns(&records, target, &mut notices);
    if columns.is_empty() {
        let problem = "no column is left to predict from".to_string();
        return Err(DataError::NothingToLearn {
            path: path.clone(),
            problem,
        });
    }
    warn_of_leaks(&columns, &targets, &mut notices);
    let test_rows = records.rows.len() - kept;
    Ok(ReadTable {
        table: Table { columns, targets },
        task,
        notices,
        test_rows,
    })
}

fn append(records: &mut Records, test: &Path, request: &Request) -> Result<(), DataError> {
    let more = super::records(test, &request.limits, Ragged::Refuse)?;
    let place = |name: &String| more.header.iter().position(|other| other == name);
    let order: Vec<usize> = records
        .header
        .iter()
        .map(|name| {
            place(name).ok_or_else(|| {
                let problem = format!(
                    "it lacks the column `{name}` of {}: its columns are {}",
                    request.path.display(),
                    more.header.join(", ")
                );
                malformed(test, problem)
            })
        })
        .collect::<Result<_, _>>()?;
    for mut row in more.rows {
        row.cells = order
            .iter()
            .map(|index| row.cells[*index].clone())
            .collect();
        records.rows.push(row);
    }
    Ok(())
}

fn find_target(
    path: &Path,
    records: &Records,
    request: &Request,
    notices: &mut Vec<Notice>,
) -> Result<usize, DataError> {
    let header = &records.header;
    if let Some(name) = &request.target {
        return header
            .iter()
            .position(|other| other == name)
            .ok_or_else(|| {
                let problem = format!(
                    "it has no column `{name}`: its columns are {}",
                    header.join(", ")
                );
                malformed(path, problem)
            });
    }
    let named = header
        .iter()
        .position(|name| TARGET_NAMES.contains(&name.to_ascii_lowercase().as_str()));
    let target = named.unwrap_or(header.len() - 1);
    let why = if named.is_some() {
        "by its name"
    } else {
        "the last column"
    };
    let name = &header[target];
    notices.push(Notice::note(format!(
        "`{name}` is predicted ({why}; --target names another)"
    )));
    Ok(target)
}

/// Returns how many rows of the first file are left.
fn drop_rows_without_target(
    records: &mut Records,
    own_rows: usize,
    target: usize,
    notices: &mut Vec<Notice>,
) -> usize {
    let before = records.rows.len();
    let missing = |cells: &[String]| is_missing(&cells[target]);
    let own_missing = records.rows[..own_rows]
        .iter()
        .filter(|row| missing(&row.cells))
        .count();
    records.rows.retain(|row| !missing(&row.cells));
    let dropped = before - records.rows.len();
    if dropped > 0 {
        let name = &records.header[target];
        notices.push(Notice::warning(format!(
            "{dropped} row(s) without a value in `{name}` are left out"
        )));
    }
    own_rows - own_missing
}

fn column(records: &Records, index: usize) -> Vec<&str> {
    records
        .rows
        .iter()
        .map(|row| row.cells[index].as_str())
        .collect()
}

fn feature_columns(records: &Records, target: usize, notices: &mut Vec<Notice>) -> Vec<Column> {
    let columns = (0..records.header.len())
        .filter(|index| *index != target)
        .map(|index| {
            let name = records.header[index].clone();
            let cells = typed(&name, &column(records, index), records.decimal, notices);
            Column { name, cells }
        })
        .collect();
    without_useless(columns, notices)
}

fn decide_task(
    request: &Request,
    name: &str,
    cells: &[&str],
    decimal: Decimal,
    notices: &mut Vec<Notice>,
) -> Result<(Task, RawTargets), DataError> {
    let numbers: Option<Vec<f64>> = cells.iter().map(|cell| number(cell, decimal)).collect();
    let looks = match &numbers {
        Some(values) if !is_few_whole_numbers(values) => TaskKind::Regression,
        _ => TaskKind::Classification,
    };
    match (request.task.unwrap_or(looks), numbers) {
        (TaskKind::Regression, Some(values)) => {
            if values.iter().all(|value| *value == values[0]) {
                return Err(nothing(
                    request,
                    format!("`{name}` has the value {} only", values[0]),
                ));
            }
            Ok((
                Task::Regression {
                    target: name.to_string(),
                },
                RawTargets::Values(values),
            ))
        }
        (TaskKind::Regression, None) => {
            let odd = cells.iter().find(|cell| number(cell, decimal).is_none());
            let odd = odd.copied().unwrap_or_default();
            let problem = format!("`{name}` holds `{odd}`, so it cannot be predicted as a number");
            Err(nothing(request, problem))
        }
        (TaskKind::Classification, _) => classes(request, name, cells, notices),
    }
}

fn is_few_whole_numbers(values: &[f64]) -> bool {
    let mut different: Vec<f64> = values.to_vec();
    different.sort_by(f64::total_cmp);
    different.dedup();
    different.len() <= CLASSES_OF_NUMBERS_MAX && values.iter().all(|value| value.fract() == 0.0)
}

fn nothing(request: &Request, problem: String) -> DataError {
    DataError::NothingToLearn {
        path: request.path.clone(),
        problem,
    }
}

fn classes(
    request: &Request,
    name: &str,
    cells: &[&str],
    notices: &mut Vec<Notice>,
) -> Result<(Task, RawTargets), DataError> {
    let labels: Vec<String> = cells.iter().map(|cell| (*cell).to_string()).collect();
    let (classes, ids) = class_ids(&labels);
    if classes.len() * 2 > cells.len() && cells.len() > 2 {
        let problem = format!(
            "`{name}` has {} different values in {} rows: too many for classes \
             (--task regression predicts a number)",
            classes.len(),
            cells.len()
        );
        return Err(nothing(request, problem));
    }
    if classes.len() > request.limits.classes_max {
        let limit = format!("{} classes", request.limits.classes_max);
        let what = format!("`{name}` with {} classes", classes.len());
        return Err(DataError::TooLarge {
            path: request.path.clone(),
            what,
            limit,
        });
    }
    if classes.len() < 2 {
        let problem = format!(
            "`{name}` is always `{}`: two classes are needed",
            classes.join("")
        );
        return Err(nothing(request, problem));
    }
    warn_of_similar(&classes, name, notices);
    Ok((Task::Classification { classes }, RawTargets::Classes(ids)))
}

/// Classes in order, and which one each label is.
pub(crate) fn class_ids(labels: &[String]) -> (Vec<String>, Vec<u32>) {
    let mut ids: BTreeMap<&str, u32> = labels.iter().map(|label| (label.as_str(), 0)).collect();
    let mut names: Vec<&str> = ids.keys().copied().collect();
    // Numbers in their own order: 2 stands before 10.
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        names.sort_by(|a, b| {
            let value = |name: &str| name.parse::<f64>().unwrap_or(f64::NAN);
            value(a).total_cmp(&value(b))
        });
    }
    for (index, name) in names.iter().enumerate() {
        ids.insert(name, index as u32);
    }
    let classes = names.iter().map(|name| (*name).to_string()).collect();
    (
        classes,
        labels.iter().map(|label| ids[label.as_str()]).collect(),
    )
}

/// Classes that differ only in capitals are more often a slip than a class.
fn warn_of_similar(classes: &[String], name: &str, notices: &mut Vec<Notice>) {
    for (index, class) in classes.iter().enumerate() {
        let same = |other: &&String| other.to_lowercase() == class.to_lowercase();
        if let Some(other) = classes[index + 1..].iter().find(same) {
            notices.push(Notice::warning(format!(
                "`{name}` has the classes `{class}` and `{other}`, which differ in capitals only"
            )));
        }
    }
}

/// A single column from which the target can be read off is more often a copy than a finding.
fn warn_of_leaks(columns: &[Column], targets: &RawTargets, notices: &mut Vec<Notice>) {
    let RawTargets::Classes(ids) = targets else {
        return;
    };
    for column in columns {
        let keys: Vec<String> = match &column.cells {
            crate::source::Cells::Words(words) => words
                .iter()
                .map(|word| word.clone().unwrap_or_default())
                .collect(),
            crate::source::Cells::Numbers(values) => values.iter().map(f64::to_string).collect(),
        };
        let mut class_of: BTreeMap<&str, u32> = BTreeMap::new();
        let consistent = keys
            .iter()
            .zip(ids)
            .all(|(key, id)| *class_of.entry(key.as_str()).or_insert(*id) == *id);
        if consistent && class_of.len() * 10 <= keys.len() {
            notices.push(Notice::warning(format!(
                "column `{}` alone says what the target is: is it known when predictions are made?",
                column.name
            )));
        }
    }
}
