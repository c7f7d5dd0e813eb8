//! One column of a table: its type and how that was decided, its gaps, its values.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::suspects;
use crate::{
    fitted::CLIP,
    levels::{self, commonest},
    oddities::Strays,
    preprocess::columns::{is_long_tailed, told_levels},
    source::{Cells, Column, Source, Table},
    split::Split,
    table::writing::words_per_cell,
    times,
};

/// Levels that are listed; the others are only counted.
const LEVELS_LISTED: usize = 20;

/// Levels of fewer training rows are rare.
pub(super) const RARE_LEVEL_ROWS: usize = 10;

/// A value is an outlier if it lies so many times the middle half's width outside of the middle half.
///
/// # Source
/// Tukey 1977: "far out" values.
const FAR_OUT: f64 = 3.0;

/// A column that is learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// How its type was decided.
    pub decided: String,
    /// Cells that are missing, strays included.
    pub missing: usize,
    /// The same as a share of all rows.
    pub missing_share: f64,
    /// Cells that are not what the others are, and count as missing.
    pub strays: usize,
    /// Different values.
    pub distinct: usize,
    /// Its values.
    pub values: ColumnValues,
    /// Whether networks get its numbers by their quantiles, because its tails are long.
    #[serde(default)]
    pub long_tailed: bool,
    /// How well it alone explains the target, where this can be measured.
    pub alone: Option<Alone>,
}

/// Share of the target's variance (of the classes' indicators) that one column explains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alone {
    /// On rows that were held out, after learning on others; 1 is all, 0 or less nothing.
    pub explained: f64,
}

/// The values of a column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ColumnValues {
    /// Numbers.
    Number(NumberProfile),
    /// Words.
    Category {
        /// The commonest ones.
        levels: Vec<LevelCount>,
        /// Levels with so few training rows that hardly anything can be learned of them.
        rare_levels: usize,
        /// Levels of the training rows that have an input of their own.
        own_inputs: usize,
        /// Rarer ones that share inputs.
        #[serde(default)]
        sharing: usize,
        /// Validation and vault rows with a level that has no inputs.
        unseen_rows: usize,
    },
    /// Sentences; each of their words is an input.
    Text {
        /// Words of a cell, in the mean.
        words: f64,
    },
    /// Dates and times.
    Time {
        /// How they are written.
        format: String,
        /// The first.
        first: String,
        /// The last.
        last: String,
    },
}

impl ColumnValues {
    /// What they are, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            ColumnValues::Number(_) => "number",
            ColumnValues::Category { .. } => "category",
            ColumnValues::Text { .. } => "text",
            ColumnValues::Time { .. } => "time",
        }
    }
}

/// A level and how many rows have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelCount {
    /// The word.
    pub level: String,
    /// Rows.
    pub rows: usize,
}

/// Numbers as they are distributed; of those that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberProfile {
    /// Smallest.
    pub min: f64,
    /// One in a hundred is smaller.
    pub low: f64,
    /// One in four is smaller.
    pub quarter: f64,
    /// Half are smaller.
    pub median: f64,
    /// Three in four are smaller.
    pub three_quarters: f64,
    /// 99 in a hundred are smaller.
    pub high: f64,
    /// Largest.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// Third standardised moment: above 0 if the tail to the right is the longer one.
    pub skewness: f64,
    /// How many are 0.
    pub zeros: usize,
    /// How many lie far outside of the middle half.
    pub outliers: usize,
    /// How many lie so far from the mean that they are clipped.
    pub clipped: usize,
    /// Whether all are whole numbers.
    pub whole: bool,
}

impl NumberProfile {
    /// Of numbers; those that are not a number are passed over.
    ///
    /// # Cost
    /// `O(n log n)`.
    pub(super) fn of(values: &[f64]) -> (NumberProfile, Vec<f64>) {
        let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            return (NumberProfile::default(), sorted);
        }
        let at = |share: f64| sorted[(share * (sorted.len() - 1) as f64).round() as usize];
        // Moments in units of the largest, so that squares of huge values do not overflow.
        let largest = sorted[0].abs().max(sorted[sorted.len() - 1].abs());
        let unit = if largest > 0.0 { largest } else { 1.0 };
        let count = sorted.len() as f64;
        let mean = sorted.iter().map(|v| v / unit).sum::<f64>() / count;
        let moment = |power: i32| {
            let powers = sorted.iter().map(|v| (v / unit - mean).powi(power));
            powers.sum::<f64>() / count
        };
        let deviation = moment(2).sqrt();
        let skewness = match deviation > 1e-12 {
            true => moment(3) / deviation.powi(3),
            false => 0.0,
        };
        let (quarter, three_quarters) = (at(0.25), at(0.75));
        let width = three_quarters - quarter;
        let is_far =
            |v: &&f64| **v < quarter - FAR_OUT * width || **v > three_quarters + FAR_OUT * width;
        let is_clipped = |v: &&f64| (**v / unit - mean).abs() > CLIP * deviation.max(1e-12);
        let profile = NumberProfile {
            min: sorted[0],
            low: at(0.01),
            quarter,
            median: at(0.5),
            three_quarters,
            high: at(0.99),
            max: sorted[sorted.len() - 1],
            mean: mean * unit,
            deviation: deviation * unit,
            skewness,
            zeros: sorted.iter().filter(|v| **v == 0.0).count(),
            outliers: sorted.iter().filter(is_far).count(),
            clipped: sorted.iter().filter(is_clipped).count(),
            whole: sorted.iter().all(|v| v.fract() == 0.0),
        };
        (profile, sorted)
    }
}

