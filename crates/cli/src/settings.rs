//! What a user typed, in `lehr.toml` or as flags, and how it becomes what will be done.
//!
//! [`StudyToml`] is the file; [`study::config::StudyConfig`] is the decision. A key that is not
//! known is an error with the nearest one that is.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use data::{ColumnKinds, DataKind, Decimal, Delimiter, Encoding, HeaderLine, TaskKind};
use schemars::JsonSchema;
use search::{Hyperparameters, Limits, Objective, Rule, Rungs, SearchSettings, Space, Strategy};
use serde::{Deserialize, Serialize};
use study::{
    cluster::invitation::LedgerPlace,
    conclude::ensemble::MEMBERS,
    config::{Budget, Inherit, Resources, Retrain, StudyConfig, TrainingSettings},
};
use train::{ClassWeights, Metric, Precision};

use crate::args::{DataArgs, ExploreArgs};

mod ledger;
mod memory;
mod rows;
#[cfg(test)]
mod tests;

use ledger::LedgerToml;
pub(crate) use memory::{free_memory_bytes, trainer_memory_bytes};
use rows::{ReadToml, SeriesToml, SplitToml};

/// How long a study explores if nobody says.
const DEFAULT_SECONDS: f64 = 600.0;

/// A `lehr.toml`. Paths are relative to the file; everything but `data` has a default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StudyToml {
    /// File or folder to learn from.
    pub(crate) data: PathBuf,
    /// Rows that only the final score may see, in a file like `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) test: Option<PathBuf>,
    /// Rows that decide between trials, in a file like `data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<PathBuf>,
    /// Column to predict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// Columns that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignore: Vec<String>,
    /// Pixels of the longer side of image files at most: larger ones are made smaller; 128 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) image_size: Option<u32>,
    /// What may be read beyond what is usual.
    #[serde(default, skip_serializing_if = "ReadToml::is_usual")]
    pub(crate) read: ReadToml,
    /// What columns hold, where it is not what they look like: `number`, `category`, `text` (or `words` or
    /// `characters`, what it is read by), `date`, `date_day_first` or `date_month_first`, by their names.
    #[serde(default, skip_serializing_if = "ColumnKinds::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(crate) columns: ColumnKinds,
    /// `present` or `absent`: whether the first line of a table names its columns; found out otherwise.
    #[serde(default, skip_serializing_if = "is_guess")]
    #[schemars(with = "String")]
    pub(crate) header: HeaderLine,
    /// What separates the cells of a table: a character, `tab`, `space` or `blanks` (any number of them); found
    /// out if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) delimiter: Option<Delimiter>,
    /// `point` or `comma`: how a table writes fractions; found out if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) decimal: Option<Decimal>,
    /// How texts are written as bytes, as in `latin1`, `windows-1251`, `gbk` or `shift_jis`; found out if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) encoding: Option<Encoding>,
    /// `table`, `images`, `series` or `text`; overrules what the data look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) kind: Option<DataKind>,
    /// Column that says how much each row counts, in all that is learned and in every metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<String>,
    /// `classification` or `regression`; overrules what the target looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) task: Option<TaskKind>,
    /// `accuracy`, `balanced_accuracy` (the default where one class has more than three times the rows of
    /// another), `f1_macro`, `mcc`, `auc`, `log_loss`; `rmse`, `mae`, `r2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) metric: Option<Metric>,
    /// Seed of the split and of everything random.
    #[serde(default)]
    pub(crate) seed: u64,
    /// When to stop.
    #[serde(default)]
    pub(crate) budget: BudgetToml,
    /// Which rows validate, which stay in the vault.
    #[serde(default)]
    pub(crate) split: SplitToml,
    /// At the end, at most so many trials are chosen that answer together as one more model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ensemble: Option<u8>,
    /// Which columns make series of the rows of a table, if each row is a step of one.
    #[serde(default, skip_serializing_if = "SeriesToml::is_absent")]
    pub(crate) series: SeriesToml,
    /// Processes and their limits.
    #[serde(default)]
    pub(crate) resources: ResourcesToml,
    /// What no model may exceed.
    #[serde(default)]
    pub(crate) limits: LimitsToml,
    /// How a trial is trained.
    #[serde(default)]
    pub(crate) training: TrainingToml,
    /// How models are searched.
    #[serde(default)]
    pub(crate) search: SearchToml,
    /// Where the ledger is, if it is not a file in the study's folder.
    #[serde(default, skip_serializing_if = "LedgerToml::is_absent")]
    pub(crate) ledger: LedgerToml,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // Serde asks for a reference.
