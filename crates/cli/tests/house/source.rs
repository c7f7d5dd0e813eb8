//! Just enough of Rust's grammar to tell code from comments and strings, and to find functions.
//!
//! It never judges: [`crate::rules`] does.

/// A Rust file in two masks of the same length, so that places in one are places in the other.
pub(crate) struct Source {
    /// The code; comments and the insides of strings and characters are blank.
    pub(crate) code: String,
    /// The comments; everything else is blank.
    pub(crate) comments: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, from 1.
    pub(crate) line: usize,
    /// Lines from its `fn` to its closing brace.
    pub(crate) lines: usize,
}

/// What the reader is inside of.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text { hashes: Option<usize> },
}

impl Source {
    /// Splits a file into code and comments.
    pub(crate) fn read(text: &str) -> Source {
        let letters: Vec<char> = text.chars().collect();
        let mut source = Source {
            code: String::new(),
            comments: String::new(),
        };
        let mut inside = Inside::Code;
        let mut at = 0;
        while at < letters.len() {
            let (length, next, mask) = step(&letters, at, inside);
            for letter in &letters[at..at + length] {
                let blank = if *letter == '\n' { '\n' } else { ' ' };
                source
                    .code
                    .push(if mask == Mask::Code { *letter } else { blank });
                source.comments.push(if mask == Mask::Comment {
                    *letter
                } else {
                    blank
                });
            }
            inside = next;
            at += length;
        }
        source
    }

    /// The code without items under `#[cfg(test)]`.
    pub(crate) fn code_without_tests(&self) -> String {
        let mut code = self.code.clone();
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = end_of_item(&code, start);
            let blank: String = code[start..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' })
                .collect();
            code.replace_range(start..end, &blank);
        }
        code
    }

    /// Every function with a body, also those inside others.
    pub(crate) fn functions(&self) -> Vec<Function> {
        words(&self.code)
            .filter(|(_, word)| *word == "fn")
            .filter_map(|(at, _)| function_at(&self.code, at))
            .collect()
    }
}

/// Into which mask letters go.
#[derive(Clone, Copy, PartialEq)]
enum Mask {
    Code,
    Comment,
    Neither,
}

/// How many letters belong together here, what follows them, and where they go.
fn step(letters: &[char], at: usize, inside: Inside) -> (usize, Inside, Mask) {
    let two =
        |first: char, second: char| letters[at] == first && letters.get(at + 1) == Some(&second);
    match inside {
        Inside::LineComment if letters[at] == '\n' => (1, Inside::Code, Mask::Code),
        Inside::LineComment => (1, inside, Mask::Comment),
        Inside::BlockComment { depth } if two('/', '*') => {
            (2, Inside::BlockComment { depth: depth + 1 }, Mask::Comment)
        }
        Inside::BlockComment { depth: 1 } if two('*', '/') => (2, Inside::Code, Mask::Comment),
        Inside::BlockComment { depth } if two('*', '/') => {
            (2, Inside::BlockComment { depth: depth - 1 }, Mask::Comment)
        }
        Inside::BlockComment { .. } => (1, inside, Mask::Comment),
        Inside::Text { hashes: None } if letters[at] == '\\' && at + 1 < letters.len() => {
            (2, inside, Mask::Neither)
        }
        Inside::Text { hashes } if ends_text(letters, at, hashes) => {
            (1 + hashes.unwrap_or(0), Inside::Code, Mask::Neither)
        }
        Inside::Text { .. } => (1, inside, Mask::Neither),
        Inside::Code if two('/', '/') => (2, Inside::LineComment, Mask::Comment),
        Inside::Code if two('/', '*') => (2, Inside::BlockComment { depth: 1 }, Mask::Comment),
        Inside::Code => step_in_code(letters, at),
    }
}

fn step_in_code(letters: &[char], at: usize) -> (usize, Inside, Mask) {
    let follows_word = at > 0 && is_word(letters[at - 1]);
    match letters[at] {
        '"' => (1, Inside::Text { hashes: None }, Mask::Neither),
        'r' if !follows_word || matches!(letters[at - 1], 'b' | 'c') => {
            let hashes = letters[at + 1..]
                .iter()
                .take_while(|letter| **letter == '#')
                .count();
            match letters.get(at + 1 + hashes) {
                Some('"') => (
                    2 + hashes,
                    Inside::Text {
                        hashes: Some(hashes),
                    },
                    Mask::Neither,
                ),
                _ => (1, Inside::Code, Mask::Code),
            }
        }
        '\'' => match character_length(letters, at) {
            Some(length) => (length, Inside::Code, Mask::Neither),
            None => (1, Inside::Code, Mask::Code),
        },
        _ => (1, Inside::Code, Mask::Code),
    }
}

