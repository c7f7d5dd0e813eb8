//! Which models there are, and how one is made of another.
//!
//! A study searches among [`Morphs`]: everything that morphs make of a few seed architectures. A benchmark
//! searches among the rows of a recorded table by the same method; that is why this is a trait.

use morph::{Architecture, Shape, seeds};
use rand::{Rng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    chain::Chain,
    limits::Limits,
    origin::{Origin, Proposal},
    setting::Setting,
    settings::SearchSettings,
    space::Space,
};

/// Morphs of a fresh draw: enough to leave its seed architecture far behind.
const FRESH_CHAIN_MAX: usize = 10;

/// What a search moves in.
pub trait Models {
    /// Its hyperparameters.
    fn space(&self) -> &Space;

    /// Where a search starts, in this order, if it starts anywhere.
    fn seeds(&self) -> Vec<Proposal>;

    /// A model that owes nothing to the history; `None` if this draw led to none.
    fn fresh(&self, rng: &mut ChaCha8Rng) -> Option<Proposal>;

    /// Another architecture, so many edits away; `None` if this draw led to none.
    fn edited(
        &self,
        parent: &Architecture,
        setting: &Setting,
        edits: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Chain>;

    /// Whether there is such a model.
    fn allow(&self, architecture: &Architecture, setting: &Setting) -> bool;
}

/// What a text consists of: each word or character is a code below `codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// Words.
    Words {
        /// How many codes there are.
        codes: u32,
    },
    /// Characters.
    Characters {
        /// How many codes there are.
        codes: u32,
    },
}

impl Tokens {
    /// How many codes there are.
    pub fn codes(self) -> u32 {
        match self {
            Tokens::Words { codes } | Tokens::Characters { codes } => codes,
        }
    }
}

/// What networks take and give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Shape of one example.
    pub input: Shape,
    /// What examples consist of, if they are texts.
    #[serde(default)]
    pub tokens: Option<Tokens>,
    /// Classes, or 1 for a regression.
    pub outputs: u32,
}

/// Everything that morphs make of the seed architectures of a task, within limits.
#[derive(Clone, Debug)]
pub struct Morphs {
    seeds: Vec<(&'static str, Architecture)>,
    space: Space,
    limits: Limits,
}

impl Morphs {
    /// What can be searched for this task; `None` if no seed architecture takes such examples.
    pub fn new(task: &Task, settings: &SearchSettings) -> Option<Morphs> {
        let Task {
            input,
            tokens,
            outputs,
        } = *task;
        let seeds = match (input, tokens) {
            (Shape::Sequence { length, .. }, Some(Tokens::Words { codes })) => {
                seeds::text_seeds(codes, length, outputs)
            }
            (Shape::Sequence { channels, length }, Some(Tokens::Characters { codes })) => {
                seeds::spelling_seeds(codes, (channels, length), outputs)
            }
            (Shape::Flat { features }, _) => seeds::table_seeds(features, outputs),
            (Shape::Image { .. }, _) => seeds::image_seeds(input, outputs),
            (Shape::Sequence { .. }, None) => seeds::series_seeds(input, outputs),
        };
        (!seeds.is_empty()).then(|| Morphs {
            seeds,
            space: settings.space.for_outputs(outputs),
            limits: settings.limits,
        })
    }
}

impl Models for Morphs {
    fn space(&self) -> &Space {
        &self.space
    }

    fn seeds(&self) -> Vec<Proposal> {
        let named = self.seeds.iter().map(|(name, architecture)| Proposal {
            architecture: architecture.clone(),
            setting: self.space.defaults(),
            origin: Origin::Seed {
                name: name.to_string(),
            },
            promise: None,
        });
        named.collect()
    }

    /// A seed architecture with up to [`FRESH_CHAIN_MAX`] random morphs and random hyperparameters.
    fn fresh(&self, rng: &mut ChaCha8Rng) -> Option<Proposal> {
        let (seed, start) = self.seeds.choose(rng)?;
        let setting = self.space.sample(rng);
        let length = rng.random_range(0..=FRESH_CHAIN_MAX);
        let Chain {
            morphs,
            architecture,
        } = Chain::draw(start, &setting, &self.limits, length, rng)?;
        let origin = Origin::Fresh {
            seed: seed.to_string(),
            morphs,
        };
        Some(Proposal {
            architecture,
            setting,
            origin,
            promise: None,
        })
    }

    fn edited(
        &self,
        parent: &Architecture,
        setting: &Setting,
        edits: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Chain> {
        let chain = Chain::draw(parent, setting, &self.limits, edits, rng)?;
        (edits == 0 || !chain.morphs.is_empty()).then_some(chain)
    }

    fn allow(&self, architecture: &Architecture, setting: &Setting) -> bool {
        self.limits.allow(architecture, setting)
    }
}
