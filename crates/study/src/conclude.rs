//! The end of an exploration: the best trial becomes a model, and is scored on rows that no search
//! and no trainer has seen. This is the only place that opens the vault.

mod export;

use std::{collections::BTreeMap, fs, path::Path};

use data::{Examples, Targets};
use morph::{Architecture, ArchitectureError, Cost};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::{Origin, Restart, TrialId};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use train::{
    Evaluation, Metric,
    ensemble::{mean_of_members, members_from_safetensors},
    evaluate_weighted,
};

use self::export::{Exporter, FRONT_ROWS};
pub use self::export::{Refused, export, write_script};
use crate::{
    artifact::{ArtifactError, ArtifactStore, replace_durably},
    certificate::{Certificate, CertifyError, ROWS_MAX},
    config::StudyConfig,
    folder::StudyFolder,
    front::{FrontModel, files_of, front_csv, front_files, front_of},
    latency::measured_latency,
    ledger::{Ledger, LedgerError},
    model::{FORMAT, Model, ModelCard, ModelError},
    open::LINEAR_BASELINE,
    prepared::{PrepareError, PreparedFiles, fold_count, target_scale},
    trial::{Digest, Trial, TrialResult, notation},
};

/// Draws of the bootstrap behind an interval.
const BOOTSTRAP_DRAWS: usize = 1000;

/// Why a study could not be concluded.
#[derive(Debug, Error)]
pub enum ConcludeError {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The prepared rows.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The winner's weights.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
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
        source: std::io::Error,
    },
}

/// A value with the interval that 95 % of repetitions would cover.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct WithInterval {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One model beside others: the winner, or a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// What it is.
    pub name: String,
    /// The metric on the validation rows, which the search has seen; absent for a constant.
    pub validation: Option<f64>,
    /// The metric on the vault's rows, which nothing has seen before.
    pub vault: Option<WithInterval>,
    /// Every metric on the vault's rows.
    pub vault_metrics: BTreeMap<Metric, f64>,
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
    /// Rows of the vault.
    pub vault_rows: usize,
    /// Rows of the validation split.
    pub validation_rows: usize,
    /// Folds of the cross-validation; 1 without.
    #[serde(default = "one_fold")]
    pub folds: u8,
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
    /// What the winner's ONNX file was found to do; absent if there is none.
    pub certificate: Option<Certificate>,
    /// Models without an ONNX file, because it would have said something else than lehr.
    pub refused: Vec<Refused>,
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

fn one_fold() -> u8 {
    1
}

fn no_cost() -> Cost {
    Cost {
        parameters: 0,
        flops: 0,
        activation_bytes: 0,
    }
}

