//! The fitted preprocessing as ONNX operations: from raw cells or pixels to what the network takes.
//!
//! Columns come one by one, as `[rows, 1]`: a column of a data frame is an input as it is, and called as it is.
//! Numbers are worked on together and in `f64`, as lehr itself does (those with long tails in `quantiles`); a
//! column whose numbers are large beside their spread (a time stamp) is a `double` input, because a `float`
//! would have rounded it before anything could be subtracted. A missing number is NaN; a missing word is
//! empty, or what `data` takes for one. ONNX cannot read dates from text, so a column of dates is a `double`
//! input too: seconds since 1970.

use data::{
    Cycle, FittedColumn, FittedImage, FittedKind, FittedTime, Indicator, Scaling, fitted::CLIP,
    levels,
};

use super::{
    graph::{Argument, GraphBuilder, Size, ValueName},
    message::ElementType,
    network::{TO_CHANNELS_FIRST, transpose},
    quantiles::{self, LongTailed},
    sequences,
};

/// A column is a `double` input if its centre is more spreads away from 0 than this: rounding to `float`
/// would move a value by 3·10⁻⁸ of its size, which is then more than 10⁻⁵ of a spread. Of a column with
/// long tails, that holds for every piece of its line.
const FLOAT_CENTRE_MAX: f64 = 256.0;

/// What `data` reads as a missing word; a test runs files with all of them.
pub(super) const MISSING_WORDS: [&str; 12] = [
    "", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None",
];

/// Beyond this, or below its inverse, sizes leave the range of `float`.
const FLOAT_SIZE_MAX: f64 = 1e30;

/// Adds the input `image` and what makes numbers of its bytes; returns `[rows][channels][height][width]`.
pub(super) fn add_image(builder: &mut GraphBuilder, image: &FittedImage) -> ValueName {
    let FittedImage {
        height,
        width,
        channels,
        ..
    } = *image;
    let sizes = [
        Size::Rows,
        Size::Fixed(height),
        Size::Fixed(width),
        Size::Fixed(channels),
    ];
    let meaning = "decoded pixels from 0 to 255, row by row, channels last";
    let bytes = builder.input("image", ElementType::Byte, &sizes, meaning);
    let numbers = cast(builder, &bytes, ElementType::Float, "image as float");
    let extents = [image.shift.len()];
    let shift = builder.floats("image shift", &extents, &image.shift);
    let scale = builder.floats("image scale", &extents, &image.scale);
    let centred = builder.node("Sub", &[&numbers, &shift], &[], "image centred");
    let scaled = builder.node("Div", &[&centred, &scale], &[], "image scaled");
    transpose(builder, &scaled, &TO_CHANNELS_FIRST, "image channels first")
}

/// Adds one input per column and what makes numbers of its cells; returns `[rows][features]`.
pub(super) fn add_columns(builder: &mut GraphBuilder, columns: &[FittedColumn]) -> ValueName {
    // All inputs come first: whoever runs the model gives them by the names of their columns, and what is computed
    // of one column may be called as another column is.
    let inputs: Vec<ValueName> = columns
        .iter()
        .map(|column| add_input(builder, column))
        .collect();
    // Groups of features are computed at once; `offset` is where the next column's features belong.
    let mut offset = 0;
    let (mut numbers, mut others) = (Vec::new(), Vec::new());
    for (column, raw) in columns.iter().zip(inputs) {
        match &column.kind {
            FittedKind::Numeric {
                fill,
                missing_indicator,
                scaling,
            } => {
                let raw = RawNumber::of(raw, scaling);
                let indicator = (*missing_indicator == Indicator::Present).then_some(offset + 1);
                let (fill, feature) = (*fill, offset);
                match scaling {
                    Scaling::Deviation { shift, scale } => numbers.push(Number {
                        raw,
                        fill,
                        shift: *shift,
                        scale: *scale,
                        feature,
                        indicator,
                    }),
                    Scaling::Quantiles { knots } => {
                        let column = LongTailed {
                            name: &column.name,
                            raw,
                            fill,
                            knots,
                            feature,
                            indicator,
                        };
                        others.extend(quantiles::add(builder, column));
                    }
                }
            }
            FittedKind::Category {
                levels,
                missing_indicator,
            } => {
                let missing = *missing_indicator;
                let groups = add_category(builder, column, &raw, levels, missing, offset);
                others.extend(groups);
            }
            FittedKind::Text { forms, words } => {
                let values = sequences::add_bag(builder, &column.name, &raw, forms, *words);
                let features = (offset..offset + column.width()).collect();
                others.extend(values.map(|values| Group { values, features }));
            }
            FittedKind::Time(time) => {
                let (number, cycles) = add_time(builder, &column.name, raw, time, offset);
                numbers.push(number);
                others.extend(cycles);
            }
        }
        offset += column.width();
    }
    let mut groups = add_numbers(builder, &numbers);
    groups.extend(others);
    joined(builder, groups)
}

