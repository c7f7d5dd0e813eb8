//! What stands in `lehr.toml` is what is done.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod studies;

use std::fs;

use search::Value;
use studies::{explore, ledger, said, write_moons};

#[test]
fn only_the_hyperparameters_of_the_file_are_searched_and_within_its_bounds() {
    let place = tempfile::tempdir().unwrap();
    write_moons(place.path(), 120);
    let text = "data = \"moons.csv\"\ntarget = \"moon\"\n[budget]\ntrials = 12\n\
                [training]\nepochs = 2\n[search.space]\n\
                learning_rate = { kind = \"float\", low = 0.002, high = 0.004, scale = \"log\" }\n";
    let configuration = place.path().join("lehr.toml");
    fs::write(&configuration, text).unwrap();
    let out = place.path().join("study");
    let explored = explore(&configuration, &out, &[]);
    assert!(explored.status.success(), "{}", said(&explored));
    let trials = ledger(&out).trials().unwrap();
    assert!(trials.len() >= 12);
    let rates: Vec<f64> = trials
        .iter()
        .map(|trial| {
            let values: Vec<_> = trial.candidate.setting.values().collect();
            match values.as_slice() {
                [("learning_rate", Value::Float(rate))] => *rate,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    assert!(
        rates.iter().all(|rate| (0.002..=0.004).contains(rate)),
        "{rates:?}"
    );
    assert!(
        rates.iter().any(|rate| *rate != rates[0]),
        "it is searched: {rates:?}"
    );
}
