//! Problems found in what a maker wrote, with the place they are at, and how they are shown.
//!
//! Owns the value and one pure rendering of it. Refuses colour and output: they belong to the program.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

/// Widest part of a line that is shown: stops a definition of one endless line from filling a terminal.
const SHOWN_WIDTH: usize = 160;
/// Columns between tab stops in shown lines.
const TAB_WIDTH: usize = 4;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong: one sentence, lower case, no full stop.
    pub message: String,
    /// Bytes of the text in question. Empty when something is missing at that place.
    pub span: Range<usize>,
    /// Which text.
    pub file: File,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Which text a problem is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum File {
    /// The definition, `appliance.toml`.
    Definition,
    /// A file beside it, with its text as far as it was read.
    Beside {
        /// Path relative to the definition's folder.
        path: String,
        /// The text that `span` counts in.
        text: Arc<str>,
    },
}

impl Problem {
    /// A problem in the definition.
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), span, file: File::Definition, hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with a hint, when there is one.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// Line and column of a byte in a text, both counted from 1. Columns count characters.
pub fn position(text: &str, byte: usize) -> (usize, usize) {
    let byte = floor_boundary(text, byte);
    let before = &text[..byte];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Shows problems one below the other: message, `path:line:column`, the line, carets below the place, the hint.
///
/// `path` and `text` are the definition's. Paths of other files are shown relative to the folder of `path`.
pub fn render_problems(problems: &[Problem], path: &str, text: &str) -> String {
    let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
    let mut out = String::new();
    for problem in problems {
        if !out.is_empty() {
            out.push('\n');
        }
        match &problem.file {
            File::Definition => render(&mut out, problem, path, text),
            File::Beside { path, text } => render(&mut out, problem, &format!("{folder}{path}"), text),
        }
    }
    out
}

fn render(out: &mut String, problem: &Problem, path: &str, text: &str) {
    let start = floor_boundary(text, problem.span.start);
    let (line, column) = position(text, start);
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = floor_boundary(text, problem.span.end).clamp(start, line_end);
    let shown_end = text[line_start..line_end]
        .char_indices()
        .nth(SHOWN_WIDTH.max(column + SHOWN_WIDTH / 2))
        .map_or(line_end, |(at, _)| line_start + at);
    // A place far to the right moves the window there.
    let shown_start = if column > SHOWN_WIDTH {
        text[line_start..start]
            .char_indices()
            .rev()
            .nth(SHOWN_WIDTH / 2)
            .map_or(start, |(at, _)| line_start + at)
    } else {
        line_start
    };
    let (before, width) = expand(&text[shown_start..start], 0);
    let (marked, marked_end) = expand(&text[start..end.min(shown_end)], width);
    let (after, _) = expand(&text[end.min(shown_end)..shown_end], marked_end);
    let ellipsis = |cut: bool| if cut { "..." } else { "" };
    let (left, right) = (ellipsis(shown_start > line_start), ellipsis(shown_end < line_end));
    let gutter = " ".repeat(line.to_string().len());
    let carets = "^".repeat((marked_end - width).max(1));
    let indent = " ".repeat(left.len() + width);
    let message = printable(&problem.message);
    // Writing to a string can not fail.
    let _ = writeln!(out, "error: {message}");
    let _ = writeln!(out, "{gutter}--> {path}:{line}:{column}");
    let _ = writeln!(out, "{gutter} |");
    let _ = writeln!(out, "{}", format!("{line} | {left}{before}{marked}{after}{right}").trim_end());
    let _ = writeln!(out, "{gutter} | {indent}{carets}");
    if let Some(hint) = &problem.hint {
        let _ = writeln!(out, "{gutter} = hint: {}", printable(hint));
    }
}

/// The text as it is shown from a column on, and the column after it. Tabs become spaces up to the next stop; control
/// characters become a dot, so that a definition can not steer the terminal it is shown on.
fn expand(text: &str, mut column: usize) -> (String, usize) {
    let mut out = String::new();
    for character in text.chars().filter(|character| *character != '\r') {
        let shown = match character {
            '\t' => " ".repeat(TAB_WIDTH - column % TAB_WIDTH),
            character if character.is_control() => "·".into(),
            character => character.into(),
        };
        column += if character == '\t' { shown.len() } else { display_width(character) };
        out.push_str(&shown);
    }
    (out, column)
}

/// Columns a character takes on a terminal: two for the East Asian wide blocks and emoji, none for combining marks.
/// A rough table of the large blocks, good enough to put a caret below the right place.
fn display_width(character: char) -> usize {
    match u32::from(character) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0x1f300..=0x1f64f
        | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '·' } else { character }).collect()
}

fn floor_boundary(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_the_line_and_points_at_the_place() {
        let text = "[appliance]\nvendr = \"acme\"\n";
        let problem = Problem::new(12..17, "`[appliance]` has no key `vendr`").hint("did you mean `vendor`?");
        assert_eq!(
            render_problems(&[problem], "x/appliance.toml", text),
            "error: `[appliance]` has no key `vendr`\n \
             --> x/appliance.toml:2:1\n  \
             |\n\
             2 | vendr = \"acme\"\n  \
             | ^^^^^\n  \
             = hint: did you mean `vendor`?\n"
        );
    }

    #[test]
    fn tabs_wide_and_combining_characters_keep_the_carets_below_their_text() {
        let text = "\ta = \"日本e\u{301}\", b";
        let at = text.find("b").expect("there is a b");
        let shown = render_problems(&[Problem::new(at..at + 1, "m")], "p", text);
        assert_eq!(
            shown,
            "error: m\n --> p:1:14\n  |\n1 |     a = \"日本e\u{301}\", b\n  |                  ^\n"
        );
    }

    #[test]
    fn problems_of_other_files_show_their_own_text() {
        let file = File::Beside { path: "t/site.conf".into(), text: "a\n{{ b }}\n".into() };
        let problem = Problem { file, ..Problem::new(5..6, "m") };
        assert_eq!(
            render_problems(&[problem], "x/appliance.toml", ""),
            "error: m\n --> x/t/site.conf:2:4\n  |\n2 | {{ b }}\n  |    ^\n"
        );
    }

    #[test]
    fn any_span_of_any_text_can_be_shown() {
        let long = format!("{}é\tx", "é".repeat(500));
        for text in ["", "\n", "é", "a\r\n\u{1b}[2Jb", &long] {
            for start in 0..text.len() + 3 {
                for end in [start, start + 1, usize::MAX] {
                    let shown = render_problems(&[Problem::new(start..end, "m")], "p", text);
                    assert!(shown.contains("^") && !shown.contains('\u{1b}'), "{shown}");
                    assert!(shown.lines().all(|line| line.chars().count() < 400), "{shown}");
                }
            }
        }
    }
}
