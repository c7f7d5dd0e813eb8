//! Training as a whole: that it learns, stops, refuses and repeats itself.

use std::{
    cell::Cell,
    f32::consts::PI,
    num::{NonZeroU8, NonZeroUsize},
};

use data::{ItemShape, ShardWriter, Shards};
use rand::Rng;

use super::*;
use crate::{Augmentation, evaluate, recipe::Optimizer};

/// Two interleaved half circles with a little noise.
fn moons(rows: usize, seed: u64) -> Examples {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut inputs, mut ids) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let (id, angle) = (row as u32 % 2, rng.random::<f32>() * PI);
        let (x, y) = (angle.cos(), angle.sin());
        let mut noise = || rng.random_range(-0.1..0.1_f32);
        match id {
            0 => inputs.extend([x + noise(), y + noise()]),
            _ => inputs.extend([1.0 - x + noise(), 0.5 - y + noise()]),
        }
        ids.push(id);
    }
    Examples::from_floats(
        ItemShape::Features(2),
        inputs,
        Targets::Classes { ids, count: 2 },
    )
}

/// Noisy 8×8 images with a horizontal, a vertical or a diagonal bar at a random place.
fn bars(rows: usize, seed: u64) -> Examples {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut inputs, mut ids) = (Vec::new(), Vec::new());
    for row in 0..rows {
        let (id, place) = (row as u32 % 3, rng.random_range(0..8));
        for (y, x) in (0..8).flat_map(|y| (0..8).map(move |x| (y, x))) {
            let lit = match id {
                0 => y == place,
                1 => x == place,
                _ => (x + y) % 8 == place,
            };
            inputs.push(f32::from(u8::from(lit)) + rng.random_range(-0.3..0.3_f32));
        }
        ids.push(id);
    }
    let item = ItemShape::Image {
        height: 8,
        width: 8,
        channels: 1,
    };
    Examples::from_floats(item, inputs, Targets::Classes { ids, count: 3 })
}

fn recipe(epochs: u32) -> Recipe {
    Recipe {
        learning_rate: 1e-2,
        batch_size: NonZeroUsize::new(32).unwrap(),
        epochs: NonZeroU32::new(epochs).unwrap(),
        ..Recipe::default()
    }
}

fn go_on() -> GoOn {
    GoOn::Yes
}

struct Case {
    architecture: Architecture,
    train: Examples,
    validation: Examples,
    recipe: Recipe,
    metric: Metric,
    threads: Threads,
}

impl Case {
    fn new(text: &str, train: Examples, validation: Examples, recipe: Recipe) -> Case {
        let architecture = text.parse().unwrap();
        let (metric, threads) = (Metric::Accuracy, Threads::ONE);
        Case {
            architecture,
            train,
            validation,
            recipe,
            metric,
            threads,
        }
    }

    fn moons(epochs: u32) -> Case {
        let text = "in 2 | dense 16 | relu | dense 16 | relu | dropout 0.05 | dense 2";
        Case::new(text, moons(401, 1), moons(200, 2), recipe(epochs))
    }

    fn start(&self) -> Weights {
        Weights::fresh(&self.architecture, &mut ChaCha8Rng::seed_from_u64(3))
    }

    fn fit_until(&self, stop: &dyn Fn() -> GoOn) -> Result<Fitted, FitError> {
        let task = FitTask {
            architecture: &self.architecture,
            train: &self.train,
            validation: &self.validation,
            recipe: &self.recipe,
            metric: self.metric,
            target_scale: 1.0,
            threads: self.threads,
            seed: 5,
            stop,
            heard: &|_| {},
        };
        fit(&task, self.start(), &mut |_| Verdict::Continue)
    }

    fn fit(&self) -> Result<Fitted, FitError> {
        self.fit_until(&go_on)
    }

    /// How good the returned weights are, judged anew by a network for inference.
    fn judge(&self, weights: &Weights) -> Evaluation {
        let batch = NonZeroUsize::new(17).unwrap();
        let plan = Plan::compile(&self.architecture, batch, Threads::ONE, Purpose::Infer).unwrap();
        let rows: Vec<u32> = (0..self.validation.len() as u32).collect();
        let outputs = Network::new(plan, weights.clone()).outputs(&self.validation, &rows);
        evaluate(&outputs, self.validation.targets(), 1.0)
    }
}

