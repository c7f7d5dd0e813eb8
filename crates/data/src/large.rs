//! Data larger than memory: a part of the rows is held and decides on everything, the rest is learned from.
//!
//! What is held is a sample, drawn by chance, and goes the way of all small data: kinds of columns,
//! classes, profile, split and preprocessing come from it alone. The rows beyond it are gone through once
//! more, part after part, and written as the networks take them; see `docs/decisions/0021`.

use std::{path::Path, thread};

use serde::{Deserialize, Serialize};

use crate::{
    error::DataError,
    examples::{Examples, ShardWriter},
    images::ImagesRest,
    limits::ReadLimits,
    notice::Notice,
    preprocess::Preprocessor,
    source::Source,
    split::Split,
    table::{flow::FileContent, rest::TableRest},
};

/// Threads that convert, however many processors there are: each holds a part of the data while it is
/// turned into numbers.
const THREADS_MAX: usize = 4;

/// How many threads read and convert.
pub(crate) fn threads() -> usize {
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS_MAX)
}

/// Rows that are not held in memory.
#[derive(Clone, Debug)]
pub struct Beyond {
    rest: Rest,
    /// All rows, held or not, that were given for no purpose.
    rows: u64,
    /// How many of them are held.
    held: u64,
    limits: ReadLimits,
}

#[derive(Clone, Debug)]
pub(crate) enum Rest {
    Table(Box<TableRest>),
    Images(Box<ImagesRest>),
}

/// What becomes of rows that are not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unheld {
    /// Networks learn from them.
    LearnedFrom,
    /// Nothing: they were given to be scored.
    Unused,
}

/// What is needed to prepare rows that are not held.
#[derive(Clone, Copy, Debug)]
pub struct RestTask<'a> {
    /// The held rows.
    pub source: &'a Source,
    /// What they are for.
    pub split: &'a Split,
    /// What was fitted on those that are learned from.
    pub preprocessor: &'a Preprocessor,
}

/// What became of rows that are not held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// Prepared.
    pub rows: u64,
    /// Left out, because they stand on the side of the validation or vault rows.
    pub held_out: u64,
    /// Left out, because their target, or what decides on their side, cannot be understood, or they are too long.
    pub unusable: u64,
    /// Images that could not be read any more or are not what they were, and why the first is not used.
    pub gone: Option<(u64, String)>,
}

impl Counted {
    pub(crate) fn add(&mut self, more: &Counted) {
        self.rows += more.rows;
        self.held_out += more.held_out;
        self.unusable += more.unusable;
        self.gone = match (self.gone.take(), &more.gone) {
            (Some((count, first)), Some((more, _))) => Some((count + more, first)),
            (None, other) => other.clone(),
            (own, None) => own,
        };
    }

    /// What is to be said of them.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = Vec::new();
        if self.held_out > 0 {
            notices.push(Notice::note(format!(
                "{} row(s) that are not held in memory stand on the side of the validation or vault \
                 rows: they are left out",
                self.held_out
            )));
        }
        if self.unusable > 0 {
            notices.push(Notice::warning(format!(
                "{} row(s) that are not held in memory have a target, a length or a place in the split that \
                 none of those held has: they are left out",
                self.unusable
            )));
        }
        if let Some((count, first)) = &self.gone {
            notices.push(Notice::warning(format!(
                "skipped {count} images while converting; the first is {first}"
            )));
        }
        notices
    }
}

impl Beyond {
    pub(crate) fn new(rest: Rest, rows: u64, held: u64, limits: ReadLimits) -> Beyond {
        Beyond {
            rest,
            rows,
            held,
            limits,
        }
    }

    /// All rows, held or not, that were given for no purpose.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows that are not held.
    pub fn rows_left(&self) -> u64 {
        self.rows - self.held
    }

    pub(crate) fn content(&self) -> FileContent {
        match &self.rest {
            Rest::Table(table) => table.chosen.content,
            Rest::Images(images) => images.content(),
        }
    }

    /// Bytes that the prepared rest takes on disk, as far as held rows tell.
    pub fn bytes_needed(&self, held: &Examples) -> u64 {
        (ShardWriter::bytes_per_row(held) * self.rows_left() as f64) as u64
    }

    /// Prepares the rest into a file, for rows like these.
    ///
    /// # Errors
    /// If the data cannot be read, a table is not what it was, or the disk is full; an image that is not what
    /// it was is counted as gone.
    /// # Cost
    /// Reading everything once more; memory for a few parts, however many rows there are.
    pub fn convert(
        &self,
        task: &RestTask<'_>,
        like: &Examples,
        path: &Path,
    ) -> Result<Counted, DataError> {
        let mut writer = ShardWriter::create(path, like)?;
        let mut take = |rows: Examples| writer.push(&rows);
        let counted = match &self.rest {
            Rest::Table(table) => table.each(task, &self.limits, threads(), &mut take)?,
            Rest::Images(images) => images.each(task, &self.limits, &mut take)?,
        };
        writer.finish()?;
        Ok(counted)
    }
}
