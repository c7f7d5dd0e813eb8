//! The end of an exploration: the best trial becomes a model, and is scored on rows that no search
//! and no trainer has seen. This is the only place that opens the vault.
//!
//! Read in this order: [`scores`] (the winner and simple models), `resample` (how far scores scatter),
//! [`verdict`] (whether deep learning paid off), [`ensemble`] (several trials as one model), [`details`] (the
//! winner on each row), and what these are made of: [`classes`], [`reliability`], [`residuals`],
//! [`importance`], [`worst`]; `tables` and `export` (files).

pub mod classes;
pub mod details;
pub mod ensemble;
mod export;
pub mod importance;
pub mod reliability;
mod resample;
pub mod residuals;
pub mod scores;
mod tables;
pub mod verdict;
pub mod worst;

use std::{collections::BTreeSet, io, path::Path};

use data::{Examples, FittedTask, Preprocessor};
use morph::{Architecture, ArchitectureError, Cost};
use search::{Origin, Restart, TrialId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use train::{
    Calibration, Metric, Weights,
    ensemble::{mean_of_members, members_from_safetensors},
};

pub use self::{
    details::Details,
    ensemble::{Ensemble, EnsembleMade},
    export::{Refused, export, write_script},
    scores::{Difference, Scored, Shows, WithInterval},
    verdict::{Finding, Verdict},
};
use self::{
    details::details,
    ensemble::{Together, ensemble},
    export::{Exporter, FRONT_ROWS},
    scores::{Contender, Standing, constant, score},
    tables::{write_front, write_leaderboard},
    verdict::verdict,
};
use crate::{
    artifact::{ArtifactError, ArtifactStore},
    baseline::{Growth, TreesRecord},
    certificate::{Certificate, CertifyError, ROWS_MAX},
    cluster::share::{ShareError, weights_of},
    config::StudyConfig,
    folder::StudyFolder,
    folds::Folds,
    front::{FrontModel, files_of, front_of},
    latency::measured_latency,
    ledger::{Ledger, LedgerError},
    model::{EnsembleMember, FORMAT, Model, ModelCard, ModelError},
    open::{LINEAR_BASELINE, linear},
    predictor::network_outputs,
    prepared::{PrepareError, PreparedFiles, RowNames, network_task, target_scale},
    store::StoreError,
    trial::{Digest, Trial, notation},
};

/// What trees are called.
const TREES: &str = "gradient-boosted trees";

/// What they are called if their time was up before they had grown: less than trees can do.
const YOUNG_TREES: &str = "gradient-boosted trees cut short by their share of the time";

/// Why a study could not be concluded.
#[derive(Debug, Error)]
pub enum ConcludeError {
    /// Where the weights are.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The prepared rows.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The winner's weights.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The store that has them.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The winner's weights do not fit it.
    #[error(transparent)]
    Weights(#[from] train::WeightsError),
    /// The networks of its folds cannot answer together.
    #[error("the networks of trial {trial} cannot be one model")]
    Members {
        /// Which trial.
        trial: TrialId,
        /// Why.
        #[source]
        source: ArchitectureError,
    },
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The exported file.
    #[error(transparent)]
    Certify(#[from] CertifyError),
    /// The model cannot be written as PyTorch.
    #[error(transparent)]
    Script(#[from] train::ExportError),
    /// A file of the study could not be written.
    #[error("{path} could not be written")]
    Write {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ConcludeError {
    /// That a file or folder of the study could not be written.
    fn unwritten(path: &Path) -> impl Fn(io::Error) -> ConcludeError {
        move |source| ConcludeError::Write {
            path: path.display().to_string(),
            source,
        }
    }

    /// Whether weights are not there any more, rather than damaged.
    fn is_missing(&self) -> bool {
        matches!(
            self,
            ConcludeError::Artifact(ArtifactError::Removed { .. })
                | ConcludeError::Store(StoreError::Missing { .. })
        )
    }
}

/// What a study has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conclusion {
    /// The best trial.
    pub trial: TrialId,
    /// Its network; with cross-validation the model is the mean of several of them.
    #[serde(with = "notation")]
    pub network: Architecture,
    /// What decided.
    pub metric: Metric,
    /// The winner's scores.
    pub winner: Scored,
    /// The scores of simple models on the same rows.
    pub baselines: Vec<Scored>,
    /// Simple models that could not be compared.
    pub absent: Vec<Absent>,
    /// Whether deep learning paid off; absent without a vault.
    pub verdict: Option<Verdict>,
    /// Rows of the vault.
    pub vault_rows: usize,
    /// Groups that these are of, if rows come in groups.
    #[serde(default)]
    pub vault_groups: Option<usize>,
    /// Rows of the validation split.
    pub validation_rows: usize,
    /// Folds of the cross-validation; 1 without.
    #[serde(default = "one")]
    pub folds: u8,
    /// How many times rows were dealt into them.
    #[serde(default = "one")]
    pub repeats: u8,
    /// Size of the winner.
    #[serde(skip, default = "no_cost")]
    pub cost: Cost,
    /// Seconds of the winner's forward pass of one example, measured at the end.
    pub latency_seconds: f64,
    /// The winner, or the trial that it is again, and all that was trained once more of it; empty if nothing
    /// was.
    pub retrained: Vec<Retrained>,
    /// With several objectives, the models that none beats in all of them, best score first.
    pub front: Vec<FrontModel>,
    /// What became of the wish for an ensemble; absent if there was none.
    #[serde(default)]
    pub ensemble: Option<Ensemble>,
    /// What the winner's ONNX file was found to do; absent if there is none.
    pub certificate: Option<Certificate>,
    /// Models without an ONNX file, because it would have said something else than lehr.
    pub refused: Vec<Refused>,
    /// The winner in detail.
    pub details: Details,
}

impl Conclusion {
    /// How many networks the winner is the mean of: with cross-validation one for each fold of each deal.
    pub fn networks(&self) -> u32 {
        u32::from(self.folds) * u32::from(self.repeats)
    }
}

/// A simple model that is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// What it would be.
    pub name: String,
    /// Why it is not there.
    pub reason: String,
}

/// A training of the winner: the first, or one more at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retrained {
    /// Which trial.
    pub trial: TrialId,
    /// What it began with if it is not the first.
    pub start: Option<Restart>,
    /// The metric on the validation rows; absent if it has no score.
    pub validation: Option<f64>,
}

fn one() -> u8 {
    1
}

fn no_cost() -> Cost {
    Cost {
        parameters: 0,
        flops: 0,
        activation_bytes: 0,
    }
}

/// What all models of a study are judged by.
struct Ground {
    files: PreparedFiles,
    preprocessor: Preprocessor,
    /// What is called what, and what it says of every row: the best that always says the same.
    constant: (&'static str, Vec<f32>),
    validation: Examples,
    vault: Examples,
    row_names: RowNames,
    /// With cross-validation, how the validation rows, which are the training rows, too, are dealt into folds.
    folds: Folds,
    metric: Metric,
    scale: f64,
    seed: u64,
}

/// Writes the best model so far into `best/` and says how good it is; `None` if no trial has ended
/// with a score.
///
/// # Errors
/// If an artifact is damaged or a file cannot be written.
pub fn conclude(
    folder: &StudyFolder,
    config: &StudyConfig,
    ledger: &dyn Ledger,
) -> Result<Option<(Conclusion, Model)>, ConcludeError> {
    let trials = ledger.trials()?;
    write_leaderboard(folder, config, &trials)?;
    let Some(best) = ledger.best()? else {
        return Ok(None);
    };
    let ground = Ground::open(folder, config)?;
    let (model, validation) = ground.calibrated(folder, &best)?;
    model.save(&folder.best())?;
    let mut exporter = Exporter::open(&ground.files)?;
    let certificate = exporter.write(&model, &folder.best(), ROWS_MAX)?;
    let front = front(folder, config, &ground, &trials, &mut exporter)?;
    let together = ensemble(folder, config, &ground, &trials, &mut exporter)?;
    let (others, absent) = ground.baselines(folder, &trials)?;
    let winner = ground.contender("the winner", &model, &best)?;
    let details = details(&ground, &model, &winner.vault, &validation)?;
    let mut contenders: Vec<Contender> = std::iter::once(winner).chain(others).collect();
    if let Together::Found(found, _) = &together {
        contenders.push(found.contender(&ground)?);
    }
    let mut standing = ground.score(&contenders);
    let ensemble = together.judged(&mut standing, ground.metric)?;
    let rows = ground.vault.len();
    let groups = ground.vault_groups();
    let is_linear = ground.is_linear(&best);
    let verdict = verdict(&standing, ground.metric, (rows, groups), is_linear);
    let mut scored = standing.scored;
    let conclusion = Conclusion {
        trial: best.id,
        network: best.candidate.architecture.clone(),
        metric: ground.metric,
        winner: scored.remove(0),
        baselines: scored,
        absent,
        verdict,
        vault_rows: rows,
        vault_groups: groups,
        validation_rows: ground.validation.len(),
        folds: ground.folds.count(),
        repeats: ground.folds.repeats(),
        cost: model.card.architecture.cost(),
        latency_seconds: measured_latency(&model.card.architecture).map_err(ModelError::from)?,
        retrained: retrained(&best, &trials, ground.metric),
        front,
        ensemble,
        certificate,
        refused: exporter.refused,
        details,
    };
    Ok(Some((conclusion, model)))
}

/// Writes the models that none beats in all objectives, if there are several.
fn front(
    folder: &StudyFolder,
    config: &StudyConfig,
    ground: &Ground,
    trials: &[Trial],
    exporter: &mut Exporter,
) -> Result<Vec<FrontModel>, ConcludeError> {
    let objectives = &config.search.objectives;
    if objectives.is_empty() {
        return Ok(Vec::new());
    }
    let front = front_of(trials, objectives, ground.metric, ground.folds.networks());
    if !front.is_empty() {
        for model in write_front(folder, ground, trials, &front)? {
            let place = folder.front().join(files_of(model.card.trial));
            exporter.write(&model, &place, FRONT_ROWS)?;
        }
    }
    Ok(front)
}

impl Ground {
    fn open(folder: &StudyFolder, config: &StudyConfig) -> Result<Ground, ConcludeError> {
        let files = PreparedFiles::at(&folder.prepared());
        let preprocessor = files.read_preprocessor()?;
        let metric = config
            .metric
            .expect("a study's metric is decided when it is made");
        Ok(Ground {
            constant: constant(&PreparedFiles::load(&files.train)?, metric),
            validation: PreparedFiles::load(&files.validation)?,
            vault: PreparedFiles::load(&files.vault)?,
            row_names: row_names(&files)?,
            folds: files.read_folds()?,
            metric,
            scale: target_scale(&preprocessor),
            seed: config.seed,
            preprocessor,
            files,
        })
    }

    /// A trial's networks, and what they say of the validation rows.
    ///
    /// With cross-validation each row is told of by those networks that have not learned from it: the mean of all
    /// has learned from every row.
    fn told(
        &self,
        folder: &StudyFolder,
        trial: &Trial,
    ) -> Result<(Vec<Weights>, Vec<f32>), ConcludeError> {
        let members = members_of(folder, trial)?;
        let architecture = &trial.candidate.architecture;
        let outputs = self.folds.told(&self.validation, &|network, rows| {
            network_outputs(architecture, &members[network.min(members.len() - 1)], rows)
        })?;
        Ok((members, outputs))
    }

    /// A trial's model with probabilities that fit the validation rows, and what is said of these.
    fn calibrated(
        &self,
        folder: &StudyFolder,
        trial: &Trial,
    ) -> Result<(Model, Vec<f32>), ConcludeError> {
        let (members, outputs) = self.told(folder, trial)?;
        // Its trainer has made sure that the members fit into one network.
        let network =
            mean_of_members(&trial.candidate.architecture, &members).map_err(|source| {
                ConcludeError::Members {
                    trial: trial.id,
                    source,
                }
            })?;
        let calibration = self.calibration_of(&outputs);
        Ok((self.model(trial, Vec::new(), network, calibration), outputs))
    }

    /// The model of a trial, or of several of which this one counts most.
    fn model(
        &self,
        trial: &Trial,
        members: Vec<EnsembleMember>,
        (architecture, weights): (Architecture, Weights),
        calibration: Calibration,
    ) -> Model {
        let card = ModelCard {
            format: FORMAT,
            trial: trial.id,
            members,
            architecture,
            setting: trial.candidate.setting.clone(),
            preprocessor: self.preprocessor.clone(),
            calibration,
            weights: Digest::of(&weights.to_safetensors()),
        };
        Model { card, weights }
    }

    /// What makes probabilities of these outputs fit the validation rows.
    fn calibration_of(&self, outputs: &[f32]) -> Calibration {
        let (targets, weights) = (self.validation.targets(), self.validation.weights());
        Calibration::fit(outputs, targets, weights, self.metric)
    }

    fn contender(&self, name: &str, model: &Model, trial: &Trial) -> Result<Contender, ModelError> {
        let metrics = trial.result().map(|result| &result.metrics);
        Ok(Contender {
            name: name.to_string(),
            about: String::new(),
            validation: metrics.and_then(|metrics| metrics.get(&self.metric).copied()),
            vault: model.outputs(&self.vault)?,
            calibration: model.card.calibration,
        })
    }

    /// How many values every network puts out for a row.
    fn outputs(&self) -> usize {
        match self.preprocessor.task() {
            FittedTask::Classification { classes } => classes.len(),
            FittedTask::Regression { .. } => 1,
        }
    }

    fn score(&self, contenders: &[Contender]) -> Standing {
        let groups = &self.row_names.vault_groups;
        score(
            contenders,
            &self.vault,
            groups,
            self.metric,
            self.scale,
            self.seed,
        )
    }

    /// Groups that the rows of the vault are of, if they come in groups.
    fn vault_groups(&self) -> Option<usize> {
        let groups: BTreeSet<&u32> = self.row_names.vault_groups.iter().collect();
        (!groups.is_empty()).then_some(groups.len())
    }

    /// Whether a trial's network is the linear model, however it was proposed and trained.
    fn is_linear(&self, trial: &Trial) -> bool {
        let task = network_task(&self.preprocessor);
        let own = trial.candidate.architecture.canonical_hash();
        own == linear(&task).canonical_hash()
    }

    /// The simple models on the same rows, and those that are not there.
    fn baselines(
        &self,
        folder: &StudyFolder,
        trials: &[Trial],
    ) -> Result<(Vec<Contender>, Vec<Absent>), ConcludeError> {
        let mut found = vec![self.constant()];
        let mut absent = Vec::new();
        let mut miss = |name: &str, reason: String| {
            absent.push(Absent {
                name: name.to_string(),
                reason,
            });
        };
        match trials.iter().find(|trial| is_linear_baseline(trial)) {
            Some(trial) => {
                let (linear, _) = self.calibrated(folder, trial)?;
                found.push(self.contender("a linear model", &linear, trial)?);
            }
            None => miss("a linear model", why_no_linear_model(trials).into()),
        }
        match (self.preprocessor.columns(), TreesRecord::read(folder)) {
            (None, _) => miss(TREES, "they are compared on tables only".into()),
            (_, Some(TreesRecord::Grown(trees))) => {
                let validation =
                    trees.validation_outputs(&self.validation, &self.folds, &self.preprocessor);
                let vault = trees.outputs(&self.vault, &self.preprocessor);
                found.push(Contender {
                    name: match trees.growth {
                        Growth::Unfinished => YOUNG_TREES.to_string(),
                        Growth::Whole | Growth::CutShort => TREES.to_string(),
                    },
                    about: trees.about(),
                    validation: trees.validation.get(&self.metric).copied(),
                    vault,
                    calibration: self.calibration_of(&validation),
                });
            }
            (_, Some(TreesRecord::Failed { reason })) => {
                let reason = format!("{reason}; the same command grows them again");
                miss(TREES, reason);
            }
            (_, None) => miss(
                TREES,
                "they have not been grown yet: the same command goes on".into(),
            ),
        }
        Ok((found, absent))
    }

    /// What always saying the same reaches.
    fn constant(&self) -> Contender {
        let (name, output) = &self.constant;
        let repeated = |examples: &Examples| output.repeat(examples.len());
        let validation = Calibration::default().evaluate(
            &repeated(&self.validation),
            self.validation.targets(),
            self.validation.weights(),
            self.scale,
        );
        Contender {
            name: name.to_string(),
            about: String::new(),
            validation: validation.metrics.get(&self.metric).copied(),
            vault: repeated(&self.vault),
            calibration: Calibration::default(),
        }
    }
}

/// What rows are called, and their groups. Studies of earlier versions did not write it down; where it was and cannot
/// be read, rows of one group must not pass for so many.
fn row_names(files: &PreparedFiles) -> Result<RowNames, PrepareError> {
    match files.row_names.exists() {
        true => files.read_row_names(),
        false => Ok(RowNames::default()),
    }
}

/// All trainings of the winner, if there was more than one.
fn retrained(best: &Trial, trials: &[Trial], metric: Metric) -> Vec<Retrained> {
    let first = best.candidate.retrains().unwrap_or(best.id);
    let of_winner = |trial: &&Trial| trial.id == first || trial.candidate.retrains() == Some(first);
    let shown = |trial: &Trial| Retrained {
        trial: trial.id,
        start: match trial.candidate.origin {
            Origin::Retrained { start, .. } => Some(start),
            _ => None,
        },
        validation: trial
            .result()
            .and_then(|result| result.metrics.get(&metric).copied()),
    };
    let all: Vec<Retrained> = trials.iter().filter(of_winner).map(shown).collect();
    match all.len() {
        1 => Vec::new(),
        _ => all,
    }
}

pub(crate) fn is_linear_baseline(trial: &Trial) -> bool {
    trial.result().is_some() && is_named_linear(trial)
}

fn is_named_linear(trial: &Trial) -> bool {
    matches!(&trial.candidate.origin, Origin::Seed { name } if name == LINEAR_BASELINE)
}

/// Why there is no score of a linear model.
fn why_no_linear_model(trials: &[Trial]) -> &'static str {
    match trials.iter().any(is_named_linear) {
        true => "its training has not ended with a score",
        false => "it is larger or slower than the limits of the study allow",
    }
}

/// The networks that a finished trial has trained: one, or one for each fold of each deal.
fn members_of(folder: &StudyFolder, trial: &Trial) -> Result<Vec<Weights>, ConcludeError> {
    let result = trial
        .result()
        .ok_or(LedgerError::NoSuchTrial { trial: trial.id })?;
    let weights = weights_of(folder)?;
    // Kept until it is read: where weights are in a store, they are brought here first.
    let _in_use = match weights.provide(&result.artifact) {
        // Reading it says what is wrong, and what to do.
        Err(StoreError::Missing { .. }) => None,
        provided => Some(provided?),
    };
    let bytes = ArtifactStore::at(&folder.artifacts()).get(&result.artifact)?;
    Ok(members_from_safetensors(
        &bytes,
        &trial.candidate.architecture,
    )?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::sweep::tests::{running, seed, trial};

    #[test]
    fn a_linear_model_that_was_never_tried_is_absent_for_another_reason_than_one_without_a_score() {
        let tried = trial(1, seed(LINEAR_BASELINE), running());
        let other = trial(2, seed("mlp"), running());
        let why = why_no_linear_model(&[other.clone(), tried]);
        assert_eq!(why, "its training has not ended with a score");
        let why = why_no_linear_model(&[other]);
        assert!(why.contains("the limits of the study"), "{why}");
    }

    #[test]
    fn names_of_rows_may_be_missing_but_not_damaged() {
        let place = tempfile::tempdir().unwrap();
        let files = PreparedFiles::at(place.path());
        assert_eq!(row_names(&files).unwrap(), RowNames::default());
        let whole = r#"{"validation": [], "vault": ["1"], "vault_groups": [4]}"#;
        fs::write(&files.row_names, whole).unwrap();
        assert_eq!(row_names(&files).unwrap().vault_groups, [4]);
        fs::write(&files.row_names, &whole[..40]).unwrap();
        let error = row_names(&files).unwrap_err().to_string();
        assert!(error.contains("rows.json"), "{error}");
    }
}
