//! Licences: what machine-readable copyright files (DEP-5) say, as SPDX expressions.
//!
//! Owns the names. Refuses guesses: a copyright file in prose gives no licence, and a name that SPDX does not know becomes a
//! `LicenseRef-`. Nothing is concluded: this is what the packages declare.

use std::collections::{BTreeMap, BTreeSet};

use debian::control::paragraphs;

/// Most distinct licences of one package. Stops an expression that nobody could read.
pub const LICENCE_LIMIT: usize = 200;
/// Longest name of a licence. Stops prose in the wrong field.
const NAME_LIMIT: usize = 120;

/// An SPDX expression, and what its `LicenseRef-` stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Licence {
    /// SPDX licence expression.
    pub expression: String,
    /// The name of each `LicenseRef-` as the package writes it.
    pub named: BTreeMap<String, String>,
}

/// Debian's names of licences and SPDX's. A `+` at the end of a name means "or later".
const KNOWN: &[(&str, &str)] = &[
    ("AFL-2.1", "AFL-2.1"),
    ("AGPL-3", "AGPL-3.0"),
    ("AGPL-3.0", "AGPL-3.0"),
    ("Apache-1.0", "Apache-1.0"),
    ("Apache-1.1", "Apache-1.1"),
    ("Apache-2", "Apache-2.0"),
    ("Apache-2.0", "Apache-2.0"),
    ("Artistic", "Artistic-1.0-Perl"),
    ("Artistic-1.0", "Artistic-1.0"),
    ("Artistic-2", "Artistic-2.0"),
    ("Artistic-2.0", "Artistic-2.0"),
    ("0BSD", "0BSD"),
    ("BSD-2-Clause", "BSD-2-Clause"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-Clause", "BSD-3-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("BSD-4-clause", "BSD-4-Clause"),
    ("BSD-4-clause-UC", "BSD-4-Clause-UC"),
    ("BSL-1.0", "BSL-1.0"),
    ("Boost-1.0", "BSL-1.0"),
    ("BSL-1", "BSL-1.0"),
    ("CC-BY-3.0", "CC-BY-3.0"),
    ("CC-BY-4.0", "CC-BY-4.0"),
    ("CC-BY-SA-3.0", "CC-BY-SA-3.0"),
    ("CC-BY-SA-4.0", "CC-BY-SA-4.0"),
    ("CC0", "CC0-1.0"),
    ("CC0-1.0", "CC0-1.0"),
    ("CDDL-1.0", "CDDL-1.0"),
    ("curl", "curl"),
    ("EPL-1.0", "EPL-1.0"),
    ("EPL-2.0", "EPL-2.0"),
    ("Expat", "MIT"),
    ("FSFAP", "FSFAP"),
    ("FSFUL", "FSFUL"),
    ("FSFULLR", "FSFULLR"),
    ("FTL", "FTL"),
    ("GFDL-1.1", "GFDL-1.1"),
    ("GFDL-1.2", "GFDL-1.2"),
    ("GFDL-1.3", "GFDL-1.3"),
    ("GPL-1", "GPL-1.0"),
    ("GPL-1.0", "GPL-1.0"),
    ("GPL-2", "GPL-2.0"),
    ("GPL-2.0", "GPL-2.0"),
    ("GPL-3", "GPL-3.0"),
    ("GPL-3.0", "GPL-3.0"),
    ("HPND", "HPND"),
    ("HPND-sell-variant", "HPND-sell-variant"),
    ("ICU", "ICU"),
    ("IJG", "IJG"),
    ("ISC", "ISC"),
    ("LGPL-2", "LGPL-2.0"),
    ("LGPL-2.0", "LGPL-2.0"),
    ("LGPL-2.1", "LGPL-2.1"),
    ("LGPL-3", "LGPL-3.0"),
    ("LGPL-3.0", "LGPL-3.0"),
    ("Libpng", "Libpng"),
    ("MIT", "MIT"),
    ("MIT-0", "MIT-0"),
    ("MIT/X11", "MIT"),
    ("MPL-1.1", "MPL-1.1"),
    ("MPL-2.0", "MPL-2.0"),
    ("NCSA", "NCSA"),
    ("OFL-1.1", "OFL-1.1"),
    ("OLDAP-2.8", "OLDAP-2.8"),
    ("OpenSSL", "OpenSSL"),
    ("PHP-3.0", "PHP-3.0"),
    ("PHP-3.01", "PHP-3.01"),
    ("PSF-2", "PSF-2.0"),
    ("PostgreSQL", "PostgreSQL"),
    ("Python", "Python-2.0"),
    ("Ruby", "Ruby"),
    ("TCL", "TCL"),
    ("Unicode-3.0", "Unicode-3.0"),
    ("Unicode-DFS-2016", "Unicode-DFS-2016"),
    ("Unlicense", "Unlicense"),
    ("W3C", "W3C"),
    ("WTFPL", "WTFPL"),
    ("WTFPL-2", "WTFPL"),
    ("X11", "X11"),
    ("Zlib", "Zlib"),
    ("zlib", "Zlib"),
    ("ZPL-2.1", "ZPL-2.1"),
    ("bzip2-1.0.6", "bzip2-1.0.6"),
];

/// Families whose SPDX names end in `-only` or `-or-later`.
const GNU: [&str; 4] = ["AGPL-", "GFDL-", "GPL-", "LGPL-"];

/// The licence that a machine-readable copyright file declares: that of all its files together.
pub fn of_copyright(text: &str) -> Option<Licence> {
    let head = text.lines().find(|line| !line.trim().is_empty())?;
    let is_machine_readable = head.get(..7).is_some_and(|key| key.eq_ignore_ascii_case("format:"));
    if !is_machine_readable {
        return None;
    }
    let mut parts = BTreeSet::new();
    let mut named = BTreeMap::new();
    // A broken paragraph ends the reading; what was read before stays true.
    for paragraph in paragraphs(text).map_while(Result::ok) {
        let files = paragraph.field("Files");
        let is_packaging =
            files.is_some_and(|files| files.split_whitespace().all(|it| it.starts_with("debian/")));
        let is_of_files = files.is_some() || paragraph.field("Format").is_some();
        if let Some(licence) = paragraph.field("License")
            && is_of_files
            && !is_packaging
            && parts.len() < LICENCE_LIMIT
        {
            let name = licence.lines().next().unwrap_or_default().trim();
            if !name.is_empty() && name.len() <= NAME_LIMIT {
                parts.insert(expression(name, &mut named));
            }
        }
    }
    joined(parts, named)
}

/// An SPDX expression that a maker, or a language's package, declares. Names that are no SPDX licences become
/// `LicenseRef-`.
pub fn declared(text: &str) -> Option<Licence> {
    let text = text.trim();
    if text.is_empty() || text.len() > NAME_LIMIT * 4 || text.chars().any(char::is_control) {
        return None;
    }
    let mut named = BTreeMap::new();
    let bracketed = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = bracketed.split_whitespace().collect();
    let is_operator = |word: &str| ["AND", "OR", "WITH"].contains(&word.to_ascii_uppercase().as_str());
    // Two names without an operator between them are prose.
    let is_prose =
        words.windows(2).any(|pair| !pair.iter().any(|word| is_operator(word) || "()".contains(word)));
    if is_prose {
        let reference = reference(text, &mut named);
        return Some(Licence { expression: reference, named });
    }
    let mut out = String::new();
    let mut is_exception = false;
    for word in words {
        let upper = word.to_ascii_uppercase();
        let piece = match word {
            "(" | ")" => word.to_owned(),
            _ if is_operator(word) => upper.clone(),
            _ if is_exception => word.to_owned(),
            _ => spdx_id(word).unwrap_or_else(|| reference(word, &mut named)),
        };
        is_exception = upper == "WITH";
        if !out.is_empty() && !out.ends_with('(') && piece != ")" {
            out.push(' ');
        }
        out.push_str(&piece);
    }
    Some(Licence { expression: out, named })
}

/// All licences of a list apply.
pub fn all_of(texts: impl IntoIterator<Item = String>) -> Option<Licence> {
    let (mut parts, mut named) = (BTreeSet::new(), BTreeMap::new());
    for licence in texts.into_iter().filter_map(|text| declared(&text)) {
        parts.insert(licence.expression);
        named.extend(licence.named);
    }
    joined(parts, named)
}

/// Whether a name is a licence of SPDX's list that we know.
pub fn is_spdx(name: &str) -> bool {
    let known = |name: &str| KNOWN.iter().any(|(_, spdx)| *spdx == name);
    match name.strip_suffix("-only").or_else(|| name.strip_suffix("-or-later")) {
        Some(stem) => is_gnu(stem) && known(stem),
        None => known(name) && !is_gnu(name),
    }
}

fn joined(parts: BTreeSet<String>, named: BTreeMap<String, String>) -> Option<Licence> {
    let is_single = parts.len() == 1;
    let bracketed = parts.into_iter().map(|part| match part.contains(" OR ") && !is_single {
        true => format!("({part})"),
        false => part,
    });
    let expression = bracketed.collect::<Vec<_>>().join(" AND ");
    (!expression.is_empty()).then_some(Licence { expression, named })
}

/// DEP-5: `A and B`, `A or B`, `A and/or B`; a comma binds weaker than both, which brackets say here.
fn expression(text: &str, named: &mut BTreeMap<String, String>) -> String {
    let lower = text.to_ascii_lowercase();
    if lower.contains(" with ")
        || lower.contains(", ")
        || lower.contains("and/or")
        || text.contains(['(', ')'])
    {
        return reference(text, named);
    }
    let alternatives: Vec<String> = split_word(text, " or ")
        .iter()
        .map(|alternative| {
            let parts = split_word(alternative, " and ");
            let ids = parts.iter().map(|name| {
                let name = name.trim();
                spdx_id(name).unwrap_or_else(|| reference(name, named))
            });
            ids.collect::<Vec<_>>().join(" AND ")
        })
        .collect();
    alternatives.join(" OR ")
}

fn split_word<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let lower = text.to_ascii_lowercase();
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, _) in lower.match_indices(word) {
        if at >= from {
            parts.push(&text[from..at]);
            from = at + word.len();
        }
    }
    parts.push(&text[from..]);
    parts
}

