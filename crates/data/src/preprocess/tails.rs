//! Number columns with long tails, and the line that brings them to a normal distribution.
//!
//! Divided by its standard deviation, a column of incomes or areas leaves a network little to see: a few
//! large values are the deviation, and the others lie side by side. Such a column becomes what a normal
//! distribution has at the same rank (Gorishniy, Rubachev, Khrulkov & Babenko 2021, arXiv:2106.11959);
//! the others stay as they are, because a distance tells more than a rank (`docs/decisions/0025`).

use crate::knots::Knots;

/// The standard deviation of a normal distribution in widths of its middle half.
const NORMAL_DEVIATION: f64 = 0.741_301;

/// Tails are long if the standard deviation is so many times what the middle half tells of it.
const DEVIATION_MIN: f64 = 1.5;

/// Columns of fewer different values are nearer to words than to numbers with tails.
const DISTINCT_MIN: usize = 8;

/// Knots for the training rows' values, sorted, if their tails are long.
///
/// Tails are measured by the middle half, which they cannot move. If more than half of all rows have the
/// same value there is none: what such a column tells is above all whether a row has another, and ranks
/// would tell all others to be nearly alike.
///
/// # Shapes
/// `sorted: [n]`, without what is no number.
/// # Units
/// `deviation` is their standard deviation, in theirs.
/// # Cost
/// `O(n)`.
/// # Source
/// `docs/decisions/0025` has what was measured.
pub(super) fn knots(sorted: &[f64], deviation: f64) -> Option<Knots> {
    let at = |share: f64| sorted.get((share * sorted.len() as f64) as usize);
    let width = at(0.75)? - at(0.25)?;
    let is_long = width > 0.0 && deviation > DEVIATION_MIN * NORMAL_DEVIATION * width;
    if !is_long {
        return None;
    }
    let scores = normal_scores(sorted);
    if scores.len() < DISTINCT_MIN {
        return None;
    }
    // What is too far apart for a line is as far from a number as from a normal distribution.
    Knots::new(thinned(&scores)).ok()
}

/// Each value, and where a normal distribution has its rank; equal values have their middle rank.
fn normal_scores(sorted: &[f64]) -> Vec<(f64, f64)> {
    let count = sorted.len() as f64;
    let mut before = 0;
    let of_run = |run: &[f64]| {
        let rank = before as f64 + 0.5 * run.len() as f64;
        before += run.len();
        (run[0], normal_quantile(rank / count))
    };
    sorted.chunk_by(|a, b| a == b).map(of_run).collect()
}

/// So many of them that a line through the rest is nearly the same: evenly in what they become, with
/// both ends.
fn thinned(scores: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let [first, inner @ .., last] = scores else {
        return scores.to_vec();
    };
    if scores.len() <= Knots::COUNT_MAX {
        return scores.to_vec();
    }
    let step = (last.1 - first.1) / (Knots::COUNT_MAX - 1) as f64;
    let mut kept = vec![*first];
    let mut next = first.1 + step;
    for score in inner {
        if score.1 >= next && kept.len() < Knots::COUNT_MAX - 1 {
            kept.push(*score);
            next = score.1 + step;
        }
    }
    kept.push(*last);
    kept
}

/// The value below which a share of a normal distribution lies.
///
/// # Units
/// `share` between 0 and 1, both excluded; returns standard deviations.
/// # Errors
/// None.
/// # Cost
/// Two polynomials and at most a root and a logarithm: it is asked once for each value of a column.
/// # Source
/// Wichura 1988, Applied Statistics 37, algorithm AS 241, PPND7: about seven digits.
fn normal_quantile(share: f64) -> f64 {
    let from_middle = share - 0.5;
    if from_middle.abs() <= 0.425 {
        let r = 0.180_625 - from_middle * from_middle;
        let over = polynomial(
            r,
            [
                3.387_132_717_9,
                50.434_271_938,
                159.291_132_02,
                59.109_374_720,
            ],
        );
        let under = polynomial(r, [1.0, 17.895_169_469, 78.757_757_664, 67.187_563_600]);
        return from_middle * over / under;
    }
    let r = (-share.min(1.0 - share).ln()).sqrt();
    let size = if r <= 5.0 {
        let r = r - 1.6;
        polynomial(
            r,
            [
                1.423_437_277_7,
                2.756_815_390_0,
                1.306_728_481_6,
                0.170_238_211_03,
            ],
        ) / polynomial(r, [1.0, 0.737_001_642_50, 0.120_211_329_75, 0.0])
    } else {
        let r = r - 5.0;
        polynomial(
            r,
            [
                6.657_905_115_0,
                3.081_226_386_0,
                0.428_682_943_37,
                0.017_337_203_997,
            ],
        ) / polynomial(r, [1.0, 0.241_978_942_25, 0.012_258_202_635, 0.0])
    };
    size.copysign(from_middle)
}

