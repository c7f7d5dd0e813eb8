//! Series in long format, as they are learned from: a table with a row for each step, of which the user
//! said what column tells the series apart.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{Beside, Found, Given, nothing, refuse_other_kind};
use crate::{
    error::DataError,
    notice::Notice,
    roles::{NO_DOUBT, Part, ambiguous},
    series::long::{
        Gathering, OddRow, Place, StepColumns, StepPlaces, StepTable, StepTime, Steps, series_of,
        sniff_times,
    },
    source::{DataKind, Dataset, Request, Series},
    table::{
        all::AllRows,
        columns::is_missing,
        dialect::Decimal,
        read::{decide_task, find_target, place_of, reading, row_facts},
        text::{Declared, Names, Records, Row, malformed},
    },
};

/// Channels that are named in a notice.
const CHANNELS_SHOWN: usize = 8;

/// Place of the target among the columns that say the same in all rows of a series.
const TARGET: usize = 0;

/// Reads the rows of a table as the steps of series.
pub(super) fn find(request: &Request, columns: &StepColumns) -> Result<Found, DataError> {
    refuse_other_kind(request, DataKind::Series)?;
    let mut table = AllRows::open(&request.path, reading(request))?;
    let mut notices = std::mem::take(&mut table.head.notices);
    let target = find_target(&request.path, &table.head, request, &mut notices)?;
    let form = Form::of(request, columns, &table.head, target)?;
    let first = File::read(&form, Part::Train, &request.path, table, &mut notices)?;
    let mut files = vec![first];
    for (part, path) in [
        (Part::Validation, &request.validation),
        (Part::Vault, &request.test),
    ] {
        if let Some(path) = path {
            let table = AllRows::open(path, reading(request))?;
            files.push(File::read(&form, part, path, table, &mut notices)?);
        }
    }
    let time = order(columns, &mut files, &mut notices)?;
    drop_without_target(&form, &mut files, &mut notices);
    let all: Vec<&Steps> = files.iter().flat_map(File::series).collect();
    check_number(request, columns, &all)?;
    let said = form.said(&all);
    let (task, targets) = decide_task(request, &said, TARGET, &mut notices)?;
    let called = |place: usize| format!("series `{}`", all[place].id);
    let facts = row_facts(request, &said, TARGET, &called, &mut notices)?;
    notices.extend(told(columns, &form.channels, &all));
    let channels = form.channels.len();
    let table = StepTable {
        id: columns.id.clone(),
        time,
        channels: form.channels,
    };
    let series = series_of(all.iter().copied(), channels, Some(table));
    let of = |part: Part| {
        let of_part = files.iter().filter(|file| file.part == part);
        of_part.map(|file| file.series().len()).sum()
    };
    Ok(Found {
        dataset: Dataset::Series(Series { targets, ..series }),
        task,
        notices,
        given: Given {
            validation: of(Part::Validation),
            test: of(Part::Vault),
        },
        beside: Beside {
            facts,
            row_names: Some(all.iter().map(|steps| steps.id.clone()).collect()),
            ..Beside::default()
        },
    })
}

/// What the columns are; all files have the same.
struct Form {
    columns: StepColumns,
    /// The target, then the columns with roles.
    constant: Vec<String>,
    /// What the file says of these; empty if it says nothing.
    declared: Vec<Declared>,
    channels: Vec<String>,
    decimal: Decimal,
}

impl Form {
    fn of(
        request: &Request,
        columns: &StepColumns,
        head: &Records,
        target: usize,
    ) -> Result<Form, DataError> {
        check_names(request, columns, head, target)?;
        let target = head.header[target].as_str();
        let roles = request.roles.columns().filter(|name| *name != target);
        let constant: Vec<String> = [target]
            .into_iter()
            .chain(roles)
            .map(str::to_string)
            .collect();
        let mut declared = Vec::new();
        for name in &constant {
            let place = place_of(&request.path, head, name)?;
            declared.extend(head.declared.get(place));
        }
        let is_channel = |name: &&String| {
            let asked = [Some(&columns.id), columns.time.as_ref()];
            !asked.contains(&Some(name))
                && !constant.contains(name)
                && !request.ignore.contains(name)
        };
        let channels: Vec<String> = head.header.iter().filter(is_channel).cloned().collect();
        if channels.is_empty() {
            let problem = "no column is left that could be a channel of the series".to_string();
            return Err(nothing(request, problem));
        }
        Ok(Form {
            columns: columns.clone(),
            constant,
            declared,
            channels,
            decimal: head.decimal,
        })
    }

    fn places(&self, path: &Path, head: &Records) -> Result<StepPlaces, DataError> {
        let place = |name: &String| {
            let at = place_of(path, head, name)?;
            let name = name.clone();
            Ok(Place { name, at })
        };
        let places = |names: &[String]| names.iter().map(place).collect::<Result<_, DataError>>();
        Ok(StepPlaces {
            id: place(&self.columns.id)?,
            time: self.columns.time.as_ref().map(place).transpose()?,
            channels: places(&self.channels)?,
            constant: places(&self.constant)?,
        })
    }