#[test]
fn a_small_network_tells_two_moons_apart() {
    for optimizer in [
        Recipe::default().optimizer,
        Optimizer::Sgd { momentum: 0.9 },
    ] {
        let mut case = Case::moons(40);
        case.recipe.optimizer = optimizer;
        if let Optimizer::Sgd { .. } = optimizer {
            (case.recipe.learning_rate, case.recipe.weight_decay) = (0.1, 1e-4);
        }
        let fitted = case.fit().unwrap();
        assert!(fitted.kept.score > 0.98, "{optimizer:?}: {:?}", fitted.kept);
        assert_eq!(fitted.ended, Ended::AllEpochs);
        assert_eq!(fitted.curve.len(), 40);
    }
}

#[test]
fn rows_that_count_nothing_are_not_learned_from_and_count_in_no_score() {
    let wrong = |examples: &Examples| {
        let Targets::Classes { ids, count } = examples.targets().clone() else {
            panic!("moons have classes")
        };
        let mut inputs = vec![0.0; 2 * examples.len()];
        let rows: Vec<u32> = (0..examples.len() as u32).collect();
        examples.copy_inputs(&rows, &mut inputs);
        // Two rows in three have the wrong class.
        let flip = |(row, id): (usize, u32)| if row % 3 > 0 { 1 - id } else { id };
        let ids = ids.into_iter().enumerate().map(flip).collect();
        Examples::from_floats(examples.item(), inputs, Targets::Classes { ids, count })
    };
    let weighted = |examples: Examples| {
        let weights: Vec<f64> = (0..examples.len())
            .map(|row| f64::from(row % 3 == 0))
            .collect();
        examples.with_weights(&weights)
    };
    let mut case = Case::moons(60);
    case.train = weighted(wrong(&case.train));
    // The true classes of all rows say whether the right ones were learned.
    assert!(case.fit().unwrap().kept.score > 0.9);
    case.validation = weighted(wrong(&case.validation));
    assert!(case.fit().unwrap().kept.score > 0.9);
}

#[test]
fn the_four_rows_of_exclusive_or_are_learned() {
    let xor = || {
        let inputs = vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
        let ids = vec![0, 1, 1, 0];
        Examples::from_floats(
            ItemShape::Features(2),
            inputs,
            Targets::Classes { ids, count: 2 },
        )
    };
    let case = Case::new(
        "in 2 | dense 16 | gelu | dense 2",
        xor(),
        xor(),
        recipe(200),
    );
    assert_eq!(case.fit().unwrap().kept.score, 1.0);
}

#[test]
fn a_convolutional_network_tells_bars_apart() {
    let text =
        "in 1x8x8 | conv 8 k3 | bn | relu | maxpool k2 | conv 16 k3 | bn | relu | gap | dense 3";
    let case = Case::new(text, bars(301, 1), bars(150, 2), recipe(12));
    let fitted = case.fit().unwrap();
    assert!(fitted.kept.score > 0.97, "{:?}", fitted.kept);
}

#[test]
fn a_straight_line_is_found_by_every_loss_of_numbers() {
    let line = |rows: usize, seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let inputs: Vec<f32> = (0..2 * rows).map(|_| rng.random_range(-1.0..1.0)).collect();
        let values = inputs
            .chunks_exact(2)
            .map(|x| 0.7 * x[0] - 0.2 * x[1] + 0.1)
            .collect();
        Examples::from_floats(ItemShape::Features(2), inputs, Targets::Values(values))
    };
    for loss in [Loss::SquaredError, Loss::Huber { delta: 0.5 }] {
        let mut case = Case::new("in 2 | dense 1", line(256, 1), line(64, 2), recipe(40));
        case.recipe.loss = loss;
        case.recipe.weight_decay = 0.0;
        case.metric = Metric::R2;
        let fitted = case.fit().unwrap();
        assert!(fitted.kept.score > 0.999, "{loss:?}: {:?}", fitted.kept);
    }
}

