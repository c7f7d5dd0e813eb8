//! Random small architectures: grown from the seeds, or put together statement by statement so that
//! every kind of layer and both kinds of joins occur in every place where they fit.

use morph::{
    Architecture, ChannelImportance, Direction, DropRate, Kernel, Layer, LayerId, Morph, Node,
    Shape, Window,
    seeds::{image_seeds, table_seeds},
};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

/// A forward pass of one example may cost so many operations: the interpreter is slow.
pub(crate) const FLOPS_MAX: u64 = 60_000;

/// A layer norm of one channel is constant, and of two little more than a sign; a batch norm behind it
/// would divide by next to nothing and show only how numbers are rounded.
const NORMED_CHANNELS_MIN: u32 = 3;

/// A random architecture, sometimes after a few shrinking morphs.
pub(crate) fn random(rng: &mut ChaCha8Rng) -> Architecture {
    loop {
        let architecture = match rng.random_range(0..10) {
            0 => shrunk_until_small(seed(rng), rng),
            1..=3 => several_of_any_kind(assembled(rng), rng),
            _ => assembled(rng),
        };
        if architecture.cost().flops <= FLOPS_MAX {
            return architecture;
        }
    }
}

fn seed(rng: &mut ChaCha8Rng) -> Architecture {
    let outputs = rng.random_range(1..4);
    let seeds = if rng.random() {
        table_seeds(rng.random_range(1..6), outputs)
    } else {
        image_seeds(small_image(rng), outputs)
    };
    seeds.choose(rng).expect("there is always a seed").1.clone()
}

fn small_image(rng: &mut ChaCha8Rng) -> Shape {
    Shape::Image {
        channels: rng.random_range(1..4),
        height: rng.random_range(1..7),
        width: rng.random_range(1..7),
    }
}

fn shrunk_until_small(mut architecture: Architecture, rng: &mut ChaCha8Rng) -> Architecture {
    for _ in 0..40 {
        if architecture.cost().flops <= FLOPS_MAX / 4 {
            break;
        }
        let Some(morph) = Morph::draw(&architecture, Direction::Shrink, rng) else {
            break;
        };
        architecture = child(&architecture, morph);
    }
    architecture
}

/// After one to four random morphs.
pub(crate) fn several_of_any_kind(
    mut architecture: Architecture,
    rng: &mut ChaCha8Rng,
) -> Architecture {
    for _ in 0..rng.random_range(1..5) {
        let Some(morph) = Morph::draw(&architecture, Direction::Any, rng) else {
            break;
        };
        architecture = child(&architecture, morph);
    }
    architecture
}

fn child(architecture: &Architecture, morph: Morph) -> Architecture {
    morph
        .apply(architecture, &ChannelImportance::unknown())
        .expect("a drawn morph can be applied")
        .architecture
}

/// Layers one after the other, each fitting the one before; now and then two of equal positions joined.
fn assembled(rng: &mut ChaCha8Rng) -> Architecture {
    let input = match rng.random_range(0..6) {
        0 | 1 => Shape::Flat {
            features: rng.random_range(1..7),
        },
        2 => Shape::Sequence {
            channels: rng.random_range(1..4),
            length: rng.random_range(1..12),
        },
        _ => small_image(rng),
    };
    let mut sketch = Sketch {
        nodes: Vec::new(),
        shapes: Vec::new(),
    };
    sketch.push(Layer::Input { shape: input }, &[]);
    if rng.random_range(0..8) == 0 {
        sketch.push_last(Layer::Embedding {
            codes: rng.random_range(2..4),
            width: rng.random_range(1..5),
        });
    }
    for _ in 0..rng.random_range(1..8) {
        sketch.grow(rng);
    }
    sketch.join_loose_ends(rng);
    if !matches!(sketch.last_shape(), Shape::Flat { .. }) {
        let flat = if rng.random() {
            Layer::GlobalAvgPool
        } else {
            Layer::Flatten
        };
        sketch.push_last(flat);
    }
    if rng.random() {
        sketch.push_last(Layer::Dense {
            units: rng.random_range(1..6),
        });
        sketch.push_last(if rng.random() {
            Layer::Relu
        } else {
            Layer::Gelu
        });
    }
    sketch.push_last(Layer::Dense {
        units: rng.random_range(1..4),
    });
    sketch.push_last(Layer::Output);
    Architecture::new(sketch.nodes).expect("the sketch keeps every rule")
}

struct Sketch {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
}

impl Sketch {
    fn push(&mut self, layer: Layer, inputs: &[usize]) -> bool {
        let shapes: Vec<Shape> = inputs.iter().map(|input| self.shapes[*input]).collect();
        if layer == Layer::LayerNorm && shapes[0].channels() < NORMED_CHANNELS_MIN {
            return false;
        }
        let Some(shape) = layer.output_shape(&shapes) else {
            return false;
        };
        let inputs = inputs.iter().map(|input| LayerId::at(*input)).collect();
        self.nodes.push(Node { layer, inputs });
        self.shapes.push(shape);
        true
    }

