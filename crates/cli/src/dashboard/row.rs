//! What a dashboard keeps of a trial: what its tables and charts show, without the ten thousand bytes of a curve.

use std::cmp::Ordering;

use search::{Outcome, TrialId};
use study::trial::{
    EarlyStop, FailReason, Instant, Run, Slot, Trial, TrialResult, TrialState, WorkerName,
};
use train::Metric;

use crate::report::Start;

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

/// A trial in one line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: TrialId,
    pub(super) state: State,
    /// The metric on the validation rows.
    pub(super) value: Option<f64>,
    /// Score and loss, by which trials stand.
    standing: Option<(f64, f64)>,
    pub(super) parameters: u64,
    /// How long it was trained.
    pub(super) seconds: Option<f64>,
    /// Epochs trained and planned; with cross-validation of the first network.
    pub(super) epochs: Option<(usize, u32)>,
    pub(super) start: Start,
    pub(super) parent: Option<TrialId>,
    pub(super) origin: String,
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
    pub(super) fn of(trial: &Trial, metric: Option<Metric>) -> Row {
        let candidate = &trial.candidate;
        let result = trial.result();
        let value = metric.and_then(|metric| result?.metrics.get(&metric).copied());
        let mut row = Row {
            id: trial.id,
            state: State::Waiting,
            value,
            standing: result.map(|result| (result.score, result.loss)),
            parameters: candidate.architecture.cost().parameters,
            seconds: None,
            epochs: None,
            start: Start::Fresh,
            parent: candidate.parent(),
            origin: candidate.origin.to_string(),
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
            TrialState::Finished { result, .. } => row.finished(result),
            TrialState::Stopped { stop, .. } => row.stopped(stop),
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

    fn finished(&mut self, result: &TrialResult) {
        self.state = State::Finished;
        self.seconds = Some(result.seconds);
        self.epochs = Some((result.curve.len(), result.recipe.epochs.get()));
        self.start = started(result.inheritance.is_some());
    }

    fn stopped(&mut self, stop: &EarlyStop) {
        self.state = State::Stopped;
        self.seconds = Some(stop.seconds);
        self.epochs = Some((stop.curve.len(), stop.recipe.epochs.get()));
        self.start = started(stop.inheritance.is_some());
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

    /// Whether all these words stand somewhere in its line.
    pub(super) fn has(&self, words: &str) -> bool {
        words.split_whitespace().all(|word| {
            let holds = |text: &str| text.to_lowercase().contains(&word.to_lowercase());
            holds(&self.notation) || holds(&self.origin) || self.id.to_string() == word
        })
    }
}

fn started(is_inherited: bool) -> Start {
    match is_inherited {
        true => Start::Inherited,
        false => Start::Fresh,
    }
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
            .map(|trial| Row::of(trial, Some(Metric::Rmse)))
            .collect();
        rows.sort_by(Row::by_standing);
        trials.sort_by(by_standing);
        let numbers: Vec<TrialId> = trials.iter().map(|trial| trial.id).collect();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), numbers);
        assert_eq!(numbers[..3], [TrialId(4), TrialId(3), TrialId(5)]);
    }

    #[test]
    fn a_row_says_how_its_trial_went_and_is_found_by_its_words() {
        let row = |trial: &Trial| Row::of(trial, Some(Metric::Rmse));
        let finished = row(&made_up::finished(7, 0.5, 0.3));
        assert_eq!(
            (finished.state, finished.value),
            (State::Finished, Some(0.5))
        );
        assert_eq!(
            (finished.seconds, finished.epochs),
            (Some(37.0), Some((3, 10)))
        );
        let stopped = row(&made_up::stopped(8, 4, 0.5));
        assert_eq!((stopped.state, stopped.value), (State::Stopped, None));
        assert_eq!(stopped.epochs, Some((4, 10)));
        assert!(finished.has("") && finished.has("DENSE seed") && finished.has("7"));
        assert!(!finished.has("dense conv") && !finished.has("70"));
    }
}
