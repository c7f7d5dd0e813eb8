//! The page of one trial: what `lehr explain` says of it, its training, its network, what it comes from and what came
//! from it.

use maud::{Markup, html};
use search::TrialId;
use study::trial::{Trial, TrialState};
use train::EpochReport;

use super::{
    page::{Tab, framed, trial_link, trial_table, wide},
    row::Row,
    seen::Seen,
    watch::Detail,
};
use crate::report::{
    self, architecture_graph, facts, learning_curve, lineage_list, score, section,
};

/// Of very many children, the best are listed.
const CHILDREN_LISTED: usize = 20;

pub(super) fn page(seen: &Seen, detail: &Detail) -> String {
    let trial = &detail.trial;
    let title = title(seen, trial);
    let body = html! {
        div data-part="facts" {
            h1 { (title) }
            (facts(&detail.facts))
        }
        div data-part="training" { (section("Its training", "", &training(seen, trial))) }
        div data-part="network" {
            (section(
                "The network",
                "From its input at the top: each layer with its output's shape and its parameters.",
                &wide("The network", &architecture_graph(&trial.candidate.architecture)),
            ))
        }
        div data-part="lineage" { (section("Where it comes from", "", &lineage(seen, detail))) }
        div data-part="children" { (section("What came from it", "", &children(seen, trial))) }
    };
    framed(seen, Tab::Trial, &format!("Trial {}", trial.id), &body)
}

fn title(seen: &Seen, trial: &Trial) -> String {
    let result = trial.result();
    let measured = result.and_then(|result| result.metrics.get(&seen.metric));
    match (measured, &trial.state) {
        (Some(value), _) => format!("Trial {}: {} {}", trial.id, seen.metric, score(*value)),
        (None, TrialState::Failed { reason, .. }) => {
            format!("Trial {} failed: {}", trial.id, reason.kind())
        }
        (None, TrialState::Stopped { .. }) => format!("Trial {} was stopped early", trial.id),
        (None, TrialState::Running { .. }) => format!("Trial {} is being trained", trial.id),
        (None, _) => format!("Trial {} waits", trial.id),
    }
}

fn epochs(trial: &Trial) -> &[EpochReport] {
    match &trial.state {
        TrialState::Finished { result, .. } => &result.curve,
        TrialState::Stopped { stop, .. } => &stop.curve,
        _ => &[],
    }
}

fn training(seen: &Seen, trial: &Trial) -> Markup {
    let epochs = epochs(trial);
    if epochs.is_empty() {
        return html! { p.quiet { (so_far(seen, trial)) } };
    }
    let curve = report::curve(epochs, seen.metric);
    let networks = seen.networks as u32;
    html! { div.curves { (learning_curve(&curve, &seen.metric_shown(), networks)) } }
}

/// How far it was when its node was last heard of: its epochs are recorded when it has ended.
fn so_far(seen: &Seen, trial: &Trial) -> String {
    let mut rows = seen.under_way.iter();
    let row = rows.find(|row| row.id == trial.id);
    let first = match seen.networks {
        1 => String::new(),
        networks => format!(" of the first of {networks} networks"),
    };
    match row.and_then(|row| seen.progress_of(row)) {
        None => "No epoch is known; all are recorded when it has ended.".to_string(),
        Some(progress) => format!(
            "{} of {} epochs{first}, {} {} after the last; all are recorded when it has ended.",
            progress.epoch,
            progress.epochs,
            seen.metric,
            score(seen.metric.value(progress.score)),
        ),
    }
}

fn lineage(seen: &Seen, detail: &Detail) -> Markup {
    let line = report::lineage(&detail.ancestors, &detail.trial, seen.metric);
    lineage_list(&line, &seen.metric_shown(), |trial| {
        trial_link(TrialId(trial))
    })
}

fn children(seen: &Seen, trial: &Trial) -> Markup {
    let is_child = |row: &&Row| row.descent.from == Some(trial.id);
    let mut children: Vec<&Row> = seen.rows().filter(is_child).collect();
    children.sort_by(|a, b| Row::by_standing(a, b));
    let not_listed = children.len().saturating_sub(CHILDREN_LISTED);
    children.truncate(CHILDREN_LISTED);
    html! {
        @if children.is_empty() {
            p.quiet { "Nothing." }
        } @else {
            (trial_table(seen, "What came from it", &children))
            @if not_listed > 0 { p.quiet { (not_listed) " more, none of them better." } }
        }
    }
}
