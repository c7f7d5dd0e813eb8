//! Images that are too many to be held: which of them are, and the others, one small batch at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    thread,
};

use super::{
    Row,
    decode::{self, Size},
    entries::{self, Item, Survey},
    item_bytes,
};
use crate::{
    error::DataError,
    examples::{Examples, Targets},
    fitted::FittedTask,
    large::{Counted, RestTask, Unheld, threads},
    limits::ReadLimits,
    notice::Notice,
    preprocess::unfit,
    roles::Part,
    source::{Dataset, Images, RawTargets},
    table::{chosen::mixed, flow::FileContent},
};

/// Of the pixels that may be held, this share is that of chosen images.
const CHOSEN_SHARE: f64 = 0.5;

/// Rows that were given to be scored get so much less room than those to learn from.
const SCORED_SHARE: f64 = 0.25;

/// So many images of every class are chosen at least, if there are as many.
const CLASS_ROWS: usize = 20;

/// Where there is no room for as many of every class, no fewer than these are chosen: one to learn from, one to
/// validate and one for the vault.
const CLASS_ROWS_MIN: usize = 3;

/// Bytes of images that are decoded at once: of their files, or of what they become where that is more. A small file
/// may hold many pixels.
const BATCH_BYTES: usize = 16 << 20;

/// Images that are not held.
#[derive(Clone, Debug)]
pub(crate) struct ImagesRest {
    path: PathBuf,
    size: Size,
    /// Sorted by their paths.
    images: Vec<Image>,
    content: FileContent,
}

/// An image that is not held.
#[derive(Clone, Debug)]
struct Image {
    path: String,
    class: String,
    /// Of its file.
    hash: blake3::Hash,
}

/// What all images of a folder or an archive hold together.
pub(super) fn content_of(survey: &Survey) -> FileContent {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = 0;
    for (path, image) in &survey.images {
        hasher.update(&(path.len() as u64).to_le_bytes());
        hasher.update(path.as_bytes());
        hasher.update(image.hash.as_bytes());
        bytes += image.bytes;
    }
    FileContent {
        hash: hasher.finalize(),
        bytes,
    }
}

