//! Batch norm: each channel over the whole batch and all positions, with a rectifier in the same
//! pass.
//!
//! Statistics are taken in one pass, shifted by the first example's values so that nothing cancels,
//! summed in `f32` over a few rows and in `f64` beyond; the backward pass reads everything twice.
//! Running statistics as in PyTorch: momentum 0.1, unbiased variance.
//!
//! Notation: `x` input, `g` gradient behind the rectifier, `n` values per channel, `μ, σ²` statistics,
//! `y = a·x + b` with `a = gain/√(σ² + ε)` and `b = shift − a·μ`. Then (Ioffe & Szegedy 2015,
//! arXiv:1502.03167, section 3) `dx = a·g + q·(x − μ) + r`, where
//! `q = −a·Σg(x − μ)/((σ² + ε)·n)` and `r = −a·Σg/n`.

use crate::{
    buffers::{LINE, Region},
    pass::Mode,
    step::{Frame, Parameter, Part, Sink, Source, Statistic},
    vector::{Activation, Store, tile_len, vectorised},
};

/// Keeps the roots of batch and layer norms away from 0; PyTorch's default.
pub(crate) const EPSILON: f64 = 1e-5;

/// Share of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Tiles summed in `f32` before they go into the `f64` sums.
const TILES_PER_SUM: usize = 16;

/// A batch norm layer.
#[derive(Clone, Debug)]
pub(crate) struct BatchNorm {
    pub(crate) input: Source,
    pub(crate) output: Sink,
    pub(crate) gain: Parameter,
    pub(crate) shift: Parameter,
    pub(crate) mean: Statistic,
    pub(crate) variance: Statistic,
    pub(crate) activation: Activation,
    pub(crate) channels: usize,
    /// What it remembers from forward to backward: see [`Memory`].
    pub(crate) memory: Region,
    /// Whether the convolution before it does its work where the statistics are known beforehand.
    pub(crate) is_done_before: bool,
}

/// The pieces of a batch norm's memory.
struct Memory {
    /// `f64` sums of each thread: two per channel.
    sums: Region,
    /// Rows of coefficients, each repeated to a tile: a, b, μ, q, r.
    rows: [Region; 5],
    /// σ² + ε, one per channel.
    spread: Region,
}

const SCALE: usize = 0;
const OFFSET: usize = 1;
const MEAN: usize = 2;
const SLOPE: usize = 3;
const REST: usize = 4;

fn whole(len: usize) -> usize {
    len.next_multiple_of(LINE)
}

impl BatchNorm {
    /// Memory it needs from forward to backward, in floats.
    pub(crate) fn memory_len(channels: usize, threads: usize) -> usize {
        threads * whole(4 * channels) + 5 * whole(tile_len(channels)) + whole(channels)
    }

    /// Scratch it needs, in floats per thread.
    pub(crate) fn scratch_len(channels: usize) -> usize {
        3 * tile_len(channels)
    }

    fn memory(&self, threads: usize) -> Memory {
        let mut start = 0;
        let mut take = |len: usize| {
            let region = self.memory.part(start..start + len);
            start += whole(len);
            region
        };
        Memory {
            sums: take(threads * whole(4 * self.channels)),
            rows: std::array::from_fn(|_| take(tile_len(self.channels))),
            spread: take(self.channels),
        }
    }

