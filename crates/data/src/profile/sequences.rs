//! Series and texts: how long they are, and what is missing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    fitted::TextUnit,
    source::{Series, Texts},
};

/// Series that are learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeriesProfile {
    /// Values per step.
    pub channels: u32,
    /// How many steps they have.
    pub steps: Lengths,
    /// Values that are missing.
    pub missing: usize,
    /// The same as a share of all values.
    pub missing_share: f64,
}

/// Texts that are learned from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextProfile {
    /// What they are read by.
    #[serde(default)]
    pub unit: TextUnit,
    /// How many words or characters they have.
    #[serde(alias = "words")]
    pub length: Lengths,
    /// How many different ones there are, as they are written.
    #[serde(alias = "different_words")]
    pub different: usize,
    /// Texts without any.
    pub empty: usize,
}

/// How long things are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The shortest.
    pub shortest: usize,
    /// Half are shorter.
    pub median: usize,
    /// The longest.
    pub longest: usize,
}

impl Lengths {
    fn of(mut lengths: Vec<usize>) -> Lengths {
        lengths.sort_unstable();
        let at = |place: usize| lengths.get(place).copied().unwrap_or(0);
        Lengths {
            shortest: at(0),
            median: at(lengths.len() / 2),
            longest: at(lengths.len().saturating_sub(1)),
        }
    }
}

pub(super) fn of_series(series: &Series) -> SeriesProfile {
    let missing = series.values.iter().filter(|value| value.is_nan()).count();
    SeriesProfile {
        channels: series.channels,
        steps: Lengths::of(series.lengths.iter().map(|steps| *steps as usize).collect()),
        missing,
        missing_share: missing as f64 / series.values.len().max(1) as f64,
    }
}

pub(super) fn of_texts(texts: &Texts) -> TextProfile {
    let unit = texts.unit;
    let lengths = texts.texts.iter().map(|text| unit.pieces(text).count());
    let lengths: Vec<usize> = lengths.collect();
    let all = texts.texts.iter().flat_map(|text| unit.pieces(text));
    TextProfile {
        unit,
        different: all.collect::<BTreeSet<&str>>().len(),
        empty: lengths.iter().filter(|length| **length == 0).count(),
        length: Lengths::of(lengths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RawTargets;

    #[test]
    fn texts_are_counted_in_words() {
        let texts = ["one two", "", "two  three four"]
            .map(String::from)
            .to_vec();
        let profile = of_texts(&Texts {
            name: "text".into(),
            texts,
            unit: TextUnit::Word,
            targets: RawTargets::Unknown(3),
        });
        let words = Lengths {
            shortest: 0,
            median: 2,
            longest: 3,
        };
        assert_eq!(
            profile,
            TextProfile {
                unit: TextUnit::Word,
                length: words,
                different: 4,
                empty: 1
            }
        );
    }

    #[test]
    fn missing_values_of_series_are_counted() {
        let profile = of_series(&Series {
            columns: Vec::new(),
            steps: None,
            channels: 2,
            lengths: vec![1, 2],
            values: vec![1.0, f32::NAN, 2.0, 3.0, 4.0, 5.0],
            targets: RawTargets::Unknown(2),
        });
        assert_eq!((profile.missing, profile.steps.longest), (1, 2));
        assert!((profile.missing_share - 1.0 / 6.0).abs() < 1e-12);
    }
}