fn is_guess(header: &HeaderLine) -> bool {
    *header == HeaderLine::Guess
}

/// `[budget]`: the first limit reached ends the study.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BudgetToml {
    /// How long to explore, as in `90s`, `10m`, `1h 30m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    /// How many trials to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trials: Option<u64>,
}

/// `[resources]`: processes and their limits.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResourcesToml {
    /// Worker nodes on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workers: Option<u16>,
    /// Trainers of one worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slots: Option<u16>,
    /// Threads of one trainer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<u8>,
    /// Memory of one trainer in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_mib: Option<u64>,
}

/// `[limits]`: what no model may exceed; nothing is limited by default.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsToml {
    /// Learned values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) params: Option<u64>,
    /// Floating-point operations of the forward pass of one example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flops: Option<u64>,
    /// Memory that training takes, in MiB; that of one trainer if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_mib: Option<u64>,
    /// The exported model, in KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) file_kib: Option<u64>,
    /// Time of the forward pass of one example on one core, as in `2ms` or `500us`; measured on this
    /// machine before a model is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) latency: Option<String>,
}

/// `[training]`: how a trial is trained, as far as it is not searched.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrainingToml {
    /// Epochs of a trial that starts from nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epochs: Option<u32>,
    /// Epochs of a trial that inherits weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) epochs_inherited: Option<u32>,
    /// Epochs without a better score before a trial ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) patience: Option<u32>,
    /// `equal`, or `balanced`: rare classes weigh more in the loss, which is the default where
    /// `balanced_accuracy` decides because classes are out of balance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) class_weights: Option<ClassWeights>,
    /// `f32`, or `bf16`: matrix products round their factors to eight bits while a trial is trained,
    /// where the CPU is faster with it. Scores are always computed in `f32`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) precision: Option<Precision>,
    /// What a variant of a trained model begins with: `shrunk` (its parent's weights, moved
    /// towards random ones), `weights` (its parent's as they are) or `nothing` (random ones).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) inherit: Option<Inherit>,
    /// Which trainings go on where they are compared with others, after shares of their epochs: `halving`
    /// (the best two of five), `median` (the better half), `extrapolation` (those that may still win) or
    /// `none` (all).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) rungs: Option<Rule>,
    /// Epochs before a training is first compared with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rung_first: Option<u32>,
    /// How many times longer each rung is than the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rung_factor: Option<u32>,
    /// What is trained once more at the end, for longer: `best` (the best model, from scratch and from its
    /// own weights) or `nothing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) retrain: Option<Retrain>,
}

/// `[search]`: how models are searched.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchToml {
    /// `annealing`; for comparison `unscreened` (without the surrogate) and `random`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) strategy: Option<Strategy>,
    /// How a variant gets its hyperparameters: `inherited` (its parent's, or near them) or `parzen` (where
    /// good ones are dense in the whole history).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) hyperparameters: Option<Hyperparameters>,
    /// What models should have little of, beside a high score: `params`, `flops`, `latency`. Models that
    /// none beats in all of them are kept in the study's folder `front`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) objectives: Option<Vec<Objective>>,
    /// Hyperparameters that are searched: name, kind, range. The usual ones if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub(crate) space: Option<Space>,
}

/// What `explore` was told: the decided study, and where it lies.
pub(crate) struct Told {
    pub(crate) config: StudyConfig,
    pub(crate) out: PathBuf,
    pub(crate) place: Option<LedgerPlace>,
}

/// Decides a study from flags and, if there is one, a `lehr.toml`; flags win.
pub(crate) fn decide(args: &ExploreArgs) -> Result<Told> {
    let (mut typed, name) = typed(&args.data)?;
    apply_flags(&mut typed, args);
    typed.ledger.apply_flags(args);
    told(
        &typed,
        args.out.clone().unwrap_or_else(|| default_out(&name)),
    )
}

/// The study that a `lehr.toml` decides by itself; `None` if the path means none.
pub(crate) fn decide_file(path: &Path) -> Result<Option<Told>> {
    let Some(file) = toml_of(path) else {
        return Ok(None);
    };
    let (typed, name) = typed_in(&file)?;
    told(&typed, default_out(&name)).map(Some)
}

