//! What an officer says of a release: yes, no, or that an earlier word does not count any more. A signed note (DESIGN section 8).
//!
//! ```text
//! ampoule approval 1
//! approve                          or hold, or revoke
//! release HEX                      SHA-256 of the release statement
//! bulletin HEX                     SHA-256 of the bulletin (JSON) that was read; `none` when none was
//! for all                          or `for group NAME`, or `for machine ID`
//! made 1764150000                  seconds since 1970
//! until 1766742000                 from then on it does not count; `never`
//! reason TEXT                      one line
//! ```
//!
//! Pure. Who has signed, and what follows, is for `update::approval` to say.

use std::fmt;
use std::str::FromStr;

use model::Sha256Digest;

use crate::statement::ReleaseId;

/// First line of the text.
const HEADER: &str = "ampoule approval 1";
/// Longest text in bytes. Stops a depot from making an appliance keep long texts.
pub const APPROVAL_LIMIT: usize = 4096;
/// Longest reason in bytes.
pub const REASON_LIMIT: usize = 1000;
/// Longest name of a group or id of a machine in bytes.
const NAME_LIMIT: usize = 64;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It may be installed.
    Approve,
    /// It must not be installed.
    Hold,
    /// What this officer said of the release before does not count any more.
    Revoke,
}

/// For which appliances it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All that know the officer.
    All,
    /// Those whose owner has put them into a group.
    Group(String),
    /// One, by its machine id.
    Machine(String),
}

/// The whole statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// See [`Word`].
    pub word: Word,
    /// Of which release.
    pub release: ReleaseId,
    /// Digest of the bulletin that was read.
    pub bulletin: Option<Sha256Digest>,
    /// See [`Scope`].
    pub scope: Scope,
    /// Seconds since 1970.
    pub made: u64,
    /// Seconds since 1970 from which on it does not count.
    pub until: Option<u64>,
    /// Why, in one line.
    pub reason: String,
}

/// The text is no approval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Longer than [`APPROVAL_LIMIT`].
    #[error("an approval has at most {APPROVAL_LIMIT} bytes")]
    TooLong,
    /// The first line is another one.
    #[error("this is no approval, or one of a newer version: `{HEADER}` is expected in the first line")]
    Header,
    /// A line that is not the expected one.
    #[error("the approval has not the line `{0}` where it belongs, or it can not be read")]
    Line(&'static str),
    /// The reason is too long, or has more than one line.
    #[error("a reason is one line of 1 to {REASON_LIMIT} bytes")]
    Reason,
    /// Something else than a scope.
    #[error("`{0}` is no scope: `all`, `group NAME` or `machine ID` is expected")]
    Scope(String),
    /// The name of a group or machine.
    #[error(
        "`{0}` is no name of a group and no machine: 1 to {NAME_LIMIT} of a-z, A-Z, 0-9, `.`, `_` and `-`"
    )]
    Name(String),
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_LIMIT).contains(&text.len()) && text.bytes().all(is_plain)
}

impl Approval {
    /// Reads the text of a note. Only what [`Approval::to_text`] writes is accepted.
    pub fn parse(text: &str) -> Result<Self, ApprovalError> {
        if text.len() > APPROVAL_LIMIT {
            return Err(ApprovalError::TooLong);
        }
        let mut lines = text.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(ApprovalError::Header);
        }
        let word = lines.next().and_then(word).ok_or(ApprovalError::Line("approve, hold or revoke"))?;
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(ApprovalError::Line(name))
        };
        let approval = Self {
            word,
            release: field("release")?.parse().map_err(|_| ApprovalError::Line("release"))?,
            bulletin: unless("none", field("bulletin")?).ok_or(ApprovalError::Line("bulletin"))?,
            scope: field("for")?.parse()?,
            made: field("made")?.parse().map_err(|_| ApprovalError::Line("made"))?,
            until: unless("never", field("until")?).ok_or(ApprovalError::Line("until"))?,
            reason: field("reason")?.to_owned(),
        };
        // A second spelling of the same words would be a second note.
        if approval.to_text()? != text {
            return Err(ApprovalError::Line("reason"));
        }
        Ok(approval)
    }

    /// The text that is signed.
    pub fn to_text(&self) -> Result<String, ApprovalError> {
        let reason = &self.reason;
        if !(1..=REASON_LIMIT).contains(&reason.len()) || reason.chars().any(char::is_control) {
            return Err(ApprovalError::Reason);
        }
        let bulletin = self.bulletin.map_or("none".to_owned(), |digest| digest.to_string());
        let until = self.until.map_or("never".to_owned(), |time| time.to_string());
        Ok(format!(
            "{HEADER}\n{}\nrelease {}\nbulletin {bulletin}\nfor {}\nmade {}\nuntil {until}\nreason {reason}\n",
            self.word, self.release, self.scope, self.made
        ))
    }
}

