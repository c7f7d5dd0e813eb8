//! Trees of made tables, from their prepared rows to their record.

use data::{ItemShape, Request, Scaling, Source, Split, SplitShares};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use train::evaluate;

use super::*;
use crate::{
    folder::FolderError,
    prepared::{PreparedData, prepare, tests::config_of},
};

#[test]
fn trees_get_a_twentieth_of_the_time_but_neither_nothing_nor_more_than_half_a_minute() {
    let seconds = |seconds| {
        seconds_of(Budget {
            seconds,
            trials: Some(5),
        })
    };
    assert_eq!(seconds(Some(100.0)), 5.0);
    assert_eq!(seconds(Some(3.0)), 1.0);
    assert_eq!(seconds(Some(36_000.0)), 30.0);
    assert_eq!(seconds(None), 30.0);
}

#[test]
fn prepared_rows_become_the_columns_that_they_were_made_of() {
    let columns = [
        FittedColumn {
            name: "size".to_string(),
            kind: FittedKind::Numeric {
                fill: 0.0,
                missing_indicator: Indicator::Present,
                scaling: Scaling::Deviation {
                    shift: 0.0,
                    scale: 1.0,
                },
            },
        },
        FittedColumn {
            name: "colour".to_string(),
            kind: FittedKind::Category {
                levels: vec!["red".to_string(), "blue".to_string()],
                missing_indicator: Indicator::Present,
            },
        },
    ];
    let rows = vec![
        1.5, 0.0, 1.0, 0.0, 0.0, //
        0.0, 1.0, 0.0, 1.0, 0.0, //
        -2.0, 0.0, 0.0, 0.0, 1.0, //
        3.0, 0.0, 0.0, 0.0, 0.0,
    ];
    let examples = Examples::from_floats(ItemShape::Features(5), rows, Targets::None);
    let table = table_of(&examples, &columns);
    let [Column::Numbers(sizes), Column::Categories(colours)] = table.columns() else {
        panic!("{table:?}")
    };
    assert!(sizes[1].is_nan());
    assert_eq!([sizes[0], sizes[2], sizes[3]], [1.5, -2.0, 3.0]);
    assert_eq!(colours[..], [Some(0), Some(1), None, None]);
}

/// What a study prepares of such data.
fn prepared(source: Source, split: Split, folds: Folds) -> PreparedData {
    PreparedData {
        preprocessor: Preprocessor::fit(&source, &split.train).unwrap(),
        profile: data::profile(&source, &split),
        class_weights: ClassWeights::Equal,
        shares: SplitShares::default(),
        metric: Metric::Accuracy,
        source,
        split,
        folds,
    }
}

/// The same on disk, and what grows trees of it.
fn written(
    place: &Path,
    prepared: &PreparedData,
    class_weights: ClassWeights,
) -> (PreparedFiles, TreesSetup) {
    let files = PreparedFiles::at(place);
    files.write(prepared).unwrap();
    let setup = TreesSetup {
        train: files.train.clone(),
        validation: files.validation.clone(),
        folds: prepared.folds.clone(),
        preprocessor: files.preprocessor.clone(),
        record: place.join("trees.json"),
        metric: Metric::Accuracy,
        class_weights,
        seconds_max: 30.0,
        memory_bytes_max: None,
    };
    (files, setup)
}

#[test]
fn with_folds_no_row_is_judged_by_trees_that_have_learned_from_it() {
    let place = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut text = "a,b,answer\n".to_string();
    for _ in 0..300 {
        // The answer is a coin: whoever knows it has seen it.
        let [a, b] = [0; 2].map(|_| rng.random_range(0.0..1.0));
        text += &format!(
            "{a},{b},{}\n",
            if rng.random_bool(0.5) {
                "heads"
            } else {
                "tails"
            }
        );
    }
    let path = place.path().join("rows.csv");
    fs::write(&path, text).unwrap();
    let request = Request {
        path,
        ..Request::default()
    };
    let source = data::read(&request).unwrap();
    let mut split = data::split(&source, SplitShares::default(), &mut rng).unwrap();
    let mut rows = [&split.train[..], &split.validation[..]].concat();
    rows.sort_unstable();
    let mut folds = Folds::default();
    folds.add(data::folds(&source, &rows, 5, &mut rng).unwrap());
    folds.add(data::folds(&source, &rows, 5, &mut rng).unwrap());
    split.validation.clone_from(&rows);
    split.train = rows;
    let prepared = prepared(source, split, folds.clone());
    let (files, setup) = written(place.path(), &prepared, ClassWeights::Equal);
    let grown = setup.grow().unwrap();
    assert_eq!(grown.ensembles.len(), 10);
    assert!(grown.validation[&Metric::Accuracy] < 0.65, "{grown:?}");
    let validation = PreparedFiles::load(&files.validation).unwrap();
    let own = grown.validation_outputs(&validation, &folds, &prepared.preprocessor);
    let metrics = evaluate(&own, validation.targets(), 1.0).metrics;
    assert_eq!(metrics, grown.validation);
    assert_eq!(
        own.len(),
        grown.outputs(&validation, &prepared.preprocessor).len()
    );
}

