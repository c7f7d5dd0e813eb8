//! `lehr trials`: the trials of a study as a table, best first.

use anyhow::Result;
use serde_json::json;
use study::trial::{Trial, TrialState, by_standing};

use crate::{args::TrialsArgs, command::read_study, show};

pub(crate) fn run(args: &TrialsArgs) -> Result<String> {
    let study = read_study(&args.study)?;
    let mut trials = study.ledger.trials()?;
    trials.sort_by(by_standing);
    if args.json {
        let rows: Vec<serde_json::Value> = trials.iter().map(row_json).collect();
        return Ok(show::pretty_json(&rows));
    }
    let metric = study
        .config
        .metric
        .map_or("score".to_string(), |metric| metric.to_string());
    let mut table = vec![
        [
            "trial",
            &metric,
            "state",
            "seconds",
            "parameters",
            "architecture",
        ]
        .map(str::to_string)
        .to_vec(),
    ];
    for trial in trials.iter().take(args.top) {
        let value = study
            .config
            .metric
            .and_then(|metric| trial.result()?.metrics.get(&metric));
        table.push(vec![
            trial.id.to_string(),
            value.map_or("-".to_string(), |value| show::significant(*value)),
            state(trial),
            trial
                .result()
                .map_or("-".to_string(), |result| format!("{:.1}", result.seconds)),
            trial.candidate.architecture.cost().parameters.to_string(),
            trial.candidate.architecture.to_string(),
        ]);
    }
    let mut text = show::columns(&table);
    if trials.len() > args.top {
        text += &format!("({} more; --top N shows them)\n", trials.len() - args.top);
    }
    Ok(text)
}

fn state(trial: &Trial) -> String {
    match &trial.state {
        TrialState::Queued => "waiting".to_string(),
        TrialState::Running { worker, .. } => format!("on {worker}"),
        TrialState::Finished { .. } => "finished".to_string(),
        TrialState::Stopped { stop, .. } => format!("stopped at {}", stop.curve.len()),
        TrialState::Failed { reason, .. } => reason.kind().to_string(),
    }
}

fn row_json(trial: &Trial) -> serde_json::Value {
    json!({
        "trial": trial.id,
        "state": state(trial),
        "crashes": trial.crashes,
        "candidate": trial.candidate,
        "result": trial.result(),
        "run": trial.run(),
    })
}
