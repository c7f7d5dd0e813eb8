//! Rows that are sent to a model, in JSON, CSV or as an image; the first byte says to which model.

#![no_main]
#![allow(clippy::unwrap_used)] // A target that cannot set its scene has failed.
#![allow(dead_code)] // The tests use more of it.

mod escaped;
#[path = "../../../crates/study/tests/models/mod.rs"]
mod models;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use study::model::Model;

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    let folders = models::models();
    folders
        .iter()
        .map(|folder| Model::load(folder).unwrap())
        .collect()
});

fuzz_target!(|bytes: &[u8]| {
    if let Some((model, body)) = bytes.split_first() {
        let model = &MODELS[usize::from(*model) % MODELS.len()];
        escaped::run(|| models::ask(model, body));
    }
});
