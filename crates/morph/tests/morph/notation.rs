//! Texts of networks: what is printed reads back, and what cannot be read is pointed at.

use std::error::Error;

use morph::{
    Architecture, ArchitectureHash, DropRate, Kernel, Layer, LayerId, Node, Shape, Window,
};
use proptest::prelude::*;

use crate::check::network;

fn check_error(text: &str, complaint: &str) {
    let error = text.parse::<Architecture>().expect_err("the text is wrong");
    assert_eq!(error.to_string(), complaint);
}

#[test]
fn a_text_that_uses_everything_prints_as_it_was_written() {
    for text in [
        "in 3x32x32 | a: conv 16 k3 | bn | b: relu | c: conv 16 k1 (a) | add b c | gelu \
         | dwconv k5 s2 | gap | dropout 0.2 | dense 10",
        "in 3x32x32 | a: maxpool k2 | avgpool k3 s1 (in) | avgpool k2 | maxpool k3 s2 | b: gap \
         | flatten (a) | c: dense 3 | cat c b b | ln | dense 1",
        "in 13 | dense 1",
        "in 7",
        "in 4 | bn | relu | a: dropout 0.125 | b: ln | c: add a b | d: ln (in) | add d c | ln",
    ] {
        assert_eq!(network(text).to_string(), text);
    }
}

#[test]
fn other_names_spaces_and_an_explicit_output_mean_the_same() {
    let expected = network("in 3x8x8 | a: conv 4 k3 | b: conv 4 k1 (in) | add a b | gap | dense 2");
    for text in [
        "in 3x8x8|left:conv 4 k3|right:conv 4 k1(in)|add left right|gap|dense 2",
        "  in 3x8x8 | x1: conv 4 k3 s1 | y: conv 4 k1 (in) | add (x1 y) | gap | dense 2 | out ",
        "input: in 3x8x8 |\n x: conv 4 k3 |\n y: conv 4 k1 (input) |\n add x y | gap | dense 2",
    ] {
        assert_eq!(network(text), expected, "{text}");
    }
}

const START: &str = "a kind such as `conv`, or a name and `:`";
const SHAPE: &str = "a shape such as `13` or `3x32x32`, extents from 1 to 1048576";
const KERNEL: &str =
    "a kernel such as `k3`, `k3 s2` or `k3 d2`: odd up to 11, stride up to 4, dilation up to 64";
const WINDOW: &str = "a window such as `k2` or `k3 s2`: 2 to 8, stride up to the size";
const RATE: &str = "a rate from 0.001 to 0.9 with at most three decimals";

#[test]
fn errors_point_at_the_character() {
    for (text, expected, position, found) in [
        ("", START, 1, "the end"),
        ("in 4 | dense 2 |", START, 17, "the end"),
        (
            "in 4 | dens 2",
            "a kind such as `conv`, `dense` or `relu`",
            8,
            "`dens`",
        ),
        ("in 4 | dense", "a number of units", 13, "the end"),
        ("in 4 | dense 2 3", "`|` or the end", 16, "`3`"),
        ("in 4 | dense -2", "a word, `|`, `:`, `(` or `)`", 14, "`-`"),
        ("in 4 | relu ü", "a word, `|`, `:`, `(` or `)`", 13, "`ü`"),
        (
            "in 4 | add",
            "the name of an earlier statement",
            11,
            "the end",
        ),
        ("in 4 | relu (in", "a name or `)`", 16, "the end"),
        (
            "in 4 | 1a: relu",
            "a name that begins with a letter",
            8,
            "`1a`",
        ),
        ("in 3x | dense 2", SHAPE, 4, "`3x`"),
        ("in 3x3x3x3", SHAPE, 4, "`3x3x3x3`"),
        ("in 0", SHAPE, 4, "`0`"),
        ("in 1048577", SHAPE, 4, "`1048577`"),
        ("in 3x8x8 | conv 4", KERNEL, 18, "the end"),
        ("in 3x8x8 | conv 4 k4", KERNEL, 19, "`k4`"),
        ("in 3x8x8 | conv 4 k999", KERNEL, 19, "`k999`"),
        ("in 3x8x8 | maxpool k9", WINDOW, 20, "`k9`"),
        ("in 3x8x8 | maxpool k2 s3", WINDOW, 20, "`k2`"),
        ("in 4 | dropout 1.0", RATE, 16, "`1.0`"),
        ("in 4 | dropout 0.0001", RATE, 16, "`0.0001`"),
        ("in 4 | dropout 0.", RATE, 16, "`0.`"),
    ] {
        check_error(
            text,
            &format!("expected {expected} at character {position}, found {found}"),
        );
    }
}

