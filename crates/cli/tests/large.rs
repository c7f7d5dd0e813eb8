//! Data larger than memory, from file to verdict: in bounded memory, converted once, with nothing left of
//! what fails or is killed.

mod studies;

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant, SystemTime},
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Megabytes of the table: more than are held, and far more in memory than processes here may take.
const TABLE_MB: usize = 150;

/// KiB of addresses that a process may take, its program and stacks among them.
const MEMORY_KIB: usize = 1_000_000;

/// A table of ten numbers and a class that two of them tell.
fn write_table(folder: &Path) -> PathBuf {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut block = String::new();
    while block.len() < 4 << 20 {
        let values: Vec<f64> = (0..10).map(|_| rng.random_range(-1.0..1.0)).collect();
        values
            .iter()
            .for_each(|value| write!(block, "{value:.5},").expect("a string can always grow"));
        let class = if values[0] + values[1] > 0.0 {
            "up"
        } else {
            "down"
        };
        writeln!(block, "{class}").expect("a string can always grow");
    }
    let path = folder.join("large.csv");
    let mut file = File::create(&path).expect("the test's folder can be written");
    file.write_all(b"a,b,c,d,e,f,g,h,i,j,class\n")
        .expect("the test's folder can be written");
    for _ in 0..TABLE_MB * 1_000_000 / block.len() {
        file.write_all(block.as_bytes())
            .expect("the test's folder can be written");
    }
    path
}

/// The program under a limit of the shell, with a cache of its own.
fn limited(folder: &Path, limit: &str, data: &Path, out: &str) -> Command {
    let lehr = studies::lehr().get_program().to_string_lossy().into_owned();
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{limit}; exec \"$@\""))
        .args(["sh", &lehr, "explore"])
        .arg(data)
        .args([
            "--trials",
            "3",
            // More than the trials need: trees that are compared with have a share of it, half a minute without.
            "--time",
            "1m",
            "--slots",
            "1",
            "--retrain",
            "nothing",
            "--out",
        ])
        .arg(folder.join(out))
        .env("XDG_CACHE_HOME", folder.join("cache"));
    command
}

fn run(mut command: Command) -> Output {
    command.output().expect("the program can be started")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_table_larger_than_memory_is_explored_and_converted_once() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let data = write_table(folder);
    let rows = folder.join("cache/lehr/rows");

    // A disk, or what a user may write, that is too small: 40 MiB.
    let full = run(limited(
        folder,
        "trap '' XFSZ; ulimit -f 81920",
        &data,
        "full",
    ));
    let said = studies::said(&full);
    assert!(!full.status.success(), "{said}");
    let wanted = "rows that do not fit into memory take about";
    assert!(said.contains(wanted) && said.contains("are free"), "{said}");
    assert!(names(&rows).is_empty(), "{:?}", names(&rows));
    assert_eq!(names(folder), ["cache", "large.csv"]);

    // Killed in the middle.
    let mut killed = limited(folder, "true", &data, "killed");
    let mut killed = killed.stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while names(&rows).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(120), "it never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = names(&rows);
    assert!(left.iter().all(|name| name.ends_with(".part")), "{left:?}");
    assert!(!folder.join("killed").exists());
    // It is nobody's after a day: until then another machine might be writing it.
    for name in left {
        let begun = File::options().write(true).open(rows.join(name)).unwrap();
        let yesterday = SystemTime::now() - Duration::from_secs(25 * 3_600);
        begun.set_modified(yesterday).unwrap();
    }

    // To its end, in less memory than the table would take.
    let limit = format!("ulimit -v {MEMORY_KIB}");
    let whole = run(limited(folder, &limit, &data, "one"));
    let said = studies::said(&whole);
    assert!(whole.status.success(), "{said}");
    assert!(
        said.contains("is larger than what is held in memory"),
        "{said}"
    );
    assert!(said.contains("of them in each epoch in turn"), "{said}");
    assert!(said.contains("by a linear model (vault)"), "{said}");
    let kept = names(&rows);
    assert!(kept.len() == 2 && kept[1].ends_with(".shards"), "{kept:?}");

    // The same once more takes the same file, and needs nothing of the cache later.
    let again = run(limited(folder, &limit, &data, "two"));
    assert!(again.status.success(), "{}", studies::said(&again));
    let file = |out: &str| fs::metadata(folder.join(out).join("prepared/train.shards")).unwrap();
    assert_eq!(file("one").ino(), file("two").ino());
    fs::remove_dir_all(folder.join("cache")).unwrap();
    let went_on = run(limited(folder, &limit, &data, "two"));
    assert!(went_on.status.success(), "{}", studies::said(&went_on));
}
