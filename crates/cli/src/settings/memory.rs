//! How much memory this process may have, and what of it each trainer gets.
//!
//! The least of three counts: what the machine has free, what the control groups of this process leave, and what
//! Slurm gave its job. Who takes more is killed, and what was trained counts as a crash.
//! Control groups: `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/memory.rst` of Linux.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Share of the free memory that all trainers together may have.
const MEMORY_SHARE: f64 = 0.8;

/// How one version of control groups calls what it says about memory.
struct Version {
    /// Where its groups are mounted.
    root: &'static str,
    /// What stands beside the path of a process's group.
    controller: &'static str,
    limit: &'static str,
    used: &'static str,
    /// Of the file with the details, pages of files: they are given back when somebody needs memory.
    cached: [&'static str; 2],
}

static FIRST: Version = Version {
    root: "/sys/fs/cgroup/memory",
    controller: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: ["total_active_file", "total_inactive_file"],
};

static SECOND: Version = Version {
    root: "/sys/fs/cgroup",
    controller: "",
    limit: "memory.max",
    used: "memory.current",
    cached: ["active_file", "inactive_file"],
};

/// Memory of each of so many trainers: as was said, or its share of what is free.
pub(crate) fn trainer_memory_bytes(said_mib: Option<u64>, trainers: u64) -> Option<u64> {
    let share = |bytes: u64| (bytes as f64 * MEMORY_SHARE) as u64 / trainers;
    said_mib
        .map(|mib| mib << 20)
        .or_else(|| free_memory_bytes().map(share))
}

/// Memory that this process may still have, if anything says how much that is.
pub(crate) fn free_memory_bytes() -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(path).ok();
    let machine = read(Path::new("/proc/meminfo")).and_then(|text| available_bytes(&text));
    let memberships = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    let groups = left_by_groups(&memberships, read);
    let slurm = given_by_slurm(|name| env::var(name).ok());
    [machine, groups, slurm].into_iter().flatten().min()
}

/// What `/proc/meminfo` says is free on the machine.
fn available_bytes(text: &str) -> Option<u64> {
    let kibibytes = value_of(text, "MemAvailable:")?;
    kibibytes.checked_mul(1 << 10)
}

/// The number behind this word, at the beginning of a line.
fn value_of(text: &str, word: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    let mut found = lines.find_map(|mut words| (words.next() == Some(word)).then_some(words))?;
    found.next()?.parse().ok()
}

/// What the groups of a process leave: `memberships` is its `/proc/self/cgroup`, `read` reads the files of groups.
fn left_by_groups(memberships: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    [&FIRST, &SECOND]
        .into_iter()
        .flat_map(|version| {
            let group = group_of(memberships, version);
            places(version, &group)
                .into_iter()
                .filter_map(|place| left(version, &place, &read))
                .collect::<Vec<_>>()
        })
        .min()
}

/// The group that counts the memory of a process, by its path within the mount; the root's where it is in none.
fn group_of(memberships: &str, version: &Version) -> String {
    let path = memberships.lines().find_map(|line| {
        let fields: Vec<&str> = line.splitn(3, ':').collect();
        let [_, controllers, path] = fields[..] else {
            return None;
        };
        let is_it = controllers.split(',').any(|one| one == version.controller);
        is_it.then(|| path.to_string())
    });
    path.unwrap_or_default()
}

/// A group and all that it is within: the least limit counts. Within a container the path may be that of the machine,
/// and only the root is there.
fn places(version: &Version, group: &str) -> Vec<PathBuf> {
    let root = Path::new(version.root);
    let place = root.join(group.trim_start_matches('/'));
    let within = place.ancestors().take_while(|one| one.starts_with(root));
    within.map(Path::to_path_buf).collect()
}

/// What one group leaves; `None` where it limits nothing.
fn left(version: &Version, place: &Path, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let number = |name: &str| -> Option<u64> { read(&place.join(name))?.trim().parse().ok() };
    let limit = number(version.limit)?;
    let used = number(version.used).unwrap_or(0);
    let details = read(&place.join("memory.stat")).unwrap_or_default();
    let cached = version
        .cached
        .iter()
        .filter_map(|word| value_of(&details, word));
    Some(limit.saturating_sub(used.saturating_sub(cached.sum())))
}

