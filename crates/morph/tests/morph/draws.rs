//! Random morphs: always legal, in the direction asked for, and replayable.

use std::collections::{BTreeMap, BTreeSet};

use morph::{
    Architecture, ChannelImportance, Direction, Layer, LayerId, Morph, Morphed, Preservation,
    Shape,
    seeds::{image_seeds, series_seeds, spelling_seeds, table_seeds, text_seeds},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::check::{check_plan, network};

fn seeds() -> Vec<Architecture> {
    let images = [(1, 8, 8), (3, 32, 32), (1, 28, 28), (3, 1, 1), (3, 3, 40)];
    let images = images.into_iter().flat_map(|(channels, height, width)| {
        image_seeds(
            Shape::Image {
                channels,
                height,
                width,
            },
            10,
        )
    });
    let series = Shape::Sequence {
        channels: 6,
        length: 200,
    };
    images
        .chain(table_seeds(13, 3))
        .chain(series_seeds(series, 4))
        .chain(text_seeds(100, 30, 3))
        .chain(spelling_seeds(100, (2, 64), 3))
        .map(|(_, architecture)| architecture)
        .collect()
}

/// Up to so many random morphs after one another, each shown with what it is applied to and its child.
fn chain(
    start: &Architecture,
    length: usize,
    rng: &mut ChaCha8Rng,
    mut see: impl FnMut(&Architecture, Morph, &Morphed),
) {
    let mut architecture = start.clone();
    for _ in 0..length {
        let Some(morph) = Morph::draw(&architecture, Direction::Any, rng) else {
            return;
        };
        let child = morph.apply(&architecture, &ChannelImportance::unknown());
        let child = child.unwrap_or_else(|error| panic!("{morph} of {architecture}: {error}"));
        see(&architecture, morph, &child);
        architecture = child.architecture;
    }
}

/// A number drawn for each channel of each layer that makes its own.
fn any_importance(architecture: &Architecture, rng: &mut ChaCha8Rng) -> ChannelImportance {
    let deciding = architecture
        .ids()
        .filter(|id| architecture.layer(*id).decides_channels());
    let drawn = deciding.map(|id| {
        let channels = 0..architecture.shape(id).channels();
        (id, channels.map(|_| rng.random()).collect::<Vec<f32>>())
    });
    ChannelImportance::new(drawn.collect::<BTreeMap<_, _>>())
}

#[test]
fn which_channels_matter_never_decides_the_shape_of_what_a_pruning_leaves() {
    let mut pruned = 0;
    for (number, seed) in seeds().iter().enumerate() {
        for stream in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
            rng.set_stream(stream);
            let mut draws = ChaCha8Rng::seed_from_u64(stream);
            chain(seed, 8, &mut rng, |parent, morph, child| {
                if matches!(morph, Morph::Prune { .. }) {
                    let told = morph.apply(parent, &any_importance(parent, &mut draws));
                    let told = told.map(|told| told.architecture);
                    assert_eq!(
                        told.as_ref(),
                        Ok(&child.architecture),
                        "{morph} of {parent}"
                    );
                    pruned += 1;
                }
            });
        }
    }
    assert!(pruned > 100, "only {pruned} prunings");
}

#[test]
fn codes_are_not_drawn_into_sums_or_convolutions() {
    for (_, text) in text_seeds(100, 30, 3) {
        for stream in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(stream);
            chain(&text, 8, &mut rng, |_, morph, child| {
                let readers = child.architecture.consumers(LayerId::at(0));
                let layers: Vec<&Layer> = readers
                    .iter()
                    .map(|reader| child.architecture.layer(*reader))
                    .collect();
                assert!(
                    matches!(layers[..], [Layer::Embedding { .. }]),
                    "{morph} makes {}",
                    child.architecture
                );
            });
        }
    }
}

