//! From the records of a table to typed columns and a target; or to series, or texts, if it holds these.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Reading, Taken, always_has_points,
    chosen::{self, Chosen},
    columns::{NUMBERS_SHARE, Written, is_missing, number},
    dataset::dataset_of,
    dialect::Decimal,
    flow, kinds, listed,
    origins::Origins,
    rest::TableRest,
    text::{Declared, Names, Records, Row, check_header, malformed},
};
use crate::{
    error::DataError,
    large::{Beyond, Rest, Unheld},
    notice::Notice,
    oddities::{LeftOut, Oddities, Useless},
    read::nothing,
    roles::{RoleRows, RowFacts, read_facts},
    series::hint::hint,
    source::{Column, Dataset, RawTargets, Request, Task, TaskKind},
};

/// Names that people give to what is to be predicted.
const TARGET_NAMES: [&str; 4] = ["target", "label", "class", "outcome"];

/// Rows that are looked at to find the target.
const ROWS_LOOKED_AT: usize = 1_000;

/// Whole numbers with at most so many different values are taken for classes.
const CLASSES_OF_NUMBERS_MAX: usize = 20;

/// A table as it was read, its task decided.
pub(crate) struct ReadTable {
    pub(crate) dataset: Dataset,
    pub(crate) task: Task,
    pub(crate) notices: Vec<Notice>,
    /// Rows that came from the file of validation rows; they stand behind the others.
    pub(crate) validation_rows: usize,
    /// Rows that came from the file of test rows; they stand at the end.
    pub(crate) test_rows: usize,
    pub(crate) facts: RowFacts,
    pub(crate) oddities: Oddities,
    /// Number of each row in its file, from 1; absent if none is left out.
    pub(crate) row_names: Option<Vec<String>>,
    /// Rows that are not held, if there are any.
    pub(crate) beyond: Option<Beyond>,
}

/// Reads a table, and the validation and test rows after it if they are given.
pub(crate) fn read(request: &Request) -> Result<ReadTable, DataError> {
    let path = &request.path;
    let mut records = held_records(path, request)?;
    let chosen = records.chosen.take();
    let mut ends = vec![records.rows.len()];
    for more in [&request.validation, &request.test] {
        if let Some(more) = more {
            let target = chosen.as_ref().map(|chosen| chosen.target.as_str());
            append(&mut records, &ends, more, request, target)?;
        }
        ends.push(records.rows.len());
    }
    let mut notices = std::mem::take(&mut records.notices);
    let target = match &chosen {
        Some(chosen) => place_of(path, &records, &chosen.target)?,
        None => find_target(path, &records, request, &mut notices)?,
    };
    let origins = Origins::of(&records, &ends, target);
    let ends = drop_rows_without_target(&mut records, &ends, target, &mut notices);
    if records.rows.len() < 2 {
        let problem = format!(
            "it has {} row(s) with a target: nothing can be learned from so few",
            records.rows.len()
        );
        return Err(malformed(path, problem));
    }
    // All rows of a large file may have shown more than the chosen ones do.
    let shown = chosen.as_ref().and_then(|chosen| chosen.task);
    let asked = Request {
        task: request.task.or(shown),
        ..request.clone()
    };
    let (task, targets) = decide_task(&asked, &records, target, &mut notices)?;
    kinds::check(path, request, &records, target)?;
    let called = |row: usize| origins.called(row, request);
    let facts = row_facts(request, &records, target, &called, &mut notices)?;
    if chosen.is_none() && request.kind.is_none() {
        let (header, rows) = (&records.header, &records.rows[..ends[0]]);
        notices.extend(hint(header, rows, records.decimal, target));
    }
    let mut oddities = Oddities::default();
    let columns = feature_columns(request, &records, target, &mut notices, &mut oddities)?;
    let columns = without_counting(request, columns, chosen.as_ref(), &mut oddities);
    let beyond = chosen.map(|chosen| beyond(request, chosen, &records, ends[0]));
    if let Some(names) = listed::image_names(request, &columns) {
        refuse_beyond(request, beyond.as_ref(), &names.name)?;
        let rows = listed::Rows {
            origins: &origins,
            ends,
            task,
            targets,
            facts,
        };
        return listed::read_images(request, names, rows, notices);
    }
    let dataset = dataset_of(request, columns, targets, &mut notices, &mut oddities)?;
    Ok(ReadTable {
        dataset,
        task,
        notices,
        validation_rows: ends[1] - ends[0],
        test_rows: ends[2] - ends[1],
        facts,
        oddities,
        row_names: origins.names(),
        beyond,
    })
}

/// The records of a file without the columns that the user does not want: all of them, or some of a file
/// that is too large to be held.
fn held_records(path: &Path, request: &Request) -> Result<Records, DataError> {
    if flow::is_large(path, &request.limits) {
        return chosen::choose(path, request, reading(request), Unheld::LearnedFrom);
    }
    let mut records = super::records(path, reading(request))?;
    ignore_columns(&mut records, request)?;
    Ok(records)
}

