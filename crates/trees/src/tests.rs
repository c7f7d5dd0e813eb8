//! Trees beside a slow and obvious version, and on made sets whose answer is known.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    Column, Ended, GoOn, Goal, Problem, Settings, Table,
    bins::{Binned, ColumnBins, MISSING, apply_all, fit_all},
    boost::boost,
    grow::{Grower, Pull},
    tree::Ensemble,
};

/// Columns with gaps and repeated values, and a column of categories.
fn random_table(rows: usize, rng: &mut ChaCha8Rng) -> Table {
    let mut number = |levels: Option<i32>, gaps: f64| {
        let value = |rng: &mut ChaCha8Rng| match levels {
            Some(levels) => rng.random_range(0..levels) as f32,
            None => rng.random_range(-1.0..1.0),
        };
        let cell = |_| match rng.random_bool(gaps) {
            true => f32::NAN,
            false => value(rng),
        };
        Column::Numbers((0..rows).map(cell).collect())
    };
    let columns = vec![number(None, 0.0), number(Some(5), 0.2), number(None, 0.4)];
    let category = |_| rng.random_bool(0.9).then(|| rng.random_range(0..6_u8));
    let categories = Column::Categories((0..rows).map(category).collect());
    Table::new(columns.into_iter().chain([categories]).collect()).unwrap()
}

/// The sum of gradients, the sum of curvatures and the number of some rows.
fn sums(rows: &[usize], gradients: &[f32], curvatures: &[f32]) -> (f64, f64, usize) {
    let sum = |of: &[f32]| rows.iter().map(|row| f64::from(of[*row])).sum::<f64>();
    (sum(gradients), sum(curvatures), rows.len())
}

/// Every way to cut these rows in two, with what it gains, by looking at each row each time.
fn all_cuts(
    rows: &[usize],
    table: &Binned,
    bins: &[ColumnBins],
    (gradients, curvatures): (&[f32], &[f32]),
    settings: &Settings,
) -> Vec<(f64, Vec<usize>, Vec<usize>)> {
    let mut cuts = Vec::new();
    let mut add = |goes_left: &dyn Fn(usize) -> bool, ridge: f64| {
        let (left, right): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| goes_left(**row));
        let [all, l, r] = [rows, &left, &right].map(|rows| sums(rows, gradients, curvatures));
        let worth = |(g, h, _): (f64, f64, usize), ridge: f64| g * g / (h + ridge);
        let gain = worth(l, ridge) + worth(r, ridge) - worth(all, settings.ridge);
        let least = settings.leaf_rows_min as usize;
        if l.2 >= least && r.2 >= least && gain > 0.0 {
            cuts.push((gain, left, right));
        }
    };
    for (values, bins) in table.columns.iter().zip(bins) {
        if let ColumnBins::Numbers { cuts } = bins {
            for bin in 0..=cuts.len() as u8 {
                for missing_left in [true, false] {
                    let left = |row: usize| match values[row] {
                        MISSING => missing_left,
                        value => value <= bin,
                    };
                    add(&left, settings.ridge);
                }
            }
            continue;
        }
        let mut levels = values.clone();
        levels.sort_unstable();
        levels.dedup();
        let leaning = |level: &u8| {
            let own: Vec<usize> = rows
                .iter()
                .copied()
                .filter(|r| values[*r] == *level)
                .collect();
            let (g, h, _) = sums(&own, gradients, curvatures);
            g / (h + settings.category_smoothing)
        };
        levels.sort_by(|a, b| leaning(a).total_cmp(&leaning(b)));
        for count in 1..levels.len() {
            let left = |row: usize| levels[..count].contains(&values[row]);
            add(&left, settings.ridge + settings.category_ridge);
        }
    }
    cuts
}

/// What a tree says of its training rows: the leaf whose best cut gains most is cut next.
fn slow_tree(
    table: &Binned,
    bins: &[ColumnBins],
    pull: (&[f32], &[f32]),
    settings: &Settings,
) -> Vec<f64> {
    let mut leaves: Vec<Vec<usize>> = vec![(0..table.rows).collect()];
    while leaves.len() < settings.leaves_max {
        let best = leaves.iter().enumerate().flat_map(|(index, rows)| {
            let cuts = all_cuts(rows, table, bins, pull, settings);
            cuts.into_iter().map(move |cut| (index, cut))
        });
        let best = best.max_by(|a, b| a.1.0.total_cmp(&b.1.0));
        let Some((index, (_, left, right))) = best else {
            break;
        };
        leaves.remove(index);
        leaves.extend([left, right]);
    }
    let mut said = vec![0.0; table.rows];
    for rows in leaves {
        let (g, h, _) = sums(&rows, pull.0, pull.1);
        let value = -settings.learning_rate * g / (h + settings.ridge);
        rows.iter().for_each(|row| said[*row] = value);
    }
    said
}

