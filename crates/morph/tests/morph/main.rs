//! What crate `morph` promises, from outside: texts in, texts and plans out.
//!
//! Whether a child really computes what its parent did is asked here of a slow interpreter in
//! `f64`; crate `train` asks it of the real engine.

mod check;
mod draws;
mod exactness;
mod growing;
mod interpreter;
mod notation;
mod seeds;
mod shrinking;
