//! Which files of packages become documents of a release. What is trimmed is `compose`'s to say.

use tree::Pattern;

/// Files that become documents of a release: who may do what with the code, and what changed.
pub fn document_patterns() -> Vec<Pattern> {
    patterns(&[
        "/usr/share/doc/*/copyright",
        "/usr/share/doc/*/changelog.Debian.gz",
        "/usr/share/doc/*/changelog.Debian.*.gz",
        "/usr/share/doc/*/changelog.gz",
        "/boot/config-*",
    ])
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| text.parse().expect("a built-in pattern is well formed")).collect()
}
