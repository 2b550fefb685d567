//! Debian changelogs: entries, the sentences in them, and the issues that sentences name.
//!
//! Owns the syntax of deb-changelog(5) as far as a reader needs it; what breaks it is skipped, never an error: changelogs are
//! written by hand. Binary rebuilds (`binary-only=yes`) have entries of their own, which name no source change.

use debian::Version;

/// Longest changelog that is read, unpacked. The kernel's has some 10 MiB; stops a bomb.
pub const CHANGELOG_LIMIT: u64 = 64 << 20;
/// Most entries of one changelog. Stops a text of nothing but headings.
pub const ENTRY_LIMIT: usize = 20_000;
/// Longest sentence kept as evidence, in characters.
pub const SENTENCE_LIMIT: usize = 400;

/// One entry, borrowed from the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Source package.
    pub source: &'a str,
    /// Version, as written.
    pub version: &'a str,
    /// Suites.
    pub distribution: &'a str,
    /// `urgency=`, without comments.
    pub urgency: &'a str,
    /// Whether it is a binary rebuild.
    pub is_rebuild: bool,
    /// Lines between heading and trailer.
    pub text: &'a str,
    /// ` -- Name <mail>  date`, without the dashes.
    pub trailer: &'a str,
}

/// Splits a changelog. Lines outside of entries are skipped.
pub fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    let mut open: Option<(Entry<'_>, usize)> = None;
    let mut position = 0;
    for line in text.split_inclusive('\n') {
        let (start, end) = (position, position + line.len());
        position = end;
        let line = line.trim_end();
        if let Some(heading) = heading(line) {
            // A heading without a trailer before it: the entry ends here all the same.
            if let Some((entry, from)) = open.take() {
                found.push(Entry { text: text[from..start].trim_matches('\n'), ..entry });
            }
            if found.len() >= ENTRY_LIMIT {
                break;
            }
            open = Some((heading, end));
        } else if let Some(trailer) = line.strip_prefix(" -- ")
            && let Some((entry, from)) = open.take()
        {
            found.push(Entry {
                text: text[from..start].trim_matches('\n'),
                trailer: trailer.trim(),
                ..entry
            });
        }
    }
    if let Some((entry, from)) = open {
        found.push(Entry { text: text[from..].trim_matches('\n'), ..entry });
    }
    found
}

/// `name (version) suite suite; urgency=low, binary-only=yes`
fn heading(line: &str) -> Option<Entry<'_>> {
    let (source, rest) = line.split_once(" (")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    if source.is_empty() || !source.bytes().all(is_name) {
        return None;
    }
    let (version, rest) = rest.split_once(')')?;
    let (distribution, options) = rest.split_once(';')?;
    let option = |name: &str| {
        options.split(',').find_map(|option| {
            let (key, value) = option.trim().split_once('=')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    };
    let urgency = option("urgency")?;
    Some(Entry {
        source,
        version,
        distribution: distribution.trim(),
        urgency: urgency.split_whitespace().next().unwrap_or_default(),
        is_rebuild: option("binary-only").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
        text: "",
        trailer: "",
    })
}

/// Name and version under which advisories know a source: a kernel or boot loader that is only signed goes by what was
/// signed. `linux-signed-amd64 6.12.118+1` is `linux 6.12.118-1`.
pub fn advisory_name(source: &str, version: &str) -> (String, String) {
    let Some((name, _)) = source.split_once("-signed") else {
        return (source.to_owned(), version.to_owned());
    };
    // The signed source is native, so its version has `+` where the unsigned one has `-`.
    let version = match (version.contains('-'), version.rsplit_once('+')) {
        (false, Some((upstream, revision))) => format!("{upstream}-{revision}"),
        _ => version.to_owned(),
    };
    (name.to_owned(), version)
}

impl Entry<'_> {
    /// Whether it was uploaded to a security suite.
    pub fn is_security_upload(&self) -> bool {
        self.distribution.split_whitespace().any(|suite| suite.ends_with("-security"))
    }

    /// Whether it made a version newer than `old` and not newer than `new`.
    pub fn is_between(&self, old: &Version, new: &Version) -> bool {
        let (_, version) = advisory_name(self.source, self.version);
        version.parse::<Version>().is_ok_and(|version| *old < version && version <= *new)
    }

    /// The sentences: items at any depth, joined to one line each.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = Vec::new();
        let mut is_open = false;
        for line in self.text.lines() {
            let line = line.trim();
            let item = ["* ", "- ", "+ "].iter().find_map(|bullet| line.strip_prefix(bullet));
            match item {
                Some(item) => {
                    sentences.push(item.trim().to_owned());
                    is_open = true;
                }
                // An empty line and `[ Somebody ]` end an item.
                None if line.is_empty() || (line.starts_with("[ ") && line.ends_with(" ]")) => {
                    is_open = false
                }
                None if is_open => {
                    let last = sentences.last_mut().expect("an item is open");
                    last.push(' ');
                    last.push_str(line);
                }
                None => {
                    sentences.push(line.to_owned());
                    is_open = true;
                }
            }
        }
        sentences
    }

    /// Ids of issues, each with the sentence that names it and whether it is named as plainly fixed.
    pub fn mentions(&self) -> Vec<Mention> {
        let mut mentions: Vec<Mention> = Vec::new();
        for sentence in self.sentences() {
            for id in issue_ids(&sentence) {
                // The first sentence that names it plainly counts; else the first.
                let (is_plain, is_elsewhere) = (is_plain(&sentence), is_elsewhere(&sentence));
                match mentions.iter_mut().find(|mention| mention.id == id) {
                    Some(known) if is_plain && !known.is_plain => {
                        *known = Mention { id, sentence: shorten(&sentence), is_plain, is_elsewhere };
                    }
                    Some(_) => {}
                    None => {
                        mentions.push(Mention { id, sentence: shorten(&sentence), is_plain, is_elsewhere });
                    }
                }
            }
        }
        mentions
    }
}

