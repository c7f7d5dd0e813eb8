//! How much of anything is read at most: hostile or mistaken input ends in a message, not in memory.

use serde::{Deserialize, Serialize};

use crate::preprocess::Preprocessor;

/// Pixels of the longer side of an image, where nobody says how many: a network's work grows with their square
/// (decision 0031).
const IMAGE_SIDE_MAX: u32 = 128;

/// What a user lets be read beyond what is usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMax {
    /// MiB of a file that is read as a whole, and of all that an archive unpacks to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mib: Option<u64>,
    /// Columns of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<usize>,
    /// Classes of a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

impl ReadMax {
    /// Whether nobody said anything.
    pub fn is_usual(&self) -> bool {
        *self == ReadMax::default()
    }

    /// The limits.
    pub fn limits(self) -> ReadLimits {
        let usual = ReadLimits::default();
        ReadLimits {
            bytes_max: self
                .mib
                .map_or(usual.bytes_max, |mib| mib.saturating_mul(1 << 20)),
            columns_max: self.columns.unwrap_or(usual.columns_max),
            classes_max: self.classes.unwrap_or(usual.classes_max),
            ..usual
        }
    }
}

/// Limits of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimits {
    /// Bytes of a file that is read as a whole, and of all that an archive unpacks to.
    pub bytes_max: u64,
    /// Bytes of a table from which on only a part of its rows is held in memory.
    pub held_text_bytes: u64,
    /// Bytes of decoded images from which on only a part of them is held in memory.
    pub held_pixel_bytes: u64,
    /// Pixels of one image.
    pub image_pixels_max: u64,
    /// Pixels of the longer side of what networks get of image files; larger ones are made smaller.
    pub image_side_max: u32,
    /// Files in a folder or archive.
    pub entries_max: usize,
    /// Rows of a table.
    pub rows_max: usize,
    /// Columns of a table.
    pub columns_max: usize,
    /// Classes of a target.
    pub classes_max: usize,
}

impl ReadLimits {
    /// The same for new rows of a model: it may have learned from more columns than is usual, and as many more may
    /// stand beside those that it takes.
    #[must_use]
    pub fn for_rows_of(self, preprocessor: &Preprocessor) -> ReadLimits {
        let taken = preprocessor.wanted().map_or(0, |wanted| wanted.len());
        ReadLimits {
            columns_max: self.columns_max.max(taken.saturating_mul(2)),
            ..self
        }
    }

    /// The limit of bytes, for a message.
    pub(crate) fn bytes_said(&self) -> String {
        let bytes = self.bytes_max;
        format!("{bytes} bytes (--read-mib-max allows more)")
    }

    /// The limit of classes, for a message.
    pub(crate) fn classes_said(&self) -> String {
        let classes = self.classes_max;
        format!("{classes} classes (--classes-max allows more)")
    }
}

impl Default for ReadLimits {
    /// What fits comfortably into the memory of a small machine.
    fn default() -> ReadLimits {
        ReadLimits {
            bytes_max: 2 << 30,
            // A table takes about eight times its text while it is looked at. What is held may not depend
            // on the machine: the same data give the same split everywhere.
            held_text_bytes: 128 << 20,
            held_pixel_bytes: 256 << 20,
            image_pixels_max: 50_000_000,
            image_side_max: IMAGE_SIDE_MAX,
            entries_max: 2_000_000,
            // Rows are numbered with 32 bits.
            rows_max: u32::MAX as usize,
            // Of expressed genes there are 54,000; of 150 rows of them a study of a minute takes 570 MB.
            columns_max: 100_000,
            classes_max: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn model_of(inputs: Value) -> Preprocessor {
        let task = json!({ "kind": "classification", "classes": ["a", "b"] });
        let written = json!({ "format": 1, "inputs": inputs, "task": task });
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn new_rows_may_have_twice_the_columns_of_their_model_however_many_these_are() {
        let few = ReadLimits {
            columns_max: 5,
            ..ReadLimits::default()
        };
        let allowed = |inputs: Value| few.for_rows_of(&model_of(inputs)).columns_max;
        let column = |name: &str| {
            json!({
                "name": name, "kind": "category", "levels": ["x"], "missing_indicator": "absent",
            })
        };
        let (a, b, c) = (column("a"), column("b"), column("c"));
        assert_eq!(allowed(json!({ "columns": [a, b] })), 5);
        assert_eq!(allowed(json!({ "columns": [a, b, c] })), 6);
        // The steps of a series may have stood side by side as columns.
        let series = json!({ "series": {
            "columns": ["t0", "t1", "t2", "t3"], "channels": 1, "length": 4, "shift": [0.0],
            "scale": [1.0], "presence": "absent",
        }});
        assert_eq!(allowed(series), 8);
    }
}