/// `None` when the value can not be read, `Some(None)` for the word.
fn unless<T: FromStr>(word: &str, value: &str) -> Option<Option<T>> {
    if value == word { Some(None) } else { value.parse().ok().map(Some) }
}

fn word(text: &str) -> Option<Word> {
    [Word::Approve, Word::Hold, Word::Revoke].into_iter().find(|word| word.to_string() == text)
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approve => "approve",
            Self::Hold => "hold",
            Self::Revoke => "revoke",
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Machine(id) => write!(f, "machine {id}"),
        }
    }
}

impl FromStr for Scope {
    type Err = ApprovalError;

    fn from_str(text: &str) -> Result<Self, ApprovalError> {
        let named = |name: &str, scope: fn(String) -> Scope| match is_name(name) {
            true => Ok(scope(name.to_owned())),
            false => Err(ApprovalError::Name(name.chars().take(NAME_LIMIT).collect())),
        };
        match text.split_once(' ') {
            None if text == "all" => Ok(Self::All),
            Some(("group", name)) => named(name, Self::Group),
            Some(("machine", id)) => named(id, Self::Machine),
            _ => Err(ApprovalError::Scope(text.chars().take(NAME_LIMIT).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn approval() -> Approval {
        Approval {
            word: Word::Approve,
            release: ReleaseId(Sha256Digest([7; 32])),
            bulletin: Some(Sha256Digest([9; 32])),
            scope: Scope::Group("berlin".into()),
            made: 1_764_150_000,
            until: Some(1_766_742_000),
            reason: "Two weeks in the laboratory — no complaints".into(),
        }
    }

    #[test]
    fn an_approval_reads_what_it_writes() {
        for change in [
            |_: &mut Approval| {},
            |it: &mut Approval| (it.bulletin, it.until) = (None, None),
            |it: &mut Approval| (it.word, it.scope) = (Word::Hold, Scope::All),
            |it: &mut Approval| (it.word, it.scope) = (Word::Revoke, Scope::Machine("0f".into())),
        ] {
            let mut approval = approval();
            change(&mut approval);
            assert_eq!(Approval::parse(&approval.to_text().expect("fits")), Ok(approval));
        }
    }

    #[test]
    fn a_second_spelling_is_none() {
        let text = approval().to_text().expect("fits");
        let others = [
            text.replace("approve", "Approve"),
            text.replace("made ", "made +"),
            text.replace("until 1", "until 01"),
            text.replace("release 07", "release 0"),
            text.replace("\nfor group berlin", "\nfor group berlin "),
            text.replace("group berlin", "group a/b"),
            format!("{text}\n"),
            text.trim_end().to_owned(),
            text.replace("approval 1", "approval 2"),
            text.replace("\nbulletin", "\n\nbulletin"),
            format!("{}{}\n", text.trim_end(), "x".repeat(APPROVAL_LIMIT)),
        ];
        for other in others {
            assert_ne!(other, text);
            assert!(Approval::parse(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_reason_is_one_line() {
        for reason in ["", "two\nlines", "bell\u{7}"] {
            let approval = Approval { reason: reason.into(), ..approval() };
            assert_eq!(approval.to_text(), Err(ApprovalError::Reason), "{reason:?}");
        }
    }
}
