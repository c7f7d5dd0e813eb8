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
    let part = |part| weights.values(layer, part);
    match architecture.layer(layer) {
        Layer::Dense { .. } => dense(input, part("weight"), part("bias")),
        Layer::Conv { kernel, .. } => {
            convolution(input, part("weight"), part("bias"), *kernel, from, to)
        }
        Layer::DepthwiseConv { kernel } => {
            depthwise(input, part("weight"), part("bias"), *kernel, from, to)
        }
        Layer::LayerNorm => layer_norm(input, part("gain"), part("shift")),
        Layer::Relu | Layer::Gelu | Layer::Silu | Layer::Sigmoid => {
            let activated = |x: &f64| activated(architecture.layer(layer), *x);
            input.iter().map(activated).collect()
        }
        Layer::MaxPool { window } => pool(input, *window, from, to, Pooling::Largest),
        Layer::AvgPool { window } => pool(input, *window, from, to, Pooling::Mean),
        Layer::GlobalAvgPool => global_mean(input, from.channels() as usize),
        Layer::Add => inputs[0]
            .iter()
            .zip(inputs[1])
            .map(|(a, b)| a + b)
            .collect(),
        // A flat second factor is one value per channel, again and again.
        Layer::Multiply => {
            let factors = inputs[1].iter().cycle();
            input.iter().zip(factors).map(|(a, b)| a * b).collect()
        }
        Layer::Slice { first, count } => {
            let (first, count) = (*first as usize, *count as usize);
            let positions = input.chunks_exact(from.channels() as usize);
            positions
                .flat_map(|position| position[first..first + count].iter().copied())
                .collect()
        }
        Layer::Embedding { codes, width } => {
            embedded(part("weight"), input, from, (*codes, *width as usize))
        }
        Layer::Periodic { frequencies } => {
            let own = part("frequency").chunks_exact(*frequencies as usize);
            let waves = input.iter().zip(own).map(|(x, own)| periodic(*x, own));
            waves.flatten().collect()
        }
        Layer::Position => {
            let shift = part("shift");
            input.iter().zip(shift).map(|(a, b)| a + b).collect()
        }
        Layer::Attention { heads } => attention(weights, layer, input, *heads as usize),
        Layer::Concat => concatenated(inputs, &shapes),
        // Channels-last is the flattened order already, and dropout drops nothing here.
        Layer::Flatten | Layer::Dropout { .. } | Layer::Output => input.to_vec(),
        Layer::Input { .. } | Layer::BatchNorm => {
            unreachable!("they are computed for the whole batch")
        }
    }
}

