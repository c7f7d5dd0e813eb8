//! What a layer does, and which shape it makes of the shapes it gets.
//!
//! Convolutions and depthwise convolutions are always "same": an odd kernel of width k is padded by
//! (k − 1)/2 on each side, so that a kernel may grow without moving anything. Pools are never
//! padded: what does not fill a window is left out, as in PyTorch's default.

use serde::{Deserialize, Serialize};

use crate::shape::Shape;

/// The kernel of a convolution: a square of odd width, moved by `stride`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Kernel {
    size: u8,
    stride: u8,
}

impl Kernel {
    /// Larger kernels are better made of two layers.
    pub const SIZE_MAX: u8 = 11;
    /// Larger strides skip pixels even for the largest common kernel.
    pub const STRIDE_MAX: u8 = 4;

    /// An odd size up to [`Kernel::SIZE_MAX`], a stride from 1 to [`Kernel::STRIDE_MAX`].
    pub fn new(size: u8, stride: u8) -> Option<Kernel> {
        let legal =
            size % 2 == 1 && size <= Kernel::SIZE_MAX && (1..=Kernel::STRIDE_MAX).contains(&stride);
        legal.then_some(Kernel { size, stride })
    }

    /// Width (= height) in pixels.
    pub fn size(self) -> u8 {
        self.size
    }

    /// Step in pixels.
    pub fn stride(self) -> u8 {
        self.stride
    }

    /// Rows or columns added on each side.
    pub fn padding(self) -> u8 {
        (self.size - 1) / 2
    }

    fn output_extent(self, input: u32) -> u32 {
        (input - 1) / u32::from(self.stride) + 1
    }
}

/// The window of a pool: a square, moved by `stride`, never padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    size: u8,
    stride: u8,
}

impl Window {
    /// Larger windows are the business of the global pool.
    pub const SIZE_MAX: u8 = 8;

    /// A size from 2 to [`Window::SIZE_MAX`], a stride from 1 to the size.
    pub fn new(size: u8, stride: u8) -> Option<Window> {
        let legal = (2..=Window::SIZE_MAX).contains(&size) && (1..=size).contains(&stride);
        legal.then_some(Window { size, stride })
    }

    /// Width (= height) in pixels.
    pub fn size(self) -> u8 {
        self.size
    }

    /// Step in pixels.
    pub fn stride(self) -> u8 {
        self.stride
    }

    fn output_extent(self, input: u32) -> Option<u32> {
        let inside = input.checked_sub(u32::from(self.size))?;
        Some(inside / u32::from(self.stride) + 1)
    }
}

/// Share of values that dropout sets to zero, in thousandths, so that equal rates are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DropRate(u16);

impl DropRate {
    /// From 0.001 to 0.9; nothing learns behind more.
    pub fn from_thousandths(thousandths: u16) -> Option<DropRate> {
        (1..=900)
            .contains(&thousandths)
            .then_some(DropRate(thousandths))
    }

    /// The rate in thousandths.
    pub fn thousandths(self) -> u16 {
        self.0
    }

    /// The rate as a fraction.
    pub fn fraction(self) -> f32 {
        f32::from(self.0) / 1000.0
    }
}

/// One layer. Dense and convolution layers always have a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Where examples enter; exactly one, the first.
    Input {
        /// Shape of one example.
        shape: Shape,
    },
    /// Fully connected; needs a flat input.
    Dense {
        /// Number of outputs.
        units: u32,
    },
    /// Convolution over an image; mixes all channels.
    Conv {
        /// Number of output channels.
        channels: u32,
        /// Size and stride.
        kernel: Kernel,
    },
    /// Convolution of each channel on its own.
    DepthwiseConv {
        /// Size and stride.
        kernel: Kernel,
    },
    /// Normalises each channel over the batch (and its positions), then scales and shifts it.
    BatchNorm,
    /// Normalises each position of each example over its channels, then scales and shifts.
    LayerNorm,
    /// max(0, x).
    Relu,
    /// x·Φ(x), exact (erf), not the tanh approximation.
    Gelu,
    /// Largest value of each window.
    MaxPool {
        /// Size and stride.
        window: Window,
    },
    /// Mean of each window.
    AvgPool {
        /// Size and stride.
        window: Window,
    },
    /// Mean over all positions: an image becomes its channels.
    GlobalAvgPool,
    /// An image becomes one vector, channels-last order (row, column, channel).
    Flatten,
    /// Sets values to zero in training and scales the rest; nothing in evaluation.
    Dropout {
        /// Share of values dropped.
        rate: DropRate,
    },
    /// Sum of two equal shapes.
    Add,
    /// Channels of all inputs, one after the other; two or more inputs of the same positions.
    Concat,
    /// Where logits or predicted values leave; exactly one, the last; flat.
    Output,
}

