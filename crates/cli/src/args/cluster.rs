//! What can be typed about clusters: `lehr launch`, `lehr ledger` and `lehr explain --waiting`.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use study::{
    database::Host,
    launch::{DnsLabel, GroupName, Word},
};

/// Where the ledger of a study is.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// A PostgreSQL database for the study's ledger, as in `postgres://USER@HOST:PORT/DATABASE`, so that nodes
    /// on other machines can join [default: a file in the study's folder].
    #[arg(long, value_name = "URL")]
    pub(crate) ledger: Option<String>,
    /// What the study is called in the database [default: its folder's name].
    #[arg(long, value_name = "NAME", requires = "ledger")]
    pub(crate) study: Option<String>,
    /// Where nodes find prepared rows and weights: a directory that all see, `s3://BUCKET/PREFIX`, `gs://…`,
    /// `az://…` or `rclone:REMOTE:PATH` [default: the study's folder, which all must see].
    #[arg(long, value_name = "URL", requires = "ledger")]
    pub(crate) store: Option<String>,
    /// How long a node may be silent before its trials are given to others [default: 60s].
    #[arg(long, value_name = "TIME", requires = "ledger", value_parser = humantime::parse_duration)]
    pub(crate) lease: Option<Duration>,
}

/// A node that joins a study.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The study's invitation: `invitation.json` in its folder. Without it, this is a worker that `explore`
    /// has started.
    #[arg(long, value_name = "FILE")]
    pub(crate) join: Option<PathBuf>,
    /// The node's name, unique in the study [default: what its launcher calls it, or machine and process].
    #[arg(long, requires = "join")]
    pub(crate) name: Option<String>,
    /// Trainers [default: as many as the processors that it was given].
    #[arg(long, value_name = "N", requires = "join")]
    pub(crate) slots: Option<u16>,
    /// Threads of one trainer.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) threads: u8,
    /// Memory of one trainer in MiB [default: its share of what is free].
    #[arg(long, value_name = "MIB", requires = "join")]
    pub(crate) memory_mib: Option<u64>,
    /// A folder on this machine for results on their way [default: the folder for temporary files].
    #[arg(long, value_name = "DIR", requires = "join")]
    pub(crate) scratch: Option<PathBuf>,
    /// Most MiB of weights that are kept of a store, and as many of rows.
    #[arg(long, value_name = "MIB", default_value_t = 20_480)]
    pub(crate) cache_mib: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LaunchCommand {
    /// Nodes in a Slurm cluster, through sbatch, squeue, sinfo and scancel.
    Slurm(LaunchSlurmArgs),
    /// Nodes in a Kubernetes cluster, through kubectl.
    Kubernetes(LaunchKubernetesArgs),
    /// Nodes in any other engine, through three commands of your own.
    Command(LaunchCommandArgs),
}

