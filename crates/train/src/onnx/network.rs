//! The layers of a network as ONNX operations. Feature maps are channels-first here, as ONNX has them;
//! where the engine's order of values matters (flattening, layer norm) they are turned back.

use morph::{Architecture, Kernel, Layer, LayerId, Shape, Window};

use super::{
    attention,
    graph::{Argument, GraphBuilder, ValueName},
    message::ElementType,
};
use crate::{
    step::norm,
    weights::{Part, Weights},
};

/// Channels-first to channels-last and back.
pub(super) const TO_CHANNELS_LAST: [i64; 4] = [0, 2, 3, 1];
pub(super) const TO_CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];

/// The same for a series, where there and back are one.
pub(super) const SERIES_TURNED: [i64; 3] = [0, 2, 1];

/// Keeps the roots of norms away from 0, as in the engine.
const EPSILON: f32 = norm::EPSILON as f32;

/// Adds the whole network behind its input; returns the outputs, `[rows][outputs]`.
///
/// `input` is `[rows][features]`, or `[rows][channels][height][width]`.
pub(super) fn add_network(
    builder: &mut GraphBuilder,
    architecture: &Architecture,
    weights: &Weights,
    input: ValueName,
) -> ValueName {
    let mut values: Vec<ValueName> = Vec::with_capacity(architecture.nodes().len());
    for id in architecture.ids() {
        let inputs: Vec<&ValueName> = architecture
            .inputs(id)
            .iter()
            .map(|from| &values[from.index()])
            .collect();
        let value = match architecture.layer(id) {
            Layer::Input { .. } => input.clone(),
            // They change nothing once a model is trained.
            Layer::Dropout { .. } | Layer::Output => inputs[0].clone(),
            _ => Place {
                architecture,
                weights,
                id,
            }
            .add(builder, &inputs),
        };
        values.push(value);
    }
    values.pop().expect("an architecture has an output")
}

/// A layer, and everything that is known about it.
pub(super) struct Place<'a> {
    pub(super) architecture: &'a Architecture,
    weights: &'a Weights,
    pub(super) id: LayerId,
}

