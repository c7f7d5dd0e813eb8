//! From a study on disk to what its report shows.
//!
//! Reads the ledger and the notices, computes nothing that they do not say, and writes one file.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use data::Severity;
use search::TrialId;
use study::{
    conclude::{Conclusion, Retrained, Scored},
    config::StudyConfig,
    folder::StudyFolder,
    front::FrontModel,
    ledger::Ledger,
    prepared::PreparedFiles,
    replace_durably,
    trial::{Bytes, FailReason, Instant, Run, Trial, TrialResult, TrialState, by_standing},
};
use train::{EpochReport, Metric};

use super::{model::*, render};
use crate::{command::explain::ancestors, show};

/// Trials on the leaderboard; `leaderboard.csv` has all.
const LEADERS_MAX: usize = 25;

/// Writes `report.html` into the study's folder; readers see the old page or the new one.
pub(crate) fn write(
    folder: &StudyFolder,
    config: &StudyConfig,
    ledger: &dyn Ledger,
    conclusion: &Conclusion,
) -> Result<()> {
    let page = render(&gather(folder, config, ledger, conclusion)?);
    let path = folder.report();
    replace_durably(&path, page.as_bytes())
        .with_context(|| format!("could not write the report {}", path.display()))
}

fn gather(
    folder: &StudyFolder,
    config: &StudyConfig,
    ledger: &dyn Ledger,
    conclusion: &Conclusion,
) -> Result<ReportModel> {
    let metric = conclusion.metric;
    let described = PreparedFiles::at(&folder.prepared()).read_described()?;
    let trials = ledger.trials()?;
    let best = ledger.trial(conclusion.trial)?;
    let result = best.result().context("the winner has no result")?;
    let notice = |notice: &data::Notice| NoticeShown {
        loudness: match notice.severity {
            Severity::Note => Loudness::Note,
            Severity::Warning => Loudness::Warning,
        },
        text: notice.text.clone(),
    };
    Ok(ReportModel {
        study: name(folder),
        data: described.data,
        metric: MetricShown::of(metric),
        notices: described.notices.iter().map(notice).collect(),
        profile: PreparedFiles::at(&folder.prepared()).read_profile().ok(),
        settings: settings(config, ledger.spent_seconds()?),
        validation_rows: conclusion.validation_rows,
        vault_rows: conclusion.vault_rows,
        vault_groups: conclusion.vault_groups,
        winner: winner(&best, result, conclusion),
        baselines: conclusion.baselines.iter().map(compared).collect(),
        absent: conclusion.absent.clone(),
        verdict: conclusion.verdict.clone(),
        certificate: conclusion.certificate.clone(),
        details: conclusion.details.clone(),
        leaderboard: leaderboard(&trials, metric),
        progress: progress(&trials, metric),
        curve: curve(&result.curve, metric),
        stopped: stopped(&trials),
        failures: failures(trials.iter().filter_map(failed)),
        lineage: lineage(&ancestors(ledger, &best)?, &best, metric),
        trainings: conclusion.retrained.iter().map(training).collect(),
        front: conclusion.front.iter().map(front_row).collect(),
        ensemble: conclusion.ensemble.clone(),
    })
}

/// What a study is called: its folder's name.
pub(crate) fn name(folder: &StudyFolder) -> String {
    let stem = folder.root().file_stem();
    stem.map_or("study".to_string(), |name| {
        name.to_string_lossy().into_owned()
    })
}

fn value_of(trial: &Trial, metric: Metric) -> Option<f64> {
    trial.result()?.metrics.get(&metric).copied()
}

fn scores(scored: &Scored) -> Scores {
    let vault = scored.vault.map(|vault| VaultScore {
        value: vault.value,
        low: vault.low,
        high: vault.high,
    });
    Scores {
        validation: scored.validation,
        vault,
    }
}

fn training(training: &Retrained) -> TrainingRow {
    let start = training.start.map_or("at first".to_string(), |start| {
        format!("once more {start}, for longer")
    });
    TrainingRow {
        trial: training.trial.0,
        start,
        value: training.validation,
    }
}

fn front_row(model: &FrontModel) -> FrontRow {
    FrontRow {
        trial: model.trial.0,
        value: model.validation,
        parameters: model.params,
        flops: model.flops,
        latency_ms: model.latency_seconds.map(|seconds| seconds * 1e3),
    }
}

