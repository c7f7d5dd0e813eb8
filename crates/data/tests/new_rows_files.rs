//! Files of new rows that are not what they seem, as pipes among files and tables among texts, and what is said of
//! rows that are read all the same.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use data::{DataKind, Examples, Preprocessor, RawRows, ReadLimits, Request, StepColumns, TaskKind};

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn request(path: &Path) -> Request {
    Request {
        path: path.to_path_buf(),
        ..Request::default()
    }
}

fn model_of(request: &Request) -> Preprocessor {
    let source = data::read(request).unwrap();
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    Preprocessor::fit(&source, &rows).unwrap()
}

fn read(model: &Preprocessor, path: &Path) -> RawRows {
    model.read_rows(path, &ReadLimits::default()).unwrap()
}

fn inputs(examples: &Examples) -> Vec<f32> {
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut inputs = vec![0.0; examples.len() * examples.item_len()];
    examples.copy_inputs(&rows, &mut inputs);
    inputs
}

/// What is said of rows.
fn said(rows: &RawRows) -> Vec<&str> {
    let notices = rows.notices.iter();
    notices.map(|notice| notice.text.as_str()).collect()
}

/// Days, numbers and classes.
fn days() -> String {
    let row = |row: usize| {
        let (day, label) = (1 + row % 28, ["a", "b"][row % 2]);
        format!("2024-03-{day:02},{},{label}\n", row % 7)
    };
    format!("when,x,label\n{}", (0..40).map(row).collect::<String>())
}

#[test]
fn a_pipe_among_files_is_refused_with_what_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let table = written(folder.path(), "t.csv", days().as_bytes());
    let pipe = folder.path().join("pipe.csv");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let refused = model_of(&request(&table)).read_rows(&pipe, &ReadLimits::default());
    let told = refused.unwrap_err().to_string();
    let expected = "read only once: give it as standard input (`lehr predict MODEL -`)";
    assert!(told.ends_with(expected), "{told}");
    let with_test = Request {
        test: Some(pipe.clone()),
        ..request(&table)
    };
    for request in [request(&pipe), with_test] {
        let told = data::read(&request).unwrap_err().to_string();
        let expected = "pipe.csv: it is a pipe or a device, which can be read only once: write it \
                        into a file first";
        assert!(told.ends_with(expected), "{told}");
    }
}

#[test]
fn a_txt_file_without_names_is_a_table_for_a_model_that_learned_from_one_and_else_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let line = |row: usize| match row % 2 {
        0 => format!("ham\tsee you later {row} times\n"),
        _ => format!("spam\twin a prize now {row} times\n"),
    };
    let messages: String = (0..40).map(line).collect();
    let learned_from = written(folder.path(), "messages.txt", messages.as_bytes());
    let model = model_of(&request(&learned_from));
    assert_eq!(model.kind(), DataKind::Text);
    let lines = b"ham\tsee you 3 times\nspam\twin a prize\nham\tlater\n";
    let table = read(&model, &written(folder.path(), "new.txt", lines));
    let same = read(&model, &written(folder.path(), "new.tsv", lines));
    assert_eq!(table.row_numbers, [1, 2, 3]);
    assert_eq!(inputs(&table.examples), inputs(&same.examples));
    let text = b"see you later, or win\na prize now\n";
    let one = read(&model, &written(folder.path(), "one.txt", text));
    assert_eq!(one.row_numbers, [1]);
    let folder_of_texts = folder.path().join("texts");
    fs::create_dir(&folder_of_texts).unwrap();
    written(&folder_of_texts, "a.txt", lines);
    assert_eq!(read(&model, &folder_of_texts).row_numbers, [1]);
}

#[test]
fn a_txt_file_is_a_table_where_its_first_line_names_the_column_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["review", "text"] {
        let row = |row: usize| format!("good and new {row},{}\n", ["yes", "no"][row % 2]);
        let rows: String = (0..40).map(row).collect();
        let table = format!("{name},label\n{rows}");
        let model = model_of(&request(&written(folder.path(), "t.csv", table.as_bytes())));
        assert_eq!(model.kind(), DataKind::Text);
        let rows = |content: &str| {
            let path = written(folder.path(), "new.txt", content.as_bytes());
            read(&model, &path).row_numbers
        };
        assert_eq!(
            rows(&format!("label;{name}\n?;good and new\n?;bad\n")),
            [1, 2]
        );
        assert_eq!(rows(&format!("This is a {name},\nand a good one\n")), [1]);
        // A name alone is a text of one word.
        assert_eq!(rows(name), [1]);
    }
}

#[test]
fn dates_of_new_rows_that_are_written_otherwise_are_told_as_numbers_are() {
    let folder = tempfile::tempdir().unwrap();
    let table = written(folder.path(), "t.csv", days().as_bytes());
    let model = model_of(&request(&table));
    let new = b"when,x\n05.03.2024,1\n2024-03-06,2\n?,3\n06.03.2024,much\n";
    let rows = read(&model, &written(folder.path(), "new.csv", new));
    assert_eq!(
        said(&rows),
        [
            "column `when`: 2 cell(s) cannot be read (as `05.03.2024`) and count as missing",
            "column `x`: 1 cell(s) cannot be read (as `much`) and count as missing",
        ]
    );
}

#[test]
fn how_a_table_of_steps_is_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let step = |row: usize| {
        let (who, label) = (row / 5, ["up", "down"][row / 5 % 2]);
        format!("s{who},{},{}.5,{label}\n", row % 5, row % 7)
    };
    let steps: String = (0..40).map(step).collect();
    let steps = format!("who,t,x,label\n{steps}");
    let learned_from = written(folder.path(), "steps.csv", steps.as_bytes());
    let model = model_of(&Request {
        steps: Some(StepColumns {
            id: "who".to_string(),
            time: Some("t".to_string()),
        }),
        task: Some(TaskKind::Classification),
        ..request(&learned_from)
    });
    let new = b"who;t;x\nn;1;0,5\nn;2;1,5\n";
    let rows = read(&model, &written(folder.path(), "new.csv", new));
    assert_eq!(rows.row_numbers, [1]);
    let said = said(&rows);
    assert!(said[0].contains("`,` is the decimal mark"), "{said:?}");
}

#[test]
fn how_a_table_that_names_images_is_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for (name, shade) in [("a.png", 10), ("b.png", 200)] {
        let image = image::GrayImage::from_pixel(4, 4, image::Luma([shade]));
        image.save(folder.path().join(name)).unwrap();
    }
    let table = b"file,label\na.png,x\nb.png,y\na.png,x\nb.png,y\n";
    let model = model_of(&request(&written(folder.path(), "t.csv", table)));
    assert_eq!(model.kind(), DataKind::Images);
    let new = b"file,note\na.png,f\xfcr\nb.png,?\n";
    let rows = read(&model, &written(folder.path(), "new.csv", new));
    assert_eq!(rows.row_numbers, [1, 2]);
    let said = said(&rows);
    assert!(said[0].contains("was read as Latin-1"), "{said:?}");
}
