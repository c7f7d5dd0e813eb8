//! Gradient-boosted trees on the rows that networks learn from: what a network for a table has to beat.
//!
//! They are grown when a study is first explored, by a process of its own, with the memory of a trainer and a
//! small share of the time; a study that is taken up grows them again only where that has failed, or was cut
//! short and may now take clearly longer. They see the training rows and the validation rows, which say when
//! to stop and which of a few ways to grow is best: no more and no less than the networks have.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use data::{Examples, FittedColumn, FittedKind, Indicator, Preprocessor, Targets, levels};
use serde::{Deserialize, Serialize};
use train::{ClassWeights, Evaluation, Metric, evaluate_weighted};
use trees::{Boosted, Column, Ended, Ensemble, GoOn, Goal, Problem, Settings, Table, boost};

use crate::{
    artifact::replace_durably,
    config::{Budget, StudyConfig},
    folder::StudyFolder,
    folds::Folds,
    prepared::{PrepareError, PreparedFiles, target_scale},
};

/// Share of a study's time that trees may take.
const TIME_SHARE: f64 = 0.05;

/// No study gives them less, in seconds; a share of nothing would show nothing.
const SECONDS_MIN: f64 = 1.0;

/// No study gives them more, in seconds.
const SECONDS_MAX: f64 = 30.0;

/// Trees that were cut short are grown again where they have so many times their time: less would hardly show.
const LONGER: f64 = 1.5;

/// Version of the record.
const FORMAT: u32 = 1;

/// What trees for a study may see and take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreesSetup {
    /// Prepared training rows.
    pub train: PathBuf,
    /// Prepared validation rows.
    pub validation: PathBuf,
    /// With cross-validation, how training rows are dealt into folds; these validate too.
    pub folds: Folds,
    /// How raw rows became numbers.
    pub preprocessor: PathBuf,
    /// Where the record is written.
    pub record: PathBuf,
    /// What decides between ways to grow.
    pub metric: Metric,
    /// Whether rare classes weigh more.
    pub class_weights: ClassWeights,
    /// No tree is begun after this.
    pub seconds_max: f64,
    /// Memory of the process; unlimited if absent.
    pub memory_bytes_max: Option<u64>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TreesRecord {
    /// There are trees.
    Grown(Box<GrownTrees>),
    /// There are none.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Trees of a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrownTrees {
    /// Version of this record.
    pub format: u32,
    /// The best way to grow them.
    pub leaves_max: usize,
    /// Share of a tree's correction that is made.
    pub learning_rate: f64,
    /// How many ways were tried.
    pub ways_tried: usize,
    /// Whether there was time for all of them.
    pub growth: Growth,
    /// Seconds that it took.
    pub seconds: f64,
    /// Seconds after which no tree was begun; records of earlier versions do not say.
    #[serde(default)]
    pub seconds_max: f64,
    /// Every metric on the validation rows.
    pub validation: BTreeMap<Metric, f64>,
    /// The trees; with cross-validation those of each fold of each deal.
    pub ensembles: Vec<Ensemble>,
}

/// Whether trees were grown to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// All ways were tried to their end.
    Whole,
    /// Their time was up before all ways were tried.
    CutShort,
    /// Their time was up before even the first way had come to its end.
    Unfinished,
}

impl GrownTrees {
    /// What they are, in a few words.
    pub fn about(&self) -> String {
        let rounds: usize = self.ensembles.iter().map(Ensemble::rounds).sum();
        let fits = match self.ensembles.len() {
            1 => String::new(),
            fits => format!(" over {fits} fits"),
        };
        let cut = match self.growth {
            Growth::Whole => "",
            Growth::CutShort => "; cut short by their share of the time",
            Growth::Unfinished => "; their share of the time ended before they had grown",
        };
        format!(
            "{} rounds of up to {} leaves{fits}, best of {} way(s) in {:.1} s{cut}{}",
            rounds,
            self.leaves_max,
            self.ways_tried,
            self.seconds,
            self.more_to_come(),
        )
    }

    /// What may still come of those that were cut short.
    fn more_to_come(&self) -> String {
        let longer = self.longer_seconds();
        match self.growth {
            Growth::CutShort | Growth::Unfinished if longer <= SECONDS_MAX => {
                let budget = (longer / TIME_SHARE).ceil();
                format!("; with a budget of {budget} s or more they are grown again")
            }
            _ => String::new(),
        }
    }

    /// Seconds with which more may come of them than did with what they had.
    fn longer_seconds(&self) -> f64 {
        LONGER * self.seconds_max.max(self.seconds)
    }
}

