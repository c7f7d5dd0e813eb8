//! The page of one trial: what `lehr explain` says of it, its training, its network, what it comes from and what came
//! from it.

use maud::{Markup, html};
use study::trial::{Trial, TrialState};
use train::EpochReport;

use super::{
    page::{Pace, Tab, framed, trial_link, trial_table},
    row::Row,
    watch::{Detail, Seen},
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
                &html! { div.scroll { (architecture_graph(&trial.candidate.architecture)) } },
            ))
        }
        div data-part="lineage" { (section("Where it comes from", "", &lineage(seen, detail))) }
        div data-part="children" { (section("What came from it", "", &children(seen, trial))) }
    };
    let pace = match &trial.state {
        TrialState::Queued | TrialState::Running { .. } => Pace::Live,
        _ => Pace::Still,
    };
    framed(
        seen,
        Tab::Trial,
        pace,
        &format!("Trial {}", trial.id),
        &body,
    )
}

fn title(seen: &Seen, trial: &Trial) -> String {
    let row = Row::of(trial, seen.config.metric);
    match (row.value, &trial.state) {
        (Some(value), _) => {
            format!(
                "Trial {}: {} {}",
                trial.id,
                seen.metric().name,
                score(value)
            )
        }
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
    let (Some(metric), false) = (seen.config.metric, epochs(trial).is_empty()) else {
        return html! { p.quiet { "Its epochs are recorded when it has ended." } };
    };
    let curve = report::curve(epochs(trial), metric);
    let networks = seen.networks as u32;
    html! { div.curves { (learning_curve(&curve, &seen.metric(), networks)) } }
}

fn lineage(seen: &Seen, detail: &Detail) -> Markup {
    let Some(metric) = seen.config.metric else {
        return html! { p.quiet { "The study does not say yet which metric decides." } };
    };
    let line = report::lineage(&detail.ancestors, &detail.trial, metric);
    lineage_list(&line, &seen.metric(), |trial| {
        trial_link(search::TrialId(trial))
    })
}

fn children(seen: &Seen, trial: &Trial) -> Markup {
    let all = seen.ended.iter().map(|row| &**row).chain(&seen.under_way);
    let mut children: Vec<&Row> = all.filter(|row| row.parent == Some(trial.id)).collect();
    children.sort_by(|a, b| Row::by_standing(a, b));
    let not_listed = children.len().saturating_sub(CHILDREN_LISTED);
    children.truncate(CHILDREN_LISTED);
    html! {
        @if children.is_empty() {
            p.quiet { "Nothing." }
        } @else {
            (trial_table(seen, &children))
            @if not_listed > 0 { p.quiet { (not_listed) " more, none of them better." } }
        }
    }
}
