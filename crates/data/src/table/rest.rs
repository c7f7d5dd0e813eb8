//! The rows of a large table that were not chosen: learned from, and nothing else.
//!
//! They are gone through once more and prepared as the rows of a prediction are, part after part. What
//! never happens: a row that is not chosen decides about preprocessing, or stands on the side of the
//! validation rows; where groups, times or a column decide on sides, rows of the other side are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    chosen::Chosen,
    columns::{is_missing, number},
    dialect::Decimal,
    flow::{Flow, Form, Part, Seen},
    text::malformed,
};
use crate::{
    error::DataError,
    examples::Examples,
    fitted::FittedTask,
    large::{Counted, RestTask},
    limits::ReadLimits,
    preprocess::Preprocessor,
    roles::{Part as Side, Roles, Sides, SplitBy},
    rows::{CellKind, ReadRows, cells_of, read_cell},
    source::{Cells, Column, Dataset, RawTargets, Table},
    times::TimeFormat,
};

/// The rows of a table that are not held.
#[derive(Clone, Debug)]
pub(crate) struct TableRest {
    pub(crate) chosen: Chosen,
    roles: Roles,
    /// What the column that decides on sides says of the held rows.
    side_cells: Vec<String>,
}

impl TableRest {
    pub(super) fn new(chosen: Chosen, roles: Roles, side_cells: Vec<String>) -> TableRest {
        TableRest {
            chosen,
            roles,
            side_cells,
        }
    }

    /// Prepares all rows that are not held, in their order.
    ///
    /// # Errors
    /// If the file cannot be read or is not what it was, or the first that `take` gives.
    pub(crate) fn each(
        &self,
        task: &RestTask<'_>,
        limits: &ReadLimits,
        threads: usize,
        take: &mut dyn FnMut(Examples) -> Result<(), DataError>,
    ) -> Result<Counted, DataError> {
        let form = &self.chosen.form;
        let reading = Preparing {
            rest: self,
            rule: self.rule(task)?,
            target: self.place(&self.chosen.target)?,
            answers: Answers::of(task.preprocessor),
            weight: self.weight(task)?,
            wanted: self.wanted(task.preprocessor)?,
            preprocessor: task.preprocessor,
        };
        let mut counted = Counted::default();
        let flow = Flow::again(form, limits)?;
        let content = flow.in_order(threads, &|part| reading.prepare(part), &mut |ready| {
            counted.add(&ready.counted);
            take(ready.examples)
        })?;
        match content == self.chosen.content {
            true => Ok(counted),
            false => {
                let problem =
                    "it was changed while it was read: begin again when nothing writes to it";
                Err(malformed(&form.path, problem.into()))
            }
        }
    }

    fn place(&self, name: &str) -> Result<usize, DataError> {
        let form = &self.chosen.form;
        let place = form.header.iter().position(|other| other == name);
        place.ok_or_else(|| malformed(&form.path, format!("it has no column `{name}` any more")))
    }

    fn wanted<'a>(
        &self,
        preprocessor: &'a Preprocessor,
    ) -> Result<Vec<(&'a str, CellKind<'a>, usize)>, DataError> {
        let wanted = preprocessor.wanted().unwrap_or_default().into_iter();
        wanted
            .map(|(name, kind)| Ok((name, kind, self.place(name)?)))
            .collect()
    }

    /// Column of the weights, and what they are multiplied by to be 1 on average over the held rows.
    fn weight(&self, task: &RestTask<'_>) -> Result<Option<(usize, f64)>, DataError> {
        let (Some(name), Some(weights)) = (&self.roles.weight, &task.source.facts.weights) else {
            return Ok(None);
        };
        let rows = &task.split.train;
        let sum: f64 = rows.iter().map(|row| weights[*row as usize]).sum();
        let scale = if sum > 0.0 {
            rows.len() as f64 / sum
        } else {
            1.0
        };
        Ok(Some((self.place(name)?, scale)))
    }

    /// Which rows are not on the side of the validation and vault rows.
    fn rule(&self, task: &RestTask<'_>) -> Result<Rule, DataError> {
        let Some(name) = self.roles.split_by.column() else {
            return Ok(Rule::All);
        };
        let place = self.place(name)?;
        let own = 0..task.source.given_validation_rows.start;
        let held_out = [&task.split.validation, &task.split.vault].into_iter();
        let held_out = held_out
            .flatten()
            .map(|row| *row as usize)
            .filter(|row| own.contains(row));
        Ok(match (&self.roles.split_by, &task.source.facts.sides) {
            (SplitBy::Group(_), _) => Rule::NotOf {
                place,
                groups: held_out.map(|row| self.side_cells[row].clone()).collect(),
            },
            (SplitBy::Time(_), Sides::Times(times)) => Rule::Before {
                place,
                first: held_out.map(|row| times[row]).fold(f64::INFINITY, f64::min),
                clock: Clock::of(&self.side_cells, self.chosen.form.decimal),
            },
            _ => Rule::Told { place },
        })
    }
}

