//! What a dashboard keeps of a trial: what its tables and charts show, without the thousands of bytes of its record.

use std::{cmp::Ordering, collections::BTreeSet};

use morph::Morph;
use search::{Origin, Outcome, Parameter, Setting, Space, TrialId};
use study::trial::{
    EarlyStop, FailReason, Instant, Run, Slot, Trial, TrialResult, TrialState, WorkerName,
};
use train::{EpochReport, Metric};

use crate::report::Start;

/// Epochs of a training that are kept; of a longer one every so many'th.
const EPOCHS_KEPT: usize = 64;

/// What was done to a model where nothing was done to its network.
pub(super) const HYPERPARAMETERS_ONLY: &str = "hyperparameters only";

/// Where a trial is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running,
    Finished,
    Stopped,
    Failed,
}

impl State {
    pub(super) const ALL: [State; 5] = [
        State::Finished,
        State::Running,
        State::Waiting,
        State::Stopped,
        State::Failed,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Running => "running",
            State::Finished => "finished",
            State::Stopped => "stopped",
            State::Failed => "failed",
        }
    }
}

/// Who trains a trial, and since when.
#[derive(Clone, Debug)]
pub(super) struct Training {
    pub(super) worker: WorkerName,
    pub(super) slot: Slot,
    pub(super) since: Instant,
}

/// Where a model comes from.
#[derive(Clone, Debug)]
pub(super) struct Descent {
    /// The trial that it was made of, if it was made of one.
    pub(super) from: Option<TrialId>,
    /// What was done to that, or to a seed architecture.
    pub(super) change: String,
    /// The kinds of what was done to a trial's network, or that nothing was.
    pub(super) kinds: Box<[&'static str]>,
}

/// A trial in one line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: TrialId,
    pub(super) state: State,
    /// The metric on the validation rows; of a trial that was stopped, what was expected of it.
    pub(super) value: Option<f64>,
    /// Score and loss, by which trials with a score stand.
    standing: Option<(f64, f64)>,
    pub(super) parameters: u64,
    /// How long it was trained.
    pub(super) seconds: Option<f64>,
    /// Epochs trained and planned; with cross-validation of the first network.
    pub(super) epochs: Option<(usize, u32)>,
    /// The metric after each of these epochs, or after every so many'th.
    pub(super) curve: Box<[f32]>,
    pub(super) start: Start,
    pub(super) descent: Descent,
    /// Whether it is one of the best, trained once more.
    pub(super) is_retraining: bool,
    /// Where each searched hyperparameter lies between the ends of its scale.
    pub(super) places: Box<[f32]>,
    pub(super) notation: String,
    /// Who trained it, and when, if it has ended.
    pub(super) run: Option<Run>,
    /// Who trains it, if it runs.
    pub(super) training: Option<Training>,
    /// How it ended, as the search knows it.
    pub(super) outcome: Option<Outcome>,
    /// Why it failed.
    pub(super) reason: Option<FailReason>,
}

impl Row {
    pub(super) fn of(trial: &Trial, metric: Metric, space: &Space) -> Row {
        let candidate = &trial.candidate;
        let mut row = Row {
            id: trial.id,
            state: State::Waiting,
            value: None,
            standing: None,
            parameters: candidate.architecture.cost().parameters,
            seconds: None,
            epochs: None,
            curve: Box::default(),
            start: Start::Fresh,
            descent: descent(&candidate.origin),
            is_retraining: candidate.retrains().is_some(),
            places: places(&candidate.setting, space),
            notation: candidate.architecture.to_string(),
            run: trial.run().cloned(),
            training: None,
            outcome: trial.outcome(),
            reason: None,
        };
        match &trial.state {
            TrialState::Queued => {}
            TrialState::Running {
                worker,
                slot,
                claimed_at,
                ..
            } => row.runs(worker, *slot, *claimed_at),
            TrialState::Finished { result, .. } => row.finished(result, metric),
            TrialState::Stopped { stop, expected, .. } => {
                row.stopped(stop, metric);
                row.value = Some(metric.value(*expected));
            }
            TrialState::Failed { reason, .. } => {
                row.state = State::Failed;
                row.reason = Some(reason.clone());
            }
        }
        row
    }

