//! Files of data, of each format; the first byte says of which.

#![no_main]
#![allow(clippy::unwrap_used)] // A target that cannot set its scene has failed.

mod escaped;
#[path = "../../../crates/data/tests/healthy/mod.rs"]
mod healthy;
#[path = "../../../crates/data/tests/npy/mod.rs"]
mod npy;
#[path = "../../../crates/data/tests/whole/mod.rs"]
mod whole;

use std::{fs, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
    names: Vec<&'static str>,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("a-labels-idx1-ubyte"),
        healthy::idx_labels(),
    )
    .unwrap();
    let names = healthy::healthy().into_iter().map(|file| file.0).collect();
    Place { folder, names }
});

fuzz_target!(|bytes: &[u8]| {
    let Some((format, bytes)) = bytes.split_first() else {
        return;
    };
    let name = PLACE.names[usize::from(*format) % PLACE.names.len()];
    let path = PLACE.folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    escaped::run(|| whole::read_through(&path));
});
