//! What a layer does, and which shape it makes of the shapes it gets.
//!
//! Convolutions and depthwise convolutions are always "same": an odd kernel of width k and dilation d
//! is padded by d·(k − 1)/2 on each side, so that a kernel may grow without moving anything. Pools are never
//! padded: what does not fill a window is left out, as in PyTorch's default.

use crate::shape::Shape;

/// The kernel of a convolution: a square of odd width over an image, as many steps of a series.
///
/// It is moved by `stride`, or its taps stand `dilation` apart; not both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kernel {
    size: u8,
    stride: u8,
    dilation: u8,
}

impl Kernel {
    /// Larger kernels are better made of two layers.
    pub const SIZE_MAX: u8 = 11;
    /// Larger strides skip pixels even for the largest common kernel.
    pub const STRIDE_MAX: u8 = 4;
    /// Wider gaps are better made of several layers whose dilations double.
    pub const DILATION_MAX: u8 = 64;

    /// An odd size up to [`Kernel::SIZE_MAX`], a stride from 1 to [`Kernel::STRIDE_MAX`].
    pub fn new(size: u8, stride: u8) -> Option<Kernel> {
        let legal =
            size % 2 == 1 && size <= Kernel::SIZE_MAX && (1..=Kernel::STRIDE_MAX).contains(&stride);
        legal.then_some(Kernel {
            size,
            stride,
            dilation: 1,
        })
    }

    /// An odd size from 3, moved by 1, with taps up to [`Kernel::DILATION_MAX`] apart.
    pub fn dilated(size: u8, dilation: u8) -> Option<Kernel> {
        let kernel = Kernel::new(size, 1)?;
        let legal = dilation == 1 || (size > 1 && (2..=Kernel::DILATION_MAX).contains(&dilation));
        legal.then_some(Kernel { dilation, ..kernel })
    }

    /// The same with another size; a size of 1 has no dilation.
    pub(crate) fn resized(self, size: u8) -> Option<Kernel> {
        let kernel = Kernel::new(size, self.stride)?;
        let dilation = if size == 1 { 1 } else { self.dilation };
        Some(Kernel { dilation, ..kernel })
    }

    /// Width in taps.
    pub fn size(self) -> u8 {
        self.size
    }

    /// Step in pixels.
    pub fn stride(self) -> u8 {
        self.stride
    }

    /// From one tap to the next, in pixels.
    pub fn dilation(self) -> u8 {
        self.dilation
    }

    /// Rows and columns of taps over this shape: a series has one row.
    pub fn extents(self, over: Shape) -> (usize, usize) {
        let size = usize::from(self.size);
        (if over.is_sequence() { 1 } else { size }, size)
    }

    /// Columns added on each side, and rows too over an image.
    pub fn padding(self) -> u16 {
        u16::from(self.dilation) * u16::from(self.size - 1) / 2
    }

    fn output_extent(self, input: u32) -> u32 {
        (input - 1) / u32::from(self.stride) + 1
    }
}

/// The window of a pool: a square over an image, as many steps of a series, moved by `stride`, never padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// Rows and columns over this shape: a series has one row.
    pub fn extents(self, over: Shape) -> (usize, usize) {
        let size = usize::from(self.size);
        (if over.is_sequence() { 1 } else { size }, size)
    }

    fn output_extent(self, input: u32) -> Option<u32> {
        let inside = input.checked_sub(u32::from(self.size))?;
        Some(inside / u32::from(self.stride) + 1)
    }
}