/// How many inputs a layer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Exactly so many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
}

impl Layer {
    /// How many inputs it takes.
    pub fn arity(&self) -> Arity {
        match self {
            Layer::Input { .. } => Arity::Exactly(0),
            Layer::Add => Arity::Exactly(2),
            Layer::Concat => Arity::AtLeast(2),
            _ => Arity::Exactly(1),
        }
    }

    /// Name of its kind as the notation writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Input { .. } => "in",
            Layer::Dense { .. } => "dense",
            Layer::Conv { .. } => "conv",
            Layer::DepthwiseConv { .. } => "dwconv",
            Layer::BatchNorm => "bn",
            Layer::LayerNorm => "ln",
            Layer::Relu => "relu",
            Layer::Gelu => "gelu",
            Layer::MaxPool { .. } => "maxpool",
            Layer::AvgPool { .. } => "avgpool",
            Layer::GlobalAvgPool => "gap",
            Layer::Flatten => "flatten",
            Layer::Dropout { .. } => "dropout",
            Layer::Add => "add",
            Layer::Concat => "cat",
            Layer::Output => "out",
        }
    }

    /// Whether it mixes channels by learned weights, so that it decides its own output channels.
    pub fn decides_channels(&self) -> bool {
        matches!(self, Layer::Dense { .. } | Layer::Conv { .. })
    }

    /// Whether it has anything learned or measured: weights, or statistics.
    pub fn has_weights(&self) -> bool {
        self.decides_channels()
            || matches!(
                self,
                Layer::DepthwiseConv { .. } | Layer::BatchNorm | Layer::LayerNorm
            )
    }

    /// Shape of the output, or `None` if these inputs do not fit this layer.
    pub fn output_shape(&self, inputs: &[Shape]) -> Option<Shape> {
        let shape = match (self, inputs) {
            (Layer::Input { shape }, []) => *shape,
            (Layer::Dense { units }, [Shape::Flat { .. }]) => Shape::Flat { features: *units },
            (Layer::Conv { channels, kernel }, [input @ Shape::Image { .. }]) => {
                convolved(input.with_channels(*channels), *kernel)
            }
            (Layer::DepthwiseConv { kernel }, [input @ Shape::Image { .. }]) => {
                convolved(*input, *kernel)
            }
            (Layer::MaxPool { window } | Layer::AvgPool { window }, [input]) => {
                pooled(*input, *window)?
            }
            (Layer::GlobalAvgPool, [Shape::Image { channels, .. }]) => Shape::Flat {
                features: *channels,
            },
            (Layer::Flatten, [input @ Shape::Image { .. }]) => Shape::Flat {
                features: u32::try_from(input.values()).ok()?,
            },
            (Layer::Output, [input @ Shape::Flat { .. }]) => *input,
            (
                Layer::BatchNorm
                | Layer::LayerNorm
                | Layer::Relu
                | Layer::Gelu
                | Layer::Dropout { .. },
                [input],
            ) => *input,
            (Layer::Add, [left, right]) if left == right => *left,
            (Layer::Concat, [first, rest @ ..]) if !rest.is_empty() => concatenated(*first, rest)?,
            _ => return None,
        };
        shape.is_legal().then_some(shape)
    }
}

fn convolved(shape: Shape, kernel: Kernel) -> Shape {
    match shape {
        Shape::Image {
            channels,
            height,
            width,
        } => Shape::Image {
            channels,
            height: kernel.output_extent(height),
            width: kernel.output_extent(width),
        },
        other => other,
    }
}

fn pooled(shape: Shape, window: Window) -> Option<Shape> {
    match shape {
        Shape::Image {
            channels,
            height,
            width,
        } => Some(Shape::Image {
            channels,
            height: window.output_extent(height)?,
            width: window.output_extent(width)?,
        }),
        _ => None,
    }
}

fn concatenated(first: Shape, rest: &[Shape]) -> Option<Shape> {
    if !rest.iter().all(|shape| first.same_positions(*shape)) {
        return None;
    }
    let channels = rest.iter().try_fold(first.channels(), |sum, shape| {
        sum.checked_add(shape.channels())
    })?;
    Some(first.with_channels(channels))
}