#[test]
fn the_same_seed_and_threads_give_the_same_bits() {
    let text = "in 1x8x8 | a: conv 8 k3 | bn | relu | dwconv k3 | conv 8 k1 | b: bn | add a b | relu \
                | dropout 0.2 | gap | dense 3";
    let mut last = None;
    for threads in [1, 2, 3] {
        let mut case = Case::new(text, bars(99, 1), bars(30, 2), recipe(2));
        case.threads = Threads::new(NonZeroU8::new(threads).unwrap());
        let (first, second) = (case.fit().unwrap(), case.fit().unwrap());
        assert_eq!(first.weights, second.weights, "{threads} threads");
        // Another number of threads adds in another order, and no more than that.
        let loss = first.curve[0].train_loss;
        assert!(last.is_none_or(|last: f64| (last - loss).abs() < 1e-3 * last));
        last = Some(loss);
    }
}

#[test]
fn the_weights_returned_are_those_of_the_best_epoch() {
    let mut case = Case::moons(12);
    // So large a rate makes the score go up and down.
    case.recipe.learning_rate = 0.3;
    case.recipe.optimizer = Optimizer::Sgd { momentum: 0.9 };
    let fitted = case.fit().unwrap();
    let scores: Vec<f64> = fitted.curve.iter().map(|report| report.score).collect();
    let best = scores.iter().copied().fold(f64::MIN, f64::max);
    assert_eq!(fitted.kept.score, best, "{scores:?}");
    assert_eq!(case.judge(&fitted.weights).metrics[&Metric::Accuracy], best);
}

/// A training that keeps a late epoch, judged by rows that it gets worse at.
fn getting_worse() -> Case {
    let mut case = Case::moons(12);
    case.recipe.kept = Kept::Late;
    let rows: Vec<u32> = (0..case.validation.len() as u32).collect();
    let mut inputs = vec![0.0; 2 * rows.len()];
    case.validation.copy_inputs(&rows, &mut inputs);
    let Targets::Classes { ids, count } = case.validation.targets().clone() else {
        panic!("moons have classes");
    };
    let ids = ids.iter().map(|id| 1 - id).collect();
    let swapped = Targets::Classes { ids, count };
    case.validation = Examples::from_floats(ItemShape::Features(2), inputs, swapped);
    case
}

#[test]
fn the_weights_kept_late_are_those_of_the_best_epoch_of_the_last_quarter() {
    let case = getting_worse();
    let fitted = case.fit().unwrap();
    let scores: Vec<f64> = fitted.curve.iter().map(|report| report.score).collect();
    let best_of = |scores: &[f64]| scores.iter().copied().fold(f64::MIN, f64::max);
    assert!(best_of(&scores) > best_of(&scores[9..]), "{scores:?}");
    assert!(fitted.kept.epoch > 9);
    assert_eq!(fitted.kept.score, best_of(&scores[9..]), "{scores:?}");
    let judged = case.judge(&fitted.weights).metrics[&Metric::Accuracy];
    assert_eq!(judged, fitted.kept.score);
}

#[test]
fn the_weights_kept_late_are_the_newest_of_a_training_that_ends_early() {
    let case = getting_worse();
    let task = case.task(&go_on);
    for epochs in 1..=9 {
        let mut training = Training::begin(&task, case.start()).unwrap();
        for _ in 0..epochs {
            training.epoch(&mut |_| Verdict::Continue).unwrap();
        }
        assert_eq!(training.finish().unwrap().kept.epoch, epochs);
    }
}

#[test]
fn patience_ends_a_training_that_gets_no_better() {
    let mut case = Case::moons(100);
    case.recipe.learning_rate = 1e-12;
    case.recipe.patience = NonZeroU32::new(3);
    // Equal in score and loss: nothing is learned at this rate.
    case.metric = Metric::Accuracy;
    let fitted = case.fit().unwrap();
    assert_eq!(fitted.ended, Ended::Patience);
    assert!(fitted.curve.len() < 100, "{}", fitted.curve.len());
    let last = fitted.curve.last().unwrap().epoch;
    assert_eq!(last - fitted.kept.epoch, 3);
}

#[test]
fn a_training_that_has_ended_takes_no_epoch_more_and_one_that_has_not_was_stopped() {
    let mut case = Case::moons(100);
    case.recipe.learning_rate = 1e-12;
    case.recipe.patience = NonZeroU32::new(1);
    let task = case.task(&go_on);
    let begin = || Training::begin(&task, case.start()).unwrap();
    let mut training = begin();
    while training.ended().is_none() {
        training.epoch(&mut |_| Verdict::Continue).unwrap();
    }
    let epochs = training.curve.len();
    training.epoch(&mut |_| Verdict::Continue).unwrap();
    let fitted = training.finish().unwrap();
    assert_eq!(
        (fitted.curve.len(), fitted.ended),
        (epochs, Ended::Patience)
    );

    let mut training = begin();
    training.epoch(&mut |_| Verdict::Continue).unwrap();
    assert_eq!(training.finish().unwrap().ended, Ended::Stopped);
}

