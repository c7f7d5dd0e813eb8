//! Recipes for engines that lehr does not know: those of docs/cluster/recipes.md are read from that page and
//! run, SSH with a stand-in that runs what it is told on this machine.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod engines;

use std::{env, fs, path::Path, process::Command};

use engines::{Nodes, until, write_program};
use tempfile::TempDir;

/// A page's recipe of this name.
fn recipe(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cluster/recipes.md");
    let page = fs::read_to_string(page).unwrap();
    let begin = format!("<!-- recipe: {name} -->\n```toml\n");
    let (_, rest) = page.split_once(&begin).expect("the page has such a recipe");
    rest.split("```").next().unwrap().to_string()
}

/// Each host is a home of its own; one of them cannot be reached.
const SSH: &str = r#"#!/bin/bash
place=$(dirname "$0")/..
while [ "$1" = -o ]; do shift 2; done
host=$1; shift
[ "$host" = gpu2 ] && { echo "ssh: connect to host gpu2: No route to host" >&2; exit 255; }
mkdir -p "$place/$host"
HOME=$place/$host exec sh -c "$*"
"#;

struct Scene {
    // Dropped in this order: nodes are ended before their folder goes.
    nodes: Nodes,
    place: TempDir,
}

impl Scene {
    fn new(recipe: &str) -> Scene {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("bin")).unwrap();
        write_program(&place.path().join("bin/ssh"), SSH);
        fs::write(place.path().join("recipe.toml"), recipe).unwrap();
        let nodes = Nodes::in_folder(place.path());
        Scene { nodes, place }
    }

    fn launch(&self, arguments: &[&str]) -> String {
        let path = env::var("PATH").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_lehr"))
            .args(["launch", "command"])
            .args(arguments)
            .arg("--recipe")
            .arg(self.place.path().join("recipe.toml"))
            .arg("--program")
            .arg(self.nodes.program())
            .arg("--join")
            .arg(self.nodes.invitation())
            .env(
                "PATH",
                format!("{}:{path}", self.place.path().join("bin").display()),
            )
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        said.into_owned()
    }
}

#[test]
fn over_ssh_every_host_that_can_be_reached_gets_one_node() {
    let scene = Scene::new(&recipe("ssh"));
    assert!(scene.launch(&["--nodes", "2"]).contains("2 started"));
    until("both have begun", || scene.nodes.events().len() == 2);
    let hosts = ["gpu1 gpu1 began", "gpu3 gpu3 began"];
    let events = scene.nodes.events();
    assert!(
        hosts
            .iter()
            .all(|host| events.iter().any(|event| event.starts_with(host))),
        "{events:?}"
    );
    let said = scene.launch(&["--nodes", "2"]);
    assert!(said.contains("2 ran and 0 waited; 0 started"), "{said}");
    assert!(scene.launch(&["--nodes", "1"]).contains("1 stopped"));
    until("one has left", || scene.nodes.processes().len() == 1);
    scene.nodes.kill(scene.nodes.processes()[0]);
    until("none is left", || scene.nodes.processes().is_empty());
    assert!(
        scene
            .launch(&["--nodes", "1"])
            .contains("0 ran and 0 waited; 1 started")
    );
    until("the dead one is replaced", || {
        scene.nodes.processes().len() == 1
    });
    assert!(
        scene
            .launch(&["--stop"])
            .contains("1 nodes were there; 0 of them had to be killed")
    );
}

#[test]
fn every_recipe_of_the_page_has_all_that_a_recipe_needs() {
    for name in ["ssh", "ray"] {
        let scene = Scene::new(&recipe(name));
        let said = scene.launch(&["--nodes", "2", "--dry-run"]);
        assert!(
            said.contains("LEHR_COUNT=2") && said.contains("LEHR_PROGRAM"),
            "{said}"
        );
    }
}

/// Processes of this machine as nodes; the engine is the shell.
const SHELL_RECIPE: &str = r#"
start = '''
mkdir -p "$PLACE"
for i in $(seq "$LEHR_COUNT"); do
    LEHR_PLACED=shell-$i-$$ setsid "$LEHR_PROGRAM" worker --join "$LEHR_JOIN" >/dev/null 2>&1 </dev/null &
    echo $! > "$PLACE/$!"
done
'''
list = '''
for file in "$PLACE"/*; do
    [ -e "$file" ] || continue
    pid=$(basename "$file")
    # One that is dead and not yet buried has a number, but no command line.
    if grep -qs . "/proc/$pid/cmdline"; then echo "$pid running here"; else rm "$file"; fi
done
'''
stop = '''
signal=TERM; [ "$LEHR_HOW" = now ] && signal=KILL
for pid in $LEHR_IDS; do kill -$signal "$pid" 2>/dev/null || true; done
'''
"#;

#[test]
fn three_commands_of_the_user_are_a_launcher_too() {
    let scene = Scene::new("");
    let pids = scene.place.path().join("pids");
    let recipe = SHELL_RECIPE.replace("$PLACE", pids.to_str().unwrap());
    fs::write(scene.place.path().join("recipe.toml"), recipe).unwrap();
    assert!(scene.launch(&["--nodes", "3"]).contains("3 started"));
    until("all have begun", || scene.nodes.events().len() == 3);
    scene.nodes.kill(scene.nodes.processes()[0]);
    until("the dead one is gone", || {
        scene.nodes.processes().len() == 2
    });
    assert!(scene.launch(&["--nodes", "3"]).contains("1 started"));
    assert!(scene.launch(&["--nodes", "1"]).contains("2 stopped"));
    until("two have left", || scene.nodes.processes().len() == 1);
    assert!(
        scene
            .launch(&["--stop"])
            .contains("1 nodes were there; 0 of them had to be killed")
    );
}

/// A node that says that it is leaving once it is told to, and has left when it was looked at LOOKS more times.
const LEAVING_RECIPE: &str = r#"
start = 'true'
list = '''
[ -e "$PLACE/killed" ] && exit 0
[ -e "$PLACE/told" ] || { echo "7 running here"; exit 0; }
echo look >> "$PLACE/looks"
[ "$(wc -l < "$PLACE/looks")" -gt LOOKS ] || echo "7 ending"
'''
stop = '''
echo "$LEHR_HOW" $LEHR_IDS >> "$PLACE/told"
[ "$LEHR_HOW" = gracefully ] || touch "$PLACE/killed"
'''
"#;

/// Stops a node that leaves after so many looks; what was printed, and what the engine was told.
fn stopped_while_leaving(looks: u32, grace: &str) -> (String, String) {
    let scene = Scene::new("");
    let place = scene.place.path().to_str().unwrap();
    let recipe = LEAVING_RECIPE.replace("LOOKS", &looks.to_string());
    let recipe = recipe.replace("$PLACE", place);
    fs::write(scene.place.path().join("recipe.toml"), recipe).unwrap();
    let said = scene.launch(&["--stop", "--grace", grace]);
    let told = fs::read_to_string(scene.place.path().join("told")).unwrap();
    (said, told)
}

#[test]
fn a_node_that_is_leaving_is_waited_for_and_killed_when_its_grace_is_over() {
    let (said, told) = stopped_while_leaving(2, "1m");
    assert!(
        said.contains("1 nodes were there; 0 of them had to be killed"),
        "{said}"
    );
    assert_eq!(told, "gracefully 7\n");
    let (said, told) = stopped_while_leaving(1_000, "1s");
    assert!(
        said.contains("1 nodes were there; 1 of them had to be killed"),
        "{said}"
    );
    assert_eq!(told, "gracefully 7\nnow 7\n");
}
