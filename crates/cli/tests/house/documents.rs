//! What the documents say, compared with what is there.

use std::{path::Path, process::Command};

use crate::{
    Violation, check_none,
    repository::{TextFile, crate_names, read, root, text_files},
};

/// Top folders of somebody's machine; a committed path below one works for nobody else.
const MACHINE_FOLDERS: [&str; 3] = ["work", "home", "root"];

/// Documents whose paths must exist.
const TRUE_DOCUMENTS: [&str; 7] = [
    "README.md",
    "docs/dashboard.md",
    "docs/serve.md",
    "ARCHITECTURE.md",
    "STYLE.md",
    "docs/dependencies.md",
    "CHANGELOG.md",
];

/// Folders of the repository that a document may point into.
const POINTED_INTO: [&str; 7] = [
    "crates/",
    "docs/",
    "examples/",
    "bench/",
    "tools/",
    ".ci/",
    ".config/",
];

fn machine_paths(file: &TextFile) -> Vec<Violation> {
    let lines = file.text.lines().enumerate();
    lines
        .filter(|(_, line)| {
            MACHINE_FOLDERS
                .iter()
                .any(|folder| line.contains(&format!("/{folder}/")))
        })
        .map(|(index, _)| {
            let place = format!("{}:{}", file.path, index + 1);
            Violation::new(place, "names a path of one machine")
        })
        .collect()
}

/// Everything between backticks that is a path of the repository.
fn paths_in(document: &str) -> Vec<&str> {
    document
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| POINTED_INTO.iter().any(|folder| quoted.starts_with(folder)))
        .filter(|quoted| !quoted.contains([' ', '<', '*']))
        .collect()
}

fn ghosts(document: &str, text: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    paths_in(text)
        .into_iter()
        .filter(|path| !exists(path))
        .map(|path| Violation::new(document, format!("names `{path}`, which does not exist")))
        .collect()
}

/// Sections `### crates/NAME`: the name, and the text up to the next heading.
fn rooms_described(architecture: &str) -> Vec<(&str, &str)> {
    architecture
        .split("\n### `crates/")
        .skip(1)
        .filter_map(|section| section.split_once('`'))
        .map(|(name, rest)| (name, rest.split("\n## ").next().unwrap_or_default()))
        .collect()
}

/// Files that a room's section names must lie in that room.
fn ghosts_of_rooms(architecture: &str, exists: &dyn Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (room, text) in rooms_described(architecture) {
        let quoted = text.split('`').skip(1).step_by(2);
        let files = quoted.filter(|name| name.ends_with(".rs") || name.ends_with('/'));
        let of_the_room = |name: &&str| !POINTED_INTO.iter().any(|folder| name.starts_with(folder));
        for file in files.filter(of_the_room) {
            let path = format!("crates/{room}/src/{file}");
            if !exists(&path) {
                violations.push(Violation::new(
                    "ARCHITECTURE.md",
                    format!("{path} does not exist"),
                ));
            }
        }
    }
    violations
}

fn rooms_missing(architecture: &str, rooms: &[String]) -> Vec<Violation> {
    let described: Vec<&str> = rooms_described(architecture)
        .iter()
        .map(|room| room.0)
        .collect();
    let missing = rooms
        .iter()
        .filter(|room| !described.contains(&room.as_str()));
    let invented = described
        .iter()
        .filter(|room| !rooms.iter().any(|known| known == *room));
    missing
        .map(|room| {
            Violation::new(
                "ARCHITECTURE.md",
                format!("does not describe crates/{room}"),
            )
        })
        .chain(invented.map(|room| {
            Violation::new(
                "ARCHITECTURE.md",
                format!("describes crates/{room}, which is not there"),
            )
        }))
        .collect()
}

/// First line of the code block that follows this marker.
fn marked_command<'a>(document: &'a str, marker: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<!-- {marker} -->"))?;
    rest.trim_start().strip_prefix("```sh\n")?.lines().next()
}

fn on_disk(path: &str) -> bool {
    root().join(Path::new(path)).exists()
}

#[test]
fn nothing_names_a_path_of_one_machine() {
    let files = text_files(".");
    assert!(
        files.len() > 60,
        "the walk found only {} files",
        files.len()
    );
    check_none(&files.iter().flat_map(machine_paths).collect::<Vec<_>>());
    for folder in MACHINE_FOLDERS {
        let file = TextFile {
            path: "a.md".into(),
            text: format!("see /{folder}/me/data"),
        };
        assert_eq!(machine_paths(&file).len(), 1);
    }
}

#[test]
fn every_path_in_the_documents_exists() {
    let found = TRUE_DOCUMENTS
        .iter()
        .flat_map(|name| ghosts(name, &read(name), &on_disk));
    check_none(&found.collect::<Vec<_>>());
    assert_eq!(
        ghosts("a.md", "see `crates/attic/a.rs` and `x`", &on_disk).len(),
        1
    );
}

