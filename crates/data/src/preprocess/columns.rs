//! Columns of a table: numbers are filled, shifted and scaled, words become one value per level.

use std::collections::BTreeMap;

use super::{mean_and_deviation, text, unfit};
use crate::{
    error::DataError,
    fitted::{CLIP, FittedColumn, FittedKind, Indicator},
    source::{Cells, Column, Table},
    table::columns::is_free_text,
};

/// Levels of a category; rarer words count as never seen.
const LEVELS_MAX: usize = 100;

pub(super) fn fit(column: &Column, rows: &[u32]) -> FittedColumn {
    let kind = match &column.cells {
        Cells::Numbers(values) => {
            let mut present: Vec<f64> = rows
                .iter()
                .map(|row| values[*row as usize])
                .filter(|value| !value.is_nan())
                .collect();
            let missing = present.len() < rows.len();
            let (shift, scale) = mean_and_deviation(&present);
            present.sort_by(f64::total_cmp);
            let fill = present.get(present.len() / 2).copied().unwrap_or(0.0);
            FittedKind::Numeric {
                fill,
                missing_indicator: indicator(missing),
                shift,
                scale,
            }
        }
        Cells::Words(words) if is_free_text(&column.cells) => {
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
            let mut levels: Vec<(&str, usize)> = counts.into_iter().collect();
            levels.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            levels.truncate(LEVELS_MAX);
            let levels = levels
                .into_iter()
                .map(|(word, _)| word.to_string())
                .collect();
            FittedKind::Category {
                levels,
                missing_indicator: indicator(missing),
            }
        }
    };
    FittedColumn {
        name: column.name.clone(),
        kind,
    }
}

fn indicator(missing: bool) -> Indicator {
    if missing {
        Indicator::Present
    } else {
        Indicator::Absent
    }
}

/// What a network gets of these rows, side by side.
pub(super) fn inputs(
    fitted: &[FittedColumn],
    table: &Table,
    rows: &[u32],
) -> Result<Vec<f32>, DataError> {
    let width: usize = fitted.iter().map(FittedColumn::width).sum();
    let mut inputs = vec![0.0; width * rows.len()];
    let mut offset = 0;
    for fitted in fitted {
        let column = table
            .columns
            .iter()
            .find(|column| column.name == fitted.name);
        let column =
            column.ok_or_else(|| unfit(format!("the column `{}` is missing", fitted.name)))?;
        for (row, out) in rows.iter().zip(inputs.chunks_exact_mut(width)) {
            write_cell(
                &fitted.kind,
                &column.cells,
                *row as usize,
                &mut out[offset..],
            );
        }
        offset += fitted.width();
    }
    Ok(inputs)
}

fn write_cell(kind: &FittedKind, cells: &Cells, row: usize, out: &mut [f32]) {
    match (kind, cells) {
        (
            FittedKind::Numeric {
                fill,
                missing_indicator,
                shift,
                scale,
            },
            Cells::Numbers(values),
        ) => {
            let missing = values[row].is_nan();
            let value = if missing { *fill } else { values[row] };
            out[0] = ((value - shift) / scale).clamp(-CLIP, CLIP) as f32;
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
        ) => match &words[row] {
            Some(word) => {
                if let Some(level) = levels.iter().position(|level| level == word) {
                    out[level] = 1.0;
                }
            }
            None if *missing_indicator == Indicator::Present => out[levels.len()] = 1.0,
            None => {}
        },
        (FittedKind::Text { forms, .. }, Cells::Words(words)) => {
            let known = words[row]
                .iter()
                .flat_map(|text| text.split_ascii_whitespace());
            for place in known.filter_map(|form| forms.get(form)) {
                out[usize::from(*place)] = 1.0;
            }
        }
        // A column that was words and now is numbers, or the other way round, is read again by
        // `rows`, which knows the fitted kind; what still differs is as if never seen.
        _ => {}
    }
}
