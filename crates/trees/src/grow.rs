//! A tree, leaf by leaf: the leaf whose best question gains most is cut next.
//!
//! The histogram of the larger half is the parent's less that of the smaller half, so only the smaller
//! half of the rows is counted, unless histograms are too large to be kept.

use crate::{
    bins::{Binned, ColumnBins, MISSING},
    boost::Settings,
    split::{Split, Sums, best_split},
    tree::{Node, Question, Tree},
};

/// What the rows of one tree are pulled by.
#[derive(Clone, Copy)]
pub(crate) struct Pull<'a> {
    /// First derivatives of the loss, one per row.
    pub(crate) gradients: &'a [f32],
    /// Second derivatives, one per row.
    pub(crate) curvatures: &'a [f32],
}

/// Bytes of all leaves' histograms: where they would take more, none is kept.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// Sums of every bin of every column, one after the other; the gaps of a column at its end.
type Histogram = Vec<Sums>;

struct Leaf {
    /// Where it stands in the tree.
    node: usize,
    /// Which part of `rows` is its own.
    start: usize,
    end: usize,
    sums: Sums,
    /// Empty if it is not kept.
    histogram: Histogram,
    best: Option<(u32, Split)>,
}

/// What grows a tree, and what is kept from tree to tree.
pub(crate) struct Grower<'a> {
    bins: &'a [ColumnBins],
    table: &'a Binned,
    settings: &'a Settings,
    /// Rows that weigh something.
    counted: Vec<u32>,
    /// Where each column's bins begin in a histogram, and where the last one ends.
    offsets: Vec<usize>,
    /// Rows, those of a leaf side by side.
    rows: Vec<u32>,
    moved: Vec<u32>,
}

