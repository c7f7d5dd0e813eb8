//! Values as Python writes them.

use std::fmt::Debug;

/// Longer lines are broken.
const LINE_MAX: usize = 100;

/// A text in quotes. JSON's escapes are Python's.
pub(super) fn text(text: &str) -> String {
    serde_json::to_string(text).expect("a text can always be written")
}

/// Numbers with so many digits that they are read back as they were.
pub(super) fn numbers<T: Debug>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    format!("[{}]", values.join(", "))
}

/// Texts in brackets, over as many lines as they need.
pub(super) fn texts(values: &[String], indent: usize) -> String {
    let values: Vec<String> = values.iter().map(|value| text(value)).collect();
    in_lines(&values, indent)
}

/// What is written already in brackets, over as many lines as it needs.
pub(super) fn in_lines(values: &[String], indent: usize) -> String {
    let line = format!("[{}]", values.join(", "));
    if indent + line.chars().count() <= LINE_MAX {
        return line;
    }
    let space = " ".repeat(indent + 4);
    let mut lines = vec![String::new()];
    for value in values {
        let last = lines.last_mut().expect("it has a first line");
        if !last.is_empty()
            && space.len() + last.chars().count() + value.chars().count() >= LINE_MAX
        {
            lines.push(String::new());
        }
        let last = lines.last_mut().expect("it has a first line");
        last.push_str(&format!("{value}, "));
    }
    let lines: String = lines
        .iter()
        .map(|line| format!("{space}{}\n", line.trim_end()))
        .collect();
    format!("[\n{lines}{}]", " ".repeat(indent))
}

/// A truth.
pub(super) fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_written_as_python_reads_them() {
        assert_eq!(text("a \"b\"\n\\ü"), r#""a \"b\"\n\\ü""#);
        assert_eq!(numbers(&[0.5_f32, 1e-12, 3e20]), "[0.5, 1e-12, 3e20]");
        assert_eq!(texts(&["a".into(), "b".into()], 4), r#"["a", "b"]"#);
        let long: Vec<String> = (0..30).map(|place| format!("level {place}")).collect();
        let written = texts(&long, 4);
        assert!(
            written.lines().count() > 3 && written.ends_with("\n    ]"),
            "{written}"
        );
        assert!(
            written.lines().all(|line| line.len() <= LINE_MAX),
            "{written}"
        );
    }
}
