//! `lehr explain`: where a trial comes from, why it was proposed, what was trained, how it went.

use anyhow::{Context, Result};
use search::{Objective, Outcome, TrialId, standing};
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
    command::{Reading, read_study, waiting},
    report::Fact,
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
    let earlier = |ended| earlier_than(&*study.ledger, ended);
    let mut facts = facts(&study, &trial, &ancestors, earlier)?;
    facts.extend(removed(&study.folder, &trial));
    Ok(text(&facts))
}

/// All that the ledger knows of a trial, in the order in which it is shown. `earlier` says how the first so many trials
/// ended, or as many of them as it knows.
pub(crate) fn facts(
    study: &Reading,
    trial: &Trial,
    ancestors: &[Trial],
    earlier: impl FnOnce(u64) -> Result<Vec<Outcome>>,
) -> Result<Vec<Fact>> {
    let metric = study
        .config
        .metric
        .context("the study does not say which metric decides")?;
    let folds = PreparedFiles::at(&study.folder.prepared()).read_folds()?;
    let candidate = &trial.candidate;
    let cost = candidate.architecture.cost();
    let size = format!(
        "{} parameters, {} MFLOP{} per example",
        cost.parameters,
        show::significant(cost.flops as f64 / 1e6),
        latency(trial)
    );
    let mut facts = vec![
        Fact::new("trial", trial.id.to_string()),
        Fact::new("network", candidate.architecture.to_string()),
        Fact::new("size", size),
        Fact::new("setting", candidate.setting.to_string()),
        Fact::new("origin", candidate.origin.to_string()),
        Fact::new("proposed by", candidate.proposed_by.to_string()),
    ];
    let objectives = &study.config.search.objectives;
    facts.extend(promised(trial, objectives, earlier)?);
    facts.extend(how_it_went(trial, metric, folds.networks()));
    facts.extend(ancestors.iter().map(|ancestor| descent(ancestor, metric)));
    Ok(facts)
}

fn text(facts: &[Fact]) -> String {
    let line = |fact: &Fact| format!("{:<11} {}\n", fact.name, fact.value);
    facts.iter().map(line).collect()
}

/// An ancestor, with what it reached.
fn descent(ancestor: &Trial, metric: Metric) -> Fact {
    let value = ancestor
        .result()
        .and_then(|result| result.metrics.get(&metric));
    let said = format!(
        "{} with {metric} {}: {}",
        ancestor.id,
        value.map_or("-".to_string(), |value| show::significant(*value)),
        ancestor.candidate.origin
    );
    Fact::new("ancestor", said)
}

/// Whether its weights are no longer there, or why nobody knows.
fn removed(folder: &StudyFolder, trial: &Trial) -> Option<Fact> {
    let result = trial.result()?;
    let are_there = || anyhow::Ok(weights_of(folder)?.has(&result.artifact)?);
    match are_there() {
        Ok(true) => None,
        Ok(false) => Some(Fact::new(
            "removed",
            "its weights, which were not worth keeping: they would have to be trained again",
        )),
        Err(error) => Some(Fact::new(
            "weights",
            format!("nothing says whether they are there: {error:#}"),
        )),
    }
}

/// How long its network takes, if that was measured before it was proposed.
fn latency(trial: &Trial) -> String {
    let shown = |seconds| format!(" and {} ms", show::significant(seconds * 1e3));
    trial.candidate.latency_seconds.map_or(String::new(), shown)
}

/// What the surrogate expected of a trial, and what it came to, both among the trials that had ended then.
fn promised(
    trial: &Trial,
    objectives: &[Objective],
    earlier: impl FnOnce(u64) -> Result<Vec<Outcome>>,
) -> Result<Option<Fact>> {
    let Some(promise) = trial.candidate.promise else {
        return Ok(None);
    };
    if !objectives.is_empty() {
        // Its standing was by weights that were drawn for this proposal alone.
        let said = format!(
            "standing {:.2} ± {:.2} by score and other objectives, with weights of its own, among the {} \
             trials ended before",
            promise.mean, promise.deviation, promise.ended
        );
        return Ok(Some(Fact::new("promised", said)));
    }
    let mut came_to = String::new();
    if let Some(own) = trial.outcome() {
        let mut outcomes = earlier(promise.ended)?;
        // Among fewer it would stand elsewhere.
        if outcomes.len() as u64 == promise.ended {
            outcomes.push(own);
            let standing = standing(outcomes.into_iter()).pop();
            came_to = format!("; it came to {:.2}", standing.unwrap_or_default());
        }
    }
    let said = format!(
        "standing {:.2} ± {:.2} among the {} trials ended before{came_to}",
        promise.mean, promise.deviation, promise.ended
    );
    Ok(Some(Fact::new("promised", said)))
}

