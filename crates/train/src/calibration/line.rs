//! Temperature and offset together, of two classes: a line from the distance of their logits to the logit of the
//! second's probability.

use super::{HALVINGS, Row, TEMPERATURE_MIN, unsure};

/// Steps of the search for temperature and offset together; it takes about ten.
const STEPS: usize = 100;

/// No offset of a logit is further from 0.
const OFFSET_MAX: f64 = 50.0;

/// How the probability of the second class follows from the distance of the two logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) offset: f64,
}

/// A row of two classes: how far apart its logits are, how true the second class is, how much it counts.
struct Apart {
    distance: f64,
    truth: f64,
    weight: f64,
}

/// Inverse temperature and offset at which the mean log-loss is least, the first within the limits of
/// temperatures.
///
/// # Source
/// Platt 1999, section 2, found as in Lin, Lin & Weng 2007, section 3: Newton's steps, halved while the loss does
/// not fall.
pub(super) fn fitted_line(rows: &[Row<'_>]) -> Line {
    let unsure = unsure(rows);
    let rows: Vec<Apart> = rows
        .iter()
        .map(|row| Apart {
            distance: f64::from(row.logits[1]) - f64::from(row.logits[0]),
            truth: (1.0 - unsure) * f64::from(row.id) + unsure / 2.0,
            weight: row.weight,
        })
        .collect();
    let mut line = Line {
        slope: 1.0,
        offset: 0.0,
    };
    for _ in 0..STEPS {
        let next = newton(&rows, line);
        let is_there = (next.slope - line.slope).abs() < 1e-10 * line.slope.abs()
            && (next.offset - line.offset).abs() < 1e-10;
        line = next;
        if is_there {
            break;
        }
    }
    let slope = line.slope.clamp(TEMPERATURE_MIN, 1.0 / TEMPERATURE_MIN);
    match slope == line.slope && line.offset.abs() <= OFFSET_MAX {
        true => line,
        false => Line {
            slope,
            offset: fitted_offset(&rows, slope),
        },
    }
}

/// One step towards the least loss; the same line where no step makes it less.
fn newton(rows: &[Apart], line: Line) -> Line {
    // Slopes of the loss by slope and offset, and how these change; no row at all bends it a little.
    let (mut by_slope, mut by_offset) = (0.0, 0.0);
    let (mut slopes, mut both, mut offsets) = (1e-9, 0.0, 1e-9);
    for row in rows {
        let said = row.said(line);
        let (error, bend) = (
            row.weight * (said - row.truth),
            row.weight * said * (1.0 - said),
        );
        by_slope += error * row.distance;
        by_offset += error;
        slopes += bend * row.distance.powi(2);
        both += bend * row.distance;
        offsets += bend;
    }
    let determinant = slopes * offsets - both * both;
    let slope = (offsets * by_slope - both * by_offset) / determinant;
    let offset = (slopes * by_offset - both * by_slope) / determinant;
    let loss = |line: Line| rows.iter().map(|row| row.loss(line)).sum::<f64>();
    // Near the least, all that is left of a difference is rounding.
    let before = loss(line) * (1.0 + 1e-12);
    let mut share = 1.0;
    while share > 1e-9 {
        let next = Line {
            slope: line.slope - share * slope,
            offset: line.offset - share * offset,
        };
        if loss(next) <= before {
            return next;
        }
        share /= 2.0;
    }
    line
}

/// The offset at which the loss of a line with this slope is least: the more it is, the more of the second class
/// is said.
fn fitted_offset(rows: &[Apart], slope: f64) -> f64 {
    let (mut low, mut high) = (-OFFSET_MAX, OFFSET_MAX);
    for _ in 0..HALVINGS {
        let offset = (low + high) / 2.0;
        let line = Line { slope, offset };
        let too_much = |row: &Apart| row.weight * (row.said(line) - row.truth);
        match rows.iter().map(too_much).sum::<f64>() > 0.0 {
            true => high = offset,
            false => low = offset,
        }
    }
    (low + high) / 2.0
}

impl Apart {
    /// How probable the second class is.
    fn said(&self, line: Line) -> f64 {
        sigmoid(line.slope * self.distance + line.offset)
    }

    fn loss(&self, line: Line) -> f64 {
        let logit = line.slope * self.distance + line.offset;
        // ln(1 + exp(x)) without overflow.
        let softplus = logit.max(0.0) + (-logit.abs()).exp().ln_1p();
        self.weight * (softplus - self.truth * logit)
    }
}

pub(super) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
