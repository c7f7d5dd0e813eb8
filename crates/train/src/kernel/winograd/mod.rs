//! Convolution with a 3×3 kernel of stride 1 by a quarter of the multiplications.
//!
//! Winograd's minimal filtering F(4×4, 3×3) (Lavin & Gray 2016, arXiv:1509.09308, section 4.3): tiles of
//! 4×4 outputs are made from 6×6 inputs. Notation: `d` a tile of inputs, `g` a kernel, `Y` its outputs,
//! `Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`; the products ⊙, summed over the input channels, are 36 matrix
//! products, one for each place of the transformed tile. The gradient of the kernel is the transpose
//! of the same sum: `dg = Gᵀ[Σ (Bᵀ d B) ⊙ (A dY Aᵀ)]G`.
//!
//! Sums are rounded at other places than in the direct way. The error, some 10⁻⁶ of the values' root mean
//! square against 10⁻⁷ (`the_error_is_small` holds it to that), is still far below what a batch of
//! examples says about a gradient.

mod transform;

use super::{
    Ending, LANES,
    geometry::Geometry,
    packed::{Group, groups},
    tile::{Sweep, Walk, mixed_gradient_tile, mixed_tile, tile_transforms},
};
use crate::vector::Store;
pub(super) use transform::{
    Plane, Tile, gather, kernel_gradient, spread, spread_gradient, spread_kernel,
};

/// Outputs of a tile along one axis.
const OUT: usize = 4;

/// Values of a transformed tile.
const PLACES: usize = 36;

/// With fewer channels on either side the transforms cost more than they save.
const CHANNELS_MIN: usize = 12;

/// Larger transformed kernels (4 MiB and more) do not stay in any second-level cache.
const KERNEL_FLOATS_MAX: usize = 1 << 20;

/// Floats of transformed tiles on both sides: 384 KiB, less than half of a second-level cache.
const TILES_FLOATS: usize = 96 * 1024;

/// Fewer tiles at once do not pay for reading the transformed kernel.
const TILES_MIN: usize = 16;

/// A convolution that keeps an image's extents, in tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    height: usize,
    width: usize,
    channels: usize,
    out_channels: usize,
}

impl Winograd {
    /// The convolution in tiles, where that is faster.
    pub(super) fn of(geometry: &Geometry, out_channels: usize) -> Option<Winograd> {
        let winograd = Winograd {
            height: geometry.height,
            width: geometry.width,
            channels: geometry.channels,
            out_channels,
        };
        let outputs = geometry.height * geometry.width;
        let made = winograd.tiles_per_image() * OUT * OUT;
        let fits = (geometry.kernel_height, geometry.kernel_width) == (3, 3)
            && (geometry.stride, geometry.dilation) == (1, 1)
            && geometry.channels.min(out_channels) >= CHANNELS_MIN
            && winograd.kernel_len() <= KERNEL_FLOATS_MAX
            // At least half of what is made is used.
            && 2 * outputs >= made;
        fits.then_some(winograd)
    }

    /// The way back: channels exchanged.
    pub(super) fn returning(&self) -> Winograd {
        Winograd {
            channels: self.out_channels,
            out_channels: self.channels,
            ..*self
        }
    }

    fn tiles_per_image(&self) -> usize {
        self.height.div_ceil(OUT) * self.width.div_ceil(OUT)
    }

    fn tiles_at_once(&self) -> usize {
        let each = PLACES * (self.channels + self.out_channels);
        (TILES_FLOATS / each).max(TILES_MIN).next_multiple_of(LANES)
    }

    fn lanes(channels: usize) -> usize {
        channels.next_multiple_of(LANES)
    }

    /// Floats of one place of all tiles at once. One more line than there are values, because places
    /// at multiples of 4 KiB would share few sets of the first-level cache.
    fn plane_len(&self, channels: usize) -> usize {
        Winograd::lanes(channels) * self.tiles_at_once() + LANES
    }

    fn kernel_len(&self) -> usize {
        PLACES * self.channels * Winograd::lanes(self.out_channels)
    }

    /// Scratch of [`Winograd::convolve`] and [`Winograd::weight_gradient`], in floats.
    pub(super) fn scratch_len(&self) -> usize {
        let tiles = self.plane_len(self.channels) + self.plane_len(self.out_channels);
        self.kernel_len() + PLACES * tiles
    }

