//! A trained network as an ONNX file: from raw cells or pixels to the answer, in one graph.
//!
//! ONNX IR version 8, operators of opset 17 and, for words, version 3 of `ai.onnx.ml`: what every
//! runtime of the last years has. A model of texts needs opset 20 and IR version 9, which have an operator
//! that splits them. Read in this order: [`export_onnx`] here, `inputs`, `quantiles` and `sequences`
//! (preprocessing), `network` (layers), `graph` (names, constants), `message` (the file format). The
//! same model gives the same bytes. No file is written here, and nothing is read back.

mod attention;
mod graph;
mod inputs;
mod message;
mod network;
mod quantiles;
mod sequences;

use data::{FittedInputs, FittedTask, ItemShape, Preprocessor};
use morph::{Architecture, Shape};
use prost::Message;
use thiserror::Error;

use crate::{calibration::Calibration, checkpoint::WeightsError, weights::Weights};
use graph::{Argument, GraphBuilder, ML_DOMAIN, Size, ValueName};
use message::{ElementType, Model, OperatorSet, Property};

/// IR version and operators of most models.
const VERSIONS: (i64, i64) = (8, 17);
/// The same for models of texts.
const VERSIONS_FOR_TEXTS: (i64, i64) = (9, 20);
const ML_OPSET: i64 = 3;

/// A file of protobuf cannot be larger: its sizes are 31-bit numbers.
const BYTES_MAX: usize = i32::MAX as usize;

/// Why a model cannot be exported.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ExportError {
    /// The network does not take what the preprocessing makes.
    #[error("the network takes {network}, but preprocessing makes {preprocessed}")]
    InputShape {
        /// What the network takes.
        network: Shape,
        /// What it would get.
        preprocessed: Shape,
    },
    /// The network does not put out what the task needs.
    #[error("the network has {network} output(s), but the task needs {task}")]
    Outputs {
        /// What it puts out.
        network: u32,
        /// What is needed.
        task: usize,
    },
    /// The weights are not those of the network.
    #[error("the weights do not belong to the network")]
    Weights {
        /// What is wrong with them.
        #[from]
        source: WeightsError,
    },
    /// More than the format can hold in one file.
    #[error("the file would have {bytes} bytes; an ONNX file has at most {BYTES_MAX}")]
    TooLarge {
        /// How large it would be.
        bytes: usize,
    },
}

/// A trained model as the bytes of an ONNX file.
///
/// Inputs: one per column of the table, by its name; `image`; `series`; or the text by its column's name.
/// Outputs: `probabilities`, calibrated, and `label`
/// for classes, in the order of the task; `prediction`, in the target's own unit, for a number. A column
/// with the name of an output gets ` (2)` behind it. `metadata` is written into the file as it is.
///
/// # Shapes
/// Columns and texts `[rows, 1]`, images `[rows, height, width, channels]`, series `[rows, steps, channels]`;
/// `probabilities: [rows, classes]`,
/// `label: [rows]`, `prediction: [rows, 1]`.
/// # Errors
/// If network, weights and preprocessing do not fit each other, or the file would be too large.
/// # Cost
/// `O(weights)`; the file is held in memory twice.
/// # Source
/// The ONNX specification, operators of version 17: <https://onnx.ai/onnx/operators/>.
pub fn export_onnx(
    architecture: &Architecture,
    weights: &Weights,
    preprocessor: &Preprocessor,
    calibration: &Calibration,
    metadata: &[(String, String)],
) -> Result<Vec<u8>, ExportError> {
    weights.check(architecture)?;
    check_shapes(architecture, preprocessor)?;
    let mut builder = GraphBuilder::default();
    let answers = Answers::reserve(&mut builder, preprocessor.task(), calibration);
    let input = match preprocessor.inputs() {
        FittedInputs::Columns(columns) => inputs::add_columns(&mut builder, columns),
        FittedInputs::Image(image) => inputs::add_image(&mut builder, image),
        FittedInputs::Series(series) => sequences::add_series(&mut builder, series),
        FittedInputs::Text(text) => sequences::add_text(&mut builder, text),
    };
    let outputs = network::add_network(&mut builder, architecture, weights, input);
    answers.add(&mut builder, &outputs);
    encoded(builder, architecture, metadata)
}

