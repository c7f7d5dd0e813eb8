//! The transforms of F(4×4, 3×3), sixteen channels at a time.
//!
//! Points of interpolation are 0, ±p, ±q and ∞ with `p = √½` and `q = √2`. With ±1 and ±2, as in the
//! paper, the error is twice as large (48 channels, uniform values: 1.5·10⁻⁶ against 0.7·10⁻⁶ of the
//! values' root mean square); no other pair was better by more than a tenth. The matrices are
//! ```text
//!      ⎡1   0 −5/2    0 1 0⎤        ⎡  1     0     0 ⎤
//!      ⎢0 −2p  −2     p 1 0⎥        ⎢−2/3 −2p/3 −1/3 ⎥        ⎡1  1   1   1  1 0⎤
//! Bᵀ = ⎢0  2p  −2    −p 1 0⎥    G = ⎢−2/3  2p/3 −1/3 ⎥   Aᵀ = ⎢0  p  −p   q −q 0⎥
//!      ⎢0 −q/2 −1/2   q 1 0⎥        ⎢ 1/6   q/6  1/3 ⎥        ⎢0 1/2 1/2  2  2 0⎥
//!      ⎢0  q/2 −1/2  −q 1 0⎥        ⎢ 1/6  −q/6  1/3 ⎥        ⎣0 p/2 −p/2 2q −2q 1⎦
//!      ⎣0   1   0  −5/2 0 1⎦        ⎣  0     0     1 ⎦
//! ```
//! Each is applied to columns, then to rows.

use std::f32::consts::{FRAC_1_SQRT_2 as P, SQRT_2 as Q};

use crate::kernel::{LANES, lanes::Lanes, tile::Finish};

/// Pixels of an image under a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tile {
    /// The tile's first pixel; it may lie outside of the image.
    pub(crate) start: *mut f32,
    /// From one row to the next, in floats.
    pub(crate) row: usize,
    /// From one pixel to the next.
    pub(crate) pixel: usize,
    /// First row of the tile inside the image, and the first one behind it.
    pub(crate) rows: (usize, usize),
    /// The same for columns.
    pub(crate) columns: (usize, usize),
    /// Channels that exist.
    pub(crate) lanes: usize,
}

/// Sixteen floats in each of 36 planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    start: *mut f32,
    step: usize,
}

impl Plane {
    /// Begins at `at` in the first plane; planes are `step` floats apart.
    pub(crate) fn new(planes: &mut [f32], at: usize, step: usize) -> Plane {
        assert!(
            at + 35 * step + LANES <= planes.len(),
            "36 planes hold a vector here"
        );
        Plane {
            start: planes[at..].as_mut_ptr(),
            step,
        }
    }
}

/// `a·b + c`, with a constant `a`.
///
/// # Safety
/// The CPU has the instructions of `V`, here and in all functions of this file.
#[inline(always)]
unsafe fn scaled<V: Lanes>(a: f32, b: V, c: V) -> V {
    // SAFETY: the caller has the instructions.
    unsafe { V::splat(a).times_plus(b, c) }
}

/// `Bᵀ d`.
#[inline(always)]
unsafe fn b_transposed<V: Lanes>(d: [V; 6]) -> [V; 6] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (near_even, near_odd) = (scaled(-2.0, d[2], d[4]), scaled(-2.0, d[1], d[3]));
        let (far_even, far_odd) = (scaled(-0.5, d[2], d[4]), scaled(-0.5, d[1], d[3]));
        [
            scaled(-2.5, d[2], d[0].plus(d[4])),
            scaled(P, near_odd, near_even),
            scaled(-P, near_odd, near_even),
            scaled(Q, far_odd, far_even),
            scaled(-Q, far_odd, far_even),
            scaled(-2.5, d[3], d[1].plus(d[5])),
        ]
    }
}

/// `Aᵀ m`.
#[inline(always)]
unsafe fn a_transposed<V: Lanes>(m: [V; 6]) -> [V; 4] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (near_even, far_even) = (m[1].plus(m[2]), m[3].plus(m[4]));
        let near_odd = m[1].minus(m[2]).times(V::splat(P));
        let far_odd = m[3].minus(m[4]).times(V::splat(Q));
        [
            m[0].plus(near_even).plus(far_even),
            near_odd.plus(far_odd),
            scaled(0.5, near_even, far_even.plus(far_even)),
            scaled(0.5, near_odd, scaled(2.0, far_odd, m[5])),
        ]
    }
}

