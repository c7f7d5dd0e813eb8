//! Some rows of a table that is too large to be held, chosen by chance, as the records of a small one.
//!
//! They are read, typed, split and learned from as if they were all there is; the rows that are not
//! chosen are learned from, too, and never anything else. A row is chosen if a hash of its line is below
//! a threshold, which is halved whenever the chosen ones have become too many. A few rows of every class
//! are chosen in any case, so that none is missed. What holds of all rows is counted over all of them:
//! how many there are, and whether a column counts them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Reading,
    columns::{is_missing, number},
    dialect::Decimal,
    flow::{FileContent, Flow, Form, Part, Seen},
    read::{find_target, ignore_columns, is_few_whole_numbers, is_role},
    text::{Records, Row, malformed},
};
use crate::{
    error::DataError,
    large::{Unheld, threads},
    levels,
    notice::Notice,
    source::{Request, TaskKind},
};

/// Of the text that may be held, this share is that of the chosen rows: they are looked at as a whole.
const CHOSEN_SHARE: f64 = 0.5;

/// Values of the chosen rows as a network takes them, at most: 64 MiB of numbers.
const VALUES_MAX: usize = 16 << 20;

/// Rows that tell how many values a row becomes.
const ROWS_MEASURED: usize = 2_000;

/// Cells that hold so many words in the mean may become as many values as there are words.
const TEXT_WORDS: usize = 3;
/// How many these are at most.
const TEXT_VALUES: usize = 200;

/// So many rows of every class are chosen at least, if there are as many.
const CLASS_ROWS: usize = 20;

/// How rows were chosen.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) form: Form,
    /// Name of the column to predict.
    pub(crate) target: String,
    /// Rows with a target.
    pub(crate) rows: u64,
    /// Lines of the chosen ones, ascending.
    pub(crate) lines: Vec<u64>,
    /// Columns that count the rows.
    pub(crate) counting: Vec<String>,
    /// What is predicted, as far as the labels of all rows tell more than those of the chosen ones.
    pub(crate) task: Option<TaskKind>,
    pub(crate) content: FileContent,
}

/// Reads some rows of a table that is too large to be held; of the others it is said what becomes of them.
///
/// # Errors
/// If it cannot be read, or a row breaks a rule of its format.
pub(crate) fn choose(
    path: &Path,
    request: &Request,
    reading: Reading<'_>,
    unheld: Unheld,
) -> Result<Records, DataError> {
    let expected = file_bytes(path);
    let (flow, form, mut head) = Flow::open(path, reading)?;
    ignore_columns(&mut head, request)?;
    let mut notices = std::mem::take(&mut head.notices);
    let target = find_target(path, &head, request, &mut notices)?;
    let target = head.header[target].clone();
    let is_label = |name: &String| *name == target;
    let place = form.header.iter().position(is_label);
    let place = place.expect("the target is one of the columns");
    let text_max = (CHOSEN_SHARE * request.limits.held_text_bytes as f64) as usize;
    let tally = Tally::new(form.header.len(), text_max, request.limits.classes_max);
    let tally = Mutex::new(tally);
    let look = |part: &Part| {
        let snapshot = locked(&tally).snapshot();
        look(&form, place, part, &snapshot)
    };
    // Nothing is taken while parts are looked at, so that these see the same whatever their order.
    let content = flow.in_order(threads(), &look, &mut |shown| {
        locked(&tally).take(shown);
        Ok(())
    })?;
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    if expected.is_some_and(|bytes| bytes != content.bytes) {
        return Err(malformed(path, "it was changed while it was read".into()));
    }
    notices.append(&mut tally.notices);
    if tally.without_target > 0 {
        notices.push(Notice::warning(format!(
            "{} row(s) without a value in `{target}` are left out",
            tally.without_target
        )));
    }
    let counting = tally.counting_columns(&form.header, |name| {
        is_label(name) || is_role(request, name)
    });
    let inputs = inputs_of(&form, request, &target);
    let (rows, decimal) = (tally.rows, form.decimal);
    let task = request.task.or_else(|| tally.labels.task(decimal));
    let values = |rows: &[Kept]| values_per_row(rows, &inputs, decimal);
    let kept = tally.chosen(place, task, &values);
    notices.push(said(path, kept.len() as u64, rows, unheld));
    let mut records = Records {
        header: form.header.clone(),
        rows: Vec::with_capacity(kept.len()),
        notices,
        numbers: Some(kept.iter().map(|kept| kept.number).collect()),
        chosen: Some(Chosen {
            lines: kept.iter().map(|kept| kept.row.line).collect(),
            form,
            target,
            rows,
            counting,
            task,
            content,
        }),
        ..head
    };
    records.rows.extend(kept.into_iter().map(|kept| kept.row));
    ignore_columns(&mut records, request)?;
    Ok(records)
}

