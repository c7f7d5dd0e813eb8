//! `lehr predict` on files, folders and a pipe: the same rows get the same answers, bad ones are told by
//! number, and a pipe is answered while it is still open.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod models;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A program that takes longer to answer a row hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn predict(model: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lehr"))
        .arg("predict")
        .arg(model)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn answered(model: &Path, arguments: &[&str]) -> String {
    let output = predict(model, arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn csv_and_json_lines_say_the_same_of_every_row() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let rows = rows.to_str().unwrap();
    let csv = answered(&model, &[rows]);
    let json = answered(&model, &[rows, "--json"]);
    assert!(csv.starts_with("row,rent\n1,"), "{csv}");
    assert_eq!((csv.lines().count(), json.lines().count()), (61, 60));
    for (csv, json) in csv.lines().skip(1).zip(json.lines()) {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        let (row, value) = csv.split_once(',').unwrap();
        assert_eq!(json["row"].as_u64(), row.parse().ok());
        assert_eq!(json["value"].as_f64(), value.parse().ok());
    }
    let (digits, _) = models::digits(place.path());
    let json = answered(
        &digits,
        &[models::digits_file().to_str().unwrap(), "--json"],
    );
    let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let shares = first["probabilities"].as_object().unwrap();
    let sum: f64 = shares.values().filter_map(serde_json::Value::as_f64).sum();
    assert!(shares.len() == 10 && (sum - 1.0).abs() < 1e-5, "{first}");
    let label = first["label"].as_str().unwrap();
    assert!(
        shares
            .values()
            .all(|share| share.as_f64() <= shares[label].as_f64())
    );
}

/// The program, which waits for rows on standard input.
fn asked_by_pipe(model: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_lehr"))
        .arg("predict")
        .arg(model)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_pipe_is_answered_while_it_is_still_open() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let expected = answered(&model, &[rows.to_str().unwrap()]);
    let mut program = asked_by_pipe(&model);
    let mut input = program.stdin.take().unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let content = fs::read_to_string(&rows).unwrap();
    for (number, line) in content.split_inclusive('\n').enumerate() {
        input.write_all(line.as_bytes()).unwrap();
        // The header of the answer comes with the first row.
        for _ in 0..[0, 2, 1][number.min(2)] {
            said += &(output.next().unwrap().unwrap() + "\n");
        }
    }
    drop(input);
    assert!(program.wait().unwrap().success());
    assert_eq!(said, expected);
}

#[test]
fn what_comes_by_a_pipe_may_be_written_as_any_table() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let expected = answered(&model, &[rows.to_str().unwrap()]);
    let content = fs::read_to_string(&rows).unwrap();
    let mut lines = content.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let objects: Vec<String> = lines
        .map(|line| {
            let cells = header.iter().zip(line.split(','));
            let fields = cells.map(|(name, cell)| format!("{name:?}: {cell:?}"));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        })
        .collect();
    for text in [objects.join("\n"), format!("[{}]", objects.join(","))] {
        let mut program = asked_by_pipe(&model);
        let mut input = program.stdin.take().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        drop(input);
        let output = program.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
}

#[test]
fn bad_rows_are_told_by_number_and_cost_no_other() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let rows = place.path().join("new.csv");
    let bad = place.path().join("bad.csv");
    fs::write(
        &rows,
        "area,town,floor\n50,Bern,1\n51,Bern\nlarge,Basel,2\n",
    )
    .unwrap();
    let arguments = [rows.to_str().unwrap(), "--bad", bad.to_str().unwrap()];
    let output = predict(&model, &arguments);
    assert!(output.status.success());
    let rows_answered: Vec<String> = text(&output.stdout)
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().to_string())
        .collect();
    assert_eq!(rows_answered, ["1", "3"]);
    let told = text(&output.stderr);
    assert!(
        told.contains("row 2 is passed over: line 3 has 2 cells"),
        "{told}"
    );
    assert!(
        told.contains("column `area`: 1 cell(s) cannot be read (as `large`)"),
        "{told}"
    );
    let written = fs::read_to_string(&bad).unwrap();
    assert_eq!(
        written,
        "file,row,reason\n,2,\"line 3 has 2 cells, the header 3\"\n"
    );
    fs::write(&rows, "area,town,floor\n51,Bern\n").unwrap();
    let output = predict(&model, &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("none of the 1 rows could be used"));
}

