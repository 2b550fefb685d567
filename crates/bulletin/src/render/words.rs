//! Words for values, shared by all renderers.

use crate::facts::{Change, Class, Kind, Nature, Severity, Status, Step, Upload, Urgency};

/// What sort of patch, as a badge.
pub fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Nothing => "no change",
        Kind::Security => "security",
        Kind::Bugfix => "bug fixes",
        Kind::Feature => "features",
        Kind::Mixed => "security and more",
    }
}

/// How soon, as a badge.
pub fn urgency(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::None => "none",
        Urgency::Routine => "when it suits",
        Urgency::Soon => "next window",
        Urgency::High => "within days",
    }
}

/// How well it is known, in words.
pub fn class(class: Class) -> &'static str {
    match class {
        Class::Both => "changelog and feed",
        Class::Changelog => "changelog",
        Class::Feed => "feed",
        Class::Unclear => "unclear",
    }
}

/// What becomes of an issue.
pub fn status(status: Status) -> &'static str {
    match status {
        Status::Fixed => "fixed",
        Status::Open => "open",
        Status::New => "new",
    }
}

/// Weight, or nothing.
pub fn severity(severity: Option<Severity>) -> &'static str {
    severity.map(Severity::as_str).unwrap_or_default()
}

/// What the uploads were for.
pub fn upload(upload: Upload, step: Step) -> &'static str {
    match (step, upload) {
        (Step::Added, _) => "new",
        (Step::Removed, _) => "gone",
        (Step::Older, _) => "goes back",
        (Step::Rebuilt, _) => "same source",
        (Step::Newer, Upload::Security) => "security",
        (Step::Newer, Upload::Partly) => "security and more",
        (Step::Newer, Upload::Other) => "other",
        (Step::Newer, Upload::Unknown) => "not known",
    }
}

/// A sign for a change.
pub fn sign(change: Change) -> char {
    match change {
        Change::Added => '+',
        Change::Removed => '-',
        Change::Changed => '~',
    }
}

/// A sign for what happened to a path.
pub fn nature(nature: Nature) -> char {
    match nature {
        Nature::Added => '+',
        Nature::Removed => '-',
        Nature::Changed => '~',
        Nature::Moved => '>',
    }
}

/// A number with its noun.
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number as u64), if number == 1 { one } else { many })
}

/// `40,000`
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