    fn runs(&mut self, worker: &WorkerName, slot: Slot, since: Instant) {
        self.state = State::Running;
        self.training = Some(Training {
            worker: worker.clone(),
            slot,
            since,
        });
    }

    fn finished(&mut self, result: &TrialResult, metric: Metric) {
        self.state = State::Finished;
        self.value = result.metrics.get(&metric).copied();
        self.standing = Some((result.score, result.loss));
        self.seconds = Some(result.seconds);
        self.trained(&result.curve, result.recipe.epochs.get(), metric);
        self.start = started(result.inheritance.is_some());
    }

    fn stopped(&mut self, stop: &EarlyStop, metric: Metric) {
        self.state = State::Stopped;
        self.seconds = Some(stop.seconds);
        self.trained(&stop.curve, stop.recipe.epochs.get(), metric);
        self.start = started(stop.inheritance.is_some());
    }

    fn trained(&mut self, epochs: &[EpochReport], planned: u32, metric: Metric) {
        self.epochs = Some((epochs.len(), planned));
        let every = epochs.len().div_ceil(EPOCHS_KEPT).max(1);
        let value = |epoch: &EpochReport| metric.value(epoch.score) as f32;
        self.curve = epochs.iter().step_by(every).map(value).collect();
    }

    /// Better trials first, as `study::trial::by_standing` orders them; those without a score last.
    pub(super) fn by_standing(a: &Row, b: &Row) -> Ordering {
        let standing = |row: &Row| row.standing.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        let ((score_a, loss_a), (score_b, loss_b)) = (standing(a), standing(b));
        score_b
            .total_cmp(&score_a)
            .then(loss_a.total_cmp(&loss_b))
            .then(a.id.cmp(&b.id))
    }

    /// The metric, if it was measured.
    pub(super) fn measured(&self) -> Option<f64> {
        self.value.filter(|_| self.state == State::Finished)
    }

    /// Whether all these words, of small letters, stand somewhere in its line.
    pub(super) fn has(&self, words: &[String]) -> bool {
        if words.is_empty() {
            return true;
        }
        let line = format!("{} {}", self.notation, self.descent.change).to_lowercase();
        let number = self.id.to_string();
        words
            .iter()
            .all(|word| line.contains(word) || number == *word)
    }
}

fn started(is_inherited: bool) -> Start {
    match is_inherited {
        true => Start::Inherited,
        false => Start::Fresh,
    }
}

fn descent(origin: &Origin) -> Descent {
    let (from, change, kinds) = match origin {
        Origin::Seed { name } => (None, format!("seed architecture `{name}`"), Vec::new()),
        Origin::Fresh { seed, morphs } => {
            let change = match morphs.is_empty() {
                true => format!("seed architecture `{seed}`, drawn hyperparameters"),
                false => format!("drawn from `{seed}`: {}", listed(morphs)),
            };
            (None, change, Vec::new())
        }
        Origin::Variant { parent, morphs, .. } if morphs.is_empty() => {
            let only = HYPERPARAMETERS_ONLY;
            (Some(*parent), only.to_string(), vec![only])
        }
        Origin::Variant { parent, morphs, .. } => {
            // Two morphs of one kind are one kind of change.
            let kinds: BTreeSet<&'static str> = morphs.iter().map(Morph::kind).collect();
            (Some(*parent), listed(morphs), kinds.into_iter().collect())
        }
        Origin::Retrained { of, start } => (
            Some(*of),
            format!("once more {start}, for longer"),
            Vec::new(),
        ),
    };
    Descent {
        from,
        change,
        kinds: kinds.into(),
    }
}

fn listed(morphs: &[Morph]) -> String {
    let all: Vec<String> = morphs.iter().map(Morph::to_string).collect();
    all.join(", ")
}

