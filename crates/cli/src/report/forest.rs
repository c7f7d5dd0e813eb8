//! The winner beside simple models: one row each, the vault's value with its interval as a bar.

use maud::{Markup, html};

use super::{
    axis::Scale,
    frame::px,
    model::{MetricShown, ReportModel, Scores, VaultScore},
    parts::{key, score},
};

const WIDTH: f64 = 1000.0;
/// Where the names end and the axis begins.
const NAMES_WIDTH: f64 = 190.0;
/// Where the axis ends and the numbers begin.
const NUMBERS_WIDTH: f64 = 220.0;
const ROW_HEIGHT: f64 = 34.0;
const AXIS_HEIGHT: f64 = 44.0;
/// How many times further than winner and nearest model together the axis reaches.
const FAR: f64 = 4.0;

struct Row<'a> {
    class: &'static str,
    name: &'a str,
    scores: Scores,
}

/// Draws the vault scores of the winner and of the baselines on one axis.
pub(crate) fn comparison(model: &ReportModel) -> Markup {
    let winner = Row {
        class: "won",
        name: "the winner",
        scores: model.winner.scores,
    };
    let others = model.baselines.iter().map(|baseline| Row {
        class: "simple",
        name: &baseline.name,
        scores: baseline.scores,
    });
    let rows: Vec<Row<'_>> = std::iter::once(winner).chain(others).collect();
    let Some((low, high)) = range(&rows) else {
        return html! { p.quiet { "There is no vault: nothing was kept from the search." } };
    };
    let x = Scale::new(low, high, NAMES_WIDTH, WIDTH - NUMBERS_WIDTH);
    let bottom = rows.len() as f64 * ROW_HEIGHT + 6.0;
    let view = format!("0 0 {WIDTH} {}", bottom + AXIS_HEIGHT);
    html! {
        div.scroll {
            svg viewBox=(view) role="img" aria-label="The winner beside simple models" {
                (axis(x, bottom, &model.metric))
                @for (index, row) in rows.iter().enumerate() {
                    (drawn(row, x, (index as f64 + 0.5) * ROW_HEIGHT))
                }
            }
        }
        (legend())
    }
}

fn axis(x: Scale, bottom: f64, metric: &MetricShown) -> Markup {
    html! {
        @for tick in x.ticks(7) {
            line.grid x1=(px(tick.place)) x2=(px(tick.place)) y1="0" y2=(bottom) {}
            text.tick x=(px(tick.place)) y=(bottom + 17.0) text-anchor="middle" { (tick.label) }
        }
        line.axis x1=(px(x.start())) x2=(px(x.end())) y1=(bottom) y2=(bottom) {}
        text.axis-title x=(px(x.end())) y=(bottom + 36.0) text-anchor="end" { (axis_title(metric)) }
    }
}

fn legend() -> Markup {
    let vault = html! {
        g.won {
            line.interval x1="1" x2="19" y1="5" y2="5" {}
            circle.value cx="10" cy="5" r="4" {}
        }
    };
    let validation = html! { g.won { path.validation d="M10 .5l4.5 4.5l-4.5 4.5l-4.5 -4.5z" {} } };
    html! {
        p.legend {
            (key(&vault, "vault, with 95 % interval"))
            (key(&validation, "validation, which chose"))
        }
    }
}

fn axis_title(metric: &MetricShown) -> String {
    format!("{}, {:?} is better", metric.name, metric.better).to_lowercase()
}

/// From the least to the greatest value drawn, with a margin.
///
/// The winner and the model nearest to it are always within; models that lie several times further
/// apart would press these two together, and are left at the edge.
fn range(rows: &[Row<'_>]) -> Option<(f64, f64)> {
    let mut others: Vec<(f64, f64)> = rows.iter().filter_map(extent).collect();
    if others.is_empty() {
        return None;
    }
    let (mut low, mut high) = others.remove(0);
    let gap = |other: &(f64, f64)| (low - other.1).max(other.0 - high);
    others.sort_by(|a, b| gap(a).total_cmp(&gap(b)));
    let mut reach = f64::INFINITY;
    for (least, greatest) in others {
        let (low_with, high_with) = (low.min(least), high.max(greatest));
        if high_with - low_with <= reach {
            (low, high) = (low_with, high_with);
        }
        if reach.is_infinite() {
            reach = FAR * (high - low);
        }
    }
    let margin = (high - low) * 0.04;
    Some((low - margin, high + margin))
}

/// The least and the greatest value of a row.
fn extent(row: &Row<'_>) -> Option<(f64, f64)> {
    let vault = row.scores.vault?;
    let validation = row.scores.validation.unwrap_or(vault.value);
    let values = [vault.low, vault.high, vault.value, validation];
    let finite = || values.into_iter().filter(|value| value.is_finite());
    Some((finite().reduce(f64::min)?, finite().reduce(f64::max)?))
}

fn drawn(row: &Row<'_>, x: Scale, middle: f64) -> Markup {
    let text = px(middle + 4.0);
    html! {
        g class=(row.class) {
            text.name x=(px(x.start() - 14.0)) y=(text) text-anchor="end" { (row.name) }
            @if let Some(vault) = row.scores.vault {
                @if x.holds(vault.value) { (marks(vault, row.scores.validation, x, middle)) }
                @else { (beyond(x, vault.value, middle)) }
                text.number x=(WIDTH) y=(text) text-anchor="end" { (interval(vault)) }
            }
        }
    }
}

/// The interval as a bar, the value as a dot, the validation score as a diamond.
fn marks(vault: VaultScore, validation: Option<f64>, x: Scale, middle: f64) -> Markup {
    let y = px(middle);
    let diamond = |value: f64| format!("M{} {}l5 5l-5 5l-5 -5z", px(x.at(value)), px(middle - 5.0));
    html! {
        line.interval x1=(px(x.at(vault.low))) x2=(px(x.at(vault.high))) y1=(y) y2=(y) {
            title { (interval(vault)) }
        }
        @if let Some(value) = validation {
            path.validation d=(diamond(value)) { title { "validation " (score(value)) } }
        }
        circle.value cx=(px(x.at(vault.value))) cy=(y) r="5" { title { (interval(vault)) } }
    }
}

/// An arrow head at the edge of the axis, pointing to a value that lies beyond it.
fn beyond(x: Scale, value: f64, middle: f64) -> Markup {
    let outward = if x.at(value) > x.start() { 9.0 } else { -9.0 };
    let path = format!(
        "M{} {}v10l{} -5z",
        px(x.at(value) - outward),
        px(middle - 5.0),
        px(outward)
    );
    html! { path.value d=(path) { title { "far beyond the axis" } } }
}

/// A value with its interval, as text.
pub(crate) fn interval(vault: VaultScore) -> String {
    let [value, low, high] = [vault.value, vault.low, vault.high].map(score);
    format!("{value} ({low} – {high})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64) -> Row<'static> {
        let vault = VaultScore {
            value,
            low: value - 0.02,
            high: value + 0.01,
        };
        let scores = Scores {
            validation: None,
            vault: Some(vault),
        };
        Row {
            class: "simple",
            name: "a model",
            scores,
        }
    }

    #[test]
    fn a_model_far_off_does_not_press_the_others_together() {
        let (low, high) = range(&[row(0.98), row(0.1), row(0.95)]).expect("there are scores");
        assert!(low > 0.9 && high > 0.98, "{low} to {high}");
    }

    #[test]
    fn the_nearest_model_is_always_within() {
        let (low, _) = range(&[row(0.98), row(0.1)]).expect("there are scores");
        assert!(low < 0.1, "{low}");
    }
}
