//! Series in long format: a table with a row for each step, put together by what its rows say.
//!
//! Rows of one id are one series; a column of times orders them, or they stand in order. What must be the
//! same in all rows of a series is checked here, for learning and for prediction alike. Nothing is guessed:
//! which column is the id is always said by the user.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Growing;
use crate::{
    source::Series,
    table::{
        columns::{is_missing, number},
        dialect::Decimal,
    },
    times::{Sniffed, TimeFormat},
};

/// Which columns make series of the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepColumns {
    /// Says which series a row belongs to.
    pub id: String,
    /// Orders the rows of a series; they stand in order if absent.
    #[serde(default)]
    pub time: Option<String>,
}

impl fmt::Display for StepColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by `{}`", self.id)?;
        match &self.time {
            Some(time) => write!(f, " in the order of `{time}`"),
            None => Ok(()),
        }
    }
}

/// How series stand in a table with a row for each step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTable {
    /// Column that says which series a row belongs to.
    pub id: String,
    /// What orders the rows of a series; they stand in order if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<StepTime>,
    /// Columns that are the channels, in their order.
    pub channels: Vec<String>,
}

/// A column that orders the rows of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTime {
    /// Its name.
    pub column: String,
    /// How its dates are written; they are numbers if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<TimeFormat>,
}

/// A column and where its cells stand in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) at: usize,
}

/// Where the cells of a step stand in a row.
#[derive(Clone, Debug)]
pub(crate) struct StepPlaces {
    pub(crate) id: Place,
    pub(crate) time: Option<Place>,
    pub(crate) channels: Vec<Place>,
    /// Columns that say the same in all rows of a series, or nothing.
    pub(crate) constant: Vec<Place>,
}

/// Why a row is no step of a series.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum StepProblem {
    #[error("it has no `{column}`, so it belongs to no series")]
    NoSeries { column: String },
    #[error("`{column}` holds `{cell}`, which is no number")]
    NoNumber { column: String, cell: String },
    #[error("series `{series}` has `{cell}` in `{column}`, in row {row} it has `{before}`")]
    Differs {
        series: String,
        column: String,
        cell: String,
        before: String,
        row: u64,
    },
    #[error("`{column}` holds `{cell}`, which is {wanted}")]
    NoTime {
        column: String,
        cell: String,
        wanted: String,
    },
    #[error("series `{series}` has `{cell}` in `{column}`, as in row {row}")]
    SameTime {
        series: String,
        column: String,
        cell: String,
        row: u64,
    },
    #[error("it has {cells} cells, the header {columns}")]
    Ragged { cells: usize, columns: usize },
}

impl StepProblem {
    /// What whoever wants to learn from the table can do about it.
    pub(crate) fn next_step(&self) -> &'static str {
        match self {
            StepProblem::NoSeries { .. } => "give every row one, or remove the row",
            StepProblem::NoNumber { .. } => {
                "every column without another role is a channel of numbers, and --ignore leaves one out"
            }
            StepProblem::Differs { .. } => {
                "it must be the same in all rows of a series: mend it, or choose another column for it or \
                 for --series-id"
            }
            StepProblem::NoTime { .. } => {
                "--series-time needs a number or a date, as 2024-03-09 14:30, in every row"
            }
            StepProblem::SameTime { .. } => {
                "steps of a series have different times: remove one, or leave out --series-time to take the \
                 rows as they stand"
            }
            StepProblem::Ragged { .. } => "give it as many",
        }
    }
}

/// A row that is no step, by its number from 1, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OddRow {
    pub(crate) row: u64,
    pub(crate) problem: StepProblem,
}

impl OddRow {
    /// Whether it belongs to no series that could be told about it.
    pub(crate) fn is_of_no_series(&self) -> bool {
        matches!(
            self.problem,
            StepProblem::NoSeries { .. } | StepProblem::Ragged { .. }
        )
    }
}

/// When a step was, as far as a cell tells.
#[derive(Clone, Debug, PartialEq)]
enum When {
    Number(f64),
    Text(Box<str>),
}

/// The rows of one series.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) id: String,
    /// Numbers of its rows, from 1.
    pub(crate) rows: Vec<u64>,
    /// The first thing that is wrong with it.
    pub(crate) odd: Option<OddRow>,
    /// What it says in each of the constant columns, and in which row.
    said: Vec<Option<(String, u64)>>,
    /// One for each row, if there is a column of times.
    times: Vec<When>,
    /// Step after step, channels last.
    values: Vec<f32>,
}

impl Steps {
    /// What all rows say in a constant column; nothing if none says anything.
    pub(crate) fn said(&self, column: usize) -> &str {
        self.said[column].as_ref().map_or("", |(cell, _)| cell)
    }
}

