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

/// How an NPY file begins.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

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

/// What an NPY file holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Saved {
    Numbers(Array),
    Words(Vec<String>),
}

impl Saved {
    /// How many values it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Saved::Numbers(array) => array.shape.iter().product(),
            Saved::Words(words) => words.len(),
        }
    }

    /// Its numbers.
    ///
    /// # Errors
    /// If it holds words.
    pub(crate) fn numbers(self, path: &Path, name: &str) -> Result<Array, DataError> {
        match self {
            Saved::Numbers(array) => Ok(array),
            Saved::Words(_) => {
                let problem = format!("array `{name}`: it holds text, where numbers are needed");
                Err(malformed(path, problem))
            }
        }
    }
}

/// The arrays of an NPZ file, by name.
pub(crate) fn read_npz(
    path: &Path,
    limits: &ReadLimits,
) -> Result<Vec<(String, Saved)>, DataError> {
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
            limit: limits.bytes_said(),
        })?;
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
) -> Result<Saved, DataError> {
    let wrong = |problem: String| malformed(path, format!("array `{name}`: {problem}"));
    let (header, data) = split_header(bytes).ok_or_else(|| wrong("it is no NPY array".into()))?;
    let kind = field(header, "descr").ok_or_else(|| wrong("its type is not said".into()))?;
    let kind = kind.trim_matches(|letter| letter == '\'' || letter == '"');
    if kind.contains('O') {
        let problem = "it holds Python objects, which would have to be executed: save numbers";
        return Err(wrong(problem.into()));
    }
    let shape = shape(header).ok_or_else(|| wrong("its shape cannot be read".into()))?;
    let count = shape
        .iter()
        .try_fold(1_usize, |count, extent| count.checked_mul(*extent));
    let count = count
        .filter(|count| *count as u64 <= limits.bytes_max)
        .ok_or_else(|| wrong(format!("its shape {shape:?} is beyond all limits")))?;
    let is_first_fastest = field(header, "fortran_order") == Some("True");
    if kind.contains(['U', 'S']) {
        let words = words(kind, count, data).map_err(wrong)?;
        return Ok(Saved::Words(match is_first_fastest {
            true => last_fastest(&shape, &words),
            false => words,
        }));
    }
    let values = match (is_first_fastest, numbers(kind, count, data).map_err(wrong)?) {
        (false, values) => values,
        (true, Values::Bytes(bytes)) => Values::Bytes(last_fastest(&shape, &bytes)),
        (true, Values::Floats(values)) => Values::Floats(last_fastest(&shape, &values)),
    };
    Ok(Saved::Numbers(Array { shape, values }))
}

/// The values of an array in Fortran's order, whose first extent runs fastest, in C's.
fn last_fastest<T: Clone>(shape: &[usize], values: &[T]) -> Vec<T> {
    let strides: Vec<usize> = (0..shape.len())
        .map(|axis| shape[..axis].iter().product())
        .collect();
    let mut at = vec![0; shape.len()];
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        let place: usize = at
            .iter()
            .zip(&strides)
            .map(|(at, stride)| at * stride)
            .sum();
        ordered.push(values[place].clone());
        for (at, extent) in at.iter_mut().zip(shape).rev() {
            *at += 1;
            if *at < *extent {
                break;
            }
            *at = 0;
        }
    }
    ordered
}

/// Words of a fixed number of letters, the rest of which is zeros.
fn words(kind: &str, count: usize, data: &[u8]) -> Result<Vec<String>, String> {
    let at = kind.find(['U', 'S']).unwrap_or(0);
    let (order, kind) = kind.split_at(at);
    let (letter, letters) = kind.split_at(1);
    let letters = letters.parse::<usize>().ok().filter(|letters| *letters > 0);
    let letters = letters.ok_or_else(|| format!("its type `{order}{kind}` has no letters"))?;
    let width = if letter == "U" { 4 } else { 1 };
    let needed = letters
        .checked_mul(width)
        .and_then(|width| width.checked_mul(count));
    let data = needed
        .and_then(|needed| data.get(..needed))
        .ok_or_else(|| {
            format!(
                "its shape needs {count} words of {letters} letters, {} bytes are there",
                data.len()
            )
        })?;
    let code = |bytes: &[u8]| match *bytes {
        [a, b, c, d] if order == ">" => u32::from_be_bytes([a, b, c, d]),
        [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
        // Bytes are Latin-1 where nothing else is said.
        [byte, ..] => u32::from(byte),
        [] => 0,
    };
    let word = |bytes: &[u8]| -> Option<String> {
        let word: Option<String> = bytes
            .chunks_exact(width)
            .map(|b| char::from_u32(code(b)))
            .collect();
        Some(word?.trim_end_matches('\0').to_string())
    };
    let words: Option<Vec<String>> = data.chunks_exact(letters * width).map(word).collect();
    words.ok_or_else(|| "it holds what is no letter".to_string())
}

fn split_header(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
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
    use super::*;

    fn array(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Result<Saved, String> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.bytes());
        bytes.extend(data);
        parse(Path::new("a.npy"), "a", &bytes, &ReadLimits::default())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_array_in_the_order_of_fortran_is_the_same_array() {
        // numpy.arange(12).reshape(2, 3, 2) in both orders.
        let in_c: Vec<u8> = (0..12).collect();
        let in_fortran = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11];
        let one = array("|u1", "False", "2, 3, 2", &in_c).unwrap();
        let other = array("|u1", "True", "2, 3, 2", &in_fortran).unwrap();
        assert_eq!(one, other);
    }

    #[test]
    fn words_are_read_in_both_orders_of_bytes_and_of_any_length() {
        let little: Vec<u8> = "catdo\0"
            .chars()
            .flat_map(|c| u32::from(c).to_le_bytes())
            .collect();
        let big: Vec<u8> = "catdo\0"
            .chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect();
        let expected = Saved::Words(vec!["cat".into(), "do".into()]);
        assert_eq!(array("<U3", "False", "2,", &little).unwrap(), expected);
        assert_eq!(array(">U3", "False", "2,", &big).unwrap(), expected);
        assert_eq!(array("|S3", "False", "2,", b"catdo\0").unwrap(), expected);
        for (kind, data) in [
            ("<U0", &b""[..]),
            ("<U99999999999999999999", b""),
            ("<U3", b"cat"),
            ("<U1", &[255; 8]),
        ] {
            let refused = array(kind, "False", "2,", data).unwrap_err();
            assert!(refused.contains("array `a`: it"), "{kind}: {refused}");
        }
    }

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
