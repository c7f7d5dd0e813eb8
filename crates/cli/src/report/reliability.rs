//! How sure the model is beside how right it is: the reliability diagram, before and after its calibration.

use maud::{Markup, html};
use study::conclude::{
    classes::ClassScores,
    reliability::{Reliability, Surety, SuretyBin},
};

use super::{
    axis::Scale,
    frame::{Axes, Frame, px},
    model::Fact,
    parts::{facts, key},
};
use crate::{command::findings::threshold, show};

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 320.0;

/// What fewer rows are is a small dot, and no line goes to it: chance moves it about.
const ROWS_FEW: u64 = 10;

/// Height of the tallest bar of rows.
const BAR_HEIGHT: f64 = 60.0;

/// Draws the diagram and says its numbers.
pub(crate) fn reliability(reliability: &Reliability, classes: &[ClassScores]) -> Markup {
    let percent = |error: f64| format!("{:.2} percentage points", error * 100.0);
    let mut numbers = vec![
        Fact::new("off, as it is", percent(reliability.after.error)),
        Fact::new(
            "off, without calibration",
            percent(reliability.before.error),
        ),
        Fact::new(
            "temperature",
            show::significant(reliability.calibration.temperature()),
        ),
    ];
    let offset = reliability.calibration.offset();
    if offset != 0.0 {
        numbers.push(Fact::new("offset", show::significant(offset)));
    }
    numbers.extend(threshold(reliability, classes).map(|said| Fact::new("threshold", said)));
    html! {
        div.beside {
            div.rest { (diagram(reliability)) }
            div.rest {
                (facts(&numbers))
                p.quiet {
                    "The temperature divides all logits before they become probabilities; it never changes which \
                     class is the most probable. Of two classes, an offset is then added to the second's logit \
                     where the metric did not choose the model by the more probable class. Both were fitted on \
                     the validation rows, and are part of the model and of its exported form."
                }
                p.legend {
                    (key(&html! { path.after d="M0 5H20" {} }, "as the model says"))
                    (key(&html! { path.before d="M0 5H20" {} }, "without calibration"))
                    (key(&html! { path.ideal d="M0 9L20 1" {} }, "as sure as right"))
                    (key(&html! { rect.rows x="4" y="1" width="12" height="9" {} }, "share of the rows"))
                    (key(&html! { circle.after cx="10" cy="5" r="2" {} }, "fewer than ten rows"))
                }
            }
        }
    }
}

fn diagram(reliability: &Reliability) -> Markup {
    let both = || {
        reliability
            .before
            .bins
            .iter()
            .chain(&reliability.after.bins)
    };
    let least = both()
        .filter(|bin| bin.rows >= ROWS_FEW)
        .flat_map(|bin| [bin.from, bin.right, bin.said])
        .fold(1.0, f64::min);
    let low = ((least * 10.0).floor() / 10.0).min(0.9);
    let frame = Frame::new(WIDTH, HEIGHT);
    let (x, y) = (frame.x(low, 1.0), frame.y(low, 1.0));
    let ideal = format!(
        "M{} {}L{} {}",
        px(x.start()),
        px(y.start()),
        px(x.end()),
        px(y.end())
    );
    let inside = html! {
        (bars(&reliability.after, x, y))
        path.ideal d=(ideal) {}
        (line("before", &reliability.before, x, y))
        (line("after", &reliability.after, x, y))
    };
    let (x_ticks, y_ticks) = (x.ticks(6), y.ticks(6));
    let axes = Axes {
        x: &x_ticks,
        y: &y_ticks,
        x_title: "highest probability",
        y_title: "share that is right",
    };
    frame.draw("Probabilities beside what came true", &axes, &inside)
}

fn bars(surety: &Surety, x: Scale, y: Scale) -> Markup {
    let most = surety.bins.iter().map(|bin| bin.rows).max().unwrap_or(1);
    let height = |bin: &SuretyBin| BAR_HEIGHT * bin.rows as f64 / most as f64;
    html! {
        @for bin in &surety.bins {
            rect.rows x=(px(x.at(bin.from) + 1.0)) y=(px(y.start() - height(bin)))
                width=(px((x.at(bin.to) - x.at(bin.from) - 2.0).max(1.0))) height=(px(height(bin))) {
                title { (bin.rows) " rows" }
            }
        }
    }
}

fn line(class: &str, surety: &Surety, x: Scale, y: Scale) -> Markup {
    let mut path = String::new();
    for bin in surety.bins.iter().filter(|bin| bin.rows >= ROWS_FEW) {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        path += &format!("{letter}{} {}", px(x.at(bin.said)), px(y.at(bin.right)));
    }
    html! {
        path class=(class) d=(path) {}
        @for bin in &surety.bins {
            @let radius = if bin.rows >= ROWS_FEW { "3.8" } else { "2" };
            circle class=(class) cx=(px(x.at(bin.said))) cy=(px(y.at(bin.right))) r=(radius) {
                title {
                    (bin.rows) " rows: says " (format!("{:.1}", bin.said * 100.0)) " %, is right in "
                    (format!("{:.1}", bin.right * 100.0)) " %"
                }
            }
        }
    }
}