/// Share of values that dropout sets to zero, in thousandths, so that equal rates are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Convolution over an image or a series; mixes all channels.
    Conv {
        /// Number of output channels.
        channels: u32,
        /// Size, stride and dilation.
        kernel: Kernel,
    },
    /// Convolution of each channel on its own.
    DepthwiseConv {
        /// Size, stride and dilation.
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
    /// x·σ(x), also called swish.
    Silu,
    /// σ(x) = 1/(1 + e⁻ˣ): a gate between 0 and 1.
    Sigmoid,
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
    /// Mean over all positions: an image or a series becomes its channels.
    GlobalAvgPool,
    /// An image or a series becomes one vector, channels-last order (row, column, channel).
    Flatten,
    /// Some neighbouring channels of each position.
    Slice {
        /// The first of them.
        first: u32,
        /// How many.
        count: u32,
    },
    /// A learned vector for each code from 0 to `codes` − 1, which are categories or tokens. A series becomes one of
    /// `width` channels, the sum of the vectors of its own at each step; a row of n codes n·`width` features. What
    /// is no code is 0: the place for the unknown.
    Embedding {
        /// Number of codes.
        codes: u32,
        /// Values per code.
        width: u32,
    },
    /// Each value of a row, and its sines and cosines at learned frequencies of its own: a row of n values becomes
    /// one of n·(1 + 2·`frequencies`).
    Periodic {
        /// Frequencies per value.
        frequencies: u32,
    },
    /// Adds a learned vector to each step of a series, so that layers behind know the place.
    Position,
    /// Multi-head self-attention over the steps of a series, with its four projections.
    Attention {
        /// Number of heads; a divisor of the channels.
        heads: u32,
    },
    /// Sets values to zero in training and scales the rest; nothing in evaluation.
    Dropout {
        /// Share of values dropped.
        rate: DropRate,
    },
    /// Sum of two equal shapes.
    Add,
    /// Product of two equal shapes, or of each channel of the first and one value of a flat second.
    Multiply,
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
            Layer::Add | Layer::Multiply => Arity::Exactly(2),
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
            Layer::Silu => "silu",
            Layer::Sigmoid => "sigmoid",
            Layer::MaxPool { .. } => "maxpool",
            Layer::AvgPool { .. } => "avgpool",
            Layer::GlobalAvgPool => "gap",
            Layer::Flatten => "flatten",
            Layer::Slice { .. } => "slice",
            Layer::Embedding { .. } => "embed",
            Layer::Periodic { .. } => "periodic",
            Layer::Position => "position",
            Layer::Attention { .. } => "attention",
            Layer::Dropout { .. } => "dropout",
            Layer::Add => "add",
            Layer::Multiply => "mul",
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
                Layer::DepthwiseConv { .. }
                    | Layer::BatchNorm
                    | Layer::LayerNorm
                    | Layer::Embedding { .. }
                    | Layer::Periodic { .. }
                    | Layer::Position
                    | Layer::Attention { .. }
            )
    }

    /// Whether the number of its input channels is part of what it is, so that no morph may change it.
    pub(crate) fn fixes_input_channels(&self) -> bool {
        matches!(
            self,
            Layer::Slice { .. }
                | Layer::Embedding { .. }
                | Layer::Periodic { .. }
                | Layer::Attention { .. }
        )
    }

    /// Shape of the output, or `None` if these inputs do not fit this layer.
    pub fn output_shape(&self, inputs: &[Shape]) -> Option<Shape> {
        let shape = match (self, inputs) {
            (Layer::Input { shape }, []) => *shape,
            (Layer::Dense { units }, [Shape::Flat { .. }]) => Shape::Flat { features: *units },
            (Layer::Conv { channels, kernel }, [input]) => {
                convolved(input.with_channels(*channels), *kernel)?
            }
            (Layer::DepthwiseConv { kernel }, [input]) => convolved(*input, *kernel)?,
            (Layer::MaxPool { window } | Layer::AvgPool { window }, [input]) => {
                pooled(*input, *window)?
            }
            (
                Layer::GlobalAvgPool,
                [Shape::Image { channels, .. } | Shape::Sequence { channels, .. }],
            ) => Shape::Flat {
                features: *channels,
            },
            (Layer::Flatten, [input @ (Shape::Image { .. } | Shape::Sequence { .. })]) => {
                Shape::Flat {
                    features: u32::try_from(input.values()).ok()?,
                }
            }
            (Layer::Slice { first, count }, [input]) => {
                let end = first.checked_add(*count)?;
                (end <= input.channels()).then_some(input.with_channels(*count))?
            }
            (Layer::Embedding { codes, width }, [input]) if *codes > 0 => embedded(*input, *width)?,
            (Layer::Periodic { frequencies }, [Shape::Flat { features }]) if *frequencies > 0 => {
                let width = frequencies.checked_mul(2)?.checked_add(1)?;
                Shape::Flat {
                    features: features.checked_mul(width)?,
                }
            }
            (Layer::Attention { heads }, [input @ Shape::Sequence { channels, .. }]) => {
                let divides = *heads > 0 && channels.is_multiple_of(*heads);
                divides.then_some(*input)?
            }
            (Layer::Position, [input @ Shape::Sequence { .. }]) => *input,
            (Layer::Output, [input @ Shape::Flat { .. }]) => *input,
            (
                Layer::BatchNorm
                | Layer::LayerNorm
                | Layer::Relu
                | Layer::Gelu
                | Layer::Silu
                | Layer::Sigmoid
                | Layer::Dropout { .. },
                [input],
            ) => *input,
            (Layer::Add, [left, right]) if left == right => *left,
            (Layer::Multiply, [left, right]) if left == right => *left,
            (Layer::Multiply, [left, Shape::Flat { features }]) => {
                (left.channels() == *features).then_some(*left)?
            }
            (Layer::Concat, [first, rest @ ..]) if !rest.is_empty() => concatenated(*first, rest)?,
            _ => return None,
        };
        shape.is_legal().then_some(shape)
    }
}

fn embedded(shape: Shape, width: u32) -> Option<Shape> {
    match shape {
        Shape::Flat { features } => Some(Shape::Flat {
            features: features.checked_mul(width)?,
        }),
        Shape::Sequence { .. } => Some(shape.with_channels(width)),
        Shape::Image { .. } => None,
    }
}

fn convolved(shape: Shape, kernel: Kernel) -> Option<Shape> {
    shape.resized(|extent| Some(kernel.output_extent(extent)))
}

fn pooled(shape: Shape, window: Window) -> Option<Shape> {
    shape.resized(|extent| window.output_extent(extent))
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
