//! The winner's training, epoch by epoch: losses in one chart, the metric in another.

use maud::{Markup, html};

use super::{
    axis::{Scale, Tick, extent},
    frame::{Axes, Frame, px},
    model::{EpochPoint, MetricShown},
    parts::{key, score},
};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 220.0;

/// A line of a chart: its class in the style sheet, and its values by epoch.
struct Line {
    class: &'static str,
    values: Vec<(f64, f64)>,
}

/// Draws the losses and the metric of every epoch. Of several networks, one for each fold, it is the first that is
/// drawn, and its fold validates it.
pub(crate) fn learning_curve(curve: &[EpochPoint], metric: &MetricShown, networks: u32) -> Markup {
    if curve.is_empty() {
        return html! { p.quiet { "No epoch was recorded." } };
    }
    let by_epoch = |value: fn(&EpochPoint) -> f64| -> Vec<(f64, f64)> {
        curve
            .iter()
            .map(|point| (f64::from(point.epoch), value(point)))
            .filter(|(_, value)| value.is_finite())
            .collect()
    };
    let losses = [
        Line {
            class: "train-loss",
            values: by_epoch(|point| point.train_loss),
        },
        Line {
            class: "validation-loss",
            values: by_epoch(|point| point.validation_loss),
        },
    ];
    let values = [Line {
        class: "metric",
        values: by_epoch(|point| point.value),
    }];
    let validating = match networks {
        1 => "validation rows",
        _ => "first fold's validation rows",
    };
    let title = format!("{} on the {validating}", metric.name);
    html! {
        (line_chart("Loss over epochs", "loss", &losses))
        p.legend {
            (key(&html! { path.train-loss d="M0 5H20" {} }, "training rows"))
            (key(&html! { path.validation-loss d="M0 5H20" {} }, validating))
        }
        (line_chart("Metric over epochs", &title, &values))
    }
}

fn line_chart(label: &str, y_title: &str, lines: &[Line]) -> Markup {
    let all = || lines.iter().flat_map(|line| line.values.iter().copied());
    if all().next().is_none() {
        return html! { p.quiet { "No finite value of " (y_title) " was recorded." } };
    }
    let frame = Frame::new(WIDTH, HEIGHT);
    let (first, last) = extent(all().map(|(epoch, _)| epoch));
    let (low, high) = extent(all().map(|(_, value)| value));
    let (x, y) = (frame.x(first, last), frame.y(low, high));
    let inside = html! { @for line in lines { (drawn(line, x, y)) } };
    let (x_ticks, y_ticks) = (epoch_ticks(x), y.ticks(5));
    frame.draw(
        label,
        &Axes {
            x: &x_ticks,
            y: &y_ticks,
            x_title: "epoch",
            y_title,
        },
        &inside,
    )
}

/// Epochs are whole.
fn epoch_ticks(x: Scale) -> Vec<Tick> {
    let mut ticks = x.ticks(8);
    ticks.retain(|tick| !tick.label.contains('.'));
    if ticks.is_empty() {
        ticks = x.ticks(2);
        ticks.retain(|tick| tick.label.ends_with(".0"));
    }
    ticks
}

fn drawn(line: &Line, x: Scale, y: Scale) -> Markup {
    let mut path = String::new();
    for (epoch, value) in &line.values {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        path += &format!("{letter}{} {}", px(x.at(*epoch)), px(y.at(*value)));
    }
    html! {
        path class=(line.class) d=(path) {}
        @for (epoch, value) in &line.values {
            circle class=(line.class) cx=(px(x.at(*epoch))) cy=(px(y.at(*value))) r="2.2" {
                title { "epoch " (epoch) ": " (score(*value)) }
            }
        }
    }
}
