//! Policies (c2sp.org/tlog-policy): which logs are believed, and which witnesses have to agree.
//!
//! A checkpoint is good when one of the logs signed it and the quorum of witnesses co-signed it. Departures from the
//! specification, both on the safe side: the file has to be UTF-8, and no key may be a log's and a witness's at once.

mod parse;

use std::fmt;

use crate::checkpoint::{Checkpoint, CheckpointError, Origin};
use crate::note::{Algorithm, Note, NoteError, Verified, VerifierKey};

pub use parse::{POLICY_LIMIT, PolicyProblem, PolicySyntax};

/// Most logs, most witnesses and most groups of a policy; the specification asks for at least 32. Stops a policy from costing a
/// verification for each of thousands of keys.
pub const MEMBERS_LIMIT: usize = 64;

/// A log or a witness, and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Party {
    /// What the policy calls a witness; a log's is its origin.
    pub name: String,
    /// Its key.
    pub key: VerifierKey,
    /// Its URL, for whoever talks to it. Checking needs none.
    pub url: Option<String>,
}

/// One member of a group, or the quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Members of which at least `needed` have to agree. Members come from earlier lines, so that there are no circles.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    needed: usize,
    members: Vec<Member>,
}

/// Which checkpoints are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Party>,
    witnesses: Vec<Party>,
    groups: Vec<Group>,
    /// None: the log's signature is enough.
    quorum: Option<Member>,
}

/// A checkpoint that fulfils a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// The tree.
    pub checkpoint: Checkpoint,
    /// The witnesses of the policy that co-signed it, by the policy's names, with the time in seconds since 1970.
    pub witnesses: Vec<(String, u64)>,
    /// The latest time at which a quorum still says that this was the largest tree. None when the policy needs no witness:
    /// nobody says anything about time then.
    pub at: Option<u64>,
    /// The note it came in.
    pub note: Note,
}

/// A checkpoint does not fulfil a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The text is no checkpoint.
    #[error("the note is no checkpoint")]
    Checkpoint(#[source] CheckpointError),
    /// Another log.
    #[error("the log `{0}` is not in the policy")]
    UnknownLog(Origin),
    /// The log's signature is missing, or a signature of the log or a witness is wrong.
    #[error("the checkpoint of `{origin}` can not be believed")]
    Note {
        /// The log.
        origin: Origin,
        /// Why.
        #[source]
        source: NoteError,
    },
    /// Witnesses alone make no checkpoint.
    #[error("the checkpoint is not signed by its log `{0}`")]
    NotSigned(Origin),
    /// Too few witnesses, or not those that are needed.
    #[error("the checkpoint of `{origin}` lacks witnesses: {}, and the quorum is {needed}", have(.found))]
    Quorum {
        /// The log.
        origin: Origin,
        /// Witnesses that co-signed.
        found: Vec<String>,
        /// The quorum, in words.
        needed: String,
    },
}

fn have(found: &[String]) -> String {
    match found.len() {
        0 => "no witness of the policy co-signed it".into(),
        1 => format!("only `{}` co-signed it", found[0]),
        _ => format!("only `{}` co-signed it", found.join("`, `")),
    }
}

impl Policy {
    /// A log and `needed` of some witnesses, each with the name the policy calls it. The same rules as for a policy's text apply.
    pub fn of(
        log: &VerifierKey,
        needed: usize,
        witnesses: &[(&str, &VerifierKey)],
    ) -> Result<Self, PolicySyntax> {
        let mut text = format!("log {log}\n");
        for (name, key) in witnesses {
            text.push_str(&format!("witness {name} {key}\n"));
        }
        if needed == 0 {
            text.push_str("quorum none\n");
        } else {
            let names: Vec<_> = witnesses.iter().map(|(name, _)| *name).collect();
            text.push_str(&format!("group witnesses {needed} {}\nquorum witnesses\n", names.join(" ")));
        }
        Self::parse(text.as_bytes())
    }

    /// The logs that are believed.
    pub fn logs(&self) -> &[Party] {
        &self.logs
    }