/// An issue named in an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Id.
    pub id: String,
    /// Sentence.
    pub sentence: String,
    /// Whether nothing in the sentence speaks against a plain fix.
    pub is_plain: bool,
    /// Whether the sentence is about other processors only: `[s390x] ...`.
    pub is_elsewhere: bool,
}

/// `CVE-` ids in a text, each once, in order.
pub fn issue_ids(text: &str) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (at, _) in text.match_indices("CVE-") {
        let rest = &text[at + 4..];
        let year: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let Some(rest) = rest.strip_prefix(&year).and_then(|rest| rest.strip_prefix('-')) else { continue };
        let number: String = rest.chars().take_while(char::is_ascii_digit).take(12).collect();
        let id = format!("CVE-{year}-{number}");
        if year.len() == 4 && number.len() >= 4 && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// Words with which a sentence names an issue for another reason than that it is fixed now.
const DOUBTS: [&str; 20] = [
    "revert",
    "regress",
    "follow-up",
    "followup",
    "follow up",
    "incomplete",
    "not affected",
    "not vulnerable",
    "unaffected",
    "previous upload",
    "previous version",
    "previous release",
    "previous fix",
    "previously",
    "already fixed",
    "changelog",
    "typo",
    "refresh",
    "obsolete",
    "dropped",
];

fn is_plain(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let is_dropped_patch = (lower.contains("drop") || lower.contains("remove")) && lower.contains("patch");
    !is_dropped_patch && !DOUBTS.iter().any(|doubt| lower.contains(doubt))
}

/// Debian's kernel marks what is for some processors only, as `[amd64]` or `[arm64,armhf]`.
const ARCHITECTURES: [&str; 18] = [
    "alpha", "amd64", "arm64", "armel", "armhf", "arm", "hppa", "i386", "ia64", "loong64", "m68k", "mips",
    "powerpc", "ppc64el", "riscv64", "s390x", "sh4", "sparc64",
];

/// Whether a sentence is marked for processors other than amd64, the one that appliances are built for.
fn is_elsewhere(sentence: &str) -> bool {
    let Some((marks, _)) = sentence.strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return false;
    };
    let marks: Vec<&str> = marks.split([',', ' ', '/']).filter(|mark| !mark.is_empty()).collect();
    let is_mark =
        |mark: &&str| ARCHITECTURES.iter().any(|name| mark.trim_start_matches('!').starts_with(name));
    let is_ours = |mark: &&str| mark.starts_with("amd64") || mark.starts_with("x86") || mark.starts_with('!');
    !marks.is_empty() && marks.iter().all(is_mark) && !marks.iter().any(is_ours)
}

