//! Damage as it happens to files: bytes replaced, cut, doubled, and swapped with pieces of other files.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Changes of one file at most.
const CHANGES_MAX: u32 = 6;

/// A healthy file with one change or a few; pieces of the other one may come into it.
pub(crate) fn damaged(healthy: &[u8], other: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = healthy.to_vec();
    for _ in 0..rng.random_range(1..=CHANGES_MAX) {
        let len = bytes.len().max(1);
        let start = rng.random_range(0..len);
        let end = (start + rng.random_range(1..=32)).min(bytes.len());
        match rng.random_range(0..7) {
            0 if start < bytes.len() => bytes[start] = rng.random(),
            1 if start < bytes.len() => bytes[start] ^= 1 << rng.random_range(0..8),
            2 => bytes.truncate(start),
            3 if start < end => drop(bytes.drain(start..end)),
            4 if start < end => {
                let again = bytes[start..end].to_vec();
                bytes.splice(start..start, again);
            }
            5 => {
                let from = rng.random_range(0..other.len());
                let piece = other[from..(from + 16).min(other.len())].to_vec();
                let place = start.min(bytes.len());
                bytes.splice(place..place, piece);
            }
            _ => {
                let odd: [&[u8]; 6] = [b"\"", b"\n", b",", b"nan", b"1e999", b"\xff\xfe"];
                let place = start.min(bytes.len());
                bytes.splice(
                    place..place,
                    odd[rng.random_range(0..odd.len())].iter().copied(),
                );
            }
        }
    }
    bytes
}