#[test]
fn a_rate_beyond_all_bounds_is_reported_as_divergence() {
    let mut case = Case::moons(5);
    case.recipe.optimizer = Optimizer::Sgd { momentum: 0.9 };
    case.recipe.learning_rate = 1e30;
    let error = case.fit().unwrap_err();
    assert!(matches!(error, FitError::Diverged { .. }), "{error}");
}

#[test]
fn a_network_that_breaks_in_the_last_step_is_not_judged_by_its_accuracy() {
    let mut case = Case::moons(1);
    // One step per epoch: its loss is finite, what it leaves behind is not.
    case.recipe.batch_size = NonZeroUsize::new(1000).unwrap();
    case.recipe.optimizer = Optimizer::Sgd { momentum: 0.0 };
    case.recipe.learning_rate = f64::from(f32::MAX);
    case.recipe.warmup_epochs = 0.0;
    let error = case.fit().unwrap_err();
    assert_eq!(error, FitError::Diverged { epoch: 1, step: 1 });
}

#[test]
fn a_stop_in_the_first_epoch_still_gives_a_judged_network() {
    let case = Case::moons(5);
    let left = Cell::new(4);
    let fitted = case
        .fit_until(&|| {
            left.set(left.get() - 1);
            if left.get() == 0 { GoOn::No } else { GoOn::Yes }
        })
        .unwrap();
    assert_eq!((fitted.ended, fitted.curve.len()), (Ended::Stopped, 1));
    assert_ne!(fitted.weights, case.start());
    assert_eq!(
        fitted.kept.validation.metrics,
        case.judge(&fitted.weights).metrics
    );
}

#[test]
fn a_stop_before_the_first_step_gives_nothing() {
    let error = Case::moons(5).fit_until(&|| GoOn::No).unwrap_err();
    assert_eq!(error, FitError::NotStarted);
}

#[test]
fn batches_of_one_row_are_trained_on() {
    let mut case = Case::moons(2);
    case.recipe.batch_size = NonZeroUsize::MIN;
    let fitted = case.fit().unwrap();
    assert_ne!(fitted.weights, case.start());
    assert!(fitted.kept.train_loss.is_finite());
}

#[test]
fn rows_that_do_not_fit_the_network_are_refused() {
    let mut case = Case::moons(1);
    case.train = bars(10, 1);
    let error = case.fit().unwrap_err().to_string();
    assert_eq!(
        error,
        "the training rows have 64 values each; the network has 2"
    );
    let mut case = Case::moons(1);
    case.recipe.loss = Loss::SquaredError;
    assert!(matches!(case.fit(), Err(FitError::Rows { .. })));
    let mut case = Case::moons(1);
    case.metric = Metric::Rmse;
    assert_eq!(
        case.fit().unwrap_err(),
        FitError::MetricUndefined {
            metric: Metric::Rmse
        }
    );
}

#[test]
fn validation_rows_of_which_none_counts_are_refused_as_such() {
    let mut case = Case::moons(1);
    let weights: Vec<f64> = (0..case.validation.len())
        .map(|row| f64::from(row < 50))
        .collect();
    // As a fold into which no row came that counts.
    let rest: Vec<u32> = (50..100).collect();
    case.validation = case.validation.with_weights(&weights).chosen(&rest);
    assert_eq!(
        case.fit().unwrap_err().to_string(),
        "the validation rows cannot be used: none of them weighs anything"
    );
}

#[test]
fn branches_in_which_nothing_learns_do_not_stop_training() {
    let text = "in 2 | a: relu | b: gelu (in) | c: add a b | cat c in | dense 2";
    let case = Case::new(text, moons(100, 1), moons(50, 2), recipe(3));
    assert_ne!(case.fit().unwrap().weights, case.start());
}

