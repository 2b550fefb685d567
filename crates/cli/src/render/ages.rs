//! The oldest parts of a release, for people.

use debian::date::Timestamp;
use sbom::age::Age;

use super::{counted, harmless, table as rows_of};

/// The first `count` of `ages`, which are sorted; `has_index` says whether somebody looked for newer versions.
pub fn table(
    ages: &[Age],
    at: Timestamp,
    count: usize,
    has_index: bool,
    end_of_support: Option<&str>,
) -> String {
    let day = |time: Timestamp| time.to_string()[..10].to_owned();
    let mut text = format!("oldest parts on {}, by the day their version was made\n\n", day(at));
    let mut head = vec!["source", "version", "made", "age", "packages"];
    if has_index {
        head.push("newest in the index");
    }
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for age in ages.iter().take(count) {
        let packages = match age.packages.as_slice() {
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            [] => String::new(),
        };
        let mut row = vec![
            harmless(&age.source),
            harmless(&age.version),
            age.made.map(day).unwrap_or_else(|| "unknown".into()),
            age.days(at).map(span).unwrap_or_default(),
            harmless(&packages),
        ];
        if has_index {
            row.push(age.newest.as_deref().map(harmless).unwrap_or_default());
        }
        rows.push(row);
    }
    text.push_str(&rows_of(&rows));
    let rest = ages.len().saturating_sub(count);
    if rest > 0 {
        text.push_str(&format!(
            "\n{}; `--top 0` shows all\n",
            counted(rest, "younger source", "younger sources")
        ));
    }
    if let Some(end) = end_of_support {
        let ended = if end < day(at).as_str() { "ended" } else { "ends" };
        text.push_str(&format!("\nthe maker's support of this version {ended} on {}\n", harmless(end)));
    }
    text
}

fn span(days: u64) -> String {
    match days {
        0..=59 => counted(days as usize, "day", "days"),
        60..=729 => counted((days / 30) as usize, "month", "months"),
        _ => format!("{}.{} years", days / 365, days % 365 * 10 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_in_the_unit_people_use() {
        let spans = [0, 1, 59, 60, 364, 729, 730, 4000].map(span);
        let expected =
            ["0 days", "1 day", "59 days", "2 months", "12 months", "24 months", "2.0 years", "10.9 years"];
        assert_eq!(spans, expected);
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        let age = |source: &str, made| Age {
            source: source.into(),
            version: "1".into(),
            packages: vec!["a".into(), "b".into()],
            made,
            newest: Some("2".into()),
        };
        let ages = [age("old", Some(Timestamp(0))), age("unknown", None)];
        let text = table(&ages, Timestamp(86_400 * 3), 1, true, Some("1970-01-02"));
        assert!(text.contains("old     1        1970-01-01  3 days  a and 1 more  2"), "{text}");
        assert!(text.contains("1 younger source; ") && text.contains("ended on 1970-01-02"), "{text}");
        assert!(table(&ages, Timestamp(0), 2, false, None).contains("unknown"));
    }
}
