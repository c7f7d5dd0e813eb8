//! Which layers become steps, which share memory, and until when each value is needed.
//!
//! Moments are counted through a training step: `n` layers forward (0 to n − 1), the loss (n), and
//! backward (layer i at 2n − i). A value lives from its making to its last reader, forward or backward;
//! a gradient from its first contribution to the backward step of the layer it belongs to.

use morph::{Architecture, Layer, LayerId, Shape};

use super::{Place, Slot};
use crate::{
    buffers::{Layout, Moment, Placed, Ticket},
    kernel::{Convolution, DepthwiseConvolution, Geometry},
    pass::Purpose,
    step::{
        Parameter, Sink, Source, Statistic, Step, Value, Work,
        activation::Pointwise,
        attention::Attention,
        conv::{Conv, Depthwise},
        dense::Dense,
        dropout::Dropout,
        embedding::{Embedding, Position},
        join::{Add, Concat, Multiply, Slice},
        layer_norm::LayerNorm,
        norm::BatchNorm,
        periodic::Periodic,
        pool::{GlobalPool, Pool, Windows},
    },
    threads::Threads,
    vector::{Activation, Store},
    weights::Part,
};

/// What is known about an architecture before memory has places.
pub(super) struct Wiring<'a> {
    architecture: &'a Architecture,
    purpose: Purpose,
    /// For each layer, the layer whose memory its result lies in; itself if it is a step.
    root: Vec<usize>,
    /// Layers that rectify their own result.
    rectified: Vec<bool>,
    /// For each convolution, the batch norm that alone reads it and nothing in between.
    normed_by: Vec<Option<LayerId>>,
    /// Layers before or in which something learns.
    learns: Vec<bool>,
    /// The first and last moment of each step's result.
    values: Vec<Option<(Moment, Moment)>>,
    /// The first and last moment of each gradient.
    gradients: Vec<Option<(Moment, Moment)>>,
}

/// Wanted memory per layer.
pub(super) struct Tickets {
    values: Vec<Option<Ticket>>,
    gradients: Vec<Option<Ticket>>,
    memories: Vec<Option<Ticket>>,
}

/// The steps and the ends of the network.
pub(super) struct Built {
    pub(super) steps: Vec<Step>,
    pub(super) input: Value,
    pub(super) output: Value,
    pub(super) output_gradient: Option<Value>,
}