/// Leaves out columns that count all rows, of which not all are here.
fn without_counting(
    request: &Request,
    columns: Vec<Column>,
    chosen: Option<&Chosen>,
    oddities: &mut Oddities,
) -> Vec<Column> {
    let counting = chosen.map_or(&[][..], |chosen| &chosen.counting);
    let (counting, others): (Vec<Column>, Vec<Column>) =
        columns.into_iter().partition(|Column { name, .. }| {
            counting.contains(name) && !request.columns.contains_key(name)
        });
    let why = Useless::CountsRows;
    oddities.left_out.extend(counting.into_iter().map(|column| {
        let name = column.name;
        LeftOut { name, why }
    }));
    others
}

/// The rows that were not chosen, while `held` of the records are.
fn beyond(request: &Request, chosen: Chosen, records: &Records, held: usize) -> Beyond {
    let side = request.roles.split_by.column();
    let side = side.and_then(|name| records.header.iter().position(|other| other == name));
    let cells = side.map_or(Vec::new(), |place| column(records, place));
    let cells = cells.into_iter().map(str::to_string).collect();
    let rows = chosen.rows;
    let rest = TableRest::new(chosen, request.roles.clone(), cells);
    let rest = Rest::Table(Box::new(rest));
    Beyond::new(rest, rows, held as u64, request.limits)
}

fn refuse_beyond(
    request: &Request,
    beyond: Option<&Beyond>,
    column: &str,
) -> Result<(), DataError> {
    match beyond {
        None => Ok(()),
        Some(beyond) => {
            let problem = format!(
                "column `{column}` names the images of {} rows, and such a table must fit into memory: \
                 put the images into class folders, or say --kind table",
                beyond.rows()
            );
            Err(nothing(request, problem))
        }
    }
}

pub(super) fn is_role(request: &Request, name: &str) -> bool {
    request.roles.columns().any(|role| role == name)
}

/// What columns with a role say of the rows; `called` is what a user finds one of them by.
pub(crate) fn row_facts(
    request: &Request,
    records: &Records,
    target: usize,
    called: &dyn Fn(usize) -> String,
    notices: &mut Vec<Notice>,
) -> Result<RowFacts, DataError> {
    let target = &records.header[target];
    if is_role(request, target) {
        let problem = format!("`{target}` is predicted, so it cannot split or weigh the rows");
        return Err(malformed(&request.path, problem));
    }
    let cells_of = |name: &str| {
        let place = records.header.iter().position(|other| other == name)?;
        let cells = column(records, place).into_iter();
        Some(cells.map(str::to_string).collect())
    };
    let rows = RoleRows {
        cells_of: &cells_of,
        called,
        decimal: records.decimal,
    };
    read_facts(&request.roles, &rows, notices).map_err(|problem| {
        let header = records.header.join(", ");
        malformed(
            &request.path,
            format!("{problem}; its columns are {header}"),
        )
    })
}

pub(crate) fn reading(request: &Request) -> Reading<'_> {
    Reading {
        header: request.header,
        dialect: request.dialect,
        taken: Taken::Without(&request.ignore),
        ..Reading::whole(&request.limits)
    }
}

/// Leaves out the columns that the user does not want.
pub(super) fn ignore_columns(records: &mut Records, request: &Request) -> Result<(), DataError> {
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
    check_header(&request.path, &records.header, &request.limits)
}

