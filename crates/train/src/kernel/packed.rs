//! Weights in the order in which the loops read them.
//!
//! Output channels are made in groups of one or two vectors; each group has its weights in one piece,
//! `[row of taps][block][column of taps][channel of the block][lanes of the group]`. Lanes without a
//! channel are 0.

use super::{LANES, geometry::Line};
use crate::vector::{Level, level};

/// Output channels that are made together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// First channel.
    pub(super) first: usize,
    /// Vectors.
    pub(super) vectors: usize,
    /// Lanes of the last vector.
    pub(super) last: usize,
}

/// Vectors of output channels that the registers have room for beside some pixels.
fn vectors_at_once() -> usize {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => 2,
        _ => 1,
    }
}

/// Output channels in groups as large as the registers allow.
pub(super) fn groups(channels: usize) -> impl Iterator<Item = Group> {
    let most = vectors_at_once() * LANES;
    (0..channels).step_by(most).map(move |first| {
        let left = (channels - first).min(most);
        let vectors = left.div_ceil(LANES);
        Group {
            first,
            vectors,
            last: left - (vectors - 1) * LANES,
        }
    })
}

/// A kernel on its way: which taps, and from how many to how many channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    pub(super) way: [Line; 2],
    /// Columns of taps in the kernel itself.
    pub(super) kernel_width: usize,
    pub(super) channels: usize,
    pub(super) out_channels: usize,
    /// Whether the kernel is `[ky][kx][out][in]` to this way, because it is the way back.
    pub(super) transposed: bool,
}

impl Packing {
    fn taps(&self) -> usize {
        self.way[0].taps * self.way[1].taps
    }

    /// Floats of one group.
    pub(super) fn group_len(&self, group: Group) -> usize {
        self.taps() * self.channels * group.vectors * LANES
    }

    /// Floats of all groups.
    pub(super) fn len(&self) -> usize {
        self.taps() * self.channels * self.out_channels.div_ceil(LANES) * LANES
    }

    /// Packs all groups, one after the other.
    pub(super) fn pack(&self, weight: &[f32], mut packed: &mut [f32]) {
        for group in groups(self.out_channels) {
            let (mine, others) = packed.split_at_mut(self.group_len(group));
            packed = others;
            let mut rest = mine;
            for row in 0..self.way[0].taps {
                for first in (0..self.channels).step_by(LANES) {
                    let channels = first..self.channels.min(first + LANES);
                    for column in 0..self.way[1].taps {
                        let len = channels.len() * group.vectors * LANES;
                        let (lanes, others) = rest.split_at_mut(len);
                        rest = others;
                        self.pack_tap(weight, (row, column), channels.clone(), group, lanes);
                    }
                }
            }
        }
    }

    fn pack_tap(
        &self,
        weight: &[f32],
        (row, column): (usize, usize),
        channels: std::ops::Range<usize>,
        group: Group,
        packed: &mut [f32],
    ) {
        let [rows, columns] = self.way;
        let tap = rows.kernel_tap(row) * self.kernel_width + columns.kernel_tap(column);
        let tap_len = self.channels * self.out_channels;
        let weight = &weight[tap * tap_len..][..tap_len];
        let count = (group.vectors - 1) * LANES + group.last;
        for (channel, lanes) in channels.zip(packed.chunks_exact_mut(group.vectors * LANES)) {
            let (lanes, none) = lanes.split_at_mut(count);
            none.fill(0.0);
            if self.transposed {
                let from = weight[group.first * self.channels + channel..].iter();
                let from = from.step_by(self.channels);
                lanes
                    .iter_mut()
                    .zip(from)
                    .for_each(|(to, from)| *to = *from);
            } else {
                let start = channel * self.out_channels + group.first;
                lanes.copy_from_slice(&weight[start..start + count]);
            }
        }
    }
}
