//! Debian control files (deb822(5)): paragraphs of fields, borrowed from the text they are in.
//!
//! Owns the syntax. Refuses meaning: what fields say is read by [`crate::index`].

use std::fmt;

/// Longest paragraph. Stops a forged index from making one package look endless; the longest are `Release` files, which
/// are one paragraph of some hundred KiB.
pub const MAX_PARAGRAPH_BYTES: usize = 4 << 20;
/// Most fields of a paragraph. Stops lookups, which are linear, from becoming slow.
pub const MAX_FIELDS: usize = 256;

/// The text breaks deb822's syntax or a limit.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct ControlError {
    /// Line of the text, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: ControlProblem,
}

/// What is wrong with a control file.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ControlProblem {
    /// A line is neither `Name: value`, nor a continuation, nor empty.
    #[error("a field, `Name: value`, is expected")]
    NotAField,
    /// A continuation line begins a paragraph.
    #[error("a continuation line follows no field")]
    Orphan,
    /// Fields occur once.
    #[error("field `{0}` occurs twice in one paragraph")]
    Twice(String),
    /// [`MAX_PARAGRAPH_BYTES`] or [`MAX_FIELDS`].
    #[error(
        "the paragraph is too large: at most {MAX_PARAGRAPH_BYTES} bytes and {MAX_FIELDS} fields are read"
    )]
    TooLarge,
    /// A control file of one package has one paragraph.
    #[error("exactly one paragraph is expected")]
    NotOneParagraph,
}

/// One paragraph: fields in the order they are written.
#[derive(Clone, PartialEq, Eq)]
pub struct Paragraph<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Paragraph<'a> {
    /// The value of a field, trimmed at both ends; continuation lines keep their line feeds. Names ignore case.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().copied()
    }

    /// Reads a text of exactly one paragraph.
    ///
    /// # Errors
    /// [`ControlError`] for other syntax, or none or several paragraphs.
    pub fn parse_only(text: &'a str) -> Result<Self, ControlError> {
        let mut all = paragraphs(text);
        let lonely = |line| ControlError { line, problem: ControlProblem::NotOneParagraph };
        let first = all.next().ok_or_else(|| lonely(1))??;
        if all.next().is_some() { Err(lonely(all.line)) } else { Ok(first) }
    }

    /// As [`Paragraph::parse_only`], for a text that may be clear-signed (RFC 9580, section 7). The signature is cut off
    /// and NOT checked.
    ///
    /// # Errors
    /// As [`Paragraph::parse_only`].
    pub fn parse_signed(text: &'a str) -> Result<Self, ControlError> {
        let Some(signed) = text.strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----\n") else {
            return Self::parse_only(text);
        };
        let body = signed.split_once("\n\n").map_or("", |(_, body)| body);
        let end = body.find("-----BEGIN PGP SIGNATURE-----").unwrap_or(body.len());
        Self::parse_only(&body[..end])
    }
}

impl fmt::Debug for Paragraph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.fields.iter().copied()).finish()
    }
}

/// The paragraphs of a text; see [`paragraphs`].
#[derive(Clone, Debug)]
pub struct Paragraphs<'a> {
    rest: &'a str,
    /// Lines already read.
    line: usize,
}

/// Iterates over the paragraphs of a text. After an error the iterator is at its end.
pub fn paragraphs(text: &str) -> Paragraphs<'_> {
    Paragraphs { rest: text, line: 0 }
}

