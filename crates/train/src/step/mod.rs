//! The steps of a compiled network: one file per kind, each with its forward and backward pass.
//!
//! A step knows where its inputs, output, parameters and scratch lie and nothing else; it never
//! allocates. Most steps treat each example on its own, so that a thread does its rows of the batch
//! alone ([`Part`]); batch norm alone needs all threads to meet in the middle ([`Frame`]).
//! Gradients of parameters are summed per thread and added up in thread order afterwards.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod dense;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod join;
pub(crate) mod layer_norm;
pub(crate) mod norm;
pub(crate) mod periodic;
pub(crate) mod pool;

use std::ops::Range;

use morph::LayerId;

use crate::{
    buffers::{Region, View},
    kernel::Workspace,
    pass::{Mode, Purpose},
    recipe::Precision,
    threads::Crew,
    vector::Store,
};

/// What a layer puts out for a whole batch: `item` floats per example.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    /// The whole batch.
    pub(crate) region: Region,
    /// Floats per example.
    pub(crate) item: usize,
}

impl Value {
    /// Only some examples.
    pub(crate) fn rows(self, rows: &Range<usize>) -> Region {
        self.region
            .part(rows.start * self.item..rows.end * self.item)
    }
}

/// An input of a step, and where its gradient goes if anything before it learns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// What the step reads.
    pub(crate) value: Value,
    /// Where the gradient goes, and whether it is the first to arrive.
    pub(crate) gradient: Option<(Value, Store)>,
}

/// The output of a step, and where its gradient comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sink {
    /// What the step writes.
    pub(crate) value: Value,
    /// Gradient of the loss by it; the step may use it up. Absent where nothing learns.
    pub(crate) gradient: Option<Value>,
}

/// A learned tensor: a range of the block of all parameters, and of each block of gradients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parameter(pub(crate) Range<usize>);

/// Measured statistics of a batch norm: a range of the block of all statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statistic(pub(crate) Range<usize>);

/// Where the blocks lie that all steps share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blocks {
    /// All learned values.
    pub(crate) parameters: Region,
    /// All running means and variances.
    pub(crate) statistics: Region,
    /// One block of gradients per thread, each as long as the parameters up to a whole line.
    pub(crate) gradients: Region,
    /// One piece of scratch per thread, of equal length.
    pub(crate) scratch: Region,
}

impl Blocks {
    /// The gradients that one thread sums.
    pub(crate) fn thread_gradients(&self, thread: usize, threads: usize) -> Region {
        let stride = self.gradients.len() / threads;
        self.gradients
            .part(thread * stride..thread * stride + self.parameters.len())
    }
}

/// One pass over one batch, seen by the thread that leads it.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The memory.
    pub(crate) view: View<'a>,
    /// The threads.
    pub(crate) crew: &'a Crew,
    /// Shared blocks.
    pub(crate) blocks: Blocks,
    /// Examples in this batch, at most what the plan was compiled for.
    pub(crate) rows: usize,
    /// What kind of pass.
    pub(crate) mode: Mode,
    /// Whether a way back follows, which reads again what the way forward has left.
    pub(crate) purpose: Purpose,
    /// How matrix products round their factors.
    pub(crate) precision: Precision,
}

impl Frame<'_> {
    /// Whether batch norms are done by the convolutions before them: their statistics are known, and
    /// nobody will ask what was in between.
    pub(crate) fn joins_norms(&self) -> bool {
        (self.mode, self.purpose) == (Mode::Eval, Purpose::Infer)
    }
}

impl<'a> Frame<'a> {
    /// Splits the rows evenly over the threads and waits for all.
    pub(crate) fn split(&self, work: impl Fn(&Part<'a>) + Sync) {
        let threads = self.crew.size();
        self.crew.run(&|thread| {
            let start = self.rows * thread / threads;
            let end = self.rows * (thread + 1) / threads;
            work(&Part {
                frame: *self,
                thread,
                rows: start..end,
            });
        });
    }

    /// Values of a learned tensor.
    pub(crate) fn parameter(&self, parameter: &Parameter) -> &'a [f32] {
        self.view
            .read(self.blocks.parameters.part(parameter.0.clone()))
    }

