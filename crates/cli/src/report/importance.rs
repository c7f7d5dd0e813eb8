//! What the model looks at: a bar per column, with the spread over repeats.

use maud::{Markup, html};
use study::conclude::importance::{ColumnImportance, Importance};

use super::{axis::Scale, frame::px, parts::score};
use crate::command::findings::signed;

const WIDTH: f64 = 1000.0;
/// Where the names end and the bars begin.
const NAMES_WIDTH: f64 = 230.0;
/// Where the bars end and the numbers begin.
const NUMBERS_WIDTH: f64 = 150.0;
const ROW_HEIGHT: f64 = 25.0;
/// Bars at most; the rest is of little weight.
const BARS_MAX: usize = 20;
/// Letters of a name that have room.
const NAME_LETTERS: usize = 30;

/// Draws the most important columns.
pub(crate) fn importance(importance: &Importance) -> Markup {
    let shown: Vec<&ColumnImportance> = importance.columns.iter().take(BARS_MAX).collect();
    let hidden = importance.columns.len() - shown.len();
    let ends = shown.iter().flat_map(|column| {
        let ColumnImportance {
            drop, deviation, ..
        } = column;
        [drop - deviation, drop + deviation]
    });
    let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    let x = Scale::new(low, high, NAMES_WIDTH, WIDTH - NUMBERS_WIDTH);
    let height = shown.len() as f64 * ROW_HEIGHT + 4.0;
    let view = format!("0 0 {WIDTH} {height}");
    html! {
        div.scroll {
            svg.importance viewBox=(view) role="img" aria-label="How much worse it gets without each column" {
                line.axis x1=(px(x.at(0.0))) x2=(px(x.at(0.0))) y1="0" y2=(height) {}
                @for (index, column) in shown.iter().enumerate() {
                    (bar(column, x, (index as f64 + 0.5) * ROW_HEIGHT))
                }
            }
        }
        p.quiet {
            "On " (importance.rows) " rows."
            @if hidden > 0 { " " (hidden) " more columns matter less." }
            @if importance.unmeasured > 0 {
                " There was no time for " (importance.unmeasured) " columns."
            }
        }
    }
}

fn bar(column: &ColumnImportance, x: Scale, middle: f64) -> Markup {
    let (zero, end) = (x.at(0.0), x.at(column.drop));
    let (from, to) = (zero.min(end), zero.max(end));
    let [low, high] = [-1.0, 1.0].map(|side| x.at(column.drop + side * column.deviation));
    let text = px(middle + 4.0);
    html! {
        g {
            text.name x=(NAMES_WIDTH - 14.0) y=(text) text-anchor="end" {
                title { (column.column) }
                (shortened(&column.column))
            }
            rect.bar x=(px(from)) width=(px((to - from).max(0.5))) y=(px(middle - 7.0)) height="14" rx="2" {
                title { (signed(column.drop)) " ± " (score(column.deviation)) }
            }
            line.whisker x1=(px(low)) x2=(px(high)) y1=(px(middle)) y2=(px(middle)) {}
            text.number x=(WIDTH) y=(text) text-anchor="end" {
                (signed(column.drop)) " ± " (score(column.deviation))
            }
        }
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_LETTERS {
        return name.to_string();
    }
    let start: String = name.chars().take(NAME_LETTERS - 1).collect();
    start + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_short_ones_are_not() {
        assert_eq!(shortened("age"), "age");
        let cut = shortened(&"ä".repeat(40));
        assert_eq!(cut.chars().count(), NAME_LETTERS);
        assert!(cut.ends_with('…'));
    }
}
