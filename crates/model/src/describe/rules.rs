//! Rules for texts in a definition: what is expected in words, as a function, and as a pattern for editors.

use crate::syntax;

/// What a text has to be.
pub struct Rule {
    /// What is expected, to be read after "expected".
    pub words: &'static str,
    /// Nearly the same as a regular expression of ECMA 262, for editors; never stricter than `holds`.
    pub pattern: Option<&'static str>,
    /// The judge.
    pub holds: fn(&str) -> bool,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rule({})", self.words)
    }
}

/// Longest text of one line: stops a title or an argument from flooding whatever shows it.
const LINE_LIMIT: usize = 1024;
/// Longest help text.
const PARAGRAPH_LIMIT: usize = 4096;

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= LINE_LIMIT && !text.chars().any(char::is_control)
}

fn is_paragraph(text: &str) -> bool {
    text.len() <= PARAGRAPH_LIMIT && !text.chars().any(|c| c.is_control() && c != '\n')
}

const SLUG: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";
const SLUG_WORDS: &str =
    "lower-case letters, digits and single hyphens, beginning with a letter, at most 63 of them";

/// A name made of lower-case letters, digits and hyphens.
pub static SLUG_NAME: Rule = Rule { words: SLUG_WORDS, pattern: Some(SLUG), holds: syntax::is_slug };
/// The name of a setting, which is the key of its table.
pub static SETTING_NAME: Rule = Rule {
    words: "lower-case letters, digits and single hyphens, and no word of the template language",
    pattern: Some(SLUG),
    holds: |text| {
        let variable = crate::template::variable(text);
        syntax::is_slug(text)
            && !crate::template::BUILTIN_NAMES.contains(&variable.as_str())
            && !crate::template::LANGUAGE_WORDS.contains(&variable.as_str())
    },
};
/// One line that is not empty.
pub static LINE: Rule = Rule { words: "one line of text", pattern: Some("\\S"), holds: is_line };
/// Text of a few lines, perhaps empty.
pub static PARAGRAPH: Rule = Rule { words: "text of at most 4096 bytes", pattern: None, holds: is_paragraph };
/// One line, perhaps empty: an argument, a choice.
pub static ANY_LINE: Rule = Rule {
    words: "text without line breaks or other control characters",
    pattern: None,
    holds: |text| text.is_empty() || text.len() <= LINE_LIMIT && !text.chars().any(char::is_control),
};
/// Semantic version.
pub static VERSION: Rule = Rule {
    words: "a version such as \"1.4.0\" or \"2.0.0-rc.1\"",
    pattern: Some("^[0-9]+\\.[0-9]+\\.[0-9]+(-[0-9A-Za-z.-]+)?$"),
    holds: syntax::is_version,
};
/// SPDX licence expression.
pub static LICENCE: Rule = Rule {
    words: "an SPDX licence expression such as \"Apache-2.0 OR MIT\" or \"LicenseRef-Acme\"",
    pattern: Some("^[A-Za-z0-9.+() -]+$"),
    holds: |text| {
        is_line(text) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-() ".contains(&byte))
    },
};
/// Package URL.
pub static PURL: Rule = Rule {
    words: "a package URL such as \"pkg:generic/acme/shop@1.4.0\"",
    pattern: Some("^pkg:[a-zA-Z0-9.+-]+/\\S+$"),
    holds: |text| {
        let rest = text.strip_prefix("pkg:").and_then(|rest| rest.split_once('/'));
        is_line(text)
            && !text.contains(char::is_whitespace)
            && rest.is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty())
    },
};
/// Day.
pub static DATE: Rule = Rule {
    words: "a day that exists, written \"YYYY-MM-DD\"",
    pattern: Some("^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    holds: syntax::is_date,
};
/// E-mail address.
pub static EMAIL: Rule = Rule {
    words: "an e-mail address such as \"support@example.org\"",
    pattern: Some("^[^@\\s]+@[^@\\s]+$"),
    holds: syntax::is_email,
};
/// Web page.
pub static WEB_URL: Rule = Rule {
    words: "a URL with `http://` or `https://`, without user name or password",
    pattern: Some("^https?://"),
    holds: |text| syntax::url_host(text, &["http", "https"]).is_some(),
};
/// Where releases come from.
pub static DEPOT_URL: Rule = Rule {
    words: "a URL with `http://` or `https://`, without user name or password, or `disk://`",
    pattern: Some("^(https?://|disk://$)"),
    holds: |text| syntax::url_host(text, &["http", "https", "disk"]).is_some(),
};
/// A page of the appliance itself.
pub static LOCAL_URL: Rule = Rule {
    words: "a URL with `http://` or `https://` to `localhost`, `127.0.0.1` or `[::1]`",
    pattern: Some("^https?://(localhost|127\\.|\\[::1\\])"),
    holds: |text| {
        syntax::url_host(text, &["http", "https"])
            .is_some_and(|host| ["localhost", "127.0.0.1", "::1"].contains(&host))
    },
};
/// Package mirror.
pub static MIRROR: Rule = Rule {
    words: "a URL with `http://`, `https://` or `file://`, without user name or password",
    pattern: Some("^(https?|file)://"),
    holds: |text| syntax::url_host(text, &["http", "https", "file"]).is_some(),
};
/// Package name.
pub static PACKAGE: Rule = Rule {
    words: "the name of a Debian package, such as \"apache2\", without version or architecture",
    pattern: Some("^[a-z0-9][a-z0-9+.-]+$"),
    holds: syntax::is_package,
};
/// Path beside the definition.
pub static SOURCE: Rule = Rule {
    words: "a path below the definition's folder, without `.`, `..` or a slash at its ends",
    pattern: Some("^[^/]"),
    holds: syntax::is_relative,
};
/// Absolute path.
pub static ABSOLUTE: Rule = Rule {
    words: "an absolute path without `.`, `..` or a final slash",
    pattern: Some("^/.*[^/]$"),
    holds: syntax::is_absolute,
};
/// Absolute path with wildcards.
pub static PATH_PATTERN: Rule = Rule {
    words: "an absolute path, with `*` or `**` where anything fits, without `.`, `..` or a final slash",
    pattern: Some("^/.*[^/]$"),
    holds: syntax::is_absolute,
};
/// Owner of a file.
pub static OWNER: Rule = Rule {
    words: "`user` or `user:group`",
    pattern: Some("^[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?$"),
    holds: |text| match text.split_once(':') {
        Some((user, group)) => syntax::is_user(user) && syntax::is_user(group),
        None => syntax::is_user(text),
    },
};
/// User or group.
pub static USER: Rule = Rule {
    words: "lower-case letters, digits, hyphens and underscores, beginning with a letter, at most 31 of them",
    pattern: Some("^[a-z_][a-z0-9_-]*$"),
    holds: syntax::is_user,
};
/// systemd unit.
pub static UNIT: Rule = Rule {
    words: "the name of a systemd unit with its type, such as \"apache2.service\"",
    pattern: Some("^[A-Za-z0-9:_.\\\\@-]+\\.[a-z]+$"),
    holds: syntax::is_unit,
};
/// systemd unit file beside the definition.
pub static UNIT_FILE: Rule = Rule {
    words: "a path below the definition's folder to a unit file, such as \"units/app.service\"",
    pattern: Some("^[^/].*\\.[a-z]+$"),
    holds: |text| syntax::is_relative(text) && text.rsplit('/').next().is_some_and(syntax::is_unit),
};
/// URL scheme.
pub static SCHEME: Rule = Rule {
    words: "a URL scheme in lower case, such as \"ldaps\"",
    pattern: Some("^[a-z][a-z0-9+.-]*$"),
    holds: syntax::is_scheme,
};
/// Regular expression.
pub static PATTERN: Rule = Rule {
    words: "a regular expression, without look-around and back-references",
    pattern: None,
    holds: |text| text.len() <= LINE_LIMIT && crate::settings::validate::compile_pattern(text).is_ok(),
};
