//! Series and texts as ONNX operations: from values with gaps, and from words, to what the network takes.
//!
//! A text is split at blanks, and every piece is looked up as it is written; a text of which `data` says that
//! it is missing has no words. `data` also splits at tabs and line ends; the operator would by its
//! description, but ONNX Runtime 1.32 knows blanks only, so whoever runs the model replaces the others, and takes
//! away those around the text, by which a missing one would not be known.
//! A text that is read by characters is given as their code points: no operator takes a text apart.

use std::collections::BTreeMap;

use data::{FittedSeries, FittedText, Indicator, TextUnit, fitted::CLIP};

use super::{
    graph::{Argument, GraphBuilder, Size, ValueName},
    inputs::{Keys, MISSING_WORDS, cast, concatenate, encoded},
    message::ElementType,
    network::{SERIES_TURNED, transpose},
};

/// Splits texts; came with opset 20.
pub(super) const SPLIT: &str = "StringSplit";

/// What an input of texts is, for whoever runs the model.
pub(super) const TEXT_MEANING: &str =
    "a text with blanks for tabs and line ends and none around it; empty if it is missing";

/// What an input of characters is.
const CHARACTERS_MEANING: &str =
    "Unicode code points of a text without white space around it, 0 behind its end";

/// The code of a piece that is no known word, where none has a code of its own.
const NO_PLACE: i64 = -1;

/// Adds the input `series` and what makes numbers of its values; returns `[rows][channels][steps]`.
pub(super) fn add_series(builder: &mut GraphBuilder, series: &FittedSeries) -> ValueName {
    let FittedSeries {
        channels, length, ..
    } = *series;
    let sizes = [Size::Rows, Size::Fixed(length), Size::Fixed(channels)];
    let meaning =
        "step after step, channels last; NaN where nothing was measured and behind the end";
    let raw = builder.input("series", ElementType::Float, &sizes, meaning);
    let extents = [series.shift.len()];
    let shift = builder.floats("series shift", &extents, &series.shift);
    let scale = builder.floats("series scale", &extents, &series.scale);
    let least = builder.floats("series least", &[], &[-CLIP as f32]);
    let most = builder.floats("series most", &[], &[CLIP as f32]);
    let zero = builder.floats("series zero", &[], &[0.0]);
    let missing = builder.node("IsNaN", &[&raw], &[], "series missing");
    let centred = builder.node("Sub", &[&raw, &shift], &[], "series centred");
    let scaled = builder.node("Div", &[&centred, &scale], &[], "series scaled");
    let clipped = builder.node("Clip", &[&scaled, &least, &most], &[], "series clipped");
    let mut values = builder.node("Where", &[&missing, &zero, &clipped], &[], "series filled");
    if series.presence == Indicator::Present {
        let present = builder.node("Not", &[&missing], &[], "series present");
        let present = any_of(builder, &present, 2, KeptAxis::Kept, "series presence");
        let axis = [("axis", Argument::Int(2))];
        values = builder.node("Concat", &[&values, &present], &axis, "series told");
    }
    transpose(builder, &values, &SERIES_TURNED, "series channels first")
}

/// Adds the input of texts and what makes codes of them; returns `[rows][1][length]`.
pub(super) fn add_text(builder: &mut GraphBuilder, text: &FittedText) -> ValueName {
    match text.unit {
        TextUnit::Word => add_words(builder, text),
        TextUnit::Character => add_characters(builder, text),
    }
}

/// Texts by their characters. No operator splits a text into these, so that their code points are asked for.
fn add_characters(builder: &mut GraphBuilder, text: &FittedText) -> ValueName {
    let name = &text.name;
    let sizes = [Size::Rows, Size::Fixed(text.length)];
    let raw = builder.input(name, ElementType::Int64, &sizes, CHARACTERS_MEANING);
    let points = |form: &String| form.chars().map(|c| i64::from(u32::from(c))).next();
    let keys: Vec<i64> = text.forms.keys().filter_map(points).collect();
    let values: Vec<i64> = text.forms.values().map(|code| i64::from(*code)).collect();
    let (keys, unknown) = (Keys::Ints(&keys), i64::from(FittedText::UNKNOWN));
    let codes = encoded(
        builder,
        &raw,
        keys,
        &values,
        unknown,
        &format!("{name} codes"),
    );
    let is_missing = is_missing_word(builder, &raw, name);
    let nothing = i64::from(FittedText::NOTHING);
    let nothing = builder.ints(&format!("{name} nothing"), &[], &[nothing]);
    let told = [&is_missing, &nothing, &codes];
    let told = builder.node("Where", &told, &[], &format!("{name} told"));
    let axis = builder.ints(&format!("{name} channel axis"), &[1], &[1]);
    let mut channels = vec![told.clone()];
    if !text.pairs.is_empty() {
        channels.push(add_pairs(builder, text, &told));
    }
    let channel = |codes: &ValueName| {
        let parts = [codes, &axis];
        builder.node("Unsqueeze", &parts, &[], &format!("{name} channel"))
    };
    let channels: Vec<ValueName> = channels.iter().map(channel).collect();
    let channels = concatenate(builder, channels, &format!("{name} channels"));
    let name = format!("{name} as codes");
    cast(builder, &channels, ElementType::Float, &name)
}

