//! Data as they were read, before any preprocessing: columns, images, series or texts, and what is to be
//! predicted.

use std::{fmt, ops::Range, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    fitted::TextUnit,
    images::item_bytes,
    large::Beyond,
    limits::ReadLimits,
    notice::Notice,
    oddities::Oddities,
    roles::{Roles, RowFacts},
    series::long::{StepColumns, StepTable},
    table::{dialect::Dialect, header::HeaderLine, kinds::ColumnKinds},
    times::TimeFormat,
};

/// What is to be read, and how far the user has decided about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// File or folder.
    pub path: PathBuf,
    /// More rows of the same kind, for the vault.
    pub test: Option<PathBuf>,
    /// More rows of the same kind, to decide between trials.
    pub validation: Option<PathBuf>,
    /// Columns that are no inputs.
    pub roles: Roles,
    /// Columns by which the rows of a table are the steps of series.
    pub steps: Option<StepColumns>,
    /// Column to predict; of named arrays, the array.
    pub target: Option<String>,
    /// Columns that are left out.
    pub ignore: Vec<String>,
    /// Overrules what columns of a table look like.
    pub columns: ColumnKinds,
    /// Overrules what the first line looks like.
    pub header: HeaderLine,
    /// Overrules how a table looks written.
    pub dialect: Dialect,
    /// Overrules what the data look like.
    pub kind: Option<DataKind>,
    /// Overrules what the target looks like.
    pub task: Option<TaskKind>,
    /// How much is read at most.
    pub limits: ReadLimits,
}

/// What kind of thing a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// Columns that each mean something of their own.
    Table,
    /// Pixels.
    Images,
    /// Values in the order in which they were measured.
    Series,
    /// Words.
    Text,
}

impl DataKind {
    /// Its name, as it is written and shown.
    pub fn name(self) -> &'static str {
        match self {
            DataKind::Table => "table",
            DataKind::Images => "images",
            DataKind::Series => "series",
            DataKind::Text => "text",
        }
    }
}

impl fmt::Display for DataKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of thing is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// One of a few classes.
    Classification,
    /// A number.
    Regression,
}

/// What is predicted.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// One of these classes.
    Classification {
        /// Their names, sorted.
        classes: Vec<String>,
    },
    /// A number.
    Regression {
        /// Name of the column.
        target: String,
    },
}

/// Digest of everything that was read, targets included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(blake3::Hash);

impl Fingerprint {
    pub(crate) fn of(hasher: &blake3::Hasher) -> Fingerprint {
        Fingerprint(hasher.finalize())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

/// Data as they were read.
#[derive(Clone, Debug)]
pub struct Source {
    /// All rows; given validation rows stand behind the others, given test rows at the end.
    pub dataset: Dataset,
    /// Rows that were given to decide between trials.
    pub given_validation_rows: Range<usize>,
    /// Rows that were given as test rows: these are the vault.
    pub given_test_rows: Range<usize>,
    /// What is predicted.
    pub task: Task,
    /// What was noticed.
    pub notices: Vec<Notice>,
    /// What was odd, for the profile to say.
    pub oddities: Oddities,
    /// What columns with a role say of each row.
    pub facts: RowFacts,
    /// What makes these data these.
    pub fingerprint: Fingerprint,
    /// One line: kind, rows, size, classes.
    pub description: String,
    /// What a user calls each row; the numbers of the rows in their file, from 1, if absent.
    pub row_names: Option<Vec<String>>,
    /// Rows that are not held in memory, if there are any: they are learned from, and nothing else.
    pub beyond: Option<Beyond>,
}

impl Source {
    /// What a user calls a row: the path of its image, or its number in its file, from 1.
    pub fn row_name(&self, row: u32) -> String {
        let row = row as usize;
        let given = [&self.given_validation_rows, &self.given_test_rows];
        let file = given.into_iter().find(|rows| rows.contains(&row));
        match &self.row_names {
            Some(names) => names.get(row).cloned().unwrap_or_default(),
            None => (row - file.map_or(0, |rows| rows.start) + 1).to_string(),
        }
    }
}

/// Rows of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Dataset {
    /// Rows of a table.
    Table(Table),
    /// Images.
    Images(Images),
    /// Series.
    Series(Series),
    /// Texts.
    Texts(Texts),
}

impl Dataset {
    /// How many rows.
    pub fn rows(&self) -> usize {
        self.targets().len()
    }

