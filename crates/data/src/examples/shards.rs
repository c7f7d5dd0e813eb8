//! Prepared rows that do not fit into memory, as a file of blocks that are read one at a time.
//!
//! Blocks, then where each of them lies, then a description, its length and a mark: without the mark a
//! file is not whole and is refused. It is read by place, never mapped: what is not asked for is not in
//! memory, and a block that was damaged is an error instead of a signal.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Examples, block::Form};
use crate::error::DataError;

/// What a whole file ends with.
const MARK: &[u8; 8] = b"lehrrows";

/// Changes when an older reader would misunderstand the file.
const FORMAT: u32 = 1;

/// Bytes in memory of the rows of a block: enough for a disk to be read fast, few enough for a portion to
/// be of many places.
const BLOCK_BYTES: usize = 64 << 10;

/// Bytes of an entry in the list of blocks.
const ENTRY_BYTES: usize = 20;

/// Bytes of a description: longer ones are none.
const ABOUT_BYTES_MAX: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct About {
    format: u32,
    form: Form,
    rows: u64,
    rows_per_block: usize,
    /// Where the list of blocks begins.
    list: u64,
}

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    offset: u64,
    bytes: u32,
    /// Beginning of the digest of its bytes.
    check: u64,
}

/// Prepared rows on disk.
#[derive(Clone, Debug)]
pub struct Shards {
    path: PathBuf,
    file: Arc<File>,
    about: About,
    list: Arc<Vec<Entry>>,
}

impl PartialEq for Shards {
    fn eq(&self, other: &Shards) -> bool {
        self.about == other.about && self.list == other.list
    }
}

impl Shards {
    /// Opens what a [`ShardWriter`] has written.
    ///
    /// # Errors
    /// If the file is missing, not whole, or of another version.
    pub fn open(path: &Path) -> Result<Shards, DataError> {
        let file = File::open(path).map_err(|source| unreadable(path, source))?;
        let read = read_list(&file).map_err(|source| unreadable(path, source))?;
        let (about, list) = read.ok_or_else(|| damaged(path, "it is no whole file of rows"))?;
        Ok(Shards {
            path: path.to_path_buf(),
            file: Arc::new(file),
            about,
            list: Arc::new(list),
        })
    }

    /// How many rows.
    pub fn rows(&self) -> u64 {
        self.about.rows
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file_name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    pub(super) fn holds_more_of(&self, examples: &Examples) -> bool {
        self.about.form == Form::of(examples)
    }

    pub(super) fn form(&self) -> &Form {
        &self.about.form
    }

    pub(super) fn blocks(&self) -> usize {
        self.list.len()
    }

    pub(super) fn rows_per_block(&self) -> usize {
        self.about.rows_per_block
    }

    /// How many rows a block has: the last may have fewer.
    pub(super) fn rows_of(&self, block: usize) -> usize {
        let before = block as u64 * self.about.rows_per_block as u64;
        (self.about.rows - before).min(self.about.rows_per_block as u64) as usize
    }

    /// Puts the rows of a block behind others.
    ///
    /// # Errors
    /// If the file cannot be read, or the block is damaged.
    pub(super) fn read(&self, block: usize, into: &mut Examples) -> Result<(), DataError> {
        let entry = self.list[block];
        let mut bytes = vec![0; entry.bytes as usize];
        self.file
            .read_exact_at(&mut bytes, entry.offset)
            .map_err(|source| unreadable(&self.path, source))?;
        let is_whole = check(&bytes) == entry.check;
        let rows = self.rows_of(block);
        let decoded = is_whole.then(|| self.about.form.decode(&bytes, rows, into));
        let problem = || damaged(&self.path, &format!("its block {block} is damaged"));
        decoded.flatten().ok_or_else(problem)
    }
}

/// Description and list of blocks; nothing if it is no such file.
fn read_list(file: &File) -> io::Result<Option<(About, Vec<Entry>)>> {
    const END_BYTES: u64 = 4 + MARK.len() as u64;
    let length = file.metadata()?.len();
    let Some(end) = length.checked_sub(END_BYTES) else {
        return Ok(None);
    };
    let mut tail = [0; END_BYTES as usize];
    file.read_exact_at(&mut tail, end)?;
    let (count, mark) = tail.split_at(4);
    let about_bytes = u64::from(u32::from_le_bytes(count.try_into().expect("four bytes")));
    let Some(start) = end.checked_sub(about_bytes) else {
        return Ok(None);
    };
    if mark != MARK || about_bytes > ABOUT_BYTES_MAX {
        return Ok(None);
    }
    let mut about = vec![0; about_bytes as usize];
    file.read_exact_at(&mut about, start)?;
    let Ok(about) = serde_json::from_slice::<About>(&about) else {
        return Ok(None);
    };
    let list_bytes = start
        .checked_sub(about.list)
        .filter(|_| about.format == FORMAT);
    let blocks = about.rows.div_ceil(about.rows_per_block.max(1) as u64);
    let Some(list_bytes) = list_bytes.filter(|bytes| *bytes == blocks * ENTRY_BYTES as u64) else {
        return Ok(None);
    };
    let mut list = vec![0; list_bytes as usize];
    file.read_exact_at(&mut list, about.list)?;
    let entries = list.as_chunks::<ENTRY_BYTES>().0.iter().map(Entry::read);
    let entries: Vec<Entry> = entries.collect();
    let lies_within = |entry: &Entry| {
        let end = entry.offset.checked_add(u64::from(entry.bytes));
        end.is_some_and(|end| end <= about.list)
    };
    Ok(entries.iter().all(lies_within).then_some((about, entries)))
}

impl Entry {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.offset.to_le_bytes());
        out.extend(self.bytes.to_le_bytes());
        out.extend(self.check.to_le_bytes());
    }

    fn read(bytes: &[u8; ENTRY_BYTES]) -> Entry {
        let eight = |from: usize| {
            u64::from_le_bytes(bytes[from..from + 8].try_into().expect("eight bytes"))
        };
        Entry {
            offset: eight(0),
            bytes: u32::from_le_bytes(bytes[8..12].try_into().expect("four bytes")),
            check: eight(12),
        }
    }
}

