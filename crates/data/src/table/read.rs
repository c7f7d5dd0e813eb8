//! From the records of a table to typed columns and a target; or to series, or texts, if it holds these.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Reading,
    columns::{is_free_text, is_missing, number, typed, without_useless, words_per_cell},
    text::{Declared, Names, Ragged, Records, malformed},
};
use crate::{
    error::DataError,
    images::listed::{are_image_names, folder_of, read_listed},
    notice::Notice,
    series::wide,
    source::{
        Cells, Column, DataKind, Dataset, Images, RawTargets, Request, Series, Table, Task,
        TaskKind, Texts,
    },
};

/// Names that people give to what is to be predicted.
const TARGET_NAMES: [&str; 4] = ["target", "label", "class", "outcome"];

/// Rows that are looked at to find the target.
const ROWS_LOOKED_AT: usize = 1_000;

/// Whole numbers with at most so many different values are taken for classes.
const CLASSES_OF_NUMBERS_MAX: usize = 20;

/// A longer text is cut: what a network reads of it has long ended.
const TEXT_BYTES_MAX: usize = 100_000;

/// A table as it was read, its task decided.
pub(crate) struct ReadTable {
    pub(crate) dataset: Dataset,
    pub(crate) task: Task,
    pub(crate) notices: Vec<Notice>,
    /// Rows that came from the file of test rows; they stand at the end.
    pub(crate) test_rows: usize,
    /// Number of each row in its file, from 1; absent if none is left out.
    pub(crate) row_names: Option<Vec<String>>,
}

/// Reads a table, and the test rows after it if they are given.
pub(crate) fn read(request: &Request) -> Result<ReadTable, DataError> {
    let path = &request.path;
    let mut records = super::records(path, reading(request))?;
    ignore_columns(&mut records, request)?;
    let own_rows = records.rows.len();
    if let Some(test) = &request.test {
        append(&mut records, test, request)?;
    }
    let mut notices = std::mem::take(&mut records.notices);
    let target = find_target(path, &records, request, &mut notices)?;
    let row_names = names_of_kept(&records, own_rows, target);
    let kept = drop_rows_without_target(&mut records, own_rows, target, &mut notices);
    if records.rows.len() < 2 {
        let problem = format!(
            "it has {} row(s) with a target: nothing can be learned from so few",
            records.rows.len()
        );
        return Err(malformed(path, problem));
    }
    let (task, targets) = decide_task(request, &records, target, &mut notices)?;
    let columns = feature_columns(&records, target, &mut notices);
    if let Some(names) = image_names(request, &columns) {
        return read_images(request, names, kept, (task, targets), notices);
    }
    let dataset = dataset_of(request, columns, targets, &mut notices)?;
    let test_rows = records.rows.len() - kept;
    Ok(ReadTable {
        dataset,
        task,
        notices,
        test_rows,
        row_names,
    })
}

/// The column that names images, if there is one and the user does not say that it is something else.
fn image_names<'a>(request: &Request, columns: &'a [Column]) -> Option<&'a Column> {
    if !matches!(request.kind, None | Some(DataKind::Images)) {
        return None;
    }
    let folder = folder_of(&request.path);
    columns.iter().find(|column| match &column.cells {
        Cells::Words(words) => are_image_names(folder, words.iter().map(Option::as_deref)),
        Cells::Numbers(_) => false,
    })
}

/// Images instead of their names; other columns are left out.
fn read_images(
    request: &Request,
    column: &Column,
    own_rows: usize,
    (task, targets): (Task, RawTargets),
    mut notices: Vec<Notice>,
) -> Result<ReadTable, DataError> {
    let Cells::Words(names) = &column.cells else {
        unreachable!("names are words")
    };
    let names: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
    let (own, tests) = names.split_at(own_rows);
    let mut listed = read_listed(folder_of(&request.path), own, None, &request.limits)?;
    let own_good = listed.good.len();
    if let Some(test) = request.test.as_deref().filter(|_| !tests.is_empty()) {
        let more = read_listed(folder_of(test), tests, Some(listed.size), &request.limits)?;
        listed.bytes.extend(more.bytes);
        listed
            .good
            .extend(more.good.iter().map(|row| row + own_rows));
        listed
            .bad
            .extend(more.bad.into_iter().map(|(row, why)| (row + own_rows, why)));
    }
    notices.push(Notice::note(format!(
        "the images that `{}` names are learned from; other columns are left out (--kind table says otherwise)",
        column.name
    )));
    if let Some((row, reason)) = listed.bad.first() {
        let count = listed.bad.len();
        notices.push(Notice::warning(format!(
            "{count} row(s) without an image that can be used are left out, the first row {}: {reason}",
            row + 1
        )));
    }
    let (height, width, channels) = listed.size;
    let targets = match targets {
        RawTargets::Classes(ids) => {
            RawTargets::Classes(listed.good.iter().map(|row| ids[*row]).collect())
        }
        RawTargets::Values(values) => {
            RawTargets::Values(listed.good.iter().map(|row| values[*row]).collect())
        }
        RawTargets::Unknown(_) => RawTargets::Unknown(listed.good.len()),
    };
    let test_rows = listed.good.len() - own_good;
    let name = |row: &usize| names[*row].unwrap_or_default().to_string();
    let images = Images {
        height,
        width,
        channels,
        bytes: listed.bytes,
        targets,
    };
    Ok(ReadTable {
        dataset: Dataset::Images(images),
        task,
        notices,
        test_rows,
        row_names: Some(listed.good.iter().map(name).collect()),
    })
}

