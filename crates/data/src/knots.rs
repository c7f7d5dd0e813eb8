//! A rising line through knots: how a number whose tails are long becomes a small one, and back.
//!
//! Nothing is fitted here; `preprocess/tails.rs` chooses the knots.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::fitted::CLIP;

/// Knots of a line: raw values and what becomes of them, both rising, two knots at least.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(f64, f64)>", into = "Vec<(f64, f64)>")]
pub struct Knots(Vec<(f64, f64)>);

/// Why pairs are no knots.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum KnotsError {
    /// There is no line through them.
    #[error("a line needs at least 2 knots, not {count}")]
    TooFew {
        /// How many there are.
        count: usize,
    },
    /// Its ends are too far apart for their distance to be a number.
    #[error("knots from {first} to {last} are farther apart than numbers reach")]
    TooWide {
        /// Raw value of the first.
        first: f64,
        /// Raw value of the last.
        last: f64,
    },
    /// It does not rise, or leaves what a network may get.
    #[error("the knot ({raw}, {scaled}) does not rise from the one before within ±{CLIP}")]
    NotRising {
        /// Raw value of the knot.
        raw: f64,
        /// What becomes of it.
        scaled: f64,
    },
}

/// The line between two knots.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Piece {
    /// Raw value where it begins.
    pub edge: f64,
    /// Raw values that it goes over; above 0.
    pub width: f64,
    /// How far it rises; above 0.
    pub rise: f64,
}

impl Knots {
    /// More are no use: of a million normal numbers, two neighbours of 64 are 0.15 deviations apart.
    pub const COUNT_MAX: usize = 64;

    /// Knots of these raw values and what becomes of them.
    ///
    /// # Errors
    /// If there are fewer than two, they do not rise, or they are too far apart.
    pub fn new(pairs: Vec<(f64, f64)>) -> Result<Knots, KnotsError> {
        let [(first, _), .., (last, _)] = pairs[..] else {
            return Err(KnotsError::TooFew { count: pairs.len() });
        };
        if !(last - first).is_finite() {
            return Err(KnotsError::TooWide { first, last });
        }
        let rises = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        let fall = pairs.windows(2).find(|pair| !rises(pair));
        let outside = pairs.iter().find(|(_, scaled)| scaled.abs() > CLIP);
        match fall.map(|pair| &pair[1]).or(outside) {
            Some(&(raw, scaled)) => Err(KnotsError::NotRising { raw, scaled }),
            None => Ok(Knots(pairs)),
        }
    }

    /// Raw values and what becomes of them, from the lowest.
    pub fn pairs(&self) -> &[(f64, f64)] {
        &self.0
    }

    /// The lines between neighbours, from the lowest.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.0.windows(2).map(|pair| Piece {
            edge: pair[0].0,
            width: pair[1].0 - pair[0].0,
            rise: pair[1].1 - pair[0].1,
        })
    }

    /// What becomes of the lowest.
    pub fn least(&self) -> f64 {
        self.0[0].1
    }

    /// What becomes of a raw value: along the line, and beyond its ends what becomes of the end.
    ///
    /// What lies beyond was not in any training row: that it is far is told, how far is not, because
    /// nothing could have been learned about it.
    ///
    /// # Units
    /// `raw` in the column's own; returns standard deviations of a normal distribution.
    /// # Errors
    /// None: what is no number stays so.
    /// # Cost
    /// `O(log knots)`.
    /// # Source
    /// Linear interpolation.
    pub fn scaled(&self, raw: f64) -> f64 {
        let last = self.0.len() - 1;
        match self.0.partition_point(|(edge, _)| *edge <= raw) {
            _ if raw.is_nan() => raw,
            0 => self.0[0].1,
            behind if behind > last => self.0[last].1,
            behind => {
                let ((edge, least), (end, most)) = (self.0[behind - 1], self.0[behind]);
                least + (raw - edge) / (end - edge) * (most - least)
            }
        }
    }

    /// The raw value of which something became, and how many raw units a unit of it is there.
    ///
    /// # Units
    /// The other way round than [`Knots::scaled`].
    /// # Errors
    /// None: beyond the ends it is the end.
    /// # Cost
    /// `O(log knots)`.
    /// # Source
    /// Linear interpolation.
    pub fn raw(&self, scaled: f64) -> (f64, f64) {
        let behind = self.0.partition_point(|(_, least)| *least <= scaled);
        let behind = behind.clamp(1, self.0.len() - 1);
        let ((edge, least), (end, most)) = (self.0[behind - 1], self.0[behind]);
        let share = ((scaled - least) / (most - least)).clamp(0.0, 1.0);
        (edge + share * (end - edge), (end - edge) / (most - least))
    }
}