    /// Scale and offset of each channel by the running statistics, for who multiplies and adds.
    pub(crate) fn running_coefficients<'a>(&self, frame: &Frame<'a>) -> [&'a [f32]; 2] {
        let memory = self.memory(frame.crew.size());
        let mean = frame.statistic(&self.mean).iter();
        let variance = frame.statistic(&self.variance).iter();
        let statistics = mean
            .map(|mean| f64::from(*mean))
            .zip(variance.map(|v| f64::from(*v)));
        self.set_coefficients(frame, &memory, statistics);
        [SCALE, OFFSET].map(|row| &frame.view.read(memory.rows[row])[..self.channels])
    }

    pub(crate) fn forward(&self, frame: &Frame<'_>) {
        if self.is_done_before && frame.joins_norms() {
            return;
        }
        let memory = self.memory(frame.crew.size());
        match frame.mode {
            Mode::Eval => {
                self.running_coefficients(frame);
            }
            Mode::BatchStatistics | Mode::Train { .. } => self.measure(frame, &memory),
        }
        let view = frame.view;
        frame.split(|part| {
            let input = part.read(self.input.value);
            let (scale, offset) = (
                view.read(memory.rows[SCALE]),
                view.read(memory.rows[OFFSET]),
            );
            normalise(
                part.write(self.output.value),
                input,
                scale,
                offset,
                self.activation,
            );
        });
    }

    /// Statistics of this batch, over all threads; running ones follow when training.
    fn measure(&self, frame: &Frame<'_>, memory: &Memory) {
        let channels = self.channels;
        let first = frame.view.read(self.input.value.region.part(0..channels));
        frame.split(|part| {
            let tiles = part.scratch(BatchNorm::scratch_len(channels));
            let sums = part_sums(part, memory, channels);
            batch_sums(part.read(self.input.value), first, tiles, sums);
        });
        let count = (frame.rows * self.input.value.item / channels) as f64;
        let totals = totals(frame, memory, channels);
        let statistics = (0..channels).map(|channel| {
            let (sum, squares) = (totals[2 * channel], totals[2 * channel + 1]);
            let mean = sum / count;
            (
                f64::from(first[channel]) + mean,
                (squares / count - mean * mean).max(0.0),
            )
        });
        if matches!(frame.mode, Mode::Train { .. }) {
            self.follow(frame, statistics.clone(), count);
        }
        self.set_coefficients(frame, memory, statistics);
    }

    fn follow(&self, frame: &Frame<'_>, statistics: impl Iterator<Item = (f64, f64)>, count: f64) {
        let unbiased = count / (count - 1.0).max(1.0);
        let running = frame
            .statistic(&self.mean)
            .iter_mut()
            .zip(frame.statistic(&self.variance));
        for ((running_mean, running_variance), (mean, variance)) in running.zip(statistics) {
            let toward =
                |old: f32, new: f64| ((1.0 - MOMENTUM) * f64::from(old) + MOMENTUM * new) as f32;
            *running_mean = toward(*running_mean, mean);
            *running_variance = toward(*running_variance, variance * unbiased);
        }
    }

    fn set_coefficients(
        &self,
        frame: &Frame<'_>,
        memory: &Memory,
        statistics: impl Iterator<Item = (f64, f64)>,
    ) {
        let view = frame.view;
        let [scale, offset, means] = [SCALE, OFFSET, MEAN].map(|row| view.write(memory.rows[row]));
        let spread = view.write(memory.spread);
        let (gain, shift) = (frame.parameter(&self.gain), frame.parameter(&self.shift));
        for (channel, (mean, variance)) in statistics.enumerate() {
            let deviation = (variance + EPSILON).sqrt();
            let factor = f64::from(gain[channel]) / deviation;
            spread[channel] = (variance + EPSILON) as f32;
            scale[channel] = factor as f32;
            offset[channel] = (f64::from(shift[channel]) - factor * mean) as f32;
            means[channel] = mean as f32;
        }
        [scale, offset, means]
            .into_iter()
            .for_each(|row| repeat(row, self.channels));
    }

    pub(crate) fn backward(&self, frame: &Frame<'_>) {
        let memory = self.memory(frame.crew.size());
        let (channels, view) = (self.channels, frame.view);
        frame.split(|part| {
            let gradient = part.arrived(&self.output);
            let tiles = part.scratch(BatchNorm::scratch_len(channels));
            let sums = part_sums(part, &memory, channels);
            let input = part.read(self.input.value);
            let mean = view.read(memory.rows[MEAN]);
            match self.activation {
                Activation::Linear => gradient_sums(gradient, input, mean, tiles, sums),
                Activation::Relu => {
                    let rows = [SCALE, OFFSET].map(|row| view.read(memory.rows[row]));
                    masked_gradient_sums(gradient, input, mean, rows, tiles, sums);
                }
            }
        });
        self.gather_gradients(frame, &memory);
        let Some((value, store)) = self.input.gradient else {
            return;
        };
        frame.split(|part| {
            let rows = [SCALE, MEAN, SLOPE, REST].map(|row| view.read(memory.rows[row]));
            let gradient: &[f32] = part.arrived(&self.output);
            spread_gradient(
                part.write(value),
                gradient,
                part.read(self.input.value),
                rows,
                store,
            );
        });
    }

    /// Gradients of gain and shift, and the coefficients of the second pass.
    fn gather_gradients(&self, frame: &Frame<'_>, memory: &Memory) {
        let channels = self.channels;
        let totals = totals(frame, memory, channels);
        let count = (frame.rows * self.input.value.item / channels) as f64;
        let (gain, shift) = (frame.gradient(&self.gain), frame.gradient(&self.shift));
        let scale = frame.view.read(memory.rows[SCALE]);
        let spread = frame.view.read(memory.spread);
        let [slope, rest] = [SLOPE, REST].map(|row| frame.view.write(memory.rows[row]));
        for channel in 0..channels {
            let (sum, product) = (totals[2 * channel], totals[2 * channel + 1]);
            let (spread, scale) = (f64::from(spread[channel]), f64::from(scale[channel]));
            gain[channel] = (product / spread.sqrt()) as f32;
            shift[channel] = sum as f32;
            // Running statistics do not depend on the batch: only `a·g` is left.
            let batch = if frame.mode == Mode::Eval { 0.0 } else { 1.0 };
            slope[channel] = (-batch * scale * product / (spread * count)) as f32;
            rest[channel] = (-batch * scale * sum / count) as f32;
        }
        [slope, rest]
            .into_iter()
            .for_each(|row| repeat(row, channels));
    }
}

