//! Rows that several tests make: texts with a label, and series of unequal length.

use std::fmt::Write;

/// Rows of an age, a text and a label, which is that of the text's first word.
pub(crate) fn reviews(rows: usize, odd: &[&str]) -> String {
    const WORDS: [(&str, &str); 8] = [
        ("good", "yes"),
        ("Good,", "yes"),
        ("great!", "yes"),
        ("FINE", "yes"),
        ("bad", "no"),
        ("(bad)", "no"),
        ("poor.", "no"),
        ("Ärger", "no"),
    ];
    let mut table = String::from("age,review,label\n");
    for row in 0..rows {
        let (word, label) = WORDS[row * 5 % WORDS.len()];
        let text = format!("{word} and  then some of {} words", row % 13);
        writeln!(table, "{},\"{text}\",{label}", 20 + row * 7 % 50)
            .expect("a string can always grow");
    }
    for text in odd {
        writeln!(table, "33,\"{text}\",yes").expect("a string can always grow");
    }
    table
}

/// Series of two channels, unequal lengths and with gaps.
pub(crate) fn unequal(rows: usize) -> String {
    let mut text = String::from("@problemName Made\n@classLabel true slow fast\n# a note\n@data\n");
    for row in 0..rows {
        let (speed, label) = [(0.2, "slow"), (0.5, "fast")][row % 2];
        let channel = |phase: f64| {
            let step = |step: usize| match (row + step) % 11 {
                0 => "?".to_string(),
                _ => format!("{:.4}", 100.0 + (step as f64 * speed + phase).sin()),
            };
            let steps = (0..12 + row % 9).map(step);
            steps.collect::<Vec<String>>().join(",")
        };
        writeln!(text, "{}:{}:{label}", channel(0.0), channel(row as f64))
            .expect("a string can always grow");
    }
    text
}
