//! The best question to ask of one column: where the rows of a leaf are cut in two.
//!
//! | symbol | what it is |
//! |---|---|
//! | G, H | sums of the gradients and of the second derivatives of some rows |
//! | λ | the ridge: how much a leaf's value is drawn towards 0 |
//!
//! Cutting a leaf into L and R gains `G_L²/(H_L+λ) + G_R²/(H_R+λ) − G²/(H+λ)` (Chen & Guestrin 2016,
//! equation 7). Categories are put in the order of G/H first; then the best two groups lie side by side
//! (Fisher 1958).

use crate::{
    bins::{BINS_MAX, ColumnBins, MISSING},
    boost::Settings,
    tree::{BinSet, Question, Side},
};

/// Less curvature than this is none.
const CURVATURE_MIN: f64 = 1e-3;

/// Sums over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) gradient: f64,
    pub(crate) curvature: f64,
    pub(crate) rows: u32,
}

impl Sums {
    pub(crate) fn add(&mut self, gradient: f32, curvature: f32) {
        self.gradient += f64::from(gradient);
        self.curvature += f64::from(curvature);
        self.rows += 1;
    }

    pub(crate) fn plus(self, other: Sums) -> Sums {
        Sums {
            gradient: self.gradient + other.gradient,
            curvature: self.curvature + other.curvature,
            rows: self.rows + other.rows,
        }
    }

    pub(crate) fn minus(self, other: Sums) -> Sums {
        Sums {
            gradient: self.gradient - other.gradient,
            curvature: self.curvature - other.curvature,
            rows: self.rows - other.rows,
        }
    }

    /// How much a leaf of these rows lowers the loss, times two.
    fn worth(self, ridge: f64) -> f64 {
        self.gradient * self.gradient / (self.curvature + ridge)
    }

    /// The value of a leaf of these rows.
    pub(crate) fn value(self, ridge: f64) -> f64 {
        -self.gradient / (self.curvature + ridge)
    }
}

/// A question and what it gains.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Split {
    pub(crate) gain: f64,
    pub(crate) question: Question,
    pub(crate) left: Sums,
    pub(crate) right: Sums,
}

/// The best question of a column, if any gains something.
///
/// `histogram` holds the sums of each bin with values, and those of the gaps at its end.
pub(crate) fn best_split(
    bins: &ColumnBins,
    histogram: &[Sums],
    all: Sums,
    settings: &Settings,
) -> Option<Split> {
    let (missing, values) = histogram.split_last()?;
    match bins {
        ColumnBins::Numbers { .. } => best_cut(values, *missing, all, settings),
        ColumnBins::Categories { .. } => best_groups(values, *missing, all, settings),
    }
}

/// Keeps the better one.
fn keep(best: &mut Option<Split>, split: Split) {
    if best.is_none_or(|best| split.gain > best.gain) {
        *best = Some(split);
    }
}

fn candidate(
    question: Question,
    left: Sums,
    all: Sums,
    ridge: f64,
    settings: &Settings,
) -> Option<Split> {
    let right = all.minus(left);
    let is_large =
        |side: Sums| side.rows >= settings.leaf_rows_min && side.curvature >= CURVATURE_MIN;
    let gain = left.worth(ridge) + right.worth(ridge) - all.worth(settings.ridge);
    (is_large(left) && is_large(right) && gain > 0.0).then_some(Split {
        gain,
        question,
        left,
        right,
    })
}

fn best_cut(values: &[Sums], missing: Sums, all: Sums, settings: &Settings) -> Option<Split> {
    let mut best = None;
    let mut below = Sums::default();
    for (bin, sums) in values.iter().enumerate() {
        below = below.plus(*sums);
        let sides = match missing.rows {
            // Nothing is missing here: later gaps go where most rows go.
            0 if below.rows * 2 >= all.rows => &[Side::Left][..],
            0 => &[Side::Right],
            _ => &[Side::Left, Side::Right],
        };
        for side in sides {
            let left = match side {
                Side::Left => below.plus(missing),
                Side::Right => below,
            };
            let question = Question::AtMost {
                bin: bin as u8,
                missing: *side,
            };
            if let Some(split) = candidate(question, left, all, settings.ridge, settings) {
                keep(&mut best, split);
            }
        }
    }
    best
}

fn best_groups(values: &[Sums], missing: Sums, all: Sums, settings: &Settings) -> Option<Split> {
    let bins = (0..BINS_MAX as u8).zip(values.iter().copied());
    let mut present: Vec<(u8, Sums)> = bins
        .chain([(MISSING, missing)])
        .filter(|(_, sums)| sums.rows > 0)
        .collect();
    let leaning = |sums: &Sums| sums.gradient / (sums.curvature + settings.category_smoothing);
    present.sort_by(|(_, a), (_, b)| leaning(a).total_cmp(&leaning(b)));
    let ridge = settings.ridge + settings.category_ridge;
    let mut best = None;
    let (mut group, mut left) = (BinSet::default(), Sums::default());
    for (bin, sums) in present.iter().take(present.len().saturating_sub(1)) {
        group.insert(*bin);
        left = left.plus(*sums);
        let question = Question::OneOf { bins: group };
        if let Some(split) = candidate(question, left, all, ridge, settings) {
            keep(&mut best, split);
        }
    }
    best
}