/// Everything a recipe can ask for at once.
fn demanding(epochs: u32) -> Recipe {
    Recipe {
        gradient_norm_max: Some(1.0),
        average_decay: Some(0.9),
        augmentation: Augmentation {
            crop: NonZeroU8::new(1),
            cutout: NonZeroU8::new(2),
            mixup: Some(0.3),
            ..Augmentation::default()
        },
        ..recipe(epochs)
    }
}

impl Case {
    fn bars(recipe: Recipe) -> Case {
        let text = "in 1x8x8 | conv 12 k3 | bn | relu | conv 12 k3 | bn | relu | dropout 0.1 | gap \
                    | dense 3";
        Case::new(text, bars(150, 3), bars(60, 4), recipe)
    }

    fn task<'a>(&'a self, stop: &'a dyn Fn() -> GoOn) -> FitTask<'a> {
        FitTask {
            architecture: &self.architecture,
            train: &self.train,
            validation: &self.validation,
            recipe: &self.recipe,
            metric: self.metric,
            target_scale: 1.0,
            threads: self.threads,
            seed: 5,
            stop,
            heard: &|_| {},
        }
    }
}

/// A curve without its times.
fn timeless(curve: &[EpochReport]) -> Vec<EpochReport> {
    let untimed = |report: &EpochReport| EpochReport {
        seconds: 0.0,
        ..report.clone()
    };
    curve.iter().map(untimed).collect()
}

#[test]
fn a_training_paused_after_any_epoch_gives_the_same_bits() {
    for threads in [1, 2] {
        let mut case = Case::bars(demanding(4));
        case.threads = Threads::new(NonZeroU8::new(threads).unwrap());
        let straight = case.fit().unwrap();
        let task = case.task(&go_on);
        let mut training = Training::begin(&task, case.start()).unwrap();
        loop {
            let paused = Paused::from_bytes(&training.pause()).unwrap();
            training = Training::resume(&task, &paused).unwrap();
            if training.ended().is_some() {
                break;
            }
            training.epoch(&mut |_| Verdict::Continue).unwrap();
        }
        let paused = training.finish().unwrap();
        assert_eq!(paused.weights, straight.weights);
        assert_eq!(timeless(&paused.curve), timeless(&straight.curve));
        assert_eq!(paused.ended, straight.ended);
    }
}

/// The same rows with more of them in a file, which is gone when the folder is dropped.
fn with_rest(held: Examples, rest: &Examples) -> (tempfile::TempDir, Examples) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rest.shards");
    let mut writer = ShardWriter::create(&path, &held).unwrap();
    writer.push(rest).unwrap();
    writer.finish().unwrap();
    let held = held.with_rest(Shards::open(&path).unwrap());
    (folder, held)
}

#[test]
fn rows_on_disk_are_learned_from_a_portion_in_each_epoch() {
    let few = Case {
        train: moons(6, 1),
        ..Case::moons(300)
    };
    let (folder, train) = with_rest(moons(6, 1), &moons(1_500, 9));
    let many = Case {
        train,
        ..Case::moons(300)
    };
    let (few, fitted) = (few.fit().unwrap(), many.fit().unwrap());
    assert!(
        fitted.kept.score > few.kept.score + 0.05,
        "{} against {}",
        fitted.kept.score,
        few.kept.score
    );

    // Paused after every epoch, it goes on with the rows that it would have had.
    let task = many.task(&go_on);
    let mut training = Training::begin(&task, many.start()).unwrap();
    while training.ended().is_none() {
        training.epoch(&mut |_| Verdict::Continue).unwrap();
        let paused = Paused::from_bytes(&training.pause()).unwrap();
        training = Training::resume(&task, &paused).unwrap();
    }
    assert_eq!(training.finish().unwrap().weights, fitted.weights);

    let path = folder.path().join("rest.shards");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..100]).unwrap();
    let error = many.fit().unwrap_err().to_string();
    assert!(
        error.starts_with("the training rows cannot be read: "),
        "{error}"
    );
    assert!(error.contains("rest.shards could not be read"), "{error}");
}

