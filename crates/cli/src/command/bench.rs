//! `lehr bench search`: how far from the best each searcher ends on recorded tables. `lehr bench rungs`: how
//! much sooner a good model is found if trainings that fall behind are stopped.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context, Result};
use bench::{
    Course, Curves, Marks, Mean, Plan, Reached, SearcherKind, Table, curves::TASKS, effort_to,
    mean_regret, reach, run, table::NAMES,
};
use search::{Rule, Rungs};
use serde::{Deserialize, Serialize};

use crate::{
    args::{BenchRungsArgs, BenchSearchArgs},
    progress, report, show,
};

/// A line of `regret.csv`: one searcher on one table after so many evaluations, means over the seeds with
/// their standard errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RegretRow {
    pub(crate) table: String,
    pub(crate) searcher: String,
    pub(crate) workers: u32,
    pub(crate) seeds: u64,
    pub(crate) evaluation: usize,
    /// In usual durations of a training.
    pub(crate) time: f64,
    /// Of the score that was searched, in the table's units.
    pub(crate) regret: f64,
    pub(crate) regret_error: f64,
    /// Of the score that it is judged by.
    pub(crate) judged: f64,
    pub(crate) judged_error: f64,
    /// The first as a share of the distance between the best and the median model.
    pub(crate) normalised: f64,
    pub(crate) normalised_error: f64,
}

/// Searches of one kind over one table, which differ in their seeds.
struct Job<'a> {
    table: &'a Table,
    searcher: SearcherKind,
    workers: u32,
}

pub(crate) fn search(args: &BenchSearchArgs) -> Result<String> {
    let names: Vec<&str> = match args.names.is_empty() {
        true => NAMES.to_vec(),
        false => args.names.iter().map(String::as_str).collect(),
    };
    let tables = names.iter().map(|name| Table::read(&args.tables, name));
    let tables: Vec<Table> = tables.collect::<Result<_, _>>()?;
    let searchers = match args.searchers.is_empty() {
        true => SearcherKind::ALL.to_vec(),
        false => args.searchers.clone(),
    };
    let mut jobs = Vec::new();
    for table in &tables {
        for workers in &args.workers {
            let all = searchers.iter().map(|searcher| Job {
                table,
                searcher: *searcher,
                workers: *workers,
            });
            jobs.extend(all);
        }
    }
    let courses = all_courses(&jobs, args)?;
    let own = jobs.iter().zip(&courses);
    let mut rows: Vec<RegretRow> = own
        .flat_map(|(job, courses)| rows_of(job, courses, args))
        .collect();
    if let Some(path) = &args.beside {
        rows.extend(read_rows(path)?);
    }
    if let Some(folder) = &args.out {
        write(folder, &rows)?;
    }
    match efforts(&jobs, &courses, args) {
        None => Ok(summary(&rows)),
        Some(efforts) => Ok(format!("{}\n{efforts}", summary(&rows))),
    }
}

/// Runs every search, on all cores; each job's courses in the order of their seeds.
fn all_courses(jobs: &[Job<'_>], args: &BenchSearchArgs) -> Result<Vec<Vec<Course>>> {
    let seeds = args.seeds as usize;
    let course = |index: usize| {
        let job = &jobs[index / seeds];
        let plan = Plan {
            searcher: job.searcher,
            workers: job.workers as usize,
            evaluations: args.evaluations as usize,
            seed: (index % seeds) as u64,
        };
        run(job.table, &plan)
    };
    let mut courses = on_all_cores(jobs.len() * seeds, &course)?.into_iter();
    let of_job = jobs.iter().map(|_| courses.by_ref().take(seeds).collect());
    Ok(of_job.collect())
}

/// The results of so many searches, in their order.
fn on_all_cores<T: Send>(count: usize, search: &(dyn Fn(usize) -> T + Sync)) -> Result<Vec<T>> {
    let bar = progress::counter(count as u64, "searches");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return done;
            }
            done.push((index, search(index)));
            bar.inc(1);
        }
    };
    let cores = thread::available_parallelism().context("the cores cannot be counted")?;
    let mut done: Vec<(usize, T)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.get()).map(|_| scope.spawn(work)).collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().expect("no search panics"));
        joined.flatten().collect()
    });
    bar.finish_and_clear();
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// Seconds until a good model was found, by task and rule; a search that stopped the only good one before
/// has lost it, and trains all that it stopped once more.
pub(crate) fn rungs(args: &BenchRungsArgs) -> Result<String> {
    let tasks = (0..TASKS.len()).map(|task| Curves::read(&args.tables, task));
    let tasks: Vec<Curves> = tasks.collect::<Result<_, _>>()?;
    let rungs = |rule| Rungs {
        rule,
        first: args.first,
        factor: args.factor,
    };
    let ways = [Rule::None, Rule::Halving, Rule::Median, Rule::Extrapolation].map(rungs);
    let seeds = args.seeds as usize;
    let search = |index: usize| {
        let (group, seed) = (index / seeds, (index % seeds) as u64);
        let (task, way) = (&tasks[group / ways.len()], ways[group % ways.len()]);
        reach(task, way, args.workers as usize, args.regret, seed)
    };
    let reached = on_all_cores(tasks.len() * ways.len() * seeds, &search)?;
    if let Some(path) = &args.out {
        write_reached(path, &tasks, &ways, &reached)?;
    }
    let mut ends = reached.chunks_exact(seeds);
    let header = [
        "task",
        "rule",
        "seconds",
        "trainings",
        "share of time",
        "lost the best",
    ];
    let mut lines = vec![header.map(str::to_string).to_vec()];
    for task in &tasks {
        let mut whole = None;
        for way in &ways {
            let reached = ends.next().expect("every task was searched in all ways");
            let seconds: Vec<f64> = reached.iter().map(|one| one.seconds).collect();
            let trainings: Vec<f64> = reached.iter().map(|one| one.trainings as f64).collect();
            let (seconds, trainings) = (Mean::of(&seconds), Mean::of(&trainings));
            let lost = reached.iter().filter(|one| !one.is_at_first).count();
            let share = seconds.mean / *whole.get_or_insert(seconds.mean);
            lines.push(vec![
                task.task().to_string(),
                way.rule.to_string(),
                format!("{:.0} ± {:.0}", seconds.mean, seconds.error),
                format!("{:.1}", trainings.mean),
                format!("{share:.2}"),
                format!("{lost} of {seeds}"),
            ]);
        }
    }
    Ok(show::columns(&lines))
}

