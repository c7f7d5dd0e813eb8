//! The page of the search: which hyperparameters it has tried, which changes it has made, and what came of them.

use std::collections::BTreeMap;

use maud::{Markup, html};
use search::TrialId;

use super::{
    charts::{by_hyperparameter, by_size},
    page::{Tab, framed, wide},
    row::{Row, State},
    seen::Seen,
};
use crate::report::{MetricShown, score, section, thousands};

pub(super) fn page(seen: &Seen) -> String {
    let body = html! {
        h1 { "Search" }
        div data-part="hyperparameters" {
            (section("Hyperparameters and size", WHERE, &hyperparameters(seen)))
        }
        div data-part="changes" { (section("Changes", WHICH, &changes(seen))) }
    };
    framed(seen, Tab::Search, "Search", &body)
}

const WHERE: &str = "Each dot is a trial, the ring the best; grey ones were stopped early and lie where they were \
                     expected to end. Dots lie where the search went: a crowded place is not by itself a good one. \
                     Of very many trials every so many'th is drawn, and none that is far worse.";

const WHICH: &str = "What was done to a trial to make another, and how often the other was better. One that was made \
                     by two kinds of change counts for both. A child usually begins with its parent's weights and is \
                     trained for half as long as a fresh model.";

fn hyperparameters(seen: &Seen) -> Markup {
    let parameters = seen.config.search.space.parameters().iter().enumerate();
    let searched = parameters.filter(|(_, parameter)| parameter.domain().is_free());
    html! {
        div.charts {
            @for (place, _) in searched { div { (by_hyperparameter(seen, place)) } }
            div { (by_size(seen)) }
        }
    }
}

/// What came of one kind of change.
#[derive(Default)]
struct Tally {
    tried: u64,
    scored: u64,
    stopped: u64,
    failed: u64,
    better: u64,
    /// Child less parent, of those that both have a score.
    differences: Vec<f64>,
}

fn tallies(seen: &Seen) -> BTreeMap<&'static str, Tally> {
    let rows = seen.by_id();
    let metric = seen.metric_shown();
    let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
    for row in &seen.ended {
        for kind in &row.descent.kinds {
            tallies.entry(kind).or_default().add(row, &rows, &metric);
        }
    }
    tallies
}

impl Tally {
    fn add(&mut self, row: &Row, rows: &BTreeMap<TrialId, &Row>, metric: &MetricShown) {
        self.tried += 1;
        match row.state {
            State::Stopped => self.stopped += 1,
            State::Failed => self.failed += 1,
            _ => self.scored += 1,
        }
        let parent = row
            .descent
            .from
            .and_then(|from| rows.get(&from)?.measured());
        if let (Some(own), Some(parent)) = (row.measured(), parent) {
            self.better += u64::from(metric.better.beats(own, parent));
            self.differences.push(own - parent);
        }
    }

    /// The difference in the middle.
    fn median(&self) -> Option<f64> {
        let mut sorted = self.differences.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(sorted[odd / 2]),
            even => Some((sorted[even / 2 - 1] + sorted[even / 2]) / 2.0),
        }
    }
}

fn signed(value: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "+" };
    format!("{sign}{}", score(value.abs()))
}

fn changes(seen: &Seen) -> Markup {
    let mut tallies: Vec<(&str, Tally)> = tallies(seen).into_iter().collect();
    tallies.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.tried));
    if tallies.is_empty() {
        return html! { p.quiet { "No trial was made of another one yet." } };
    }
    let difference = format!("{} less parent's (median)", seen.metric);
    let table = html! {
        table.fitting {
            thead {
                tr {
                    th { "change" }
                    th.number { "trials" }
                    th.number { "with a score" }
                    th.number { "stopped early" }
                    th.number { "failed" }
                    th.number { "better than parent" }
                    th.number { (difference) }
                }
            }
            tbody {
                @for (kind, tally) in &tallies {
                    tr {
                        td { (kind.replace('_', " ")) }
                        td.number { (thousands(tally.tried)) }
                        td.number { (thousands(tally.scored)) }
                        td.number { (thousands(tally.stopped)) }
                        td.number { (thousands(tally.failed)) }
                        td.number { (thousands(tally.better)) }
                        td.number { (tally.median().map_or("–".to_string(), signed)) }
                    }
                }
            }
        }
    };
    wide("Changes", &table)
}

#[cfg(test)]
mod tests {
    use super::{super::seen::tests::seen, *};
    use crate::made_up;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let median = |differences: &[f64]| {
            let differences = differences.to_vec();
            Tally {
                differences,
                ..Tally::default()
            }
            .median()
        };
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_change_is_judged_against_the_trial_that_it_was_made_to() {
        let variant = |mut trial: study::trial::Trial, parent: u64| {
            trial.candidate.origin = search::Origin::Variant {
                parent: TrialId(parent),
                morphs: Vec::new(),
                temperature: 0.5,
                base_models: Vec::new(),
                targets: Vec::new(),
            };
            trial
        };
        let trials = [
            made_up::finished(1, 0.5, 0.3),
            variant(made_up::finished(2, 0.4, 0.3), 1),
            variant(made_up::finished(3, 0.6, 0.3), 2),
            variant(made_up::stopped(4, 2, -0.7), 1),
        ];
        let tallies = tallies(&seen(&trials, Vec::new()));
        let tally = &tallies["hyperparameters only"];
        let counted = (
            tally.tried,
            tally.scored,
            tally.stopped,
            tally.failed,
            tally.better,
        );
        assert_eq!(counted, (3, 2, 1, 0, 1));
        // Once better by 0.1, once worse by 0.2: an error, so lower is better.
        assert!(
            tally
                .median()
                .is_some_and(|median| (median - 0.05).abs() < 1e-12)
        );
    }
}
