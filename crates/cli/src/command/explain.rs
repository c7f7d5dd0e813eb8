//! `lehr explain`: where a trial comes from, why it was proposed, what was trained, how it went.

use anyhow::{Context, Result};
use search::{Objective, TrialId, standing};
use serde_json::json;
use study::{
    cluster::share::weights_of,
    folder::StudyFolder,
    ledger::Ledger,
    prepared::PreparedFiles,
    trial::{Bytes, InheritanceProof, Trial, TrialResult, TrialState},
};
use train::Metric;

use crate::{
    args::ExplainArgs,
    command::{read_study, waiting},
    show,
};

/// Generations of ancestors that are shown.
const ANCESTORS_MAX: usize = 50;

pub(crate) fn run(args: &ExplainArgs) -> Result<String> {
    if args.waiting.waiting {
        return waiting::run(&args.waiting, args.json);
    }
    let folder = args
        .study
        .as_ref()
        .context("name the study's folder behind the trial")?;
    let trial = args.trial.context("name a trial, or ask with --waiting")?;
    let study = read_study(folder)?;
    let trial = study.ledger.trial(TrialId(trial))?;
    let ancestors = ancestors(&*study.ledger, &trial)?;
    if args.json {
        let line: Vec<_> = ancestors.iter().map(|ancestor| ancestor.id).collect();
        return Ok(show::pretty_json(&json!({
            "trial": trial.id,
            "candidate": trial.candidate,
            "result": trial.result(),
            "run": trial.run(),
            "ancestors": line,
        })));
    }
    let metric = study
        .config
        .metric
        .context("the study does not say which metric decides")?;
    let folds = PreparedFiles::at(&study.folder.prepared()).read_folds()?;
    let cost = trial.candidate.architecture.cost();
    let mut text = format!("trial       {}\n", trial.id);
    text += &format!("network     {}\n", trial.candidate.architecture);
    text += &format!(
        "size        {} parameters, {} MFLOP{} per example\n",
        cost.parameters,
        show::significant(cost.flops as f64 / 1e6),
        latency(&trial)
    );
    text += &format!("setting     {}\n", trial.candidate.setting);
    text += &format!("origin      {}\n", trial.candidate.origin);
    text += &format!("proposed by {}\n", trial.candidate.proposed_by);
    text += &promised(&*study.ledger, &trial, &study.config.search.objectives)?;
    text += &how_it_went(&trial, metric, folds.networks());
    text += &removed(&study.folder, &trial);
    for ancestor in &ancestors {
        text += &descent(ancestor, metric);
    }
    Ok(text)
}

/// An ancestor, with what it reached.
fn descent(ancestor: &Trial, metric: Metric) -> String {
    let value = ancestor
        .result()
        .and_then(|result| result.metrics.get(&metric));
    format!(
        "ancestor    {} with {metric} {}: {}\n",
        ancestor.id,
        value.map_or("-".to_string(), |value| show::significant(*value)),
        ancestor.candidate.origin
    )
}

/// Whether its weights are no longer there, or why nobody knows.
fn removed(folder: &StudyFolder, trial: &Trial) -> String {
    let Some(result) = trial.result() else {
        return String::new();
    };
    let are_there = || anyhow::Ok(weights_of(folder)?.has(&result.artifact)?);
    match are_there() {
        Ok(true) => String::new(),
        Ok(false) => {
            "removed     its weights, which were not worth keeping: they would have to be \
                      trained again\n"
                .to_string()
        }
        Err(error) => format!("weights     nothing says whether they are there: {error:#}\n"),
    }
}

/// How long its network takes, if that was measured before it was proposed.
fn latency(trial: &Trial) -> String {
    let shown = |seconds| format!(" and {} ms", show::significant(seconds * 1e3));
    trial.candidate.latency_seconds.map_or(String::new(), shown)
}

