//! Predicted numbers beside the true ones: a dot per row, the means of ten groups, the interval.

use maud::{Markup, html};
use study::conclude::residuals::Residuals;

use super::{
    axis::{Scale, extent},
    frame::{Axes, Frame, px},
    model::Fact,
    parts::{facts, key, score},
};
use crate::{
    command::findings::{upper_first, within},
    show,
};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 420.0;

/// Draws the rows and says how far off they are.
pub(crate) fn residuals(residuals: &Residuals) -> Markup {
    let names = ["5 %", "25 %", "half", "75 %", "95 %"];
    let below = names.iter().zip(residuals.quantiles);
    let mut numbers = vec![Fact::new("mean error", show::significant(residuals.mean))];
    numbers.extend(below.map(|(name, value)| {
        Fact::new(
            format!("{name} of the errors below"),
            show::significant(value),
        )
    }));
    html! {
        div.beside {
            div.rest.wide { (drawing(residuals)) }
            div.rest {
                h3 { "Errors: predicted less true" }
                (facts(&numbers))
                @if let Some(interval) = residuals.interval {
                    h3 { "Interval" }
                    p.quiet { (upper_first(&within(interval))) ". It is split conformal, from the validation rows' errors." }
                }
                p.legend {
                    (key(&html! { circle.row cx="10" cy="5" r="3" {} }, "a row"))
                    (key(&html! { circle.mean cx="10" cy="5" r="4" {} }, "mean of a tenth of the rows"))
                    (key(&html! { path.ideal d="M0 9L20 1" {} }, "exact"))
                    @if residuals.interval.is_some() {
                        (key(&html! { rect.band x="0" y="1" width="20" height="8" {} }, "interval"))
                    }
                }
            }
        }
    }
}

fn drawing(residuals: &Residuals) -> Markup {
    let both = || {
        residuals
            .points
            .iter()
            .flat_map(|(truth, said)| [*truth, *said])
    };
    let (low, high) = extent(both());
    if low > high {
        return html! { p.quiet { "There is no row to draw." } };
    }
    let margin = (high - low) * 0.03;
    let frame = Frame::new(WIDTH, HEIGHT);
    let (low, high) = (low - margin, high + margin);
    let (x, y) = (frame.x(low, high), frame.y(low, high));
    let inside = html! {
        @if let Some(interval) = residuals.interval { path.band d=(band(interval.half_width, low, high, x, y)) {} }
        @for (truth, said) in &residuals.points {
            circle.row cx=(px(x.at(*said))) cy=(px(y.at(*truth))) r="2.6" {
                title { "predicted " (score(*said)) ", true " (score(*truth)) }
            }
        }
        path.ideal d=(format!("M{} {}L{} {}", px(x.start()), px(y.start()), px(x.end()), px(y.end()))) {}
        @for bin in &residuals.bins {
            circle.mean cx=(px(x.at(bin.predicted))) cy=(px(y.at(bin.truth))) r="5" {
                title { (bin.rows) " rows: predicted " (score(bin.predicted)) " on the mean, true " (score(bin.truth)) }
            }
        }
    };
    let (x_ticks, y_ticks) = (x.ticks(6), y.ticks(6));
    let title = format!("true {}", residuals.target);
    let axes = Axes {
        x: &x_ticks,
        y: &y_ticks,
        x_title: "predicted",
        y_title: &title,
    };
    frame.draw("Predicted and true values", &axes, &inside)
}

/// The stripe of true values that the interval around each prediction holds.
fn band(half_width: f64, low: f64, high: f64, x: Scale, y: Scale) -> String {
    let corner =
        |predicted: f64, truth: f64| format!("{} {}", px(x.at(predicted)), px(y.at(truth)));
    let inside = |value: f64| value.clamp(low, high);
    let upper = [
        corner(low, low + half_width),
        corner(inside(high - half_width), high),
        corner(high, high),
    ];
    let lower = [
        corner(high, high - half_width),
        corner(inside(low + half_width), low),
        corner(low, low),
    ];
    format!("M{}L{}z", upper.join("L"), lower.join("L"))
}
