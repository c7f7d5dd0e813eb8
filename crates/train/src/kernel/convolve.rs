//! Convolution that mixes all channels: forward, back to the input, and the gradient of its weights.
//!
//! `W` is `[ky][kx][in channels][out channels]`.

use super::{
    LANES,
    geometry::{Geometry, Line},
    packed::{Group, Packing, groups},
    padded::Padded,
    tile::{Finish, Sweep, Walk, mixed_gradient_tile, mixed_tile},
    winograd::Winograd,
};
use crate::vector::Store;

/// Floats of padded images that the gradient of the weights walks over at once: 384 KiB, less than
/// half of a common second-level cache.
const IMAGES_FLOATS: usize = 96 * 1024;

/// What is done with finished outputs: `max(floor, scale·(sum + bias) + offset)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending<'a> {
    /// One per output channel.
    pub(crate) bias: Option<&'a [f32]>,
    /// Scale and offset, one each per output channel.
    pub(crate) scale_offset: Option<[&'a [f32]; 2]>,
    /// The least value.
    pub(crate) floor: f32,
    /// Whether the output is overwritten, or what is there is part of the sum.
    pub(crate) store: Store,
}

impl Ending<'_> {
    /// Nothing is done with the sums but storing them.
    pub(crate) fn plain(store: Store) -> Ending<'static> {
        Ending {
            bias: None,
            scale_offset: None,
            floor: f32::NEG_INFINITY,
            store,
        }
    }

    /// For the channels from `first` on: `count` of them exist.
    pub(super) fn finish(&self, first: usize, count: usize, pixel: usize) -> Finish {
        let from = |values: &[f32]| values[first..first + count].as_ptr();
        Finish {
            bias: self.bias.map(from),
            scale_offset: self.scale_offset.map(|rows| rows.map(from)),
            floor: self.floor,
            add: self.store == Store::Add,
            pixel,
            last: count - (count - 1) / LANES * LANES,
        }
    }
}

/// A convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) geometry: Geometry,
    pub(crate) out_channels: usize,
}

impl Convolution {
    /// The way in tiles, where it is faster.
    fn winograd(&self) -> Option<Winograd> {
        Winograd::of(&self.geometry, self.out_channels)
    }

    /// Scratch of [`Convolution::forward`], in floats.
    pub(crate) fn forward_scratch_len(&self) -> usize {
        if let Some(winograd) = self.winograd() {
            return winograd.scratch_len();
        }
        self.packing(self.geometry.forward()).len() + self.padded_input().len()
    }

    /// Scratch of [`Convolution::input_gradient`], in floats.
    pub(crate) fn input_gradient_scratch_len(&self) -> usize {
        if let Some(winograd) = self.winograd() {
            return winograd.returning().scratch_len();
        }
        let packed = self
            .geometry
            .backward()
            .map(|way| self.returning(way).len());
        packed.sum::<usize>() + self.padded_gradient().len()
    }

    /// Scratch of [`Convolution::weight_gradient`], in floats.
    pub(crate) fn weight_gradient_scratch_len(&self) -> usize {
        if let Some(winograd) = self.winograd() {
            return winograd.scratch_len();
        }
        self.images_at_once() * self.padded_input().len()
    }

    fn images_at_once(&self) -> usize {
        (IMAGES_FLOATS / self.padded_input().len()).max(1)
    }

    fn padded_input(&self) -> Padded {
        let g = &self.geometry;
        let extents = (g.height, g.width, g.channels);
        Padded::new(extents, std::iter::once(g.forward()))
    }

    fn padded_gradient(&self) -> Padded {
        let g = &self.geometry;
        let extents = (g.out_height, g.out_width, self.out_channels);
        Padded::new(extents, g.backward())
    }

    fn packing(&self, way: [Line; 2]) -> Packing {
        Packing {
            way,
            kernel_width: self.geometry.kernel_width,
            channels: self.geometry.channels,
            out_channels: self.out_channels,
            transposed: false,
        }
    }

    fn returning(&self, way: [Line; 2]) -> Packing {
        Packing {
            channels: self.out_channels,
            out_channels: self.geometry.channels,
            transposed: true,
            ..self.packing(way)
        }
    }

    fn out_image(&self) -> usize {
        self.geometry.out_pixels() * self.out_channels
    }

