//! What all pages of a dashboard have in common: the frame around them, how a study stands in a few words, and the
//! table of trials.

use maud::{DOCTYPE, Markup, html};
use search::TrialId;
use study::{master::EndReason, trial::Instant};

use super::{
    row::{Row, State},
    seen::Seen,
};
use crate::{
    command::explore::said_at_the_end,
    report::{score, thousands},
    show,
};

/// Which page of the study is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Trials,
    /// One trial: no page that a tab leads to.
    Trial,
    Search,
    Nodes,
}

/// Whether a study goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Going {
    Exploring,
    /// The best models are being trained once more.
    Finishing,
    /// It is over, or was stopped, and this is why.
    Ended(String),
    /// It is not over, but no node is heard of: none has come yet, or all are gone.
    Deserted,
}

impl Going {
    pub(super) fn of(seen: &Seen) -> Going {
        let retrains = |row: &Row| row.is_retraining && row.state == State::Running;
        match &seen.standing.ending {
            Some(reason) => Going::Ended(
                // What a later program may say is shown as it stands.
                serde_json::from_str::<EndReason>(reason)
                    .map_or_else(|_| reason.clone(), |reason| said_at_the_end(&reason)),
            ),
            None if seen.alive().next().is_none() => Going::Deserted,
            None if seen.under_way.iter().any(retrains) => Going::Finishing,
            None => Going::Exploring,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Going::Exploring | Going::Finishing => "exploring",
            Going::Ended(_) => "ended",
            Going::Deserted => "deserted",
        }
    }

    fn said(&self) -> String {
        match self {
            Going::Exploring => "exploring".to_string(),
            Going::Finishing => "training the best once more".to_string(),
            Going::Ended(why) => why.clone(),
            Going::Deserted => {
                "no node is heard of; if `lehr explore` has ended, the same command goes on"
                    .to_string()
            }
        }
    }
}

/// A page of a study. Each part is replaced alone, if it has changed.
pub(super) fn framed(seen: &Seen, tab: Tab, title: &str, body: &Markup) -> String {
    let going = Going::of(seen);
    let page = html! {
        (DOCTYPE)
        html lang="en" data-live="yes" {
            (head(&format!("{title} – {} – lehr", seen.name)))
            body {
                header {
                    nav aria-label="Pages of the study" {
                        strong data-part="study" { (seen.name) }
                        (link(tab, Tab::Overview, "/", "Overview"))
                        (link(tab, Tab::Trials, "/trials", "Trials"))
                        (link(tab, Tab::Search, "/search", "Search"))
                        (link(tab, Tab::Nodes, "/nodes", "Nodes"))
                        span data-part="report" {
                            @if seen.has_report { a href="/report" { "Report" } }
                        }
                    }
                    p.state data-part="state" {
                        span.lamp.(going.class()) {} (going.said())
                    }
                }
                p.alarm #connection role="status" hidden {}
                div role="status" data-part="problem" {
                    @if let Some(problem) = &seen.problem {
                        p.alarm { "This is how the study stood; its ledger could not be read again: " (problem) }
                    }
                }
                main { (body) }
            }
        }
    };
    page.into_string()
}

/// A page that says what is wrong.
pub(super) fn problem_page(message: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head("lehr"))
            body {
                main {
                    h1 { "This cannot be shown" }
                    p { (message) }
                    p { a href="/" { "To the study" } }
                }
            }
        }
    };
    page.into_string()
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) }
            link rel="icon" href="data:,";
            link rel="stylesheet" href="/style.css";
            script src="/live.js" defer {}
        }
    }
}

fn link(current: Tab, tab: Tab, address: &str, name: &str) -> Markup {
    let here = (current == tab).then_some("page");
    html! { a href=(address) aria-current=[here] { (name) } }
}

/// Where a trial's page is.
pub(super) fn address_of(id: TrialId) -> String {
    format!("/trials/{id}")
}

/// A trial's number, which leads to its page.
pub(super) fn trial_link(id: TrialId) -> Markup {
    html! { a href=(address_of(id)) { (id) } }
}

/// How long ago something was.
pub(super) fn ago(seen: &Seen, then: Instant) -> String {
    show::seconds(seen.standing.at.since(then).max(0.0))
}

/// So many of a thing.
pub(super) fn count(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        many => format!("{} {thing}s", thousands(many)),
    }
}

/// A wide table, which can be moved sideways.
pub(super) fn wide(label: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// Where a model comes from, in a table.
pub(super) fn origin(row: &Row) -> Markup {
    html! {
        span {
            @if let Some(from) = row.descent.from { "from " (trial_link(from)) ": " }
            (row.descent.change)
        }
    }
}

/// Trials, a line each.
pub(super) fn trial_table(seen: &Seen, label: &str, rows: &[&Row]) -> Markup {
    let best = seen.standing.best;
    let [parameters, epochs] = match seen.networks {
        1 => ["parameters", "epochs"],
        _ => ["parameters per network", "epochs (first network)"],
    };
    let table = html! {
        table.trials {
            thead {
                tr {
                    th.number { "trial" }
                    th.number { (seen.metric) }
                    th { "state" }
                    th.number { (parameters) }
                    th.number { "trained" }
                    th.number { (epochs) }
                    th { "origin" }
                    th.notation { "network" }
                }
            }
            tbody {
                @for row in rows {
                    tr.won[Some(row.id) == best] {
                        td.number {
                            @if Some(row.id) == best { span title="the best so far" { "★ " } }
                            (trial_link(row.id))
                        }
                        td.number { (value(row)) }
                        td { (state(row)) }
                        td.number { (thousands(row.parameters)) }
                        td.number { (row.seconds.map_or("–".to_string(), show::seconds)) }
                        td.number { (epochs_of(row)) }
                        td.origin { (origin(row)) }
                        td.notation { code { (row.notation) } }
                    }
                }
            }
        }
    };
    wide(label, &table)
}

/// What a trial came to; of one that was stopped, what was expected of it.
fn value(row: &Row) -> Markup {
    match (row.value, row.state) {
        (None, _) => html! { "–" },
        (Some(value), State::Stopped) => html! {
            span.quiet title="what was expected of it when it was stopped" { "≈ " (score(value)) }
        },
        (Some(value), _) => html! { (score(value)) },
    }
}

/// Where a trial is; of one that failed, how.
fn state(row: &Row) -> String {
    match (&row.reason, &row.training) {
        (Some(reason), _) => format!("failed: {}", reason.kind()),
        (_, Some(training)) => format!("on {}", training.worker),
        _ => row.state.name().to_string(),
    }
}

/// Epochs trained; of a training that was cut, of how many.
fn epochs_of(row: &Row) -> String {
    match (row.epochs, row.state) {
        (None, _) => "–".to_string(),
        (Some((trained, planned)), State::Stopped) => format!("{trained} of {planned}"),
        (Some((trained, _)), _) => trained.to_string(),
    }
}
