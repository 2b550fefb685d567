//! The officers' words: kept on data as they were signed, judged anew each time they matter. There is no way around them.

use ledger::note::KeyName;
use model::control::{ApprovalState, OfficerWord};
use release::ReleaseId;
use update::approval::{Here, Officers, OfficersError, Spoken, Verdict};

use super::files::Files;
use super::{Choices, Updater};
use crate::init::report::chain;

/// Most notes that are kept. Stops a depot from filling the disk with notes of an officer who signs in a loop.
pub const WORDS_LIMIT: usize = 500;
/// Longest note in bytes: an approval with the signatures of all officers.
pub const WORD_LIMIT: usize = 16 << 10;

/// Whose words count, from the settings.
pub fn officers(choices: &Choices) -> Result<Officers, OfficersError> {
    Officers::parse(choices.officers.as_deref().unwrap_or_default(), choices.approvals)
}

/// What the officers say of a release, as far as the appliance has heard.
pub fn verdict(
    updater: &Updater,
    choices: &Choices,
    release: ReleaseId,
    now: u64,
) -> Result<Verdict, String> {
    let officers =
        officers(choices).map_err(|error| format!("the setting `update-officers`: {}", chain(&error)))?;
    if officers.is_empty() {
        return Ok(Verdict::Free);
    }
    let notes = updater.lock().words.clone();
    let words: Vec<Spoken> =
        notes.iter().filter_map(|note| officers.read(note.as_bytes()).ok()).flatten().collect();
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let here = Here { machine: machine.trim(), group: choices.group.as_deref(), now };
    Ok(officers.judge(&words, release, &here))
}

/// Who approved; an error that says what is missing when it may not be installed.
pub fn admit(
    updater: &Updater,
    choices: &Choices,
    release: ReleaseId,
    now: u64,
) -> Result<Option<String>, String> {
    match verdict(updater, choices, release, now)? {
        Verdict::Free => Ok(None),
        Verdict::Approved { by } => Ok(Some(format!("approved by {}", names(&by).join(", ")))),
        Verdict::Missing { by, needed } => Err(waiting(&names(&by), needed)),
        Verdict::Held { by, reason } => Err(format!("{by} holds it: {reason}")),
    }
}

fn waiting(by: &[String], needed: usize) -> String {
    let known = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    format!("it waits for the officers: {} of {needed} approve it{known}", by.len())
}

fn names(by: &[KeyName]) -> Vec<String> {
    by.iter().map(ToString::to_string).collect()
}

/// The same for people; `None` where nobody has to approve.
pub fn shown(verdict: Verdict) -> Option<ApprovalState> {
    Some(match verdict {
        Verdict::Free => return None,
        Verdict::Approved { by } => ApprovalState::Approved { by: names(&by) },
        Verdict::Missing { by, needed } => {
            ApprovalState::Waiting { by: names(&by), needed: u32::try_from(needed).unwrap_or(u32::MAX) }
        }
        Verdict::Held { by, reason } => ApprovalState::Held { by: by.to_string(), reason },
    })
}

/// Takes a note that an officer has signed; whether it is new. Nothing is kept of others.
pub fn hear(updater: &Updater, choices: &Choices, note: &str) -> Result<bool, String> {
    if note.len() > WORD_LIMIT {
        return Err(format!("a note of officers has at most {WORD_LIMIT} bytes"));
    }
    let officers = officers(choices).map_err(|error| chain(&error))?;
    if officers.is_empty() {
        return Err("this appliance has no officers: its setting `update-officers` is empty".into());
    }
    officers.read(note.as_bytes()).map_err(|error| chain(&error))?;
    let files: &Files = updater.files()?;
    let mut state = updater.lock();
    if state.words.iter().any(|known| known == note) {
        return Ok(false);
    }
    if state.words.len() >= WORDS_LIMIT {
        return Err(format!("{WORDS_LIMIT} notes of officers are kept already"));
    }
    let words = [&state.words[..], &[note.to_owned()]].concat();
    files.keep_words(&words).map_err(|error| format!("the note can not be kept: {error}"))?;
    state.words = words;
    Ok(true)
}

