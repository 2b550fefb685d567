//! The few fields of a package's control file that unpacking and configuring need.

use std::collections::BTreeSet;

use debian::control::Paragraph;

/// Fields of one package.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// The paragraph as it is, without trailing line ends.
    pub text: String,
    /// `Package`.
    pub name: String,
    /// `Architecture`.
    pub architecture: String,
    /// `Version`.
    pub version: String,
    /// Whether `Multi-Arch` is `same`: its files in dpkg's database carry the architecture.
    pub is_multi_arch_same: bool,
    /// `Pre-Depends`, each a list of alternatives, names only.
    pub pre_depends: Vec<Vec<String>>,
    /// `Depends`, likewise.
    pub depends: Vec<Vec<String>>,
    /// `Provides`, names only.
    pub provides: BTreeSet<String>,
    /// `Replaces`, names only.
    pub replaces: BTreeSet<String>,
}

impl Control {
    /// Takes what is needed from a parsed paragraph and keeps its `text`.
    pub fn read(paragraph: &Paragraph<'_>, text: &str) -> Self {
        let field = |name: &str| paragraph.field(name).unwrap_or_default().to_owned();
        let names = |name| alternatives(&field(name)).into_iter().flatten().collect();
        Self {
            text: text.trim_end().to_owned(),
            name: field("Package"),
            architecture: field("Architecture"),
            version: field("Version"),
            is_multi_arch_same: field("Multi-Arch") == "same",
            pre_depends: alternatives(&field("Pre-Depends")),
            depends: alternatives(&field("Depends")),
            provides: names("Provides"),
            replaces: names("Replaces"),
        }
    }
}

/// `a (>= 1) | b:any, c [amd64]` as names: `[[a, b], [c]]`.
fn alternatives(value: &str) -> Vec<Vec<String>> {
    let name = |one: &str| {
        let end = one.find([' ', '(', '[', '<', ':']).unwrap_or(one.len());
        one[..end].to_owned()
    };
    value
        .split(',')
        .map(|group| group.split('|').map(|one| name(one.trim())).filter(|name| !name.is_empty()).collect())
        .filter(|group: &Vec<String>| !group.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_as_names() {
        let text = "Package: x\nMulti-Arch: same\nPre-Depends: libc6 (>= 2.38), a:any | b (= 1)\nDepends: c,\n d [amd64]\nProvides: awk (= 2)\n";
        let control = Control::read(&Paragraph::parse_only(text).unwrap(), text);
        assert_eq!(control.pre_depends, [vec!["libc6".to_owned()], vec!["a".to_owned(), "b".to_owned()]]);
        assert_eq!(control.depends, [vec!["c".to_owned()], vec!["d".to_owned()]]);
        assert!(control.provides.contains("awk") && control.is_multi_arch_same);
    }
}
