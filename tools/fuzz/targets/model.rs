//! Descriptions and weights of models; the first byte says which of both, and of which model.

#![no_main]
#![allow(clippy::unwrap_used)] // A target that cannot set its scene has failed.
#![allow(dead_code)] // The tests use more of it.

#[path = "../../../crates/study/tests/models/mod.rs"]
mod models;

use std::{path::PathBuf, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static PLACE: LazyLock<(TempDir, Vec<PathBuf>)> =
    LazyLock::new(|| (tempfile::tempdir().unwrap(), models::models()));

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else {
        return;
    };
    let (place, folders) = &*PLACE;
    let folder = &folders[usize::from(*which >> 1) % folders.len()];
    match which & 1 {
        0 => models::describe(folder, bytes, place.path()),
        _ => models::weigh(folder, bytes, place.path()),
    }
});
