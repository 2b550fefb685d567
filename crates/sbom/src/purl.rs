//! Package URLs as the purl specification writes them.

/// A package URL. `namespace` may be empty; qualifiers with empty values are left out, the others sorted by key.
pub fn purl(kind: &str, namespace: &str, name: &str, version: &str, qualifiers: &[(&str, &str)]) -> String {
    let mut text = format!("pkg:{kind}/");
    for part in namespace.split('/').filter(|part| !part.is_empty()) {
        text.push_str(&encoded(part));
        text.push('/');
    }
    text.push_str(&encoded(name));
    if !version.is_empty() {
        text.push('@');
        text.push_str(&encoded(version));
    }
    let mut given: Vec<_> = qualifiers.iter().filter(|(_, value)| !value.is_empty()).collect();
    given.sort();
    for (index, (key, value)) in given.iter().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(&format!("{key}={}", encoded(value)));
    }
    text
}

/// A Debian package. `upstream` names the source with its version: advisories speak of that.
pub fn debian(name: &str, version: &str, architecture: &str, suite: &str, source: (&str, &str)) -> String {
    let (distro, upstream) = (distro(suite), format!("{}@{}", source.0, source.1));
    let qualifiers = [("arch", architecture), ("distro", distro.as_str()), ("upstream", upstream.as_str())];
    purl("deb", "debian", name, version, &qualifiers)
}

/// `debian-13` for `trixie` and its updates; a suite without a number keeps its name.
pub fn distro(suite: &str) -> String {
    match debian_release(suite) {
        Some(number) => format!("debian-{number}"),
        None => format!("debian-{}", code_name(suite)),
    }
}

/// The number of a Debian release.
pub fn debian_release(suite: &str) -> Option<&'static str> {
    let known = [("buster", "10"), ("bullseye", "11"), ("bookworm", "12"), ("trixie", "13"), ("forky", "14")];
    known.iter().find(|(name, _)| *name == code_name(suite)).map(|(_, number)| *number)
}

fn code_name(suite: &str) -> &str {
    suite.split(['-', '/']).next().unwrap_or(suite)
}

/// Percent-encoded. The specification leaves colons as they are.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(byte as char)
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debian_package_names_its_source_and_its_release() {
        assert_eq!(
            debian("libstdc++6", "1:14.2.0-19+b1", "amd64", "trixie-security", ("gcc-14", "14.2.0-19~deb13")),
            "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19%2Bb1?arch=amd64&distro=debian-13&upstream=gcc-14%4014.2.0-19~deb13"
        );
        assert_eq!(distro("bullseye-backports"), "debian-11");
        assert_eq!(distro("sid"), "debian-sid");
    }

    #[test]
    fn scopes_and_empty_parts_are_written_as_the_specification_has_them() {
        assert_eq!(purl("npm", "@types", "node", "1", &[("a", "")]), "pkg:npm/%40types/node@1");
        assert_eq!(purl("generic", "acme", "a b", "", &[]), "pkg:generic/acme/a%20b");
    }
}
