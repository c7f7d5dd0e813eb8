//! From which probability on the second of two classes is said, where a metric looks at labels.

use std::ops::Range;

use super::{Calibration, Row, line::sigmoid};
use crate::{labels::LabelCounts, metric::Metric};

/// The largest threshold.
const BELOW_ONE: f64 = 1.0 - f64::EPSILON;

/// The threshold at which a metric of labels is best; that of the network itself if none is better by more than its own
/// error.
///
/// # Cost
/// `O(rows log rows)`.
pub(super) fn fitted_threshold(calibration: &Calibration, rows: &[Row<'_>], metric: Metric) -> f64 {
    // Where the network itself says both classes alike; of large offsets the sigmoid rounds to 1, which is none.
    let own = sigmoid(calibration.offset).min(BELOW_ONE);
    if (0..2).any(|id| rows.iter().all(|row| row.id != id)) {
        return own;
    }
    let mut ranking = Ranking::of(calibration, rows, metric);
    let own_cut = ranking.rows.partition_point(|row| row.probability <= own);
    ranking.cut_at(own_cut);
    let (said, whole) = (ranking.labels.clone(), ranking.value());
    ranking.cut_at(0);
    let mut best = (0.0, own, own_cut);
    for cut in 0..=ranking.rows.len() {
        ranking.cut_at(cut);
        let (gain, between) = (ranking.value() - whole, ranking.between());
        let threshold = (between.start + between.end) / 2.0;
        let is_nearer = (threshold - own).abs() < (best.1 - own).abs();
        let is_better = gain > best.0 + 1e-12 || (gain > best.0 - 1e-12 && is_nearer);
        if !between.is_empty() && is_better {
            best = (gain, threshold, cut);
        }
    }
    let (gain, threshold, cut) = best;
    let changed = &ranking.rows[cut.min(own_cut)..cut.max(own_cut)];
    let worth = |row: &Ranked| {
        let mut other = said.clone();
        row.is_said(&mut other, usize::from(cut < own_cut));
        other.value(metric).unwrap_or(whole) - whole
    };
    let error = changed
        .iter()
        .map(|row| worth(row).powi(2))
        .sum::<f64>()
        .sqrt();
    match gain > error && threshold > 0.0 && threshold < 1.0 {
        true => threshold,
        false => own,
    }
}

/// A row of two classes with the probability of the second.
struct Ranked {
    probability: f64,
    id: usize,
    weight: f64,
}

impl Ranked {
    /// From now on this class is said of it, and no longer the other.
    fn is_said(&self, labels: &mut LabelCounts, class: usize) {
        labels.count(self.id, 1 - class, -self.weight);
        labels.count(self.id, class, self.weight);
    }
}

/// Rows of two classes by the probability of the second, cut in two: of those before the cut the first is said.
struct Ranking {
    rows: Vec<Ranked>,
    cut: usize,
    labels: LabelCounts,
    metric: Metric,
}

impl Ranking {
    /// With the cut before all rows.
    fn of(calibration: &Calibration, rows: &[Row<'_>], metric: Metric) -> Ranking {
        let mut labels = LabelCounts::of_no_rows(2);
        let ranked = |row: &Row<'_>| {
            labels.count(row.id as usize, 1, row.weight);
            Ranked {
                probability: calibration.probabilities(row.logits)[1],
                id: row.id as usize,
                weight: row.weight,
            }
        };
        let mut rows: Vec<Ranked> = rows.iter().map(ranked).collect();
        rows.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        Ranking {
            rows,
            cut: 0,
            labels,
            metric,
        }
    }

    fn cut_at(&mut self, cut: usize) {
        let (from, to) = (self.cut.min(cut), self.cut.max(cut));
        for row in &self.rows[from..to] {
            row.is_said(&mut self.labels, usize::from(cut < self.cut));
        }
        self.cut = cut;
    }

    fn value(&self) -> f64 {
        self.labels.value(self.metric).unwrap_or(f64::NAN)
    }

    /// The probabilities that a threshold has there.
    fn between(&self) -> Range<f64> {
        let below = self
            .cut
            .checked_sub(1)
            .map_or(0.0, |row| self.rows[row].probability);
        let above = self.rows.get(self.cut).map_or(1.0, |row| row.probability);
        below..above
    }
}
