//! `lehr best`: the best model so far, its three scores, and what simple models reach.

use anyhow::{Context, Result, bail};
use study::{
    certificate::Certificate,
    conclude::{Conclusion, Retrained, Scored, WithInterval, conclude, verdict::rows_in_words},
    folder::StudyFolder,
    front::FrontModel,
    model::Model,
    replace_durably,
    trial::Bytes,
};
use train::Metric;

use crate::{
    Ended, Outcome,
    args::BestArgs,
    command::{Reading, ensemble, findings, read_study},
    report, show,
};

pub(crate) fn run(args: &BestArgs) -> Result<Outcome> {
    let place = &args.study.study;
    let mut study = read_study(place)?;
    study.config.ensemble = args.ensemble.or(study.config.ensemble);
    let Reading {
        folder,
        ledger,
        config,
    } = &study;
    let Some((conclusion, model)) = conclude(folder, config, &**ledger)? else {
        bail!(
            "no trial of the study in {} has a score yet",
            place.display()
        );
    };
    deliver(&study, &conclusion, &model, args.study.json)
}

/// Writes what lies beside the models for people, and says what was found.
pub(crate) fn deliver(
    study: &Reading,
    conclusion: &Conclusion,
    model: &Model,
    json: bool,
) -> Result<Outcome> {
    let Reading {
        folder,
        ledger,
        config,
    } = study;
    let place = folder.best().join("card.md");
    replace_durably(&place, card(conclusion, model).as_bytes())
        .with_context(|| format!("could not write {}", place.display()))?;
    ensemble::write_card(folder, conclusion)?;
    report::write(folder, config, &**ledger, conclusion)?;
    let text = match json {
        true => show::pretty_json(conclusion),
        false => text(folder, conclusion, model),
    };
    let ended = match conclusion.refused.is_empty() {
        true => Ended::Done,
        false => Ended::Incomplete,
    };
    Ok(Outcome { text, ended })
}

fn text(folder: &StudyFolder, conclusion: &Conclusion, model: &Model) -> String {
    let Conclusion {
        trial,
        metric,
        winner,
        baselines,
        cost,
        ..
    } = conclusion;
    let mut text = format!(
        "winner      trial {trial}: {}\n            {} parameters, {} MFLOP and {} ms per example, {}\n",
        network(conclusion),
        cost.parameters,
        show::significant(cost.flops as f64 / 1e6),
        show::significant(conclusion.latency_seconds * 1e3),
        model.card.setting,
    );
    text += &retrained(conclusion);
    text += &format!(
        "{metric:<11} validation {} ({}, seen by the search)\n",
        value(winner.validation),
        validation_rows(conclusion)
    );
    text += &format!(
        "            vault      {} ({}, never seen before; 95 % interval {})\n",
        value(winner.vault.map(|vault| vault.value)),
        rows_in_words(conclusion.vault_rows, conclusion.vault_groups),
        interval(winner.vault),
    );
    for baseline in baselines {
        text += &format!("            {:<10} {}\n", "", compared(baseline));
    }
    text += &findings::text(conclusion);
    text += &format!(
        "model       {} ({})\n",
        folder.best().display(),
        Bytes(model.weights.to_safetensors().len() as u64)
    );
    text += &export(conclusion);
    text += &ensemble::text(folder, conclusion);
    if !conclusion.front.is_empty() {
        text += &front(folder, conclusion);
    }
    text += &format!("report      {}\n", folder.report().display());
    text
}

/// What is known of the ONNX file, or why there is none.
fn export(conclusion: &Conclusion) -> String {
    let certified = conclusion
        .certificate
        .iter()
        .map(|certificate| format!("onnx        {certificate}\n"));
    let refused = conclusion.refused.iter().map(|refused| {
        format!(
            "no onnx     of {}: {}; model.safetensors and model.py are there\n",
            refused.model, refused.reason
        )
    });
    certified.chain(refused).collect()
}

/// The winner's trainings beside each other, if there was more than one.
fn retrained(conclusion: &Conclusion) -> String {
    let one = |training: &Retrained| {
        let start = training
            .start
            .map_or("at first".to_string(), |start| format!("again {start}"));
        let kept = match training.trial == conclusion.trial {
            true => ", kept",
            false => "",
        };
        format!(
            "{} {start} (trial {}{kept})",
            value(training.validation),
            training.trial
        )
    };
    let all: Vec<String> = conclusion.retrained.iter().map(one).collect();
    match all.is_empty() {
        true => String::new(),
        false => format!("trained     validation {}\n", all.join(", ")),
    }
}