fn shorten(sentence: &str) -> String {
    match sentence.char_indices().nth(SENTENCE_LIMIT) {
        Some((at, _)) => format!("{}…", &sentence[..at]),
        None => sentence.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
php8.4 (8.4.28-1~deb13u1) trixie-security; urgency=high

  * New upstream version 8.4.28
   + [CVE-2026-129538] PHP-CGI out-of-bounds read and write during
     PATH_INFO correction.
   + Revert the fix of CVE-2026-1111: it broke sessions

 -- Ondřej Surý <ondrej@debian.org>  Wed, 18 Nov 2026 11:55:31 +0100

this line belongs to nothing

php8.4 (8.4.27-1~deb13u1+b1) sid; urgency=low, binary-only=yes

  * Binary-only non-maintainer upload for amd64; no source changes.

 -- buildd <buildd@example.org>  Sun, 01 Nov 2026 10:00:00 +0000

php8.4 (8.4.27-1~deb13u1) trixie; urgency=medium

  * Security: CVE-2026-2222, CVE-2026-3333 and CVE-2026-2222 again.
";

    #[test]
    fn a_changelog_is_split_into_entries_and_sentences() {
        let all = entries(TEXT);
        assert_eq!(all.len(), 3);
        assert!(all[0].is_security_upload() && all[1].is_rebuild && !all[2].is_security_upload());
        assert_eq!(all[0].urgency, "high");
        assert!(all[0].trailer.starts_with("Ondřej Surý"));
        assert_eq!(
            all[0].sentences()[1],
            "[CVE-2026-129538] PHP-CGI out-of-bounds read and write during PATH_INFO correction."
        );
    }

    #[test]
    fn an_entry_counts_by_debians_order_of_versions() {
        let version = |text: &str| text.parse::<Version>().expect("a version");
        let all = entries(TEXT);
        let (old, new) = (version("8.4.27-1~deb13u1"), version("8.4.28-1~deb13u1"));
        let between: Vec<bool> = all.iter().map(|entry| entry.is_between(&old, &new)).collect();
        assert_eq!(between, [true, true, false]);
    }

    #[test]
    fn a_reverted_fix_is_not_a_fix() {
        let mentions = entries(TEXT)[0].mentions();
        let plain: Vec<(&str, bool)> = mentions.iter().map(|it| (it.id.as_str(), it.is_plain)).collect();
        assert_eq!(plain, [("CVE-2026-129538", true), ("CVE-2026-1111", false)]);
        assert_eq!(entries(TEXT)[2].mentions().len(), 2);
    }

    #[test]
    fn fixes_for_other_processors_are_told_apart() {
        let found = [
            "[s390x] a",
            "[arm64,armhf] a",
            "[amd64] a",
            "[arm64,amd64] a",
            "[CVE-2026-1] a",
            "[!arm64] a",
            "a",
        ]
        .map(is_elsewhere);
        assert_eq!(found, [true, true, false, false, false, false, false]);
    }

    #[test]
    fn ids_are_found_in_every_form_in_which_changelogs_write_them() {
        let text = "Closes:CVE-2024-12345 patches/CVE-2023-4911.patch https://x/CVE-2022-1234567) CVE-2024-XXXX CVE-99-1";
        assert_eq!(issue_ids(text), ["CVE-2024-12345", "CVE-2023-4911", "CVE-2022-1234567"]);
    }

    #[test]
    fn a_signed_kernel_goes_by_the_name_of_what_was_signed() {
        let name = |source, version| advisory_name(source, version);
        assert_eq!(name("linux-signed-amd64", "6.12.118+1"), ("linux".into(), "6.12.118-1".into()));
        assert_eq!(name("openssl", "3.5.1-1+deb13u1"), ("openssl".into(), "3.5.1-1+deb13u1".into()));
    }

    #[test]
    fn hostile_changelogs_are_read_without_harm() {
        for text in [
            "",
            "\n\n -- nobody",
            "a (",
            "a (1) b; urgency=",
            "a (1) b; urgency=low\n  * \u{202e}evil\x1b[31m",
        ] {
            for entry in entries(text) {
                let _ = (entry.sentences(), entry.mentions());
            }
        }
    }
}
