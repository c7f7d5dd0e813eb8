//! Columns of a table: numbers are filled and scaled, dates turn with their cycles, words become one
//! value per level.

use std::collections::BTreeMap;

use super::{lookups::Levels, mean_and_deviation, tails, text, unfit};
use crate::{
    error::DataError,
    fitted::{CLIP, Cycle, FittedColumn, FittedKind, FittedTime, Indicator, Scaling},
    levels::{self, LEVELS_MAX, OWN, commonest},
    source::{Cells, Column, Table},
    times::{DAY, TimeFormat},
};

/// A level behind the commonest stands in at least so many training rows; a rarer one is as never seen.
const RARER_ROWS_MIN: usize = 2;

pub(super) fn fit(column: &Column, rows: &[u32]) -> FittedColumn {
    let kind = match &column.cells {
        Cells::Numbers(values) => {
            let fitted = standardised(values, rows);
            let (shift, scale) = (fitted.shift, fitted.scale);
            FittedKind::Numeric {
                fill: fitted.fill,
                missing_indicator: fitted.missing_indicator,
                scaling: match tails::knots(&fitted.present, scale) {
                    Some(knots) => Scaling::Quantiles { knots },
                    None => Scaling::Deviation { shift, scale },
                },
            }
        }
        Cells::Times { seconds, format } => FittedKind::Time(fit_times(format, seconds, rows)),
        Cells::Texts(words) => {
            let (forms, words) =
                text::fit_bag(rows.iter().flat_map(|row| words[*row as usize].as_deref()));
            FittedKind::Text { forms, words }
        }
        Cells::Words(words) => {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            let mut missing = false;
            for row in rows {
                match &words[*row as usize] {
                    Some(word) => *counts.entry(word).or_default() += 1,
                    None => missing = true,
                }
            }
            let levels = told_levels(&counts).into_iter();
            FittedKind::Category {
                levels: levels.map(|(word, _)| word.to_string()).collect(),
                missing_indicator: indicator(missing),
            }
        }
    };
    FittedColumn {
        name: column.name.clone(),
        kind,
    }
}

/// The levels of a category that networks are told, of all words of the training rows and in how many of these they
/// are: the commonest first.
pub(crate) fn told_levels<'a>(counts: &BTreeMap<&'a str, usize>) -> Vec<(&'a str, usize)> {
    let mut levels = commonest(counts, LEVELS_MAX);
    let not_rare = levels.partition_point(|level| level.1 >= RARER_ROWS_MIN);
    levels.truncate(not_rare.max(OWN));
    levels
}

/// How numbers become small ones.
struct Standardised {
    fill: f64,
    missing_indicator: Indicator,
    shift: f64,
    scale: f64,
    /// The numbers that are there, sorted.
    present: Vec<f64>,
}

fn standardised(values: &[f64], rows: &[u32]) -> Standardised {
    let mut present: Vec<f64> = rows
        .iter()
        .map(|row| values[*row as usize])
        .filter(|value| !value.is_nan())
        .collect();
    let missing = present.len() < rows.len();
    let (shift, scale) = mean_and_deviation(&present);
    present.sort_by(f64::total_cmp);
    Standardised {
        fill: present.get(present.len() / 2).copied().unwrap_or(0.0),
        missing_indicator: indicator(missing),
        shift,
        scale,
        present,
    }
}

/// A cycle is told if the training rows go through it once at least, and the time of day only if it is
/// not always the same.
fn fit_times(format: &TimeFormat, seconds: &[f64], rows: &[u32]) -> FittedTime {
    let fitted = standardised(seconds, rows);
    let (first, last) = match fitted.present[..] {
        [first, .., last] => (first, last),
        _ => (0.0, 0.0),
    };
    let has_hours = fitted
        .present
        .iter()
        .any(|time| (time - first).rem_euclid(DAY) != 0.0);
    let is_told =
        |cycle: &Cycle| last - first >= cycle.seconds() && (*cycle != Cycle::Day || has_hours);
    FittedTime {
        format: format.clone(),
        fill: fitted.fill,
        missing_indicator: fitted.missing_indicator,
        shift: fitted.shift,
        scale: fitted.scale,
        cycles: Cycle::ALL.into_iter().filter(is_told).collect(),
    }
}

/// Whether networks get a column of numbers by its quantiles, because its tails are long.
pub(crate) fn is_long_tailed(values: &[f64], rows: &[u32]) -> bool {
    let fitted = standardised(values, rows);
    tails::knots(&fitted.present, fitted.scale).is_some()
}

fn indicator(missing: bool) -> Indicator {
    if missing {
        Indicator::Present
    } else {
        Indicator::Absent
    }
}

