//! From a user's file to what trainers load: read, split, preprocessing fitted on the training rows
//! only, and three files of rows. The vault's rows are in a file that no trainer is ever told of.
//! Training rows beyond those that fit into memory are in a fourth, which `conversion` makes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data::{
    DataError, Examples, FittedInputs, FittedTask, FittedText, Notice, Preprocessor, Profile,
    ReadLimits, Request, Sample, Sides, Source, Split, SplitShares, TextUnit,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{Task, Tokens};
use thiserror::Error;
use train::{ClassWeights, Metric, input_shape};

use crate::{
    artifact::write_durably,
    balance::{Balance, balance},
    certificate::ROWS_MAX,
    config::StudyConfig,
    conversion::converted,
    folding::cross_validation,
    folds::Folds,
};

/// Why data could not be prepared.
#[derive(Debug, Error)]
pub enum PrepareError {
    /// The data are not usable.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The metric does not fit the task.
    #[error("the metric `{metric}` does not fit {task}: choose one of {}", .usable.join(", "))]
    Metric {
        /// The metric asked for.
        metric: Metric,
        /// What the data are.
        task: &'static str,
        /// Which would fit.
        usable: Vec<String>,
    },
    /// A file of the study could not be written or read.
    #[error("{} could not be {action}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The disk is too small for what does not fit into memory.
    #[error(
        "the {rows} rows that do not fit into memory take about {needed_bytes} bytes in {}, where \
         {free_bytes} are free: free some, or set XDG_CACHE_HOME to a folder on a larger disk",
        .folder.display()
    )]
    DiskFull {
        /// How many rows.
        rows: u64,
        /// What they take.
        needed_bytes: u64,
        /// What there is.
        free_bytes: u64,
        /// Where.
        folder: PathBuf,
    },
    /// A record on disk cannot be understood.
    #[error("{} is no record of this version", .path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

/// Data, read and split, not yet on disk.
#[derive(Debug)]
pub struct PreparedData {
    /// What was read.
    pub source: Source,
    /// Which row is for what.
    pub split: Split,
    /// With cross-validation, how training rows are dealt into folds; these validate too.
    pub folds: Folds,
    /// How raw rows become numbers.
    pub preprocessor: Preprocessor,
    /// What decides between trials.
    pub metric: Metric,
    /// How much classes weigh in the loss.
    pub class_weights: ClassWeights,
    /// The shares that were taken.
    pub shares: SplitShares,
    /// What the data are like.
    pub profile: Profile,
}

impl PreparedData {
    /// What is said before a study: what was noticed while reading, then what the profile found.
    pub fn notices(&self) -> Vec<Notice> {
        let found = self
            .profile
            .findings
            .iter()
            .filter_map(data::Finding::notice);
        self.source.notices.iter().cloned().chain(found).collect()
    }

    /// Rows that are learned from, those that are not held in memory among them.
    pub fn train_rows(&self) -> usize {
        let beyond = self.source.beyond.as_ref();
        self.split.train.len() + beyond.map_or(0, |beyond| beyond.rows_left() as usize)
    }

    /// Rows as trainers load them, with their weights.
    fn examples(&self, rows: &[u32]) -> Result<Examples, DataError> {
        let examples = self.preprocessor.apply(&self.source.dataset, rows)?;
        let Some(weights) = &self.source.facts.weights else {
            return Ok(examples);
        };
        let weights: Vec<f64> = rows.iter().map(|row| weights[*row as usize]).collect();
        Ok(examples.with_weights(&weights))
    }
}