#[test]
fn a_tree_is_the_one_that_looking_at_every_row_each_time_gives() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for draw in 0..40 {
        let table = random_table(rng.random_range(20..160), &mut rng);
        let bins = fit_all(&table, &[]);
        let binned = apply_all(&bins, &table);
        let mut draws = |low: f32| -> Vec<f32> {
            (0..table.rows())
                .map(|_| rng.random_range(low..1.0))
                .collect()
        };
        let (gradients, curvatures) = (draws(-1.0), draws(0.05));
        let settings = Settings {
            leaves_max: 2 + draw % 9,
            leaf_rows_min: 1 + (draw % 7) as u32,
            ..Settings::default()
        };
        let pull = Pull {
            gradients: &gradients,
            curvatures: &curvatures,
        };
        let mut outputs = vec![0.0; table.rows()];
        let tree = Grower::new(&bins, &binned, &[], &settings).grow(pull, &mut outputs);
        let slow = slow_tree(&binned, &bins, (&gradients, &curvatures), &settings);
        for row in 0..table.rows() {
            assert!(
                (outputs[row] - slow[row]).abs() < 1e-6,
                "draw {draw}, row {row}"
            );
            let said = f64::from(tree.value(&binned, row));
            assert_eq!(said, outputs[row], "growing and asking say the same");
        }
    }
}

#[test]
fn a_table_too_wide_to_keep_its_histograms_has_the_same_tree() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let mut draws =
        |low: f32| -> Vec<f32> { (0..300).map(|_| rng.random_range(low..1.0)).collect() };
    let (values, gradients, curvatures) = (draws(-1.0), draws(-1.0), draws(0.1));
    let pull = Pull {
        gradients: &gradients,
        curvatures: &curvatures,
    };
    let settings = Settings {
        leaf_rows_min: 3,
        ..Settings::default()
    };
    let grown = |columns: usize| {
        let table = Table::new(vec![Column::Numbers(values.clone()); columns]).unwrap();
        let bins = fit_all(&table, &[]);
        let binned = apply_all(&bins, &table);
        Grower::new(&bins, &binned, &[], &settings).grow(pull, &mut vec![0.0; 300])
    };
    // 760 columns of 255 bins take more than is kept; all say the same, so the first is asked.
    let (narrow, wide) = (grown(1), grown(760));
    assert_eq!(narrow.nodes.len(), wide.nodes.len());
    assert!(narrow.nodes.len() > 30);
}

#[test]
fn no_group_of_categories_beats_the_best_one_in_order() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let settings = Settings {
        leaves_max: 2,
        leaf_rows_min: 1,
        ridge: 0.0,
        category_ridge: 0.0,
        category_smoothing: 0.0,
        learning_rate: 1.0,
        ..Settings::default()
    };
    for _ in 0..30 {
        let ids: Vec<u8> = (0..60).map(|_| rng.random_range(0..6)).collect();
        let gradients: Vec<f32> = ids.iter().map(|_| rng.random_range(-1.0..1.0)).collect();
        let curvatures = vec![1.0; 60];
        let column = Column::Categories(ids.iter().map(|id| Some(*id)).collect());
        let table = Table::new(vec![column]).unwrap();
        let bins = fit_all(&table, &[]);
        let binned = apply_all(&bins, &table);
        let pull = Pull {
            gradients: &gradients,
            curvatures: &curvatures,
        };
        let mut outputs = vec![0.0; 60];
        Grower::new(&bins, &binned, &[], &settings).grow(pull, &mut outputs);
        let loss = |said: &[f64]| -> f64 {
            let each = said.iter().zip(&gradients);
            each.map(|(said, g)| (said + f64::from(*g)).powi(2)).sum()
        };
        for group in 1..63_u8 {
            let mean = |is_in: bool| {
                let of = ids.iter().zip(&gradients);
                let own: Vec<f64> = of
                    .filter(|(id, _)| (group >> **id & 1 == 1) == is_in)
                    .map(|(_, g)| f64::from(*g))
                    .collect();
                -own.iter().sum::<f64>() / own.len().max(1) as f64
            };
            let (inside, outside) = (mean(true), mean(false));
            let said: Vec<f64> = ids
                .iter()
                .map(|id| {
                    if group >> id & 1 == 1 {
                        inside
                    } else {
                        outside
                    }
                })
                .collect();
            assert!(loss(&outputs) <= loss(&said) + 1e-4);
        }
    }
}

