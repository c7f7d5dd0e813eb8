//! The process that grows trees for a study, and ends: what it takes, it takes beside the trainers.

use std::io::{self, BufReader};

use serde::{Deserialize, Serialize};

use crate::{
    baseline::{TreesRecord, TreesSetup},
    message::send,
    process::{end_with_parent, first_line, limit_memory},
};

/// What it tells the master before it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum FromBaseline {
    /// The record is written.
    Written,
    /// It is not.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Grows trees as the first line on standard input says, and writes their record.
///
/// # Errors
/// If that line is none, or nobody hears the answer.
pub fn run() -> io::Result<()> {
    end_with_parent();
    let setup: TreesSetup = first_line(&mut BufReader::new(io::stdin()))?;
    if let Some(bytes) = setup.memory_bytes_max {
        limit_memory(bytes);
    }
    let written = setup.grow().map_err(io::Error::other).and_then(|grown| {
        let record = TreesRecord::Grown(Box::new(grown));
        record.write(&setup.record)
    });
    let said = match written {
        Ok(()) => FromBaseline::Written,
        Err(error) => FromBaseline::Failed {
            reason: error.to_string(),
        },
    };
    send(&mut io::stdout().lock(), &said)
}