/// A network alone as the bytes of an ONNX file, for those who prepare their inputs themselves.
///
/// # Shapes
/// `input: [rows, features]`, `[rows, channels, steps]` or `[rows, channels, height, width]`, as the
/// network takes them; `output: [rows, outputs]`, logits or standardised values.
/// # Errors
/// If the weights do not belong to the network, or the file would be too large.
/// # Cost
/// `O(weights)`; the file is held in memory twice.
/// # Source
/// As [`export_onnx`].
pub fn export_network(
    architecture: &Architecture,
    weights: &Weights,
) -> Result<Vec<u8>, ExportError> {
    weights.check(architecture)?;
    let mut builder = GraphBuilder::default();
    let fixed: Vec<u32> = match architecture.input_shape() {
        Shape::Flat { features } => vec![features],
        Shape::Sequence { channels, length } => vec![channels, length],
        Shape::Image {
            channels,
            height,
            width,
        } => vec![channels, height, width],
    };
    let fixed = fixed.into_iter().map(Size::Fixed);
    let sizes: Vec<Size> = std::iter::once(Size::Rows).chain(fixed).collect();
    let meaning = "prepared as in training";
    let input = builder.input("input", ElementType::Float, &sizes, meaning);
    let output = builder.reserve("output");
    let outputs = network::add_network(&mut builder, architecture, weights, input);
    builder.node_into("Identity", &[&outputs], &[], &output);
    let sizes = [Size::Rows, Size::Fixed(architecture.outputs())];
    builder.output(&output, ElementType::Float, &sizes, "logits, or a value");
    encoded(builder, architecture, &[])
}

/// A fact as the bytes that add it to a finished file: protobuf messages are joined by joining bytes.
///
/// What stands before them in the file stays as it is, bit for bit.
pub fn property_bytes(key: &str, value: &str) -> Vec<u8> {
    let property = Property {
        key: key.to_string(),
        value: value.to_string(),
    };
    let addition = Model {
        metadata_props: vec![property],
        ..Model::default()
    };
    addition.encode_to_vec()
}

/// The finished file.
fn encoded(
    builder: GraphBuilder,
    architecture: &Architecture,
    metadata: &[(String, String)],
) -> Result<Vec<u8>, ExportError> {
    let property = |(key, value): &(String, String)| Property {
        key: key.clone(),
        value: value.clone(),
    };
    let operators = |domain: &str, version: i64| OperatorSet {
        domain: Some(domain.to_string()),
        version: Some(version),
    };
    let (ir_version, opset) = match builder.uses(sequences::SPLIT) {
        true => VERSIONS_FOR_TEXTS,
        false => VERSIONS,
    };
    let model = Model {
        ir_version: Some(ir_version),
        producer_name: "lehr".to_string(),
        producer_version: env!("CARGO_PKG_VERSION").to_string(),
        doc_string: architecture.to_string(),
        graph: Some(builder.finish()),
        opset_import: vec![operators("", opset), operators(ML_DOMAIN, ML_OPSET)],
        metadata_props: metadata.iter().map(property).collect(),
    };
    match model.encoded_len() {
        bytes if bytes > BYTES_MAX => Err(ExportError::TooLarge { bytes }),
        _ => Ok(model.encode_to_vec()),
    }
}

/// The shape of what a network gets for one row.
pub fn input_shape(item: ItemShape) -> Shape {
    match item {
        ItemShape::Features(features) => Shape::Flat { features },
        ItemShape::Image {
            height,
            width,
            channels,
        } => Shape::Image {
            channels,
            height,
            width,
        },
        ItemShape::Series { channels, length } => Shape::Sequence { channels, length },
        ItemShape::Tokens {
            length, channels, ..
        } => Shape::Sequence { channels, length },
    }
}

/// Whether the network takes what preprocessing makes, and gives what the task needs.
pub(crate) fn check_shapes(
    architecture: &Architecture,
    preprocessor: &Preprocessor,
) -> Result<(), ExportError> {
    let preprocessed = input_shape(preprocessor.item());
    let network = architecture.input_shape();
    if network != preprocessed {
        return Err(ExportError::InputShape {
            network,
            preprocessed,
        });
    }
    let needed = match preprocessor.task() {
        FittedTask::Classification { classes } => classes.len(),
        FittedTask::Regression { .. } => 1,
    };
    if architecture.outputs() as usize != needed {
        return Err(ExportError::Outputs {
            network: architecture.outputs(),
            task: needed,
        });
    }
    Ok(())
}

/// The names of what the model answers, kept before any column can take them.
enum Answers<'a> {
    Classes {
        classes: &'a [String],
        calibration: &'a Calibration,
        probabilities: ValueName,
        label: ValueName,
    },
    Number {
        target: &'a str,
        mean: f64,
        scale: f64,
        prediction: ValueName,
    },
}