fn numbers(values: &[f32]) -> Table {
    Table::new(vec![Column::Numbers(values.to_vec())]).unwrap()
}

fn all_rounds(problem: &Problem<'_>, settings: &Settings) -> crate::Boosted {
    boost(problem, settings, &mut || GoOn::Yes)
}

#[test]
fn rows_without_a_value_go_where_they_belong() {
    // Missing means 5, everything else means what it says.
    let values: Vec<f32> = (0..400)
        .map(|row| {
            if row % 4 == 0 {
                f32::NAN
            } else {
                (row % 9) as f32
            }
        })
        .collect();
    let wanted: Vec<f32> = values
        .iter()
        .map(|value| if value.is_nan() { 5.0 } else { value / 9.0 })
        .collect();
    let table = numbers(&values);
    let problem = Problem {
        train: &table,
        train_goal: Goal::Values(&wanted),
        class_weights: &[],
        train_weights: &[],
        validation: &table,
        validation_goal: Goal::Values(&wanted),
        validation_weights: &[],
    };
    let boosted = all_rounds(&problem, &Settings::default());
    let said = boosted.ensemble.outputs(&table);
    let worst = said.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
    assert!(worst.fold(0.0, f32::max) < 0.01);
}

#[test]
fn many_rows_are_told_what_each_is_told_alone() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    // Some blocks of rows, and a part of one.
    let values: Vec<f32> = (0..2_500).map(|_| rng.random_range(0.0..9.0)).collect();
    for count in [2, 3] {
        let ids: Vec<u32> = values.iter().map(|value| *value as u32 % count).collect();
        let table = numbers(&values);
        let goal = Goal::Classes { ids: &ids, count };
        let problem = Problem {
            train: &table,
            train_goal: goal,
            class_weights: &[],
            train_weights: &[],
            validation: &table,
            validation_goal: goal,
            validation_weights: &[],
        };
        let ensemble = all_rounds(&problem, &Settings::default()).ensemble;
        let together = ensemble.outputs(&table);
        for (value, said) in values.iter().zip(together.chunks_exact(count as usize)) {
            assert_eq!(ensemble.outputs(&numbers(&[*value])), said, "of {value}");
        }
    }
}

#[test]
fn three_classes_in_stripes_are_told_apart_and_their_logits_are_those_of_a_softmax() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut draw = |rows: usize| {
        let values: Vec<f32> = (0..rows).map(|_| rng.random_range(0.0..9.0)).collect();
        let ids: Vec<u32> = values.iter().map(|value| *value as u32 % 3).collect();
        (numbers(&values), ids)
    };
    let ((train, ids), (other, other_ids)) = (draw(900), draw(300));
    let goal = |ids| Goal::Classes { ids, count: 3 };
    let problem = Problem {
        train: &train,
        train_goal: goal(&ids),
        class_weights: &[],
        train_weights: &[],
        validation: &other,
        validation_goal: goal(&other_ids),
        validation_weights: &[],
    };
    let boosted = all_rounds(&problem, &Settings::default());
    let said = boosted.ensemble.outputs(&other);
    let mut loss = 0.0;
    let mut right = 0;
    for (logits, id) in said.chunks(3).zip(&other_ids) {
        let powers: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
        loss -= (powers[*id as usize] / powers.iter().sum::<f64>()).ln() / 300.0;
        let best = (0..3).max_by(|a, b| powers[*a].total_cmp(&powers[*b]));
        right += usize::from(best == Some(*id as usize));
    }
    assert!(right > 290, "{right} of 300");
    assert!((loss - boosted.validation_loss).abs() < 1e-6);
}

