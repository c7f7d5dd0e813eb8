//! Where a trial is while it is trained, as one file: the folds that have been trained, and the training under way.
//!
//! Until a first fold has been trained it is the paused training alone. After that it is a safetensors file of three
//! blocks of bytes: as JSON what the first fold came to, which speaks for all of them; the weights of the trained
//! folds, and the paused training, each a file itself. It belongs to one trial, and says to which.

use std::{borrow::Cow, num::NonZeroU32};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use train::{
    Ended, EpochReport, Fitted, Paused, Plan, Recipe, Weights,
    ensemble::{members_from_safetensors, members_to_safetensors},
};

use crate::trial::{InheritanceProof, Job};

/// Changes when an older reader would misunderstand the file.
const FORMAT: u32 = 1;

/// The block with what the first fold came to, …
const FIRST: &str = "first";

/// … the one with the weights of the trained folds, and the one with the paused training.
const MEMBERS: &str = "members";
const PAUSED: &str = "paused";

/// What the training of the first fold came to, but for its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct FirstFold {
    /// The epoch whose weights it keeps.
    pub(super) kept: EpochReport,
    /// Every epoch.
    pub(super) curve: Vec<EpochReport>,
    /// Why it ended.
    pub(super) ended: Ended,
    /// Epochs that the other folds take, too.
    pub(super) planned: NonZeroU32,
    /// That it began with what its parent had learned.
    pub(super) inheritance: Option<InheritanceProof>,
}

/// What the first block says.
#[derive(Serialize, Deserialize)]
struct Told<'a> {
    format: u32,
    architecture: String,
    recipe: Cow<'a, Recipe>,
    seed: u64,
    first: Cow<'a, FirstFold>,
}

impl Told<'_> {
    fn of<'a>(job: &'a Job, first: &'a FirstFold) -> Told<'a> {
        Told {
            format: FORMAT,
            architecture: job.architecture.to_string(),
            recipe: Cow::Borrowed(&job.recipe),
            seed: job.seed,
            first: Cow::Borrowed(first),
        }
    }

    /// Whether the trial is the one of this job, trained as it says.
    fn is_of(&self, job: &Job) -> bool {
        self.format == FORMAT
            && self.architecture == job.architecture.to_string()
            && *self.recipe == job.recipe
            && self.seed == job.seed
    }
}

/// A trial while it is trained.
#[derive(Debug, Default)]
pub(super) struct Underway {
    first: Option<FirstFold>,
    members: Vec<Weights>,
    /// A training that was paused and is to go on.
    paused: Option<Paused>,
}

impl Underway {
    /// Where a job's trial was, as far as the file says so; `None` if it is of another trial or damaged: then the
    /// trial is begun anew.
    pub(super) fn from_bytes(bytes: &[u8], job: &Job, parts: usize) -> Option<Underway> {
        let blocks = SafeTensors::deserialize(bytes).ok()?;
        let block = |name| Some(blocks.tensor(name).ok()?.data());
        let Some(told) = block(FIRST) else {
            return Some(Underway {
                paused: Some(Paused::from_bytes(bytes).ok()?),
                ..Underway::default()
            });
        };
        let told: Told<'_> = serde_json::from_slice(told).ok()?;
        let members = members_from_safetensors(block(MEMBERS)?, &job.architecture).ok()?;
        let is_whole = told.is_of(job) && members.len() < parts;
        is_whole.then_some(Underway {
            first: Some(told.first.into_owned()),
            members,
            paused: Some(Paused::from_bytes(block(PAUSED)?).ok()?),
        })
    }

    /// The file, if the training under way is paused here.
    pub(super) fn to_bytes(&self, job: &Job, paused: Vec<u8>) -> Vec<u8> {
        let Some(first) = &self.first else {
            return paused;
        };
        let told = serde_json::to_vec(&Told::of(job, first))
            .expect("it holds numbers and texts alone, with texts as keys");
        let members = members_to_safetensors(&self.members);
        let blocks =
            [(FIRST, &told), (MEMBERS, &members), (PAUSED, &paused)].map(|(name, bytes)| {
                let block = TensorView::new(Dtype::U8, vec![bytes.len()], bytes);
                (name, block.expect("a byte takes a byte"))
            });
        safetensors::serialize(blocks, None)
            .expect("shapes and lengths agree, which is all that can fail in memory")
    }

    /// Bytes that keeping a trial of so many parts takes beside its plan: of one part the file; of several also the
    /// weights that have been learned, these as a file, and both in the file of the trial.
    ///
    /// Not counted: what is noted about each epoch, and the statistics of norms.
    pub(super) fn bytes(plan: &Plan, parameters: u64, parts: usize) -> u64 {
        let others = parts as u64 - 1;
        let weights = parameters.saturating_mul(4 * others);
        let copies = 1 + u64::from(others > 0);
        weights
            .saturating_mul(3)
            .saturating_add(plan.pause_bytes().saturating_mul(copies))
    }

    /// What the first fold came to, if it has been trained.
    pub(super) fn first(&self) -> Option<&FirstFold> {
        self.first.as_ref()
    }

    /// The parts that have been trained.
    pub(super) fn members(&self) -> &[Weights] {
        &self.members
    }

    /// The training that is to go on, once.
    pub(super) fn take_paused(&mut self) -> Option<Paused> {
        self.paused.take()
    }

    /// A part has been trained; of the first is kept how it began, and how many epochs the others take.
    pub(super) fn note(
        &mut self,
        fitted: Fitted,
        planned: NonZeroU32,
        inheritance: Option<InheritanceProof>,
    ) {
        let Fitted {
            weights,
            kept,
            curve,
            ended,
        } = fitted;
        self.members.push(weights);
        self.first.get_or_insert(FirstFold {
            kept,
            curve,
            ended,
            planned,
            inheritance,
        });
    }

    /// What the first part came to, and what all have learned.
    ///
    /// # Panics
    /// If none has been trained.
    pub(super) fn finish(self) -> (FirstFold, Vec<Weights>) {
        let first = self.first.expect("a part has been trained");
        (first, self.members)
    }
}
