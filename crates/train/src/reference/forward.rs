//! What every layer computes, from its definition. Channels last: value `(y, x, c)` of an image stands
//! at `(y · width + x) · channels + c`.

use morph::{Architecture, Kernel, Layer, LayerId, Shape, Window};

use super::ReferenceWeights;

/// Which statistics a batch norm normalises with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// The running ones, as a finished model does.
    Running,
    /// Those of the batch itself, as in training; dropout drops nothing.
    OfBatch,
}

/// Keeps the roots of norms away from 0; PyTorch's default.
const EPSILON: f64 = 1e-5;

/// What the network puts out for a batch.
///
/// # Shapes
/// `batch: [rows][values of one example]`; returns `[rows][outputs]`.
/// # Panics
/// If the weights belong to another architecture.
/// # Cost
/// The network's operations per row, in plain loops; about a hundredth of the engine's speed.
pub fn forward(
    architecture: &Architecture,
    weights: &ReferenceWeights,
    batch: &[Vec<f64>],
    statistics: Statistics,
) -> Vec<Vec<f64>> {
    run(architecture, weights, batch, statistics, |value| value)
}

/// The same, with every layer's result rounded to `f32`: no engine that keeps results in `f32` can be
/// expected to come nearer to [`forward`] than this.
///
/// # Shapes
/// As [`forward`].
/// # Panics
/// As [`forward`].
/// # Cost
/// As [`forward`].
pub fn forward_rounded(
    architecture: &Architecture,
    weights: &ReferenceWeights,
    batch: &[Vec<f64>],
    statistics: Statistics,
) -> Vec<Vec<f64>> {
    run(architecture, weights, batch, statistics, |value| {
        f64::from(value as f32)
    })
}

fn run(
    architecture: &Architecture,
    weights: &ReferenceWeights,
    batch: &[Vec<f64>],
    statistics: Statistics,
    kept: impl Fn(f64) -> f64,
) -> Vec<Vec<f64>> {
    let mut results: Vec<Vec<Vec<f64>>> = Vec::new();
    for layer in architecture.ids() {
        let inputs: Vec<&[Vec<f64>]> = architecture
            .inputs(layer)
            .iter()
            .map(|input| results[input.index()].as_slice())
            .collect();
        let mut result = match architecture.layer(layer) {
            Layer::Input { .. } => batch.to_vec(),
            Layer::BatchNorm => batch_norm(weights, layer, inputs[0], statistics),
            _ => {
                let row = |row: usize| {
                    let values: Vec<&[f64]> =
                        inputs.iter().map(|input| input[row].as_slice()).collect();
                    one_example(architecture, layer, weights, &values)
                };
                (0..batch.len()).map(row).collect()
            }
        };
        result
            .iter_mut()
            .flatten()
            .for_each(|value| *value = kept(*value));
        results.push(result);
    }
    results.pop().expect("an architecture has an output")
}

fn one_example(
    architecture: &Architecture,
    layer: LayerId,
    weights: &ReferenceWeights,
    inputs: &[&[f64]],
) -> Vec<f64> {
    let shapes = architecture.input_shapes(layer);
    let (from, to) = (shapes[0], architecture.shape(layer));
    let input = inputs[0];
    match architecture.layer(layer) {
        Layer::Dense { .. } => dense(
            input,
            weights.values(layer, "weight"),
            weights.values(layer, "bias"),
        ),
        Layer::Conv { kernel, .. } => {
            let (weight, bias) = (
                weights.values(layer, "weight"),
                weights.values(layer, "bias"),
            );
            convolution(input, weight, bias, *kernel, from, to)
        }
        Layer::DepthwiseConv { kernel } => {
            let (weight, bias) = (
                weights.values(layer, "weight"),
                weights.values(layer, "bias"),
            );
            depthwise(input, weight, bias, *kernel, from, to)
        }
        Layer::LayerNorm => layer_norm(
            input,
            weights.values(layer, "gain"),
            weights.values(layer, "shift"),
        ),
        Layer::Relu => input
            .iter()
            .map(|x| if *x > 0.0 { *x } else { 0.0 })
            .collect(),
        Layer::Gelu => input
            .iter()
            .map(|x| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())))
            .collect(),
        Layer::MaxPool { window } => pool(input, *window, from, to, Pooling::Largest),
        Layer::AvgPool { window } => pool(input, *window, from, to, Pooling::Mean),
        Layer::GlobalAvgPool => global_mean(input, from.channels() as usize),
        Layer::Add => inputs[0]
            .iter()
            .zip(inputs[1])
            .map(|(a, b)| a + b)
            .collect(),
        Layer::Concat => {
            let mut joined = Vec::new();
            for position in 0..to.positions() {
                for (part, shape) in inputs.iter().zip(&shapes) {
                    let channels = shape.channels() as usize;
                    joined.extend(&part[position * channels..][..channels]);
                }
            }
            joined
        }
        // Channels-last is the flattened order already, and dropout drops nothing here.
        Layer::Flatten | Layer::Dropout { .. } | Layer::Output => input.to_vec(),
        Layer::Input { .. } | Layer::BatchNorm => {
            unreachable!("they are computed for the whole batch")
        }
    }
}