fn told(typed: &StudyToml, out: PathBuf) -> Result<Told> {
    let config = decided(typed)?;
    let place = typed.ledger.decided(&out)?;
    Ok(Told { config, out, place })
}

/// Where a study of this name lies if nobody says.
fn default_out(name: &str) -> PathBuf {
    PathBuf::from(format!("{name}.lehr"))
}

/// Decides what is read and how it is split, as for a study.
pub(crate) fn decide_data(args: &DataArgs) -> Result<StudyConfig> {
    decided(&typed(args)?.0)
}

/// What was typed about the data, in a `lehr.toml` and as flags, and the name of a study of them.
fn typed(args: &DataArgs) -> Result<(StudyToml, String)> {
    let (mut typed, name) = match toml_of(&args.data) {
        Some(path) => typed_in(&path)?,
        None => {
            let typed = StudyToml {
                data: args.data.clone(),
                ..StudyToml::default()
            };
            (typed, name_of(&args.data))
        }
    };
    rows::apply_flags(&mut typed, args);
    Ok((typed, name))
}

/// What a `lehr.toml` says, and the name of its study: that of the folder that it is in.
fn typed_in(path: &Path) -> Result<(StudyToml, String)> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).unwrap_or(folder.to_path_buf());
    Ok((read(path)?, name_of(&folder)))
}

/// The `lehr.toml` that this path means, if it means one.
pub(crate) fn toml_of(path: &Path) -> Option<PathBuf> {
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        return Some(path.to_path_buf());
    }
    Some(path.join("lehr.toml")).filter(|file| file.is_file())
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| {
            name.to_string_lossy()
                .split('.')
                .next()
                .unwrap_or_default()
                .to_string()
        })
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "study".to_string())
}

/// Reads a `lehr.toml`; its paths become relative to where the command runs.
pub(crate) fn read(path: &Path) -> Result<StudyToml> {
    let text =
        fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    let shown = path.display();
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("{shown} is not a TOML file that can be read"))?;
    refuse_unknown_keys(&table, &schema(), "")
        .with_context(|| format!("{shown} cannot be used"))?;
    let mut typed: StudyToml =
        toml::from_str(&text).with_context(|| format!("{shown} cannot be used"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    typed.data = folder.join(&typed.data);
    typed.test = typed.test.map(|test| folder.join(test));
    typed.validation = typed.validation.map(|more| folder.join(more));
    Ok(typed)
}

/// The JSON Schema of `lehr.toml`.
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(StudyToml).to_value()
}

fn refuse_unknown_keys(table: &toml::Table, schema: &serde_json::Value, place: &str) -> Result<()> {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    refuse_in(table, schema, &definitions, place)
}

fn refuse_in(
    table: &toml::Table,
    schema: &serde_json::Value,
    definitions: &serde_json::Value,
    place: &str,
) -> Result<()> {
    let Some(known) = schema
        .get("properties")
        .and_then(|properties| properties.as_object())
    else {
        return Ok(());
    };
    for (key, value) in table {
        let Some(part) = known.get(key) else {
            let nearest = known
                .keys()
                .max_by(|a, b| {
                    strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key))
                })
                .map_or("", String::as_str);
            bail!(
                "`{place}{key}` is not a key of lehr.toml: did you mean `{place}{nearest}`? \
                 (`lehr config schema` lists all keys)"
            );
        };
        let reference = part
            .get("$ref")
            .and_then(|name| name.as_str())
            .unwrap_or_default();
        let section = reference
            .strip_prefix("#/$defs/")
            .and_then(|name| definitions.get(name));
        if let (toml::Value::Table(inner), Some(section)) = (value, section) {
            refuse_in(inner, section, definitions, &format!("{place}{key}."))?;
        }
    }
    Ok(())
}

/// What a flag says wins.
fn set<T: Clone>(typed: &mut Option<T>, flag: &Option<T>) {
    if flag.is_some() {
        typed.clone_from(flag);
    }
}

