//! The chart of an exploration: every trial a dot, and the best so far as a staircase.

use maud::{Markup, html};

use super::{
    axis::Scale,
    frame::{Axes, Frame, px},
    model::{Better, MetricShown, ProgressPoint, Start},
    parts::{key, score, thousands},
};
use crate::show;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 330.0;

/// With fewer trials, none is left out of the frame.
const TRIALS_FEW: usize = 12;

/// Share of the worst trials that the frame need not reach: they would flatten all others.
const WORST_SHARE: f64 = 0.15;

/// So many dots at most are drawn beside the best: more could not be told apart, and would make the page large.
const DOTS_MAX: usize = 3_000;

/// Draws every trial, or every so many'th if there are very many, against the time at which it ended.
pub(crate) fn progress_chart(points: &[ProgressPoint], metric: &MetricShown) -> Markup {
    let frame = Frame::new(WIDTH, HEIGHT);
    chart(points, metric, frame, |_, drawn| drawn)
}

/// The same, with what is drawn of a trial leading to `address`. Only those that were the best are stops of the
/// tabulator key: thousands would be in everybody's way.
pub(crate) fn linked_progress_chart(
    points: &[ProgressPoint],
    metric: &MetricShown,
    address: impl Fn(u64) -> String,
) -> Markup {
    let frame = Frame::new(WIDTH, HEIGHT).with_links();
    chart(points, metric, frame, |point, drawn| {
        let stop = match point {
            Mark::Best(_) => None,
            Mark::Trial(_) => Some("-1"),
        };
        html! { a href=(address(point.trial())) tabindex=[stop] { (drawn) } }
    })
}

/// What a mark of the chart stands for.
enum Mark<'a> {
    Trial(&'a ProgressPoint),
    /// One that was better than all before it.
    Best(&'a ProgressPoint),
}

impl Mark<'_> {
    fn trial(&self) -> u64 {
        match self {
            Mark::Trial(point) | Mark::Best(point) => point.trial,
        }
    }
}

fn chart(
    points: &[ProgressPoint],
    metric: &MetricShown,
    frame: Frame,
    around: impl Fn(&Mark<'_>, Markup) -> Markup,
) -> Markup {
    let mut points: Vec<&ProgressPoint> = points
        .iter()
        .filter(|point| point.value.is_finite())
        .collect();
    points.sort_by(|a, b| a.seconds.total_cmp(&b.seconds).then(a.trial.cmp(&b.trial)));
    let Some(last) = points.last() else {
        return html! { p.quiet { "No trial has a score." } };
    };
    let values: Vec<f64> = points.iter().map(|point| point.value).collect();
    let (low, high) = framed_range(&values, metric.better);
    let (x, y) = (frame.x(0.0, last.seconds), frame.y(low, high));
    let improvements = improvements(&points, metric.better);
    let every = points.len().div_ceil(DOTS_MAX);
    let drawn: Vec<&&ProgressPoint> = points.iter().step_by(every).collect();
    let outside = drawn.iter().filter(|point| !y.holds(point.value)).count();
    let inside = html! {
        @for point in &drawn { (around(&Mark::Trial(point), dot(point, x, y))) }
        path.best d=(staircase(&improvements, x, y)) {}
        @for point in improvements.iter().filter(|point| y.holds(point.value)) {
            (around(&Mark::Best(point), step(point, x, y)))
        }
    };
    let title = format!("{} on the validation rows", metric.name);
    let (x_ticks, y_ticks) = (x.time_ticks(10), y.ticks(6));
    let axes = Axes {
        x: &x_ticks,
        y: &y_ticks,
        x_title: "time explored",
        y_title: &title,
    };
    html! {
        div.scroll { (frame.draw("Score of every trial over time", &axes, &inside)) }
        (legend(outside))
        @if every > 1 {
            p.quiet { "One in " (every) " of " (thousands(points.len() as u64)) " trials is drawn, and all that were the best." }
        }
    }
}

/// The range of values that the frame shows: from the best to all but the worst.
pub(crate) fn framed_range(values: &[f64], better: Better) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (sorted[0], sorted[sorted.len() - 1]);
    let skipped = match sorted.len() {
        few if few < TRIALS_FEW => 0,
        many => (many as f64 * WORST_SHARE) as usize,
    };
    let (low, high) = match better {
        Better::Higher => (sorted[skipped], last),
        Better::Lower => (first, sorted[sorted.len() - 1 - skipped]),
    };
    let margin = (high - low) * 0.06;
    (low - margin, high + margin)
}

/// The trials that were better than all before them.
fn improvements<'a>(points: &[&'a ProgressPoint], better: Better) -> Vec<&'a ProgressPoint> {
    let mut best: Vec<&ProgressPoint> = Vec::new();
    for point in points {
        if best
            .last()
            .is_none_or(|last| better.beats(point.value, last.value))
        {
            best.push(point);
        }
    }
    best
}

