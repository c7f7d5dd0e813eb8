//! The text of a table in parts that end where a row ends, so that a quote over several lines stays whole.

use std::{
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use super::{
    dialect::{Delimiter, sniff_delimiter},
    encoding::{PACKED, UTF16, decode_part},
    text::{UTF8_MARK, malformed},
};
use crate::{error::DataError, notice::Notice};

/// Bytes of one row, its quoted line ends among them.
const ROW_BYTES_MAX: usize = 16 << 20;

/// Reads a text part after part.
pub(crate) struct TextParts<R> {
    name: PathBuf,
    source: R,
    block_bytes: usize,
    waiting: Waiting,
    lines_done: u64,
    parts_done: usize,
    is_ended: bool,
    /// Whether something was said of a part.
    has_said: bool,
}

/// Whole rows of a text.
pub(crate) struct TextPart {
    pub(crate) text: String,
    /// Lines of the file before it.
    pub(crate) lines_before: u64,
    /// What is to be said of it, and was not said of one before.
    pub(crate) notice: Option<Notice>,
}

impl<R: Read> TextParts<R> {
    /// `name` is what the source is called in messages; so many bytes are read at once, if they have arrived.
    pub(crate) fn new(name: &Path, source: R, block_bytes: usize) -> TextParts<R> {
        TextParts {
            name: name.to_path_buf(),
            source,
            block_bytes,
            waiting: Waiting::default(),
            lines_done: 0,
            parts_done: 0,
            is_ended: false,
            has_said: false,
        }
    }

    /// What separates cells, once it is known.
    pub(crate) fn set_delimiter(&mut self, delimiter: Delimiter) {
        self.waiting.delimiter = Some(delimiter);
    }

    /// Text of whole rows; nothing at the end.
    ///
    /// # Errors
    /// If the source cannot be read, or a row cannot be told from the next.
    pub(crate) fn next(&mut self) -> Result<Option<TextPart>, DataError> {
        while !self.is_ended && self.waiting.whole == 0 {
            self.read_block()?;
        }
        if self.is_ended {
            self.waiting.all_is_whole().map_err(|lines| {
                let line = self.lines_done + lines;
                let problem =
                    format!("line {line} or one behind it opens a quote that is never closed");
                malformed(&self.name, problem)
            })?;
        }
        let bytes = self.waiting.take();
        if bytes.is_empty() {
            return Ok(None);
        }
        let lines_before = self.lines_done;
        let mut notices = Vec::new();
        let text = decode_part(&self.name, &bytes, lines_before, &mut notices)?;
        let is_new = !notices.is_empty() && !std::mem::replace(&mut self.has_said, true);
        self.lines_done += text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        self.parts_done += 1;
        Ok(Some(TextPart {
            text,
            lines_before,
            notice: notices.pop().filter(|_| is_new),
        }))
    }

    fn read_block(&mut self) -> Result<(), DataError> {
        let mut block = vec![0; self.block_bytes];
        let count = loop {
            match self.source.read(&mut block) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => break count,
                Err(source) => {
                    return Err(DataError::Unreadable {
                        path: self.name.clone(),
                        source,
                    });
                }
            }
        };
        self.is_ended = count == 0;
        self.waiting.add(&block[..count]);
        if self.parts_done == 0 {
            self.refuse_unreadable()?;
        }
        if self.waiting.bytes.len() > ROW_BYTES_MAX + self.block_bytes {
            return Err(DataError::TooLarge {
                path: self.name.clone(),
                what: format!("the row at line {}", self.lines_done + 1),
                limit: format!("{ROW_BYTES_MAX} bytes"),
            });
        }
        Ok(())
    }

    fn refuse_unreadable(&self) -> Result<(), DataError> {
        // It can be read in parts only if it is said what it is written in.
        let of_two_bytes = UTF16.map(|start| (start, "UTF-16 text"));
        let begins = |(start, _): &&(&[u8], &str)| self.waiting.bytes.starts_with(start);
        match of_two_bytes.iter().chain(&PACKED).find(begins) {
            None => Ok(()),
            Some((_, what)) => {
                let problem =
                    format!("it is {what}, which cannot be read as a stream: give it as a file");
                Err(malformed(&self.name, problem))
            }
        }
    }
}

/// Bytes that have arrived and are not yet given on.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// How many of them have been looked at.
    scanned: usize,
    /// How many of them are whole rows.
    whole: usize,
    /// Whether the last one that was looked at stands inside of quotes.
    is_quoted: bool,
    /// What separates cells; any of the usual ones as long as it is not known.
    delimiter: Option<Delimiter>,
}

impl Waiting {
    fn add(&mut self, block: &[u8]) {
        self.bytes.extend_from_slice(block);
        for at in self.scanned..self.bytes.len() {
            match self.bytes[at] {
                // With tabs, lines are rows, and whether quotes mean anything is found out later.
                b'"' if self.delimiter != Some(Delimiter::TAB) => {
                    self.is_quoted = !self.is_quoted && self.begins_cell(at);
                }
                b'\n' if !self.is_quoted => self.end_row(at + 1),
                _ => {}
            }
        }
        self.scanned = self.bytes.len();
    }

    /// A row ends here; the first one says what separates cells, as far as can be seen from it.
    fn end_row(&mut self, end: usize) {
        let row = &self.bytes[self.whole..end];
        if self.delimiter.is_none() && !row.trim_ascii().is_empty() {
            let row = String::from_utf8_lossy(row);
            self.delimiter = Some(sniff_delimiter(&row));
        }
        self.whole = end;
    }

    /// Whether a quote here opens a cell; a doubled one opens its cell again.
    fn begins_cell(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| self.bytes[before]) else {
            return true;
        };
        let separates = match self.delimiter {
            Some(delimiter) => delimiter.separates(before),
            None => Delimiter::may_separate(before),
        };
        separates || [b'\n', b'\r', b'"'].contains(&before) || self.bytes[..at] == *UTF8_MARK
    }

    /// The source has ended: what is left is a row, too. If a quote is open, the lines before are counted.
    fn all_is_whole(&mut self) -> Result<(), u64> {
        if self.is_quoted {
            let whole = &self.bytes[..self.whole];
            return Err(1 + whole.iter().filter(|byte| **byte == b'\n').count() as u64);
        }
        self.whole = self.bytes.len();
        Ok(())
    }

    fn take(&mut self) -> Vec<u8> {
        let rest = self.bytes.split_off(self.whole);
        self.scanned -= self.whole;
        self.whole = 0;
        std::mem::replace(&mut self.bytes, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_is_read_as_is_said_of_the_first_such_one() {
        let text = &b"a,b\n1,2\n\xe4,2\n\xe4,3\n1,2\n"[..];
        let mut parts = TextParts::new(Path::new("t.csv"), text, 4);
        let mut said = Vec::new();
        while let Some(part) = parts.next().unwrap() {
            said.push(part.notice.is_some());
        }
        assert_eq!(said, [false, false, true, false, false]);
    }
}