/// A number column.
struct Number {
    raw: RawNumber,
    fill: f64,
    shift: f64,
    scale: f64,
    /// Which of the network's features it is.
    feature: usize,
    /// Which feature says that it was missing.
    indicator: Option<usize>,
}

/// A number column's input.
pub(super) enum RawNumber {
    Float(ValueName),
    Double(ValueName),
}

impl RawNumber {
    fn of(input: ValueName, scaling: &Scaling) -> RawNumber {
        match are_floats(scaling) {
            true => RawNumber::Float(input),
            false => RawNumber::Double(input),
        }
    }
}

/// Values side by side, and which features of the network they are.
pub(super) struct Group {
    pub(super) values: ValueName,
    pub(super) features: Vec<usize>,
}

/// Adds the input of a column.
fn add_input(builder: &mut GraphBuilder, column: &FittedColumn) -> ValueName {
    let (element, meaning) = match &column.kind {
        FittedKind::Numeric { scaling, .. } => {
            let element = match are_floats(scaling) {
                true => ElementType::Float,
                false => ElementType::Double,
            };
            (element, "a number; NaN if it is missing")
        }
        FittedKind::Time(_) => {
            let meaning = "seconds since 1970-01-01 00:00 UTC; NaN if it is missing";
            (ElementType::Double, meaning)
        }
        FittedKind::Category { .. } => (ElementType::Text, "a word; empty if it is missing"),
        FittedKind::Text { .. } => (ElementType::Text, sequences::TEXT_MEANING),
    };
    let sizes = [Size::Rows, Size::Fixed(1)];
    builder.input(&column.name, element, &sizes, meaning)
}

/// Whether the numbers of a column can be given as `float`.
fn are_floats(scaling: &Scaling) -> bool {
    match scaling {
        Scaling::Deviation { shift, scale } => fits_float(*shift, *scale),
        Scaling::Quantiles { knots } => knots.pieces().all(|piece| {
            let farthest = piece.edge.abs().max((piece.edge + piece.width).abs());
            fits_float(farthest, piece.width / piece.rise)
        }),
    }
}

/// Whether rounding a value of this size to `float` hardly moves what becomes of it.
fn fits_float(size: f64, unit: f64) -> bool {
    let in_range = |size: f64| size < FLOAT_SIZE_MAX && size > FLOAT_SIZE_MAX.recip();
    size.abs() <= FLOAT_CENTRE_MAX * unit && in_range(unit) && size.abs() < FLOAT_SIZE_MAX
}