/// All columns of a table; how well each alone explains the target is learned and measured on rows that are `apart`.
pub(super) fn profiles(
    source: &Source,
    table: &Table,
    split: &Split,
    apart: &Split,
) -> Vec<ColumnProfile> {
    let explained = suspects::explained(&table.columns, &table.targets, apart);
    let strays_of = |name: &str| {
        let strays = source.oddities.strays.iter();
        strays.clone().find(|strays| strays.column == name)
    };
    table
        .columns
        .iter()
        .zip(explained)
        .map(|(column, explained)| ColumnProfile {
            alone: explained.map(|explained| Alone { explained }),
            ..of_column(column, strays_of(&column.name), split)
        })
        .collect()
}

fn of_column(column: &Column, strays: Option<&Strays>, split: &Split) -> ColumnProfile {
    let rows = column.cells.len();
    let mut long_tailed = false;
    let (missing, distinct, values) = match &column.cells {
        Cells::Numbers(values) => {
            let (profile, sorted) = NumberProfile::of(values);
            let missing = rows - sorted.len();
            long_tailed = is_long_tailed(values, &split.train);
            (missing, distinct(sorted), ColumnValues::Number(profile))
        }
        Cells::Times { seconds, format } => {
            let (profile, sorted) = NumberProfile::of(seconds);
            let missing = rows - sorted.len();
            let values = ColumnValues::Time {
                format: format.to_string(),
                first: times::shown(profile.min),
                last: times::shown(profile.max),
            };
            (missing, distinct(sorted), values)
        }
        Cells::Texts(words) => {
            let missing = words.iter().filter(|word| word.is_none()).count();
            let different: BTreeSet<&String> = words.iter().flatten().collect();
            let words = words_per_cell(words);
            (missing, different.len(), ColumnValues::Text { words })
        }
        Cells::Words(words) => {
            let missing = words.iter().filter(|word| word.is_none()).count();
            let (distinct, values) = of_words(words, split);
            (missing, distinct, values)
        }
    };
    ColumnProfile {
        name: column.name.clone(),
        decided: decided(&column.cells, strays, missing),
        missing,
        missing_share: missing as f64 / rows.max(1) as f64,
        strays: strays.map_or(0, |strays| strays.count),
        distinct,
        values,
        long_tailed,
        alone: None,
    }
}

fn distinct(mut sorted: Vec<f64>) -> usize {
    sorted.dedup();
    sorted.len()
}

fn decided(cells: &Cells, strays: Option<&Strays>, missing: usize) -> String {
    let all = cells.len() - missing;
    let wanted = match cells {
        Cells::Numbers(_) => "numbers".to_string(),
        Cells::Times { format, .. } => format!("dates like {format}"),
        Cells::Words(_) | Cells::Texts(_) => "words".to_string(),
    };
    match strays {
        Some(strays) => format!(
            "{all} of {} cells are {wanted}; the others, as `{}`, count as missing",
            all + strays.count,
            strays.example
        ),
        None => format!("all {all} cells with a value are {wanted}"),
    }
}

fn of_words(words: &[Option<String>], split: &Split) -> (usize, ColumnValues) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in words.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    let mut of_train: BTreeMap<&str, usize> = BTreeMap::new();
    for word in split
        .train
        .iter()
        .filter_map(|row| words[*row as usize].as_deref())
    {
        *of_train.entry(word).or_default() += 1;
    }
    let rare = of_train.values().filter(|rows| **rows < RARE_LEVEL_ROWS);
    let rare_levels = rare.count();
    let told: BTreeMap<&str, usize> = told_levels(&of_train).into_iter().collect();
    let scored = split.validation.iter().chain(&split.vault);
    let unseen = scored
        .filter_map(|row| words[*row as usize].as_deref())
        .filter(|word| !told.contains_key(word));
    let unseen_rows = unseen.count();
    let listed = commonest(&counts, LEVELS_LISTED).into_iter();
    let level = |(level, rows): (&str, usize)| LevelCount {
        level: level.to_string(),
        rows,
    };
    let values = ColumnValues::Category {
        levels: listed.map(level).collect(),
        rare_levels,
        own_inputs: told.len().min(levels::OWN),
        sharing: told.len().saturating_sub(levels::OWN),
        unseen_rows,
    };
    (counts.len(), values)
}
