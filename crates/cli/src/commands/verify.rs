//! `ampoule verify`: walks the chain from an image, a release or a depot to the keys that a person trusts. Needs no network but for a
//! depot that is named by its URL.

mod depot;
mod image;

use std::path::Path;

use ledger::policy::Policy;
use release::verify::{Link, Verdict, judge};
use serde_json::json;
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
    let subject = Path::new(&args.subject);
    let is_depot = depot::is_url(&args.subject) || subject.join("depot.json").is_file();
    let links = match is_depot {
        true => depot::links(&args.subject, args, &trusted)?,
        false => image::links(subject, args, &trusted)?,
    };
    printer.data(|| render::verify::links(&links), || json!({"links": links}));
    let failed = |message: String, hint: &str| {
        Err(Failure::new(Fault::Trust, message).unchanged("verifying changes nothing").hint(hint))
    };
    let counted = |count| render::counted(count, "link", "links");
    match judge(&links) {
        Verdict::Holds => Ok(()),
        Verdict::Wrong(count) => failed(
            format!("`{}` is not to be trusted: {} wrong", args.subject, counted(count)),
            "do not install it; the lines that begin with `wrong` say what to do next",
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

    /// What stays open without a depot, and what nobody asked for.
    fn open(&self, without: Option<&str>) -> Vec<Link> {
        let open = |what: &str, against: &str, is_given: bool, flag: &str, unproven: &str| match without {
            Some(why) if is_given => Some(Link::ok(what, against).not_proven(why, true)),
            _ if is_given => None,
            _ => Some(
                Link::ok(what, against)
                    .not_proven(format!("no {flag} was given, so nothing shows {unproven}"), false),
            ),
        };
        [
            open(
                "maker",
                "the maker's roles",
                self.root.is_some(),
                "--root",
                "who made it, and that it is fresh",
            ),
            open("ledger", "a ledger's policy", self.policy.is_some(), "--policy", "that it is public"),
            open(
                "approvals",
                "officers' keys",
                self.officers.is_some(),
                "--officers",
                "that somebody approved it",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