/// A line of the CSV of rungs: one search.
#[derive(Debug, Serialize)]
struct ReachedRow<'a> {
    task: &'a str,
    rule: String,
    seed: u64,
    /// Simulated.
    seconds: f64,
    trainings: usize,
    /// Whether the only good models were stopped at first.
    lost_the_best: bool,
}

/// Writes what searches came to, which stand by task, rule and seed.
fn write_reached(path: &Path, tasks: &[Curves], ways: &[Rungs], reached: &[Reached]) -> Result<()> {
    let writing = || format!("cannot write {}", path.display());
    let mut writer = csv::Writer::from_path(path).with_context(writing)?;
    let groups = tasks
        .iter()
        .flat_map(|task| ways.iter().map(move |way| (task, way)));
    let seeds = reached.len() / (tasks.len() * ways.len());
    for ((task, way), of_group) in groups.zip(reached.chunks_exact(seeds)) {
        for (seed, one) in (0..).zip(of_group) {
            let row = ReachedRow {
                task: task.task(),
                rule: way.rule.to_string(),
                seed,
                seconds: one.seconds,
                trainings: one.trainings,
                lost_the_best: !one.is_at_first,
            };
            writer.serialize(row).with_context(writing)?;
        }
    }
    writer.flush().with_context(writing)
}

fn rows_of(job: &Job<'_>, courses: &[Course], args: &BenchSearchArgs) -> Vec<RegretRow> {
    let marks: Marks = job.table.marks();
    let row = |evaluation: usize| {
        let regret = mean_regret(courses, &marks, evaluation);
        let Mean { mean, error } = regret.score;
        RegretRow {
            table: job.table.name().to_string(),
            searcher: job.searcher.to_string(),
            workers: job.workers,
            seeds: args.seeds,
            evaluation,
            time: regret.time.mean,
            regret: mean,
            regret_error: error,
            judged: regret.judged.mean,
            judged_error: regret.judged.error,
            normalised: regret.normalised.mean,
            normalised_error: regret.normalised.error,
        }
    };
    (1..=args.evaluations as usize).map(row).collect()
}

fn read_rows(path: &Path) -> Result<Vec<RegretRow>> {
    let reading = || format!("{} cannot be read as regrets", path.display());
    let mut reader = csv::Reader::from_path(path).with_context(reading)?;
    reader
        .deserialize()
        .collect::<Result<_, _>>()
        .with_context(reading)
}

fn write(folder: &Path, rows: &[RegretRow]) -> Result<()> {
    let writing = || format!("cannot write into {}", folder.display());
    fs::create_dir_all(folder).with_context(writing)?;
    let mut writer = csv::Writer::from_path(folder.join("regret.csv")).with_context(writing)?;
    for row in rows {
        writer.serialize(rounded(row)).with_context(writing)?;
    }
    writer.flush().with_context(writing)?;
    fs::write(folder.join("regret.html"), report::regret_page(rows)).with_context(writing)
}

/// Six significant digits: more than the tables know.
fn rounded(row: &RegretRow) -> RegretRow {
    let round = |value: f64| format!("{value:.5e}").parse().unwrap_or(value);
    RegretRow {
        time: round(row.time),
        regret: round(row.regret),
        regret_error: round(row.regret_error),
        judged: round(row.judged),
        judged_error: round(row.judged_error),
        normalised: round(row.normalised),
        normalised_error: round(row.normalised_error),
        ..row.clone()
    }
}

