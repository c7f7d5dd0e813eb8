//! NPY and NPZ, the array files of NumPy: headers are checked before anything is allocated, and
//! arrays of Python objects, which would have to be executed, are refused.

use std::{
    io::{Cursor, Read},
    path::Path,
};

use crate::{
    error::DataError,
    limits::ReadLimits,
    table::text::{malformed, read_bytes},
};

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
}

/// The numbers of an array: bytes stay bytes, all else becomes `f64`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    Bytes(Vec<u8>),
    Floats(Vec<f64>),
}

impl Values {
    pub(crate) fn to_floats(&self) -> Vec<f64> {
        match self {
            Values::Bytes(bytes) => bytes.iter().map(|byte| f64::from(*byte)).collect(),
            Values::Floats(values) => values.clone(),
        }
    }
}

/// What becomes of arrays of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    Refuse,
    LeaveOut,
}

/// The arrays of an NPZ file, by name.
pub(crate) fn read_npz(
    path: &Path,
    texts: Texts,
    limits: &ReadLimits,
) -> Result<Vec<(String, Array)>, DataError> {
    let bytes = read_bytes(path, limits)?;
    let damaged = |error: &dyn std::fmt::Display| {
        malformed(
            path,
            format!("it is no whole NPZ file ({error}): was it cut?"),
        )
    };
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
    let (mut arrays, mut room) = (Vec::new(), limits.bytes_max);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| damaged(&error))?;
        let name = entry.name().map_err(|error| damaged(&error))?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_string) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry
            .by_ref()
            .take(room.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(&error))?;
        let left = room.checked_sub(bytes.len() as u64);
        room = left.ok_or_else(|| DataError::TooLarge {
            path: path.to_path_buf(),
            what: "what it unpacks to".to_string(),
            limit: format!("{} bytes", limits.bytes_max),
        })?;
        if texts == Texts::LeaveOut && is_text(&bytes) {
            continue;
        }
        arrays.push((name.clone(), parse(path, &name, &bytes, limits)?));
    }
    Ok(arrays)
}

/// The array of an NPY file.
pub(crate) fn parse(
    path: &Path,
    name: &str,
    bytes: &[u8],
    limits: &ReadLimits,
) -> Result<Array, DataError> {
    let wrong = |problem: String| malformed(path, format!("array `{name}`: {problem}"));
    let (header, data) = split_header(bytes).ok_or_else(|| wrong("it is no NPY array".into()))?;
    let kind = field(header, "descr").ok_or_else(|| wrong("its type is not said".into()))?;
    let kind = kind.trim_matches(|letter| letter == '\'' || letter == '"');
    if kind.contains('O') {
        let problem = "it holds Python objects, which would have to be executed: save numbers";
        return Err(wrong(problem.into()));
    }
    if field(header, "fortran_order") == Some("True") {
        return Err(wrong(
            "it is in Fortran order: save it with numpy.ascontiguousarray".into(),
        ));
    }
    let shape = shape(header).ok_or_else(|| wrong("its shape cannot be read".into()))?;
    let count = shape
        .iter()
        .try_fold(1_usize, |count, extent| count.checked_mul(*extent));
    let count = count
        .filter(|count| *count as u64 <= limits.bytes_max)
        .ok_or_else(|| wrong(format!("its shape {shape:?} is beyond all limits")))?;
    let values = numbers(kind, count, data).map_err(wrong)?;
    Ok(Array { shape, values })
}

fn is_text(bytes: &[u8]) -> bool {
    let kind = split_header(bytes).and_then(|(header, _)| field(header, "descr"));
    kind.is_some_and(|kind| kind.contains(['U', 'S']))
}

fn split_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (version, rest) = rest.split_at_checked(2)?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        _ => {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
    };
    let (header, data) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// The value of a key of the header, which is a Python dictionary of simple things.
fn field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let rest = header.split_once(&format!("'{key}':"))?.1.trim_start();
    Some(rest.split([',', '}']).next()?.trim())
}

fn shape(header: &str) -> Option<Vec<usize>> {
    let rest = header.split_once("'shape':")?.1;
    let inside = rest.split_once('(')?.1.split_once(')')?.0;
    let extents = inside
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty());
    extents.map(|word| word.parse().ok()).collect()
}

/// The value of IEEE 754's binary16: one bit of sign, five of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2_f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 {
        -magnitude
    } else {
        magnitude
    }
}

fn numbers(kind: &str, count: usize, data: &[u8]) -> Result<Values, String> {
    let (order, kind) = kind.split_at_checked(1).ok_or("its type is not said")?;
    let big = order == ">";
    fn decode<const N: usize>(data: &[u8], big: bool, read: fn([u8; N]) -> f64) -> Vec<f64> {
        data.chunks_exact(N)
            .map(|chunk| {
                let mut bytes: [u8; N] = chunk.try_into().expect("chunks have their length");
                if big {
                    bytes.reverse();
                }
                read(bytes)
            })
            .collect()
    }
    let width = match kind {
        "u1" | "i1" | "b1" => 1,
        "u2" | "i2" | "f2" => 2,
        "u4" | "i4" | "f4" => 4,
        "u8" | "i8" | "f8" => 8,
        _ => {
            return Err(format!(
                "its type `{order}{kind}` is not one of integers and floats"
            ));
        }
    };
    let needed = count * width;
    let data = data
        .get(..needed)
        .ok_or_else(|| format!("its shape needs {needed} bytes, {} are there", data.len()))?;
    Ok(match kind {
        "u1" | "b1" => Values::Bytes(data.to_vec()),
        "i1" => Values::Floats(
            data.iter()
                .map(|byte| f64::from(byte.cast_signed()))
                .collect(),
        ),
        "u2" => Values::Floats(decode(data, big, |b| f64::from(u16::from_le_bytes(b)))),
        "i2" => Values::Floats(decode(data, big, |b| f64::from(i16::from_le_bytes(b)))),
        "f2" => Values::Floats(decode(data, big, |b| half(u16::from_le_bytes(b)))),
        "u4" => Values::Floats(decode(data, big, |b| f64::from(u32::from_le_bytes(b)))),
        "i4" => Values::Floats(decode(data, big, |b| f64::from(i32::from_le_bytes(b)))),
        "f4" => Values::Floats(decode(data, big, |b| f64::from(f32::from_le_bytes(b)))),
        "u8" => Values::Floats(decode(data, big, |b| u64::from_le_bytes(b) as f64)),
        "i8" => Values::Floats(decode(data, big, |b| i64::from_le_bytes(b) as f64)),
        _ => Values::Floats(decode(data, big, f64::from_le_bytes)),
    })
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn halves_are_what_the_standard_says() {
        // IEEE 754-2019, binary16: one, minus two, the largest, the smallest normal and the smallest.
        let known = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0400, 2_f64.powi(-14)),
            (0x0001, 2_f64.powi(-24)),
            (0x8000, 0.0),
            (0xfc00, f64::NEG_INFINITY),
        ];
        assert!(known.iter().all(|(bits, value)| half(*bits) == *value));
        assert!(half(0x7e00).is_nan());
    }
}
