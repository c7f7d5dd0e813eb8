//! The first page: how good the best model is, how far the study has come, what is being trained.

use maud::{Markup, html};
use study::{ledger::Node, status::Busy};
use train::Metric;

use super::{
    page::{Going, Pace, Tab, ago, framed, trial_link, trial_table},
    row::{Row, State, Training},
    watch::Seen,
};
use crate::{
    report::{
        Explored, ProgressPoint, failure_table, failures, progress_chart, score, section, thousands,
    },
    show,
};

/// Of the best trials, so many are listed; the page of trials has all.
const BEST_LISTED: usize = 10;

pub(super) fn page(seen: &Seen) -> String {
    let metric = seen.metric();
    let headline = headline(seen);
    let failed = failures(
        seen.ended
            .iter()
            .filter_map(|row| Some((row.id, row.reason.as_ref()?))),
    );
    let body = html! {
        div data-part="headline" {
            p.eyebrow { (seen.data) }
            h1 { (headline) }
        }
        div data-part="tiles" { (tiles(seen)) }
        div data-part="progress" {
            (section(
                "Exploration",
                "Each dot is a trial with a score, at the time when its training ended. Point at one to read it.",
                &progress_chart(&points(seen), &metric),
            ))
        }
        div data-part="under-way" { (section("Under way", &waiting(seen), &under_way(seen))) }
        div data-part="best" { (section("Best trials", "", &best(seen))) }
        div data-part="failures" {
            @if !failed.is_empty() {
                (section(
                    "Failed trials",
                    "They stay in the pool as failures; nothing was put in their place.",
                    &failure_table(&failed),
                ))
            }
        }
        footer { "Read from the study's ledger. This page only shows; nothing on it changes the study." }
    };
    framed(seen, Tab::Overview, Pace::Live, &headline, &body)
}

fn headline(seen: &Seen) -> String {
    let metric = seen.metric().name;
    match seen.best().and_then(|row| Some((row.id, row.value?))) {
        Some((trial, value)) => {
            let so_far = match Going::of(seen) {
                Going::Ended(_) => "",
                Going::Exploring | Going::Deserted => " so far",
            };
            format!("{metric} {}{so_far}, by trial {trial}", score(value))
        }
        None => "No trial has a score yet".to_string(),
    }
}

fn tiles(seen: &Seen) -> Markup {
    let metric = seen.metric().name;
    let counts = seen.counts;
    let best = seen.best().and_then(|row| row.value);
    html! {
        div.tiles {
            div.tile.main {
                b { (best.map_or("–".to_string(), score)) }
                span { (metric) " on the validation rows, which choose" }
                @if seen.has_report {
                    span { "on the vault: " a href="/report" { "in the report" } }
                } @else {
                    span { "the vault is opened at the end" }
                }
            }
            (budget(seen))
            div.tile {
                b { (thousands(counts.ended())) }
                span { "trials have ended" }
                span {
                    (thousands(counts.finished)) " with a score, " (thousands(counts.stopped)) " stopped early, "
                    (thousands(counts.failed)) " failed"
                }
            }
            (trainers(seen, seen.status().busy))
        }
    }
}

/// How much of the budget is used, and what is left of it.
fn budget(seen: &Seen) -> Markup {
    let (budget, used) = (seen.config.budget, seen.budget_used());
    let spent = seen.spent_seconds;
    let percent = format!("{:.0} %", used * 100.0);
    html! {
        div.tile {
            b { (percent) }
            span { "of the budget is used" }
            svg.budget viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label=(format!("{percent} used")) {
                rect.room width="100" height="4" {}
                rect.used width=(format!("{:.1}", used * 100.0)) height="4" {}
            }
            @if let Some(seconds) = budget.seconds {
                span { (show::seconds(spent)) " of " (show::seconds(seconds)) " explored" }
            } @else {
                span { (show::seconds(spent)) " explored" }
            }
            @if let Some(trials) = budget.trials {
                span { (thousands(seen.counts.ended())) " of " (thousands(trials)) " trials" }
            }
        }
    }
}