    /// The outputs of some images.
    ///
    /// # Shapes
    /// `images: [n][height][width][in]`, `out: [n][out height][out width][out]`.
    pub(crate) fn forward(
        &self,
        images: &[f32],
        weight: &[f32],
        ending: Ending<'_>,
        out: &mut [f32],
        scratch: &mut [f32],
    ) {
        if let Some(winograd) = self.winograd() {
            return winograd.convolve(images, (weight, false), ending, out, scratch);
        }
        let packing = self.packing(self.geometry.forward());
        let padded = self.padded_input();
        let (packed, block) = scratch.split_at_mut(packing.len());
        packing.pack(weight, packed);
        let images = images.chunks_exact(self.geometry.image());
        for (image, out) in images.zip(out.chunks_exact_mut(self.out_image())) {
            padded.fill(image, block);
            go(
                &packing,
                (&padded, block),
                packed,
                ending,
                (self.geometry.out_width, out),
            );
        }
    }

    /// The gradient of the images by that of the outputs.
    ///
    /// # Shapes
    /// As [`Convolution::forward`].
    pub(crate) fn input_gradient(
        &self,
        gradient: &[f32],
        weight: &[f32],
        into: &mut [f32],
        store: Store,
        scratch: &mut [f32],
    ) {
        if let Some(winograd) = self.winograd() {
            let (weight, ending) = ((weight, true), Ending::plain(store));
            let returning = winograd.returning();
            return returning.convolve(gradient, weight, ending, into, scratch);
        }
        let padded = self.padded_gradient();
        let (block, packed) = scratch.split_at_mut(padded.len());
        let mut rest = &mut *packed;
        for packing in self.geometry.backward().map(|way| self.returning(way)) {
            let (mine, others) = rest.split_at_mut(packing.len());
            packing.pack(weight, mine);
            rest = others;
        }
        let images = into.chunks_exact_mut(self.geometry.image());
        for (gradient, into) in gradient.chunks_exact(self.out_image()).zip(images) {
            padded.fill(gradient, block);
            let mut rest = &*packed;
            for packing in self.geometry.backward().map(|way| self.returning(way)) {
                let (mine, others) = rest.split_at(packing.len());
                rest = others;
                let out = (self.geometry.width, &mut *into);
                go(&packing, (&padded, block), mine, Ending::plain(store), out);
            }
        }
    }

    /// The gradient of the weights, overwritten.
    ///
    /// # Shapes
    /// `images` and `gradient` as in [`Convolution::forward`], `into: [ky][kx][in][out]`.
    pub(crate) fn weight_gradient(
        &self,
        images: &[f32],
        gradient: &[f32],
        into: &mut [f32],
        scratch: &mut [f32],
    ) {
        if let Some(winograd) = self.winograd() {
            return winograd.weight_gradient(images, gradient, into, scratch);
        }
        let padded = self.padded_input();
        let (image_len, out_image) = (self.geometry.image(), self.out_image());
        assert_eq!(
            into.len(),
            self.geometry.taps() * self.geometry.channels * self.out_channels
        );
        let at_once = self.images_at_once();
        let blocks = &mut scratch[..at_once * padded.len()];
        let mut store = Store::Write;
        let pieces = images.chunks(at_once * image_len);
        for (images, gradient) in pieces.zip(gradient.chunks(at_once * out_image)) {
            let images = images.chunks_exact(image_len);
            let count = images.len();
            assert_eq!(gradient.len(), count * out_image);
            for (image, block) in images.zip(blocks.chunks_exact_mut(padded.len())) {
                padded.fill(image, block);
            }
            for group in groups(self.out_channels) {
                self.sum_taps(group, (count, blocks), gradient, into, store);
            }
            store = Store::Add;
        }
        if store == Store::Write {
            into.fill(0.0);
        }
    }

