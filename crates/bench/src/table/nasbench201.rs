//! NAS-Bench-201 (Dong, Yang 2020, arXiv:2001.00326): all 15,625 cells, trained for 200 epochs.
//!
//! A cell has four nodes; each of its six edges is nothing, a skip, a convolution (1×1 or 3×3) or an average
//! pool. The network of an edge list is written down as a graph of one cell: what leads nowhere is left
//! out, a skip adds nothing, sums have no order. So cells that compute the same are the same graph.
//! A search sees the mean validation accuracy and is judged by the test accuracy, both in percent.

use std::path::Path;

use data::{ReadLimits, raw::read_table};
use morph::{Architecture, Kernel, Layer, LayerId, Node, Shape};

use super::{Loaded, Record, Slot, TableError};

/// Channels of the cell: the first of the three stages.
const CHANNELS: u32 = 16;

/// Columns with the validation accuracy of one seed each; the last is empty for half of the cells.
const VALIDATION: [&str; 3] = ["val_acc_0", "val_acc_1", "val_acc_2"];

/// From and to which node each edge leads, in the order of the table.
const EDGES: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)];

pub(super) fn load(folder: &Path, dataset: &str) -> Result<Loaded, TableError> {
    let path = folder.join("nasbench201").join("nasbench201.parquet");
    let wrong = |problem: String| TableError::Content {
        path: path.clone(),
        problem,
    };
    let table = read_table(&path, &ReadLimits::default())?;
    let column = |name: &str| {
        let place = table.header.iter().position(|other| other == name);
        place.ok_or_else(|| wrong(format!("it has no column `{name}`")))
    };
    let (arch, set, test) = (column("arch")?, column("dataset")?, column("test_acc")?);
    let seeds = [
        column(VALIDATION[0])?,
        column(VALIDATION[1])?,
        column(VALIDATION[2])?,
    ];
    let slots = [
        "edge_01", "edge_02", "edge_12", "edge_03", "edge_13", "edge_23",
    ];
    let slots: Vec<Slot> = slots
        .into_iter()
        .map(|name| Slot::unordered(name, 5))
        .collect();
    let mut records = vec![None; 5_usize.pow(6)];
    for row in table
        .rows
        .iter()
        .filter(|row| row[set].to_lowercase() == dataset)
    {
        let place = usize::from_str_radix(&row[arch], 5)
            .ok()
            .filter(|place| *place < records.len())
            .ok_or_else(|| wrong(format!("`{}` is no cell", row[arch])))?;
        let record = record(seeds.map(|seed| row[seed].as_str()), &row[test]);
        let missing = |missing: &str| wrong(format!("cell {} has no {missing}", row[arch]));
        records[place] = Some(record.map_err(missing)?);
    }
    let records: Option<Vec<Record>> = records.into_iter().collect();
    Ok(Loaded {
        name: format!("nasbench201-{dataset}"),
        slots,
        architecture_slots: 6,
        architecture,
        records: records.ok_or_else(|| wrong(format!("it lacks cells for {dataset}")))?,
    })
}

/// The mean over the seeds that are recorded, and the test accuracy; or which of both is missing.
fn record(validation: [&str; 3], test: &str) -> Result<Record, &'static str> {
    let number = |text: &str| text.parse().ok().filter(|value: &f64| value.is_finite());
    let known: Vec<f64> = validation.into_iter().filter_map(number).collect();
    if known.is_empty() {
        return Err("validation accuracy");
    }
    Ok(Record {
        score: known.iter().sum::<f64>() / known.len() as f64,
        judged: number(test).ok_or("test accuracy")?,
    })
}

/// What a node holds: a sum of these, in order. No term is nothing at all.
type Sum = Vec<Term>;

/// A part of a sum.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Term {
    Input,
    Operation { kind: u8, of: Sum },
}

