//! `lehr explain`: where a trial comes from, why it was proposed, what was trained, how it went.

use anyhow::{Context, Result};
use search::{Objective, TrialId, standing};
use serde_json::json;
use study::{
    cluster::share::weights_of,
    folder::StudyFolder,
    ledger::Ledger,
    trial::{Bytes, InheritanceProof, Trial, TrialResult, TrialState},
};

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
    text += &how_it_went(&trial);
    text += &removed(&study.folder, &trial);
    for ancestor in &ancestors {
        let score = ancestor.result().map_or(f64::NAN, |result| result.score);
        text += &format!(
            "ancestor    {} with score {}: {}\n",
            ancestor.id,
            show::significant(score),
            ancestor.candidate.origin
        );
    }
    Ok(text)
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

fn how_it_went(trial: &Trial) -> String {
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
            "state       stopped on {}, slot {}, after {} of {} epochs: behind others, expected to end \
             with score {}\n{}",
            run.worker,
            run.slot.0,
            stop.curve.len(),
            stop.recipe.epochs,
            show::significant(*expected),
            inherited(stop.inheritance)
        ),
        TrialState::Finished { run, result, .. } => {
            let lines = finished(result, trial.candidate.parent());
            format!(
                "state       finished on {}, slot {}\n{lines}",
                run.worker, run.slot.0
            )
        }
    }
}

fn finished(result: &TrialResult, parent: Option<TrialId>) -> String {
    let metrics: Vec<String> = result
        .metrics
        .iter()
        .map(|(metric, value)| format!("{metric} {}", show::significant(*value)))
        .collect();
    let mut text = format!(
        "validation  {} (epoch {} of {} trained, {} planned)\n",
        metrics.join(", "),
        result.epoch,
        result.curve.len(),
        result.recipe.epochs
    );
    text += &inherited(result.inheritance);
    if let (None, Some(parent)) = (result.inheritance, parent) {
        text += &format!("inherited   nothing of trial {parent}: it began with random weights\n");
    }
    text += &format!(
        "cost        {}, {} of memory, weights {} in {}\n",
        show::seconds(result.seconds),
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
