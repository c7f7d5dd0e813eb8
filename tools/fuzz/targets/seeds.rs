//! Writes what each target begins with, healthy files: `seeds FOLDER`.

#![allow(clippy::unwrap_used)] // A program that cannot set the scene has failed.
#![allow(dead_code)] // The tests use more of it.

#[path = "../../../crates/data/tests/healthy/mod.rs"]
mod healthy;
#[path = "../../../crates/study/tests/models/mod.rs"]
mod models;
#[path = "../../../crates/data/tests/npy/mod.rs"]
mod npy;

use std::{env, fs, path::Path};

use libfuzzer_sys::fuzz_target;
use study::model::Model;

// All of this crate is built with coverage, which libFuzzer counts; it wants something to call.
fuzz_target!(|_bytes: &[u8]| {});

fn main() {
    let root = env::args().nth(1).expect("usage: seeds FOLDER");
    let write = |target: &str, name: String, choice: Option<u8>, bytes: Vec<u8>| {
        let folder = Path::new(&root).join(target);
        fs::create_dir_all(&folder).unwrap();
        let bytes: Vec<u8> = choice.into_iter().chain(bytes).collect();
        fs::write(folder.join(name), bytes).unwrap();
    };
    for (index, (name, bytes)) in healthy::healthy().into_iter().enumerate() {
        write("read", name.to_string(), Some(index as u8), bytes);
    }
    for (index, folder) in models::models().iter().enumerate() {
        let name = folder.file_name().unwrap().display().to_string();
        let index = index as u8;
        let file = |file| models::file(file)(folder);
        write(
            "ask",
            format!("{name}.json"),
            Some(index),
            models::request(folder),
        );
        for rows in ["rows.csv", "rows.npz", "rows.ts"] {
            if folder.join(rows).is_file() {
                write("ask", format!("{name}-{rows}"), Some(index), file(rows));
            }
        }
        write(
            "model",
            format!("{name}.json"),
            Some(2 * index),
            file("model.json"),
        );
        let weights = file("model.safetensors");
        write(
            "model",
            format!("{name}.safetensors"),
            Some(2 * index + 1),
            weights,
        );
        write("exported", format!("{name}.onnx"), None, file("model.onnx"));
        let architecture = Model::load(folder).unwrap().card.architecture;
        write(
            "notation",
            name,
            None,
            architecture.to_string().into_bytes(),
        );
    }
}
