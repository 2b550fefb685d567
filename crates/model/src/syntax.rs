//! The syntax of small texts: slugs, versions, dates, host names, addresses, URLs, paths, unit names.
//!
//! Owns one pure yes-or-no function a syntax; definitions and settings both use them, so that a maker and a customer
//! are held to the same rules. Refuses messages: those belong to the callers, who know what the text is for.

use std::net::IpAddr;

/// Longest host name, RFC 1123 section 2.1.
const HOSTNAME_LIMIT: usize = 253;
/// Longest e-mail address, RFC 5321 section 4.5.3.1.3 without the angle brackets.
const EMAIL_LIMIT: usize = 254;
/// Longest part before the `@`, RFC 5321 section 4.5.3.1.1.
const EMAIL_LOCAL_LIMIT: usize = 64;
/// Longest URL: keeps a value that is shown on a status card and written to logs from flooding them.
const URL_LIMIT: usize = 2048;
/// Longest path, PATH_MAX of Linux with its final zero.
const PATH_LIMIT: usize = 4095;
/// Longest component of a path, NAME_MAX of Linux.
const COMPONENT_LIMIT: usize = 255;

/// Lower-case letters, digits and single hyphens, beginning with a letter; at most 63 characters.
pub fn is_slug(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

/// Three numbers with dots and an optional pre-release, as in Semantic Versioning 2.0.0 without build metadata.
pub fn is_version(text: &str) -> bool {
    let (numbers, pre_release) = match text.split_once('-') {
        Some((numbers, pre_release)) => (numbers, Some(pre_release)),
        None => (text, None),
    };
    let is_number = |part: &str| {
        !part.is_empty()
            && part.len() <= 9
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let is_identifier = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && (!part.bytes().all(|b| b.is_ascii_digit()) || is_number(part))
    };
    text.len() <= 64
        && numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && pre_release.is_none_or(|pre_release| pre_release.split('.').all(is_identifier))
}

/// A day that exists in the Gregorian calendar, written `YYYY-MM-DD`.
pub fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return false;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .try_fold(0u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
    };
    let (Some(year), Some(month), Some(day)) = (number(0..4), number(5..7), number(8..10)) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    year >= 1970 && (1..=days).contains(&day)
}

/// A host name by RFC 1123 section 2.1, without a final dot. What looks like an IPv4 address is not one.
pub fn is_hostname(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= HOSTNAME_LIMIT
        && text.split('.').all(is_label)
        && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

/// An e-mail address: a dot-atom (RFC 5322 section 3.2.3), `@` and a host name. Quoted local parts are refused.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    text.len() <= EMAIL_LIMIT
        && local.len() <= EMAIL_LOCAL_LIMIT
        && local.split('.').all(is_atom)
        && is_hostname(domain)
}

/// An address and a prefix length that fits it: `192.168.1.0/24`, `fd00::/8`.
pub fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    is_plain_number(prefix) && prefix.parse::<u8>().is_ok_and(|prefix| prefix <= longest)
}

/// The host of an absolute URL with one of the schemes, without user name or password; `None` when it is none.
/// The host of `file:` URLs is empty, and so is all of the one URL with the scheme `disk`, `disk://`.
pub fn url_host<'t>(text: &'t str, schemes: &[&str]) -> Option<&'t str> {
    if text.len() > URL_LIMIT || !text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b)) {
        return None;
    }
    let (scheme, rest) = text.split_once("://")?;
    if !schemes.contains(&scheme) {
        return None;
    }
    if scheme == "disk" {
        return rest.is_empty().then_some("");
    }
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if scheme == "file" {
        return (authority.is_empty() && rest.starts_with('/')).then_some("");
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, rest) = bracketed.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => {
            let (host, port) = match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            };
            if !is_hostname(host) && host.parse::<std::net::Ipv4Addr>().is_err() {
                return None;
            }
            (host, port)
        }
    };
    port.is_none_or(is_port).then_some(host)
}

/// A scheme of a URL, RFC 3986 section 3.1, in lower case.
pub fn is_scheme(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
}

/// 1 to 65535 in decimal digits.
pub fn is_port(text: &str) -> bool {
    is_plain_number(text) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A name of the time zone database: `UTC`, `Europe/Vienna`, `America/Argentina/Ushuaia`. Only the shape is judged.
pub fn is_timezone(text: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b))
    };
    text.len() <= 64 && (text == "UTC" || (text.contains('/') && text.split('/').all(is_part)))
}

/// A Debian package name, Debian Policy section 5.6.1.
pub fn is_package(text: &str) -> bool {
    (2..=128).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
}