impl<'a> Answers<'a> {
    fn reserve(
        builder: &mut GraphBuilder,
        task: &'a FittedTask,
        calibration: &'a Calibration,
    ) -> Answers<'a> {
        match task {
            FittedTask::Classification { classes } => Answers::Classes {
                classes,
                calibration,
                probabilities: builder.reserve("probabilities"),
                label: builder.reserve("label"),
            },
            FittedTask::Regression {
                target,
                mean,
                scale,
            } => Answers::Number {
                target,
                mean: *mean,
                scale: *scale,
                prediction: builder.reserve("prediction"),
            },
        }
    }

    /// Makes the answer of the network's outputs.
    fn add(&self, builder: &mut GraphBuilder, outputs: &ValueName) {
        match self {
            Answers::Classes {
                classes,
                calibration,
                probabilities,
                label,
            } => {
                add_probabilities(builder, outputs, calibration, probabilities);
                // The larger output is the more probable class as long as nothing is added to one of them.
                let is_moved = calibration.moves_labels() || calibration.offset() != 0.0;
                let by_threshold = classes.len() == 2 && is_moved;
                let best = match by_threshold {
                    true => class_by_threshold(builder, probabilities, calibration.threshold()),
                    false => {
                        let which = [("axis", Argument::Int(1)), ("keepdims", Argument::Int(0))];
                        builder.node("ArgMax", &[outputs], &which, "best class")
                    }
                };
                let names: Vec<&str> = classes.iter().map(String::as_str).collect();
                let numbers: Vec<i64> = (0..names.len() as i64).collect();
                let names = [
                    ("keys_int64s", Argument::Ints(&numbers)),
                    ("values_strings", Argument::Texts(&names)),
                ];
                builder.node_into("LabelEncoder", &[&best], &names, label);
                let sizes = [Size::Rows, Size::Fixed(classes.len() as u32)];
                let meaning = format!("of the classes {}, in this order", classes.join(", "));
                builder.output(probabilities, ElementType::Float, &sizes, &meaning);
                let meaning = match by_threshold {
                    true => format!("the second class above {}", calibration.threshold()),
                    false => "the most probable class".to_string(),
                };
                builder.output(label, ElementType::Text, &[Size::Rows], &meaning);
            }
            Answers::Number {
                target,
                mean,
                scale,
                prediction,
            } => {
                let exact = inputs::cast(builder, outputs, ElementType::Double, "output as double");
                let scale = builder.doubles("target scale", &[], &[*scale]);
                let mean = builder.doubles("target mean", &[], &[*mean]);
                let scaled = builder.node("Mul", &[&exact, &scale], &[], "output scaled");
                let moved = builder.node("Add", &[&scaled, &mean], &[], "output in its unit");
                let to = ("to", Argument::Type(ElementType::Float));
                builder.node_into("Cast", &[&moved], &[to], prediction);
                let sizes = [Size::Rows, Size::Fixed(1)];
                let meaning = format!("`{target}` in its own unit");
                builder.output(prediction, ElementType::Float, &sizes, &meaning);
            }
        }
    }
}

fn add_probabilities(
    builder: &mut GraphBuilder,
    outputs: &ValueName,
    calibration: &Calibration,
    probabilities: &ValueName,
) {
    let axis = ("axis", Argument::Int(1));
    if *calibration == Calibration::default() {
        return builder.node_into("Softmax", &[outputs], &[axis], probabilities);
    }
    let temperature = [calibration.temperature() as f32];
    let temperature = builder.floats("temperature", &[], &temperature);
    let mut scaled = builder.node("Div", &[outputs, &temperature], &[], "calibrated logits");
    if calibration.offset() != 0.0 {
        let offsets = [0.0, calibration.offset() as f32];
        let offsets = builder.floats("offsets", &[2], &offsets);
        scaled = builder.node("Add", &[&scaled, &offsets], &[], "calibrated logits, moved");
    }
    builder.node_into("Softmax", &[&scaled], &[axis], probabilities);
}

/// Number of the class of each row: 1 where the second probability is above the threshold.
fn class_by_threshold(
    builder: &mut GraphBuilder,
    probabilities: &ValueName,
    threshold: f64,
) -> ValueName {
    let second = builder.ints("second class", &[], &[1]);
    let axis = [("axis", Argument::Int(1))];
    let second = builder.node("Gather", &[probabilities, &second], &axis, "second share");
    let threshold = builder.floats("threshold", &[], &[threshold as f32]);
    let above = builder.node("Greater", &[&second, &threshold], &[], "above threshold");
    inputs::cast(builder, &above, ElementType::Int64, "said class")
}
