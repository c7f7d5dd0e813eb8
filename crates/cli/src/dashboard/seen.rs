//! How a study stood at one moment, as all pages show it.

use std::{collections::BTreeMap, sync::Arc};

use search::{Outcome, TrialId};
use study::{
    config::StudyConfig,
    ledger::{Counts, Node, Standing},
    message::Progress,
    status::{Busy, Status, busy, by_kind},
};
use train::Metric;

use super::row::Row;
use crate::report::MetricShown;

/// How a study stood at one moment.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) name: String,
    /// What is learned from, in one line.
    pub(super) data: String,
    /// With cross-validation a model is so many networks.
    pub(super) networks: usize,
    pub(super) metric: Metric,
    pub(super) config: StudyConfig,
    pub(super) standing: Standing,
    /// Seconds of exploring, as far as the master has counted them.
    pub(super) spent_seconds: f64,
    pub(super) counts: Counts,
    pub(super) nodes: Vec<Node>,
    pub(super) lease_secs: f64,
    /// In the order in which they ended.
    pub(super) ended: Vec<Arc<Row>>,
    /// The oldest first; not all, if there are very many.
    pub(super) under_way: Vec<Row>,
    pub(super) has_report: bool,
    /// Why this is not how it stands now, if the ledger could not be read again.
    pub(super) problem: Option<String>,
}

impl Seen {
    /// The same, still shown because the ledger cannot be read.
    pub(super) fn outlived(&self, problem: String) -> Seen {
        Seen {
            problem: Some(problem),
            ..self.clone()
        }
    }

    /// The metric that decides, as charts show it.
    pub(super) fn metric_shown(&self) -> MetricShown {
        MetricShown::of(self.metric)
    }