#[test]
fn names_that_do_not_exist_or_exist_already_are_pointed_at() {
    check_error(
        "in 4 | relu (b)",
        "`b` at character 14 is not the name of an earlier statement",
    );
    check_error(
        "in 4 | a: add a in",
        "`a` at character 15 is not the name of an earlier statement",
    );
    let taken = "at character 18 is already the name of a statement or of a kind";
    check_error("in 4 | a: relu | a: relu", &format!("`a` {taken}"));
    check_error("in 4 | a: relu | bn: relu", &format!("`bn` {taken}"));
    let kind = "in 4 | a: relu | periodic: dense 8 | relu (periodic) | dense 2";
    check_error(kind, &format!("`periodic` {taken}"));
}

#[test]
fn a_well_formed_text_of_an_impossible_network_says_which_rule_it_breaks() {
    for (text, rule) in [
        (
            "dense 3",
            "layer 0 is `dense`: `in` stands first and only there, `out` last and only there",
        ),
        ("in 4 | conv 3 k3", "layer 1 (`conv`) cannot take 4"),
        (
            "in 4 | a: relu | dense 3 (in)",
            "the result of layer 1 (`relu`) is not used by any later layer",
        ),
    ] {
        check_error(text, "the text is well formed, but no architecture");
        let error = text.parse::<Architecture>().unwrap_err();
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some(rule)
        );
    }
}

#[test]
fn a_network_of_more_than_26_names_reads_back() {
    let branches = (0..40).map(|number| format!("x{number}: dense 2 (in)"));
    let names = (0..40)
        .map(|number| format!(" x{number}"))
        .collect::<String>();
    let statements = branches.collect::<Vec<_>>().join(" | ");
    let architecture = network(&format!("in 3 | {statements} | cat{names} | dense 2"));
    assert!(
        architecture
            .to_string()
            .contains("| z: dense 2 (in) | aa: dense 2 (in) |")
    );
    assert_eq!(network(&architecture.to_string()), architecture);
}

/// All open ends together stay within what a shape may have.
const CHANNELS_MAX: u32 = 4096;

/// Builds a network from random bytes: each tries to add a layer, and illegal ones are left out.
fn built(input: Shape, choices: &[(u8, u8, u8)]) -> Architecture {
    let mut nodes = vec![Node {
        layer: Layer::Input { shape: input },
        inputs: Vec::new(),
    }];
    let mut shapes = vec![input];
    for (kind, number, back) in choices {
        let last = nodes.len() - 1;
        let other = last - usize::from(*back) % nodes.len();
        let layer = chosen(*kind, *number);
        let inputs = match layer {
            Layer::Add | Layer::Multiply | Layer::Concat => vec![other, last],
            // Mostly the last one, so that networks get deep.
            _ if back % 4 != 0 => vec![last],
            _ => vec![other],
        };
        let taken: Vec<Shape> = inputs.iter().map(|input| shapes[*input]).collect();
        let shape = layer.output_shape(&taken);
        if let Some(shape) = shape.filter(|shape| shape.channels() <= CHANNELS_MAX) {
            shapes.push(shape);
            nodes.push(Node {
                layer,
                inputs: inputs.into_iter().map(LayerId::at).collect(),
            });
        }
    }
    finished(nodes, shapes)
}

