//! Exported files, read and run.

#![no_main]
#![allow(clippy::unwrap_used)] // A target that cannot set its scene has failed.
#![allow(dead_code)] // The tests use more of it.

#[path = "../../../crates/study/tests/models/mod.rs"]
mod models;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = models::run_again(bytes);
});