    /// Running statistics, to read or to update; only the leading thread may.
    pub(crate) fn statistic(&self, statistic: &Statistic) -> &'a mut [f32] {
        self.view
            .write(self.blocks.statistics.part(statistic.0.clone()))
    }

    /// The leading thread's gradient of a learned tensor.
    pub(crate) fn gradient(&self, parameter: &Parameter) -> &'a mut [f32] {
        let block = self.blocks.thread_gradients(0, self.crew.size());
        self.view.write(block.part(parameter.0.clone()))
    }
}

/// The rows of a batch that one thread works on.
#[derive(Clone)]
pub(crate) struct Part<'a> {
    /// The whole pass.
    pub(crate) frame: Frame<'a>,
    /// Number of the thread.
    pub(crate) thread: usize,
    /// Which examples; may be none.
    pub(crate) rows: Range<usize>,
}

impl<'a> Part<'a> {
    /// Its rows of a value that this step only reads.
    pub(crate) fn read(&self, value: Value) -> &'a [f32] {
        self.frame.view.read(value.rows(&self.rows))
    }

    /// Its rows of a value that this step writes.
    pub(crate) fn write(&self, value: Value) -> &'a mut [f32] {
        self.frame.view.write(value.rows(&self.rows))
    }

    /// Gradient of a sink; every step that goes backward has one.
    pub(crate) fn arrived(&self, sink: &Sink) -> &'a mut [f32] {
        self.write(
            sink.gradient
                .expect("a plan for training gives every learning step a gradient"),
        )
    }

    /// Values of a learned tensor.
    pub(crate) fn parameter(&self, parameter: &Parameter) -> &'a [f32] {
        self.frame.parameter(parameter)
    }

    /// This thread's gradient of a learned tensor.
    pub(crate) fn gradient(&self, parameter: &Parameter) -> &'a mut [f32] {
        let block = self
            .frame
            .blocks
            .thread_gradients(self.thread, self.frame.crew.size());
        self.frame.view.write(block.part(parameter.0.clone()))
    }

    /// This thread's scratch; the first `len` floats of it.
    pub(crate) fn scratch(&self, len: usize) -> &'a mut [f32] {
        let stride = self.frame.blocks.scratch.len() / self.frame.crew.size();
        assert!(
            len <= stride,
            "the plan has reserved enough scratch for every step"
        );
        let start = self.thread * stride;
        self.frame
            .view
            .write(self.frame.blocks.scratch.part(start..start + len))
    }

    /// The same for a matrix product.
    pub(crate) fn workspace(&self, len: usize) -> Workspace<'a> {
        self.workspace_of(self.scratch(len))
    }

    /// What is left of some scratch, for matrix products.
    pub(crate) fn workspace_of<'b>(&self, scratch: &'b mut [f32]) -> Workspace<'b> {
        Workspace {
            scratch,
            precision: self.frame.precision,
        }
    }
}

/// A step and the layer it does.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The layer, for messages and for the random numbers of dropout.
    pub(crate) layer: LayerId,
    /// Whether anything in or before it learns; without that it has no gradient to pass on.
    pub(crate) learns: bool,
    /// What is done.
    pub(crate) work: Work,
}

/// Everything a step can be: a small, closed set, so that another device can do the same.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Fully connected.
    Dense(dense::Dense),
    /// Convolution.
    Conv(conv::Conv),
    /// Depthwise convolution.
    Depthwise(conv::Depthwise),
    /// Batch norm.
    BatchNorm(norm::BatchNorm),
    /// Layer norm.
    LayerNorm(layer_norm::LayerNorm),
    /// Rectifier that could not be fused.
    Relu(activation::Pointwise),
    /// Gaussian error linear unit.
    Gelu(activation::Pointwise),
    /// x·σ(x).
    Silu(activation::Pointwise),
    /// σ(x).
    Sigmoid(activation::Pointwise),
    /// A vector for each code.
    Embedding(embedding::Embedding),
    /// Sines and cosines of each value.
    Periodic(periodic::Periodic),
    /// A vector for each step.
    Position(embedding::Position),
    /// Self-attention.
    Attention(attention::Attention),
    /// Some channels.
    Slice(join::Slice),
    /// Largest of each window.
    MaxPool(pool::Pool),
    /// Mean of each window.
    AvgPool(pool::Pool),
    /// Mean of all positions.
    GlobalAvgPool(pool::GlobalPool),
    /// Dropout.
    Dropout(dropout::Dropout),
    /// Sum of two.
    Add(join::Add),
    /// Product of two.
    Multiply(join::Multiply),
    /// Channels side by side.
    Concat(join::Concat),
}

