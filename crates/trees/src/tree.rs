//! Trees that are grown, and what they say of rows.

use std::{collections::BTreeSet, ops::Range};

use serde::{Deserialize, Serialize};

use crate::{
    bins::{Binned, ColumnBins, MISSING, apply_all},
    table::Table,
};

/// So many rows go through one tree before the next: their bins stay near, and so does the tree.
const BLOCK_ROWS: usize = 1024;

/// Bins as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BinSet([u64; 4]);

impl BinSet {
    pub(crate) fn insert(&mut self, bin: u8) {
        self.0[usize::from(bin / 64)] |= 1 << (bin % 64);
    }

    pub(crate) fn contains(self, bin: u8) -> bool {
        self.0[usize::from(bin / 64)] >> (bin % 64) & 1 == 1
    }
}

/// Which rows go to the left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Question {
    /// Those whose bin is at most this, and those without a value if `missing` says so.
    AtMost { bin: u8, missing: Side },
    /// Those whose bin is one of these.
    OneOf { bins: BinSet },
}

/// Where rows without a value go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Left,
    Right,
}

impl Question {
    pub(crate) fn goes_left(self, value: u8) -> bool {
        match self {
            Question::AtMost { missing, .. } if value == MISSING => missing == Side::Left,
            Question::AtMost { bin, .. } => value <= bin,
            Question::OneOf { bins } => bins.contains(value),
        }
    }
}

/// A place in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Node {
    /// The end: what is added to the row's output.
    Leaf { value: f32 },
    /// A question, and the places of the rows for which it is true and false.
    Fork {
        column: u32,
        question: Question,
        left: u32,
        right: u32,
    },
}

/// One tree; its root is the first node, and children stand behind their parent, so that every way ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Node>", into = "Vec<Node>")]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
}

impl TryFrom<Vec<Node>> for Tree {
    type Error = String;

    fn try_from(nodes: Vec<Node>) -> Result<Tree, String> {
        if nodes.is_empty() {
            return Err("a tree has no nodes; it has a root at least".to_string());
        }
        for (place, node) in nodes.iter().enumerate() {
            let Node::Fork { left, right, .. } = node else {
                continue;
            };
            let is_behind = |child: &u32| (place + 1..nodes.len()).contains(&(*child as usize));
            if !is_behind(left) || !is_behind(right) {
                return Err(format!(
                    "node {place} of a tree has the children {left} and {right}; they stand behind it, and \
                     there are {} nodes",
                    nodes.len()
                ));
            }
        }
        Ok(Tree { nodes })
    }
}

impl From<Tree> for Vec<Node> {
    fn from(tree: Tree) -> Vec<Node> {
        tree.nodes
    }
}

impl Tree {
    /// What it says of a row.
    pub(crate) fn value(&self, table: &Binned, row: usize) -> f32 {
        let mut place = 0;
        loop {
            match self.nodes[place] {
                Node::Leaf { value } => return value,
                Node::Fork {
                    column,
                    question,
                    left,
                    right,
                } => {
                    let value = table.columns[column as usize][row];
                    place = match question.goes_left(value) {
                        true => left,
                        false => right,
                    } as usize;
                }
            }
        }
    }
}

/// Many trees that add up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Ensemble {
    pub(crate) bins: Vec<ColumnBins>,
    /// What stands before the first tree, one per sequence of trees.
    pub(crate) base: Vec<f64>,
    /// `[rounds][sequences]`.
    pub(crate) rounds: Vec<Vec<Tree>>,
    /// How many values are given for a row.
    pub(crate) outputs: usize,
}

/// An ensemble as it stands in a file.
#[derive(Deserialize)]
struct Written {
    bins: Vec<ColumnBins>,
    base: Vec<f64>,
    rounds: Vec<Vec<Tree>>,
    outputs: usize,
}

impl TryFrom<Written> for Ensemble {
    type Error = String;

    fn try_from(written: Written) -> Result<Ensemble, String> {
        let Written {
            bins,
            base,
            rounds,
            outputs,
        } = written;
        let sequences = base.len();
        let is_usual = sequences > 0 && sequences == outputs;
        if !is_usual && (sequences, outputs) != (1, 2) {
            return Err(format!(
                "{sequences} sequences of trees cannot give {outputs} outputs; there is one for each, or \
                 one for two classes"
            ));
        }
        if let Some(trees) = rounds.iter().find(|trees| trees.len() != sequences) {
            return Err(format!(
                "a round has {} trees; there are {sequences} sequences of them",
                trees.len()
            ));
        }
        match asked(&rounds).max() {
            Some(last) if last >= bins.len() => Err(format!(
                "a tree asks for column {last}, counted from 0; there are {}",
                bins.len()
            )),
            _ => Ok(Ensemble {
                bins,
                base,
                rounds,
                outputs,
            }),
        }
    }
}

/// The columns that trees ask for, as often as they do.
fn asked(rounds: &[Vec<Tree>]) -> impl Iterator<Item = usize> {
    let nodes = rounds.iter().flatten().flat_map(|tree| &tree.nodes);
    nodes.filter_map(|node| match node {
        Node::Leaf { .. } => None,
        Node::Fork { column, .. } => Some(*column as usize),
    })
}

impl Ensemble {
    /// The same without the cuts of columns that no tree asks for, most of them where there are thousands.
    pub(crate) fn without_unasked(mut self) -> Ensemble {
        let asked: BTreeSet<usize> = asked(&self.rounds).collect();
        for (column, bins) in self.bins.iter_mut().enumerate() {
            if let ColumnBins::Numbers { cuts } = bins
                && !asked.contains(&column)
            {
                *cuts = Vec::new();
            }
        }
        self
    }

    /// How many rounds of trees there are.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// What is said of each row: logits of the classes, or a value.
    ///
    /// # Shapes
    /// `[rows][outputs]`.
    /// # Errors
    /// None; columns of another kind than those it was fitted on count as missing, and so do those that the
    /// table lacks.
    /// # Cost
    /// `O(rows · trees · depth)`.
    pub fn outputs(&self, table: &Table) -> Vec<f32> {
        let binned = apply_all(&self.bins, table);
        // Two classes share one sequence of trees: the logit of the first is 0.
        let first = self.outputs - self.base.len();
        let mut outputs = vec![0.0; binned.rows * self.outputs];
        for start in (0..binned.rows).step_by(BLOCK_ROWS) {
            let rows = start..binned.rows.min(start + BLOCK_ROWS);
            for (sequence, base) in self.base.iter().enumerate() {
                let sums = self.sums(&binned, rows.clone(), sequence);
                for (row, sum) in rows.clone().zip(sums) {
                    outputs[row * self.outputs + first + sequence] = (base + sum) as f32;
                }
            }
        }
        outputs
    }

    /// What the trees of a sequence add to each of these rows.
    fn sums(&self, binned: &Binned, rows: Range<usize>, sequence: usize) -> Vec<f64> {
        let mut sums = vec![0.0; rows.len()];
        for trees in &self.rounds {
            for (sum, row) in sums.iter_mut().zip(rows.clone()) {
                *sum += f64::from(trees[sequence].value(binned, row));
            }
        }
        sums
    }
}