    /// A record for each series, of what all its rows say.
    fn said(&self, all: &[&Steps]) -> Records {
        let columns = 0..self.constant.len();
        let cells = |steps: &&Steps| {
            let said = columns.clone().map(|column| steps.said(column).to_string());
            said.collect()
        };
        let row = |(line, steps)| Row {
            line,
            cells: cells(steps),
        };
        Records {
            header: self.constant.clone(),
            names: Names::Written,
            declared: self.declared.clone(),
            rows: (1..).zip(all).map(row).collect(),
            decimal: self.decimal,
            notices: Vec::new(),
            unread: BTreeMap::new(),
            numbers: None,
            chosen: None,
        }
    }
}

/// Whether all columns that were asked for are there, and no two roles fall on one.
fn check_names(
    request: &Request,
    columns: &StepColumns,
    head: &Records,
    target: usize,
) -> Result<(), DataError> {
    let path = &request.path;
    let (id, target) = (&columns.id, &head.header[target]);
    let asked = [Some(id), columns.time.as_ref()];
    for name in asked.into_iter().flatten().chain(&request.ignore) {
        place_of(path, head, name)?;
    }
    if asked.contains(&Some(target)) {
        let problem = format!(
            "`{target}` cannot be predicted and put series together as well: --target names another column"
        );
        return Err(malformed(path, problem));
    }
    if columns.time.as_ref() == Some(id) {
        let problem = format!(
            "`{id}` cannot be both --series-id and --series-time: rows of one series have the same id and \
             different times"
        );
        return Err(malformed(path, problem));
    }
    Ok(())
}

/// The series of a file, and what they are for.
struct File {
    part: Part,
    path: PathBuf,
    gathering: Gathering,
}

impl File {
    fn read(
        form: &Form,
        part: Part,
        path: &Path,
        mut table: AllRows,
        notices: &mut Vec<Notice>,
    ) -> Result<File, DataError> {
        notices.append(&mut table.head.notices);
        let places = form.places(path, &table.head)?;
        let mut gathering = Gathering::new(places, table.head.decimal);
        let more = table.each(&mut |number, row| {
            let added = gathering.add(number, &row.cells);
            added.map_err(|odd| refused(path, &odd))
        })?;
        notices.extend(more);
        Ok(File {
            part,
            path: path.to_path_buf(),
            gathering,
        })
    }

    fn series(&self) -> &[Steps] {
        &self.gathering.series
    }
}

fn refused(path: &Path, odd: &OddRow) -> DataError {
    let OddRow { row, problem } = odd;
    let next = problem.next_step();
    malformed(path, format!("row {row}: {problem} ({next})"))
}

/// Puts the steps of all series in order, and says what orders them.
fn order(
    columns: &StepColumns,
    files: &mut [File],
    notices: &mut Vec<Notice>,
) -> Result<Option<StepTime>, DataError> {
    let Some(column) = &columns.time else {
        return Ok(None);
    };
    let written = files.iter().flat_map(|file| file.gathering.written_times());
    let sniffed = sniff_times(written);
    let format = sniffed.as_ref().map(|sniffed| &sniffed.format);
    for file in files {
        file.gathering.order(format);
        let odd = file.series().iter().filter_map(|steps| steps.odd.as_ref());
        if let Some(first) = odd.min_by_key(|odd| odd.row) {
            return Err(refused(&file.path, first));
        }
    }
    let rival = sniffed.as_ref().and_then(|sniffed| sniffed.rival.as_ref());
    notices.extend(
        rival
            .zip(format)
            .map(|(rival, format)| ambiguous(column, format, rival, NO_DOUBT)),
    );
    Ok(Some(StepTime {
        column: column.clone(),
        format: format.cloned(),
    }))
}

/// Leaves out series of which no row has a target.
fn drop_without_target(form: &Form, files: &mut [File], notices: &mut Vec<Notice>) {
    let mut dropped = 0;
    for file in files {
        let series = &mut file.gathering.series;
        let before = series.len();
        series.retain(|steps| !is_missing(steps.said(TARGET)));
        dropped += before - series.len();
    }
    if dropped > 0 {
        let name = &form.constant[TARGET];
        notices.push(Notice::warning(format!(
            "{dropped} series without a value in `{name}` are left out"
        )));
    }
}

fn check_number(request: &Request, columns: &StepColumns, all: &[&Steps]) -> Result<(), DataError> {
    let problem = match all {
        [] => "none of its series has a target".to_string(),
        [only] => format!(
            "all its rows with a target have `{}` in `{}`, so they are one series: at least two are needed \
             (--series-id names another column)",
            only.id, columns.id
        ),
        _ => return Ok(()),
    };
    Err(nothing(request, problem))
}

/// What was made of the rows.
fn told(columns: &StepColumns, channels: &[String], all: &[&Steps]) -> Vec<Notice> {
    let mut shown: Vec<String> = channels
        .iter()
        .take(CHANNELS_SHOWN)
        .map(|channel| format!("`{channel}`"))
        .collect();
    if channels.len() > CHANNELS_SHOWN {
        shown.push("…".to_string());
    }
    let in_order = match &columns.time {
        Some(time) => format!("ordered by `{time}`, of which only the order is used"),
        None => "in the order of the file (--series-time names a column to order them by)".into(),
    };
    let id = &columns.id;
    let mut notices = vec![Notice::note(format!(
        "rows with the same `{id}` are the steps of one series, {in_order}; channels are {}",
        shown.join(", ")
    ))];
    if all.iter().all(|steps| steps.rows.len() == 1) {
        notices.push(Notice::warning(format!(
            "every series has one step: is `{id}` the column that says which rows belong together?"
        )));
    }
    notices
}
