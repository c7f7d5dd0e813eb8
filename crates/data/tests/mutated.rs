//! Damaged files of every format: whatever is wrong with them, reading ends, in data or in a reason.
//!
//! Healthy files are changed at random: bytes replaced, cut, doubled, and swapped with pieces of other files.
//! `LEHR_MUTATIONS` says how many of each are read; the seed of a failure is in its message.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // What was found is shown.

mod damage;
mod healthy;
mod npy;
mod whole;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use damage::damaged;
use data::Request;
use healthy::{healthy, idx_labels, steps_of};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use whole::read_through;

/// Damaged files of each format, where nobody says how many.
const MUTATIONS: u64 = 300;

/// No small file takes longer to be refused, even where tests are not optimised.
const TIME_MAX: Duration = Duration::from_secs(10);

#[test]
fn no_damage_makes_reading_panic_hang_or_let_through_what_is_no_number() {
    let mutations = env::var("LEHR_MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let files = healthy();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a-labels-idx1-ubyte"), idx_labels()).unwrap();
    let mut wrong = Vec::new();
    for (index, (name, healthy)) in files.iter().enumerate() {
        let path = folder.path().join(name);
        for seed in 0..mutations {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(index as u64);
            let other = &files[rng.random_range(0..files.len())].1;
            fs::write(&path, damaged(healthy, other, &mut rng)).unwrap();
            let began = Instant::now();
            let ended = catch_unwind(AssertUnwindSafe(|| read_through(&path)));
            if ended.is_err() {
                wrong.push(format!("{name}, seed {seed}: a panic"));
            }
            if began.elapsed() > TIME_MAX {
                wrong.push(format!("{name}, seed {seed}: {:?}", began.elapsed()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_healthy_files_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a-labels-idx1-ubyte"), idx_labels()).unwrap();
    for (name, bytes) in healthy() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let request = Request {
            path,
            steps: steps_of(name),
            ..Request::default()
        };
        let source = data::read(&request);
        assert!(source.is_ok(), "{name}: {}", source.unwrap_err());
    }
}
