//! A network as a value: a checked graph of layers that cannot be built wrong.
//!
//! One constructor, [`Architecture::new`], proves every rule; nothing mutates afterwards. It holds
//! no weights: those belong to a trained model, and [`crate::weight_plan`] says how they follow.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    layer::{Arity, Layer},
    shape::Shape,
};

/// Place of a layer in its architecture: 0 is the input, the last is the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(u32);

impl LayerId {
    /// The id of the layer at this index.
    pub fn at(index: usize) -> LayerId {
        LayerId(u32::try_from(index).expect("an architecture has at most LAYERS_MAX layers"))
    }

    /// Index into [`Architecture::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A layer and where its inputs come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// What it does.
    pub layer: Layer,
    /// Earlier layers, in the order in which the layer takes them.
    pub inputs: Vec<LayerId>,
}

/// Why a list of nodes is no architecture.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ArchitectureError {
    /// Fewer than two layers.
    #[error("an architecture needs an input and an output; it has {layers} layer(s)")]
    TooFewLayers {
        /// How many there are.
        layers: usize,
    },
    /// More layers than any budget trains.
    #[error(
        "an architecture has at most {} layers; this one has {layers}",
        Architecture::LAYERS_MAX
    )]
    TooManyLayers {
        /// How many there are.
        layers: usize,
    },
    /// An input that is not first, or an output that is not last.
    #[error(
        "layer {layer} is `{kind}`: `in` stands first and only there, `out` last and only there"
    )]
    Misplaced {
        /// Which layer.
        layer: LayerId,
        /// Its kind.
        kind: &'static str,
    },
    /// Wrong number of inputs.
    #[error("layer {layer} (`{kind}`) has {inputs} input(s), which is not what this kind takes")]
    WrongArity {
        /// Which layer.
        layer: LayerId,
        /// Its kind.
        kind: &'static str,
        /// How many inputs were given.
        inputs: usize,
    },
    /// An input that does not come earlier.
    #[error("layer {layer} takes layer {input} as input, which does not come before it")]
    NotEarlier {
        /// Which layer.
        layer: LayerId,
        /// The offending input.
        input: LayerId,
    },
    /// Shapes that the layer cannot take, or that grow beyond every limit.
    #[error("layer {layer} (`{kind}`) cannot take {}", shapes(.inputs))]
    WrongShape {
        /// Which layer.
        layer: LayerId,
        /// Its kind.
        kind: &'static str,
        /// Shapes of its inputs.
        inputs: Vec<Shape>,
    },
    /// A layer whose result nobody uses.
    #[error("the result of layer {layer} (`{kind}`) is not used by any later layer")]
    Unused {
        /// Which layer.
        layer: LayerId,
        /// Its kind.
        kind: &'static str,
    },
}

fn shapes(inputs: &[Shape]) -> String {
    inputs
        .iter()
        .map(Shape::to_string)
        .collect::<Vec<_>>()
        .join(" and ")
}

/// A checked, acyclic graph of layers.
///
/// Invariants: `nodes[0]` is the only input, the last node the only output; every input of a node
/// comes earlier; every layer's inputs fit it; every result but the output's is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
}

impl Architecture {
    /// Deeper networks train on no budget that lehr is meant for.
    pub const LAYERS_MAX: usize = 512;

    /// Checks every rule of an architecture; `O(layers + connections)`.
    ///
    /// # Errors
    /// The first rule broken, with the layer that breaks it.
    pub fn new(nodes: Vec<Node>) -> Result<Architecture, ArchitectureError> {
        let layers = nodes.len();
        if layers < 2 {
            return Err(ArchitectureError::TooFewLayers { layers });
        }
        if layers > Architecture::LAYERS_MAX {
            return Err(ArchitectureError::TooManyLayers { layers });
        }
        let mut shapes = Vec::with_capacity(layers);
        let mut used = vec![false; layers];
        for (index, node) in nodes.iter().enumerate() {
            check_place(index, layers, &node.layer)?;
            check_inputs(index, node)?;
            node.inputs
                .iter()
                .for_each(|input| used[input.index()] = true);
            shapes.push(shape_of(index, node, &shapes)?);
        }
        let unused = used[..layers - 1].iter().position(|used| !used);
        if let Some(index) = unused {
            let kind = nodes[index].layer.kind();
            return Err(ArchitectureError::Unused {
                layer: LayerId::at(index),
                kind,
            });
        }
        Ok(Architecture { nodes, shapes })
    }

    /// All layers, each after its inputs.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The ids of all layers, in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = LayerId> + ExactSizeIterator + use<> {
        (0..self.nodes.len()).map(LayerId::at)
    }

    /// One layer.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.nodes[id.index()].layer
    }

    /// Where a layer's inputs come from.
    pub fn inputs(&self, id: LayerId) -> &[LayerId] {
        &self.nodes[id.index()].inputs
    }

    /// Shape of what a layer puts out.
    pub fn shape(&self, id: LayerId) -> Shape {
        self.shapes[id.index()]
    }

    /// Shapes of what a layer takes.
    pub fn input_shapes(&self, id: LayerId) -> Vec<Shape> {
        self.inputs(id)
            .iter()
            .map(|input| self.shape(*input))
            .collect()
    }

    /// Layers that take this layer's result, in order; one that takes it twice appears once.
    pub fn consumers(&self, id: LayerId) -> Vec<LayerId> {
        self.ids()
            .filter(|other| self.inputs(*other).contains(&id))
            .collect()
    }

    /// Shape of one example.
    pub fn input_shape(&self) -> Shape {
        self.shapes[0]
    }

    /// The last layer.
    pub fn output(&self) -> LayerId {
        LayerId::at(self.nodes.len() - 1)
    }

    /// How many values leave: classes, or 1 for a regression.
    pub fn outputs(&self) -> u32 {
        self.shape(self.output()).channels()
    }
}

fn check_place(index: usize, layers: usize, layer: &Layer) -> Result<(), ArchitectureError> {
    let is_input = matches!(layer, Layer::Input { .. });
    let is_output = matches!(layer, Layer::Output);
    if is_input != (index == 0) || is_output != (index == layers - 1) {
        return Err(ArchitectureError::Misplaced {
            layer: LayerId::at(index),
            kind: layer.kind(),
        });
    }
    Ok(())
}

fn check_inputs(index: usize, node: &Node) -> Result<(), ArchitectureError> {
    let layer = LayerId::at(index);
    let inputs = node.inputs.len();
    let fits = match node.layer.arity() {
        Arity::Exactly(count) => inputs == count,
        Arity::AtLeast(count) => inputs >= count,
    };
    if !fits {
        return Err(ArchitectureError::WrongArity {
            layer,
            kind: node.layer.kind(),
            inputs,
        });
    }
    match node.inputs.iter().find(|input| input.index() >= index) {
        Some(input) => Err(ArchitectureError::NotEarlier {
            layer,
            input: *input,
        }),
        None => Ok(()),
    }
}

fn shape_of(index: usize, node: &Node, earlier: &[Shape]) -> Result<Shape, ArchitectureError> {
    let inputs: Vec<Shape> = node
        .inputs
        .iter()
        .map(|input| earlier[input.index()])
        .collect();
    node.layer
        .output_shape(&inputs)
        .ok_or(ArchitectureError::WrongShape {
            layer: LayerId::at(index),
            kind: node.layer.kind(),
            inputs,
        })
}