fn trainers(seen: &Seen, busy: Option<Busy>) -> Markup {
    let alive: Vec<&Node> = seen.alive().collect();
    let slots: u64 = alive.iter().map(|node| u64::from(node.slots)).sum();
    html! {
        div.tile {
            b { (thousands(seen.counts.running)) " of " (thousands(slots)) }
            span { "trainers at work, on " (thousands(alive.len() as u64)) " node(s)" }
            @if let Some(busy) = busy {
                span { (format!("{:.1} %", busy.share * 100.0)) " busy since the first trial" }
            }
        }
    }
}

/// Every trial with a score, as the chart draws it.
fn points(seen: &Seen) -> Vec<ProgressPoint> {
    let explored = Explored::of(seen.ended.iter().filter_map(|row| row.run.as_ref()));
    let point = |row: &Row| {
        Some(ProgressPoint {
            seconds: explored.seconds_at(row.run.as_ref()?.finished_at),
            trial: row.id.0,
            value: row.value?,
            start: row.start,
            parameters: row.parameters,
        })
    };
    seen.ended.iter().filter_map(|row| point(row)).collect()
}

fn waiting(seen: &Seen) -> String {
    match (seen.counts.queued, Going::of(seen)) {
        (0, _) => String::new(),
        (queued, Going::Exploring) => format!("{} more wait for a trainer.", thousands(queued)),
        (queued, _) => format!("{} more were proposed and not begun.", thousands(queued)),
    }
}

/// What is being trained, the longest first.
fn under_way(seen: &Seen) -> Markup {
    let running: Vec<(&Row, &Training)> = seen
        .under_way
        .iter()
        .filter_map(|row| Some((row, row.training.as_ref()?)))
        .collect();
    let not_listed = seen.counts.running.saturating_sub(running.len() as u64);
    let metric = seen.config.metric;
    html! {
        @if running.is_empty() {
            p.quiet { "Nothing is being trained." }
        } @else {
            div.scroll {
                table {
                    thead {
                        tr {
                            th.number { "trial" }
                            th { "node, trainer" }
                            th.number { "for" }
                            th.number { "epoch" }
                            th.number { (seen.metric().name) }
                            th { "origin" }
                            th { "network" }
                        }
                    }
                    tbody {
                        @for (row, training) in &running {
                            (being_trained(seen, row, training, metric))
                        }
                    }
                }
            }
            @if not_listed > 0 { p.quiet { (thousands(not_listed)) " more are not listed." } }
        }
    }
}

fn being_trained(seen: &Seen, row: &Row, training: &Training, metric: Option<Metric>) -> Markup {
    let (epoch, value) = match seen.progress_of(row.id) {
        None => ("–".to_string(), "–".to_string()),
        Some(progress) => (
            format!("{} of {}", progress.epoch, progress.epochs),
            metric.map_or("–".to_string(), |metric| {
                score(metric.value(progress.score))
            }),
        ),
    };
    html! {
        tr {
            td.number { (trial_link(row.id)) }
            td { (training.worker) ", " (training.slot.0) }
            td.number { (ago(seen, training.since)) }
            td.number { (epoch) }
            td.number { (value) }
            td.origin { span { (row.origin) } }
            td.notation { code { (row.notation) } }
        }
    }
}

fn best(seen: &Seen) -> Markup {
    let rows = best_of(seen, BEST_LISTED);
    html! {
        @if rows.is_empty() {
            p.quiet { "None yet." }
        } @else {
            (trial_table(seen, &rows))
        }
    }
}

/// The best trials, best first.
fn best_of(seen: &Seen, count: usize) -> Vec<&Row> {
    let is_finished = |row: &&Row| row.state == State::Finished;
    let mut rows: Vec<&Row> = seen
        .ended
        .iter()
        .map(|row| &**row)
        .filter(is_finished)
        .collect();
    rows.sort_by(|a, b| Row::by_standing(a, b));
    rows.truncate(count);
    rows
}
