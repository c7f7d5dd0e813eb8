//! The network as an `nn.Module`: for every layer a line that makes it, one that runs it, and one for
//! each of its tensors that says how it comes from the weights' file.
//!
//! PyTorch has channels first and outputs first; the weights' file has both last.

use morph::{Architecture, Kernel, Layer, LayerId, Shape, Window};

use super::WEIGHTS_FILE;
use crate::step::norm::EPSILON;

/// The layers that PyTorch has not, or not as they are needed.
const ATTENTION: &str = include_str!("attention.py");
const PERIODIC: &str = include_str!("periodic.py");

/// The classes of layers that PyTorch has not, as far as this network has them.
fn own_layers(architecture: &Architecture) -> String {
    type Kind = fn(&Layer) -> bool;
    let kinds: [(Kind, &str); 2] = [
        (|layer| matches!(layer, Layer::Attention { .. }), ATTENTION),
        (|layer| matches!(layer, Layer::Periodic { .. }), PERIODIC),
    ];
    let is_there = |is_kind: &Kind| architecture.ids().any(|id| is_kind(architecture.layer(id)));
    kinds
        .iter()
        .filter(|(is_kind, _)| is_there(is_kind))
        .map(|(_, class)| format!("{}\n\n\n", class.trim_end_matches('\n')))
        .collect()
}

/// The class `Network` and what it needs.
pub(super) fn module(architecture: &Architecture) -> String {
    let (mut made, mut run, mut loaded) = (Vec::new(), Vec::new(), Vec::new());
    for id in architecture.ids() {
        let place = Place { architecture, id };
        made.extend(
            place
                .made()
                .map(|line| format!("self.{} = {line}", place.name())),
        );
        if let Some(line) = place.run() {
            let line = format!("x{} = {line}", id.index());
            run.push(format!("{line:<64}  # {}", shape(architecture.shape(id))));
        }
        loaded.extend(place.loaded());
    }
    let indented = |lines: &[String]| -> String {
        let blank = if lines.is_empty() {
            "        pass\n"
        } else {
            ""
        };
        lines
            .iter()
            .map(|line| format!("        {line}\n"))
            .collect::<String>()
            + blank
    };
    let own = own_layers(architecture);
    let output = architecture.inputs(architecture.output())[0];
    format!(
        "{own}class Network(nn.Module):\n    \
         \"\"\"The network alone: from rows x {input} to rows x {outputs}.\"\"\"\n\n    \
         def __init__(self):\n        super().__init__()\n{made}\n    \
         def forward(self, x0):\n{run}        return x{output}\n\n    \
         @torch.no_grad()\n    def load(self, path):\n        \
         \"\"\"Takes the weights from the file, where outputs come last: a dense layer is inputs x outputs,\n        \
         a convolution rows x columns x inputs x outputs.\"\"\"\n        \
         stored = load_file(path)\n{loaded}        return self.eval()\n\n\n\
         def load_network():\n    \"\"\"The network with its weights.\"\"\"\n    \
         return Network().load(Path(__file__).resolve().with_name(\"{WEIGHTS_FILE}\"))\n",
        input = shape(architecture.input_shape()),
        outputs = shape(architecture.shape(architecture.output())),
        made = if made.is_empty() {
            String::new()
        } else {
            indented(&made)
        },
        run = if run.is_empty() {
            String::new()
        } else {
            indented(&run)
        },
        loaded = if loaded.is_empty() {
            String::new()
        } else {
            indented(&loaded)
        },
        output = output.index(),
    )
}

/// A shape in PyTorch's order.
fn shape(shape: Shape) -> String {
    match shape {
        Shape::Flat { features } => features.to_string(),
        Shape::Sequence { channels, length } => format!("{channels} x {length}"),
        Shape::Image {
            channels,
            height,
            width,
        } => format!("{channels} x {height} x {width}"),
    }
}

/// A layer, and everything that is known about it.
struct Place<'a> {
    architecture: &'a Architecture,
    id: LayerId,
}