fn staircase(improvements: &[&ProgressPoint], x: Scale, y: Scale) -> String {
    let mut path = String::new();
    for point in improvements {
        let (across, up) = (px(x.at(point.seconds)), px(y.at(point.value)));
        match path.is_empty() {
            true => path += &format!("M{across} {up}"),
            false => path += &format!("H{across}V{up}"),
        }
    }
    path + &format!("H{}", px(x.end()))
}

fn step(point: &ProgressPoint, x: Scale, y: Scale) -> Markup {
    html! {
        circle.step cx=(px(x.at(point.seconds))) cy=(px(y.at(point.value))) r="4.5" {
            title { (said(point)) ", the best so far" }
        }
    }
}

fn dot(point: &ProgressPoint, x: Scale, y: Scale) -> Markup {
    let class = match point.start {
        Start::Fresh => "fresh",
        Start::Inherited => "inherited",
    };
    let (across, up) = (x.at(point.seconds), y.at(point.value));
    if y.holds(point.value) {
        return html! {
            circle class=(class) cx=(px(across)) cy=(px(up)) r="3.2" { title { (said(point)) } }
        };
    }
    // A trial beyond the frame is an arrow head at its edge, pointing out.
    let outward = if up > (y.start() + y.end()) / 2.0 {
        6.0
    } else {
        -6.0
    };
    let path = format!(
        "M{} {}h7l-3.5 {}z",
        px(across - 3.5),
        px(up - outward / 2.0),
        px(outward)
    );
    html! { path class=(class) d=(path) { title { (said(point)) ", outside of the frame" } } }
}

fn said(point: &ProgressPoint) -> String {
    let start = match point.start {
        Start::Fresh => "fresh weights",
        Start::Inherited => "inherited weights",
    };
    let value = score(point.value);
    format!(
        "trial {}: {value} after {}, {start}",
        point.trial,
        show::seconds(point.seconds)
    )
}

fn legend(outside: usize) -> Markup {
    let line = html! { path.best d="M0 8H10V2H20" {} };
    let inherited = html! { circle.inherited cx="10" cy="5" r="3.5" {} };
    let fresh = html! { circle.fresh cx="10" cy="5" r="3.5" {} };
    let arrow = html! { path.fresh d="M6.5 2h7l-3.5 6z" {} };
    html! {
        p.legend {
            (key(&line, "best so far"))
            (key(&inherited, "started from inherited weights"))
            (key(&fresh, "started fresh"))
            @if outside > 0 { (key(&arrow, &format!("{outside} far worse, drawn at the edge"))) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[f64]) -> Vec<ProgressPoint> {
        let point = |(index, value): (usize, &f64)| ProgressPoint {
            seconds: index as f64,
            trial: index as u64,
            value: *value,
            start: Start::Fresh,
            parameters: 100,
        };
        values.iter().enumerate().map(point).collect()
    }

    fn best_trials(values: &[f64], better: Better) -> Vec<u64> {
        let points = points(values);
        let borrowed: Vec<&ProgressPoint> = points.iter().collect();
        improvements(&borrowed, better)
            .iter()
            .map(|point| point.trial)
            .collect()
    }

    #[test]
    fn the_staircase_steps_only_towards_the_better() {
        let values = [0.5, 0.4, 0.7, 0.7, 0.6, 0.9];
        assert_eq!(best_trials(&values, Better::Higher), [0, 2, 5]);
        assert_eq!(best_trials(&values, Better::Lower), [0, 1]);
    }

    #[test]
    fn one_bad_trial_does_not_flatten_the_others_but_is_drawn() {
        let mut values = vec![0.9; 30];
        values[3] = 0.95;
        values[7] = 0.1;
        let (low, high) = framed_range(&values, Better::Higher);
        assert!(low > 0.8 && high > 0.95, "{low} to {high}");
        let metric = MetricShown {
            name: "accuracy".into(),
            better: Better::Higher,
        };
        let drawn = progress_chart(&points(&values), &metric).into_string();
        assert_eq!(
            drawn.matches("<title>trial").count(),
            30 + 2,
            "30 dots and 2 steps"
        );
        assert!(drawn.contains("1 far worse"), "{drawn}");
    }

    #[test]
    fn of_very_many_trials_a_part_is_drawn_and_every_one_that_was_the_best() {
        let mut values = vec![0.5; 20_000];
        for (place, value) in [(11, 0.6), (7_777, 0.7), (19_999, 0.8)] {
            values[place] = value;
        }
        let metric = MetricShown::of(train::Metric::Accuracy);
        let drawn = progress_chart(&points(&values), &metric).into_string();
        assert!(drawn.matches("<circle").count() < DOTS_MAX + 20);
        for best in ["trial 11:", "trial 7777:", "trial 19999:"] {
            assert!(drawn.contains(best), "{best}");
        }
        assert!(
            drawn.contains("One in 7 of 20\u{202f}000 trials"),
            "{drawn}"
        );
    }

    #[test]
    fn an_exploration_without_scores_says_so() {
        let metric = MetricShown {
            name: "rmse".into(),
            better: Better::Lower,
        };
        assert!(
            progress_chart(&points(&[f64::NAN]), &metric)
                .into_string()
                .contains("No trial")
        );
    }
}
