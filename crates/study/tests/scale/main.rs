//! The scale of a cluster, in simulated time: whether many nodes do as much each as one does alone. The decisions
//! are the real ones, and so is the ledger; what things take was measured (`costs.rs`). The same simulation with
//! up to 4,096 nodes is the example `cluster_scale`; bench/cluster/README.md has its numbers.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod agenda;
mod cluster;
mod costs;
#[path = "../made_up/mod.rs"]
mod made_up;
mod metered;
mod node;
mod tally;

use cluster::{Cluster, Plan, Until};
use tally::Tally;

/// Trainings of a minute on the mean, so many for each of so many nodes of one trainer, one in a hundred lost.
fn study(nodes: usize, trials: u64) -> Tally {
    Cluster::new(Plan {
        nodes,
        slots: 1,
        trials,
        mean: Some(60.0),
        until: Until::Ended,
        cores: costs::MEASURED_CORES,
        deaths: 0.01,
        seed: 1,
    })
    .run()
}

#[test]
fn five_hundred_nodes_do_nearly_as_much_each_as_one_and_no_trial_is_lost_or_done_twice() {
    let [one, some, many] = [(1, 8), (64, 8), (512, 3)].map(|(nodes, trials)| study(nodes, trials));
    for tally in [&one, &some, &many] {
        assert_eq!(tally.finished, tally.trials, "{tally:?}");
        assert_eq!(tally.retaken, 0, "{tally:?}");
    }
    assert!(some.steady / one.steady >= 0.97, "{some:?}");
    assert!(many.steady / one.steady >= 0.97, "{many:?}");
}

#[test]
fn the_same_plan_gives_the_same_course() {
    assert_eq!(study(16, 4), study(16, 4));
}