/// Reads and splits the data of a study and fits its preprocessing.
///
/// # Errors
/// Whatever is wrong with the data, or a metric that does not fit them.
pub fn prepare(config: &StudyConfig) -> Result<PreparedData, PrepareError> {
    let source = data::read(&request(config))?;
    let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
    let apart = data::split(&source, config.split, &mut rng)?;
    let mut split = apart.clone();
    let (folds, folding) = cross_validation(config, &source, &mut split, &mut rng)?;
    // Of the rows that will be learned from, not of those that would have been without folds.
    let mut profile = match folds.is_empty() {
        true => data::profile(&source, &apart),
        false => data::profile::profile_folded(&source, &apart),
    };
    profile.add(folding);
    let preprocessor = Preprocessor::fit(&source, &split.train)?.written_as(config.dialect);
    let usual = usual_metric(config.metric, preprocessor.task())?;
    let Balance {
        metric,
        class_weights,
        finding,
    } = balance(
        &profile.target,
        usual,
        config.metric,
        config.training.class_weights,
    );
    profile.add(finding);
    let shares = SplitShares {
        vault: Some(config.split.vault_share()),
        ..config.split
    };
    Ok(PreparedData {
        source,
        split,
        folds,
        preprocessor,
        metric,
        class_weights,
        shares,
        profile,
    })
}

/// What the data room is asked to read.
pub fn request(config: &StudyConfig) -> Request {
    let usual = config.read.limits();
    let limits = ReadLimits {
        image_side_max: config.image_size.unwrap_or(usual.image_side_max),
        ..usual
    };
    Request {
        limits,
        path: config.data.clone(),
        test: config.test.clone(),
        validation: config.validation.clone(),
        roles: config.roles.clone(),
        steps: config.steps.clone(),
        target: config.target.clone(),
        ignore: config.ignore.clone(),
        columns: config.columns.clone(),
        header: config.header,
        dialect: config.dialect,
        kind: config.kind,
        task: config.task,
    }
}

/// The usual metric of a task; refuses one that was asked for and does not fit it.
fn usual_metric(asked: Option<Metric>, task: &FittedTask) -> Result<Metric, PrepareError> {
    let (kind, usable): (_, &[Metric]) = match task {
        FittedTask::Classification { .. } => (
            "a classification",
            &[
                Metric::Accuracy,
                Metric::BalancedAccuracy,
                Metric::F1Macro,
                Metric::Mcc,
                Metric::Auc,
                Metric::LogLoss,
            ],
        ),
        FittedTask::Regression { .. } => ("a regression", &[Metric::Rmse, Metric::Mae, Metric::R2]),
    };
    if let Some(metric) = asked.filter(|metric| !usable.contains(metric)) {
        let usable = usable.iter().map(Metric::to_string).collect();
        return Err(PrepareError::Metric {
            metric,
            task: kind,
            usable,
        });
    }
    Ok(usable[0])
}

/// Where prepared rows lie.
#[derive(Clone, Debug)]
pub struct PreparedFiles {
    /// Rows that are learned from.
    pub train: PathBuf,
    /// More of them, if they do not fit into memory; otherwise there is no such file.
    pub rest: PathBuf,
    /// Rows that decide between trials.
    pub validation: PathBuf,
    /// Rows that only the final score sees.
    pub vault: PathBuf,
    /// Some of the vault's rows as they were read, or of the validation rows if there is no vault.
    pub raw_vault: PathBuf,
    /// How raw rows become numbers.
    pub preprocessor: PathBuf,
    /// With cross-validation, how training rows are dealt into folds.
    pub folds: PathBuf,
    /// What was said about the data.
    pub notices: PathBuf,
    /// What the data are like.
    pub profile: PathBuf,
    /// What a user calls the rows that are scored.
    pub row_names: PathBuf,
}

impl PreparedFiles {
    /// The files in this directory.
    pub fn at(directory: &Path) -> PreparedFiles {
        PreparedFiles {
            train: directory.join("train.safetensors"),
            rest: directory.join("train.shards"),
            validation: directory.join("validation.safetensors"),
            vault: directory.join("vault.safetensors"),
            raw_vault: directory.join("raw-vault.json"),
            preprocessor: directory.join("preprocessor.json"),
            folds: directory.join("folds.json"),
            notices: directory.join("notices.json"),
            profile: directory.join("profile.json"),
            row_names: directory.join("rows.json"),
        }
    }

    /// Those that a node needs; the vault is not among them.
    pub(crate) fn names_for_nodes() -> [&'static str; 5] {
        [
            "train.safetensors",
            "train.shards",
            "validation.safetensors",
            "preprocessor.json",
            "folds.json",
        ]
    }

