//! `lehr doctor`: what this machine offers, and whether anything stands in the way.

use std::{env, fs, thread};

use anyhow::Result;
use serde_json::json;
use study::trial::Bytes;

use crate::{args::DoctorArgs, settings, show};

pub(crate) fn run(args: &DoctorArgs) -> Result<String> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let memory = settings::free_memory_bytes();
    let features = cpu_features();
    let writable = writable_here();
    if args.json {
        return Ok(show::pretty_json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cores": cores,
            "free_memory_bytes": memory,
            "cpu_features": features,
            "writable_here": writable.is_ok(),
        })));
    }
    let memory = memory.map_or("unknown".to_string(), |bytes| Bytes(bytes).to_string());
    let mut text = format!("lehr      {}\n", env!("CARGO_PKG_VERSION"));
    text += &format!("cores     {cores}: as many trainers by default\n");
    text += &format!("memory    {memory} free\n");
    text += &format!("cpu       {}\n", features.join(", "));
    match writable {
        Ok(()) => text += "folder    this one can be written\n",
        Err(error) => text += &format!("folder    this one cannot be written: {error}\n"),
    }
    Ok(text)
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let known = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
    ];
    let found: Vec<&str> = known
        .iter()
        .filter(|(_, found)| *found)
        .map(|(name, _)| *name)
        .collect();
    if found.is_empty() {
        vec!["no vector units that lehr uses"]
    } else {
        found
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    vec!["the portable kernels are used"]
}

fn writable_here() -> std::io::Result<()> {
    let path = env::current_dir()?.join(format!(".lehr-doctor-{}", std::process::id()));
    fs::write(&path, b"")?;
    fs::remove_file(&path)
}