    /// Gradients of the weights to one group of output channels, over some padded images.
    fn sum_taps(
        &self,
        group: Group,
        (images, blocks): (usize, &[f32]),
        gradient: &[f32],
        into: &mut [f32],
        store: Store,
    ) {
        let g = &self.geometry;
        let (padded, way) = (self.padded_input(), g.forward());
        let sweep = sweep(&padded, g, (images, self.out_channels), group.last, store);
        let walk = walk(&padded, way);
        let gradient = &gradient[group.first..];
        for tap in 0..g.taps() {
            let (row, column) = (tap / g.kernel_width, tap % g.kernel_width);
            let start = padded.start(way) + row * walk.down + column * walk.right;
            let mut channel = 0;
            while channel < g.channels {
                let (block, lane) = (channel / LANES, channel % LANES);
                let in_block = (g.channels - block * LANES).min(LANES);
                let (count, tile) = mixed_gradient_tile(in_block - lane, group.vectors);
                let seen = &blocks[start + block * walk.block + lane..];
                let place = (tap * g.channels + channel) * self.out_channels + group.first;
                // SAFETY: the tile is one of this CPU's level. `blocks` holds `images` padded images,
                // whose margin was made for this way, and `gradient` as many outputs; `count` channels
                // of this block are left, and `into` has a row for each.
                unsafe {
                    let out = into[place..].as_mut_ptr();
                    tile(seen.as_ptr(), gradient.as_ptr(), &sweep, out);
                }
                channel += count;
            }
        }
    }
}

/// How taps walk over a padded image on this way.
pub(super) fn walk(padded: &Padded, [rows, columns]: [Line; 2]) -> Walk {
    Walk {
        taps: (rows.taps, columns.taps),
        channels: padded.channels(),
        down: rows.dilation * padded.row_len(),
        right: columns.dilation * LANES,
        block: padded.block_len(),
    }
}

/// How the gradient of weights goes over `images` padded images and outputs of so many channels.
pub(super) fn sweep(
    padded: &Padded,
    geometry: &Geometry,
    (images, out_channels): (usize, usize),
    last: usize,
    store: Store,
) -> Sweep {
    Sweep {
        images,
        image: padded.len(),
        out: (geometry.out_height, geometry.out_width),
        down: geometry.stride * padded.row_len(),
        right: geometry.stride * LANES,
        pixel: out_channels,
        last,
        add: store == Store::Add,
        row: out_channels,
    }
}

