//! How much of what one node does alone each of many does: a cluster in simulated time.
//!
//! ```sh
//! cargo run --release -p study --example cluster_scale -- TIMES CORES SLOTS TRIALS NODES…
//! ```
//!
//! `TIMES` is the mean of a training in seconds, or `recorded`; `CORES` those of the ledger's server; `SLOTS` the
//! trainers of each node; `TRIALS` how many each trainer trains. One trainer in a thousand dies. Prints one CSV
//! row for each number of nodes; efficiency is relative to the first. What is simulated, and how, is said in
//! `crates/study/tests/scale/`.

#![allow(clippy::unwrap_used)] // The simulation is a test's, too: what cannot be is a panic.

#[path = "../tests/scale/agenda.rs"]
mod agenda;
#[path = "../tests/scale/cluster.rs"]
mod cluster;
#[path = "../tests/scale/costs.rs"]
mod costs;
#[path = "../tests/made_up/mod.rs"]
mod made_up;
#[path = "../tests/scale/metered.rs"]
mod metered;
#[path = "../tests/scale/node.rs"]
mod node;
#[path = "../tests/scale/tally.rs"]
mod tally;

use std::{
    error::Error,
    io::{Write, stdout},
};

use cluster::{Cluster, Plan, Until};
use tally::{Cause, Tally};

/// Share of trainings whose trainer dies.
const DEATHS: f64 = 0.001;

const HEADER: &str = "times,mean_seconds,cores,nodes,trainers,trials,elapsed_seconds,spent_seconds,\
utilisation,efficiency,utilisation_whole,ledger_busy,questions_per_second,wait_median_ms,wait_99_ms,\
wait_longest_ms,duplicates,leases_lost,idle_ledger,idle_candidate,idle_store,idle_pause,idle_death,\
share_start,share_tail";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [times, cores, slots, trials, nodes @ ..] = arguments.as_slice() else {
        return Err("give TIMES CORES SLOTS TRIALS NODES…".into());
    };
    let mean = match times.as_str() {
        "recorded" => None,
        seconds => Some(seconds.parse()?),
    };
    let cores = cores.parse()?;
    writeln!(stdout(), "{HEADER}")?;
    let mut alone = None;
    for nodes in nodes {
        let plan = Plan {
            nodes: nodes.parse()?,
            slots: slots.parse()?,
            trials: trials.parse()?,
            mean,
            until: Until::Spent,
            cores,
            deaths: DEATHS,
            seed: 1,
        };
        let tally = Cluster::new(plan).run();
        let alone = *alone.get_or_insert(tally.steady);
        writeln!(stdout(), "{}", row(&tally, times, cores, alone))?;
    }
    Ok(())
}

fn row(tally: &Tally, times: &str, cores: usize, alone: f64) -> String {
    let [median, late, longest] = tally.waits.map(|seconds| format!("{:.2}", seconds * 1e3));
    let numbers = [
        times.to_string(),
        format!("{:.1}", tally.mean),
        cores.to_string(),
        tally.nodes.to_string(),
        tally.trainers.to_string(),
        tally.trials.to_string(),
        format!("{:.0}", tally.elapsed),
        format!("{:.0}", tally.spent_at),
        format!("{:.4}", tally.steady),
        format!("{:.4}", tally.steady / alone),
        format!("{:.4}", tally.whole),
        format!("{:.4}", tally.ledger_busy),
        format!("{:.1}", tally.questions),
        median,
        late,
        longest,
        tally.duplicates.to_string(),
        tally.retaken.to_string(),
    ];
    let causes = [
        Cause::Ledger,
        Cause::Candidate,
        Cause::Store,
        Cause::Pause,
        Cause::Death,
        Cause::Start,
        Cause::Tail,
    ];
    let shares = causes.map(|cause| format!("{:.5}", tally.idle[&cause]));
    format!("{},{}", numbers.join(","), shares.join(","))
}
