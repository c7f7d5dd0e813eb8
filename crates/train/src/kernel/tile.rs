//! The loops: some pixels by some vectors of channels of a result, kept in registers.
//!
//! [`mixed`] makes outputs of a convolution and [`mixed_gradient`] the gradient of its weights;
//! [`separate`] and [`separate_gradient`] do the same for a depthwise convolution, [`product`] multiplies
//! matrices. Each is written once
//! over [`Lanes`] and compiled for each instruction set in every size that the callers ask for; the
//! functions at the end choose. Sizes are such that the sums fill the registers: an addition waits four
//! cycles for the one before, two go on at the same time, so eight or more sums must be under way.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m512;

#[cfg(target_arch = "x86_64")]
use super::lanes::Pair;
use super::{
    lanes::{Array, LANES, Lanes},
    winograd::{self, Plane, Taps, Tile},
};
use crate::vector::{Level, level};

/// How a kernel walks over a padded image, in floats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    /// Rows and columns of taps.
    pub(super) taps: (usize, usize),
    /// Channels of the image.
    pub(super) channels: usize,
    /// From a tap to the one below it.
    pub(super) down: usize,
    /// From a tap to the one right of it.
    pub(super) right: usize,
    /// From one block of channels to the next.
    pub(super) block: usize,
}

/// What is done with finished outputs: `max(floor, scale·(sum + bias) + offset)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finish {
    /// One value per channel of the tile.
    pub(super) bias: Option<*const f32>,
    /// Scale and offset, one each per channel of the tile.
    pub(super) scale_offset: Option<[*const f32; 2]>,
    /// No value leaves below this one.
    pub(super) floor: f32,
    /// Whether what is in the output already is part of the sum.
    pub(super) add: bool,
    /// From one pixel of the output to the next, in floats.
    pub(super) pixel: usize,
    /// Lanes of the last vector that exist.
    pub(super) last: usize,
}

/// What the gradient of weights is summed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sweep {
    /// Number of images.
    pub(super) images: usize,
    /// Floats of a padded image; the images follow each other.
    pub(super) image: usize,
    /// Rows and pixels of a row of the output.
    pub(super) out: (usize, usize),
    /// Floats in the image from what one output sees to what the one below sees.
    pub(super) down: usize,
    /// The same for the one to the right.
    pub(super) right: usize,
    /// Floats from one output pixel's gradient to the next; rows and images follow each other.
    pub(super) pixel: usize,
    /// Lanes of the last vector that exist.
    pub(super) last: usize,
    /// Whether the result is added to.
    pub(super) add: bool,
    /// Floats from one row of the result to the next.
    pub(super) row: usize,
}

impl Finish {
    /// Writes the sums of one pixel.
    ///
    /// # Safety
    /// As [`mixed`].
    #[inline(always)]
    pub(super) unsafe fn write<V: Lanes, const R: usize>(&self, sums: &[V; R], out: *mut f32) {
        // SAFETY: the caller promised the CPU, and these lanes of every pointer.
        unsafe {
            let floor = V::splat(self.floor);
            for (r, sum) in sums.iter().enumerate() {
                let lanes = V::first(if r + 1 == R { self.last } else { LANES });
                let at = r * LANES;
                let mut value = *sum;
                if self.add {
                    value = value.plus(V::load_first(out.add(at), lanes));
                }
                if let Some(bias) = self.bias {
                    value = value.plus(V::load_first(bias.add(at), lanes));
                }
                if let Some([scale, offset]) = self.scale_offset {
                    value = value
                        .times(V::load_first(scale.add(at), lanes))
                        .plus(V::load_first(offset.add(at), lanes));
                }
                value = value.at_least(floor);
                value.store_first(out.add(at), lanes);
            }
        }
    }
}