    /// All trials that are known, those that have ended first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        let ended = self.ended.iter().map(|row| &**row);
        ended.chain(&self.under_way)
    }

    /// How many trials there are beside these: a page does not show all of a large cluster's.
    pub(super) fn not_known(&self) -> u64 {
        let known = self.under_way.len() as u64;
        self.counts.under_way().saturating_sub(known)
    }

    /// The best trial so far.
    pub(super) fn best(&self) -> Option<&Row> {
        let best = self.standing.best?;
        let mut rows = self.ended.iter().rev();
        rows.find(|row| row.id == best).map(|row| &**row)
    }

    pub(super) fn budget_used(&self) -> f64 {
        let budget = self.config.budget;
        budget.used(self.spent_seconds, self.counts.ended())
    }

    /// Nodes that have been heard of lately.
    pub(super) fn alive(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| self.is_alive(node))
    }

    pub(super) fn is_alive(&self, node: &Node) -> bool {
        node.is_alive(self.lease_secs, self.standing.at)
    }

    /// The node that trains a trial, if it is known.
    pub(super) fn trainer_of(&self, row: &Row) -> Option<&Node> {
        let training = row.training.as_ref()?;
        let mut nodes = self.nodes.iter();
        nodes.find(|node| node.worker == training.worker)
    }

    /// How far a trial was when its node was last heard of.
    pub(super) fn progress_of(&self, row: &Row) -> Option<&Progress> {
        let mut progress = self.trainer_of(row)?.progress.iter();
        progress.find(|progress| progress.trial == row.id)
    }

    /// How the first so many trials ended, as far as they were read.
    pub(super) fn outcomes(&self, ended: u64) -> Vec<Outcome> {
        let first = self.ended.iter().take(ended as usize);
        first.filter_map(|row| row.outcome).collect()
    }

    /// How busy the trainers were so far.
    pub(super) fn busy(&self) -> Option<Busy> {
        busy(self.ended.iter().filter_map(|row| row.run.as_ref()))
    }

    /// The same as `lehr status --json` says.
    pub(super) fn status(&self) -> Status {
        let reasons = self.ended.iter().filter_map(|row| row.reason.as_ref());
        Status {
            counts: self.counts,
            best: self.best().and_then(|row| Some((row.id, row.value?))),
            spent_seconds: self.spent_seconds,
            budget_used: self.budget_used(),
            busy: self.busy(),
            failures: by_kind(reasons),
        }
    }

    /// Trials by their number.
    pub(super) fn by_id(&self) -> BTreeMap<TrialId, &Row> {
        self.rows().map(|row| (row.id, row)).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use study::trial::{FailReason, Instant, LeaseEpoch, Slot, Trial, TrialState, WorkerName};

    use super::{super::row::State, *};
    use crate::{made_up, settings};

    /// The moment at which everything below is seen.
    const NOW: f64 = 1000.0;

    fn config() -> StudyConfig {
        let typed = toml::from_str("data = \"rents.csv\"").unwrap();
        settings::decided(&typed).unwrap()
    }

    /// A study of a regression whose trials are these, with nodes heard of so many seconds ago.
    pub(in crate::dashboard) fn seen(trials: &[Trial], nodes: Vec<Node>) -> Seen {
        let config = config();
        let row = |trial: &Trial| Row::of(trial, Metric::Rmse, &config.search.space);
        let (ended, under_way): (Vec<&Trial>, Vec<&Trial>) =
            trials.iter().partition(|trial| trial.sequence().is_some());
        let runs = |trial: &&&Trial| matches!(trial.state, TrialState::Running { .. });
        let running = under_way.iter().filter(runs).count() as u64;
        let count = |state: State| {
            let is_so = |trial: &&&Trial| row(trial).state == state;
            ended.iter().filter(is_so).count() as u64
        };
        let mut best: Vec<&Trial> = ended
            .iter()
            .copied()
            .filter(|trial| trial.result().is_some())
            .collect();
        best.sort_by(|a, b| study::trial::by_standing(a, b));
        Seen {
            name: "rents".to_string(),
            data: "table".to_string(),
            networks: 1,
            metric: Metric::Rmse,
            standing: Standing {
                at: Instant(NOW),
                spent_seconds: 60.0,
                proposals_left: None,
                kept_back: 0,
                best: best.first().map(|trial| trial.id),
                ending: None,
            },
            spent_seconds: 60.0,
            counts: Counts {
                queued: under_way.len() as u64 - running,
                running,
                finished: count(State::Finished),
                stopped: count(State::Stopped),
                failed: count(State::Failed),
            },
            nodes,
            lease_secs: 60.0,
            ended: ended.iter().map(|trial| Arc::new(row(trial))).collect(),
            under_way: under_way.iter().map(|trial| row(trial)).collect(),
            has_report: false,
            problem: None,
            config,
        }
    }

    /// A node that was heard of so many seconds ago, with what it said of one trial then.
    pub(in crate::dashboard) fn node(number: u32, seconds_ago: f64, said: (u64, u32)) -> Node {
        let (trial, epoch) = said;
        Node {
            worker: WorkerName(format!("node-{number}")),
            number,
            host: "machine".to_string(),
            slots: 2,
            seen_at: Instant(NOW - seconds_ago),
            has_left: false,
            is_exhausted: false,
            crashes: 0,
            progress: vec![Progress {
                trial: TrialId(trial),
                epoch,
                epochs: 50,
                score: -0.5,
            }],
        }
    }

    /// A trial that a node is training.
    pub(in crate::dashboard) fn running(id: u64, node: u32) -> Trial {
        let state = TrialState::Running {
            epoch: LeaseEpoch(1),
            worker: WorkerName(format!("node-{node}")),
            slot: Slot(0),
            claimed_at: Instant(NOW - 30.0),
            lease_until: Instant(NOW + 30.0),
        };
        made_up::trial(id, state)
    }

    #[test]
    fn how_far_a_trial_is_says_the_node_that_trains_it_and_no_dead_one() {
        let nodes = vec![node(3, 1.0, (5, 2)), node(9, 900.0, (5, 40))];
        let seen = seen(&[running(5, 3)], nodes);
        let row = &seen.under_way[0];
        assert_eq!(
            seen.progress_of(row).map(|progress| progress.epoch),
            Some(2)
        );
        let other = Row::of(&running(6, 3), Metric::Rmse, &seen.config.search.space);
        assert!(seen.progress_of(&other).is_none());
    }

    #[test]
    fn what_is_said_for_programs_is_counted_from_what_was_read() {
        let trials = [
            made_up::finished(1, 0.5, 0.3),
            made_up::failed(2, FailReason::OutOfTime),
            made_up::finished(3, 0.4, 0.3),
            made_up::failed(4, FailReason::OutOfTime),
        ];
        let status = seen(&trials, Vec::new()).status();
        assert_eq!(status.best, Some((TrialId(3), 0.4)));
        assert_eq!(
            status.failures,
            BTreeMap::from([("out of time".to_string(), 2)])
        );
        assert_eq!(status.counts.failed, 2);
    }

    #[test]
    fn the_outcomes_of_the_first_so_many_are_those_that_ended_first() {
        let trials = [
            made_up::finished(1, 0.5, 0.3),
            made_up::finished(2, 0.4, 0.3),
        ];
        let seen = seen(&trials, Vec::new());
        assert_eq!(seen.outcomes(1), [Outcome::Scored(-0.5)]);
        // What is not read yet cannot be told.
        assert_eq!(seen.outcomes(7).len(), 2);
    }
}
