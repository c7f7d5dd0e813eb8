//! What flows between layers: the shape of one example, without its batch.
//!
//! Written as the field writes it, channels first (`3x32x32`); in memory everything is
//! channels-last, so an image of shape `3x32x32` is 32·32 pixels of 3 values each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Shape of one example at one place of a network. All extents are at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// A vector: the row of a table, or what is left of an image after pooling.
    Flat {
        /// Number of values.
        features: u32,
    },
    /// A series: `length` steps of `channels` values.
    Sequence {
        /// Values per step.
        channels: u32,
        /// Number of steps.
        length: u32,
    },
    /// An image or feature map.
    Image {
        /// Values per pixel.
        channels: u32,
        /// Rows of pixels.
        height: u32,
        /// Columns of pixels.
        width: u32,
    },
}

impl Shape {
    /// No extent may be larger: a flattened 512x512 colour image is within, and little else needs more.
    pub const EXTENT_MAX: u32 = 1 << 20;

    /// How many values one example has.
    pub fn values(self) -> usize {
        self.channels() as usize * self.positions()
    }

    /// The extent that a dense or convolution layer decides: features, or channels.
    pub fn channels(self) -> u32 {
        match self {
            Shape::Flat { features } => features,
            Shape::Sequence { channels, .. } | Shape::Image { channels, .. } => channels,
        }
    }

    /// At how many places the channels stand: 1 for a vector, steps of a series, pixels of an image.
    pub fn positions(self) -> usize {
        match self {
            Shape::Flat { .. } => 1,
            Shape::Sequence { length, .. } => length as usize,
            Shape::Image { height, width, .. } => height as usize * width as usize,
        }
    }

    /// The same shape with another number of channels.
    #[must_use]
    pub fn with_channels(self, count: u32) -> Shape {
        match self {
            Shape::Flat { .. } => Shape::Flat { features: count },
            Shape::Sequence { length, .. } => Shape::Sequence {
                channels: count,
                length,
            },
            Shape::Image { height, width, .. } => Shape::Image {
                channels: count,
                height,
                width,
            },
        }
    }

    /// Rows and columns of positions: a series is one row, a vector one position.
    pub fn plane(self) -> (usize, usize) {
        match self {
            Shape::Flat { .. } => (1, 1),
            Shape::Sequence { length, .. } => (1, length as usize),
            Shape::Image { height, width, .. } => (height as usize, width as usize),
        }
    }

    /// Whether it is a series.
    pub fn is_sequence(self) -> bool {
        matches!(self, Shape::Sequence { .. })
    }

    /// The same channels at other positions: each extent as `of` makes it. `None` for a vector.
    pub(crate) fn resized(self, of: impl Fn(u32) -> Option<u32>) -> Option<Shape> {
        match self {
            Shape::Flat { .. } => None,
            Shape::Sequence { channels, length } => Some(Shape::Sequence {
                channels,
                length: of(length)?,
            }),
            Shape::Image {
                channels,
                height,
                width,
            } => Some(Shape::Image {
                channels,
                height: of(height)?,
                width: of(width)?,
            }),
        }
    }

    /// Whether both stand at the same places, whatever their channels: what `concat` needs.
    pub fn same_positions(self, other: Shape) -> bool {
        self.with_channels(1) == other.with_channels(1)
    }

    /// Whether every extent is between 1 and [`Shape::EXTENT_MAX`].
    pub fn is_legal(self) -> bool {
        let legal = |extent: u32| (1..=Shape::EXTENT_MAX).contains(&extent);
        match self {
            Shape::Flat { features } => legal(features),
            Shape::Sequence { channels, length } => legal(channels) && legal(length),
            Shape::Image {
                channels,
                height,
                width,
            } => legal(channels) && legal(height) && legal(width),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Flat { features } => write!(f, "{features}"),
            Shape::Sequence { channels, length } => write!(f, "{channels}x{length}"),
            Shape::Image {
                channels,
                height,
                width,
            } => write!(f, "{channels}x{height}x{width}"),
        }
    }
}