/// Regrets after a quarter, half and all of the evaluations, table by table; where a searcher has not come so far,
/// a dash.
fn summary(rows: &[RegretRow]) -> String {
    let last = rows.iter().map(|row| row.evaluation).max().unwrap_or(1);
    let shown = [last.div_ceil(4), last.div_ceil(2), last];
    let mut lines = vec![
        ["table", "searcher", "workers"]
            .map(str::to_string)
            .into_iter()
            .chain(shown.map(|evaluation| format!("regret@{evaluation}")))
            .chain([format!("judged@{last}")])
            .collect::<Vec<String>>(),
    ];
    for first in rows.iter().filter(|row| row.evaluation == 1) {
        let same = |row: &&RegretRow| {
            (&row.table, &row.searcher, row.workers)
                == (&first.table, &first.searcher, first.workers)
        };
        // Searchers that others have run may have gone on for longer, or ended earlier.
        let at = |evaluation: usize, said: fn(&RegretRow) -> String| {
            rows.iter()
                .filter(same)
                .find(|row| row.evaluation == evaluation)
                .map_or("-".to_string(), said)
        };
        let regrets =
            shown.map(|evaluation| at(evaluation, |row| with_error(row.regret, row.regret_error)));
        let judged = at(last, |row| with_error(row.judged, row.judged_error));
        let names = [
            first.table.clone(),
            first.searcher.clone(),
            first.workers.to_string(),
        ];
        lines.push(names.into_iter().chain(regrets).chain([judged]).collect());
    }
    show::columns(&lines)
}

/// What it takes to come as near to the best as the fewest workers do after half of their evaluations in the
/// mean, and how many times what it takes them; `None` if there is only one number of workers.
fn efforts(jobs: &[Job<'_>], courses: &[Vec<Course>], args: &BenchSearchArgs) -> Option<String> {
    let fewest = *args.workers.iter().min()?;
    args.workers.iter().find(|workers| **workers > fewest)?;
    let ratios = [
        format!("evaluations/{fewest} worker"),
        format!("time/{fewest} worker"),
    ];
    let header = [
        "table",
        "searcher",
        "workers",
        "to regret",
        "reached",
        "evaluations",
        "time",
    ];
    let header = header.map(str::to_string).into_iter().chain(ratios);
    let mut lines = vec![header.collect::<Vec<String>>()];
    for (job, own) in jobs.iter().zip(courses) {
        let is_serial = |other: &Job<'_>| {
            (other.table.name(), other.searcher, other.workers)
                == (job.table.name(), job.searcher, fewest)
        };
        let serial = &courses[jobs.iter().position(is_serial)?];
        let marks = job.table.marks();
        let half = args.evaluations.div_ceil(2) as usize;
        let level = mean_regret(serial, &marks, half).score.mean;
        let (least, effort) = (
            effort_to(serial, &marks, level),
            effort_to(own, &marks, level),
        );
        let (evaluations, time) = (effort.evaluations, effort.time);
        lines.push(vec![
            job.table.name().to_string(),
            job.searcher.to_string(),
            job.workers.to_string(),
            format!("{level:.3}"),
            format!("{}/{}", effort.reached, own.len()),
            format!("{:.1} ± {:.1}", evaluations.mean, evaluations.error),
            format!("{:.1} ± {:.1}", time.mean, time.error),
            format!("{:.2}", evaluations.mean / least.evaluations.mean),
            format!("{:.3}", time.mean / least.time.mean),
        ]);
    }
    Some(show::columns(&lines))
}

fn with_error(mean: f64, error: f64) -> String {
    format!("{mean:.3} ± {error:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A searcher whose regret after n evaluations is 1/n.
    fn searched(searcher: &str, evaluations: usize) -> Vec<RegretRow> {
        let row = |evaluation: usize| RegretRow {
            table: "digits".to_string(),
            searcher: searcher.to_string(),
            workers: 1,
            seeds: 2,
            evaluation,
            time: evaluation as f64,
            regret: 1.0 / evaluation as f64,
            regret_error: 0.0,
            judged: 2.0 / evaluation as f64,
            judged_error: 0.0,
            normalised: 0.5,
            normalised_error: 0.0,
        };
        (1..=evaluations).map(row).collect()
    }

    #[test]
    fn a_searcher_that_has_not_come_so_far_as_another_has_no_regret_there() {
        let rows = [searched("short", 2), searched("long", 4)].concat();
        let text = summary(&rows);
        let cells = |line: usize| -> Vec<&str> {
            let line = text.lines().nth(line).unwrap_or_default();
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        };
        let head = [
            "table", "searcher", "workers", "regret@1", "regret@2", "regret@4", "judged@4",
        ];
        assert_eq!(cells(0), head);
        let short = [
            "digits",
            "short",
            "1",
            "1.000 ± 0.000",
            "0.500 ± 0.000",
            "-",
            "-",
        ];
        assert_eq!(cells(1), short);
        assert_eq!(cells(2)[5..], ["0.250 ± 0.000", "0.500 ± 0.000"]);
    }
}
