//! Keys and roots, for people and for programs.

use keys::role::RoleKey;
use keys::stored::StoredKey;
use ledger::note::{Algorithm, VerifierKey};
use serde_json::{Value, json};
use tuf::Key;
use tuf::metadata::{Root, TopRole};
use tuf::repository::{Missing, Stage, root_changes};

use super::{counted, harmless, table};

/// `ampoule keys show`
pub fn key(key: &StoredKey) -> String {
    let public = key.key();
    let verifier = verifier(key).map(|text| format!("as officer  {text}\n")).unwrap_or_default();
    let (hexadecimal, pem) = match &public {
        RoleKey::Ed25519(public) => (format!("public key  {public}\n"), String::new()),
        // PEM has lines of its own, to be copied as they are.
        RoleKey::EcdsaP256(public) => (String::new(), public.to_pem()),
    };
    let (name, kind, id) = (harmless(key.name()), public.kind(), Key::of(public).id());
    let kept_by = kept_by(key);
    format!(
        "name        {name}\nkind        {kind}\n{hexadecimal}key id      {id}\nkept by     {kept_by}\n{verifier}{pem}"
    )
}

/// The same for programs.
pub fn key_json(key: &StoredKey) -> Value {
    let public = key.key();
    json!({
        "name": key.name(),
        "kind": public.kind(),
        "public": public.to_string(),
        "id": Key::of(public).id(),
        "kept-by": kept_by(key),
        "verifier": verifier(key),
    })
}

/// The key as signed notes name it (C2SP): for `update-officers`, and for a ledger's policy. A name with spaces has none, and a role's key that is
/// not Ed25519.
fn verifier(key: &StoredKey) -> Option<String> {
    let RoleKey::Ed25519(public) = key.key() else { return None };
    Some(VerifierKey::new(key.name().parse().ok()?, Algorithm::Ed25519, public).to_string())
}

fn kept_by(key: &StoredKey) -> &'static str {
    match key {
        StoredKey::Command(_) => "a command",
        StoredKey::File(file) if file.is_encrypted() => "a passphrase",
        StoredKey::File(_) => "the mode of its file",
    }
}

/// `ampoule keys list`
pub fn list(keys: &[StoredKey]) -> String {
    if keys.is_empty() {
        return "no keys yet\n".to_owned();
    }
    let mut rows = vec![["name", "kind", "key id", "kept by"].map(str::to_owned).to_vec()];
    rows.extend(keys.iter().map(|key| {
        let public = key.key();
        let kind = public.kind().to_string();
        vec![harmless(key.name()), kind, Key::of(public).id().to_string(), kept_by(key).to_owned()]
    }));
    table(&rows)
}

/// `ampoule keys root show`
pub fn root(stage: &Stage<Root>, before: Option<&Root>) -> String {
    let root = stage.body();
    let mut text = format!("root version {}, expires {}\n", root.version, root.expires);
    for role in TopRole::ALL {
        let keys = root.role(role);
        let number = counted(keys.keyids.len(), "key", "keys");
        text.push_str(&format!("{role}: {} of {number}\n", keys.threshold));
        text.extend(keys.keyids.iter().map(|id| format!("  {id}\n")));
    }
    if let Some(before) = before {
        text.push_str(&format!("changes since version {}\n", before.version));
        text.extend(root_changes(Some(before), root).iter().map(|change| format!("  {change}\n")));
    }
    text.push_str(&missing_text(&stage.missing()));
    text
}

/// Whose signatures a document needs still.
pub fn missing_text(missing: &[Missing]) -> String {
    if missing.is_empty() {
        return "signed: complete\n".to_owned();
    }
    let line = |missing: &Missing| {
        let number = counted(missing.needed as usize, "more signature", "more signatures");
        format!("signed: needs {number} of keys that {} names\n", missing.by)
    };
    missing.iter().map(line).collect()
}

/// The same for programs.
pub fn missing_json(missing: &[Missing]) -> Value {
    missing
        .iter()
        .map(|missing| json!({ "by": missing.by, "needed": missing.needed, "keys": missing.keys }))
        .collect()
}

/// The same for programs.
pub fn root_json(stage: &Stage<Root>, before: Option<&Root>) -> Value {
    let root = stage.body();
    let roles: serde_json::Map<String, Value> = TopRole::ALL
        .into_iter()
        .map(|role| {
            let keys = root.role(role);
            (role.to_string(), json!({ "keys": keys.keyids, "threshold": keys.threshold }))
        })
        .collect();
    let changes: Vec<String> = before.map_or_else(Vec::new, |before| {
        root_changes(Some(before), root).iter().map(ToString::to_string).collect()
    });
    let missing = stage.missing();
    json!({
        "version": root.version, "expires": root.expires, "roles": roles,
        "changes": changes, "complete": missing.is_empty(), "missing": missing_json(&missing),
    })
}

#[cfg(test)]
mod tests {
    use keys::{SecretKey, Sign as _};
    use tuf::Time;
    use tuf::repository::Unsigned;

    use super::*;

    #[test]
    fn a_root_says_who_signs_what_and_whose_signatures_it_needs() {
        let keys: Vec<_> = (1..=2).map(|number| SecretKey::from_seed(&[number; 32])).collect();
        let mut root = Root::new(Time(1_795_694_400));
        for role in TopRole::ALL {
            root = root.with_key(role, keys[0].public());
        }
        let root = root.with_key(TopRole::Root, keys[1].public()).with_threshold(TopRole::Root, 2);
        let stage = Unsigned::root(None, root).expect("follows").sign(&keys[0]).expect("signs");
        let [one, other] = [0, 1].map(|number: usize| Key::of(keys[number].public()).id().to_string());
        let text = super::root(&stage, None);
        assert_eq!(
            text,
            format!(
                "root version 1, expires 2026-11-26T12:00:00Z\nroot: 2 of 2 keys\n  {one}\n  {other}\ntargets: 1 of 1 key\n  {one}\n\
                 snapshot: 1 of 1 key\n  {one}\ntimestamp: 1 of 1 key\n  {one}\n\
                 signed: needs 1 more signature of keys that root version 1 names\n"
            )
        );
        assert_eq!(root_json(&stage, None)["complete"], false);
    }
}
