//! Lists of releases, for those who sign them: what a list says, what it changes, and who signed it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use depot::roles::TARGETS_DAYS;
use release::{Listing, ReleaseId};
use serde_json::{Value, json};
use tuf::Time;
use tuf::metadata::{Root, TargetFile, Targets, TopRole};
use tuf::repository::{Basis, Complete, Stage, TargetsChange, targets_changes};

use super::keys::{missing_json, missing_text};
use super::{counted, harmless};

const DAY: u64 = 24 * 3600;

/// A list, and what it is seen beside.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The list.
    pub stage: &'a Stage<Targets>,
    /// Over what it was prepared; one that was published may not say it.
    pub basis: Option<&'a Basis>,
    /// The root that names its signers.
    pub root: &'a Complete<Root>,
    /// The list before it.
    pub before: Option<&'a Complete<Targets>>,
    /// A release folder that is what the list names.
    pub compared: Option<&'a Compared>,
    /// By this machine's clock.
    pub now: Time,
}

/// A release folder that is the release with this statement.
pub struct Compared {
    /// The folder.
    pub folder: PathBuf,
    /// Its statement.
    pub statement: ReleaseId,
}

impl View<'_> {
    fn list(&self) -> &Targets {
        self.stage.body()
    }

    /// What changes; `None`: the list before it is not known.
    fn changes(&self) -> Option<Vec<TargetsChange>> {
        let is_known = self.before.is_some() || self.is_first();
        is_known.then(|| targets_changes(self.before.map(Complete::body), self.list()))
    }

    fn is_first(&self) -> bool {
        self.basis.map_or(self.list().version == 1, |basis| basis.before.is_none())
    }

    /// Which versions of releases are known, by their digests: in this list and in the one before.
    fn versions(&self) -> BTreeMap<ReleaseId, String> {
        let lists = self.before.map(Complete::body).into_iter().chain([self.list()]);
        let files = lists.flat_map(|list| &list.targets);
        let read = files.filter_map(|(path, file)| Listing::read(path, file));
        read.map(|listing| (listing.statement, listing.version)).collect()
    }
}

/// `ampoule keys targets show`
pub fn list(view: &View<'_>) -> String {
    let list = view.list();
    let mut text = format!("list version {}, {}\n", list.version, until(list.expires, view.now));
    text.push_str(&format!("for root version {}\n", view.root.body().version));
    match view.changes() {
        None => text.push_str("changes: not known without the list before it: name it with `--after`\n"),
        Some(changes) => {
            text.push_str(&match view.before {
                Some(before) => format!("changes since list version {}\n", before.body().version),
                None => "changes: it is the first list\n".to_owned(),
            });
            let versions = view.versions();
            text.extend(changes.iter().map(|change| change_text(change, view, &versions)));
            if changes.is_empty() {
                text.push_str("  none but its version and until when it is good\n");
            }
        }
    }
    text.push_str(&format!("lists {}\n", counted(list.targets.len(), "release", "releases")));
    text.extend(
        list.targets.iter().map(|(path, file)| format!("  {}  {}\n", name(path, file), digest(file))),
    );
    for role in list.delegations.iter().flat_map(|delegations| &delegations.roles) {
        text.push_str(&format!("also believes the role `{}`\n", harmless(role.name.as_str())));
    }
    text.push_str(&signers(view));
    text
}

/// Until when, and how long that is.
fn until(expires: Time, now: Time) -> String {
    let Some(left) = expires.0.checked_sub(now.0).filter(|left| *left > 0) else {
        return format!("expired at {expires}: it is {now} on this machine");
    };
    let days = counted((left / DAY) as usize, "day", "days");
    match left > (TARGETS_DAYS + 1) * DAY {
        true => format!(
            "good until {expires}, {days} from now: longer than any list, or this machine's clock is wrong"
        ),
        false => format!("good until {expires}, {days} from now"),
    }
}

fn change_text(change: &TargetsChange, view: &View<'_>, versions: &BTreeMap<ReleaseId, String>) -> String {
    match change {
        TargetsChange::Added { path, file } => {
            let details = details(path, file, versions);
            format!("  {} is added\n{details}{}", name(path, file), compared(path, file, view))
        }
        TargetsChange::Removed { path, file } => {
            format!("  {} is taken away\n    statement     {}\n", name(path, file), digest(file))
        }
        TargetsChange::Changed { path, from, to } => format!(
            "  {} IS CHANGED, as no release ever is: until now\n{}   from now on\n{}{}",
            name(path, to),
            details(path, from, versions),
            details(path, to, versions),
            compared(path, to, view)
        ),
        other => format!("  {}\n", harmless(&other.to_string())),
    }
}