pub(crate) fn place_of(path: &Path, records: &Records, name: &str) -> Result<usize, DataError> {
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

/// Puts the rows of one more file behind those that end at `ends`.
fn append(
    records: &mut Records,
    ends: &[usize],
    test: &Path,
    request: &Request,
    target: Option<&str>,
) -> Result<(), DataError> {
    let reading = reading(request);
    let mut more = if flow::is_large(test, &request.limits) {
        // Rows that were given to be scored are never learned from: what is not chosen is not used.
        let request = Request {
            ignore: Vec::new(),
            target: target.map(str::to_string).or(request.target.clone()),
            ..request.clone()
        };
        chosen::choose(test, &request, reading, Unheld::Unused)?
    } else {
        super::records(test, reading)?
    };
    records.notices.append(&mut more.notices);
    records.decimal = common_decimal((request.path.as_path(), &*records), (test, &more))?;
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
    if records.numbers.is_some() || more.numbers.is_some() {
        let own = numbers_of(records, ends);
        let others = numbers_of(&more, &[more.rows.len()]);
        records.numbers = Some([own, others].concat());
    }
    for mut row in more.rows {
        row.cells = order
            .iter()
            .map(|index| row.cells[*index].clone())
            .collect();
        records.rows.push(row);
    }
    Ok(())
}

/// The decimal mark of the rows of two files, which are read alike.
///
/// # Errors
/// If one has commas in its fractions, and the other has points or may have some.
fn common_decimal(
    first: (&Path, &Records),
    second: (&Path, &Records),
) -> Result<Decimal, DataError> {
    let ((path, pointed), (other, _)) = match (first.1.decimal, second.1.decimal) {
        (Decimal::Point, Decimal::Comma) => (first, second),
        (Decimal::Comma, Decimal::Point) => (second, first),
        (same, _) => return Ok(same),
    };
    // Not all rows of a large file are here.
    let may_have_points = pointed.numbers.is_some() || has_points(&pointed.rows);
    if !may_have_points {
        return Ok(Decimal::Comma);
    }
    let next = match always_has_points(path) {
        true => "its format has points whatever is said, so write the other file with points, too",
        false => "write both alike, or say with --decimal what both have",
    };
    let problem = format!(
        "its fractions are read with a point, those of {} with a comma: {next}",
        other.display()
    );
    Err(malformed(path, problem))
}

fn has_points(rows: &[Row]) -> bool {
    let is_pointed = |cell: &String| cell.contains('.') && number(cell, Decimal::Point).is_some();
    rows.iter().flat_map(|row| &row.cells).any(is_pointed)
}

/// Numbers of rows, those of each file from 1; where the rows of each end is said.
fn numbers_of(records: &Records, ends: &[usize]) -> Vec<u64> {
    let starts = [0].into_iter().chain(ends.iter().copied());
    let lengths = starts.zip(ends).map(|(start, end)| (end - start) as u64);
    let all = || lengths.flat_map(|length| 1..=length).collect();
    records.numbers.clone().unwrap_or_else(all)
}

pub(crate) fn find_target(
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
    let numbers: Vec<f64> = end
        .iter()
        .filter_map(|cell| number(cell, records.decimal))
        .collect();
    // A stray word among numbers makes no column of words.
    let numbers = (numbers.len() as f64 >= NUMBERS_SHARE * end.len() as f64).then_some(numbers);
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

/// Returns where the rows of each file end now.
fn drop_rows_without_target(
    records: &mut Records,
    ends: &[usize],
    target: usize,
    notices: &mut Vec<Notice>,
) -> Vec<usize> {
    let before = records.rows.len();
    let has_target = |row: &Row| !is_missing(&row.cells[target]);
    let kept = |end: &usize| {
        records.rows[..*end]
            .iter()
            .filter(|row| has_target(row))
            .count()
    };
    let ends = ends.iter().map(kept).collect();
    records.rows.retain(has_target);
    let dropped = before - records.rows.len();
    if dropped > 0 {
        let name = &records.header[target];
        notices.push(Notice::warning(format!(
            "{dropped} row(s) without a value in `{name}` are left out"
        )));
    }
    ends
}

fn column(records: &Records, index: usize) -> Vec<&str> {
    records
        .rows
        .iter()
        .map(|row| row.cells[index].as_str())
        .collect()
}

fn feature_columns(
    request: &Request,
    records: &Records,
    target: usize,
    notices: &mut Vec<Notice>,
    oddities: &mut Oddities,
) -> Result<Vec<Column>, DataError> {
    let is_input = |place: &usize| *place != target && !is_role(request, &records.header[*place]);
    (0..records.header.len())
        .filter(is_input)
        .map(|index| {
            let name = records.header[index].clone();
            let written = Written {
                name: &name,
                cells: &column(records, index),
                decimal: records.decimal,
                asked: request.columns.get(&name).copied(),
            };
            let cells = match (written.asked, records.declared.get(index)) {
                (None, Some(Declared::Words)) => written.worded(),
                _ => written
                    .typed(notices, oddities)
                    .map_err(|problem| malformed(&request.path, problem))?,
            };
            Ok(Column { name, cells })
        })
        .collect()
}

pub(crate) fn decide_task(
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

/// Whether these are classes rather than measurements, if nobody says what they are.
pub(super) fn is_few_whole_numbers(values: &[f64]) -> bool {
    let mut different: Vec<f64> = values.to_vec();
    different.sort_by(f64::total_cmp);
    different.dedup();
    different.len() <= CLASSES_OF_NUMBERS_MAX && values.iter().all(|value| value.fract() == 0.0)
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
    refuse_many_classes(request, name, classes.len())?;
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

/// Refuses more classes of a target than are learned.
pub(crate) fn refuse_many_classes(
    request: &Request,
    name: &str,
    classes: usize,
) -> Result<(), DataError> {
    match classes > request.limits.classes_max {
        false => Ok(()),
        true => Err(DataError::TooLarge {
            path: request.path.clone(),
            what: format!("`{name}` with {classes} classes"),
            limit: request.limits.classes_said(),
        }),
    }
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
