//! What preprocessing has learned from the training rows: plain values that a trainer, a prediction
//! and an exported graph all follow in the same way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    examples::ItemShape,
    knots::Knots,
    levels,
    series::long::StepTable,
    times::{DAY, TimeFormat},
};

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
    /// A number, with `fill` for what is missing.
    Numeric {
        /// Median of the training rows.
        fill: f64,
        /// Whether missing is told.
        missing_indicator: Indicator,
        /// How it becomes a small one.
        #[serde(flatten)]
        scaling: Scaling,
    },
    /// One value for each of the commonest levels: 1 for the cell's own, 0 for the others; behind them those that
    /// [`levels`](crate::levels) lets the rarer share. All 0 for a word never seen.
    Category {
        /// Words of the training rows, commonest first.
        levels: Vec<String>,
        /// Whether missing has a value of its own, between both.
        missing_indicator: Indicator,
    },
    /// One value per word: 1 if it stands in the cell, otherwise 0.
    Text {
        /// The place of each word that is known, as it is written; several forms share a place.
        forms: BTreeMap<String, u16>,
        /// How many places there are.
        words: u32,
    },
    /// Seconds since 1970, where they stand in cycles, and whether they were missing.
    Time(FittedTime),
}

/// How a number becomes a small one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scaling {
    /// `clip((x − shift) / scale, −10, 10)`.
    Deviation {
        /// What is subtracted.
        shift: f64,
        /// What is divided by; above 0.
        scale: f64,
    },
    /// Along a line through knots: a column with long tails, brought to a normal distribution.
    Quantiles {
        /// Quantiles of the training rows, and where a normal distribution has them.
        knots: Knots,
    },
}

impl Scaling {
    /// What becomes of a raw value; of what is no number, that.
    pub fn scaled(&self, raw: f64) -> f64 {
        match self {
            Scaling::Deviation { shift, scale } => ((raw - shift) / scale).clamp(-CLIP, CLIP),
            Scaling::Quantiles { knots } => knots.scaled(raw),
        }
    }

    /// The raw value of which something became, and how many raw units a unit of it is there.
    pub fn raw(&self, scaled: f64) -> (f64, f64) {
        match self {
            Scaling::Deviation { shift, scale } => (scaled * scale + shift, *scale),
            Scaling::Quantiles { knots } => knots.raw(scaled),
        }
    }
}

/// How dates become numbers, of their seconds since 1970: `clip((t − shift) / scale, −10, 10)`, then sine
/// and cosine of each cycle's phase; with `fill` for what is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedTime {
    /// How the cells are written.
    pub format: TimeFormat,
    /// Median of the training rows.
    pub fill: f64,
    /// Whether missing is told, behind the cycles.
    pub missing_indicator: Indicator,
    /// What is subtracted.
    pub shift: f64,
    /// What is divided by; above 0.
    pub scale: f64,
    /// Cycles that the training rows go through.
    pub cycles: Vec<Cycle>,
}

impl FittedTime {
    /// How many values it becomes, beside the one that tells of missing.
    pub fn values(&self) -> usize {
        1 + 2 * self.cycles.len()
    }
}

/// Something that comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cycle {
    /// The time of day.
    Day,
    /// The day of the week.
    Week,
    /// The time of year.
    Year,
}

impl Cycle {
    /// All of them.
    pub const ALL: [Cycle; 3] = [Cycle::Day, Cycle::Week, Cycle::Year];

    /// Seconds from one time to the next. Years have their mean length, so that a phase is arithmetic
    /// which any runtime can do; it is off by two days at most.
    pub fn seconds(self) -> f64 {
        match self {
            Cycle::Day => DAY,
            Cycle::Week => 7.0 * DAY,
            Cycle::Year => 365.2425 * DAY,
        }
    }

    /// When it began for the first time after 1970: midnight, a Monday, the first of January.
    pub fn begin(self) -> f64 {
        match self {
            Cycle::Week => 4.0 * DAY,
            Cycle::Day | Cycle::Year => 0.0,
        }
    }