fn details(path: &str, file: &TargetFile, versions: &BTreeMap<ReleaseId, String>) -> String {
    let Some(listing) = Listing::read(path, file) else {
        let said = serde_json::to_string(file).unwrap_or_default();
        return format!("    NOT A RELEASE as this version of Ampoule lists them: {}\n", harmless(&said));
    };
    let mut text = format!(
        "    statement     {}\n    root hash     {}\n    state format  {}\n",
        listing.statement, listing.root_hash, listing.state_format
    );
    for from in &listing.security_only_from {
        let version = versions.get(from).map_or("a release that is not listed", String::as_str);
        text.push_str(&format!("    security fixes only, from {} ({from})\n", harmless(version)));
    }
    text
}

/// Whether somebody compared the release itself.
fn compared(path: &str, file: &TargetFile, view: &View<'_>) -> String {
    let statement = Listing::read(path, file).map(|listing| listing.statement);
    match view.compared.filter(|compared| Some(compared.statement) == statement) {
        Some(compared) => format!("    compared      it is the release in {}\n", compared.folder.display()),
        None => "    compared      with no release folder: `--release` of `sign` does it\n".to_owned(),
    }
}

/// `acme/shop stable 1.0.1`, or the path of something else.
fn name(path: &str, file: &TargetFile) -> String {
    match Listing::read(path, file) {
        Some(Listing { appliance, channel, version, .. }) => {
            harmless(&format!("{appliance} {channel} {version}"))
        }
        None => harmless(&format!("`{path}`")),
    }
}

fn digest(file: &TargetFile) -> String {
    harmless(file.hashes.digest_by("sha256").unwrap_or("no SHA-256"))
}

fn signers(view: &View<'_>) -> String {
    let root = view.root.body();
    let role = root.role(TopRole::Targets);
    let number = counted(role.keyids.len(), "key", "keys");
    let mut text = format!("signers: {} of {number}\n", role.threshold);
    let signed = view.stage.signed_by();
    text.extend(role.keyids.iter().map(|id| match signed.contains(&id.as_str()) {
        true => format!("  {id}  signed\n"),
        false => format!("  {id}\n"),
    }));
    text.push_str(&missing_text(&view.stage.missing()));
    text
}

/// The same for programs.
pub fn list_json(view: &View<'_>) -> Value {
    let list = view.list();
    let releases: Vec<Value> = list.targets.iter().map(|(path, file)| file_json(path, file)).collect();
    let changes = view.changes().map(|changes| changes.iter().map(change_json).collect::<Vec<_>>());
    let roles: Vec<&str> =
        list.delegations.iter().flat_map(|it| &it.roles).map(|role| role.name.as_str()).collect();
    let missing = view.stage.missing();
    json!({
        "version": list.version, "expires": list.expires, "expired": list.expires <= view.now,
        "root": view.root.origin(), "before": view.basis.and_then(|basis| basis.before.as_ref()),
        "changes": changes, "releases": releases, "roles": roles,
        "compared": view.compared.map(|it| json!({ "folder": it.folder, "statement": it.statement })),
        "signed-by": view.stage.signed_by(), "complete": missing.is_empty(),
        "missing": missing_json(&missing),
    })
}

fn change_json(change: &TargetsChange) -> Value {
    match change {
        TargetsChange::Added { path, file } => json!({ "change": "added", "release": file_json(path, file) }),
        TargetsChange::Removed { path, file } => {
            json!({ "change": "removed", "release": file_json(path, file) })
        }
        TargetsChange::Changed { path, from, to } => {
            json!({ "change": "changed", "release": file_json(path, to), "before": file_json(path, from) })
        }
        TargetsChange::RoleAdded { role } => json!({ "change": "role-added", "role": role }),
        TargetsChange::RoleRemoved { role } => json!({ "change": "role-removed", "role": role }),
        TargetsChange::RoleChanged { role } => json!({ "change": "role-changed", "role": role }),
        TargetsChange::Member { name } => json!({ "change": "member", "name": name }),
    }
}

/// A release, or what is listed there instead, as it is.
fn file_json(path: &str, file: &TargetFile) -> Value {
    match Listing::read(path, file) {
        Some(listing) => json!({
            "path": path, "appliance": listing.appliance, "channel": listing.channel, "version": listing.version,
            "statement": listing.statement, "root-hash": listing.root_hash, "state-format": listing.state_format,
            "security-only-from": listing.security_only_from,
        }),
        None => json!({ "path": path, "other": file }),
    }
}

#[cfg(test)]
mod tests {
    use keys::role::RoleSign;
    use keys::{SecretKey, Sign as _};
    use model::Sha256Digest;
    use tuf::repository::Unsigned;
    use tuf::{Key, TargetPath};

