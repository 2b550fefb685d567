//! `ampoule verify`: walks the chain from an image, a release, a depot, a bundle or what runs to the keys that a person trusts. Needs no
//! network but for a depot that is named by its URL.
//!
//! Damage is a link that is wrong, wherever the rest of the chain can still be shown: one message alone would hide what else is known.

mod bundle;
mod depot;
mod disk;
mod folder;
mod place;
mod running;
mod ways;

use std::path::Path;

use ledger::policy::Policy;
use release::verify::{Link, Verdict, judge};
use serde_json::{Value, json};
use tuf::Time;
use update::approval::Officers;

use super::ledger::{read, read_policy};
use super::release::now;
use crate::args::VerifyArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Longest root and longest list of officers that a person names.
const GIVEN_LIMIT: usize = 512 << 10;

/// What a person trusts, and when.
pub struct Trusted {
    root: Option<Vec<u8>>,
    policy: Option<Policy>,
    officers: Option<Officers>,
    now: Time,
}

/// Checks, shows every link, and fails when one that was asked for does not hold.
pub fn run(args: &VerifyArgs, printer: &Printer) -> Result<(), Failure> {
    let trusted = Trusted::read(args)?;
    let links = links(args, &trusted, printer)?;
    let verdict = judge(&links);
    printer.data(
        || render::verify::links(&links),
        || json!({"subject": args.subject, "verdict": word(verdict), "links": links}),
    );
    let failed = |message: String, hint: &str| {
        Err(Failure::new(Fault::Trust, message).unchanged("verifying changes nothing").hint(hint))
    };
    let counted = |count| render::counted(count, "link", "links");
    match verdict {
        Verdict::Holds => Ok(()),
        Verdict::Wrong(count) => failed(
            format!("`{}` is not to be trusted: {} wrong", args.subject, counted(count)),
            "do not use it; the lines that begin with `wrong` say what to do next",
        ),
        Verdict::NotProven(count) => failed(
            format!(
                "`{}` is not proven: {} that you asked for could not be checked",
                args.subject,
                counted(count)
            ),
            "the lines that begin with `not proven` say what is missing",
        ),
    }
}

/// By what the subject is, so that nobody has to say it.
fn links(args: &VerifyArgs, trusted: &Trusted, printer: &Printer) -> Result<Vec<Link>, Failure> {
    let subject = Path::new(&args.subject);
    if place::is_url(&args.subject) || subject.join(::depot::folder::MARK).is_file() {
        return depot::links(&args.subject, args, trusted, printer);
    }
    if subject.is_dir() {
        ensure_ways(args)?;
        return match running::is_machine(subject) {
            true => running::links(subject, args, trusted),
            false => folder::links(subject, args, trusted),
        };
    }
    let claims = ::depot::bundle::claims_to_be_one(subject);
    match claims.map_err(|error| super::inspect::unreadable(subject, error))? {
        true => bundle::links(subject, args, trusted, printer),
        false => {
            ensure_ways(args)?;
            disk::links(subject, args, trusted)
        }
    }
}

/// Only a depot and a bundle have something to apply.
fn ensure_ways(args: &VerifyArgs) -> Result<(), Failure> {
    match args.apply {
        true => Err(Failure::new(Fault::User, format!("`{}` has no patches to apply", args.subject))
            .unchanged("nothing was verified")
            .hint("`--apply` is for a depot's folder or a bundle")),
        false => Ok(()),
    }
}

/// What is no chain at all.
fn nothing_to_verify(subject: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    let causes = Failure::from_error(Fault::User, error).causes;
    let message = format!("`{}` is nothing that can be verified", subject.display());
    let causes = std::iter::once(error.to_string()).chain(causes).collect();
    Failure { causes, ..Failure::new(Fault::User, message) }.hint(
        "a release folder, a depot, a bundle, a raw or qcow2 disk, or the folder of a virtual machine is expected",
    )
}

fn word(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Holds => "holds".into(),
        Verdict::Wrong(_) => "wrong".into(),
        Verdict::NotProven(_) => "not-proven".into(),
    }
}

impl Trusted {
    fn read(args: &VerifyArgs) -> Result<Self, Failure> {
        let root = args.root.as_deref().map(|path| read(path, GIVEN_LIMIT)).transpose()?;
        let policy = args.policy.as_deref().map(read_policy).transpose()?;
        let officers = match (&args.officers, args.approvals) {
            (Some(path), Some(needed)) => {
                let text = String::from_utf8_lossy(&read(path, GIVEN_LIMIT)?).into_owned();
                let officers = Officers::parse(&text, needed);
                let officers = officers.map_err(|error| Failure::from_error(Fault::User, &error))?;
                if officers.is_empty() {
                    return Err(Failure::new(Fault::User, format!("`{}` names no officer", path.display())));
                }
                Some(officers)
            }
            _ => None,
        };
        let now = match &args.at {
            Some(text) => text.parse().map_err(|_| {
                Failure::new(Fault::User, format!("`{text}` is no time"))
                    .hint("write it as 2027-01-31T12:00:00Z")
            })?,
            None => Time(now()),
        };
        Ok(Self { root, policy, officers, now })
    }

    /// Whether a depot was needed to prove what was asked.
    fn is_asked(&self) -> bool {
        self.root.is_some() || self.policy.is_some() || self.officers.is_some()
    }

    /// What stays open without a depot, and what nobody asked for.
    fn open(&self, without: Option<&str>) -> Vec<Link> {
        let approvals = Self::left_open(
            ("approvals", "officers' keys"),
            self.officers.is_some(),
            ("--officers", "that somebody approved it"),
            without,
        );
        self.open_but_approvals(without).into_iter().chain(approvals).collect()
    }

    /// The same, where officers' notes were found elsewhere.
    fn open_but_approvals(&self, without: Option<&str>) -> Vec<Link> {
        let maker = Self::left_open(
            ("maker", "the maker's roles"),
            self.root.is_some(),
            ("--root", "who made it, and that it is fresh"),
            without,
        );
        let ledger = Self::left_open(
            ("ledger", "a ledger's policy"),
            self.policy.is_some(),
            ("--policy", "that it is public"),
            without,
        );
        maker.into_iter().chain(ledger).collect()
    }

    /// A link that nobody can check, or that nobody asked for.
    fn left_open(
        (what, against): (&str, &str),
        is_given: bool,
        (flag, unproven): (&str, &str),
        without: Option<&str>,
    ) -> Option<Link> {
        let link = Link::ok(what, against);
        match without {
            Some(why) if is_given => Some(link.not_proven(why, true)),
            _ if is_given => None,
            _ => {
                let why = format!("no {flag} was given, so nothing shows {unproven}");
                Some(link.not_proven(why, false))
            }
        }
    }
}
