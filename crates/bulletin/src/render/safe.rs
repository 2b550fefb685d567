//! Texts of strangers, shown harmlessly: file names and changelogs come from images of anyone.
//!
//! Control characters would move a terminal's cursor or change its colours; bidirectional controls would make a page show one
//! thing and mean another; invisible characters would hide a difference. They are replaced by their code points, so that
//! they are seen. HTML is escaped by the template engine.

use serde_json::Value;

use crate::facts::Bulletin;

/// A bulletin with harmless texts.
pub fn harmless(bulletin: &Bulletin) -> Bulletin {
    let mut value = serde_json::to_value(bulletin).expect("a bulletin has only string keys");
    clean(&mut value);
    serde_json::from_value(value).expect("changing texts keeps the shape")
}

fn clean(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.chars().any(is_harmful) {
                *text = shown(text);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(clean),
        Value::Object(values) => values.values_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text with what could do harm replaced by its code point: `U+202E` in angle brackets.
pub fn shown(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match is_harmful(character) {
            true => result.push_str(&format!("⟨U+{:04X}⟩", u32::from(character))),
            false => result.push(character),
        }
    }
    result
}

fn is_harmful(character: char) -> bool {
    let is_control = character.is_control() && !matches!(character, '\n' | '\t');
    is_control
        || matches!(character,
            // Bidirectional controls (UAX 9).
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Invisible: soft hyphen, zero width, variation of joining, word joiner, fillers, line separators, tags.
            | '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}'
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text on one line.
pub fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_do_harm_is_shown_as_its_code_point() {
        assert_eq!(shown("a\u{1b}[31mb"), "a⟨U+001B⟩[31mb");
        assert_eq!(shown("gpj\u{202e}exe.\u{200b}"), "gpj⟨U+202E⟩exe.⟨U+200B⟩");
        assert_eq!(shown("Ondřej\tund\nUmlaute ü"), "Ondřej\tund\nUmlaute ü");
    }
}
