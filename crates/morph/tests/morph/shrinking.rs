//! Approximate morphs: what is left, and which channels stay.

use std::collections::BTreeMap;

use morph::{ChannelImportance, ChannelSource, LayerId, LayerPlan, Morph, Preservation, Shape};

use crate::check::{check, check_plan, check_refused, network};

const RESIDUAL: &str = "in 3x8x8 | a: conv 8 k3 | b: relu | c: conv 8 k3 | d: bn | e: add b d \
                        | f: relu | g: gap | h: dense 10";

#[test]
fn a_layer_that_keeps_the_shape_can_go() {
    for (layer, left) in [("c", "bn"), ("d", "conv 8 k3")] {
        let child =
            format!("in 3x8x8 | conv 8 k3 | a: relu | b: {left} | add a b | relu | gap | dense 10");
        check(RESIDUAL, &format!("remove {layer}"), &child);
    }
}

#[test]
fn a_dense_layer_as_wide_as_its_input_can_go() {
    check(
        "in 4 | dense 6 | relu | a: dense 6 | relu | dense 2",
        "remove a",
        "in 4 | dense 6 | relu | relu | dense 2",
    );
}

#[test]
fn a_layer_that_changes_the_shape_stays() {
    check_refused(
        RESIDUAL,
        "remove a",
        "cannot remove layer 1 (`conv`): it makes 8x8x8 of 3x8x8",
    );
    check_refused(
        RESIDUAL,
        "remove g",
        "cannot remove layer 7 (`gap`): it makes 8 of 8x8x8",
    );
}

#[test]
fn the_only_layer_of_a_branch_stays() {
    check_refused(
        "in 3x8x8 | a: relu | b: conv 3 k3 | add a b | gap | dense 2",
        "remove b",
        "cannot remove layer 2: layer 3 would read the same layer twice",
    );
}

#[test]
fn an_addition_and_the_ends_are_not_removed_as_layers() {
    let needed = "it must be a layer with one input; to end an addition, remove one of its inputs";
    check_refused(
        RESIDUAL,
        "remove e",
        &format!("cannot remove layer 5, a `add`: {needed}"),
    );
    check_refused(
        RESIDUAL,
        "remove in",
        &format!("cannot remove layer 0, a `in`: {needed}"),
    );
    check_refused(
        RESIDUAL,
        "remove out",
        "cannot remove layer 9, a `out`: it must be any layer but the output",
    );
}

#[test]
fn dropping_the_residual_branch_leaves_the_way_past_it() {
    check(
        RESIDUAL,
        "drop e 1",
        "in 3x8x8 | conv 8 k3 | relu | relu | gap | dense 10",
    );
}

#[test]
fn dropping_the_way_past_it_leaves_the_branch() {
    check(
        RESIDUAL,
        "drop e 0",
        "in 3x8x8 | conv 8 k3 | relu | conv 8 k3 | bn | relu | gap | dense 10",
    );
}

#[test]
fn dropping_one_of_three_concatenated_inputs_moves_the_rest_up() {
    let morphed = check(
        "in 1x4x4 | a: conv 2 k1 | b: conv 3 k1 (in) | c: conv 4 k1 (in) | d: cat a b c | bn \
         | gap | dense 2",
        "drop d 1",
        "in 1x4x4 | a: conv 2 k1 | b: conv 4 k1 (in) | cat a b | bn | gap | dense 2",
    );
    let LayerPlan::Inherit { outputs, .. } = &morphed.weights.layers[4] else {
        panic!("the norm inherits");
    };
    assert_eq!(outputs, &[0, 1, 5, 6, 7, 8]);
}

#[test]
fn dropping_one_of_two_concatenated_inputs_ends_the_concatenation() {
    check(
        "in 1x4x4 | a: conv 2 k1 | b: conv 3 k1 (in) | d: cat a b | flatten | dense 2",
        "drop d 0",
        "in 1x4x4 | conv 3 k1 | flatten | dense 2",
    );
}

#[test]
fn a_concatenation_inside_an_addition_shrinks_the_other_side_too() {
    let morphed = check(
        "in 1x4x4 | a: conv 2 k1 | b: conv 3 k1 (in) | c: cat a b | d: conv 5 k1 (in) | add c d \
         | gap | dense 2",
        "drop c 0",
        "in 1x4x4 | a: conv 3 k1 | b: conv 3 k1 (in) | add a b | gap | dense 2",
    );
    let LayerPlan::Inherit { outputs, .. } = &morphed.weights.layers[2] else {
        panic!("the convolution inherits");
    };
    assert_eq!(outputs, &[2, 3, 4]);
}

#[test]
fn an_input_that_does_not_exist_is_named() {
    check_refused(
        RESIDUAL,
        "drop e 2",
        "layer 5 has 2 inputs, counted from 0; input 2 does not exist",
    );
    check_refused(
        RESIDUAL,
        "drop f 0",
        "cannot drop an input of layer 6, a `relu`: it must be `add` or `cat`",
    );
}

#[test]
fn a_concatenation_that_makes_the_logits_keeps_its_inputs() {
    check_refused(
        "in 4 | a: dense 2 | b: dense 3 (in) | c: cat a b",
        "drop c 0",
        "cannot change the channels of layer 4: they are the network's output",
    );
}

#[test]
fn pruning_without_knowledge_drops_the_last_channels_on_both_sides_of_an_addition() {
    let morphed = check(
        RESIDUAL,
        "prune c 3",
        "in 3x8x8 | conv 5 k3 | a: relu | conv 5 k3 | b: bn | add a b | relu | gap | dense 10",
    );
    let LayerPlan::Inherit { outputs, .. } = &morphed.weights.layers[1] else {
        panic!("the convolution inherits");
    };
    assert_eq!(outputs, &[0, 1, 2, 3, 4]);
}