/// Places of the columns that are predicted from.
fn inputs_of(form: &Form, request: &Request, target: &str) -> Vec<usize> {
    let is_input = |place: &usize| {
        let name = &form.header[*place];
        name != target && !is_role(request, name) && !request.ignore.contains(name)
    };
    (0..form.header.len()).filter(is_input).collect()
}

fn locked(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file_bytes(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|file| file.len())
}

/// What is said where not all rows are held.
fn said(path: &Path, chosen: u64, rows: u64, unheld: Unheld) -> Notice {
    if unheld == Unheld::Unused {
        return Notice::note(format!(
            "{} is larger than what is held in memory: {chosen} of its {rows} rows, drawn by chance, are \
             scored; the others are not used",
            path.display()
        ));
    }
    Notice::note(format!(
        "the table is larger than what is held in memory: {chosen} of its {rows} rows, drawn by chance, \
         decide on kinds, preprocessing, profile, validation and vault (a mean is off by about {:.4} \
         standard deviations, a median by {:.2} % of the rows); the others are learned from by networks \
         alone",
        1.0 / (chosen.max(1) as f64).sqrt(),
        50.0 / (chosen.max(1) as f64).sqrt(),
    ))
}

/// A row that may be chosen.
struct Kept {
    key: u64,
    /// Its number in the file, from 1.
    number: u64,
    row: Row,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.row.cells.iter().map(|cell| cell.len() + 1).sum()
    }
}

/// What the rows so far have shown.
struct Tally {
    rows: u64,
    without_target: u64,
    threshold: u64,
    text_max: usize,
    bytes: usize,
    kept: Vec<Kept>,
    labels: Labels,
    /// For each column, whether it counts the rows; the last number of those that do.
    counting: Vec<Counting>,
    /// What is to be said of parts.
    notices: Vec<Notice>,
}

/// The first rows of each class; nothing once there are too many classes.
struct Labels {
    first: Option<BTreeMap<String, Vec<Kept>>>,
    classes_max: usize,
}

/// Whether a column counts the rows.
#[derive(Clone, Copy, PartialEq)]
enum Counting {
    Unknown,
    /// From the first number to the last, one more in each row.
    From(f64, f64),
    Not,
}

impl Counting {
    fn with(self, next: Counting) -> Counting {
        match (self, next) {
            (Counting::Unknown, other) | (other, Counting::Unknown) => other,
            (Counting::From(first, last), Counting::From(then, end)) if then - last == 1.0 => {
                Counting::From(first, end)
            }
            _ => Counting::Not,
        }
    }
}

/// What a part is looked at with.
struct Snapshot {
    threshold: u64,
    /// Columns that may still count the rows.
    counting: Vec<usize>,
    has_labels: bool,
}

/// What a part has shown; rows are numbered from 0 within it.
struct Shown {
    rows: u64,
    with_target: u64,
    kept: Vec<Kept>,
    labels: BTreeMap<String, Vec<Kept>>,
    counting: Vec<(usize, Counting)>,
    notice: Option<Notice>,
}

fn look(form: &Form, target: usize, part: &Part, state: &Snapshot) -> Result<Shown, DataError> {
    let mut shown = Shown {
        rows: 0,
        with_target: 0,
        kept: Vec::new(),
        labels: BTreeMap::new(),
        counting: state
            .counting
            .iter()
            .map(|column| (*column, Counting::Unknown))
            .collect(),
        notice: part.notice(),
    };
    form.each(part, &mut |line, row| {
        let number = shown.rows;
        shown.rows += 1;
        let label = row.cell(target);
        if is_missing(label) {
            return Ok(());
        }
        shown.with_target += 1;
        for (column, counting) in &mut shown.counting {
            *counting = counting.with(match number_in(&row, *column, form) {
                Some(value) => Counting::From(value, value),
                None => Counting::Not,
            });
        }
        let key = mixed(line);
        let kept = |row: &Seen<'_>| Kept {
            key,
            number,
            row: row.to_row(line),
        };
        if key <= state.threshold {
            shown.kept.push(kept(&row));
        }
        if state.has_labels {
            match shown.labels.get_mut(label) {
                Some(first) if first.len() < CLASS_ROWS => first.push(kept(&row)),
                Some(_) => {}
                None => {
                    shown.labels.insert(label.to_string(), vec![kept(&row)]);
                }
            }
        }
        Ok(())
    })?;
    Ok(shown)
}