/// Series while the rows of a table are gone through.
#[derive(Debug)]
pub(crate) struct Gathering {
    places: StepPlaces,
    decimal: Decimal,
    numbers: BTreeMap<String, usize>,
    /// In the order in which they begin.
    pub(crate) series: Vec<Steps>,
}

impl Gathering {
    pub(crate) fn new(places: StepPlaces, decimal: Decimal) -> Gathering {
        Gathering {
            places,
            decimal,
            numbers: BTreeMap::new(),
            series: Vec::new(),
        }
    }

    /// Adds a row as the next step of its series; what is wrong with it is kept there, too.
    ///
    /// # Errors
    /// If it is no step of a series.
    pub(crate) fn add(&mut self, row: u64, cells: &[String]) -> Result<(), OddRow> {
        let problem = match self.series_of(row, cells) {
            Ok(series) => {
                let (places, steps) = (&self.places, &mut self.series[series]);
                let added = added(places, self.decimal, steps, row, cells);
                let odd = added.map_err(|problem| OddRow { row, problem });
                if let (Err(odd), None) = (&odd, &steps.odd) {
                    steps.odd = Some(odd.clone());
                }
                return odd;
            }
            Err(problem) => problem,
        };
        Err(OddRow { row, problem })
    }

    /// Notes that a row has too few or too many cells; so its series lacks a step, if it names one.
    ///
    /// # Errors
    /// If it names none.
    pub(crate) fn add_ragged(
        &mut self,
        row: u64,
        cells: &[String],
        columns: usize,
    ) -> Result<(), OddRow> {
        let problem = StepProblem::Ragged {
            cells: cells.len(),
            columns,
        };
        let odd = OddRow { row, problem };
        match self.series_of(row, cells) {
            Ok(series) => {
                self.series[series].odd.get_or_insert(odd);
                Ok(())
            }
            Err(_) => Err(odd),
        }
    }

    /// The series that a row belongs to, which may begin with it.
    fn series_of(&mut self, row: u64, cells: &[String]) -> Result<usize, StepProblem> {
        let Place { name, at } = &self.places.id;
        let id = cells.get(*at).filter(|id| !is_missing(id));
        let id = id.ok_or_else(|| StepProblem::NoSeries {
            column: name.clone(),
        })?;
        if let Some(number) = self.numbers.get(id) {
            self.series[*number].rows.push(row);
            return Ok(*number);
        }
        let number = self.series.len();
        self.numbers.insert(id.clone(), number);
        self.series.push(Steps {
            id: id.clone(),
            rows: vec![row],
            odd: None,
            said: vec![None; self.places.constant.len()],
            times: Vec::new(),
            values: Vec::new(),
        });
        Ok(number)
    }

    /// All cells of times that are no numbers.
    pub(crate) fn written_times(&self) -> impl Iterator<Item = &str> {
        let times = self.series.iter().flat_map(|steps| &steps.times);
        times.filter_map(|when| match when {
            When::Text(text) => Some(&**text),
            When::Number(_) => None,
        })
    }

    /// Puts the steps of every series in order; what is wrong with a series is kept with it.
    pub(crate) fn order(&mut self, format: Option<&TimeFormat>) {
        let Some(time) = &self.places.time else {
            return;
        };
        let channels = self.places.channels.len();
        for steps in &mut self.series {
            if steps.odd.is_none() {
                steps.odd = order(steps, channels, &time.name, format).err();
            }
        }
    }
}

/// How the dates of these cells are written; nothing if there are none, as numbers are no dates.
pub(crate) fn sniff_times<'a>(written: impl Iterator<Item = &'a str>) -> Option<Sniffed> {
    let texts: Vec<&str> = written.filter(|cell| !is_missing(cell)).collect();
    TimeFormat::sniff(&texts)
}

fn added(
    places: &StepPlaces,
    decimal: Decimal,
    steps: &mut Steps,
    row: u64,
    cells: &[String],
) -> Result<(), StepProblem> {
    for (place, said) in places.constant.iter().zip(&mut steps.said) {
        let cell = &cells[place.at];
        match said {
            _ if is_missing(cell) => {}
            None => *said = Some((cell.clone(), row)),
            Some((before, _)) if before == cell => {}
            Some((before, in_row)) => {
                return Err(StepProblem::Differs {
                    series: steps.id.clone(),
                    column: place.name.clone(),
                    cell: cell.clone(),
                    before: before.clone(),
                    row: *in_row,
                });
            }
        }
    }
    for place in &places.channels {
        let cell = &cells[place.at];
        let value = match number(cell, decimal) {
            Some(value) => value as f32,
            None if is_missing(cell) => f32::NAN,
            None => f32::INFINITY,
        };
        // What is too large for a network's numbers is as unusable as a word.
        if value.is_infinite() {
            return Err(StepProblem::NoNumber {
                column: place.name.clone(),
                cell: cell.clone(),
            });
        }
        steps.values.push(value);
    }
    if let Some(place) = &places.time {
        let cell = cells[place.at].as_str();
        steps.times.push(match number(cell, decimal) {
            Some(value) => When::Number(value),
            None => When::Text(cell.into()),
        });
    }
    Ok(())
}

