//! The page as a whole, rendered from a sample study.

use morph::Architecture;
use search::TrialId;
use study::{
    certificate::{Certificate, RowsOf, Tried},
    conclude::{
        Absent, Details, Difference, Ensemble, EnsembleMade, Finding, Scored, Shows, Verdict,
        WithInterval,
        classes::{ClassScores, Confused, Confusion},
        details::{Answers, ToldOf, Weighing},
        importance::{ColumnImportance, Importance},
        reliability::{Reliability, Surety, SuretyBin},
        residuals::{Interval, Residuals, ValueBin},
        worst::{Picture, WorstRow},
    },
    model::EnsembleMember,
    trial::Digest,
};
use train::Calibration;

use super::{model::*, render};

/// A small study of images with one skip, one failure and a hostile name.
fn sample() -> ReportModel {
    ReportModel {
        study: "digits <8x8>".into(),
        data: "1797 grey images of 8x8 pixels, 10 classes".into(),
        metric: MetricShown {
            name: "accuracy".into(),
            better: Better::Higher,
        },
        notices: vec![NoticeShown {
            loudness: Loudness::Warning,
            text: "12 rows <script>alert(1)</script> stand twice".into(),
        }],
        profile: Some(profile()),
        settings: vec![Fact::new("time", "90 s"), Fact::new("seed", "1")],
        validation_rows: 360,
        vault_rows: 359,
        vault_groups: None,
        winner: winner(),
        baselines: vec![
            Compared {
                name: "the commonest class".into(),
                about: String::new(),
                scores: scores(0.1, 0.1, 0.07, 0.14),
            },
            Compared {
                name: "a linear model".into(),
                about: "as every study has".into(),
                scores: scores(0.958, 0.9526, 0.925, 0.97),
            },
        ],
        absent: vec![Absent {
            name: "gradient-boosted trees".into(),
            reason: "they are compared on tables only".into(),
        }],
        verdict: Some(verdict()),
        certificate: Some(certificate()),
        details: details_of_classes(),
        leaderboard: (0..8).map(leader_row).collect(),
        progress: (0..80).map(progress_point).collect(),
        curve: (1..=24).map(epoch_point).collect(),
        stopped: 1_212,
        failures: vec![FailureCount {
            kind: "infeasible".into(),
            count: 3,
            example: "training needs 3.0 GiB of memory; the slot has 2.0 GiB".into(),
        }],
        lineage: vec![
            generation(2, "seed `conv-2`", 0.9611, 5_034),
            generation(19, "deepen after 5 (residual k3)", 0.9778, 14_314),
            generation(57, "widen 4 by 16, skip from 3 to 8", 0.9917, 20_874),
        ],
        trainings: vec![
            training(57, "at first", 0.9917),
            training(80, "from scratch", 0.9889),
        ],
        front: vec![front_row(57, 0.9917, 20_874), front_row(31, 0.9702, 1_203)],
        ensemble: Some(Ensemble::Made(Box::new(ensemble()))),
    }
}

/// Two trials together, as a study keeps them.
fn ensemble() -> EnsembleMade {
    let interval = |value: f64, low: f64, high: f64| WithInterval { value, low, high };
    let member = |trial: u64, share: f64| EnsembleMember {
        trial: TrialId(trial),
        share,
    };
    EnsembleMade {
        members: vec![member(57, 0.625), member(80, 0.375)],
        scored: Scored {
            name: "an ensemble of 2 trials".into(),
            about: String::new(),
            validation: Some(0.9944),
            vault: Some(interval(0.9861, 0.9677, 0.9941)),
            vault_metrics: Default::default(),
        },
        better_by: Some(Difference {
            interval: interval(0.0028, -0.0056, 0.0111),
            shows: Shows::Nothing,
        }),
        cost: "in 1x8x8 | flatten | dense 10"
            .parse::<morph::Architecture>()
            .unwrap()
            .cost(),
        latency_seconds: 0.00031,
        certificate: None,
    }
}

