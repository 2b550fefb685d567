//! The four-valued answer to "is it up to date". Never `current` without a fresh look.

use model::control::UpdateState;

/// A look at the depot that is older than this says nothing about today.
pub const FRESH_SECONDS: u64 = 2 * 86_400;

/// What the last whole answer of the depot had for this appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newer {
    /// Nothing newer.
    None,
    /// A newer release that may be installed.
    Available,
    /// Newer releases, all of them held.
    Held,
}

/// The state at `now`. `checked` is when the depot last gave a whole answer. A time in the future proves nothing: a clock
/// was wrong, then or now.
pub fn state(newer: Newer, checked: Option<u64>, now: u64) -> UpdateState {
    match (newer, checked) {
        (Newer::Available, _) => UpdateState::Available,
        (Newer::Held, _) => UpdateState::Held,
        (Newer::None, Some(checked)) if checked <= now && now - checked < FRESH_SECONDS => {
            UpdateState::Current
        }
        (Newer::None, checked) => UpdateState::Unknown(checked.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_needs_a_fresh_look() {
        assert_eq!(state(Newer::None, None, 10), UpdateState::Unknown(0));
        assert_eq!(state(Newer::None, Some(10), 10), UpdateState::Current);
        assert_eq!(state(Newer::None, Some(10), 9 + FRESH_SECONDS), UpdateState::Current);
        assert_eq!(state(Newer::None, Some(10), 10 + FRESH_SECONDS), UpdateState::Unknown(10));
        assert_eq!(state(Newer::Available, None, 0), UpdateState::Available);
        assert_eq!(state(Newer::Held, Some(1), 2), UpdateState::Held);
    }

    #[test]
    fn a_clock_that_is_wrong_by_years_says_unknown() {
        assert_eq!(
            state(Newer::None, Some(4_000_000_000), 1_700_000_000),
            UpdateState::Unknown(4_000_000_000)
        );
        assert_eq!(state(Newer::None, Some(1), 4_000_000_000), UpdateState::Unknown(1));
    }
}
