//! The first networks of an exploration: legal for every shape, small, and different.

use std::collections::BTreeSet;

use morph::{
    Architecture, Layer, LayerId, Shape,
    seeds::{PARAMETERS_MAX, image_seeds, series_seeds, spelling_seeds, table_seeds, text_seeds},
};

#[test]
fn tables_of_any_width_get_seeds_with_the_linear_one_first() {
    for features in [1, 2, 13, 500, 10_000, Shape::EXTENT_MAX] {
        let seeds = table_seeds(features, 3);
        assert_eq!(seeds[0].1.to_string(), format!("in {features} | dense 3"));
        check_seeds(&seeds);
        let expected = if features <= 500 { 5 } else { 3 };
        assert!(seeds.len() >= expected, "{features}: {}", seeds.len());
    }
}

#[test]
fn tables_of_any_width_get_two_seeds_with_hidden_layers_or_more() {
    for features in [1, 137, 2_000, 4_680, 4_700, 20_000, 54_000, 100_000] {
        for outputs in [1, 3, 1_000] {
            let seeds = table_seeds(features, outputs);
            let hidden = seeds.iter().filter(|(_, seed)| seed.nodes().len() > 3);
            assert!(hidden.count() >= 2, "{features} {outputs}");
            check_seeds(&seeds);
        }
    }
}

#[test]
fn the_first_layer_of_a_seed_is_halved_until_it_is_small_enough_and_no_further() {
    let mlp = |features| table_seeds(features, 3)[1].1.to_string();
    for (features, width) in [(12, 64), (4_600, 64), (4_700, 32), (20_000, 8), (54_000, 8)] {
        let expected = format!("in {features} | dense {width} | relu | dense 3");
        assert_eq!(mlp(features), expected);
    }
    let normed = |features| table_seeds(features, 3)[2].1.to_string();
    let body = "| dense 128 | bn | relu | dense 64 | bn | relu | dense 3";
    assert_eq!(normed(2_000), format!("in 2000 {body}"));
    let body = "| dense 32 | bn | relu | dense 32 | bn | relu | dense 3";
    assert_eq!(normed(5_000), format!("in 5000 {body}"));
}

#[test]
fn images_of_any_extent_get_seeds() {
    for height in [1, 2, 3, 5, 7, 8, 12, 13, 28, 32, 64, 224] {
        for width in [1, 2, 3, 6, 8, 17, 28, 33, 65, 500] {
            for channels in [1, 3] {
                let seeds = image_seeds(
                    Shape::Image {
                        channels,
                        height,
                        width,
                    },
                    10,
                );
                assert!(seeds.len() >= 4, "{channels}x{height}x{width}");
                check_seeds(&seeds);
            }
        }
    }
}

#[test]
fn series_of_any_length_get_seeds() {
    for length in [
        1, 2, 3, 7, 24, 40, 100, 150, 251, 500, 1_000, 5_000, 100_000,
    ] {
        for channels in [1, 2, 6, 13, 100] {
            let input = Shape::Sequence { channels, length };
            let seeds = series_seeds(input, 4);
            assert!(seeds.len() >= 4, "{channels}x{length}: {}", seeds.len());
            check_seeds(&seeds);
        }
    }
}

#[test]
fn texts_of_any_length_get_seeds_with_the_mean_of_words_first() {
    for codes in [2, 100, 8_002] {
        for length in [1, 4, 30, 256] {
            let seeds = text_seeds(codes, length, 3);
            assert_eq!(seeds[0].0, "mean of words");
            assert!(seeds.len() >= 4, "{codes} {length}: {}", seeds.len());
            check_seeds(&seeds);
        }
    }
}

#[test]
fn texts_of_characters_get_seeds_with_a_convolution_first() {
    for (codes, channels) in [(2, 1), (6, 1), (100, 2), (10_800, 2)] {
        for length in [16, 31, 32, 57, 256, 1_024] {
            let seeds = spelling_seeds(codes, (channels, length), 3);
            assert!(seeds[0].0.contains("conv net"), "{}", seeds[0].0);
            let wanted = if length < 32 || codes > 10_000 { 3 } else { 5 };
            assert!(seeds.len() >= wanted, "{codes} {length}: {}", seeds.len());
            check_seeds(&seeds);
        }
    }
}