/// The codes of the pairs that begin at each character, whose codes are `[rows][length]`.
///
/// A pair is looked up as one number, `first · 2¹⁶ + second`.
fn add_pairs(builder: &mut GraphBuilder, text: &FittedText, codes: &ValueName) -> ValueName {
    let (name, length) = (&text.name, i64::from(text.length));
    let [start, end, axis] = [("second", 1), ("behind", length), ("along", 1)]
        .map(|(what, value)| builder.ints(&format!("{name} {what}"), &[1], &[value]));
    let seconds = [codes, &start, &end, &axis];
    let seconds = builder.node("Slice", &seconds, &[], &format!("{name} behind the first"));
    let pads = builder.ints(&format!("{name} one place"), &[4], &[0, 0, 0, 1]);
    let seconds = builder.node("Pad", &[&seconds, &pads], &[], &format!("{name} seconds"));
    let scale = builder.ints(&format!("{name} scale"), &[], &[1 << 16]);
    let firsts = builder.node("Mul", &[codes, &scale], &[], &format!("{name} firsts"));
    let both = builder.node("Add", &[&firsts, &seconds], &[], &format!("{name} pairs"));
    let number = |[first, second]: [u16; 2]| (i64::from(first) << 16) + i64::from(second);
    let (keys, values): (Vec<i64>, Vec<i64>) = text
        .pair_codes()
        .map(|(pair, code)| (number(pair), i64::from(code)))
        .unzip();
    let nothing = i64::from(FittedText::NOTHING);
    let name = format!("{name} pair codes");
    encoded(builder, &both, Keys::Ints(&keys), &values, nothing, &name)
}

/// Whether code points `[rows][places]` are those of a word that says that there is nothing; `[rows][1]`.
fn is_missing_word(builder: &mut GraphBuilder, raw: &ValueName, name: &str) -> ValueName {
    // One place more than the longest has, so that the end of each is seen.
    let places = 1 + MISSING_WORDS
        .iter()
        .map(|word| word.len())
        .max()
        .unwrap_or(0);
    let padded = |word: &&str| {
        let points = word.bytes().map(i64::from).collect::<Vec<i64>>();
        points.into_iter().chain(std::iter::repeat(0)).take(places)
    };
    let points: Vec<i64> = MISSING_WORDS.iter().flat_map(padded).collect();
    let extents = [1, MISSING_WORDS.len(), places];
    let points = builder.ints(&format!("{name} missing words"), &extents, &points);
    let [start, end, axis] = [("start", 0), ("end", places as i64), ("axis", 1)]
        .map(|(what, value)| builder.ints(&format!("{name} {what}"), &[1], &[value]));
    let begin = [raw, &start, &end, &axis];
    let begin = builder.node("Slice", &begin, &[], &format!("{name} begin"));
    let begin = builder.node(
        "Unsqueeze",
        &[&begin, &axis],
        &[],
        &format!("{name} begin each"),
    );
    let same = builder.node(
        "Equal",
        &[&begin, &points],
        &[],
        &format!("{name} same places"),
    );
    let other = builder.node("Not", &[&same], &[], &format!("{name} other places"));
    let other = any_of(
        builder,
        &other,
        2,
        KeptAxis::Dropped,
        &format!("{name} is other"),
    );
    let half = builder.floats(&format!("{name} half"), &[], &[0.5]);
    let same = builder.node("Less", &[&other, &half], &[], &format!("{name} is word"));
    let missing = any_of(
        builder,
        &same,
        1,
        KeptAxis::Kept,
        &format!("{name} is missing"),
    );
    builder.node(
        "Greater",
        &[&missing, &half],
        &[],
        &format!("{name} is nothing"),
    )
}

