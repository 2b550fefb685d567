//! Who may do what: setuid bits, capabilities, accounts, rules, trusted certificates, protections of programs.

use std::collections::{BTreeMap, BTreeSet};

use release::documents::origin_text;
use release::inspect::decode_capabilities;
use tree::diff::CAPABILITY_ATTRIBUTE;
use tree::{Entry, Node};

use super::{compared, counted, topic};
use crate::compare::files::is_unknown;
use crate::facts::{Change, Detail, FileChange, Files, Item, Nature, Topic, TopicId};
use crate::side::Side;

/// Setuid, setgid and file capabilities of every file.
pub fn privileges(old: &Side<'_>, new: &Side<'_>) -> Topic {
    let (before, after) = (rights(old), rights(new));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let items = names.into_iter().filter_map(|path| {
        let text = |rights: Option<&BTreeSet<String>>| {
            rights.map(|rights| rights.iter().cloned().collect::<Vec<_>>().join(", "))
        };
        let (one, other) = (before.get(path), after.get(path));
        let gained = other.is_some_and(|other| one.is_none_or(|one| !other.is_subset(one)));
        let side = if other.is_some() { new } else { old };
        Some(Item::between(path, text(one), text(other))?.from(origin(side, path)).widening(gained))
    });
    topic(
        TopicId::Privileges,
        "Setuid bits and capabilities",
        compared(before.len(), after.len(), "privileged file", "privileged files"),
        items.collect(),
    )
}

fn rights(side: &Side<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let of = |entry: &Entry| {
        let (mode, owner) = (entry.metadata.mode, (entry.metadata.uid, entry.metadata.gid));
        let mut rights = BTreeSet::new();
        if mode & 0o4000 != 0 {
            rights.insert(format!("setuid {}", owner.0));
        }
        if mode & 0o2000 != 0 {
            rights.insert(format!("setgid {}", owner.1));
        }
        let capabilities = entry.metadata.xattrs.get(CAPABILITY_ATTRIBUTE);
        rights.extend(capabilities.into_iter().flat_map(|value| decode_capabilities(value)).map(|one| one.0));
        rights
    };
    let is_file = |entry: &Entry| matches!(entry.node, Node::File(_) | Node::HardLink { .. });
    let files = side.tree.entries.iter().filter(|(_, entry)| is_file(entry));
    files
        .map(|(path, entry)| (path.to_string(), of(entry)))
        .filter(|(_, rights)| !rights.is_empty())
        .collect()
}

/// Origin of a path, as it is written.
pub fn origin(side: &Side<'_>, path: &str) -> Option<String> {
    let entry = side.tree.entries.get(&path.parse().ok()?)?;
    (!is_unknown(&entry.origin)).then(|| origin_text(&entry.origin))
}

/// Users and groups, and whether a password could let somebody in.
pub fn accounts(old: &Side<'_>, new: &Side<'_>) -> Topic {
    let (before, after) = (users(old), users(new));
    let mut items: Vec<Item> = super::between(&before, &after)
        .into_iter()
        .map(|item| {
            let is_new = item.change == Change::Added;
            let opens =
                |text: &Option<String>| text.as_deref().is_some_and(|text| text.contains("PASSWORD SET"));
            let widens = is_new || (opens(&item.new) && !opens(&item.old));
            item.widening(widens)
        })
        .collect();
    items.extend(super::between(&groups(old), &groups(new)).into_iter().map(|item| {
        let widens = item.change != Change::Removed;
        item.widening(widens)
    }));
    topic(TopicId::Accounts, "Users and groups", compared(before.len(), after.len(), "user", "users"), items)
}

fn users(side: &Side<'_>) -> BTreeMap<String, String> {
    let passwd = side.text("etc/passwd").unwrap_or_default();
    let shadow = side.text("etc/shadow").unwrap_or_default();
    let passwords: BTreeMap<&str, &str> = shadow
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some((fields.next()?, fields.next()?))
        })
        .collect();
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, gid, _, home, shell] = fields.as_slice() else { return None };
        let locked = passwords.get(name).is_none_or(|password| password.starts_with(['!', '*']));
        let login = if locked { "no password" } else { "PASSWORD SET" };
        Some((format!("user {name}"), format!("number {uid}:{gid}, home {home}, shell {shell}, {login}")))
    };
    passwd.lines().filter_map(user).collect()
}

