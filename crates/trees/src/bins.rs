//! Values as bins: at most 255 per column, cut so that each holds about as many training rows.
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
    /// Learns the cuts of a column from its training rows.
    ///
    /// # Shapes
    /// As many cuts as different values less one, and fewer than [`BINS_MAX`].
    /// # Units
    /// Cuts are in the column's own unit, halfway between two values.
    /// # Errors
    /// None.
    /// # Cost
    /// `O(rows log rows)`.
    /// # Source
    /// Ke et al. 2017 (LightGBM), section 2.1: histograms instead of sorted values.
    pub fn fit(column: &Column) -> ColumnBins {
        match column {
            Column::Numbers(values) => {
                let mut present: Vec<f32> =
                    values.iter().copied().filter(|v| v.is_finite()).collect();
                present.sort_by(f32::total_cmp);
                ColumnBins::Numbers {
                    cuts: cuts_of(&present),
                }
            }
            Column::Categories(ids) => ColumnBins::Categories {
                count: ids
                    .iter()
                    .flatten()
                    .max()
                    .map_or(0, |id| usize::from(*id) + 1)
                    .min(BINS_MAX),
            },
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

/// Cuts between sorted values: between all of them if they are few, otherwise at equal shares of the rows.
fn cuts_of(sorted: &[f32]) -> Vec<f32> {
    let mut different = sorted.to_vec();
    different.dedup();
    if different.len() <= BINS_MAX {
        return different
            .windows(2)
            .map(|two| between(two[0], two[1]))
            .collect();
    }
    let mut cuts: Vec<f32> = Vec::with_capacity(BINS_MAX - 1);
    for index in 1..BINS_MAX {
        let value = sorted[index * sorted.len() / BINS_MAX];
        let next = sorted[sorted.partition_point(|other| *other <= value)..].first();
        let Some(next) = next else { break };
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

/// The bins of every column of a table.
pub(crate) fn fit_all(table: &Table) -> Vec<ColumnBins> {
    table.columns().iter().map(ColumnBins::fit).collect()
}

/// A table as bins; columns beyond those fitted are left out.
pub(crate) fn apply_all(bins: &[ColumnBins], table: &Table) -> Binned {
    let columns = bins.iter().zip(table.columns());
    Binned {
        columns: columns.map(|(bins, column)| bins.apply(column)).collect(),
        rows: table.rows(),
    }
}
