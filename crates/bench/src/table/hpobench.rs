//! HPOBench's multilayer perceptrons (Eggensperger et al. 2021, arXiv:2109.06716): depth and width with three
//! hyperparameters, 30,000 combinations, each trained with 5 seeds.
//!
//! The score is the balanced accuracy on the validation rows in percent, mean over the seeds.

use std::path::Path;

use data::{ReadLimits, raw::read_arrays};
use morph::Architecture;

use super::{Loaded, Record, Slot, TableError, count, levels_at, place_of};

const WIDTHS: [u32; 10] = [16, 25, 40, 64, 101, 161, 256, 406, 645, 1024];

/// Where each slot stands among the extents of the file.
const FILE_ORDER: [usize; 5] = [2, 4, 0, 1, 3];

pub(super) fn load(folder: &Path, dataset: &str) -> Result<Loaded, TableError> {
    let slots = vec![
        Slot::ordered("depth", 3),
        Slot::ordered("width", 10),
        Slot::ordered("alpha", 10),
        Slot::ordered("batch_size", 10),
        Slot::ordered("learning_rate", 10),
    ];
    let path = folder
        .join("hpobench-mlp")
        .join(format!("{}.npz", dataset.replace('-', "_")));
    let shares = grid(&path, &slots, &FILE_ORDER, 5)?.into_iter();
    let records = shares.map(|share| Record {
        score: 100.0 * share,
        judged: 100.0 * share,
    });
    Ok(Loaded {
        name: format!("hpobench-{dataset}"),
        records: records.collect(),
        slots,
        architecture_slots: 2,
        architecture,
    })
}

fn architecture(levels: &[u8]) -> Architecture {
    let width = WIDTHS[usize::from(levels[1])];
    let layers = format!("dense {width} | relu | ").repeat(usize::from(levels[0]) + 1);
    let text = format!("in 20 | {layers}dense 2");
    text.parse().expect("every combination is a network")
}

/// The array `values` of a file, mean over the seeds, which are its last extent: one value for every
/// point. `order` says where each slot stands among the other extents.
pub(super) fn grid(
    path: &Path,
    slots: &[Slot],
    order: &[usize],
    seeds: usize,
) -> Result<Vec<f64>, TableError> {
    let mut in_file: Vec<Slot> = slots.to_vec();
    for (slot, place) in slots.iter().zip(order) {
        in_file[*place] = slot.clone();
    }
    let expected = in_file.iter().map(|slot| usize::from(slot.levels));
    let expected: Vec<usize> = expected.chain([seeds]).collect();
    let arrays = read_arrays(path, &ReadLimits::default())?.into_iter();
    let values = arrays
        .filter(|array| array.name == "values" && array.shape == expected)
        .map(|array| array.values)
        .next()
        .ok_or_else(|| TableError::Content {
            path: path.to_path_buf(),
            problem: format!("it has no array `values` of shape {expected:?}"),
        })?;
    let value = |place: usize| {
        let mut levels = vec![0; slots.len()];
        for (place, level) in order.iter().zip(levels_at(slots, place)) {
            levels[*place] = level;
        }
        let seeds = &values[place_of(&in_file, &levels) * seeds..][..seeds];
        seeds.iter().sum::<f64>() / seeds.len() as f64
    };
    Ok((0..count(slots)).map(value).collect())
}