fn check_seeds(seeds: &[(&str, Architecture)]) {
    let names: BTreeSet<_> = seeds.iter().map(|(name, _)| name).collect();
    let hashes: BTreeSet<_> = seeds
        .iter()
        .map(|(_, seed)| seed.canonical_hash())
        .collect();
    assert_eq!((names.len(), hashes.len()), (seeds.len(), seeds.len()));
    for (name, seed) in &seeds[1..] {
        // Of the widest tables even the narrowest first layer is larger.
        let is_narrowest = *seed.layer(LayerId::at(1)) == Layer::Dense { units: 8 };
        let is_small = seed.cost().parameters <= PARAMETERS_MAX;
        assert!(is_small || is_narrowest, "{name}: {seed}");
    }
}

#[test]
fn two_image_seeds_or_more_take_at_most_three_million_multiply_adds() {
    for shape in [
        "1x28x28", "3x32x32", "3x8x8", "3x48x48", "1x64x64", "3x96x96",
    ] {
        let input: Architecture = format!("in {shape} | gap").parse().unwrap();
        let seeds = image_seeds(input.input_shape(), 10);
        let cheap = seeds
            .iter()
            .filter(|(_, seed)| seed.cost().flops <= 6_000_000)
            .count();
        assert!(cheap >= 2, "{shape}: {cheap}");
    }
}

#[test]
fn there_is_a_residual_and_a_depthwise_seed() {
    let seeds = image_seeds(
        Shape::Image {
            channels: 3,
            height: 32,
            width: 32,
        },
        10,
    );
    let have = |wanted: fn(&Layer) -> bool| {
        seeds
            .iter()
            .any(|(_, seed)| seed.nodes().iter().any(|node| wanted(&node.layer)))
    };
    assert!(have(|layer| *layer == Layer::Add));
    assert!(have(|layer| matches!(layer, Layer::DepthwiseConv { .. })));
    assert!(have(|layer| *layer == Layer::Flatten));
}

#[test]
fn the_seeds_of_small_digits_are_these() {
    let seeds = image_seeds(
        Shape::Image {
            channels: 1,
            height: 8,
            width: 8,
        },
        10,
    );
    let texts: Vec<String> = seeds.iter().map(|(_, seed)| seed.to_string()).collect();
    let expected = [
        "in 1x8x8 | conv 16 k3 | bn | relu | conv 32 k3 | bn | relu | maxpool k2 | conv 64 k3 \
         | bn | relu | gap | dropout 0.1 | dense 10",
        "in 1x8x8 | conv 8 k3 | bn | relu | conv 16 k3 | bn | relu | maxpool k2 | conv 32 k3 \
         | bn | relu | gap | dense 10",
        "in 1x8x8 | conv 16 k3 | bn | a: relu | conv 16 k3 | bn | relu | conv 16 k3 | b: bn \
         | add a b | relu | conv 32 k3 s2 | bn | c: relu | conv 32 k3 | bn | relu | conv 32 k3 \
         | d: bn | add c d | relu | gap | dense 10",
        "in 1x8x8 | conv 16 k3 | bn | relu | dwconv k3 | bn | relu | conv 32 k1 | bn | relu \
         | dwconv k3 s2 | bn | relu | conv 64 k1 | bn | relu | dwconv k3 | bn | relu \
         | conv 128 k1 | bn | relu | gap | dropout 0.1 | dense 10",
        "in 1x8x8 | conv 8 k3 | bn | relu | conv 16 k3 | bn | relu | maxpool k2 | flatten \
         | dense 64 | bn | relu | dropout 0.2 | dense 10",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn impossible_shapes_get_no_seeds() {
    assert!(table_seeds(0, 3).is_empty());
    assert!(table_seeds(3, 0).is_empty());
    assert!(table_seeds(Shape::EXTENT_MAX + 1, 3).is_empty());
    assert!(image_seeds(Shape::Flat { features: 3 }, 10).is_empty());
    assert!(series_seeds(Shape::Flat { features: 3 }, 10).is_empty());
    assert!(text_seeds(0, 8, 3).is_empty());
    assert!(text_seeds(8, 0, 3).is_empty());
    assert!(spelling_seeds(0, (1, 16), 3).is_empty());
    assert!(spelling_seeds(8, (1, 0), 3).is_empty());
    assert!(
        image_seeds(
            Shape::Image {
                channels: 3,
                height: 0,
                width: 9
            },
            10
        )
        .is_empty()
    );
}