    /// What is known of each row's target.
    pub fn targets(&self) -> &RawTargets {
        match self {
            Dataset::Table(table) => &table.targets,
            Dataset::Images(images) => &images.targets,
            Dataset::Series(series) => &series.targets,
            Dataset::Texts(texts) => &texts.targets,
        }
    }

    /// What a row is.
    pub fn kind(&self) -> DataKind {
        match self {
            Dataset::Table(_) => DataKind::Table,
            Dataset::Images(_) => DataKind::Images,
            Dataset::Series(_) => DataKind::Series,
            Dataset::Texts(_) => DataKind::Text,
        }
    }
}

/// Columns of the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What is predicted from.
    pub columns: Vec<Column>,
    /// What is predicted.
    pub targets: RawTargets,
}

/// A named column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its cells.
    pub cells: Cells,
}

/// The cells of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Numbers; what is missing is not a number.
    Numbers(Vec<f64>),
    /// Words: each is one of some values.
    Words(Vec<Option<String>>),
    /// Sentences.
    Texts(Vec<Option<String>>),
    /// Dates and times.
    Times {
        /// Seconds since 1970, UTC; what is missing is not a number.
        seconds: Vec<f64>,
        /// How they are written.
        format: TimeFormat,
    },
}

impl Cells {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Cells::Numbers(cells) => cells.len(),
            Cells::Words(cells) | Cells::Texts(cells) => cells.len(),
            Cells::Times { seconds, .. } => seconds.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is written in them, if they are no numbers and no dates; nothing where there is no value.
    pub fn written(&self) -> Option<&[Option<String>]> {
        match self {
            Cells::Words(cells) | Cells::Texts(cells) => Some(cells),
            Cells::Numbers(_) | Cells::Times { .. } => None,
        }
    }
}

/// Images of one size.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
    /// Values per pixel.
    pub channels: u32,
    /// Image after image, row after row, channels last.
    pub bytes: Vec<u8>,
    /// What is predicted.
    pub targets: RawTargets,
}

impl Images {
    /// Bytes of one image.
    pub fn item_bytes(&self) -> usize {
        item_bytes((self.height, self.width, self.channels))
    }
}

/// Series of the same channels, of any lengths.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Names of the columns that are the steps, if they stood in a table.
    pub columns: Vec<String>,
    /// How they stood in a table with a row for each step, if they did.
    pub steps: Option<StepTable>,
    /// Values per step.
    pub channels: u32,
    /// Steps of each series.
    pub lengths: Vec<u32>,
    /// Series after series, step after step, channels last, without gaps; what is missing is not a number.
    pub values: Vec<f32>,
    /// What is predicted.
    pub targets: RawTargets,
}

impl Series {
    /// Steps of the longest.
    pub fn longest(&self) -> u32 {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// Each series: its values, step after step.
    pub fn each(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = self.values.as_slice();
        self.lengths.iter().map(move |length| {
            let (first, others) = rest.split_at(*length as usize * self.channels as usize);
            rest = others;
            first
        })
    }
}

/// Texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Texts {
    /// Name of their column.
    pub name: String,
    /// One per row; what is missing is empty.
    pub texts: Vec<String>,
    /// What they are read by.
    pub unit: TextUnit,
    /// What is predicted.
    pub targets: RawTargets,
}

impl Texts {
    /// How many words or characters they have in the mean; 0 for no texts.
    pub fn mean_length(&self) -> f64 {
        let texts = self.texts.iter();
        let lengths = texts.map(|text| self.unit.pieces(text).count());
        lengths.sum::<usize>() as f64 / self.texts.len().max(1) as f64
    }
}

/// Targets as they were read.
#[derive(Clone, Debug, PartialEq)]
pub enum RawTargets {
    /// Index into the task's classes.
    Classes(Vec<u32>),
    /// Numbers in their own unit.
    Values(Vec<f64>),
    /// Not known, of so many rows.
    Unknown(usize),
}

impl RawTargets {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            RawTargets::Classes(ids) => ids.len(),
            RawTargets::Values(values) => values.len(),
            RawTargets::Unknown(rows) => *rows,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
