//! Which class is taken for which, as a table of shades, and how well each class is known.

use maud::{Markup, html};
use study::conclude::classes::{ClassScores, Confusion};

use super::parts::thousands;

/// Classes whose names still fit as heads of columns.
const MATRIX_SHOWN_MAX: usize = 26;

/// Draws the matrix and the scores of every class.
pub(crate) fn confusion(confusion: &Confusion) -> Markup {
    let is_small = (2..=MATRIX_SHOWN_MAX).contains(&confusion.matrix.len());
    html! {
        div.beside {
            @if is_small { div.scroll.fitting { (matrix(confusion)) } }
            div.rest { (classes(&confusion.classes, confusion.f1_macro)) }
        }
        @if !confusion.confused.is_empty() {
            p.quiet {
                "Confused most: "
                @for (index, pair) in confusion.confused.iter().enumerate() {
                    @if index > 0 { ", " }
                    (pair.truth) " said to be " (pair.said) " (" (pair.rows) ")"
                }
            }
        }
    }
}

fn matrix(confusion: &Confusion) -> Markup {
    let names: Vec<&str> = confusion
        .classes
        .iter()
        .map(|class| class.class.as_str())
        .collect();
    html! {
        table.confusion {
            thead {
                tr { th {} th.said colspan=(names.len()) { "said to be" } }
                tr { th.truth { "true" } @for name in &names { th.number title=(name) { (name) } } }
            }
            tbody {
                @for (truth, counts) in confusion.matrix.iter().enumerate() {
                    tr {
                        th scope="row" { (names[truth]) }
                        @for (said, count) in counts.iter().enumerate() {
                            (cell(*count, counts.iter().sum(), truth == said))
                        }
                    }
                }
            }
        }
    }
}

/// A count; the larger its share of the true class, the darker.
fn cell(count: u64, of_class: u64, is_right: bool) -> Markup {
    let share = count as f64 / of_class.max(1) as f64;
    // Few errors are errors, too: they are seen from the first one on.
    let strength = match (is_right, count) {
        (_, 0) => 0.0,
        (true, _) => 12.0 + 58.0 * share,
        (false, _) => 10.0 + 60.0 * share.sqrt(),
    };
    let style = format!("--strength:{strength:.0}%");
    let class = if is_right { "right" } else { "wrong" };
    html! {
        td.number.(class) style=(style) title=(format!("{:.1} % of its rows", share * 100.0)) {
            @if count > 0 { (thousands(count)) } @else { span.none { "·" } }
        }
    }
}

fn classes(classes: &[ClassScores], f1_macro: f64) -> Markup {
    let share = |value: Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.3}"));
    html! {
        div.scroll.tall {
            table {
                thead {
                    tr {
                        th { "class" }
                        th.number { "rows" }
                        th.number { "precision" }
                        th.number { "recall" }
                        th.number { "F1" }
                    }
                }
                tbody {
                    @for class in classes {
                        tr {
                            td { (class.class) }
                            td.number { (thousands(class.rows)) }
                            td.number { (share(class.precision)) }
                            td.number { (share(class.recall)) }
                            td.number { (share(class.f1)) }
                        }
                    }
                }
                tfoot {
                    tr {
                        td { "mean over classes" }
                        td {} td {} td {}
                        td.number { (share(Some(f1_macro))) }
                    }
                }
            }
        }
    }
}
