//! What a dashboard draws beside the report's charts: trainings beside each other, and trials by one hyperparameter.

use maud::{Markup, html};
use search::{Coordinate, Domain, Value};

use super::{
    page::address_of,
    row::{Row, State},
    seen::Seen,
};
use crate::{
    report::{Axes, Frame, Scale, Tick, extent, framed_range, key, px, score, thousands},
    show,
};

/// Trainings that are drawn: the newest.
const CURVES_MAX: usize = 60;

/// Dots of one chart at most.
const DOTS_MAX: usize = 600;

/// Sizes that are written below an axis.
const SIZES_MAX: usize = 5;

const SMALL: (f64, f64) = (420.0, 220.0);
const LARGE: (f64, f64) = (1000.0, 300.0);

/// The newest trainings beside each other: the metric over the share of the planned epochs.
pub(super) fn learning_curves(seen: &Seen) -> Markup {
    let has_curve = |row: &&Row| !row.curve.is_empty();
    let rows = seen.ended.iter().rev().map(|row| &**row);
    let rows: Vec<&Row> = rows.filter(has_curve).take(CURVES_MAX).collect();
    let best = seen.best().filter(has_curve);
    let values = rows
        .iter()
        .copied()
        .chain(best)
        .flat_map(|row| row.curve.iter());
    let values: Vec<f64> = values
        .map(|value| f64::from(*value))
        .filter(|value| value.is_finite())
        .collect();
    if values.is_empty() {
        return html! { p.quiet { "No training has ended." } };
    }
    let frame = Frame::new(LARGE.0, LARGE.1).with_links();
    let (low, high) = framed_range(&values, seen.metric_shown().better);
    let (x, y) = (frame.x(0.0, 100.0), frame.y(low, high));
    let line = |row: &Row| {
        let points = learning_curve(row)
            .map(|(share, value)| format!("{} {}", px(x.at(share * 100.0)), px(y.at(value))));
        let points: Vec<String> = points.collect();
        format!("M{}", points.join("L"))
    };
    let inside = html! {
        @for share in rungs(seen) {
            line.rung x1=(px(x.at(share * 100.0))) x2=(px(x.at(share * 100.0))) y1=(px(y.end())) y2=(px(y.start())) {}
        }
        @for row in rows.iter().rev() {
            a href=(address_of(row.id)) tabindex="-1" {
                path.curve.(row.state.name()) d=(line(row)) { title { (ended(row)) } }
            }
        }
        @if let Some(row) = best {
            a href=(address_of(row.id)) { path.best d=(line(row)) { title { (ended(row)) ", the best" } } }
        }
        @for (row, share, value) in running(seen) {
            a href=(address_of(row.id)) {
                circle.inherited cx=(px(x.at(share * 100.0))) cy=(px(y.at(value))) r="4.5" {
                    title { "trial " (row.id) " is being trained: " (score(value)) }
                }
            }
        }
    };
    let rows_of = match seen.networks {
        1 => "validation rows",
        _ => "first fold's validation rows",
    };
    let axes = Axes {
        x: &x.ticks(5),
        y: &y.ticks(5),
        x_title: "% of the planned epochs",
        y_title: &format!("{} on the {rows_of}", seen.metric),
    };
    html! {
        div.scroll { (frame.draw("The newest trainings beside each other", &axes, &inside)) }
        (legend(seen, rows.len()))
    }
}

fn legend(seen: &Seen, drawn: usize) -> Markup {
    html! {
        p.legend {
            (key(&html! { path.best d="M0 5H20" {} }, "the best so far"))
            (key(&html! { path.curve.finished d="M0 5H20" {} }, "trained to the end"))
            (key(&html! { path.curve.stopped d="M0 5H20" {} }, "stopped early"))
            (key(&html! { circle.inherited cx="10" cy="5" r="4" {} }, "being trained"))
            @if seen.ended.len() > drawn { span { "the newest " (drawn) } }
        }
    }
}

/// The share of the planned epochs and the metric, at each epoch that is kept.
fn learning_curve(row: &Row) -> impl Iterator<Item = (f64, f64)> {
    let (trained, planned) = row.epochs.unwrap_or((0, 1));
    let every = trained.div_ceil(row.curve.len().max(1)).max(1);
    let share = move |place: usize| (place * every + 1) as f64 / f64::from(planned.max(1));
    let values = row.curve.iter().map(|value| f64::from(*value)).enumerate();
    values
        .filter(|(_, value)| value.is_finite())
        .map(move |(place, value)| (share(place), value))
}