impl Place<'_> {
    fn add(&self, builder: &mut GraphBuilder, inputs: &[&ValueName]) -> ValueName {
        let layer = self.architecture.layer(self.id);
        let name = format!("{} {}", layer.kind(), self.id);
        let input = inputs[0];
        match layer {
            Layer::Dense { .. } => {
                let (weight, bias) = (self.constant(builder, Part::Weight), self.bias(builder));
                builder.node("Gemm", &[input, &weight, &bias], &[], &name)
            }
            Layer::Conv { kernel, .. } => {
                let weight = self.convolution_weight(builder);
                self.convolution(builder, input, weight, *kernel, 1)
            }
            Layer::DepthwiseConv { kernel } => {
                let weight = self.depthwise_weight(builder);
                let channels = self.architecture.shape(self.id).channels();
                self.convolution(builder, input, weight, *kernel, channels)
            }
            Layer::BatchNorm => {
                let [gain, shift, mean, variance] =
                    [Part::Gain, Part::Shift, Part::Mean, Part::Variance]
                        .map(|part| self.constant(builder, part));
                let epsilon = [("epsilon", Argument::Float(EPSILON))];
                let inputs = [input, &gain, &shift, &mean, &variance];
                builder.node("BatchNormalization", &inputs, &epsilon, &name)
            }
            Layer::LayerNorm => self.layer_norm(builder, input, &name),
            Layer::Relu => builder.node("Relu", &[input], &[], &name),
            Layer::Gelu => gelu(builder, input, &name),
            Layer::Silu => {
                let gate = builder.node("Sigmoid", &[input], &[], &format!("{name} gate"));
                builder.node("Mul", &[input, &gate], &[], &name)
            }
            Layer::Sigmoid => builder.node("Sigmoid", &[input], &[], &name),
            Layer::MaxPool { window } => self.pool(builder, "MaxPool", input, *window),
            Layer::AvgPool { window } => self.pool(builder, "AveragePool", input, *window),
            Layer::GlobalAvgPool => {
                let pooled =
                    builder.node("GlobalAveragePool", &[input], &[], &format!("{name} mean"));
                builder.node("Flatten", &[&pooled], &[("axis", Argument::Int(1))], &name)
            }
            Layer::Flatten => {
                let order = self.channels_last(0);
                let turned = transpose(builder, input, order, &format!("{name} turned"));
                builder.node("Flatten", &[&turned], &[("axis", Argument::Int(1))], &name)
            }
            Layer::Slice { first, count } => self.slice(builder, input, *first, *count),
            Layer::Multiply => self.product(builder, inputs, &name),
            Layer::Embedding { codes, .. } => self.embedding(builder, input, *codes, &name),
            Layer::Periodic { .. } => self.periodic(builder, input, &name),
            Layer::Position => {
                let tensor = self.weights.part(self.id, Part::Shift);
                let shift = transposed(&tensor.values, tensor.shape[1]);
                let dims = [1, tensor.shape[1], tensor.shape[0]];
                let shift = builder.floats(&format!("{}.shift", self.id), &dims, &shift);
                builder.node("Add", &[input, &shift], &[], &name)
            }
            Layer::Attention { heads } => {
                attention::add(self, builder, input, *heads as usize, &name)
            }
            Layer::Add => builder.node("Add", inputs, &[], &name),
            Layer::Concat => builder.node("Concat", inputs, &[("axis", Argument::Int(1))], &name),
            Layer::Input { .. } | Layer::Dropout { .. } | Layer::Output => {
                unreachable!("they are no operations")
            }
        }
    }

    /// A tensor as it is.
    pub(super) fn constant(&self, builder: &mut GraphBuilder, part: Part) -> ValueName {
        let tensor = self.weights.part(self.id, part);
        builder.floats(
            &format!("{}.{}", self.id, part.name()),
            &tensor.shape,
            &tensor.values,
        )
    }

    fn bias(&self, builder: &mut GraphBuilder) -> ValueName {
        self.constant(builder, Part::Bias)
    }

    /// Whether values have one axis of positions, and not two.
    fn is_series(&self) -> bool {
        self.architecture.input_shapes(self.id)[0].is_sequence()
    }

    /// The order of axes that brings the channels of the input `place` to the end.
    fn channels_last(&self, place: usize) -> &'static [i64] {
        if self.architecture.input_shapes(self.id)[place].is_sequence() {
            &SERIES_TURNED
        } else {
            &TO_CHANNELS_LAST
        }
    }

    /// Extents of a kernel as ONNX writes them, behind those of its channels: a series has but one.
    fn spatial(&self, channels: [usize; 2], rows: usize, columns: usize) -> Vec<usize> {
        let [outputs, inputs] = channels;
        if self.is_series() {
            vec![outputs, inputs, columns]
        } else {
            vec![outputs, inputs, rows, columns]
        }
    }

    /// The same value for each axis of positions.
    fn each_axis(&self, value: i64) -> Vec<i64> {
        vec![value; if self.is_series() { 1 } else { 2 }]
    }

    /// `[ky][kx][in][out]` to `[out][in][ky][kx]`.
    fn convolution_weight(&self, builder: &mut GraphBuilder) -> ValueName {
        let tensor = self.weights.part(self.id, Part::Weight);
        let [rows, columns, inputs, outputs] = tensor.shape[..] else {
            unreachable!("the kernel of a convolution has four extents");
        };
        let mut values = Vec::with_capacity(tensor.values.len());
        for output in 0..outputs {
            for input in 0..inputs {
                for tap in 0..rows * columns {
                    values.push(tensor.values[(tap * inputs + input) * outputs + output]);
                }
            }
        }
        let dims = self.spatial([outputs, inputs], rows, columns);
        builder.floats(&format!("{}.weight", self.id), &dims, &values)
    }

    /// `[ky][kx][channel]` to `[channel][1][ky][kx]`.
    fn depthwise_weight(&self, builder: &mut GraphBuilder) -> ValueName {
        let tensor = self.weights.part(self.id, Part::Weight);
        let [rows, columns, channels] = tensor.shape[..] else {
            unreachable!("a depthwise kernel has three extents");
        };
        let mut values = Vec::with_capacity(tensor.values.len());
        for channel in 0..channels {
            values.extend((0..rows * columns).map(|tap| tensor.values[tap * channels + channel]));
        }
        let dims = self.spatial([channels, 1], rows, columns);
        builder.floats(&format!("{}.weight", self.id), &dims, &values)
    }

    fn convolution(
        &self,
        builder: &mut GraphBuilder,
        input: &ValueName,
        weight: ValueName,
        kernel: Kernel,
        groups: u32,
    ) -> ValueName {
        let bias = self.bias(builder);
        let name = format!("{} {}", self.architecture.layer(self.id).kind(), self.id);
        let each = |value: u16| self.each_axis(i64::from(value));
        let pads = [each(kernel.padding()), each(kernel.padding())].concat();
        let arguments = [
            ("kernel_shape", Argument::Ints(&each(kernel.size().into()))),
            ("strides", Argument::Ints(&each(kernel.stride().into()))),
            ("dilations", Argument::Ints(&each(kernel.dilation().into()))),
            ("pads", Argument::Ints(&pads)),
            ("group", Argument::Int(i64::from(groups))),
        ];
        builder.node("Conv", &[input, &weight, &bias], &arguments, &name)
    }

    /// A pool without padding.
    fn pool(
        &self,
        builder: &mut GraphBuilder,
        operator: &str,
        input: &ValueName,
        window: Window,
    ) -> ValueName {
        let name = format!("{} {}", self.architecture.layer(self.id).kind(), self.id);
        let each = |value: u8| self.each_axis(i64::from(value));
        let arguments = [
            ("kernel_shape", Argument::Ints(&each(window.size()))),
            ("strides", Argument::Ints(&each(window.stride()))),
        ];
        builder.node(operator, &[input], &arguments, &name)
    }

    /// Channels from `first` on; they are the second axis whatever the shape.
    fn slice(
        &self,
        builder: &mut GraphBuilder,
        input: &ValueName,
        first: u32,
        count: u32,
    ) -> ValueName {
        let name = format!("slice {}", self.id);
        let start = builder.ints(&format!("{name} start"), &[1], &[i64::from(first)]);
        let end = i64::from(first) + i64::from(count);
        let end = builder.ints(&format!("{name} end"), &[1], &[end]);
        let axis = builder.ints(&format!("{name} axis"), &[1], &[1]);
        builder.node("Slice", &[input, &start, &end, &axis], &[], &name)
    }

    /// A flat second factor gets an axis for each axis of positions.
    fn product(&self, builder: &mut GraphBuilder, inputs: &[&ValueName], name: &str) -> ValueName {
        let shapes = self.architecture.input_shapes(self.id);
        if shapes[0] == shapes[1] {
            return builder.node("Mul", inputs, &[], name);
        }
        let axes: &[i64] = if shapes[0].is_sequence() {
            &[2]
        } else {
            &[2, 3]
        };
        let axes = builder.ints(&format!("{name} axes"), &[axes.len()], axes);
        let factors = [inputs[1], &axes];
        let factors = builder.node("Unsqueeze", &factors, &[], &format!("{name} factors"));
        builder.node("Mul", &[inputs[0], &factors], &[], name)
    }

    /// Looks up the vector of each code; what is no code is 0.
    fn embedding(
        &self,
        builder: &mut GraphBuilder,
        input: &ValueName,
        codes: u32,
        name: &str,
    ) -> ValueName {
        let zero = builder.floats(&format!("{name} 0"), &[], &[0.0]);
        let count = builder.floats(&format!("{name} codes"), &[], &[codes as f32]);
        let mut step = |operator: &str, inputs: &[&ValueName], what: &str| {
            builder.node(operator, inputs, &[], &format!("{name} {what}"))
        };
        let above = step("GreaterOrEqual", &[input, &zero], "at least 0");
        let below = step("Less", &[input, &count], "below");
        let known = step("And", &[&above, &below], "known");
        let code = step("Where", &[&known, input, &zero], "code");
        let code = super::inputs::cast(builder, &code, ElementType::Int64, &format!("{name} row"));
        let table = self.constant(builder, Part::Weight);
        let found = builder.node("Gather", &[&table, &code], &[], &format!("{name} found"));
        if !self.is_series() {
            return builder.node("Flatten", &[&found], &[("axis", Argument::Int(1))], name);
        }
        // [rows, codes, steps, width] to [rows, width, steps].
        let axis = builder.ints(&format!("{name} axis"), &[1], &[1]);
        let (operator, arguments) = match self.architecture.input_shapes(self.id)[0].channels() {
            1 => ("Squeeze", vec![]),
            _ => ("ReduceSum", vec![("keepdims", Argument::Int(0))]),
        };
        let summed = [&found, &axis];
        let summed = builder.node(operator, &summed, &arguments, &format!("{name} summed"));
        transpose(builder, &summed, &SERIES_TURNED, name)
    }

    /// Sines and cosines of each value, behind it.
    fn periodic(&self, builder: &mut GraphBuilder, input: &ValueName, name: &str) -> ValueName {
        let tensor = self.weights.part(self.id, Part::Frequency);
        let per_unit: Vec<f32> = tensor
            .values
            .iter()
            .map(|turns| std::f32::consts::TAU * turns)
            .collect();
        let per_unit = builder.floats(
            &format!("{}.frequency in radians", self.id),
            &tensor.shape,
            &per_unit,
        );
        let axis = builder.ints(&format!("{name} axis"), &[1], &[2]);
        let mut step = |operator: &str, inputs: &[&ValueName], what: &str| {
            builder.node(operator, inputs, &[], &format!("{name} {what}"))
        };
        let own = step("Unsqueeze", &[input, &axis], "value");
        let angle = step("Mul", &[&own, &per_unit], "angle");
        let sine = step("Sin", &[&angle], "sine");
        let cosine = step("Cos", &[&angle], "cosine");
        let joined = builder.node(
            "Concat",
            &[&own, &sine, &cosine],
            &[("axis", Argument::Int(2))],
            &format!("{name} joined"),
        );
        builder.node("Flatten", &[&joined], &[("axis", Argument::Int(1))], name)
    }

    fn layer_norm(&self, builder: &mut GraphBuilder, input: &ValueName, name: &str) -> ValueName {
        let gain = self.constant(builder, Part::Gain);
        let shift = self.constant(builder, Part::Shift);
        let arguments = [
            ("axis", Argument::Int(-1)),
            ("epsilon", Argument::Float(EPSILON)),
        ];
        if matches!(self.architecture.shape(self.id), Shape::Flat { .. }) {
            let inputs = [input, &gain, &shift];
            return builder.node("LayerNormalization", &inputs, &arguments, name);
        }
        let order = self.channels_last(0);
        let turned = transpose(builder, input, order, &format!("{name} turned"));
        let inputs = [&turned, &gain, &shift];
        let normed = builder.node(
            "LayerNormalization",
            &inputs,
            &arguments,
            &format!("{name} normed"),
        );
        let back: &[i64] = if self.is_series() {
            &SERIES_TURNED
        } else {
            &TO_CHANNELS_FIRST
        };
        transpose(builder, &normed, back, name)
    }
}

