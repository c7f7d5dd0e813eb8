//! What preprocessing has learned from the training rows: plain values that a trainer, a prediction
//! and an exported graph all follow in the same way.

use serde::{Deserialize, Serialize};

use crate::examples::ItemShape;

/// Largest value, in scales, that reaches a network: one wild cell must not drown a row.
pub const CLIP: f64 = 10.0;

/// Version of the serialised form.
pub const FORMAT: u32 = 1;

/// Whether a network is told that a value was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Indicator {
    /// By a value of its own: 1 if missing, otherwise 0.
    Present,
    /// Not: nothing was missing in the training rows.
    Absent,
}

/// How the cells of a column become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FittedKind {
    /// `clip((x − shift) / scale, −10, 10)`, with `fill` for what is missing.
    Numeric {
        /// Median of the training rows.
        fill: f64,
        /// Whether missing is told.
        missing_indicator: Indicator,
        /// What is subtracted.
        shift: f64,
        /// What is divided by; above 0.
        scale: f64,
    },
    /// One value per level: 1 for the cell's own, 0 for the others; all 0 for a word never seen.
    Category {
        /// Words of the training rows, commonest first.
        levels: Vec<String>,
        /// Whether missing has a value of its own, behind the levels.
        missing_indicator: Indicator,
    },
}

/// A column as preprocessing knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedColumn {
    /// Its name in the file.
    pub name: String,
    /// How its cells become numbers.
    #[serde(flatten)]
    pub kind: FittedKind,
}

impl FittedColumn {
    /// How many values a network gets of it.
    pub fn width(&self) -> usize {
        let (values, indicator) = match &self.kind {
            FittedKind::Numeric {
                missing_indicator, ..
            } => (1, missing_indicator),
            FittedKind::Category {
                levels,
                missing_indicator,
            } => (levels.len(), missing_indicator),
        };
        values + usize::from(*indicator == Indicator::Present)
    }
}

/// How the bytes of an image become numbers: `(byte − shift[c]) / scale[c]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedImage {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
    /// Values per pixel.
    pub channels: u32,
    /// What is subtracted, per channel.
    pub shift: Vec<f32>,
    /// What is divided by, per channel; above 0.
    pub scale: Vec<f32>,
}

/// What is predicted, and how outputs become it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FittedTask {
    /// One output per class, in this order.
    Classification {
        /// Names of the classes.
        classes: Vec<String>,
    },
    /// One output: `output · scale + mean` is the value.
    Regression {
        /// Name of the target.
        target: String,
        /// Mean of the training rows.
        mean: f64,
        /// Standard deviation of the training rows; above 0.
        scale: f64,
    },
}

/// How inputs become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FittedInputs {
    /// Columns of a table, side by side.
    Columns(Vec<FittedColumn>),
    /// Images.
    Image(FittedImage),
}

impl FittedInputs {
    pub(crate) fn item(&self) -> ItemShape {
        match self {
            FittedInputs::Columns(columns) => {
                ItemShape::Features(columns.iter().map(FittedColumn::width).sum::<usize>() as u32)
            }
            FittedInputs::Image(FittedImage {
                height,
                width,
                channels,
                ..
            }) => ItemShape::Image {
                height: *height,
                width: *width,
                channels: *channels,
            },
        }
    }
}