fn compared(scored: &Scored) -> Compared {
    Compared {
        name: scored.name.clone(),
        about: scored.about.clone(),
        scores: scores(scored),
    }
}

fn winner(best: &Trial, result: &TrialResult, conclusion: &Conclusion) -> Winner {
    let setting = best.candidate.setting.values();
    Winner {
        trial: best.id.0,
        architecture: best.candidate.architecture.clone(),
        networks: conclusion.networks(),
        cost: conclusion.cost,
        setting: setting
            .map(|(name, value)| Fact::new(name, value.to_string()))
            .collect(),
        scores: scores(&conclusion.winner),
        weights_bytes: result.artifact_bytes,
        seconds: result.seconds,
        epoch: result.epoch,
    }
}

fn settings(config: &StudyConfig, spent_seconds: f64) -> Vec<Fact> {
    let resources = &config.resources;
    let mut facts = vec![Fact::new("data", config.data.display().to_string())];
    if let Some(test) = &config.test {
        facts.push(Fact::new("vault from", test.display().to_string()));
    }
    if let Some(seconds) = config.budget.seconds {
        facts.push(Fact::new("time budget", show::seconds(seconds)));
    }
    if let Some(trials) = config.budget.trials {
        facts.push(Fact::new("trial budget", trials.to_string()));
    }
    facts.push(Fact::new("time used", show::seconds(spent_seconds)));
    facts.push(Fact::new("seed", config.seed.to_string()));
    let processes = format!(
        "{} worker(s), each with {} trainer(s) of {} thread(s)",
        resources.workers, resources.slots, resources.threads
    );
    facts.push(Fact::new("processes", processes));
    if let Some(bytes) = resources.memory_bytes_max {
        facts.push(Fact::new("memory of a trainer", Bytes(bytes).to_string()));
    }
    facts
}

fn leaderboard(trials: &[Trial], metric: Metric) -> Vec<LeaderRow> {
    let mut finished: Vec<(&Trial, &TrialResult)> = trials
        .iter()
        .filter_map(|trial| Some((trial, trial.result()?)))
        .collect();
    finished.sort_by(|(a, _), (b, _)| by_standing(a, b));
    let row = |(trial, result): &(&Trial, &TrialResult)| LeaderRow {
        trial: trial.id.0,
        value: value_of(trial, metric).unwrap_or(f64::NAN),
        loss: result.loss,
        parameters: trial.candidate.architecture.cost().parameters,
        seconds: result.seconds,
        epochs: result.curve.len(),
        origin: trial.candidate.origin.to_string(),
        notation: trial.candidate.architecture.to_string(),
    };
    finished.iter().take(LEADERS_MAX).map(row).collect()
}

fn progress(trials: &[Trial], metric: Metric) -> Vec<ProgressPoint> {
    let explored = Explored::of(trials.iter().filter_map(Trial::run));
    trials
        .iter()
        .filter_map(|trial| {
            let inherited = trial.result()?.inheritance.is_some();
            Some(ProgressPoint {
                seconds: explored.seconds_at(trial.run()?.finished_at),
                trial: trial.id.0,
                value: value_of(trial, metric)?,
                start: if inherited {
                    Start::Inherited
                } else {
                    Start::Fresh
                },
                parameters: trial.candidate.architecture.cost().parameters,
            })
        })
        .collect()
}

/// When anything was trained: pauses between two runs of the command do not count as exploring.
pub(crate) struct Explored {
    stretches: Vec<Stretch>,
}

/// A time without a pause, and the seconds explored before it.
struct Stretch {
    start: Instant,
    end: Instant,
    before: f64,
}

impl Explored {
    pub(crate) fn of<'a>(runs: impl Iterator<Item = &'a Run>) -> Explored {
        let mut spans: Vec<(Instant, Instant)> =
            runs.map(|run| (run.claimed_at, run.finished_at)).collect();
        spans.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
        let mut stretches: Vec<Stretch> = Vec::new();
        for (start, end) in spans {
            match stretches.last_mut() {
                Some(last) if start <= last.end => {
                    last.end = if end > last.end { end } else { last.end };
                }
                last => {
                    let before = last.map_or(0.0, |last| last.before + last.seconds_to(last.end));
                    stretches.push(Stretch { start, end, before });
                }
            }
        }
        Explored { stretches }
    }

    /// Seconds explored up to this moment.
    pub(crate) fn seconds_at(&self, moment: Instant) -> f64 {
        let begun = self
            .stretches
            .partition_point(|stretch| stretch.start <= moment);
        let last = begun.checked_sub(1).map(|place| &self.stretches[place]);
        last.map_or(0.0, |last| last.before + last.seconds_to(moment))
    }
}