impl<'a> Wiring<'a> {
    pub(super) fn new(architecture: &'a Architecture, purpose: Purpose) -> Wiring<'a> {
        let count = architecture.nodes().len();
        let mut wiring = Wiring {
            architecture,
            purpose,
            root: (0..count).collect(),
            rectified: vec![false; count],
            normed_by: vec![None; count],
            learns: vec![false; count],
            values: vec![None; count],
            gradients: vec![None; count],
        };
        wiring.find_roots();
        wiring.find_norms();
        wiring.find_learning();
        wiring.find_lives();
        wiring
    }

    fn find_roots(&mut self) {
        for id in self.architecture.ids() {
            let Some(input) = self.architecture.inputs(id).first().copied() else {
                continue;
            };
            let vanishes = match self.architecture.layer(id) {
                Layer::Flatten | Layer::Output => true,
                Layer::Dropout { .. } => self.purpose == Purpose::Infer,
                Layer::Relu => {
                    let fuses = can_rectify(self.architecture.layer(input))
                        && self.architecture.consumers(input).len() == 1;
                    self.rectified[input.index()] |= fuses;
                    fuses
                }
                _ => false,
            };
            if vanishes {
                self.root[id.index()] = self.root[input.index()];
            }
        }
    }

    fn find_norms(&mut self) {
        let architecture = self.architecture;
        for id in architecture.ids() {
            let convolves = matches!(
                architecture.layer(id),
                Layer::Conv { .. } | Layer::DepthwiseConv { .. }
            );
            if let ([reader], true) = (architecture.consumers(id).as_slice(), convolves)
                && *architecture.layer(*reader) == Layer::BatchNorm
            {
                self.normed_by[id.index()] = Some(*reader);
            }
        }
    }

    /// When a layer's result may first be written: a norm's by the convolution before it.
    fn first_moment(&self, id: LayerId) -> Moment {
        let input = self.architecture.inputs(id).first();
        match input.filter(|input| self.normed_by[input.index()] == Some(id)) {
            Some(input) => input.index(),
            None => id.index(),
        }
    }

    fn find_learning(&mut self) {
        for id in self.architecture.ids() {
            let inputs = self.architecture.inputs(id);
            self.learns[id.index()] = self.architecture.layer(id).has_weights()
                || inputs.iter().any(|input| self.learns[input.index()]);
        }
    }

    fn is_step(&self, id: LayerId) -> bool {
        id.index() != 0 && self.root[id.index()] == id.index()
    }

    fn find_lives(&mut self) {
        let last = self.architecture.nodes().len() - 1;
        let (loss, training) = (last + 1, self.purpose == Purpose::Train);
        let backward = |layer: usize| 2 * loss - layer;
        let output = self.root[last];
        let steps: Vec<LayerId> = self
            .architecture
            .ids()
            .filter(|id| self.is_step(*id))
            .collect();
        self.values[0] = Some((0, 0));
        for id in steps.iter().copied() {
            let layer = id.index();
            self.values[layer] = Some((self.first_moment(id), layer));
            let learns = training && self.learns[layer];
            if learns && needs_output(self.architecture.layer(id), self.rectified[layer]) {
                extend(&mut self.values[layer], backward(layer));
            }
            for input in self.architecture.inputs(id) {
                let input = self.root[input.index()];
                let again = learns && needs_input(self.architecture.layer(id));
                extend(
                    &mut self.values[input],
                    if again { backward(layer) } else { layer },
                );
            }
        }
        extend(&mut self.values[output], loss);
        if !training {
            return;
        }
        for layer in (0..=last).filter(|layer| self.values[*layer].is_some()) {
            if layer == output || self.learns[layer] {
                self.gradients[layer] = Some((backward(layer), backward(layer)));
            }
        }
        for id in steps {
            for input in self.architecture.inputs(id) {
                let gradient = &mut self.gradients[self.root[input.index()]];
                if let Some((first, _)) = gradient {
                    *first = (*first).min(backward(id.index()));
                }
            }
        }
        if let Some((first, _)) = &mut self.gradients[output] {
            *first = loss;
        }
    }

    /// Asks for the memory of all values, gradients and what steps remember.
    pub(super) fn want(&self, layout: &mut Layout, batch: usize, threads: Threads) -> Tickets {
        let last = self.architecture.nodes().len() - 1;
        let backward = |layer: usize| 2 * (last + 1) - layer;
        let item = |layer: usize| self.architecture.shape(LayerId::at(layer)).values();
        let mut want = |lives: &[Option<(Moment, Moment)>]| -> Vec<Option<Ticket>> {
            let each = lives.iter().enumerate().map(|(layer, life)| {
                life.map(|(first, last)| layout.want(batch * item(layer), first, last))
            });
            each.collect()
        };
        let (values, gradients) = (want(&self.values), want(&self.gradients));
        let memory = |id: LayerId| {
            let shape = self.architecture.shape(id);
            let len = match self.architecture.layer(id) {
                Layer::BatchNorm => BatchNorm::memory_len(shape.channels() as usize, threads.get()),
                Layer::LayerNorm => batch * 2 * shape.positions(),
                Layer::Attention { .. } => {
                    let kept = Attention::kept_len(shape.positions(), shape.channels() as usize);
                    batch * kept.iter().sum::<usize>()
                }
                _ => return None,
            };
            let last = match self.purpose {
                Purpose::Train => backward(id.index()),
                Purpose::Infer => id.index(),
            };
            Some(layout.want(len, self.first_moment(id), last))
        };
        let memories = self.architecture.ids().map(memory).collect();
        Tickets {
            values,
            gradients,
            memories,
        }
    }

    /// The steps, now that everything has a place.
    pub(super) fn build(&self, tickets: &Tickets, placed: &Placed, slots: &[Slot]) -> Built {
        let mut builder = Builder {
            wiring: self,
            tickets,
            placed,
            slots,
            seen: Vec::new(),
        };
        let last = self.architecture.output();
        let (input, output) = (builder.value(LayerId::at(0)), builder.value(last));
        // Backward order decides which contribution to a gradient comes first.
        builder.seen = vec![false; self.architecture.nodes().len()];
        let layers = self.architecture.ids().rev().filter(|id| self.is_step(*id));
        let mut steps: Vec<Step> = layers.map(|id| builder.step(id)).collect();
        steps.reverse();
        self.join_norms(&mut steps);
        Built {
            steps,
            input,
            output,
            output_gradient: builder.gradient(last),
        }
    }
}

impl Wiring<'_> {
    /// Gives each convolution the norm behind it.
    fn join_norms(&self, steps: &mut [Step]) {
        for at in 0..steps.len() {
            let Some(reader) = self.normed_by[steps[at].layer.index()] else {
                continue;
            };
            let behind = steps.iter_mut().find(|step| step.layer == reader);
            let Some(Work::BatchNorm(norm)) = behind.map(|step| &mut step.work) else {
                unreachable!("a batch norm is always a step");
            };
            norm.is_done_before = true;
            let norm = Some(Box::new(norm.clone()));
            match &mut steps[at].work {
                Work::Conv(step) => step.norm = norm,
                Work::Depthwise(step) => step.norm = norm,
                _ => unreachable!("only convolutions have a norm of their own"),
            }
        }
    }
}

