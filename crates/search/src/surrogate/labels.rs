//! How far two architectures are apart by the neighbourhoods that they have.
//!
//! Each layer has a label; in each round it becomes the label of itself and those of what it reads. How
//! often each label occurs is a vector, so that what falls with its distance as a Gaussian is positive
//! definite by construction, without any alignment.
//!
//! Source: Shervashidze et al. 2011, Weisfeiler–Lehman subtrees; on architectures Ru, Wan, Dong, Osborne
//! 2021 (arXiv:2006.07556), where the product of the counts is the kernel. Decision 0029 says why not here.

use std::hash::{DefaultHasher, Hash, Hasher};

use morph::{Architecture, Layer};

/// Rounds of relabelling whose distances are offered: none, one, two.
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

    /// Squared distances of the counts by number of rounds, those of earlier rounds included: 0 for the same.
    pub(crate) fn distances(&self, other: &Labels) -> [f64; DEPTHS] {
        let mut shared = 0.0;
        std::array::from_fn(|round| {
            shared += product(&self.counts[round], &other.counts[round]);
            self.squares[round] + other.squares[round] - 2.0 * shared
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
    use std::collections::BTreeSet;

    use super::*;

    fn labels(text: &str) -> Labels {
        Labels::of(&text.parse().unwrap())
    }

    const ONE: &str = "in 3x8x8 | conv 8 k3 | relu | conv 8 k3 | relu | gap | dense 4";

    #[test]
    fn what_has_less_in_common_is_farther_apart() {
        let one = labels(ONE);
        let wider = labels(&ONE.replace("conv 8", "conv 16"));
        let other = labels(&ONE.replace("k3 | relu | gap", "k5 | relu | gap"));
        let another = labels("in 3x8x8 | flatten | dense 20 | gelu | dense 4");
        assert_eq!(one.distances(&one), [0.0; DEPTHS]);
        assert_eq!(one.distances(&wider), [0.0; DEPTHS]);
        for depth in 0..DEPTHS {
            let [near, far] = [&other, &another].map(|labels| one.distances(labels)[depth]);
            assert!(0.0 < near && near < far, "{depth}: {near} {far}");
        }
        // The deeper one looks, the fewer neighbourhoods agree.
        let distances = one.distances(&other);
        assert!(distances.is_sorted_by(|a, b| a < b), "{distances:?}");
    }

    /// Every label that one of both has, looked for in both.
    fn slow_distance(one: &Labels, other: &Labels, depth: usize) -> f64 {
        let times = |labels: &Labels, round: usize, label: u64| {
            let found = labels.counts[round].iter().find(|(own, _)| *own == label);
            found.map_or(0.0, |(_, times)| *times)
        };
        let of_round = |round: usize| {
            let both = one.counts[round].iter().chain(&other.counts[round]);
            let met: BTreeSet<u64> = both.map(|(label, _)| *label).collect();
            let apart = |label: u64| times(one, round, label) - times(other, round, label);
            met.into_iter()
                .map(|label| apart(label).powi(2))
                .sum::<f64>()
        };
        (0..=depth).map(of_round).sum()
    }

    #[test]
    fn distances_agree_with_counting_label_by_label() {
        let texts = [
            ONE,
            "in 3x8x8 | conv 8 k3 | relu | gap | dense 4",
            "in 3x8x8 | conv 8 k5 | relu | a: conv 8 k3 | relu | b: conv 8 k1 | add a b | gap | dense 4",
            "in 3x8x8 | flatten | dense 20 | gelu | dense 4",
        ];
        for (one, other) in texts
            .iter()
            .flat_map(|one| texts.iter().map(move |other| (one, other)))
        {
            let (one, other) = (labels(one), labels(other));
            let slow = std::array::from_fn(|depth| slow_distance(&one, &other, depth));
            assert_eq!(one.distances(&other), slow);
        }
    }

    #[test]
    fn without_rounds_it_counts_layers() {
        let two = labels("in 4 | dense 8 | relu | dense 8 | relu | dense 2");
        let three = labels("in 4 | dense 8 | relu | dense 8 | relu | dense 8 | relu | dense 2");
        // in, dense, relu, out: (1, 3, 2, 1) and (1, 4, 3, 1).
        assert_eq!(two.distances(&three)[0], 2.0);
    }

    #[test]
    fn sides_of_an_addition_may_be_swapped() {
        let text = "in 4 | a: dense 4 | relu | b: dense 4 | add a b | dense 2";
        assert_eq!(labels(text), labels(&text.replace("add a b", "add b a")));
    }
}