/// All notes, with who of today's officers has signed each.
pub fn all(updater: &Updater, choices: &Choices) -> Vec<OfficerWord> {
    let officers = officers(choices).unwrap_or_default();
    let notes = updater.lock().words.clone();
    let word = |note: String| {
        let spoken = officers.read(note.as_bytes()).unwrap_or_default();
        OfficerWord { officers: spoken.iter().map(|it| it.officer.to_string()).collect(), note }
    };
    notes.into_iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use keys::{SecretKey, Sign};
    use ledger::note::{Note, NoteSigner};
    use model::Sha256Digest;
    use model::definition::StateFormat;
    use release::approval::{Approval, Scope, Word};
    use update::life::Side;

    use super::*;

    const RELEASE: ReleaseId = ReleaseId(Sha256Digest([3; 32]));

    fn note(seed: u8, word: Word, made: u64) -> String {
        let secret = SecretKey::from_seed(&[seed; 32]);
        let signer = NoteSigner::new("carol".parse().expect("a name"), &secret);
        let approval = Approval {
            word,
            release: RELEASE,
            bulletin: None,
            scope: Scope::All,
            made,
            until: None,
            reason: "read".into(),
        };
        let text = approval.to_text().expect("fits");
        let mut note = Note::new(text.clone()).expect("a note");
        note.add(signer.sign(&text).expect("signs"));
        String::from_utf8(note.to_bytes()).expect("text")
    }

    fn choices() -> Choices {
        let secret: &dyn Sign = &SecretKey::from_seed(&[1; 32]);
        let key = NoteSigner::new("carol".parse().expect("a name"), secret).key().to_string();
        Choices { officers: Some(key), approvals: 1, ..Choices::default() }
    }

    fn updater(data: &std::path::Path) -> Updater {
        let own = Side {
            version: "1.0.0".into(),
            root_hash: Sha256Digest([1; 32]),
            state_format: StateFormat::default(),
        };
        Updater::load(data, own).0
    }

    #[test]
    fn law_2_nothing_is_admitted_without_the_officers_and_their_last_word_outlives_a_restart() {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let (updater_before, choices) = (updater(data.path()), choices());
        let admitted = |updater: &Updater| admit(updater, &choices, RELEASE, 100);
        assert!(admitted(&updater_before).expect_err("nobody spoke").contains("0 of 1"));
        let yes = note(1, Word::Approve, 10);
        assert_eq!(hear(&updater_before, &choices, &yes), Ok(true));
        assert_eq!(hear(&updater_before, &choices, &yes), Ok(false), "once is enough");
        assert_eq!(admitted(&updater_before), Ok(Some("approved by carol".into())));
        hear(&updater_before, &choices, &note(1, Word::Hold, 11)).expect("heard");
        assert_eq!(admitted(&updater(data.path())), Err("carol holds it: read".into()));
    }

    #[test]
    fn a_note_of_a_stranger_is_refused_and_not_kept() {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let updater = updater(data.path());
        let why = hear(&updater, &choices(), &note(2, Word::Approve, 10)).expect_err("another key");
        assert!(why.contains("none of the keys"), "{why}");
        assert!(all(&updater, &choices()).is_empty());
        let nobody =
            hear(&updater, &Choices::default(), &note(1, Word::Approve, 10)).expect_err("no officers");
        assert!(nobody.contains("update-officers"), "{nobody}");
    }

    #[test]
    fn officers_that_can_not_be_read_let_nothing_in() {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let broken = Choices { officers: Some("carol".into()), approvals: 1, ..Choices::default() };
        assert!(
            admit(&updater(data.path()), &broken, RELEASE, 100)
                .expect_err("refused")
                .contains("update-officers")
        );
    }
}