#[test]
fn two_thousand_chains_of_ten_drawn_morphs_are_legal() {
    let seeds = seeds();
    let mut kinds = BTreeSet::new();
    for chain in 0..2_000 {
        let mut rng = ChaCha8Rng::seed_from_u64(chain);
        let mut architecture = seeds[rng.random_range(0..seeds.len())].clone();
        let direction = [Direction::Grow, Direction::Any][rng.random_range(0..2)];
        for _ in 0..10 {
            let morph = Morph::draw(&architecture, direction, &mut rng);
            let morph = morph.unwrap_or_else(|| panic!("{architecture} can be changed"));
            let morphed = morph
                .apply(&architecture, &ChannelImportance::unknown())
                .unwrap_or_else(|error| panic!("{morph} of {architecture}: {error}"));
            check_plan(&architecture, &morphed, morph.preservation());
            assert_eq!(morphed.architecture.outputs(), architecture.outputs());
            assert_eq!(
                network(&morphed.architecture.to_string()),
                morphed.architecture
            );
            kinds.insert(morph.kind());
            architecture = morphed.architecture;
            if architecture.cost().parameters > 50_000_000 {
                break;
            }
        }
    }
    assert_eq!(kinds.len(), 11, "every kind is drawn: {kinds:?}");
}

#[test]
fn a_direction_decides_what_is_drawn() {
    for architecture in seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..20 {
            if let Some(morph) = Morph::draw(&architecture, Direction::Grow, &mut rng) {
                assert_eq!(morph.preservation(), Preservation::Exact);
            }
            if let Some(morph) = Morph::draw(&architecture, Direction::Shrink, &mut rng) {
                assert_eq!(morph.preservation(), Preservation::Approximate);
            }
        }
    }
}

#[test]
fn shrinking_ends() {
    for mut architecture in seeds() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut steps = 0;
        while let Some(morph) = Morph::draw(&architecture, Direction::Shrink, &mut rng) {
            let child = morph.apply(&architecture, &ChannelImportance::unknown());
            architecture = child.expect("a drawn morph is legal").architecture;
            steps += 1;
            assert!(steps < 500, "{architecture} does not end");
        }
        assert!(
            architecture.cost().parameters > 0,
            "the layer that makes the logits stays"
        );
    }
}

#[test]
fn the_same_seed_draws_the_same_morphs() {
    let architecture =
        network("in 3x8x8 | conv 16 k3 | bn | relu | conv 32 k3 | relu | gap | dense 4");
    let draw = |seed: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draws = (0..20).map(|_| Morph::draw(&architecture, Direction::Any, &mut rng));
        draws.collect::<Vec<_>>()
    };
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}

#[test]
fn the_layer_that_makes_the_logits_is_left_alone() {
    let architecture = network("in 4 | dense 8 | relu | dense 8");
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..200 {
        let morph =
            Morph::draw(&architecture, Direction::Any, &mut rng).expect("it can be changed");
        let child = morph
            .apply(&architecture, &ChannelImportance::unknown())
            .unwrap();
        let last = child
            .architecture
            .nodes()
            .iter()
            .rev()
            .nth(1)
            .map(|node| node.layer);
        assert_eq!(last, Some(Layer::Dense { units: 8 }), "{morph}");
    }
}

#[test]
fn a_linear_model_can_grow_but_not_shrink() {
    let architecture = network("in 13 | dense 3");
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let grown = Morph::draw(&architecture, Direction::Grow, &mut rng).expect("it can grow");
    assert_eq!(grown.to_string(), "deepen after 0 (residual k1)");
    assert_eq!(
        Morph::draw(&architecture, Direction::Shrink, &mut rng),
        None
    );
}

#[test]
fn a_morph_survives_json_and_makes_the_same_child() {
    for (number, architecture) in seeds().into_iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
        for _ in 0..10 {
            let morph =
                Morph::draw(&architecture, Direction::Any, &mut rng).expect("it can change");
            let text = serde_json::to_string(&morph).unwrap();
            let read: Morph = serde_json::from_str(&text).unwrap();
            assert_eq!(read, morph);
            let apply = |morph: &Morph| morph.apply(&architecture, &ChannelImportance::unknown());
            assert_eq!(apply(&read).unwrap(), apply(&morph).unwrap());
        }
    }
}

#[test]
fn the_json_of_a_morph_is_what_the_ledger_holds() {
    let read = |text: &str| serde_json::from_str::<Morph>(text).unwrap().to_string();
    assert_eq!(
        read(r#"{"widen":{"layer":3,"extra":16,"seed":9}}"#),
        "widen 3 by 16"
    );
    assert_eq!(
        read(r#"{"deepen":{"after":5,"block":{"residual":{"kernel":3}}}}"#),
        "deepen after 5 (residual k3)"
    );
    assert_eq!(
        read(r#"{"remove_skip":{"layer":5,"input":1}}"#),
        "remove input 1 of 5"
    );
}
