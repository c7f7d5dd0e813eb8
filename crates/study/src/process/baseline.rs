//! The process that grows trees for a study, and ends: what it takes, it takes beside the trainers.

use std::{
    io::{self, BufReader},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    baseline::{TreesRecord, TreesSetup},
    message::send,
    process::{Child, Said, end_with_parent, first_line, limit_memory},
    worker::DeathCause,
};

/// How long it may take beyond its time, in seconds: to load rows, to end its last tree, to write.
const GRACE_SECS: f64 = 10.0;

/// How often a wait for it looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(200);

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

/// A baseline as its parent sees it.
pub(crate) struct BaselineRun {
    child: Child,
    said: Receiver<Said<FromBaseline>>,
    ends_by: Instant,
    record: PathBuf,
}

impl BaselineRun {
    /// Starts one, beside the workers.
    pub(crate) fn start(program: &Path, setup: TreesSetup) -> io::Result<BaselineRun> {
        let (events, said) = channel();
        let mut child = Child::start(program, "baseline", events, |said| said)?;
        child.tell(&setup);
        let time = Duration::from_secs_f64(setup.seconds_max + GRACE_SECS);
        Ok(BaselineRun {
            child,
            said,
            ends_by: Instant::now() + time,
            record: setup.record,
        })
    }

    /// Waits until it has ended and its record is written, whatever it says; a study of a few trials may end
    /// before its baseline does. One that is not wanted any more ends without a record.
    pub(crate) fn wait(mut self, is_unwanted: &AtomicBool) -> io::Result<()> {
        while !is_unwanted.load(Ordering::Relaxed) {
            let reason = match self.said.recv_timeout(TICK) {
                Ok(Said::Message(FromBaseline::Written)) => return Ok(()),
                Ok(Said::Message(FromBaseline::Failed { reason })) => reason,
                Ok(Said::End) | Err(RecvTimeoutError::Disconnected) => match self.child.bury() {
                    (DeathCause::OutOfMemory, _) => {
                        "they needed more memory than a trainer has".to_string()
                    }
                    (DeathCause::Unknown, message) => format!("their process {message}"),
                },
                Err(RecvTimeoutError::Timeout) if Instant::now() < self.ends_by => continue,
                Err(RecvTimeoutError::Timeout) => "they did not end in their time".to_string(),
            };
            return TreesRecord::Failed { reason }.write(&self.record);
        }
        Ok(())
    }
}
