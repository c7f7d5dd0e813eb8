//! Rules for one Rust file, each a function from a file to its violations.

use crate::{
    Violation, check_none,
    repository::{TextFile, rust_files},
    source::{Source, line_of, words},
};

/// Longer functions do not fit on a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// A longer file is more than one idea.
const FILE_LINES_MAX: usize = 700;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 9] = [
    "utils", "util", "common", "base", "misc", "helper", "helpers", "manager", "data2",
];

/// Crates whose results must not hang on the order of a hash map.
const ORDERED_CRATES: [&str; 3] = ["crates/morph/", "crates/search/", "crates/study/"];

/// Words of the network, and the one folder that may use them.
const SOCKET_WORDS: [&str; 6] = [
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
    "UnixDatagram",
];
const LISTENING_FOLDER: &str = "crates/cli/src/http/";

/// Words of those who answer what comes over a socket, and where they may stand.
const ANSWERING_WORDS: [&str; 2] = ["hyper", "tokio"];
const ANSWERING_FOLDERS: [&str; 2] = ["crates/cli/src/serve/", "crates/cli/src/dashboard/"];

/// Words of opening a connection, which may stand in none of these.
const CONNECTING_WORDS: [&str; 3] = ["connect", "connect_timeout", "TcpSocket"];

/// Crates that read no clock and start no thread.
const PURE_CRATES: [&str; 2] = ["crates/morph/", "crates/search/"];

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn place(file: &TextFile, text: &str, at: usize) -> String {
    format!("{}:{}", file.path, line_of(text, at))
}

fn header(file: &TextFile) -> Vec<Violation> {
    let first = file
        .text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    if first.starts_with("//! ") {
        return Vec::new();
    }
    vec![Violation::new(
        &file.path,
        "opens without a `//!` header that says what it is for",
    )]
}

fn file_length(file: &TextFile) -> Vec<Violation> {
    let lines = file.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let rule = format!("has {lines} lines; a file has at most {FILE_LINES_MAX}");
    vec![Violation::new(&file.path, rule)]
}

fn function_length(file: &TextFile) -> Vec<Violation> {
    let functions = Source::read(&file.text).functions();
    let long = functions
        .iter()
        .filter(|function| function.lines > FUNCTION_LINES_MAX);
    long.map(|function| {
        let rule = format!(
            "`{}` has {} lines; a function has at most {FUNCTION_LINES_MAX}",
            function.name, function.lines
        );
        Violation::new(format!("{}:{}", file.path, function.line), rule)
    })
    .collect()
}

fn names(file: &TextFile) -> Vec<Violation> {
    let code = Source::read(&file.text).code;
    let of_path = file
        .path
        .trim_end_matches(".rs")
        .split('/')
        .map(|name| (0, name));
    let all: Vec<(usize, &str)> = words(&code).collect();
    let of_modules = all
        .windows(2)
        .filter(|pair| pair[0].1 == "mod")
        .map(|pair| pair[1]);
    of_path
        .chain(of_modules)
        .filter(|(_, name)| EMPTY_NAMES.contains(name))
        .map(|(at, name)| {
            Violation::new(
                place(file, &code, at),
                format!("`{name}` says nothing as a name"),
            )
        })
        .collect()
}

fn unwraps(file: &TextFile) -> Vec<Violation> {
    if is_test(&file.path) {
        return Vec::new();
    }
    let code = Source::read(&file.text).code_without_tests();
    let rule = "`unwrap()` is for tests; `expect` says why it cannot fail";
    code.match_indices(".unwrap()")
        .map(|(at, _)| Violation::new(place(file, &code, at), rule))
        .collect()
}

fn unsafe_code(file: &TextFile) -> Vec<Violation> {
    let source = Source::read(&file.text);
    let comments: Vec<&str> = source.comments.lines().collect();
    let is_explained = |line: usize| {
        // The reason stands at most five lines above: attributes and a signature may lie between.
        comments[line.saturating_sub(6)..line.min(comments.len())]
            .iter()
            .any(|comment| comment.contains("SAFETY:") || comment.contains("# Safety"))
    };
    // An unsafe function makes a contract; those of a trait or of a module's copies share one.
    let has_contract = comments.iter().any(|comment| comment.contains("# Safety"));
    let is_function = |at: usize| {
        let rest = source.code[at..].trim_start_matches("unsafe").trim_start();
        rest.starts_with("fn")
    };
    words(&source.code)
        .filter(|(_, word)| *word == "unsafe")
        .filter_map(|(at, _)| {
            let line = line_of(&source.code, at);
            let is_explained = is_explained(line) || (is_function(at) && has_contract);
            let rule = match file.path.starts_with("crates/train/") {
                true if is_explained => return None,
                true => "`unsafe` without a `// SAFETY:` sentence above it",
                false => "`unsafe` outside of `train`",
            };
            Some(Violation::new(format!("{}:{line}", file.path), rule))
        })
        .collect()
}