/// One padded image along one way; `out` is a whole image with rows of so many pixels.
fn go(
    packing: &Packing,
    (padded, block): (&Padded, &[f32]),
    mut packed: &[f32],
    ending: Ending<'_>,
    (out_width, out): (usize, &mut [f32]),
) {
    let [rows, columns] = packing.way;
    let (walk, start) = (walk(padded, packing.way), padded.start(packing.way));
    let channels = packing.out_channels;
    assert!(block.len() >= padded.len(), "the scratch holds an image");
    for group in groups(channels) {
        let (weight, others) = packed.split_at(packing.group_len(group));
        packed = others;
        let count = (group.vectors - 1) * LANES + group.last;
        let finish = ending.finish(group.first, count, columns.step * channels);
        for row in 0..rows.count {
            let line = &block[start + row * rows.stride * padded.row_len()..];
            let place = (rows.first + row * rows.step) * out_width + columns.first;
            let mut column = 0;
            while column < columns.count {
                let (width, tile) =
                    mixed_tile(columns.count - column, group.vectors, columns.stride);
                let seen = &line[column * columns.stride * LANES..];
                let out = &mut out[(place + column * columns.step) * channels + group.first..];
                // SAFETY: the tile is one of this CPU's level. The margin was made for this way, so
                // that its last output's last tap lies in the image; weights and finish are those of
                // this group; `width` outputs are left in this row of the grid.
                unsafe {
                    let (seen, weight) = (seen.as_ptr(), weight.as_ptr());
                    tile(seen, &walk, weight, &finish, out.as_mut_ptr());
                }
                column += width;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::geometry::tests::every_geometry;

    fn whole_numbers(len: usize, period: usize) -> Vec<f32> {
        (0..len).map(|i| (i % period) as f32 - 2.0).collect()
    }

    /// Calls with (input, output, weight) of every product of one image.
    fn every_product(c: &Convolution, mut each: impl FnMut(usize, usize, usize)) {
        let g = &c.geometry;
        let [rows, columns] = g.forward();
        let at = |line: Line, out: usize, tap: usize, extent: usize| {
            let place = line.start + (out * line.stride + tap * line.dilation) as isize;
            usize::try_from(place).ok().filter(|place| *place < extent)
        };
        for (oy, ox) in (0..g.out_pixels()).map(|pixel| (pixel / g.out_width, pixel % g.out_width))
        {
            for tap in 0..g.taps() {
                let (ky, kx) = (tap / g.kernel_width, tap % g.kernel_width);
                let (Some(y), Some(x)) = (at(rows, oy, ky, g.height), at(columns, ox, kx, g.width))
                else {
                    continue;
                };
                for (i, o) in (0..g.channels * c.out_channels)
                    .map(|pair| (pair / c.out_channels, pair % c.out_channels))
                {
                    each(
                        (y * g.width + x) * g.channels + i,
                        (oy * g.out_width + ox) * c.out_channels + o,
                        (tap * g.channels + i) * c.out_channels + o,
                    );
                }
            }
        }
    }

    /// Exact for whole numbers, but for the way in tiles, whose error is stated in `winograd`.
    fn compare(c: &Convolution, found: &[f32], expected: &[f32]) {
        if c.winograd().is_none() {
            return assert_eq!(found, expected, "{c:?}");
        }
        let largest = expected
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        for (found, expected) in found.iter().zip(expected) {
            let distance = (found - expected).abs() / largest;
            assert!(distance < 1e-5, "{c:?}: {found} for {expected}, {largest}");
        }
    }

    fn check(c: &Convolution) {
        const IMAGES: usize = 2;
        let (image, out_image) = (c.geometry.image(), c.out_image());
        let images = whole_numbers(IMAGES * image, 5);
        let gradient = whole_numbers(IMAGES * out_image, 7);
        let weight = whole_numbers(c.geometry.taps() * c.geometry.channels * c.out_channels, 3);
        let mut expected = (
            vec![0.0; gradient.len()],
            vec![1.0; images.len()],
            vec![0.0; weight.len()],
        );
        for n in 0..IMAGES {
            every_product(c, |input, output, w| {
                let (input, output) = (n * image + input, n * out_image + output);
                expected.0[output] += images[input] * weight[w];
                expected.1[input] += gradient[output] * weight[w];
                expected.2[w] += images[input] * gradient[output];
            });
        }
        let mut scratch = vec![f32::NAN; c.forward_scratch_len()];
        let mut out = vec![f32::NAN; gradient.len()];
        c.forward(
            &images,
            &weight,
            Ending::plain(Store::Write),
            &mut out,
            &mut scratch,
        );
        compare(c, &out, &expected.0);
        let mut scratch = vec![f32::NAN; c.input_gradient_scratch_len()];
        let mut into = vec![1.0; images.len()];
        c.input_gradient(&gradient, &weight, &mut into, Store::Add, &mut scratch);
        compare(c, &into, &expected.1);
        let mut scratch = vec![f32::NAN; c.weight_gradient_scratch_len()];
        let mut into = vec![f32::NAN; weight.len()];
        c.weight_gradient(&images, &gradient, &mut into, &mut scratch);
        compare(c, &into, &expected.2);
    }

    #[test]
    fn every_geometry_is_convolved_as_defined() {
        for (channels, out_channels) in [(1, 1), (3, 5), (16, 16), (17, 40), (2, 33)] {
            for geometry in every_geometry(channels) {
                check(&Convolution {
                    geometry,
                    out_channels,
                });
            }
        }
    }

    #[test]
    fn endings_are_applied_in_order() {
        let geometry = every_geometry(2)[0];
        let convolution = Convolution {
            geometry,
            out_channels: 2,
        };
        let mut scratch = vec![0.0; convolution.forward_scratch_len()];
        let mut out = [10.0, 20.0];
        let ending = Ending {
            bias: Some(&[1.0, 2.0]),
            scale_offset: Some([&[3.0, -4.0], &[0.5, 0.25]]),
            floor: 0.0,
            store: Store::Add,
        };
        let weight = [1.0, 0.0, 0.0, 1.0];
        convolution.forward(&[5.0, 6.0], &weight, ending, &mut out, &mut scratch);
        assert_eq!(out, [3.0 * (10.0 + 5.0 + 1.0) + 0.5, 0.0]);
        // A rectifier that made 0 of it would hide that a training has diverged.
        let seen = [f32::NAN, 6.0];
        convolution.forward(&seen, &weight, ending, &mut out, &mut scratch);
        assert!(out.iter().all(|value| value.is_nan()), "{out:?}");
    }
}
