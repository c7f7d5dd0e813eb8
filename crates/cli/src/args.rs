//! What can be typed: commands, arguments and flags. Nothing is decided here.

mod cluster;

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use bench::SearcherKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use data::{ColumnKind, DataKind, Decimal, Delimiter, Dialect, Encoding, HeaderLine, TaskKind};
use search::{Objective, Rule, Strategy};
use study::{
    conclude::ensemble::MEMBERS,
    config::{Inherit, Retrain},
    folds::{FOLDS_MAX, REPEATS_MAX},
    store::sweep::KEPT_BEST,
};
use train::Metric;

pub(crate) use cluster::{
    EngineArg, JoinArgs, LaunchCommand, LaunchCommandArgs, LaunchKubernetesArgs, LaunchSlurmArgs,
    LedgerCommand, LedgerPlaceArgs, LedgerStatusArgs, LedgerUpArgs, NodesArgs, PlaceArgs,
    WaitingArgs,
};

/// Explores deep-learning models for your data in parallel, and gives back the best trained one.
#[derive(Debug, Parser)]
#[command(name = "lehr", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Explore models for DATA until the budget is used, and keep the best. Run it again to go on.
    Explore(Box<ExploreArgs>),
    /// What DATA are like before anything is trained, and what will be done about it.
    Inspect(InspectArgs),
    /// How a study stands: trials, best score, budget, how busy the trainers were.
    Status(StudyArgs),
    /// All trials of a study, best first.
    Trials(TrialsArgs),
    /// The best model so far and its three scores.
    Best(BestArgs),
    /// Where a trial comes from, why it was proposed, how it went; or why nothing runs.
    Explain(ExplainArgs),
    /// How a study goes, in a browser, while it goes and afterwards.
    Dashboard(DashboardArgs),
    /// What a model says of the rows or images in FILE.
    Predict(PredictArgs),
    /// Answer questions to a model over HTTP until told to stop.
    Serve(ServeArgs),
    /// Write a model for use elsewhere.
    Export(ExportArgs),
    /// Start nodes of a study in a cluster, as many as are missing.
    #[command(subcommand)]
    Launch(LaunchCommand),
    /// A private PostgreSQL as the ledger of a cluster, for those who have none.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Remove weights of trials that nobody needs any more, and keep everything else about them.
    Clean(CleanArgs),
    /// The schema of lehr.toml, or a study's configuration with every default visible.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// How good the search is: lehr's method and its references on recorded tables.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// What this machine offers, and whether anything stands in the way.
    Doctor(DoctorArgs),
    /// A slave node: joins the study of an invitation, and works until it is over.
    Worker(JoinArgs),
    /// The first process of a worker; started by it.
    #[command(hide = true)]
    Generator,
    /// The second process of a worker; started by it.
    #[command(hide = true)]
    Trainer,
    /// Grows trees to compare with; started by `explore`.
    #[command(hide = true)]
    Baseline,
}