fn chosen(kind: u8, number: u8) -> Layer {
    let kernel = Kernel::new(number % 4 * 2 + 1, number % 3 + 1).expect("a legal kernel");
    let window = Window::new(number % 3 + 2, number % 2 + 1).expect("a legal window");
    let rate = DropRate::from_thousandths(u16::from(number) + 1).expect("a legal rate");
    let count = u32::from(number) + 1;
    match kind % 22 {
        0 => Layer::Dense { units: count },
        1 | 2 => Layer::Conv {
            channels: count,
            kernel,
        },
        3 => Layer::DepthwiseConv { kernel },
        4 => Layer::BatchNorm,
        5 => Layer::LayerNorm,
        6 => Layer::Relu,
        7 => Layer::Gelu,
        8 => Layer::MaxPool { window },
        9 => Layer::AvgPool { window },
        10 => Layer::GlobalAvgPool,
        11 => Layer::Dropout { rate },
        12 => Layer::Add,
        13 => Layer::Silu,
        14 => Layer::Sigmoid,
        15 => Layer::Multiply,
        16 => Layer::Slice {
            first: u32::from(number) % 2,
            count,
        },
        17 => Layer::Embedding {
            codes: 7,
            width: count % 3 + 1,
        },
        18 => Layer::Position,
        19 => Layer::Attention {
            heads: u32::from(number) % 3 + 1,
        },
        20 => Layer::Periodic {
            frequencies: u32::from(number) % 4 + 1,
        },
        _ => Layer::Concat,
    }
}

/// Brings every open end to a vector, joins them, and ends.
fn finished(mut nodes: Vec<Node>, mut shapes: Vec<Shape>) -> Architecture {
    let is_used = |id: usize, nodes: &[Node]| {
        nodes
            .iter()
            .any(|node| node.inputs.contains(&LayerId::at(id)))
    };
    let mut open: Vec<usize> = (0..nodes.len())
        .filter(|id| !is_used(*id, &nodes))
        .collect();
    for end in &mut open {
        if !matches!(shapes[*end], Shape::Flat { .. }) {
            shapes.push(Shape::Flat {
                features: shapes[*end].channels(),
            });
            let inputs = vec![LayerId::at(*end)];
            nodes.push(Node {
                layer: Layer::GlobalAvgPool,
                inputs,
            });
            *end = nodes.len() - 1;
        }
    }
    if open.len() > 1 {
        let inputs = open.into_iter().map(LayerId::at).collect();
        nodes.push(Node {
            layer: Layer::Concat,
            inputs,
        });
    }
    let inputs = vec![LayerId::at(nodes.len() - 1)];
    nodes.push(Node {
        layer: Layer::Output,
        inputs,
    });
    Architecture::new(nodes).expect("only legal layers were added")
}

prop_compose! {
    fn networks()(
        kind in 0_u8..3,
        extents in (1_u32..9, 1_u32..33, 1_u32..33),
        choices in prop::collection::vec(any::<(u8, u8, u8)>(), 0..40),
    ) -> Architecture {
        let (channels, height, width) = extents;
        let input = match kind {
            0 => Shape::Image { channels, height, width },
            1 => Shape::Sequence { channels, length: width },
            _ => Shape::Flat { features: channels },
        };
        built(input, &choices)
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(architecture in networks()) {
        let text = architecture.to_string();
        prop_assert_eq!(text.parse::<Architecture>(), Ok(architecture), "{}", text);
    }

    #[test]
    fn the_hash_reads_back_and_does_not_see_the_sides_of_additions(architecture in networks()) {
        let hash = architecture.canonical_hash();
        prop_assert_eq!(hash.to_string().parse::<ArchitectureHash>(), Ok(hash));
        let mut nodes = architecture.nodes().to_vec();
        let sums = nodes.iter_mut().filter(|node| node.layer == Layer::Add);
        sums.for_each(|node| node.inputs.reverse());
        prop_assert_eq!(Architecture::new(nodes).unwrap().canonical_hash(), hash);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[ a-z0-9|:()x.\\-é]{0,80}") {
        let _ = text.parse::<Architecture>();
    }
}