/// Which images are held; nothing if all of them are.
pub(super) fn chosen(rows: &[Row<'_>], size: Size, limits: &ReadLimits) -> Option<Vec<usize>> {
    let item = u64::from(size.0) * u64::from(size.1) * u64::from(size.2);
    if item.saturating_mul(rows.len() as u64) <= limits.held_pixel_bytes {
        return None;
    }
    let most = CHOSEN_SHARE * limits.held_pixel_bytes as f64 / item.max(1) as f64;
    let mut chosen = Vec::new();
    for part in Part::ALL {
        let room = match part {
            Part::Train => most,
            Part::Validation | Part::Vault => SCORED_SHARE * most,
        };
        let mut of_part: Vec<usize> = (0..rows.len())
            .filter(|row| rows[*row].part == part)
            .collect();
        of_part.sort_by_key(|row| mixed(*row as u64));
        let classes: BTreeSet<&str> = of_part.iter().map(|row| rows[*row].class).collect();
        let of_each = room as usize / classes.len().max(1);
        let class_rows = of_each.clamp(CLASS_ROWS_MIN, CLASS_ROWS);
        let (first, others) = of_part.split_at(of_part.len().min(room as usize));
        let mut of_class: BTreeMap<&str, usize> = BTreeMap::new();
        for row in first {
            *of_class.entry(rows[*row].class).or_default() += 1;
        }
        chosen.extend(first);
        for row in others {
            let count = of_class.entry(rows[*row].class).or_default();
            if *count < class_rows {
                *count += 1;
                chosen.push(*row);
            }
        }
    }
    chosen.sort_unstable();
    Some(chosen)
}

/// What is said where not all images are held.
pub(super) fn said(chosen: usize, rows: usize, unheld: Unheld) -> Notice {
    let what = match unheld {
        Unheld::LearnedFrom => {
            "decide on preprocessing, profile, validation and vault; the others to learn from are learned \
             from by networks alone"
        }
        Unheld::Unused => "are scored; the others are not used",
    };
    Notice::note(format!(
        "the images are larger than what is held in memory: {chosen} of {rows}, drawn by chance, {what}"
    ))
}

impl ImagesRest {
    /// The images to learn from that are not chosen; those that were given to be scored are not used.
    pub(super) fn new(
        path: &Path,
        size: Size,
        rows: &[Row<'_>],
        chosen: &[usize],
        survey: &Survey,
    ) -> ImagesRest {
        let others = (0..rows.len()).filter(|row| chosen.binary_search(row).is_err());
        let images = others
            .map(|row| &rows[row])
            .filter(|row| row.part == Part::Train)
            .map(|row| Image {
                path: row.path.to_string(),
                class: row.class.to_string(),
                hash: survey.images[row.path].hash,
            });
        ImagesRest {
            path: path.to_path_buf(),
            size,
            images: images.collect(),
            content: content_of(survey),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.images.len()
    }

    pub(crate) fn content(&self) -> FileContent {
        self.content
    }

    /// Decodes all images that are not held, in the order in which they lie on disk.
    ///
    /// # Errors
    /// If the folder or archive cannot be read, or the first that `take` gives.
    pub(crate) fn each(
        &self,
        task: &RestTask<'_>,
        limits: &ReadLimits,
        take: &mut dyn FnMut(Examples) -> Result<(), DataError>,
    ) -> Result<Counted, DataError> {
        let FittedTask::Classification { classes } = task.preprocessor.task() else {
            return Err(unfit("images have classes to be learned".to_string()));
        };
        let ids: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let mut counted = Counted::default();
        let mut seen = vec![false; self.images.len()];
        let mut batch = Batch::default();
        let mut failed = None;
        let mut end_batch = |batch: &mut Batch, counted: &mut Counted| {
            let ready = self.prepared(task, &ids, classes.len() as u32, batch, limits, counted);
            batch.clear();
            ready.and_then(&mut *take)
        };
        entries::visit(&self.path, limits, &mut |name, entry| {
            let place = |image: &Image| image.path.as_str().cmp(name);
            let Ok(place) = self.images.binary_search_by(place) else {
                return;
            };
            if failed.is_some() || std::mem::replace(&mut seen[place], true) {
                return;
            }
            match entry {
                Item::File(content) if blake3::hash(content) != self.images[place].hash => {
                    counted.add(&self.gone(place, "it was changed while it was read"));
                }
                Item::File(content) => batch.add(place, content, item_bytes(self.size)),
                Item::Broken(reason) | Item::Refused(reason) => {
                    counted.add(&self.gone(place, &reason));
                }
                Item::Folder | Item::Litter => {}
            }
            if batch.bytes >= BATCH_BYTES {
                failed = end_batch(&mut batch, &mut counted).err();
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        end_batch(&mut batch, &mut counted)?;
        for place in (0..seen.len()).filter(|place| !seen[*place]) {
            counted.add(&self.gone(place, "it was gone when it was to be read"));
        }
        Ok(counted)
    }

    fn gone(&self, place: usize, reason: &str) -> Counted {
        let path = &self.images[place].path;
        Counted {
            gone: Some((1, format!("`{path}`: {reason}"))),
            ..Counted::default()
        }
    }

    fn prepared(
        &self,
        task: &RestTask<'_>,
        ids: &BTreeMap<&str, u32>,
        count: u32,
        batch: &Batch,
        limits: &ReadLimits,
        counted: &mut Counted,
    ) -> Result<Examples, DataError> {
        let (mut bytes, mut classes) = (Vec::new(), Vec::new());
        for ((place, _), pixels) in batch.files.iter().zip(batch.decoded(self.size, limits)) {
            let id = ids.get(self.images[*place].class.as_str());
            match (pixels, id) {
                (Ok(pixels), Some(id)) => {
                    bytes.extend(pixels);
                    classes.push(*id);
                }
                (Ok(_), None) => counted.unusable += 1,
                (Err(reason), _) => counted.add(&self.gone(*place, &reason)),
            }
        }
        counted.rows += classes.len() as u64;
        let (height, width, channels) = self.size;
        let images = Dataset::Images(Images {
            height,
            width,
            channels,
            bytes,
            targets: RawTargets::Unknown(classes.len()),
        });
        let rows: Vec<u32> = (0..classes.len() as u32).collect();
        let examples = task.preprocessor.apply(&images, &rows)?;
        let targets = Targets::Classes {
            ids: classes,
            count,
        };
        Ok(examples.with_answers(targets, None))
    }
}

/// Image files that are decoded together.
#[derive(Default)]
struct Batch {
    files: Vec<(usize, Vec<u8>)>,
    /// Of the files, or of the pixels, whatever is more of each.
    bytes: usize,
}

impl Batch {
    fn add(&mut self, place: usize, content: &[u8], item: usize) {
        self.bytes += content.len().max(item);
        self.files.push((place, content.to_vec()));
    }

    fn clear(&mut self) {
        self.files.clear();
        self.bytes = 0;
    }

    /// The pixels of each, in order.
    fn decoded(&self, size: Size, limits: &ReadLimits) -> Vec<Result<Vec<u8>, String>> {
        let of_chunk = move |files: &[(usize, Vec<u8>)]| -> Vec<Result<Vec<u8>, String>> {
            let pixels = files
                .iter()
                .map(|(_, content)| decode::pixels(content, size, limits));
            pixels.collect()
        };
        let share = self.files.len().div_ceil(threads()).max(1);
        thread::scope(|scope| {
            let chunks: Vec<_> = self
                .files
                .chunks(share)
                .map(|files| scope.spawn(move || of_chunk(files)))
                .collect();
            let joined = chunks.into_iter().flat_map(|chunk| {
                let joined = chunk.join();
                joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many images of each class are chosen where so many would fit.
    fn chosen_of_each(classes: usize, images: usize, fitting: u64) -> BTreeMap<String, usize> {
        let names: Vec<String> = (0..classes).map(|class| format!("c{class}")).collect();
        let rows: Vec<Row<'_>> = names
            .iter()
            .flat_map(|class| std::iter::repeat_n(class, images))
            .map(|class| Row {
                path: class,
                class,
                part: Part::Train,
            })
            .collect();
        let size = (16, 16, 1);
        let limits = ReadLimits {
            // Half of what may be held is that of chosen images.
            held_pixel_bytes: 2 * fitting * item_bytes(size) as u64,
            ..ReadLimits::default()
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for row in chosen(&rows, size, &limits).unwrap() {
            *counts.entry(rows[row].class.to_string()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn of_every_class_as_many_images_are_chosen_as_there_is_room_for_and_three_at_least() {
        for (classes, images, fitting, least) in
            [(300, 10, 30, 3), (60, 30, 300, 5), (2, 500, 100, 20)]
        {
            let counts = chosen_of_each(classes, images, fitting);
            assert_eq!(counts.len(), classes);
            assert!(counts.values().all(|count| *count >= least), "{counts:?}");
            let all: usize = counts.values().sum();
            let most = fitting as usize + classes * least;
            assert!(all <= most, "{all} of {classes} classes, {most} at most");
        }
    }

    #[test]
    fn small_files_of_large_images_fill_a_batch_by_their_pixels() {
        let mut batch = Batch::default();
        batch.add(0, &[0; 100], 49_152);
        assert_eq!(batch.bytes, 49_152);
        batch.add(1, &[0; 60_000], 49_152);
        assert_eq!(batch.bytes, 49_152 + 60_000);
    }
}
