//! What a patch brings besides security fixes: what stands against "security only".

use super::{Basis, list};
use crate::compare::topics_of;
use crate::facts::{OwnerKind, SourceChange, Step, TopicId, Upload};

/// What the patch brings besides security fixes.
pub fn others(basis: &Basis<'_>) -> Vec<String> {
    let mut others = Vec::new();
    let application: usize = basis
        .files
        .owners
        .iter()
        .filter(|owner| owner.kind == OwnerKind::Maker)
        .map(|owner| owner.changes)
        .sum();
    if application > 0 {
        let files = if application == 1 { "1 file".to_owned() } else { format!("{application} files") };
        others.push(format!("the maker's own: {files} of the application changed"));
    }
    // The definition and its documents name the version and so differ in every release.
    let is_documents = |path: &str| {
        path.starts_with("/usr/lib/ampoule/documents/") || path == "/usr/lib/ampoule/definition.json"
    };
    let own = basis.files.changes.iter().filter(|file| {
        let owner = &basis.files.owners[file.owner];
        owner.kind == OwnerKind::Generator && owner.name == "ampoule" && !is_documents(&file.path)
    });
    let own: Vec<&str> = own.map(|file| file.path.as_str()).collect();
    if !own.is_empty() {
        others.push(format!("Ampoule's own parts changed: {}", list(&own)));
    }
    let unknown: usize = basis
        .files
        .owners
        .iter()
        .filter(|owner| owner.kind == OwnerKind::Unknown)
        .map(|owner| owner.changes)
        .sum();
    if unknown > 0 {
        others.push(format!("{unknown} changed paths do not say where they come from"));
    }
    let of = |test: &dyn Fn(&&SourceChange) -> bool| -> Vec<&str> {
        // An update of which nothing in the image changed changes nothing here.
        let present = basis.sources.iter().filter(|source| match source.step {
            Step::Newer => !source.touched.is_empty(),
            _ => source.files > 0,
        });
        present.filter(test).map(|source| source.name.as_str()).collect()
    };
    let mut say = |names: Vec<&str>, text: &str| {
        if !names.is_empty() {
            others.push(format!("{text}: {}", list(&names)));
        }
    };
    say(of(&|source| source.step == Step::Added), "packages that were not there before");
    say(of(&|source| source.step == Step::Removed), "packages that are no longer there");
    say(of(&|source| source.step == Step::Older), "packages that go back to an older version");
    say(
        of(&|source| source.step == Step::Newer && source.upload == Upload::Other),
        "updates that are no security updates",
    );
    say(
        of(&|source| source.step == Step::Newer && source.upload == Upload::Partly),
        "updates that hold more than security updates",
    );
    say(
        of(&|source| source.step == Step::Newer && source.upload == Upload::Unknown),
        "updates whose changelog says nothing",
    );
    for id in [TopicId::Settings, TopicId::State, TopicId::Health, TopicId::Resources] {
        if let Some(topic) = topics_of(basis.topics, id).filter(|topic| !topic.items.is_empty()) {
            others.push(format!("{} changed: {}", topic.title.to_lowercase(), topic.items.len()));
        }
    }
    for topic in basis.topics {
        let is_wider = matches!(
            topic.id,
            TopicId::Privileges | TopicId::Accounts | TopicId::Network | TopicId::Services | TopicId::Timers
        );
        let wider: Vec<&str> =
            topic.items.iter().filter(|item| item.widens).map(|item| item.what.as_str()).collect();
        if is_wider && !wider.is_empty() {
            others.push(format!("more than before in {}: {}", topic.title.to_lowercase(), list(&wider)));
        }
    }
    others
}
