//! From bytes to text: by the mark at the beginning, as a user says, or by which bytes can be text.

use std::{
    fmt,
    io::{self, Read},
    path::Path,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{arrow, parquet, text::malformed};
use crate::{error::DataError, notice::Notice};

/// How a gzip file begins.
pub(crate) const GZIP: &[u8] = b"\x1f\x8b";

/// How texts begin that are written in units of two bytes.
pub(crate) const UTF16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// How files begin that are no text, whatever is said of them, and what they are.
pub(super) const PACKED: [(&[u8], &str); 3] = [
    (GZIP, "a gzip file"),
    (parquet::MAGIC, "a Parquet file"),
    (arrow::MAGIC, "an Arrow file"),
];

/// Bytes of a whole text that are decoded at once.
const BLOCK_BYTES: usize = 64 << 10;

/// How characters are written as bytes: any encoding of the web.
///
/// # Source
/// WHATWG, Encoding Standard, <https://encoding.spec.whatwg.org/>; its names are known, `latin1` and `shift_jis` among
/// them.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(&'static encoding_rs::Encoding);

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoding({self})")
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name().to_ascii_lowercase())
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(name: &str) -> Result<Encoding, String> {
        let known = encoding_rs::Encoding::for_label_no_replacement(name.as_bytes());
        known.map(Encoding).ok_or_else(|| {
            format!(
                "`{}` is no encoding that is read: utf-8, utf-16le, latin1, windows-1250 to windows-1258, iso-8859-2, \
                 koi8-r, shift_jis, euc-jp, gbk, gb18030, big5, euc-kr and others of the web are",
                name.escape_default()
            )
        })
    }
}

impl TryFrom<String> for Encoding {
    type Error = String;

    fn try_from(name: String) -> Result<Encoding, String> {
        name.parse()
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> String {
        encoding.to_string()
    }
}

/// Text from bytes: as is said; otherwise UTF-8 and UTF-16 by their marks, UTF-8, or Latin-1.
pub(crate) fn decode(
    path: &Path,
    bytes: &[u8],
    said: Option<Encoding>,
    notices: &mut Vec<Notice>,
) -> Result<String, DataError> {
    let text = match said {
        Some(encoding) => as_said(path, bytes, encoding)?,
        None => as_found(path, bytes, notices)?,
    };
    refuse_nul(path, text, 0)
}

/// Text from bytes that stand behind so many lines of their file: UTF-8, or Latin-1.
pub(super) fn decode_part(
    path: &Path,
    bytes: &[u8],
    lines_before: u64,
    notices: &mut Vec<Notice>,
) -> Result<String, DataError> {
    let text = as_found(path, bytes, notices)?;
    refuse_nul(path, text, lines_before)
}

fn as_said(path: &Path, bytes: &[u8], encoding: Encoding) -> Result<String, DataError> {
    let mut text = String::new();
    let mut decoding = Decoding::new(encoding);
    let mut blocks = bytes.chunks(BLOCK_BYTES).peekable();
    while let Some(block) = blocks.next() {
        let is_last = blocks.peek().is_none();
        let decoded = decoding.add(block, is_last, &mut text);
        decoded.map_err(|odd| malformed(path, odd))?;
    }
    Ok(text)
}

fn as_found(path: &Path, bytes: &[u8], notices: &mut Vec<Notice>) -> Result<String, DataError> {
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => Ok(String::from_utf8_lossy(rest).into_owned()),
        [0xff, 0xfe, rest @ ..] => utf16(path, rest, u16::from_le_bytes, notices),
        [0xfe, 0xff, rest @ ..] => utf16(path, rest, u16::from_be_bytes, notices),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_string()),
            Err(_) => {
                notices.push(Notice::note(
                    "the text is not UTF-8 and was read as Latin-1 (--encoding says what it is)",
                ));
                Ok(bytes.iter().map(|byte| char::from(*byte)).collect())
            }
        },
    }
}

fn refuse_nul(path: &Path, text: String, lines_before: u64) -> Result<String, DataError> {
    match text.bytes().position(|byte| byte == 0) {
        Some(place) => {
            let line = lines_before + text[..place].matches('\n').count() as u64 + 1;
            Err(malformed(
                path,
                format!("line {line} holds a NUL byte: this is no text table"),
            ))
        }
        None => Ok(text),
    }
}

fn utf16(
    path: &Path,
    bytes: &[u8],
    unit: fn([u8; 2]) -> u16,
    notices: &mut Vec<Notice>,
) -> Result<String, DataError> {
    notices.push(Notice::note("the text is UTF-16"));
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    String::from_utf16(&units).map_err(|_| {
        malformed(
            path,
            "it begins like UTF-16 but is not: save it as UTF-8".into(),
        )
    })
}

/// Text while its bytes arrive.
struct Decoding {
    encoding: Encoding,
    decoder: encoding_rs::Decoder,
    lines: usize,
}

impl Decoding {
    fn new(encoding: Encoding) -> Decoding {
        Decoding {
            encoding,
            // A mark at the beginning says more than anybody.
            decoder: encoding.0.new_decoder(),
            lines: 0,
        }
    }

