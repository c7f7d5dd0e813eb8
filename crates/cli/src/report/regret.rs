//! `regret.html`: how far from the best each searcher is, after each evaluation and by the time it takes.

use maud::{Markup, html};

use super::{
    axis::{Scale, Tick},
    frame::{Axes, Frame, px},
    page,
    parts::{key, section},
};
use crate::command::bench::RegretRow;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;

/// Regrets below this share are drawn at the lower edge: what is left there is a draw of luck.
const LEAST: f64 = 1e-4;

/// Colours of searchers in the order in which they come; the first is lehr's.
const COLOURS: [&str; 10] = [
    "#c2410c", "#e8a33d", "#2f6db5", "#0f766e", "#8b5fbf", "#b98a1c", "#6c747d", "#9aa1a9",
    "#be185d", "#4d7c0f",
];

/// A line of a chart, and the band of one standard error around it.
struct Line<'a> {
    name: String,
    colour: &'static str,
    rows: Vec<&'a RegretRow>,
}

/// What a chart's x axis counts.
#[derive(Clone, Copy)]
enum Across {
    Evaluations,
    Time,
}

/// The page for these rows.
pub(crate) fn regret_page(rows: &[RegretRow]) -> String {
    let searchers = different(rows.iter().map(|row| row.searcher.as_str()));
    let seeds = rows.iter().map(|row| row.seeds).max().unwrap_or(0);
    let sections = different(rows.iter().map(|row| row.table.as_str()));
    let body = html! {
        p.eyebrow { "lehr bench search" }
        h1 { "How far from the best each searcher is" }
        p {
            "Regret is the difference between the best score of a table and the best score found so far, as a \
             share of the difference between the table's best and its median model. Means over up to " (seeds)
            " searches, with a band of one standard error; axes of regret and of time are logarithmic."
        }
        p.legend {
            @for (place, searcher) in searchers.iter().enumerate() {
                (key(&html! { path d="M0 5H20" style=(stroke(colour(place))) {} }, searcher))
            }
        }
        @for table in sections { (section(table, "", &charts(rows, table, &searchers))) }
    };
    page("Regrets", &body)
}

fn different<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut met = Vec::new();
    for name in names {
        if !met.contains(&name) {
            met.push(name);
        }
    }
    met
}

fn workers_named(count: u32) -> String {
    match count {
        1 => "one worker".to_string(),
        _ => format!("{count} workers"),
    }
}

fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}

fn stroke(colour: &str) -> String {
    format!("stroke:{colour};fill:none;stroke-width:2")
}

fn charts(rows: &[RegretRow], table: &str, searchers: &[&str]) -> Markup {
    let own: Vec<&RegretRow> = rows.iter().filter(|row| row.table == table).collect();
    let mut workers: Vec<u32> = own.iter().map(|row| row.workers).collect();
    workers.sort_unstable();
    workers.dedup();
    let of = |searcher: &str, count: u32| -> Vec<&RegretRow> {
        let wanted = |row: &&&RegretRow| row.searcher == searcher && row.workers == count;
        own.iter().filter(wanted).copied().collect()
    };
    let by_searcher = |count: u32| -> Vec<Line<'_>> {
        let lines = searchers.iter().enumerate().map(|(place, searcher)| Line {
            name: searcher.to_string(),
            colour: colour(place),
            rows: of(searcher, count),
        });
        lines.filter(|line| !line.rows.is_empty()).collect()
    };
    let by_workers: Vec<Line<'_>> = workers
        .iter()
        .enumerate()
        .map(|(place, count)| Line {
            name: workers_named(*count),
            colour: colour(place),
            rows: of(searchers[0], *count),
        })
        .collect();
    html! {
        div.charts {
            @for count in &workers {
                div {
                    h3 { (workers_named(*count)) }
                    (chart(table, &by_searcher(*count), Across::Evaluations))
                }
            }
            @if workers.len() > 1 {
                div {
                    h3 { (searchers[0]) " by time" }
                    (chart(table, &by_workers, Across::Time))
                    p.legend {
                        @for line in &by_workers {
                            (key(&html! { path d="M0 5H20" style=(stroke(line.colour)) {} }, &line.name))
                        }
                    }
                }
            }
        }
    }
}

