//! `lehr worker --join`: a slave node that joins a study by itself, wherever it was started.

use std::{
    env, fs,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, Result};
use serde_json::json;
use study::{
    cluster::node::{Farewell, NodeOptions, run},
    config::Resources,
    desk::Happening,
    explore::now,
    launch::{NODE_VARIABLE, PLACED_VARIABLE},
    trial::WorkerName,
};

use crate::{Ended, Outcome, args::JoinArgs, settings::trainer_memory_bytes, tell};

/// Variables in which engines say how many processors a process was given.
const PROCESSORS: [&str; 2] = ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"];

pub(crate) fn join(args: &JoinArgs, invitation: &Path) -> Result<Outcome> {
    let leave = Arc::new(AtomicBool::new(false));
    // Slurm and Kubernetes end a process by SIGTERM; USR1 is what Slurm sends ahead of time where asked to.
    for signal in [
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGUSR1,
        signal_hook::consts::SIGINT,
    ] {
        signal_hook::flag::register(signal, Arc::clone(&leave))
            .context("could not listen for signals")?;
    }
    let options = options(args)?;
    tell(&format!(
        "{} on {} joins with {} trainer(s)",
        options.name, options.host, options.resources.slots
    ));
    // The same lines as in the log of the study, which the master writes.
    let log = |happening: &Happening| {
        tell(&json!({ "at": now(), "happening": happening }).to_string());
    };
    let farewell = run(invitation, &options, &leave, &log)?;
    let (said, ended) = match farewell {
        Farewell::Over => ("the study is over", Ended::Done),
        Farewell::Told => ("told to leave: its trials wait for others", Ended::Done),
        Farewell::Quarantined => (
            "its trainers died one after the other: look at this machine before it is used again",
            Ended::Unfit,
        ),
    };
    tell(&format!("{} leaves: {said}", options.name));
    Ok(Outcome {
        text: String::new(),
        ended,
    })
}

fn options(args: &JoinArgs) -> Result<NodeOptions> {
    let host = match env::var(NODE_VARIABLE) {
        Ok(host) => host,
        Err(_) => fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or("somewhere".into()),
    };
    let host = host.trim().to_string();
    let placed = env::var(PLACED_VARIABLE).ok();
    // A process number is unique on a machine only, and may come again after a restart.
    let own = placed.unwrap_or_else(|| format!("{host}-{}", std::process::id()));
    let name = args.name.clone().unwrap_or(own);
    let threads = args.threads.max(1);
    let slots = args.slots.unwrap_or_else(|| {
        let slots = processors() / usize::from(threads);
        u16::try_from(slots.max(1)).unwrap_or(u16::MAX)
    });
    let scratch = args.scratch.clone().unwrap_or_else(env::temp_dir);
    Ok(NodeOptions {
        name: WorkerName(name),
        host,
        resources: Resources {
            workers: 1,
            slots,
            threads,
            memory_bytes_max: trainer_memory_bytes(args.memory_mib, u64::from(slots.max(1))),
        },
        // Others may use the same folder for temporary files.
        scratch: scratch.join(format!("lehr-{}", rustix::process::geteuid().as_raw())),
        cache_bytes_max: args.cache_mib << 20,
    })
}

/// What this process was given: by its engine, by affinity or by its control group, whichever is least.
fn processors() -> usize {
    let seen = std::thread::available_parallelism().map_or(1, usize::from);
    let told = PROCESSORS
        .iter()
        .find_map(|name| env::var(name).ok()?.parse().ok());
    told.map_or(seen, |told: usize| told.min(seen)).max(1)
}