/// `P` outputs of `R` vectors of channels; `S` is the stride.
///
/// # Safety
/// The CPU has the instructions of `V`. `image` points to the first channel of the pixel that the first
/// tap of the first output sees, in a padded image that reaches as far as `walk` and the last output's
/// last tap. `weight` points to a group as `packed` describes it, `out` to the first of `P` pixels of
/// `R` vectors, as do the pointers of `finish` to one such pixel; nothing else uses the output.
#[inline(always)]
unsafe fn mixed<V: Lanes, const P: usize, const R: usize, const S: usize>(
    image: *const f32,
    walk: &Walk,
    mut weight: *const f32,
    finish: &Finish,
    out: *mut f32,
) {
    // SAFETY: every address is within what the caller promised.
    unsafe {
        let mut sums = [[V::splat(0.0); R]; P];
        for row in 0..walk.taps.0 {
            let mut left = walk.channels;
            let mut block = image.wrapping_add(row * walk.down);
            while left > 0 {
                let channels = left.min(LANES);
                for column in 0..walk.taps.1 {
                    let mut pixel = block.wrapping_add(column * walk.right);
                    for _ in 0..channels {
                        let mut weights = [V::splat(0.0); R];
                        for (r, vector) in weights.iter_mut().enumerate() {
                            *vector = V::load(weight.add(r * LANES));
                        }
                        for (p, sums) in sums.iter_mut().enumerate() {
                            let value = V::splat(*pixel.add(p * LANES * S));
                            for (sum, weights) in sums.iter_mut().zip(&weights) {
                                *sum = value.times_plus(*weights, *sum);
                            }
                        }
                        pixel = pixel.wrapping_add(1);
                        weight = weight.wrapping_add(R * LANES);
                    }
                }
                left -= channels;
                block = block.wrapping_add(walk.block);
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            finish.write(sums, out.wrapping_add(p * finish.pixel));
        }
    }
}

/// Gradient of the weights between `M` input channels and `R` vectors of output channels at one tap.
///
/// # Safety
/// The CPU has the instructions of `V`. `image` points to the first of `M` channels that this tap sees
/// at the first output, in padded images that reach as far as `sweep` goes; `gradient` to the gradient
/// of the first output, `R` vectors; `out` to `M` rows of `R` vectors that nothing else uses.
#[inline(always)]
unsafe fn mixed_gradient<V: Lanes, const M: usize, const R: usize>(
    image: *const f32,
    mut gradient: *const f32,
    sweep: &Sweep,
    out: *mut f32,
) {
    // SAFETY: every address is within what the caller promised.
    unsafe {
        let mut sums = [[V::splat(0.0); R]; M];
        let last = V::first(sweep.last);
        for image in (0..sweep.images).map(|index| image.wrapping_add(index * sweep.image)) {
            for row in 0..sweep.out.0 {
                let mut seen = image.wrapping_add(row * sweep.down);
                for _ in 0..sweep.out.1 {
                    let mut gradients = [V::splat(0.0); R];
                    for (r, vector) in gradients.iter_mut().enumerate() {
                        let from = gradient.add(r * LANES);
                        *vector = if r + 1 == R {
                            V::load_first(from, last)
                        } else {
                            V::load(from)
                        };
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let value = V::splat(*seen.add(m));
                        for (sum, gradient) in sums.iter_mut().zip(&gradients) {
                            *sum = value.times_plus(*gradient, *sum);
                        }
                    }
                    seen = seen.wrapping_add(sweep.right);
                    gradient = gradient.wrapping_add(sweep.pixel);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            sweep.write(sums, out.add(m * sweep.row));
        }
    }
}

impl Sweep {
    /// Writes or adds one row of a result.
    ///
    /// # Safety
    /// The CPU has the instructions of `V`; `out` has room for `R` vectors, the last as far as it goes.
    #[inline(always)]
    unsafe fn write<V: Lanes, const R: usize>(&self, sums: &[V; R], out: *mut f32) {
        // SAFETY: the caller promised these lanes.
        unsafe {
            for (r, sum) in sums.iter().enumerate() {
                let lanes = V::first(if r + 1 == R { self.last } else { LANES });
                let to = out.add(r * LANES);
                let value = if self.add {
                    sum.plus(V::load_first(to, lanes))
                } else {
                    *sum
                };
                value.store_first(to, lanes);
            }
        }
    }
}

/// `P` rows by `R` vectors of columns of a product; `BY_ROWS` if the left rows' values are neighbours,
/// otherwise neighbouring rows are.
///
/// # Safety
/// The CPU has the instructions of `V`. `left` points to the first value of `P` rows, `row` apart, each of
/// `inner` values, `step` apart; one of both is 1. `right` points to `inner` times `R` whole vectors,
/// `out` to the first of `P` rows of `R` vectors, as do the pointers of `finish` to one such row; nothing
/// else uses the output.
#[inline(always)]
unsafe fn product<V: Lanes, const P: usize, const R: usize, const BY_ROWS: bool>(
    mut left: *const f32,
    (row, step, inner): (usize, usize, usize),
    mut right: *const f32,
    finish: &Finish,
    out: *mut f32,
) {
    // SAFETY: every address is within what the caller promised.
    unsafe {
        let mut sums = [[V::splat(0.0); R]; P];
        let (row, step) = if BY_ROWS { (row, 1) } else { (1, step) };
        for _ in 0..inner {
            let mut columns = [V::splat(0.0); R];
            for (r, vector) in columns.iter_mut().enumerate() {
                *vector = V::load(right.add(r * LANES));
            }
            for (p, sums) in sums.iter_mut().enumerate() {
                let value = V::splat(*left.add(p * row));
                for (sum, columns) in sums.iter_mut().zip(&columns) {
                    *sum = value.times_plus(*columns, *sum);
                }
            }
            left = left.wrapping_add(step);
            right = right.wrapping_add(R * LANES);
        }
        for (p, sums) in sums.iter().enumerate() {
            finish.write(sums, out.wrapping_add(p * finish.pixel));
        }
    }
}

/// `P` outputs of one block of channels that are kept apart; `S` is the stride.
///
/// # Safety
/// As [`mixed`], but `weight` points to `[row of taps][column of taps][16]`, and sixteen floats may be
/// read at every pixel.
#[inline(always)]
unsafe fn separate<V: Lanes, const P: usize, const S: usize>(
    image: *const f32,
    walk: &Walk,
    mut weight: *const f32,
    finish: &Finish,
    out: *mut f32,
) {
    // SAFETY: every address is within what the caller promised.
    unsafe {
        let mut sums = [V::splat(0.0); P];
        for row in 0..walk.taps.0 {
            for column in 0..walk.taps.1 {
                let pixel = image.wrapping_add(row * walk.down + column * walk.right);
                let weights = V::load(weight);
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(pixel.add(p * LANES * S)).times_plus(weights, *sum);
                }
                weight = weight.wrapping_add(LANES);
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            finish.write(&[*sum], out.wrapping_add(p * finish.pixel));
        }
    }
}

/// Gradient of `ROWS` × `COLUMNS` taps of one block of channels that are kept apart.
///
/// # Safety
/// As [`mixed_gradient`], but sixteen floats may be read at every pixel of the image; `out` points to
/// the first tap's row, `sweep.row` leads from tap to tap, and a row of taps has `columns` of them.
#[inline(always)]
unsafe fn separate_gradient<V: Lanes, const ROWS: usize, const COLUMNS: usize>(
    image: *const f32,
    mut gradient: *const f32,
    (walk, sweep): (&Walk, &Sweep),
    out: *mut f32,
) {
    // SAFETY: every address is within what the caller promised.
    unsafe {
        let mut sums = [[V::splat(0.0); COLUMNS]; ROWS];
        let last = V::first(sweep.last);
        for image in (0..sweep.images).map(|index| image.wrapping_add(index * sweep.image)) {
            for row in 0..sweep.out.0 {
                let mut seen = image.wrapping_add(row * sweep.down);
                for _ in 0..sweep.out.1 {
                    let arrived = V::load_first(gradient, last);
                    for (r, sums) in sums.iter_mut().enumerate() {
                        let line = seen.wrapping_add(r * walk.down);
                        for (c, sum) in sums.iter_mut().enumerate() {
                            let value = V::load(line.wrapping_add(c * walk.right));
                            *sum = value.times_plus(arrived, *sum);
                        }
                    }
                    seen = seen.wrapping_add(sweep.right);
                    gradient = gradient.wrapping_add(sweep.pixel);
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            for (c, sum) in sums.iter().enumerate() {
                let tap = r * walk.taps.1 + c;
                sweep.write(&[*sum], out.add(tap * sweep.row));
            }
        }
    }
}

/// [`mixed`] or [`separate`] in one size.
pub(super) type OutputTile =
    unsafe fn(*const f32, walk: &Walk, weight: *const f32, finish: &Finish, out: *mut f32);

/// [`product`] in one size.
pub(super) type ProductTile =
    unsafe fn(*const f32, (usize, usize, usize), right: *const f32, finish: &Finish, out: *mut f32);

/// [`mixed_gradient`] in one size.
pub(super) type MixedGradientTile = unsafe fn(*const f32, *const f32, &Sweep, *mut f32);

/// [`separate_gradient`] in one size.
pub(super) type SeparateGradientTile = unsafe fn(*const f32, *const f32, (&Walk, &Sweep), *mut f32);

/// The transforms of [`winograd`].
#[derive(Clone, Copy)]
pub(super) struct TileTransforms {
    pub(super) spread: unsafe fn(&Tile, Plane),
    pub(super) spread_gradient: unsafe fn(&Tile, Plane),
    pub(super) gather: unsafe fn(Plane, &Finish, &Tile),
    pub(super) spread_kernel: unsafe fn(&Taps, Plane),
    pub(super) kernel_gradient: unsafe fn(Plane, &mut Taps),
}

/// Compiles the loops for one instruction set, and chooses among their sizes.
macro_rules! for_level {
    (
        $module:ident, $vector:ty, $(#[$feature:meta])?
        mixed: [$(($p:literal, $r:literal, $s:literal)),* $(,)?],
        mixed_gradient: [$(($m:literal, $mr:literal)),* $(,)?],
        product: [$(($pp:literal, $pr:literal)),* $(,)?],
        separate: [$(($sp:literal, $ss:literal)),* $(,)?],
        separate_gradient: [$(($rows:literal, $columns:literal)),* $(,)?],
    ) => {
        mod $module {
            use super::*;

            $(#[$feature])?
            unsafe fn mixed<const P: usize, const R: usize, const S: usize>(
                image: *const f32, walk: &Walk, weight: *const f32, finish: &Finish, out: *mut f32,
            ) {
                // SAFETY: the caller keeps the same contract.
                unsafe { super::mixed::<$vector, P, R, S>(image, walk, weight, finish, out) }
            }

            $(#[$feature])?
            unsafe fn mixed_gradient<const M: usize, const R: usize>(
                image: *const f32, gradient: *const f32, sweep: &Sweep, out: *mut f32,
            ) {
                // SAFETY: the caller keeps the same contract.
                unsafe { super::mixed_gradient::<$vector, M, R>(image, gradient, sweep, out) }
            }

            $(#[$feature])?
            unsafe fn product<const P: usize, const R: usize, const BY_ROWS: bool>(
                left: *const f32,
                strides: (usize, usize, usize),
                right: *const f32,
                finish: &Finish,
                out: *mut f32,
            ) {
                // SAFETY: the caller keeps the same contract.
                unsafe { super::product::<$vector, P, R, BY_ROWS>(left, strides, right, finish, out) }
            }

            pub(super) fn product_tile(
                left: usize, vectors: usize, by_rows: bool,
            ) -> (usize, ProductTile) {
                $(if left >= $pp && vectors == $pr {
                    let tile = if by_rows { product::<$pp, $pr, true> } else { product::<$pp, $pr, false> };
                    return ($pp, tile);
                })*
                unreachable!("there is a tile of one row for {vectors} vectors")
            }

            $(#[$feature])?
            unsafe fn separate<const P: usize, const S: usize>(
                image: *const f32, walk: &Walk, weight: *const f32, finish: &Finish, out: *mut f32,
            ) {
                // SAFETY: the caller keeps the same contract.
                unsafe { super::separate::<$vector, P, S>(image, walk, weight, finish, out) }
            }

            $(#[$feature])?
            unsafe fn separate_gradient<const ROWS: usize, const COLUMNS: usize>(
                image: *const f32, gradient: *const f32, ways: (&Walk, &Sweep), out: *mut f32,
            ) {
                // SAFETY: the caller keeps the same contract.
                unsafe {
                    super::separate_gradient::<$vector, ROWS, COLUMNS>(image, gradient, ways, out)
                }
            }

            $(#[$feature])?
            unsafe fn spread<const AXES: usize>(tile: &Tile, to: Plane) {
                // SAFETY: the caller keeps the same contract, here and in the next four.
                unsafe { winograd::spread::<$vector, AXES>(tile, to) }
            }

            $(#[$feature])?
            unsafe fn spread_gradient<const OUT: usize, const AXES: usize>(tile: &Tile, to: Plane) {
                // SAFETY: as above.
                unsafe { winograd::spread_gradient::<$vector, OUT, AXES>(tile, to) }
            }

            $(#[$feature])?
            unsafe fn gather<const OUT: usize, const AXES: usize>(
                from: Plane, finish: &Finish, tile: &Tile,
            ) {
                // SAFETY: as above.
                unsafe { winograd::gather::<$vector, OUT, AXES>(from, finish, tile) }
            }

            $(#[$feature])?
            unsafe fn spread_kernel<const TAPS: usize, const AXES: usize>(taps: &Taps, to: Plane) {
                // SAFETY: as above.
                unsafe { winograd::spread_kernel::<$vector, TAPS, AXES>(taps, to) }
            }

            $(#[$feature])?
            unsafe fn kernel_gradient<const TAPS: usize, const AXES: usize>(
                from: Plane, taps: &mut Taps,
            ) {
                // SAFETY: as above.
                unsafe { winograd::kernel_gradient::<$vector, TAPS, AXES>(from, taps) }
            }

            fn transforms<const OUT: usize, const TAPS: usize, const AXES: usize>() -> TileTransforms {
                TileTransforms {
                    spread: spread::<AXES>,
                    spread_gradient: spread_gradient::<OUT, AXES>,
                    gather: gather::<OUT, AXES>,
                    spread_kernel: spread_kernel::<TAPS, AXES>,
                    kernel_gradient: kernel_gradient::<TAPS, AXES>,
                }
            }

            pub(super) fn tile_transforms(out: usize, axes: usize) -> TileTransforms {
                match (out, axes) {
                    (4, 2) => transforms::<4, 3, 2>(),
                    (2, 2) => transforms::<2, 5, 2>(),
                    (4, 1) => transforms::<4, 3, 1>(),
                    (2, 1) => transforms::<2, 5, 1>(),
                    _ => unreachable!("tiles have two outputs or four, over one axis or two"),
                }
            }

            pub(super) fn mixed_tile(
                left: usize, vectors: usize, stride: usize,
            ) -> (usize, OutputTile) {
                $(if left >= $p && vectors == $r && stride == $s {
                    return ($p, mixed::<$p, $r, $s>);
                })*
                unreachable!("there is a tile of one pixel for {vectors} vectors, stride {stride}")
            }

            pub(super) fn mixed_gradient_tile(
                left: usize, vectors: usize,
            ) -> (usize, MixedGradientTile) {
                $(if left >= $m && vectors == $mr {
                    return ($m, mixed_gradient::<$m, $mr>);
                })*
                unreachable!("there is a tile of one channel for {vectors} vectors")
            }

            pub(super) fn separate_tile(left: usize, stride: usize) -> (usize, OutputTile) {
                $(if left >= $sp && stride == $ss {
                    return ($sp, separate::<$sp, $ss>);
                })*
                unreachable!("there is a tile of one pixel for stride {stride}")
            }

            pub(super) fn separate_gradient_tile(
                rows: usize, columns: usize,
            ) -> (usize, SeparateGradientTile) {
                $(if rows.is_multiple_of($rows) && columns == $columns {
                    return ($rows, separate_gradient::<$rows, $columns>);
                })*
                unreachable!("there is a tile for a row of {columns} taps")
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
for_level!(
    avx512, __m512, #[target_feature(enable = "avx512f")]
    mixed: [
        (16, 1, 1), (14, 1, 1), (8, 1, 1), (7, 1, 1), (4, 1, 1), (2, 1, 1), (1, 1, 1),
        (8, 2, 1), (7, 2, 1), (4, 2, 1), (2, 2, 1), (1, 2, 1),
        (16, 1, 2), (14, 1, 2), (8, 1, 2), (7, 1, 2), (4, 1, 2), (2, 1, 2), (1, 1, 2),
        (8, 2, 2), (7, 2, 2), (4, 2, 2), (2, 2, 2), (1, 2, 2),
        (4, 1, 3), (1, 1, 3), (4, 2, 3), (1, 2, 3),
        (4, 1, 4), (1, 1, 4), (4, 2, 4), (1, 2, 4),
    ],
    mixed_gradient: [
        (16, 1), (8, 1), (4, 1), (2, 1), (1, 1), (8, 2), (4, 2), (2, 2), (1, 2),
    ],
    product: [(16, 1), (8, 1), (4, 1), (2, 1), (1, 1), (8, 2), (4, 2), (2, 2), (1, 2)],
    separate: [
        (16, 1), (14, 1), (8, 1), (7, 1), (4, 1), (2, 1), (1, 1),
        (16, 2), (14, 2), (8, 2), (7, 2), (4, 2), (2, 2), (1, 2),
        (4, 3), (1, 3), (4, 4), (1, 4),
    ],
    separate_gradient: [(3, 3), (1, 1), (1, 3), (1, 5), (1, 7), (1, 9), (1, 11)],
);

#[cfg(target_arch = "x86_64")]
for_level!(
    avx2, Pair, #[target_feature(enable = "avx2,fma")]
    mixed: [
        (5, 1, 1), (4, 1, 1), (2, 1, 1), (1, 1, 1), (5, 1, 2), (4, 1, 2), (2, 1, 2), (1, 1, 2),
        (4, 1, 3), (1, 1, 3), (4, 1, 4), (1, 1, 4),
    ],
    mixed_gradient: [(5, 1), (4, 1), (2, 1), (1, 1)],
    product: [(5, 1), (4, 1), (2, 1), (1, 1)],
    separate: [
        (5, 1), (4, 1), (2, 1), (1, 1), (5, 2), (4, 2), (2, 2), (1, 2), (4, 3), (1, 3), (4, 4),
        (1, 4),
    ],
    separate_gradient: [(1, 1), (1, 3), (1, 5), (1, 7), (1, 9), (1, 11)],
);

for_level!(
    portable, Array,
    mixed: [
        (4, 1, 1), (2, 1, 1), (1, 1, 1), (4, 1, 2), (2, 1, 2), (1, 1, 2), (1, 1, 3), (1, 1, 4),
    ],
    mixed_gradient: [(4, 1), (2, 1), (1, 1)],
    product: [(4, 1), (2, 1), (1, 1)],
    separate: [(2, 1), (1, 1), (2, 2), (1, 2), (1, 3), (1, 4)],
    separate_gradient: [(1, 1), (1, 3), (1, 5), (1, 7), (1, 9), (1, 11)],
);

/// Calls the same function of the level that this CPU has.
macro_rules! at_level {
    ($name:ident($($argument:expr),*)) => {
        match level() {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::$name($($argument),*),
            Level::Portable => portable::$name($($argument),*),
        }
    };
}

/// The transforms of tiles with so many outputs over so many axes.
pub(super) fn tile_transforms(out: usize, axes: usize) -> TileTransforms {
    at_level!(tile_transforms(out, axes))
}

/// The widest tile for a row with so many outputs left, and its width. Common widths come out even.
pub(super) fn mixed_tile(left: usize, vectors: usize, stride: usize) -> (usize, OutputTile) {
    at_level!(mixed_tile(even(left, vectors), vectors, stride))
}

/// The tile for as many as possible of the rows left, and how many.
pub(super) fn product_tile(left: usize, vectors: usize, by_rows: bool) -> (usize, ProductTile) {
    at_level!(product_tile(even(left, vectors), vectors, by_rows))
}

/// The tile for as many as possible of the input channels left in a block, and how many.
pub(super) fn mixed_gradient_tile(left: usize, vectors: usize) -> (usize, MixedGradientTile) {
    at_level!(mixed_gradient_tile(even(left, vectors), vectors))
}

/// The widest tile for a row with so many outputs left, and its width.
pub(super) fn separate_tile(left: usize, stride: usize) -> (usize, OutputTile) {
    at_level!(separate_tile(even(left, 1), stride))
}

/// The tile for as many as possible of the rows of taps, and how many.
pub(super) fn separate_gradient_tile(rows: usize, columns: usize) -> (usize, SeparateGradientTile) {
    at_level!(separate_gradient_tile(rows, columns))
}

/// So many of those left that common extents are cut evenly, because the small tiles that a rest needs
/// are slow: 7, 14 and 28 (quarters, halves and whole of the images that people have) and multiples of 4.
fn even(left: usize, vectors: usize) -> usize {
    let (piece, full) = match (level(), vectors) {
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, 1) => (14, 16),
        #[cfg(target_arch = "x86_64")]
        (Level::Avx512, _) => (7, 8),
        _ => return if left.is_multiple_of(4) { 4 } else { left },
    };
    if left.is_multiple_of(piece) && !left.is_multiple_of(full) {
        piece
    } else {
        left
    }
}