/// From 0 to 1, hyperparameter by hyperparameter in the order of the space.
fn places(setting: &Setting, space: &Space) -> Box<[f32]> {
    let place = |parameter: &Parameter| {
        let value = setting.value(parameter.name());
        let value = value.unwrap_or_else(|| parameter.default_value());
        parameter.domain().share(value) as f32
    };
    space.parameters().iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use study::trial::by_standing;

    use super::*;
    use crate::made_up;

    #[test]
    fn rows_stand_in_the_order_of_their_trials() {
        let mut trials = [
            made_up::trial(9, TrialState::Queued),
            made_up::stopped(8, 3, 5.0),
            made_up::finished(7, 0.5, 0.3),
            made_up::failed(6, FailReason::OutOfTime),
            made_up::finished(5, 0.5, 0.2),
            made_up::finished(4, 0.1, 0.9),
            made_up::finished(3, 0.5, 0.2),
        ];
        let mut rows: Vec<Row> = trials
            .iter()
            .map(|trial| Row::of(trial, Metric::Rmse, &Space::default()))
            .collect();
        rows.sort_by(Row::by_standing);
        trials.sort_by(by_standing);
        let numbers: Vec<TrialId> = trials.iter().map(|trial| trial.id).collect();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), numbers);
        assert_eq!(numbers[..3], [TrialId(4), TrialId(3), TrialId(5)]);
    }

    #[test]
    fn a_row_says_how_its_trial_went_and_is_found_by_its_words() {
        let row = |trial: &Trial| Row::of(trial, Metric::Rmse, &Space::default());
        let finished = row(&made_up::finished(7, 0.5, 0.3));
        assert_eq!(
            (finished.state, finished.value),
            (State::Finished, Some(0.5))
        );
        assert_eq!(
            (finished.seconds, finished.epochs),
            (Some(37.0), Some((3, 10)))
        );
        let stopped = row(&made_up::stopped(8, 4, -0.4));
        assert_eq!((stopped.state, stopped.measured()), (State::Stopped, None));
        // What was expected of its score, in the metric's own direction.
        assert_eq!(stopped.value, Some(0.4));
        assert_eq!(stopped.epochs, Some((4, 10)));
        let has = |words: &str| {
            let words: Vec<String> = words.split(' ').map(str::to_string).collect();
            finished.has(&words)
        };
        assert!(finished.has(&[]) && has("dense linear") && has("7"));
        assert!(!has("dense conv") && !has("70"));
    }

    #[test]
    fn of_a_long_training_a_part_of_the_epochs_is_kept() {
        let row = Row::of(
            &made_up::stopped(8, 300, -0.4),
            Metric::Rmse,
            &Space::default(),
        );
        assert_eq!((row.curve.len(), row.epochs), (60, Some((300, 10))));
        assert!(row.curve.iter().all(|value| *value == 0.7));
    }

    #[test]
    fn hyperparameters_lie_where_the_search_sees_them() {
        let space: Space = serde_json::from_value(serde_json::json!({
            "rate": { "kind": "float", "low": 0.001, "high": 0.1, "scale": "log", "default": 0.01 },
            "way": { "kind": "category", "choices": ["a", "b", "c"] },
        }))
        .unwrap();
        let setting = Setting::default()
            .with("rate", search::Value::Float(0.01))
            .with("way", search::Value::Category("c".to_string()));
        let found = places(&setting, &space);
        assert!(
            (found[0] - 0.5).abs() < 1e-6 && found[1] == 1.0,
            "{found:?}"
        );
    }

    #[test]
    fn two_morphs_of_one_kind_are_one_kind_of_change() {
        let prune = |layer: usize| Morph::Prune {
            layer: morph::LayerId::at(layer),
            remove: 1,
        };
        let origin = Origin::Variant {
            parent: TrialId(1),
            morphs: vec![prune(1), prune(2)],
            temperature: 0.5,
            base_models: Vec::new(),
            targets: Vec::new(),
        };
        let descent = descent(&origin);
        assert_eq!(*descent.kinds, ["prune"]);
        assert_eq!(descent.from, Some(TrialId(1)));
    }
}