/// What a network gets of these rows, side by side; `levels` are those of each column.
pub(super) fn inputs(
    fitted: &[FittedColumn],
    levels: &[Levels],
    table: &Table,
    rows: &[u32],
) -> Result<Vec<f32>, DataError> {
    let width: usize = fitted.iter().map(FittedColumn::width).sum();
    let mut inputs = vec![0.0; width * rows.len()];
    let mut offset = 0;
    for (place, (fitted, levels)) in fitted.iter().zip(levels).enumerate() {
        let is_it = |column: &&Column| column.name == fitted.name;
        // Mostly they stand in order.
        let column = table.columns.get(place).filter(is_it);
        let column = column.or_else(|| table.columns.iter().find(is_it));
        let column =
            column.ok_or_else(|| unfit(format!("the column `{}` is missing", fitted.name)))?;
        for (row, out) in rows.iter().zip(inputs.chunks_exact_mut(width)) {
            write_cell(
                &fitted.kind,
                levels,
                &column.cells,
                *row as usize,
                &mut out[offset..],
            );
        }
        offset += fitted.width();
    }
    Ok(inputs)
}

fn write_cell(kind: &FittedKind, places: &Levels, cells: &Cells, row: usize, out: &mut [f32]) {
    match (kind, cells) {
        (
            FittedKind::Numeric {
                fill,
                missing_indicator,
                scaling,
            },
            Cells::Numbers(values),
        ) => {
            let missing = values[row].is_nan();
            let value = if missing { *fill } else { values[row] };
            out[0] = scaling.scaled(value) as f32;
            if *missing_indicator == Indicator::Present {
                out[1] = f32::from(u8::from(missing));
            }
        }
        (
            FittedKind::Category {
                levels,
                missing_indicator,
            },
            Cells::Words(words),
        ) => {
            let own = levels::own(levels).len();
            let told = usize::from(*missing_indicator == Indicator::Present);
            match &words[row] {
                Some(word) => match places.get(word.as_str()) {
                    Some(level) if *level < own => out[*level] = 1.0,
                    Some(level) => {
                        let places = levels::places_of(level - own);
                        places
                            .iter()
                            .for_each(|place| out[own + told + place] = 1.0);
                    }
                    None => {}
                },
                None if told == 1 => out[own] = 1.0,
                None => {}
            }
        }
        (FittedKind::Text { forms, .. }, Cells::Words(words) | Cells::Texts(words)) => {
            let known = words[row]
                .iter()
                .flat_map(|text| text.split_ascii_whitespace());
            for place in known.filter_map(|form| forms.get(form)) {
                out[usize::from(*place)] = 1.0;
            }
        }
        (FittedKind::Time(time), Cells::Times { seconds, .. }) => {
            write_time(time, seconds[row], out);
        }
        // A column that was words and now is numbers, or the other way round, is read again by
        // `rows`, which knows the fitted kind; what still differs is as if never seen.
        _ => {}
    }
}