/// `A y`.
#[inline(always)]
unsafe fn a<V: Lanes>(y: [V; 4]) -> [V; 6] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (near_even, near_odd) = (scaled(0.5, y[2], y[0]), scaled(0.5, y[3], y[1]));
        let (far_even, far_odd) = (scaled(2.0, y[2], y[0]), scaled(2.0, y[3], y[1]));
        [
            y[0],
            scaled(P, near_odd, near_even),
            scaled(-P, near_odd, near_even),
            scaled(Q, far_odd, far_even),
            scaled(-Q, far_odd, far_even),
            y[3],
        ]
    }
}

/// `G g`.
#[inline(always)]
unsafe fn g<V: Lanes>(g: [V; 3]) -> [V; 6] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let third = g[2].times(V::splat(1.0 / 3.0));
        let near = scaled(-2.0 / 3.0, g[0], V::splat(0.0).minus(third));
        let far = scaled(1.0 / 6.0, g[0], third);
        [
            g[0],
            scaled(-2.0 / 3.0 * P, g[1], near),
            scaled(2.0 / 3.0 * P, g[1], near),
            scaled(Q / 6.0, g[1], far),
            scaled(-Q / 6.0, g[1], far),
            g[2],
        ]
    }
}

/// `Gᵀ u`.
#[inline(always)]
unsafe fn g_transposed<V: Lanes>(u: [V; 6]) -> [V; 3] {
    // SAFETY: the caller has the instructions.
    unsafe {
        let (near_even, far_even) = (u[1].plus(u[2]), u[3].plus(u[4]));
        let (near_odd, far_odd) = (u[1].minus(u[2]), u[3].minus(u[4]));
        [
            scaled(-2.0 / 3.0, near_even, scaled(1.0 / 6.0, far_even, u[0])),
            scaled(-2.0 / 3.0 * P, near_odd, far_odd.times(V::splat(Q / 6.0))),
            scaled(1.0 / 3.0, far_even.minus(near_even), u[5]),
        ]
    }
}

/// One column of a tile, 0 outside of the image.
///
/// # Safety
/// The CPU has the instructions of `V`, and the pixels inside of the image may be read.
#[inline(always)]
unsafe fn read_pixels<V: Lanes, const SIZE: usize>(tile: &Tile, column: usize) -> [V; SIZE] {
    // SAFETY: a vector without lanes reads nothing.
    unsafe {
        let mut pixels = [V::splat(0.0); SIZE];
        if column < tile.columns.0 || column >= tile.columns.1 {
            return pixels;
        }
        let (lanes, none) = (V::first(tile.lanes), V::first(0));
        let first = tile.start.wrapping_add(column * tile.pixel);
        for (row, pixel) in pixels.iter_mut().enumerate() {
            let is_inside = row >= tile.rows.0 && row < tile.rows.1;
            let lanes = if is_inside { lanes } else { none };
            *pixel = V::load_first(first.wrapping_add(row * tile.row), lanes);
        }
        pixels
    }
}

/// Writes one row of six vectors, one to each plane.
///
/// # Safety
/// The CPU has the instructions of `V`; nothing else uses these places.
#[inline(always)]
unsafe fn write_row<V: Lanes>(values: [V; 6], row: usize, to: Plane) {
    // SAFETY: a plane has room for sixteen floats in each of 36 places.
    unsafe {
        let all = V::first(LANES);
        let start = to.start.wrapping_add(6 * row * to.step);
        for (column, value) in values.iter().enumerate() {
            value.store_first(start.wrapping_add(column * to.step), all);
        }
    }
}

/// Reads one column of six vectors, one from each plane.
///
/// # Safety
/// The CPU has the instructions of `V`.
#[inline(always)]
unsafe fn read_column<V: Lanes>(from: Plane, column: usize) -> [V; 6] {
    // SAFETY: a plane holds sixteen floats in each of 36 places.
    unsafe {
        let mut values = [V::splat(0.0); 6];
        for (row, value) in values.iter_mut().enumerate() {
            *value = V::load(from.start.wrapping_add((6 * row + column) * from.step));
        }
        values
    }
}