impl Stretch {
    /// Seconds of it up to this moment.
    fn seconds_to(&self, moment: Instant) -> f64 {
        let end = if moment < self.end { moment } else { self.end };
        end.since(self.start).max(0.0)
    }
}

/// Epochs as they are drawn.
pub(crate) fn curve(epochs: &[EpochReport], metric: Metric) -> Vec<EpochPoint> {
    let point = |report: &EpochReport| EpochPoint {
        epoch: report.epoch,
        train_loss: report.train_loss,
        validation_loss: report.validation.loss,
        value: report
            .validation
            .metrics
            .get(&metric)
            .copied()
            .unwrap_or(f64::NAN),
    };
    epochs.iter().map(point).collect()
}

fn stopped(trials: &[Trial]) -> u64 {
    let is_stopped = |trial: &&Trial| matches!(trial.state, TrialState::Stopped { .. });
    trials.iter().filter(is_stopped).count() as u64
}

fn failed(trial: &Trial) -> Option<(TrialId, &FailReason)> {
    match &trial.state {
        TrialState::Failed { reason, .. } => Some((trial.id, reason)),
        _ => None,
    }
}

/// Failed trials by their reason, with what the last of each said.
pub(crate) fn failures<'a>(
    failed: impl Iterator<Item = (TrialId, &'a FailReason)>,
) -> Vec<FailureCount> {
    let mut by_kind: BTreeMap<&str, FailureCount> = BTreeMap::new();
    for (trial, reason) in failed {
        let kind = reason.kind();
        let failure = by_kind.entry(kind).or_insert_with(|| FailureCount {
            kind: kind.to_string(),
            count: 0,
            example: String::new(),
        });
        failure.count += 1;
        failure.example = format!("trial {trial}: {reason}");
    }
    by_kind.into_values().collect()
}

/// From the first ancestor, which is the last in `ancestors`, to the trial.
pub(crate) fn lineage(ancestors: &[Trial], trial: &Trial, metric: Metric) -> Vec<Generation> {
    let generation = |trial: &Trial| Generation {
        trial: trial.id.0,
        change: trial.candidate.origin.to_string(),
        value: value_of(trial, metric),
        parameters: trial.candidate.architecture.cost().parameters,
    };
    let line = ancestors.iter().rev().chain([trial]);
    line.map(generation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::{self, run};

    #[test]
    fn a_pause_between_two_runs_is_not_time_explored() {
        let runs = [
            run(1000.0, 1010.0),
            run(1002.0, 1006.0),
            run(5000.0, 5003.0),
        ];
        let explored = Explored::of(runs.iter());
        let at = [999.0, 1000.0, 1006.0, 1010.0, 3000.0, 5003.0, 6000.0]
            .map(|moment| explored.seconds_at(Instant(moment)));
        assert_eq!(at, [0.0, 0.0, 6.0, 10.0, 10.0, 13.0, 13.0]);
    }

    #[test]
    fn a_trial_that_was_stopped_early_is_counted_and_is_no_failure() {
        let trials = [
            made_up::stopped(1, 0, 0.5),
            made_up::stopped(2, 0, 0.5),
            made_up::failed(3, FailReason::OutOfTime),
        ];
        assert_eq!(stopped(&trials), 2);
        let counted = failures(trials.iter().filter_map(failed));
        assert_eq!(counted.len(), 1);
        assert_eq!(
            (counted[0].kind.as_str(), counted[0].count),
            ("out of time", 1)
        );
    }

    #[test]
    fn errors_are_better_when_lower_and_accuracy_when_higher() {
        assert_eq!(MetricShown::of(Metric::Rmse).better, Better::Lower);
        assert_eq!(MetricShown::of(Metric::Accuracy).better, Better::Higher);
    }
}
