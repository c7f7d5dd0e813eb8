//! The first page: how good the best model is, how far the study has come, what is being trained.

use maud::{Markup, html};
use search::TrialId;
use study::ledger::Node;

use super::{
    charts::learning_curves,
    page::{Going, Tab, address_of, ago, count, framed, origin, trial_link, trial_table, wide},
    row::{Row, State, Training},
    seen::Seen,
};
use crate::{
    report::{
        Explored, ProgressPoint, failure_table, failures, linked_progress_chart, score, section,
        thousands,
    },
    show,
};

/// Of the best trials, so many are listed; the page of trials has all.
const BEST_LISTED: usize = 10;

/// Of very many trainings, those that were proposed first are listed.
const UNDER_WAY_LISTED: usize = 200;

pub(super) fn page(seen: &Seen) -> String {
    let headline = headline(seen);
    let failed = failures(
        seen.ended
            .iter()
            .filter_map(|row| Some((row.id, row.reason.as_ref()?))),
    );
    let chart = linked_progress_chart(&points(seen), &seen.metric_shown(), |trial| {
        address_of(TrialId(trial))
    });
    let body = html! {
        div data-part="headline" {
            p.eyebrow { (seen.data) }
            h1 { (headline) }
            p.quiet { (pace(seen)) }
        }
        div data-part="tiles" { (tiles(seen)) }
        div data-part="progress" {
            (section(
                "Exploration",
                "Each dot is a trial with a score, at the time when its training ended. Point at one to read it.",
                &chart,
            ))
        }
        div data-part="under-way" { (under_way(seen)) }
        div data-part="trainings" { (section("Trainings", TRAININGS, &learning_curves(seen))) }
        div data-part="best" { (section("Best trials", "", &best(seen))) }
        div data-part="failures" {
            @if !failed.is_empty() {
                (section(
                    "Failed trials",
                    "They stay in the pool as failures; nothing was put in their place.",
                    &failure_table(&failed),
                ))
            }
        }
        footer { "Read from the study's ledger. This page only shows; nothing on it changes the study." }
    };
    framed(seen, Tab::Overview, &headline, &body)
}

const TRAININGS: &str = "Each line is a training that has ended, from its first epoch to the last that was planned. \
                         At the dotted lines trainings are compared, and those that are behind are stopped.";

fn headline(seen: &Seen) -> String {
    match seen.best().and_then(|row| Some((row.id, row.value?))) {
        Some((trial, value)) => {
            let so_far = match Going::of(seen) {
                Going::Ended(_) => "",
                _ => " so far",
            };
            format!("{} {}{so_far}, by trial {trial}", seen.metric, score(value))
        }
        None => "No trial has a score yet".to_string(),
    }
}

/// Whether it still becomes better, and how long it may go on.
fn pace(seen: &Seen) -> String {
    if matches!(Going::of(seen), Going::Ended(_)) {
        return String::new();
    }
    let mut said = Vec::new();
    if let Some((best, run)) = seen.best().and_then(|row| Some((row, row.run.as_ref()?))) {
        let since = seen.ended.iter().rev();
        let since = since.take_while(|row| row.id != best.id).count() as u64;
        let ago = ago(seen, run.finished_at);
        said.push(format!(
            "The best is {ago} old; {} ended since.",
            count(since, "trial")
        ));
    }
    let budget = seen.config.budget;
    if let Some(seconds) = budget.seconds {
        let left = (seconds - seen.spent_seconds).max(0.0);
        said.push(format!("{} of exploring to go.", show::seconds(left)));
    }
    if let Some(trials) = budget.trials {
        let left = trials.saturating_sub(seen.counts.ended());
        said.push(format!("{} to go.", count(left, "trial")));
    }
    said.join(" ")
}

fn tiles(seen: &Seen) -> Markup {
    let counts = seen.counts;
    let best = seen.best().and_then(|row| row.value);
    let is_over = matches!(Going::of(seen), Going::Ended(_));
    html! {
        div.tiles {
            div.tile.main {
                b { (best.map_or("–".to_string(), score)) }
                span { (seen.metric) " on the validation rows, which choose" }
                @if seen.has_report && is_over {
                    span { "on the vault: " a href="/report" { "in the report" } }
                } @else if seen.has_report {
                    span { "on the vault: at the end; the " a href="/report" { "report" } " is of an earlier moment" }
                } @else {
                    span { "on the vault: at the end" }
                }
            }
            (budget(seen))
            div.tile {
                b { (thousands(counts.ended())) }
                span { "trials have ended" }
                span {
                    (thousands(counts.finished)) " with a score, " (thousands(counts.stopped)) " stopped early, "
                    (thousands(counts.failed)) " failed"
                }
            }
            (trainers(seen))
        }
    }
}

