//! What a model learns from: readers, splits, preprocessing, batches.
//!
//! Read in this order: [`source`] (data as they were read), [`read`](mod@read) (finding out what a
//! file is), `table`, `npy`, `idx`, `images`, `series` (the formats), [`roles`] (columns that are no
//! inputs), [`split`](mod@split) and [`folds`](mod@folds) (which row is for what), [`profile`](mod@profile)
//! (what is odd about all that), [`fitted`], [`knots`] and [`preprocess`] (from raw rows to
//! numbers; [`levels`] those of categories), [`rows`],
//! [`stream`], [`piped`] and [`sent`] (new rows for a fitted model: files, tables without end, pipes, requests), [`sample`]
//! (a few rows as they were read, kept for later), [`raw`] (files whose meaning the caller knows),
//! [`examples`] (what trainers load). Nothing here knows of networks.

pub mod error;
pub mod examples;
pub mod fitted;
pub mod folds;
mod idx;
mod images;
pub mod knots;
pub mod large;
pub mod levels;
pub mod limits;
pub mod notice;
mod npy;
pub mod oddities;
pub mod piped;
pub mod preprocess;
pub mod profile;
pub mod raw;
pub mod read;
pub mod roles;
pub mod rows;
pub mod sample;
pub mod sent;
mod series;
pub mod source;
pub mod split;
pub mod stream;
mod table;
pub mod times;

pub use error::DataError;
pub use examples::{Examples, ItemShape, ShardWriter, Shards, Targets};
pub use fitted::{
    Cycle, FittedColumn, FittedImage, FittedInputs, FittedKind, FittedSeries, FittedTask,
    FittedText, FittedTime, Indicator, Scaling, TextUnit,
};
pub use folds::{folds, folds_max};
pub use knots::{Knots, KnotsError, Piece};
pub use large::{Beyond, Counted, RestTask};
pub use limits::{ReadLimits, ReadMax};
pub use notice::{Notice, Severity};
pub use piped::Piped;
pub use preprocess::Preprocessor;
pub use profile::{Finding, Importance, Profile, TargetProfile, profile};
pub use read::{fingerprint, read};
pub use roles::{Part, Roles, RowFacts, Sides, SplitBy};
pub use rows::{BadRow, RawRows, RowNames};
pub use sample::Sample;
pub use series::long::{StepColumns, StepTable, StepTime};
pub use source::{
    Cells, Column, DataKind, Dataset, Fingerprint, Images, RawTargets, Request, Series, Source,
    Table, Task, TaskKind, Texts,
};
pub use split::{Split, SplitShares, split};
pub use stream::RowStream;
pub use table::dialect::{Decimal, Delimiter, Dialect};
pub use table::encoding::Encoding;
pub use table::header::HeaderLine;
pub use table::kinds::{ColumnKind, ColumnKinds};