/// Orders the steps of a series by their times.
fn order(
    steps: &mut Steps,
    channels: usize,
    column: &str,
    format: Option<&TimeFormat>,
) -> Result<(), OddRow> {
    let shown = |step: usize| match &steps.times[step] {
        When::Number(number) => number.to_string(),
        When::Text(text) => text.to_string(),
    };
    let mut times = Vec::with_capacity(steps.times.len());
    for (step, when) in steps.times.iter().enumerate() {
        let time = match (when, format) {
            (When::Number(number), None) => Some(*number),
            (When::Text(text), Some(format)) => format.seconds(text),
            _ => None,
        };
        let time = time.ok_or_else(|| OddRow {
            row: steps.rows[step],
            problem: StepProblem::NoTime {
                column: column.to_string(),
                cell: shown(step),
                wanted: match format {
                    Some(format) => format!("no date like {format}, as the others are"),
                    None => "neither a number nor a date like the others".to_string(),
                },
            },
        })?;
        times.push((time, step));
    }
    // Stable: of equal times the earlier row stands first.
    times.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some(pair) = times.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        let (first, second) = (pair[0].1, pair[1].1);
        let problem = StepProblem::SameTime {
            series: steps.id.clone(),
            column: column.to_string(),
            cell: shown(second),
            row: steps.rows[first],
        };
        let row = steps.rows[second];
        return Err(OddRow { row, problem });
    }
    let in_order = times
        .iter()
        .flat_map(|(_, step)| &steps.values[step * channels..(step + 1) * channels]);
    steps.values = in_order.copied().collect();
    Ok(())
}

/// These series, without targets.
pub(crate) fn series_of<'a>(
    all: impl Iterator<Item = &'a Steps>,
    channels: usize,
    table: Option<StepTable>,
) -> Series {
    let mut growing = Growing::new(channels);
    all.for_each(|steps| growing.push_steps(&steps.values));
    Series {
        steps: table,
        ..growing.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, at: usize) -> Place {
        let name = name.to_string();
        Place { name, at }
    }

    /// Rows of id, time, one channel and a label.
    fn gathered(rows: &[&str]) -> Gathering {
        let places = StepPlaces {
            id: place("id", 0),
            time: Some(place("t", 1)),
            channels: vec![place("x", 2)],
            constant: vec![place("label", 3)],
        };
        let mut gathering = Gathering::new(places, Decimal::Point);
        for (row, text) in (1..).zip(rows) {
            let cells: Vec<String> = text.split(' ').map(str::to_string).collect();
            // What is wrong is looked at where it is kept.
            let _ = gathering.add(row, &cells);
        }
        let format = sniff_times(gathering.written_times()).map(|sniffed| sniffed.format);
        gathering.order(format.as_ref());
        gathering
    }

    #[test]
    fn series_stand_in_the_order_in_which_they_begin_and_steps_in_that_of_their_times() {
        let gathering = gathered(&[
            "b 2 5 up",
            "a 7 1 down",
            "b 1.5 NA ",
            "b 10 6 up",
            "a 3 2 down",
        ]);
        let [b, a] = &gathering.series[..] else {
            panic!("{gathering:?}")
        };
        assert_eq!((b.id.as_str(), b.said(0)), ("b", "up"));
        assert!(b.values[0].is_nan());
        assert_eq!(
            (&b.values[1..], &a.values[..]),
            (&[5.0, 6.0][..], &[2.0, 1.0][..])
        );
        assert_eq!(b.rows, [1, 3, 4], "rows are told as they stood in the file");
    }

    #[test]
    fn only_the_first_thing_that_is_wrong_with_a_series_is_kept() {
        let gathering = gathered(&[
            "a 2024-01-02 1 up",
            "a soon 1e39 up",
            "a 2024-01-02 1 down",
            "b 2024-01-02 1 up",
            "b 5 1 up",
        ]);
        let odd = |series: usize| {
            let odd = gathering.series[series].odd.as_ref().unwrap();
            format!("{}: {}", odd.row, odd.problem)
        };
        assert_eq!(odd(0), "2: `x` holds `1e39`, which is no number");
        assert_eq!(
            odd(1),
            "5: `t` holds `5`, which is no date like %Y-%m-%d, as the others are"
        );
    }
}