fn open_ends(file: &TextFile) -> Vec<Violation> {
    let source = Source::read(&file.text);
    let names_issue = |line: &str| {
        line.split('#')
            .skip(1)
            .any(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
    };
    let unnamed = source.comments.lines().enumerate().filter(|(_, line)| {
        ["TODO", "FIXME", "XXX"]
            .iter()
            .any(|mark| line.contains(mark))
            && !names_issue(line)
    });
    let mut violations: Vec<Violation> = unnamed
        .map(|(index, _)| {
            let rule = "an open end in a comment names its issue, as in #12";
            Violation::new(format!("{}:{}", file.path, index + 1), rule)
        })
        .collect();
    for mark in ["todo!", "unimplemented!", "#[ignore]"] {
        let found = source.code.match_indices(mark);
        violations.extend(found.map(|(at, _)| {
            Violation::new(
                place(file, &source.code, at),
                format!("`{mark}` is unfinished work"),
            )
        }));
    }
    violations
}

fn forbidden_words(file: &TextFile, crates: &[&str], forbidden: &[&str]) -> Vec<Violation> {
    let applies = crates.iter().any(|name| file.path.starts_with(name)) && !is_test(&file.path);
    if !applies {
        return Vec::new();
    }
    let code = Source::read(&file.text).code_without_tests();
    forbidden
        .iter()
        .flat_map(|word| code.match_indices(word))
        .map(|(at, word)| {
            Violation::new(
                place(file, &code, at),
                format!("`{word}` makes results hang on chance"),
            )
        })
        .collect()
}

fn hash_order(file: &TextFile) -> Vec<Violation> {
    forbidden_words(file, &ORDERED_CRATES, &["HashMap", "HashSet"])
}

fn clocks_and_threads(file: &TextFile) -> Vec<Violation> {
    let forbidden = [
        "Instant::now",
        "SystemTime",
        "thread::spawn",
        "rand::rng()",
        "from_os_rng",
    ];
    forbidden_words(file, &PURE_CRATES, &forbidden)
}

/// Only one folder opens a socket, for `lehr serve` and `lehr dashboard`, and nothing connects to one.
fn sockets(file: &TextFile) -> Vec<Violation> {
    if is_test(&file.path) {
        return Vec::new();
    }
    let code = Source::read(&file.text).code_without_tests();
    let is_in = |folder: &&str| file.path.starts_with(*folder);
    let listens = is_in(&LISTENING_FOLDER);
    let answers = listens || ANSWERING_FOLDERS.iter().any(is_in);
    let is_forbidden = |word: &str| {
        let connects = answers && CONNECTING_WORDS.contains(&word);
        let listens_too = !listens && SOCKET_WORDS.contains(&word);
        let answers_too = !answers && ANSWERING_WORDS.contains(&word);
        connects || listens_too || answers_too
    };
    words(&code)
        .filter(|(_, word)| is_forbidden(word))
        .map(|(at, word)| {
            let rule = format!("`{word}`: only {LISTENING_FOLDER} listens, and nothing connects");
            Violation::new(place(file, &code, at), rule)
        })
        .collect()
}

fn bool_parameters(file: &TextFile) -> Vec<Violation> {
    if is_test(&file.path) {
        return Vec::new();
    }
    let code = Source::read(&file.text).code_without_tests();
    code.match_indices("pub fn ")
        .filter(|(at, _)| {
            let signature = code[*at..].split(['{', ';']).next().unwrap_or_default();
            let parameters = signature.split("->").next().unwrap_or_default();
            parameters.contains(": bool,") || parameters.contains(": bool)")
        })
        .map(|(at, _)| {
            let rule = "a `bool` parameter does not say what it switches; an enum does";
            Violation::new(place(file, &code, at), rule)
        })
        .collect()
}

/// Applies a rule to every Rust file of the house.
fn check(rule: fn(&TextFile) -> Vec<Violation>) {
    let files = rust_files();
    assert!(
        files.len() > 50,
        "the walk found only {} files",
        files.len()
    );
    check_none(&files.iter().flat_map(rule).collect::<Vec<Violation>>());
}

/// Shows a rule a text that breaks it so often.
fn check_caught(rule: fn(&TextFile) -> Vec<Violation>, path: &str, text: &str, times: usize) {
    let found = rule(&TextFile {
        path: path.to_string(),
        text: text.to_string(),
    });
    assert_eq!(found.len(), times, "{path} with {text:?} gives {found:?}");
}

#[test]
fn every_file_says_first_what_it_is_for() {
    check(header);
    check_caught(header, "crates/data/src/a.rs", "use std::fs;\n", 1);
    check_caught(header, "crates/data/src/a.rs", "//! Reads.\n", 0);
}

#[test]
fn no_file_is_longer_than_one_idea() {
    check(file_length);
    check_caught(
        file_length,
        "crates/data/src/a.rs",
        &"\n".repeat(FILE_LINES_MAX + 1),
        1,
    );
}

#[test]
fn no_function_is_longer_than_a_screen() {
    check(function_length);
    let long = format!(
        "fn a() {{{}}}\nfn b() {{}}",
        "\n".repeat(FUNCTION_LINES_MAX)
    );
    check_caught(function_length, "crates/data/src/a.rs", &long, 1);
}

#[test]
fn no_file_or_module_has_a_name_that_says_nothing() {
    check(names);
    check_caught(names, "crates/data/src/utils.rs", "", 1);
    check_caught(
        names,
        "crates/data/src/helper/a.rs",
        "pub mod common { }",
        2,
    );
    check_caught(
        names,
        "crates/data/src/based.rs",
        "// mod base\nmod basement;",
        0,
    );
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    check(unwraps);
    check_caught(unwraps, "crates/data/src/a.rs", "fn a() { b.unwrap(); }", 1);
    let under_test = "#[cfg(test)]\nmod tests { fn a() { b.unwrap(); } } // c.unwrap()";
    check_caught(unwraps, "crates/data/src/a.rs", under_test, 0);
}

#[test]
fn only_train_has_unsafe_code_and_says_why_it_is_sound() {
    check(unsafe_code);
    check_caught(
        unsafe_code,
        "crates/data/src/a.rs",
        "// SAFETY: no\nunsafe { }",
        1,
    );
    check_caught(
        unsafe_code,
        "crates/train/src/a.rs",
        "fn a() { unsafe { } }",
        1,
    );
    let contract = "/// # Safety\n/// In bounds.\ntrait A {\n\n\n\n\n\n\n\nunsafe fn a(); }";
    check_caught(unsafe_code, "crates/train/src/a.rs", contract, 0);
    let no_contract = "unsafe fn a();";
    check_caught(unsafe_code, "crates/train/src/a.rs", no_contract, 1);
    check_caught(
        unsafe_code,
        "crates/train/src/a.rs",
        "// SAFETY: in bounds\nunsafe { }",
        0,
    );
    check_caught(
        unsafe_code,
        "crates/data/src/a.rs",
        "// unsafe\n\"unsafe\"",
        0,
    );
}

#[test]
fn every_open_end_names_its_issue() {
    check(open_ends);
    let mark = "TODO";
    check_caught(
        open_ends,
        "crates/data/src/a.rs",
        &format!("// {mark}: later"),
        1,
    );
    check_caught(
        open_ends,
        "crates/data/src/a.rs",
        &format!("// {mark} #12: later"),
        0,
    );
    check_caught(open_ends, "crates/data/src/a.rs", "fn a() { todo!() }", 1);
}

#[test]
fn proposals_and_records_hang_on_no_hash_order() {
    check(hash_order);
    check_caught(
        hash_order,
        "crates/search/src/a.rs",
        "use std::collections::HashMap;",
        1,
    );
    check_caught(
        hash_order,
        "crates/train/src/a.rs",
        "use std::collections::HashMap;",
        0,
    );
}

#[test]
fn morph_and_search_read_no_clock_and_start_no_thread() {
    check(clocks_and_threads);
    check_caught(
        clocks_and_threads,
        "crates/search/src/a.rs",
        "let t = Instant::now();",
        1,
    );
    check_caught(
        clocks_and_threads,
        "crates/study/src/a.rs",
        "let t = Instant::now();",
        0,
    );
}

#[test]
fn only_one_folder_opens_a_socket_and_nothing_connects() {
    check(sockets);
    let listening = "use std::net::TcpListener;";
    check_caught(sockets, "crates/study/src/a.rs", listening, 1);
    check_caught(sockets, "crates/cli/src/serve/a.rs", listening, 1);
    check_caught(sockets, "crates/cli/src/http/a.rs", listening, 0);
    let connecting = "let s = TcpStream::connect(a);";
    check_caught(sockets, "crates/cli/src/http/a.rs", connecting, 1);
    check_caught(
        sockets,
        "crates/cli/src/serve/a.rs",
        "client.connect(a);",
        1,
    );
    let answering = "use hyper::StatusCode;";
    check_caught(sockets, "crates/cli/src/dashboard/a.rs", answering, 0);
    check_caught(sockets, "crates/cli/src/command/a.rs", answering, 1);
    check_caught(sockets, "crates/cli/tests/a.rs", connecting, 0);
}

#[test]
fn no_public_function_takes_a_bool() {
    check(bool_parameters);
    let text = "pub fn a(b: u8, c: bool) -> u8 { 1 }\npub fn d() -> bool { true }";
    check_caught(bool_parameters, "crates/data/src/a.rs", text, 1);
}