/// A profile as it lies in a study's folder.
fn profile() -> data::Profile {
    let rows = serde_json::json!({ "train": 60, "validation": 20, "vault": 20 });
    let number = serde_json::json!({
        "type": "number", "min": 1.0, "low": 1.0, "quarter": 2.0, "median": 3.0, "three_quarters": 4.0,
        "high": 5.0, "max": 5.0, "mean": 3.0, "deviation": 1.0, "skewness": 0.0, "zeros": 0, "outliers": 0,
        "clipped": 0, "whole": true,
    });
    let column = serde_json::json!({
        "name": "<age>", "decided": "all 98 cells with a value are numbers", "missing": 2,
        "missing_share": 0.02, "strays": 0, "distinct": 5, "values": number,
        "alone": { "explained": 0.42 },
    });
    serde_json::from_value(serde_json::json!({
        "data": "table, 100 rows", "rows": rows,
        "target": { "task": "classification", "imbalance": 1.5, "classes": [
            { "class": "no", "rows": { "train": 36, "validation": 12, "vault": 12 } },
            { "class": "yes", "rows": { "train": 24, "validation": 8, "vault": 8 } },
        ] },
        "columns": [column], "left_out": [], "images": null,
        "duplicates": { "repeated": 0, "conflicting": 0, "accuracy_max": null, "shared": [] },
        "findings": [{
            "importance": "detail", "kind": "missing", "subjects": ["<age>"],
            "found": "column `<age>` is missing in 2.0 % of the rows", "done": "the median stands in",
        }],
    }))
    .expect("the sample's profile is right")
}

fn winner() -> Winner {
    let architecture: Architecture =
        "in 1x8x8 | conv 16 k3 | bn | a: relu | conv 32 k3 s2 | bn | relu | \
                        b: conv 32 k3 | c: conv 32 k1 s2 (a) | d: add b c | bn | relu | \
                        e: conv 32 k3 | add d e | relu | gap | dropout 0.2 | dense 10"
            .parse()
            .expect("the sample's notation is right");
    Winner {
        trial: 57,
        networks: 1,
        cost: architecture.cost(),
        architecture,
        setting: vec![
            Fact::new("learning_rate", "0.00213"),
            Fact::new("batch_size", "32"),
        ],
        scores: scores(0.9917, 0.9861, 0.9678, 0.9941),
        weights_bytes: 84_512,
        seconds: 7.4,
        epoch: 9,
    }
}

fn certificate() -> Certificate {
    Certificate {
        format: 1,
        tried: vec![Tried {
            rows_of: RowsOf::Vault,
            rows: 359,
            largest_difference: 2.3e-7,
            labels_that_differ: 0,
        }],
        compared: "probabilities and label".into(),
        tolerance: 1e-4,
        opset: 17,
        runtime: "replay 0.1.0".into(),
        weights_blake3: Digest::of(b"weights"),
        graph_blake3: Digest::of(b"graph"),
    }
}

fn verdict() -> Verdict {
    Verdict {
        groups: None,
        finding: Finding::DeepLearningPaidOff,
        against: "a linear model".into(),
        winner: 0.9861,
        other: 0.9526,
        difference: Difference {
            interval: WithInterval {
                value: 0.0335,
                low: 0.0131,
                high: 0.0562,
            },
            shows: Shows::Better,
        },
        rows: 359,
        winner_is_linear: false,
    }
}

