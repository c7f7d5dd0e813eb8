//! Convolution that keeps channels apart: forward, back to the input, and the gradient of its weights.
//!
//! `W` is `[ky][kx][channels]`.

use super::{
    Ending, LANES,
    convolve::{sweep, walk},
    geometry::{Geometry, Line},
    padded::Padded,
    tile::{separate_gradient_tile, separate_tile},
};
use crate::vector::Store;

/// A depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DepthwiseConvolution {
    pub(crate) geometry: Geometry,
}

impl DepthwiseConvolution {
    /// Scratch of [`DepthwiseConvolution::forward`], in floats.
    pub(crate) fn forward_scratch_len(&self) -> usize {
        self.packed_len() + self.padded_input().len()
    }

    /// Scratch of [`DepthwiseConvolution::input_gradient`], in floats.
    pub(crate) fn input_gradient_scratch_len(&self) -> usize {
        self.packed_len() + self.padded_gradient().len()
    }

    /// Scratch of [`DepthwiseConvolution::weight_gradient`], in floats.
    pub(crate) fn weight_gradient_scratch_len(&self) -> usize {
        self.padded_input().len()
    }

    fn blocks(&self) -> usize {
        self.geometry.channels.div_ceil(LANES)
    }

    /// All taps of all blocks; the classes of the way back share them out.
    fn packed_len(&self) -> usize {
        self.blocks() * self.geometry.taps() * LANES
    }

    fn padded_input(&self) -> Padded {
        let g = &self.geometry;
        let extents = (g.height, g.width, g.channels);
        Padded::new(extents, std::iter::once(g.forward()))
    }

    fn padded_gradient(&self) -> Padded {
        let g = &self.geometry;
        Padded::new((g.out_height, g.out_width, g.channels), g.backward())
    }

    /// Packs the taps of one way as `[block][row of taps][column of taps][16]`; says how many floats.
    fn pack(&self, [rows, columns]: [Line; 2], weight: &[f32], packed: &mut [f32]) -> usize {
        let channels = self.geometry.channels;
        let len = self.blocks() * rows.taps * columns.taps * LANES;
        let mut places = packed[..len].chunks_exact_mut(LANES);
        for first in (0..channels).step_by(LANES) {
            let count = LANES.min(channels - first);
            for row in 0..rows.taps {
                for column in 0..columns.taps {
                    let lanes = places.next().expect("sixteen lanes for each tap and block");
                    let (ky, kx) = (rows.kernel_tap(row), columns.kernel_tap(column));
                    let tap = ky * self.geometry.kernel_width + kx;
                    lanes[..count].copy_from_slice(&weight[tap * channels + first..][..count]);
                    lanes[count..].fill(0.0);
                }
            }
        }
        len
    }

