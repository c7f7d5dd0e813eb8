//! Files of NumPy for the tests, written byte by byte.

/// An NPY file of version 1 with 64-bit floats.
pub(crate) fn npy(shape: &[usize], values: &[f64]) -> Vec<u8> {
    file(
        "<f8",
        shape,
        values.iter().flat_map(|value| value.to_le_bytes()),
    )
}

/// The same with words of at most eight letters.
#[allow(dead_code)] // Not all tests that share these files need it.
pub(crate) fn npy_of_words(words: &[&str]) -> Vec<u8> {
    let letters = words.iter().flat_map(|word| {
        let padded = word.chars().chain(std::iter::repeat('\0')).take(8);
        padded.flat_map(|letter| u32::from(letter).to_le_bytes())
    });
    file("<U8", &[words.len()], letters)
}

fn file(kind: &str, shape: &[usize], data: impl Iterator<Item = u8>) -> Vec<u8> {
    let extents: String = shape.iter().map(|extent| format!("{extent}, ")).collect();
    let mut header =
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({extents}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    bytes
}
