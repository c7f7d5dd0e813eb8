//! What is shown while a study is explored: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use study::{
    config::StudyConfig,
    desk::{Happening, Rank},
    explore::Snapshot,
    trial::FailReason,
};
use train::Metric;

use crate::{show, tell};

/// Steps of the bar: the budget in thousandths.
const STEPS: u64 = 1000;

/// A bar that counts; it is only seen on a terminal.
pub(crate) fn counter(count: u64, what: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}} of {{len}} {what}  {{eta}} left");
    let style = ProgressStyle::with_template(&template)
        .expect("the template is legal")
        .progress_chars("━━╌");
    ProgressBar::new(count).with_style(style)
}

/// Shows how a study goes.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    metric: Option<Metric>,
    budget: study::config::Budget,
}

impl Progress {
    pub(crate) fn new(config: &StudyConfig) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}")
                .expect("the template is legal")
                .progress_chars("━━╌");
            ProgressBar::new(STEPS).with_style(style)
        });
        Progress {
            bar,
            metric: config.metric,
            budget: config.budget,
        }
    }

    /// Shows a snapshot; returns the failures it tells of.
    pub(crate) fn show(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let mut failures = Vec::new();
        for happening in &snapshot.happened {
            if let Happening::Failed { trial, reason } = happening {
                failures.push(format!("trial {trial}: {reason}"));
            }
            if let Some(line) = self.line(happening, snapshot) {
                match &self.bar {
                    Some(bar) => bar.suspend(|| tell(&line)),
                    None => tell(&line),
                }
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position((snapshot.budget_used * STEPS as f64) as u64);
            bar.set_message(self.message(snapshot));
        }
        failures
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn message(&self, snapshot: &Snapshot) -> String {
        let counts = snapshot.counts;
        let best = snapshot
            .best
            .map_or("no score yet".to_string(), |(trial, score)| {
                format!("best {} (trial {trial})", self.value(score))
            });
        format!(
            "{best}  {} done, {} stopped, {} running, {} failed  {} left",
            counts.finished,
            counts.stopped,
            counts.running,
            counts.failed,
            self.left(snapshot)
        )
    }

    fn left(&self, snapshot: &Snapshot) -> String {
        let by_time = self
            .budget
            .seconds
            .map(|seconds| show::seconds((seconds - snapshot.spent_seconds).max(0.0)));
        let ended = snapshot.counts.ended();
        let by_trials = self
            .budget
            .trials
            .map(|trials| format!("{} trials", trials.saturating_sub(ended)));
        let left: Vec<String> = by_time.into_iter().chain(by_trials).collect();
        left.join(", ")
    }

    fn value(&self, score: f64) -> String {
        show::significant(self.metric.map_or(score, |metric| metric.value(score)))
    }

    fn line(&self, happening: &Happening, snapshot: &Snapshot) -> Option<String> {
        let at = show::seconds(snapshot.spent_seconds);
        match happening {
            Happening::Finished {
                trial,
                score,
                best: Rank::Best,
            } => {
                let metric = self
                    .metric
                    .map_or("score".to_string(), |metric| metric.to_string());
                Some(format!(
                    "{at:>8}  trial {trial}: {metric} {} is the best",
                    self.value(*score)
                ))
            }
            // The end of the time cuts off a training in every slot, which is no news.
            Happening::Finished { .. }
            | Happening::Stopped { .. }
            | Happening::Failed {
                reason: FailReason::OutOfTime,
                ..
            } => None,
            Happening::Failed { trial, reason } => {
                Some(format!("{at:>8}  trial {trial} failed: {reason}"))
            }
            Happening::Crashed { trial, message } => Some(format!(
                "{at:>8}  the trainer of trial {trial} died, it waits again: {message}"
            )),
            Happening::WorkerJoined { worker, host } => {
                Some(format!("{at:>8}  {worker} has joined on {host}"))
            }
            Happening::WorkerLeft {
                worker,
                trials,
                message,
            } => Some(format!(
                "{at:>8}  {worker} is gone, {trials} trial(s) wait again: {message}"
            )),
            Happening::Stray { trial } => Some(format!(
                "{at:>8}  a late result of trial {trial} was kept as an extra"
            )),
            Happening::Waiting { reason } => Some(format!("{at:>8}  waits: {reason}")),
            Happening::Exhausted { worker, reason } => Some(format!(
                "{at:>8}  the generator of {worker} stops: {reason}"
            )),
        }
    }
}