impl Place<'_> {
    fn layer(&self) -> &Layer {
        self.architecture.layer(self.id)
    }

    fn name(&self) -> String {
        format!("{}_{}", self.layer().kind(), self.id.index())
    }

    /// What it takes; the input takes what it gives.
    fn input_shape(&self) -> Shape {
        let shapes = self.architecture.input_shapes(self.id);
        shapes
            .first()
            .copied()
            .unwrap_or(self.architecture.shape(self.id))
    }

    fn inputs(&self) -> Vec<String> {
        let inputs = self.architecture.inputs(self.id).iter();
        inputs.map(|input| format!("x{}", input.index())).collect()
    }

    /// How many axes of positions its input has.
    fn axes(&self) -> usize {
        match self.input_shape() {
            Shape::Flat { .. } => 0,
            Shape::Sequence { .. } => 1,
            Shape::Image { .. } => 2,
        }
    }

    /// What makes the layer, if it is more than a function.
    fn made(&self) -> Option<String> {
        let (from, to) = (
            self.architecture
                .input_shapes(self.id)
                .first()
                .map_or(0, |s| s.channels()),
            self.architecture.shape(self.id).channels(),
        );
        Some(match self.layer() {
            Layer::Dense { .. } => format!("nn.Linear({from}, {to})"),
            Layer::Conv { kernel, .. } => self.convolution(from, to, *kernel, ""),
            Layer::DepthwiseConv { kernel } => {
                self.convolution(from, to, *kernel, &format!(", groups={from}"))
            }
            Layer::BatchNorm => {
                format!(
                    "nn.BatchNorm{}d({from}, eps={EPSILON:?})",
                    self.axes().max(1)
                )
            }
            Layer::LayerNorm => format!("nn.LayerNorm({from}, eps={EPSILON:?})"),
            Layer::Embedding { codes, width } => format!("nn.Embedding({codes}, {width})"),
            Layer::Position => {
                let steps = self.input_shape().positions();
                format!("nn.Parameter(torch.zeros({from}, {steps}))")
            }
            Layer::Periodic { frequencies } => {
                format!("Periodic({from}, frequencies={frequencies})")
            }
            Layer::Attention { heads } => format!("SelfAttention({from}, heads={heads})"),
            Layer::Dropout { rate } => format!("nn.Dropout({:?})", rate.fraction()),
            _ => return None,
        })
    }

    fn convolution(&self, from: u32, to: u32, kernel: Kernel, groups: &str) -> String {
        let (axes, size, padding) = (self.axes(), kernel.size(), kernel.padding());
        let mut arguments = format!("{from}, {to}, {size}");
        if kernel.stride() != 1 {
            arguments += &format!(", stride={}", kernel.stride());
        }
        if padding != 0 {
            arguments += &format!(", padding={padding}");
        }
        if kernel.dilation() != 1 {
            arguments += &format!(", dilation={}", kernel.dilation());
        }
        format!("nn.Conv{axes}d({arguments}{groups})")
    }

    /// What computes the layer's result.
    fn run(&self) -> Option<String> {
        let (name, inputs) = (self.name(), self.inputs());
        let input = inputs.first()?.as_str();
        Some(match self.layer() {
            Layer::Input { .. } | Layer::Output => return None,
            Layer::Dense { .. }
            | Layer::Conv { .. }
            | Layer::DepthwiseConv { .. }
            | Layer::BatchNorm
            | Layer::Attention { .. }
            | Layer::Periodic { .. }
            | Layer::Dropout { .. } => format!("self.{name}({input})"),
            Layer::LayerNorm if self.axes() == 0 => format!("self.{name}({input})"),
            Layer::LayerNorm => format!("self.{name}({input}.movedim(1, -1)).movedim(-1, 1)"),
            Layer::Relu => format!("functional.relu({input})"),
            Layer::Gelu => format!("functional.gelu({input})"),
            Layer::Silu => format!("functional.silu({input})"),
            Layer::Sigmoid => format!("torch.sigmoid({input})"),
            Layer::MaxPool { window } => self.pool("max", input, *window),
            Layer::AvgPool { window } => self.pool("avg", input, *window),
            Layer::GlobalAvgPool if self.axes() == 1 => format!("{input}.mean(dim=2)"),
            Layer::GlobalAvgPool => format!("{input}.mean(dim=(2, 3))"),
            // Channels last, as the layers behind it have learned it.
            Layer::Flatten => format!("{input}.movedim(1, -1).flatten(1)"),
            Layer::Slice { first, count } => format!("{input}[:, {first}:{}]", first + count),
            Layer::Embedding { codes, .. } => self.embedding(input, *codes),
            Layer::Position => format!("{input} + self.{name}"),
            Layer::Add => inputs.join(" + "),
            Layer::Multiply => self.product(&inputs),
            Layer::Concat => format!("torch.cat([{}], dim=1)", inputs.join(", ")),
        })
    }

    fn pool(&self, kind: &str, input: &str, window: Window) -> String {
        let (axes, size, stride) = (self.axes(), window.size(), window.stride());
        format!("functional.{kind}_pool{axes}d({input}, {size}, stride={stride})")
    }

    /// What is no code is 0; a row of codes becomes one row of all their vectors, a step of a
    /// series the sum of its own.
    fn embedding(&self, input: &str, codes: u32) -> String {
        let known = format!("torch.where(({input} >= 0) & ({input} < {codes}), {input}, 0).long()");
        match self.axes() {
            0 => format!("self.{}({known}).flatten(1)", self.name()),
            _ => format!("self.{}({known}).sum(1).movedim(-1, 1)", self.name()),
        }
    }

    /// A flat second factor has one value for each channel.
    fn product(&self, inputs: &[String]) -> String {
        let shapes = self.architecture.input_shapes(self.id);
        match (shapes[0] == shapes[1], self.axes()) {
            (true, _) => format!("{} * {}", inputs[0], inputs[1]),
            (false, 1) => format!("{} * {}[:, :, None]", inputs[0], inputs[1]),
            (false, _) => format!("{} * {}[:, :, None, None]", inputs[0], inputs[1]),
        }
    }

    /// Its tensors: where each goes, and how it is turned.
    fn loaded(&self) -> Vec<String> {
        let name = self.name();
        let is_series = self.axes() == 1;
        let copied = |to: &str, part: &str, turned: &str| {
            let stored = format!("stored[\"{}.{part}\"]{turned}", self.id);
            match to {
                "" => format!("self.{name}.copy_({stored})"),
                to => format!("self.{name}.{to}.copy_({stored})"),
            }
        };
        let turned_weight = match self.layer() {
            Layer::Dense { .. } => ".T",
            Layer::Conv { .. } if is_series => "[0].permute(2, 1, 0)",
            Layer::Conv { .. } => ".permute(3, 2, 0, 1)",
            Layer::DepthwiseConv { .. } if is_series => "[0].T.unsqueeze(1)",
            Layer::DepthwiseConv { .. } => ".permute(2, 0, 1).unsqueeze(1)",
            _ => "",
        };
        match self.layer() {
            Layer::Dense { .. } | Layer::Conv { .. } | Layer::DepthwiseConv { .. } => vec![
                copied("weight", "weight", turned_weight),
                copied("bias", "bias", ""),
            ],
            Layer::BatchNorm => vec![
                copied("weight", "gain", ""),
                copied("bias", "shift", ""),
                copied("running_mean", "mean", ""),
                copied("running_var", "variance", ""),
            ],
            Layer::LayerNorm => vec![copied("weight", "gain", ""), copied("bias", "shift", "")],
            Layer::Embedding { .. } => vec![copied("weight", "weight", "")],
            Layer::Periodic { .. } => vec![copied("frequency", "frequency", "")],
            Layer::Position => vec![copied("", "shift", ".T")],
            Layer::Attention { .. } => vec![
                copied("queries_keys_values.weight", "weight", ".T"),
                copied("queries_keys_values.bias", "bias", ""),
                copied("projection.weight", "projection", ".T"),
                copied("projection.bias", "projection_bias", ""),
            ],
            _ => Vec::new(),
        }
    }
}