#[test]
fn what_could_not_be_used_is_kept_where_the_reader_of_the_answers_goes_away() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let rows = place.path().join("new.csv");
    // It goes away before the last answers are written, or in the midst of them.
    for more in [0, 2000] {
        let bad = place.path().join(format!("bad_{more}.csv"));
        let text = "area,town,floor\n50,Bern,1\n51,Bern\n".to_string();
        fs::write(&rows, text + &"60,Basel,2\n".repeat(more)).unwrap();
        let mut program = Command::new(env!("CARGO_BIN_EXE_lehr"))
            .arg("predict")
            .arg(&model)
            .arg(&rows)
            .arg("--bad")
            .arg(&bad)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        drop(program.stdout.take());
        assert!(program.wait().unwrap().success());
        assert_eq!(
            fs::read_to_string(&bad).unwrap(),
            "file,row,reason\n,2,\"line 3 has 2 cells, the header 3\"\n"
        );
    }
}

#[test]
fn several_files_and_folders_are_answered_with_the_file_of_each_row() {
    let place = tempfile::tempdir().unwrap();
    let (model, _) = models::rents(place.path());
    let folder = place.path().join("new");
    fs::create_dir(&folder).unwrap();
    let header = "area,town,floor\n";
    fs::write(
        folder.join("b.csv"),
        format!("{header}50,Bern,1\n60,Bern,2\n"),
    )
    .unwrap();
    fs::write(folder.join("a.csv"), format!("{header}70,Basel,1\n")).unwrap();
    fs::write(folder.join("notes.md"), "no table").unwrap();
    let said = answered(&model, &[folder.to_str().unwrap()]);
    let files: Vec<&str> = said
        .lines()
        .map(|line| line.rsplit('/').next().unwrap())
        .map(|line| line.split(',').next().unwrap())
        .collect();
    assert_eq!(files, ["file", "a.csv", "b.csv", "b.csv"]);

    fs::write(folder.join("c.csv"), "area,town\n70,Basel\n").unwrap();
    let output = predict(&model, &[folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), said, "the other files are answered");
    let told = text(&output.stderr);
    assert!(
        told.contains("c.csv is passed over") && told.contains("`floor`"),
        "{told}"
    );
    assert!(told.contains("1 of 3 files could not be read"), "{told}");

    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let output = predict(&model, &[empty.to_str().unwrap()]);
    assert!(text(&output.stderr).contains("no table is in"));
}

#[test]
fn images_of_a_folder_are_named() {
    let place = tempfile::tempdir().unwrap();
    let (model, pixels) = models::digits(place.path());
    let folder = place.path().join("scans");
    fs::create_dir_all(folder.join("late")).unwrap();
    fs::write(folder.join("one.bmp"), models::bitmap(&pixels[0])).unwrap();
    fs::write(folder.join("late/two.bmp"), models::bitmap(&pixels[1])).unwrap();
    fs::write(folder.join("torn.png"), b"no picture").unwrap();
    let output = predict(&model, &[folder.to_str().unwrap()]);
    assert!(output.status.success());
    let said = text(&output.stdout);
    let from_array = answered(&model, &[models::digits_file().to_str().unwrap()]);
    let of_row = |row: usize| {
        from_array
            .lines()
            .nth(row)
            .unwrap()
            .split_once(',')
            .unwrap()
            .1
    };
    let expected = format!("late/two.bmp,1,{}\none.bmp,2,{}\n", of_row(2), of_row(1));
    assert!(
        said.starts_with("file,row,label,probability of 0,"),
        "{said}"
    );
    assert_eq!(said.split_once('\n').unwrap().1, expected);
    assert!(text(&output.stderr).contains("row 3 is passed over: `torn.png`"));
    let single = answered(&model, &[folder.join("one.bmp").to_str().unwrap()]);
    let line = single.lines().nth(1).unwrap();
    assert_eq!(line, format!("1,{}", of_row(1)));
}

