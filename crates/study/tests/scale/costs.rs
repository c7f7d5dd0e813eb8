//! What everything takes in a simulated cluster, in seconds: measured where a source is named, assumed where it says so.

/// A question that the ledger answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Join,
    Propose,
    Claim,
    Finish,
    Release,
    Beat,
    Checkpoint,
    News,
    Ended,
    Tracks,
    Nodes,
    Counts,
    Other,
}

/// Cores of the machine that the ledger's times were measured on (bench/ledger/README.md): its nodes had to
/// share them with the server.
pub(crate) const MEASURED_CORES: usize = 2;

/// With 1,000 nodes the server used 0.54 cores, while the medians of all that was asked of it come to 0.46: what
/// the medians leave out is work, too (bench/ledger/README.md).
const UNSEEN: f64 = 0.54 / 0.46;

/// Opening 1,000 connections took 20.8 s on two cores (bench/ledger/README.md).
pub(crate) const CONNECT: f64 = 20.8 / 1000.0 * MEASURED_CORES as f64;

/// Seconds of one core that a question takes whose answer has so many rows.
///
/// The first number of each is the median with 1,000 nodes (bench/ledger/README.md), which is twice to four times
/// that of a single node; what a row more takes, and what was not measured there, was measured with a single
/// one (bench/cluster/results/ledger-times.csv).
pub(crate) fn seconds(operation: Operation, rows: u64) -> f64 {
    let (milliseconds, a_row) = match operation {
        Operation::Join => (3.4, 0.0),
        Operation::Propose => (1.4, 0.0),
        Operation::Claim => (2.4, 0.0),
        Operation::Finish | Operation::Release => (2.5, 0.0),
        Operation::Beat | Operation::Checkpoint => (2.4, 0.0),
        Operation::News => (3.2, NEWS_ROW),
        Operation::Ended => (1.4, ENDED_ROW),
        Operation::Tracks => (1.4, TRACKS_ROW),
        Operation::Nodes => (1.4, NODES_ROW),
        Operation::Counts => (1.4, COUNTS_ROW),
        Operation::Other => (1.4, 0.0),
    };
    UNSEEN * 1e-3 * (milliseconds + rows as f64 * a_row)
}

/// Seconds that so many rows more take in the news.
pub(crate) fn more_news(rows: u64) -> f64 {
    UNSEEN * 1e-3 * rows as f64 * NEWS_ROW
}

/// Milliseconds that one row more takes in the news.
const NEWS_ROW: f64 = 0.0078;

/// The same of a trial with a curve of 52 epochs, read whole.
const ENDED_ROW: f64 = 0.14;

/// The same of what others compare their trainings with.
const TRACKS_ROW: f64 = 0.0037;

/// The same of a node in the list of all nodes.
const NODES_ROW: f64 = 0.0079;

/// The same of a trial that is only counted.
const COUNTS_ROW: f64 = 0.0004;

/// From a node to the ledger and back, within a data centre. Assumed.
pub(crate) const ROUND_TRIP: f64 = 0.0005;

/// Weights of one model, in bytes: a million parameters. Assumed.
pub(crate) const WEIGHTS: f64 = 4e6;

/// A training as it is kept on the way: the weights and two moments of each. Assumed.
pub(crate) const CHECKPOINT: f64 = 3.0 * WEIGHTS;

/// How often a training is kept, in seconds (`process/checkpoints.rs`).
pub(crate) const CHECKPOINT_SECS: f64 = 60.0;

/// What one node gets from the store, in bytes a second: 176 MiB, what one object server took here (it gave 222).
pub(crate) const STORE_NODE: f64 = 176.0 * 1024.0 * 1024.0;

/// What the store gives all nodes together, in bytes a second: a file system of some ten servers. Assumed.
pub(crate) const STORE_ALL: f64 = 10.0 * STORE_NODE;

/// An engine starts all nodes within so many seconds: a launcher looks that often.
pub(crate) const LAUNCH_SPREAD: f64 = 30.0;

/// How often the master looks, in seconds (`cluster/explore.rs`).
pub(crate) const LOOK: f64 = 1.0;

/// How often a worker reports to its desk, in seconds (`process/worker.rs`).
pub(crate) const TICK: f64 = 0.5;

/// Seconds that a look at the pool takes a generator which knows of so many ended trials
/// (bench/search/results/README.md: medians with none, with 100, 1,000 and 10,000).
pub(crate) fn proposal(ended: u64) -> f64 {
    const MEASURED: [(f64, f64); 4] = [
        (1.0, 0.0057),
        (100.0, 0.0237),
        (1_000.0, 0.0836),
        (10_000.0, 0.140),
    ];
    let ended = (ended.max(1) as f64).min(MEASURED[3].0);
    let upper = MEASURED.iter().position(|(known, _)| ended <= *known);
    let upper = upper.unwrap_or(MEASURED.len() - 1).max(1);
    let ((from, before), (to, after)) = (MEASURED[upper - 1], MEASURED[upper]);
    let share = (ended / from).ln() / (to / from).ln();
    before + share * (after - before)
}
