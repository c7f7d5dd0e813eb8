//! What a trial remembers of how it came to be proposed, and how people are told.

use std::fmt;

use morph::{Architecture, Morph};
use serde::{Deserialize, Serialize};

use crate::{pool::TrialId, setting::Setting, surrogate::Promise};

/// A model that is worth training next.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// What to train.
    pub architecture: Architecture,
    /// With which hyperparameters.
    pub setting: Setting,
    /// How it came to be.
    pub origin: Origin,
    /// What the surrogate said of it, if it was asked.
    pub promise: Option<Promise>,
}

/// How a trial came to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Origin {
    /// An architecture that every study of its kind of data starts with.
    Seed {
        /// Its name.
        name: String,
    },
    /// A seed architecture changed at random, with random hyperparameters; inherits no weights.
    Fresh {
        /// Name of the seed architecture.
        seed: String,
        /// What was done to it, in order; replaying it gives the trial's architecture.
        morphs: Vec<Morph>,
    },
    /// A child of a model of the pool, whose weights it inherits.
    Variant {
        /// The parent: one of `targets`.
        parent: TrialId,
        /// What was done to it, in order; replaying it gives the trial's architecture.
        morphs: Vec<Morph>,
        /// Temperature of the annealing.
        temperature: f64,
        /// The base models taken from the pool.
        base_models: Vec<TrialId>,
        /// The target base models that annealing picked among them, in the order picked.
        targets: Vec<TrialId>,
    },
    /// One of the best models once more, with more epochs, at the end of a study.
    Retrained {
        /// Which.
        of: TrialId,
        /// What it begins with.
        start: Restart,
    },
}

/// What a model that is trained once more begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Random weights.
    Scratch,
    /// Its own weights, moved towards random ones like any child's.
    Lineage,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Restart::Scratch => "from scratch",
            Restart::Lineage => "from its own weights",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Seed { name } => write!(f, "seed architecture `{name}`"),
            Origin::Fresh { seed, morphs } if morphs.is_empty() => {
                write!(
                    f,
                    "seed architecture `{seed}` as it is, with hyperparameters drawn at random"
                )
            }
            Origin::Fresh { seed, morphs } => {
                write!(
                    f,
                    "drawn at random from seed architecture `{seed}`: {}",
                    list(morphs)
                )
            }
            Origin::Variant {
                parent,
                morphs,
                temperature,
                base_models,
                ..
            } => write!(
                f,
                "variant of trial {parent}: {}; chosen at temperature {temperature:.2} among base \
                 models {}",
                match morphs.is_empty() {
                    true => "other hyperparameters only".to_string(),
                    false => list(morphs),
                },
                list(base_models)
            ),
            Origin::Retrained { of, start } => {
                write!(f, "trial {of} trained once more {start}, for longer")
            }
        }
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(T::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use morph::{Block, LayerId};

    use super::*;

    fn morphs() -> Vec<Morph> {
        vec![
            Morph::Widen {
                layer: LayerId::at(3),
                extra: 16,
                seed: 7,
            },
            Morph::Deepen {
                after: LayerId::at(5),
                block: Block::Residual { kernel: 3 },
            },
        ]
    }

    fn variant() -> Origin {
        Origin::Variant {
            parent: TrialId(12),
            morphs: morphs(),
            temperature: 0.413,
            base_models: [12, 9, 3].map(TrialId).to_vec(),
            targets: [9, 12].map(TrialId).to_vec(),
        }
    }

    #[test]
    fn an_origin_is_explained_in_a_sentence() {
        insta::assert_snapshot!(variant(), @"variant of trial 12: widen 3 by 16, deepen after 5 (residual k3); chosen at temperature 0.41 among base models 12, 9, 3");
        let retrained = Origin::Retrained {
            of: TrialId(12),
            start: Restart::Lineage,
        };
        insta::assert_snapshot!(retrained, @"trial 12 trained once more from its own weights, for longer");
        let seed = "mlp".to_string();
        insta::assert_snapshot!(Origin::Seed { name: seed.clone() }, @"seed architecture `mlp`");
        insta::assert_snapshot!(Origin::Fresh { seed: seed.clone(), morphs: Vec::new() }, @"seed architecture `mlp` as it is, with hyperparameters drawn at random");
        insta::assert_snapshot!(Origin::Fresh { seed, morphs: morphs() }, @"drawn at random from seed architecture `mlp`: widen 3 by 16, deepen after 5 (residual k3)");
    }

    #[test]
    fn an_origin_survives_json() {
        let seed = Origin::Seed {
            name: "mlp".to_string(),
        };
        let fresh = Origin::Fresh {
            seed: "mlp".to_string(),
            morphs: morphs(),
        };
        let retrained = Origin::Retrained {
            of: TrialId(3),
            start: Restart::Scratch,
        };
        for origin in [seed, fresh, variant(), retrained] {
            let text = serde_json::to_string(&origin).unwrap();
            assert_eq!(
                serde_json::from_str::<Origin>(&text).unwrap(),
                origin,
                "{text}"
            );
        }
    }
}