fn part_sums<'a>(part: &Part<'a>, memory: &Memory, channels: usize) -> &'a mut [f64] {
    let stride = whole(4 * channels);
    let start = part.thread * stride;
    part.frame
        .view
        .write_doubles(memory.sums.part(start..start + 4 * channels))
}

/// Adds the threads' sums in thread order into the first thread's.
fn totals<'a>(frame: &Frame<'a>, memory: &Memory, channels: usize) -> &'a [f64] {
    let stride = whole(4 * channels);
    let sums = |thread: usize| {
        let start = thread * stride;
        frame
            .view
            .write_doubles(memory.sums.part(start..start + 4 * channels))
    };
    let total = sums(0);
    for thread in 1..frame.crew.size() {
        total
            .iter_mut()
            .zip(sums(thread))
            .for_each(|(total, sum)| *total += *sum);
    }
    total
}

/// Repeats the first `channels` values to the end of the row.
fn repeat(row: &mut [f32], channels: usize) {
    let (first, rest) = row.split_at_mut(channels);
    rest.chunks_exact_mut(channels)
        .for_each(|chunk| chunk.copy_from_slice(first));
}

/// Adds both `f32` tiles to the `f64` sums (two per channel) and clears them.
#[inline(always)]
fn drain(tiles: (&mut [f32], &mut [f32]), sums: &mut [f64]) {
    let channels = sums.len() / 2;
    for (one, two) in tiles
        .0
        .chunks_exact(channels)
        .zip(tiles.1.chunks_exact(channels))
    {
        for ((one, two), sums) in one.iter().zip(two).zip(sums.chunks_exact_mut(2)) {
            sums[0] += f64::from(*one);
            sums[1] += f64::from(*two);
        }
    }
    tiles.0.fill(0.0);
    tiles.1.fill(0.0);
}

