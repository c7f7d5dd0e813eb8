//! How a network learns: a small static-graph engine, and everything that carries weights about.
//!
//! Read in this order: [`weights`] (tensors by name), [`plan`] (an architecture becomes steps and
//! memory), `step` (what each step computes), [`network`] (running it), [`loss`], [`recipe`] and
//! [`fit`](mod@fit) (training), [`metric`], [`labels`] and [`evaluate`](mod@evaluate) (how good it is),
//! `calibration` (how sure it may be),
//! `augment` (changing examples on their way in), `inherit` (a child's weights from its parent's),
//! `checkpoint` (weights in a file), `pause` (a training in a file), [`onnx`] (a model
//! for other runtimes), [`pytorch`] (a model as a script that people read), [`reference`](mod@reference) (what all this is proved against). Below them:
//! `buffers` (one block of memory), `threads` (own threads), `kernel` and `vector` (the arithmetic).
//!
//! This is the only room that uses `unsafe`.

mod augment;
mod buffers;
mod calibration;
mod checkpoint;
pub mod ensemble;
pub mod evaluate;
pub mod fit;
mod inherit;
mod kernel;
pub mod labels;
pub mod loss;
pub mod metric;
pub mod network;
pub mod onnx;
mod optimizer;
mod pass;
mod pause;
pub mod plan;
pub mod pytorch;
pub mod recipe;
pub mod reference;
mod step;
mod threads;
mod vector;
pub mod weights;

pub use augment::{Augmentation, Flip};
pub use calibration::Calibration;
pub use checkpoint::WeightsError;
pub use evaluate::{Evaluation, evaluate, evaluate_weighted, loss_weighted};
pub use fit::{Ended, EpochReport, FitError, FitTask, Fitted, GoOn, Training, Verdict, fit};
pub use labels::LabelCounts;
pub use loss::BatchTargets;
pub use metric::Metric;
pub use network::Network;
pub use onnx::{ExportError, export_network, export_onnx, input_shape};
pub use pass::{Mode, Purpose};
pub use pause::{Paused, PausedError};
pub use plan::{Plan, PlanError};
pub use recipe::{ClassWeights, Kept, Loss, Optimizer, Precision, Recipe};
pub use threads::Threads;
pub use vector::{LEVEL_VARIABLE, UnknownLevel, check_level};
pub use weights::{Tensor, Weights};