/// Which nodes, and what is done about them.
#[derive(Debug, Args)]
pub(crate) struct NodesArgs {
    /// The study's invitation, a file that only you can read. Every node must see it under the same path
    /// (Kubernetes is sent it as a secret).
    #[arg(long, value_name = "FILE")]
    pub(crate) join: PathBuf,
    /// So many nodes there shall be: as many are started as are missing, and surplus ones leave.
    #[arg(long, value_name = "N", required_unless_present = "stop",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) nodes: Option<u32>,
    /// The name under which the nodes are found again [default: told from FILE].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<GroupName>,
    /// Go on looking, and replace what is lost, until the study ends or this is interrupted; the nodes stay.
    #[arg(long, conflicts_with_all = ["stop", "dry_run"])]
    pub(crate) keep: bool,
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) every: Duration,
    /// Print what would be sent to start N nodes, and ask nobody.
    #[arg(long, conflicts_with = "stop")]
    pub(crate) dry_run: bool,
    /// Tell all nodes to leave, wait until they have, and kill those that do not.
    #[arg(long)]
    pub(crate) stop: bool,
    /// How long nodes may take to leave.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = humantime::parse_duration)]
    pub(crate) grace: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct LaunchSlurmArgs {
    #[command(flatten)]
    pub(crate) nodes: NodesArgs,
    /// lehr on the nodes [default: this program, under the same path].
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
    /// Partition [default: Slurm's].
    #[arg(long)]
    pub(crate) partition: Option<Word>,
    /// Account that pays.
    #[arg(long)]
    pub(crate) account: Option<Word>,
    /// Quality of service.
    #[arg(long)]
    pub(crate) qos: Option<Word>,
    /// Features that a machine must have.
    #[arg(long)]
    pub(crate) constraint: Option<Word>,
    /// Time limit of a node, as in `8h`; it is told to leave two minutes before [default: the partition's].
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) time: Option<Duration>,
    /// Cores of a node [default: Slurm's, mostly one].
    #[arg(long, value_name = "N")]
    pub(crate) cpus_per_node: Option<NonZeroU32>,
    /// GPUs of a node.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) gpus_per_node: u32,
    /// Memory of a node in MiB [default: Slurm's].
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_mib_per_node: Option<NonZeroU32>,
    /// Folder for what nodes print, which every machine must see [default: `logs` beside FILE].
    #[arg(long, value_name = "DIR")]
    pub(crate) logs: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct LaunchKubernetesArgs {
    #[command(flatten)]
    pub(crate) nodes: NodesArgs,
    /// Image with lehr in it.
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: String,
    /// lehr in the image.
    #[arg(long, value_name = "FILE", default_value = "lehr")]
    pub(crate) program: String,
    /// Namespace [default: that of your context].
    #[arg(long)]
    pub(crate) namespace: Option<DnsLabel>,
    /// Queue of Kueue.
    #[arg(long)]
    pub(crate) queue: Option<DnsLabel>,
    /// Cores of a node.
    #[arg(long, value_name = "N", default_value = "1")]
    pub(crate) cpus_per_node: NonZeroU32,
    /// Memory of a node in MiB.
    #[arg(long, value_name = "MIB", default_value = "4096")]
    pub(crate) memory_mib_per_node: NonZeroU32,
    /// GPUs of a node.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) gpus_per_node: u32,
    /// What the cluster calls a GPU.
    #[arg(long, value_name = "NAME", default_value = "nvidia.com/gpu")]
    pub(crate) gpu_resource: Word,
}

#[derive(Debug, Args)]
pub(crate) struct LaunchCommandArgs {
    #[command(flatten)]
    pub(crate) nodes: NodesArgs,
    /// TOML file with the commands `start`, `list` and `stop`; docs/cluster/recipes.md has some.
    #[arg(long, value_name = "FILE")]
    pub(crate) recipe: PathBuf,
    /// lehr on the nodes [default: this program, under the same path].
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<PathBuf>,
}

/// Whom to ask why nothing runs.
#[derive(Debug, Args)]
pub(crate) struct WaitingArgs {
    /// Why nothing runs, instead of a trial: asks the engines where nodes of the study wait.
    #[arg(long, requires = "join")]
    pub(crate) waiting: bool,
    /// With --waiting: the study's invitation.
    #[arg(long, value_name = "FILE", requires = "waiting")]
    pub(crate) join: Option<PathBuf>,
    /// With --waiting: the name that `lehr launch` was given.
    #[arg(long, value_name = "NAME", requires = "waiting")]
    pub(crate) name: Option<GroupName>,
    /// With --waiting: ask only this engine [default: all that are installed].
    #[arg(long, value_enum, requires = "waiting")]
    pub(crate) engine: Option<EngineArg>,
    /// With --waiting: namespace in Kubernetes.
    #[arg(long, requires = "waiting")]
    pub(crate) namespace: Option<DnsLabel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineArg {
    Slurm,
    Kubernetes,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Start a private PostgreSQL, making it first if there is none, and print its address.
    Up(LedgerUpArgs),
    /// Stop it. What is in it stays.
    Down(LedgerPlaceArgs),
    /// Whether it runs and answers, and its address.
    Status(LedgerStatusArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LedgerPlaceArgs {
    /// Folder of the server: on a local disk, not on a network file system.
    #[arg(long, value_name = "DIR", default_value = "lehr-ledger")]
    pub(crate) dir: PathBuf,
    /// For root: the ordinary user who owns the server.
    #[arg(long, value_name = "NAME")]
    pub(crate) as_user: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerUpArgs {
    #[command(flatten)]
    pub(crate) place: LedgerPlaceArgs,
    /// Port [default: as before, at first 25432].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1024..))]
    pub(crate) port: Option<u16>,
    /// The name or address by which other machines reach this one: listen there too, with TLS only
    /// [default: as before, at first loopback only].
    #[arg(long, value_name = "HOST")]
    pub(crate) listen: Option<Host>,
}

#[derive(Debug, Args)]
pub(crate) struct LedgerStatusArgs {
    #[command(flatten)]
    pub(crate) place: LedgerPlaceArgs,
    /// Print as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
