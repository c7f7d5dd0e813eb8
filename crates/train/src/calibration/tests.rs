//! That probabilities fit what is true, and labels the metric.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Logits that are `sharpness` times too large for the classes drawn from them.
fn drawn(rows: usize, classes: u32, sharpness: f32, shift: f32) -> (Vec<f32>, Targets) {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let (mut outputs, mut ids) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let logits: Vec<f32> = (0..classes)
            .map(|class| rng.random_range(-2.0..2.0) + shift * class as f32)
            .collect();
        let shares = Calibration::default().probabilities(&logits);
        let mut left = rng.random_range(0.0..1.0);
        let drawn = shares.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        ids.push(drawn.unwrap_or(0) as u32);
        outputs.extend(logits.iter().map(|logit| logit * sharpness));
    }
    (
        outputs,
        Targets::Classes {
            ids,
            count: classes,
        },
    )
}

#[test]
fn the_temperature_is_that_by_which_logits_were_too_large() {
    for sharpness in [0.5, 1.0, 3.0] {
        let (outputs, targets) = drawn(20_000, 4, sharpness, 0.0);
        let fitted = Calibration::fit(&outputs, &targets, None, Metric::Accuracy);
        let wanted = f64::from(sharpness);
        assert!(
            (fitted.temperature() / wanted - 1.0).abs() < 0.05,
            "{fitted:?}"
        );
    }
}

#[test]
fn no_other_temperature_on_a_fine_grid_has_a_lower_log_loss() {
    let (outputs, targets) = drawn(500, 3, 2.5, 0.3);
    let loss = |temperature: f64| {
        let calibration = Calibration::new(temperature, 0.5).unwrap();
        calibration.evaluate(&outputs, &targets, None, 1.0).loss
    };
    let fitted = Calibration::fit(&outputs, &targets, None, Metric::LogLoss);
    let least = loss(fitted.temperature());
    for step in -300..=300 {
        let other = (f64::from(step) / 100.0).exp();
        assert!(
            least <= loss(other) + 1e-4,
            "{other} is better than {fitted:?}"
        );
    }
    assert!(least < loss(1.0) - 0.01);
}

#[test]
fn the_temperature_never_changes_the_label() {
    let (outputs, targets) = drawn(2000, 5, 1.0, 0.2);
    let plain = Calibration::default();
    for temperature in [0.05, 0.3, 4.0, 20.0] {
        let other = Calibration::new(temperature, 0.5).unwrap();
        for logits in outputs.chunks(5) {
            let [a, b] = [plain, other].map(|c| c.label(&c.probabilities(logits)));
            assert_eq!(a, b);
        }
        let [a, b] = [plain, other]
            .map(|c| c.evaluate(&outputs, &targets, None, 1.0).metrics[&Metric::BalancedAccuracy]);
        assert_eq!(a, b);
    }
}

#[test]
fn where_every_row_is_right_the_temperature_stays_finite() {
    let outputs = [3.0, -3.0, -3.0, 3.0].repeat(20);
    let targets = Targets::Classes {
        ids: [0, 1].repeat(20),
        count: 2,
    };
    let fitted = Calibration::fit(&outputs, &targets, None, Metric::Accuracy);
    let surest = fitted.probabilities(&outputs[..2])[0];
    assert!(surest > 0.95 && surest < 0.999, "{surest}");
}

#[test]
fn the_threshold_is_the_best_of_all_for_metrics_of_labels_and_moves_for_no_other() {
    let (outputs, targets) = drawn(3000, 2, 1.0, -1.2);
    // The other two mind false alarms more.
    let metrics = [
        (Metric::BalancedAccuracy, 0.4),
        (Metric::F1Macro, 0.48),
        (Metric::Mcc, 0.48),
    ];
    for (metric, below) in metrics {
        let fitted = Calibration::fit(&outputs, &targets, None, metric);
        let value = |threshold: f64| {
            let calibration = Calibration::new(fitted.temperature(), threshold).unwrap();
            let moved = calibration.with_offset(fitted.offset());
            moved.evaluate(&outputs, &targets, None, 1.0).metrics[&metric]
        };
        assert!(fitted.threshold() < below, "{metric}: {fitted:?}");
        let best = value(fitted.threshold());
        for percent in 1..100 {
            assert!(value(f64::from(percent) / 100.0) <= best + 1e-9, "{metric}");
        }
    }
    for metric in [Metric::Accuracy, Metric::Auc, Metric::LogLoss] {
        assert!(!Calibration::fit(&outputs, &targets, None, metric).moves_labels());
    }
}

