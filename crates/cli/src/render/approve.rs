//! What officers said, for people.

use ledger::note::Note;
use model::control::{LifeEntry, OfficerWord};
use release::approval::Approval;

use super::patching::history as lives;
use super::{harmless, table, time};

/// `ampoule audit`
pub fn audit(words: &[OfficerWord], history: &[LifeEntry]) -> String {
    let mut rows = vec![
        ["said", "by", "word", "release", "for", "bulletin read", "until", "reason"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(words.iter().filter_map(row));
    let said = match words {
        [] => "no officer has said anything\n".to_owned(),
        _ => table(&rows),
    };
    format!("{said}\n{}", lives(history))
}

fn row(word: &OfficerWord) -> Option<Vec<String>> {
    let note = Note::parse(word.note.as_bytes()).ok()?;
    let approval = Approval::parse(note.text()).ok()?;
    let short = |digest: String| digest.chars().take(16).collect::<String>();
    let by = match &word.officers[..] {
        [] => "nobody known today".to_owned(),
        officers => harmless(&officers.join(", ")),
    };
    Some(vec![
        time(approval.made),
        by,
        approval.word.to_string(),
        short(approval.release.to_string()),
        approval.scope.to_string(),
        approval.bulletin.map_or("none".to_owned(), |digest| short(digest.to_string())),
        approval.until.map_or("never ends".to_owned(), time),
        harmless(&approval.reason),
    ])
}
