//! Reading apt's source lists (sources.list(5)): the one-line form and the deb822 form. What can not be understood is
//! skipped: it is somebody else's file.

use debian::control::paragraphs;

/// One URL with one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub url: String,
    pub suite: String,
}

/// `deb [options] URL SUITE COMPONENT...`
pub(super) fn one_line(text: &str) -> Vec<Source> {
    let lines = text.lines().filter_map(|line| {
        let rest = line.split('#').next()?.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix(|first: char| first.is_ascii_whitespace())?.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']')?.1,
            None => rest,
        };
        let mut words = rest.split_ascii_whitespace();
        Some(Source { url: words.next()?.to_owned(), suite: words.next()?.to_owned() })
    });
    lines.collect()
}

/// Paragraphs with `Types`, `URIs`, `Suites`, `Enabled`.
pub(super) fn deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for paragraph in paragraphs(text).flatten() {
        let words = |name: &str| paragraph.field(name).unwrap_or_default().split_ascii_whitespace();
        let is_off = paragraph
            .field("Enabled")
            .is_some_and(|value| ["no", "false", "without", "off", "disable", "0"].contains(&value));
        if is_off || !words("Types").any(|kind| kind == "deb") {
            continue;
        }
        for url in words("URIs") {
            let pairs = words("Suites").map(|suite| Source { url: url.to_owned(), suite: suite.to_owned() });
            sources.extend(pairs);
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str, suite: &str) -> Source {
        Source { url: url.to_owned(), suite: suite.to_owned() }
    }

    #[test]
    fn both_forms_say_the_same() {
        let lines = "# a comment\ndeb [arch=amd64 signed-by=/a b.gpg] http://m/debian trixie main # end\n\
            deb-src http://m/debian trixie main\n deb\thttp://s/security trixie-security main\nnonsense\ndebian x y\n";
        let paragraphs = "Types: deb deb-src\nURIs: http://m/debian\nSuites: trixie\nComponents: main\n\n\
            Types: deb-src\nURIs: http://x/\nSuites: trixie\n\nEnabled: no\nTypes: deb\nURIs: http://y/\nSuites: trixie\n\n\
            Types: deb\nURIs:\n http://s/security\nSuites: trixie-security\n";
        let expected = [source("http://m/debian", "trixie"), source("http://s/security", "trixie-security")];
        assert_eq!(one_line(lines), expected);
        assert_eq!(deb822(paragraphs), expected);
    }
}
