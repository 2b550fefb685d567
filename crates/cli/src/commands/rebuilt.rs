//! Rebuild attestations: signing one, and believing those of others.

use std::path::{Path, PathBuf};

use bulletin::Rebuild;
use ledger::note::{KeyName, Note, NoteSigner, VerifierKey};
use release::attestation::{Attestation, TEXT_LIMIT};

use super::keys::{note_signer, stored_name};
use super::ledger::read;
use crate::args::{EvidenceArgs, RebuildArgs};
use crate::error::{Failure, Fault};

/// Longest list of keys.
const KEYS_LIMIT: usize = 512 << 10;

/// Signs an attestation's text; without a key it stays what its bearer says.
pub fn signed(text: String, args: &RebuildArgs) -> Result<String, Failure> {
    let Some(path) = &args.key else { return Ok(text) };
    let user = |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::User, error);
    let key = note_signer(path, &args.passphrase)?;
    let name = args.name.clone().map_or_else(|| stored_name(path), Ok)?;
    let name: KeyName = name.parse().map_err(|error| user(&error))?;
    let mut note = Note::new(text).map_err(|error| user(&error))?;
    let line = NoteSigner::new(name, key.as_ref()).sign(note.text());
    note.add(line.map_err(|error| Failure::from_error(Fault::Environment, &error))?);
    Ok(String::from_utf8(note.to_bytes()).expect("a note is text"))
}

/// Reads the attestations that a person gave: one of each who is trusted and signed it, else one of nobody.
pub fn rebuilds(args: &EvidenceArgs) -> Result<Vec<(PathBuf, Rebuild)>, Failure> {
    let trusted = args.rebuilders.as_deref().map(read_keys).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    for path in &args.rebuilt {
        let bytes = read(path, TEXT_LIMIT)?;
        let attestation = Attestation::parse(&String::from_utf8_lossy(&bytes)).map_err(|error| {
            Failure::from_error(Fault::User, &error)
                .hint(format!("`{}` is to be what `ampoule rebuild` wrote", path.display()))
        })?;
        let by = signers(&bytes, &trusted)
            .map_err(|why| Failure::new(Fault::Trust, format!("`{}`: {why}", path.display())))?;
        let of = |by| (path.clone(), Rebuild { by, attestation: attestation.clone() });
        match by.is_empty() {
            true => found.push(of(None)),
            false => found.extend(by.into_iter().map(|name| of(Some(name)))),
        }
    }
    Ok(found)
}

/// Whom of the trusted the signatures are of. A wrong signature in a trusted name is no mishap.
fn signers(bytes: &[u8], trusted: &[VerifierKey]) -> Result<Vec<String>, String> {
    let Ok(note) = Note::parse(bytes) else { return Ok(Vec::new()) };
    match note.verify(trusted) {
        Ok(signed) => Ok(signed.iter().map(|it| it.key.name().to_string()).collect()),
        Err(ledger::note::NoteError::NoTrustedSignature) => Ok(Vec::new()),
        Err(error) => Err(error.to_string()),
    }
}

fn read_keys(path: &Path) -> Result<Vec<VerifierKey>, Failure> {
    let text = String::from_utf8_lossy(&read(path, KEYS_LIMIT)?).into_owned();
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let keys = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).map(|(number, line)| {
        line.parse().map_err(|error| Failure {
            causes: vec![format!("{error}")],
            ..Failure::new(Fault::User, format!("line {number} of `{}` is no key", path.display()))
                .hint("`ampoule keys show` prints one, behind `as officer`")
        })
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use keys::SecretKey;
    use release::attestation::Guest;

    use super::*;

    fn note(names: &[(&str, u8)]) -> (Vec<u8>, Vec<String>) {
        let attestation = Attestation {
            appliance: "acme/shop".into(),
            version: "1.4.0".into(),
            release: release::ReleaseId(model::Sha256Digest([1; 32])),
            root_hash: model::Sha256Digest([2; 32]),
            tool_version: "0.1.0".into(),
            guest: Guest::Built,
            artifacts: vec![("root.erofs".into(), model::Sha256Digest([3; 32]))],
        };
        let mut note = Note::new(attestation.to_text()).expect("a text");
        let mut keys = Vec::new();
        for (name, seed) in names {
            let secret = SecretKey::from_seed(&[*seed; 32]);
            let signer = NoteSigner::new(name.parse().expect("a name"), &secret);
            keys.push(signer.key().to_string());
            note.add(signer.sign(note.text()).expect("signs"));
        }
        (note.to_bytes(), keys)
    }

    fn read_with(note: &[u8], keys: &str) -> Result<Vec<Option<String>>, Failure> {
        let folder = tempfile::tempdir().expect("a folder");
        let (rebuilt, rebuilders) = (folder.path().join("rebuilt"), folder.path().join("keys"));
        fs::write(&rebuilt, note).expect("writes");
        fs::write(&rebuilders, keys).expect("writes");
        let args = EvidenceArgs {
            feed: Vec::new(),
            vex: Vec::new(),
            notes: None,
            patch: None,
            rebuilt: vec![rebuilt],
            rebuilders: Some(rebuilders),
        };
        Ok(rebuilds(&args)?.into_iter().map(|(_, it)| it.by).collect())
    }

    #[test]
    fn who_is_trusted_is_named_and_others_are_nobody() {
        let (bytes, keys) = note(&[("carol", 1), ("dave", 2), ("eve", 3)]);
        let both = format!("# ours\n\n{}\n{}\n", keys[0], keys[1]);
        let names = read_with(&bytes, &both).expect("reads");
        assert_eq!(names, [Some("carol".to_owned()), Some("dave".to_owned())]);
        let (_, strangers) = note(&[("carol", 9)]);
        assert_eq!(read_with(&bytes, &strangers[0]).expect("reads"), [None]);
        let text = String::from_utf8(bytes).expect("text");
        let (body, _) = text.split_once("\n\n").expect("signatures");
        assert_eq!(read_with(format!("{body}\n").as_bytes(), &both).expect("reads"), [None]);
    }

    #[test]
    fn a_wrong_signature_of_somebody_trusted_and_what_is_no_attestation_are_refused() {
        let (bytes, keys) = note(&[("carol", 1)]);
        let forged = String::from_utf8(bytes).expect("text").replace("guest built", "guest from-release");
        let refused = read_with(forged.as_bytes(), &keys[0]).expect_err("forged");
        assert!(refused.message.contains("carol"), "{}", refused.message);
        assert!(read_with(b"nothing\n", &keys[0]).is_err());
        assert!(read_with(&note(&[("carol", 1)]).0, "no key").is_err());
    }
}