fn check(bytes: &[u8]) -> u64 {
    let digest = blake3::hash(bytes);
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("eight bytes"))
}

fn unreadable(path: &Path, source: io::Error) -> DataError {
    DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    }
}

fn damaged(path: &Path, problem: &str) -> DataError {
    DataError::Malformed {
        path: path.to_path_buf(),
        problem: problem.to_string(),
    }
}

/// Writes a file of rows, one part after the other, in bounded memory.
#[derive(Debug)]
pub struct ShardWriter {
    path: PathBuf,
    file: BufWriter<File>,
    form: Form,
    rows_per_block: usize,
    rows: u64,
    /// Bytes of the rows that are no whole block yet.
    block: Vec<u8>,
    offset: u64,
    list: Vec<Entry>,
}

impl ShardWriter {
    /// Begins a file for rows like these.
    ///
    /// # Errors
    /// If it may not be written.
    pub fn create(path: &Path, like: &Examples) -> Result<ShardWriter, DataError> {
        let form = Form::of(like);
        let file = File::create(path).map_err(|source| unreadable(path, source))?;
        Ok(ShardWriter {
            path: path.to_path_buf(),
            file: BufWriter::with_capacity(1 << 20, file),
            rows_per_block: (BLOCK_BYTES / form.row_bytes().max(1)).clamp(1, 1 << 10),
            form,
            rows: 0,
            block: Vec::new(),
            offset: 0,
            list: Vec::new(),
        })
    }

    /// Bytes that a row takes in a file, as far as these rows tell.
    pub fn bytes_per_row(rows: &Examples) -> f64 {
        let mut bytes = Vec::new();
        let mut sum = 0;
        for row in 0..rows.len() {
            bytes.clear();
            rows.encode(row, &mut bytes);
            sum += bytes.len();
        }
        sum as f64 / rows.len().max(1) as f64
    }

    /// Puts rows behind those that are there.
    ///
    /// # Errors
    /// If the disk is full.
    ///
    /// # Panics
    /// If they are not like those that the file was begun for.
    pub fn push(&mut self, rows: &Examples) -> Result<(), DataError> {
        assert_eq!(self.form, Form::of(rows), "rows of one file are alike");
        for row in 0..rows.len() {
            rows.encode(row, &mut self.block);
            self.rows += 1;
            if self.rows.is_multiple_of(self.rows_per_block as u64) {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), DataError> {
        let bytes = self.block.len() as u32;
        self.list.push(Entry {
            offset: self.offset,
            bytes,
            check: check(&self.block),
        });
        self.offset += u64::from(bytes);
        let written = self.file.write_all(&self.block);
        self.block.clear();
        written.map_err(|source| unreadable(&self.path, source))
    }

    /// Ends the file; returns how many rows it has.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn finish(mut self) -> Result<u64, DataError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let about = About {
            format: FORMAT,
            form: self.form,
            rows: self.rows,
            rows_per_block: self.rows_per_block,
            list: self.offset,
        };
        let about = serde_json::to_vec(&about).expect("its keys are strings");
        let mut end = Vec::with_capacity(ENTRY_BYTES * self.list.len());
        self.list.iter().for_each(|entry| entry.write(&mut end));
        end.extend(&about);
        end.extend((about.len() as u32).to_le_bytes());
        end.extend(MARK);
        self.file
            .write_all(&end)
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all())
            .map_err(|source| unreadable(&self.path, source))?;
        Ok(self.rows)
    }
}