/// Gorishniy, Rubachev, Babenko 2022, equation 3, behind the value itself.
fn periodic(x: f64, frequencies: &[f64]) -> Vec<f64> {
    let angle = |frequency: &f64| std::f64::consts::TAU * frequency * x;
    let sines = frequencies.iter().map(|frequency| angle(frequency).sin());
    let cosines = frequencies.iter().map(|frequency| angle(frequency).cos());
    [x].into_iter().chain(sines).chain(cosines).collect()
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

/// For every output pixel in order: its taps inside the image, as (tap, input pixel).
fn taps(kernel: Kernel, from: Shape, to: Shape) -> Vec<Vec<(usize, usize)>> {
    let ((height, width), (to_height, to_width)) = (from.plane(), to.plane());
    let (rows, columns) = kernel.extents(from);
    let (stride, dilation) = (usize::from(kernel.stride()), usize::from(kernel.dilation()));
    let padding = (dilation * (rows - 1) / 2, dilation * (columns - 1) / 2);
    let mut pixels = Vec::with_capacity(to_height * to_width);
    for row in 0..to_height {
        for column in 0..to_width {
            let mut inside = Vec::new();
            for ky in 0..rows {
                for kx in 0..columns {
                    let (y, x) = (
                        row * stride + ky * dilation,
                        column * stride + kx * dilation,
                    );
                    if (padding.0..padding.0 + height).contains(&y)
                        && (padding.1..padding.1 + width).contains(&x)
                    {
                        let pixel = (y - padding.0) * width + (x - padding.1);
                        inside.push((ky * columns + kx, pixel));
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
    let ((_, width), (to_height, to_width)) = (from.plane(), to.plane());
    let ((rows, columns), stride) = (window.extents(from), usize::from(window.stride()));
    let mut result = Vec::with_capacity(to.values());
    for row in 0..to_height {
        for column in 0..to_width {
            for channel in 0..channels {
                let mut values = Vec::with_capacity(rows * columns);
                for y in row * stride..row * stride + rows {
                    for x in column * stride..column * stride + columns {
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

/// Channels of all inputs, position by position.
fn concatenated(inputs: &[&[f64]], shapes: &[Shape]) -> Vec<f64> {
    let mut joined = Vec::new();
    for position in 0..shapes[0].positions() {
        for (part, shape) in inputs.iter().zip(shapes) {
            let channels = shape.channels() as usize;
            joined.extend(&part[position * channels..][..channels]);
        }
    }
    joined
}

/// A vector for each code of a row, and for each step of a series the sum of those of its codes.
fn embedded(table: &[f64], input: &[f64], shape: Shape, (codes, width): (u32, usize)) -> Vec<f64> {
    let row = |code: &f64| looked_up(table, *code, codes, width);
    let vectors: Vec<Vec<f64>> = input.iter().map(row).collect();
    let summed = match shape {
        Shape::Sequence { channels, .. } => channels as usize,
        Shape::Flat { .. } | Shape::Image { .. } => 1,
    };
    let sum = |vectors: &[Vec<f64>]| -> Vec<f64> {
        let value = |place: usize| vectors.iter().map(|vector| vector[place]).sum();
        (0..width).map(value).collect()
    };
    vectors.chunks(summed).flat_map(sum).collect()
}

/// The row of a table for a code; row 0 for what is no code.
fn looked_up(table: &[f64], code: f64, codes: u32, width: usize) -> Vec<f64> {
    let is_known = code >= 0.0 && code < f64::from(codes);
    let row = if is_known { code as usize } else { 0 };
    table[row * width..][..width].to_vec()
}

/// An activation from its definition.
fn activated(layer: &Layer, x: f64) -> f64 {
    match layer {
        Layer::Relu if x > 0.0 => x,
        Layer::Relu => 0.0,
        Layer::Gelu => 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
        Layer::Silu => x * sigmoid(x),
        Layer::Sigmoid => sigmoid(x),
        other => unreachable!("{} is no activation", other.kind()),
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Scaled dot-product attention of several heads (Vaswani et al. 2017, arXiv:1706.03762, equation 1),
/// between a projection to queries, keys and values and one of all heads' results.
fn attention(weights: &ReferenceWeights, layer: LayerId, input: &[f64], heads: usize) -> Vec<f64> {
    let values = |part| weights.values(layer, part);
    let channels = values("projection_bias").len();
    let width = channels / heads;
    let (weight, bias) = (values("weight"), values("bias"));
    let projected: Vec<Vec<f64>> = input
        .chunks_exact(channels)
        .map(|step| dense(step, weight, bias))
        .collect();
    let mut result = Vec::with_capacity(input.len());
    for asking in &projected {
        let mut mixed = Vec::with_capacity(channels);
        for head in 0..heads {
            let query = &asking[head * width..][..width];
            let scores = projected.iter().map(|asked| {
                let key = &asked[channels + head * width..][..width];
                let product: f64 = query.iter().zip(key).map(|(q, k)| q * k).sum();
                product / (width as f64).sqrt()
            });
            let scores: Vec<f64> = scores.collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let scores: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
            let sum: f64 = scores.iter().sum();
            mixed.extend((0..width).map(|place| {
                let value = |asked: &Vec<f64>| asked[2 * channels + head * width + place];
                let shares = scores.iter().zip(&projected);
                shares
                    .map(|(score, asked)| score / sum * value(asked))
                    .sum::<f64>()
            }));
        }
        result.extend(dense(
            &mixed,
            values("projection"),
            values("projection_bias"),
        ));
    }
    result
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
