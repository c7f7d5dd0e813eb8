//! An architecture in one line of text, for people, tests and messages.
//!
//! ```text
//! in 3x32x32 | a: conv 16 k3 | bn | relu | b: conv 8 k1 s2 (a) | gap | dropout 0.2 | dense 10
//! ```
//!
//! A statement is `[name ':'] kind arguments ['(' sources ')']`. Without sources a layer reads the
//! statement before it; `add`, `mul` and `cat` name theirs without parentheses: `add a b`. The input is
//! always called `in`, the output is implied. A stride that is not written is 1 for a convolution
//! and the window's size for a pool; `d2` sets the taps of a kernel two pixels apart. `slice 3 5` takes
//! five channels from the third on (counted from 0), `embed 100 8` has 100 codes of 8 values. What is printed reads back as the same architecture.

mod read;
mod write;

use thiserror::Error;

use crate::architecture::ArchitectureError;

/// Why a text is no architecture. Positions count characters from 1.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotationError {
    /// Something else was to come here.
    #[error("expected {expected} at character {position}, found {found}")]
    Unexpected {
        /// Where.
        position: usize,
        /// What may stand here.
        expected: String,
        /// What stands here, quoted, or `the end`.
        found: String,
    },
    /// A source that no earlier statement is named.
    #[error("`{name}` at character {position} is not the name of an earlier statement")]
    UnknownName {
        /// Where.
        position: usize,
        /// The name.
        name: String,
    },
    /// A name given twice, or one that means something else.
    #[error("`{name}` at character {position} is already the name of a statement or of a kind")]
    TakenName {
        /// Where.
        position: usize,
        /// The name.
        name: String,
    },
    /// Well-formed text of a network that cannot be.
    #[error("the text is well formed, but no architecture")]
    Impossible {
        /// Which rule it breaks.
        #[from]
        source: ArchitectureError,
    },
}

/// Names of all kinds: none of them may name a statement.
const KINDS: [&str; 24] = [
    "in",
    "dense",
    "conv",
    "dwconv",
    "bn",
    "ln",
    "relu",
    "gelu",
    "silu",
    "sigmoid",
    "maxpool",
    "avgpool",
    "gap",
    "flatten",
    "slice",
    "embed",
    "periodic",
    "position",
    "attention",
    "dropout",
    "add",
    "mul",
    "cat",
    "out",
];