#[test]
fn trees_learn_from_rows_as_much_as_they_weigh_and_are_judged_likewise() {
    let place = tempfile::tempdir().unwrap();
    let mut text = "a,weight,answer\n".to_string();
    for row in 0..400 {
        // Of any three rows with the same `a` two are of the class that weighs less.
        let (answer, weight) = match row % 3 {
            0 => ("heavy", 6),
            _ => ("light", 1),
        };
        text += &format!("{},{weight},{answer}\n", row / 3 % 11);
    }
    let path = place.path().join("rows.csv");
    fs::write(&path, text).unwrap();
    let mut config = config_of(path);
    config.roles.weight = Some("weight".to_string());
    config.metric = Some(Metric::LogLoss);
    let prepared = prepare(&config).unwrap();
    let (files, setup) = written(place.path(), &prepared, ClassWeights::Equal);
    let grown = setup.grow().unwrap();
    let vault = PreparedFiles::load(&files.vault).unwrap();
    let outputs = grown.outputs(&vault, &prepared.preprocessor);
    let heavy = |logits: &[f32]| 1.0 / (1.0 + f64::from(logits[1] - logits[0]).exp());
    for logits in outputs.chunks(2) {
        let share = heavy(logits);
        assert!((share - 0.75).abs() < 0.08, "six to two is {share}");
    }
    assert!((grown.validation[&Metric::Accuracy] - 0.75).abs() < 0.08);
}

#[test]
fn trees_of_a_small_table_are_grown_written_and_read_back() {
    let place = tempfile::tempdir().unwrap();
    let mut text = "a,b,answer\n".to_string();
    for row in 0..300 {
        let (a, b) = (row % 10, (row / 10) % 7);
        let answer = if (a > 4) == (b > 2) { "yes" } else { "no" };
        text += &format!("{a},{b},{answer}\n");
    }
    let path = place.path().join("rows.csv");
    fs::write(&path, text).unwrap();
    let request = Request {
        path,
        ..Request::default()
    };
    let source = data::read(&request).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let split = data::split(&source, SplitShares::default(), &mut rng).unwrap();
    let prepared = prepared(source, split, Folds::default());
    let (files, setup) = written(place.path(), &prepared, ClassWeights::Balanced);
    let grown = setup.grow().unwrap();
    assert_eq!((grown.ways_tried, grown.growth), (4, Growth::Whole));
    assert_eq!(grown.validation[&Metric::Accuracy], 1.0);
    let vault = PreparedFiles::load(&files.vault).unwrap();
    let outputs = grown.outputs(&vault, &prepared.preprocessor);
    let metrics = evaluate(&outputs, vault.targets(), 1.0).metrics;
    assert_eq!(metrics[&Metric::Accuracy], 1.0);
    let hurried = TreesSetup {
        seconds_max: 1e-9,
        ..setup.clone()
    };
    let young = hurried.grow().unwrap();
    assert_eq!((young.ways_tried, young.growth), (1, Growth::Unfinished));
    assert!(
        young.about().contains("ended before they had grown"),
        "{}",
        young.about()
    );
    let record = TreesRecord::Grown(Box::new(grown));
    record.write(&setup.record).unwrap();
    let read = serde_json::from_slice(&fs::read(&setup.record).unwrap()).unwrap();
    assert_eq!(record, read);
}

#[test]
fn trees_are_grown_again_where_they_have_failed_or_may_take_clearly_longer() {
    let place = tempfile::tempdir().unwrap();
    let mut text = "a,answer\n".to_string();
    for row in 0..60 {
        text += &format!("{},{}\n", row % 7, ["no", "yes"][row % 2]);
    }
    let path = place.path().join("rows.csv");
    fs::write(&path, text).unwrap();
    let mut config = config_of(path);
    config.metric = Some(Metric::Accuracy);
    let root = place.path().join("study");
    let folder = StudyFolder::create::<FolderError>(&root, |_| Ok(())).unwrap();
    let prepared = prepare(&config).unwrap();
    let files = PreparedFiles::at(&folder.prepared());
    files.write(&prepared).unwrap();
    let still_to_grow = |seconds: f64| {
        let mut config = config.clone();
        config.budget.seconds = Some(seconds);
        let setup = TreesSetup::still_to_grow(&folder, &config).unwrap();
        setup.map(|setup| setup.seconds_max)
    };
    assert_eq!(still_to_grow(100.0), Some(5.0));
    let failed = TreesRecord::Failed {
        reason: "they needed more memory than a trainer has".to_string(),
    };
    failed.write(&folder.trees()).unwrap();
    assert_eq!(still_to_grow(100.0), Some(5.0));
    for (growth, seconds_max, has_grown_at_200) in [
        (Growth::CutShort, 5.0, false),
        (Growth::Unfinished, 5.0, false),
        (Growth::CutShort, 30.0, true),
        (Growth::Whole, 5.0, true),
    ] {
        let grown = GrownTrees {
            format: FORMAT,
            leaves_max: 31,
            learning_rate: 0.1,
            ways_tried: 1,
            growth,
            seconds: 0.1,
            seconds_max,
            validation: BTreeMap::new(),
            ensembles: Vec::new(),
        };
        let next = "; with a budget of 150 s or more they are grown again";
        assert_eq!(grown.about().ends_with(next), !has_grown_at_200);
        let record = TreesRecord::Grown(Box::new(grown));
        record.write(&folder.trees()).unwrap();
        // Once for all who come with as much time, or hardly more.
        assert_eq!(still_to_grow(100.0), None);
        assert_eq!(still_to_grow(140.0), None);
        assert_eq!(still_to_grow(200.0).is_none(), has_grown_at_200);
        // Trees cut short are more than none.
        failed.write(&folder.trees()).unwrap();
        assert_eq!(TreesRecord::read(&folder), Some(record));
    }
}