    /// Writes all of them.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn write(&self, prepared: &PreparedData) -> Result<(), PrepareError> {
        let held = prepared.examples(&prepared.split.train)?;
        let (train, converting) = converted(prepared, held, &self.rest)?;
        train.save(&self.train)?;
        let rows = [
            (&self.validation, &prepared.split.validation),
            (&self.vault, &prepared.split.vault),
        ];
        for (path, rows) in rows {
            prepared.examples(rows)?.save(path)?;
        }
        let split = &prepared.split;
        let raw = match split.vault.is_empty() {
            true => &split.validation,
            false => &split.vault,
        };
        Sample::of(&prepared.source.dataset, raw, ROWS_MAX).save(&self.raw_vault)?;
        let described = Described {
            data: prepared.source.description.clone(),
            notices: [prepared.notices(), converting].concat(),
        };
        write_json(&self.folds, &prepared.folds)?;
        write_json(&self.profile, &prepared.profile)?;
        let named = |rows: &[u32]| -> Vec<String> {
            rows.iter()
                .map(|row| prepared.source.row_name(*row))
                .collect()
        };
        let names = RowNames {
            validation: named(&prepared.split.validation),
            vault: named(&prepared.split.vault),
            vault_groups: groups_of(&prepared.source, &prepared.split.vault),
        };
        write_json(&self.row_names, &names)?;
        write_json(&self.preprocessor, &prepared.preprocessor)?;
        write_json(&self.notices, &described)
    }

    /// Reads the preprocessing back.
    ///
    /// # Errors
    /// If it is missing or of another version.
    pub fn read_preprocessor(&self) -> Result<Preprocessor, PrepareError> {
        read_json(&self.preprocessor)
    }

    /// Reads back how training rows are dealt into folds; older studies have no cross-validation.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn read_folds(&self) -> Result<Folds, PrepareError> {
        match self.folds.exists() {
            true => read_json(&self.folds),
            false => Ok(Folds::default()),
        }
    }

    /// Reads back what was said about the data.
    ///
    /// # Errors
    /// If it is missing.
    pub fn read_described(&self) -> Result<Described, PrepareError> {
        read_json(&self.notices)
    }

    /// Reads the profile back.
    ///
    /// # Errors
    /// If it is missing, as in a study that an earlier version made.
    pub fn read_profile(&self) -> Result<Profile, PrepareError> {
        read_json(&self.profile)
    }

    /// Reads back what a user calls the rows that are scored.
    ///
    /// # Errors
    /// If it is missing: studies of earlier versions have none.
    pub fn read_row_names(&self) -> Result<RowNames, PrepareError> {
        read_json(&self.row_names)
    }

    /// Loads prepared rows.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn load(path: &Path) -> Result<Examples, PrepareError> {
        Ok(Examples::load(path)?)
    }
}

/// The numbers of these rows' groups; nothing if rows do not come in groups, or those given apart do not.
fn groups_of(source: &Source, rows: &[u32]) -> Vec<u32> {
    let Sides::Groups(numbers) = &source.facts.sides else {
        return Vec::new();
    };
    let numbers = rows.iter().map(|row| numbers.get(*row as usize).copied());
    numbers.collect::<Option<_>>().unwrap_or_default()
}

/// What a user calls the rows that are scored, in their prepared order.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RowNames {
    /// Validation rows.
    pub validation: Vec<String>,
    /// Rows of the vault.
    pub vault: Vec<String>,
    /// If the split keeps groups together, the number of the group of each row of the vault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vault_groups: Vec<u32>,
}