/// A polynomial of third degree, its constant first.
fn polynomial(x: f64, of: [f64; 4]) -> f64 {
    of[0] + x * (of[1] + x * (of[2] + x * of[3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quantiles of a distribution, and their standard deviation.
    fn sorted(count: usize, of: impl Fn(f64) -> f64) -> (Vec<f64>, f64) {
        let share = |place: usize| (place as f64 + 0.5) / count as f64;
        let values: Vec<f64> = (0..count).map(|place| of(share(place))).collect();
        let deviation = super::super::mean_and_deviation(&values).1;
        (values, deviation)
    }

    fn is_long(count: usize, of: impl Fn(f64) -> f64) -> bool {
        let (values, deviation) = sorted(count, of);
        knots(&values, deviation).is_some()
    }

    #[test]
    fn known_quantiles_of_a_normal_distribution_are_met() {
        // Tabulated in every statistics book.
        for (share, value) in [
            (0.5, 0.0),
            (0.975, 1.959_963_985),
            (0.9, 1.281_551_566),
            (1e-3, -3.090_232_306),
            (1e-12, -7.034_483_825),
        ] {
            let found = normal_quantile(share);
            assert!((found - value).abs() < 1e-6, "{share}: {found}");
        }
    }

    #[test]
    fn incomes_have_long_tails_and_heights_have_none() {
        assert!(is_long(500, |share| normal_quantile(share).exp()));
        assert!(is_long(500, |share| (share - 0.5).powi(9)));
        assert!(!is_long(500, normal_quantile));
        assert!(!is_long(500, |share| share));
        // An exponential distribution is 1.23 times as wide as its middle half tells.
        assert!(!is_long(5_000, |share| -(1.0 - share).ln()));
        assert!(is_long(500, |share| if share > 0.998 {
            1e9
        } else {
            share
        }));
    }

    #[test]
    fn what_mostly_has_one_value_or_few_has_no_tails() {
        assert!(!is_long(500, |share| (100.0 * (share - 0.8))
            .max(0.0)
            .exp()));
        assert!(!is_long(500, |share| (share * 5.0).floor().powi(6)));
        assert!(!is_long(500, |_| 4.0));
        assert!(!is_long(1, |_| 4.0) && !is_long(0, |_| 4.0));
        // Its ends are too far apart for their distance to be a number.
        assert!(!is_long(500, |share| (2.0 * share - 1.0).powi(9) * f64::MAX));
    }

    #[test]
    fn the_line_makes_a_long_tail_normal_with_few_knots() {
        for count in [40, 500, 100_000] {
            let (values, deviation) = sorted(count, |share| normal_quantile(share).exp() * 1e6);
            let knots = knots(&values, deviation).unwrap();
            assert!(knots.pairs().len() <= Knots::COUNT_MAX);
            assert!(knots.pairs().len() >= count.min(40));
            for value in &values {
                let apart = (knots.scaled(*value) - (value / 1e6).ln()).abs();
                assert!(apart < 0.02, "{count}: {value} is off by {apart}");
            }
            let (least, most) = (knots.scaled(-1e9), knots.scaled(1e30));
            assert_eq!(least, knots.least());
            assert!((least + most).abs() < 1e-6);
        }
    }

    #[test]
    fn equal_values_have_their_middle_rank() {
        let mut values = vec![1.0; 4];
        values.extend((2..=12).map(|power| f64::from(2_u32.pow(power))));
        let scores = normal_scores(&values);
        assert_eq!(scores.len(), 12);
        assert_eq!(scores[0], (1.0, normal_quantile(2.0 / 15.0)));
        assert_eq!(scores[1], (4.0, normal_quantile(4.5 / 15.0)));
    }
}
