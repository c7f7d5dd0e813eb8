//! Nodes as children of this process: the engine of one machine.
//!
//! They end with the launcher: when it is dropped, they are told to leave, and killed if they do not. One whose
//! launcher was killed lives on, so no name is given twice by any launcher of any machine.
//! Unlike the workers that `explore` starts with pipes, these join through an invitation as all others do.

use std::{
    collections::BTreeSet,
    fs::{self, OpenOptions},
    num::NonZeroU32,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    LaunchError, Launcher, MACHINE_UNFIT, NODE_VARIABLE, NodeCommand, NodeName, PLACED_VARIABLE,
    Placed, PlacedId, PlacedState, StopHow, closed::Closed,
};

/// How long children may take to leave when their launcher is dropped.
const LEAVE: Duration = Duration::from_secs(5);

/// Nodes on this machine.
#[derive(Debug)]
pub struct Local {
    node: NodeCommand,
    logs: PathBuf,
    host: NodeName,
    children: Vec<Running>,
    started: u32,
    /// Whether a node has ended because trainers die here.
    is_unfit: bool,
}

#[derive(Debug)]
struct Running {
    id: PlacedId,
    process: Child,
    is_leaving: bool,
}

impl Local {
    /// A launcher whose children write what they print into this folder.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn new(node: NodeCommand, logs: &Path) -> Result<Local, LaunchError> {
        fs::create_dir_all(logs).map_err(|source| LaunchError::System {
            action: "make the folder",
            path: logs.to_path_buf(),
            source,
        })?;
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        Ok(Local {
            node,
            logs: logs.to_path_buf(),
            host: host.parse().or_else(|_| "localhost".parse())?,
            children: Vec::new(),
            started: 0,
            is_unfit: false,
        })
    }

    fn start_one(&mut self) -> Result<(), LaunchError> {
        self.started += 1;
        let (host, launcher) = (&self.host, std::process::id());
        let id: PlacedId = format!("{host}-{launcher}-{}", self.started).parse()?;
        let log = self.logs.join(format!("{id}.log"));
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| LaunchError::System {
                action,
                path,
                source,
            }
        };
        let opened = OpenOptions::new().create(true).append(true).open(&log);
        let output = opened.map_err(failed("open", &log))?;
        let complaints = output.try_clone().map_err(failed("open", &log))?;
        let process = Command::new(self.node.program())
            .args(self.node.arguments())
            .env(NODE_VARIABLE, self.host.as_str())
            .env(PLACED_VARIABLE, id.as_str())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(complaints)
            // Ctrl-C is for the launcher, which then tells everybody in order.
            .process_group(0)
            .spawn()
            .map_err(failed("start", self.node.program()))?;
        self.children.push(Running {
            id,
            process,
            is_leaving: false,
        });
        Ok(())
    }

    /// Forgets those that have ended.
    fn bury(&mut self) {
        let is_unfit = &mut self.is_unfit;
        self.children
            .retain_mut(|child| match child.process.try_wait() {
                Ok(None) => true,
                Ok(Some(status)) => {
                    *is_unfit |= status.code() == Some(i32::from(MACHINE_UNFIT));
                    false
                }
                // One that cannot be asked is not ours any more.
                Err(_) => false,
            });
    }
}

fn tell(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It has not been waited for, so the number is still its own; gone is as good as told.
        let _ = kill_process(pid, signal);
    }
}

impl Closed for Local {}

impl Launcher for Local {
    fn placed(&mut self) -> Result<Vec<Placed>, LaunchError> {
        self.bury();
        let host = &self.host;
        let placed = self.children.iter().map(|child| Placed {
            id: child.id.clone(),
            state: match child.is_leaving {
                true => PlacedState::Ending,
                false => PlacedState::Running {
                    node: Some(host.clone()),
                },
            },
        });
        Ok(placed.collect())
    }

    /// There is no other machine: if this one is to be avoided, or trainers die here, nothing is started.
    fn start(
        &mut self,
        count: NonZeroU32,
        avoided: &BTreeSet<NodeName>,
    ) -> Result<(), LaunchError> {
        self.bury();
        if self.is_unfit || avoided.contains(&self.host) {
            return Ok(());
        }
        (0..count.get()).try_for_each(|_| self.start_one())
    }

