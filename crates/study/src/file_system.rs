//! Whether a folder lies on a disk of this machine: databases lose what they are given on file systems that others
//! write, too, where locks and `fsync` are promises of a network.

use std::path::Path;

/// Magic numbers of `statfs(2)` under which file locks or `fsync` are not what a database needs. FUSE is not among
/// them: it is as often a local disk, an overlay of a container for one.
const NETWORK_FILE_SYSTEMS: [(u64, &str); 8] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB2"),
    (0x0BD0_0BD0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x00C3_6400, "Ceph"),
    (0x0102_1997, "9P"),
];

/// The network file system on which a folder lies, or will lie when it is made; `None` if it is none, or the
/// system does not say.
pub(crate) fn network_file_system(folder: &Path) -> Option<&'static str> {
    kind_of(magic_of(folder)?)
}

/// What the system says of a folder, or of the nearest one above it that is there.
fn magic_of(folder: &Path) -> Option<u64> {
    // The folder of a relative path with one part is this one, which has an empty name.
    let there = folder.ancestors().find_map(|above| {
        let above = match above.as_os_str().is_empty() {
            true => Path::new("."),
            false => above,
        };
        rustix::fs::statfs(above).ok()
    })?;
    // The type of `f_type` differs between platforms; the magic numbers have 32 bits on all.
    Some(there.f_type as u64 & 0xFFFF_FFFF)
}

fn kind_of(magic: u64) -> Option<&'static str> {
    let mut known = NETWORK_FILE_SYSTEMS.iter();
    known
        .find(|(known, _)| *known == magic)
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_a_network_are_known_by_their_magic_numbers() {
        for (magic, kind) in [
            (0x6969, Some("NFS")),
            (0xFF53_4D42, Some("CIFS")),
            (0xFE53_4D42, Some("SMB2")),
            (0x0BD0_0BD0, Some("Lustre")),
            (0x4750_4653, Some("GPFS")),
            (0x1983_0326, Some("BeeGFS")),
            // ext4, XFS, an overlay, memory, FUSE.
            (0xEF53, None),
            (0x5846_5342, None),
            (0x794C_7630, None),
            (0x0102_1994, None),
            (0x6573_5546, None),
        ] {
            assert_eq!(kind_of(magic), kind, "{magic:#x}");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_yet_lies_where_the_one_above_it_does() {
        // The magic number of /proc, which no disk has.
        for folder in ["/proc", "/proc/self/absent/deeper"] {
            assert_eq!(magic_of(Path::new(folder)), Some(0x9FA0), "{folder}");
        }
        assert_eq!(
            magic_of(Path::new("absent")),
            magic_of(&std::env::current_dir().unwrap())
        );
        assert_eq!(network_file_system(Path::new("/proc")), None);
    }
}