impl<'a> Paragraphs<'a> {
    fn take_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        Some(line)
    }

    fn fail(&mut self, problem: ControlProblem) -> Option<Result<Paragraph<'a>, ControlError>> {
        self.rest = "";
        Some(Err(ControlError { line: self.line, problem }))
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Result<Paragraph<'a>, ControlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields: Vec<(&'a str, &'a str)> = Vec::with_capacity(24);
        let start = self.rest;
        loop {
            let before = self.rest;
            let Some(line) = self.take_line() else { break };
            if start.len() - self.rest.len() > MAX_PARAGRAPH_BYTES {
                return self.fail(ControlProblem::TooLarge);
            }
            if line.trim_ascii().is_empty() {
                if fields.is_empty() {
                    continue;
                }
                break;
            }
            if line.starts_with('#') {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                let Some((_, value)) = fields.last_mut() else { return self.fail(ControlProblem::Orphan) };
                // The value grows in place: both are slices of one text.
                let value_start = start.len() - offset_from_end(start, value);
                let end = start.len() - before.len() + line.len();
                *value = start[value_start..end].trim_ascii();
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                return self.fail(ControlProblem::NotAField);
            };
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return self.fail(ControlProblem::NotAField);
            }
            if fields.iter().any(|(field, _)| field.eq_ignore_ascii_case(name)) {
                return self.fail(ControlProblem::Twice(name.chars().take(80).collect()));
            }
            if fields.len() == MAX_FIELDS {
                return self.fail(ControlProblem::TooLarge);
            }
            // An empty value still has a place, from which continuation lines go on.
            let trimmed = value.trim_ascii();
            fields.push((name, if trimmed.is_empty() { &value[value.len()..] } else { trimmed }));
        }
        (!fields.is_empty()).then_some(Ok(Paragraph { fields }))
    }
}

/// How far before the end of `text` its slice `part` begins.
fn offset_from_end(text: &str, part: &str) -> usize {
    (text.as_ptr() as usize + text.len()) - part.as_ptr() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_keep_order_and_continuation_lines() {
        let text = "# comment\nPackage: a\nDescription: short\n long one\n .\n\tlast\nEmpty:\nList:\n one\n two\n\n\nPackage: b\n";
        let all: Vec<_> = paragraphs(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].field("package"), Some("a"));
        assert_eq!(all[0].field("Description"), Some("short\n long one\n .\n\tlast"));
        assert_eq!(all[0].field("Empty"), Some(""));
        assert_eq!(all[0].field("List"), Some("one\n two"));
        assert_eq!(
            all[0].fields().map(|(name, _)| name).collect::<Vec<_>>(),
            ["Package", "Description", "Empty", "List"]
        );
        assert_eq!(all[1].field("Package"), Some("b"));
        assert_eq!(all[1].field("Missing"), None);
    }

    #[test]
    fn what_is_not_deb822_is_refused_with_its_line() {
        let many: String = (0..=MAX_FIELDS).map(|number| format!("F{number}: x\n")).collect();
        let long = format!("A: {}\n", "x".repeat(MAX_PARAGRAPH_BYTES));
        for (text, expected) in [
            ("Package: a\nnonsense\n", "line 2: a field"),
            (": a\n", "line 1: a field"),
            ("A b: c\n", "line 1: a field"),
            ("\n continued\n", "line 2: a continuation"),
            ("A: 1\na: 2\n", "line 2: field `a` occurs twice"),
            (many.as_str(), "too large"),
            (long.as_str(), "too large"),
            ("", "exactly one"),
            ("A: 1\n\nB: 1\n", "exactly one"),
        ] {
            let error = Paragraph::parse_only(text).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "([A-C]:[ a]{0,3}\n|[ \t]é?\n|#\n|\n|.{0,3}){0,20}") {
            for paragraph in paragraphs(&text) {
                let _ = paragraph;
            }
        }

        #[test]
        fn written_fields_read_back(values in prop::collection::vec("[!-~]([ -~]{0,20}[!-~])?", 1..20)) {
            let text: String = values.iter().enumerate().map(|(n, value)| format!("Field-{n}: {value}\n")).collect();
            let paragraph = Paragraph::parse_only(&text).unwrap();
            let read: Vec<_> = paragraph.fields().map(|(_, value)| value.to_owned()).collect();
            prop_assert_eq!(read, values);
        }
    }
}