/// All number columns at once: fill, shift, scale, clip, and the features that tell of missing ones.
fn add_numbers(builder: &mut GraphBuilder, numbers: &[Number]) -> Vec<Group> {
    if numbers.is_empty() {
        return Vec::new();
    }
    let floats = numbers
        .iter()
        .filter(|n| matches!(n.raw, RawNumber::Float(_)));
    let doubles = numbers
        .iter()
        .filter(|n| matches!(n.raw, RawNumber::Double(_)));
    let ordered: Vec<&Number> = floats.chain(doubles).collect();
    let raw = all_doubles(builder, &ordered);

    let row = [1, ordered.len()];
    let of_each = |value: fn(&Number) -> f64| -> Vec<f64> {
        ordered.iter().map(|number| value(number)).collect()
    };
    let fill = builder.doubles("number fill", &row, &of_each(|number| number.fill));
    let shift = builder.doubles("number shift", &row, &of_each(|number| number.shift));
    let scale = builder.doubles("number scale", &row, &of_each(|number| number.scale));
    let least = builder.doubles("number least", &[], &[-CLIP]);
    let most = builder.doubles("number most", &[], &[CLIP]);
    let missing = builder.node("IsNaN", &[&raw], &[], "number missing");
    let filled = builder.node("Where", &[&missing, &fill, &raw], &[], "number filled");
    let centred = builder.node("Sub", &[&filled, &shift], &[], "number centred");
    let scaled = builder.node("Div", &[&centred, &scale], &[], "number scaled");
    let clipped = builder.node("Clip", &[&scaled, &least, &most], &[], "number clipped");
    let values = cast(builder, &clipped, ElementType::Float, "numbers");
    let features = ordered.iter().map(|number| number.feature).collect();
    let mut groups = vec![Group { values, features }];

    let told: Vec<(i64, usize)> = ordered
        .iter()
        .enumerate()
        .filter_map(|(place, number)| Some((place as i64, number.indicator?)))
        .collect();
    if !told.is_empty() {
        let flags = cast(
            builder,
            &missing,
            ElementType::Float,
            "number missing as float",
        );
        let places: Vec<i64> = told.iter().map(|(place, _)| *place).collect();
        let values = gather(builder, &flags, &places, "number missing told");
        groups.push(Group {
            values,
            features: told.iter().map(|(_, feature)| *feature).collect(),
        });
    }
    groups
}

/// All raw numbers side by side as `f64`.
fn all_doubles(builder: &mut GraphBuilder, ordered: &[&Number]) -> ValueName {
    let (mut floats, mut doubles) = (Vec::new(), Vec::new());
    for number in ordered {
        match &number.raw {
            RawNumber::Float(name) => floats.push(name.clone()),
            RawNumber::Double(name) => doubles.push(name.clone()),
        }
    }
    let mut parts = Vec::new();
    if !floats.is_empty() {
        let side_by_side = concatenate(builder, floats, "float columns");
        parts.push(cast(
            builder,
            &side_by_side,
            ElementType::Double,
            "float columns as double",
        ));
    }
    if !doubles.is_empty() {
        parts.push(concatenate(builder, doubles, "double columns"));
    }
    concatenate(builder, parts, "number columns")
}

/// A column of dates: the number of its seconds, and its cycles.
fn add_time(
    builder: &mut GraphBuilder,
    name: &str,
    raw: ValueName,
    time: &FittedTime,
    offset: usize,
) -> (Number, Vec<Group>) {
    let groups = add_cycles(builder, name, &raw, time, offset + 1);
    let is_told = time.missing_indicator == Indicator::Present;
    let number = Number {
        raw: RawNumber::Double(raw),
        fill: time.fill,
        shift: time.shift,
        scale: time.scale,
        feature: offset,
        indicator: is_told.then_some(offset + time.values()),
    };
    (number, groups)
}

