//! New rows from a source that can be read only once, as a pipe: unpacked, and given on row by row where a row can be
//! told before the end.

use std::{
    fs,
    io::{self, Cursor, ErrorKind, Read},
    path::Path,
};

use flate2::read::MultiGzDecoder;

use crate::{
    error::DataError,
    images::ZIP,
    limits::ReadLimits,
    npy,
    preprocess::Preprocessor,
    source::DataKind,
    stream::RowStream,
    table::{
        arrow,
        encoding::{GZIP, UTF16},
        parquet,
        text::{UTF8_MARK, malformed},
    },
};

/// Bytes of a start that may have to be seen: the mark of an Arrow stream with the length behind it.
const START_BYTES: usize = 8;

/// A source after a look at its start.
pub enum Piped<'a> {
    /// Its rows as they arrive.
    Rows(Box<RowStream<'a, Box<dyn Read + 'a>>>),
    /// It must be had as a whole, as a file.
    Whole {
        /// What such a file's name ends in.
        ending: &'static str,
        /// All of it, unpacked.
        source: Box<dyn Read + 'a>,
    },
}

impl Preprocessor {
    /// Looks at the start of a source; `name` is what it is called in messages. Waits for as many bytes as it takes
    /// to know what they are, which is one for most texts.
    ///
    /// # Errors
    /// If it cannot be read, or the model takes nothing of the kind.
    pub fn piped<'a>(
        &'a self,
        name: &Path,
        source: impl Read + 'a,
        limits: ReadLimits,
    ) -> Result<Piped<'a>, DataError> {
        let unreadable = |source| DataError::Unreadable {
            path: name.to_path_buf(),
            source,
        };
        let (mut start, mut source) = begun(Box::new(source)).map_err(unreadable)?;
        if start.starts_with(GZIP) {
            let unpacked = Box::new(MultiGzDecoder::new(source));
            (start, source) = begun(unpacked).map_err(unreadable)?;
        }
        if let Some(ending) = self.whole_ending(&start) {
            return Ok(Piped::Whole { ending, source });
        }
        let mut rows = RowStream::new(self, name, source, limits)?;
        if first_byte(&start) == Some(b'{') {
            rows.are_objects();
        }
        Ok(Piped::Rows(Box::new(rows)))
    }

    /// What a file's name ends in that must be had as a whole; nothing if it can be read row by row.
    fn whole_ending(&self, start: &[u8]) -> Option<&'static str> {
        let begins = |mark: &[u8]| start.starts_with(mark);
        let is_text_of_two_bytes =
            || self.dialect().encoding.is_none() && UTF16.iter().any(|mark| begins(mark));
        match first_byte(start) {
            _ if begins(parquet::MAGIC) => Some("parquet"),
            _ if arrow::is_arrow(start) => Some("arrow"),
            _ if begins(npy::MAGIC) => Some("npy"),
            _ if begins(ZIP) => Some("npz"),
            Some(b'[') => Some("json"),
            Some(b'{') if self.is_of_steps() => Some("jsonl"),
            Some(b'@') => match self.kind() {
                DataKind::Series => Some("ts"),
                _ => Some("arff"),
            },
            _ if self.kind() == DataKind::Series && !self.takes_tables() => Some("ts"),
            _ if self.is_of_steps() || is_text_of_two_bytes() => Some("csv"),
            _ => None,
        }
    }
}

/// Refuses a path that is neither a file nor a folder, as that of a pipe: each look at its start would take that away.
///
/// # Errors
/// If it is such a one, with what to do instead.
pub(crate) fn refuse_read_once(path: &Path, instead: &str) -> Result<(), DataError> {
    // What is not there at all is told by whoever reads it.
    let is_other = fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    match is_other {
        false => Ok(()),
        true => {
            let problem =
                format!("it is a pipe or a device, which can be read only once: {instead}");
            Err(malformed(path, problem))
        }
    }
}

/// The first byte that is neither blank nor a mark of UTF-8.
fn first_byte(start: &[u8]) -> Option<u8> {
    let text = start.strip_prefix(UTF8_MARK).unwrap_or(start);
    text.trim_ascii_start().first().copied()
}

/// The start of a source, and all of it.
fn begun<'a>(mut source: Box<dyn Read + 'a>) -> io::Result<(Vec<u8>, Box<dyn Read + 'a>)> {
    let mut start = Vec::new();
    while is_unclear(&start) {
        let mut more = [0; START_BYTES];
        match source.read(&mut more) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(0) => break,
            Ok(count) => start.extend_from_slice(&more[..count]),
        }
    }
    let all = Cursor::new(start.clone()).chain(source);
    Ok((start, Box::new(all)))
}

/// Whether more has to be seen: nothing is there yet, or part of a mark.
fn is_unclear(start: &[u8]) -> bool {
    let stream = &arrow::CONTINUATION[..];
    let marks = [
        GZIP,
        ZIP,
        UTF8_MARK,
        npy::MAGIC,
        parquet::MAGIC,
        arrow::MAGIC,
        stream,
    ];
    let is_part = |mark: &[u8]| mark.len() > start.len() && mark.starts_with(start);
    let is_arrow = start.starts_with(stream) && start.len() < START_BYTES;
    first_byte(start).is_none() || marks.into_iter().any(is_part) || is_arrow
}