#[test]
fn noise_is_not_learned() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut draw = |rows: usize| {
        let values: Vec<f32> = (0..rows).map(|_| rng.random_range(0.0..1.0)).collect();
        let ids: Vec<u32> = (0..rows).map(|_| rng.random_range(0..2)).collect();
        (numbers(&values), ids)
    };
    let ((train, ids), (other, other_ids)) = (draw(2000), draw(2000));
    let goal = |ids| Goal::Classes { ids, count: 2 };
    let problem = Problem {
        train: &train,
        train_goal: goal(&ids),
        class_weights: &[],
        train_weights: &[],
        validation: &other,
        validation_goal: goal(&other_ids),
        validation_weights: &[],
    };
    let boosted = all_rounds(&problem, &Settings::default());
    assert_eq!(boosted.ended, Ended::Settled);
    assert!(
        boosted.ensemble.rounds() < 10,
        "{}",
        boosted.ensemble.rounds()
    );
}

#[test]
fn boosting_ends_when_it_is_told_to_and_keeps_what_it_has() {
    let values: Vec<f32> = (0..500).map(|row| row as f32).collect();
    let table = numbers(&values);
    let problem = Problem {
        train: &table,
        train_goal: Goal::Values(&values),
        class_weights: &[],
        train_weights: &[],
        validation: &table,
        validation_goal: Goal::Values(&values),
        validation_weights: &[],
    };
    let mut left = 5;
    let boosted = boost(&problem, &Settings::default(), &mut || {
        left -= 1;
        if left >= 0 { GoOn::Yes } else { GoOn::No }
    });
    assert_eq!(
        (boosted.ended, boosted.ensemble.rounds()),
        (Ended::Stopped, 5)
    );
}

#[test]
fn columns_with_many_values_are_cut_at_equal_shares() {
    let values: Vec<f32> = (0..100_000).map(|row| (row as f32).sqrt()).collect();
    let table = numbers(&values);
    let bins = fit_all(&table, &[]);
    let mut rows_of_bin = [0; 256];
    apply_all(&bins, &table).columns[0]
        .iter()
        .for_each(|bin| rows_of_bin[usize::from(*bin)] += 1);
    assert!(
        rows_of_bin[..255]
            .iter()
            .all(|rows| (350..450).contains(rows)),
        "{rows_of_bin:?}"
    );
    assert_eq!(rows_of_bin[255], 0);
}

/// Each row as often as it weighs, and what is predicted of it.
fn repeated(table: &Table, goals: &[f32], weights: &[f32]) -> (Table, Vec<f32>) {
    fn many<T: Copy>(values: &[T], weights: &[f32]) -> Vec<T> {
        let each = values.iter().zip(weights);
        each.flat_map(|(value, weight)| vec![*value; *weight as usize])
            .collect()
    }
    let column = |column: &Column| match column {
        Column::Numbers(values) => Column::Numbers(many(values, weights)),
        Column::Categories(ids) => Column::Categories(many(ids, weights)),
    };
    let columns = table.columns().iter().map(column).collect();
    (Table::new(columns).unwrap(), many(goals, weights))
}

#[test]
fn a_row_of_weight_three_pulls_like_three_rows_and_one_of_weight_nothing_is_not_there() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    // How many rows a leaf needs is no matter of weights.
    let settings = Settings {
        leaf_rows_min: 1,
        rounds_max: 12,
        leaves_max: 8,
        ..Settings::default()
    };
    for count in [0, 2, 3] {
        // More values than bins, so that the cuts are at shares of the weight.
        let table = random_table(400, &mut rng);
        let other = random_table(100, &mut rng);
        let mut draw = |table: &Table| -> Vec<f32> {
            let Column::Numbers(values) = &table.columns()[0] else {
                panic!("the first column has numbers")
            };
            let noisy = values
                .iter()
                .map(|value| value + rng.random_range(-0.3..0.3));
            noisy
                .map(|value| match count {
                    0 => value,
                    count => ((value + 1.3) / 2.6 * count as f32).floor(),
                })
                .collect()
        };
        let (goals, other_goals) = (draw(&table), draw(&other));
        let weights: Vec<f32> = (0..400).map(|row| [1.0, 3.0, 0.0, 2.0][row % 4]).collect();
        let other_weights: Vec<f32> = (0..100).map(|row| [2.0, 0.0, 1.0][row % 3]).collect();
        let (many, many_goals) = repeated(&table, &goals, &weights);
        let (many_others, many_other_goals) = repeated(&other, &other_goals, &other_weights);
        let grown = |train: (&Table, &[f32], &[f32]), validation: (&Table, &[f32], &[f32])| {
            let ids = |values: &[f32]| values.iter().map(|value| *value as u32).collect();
            let (own, others): (Vec<u32>, Vec<u32>) = (ids(train.1), ids(validation.1));
            let goal = |values, ids| match count {
                0 => Goal::Values(values),
                count => Goal::Classes { ids, count },
            };
            let problem = Problem {
                train: train.0,
                train_goal: goal(train.1, &own),
                class_weights: &[],
                train_weights: train.2,
                validation: validation.0,
                validation_goal: goal(validation.1, &others),
                validation_weights: validation.2,
            };
            all_rounds(&problem, &settings)
        };
        let weighed = grown(
            (&table, &goals, &weights),
            (&other, &other_goals, &other_weights),
        );
        let often = grown(
            (&many, &many_goals, &[]),
            (&many_others, &many_other_goals, &[]),
        );
        assert!(weighed.ensemble.rounds() > 5);
        assert_eq!(weighed.ensemble.rounds(), often.ensemble.rounds());
        assert!((weighed.validation_loss - often.validation_loss).abs() < 1e-5);
        let said = [weighed, often].map(|boosted| boosted.ensemble.outputs(&many));
        let off = said[0].iter().zip(&said[1]).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 1e-4, "{count} classes");
    }
}