/// How much of the budget is used, and what is left of it.
fn budget(seen: &Seen) -> Markup {
    let (budget, used) = (seen.config.budget, seen.budget_used());
    let spent = seen.spent_seconds;
    let percent = format!("{:.0} %", used * 100.0);
    html! {
        div.tile {
            b { (percent) }
            span { "of the budget is used" }
            svg.budget viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label=(format!("{percent} used")) {
                rect.room width="100" height="4" {}
                rect.used width=(format!("{:.1}", used * 100.0)) height="4" {}
            }
            @if let Some(seconds) = budget.seconds {
                span { (show::seconds(spent)) " of " (show::seconds(seconds)) " explored" }
            } @else {
                span { (show::seconds(spent)) " explored" }
            }
            @if let Some(trials) = budget.trials {
                span { (thousands(seen.counts.ended())) " of " (thousands(trials)) " trials" }
            }
        }
    }
}

fn trainers(seen: &Seen) -> Markup {
    let alive: Vec<&Node> = seen.alive().collect();
    let slots: u64 = alive.iter().map(|node| u64::from(node.slots)).sum();
    let works = |row: &&Row| seen.trainer_of(row).is_some_and(|node| seen.is_alive(node));
    let at_work = seen.under_way.iter().filter(works).count() as u64;
    html! {
        div.tile {
            b { @if seen.not_known() > 0 { "at least " } (thousands(at_work)) " of " (thousands(slots)) }
            span { "trainers at work, on " (count(alive.len() as u64, "node")) }
            @if let Some(busy) = seen.busy() {
                span { (format!("{:.1} %", busy.share * 100.0)) " busy since the first trial" }
            }
        }
    }
}

/// Every trial with a score, as the chart draws it.
fn points(seen: &Seen) -> Vec<ProgressPoint> {
    let explored = Explored::of(seen.ended.iter().filter_map(|row| row.run.as_ref()));
    let point = |row: &Row| {
        Some(ProgressPoint {
            seconds: explored.seconds_at(row.run.as_ref()?.finished_at),
            trial: row.id.0,
            value: row.measured()?,
            start: row.start,
            parameters: row.parameters,
        })
    };
    seen.ended.iter().filter_map(|row| point(row)).collect()
}

/// What is being trained, and how much waits; nothing of it if the study is over.
fn under_way(seen: &Seen) -> Markup {
    let running: Vec<(&Row, &Training)> = seen
        .under_way
        .iter()
        .filter_map(|row| Some((row, row.training.as_ref()?)))
        .collect();
    let is_over = matches!(Going::of(seen), Going::Ended(_));
    if is_over && running.is_empty() {
        return html! {};
    }
    let waiting = match seen.counts.queued {
        0 => String::new(),
        queued => format!("{} for a trainer.", waits(queued)),
    };
    let listed = &running[..running.len().min(UNDER_WAY_LISTED)];
    let more = (running.len() - listed.len()) as u64 + seen.not_known();
    let trainings = html! {
        @if listed.is_empty() {
            p.quiet { "Nothing is being trained." }
        } @else {
            (wide("Trainings under way", &training_table(seen, listed)))
        }
        @if more > 0 { p.quiet { (thousands(more)) " more that run or wait are not listed." } }
    };
    section("Under way", &waiting, &trainings)
}

fn waits(queued: u64) -> String {
    match queued {
        1 => "1 more waits".to_string(),
        many => format!("{} more wait", thousands(many)),
    }
}

/// With cross-validation only the first network's epochs are told.
fn training_table(seen: &Seen, running: &[(&Row, &Training)]) -> Markup {
    let [epoch, value] = match seen.networks {
        1 => ["epoch".to_string(), seen.metric.to_string()],
        _ => [
            format!("epoch (first of {} networks)", seen.networks),
            format!("{} (first fold)", seen.metric),
        ],
    };
    html! {
        table.trials {
            thead {
                tr {
                    th.number { "trial" }
                    th { "node, slot" }
                    th.number { "for" }
                    th.number { (epoch) }
                    th.number { (value) }
                    th { "origin" }
                    th.notation { "network" }
                }
            }
            tbody { @for (row, training) in running { (being_trained(seen, row, training)) } }
        }
    }
}

