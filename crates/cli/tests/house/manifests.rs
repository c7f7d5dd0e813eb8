//! Who may depend on whom and on what, read from the manifests.

use std::collections::{BTreeMap, BTreeSet};

use toml::Table;

use crate::{
    Violation, check_none,
    repository::{crate_names, read},
};

/// The arrows of the house, with all that follows from them. Never back.
const ARROWS: [(&str, &[&str]); 9] = [
    ("morph", &[]),
    ("data", &[]),
    ("replay", &[]),
    ("search", &["morph"]),
    ("bench", &["data", "morph", "search"]),
    ("train", &["data", "morph", "replay"]),
    ("trees", &[]),
    (
        "study",
        &["data", "morph", "replay", "search", "train", "trees"],
    ),
    (
        "cli",
        &["bench", "data", "morph", "search", "study", "train"],
    ),
];

/// Libraries that only one room may name.
const KEPT_IN_ONE_ROOM: [(&str, &str); 3] =
    [("rusqlite", "study"), ("hyper", "cli"), ("tokio", "cli")];

/// Every package more is one more to trust and to build.
const PACKAGES_MAX: usize = 250;

/// A reason shorter than this is none.
const REASON_LETTERS_MIN: usize = 20;

fn parse(path: &str, text: &str) -> Table {
    text.parse()
        .unwrap_or_else(|error| panic!("{path} is no TOML: {error}"))
}

fn manifest(room: &str) -> Table {
    let path = format!("crates/{room}/Cargo.toml");
    parse(&path, &read(&path))
}

/// Names and entries of every dependency of a manifest, of any kind.
fn dependencies(manifest: &Table) -> BTreeMap<String, toml::Value> {
    let mut found = BTreeMap::new();
    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let table = manifest.get(kind).and_then(toml::Value::as_table);
        found.extend(
            table
                .into_iter()
                .flatten()
                .map(|(name, entry)| (name.clone(), entry.clone())),
        );
    }
    for (_, target) in manifest
        .get("target")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten()
    {
        found.extend(target.as_table().map(dependencies).unwrap_or_default());
    }
    found
}

fn room_names() -> BTreeSet<&'static str> {
    ARROWS.iter().map(|(room, _)| *room).collect()
}

fn arrows(room: &str, manifest: &Table) -> Vec<Violation> {
    let place = format!("crates/{room}/Cargo.toml");
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        return vec![Violation::new(
            place,
            "is a room that the house does not know",
        )];
    };
    dependencies(manifest)
        .keys()
        .filter(|name| room_names().contains(name.as_str()) && !allowed.contains(&name.as_str()))
        .map(|name| Violation::new(&place, format!("`{room}` may not know `{name}`")))
        .collect()
}

fn kept_in_one_room(room: &str, manifest: &Table) -> Vec<Violation> {
    let named = dependencies(manifest);
    KEPT_IN_ONE_ROOM
        .iter()
        .filter(|(name, owner)| *owner != room && named.contains_key(*name))
        .map(|(name, owner)| {
            let rule = format!("names `{name}`, which only `{owner}` may");
            Violation::new(format!("crates/{room}/Cargo.toml"), rule)
        })
        .collect()
}

/// Versions stand in the workspace's manifest, once.
fn own_versions(room: &str, manifest: &Table) -> Vec<Violation> {
    dependencies(manifest)
        .iter()
        .filter(|(_, entry)| entry.get("workspace").and_then(toml::Value::as_bool) != Some(true))
        .map(|(name, _)| {
            let rule = format!("`{name}` does not take its version from the workspace");
            Violation::new(format!("crates/{room}/Cargo.toml"), rule)
        })
        .collect()
}

/// Only `train` may have unsafe code, so only `train` may have lints of its own.
fn lints(room: &str, manifest: &Table) -> Vec<Violation> {
    let inherits = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if room == "train" || inherits.and_then(toml::Value::as_bool) == Some(true) {
        return Vec::new();
    }
    vec![Violation::new(
        format!("crates/{room}/Cargo.toml"),
        "does not take the workspace's lints",
    )]
}

/// Third-party libraries of the workspace: everything that is no room.
fn third_party(workspace: &Table) -> BTreeSet<String> {
    let table = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(toml::Value::as_table)
        .expect("the workspace names its dependencies");
    table
        .keys()
        .filter(|name| !room_names().contains(name.as_str()))
        .cloned()
        .collect()
}

/// Rows of a Markdown table whose first cell is a name in backticks: the name and the rest.
fn named_rows(document: &str) -> BTreeMap<String, String> {
    document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, rest)| (name.to_string(), rest.trim().to_string()))
        .collect()
}