#[test]
fn no_answer_is_written_over_the_rows_that_are_asked_about() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let before = fs::read(&rows).unwrap();
    for flag in ["--out", "--bad"] {
        // By another name of the same file.
        let other = place.path().join(".").join(rows.file_name().unwrap());
        let output = predict(
            &model,
            &[rows.to_str().unwrap(), flag, other.to_str().unwrap()],
        );
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.contains("is among the files that are read"), "{said}");
        assert_eq!(fs::read(&rows).unwrap(), before);
    }
}

#[test]
fn answers_of_yesterday_stay_until_those_of_today_are_whole() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let folder = place.path().join("answers");
    fs::create_dir(&folder).unwrap();
    let [out, bad] = ["out.csv", "bad.csv"].map(|name| folder.join(name));
    for path in [&out, &bad] {
        fs::write(path, "of yesterday").unwrap();
    }
    let predict = |files: &[&str]| {
        let flags = [
            "--out",
            out.to_str().unwrap(),
            "--bad",
            bad.to_str().unwrap(),
        ];
        predict(&model, &[files, &flags].concat())
    };
    let written = || [&out, &bad].map(|path| fs::read_to_string(path).unwrap());
    let missing = place.path().join("missing.csv");
    let missing = missing.to_str().unwrap();
    for files in [&[missing][..], &[missing, missing]] {
        let output = predict(files);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        assert_eq!(written(), ["of yesterday", "of yesterday"]);
    }
    // The rows that cannot be used are written down, though nothing is answered.
    let unusable = place.path().join("unusable.csv");
    fs::write(&unusable, "area,town,floor\n51,Bern\n").unwrap();
    assert_eq!(
        predict(&[unusable.to_str().unwrap()]).status.code(),
        Some(1)
    );
    let [answers, bad_rows] = written();
    assert_eq!(answers, "of yesterday");
    assert!(bad_rows.starts_with("file,row,reason\n,1,"), "{bad_rows}");

    let rows = rows.to_str().unwrap();
    let output = predict(&[rows]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let expected = answered(&model, &[rows]);
    assert_eq!(written(), [expected.as_str(), "file,row,reason\n"]);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        2,
        "nothing else stays"
    );
}

#[test]
fn answers_and_bad_rows_do_not_go_into_one_file() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let (out, bad) = (place.path().join("o.csv"), place.path().join("./o.csv"));
    let [rows, out, bad] = [&rows, &out, &bad].map(|path| path.to_str().unwrap());
    let output = predict(&model, &[rows, "--out", out, "--bad", bad]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("--out and --bad both name"), "{said}");
    assert!(!Path::new(out).exists());
    // Where nothing is kept, nothing is lost.
    let nowhere = ["--out", "/dev/null", "--bad", "/dev/null"];
    assert_eq!(answered(&model, &[&[rows][..], &nowhere].concat()), "");
}

#[test]
fn what_only_looks_like_a_file_is_written_where_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let rows = rows.to_str().unwrap();
    let expected = answered(&model, &[rows]);
    assert_eq!(answered(&model, &[rows, "--out", "/dev/stdout"]), expected);
}

#[test]
fn what_a_pipe_is_answered_stands_in_the_file_while_the_pipe_is_open() {
    let place = tempfile::tempdir().unwrap();
    let (model, rows) = models::rents(place.path());
    let out = place.path().join("out.csv");
    let mut program = Command::new(env!("CARGO_BIN_EXE_lehr"))
        .arg("predict")
        .arg(&model)
        .args(["-", "--out"])
        .arg(&out)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    let content = fs::read_to_string(&rows).unwrap();
    for line in content.split_inclusive('\n').take(2) {
        input.write_all(line.as_bytes()).unwrap();
    }
    let begun = Instant::now();
    while fs::read_to_string(&out).unwrap_or_default().lines().count() < 2 {
        assert!(begun.elapsed() < PATIENCE, "the row is not answered");
        thread::sleep(Duration::from_millis(10));
    }
    drop(input);
    assert!(program.wait().unwrap().success());
}
