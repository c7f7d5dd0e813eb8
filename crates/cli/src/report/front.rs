//! With several objectives: every trial by its size and score, the models that none beats, and their numbers.

use maud::{Markup, html};

use super::{
    axis::extent,
    frame::{Axes, Frame, px},
    model::{FrontRow, MetricShown, ProgressPoint},
    parts::{key, score, thousands},
    progress::framed_range,
};
use crate::show;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 330.0;

/// Draws every trial by parameters and score, the front marked, and the front as a table below.
pub(crate) fn front(rows: &[FrontRow], trials: &[ProgressPoint], metric: &MetricShown) -> Markup {
    html! {
        div.scroll { (chart(rows, trials, metric)) }
        p.legend {
            (key(&html! { circle.step cx="10" cy="5" r="4" {} }, "on the front"))
            (key(&html! { circle.inherited cx="10" cy="5" r="3.5" {} }, "another trial"))
        }
        div.scroll { (table(rows, metric)) }
    }
}

fn chart(rows: &[FrontRow], trials: &[ProgressPoint], metric: &MetricShown) -> Markup {
    let frame = Frame::new(WIDTH, HEIGHT);
    let magnitude = |parameters: u64| (parameters.max(1) as f64).log10();
    let sizes = trials.iter().map(|point| magnitude(point.parameters));
    let (low, high) = extent(sizes);
    if low > high {
        return html! { p.quiet { "No trial has a score." } };
    }
    let values: Vec<f64> = trials.iter().map(|point| point.value).collect();
    let (worst, best) = framed_range(&values, metric.better);
    let (x, y) = (frame.x(low - 0.05, high + 0.05), frame.y(worst, best));
    let inside = html! {
        @for point in trials.iter().filter(|point| y.holds(point.value)) {
            circle.inherited cx=(px(x.at(magnitude(point.parameters)))) cy=(px(y.at(point.value))) r="3.2" {
                title { (said(point.trial, point.value, point.parameters)) }
            }
        }
        @for row in rows.iter().filter(|row| y.holds(row.value)) {
            circle.step cx=(px(x.at(magnitude(row.parameters)))) cy=(px(y.at(row.value))) r="4.5" {
                title { (said(row.trial, row.value, row.parameters)) ", on the front" }
            }
        }
    };
    let title = format!("{} on the validation rows", metric.name);
    let (x_ticks, y_ticks) = (x.decade_ticks(size), y.ticks(6));
    let axes = Axes {
        x: &x_ticks,
        y: &y_ticks,
        x_title: "parameters",
        y_title: &title,
    };
    frame.draw("Score of every trial by its size", &axes, &inside)
}

fn size(parameters: f64) -> String {
    thousands(parameters as u64)
}

fn said(trial: u64, value: f64, parameters: u64) -> String {
    format!(
        "trial {trial}: {}, {} parameters",
        score(value),
        thousands(parameters)
    )
}

fn table(rows: &[FrontRow], metric: &MetricShown) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th.number { "trial" }
                    th.number { (metric.name) }
                    th.number { "parameters" }
                    th.number { "million operations" }
                    th.number { "ms per example" }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        td.number { (row.trial) }
                        td.number { (score(row.value)) }
                        td.number { (thousands(row.parameters)) }
                        td.number { (show::significant(row.flops as f64 / 1e6)) }
                        td.number {
                            (row.latency_ms.map_or("–".to_string(), show::significant))
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::axis::Scale;

    #[test]
    fn sizes_are_marked_at_round_numbers() {
        let labels = |low: f64, high: f64| -> Vec<String> {
            let ticks = Scale::new(low, high, 0.0, 1.0).decade_ticks(size);
            ticks.into_iter().map(|tick| tick.label).collect()
        };
        assert_eq!(labels(1.9, 3.1), ["100", "200", "500", "1\u{202f}000"]);
        assert_eq!(labels(0.0, 0.1), ["1"]);
        assert_eq!(labels(-0.05, 0.1), ["1"]);
    }
}