#[test]
fn one_heavy_row_is_no_leaf_of_its_own() {
    let values: Vec<f32> = (0..40).map(|row| row as f32).collect();
    let mut goals = vec![0.0; 40];
    let mut weights = vec![1.0; 40];
    (goals[39], weights[39]) = (10.0, 100.0);
    let table = numbers(&values);
    let problem = Problem {
        train: &table,
        train_goal: Goal::Values(&goals),
        class_weights: &[],
        train_weights: &weights,
        validation: &table,
        validation_goal: Goal::Values(&goals),
        validation_weights: &weights,
    };
    let settings = Settings {
        leaf_rows_min: 5,
        ..Settings::default()
    };
    let said = all_rounds(&problem, &settings).ensemble.outputs(&table);
    assert_eq!(said[35], said[39], "five rows at least are told the same");
    assert!(said[39] > 9.0 && said[0] < 1.0, "{said:?}");
}

#[test]
fn an_ensemble_comes_back_from_its_file_and_a_damaged_one_is_refused() {
    let whole = [
        r#"{"bins":[{"numbers":{"cuts":[0.5]}},{"numbers":{"cuts":[2.0]}}],"base":[0.25],"#,
        r#""rounds":[[[{"fork":{"column":1,"question":{"at_most":{"bin":0,"missing":"left"}},"#,
        r#""left":1,"right":2}},{"leaf":{"value":-1.0}},{"leaf":{"value":1.0}}]]],"outputs":2}"#,
    ]
    .concat();
    let ensemble: Ensemble = serde_json::from_str(&whole).unwrap();
    assert_eq!(serde_json::to_string(&ensemble).unwrap(), whole);
    let column = |values: [f32; 2]| Column::Numbers(values.to_vec());
    let table = Table::new(vec![column([0.0, 0.0]), column([1.0, 3.0])]).unwrap();
    assert_eq!(ensemble.outputs(&table), [0.0, -0.75, 0.0, 1.25]);
    // A column that the table lacks is missing, and goes to the left here.
    let narrow = Table::new(vec![column([0.0, 0.0])]).unwrap();
    assert_eq!(ensemble.outputs(&narrow), [0.0, -0.75, 0.0, -0.75]);
    // No tree asks for the first.
    let short = ensemble.without_unasked();
    assert_eq!(
        serde_json::to_string(&short).unwrap(),
        whole.replace("0.5", "")
    );
    assert_eq!(short.outputs(&table), [0.0, -0.75, 0.0, 1.25]);

    let (start, end) = (whole.find("[{\"fork").unwrap(), whole.rfind("]]").unwrap());
    let nodes = &whole[start..end];
    for (right, wrong, reason) in [
        (r#""left":1"#, r#""left":0"#, "has the children 0 and 2"),
        (r#""right":2"#, r#""right":3"#, "there are 3 nodes"),
        (r#""column":1"#, r#""column":2"#, "asks for column 2"),
        ("[0.25]", "[]", "0 sequences of trees"),
        ("[0.25]", "[0.25,1.0]", "a round has 1 trees"),
        (r#""outputs":2"#, r#""outputs":3"#, "cannot give 3 outputs"),
        (nodes, "[]", "has no nodes"),
    ] {
        let damaged = whole.replace(right, wrong);
        assert_ne!(damaged, whole, "{right}");
        let error = serde_json::from_str::<Ensemble>(&damaged).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
