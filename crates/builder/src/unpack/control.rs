//! The few fields of a package's control file that unpacking and configuring need.

use std::collections::BTreeSet;

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
    /// Reads the paragraph of a control file.
    pub fn parse(text: &str) -> Self {
        let field = |name: &str| field(text, name).unwrap_or_default();
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

/// The value of a field, continuation lines joined with blanks.
fn field(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines();
    let is_wanted = |line: &&str| {
        line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && line.as_bytes().get(name.len()) == Some(&b':')
    };
    let first = lines.find(is_wanted)?;
    let mut value = first[name.len() + 1..].trim().to_owned();
    for line in lines.take_while(|line| line.starts_with([' ', '\t'])) {
        value.push(' ');
        value.push_str(line.trim());
    }
    Some(value)
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
        let control = Control::parse(
            "Package: x\nMulti-Arch: same\nPre-Depends: libc6 (>= 2.38), a:any | b (= 1)\nDepends: c,\n d [amd64]\nProvides: awk (= 2)\n",
        );
        assert_eq!(control.pre_depends, [vec!["libc6".to_owned()], vec!["a".to_owned(), "b".to_owned()]]);
        assert_eq!(control.depends, [vec!["c".to_owned()], vec!["d".to_owned()]]);
        assert!(control.provides.contains("awk") && control.is_multi_arch_same);
    }
}
