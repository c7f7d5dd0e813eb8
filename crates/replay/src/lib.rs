//! An ONNX file run again, from its bytes alone: slow, plain, and knowing nothing of whoever wrote it.
//!
//! This is the second opinion behind a certificate. It depends on no other room: not on networks, not
//! on preprocessing, not on the exporter; not even the description of the file format is shared. Sums
//! are made in `f64`, so what it says is nearer to the file's meaning than a fast runtime can be.
//!
//! Read in this order: [`Replay`] in `graph` (reading a file, running its nodes), [`Tensor`] (what
//! flows), `message` (the file format), `operator` (what a node computes, one file per kind). Operators
//! that lehr does not write are refused by name.

mod error;
mod graph;
mod message;
mod operator;
mod tensor;

pub use error::ReplayError;
pub use graph::{Declared, Replay};
pub use tensor::{Element, Tensor, Values};
