//! A bundle: every byte of it, and then what a depot of it would have to show. Nothing is written, and nothing large is kept.

use std::collections::BTreeMap;
use std::path::Path;

use depot::bundle::Opened;
use ledger::note::Note;
use model::Sha256Digest;
use release::IndexedRelease;
use release::index::{WORDS_LIMIT, words_path};
use release::verify::{Link, chain};

use super::Trusted;
use super::depot::{Appliance, Walk, Walked};
use super::place::Place;
use super::ways::{Source, Ways};
use crate::args::VerifyArgs;
use crate::commands::release::depot_failure;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render::counted;

/// The whole bundle: it is taken whole, or not at all.
pub fn links(
    path: &Path,
    args: &VerifyArgs,
    trusted: &Trusted,
    printer: &Printer,
) -> Result<Vec<Link>, Failure> {
    let failed = |error| depot_failure(error).unchanged("verifying changes nothing");
    if args.release.is_some() || args.appliance.is_some() || args.channel.is_some() {
        let message = "a bundle is of one channel of one appliance, and is verified whole";
        return Err(
            Failure::new(Fault::User, message).hint("leave out `--release`, `--appliance` and `--channel`")
        );
    }
    let opened = Opened::open(path).map_err(failed)?;
    let contents = opened.contents().clone();
    let place = Place::bundle(&args.subject, opened.clone());
    let mut links = bytes(&opened, &place).map_err(failed)?;
    let walk = Walk {
        place: &place,
        appliance: &contents.appliance,
        channel: &contents.channel,
        version: None,
        // Whoever takes it, takes all of them.
        officers_of_each: true,
        wanted: &[],
        asking: Appliance::default(),
        trusted,
    };
    let walked = walk.walk()?;
    links.extend(walked.links.iter().cloned());
    links.extend(objects(&opened, &walked, &place));
    links.extend(walked.releases.iter().filter_map(|(entry, _)| notes(&place, &contents.appliance, entry)));
    let source = Source::Bundle(&opened);
    let ways = Ways { source, releases: &walked.releases, again: place.again() };
    links.extend(match args.apply {
        true => ways.applied(&args.from, printer)?,
        false => ways.said(),
    });
    links.extend(trusted.open(None));
    Ok(links)
}

/// The bytes, by `bundle.json`. It finds accidents; whoever changes both is found by the roles.
fn bytes(opened: &Opened, place: &Place) -> Result<Vec<Link>, depot::DepotError> {
    let members = &opened.contents().members;
    let link = || Link::ok(format!("bytes of {}", place.called()), "the digests of its bundle.json");
    let wrong = opened.check()?;
    let size: u64 = members.iter().map(|member| member.size).sum();
    Ok(match wrong.is_empty() {
        true => vec![link().by(format!("{}, {size} bytes", counted(members.len(), "member", "members")))],
        false => wrong.iter().map(|kind| link().wrong(chain(kind), place.again())).collect(),
    })
}

/// Index and statements against the objects that are there.
fn objects(opened: &Opened, walked: &Walked, place: &Place) -> Vec<Link> {
    let Some(index) = &walked.index else { return Vec::new() };
    let mut needed: BTreeMap<Sha256Digest, String> = BTreeMap::new();
    for entry in &index.releases {
        let mut add = |object, what: &str| needed.insert(object, format!("{what} {}", entry.version));
        add(entry.statement.sha256, "the statement of");
        entry.proof.iter().for_each(|proof| drop(add(proof.sha256, "the ledger's proof of")));
        entry.patches.iter().for_each(|patch| drop(add(patch.object.sha256, "a way to")));
    }
    for (entry, statement) in &walked.releases {
        for document in &statement.documents {
            needed.insert(document.sha256, format!("{} of {}", document.name, entry.version));
        }
    }
    let link = Link::ok(
        format!("objects of {}", counted(index.releases.len(), "release", "releases")),
        "index and statements",
    );
    // Documents of a statement that can not be read are not known: then nothing is known to be needless.
    let is_whole = walked.releases.len() == index.releases.len();
    let is_told = |kind: &_| is_whole || !matches!(kind, depot::bundle::BundleErrorKind::Needless { .. });
    let wrong = opened.objects(&needed).into_iter().filter(is_told).chain(opened.compare(index));
    let wrong: Vec<Link> = wrong.map(|kind| link.clone().wrong(chain(&kind), place.again())).collect();
    match wrong.is_empty() {
        true => vec![
            link.by(format!("{} that are needed, and no other", counted(needed.len(), "object", "objects"))),
        ],
        false => wrong,
    }
}

/// Officers' notes that are none. What they say is looked at where officers are named.
fn notes(place: &Place, appliance: &str, entry: &IndexedRelease) -> Option<Link> {
    let path = words_path(appliance, entry.id());
    let link = Link::ok(format!("officers' notes on {}", entry.version), "the form of signed notes");
    let bytes = match place.read(&path, WORDS_LIMIT as usize) {
        Ok(bytes) => bytes?,
        Err(error) => return Some(link.wrong(chain(&error), place.again())),
    };
    let notes: Vec<String> = match serde_json::from_slice(&bytes) {
        Ok(notes) => notes,
        Err(error) => return Some(link.wrong(format!("they can not be read: {error}"), place.again())),
    };
    let broken = notes.iter().find_map(|note| Note::parse(note.as_bytes()).err());
    Some(match broken {
        Some(error) => link.wrong(chain(&error), place.again()),
        None => link.by(counted(notes.len(), "note", "notes")),
    })
}
