//! Pieces that several sections of the page use.

use maud::{Markup, html};

use super::model::Fact;
use crate::show;

/// A number with thin spaces between its thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A score: four decimals below 1, so that scores under each other can be compared.
pub(crate) fn score(value: f64) -> String {
    match value.abs() {
        comparable if (0.001..1.0).contains(&comparable) => format!("{value:.4}"),
        _ => show::significant(value),
    }
}

/// An entry of a legend: a mark as the chart draws it, in a box of 20 by 10, and what it means.
pub(crate) fn key(mark: &Markup, meaning: &str) -> Markup {
    html! { span { svg.key viewBox="0 0 20 10" { (mark) } (meaning) } }
}

/// Names and values in two columns.
pub(crate) fn facts(facts: &[Fact]) -> Markup {
    html! {
        table.facts {
            @for fact in facts {
                tr { th scope="row" { (fact.name) } td { (fact.value) } }
            }
        }
    }
}

/// A section with its heading, and a sentence on how to read it.
pub(crate) fn section(heading: &str, how_to_read: &str, body: &Markup) -> Markup {
    html! {
        section {
            h2 { (heading) }
            @if !how_to_read.is_empty() { p.quiet { (how_to_read) } }
            (body)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_below_one_have_the_same_number_of_decimals() {
        let shown = [0.07, 0.98611, 1.0, 12.3456, 0.000_123_4].map(score);
        assert_eq!(shown, ["0.0700", "0.9861", "1.000", "12.35", "0.0001234"]);
    }

    #[test]
    fn thousands_are_set_apart_from_the_right() {
        let shown = [0, 999, 1000, 12_345_678].map(thousands);
        assert_eq!(
            shown,
            ["0", "999", "1\u{202f}000", "12\u{202f}345\u{202f}678"]
        );
    }
}