/// Which rows may be learned from.
enum Rule {
    All,
    /// Those of other groups than these.
    NotOf {
        place: usize,
        groups: BTreeSet<String>,
    },
    /// Those before this time.
    Before {
        place: usize,
        first: f64,
        clock: Clock,
    },
    /// Those of which a column says so.
    Told {
        place: usize,
    },
}

/// How times are written.
enum Clock {
    Numbers(Decimal),
    Dates(TimeFormat),
}

impl Clock {
    fn of(cells: &[String], decimal: Decimal) -> Clock {
        let texts: Vec<&str> = cells.iter().map(String::as_str).collect();
        let are_numbers = texts.iter().all(|cell| number(cell, decimal).is_some());
        match TimeFormat::sniff(&texts) {
            Some(sniffed) if !are_numbers => Clock::Dates(sniffed.format),
            _ => Clock::Numbers(decimal),
        }
    }

    fn time(&self, cell: &str) -> Option<f64> {
        match self {
            Clock::Numbers(decimal) => number(cell, *decimal),
            Clock::Dates(format) => format.seconds(cell),
        }
    }
}

impl Rule {
    /// Whether a row may be learned from; nothing if its cell cannot be understood.
    fn allows(&self, row: &Seen<'_>) -> Option<bool> {
        match self {
            Rule::All => Some(true),
            Rule::NotOf { place, groups } => {
                let group = row.cell(*place);
                Some(is_missing(group) || !groups.contains(group))
            }
            Rule::Before {
                place,
                first,
                clock,
            } => clock.time(row.cell(*place)).map(|time| time < *first),
            Rule::Told { place } => Side::of_word(row.cell(*place)).map(|side| side == Side::Train),
        }
    }
}

/// How targets are read.
enum Answers<'a> {
    Classes(BTreeMap<&'a str, u32>),
    Values,
}

impl<'a> Answers<'a> {
    fn of(preprocessor: &'a Preprocessor) -> Answers<'a> {
        match preprocessor.task() {
            FittedTask::Classification { classes } => {
                Answers::Classes(classes.iter().map(String::as_str).zip(0..).collect())
            }
            FittedTask::Regression { .. } => Answers::Values,
        }
    }

    fn none(&self) -> RawTargets {
        match self {
            Answers::Classes(_) => RawTargets::Classes(Vec::new()),
            Answers::Values => RawTargets::Values(Vec::new()),
        }
    }

    /// Whether the cell was understood.
    fn read(&self, cell: &str, decimal: Decimal, into: &mut RawTargets) -> bool {
        match (self, into) {
            (Answers::Classes(classes), RawTargets::Classes(ids)) => {
                let id = classes.get(cell);
                ids.extend(id);
                id.is_some()
            }
            (Answers::Values, RawTargets::Values(values)) => {
                let value = number(cell, decimal);
                values.extend(value);
                value.is_some()
            }
            _ => false,
        }
    }
}

/// All that is needed to prepare a part.
struct Preparing<'a> {
    rest: &'a TableRest,
    rule: Rule,
    target: usize,
    answers: Answers<'a>,
    weight: Option<(usize, f64)>,
    wanted: Vec<(&'a str, CellKind<'a>, usize)>,
    preprocessor: &'a Preprocessor,
}

/// A part that is prepared.
struct Ready {
    examples: Examples,
    counted: Counted,
}

