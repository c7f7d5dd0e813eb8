//! The name of an architecture that does not depend on how its layers are numbered.
//!
//! Each layer gets a hash of everything it reads (bottom-up), then of everything that reads it
//! (top-down); the sorted hashes of all layers make the hash of the whole. This is one round up and
//! one round down of the colour refinement of Weisfeiler and Leman (1968) on a directed graph.
//! Isomorphic graphs always agree. Two different ones could agree only if refinement cannot tell
//! them apart; no distance between architectures is said here.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    architecture::{Architecture, LayerId},
    layer::{Kernel, Layer},
    shape::Shape,
};

/// Goes into every hash; a change of the encoding below needs another one.
const CONTEXT: &str = "lehr architecture hash 1";

/// 32 bytes that isomorphic architectures share; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArchitectureHash([u8; 32]);

/// Why a text is no [`ArchitectureHash`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{text}` is no architecture hash: it has 64 hexadecimal digits")]
pub struct HashError {
    /// What was given, at most its first 80 characters.
    pub text: String,
}

impl ArchitectureHash {
    /// The hash itself.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Architecture {
    /// The same for an architecture with its layers renumbered, or with the two sides of an
    /// addition swapped; another one for all that differ otherwise, as far as the refinement
    /// described above can tell.
    ///
    /// # Cost
    /// `O(layers + connections)` hashes of about 100 bytes.
    pub fn canonical_hash(&self) -> ArchitectureHash {
        let reads = self.hashes_of_reads();
        let mut whole = self.hashes_with_readers(&reads);
        whole.sort_unstable();
        ArchitectureHash(digest(&[b"architecture"], &whole))
    }

    /// For each layer: its own settings and, recursively, those of all that it reads.
    fn hashes_of_reads(&self) -> Vec<[u8; 32]> {
        let mut hashes: Vec<[u8; 32]> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let mut inputs: Vec<[u8; 32]> = node
                .inputs
                .iter()
                .map(|input| hashes[input.index()])
                .collect();
            if commutes(&node.layer) {
                inputs.sort_unstable();
            }
            hashes.push(digest(
                &[node.layer.kind().as_bytes(), &settings(&node.layer)],
                &inputs,
            ));
        }
        hashes
    }

    /// For each layer: what it reads and, recursively, who reads it and at which place.
    fn hashes_with_readers(&self, reads: &[[u8; 32]]) -> Vec<[u8; 32]> {
        let mut readers: Vec<Vec<[u8; 32]>> = vec![Vec::new(); reads.len()];
        let mut hashes = vec![[0; 32]; reads.len()];
        for id in self.ids().rev() {
            readers[id.index()].sort_unstable();
            let hash = digest(&[b"layer", &reads[id.index()]], &readers[id.index()]);
            hashes[id.index()] = hash;
            for (place, input) in self.inputs(id).iter().enumerate() {
                readers[input.index()].push(self.reading(id, place, &hash));
            }
        }
        hashes
    }

    fn reading(&self, reader: LayerId, place: usize, hash: &[u8; 32]) -> [u8; 32] {
        let place = if commutes(self.layer(reader)) {
            0
        } else {
            place as u64
        };
        digest(&[b"reading", &place.to_le_bytes()], &[*hash])
    }
}

/// Whether its two sides are the same place. Where the second factor of a product is flat, the shapes say
/// which it is.
fn commutes(layer: &Layer) -> bool {
    matches!(layer, Layer::Add | Layer::Multiply)
}

/// What tells two layers of one kind apart, in a form that never changes.
fn settings(layer: &Layer) -> Vec<u8> {
    let numbers: Vec<u32> = match layer {
        Layer::Input { shape } => match *shape {
            Shape::Flat { features } => vec![features],
            Shape::Sequence { channels, length } => vec![channels, length],
            Shape::Image {
                channels,
                height,
                width,
            } => vec![channels, height, width],
        },
        Layer::Dense { units } => vec![*units],
        Layer::Conv { channels, kernel } => [vec![*channels], taps(*kernel)].concat(),
        Layer::DepthwiseConv { kernel } => taps(*kernel),
        Layer::MaxPool { window } | Layer::AvgPool { window } => {
            vec![u32::from(window.size()), u32::from(window.stride())]
        }
        Layer::Dropout { rate } => vec![u32::from(rate.thousandths())],
        Layer::Slice { first, count } => vec![*first, *count],
        Layer::Embedding { codes, width } => vec![*codes, *width],
        Layer::Periodic { frequencies } => vec![*frequencies],
        Layer::Attention { heads } => vec![*heads],
        Layer::BatchNorm
        | Layer::LayerNorm
        | Layer::Relu
        | Layer::Gelu
        | Layer::Silu
        | Layer::Sigmoid
        | Layer::Position
        | Layer::Multiply
        | Layer::GlobalAvgPool
        | Layer::Flatten
        | Layer::Add
        | Layer::Concat
        | Layer::Output => Vec::new(),
    };
    numbers.into_iter().flat_map(u32::to_le_bytes).collect()
}

