//! New series for a model whose series stood in a table with a row for each step.
//!
//! A row that is no step costs the series that it belongs to, and no other: half a series would be
//! answered as if it were a whole one.

use std::path::Path;

use super::{BadRow, ReadRows, RowNames, kept, unfit};
use crate::{
    error::DataError,
    fitted::FittedSeries,
    limits::ReadLimits,
    series::long::{Gathering, OddRow, Place, StepPlaces, StepTable, Steps, series_of},
    source::Dataset,
    table::{Reading, Taken, all::AllRows, dialect::Dialect, text::Records},
};

/// Reads the series of a table; each is called by its id, and has the number of its first row.
pub(super) fn read(
    fitted: &FittedSeries,
    table: &StepTable,
    path: &Path,
    dialect: Dialect,
    limits: &ReadLimits,
) -> Result<ReadRows, DataError> {
    let time = table.time.as_ref().map(|time| &time.column);
    let is_wanted = |column: &str| {
        let named = table.channels.iter().chain(time).chain([&table.id]);
        named.into_iter().any(|name| name == column)
    };
    let reading = Reading {
        taken: Taken::Only(&is_wanted),
        ..kept(dialect, limits)
    };
    let mut rows = AllRows::open(path, reading)?;
    let mut notices = std::mem::take(&mut rows.head.notices);
    let places = places(table, path, &rows.head)?;
    let (columns, decimal) = (rows.head.header.len(), rows.head.decimal);
    let mut gathering = Gathering::new(places, decimal);
    let mut bad = Vec::new();
    let more = rows.each(&mut |number, row| {
        let added = match row.cells.len() == columns {
            true => gathering.add(number, &row.cells),
            false => gathering.add_ragged(number, &row.cells, columns),
        };
        bad.extend(added.err().filter(OddRow::is_of_no_series).map(bad_row));
        Ok(())
    })?;
    notices.extend(more);
    let format = table.time.as_ref().and_then(|time| time.format.as_ref());
    gathering.order(format);
    let mut good = Vec::new();
    for steps in &gathering.series {
        match usable(fitted, steps) {
            Ok(()) => good.push(steps),
            Err(reason) => bad.push(reason),
        }
    }
    bad.sort_by_key(|bad| bad.row);
    let series = series_of(good.iter().copied(), table.channels.len(), None);
    let ids = good.iter().map(|steps| steps.id.clone());
    Ok(ReadRows {
        row_numbers: good.iter().map(|steps| steps.rows[0]).collect(),
        names: RowNames::Series(ids.collect()),
        dataset: Dataset::Series(series),
        bad,
        notices,
    })
}

fn places(table: &StepTable, path: &Path, head: &Records) -> Result<StepPlaces, DataError> {
    let place = |name: &String| {
        let at = head.header.iter().position(|other| other == name);
        let at = at.ok_or_else(|| {
            let header = head.header.join(", ");
            unfit(
                path,
                format!("it lacks the column `{name}`: it has {header}"),
            )
        })?;
        let name = name.clone();
        Ok::<Place, DataError>(Place { name, at })
    };
    let time = table.time.as_ref().map(|time| place(&time.column));
    Ok(StepPlaces {
        id: place(&table.id)?,
        time: time.transpose()?,
        channels: table.channels.iter().map(place).collect::<Result<_, _>>()?,
        constant: Vec::new(),
    })
}

fn bad_row(odd: OddRow) -> BadRow {
    BadRow {
        row: odd.row,
        reason: odd.problem.to_string(),
    }
}

fn usable(fitted: &FittedSeries, steps: &Steps) -> Result<(), BadRow> {
    let id = &steps.id;
    if let Some(odd) = &steps.odd {
        let problem = &odd.problem;
        let reason = format!("{problem}; series `{id}` is not answered without it");
        return Err(BadRow {
            row: odd.row,
            reason,
        });
    }
    let (found, longest) = (steps.rows.len(), fitted.length);
    if found > longest as usize {
        let reason = format!("series `{id}` has {found} steps, the model takes up to {longest}");
        let row = steps.rows[0];
        return Err(BadRow { row, reason });
    }
    Ok(())
}
