//! What was odd in data while they were read, for the profile to say.

use serde::{Deserialize, Serialize};

/// What was odd.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Oddities {
    /// Columns from which nothing can be learned.
    pub left_out: Vec<LeftOut>,
    /// Cells of number and date columns that are neither.
    pub strays: Vec<Strays>,
    /// Image files as they were, before they got one size; none for arrays.
    pub files: Vec<ImageFile>,
}

/// A column from which nothing can be learned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: Useless,
}

/// Why nothing can be learned from a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Useless {
    /// Every cell is missing.
    Missing,
    /// Every cell is the same.
    Constant,
    /// It counts the rows.
    CountsRows,
    /// Nearly every row has another word.
    Identifier,
}

impl Useless {
    /// All of them.
    pub const ALL: [Useless; 4] = [
        Useless::Missing,
        Useless::Constant,
        Useless::CountsRows,
        Useless::Identifier,
    ];
}

/// Cells of a column that are not what the others are, and count as missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strays {
    /// Name of the column.
    pub column: String,
    /// How many.
    pub count: usize,
    /// One of them.
    pub example: String,
    /// What the others are: `numbers`, or `dates like …`.
    pub wanted: String,
}

/// An image file as its header describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
    /// 1 if it is gray, otherwise 3.
    pub channels: u32,
}