    /// All witnesses that are known.
    pub fn witnesses(&self) -> &[Party] {
        &self.witnesses
    }

    /// The same logs and witnesses, and no witness has to agree: for the log itself, before it asks them.
    pub fn without_quorum(&self) -> Self {
        Self { quorum: None, ..self.clone() }
    }

    /// Checks a checkpoint: its log's signature, all co-signatures of known witnesses, and the quorum. No clock is needed; who
    /// has one compares [`Witnessed::at`] with it.
    pub fn check(&self, note: &Note) -> Result<Witnessed, PolicyError> {
        let checkpoint = Checkpoint::parse(note.text()).map_err(PolicyError::Checkpoint)?;
        let origin = &checkpoint.origin;
        // A log's key is good for its own origin only.
        let logs = || self.logs.iter().filter(|log| log.key.name().as_str() == origin.as_str());
        if logs().next().is_none() {
            return Err(PolicyError::UnknownLog(origin.clone()));
        }
        let keys = logs().chain(&self.witnesses).map(|party| &party.key);
        let verified =
            note.verify(keys).map_err(|source| PolicyError::Note { origin: origin.clone(), source })?;
        let signed = |party: &Party| verified.iter().find(|it| *it.key == party.key);
        if !logs().any(|log| signed(log).is_some()) {
            return Err(PolicyError::NotSigned(origin.clone()));
        }
        let time = |it: &Verified<'_>| it.time.expect("BUG: a witness's key without time");
        let times: Vec<_> = self.witnesses.iter().map(|witness| signed(witness).map(time)).collect();
        let found = || {
            let named = self.witnesses.iter().zip(&times);
            named.filter_map(|(witness, time)| Some((witness.name.clone(), (*time)?)))
        };
        let at = match self.quorum {
            None => None,
            Some(quorum) => Some(self.agreed(quorum, &times).ok_or_else(|| PolicyError::Quorum {
                origin: origin.clone(),
                found: found().map(|(name, _)| name).collect(),
                needed: self.words(quorum),
            })?),
        };
        Ok(Witnessed { witnesses: found().collect(), at, checkpoint, note: note.clone() })
    }

    /// The latest time at which the member still agrees, from the times of the witnesses.
    fn agreed(&self, member: Member, times: &[Option<u64>]) -> Option<u64> {
        match member {
            Member::Witness(index) => times[index],
            Member::Group(index) => {
                let group = &self.groups[index];
                let mut agreed: Vec<_> =
                    group.members.iter().filter_map(|it| self.agreed(*it, times)).collect();
                agreed.sort_unstable_by(|a, b| b.cmp(a));
                agreed.get(group.needed - 1).copied()
            }
        }
    }

    fn name(&self, member: Member) -> &str {
        match member {
            Member::Witness(index) => &self.witnesses[index].name,
            Member::Group(index) => &self.groups[index].name,
        }
    }

    fn words(&self, member: Member) -> String {
        match member {
            Member::Witness(index) => format!("`{}`", self.witnesses[index].name),
            Member::Group(index) => {
                let group = &self.groups[index];
                let members: Vec<_> = group.members.iter().map(|it| self.words(*it)).collect();
                format!("{} of ({})", group.needed, members.join(", "))
            }
        }
    }
}

/// The text of the policy.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = |party: &Party| party.url.as_ref().map(|url| format!(" {url}")).unwrap_or_default();
        for log in &self.logs {
            writeln!(f, "log {}{}", log.key, url(log))?;
        }
        for witness in &self.witnesses {
            writeln!(f, "witness {} {}{}", witness.name, witness.key, url(witness))?;
        }
        for group in &self.groups {
            let members: Vec<_> = group.members.iter().map(|it| self.name(*it)).collect();
            writeln!(f, "group {} {} {}", group.name, group.needed, members.join(" "))?;
        }
        writeln!(f, "quorum {}", self.quorum.map_or("none", |it| self.name(it)))
    }
}

impl Party {
    /// Whether the key is of the kind that co-signs.
    fn is_cosigner(&self) -> bool {
        self.key.algorithm() == Algorithm::Cosignature
    }
}

#[cfg(test)]
mod tests;
