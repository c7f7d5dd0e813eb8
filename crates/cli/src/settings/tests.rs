//! What was typed becomes what will be done, and back.

use clap::Parser;
use data::ColumnKind;

use super::*;
use crate::args::{Cli, Command};

fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lehr.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

/// What a file decides, and what the file that it is rendered as decides.
fn rendered_and_read_again(text: &str) -> (StudyConfig, StudyConfig) {
    let (_folder, path) = written(text);
    let once = decided(&read(&path).unwrap()).unwrap();
    let (_second, again) = written(&render(&once, None).unwrap());
    let twice = decided(&read(&again).unwrap()).unwrap();
    (once, twice)
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest_one() {
    let (_folder, path) = written("data = \"x.csv\"\n[budget]\ntme = \"10m\"\n");
    let error = format!("{:#}", read(&path).unwrap_err());
    assert!(
        error.contains("`budget.tme` is not a key of lehr.toml"),
        "{error}"
    );
    assert!(error.contains("did you mean `budget.time`?"), "{error}");
}

#[test]
fn a_rendered_configuration_decides_the_same_study() {
    let (decided_once, decided_twice) = rendered_and_read_again(
        "data = \"x.csv\"\nseed = 7\n[budget]\ntime = \"90s\"\ntrials = 5\n\
         [split]\ngroup = \"patient\"\nvalidation = 0.3\n[series]\nid = \"visit\"\ntime = \"hour\"\n[resources]\nmemory_mib = 500\n[limits]\nparams = 5000\nfile_kib = 40\nlatency = \"1500us\"\n\
         [search]\nobjectives = [\"latency\", \"params\"]\n",
    );
    assert_eq!(decided_once.folds, decided_twice.folds);
    assert_eq!(decided_once.budget, decided_twice.budget);
    assert_eq!(decided_once.seed, decided_twice.seed);
    assert_eq!(decided_once.split, decided_twice.split);
    assert_eq!(decided_once.roles, decided_twice.roles);
    assert_eq!(decided_once.steps, decided_twice.steps);
    assert!(decided_once.steps.is_some());
    assert_eq!(decided_once.search, decided_twice.search);
}

#[test]
fn a_rendered_configuration_leaves_the_folds_to_the_rows_where_nobody_says() {
    let (decided_once, decided_twice) = rendered_and_read_again("data = \"x.csv\"\n");
    assert_eq!((decided_once.folds, decided_twice.folds), (None, None));
    assert_eq!(decided_once.split, decided_twice.split);
}

#[test]
fn deals_of_folds_survive_being_rendered() {
    let text = "data = \"x.csv\"\n[split]\nfolds = 4\nrepeats = 3\n";
    let (once, twice) = rendered_and_read_again(text);
    assert_eq!((once.folds, once.repeats), (Some(4), Some(3)));
    assert_eq!((twice.folds, twice.repeats), (Some(4), Some(3)));
}

#[test]
fn what_columns_hold_is_said_in_the_file_and_by_flags_which_win() {
    let text = "data = \"x.csv\"\n[columns]\nzip = \"category\"\n\"a=b\" = \"text\"\n";
    let (once, twice) = rendered_and_read_again(text);
    let expected = [("a=b", ColumnKind::Text), ("zip", ColumnKind::Category)];
    let expected = expected.map(|(name, kind)| (name.to_string(), kind));
    assert_eq!(once.columns, ColumnKinds::from(expected));
    assert_eq!(twice.columns, once.columns);
    let (_folder, path) = written(text);
    let mut typed = read(&path).unwrap();
    let told = ["lehr", "inspect", "x.csv", "--as", "zip=number,a=b=date"];
    let Command::Inspect(args) = Cli::try_parse_from(told).unwrap().command else {
        panic!("it was told to inspect")
    };
    rows::apply_flags(&mut typed, &args.data);
    let expected = [("a=b", ColumnKind::Date), ("zip", ColumnKind::Number)];
    let expected = expected.map(|(name, kind)| (name.to_string(), kind));
    assert_eq!(typed.columns, ColumnKinds::from(expected));
    let refused = |said: &str| {
        let told = ["lehr", "inspect", "x.csv", "--as", said];
        Cli::try_parse_from(told).unwrap_err().to_string()
    };
    assert!(
        refused("zip=kategory")
            .contains("`kategory` is nothing that a column can hold: choose one of number,")
    );
    assert!(refused("zip").contains("write it like zip=category"));
}

#[test]
fn how_a_table_is_written_is_said_in_the_file_and_by_flags_which_win() {
    let text =
        "data = \"x.csv\"\ndelimiter = \"tab\"\ndecimal = \"comma\"\nencoding = \"latin1\"\n";
    let (once, twice) = rendered_and_read_again(text);
    assert_eq!(twice.dialect, once.dialect);
    let said = serde_json::to_string(&once.dialect).unwrap();
    // Of the web's names for an encoding the first is kept.
    let expected = r#"{"delimiter":"tab","decimal":"comma","encoding":"windows-1252"}"#;
    assert_eq!(said, expected);
    let (_folder, path) = written(text);
    let mut typed = read(&path).unwrap();
    let told = [
        "lehr",
        "inspect",
        "x.csv",
        "--delimiter",
        "blanks",
        "--encoding",
        "GBK",
    ];
    let Command::Inspect(args) = Cli::try_parse_from(told).unwrap().command else {
        panic!("it was told to inspect")
    };
    rows::apply_flags(&mut typed, &args.data);
    let said = serde_json::to_string(&rows::dialect(&typed)).unwrap();
    let expected = r#"{"delimiter":"blanks","decimal":"comma","encoding":"gbk"}"#;
    assert_eq!(said, expected);
    let refused = |flag: &str, said: &str| {
        let told = ["lehr", "inspect", "x.csv", flag, said];
        Cli::try_parse_from(told).unwrap_err().to_string()
    };
    assert!(refused("--delimiter", "::").contains("it is one character of ASCII"));
    assert!(refused("--encoding", "utf-99").contains("`utf-99` is no encoding that is read"));
    let (_folder, path) = written("data = \"x.csv\"\nencoding = \"utf-99\"\n");
    let refused = format!("{:#}", read(&path).unwrap_err());
    assert!(
        refused.contains("`utf-99` is no encoding that is read"),
        "{refused}"
    );
}

#[test]
fn images_have_a_size_and_none_of_nothing() {
    let (once, twice) = rendered_and_read_again("data = \"x.zip\"\nimage_size = 96\n");
    assert_eq!((once.image_size, twice.image_size), (Some(96), Some(96)));
    let (_folder, path) = written("data = \"x.zip\"\nimage_size = 0\n");
    let refused = decided(&read(&path).unwrap()).unwrap_err().to_string();
    assert!(
        refused.contains("`image_size` = 0 leaves nothing"),
        "{refused}"
    );
}

#[test]
fn more_may_be_read_where_that_is_said() {
    let text = "data = \"x.csv\"\n[read]\nclasses_max = 5000\nmib_max = 4096\n";
    let (once, twice) = rendered_and_read_again(text);
    assert_eq!(once.read, twice.read);
    let limits = once.read.limits();
    assert_eq!((limits.classes_max, limits.bytes_max), (5000, 4 << 30));
    assert_eq!(limits.columns_max, 100_000);
    let told = ["lehr", "inspect", "x.csv", "--columns-max", "7"];
    let Command::Inspect(args) = Cli::try_parse_from(told).unwrap().command else {
        panic!("it was told to inspect")
    };
    let (_folder, path) = written(text);
    let mut typed = read(&path).unwrap();
    rows::apply_flags(&mut typed, &args.data);
    assert_eq!(
        (typed.read.columns_max, typed.read.classes_max),
        (Some(7), Some(5000))
    );
}

#[test]
fn a_study_in_a_database_is_rendered_under_the_name_that_explore_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("Loans");
    fs::create_dir(&place).unwrap();
    let text = "data = \"x.csv\"\n[ledger]\naddress = \"postgres://me@host/lehr\"\n";
    fs::write(place.join("lehr.toml"), text).unwrap();
    let told = decide_file(&place).unwrap().unwrap();
    assert_eq!(told.place.unwrap().study.to_string(), "loans");
}

#[test]
fn paths_in_a_lehr_toml_are_relative_to_it() {
    let (folder, path) = written("data = \"x.csv\"\n");
    assert_eq!(read(&path).unwrap().data, folder.path().join("x.csv"));
}
