//! Patterns of absolute paths: `*` stays inside one component, `**` crosses them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::TreePath;

/// Longest pattern. Stops a definition from making every path comparison slow.
pub const MAX_PATTERN_LENGTH: usize = 1024;

/// Most wildcards in one pattern. Stops patterns whose matching takes time out of proportion to their length.
pub const MAX_WILDCARDS: usize = 16;

/// A compiled pattern such as `/usr/share/doc/**` or `/usr/lib/modules/*/kernel/sound/**`.
///
/// `/a/**` names everything below `/a`, not `/a` itself. `/**/x` also matches `/x`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `*`: any bytes but `/`.
    WithinComponent,
    /// `**`: any bytes.
    Anything,
    /// `**/`: nothing, or anything that ends with `/`.
    Directories,
}

/// The text is not a pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{pattern}` is not a path pattern: {reason}")]
pub struct PatternSyntax {
    /// As given, shortened.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Pattern {
    /// Whether `path` is one of the paths it names.
    pub fn matches(&self, path: &TreePath) -> bool {
        matches(&self.tokens, path.as_str().as_bytes())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Goes back to the last wildcard only: a later wildcard can absorb whatever an earlier one could, except that `*`
/// stops at `/`, where matching falls back to the last crossing wildcard. Quadratic at worst.
fn matches(tokens: &[Token], path: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut component: Option<(usize, usize)> = None;
    let mut crossing: Option<(usize, usize)> = None;
    loop {
        match tokens.get(token) {
            Some(Token::Byte(byte)) if path.get(at) == Some(byte) => {
                token += 1;
                at += 1;
                continue;
            }
            Some(Token::WithinComponent) => {
                token += 1;
                component = Some((token, at));
                continue;
            }
            Some(Token::Anything | Token::Directories) => {
                token += 1;
                crossing = Some((token, at));
                component = None;
                continue;
            }
            None if at == path.len() => return true,
            _ => {}
        }
        if let Some((after, from)) = component {
            if path.get(from).is_some_and(|byte| *byte != b'/') {
                component = Some((after, from + 1));
                (token, at) = (after, from + 1);
                continue;
            }
            component = None;
        }
        let Some((after, from)) = crossing else { return false };
        let rest = &path[from..];
        let step = match tokens[after - 1] {
            Token::Directories => rest.iter().position(|byte| *byte == b'/').map(|slash| slash + 1),
            _ => (!rest.is_empty()).then_some(1),
        };
        let Some(step) = step else { return false };
        crossing = Some((after, from + step));
        (token, at) = (after, from + step);
    }
}

impl FromStr for Pattern {
    type Err = PatternSyntax;

    fn from_str(text: &str) -> Result<Self, PatternSyntax> {
        let syntax = |reason| PatternSyntax { pattern: text.chars().take(120).collect(), reason };
        if text.len() > MAX_PATTERN_LENGTH {
            return Err(syntax("it is too long"));
        }
        let relative = text.strip_prefix('/').ok_or_else(|| syntax("it has to begin with `/`"))?;
        let is_bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if relative.split('/').any(is_bad) {
            return Err(syntax("`..`, empty parts and a trailing slash are not allowed"));
        }
        let mut tokens = Vec::with_capacity(relative.len());
        let mut rest = relative.as_bytes();
        while let Some((&first, tail)) = rest.split_first() {
            let at_component_start =
                matches!(tokens.last(), None | Some(Token::Byte(b'/') | Token::Directories));
            (rest, _) = if rest.starts_with(b"**/") && at_component_start {
                (&rest[3..], tokens.push(Token::Directories))
            } else if rest.starts_with(b"**") {
                (&rest[2..], tokens.push(Token::Anything))
            } else if first == b'*' {
                (tail, tokens.push(Token::WithinComponent))
            } else {
                (tail, tokens.push(Token::Byte(first)))
            };
        }
        if tokens.iter().filter(|token| !matches!(token, Token::Byte(_))).count() > MAX_WILDCARDS {
            return Err(syntax("it has too many wildcards"));
        }
        Ok(Self { text: text.to_owned(), tokens })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(&path.parse().unwrap())
    }

    #[test]
    fn one_star_stays_inside_a_component() {
        assert!(is_match("/usr/lib/*.so", "usr/lib/a.so"));
        assert!(!is_match("/usr/lib/*.so", "usr/lib/x/a.so"));
        assert!(is_match("/usr/*/doc/*", "usr/share/doc/x"));
        assert!(!is_match("/usr/*/doc/*", "usr/share/doc/x/y"));
        assert!(is_match("/a*b*c", "aXbYbZc"));
    }

    #[test]
    fn two_stars_cross_components_and_do_not_name_the_directory_itself() {
        assert!(is_match("/usr/share/doc/**", "usr/share/doc/a/b/c"));
        assert!(!is_match("/usr/share/doc/**", "usr/share/doc"));
        assert!(!is_match("/usr/share/doc/**", "usr/share/documents"));
        assert!(is_match("/usr/**/*.la", "usr/lib/x/y.la"));
        assert!(is_match("/usr/**/*.la", "usr/y.la"));
        assert!(is_match("/**/__pycache__/**", "usr/lib/python3/__pycache__/a.pyc"));
        assert!(!is_match("/**/__pycache__/**", "usr/lib/x__pycache__/a.pyc"));
        assert!(is_match("/**", "anything/at/all"));
    }

    #[test]
    fn matching_falls_back_from_a_component_to_an_earlier_crossing() {
        assert!(is_match("/**/a*/b", "x/ac/c/ad/b"));
        assert!(is_match("/**a*b", "xa/ab"));
        assert!(!is_match("/**/a*/b", "x/ac/c/d/b"));
    }

    #[test]
    fn patterns_that_name_nothing_are_refused() {
        for text in ["usr/share", "", "/", "/usr/", "/usr/../etc", "/a//b"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
        assert!(format!("/{}", "*a".repeat(17)).parse::<Pattern>().is_err());
    }
}