fn details_of_classes() -> Details {
    let class = |name: &str, rows: u64, recall: f64| ClassScores {
        class: name.into(),
        rows,
        precision: Some(0.98),
        recall: Some(recall),
        f1: Some(0.97),
    };
    let bin = |from: f64, rows: u64, said: f64, right: f64| SuretyBin {
        from,
        to: from + 0.1,
        rows,
        said,
        right,
    };
    let surety = |error: f64, shift: f64| Surety {
        error,
        bins: vec![
            bin(0.5, 4, 0.55, 0.5 - shift),
            bin(0.8, 21, 0.86, 0.84 - shift),
            bin(0.9, 334, 0.98, 0.985),
        ],
    };
    Details {
        told_of: ToldOf::Vault,
        weighing: Weighing::Alike,
        rows: 359,
        answers: Answers::Classes {
            confusion: Confusion {
                matrix: vec![vec![171, 3], vec![2, 183]],
                classes: vec![class("three <3>", 174, 0.983), class("eight", 185, 0.989)],
                f1_macro: 0.9722,
                confused: vec![Confused {
                    truth: "three <3>".into(),
                    said: "eight".into(),
                    rows: 3,
                }],
            },
            reliability: Reliability {
                calibration: Calibration::new(1.37, 0.31)
                    .expect("both are legal")
                    .with_offset(-0.42),
                before: surety(0.0214, 0.1),
                after: surety(0.0087, 0.0),
            },
        },
        importance: None,
        worst: vec![WorstRow {
            name: Some("eight/0042.png".into()),
            truth: "eight".into(),
            said: "three <3>".into(),
            probability: Some(0.0003),
            loss: 8.1,
            cells: Vec::new(),
            picture: Some(Picture {
                height: 2,
                width: 2,
                channels: 1,
                bytes: vec![0, 255, 255, 0],
            }),
        }],
    }
}

fn details_of_values() -> Details {
    let worst = |name: &str| WorstRow {
        name: Some(name.into()),
        truth: "71.2".into(),
        said: "48.9".into(),
        probability: None,
        loss: 22.3,
        cells: vec![("age_days".into(), "365".into())],
        picture: None,
    };
    let column = |name: &str, drop: f64| ColumnImportance {
        column: name.into(),
        drop,
        deviation: 0.11,
        repeats: 5,
    };
    let point = |index: u32| {
        let value = f64::from(index);
        (value, value + 5.0 * (value * 7.7).sin())
    };
    Details {
        told_of: ToldOf::Validation,
        weighing: Weighing::ByWeight,
        rows: 206,
        answers: Answers::Values {
            residuals: Residuals {
                target: "strength".into(),
                mean: -0.12,
                quantiles: [-7.2, -2.5, 0.1, 2.4, 6.9],
                bins: vec![ValueBin {
                    rows: 21,
                    predicted: 12.5,
                    truth: 13.1,
                }],
                interval: Some(Interval {
                    share: 0.9,
                    half_width: 8.1,
                    held: 0.883,
                }),
                points: (0..80).map(point).collect(),
            },
        },
        importance: Some(Importance {
            columns: vec![column("cement", 6.2), column("slag <i>", -0.02)],
            unmeasured: 1,
            rows: 206,
        }),
        worst: vec![worst("17"), worst("801")],
    }
}

fn scores(validation: f64, value: f64, low: f64, high: f64) -> Scores {
    Scores {
        validation: Some(validation),
        vault: Some(VaultScore { value, low, high }),
    }
}

fn generation(trial: u64, change: &str, value: f64, parameters: u64) -> Generation {
    Generation {
        trial,
        change: change.into(),
        value: Some(value),
        parameters,
    }
}

fn training(trial: u64, start: &str, value: f64) -> TrainingRow {
    TrainingRow {
        trial,
        start: start.into(),
        value: Some(value),
    }
}

fn front_row(trial: u64, value: f64, parameters: u64) -> FrontRow {
    FrontRow {
        trial,
        value,
        parameters,
        flops: 20 * parameters,
        latency_ms: Some(0.0123),
    }
}

fn leader_row(rank: u64) -> LeaderRow {
    LeaderRow {
        trial: 57 - rank * 6,
        value: 0.9917 - rank as f64 * 0.0028,
        loss: 0.031 + rank as f64 * 0.004,
        parameters: 20_874 - rank * 1_111,
        seconds: 7.4 + rank as f64,
        epochs: 24,
        origin: "widen 4 by 16 from trial 19".into(),
        notation: "in 1x8x8 | conv 16 k3 | bn | relu | gap | dense 10".into(),
    }
}

/// Scores that rise and scatter, without a random generator: enough to look at.
fn progress_point(index: u64) -> ProgressPoint {
    let step = index as f64;
    let scatter = (step * 12.9898).sin().abs();
    let value = match index % 17 {
        5 => 0.31 + 0.1 * scatter,
        _ => 0.9917 - 0.16 * (-step / 14.0).exp() - 0.035 * scatter,
    };
    let start = if index.is_multiple_of(3) || index < 8 {
        Start::Fresh
    } else {
        Start::Inherited
    };
    ProgressPoint {
        seconds: 1.1 * step + scatter,
        trial: index,
        value,
        start,
        parameters: 500 + 331 * index,
    }
}

