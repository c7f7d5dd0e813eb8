//! What all pages of a dashboard have in common: the frame around them, how a study stands in a few words, and the
//! table of trials.

use maud::{DOCTYPE, Markup, html};
use search::TrialId;
use study::{master::EndReason, trial::Instant};

use super::{
    row::{Row, State},
    watch::Seen,
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
    Nodes,
}

/// Whether a page is asked for again while somebody looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    Live,
    /// Nothing on it will change any more.
    Still,
}

/// Whether a study goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Going {
    Exploring,
    /// It is over, or was stopped, and this is why.
    Ended(String),
    /// It is not over, but no process works on it.
    Deserted,
}

impl Going {
    pub(super) fn of(seen: &Seen) -> Going {
        match &seen.standing.ending {
            Some(reason) => Going::Ended(
                // What a later program may say is shown as it stands.
                serde_json::from_str::<EndReason>(reason)
                    .map_or_else(|_| reason.clone(), |reason| said_at_the_end(&reason)),
            ),
            None if seen.alive().next().is_some() => Going::Exploring,
            None => Going::Deserted,
        }
    }

    fn class(&self) -> &'static str {
        match self {
            Going::Exploring => "exploring",
            Going::Ended(_) => "ended",
            Going::Deserted => "deserted",
        }
    }

    pub(super) fn said(&self) -> String {
        match self {
            Going::Exploring => "exploring".to_string(),
            Going::Ended(why) => why.clone(),
            Going::Deserted => {
                "no process works on it: the same `lehr explore` goes on".to_string()
            }
        }
    }
}

/// A page of a study. Each part is replaced alone, if it has changed.
pub(super) fn framed(seen: &Seen, tab: Tab, pace: Pace, title: &str, body: &Markup) -> String {
    let going = Going::of(seen);
    let live = (pace == Pace::Live).then_some("yes");
    let page = html! {
        (DOCTYPE)
        html lang="en" data-live=[live] {
            (head(&format!("{title} – {} – lehr", seen.name)))
            body {
                header {
                    nav aria-label="Pages of the study" {
                        strong { (seen.name) }
                        (link(tab, Tab::Overview, "/", "Overview"))
                        (link(tab, Tab::Trials, "/trials", "Trials"))
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
                div data-part="problem" {
                    @if let Some(problem) = &seen.problem {
                        p.alarm role="status" { "This is how the study stood; its ledger could not be read again: " (problem) }
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

/// A trial's number, which leads to its page.
pub(super) fn trial_link(id: TrialId) -> Markup {
    html! { a href=(format!("/trials/{id}")) { (id) } }
}

/// How long ago something was.
pub(super) fn ago(seen: &Seen, then: Instant) -> String {
    show::seconds(seen.standing.at.since(then).max(0.0))
}

/// Trials that have ended or wait, a line each.
pub(super) fn trial_table(seen: &Seen, rows: &[&Row]) -> Markup {
    let metric = seen.metric();
    let best = seen.standing.best;
    let [parameters, epochs] = match seen.networks {
        1 => ["parameters", "epochs"],
        _ => ["parameters of one", "epochs of the first"],
    };
    html! {
        div.scroll {
            table.trials {
                thead {
                    tr {
                        th.number { "trial" }
                        th.number { (metric.name) }
                        th { "state" }
                        th.number { (parameters) }
                        th.number { "trained" }
                        th.number { (epochs) }
                        th { "origin" }
                        th { "network" }
                    }
                }
                tbody {
                    @for row in rows {
                        tr.won[Some(row.id) == best] {
                            td.number { (trial_link(row.id)) }
                            td.number { (row.value.map_or("–".to_string(), score)) }
                            td { (state(row)) }
                            td.number { (thousands(row.parameters)) }
                            td.number { (row.seconds.map_or("–".to_string(), show::seconds)) }
                            td.number { (epochs_of(row)) }
                            td.origin { span { (row.origin) } }
                            td.notation { code { (row.notation) } }
                        }
                    }
                }
            }
        }
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
