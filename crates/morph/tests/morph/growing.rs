//! Exact morphs: what the child looks like, and where its weights come from.

use morph::{ChannelSource, LayerId, LayerPlan, Shape};

use crate::check::{apply, check, check_refused, layer};

const PLAIN: &str = "in 3x8x8 | a: conv 16 k3 | b: bn | c: relu | d: conv 32 k3 s2 | e: relu \
                     | f: gap | g: dense 10";

#[test]
fn an_identity_block_stands_behind_a_relu() {
    check(
        PLAIN,
        "deepen c identity k5",
        "in 3x8x8 | conv 16 k3 | bn | relu | conv 16 k5 | relu | conv 32 k3 s2 | relu | gap \
         | dense 10",
    );
}

#[test]
fn an_identity_block_inherits_nothing_but_the_identity() {
    let plans = apply(PLAIN, "deepen c identity k5").unwrap().weights.layers;
    assert_eq!(plans[4..6], [LayerPlan::Identity, LayerPlan::Weightless]);
}

#[test]
fn an_identity_block_of_a_vector_is_dense() {
    check(
        "in 4 | dense 6 | a: relu | dense 2",
        "deepen a identity k3",
        "in 4 | dense 6 | relu | dense 6 | relu | dense 2",
    );
}

#[test]
fn an_identity_block_behind_anything_but_a_relu_is_refused() {
    check_refused(
        PLAIN,
        "deepen b identity k3",
        "cannot deepen after layer 2, a `bn`: it must be a `relu`",
    );
}

#[test]
fn a_residual_block_behind_a_relu_ends_with_a_relu() {
    check(
        PLAIN,
        "deepen c residual k3",
        "in 3x8x8 | conv 16 k3 | bn | a: relu | conv 16 k3 | b: bn | add a b | relu \
         | conv 32 k3 s2 | relu | gap | dense 10",
    );
}

#[test]
fn a_residual_block_behind_a_norm_ends_with_its_sum() {
    let morphed = check(
        PLAIN,
        "deepen b residual k3",
        "in 3x8x8 | conv 16 k3 | a: bn | conv 16 k3 | b: bn | add a b | relu | conv 32 k3 s2 \
         | relu | gap | dense 10",
    );
    assert_eq!(
        morphed.weights.layers[3..5],
        [LayerPlan::Fresh, LayerPlan::ZeroGain]
    );
}

#[test]
fn a_residual_block_of_a_vector_ends_in_zeros() {
    let morphed = check(
        PLAIN,
        "deepen f residual k1",
        "in 3x8x8 | conv 16 k3 | bn | relu | conv 32 k3 s2 | relu | a: gap | dense 32 | relu \
         | b: dense 32 | add a b | dense 10",
    );
    assert_eq!(morphed.weights.layers[7], LayerPlan::Fresh);
    assert_eq!(morphed.weights.layers[9], LayerPlan::Zero);
}

#[test]
fn all_readers_of_a_deepened_layer_read_the_block() {
    check(
        "in 2x4x4 | a: relu | b: conv 2 k1 | add a b | gap | dense 2",
        "deepen a identity k1",
        "in 2x4x4 | relu | conv 2 k1 | a: relu | b: conv 2 k1 | add a b | gap | dense 2",
    );
}

#[test]
fn a_kernel_of_even_size_is_refused() {
    check_refused(
        PLAIN,
        "deepen c residual k4",
        "the kernel of layer 3 cannot have the size 4: sizes are odd, from 1 to 11",
    );
}

#[test]
fn the_output_cannot_be_deepened() {
    check_refused(
        "in 4 | dense 2",
        "deepen out residual k1",
        "cannot deepen after layer 2, a `out`: it must be any layer but the output",
    );
}

#[test]
fn widening_before_a_concat_leaves_the_other_branch_alone() {
    let morphed = check(
        "in 3x32x32 | a: conv 16 k3 | b: conv 8 k1 (in) | cat a b | gap | dense 10",
        "widen a 16",
        "in 3x32x32 | a: conv 32 k3 | b: conv 8 k1 (in) | cat a b | gap | dense 10",
    );
    let LayerPlan::Inherit { inputs, .. } = &morphed.weights.layers[5] else {
        panic!("the dense layer inherits");
    };
    // The other branch's channels moved from 16.. to 32.., and keep all of their weight.
    for (place, source) in inputs[32..].iter().enumerate() {
        let channel = 16 + place as u32;
        assert_eq!(
            *source,
            ChannelSource::Parent {
                channel,
                share: 1.0
            }
        );
    }
}

