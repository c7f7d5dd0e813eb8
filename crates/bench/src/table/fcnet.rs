//! FCNet, also called HPOLib (Klein, Hutter 2019, arXiv:1905.04970): networks of two dense layers for
//! regression, 62,208 architectures with hyperparameters, each trained for 100 epochs with 4 seeds.
//!
//! The score is −ln of the mean squared error on the validation rows, mean over the seeds, so that a regret of
//! 0.1 is an error 10 % above the least. tanh is not among the layers; the sigmoid stands for it.

use std::path::Path;

use morph::Architecture;

use super::{Loaded, Record, Slot, TableError, hpobench::grid};

const UNITS: [u32; 6] = [16, 32, 64, 128, 256, 512];
const DROPOUTS: [&str; 3] = ["", " | dropout 0.3", " | dropout 0.6"];

/// Where each slot stands among the extents of the file: both activations, batch size, both dropouts,
/// learning rate, its schedule, both widths.
const FILE_ORDER: [usize; 9] = [0, 1, 3, 4, 7, 8, 2, 5, 6];

pub(super) fn load(folder: &Path, dataset: &str) -> Result<Loaded, TableError> {
    let file = match dataset {
        "slice" => "slice_localization",
        _ => "parkinsons_telemonitoring",
    };
    let slots = vec![
        Slot::unordered("activation_1", 2),
        Slot::unordered("activation_2", 2),
        Slot::ordered("dropout_1", 3),
        Slot::ordered("dropout_2", 3),
        Slot::ordered("units_1", 6),
        Slot::ordered("units_2", 6),
        Slot::ordered("batch_size", 4),
        Slot::ordered("learning_rate", 6),
        Slot::unordered("schedule", 2),
    ];
    let path = folder.join("fcnet").join(format!("{file}.npz"));
    let errors = grid(&path, &slots, &FILE_ORDER, 4)?.into_iter();
    let records = errors.map(|error| Record {
        score: -error.ln(),
        judged: -error.ln(),
    });
    Ok(Loaded {
        name: format!("fcnet-{dataset}"),
        records: records.collect(),
        slots,
        architecture_slots: 6,
        architecture,
    })
}

fn architecture(levels: &[u8]) -> Architecture {
    let activation = |level: u8| if level == 0 { "relu" } else { "sigmoid" };
    let layer = |place: usize| {
        format!(
            "dense {} | {}{}",
            UNITS[usize::from(levels[4 + place])],
            activation(levels[place]),
            DROPOUTS[usize::from(levels[2 + place])]
        )
    };
    let text = format!("in 20 | {} | {} | dense 1", layer(0), layer(1));
    text.parse().expect("every combination is a network")
}
