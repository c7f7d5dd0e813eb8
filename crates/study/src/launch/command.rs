//! Any other engine: three commands of the user's own that start, list and stop nodes.
//!
//! They are run by `sh`. What they need is in variables, never pasted into their text, so nothing has to be
//! quoted and nothing can break out: `LEHR_GROUP`, `LEHR_COUNT`, `LEHR_PROGRAM`, `LEHR_JOIN`, `LEHR_AVOID`,
//! `LEHR_IDS` and `LEHR_HOW`. `docs/cluster/recipes.md` has such commands for known engines.

use std::{collections::BTreeSet, num::NonZeroU32, time::Duration};

use serde::Deserialize;

use super::{
    GroupName, LaunchError, Launcher, NodeCommand, NodeName, Placed, PlacedState, StopHow,
    closed::Closed,
};
use crate::outside::{LIMIT, Outside, OutsideError};

/// Commands may wait for other machines, but not for ever.
const SECONDS_MAX: u64 = 600;

/// The three commands, and how long each may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Starts `LEHR_COUNT` nodes that run `"$LEHR_PROGRAM" worker --join "$LEHR_JOIN"`, and does not wait
    /// for their end.
    pub start: String,
    /// Prints a line for each node of `LEHR_GROUP` that has not ended: `ID STATE NODE REASON`, oldest first.
    /// All but the first may be left out; states are `running`, `waiting`, `held` and `ending`.
    pub list: String,
    /// Stops the nodes in `LEHR_IDS` (by line): tells them to leave if `LEHR_HOW` is `gracefully`, kills
    /// them if it is `now`.
    pub stop: String,
    /// Seconds that each of them may take.
    #[serde(default)]
    pub seconds: Option<u64>,
}

/// Nodes in an engine that only its user's commands know.
#[derive(Clone, Debug)]
pub struct UserCommands {
    group: GroupName,
    node: NodeCommand,
    recipe: Recipe,
}

impl UserCommands {
    /// A launcher for this group.
    ///
    /// # Errors
    /// If a command is empty or may take too long.
    pub fn new(
        group: GroupName,
        node: NodeCommand,
        recipe: Recipe,
    ) -> Result<UserCommands, LaunchError> {
        let commands = [&recipe.start, &recipe.list, &recipe.stop];
        if commands.iter().any(|command| command.trim().is_empty()) {
            return Err(LaunchError::Value {
                value: String::new(),
                what: "a command of a recipe",
                rule: "`start`, `list` and `stop` must all be there",
            });
        }
        if recipe
            .seconds
            .is_some_and(|seconds| seconds == 0 || seconds > SECONDS_MAX)
        {
            return Err(LaunchError::Value {
                value: recipe.seconds.unwrap_or_default().to_string(),
                what: "the time of a command in seconds",
                rule: "it must be between 1 and 600",
            });
        }
        Ok(UserCommands {
            group,
            node,
            recipe,
        })
    }

    /// What would be run to start so many.
    pub fn rehearsal(&self, count: NonZeroU32, avoided: &BTreeSet<NodeName>) -> String {
        let mut text = format!("LEHR_GROUP={}\nLEHR_COUNT={count}\n", self.group);
        text += &format!("LEHR_AVOID='{}'\n", names(avoided));
        text += &format!(
            "LEHR_PROGRAM={}\nLEHR_JOIN={}\n",
            crate::outside::shell_word(&self.node.program().to_string_lossy()),
            crate::outside::shell_word(&self.node.invitation().to_string_lossy())
        );
        text += "export LEHR_GROUP LEHR_COUNT LEHR_AVOID LEHR_PROGRAM LEHR_JOIN\n";
        text + self.recipe.start.trim_end() + "\n"
    }

    fn prepared(&self, command: &str) -> Outside {
        let seconds = self.recipe.seconds.map_or(LIMIT, Duration::from_secs);
        Outside::new("sh")
            .args(["-c", command])
            .variable("LEHR_GROUP", self.group.as_str())
            .variable("LEHR_PROGRAM", self.node.program())
            .variable("LEHR_JOIN", self.node.invitation())
            .limit(seconds)
    }
}

fn names(nodes: &BTreeSet<NodeName>) -> String {
    let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
    names.join(" ")
}

fn failed(action: String) -> impl Fn(OutsideError) -> LaunchError {
    move |cause| LaunchError::Command {
        action: action.clone(),
        cause,
        hint: "run this command of the recipe by hand to see more",
    }
}