/// What is read, and how its rows are split.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// A file (CSV, TSV, Parquet, Arrow, JSON Lines, ARFF, ts, NPZ, IDX, zip, tar), a folder with such files or with
    /// one folder of images or texts per class, a lehr.toml, or a folder with a lehr.toml in it.
    pub(crate) data: PathBuf,
    /// Rows that only the final score may see, in a file like DATA.
    #[arg(long, value_name = "FILE")]
    pub(crate) test: Option<PathBuf>,
    /// Rows that decide between trials, in a file like DATA.
    #[arg(long, value_name = "FILE")]
    pub(crate) validation: Option<PathBuf>,
    /// Column to predict.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) target: Option<String>,
    /// Columns that are left out.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// What columns hold, where it is not what they look like: `number`, `category`, `text` (or `words` or
    /// `characters`, what it is read by), `date`, `date_day_first` or `date_month_first`, as in `zip=category,since=date_day_first`.
    #[arg(long = "as", value_name = "COLUMN=KIND", value_delimiter = ',', value_parser = column_kind)]
    pub(crate) columns_as: Vec<(String, ColumnKind)>,
    /// Pixels of the longer side of image files at most: larger ones are made smaller [default: 128].
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) image_size: Option<u32>,
    /// MiB of a file that is read as a whole at most, and of all that an archive unpacks to [default: 2048].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) read_mib_max: Option<u64>,
    /// Columns of a table at most [default: 100000].
    #[arg(long, value_name = "N")]
    pub(crate) columns_max: Option<usize>,
    /// Classes of a target at most [default: 1000].
    #[arg(long, value_name = "N")]
    pub(crate) classes_max: Option<usize>,
    /// Whether the first line of a table names its columns.
    #[arg(long, value_enum)]
    pub(crate) header: Option<HeaderArg>,
    #[command(flatten)]
    pub(crate) dialect: DialectArgs,
    /// Overrules what the data look like.
    #[arg(long, value_enum)]
    pub(crate) kind: Option<KindArg>,
    /// Overrules what the target looks like.
    #[arg(long, value_enum)]
    pub(crate) task: Option<TaskArg>,
    /// A table has a row for each step of a series: rows with the same value in this column are one series,
    /// and all columns without another role are channels.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) series_id: Option<String>,
    /// Orders the rows of a series (numbers or dates) [default: as they stand].
    #[arg(long, value_name = "COLUMN")]
    pub(crate) series_time: Option<String>,
    /// Rows with the same value in this column stay on one side of the split.
    #[arg(long, value_name = "COLUMN", group = "split_by")]
    pub(crate) split_group: Option<String>,
    /// The oldest rows by this column (numbers or dates) are learned from, the newest are the vault.
    #[arg(long, value_name = "COLUMN", group = "split_by")]
    pub(crate) split_time: Option<String>,
    /// This column says of each row what it is for: `train`, `validation` or `test`.
    #[arg(long, value_name = "COLUMN", group = "split_by")]
    pub(crate) split_column: Option<String>,
    /// How much each row counts, in all that is learned and in every metric.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) weight: Option<String>,
    /// Folds of a cross-validation over all rows that are not in the vault, groups in one piece; 1 for none
    /// [default: 5 if there are few rows].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=FOLDS_MAX.into()))]
    pub(crate) folds: Option<u8>,
    /// How many times rows are dealt into folds, each time otherwise [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=REPEATS_MAX.into()))]
    pub(crate) repeats: Option<u8>,
    /// Seed of the split and of everything random.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

/// How a table is written, where that is not what it looks like.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct DialectArgs {
    /// What separates the cells of a table: a character, `tab`, `space`, or `blanks` (any number of them).
    #[arg(long, value_name = "CHARACTER")]
    pub(crate) delimiter: Option<Delimiter>,
    /// How a table writes fractions: `0.5` or `0,5`.
    #[arg(long, value_enum)]
    pub(crate) decimal: Option<DecimalArg>,
    /// How texts are written as bytes, as in `latin1`, `windows-1251`, `gbk` or `shift_jis`.
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: Option<Encoding>,
}