fn reading(request: &Request) -> Reading<'_> {
    Reading {
        limits: &request.limits,
        ragged: Ragged::Refuse,
        header: request.header,
    }
}

/// Leaves out the columns that the user does not want.
fn ignore_columns(records: &mut Records, request: &Request) -> Result<(), DataError> {
    for name in &request.ignore {
        let place = place_of(&request.path, records, name)?;
        records.header.remove(place);
        if !records.declared.is_empty() {
            records.declared.remove(place);
        }
        for row in &mut records.rows {
            row.cells.remove(place);
        }
    }
    Ok(())
}

fn place_of(path: &Path, records: &Records, name: &str) -> Result<usize, DataError> {
    let header = &records.header;
    header
        .iter()
        .position(|other| other == name)
        .ok_or_else(|| {
            let problem = format!(
                "it has no column `{name}`: its columns are {}",
                header.join(", ")
            );
            malformed(path, problem)
        })
}

/// What the columns are: the steps of series, one text beside nothing else, or a table.
fn dataset_of(
    request: &Request,
    columns: Vec<Column>,
    targets: RawTargets,
    notices: &mut Vec<Notice>,
) -> Result<Dataset, DataError> {
    match request.kind {
        Some(DataKind::Images) => {
            return Err(nothing(request, "a table holds no images".to_string()));
        }
        Some(DataKind::Series) => return series_of(request, &columns, targets),
        Some(DataKind::Text) => {
            let texts = columns
                .iter()
                .max_by(|a, b| words_per_cell(&a.cells).total_cmp(&words_per_cell(&b.cells)));
            let texts = texts.filter(|column| matches!(column.cells, Cells::Words(_)));
            let column = texts.ok_or_else(|| {
                nothing(
                    request,
                    "no column holds words that could be a text".to_string(),
                )
            })?;
            return Ok(texts_of(column, targets, notices));
        }
        None if wide::looks_like_series(&columns) => {
            notices.push(Notice::note(format!(
                "its {} columns are alike as the steps of a series are, and are read as one \
                 (--kind table says otherwise)",
                columns.len()
            )));
            return series_of(request, &columns, targets);
        }
        None | Some(DataKind::Table) => {}
    }
    let columns = without_useless(columns, notices);
    if columns.is_empty() {
        let problem = "no column is left to predict from".to_string();
        return Err(nothing(request, problem));
    }
    match &columns[..] {
        [only] if request.kind.is_none() && is_free_text(&only.cells) => {
            Ok(texts_of(only, targets, notices))
        }
        _ => {
            warn_of_leaks(&columns, &targets, notices);
            Ok(Dataset::Table(Table { columns, targets }))
        }
    }
}

fn series_of(
    request: &Request,
    columns: &[Column],
    targets: RawTargets,
) -> Result<Dataset, DataError> {
    if let Some(odd) = columns.iter().find(|c| matches!(c.cells, Cells::Words(_))) {
        let problem = format!(
            "column `{}` holds words, so it is no step of a series (--ignore leaves it out)",
            odd.name
        );
        return Err(nothing(request, problem));
    }
    let series = wide::series_of(columns, targets.len());
    Ok(Dataset::Series(Series { targets, ..series }))
}

fn texts_of(column: &Column, targets: RawTargets, notices: &mut Vec<Notice>) -> Dataset {
    let Cells::Words(cells) = &column.cells else {
        unreachable!("a column of numbers is no text")
    };
    let texts: Vec<String> = cells
        .iter()
        .map(|cell| cell.as_deref().unwrap_or_default().to_string())
        .collect();
    Dataset::Texts(checked_texts(&column.name, texts, targets, notices))
}

/// Texts, cut where they are too long; what was odd about them is said.
pub(crate) fn checked_texts(
    name: &str,
    mut texts: Vec<String>,
    targets: RawTargets,
    notices: &mut Vec<Notice>,
) -> Texts {
    let empty = texts.iter().filter(|text| text.trim().is_empty()).count();
    if empty > 0 {
        notices.push(Notice::warning(format!(
            "{empty} of {} texts are empty",
            texts.len()
        )));
    }
    let mut cut = 0;
    for text in &mut texts {
        if text.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX)
                .rev()
                .find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            cut += 1;
        }
    }
    if cut > 0 {
        notices.push(Notice::warning(format!(
            "{cut} text(s) are longer than {TEXT_BYTES_MAX} bytes and are read up to there"
        )));
    }
    Texts {
        name: name.to_string(),
        texts,
        targets,
    }
}

