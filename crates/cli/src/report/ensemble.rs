//! The ensemble beside the winner: who answers and how much each counts, and whether it is any better.

use maud::{Markup, html};
use study::conclude::{Ensemble, EnsembleMade};

use super::{
    model::{Fact, MetricShown},
    parts::{facts, score, thousands},
    verdict::difference_drawn,
};
use crate::{
    command::ensemble::{against_winner, none_better},
    show,
};

/// What became of the wish for an ensemble.
pub(crate) fn ensemble(ensemble: &Ensemble, metric: &MetricShown) -> Markup {
    match ensemble {
        Ensemble::NoneBetter { tried } => html! { p.quiet { (none_better(*tried)) "." } },
        Ensemble::Made(made) => html! {
            div.beside {
                div.rest { (members(made)) }
                div.rest { (standing(made, metric)) }
            }
        },
    }
}

fn members(made: &EnsembleMade) -> Markup {
    html! {
        table {
            thead { tr { th.number { "trial" } th.number { "counts" } } }
            tbody {
                @for member in &made.members {
                    tr {
                        td.number { (member.trial) }
                        td.number { (format!("{:.1} %", member.share * 100.0)) }
                    }
                }
            }
        }
    }
}

fn standing(made: &EnsembleMade, metric: &MetricShown) -> Markup {
    let vault = made.scored.vault.map_or("–".to_string(), |vault| {
        let [value, low, high] = [vault.value, vault.low, vault.high].map(score);
        format!("{value} ({low} to {high})")
    });
    let validation = made.scored.validation.map_or("–".to_string(), score);
    html! {
        @if let Some(difference) = made.better_by {
            (difference_drawn(difference.interval, "Difference to the winner, with its interval"))
        }
        (facts(&[
            Fact::new("against the winner", against_winner(made)),
            Fact::new(format!("{}, vault", metric.name), vault),
            Fact::new(format!("{}, validation", metric.name), validation),
            Fact::new("parameters", thousands(made.cost.parameters)),
            Fact::new("ms per example", show::significant(made.latency_seconds * 1e3)),
        ]))
    }
}