fn epoch_point(epoch: u32) -> EpochPoint {
    let passed = f64::from(epoch);
    EpochPoint {
        epoch,
        train_loss: 2.1 * (-passed / 4.0).exp() + 0.01,
        validation_loss: 1.9 * (-passed / 4.5).exp() + 0.04 + 0.004 * (passed * 2.0).sin(),
        value: 0.9917 - 0.5 * (-passed / 3.0).exp() - 0.002 * (passed * 3.0).cos().abs(),
    }
}

/// Opening tags that have no closing one, or the other way round.
fn unbalanced(page: &str) -> Vec<String> {
    let mut open: Vec<&str> = Vec::new();
    let mut wrong = Vec::new();
    for part in page.split('<').skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        let name = tag
            .trim_start_matches('/')
            .split(' ')
            .next()
            .unwrap_or_default();
        let is_single = ["!DOCTYPE", "meta", "br"].contains(&name);
        match tag.strip_prefix('/') {
            Some(name) if open.last() == Some(&name) => drop(open.pop()),
            Some(name) => wrong.push(format!("</{name}> closes {:?}", open.last())),
            None if !is_single => open.push(name),
            None => {}
        }
    }
    wrong.extend(open.iter().map(|name| format!("<{name}> stays open")));
    wrong
}

#[test]
fn the_page_is_well_formed() {
    assert_eq!(unbalanced(&render(&sample())), Vec::<String>::new());
    assert_eq!(
        unbalanced("<p><b>x</p>").len(),
        3,
        "the check sees what is wrong"
    );
}

#[test]
fn the_page_loads_nothing_and_runs_nothing() {
    let page = render(&sample());
    for forbidden in [
        "http:", "https:", "//", "src=", "href=", "<script", "@import", "url(",
    ] {
        assert!(!page.contains(forbidden), "the page contains {forbidden}");
    }
}

#[test]
fn what_users_wrote_is_shown_and_not_obeyed() {
    let page = render(&sample());
    assert!(
        page.contains("digits &lt;8x8&gt;"),
        "the name of the study is missing"
    );
    assert!(
        page.contains("12 rows &lt;script&gt;"),
        "the notice is missing"
    );
}