impl<'a> Grower<'a> {
    pub(crate) fn new(
        bins: &'a [ColumnBins],
        table: &'a Binned,
        weights: &[f32],
        settings: &'a Settings,
    ) -> Grower<'a> {
        let weighs = |row: &u32| {
            weights
                .get(*row as usize)
                .is_none_or(|weight| *weight > 0.0)
        };
        let mut offsets = vec![0];
        for bins in bins {
            offsets.push(offsets[offsets.len() - 1] + bins.count() + 1);
        }
        Grower {
            bins,
            table,
            settings,
            counted: (0..table.rows as u32).filter(weighs).collect(),
            offsets,
            rows: Vec::new(),
            moved: Vec::new(),
        }
    }

    /// Grows one tree, and adds what it says to the outputs of the training rows that weigh something.
    pub(crate) fn grow(&mut self, pull: Pull<'_>, outputs: &mut [f64]) -> Tree {
        self.rows.clone_from(&self.counted);
        let mut nodes = vec![Node::Leaf { value: 0.0 }];
        let histogram = self.histogram(0, self.rows.len(), pull);
        let sums = self.rows.iter().fold(Sums::default(), |mut sums, row| {
            sums.add(
                pull.gradients[*row as usize],
                pull.curvatures[*row as usize],
            );
            sums
        });
        let mut leaves = vec![self.leaf(0, (0, self.rows.len()), sums, histogram)];
        while leaves.len() < self.settings.leaves_max {
            let Some(chosen) = most_gaining(&leaves) else {
                break;
            };
            let leaf = leaves.swap_remove(chosen);
            let halves = self.cut(leaf, pull, &mut nodes);
            leaves.extend(halves);
        }
        for leaf in &leaves {
            let value = self.settings.learning_rate * leaf.sums.value(self.settings.ridge);
            nodes[leaf.node] = Node::Leaf {
                value: value as f32,
            };
            for row in &self.rows[leaf.start..leaf.end] {
                outputs[*row as usize] += f64::from(value as f32);
            }
        }
        Tree { nodes }
    }

    fn leaf(
        &self,
        node: usize,
        (start, end): (usize, usize),
        sums: Sums,
        histogram: Histogram,
    ) -> Leaf {
        let mut best: Option<(u32, Split)> = None;
        for (column, bins) in self.bins.iter().enumerate() {
            let part = &histogram[self.offsets[column]..self.offsets[column + 1]];
            let Some(split) = best_split(bins, part, sums, self.settings) else {
                continue;
            };
            if best.is_none_or(|(_, best)| split.gain > best.gain) {
                best = Some((column as u32, split));
            }
        }
        Leaf {
            node,
            start,
            end,
            sums,
            histogram: match self.keeps_histograms() {
                true => histogram,
                false => Histogram::new(),
            },
            best,
        }
    }

    fn keeps_histograms(&self) -> bool {
        let bytes = self.offsets[self.bins.len()] * size_of::<Sums>();
        bytes.saturating_mul(self.settings.leaves_max) <= KEPT_BYTES_MAX
    }

    fn histogram(&self, start: usize, end: usize, pull: Pull<'_>) -> Histogram {
        let mut all = vec![Sums::default(); self.offsets[self.bins.len()]];
        let rows = &self.rows[start..end];
        for (column, values) in self.table.columns.iter().enumerate() {
            let part = &mut all[self.offsets[column]..self.offsets[column + 1]];
            let gaps = part.len() - 1;
            for row in rows {
                let row = *row as usize;
                let value = values[row];
                let bin = match value {
                    MISSING => gaps,
                    value => usize::from(value),
                };
                part[bin].add(pull.gradients[row], pull.curvatures[row]);
            }
        }
        all
    }

    /// Cuts a leaf by its best question into two.
    fn cut(&mut self, leaf: Leaf, pull: Pull<'_>, nodes: &mut Vec<Node>) -> [Leaf; 2] {
        let (column, split) = leaf.best.expect("only a leaf with a question is cut");
        let middle = self.part(&leaf, column as usize, split.question);
        let (left, right) = (nodes.len(), nodes.len() + 1);
        nodes[leaf.node] = Node::Fork {
            column,
            question: split.question,
            left: left as u32,
            right: right as u32,
        };
        nodes.extend([Node::Leaf { value: 0.0 }; 2]);
        let is_left_smaller = middle - leaf.start <= leaf.end - middle;
        let (small, large) = match is_left_smaller {
            true => ((leaf.start, middle), (middle, leaf.end)),
            false => ((middle, leaf.end), (leaf.start, middle)),
        };
        let smaller = self.histogram(small.0, small.1, pull);
        let larger = match leaf.histogram.is_empty() {
            true => self.histogram(large.0, large.1, pull),
            false => less(leaf.histogram, &smaller),
        };
        let (of_left, of_right) = match is_left_smaller {
            true => (smaller, larger),
            false => (larger, smaller),
        };
        [
            self.leaf(left, (leaf.start, middle), split.left, of_left),
            self.leaf(right, (middle, leaf.end), split.right, of_right),
        ]
    }

    /// Brings the rows that go to the left before the others; returns where the others begin.
    fn part(&mut self, leaf: &Leaf, column: usize, question: Question) -> usize {
        let values = &self.table.columns[column];
        self.moved.clear();
        let mut kept = leaf.start;
        for index in leaf.start..leaf.end {
            let row = self.rows[index];
            if question.goes_left(values[row as usize]) {
                self.rows[kept] = row;
                kept += 1;
            } else {
                self.moved.push(row);
            }
        }
        self.rows[kept..leaf.end].copy_from_slice(&self.moved);
        kept
    }
}

/// What is left of a histogram without some of its rows.
fn less(mut histogram: Histogram, without: &[Sums]) -> Histogram {
    for (sums, without) in histogram.iter_mut().zip(without) {
        *sums = sums.minus(*without);
    }
    histogram
}

/// The leaf whose best question gains most; the first among equals.
fn most_gaining(leaves: &[Leaf]) -> Option<usize> {
    let gains = leaves
        .iter()
        .enumerate()
        .filter_map(|(index, leaf)| Some((index, leaf.best?.1.gain)));
    let best = gains.reduce(|best, other| if other.1 > best.1 { other } else { best });
    best.map(|(index, _)| index)
}
