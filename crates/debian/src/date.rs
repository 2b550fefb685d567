//! The two ways time is written here: RFC 2822 in `Release` files, RFC 3339 in the lock. Both only in UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Seconds since 1970-01-01T00:00:00Z, not before it. Displayed and serialised as `2025-11-15T09:48:00Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// The text is not a date of the expected form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a date such as `{example}`")]
pub struct DateSyntax {
    text: String,
    example: &'static str,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const RELEASE_EXAMPLE: &str = "Sat, 15 Nov 2025 09:48:00 UTC";
const LOCK_EXAMPLE: &str = "2025-11-15T09:48:00Z";

impl Timestamp {
    /// Reads the `Date` of a `Release` file: `Sat, 15 Nov 2025 09:48:00 UTC`. The weekday is not checked.
    ///
    /// # Errors
    /// [`DateSyntax`] when the text has another form.
    pub fn parse_release_date(text: &str) -> Result<Self, DateSyntax> {
        let parse = || {
            let (_, rest) = text.split_once(", ")?;
            let mut words = rest.split_ascii_whitespace();
            let day = words.next()?.parse().ok()?;
            let name = words.next()?;
            let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
            let year = words.next()?.parse().ok()?;
            let mut clock = words.next()?.splitn(3, ':').map(|part| part.parse::<u64>().ok());
            let time = (clock.next()??, clock.next()??, clock.next()??);
            if !matches!(words.next(), Some("UTC" | "GMT" | "+0000")) || words.next().is_some() {
                return None;
            }
            seconds((year, month, day), time)
        };
        parse().map(Self).ok_or_else(|| DateSyntax { text: shorten(text), example: RELEASE_EXAMPLE })
    }
}

impl FromStr for Timestamp {
    type Err = DateSyntax;

    fn from_str(text: &str) -> Result<Self, DateSyntax> {
        let parse = || {
            let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
            let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
            let date = (date.next()??, date.next()??, date.next()??);
            let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
            seconds(date, (clock.next()??, clock.next()??, clock.next()??))
        };
        parse().map(Self).ok_or_else(|| DateSyntax { text: shorten(text), example: LOCK_EXAMPLE })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, rest) = (self.0 / 86_400, self.0 % 86_400);
        let (year, month, day) = civil(days);
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Days of the years 0 to `year` - 1 of the proleptic Gregorian calendar.
fn days_before_year(year: u64) -> u64 {
    if year == 0 {
        return 0;
    }
    let last = year - 1;
    // Year 0 is a leap year.
    year * 365 + last / 4 - last / 100 + last / 400 + 1
}

fn days_of_month(year: u64, month: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn seconds((year, month, day): (u64, u64, u64), (hour, minute, second): (u64, u64, u64)) -> Option<u64> {
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let days = days_before_year(year.max(1970)) - days_before_year(1970)
        + (1..month.min(12)).map(|month| days_of_month(year, month)).sum::<u64>()
        + day.saturating_sub(1).min(31);
    valid.then(|| days * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Year, month and day of the day `days` after 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    let mut rest = days + days_before_year(1970);
    // 146097 days are 400 years; the estimate is never too late and at most one year early.
    let mut year = rest * 400 / 146_097;
    while days_before_year(year + 1) <= rest {
        year += 1;
    }
    while days_before_year(year) > rest {
        year -= 1;
    }
    rest -= days_before_year(year);
    let mut month = 1;
    while rest >= days_of_month(year, month) {
        rest -= days_of_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_release_date_is_the_second_it_names() {
        assert_eq!(
            Timestamp::parse_release_date("Sat, 15 Nov 2025 09:48:00 UTC"),
            Ok(Timestamp(1_763_200_080))
        );
        assert_eq!(
            Timestamp::parse_release_date("Thu, 29 Feb 2024 00:00:01 UTC"),
            Ok(Timestamp(1_709_164_801))
        );
        for text in
            ["", "Sat, 31 Nov 2025 09:48:00 UTC", "Sat, 15 Nov 2025 09:48:00 CET", "Sat, 15 Nov 2025 9"]
        {
            assert!(Timestamp::parse_release_date(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_timestamp_reads_what_it_writes(seconds in 0u64..253_402_300_800) {
            prop_assert_eq!(Timestamp(seconds).to_string().parse(), Ok(Timestamp(seconds)));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "[0-9TZ:, NovUTC-]{0,30}") {
            let _ = text.parse::<Timestamp>();
            let _ = Timestamp::parse_release_date(&text);
        }
    }
}