/// Ioffe & Szegedy 2015, algorithms 1 and 2, with the variance of the batch itself (biased).
fn batch_norm(
    weights: &ReferenceWeights,
    layer: LayerId,
    rows: &[Vec<f64>],
    statistics: Statistics,
) -> Vec<Vec<f64>> {
    let (gain, shift) = (
        weights.values(layer, "gain"),
        weights.values(layer, "shift"),
    );
    let channels = gain.len();
    let mut result = rows.to_vec();
    for channel in 0..channels {
        let (mean, variance) = match statistics {
            Statistics::Running => (
                weights.values(layer, "mean")[channel],
                weights.values(layer, "variance")[channel],
            ),
            Statistics::OfBatch => {
                let of_channel = |row: &Vec<f64>| -> Vec<f64> {
                    row.iter()
                        .skip(channel)
                        .step_by(channels)
                        .copied()
                        .collect()
                };
                mean_and_variance(&rows.iter().flat_map(of_channel).collect::<Vec<f64>>())
            }
        };
        let scale = gain[channel] / (variance + EPSILON).sqrt();
        for row in &mut result {
            for value in row.iter_mut().skip(channel).step_by(channels) {
                *value = (*value - mean) * scale + shift[channel];
            }
        }
    }
    result
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean) * (value - mean))
        .sum::<f64>()
        / count;
    (mean, variance)
}

fn layer_norm(input: &[f64], gain: &[f64], shift: &[f64]) -> Vec<f64> {
    let mut result = Vec::with_capacity(input.len());
    for position in input.chunks_exact(gain.len()) {
        let (mean, variance) = mean_and_variance(position);
        for (channel, value) in position.iter().enumerate() {
            let normed = (value - mean) / (variance + EPSILON).sqrt();
            result.push(normed * gain[channel] + shift[channel]);
        }
    }
    result
}

fn dense(input: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let outputs = bias.len();
    let mut sums = bias.to_vec();
    for (feature, value) in input.iter().enumerate() {
        for output in 0..outputs {
            sums[output] += value * weight[feature * outputs + output];
        }
    }
    sums
}

fn extents(shape: Shape) -> (usize, usize) {
    match shape {
        Shape::Image { height, width, .. } => (height as usize, width as usize),
        Shape::Flat { .. } | Shape::Sequence { .. } => panic!("{shape} is no image"),
    }
}

/// For every output pixel in order: its taps inside the image, as (tap, input pixel).
fn taps(kernel: Kernel, from: Shape, to: Shape) -> Vec<Vec<(usize, usize)>> {
    let ((height, width), (to_height, to_width)) = (extents(from), extents(to));
    let (size, stride) = (usize::from(kernel.size()), usize::from(kernel.stride()));
    let padding = usize::from(kernel.padding());
    let mut pixels = Vec::with_capacity(to_height * to_width);
    for row in 0..to_height {
        for column in 0..to_width {
            let mut inside = Vec::new();
            for ky in 0..size {
                for kx in 0..size {
                    let (y, x) = (row * stride + ky, column * stride + kx);
                    if (padding..padding + height).contains(&y)
                        && (padding..padding + width).contains(&x)
                    {
                        inside.push((ky * size + kx, (y - padding) * width + (x - padding)));
                    }
                }
            }
            pixels.push(inside);
        }
    }
    pixels
}

