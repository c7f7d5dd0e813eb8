//! The layers of a network as ONNX operations. Feature maps are channels-first here, as ONNX has them;
//! where the engine's order of values matters (flattening, layer norm) they are turned back.

use morph::{Architecture, Kernel, Layer, LayerId, Shape, Window};

use super::graph::{Argument, GraphBuilder, ValueName};
use crate::weights::{Part, Weights};

/// Channels-first to channels-last and back.
pub(super) const TO_CHANNELS_LAST: [i64; 4] = [0, 2, 3, 1];
pub(super) const TO_CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];

/// Keeps the roots of norms away from 0, as in the engine.
const EPSILON: f32 = 1e-5;

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
struct Place<'a> {
    architecture: &'a Architecture,
    weights: &'a Weights,
    id: LayerId,
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
                let weight = self.convolution_weight(builder, *kernel);
                self.convolution(builder, input, weight, *kernel, 1)
            }
            Layer::DepthwiseConv { kernel } => {
                let weight = self.depthwise_weight(builder, *kernel);
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
            Layer::MaxPool { window } => pool(builder, "MaxPool", input, *window, &name),
            Layer::AvgPool { window } => pool(builder, "AveragePool", input, *window, &name),
            Layer::GlobalAvgPool => {
                let pooled =
                    builder.node("GlobalAveragePool", &[input], &[], &format!("{name} mean"));
                builder.node("Flatten", &[&pooled], &[("axis", Argument::Int(1))], &name)
            }
            Layer::Flatten => {
                let turned =
                    transpose(builder, input, &TO_CHANNELS_LAST, &format!("{name} turned"));
                builder.node("Flatten", &[&turned], &[("axis", Argument::Int(1))], &name)
            }
            Layer::Add => builder.node("Add", inputs, &[], &name),
            Layer::Concat => builder.node("Concat", inputs, &[("axis", Argument::Int(1))], &name),
            Layer::Input { .. } | Layer::Dropout { .. } | Layer::Output => {
                unreachable!("they are no operations")
            }
        }
    }

    /// A tensor as it is.
    fn constant(&self, builder: &mut GraphBuilder, part: Part) -> ValueName {
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

    /// `[ky][kx][in][out]` to `[out][in][ky][kx]`.
    fn convolution_weight(&self, builder: &mut GraphBuilder, kernel: Kernel) -> ValueName {
        let size = usize::from(kernel.size());
        let tensor = self.weights.part(self.id, Part::Weight);
        let (inputs, outputs) = (tensor.shape[2], tensor.shape[3]);
        let mut values = Vec::with_capacity(tensor.values.len());
        for output in 0..outputs {
            for input in 0..inputs {
                for tap in 0..size * size {
                    values.push(tensor.values[(tap * inputs + input) * outputs + output]);
                }
            }
        }
        let name = format!("{}.weight", self.id);
        builder.floats(&name, &[outputs, inputs, size, size], &values)
    }

    /// `[ky][kx][channel]` to `[channel][1][ky][kx]`.
    fn depthwise_weight(&self, builder: &mut GraphBuilder, kernel: Kernel) -> ValueName {
        let size = usize::from(kernel.size());
        let tensor = self.weights.part(self.id, Part::Weight);
        let channels = tensor.shape[2];
        let mut values = Vec::with_capacity(tensor.values.len());
        for channel in 0..channels {
            values.extend((0..size * size).map(|tap| tensor.values[tap * channels + channel]));
        }
        let name = format!("{}.weight", self.id);
        builder.floats(&name, &[channels, 1, size, size], &values)
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
        let both = |extent: u8| [i64::from(extent); 2];
        let arguments = [
            ("kernel_shape", Argument::Ints(&both(kernel.size()))),
            ("strides", Argument::Ints(&both(kernel.stride()))),
            ("pads", Argument::Ints(&[i64::from(kernel.padding()); 4])),
            ("group", Argument::Int(i64::from(groups))),
        ];
        builder.node("Conv", &[input, &weight, &bias], &arguments, &name)
    }

    fn layer_norm(&self, builder: &mut GraphBuilder, input: &ValueName, name: &str) -> ValueName {
        let gain = self.constant(builder, Part::Gain);
        let shift = self.constant(builder, Part::Shift);
        let arguments = [
            ("axis", Argument::Int(-1)),
            ("epsilon", Argument::Float(EPSILON)),
        ];
        if !matches!(self.architecture.shape(self.id), Shape::Image { .. }) {
            let inputs = [input, &gain, &shift];
            return builder.node("LayerNormalization", &inputs, &arguments, name);
        }
        let turned = transpose(builder, input, &TO_CHANNELS_LAST, &format!("{name} turned"));
        let inputs = [&turned, &gain, &shift];
        let normed = builder.node(
            "LayerNormalization",
            &inputs,
            &arguments,
            &format!("{name} normed"),
        );
        transpose(builder, &normed, &TO_CHANNELS_FIRST, name)
    }
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

/// A pool without padding.
fn pool(
    builder: &mut GraphBuilder,
    operator: &str,
    input: &ValueName,
    window: Window,
    name: &str,
) -> ValueName {
    let both = |extent: u8| [i64::from(extent); 2];
    let arguments = [
        ("kernel_shape", Argument::Ints(&both(window.size()))),
        ("strides", Argument::Ints(&both(window.stride()))),
    ];
    builder.node(operator, &[input], &arguments, name)
}