fn spdx_id(name: &str) -> Option<String> {
    if is_spdx(name) {
        return Some(name.to_owned());
    }
    let (stem, or_later) = match name.strip_suffix('+') {
        Some(stem) => (stem, true),
        None => (name, false),
    };
    let (_, id) = KNOWN.iter().find(|(debian, _)| debian.eq_ignore_ascii_case(stem))?;
    Some(match (is_gnu(id), or_later) {
        (true, true) => format!("{id}-or-later"),
        (true, false) => format!("{id}-only"),
        (false, true) => format!("{id}+"),
        (false, false) => (*id).to_owned(),
    })
}

fn is_gnu(id: &str) -> bool {
    GNU.iter().any(|family| id.starts_with(family))
}

/// SPDX 2.3, annex D: letters, digits, `.` and `-`.
fn reference(name: &str, named: &mut BTreeMap<String, String>) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .collect::<String>()
        .split('-')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-");
    let plain = plain.strip_prefix("LicenseRef-").map(str::to_owned).unwrap_or(plain);
    let id = format!("LicenseRef-{}", if plain.is_empty() { "unnamed" } else { &plain });
    named.entry(id.clone()).or_insert_with(|| name.to_owned());
    id
}

#[cfg(test)]
#[path = "licence_tests.rs"]
mod tests;