impl From<DialectArgs> for Dialect {
    fn from(args: DialectArgs) -> Dialect {
        Dialect {
            delimiter: args.delimiter,
            decimal: args.decimal.map(Decimal::from),
            encoding: args.encoding,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DecimalArg {
    Point,
    Comma,
}

impl From<DecimalArg> for Decimal {
    fn from(decimal: DecimalArg) -> Decimal {
        match decimal {
            DecimalArg::Point => Decimal::Point,
            DecimalArg::Comma => Decimal::Comma,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Show at most so many columns.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) columns: usize,
    /// Print everything as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// What decides between trials.
    #[arg(long, value_parser = metric)]
    pub(crate) metric: Option<Metric>,
    /// How long to explore, as in `90s`, `10m`, `1h 30m` [default: 10m if --trials is not given].
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) time: Option<Duration>,
    /// How many trials to make.
    #[arg(long, value_name = "N")]
    pub(crate) trials: Option<u64>,
    /// Folder of the study [default: the data's name with .lehr, here].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Worker nodes on this machine.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<u16>,
    /// Trainers of one worker [default: one per core].
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<u16>,
    /// Memory of one trainer in MiB [default: its share of what is free].
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_mib: Option<u64>,
    /// How models are found: `annealing`; for comparison `unscreened` (without the surrogate) and
    /// `random`.
    #[arg(long, value_enum)]
    pub(crate) strategy: Option<StrategyArg>,
    /// What a variant of a trained model begins with: `shrunk` (its parent's weights, moved
    /// towards random ones), `weights` (its parent's as they are) or `nothing` (random ones).
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) inherit: Option<InheritArg>,
    /// Which trainings go on where they are compared with others: `halving` (the best two of five), `median`
    /// (the better half), `extrapolation` (those that may still win) or `none` (all).
    #[arg(long, value_enum, value_name = "RULE")]
    pub(crate) rungs: Option<RuleArg>,
    /// What is trained once more at the end, for longer: `best` (the best model, from scratch and from its
    /// own weights) or `nothing`.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) retrain: Option<RetrainArg>,
    /// What models should have little of, beside a high score: `params`, `flops`, `latency`. Models that
    /// none beats in all of them are kept in the study's folder `front`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) objectives: Vec<Objective>,
    /// At the end, choose at most so many trials that answer together as one more model, in the study's folder
    /// `ensemble`.
    #[arg(long, value_name = "N", value_parser = ensemble_members)]
    pub(crate) ensemble: Option<u8>,
    /// No model may have more parameters.
    #[arg(long, value_name = "N")]
    pub(crate) params_max: Option<u64>,
    /// No model may need more operations for one example.
    #[arg(long, value_name = "N")]
    pub(crate) flops_max: Option<u64>,
    /// No model's file may be larger, in KiB.
    #[arg(long, value_name = "KIB")]
    pub(crate) file_kib_max: Option<u64>,
    /// No model may take longer for one example, as in `2ms` or `500us`; measured on this machine.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) latency_max: Option<Duration>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RetrainArg {
    Best,
    Nothing,
}

impl From<RetrainArg> for Retrain {
    fn from(retrain: RetrainArg) -> Retrain {
        match retrain {
            RetrainArg::Best => Retrain::Best,
            RetrainArg::Nothing => Retrain::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HeaderArg {
    Present,
    Absent,
}

impl From<HeaderArg> for HeaderLine {
    fn from(header: HeaderArg) -> HeaderLine {
        match header {
            HeaderArg::Present => HeaderLine::Present,
            HeaderArg::Absent => HeaderLine::Absent,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KindArg {
    Table,
    Images,
    Series,
    Text,
}

impl From<KindArg> for DataKind {
    fn from(kind: KindArg) -> DataKind {
        match kind {
            KindArg::Table => DataKind::Table,
            KindArg::Images => DataKind::Images,
            KindArg::Series => DataKind::Series,
            KindArg::Text => DataKind::Text,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum TaskArg {
    Classification,
    Regression,
}

impl From<TaskArg> for TaskKind {
    fn from(task: TaskArg) -> TaskKind {
        match task {
            TaskArg::Classification => TaskKind::Classification,
            TaskArg::Regression => TaskKind::Regression,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StrategyArg {
    Annealing,
    Unscreened,
    Random,
}

impl From<StrategyArg> for Strategy {
    fn from(strategy: StrategyArg) -> Strategy {
        match strategy {
            StrategyArg::Annealing => Strategy::Annealing,
            StrategyArg::Unscreened => Strategy::Unscreened,
            StrategyArg::Random => Strategy::Random,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum InheritArg {
    Weights,
    Shrunk,
    Nothing,
}

impl From<InheritArg> for Inherit {
    fn from(inherit: InheritArg) -> Inherit {
        match inherit {
            InheritArg::Weights => Inherit::Weights,
            InheritArg::Shrunk => Inherit::Shrunk,
            InheritArg::Nothing => Inherit::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum RuleArg {
    None,
    Halving,
    Median,
    Extrapolation,
}

impl From<RuleArg> for Rule {
    fn from(rule: RuleArg) -> Rule {
        match rule {
            RuleArg::None => Rule::None,
            RuleArg::Halving => Rule::Halving,
            RuleArg::Median => Rule::Median,
            RuleArg::Extrapolation => Rule::Extrapolation,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct StudyArgs {
    /// Folder of the study.
    pub(crate) study: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BestArgs {
    #[command(flatten)]
    pub(crate) study: StudyArgs,
    /// Choose at most so many trials that answer together as one more model, in the study's folder `ensemble`
    /// [default: as the study was told].
    #[arg(long, value_name = "N", value_parser = ensemble_members)]
    pub(crate) ensemble: Option<u8>,
}

#[derive(Debug, Args)]
pub(crate) struct TrialsArgs {
    /// Folder of the study.
    pub(crate) study: PathBuf,
    /// Show at most so many.
    #[arg(long, default_value_t = 20)]
    pub(crate) top: usize,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Number of the trial.
    #[arg(required_unless_present = "waiting")]
    pub(crate) trial: Option<u64>,
    /// Folder of the study.
    #[arg(required_unless_present = "waiting")]
    pub(crate) study: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) waiting: WaitingArgs,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// Folder of the study.
    pub(crate) study: PathBuf,
    /// Keep the weights of so many of the best trials.
    #[arg(long, value_name = "N", default_value_t = KEPT_BEST)]
    pub(crate) keep: usize,
    /// Say what would go, and remove nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// A study's folder, or a folder with model.json and model.safetensors.
    pub(crate) model: PathBuf,
    /// Rows or images, of the kind the model was trained on: files, folders, or `-` for standard input,
    /// which is answered as it arrives (CSV or JSON Lines, plain or gzipped; all else is read to its end first).
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) dialect: DialectArgs,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print JSON Lines: an object for each row, with its number.
    #[arg(long)]
    pub(crate) json: bool,
    /// MiB of a file that is read as a whole at most [default: 2048].
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) read_mib_max: Option<u64>,
    /// Write the rows that could not be used to this file, as CSV with their numbers and the reasons.
    #[arg(long, value_name = "FILE")]
    pub(crate) bad: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    /// Folder of the study.
    pub(crate) study: PathBuf,
    /// Where to listen; port 0 takes a free one. An address that others can reach needs a token.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8081")]
    pub(crate) listen: SocketAddr,
    /// Read the token, which a browser asks for as a password, from this file [default on an address that
    /// others can reach: a new one, printed once].
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// A study's folder, or a folder with model.json and model.safetensors.
    pub(crate) model: PathBuf,
    /// Where to listen; port 0 takes a free one. An address that others can reach needs a token.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Read the token that clients must show from this file [default on an address that others can
    /// reach: a new one, printed once].
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Threads that compute [default: one per core].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// No request may be larger, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) body_mib_max: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// A study's folder, or a folder with model.json and model.safetensors.
    #[arg(required_unless_present = "check")]
    pub(crate) model: Option<PathBuf>,
    /// Write an ONNX file, from raw input to label, and certify what it does.
    #[arg(long, value_name = "FILE")]
    pub(crate) onnx: Option<PathBuf>,
    /// Write the weights as safetensors, with a model.json beside it.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) safetensors: Option<PathBuf>,
    /// Write a PyTorch script, from raw input to label, with the weights beside it.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) pytorch: Option<PathBuf>,
    /// Check that an ONNX file is, bit for bit, the one that was certified; of MODEL, if it is given.
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// The JSON Schema of lehr.toml.
    Schema,
    /// A lehr.toml, or a study's configuration, with every default visible.
    Render {
        /// A lehr.toml, a folder with one, or a study's folder.
        path: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Search recorded tables of trained models, and say how far from the best each searcher ends.
    Search(BenchSearchArgs),
    /// Search recorded learning curves with and without rungs, and say how long each takes.
    Rungs(BenchRungsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BenchRungsArgs {
    /// Folder with the recorded tables.
    pub(crate) tables: PathBuf,
    /// Searches of each kind.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Models trained at once.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workers: u32,
    /// How near to the best a whole training must come, in percentage points.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) regret: f64,
    /// Epochs before trainings are compared first.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) first: u32,
    /// How many times longer each rung is than the one before.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) factor: u32,
    /// Write a line for each search into this file, as CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BenchSearchArgs {
    /// Folder with the recorded tables.
    pub(crate) tables: PathBuf,
    /// Only these tables [default: all].
    #[arg(long = "table", value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Only these searchers [default: all].
    #[arg(long = "searcher", value_name = "NAME")]
    pub(crate) searchers: Vec<SearcherKind>,
    /// Searches of each kind.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Models that a search trains.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) evaluations: u32,
    /// Models trained at once; several numbers are compared.
    #[arg(long, value_name = "N", default_value = "1", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) workers: Vec<u32>,
    /// Write regret.csv and regret.html into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Show a CSV file of other searchers, with the columns of regret.csv, beside these.
    #[arg(long, value_name = "FILE")]
    pub(crate) beside: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn ensemble_members(text: &str) -> Result<u8, String> {
    let members = text.parse().ok();
    let members = members.filter(|members| MEMBERS.contains(members));
    members.ok_or_else(|| {
        format!(
            "an ensemble has {} to {} trials",
            MEMBERS.start(),
            MEMBERS.end()
        )
    })
}

fn column_kind(text: &str) -> Result<(String, ColumnKind), String> {
    // A name may hold the sign, a kind does not.
    let (name, kind) = text.rsplit_once('=').ok_or_else(|| {
        format!("`{text}` does not say what a column holds: write it like zip=category")
    })?;
    Ok((name.to_string(), kind.parse()?))
}

fn metric(text: &str) -> Result<Metric, String> {
    text.parse().map_err(|_| {
        let known: Vec<String> = Metric::ALL.iter().map(Metric::to_string).collect();
        format!(
            "`{text}` is not a metric: choose one of {}",
            known.join(", ")
        )
    })
}
