//! Networks written out as PyTorch modules say what the engine says, whatever layers they have.
//!
//! Needs a Python with `torch` and `safetensors` (`LEHR_PYTHON`, otherwise `python3`). Without one these
//! tests are skipped and say so; with `LEHR_REQUIRE_TORCH=1` they fail.

use std::{collections::BTreeSet, env, fs, path::PathBuf, process::Command};

use morph::{
    Architecture, Shape,
    seeds::{image_seeds, table_seeds},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use train::pytorch::network_module;

use crate::{
    architectures::{random, several_of_any_kind},
    onnx::{ALONE, DrawnNetwork, EVERY_KIND},
};

/// How many kinds of layers there are, of which two only mark the ends.
const KINDS: usize = 24;

fn python() -> Option<String> {
    let python = env::var("LEHR_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let tried = Command::new(&python)
        .args(["-c", "import torch, safetensors, numpy"])
        .output();
    if tried.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let required = env::var("LEHR_REQUIRE_TORCH").is_ok_and(|value| value == "1");
    assert!(!required, "{python} has no torch, but LEHR_REQUIRE_TORCH=1");
    eprintln!(
        "skipped: {python} has no torch, safetensors and numpy; set LEHR_PYTHON to one that has"
    );
    None
}

/// Writes a network with random weights and what it says of drawn inputs; returns the folder.
fn write(name: &str, architecture: &Architecture, rng: &mut ChaCha8Rng) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("pytorch")
        .join(name);
    fs::create_dir_all(&folder).unwrap();
    let DrawnNetwork {
        weights,
        inputs,
        expected,
    } = DrawnNetwork::of(architecture, rng);
    let write = |file: &str, bytes: &[u8]| fs::write(folder.join(file), bytes).unwrap();
    write("network.py", network_module(architecture).as_bytes());
    write("model.safetensors", &weights.to_safetensors());
    write("inputs.json", inputs.to_string().as_bytes());
    write("expected.json", expected.to_string().as_bytes());
    folder
}

/// Networks of every kind of layer, grown seeds, and what is put together at random.
fn architectures(rng: &mut ChaCha8Rng) -> Vec<Architecture> {
    let written = ALONE.iter().chain([&EVERY_KIND]);
    let mut all: Vec<Architecture> = written.map(|text| text.parse().unwrap()).collect();
    let image = Shape::Image {
        channels: 3,
        height: 10,
        width: 12,
    };
    for (_, seed) in table_seeds(7, 3).into_iter().chain(image_seeds(image, 4)) {
        all.push(several_of_any_kind(seed.clone(), rng));
        all.push(seed);
    }
    all.extend((0..80).map(|_| random(rng)));
    all
}

#[test]
fn every_kind_of_layer_says_the_same_in_pytorch() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let architectures = architectures(&mut rng);
    let kinds: BTreeSet<&str> = architectures
        .iter()
        .flat_map(|architecture| architecture.nodes())
        .map(|node| node.layer.kind())
        .collect();
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
    let Some(python) = python() else { return };
    let folders: Vec<PathBuf> = architectures
        .iter()
        .enumerate()
        .map(|(place, architecture)| write(&format!("network-{place}"), architecture, &mut rng))
        .collect();
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tools/pytorch/check_networks.py"
    );
    let output = Command::new(python)
        .arg(script)
        .args(folders)
        .output()
        .unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    let said = format!("{complained}{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{said}");
    println!("{said}");
}

/// A person shall be able to read it: one layer, one line.
#[test]
fn a_network_is_written_out_layer_by_layer() {
    let text = "in 1x8x8 | conv 4 k3 s2 | bn | relu | gap | dense 2";
    let module = network_module(&text.parse().unwrap());
    for line in [
        "self.conv_1 = nn.Conv2d(1, 4, 3, stride=2, padding=1)",
        "self.bn_2 = nn.BatchNorm2d(4, eps=1e-5)",
        "x3 = functional.relu(x2)",
        "# 4 x 4 x 4",
        "self.conv_1.weight.copy_(stored[\"1.weight\"].permute(3, 2, 0, 1))",
        "return x5",
    ] {
        assert!(module.contains(line), "{line}\n{module}");
    }
}