/// A dilation counts only where there is one: hashes are older than dilations.
fn taps(kernel: Kernel) -> Vec<u32> {
    let mut numbers = vec![u32::from(kernel.size()), u32::from(kernel.stride())];
    if kernel.dilation() > 1 {
        numbers.push(u32::from(kernel.dilation()));
    }
    numbers
}

/// One hash of parts, each preceded by its length, and of finished hashes.
fn digest(parts: &[&[u8]], hashes: &[[u8; 32]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(&(hashes.len() as u64).to_le_bytes());
    hashes.iter().for_each(|hash| {
        hasher.update(hash);
    });
    *hasher.finalize().as_bytes()
}

impl fmt::Display for ArchitectureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ArchitectureHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ArchitectureHash({self})")
    }
}

impl FromStr for ArchitectureHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<ArchitectureHash, HashError> {
        blake3::Hash::from_hex(text)
            .map(|hash| ArchitectureHash(*hash.as_bytes()))
            .map_err(|_| HashError {
                text: text.chars().take(80).collect(),
            })
    }
}

impl TryFrom<String> for ArchitectureHash {
    type Error = HashError;

    fn try_from(text: String) -> Result<ArchitectureHash, HashError> {
        text.parse()
    }
}

impl From<ArchitectureHash> for String {
    fn from(hash: ArchitectureHash) -> String {
        hash.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> ArchitectureHash {
        text.parse::<Architecture>().unwrap().canonical_hash()
    }

    fn check_same(left: &str, right: &str) {
        assert_eq!(hash(left), hash(right), "{left}\n{right}");
    }

    fn check_different(left: &str, right: &str) {
        assert_ne!(hash(left), hash(right), "{left}\n{right}");
    }

    #[test]
    fn renumbered_layers_and_swapped_sums_keep_the_hash() {
        check_same(
            "in 3x8x8 | a: conv 4 k3 | b: conv 4 k1 (in) | add a b | gap | dense 2",
            "in 3x8x8 | a: conv 4 k1 | b: conv 4 k3 (in) | add a b | gap | dense 2",
        );
        check_same(
            "in 8 | a: dense 4 | b: dense 4 | c: relu (a) | add b c | dense 2",
            "in 8 | a: dense 4 | c: relu | b: dense 4 (a) | add b c | dense 2",
        );
    }

    #[test]
    fn every_setting_counts() {
        let texts = [
            "in 3x8x8 | conv 4 k3 | gap | dense 2",
            "in 3x8x9 | conv 4 k3 | gap | dense 2",
            "in 3x9x8 | conv 4 k3 | gap | dense 2",
            "in 3x8x8 | conv 5 k3 | gap | dense 2",
            "in 3x8x8 | conv 4 k5 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 s2 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | gap | dense 3",
            "in 3x8x8 | conv 4 k3 d2 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 d4 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | relu | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | gelu | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | dropout 0.1 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | dropout 0.2 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | maxpool k2 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | maxpool k2 s1 | gap | dense 2",
            "in 3x8x8 | conv 4 k3 | avgpool k2 | gap | dense 2",
        ];
        for (index, text) in texts.iter().enumerate() {
            texts[..index]
                .iter()
                .for_each(|other| check_different(text, other));
        }
    }

    #[test]
    fn only_a_flat_factor_has_a_side() {
        check_same(
            "in 8 | a: dense 4 | b: relu | mul a b | dense 2",
            "in 8 | a: dense 4 | b: relu | mul b a | dense 2",
        );
    }

    #[test]
    fn the_order_of_a_concatenation_counts() {
        check_different(
            "in 8 | a: dense 4 | b: relu | cat a b | dense 2",
            "in 8 | a: dense 4 | b: relu | cat b a | dense 2",
        );
    }

    #[test]
    fn one_layer_read_twice_is_not_two_equal_layers() {
        check_different(
            "in 8 | a: dense 4 | add a a | dense 2",
            "in 8 | a: dense 4 | b: dense 4 (in) | add a b | dense 2",
        );
    }

    #[test]
    fn who_reads_which_of_two_equal_layers_counts() {
        check_different(
            "in 8 | a: dense 4 | b: dense 4 (in) | c: add a a | d: add b b | cat c d | dense 2",
            "in 8 | a: dense 4 | b: dense 4 (in) | c: add a b | d: add a b | cat c d | dense 2",
        );
    }

    #[test]
    fn the_hash_of_an_old_ledger_is_still_the_same() {
        assert_eq!(
            hash("in 13 | dense 64 | relu | dense 3").to_string(),
            "f00613f5e690b2aa5e119c380488bf279dfb035d60fe7b7ef0bf06c3cd2043e7"
        );
    }

    #[test]
    fn a_hash_is_written_as_64_digits_and_anything_else_is_refused() {
        let hash = hash("in 13 | dense 3");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash}\""));
        assert_eq!(
            serde_json::from_str::<ArchitectureHash>(&json).unwrap(),
            hash
        );
        for text in ["", "12", &"g".repeat(64), &"0".repeat(65), &"é".repeat(32)] {
            let error = text.parse::<ArchitectureHash>().unwrap_err();
            assert!(error.to_string().ends_with("it has 64 hexadecimal digits"));
        }
    }
}
