//! Sixteen floats at once, as each instruction set has them.
//!
//! A trait with three implementations, because the loops over them are long and must not differ:
//! one AVX-512 register, two of AVX2, or an array that the compiler spreads over what there is.
//! Sums differ in their last bits between the levels: only two of them fuse multiply and add.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256, __m256i, __m512, __mmask16, _mm256_add_ps, _mm256_cmpgt_epi32, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_max_ps, _mm256_mul_ps,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32, _mm256_storeu_ps, _mm256_sub_ps,
    _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_max_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_sub_ps,
};

/// Floats in a vector, and channels in a block.
pub(super) const LANES: usize = 16;

/// Sixteen floats.
///
/// # Safety
/// Every method asks that the CPU has the implementation's instructions, and each pointer that there
/// are sixteen floats behind it, or as many as `first` says.
pub(super) trait Lanes: Copy {
    /// Which lanes exist.
    type First: Copy;

    /// The first `count` lanes, none to 16.
    unsafe fn first(count: usize) -> Self::First;

    /// The same value everywhere.
    unsafe fn splat(value: f32) -> Self;

    /// Sixteen neighbours.
    unsafe fn load(from: *const f32) -> Self;

    /// The first of sixteen neighbours, 0 for the others.
    unsafe fn load_first(from: *const f32, first: Self::First) -> Self;

    /// Writes the first lanes.
    unsafe fn store_first(self, to: *mut f32, first: Self::First);

    /// `self·factor + sum`.
    unsafe fn times_plus(self, factor: Self, sum: Self) -> Self;

    /// `self·other`.
    unsafe fn times(self, other: Self) -> Self;

    /// `self + other`.
    unsafe fn plus(self, other: Self) -> Self;

    /// `self − other`.
    unsafe fn minus(self, other: Self) -> Self;

    /// The larger of both; a NaN of `self` stays: divergence must be seen.
    unsafe fn at_least(self, floor: Self) -> Self;
}

#[cfg(target_arch = "x86_64")]
impl Lanes for __m512 {
    type First = __mmask16;

    #[inline(always)]
    unsafe fn first(count: usize) -> __mmask16 {
        ((1_u32 << count) - 1) as __mmask16
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        // SAFETY: the caller has AVX-512.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller has AVX-512 and sixteen floats.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, first: __mmask16) -> __m512 {
        // SAFETY: the caller has AVX-512; lanes that do not exist are not read.
        unsafe { _mm512_maskz_loadu_ps(first, from) }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, first: __mmask16) {
        // SAFETY: the caller has AVX-512; lanes that do not exist are not written.
        unsafe { _mm512_mask_storeu_ps(to, first, self) }
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: __m512, sum: __m512) -> __m512 {
        // SAFETY: the caller has AVX-512.
        unsafe { _mm512_fmadd_ps(self, factor, sum) }
    }

