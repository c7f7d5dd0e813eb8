//! What a node computes, from the definition of its operator; one file per kind.

mod arguments;
mod arrange;
mod choose;
mod convolve;
mod each;
mod norm;
mod pool;
mod product;
mod words;

use crate::{error::Problem, message::Node, tensor::Tensor};
use arguments::Arguments;

/// The domain of operators that are part of ONNX, but not of its core.
const ML_DOMAIN: &str = "ai.onnx.ml";

/// The first result of a node; no operator that is known has a second one that anybody reads.
pub(crate) fn compute(node: &Node, inputs: &[&Tensor]) -> Result<Tensor, Problem> {
    let results = if node.op_type == "StringSplit" { 2 } else { 1 };
    if node.output.len() > results {
        return Err(Problem::new("it has more results than are known here"));
    }
    let arguments = Arguments::of(&node.attribute);
    match (node.domain.as_str(), node.op_type.as_str(), inputs) {
        ("" | "ai.onnx", operator, inputs) => core(operator, inputs, &arguments),
        (ML_DOMAIN, "LabelEncoder", [input]) => words::encode_labels(input, &arguments),
        _ => Err(unknown(inputs.len())),
    }
}

fn core(operator: &str, inputs: &[&Tensor], arguments: &Arguments<'_>) -> Result<Tensor, Problem> {
    match (operator, inputs) {
        ("Identity", [input]) => Ok((*input).clone()),
        ("Cast", [input]) => each::cast(input, arguments.int("to")?),
        ("Add", [left, right]) => each::whole_or_real(left, right, i64::checked_add, |a, b| a + b),
        ("Sub", [left, right]) => each::arithmetic(left, right, |a, b| a - b),
        ("Mul", [left, right]) => each::whole_or_real(left, right, i64::checked_mul, |a, b| a * b),
        ("Div", [left, right]) => each::arithmetic(left, right, |a, b| a / b),
        ("Relu", [input]) => each::function(input, each::rectified),
        ("Sigmoid", [input]) => each::function(input, |x| 1.0 / (1.0 + (-x).exp())),
        ("Floor", [input]) => each::function(input, f64::floor),
        ("Sin", [input]) => each::function(input, f64::sin),
        ("Cos", [input]) => each::function(input, f64::cos),
        ("Erf", [input]) => each::function(input, each::erf),
        ("Clip", [input, least, most]) => each::clip(input, least, most),
        ("IsNaN", [input]) => each::is_nan(input),
        ("Equal", [left, right]) => each::equal(left, right),
        ("Less", [left, right]) => each::compare(left, right, |a, b| a < b),
        ("Greater", [left, right]) => each::compare(left, right, |a, b| a > b),
        ("GreaterOrEqual", [left, right]) => each::compare(left, right, |a, b| a >= b),
        ("And", [left, right]) => each::and(left, right),
        ("Not", [input]) => each::not(input),
        ("Min", [left, right]) => each::arithmetic(left, right, each::smaller),
        ("Where", [condition, yes, no]) => choose::either(condition, yes, no),
        ("Gather", [table, places]) => choose::gather(table, places, arguments.int_or("axis", 0)?),
        ("Slice", [input, start, end, axis]) => choose::slice(input, start, end, axis),
        ("ArgMax", [input]) => choose::arg_max(input, arguments),
        ("Concat", [_, ..]) => arrange::concatenate(inputs, arguments.int("axis")?),
        ("Transpose", [input]) => arrange::transpose(input, arguments.ints("perm")?),
        ("Reshape", [input, shape]) => arrange::reshape(input, shape, arguments),
        ("Flatten", [input]) => arrange::flatten(input, arguments.int_or("axis", 1)?),
        ("Squeeze", [input, axes]) => arrange::squeeze(input, axes),
        ("Unsqueeze", [input, axes]) => arrange::unsqueeze(input, axes),
        ("Pad", [input, pads]) => arrange::pad(input, pads, arguments),
        ("ReduceSum", [input, axes]) => norm::sum(input, axes, arguments),
        ("StringSplit", [input]) => words::split(input, arguments),
        ("Gemm", [left, right, added]) => product::gemm(left, right, added, arguments),
        ("MatMul", [left, right]) => product::mat_mul(left, right),
        ("Conv", [input, weight, bias]) => convolve::conv(input, weight, bias, arguments),
        ("MaxPool", [input]) => pool::pool(input, arguments, pool::largest),
        ("AveragePool", [input]) => pool::pool(input, arguments, pool::mean),
        ("GlobalAveragePool", [input]) => pool::global_mean(input),
        ("BatchNormalization", [input, gain, shift, mean, variance]) => {
            norm::batch(input, [gain, shift, mean, variance], arguments)
        }
        ("LayerNormalization", [input, gain, shift]) => norm::layer(input, gain, shift, arguments),
        ("Softmax", [input]) => norm::softmax(input, arguments.int_or("axis", -1)?),
        _ => Err(unknown(inputs.len())),
    }
}

fn unknown(inputs: usize) -> Problem {
    Problem::new(format!("it is not known here with {inputs} input(s)"))
}