#[test]
fn a_threshold_that_gains_no_more_than_chance_stays_at_one_half() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let outputs: Vec<f32> = (0..40).map(|_| rng.random_range(-1.0..1.0)).collect();
    let targets = Targets::Classes {
        ids: outputs
            .chunks(2)
            .map(|row| u32::from(row[1] > row[0]))
            .collect(),
        count: 2,
    };
    let fitted = Calibration::fit(&outputs, &targets, None, Metric::BalancedAccuracy);
    says_what_the_network_says(&fitted, &outputs);
}

/// That the label is the class of the larger logit.
fn says_what_the_network_says(fitted: &Calibration, outputs: &[f32]) {
    for logits in outputs.chunks(2) {
        let label = fitted.label(&fitted.probabilities(logits));
        assert_eq!(label, usize::from(logits[1] > logits[0]), "{fitted:?}");
    }
}

#[test]
fn of_two_classes_the_offset_is_that_by_which_logits_were_moved() {
    for (sharpness, moved) in [(0.5, 1.5), (1.0, -2.0), (3.0, 4.0)] {
        let (mut outputs, targets) = drawn(20_000, 2, sharpness, 0.0);
        for row in outputs.chunks_exact_mut(2) {
            row[1] += moved;
        }
        for metric in [Metric::Auc, Metric::LogLoss, Metric::BalancedAccuracy] {
            let fitted = Calibration::fit(&outputs, &targets, None, metric);
            let ratio = fitted.temperature() / f64::from(sharpness);
            assert!((ratio - 1.0).abs() < 0.05, "{fitted:?}");
            let back = fitted.offset() + f64::from(moved / sharpness);
            assert!(back.abs() < 0.1, "{fitted:?}");
        }
        let fitted = Calibration::fit(&outputs, &targets, None, Metric::Accuracy);
        assert_eq!(fitted.offset(), 0.0);
    }
}

#[test]
fn no_other_temperature_and_offset_on_a_fine_grid_have_a_lower_log_loss() {
    let (outputs, targets) = drawn(500, 2, 2.5, 0.7);
    let loss = |slope: f64, offset: f64| {
        let calibration = Calibration::new(1.0 / slope, 0.5).unwrap();
        let moved = calibration.with_offset(offset);
        moved.evaluate(&outputs, &targets, None, 1.0).loss
    };
    let fitted = Calibration::fit(&outputs, &targets, None, Metric::LogLoss);
    let least = loss(1.0 / fitted.temperature(), fitted.offset());
    for slope in 1..60 {
        for offset in -60..60 {
            let (slope, offset) = (f64::from(slope) / 40.0, f64::from(offset) / 30.0);
            let other = loss(slope, offset);
            assert!(least <= other + 1e-4, "{slope} {offset}: {other} < {least}");
        }
    }
    assert!(least < loss(1.0, 0.0) - 0.01);
}

#[test]
fn a_network_that_is_always_wrong_or_has_seen_one_class_leaves_finite_probabilities() {
    let outputs = [3.0, -3.0, -3.0, 3.0].repeat(20);
    for (ids, share) in [([1, 0], 0.5), ([0, 0], 0.0), ([1, 1], 1.0)] {
        let targets = Targets::Classes {
            ids: ids.repeat(20),
            count: 2,
        };
        let fitted = Calibration::fit(&outputs, &targets, None, Metric::Auc);
        for logits in outputs.chunks(2) {
            let said = fitted.probabilities(logits)[1];
            assert!((said - share).abs() < 0.2, "{ids:?}: {said} by {fitted:?}");
            assert!(said > 0.0 && said < 1.0);
        }
    }
}