/// How the first so many trials ended.
fn earlier_than(ledger: &dyn Ledger, ended: u64) -> Result<Vec<Outcome>> {
    let trials = ledger.trials()?;
    let is_known = |trial: &&Trial| trial.sequence().is_some_and(|place| place.0 <= ended);
    let known = trials.iter().filter(is_known);
    Ok(known.filter_map(Trial::outcome).collect())
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
fn how_it_went(trial: &Trial, metric: Metric, networks: usize) -> Vec<Fact> {
    let state = |said: String| Fact::new("state", said);
    match &trial.state {
        TrialState::Queued => vec![state("waiting for a slot".to_string())],
        TrialState::Running { worker, slot, .. } => {
            vec![state(format!("being trained by {worker}, slot {}", slot.0))]
        }
        TrialState::Failed { run, reason, .. } => {
            vec![state(format!("failed on {}: {reason}", run.worker))]
        }
        TrialState::Stopped {
            run,
            stop,
            expected,
            ..
        } => {
            let said = format!(
                "stopped on {}, slot {}, after {} of {} epochs{}: behind others, expected to end with \
                 {metric} {}",
                run.worker,
                run.slot.0,
                stop.curve.len(),
                stop.recipe.epochs,
                match networks {
                    1 => String::new(),
                    _ => format!(" of the first of {networks} networks"),
                },
                show::significant(metric.value(*expected)),
            );
            [state(said)]
                .into_iter()
                .chain(inherited(stop.inheritance))
                .collect()
        }
        TrialState::Finished { run, result, .. } => {
            let said = format!("finished on {}, slot {}", run.worker, run.slot.0);
            let facts = finished(result, trial.candidate.parent(), networks);
            [state(said)].into_iter().chain(facts).collect()
        }
    }
}

fn finished(result: &TrialResult, parent: Option<TrialId>, networks: usize) -> Vec<Fact> {
    let metrics: Vec<String> = result
        .metrics
        .iter()
        .map(|(metric, value)| format!("{metric} {}", show::significant(*value)))
        .collect();
    let (metrics, seconds) = (metrics.join(", "), show::seconds(result.seconds));
    let (epoch, epochs, planned) = (result.epoch, result.curve.len(), result.recipe.epochs);
    let (mut facts, time) = match networks {
        1 => {
            let trained = format!("(epoch {epoch} of {epochs} trained, {planned} planned)");
            let validation = Fact::new("validation", format!("{metrics} {trained}"));
            (vec![validation], seconds)
        }
        _ => {
            let trained = format!(
                "the first of {networks} networks: {epochs} epochs, {planned} planned, weights of epoch {epoch}"
            );
            let facts = vec![
                Fact::new("validation", metrics),
                Fact::new("trained", trained),
            ];
            (facts, format!("all together {seconds}"))
        }
    };
    facts.extend(inherited(result.inheritance));
    if let (None, Some(parent)) = (result.inheritance, parent) {
        let said = format!("nothing of trial {parent}: it began with random weights");
        facts.push(Fact::new("inherited", said));
    }
    let cost = format!(
        "{time}, {} of memory, weights {} in {}",
        Bytes(result.memory_bytes),
        Bytes(result.artifact_bytes),
        result.artifact
    );
    facts.push(Fact::new("cost", cost));
    facts
}

fn inherited(proof: Option<InheritanceProof>) -> Option<Fact> {
    let proof = proof?;
    let difference = match proof.output_difference_max {
        Some(difference) => format!(
            "outputs differ by at most {difference:.1e} on {} real rows before training",
            proof.rows
        ),
        None => "a shrinking morph changed its outputs by design".to_string(),
    };
    let said = format!(
        "{:.0} % of its weights; {difference}",
        proof.inherited_share * 100.0
    );
    Some(Fact::new("inherited", said))
}

#[cfg(test)]
mod tests {
    use search::Promise;

    use super::*;
    use crate::made_up;

    #[test]
    fn an_error_is_shown_as_an_error_and_never_as_a_score_with_a_minus() {
        let finished = made_up::finished(7, 0.5312, 0.3);
        let line = text(&[descent(&finished, Metric::Rmse)]);
        assert!(
            line.starts_with("ancestor    7 with rmse 0.5312: "),
            "{line}"
        );
        let stopped = made_up::stopped(8, 3, -0.61);
        let said = text(&how_it_went(&stopped, Metric::Rmse, 1));
        let expected = "after 3 of 10 epochs: behind others, expected to end with rmse 0.6100\n";
        assert!(said.ends_with(expected), "{said}");
        let said = text(&how_it_went(&stopped, Metric::Rmse, 5));
        assert!(
            said.contains("3 of 10 epochs of the first of 5 networks: behind others"),
            "{said}"
        );
    }

    #[test]
    fn epochs_of_a_cross_validated_trial_are_said_to_be_those_of_its_first_network() {
        let trial = made_up::finished(7, 0.5312, 0.3);
        let alone = text(&how_it_went(&trial, Metric::Rmse, 1));
        let lines = [
            "validation  rmse 0.5312 (epoch 2 of 3 trained, 10 planned)\n",
            "cost        37 s, 1.0 KiB of memory",
        ];
        assert!(lines.iter().all(|line| alone.contains(line)), "{alone}");
        let folded = text(&how_it_went(&trial, Metric::Rmse, 5));
        let lines = [
            "validation  rmse 0.5312\n",
            "trained     the first of 5 networks: 3 epochs, 10 planned, weights of epoch 2\n",
            "cost        all together 37 s, 1.0 KiB of memory",
        ];
        assert!(lines.iter().all(|line| folded.contains(line)), "{folded}");
    }

    #[test]
    fn what_was_promised_stands_beside_what_it_came_to_among_those_before() {
        let mut trial = made_up::finished(7, 0.5, 0.3);
        trial.candidate.promise = Some(Promise {
            ended: 2,
            mean: 0.4,
            deviation: 0.25,
            improvement: 0.0,
        });
        let earlier = |ended: u64| {
            assert_eq!(ended, 2);
            Ok(vec![Outcome::Scored(-0.9), Outcome::Failed])
        };
        let said = promised(&trial, &[], earlier).unwrap().unwrap().value;
        // The best of three stands at the normal quantile of 5/6.
        let expected = "standing 0.40 ± 0.25 among the 2 trials ended before; it came to 0.97";
        assert_eq!(said, expected);
        let fewer = |_| Ok(vec![Outcome::Failed]);
        let said = promised(&trial, &[], fewer).unwrap().unwrap().value;
        assert!(said.ends_with("ended before"), "{said}");
    }
}
