//! The cheapest way to give each row a column of its own.
//!
//! The method of shortest augmenting paths with potentials (Kuhn 1955; Munkres 1957; in this form
//! Jonker and Volgenant 1987). Skips of two architectures are matched by it, seldom more than ten.

/// The least sum of costs when each row gets another column.
///
/// # Shapes
/// `costs: [rows][columns]`, row by row, no more rows than columns.
/// # Cost
/// `O(rows² · columns)`.
pub(crate) fn least_cost(costs: &[f64], rows: usize, columns: usize) -> f64 {
    assert!(rows <= columns, "each row needs a column of its own");
    assert_eq!(costs.len(), rows * columns, "one cost per row and column");
    let mut solver = Solver {
        row_potential: vec![0.0; rows],
        column_potential: vec![0.0; columns],
        row_of: vec![None; columns],
    };
    (0..rows).for_each(|row| solver.add(row, costs));
    let chosen = solver.row_of.iter().enumerate();
    chosen
        .filter_map(|(column, row)| row.map(|row| costs[row * columns + column]))
        .sum()
}

/// Rows that have a column so far; reduced costs are never below 0, and 0 where a row has its column.
struct Solver {
    row_potential: Vec<f64>,
    column_potential: Vec<f64>,
    row_of: Vec<Option<usize>>,
}

impl Solver {
    /// Gives one row more a column, moving others along the cheapest path to a free one.
    fn add(&mut self, row: usize, costs: &[f64]) {
        let columns = self.row_of.len();
        let mut distance = vec![f64::INFINITY; columns];
        let mut before = vec![None; columns];
        let mut done = vec![false; columns];
        let (mut current, mut last, mut reached) = (row, None, 0.0);
        let free = loop {
            for column in (0..columns).filter(|column| !done[*column]) {
                let reduced = costs[current * columns + column]
                    - self.row_potential[current]
                    - self.column_potential[column];
                if reached + reduced < distance[column] {
                    distance[column] = reached + reduced;
                    before[column] = last;
                }
            }
            let open = (0..columns).filter(|column| !done[*column]);
            let nearest = open
                .min_by(|a, b| distance[*a].total_cmp(&distance[*b]))
                .expect("there are no fewer columns than rows");
            done[nearest] = true;
            reached = distance[nearest];
            last = Some(nearest);
            match self.row_of[nearest] {
                Some(other) => current = other,
                None => break nearest,
            }
        };
        self.row_potential[row] += reached;
        for column in (0..columns).filter(|column| done[*column] && *column != free) {
            let gain = reached - distance[column];
            self.column_potential[column] -= gain;
            let other = self.row_of[column].expect("only the last column of the path is free");
            self.row_potential[other] += gain;
        }
        let mut column = free;
        while let Some(previous) = before[column] {
            self.row_of[column] = self.row_of[previous];
            column = previous;
        }
        self.row_of[column] = Some(row);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Every way there is.
    fn tried(costs: &[f64], rows: usize, columns: usize, row: usize, taken: u32) -> f64 {
        if row == rows {
            return 0.0;
        }
        let free = (0..columns).filter(|column| taken & 1 << column == 0);
        free.map(|column| {
            costs[row * columns + column]
                + tried(costs, rows, columns, row + 1, taken | 1 << column)
        })
        .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn the_cost_is_the_least_of_all_ways() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..2000 {
            let columns = rng.random_range(0..7);
            let rows = rng.random_range(0..=columns);
            // Whole numbers, so that ties are common.
            let costs: Vec<f64> = (0..rows * columns)
                .map(|_| f64::from(rng.random_range(-3..6)))
                .collect();
            let (found, expected) = (
                least_cost(&costs, rows, columns),
                tried(&costs, rows, columns, 0, 0),
            );
            assert!((found - expected).abs() < 1e-9, "{costs:?}");
        }
    }
}
