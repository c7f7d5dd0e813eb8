//! Making a study, or taking one up: the same command does both.
//!
//! All that can be wrong with the data is found before anything is written. A folder of another
//! data set, or of other settings, is refused: what was explored there would mean nothing here.

mod linear_model;

use std::path::Path;

use morph::Shape;
use search::{Limits, Models, Morphs, SearchSettings, Space, Task, TaskHint};
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;
use train::ensemble::layers_max;

use crate::{
    cluster::{
        invitation::{Invitation, InvitationError, LedgerPlace},
        share::offer,
    },
    config::StudyConfig,
    explore::{ExploreError, Study, now},
    folder::{FolderError, StudyFolder},
    ledger::{Ledger, LedgerError, Postgres, Sqlite, StudyRecord},
    prepared::{PrepareError, PreparedData, PreparedFiles, network_task, prepare, request},
    recipe::{self, RecipeError},
    setup::CommonSetup,
    store::StoreError,
};

pub use self::linear_model::LINEAR_BASELINE;
pub(crate) use self::linear_model::linear;
use self::linear_model::linear_baseline;

/// Why a study could not be made or taken up.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The data.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Where the ledger is.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A budget of nothing.
    #[error("the budget is {budget}: give at least a second or one trial")]
    NoBudget {
        /// What was given.
        budget: String,
    },
    /// No worker, or no trainer.
    #[error(
        "the study would have {workers} worker(s) with {slots} slot(s): give at least one each"
    )]
    NoSlots {
        /// Workers.
        workers: u16,
        /// Trainers of each.
        slots: u16,
    },
    /// A hyperparameter that trainers cannot use.
    #[error("`[search.space]` cannot be searched: {0}")]
    Space(RecipeError),
    /// The folder holds a study of other data.
    #[error(
        "the study in {folder} explores other data ({known}, these are {given}): choose another --out"
    )]
    OtherData {
        /// Which folder.
        folder: String,
        /// Fingerprint of its data.
        known: String,
        /// Fingerprint of the data given.
        given: String,
    },
    /// The folder holds a study with other settings.
    #[error(
        "the study in {folder} was made with {key} = {known}, now it is {given}: \
         choose another --out, or give the same"
    )]
    OtherSettings {
        /// Which folder.
        folder: String,
        /// Which setting.
        key: &'static str,
        /// Its value there.
        known: String,
        /// The value given.
        given: String,
    },
    /// More networks than can be joined, if any of them is to be more than linear.
    #[error(
        "{folds} folds that are dealt {repeats} time(s) make each model {networks} networks, which are joined into \
         one: each may have {layers} layers, and {needed} are the fewest with which a search begins; give fewer \
         --folds or --repeats"
    )]
    TooManyNetworks {
        /// Folds.
        folds: u8,
        /// How many times rows are dealt into them.
        repeats: u8,
        /// Networks of each model.
        networks: usize,
        /// Layers that each may have.
        layers: usize,
        /// Layers of the smallest seed architecture that is not linear.
        needed: usize,
    },
    /// Its configuration cannot be understood.
    #[error("the ledger's configuration is not one of this version")]
    Config(#[source] serde_json::Error),
    /// `lehr.toml` or another file could not be written.
    #[error("{path} could not be written")]
    Write {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl From<OpenError> for ExploreError {
    fn from(error: OpenError) -> ExploreError {
        match error {
            OpenError::Prepare(error) => error.into(),
            OpenError::Folder(error) => error.into(),
            OpenError::Ledger(error) => error.into(),
            OpenError::Invitation(error) => error.into(),
            other => ExploreError::Process {
                action: "open the study",
                source: std::io::Error::other(other),
            },
        }
    }
}

/// Whether a study is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was made now.
    Made,
    /// It was there and is taken up.
    TakenUp,
}

/// Makes the study of this configuration at `root`, or takes up the one that is there. With a `place`, the
/// ledger of a new study is made there, in a database.
///
/// # Errors
/// If the data, the budget or the folder cannot be used, or the folder holds another study.
pub fn open(
    config: StudyConfig,
    root: &Path,
    place: Option<&LedgerPlace>,
) -> Result<(Study, Opened), OpenError> {
    check(&config, place)?;
    match StudyFolder::find(root)? {
        Some(folder) => Ok((take_up(folder, &config, place)?, Opened::TakenUp)),
        None => Ok((make(config, root, place)?, Opened::Made)),
    }
}

fn check(config: &StudyConfig, place: Option<&LedgerPlace>) -> Result<(), OpenError> {
    let budget = config.budget;
    let nothing = budget
        .seconds
        .is_some_and(|seconds| seconds.is_nan() || seconds < 1.0)
        || budget.trials == Some(0)
        || (budget.seconds.is_none() && budget.trials.is_none());
    if nothing {
        let seconds = budget.seconds.map(|seconds| format!("{seconds} s"));
        let trials = budget.trials.map(|trials| format!("{trials} trials"));
        let given: Vec<String> = seconds.into_iter().chain(trials).collect();
        let budget = if given.is_empty() {
            "not given".to_string()
        } else {
            given.join(", ")
        };
        return Err(OpenError::NoBudget { budget });
    }
    let resources = config.resources;
    // Nodes of a cluster may all come from elsewhere.
    if resources.slots == 0 || (resources.workers == 0 && place.is_none()) {
        return Err(OpenError::NoSlots {
            workers: resources.workers,
            slots: resources.slots,
        });
    }
    recipe::check_space(&config.search.space).map_err(OpenError::Space)
}

fn make(
    mut config: StudyConfig,
    root: &Path,
    place: Option<&LedgerPlace>,
) -> Result<Study, OpenError> {
    let prepared = prepare(&config)?;
    config.metric = Some(prepared.metric);
    // What was asked for stays, though fewer groups or rows may be fewer folds: the same command is to go on.
    config.folds.get_or_insert(prepared.folds.count());
    config.repeats.get_or_insert(prepared.folds.repeats());
    config.training.class_weights = Some(prepared.class_weights);
    config.split = prepared.shares;
    if config.search.space.is_empty() {
        config.search.space = usual_space(&prepared);
    }
    check_networks(&config.search, &prepared)?;
    let folder = StudyFolder::create::<OpenError>(root, |folder| {
        PreparedFiles::at(&folder.prepared()).write(&prepared)?;
        let record = StudyRecord {
            config: serde_json::to_string(&config).expect("a configuration has string keys only"),
            data: prepared.source.fingerprint.to_string(),
            trials_max: config.budget.trials,
        };
        let common = CommonSetup::read(&folder.prepared(), &folder.artifacts(), &config)?;
        let mut ledger = make_ledger(folder, root, &record, place)?;
        let task = network_task(&prepared.preprocessor);
        if let Some(baseline) = linear_baseline(&config, &task, common.limits()) {
            ledger.propose(&baseline, now())?;
        }
        Ok(())
    })?;
    opened(folder, config)
}

/// Refuses so many folds that nothing but the linear model could be trained.
fn check_networks(search: &SearchSettings, prepared: &PreparedData) -> Result<(), OpenError> {
    let folds = &prepared.folds;
    let networks = folds.networks();
    let layers = layers_max(networks);
    let task = network_task(&prepared.preprocessor);
    let linear = linear(&task).canonical_hash();
    let seeds = Morphs::new(&task, search).map_or(Vec::new(), |models| models.seeds());
    let others = seeds.iter().map(|seed| &seed.architecture);
    let others = others.filter(|seed| seed.canonical_hash() != linear);
    match others.map(|seed| seed.nodes().len()).min() {
        Some(needed) if needed > layers => Err(OpenError::TooManyNetworks {
            folds: folds.count(),
            repeats: folds.repeats(),
            networks,
            layers,
            needed,
        }),
        _ => Ok(()),
    }
}

/// Makes the ledger of a study that will lie at `root`.
fn make_ledger(
    folder: &StudyFolder,
    root: &Path,
    record: &StudyRecord,
    place: Option<&LedgerPlace>,
) -> Result<Box<dyn Ledger>, OpenError> {
    let Some(place) = place else {
        folder.check_is_local()?;
        return Ok(Box::new(Sqlite::create(&folder.ledger(), record, now())?));
    };
    place.write(&folder.ledger_place())?;
    let root = std::path::absolute(root).map_err(|source| OpenError::Write {
        path: root.display().to_string(),
        source,
    })?;
    // Before the database: a store that cannot be written leaves no study behind there.
    let share = offer(folder, root, place)?;
    let created = Postgres::create(&place.ledger, &place.study, record, place.lease_secs);
    let (ledger, admission) = created?;
    let invitation = Invitation { admission, share };
    invitation.write(&folder.invitation())?;
    Ok(Box::new(ledger))
}

/// Opens the ledger of a study to explore it.
fn opened(folder: StudyFolder, config: StudyConfig) -> Result<Study, OpenError> {
    let (ledger, lock): (Box<dyn Ledger>, _) = match LedgerPlace::of(&folder)? {
        Some(place) => (Box::new(Postgres::open(&place.ledger, &place.study)?), None),
        None => {
            let lock = folder.lock()?;
            (Box::new(Sqlite::open(&folder.ledger())?), Some(lock))
        }
    };
    Ok(Study {
        folder,
        config,
        ledger,
        lock,
    })
}

/// What is searched beside the architecture, where nobody says.
fn usual_space(prepared: &PreparedData) -> Space {
    let Task { input, outputs, .. } = network_task(&prepared.preprocessor);
    let space = match input {
        Shape::Flat { .. } => Space::default_for(TaskHint::Table),
        Shape::Image { height, width, .. } => {
            Space::default_for(TaskHint::Image).for_images(height, width)
        }
        Shape::Sequence { .. } => Space::default_for(TaskHint::Sequence),
    };
    space.for_outputs(outputs).for_rows(prepared.train_rows())
}

fn take_up(
    folder: StudyFolder,
    asked: &StudyConfig,
    place: Option<&LedgerPlace>,
) -> Result<Study, OpenError> {
    let shown = folder.root().display().to_string();
    if let Some(place) = place {
        let known = match LedgerPlace::of(&folder)? {
            Some(known) => format!("{} ({})", known.ledger, known.study),
            None => "a file in its folder".to_string(),
        };
        let given = format!("{} ({})", place.ledger, place.study);
        differs(&shown, "ledger", &known, &given)?;
    }
    let mut study = opened(folder, asked.clone())?;
    let record = study.ledger.record()?;
    let known: StudyConfig = serde_json::from_str(&record.config).map_err(OpenError::Config)?;
    refuse_other_settings(&shown, &known, &completed(asked, &known))?;
    let given = data::fingerprint(&request(asked))
        .map_err(PrepareError::from)?
        .to_string();
    if given != record.data {
        return Err(OpenError::OtherData {
            folder: shown,
            known: record.data,
            given,
        });
    }
    study.config = renewed(known, asked);
    let text = serde_json::to_string(&study.config).expect("a configuration has string keys only");
    let trials = study.config.budget.trials;
    study.ledger.set_budget(&text, trials)?;
    Ok(study)
}

/// A study's configuration with what may change from run to run: budget, resources with the memory that a
/// model may take of them, and whether an ensemble is made.
fn renewed(known: StudyConfig, asked: &StudyConfig) -> StudyConfig {
    let mut search = known.search;
    search.limits.memory_bytes = asked.search.limits.memory_bytes;
    StudyConfig {
        budget: asked.budget,
        resources: asked.resources,
        ensemble: asked.ensemble,
        search,
        ..known
    }
}

/// What is asked for, with what the study has decided where nobody says anything.
fn completed(asked: &StudyConfig, known: &StudyConfig) -> StudyConfig {
    let mut whole = asked.clone();
    whole.metric = asked.metric.or(known.metric);
    whole.folds = asked.folds.or(known.folds);
    whole.repeats = asked.repeats.or(known.repeats);
    whole.split.vault = asked.split.vault.or(known.split.vault);
    whole.training.class_weights = asked
        .training
        .class_weights
        .or(known.training.class_weights);
    if asked.search.space.is_empty() {
        whole.search.space.clone_from(&known.search.space);
    }
    whole
}

fn refuse_other_settings(
    folder: &str,
    known: &StudyConfig,
    asked: &StudyConfig,
) -> Result<(), OpenError> {
    let mut pairs = settled(known).into_iter().zip(settled(asked));
    pairs.try_for_each(|((key, known), (_, given))| differs(folder, key, &known, &given))
}

/// What would make scores incomparable if it changed from run to run, as a user would say it.
fn settled(config: &StudyConfig) -> Vec<(&'static str, String)> {
    let StudyConfig {
        split,
        roles,
        training,
        search,
        ..
    } = config;
    // How much memory is free changes from run to run.
    let limits = Limits {
        memory_bytes: None,
        ..search.limits
    };
    let steps = config.steps.as_ref();
    let steps = steps.map_or_else(|| said(&steps), ToString::to_string);
    vec![
        ("target", said(&config.target)),
        ("ignore", said(&config.ignore)),
        ("columns", said(&config.columns)),
        ("header", said(&config.header)),
        ("delimiter", said(&config.dialect.delimiter)),
        ("decimal", said(&config.dialect.decimal)),
        ("encoding", said(&config.dialect.encoding)),
        ("image_size", said(&config.image_size)),
        ("kind", said(&config.kind)),
        ("task", said(&config.task)),
        ("series", steps),
        ("metric", said(&config.metric)),
        ("seed", said(&config.seed)),
        ("split.folds", said(&config.folds)),
        // Studies of earlier versions say nothing, and were dealt once.
        ("split.repeats", said(&config.repeats.unwrap_or(1))),
        ("split.validation", said(&split.validation)),
        ("split.vault", said(&split.vault)),
        ("split", roles.split_by.to_string()),
        ("weight", said(&roles.weight)),
        ("training.epochs", said(&training.epochs)),
        (
            "training.epochs_inherited",
            said(&training.epochs_inherited),
        ),
        ("training.patience", said(&training.patience)),
        ("training.class_weights", said(&training.class_weights)),
        ("training.precision", said(&training.precision)),
        ("training.inherit", said(&training.inherit)),
        ("training.rungs", said(&training.rungs.rule)),
        ("training.rung_first", said(&training.rungs.first)),
        ("training.rung_factor", said(&training.rungs.factor)),
        ("training.retrain", said(&training.retrain)),
        ("limits", limits.to_string()),
        ("search.strategy", said(&search.strategy)),
        ("search.hyperparameters", said(&search.hyperparameters)),
        ("search.objectives", said(&search.objectives)),
        ("search.space", said(&search.space)),
    ]
}

/// A setting as `lehr.toml` would have it, more or less.
fn said(setting: &impl Serialize) -> String {
    match serde_json::to_value(setting) {
        Ok(Value::Null) => "(the default)".to_string(),
        Ok(Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(error) => error.to_string(),
    }
}

fn differs(folder: &str, key: &'static str, known: &str, given: &str) -> Result<(), OpenError> {
    if known == given {
        return Ok(());
    }
    Err(OpenError::OtherSettings {
        folder: folder.to_string(),
        key,
        known: known.to_string(),
        given: given.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fmt::Write, fs};

    use super::*;
    use crate::prepared::tests::config_of;

    /// Every file of a folder, by name.
    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        entries
            .map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect()
    }

    #[test]
    fn the_same_command_goes_on_where_there_are_fewer_groups_than_folds_asked_for() {
        let place = tempfile::tempdir().unwrap();
        let mut table = "house,size,price\n".to_string();
        for row in 0..120 {
            writeln!(table, "h{},{},{}", row % 4, row * 7 % 31, row * 11 % 53).unwrap();
        }
        let path = place.path().join("rows.csv");
        fs::write(&path, table).unwrap();
        let mut config = config_of(path);
        config.task = Some(data::TaskKind::Regression);
        config.roles.split_by = data::SplitBy::Group("house".to_string());
        config.folds = Some(5);
        let root = place.path().join("study");
        let (study, _) = open(config.clone(), &root, None).unwrap();
        let files = PreparedFiles::at(&study.folder.prepared());
        assert_eq!(files.read_folds().unwrap().count(), 3);
        drop(study);
        let (_, opened) = open(config, &root, None).unwrap();
        assert_eq!(opened, Opened::TakenUp);
    }

    #[test]
    fn a_study_that_is_taken_up_keeps_its_rows_where_they_are_however_they_were_dealt() {
        let place = tempfile::tempdir().unwrap();
        let config = small_study(place.path());
        let root = place.path().join("study");
        let (study, opened) = open(config.clone(), &root, None).unwrap();
        assert_eq!(opened, Opened::Made);
        let folder = study.folder.prepared();
        drop(study);
        // As another version would have dealt them: by other draws.
        let otherwise = StudyConfig {
            seed: config.seed + 1,
            ..config.clone()
        };
        let made = files(&folder);
        let prepared = prepare(&otherwise).unwrap();
        PreparedFiles::at(&folder).write(&prepared).unwrap();
        let dealt_otherwise = files(&folder);
        assert_ne!(made["rows.json"], dealt_otherwise["rows.json"]);
        let more = StudyConfig {
            budget: crate::config::Budget {
                trials: Some(5),
                ..config.budget
            },
            ..config
        };
        let (study, opened) = open(more, &root, None).unwrap();
        assert_eq!(opened, Opened::TakenUp);
        assert_eq!(files(&study.folder.prepared()), dealt_otherwise);
    }

    fn small_study(place: &Path) -> StudyConfig {
        let mut table = "size,price\n".to_string();
        for row in 0..120 {
            writeln!(table, "{},{}", row * 7 % 31, row * 11 % 53).unwrap();
        }
        let path = place.join("rows.csv");
        fs::write(&path, table).unwrap();
        let mut config = config_of(path);
        config.task = Some(data::TaskKind::Regression);
        config
    }

    #[test]
    fn the_linear_model_is_tried_first_where_the_limits_allow_it_to_each_network() {
        // A layer of six parameters joins the five networks.
        for (parameters, tried) in [(6, 0), (10_000, 1)] {
            let place = tempfile::tempdir().unwrap();
            let mut config = small_study(place.path());
            config.folds = Some(5);
            config.search.limits.parameters = Some(parameters);
            let (study, _) = open(config, &place.path().join("study"), None).unwrap();
            assert_eq!(study.ledger.trials().unwrap().len(), tried);
        }
    }

    #[test]
    fn more_folds_than_leave_room_for_a_hidden_layer_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let mut config = small_study(place.path());
        (config.folds, config.repeats) = (Some(20), Some(10));
        let root = place.path().join("study");
        let said = open(config, &root, None).err().unwrap().to_string();
        let told = "20 folds that are dealt 10 time(s) make each model 200 networks, which are joined into one: \
                    each may have 4 layers, and 5 are the fewest with which a search begins; give fewer --folds \
                    or --repeats";
        assert_eq!(said, told);
        assert!(!root.exists());
    }

    #[test]
    fn settings_that_would_make_scores_incomparable_are_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let config = small_study(place.path());
        let root = place.path().join("study");
        drop(open(config.clone(), &root, None).unwrap());
        let refused = |key: &str, change: &dyn Fn(&mut StudyConfig)| {
            let mut other = config.clone();
            change(&mut other);
            let said = open(other, &root, None).err().unwrap().to_string();
            assert!(said.contains(&format!("made with {key} = ")), "{said}");
        };
        refused("task", &|other| other.task = None);
        refused("seed", &|other| other.seed += 1);
        refused("training.rungs", &|other| {
            other.training.rungs.rule = search::Rule::None;
        });
        refused("training.inherit", &|other| {
            other.training.inherit = crate::config::Inherit::Nothing;
        });
        refused("training.patience", &|other| {
            other.training.patience = Some(3)
        });
        refused("training.class_weights", &|other| {
            other.training.class_weights = Some(train::ClassWeights::Balanced);
        });
        refused("search.hyperparameters", &|other| {
            other.search.hyperparameters = search::Hyperparameters::Parzen;
        });
        refused("search.space", &|other| {
            other.search.space = Space::default_for(TaskHint::Image);
        });
        assert_eq!(open(config, &root, None).unwrap().1, Opened::TakenUp);
    }

    #[test]
    fn a_study_that_is_taken_up_with_other_memory_proposes_what_fits_into_it() {
        let place = tempfile::tempdir().unwrap();
        let mut config = small_study(place.path());
        config.search.limits.memory_bytes = Some(1 << 30);
        let root = place.path().join("study");
        drop(open(config.clone(), &root, None).unwrap());
        config.search.limits.memory_bytes = Some(1 << 20);
        let (study, _) = open(config, &root, None).unwrap();
        assert_eq!(study.config.search.limits.memory_bytes, Some(1 << 20));
        assert!(!study.config.search.space.is_empty());
    }
}
