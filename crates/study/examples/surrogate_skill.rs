//! How well the surrogate knew what it said: the history of a study, trial by trial, told by those before it.
//!
//! `surrogate_skill STUDY…` prints for each study over how many trials it goes, the rank correlation of the standing
//! that was expected of each trial and the one it then had, and the mean logarithm of the density that was
//! given to it.

use std::{
    error::Error,
    f64::consts::TAU,
    io::{Write, stdout},
    path::Path,
};

use search::{Origin, Outcome, Pool, PoolEntry, Surrogate};
use study::{
    config::StudyConfig,
    folder::StudyFolder,
    ledger::open_to_read,
    trial::{HistoryRow, Sequence},
};

/// Trials that are told of by nobody.
const FIRST: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    writeln!(
        stdout(),
        "study,trials,rank_correlation,late_rank_correlation,log_density"
    )?;
    for folder in std::env::args().skip(1) {
        let told = told(Path::new(&folder))?;
        let late = &told[told.len() / 2..];
        let density = told.iter().map(|one| one.log_density).sum::<f64>() / told.len() as f64;
        writeln!(
            stdout(),
            "{folder},{},{:.3},{:.3},{density:.3}",
            told.len(),
            rank_correlation(&told),
            rank_correlation(late),
        )?;
    }
    Ok(())
}

struct Told {
    expected: f64,
    value: f64,
    log_density: f64,
}

fn told(folder: &Path) -> Result<Vec<Told>, Box<dyn Error>> {
    let ledger = open_to_read(&StudyFolder::open(folder)?)?;
    let config: StudyConfig = serde_json::from_str(&ledger.record()?.config)?;
    let space = config.search.space;
    let mut rows: Vec<HistoryRow> = Vec::new();
    loop {
        let after = rows.last().map_or(Sequence(0), |row| row.sequence);
        let page = ledger.history(after)?;
        if page.is_empty() {
            break;
        }
        rows.extend(page);
    }
    let (mut pool, mut surrogate, mut told) = (Pool::default(), Surrogate::default(), Vec::new());
    for row in rows {
        let value = match row.outcome {
            Outcome::Scored(value) | Outcome::Stopped { expected: value } => Some(value),
            Outcome::Failed => None,
        };
        let is_new = !matches!(row.candidate.origin, Origin::Retrained { .. });
        let entry = PoolEntry::from(row);
        if let (Some(value), true) = (value, is_new && pool.entries().len() >= FIRST) {
            surrogate.follow(&pool, &space);
            let one = [(&entry.architecture, &entry.setting)];
            let promise = surrogate.promises(&pool, &space, one.into_iter())[0];
            pool.push(entry)?;
            let standing = pool.standing()[pool.entries().len() - 1];
            let u = (standing - promise.mean) / promise.deviation;
            told.push(Told {
                expected: promise.mean,
                value,
                log_density: -0.5 * (u * u + TAU.ln()) - promise.deviation.ln(),
            });
        } else {
            pool.push(entry)?;
        }
    }
    Ok(told)
}

/// Spearman's.
fn rank_correlation(told: &[Told]) -> f64 {
    let ranks = |value: &dyn Fn(&Told) -> f64| -> Vec<f64> {
        let mut order: Vec<usize> = (0..told.len()).collect();
        order.sort_by(|a, b| value(&told[*a]).total_cmp(&value(&told[*b])));
        let mut ranks = vec![0.0; told.len()];
        for (rank, place) in order.into_iter().enumerate() {
            ranks[place] = rank as f64 - (told.len() as f64 - 1.0) / 2.0;
        }
        ranks
    };
    let (a, b) = (ranks(&|one| one.expected), ranks(&|one| one.value));
    let product = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}
