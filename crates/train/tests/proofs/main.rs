//! Proofs that the engine computes what it says: against an interpreter in `f64`, against stored
//! values of PyTorch, and, for exported models, against ONNX Runtime.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr, clippy::print_stdout)] // Skipped tests and largest errors are said.

mod again;
mod architectures;
mod golden;
mod gradients;
mod levels;
mod measure;
mod onnx;
mod preservation;
mod pytorch;