/// Texts by their words.
fn add_words(builder: &mut GraphBuilder, text: &FittedText) -> ValueName {
    let unknown = i64::from(FittedText::UNKNOWN);
    let nothing = i64::from(FittedText::NOTHING);
    let name = &text.name;
    let sizes = [Size::Rows, Size::Fixed(1)];
    let raw = builder.input(name, ElementType::Text, &sizes, TEXT_MEANING);
    let codes = add_pieces(builder, name, &raw, &text.forms, [nothing, unknown]);
    let length = i64::from(text.length);
    // As many places as are read stand behind the last word, so that there are always enough.
    let pads = builder.ints(&format!("{name} places"), &[6], &[0, 0, 0, 0, 0, length]);
    let padded = builder.node("Pad", &[&codes, &pads], &[], &format!("{name} padded"));
    let [start, end, axis] = [("start", 0), ("end", length), ("axis", 2)]
        .map(|(what, value)| builder.ints(&format!("{name} {what}"), &[1], &[value]));
    let inputs = [&padded, &start, &end, &axis];
    let read = builder.node("Slice", &inputs, &[], &format!("{name} read"));
    cast(
        builder,
        &read,
        ElementType::Float,
        &format!("{name} as codes"),
    )
}

/// Which words stand in each text of a column beside others, `[rows][words]`; nothing if no word is known.
pub(super) fn add_bag(
    builder: &mut GraphBuilder,
    name: &str,
    raw: &ValueName,
    forms: &BTreeMap<String, u16>,
    words: u32,
) -> Option<ValueName> {
    let places = add_pieces(builder, name, raw, forms, [NO_PLACE, NO_PLACE]);
    if words == 0 {
        return None;
    }
    // [rows, 1, pieces] to [rows, pieces, 1], which is compared with all places at once.
    let turned = transpose(builder, &places, &SERIES_TURNED, &format!("{name} pieces"));
    let all: Vec<i64> = (0..i64::from(words)).collect();
    let all = builder.ints(&format!("{name} words"), &[1, 1, all.len()], &all);
    let is_word = builder.node("Equal", &[&turned, &all], &[], &format!("{name} is word"));
    Some(any_of(
        builder,
        &is_word,
        1,
        KeptAxis::Dropped,
        &format!("{name} has word"),
    ))
}

/// The code of each piece of texts, `[rows][1][pieces]`: that of its form, or the second of `others` if it is not
/// known; the first where there is nothing.
fn add_pieces(
    builder: &mut GraphBuilder,
    name: &str,
    raw: &ValueName,
    forms: &BTreeMap<String, u16>,
    others: [i64; 2],
) -> ValueName {
    let [nothing, unknown] = others;
    // A delimiter that is empty takes several blanks for one.
    let pieces = builder.node_with_rest(
        SPLIT,
        &[raw],
        &[("delimiter", Argument::Text(""))],
        &format!("{name} split"),
    );
    let mut keys: Vec<&str> = vec![""];
    keys.extend(forms.keys().map(String::as_str));
    let mut values = vec![nothing];
    values.extend(forms.values().map(|code| i64::from(*code)));
    let codes = encoded(
        builder,
        &pieces,
        Keys::Texts(&keys),
        &values,
        unknown,
        &format!("{name} codes"),
    );
    let gone = vec![0; MISSING_WORDS.len()];
    let is_there = encoded(
        builder,
        raw,
        Keys::Texts(&MISSING_WORDS),
        &gone,
        1,
        &format!("{name} is there"),
    );
    let axis = builder.ints(&format!("{name} pieces axis"), &[1], &[2]);
    let is_there = builder.node(
        "Unsqueeze",
        &[&is_there, &axis],
        &[],
        &format!("{name} is there each"),
    );
    let whole = cast(
        builder,
        &is_there,
        ElementType::Bool,
        &format!("{name} is told"),
    );
    let nothing = builder.ints(&format!("{name} nothing"), &[], &[nothing]);
    builder.node(
        "Where",
        &[&whole, &codes, &nothing],
        &[],
        &format!("{name} told"),
    )
}

/// What becomes of an axis over which something was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeptAxis {
    Kept,
    Dropped,
}

/// 1 where any value along an axis is true, 0 where none is, also where there are none.
fn any_of(
    builder: &mut GraphBuilder,
    input: &ValueName,
    axis: i64,
    kept: KeptAxis,
    name: &str,
) -> ValueName {
    let numbers = cast(
        builder,
        input,
        ElementType::Float,
        &format!("{name} as float"),
    );
    let axes = builder.ints(&format!("{name} axes"), &[1], &[axis]);
    let kept = [("keepdims", Argument::Int(i64::from(kept == KeptAxis::Kept)))];
    let count = builder.node(
        "ReduceSum",
        &[&numbers, &axes],
        &kept,
        &format!("{name} count"),
    );
    let one = builder.floats(&format!("{name} one"), &[], &[1.0]);
    builder.node("Min", &[&count, &one], &[], name)
}