/// The ways to grow that are tried, in this order: the usual one, then for less and for more to learn from.
fn ways() -> [Settings; 4] {
    let usual = Settings::default();
    let small = Settings {
        leaves_max: 6,
        leaf_rows_min: 10,
        ..usual
    };
    let slow = Settings {
        learning_rate: 0.05,
        leaves_max: 15,
        leaf_rows_min: 10,
        ..usual
    };
    let large = Settings {
        learning_rate: 0.05,
        leaves_max: 63,
        ..usual
    };
    [usual, small, slow, large]
}

impl TreesSetup {
    /// What trees for this study may take; `None` if no more would come of them than did, or its data are no table.
    ///
    /// # Errors
    /// If the preprocessing cannot be read.
    pub fn still_to_grow(
        folder: &StudyFolder,
        config: &StudyConfig,
    ) -> Result<Option<TreesSetup>, PrepareError> {
        let seconds = seconds_of(config.budget);
        match TreesRecord::read(folder) {
            Some(record) if record.stands(seconds) => Ok(None),
            _ => TreesSetup::of(folder, config),
        }
    }

    /// What trees for this study may take; `None` if its data are no table.
    ///
    /// # Errors
    /// If the preprocessing cannot be read.
    fn of(folder: &StudyFolder, config: &StudyConfig) -> Result<Option<TreesSetup>, PrepareError> {
        let files = PreparedFiles::at(&folder.prepared());
        if files.read_preprocessor()?.columns().is_none() {
            return Ok(None);
        }
        Ok(Some(TreesSetup {
            folds: files.read_folds()?,
            train: files.train,
            validation: files.validation,
            preprocessor: files.preprocessor,
            record: folder.trees(),
            metric: config
                .metric
                .expect("a study's metric is decided when it is made"),
            class_weights: config.training.class_weights.unwrap_or_default(),
            seconds_max: seconds_of(config.budget),
            memory_bytes_max: config.resources.memory_bytes_max,
        }))
    }

    /// Grows trees, with cross-validation once for each fold, as networks are trained.
    ///
    /// # Errors
    /// If the prepared rows cannot be read, or are none of a table.
    pub fn grow(&self) -> Result<GrownTrees, PrepareError> {
        let started = Instant::now();
        let limit = Duration::from_secs_f64(self.seconds_max);
        let preprocessor = read_preprocessor(&self.preprocessor)?;
        let train = PreparedFiles::load(&self.train)?;
        let validation = PreparedFiles::load(&self.validation)?;
        let columns = preprocessor.columns().unwrap_or_default();
        let parts = self.parts(&train, &validation, columns);
        let scale = target_scale(&preprocessor);
        let go_on = |share: f64| match started.elapsed() < limit.mul_f64(share) {
            true => GoOn::Yes,
            false => GoOn::No,
        };
        let mut best: Option<Way> = None;
        let (mut ways_tried, mut growth) = (0, Growth::Whole);
        for settings in ways() {
            if best.is_some() && go_on(1.0) == GoOn::No {
                growth = growth.max(Growth::CutShort);
                break;
            }
            // The first way is all there may be: each fold gets the same time.
            let share = |place: usize| match best {
                None => (place + 1) as f64 / parts.len() as f64,
                Some(_) => 1.0,
            };
            let grow = |(place, part): (usize, &Part)| {
                boost(&part.problem(), &settings, &mut || go_on(share(place)))
            };
            let grown: Vec<Boosted> = parts.iter().enumerate().map(grow).collect();
            ways_tried += 1;
            if grown.iter().any(|boosted| boosted.ended == Ended::Stopped) {
                // A way whose later folds had no time is no fair one; the first is all there is.
                if best.is_some() {
                    growth = growth.max(Growth::CutShort);
                    break;
                }
                growth = Growth::Unfinished;
            }
            let ensembles: Vec<Ensemble> = grown.into_iter().map(|b| b.ensemble).collect();
            let outputs = own_outputs(&ensembles, &validation, &self.folds, &preprocessor);
            let (targets, weights) = (validation.targets(), validation.weights());
            let evaluation = evaluate_weighted(&outputs, targets, weights, scale);
            let way = Way {
                score: self.metric.score_of(&evaluation),
                evaluation,
                ensembles,
                settings,
            };
            best = Some(match best {
                Some(best) if !way.beats(&best) => best,
                _ => way,
            });
        }
        let best = best.expect("the first way is always tried");
        Ok(GrownTrees {
            format: FORMAT,
            leaves_max: best.settings.leaves_max,
            learning_rate: best.settings.learning_rate,
            ways_tried,
            growth,
            seconds: started.elapsed().as_secs_f64(),
            seconds_max: self.seconds_max,
            validation: best.evaluation.metrics,
            ensembles: best.ensembles,
        })
    }

