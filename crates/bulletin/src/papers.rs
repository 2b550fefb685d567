//! What a bulletin reads of the texts that packages ship: Debian's changelogs, and kernel options.

use std::collections::BTreeMap;

use release::documents::PackageDocuments;

use crate::changelog;

/// Changelogs that one of `packages` ships: Debian's own first, those of native packages after them. Upstream's changelogs have
/// other forms, and reading them as Debian's gives nothing.
pub fn changelogs<'a, 'b>(
    documents: &'a PackageDocuments,
    packages: impl IntoIterator<Item = &'b str>,
) -> Vec<&'a str> {
    let mut found: Vec<(bool, &str)> = Vec::new();
    for package in packages {
        for name in documents.names(package).filter(|name| name.starts_with("changelog")) {
            if let Some(text) = documents.text(package, name)
                && !changelog::entries(head(text)).is_empty()
            {
                found.push((!name.starts_with("changelog.Debian"), text));
            }
        }
    }
    found.sort_by_key(|(is_native, _)| *is_native);
    found.dedup();
    found.into_iter().map(|(_, text)| text).collect()
}

/// `CONFIG_X=y` and `# CONFIG_X is not set`; strings about the compiler and the build's salt vary and say nothing.
pub fn kernel_options(text: &str) -> BTreeMap<String, String> {
    let option = |line: &str| {
        if let Some(name) = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set")) {
            return Some((name.to_owned(), "not set".to_owned()));
        }
        let (name, value) = line.split_once('=')?;
        name.starts_with("CONFIG_").then(|| (name.to_owned(), value.to_owned()))
    };
    let is_noise = |name: &str| matches!(name, "CONFIG_BUILD_SALT" | "CONFIG_CC_VERSION_TEXT");
    text.lines().filter_map(option).filter(|(name, _)| !is_noise(name)).collect()
}

/// Enough of a text to see whether it is Debian's.
fn head(text: &str) -> &str {
    let mut end = text.len().min(4096);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn debians_changelogs_are_told_from_upstreams_and_damaged_ones_are_left_out() {
        let entry = "a (1-1) sid; urgency=low\n\n  * Hello\n\n -- A <a@b>  Mon\n";
        let key = |name: &str| ("a".to_owned(), name.to_owned());
        let mut damaged = packed(entry);
        damaged.truncate(12);
        let documents = PackageDocuments::of([
            (key("changelog.Debian.gz"), packed(entry)),
            (key("changelog.gz"), packed("2024-01-01  Somebody\n\t* fix\n")),
            (key("changelog.Debian.amd64.gz"), damaged),
        ])
        .expect("within all limits");
        assert_eq!(changelogs(&documents, ["a", "b"]), [entry]);
        assert!(changelogs(&documents, ["aa"]).is_empty());
    }

    #[test]
    fn kernel_options_are_read_whether_set_or_not() {
        let options =
            kernel_options("CONFIG_A=y\n# CONFIG_B is not set\n# a comment\nCONFIG_BUILD_SALT=\"6\"\n");
        let found: Vec<_> = options.iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(found, ["CONFIG_A y", "CONFIG_B not set"]);
    }
}