fn apply_flags(typed: &mut StudyToml, args: &ExploreArgs) {
    set(&mut typed.metric, &args.metric);
    if args.time.is_some() || args.trials.is_some() {
        let time = args
            .time
            .map(|time| humantime::format_duration(time).to_string());
        typed.budget = BudgetToml {
            time,
            trials: args.trials,
        };
    }
    set(&mut typed.ensemble, &args.ensemble);
    set(&mut typed.resources.workers, &args.workers);
    set(&mut typed.resources.slots, &args.slots);
    set(&mut typed.resources.memory_mib, &args.memory_mib);
    set(
        &mut typed.training.inherit,
        &args.inherit.map(Inherit::from),
    );
    set(&mut typed.training.rungs, &args.rungs.map(Rule::from));
    set(
        &mut typed.training.retrain,
        &args.retrain.map(Retrain::from),
    );
    set(&mut typed.limits.params, &args.params_max);
    set(&mut typed.limits.flops, &args.flops_max);
    set(&mut typed.limits.file_kib, &args.file_kib_max);
    let latency = args
        .latency_max
        .map(|time| humantime::format_duration(time).to_string());
    set(&mut typed.limits.latency, &latency);
    let objectives = (!args.objectives.is_empty()).then(|| args.objectives.clone());
    set(&mut typed.search.objectives, &objectives);
    set(
        &mut typed.search.strategy,
        &args.strategy.map(Strategy::from),
    );
}

/// The decision: every default filled in.
pub(crate) fn decided(typed: &StudyToml) -> Result<StudyConfig> {
    let resources = resources(&typed.resources);
    let mut search = SearchSettings::default();
    search.strategy = typed.search.strategy.unwrap_or(search.strategy);
    let hyperparameters = typed.search.hyperparameters;
    search.hyperparameters = hyperparameters.unwrap_or(search.hyperparameters);
    search.limits = limits(&typed.limits, &resources)?;
    search.objectives = typed.search.objectives.clone().unwrap_or_default();
    search.objectives.sort_unstable();
    search.objectives.dedup();
    search.space = typed.search.space.clone().unwrap_or_default();
    Ok(StudyConfig {
        data: typed.data.clone(),
        test: typed.test.clone(),
        validation: typed.validation.clone(),
        roles: rows::roles(typed)?,
        steps: rows::steps(&typed.series)?,
        target: typed.target.clone(),
        ignore: typed.ignore.clone(),
        image_size: rows::image_size(typed)?,
        read: typed.read.into(),
        columns: typed.columns.clone(),
        header: typed.header,
        dialect: rows::dialect(typed),
        kind: typed.kind,
        task: typed.task,
        metric: typed.metric,
        seed: typed.seed,
        budget: budget(&typed.budget)?,
        folds: rows::folds(typed),
        repeats: typed.split.repeats,
        ensemble: ensemble(typed.ensemble)?,
        split: rows::shares(&typed.split),
        resources,
        training: TrainingSettings {
            epochs: typed.training.epochs,
            epochs_inherited: typed.training.epochs_inherited,
            patience: typed.training.patience,
            class_weights: typed.training.class_weights,
            precision: typed.training.precision.unwrap_or_default(),
            inherit: typed.training.inherit.unwrap_or_default(),
            rungs: rungs(&typed.training)?,
            retrain: typed.training.retrain.unwrap_or_default(),
        },
        search,
    })
}

fn ensemble(typed: Option<u8>) -> Result<Option<u8>> {
    match typed {
        Some(members) if !MEMBERS.contains(&members) => bail!(
            "`ensemble` = {members} cannot be used: an ensemble has {} to {} trials; leave it out for none",
            MEMBERS.start(),
            MEMBERS.end(),
        ),
        members => Ok(members),
    }
}

fn rungs(typed: &TrainingToml) -> Result<Rungs> {
    let usual = Rungs::default();
    let rungs = Rungs {
        rule: typed.rungs.unwrap_or(usual.rule),
        first: typed.rung_first.unwrap_or(usual.first),
        factor: typed.rung_factor.unwrap_or(usual.factor),
    };
    rungs.check()?;
    Ok(rungs)
}

fn limits(typed: &LimitsToml, resources: &Resources) -> Result<Limits> {
    let latency = typed.latency.as_deref().map(|text| {
        let told = humantime::parse_duration(text).with_context(|| {
            format!("`limits.latency` = {text:?} is not a duration like 2ms or 500us")
        })?;
        match u64::try_from(told.as_micros()) {
            Ok(micros) if micros > 0 => Ok(micros),
            _ => bail!("`limits.latency` = {text:?} cannot be met: give at least 1us"),
        }
    });
    let memory = [
        typed.memory_mib.map(|mib| mib << 20),
        resources.memory_bytes_max,
    ];
    Ok(Limits {
        parameters: typed.params,
        flops: typed.flops,
        memory_bytes: memory.into_iter().flatten().min(),
        file_bytes: typed.file_kib.map(|kib| kib << 10),
        latency_micros: latency.transpose()?,
        ..Limits::default()
    })
}

