//! NAS-Bench-Macro (Su et al. 2021, CVPR): 3⁸ chains of blocks on CIFAR-10.
//!
//! Each of eight places holds nothing, an inverted bottleneck of kernel 3 and expansion 3, or one of kernel 5
//! and expansion 6. The places form stages of 2, 3 and 3, the first of each with stride 2: networks that
//! differ only in where in the rest of a stage nothing stands have equal records, parameters and
//! operations in the table. There is no validation score: a search sees the mean test accuracy.

use std::{
    fs::File,
    io::{BufReader, Error},
    path::Path,
};

use flate2::bufread::GzDecoder;
use morph::{Architecture, Kernel, Layer, LayerId, Node, Shape};
use serde_json::Value;

use super::{Loaded, Record, Slot, TableError, levels_at};

/// Places of each stage, and its channels.
const STAGES: [(usize, u32); 3] = [(2, 64), (3, 128), (3, 256)];

/// Channels of the first convolution.
const STEM: u32 = 32;

pub(super) fn load(folder: &Path) -> Result<Loaded, TableError> {
    let path = folder
        .join("nasbench-macro")
        .join("nas-bench-macro_cifar10.json.gz");
    let wrong = |problem: String| TableError::Content {
        path: path.clone(),
        problem,
    };
    let file = File::open(&path).map_err(|error: Error| wrong(error.to_string()))?;
    let unpacked = GzDecoder::new(BufReader::new(file));
    let table: Value = serde_json::from_reader(BufReader::new(unpacked))
        .map_err(|error| wrong(error.to_string()))?;
    let names = [
        "place_1", "place_2", "place_3", "place_4", "place_5", "place_6", "place_7", "place_8",
    ];
    let slots: Vec<Slot> = names
        .into_iter()
        .map(|name| Slot::unordered(name, 3))
        .collect();
    let record = |place: usize| {
        let digits: String = levels_at(&slots, place).iter().map(u8::to_string).collect();
        let score = table[&digits]["mean_acc"].as_f64();
        let score = score.ok_or_else(|| wrong(format!("it has no accuracy of {digits}")))?;
        Ok(Record {
            score,
            judged: score,
        })
    };
    let records: Result<Vec<Record>, TableError> = (0..3_usize.pow(8)).map(record).collect();
    Ok(Loaded {
        name: "nasbench-macro".to_string(),
        records: records?,
        slots,
        architecture_slots: 8,
        architecture,
    })
}

fn architecture(blocks: &[u8]) -> Architecture {
    let shape = Shape::Image {
        channels: 3,
        height: 32,
        width: 32,
    };
    let mut nodes = vec![Node {
        layer: Layer::Input { shape },
        inputs: Vec::new(),
    }];
    let mut last = push(&mut nodes, convolution(STEM, 3, 1), &[LayerId::at(0)]);
    let mut places = blocks.iter();
    let mut channels = STEM;
    for (count, width) in STAGES {
        for (stride, kind) in [2, 1, 1].into_iter().zip(places.by_ref().take(count)) {
            last = block(&mut nodes, last, *kind, (channels, width), stride);
            channels = width;
        }
    }
    for layer in [
        Layer::GlobalAvgPool,
        Layer::Dense { units: 10 },
        Layer::Output,
    ] {
        last = push(&mut nodes, layer, &[last]);
    }
    Architecture::new(nodes).expect("every chain of blocks is a network")
}

fn block(
    nodes: &mut Vec<Node>,
    from: LayerId,
    kind: u8,
    (channels, width): (u32, u32),
    stride: u8,
) -> LayerId {
    let (size, expansion) = match (kind, stride) {
        (0, 1) => return from,
        (0, _) => return push(nodes, convolution(width, 1, stride), &[from]),
        (1, _) => (3, 3),
        _ => (5, 6),
    };
    let wide = push(nodes, convolution(channels * expansion, 1, 1), &[from]);
    let kernel = Kernel::new(size, stride).expect("3 and 5 are odd");
    let spread = push(nodes, Layer::DepthwiseConv { kernel }, &[wide]);
    let narrow = push(nodes, convolution(width, 1, 1), &[spread]);
    match stride {
        1 => push(nodes, Layer::Add, &[narrow, from]),
        _ => narrow,
    }
}

fn convolution(channels: u32, size: u8, stride: u8) -> Layer {
    let kernel = Kernel::new(size, stride).expect("sizes are odd and strides are small");
    Layer::Conv { channels, kernel }
}

fn push(nodes: &mut Vec<Node>, layer: Layer, inputs: &[LayerId]) -> LayerId {
    nodes.push(Node {
        layer,
        inputs: inputs.to_vec(),
    });
    LayerId::at(nodes.len() - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn where_in_a_stage_nothing_stands_makes_no_other_network() {
        let slots: Vec<Slot> = (0..8).map(|_| Slot::unordered("", 3)).collect();
        let every = (0..6561).map(|place| architecture(&levels_at(&slots, place)).canonical_hash());
        // One stage of two places has 3·3 networks; of three, 3·(1 + 2 + 4).
        assert_eq!(every.collect::<BTreeSet<_>>().len(), 9 * 21 * 21);
    }
}
