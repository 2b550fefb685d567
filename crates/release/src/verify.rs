//! The chain from a maker's keys to an image, as values: which link was checked, against what, by whose key, and what came of it.
//!
//! Pure: whoever has the bytes asks, nothing is read here but through [`ReadAt`]. A link that nobody asked for and that can not be
//! proven is told, too: silence would look like a proof.

use std::error::Error;
use std::io::Read;

use image::{ReadAt, erofs, uki, verity};
use ledger::policy::Policy;
use model::Sha256Digest;
use serde::Serialize;
use sha2::{Digest, Sha256};
use tuf::client::Updated;
use tuf::metadata::{Root, TopRole};

use crate::index::{Index, IndexedRelease};
use crate::manifest::Artifact;
use crate::statement::Statement;
use crate::trust;

/// What came of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It is not what it should be.
    Wrong {
        /// Why.
        why: String,
    },
    /// Nothing speaks against it, and nothing proves it.
    NotProven {
        /// Why.
        why: String,
        /// Whether somebody wanted it proven: then it is a failure.
        asked: bool,
    },
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Link {
    /// What was checked.
    pub what: String,
    /// Against what.
    pub against: String,
    /// By whose key, or what shows it.
    pub by: Option<String>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What to do next, when it does not hold.
    pub next: Option<String>,
}

/// What follows from all links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All that was asked for holds.
    Holds,
    /// This many links are wrong.
    Wrong(usize),
    /// None is wrong, and this many that were asked for are not proven.
    NotProven(usize),
}

/// Says what follows.
pub fn judge(links: &[Link]) -> Verdict {
    let count = |is: fn(&Outcome) -> bool| links.iter().filter(|link| is(&link.outcome)).count();
    let wrong = count(|outcome| matches!(outcome, Outcome::Wrong { .. }));
    let open = count(|outcome| matches!(outcome, Outcome::NotProven { asked: true, .. }));
    match (wrong, open) {
        (0, 0) => Verdict::Holds,
        (0, open) => Verdict::NotProven(open),
        (wrong, _) => Verdict::Wrong(wrong),
    }
}

impl Link {
    /// A link that holds.
    pub fn ok(what: impl Into<String>, against: impl Into<String>) -> Self {
        Self { what: what.into(), against: against.into(), by: None, outcome: Outcome::Ok, next: None }
    }

    /// The same link, and what shows it.
    pub fn by(mut self, by: impl Into<String>) -> Self {
        self.by = Some(by.into());
        self
    }

    /// The same link, and it is wrong.
    pub fn wrong(mut self, why: impl Into<String>, next: impl Into<String>) -> Self {
        self.outcome = Outcome::Wrong { why: why.into() };
        self.next = Some(next.into());
        self
    }

    /// The same link, and it is not proven.
    pub fn not_proven(mut self, why: impl Into<String>, asked: bool) -> Self {
        self.outcome = Outcome::NotProven { why: why.into(), asked };
        self
    }

    /// The same link; `outcome` says whether it holds.
    pub fn that<E: Error + 'static>(self, outcome: Result<(), E>, next: &str) -> Self {
        match outcome {
            Ok(()) => self,
            Err(error) => self.wrong(chain(&error), next),
        }
    }
}

/// An error with its causes, in one line. A cause whose words the error has already is left out.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// The root hash that a UKI boots.
pub fn booted_root_hash(uki: &[u8]) -> Result<Sha256Digest, String> {
    let sections = uki::sections(uki).map_err(|error| chain(&error))?;
    let line = sections.iter().find(|section| section.name == ".cmdline");
    let line = line.map(|section| String::from_utf8_lossy(section.data)).unwrap_or_default();
    let words = line.trim_end_matches('\0').split_whitespace();
    let hash = words.filter_map(|word| word.strip_prefix("roothash=")?.parse().ok()).next();
    hash.ok_or_else(|| "its command line names no root hash".into())
}

const REBUILT: &str = "take the release from its maker again, and do not boot this one";

/// Every block of a root file system against the root hash. `from` says where the hash comes from.
pub fn root(root: &dyn ReadAt, tree: &dyn ReadAt, hash: &Sha256Digest, from: &str) -> Link {
    Link::ok("root image", format!("root hash {hash} of {from}"))
        .by("every block of it and of its hash tree")
        .that(verity::verify(root, tree, hash), REBUILT)
}

/// The lengths that a statement gives: nothing may lie behind what the root hash covers.
pub fn lengths(statement: &Statement, root: u64, tree: &dyn ReadAt) -> Link {
    let link = Link::ok("length of the root image", "the statement, and the hash tree");
    let covered = match verity::covered_size(tree) {
        Ok(covered) => covered,
        Err(error) => return link.wrong(chain(&error), REBUILT),
    };
    let (size, tree_size) = (statement.image.root_size, statement.image.verity_size);
    if (root, covered, tree.size()) == (size, size, tree_size) {
        return link;
    }
    let why = format!("{root} bytes, {covered} of them covered, and a hash tree of {}", tree.size());
    link.wrong(format!("{why}; the statement says {size} and {tree_size}"), REBUILT)
}

