//! What a network is and how it may change: pure values, no tensors, no clock, no files.
//!
//! Read in this order: [`shape`] (what flows between layers), [`layer`] (what a layer does),
//! [`architecture`] (the checked graph of layers), [`notation`] (its one-line text form), [`hash`]
//! (its name up to renumbering), [`cost`] (parameters, operations, bytes), [`morph`] (the edits),
//! [`weight_plan`] (how a child's weights come from its parent's), [`seeds`] (where an exploration
//! starts).

pub mod architecture;
pub mod cost;
pub mod hash;
pub mod layer;
pub mod morph;
pub mod notation;
pub mod seeds;
pub mod shape;
pub mod weight_plan;

pub use architecture::{Architecture, ArchitectureError, LayerId, Node};
pub use cost::Cost;
pub use hash::ArchitectureHash;
pub use layer::{DropRate, Kernel, Layer, Window};
pub use morph::{Block, ChannelImportance, Direction, Morph, MorphError, Morphed, Preservation};
pub use notation::NotationError;
pub use shape::Shape;
pub use weight_plan::{ChannelSource, LayerPlan, WeightPlan};