/// What the surrogate expected of a trial, and what it came to, both among the trials that had ended then.
fn promised(ledger: &dyn Ledger, trial: &Trial, objectives: &[Objective]) -> Result<String> {
    let Some(promise) = trial.candidate.promise else {
        return Ok(String::new());
    };
    if !objectives.is_empty() {
        // Its standing was by weights that were drawn for this proposal alone.
        return Ok(format!(
            "promised    standing {:.2} ± {:.2} by score and other objectives, with weights of its own, \
             among the {} trials ended before\n",
            promise.mean, promise.deviation, promise.ended
        ));
    }
    let trials = ledger.trials()?;
    let earlier = trials.iter().filter(|other| {
        let known = other
            .sequence()
            .is_some_and(|place| place.0 <= promise.ended);
        known && other.id != trial.id
    });
    let came_to = trial.outcome().map_or(String::new(), |own| {
        let outcomes = earlier.filter_map(Trial::outcome).chain([own]);
        let standing = standing(outcomes).pop().unwrap_or_default();
        format!("; it came to {standing:.2}")
    });
    Ok(format!(
        "promised    standing {:.2} ± {:.2} among the {} trials ended before{came_to}\n",
        promise.mean, promise.deviation, promise.ended
    ))
}

/// Parent, grandparent and so on, nearest first.
pub(crate) fn ancestors(ledger: &dyn Ledger, trial: &Trial) -> Result<Vec<Trial>> {
    let mut ancestors: Vec<Trial> = Vec::new();
    let mut parent = trial.candidate.parent();
    while let Some(id) = parent.filter(|_| ancestors.len() < ANCESTORS_MAX) {
        let ancestor = ledger.trial(id)?;
        parent = ancestor.candidate.parent();
        ancestors.push(ancestor);
    }
    Ok(ancestors)
}

/// How its training went. With cross-validation a model is trained as several networks, and the first alone has a
/// curve.
fn how_it_went(trial: &Trial, metric: Metric, networks: usize) -> String {
    match &trial.state {
        TrialState::Queued => "state       waiting for a slot\n".to_string(),
        TrialState::Running { worker, slot, .. } => {
            format!("state       being trained by {worker}, slot {}\n", slot.0)
        }
        TrialState::Failed { run, reason, .. } => {
            format!("state       failed on {}: {reason}\n", run.worker)
        }
        TrialState::Stopped {
            run,
            stop,
            expected,
            ..
        } => format!(
            "state       stopped on {}, slot {}, after {} of {} epochs{}: behind others, expected to end \
             with {metric} {}\n{}",
            run.worker,
            run.slot.0,
            stop.curve.len(),
            stop.recipe.epochs,
            match networks {
                1 => String::new(),
                _ => format!(" of the first of {networks} networks"),
            },
            show::significant(metric.value(*expected)),
            inherited(stop.inheritance)
        ),
        TrialState::Finished { run, result, .. } => {
            let lines = finished(result, trial.candidate.parent(), networks);
            format!(
                "state       finished on {}, slot {}\n{lines}",
                run.worker, run.slot.0
            )
        }
    }
}

fn finished(result: &TrialResult, parent: Option<TrialId>, networks: usize) -> String {
    let metrics: Vec<String> = result
        .metrics
        .iter()
        .map(|(metric, value)| format!("{metric} {}", show::significant(*value)))
        .collect();
    let (metrics, seconds) = (metrics.join(", "), show::seconds(result.seconds));
    let (epoch, epochs, planned) = (result.epoch, result.curve.len(), result.recipe.epochs);
    let (mut text, time) = match networks {
        1 => (
            format!(
                "validation  {metrics} (epoch {epoch} of {epochs} trained, {planned} planned)\n"
            ),
            seconds,
        ),
        _ => (
            format!(
                "validation  {metrics}\n\
                 trained     the first of {networks} networks: {epochs} epochs, {planned} planned, weights of \
                 epoch {epoch}\n"
            ),
            format!("all together {seconds}"),
        ),
    };
    text += &inherited(result.inheritance);
    if let (None, Some(parent)) = (result.inheritance, parent) {
        text += &format!("inherited   nothing of trial {parent}: it began with random weights\n");
    }
    text += &format!(
        "cost        {time}, {} of memory, weights {} in {}\n",
        Bytes(result.memory_bytes),
        Bytes(result.artifact_bytes),
        result.artifact
    );
    text
}