/// The front, a line for each model.
fn front(folder: &StudyFolder, conclusion: &Conclusion) -> String {
    let name = conclusion.metric.to_string();
    let header = ["trial", &name, "params", "MFLOP", "ms"].map(str::to_string);
    let line = |model: &FrontModel| {
        vec![
            model.trial.to_string(),
            show::significant(model.validation),
            model.params.to_string(),
            show::significant(model.flops as f64 / 1e6),
            value(model.latency_seconds.map(|seconds| seconds * 1e3)),
        ]
    };
    let lines: Vec<Vec<String>> = std::iter::once(header.to_vec())
        .chain(conclusion.front.iter().map(line))
        .collect();
    let table = show::columns(&lines);
    let indented: String = table
        .lines()
        .map(|line| format!("            {line}\n"))
        .collect();
    format!(
        "front       {} models that none beats in all objectives (validation rows); {}\n{indented}",
        conclusion.front.len(),
        folder.front().display(),
    )
}

fn compared(baseline: &Scored) -> String {
    let vault = value(baseline.vault.map(|vault| vault.value));
    format!("{vault} by {} (vault)", baseline.name)
}

pub(crate) fn value(value: Option<f64>) -> String {
    value.map_or("-".to_string(), show::significant)
}

pub(crate) fn interval(vault: Option<WithInterval>) -> String {
    vault.map_or("-".to_string(), |vault| {
        format!(
            "{} to {}",
            show::significant(vault.low),
            show::significant(vault.high)
        )
    })
}

/// The model card: what lies beside the model for whoever finds it in a year.
fn card(conclusion: &Conclusion, model: &Model) -> String {
    let Conclusion {
        trial,
        metric,
        winner,
        baselines,
        cost,
        ..
    } = conclusion;
    let mut text = format!(
        "# Model of trial {trial}\n\n\
         - architecture: {}\n- parameters: {}\n- hyperparameters: {}\n- weights: blake3 {}\n\n",
        network(conclusion),
        cost.parameters,
        model.card.setting,
        model.card.weights,
    );
    text += &scores(*metric, std::iter::once(winner).chain(baselines));
    text += &format!(
        "\nThe search chose this model by its validation score ({}); the vault ({}) has \
         chosen nothing.\n",
        validation_rows(conclusion),
        rows_in_words(conclusion.vault_rows, conclusion.vault_groups)
    );
    text += &findings::card(conclusion);
    if let Some(certificate) = &conclusion.certificate {
        text += &certified(certificate);
    }
    text
}

/// Models beside each other, as a table of a card.
pub(crate) fn scores<'a>(metric: Metric, models: impl Iterator<Item = &'a Scored>) -> String {
    let mut table =
        format!("| {metric} | validation | vault | 95 % interval |\n|---|---|---|---|\n");
    for scored in models {
        table += &format!(
            "| {} | {} | {} | {} |\n",
            scored.name,
            value(scored.validation),
            value(scored.vault.map(|vault| vault.value)),
            interval(scored.vault)
        );
    }
    table
}

/// What `model.onnx` was found to do, as the file itself says it.
fn certified(certificate: &Certificate) -> String {
    let mut text = format!(
        "\n## Certificate of model.onnx\n\n\
         The file, as written to disk, was run again by an independent runtime ({}), from raw input to answer; \
         lehr's own predictor said the same of every row within {:e}.\n\n\
         | rows | of | largest difference ({}) | labels that differ |\n|---|---|---|---|\n",
        certificate.runtime, certificate.tolerance, certificate.compared
    );
    for tried in &certificate.tried {
        text += &format!(
            "| {} | {} | {:.1e} | {} |\n",
            tried.rows, tried.rows_of, tried.largest_difference, tried.labels_that_differ
        );
    }
    text += &format!(
        "\n- operators: opset {}\n- weights: blake3 {}\n- the file before its certificate: blake3 {}\n\n\
         `lehr export --check model.onnx` compares the file with these.\n",
        certificate.opset, certificate.weights_blake3, certificate.graph_blake3
    );
    text
}

/// The network, or the networks, that answer.
fn network(conclusion: &Conclusion) -> String {
    let network = &conclusion.network;
    match conclusion.networks() {
        1 => network.to_string(),
        count => format!("the mean of {count} networks, each trained without one fold: {network}"),
    }
}

/// How many rows validated, and how.
fn validation_rows(conclusion: &Conclusion) -> String {
    let rows = conclusion.validation_rows;
    match (conclusion.folds, conclusion.repeats) {
        (1, _) => format!("{rows} rows"),
        (folds, 1) => format!("{rows} rows by {folds}-fold cross-validation"),
        (folds, repeats) => {
            format!("{rows} rows by {folds}-fold cross-validation, {repeats} times")
        }
    }
}