impl TryFrom<Vec<(f64, f64)>> for Knots {
    type Error = KnotsError;

    fn try_from(pairs: Vec<(f64, f64)>) -> Result<Knots, KnotsError> {
        Knots::new(pairs)
    }
}

impl From<Knots> for Vec<(f64, f64)> {
    fn from(knots: Knots) -> Vec<(f64, f64)> {
        knots.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bent() -> Knots {
        Knots::new(vec![(0.0, -1.0), (10.0, 0.0), (1_010.0, 2.0)]).unwrap()
    }

    #[test]
    fn a_number_goes_along_the_line_and_stays_at_its_ends() {
        let knots = bent();
        let cases = [
            (-1e300, -1.0),
            (f64::NEG_INFINITY, -1.0),
            (0.0, -1.0),
            (2.5, -0.75),
            (10.0, 0.0),
            (510.0, 1.0),
            (1_010.0, 2.0),
            (1e12, 2.0),
            (f64::INFINITY, 2.0),
        ];
        for (raw, scaled) in cases {
            assert_eq!(knots.scaled(raw), scaled, "{raw}");
        }
        assert!(knots.scaled(f64::NAN).is_nan());
    }

    #[test]
    fn the_pieces_add_up_to_the_line() {
        let knots = bent();
        for raw in [-5.0, 0.0, 3.0, 10.0, 77.0, 1_010.0, 4_000.0] {
            let share =
                |piece: Piece| ((raw - piece.edge) / piece.width).clamp(0.0, 1.0) * piece.rise;
            let sum = knots.least() + knots.pieces().map(share).sum::<f64>();
            assert!((sum - knots.scaled(raw)).abs() < 1e-12, "{raw}");
        }
    }

    #[test]
    fn what_became_of_a_number_leads_back_to_it() {
        let knots = bent();
        for raw in [0.0, 2.5, 10.0, 510.0, 1_010.0] {
            assert!((knots.raw(knots.scaled(raw)).0 - raw).abs() < 1e-9, "{raw}");
        }
        assert_eq!((knots.raw(-3.0).0, knots.raw(9.0).0), (0.0, 1_010.0));
        assert_eq!((knots.raw(-0.5).1, knots.raw(1.0).1), (10.0, 500.0));
    }

    #[test]
    fn what_does_not_rise_is_no_line() {
        let problem = |pairs: &[(f64, f64)]| Knots::new(pairs.to_vec()).unwrap_err().to_string();
        assert_eq!(
            problem(&[(1.0, 0.0)]),
            "a line needs at least 2 knots, not 1"
        );
        for pairs in [
            [(1.0, 0.0), (1.0, 1.0)],
            [(1.0, 0.0), (2.0, 0.0)],
            [(1.0, 0.0), (2.0, 10.5)],
            [(1.0, f64::NAN), (2.0, 1.0)],
            [(1.0, 0.0), (2.0, f64::NAN)],
        ] {
            assert!(problem(&pairs).contains("does not rise"), "{pairs:?}");
        }
        let wide = problem(&[(-1.5e308, 0.0), (1.5e308, 1.0)]);
        assert!(wide.contains("farther apart"), "{wide}");
        let written = serde_json::to_string(&bent()).unwrap();
        assert_eq!(written, "[[0.0,-1.0],[10.0,0.0],[1010.0,2.0]]");
        assert_eq!(serde_json::from_str::<Knots>(&written).unwrap(), bent());
        assert!(serde_json::from_str::<Knots>("[[1.0,0.0],[0.0,1.0]]").is_err());
    }
}