fn read_line(command: &str, text: &str) -> Result<Placed, LaunchError> {
    let misread = |rule| LaunchError::Answer {
        line: command.to_string(),
        part: text.to_string(),
        rule,
    };
    let mut words = text.split_whitespace();
    let id = words.next().unwrap_or_default();
    let id = id
        .parse()
        .map_err(|_| misread("a line begins with what the engine calls the node"))?;
    let state = words.next().unwrap_or("running").to_ascii_lowercase();
    let node = words.next().unwrap_or("-");
    let reason = words.collect::<Vec<_>>().join(" ");
    let state = match state.as_str() {
        "running" => PlacedState::Running {
            node: node.parse().ok(),
        },
        "waiting" => PlacedState::Waiting { reason },
        "held" => PlacedState::Held { reason },
        "ending" => PlacedState::Ending,
        _ => {
            return Err(misread(
                "the state is `running`, `waiting`, `held` or `ending`",
            ));
        }
    };
    Ok(Placed { id, state })
}

impl Closed for UserCommands {}

impl Launcher for UserCommands {
    fn placed(&mut self) -> Result<Vec<Placed>, LaunchError> {
        let action = format!("list the nodes of {}", self.group);
        let answer = self
            .prepared(&self.recipe.list)
            .run()
            .map_err(failed(action))?;
        let lines = answer.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(|line| read_line(&self.recipe.list, line))
            .collect()
    }

    fn start(
        &mut self,
        count: NonZeroU32,
        avoided: &BTreeSet<NodeName>,
    ) -> Result<(), LaunchError> {
        self.prepared(&self.recipe.start)
            .variable("LEHR_COUNT", count.to_string())
            .variable("LEHR_AVOID", names(avoided))
            .run()
            .map(|_| ())
            .map_err(failed(format!("start {count} nodes")))
    }

    fn stop(&mut self, stopped: &[Placed], how: StopHow) -> Result<(), LaunchError> {
        let ids: Vec<&str> = stopped.iter().map(|one| one.id.as_str()).collect();
        let how = match how {
            StopHow::Gracefully => "gracefully",
            StopHow::Now => "now",
        };
        self.prepared(&self.recipe.stop)
            .variable("LEHR_IDS", ids.join("\n"))
            .variable("LEHR_HOW", how)
            .run()
            .map(|_| ())
            .map_err(failed(format!("stop {} nodes", stopped.len())))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::launch::tests::invitation;

    fn commands(folder: &Path, list: &str) -> UserCommands {
        let node = NodeCommand::new(Path::new("/bin/true"), &invitation(folder)).unwrap();
        let recipe = Recipe {
            start: format!(
                "echo \"$LEHR_COUNT $LEHR_AVOID $LEHR_JOIN\" > {}/said",
                folder.display()
            ),
            list: list.to_string(),
            stop: format!(
                "printf '%s\\n' $LEHR_HOW $LEHR_IDS > {}/said",
                folder.display()
            ),
            seconds: None,
        };
        UserCommands::new("lehr-moons".parse().unwrap(), node, recipe).unwrap()
    }

    fn said(folder: &Path) -> String {
        std::fs::read_to_string(folder.join("said")).unwrap()
    }

    #[test]
    fn commands_find_what_they_need_in_variables() {
        let folder = tempfile::tempdir().unwrap();
        let mut commands = commands(
            folder.path(),
            "echo a waiting - no room; echo b; echo c running n1",
        );
        let avoided = ["n2".parse().unwrap(), "n3".parse().unwrap()].into();
        commands
            .start(NonZeroU32::new(3).unwrap(), &avoided)
            .unwrap();
        assert!(
            said(folder.path()).starts_with("3 n2 n3 /"),
            "{}",
            said(folder.path())
        );
        let placed = commands.placed().unwrap();
        let reason = "no room".to_string();
        assert_eq!(placed[0].state, PlacedState::Waiting { reason });
        assert_eq!(placed[1].state, PlacedState::Running { node: None });
        let node = Some("n1".parse().unwrap());
        assert_eq!(placed[2].state, PlacedState::Running { node });
        commands.stop(&placed[..2], StopHow::Now).unwrap();
        assert_eq!(said(folder.path()), "now\na\nb\n");
    }

    #[test]
    fn a_listing_that_is_not_understood_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        for list in ["echo a flying", "echo -- running"] {
            let error = commands(folder.path(), list).placed().unwrap_err();
            assert!(error.to_string().contains(list), "{error}");
        }
    }

    #[test]
    fn a_command_that_fails_says_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut commands = commands(folder.path(), "echo 'engine is away' >&2; exit 4");
        let error = commands.placed().unwrap_err().to_string();
        assert!(error.contains("status 4: engine is away"), "{error}");
    }
}