/// What Slurm gave the job on this machine: it counts in MiB, and where it counts by processors, in those of the job.
fn given_by_slurm(variable: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |name: &str| -> Option<u64> { variable(name)?.trim().parse().ok() };
    let of_node = number("SLURM_MEM_PER_NODE");
    let of_processors = || -> Option<u64> {
        number("SLURM_MEM_PER_CPU")?.checked_mul(number("SLURM_CPUS_ON_NODE")?)
    };
    // Nought is all that the machine has.
    let mib = of_node.or_else(of_processors).filter(|mib| *mib > 0)?;
    mib.checked_mul(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What groups leave a process whose files are these.
    fn left_of(memberships: &str, files: &[(&str, &str)]) -> Option<u64> {
        left_by_groups(memberships, |path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_string())
        })
    }

    #[test]
    fn a_machine_says_what_is_available_in_kibibytes() {
        let text = "MemTotal:       16000000 kB\nMemAvailable:    1000 kB\n";
        assert_eq!(available_bytes(text), Some(1_024_000));
        assert_eq!(available_bytes("MemFree: 7 kB\n"), None);
    }

    #[test]
    fn the_least_limit_of_a_group_and_of_all_it_is_within_counts() {
        let files = [
            ("/sys/fs/cgroup/slurm/job_7/memory.max", "5000\n"),
            ("/sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n"),
            ("/sys/fs/cgroup/slurm/memory.max", "9000\n"),
            ("/sys/fs/cgroup/other/memory.max", "1\n"),
        ];
        assert_eq!(left_of("0::/slurm/job_7/step_0\n", &files), Some(5000));
        assert_eq!(left_of("0::/slurm\n", &files), Some(9000));
        assert_eq!(left_of("0::/../elsewhere\n", &files), None);
    }

    #[test]
    fn groups_of_the_first_version_are_found_by_their_controller() {
        let memberships = "9:name=systemd:/\n4:cpuset,memory:/slurm/uid_1/job_7\n0::/\n";
        let root = "/sys/fs/cgroup/memory";
        let job = format!("{root}/slurm/uid_1/job_7/memory.limit_in_bytes");
        let unlimited = format!("{root}/memory.limit_in_bytes");
        let files = [
            (job.as_str(), "4096\n"),
            (unlimited.as_str(), "9223372036854771712\n"),
        ];
        assert_eq!(left_of(memberships, &files), Some(4096));
        // In a container only its own root is there, under the path of the machine.
        let own = [(unlimited.as_str(), "2048\n")];
        assert_eq!(left_of("4:memory:/docker/1f\n", &own), Some(2048));
    }

    #[test]
    fn what_a_group_has_taken_is_gone_but_for_pages_of_files() {
        let files = [
            ("/sys/fs/cgroup/memory.max", "10000\n"),
            ("/sys/fs/cgroup/memory.current", "7000\n"),
            (
                "/sys/fs/cgroup/memory.stat",
                "anon 4000\nactive_file 1000\ninactive_file 2000\nshmem 1\n",
            ),
        ];
        assert_eq!(left_of("0::/\n", &files), Some(6000));
        assert_eq!(left_of("", &files[..2]), Some(3000));
        assert_eq!(left_of("0::/\n", &[]), None);
    }

    #[test]
    fn slurm_counts_by_the_node_or_by_its_processors() {
        let given = |variables: &[(&str, &str)]| {
            given_by_slurm(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_string())
            })
        };
        assert_eq!(given(&[("SLURM_MEM_PER_NODE", "4096")]), Some(4 << 30));
        let by_processors = [("SLURM_MEM_PER_CPU", "512"), ("SLURM_CPUS_ON_NODE", "4")];
        assert_eq!(given(&by_processors), Some(2 << 30));
        assert_eq!(given(&by_processors[..1]), None);
        assert_eq!(given(&[("SLURM_MEM_PER_NODE", "0")]), None);
        assert_eq!(given(&[]), None);
    }
}