fn number_in(row: &Seen<'_>, column: usize, form: &Form) -> Option<f64> {
    number(row.cell(column), form.decimal)
}

/// A hash of a number.
///
/// # Source
/// The output function of SplitMix64 (Steele, Lea & Flood 2014, "Fast Splittable Pseudorandom Number
/// Generators").
pub(crate) fn mixed(line: u64) -> u64 {
    let mut bits = line.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Tally {
    fn new(columns: usize, text_max: usize, classes_max: usize) -> Tally {
        Tally {
            rows: 0,
            without_target: 0,
            threshold: u64::MAX,
            text_max,
            bytes: 0,
            kept: Vec::new(),
            labels: Labels {
                first: Some(BTreeMap::new()),
                classes_max,
            },
            counting: vec![Counting::Unknown; columns],
            notices: Vec::new(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let counting = self.counting.iter().enumerate();
        let may_count =
            |(column, counting): (usize, &Counting)| (*counting != Counting::Not).then_some(column);
        Snapshot {
            threshold: self.threshold,
            counting: counting.filter_map(may_count).collect(),
            has_labels: self.labels.first.is_some(),
        }
    }

    fn take(&mut self, shown: Shown) {
        self.notices.extend(shown.notice);
        let before = self.rows + self.without_target;
        let numbered = |kept: Kept| Kept {
            number: before + kept.number + 1,
            ..kept
        };
        for kept in shown.kept.into_iter().map(numbered) {
            if kept.key <= self.threshold {
                self.bytes += kept.bytes();
                self.kept.push(kept);
            }
        }
        while self.bytes > self.text_max && self.kept.len() > 1 {
            self.halve();
        }
        for (column, counting) in shown.counting {
            self.counting[column] = self.counting[column].with(counting);
        }
        let labels = shown.labels.into_iter();
        self.labels
            .add(labels.map(|(label, first)| (label, first.into_iter().map(numbered).collect())));
        self.rows += shown.with_target;
        self.without_target += shown.rows - shown.with_target;
    }

    fn halve(&mut self) {
        self.threshold /= 2;
        let threshold = self.threshold;
        self.kept.retain(|kept| kept.key <= threshold);
        self.bytes = self.kept.iter().map(Kept::bytes).sum();
    }

    fn counting_columns(
        &self,
        header: &[String],
        is_no_input: impl Fn(&String) -> bool,
    ) -> Vec<String> {
        let columns = header.iter().zip(&self.counting);
        columns
            .filter(|(name, counting)| matches!(counting, Counting::From(..)) && !is_no_input(name))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// The chosen rows in the order of the file, those of rare classes among them; `values_per_row` says how many
    /// values they become.
    fn chosen(
        mut self,
        target: usize,
        task: Option<TaskKind>,
        values_per_row: &dyn Fn(&[Kept]) -> usize,
    ) -> Vec<Kept> {
        let values = values_per_row(&self.kept).max(1);
        while self.kept.len() * values > VALUES_MAX && self.kept.len() > 1 {
            self.halve();
        }
        let mut of_class: BTreeMap<&str, usize> = BTreeMap::new();
        for kept in &self.kept {
            *of_class.entry(&kept.row.cells[target]).or_default() += 1;
        }
        let mut more = Vec::new();
        // Of numbers that are predicted, the rare ones would stand too often among the chosen.
        let classes = match task {
            Some(TaskKind::Regression) => None,
            Some(TaskKind::Classification) | None => self.labels.first,
        };
        for (label, first) in classes.unwrap_or_default() {
            let there = of_class.get(label.as_str()).copied().unwrap_or(0);
            let lacking = CLASS_ROWS.saturating_sub(there);
            let others = first.into_iter().filter(|kept| kept.key > self.threshold);
            more.extend(others.take(lacking));
        }
        self.kept.extend(more);
        self.kept.sort_by_key(|kept| kept.number);
        self.kept
    }
}

impl Labels {
    /// That numbers are predicted, if the labels of all rows look so, as they would in a small table.
    fn task(&self, decimal: Decimal) -> Option<TaskKind> {
        let labels = self.first.as_ref()?.keys();
        let numbers: Option<Vec<f64>> = labels.map(|label| number(label, decimal)).collect();
        let are_measured = numbers.is_some_and(|numbers| !is_few_whole_numbers(&numbers));
        are_measured.then_some(TaskKind::Regression)
    }

    fn add(&mut self, more: impl Iterator<Item = (String, Vec<Kept>)>) {
        let Some(first) = &mut self.first else {
            return;
        };
        for (label, rows) in more {
            let known = first.entry(label).or_default();
            let room = CLASS_ROWS.saturating_sub(known.len());
            known.extend(rows.into_iter().take(room));
        }
        if first.len() > self.classes_max {
            self.first = None;
        }
    }
}

/// How many values a row becomes by its columns that are inputs, as far as the first rows tell.
fn values_per_row(rows: &[Kept], inputs: &[usize], decimal: Decimal) -> usize {
    let rows = &rows[..rows.len().min(ROWS_MEASURED)];
    let of_column = |column: usize| {
        let cells = rows.iter().map(|kept| kept.row.cells[column].as_str());
        let present: Vec<&str> = cells.filter(|cell| !is_missing(cell)).collect();
        let numbers = present
            .iter()
            .filter(|cell| number(cell, decimal).is_some());
        if 2 * numbers.count() >= present.len() {
            return 2;
        }
        let words = present.iter().map(|cell| cell.split_whitespace().count());
        if words.sum::<usize>() >= TEXT_WORDS * present.len() {
            return TEXT_VALUES;
        }
        let different: BTreeSet<&str> = present.into_iter().collect();
        let shared = if different.len() > levels::OWN {
            levels::SHARED
        } else {
            0
        };
        different.len().min(levels::OWN) + 1 + shared
    };
    inputs.iter().copied().map(of_column).sum()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{limits::ReadLimits, table::read::reading};

    /// Some rows of a table of which only these are held.
    fn chosen_of(text: &str, task: Option<TaskKind>) -> Records {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        fs::write(&path, text).unwrap();
        let request = Request {
            path: path.clone(),
            task,
            limits: ReadLimits {
                held_text_bytes: 8 << 10,
                ..ReadLimits::default()
            },
            ..Request::default()
        };
        choose(&path, &request, reading(&request), Unheld::LearnedFrom).unwrap()
    }

    /// Every fiftieth row has a number of its own, which is large; the others have small ones.
    fn with_a_tail() -> String {
        let target = |row: usize| match row % 50 {
            0 => 1_000 + row,
            other => other % 10,
        };
        let rows = (0..5_000).map(|row| format!("{},{}\n", row % 7, target(row)));
        format!("x,y\n{}", rows.collect::<String>())
    }

    #[test]
    fn rare_numbers_that_are_predicted_are_chosen_as_often_as_all_rows_and_rare_classes_always() {
        let of_tail = |task: Option<TaskKind>| {
            let records = chosen_of(&with_a_tail(), task);
            let tail = records.rows.iter().filter(|row| row.cells[1].len() > 1);
            (
                tail.count(),
                records.rows.len(),
                records.chosen.unwrap().task,
            )
        };
        for task in [None, Some(TaskKind::Regression)] {
            let (tail, all, found) = of_tail(task);
            assert!((100..1_000).contains(&all), "{all}");
            // One row in fifty.
            assert!(tail * 20 < all, "{tail} of {all}");
            assert_eq!(found, Some(TaskKind::Regression));
        }
        assert_eq!(of_tail(Some(TaskKind::Classification)).0, 100);
    }

    #[test]
    fn numbers_with_a_decimal_comma_are_one_value_with_a_gap_and_only_inputs_count() {
        let kept = |row: u64| Kept {
            key: 0,
            number: row,
            row: Row {
                line: row,
                cells: [format!("1,{row}"), format!("name {row}")].to_vec(),
            },
        };
        let rows: Vec<Kept> = (1..500).map(kept).collect();
        assert_eq!(values_per_row(&rows, &[0], Decimal::Comma), 2);
        assert!(values_per_row(&rows, &[0, 1], Decimal::Comma) > levels::OWN);
    }
}
