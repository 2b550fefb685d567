//! Reading a policy.

use super::{Group, MEMBERS_LIMIT, Member, Party, Policy};
use crate::encoding::{decimal, shown};
use crate::note::KeyError;

/// Longest policy in bytes. Stops a settings document from filling an appliance's memory.
pub const POLICY_LIMIT: usize = 64 << 10;

/// A policy can not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the policy can not be read")]
pub struct PolicySyntax {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub problem: PolicyProblem,
}

/// What is wrong with a line of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// Longer than [`POLICY_LIMIT`].
    #[error("the policy has more than {POLICY_LIMIT} bytes")]
    TooLong,
    /// Not UTF-8, or with control characters other than tabs and newlines.
    #[error("the policy is no plain text")]
    NotText,
    /// A first word that is none of the five.
    #[error("`{0}` begins no line of a policy: log, witness, group or quorum is expected")]
    Word(String),
    /// Too few or too many words.
    #[error("`{0}` is expected")]
    Form(&'static str),
    /// A key that can not be read.
    #[error("the key can not be read")]
    Key(#[source] KeyError),
    /// A witness with a key that does not co-sign.
    #[error("the key of the witness `{0}` is not of type 0x04: it makes no co-signatures")]
    NotACosigner(String),
    /// The same key twice.
    #[error("the key of `{0}` is in the policy already")]
    SameKey(String),
    /// The same name twice, or `none`.
    #[error("`{0}` is taken: each witness and group needs a name of its own")]
    SameName(String),
    /// A name of nothing.
    #[error("no line above defines `{0}`")]
    UnknownName(String),
    /// In two groups: it would count twice.
    #[error("`{0}` is in a group already")]
    InTwoGroups(String),
    /// Zero, more than there are members, or no number.
    #[error("`{found}` of {members} members can not be needed: all, any, or a number from 1 to {members}")]
    Needed {
        /// What is written.
        found: String,
        /// Number of members.
        members: usize,
    },
    /// More than [`MEMBERS_LIMIT`].
    #[error(
        "a policy has at most {MEMBERS_LIMIT} logs, {MEMBERS_LIMIT} witnesses and {MEMBERS_LIMIT} groups"
    )]
    TooMany,
    /// Two lines `quorum`.
    #[error("there is a quorum already")]
    SecondQuorum,
    /// No line `quorum`.
    #[error("the policy has no line `quorum`")]
    NoQuorum,
}

/// What the lines so far say.
struct Reading {
    policy: Policy,
    has_quorum: bool,
    /// Members that are in a group.
    used: Vec<Member>,
}

impl Policy {
    /// Reads a policy.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicySyntax> {
        let whole = |problem| PolicySyntax { line: 1, problem };
        if bytes.len() > POLICY_LIMIT {
            return Err(whole(PolicyProblem::TooLong));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| whole(PolicyProblem::NotText))?;
        let policy = Self { logs: Vec::new(), witnesses: Vec::new(), groups: Vec::new(), quorum: None };
        let mut reading = Reading { policy, has_quorum: false, used: Vec::new() };
        let mut count = 0;
        for (number, line) in text.split_terminator('\n').enumerate() {
            reading.line(line).map_err(|problem| PolicySyntax { line: number + 1, problem })?;
            count = number + 1;
        }
        if reading.has_quorum {
            Ok(reading.policy)
        } else {
            Err(PolicySyntax { line: count.max(1), problem: PolicyProblem::NoQuorum })
        }
    }
}

impl Reading {
    fn line(&mut self, line: &str) -> Result<(), PolicyProblem> {
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(PolicyProblem::NotText);
        }
        let words: Vec<_> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        match words[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] => self.log(key, None),
            ["log", key, url] => self.log(key, Some(url)),
            ["log", ..] => Err(PolicyProblem::Form("log KEY [URL]")),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["witness", ..] => Err(PolicyProblem::Form("witness NAME KEY [URL]")),
            ["group", name, needed, ref members @ ..] if !members.is_empty() => {
                self.group(name, needed, members)
            }
            ["group", ..] => Err(PolicyProblem::Form("group NAME all|any|NUMBER NAME...")),
            ["quorum", name] => self.quorum(name),
            ["quorum", ..] => Err(PolicyProblem::Form("quorum NAME")),
            [first, ..] => Err(PolicyProblem::Word(shown(first))),
        }
    }

    fn log(&mut self, key: &str, url: Option<&str>) -> Result<(), PolicyProblem> {
        let key: crate::note::VerifierKey = key.parse().map_err(PolicyProblem::Key)?;
        let party = Party { name: key.name().to_string(), key, url: url.map(Into::into) };
        self.check_new_key(&party)?;
        add(&mut self.policy.logs, party)
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&str>) -> Result<(), PolicyProblem> {
        self.check_new_name(name)?;
        let key = key.parse().map_err(PolicyProblem::Key)?;
        let party = Party { name: name.into(), key, url: url.map(Into::into) };
        if !party.is_cosigner() {
            return Err(PolicyProblem::NotACosigner(shown(name)));
        }
        self.check_new_key(&party)?;
        add(&mut self.policy.witnesses, party)
    }

    fn group(&mut self, name: &str, needed: &str, names: &[&str]) -> Result<(), PolicyProblem> {
        self.check_new_name(name)?;
        let mut members = Vec::new();
        for name in names {
            let member = self.member(name)?;
            // Each witness counts in one way only.
            if self.used.contains(&member) {
                return Err(PolicyProblem::InTwoGroups(shown(name)));
            }
            self.used.push(member);
            members.push(member);
        }
        let wrong = || PolicyProblem::Needed { found: shown(needed), members: members.len() };
        let needed = match needed {
            "all" => members.len() as u64,
            "any" => 1,
            digits => decimal(digits).ok_or_else(wrong)?,
        };
        if !(1..=members.len() as u64).contains(&needed) {
            return Err(wrong());
        }
        add(&mut self.policy.groups, Group { name: name.into(), needed: needed as usize, members })
    }

    fn quorum(&mut self, name: &str) -> Result<(), PolicyProblem> {
        if self.has_quorum {
            return Err(PolicyProblem::SecondQuorum);
        }
        self.policy.quorum = if name == "none" { None } else { Some(self.member(name)?) };
        self.has_quorum = true;
        Ok(())
    }

    fn member(&self, name: &str) -> Result<Member, PolicyProblem> {
        let witness = self.policy.witnesses.iter().position(|it| it.name == name).map(Member::Witness);
        let group = || self.policy.groups.iter().position(|it| it.name == name).map(Member::Group);
        witness.or_else(group).ok_or_else(|| PolicyProblem::UnknownName(shown(name)))
    }

    fn check_new_name(&self, name: &str) -> Result<(), PolicyProblem> {
        if name == "none" || self.member(name).is_ok() {
            return Err(PolicyProblem::SameName(shown(name)));
        }
        Ok(())
    }

    /// The same key under two names would count twice, and a log is no witness of itself.
    fn check_new_key(&self, party: &Party) -> Result<(), PolicyProblem> {
        let mut known = self.policy.logs.iter().chain(&self.policy.witnesses);
        if known.any(|other| other.key.key() == party.key.key()) {
            return Err(PolicyProblem::SameKey(shown(&party.name)));
        }
        Ok(())
    }
}

fn add<T>(list: &mut Vec<T>, new: T) -> Result<(), PolicyProblem> {
    if list.len() == MEMBERS_LIMIT {
        return Err(PolicyProblem::TooMany);
    }
    list.push(new);
    Ok(())
}