#[test]
fn widening_passes_norms_pools_and_depthwise_layers() {
    check(
        "in 3x8x8 | a: conv 4 k3 | bn | gelu | maxpool k2 | dwconv k3 | bn | dropout 0.1 \
         | avgpool k2 | gap | dense 10",
        "widen a 3",
        "in 3x8x8 | conv 7 k3 | bn | gelu | maxpool k2 | dwconv k3 | bn | dropout 0.1 \
         | avgpool k2 | gap | dense 10",
    );
}

#[test]
fn widening_through_a_flattening_repeats_the_channels_at_every_position() {
    let morphed = check(
        "in 1x2x2 | a: conv 3 k1 | flatten | dense 2",
        "widen a 1",
        "in 1x2x2 | conv 4 k1 | flatten | dense 2",
    );
    let LayerPlan::Inherit { outputs, .. } = &morphed.weights.layers[1] else {
        panic!("the convolution inherits");
    };
    let LayerPlan::Inherit { inputs, .. } = &morphed.weights.layers[3] else {
        panic!("the dense layer inherits");
    };
    let channel = |source: &ChannelSource| match source {
        ChannelSource::Parent { channel, .. } => *channel,
        ChannelSource::Zero => panic!("a widened layer has no silent channels"),
    };
    let heard: Vec<u32> = inputs.iter().map(channel).collect();
    let expected: Vec<u32> = (0..4)
        .flat_map(|at| outputs.iter().map(move |output| at * 3 + output))
        .collect();
    assert_eq!(heard, expected);
}

#[test]
fn copies_are_heard_with_unequal_shares() {
    let morphed = apply("in 4 | a: dense 2 | relu | dense 1", "widen a 2").unwrap();
    let LayerPlan::Inherit { inputs, .. } = &morphed.weights.layers[3] else {
        panic!("the dense layer inherits");
    };
    let shares: Vec<f64> = inputs
        .iter()
        .map(|source| match source {
            ChannelSource::Parent { share, .. } => *share,
            ChannelSource::Zero => 0.0,
        })
        .collect();
    for (index, share) in shares.iter().enumerate() {
        let others = shares[..index].iter();
        assert!(
            others.clone().all(|other| (other - share).abs() > 1e-6),
            "{shares:?}"
        );
    }
}

const RESIDUAL: &str = "in 3x8x8 | a: conv 8 k3 | b: relu | conv 8 k3 | c: bn | d: add b c | relu \
                        | e: conv 16 k3 | f: bn | gap | dense 10";

#[test]
fn widening_one_side_of_an_addition_widens_the_other_alike() {
    let morphed = check(
        RESIDUAL,
        "widen a 4",
        "in 3x8x8 | conv 12 k3 | a: relu | conv 12 k3 | b: bn | add a b | relu | conv 16 k3 | bn \
         | gap | dense 10",
    );
    let outputs = |index: usize| match &morphed.weights.layers[index] {
        LayerPlan::Inherit { outputs, .. } => outputs.clone(),
        _ => panic!("layer {index} inherits"),
    };
    assert_eq!(outputs(1), outputs(3));
    assert_eq!(outputs(1), outputs(4));
}

#[test]
fn widening_follows_an_addition_into_a_concatenation() {
    check(
        "in 2x4x4 | a: conv 3 k1 | b: conv 4 k1 (in) | c: cat a b | d: conv 7 k1 (in) | add c d \
         | gap | dense 2",
        "widen b 2",
        "in 2x4x4 | a: conv 3 k1 | b: conv 6 k1 (in) | c: cat a b | d: conv 9 k1 (in) | add c d \
         | gap | dense 2",
    );
    check(
        "in 2x4x4 | a: conv 3 k1 | b: conv 3 k1 (in) | c: cat a b | d: conv 3 k1 (in) \
         | e: conv 3 k1 (in) | f: cat d e | add c f | gap | dense 2",
        "widen d 2",
        "in 2x4x4 | a: conv 5 k1 | b: conv 3 k1 (in) | c: cat a b | d: conv 5 k1 (in) \
         | e: conv 3 k1 (in) | f: cat d e | add c f | gap | dense 2",
    );
}

#[test]
fn layers_tied_at_different_channels_cannot_be_widened() {
    check_refused(
        "in 2x4x4 | a: conv 3 k1 | b: conv 4 k1 (in) | c: cat a b | d: cat b a | add c d | gap \
         | dense 2",
        "widen a 1",
        "layer 4 (`cat`) is tied to others so that its channels cannot change alike",
    );
}

#[test]
fn a_layer_tied_to_the_input_cannot_be_widened() {
    check_refused(
        "in 8x4x4 | a: conv 8 k3 | add in a | gap | dense 2",
        "widen a 8",
        "cannot change the channels of layer 0: they are the network's input",
    );
}