    fn push_last(&mut self, layer: Layer) -> bool {
        self.push(layer, &[self.nodes.len() - 1])
    }

    fn last_shape(&self) -> Shape {
        *self.shapes.last().expect("a sketch starts with its input")
    }

    fn grow(&mut self, rng: &mut ChaCha8Rng) {
        // Mostly from the last layer, sometimes a branch from an earlier one.
        let last = self.nodes.len() - 1;
        let from = if rng.random_range(0..5) == 0 {
            rng.random_range(0..=last)
        } else {
            last
        };
        let layer = match self.shapes[from] {
            Shape::Flat { .. } => flat_layer(rng),
            Shape::Sequence { .. } if rng.random_range(0..4) == 0 => steps_layer(rng),
            Shape::Image { .. } | Shape::Sequence { .. } => image_layer(rng),
        };
        let grown = self.push(layer, &[from]);
        if grown && rng.random_range(0..3) == 0 {
            self.join(rng);
        }
    }

    /// Adds or concatenates the last result and an earlier one, if there is one that fits.
    fn join(&mut self, rng: &mut ChaCha8Rng) {
        let last = self.nodes.len() - 1;
        let other = rng.random_range(0..=last);
        let joins = [Layer::Add, Layer::Concat, Layer::Multiply];
        let layer = *joins.choose(rng).expect("there are three");
        if self.shapes[last].channels() + self.shapes[other].channels() <= 10 {
            self.push(layer, &[other, last]);
        }
    }

    /// Makes every result used: what nothing reads is concatenated, flattened if it must be.
    fn join_loose_ends(&mut self, rng: &mut ChaCha8Rng) {
        let is_read = |index: usize| {
            self.nodes
                .iter()
                .any(|node| node.inputs.contains(&LayerId::at(index)))
        };
        let loose: Vec<usize> = (0..self.nodes.len())
            .filter(|index| !is_read(*index))
            .collect();
        if loose.len() < 2 || self.push(Layer::Concat, &loose) {
            return;
        }
        let flat: Vec<usize> = loose
            .into_iter()
            .map(|index| {
                if matches!(self.shapes[index], Shape::Flat { .. }) {
                    return index;
                }
                let layer = if rng.random() {
                    Layer::GlobalAvgPool
                } else {
                    Layer::Flatten
                };
                self.push(layer, &[index]);
                self.nodes.len() - 1
            })
            .collect();
        self.push(Layer::Concat, &flat);
    }
}

fn flat_layer(rng: &mut ChaCha8Rng) -> Layer {
    match rng.random_range(0..9) {
        3 => Layer::Periodic {
            frequencies: rng.random_range(1..4),
        },
        0..=2 => Layer::Dense {
            units: rng.random_range(1..7),
        },
        _ => shapeless_layer(rng),
    }
}

fn image_layer(rng: &mut ChaCha8Rng) -> Layer {
    let size = [1, 3, 3, 5][rng.random_range(0..4)];
    let kernel = if size > 1 && rng.random_range(0..4) == 0 {
        Kernel::dilated(size, rng.random_range(2..4))
    } else {
        Kernel::new(size, rng.random_range(1..3))
    };
    let kernel = kernel.expect("odd and small");
    let size = rng.random_range(2..4);
    let window = Window::new(size, rng.random_range(1..=size)).expect("within the limits");
    match rng.random_range(0..12) {
        0..=3 => Layer::Conv {
            channels: rng.random_range(1..6),
            kernel,
        },
        4 => Layer::DepthwiseConv { kernel },
        5 => Layer::MaxPool { window },
        6 => Layer::AvgPool { window },
        _ => shapeless_layer(rng),
    }
}

/// Layers that only a series may have.
fn steps_layer(rng: &mut ChaCha8Rng) -> Layer {
    if rng.random() {
        Layer::Position
    } else {
        Layer::Attention {
            heads: rng.random_range(1..3),
        }
    }
}

fn shapeless_layer(rng: &mut ChaCha8Rng) -> Layer {
    match rng.random_range(0..11) {
        0..=2 => Layer::Relu,
        3 => Layer::Gelu,
        8 => Layer::Silu,
        9 => Layer::Sigmoid,
        10 => Layer::Slice {
            first: rng.random_range(0..2),
            count: rng.random_range(1..4),
        },
        4 | 5 => Layer::BatchNorm,
        6 => Layer::LayerNorm,
        _ => Layer::Dropout {
            rate: DropRate::from_thousandths(200).expect("within the limits"),
        },
    }
}
