//! A training between two epochs, as a file: what resumes from it gives the same bits as what never
//! stopped.
//!
//! A safetensors file: the weights, what the optimizer remembers, the kept epoch's and the averaged
//! weights as one tensor each, and everything else as JSON in its metadata. It belongs to one task, and
//! says to which.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    checkpoint::little_endian,
    fit::{Ended, EpochReport, FitTask},
    recipe::Recipe,
    weights::{Tensor, Weights},
};

/// Key of the JSON in the file's metadata.
const PROGRESS: &str = "lehr.training";

/// Changes when an older reader would misunderstand the file.
const FORMAT: u32 = 2;

/// Why a paused training cannot go on.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PausedError {
    /// Not such a file, or a broken one.
    #[error("the paused training cannot be read: {reason}")]
    Unreadable {
        /// What is wrong.
        reason: String,
    },
    /// A file of another version of lehr.
    #[error("the paused training has format {found}; this version of lehr reads format {FORMAT}")]
    OtherFormat {
        /// Its format.
        found: u32,
    },
    /// It was training something else.
    #[error("the paused training has another {what} than the task that shall go on with it")]
    OtherTask {
        /// What differs.
        what: &'static str,
    },
}

/// Where a training is, without its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    format: u32,
    architecture: String,
    recipe: Recipe,
    seed: u64,
    rows: usize,
    pub(crate) epochs: u32,
    pub(crate) steps: u64,
    pub(crate) curve: Vec<EpochReport>,
    pub(crate) kept: Option<usize>,
    pub(crate) ended: Option<Ended>,
    pub(crate) seconds: f64,
}

impl Progress {
    /// Notes to which task it belongs; the rest is given.
    pub(crate) fn of(task: &FitTask<'_>) -> Progress {
        Progress {
            format: FORMAT,
            architecture: task.architecture.to_string(),
            recipe: task.recipe.clone(),
            seed: task.seed,
            rows: task.train.len(),
            epochs: 0,
            steps: 0,
            curve: Vec::new(),
            kept: None,
            ended: None,
            seconds: 0.0,
        }
    }

    /// The file of a training that is here and has these blocks; the same training gives the same bytes.
    /// One block after the other becomes bytes, so that no copy of all of them is made beside the file.
    pub(crate) fn to_bytes<'a>(
        &self,
        blocks: impl Iterator<Item = (&'static str, &'a [f32])>,
    ) -> Vec<u8> {
        let progress = serde_json::to_string(self)
            .expect("progress holds numbers and texts alone, with texts as keys");
        let metadata = HashMap::from([(PROGRESS.to_string(), progress)]);
        let blocks = blocks.map(|(name, values)| {
            let shape = [values.len()];
            (name, Block { values, shape })
        });
        safetensors::serialize(blocks, Some(metadata))
            .expect("shapes and lengths agree, which is all that can fail in memory")
    }

    fn check(&self, task: &FitTask<'_>) -> Result<(), PausedError> {
        let differs = [
            (
                "architecture",
                self.architecture != task.architecture.to_string(),
            ),
            ("recipe", self.recipe != *task.recipe),
            ("seed", self.seed != task.seed),
            ("number of training rows", self.rows != task.train.len()),
            (
                "epoch that is kept",
                self.kept.is_some_and(|kept| kept >= self.curve.len()),
            ),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            Some((what, _)) => Err(PausedError::OtherTask { what }),
            None => Ok(()),
        }
    }
}

/// A block of a network's memory on its way into a file.
struct Block<'a> {
    values: &'a [f32],
    shape: [usize; 1],
}

impl View for Block<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(little_endian(self.values))
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

/// A training between two epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Paused {
    pub(crate) progress: Progress,
    pub(crate) blocks: BTreeMap<String, Tensor>,
}

impl Paused {
    /// The epochs it has done.
    pub fn curve(&self) -> &[EpochReport] {
        &self.progress.curve
    }

    /// Whether it belongs to this task.
    pub(crate) fn check(&self, task: &FitTask<'_>) -> Result<(), PausedError> {
        self.progress.check(task)
    }

    /// Reads what [`Training::pause`](crate::Training::pause) gave. Whether it belongs to a task is found out
    /// when it is resumed.
    ///
    /// # Errors
    /// If it is none, or broken.
    pub fn from_bytes(bytes: &[u8]) -> Result<Paused, PausedError> {
        let unreadable = |reason: String| PausedError::Unreadable { reason };
        let (_, header) =
            SafeTensors::read_metadata(bytes).map_err(|error| unreadable(error.to_string()))?;
        let progress = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(PROGRESS))
            .ok_or_else(|| unreadable(format!("it has no `{PROGRESS}` in its metadata")))?;
        let progress: Progress =
            serde_json::from_str(progress).map_err(|error| unreadable(error.to_string()))?;
        if progress.format != FORMAT {
            let found = progress.format;
            return Err(PausedError::OtherFormat { found });
        }
        let blocks = Weights::tensors_from_safetensors(bytes)
            .map_err(|error| unreadable(error.to_string()))?;
        Ok(Paused { progress, blocks })
    }
}
