//! Run-time choice of vector instructions, and the loops that are neither products nor convolutions.
//!
//! The binary is portable, so the compiler may only assume the oldest CPU. [`vectorised`] compiles
//! one loop three times (AVX-512, AVX2, portable) and calls the copy that this CPU can run. All
//! copies do the same operations in the same order, without fused multiply-add, so the bits of the
//! result do not depend on the CPU (those of `kernel` do). It is a macro because a closure would do the
//! same only as long as the optimiser happens to inline it.

use std::sync::LazyLock;

use thiserror::Error;

/// Instruction sets for which copies exist, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What every CPU of the target has.
    Portable,
}

/// Environment variable that keeps the engine from using the best instructions of a CPU, to compare or
/// to rule them out: `avx512`, `avx2` or `portable`.
pub const LEVEL_VARIABLE: &str = "LEHR_VECTORS";

/// A value of [`LEVEL_VARIABLE`] that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{LEVEL_VARIABLE} is `{value}`; it may be `avx512`, `avx2` or `portable`, or not set")]
pub struct UnknownLevel {
    /// What was found.
    pub value: String,
}

/// Checks [`LEVEL_VARIABLE`]; without this an unknown value is as good as none.
///
/// # Errors
/// If it has a value that means nothing.
pub fn check_level() -> Result<(), UnknownLevel> {
    asked_level().map(|_| ())
}

/// The best level of this CPU, or the lower one that was asked for; asked once, then remembered.
#[inline]
pub(crate) fn level() -> Level {
    static LEVEL: LazyLock<Level> = LazyLock::new(|| {
        let asked = asked_level().ok().flatten().unwrap_or(best_level());
        asked.max(best_level())
    });
    *LEVEL
}

fn asked_level() -> Result<Option<Level>, UnknownLevel> {
    let Some(value) = std::env::var_os(LEVEL_VARIABLE) else {
        return Ok(None);
    };
    match value.to_str() {
        #[cfg(target_arch = "x86_64")]
        Some("avx512") => Ok(Some(Level::Avx512)),
        #[cfg(target_arch = "x86_64")]
        Some("avx2") => Ok(Some(Level::Avx2)),
        Some("portable") => Ok(Some(Level::Portable)),
        _ => Err(UnknownLevel {
            value: value.to_string_lossy().into_owned(),
        }),
    }
}

#[cfg(target_arch = "x86_64")]
fn best_level() -> Level {
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq");
    let middle = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match (wide, middle) {
        (true, true) => Level::Avx512,
        (false, true) => Level::Avx2,
        _ => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn best_level() -> Level {
    Level::Portable
}

/// Defines a function whose body is compiled once per [`Level`] and chosen when called.
macro_rules! vectorised {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $body:block)*) => { $(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        pub(crate) fn $name($($arg: $kind),*) {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn portable($($arg: $kind),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $kind),*) {
                    portable($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $kind),*) {
                    portable($($arg),*)
                }
                match $crate::vector::level() {
                    // SAFETY: `level` says Avx512 only after it has found each of these features.
                    $crate::vector::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: `level` says Avx2 only after it has found AVX2.
                    $crate::vector::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    $crate::vector::Level::Portable => {}
                }
            }
            portable($($arg),*)
        }
    )* };
}
pub(crate) use vectorised;

/// Whether a kernel overwrites its result or adds to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// What was there is not read.
    Write,
    /// The result is added to what was there.
    Add,
}

/// What happens to a result on its way out of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Nothing.
    Linear,
    /// The rectifier that follows the layer, done in the same pass.
    Relu,
}

impl Activation {
    /// The least value that leaves.
    #[inline(always)]
    pub(crate) fn floor(self) -> f32 {
        match self {
            Activation::Linear => f32::NEG_INFINITY,
            Activation::Relu => 0.0,
        }
    }
}

/// Length of a row of per-channel values repeated until it fills some vectors, so that a loop over
/// few channels is as long as one over many: a multiple of `channels`.
pub(crate) fn tile_len(channels: usize) -> usize {
    const ENOUGH: usize = 256;
    channels * (ENOUGH / channels).max(1)
}

vectorised! {
    /// `out = values`, or `out += values`.
    fn copy(out: &mut [f32], values: &[f32], store: Store) {
        let add = store == Store::Add;
        for (out, value) in out.iter_mut().zip(values) {
            let before = if add { *out } else { 0.0 };
            *out = before + *value;
        }
    }

    /// `values = factor·values`.
    fn scale(values: &mut [f32], factor: f32) {
        for value in values {
            *value *= factor;
        }
    }

    /// `average = keep·average + (1 − keep)·values`.
    fn follow(average: &mut [f32], values: &[f32], keep: f32) {
        for (average, value) in average.iter_mut().zip(values) {
            *average = keep * *average + (1.0 - keep) * *value;
        }
    }

    /// Adds the sum of squares: in `f32` over lanes and a few lines, in `f64` beyond.
    fn add_squares(sum: &mut f64, values: &[f32]) {
        const LANES: usize = 16;
        const LINES: usize = 64;
        for piece in values.chunks(LANES * LINES) {
            let mut lanes = [0.0_f32; LANES];
            let mut lines = piece.chunks_exact(LANES);
            for line in &mut lines {
                for (lane, value) in lanes.iter_mut().zip(line) {
                    *lane += *value * *value;
                }
            }
            for (lane, value) in lanes.iter_mut().zip(lines.remainder()) {
                *lane += *value * *value;
            }
            *sum += lanes.iter().map(|lane| f64::from(*lane)).sum::<f64>();
        }
    }

    /// Gradient through a rectifier, in place: 0 wherever its output was not above 0.
    fn mask_gradient(gradient: &mut [f32], output: &[f32]) {
        for (gradient, output) in gradient.iter_mut().zip(output) {
            *gradient = if *output > 0.0 { *gradient } else { 0.0 };
        }
    }

    /// `sums[c]` = (or +=) the sum of column `c` of `values: [rows][sums.len()]`.
    ///
    /// Several rows at once go into the `tile` (see [`tile_len`]), which is folded at the end.
    fn column_sums(sums: &mut [f32], tile: &mut [f32], values: &[f32], store: Store) {
        tile.fill(0.0);
        let mut tiles = values.chunks_exact(tile.len());
        for rows in &mut tiles {
            for (sum, value) in tile.iter_mut().zip(rows) {
                *sum += *value;
            }
        }
        for (sum, value) in tile.iter_mut().zip(tiles.remainder()) {
            *sum += *value;
        }
        if store == Store::Write {
            sums.fill(0.0);
        }
        for row in tile.chunks_exact(sums.len()) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += *value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_sums_add_or_overwrite_as_told() {
        let mut sums = vec![100.0, 200.0];
        let mut tile = vec![f32::NAN; 4];
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        column_sums(&mut sums, &mut tile, &values, Store::Add);
        assert_eq!(sums, [109.0, 212.0]);
        column_sums(&mut sums, &mut tile, &values, Store::Write);
        assert_eq!(sums, [9.0, 12.0]);
    }
}
