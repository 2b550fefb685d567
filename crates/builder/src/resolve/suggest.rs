//! Names that look like a name which does not exist.

use std::collections::BTreeSet;

const MOST: usize = 3;

/// At most three of `names` that are near to `wanted`, nearest first.
pub(super) fn near<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = (wanted.chars().count() / 2).clamp(1, 3);
    let mut found: BTreeSet<(usize, &str)> = BTreeSet::new();
    for name in names {
        if name == wanted {
            continue;
        }
        // A longer form of the same name (`php8` of `php8.4`) is nearer than its letters say.
        let is_longer = wanted.len() >= 3 && name.len() <= wanted.len() + 8 && name.starts_with(wanted);
        let distance = if is_longer { 1 } else { distance(wanted, name, limit) };
        if distance <= limit {
            found.insert((distance, name));
        }
    }
    found.into_iter().map(|(_, name)| name.to_owned()).take(MOST).collect()
}

/// Edits (insert, remove, replace, swap neighbours) from `a` to `b`; anything above `limit` means "more".
fn distance(a: &str, b: &str, limit: usize) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > limit {
        return limit + 1;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        if row.iter().all(|edits| *edits > limit) {
            return limit + 1;
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_those_a_person_meant() {
        let names = ["apache2", "apache2-bin", "apt", "php8.4", "php8.4-cli", "postgresql-17", "zsh"];
        let near = |wanted: &str| near(wanted, names.iter().copied());
        assert_eq!(near("apahce2"), ["apache2"]);
        assert_eq!(near("apache"), ["apache2", "apache2-bin"]);
        assert_eq!(near("postgresql-16"), ["postgresql-17"]);
        assert_eq!(near("php8"), ["php8.4", "php8.4-cli"]);
        assert!(near("nothing-like-it").is_empty());
    }

    #[test]
    fn distances_count_edits() {
        assert_eq!(distance("ab", "ba", 3), 1);
        assert_eq!(distance("abc", "abd", 3), 1);
        assert_eq!(distance("abc", "xabcd", 3), 2);
        assert!(distance("abcdef", "uvwxyz", 3) > 3);
    }
}