#[test]
fn pruning_keeps_the_channels_that_matter_to_all_tied_layers() {
    let parent = network("in 4 | dense 4 | relu | dense 2");
    let importance = BTreeMap::from([(LayerId::at(1), vec![0.5, 3.0, 0.1, 2.0])]);
    check_kept(&parent, 1, importance, &[1, 3]);

    let parent = network(RESIDUAL);
    let importance = BTreeMap::from([
        (LayerId::at(1), vec![9.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (LayerId::at(3), vec![0.0, 5.0, 5.0, 0.0, 1.0, 0.0, 0.0, 0.5]),
    ]);
    check_kept(&parent, 3, importance, &[0, 1, 2, 4, 7]);
}

fn check_kept(
    parent: &morph::Architecture,
    index: usize,
    importance: BTreeMap<LayerId, Vec<f32>>,
    kept: &[u32],
) {
    let layer = LayerId::at(index);
    let remove = parent.shape(layer).channels() - kept.len() as u32;
    let importance = ChannelImportance::new(importance);
    let morphed = Morph::Prune { layer, remove }
        .apply(parent, &importance)
        .expect("it is legal");
    check_plan(parent, &morphed, Preservation::Approximate);
    let LayerPlan::Inherit { outputs, .. } = &morphed.weights.layers[index] else {
        panic!("the layer inherits");
    };
    assert_eq!(outputs, kept);
}

#[test]
fn importances_of_another_width_are_refused() {
    let parent = network("in 4 | dense 4 | relu | dense 2");
    let importance = ChannelImportance::new(BTreeMap::from([(LayerId::at(1), vec![1.0; 3])]));
    let morph = Morph::Prune {
        layer: LayerId::at(1),
        remove: 1,
    };
    assert_eq!(
        morph.apply(&parent, &importance).unwrap_err().to_string(),
        "layer 1 has 4 channels, but 3 importances are given"
    );
}

#[test]
fn channels_that_may_be_those_of_one_or_another_input_of_a_concatenation_are_not_pruned() {
    let parent = "in 1x4x4 | a: conv 4 k1 | b: conv 4 k1 (in) | c: cat a b | d: conv 8 k1 \
                  | add c d | gap | dense 2";
    check_refused(
        parent,
        "prune d 2",
        "layer 3 (`cat`) is tied to others so that its channels cannot change alike",
    );
    // From the other side it is plain whose channels go.
    check(
        parent,
        "prune b 2",
        "in 1x4x4 | a: conv 4 k1 | b: conv 2 k1 (in) | c: cat a b | d: conv 6 k1 | add c d | gap \
         | dense 2",
    );
}

#[test]
fn pruning_before_a_layer_norm_is_allowed() {
    check(
        "in 4 | a: dense 8 | ln | dense 2",
        "prune a 6",
        "in 4 | dense 2 | ln | dense 2",
    );
}

#[test]
fn pruning_everything_or_nothing_is_refused() {
    for remove in [0, 8, 9] {
        let complaint = format!(
            "cannot prune layer 1 with 8 channels by {remove}: from 1 to {} must be left, and \
             the change must be at least 1",
            Shape::EXTENT_MAX
        );
        check_refused(RESIDUAL, &format!("prune a {remove}"), &complaint);
    }
}

#[test]
fn a_kernel_shrinks_by_two_pixels_down_to_one() {
    check(
        "in 3x8x8 | a: conv 4 k5 s2 | gap | dense 2",
        "shrink a",
        "in 3x8x8 | conv 4 k3 s2 | gap | dense 2",
    );
    check_refused(
        "in 3x8x8 | a: conv 4 k1 | gap | dense 2",
        "shrink a",
        "the kernel of layer 1 cannot have the size 0: sizes are odd, from 1 to 11",
    );
}

#[test]
fn a_layer_that_does_not_exist_is_named() {
    let parent = network("in 4 | dense 2");
    let morph = Morph::GrowKernel {
        layer: LayerId::at(3),
    };
    assert_eq!(
        morph
            .apply(&parent, &ChannelImportance::unknown())
            .unwrap_err()
            .to_string(),
        "layer 3 does not exist: the architecture has 3 layers, counted from 0"
    );
}

#[test]
fn the_last_waves_go_first_and_with_all_of_them_their_layer() {
    let parent = "in 2 | w: periodic 2 | dense 3 | relu | dense 2";
    let fewer = check(
        parent,
        "calm w 1",
        "in 2 | periodic 1 | dense 3 | relu | dense 2",
    );
    let LayerPlan::Inherit { inputs, .. } = &fewer.weights.layers[2] else {
        panic!("the dense layer inherits");
    };
    let channel = |channel: u32| ChannelSource::Parent {
        channel,
        share: 1.0,
    };
    assert_eq!(*inputs, [0, 1, 3, 5, 6, 8].map(channel));
    let none = check(parent, "calm w 2", "in 2 | dense 3 | relu | dense 2");
    let LayerPlan::Inherit { inputs, .. } = &none.weights.layers[1] else {
        panic!("the dense layer inherits");
    };
    assert_eq!(*inputs, [0, 5].map(channel));
    check_refused(
        parent,
        "calm w 3",
        "cannot change the 2 frequencies of layer 1 by 3: the change must be at least 1, no more can go than there \
         are, and a dense layer must read the waves",
    );
}
