//! From images to the rows of a matrix product and back (im2col and col2im).
//!
//! A patch is what a kernel sees at one place: `[size][size][channels]`, zeros outside the image.
//! A line is one row of output pixels of one image; all images of a part are one run of lines, cut
//! into blocks whose patches stay in the second-level cache.

use std::ops::Range;

use crate::vector::vectorised;

/// Floats of patches that are made at once: 512 KiB, half of a common second-level cache.
const BLOCK: usize = 128 * 1024;

/// How a square kernel moves over an image; "same" padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patches {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) channels: usize,
    pub(crate) size: usize,
    pub(crate) stride: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
}

impl Patches {
    /// Floats of one patch.
    pub(crate) fn len(&self) -> usize {
        self.size * self.size * self.channels
    }

    /// Zero pixels on each side.
    pub(crate) fn padding(&self) -> usize {
        (self.size - 1) / 2
    }

    /// Floats of one image.
    pub(crate) fn image(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether the image itself already is the matrix of its patches.
    pub(crate) fn are_pixels(&self) -> bool {
        self.size == 1 && self.stride == 1
    }

    /// Lines per block.
    pub(crate) fn block_lines(&self) -> usize {
        (BLOCK / (self.out_width * self.len())).max(1)
    }

    /// Floats of a block of patches.
    pub(crate) fn block_len(&self) -> usize {
        self.block_lines() * self.out_width * self.len()
    }

    /// The blocks of so many images, as ranges of lines.
    pub(crate) fn blocks(&self, images: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (lines, step) = (images * self.out_height, self.block_lines());
        (0..lines)
            .step_by(step)
            .map(move |first| first..lines.min(first + step))
    }

    /// Rows of the source that a line's kernel row `ky` looks at, and its image.
    #[inline(always)]
    fn source_row(&self, line: usize, ky: usize) -> Option<usize> {
        let (image, oy) = (line / self.out_height, line % self.out_height);
        let y = (oy * self.stride + ky).checked_sub(self.padding())?;
        (y < self.height).then_some((image * self.height + y) * self.width * self.channels)
    }

    /// Columns of the kernel that lie inside the image at output column `ox`: kernel columns and
    /// the first source column.
    #[inline(always)]
    fn source_columns(&self, ox: usize) -> (Range<usize>, usize) {
        let (left, padding) = (ox * self.stride, self.padding());
        let first = padding.saturating_sub(left).min(self.size);
        let last = (self.width + padding)
            .saturating_sub(left)
            .min(self.size)
            .max(first);
        (first..last, left + first - padding.min(left + first))
    }
}

vectorised! {
    /// Writes the patches of some lines, one after the other.
    fn gather(patches: &Patches, images: &[f32], lines: Range<usize>, out: &mut [f32]) {
        let run = patches.size * patches.channels;
        for (index, line) in lines.enumerate() {
            let length = patches.out_width * patches.len();
            let out = &mut out[index * length..][..length];
            for ky in 0..patches.size {
                let Some(start) = patches.source_row(line, ky) else {
                    for patch in out.chunks_exact_mut(patches.len()) {
                        patch[ky * run..][..run].fill(0.0);
                    }
                    continue;
                };
                let row = &images[start..][..patches.width * patches.channels];
                if patches.channels == 1 && patches.stride == 1 {
                    gather_gray(patches, row, ky, out);
                } else {
                    gather_row(patches, row, ky, out);
                }
            }
        }
    }

    /// Adds the gradients of the patches of some lines to the gradients of the images.
    fn scatter(patches: &Patches, values: &[f32], lines: Range<usize>, images: &mut [f32]) {
        let (run, channels) = (patches.size * patches.channels, patches.channels);
        for (index, line) in lines.enumerate() {
            let length = patches.out_width * patches.len();
            let values = &values[index * length..][..length];
            for ky in 0..patches.size {
                let Some(start) = patches.source_row(line, ky) else { continue };
                let row = &mut images[start..][..patches.width * channels];
                for (ox, patch) in values.chunks_exact(patches.len()).enumerate() {
                    let (inside, column) = patches.source_columns(ox);
                    let from = &patch[ky * run + inside.start * channels..];
                    let from = &from[..inside.len() * channels];
                    let to = &mut row[column * channels..][..from.len()];
                    for (to, from) in to.iter_mut().zip(from) {
                        *to += *from;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn gather_row(patches: &Patches, row: &[f32], ky: usize, out: &mut [f32]) {
    let (run, channels) = (patches.size * patches.channels, patches.channels);
    for (ox, patch) in out.chunks_exact_mut(patches.len()).enumerate() {
        let patch = &mut patch[ky * run..][..run];
        let (inside, column) = patches.source_columns(ox);
        if inside.len() == patches.size {
            patch.copy_from_slice(&row[column * channels..][..run]);
            continue;
        }
        let (first, last) = (inside.start * channels, inside.end * channels);
        patch[..first].fill(0.0);
        patch[first..last].copy_from_slice(&row[column * channels..][..last - first]);
        patch[last..].fill(0.0);
    }
}

/// One channel: whole kernel columns at once, because single copies would be a few floats long.
#[inline(always)]
fn gather_gray(patches: &Patches, row: &[f32], ky: usize, out: &mut [f32]) {
    for kx in 0..patches.size {
        let shift = kx as isize - patches.padding() as isize;
        for (ox, patch) in out.chunks_exact_mut(patches.len()).enumerate() {
            let x = ox as isize + shift;
            let inside = x >= 0 && (x as usize) < row.len();
            patch[ky * patches.size + kx] = if inside { row[x as usize] } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patches(extent: (usize, usize), channels: usize, size: usize, stride: usize) -> Patches {
        let out = |extent: usize| (extent - 1) / stride + 1;
        Patches {
            height: extent.0,
            width: extent.1,
            channels,
            size,
            stride,
            out_height: out(extent.0),
            out_width: out(extent.1),
        }
    }

    fn at(patches: &Patches, images: &[f32], line: usize, ox: usize, tap: usize) -> f32 {
        let (c, kx, ky) = (
            tap % patches.channels,
            tap / patches.channels % patches.size,
            tap / patches.channels / patches.size,
        );
        let (image, oy) = (line / patches.out_height, line % patches.out_height);
        let y = (oy * patches.stride + ky) as isize - patches.padding() as isize;
        let x = (ox * patches.stride + kx) as isize - patches.padding() as isize;
        let inside =
            (0..patches.height as isize).contains(&y) && (0..patches.width as isize).contains(&x);
        if !inside {
            return 0.0;
        }
        images[((image * patches.height + y as usize) * patches.width + x as usize)
            * patches.channels
            + c]
    }

    #[test]
    fn every_patch_holds_what_its_kernel_sees() {
        for extent in [(1, 1), (2, 3), (5, 4), (7, 7)] {
            for channels in [1, 2, 5] {
                for size in [1, 3, 5, 11] {
                    for stride in [1, 2, 3, 4] {
                        let patches = patches(extent, channels, size, stride);
                        let images: Vec<f32> =
                            (0..2 * patches.image()).map(|i| i as f32 + 1.0).collect();
                        let lines = 1..2 * patches.out_height;
                        let mut out =
                            vec![f32::NAN; lines.len() * patches.out_width * patches.len()];
                        gather(&patches, &images, lines.clone(), &mut out);
                        for (i, value) in out.iter().enumerate() {
                            let (tap, place) = (i % patches.len(), i / patches.len());
                            let (ox, line) = (place % patches.out_width, place / patches.out_width);
                            let expected = at(&patches, &images, line + 1, ox, tap);
                            assert_eq!(*value, expected, "{patches:?} line {line} ox {ox} {tap}");
                        }
                        check_adjoint(&patches, &images, lines);
                    }
                }
            }
        }
    }

    /// ⟨gather(x), p⟩ = ⟨x, scatter(p)⟩ in whole numbers, exactly.
    fn check_adjoint(patches: &Patches, images: &[f32], lines: Range<usize>) {
        let len = lines.len() * patches.out_width * patches.len();
        let values: Vec<f32> = (0..len).map(|i| (i % 3) as f32 - 1.0).collect();
        let mut gathered = vec![0.0; len];
        gather(patches, images, lines.clone(), &mut gathered);
        let mut scattered = vec![0.0; images.len()];
        scatter(patches, &values, lines, &mut scattered);
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        assert_eq!(
            dot(&gathered, &values),
            dot(images, &scattered),
            "{patches:?}"
        );
    }
}
