//! What trees learn from: columns of numbers or categories, with gaps, and what is to be predicted.

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Numbers; what is missing is not a number.
    Numbers(Vec<f32>),
    /// Numbers of categories, from 0; `None` if missing or never seen.
    Categories(Vec<Option<u8>>),
}

impl Column {
    pub(crate) fn len(&self) -> usize {
        match self {
            Column::Numbers(values) => values.len(),
            Column::Categories(values) => values.len(),
        }
    }
}

/// Columns of the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    columns: Vec<Column>,
    rows: usize,
}

impl Table {
    /// A table of these columns; `None` if they differ in length, or there are none.
    pub fn new(columns: Vec<Column>) -> Option<Table> {
        let rows = columns.first()?.len();
        let equal = columns.iter().all(|column| column.len() == rows);
        equal.then_some(Table { columns, rows })
    }

    /// Its columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// What is predicted of each row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal<'a> {
    /// One of `count` classes.
    Classes {
        /// Class of each row, below `count`.
        ids: &'a [u32],
        /// How many classes there are, at least 2.
        count: u32,
    },
    /// A number.
    Values(&'a [f32]),
}

impl Goal<'_> {
    /// How many values are given for a row: one per class, or one.
    pub fn outputs(self) -> usize {
        match self {
            Goal::Classes { count, .. } => count as usize,
            Goal::Values(_) => 1,
        }
    }
}