fn budget(typed: &BudgetToml) -> Result<Budget> {
    let seconds = typed
        .time
        .as_deref()
        .map(|text| {
            humantime::parse_duration(text)
                .map(|time| time.as_secs_f64())
                .with_context(|| format!("`budget.time` = {text:?} is not a duration like 10m"))
        })
        .transpose()?;
    let nothing_said = seconds.is_none() && typed.trials.is_none();
    Ok(Budget {
        seconds: seconds.or(nothing_said.then_some(DEFAULT_SECONDS)),
        trials: typed.trials,
    })
}

fn resources(typed: &ResourcesToml) -> Resources {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let workers = typed.workers.unwrap_or(1);
    let threads = typed.threads.unwrap_or(1).max(1);
    // One trial per core: two trainers of one thread do more than one of two.
    let per_worker = cores / usize::from(workers.max(1)) / usize::from(threads);
    let slots = typed
        .slots
        .unwrap_or_else(|| u16::try_from(per_worker.max(1)).unwrap_or(u16::MAX));
    let all_slots = u64::from(workers.max(1)) * u64::from(slots.max(1));
    let memory_bytes_max = trainer_memory_bytes(typed.memory_mib, all_slots);
    Resources {
        workers,
        slots,
        threads,
        memory_bytes_max,
    }
}

/// A decided study as a `lehr.toml`, with every default visible.
pub(crate) fn render(config: &StudyConfig, place: Option<&LedgerPlace>) -> Result<String> {
    let absolute = |path: &PathBuf| fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let search = &config.search;
    let typed = StudyToml {
        data: absolute(&config.data),
        test: config.test.as_ref().map(absolute),
        validation: config.validation.as_ref().map(absolute),
        weight: config.roles.weight.clone(),
        target: config.target.clone(),
        ignore: config.ignore.clone(),
        image_size: config.image_size,
        read: config.read.into(),
        columns: config.columns.clone(),
        header: config.header,
        delimiter: config.dialect.delimiter,
        decimal: config.dialect.decimal,
        encoding: config.dialect.encoding,
        kind: config.kind,
        task: config.task,
        metric: config.metric,
        seed: config.seed,
        budget: BudgetToml {
            time: config.budget.seconds.map(|seconds| {
                humantime::format_duration(Duration::from_secs_f64(seconds)).to_string()
            }),
            trials: config.budget.trials,
        },
        ensemble: config.ensemble,
        split: rows::rendered(config),
        series: SeriesToml::from(&config.steps),
        resources: ResourcesToml {
            workers: Some(config.resources.workers),
            slots: Some(config.resources.slots),
            threads: Some(config.resources.threads),
            memory_mib: config.resources.memory_bytes_max.map(|bytes| bytes >> 20),
        },
        limits: LimitsToml {
            params: search.limits.parameters,
            flops: search.limits.flops,
            memory_mib: search.limits.memory_bytes.map(|bytes| bytes >> 20),
            file_kib: search.limits.file_bytes.map(|bytes| bytes >> 10),
            latency: search.limits.latency_micros.map(|micros| {
                humantime::format_duration(Duration::from_micros(micros)).to_string()
            }),
        },
        training: TrainingToml {
            epochs: config.training.epochs,
            epochs_inherited: config.training.epochs_inherited,
            patience: config.training.patience,
            class_weights: config.training.class_weights,
            precision: Some(config.training.precision),
            inherit: Some(config.training.inherit),
            rungs: Some(config.training.rungs.rule),
            rung_first: Some(config.training.rungs.first),
            rung_factor: Some(config.training.rungs.factor),
            retrain: Some(config.training.retrain),
        },
        search: SearchToml {
            strategy: Some(search.strategy),
            hyperparameters: Some(search.hyperparameters),
            objectives: (!search.objectives.is_empty()).then(|| search.objectives.clone()),
            space: (!search.space.is_empty()).then(|| search.space.clone()),
        },
        ledger: place.map(LedgerToml::from).unwrap_or_default(),
    };
    toml::to_string(&typed).context("the configuration could not be shown as TOML")
}
