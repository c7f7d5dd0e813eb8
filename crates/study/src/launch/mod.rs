//! Launchers: engines that start processes on other machines, seen through three verbs.
//!
//! A launcher lists what is placed, starts so many more, and stops some. It remembers nothing: what it
//! placed is found again by the name of the group, so that a launcher that dies, or runs on another machine,
//! takes over what is there. [`reconcile`] says what is to be done, [`waiting`] why nothing runs.
//!
//! An engine only starts processes. That a node is alive is known from the ledger, never from the engine,
//! which notices dead machines after minutes. Nothing secret is passed on: a node is told where its
//! invitation lies, and reads it itself.

pub mod command;
pub mod kubernetes;
pub mod local;
mod names;
pub mod reconcile;
pub mod slurm;
pub mod waiting;

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    io,
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::{
    cluster::invitation::{Invitation, InvitationError},
    outside::{OutsideError, shell_word},
};

pub use names::{DnsLabel, GroupName, NodeName, PlacedId, Word};

/// How long a node may take to leave when told to, in seconds: to write a checkpoint and to give its
/// trials back.
pub const GRACE_SECONDS: u32 = 120;

/// Exit status of a node whose trainers die one after the other: another machine may be better.
pub const MACHINE_UNFIT: u8 = 78;

/// Variable in which a node finds the name of the machine that it was placed on.
pub const NODE_VARIABLE: &str = "LEHR_NODE";

/// Variable in which a node finds its own [`PlacedId`].
pub const PLACED_VARIABLE: &str = "LEHR_PLACED";

/// One that a launcher has placed: a process that runs, waits for its turn, or is leaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What the engine calls it; one that was listed may be gone a moment later.
    pub id: PlacedId,
    /// How it is with it.
    pub state: PlacedState,
}

/// How it is with one that is placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedState {
    /// The engine will start it when it can.
    Waiting {
        /// Why it has not yet, in the engine's own words.
        reason: String,
    },
    /// It was started before, or what it was to have is gone, and the engine will not start it for some time: a new
    /// one is faster.
    Held {
        /// Why, in the engine's own words.
        reason: String,
    },
    /// The engine says that it runs, which may be long untrue.
    Running {
        /// Where, if the engine says so.
        node: Option<NodeName>,
    },
    /// It is leaving: it was told to, and may still write what it has.
    Ending,
}

/// What the ledger knows of nodes, and no engine does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Machines on which worker after worker failed: nothing more is placed there.
    pub quarantined: BTreeSet<NodeName>,
    /// Nodes that said that they run and are not heard any more.
    pub silent: BTreeSet<PlacedId>,
}

/// How one is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopHow {
    /// It is told to leave: it writes a checkpoint, gives back its trials and ends.
    Gracefully,
    /// It does not listen, or has nothing to give back.
    Now,
}

mod closed {
    /// Only this room has launchers; others join through [`super::command`].
    pub trait Closed {}
}

/// An engine that starts nodes. Four of them are here; every other one is reached by [`command`].
pub trait Launcher: closed::Closed {
    /// All of this group that have not ended, oldest first; also those that are leaving, until they have left.
    ///
    /// # Errors
    /// If the engine cannot be asked, or says what is not understood.
    fn placed(&mut self) -> Result<Vec<Placed>, LaunchError>;

    /// Starts more nodes, and none of them on these machines.
    ///
    /// # Errors
    /// If the engine refuses. Some may have been started; the next list says how many.
    fn start(&mut self, count: NonZeroU32, avoided: &BTreeSet<NodeName>)
    -> Result<(), LaunchError>;

    /// Stops some of those listed, also those that are leaving: their time may be over. One that is gone already is
    /// no error.
    ///
    /// # Errors
    /// If the engine refuses.
    fn stop(&mut self, stopped: &[Placed], how: StopHow) -> Result<(), LaunchError>;
}

