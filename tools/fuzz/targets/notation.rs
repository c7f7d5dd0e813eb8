//! Architectures as one line of text.

#![no_main]
#![allow(clippy::unwrap_used)] // A target that cannot set its scene has failed.
#![allow(dead_code)] // The tests use more of it.

#[path = "../../../crates/study/tests/models/mod.rs"]
mod models;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| models::read_notation(bytes));