fn groups(side: &Side<'_>) -> BTreeMap<String, String> {
    let group = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = fields.as_slice() else { return None };
        let members = if members.is_empty() { "nobody else" } else { members };
        Some((format!("group {name}"), format!("number {gid}, members: {members}")))
    };
    side.text("etc/group").unwrap_or_default().lines().filter_map(group).collect()
}

/// Folders and files whose texts decide who may do what.
const RULES: [(&str, &str); 12] = [
    ("/etc/sudoers", "sudo"),
    ("/etc/doas", "doas"),
    ("/etc/polkit-1/", "polkit"),
    ("/usr/share/polkit-1/", "polkit"),
    ("/etc/pam.d/", "PAM"),
    ("/usr/lib/pam.d/", "PAM"),
    ("/etc/security/", "PAM"),
    ("/etc/dbus-1/", "D-Bus"),
    ("/usr/share/dbus-1/", "D-Bus"),
    ("/etc/apparmor.d/", "AppArmor"),
    ("/etc/ssh/", "SSH"),
    ("/etc/subuid", "subordinate users"),
];

/// sudo, polkit, PAM and the like: files that changed.
pub fn rules(files: &Files, new: &Side<'_>) -> Topic {
    let count = new.tree.entries.keys().filter(|path| rule_of(&path.to_string()).is_some()).count();
    let items = files.changes.iter().filter_map(|file| {
        let rule = rule_of(&file.path)?;
        // Not judged by itself: whether a rule allows more can not be read off its text.
        Some(file_item(file, Some(rule.to_owned())).widening(file.nature != Nature::Removed))
    });
    topic(
        TopicId::Rules,
        "sudo, polkit, PAM, D-Bus",
        counted(count, "rule file", "rule files"),
        items.collect(),
    )
}

fn rule_of(path: &str) -> Option<&'static str> {
    RULES.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, rule)| *rule)
}

/// Certificates that programs trust.
pub fn trust(files: &Files, new: &Side<'_>) -> Topic {
    let is_trust = |path: &str| {
        [
            "/etc/ssl/certs/",
            "/usr/share/ca-certificates/",
            "/usr/local/share/ca-certificates/",
            "/etc/ca-certificates",
        ]
        .iter()
        .any(|prefix| path.starts_with(prefix))
    };
    let count = new.tree.entries.keys().filter(|path| is_trust(&path.to_string())).count();
    let items = files.changes.iter().filter(|file| is_trust(&file.path));
    let items = items.map(|file| file_item(file, None).widening(file.nature != Nature::Removed)).collect();
    topic(TopicId::Trust, "Trusted certificates", counted(count, "file", "files"), items)
}

/// A changed file as an item.
pub fn file_item(file: &FileChange, origin: Option<String>) -> Item {
    let change = match file.nature {
        Nature::Added => Change::Added,
        Nature::Removed => Change::Removed,
        Nature::Changed | Nature::Moved => Change::Changed,
    };
    let lines = match &file.detail {
        Some(Detail::Text { diff, .. }) => {
            let count = |mark: char| diff.lines().filter(|line| line.starts_with(mark)).count();
            format!(
                "{} and {}",
                counted(count('+'), "new line", "new lines"),
                counted(count('-'), "gone", "gone")
            )
        }
        _ => file.aspects.join(", "),
    };
    let new = (change == Change::Changed && !lines.is_empty()).then_some(lines);
    Item { what: file.path.clone(), change, old: None, new, origin, widens: false }
}

/// Programs whose protections changed.
pub fn hardening(files: &Files) -> Topic {
    let mut seen = 0;
    let items = files.changes.iter().filter_map(|file| {
        let Some(Detail::Elf(elf)) = &file.detail else { return None };
        seen += 1;
        let (gained, lost) = (&elf.protections.added, &elf.protections.removed);
        if gained.is_empty() && lost.is_empty() {
            return None;
        }
        let text = |list: &[String]| (!list.is_empty()).then(|| list.join(", "));
        Some(Item {
            what: file.path.clone(),
            change: Change::Changed,
            old: text(lost),
            new: text(gained),
            origin: None,
            widens: !lost.is_empty(),
        })
    });
    let items: Vec<Item> = items.collect();
    topic(
        TopicId::Hardening,
        "Protections of programs",
        counted(seen, "changed program or library", "changed programs and libraries"),
        items,
    )
}
