//! How tables are written, as constants of the script: what was said of it, and in Python's words.

use data::{Decimal, Delimiter, Dialect, Encoding};

use super::literal::text;

/// What was said; the script finds out the rest, as lehr does.
pub(super) fn constants(said: Dialect) -> String {
    let named = |said: Option<String>| said.map_or("None".to_string(), |said| text(&said));
    let delimiter = said.delimiter.map(|delimiter| match delimiter {
        Delimiter::Byte(byte) => char::from(byte).to_string(),
        Delimiter::Blanks => delimiter.to_string(),
    });
    let decimal = said.decimal.map(|decimal| match decimal {
        Decimal::Point => ".".to_string(),
        Decimal::Comma => ",".to_string(),
    });
    format!(
        "# How files are written: what separates cells, the decimal mark, the encoding. None: it is found out.\n\
         DELIMITER, DECIMAL, ENCODING = {}, {}, {}",
        named(delimiter),
        named(decimal),
        named(said.encoding.map(codec)),
    )
}

/// What Python calls an encoding of the web, or the wider one that browsers mean by its name.
///
/// It has none for `x-user-defined`, and says so when it is asked.
fn codec(encoding: Encoding) -> String {
    let name = encoding.to_string();
    let codec = match name.as_str() {
        "big5" => "big5hkscs",
        "euc-kr" => "cp949",
        "gbk" => "gb18030",
        "iso-8859-8-i" => "iso-8859-8",
        "macintosh" => "mac_roman",
        "shift_jis" => "cp932",
        "windows-874" => "cp874",
        "x-mac-cyrillic" => "mac_cyrillic",
        same => same,
    };
    codec.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_line(said: Dialect) -> String {
        let written = constants(said);
        written.lines().next_back().unwrap().to_string()
    }

    #[test]
    fn what_is_said_of_tables_is_written_in_the_words_of_python() {
        assert_eq!(
            last_line(Dialect::default()),
            "DELIMITER, DECIMAL, ENCODING = None, None, None"
        );
        let said = |delimiter, decimal, encoding: &str| {
            last_line(Dialect {
                delimiter: Some(delimiter),
                decimal: Some(decimal),
                encoding: Some(encoding.parse().unwrap()),
            })
        };
        assert_eq!(
            said(Delimiter::Byte(b'\t'), Decimal::Comma, "gbk"),
            r#"DELIMITER, DECIMAL, ENCODING = "\t", ",", "gb18030""#
        );
        // Whoever says Latin-1 means that of Windows.
        assert_eq!(
            said(Delimiter::Blanks, Decimal::Point, "latin1"),
            r#"DELIMITER, DECIMAL, ENCODING = "blanks", ".", "windows-1252""#
        );
    }
}