/// What was said about the data when they were read.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Described {
    /// One line: kind, rows, columns or size, classes.
    pub data: String,
    /// What was noticed.
    pub notices: Vec<Notice>,
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), PrepareError> {
    let bytes = serde_json::to_vec_pretty(value).expect("our records have string keys only");
    write_durably(path, &bytes).map_err(|source| PrepareError::File {
        path: path.to_path_buf(),
        action: "written",
        source,
    })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, PrepareError> {
    let bytes = fs::read(path).map_err(|source| PrepareError::File {
        path: path.to_path_buf(),
        action: "read",
        source,
    })?;
    serde_json::from_slice(&bytes).map_err(|source| PrepareError::Record {
        path: path.to_path_buf(),
        source,
    })
}

/// What networks for these data take and give.
pub fn network_task(preprocessor: &Preprocessor) -> Task {
    let tokens = match preprocessor.inputs() {
        FittedInputs::Text(FittedText { unit, codes, .. }) => Some(match (unit, *codes) {
            (TextUnit::Word, codes) => Tokens::Words { codes },
            (TextUnit::Character, codes) => Tokens::Characters { codes },
        }),
        _ => None,
    };
    let outputs = match preprocessor.task() {
        FittedTask::Classification { classes } => classes.len() as u32,
        FittedTask::Regression { .. } => 1,
    };
    Task {
        input: input_shape(preprocessor.item()),
        tokens,
        outputs,
    }
}

/// Factor from standardised targets to the target's own unit; 1 for classes.
pub fn target_scale(preprocessor: &Preprocessor) -> f64 {
    match preprocessor.task() {
        FittedTask::Classification { .. } => 1.0,
        FittedTask::Regression { scale, .. } => *scale,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use data::{
        FittedKind, Part, Roles,
        profile::{ColumnValues, PartRows},
    };
    use search::{Rungs, SearchSettings};

    use super::*;
    use crate::config::{Budget, Inherit, Resources, Retrain, TrainingSettings};

    /// A study of these data in which nothing is asked for.
    pub(crate) fn config_of(data: PathBuf) -> StudyConfig {
        StudyConfig {
            data,
            test: None,
            validation: None,
            roles: Roles::default(),
            target: None,
            ignore: Vec::new(),
            image_size: None,
            read: data::ReadMax::default(),
            columns: data::ColumnKinds::default(),
            header: data::HeaderLine::Guess,
            dialect: data::Dialect::default(),
            kind: None,
            task: None,
            metric: None,
            seed: 1,
            budget: Budget {
                seconds: None,
                trials: Some(1),
            },
            folds: None,
            repeats: None,
            ensemble: None,
            steps: None,
            split: SplitShares::default(),
            resources: Resources {
                workers: 1,
                slots: 1,
                threads: 1,
                memory_bytes_max: None,
            },
            training: TrainingSettings {
                epochs: None,
                epochs_inherited: None,
                patience: None,
                class_weights: None,
                precision: train::Precision::F32,
                rungs: Rungs::default(),
                inherit: Inherit::default(),
                retrain: Retrain::default(),
            },
            search: SearchSettings::default(),
        }
    }

    #[test]
    fn the_profile_of_rows_that_are_folded_counts_those_that_are_fitted() {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "size,city,copy,answer\n".to_string();
        for row in 0..120 {
            let answer = ["no", "yes"][row % 2];
            text += &format!("{},c{},{answer},{answer}\n", row * 7 % 31, row % 60);
        }
        let path = folder.path().join("rows.csv");
        fs::write(&path, text).unwrap();
        let mut config = config_of(path);
        for (folds, rows, parts) in [
            (1, [72, 24, 24], vec![Part::Validation, Part::Vault]),
            (5, [96, 0, 24], vec![Part::Vault]),
        ] {
            config.folds = Some(folds);
            let made = prepare(&config).unwrap();
            let profile = &made.profile;
            let PartRows {
                train,
                validation,
                vault,
            } = profile.rows;
            assert_eq!([train, validation, vault], rows);
            assert_eq!(train, made.split.train.len());
            let shared = profile.duplicates.shared.iter();
            assert_eq!(shared.map(|shared| shared.part).collect::<Vec<_>>(), parts);
            let of = |name: &str| profile.columns.iter().find(|column| column.name == name);
            let ColumnValues::Category { own_inputs, .. } = &of("city").unwrap().values else {
                panic!("{:?}", of("city"));
            };
            let mut fitted = made.preprocessor.columns().unwrap().iter();
            let city = fitted.find(|column| column.name == "city").unwrap();
            let FittedKind::Category { levels, .. } = &city.kind else {
                panic!("{city:?}");
            };
            assert_eq!(*own_inputs, levels.len());
            assert!(of("copy").unwrap().alone.unwrap().explained > 0.99);
        }
    }
}