    /// What is learned from and what says when to stop; with cross-validation a pair for each fold.
    fn parts(
        &self,
        train: &Examples,
        validation: &Examples,
        columns: &[FittedColumn],
    ) -> Vec<Part> {
        let part = |train: &Examples, validation: &Examples| Part {
            class_weights: weights_of(self.class_weights, train),
            train: Judged::of(train, columns),
            validation: Judged::of(validation, columns),
        };
        let of_network = |network| {
            let (train, validation) = self.folds.part(network, train, validation);
            part(&train, &validation)
        };
        (0..self.folds.networks()).map(of_network).collect()
    }
}

/// Rows that are learned from, and rows that say when to stop.
struct Part {
    train: Judged,
    validation: Judged,
    class_weights: Vec<f32>,
}

/// Rows as trees take them: what is known, what is to be said, and how much each counts.
struct Judged {
    table: Table,
    targets: Targets,
    /// Empty if all count the same.
    weights: Vec<f32>,
}

impl Judged {
    fn of(examples: &Examples, columns: &[FittedColumn]) -> Judged {
        Judged {
            table: table_of(examples, columns),
            targets: examples.targets().clone(),
            weights: examples.weights().unwrap_or_default().to_vec(),
        }
    }
}

impl Part {
    fn problem(&self) -> Problem<'_> {
        Problem {
            train: &self.train.table,
            train_goal: goal_of(&self.train.targets),
            class_weights: &self.class_weights,
            train_weights: &self.train.weights,
            validation: &self.validation.table,
            validation_goal: goal_of(&self.validation.targets),
            validation_weights: &self.validation.weights,
        }
    }
}

/// Trees that were grown in one way.
struct Way {
    settings: Settings,
    ensembles: Vec<Ensemble>,
    evaluation: Evaluation,
    score: f64,
}

impl Way {
    fn beats(&self, other: &Way) -> bool {
        let equal = self.score == other.score;
        let has_less_loss = self.evaluation.loss < other.evaluation.loss;
        self.score > other.score || (equal && has_less_loss)
    }
}

impl TreesRecord {
    /// Reads what came of a study's trees; `None` if nothing was written.
    pub fn read(folder: &StudyFolder) -> Option<TreesRecord> {
        TreesRecord::at(&folder.trees())
    }

    fn at(path: &Path) -> Option<TreesRecord> {
        let bytes = fs::read(path).ok()?;
        let record: TreesRecord = match serde_json::from_slice(&bytes) {
            Ok(record) => record,
            Err(error) => TreesRecord::Failed {
                reason: format!("their record cannot be read: {error}"),
            },
        };
        Some(match record {
            TreesRecord::Grown(grown) if grown.format != FORMAT => TreesRecord::Failed {
                reason: format!("their record has format {}, not {FORMAT}", grown.format),
            },
            record => record,
        })
    }

    /// Whether no more would come of trees that may take so many seconds. Memory may have been too little, and a
    /// record of another version says nothing here: what has failed is always tried again.
    fn stands(&self, seconds_max: f64) -> bool {
        match self {
            TreesRecord::Grown(grown) => {
                grown.growth == Growth::Whole || seconds_max < grown.longer_seconds()
            }
            TreesRecord::Failed { .. } => false,
        }
    }

    /// Writes it; readers see a whole record or none. Trees that are there stay where growing them again has failed.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let has_failed = matches!(self, TreesRecord::Failed { .. });
        if has_failed && matches!(TreesRecord::at(path), Some(TreesRecord::Grown(_))) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(self).expect("a record has string keys only");
        replace_durably(path, &bytes)
    }
}

impl GrownTrees {
    /// What they say of prepared rows that they have not seen: logits, or standardised values;
    /// `[rows][outputs]`. Trees of several folds say their mean.
    pub fn outputs(&self, examples: &Examples, preprocessor: &Preprocessor) -> Vec<f32> {
        let table = table_of(examples, preprocessor.columns().unwrap_or_default());
        let mut sums: Vec<f32> = Vec::new();
        for ensemble in &self.ensembles {
            let outputs = ensemble.outputs(&table);
            sums.resize(outputs.len(), 0.0);
            sums.iter_mut()
                .zip(&outputs)
                .for_each(|(sum, output)| *sum += output);
        }
        let count = self.ensembles.len().max(1) as f32;
        sums.iter().map(|sum| sum / count).collect()
    }

    /// What they say of the validation rows, each row by trees that have not learned from it.
    pub fn validation_outputs(
        &self,
        validation: &Examples,
        folds: &Folds,
        preprocessor: &Preprocessor,
    ) -> Vec<f32> {
        own_outputs(&self.ensembles, validation, folds, preprocessor)
    }
}