    /// How far in the cycle a time is, from 0 to 1.
    pub fn phase(self, seconds: f64) -> f64 {
        let cycles = (seconds - self.begin()) / self.seconds();
        cycles - cycles.floor()
    }
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
            FittedKind::Text { words, .. } => return *words as usize,
            FittedKind::Numeric {
                missing_indicator, ..
            } => (1, missing_indicator),
            FittedKind::Category {
                levels,
                missing_indicator,
            } => (
                levels::own(levels).len() + levels::shared(levels),
                missing_indicator,
            ),
            FittedKind::Time(time) => (time.values(), &time.missing_indicator),
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

/// How the values of a series become numbers: `clip((x − shift[c]) / scale[c], −10, 10)`, 0 for what is
/// missing and for steps behind the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedSeries {
    /// Names of the columns that are the steps, if they stood in a table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// How they stood in a table with a row for each step, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<StepTable>,
    /// Values per step.
    pub channels: u32,
    /// Steps of the longest series; shorter ones end early.
    pub length: u32,
    /// What is subtracted, per channel.
    pub shift: Vec<f32>,
    /// What is divided by, per channel; above 0.
    pub scale: Vec<f32>,
    /// Whether a channel behind the others tells where a series has a value: 1 there, 0 elsewhere.
    pub presence: Indicator,
}

impl FittedSeries {
    /// Channels that a network gets.
    pub fn width(&self) -> u32 {
        self.channels + u32::from(self.presence == Indicator::Present)
    }
}

/// What texts are read by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextUnit {
    /// What stands between white space.
    #[default]
    Word,
    /// Code points of Unicode, for texts whose words are not set apart, or hardly ever come twice.
    Character,
}

impl TextUnit {
    fn is_word(&self) -> bool {
        *self == TextUnit::Word
    }

    /// Several of them.
    pub fn plural(self) -> &'static str {
        match self {
            TextUnit::Word => "words",
            TextUnit::Character => "characters",
        }
    }

    /// What a text consists of: its words, or its characters without white space around them.
    pub fn pieces(self, text: &str) -> impl Iterator<Item = &str> {
        let (words, characters) = match self {
            TextUnit::Word => (Some(text.split_ascii_whitespace()), None),
            TextUnit::Character => (None, Some(text.trim_ascii().split_inclusive(|_| true))),
        };
        let words = words.into_iter().flatten();
        words.chain(characters.into_iter().flatten())
    }
}

/// How a text becomes codes of words, or of characters.
///
/// By words, it is split where it has white space. Each piece is looked up as it is written, so that every
/// runtime finds the same: a piece's other ways of writing are forms of their own with the same code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FittedText {
    /// Name of the column.
    pub name: String,
    /// What it is read by.
    #[serde(default, skip_serializing_if = "TextUnit::is_word")]
    pub unit: TextUnit,
    /// So many words or characters are read of each text.
    pub length: u32,
    /// Codes are below it.
    pub codes: u32,
    /// The code of everything that is known, as it is written; from [`FittedText::FIRST_KNOWN`] on.
    pub forms: BTreeMap<String, u16>,
    /// Pairs of characters that stand side by side, as their codes, if they are told: their own codes are the last.
    /// Each place then has two codes, that of its character and that of the pair which begins there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<[u16; 2]>,
}

impl FittedText {
    /// The code of the places behind the end of a text.
    pub const NOTHING: u16 = 0;
    /// The code of what is not known.
    pub const UNKNOWN: u16 = 1;
    /// The code of the commonest word or character.
    pub const FIRST_KNOWN: u16 = 2;
    /// Characters that are read at least; so many tell what is missing from other texts.
    pub const CHARACTERS_MIN: u32 = 16;

    /// Codes that each word or character has.
    pub fn channels(&self) -> u32 {
        1 + u32::from(!self.pairs.is_empty())
    }

    /// The code of each pair that is told.
    pub fn pair_codes(&self) -> impl Iterator<Item = ([u16; 2], u16)> {
        let first = self.codes as usize - self.pairs.len();
        let pairs = self.pairs.iter().enumerate();
        pairs.map(move |(place, pair)| (*pair, (first + place) as u16))
    }
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
pub enum FittedInputs {
    /// Columns of a table, side by side.
    Columns(Vec<FittedColumn>),
    /// Images.
    Image(FittedImage),
    /// Series.
    Series(FittedSeries),
    /// Texts.
    Text(FittedText),
}

impl FittedInputs {
    pub(crate) fn item(&self) -> ItemShape {
        match self {
            FittedInputs::Columns(columns) => {
                ItemShape::Features(columns.iter().map(FittedColumn::width).sum::<usize>() as u32)
            }
            FittedInputs::Image(image) => ItemShape::Image {
                height: image.height,
                width: image.width,
                channels: image.channels,
            },
            FittedInputs::Series(series) => ItemShape::Series {
                channels: series.width(),
                length: series.length,
            },
            FittedInputs::Text(text) => ItemShape::Tokens {
                codes: text.codes,
                length: text.length,
                channels: text.channels(),
            },
        }
    }
}