/// A user or group name as Debian's `adduser` takes it for system users; at most 31 characters.
pub fn is_user(text: &str) -> bool {
    text.len() <= 31
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
}

/// A systemd unit name with its type, `systemd.unit(5)`.
pub fn is_unit(text: &str) -> bool {
    const TYPES: [&str; 9] =
        ["service", "socket", "timer", "path", "target", "mount", "automount", "slice", "swap"];
    text.len() <= 255
        && text.rsplit_once('.').is_some_and(|(name, kind)| {
            TYPES.contains(&kind)
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b))
        })
}

/// An absolute path without `.`, `..`, empty components, control characters or a final slash. Not `/` itself.
pub fn is_absolute(text: &str) -> bool {
    text.len() <= PATH_LIMIT && text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_component))
}

/// A relative path that stays below where it starts; see [`is_absolute`]. `.` alone is refused too.
pub fn is_relative(text: &str) -> bool {
    text.len() <= PATH_LIMIT && text.split('/').all(is_component)
}

/// Whether `path` is `folder` or lies below it.
pub fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_component(component: &str) -> bool {
    (1..=COMPONENT_LIMIT).contains(&component.len())
        && component != "."
        && component != ".."
        && !component.chars().any(char::is_control)
}

/// Digits only: Rust's own parsers would take a leading `+`.
fn is_plain_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(judge: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        good.iter().for_each(|text| assert!(judge(text), "`{text}` should be taken"));
        bad.iter().for_each(|text| assert!(!judge(text), "`{text}` should be refused"));
    }

    #[test]
    fn names_have_one_spelling() {
        all(is_slug, &["a", "acme-2"], &["", "Acme", "2a", "a--b", "a-", "-a", "a_b", "é"]);
        all(is_user, &["www-data", "_apt"], &["", "Root", "0day", "a b"]);
        all(is_package, &["libc6", "g++", "0ad"], &["", "a", "Apache2", "a_b", "a:amd64"]);
        all(
            is_unit,
            &["a.service", "getty@tty1.service", "a-b.timer"],
            &["", "apache2", ".service", "a b.service"],
        );
    }

    #[test]
    fn versions_and_dates_are_real_ones() {
        all(
            is_version,
            &["1.4.0", "2.0.0-rc.1", "0.0.0"],
            &["1.4", "1.04.0", "1.4.0-", "1.4.0-01", "v1.0.0", ""],
        );
        all(
            is_date,
            &["2028-02-29", "2030-12-31", "2000-02-29"],
            &["2027-02-29", "2100-02-29", "2030-13-01", "2030-1-1", "30-01-2030", ""],
        );
    }

    #[test]
    fn network_names_follow_their_documents() {
        all(is_hostname, &["a", "web-1.example.org"], &["", "a_b", "-a", "a.", "a..b", "10.0.0.1", "é.org"]);
        all(
            is_email,
            &["a.b+c@example.org", "root@localhost"],
            &["", "a", "@b", "a@", "a b@c", ".a@b", "a@b@c"],
        );
        all(
            is_cidr,
            &["10.0.0.0/8", "fd00::/8", "1.2.3.4/32"],
            &["10.0.0.0", "10.0.0.0/33", "::/129", "1.2.3.4/+8"],
        );
        all(
            is_timezone,
            &["UTC", "Europe/Vienna", "Etc/GMT+1"],
            &["", "Vienna", "Europe/", "../etc", "/etc"],
        );
        let is_depot = |text: &str| url_host(text, &["http", "disk"]).is_some();
        all(is_depot, &["disk://", "http://a"], &["disk:", "disk:///", "disk://sda", "file:///a"]);
        let is_web = |text: &str| url_host(text, &["http", "https"]).is_some();
        for good in ["http://a", "https://a.example:8443/x?y#z", "http://[::1]:80/", "http://10.0.0.1"] {
            assert!(is_web(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http://a b",
            "http://u:p@a/",
            "http://a:0/",
            "http://[::1/",
            "http://é",
        ] {
            assert!(!is_web(bad), "{bad}");
        }
    }

    #[test]
    fn paths_are_normal_or_refused() {
        all(is_absolute, &["/a", "/a/b.c"], &["", "/", "a", "/a/", "//a", "/a/../b", "/./a", "/a\nb"]);
        all(is_relative, &["a", "a/b"], &["", "/a", "a/", "../a", "a/./b", "."]);
        assert!(is_below("/a/b", "/a") && is_below("/a", "/a") && !is_below("/ab", "/a"));
    }
}
