//! Multi-head self-attention as ONNX operations; opset 17 has no operator for it.

use super::{
    graph::{Argument, GraphBuilder, ValueName},
    network::{Place, transpose},
};
use crate::weights::Part;

/// Adds the layer behind `[rows, channels, steps]`; returns the same shape.
pub(super) fn add(
    place: &Place<'_>,
    builder: &mut GraphBuilder,
    input: &ValueName,
    heads: usize,
    name: &str,
) -> ValueName {
    let shape = place.architecture.shape(place.id);
    let (steps, channels) = (shape.positions() as i64, i64::from(shape.channels()));
    let width = channels / heads as i64;
    let said = |what: &str| format!("{name} {what}");

    let turned = transpose(builder, input, &[0, 2, 1], &said("steps first"));
    let projected = dense(
        place,
        builder,
        &turned,
        [Part::Weight, Part::Bias],
        &said("projected"),
    );
    // [rows, steps, three · heads · width] to [three, rows, heads, steps, width].
    let split = [-1, steps, 3, heads as i64, width];
    let split = reshape(builder, &projected, &split, &said("heads"));
    let parted = transpose(builder, &split, &[2, 0, 3, 1, 4], &said("heads first"));
    let thirds = [("query", 0), ("key", 1), ("value", 2)];
    let [query, key, value] = thirds.map(|(third, index)| {
        let index = builder.ints(&said(&format!("{third} index")), &[], &[index]);
        let axis = [("axis", Argument::Int(0))];
        builder.node("Gather", &[&parted, &index], &axis, &said(third))
    });
    let key = transpose(builder, &key, &[0, 1, 3, 2], &said("key turned"));
    let scores = builder.node("MatMul", &[&query, &key], &[], &said("scores"));
    let scale = builder.floats(&said("scale"), &[], &[1.0 / (width as f32).sqrt()]);
    let scaled = builder.node("Mul", &[&scores, &scale], &[], &said("scaled"));
    let last = [("axis", Argument::Int(-1))];
    let shares = builder.node("Softmax", &[&scaled], &last, &said("shares"));
    let mixed = builder.node("MatMul", &[&shares, &value], &[], &said("mixed"));
    let joined = transpose(builder, &mixed, &[0, 2, 1, 3], &said("steps first again"));
    let joined = reshape(builder, &joined, &[-1, steps, channels], &said("joined"));
    let parts = [Part::Projection, Part::ProjectionBias];
    let out = dense(place, builder, &joined, parts, &said("out"));
    transpose(builder, &out, &[0, 2, 1], name)
}

fn dense(
    place: &Place<'_>,
    builder: &mut GraphBuilder,
    input: &ValueName,
    [weight, bias]: [Part; 2],
    name: &str,
) -> ValueName {
    let (weight, bias) = (
        place.constant(builder, weight),
        place.constant(builder, bias),
    );
    let product = builder.node("MatMul", &[input, &weight], &[], &format!("{name} product"));
    builder.node("Add", &[&product, &bias], &[], name)
}

fn reshape(builder: &mut GraphBuilder, input: &ValueName, shape: &[i64], name: &str) -> ValueName {
    let shape = builder.ints(&format!("{name} shape"), &[shape.len()], shape);
    builder.node("Reshape", &[input, &shape], &[], name)
}
