//! Convolution with kernels of three or five taps and stride 1 by a fraction of the multiplications.
//!
//! Winograd's minimal filtering (Lavin & Gray 2016, arXiv:1509.09308, section 4): over an image tiles of
//! 4×4 outputs of a 3×3 kernel, or of 2×2 of a 5×5 one, are made from 6×6 inputs with 36 products
//! instead of 144 or 100; over a series 4 or 2 outputs from 6 inputs with 6 products instead of 12 or
//! 10. Notation: `d` a tile of inputs, `g` a kernel, `Y` its outputs, `Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`; the
//! products ⊙, summed over the input channels, are matrix products, one for each place of the
//! transformed tile. The gradient of the kernel is the transpose of the same sum:
//! `dg = Gᵀ[Σ (Bᵀ d B) ⊙ (A dY Aᵀ)]G`.
//!
//! Sums are rounded at other places than in the direct way. The error, some 10⁻⁶ of the values' root mean
//! square against 10⁻⁷ (`the_error_is_small` holds it to that), is still far below what a batch of
//! examples says about a gradient.

mod transform;

use super::{
    Ending, LANES,
    geometry::Geometry,
    packed::{Group, groups},
    tile::{Sweep, TileTransforms, Walk, mixed_gradient_tile, mixed_tile, tile_transforms},
};
use crate::vector::Store;
pub(super) use transform::{
    Plane, Taps, Tile, gather, kernel_gradient, spread, spread_gradient, spread_kernel,
};

/// Inputs of a tile, and points of interpolation, along one axis.
const POINTS: usize = 6;

/// The direct way must need so many times the products, or the transforms cost more than is saved.
const SAVING_MIN: f64 = 1.5;

/// With fewer channels on either side the transforms cost more than they save.
const CHANNELS_MIN: usize = 12;

/// Larger transformed kernels (4 MiB and more) do not stay in any second-level cache.
const KERNEL_FLOATS_MAX: usize = 1 << 20;

/// Floats of transformed tiles on both sides: 384 KiB, less than half of a second-level cache.
const TILES_FLOATS: usize = 96 * 1024;

/// Fewer tiles at once do not pay for reading the transformed kernel.
const TILES_MIN: usize = 16;

/// Tiles that are asked for before they are needed, …
const TILES_AHEAD: usize = 3;

/// … where images take more than this, 2 MiB: less is in a cache already.
const CACHED_FLOATS: usize = 1 << 19;

/// A convolution that keeps an image's extents, in tiles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Winograd {
    /// 1 over a series, whose extent is its height here, and 2 over an image.
    axes: usize,
    /// Taps along an axis: 3 or 5.
    taps: usize,
    height: usize,
    width: usize,
    channels: usize,
    out_channels: usize,
}

impl Winograd {
    /// The convolution in tiles, where that is faster.
    pub(super) fn of(geometry: &Geometry, out_channels: usize) -> Option<Winograd> {
        let (axes, taps) = match (geometry.kernel_height, geometry.kernel_width) {
            (3, 3) => (2, 3),
            (5, 5) => (2, 5),
            (1, 3) if geometry.height == 1 => (1, 3),
            (1, 5) if geometry.height == 1 => (1, 5),
            _ => return None,
        };
        let (height, width) = match axes {
            1 => (geometry.width, 1),
            _ => (geometry.height, geometry.width),
        };
        let winograd = Winograd {
            axes,
            taps,
            height,
            width,
            channels: geometry.channels,
            out_channels,
        };
        let direct = height * width * geometry.taps();
        let saving = direct as f64 / (winograd.tiles_per_image() * winograd.places()) as f64;
        let fits = (geometry.stride, geometry.dilation) == (1, 1)
            && geometry.channels.min(out_channels) >= CHANNELS_MIN
            && winograd.kernel_len() <= KERNEL_FLOATS_MAX
            && saving >= SAVING_MIN;
        fits.then_some(winograd)
    }

    /// Outputs of a tile along an axis.
    fn out(&self) -> usize {
        POINTS + 1 - self.taps
    }

    /// Values of a transformed tile.
    fn places(&self) -> usize {
        POINTS.pow(self.axes as u32)
    }

    fn transforms(&self) -> TileTransforms {
        tile_transforms(self.out(), self.axes)
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
        self.height.div_ceil(self.out()) * self.width.div_ceil(self.out())
    }

    fn tiles_at_once(&self) -> usize {
        let each = self.places() * (self.channels + self.out_channels);
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
        self.places() * self.channels * Winograd::lanes(self.out_channels)
    }

    /// Scratch of [`Winograd::convolve`] and [`Winograd::weight_gradient`], in floats.
    pub(super) fn scratch_len(&self) -> usize {
        let tiles = self.plane_len(self.channels) + self.plane_len(self.out_channels);
        self.kernel_len() + self.places() * tiles
    }