/// That a UKI boots this root and no other.
pub fn uki_boots(uki: &[u8], hash: &Sha256Digest) -> Link {
    let link = Link::ok("kernel image", format!("root hash {hash} that it boots"));
    match booted_root_hash(uki) {
        Ok(found) if found == *hash => link,
        Ok(found) => link.wrong(format!("it boots another root, {found}"), REBUILT),
        Err(why) => link.wrong(why, REBUILT),
    }
}

/// Bytes of an artifact against what the statement, or the manifest, says of it.
pub fn artifact(artifact: &Artifact, found: Sha256Digest, by: &str) -> Link {
    let link = Link::ok(artifact.name.to_string(), format!("SHA-256 {} in {by}", artifact.sha256));
    if found == artifact.sha256 {
        return link;
    }
    link.wrong(format!("its bytes have the SHA-256 {found}"), REBUILT)
}

/// SHA-256 of bytes.
pub fn digest(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}

/// A file of an image, of at most `limit` bytes. `None`: the image has none. Damage is told: it is not the same as nothing.
pub fn sealed_file(root: &dyn ReadAt, path: &str, limit: u64) -> Result<Option<Vec<u8>>, String> {
    let image = erofs::Image::open(root).map_err(|error| chain(&error))?;
    let mut found = None;
    let walked = image.walk(|entry| {
        if entry.path.as_str() == path {
            found = Some(entry);
        }
    });
    walked.map_err(|error| chain(&error))?;
    let Some(entry) = found else { return Ok(None) };
    let mut bytes = Vec::new();
    let mut reader = image.open_file(&entry).take(limit + 1);
    reader.read_to_end(&mut bytes).map_err(|error| format!("`{path}` can not be read: {error}"))?;
    match bytes.len() as u64 > limit {
        true => Err(format!("`{path}` has more than {limit} bytes")),
        false => Ok(Some(bytes)),
    }
}

/// The root of the roles that an image is sealed with. It may be shown, and it proves nothing of who made the image.
pub fn sealed_root(sealed: Option<&[u8]>, given: Option<&[u8]>) -> Link {
    let Some(sealed) = sealed else {
        let link = Link::ok("roles that the image trusts", "the root sealed in it");
        return link.not_proven("it has none: an appliance of it trusts its depot", false);
    };
    let link = Link::ok(format!("root sealed in the image, SHA-256 {}", digest(sealed)), "the root you gave");
    match given {
        Some(given) if given == sealed => link.by("the same bytes"),
        Some(_) => {
            link.not_proven("they are not the same bytes; a depot shows whether one follows the other", false)
        }
        None => link.not_proven("an image never vouches for itself: give `--root`", false),
    }
}

/// The ledger's policy that an image is sealed with: whether an appliance of it asks for proofs, and for which.
pub fn sealed_policy(sealed: Option<&[u8]>, given: Option<&Policy>) -> Link {
    let Some(sealed) = sealed else {
        let link = Link::ok("ledger that the image trusts", "the policy sealed in it");
        return link.not_proven("it has none: an appliance of it asks for no proof of a ledger", false);
    };
    let what = format!("ledger policy sealed in the image, SHA-256 {}", digest(sealed));
    let policy = match Policy::parse(sealed) {
        Ok(policy) => policy,
        Err(error) => return Link::ok(what, "the form of a policy").wrong(chain(&error), REBUILT),
    };
    let origins: Vec<String> = policy.logs().iter().map(|log| log.key.name().to_string()).collect();
    let link = Link::ok(format!("{what}, of {}", origins.join(" and ")), "the policy you gave");
    match given {
        Some(given) if *given == policy => link.by("the same ledgers, witnesses and quorum"),
        Some(_) => link
            .not_proven("it is another one; an appliance of this image asks for what is sealed in it", false),
        None => link.not_proven("an image never vouches for itself: give `--policy`", false),
    }
}

/// Who signs for a role: how many of which keys.
fn who(root: &Root, role: TopRole) -> String {
    let keys = root.role(role);
    let ids: Vec<&str> = keys.keyids.iter().map(|id| id.as_str().get(..16).unwrap_or(id.as_str())).collect();
    format!("{} of the keys {}", keys.threshold, ids.join(", "))
}

