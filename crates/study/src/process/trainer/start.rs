//! What a training begins with: random weights, or what a parent has learned from the same rows, with the morphs
//! that lead from the parent to its child replayed on it.

use morph::{Architecture, Preservation};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use train::{Weights, ensemble::members_from_safetensors};

use super::{Trainer, Trouble};
use crate::{
    artifact::ArtifactError,
    trial::{FailReason, Inheritance, InheritanceProof, Job},
};

/// Rows on which parent and child are compared.
const PROOF_ROWS: usize = 32;

impl Trainer {
    /// Weights to begin with on one part; of a variant, made from what its parent learned from the same rows,
    /// with a proof for the first part.
    pub(super) fn start_weights(
        &self,
        job: &Job,
        parents: &[Weights],
        part: usize,
    ) -> Result<(Weights, Option<InheritanceProof>), FailReason> {
        let mut rng = ChaCha8Rng::seed_from_u64(job.seed.wrapping_add(part as u64));
        let Some(inheritance) = &job.inheritance else {
            return Ok((Weights::fresh(&job.architecture, &mut rng), None));
        };
        let parent = &parents[part];
        let (child, weights, inherited_share) = inherit(inheritance, parent.clone(), &mut rng)?;
        if child.canonical_hash() != job.architecture.canonical_hash() {
            return Err(FailReason::Refused {
                message: format!(
                    "the morphs of trial {} lead to `{child}`, not to the proposed `{}`",
                    job.lease.trial, job.architecture
                ),
            });
        }
        let proof = match part {
            0 => Some(self.proof(job, inheritance, parent, &weights, inherited_share)?),
            _ => None,
        };
        let weights = match inheritance.is_shrunk {
            true => weights.shrunk(&job.architecture, &mut rng),
            false => weights,
        };
        Ok((weights, proof))
    }

    /// How far the outputs of a child are from its parent's, if its morphs keep them.
    fn proof(
        &self,
        job: &Job,
        inheritance: &Inheritance,
        parent: &Weights,
        weights: &Weights,
        inherited_share: f64,
    ) -> Result<InheritanceProof, FailReason> {
        let exact = inheritance
            .morphs
            .iter()
            .all(|morph| morph.preservation() == Preservation::Exact);
        let first = self.validation.chosen(&self.first_validating(PROOF_ROWS));
        let output_difference_max = match exact {
            true => {
                let before =
                    self.outputs(job, &inheritance.architecture, parent.clone(), &first)?;
                let after = self.outputs(job, &job.architecture, weights.clone(), &first)?;
                let pairs = before.iter().zip(&after);
                let differences = pairs.map(|(a, b)| f64::from((a - b).abs()));
                Some(differences.fold(0.0, f64::max))
            }
            false => None,
        };
        Ok(InheritanceProof {
            inherited_share,
            output_difference_max,
            rows: first.len(),
        })
    }

    /// What the parent has learned from each part; nothing if there is no parent.
    pub(super) fn parents(&self, job: &Job) -> Result<Vec<Weights>, Trouble> {
        let Some(inheritance) = &job.inheritance else {
            return Ok(Vec::new());
        };
        let refused = |message| FailReason::Refused { message };
        let bytes = self.artifacts.get(&inheritance.artifact);
        let bytes = bytes.map_err(|error| match error {
            ArtifactError::Io { .. } => Trouble::Machine(error),
            error => refused(format!("the parent's weights: {error}")).into(),
        })?;
        let members = members_from_safetensors(&bytes, &inheritance.architecture)
            .map_err(|error| refused(format!("the parent's weights: {error}")))?;
        let (found, needed) = (members.len(), self.parts());
        if found != needed {
            let problem = format!("the parent was trained on {found} fold(s), not on {needed}");
            return Err(refused(problem).into());
        }
        Ok(members)
    }
}

/// Replays the morphs on the parent's weights.
fn inherit(
    inheritance: &Inheritance,
    parent: Weights,
    rng: &mut ChaCha8Rng,
) -> Result<(Architecture, Weights, f64), FailReason> {
    let mut architecture = inheritance.architecture.clone();
    let mut weights = parent;
    let mut share = 1.0;
    for morph in &inheritance.morphs {
        let importance = weights.importance(&architecture);
        let morphed =
            morph
                .apply(&architecture, &importance)
                .map_err(|error| FailReason::Refused {
                    message: format!("`{morph}`: {error}"),
                })?;
        share *= weights.inherited_share(&morphed);
        weights = Weights::inherited(&morphed, &weights, rng);
        architecture = morphed.architecture;
    }
    Ok((architecture, weights, share))
}