    fn split_scratch<'a>(&self, scratch: &'a mut [f32]) -> [&'a mut [f32]; 3] {
        let (kernel, rest) = scratch.split_at_mut(self.kernel_len());
        let (seen, rest) = rest.split_at_mut(self.places() * self.plane_len(self.channels));
        [
            kernel,
            seen,
            &mut rest[..self.places() * self.plane_len(self.out_channels)],
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
        let (out, columns) = (self.out(), self.width.div_ceil(self.out()));
        (image, rest / columns * out, rest % columns * out)
    }

    /// Outputs of some images; `turned` if the kernel is `[ky][kx][out][in]` and brings gradients back.
    ///
    /// # Shapes
    /// `images: [n][height][width][in]`, `out: [n][height][width][out]`, `weight: [taps][taps][in][out]`.
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
        let mut taps: Taps = [[0.0; LANES]; 25];
        for group in groups(self.out_channels) {
            let width = group.vectors * LANES;
            for (channel, vector) in
                (0..self.channels).flat_map(|c| (0..group.vectors).map(move |v| (c, v)))
            {
                let first = group.first + vector * LANES;
                self.read_taps(weight, turned, (channel, first), &mut taps);
                let at = group.first * self.channels + channel * width + vector * LANES;
                let to = Plane::new(kernel, self.places(), at, plane);
                // SAFETY: this CPU's level; each plane has room for sixteen floats here.
                unsafe { (self.transforms().spread_kernel)(&taps, to) };
            }
        }
    }

    /// Taps of the whole kernel.
    fn kernel_taps(&self) -> usize {
        self.taps.pow(self.axes as u32)
    }

    /// The kernel from one channel to sixteen, 0 where there are fewer.
    fn read_taps(
        &self,
        weight: &[f32],
        turned: bool,
        (channel, first): (usize, usize),
        taps: &mut Taps,
    ) {
        let count = LANES.min(self.out_channels - first);
        let all = self.kernel_taps();
        for (tap, lanes) in taps[..all].iter_mut().enumerate() {
            lanes.fill(0.0);
            if turned {
                let turned = all - 1 - tap;
                let start = (turned * self.out_channels + first) * self.channels + channel;
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

    /// Behind the last of these tiles at which a later one should be asked for.
    fn asked_for(images: &[f32], tiles: &std::ops::Range<usize>) -> usize {
        match images.len() > CACHED_FLOATS {
            true => tiles.end.saturating_sub(TILES_AHEAD),
            false => 0,
        }
    }

    /// `Bᵀ d B` of some tiles, as `[place][block][tile][16]`.
    fn spread_tiles(&self, images: &[f32], tiles: std::ops::Range<usize>, seen: &mut [f32]) {
        let plane = self.plane_len(self.channels);
        let transforms = self.transforms();
        let end = Winograd::asked_for(images, &tiles);
        for (index, tile) in tiles.enumerate() {
            if tile < end {
                let soon = self.seen_tile(images, self.place(tile + TILES_AHEAD), 0);
                soon.prefetch(self.channels);
            }
            let place = self.place(tile);
            for first in (0..self.channels).step_by(LANES) {
                let source = self.seen_tile(images, place, first);
                let at = (first / LANES * self.tiles_at_once() + index) * LANES;
                let to = Plane::new(seen, self.places(), at, plane);
                // SAFETY: this CPU's level; the tile says which of its pixels lie in the image.
                unsafe { (transforms.spread)(&source, to) };
            }
        }
    }

    /// The pixels that a tile's outputs see: six along each axis.
    fn seen_tile(&self, images: &[f32], place: (usize, usize, usize), first: usize) -> Tile {
        let (image, row, column) = place;
        let margin = self.taps / 2;
        let pixel = (image * self.height + row) * self.width + column;
        // Rows and columns of the tile that lie in the image; over one axis there is one column.
        let inside = |place: usize, extent: usize| {
            (
                margin.saturating_sub(place),
                (extent - place + margin).min(POINTS),
            )
        };
        let (columns, left) = match self.axes {
            1 => ((0, 1), 0),
            _ => (inside(column, self.width), margin),
        };
        Tile {
            start: images
                .as_ptr()
                .cast_mut()
                .wrapping_add(pixel * self.channels + first)
                .wrapping_sub((margin * self.width + left) * self.channels),
            row: self.width * self.channels,
            pixel: self.channels,
            rows: inside(row, self.height),
            columns,
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
        let transforms = self.transforms();
        for (index, tile) in tiles.enumerate() {
            let place = self.place(tile);
            for first in (0..self.out_channels).step_by(LANES) {
                let count = LANES.min(self.out_channels - first);
                let finish = ending.finish(first, count, self.out_channels);
                let target = self.made_tile(out.as_mut_ptr(), place, first);
                let from = Plane::new(made, self.places(), index * lanes + first, plane);
                // SAFETY: this CPU's level; the tile says which of its pixels lie in the image.
                unsafe { (transforms.gather)(from, &finish, &target) };
            }
        }
    }

    /// The pixels of a tile's outputs.
    fn made_tile(&self, images: *mut f32, place: (usize, usize, usize), first: usize) -> Tile {
        let (image, row, column) = place;
        let pixel = (image * self.height + row) * self.width + column;
        Tile {
            start: images.wrapping_add(pixel * self.out_channels + first),
            row: self.width * self.out_channels,
            pixel: self.out_channels,
            rows: (0, (self.height - row).min(self.out())),
            columns: (0, (self.width - column).min(self.out())),
            lanes: LANES.min(self.out_channels - first),
        }
    }

    /// The gradient of the kernel, overwritten.
    ///
    /// # Shapes
    /// `images` and `gradient` as images and outputs of [`Winograd::convolve`], `into: [taps][taps][in][out]`.
    pub(super) fn weight_gradient(
        &self,
        images: &[f32],
        gradient: &[f32],
        into: &mut [f32],
        scratch: &mut [f32],
    ) {
        let [kernel, seen, arrived] = self.split_scratch(scratch);
        let lanes = Winograd::lanes(self.out_channels);
        let transforms = self.transforms();
        let mut store = Store::Write;
        for tiles in self.pieces(self.images(images, gradient)) {
            self.spread_tiles(images, tiles.clone(), seen);
            let end = Winograd::asked_for(gradient, &tiles);
            for (index, tile) in tiles.clone().enumerate() {
                let from = gradient.as_ptr().cast_mut();
                if tile < end {
                    let soon = self.made_tile(from, self.place(tile + TILES_AHEAD), 0);
                    soon.prefetch(self.out_channels);
                }
                let place = self.place(tile);
                for first in (0..self.out_channels).step_by(LANES) {
                    let source = self.made_tile(from, place, first);
                    let at = index * lanes + first;
                    let plane = self.plane_len(self.out_channels);
                    let to = Plane::new(arrived, self.places(), at, plane);
                    // SAFETY: as in `spread_tiles`.
                    unsafe { (transforms.spread_gradient)(&source, to) };
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
        let mut taps: Taps = [[0.0; LANES]; 25];
        for channel in 0..self.channels {
            for first in (0..self.out_channels).step_by(LANES) {
                let (at, plane) = (channel * lanes + first, self.channels * lanes);
                let from = Plane::new(kernel, self.places(), at, plane);
                // SAFETY: this CPU's level; each plane holds sixteen floats here.
                unsafe { (self.transforms().kernel_gradient)(from, &mut taps) };
                let count = LANES.min(self.out_channels - first);
                for (tap, values) in taps[..self.kernel_taps()].iter().enumerate() {
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

    /// Error of the outputs and of the kernel's gradient, against sums in `f64`.
    fn errors(geometry: &Geometry, out_channels: usize) -> [f64; 2] {
        let winograd = Winograd::of(geometry, out_channels).expect("a case for tiles");
        let (height, width, channels) = (geometry.height, geometry.width, geometry.channels);
        let (rows, columns) = (geometry.kernel_height, geometry.kernel_width);
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        let image = draw(height * width * channels);
        let gradient = draw(height * width * out_channels);
        let weight = draw(rows * columns * channels * out_channels);
        let (mut forward, mut weights) =
            (vec![0.0_f64; gradient.len()], vec![0.0_f64; weight.len()]);
        let taps = rows * columns;
        for (place, tap) in (0..height * width).flat_map(|p| (0..taps).map(move |tap| (p, tap))) {
            let y = (place / width + tap / columns).checked_sub(rows / 2);
            let x = (place % width + tap % columns).checked_sub(columns / 2);
            let (Some(y), Some(x)) = (y.filter(|y| *y < height), x.filter(|x| *x < width)) else {
                continue;
            };
            let seen = &image[(y * width + x) * channels..][..channels];
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
        [distance(&out, &forward), distance(&into, &weights)]
    }

    #[test]
    fn the_error_is_small() {
        for (extents, kernel) in [
            ((9, 9), (3, 3)),
            ((8, 8), (5, 5)),
            ((1, 40), (1, 3)),
            ((1, 40), (1, 5)),
        ] {
            let [outputs, weights] = errors(&geometry(extents, 48, kernel, 1, 1), 32);
            assert!(outputs < 1.5e-6, "{kernel:?}, outputs: {outputs:e}");
            assert!(weights < 1.5e-6, "{kernel:?}, weights: {weights:e}");
        }
    }
}