fn being_trained(seen: &Seen, row: &Row, training: &Training) -> Markup {
    let is_silent = seen.trainer_of(row).is_none_or(|node| !seen.is_alive(node));
    let (epoch, value) = match seen.progress_of(row) {
        None => ("–".to_string(), "–".to_string()),
        Some(progress) => {
            let value = score(seen.metric.value(progress.score));
            let epoch = format!("{} of {}", progress.epoch, progress.epochs);
            match seen.networks > 1 && progress.epoch == progress.epochs {
                true => ("done, others train".to_string(), value),
                false => (epoch, value),
            }
        }
    };
    html! {
        tr {
            td.number { (trial_link(row.id)) }
            td { (training.worker) ", " (training.slot.0) }
            td.number { @if is_silent { "its node is silent" } @else { (ago(seen, training.since)) } }
            td.number { (epoch) }
            td.number { (value) }
            td.origin { (origin(row)) }
            td.notation { code { (row.notation) } }
        }
    }
}

fn best(seen: &Seen) -> Markup {
    let rows = best_of(seen, BEST_LISTED);
    html! {
        @if rows.is_empty() {
            p.quiet { "None yet." }
        } @else {
            (trial_table(seen, "Best trials", &rows))
        }
    }
}

/// The best trials, best first.
fn best_of(seen: &Seen, count: usize) -> Vec<&Row> {
    let is_finished = |row: &&Row| row.state == State::Finished;
    let mut rows: Vec<&Row> = seen
        .ended
        .iter()
        .map(|row| &**row)
        .filter(is_finished)
        .collect();
    rows.sort_by(|a, b| Row::by_standing(a, b));
    rows.truncate(count);
    rows
}

#[cfg(test)]
mod tests {
    use super::{
        super::seen::tests::{node, running, seen},
        *,
    };
    use crate::made_up;

    fn says(page: &str, words: &str) {
        assert!(page.contains(words), "`{words}` is not in {page}");
    }

    #[test]
    fn a_study_without_a_score_says_so() {
        let page = page(&seen(&[], Vec::new()));
        for words in [
            "No trial has a score yet",
            "No training has ended.",
            "None yet.",
            "0 of 0",
        ] {
            says(&page, words);
        }
    }

    #[test]
    fn trainers_of_nodes_that_are_silent_are_not_at_work() {
        let nodes = vec![node(1, 2.0, (5, 2)), node(2, 900.0, (6, 7))];
        let page = page(&seen(&[running(5, 1), running(6, 2)], nodes));
        says(
            &page,
            "<b>1 of 2</b><span>trainers at work, on 1 node</span>",
        );
        says(&page, "its node is silent");
        says(&page, "2 of 50");
    }

    #[test]
    fn a_killed_study_has_no_trainers_at_work_and_nobody_who_works_on_it() {
        let page = page(&seen(&[running(5, 1)], vec![node(1, 900.0, (5, 2))]));
        says(
            &page,
            "<b>0 of 0</b><span>trainers at work, on 0 nodes</span>",
        );
        says(&page, "no node is heard of");
    }

    #[test]
    fn with_cross_validation_a_first_network_that_is_done_is_not_the_whole_trial() {
        let mut seen = seen(&[running(5, 1)], vec![node(1, 2.0, (5, 50))]);
        says(&page(&seen), "50 of 50");
        seen.networks = 5;
        let page = page(&seen);
        says(&page, "done, others train");
        says(&page, "epoch (first of 5 networks)");
    }

    #[test]
    fn it_says_how_old_the_best_is_and_how_many_ended_since() {
        let trials = [
            made_up::finished(1, 0.4, 0.3),
            made_up::finished(2, 0.5, 0.3),
            made_up::stopped(3, 4, -0.6),
        ];
        let page = page(&seen(&trials, Vec::new()));
        says(&page, "rmse 0.4000 so far, by trial 1");
        // It ended 40 seconds after the epoch, and it is 1,000 seconds after it now.
        says(&page, "The best is 16 min old; 2 trials ended since.");
        says(&page, "1 stopped early, 0 failed");
    }

    #[test]
    fn when_the_best_are_trained_once_more_it_says_so() {
        let mut again = running(5, 1);
        again.candidate.origin = search::Origin::Retrained {
            of: TrialId(1),
            start: search::Restart::Scratch,
        };
        let trials = [made_up::finished(1, 0.4, 0.3), again];
        let page = page(&seen(&trials, vec![node(1, 2.0, (5, 2))]));
        says(&page, "training the best once more");
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let trials: Vec<_> = (1..=300).map(|id| running(id, 1)).collect();
        let mut seen = seen(&trials, vec![node(1, 2.0, (5, 2))]);
        says(&page(&seen), "100 more that run or wait are not listed.");
        seen.counts.running += 7;
        let page = page(&seen);
        says(&page, "107 more that run or wait are not listed.");
        says(&page, "at least 300 of 2");
    }
}