fn extend(life: &mut Option<(Moment, Moment)>, moment: Moment) {
    let (_, last) = life.as_mut().expect("a layer's inputs come before it");
    *last = (*last).max(moment);
}

/// Layers that can rectify their result in the same pass.
fn can_rectify(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::Dense { .. }
            | Layer::Conv { .. }
            | Layer::DepthwiseConv { .. }
            | Layer::BatchNorm
            | Layer::Add
    )
}

/// Whether the backward pass reads the layer's input again.
fn needs_input(layer: &Layer) -> bool {
    match layer {
        // What is added has the same gradient whatever it is added to.
        Layer::Position => false,
        Layer::Gelu | Layer::Silu | Layer::MaxPool { .. } | Layer::Multiply => true,
        _ => layer.has_weights(),
    }
}

/// Whether the backward pass reads the layer's output again.
fn needs_output(layer: &Layer, rectified: bool) -> bool {
    // Batch norm finds the sign again from its input.
    let mask = rectified && !matches!(layer, Layer::BatchNorm);
    let reads = matches!(
        layer,
        Layer::Relu | Layer::Sigmoid | Layer::MaxPool { .. } | Layer::Periodic { .. }
    );
    mask || reads
}

/// Scratch that a layer's step needs, in floats per thread.
pub(super) fn scratch_len(architecture: &Architecture, id: LayerId, purpose: Purpose) -> usize {
    let shape = architecture.shape(id);
    let channels = shape.channels() as usize;
    match (architecture.layer(id), purpose) {
        (Layer::Attention { .. }, Purpose::Infer) => {
            Attention::forward_scratch_len(shape.positions(), channels)
        }
        (Layer::Attention { .. }, Purpose::Train) => {
            Attention::backward_scratch_len(shape.positions(), channels)
        }
        (Layer::Position, Purpose::Train) => Position::scratch_len(shape.values()),
        (Layer::Conv { .. }, _) => {
            let convolution = Convolution {
                geometry: geometry(architecture, id),
                out_channels: channels,
            };
            Conv::scratch_len(&convolution, purpose)
        }
        (Layer::DepthwiseConv { .. }, _) => {
            let geometry = geometry(architecture, id);
            Depthwise::scratch_len(&DepthwiseConvolution { geometry }, purpose)
        }
        (Layer::BatchNorm, _) => BatchNorm::scratch_len(channels),
        (Layer::Dense { .. }, _) => {
            let inputs = architecture.input_shapes(id)[0].channels() as usize;
            Dense::scratch_len(inputs, channels, purpose)
        }
        (_, Purpose::Infer) => 0,
        (Layer::MaxPool { .. }, Purpose::Train) => Pool::scratch_len(channels),
        _ => 0,
    }
}

fn geometry(architecture: &Architecture, id: LayerId) -> Geometry {
    let kernel = match architecture.layer(id) {
        Layer::Conv { kernel, .. } | Layer::DepthwiseConv { kernel } => *kernel,
        other => unreachable!("only convolutions have kernels, not {}", other.kind()),
    };
    let input = architecture.input_shapes(id)[0];
    let (height, width) = input.plane();
    let (kernel_height, kernel_width) = kernel.extents(input);
    let (out_height, out_width) = architecture.shape(id).plane();
    Geometry {
        height,
        width,
        channels: input.channels() as usize,
        kernel_height,
        kernel_width,
        stride: usize::from(kernel.stride()),
        dilation: usize::from(kernel.dilation()),
        out_height,
        out_width,
    }
}

/// Puts places into steps.
struct Builder<'a> {
    wiring: &'a Wiring<'a>,
    tickets: &'a Tickets,
    placed: &'a Placed,
    slots: &'a [Slot],
    /// Gradients that have had a contribution, in backward order.
    seen: Vec<bool>,
}

