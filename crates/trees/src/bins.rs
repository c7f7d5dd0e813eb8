//! Values as bins: at most 255 per column, cut so that the training rows in each weigh about as much.
//!
//! A tree asks "is the bin at most b", so only the order of values matters, and a column of bins is one
//! byte per row. Gaps have a bin of their own.

use serde::{Deserialize, Serialize};

use crate::table::{Column, Table};

/// The bin of what is missing.
pub const MISSING: u8 = u8::MAX;

/// Bins of values beside that of the gaps.
pub const BINS_MAX: usize = MISSING as usize;

/// How the values of one column become bins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnBins {
    /// Values up to the first cut are in bin 0, up to the second in bin 1, and so on.
    Numbers {
        /// Ascending.
        cuts: Vec<f32>,
    },
    /// A category is its own bin.
    Categories {
        /// How many were seen.
        count: usize,
    },
}

/// A table as bins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Binned {
    /// `[columns][rows]`.
    pub(crate) columns: Vec<Vec<u8>>,
    pub(crate) rows: usize,
}

impl ColumnBins {
    /// Learns the cuts of a column from its training rows; a row of weight 0 is not there.
    ///
    /// # Shapes
    /// `weights: [rows]`, or empty if all rows weigh the same. As many cuts as different values less one, and fewer than [`BINS_MAX`].
    /// # Units
    /// Cuts are in the column's own unit, halfway between two values.
    /// # Errors
    /// None.
    /// # Cost
    /// `O(rows log rows)`.
    /// # Source
    /// Ke et al. 2017 (LightGBM), section 2.1: histograms instead of sorted values.
    pub fn fit(column: &Column, weights: &[f32]) -> ColumnBins {
        let weight = |row: usize| weights.get(row).copied().unwrap_or(1.0);
        match column {
            Column::Numbers(values) => {
                let each = values.iter().enumerate();
                let mut present: Vec<(f32, f32)> = each
                    .map(|(row, value)| (*value, weight(row)))
                    .filter(|(value, weight)| value.is_finite() && *weight > 0.0)
                    .collect();
                present.sort_by(|a, b| a.0.total_cmp(&b.0));
                ColumnBins::Numbers {
                    cuts: cuts_of(&present),
                }
            }
            Column::Categories(ids) => {
                let each = ids.iter().enumerate().filter(|(row, _)| weight(*row) > 0.0);
                let last = each.filter_map(|(_, id)| *id).max();
                ColumnBins::Categories {
                    count: last.map_or(0, |id| usize::from(id) + 1).min(BINS_MAX),
                }
            }
        }
    }

    /// How many bins have values.
    pub(crate) fn count(&self) -> usize {
        match self {
            ColumnBins::Numbers { cuts } => cuts.len() + 1,
            ColumnBins::Categories { count } => *count,
        }
    }

    fn apply(&self, column: &Column) -> Vec<u8> {
        match (self, column) {
            (ColumnBins::Numbers { cuts }, Column::Numbers(values)) => {
                let bin = |value: &f32| match value.is_nan() {
                    true => MISSING,
                    false => cuts.partition_point(|cut| cut < value) as u8,
                };
                values.iter().map(bin).collect()
            }
            (ColumnBins::Categories { count }, Column::Categories(ids)) => {
                let seen = |id: &u8| usize::from(*id) < *count;
                ids.iter()
                    .map(|id| id.filter(seen).unwrap_or(MISSING))
                    .collect()
            }
            // A column of another kind tells nothing.
            (_, column) => vec![MISSING; column.len()],
        }
    }
}

/// Cuts between sorted values, which stand with their weights: between all of them if they are few, otherwise
/// at equal shares of the weight.
fn cuts_of(sorted: &[(f32, f32)]) -> Vec<f32> {
    let mut different: Vec<f32> = sorted.iter().map(|(value, _)| *value).collect();
    different.dedup();
    if different.len() <= BINS_MAX {
        return different
            .windows(2)
            .map(|two| between(two[0], two[1]))
            .collect();
    }
    let total: f64 = sorted.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let mut cuts: Vec<f32> = Vec::with_capacity(BINS_MAX - 1);
    // The row at whose weight the share is reached, and what all rows up to it weigh.
    let (mut place, mut reached) = (0, f64::from(sorted[0].1));
    for index in 1..BINS_MAX {
        let wanted = index as f64 * total;
        while reached * BINS_MAX as f64 <= wanted && place + 1 < sorted.len() {
            place += 1;
            reached += f64::from(sorted[place].1);
        }
        let value = sorted[place].0;
        let next = sorted[sorted.partition_point(|(other, _)| *other <= value)..].first();
        let Some((next, _)) = next else { break };
        let cut = between(value, *next);
        if cuts.last().is_none_or(|last| cut > *last) {
            cuts.push(cut);
        }
    }
    cuts
}

/// A number that is at least `low` and less than `high`, halfway where there is one.
fn between(low: f32, high: f32) -> f32 {
    let middle = low + (high - low) / 2.0;
    match middle < high && middle.is_finite() {
        true => middle,
        false => low,
    }
}

/// The bins of every column of a table whose rows weigh so much.
pub(crate) fn fit_all(table: &Table, weights: &[f32]) -> Vec<ColumnBins> {
    let columns = table.columns().iter();
    columns
        .map(|column| ColumnBins::fit(column, weights))
        .collect()
}

/// A table as bins; columns beyond those fitted are left out, and one that it lacks is missing everywhere.
pub(crate) fn apply_all(bins: &[ColumnBins], table: &Table) -> Binned {
    let rows = table.rows();
    let column = |(place, bins): (usize, &ColumnBins)| match table.columns().get(place) {
        Some(column) => bins.apply(column),
        None => vec![MISSING; rows],
    };
    Binned {
        columns: bins.iter().enumerate().map(column).collect(),
        rows,
    }
}