/// `Bᵀ d B` of a 6×6 tile.
///
/// # Safety
/// The CPU has the instructions of `V`; the tile's pixels inside its image may be read; nothing else
/// uses the places of `to`.
#[inline(always)]
pub(crate) unsafe fn spread<V: Lanes>(tile: &Tile, to: Plane) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut work = [[V::splat(0.0); 6]; 6];
        for column in 0..6 {
            let made = b_transposed(read_pixels::<V, 6>(tile, column));
            for (line, value) in work.iter_mut().zip(made) {
                line[column] = value;
            }
        }
        for (row, work) in work.iter().enumerate() {
            write_row(b_transposed(*work), row, to);
        }
    }
}

/// `A dY Aᵀ` of a 4×4 tile.
///
/// # Safety
/// As [`spread`].
#[inline(always)]
pub(crate) unsafe fn spread_gradient<V: Lanes>(tile: &Tile, to: Plane) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut work = [[V::splat(0.0); 4]; 6];
        for column in 0..4 {
            let made = a(read_pixels::<V, 4>(tile, column));
            for (line, value) in work.iter_mut().zip(made) {
                line[column] = value;
            }
        }
        for (row, work) in work.iter().enumerate() {
            write_row(a(*work), row, to);
        }
    }
}

/// `Aᵀ m A`, finished and written to the pixels that lie in the image.
///
/// # Safety
/// As [`spread`], but the tile's pixels inside its image may be written and nothing else uses them.
#[inline(always)]
pub(crate) unsafe fn gather<V: Lanes>(from: Plane, finish: &Finish, tile: &Tile) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut work = [[V::splat(0.0); 6]; 4];
        for column in 0..6 {
            let made = a_transposed(read_column::<V>(from, column));
            for (line, value) in work.iter_mut().zip(made) {
                line[column] = value;
            }
        }
        for (row, work) in work.iter().enumerate().take(tile.rows.1) {
            let line = tile.start.wrapping_add(row * tile.row);
            let pixels = a_transposed(*work);
            for (column, pixel) in pixels.iter().enumerate() {
                if column < tile.columns.1 {
                    finish.write(&[*pixel], line.wrapping_add(column * tile.pixel));
                }
            }
        }
    }
}

/// `G g Gᵀ` of a 3×3 kernel.
///
/// # Safety
/// The CPU has the instructions of `V`; nothing else uses the places of `to`.
#[inline(always)]
pub(crate) unsafe fn spread_kernel<V: Lanes>(taps: &[[f32; LANES]; 9], to: Plane) {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut work = [[V::splat(0.0); 3]; 6];
        for column in 0..3 {
            let mut values = [V::splat(0.0); 3];
            for (row, value) in values.iter_mut().enumerate() {
                *value = V::load(taps[3 * row + column].as_ptr());
            }
            let made = g(values);
            for (line, value) in work.iter_mut().zip(made) {
                line[column] = value;
            }
        }
        for (row, work) in work.iter().enumerate() {
            write_row(g(*work), row, to);
        }
    }
}

/// `Gᵀ u G`, back to a 3×3 kernel.
///
/// # Safety
/// As [`spread_kernel`].
#[inline(always)]
pub(crate) unsafe fn kernel_gradient<V: Lanes>(from: Plane, taps: &mut [[f32; LANES]; 9]) {
    // SAFETY: as promised by the caller.
    unsafe {
        let all = V::first(LANES);
        let mut work = [[V::splat(0.0); 6]; 3];
        for column in 0..6 {
            let made = g_transposed(read_column::<V>(from, column));
            for (line, value) in work.iter_mut().zip(made) {
                line[column] = value;
            }
        }
        for (row, work) in work.iter().enumerate() {
            for (column, value) in g_transposed(*work).iter().enumerate() {
                value.store_first(taps[3 * row + column].as_mut_ptr(), all);
            }
        }
    }
}