fn ends_text(letters: &[char], at: usize, hashes: Option<usize>) -> bool {
    let hashes = hashes.unwrap_or(0);
    let tail = letters.get(at + 1..at + 1 + hashes);
    letters[at] == '"' && tail.is_some_and(|tail| tail.iter().all(|letter| *letter == '#'))
}

/// Length of the character literal that starts here, or `None` for a lifetime.
fn character_length(letters: &[char], at: usize) -> Option<usize> {
    if letters.get(at + 1) == Some(&'\\') {
        let close = letters[at + 3..]
            .iter()
            .position(|letter| *letter == '\'')?;
        return Some(close + 4);
    }
    (letters.get(at + 2) == Some(&'\'')).then_some(3)
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Every word of the code with the byte where it starts.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.split(|letter| !is_word(letter))
        .filter(|word| !word.is_empty())
        .map(|word| {
            let at = word.as_ptr() as usize - code.as_ptr() as usize;
            (at, word)
        })
}

/// The line of a byte, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn function_at(code: &str, at: usize) -> Option<Function> {
    let name: String = code[at + 2..]
        .trim_start()
        .chars()
        .take_while(|letter| is_word(*letter))
        .collect();
    // A function type has no name, a declaration has no body.
    let open = first_at_depth_zero(code, at)?;
    if name.is_empty() || !code[open..].starts_with('{') {
        return None;
    }
    let (first, last) = (line_of(code, at), line_of(code, closing_brace(code, open)));
    Some(Function {
        name,
        line: first,
        lines: last - first + 1,
    })
}

/// The first `{` or `;` that stands in no parentheses or brackets.
fn first_at_depth_zero(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (offset, letter) in code[from..].char_indices() {
        match letter {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' | ';' if depth == 0 => return Some(from + offset),
            _ => {}
        }
    }
    None
}

fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, letter) in code[open..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => return open + offset,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The byte behind the item that starts with an attribute here.
fn end_of_item(code: &str, start: usize) -> usize {
    match first_at_depth_zero(code, start) {
        Some(at) if code[at..].starts_with('{') => (closing_brace(code, at) + 1).min(code.len()),
        Some(at) => at + 1,
        None => code.len(),
    }
}

#[test]
fn strings_comments_and_characters_are_not_code() {
    let text = "let a = \"{ // no\"; // yes {\nlet b = '{'; /* { /* { */ */ \
                let c: &'static str = r#\"\"{\"#;";
    let source = Source::read(text);
    assert_eq!(source.code.matches('{').count(), 0, "{}", source.code);
    assert_eq!(
        source.comments.matches('{').count(),
        3,
        "{}",
        source.comments
    );
    assert!(source.code.contains("&'static str"), "{}", source.code);
}

#[test]
fn an_escaped_quote_does_not_end_a_string_or_a_character() {
    let source = Source::read(r#"f("\"{", '\'', '\u{7d}', b'"'); g { }"#);
    assert_eq!(source.code.matches('{').count(), 1, "{}", source.code);
    assert!(source.code.contains("g { }"), "{}", source.code);
}

#[test]
fn a_function_is_counted_from_its_fn_to_its_brace() {
    let text =
        "trait T { fn declared(&self); }\nfn long(\n    a: [u8; 3],\n) {\n    if a { \"}\" }\n}\n";
    let functions = Source::read(text).functions();
    assert_eq!(
        functions,
        [Function {
            name: "long".into(),
            line: 2,
            lines: 5
        }]
    );
}

#[test]
fn what_stands_under_cfg_test_is_blank() {
    let text =
        "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { x } }\n#[cfg(test)]\nmod more;\nfn c() {}";
    let code = Source::read(text).code_without_tests();
    assert!(code.contains("fn a") && code.contains("fn c"), "{code}");
    assert!(!code.contains("fn b") && !code.contains("more"), "{code}");
}
