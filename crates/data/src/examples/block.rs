//! Some rows as bytes: what a block of [`Shards`](super::Shards) holds.
//!
//! Row after row: its inputs, its target, its weight. Numbers are written as a bit for each that is not
//! 0, then those that are not: a category of a hundred levels takes 17 bytes so, not 400.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Examples, Inputs, ItemShape, Targets};

/// What all rows of a file have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Form {
    item: ItemShape,
    coding: Coding,
    targets: TargetCoding,
    weighted: bool,
}

/// How inputs are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Coding {
    Floats,
    Bytes { shift: Vec<f32>, scale: Vec<f32> },
    Codes,
}

/// How targets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum TargetCoding {
    Classes { count: u32 },
    Values,
    None,
}

impl Form {
    pub(super) fn of(examples: &Examples) -> Form {
        Form {
            item: examples.item,
            coding: match &examples.inputs {
                Inputs::Floats(_) => Coding::Floats,
                Inputs::Bytes { shift, scale, .. } => Coding::Bytes {
                    shift: shift.clone(),
                    scale: scale.clone(),
                },
                Inputs::Codes(_) => Coding::Codes,
            },
            targets: match examples.targets {
                Targets::Classes { count, .. } => TargetCoding::Classes { count },
                Targets::Values(_) => TargetCoding::Values,
                Targets::None => TargetCoding::None,
            },
            weighted: examples.weights.is_some(),
        }
    }

    /// Bytes that a row takes in memory.
    pub(super) fn row_bytes(&self) -> usize {
        let values = self.item.values();
        match self.coding {
            Coding::Floats => 4 * values,
            Coding::Bytes { .. } => values,
            Coding::Codes => 2 * values,
        }
    }

    /// No rows at all, with room for some.
    pub(super) fn empty(&self, rows: usize) -> Examples {
        let values = rows * self.item.values();
        Examples {
            item: self.item,
            inputs: match &self.coding {
                Coding::Floats => Inputs::Floats(Vec::with_capacity(values)),
                Coding::Bytes { shift, scale } => Inputs::Bytes {
                    bytes: Vec::with_capacity(values),
                    shift: shift.clone(),
                    scale: scale.clone(),
                },
                Coding::Codes => Inputs::Codes(Vec::with_capacity(values)),
            },
            targets: match self.targets {
                TargetCoding::Classes { count } => Targets::Classes {
                    ids: Vec::with_capacity(rows),
                    count,
                },
                TargetCoding::Values => Targets::Values(Vec::with_capacity(rows)),
                TargetCoding::None => Targets::None,
            },
            rows: 0,
            weights: self.weighted.then(|| Vec::with_capacity(rows)),
            rest: None,
        }
    }

    /// Rows from their bytes, put behind others; nothing if these are not the bytes of so many rows.
    pub(super) fn decode(&self, mut bytes: &[u8], rows: usize, into: &mut Examples) -> Option<()> {
        let len = self.item.values();
        for _ in 0..rows {
            match &mut into.inputs {
                Inputs::Floats(values) => decode_floats(&mut bytes, len, values)?,
                Inputs::Bytes { bytes: pixels, .. } => {
                    pixels.extend_from_slice(taken(&mut bytes, len)?);
                }
                Inputs::Codes(codes) => {
                    let pairs = taken(&mut bytes, 2 * len)?.as_chunks::<2>().0;
                    codes.extend(pairs.iter().map(|pair| u16::from_le_bytes(*pair)));
                }
            }
            match &mut into.targets {
                Targets::Classes { ids, count } => {
                    let id = u32::from_le_bytes(four(&mut bytes)?);
                    ids.push(Some(id).filter(|id| id < count)?);
                }
                Targets::Values(values) => values.push(f32::from_le_bytes(four(&mut bytes)?)),
                Targets::None => {}
            }
            if let Some(weights) = &mut into.weights {
                weights.push(f32::from_le_bytes(four(&mut bytes)?));
            }
            into.rows += 1;
        }
        bytes.is_empty().then_some(())
    }
}

impl Examples {
    /// Puts the bytes of a row behind others.
    pub(super) fn encode(&self, row: usize, out: &mut Vec<u8>) {
        let len = self.item_len();
        let from = row * len..(row + 1) * len;
        match &self.inputs {
            Inputs::Floats(values) => encode_floats(&values[from], out),
            Inputs::Bytes { bytes, .. } => out.extend_from_slice(&bytes[from]),
            Inputs::Codes(codes) => {
                out.extend(codes[from].iter().flat_map(|code| code.to_le_bytes()));
            }
        }
        match &self.targets {
            Targets::Classes { ids, .. } => out.extend(ids[row].to_le_bytes()),
            Targets::Values(values) => out.extend(values[row].to_le_bytes()),
            Targets::None => {}
        }
        if let Some(weights) = &self.weights {
            out.extend(weights[row].to_le_bytes());
        }
    }

    /// Puts rows of the same form behind these.
    pub(super) fn take_from(&mut self, other: &Examples, rows: Range<usize>) {
        let len = self.item_len();
        let values = rows.start * len..rows.end * len;
        match (&mut self.inputs, &other.inputs) {
            (Inputs::Floats(own), Inputs::Floats(more)) => own.extend_from_slice(&more[values]),
            (Inputs::Bytes { bytes: own, .. }, Inputs::Bytes { bytes: more, .. }) => {
                own.extend_from_slice(&more[values]);
            }
            (Inputs::Codes(own), Inputs::Codes(more)) => own.extend_from_slice(&more[values]),
            _ => unreachable!("rows of one form are alike"),
        }
        match (&mut self.targets, &other.targets) {
            (Targets::Classes { ids: own, .. }, Targets::Classes { ids: more, .. }) => {
                own.extend_from_slice(&more[rows.clone()]);
            }
            (Targets::Values(own), Targets::Values(more)) => {
                own.extend_from_slice(&more[rows.clone()]);
            }
            _ => {}
        }
        if let (Some(own), Some(more)) = (&mut self.weights, &other.weights) {
            own.extend_from_slice(&more[rows.clone()]);
        }
        self.rows += rows.len();
    }
}

fn encode_floats(values: &[f32], out: &mut Vec<u8>) {
    for eight in values.chunks(8) {
        let bit = |(place, value): (usize, &f32)| u8::from(value.to_bits() != 0) << place;
        out.push(eight.iter().enumerate().map(bit).sum());
    }
    let present = values.iter().filter(|value| value.to_bits() != 0);
    out.extend(present.flat_map(|value| value.to_le_bytes()));
}

fn decode_floats(bytes: &mut &[u8], len: usize, values: &mut Vec<f32>) -> Option<()> {
    let masks = taken(bytes, len.div_ceil(8))?;
    let start = values.len();
    values.resize(start + len, 0.0);
    let row = &mut values[start..];
    for (mask, eight) in masks.iter().zip(row.chunks_mut(8)) {
        let mut mask = *mask;
        let numbers = taken(bytes, 4 * mask.count_ones() as usize)?;
        for number in numbers.as_chunks::<4>().0 {
            let place = mask.trailing_zeros() as usize;
            *eight.get_mut(place)? = f32::from_le_bytes(*number);
            mask &= mask - 1;
        }
    }
    Some(())
}

/// The first bytes, which are taken away.
fn taken<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(first)
}

fn four(bytes: &mut &[u8]) -> Option<[u8; 4]> {
    taken(bytes, 4)?.try_into().ok()
}