fn convolution(
    input: &[f64],
    weight: &[f64],
    bias: &[f64],
    kernel: Kernel,
    from: Shape,
    to: Shape,
) -> Vec<f64> {
    let (inputs, outputs) = (from.channels() as usize, to.channels() as usize);
    let mut result = Vec::with_capacity(to.values());
    for inside in taps(kernel, from, to) {
        let mut sums = bias.to_vec();
        for (tap, pixel) in inside {
            for channel in 0..inputs {
                let value = input[pixel * inputs + channel];
                let row = &weight[(tap * inputs + channel) * outputs..][..outputs];
                for (sum, weight) in sums.iter_mut().zip(row) {
                    *sum += value * weight;
                }
            }
        }
        result.extend(sums);
    }
    result
}

fn depthwise(
    input: &[f64],
    weight: &[f64],
    bias: &[f64],
    kernel: Kernel,
    from: Shape,
    to: Shape,
) -> Vec<f64> {
    let channels = from.channels() as usize;
    let mut result = Vec::with_capacity(to.values());
    for inside in taps(kernel, from, to) {
        for channel in 0..channels {
            let products = inside.iter().map(|(tap, pixel)| {
                input[pixel * channels + channel] * weight[tap * channels + channel]
            });
            result.push(bias[channel] + products.sum::<f64>());
        }
    }
    result
}

#[derive(Clone, Copy)]
enum Pooling {
    Largest,
    Mean,
}

fn pool(input: &[f64], window: Window, from: Shape, to: Shape, pooling: Pooling) -> Vec<f64> {
    let channels = from.channels() as usize;
    let ((_, width), (to_height, to_width)) = (extents(from), extents(to));
    let (size, stride) = (usize::from(window.size()), usize::from(window.stride()));
    let mut result = Vec::with_capacity(to.values());
    for row in 0..to_height {
        for column in 0..to_width {
            for channel in 0..channels {
                let mut values = Vec::with_capacity(size * size);
                for y in row * stride..row * stride + size {
                    for x in column * stride..column * stride + size {
                        values.push(input[(y * width + x) * channels + channel]);
                    }
                }
                result.push(match pooling {
                    Pooling::Largest => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    Pooling::Mean => values.iter().sum::<f64>() / values.len() as f64,
                });
            }
        }
    }
    result
}

fn global_mean(input: &[f64], channels: usize) -> Vec<f64> {
    let positions = (input.len() / channels) as f64;
    let mean =
        |channel: usize| input.iter().skip(channel).step_by(channels).sum::<f64>() / positions;
    (0..channels).map(mean).collect()
}

/// The error function.
///
/// # Source
/// `erf(x) = 2/√π · exp(−x²) · Σ 2ⁿ·x²ⁿ⁺¹/(2n+1)!!` (Abramowitz & Stegun 7.1.6): all terms have one
/// sign, so nothing cancels. Beyond 6 the function is 1 in `f64`.
fn erf(x: f64) -> f64 {
    const ONE_BEYOND: f64 = 6.0;
    if x.abs() > ONE_BEYOND {
        return x.signum();
    }
    let (mut term, mut sum, mut n) = (x, x, 0.0);
    while term.abs() > sum.abs() * f64::EPSILON * 0.1 {
        n += 1.0;
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

#[cfg(test)]
mod tests {
    use super::erf;

    #[test]
    fn the_error_function_is_that_of_the_tables() {
        // Abramowitz & Stegun, table 7.1; erf(3) from the same table by erfc.
        let table = [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_9),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
        ];
        for (x, expected) in table {
            assert!((erf(x) - expected).abs() < 1e-15, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }
}
