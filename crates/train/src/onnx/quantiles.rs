//! A number column with long tails as ONNX operations: along a line through knots, in `f64`.
//!
//! Each piece of the line adds its rise times how much of it lies below the value, from 0 to 1. Beyond the
//! ends nothing is added any more, so the line stays there what it is at its end, for infinite values too.

use data::{Knots, Piece};

use super::{
    graph::{Argument, GraphBuilder, ValueName},
    inputs::{Group, RawNumber, cast},
    message::ElementType,
};

/// A number column with long tails.
pub(super) struct LongTailed<'a> {
    pub(super) name: &'a str,
    pub(super) raw: RawNumber,
    pub(super) fill: f64,
    pub(super) knots: &'a Knots,
    /// Which of the network's features it is.
    pub(super) feature: usize,
    /// Which feature says that it was missing.
    pub(super) indicator: Option<usize>,
}

/// Fill and line, and the feature that tells of missing ones.
///
/// A column comes alone: all at once would need room for rows × columns × knots.
pub(super) fn add(builder: &mut GraphBuilder, column: LongTailed<'_>) -> Vec<Group> {
    let named = |what: &str| format!("{} {what}", column.name);
    let raw = match column.raw {
        RawNumber::Float(raw) => cast(builder, &raw, ElementType::Double, &named("as double")),
        RawNumber::Double(raw) => raw,
    };
    let fill = builder.doubles(&named("fill"), &[1, 1], &[column.fill]);
    let missing = builder.node("IsNaN", &[&raw], &[], &named("missing"));
    let filled = builder.node("Where", &[&missing, &fill, &raw], &[], &named("filled"));
    let value = add_line(builder, &filled, column.knots, &named);
    let value = cast(builder, &value, ElementType::Float, &named("scaled"));
    let mut groups = vec![Group {
        values: value,
        features: vec![column.feature],
    }];
    groups.extend(column.indicator.map(|feature| Group {
        values: cast(
            builder,
            &missing,
            ElementType::Float,
            &named("missing as float"),
        ),
        features: vec![feature],
    }));
    groups
}

/// `[rows, 1]` of raw values to `[rows, 1]` of scaled ones.
fn add_line(
    builder: &mut GraphBuilder,
    raw: &ValueName,
    knots: &Knots,
    named: &dyn Fn(&str) -> String,
) -> ValueName {
    let of_each = |value: fn(Piece) -> f64| -> Vec<f64> { knots.pieces().map(value).collect() };
    let (edges, widths) = (of_each(|piece| piece.edge), of_each(|piece| piece.width));
    let rises = of_each(|piece| piece.rise);
    let row = [1, rises.len()];
    let edge = builder.doubles(&named("edges"), &row, &edges);
    let width = builder.doubles(&named("widths"), &row, &widths);
    let rise = builder.doubles(&named("rises"), &row, &rises);
    let none = builder.doubles(&named("none"), &[], &[0.0]);
    let all = builder.doubles(&named("all"), &[], &[1.0]);
    let least = builder.doubles(&named("least"), &[1, 1], &[knots.least()]);
    let axes = builder.ints(&named("axes"), &[1], &[1]);
    let beyond = builder.node("Sub", &[raw, &edge], &[], &named("beyond edges"));
    let pieces = builder.node("Div", &[&beyond, &width], &[], &named("in pieces"));
    let shares = builder.node("Clip", &[&pieces, &none, &all], &[], &named("shares"));
    let risen = builder.node("Mul", &[&shares, &rise], &[], &named("risen"));
    let kept = [("keepdims", Argument::Int(1))];
    let sum = builder.node("ReduceSum", &[&risen, &axes], &kept, &named("rise"));
    builder.node("Add", &[&least, &sum], &[], &named("line"))
}