fn chart(table: &str, lines: &[Line<'_>], across: Across) -> Markup {
    let frame = Frame::new(WIDTH, HEIGHT);
    let rows = || lines.iter().flat_map(|line| line.rows.iter().copied());
    let highest = rows().map(|row| row.normalised).fold(LEAST, f64::max);
    let last = rows().map(|row| at(row, across)).fold(0.0, f64::max);
    let first = match across {
        Across::Evaluations => 0.0,
        Across::Time => rows().map(|row| at(row, across)).fold(last, f64::min),
    };
    let x = frame.x(first, last);
    let y = frame.y(LEAST.log10(), highest.max(10.0 * LEAST).log10());
    let inside = html! {
        @for line in lines {
            path d=(band(line, x, y, across)) style=(format!("fill:{};opacity:.16", line.colour)) {}
        }
        @for line in lines {
            path d=(path(line, x, y, across)) style=(stroke(line.colour)) { title { (line.name) } }
        }
    };
    let (x_title, x_ticks) = match across {
        Across::Evaluations => ("evaluations", x.ticks(6)),
        Across::Time => (
            "usual durations of a training",
            x.decade_ticks(|time| time.to_string()),
        ),
    };
    let axes = Axes {
        x: &x_ticks,
        y: &powers(y, highest),
        x_title,
        y_title: "normalised regret",
    };
    frame.draw(&format!("Regret on {table}"), &axes, &inside)
}

/// Where on its axis a row stands. Times are logarithms: many workers are through before one has begun.
fn at(row: &RegretRow, across: Across) -> f64 {
    match across {
        Across::Evaluations => row.evaluation as f64,
        Across::Time => row.time.log10(),
    }
}

/// Powers of ten within the range.
fn powers(y: Scale, highest: f64) -> Vec<Tick> {
    let (low, high) = (LEAST.log10() as i32, highest.log10().floor() as i32);
    let tick = |power: i32| Tick {
        place: y.at(f64::from(power)),
        label: format!("{}", 10_f64.powi(power)),
    };
    (low..=high).map(tick).collect()
}

fn place(value: f64, y: Scale) -> f64 {
    y.at(value.max(LEAST).log10())
}

fn path(line: &Line<'_>, x: Scale, y: Scale, across: Across) -> String {
    let places = line
        .rows
        .iter()
        .map(|row| (x.at(at(row, across)), place(row.normalised, y)));
    drawn(places)
}

fn band(line: &Line<'_>, x: Scale, y: Scale, across: Across) -> String {
    let edge = |row: &&RegretRow, sign: f64| {
        let value = row.normalised + sign * row.normalised_error;
        (x.at(at(row, across)), place(value, y))
    };
    let upper = line.rows.iter().map(|row| edge(row, 1.0));
    let lower = line.rows.iter().rev().map(|row| edge(row, -1.0));
    drawn(upper.chain(lower)) + "Z"
}

fn drawn(places: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (x, y) in places {
        let letter = if path.is_empty() { 'M' } else { 'L' };
        path += &format!("{letter}{} {}", px(x), px(y));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(searcher: &str, workers: u32, evaluation: usize, normalised: f64) -> RegretRow {
        RegretRow {
            table: "a-table".to_string(),
            searcher: searcher.to_string(),
            workers,
            seeds: 50,
            evaluation,
            time: evaluation as f64 / f64::from(workers),
            regret: normalised,
            regret_error: 0.0,
            judged: normalised,
            judged_error: 0.0,
            normalised,
            normalised_error: normalised / 10.0,
        }
    }

    #[test]
    fn every_searcher_has_a_line_in_every_chart_it_belongs_to() {
        let both = ["lehr", "random"];
        let rows = both.iter().flat_map(|searcher| {
            (1..=10).map(move |evaluation| row(searcher, 1, evaluation, 1.0 / evaluation as f64))
        });
        let mut rows: Vec<RegretRow> = rows.collect();
        let lines = |rows: &[RegretRow]| regret_page(rows).matches("<title>lehr</title>").count();
        assert_eq!(lines(&rows), 1);
        assert!(!regret_page(&rows).contains("by time"));
        rows.extend((1..=10).map(|evaluation| row("lehr", 8, evaluation, 0.0)));
        assert_eq!(lines(&rows), 2);
        assert!(regret_page(&rows).contains("lehr by time"));
        assert!(!regret_page(&rows).contains("NaN"));
    }
}
