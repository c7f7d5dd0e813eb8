//! Names of what lies in a store: a digest, and what the bytes are.

use std::fmt;

use super::UNFINISHED;
use crate::trial::Digest;

/// What the bytes of an object are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Weights of a trial, or a training that pauses.
    Weights,
    /// A piece of a study's prepared rows.
    Chunk,
    /// The list of such pieces.
    Manifest,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Weights, Kind::Chunk, Kind::Manifest];

    fn ending(self) -> &'static str {
        match self {
            Kind::Weights => "safetensors",
            Kind::Chunk => "chunk",
            Kind::Manifest => "json",
        }
    }
}

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    digest: Digest,
    kind: Kind,
}

impl ObjectName {
    /// Weights with this digest.
    pub fn weights(digest: &Digest) -> ObjectName {
        ObjectName::new(digest, Kind::Weights)
    }

    /// What has this digest.
    pub fn new(digest: &Digest, kind: Kind) -> ObjectName {
        ObjectName {
            digest: digest.clone(),
            kind,
        }
    }

    /// The name behind a file's name, if it is one.
    pub fn parse(file: &str) -> Option<ObjectName> {
        let (digest, ending) = file.split_once('.')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.ending() == ending)?;
        Some(ObjectName::new(&Digest::from_hex(digest)?, kind))
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What the bytes are.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.digest, self.kind.ending())
    }
}

/// What became of an object that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was sent.
    Sent,
    /// It was there.
    There,
}

/// Something that lies in a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// Its file's name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Seconds since it was written, by the clocks of the store and of this machine; never negative.
    pub age_seconds: f64,
}

impl Listed {
    /// Which object it is; `None` for one that somebody is writing, or has not ended to write.
    pub fn object(&self) -> Option<ObjectName> {
        ObjectName::parse(&self.name)
    }

    /// Whether the name is one that lehr gives: an object, or one that is being written.
    pub(crate) fn is_ours(name: &str) -> bool {
        match name.strip_suffix(UNFINISHED) {
            Some(rest) => rest
                .split('.')
                .next()
                .is_some_and(|digest| Digest::from_hex(digest).is_some()),
            None => ObjectName::parse(name).is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        let digest = Digest::of(b"weights");
        for kind in Kind::ALL {
            let name = ObjectName::new(&digest, kind);
            assert_eq!(ObjectName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn only_names_of_ours_are_ours() {
        let digest = Digest::of(b"weights");
        assert!(Listed::is_ours(&format!("{digest}.safetensors")));
        assert!(Listed::is_ours(&format!("{digest}.safetensors.0a.part")));
        assert!(Listed::is_ours(&format!("{digest}.4711.part")));
        for name in ["thesis.tex", "a.part", "../a.json", "lock", "part"] {
            assert!(!Listed::is_ours(name), "{name}");
        }
        let upper = digest.as_str().to_uppercase();
        assert!(!Listed::is_ours(&format!("{upper}.safetensors")));
    }
}