fn append(records: &mut Records, test: &Path, request: &Request) -> Result<(), DataError> {
    let more = super::records(test, reading(request))?;
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
        return place_of(path, records, name);
    }
    let named = header
        .iter()
        .position(|name| TARGET_NAMES.contains(&name.to_ascii_lowercase().as_str()));
    let last = header.len() - 1;
    let (target, why) = match named {
        Some(named) => (named, "by its name"),
        None if is_first_rather(records) => (0, "the first column, which holds classes"),
        None => (last, "the last column"),
    };
    let name = &header[target];
    notices.push(Notice::note(format!(
        "`{name}` is predicted ({why}; --target names another)"
    )));
    Ok(target)
}

/// Whether the first column holds classes and the last one does not: words behind a label, or the
/// measurements of a file without names.
fn is_first_rather(records: &Records) -> bool {
    let looked_at = records.rows.len().min(ROWS_LOOKED_AT);
    let cells = |place: usize| -> Vec<&str> {
        let rows = records.rows[..looked_at].iter();
        rows.map(|row| row.cells[place].as_str())
            .filter(|cell| !is_missing(cell))
            .collect()
    };
    let last = records.header.len() - 1;
    let end = cells(last);
    let numbers: Option<Vec<f64>> = end
        .iter()
        .map(|cell| number(cell, records.decimal))
        .collect();
    let (first, end) = (different(&cells(0)), different(&end));
    match numbers {
        Some(numbers) => {
            let is_measured = !is_few_whole_numbers(&numbers);
            records.names == Names::Numbered && is_measured && 2 * first.values <= first.cells
        }
        None => 2 * end.values > end.cells && first.values < end.values,
    }
}

/// How many values a column has, and in how many cells.
struct Different {
    values: usize,
    cells: usize,
}

fn different(cells: &[&str]) -> Different {
    let values: BTreeSet<&str> = cells.iter().copied().collect();
    Different {
        values: values.len(),
        cells: cells.len(),
    }
}

/// Numbers of the rows that have a target, each in its own file; `None` if all have one.
fn names_of_kept(records: &Records, own_rows: usize, target: usize) -> Option<Vec<String>> {
    let kept: Vec<usize> = (0..records.rows.len())
        .filter(|row| !is_missing(&records.rows[*row].cells[target]))
        .collect();
    let number = |row: &usize| match *row < own_rows {
        true => row + 1,
        false => row - own_rows + 1,
    };
    let is_whole = kept.len() == records.rows.len();
    (!is_whole).then(|| kept.iter().map(|row| number(row).to_string()).collect())
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
    (0..records.header.len())
        .filter(|index| *index != target)
        .map(|index| {
            let name = records.header[index].clone();
            let cells = column(records, index);
            let cells = match records.declared.get(index) {
                Some(Declared::Words) => Cells::words(&cells),
                _ => typed(&name, &cells, records.decimal, notices),
            };
            Column { name, cells }
        })
        .collect()
}

fn decide_task(
    request: &Request,
    records: &Records,
    target: usize,
    notices: &mut Vec<Notice>,
) -> Result<(Task, RawTargets), DataError> {
    let (name, cells) = (records.header[target].as_str(), column(records, target));
    let (cells, decimal) = (&cells[..], records.decimal);
    let numbers: Option<Vec<f64>> = cells.iter().map(|cell| number(cell, decimal)).collect();
    let looks = match (&numbers, records.declared.get(target)) {
        (_, Some(Declared::Words)) => TaskKind::Classification,
        (Some(_), Some(Declared::Number)) => TaskKind::Regression,
        (Some(values), None) if !is_few_whole_numbers(values) => TaskKind::Regression,
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
            "`{name}` has {} different values in {} rows ({}): too many for classes \
             (--task regression predicts a number)",
            classes.len(),
            cells.len(),
            counted(&classes, &ids)
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

/// The first classes and how many rows each has.
fn counted(classes: &[String], ids: &[u32]) -> String {
    const SHOWN: usize = 8;
    let rows = |class: usize| ids.iter().filter(|id| **id as usize == class).count();
    let mut shown: Vec<String> = classes
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(class, name)| format!("`{name}` {}", rows(class)))
        .collect();
    if classes.len() > SHOWN {
        shown.push("…".to_string());
    }
    shown.join(", ")
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
            Cells::Words(words) => words
                .iter()
                .map(|word| word.clone().unwrap_or_default())
                .collect(),
            Cells::Numbers(values) => values.iter().map(f64::to_string).collect(),
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