fn reasons(libraries: &BTreeSet<String>, document: &str) -> Vec<Violation> {
    let rows = named_rows(document);
    let without = libraries.iter().filter(|name| {
        rows.get(*name)
            .is_none_or(|reason| reason.chars().count() < REASON_LETTERS_MIN)
    });
    let stale = rows.keys().filter(|name| !libraries.contains(*name));
    without
        .map(|name| (name, "is a dependency without a reason"))
        .chain(stale.map(|name| (name, "has a reason, but is no dependency")))
        .map(|(name, rule)| Violation::new("docs/dependencies.md", format!("`{name}` {rule}")))
        .collect()
}

/// Libraries that the workspace names and no room uses.
fn unused(libraries: &BTreeSet<String>, used: &BTreeSet<String>) -> Vec<Violation> {
    libraries
        .difference(used)
        .map(|name| Violation::new("Cargo.toml", format!("`{name}` is used by no crate")))
        .collect()
}

fn packages(lock: &str) -> usize {
    lock.lines().filter(|line| *line == "[[package]]").count()
}

/// Applies a rule to the manifest of every room.
fn check(rule: fn(&str, &Table) -> Vec<Violation>) {
    let rooms = crate_names();
    check_none(
        &rooms
            .iter()
            .flat_map(|room| rule(room, &manifest(room)))
            .collect::<Vec<_>>(),
    );
}

/// Shows a rule a manifest that breaks it so often.
fn check_caught(rule: fn(&str, &Table) -> Vec<Violation>, room: &str, text: &str, times: usize) {
    let found = rule(room, &parse("the example", text));
    assert_eq!(found.len(), times, "{room} with {text:?} gives {found:?}");
}

#[test]
fn the_arrows_between_rooms_point_one_way() {
    check(arrows);
    check_caught(
        arrows,
        "search",
        "[dependencies]\ntrain.workspace = true",
        1,
    );
    check_caught(
        arrows,
        "morph",
        "[dev-dependencies]\ndata.workspace = true",
        1,
    );
    check_caught(arrows, "study", "[dependencies]\ntrain.workspace = true", 0);
    check_caught(arrows, "attic", "", 1);
}

#[test]
fn only_study_names_sqlite_and_only_the_program_names_http() {
    check(kept_in_one_room);
    check_caught(
        kept_in_one_room,
        "search",
        "[dependencies]\nrusqlite.workspace = true",
        1,
    );
    let hidden = "[target.'cfg(unix)'.dependencies]\nrusqlite.workspace = true";
    check_caught(kept_in_one_room, "cli", hidden, 1);
}

#[test]
fn every_version_stands_once_in_the_workspace() {
    check(own_versions);
    check_caught(own_versions, "data", "[dependencies]\ncsv = \"1\"", 1);
    check_caught(
        own_versions,
        "data",
        "[dependencies]\ncsv.workspace = true",
        0,
    );
}

#[test]
fn only_train_has_lints_of_its_own() {
    check(lints);
    check_caught(lints, "data", "[lints.rust]\nunsafe_code = \"allow\"", 1);
    let workspace = parse("Cargo.toml", &read("Cargo.toml"));
    let level = workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str();
    assert_eq!(level, Some("forbid"), "the workspace forbids unsafe code");
}

#[test]
fn every_dependency_has_a_written_reason() {
    let libraries = third_party(&parse("Cargo.toml", &read("Cargo.toml")));
    check_none(&reasons(&libraries, &read("docs/dependencies.md")));
    let one = BTreeSet::from(["csv".to_string()]);
    assert_eq!(reasons(&one, "").len(), 1);
    assert_eq!(reasons(&one, "| `csv` | good |").len(), 1);
    assert_eq!(
        reasons(
            &one,
            "| `csv` | reads quoted fields right |\n| `old` | was here |"
        )
        .len(),
        1
    );
}

#[test]
fn every_dependency_of_the_workspace_is_used() {
    let libraries = third_party(&parse("Cargo.toml", &read("Cargo.toml")));
    let rooms = crate_names();
    let used: BTreeSet<String> = rooms
        .iter()
        .flat_map(|room| dependencies(&manifest(room)).into_keys())
        .collect();
    check_none(&unused(&libraries, &used));
    assert_eq!(
        unused(&BTreeSet::from(["csv".to_string()]), &BTreeSet::new()).len(),
        1
    );
}

#[test]
fn the_lock_file_stays_small() {
    let count = packages(&read("Cargo.lock"));
    assert!(
        count > 0 && count <= PACKAGES_MAX,
        "{count} packages; at most {PACKAGES_MAX}"
    );
    assert_eq!(
        packages("[[package]]\nname = \"a\"\n\n[[package]]\nname = \"b\"\n"),
        2
    );
}