impl Preparing<'_> {
    fn prepare(&self, part: &Part) -> Result<Ready, DataError> {
        let Form { decimal, .. } = self.rest.chosen.form;
        let mut counted = Counted::default();
        let mut cells: Vec<Cells> = self
            .wanted
            .iter()
            .map(|(_, kind, _)| cells_of(*kind))
            .collect();
        let mut targets = self.answers.none();
        let mut weights = self.weight.map(|_| Vec::new());
        self.rest.chosen.form.each(part, &mut |line, row| {
            let is_held = self.rest.chosen.lines.binary_search(&line).is_ok();
            if is_held || is_missing(row.cell(self.target)) {
                return Ok(());
            }
            match self.rule.allows(&row) {
                Some(true) => {}
                Some(false) => {
                    counted.held_out += 1;
                    return Ok(());
                }
                None => {
                    counted.unusable += 1;
                    return Ok(());
                }
            }
            let weight = self.weight_of(line, &row)?;
            if !self
                .answers
                .read(row.cell(self.target), decimal, &mut targets)
            {
                counted.unusable += 1;
                return Ok(());
            }
            if let (Some(weights), Some(weight)) = (&mut weights, weight) {
                weights.push(weight);
            }
            for ((_, kind, place), cells) in self.wanted.iter().zip(&mut cells) {
                read_cell(*kind, row.cell(*place), decimal, cells);
            }
            counted.rows += 1;
            Ok(())
        })?;
        let examples = self.examples(cells, targets, weights)?;
        let too_long = counted.rows - examples.len() as u64;
        counted.rows -= too_long;
        counted.unusable += too_long;
        Ok(Ready { examples, counted })
    }

    fn weight_of(&self, line: u64, row: &Seen<'_>) -> Result<Option<f32>, DataError> {
        let Some((place, scale)) = self.weight else {
            return Ok(None);
        };
        let Form { decimal, path, .. } = &self.rest.chosen.form;
        let weight = number(row.cell(place), *decimal).filter(|weight| *weight >= 0.0);
        let weight = weight.ok_or_else(|| {
            let problem = format!(
                "line {line} has the weight `{}`: a weight is a number, 0 or more",
                row.cell(place)
            );
            malformed(path, problem)
        })?;
        Ok(Some((weight * scale) as f32))
    }

    /// Rows as a network takes them; series that are too long for it are not among them.
    fn examples(
        &self,
        cells: Vec<Cells>,
        targets: RawTargets,
        weights: Option<Vec<f32>>,
    ) -> Result<Examples, DataError> {
        let rows = targets.len();
        let columns = self.wanted.iter().zip(cells).map(|((name, ..), cells)| {
            let name = (*name).to_string();
            Column { name, cells }
        });
        let table = Table {
            columns: columns.collect(),
            targets: RawTargets::Unknown(rows),
        };
        let read = ReadRows::all(Dataset::Table(table));
        let read = self.preprocessor.of_table(read);
        let places = read.row_numbers.iter().map(|number| *number as u32 - 1);
        let places: Vec<u32> = places.collect();
        let targets = self.preprocessor.targets(&targets, &places);
        let weights = weights.map(|weights| -> Vec<f32> {
            let kept = places.iter().map(|place| weights[*place as usize]);
            kept.collect()
        });
        let all: Vec<u32> = (0..places.len() as u32).collect();
        let examples = self.preprocessor.apply(&read.dataset, &all)?;
        Ok(examples.with_answers(targets, weights))
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write as _, fs};

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        source::{DataKind, Request},
        split::{SplitShares, split},
        table::chosen::mixed,
    };

    #[test]
    fn a_series_that_is_longer_than_all_that_are_held_is_left_out_and_counted() {
        const ROWS: u64 = 2_000;
        // The row with the largest hash is never chosen, and none of the first of its class.
        let long = (100..ROWS).max_by_key(|row| mixed(row + 2)).unwrap();
        let mut text = String::from("kind,t0,t1,t2,t3\n");
        for row in 0..ROWS {
            let kind = ["a", "b"][row as usize % 2];
            // What is too large for a network is missing, so that all others end before the last column.
            let last = if row == long { "1" } else { "1e39" };
            let (x, y, z) = (row % 7, row % 5, row % 3);
            writeln!(text, "{kind},{x},{y},{z},{last}").unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs::write(&path, text).unwrap();
        let source = crate::read::read(&Request {
            path,
            target: Some("kind".to_string()),
            kind: Some(DataKind::Series),
            limits: ReadLimits {
                held_text_bytes: 10 << 10,
                ..ReadLimits::default()
            },
            ..Request::default()
        });
        let source = source.unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let split = split(&source, SplitShares::default(), &mut rng).unwrap();
        let preprocessor = Preprocessor::fit(&source, &split.train).unwrap();
        let held = preprocessor.apply(&source.dataset, &split.train).unwrap();
        let task = RestTask {
            source: &source,
            split: &split,
            preprocessor: &preprocessor,
        };
        let beyond = source.beyond.as_ref().unwrap();
        let rows = folder.path().join("rows.shards");
        let counted = beyond.convert(&task, &held, &rows).unwrap();
        let expected = (beyond.rows_left() - 1, 1);
        assert_eq!((counted.rows, counted.unusable), expected);
    }
}
