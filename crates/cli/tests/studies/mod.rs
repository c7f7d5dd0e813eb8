//! Small studies for the tests: real data on disk, the real program, the real ledger.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use study::{
    folder::StudyFolder,
    ledger::{Ledger, open_to_read},
};

/// The program under test.
pub(crate) fn lehr() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lehr"))
}

/// Two half-moons with noise and a category that helps a little: learnable, not linear.
pub(crate) fn write_moons(folder: &Path, rows: usize) -> PathBuf {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut table = "x,y,colour,moon\n".to_string();
    for row in 0..rows {
        let upper = row % 2 == 0;
        let angle = rng.random_range(0.0..std::f64::consts::PI);
        let mut noise = || rng.random_range(-0.15..0.15);
        let (x, y) = match upper {
            true => (angle.cos() + noise(), angle.sin() + noise()),
            false => (1.0 - angle.cos() + noise(), 0.5 - angle.sin() + noise()),
        };
        let colour = if upper == rng.random_bool(0.7) {
            "red"
        } else {
            "blue"
        };
        let moon = if upper { "upper" } else { "lower" };
        writeln!(table, "{x:.4},{y:.4},{colour},{moon}").expect("a string can always grow");
    }
    let path = folder.join("moons.csv");
    fs::write(&path, table).expect("the test's folder can be written");
    path
}

/// Runs `lehr explore` on the moons to its end.
pub(crate) fn explore(data: &Path, out: &Path, arguments: &[&str]) -> Output {
    lehr()
        .arg("explore")
        .arg(data)
        .arg("--out")
        .arg(out)
        .args(arguments)
        .output()
        .expect("the program can be started")
}

/// What a run printed, for the message of a failed assertion.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}\n--- standard output\n{}\n--- standard error\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The ledger of a study on disk.
pub(crate) fn ledger(out: &Path) -> Box<dyn Ledger> {
    let folder = StudyFolder::open(out).expect("the study was made");
    open_to_read(&folder).expect("the ledger can be read")
}