    use super::*;

    const NOW: Time = Time(1_795_694_400);

    fn listing(version: &str, digit: u8) -> Listing {
        Listing {
            appliance: "acme/shop".into(),
            channel: "stable".into(),
            version: version.into(),
            statement: ReleaseId(Sha256Digest([digit; 32])),
            length: 7,
            root_hash: Sha256Digest([0xcd; 32]),
            state_format: 3,
            security_only_from: Vec::new(),
        }
    }

    fn with(targets: Targets, listing: &Listing) -> Targets {
        targets.with_target(&listing.path().expect("a path"), listing.file())
    }

    #[test]
    fn a_signer_sees_all_that_a_list_changes_and_who_signed() {
        let keys: Vec<_> = (1..=2).map(|number| SecretKey::from_seed(&[number; 32])).collect();
        let mut root = Root::new(NOW.plus_days(365));
        for role in TopRole::ALL {
            root = root.with_key(role, keys[0].public());
        }
        let root = root.with_key(TopRole::Targets, keys[1].public()).with_threshold(TopRole::Targets, 2);
        let root = Unsigned::root(None, root).expect("follows").sign_by(&[&keys[0]]).expect("signs");
        let signers = [&keys[0] as &dyn RoleSign, &keys[1]];
        let (old, gone) = (listing("1.0.0", 0x11), listing("1.0.1", 0x22));
        let list = with(with(Targets::new(NOW.plus_days(9)), &old), &gone);
        let before = Unsigned::carried(&root, None, list).sign_by(&signers).expect("signs");
        let new = Listing { security_only_from: vec![old.statement], ..listing("1.0.2", 0x33) };
        let strange = TargetPath::new("a/b\u{202e}c").expect("a path");
        let list = with(before.body().next(NOW.plus_days(90)), &new)
            .without_target(&gone.path().expect("a path"))
            .with_target(&strange, TargetFile::of(b"x"));
        let list = with(list, &Listing { state_format: 4, ..old.clone() });
        let stage = Unsigned::carried(&root, Some(&before), list).sign(&keys[1]).expect("signs");
        let basis = Basis::of(stage.body());
        let compared = Compared { folder: "out".into(), statement: new.statement };
        let view = View {
            stage: &stage,
            basis: basis.as_ref(),
            root: &root,
            before: Some(&before),
            compared: Some(&compared),
            now: NOW,
        };
        let digest = |digits: &str| digits.repeat(32);
        let [one, other] = [0, 1].map(|number: usize| Key::of(keys[number].public()).id().to_string());
        let (first, third, root_hash) = (digest("11"), digest("33"), digest("cd"));
        let x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(
            super::list(&view),
            format!(
                "list version 2, good until 2027-02-24T12:00:00Z, 90 days from now
for root version 1
changes since list version 1
  acme/shop stable 1.0.1 is taken away
    statement     {}
  `a/b\u{fffd}c` is added
    NOT A RELEASE as this version of Ampoule lists them: {{\"length\":1,\"hashes\":{{\"sha256\":\"{x}\"}}}}
    compared      with no release folder: `--release` of `sign` does it
  acme/shop stable 1.0.0 IS CHANGED, as no release ever is: until now
    statement     {first}
    root hash     {root_hash}
    state format  3
   from now on
    statement     {first}
    root hash     {root_hash}
    state format  4
    compared      with no release folder: `--release` of `sign` does it
  acme/shop stable 1.0.2 is added
    statement     {third}
    root hash     {root_hash}
    state format  3
    security fixes only, from 1.0.0 ({first})
    compared      it is the release in out
lists 3 releases
  `a/b\u{fffd}c`  {x}
  acme/shop stable 1.0.0  {first}
  acme/shop stable 1.0.2  {third}
signers: 2 of 2 keys
  {one}
  {other}  signed
signed: needs 1 more signature of keys that root version 1 names
",
                digest("22")
            )
        );
        let json = list_json(&view);
        assert_eq!(
            (&json["complete"], &json["changes"][3]["release"]["version"]),
            (&false.into(), &"1.0.2".into())
        );
        let unknown = super::list(&View { before: None, ..view });
        assert!(unknown.contains("changes: not known without the list before it"), "{unknown}");
        let late = super::list(&View { now: NOW.plus_days(90), ..view });
        assert!(
            late.starts_with("list version 2, expired at 2027-02-24T12:00:00Z: it is 2027-02-24"),
            "{late}"
        );
        let early = super::list(&View { now: Time(0), ..view });
        assert!(early.contains("longer than any list, or this machine's clock is wrong"), "{early}");
    }
}