#[test]
fn the_page_says_all_three_scores_and_what_simple_models_reach() {
    let page = render(&sample());
    for said in [
        "0.9861",
        "0.9678 – 0.9941",
        "0.9917",
        "0.9526",
        "0.1000 (0.0700 – 0.1400)",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
}

#[test]
fn the_page_shows_what_the_data_are_like() {
    let page = render(&sample());
    for said in [
        "&lt;age&gt;",
        "0.42",
        "2.0 %",
        "the median stands in",
        "1 … 3 … 5",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    let older = ReportModel {
        profile: None,
        ..sample()
    };
    assert!(!render(&older).contains("What the data are like"));
}

#[test]
fn the_page_says_what_the_exported_file_was_found_to_do() {
    let page = render(&sample());
    let digest = Digest::of(b"weights").to_string();
    for said in [
        "The exported file",
        "2.3e-7",
        "replay 0.1.0",
        "opset 17",
        &digest,
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    let without = ReportModel {
        certificate: None,
        ..sample()
    };
    assert!(!render(&without).contains("The exported file"));
}

#[test]
fn the_page_begins_with_the_verdict_and_says_what_was_not_compared() {
    let page = render(&sample());
    for said in [
        "Deep learning paid off against a linear model",
        "+0.01310",
        "Not compared: gradient-boosted trees, because they are compared on tables only.",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    let verdict = page.find("Deep learning paid off");
    assert!(verdict < page.find("class=\"tiles\""));
}

#[test]
fn the_page_shows_confusions_sureness_and_the_worst_pictures() {
    let page = render(&sample());
    for said in [
        "three &lt;3&gt; said to be eight (3)",
        "0.972",
        "2.14 percentage points",
        "1.370",
        "`eight` is said above a probability of 0.3100",
        "less than 0.1 %",
        "eight/0042.png",
        "d=\"M0 0h1v1h-1zM1 1h1v1h-1z\" fill=\"#000000\"",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
}

#[test]
fn the_page_of_a_regression_shows_residuals_importance_and_the_worst_rows() {
    let model = ReportModel {
        details: details_of_values(),
        ..sample()
    };
    let page = render(&model);
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    for said in [
        "There is no vault: this is about the 206 validation rows",
        "A prediction ± 8.100 is made to hold 90 % of new rows; here it holds 88.3 %",
        "slag &lt;i&gt;",
        "−0.02000 ± 0.1100",
        "no time for 1 columns",
        "age_days",
        "801",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    assert!(!page.contains("NaN"));
}

#[test]
fn the_page_shows_the_front_and_all_trainings_of_the_winner() {
    let page = render(&sample());
    for said in [
        "trial 31: 0.9702, 1\u{202f}203 parameters, on the front",
        "0.01230",
        "trial 80, from scratch",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    let alone = ReportModel {
        front: Vec::new(),
        ..sample()
    };
    assert!(!render(&alone).contains("on the front"));
}

#[test]
fn the_page_says_whether_several_trials_together_are_better() {
    let page = render(&sample());
    for said in [
        "Several trials together",
        "62.5 %",
        "no difference to the winner that these rows can show",
        "Difference to the winner",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    let none = ReportModel {
        ensemble: Some(Ensemble::NoneBetter { tried: 7 }),
        ..sample()
    };
    assert!(render(&none).contains("of the best 7 trials no two were better together"));
    let not_asked = ReportModel {
        ensemble: None,
        ..sample()
    };
    assert!(!render(&not_asked).contains("Several trials together"));
}

#[test]
fn the_page_shows_the_winner_its_ancestors_and_the_failures() {
    let page = render(&sample());
    for said in [
        "dense 10",
        "trial 19: deepen after 5 (residual k3)",
        "the slot has 2.0 GiB",
        "batch_size",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
}

#[test]
fn the_page_counts_what_was_stopped_early_apart_from_what_failed() {
    let page = render(&sample());
    assert!(page.contains("1\u{202f}212 stopped early, 3 failed"));
    assert!(page.contains("<h2>Failed trials</h2>"));
    let without_failures = ReportModel {
        failures: Vec::new(),
        ..sample()
    };
    let page = render(&without_failures);
    assert!(page.contains("1\u{202f}212 stopped early, 0 failed"));
    assert!(!page.contains("Failed trials"));
}

#[test]
fn the_page_says_of_a_cross_validated_winner_that_its_epochs_are_those_of_the_first_network() {
    let page = render(&sample());
    for said in [
        "24 epochs in 7.4 s; the weights are those of epoch 9",
        "accuracy on the validation rows",
        ">trained</th>",
        ">epochs</th>",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    assert!(!page.contains("first fold"));
    let mut folded = sample();
    folded.winner.networks = 5;
    let page = render(&folded);
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    for said in [
        "the first of 5 networks: 24 epochs, weights of epoch 9; all together 7.4 s",
        "accuracy on the first fold's validation rows",
        ">parameters of one</th>",
        ">trained in all</th>",
        ">epochs of the first</th>",
        "Each model is the mean of 5 networks",
    ] {
        assert!(page.contains(said), "{said} is missing");
    }
    assert!(!page.contains("epochs in 7.4 s"));
}

#[test]
fn a_study_with_one_trial_and_no_vault_has_a_page_too() {
    let mut model = sample();
    model.winner.scores = Scores {
        validation: Some(0.5),
        vault: None,
    };
    model.baselines.clear();
    model.progress.truncate(1);
    model.curve.truncate(1);
    model.failures.clear();
    let page = render(&model);
    assert_eq!(unbalanced(&page), Vec::<String>::new());
    assert!(
        page.contains("There is no vault") && !page.contains("NaN"),
        "{page}"
    );
}
