//! Why data could not be used: which file, where in it, which rule, and what to do.

use std::{io, path::PathBuf};

use thiserror::Error;

/// An error with everything that has caused it, as one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Why data could not be used.
#[derive(Debug, Error)]
pub enum DataError {
    /// The file system said no.
    #[error("{} could not be read or written", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The content breaks a rule of its format.
    #[error("{}: {problem}", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// A limit would be exceeded.
    #[error("{}: {what} exceeds the limit of {limit}", .path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// What is too large.
        what: String,
        /// The limit.
        limit: String,
    },
    /// It can be read, but nothing can be learned from it.
    #[error("{}: {problem}", .path.display())]
    NothingToLearn {
        /// Which file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The shares of the split leave no rows for something.
    #[error("the split cannot be made: {problem}")]
    Split {
        /// Why.
        problem: String,
    },
    /// New rows do not fit a fitted model.
    #[error("{} does not fit the model: {problem}", .path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
}