/// Writes the best model so far into `best/` and says how good it is; `None` if no trial has ended
/// with a score.
///
/// # Errors
/// If an artifact is damaged or a file cannot be written.
pub fn conclude(
    folder: &StudyFolder,
    config: &StudyConfig,
    ledger: &Ledger,
) -> Result<Option<(Conclusion, Model)>, ConcludeError> {
    let trials = ledger.trials()?;
    write_leaderboard(folder, config, &trials)?;
    let Some(best) = ledger.best()? else {
        return Ok(None);
    };
    let files = PreparedFiles::at(&folder.prepared());
    let judge = Judge {
        metric: config
            .metric
            .expect("a study's metric is decided when it is made"),
        vault: PreparedFiles::load(&files.vault)?,
        train: PreparedFiles::load(&files.train)?.targets().clone(),
        scale: target_scale(&files.read_preprocessor()?),
        seed: config.seed,
    };
    let model = model_of(folder, &files, &best)?;
    model.save(&folder.best())?;
    let mut exporter = Exporter::open(&files)?;
    let certificate = exporter.write(&model, &folder.best(), ROWS_MAX)?;
    let objectives = &config.search.objectives;
    let front = match objectives.is_empty() {
        true => Vec::new(),
        false => front_of(&trials, objectives, judge.metric),
    };
    if !front.is_empty() {
        for model in write_front(folder, &files, &trials, &front, judge.metric)? {
            let place = folder.front().join(files_of(model.card.trial));
            exporter.write(&model, &place, FRONT_ROWS)?;
        }
    }
    let winner = judge.score("the winner", &model, best.result())?;
    let mut baselines = vec![judge.constant()];
    if let Some(trial) = trials.iter().find(|trial| is_linear_baseline(trial)) {
        let linear = model_of(folder, &files, trial)?;
        baselines.push(judge.score("a linear model", &linear, trial.result())?);
    }
    let conclusion = Conclusion {
        trial: best.id,
        network: best.candidate.architecture.clone(),
        metric: judge.metric,
        winner,
        baselines,
        vault_rows: judge.vault.len(),
        validation_rows: PreparedFiles::load(&files.validation)?.len(),
        folds: fold_count(&files.read_folds()?),
        cost: model.card.architecture.cost(),
        latency_seconds: measured_latency(&model.card.architecture).map_err(ModelError::from)?,
        retrained: retrained(&best, &trials, judge.metric),
        front,
        certificate,
        refused: exporter.refused,
    };
    Ok(Some((conclusion, model)))
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

/// Writes the table of the front and the models that are written of it.
fn write_front(
    folder: &StudyFolder,
    files: &PreparedFiles,
    trials: &[Trial],
    front: &[FrontModel],
    metric: Metric,
) -> Result<Vec<Model>, ConcludeError> {
    let mut models = Vec::new();
    let writing = |path: &Path, source| ConcludeError::Write {
        path: path.display().to_string(),
        source,
    };
    let root = folder.front();
    fs::create_dir_all(&root).map_err(|source| writing(&root, source))?;
    for chosen in front_files(front) {
        let trial = trials.iter().find(|trial| trial.id == chosen.trial);
        let trial = trial.expect("a front is made of these trials");
        let place = root.join(files_of(chosen.trial));
        fs::create_dir_all(&place).map_err(|source| writing(&place, source))?;
        let model = model_of(folder, files, trial)?;
        model.save(&place)?;
        models.push(model);
    }
    let table = root.join("front.csv");
    replace_durably(&table, front_csv(front, metric).as_bytes())
        .map_err(|source| writing(&table, source))?;
    Ok(models)
}

fn is_linear_baseline(trial: &Trial) -> bool {
    let named =
        |origin: &Origin| matches!(origin, Origin::Seed { name } if name == LINEAR_BASELINE);
    trial.result().is_some() && named(&trial.candidate.origin)
}

/// The model that a finished trial has trained.
///
/// # Errors
/// If its artifact is missing or damaged.
pub fn model_of(
    folder: &StudyFolder,
    files: &PreparedFiles,
    trial: &Trial,
) -> Result<Model, ConcludeError> {
    let result = trial
        .result()
        .ok_or(LedgerError::NoSuchTrial { trial: trial.id })?;
    let bytes = ArtifactStore::at(&folder.artifacts()).get(&result.artifact)?;
    let members = members_from_safetensors(&bytes, &trial.candidate.architecture)?;
    // Its trainer has made sure that the members fit into one network.
    let (architecture, weights) = mean_of_members(&trial.candidate.architecture, &members)
        .map_err(|source| ConcludeError::Members {
            trial: trial.id,
            source,
        })?;
    let card = ModelCard {
        format: FORMAT,
        trial: trial.id,
        architecture,
        setting: trial.candidate.setting.clone(),
        preprocessor: files.read_preprocessor()?,
        weights: Digest::of(&weights.to_safetensors()),
    };
    Ok(Model { card, weights })
}

/// Scores models on the vault.
struct Judge {
    metric: Metric,
    vault: Examples,
    train: Targets,
    scale: f64,
    seed: u64,
}

impl Judge {
    fn score(
        &self,
        name: &str,
        model: &Model,
        result: Option<&TrialResult>,
    ) -> Result<Scored, ConcludeError> {
        let validation = result
            .and_then(|result| result.metrics.get(&self.metric))
            .copied();
        if self.vault.is_empty() {
            let vault_metrics = BTreeMap::new();
            return Ok(Scored {
                name: name.to_string(),
                validation,
                vault: None,
                vault_metrics,
            });
        }
        Ok(self.scored(name, validation, &model.outputs(&self.vault)?))
    }

    /// What always saying the same reaches: the commonest class, or the mean.
    fn constant(&self) -> Scored {
        let (name, outputs) = match &self.train {
            Targets::Classes { ids, count } => {
                let mut counts = vec![0_f32; *count as usize];
                ids.iter().for_each(|id| counts[*id as usize] += 1.0);
                let total: f32 = counts.iter().sum();
                // Logits whose softmax is the share of each class.
                let logits = counts
                    .iter()
                    .map(|count| (count.max(0.5) / total).ln())
                    .collect();
                ("the commonest class", logits)
            }
            _ => ("the mean", vec![0.0]),
        };
        if self.vault.is_empty() {
            let vault_metrics = BTreeMap::new();
            return Scored {
                name: name.into(),
                validation: None,
                vault: None,
                vault_metrics,
            };
        }
        let repeated: Vec<f32> = outputs.repeat(self.vault.len());
        self.scored(name, None, &repeated)
    }

    fn scored(&self, name: &str, validation: Option<f64>, outputs: &[f32]) -> Scored {
        let (targets, weights) = (self.vault.targets(), self.vault.weights());
        let Evaluation { metrics, .. } = evaluate_weighted(outputs, targets, weights, self.scale);
        let value = metrics.get(&self.metric).copied().unwrap_or(f64::NAN);
        let vault = Some(self.interval(value, outputs));
        Scored {
            name: name.to_string(),
            validation,
            vault,
            vault_metrics: metrics,
        }
    }

    fn interval(&self, value: f64, outputs: &[f32]) -> WithInterval {
        let rows = self.vault.len();
        if self.metric == Metric::Accuracy && self.vault.weights().is_none() {
            return wilson(value, rows);
        }
        let width = outputs.len() / rows;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut values: Vec<f64> = (0..BOOTSTRAP_DRAWS)
            .filter_map(|_| {
                let drawn: Vec<usize> = (0..rows).map(|_| rng.random_range(0..rows)).collect();
                let outputs: Vec<f32> = drawn
                    .iter()
                    .flat_map(|row| outputs[row * width..(row + 1) * width].iter().copied())
                    .collect();
                let targets = chosen(self.vault.targets(), &drawn);
                let weights = self.vault.weights();
                let weights: Option<Vec<f32>> =
                    weights.map(|weights| drawn.iter().map(|row| weights[*row]).collect());
                evaluate_weighted(&outputs, &targets, weights.as_deref(), self.scale)
                    .metrics
                    .get(&self.metric)
                    .copied()
            })
            .filter(|value| value.is_finite())
            .collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = (share * values.len() as f64) as usize;
            values
                .get(index.min(values.len().saturating_sub(1)))
                .copied()
                .unwrap_or(value)
        };
        WithInterval {
            value,
            low: at(0.025),
            high: at(0.975),
        }
    }
}

