//! The inner loops of convolutions and matrix products: a few pixels by a few channels of a result stay in
//! registers while everything that adds to them goes by.
//!
//! [`multiply`] multiplies matrices, in `f32` or of numbers rounded to `bf16`. [`Convolution`] mixes
//! channels, [`DepthwiseConvolution`] keeps them apart; both go forward, bring gradients back and sum the
//! gradient of their weights, for any [`Geometry`]: one or two dimensions, strides, dilation.
//! Below them, `padded` brings an image into blocks of [`LANES`] channels with a margin of zeros, `packed`
//! brings weights into the order in which they are read, `tile` has the loops themselves, written once
//! for the vectors of `lanes` (AVX-512, AVX2, portable).
//!
//! Against a matrix of patches (im2col) this saves writing every pixel as often as the kernel sees it,
//! and the packing of the matrix product: with 16 or 32 channels that took as long as the arithmetic.

mod bf16;
mod convolve;
mod depthwise;
mod geometry;
mod lanes;
mod packed;
mod padded;
mod product;
mod tile;
mod winograd;

#[cfg(test)]
pub(crate) use bf16::is_native as rounds_natively;
pub(crate) use convolve::{Convolution, Ending};
pub(crate) use depthwise::DepthwiseConvolution;
pub(crate) use geometry::Geometry;
use lanes::LANES;
pub(crate) use product::{
    Matrix, MatrixMut, Workspace, multiply, multiply_into, product_scratch_len,
};

#[cfg(test)]
mod tests {
    use std::process::Command;

    use crate::vector::LEVEL_VARIABLE;

    /// The level is chosen once per process, so the tests of this folder are run again as another.
    #[test]
    fn all_of_it_holds_at_every_level() {
        for level in ["avx512", "avx2", "portable"] {
            let output = Command::new(std::env::current_exe().unwrap())
                .args([
                    "every_geometry_of",
                    "every_geometry_is_convolved_as",
                    "every_geometry_is_convolved_channel",
                    "endings_are_applied_in_order",
                    "the_error_is_small",
                ])
                .env(LEVEL_VARIABLE, level)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{level}:\n{said}");
            assert_eq!(said.matches("... ok").count(), 5, "{level}:\n{said}");
        }
    }
}
