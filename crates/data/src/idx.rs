//! IDX, the format of MNIST: a magic number, extents, bytes; plain or gzipped whatever the name says.

use std::path::{Path, PathBuf};

use crate::{
    error::DataError,
    limits::ReadLimits,
    table::text::{malformed, read_bytes},
};

/// Magic numbers: unsigned bytes with one extent, and with three.
const LABELS: u32 = 0x0000_0801;
const IMAGES: u32 = 0x0000_0803;

/// Images and their labels.
pub(crate) struct ReadIdx {
    pub(crate) height: u32,
    pub(crate) width: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) labels: Vec<u8>,
}

/// The pair of files that belong together.
pub(crate) struct Pair {
    pub(crate) images: PathBuf,
    pub(crate) labels: PathBuf,
}

/// Whether a file's name is that of IDX images.
pub(crate) fn is_images_file(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().contains("images-idx3-ubyte"))
}

/// The training pair in a folder, and the test pair if there is one.
pub(crate) fn pairs_in(folder: &Path) -> Option<(Pair, Option<Pair>)> {
    let train = pair_named(folder, "train")?;
    Some((
        train,
        pair_named(folder, "t10k").or_else(|| pair_named(folder, "test")),
    ))
}

fn pair_named(folder: &Path, prefix: &str) -> Option<Pair> {
    let find = |what: &str| {
        ["", ".gz"]
            .iter()
            .map(|end| folder.join(format!("{prefix}-{what}{end}")))
            .find(|path| path.is_file())
    };
    Some(Pair {
        images: find("images-idx3-ubyte")?,
        labels: find("labels-idx1-ubyte")?,
    })
}

/// The labels file that lies beside an images file.
pub(crate) fn pair_of(images: &Path) -> Result<Pair, DataError> {
    let name = images.file_name().unwrap_or_default().to_string_lossy();
    let stem = name
        .split("images-idx3-ubyte")
        .next()
        .unwrap_or_default()
        .to_string();
    let found = ["", ".gz"]
        .iter()
        .map(|end| images.with_file_name(format!("{stem}labels-idx1-ubyte{end}")))
        .find(|path| path.is_file());
    match found {
        Some(labels) => Ok(Pair {
            images: images.to_path_buf(),
            labels,
        }),
        None => {
            let problem =
                format!("its labels, {stem}labels-idx1-ubyte or .gz, do not lie beside it");
            Err(malformed(images, problem))
        }
    }
}

/// Reads a pair.
pub(crate) fn read(pair: &Pair, limits: &ReadLimits) -> Result<ReadIdx, DataError> {
    let (extents, bytes) = read_array(&pair.images, IMAGES, limits)?;
    let (label_extents, labels) = read_array(&pair.labels, LABELS, limits)?;
    if extents[0] != label_extents[0] {
        let problem = format!(
            "it has {} images, but {} has {} labels",
            extents[0],
            pair.labels.display(),
            label_extents[0]
        );
        return Err(malformed(&pair.images, problem));
    }
    Ok(ReadIdx {
        height: extents[1],
        width: extents[2],
        bytes,
        labels,
    })
}

/// The images of a file, without labels.
pub(crate) fn read_images(
    path: &Path,
    limits: &ReadLimits,
) -> Result<(u32, u32, Vec<u8>), DataError> {
    let (extents, bytes) = read_array(path, IMAGES, limits)?;
    Ok((extents[1], extents[2], bytes))
}

fn read_array(
    path: &Path,
    magic: u32,
    limits: &ReadLimits,
) -> Result<(Vec<u32>, Vec<u8>), DataError> {
    let bytes = read_bytes(path, limits)?;
    let count = (magic & 0xff) as usize;
    let word = |index: usize| {
        bytes
            .get(4 * index..4 * index + 4)
            .map(|four| u32::from_be_bytes(four.try_into().expect("four bytes were taken")))
    };
    let found = word(0).unwrap_or(0);
    if found != magic {
        let problem =
            format!("its magic number is {found:#010x}, that of such an IDX file is {magic:#010x}");
        return Err(malformed(path, problem));
    }
    let extents: Option<Vec<u32>> = (1..=count).map(word).collect();
    let extents = extents.ok_or_else(|| malformed(path, "it ends within its header".into()))?;
    let needed = extents
        .iter()
        .try_fold(1_u64, |n, extent| n.checked_mul(u64::from(*extent)));
    let data = &bytes[4 * (count + 1)..];
    if needed != Some(data.len() as u64) {
        let needed = needed.map_or("more than any file has".to_string(), |n| n.to_string());
        let problem = format!(
            "its header says {extents:?}, which is {needed} bytes; {} bytes follow",
            data.len()
        );
        return Err(malformed(path, problem));
    }
    if extents.contains(&0) {
        return Err(malformed(
            path,
            format!("its header says {extents:?}: nothing is in it"),
        ));
    }
    Ok((extents, data.to_vec()))
}
