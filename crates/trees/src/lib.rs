//! Gradient-boosted trees: what a network for a table has to beat.
//!
//! Read in this order: [`table`] (what is learned from), [`bins`] (values become small whole numbers),
//! `tree` (one tree), `split` (the best question to ask of a column), `grow` (a tree, leaf by leaf),
//! [`boost`](mod@boost) (many trees, each mending what is left). No file, no clock, no chance: the same rows
//! give the same trees.

pub mod bins;
pub mod boost;
mod grow;
mod split;
pub mod table;
mod tree;

#[cfg(test)]
mod tests;

pub use boost::{Boosted, Ended, GoOn, Problem, Settings, boost};
pub use table::{Column, Goal, Table};
pub use tree::Ensemble;