fn own_outputs(
    ensembles: &[Ensemble],
    validation: &Examples,
    folds: &Folds,
    preprocessor: &Preprocessor,
) -> Vec<f32> {
    let columns = preprocessor.columns().unwrap_or_default();
    let said = |network: usize, rows: &Examples| -> Result<Vec<f32>, Infallible> {
        let own = ensembles.get(network).or(ensembles.last());
        let table = table_of(rows, columns);
        Ok(own.map_or(Vec::new(), |ensemble| ensemble.outputs(&table)))
    };
    match folds.told(validation, &said) {
        Ok(outputs) => outputs,
        Err(never) => match never {},
    }
}

/// Seconds that trees may take in a study with this budget.
fn seconds_of(budget: Budget) -> f64 {
    budget.seconds.map_or(SECONDS_MAX, |seconds| {
        (TIME_SHARE * seconds).clamp(SECONDS_MIN, SECONDS_MAX)
    })
}

fn read_preprocessor(path: &Path) -> Result<Preprocessor, PrepareError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    PreparedFiles::at(folder).read_preprocessor()
}

fn goal_of(targets: &Targets) -> Goal<'_> {
    match targets {
        Targets::Classes { ids, count } => Goal::Classes { ids, count: *count },
        Targets::Values(values) => Goal::Values(values),
        Targets::None => Goal::Values(&[]),
    }
}

/// How much a row of each class weighs; all the same if empty.
fn weights_of(weights: ClassWeights, train: &Examples) -> Vec<f32> {
    match (weights, train.targets()) {
        (ClassWeights::Balanced, Targets::Classes { ids, count }) => {
            let rows = train.weights().unwrap_or_default();
            train::loss::balanced_weights(ids, rows, *count)
        }
        _ => Vec::new(),
    }
}

/// Prepared rows as columns again: numbers with their gaps, and categories as such.
fn table_of(examples: &Examples, columns: &[FittedColumn]) -> Table {
    let width = examples.item_len();
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut values = vec![0.0; width * rows.len()];
    examples.copy_inputs(&rows, &mut values);
    let mut offset = 0;
    let mut made = Vec::with_capacity(columns.len());
    for column in columns {
        let end = offset + column.width();
        let cells = values
            .chunks_exact(width.max(1))
            .map(|row| &row[offset..end]);
        match &column.kind {
            FittedKind::Numeric {
                missing_indicator, ..
            } => {
                let numbers = cells.map(|cell| number(cell, *missing_indicator));
                made.push(Column::Numbers(numbers.collect()));
            }
            FittedKind::Category { levels, .. } => {
                let own = levels::own(levels).len();
                let categories = cells.clone().map(|cell| category(cell, own));
                made.push(Column::Categories(categories.collect()));
                if levels::shared(levels) > 0 {
                    let rarer = cells.map(|cell| rarer(cell, levels));
                    made.push(Column::Numbers(rarer.collect()));
                }
            }
            FittedKind::Time(time) => {
                let told = time.missing_indicator == Indicator::Present;
                let is_missing = |cell: &[f32]| told && cell.last().is_some_and(|flag| *flag > 0.5);
                made.extend((0..time.values()).map(|place| {
                    let value = |cell: &[f32]| match is_missing(cell) {
                        true => f32::NAN,
                        false => cell[place],
                    };
                    Column::Numbers(cells.clone().map(value).collect())
                }));
            }
            FittedKind::Text { .. } => made.extend((0..end - offset).map(|word| {
                let has_word = cells.clone().map(|cell| cell[word]);
                Column::Numbers(has_word.collect())
            })),
        }
        offset = end;
    }
    // Without any column there is one that tells nothing.
    Table::new(made)
        .or_else(|| Table::new(vec![Column::Categories(vec![None; rows.len()])]))
        .expect("every column has a cell for each row")
}

fn number(cell: &[f32], indicator: Indicator) -> f32 {
    match (indicator, cell) {
        (Indicator::Present, [_, missing]) if *missing > 0.5 => f32::NAN,
        _ => cell[0],
    }
}

fn category(cell: &[f32], levels: usize) -> Option<u8> {
    let level = cell[..levels].iter().position(|value| *value > 0.5)?;
    u8::try_from(level).ok()
}

/// How common a level is that shares its values with others, as its place among these.
fn rarer(cell: &[f32], levels: &[String]) -> f32 {
    levels::rarer_in(cell, levels).map_or(f32::NAN, |place| place as f32)
}

#[cfg(test)]
mod tests;
