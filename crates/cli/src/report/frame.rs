//! The frame of a chart: axes, grid lines, titles. What is inside is the charts' own business.

use maud::{Markup, html};

use super::axis::{Scale, Tick};

/// Room for the labels left of the y axis.
const LEFT: f64 = 64.0;
/// Room for the y axis' title above the frame.
const TOP: f64 = 28.0;
/// Room for the last label of the x axis.
const RIGHT: f64 = 24.0;
/// Room for labels and title below the x axis.
const BOTTOM: f64 = 46.0;

/// Where a chart's inside lies in its drawing. Units are those of the drawing's view box.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    width: f64,
    height: f64,
    role: &'static str,
}

impl Frame {
    /// A drawing of this size.
    pub(crate) fn new(width: f64, height: f64) -> Frame {
        Frame {
            width,
            height,
            role: "img",
        }
    }

    /// The same for an inside with links, which those who hear the page must find.
    pub(crate) fn with_links(self) -> Frame {
        Frame {
            role: "group",
            ..self
        }
    }

    /// The x axis for values in this range.
    pub(crate) fn x(self, low: f64, high: f64) -> Scale {
        Scale::new(low, high, LEFT, self.width - RIGHT)
    }

    /// The y axis for values in this range: large values are at the top.
    pub(crate) fn y(self, low: f64, high: f64) -> Scale {
        Scale::new(low, high, self.height - BOTTOM, TOP)
    }

    /// The whole drawing: axes and grid below, `inside` above.
    pub(crate) fn draw(self, label: &str, axes: &Axes<'_>, inside: &Markup) -> Markup {
        let (left, right) = (LEFT, self.width - RIGHT);
        let (top, bottom) = (TOP, self.height - BOTTOM);
        let (under, title) = (bottom + 19.0, self.height - 8.0);
        let view = format!("0 0 {} {}", self.width, self.height);
        html! {
            svg viewBox=(view) role=(self.role) aria-label=(label) {
                @for Tick { place, label } in axes.y {
                    line.grid x1=(left) x2=(right) y1=(px(*place)) y2=(px(*place)) {}
                    text.tick x=(left - 8.0) y=(px(place + 4.0)) text-anchor="end" { (label) }
                }
                @for Tick { place, label } in axes.x {
                    line.notch x1=(px(*place)) x2=(px(*place)) y1=(bottom) y2=(bottom + 5.0) {}
                    text.tick x=(px(*place)) y=(under) text-anchor="middle" { (label) }
                }
                line.axis x1=(left) x2=(right) y1=(bottom) y2=(bottom) {}
                text.axis-title x=(right) y=(title) text-anchor="end" { (axes.x_title) }
                text.axis-title x="6" y=(top - 14.0) { (axes.y_title) }
                (inside)
            }
        }
    }
}

/// What is written at the axes.
pub(crate) struct Axes<'a> {
    pub(crate) x: &'a [Tick],
    pub(crate) y: &'a [Tick],
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
}

/// A place in a drawing, with no more digits than anyone can see.
pub(crate) fn px(place: f64) -> String {
    let text = format!("{place:.1}");
    text.strip_suffix(".0").map(str::to_string).unwrap_or(text)
}