fn inherited(proof: Option<InheritanceProof>) -> String {
    let Some(proof) = proof else {
        return String::new();
    };
    let difference = match proof.output_difference_max {
        Some(difference) => format!(
            "outputs differ by at most {difference:.1e} on {} real rows before training",
            proof.rows
        ),
        None => "a shrinking morph changed its outputs by design".to_string(),
    };
    format!(
        "inherited   {:.0} % of its weights; {difference}\n",
        proof.inherited_share * 100.0
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use search::{Origin, Setting};
    use study::trial::{Candidate, Digest, EarlyStop, Instant, Run, Sequence, Slot, WorkerName};
    use train::{Ended, EpochReport, Evaluation, Recipe};

    use super::*;

    /// A trial of a regression, whose scores are errors with a minus.
    fn trial(state: TrialState) -> Trial {
        let name = "linear".to_string();
        Trial {
            id: TrialId(7),
            candidate: Candidate {
                architecture: "in 4 | dense 1".parse().unwrap(),
                setting: Setting::default(),
                origin: Origin::Seed { name },
                promise: None,
                latency_seconds: None,
                proposed_by: WorkerName("master".to_string()),
            },
            proposed_at: Instant(0.0),
            crashes: 0,
            state,
        }
    }

    fn run() -> Run {
        Run {
            worker: WorkerName("node-1".to_string()),
            slot: Slot(0),
            claimed_at: Instant(0.0),
            finished_at: Instant(40.0),
        }
    }

    fn three_epochs() -> Vec<EpochReport> {
        let validation = Evaluation {
            metrics: BTreeMap::from([(Metric::Rmse, 0.5312)]),
            loss: 0.3,
            rows: 40,
        };
        let epoch = |epoch: u32| EpochReport {
            epoch,
            train_loss: 0.2,
            validation: validation.clone(),
            score: -0.5312,
            seconds: f64::from(epoch),
        };
        (1..=3).map(epoch).collect()
    }

    fn finished_trial() -> Trial {
        let result = TrialResult {
            score: -0.5312,
            loss: 0.3,
            metrics: BTreeMap::from([(Metric::Rmse, 0.5312)]),
            epoch: 2,
            curve: three_epochs(),
            ended: Ended::AllEpochs,
            artifact: Digest::of(b"weights"),
            artifact_bytes: 20,
            inheritance: None,
            seconds: 37.0,
            memory_bytes: 1024,
            recipe: Recipe::default(),
        };
        trial(TrialState::Finished {
            sequence: Sequence(1),
            run: run(),
            result: Box::new(result),
        })
    }

    #[test]
    fn an_error_is_shown_as_an_error_and_never_as_a_score_with_a_minus() {
        let line = descent(&finished_trial(), Metric::Rmse);
        assert!(
            line.starts_with("ancestor    7 with rmse 0.5312: "),
            "{line}"
        );
        let stopped = trial(TrialState::Stopped {
            sequence: Sequence(1),
            run: run(),
            stop: Box::new(EarlyStop {
                curve: three_epochs(),
                inheritance: None,
                seconds: 3.0,
                memory_bytes: 1024,
                recipe: Recipe::default(),
            }),
            expected: -0.61,
        });
        let text = how_it_went(&stopped, Metric::Rmse, 1);
        let expected = "after 3 of 10 epochs: behind others, expected to end with rmse 0.6100\n";
        assert!(text.ends_with(expected), "{text}");
        let text = how_it_went(&stopped, Metric::Rmse, 5);
        assert!(
            text.contains("3 of 10 epochs of the first of 5 networks: behind others"),
            "{text}"
        );
    }

    #[test]
    fn epochs_of_a_cross_validated_trial_are_said_to_be_those_of_its_first_network() {
        let trial = finished_trial();
        let alone = how_it_went(&trial, Metric::Rmse, 1);
        let lines = [
            "validation  rmse 0.5312 (epoch 2 of 3 trained, 10 planned)\n",
            "cost        37 s, 1.0 KiB of memory",
        ];
        assert!(lines.iter().all(|line| alone.contains(line)), "{alone}");
        let folded = how_it_went(&trial, Metric::Rmse, 5);
        let lines = [
            "validation  rmse 0.5312\n",
            "trained     the first of 5 networks: 3 epochs, 10 planned, weights of epoch 2\n",
            "cost        all together 37 s, 1.0 KiB of memory",
        ];
        assert!(lines.iter().all(|line| folded.contains(line)), "{folded}");
    }
}