#[test]
fn the_layer_that_makes_the_logits_cannot_be_widened() {
    check_refused(
        PLAIN,
        "widen g 1",
        "cannot change the channels of layer 8: they are the network's output",
    );
}

#[test]
fn channels_in_front_of_a_layer_norm_cannot_be_copied() {
    check_refused(
        "in 4 | a: dense 8 | ln | dense 2",
        "widen a 8",
        "cannot copy channels in front of the layer norm 2: it would change its result",
    );
}

#[test]
fn a_norm_cannot_be_widened() {
    check_refused(
        PLAIN,
        "widen b 1",
        "cannot widen layer 2, a `bn`: it must be `dense` or `conv`",
    );
}

#[test]
fn widening_by_nothing_or_beyond_the_limit_is_refused() {
    let complaint = |extra: u32| {
        format!(
            "cannot widen layer 1 with 16 channels by {extra}: from 1 to {} must be left, and \
             the change must be at least 1",
            Shape::EXTENT_MAX
        )
    };
    check_refused(PLAIN, "widen a 0", &complaint(0));
    let extra = Shape::EXTENT_MAX - 15;
    check_refused(PLAIN, &format!("widen a {extra}"), &complaint(extra));
    check_refused(PLAIN, "widen a 4294967295", &complaint(u32::MAX));
}

#[test]
fn widening_into_a_flattening_beyond_the_limit_is_refused() {
    check_refused(
        "in 3x256x256 | a: conv 16 k1 | flatten | dense 2",
        "widen a 1",
        "the changed network is no architecture",
    );
}

#[test]
fn an_added_skip_is_projected_with_zeros() {
    let morphed = check(
        PLAIN,
        "add a b",
        "in 3x8x8 | a: conv 16 k3 | b: bn | c: conv 16 k1 (a) | add b c | relu | conv 32 k3 s2 \
         | relu | gap | dense 10",
    );
    assert_eq!(morphed.weights.layers[3], LayerPlan::Zero);
}

#[test]
fn an_added_skip_over_a_stride_has_that_stride() {
    check(
        PLAIN,
        "add in d",
        "in 3x8x8 | conv 16 k3 | bn | relu | a: conv 32 k3 s2 | b: conv 32 k1 s2 (in) | add a b \
         | relu | gap | dense 10",
    );
}

#[test]
fn an_added_skip_between_vectors_is_dense() {
    check(
        "in 4 | dense 6 | a: relu | dense 5 | b: relu | dense 2",
        "add a b",
        "in 4 | dense 6 | a: relu | dense 5 | b: relu | c: dense 5 (a) | add b c | dense 2",
    );
}

#[test]
fn an_added_skip_from_an_image_to_a_vector_is_refused() {
    check_refused(
        PLAIN,
        "add c g",
        "cannot lead a skip from layer 3 (16x8x8) to layer 7 (10): no stride up to 4 and no \
         number of channels joins these shapes",
    );
}

#[test]
fn a_skip_backwards_is_refused() {
    let complaint = "cannot lead a skip from layer 4 to layer 1: it must lead to a later layer";
    check_refused(PLAIN, "add d a", complaint);
    check_refused(PLAIN, "concat d a", complaint);
}

#[test]
fn a_skip_to_the_output_is_refused() {
    let text = "in 4 | a: dense 2";
    assert_eq!(layer(text, "out"), LayerId::at(2));
    check_refused(
        text,
        "add a out",
        "cannot lead a skip to layer 2, a `out`: it must be any layer but the output",
    );
}

#[test]
fn concatenated_channels_are_silent_at_first() {
    let morphed = check(
        PLAIN,
        "concat in d",
        "in 3x8x8 | conv 16 k3 | bn | a: relu | cat a in | conv 32 k3 s2 | relu | gap | dense 10",
    );
    let LayerPlan::Inherit { inputs, .. } = &morphed.weights.layers[5] else {
        panic!("the convolution inherits");
    };
    assert_eq!(inputs[16..], [ChannelSource::Zero; 3]);
}

#[test]
fn a_second_concatenated_skip_joins_the_first() {
    check(
        "in 3x8x8 | a: conv 4 k3 | b: conv 5 k3 | c: conv 6 k3 | cat c a | d: conv 7 k3 | gap \
         | dense 2",
        "concat b d",
        "in 3x8x8 | a: conv 4 k3 | b: conv 5 k3 | c: conv 6 k3 | cat c a b | conv 7 k3 | gap \
         | dense 2",
    );
}