/// Where trainings are compared, as shares of the planned epochs of the best: the shares are nearly the same for all
/// lengths.
fn rungs(seen: &Seen) -> Vec<f64> {
    let planned = seen
        .best()
        .and_then(|row| row.epochs)
        .map_or(0, |(_, planned)| planned);
    let rungs = seen.config.training.rungs.of(planned);
    let share = |length: u32| f64::from(length) / f64::from(planned);
    rungs.iter().map(|(_, length)| share(*length)).collect()
}

/// Trials that are being trained, how far they are and how good they were then.
fn running(seen: &Seen) -> impl Iterator<Item = (&Row, f64, f64)> {
    seen.under_way.iter().filter_map(move |row| {
        let progress = seen.progress_of(row)?;
        let share = f64::from(progress.epoch) / f64::from(progress.epochs.max(1));
        let value = seen.metric.value(progress.score);
        value.is_finite().then_some((row, share, value))
    })
}

fn ended(row: &Row) -> String {
    match (row.state, row.value) {
        (State::Stopped, Some(value)) => {
            format!(
                "trial {}, stopped early, expected at {}",
                row.id,
                score(value)
            )
        }
        (_, Some(value)) => format!("trial {}: {}", row.id, score(value)),
        (_, None) => format!("trial {}", row.id),
    }
}

/// Trials by the hyperparameter at this place of the space.
pub(super) fn by_hyperparameter(seen: &Seen, place: usize) -> Markup {
    let parameter = &seen.config.search.space.parameters()[place];
    let domain = parameter.domain();
    // Equal values lie a little beside each other, so that their number can be seen.
    let spread = match domain {
        Domain::Float { .. } => 0.0,
        _ => 0.006,
    };
    let across = |row: &Row| {
        let beside = (row.id.0 % 9) as f64 - 4.0;
        f64::from(row.places.get(place).copied().unwrap_or_default()) + beside * spread
    };
    let marks = marks(domain);
    let title = format!(
        "{} (at first {})",
        parameter.name(),
        shown(parameter.default_value())
    );
    by_property(seen, across, &marks, &title)
}

/// Trials by the size of their network.
pub(super) fn by_size(seen: &Seen) -> Markup {
    let magnitude = |parameters: u64| (parameters.max(1) as f64).log10();
    let valued = valued(seen);
    let sizes = valued.iter().map(|(row, _)| magnitude(row.parameters));
    let (low, high) = extent(sizes);
    let width = (high - low).max(1e-9);
    let across = |row: &Row| (magnitude(row.parameters) - low) / width;
    let label = |parameters: f64| thousands(parameters.round() as u64);
    let round = Scale::new(low, low + width, 0.0, 1.0).decade_ticks(label);
    let every = round.len().div_ceil(SIZES_MAX).max(1);
    let round = round.into_iter().step_by(every);
    let mut marks: Vec<(f64, String)> = round.map(|tick| (tick.place, tick.label)).collect();
    if marks.is_empty() {
        marks.push((0.0, label(10_f64.powf(low))));
    }
    by_property(seen, across, &marks, "parameters")
}

/// The values that are written below the axis, and where: all names, or five numbers, or as many as there are.
fn marks(domain: &Domain) -> Vec<(f64, String)> {
    let mark = |value: &Value| (domain.share(value), shown(value));
    match domain.names() {
        0 => [0.0, 0.25, 0.5, 0.75, 1.0]
            .map(|share| mark(&domain.at(Coordinate::Unit(share))))
            .into(),
        names => (0..names)
            .map(|name| mark(&domain.at(Coordinate::Name(name))))
            .collect(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Float(number) => {
            let digits = show::significant(*number);
            match digits.contains('.') {
                true => digits
                    .trim_end_matches('0')
                    .trim_end_matches('.')
                    .to_string(),
                false => digits,
            }
        }
        other => other.to_string(),
    }
}

/// Trials with a score, or with one that was expected of them: the latter first and the best last, above all others.
fn valued(seen: &Seen) -> Vec<(&Row, f64)> {
    let rows = seen.ended.iter().map(|row| &**row);
    let mut valued: Vec<(&Row, f64)> = rows
        .filter_map(|row| Some((row, row.value?)))
        .filter(|(_, value)| value.is_finite())
        .collect();
    let is_best = |row: &Row| Some(row.id) == seen.standing.best;
    valued.sort_by_key(|(row, _)| (is_best(row), row.state == State::Finished));
    valued
}

fn by_property(
    seen: &Seen,
    across: impl Fn(&Row) -> f64,
    marks: &[(f64, String)],
    title: &str,
) -> Markup {
    let valued = valued(seen);
    let scores: Vec<f64> = valued
        .iter()
        .filter_map(|(row, _)| row.measured())
        .collect();
    let (Some((best, others)), false) = (valued.split_last(), scores.is_empty()) else {
        return html! { p.quiet { "No trial has a score." } };
    };
    let frame = Frame::new(SMALL.0, SMALL.1).with_links();
    let (low, high) = framed_range(&scores, seen.metric_shown().better);
    let (x, y) = (frame.x(-0.04, 1.04), frame.y(low, high));
    let every = others.len().div_ceil(DOTS_MAX).max(1);
    let dots = others
        .iter()
        .step_by(every)
        .filter(|(_, value)| y.holds(*value));
    let inside = html! {
        @for (row, value) in dots.chain([best]) {
            a href=(address_of(row.id)) tabindex="-1" {
                circle.(class(seen, row)) cx=(px(x.at(across(row)))) cy=(px(y.at(*value))) r="3.2" {
                    title { (ended(row)) }
                }
            }
        }
    };
    let mut ticks: Vec<Tick> = Vec::new();
    for (place, label) in marks {
        // A domain of few values has the same one at several places.
        if ticks.iter().all(|tick| tick.label != *label) {
            ticks.push(Tick {
                place: x.at(*place),
                label: label.clone(),
            });
        }
    }
    let axes = Axes {
        x: &ticks,
        y: &y.ticks(4),
        x_title: title,
        y_title: &seen.metric.to_string(),
    };
    frame.draw(&format!("Trials by {title}"), &axes, &inside)
}

fn class(seen: &Seen, row: &Row) -> &'static str {
    match row.state {
        _ if Some(row.id) == seen.standing.best => "step",
        State::Finished => "inherited",
        _ => "fresh",
    }
}