#[test]
fn a_row_of_weight_three_is_fitted_like_three_rows_and_one_of_weight_nothing_not_at_all() {
    for (classes, metric) in [(2, Metric::BalancedAccuracy), (4, Metric::LogLoss)] {
        let (outputs, targets) = drawn(3000, classes, 2.0, -1.2);
        let Targets::Classes { ids, count } = &targets else {
            panic!("classes are drawn")
        };
        let weights: Vec<f32> = ids
            .iter()
            .enumerate()
            .map(|(row, id)| [3.0, 1.0, 0.0][(row + *id as usize) % 3])
            .collect();
        let often = |row: usize| weights[row] as usize;
        let rows = outputs.chunks_exact(classes as usize).enumerate();
        let many: Vec<f32> = rows
            .flat_map(|(row, logits)| logits.repeat(often(row)))
            .collect();
        let each = ids.iter().enumerate();
        let many_targets = Targets::Classes {
            ids: each.flat_map(|(row, id)| vec![*id; often(row)]).collect(),
            count: *count,
        };
        let weighed = Calibration::fit(&outputs, &targets, Some(&weights), metric);
        let repeated = Calibration::fit(&many, &many_targets, None, metric);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(
            close(weighed.temperature(), repeated.temperature()),
            "{weighed:?}, {repeated:?}"
        );
        assert!(close(weighed.threshold(), repeated.threshold()));
        assert!(close(weighed.offset(), repeated.offset()));
        assert_eq!(weighed.moves_labels(), classes == 2);
        let plain = Calibration::fit(&outputs, &targets, None, metric);
        assert!(!close(weighed.temperature(), plain.temperature()));
    }
}

#[test]
fn one_heavy_row_does_not_move_the_threshold() {
    // The second class is said of the last row of the first class; weighed enough, it is half the score.
    let outputs = [
        [0.0, -1.0].repeat(20),
        [0.0, 1.0].repeat(20),
        vec![0.0, 0.5],
    ]
    .concat();
    let ids = [vec![0; 20], vec![1; 20], vec![0]].concat();
    let targets = Targets::Classes { ids, count: 2 };
    let mut weights = vec![1.0; 41];
    weights[40] = 200.0;
    let fitted = Calibration::fit(&outputs, &targets, Some(&weights), Metric::BalancedAccuracy);
    says_what_the_network_says(&fitted, &outputs);
}

#[test]
fn the_threshold_of_a_network_that_has_run_away_is_one_that_is_read_back() {
    for (outputs, ids) in [
        ([0.0, -400.0].repeat(40), [0, 1, 1, 1].repeat(10)),
        // The steepest line that is allowed needs an offset of 41, of which the sigmoid is 1.
        (vec![0.0, -2.1, 0.0, -2.0], vec![0, 1]),
    ] {
        let targets = Targets::Classes { ids, count: 2 };
        for metric in [Metric::BalancedAccuracy, Metric::F1Macro, Metric::Mcc] {
            let fitted = Calibration::fit(&outputs, &targets, None, metric);
            let text = serde_json::to_string(&fitted).unwrap();
            assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), fitted);
        }
    }
}

#[test]
fn what_is_written_is_read_back_and_nonsense_is_refused() {
    let calibration = Calibration::new(1.7, 0.31).unwrap();
    let text = serde_json::to_string(&calibration).unwrap();
    assert_eq!(text, r#"{"temperature":1.7,"threshold":0.31}"#);
    assert_eq!(
        serde_json::from_str::<Calibration>(&text).unwrap(),
        calibration
    );
    let moved = calibration.with_offset(-0.4);
    let text = serde_json::to_string(&moved).unwrap();
    assert_eq!(
        text,
        r#"{"temperature":1.7,"offset":-0.4,"threshold":0.31}"#
    );
    assert_eq!(serde_json::from_str::<Calibration>(&text).unwrap(), moved);
    for nonsense in ["[0.0,0.5]", r#"{"temperature":0.0,"threshold":0.5}"#] {
        assert!(serde_json::from_str::<Calibration>(nonsense).is_err());
    }
}
