//! "Did you mean": the nearest of some known words.

/// Longest word compared; longer ones are typing errors of another sort, and comparing costs the product of lengths.
const WORD_LIMIT: usize = 64;

/// The candidate nearest to `word`, when it is near enough to be what the person meant. The first one of equals.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word: Vec<char> = word.to_lowercase().chars().take(WORD_LIMIT + 1).collect();
    if word.is_empty() || word.len() > WORD_LIMIT {
        return None;
    }
    let limit = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other: Vec<char> = candidate.to_lowercase().chars().collect();
            let near = other.len() <= WORD_LIMIT && other.len().abs_diff(word.len()) <= limit;
            near.then(|| (distance(&word, &other), candidate)).filter(|(distance, _)| *distance <= limit)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Restricted Damerau-Levenshtein distance: insertions, deletions, replacements, and swaps of neighbours.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1; to.len() + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["vendor", "version", "name", "title"];
        assert_eq!(nearest("vendr", words), Some("vendor"));
        assert_eq!(nearest("nmae", words), Some("name"));
        assert_eq!(nearest("Title", words), Some("title"));
        assert_eq!(nearest("kernel", words), None);
        assert_eq!(nearest("", words), None);
    }

    #[test]
    fn a_swap_counts_once() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("nmae"), &chars("name")), 1);
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&[], &chars("abc")), 3);
    }
}