/// Sine and cosine of each cycle of a time, side by side from the feature `first` on.
///
/// Phases are computed in `f64` and turned in `f32`, as lehr itself does.
fn add_cycles(
    builder: &mut GraphBuilder,
    column: &str,
    raw: &ValueName,
    time: &FittedTime,
    first: usize,
) -> Vec<Group> {
    let cycles = &time.cycles;
    if cycles.is_empty() {
        return Vec::new();
    }
    let row = [1, cycles.len()];
    let of_each = |value: fn(Cycle) -> f64| -> Vec<f64> {
        cycles.iter().map(|cycle| value(*cycle)).collect()
    };
    let named = |what: &str| format!("{column} {what}");
    let fill = builder.doubles(&named("fill"), &[1, 1], &[time.fill]);
    let begin = builder.doubles(&named("begin"), &row, &of_each(Cycle::begin));
    let seconds = builder.doubles(&named("seconds"), &row, &of_each(Cycle::seconds));
    let turn = builder.floats(&named("turn"), &[], &[std::f32::consts::TAU]);
    let missing = builder.node("IsNaN", &[raw], &[], &named("missing"));
    let time = builder.node("Where", &[&missing, &fill, raw], &[], &named("filled"));
    let since = builder.node("Sub", &[&time, &begin], &[], &named("since"));
    let done = builder.node("Div", &[&since, &seconds], &[], &named("cycles"));
    let whole = builder.node("Floor", &[&done], &[], &named("whole cycles"));
    let phase = builder.node("Sub", &[&done, &whole], &[], &named("phase"));
    let phase = cast(
        builder,
        &phase,
        ElementType::Float,
        &named("phase as float"),
    );
    let angle = builder.node("Mul", &[&phase, &turn], &[], &named("angle"));
    let group = |values, behind: usize| Group {
        values,
        features: (0..cycles.len())
            .map(|cycle| first + behind + 2 * cycle)
            .collect(),
    };
    vec![
        group(builder.node("Sin", &[&angle], &[], &named("sine")), 0),
        group(builder.node("Cos", &[&angle], &[], &named("cosine")), 1),
    ]
}

/// A column of words; nothing if nothing of it reaches the network.
///
/// Words become their level's number, that of none if never seen; a comparison with all numbers makes the row, and a
/// table the values that rarer levels share.
fn add_category(
    builder: &mut GraphBuilder,
    column: &FittedColumn,
    raw: &ValueName,
    levels: &[String],
    missing_indicator: Indicator,
    offset: usize,
) -> Vec<Group> {
    if column.width() == 0 {
        return Vec::new();
    }
    let (own, rarer) = (levels::own(levels), levels::rarer(levels));
    let width = column.width() - levels::shared(levels);
    let mut words: Vec<&str> = own.iter().map(String::as_str).collect();
    // All missing words have the number behind the last level of its own, rarer levels those behind the row.
    let mut numbers: Vec<i64> = (0..own.len() as i64).collect();
    if missing_indicator == Indicator::Present {
        words.extend(MISSING_WORDS);
        numbers.extend([own.len() as i64; MISSING_WORDS.len()]);
    }
    words.extend(rarer.iter().map(String::as_str));
    numbers.extend((width..width + rarer.len()).map(|number| number as i64));
    let unseen = width + rarer.len();
    let name = &column.name;
    let (keys, level) = (Keys::Texts(&words), format!("{name} level"));
    let level = encoded(builder, raw, keys, &numbers, unseen as i64, &level);
    let places: Vec<i64> = (0..width as i64).collect();
    let all = builder.ints(&format!("{name} levels"), &[1, width], &places);
    let is_level = builder.node("Equal", &[&level, &all], &[], &format!("{name} is level"));
    let one_hot = cast(
        builder,
        &is_level,
        ElementType::Float,
        &format!("{name} one-hot"),
    );
    let mut groups = vec![Group {
        values: one_hot,
        features: (offset..offset + width).collect(),
    }];
    if !rarer.is_empty() {
        groups.push(Group {
            values: add_shared(builder, name, &level, [width, unseen]),
            features: (offset + width..offset + column.width()).collect(),
        });
    }
    groups
}

/// The values that rarer levels share, which have the numbers from the first to before the last.
fn add_shared(
    builder: &mut GraphBuilder,
    name: &str,
    level: &ValueName,
    [first, unseen]: [usize; 2],
) -> ValueName {
    let mut table = vec![0.0; (unseen + 1) * levels::SHARED];
    for (rarer, row) in table
        .chunks_exact_mut(levels::SHARED)
        .skip(first)
        .enumerate()
    {
        if first + rarer < unseen {
            levels::places_of(rarer)
                .iter()
                .for_each(|place| row[*place] = 1.0);
        }
    }
    let extents = [unseen + 1, levels::SHARED];
    let table = builder.floats(&format!("{name} shared values"), &extents, &table);
    // [rows, 1] to [rows, 1, shared] to [rows, shared].
    let shared = builder.node(
        "Gather",
        &[&table, level],
        &[],
        &format!("{name} looked up"),
    );
    builder.node("Flatten", &[&shared], &[], &format!("{name} shared"))
}

