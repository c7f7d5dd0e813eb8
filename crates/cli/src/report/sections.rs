//! The sections of the page that are text and tables.

use maud::{Markup, html};
use study::trial::Bytes;

use super::{
    forest::interval,
    model::{FailureCount, Generation, Loudness, MetricShown, ReportModel},
    parts::{facts, score, thousands},
};
use crate::show;

/// What was found, in one sentence.
pub(crate) fn headline(model: &ReportModel) -> String {
    let name = &model.metric.name;
    let scores = model.winner.scores;
    match (scores.vault, scores.validation) {
        (Some(vault), _) => {
            let value = score(vault.value);
            format!(
                "Trial {} reaches {name} {value} on rows that nothing had seen",
                model.winner.trial
            )
        }
        (None, Some(value)) => {
            let value = score(value);
            format!(
                "Trial {} reaches {name} {value} on the validation rows",
                model.winner.trial
            )
        }
        (None, None) => format!("Trial {} is the best", model.winner.trial),
    }
}

/// The numbers one looks for first.
pub(crate) fn tiles(model: &ReportModel) -> Markup {
    let winner = &model.winner;
    let name = &model.metric.name;
    let cost = winner.cost;
    let parameters = match winner.networks {
        1 => "parameters".to_string(),
        networks => format!("parameters in {networks} networks"),
    };
    let operations = show::significant(cost.flops as f64 / 1e6);
    let rows = |count: usize| format!("{} rows", thousands(count as u64));
    let failed: u64 = model.failures.iter().map(|failure| failure.count).sum();
    let (stopped, failed) = (thousands(model.stopped), thousands(failed));
    html! {
        div.tiles {
            @if let Some(vault) = winner.scores.vault {
                div.tile.main {
                    b { (score(vault.value)) }
                    span { (name) " on the vault, " (rows(model.vault_rows)) }
                    span { "95 % interval " (score(vault.low)) " – " (score(vault.high)) }
                    @match model.vault_groups {
                        None => {}
                        Some(1) => { span { "all of one group: of others it says nothing" } }
                        Some(groups) => { span { "over " (thousands(groups as u64)) " groups of rows" } }
                    }
                }
            }
            @if let Some(validation) = winner.scores.validation {
                div.tile {
                    b { (score(validation)) }
                    span { (name) " on the validation rows, which chose it" }
                    span { (rows(model.validation_rows)) }
                }
            }
            div.tile {
                b { (thousands(cost.parameters)) }
                span { (parameters) ", " (Bytes(winner.weights_bytes)) " on disk" }
                span { (operations) " million operations per example" }
            }
            div.tile {
                b { (thousands(model.progress.len() as u64)) }
                span { "trials with a score" }
                span { (stopped) " stopped early, " (failed) " failed" }
            }
        }
    }
}

/// The winner's hyperparameters, and its one line.
pub(crate) fn winner(model: &ReportModel) -> Markup {
    html! {
        h3 { "Hyperparameters" }
        (facts(&model.winner.setting))
        h3 { "In one line" }
        p { code { (model.winner.architecture) } }
    }
}

/// The winner's trainings beside each other.
pub(crate) fn trainings(model: &ReportModel) -> Markup {
    html! {
        p.quiet { "The best model was trained once more at the end; the best training was kept." }
        table.facts {
            @for training in &model.trainings {
                tr.won[training.trial == model.winner.trial] {
                    th scope="row" { "trial " (training.trial) ", " (training.start) }
                    td.number { (training.value.map_or("–".to_string(), score)) }
                }
            }
        }
    }
}

/// From the first ancestor to a trial; `named` writes the number of each.
pub(crate) fn lineage(
    line: &[Generation],
    metric: &MetricShown,
    named: impl Fn(u64) -> Markup,
) -> Markup {
    html! {
        ol.lineage {
            @for generation in line {
                li {
                    "trial " (named(generation.trial)) ": " (generation.change) br;
                    span.quiet.number {
                        @if let Some(value) = generation.value {
                            (metric.name) " " (score(value)) ", "
                        }
                        (thousands(generation.parameters)) " parameters"
                    }
                }
            }
        }
    }
}

/// What numbers of the best trials are of one network, and what of all that are a model together.
pub(crate) fn of_networks(model: &ReportModel) -> String {
    match model.winner.networks {
        1 => String::new(),
        networks => format!(
            "Each model is the mean of {networks} networks, which differ in their weights: scores and times are \
             those of all together."
        ),
    }
}

/// The best trials.
pub(crate) fn leaderboard(model: &ReportModel) -> Markup {
    let [parameters, trained, epochs] = match model.winner.networks {
        1 => ["parameters", "trained", "epochs"],
        _ => ["parameters of one", "trained in all", "epochs of the first"],
    };
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th.number { "trial" }
                        th.number { (model.metric.name) }
                        th.number { "loss" }
                        th.number { (parameters) }
                        th.number { (trained) }
                        th.number { (epochs) }
                        th { "origin" }
                        th { "network" }
                    }
                }
                tbody {
                    @for row in &model.leaderboard {
                        tr.won[row.trial == model.winner.trial] {
                            td.number { (row.trial) }
                            td.number { (score(row.value)) }
                            td.number { (show::significant(row.loss)) }
                            td.number { (thousands(row.parameters)) }
                            td.number { (show::seconds(row.seconds)) }
                            td.number { (row.epochs) }
                            td.origin { (row.origin) }
                            td.notation { code { (row.notation) } }
                        }
                    }
                }
            }
        }
    }
}

/// Failed trials, by reason.
pub(crate) fn failures(failures: &[FailureCount]) -> Markup {
    html! {
        table {
            thead { tr { th { "reason" } th.number { "trials" } th { "the last one said" } } }
            tbody {
                @for failure in failures {
                    tr {
                        td { (failure.kind) }
                        td.number { (failure.count) }
                        td { (failure.example) }
                    }
                }
            }
        }
    }
}

/// What was found in the data.
pub(crate) fn notices(model: &ReportModel) -> Markup {
    html! {
        ul.notices {
            @for notice in &model.notices {
                li.warning[notice.loudness == Loudness::Warning] { (notice.text) }
            }
        }
    }
}

/// The scores as a table, for those who read numbers rather than drawings.
pub(crate) fn scores(model: &ReportModel) -> Markup {
    let rows = std::iter::once(("the winner", "", model.winner.scores)).chain(
        model.baselines.iter().map(|baseline| {
            let (name, about) = (baseline.name.as_str(), baseline.about.as_str());
            (name, about, baseline.scores)
        }),
    );
    let value = |value: Option<f64>| value.map_or("–".to_string(), score);
    html! {
        table {
            thead {
                tr {
                    th { "model" }
                    th.number { "validation" }
                    th.number { "vault (95 % interval)" }
                }
            }
            tbody {
                @for (name, about, scores) in rows {
                    tr {
                        td { (name) @if !about.is_empty() { br; span.quiet { (about) } } }
                        td.number { (value(scores.validation)) }
                        td.number { (scores.vault.map_or("–".to_string(), interval)) }
                    }
                }
                @for absent in &model.absent {
                    tr {
                        td { (absent.name) }
                        td.quiet colspan="2" { "not compared: " (absent.reason) }
                    }
                }
            }
        }
    }
}