#[test]
fn only_its_own_task_goes_on_with_a_paused_training() {
    let case = Case::bars(recipe(2));
    let task = case.task(&go_on);
    let mut bytes = Training::begin(&task, case.start()).unwrap().pause();
    let paused = Paused::from_bytes(&bytes).unwrap();
    let refused = |task: &FitTask<'_>| Training::resume(task, &paused).err().unwrap().to_string();
    let recipe = Recipe {
        learning_rate: 0.5,
        ..case.recipe.clone()
    };
    let other = |what| {
        format!("the paused training has another {what} than the task that shall go on with it")
    };
    assert_eq!(
        refused(&FitTask {
            recipe: &recipe,
            ..task
        }),
        other("recipe")
    );
    assert_eq!(refused(&FitTask { seed: 6, ..task }), other("seed"));
    let fewer = bars(20, 3);
    assert_eq!(
        refused(&FitTask {
            train: &fewer,
            ..task
        }),
        other("number of training rows")
    );
    let larger: Architecture = "in 1x8x8 | conv 12 k3 | gap | dense 3".parse().unwrap();
    let task = FitTask {
        architecture: &larger,
        ..task
    };
    assert_eq!(refused(&task), other("architecture"));

    bytes.truncate(bytes.len() - 1);
    let error = Paused::from_bytes(&bytes).unwrap_err().to_string();
    assert!(
        error.starts_with("the paused training cannot be read"),
        "{error}"
    );
    assert!(Paused::from_bytes(b"no such file").is_err());
}

#[test]
fn averaged_weights_are_those_of_a_slow_version() {
    let mut case = Case::moons(1);
    case.recipe.patience = None;
    let decay = 0.8_f64;
    // The weights after each step, from trainings that are stopped one step later each.
    let after = |steps: u64| {
        let count = Cell::new(0);
        let stop = || {
            count.set(count.get() + 1);
            if count.get() > steps {
                GoOn::No
            } else {
                GoOn::Yes
            }
        };
        case.fit_until(&stop).unwrap().weights
    };
    let steps = 13;
    let mut averages: Option<Vec<f64>> = None;
    for step in 1..=steps {
        let weights = after(step);
        let values: Vec<f64> = weights
            .tensors()
            .flat_map(|(_, tensor)| tensor.values.iter().map(|value| f64::from(*value)))
            .collect();
        let count = step as f64;
        let keep = decay.min((1.0 + count) / (10.0 + count));
        averages = Some(match averages {
            None => values,
            Some(old) => {
                let pairs = old.iter().zip(&values);
                pairs
                    .map(|(old, new)| keep * old + (1.0 - keep) * new)
                    .collect()
            }
        });
    }
    case.recipe.average_decay = Some(decay);
    let averaged = case.fit().unwrap().weights;
    let found = averaged
        .tensors()
        .flat_map(|(_, tensor)| tensor.values.clone());
    for (found, expected) in found.zip(averages.unwrap()) {
        assert!(
            (f64::from(found) - expected).abs() < 1e-5,
            "{found}, not {expected}"
        );
    }
}

#[test]
fn clipped_gradients_are_no_longer_than_allowed() {
    // With plain descent the first step is the learning rate times the gradient.
    let step = |gradient_norm_max| {
        let mut case = Case::moons(1);
        case.recipe = Recipe {
            optimizer: Optimizer::Sgd { momentum: 0.0 },
            weight_decay: 0.0,
            warmup_epochs: 0.0,
            gradient_norm_max,
            ..case.recipe
        };
        let count = Cell::new(0);
        let stop = || {
            count.set(count.get() + 1);
            if count.get() > 1 { GoOn::No } else { GoOn::Yes }
        };
        let (before, after) = (case.start(), case.fit_until(&stop).unwrap().weights);
        let pairs = before.tensors().zip(after.tensors());
        let squares = pairs.flat_map(|((_, before), (_, after))| {
            let pairs = before.values.iter().zip(&after.values);
            pairs
                .map(|(b, a)| f64::from(a - b).powi(2))
                .collect::<Vec<f64>>()
        });
        squares.sum::<f64>().sqrt() / case.recipe.learning_rate
    };
    let norm = step(None);
    assert!((step(Some(norm / 3.0)) - norm / 3.0).abs() < 1e-3 * norm);
    assert!((step(Some(norm * 3.0)) - norm).abs() < 1e-6 * norm);
}

#[test]
fn a_network_learns_from_changed_examples() {
    let fitted = Case::bars(demanding(40)).fit().unwrap();
    let accuracy = fitted.kept.validation.metrics[&Metric::Accuracy];
    assert!(accuracy > 0.9, "{accuracy}");
}