impl Step {
    /// Computes the output from the inputs.
    pub(crate) fn forward(&self, frame: &Frame<'_>) {
        match &self.work {
            Work::BatchNorm(step) => step.forward(frame),
            Work::Dense(step) => frame.split(|part| step.forward(part)),
            Work::Conv(step) => step.forward(frame),
            Work::Depthwise(step) => step.forward(frame),
            Work::LayerNorm(step) => frame.split(|part| step.forward(part)),
            Work::Relu(step) => frame.split(|part| step.relu_forward(part)),
            Work::Gelu(step) => frame.split(|part| step.gelu_forward(part)),
            Work::Silu(step) => frame.split(|part| step.silu_forward(part)),
            Work::Sigmoid(step) => frame.split(|part| step.sigmoid_forward(part)),
            Work::Embedding(step) => frame.split(|part| step.forward(part)),
            Work::Periodic(step) => frame.split(|part| step.forward(part)),
            Work::Position(step) => frame.split(|part| step.forward(part)),
            Work::Attention(step) => frame.split(|part| step.forward(part)),
            Work::Slice(step) => frame.split(|part| step.forward(part)),
            Work::MaxPool(step) => frame.split(|part| step.max_forward(part)),
            Work::AvgPool(step) => frame.split(|part| step.mean_forward(part)),
            Work::GlobalAvgPool(step) => frame.split(|part| step.forward(part)),
            Work::Dropout(step) => frame.split(|part| step.forward(part, self.layer)),
            Work::Add(step) => frame.split(|part| step.forward(part)),
            Work::Multiply(step) => frame.split(|part| step.forward(part)),
            Work::Concat(step) => frame.split(|part| step.forward(part)),
        }
    }

    /// Computes the gradients of the inputs and parameters from the gradient of the output.
    pub(crate) fn backward(&self, frame: &Frame<'_>) {
        if !self.learns {
            return;
        }
        match &self.work {
            Work::BatchNorm(step) => step.backward(frame),
            Work::Dense(step) => frame.split(|part| step.backward(part)),
            Work::Conv(step) => frame.split(|part| step.backward(part)),
            Work::Depthwise(step) => frame.split(|part| step.backward(part)),
            Work::LayerNorm(step) => frame.split(|part| step.backward(part)),
            Work::Relu(step) => frame.split(|part| step.relu_backward(part)),
            Work::Gelu(step) => frame.split(|part| step.gelu_backward(part)),
            Work::Silu(step) => frame.split(|part| step.silu_backward(part)),
            Work::Sigmoid(step) => frame.split(|part| step.sigmoid_backward(part)),
            Work::Embedding(step) => frame.split(|part| step.backward(part)),
            Work::Periodic(step) => frame.split(|part| step.backward(part)),
            Work::Position(step) => frame.split(|part| step.backward(part)),
            Work::Attention(step) => frame.split(|part| step.backward(part)),
            Work::Slice(step) => frame.split(|part| step.backward(part)),
            Work::MaxPool(step) => frame.split(|part| step.max_backward(part)),
            Work::AvgPool(step) => frame.split(|part| step.mean_backward(part)),
            Work::GlobalAvgPool(step) => frame.split(|part| step.backward(part)),
            Work::Dropout(step) => frame.split(|part| step.backward(part, self.layer)),
            Work::Add(step) => frame.split(|part| step.backward(part)),
            Work::Multiply(step) => frame.split(|part| step.backward(part)),
            Work::Concat(step) => frame.split(|part| step.backward(part)),
        }
    }
}
