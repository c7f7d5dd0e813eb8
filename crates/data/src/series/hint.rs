//! Whether a table looks as if its rows were steps of series: said to the user, and never decided.
//!
//! All of it must hold: rows of one id stand together, many for each; the target never changes within one;
//! and a column of numbers or dates rises within each and falls back where the next begins.

use std::{collections::BTreeSet, ops::Range};

use super::long::sniff_times;
use crate::{
    notice::Notice,
    table::{
        columns::{is_missing, number},
        dialect::Decimal,
        text::Row,
    },
};

/// Fewer ids may be anything.
const SERIES_MIN: usize = 5;

/// Rows of each id, in the mean and at least.
const ROWS_MEAN_MIN: usize = 5;
const ROWS_MIN: usize = 2;

/// What to say of a table, if it looks so.
///
/// # Cost
/// `O(columns · rows)`, of most columns a few rows.
pub(crate) fn hint(
    header: &[String],
    rows: &[Row],
    decimal: Decimal,
    target: usize,
) -> Option<Notice> {
    let others = || (0..header.len()).filter(move |column| *column != target);
    let found = others().find_map(|id| {
        let series = blocks(rows, id)?;
        if !is_constant_within(rows, target, &series) {
            return None;
        }
        let rises = |time: &usize| *time != id && rises_within(rows, *time, decimal, &series);
        let time = others().find(rises)?;
        Some((id, time, series.len()))
    });
    let (id, time, count) = found?;
    let (id, time, target) = (&header[id], &header[time], &header[target]);
    Some(Notice::note(format!(
        "its rows look like the steps of {count} series: `{target}` is the same for each `{id}`, and `{time}` \
         rises (--series-id {id} --series-time {time} reads them as series)"
    )))
}

/// The rows of each id, if those of one stand together and are many.
fn blocks(rows: &[Row], column: usize) -> Option<Vec<Range<usize>>> {
    let most = rows.len() / ROWS_MEAN_MIN;
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut before = None;
    for (place, row) in rows.iter().enumerate() {
        let id = row.cells[column].as_str();
        let count = blocks.len();
        match blocks.last_mut() {
            Some(last) if before == Some(id) => last.end = place + 1,
            _ if is_missing(id) || count == most || !seen.insert(id) => return None,
            _ => blocks.push(place..place + 1),
        }
        before = Some(id);
    }
    let are_long = blocks.iter().all(|block| block.len() >= ROWS_MIN);
    (blocks.len() >= SERIES_MIN && are_long).then_some(blocks)
}

/// Whether a column says one thing in each block, and not the same in all.
fn is_constant_within(rows: &[Row], column: usize, blocks: &[Range<usize>]) -> bool {
    let cell = |row: usize| rows[row].cells[column].as_str();
    let first = cell(0);
    blocks
        .iter()
        .all(|block| block.clone().all(|row| cell(row) == cell(block.start)))
        && blocks.iter().any(|block| cell(block.start) != first)
}

/// Whether a column rises within each block, and falls back where the next begins.
fn rises_within(rows: &[Row], column: usize, decimal: Decimal, blocks: &[Range<usize>]) -> bool {
    let cells = || rows.iter().map(|row| row.cells[column].as_str());
    let numbers = |cell: &str| number(cell, decimal);
    let ends_well = |time: &dyn Fn(&str) -> Option<f64>| {
        let mut times = cells().map(time);
        let mut last_of_block_before = f64::INFINITY;
        blocks.iter().all(|block| {
            let mut last = f64::NEG_INFINITY;
            let rises = (0..block.len()).all(|step| {
                let Some(Some(time)) = times.next() else {
                    return false;
                };
                let falls_back = step > 0 || time < last_of_block_before;
                let rises = time > std::mem::replace(&mut last, time);
                falls_back && rises
            });
            last_of_block_before = last;
            rises
        })
    };
    if rows
        .first()
        .and_then(|row| numbers(&row.cells[column]))
        .is_some()
    {
        return ends_well(&numbers);
    }
    sniff_times(cells()).is_some_and(|sniffed| ends_well(&|cell| sniffed.format.seconds(cell)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table with `rows` rows for each of six ids: id, step, a value, label.
    fn hint_of(rows: usize, change: impl Fn(usize, usize, &mut [String; 4])) -> Option<String> {
        let header = ["who", "step", "x", "label"].map(str::to_string);
        let mut table = Vec::new();
        for id in 0..6 {
            for step in 0..rows {
                let label = ["a", "b"][id % 2];
                let value = (id * 7 + step * 13) % 11;
                let mut cells = [
                    format!("p{id}"),
                    step.to_string(),
                    value.to_string(),
                    label.to_string(),
                ];
                change(id, step, &mut cells);
                let line = table.len() as u64 + 2;
                let cells = cells.to_vec();
                table.push(Row { line, cells });
            }
        }
        hint(&header, &table, Decimal::Point, 3).map(|notice| notice.text)
    }

    #[test]
    fn rows_that_are_steps_of_series_are_noticed() {
        let said = hint_of(5, |_, _, _| {}).unwrap();
        assert_eq!(
            said,
            "its rows look like the steps of 6 series: `label` is the same for each `who`, and `step` rises \
             (--series-id who --series-time step reads them as series)"
        );
        let dated = hint_of(5, |_, step, cells| {
            cells[1] = format!("2024-03-0{}", step + 1)
        });
        assert_eq!(dated, Some(said));
    }

    #[test]
    fn what_is_not_so_in_every_row_is_no_hint() {
        assert_eq!(hint_of(4, |_, _, _| {}), None, "too few rows");
        let other_label = |id, step, cells: &mut [String; 4]| {
            if (id, step) == (3, 2) {
                cells[3] = "a".to_string();
            }
        };
        assert_eq!(hint_of(5, other_label), None);
        let comes_again = |id, _, cells: &mut [String; 4]| {
            if id == 5 {
                cells[0] = "p1".to_string();
            }
        };
        assert_eq!(hint_of(5, comes_again), None);
        let counts_all_rows = |id: usize, step: usize, cells: &mut [String; 4]| {
            cells[1] = (id * 5 + step).to_string()
        };
        assert_eq!(hint_of(5, counts_all_rows), None);
        assert_eq!(hint_of(5, |_, _, cells| cells[3] = "a".to_string()), None);
    }
}
