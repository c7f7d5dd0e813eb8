//! Launching what cannot be launched: every refusal says what was run, what the engine said and what to do,
//! and shows nothing of the invitation. Engines are stand-ins that fail as real ones do.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

mod engines;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use engines::{Nodes, SECRET, write_program};
use tempfile::TempDir;

struct Scene {
    // Dropped in this order: nodes are ended before their folder goes.
    nodes: Nodes,
    place: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let place = tempfile::tempdir().unwrap();
        let nodes = Nodes::in_folder(place.path());
        fs::create_dir(place.path().join("bin")).unwrap();
        Scene { place, nodes }
    }

    /// A stand-in for a program.
    fn program(&self, name: &str, script: &str) -> &Scene {
        let text = format!(
            "#!/bin/bash\nplace={}\n{script}\n",
            self.place.path().display()
        );
        write_program(&self.place.path().join("bin").join(name), &text);
        self
    }

    /// Runs `lehr` with the invitation, and finds engines nowhere but here.
    fn lehr(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_lehr"))
            .args(arguments)
            .arg("--join")
            .arg(self.nodes.invitation())
            .env(
                "PATH",
                format!(
                    "{}:/usr/bin/nowhere:/bin",
                    self.place.path().join("bin").display()
                ),
            )
            .env_remove("SLURM_CONF")
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(
            !said.contains(SECRET) && !said.contains("panicked"),
            "{said}"
        );
        (output.status.code(), said.into_owned())
    }

    fn refused(&self, arguments: &[&str], parts: &[&str]) {
        let (code, said) = self.lehr(arguments);
        assert!(matches!(code, Some(1 | 2)), "{said}");
        for part in parts {
            assert!(said.contains(part), "`{part}` is not said:\n{said}");
        }
    }
}

const SLURM: [&str; 4] = ["launch", "slurm", "--nodes", "2"];

#[test]
fn what_slurm_refuses_is_told_with_its_words_and_a_hint() {
    let scene = Scene::new();
    scene.program("squeue", "true");
    scene.program(
        "sbatch",
        "echo 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1",
    );
    let words = [
        "could not start 2 nodes",
        "sbatch --parsable",
        "status 1",
        "gpuu",
        "`sinfo -s`",
    ];
    scene.refused(&SLURM, &words);
}

#[test]
fn an_engine_that_does_not_answer_is_left_after_its_time() {
    let scene = Scene::new();
    scene.program(
        "squeue",
        "echo 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exec sleep 60",
    );
    scene.refused(
        &SLURM,
        &[
            "squeue",
            "within 10 s",
            "Unable to contact",
            "scontrol ping",
        ],
    );
}

#[test]
fn a_listing_that_is_not_understood_starts_nothing() {
    let scene = Scene::new();
    scene.program("squeue", "echo '7_1|FLYING|n1|None'");
    scene.program("sbatch", "touch $place/started");
    scene.refused(&SLURM, &["7_1|FLYING", "not understood"]);
    assert!(!scene.place.path().join("started").exists());
}

#[test]
fn a_machine_without_slurm_is_told_where_to_go() {
    let scene = Scene::new();
    if Path::new("/bin/squeue").exists() {
        eprintln!("skipped: /bin has a squeue, and this test looks there");
        return;
    }
    scene.refused(&SLURM, &["no program `squeue`", "login node"]);
}

#[test]
fn nodes_that_end_at_once_are_not_started_for_ever() {
    let scene = Scene::new();
    scene.program("squeue", "true");
    scene.program("sbatch", "cat > /dev/null; echo started >> $place/started");
    let arguments = [&SLURM[..], &["--keep", "--every", "20ms"]].concat();
    scene.refused(
        &arguments,
        &["nodes end as soon as they are started", "/logs"],
    );
    let started = fs::read_to_string(scene.place.path().join("started")).unwrap();
    assert!((4..=7).contains(&started.lines().count()), "{started}");
}

#[test]
fn a_wrong_command_line_is_refused_before_any_engine_is_asked() {
    let scene = Scene::new();
    scene.refused(&["launch", "slurm"], &["--nodes"]);
    scene.refused(&["launch", "slurm", "--nodes", "0"], &["--nodes"]);
    scene.refused(
        &["launch", "slurm", "--nodes", "2", "--partition", "a b"],
        &["`a b`", "a name in a cluster"],
    );
    scene.refused(
        &["launch", "slurm", "--nodes", "2", "--time", "3m"],
        &["240 s"],
    );
    scene.refused(
        &["launch", "slurm", "--nodes", "2", "--name", "My Nodes"],
        &["My Nodes", "small letters"],
    );
    scene.refused(&["launch", "kubernetes", "--nodes", "2"], &["--image"]);
    scene.refused(
        &["launch", "kubernetes", "--nodes", "2", "--image", "a b"],
        &["`a b`", "the image"],
    );
    scene.refused(
        &["launch", "command", "--nodes", "2", "--recipe", "no.toml"],
        &["no.toml"],
    );
    let invitation = scene.nodes.invitation();
    fs::set_permissions(&invitation, fs::Permissions::from_mode(0o644)).unwrap();
    scene.refused(&SLURM, &["mode 644", "chmod 600"]);
}

#[test]
fn a_rehearsal_asks_nobody_and_can_be_read() {
    let scene = Scene::new();
    let (code, said) = scene.lehr(&[&SLURM[..], &["--dry-run", "--gpus-per-node", "4"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("sbatch --parsable") && said.contains("--gres=gpu:4"),
        "{said}"
    );
    assert!(said.contains("worker --join"), "{said}");
    let kubernetes = [
        "launch",
        "kubernetes",
        "--nodes",
        "2",
        "--image",
        "lehr:1",
        "--dry-run",
    ];
    let (code, said) = scene.lehr(&kubernetes);
    assert_eq!(code, Some(0), "{said}");
    let manifest: serde_json::Value =
        serde_json::from_str(&said).expect("the manifest alone is printed");
    assert_eq!(manifest["kind"], "Job");
}