vectorised! {
    /// Σ(x − first) and Σ(x − first)² of each channel, as pairs.
    fn batch_sums(input: &[f32], first: &[f32], tiles: &mut [f32], sums: &mut [f64]) {
        let tile = tiles.len() / 3;
        let (one, rest) = tiles.split_at_mut(tile);
        let (two, origin) = rest.split_at_mut(tile);
        origin.chunks_exact_mut(first.len()).for_each(|chunk| chunk.copy_from_slice(first));
        one.fill(0.0);
        two.fill(0.0);
        sums.fill(0.0);
        for group in input.chunks(tile * TILES_PER_SUM) {
            for values in group.chunks(tile) {
                let sums = one.iter_mut().zip(two.iter_mut());
                for (((one, two), value), origin) in sums.zip(values).zip(origin.iter()) {
                    let distance = *value - *origin;
                    *one += distance;
                    *two += distance * distance;
                }
            }
            drain((one, two), sums);
        }
    }

    /// `out = max(floor, scale·x + offset)`, coefficients repeating every tile.
    fn normalise(
        out: &mut [f32],
        input: &[f32],
        scale: &[f32],
        offset: &[f32],
        activation: Activation,
    ) {
        let floor = activation.floor();
        for (out, input) in out.chunks_mut(scale.len()).zip(input.chunks(scale.len())) {
            let coefficients = scale.iter().zip(offset);
            for ((out, input), (scale, offset)) in out.iter_mut().zip(input).zip(coefficients) {
                let value = *input * *scale + *offset;
                *out = if value < floor { floor } else { value };
            }
        }
    }

    /// Σg and Σg(x − μ) of each channel, as pairs.
    fn gradient_sums(
        gradient: &[f32],
        input: &[f32],
        mean: &[f32],
        tiles: &mut [f32],
        sums: &mut [f64],
    ) {
        let tile = mean.len();
        let (one, rest) = tiles.split_at_mut(tile);
        let two = &mut rest[..tile];
        one.fill(0.0);
        two.fill(0.0);
        sums.fill(0.0);
        let size = tile * TILES_PER_SUM;
        for (gradient, input) in gradient.chunks(size).zip(input.chunks(size)) {
            for (gradient, input) in gradient.chunks(tile).zip(input.chunks(tile)) {
                let values = gradient.iter().zip(input).zip(mean);
                let sums = one.iter_mut().zip(two.iter_mut());
                for ((one, two), ((gradient, input), mean)) in sums.zip(values) {
                    *one += *gradient;
                    *two += *gradient * (*input - *mean);
                }
            }
            drain((one, two), sums);
        }
    }

    /// The same behind a rectifier, whose gradient is taken on the way, in place; `rows` are scale and
    /// offset. What `normalise` computed is found again: the same operations give the same signs.
    fn masked_gradient_sums(
        gradient: &mut [f32],
        input: &[f32],
        mean: &[f32],
        rows: [&[f32]; 2],
        tiles: &mut [f32],
        sums: &mut [f64],
    ) {
        let tile = mean.len();
        let (one, rest) = tiles.split_at_mut(tile);
        let two = &mut rest[..tile];
        one.fill(0.0);
        two.fill(0.0);
        sums.fill(0.0);
        let size = tile * TILES_PER_SUM;
        for (gradient, input) in gradient.chunks_mut(size).zip(input.chunks(size)) {
            for (gradient, input) in gradient.chunks_mut(tile).zip(input.chunks(tile)) {
                masked_row(gradient, one, two, input, mean, rows[0], rows[1]);
            }
            drain((one, two), sums);
        }
    }

    /// `dx = a·g + q·(x − μ) + r`; the rows are a, μ, q, r.
    fn spread_gradient(
        out: &mut [f32],
        gradient: &[f32],
        input: &[f32],
        rows: [&[f32]; 4],
        store: Store,
    ) {
        let [scale, mean, slope, rest] = rows;
        let add = store == Store::Add;
        let tile = scale.len();
        let values = gradient.chunks(tile).zip(input.chunks(tile));
        for (out, (gradient, input)) in out.chunks_mut(tile).zip(values) {
            let len = out.len();
            let (gradient, input) = (&gradient[..len], &input[..len]);
            let (scale, mean) = (&scale[..len], &mean[..len]);
            let (slope, rest) = (&slope[..len], &rest[..len]);
            for i in 0..len {
                let before = if add { out[i] } else { 0.0 };
                let through = scale[i] * gradient[i] + slope[i] * (input[i] - mean[i]) + rest[i];
                out[i] = before + through;
            }
        }
    }
}

/// Takes the gradient of some values through the rectifier and adds both sums.
///
/// A function of its own: as its arguments the slices are known not to overlap, and only then the
/// compiler makes vectors of the loop.
#[inline(always)]
fn masked_row(
    gradient: &mut [f32],
    one: &mut [f32],
    two: &mut [f32],
    input: &[f32],
    mean: &[f32],
    scale: &[f32],
    offset: &[f32],
) {
    let len = gradient.len();
    let (one, two) = (&mut one[..len], &mut two[..len]);
    let (input, mean) = (&input[..len], &mean[..len]);
    let (scale, offset) = (&scale[..len], &offset[..len]);
    for i in 0..len {
        let passes = input[i] * scale[i] + offset[i] > 0.0;
        let through = if passes { gradient[i] } else { 0.0 };
        gradient[i] = through;
        one[i] += through;
        two[i] += through * (input[i] - mean[i]);
    }
}