    /// The outputs of some images.
    ///
    /// # Shapes
    /// `images: [n][height][width][channels]`, `out: [n][out height][out width][channels]`.
    pub(crate) fn forward(
        &self,
        images: &[f32],
        weight: &[f32],
        ending: Ending<'_>,
        out: &mut [f32],
        scratch: &mut [f32],
    ) {
        let (padded, way) = (self.padded_input(), self.geometry.forward());
        let (packed, block) = scratch.split_at_mut(self.packed_len());
        self.pack(way, weight, packed);
        let out_image = self.geometry.out_pixels() * self.geometry.channels;
        let images = images.chunks_exact(self.geometry.image());
        for (image, out) in images.zip(out.chunks_exact_mut(out_image)) {
            padded.fill(image, block);
            go(
                way,
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
    /// As [`DepthwiseConvolution::forward`].
    pub(crate) fn input_gradient(
        &self,
        gradient: &[f32],
        weight: &[f32],
        into: &mut [f32],
        store: Store,
        scratch: &mut [f32],
    ) {
        let padded = self.padded_gradient();
        let (packed, block) = scratch.split_at_mut(self.packed_len());
        let mut start = 0;
        for way in self.geometry.backward() {
            start += self.pack(way, weight, &mut packed[start..]);
        }
        let out_image = self.geometry.out_pixels() * self.geometry.channels;
        let images = into.chunks_exact_mut(self.geometry.image());
        for (gradient, into) in gradient.chunks_exact(out_image).zip(images) {
            padded.fill(gradient, block);
            let mut rest = &*packed;
            for way in self.geometry.backward() {
                let len = self.blocks() * way[0].taps * way[1].taps * LANES;
                let (mine, others) = rest.split_at(len);
                rest = others;
                let out = (self.geometry.width, &mut *into);
                go(way, (&padded, block), mine, Ending::plain(store), out);
            }
        }
    }

    /// The gradient of the weights, overwritten.
    ///
    /// # Shapes
    /// `images` and `gradient` as in [`DepthwiseConvolution::forward`], `into: [ky][kx][channels]`.
    pub(crate) fn weight_gradient(
        &self,
        images: &[f32],
        gradient: &[f32],
        into: &mut [f32],
        scratch: &mut [f32],
    ) {
        let padded = self.padded_input();
        let block = &mut scratch[..padded.len()];
        assert_eq!(into.len(), self.geometry.taps() * self.geometry.channels);
        into.fill(0.0);
        let out_image = self.geometry.out_pixels() * self.geometry.channels;
        let images = images.chunks_exact(self.geometry.image());
        for (image, gradient) in images.zip(gradient.chunks_exact(out_image)) {
            padded.fill(image, block);
            self.sum_taps(block, gradient, into);
        }
    }

    /// Adds the gradients of all taps by one padded image.
    fn sum_taps(&self, block: &[f32], gradient: &[f32], into: &mut [f32]) {
        let g = &self.geometry;
        let (padded, way) = (self.padded_input(), g.forward());
        let (walk, start) = (walk(&padded, way), padded.start(way));
        for first in (0..g.channels).step_by(LANES) {
            let count = LANES.min(g.channels - first);
            let sweep = sweep(&padded, g, (1, g.channels), count, Store::Add);
            let mut row = 0;
            while row < g.kernel_height {
                let (rows, tile) = separate_gradient_tile(g.kernel_height, g.kernel_width);
                let seen = &block[start + row * walk.down + first / LANES * walk.block..];
                let out = &mut into[row * g.kernel_width * g.channels + first..];
                // SAFETY: the tile is one of this CPU's level. The block holds a padded image whose
                // margin was made for this way, sixteen lanes at each pixel; `gradient` holds its
                // outputs; `rows` rows of taps are left, and `into` has a place for each.
                unsafe {
                    let gradient = gradient[first..].as_ptr();
                    tile(seen.as_ptr(), gradient, (&walk, &sweep), out.as_mut_ptr());
                }
                row += rows;
            }
        }
    }
}

/// One padded image along one way; `out` is a whole image with rows of so many pixels.
fn go(
    way: [Line; 2],
    (padded, block): (&Padded, &[f32]),
    packed: &[f32],
    ending: Ending<'_>,
    (out_width, out): (usize, &mut [f32]),
) {
    let [rows, columns] = way;
    let (walk, start, channels) = (walk(padded, way), padded.start(way), padded.channels());
    assert!(block.len() >= padded.len(), "the scratch holds an image");
    let weights = rows.taps * columns.taps * LANES;
    for first in (0..channels).step_by(LANES) {
        let count = LANES.min(channels - first);
        let finish = ending.finish(first, count, columns.step * channels);
        let weight = &packed[first / LANES * weights..][..weights];
        for row in 0..rows.count {
            let seen = start + first / LANES * walk.block + row * rows.stride * padded.row_len();
            let place = (rows.first + row * rows.step) * out_width + columns.first;
            let mut column = 0;
            while column < columns.count {
                let (width, tile) = separate_tile(columns.count - column, columns.stride);
                let seen = &block[seen + column * columns.stride * LANES..];
                let out = &mut out[(place + column * columns.step) * channels + first..];
                // SAFETY: the tile is one of this CPU's level. The margin was made for this way, so
                // that its last output's last tap lies in the image, sixteen lanes at each pixel;
                // `width` outputs are left in this row of the grid.
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
    use crate::kernel::{Convolution, geometry::tests::every_geometry};

    fn whole_numbers(len: usize, period: usize) -> Vec<f32> {
        (0..len).map(|i| (i % period) as f32 - 2.0).collect()
    }

    /// Mixing in tiles is not exact, but near enough to the whole numbers that come out.
    fn whole(values: &mut [f32]) {
        values.iter_mut().for_each(|value| *value = value.round());
    }

    /// The same as a convolution whose kernel is 0 between different channels.
    fn check(geometry: Geometry) {
        const IMAGES: usize = 2;
        let channels = geometry.channels;
        let depthwise = DepthwiseConvolution { geometry };
        let mixing = Convolution {
            geometry,
            out_channels: channels,
        };
        let images = whole_numbers(IMAGES * geometry.image(), 5);
        let gradient = whole_numbers(IMAGES * geometry.out_pixels() * channels, 7);
        let weight = whole_numbers(geometry.taps() * channels, 3);
        let mut wide = vec![0.0; weight.len() * channels];
        for (index, value) in weight.iter().enumerate() {
            wide[index * channels + index % channels] = *value;
        }
        let mut scratch = vec![0.0; 1 << 20];
        let mut garbage = vec![f32::NAN; 1 << 18];
        let plain = Ending::plain(Store::Write);
        let mut expected = vec![0.0; gradient.len()];
        mixing.forward(&images, &wide, plain, &mut expected, &mut scratch);
        whole(&mut expected);
        let mut out = vec![f32::NAN; gradient.len()];
        garbage.truncate(depthwise.forward_scratch_len());
        depthwise.forward(&images, &weight, plain, &mut out, &mut garbage);
        assert_eq!(out, expected, "{geometry:?}");

        let mut expected = vec![1.0; images.len()];
        mixing.input_gradient(&gradient, &wide, &mut expected, Store::Add, &mut scratch);
        whole(&mut expected);
        let mut into = vec![1.0; images.len()];
        let mut garbage = vec![f32::NAN; depthwise.input_gradient_scratch_len()];
        depthwise.input_gradient(&gradient, &weight, &mut into, Store::Add, &mut garbage);
        assert_eq!(into, expected, "{geometry:?}");

        mixing.weight_gradient(&images, &gradient, &mut wide, &mut scratch);
        let mut expected: Vec<f32> = (0..weight.len())
            .map(|index| wide[index * channels + index % channels])
            .collect();
        whole(&mut expected);
        let mut into = vec![f32::NAN; weight.len()];
        let mut garbage = vec![f32::NAN; depthwise.weight_gradient_scratch_len()];
        depthwise.weight_gradient(&images, &gradient, &mut into, &mut garbage);
        assert_eq!(into, expected, "{geometry:?}");
    }

    #[test]
    fn every_geometry_is_convolved_channel_by_channel() {
        for channels in [1, 3, 16, 21] {
            every_geometry(channels).into_iter().for_each(check);
        }
    }
}
