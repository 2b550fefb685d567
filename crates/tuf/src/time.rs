//! Moments, as metadata writes them: `YYYY-MM-DDTHH:MM:SSZ` (4.2.3).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const DAY: u64 = 86_400;
/// Days from 0000-03-01, where a count of leap days starts evenly, to 1970-01-01.
const MARCH_0_TO_1970: u64 = 719_468;
/// Days of 400 years, after which the calendar repeats.
const DAYS_OF_400_YEARS: u64 = 146_097;

/// Seconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

/// The text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no moment like 2030-01-31T12:00:00Z")]
pub struct NoTime(String);

impl Time {
    /// The last moment that can be written: the end of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// This many days later, at most [`Time::MAX`].
    pub fn plus_days(self, days: u64) -> Self {
        Self(self.0.saturating_add(days.saturating_mul(DAY))).min(Self::MAX)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(seconds) = (*self).min(Self::MAX);
        let (days, second) = (seconds / DAY, seconds % DAY);
        // Years that begin in March: the leap day is their last.
        let days = days + MARCH_0_TO_1970;
        let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, after) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year + after;
        let (hour, minute) = (second / 3600, second / 60 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
    }
}

impl FromStr for Time {
    type Err = NoTime;

    fn from_str(text: &str) -> Result<Self, NoTime> {
        let read = || {
            let number = |from: usize, to: usize| {
                let digits = text.get(from..to)?;
                digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
            };
            let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
            let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
            if !(1970..=9999).contains(&year)
                || !(1..=12).contains(&month)
                || !(1..=31).contains(&day)
                || hour > 23
            {
                return None;
            }
            let (years, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
            let days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * month + 2) / 5 + day - 1;
            let seconds = days.checked_sub(MARCH_0_TO_1970)? * DAY + hour * 3600 + minute * 60 + second;
            // A day that the month does not have, a 61st minute, a missing letter: the moment is written differently.
            Some(Self(seconds)).filter(|time| time.to_string() == text)
        };
        read().ok_or_else(|| NoTime(text.chars().take(30).collect()))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written_as_the_calendar_has_them() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1985-10-21T01:21:00Z", 498_705_660),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-26T12:00:00Z", 1_795_694_400),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", Time::MAX.0),
        ] {
            assert_eq!(text.parse(), Ok(Time(seconds)), "{text}");
            assert_eq!(Time(seconds).to_string(), text);
        }
        assert_eq!(Time(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00:00+00:00",
            "2030-01-01T00:00:00.5Z",
            "2030-02-29T00:00:00Z",
            "2030-01-01T24:00:00Z",
            "2030-01-01T00:60:00Z",
            "2030-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2030-01-01t00:00:00z",
            "+030-01-01T00:00:00Z",
            "é030-01-01T00:00:00Z",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_moment_comes_back(seconds in 0..=Time::MAX.0) {
            assert_eq!(Time(seconds).to_string().parse(), Ok(Time(seconds)));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".*") {
            let _ = text.parse::<Time>();
        }
    }
}