    #[inline(always)]
    unsafe fn times(self, other: __m512) -> __m512 {
        // SAFETY: the caller has AVX-512.
        unsafe { _mm512_mul_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: __m512) -> __m512 {
        // SAFETY: the caller has AVX-512.
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn minus(self, other: __m512) -> __m512 {
        // SAFETY: the caller has AVX-512.
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: __m512) -> __m512 {
        // SAFETY: the caller has AVX-512. Of a NaN and a number the instruction gives the second.
        unsafe { _mm512_max_ps(floor, self) }
    }
}

/// Two registers of AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Pair([__m256; 2]);

#[cfg(target_arch = "x86_64")]
impl Lanes for Pair {
    /// Masks, and how many lanes: masked loads and stores are slow, and seldom needed.
    type First = (usize, [__m256i; 2]);

    #[inline(always)]
    unsafe fn first(count: usize) -> (usize, [__m256i; 2]) {
        // SAFETY: the caller has AVX2.
        unsafe {
            let lanes = _mm256_set1_epi32(count as i32);
            let (low, high) = (
                _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15),
            );
            let masks = [
                _mm256_cmpgt_epi32(lanes, low),
                _mm256_cmpgt_epi32(lanes, high),
            ];
            (count, masks)
        }
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Pair {
        // SAFETY: the caller has AVX2.
        Pair([unsafe { _mm256_set1_ps(value) }; 2])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Pair {
        // SAFETY: the caller has AVX2 and sixteen floats.
        unsafe { Pair([_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))]) }
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, (count, first): (usize, [__m256i; 2])) -> Pair {
        // SAFETY: the caller has AVX2; lanes that do not exist are not read.
        unsafe {
            if count == LANES {
                return Pair::load(from);
            }
            Pair([
                _mm256_maskload_ps(from, first[0]),
                _mm256_maskload_ps(from.wrapping_add(8), first[1]),
            ])
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, (count, first): (usize, [__m256i; 2])) {
        // SAFETY: the caller has AVX2; lanes that do not exist are not written.
        unsafe {
            if count == LANES {
                _mm256_storeu_ps(to, self.0[0]);
                return _mm256_storeu_ps(to.add(8), self.0[1]);
            }
            _mm256_maskstore_ps(to, first[0], self.0[0]);
            _mm256_maskstore_ps(to.wrapping_add(8), first[1], self.0[1]);
        }
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Pair, sum: Pair) -> Pair {
        let ([a, b], [c, d], [e, f]) = (self.0, factor.0, sum.0);
        // SAFETY: the caller has AVX2 and FMA.
        unsafe { Pair([_mm256_fmadd_ps(a, c, e), _mm256_fmadd_ps(b, d, f)]) }
    }

    #[inline(always)]
    unsafe fn times(self, other: Pair) -> Pair {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: the caller has AVX2.
        unsafe { Pair([_mm256_mul_ps(a, c), _mm256_mul_ps(b, d)]) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Pair) -> Pair {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: the caller has AVX2.
        unsafe { Pair([_mm256_add_ps(a, c), _mm256_add_ps(b, d)]) }
    }

    #[inline(always)]
    unsafe fn minus(self, other: Pair) -> Pair {
        let ([a, b], [c, d]) = (self.0, other.0);
        // SAFETY: the caller has AVX2.
        unsafe { Pair([_mm256_sub_ps(a, c), _mm256_sub_ps(b, d)]) }
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: Pair) -> Pair {
        let ([a, b], [c, d]) = (self.0, floor.0);
        // SAFETY: the caller has AVX2. Of a NaN and a number the instruction gives the second.
        unsafe { Pair([_mm256_max_ps(c, a), _mm256_max_ps(d, b)]) }
    }
}

/// What every CPU can do.
#[derive(Clone, Copy)]
pub(super) struct Array([f32; LANES]);

impl Lanes for Array {
    type First = usize;

    #[inline(always)]
    unsafe fn first(count: usize) -> usize {
        count
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Array {
        Array([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Array {
        // SAFETY: the caller has sixteen floats.
        Array(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_first(from: *const f32, first: usize) -> Array {
        let mut lanes = [0.0; LANES];
        // SAFETY: the caller has the first floats.
        unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), first) };
        Array(lanes)
    }

    #[inline(always)]
    unsafe fn store_first(self, to: *mut f32, first: usize) {
        // SAFETY: the caller has room for the first floats, which are no more than sixteen.
        unsafe { std::ptr::copy_nonoverlapping(self.0.as_ptr(), to, first) };
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Array, sum: Array) -> Array {
        Array(std::array::from_fn(|i| self.0[i] * factor.0[i] + sum.0[i]))
    }

    #[inline(always)]
    unsafe fn times(self, other: Array) -> Array {
        Array(std::array::from_fn(|i| self.0[i] * other.0[i]))
    }

    #[inline(always)]
    unsafe fn plus(self, other: Array) -> Array {
        Array(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn minus(self, other: Array) -> Array {
        Array(std::array::from_fn(|i| self.0[i] - other.0[i]))
    }

    #[inline(always)]
    unsafe fn at_least(self, floor: Array) -> Array {
        Array(std::array::from_fn(|i| {
            if self.0[i] < floor.0[i] {
                floor.0[i]
            } else {
                self.0[i]
            }
        }))
    }
}