/// `[rows][columns]` to `[columns][rows]`.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let column = |column: usize| values.iter().skip(column).step_by(columns).copied();
    (0..columns).flat_map(column).collect()
}

/// Turns the axes of a value.
pub(super) fn transpose(
    builder: &mut GraphBuilder,
    input: &ValueName,
    order: &[i64],
    name: &str,
) -> ValueName {
    builder.node(
        "Transpose",
        &[input],
        &[("perm", Argument::Ints(order))],
        name,
    )
}

/// `x · (½ + ½·erf(x/√2))`; the operator of that name came after opset 17.
fn gelu(builder: &mut GraphBuilder, input: &ValueName, name: &str) -> ValueName {
    let root = builder.floats(
        &format!("{name} 1/√2"),
        &[],
        &[std::f32::consts::FRAC_1_SQRT_2],
    );
    let half = builder.floats(&format!("{name} ½"), &[], &[0.5]);
    let scaled = builder.node("Mul", &[input, &root], &[], &format!("{name} scaled"));
    let erf = builder.node("Erf", &[&scaled], &[], &format!("{name} erf"));
    let halved = builder.node("Mul", &[&erf, &half], &[], &format!("{name} halved"));
    let share = builder.node("Add", &[&halved, &half], &[], &format!("{name} share"));
    builder.node("Mul", &[input, &share], &[], name)
}
