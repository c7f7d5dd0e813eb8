//! A network run slowly and plainly in `f64`, and a weight plan carried out by the letter.
//!
//! Written from the documentation of `Layer` and `LayerPlan` alone, so that it can disagree with
//! the engine. Values of an example stand channels-last: `[position][channel]`.

use morph::{
    Architecture, ChannelSource, Kernel, Layer, LayerId, LayerPlan, Morphed, Shape, Window,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The constant that batch norm and layer norm add to a variance.
const EPSILON: f64 = 1e-5;

/// Where batch norm takes its statistics from.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Evaluation,
    BatchStatistics,
}

/// What a layer has learned; empty where it has nothing of the sort.
#[derive(Clone, Default)]
pub(crate) struct LayerWeights {
    /// `[row][column][input][output]`; depthwise `[row][column][channel]`.
    matrix: Vec<f64>,
    /// Bias, or shift of a norm.
    shift: Vec<f64>,
    gain: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

/// Weights of a new network, all drawn: no gain is 1 and no shift is 0 by chance.
pub(crate) fn drawn(architecture: &Architecture, rng: &mut ChaCha8Rng) -> Vec<LayerWeights> {
    architecture
        .ids()
        .map(|id| drawn_layer(architecture, id, rng))
        .collect()
}

fn drawn_layer(architecture: &Architecture, id: LayerId, rng: &mut ChaCha8Rng) -> LayerWeights {
    let layer = architecture.layer(id);
    let outputs = architecture.shape(id).channels() as usize;
    if !layer.has_weights() {
        return LayerWeights::default();
    }
    let mut draw = |count: usize, low: f64, high: f64| {
        (0..count)
            .map(|_| rng.random_range(low..high))
            .collect::<Vec<f64>>()
    };
    let norm = matches!(layer, Layer::BatchNorm | Layer::LayerNorm);
    if let Layer::Periodic { frequencies } = layer {
        let values = architecture.input_shapes(id)[0].channels() * frequencies;
        let matrix = draw(values as usize, -0.5, 0.5);
        return LayerWeights {
            matrix,
            ..LayerWeights::default()
        };
    }
    let (rows, columns) = taps(architecture, id);
    let fan_in = (inputs(architecture, id) * rows * columns) as f64;
    let bound = (3.0 / fan_in).sqrt();
    LayerWeights {
        matrix: draw(matrix_length(architecture, id), -bound, bound),
        shift: draw(outputs, -0.5, 0.5),
        gain: draw(if norm { outputs } else { 0 }, 0.5, 1.5),
        mean: draw(if norm { outputs } else { 0 }, -0.5, 0.5),
        variance: draw(if norm { outputs } else { 0 }, 0.5, 1.5),
    }
}

/// Input channels that each output sums over.
fn inputs(architecture: &Architecture, id: LayerId) -> usize {
    match architecture.layer(id) {
        layer if layer.decides_channels() => architecture.input_shapes(id)[0].channels() as usize,
        _ => 1,
    }
}

/// Rows and columns of a kernel.
fn taps(architecture: &Architecture, id: LayerId) -> (usize, usize) {
    match architecture.layer(id) {
        Layer::Conv { kernel, .. } | Layer::DepthwiseConv { kernel } => {
            kernel.extents(architecture.shape(id))
        }
        _ => (1, 1),
    }
}

fn matrix_length(architecture: &Architecture, id: LayerId) -> usize {
    match architecture.layer(id) {
        Layer::BatchNorm | Layer::LayerNorm => 0,
        _ => {
            let outputs = architecture.shape(id).channels() as usize;
            let (rows, columns) = taps(architecture, id);
            rows * columns * inputs(architecture, id) * outputs
        }
    }
}

/// Carries out a weight plan.
pub(crate) fn inherited(
    parent: &Architecture,
    weights: &[LayerWeights],
    child: &Morphed,
    rng: &mut ChaCha8Rng,
) -> Vec<LayerWeights> {
    let architecture = &child.architecture;
    let planned = architecture.ids().zip(&child.weights.layers);
    planned
        .map(|(id, plan)| {
            let mut layer = drawn_layer(architecture, id, rng);
            match plan {
                LayerPlan::Weightless | LayerPlan::Fresh => {}
                LayerPlan::Inherit {
                    parent: from,
                    outputs,
                    inputs: sources,
                } => {
                    let kernels = (taps(architecture, id), taps(parent, *from));
                    let old = &weights[from.index()];
                    layer = match architecture.layer(id) {
                        Layer::Periodic { .. } => old.clone(),
                        _ => taken(old, kernels, outputs, sources),
                    };
                }
                LayerPlan::Frequencies { parent: from } => {
                    let old = &weights[from.index()].matrix;
                    let values = architecture.input_shapes(id)[0].channels() as usize;
                    let (before, after) = (old.len() / values, layer.matrix.len() / values);
                    for at in (0..layer.matrix.len()).filter(|at| at % after < before) {
                        layer.matrix[at] = old[at / after * before + at % after];
                    }
                }
                LayerPlan::Identity => {
                    let outputs = architecture.shape(id).channels() as usize;
                    let (rows, columns) = taps(architecture, id);
                    let centre = rows * columns / 2 * outputs * outputs;
                    layer.matrix.fill(0.0);
                    layer.shift.fill(0.0);
                    (0..outputs).for_each(|at| layer.matrix[centre + at * outputs + at] = 1.0);
                }
                LayerPlan::Zero | LayerPlan::ZeroGain => {
                    for values in [&mut layer.matrix, &mut layer.shift, &mut layer.gain] {
                        values.fill(0.0);
                    }
                    layer.mean.fill(0.0);
                    layer.variance.fill(1.0);
                }
            }
            layer
        })
        .collect()
}

fn taken(
    old: &LayerWeights,
    ((rows, columns), (old_rows, old_columns)): ((usize, usize), (usize, usize)),
    outputs: &[u32],
    sources: &[ChannelSource],
) -> LayerWeights {
    let channels = |values: &[f64]| match values {
        [] => Vec::new(),
        _ => outputs
            .iter()
            .map(|output| values[*output as usize])
            .collect(),
    };
    let each = [ChannelSource::Parent {
        channel: 0,
        share: 1.0,
    }];
    let sources = if sources.is_empty() { &each } else { sources };
    let old_outputs = old.shift.len();
    let old_inputs = old.matrix.len() / (old_outputs * old_rows * old_columns);
    let mut matrix = Vec::new();
    for (row, column) in grid(rows, columns).filter(|_| !old.matrix.is_empty()) {
        let aligned = |at: usize, new: usize, old: usize| {
            (at + old / 2).checked_sub(new / 2).filter(|at| *at < old)
        };
        let (row, column) = (
            aligned(row, rows, old_rows),
            aligned(column, columns, old_columns),
        );
        for (source, output) in sources
            .iter()
            .flat_map(|s| outputs.iter().map(move |o| (s, o)))
        {
            matrix.push(match (source, row, column) {
                (ChannelSource::Parent { channel, share }, Some(row), Some(column)) => {
                    let tap = row * old_columns + column;
                    let place = (tap * old_inputs + *channel as usize) * old_outputs;
                    old.matrix[place + *output as usize] * share
                }
                _ => 0.0,
            });
        }
    }
    LayerWeights {
        matrix,
        shift: channels(&old.shift),
        gain: channels(&old.gain),
        mean: channels(&old.mean),
        variance: channels(&old.variance),
    }
}

/// What leaves the network for each example of a batch. Dropout does nothing.
pub(crate) fn run(
    architecture: &Architecture,
    weights: &[LayerWeights],
    batch: &[Vec<f64>],
    mode: Mode,
) -> Vec<Vec<f64>> {
    let mut results: Vec<Vec<Vec<f64>>> = Vec::new();
    for id in architecture.ids() {
        let taken: Vec<&Vec<Vec<f64>>> = architecture
            .inputs(id)
            .iter()
            .map(|input| &results[input.index()])
            .collect();
        let layer = &weights[id.index()];
        let result = match (architecture.layer(id), mode) {
            (Layer::Input { .. }, _) => batch.to_vec(),
            (Layer::BatchNorm, Mode::BatchStatistics) => {
                let mut layer = layer.clone();
                (layer.mean, layer.variance) = statistics(taken[0], layer.gain.len());
                let rows = taken[0].iter();
                rows.map(|values| normed(values, &layer)).collect()
            }
            _ => (0..batch.len())
                .map(|row| {
                    let inputs: Vec<&[f64]> =
                        taken.iter().map(|input| input[row].as_slice()).collect();
                    one(architecture, id, layer, &inputs)
                })
                .collect(),
        };
        results.push(result);
    }
    results.pop().expect("a network has layers")
}

fn statistics(rows: &[Vec<f64>], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let of = |channel: usize| {
        let values = || {
            rows.iter()
                .flat_map(|row| row.iter().skip(channel).step_by(channels))
        };
        let count = values().count() as f64;
        let mean = values().sum::<f64>() / count;
        let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (mean, variance)
    };
    (0..channels).map(of).unzip()
}

fn normed(values: &[f64], layer: &LayerWeights) -> Vec<f64> {
    let channels = layer.gain.len();
    let one = |(place, value): (usize, &f64)| {
        let at = place % channels;
        let scaled = (value - layer.mean[at]) / (layer.variance[at] + EPSILON).sqrt();
        scaled * layer.gain[at] + layer.shift[at]
    };
    values.iter().enumerate().map(one).collect()
}

fn normed_by_position(values: &[f64], layer: &LayerWeights) -> Vec<f64> {
    let channels = layer.gain.len();
    let position = |position: &[f64]| {
        let mut layer = layer.clone();
        let (mean, variance) = statistics(&[position.to_vec()], 1);
        (layer.mean, layer.variance) = (mean.repeat(channels), variance.repeat(channels));
        normed(position, &layer)
    };
    values.chunks(channels).flat_map(position).collect()
}

/// One example through one layer; everything but batch norm with batch statistics.
fn one(
    architecture: &Architecture,
    id: LayerId,
    weights: &LayerWeights,
    inputs: &[&[f64]],
) -> Vec<f64> {
    let input = inputs[0];
    let (from, to) = (architecture.input_shapes(id), architecture.shape(id));
    let channels = from[0].channels() as usize;
    match architecture.layer(id) {
        Layer::Dense { .. } => dense(input, weights),
        Layer::Conv { kernel, .. } => convolved(input, weights, *kernel, from[0], to),
        Layer::Periodic { frequencies } => waves(input, &weights.matrix, *frequencies as usize),
        Layer::DepthwiseConv { kernel } => depthwise(input, weights, *kernel, from[0], to),
        Layer::BatchNorm => normed(input, weights),
        Layer::LayerNorm => normed_by_position(input, weights),
        Layer::Relu | Layer::Gelu | Layer::Silu | Layer::Sigmoid => input
            .iter()
            .map(|x| activated(architecture.layer(id), *x))
            .collect(),
        Layer::Multiply => {
            let factors = inputs[1].iter().cycle();
            input
                .iter()
                .zip(factors)
                .map(|(left, right)| left * right)
                .collect()
        }
        Layer::Slice { .. }
        | Layer::Embedding { .. }
        | Layer::Position
        | Layer::Attention { .. } => {
            panic!(
                "{} is checked by the proofs of `train`",
                architecture.layer(id).kind()
            )
        }
        Layer::MaxPool { window } => {
            let largest = |values: &[f64]| values.iter().copied().fold(f64::MIN, f64::max);
            pooled(input, *window, from[0], to, largest)
        }
        Layer::AvgPool { window } => pooled(input, *window, from[0], to, mean),
        Layer::GlobalAvgPool => {
            let channel = |at: usize| input.iter().skip(at).step_by(channels).copied();
            (0..channels)
                .map(|at| mean(&channel(at).collect::<Vec<f64>>()))
                .collect()
        }
        Layer::Add => inputs[0]
            .iter()
            .zip(inputs[1])
            .map(|(left, right)| left + right)
            .collect(),
        Layer::Concat => {
            let widths: Vec<usize> = from.iter().map(|shape| shape.channels() as usize).collect();
            let position = |at: usize| {
                let parts = inputs.iter().zip(&widths);
                parts.flat_map(move |(part, width)| part[at * width..][..*width].iter().copied())
            };
            (0..to.positions()).flat_map(position).collect()
        }
        Layer::Input { .. } | Layer::Flatten | Layer::Dropout { .. } | Layer::Output => {
            input.to_vec()
        }
    }
}

/// Each value, its sines, its cosines.
fn waves(input: &[f64], turns: &[f64], frequencies: usize) -> Vec<f64> {
    let of_value = |(x, turns): (&f64, &[f64])| {
        let angles = || turns.iter().map(|turns| std::f64::consts::TAU * turns * x);
        let mut waves = vec![*x];
        waves.extend(angles().map(f64::sin));
        waves.extend(angles().map(f64::cos));
        waves
    };
    input
        .iter()
        .zip(turns.chunks(frequencies))
        .flat_map(of_value)
        .collect()
}

fn activated(layer: &Layer, x: f64) -> f64 {
    match layer {
        Layer::Relu => x.max(0.0),
        Layer::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        // Any smooth function will do here; the engine's tests check which one it is.
        _ => x / (1.0 + (-1.7 * x).exp()),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn dense(input: &[f64], weights: &LayerWeights) -> Vec<f64> {
    let outputs = weights.shift.len();
    let sum = |output: usize| {
        let column = weights.matrix.iter().skip(output).step_by(outputs);
        weights.shift[output] + input.iter().zip(column).map(|(x, w)| x * w).sum::<f64>()
    };
    (0..outputs).map(sum).collect()
}

fn grid(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}

/// Number of the tap and of the pixel under it, for all pixels that a kernel at this place covers.
fn covered(
    kernel: Kernel,
    from: Shape,
    (row, column): (usize, usize),
) -> impl Iterator<Item = (usize, usize)> {
    let (height, width) = from.plane();
    let (rows, columns) = kernel.extents(from);
    let stride = usize::from(kernel.stride());
    let dilation = usize::from(kernel.dilation());
    let seen = move |place: usize, tap: usize, taps: usize, extent: usize| {
        (place * stride + tap * dilation)
            .checked_sub(dilation * (taps / 2))
            .filter(|at| *at < extent)
    };
    grid(rows, columns).filter_map(move |(tap_row, tap_column)| {
        let y = seen(row, tap_row, rows, height)?;
        let x = seen(column, tap_column, columns, width)?;
        Some((tap_row * columns + tap_column, y * width + x))
    })
}

fn convolved(
    input: &[f64],
    weights: &LayerWeights,
    kernel: Kernel,
    from: Shape,
    to: Shape,
) -> Vec<f64> {
    let (inputs, outputs) = (from.channels() as usize, to.channels() as usize);
    let (height, width) = to.plane();
    let mut result = Vec::new();
    for place in grid(height, width) {
        let mut sums = weights.shift.clone();
        for (tap, pixel) in covered(kernel, from, place) {
            for channel in 0..inputs {
                let value = input[pixel * inputs + channel];
                let row = &weights.matrix[(tap * inputs + channel) * outputs..][..outputs];
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, weight)| *sum += value * weight);
            }
        }
        result.extend(sums);
    }
    result
}

fn depthwise(
    input: &[f64],
    weights: &LayerWeights,
    kernel: Kernel,
    from: Shape,
    to: Shape,
) -> Vec<f64> {
    let channels = from.channels() as usize;
    let (height, width) = to.plane();
    let mut result = Vec::new();
    for place in grid(height, width) {
        let mut sums = weights.shift.clone();
        for (tap, pixel) in covered(kernel, from, place) {
            let values = &input[pixel * channels..][..channels];
            let row = &weights.matrix[tap * channels..][..channels];
            let products = values.iter().zip(row).map(|(value, weight)| value * weight);
            sums.iter_mut()
                .zip(products)
                .for_each(|(sum, product)| *sum += product);
        }
        result.extend(sums);
    }
    result
}

fn pooled(
    input: &[f64],
    window: Window,
    from: Shape,
    to: Shape,
    fold: impl Fn(&[f64]) -> f64,
) -> Vec<f64> {
    let channels = from.channels() as usize;
    let (_, from_width) = from.plane();
    let (height, width) = to.plane();
    let (rows, columns) = window.extents(from);
    let stride = usize::from(window.stride());
    let mut result = Vec::new();
    for ((row, column), channel) in
        grid(height, width).flat_map(|place| (0..channels).map(move |channel| (place, channel)))
    {
        let pixel = |(y, x)| (row * stride + y) * from_width + column * stride + x;
        let values: Vec<f64> = grid(rows, columns)
            .map(|tap| input[pixel(tap) * channels + channel])
            .collect();
        result.push(fold(&values));
    }
    result
}
