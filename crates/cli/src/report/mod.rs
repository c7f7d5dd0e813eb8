//! `report.html`: what a study found, on one page that opens anywhere, now and in ten years.
//!
//! The page is one file: style and drawings are inside, no script runs, nothing is loaded. [`model`]
//! says what is shown, [`gather`] reads it from a study, the other files draw one thing each.

mod axis;
mod certified;
mod confusion;
mod curve;
mod details;
mod ensemble;
mod forest;
mod frame;
mod front;
mod gather;
mod graph;
mod importance;
mod layout;
mod model;
mod parts;
mod profile;
mod progress;
mod regret;
mod reliability;
mod residuals;
mod sections;
mod verdict;
mod worst;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use axis::{Scale, Tick, extent};
pub(crate) use curve::learning_curve;
pub(crate) use frame::{Axes, Frame, px};
pub(crate) use gather::{Explored, curve, failures, lineage, name, write};
pub(crate) use graph::architecture_graph;
pub(crate) use model::{Fact, MetricShown, ProgressPoint, Start};
use model::{ReportModel, Winner};
pub(crate) use parts::{facts, key, score, section, thousands};
pub(crate) use progress::{framed_range, linked_progress_chart};
pub(crate) use regret::regret_page;
pub(crate) use sections::{failures as failure_table, lineage as lineage_list};

use crate::show;

/// Goes into the page as it is.
pub(crate) const STYLE: &str = include_str!("style.css");

/// The page.
pub(crate) fn render(model: &ReportModel) -> String {
    page(&model.study, &body(model))
}

/// A page with everything that it needs inside.
fn page(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " – lehr" }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}

fn body(model: &ReportModel) -> Markup {
    html! {
        p.eyebrow { "Study " (model.study) " · " (model.data) }
        h1 { (sections::headline(model)) }
        @if let Some(found) = &model.verdict {
            (verdict::verdict(found, &model.absent, &model.metric))
        }
        (sections::tiles(model))
        (section(
            "Beside simple models",
            "The vault's rows were shown to the winner only after it had been chosen, and chose nothing. \
             The validation rows chose it, so its score there flatters.",
            &forest::comparison(model),
        ))
        (section(
            "Exploration",
            "Each dot is a trial with a score, at the time when its training ended. Point at one to read it.",
            &progress::progress_chart(&model.progress, &model.metric),
        ))
        (section(
            "The winner",
            drawn(&model.winner),
            &winner(model),
        ))
        (other_models(model))
        (details::details(&model.details, &model.metric))
        @if let Some(certificate) = &model.certificate {
            (section(
                "The exported file",
                "model.onnx, as it was written, was run again from raw rows by another program than the one that \
                 trained it; lehr export --check says whether a file is still this one.",
                &certified::certified(certificate),
            ))
        }
        (section("Best trials", &sections::of_networks(model), &sections::leaderboard(model)))
        @if !model.failures.is_empty() {
            (section(
                "Failed trials",
                "They stay in the pool as failures; nothing was put in their place.",
                &sections::failures(&model.failures),
            ))
        }
        (section("The data", &model.data, &sections::notices(model)))
        @if let Some(found) = &model.profile {
            (section(
                "What the data are like",
                "Counted before anything was trained. How much a column explains alone was learned on training \
                 rows and measured on rows held out.",
                &profile::profile(found),
            ))
        }
        (section("Settings", "", &facts(&model.settings)))
        (section("The scores as numbers", "", &sections::scores(model)))
        footer { "Made by lehr. This page is one file and loads nothing." }
    }
}

/// What was asked for beside the winner.
fn other_models(model: &ReportModel) -> Markup {
    html! {
        @if let Some(found) = &model.ensemble {
            (section(
                "Several trials together",
                "One network that puts out the weighted mean of what its members put out, in the study's folder \
                 `ensemble`. The validation rows chose the members.",
                &ensemble::ensemble(found, &model.metric),
            ))
        }
        @if !model.front.is_empty() {
            (section(
                "Small, fast and good",
                "No other trial is at least as good in everything that was asked for; each of these is in the \
                 study's folder `front`.",
                &front::front(&model.front, &model.progress, &model.metric),
            ))
        }
    }
}

/// What the drawing of the winner shows.
fn drawn(winner: &Winner) -> &'static str {
    match winner.networks {
        1 => "From its input at the top: each layer with its output's shape and its parameters.",
        _ => {
            "The model is the mean of several such networks, each trained without one fold of the rows. One of \
             them, from its input at the top: each layer with its output's shape and its parameters."
        }
    }
}

/// How long the winner's training was, and which of its epochs is kept. With cross-validation each network has its
/// own, and only the first is recorded.
fn trained(model: &ReportModel) -> String {
    let Winner {
        networks,
        seconds,
        epoch,
        ..
    } = &model.winner;
    let (epochs, time) = (model.curve.len(), show::seconds(*seconds));
    match networks {
        1 => format!("{epochs} epochs in {time}; the weights are those of epoch {epoch}"),
        _ => format!(
            "the first of {networks} networks: {epochs} epochs, weights of epoch {epoch}; all together {time}"
        ),
    }
}

fn winner(model: &ReportModel) -> Markup {
    html! {
        div.beside {
            div.drawing { (graph::architecture_graph(&model.winner.architecture)) }
            div.rest {
                h3 { "Where it comes from" }
                (sections::lineage(&model.lineage, &model.metric, |trial| html! { (trial) }))
                h3 { "Its training" }
                p.quiet { (trained(model)) }
                (curve::learning_curve(&model.curve, &model.metric, model.winner.networks))
                @if !model.trainings.is_empty() { (sections::trainings(model)) }
                (sections::winner(model))
            }
        }
    }
}

#[cfg(test)]
mod tests;
