//! Models for the tests, made in a moment: real preprocessing of real data, and weights that nobody has
//! trained. What they say is of no use, but it is the same wherever they are asked.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data::{Dataset, Preprocessor, Request, Source};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{Setting, TrialId};
use study::{
    model::{FORMAT, Model, ModelCard},
    trial::Digest,
};
use train::Weights;

/// A model that is asked about flats, beside it the rows it was fitted on.
pub(crate) fn rents(folder: &Path) -> (PathBuf, PathBuf) {
    let rows: String = (0..60)
        .map(|row| {
            let town = ["Bern", "Basel", ""][row % 3];
            let (area, rent) = (20 + row * 7 % 90, 500 + row * 131 % 1700);
            format!("{area},{town},{},{rent}\n", row % 5)
        })
        .collect();
    let path = folder.join("rents.csv");
    fs::write(&path, format!("area,town,floor,rent\n{rows}")).expect("the folder can be written");
    let request = Request {
        path: path.clone(),
        target: Some("rent".to_string()),
        task: Some(data::TaskKind::Regression),
        ..Request::default()
    };
    let source = data::read(&request).expect("the rows can be read");
    let place = folder.join("rents");
    save(&source, "in 5 | dense 16 | relu | dense 1", &place);
    (place, path)
}

/// A model that names digits, with their images.
pub(crate) fn digits(folder: &Path) -> (PathBuf, Vec<Vec<u8>>) {
    let request = Request {
        path: digits_file(),
        ..Request::default()
    };
    let source = data::read(&request).expect("the example can be read");
    let Dataset::Images(images) = &source.dataset else {
        panic!("the digits are images");
    };
    let pixels = images.bytes.chunks(64).map(<[u8]>::to_vec).collect();
    let place = folder.join("digits");
    let network = "in 1x8x8 | conv 16 k3 | bn | relu | conv 16 k3 | relu | gap | dense 10";
    save(&source, network, &place);
    (place, pixels)
}

/// The images of the example.
pub(crate) fn digits_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits8x8.npz")
}

fn save(source: &Source, network: &str, place: &Path) {
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let preprocessor = Preprocessor::fit(source, &rows).expect("there are rows");
    let architecture = network.parse().expect("the network is one");
    let weights = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(5));
    let card = ModelCard {
        calibration: train::Calibration::default(),
        format: FORMAT,
        trial: TrialId(7),
        members: Vec::new(),
        architecture,
        setting: Setting::default(),
        preprocessor,
        weights: Digest::of(&weights.to_safetensors()),
    };
    fs::create_dir_all(place).expect("the folder can be written");
    let model = Model { card, weights };
    model.save(place).expect("the folder can be written");
}

/// An image of 8 × 8 gray pixels as a BMP file.
pub(crate) fn bitmap(pixels: &[u8]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    let number = |value: u32| value.to_le_bytes();
    file.extend(number(54 + 8 * 24));
    file.extend([0; 4]);
    file.extend(number(54));
    file.extend([40, 8, 8].map(number).concat());
    file.extend([1, 0, 24, 0]);
    file.extend([0, 8 * 24, 0, 0, 0, 0].map(number).concat());
    for row in pixels.chunks(8).rev() {
        file.extend(row.iter().flat_map(|pixel| [*pixel; 3]));
    }
    file
}