    fn stop(&mut self, stopped: &[Placed], how: StopHow) -> Result<(), LaunchError> {
        self.bury();
        for child in &mut self.children {
            if stopped.iter().any(|one| one.id == child.id) {
                child.is_leaving = true;
                match how {
                    StopHow::Gracefully => tell(&child.process, Signal::TERM),
                    StopHow::Now => tell(&child.process, Signal::KILL),
                }
            }
        }
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        for child in &self.children {
            tell(&child.process, Signal::TERM);
        }
        let start = Instant::now();
        while !self.children.is_empty() && start.elapsed() < LEAVE {
            self.bury();
            thread::sleep(Duration::from_millis(10));
        }
        for child in &mut self.children {
            // Whatever it still does, nobody would look after it.
            let _ = child.process.kill();
            let _ = child.process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::launch::tests::invitation;

    /// A launcher of shells that leave when told to, or do not.
    fn local(folder: &Path, when_told: &str) -> Local {
        let program = folder.join("node");
        let script = format!(
            "#!/bin/sh\ntrap '{when_told}' TERM\necho \"$LEHR_PLACED ready\"\n\
             for i in $(seq 100); do sleep 0.1; done\n"
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let node = NodeCommand::new(&program, &invitation(folder)).unwrap();
        Local::new(node, &folder.join("logs")).unwrap()
    }

    fn start(launcher: &mut Local, count: u32) {
        let count = NonZeroU32::new(count).unwrap();
        launcher.start(count, &BTreeSet::new()).unwrap();
    }

    fn until(mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < Duration::from_secs(10), "still not so");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn until_ready(folder: &Path, launcher: &Local) {
        let log = |child: &Running| folder.join(format!("logs/{}.log", child.id));
        let is_ready =
            |child: &Running| fs::read_to_string(log(child)).is_ok_and(|it| it.contains("ready"));
        until(|| launcher.children.iter().all(is_ready));
    }

    #[test]
    fn children_are_listed_told_to_leave_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut launcher = local(folder.path(), "exit 0");
        start(&mut launcher, 2);
        until_ready(folder.path(), &launcher);
        let placed = launcher.placed().unwrap();
        assert_eq!(placed.len(), 2);
        launcher.stop(&placed[..1], StopHow::Gracefully).unwrap();
        until(|| launcher.placed().unwrap().len() == 1);
        assert_eq!(launcher.placed().unwrap()[0].id, placed[1].id);
        start(&mut launcher, 1);
        let third = &launcher.placed().unwrap()[1].id;
        assert!(
            placed.iter().all(|one| one.id != *third),
            "{third} is used twice"
        );
    }

    #[test]
    fn a_name_tells_the_machine_and_the_launcher_apart_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut launcher = local(folder.path(), "exit 0");
        start(&mut launcher, 1);
        let name = &launcher.placed().unwrap()[0].id;
        let expected = format!("{}-{}-1", launcher.host, std::process::id());
        assert_eq!(name.as_str(), expected);
    }

    #[test]
    fn nothing_more_is_started_where_a_node_has_found_that_trainers_die() {
        let folder = tempfile::tempdir().unwrap();
        let mut launcher = local(folder.path(), "exit 78");
        start(&mut launcher, 1);
        until_ready(folder.path(), &launcher);
        let placed = launcher.placed().unwrap();
        launcher.stop(&placed, StopHow::Gracefully).unwrap();
        until(|| launcher.placed().unwrap().is_empty());
        start(&mut launcher, 2);
        assert_eq!(launcher.placed().unwrap(), []);
    }

    #[test]
    fn one_that_does_not_listen_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut launcher = local(folder.path(), "echo no");
        start(&mut launcher, 1);
        until_ready(folder.path(), &launcher);
        let placed = launcher.placed().unwrap();
        launcher.stop(&placed, StopHow::Gracefully).unwrap();
        assert_eq!(launcher.placed().unwrap()[0].state, PlacedState::Ending);
        launcher.stop(&placed, StopHow::Now).unwrap();
        until(|| launcher.placed().unwrap().is_empty());
    }

    #[test]
    fn children_end_with_their_launcher() {
        let folder = tempfile::tempdir().unwrap();
        let mut launcher = local(folder.path(), "exit 0");
        start(&mut launcher, 1);
        until_ready(folder.path(), &launcher);
        let process = launcher.children[0].process.id();
        drop(launcher);
        assert!(!Path::new(&format!("/proc/{process}")).exists());
    }

    #[test]
    fn nothing_is_started_on_a_machine_that_is_avoided() {
        let folder = tempfile::tempdir().unwrap();
        let mut launcher = local(folder.path(), "exit 0");
        let here = [launcher.host.clone()].into();
        launcher.start(NonZeroU32::MIN, &here).unwrap();
        assert_eq!(launcher.placed().unwrap(), []);
    }
}
