//! How long a proposal takes what AIPerf does, with a long history: beside `proposal_time` of the crate `study`.
//!
//! `old_method_time TABLES [MODELS…]` tells the old method so many different models of NAS-Bench-201
//! (100, 300 and 1,000 if nothing is said) and then times proposals, each after one more model has ended.
//! `update_ms` is hearing of that model: the embedding of all distances and the factorisation of the whole
//! covariance, `O(n³)`. `generate_ms` is the walk over the candidates, each with the covariance inverted
//! anew, `O(n³)` again. A proposal is both. One thread.
//!
//! Kinder than AIPerf: distances are counted, not aligned; the inverse is made of triangles only.

use std::{
    collections::BTreeSet,
    error::Error,
    io::{Write, stdout},
    path::PathBuf,
    time::Instant,
};

use bench::{
    Table,
    searcher::{OldMethod, Searcher, Variance},
    table::Point,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::BudgetFraction;

const TABLE: &str = "nasbench201-cifar100";

/// Models that are told if nothing is said.
const MODELS: [usize; 3] = [100, 300, 1000];

/// Proposals that are timed.
const TIMED: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder has the tables?")?;
    let mut counts: Vec<usize> = arguments
        .map(|count| count.parse())
        .collect::<Result<_, _>>()?;
    if counts.is_empty() {
        counts = MODELS.to_vec();
    }
    let table = Table::read(&PathBuf::from(folder), TABLE)?;
    let header = "models,points,candidates,proposal_ms,update_ms,generate_ms,candidate_ms";
    writeln!(stdout(), "{header}")?;
    for count in counts {
        if count + TIMED > table.models() {
            return Err(format!("{TABLE} has only {} models", table.models()).into());
        }
        writeln!(stdout(), "{count},{}", timed(&table, count))?;
    }
    Ok(())
}

/// The columns after the first: medians over the proposals.
fn timed(table: &Table, count: usize) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(count as u64);
    let mut method = OldMethod::new(table, Variance::Inverted);
    let mut known = BTreeSet::new();
    while known.len() < count {
        let point = table.draw(&mut rng);
        if known.insert(table.place(&point)) {
            method.tell(&point, table.record(&point).score);
        }
    }
    // The first few proposals are drawn, whatever is known.
    let mut drawn = 0;
    while method.described() == drawn {
        drawn += 1;
        method.ask(BudgetFraction::default(), &mut rng);
    }
    let mut point: Point = table.draw(&mut rng);
    let (mut updates, mut walks, mut candidates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TIMED {
        while !known.insert(table.place(&point)) {
            point = table.draw(&mut rng);
        }
        let score = table.record(&point).score;
        updates.push(milliseconds(|| method.tell(&point, score)));
        let before = method.described();
        walks.push(milliseconds(|| {
            point = method.ask(BudgetFraction::default(), &mut rng);
        }));
        // The proposal itself is described twice.
        candidates.push((method.described() - before - 1) as f64);
    }
    let each = walks.iter().zip(&candidates);
    let each: Vec<f64> = each.map(|(walk, count)| walk / count).collect();
    let both = updates
        .iter()
        .zip(&walks)
        .map(|(update, walk)| update + walk);
    format!(
        "{},{},{:.1},{:.1},{:.1},{:.2}",
        method.points(),
        median(candidates),
        median(both.collect()),
        median(updates),
        median(walks),
        median(each),
    )
}

fn milliseconds(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
