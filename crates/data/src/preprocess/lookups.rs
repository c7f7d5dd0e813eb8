//! What a fitted preprocessing looks things up in: made once of what it knows, not at every request.

use std::collections::HashMap;

use crate::fitted::{FittedColumn, FittedInputs, FittedKind};

/// The place of each level of a category.
pub(super) type Levels = HashMap<String, usize>;

/// The code of each pair of characters.
pub(super) type Pairs = HashMap<[u16; 2], u16>;

/// All that can be looked up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lookups {
    /// Of every column of a table; empty for one that is no category.
    pub(super) levels: Vec<Levels>,
    /// Of a text.
    pub(super) pairs: Pairs,
}

impl Lookups {
    pub(super) fn of(inputs: &FittedInputs) -> Lookups {
        match inputs {
            FittedInputs::Columns(columns) => Lookups {
                levels: columns.iter().map(levels_of).collect(),
                pairs: Pairs::new(),
            },
            FittedInputs::Text(text) => Lookups {
                levels: Vec::new(),
                pairs: text.pair_codes().collect(),
            },
            FittedInputs::Image(_) | FittedInputs::Series(_) => Lookups::default(),
        }
    }
}

fn levels_of(column: &FittedColumn) -> Levels {
    match &column.kind {
        FittedKind::Category { levels, .. } => levels.iter().cloned().zip(0..).collect(),
        _ => Levels::new(),
    }
}
