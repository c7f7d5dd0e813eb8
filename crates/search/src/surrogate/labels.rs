//! How alike two architectures are by the neighbourhoods that they share.
//!
//! Each layer has a label; in each round it becomes the label of itself and those of what it reads. A
//! product of the counts of all labels is a kernel: positive definite by construction, without any
//! alignment.
//!
//! Source: Shervashidze et al. 2011, Weisfeiler–Lehman subtree kernel; on architectures Ru, Wan, Dong,
//! Osborne 2021 (arXiv:2006.07556).

use std::hash::{DefaultHasher, Hash, Hasher};

use morph::{Architecture, Layer};

/// Rounds of relabelling whose kernels are offered: none, one, two.
pub(crate) const DEPTHS: usize = 3;

/// How often each label occurs, by round.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Labels {
    /// Ordered by label.
    counts: [Vec<(u64, f64)>; DEPTHS],
    /// Sums of squares of the counts of all rounds up to each.
    squares: [f64; DEPTHS],
}

impl Labels {
    /// Labels every layer.
    ///
    /// # Cost
    /// `O(connections)` hashes in each round.
    pub(crate) fn of(architecture: &Architecture) -> Labels {
        let mut labels: Vec<u64> = architecture
            .nodes()
            .iter()
            .map(|node| hash(first_label(&node.layer), &[]))
            .collect();
        let mut counts: [Vec<(u64, f64)>; DEPTHS] = Default::default();
        counts[0] = count(&labels);
        for round in &mut counts[1..] {
            let before = labels.clone();
            for (id, label) in architecture.ids().zip(&mut labels) {
                let read = architecture.inputs(id).iter();
                let mut read: Vec<u64> = read.map(|input| before[input.index()]).collect();
                read.sort_unstable();
                *label = hash(*label, &read);
            }
            *round = count(&labels);
        }
        let mut sum = 0.0;
        let squares = std::array::from_fn(|round| {
            sum += product(&counts[round], &counts[round]);
            sum
        });
        Labels { counts, squares }
    }

    /// Normalised kernels by number of rounds: 1 for the same, 0 for nothing in common.
    pub(crate) fn alike(&self, other: &Labels) -> [f64; DEPTHS] {
        let mut sum = 0.0;
        std::array::from_fn(|round| {
            sum += product(&self.counts[round], &other.counts[round]);
            sum / (self.squares[round] * other.squares[round]).sqrt()
        })
    }
}

/// What a layer does: its kind, and the sizes of a kernel or window. Widths are left to the distance, which
/// knows near from far.
fn first_label(layer: &Layer) -> (&'static str, [u8; 3]) {
    let sizes = match layer {
        Layer::Conv { kernel, .. } | Layer::DepthwiseConv { kernel } => {
            [kernel.size(), kernel.stride(), kernel.dilation()]
        }
        Layer::MaxPool { window } | Layer::AvgPool { window } => {
            [window.size(), window.stride(), 1]
        }
        _ => [0; 3],
    };
    (layer.kind(), sizes)
}

fn count(labels: &[u64]) -> Vec<(u64, f64)> {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    let runs = labels.chunk_by(|a, b| a == b);
    runs.map(|run| (run[0], run.len() as f64)).collect()
}

/// Sum over labels that both have.
fn product(one: &[(u64, f64)], other: &[(u64, f64)]) -> f64 {
    let (mut sum, mut place) = (0.0, 0);
    for (label, times) in one {
        while other.get(place).is_some_and(|(next, _)| next < label) {
            place += 1;
        }
        match other.get(place) {
            Some((next, others)) if next == label => sum += times * others,
            Some(_) => {}
            None => break,
        }
    }
    sum
}

/// Labels never leave the process, so that it need not be the same for every version of the compiler.
fn hash(own: impl Hash, read: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (own, read).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        Labels::of(&text.parse().unwrap())
    }

    const ONE: &str = "in 3x8x8 | conv 8 k3 | relu | conv 8 k3 | relu | gap | dense 4";

    #[test]
    fn the_same_is_1_and_less_is_less() {
        let one = labels(ONE);
        let wider = labels(&ONE.replace("conv 8", "conv 16"));
        let other = labels(&ONE.replace("k3 | relu | gap", "k5 | relu | gap"));
        let another = labels("in 3x8x8 | flatten | dense 20 | gelu | dense 4");
        assert_eq!(one.alike(&one), [1.0; DEPTHS]);
        assert_eq!(one.alike(&wider), [1.0; DEPTHS]);
        for depth in 0..DEPTHS {
            let [near, far] = [&other, &another].map(|labels| one.alike(labels)[depth]);
            assert!(
                1.0 > near && near > far && far > 0.0,
                "{depth}: {near} {far}"
            );
        }
        // The deeper one looks, the fewer neighbourhoods agree.
        let alike = one.alike(&other);
        assert!(alike.is_sorted_by(|a, b| a > b), "{alike:?}");
    }

    #[test]
    fn without_rounds_it_counts_layers() {
        let two = labels("in 4 | dense 8 | relu | dense 8 | relu | dense 2");
        let three = labels("in 4 | dense 8 | relu | dense 8 | relu | dense 8 | relu | dense 2");
        // in, dense, relu, out: (1, 3, 2, 1) and (1, 4, 3, 1).
        let expected = (1.0 + 12.0 + 6.0 + 1.0) / (15.0_f64 * 27.0).sqrt();
        assert!((two.alike(&three)[0] - expected).abs() < 1e-12);
    }

    #[test]
    fn sides_of_an_addition_may_be_swapped() {
        let text = "in 4 | a: dense 4 | relu | b: dense 4 | add a b | dense 2";
        assert_eq!(labels(text), labels(&text.replace("add a b", "add b a")));
    }
}
