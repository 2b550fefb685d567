//! Lines for the journal, with the levels of sd-daemon(3).

/// How much is logged: this level and what is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error = 3,
    /// Somebody was refused.
    Warning = 4,
    /// A visit was counted.
    Info = 6,
    /// Every request.
    Debug = 7,
}

impl Level {
    /// Reads a choice of the setting.
    pub fn parse(text: &str) -> Option<Level> {
        let levels = [
            ("error", Level::Error),
            ("warning", Level::Warning),
            ("info", Level::Info),
            ("debug", Level::Debug),
        ];
        levels.into_iter().find(|(name, _)| *name == text).map(|(_, level)| level)
    }

    /// Writes a line when `self` is what is to be logged.
    pub fn write(self, level: Level, line: &str) {
        if level <= self {
            // Control characters of a visitor must not look like lines of ours.
            let line: String =
                line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
            eprintln!("<{}>{line}", level as u8);
        }
    }
}
