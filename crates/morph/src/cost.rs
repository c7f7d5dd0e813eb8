//! What a network costs, counted from its shapes before a single number is computed.
//!
//! Counted is the forward pass of one example. What training needs in memory depends on the order
//! of its steps and is the business of the training engine's plan.

use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::{
    architecture::{Architecture, LayerId},
    layer::{Kernel, Layer},
    shape::Shape,
};

/// Bytes of one value in 32-bit floating point.
const VALUE_BYTES: u64 = 4;

/// Cost of a layer or of a whole network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cost {
    /// Learned values: weights, biases, gains and shifts, not the measured statistics of batch
    /// norm.
    pub parameters: u64,
    /// Floating-point operations of the forward pass of one example; a multiply-add counts 2.
    pub flops: u64,
    /// Bytes of all layers' outputs for one example in `f32`, the input and the output included.
    pub activation_bytes: u64,
}

impl Add for Cost {
    type Output = Cost;

    fn add(self, other: Cost) -> Cost {
        Cost {
            parameters: self.parameters.saturating_add(other.parameters),
            flops: self.flops.saturating_add(other.flops),
            activation_bytes: self.activation_bytes.saturating_add(other.activation_bytes),
        }
    }
}

impl Architecture {
    /// Cost of the whole network: the sum over its layers.
    ///
    /// # Units
    /// See [`Cost`]; what does not fit 64 bits is the largest number that does.
    /// # Cost
    /// `O(layers)`.
    pub fn cost(&self) -> Cost {
        self.ids()
            .map(|id| self.layer_cost(id))
            .fold(Cost::default(), Cost::add)
    }

    /// Cost of one layer.
    ///
    /// # Units
    /// Operations per output value: dense 2·inputs, convolution 2·k²·inputs, depthwise 2·k², pool k²
    /// (over a series k instead of k²), batch norm 2 (its statistics folded), layer norm, GELU, SiLU,
    /// sigmoid and sines 8, attention 8·channels + 4·steps, ReLU, sum, product and position 1. A global
    /// pool takes 1 per input value, a look-up nothing. Biases count as parameters, not as operations, and
    /// padding counts as if it were pixels: this is how the field's tables count.
    pub fn layer_cost(&self, id: LayerId) -> Cost {
        let output = self.shape(id);
        let inputs = self.inputs(id).first().map(|input| self.shape(*input));
        let values = output.values() as u64;
        let per_value = operations_per_value(self.layer(id), inputs);
        Cost {
            parameters: parameters(self.layer(id), inputs, output),
            flops: values.saturating_mul(per_value),
            activation_bytes: values.saturating_mul(VALUE_BYTES),
        }
    }
}

fn parameters(layer: &Layer, input: Option<Shape>, output: Shape) -> u64 {
    let inputs = u64::from(input.map_or(0, Shape::channels));
    let outputs = u64::from(output.channels());
    let taps = |kernel: &Kernel| input.map_or(0, |shape| area(kernel.extents(shape)));
    match layer {
        Layer::Dense { .. } => inputs * outputs + outputs,
        Layer::Conv { kernel, .. } => taps(kernel) * inputs * outputs + outputs,
        Layer::DepthwiseConv { kernel } => taps(kernel) * outputs + outputs,
        Layer::BatchNorm | Layer::LayerNorm => 2 * outputs,
        Layer::Embedding { codes, width } => u64::from(*codes) * u64::from(*width),
        Layer::Periodic { frequencies } => inputs * u64::from(*frequencies),
        Layer::Position => output.values() as u64,
        Layer::Attention { .. } => 4 * (outputs * outputs + outputs),
        _ => 0,
    }
}

fn operations_per_value(layer: &Layer, input: Option<Shape>) -> u64 {
    let inputs = u64::from(input.map_or(0, Shape::channels));
    let positions = input.map_or(0, |shape| shape.positions() as u64);
    let taps = |kernel: &Kernel| input.map_or(0, |shape| area(kernel.extents(shape)));
    match layer {
        Layer::Dense { .. } => 2 * inputs,
        Layer::Conv { kernel, .. } => 2 * taps(kernel) * inputs,
        Layer::DepthwiseConv { kernel } => 2 * taps(kernel),
        Layer::MaxPool { window } | Layer::AvgPool { window } => {
            input.map_or(0, |shape| area(window.extents(shape)))
        }
        Layer::GlobalAvgPool => positions,
        Layer::BatchNorm => 2,
        Layer::LayerNorm | Layer::Gelu | Layer::Silu | Layer::Sigmoid | Layer::Periodic { .. } => 8,
        Layer::Attention { .. } => 8 * inputs + 4 * positions,
        Layer::Embedding { .. } => match input {
            Some(Shape::Sequence { .. }) => inputs.saturating_sub(1),
            _ => 0,
        },
        Layer::Relu | Layer::Add | Layer::Multiply | Layer::Position => 1,
        Layer::Input { .. }
        | Layer::Flatten
        | Layer::Slice { .. }
        | Layer::Dropout { .. }
        | Layer::Concat
        | Layer::Output => 0,
    }
}