#[test]
fn a_concatenation_that_others_read_stays_as_it_is() {
    check(
        "in 3x8x8 | a: conv 4 k3 | b: conv 5 k3 | c: conv 6 k3 | e: cat c a | d: conv 7 k3 \
         | cat d e | gap | dense 2",
        "concat b d",
        "in 3x8x8 | a: conv 4 k3 | b: conv 5 k3 | c: conv 6 k3 | d: cat c a | cat d b \
         | e: conv 7 k3 | cat e d | gap | dense 2",
    );
}

#[test]
fn a_concatenated_skip_that_is_there_already_is_refused() {
    check_refused(PLAIN, "concat c d", "layer 4 already reads layer 3");
}

#[test]
fn a_concatenated_skip_from_other_positions_is_refused() {
    check_refused(
        "in 3x8x8 | a: conv 4 k3 | relu | maxpool k2 | b: conv 4 k3 | gap | dense 2",
        "concat a b",
        "cannot lead a skip from layer 1 (4x8x8) to layer 4 (4x4x4): no stride up to 4 and no \
         number of channels joins these shapes",
    );
}

#[test]
fn a_kernel_grows_by_two_pixels() {
    check(
        PLAIN,
        "grow d",
        "in 3x8x8 | conv 16 k3 | bn | relu | conv 32 k5 s2 | relu | gap | dense 10",
    );
    check(
        "in 3x8x8 | a: dwconv k1 s2 | gap | dense 2",
        "grow a",
        "in 3x8x8 | dwconv k3 s2 | gap | dense 2",
    );
}

#[test]
fn a_kernel_at_the_limit_does_not_grow() {
    check_refused(
        "in 3x8x8 | a: conv 4 k11 | gap | dense 2",
        "grow a",
        "the kernel of layer 1 cannot have the size 13: sizes are odd, from 1 to 11",
    );
}

#[test]
fn a_dense_layer_has_no_kernel() {
    check_refused(
        PLAIN,
        "grow g",
        "cannot grow the kernel of layer 7, a `dense`: it must be `conv` or `dwconv`",
    );
}

#[test]
fn the_first_waves_come_behind_the_input_and_say_nothing_yet() {
    let morphed = check(
        "in 2 | dense 3 | relu | dense 2",
        "waves in 2",
        "in 2 | periodic 2 | dense 3 | relu | dense 2",
    );
    assert_eq!(morphed.weights.layers[1], LayerPlan::Fresh);
    let LayerPlan::Inherit { inputs, .. } = &morphed.weights.layers[2] else {
        panic!("the dense layer inherits");
    };
    let heard: Vec<Option<u32>> = inputs.iter().map(channel_of).collect();
    let silent = [None; 4];
    let expected = [&[Some(0)][..], &silent, &[Some(1)], &silent].concat();
    assert_eq!(heard, expected);
}

#[test]
fn more_waves_leave_the_others_in_their_places() {
    let morphed = check(
        "in 2 | w: periodic 1 | dense 3 | relu | dense 2",
        "waves w 1",
        "in 2 | periodic 2 | dense 3 | relu | dense 2",
    );
    let parent = LayerId::at(1);
    assert_eq!(morphed.weights.layers[1], LayerPlan::Frequencies { parent });
    let LayerPlan::Inherit { inputs, .. } = &morphed.weights.layers[2] else {
        panic!("the dense layer inherits");
    };
    let heard: Vec<Option<u32>> = inputs.iter().map(channel_of).collect();
    // The value, its two sines, its two cosines.
    let first = [Some(0), Some(1), None, Some(2), None];
    let second = [Some(3), Some(4), None, Some(5), None];
    assert_eq!(heard, [first, second].concat());
}

fn channel_of(source: &ChannelSource) -> Option<u32> {
    match source {
        ChannelSource::Parent { channel, .. } => Some(*channel),
        ChannelSource::Zero => None,
    }
}

#[test]
fn waves_are_refused_where_they_mean_nothing() {
    check_refused(
        "in 1x8x8 | conv 4 k3 | gap | dense 2",
        "waves in 4",
        "cannot add frequencies to layer 0, a `in`: it must be `periodic` or the input of a row",
    );
    check_refused(
        "in 4 | periodic 2 | dense 2",
        "waves in 4",
        "layer 1 already reads layer 0",
    );
    let rule = "the change must be at least 1, no more can go than there are, and a dense layer must read the waves";
    check_refused(
        "in 4 | w: periodic 2 | dense 2",
        "waves w 0",
        &format!("cannot change the 2 frequencies of layer 1 by 0: {rule}"),
    );
    check_refused(
        "in 4 | relu | dense 2",
        "waves in 4",
        &format!("cannot change the 0 frequencies of layer 0 by 4: {rule}"),
    );
    check_refused(
        "in 4 | w: periodic 2 | relu | dense 2",
        "waves w 1",
        "layer 2 (`relu`) is tied to others so that its channels cannot change alike",
    );
}
