//! What a study says of its winner: simple models beside it, the verdict, details, and what goes into the model.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::{fmt::Write, fs, path::Path, sync::LazyLock};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use studies::{explore, lehr, said, write_moons};
use tempfile::TempDir;

/// A table whose answer is in one column, as a comb: trees cut it tooth by tooth, a small network does not.
fn write_comb(folder: &Path) -> std::path::PathBuf {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut table = "noise,tooth,colour,answer\n".to_string();
    for _ in 0..1500 {
        let (noise, tooth) = (rng.random_range(-1.0..1.0), rng.random_range(0.0..16.0));
        let colour = if rng.random_bool(0.5) { "red" } else { "blue" };
        let answer = if (tooth as u32).is_multiple_of(2) {
            "yes"
        } else {
            "no"
        };
        writeln!(table, "{noise:.4},{tooth:.4},{colour},{answer}").unwrap();
    }
    let path = folder.join("comb.csv");
    fs::write(&path, table).unwrap();
    path
}

/// A study that was explored, and what `lehr best --json` says of it.
struct Explored {
    place: TempDir,
    best: Value,
}

fn explored(write: fn(&Path) -> std::path::PathBuf, arguments: &[&str]) -> Explored {
    let place = tempfile::tempdir().unwrap();
    let data = write(place.path());
    let output = explore(&data, &place.path().join("study"), arguments);
    assert!(output.status.success(), "{}", said(&output));
    let best = lehr()
        .args(["best", "--json"])
        .arg(place.path().join("study"))
        .output()
        .unwrap();
    assert!(best.status.success(), "{}", said(&best));
    Explored {
        best: serde_json::from_slice(&best.stdout).unwrap(),
        place,
    }
}

static COMB: LazyLock<Explored> = LazyLock::new(|| {
    explored(
        write_comb,
        &["--trials", "3", "--seed", "1", "--slots", "2"],
    )
});

static MOONS: LazyLock<Explored> = LazyLock::new(|| {
    let arguments = [
        "--trials",
        "4",
        "--seed",
        "2",
        "--metric",
        "balanced_accuracy",
    ];
    explored(|folder| write_moons(folder, 600), &arguments)
});

fn read(explored: &Explored, file: &str) -> String {
    fs::read_to_string(explored.place.path().join("study").join(file)).unwrap()
}

#[test]
fn where_trees_are_better_the_verdict_says_to_use_them() {
    let verdict = &COMB.best["verdict"];
    assert_eq!(verdict["finding"], "simple_model_is_better", "{verdict}");
    assert_eq!(verdict["against"], "gradient-boosted trees");
    assert!(verdict["difference"]["high"].as_f64() < Some(0.0));
    let trees = &COMB.best["baselines"][2];
    assert!(trees["vault"]["value"].as_f64() > Some(0.95), "{trees}");
    assert!(trees["about"].as_str().unwrap().contains("leaves"));
    let page = read(&COMB, "report.html");
    assert!(page.contains("Gradient-boosted trees did better than the network: use them"));
    let card = read(&COMB, "best/card.md");
    assert!(card.contains("## Did deep learning pay off?"), "{card}");
}

#[test]
fn the_worst_rows_are_named_by_their_place_in_the_users_file() {
    let data = fs::read_to_string(COMB.place.path().join("comb.csv")).unwrap();
    let rows: Vec<&str> = data.lines().skip(1).collect();
    let worst = COMB.best["details"]["worst"].as_array().unwrap();
    assert!(!worst.is_empty());
    for row in worst {
        let number: usize = row["name"].as_str().unwrap().parse().unwrap();
        let cells: Vec<&str> = rows[number - 1].split(',').collect();
        assert_eq!(cells[3], row["truth"].as_str().unwrap());
        let shown = row["cells"].as_array().unwrap();
        let tooth = shown.iter().find(|cell| cell[0] == "tooth").unwrap();
        let [shown, given] = [tooth[1].as_str().unwrap(), cells[1]].map(|cell| cell.parse::<f64>());
        assert!((shown.unwrap() - given.unwrap()).abs() < 1e-3);
    }
}

#[test]
fn every_simple_model_is_there_or_said_to_be_missing() {
    for explored in [&*COMB, &*MOONS] {
        let names = |list: &str| -> Vec<String> {
            let list = explored.best[list].as_array().unwrap().iter();
            list.map(|model| model["name"].as_str().unwrap().to_string())
                .collect()
        };
        let all = [names("baselines"), names("absent")].concat();
        assert_eq!(
            all,
            [
                "the commonest class",
                "a linear model",
                "gradient-boosted trees"
            ]
        );
    }
}

#[test]
fn details_are_about_all_rows_of_the_vault() {
    let details = &MOONS.best["details"];
    assert_eq!(details["told_of"], "vault");
    let confusion = &details["answers"]["confusion"];
    let counts = confusion["matrix"].as_array().unwrap().iter();
    let rows: u64 = counts
        .flat_map(|row| row.as_array().unwrap())
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(Some(rows), MOONS.best["vault_rows"].as_u64());
    let classes = confusion["classes"].as_array().unwrap().iter();
    let recalls: Vec<f64> = classes
        .map(|class| class["recall"].as_f64().unwrap())
        .collect();
    let balanced = MOONS.best["winner"]["vault"]["value"].as_f64().unwrap();
    assert!((recalls.iter().sum::<f64>() / 2.0 - balanced).abs() < 1e-9);
    let columns = details["importance"]["columns"].as_array().unwrap();
    assert_eq!(columns.len(), 3);
    assert_eq!(columns[2]["column"], "colour", "{columns:?}");
}

#[test]
fn the_temperature_that_is_told_is_in_the_model_and_in_its_predictions() {
    let card: Value = serde_json::from_str(&read(&MOONS, "best/model.json")).unwrap();
    let told = &MOONS.best["details"]["answers"]["reliability"]["calibration"];
    assert_eq!(&card["calibration"], told);
    assert_ne!(told["temperature"].as_f64(), Some(1.0));
    let predict = |model: &Path| {
        let output = lehr()
            .arg("predict")
            .arg(model)
            .arg(MOONS.place.path().join("moons.csv"))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let best = MOONS.place.path().join("study/best");
    let old = MOONS.place.path().join("old");
    fs::create_dir(&old).unwrap();
    let mut without = card;
    without.as_object_mut().unwrap().remove("calibration");
    fs::write(old.join("model.json"), without.to_string()).unwrap();
    fs::copy(
        best.join("model.safetensors"),
        old.join("model.safetensors"),
    )
    .unwrap();
    let [new, old] = [&best, &old].map(|model| predict(model));
    assert_ne!(new, old, "probabilities are not those of the bare network");
    assert_eq!(new.lines().count(), 601);
}