/// Why a launcher could not do what it should.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// One of the engine's commands.
    #[error("could not {action}: {cause}; {hint}")]
    Command {
        /// What was to be done.
        action: String,
        /// What the command said.
        cause: OutsideError,
        /// What to do.
        hint: &'static str,
    },
    /// The engine said something else than it should.
    #[error("the answer of `{line}` is not understood: `{part}`; {rule}")]
    Answer {
        /// What was run.
        line: String,
        /// The part of its answer.
        part: String,
        /// What it should be.
        rule: &'static str,
    },
    /// A value that no engine could use.
    #[error("`{value}` cannot be {what}: {rule}")]
    Value {
        /// The value.
        value: String,
        /// What it was given as.
        what: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The system said no.
    #[error("could not {action} {}", .path.display())]
    System {
        /// What was to be done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl LaunchError {
    /// Whether the engine's commands are not installed on this machine.
    pub fn is_engine_missing(&self) -> bool {
        matches!(
            self,
            LaunchError::Command {
                cause: OutsideError::Missing { .. },
                ..
            }
        )
    }
}

/// The command that every node runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCommand {
    program: PathBuf,
    invitation: PathBuf,
    more: Vec<OsString>,
}

impl NodeCommand {
    /// `PROGRAM worker --join INVITATION`, both by their full paths.
    ///
    /// # Errors
    /// If the program or the invitation is not there, or others than its owner may read the invitation.
    pub fn new(program: &Path, invitation: &Path) -> Result<NodeCommand, LaunchError> {
        let full = |path: &Path, action| {
            let found = path.canonicalize();
            let found = found.map_err(|source| LaunchError::System {
                action,
                path: path.to_path_buf(),
                source,
            });
            printable(found?)
        };
        Invitation::check(invitation)?;
        let command = NodeCommand {
            program: full(program, "find the program")?,
            invitation: full(invitation, "find the invitation")?,
            more: Vec::new(),
        };
        Ok(command)
    }

    /// The same with more arguments behind.
    #[must_use]
    pub fn with(mut self, more: &[String]) -> NodeCommand {
        self.more.extend(more.iter().map(OsString::from));
        self
    }

    /// The program that is run.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Where the invitation lies on this machine.
    pub fn invitation(&self) -> &Path {
        &self.invitation
    }

    /// What follows the program.
    fn arguments(&self) -> impl Iterator<Item = &OsStr> {
        let join = [
            "worker".as_ref(),
            "--join".as_ref(),
            self.invitation.as_os_str(),
        ];
        join.into_iter()
            .chain(self.more.iter().map(OsString::as_os_str))
    }

    /// All of it, as a shell reads it.
    fn line(&self) -> String {
        let words = [self.program.as_os_str()]
            .into_iter()
            .chain(self.arguments());
        let quoted: Vec<String> = words
            .map(|word| shell_word(&word.to_string_lossy()))
            .collect();
        quoted.join(" ")
    }
}

/// A path that survives being written into a script.
fn printable(path: PathBuf) -> Result<PathBuf, LaunchError> {
    let is_printable = path
        .to_str()
        .is_some_and(|text| !text.contains(char::is_control));
    match is_printable {
        true => Ok(path),
        false => Err(LaunchError::Value {
            value: path.to_string_lossy().escape_debug().to_string(),
            what: "a path for other machines",
            rule: "it has letters that no script can carry; move it to a plainer place",
        }),
    }
}

/// The hint for the first of these phrases that a command's last words contain.
fn hint_for(
    error: &OutsideError,
    known: &[(&str, &'static str)],
    other: &'static str,
) -> &'static str {
    let words = error.words().to_ascii_lowercase();
    let found = known.iter().find(|(phrase, _)| words.contains(phrase));
    found.map_or(other, |(_, hint)| hint)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// An invitation as the study writes it: a file that only its owner can read.
    pub(crate) fn invitation(folder: &Path) -> PathBuf {
        let path = folder.join("invitation.json");
        fs::write(&path, "{\"password\":\"hush\"}").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    #[test]
    fn an_invitation_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = invitation(folder.path());
        assert!(NodeCommand::new(Path::new("/bin/sh"), &path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = NodeCommand::new(Path::new("/bin/sh"), &path).unwrap_err();
        assert!(error.to_string().contains("mode 640"), "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }

    #[test]
    fn an_invitation_that_is_not_there_is_named() {
        let error = NodeCommand::new(Path::new("/bin/sh"), Path::new("no/such.json")).unwrap_err();
        assert!(error.to_string().contains("no/such.json"), "{error}");
    }

    #[test]
    fn the_command_of_a_node_names_the_invitation_and_shows_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = invitation(folder.path());
        let line = NodeCommand::new(Path::new("/bin/sh"), &path)
            .unwrap()
            .line();
        assert!(
            line.contains(" worker --join /") && line.ends_with("invitation.json"),
            "{line}"
        );
        assert!(!line.contains("hush"), "{line}");
    }
}