fn architecture(edges: &[u8]) -> Architecture {
    let mut nodes: [Sum; 4] = Default::default();
    nodes[0].push(Term::Input);
    for ((from, to), kind) in EDGES.into_iter().zip(edges) {
        let of = nodes[from].clone();
        match kind {
            0 => {}
            1 => nodes[to].extend(of),
            _ if of.is_empty() => {}
            kind => nodes[to].push(Term::Operation { kind: *kind, of }),
        }
    }
    let mut graph = Graph::default();
    let input = graph.push(Layer::Input { shape: image() }, &[]);
    let [.., output] = nodes;
    let last = match output.is_empty() {
        true => input,
        false => {
            let stem = graph.push(convolution(3), &[input]);
            graph.sum(&output, stem)
        }
    };
    let pooled = graph.push(Layer::GlobalAvgPool, &[last]);
    let logits = graph.push(Layer::Dense { units: 10 }, &[pooled]);
    graph.push(Layer::Output, &[logits]);
    Architecture::new(graph.nodes).expect("every cell is a network")
}

fn image() -> Shape {
    let shape = Shape::Image {
        channels: 3,
        height: 32,
        width: 32,
    };
    assert!(shape.is_legal());
    shape
}

fn convolution(size: u8) -> Layer {
    let kernel = Kernel::new(size, 1).expect("1 and 3 are odd");
    Layer::Conv {
        channels: CHANNELS,
        kernel,
    }
}

/// An average pool of the same extent is not among the layers; the depthwise convolution that would
/// compute it stands for it.
fn operation(kind: u8) -> Layer {
    match kind {
        2 => convolution(1),
        3 => convolution(3),
        _ => Layer::DepthwiseConv {
            kernel: Kernel::new(3, 1).expect("3 is odd"),
        },
    }
}

/// Layers so far; equal ones are one.
#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
}

impl Graph {
    fn push(&mut self, layer: Layer, inputs: &[LayerId]) -> LayerId {
        let node = Node {
            layer,
            inputs: inputs.to_vec(),
        };
        let known = self.nodes.iter().position(|other| *other == node);
        LayerId::at(known.unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        }))
    }

    fn sum(&mut self, terms: &Sum, stem: LayerId) -> LayerId {
        let mut terms = terms.clone();
        terms.sort_unstable();
        let places: Vec<LayerId> = terms.iter().map(|term| self.term(term, stem)).collect();
        let (first, rest) = places.split_first().expect("a sum has a term");
        rest.iter()
            .fold(*first, |sum, term| self.push(Layer::Add, &[sum, *term]))
    }

    fn term(&mut self, term: &Term, stem: LayerId) -> LayerId {
        match term {
            Term::Input => stem,
            Term::Operation { kind, of } => {
                let of = self.sum(of, stem);
                self.push(operation(*kind), &[of])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Dong and Yang 2020, section 2.1, count 6,466: their rule keeps the order in which sums were made. Within
    /// a class here validation accuracies differ by 0.15 to 0.31 points (median of the standard deviations
    /// on the three data sets), seeds of one cell by 0.21 to 0.45.
    #[test]
    fn cells_that_compute_the_same_are_one() {
        let every = (0..15_625_u32).map(|place| {
            let edges = (0..6)
                .rev()
                .map(|digit| (place / 5_u32.pow(digit) % 5) as u8);
            architecture(&edges.collect::<Vec<u8>>()).canonical_hash()
        });
        assert_eq!(every.collect::<BTreeSet<_>>().len(), 4930);
    }

    #[test]
    fn a_cell_without_a_score_is_no_cell_of_score_zero() {
        let known = Record {
            score: 91.5,
            judged: 90.0,
        };
        assert_eq!(record(["91", "92", ""], "90"), Ok(known));
        assert_eq!(record(["", "nan", ""], "90"), Err("validation accuracy"));
        assert_eq!(record(["91", "", ""], "nan"), Err("test accuracy"));
    }

    #[test]
    fn a_cell_is_written_down_without_what_leads_nowhere() {
        let text = |edges: [u8; 6]| architecture(&edges).to_string();
        assert_eq!(text([3, 0, 0, 0, 0, 2]), "in 3x32x32 | gap | dense 10");
        assert_eq!(
            text([3, 0, 0, 1, 2, 4]),
            "in 3x32x32 | a: conv 16 k3 | conv 16 k3 | b: conv 16 k1 | add a b | gap | dense 10"
        );
    }
}
