//! The size of a model's file, as the search estimates it, beside the files that are really written.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use morph::{Shape, seeds};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::{Chain, Limits, Setting, limits::file_bytes};
use train::{Weights, export_network};

#[test]
fn no_models_file_is_larger_than_was_estimated_and_large_ones_hardly_smaller() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut seeds = seeds::table_seeds(13, 3);
    let image = Shape::Image {
        channels: 3,
        height: 16,
        width: 16,
    };
    seeds.extend(seeds::image_seeds(image, 10));
    for draw in 0..120 {
        let (_, seed) = &seeds[draw % seeds.len()];
        let length = rng.random_range(0..12);
        let limits = Limits {
            parameters: Some(300_000),
            ..Limits::default()
        };
        let setting = Setting::default();
        let Some(chain) = Chain::draw(seed, &setting, &limits, length, &mut rng) else {
            continue;
        };
        let network = chain.architecture;
        let weights = Weights::fresh(&network, &mut rng);
        let onnx = export_network(&network, &weights).unwrap().len() as u64;
        let safetensors = weights.to_safetensors().len() as u64;
        let (written, estimate) = (onnx.max(safetensors), file_bytes(&network));
        assert!(written <= estimate, "{network}: {written} > {estimate}");
        if written > 100_000 {
            assert!(
                estimate < written + written / 5,
                "{network}: {estimate} for {written}"
            );
        }
    }
}
