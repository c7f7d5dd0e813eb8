//! Products of numbers rounded to bfloat16, summed in `f32`.
//!
//! A bfloat16 is the upper half of an `f32`: the same exponents, eight bits of precision. AVX512-BF16
//! multiplies thirty-two pairs of them in an instruction, twice as many as in `f32`. Two neighbours along
//! the inner extent lie together in the place of one `f32`, the first of them in its lower half; so the
//! forms of [`super::product`] stay as they are, with half as many steps.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m512, __m512bh, _mm512_dpbf16_ps, _mm512_loadu_epi32, _mm512_set1_epi32, _mm512_setzero_ps,
};

use super::{
    LANES,
    tile::{Finish, ProductTile},
};
use crate::vector::{Level, level, vectorised};

/// Whether this CPU gains anything from rounded products: everything else does them in `f32`.
pub(crate) fn is_native() -> bool {
    #[cfg(target_arch = "x86_64")]
    return level() == Level::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Steps of two neighbours each; the last may have one.
pub(super) fn pairs(inner: usize) -> usize {
    inner.div_ceil(2)
}

/// The nearest bfloat16, ties to even, in the upper half; what is no number stays none.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    let kept = if value.is_nan() {
        bits | 1 << 22
    } else {
        nearest
    };
    kept & 0xffff_0000
}

/// Two neighbours in one place.
#[inline(always)]
fn pair(first: f32, second: f32) -> f32 {
    f32::from_bits(rounded(first) >> 16 | rounded(second))
}

vectorised! {
    /// Pairs of one row's neighbours.
    fn pair_row(pairs: &mut [f32], row: &[f32]) {
        let neighbours = row.chunks_exact(2);
        let last = neighbours.remainder();
        for (pair_of, two) in pairs.iter_mut().zip(neighbours) {
            *pair_of = pair(two[0], two[1]);
        }
        if let [alone] = last {
            pairs[row.len() / 2] = pair(*alone, 0.0);
        }
    }

    /// `count` of `width` columns of rows that begin `stride` apart, each with the row below it.
    fn pair_rows(
        packed: &mut [f32], values: &[f32], stride: usize, columns: (usize, usize), inner: usize,
    ) {
        let (width, count) = columns;
        for (index, lanes) in packed.chunks_exact_mut(width).enumerate() {
            let (lanes, none) = lanes.split_at_mut(count);
            none.fill(0.0);
            let first = &values[2 * index * stride..][..count];
            if 2 * index + 1 == inner {
                lanes.iter_mut().zip(first).for_each(|(to, first)| *to = pair(*first, 0.0));
                continue;
            }
            let second = &values[(2 * index + 1) * stride..][..count];
            for (lane, (first, second)) in lanes.iter_mut().zip(first.iter().zip(second)) {
                *lane = pair(*first, *second);
            }
        }
    }

    /// The same of columns that begin `stride` apart.
    fn pair_columns(
        packed: &mut [f32], values: &[f32], stride: usize, columns: (usize, usize), inner: usize,
    ) {
        let (width, count) = columns;
        for first in (0..inner).step_by(2 * LANES) {
            let block = first..inner.min(first + 2 * LANES);
            for lane in 0..count {
                let column = &values[lane * stride + block.start..][..block.len()];
                for (index, two) in column.chunks(2).enumerate() {
                    let second = two.get(1).copied().unwrap_or(0.0);
                    packed[(first / 2 + index) * width + lane] = pair(two[0], second);
                }
            }
        }
        for lanes in packed.chunks_exact_mut(width) {
            lanes[count..].fill(0.0);
        }
    }
}

/// [`super::tile::product`] of pairs; strides and the inner extent count them.
///
/// # Safety
/// As there; the CPU has AVX-512 and AVX512-BF16.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn product<const P: usize, const R: usize, const BY_ROWS: bool>(
    mut left: *const f32,
    (row, step, inner): (usize, usize, usize),
    mut right: *const f32,
    finish: &Finish,
    out: *mut f32,
) {
    // SAFETY: every address is within what the caller promised; any bits are a `__m512bh`.
    unsafe {
        let mut sums = [[_mm512_setzero_ps(); R]; P];
        let (row, step) = if BY_ROWS { (row, 1) } else { (1, step) };
        for _ in 0..inner {
            let columns: [__m512bh; R] = std::array::from_fn(|r| {
                let lanes = _mm512_loadu_epi32(right.add(r * LANES).cast());
                std::mem::transmute(lanes)
            });
            for (p, sums) in sums.iter_mut().enumerate() {
                let two = _mm512_set1_epi32(left.add(p * row).cast::<i32>().read());
                let two: __m512bh = std::mem::transmute(two);
                for (sum, columns) in sums.iter_mut().zip(&columns) {
                    *sum = _mm512_dpbf16_ps(*sum, two, *columns);
                }
            }
            left = left.wrapping_add(step);
            right = right.wrapping_add(R * LANES);
        }
        for (p, sums) in sums.iter().enumerate() {
            finish.write::<__m512, R>(sums, out.wrapping_add(p * finish.pixel));
        }
    }
}

/// The tile for as many as possible of the rows left, and how many.
///
/// # Panics
/// If the CPU has no such instructions.
pub(super) fn product_tile(left: usize, vectors: usize, by_rows: bool) -> (usize, ProductTile) {
    assert!(
        is_native(),
        "pairs are only made where they can be multiplied"
    );
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! sizes {
            ($(($p:literal, $r:literal)),*) => {
                $(if left >= $p && vectors == $r {
                    let tile: ProductTile = match by_rows {
                        true => product::<$p, $r, true>,
                        false => product::<$p, $r, false>,
                    };
                    return ($p, tile);
                })*
            };
        }
        sizes!(
            (8, 2),
            (4, 2),
            (2, 2),
            (1, 2),
            (16, 1),
            (8, 1),
            (4, 1),
            (2, 1),
            (1, 1)
        );
    }
    unreachable!("there is a tile of one row for {vectors} vectors")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_what_is_none_stays_none() {
        let upper = |value: f32| f32::from_bits(rounded(value));
        // 1 + 2⁻⁷ is the next number after 1; halfway between, the even one is taken.
        assert_eq!(upper(1.0 + 0.6 / 128.0), 1.0 + 1.0 / 128.0);
        assert_eq!(upper(1.0 + 0.5 / 128.0), 1.0);
        assert_eq!(upper(1.0 + 1.5 / 128.0), 1.0 + 2.0 / 128.0);
        assert_eq!(upper(-3.0), -3.0);
        assert_eq!(upper(f32::MAX), f32::INFINITY);
        assert_eq!(upper(f32::NEG_INFINITY), f32::NEG_INFINITY);
        assert!(upper(f32::from_bits(0x7fff_ffff)).is_nan());
        assert!(upper(f32::from_bits(0xff80_0001)).is_nan());
    }
}