#[test]
fn the_architecture_describes_every_crate_and_no_other() {
    let architecture = read("ARCHITECTURE.md");
    check_none(&rooms_missing(&architecture, &crate_names()));
    check_none(&ghosts_of_rooms(&architecture, &on_disk));
    let invented = "\n### `crates/attic`\n`roof.rs`\n## Next\n`other.rs`";
    assert_eq!(rooms_missing(invented, &["data".to_string()]).len(), 2);
    assert_eq!(ghosts_of_rooms(invented, &on_disk).len(), 1);
}

#[test]
fn the_architecture_states_its_invariants() {
    let architecture = read("ARCHITECTURE.md");
    let (_, section) = architecture
        .split_once("\n## Invariants")
        .expect("there is such a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let count = section
        .lines()
        .filter(|line| line.starts_with("- **"))
        .count();
    assert!(count >= 12, "only {count} invariants");
}

#[test]
fn the_checks_run_the_test_command_of_the_readme() {
    let readme = read("README.md");
    let command = marked_command(&readme, "test-command").expect("the README marks its command");
    assert!(
        !read(".ci/run").contains("cargo test"),
        ".ci/run has a test command of its own"
    );
    let shown = Command::new("bash")
        .arg(root().join(".ci/run"))
        .arg("--show-test-command")
        .output()
        .expect("bash can be started");
    assert_eq!(String::from_utf8_lossy(&shown.stdout).trim_end(), command);
    assert_eq!(
        marked_command("<!-- a -->\n```sh\nmake\n```", "a"),
        Some("make")
    );
    assert_eq!(marked_command("```sh\nmake\n```", "a"), None);
}

/// Commands in a document's tables, each as the words between `lehr` and the first argument.
fn commands_in(document: &str) -> Vec<Vec<&str>> {
    let is_word = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase());
    document
        .lines()
        .filter_map(|line| line.strip_prefix("| `lehr "))
        .flat_map(|line| {
            line.split(" |")
                .next()
                .unwrap_or_default()
                .split("`, `lehr ")
        })
        .map(|command| {
            let words = command.trim_end_matches('`').split_whitespace();
            words.take_while(is_word).collect()
        })
        .collect()
}

/// Flags in backticks that stand outside of tables and code blocks.
fn flags_in(document: &str) -> Vec<&str> {
    let quoted = document.split('`').skip(1).step_by(2);
    quoted
        .filter(|quoted| quoted.starts_with("--"))
        .filter_map(|flag| flag.split(' ').next())
        .collect()
}

fn help_of(command: &[&str]) -> (bool, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_lehr"))
        .args(command)
        .arg("--help")
        .output()
        .expect("the program can be started");
    (
        program.status.success(),
        String::from_utf8_lossy(&program.stdout).into_owned(),
    )
}

#[test]
fn the_commands_and_flags_of_the_readme_exist() {
    let readme = read("README.md");
    let commands = commands_in(&readme);
    assert!(commands.len() >= 8, "{commands:?}");
    let unknown = commands.iter().filter(|command| !help_of(command).0);
    assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&Vec<&str>>::new());
    let explore = help_of(&["explore"]).1;
    let unknown: Vec<&str> = flags_in(&readme)
        .into_iter()
        .filter(|flag| !explore.contains(*flag))
        .collect();
    assert_eq!(
        unknown,
        Vec::<&str>::new(),
        "flags that `lehr explore` does not have"
    );
    assert!(!help_of(&["roast"]).0, "an invented command has no help");
    assert_eq!(
        commands_in("| `lehr config a`, `lehr b PATH` | x |"),
        [vec!["config", "a"], vec!["b"]]
    );
}

#[test]
fn the_flags_of_the_pages_about_serving_and_showing_exist() {
    for (command, flags_min) in [("serve", 4), ("dashboard", 2)] {
        let help = help_of(&[command]).1;
        let page = read(&format!("docs/{command}.md"));
        let flags = flags_in(&page);
        assert!(flags.len() >= flags_min, "{flags:?}");
        let unknown: Vec<&str> = flags
            .into_iter()
            .filter(|flag| !help.contains(*flag))
            .collect();
        assert_eq!(
            unknown,
            Vec::<&str>::new(),
            "flags that `lehr {command}` does not have"
        );
    }
}

#[test]
fn the_first_command_of_the_readme_has_its_data() {
    let readme = read("README.md");
    let command = marked_command(&readme, "first-command").expect("the README marks its command");
    let example = command
        .split_whitespace()
        .last()
        .expect("a command has words");
    assert!(
        on_disk(&format!("{example}/lehr.toml")),
        "{command}: no such example"
    );
}
