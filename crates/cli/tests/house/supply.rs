//! What comes with the dependencies: where they are from, under which licence, and what must not be
//! among them. A small stand-in for tools of this kind, without having to install one.

use std::{collections::BTreeSet, env, process::Command};

use serde_json::Value;
use toml::Table;

use crate::{
    Violation, check_none,
    repository::{read, root},
};

/// Licences that may be passed on with a program under MIT or Apache-2.0.
const LICENCES: [&str; 12] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages whose presence would break a promise, and the promise.
const BANNED: [(&str, &str); 10] = [
    ("openssl-sys", "no connection to anywhere"),
    ("reqwest", "no connection to anywhere"),
    ("rustls", "no connection to anywhere"),
    ("ureq", "no connection to anywhere"),
    ("pyo3", "no Python"),
    ("libloading", "nothing is loaded at run time"),
    ("burn", "one training engine"),
    ("candle-core", "one training engine"),
    ("ndarray", "one training engine"),
    ("tch", "one training engine"),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether an SPDX expression lets us choose allowed licences only.
fn is_allowed(expression: &str) -> bool {
    // Older manifests write `MIT/Apache-2.0`. Parentheses only ever stand around alternatives here.
    let alternatives = expression.replace('/', " OR ");
    let parts = alternatives.split(" AND ");
    parts.into_iter().all(|part| {
        let part = part.trim_matches(['(', ')', ' ']);
        part.split(" OR ")
            .any(|licence| LICENCES.contains(&licence.trim_matches(['(', ')', ' '])))
    })
}

fn licences(metadata: &Value) -> Vec<Violation> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter(|package| !is_allowed(package["license"].as_str().unwrap_or("none stated")))
        .map(|package| {
            let name = package["name"].as_str().unwrap_or_default();
            Violation::new(
                "Cargo.lock",
                format!("`{name}` has licence {}", package["license"]),
            )
        })
        .collect()
}

fn locked(lock: &Table) -> Vec<(&str, Option<&str>)> {
    let packages = lock
        .get("package")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten();
    packages
        .filter_map(|package| {
            Some((
                package.get("name")?.as_str()?,
                package.get("source").and_then(|s| s.as_str()),
            ))
        })
        .collect()
}

fn sources(lock: &Table) -> Vec<Violation> {
    locked(lock)
        .into_iter()
        .filter(|(_, source)| source.is_some_and(|source| source != REGISTRY))
        .map(|(name, _)| Violation::new("Cargo.lock", format!("`{name}` is not from crates.io")))
        .collect()
}

fn banned(lock: &Table) -> Vec<Violation> {
    let names: BTreeSet<&str> = locked(lock).into_iter().map(|(name, _)| name).collect();
    let present = BANNED.iter().filter(|(name, _)| names.contains(name));
    present
        .map(|(name, promise)| {
            Violation::new(
                "Cargo.lock",
                format!("`{name}` is among the packages; {promise}"),
            )
        })
        .collect()
}

/// The platform that the tests are built for and run on.
fn host() -> String {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.expect("rustc names its host").to_string()
}

fn lock() -> Table {
    read("Cargo.lock")
        .parse()
        .expect("cargo wrote its lock file")
}

fn broken_lock(package: &str) -> Table {
    format!("[[package]]\n{package}")
        .parse()
        .expect("the example is TOML")
}

#[test]
fn every_package_has_a_licence_that_may_be_passed_on() {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    // Only this machine's packages have been fetched for sure.
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", &host()])
        .current_dir(root())
        .output()
        .expect("cargo can be started");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    check_none(&licences(&metadata));
    let example = serde_json::json!({ "packages": [{ "name": "a", "license": "GPL-3.0-only" }] });
    assert_eq!(licences(&example).len(), 1);
}

#[test]
fn a_licence_is_allowed_if_every_part_leaves_an_allowed_choice() {
    for expression in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-2.0 OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
    ] {
        assert!(is_allowed(expression), "{expression}");
    }
    for expression in [
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "none stated",
        "MPL-2.0",
    ] {
        assert!(!is_allowed(expression), "{expression}");
    }
}

#[test]
fn every_package_is_from_the_public_registry() {
    check_none(&sources(&lock()));
    let elsewhere = broken_lock("name = \"a\"\nsource = \"git+https://example.org/a\"");
    assert_eq!(sources(&elsewhere).len(), 1);
}

#[test]
fn no_package_breaks_a_promise() {
    check_none(&banned(&lock()));
    assert_eq!(banned(&broken_lock("name = \"ureq\"")).len(), 1);
}