fn area((rows, columns): (usize, usize)) -> u64 {
    (rows * columns) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_layer(text: &str, index: usize, parameters: u64, flops: u64, values: u64) {
        let architecture: Architecture = text.parse().unwrap();
        let activation_bytes = values * 4;
        let expected = Cost {
            parameters,
            flops,
            activation_bytes,
        };
        assert_eq!(
            architecture.layer_cost(LayerId::at(index)),
            expected,
            "{text}"
        );
    }

    #[test]
    fn layers_cost_what_a_hand_counts() {
        check_layer("in 13 | dense 64", 1, 13 * 64 + 64, 2 * 13 * 64, 64);
        // The first layer of ResNet-20: 3·3·3·16 weights and 16 biases at 32·32 places.
        check_layer(
            "in 3x32x32 | conv 16 k3 | gap",
            1,
            448,
            2 * 432 * 1024,
            16 * 1024,
        );
        check_layer(
            "in 16x32x32 | conv 32 k3 s2 | gap",
            1,
            4_640,
            2 * 144 * 32 * 256,
            32 * 256,
        );
        check_layer("in 16x5x5 | conv 8 k1 s2 | gap", 1, 136, 2 * 16 * 8 * 9, 72);
        check_layer("in 8x6x4 | dwconv k5 | gap", 1, 208, 2 * 25 * 8 * 24, 192);
        check_layer("in 8x6x4 | bn | gap", 1, 16, 2 * 192, 192);
        check_layer("in 8 | ln", 1, 16, 64, 8);
        check_layer("in 8x6x4 | maxpool k3 s1 | gap", 1, 0, 9 * 64, 64);
        check_layer("in 8x6x4 | relu | gap", 2, 0, 192, 8);
        check_layer("in 8x6x4 | flatten", 1, 0, 0, 192);
        check_layer("in 8 | dropout 0.5", 1, 0, 0, 8);
        check_layer(
            "in 12x128 | conv 16 k5 s2 | gap",
            1,
            976,
            2 * 60 * 1024,
            1024,
        );
        check_layer("in 12x20 | dwconv k3 d4 | gap", 1, 48, 6 * 240, 240);
        check_layer("in 4x10 | maxpool k2 | flatten", 1, 0, 2 * 20, 20);
        check_layer("in 8 | slice 2 5", 1, 0, 0, 5);
        check_layer("in 3 | embed 100 4", 1, 400, 0, 12);
        check_layer("in 1x9 | embed 50 8 | gap", 1, 400, 0, 72);
        check_layer("in 3x9 | embed 50 8 | gap", 1, 400, 2 * 72, 72);
        check_layer("in 8x9 | position | gap", 1, 72, 72, 72);
        check_layer("in 8x9 | attention 2 | gap", 1, 4 * 72, 72 * (64 + 36), 72);
        check_layer("in 8 | s: sigmoid | mul in s", 2, 0, 8, 8);
    }

    #[test]
    fn a_network_costs_the_sum_of_its_layers() {
        let text = "in 3x8x8 | a: conv 4 k3 | bn | b: relu | add a b | cat in b | gap | dense 2";
        let text = text.replace("add a b | cat in b", "c: add a b | cat in c");
        let cost = text.parse::<Architecture>().unwrap().cost();
        assert_eq!(cost.parameters, (27 * 4 + 4) + 8 + (7 * 2 + 2));
        let positions = 64;
        let flops = positions * (2 * 27 * 4 + 2 * 4 + 4 + 4) + positions * 7 + 2 * 7 * 2;
        assert_eq!(cost.flops, flops);
        let values = positions * (3 + 4 + 4 + 4 + 4 + 7) + 7 + 2 + 2;
        assert_eq!(cost.activation_bytes, 4 * values);
    }

    #[test]
    fn a_cost_beyond_64_bits_is_the_largest_number() {
        let huge = "in 1048576x65536x65536 | conv 65536 k11 | gap";
        let cost = huge.parse::<Architecture>().unwrap().cost();
        assert_eq!(cost.flops, u64::MAX);
        assert_eq!(cost.parameters, 121 * 1_048_576 * 65_536 + 65_536);
    }
}