/// The roles' documents after an update that went through.
pub fn roles(updated: &Updated<'_>) -> Vec<Link> {
    let root = updated.root();
    let document = |name: &str, version: u64, role, expires| {
        Link::ok(
            format!("{name} version {version}"),
            format!("root version {}, good until {expires}", root.version),
        )
        .by(who(root, role))
    };
    let fresh = format!("the clock; fresh until {}", updated.fresh_until());
    vec![
        Link::ok(format!("root version {}", root.version), "the root you gave").by(who(root, TopRole::Root)),
        document("targets", updated.targets().version, TopRole::Targets, updated.targets().expires),
        document("snapshot", updated.snapshot().version, TopRole::Snapshot, updated.snapshot().expires),
        document("timestamp", updated.timestamp().version, TopRole::Timestamp, updated.timestamp().expires),
        Link::ok("freshness", fresh),
    ]
}

/// An update of the roles' documents that did not go through.
pub fn roles_failed(error: &tuf::Error) -> Link {
    let link = Link::ok("roles", "the root you gave");
    let why = format!("{}: {}", error.document, chain(&error.kind));
    match error.is_refusal() {
        true => link.wrong(why, error.hint()),
        false => Link { next: Some(error.hint().into()), ..link.not_proven(why, true) },
    }
}

/// Whether the roles list a release.
pub fn listed(updated: &mut Updated<'_>, index: &Index, release: &IndexedRelease) -> Link {
    let version = updated.targets().version;
    let by = who(updated.root(), TopRole::Targets);
    let next = "do not install it, and ask its maker; an appliance sealed with this root does not take it";
    let link =
        Link::ok(format!("statement of {}", release.version), format!("targets version {version}")).by(by);
    match trust::listed(updated, index, release).map(|file| file.is_some()) {
        Ok(true) => link,
        Ok(false) => link.wrong("the roles do not list it: the depot offers what nobody signed", next),
        Err(error) => link.wrong(chain(&error), next),
    }
}

/// Whether the ledger has a release.
pub fn logged(statement: &Statement, proof: Option<&[u8]>, policy: &Policy) -> Link {
    let what = format!("ledger entry of {}", statement.identity.version);
    let link = Link::ok(what, "the policy you gave");
    let next =
        "ask the maker for the proof of this release; `ampoule ledger prove` makes one from the ledger";
    match trust::proved(statement, proof, policy) {
        Ok(witnessed) => {
            let known = policy.witnesses().len();
            let at = witnessed.at.map(|at| format!(", at {}", tuf::Time(at))).unwrap_or_default();
            let (origin, size) = (&witnessed.checkpoint.origin, witnessed.checkpoint.size);
            Link { against: format!("tree of {size} of {origin}"), ..link }
                .by(format!("the ledger's key and {} of {known} witnesses{at}", witnessed.witnesses.len()))
        }
        Err(error @ trust::TrustError::NoProof { .. }) => {
            Link { next: Some(next.into()), ..link.not_proven(chain(&error), true) }
        }
        Err(error) => link.wrong(chain(&error), next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_and_is_not_proven_is_a_failure_and_what_nobody_asked_for_is_none() {
        let link = || Link::ok("a", "b");
        let open = |asked| link().not_proven("no network", asked);
        assert_eq!(judge(&[link(), open(false)]), Verdict::Holds);
        assert_eq!(judge(&[link(), open(true), open(false)]), Verdict::NotProven(1));
        assert_eq!(judge(&[link().wrong("c", "d"), open(true)]), Verdict::Wrong(1));
    }

    #[test]
    fn law_2_a_sealed_root_never_vouches_for_its_own_image() {
        let is_ok = |sealed, given| sealed_root(sealed, given).outcome == Outcome::Ok;
        assert!(!is_ok(Some(b"root"), None) && !is_ok(None, Some(b"root")) && !is_ok(Some(b"a"), Some(b"b")));
        assert!(is_ok(Some(b"root"), Some(b"root")));
    }

    #[test]
    fn law_2_a_sealed_policy_never_vouches_for_its_own_image() {
        // One key under two names is the key of two ledgers.
        let policy = |name: &str| {
            format!("log example.com/{name}+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\nquorum none\n")
        };
        let (ours, other) = (policy("foo+530d903a"), policy("bar+c6fb2e3e"));
        let judged = |sealed: Option<&str>, given: Option<&str>| {
            let given = given.map(|given| Policy::parse(given.as_bytes()).expect("a policy"));
            sealed_policy(sealed.map(str::as_bytes), given.as_ref()).outcome
        };
        let is_open = |outcome| matches!(outcome, Outcome::NotProven { asked: false, .. });
        assert_eq!(judged(Some(&ours), Some(&ours)), Outcome::Ok);
        // Another order, another comment: the same ledger.
        assert_eq!(judged(Some(&format!("# ours\n{ours}")), Some(&ours)), Outcome::Ok);
        for (sealed, given) in [(Some(&*ours), None), (Some(&ours), Some(&*other)), (None, Some(&ours))] {
            assert!(is_open(judged(sealed, given)), "{sealed:?} {given:?}");
        }
        assert!(matches!(judged(Some("log"), Some(&ours)), Outcome::Wrong { .. }));
    }
}