    /// Puts the text of these bytes behind `into`.
    ///
    /// # Errors
    /// Where they are none, as a sentence.
    fn add(&mut self, bytes: &[u8], is_last: bool, into: &mut String) -> Result<(), String> {
        let bytes_max = self
            .decoder
            .max_utf8_buffer_length_without_replacement(bytes.len());
        into.reserve(bytes_max.unwrap_or(0));
        let before = into.len();
        let (result, _) = self
            .decoder
            .decode_to_string_without_replacement(bytes, into, is_last);
        self.lines += into[before..].matches('\n').count();
        match result {
            encoding_rs::DecoderResult::InputEmpty => Ok(()),
            _ => Err(format!(
                "line {} holds bytes that are no {} (--encoding names what it is written in)",
                self.lines + 1,
                self.encoding
            )),
        }
    }
}

/// A source as UTF-8, if it is said what it is written in; otherwise as it is.
pub(crate) struct Decoded<R> {
    source: R,
    decoding: Option<Decoding>,
    /// What is decoded and not yet given on, and how much of it is.
    text: String,
    given: usize,
    /// Bytes as they come.
    block: Vec<u8>,
    is_begun: bool,
    is_ended: bool,
}

impl<R: Read> Decoded<R> {
    pub(crate) fn new(source: R, said: Option<Encoding>) -> Decoded<R> {
        Decoded {
            source,
            decoding: said.map(Decoding::new),
            text: String::new(),
            given: 0,
            block: Vec::new(),
            is_begun: false,
            is_ended: false,
        }
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(decoding) = &mut self.decoding else {
            return self.source.read(into);
        };
        while self.given == self.text.len() && !self.is_ended && !into.is_empty() {
            self.block.resize(into.len(), 0);
            let count = self.source.read(&mut self.block)?;
            let block = &self.block[..count];
            if !std::mem::replace(&mut self.is_begun, true) && begins_like_no_text(block) {
                into[..count].copy_from_slice(block);
                self.decoding = None;
                return Ok(count);
            }
            self.is_ended = count == 0;
            self.text.clear();
            self.given = 0;
            let decoded = decoding.add(block, self.is_ended, &mut self.text);
            decoded.map_err(|odd| io::Error::new(io::ErrorKind::InvalidData, odd))?;
        }
        let mut rest = &self.text.as_bytes()[self.given..];
        let count = rest.read(into)?;
        self.given += count;
        Ok(count)
    }
}

/// Whether bytes are given on as they are, for their reader to see what they are.
fn begins_like_no_text(block: &[u8]) -> bool {
    PACKED.iter().any(|(mark, _)| block.starts_with(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str) -> Option<Encoding> {
        Some(name.parse().unwrap())
    }

    fn decoded(bytes: &[u8], said: Option<Encoding>) -> Result<String, DataError> {
        decode(Path::new("t.csv"), bytes, said, &mut Vec::new())
    }

    #[test]
    fn bytes_are_what_is_said() {
        assert_eq!(decoded(b"\xc4\xe3,1\n", said("gbk")).unwrap(), "你,1\n");
        assert_eq!(decoded(b"\x83\x41\n", said("shift_jis")).unwrap(), "ア\n");
        assert_eq!(decoded(b"\x80\n", said("latin1")).unwrap(), "€\n");
        assert_eq!(decoded(b"a\0b\0", said("utf-16le")).unwrap(), "ab");
        assert_eq!(decoded(b"\xef\xbb\xbfa", said("utf-8")).unwrap(), "a");
        // A mark says more than anybody.
        assert_eq!(decoded(b"\xfe\xff\0a", said("utf-16")).unwrap(), "a");
        // Without a word it is Latin-1.
        assert_eq!(decoded(b"\xc4\xe3", None).unwrap(), "Äã");
    }

    #[test]
    fn bytes_that_are_not_what_is_said_are_refused_with_their_line() {
        let refused = decoded(b"a\nb\n\xff\xff\n", said("utf-8")).unwrap_err();
        let told = refused.to_string();
        assert!(
            told.contains("line 3 holds bytes that are no utf-8"),
            "{told}"
        );
        // The end comes in the middle of a character.
        assert!(decoded(b"\xc4", said("gbk")).is_err());
        assert!("utf-9".parse::<Encoding>().is_err());
        // A name of the standard for what must not be read.
        assert!("iso-2022-cn".parse::<Encoding>().is_err());
    }

    /// Gives one byte at a time.
    struct Dropping<'a>(&'a [u8]);

    impl Read for Dropping<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = into.len().min(1);
            self.0.read(&mut into[..count])
        }
    }

    #[test]
    fn a_stream_is_decoded_as_a_whole_is() {
        let bytes: Vec<u8> = [&b"\xc4\xe3\xba\xc3,"[..], b"|\xa8\xb9\n"]
            .concat()
            .repeat(40_000);
        let whole = decoded(&bytes, said("gb18030")).unwrap();
        let mut streamed = String::new();
        let mut stream = Decoded::new(Dropping(&bytes), said("gb18030"));
        stream.read_to_string(&mut streamed).unwrap();
        assert_eq!(streamed, whole);
        let mut packed = Vec::new();
        let mut stream = Decoded::new(&b"\x1f\x8b\xff"[..], said("latin1"));
        stream.read_to_end(&mut packed).unwrap();
        assert_eq!(packed, b"\x1f\x8b\xff");
        let mut cut = Decoded::new(Dropping(b"a\n\xc4"), said("gbk"));
        let error = cut.read_to_string(&mut String::new()).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
