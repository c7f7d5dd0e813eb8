//! Whether deep learning paid off, at the top of the page: the finding, its numbers, and the difference drawn.

use maud::{Markup, html};
use study::conclude::{Absent, Finding, Verdict, WithInterval};

use super::{axis::Scale, frame::px, model::MetricShown, parts::score};
use crate::command::findings::{signed, upper_first};

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 64.0;
const MARGIN: f64 = 16.0;

/// Draws the verdict, and says what could not be compared.
pub(crate) fn verdict(verdict: &Verdict, absent: &[Absent], metric: &MetricShown) -> Markup {
    let class = match verdict.finding {
        Finding::DeepLearningPaidOff => "paid",
        Finding::NoDifferenceShown => "even",
        Finding::SimpleModelIsBetter => "simple-won",
    };
    let [value, low, high] = {
        let difference = verdict.difference.interval;
        [difference.value, difference.low, difference.high].map(signed)
    };
    html! {
        div.verdict.(class) {
            div.words {
                b { (upper_first(&verdict.headline())) }
                p {
                    "The winner reaches " (metric.name) " " (score(verdict.winner)) ", " (verdict.against) " "
                    (score(verdict.other)) ", on the same " (verdict.rows)
                    " rows of the vault: a difference of " span.number { (value) }
                    " (95 % interval " span.number { (low) } " to " span.number { (high) }
                    "; above 0 the winner is better). "
                    (upper_first(verdict.advice())) "."
                }
                p.quiet {
                    "Paired over rows; that another split or another training might end differently is not in \
                     the interval."
                    @for absent in absent { " Not compared: " (absent.name) ", because " (absent.reason) "." }
                }
            }
            (difference_drawn(
                verdict.difference.interval,
                "Difference to the best simple model, with its interval",
            ))
        }
    }
}

/// The interval of the difference on a line, with the place where there is none.
pub(super) fn difference_drawn(difference: WithInterval, label: &str) -> Markup {
    let reach = [difference.low, difference.high, difference.value]
        .map(f64::abs)
        .into_iter()
        .fold(0.0, f64::max);
    let x = Scale::new(-reach * 1.15, reach * 1.15, MARGIN, WIDTH - MARGIN);
    let [low, value, high, none] =
        [difference.low, difference.value, difference.high, 0.0].map(|value| px(x.at(value)));
    let view = format!("0 0 {WIDTH} {HEIGHT}");
    html! {
        svg.difference viewBox=(view) role="img" aria-label=(label) {
            line.axis x1=(MARGIN) x2=(WIDTH - MARGIN) y1="26" y2="26" {}
            line.zero x1=(none) x2=(none) y1="8" y2="44" {}
            line.interval x1=(low) x2=(high) y1="26" y2="26" {}
            circle.value cx=(value) cy="26" r="5" { title { (signed(difference.value)) } }
            text.tick x=(none) y="58" text-anchor="middle" { "no difference" }
            text.tick x=(MARGIN) y="58" { "worse" }
            text.tick x=(WIDTH - MARGIN) y="58" text-anchor="end" { "better" }
        }
    }
}
