//! Why a file cannot be run again.

use thiserror::Error;

use crate::tensor::Element;

/// Why a file cannot be run again.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ReplayError {
    /// The bytes are not what they should be.
    #[error("these bytes are no ONNX model: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// An input was not given.
    #[error("the model takes an input `{name}`, which was not given")]
    InputMissing {
        /// Its name.
        name: String,
    },
    /// An input has another type or shape than the file declares.
    #[error("the input `{name}` is {found} of shape {shape:?}; the model takes {asked}")]
    InputUnfit {
        /// Its name.
        name: String,
        /// What was given.
        found: Element,
        /// Extents of what was given.
        shape: Vec<usize>,
        /// What the file declares.
        asked: String,
    },
    /// A value is read before anything makes it.
    #[error("`{reader}` reads the value `{name}`, which nothing before it makes")]
    ValueMissing {
        /// Who reads it.
        reader: String,
        /// Its name.
        name: String,
    },
    /// A node cannot be computed.
    #[error("node `{node}` of the operator `{operator}`: {problem}")]
    Node {
        /// Its name.
        node: String,
        /// Its operator, with the domain if it is not the core's.
        operator: String,
        /// What is wrong.
        problem: String,
    },
}

/// What is wrong with a node, before anybody says which node it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem(pub(crate) String);

impl Problem {
    pub(crate) fn new(text: impl Into<String>) -> Problem {
        Problem(text.into())
    }
}
