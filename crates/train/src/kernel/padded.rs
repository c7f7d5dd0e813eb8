//! An image in blocks of sixteen channels with a margin of zeros.
//!
//! It is `[row][block][column][16]`; where a block has fewer channels the other lanes hold anything.
//! Neighbouring pixels lie a fixed distance apart, however many channels there are, and no loop has to
//! ask where the image ends.

use super::{LANES, geometry::Line};
use crate::vector::vectorised;

/// The form of a padded image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padded {
    height: usize,
    width: usize,
    channels: usize,
    /// Zeros before and behind the rows and the columns.
    rows: (usize, usize),
    columns: (usize, usize),
}

impl Padded {
    /// An image with the margin that all these ways need.
    pub(super) fn new(
        (height, width, channels): (usize, usize, usize),
        ways: impl Iterator<Item = [Line; 2]>,
    ) -> Padded {
        let mut padded = Padded {
            height,
            width,
            channels,
            rows: (0, 0),
            columns: (0, 0),
        };
        let larger =
            |one: (usize, usize), other: (usize, usize)| (one.0.max(other.0), one.1.max(other.1));
        for [row, column] in ways {
            padded.rows = larger(padded.rows, row.margin(height));
            padded.columns = larger(padded.columns, column.margin(width));
        }
        padded
    }

    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Floats from one block of channels to the next in the same row.
    pub(super) fn block_len(&self) -> usize {
        (self.columns.0 + self.width + self.columns.1) * LANES
    }

    /// Floats from one row to the next.
    pub(super) fn row_len(&self) -> usize {
        self.channels.div_ceil(LANES) * self.block_len()
    }

    /// Floats of all.
    pub(super) fn len(&self) -> usize {
        (self.rows.0 + self.height + self.rows.1) * self.row_len()
    }

    /// Where the pixel lies that a way's first output sees through its first tap.
    pub(super) fn start(&self, [row, column]: [Line; 2]) -> usize {
        let at = |margin: usize, start: isize| {
            margin
                .checked_add_signed(start)
                .expect("the margin holds every way")
        };
        at(self.rows.0, row.start) * self.row_len() + at(self.columns.0, column.start) * LANES
    }

    /// Brings an image `[row][column][channel]` into this form.
    pub(super) fn fill(&self, image: &[f32], out: &mut [f32]) {
        let row_len = self.row_len();
        let (above, rest) = out[..self.len()].split_at_mut(self.rows.0 * row_len);
        let (inside, below) = rest.split_at_mut(self.height * row_len);
        above.fill(0.0);
        below.fill(0.0);
        let rows = image.chunks_exact(self.width * self.channels);
        for (row, out) in rows.zip(inside.chunks_exact_mut(row_len)) {
            for line in out.chunks_exact_mut(self.block_len()) {
                let (left, rest) = line.split_at_mut(self.columns.0 * LANES);
                left.fill(0.0);
                rest[self.width * LANES..].fill(0.0);
            }
            copy_row(
                out,
                row,
                self.channels,
                (self.columns.0 * LANES, self.block_len()),
            );
        }
    }
}

vectorised! {
    /// `out[first + block·block_len + pixel·16 + lane] = row[pixel][block·16 + lane]`.
    fn copy_row(
        out: &mut [f32],
        row: &[f32],
        channels: usize,
        place: (usize, usize),
    ) {
        let (first, block_len) = place;
        if channels == 1 {
            for (to, from) in out[first..].chunks_exact_mut(LANES).zip(row) {
                to[0] = *from;
            }
            return;
        }
        for (pixel, from) in row.chunks_exact(channels).enumerate() {
            let mut to = first + pixel * LANES;
            let mut blocks = from.chunks_exact(LANES);
            for block in &mut blocks {
                out[to..to + LANES].copy_from_slice(block);
                to += block_len;
            }
            let rest = blocks.remainder();
            if !rest.is_empty() {
                out[to..to + rest.len()].copy_from_slice(rest);
            }
        }
    }
}
