//! Names that engines use: each checked once, so that no script or manifest can be broken by one.

use std::{fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use super::LaunchError;

/// Defines a name: a string that one function has accepted.
macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $what:literal, $rule:literal, $accepts:expr) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = LaunchError;

            fn from_str(text: &str) -> Result<$name, LaunchError> {
                let accepts: fn(&str) -> bool = $accepts;
                match accepts(text) {
                    true => Ok($name(text.to_string())),
                    false => Err(LaunchError::Value {
                        value: text.escape_debug().to_string(),
                        what: $what,
                        rule: $rule,
                    }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = LaunchError;

            fn try_from(text: String) -> Result<$name, LaunchError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name under which all nodes of one study are found again; it is legal in every engine.
    GroupName,
    "the name of a group of nodes",
    "it must have 1 to 40 small letters, digits and hyphens, and begin and end with a letter or digit",
    |text| is_label(text, GROUP_CHARS_MAX)
);

name!(
    /// A machine, as its engine calls it.
    NodeName,
    "the name of a machine",
    "it must have 1 to 253 letters, digits, dots, hyphens and underscores, and begin with a letter or digit",
    |text| is_word(text, 253, "._-")
);

name!(
    /// What an engine calls one that it has placed.
    PlacedId,
    "what an engine calls a placed node",
    "it must have 1 to 253 printable letters without blanks, and begin with a letter or digit",
    |text| {
        let graphic = text.chars().all(|letter| letter.is_ascii_graphic());
        graphic && text.len() <= 253 && text.starts_with(|first: char| first.is_ascii_alphanumeric())
    }
);

name!(
    /// A name in Kubernetes: a label as in host names.
    DnsLabel,
    "a name in Kubernetes",
    "it must have 1 to 63 small letters, digits and hyphens, and begin and end with a letter or digit",
    |text| is_label(text, 63)
);

name!(
    /// A name or value that an administrator gave to something: a partition, an account, a feature.
    Word,
    "a name in a cluster",
    "it must have 1 to 253 letters, digits and `._-+,:|&=[]*@/`, and begin with a letter or digit",
    |text| is_word(text, 253, "._-+,:|&=[]*@/")
);

/// Pods of a job are called by its name, a number and an index, and all of it must be a label.
const GROUP_CHARS_MAX: usize = 40;

fn is_label(text: &str, chars_max: usize) -> bool {
    let inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let fits = !text.is_empty() && text.len() <= chars_max;
    let ends = text.starts_with(inner) && text.ends_with(inner);
    fits && ends && text.chars().all(|letter| inner(letter) || letter == '-')
}

fn is_word(text: &str, chars_max: usize, more: &str) -> bool {
    let fits = text.len() <= chars_max;
    let begins = text.starts_with(|first: char| first.is_ascii_alphanumeric());
    let known = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
    fits && begins && text.chars().all(known)
}

impl GroupName {
    /// The group of the nodes that an invitation is for: told from its full path, so that every launcher
    /// with the same invitation finds the same nodes.
    pub fn of_invitation(path: &Path) -> GroupName {
        // The file has the same name in all studies; the folder around it is called like the study.
        let folder = path.parent().and_then(Path::file_stem).unwrap_or_default();
        let folder = folder.to_string_lossy().to_ascii_lowercase();
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let words = folder
            .split(|letter| !plain(letter))
            .filter(|word| !word.is_empty());
        let name: String = words
            .collect::<Vec<_>>()
            .join("-")
            .chars()
            .take(20)
            .collect();
        let digest = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
        let parts = ["lehr", name.trim_end_matches('-'), &digest[..8]];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        GroupName(parts.collect::<Vec<_>>().join("-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(accepted: &[&str], refused: &[&str]) {
        for text in accepted {
            assert!(text.parse::<T>().is_ok(), "{text:?} is refused");
        }
        for text in refused {
            assert!(text.parse::<T>().is_err(), "{text:?} is accepted");
        }
    }

    #[test]
    fn names_that_could_break_a_script_or_a_manifest_are_refused() {
        let hostile = [
            "", "-x", "a b", "a\nb", "a'b", "a\"b", "$(a)", "a`b", "ä", "a;b",
        ];
        check::<GroupName>(&["lehr-moons-1a", "a", "7"], &hostile);
        check::<GroupName>(&[], &["Ab", "a_b", "a-", &"a".repeat(41)]);
        check::<NodeName>(&["n1", "gpu-07.example.org", "ip_1"], &hostile);
        check::<DnsLabel>(&["default", &"a".repeat(63)], &hostile);
        check::<Word>(&["gpu,debug", "a100&nvlink", "1-00:00:00"], &hostile);
        let with_blank = ["", "-rf", "a b", "a\nb", "ä"];
        check::<PlacedId>(&["12_3", "lehr-moons-0/4", "4711@host"], &with_blank);
    }

    #[test]
    fn the_same_invitation_gives_the_same_group_and_another_gives_another() {
        let group = |path: &str| GroupName::of_invitation(Path::new(path));
        let moons = group("/a/moons.lehr/invitation.json");
        assert_eq!(moons, group("/a/moons.lehr/invitation.json"));
        assert_ne!(moons, group("/b/moons.lehr/invitation.json"));
        assert!(moons.as_str().starts_with("lehr-moons-"), "{moons}");
        for path in [
            "/",
            "/i",
            "/__/i",
            "/ÄÖ/i",
            "/a very long name of a study/i",
            "/a--b.c/i",
        ] {
            let name = group(path);
            assert!(
                name.as_str().parse::<GroupName>().is_ok(),
                "{path} gives {name}"
            );
        }
    }
}