/// All groups side by side, in the network's order of features.
fn joined(builder: &mut GraphBuilder, groups: Vec<Group>) -> ValueName {
    let features: Vec<usize> = groups
        .iter()
        .flat_map(|group| group.features.clone())
        .collect();
    let values = groups.into_iter().map(|group| group.values).collect();
    let joined = concatenate(builder, values, "features as computed");
    if features.is_sorted() {
        return joined;
    }
    let mut order: Vec<i64> = (0..features.len() as i64).collect();
    order.sort_by_key(|place| features[*place as usize]);
    gather(builder, &joined, &order, "features")
}

fn gather(builder: &mut GraphBuilder, input: &ValueName, places: &[i64], name: &str) -> ValueName {
    let places = builder.ints(&format!("{name} order"), &[places.len()], places);
    builder.node(
        "Gather",
        &[input, &places],
        &[("axis", Argument::Int(1))],
        name,
    )
}

pub(super) fn concatenate(
    builder: &mut GraphBuilder,
    mut parts: Vec<ValueName>,
    name: &str,
) -> ValueName {
    if parts.len() == 1 {
        return parts.remove(0);
    }
    let parts: Vec<&ValueName> = parts.iter().collect();
    builder.node("Concat", &parts, &[("axis", Argument::Int(1))], name)
}

/// What is looked up.
#[derive(Clone, Copy)]
pub(super) enum Keys<'a> {
    Texts(&'a [&'a str]),
    Ints(&'a [i64]),
}

/// The number of each value by its key; the default where it is none.
pub(super) fn encoded(
    builder: &mut GraphBuilder,
    looked_up: &ValueName,
    keys: Keys<'_>,
    values: &[i64],
    default: i64,
    name: &str,
) -> ValueName {
    let keys = match keys {
        Keys::Texts(keys) => ("keys_strings", Argument::Texts(keys)),
        Keys::Ints(keys) => ("keys_int64s", Argument::Ints(keys)),
    };
    let arguments = [
        keys,
        ("values_int64s", Argument::Ints(values)),
        ("default_int64", Argument::Int(default)),
    ];
    builder.node("LabelEncoder", &[looked_up], &arguments, name)
}

/// Turns values into another type.
pub(super) fn cast(
    builder: &mut GraphBuilder,
    input: &ValueName,
    element: ElementType,
    name: &str,
) -> ValueName {
    builder.node("Cast", &[input], &[("to", Argument::Type(element))], name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn inputs_are_called_as_their_columns_whatever_operations_are_called() {
        let number = |name: &str| {
            json!({
                "name": name, "kind": "numeric", "fill": 1.0, "missing_indicator": "present",
                "shift": 0.0, "scale": 1.0,
            })
        };
        let columns: Vec<Value> = vec![
            json!({
                "name": "a", "kind": "category", "levels": ["x", "y"], "missing_indicator": "present",
            }),
            json!({ "name": "b", "kind": "text", "forms": { "good": 0 }, "words": 1 }),
            json!({
                "name": "c", "kind": "time", "format": "%Y-%m-%d", "fill": 0.0,
                "missing_indicator": "absent", "shift": 0.0, "scale": 1e9, "cycles": ["week"],
            }),
            number("a level"),
            number("a levels"),
            number("b words"),
            number("c phase"),
            number("number fill"),
            number("features"),
        ];
        let columns: Vec<FittedColumn> = serde_json::from_value(Value::from(columns)).unwrap();
        let mut builder = GraphBuilder::default();
        add_columns(&mut builder, &columns);
        let graph = builder.finish();
        let called: Vec<&str> = graph.input.iter().map(|input| &*input.name).collect();
        let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
        assert_eq!(called, names);
    }
}