impl Builder<'_> {
    fn value(&self, id: LayerId) -> Value {
        let root = self.wiring.root[id.index()];
        let ticket = self.tickets.values[root].expect("every root has a value");
        let item = self.wiring.architecture.shape(LayerId::at(root)).values();
        Value {
            region: self.placed.region(ticket),
            item,
        }
    }

    fn gradient(&self, id: LayerId) -> Option<Value> {
        let root = self.wiring.root[id.index()];
        let ticket = self.tickets.gradients[root]?;
        let item = self.wiring.architecture.shape(LayerId::at(root)).values();
        Some(Value {
            region: self.placed.region(ticket),
            item,
        })
    }

    fn source(&mut self, id: LayerId) -> Source {
        let root = self.wiring.root[id.index()];
        let store = if self.seen[root] {
            Store::Add
        } else {
            Store::Write
        };
        self.seen[root] = true;
        let gradient = self.gradient(id).map(|value| (value, store));
        Source {
            value: self.value(id),
            gradient,
        }
    }

    fn memory(&self, id: LayerId) -> crate::buffers::Region {
        let ticket = self.tickets.memories[id.index()];
        self.placed
            .region(ticket.expect("layers that remember have memory"))
    }

    fn parameter(&self, layer: LayerId, part: Part) -> Parameter {
        match self.slot(layer, part) {
            Place::Parameter(parameter) => parameter.clone(),
            Place::Statistic(_) => unreachable!("{part:?} is learned"),
        }
    }

    fn statistic(&self, layer: LayerId, part: Part) -> Statistic {
        match self.slot(layer, part) {
            Place::Statistic(statistic) => statistic.clone(),
            Place::Parameter(_) => unreachable!("{part:?} is measured"),
        }
    }

    fn slot(&self, layer: LayerId, part: Part) -> &Place {
        let slot = self
            .slots
            .iter()
            .find(|s| s.spec.layer == layer && s.spec.part == part);
        &slot
            .expect("the specification gives every layer the parts it needs")
            .place
    }

    fn step(&mut self, id: LayerId) -> Step {
        let architecture = self.wiring.architecture;
        let output = Sink {
            value: self.value(id),
            gradient: self.gradient(id),
        };
        let inputs: Vec<Source> = architecture
            .inputs(id)
            .iter()
            .map(|input| self.source(*input))
            .collect();
        let input = *inputs.first().expect("only the input layer has no inputs");
        let work = match architecture.layer(id) {
            Layer::Add => Work::Add(Add {
                inputs: [inputs[0], inputs[1]],
                output,
                activation: self.activation(id),
            }),
            Layer::Concat => Work::Concat(Concat {
                inputs,
                output,
                positions: architecture.shape(id).positions(),
            }),
            Layer::Relu => Work::Relu(Pointwise { input, output }),
            Layer::Gelu => Work::Gelu(Pointwise { input, output }),
            Layer::Silu => Work::Silu(Pointwise { input, output }),
            Layer::Sigmoid => Work::Sigmoid(Pointwise { input, output }),
            Layer::Multiply => Work::Multiply(Multiply {
                inputs: [inputs[0], inputs[1]],
                output,
                channels: architecture.shape(id).channels() as usize,
            }),
            Layer::Slice { first, .. } => Work::Slice(Slice {
                input,
                output,
                positions: architecture.shape(id).positions(),
                first: *first as usize,
            }),
            Layer::Dropout { rate } => Work::Dropout(Dropout {
                input,
                output,
                rate: rate.fraction(),
            }),
            Layer::MaxPool { .. } => Work::MaxPool(self.pool(id, input, output)),
            Layer::AvgPool { .. } => Work::AvgPool(self.pool(id, input, output)),
            Layer::GlobalAvgPool => Work::GlobalAvgPool(GlobalPool { input, output }),
            Layer::Input { .. } | Layer::Flatten | Layer::Output => {
                unreachable!("{} is never a step", architecture.layer(id).kind())
            }
            _ => self.learning_step(id, input, output),
        };
        Step {
            layer: id,
            learns: self.wiring.learns[id.index()],
            work,
        }
    }

    fn learning_step(&self, id: LayerId, input: Source, output: Sink) -> Work {
        let architecture = self.wiring.architecture;
        let (activation, channels) = (
            self.activation(id),
            architecture.shape(id).channels() as usize,
        );
        let parameter = |part: Part| self.parameter(id, part);
        match architecture.layer(id) {
            Layer::Dense { .. } => Work::Dense(Dense {
                input,
                output,
                weight: parameter(Part::Weight),
                bias: parameter(Part::Bias),
                activation,
            }),
            Layer::Conv { .. } => Work::Conv(Conv {
                input,
                output,
                weight: parameter(Part::Weight),
                bias: parameter(Part::Bias),
                activation,
                convolution: Convolution {
                    geometry: geometry(architecture, id),
                    out_channels: channels,
                },
                norm: None,
            }),
            Layer::DepthwiseConv { .. } => Work::Depthwise(Depthwise {
                input,
                output,
                weight: parameter(Part::Weight),
                bias: parameter(Part::Bias),
                activation,
                convolution: DepthwiseConvolution {
                    geometry: geometry(architecture, id),
                },
                norm: None,
            }),
            Layer::Embedding { codes, width } => Work::Embedding(Embedding {
                input,
                output,
                weight: parameter(Part::Weight),
                codes: *codes as usize,
                width: *width as usize,
                codes_per_vector: match architecture.input_shapes(id)[0] {
                    Shape::Sequence { channels, .. } => channels as usize,
                    Shape::Flat { .. } | Shape::Image { .. } => 1,
                },
            }),
            Layer::Periodic { frequencies } => Work::Periodic(Periodic {
                input,
                output,
                frequency: parameter(Part::Frequency),
                frequencies: *frequencies as usize,
            }),
            Layer::Position => Work::Position(Position {
                input,
                output,
                shift: parameter(Part::Shift),
            }),
            Layer::Attention { heads } => self.attention(id, *heads as usize, input, output),
            Layer::BatchNorm | Layer::LayerNorm => self.norm(id, input, output),
            other => unreachable!("{} does not learn", other.kind()),
        }
    }

    fn norm(&self, id: LayerId, input: Source, output: Sink) -> Work {
        let shape = self.wiring.architecture.shape(id);
        match self.wiring.architecture.layer(id) {
            Layer::BatchNorm => Work::BatchNorm(BatchNorm {
                input,
                output,
                gain: self.parameter(id, Part::Gain),
                shift: self.parameter(id, Part::Shift),
                mean: self.statistic(id, Part::Mean),
                variance: self.statistic(id, Part::Variance),
                activation: self.activation(id),
                channels: shape.channels() as usize,
                memory: self.memory(id),
                is_done_before: false,
            }),
            Layer::LayerNorm => Work::LayerNorm(LayerNorm {
                input,
                output,
                gain: self.parameter(id, Part::Gain),
                shift: self.parameter(id, Part::Shift),
                statistics: Value {
                    region: self.memory(id),
                    item: 2 * shape.positions(),
                },
            }),
            other => unreachable!("{} is no norm", other.kind()),
        }
    }

    fn attention(&self, id: LayerId, heads: usize, input: Source, output: Sink) -> Work {
        let shape = self.wiring.architecture.shape(id);
        let (steps, channels) = (shape.positions(), shape.channels() as usize);
        let memory = self.memory(id);
        let [projected, mixed] = Attention::kept_len(steps, channels);
        let batch = memory.len() / (projected + mixed);
        let value = |range: std::ops::Range<usize>, item| Value {
            region: memory.part(range),
            item,
        };
        Work::Attention(Attention {
            input,
            output,
            weight: self.parameter(id, Part::Weight),
            bias: self.parameter(id, Part::Bias),
            projection: self.parameter(id, Part::Projection),
            projection_bias: self.parameter(id, Part::ProjectionBias),
            steps,
            channels,
            heads,
            projected: value(0..batch * projected, projected),
            mixed: value(batch * projected..memory.len(), mixed),
        })
    }

    fn activation(&self, id: LayerId) -> Activation {
        if self.wiring.rectified[id.index()] {
            Activation::Relu
        } else {
            Activation::Linear
        }
    }

    fn pool(&self, id: LayerId, input: Source, output: Sink) -> Pool {
        let architecture = self.wiring.architecture;
        let window = match architecture.layer(id) {
            Layer::MaxPool { window } | Layer::AvgPool { window } => *window,
            other => unreachable!("{} has no window", other.kind()),
        };
        let from = architecture.input_shapes(id)[0];
        let (height, width) = from.plane();
        let (rows, columns) = window.extents(from);
        let (out_height, out_width) = architecture.shape(id).plane();
        let windows = Windows {
            height,
            width,
            channels: from.channels() as usize,
            rows,
            columns,
            stride: usize::from(window.stride()),
            out_height,
            out_width,
        };
        Pool {
            input,
            output,
            windows,
        }
    }
}
