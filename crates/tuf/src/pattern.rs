//! Patterns of paths that a delegation covers (PATHPATTERN, 4.5).

/// Whether a path fits a pattern. `*` and `?` stand for characters of one part of a path, never for `/`; `[` has no meaning of its own.
///
/// Takes time in proportion to the product of both lengths at most: no pattern keeps a client busy.
pub fn matches(pattern: &str, path: &str) -> bool {
    let parts = || pattern.split('/').zip(path.split('/'));
    pattern.split('/').count() == path.split('/').count()
        && parts().all(|(pattern, part)| fits(pattern, part))
}

fn fits(pattern: &str, part: &str) -> bool {
    let (pattern, part): (Vec<char>, Vec<char>) = (pattern.chars().collect(), part.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last star was, and how much of the part it has taken.
    let mut star: Option<(usize, usize)> = None;
    while read < part.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(&wanted) if wanted == '?' || wanted == part[read] => {
                at += 1;
                read += 1;
            }
            _ => match &mut star {
                None => return false,
                Some((place, taken)) => {
                    *taken += 1;
                    (at, read) = (*place + 1, *taken);
                }
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_specification_hold() {
        for (pattern, path, fit) in [
            ("targets/*.tgz", "targets/foo.tgz", true),
            ("targets/*.tgz", "targets/foo.txt", false),
            ("foo-version-?.tgz", "foo-version-2.tgz", true),
            ("foo-version-?.tgz", "foo-version-alpha.tgz", false),
            ("*.tgz", "foo.tgz", true),
            ("*.tgz", "targets/foo.tgz", false),
            ("foo.tgz", "foo.tgz", true),
            ("foo.tgz", "fooo.tgz", false),
            ("*", "", true),
            ("a*b*c", "aXXbYYbc", true),
            ("a*b*c", "aXXbYYbd", false),
            ("acme/*/*", "acme/shop/1", true),
            ("acme/shop/*", "acme/bank/1", false),
            ("README.md", "README.MD", false),
        ] {
            assert_eq!(matches(pattern, path), fit, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_full_of_stars_ends_soon() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
    }
}
