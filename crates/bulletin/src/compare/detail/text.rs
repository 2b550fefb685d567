//! Differences of texts, line by line.

use similar::{Algorithm, TextDiff};

use crate::facts::Detail;

/// Largest text that is compared line by line.
const TEXT_LIMIT: usize = 512 << 10;
/// Most lines of a text. The comparison is quadratic where nothing agrees.
const LINE_LIMIT: usize = 8_000;
/// Lines of a difference that are shown.
const SHOWN_LINES: usize = 300;
/// Longest line shown, in characters: minified programs are one line.
const LINE_LENGTH: usize = 300;
/// Lines of context around a change.
const CONTEXT: usize = 2;

/// The difference of two texts; `None` when one is no text.
pub fn change(old: &[u8], new: &[u8], budget: &mut usize) -> Option<Detail> {
    let (old, new) = (as_text(old)?, as_text(new)?);
    let lines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
    if old.len().max(new.len()) > TEXT_LIMIT || lines(old).max(lines(new)) > LINE_LIMIT {
        return Some(Detail::Opaque { why: "a long text: not compared line by line".into() });
    }
    let compared = TextDiff::configure().algorithm(Algorithm::Myers).diff_lines(old, new);
    let whole = compared.unified_diff().context_radius(CONTEXT).missing_newline_hint(false).to_string();
    let (mut diff, mut left_out) = (String::new(), 0);
    for (index, line) in whole.lines().enumerate() {
        let line = shorten(line);
        if index >= SHOWN_LINES || line.len() + 1 > *budget {
            left_out += 1;
            continue;
        }
        *budget -= line.len() + 1;
        diff.push_str(&line);
        diff.push('\n');
    }
    Some(Detail::Text { diff, left_out })
}

fn as_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let head = &text.as_bytes()[..text.len().min(8192)];
    (!head.contains(&0)).then_some(text)
}

fn shorten(line: &str) -> String {
    match line.char_indices().nth(LINE_LENGTH) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_shown_with_its_surroundings_and_cut_where_it_is_long() {
        let mut budget = 1000;
        let Some(Detail::Text { diff, left_out }) = change(b"a\nb\nc\n", b"a\nB\nc\n", &mut budget) else {
            panic!("a text is expected");
        };
        assert_eq!((diff.as_str(), left_out), ("@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n", 0));
        let long: String = (0..1000).map(|number| format!("{number}\n")).collect();
        let Some(Detail::Text { diff, left_out }) = change(b"", long.as_bytes(), &mut 1_000_000) else {
            panic!("a text is expected");
        };
        assert_eq!((diff.lines().count(), left_out), (SHOWN_LINES, 1001 - SHOWN_LINES));
        let Some(Detail::Text { diff, left_out }) = change(b"a\n", b"b\n", &mut 0) else {
            panic!("a text is expected");
        };
        assert_eq!((diff.as_str(), left_out), ("", 3));
    }

    #[test]
    fn what_is_no_text_is_not_compared_as_one() {
        assert_eq!(change(b"\0", b"a", &mut 1000), None);
        assert_eq!(change(b"\xff", b"a", &mut 1000), None);
    }
}