fn chosen(targets: &Targets, rows: &[usize]) -> Targets {
    match targets {
        Targets::Classes { ids, count } => Targets::Classes {
            ids: rows.iter().map(|row| ids[*row]).collect(),
            count: *count,
        },
        Targets::Values(values) => Targets::Values(rows.iter().map(|row| values[*row]).collect()),
        Targets::None => Targets::None,
    }
}

/// The interval of a share, right also near 0 and 1.
///
/// # Source
/// Wilson 1927; 1.96 is the normal quantile of 97.5 %.
fn wilson(share: f64, rows: usize) -> WithInterval {
    const Z: f64 = 1.959_964;
    let n = rows as f64;
    let denominator = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / denominator;
    let half = Z / denominator * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    WithInterval {
        value: share,
        low: (centre - half).max(0.0),
        high: (centre + half).min(1.0),
    }
}

fn write_leaderboard(
    folder: &StudyFolder,
    config: &StudyConfig,
    trials: &[Trial],
) -> Result<(), ConcludeError> {
    let metric = config
        .metric
        .expect("a study's metric is decided when it is made");
    let mut finished: Vec<(&Trial, &TrialResult)> = trials
        .iter()
        .filter_map(|trial| Some((trial, trial.result()?)))
        .collect();
    finished.sort_by(|(_, a), (_, b)| b.score.total_cmp(&a.score).then(a.loss.total_cmp(&b.loss)));
    let mut table = format!("rank,trial,{metric},loss,parameters,seconds,epochs,architecture\n");
    for (rank, (trial, result)) in finished.iter().enumerate() {
        let value = result.metrics.get(&metric).copied().unwrap_or(f64::NAN);
        table.push_str(&format!(
            "{},{},{value},{},{},{:.3},{},\"{}\"\n",
            rank + 1,
            trial.id,
            result.loss,
            trial.candidate.architecture.cost().parameters,
            result.seconds,
            result.curve.len(),
            trial.candidate.architecture,
        ));
    }
    let path = folder.leaderboard();
    replace_durably(&path, table.as_bytes()).map_err(|source| ConcludeError::Write {
        path: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_perfect_share_is_not_a_point() {
        let interval = wilson(1.0, 360);
        assert!((interval.low - 0.98944).abs() < 1e-4, "{interval:?}");
        assert_eq!(interval.high, 1.0);
    }

    #[test]
    fn the_interval_of_a_share_matches_the_textbook() {
        // 45 of 50: 0.7864 to 0.9565 by Wilson's formula.
        let interval = wilson(0.9, 50);
        assert!((interval.low - 0.7864).abs() < 1e-4, "{interval:?}");
        assert!((interval.high - 0.9565).abs() < 1e-4, "{interval:?}");
    }
}