    fn split_scratch<'a>(&self, scratch: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let (kernel, rest) = scratch.split_at_mut(self.kernel_len());
        let (seen, rest) = rest.split_at_mut(PLACES * self.plane_len(self.channels));
        [
            kernel,
            seen,
            &mut rest[..PLACES * self.plane_len(self.out_channels)],
        ]
    }

    /// The tiles of some images, in pieces that fit the scratch.
    fn pieces(&self, images: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let (all, step) = (images * self.tiles_per_image(), self.tiles_at_once());
        (0..all)
            .step_by(step)
            .map(move |first| first..all.min(first + step))
    }

    /// How many images these are, on both sides.
    fn images(&self, images: &[f32], out: &[f32]) -> usize {
        let pixels = self.height * self.width;
        let count = images.len() / (pixels * self.channels);
        assert_eq!(images.len(), count * pixels * self.channels, "whole images");
        assert_eq!(
            out.len(),
            count * pixels * self.out_channels,
            "as many outputs"
        );
        count
    }

    /// Where a tile's outputs begin: image, row, column.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (image, rest) = (tile / self.tiles_per_image(), tile % self.tiles_per_image());
        let columns = self.width.div_ceil(OUT);
        (image, rest / columns * OUT, rest % columns * OUT)
    }

    /// Outputs of some images; `turned` if the kernel is `[ky][kx][out][in]` and brings gradients back.
    ///
    /// # Shapes
    /// `images: [n][height][width][in]`, `out: [n][height][width][out]`, `weight: [3][3][in][out]`.
    pub(super) fn convolve(
        &self,
        images: &[f32],
        (weight, turned): (&[f32], bool),
        ending: Ending<'_>,
        out: &mut [f32],
        scratch: &mut [f32],
    ) {
        let [kernel, seen, made] = self.split_scratch(scratch);
        let count = self.images(images, out);
        self.spread_kernel(weight, turned, kernel);
        for tiles in self.pieces(count) {
            self.spread_tiles(images, tiles.clone(), seen);
            self.multiply(tiles.len(), kernel, seen, made);
            self.gather_tiles(tiles, made, ending, out);
        }
    }

    /// `G g Gᵀ` as `[place][group][channel][lanes of the group]`.
    fn spread_kernel(&self, weight: &[f32], turned: bool, kernel: &mut [f32]) {
        let plane = self.channels * Winograd::lanes(self.out_channels);
        let mut taps = [[0.0_f32; LANES]; 9];
        for group in groups(self.out_channels) {
            let width = group.vectors * LANES;
            for (channel, vector) in
                (0..self.channels).flat_map(|c| (0..group.vectors).map(move |v| (c, v)))
            {
                let first = group.first + vector * LANES;
                self.read_taps(weight, turned, (channel, first), &mut taps);
                let at = group.first * self.channels + channel * width + vector * LANES;
                let to = Plane::new(kernel, at, plane);
                // SAFETY: this CPU's level; each of the 36 planes has room for sixteen floats here.
                unsafe { (tile_transforms().spread_kernel)(&taps, to) };
            }
        }
    }

    /// The 3×3 kernel from one channel to sixteen, 0 where there are fewer.
    fn read_taps(
        &self,
        weight: &[f32],
        turned: bool,
        (channel, first): (usize, usize),
        taps: &mut [[f32; LANES]; 9],
    ) {
        let count = LANES.min(self.out_channels - first);
        for (tap, lanes) in taps.iter_mut().enumerate() {
            lanes.fill(0.0);
            if turned {
                let start = ((8 - tap) * self.out_channels + first) * self.channels + channel;
                let from = weight[start..].iter().step_by(self.channels);
                lanes[..count]
                    .iter_mut()
                    .zip(from)
                    .for_each(|(to, from)| *to = *from);
            } else {
                let start = (tap * self.channels + channel) * self.out_channels + first;
                lanes[..count].copy_from_slice(&weight[start..start + count]);
            }
        }
    }

    /// `Bᵀ d B` of some tiles, as `[place][block][tile][16]`.
    fn spread_tiles(&self, images: &[f32], tiles: std::ops::Range<usize>, seen: &mut [f32]) {
        let plane = self.plane_len(self.channels);
        for (index, tile) in tiles.enumerate() {
            for first in (0..self.channels).step_by(LANES) {
                let source = self.seen_tile(images, tile, first);
                let at = (first / LANES * self.tiles_at_once() + index) * LANES;
                let to = Plane::new(seen, at, plane);
                // SAFETY: this CPU's level; the tile says which of its pixels lie in the image.
                unsafe { (tile_transforms().spread)(&source, to) };
            }
        }
    }

    /// The 6×6 pixels that a tile's outputs see.
    fn seen_tile(&self, images: &[f32], tile: usize, first: usize) -> Tile {
        let (image, row, column) = self.place(tile);
        let origin = ((image * self.height + row) * self.width + column) * self.channels + first;
        let margin = (self.width + 1) * self.channels;
        Tile {
            start: images
                .as_ptr()
                .cast_mut()
                .wrapping_add(origin)
                .wrapping_sub(margin),
            row: self.width * self.channels,
            pixel: self.channels,
            rows: (usize::from(row == 0), (self.height - row + 1).min(OUT + 2)),
            columns: (
                usize::from(column == 0),
                (self.width - column + 1).min(OUT + 2),
            ),
            lanes: LANES.min(self.channels - first),
        }
    }

    /// The matrix products of all places.
    fn multiply(&self, tiles: usize, kernel: &[f32], seen: &[f32], made: &mut [f32]) {
        let lanes = Winograd::lanes(self.out_channels);
        let walk = Walk {
            taps: (1, 1),
            channels: self.channels,
            down: 0,
            right: 0,
            block: self.tiles_at_once() * LANES,
        };
        let finish = Ending::plain(Store::Write).finish(0, LANES, lanes);
        let kernels = kernel.chunks_exact(self.channels * lanes);
        let seen = seen.chunks_exact(self.plane_len(self.channels));
        let made = made.chunks_exact_mut(self.plane_len(self.out_channels));
        for ((kernel, seen), made) in kernels.zip(seen).zip(made) {
            for group in groups(self.out_channels) {
                let weight = &kernel[group.first * self.channels..];
                let (mut tile, mut count) = (0, 0);
                let mut product = mixed_tile(1, group.vectors, 1).1;
                while tile < tiles {
                    if count == 0 || tiles - tile < count {
                        (count, product) = mixed_tile(tiles - tile, group.vectors, 1);
                    }
                    let seen = &seen[tile * LANES..];
                    let out = &mut made[tile * lanes + group.first..];
                    // SAFETY: this CPU's level; `count` tiles are left, each with all channels of
                    // `walk`; the group's weights have whole lanes, and so has the room for products.
                    unsafe {
                        let (seen, weight) = (seen.as_ptr(), weight.as_ptr());
                        product(seen, &walk, weight, &finish, out.as_mut_ptr());
                    }
                    tile += count;
                }
            }
        }
    }

    /// `Aᵀ m A` of some tiles, into the images.
    fn gather_tiles(
        &self,
        tiles: std::ops::Range<usize>,
        made: &mut [f32],
        ending: Ending<'_>,
        out: &mut [f32],
    ) {
        let lanes = Winograd::lanes(self.out_channels);
        let plane = self.plane_len(self.out_channels);
        for (index, tile) in tiles.enumerate() {
            for first in (0..self.out_channels).step_by(LANES) {
                let count = LANES.min(self.out_channels - first);
                let finish = ending.finish(first, count, self.out_channels);
                let target = self.made_tile(out.as_mut_ptr(), tile, first);
                let from = Plane::new(made, index * lanes + first, plane);
                // SAFETY: this CPU's level; the tile says which of its pixels lie in the image.
                unsafe { (tile_transforms().gather)(from, &finish, &target) };
            }
        }
    }

    /// The 4×4 pixels of a tile's outputs.
    fn made_tile(&self, images: *mut f32, tile: usize, first: usize) -> Tile {
        let (image, row, column) = self.place(tile);
        let pixel = (image * self.height + row) * self.width + column;
        Tile {
            start: images.wrapping_add(pixel * self.out_channels + first),
            row: self.width * self.out_channels,
            pixel: self.out_channels,
            rows: (0, (self.height - row).min(OUT)),
            columns: (0, (self.width - column).min(OUT)),
            lanes: LANES.min(self.out_channels - first),
        }
    }

    /// The gradient of the kernel, overwritten.
    ///
    /// # Shapes
    /// `images` and `gradient` as images and outputs of [`Winograd::convolve`], `into: [3][3][in][out]`.
    pub(super) fn weight_gradient(
        &self,
        images: &[f32],
        gradient: &[f32],
        into: &mut [f32],
        scratch: &mut [f32],
    ) {
        let [kernel, seen, arrived] = self.split_scratch(scratch);
        let lanes = Winograd::lanes(self.out_channels);
        let mut store = Store::Write;
        for tiles in self.pieces(self.images(images, gradient)) {
            self.spread_tiles(images, tiles.clone(), seen);
            for (index, tile) in tiles.clone().enumerate() {
                for first in (0..self.out_channels).step_by(LANES) {
                    let source = self.made_tile(gradient.as_ptr().cast_mut(), tile, first);
                    let at = index * lanes + first;
                    let to = Plane::new(arrived, at, self.plane_len(self.out_channels));
                    // SAFETY: as in `spread_tiles`.
                    unsafe { (tile_transforms().spread_gradient)(&source, to) };
                }
            }
            for group in groups(self.out_channels) {
                self.sum_products(group, (tiles.len(), seen), arrived, kernel, store);
            }
            store = Store::Add;
        }
        if store == Store::Write {
            return into.fill(0.0);
        }
        self.gather_kernel(kernel, into);
    }

    /// Σ over tiles of what was seen times what arrived, `[place][channel][lanes]`.
    fn sum_products(
        &self,
        group: Group,
        (tiles, seen): (usize, &[f32]),
        arrived: &[f32],
        kernel: &mut [f32],
        store: Store,
    ) {
        let lanes = Winograd::lanes(self.out_channels);
        let sweep = Sweep {
            images: 1,
            image: 0,
            out: (1, tiles),
            down: 0,
            right: LANES,
            pixel: lanes,
            last: LANES,
            add: store == Store::Add,
            row: lanes,
        };
        let kernels = kernel.chunks_exact_mut(self.channels * lanes);
        let seen = seen.chunks_exact(self.plane_len(self.channels));
        let arrived = arrived.chunks_exact(self.plane_len(self.out_channels));
        for ((kernel, seen), arrived) in kernels.zip(seen).zip(arrived) {
            let mut channel = 0;
            while channel < self.channels {
                let (block, lane) = (channel / LANES, channel % LANES);
                let in_block = (self.channels - block * LANES).min(LANES);
                let (count, product) = mixed_gradient_tile(in_block - lane, group.vectors);
                let seen = &seen[block * self.tiles_at_once() * LANES + lane..];
                let out = &mut kernel[channel * lanes + group.first..];
                // SAFETY: this CPU's level; `count` channels of this block are left, and both sides
                // have `tiles` tiles in whole lanes.
                unsafe {
                    let arrived = arrived[group.first..].as_ptr();
                    product(seen.as_ptr(), arrived, &sweep, out.as_mut_ptr());
                }
                channel += count;
            }
        }
    }

    /// `Gᵀ u G`.
    fn gather_kernel(&self, kernel: &mut [f32], into: &mut [f32]) {
        let lanes = Winograd::lanes(self.out_channels);
        let mut taps = [[0.0_f32; LANES]; 9];
        for channel in 0..self.channels {
            for first in (0..self.out_channels).step_by(LANES) {
                let from = Plane::new(kernel, channel * lanes + first, self.channels * lanes);
                // SAFETY: this CPU's level; each of the 36 planes holds sixteen floats here.
                unsafe { (tile_transforms().kernel_gradient)(from, &mut taps) };
                let count = LANES.min(self.out_channels - first);
                for (tap, values) in taps.iter().enumerate() {
                    let start = (tap * self.channels + channel) * self.out_channels + first;
                    into[start..start + count].copy_from_slice(&values[..count]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::kernel::geometry::tests::geometry;

    /// Root of the mean square of the differences, relative to that of the values.
    fn distance(found: &[f32], expected: &[f64]) -> f64 {
        let difference = found.iter().zip(expected);
        let difference: f64 = difference.map(|(f, e)| (f64::from(*f) - e).powi(2)).sum();
        (difference / expected.iter().map(|e| e * e).sum::<f64>()).sqrt()
    }

    #[test]
    fn the_error_is_small() {
        let (extent, channels, out_channels) = (9, 48, 32);
        let geometry = geometry((extent, extent), channels, (3, 3), 1, 1);
        let winograd = Winograd::of(&geometry, out_channels).expect("a case for tiles");
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        let image = draw(extent * extent * channels);
        let gradient = draw(extent * extent * out_channels);
        let weight = draw(9 * channels * out_channels);
        let (mut forward, mut weights) =
            (vec![0.0_f64; gradient.len()], vec![0.0_f64; weight.len()]);
        for (place, tap) in (0..extent * extent).flat_map(|p| (0..9).map(move |tap| (p, tap))) {
            let (y, x) = (place / extent + tap / 3, place % extent + tap % 3);
            if !(1..=extent).contains(&y) || !(1..=extent).contains(&x) {
                continue;
            }
            let seen = &image[((y - 1) * extent + x - 1) * channels..][..channels];
            for (i, value) in seen.iter().enumerate() {
                for o in 0..out_channels {
                    let w = (tap * channels + i) * out_channels + o;
                    let out = place * out_channels + o;
                    forward[out] += f64::from(*value) * f64::from(weight[w]);
                    weights[w] += f64::from(*value) * f64::from(gradient[out]);
                }
            }
        }
        let mut scratch = vec![f32::NAN; winograd.scratch_len()];
        let mut out = vec![f32::NAN; gradient.len()];
        let plain = Ending::plain(Store::Write);
        winograd.convolve(&image, (&weight, false), plain, &mut out, &mut scratch);
        let mut into = vec![f32::NAN; weight.len()];
        winograd.weight_gradient(&image, &gradient, &mut into, &mut scratch);
        let (forward, weights) = (distance(&out, &forward), distance(&into, &weights));
        assert!(forward < 1e-6, "outputs: {forward:e}");
        assert!(weights < 1e-6, "weights: {weights:e}");
    }
}