fn write_time(fitted: &FittedTime, seconds: f64, out: &mut [f32]) {
    let missing = seconds.is_nan();
    let time = if missing { fitted.fill } else { seconds };
    out[0] = ((time - fitted.shift) / fitted.scale).clamp(-CLIP, CLIP) as f32;
    for (cycle, out) in fitted.cycles.iter().zip(out[1..].chunks_exact_mut(2)) {
        let angle = std::f32::consts::TAU * cycle.phase(time) as f32;
        (out[0], out[1]) = angle.sin_cos();
    }
    if fitted.missing_indicator == Indicator::Present {
        out[fitted.values()] = f32::from(u8::from(missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::TimeFormat;

    fn fitted(cells: &[&str]) -> (FittedTime, Vec<f64>) {
        let present: Vec<&str> = cells
            .iter()
            .copied()
            .filter(|cell| !cell.is_empty())
            .collect();
        let format = TimeFormat::sniff(&present)
            .map(|sniffed| sniffed.format)
            .unwrap();
        let seconds: Vec<f64> = cells
            .iter()
            .map(|cell| format.seconds(cell).unwrap_or(f64::NAN))
            .collect();
        let rows: Vec<u32> = (0..cells.len() as u32).collect();
        (fit_times(&format, &seconds, &rows), seconds)
    }

    #[test]
    fn dates_tell_of_the_cycles_that_they_go_through() {
        let cycles = |cells: &[&str]| fitted(cells).0.cycles;
        assert_eq!(cycles(&["2024-01-05", "2024-01-08"]), []);
        assert_eq!(cycles(&["2024-01-05", "2024-02-08"]), [Cycle::Week]);
        assert_eq!(
            cycles(&["2022-01-05", "2024-02-08"]),
            [Cycle::Week, Cycle::Year]
        );
        // Always the same hour says nothing.
        assert_eq!(cycles(&["2024-01-05 08:00", "2024-01-08 08:00"]), []);
        assert_eq!(
            cycles(&["2024-01-05 08:00", "2024-01-08 09:30"]),
            [Cycle::Day]
        );
    }

    #[test]
    fn midnight_monday_and_new_year_are_the_beginning_of_their_cycles() {
        let format = TimeFormat::sniff(&["2024-01-01"])
            .map(|sniffed| sniffed.format)
            .unwrap();
        let phase = |cycle: Cycle, cell| cycle.phase(format.seconds(cell).unwrap());
        assert_eq!(phase(Cycle::Day, "2024-01-05"), 0.0);
        // The first of January 2024 was a Monday.
        assert_eq!(phase(Cycle::Week, "2024-01-01"), 0.0);
        assert!((phase(Cycle::Week, "1969-12-31") - 2.0 / 7.0).abs() < 1e-12);
        let days_off = 365.2425 * phase(Cycle::Year, "2024-01-01");
        assert!(!(2.0..=363.0).contains(&days_off), "{days_off}");
    }

    #[test]
    fn a_missing_date_is_the_median_and_told_of() {
        let (time, seconds) = fitted(&["2022-01-05", "", "2022-03-05", "2024-01-05"]);
        let width = time.values() + 1;
        assert_eq!(width, 6);
        let row = |row: usize| {
            let mut out = vec![0.0; width];
            write_time(&time, seconds[row], &mut out);
            out
        };
        let (missing, median) = (row(1), row(2));
        assert_eq!(missing[..5], median[..5]);
        assert_eq!((missing[5], median[5]), (1.0, 0.0));
        let turned = median[1..5]
            .chunks_exact(2)
            .map(|pair| pair[0].hypot(pair[1]));
        assert!(turned.into_iter().all(|length| (length - 1.0).abs() < 1e-6));
    }

    /// A column of incomes; the last training row is the largest, and the row behind it no training row.
    fn incomes() -> (Column, Vec<u32>) {
        let mut cells: Vec<f64> = (0..60).map(|row| 1.2_f64.powi(row % 50)).collect();
        cells[7] = f64::NAN;
        cells.push(1e12);
        let column = Column {
            name: "income".to_string(),
            cells: Cells::Numbers(cells),
        };
        (column, (0..60).collect())
    }

    #[test]
    fn a_long_tail_is_learned_of_the_training_rows_alone_and_what_is_missing_is_told() {
        let (column, train) = incomes();
        let fitted = fit(&column, &train);
        assert_eq!(fitted.width(), 2);
        let scaled = |row: usize| {
            let mut out = [0.0; 2];
            write_cell(&fitted.kind, &Levels::new(), &column.cells, row, &mut out);
            out
        };
        let FittedKind::Numeric {
            fill,
            scaling: Scaling::Quantiles { knots },
            ..
        } = &fitted.kind
        else {
            panic!("{fitted:?}");
        };
        let (_, most) = *knots.pairs().last().unwrap();
        assert_eq!(
            (scaled(49), scaled(60)),
            ([most as f32, 0.0], [most as f32, 0.0])
        );
        assert_eq!(scaled(7), [knots.scaled(*fill) as f32, 1.0]);
        assert!(knots.scaled(*fill).abs() < 0.05);
        let Cells::Numbers(values) = &column.cells else {
            panic!("incomes are numbers");
        };
        assert!(is_long_tailed(values, &train));
    }

    #[test]
    fn scalings_are_written_beside_the_rest_of_their_column() {
        let number = |scaling| FittedColumn {
            name: "a".to_string(),
            kind: FittedKind::Numeric {
                fill: 2.0,
                missing_indicator: Indicator::Absent,
                scaling,
            },
        };
        let head = r#"{"name":"a","kind":"numeric","fill":2.0,"missing_indicator":"absent","#;
        let (shift, scale) = (1.0, 4.0);
        let knots = crate::Knots::new(vec![(0.0, -1.0), (9.0, 1.0)]).unwrap();
        for (scaling, tail) in [
            (
                Scaling::Deviation { shift, scale },
                r#""shift":1.0,"scale":4.0}"#,
            ),
            (
                Scaling::Quantiles { knots },
                r#""knots":[[0.0,-1.0],[9.0,1.0]]}"#,
            ),
        ] {
            let column = number(scaling);
            let written = serde_json::to_string(&column).unwrap();
            assert_eq!(written, format!("{head}{tail}"));
            let read: FittedColumn = serde_json::from_str(&written).unwrap();
            assert_eq!(read, column);
        }
        for tail in [r#""shift":1.0}"#, r#""knots":[[0.0,1.0],[9.0,1.0]]}"#] {
            assert!(serde_json::from_str::<FittedColumn>(&format!("{head}{tail}")).is_err());
        }
    }
}
