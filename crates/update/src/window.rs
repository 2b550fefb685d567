//! Maintenance windows: `02:00-04:00`, `Sat 02:00-04:00`, `Mon-Fri 22:00-23:30`, `Sat,Sun 01:00-05:00`. In UTC.

use std::str::FromStr;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_A_DAY: u32 = 24 * 60;
/// Longest text that is read.
const LENGTH_LIMIT: usize = 100;

/// When an automatic patch may restart the appliance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// From Monday; the day on which it opens.
    days: [bool; 7],
    opens: u32,
    closes: u32,
}

/// The text is no window.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WindowSyntax {
    /// Not two words at most, or empty.
    #[error("a window is written like `Sat 02:00-04:00` or `02:00-04:00 daily`")]
    Shape,
    /// An unknown day.
    #[error("`{0}` is no day: Mon, Tue, Wed, Thu, Fri, Sat, Sun, a range of them such as Mon-Fri, or daily")]
    Day(String),
    /// Not a time.
    #[error("`{0}` is no time from 00:00 to 23:59")]
    Time(String),
    /// It never opens.
    #[error("a window that opens and closes at {0} is never open")]
    Empty(String),
}

impl FromStr for Window {
    type Err = WindowSyntax;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > LENGTH_LIMIT {
            return Err(WindowSyntax::Shape);
        }
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (days, times) = match words.as_slice() {
            [times] => ("daily", *times),
            [first, second] if first.contains(':') => (*second, *first),
            [first, second] => (*first, *second),
            _ => return Err(WindowSyntax::Shape),
        };
        let (opens, closes) = times.split_once('-').ok_or(WindowSyntax::Shape)?;
        let window = Window { days: read_days(days)?, opens: minute(opens)?, closes: minute(closes)? };
        if window.opens == window.closes {
            return Err(WindowSyntax::Empty(opens.to_owned()));
        }
        Ok(window)
    }
}

fn read_days(text: &str) -> Result<[bool; 7], WindowSyntax> {
    let mut days = [false; 7];
    if text.eq_ignore_ascii_case("daily") {
        return Ok([true; 7]);
    }
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (mut day, last) = (read_day(first)?, read_day(last)?);
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Ok(days)
}

fn read_day(text: &str) -> Result<usize, WindowSyntax> {
    let name = text.to_ascii_lowercase();
    let found = DAYS.iter().position(|day| name == *day || (name.len() > 3 && is_full_name(&name, day)));
    found.ok_or_else(|| WindowSyntax::Day(text.to_owned()))
}

fn is_full_name(name: &str, day: &str) -> bool {
    name.starts_with(day) && name.ends_with("day") && name.len() <= 9
}

fn minute(text: &str) -> Result<u32, WindowSyntax> {
    let read = || {
        let (hour, minute) = text.split_once(':')?;
        let two = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok()).flatten();
        let (hour, minute) = (two(hour)?, two(minute)?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    read().ok_or_else(|| WindowSyntax::Time(text.to_owned()))
}

impl Window {
    /// Whether it is open at `now`, seconds since 1970.
    pub fn is_open(&self, now: u64) -> bool {
        // 1 January 1970 was a Thursday.
        let day = ((now / 86_400 + 3) % 7) as usize;
        let minute = (now % 86_400 / 60) as u32;
        if self.opens < self.closes {
            return self.days[day] && (self.opens..self.closes).contains(&minute);
        }
        // Over midnight: what began yesterday is still open today.
        (self.days[day] && (self.opens..MINUTES_A_DAY).contains(&minute))
            || (self.days[(day + 6) % 7] && minute < self.closes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Saturday 22 November 2025, 00:00 UTC.
    const SATURDAY: u64 = 1_763_769_600;
    const HOUR: u64 = 3600;

    fn window(text: &str) -> Window {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_window_is_open_on_its_days_and_between_its_times() {
        for text in [
            "Sat 02:00-04:00",
            "02:00-04:00 saturday",
            "fri,SAT 02:00-04:00",
            "Fri-Mon 02:00-04:00",
            "02:00-04:00",
        ] {
            let window = window(text);
            assert!(!window.is_open(SATURDAY + 2 * HOUR - 1), "{text}");
            assert!(window.is_open(SATURDAY + 2 * HOUR), "{text}");
            assert!(window.is_open(SATURDAY + 4 * HOUR - 1), "{text}");
            assert!(!window.is_open(SATURDAY + 4 * HOUR), "{text}");
        }
        assert!(!window("Sun 02:00-04:00").is_open(SATURDAY + 3 * HOUR));
        assert!(window("02:00-04:00 daily").is_open(SATURDAY + 27 * HOUR));
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_it_opens() {
        let window = window("Fri 23:00-01:00");
        assert!(window.is_open(SATURDAY - HOUR));
        assert!(window.is_open(SATURDAY + HOUR - 1));
        assert!(!window.is_open(SATURDAY + HOUR));
        assert!(!window.is_open(SATURDAY + 23 * HOUR));
    }

    #[test]
    fn bad_windows_are_told_what_is_wrong() {
        let error = |text: &str| text.parse::<Window>().expect_err("no window").to_string();
        assert!(error("Caturday 02:00-04:00").contains("`Caturday` is no day"));
        assert!(error("Sat 2:00-04:00").contains("`2:00` is no time"));
        assert!(error("Sat 02:00-24:00").contains("`24:00` is no time"));
        assert!(error("Sat 02:00-02:00").contains("never open"));
        for text in ["", "Sat", "Sat 02:00", "Sat 02:00-04:00 UTC"] {
            assert!(error(text).contains("written like"), "{text}");
        }
    }
}