#[cfg(test)]
mod tests {
    use study::trial::Trial;

    use super::{
        super::seen::tests::{node, running, seen},
        *,
    };
    use crate::made_up;

    fn trials() -> Vec<Trial> {
        vec![
            made_up::finished(1, 0.4, 0.3),
            made_up::finished(2, 0.5, 0.3),
            made_up::stopped(3, 4, -0.45),
            running(4, 1),
        ]
    }

    #[test]
    fn trainings_are_drawn_as_far_as_they_went_and_the_running_ones_where_they_are() {
        let drawn = learning_curves(&seen(&trials(), vec![node(1, 2.0, (4, 25))])).into_string();
        assert_eq!(
            drawn.matches("path class=\"curve finished\"").count(),
            2 + 1,
            "and its key"
        );
        assert_eq!(
            drawn.matches("path class=\"curve stopped\"").count(),
            1 + 1,
            "and its key"
        );
        assert!(
            drawn.contains("trial 4 is being trained: 0.5000"),
            "{drawn}"
        );
        let shares = |row: &Row| {
            learning_curve(row)
                .map(|(share, _)| share)
                .collect::<Vec<f64>>()
        };
        let seen = seen(&trials(), Vec::new());
        assert_eq!(shares(&seen.ended[2]), [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn the_best_of_the_trials_lies_above_all_and_those_that_were_stopped_below() {
        let seen = seen(&trials(), Vec::new());
        let order: Vec<u64> = valued(&seen).iter().map(|(row, _)| row.id.0).collect();
        assert_eq!(order, [3, 2, 1]);
        let drawn = by_size(&seen).into_string();
        let place = |class: &str| {
            drawn
                .find(class)
                .unwrap_or_else(|| panic!("no {class} in {drawn}"))
        };
        assert!(place("circle class=\"fresh\"") < place("circle class=\"inherited\""));
        assert!(place("circle class=\"inherited\"") < place("circle class=\"step\""));
        // All are of one size, which is written once.
        assert_eq!(
            drawn.matches("text-anchor=\"middle\"").count(),
            1,
            "{drawn}"
        );
    }

    #[test]
    fn numbers_at_an_axis_have_no_idle_digits() {
        let texts =
            [0.0003, 0.03, 0.1, 0.000_949, 100.0, 0.0].map(|value| shown(&Value::Float(value)));
        assert_eq!(texts, ["0.0003", "0.03", "0.1", "0.000949", "100", "0"]);
    }

    #[test]
    fn a_domain_is_marked_at_its_values() {
        let whole = |low, high| Domain::Integer {
            low,
            high,
            scale: search::Scale::Linear,
            step: 1,
        };
        let choices = ["never", "horizontal"].map(str::to_string).to_vec();
        let names = marks(&Domain::Category { choices });
        assert_eq!(
            names,
            [(0.0, "never".to_string()), (1.0, "horizontal".to_string())]
        );
        assert!(
            marks(&whole(0, 1))
                .iter()
                .all(|(place, label)| label == &place.to_string())
        );
        assert_eq!(marks(&whole(0, 4))[3], (0.75, "3".to_string()));
    }
}
