//! What a depot says of its releases, link by link: index, statements, roles, proofs, officers' notes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use depot::DepotFolder;
use ledger::note::KeyName;
use model::Sha256Digest;
use release::index::{INDEX_LIMIT, WORDS_LIMIT, index_path, words_path};
use release::statement::STATEMENT_LIMIT;
use release::verify::{Link, chain, digest, listed, logged, roles, roles_failed};
use release::{Index, IndexedRelease, ReleaseId, Statement, trust};
use tuf::Limits;
use tuf::client::{Updated, trust_root, update};
use update::approval::{Here, Verdict};

use super::Trusted;
use super::place::{Place, is_url};
use super::ways::{Source, Ways};
use crate::args::VerifyArgs;
use crate::commands::release::depot_failure;
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// An image that has to be one of the depot's releases.
pub struct Wanted {
    /// What it is, for people: `the image`.
    pub what: String,
    pub version: String,
    pub root_hash: Sha256Digest,
    /// Not known of what runs.
    pub uki: Option<Sha256Digest>,
    /// Known of a folder, and not of a disk.
    pub id: Option<ReleaseId>,
    /// The root sealed in it, where that is known.
    pub sealed_root: Option<Sha256Digest>,
    /// Whether it is a failure that the depot does not have it.
    pub asked: bool,
}

/// The channel of whoever names none.
pub const STABLE: &str = "stable";

/// What an appliance adds to what a depot has of officers' words.
#[derive(Clone, Copy, Default)]
pub struct Appliance<'a> {
    /// Notes that it keeps.
    pub notes: &'a [String],
    /// The group that it says its owner has put it into.
    pub group: Option<&'a str>,
}

/// What is looked at, and with whose eyes.
pub struct Walk<'a> {
    pub place: &'a Place,
    pub appliance: &'a str,
    pub channel: &'a str,
    /// Whether officers have to approve each release: of several that are offered, an appliance goes to the newest.
    pub officers_of_each: bool,
    /// All of them where nothing is wanted and no version is named.
    pub version: Option<&'a str>,
    pub wanted: &'a [Wanted],
    /// The appliance that asks, where it is one.
    pub asking: Appliance<'a>,
    pub trusted: &'a Trusted,
}

/// What was found.
#[derive(Default)]
pub struct Walked {
    pub links: Vec<Link>,
    pub index: Option<Index>,
    /// Releases whose statement could be read.
    pub releases: Vec<(IndexedRelease, Statement)>,
}

/// All releases of a channel, or the one that is named.
pub fn links(
    name: &str,
    args: &VerifyArgs,
    trusted: &Trusted,
    printer: &Printer,
) -> Result<Vec<Link>, Failure> {
    if args.apply && is_url(name) {
        let message = "images and patches are applied from a depot's folder or a bundle, and not from a URL";
        return Err(Failure::new(Fault::User, message)
            .unchanged("nothing was verified")
            .hint("`ampoule depot mirror URL --into FOLDER` brings them"));
    }
    let channel = args.channel.as_deref().unwrap_or(STABLE);
    let appliance = match &args.appliance {
        Some(appliance) => appliance.clone(),
        None => match only_appliance(name, channel)? {
            Ok(appliance) => appliance,
            Err(link) => return Ok([vec![link], trusted.open(Some("the index can not be read"))].concat()),
        },
    };
    let place = Place::open(name)?;
    let walk = Walk {
        place: &place,
        appliance: &appliance,
        channel,
        version: args.release.as_deref(),
        officers_of_each: false,
        wanted: &[],
        asking: Appliance::default(),
        trusted,
    };
    let Walked { mut links, releases, .. } = walk.walk()?;
    if args.apply {
        let source = Source::Folder(name.as_ref());
        links
            .extend(Ways { source, releases: &releases, again: place.again() }.applied(&args.from, printer)?);
    }
    links.extend(trusted.open(None));
    if !args.apply {
        let images = Link::ok("images and patches", "what a statement says of them");
        links.push(images.not_proven(
            "not read here: an appliance compares them with the root hash; `--apply` makes what they make",
            false,
        ));
    }
    Ok(links)
}

/// The images that claim to be releases of `appliance`.
pub fn links_of(
    name: &str,
    appliance: &str,
    channel: &str,
    wanted: &[Wanted],
    asking: Appliance<'_>,
    trusted: &Trusted,
) -> Result<Vec<Link>, Failure> {
    let place = &Place::open(name)?;
    let walk =
        Walk { place, appliance, channel, version: None, officers_of_each: false, wanted, asking, trusted };
    Ok(walk.walk()?.links)
}

fn only_appliance(name: &str, channel: &str) -> Result<Result<String, Link>, Failure> {
    let unnamed = || {
        Failure::new(Fault::User, "which appliance is not known")
            .hint("name it with `--appliance VENDOR/NAME`")
    };
    if is_url(name) {
        return Err(unnamed());
    }
    let depot = DepotFolder::open(name.as_ref()).map_err(depot_failure)?;
    let indices = match depot.indices() {
        Ok(indices) => indices,
        Err(error @ ::depot::DepotError::Index { .. }) => {
            let again = "the depot is damaged: `ampoule depot check` reads all of it";
            return Ok(Err(Link::ok("index", "the form of an index").wrong(chain(&error), again)));
        }
        Err(error) => return Err(depot_failure(error)),
    };
    let mut found = indices.into_iter().filter(|index| index.channel == channel);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(Ok(one.appliance)),
        _ => Err(unnamed()),
    }
}

impl Walk<'_> {
    /// Every link that the place has something to say to.
    pub fn walk(&self) -> Result<Walked, Failure> {
        self.ensure_names()?;
        let mut walked = Walked { index: None, ..Walked::default() };
        let index = match self.index()? {
            Ok(index) => Some(index),
            Err(link) => {
                walked.links.push(link);
                None
            }
        };
        let is_meant = |release: &&IndexedRelease| match (self.wanted, self.version) {
            ([], None) => true,
            ([], Some(version)) => release.version == version,
            (wanted, _) => wanted.iter().any(|wanted| wanted.version == release.version),
        };
        let all = index.iter().flat_map(|index| &index.releases);
        let releases: Vec<&IndexedRelease> = all.filter(is_meant).collect();
        if index.is_some() && releases.is_empty() && self.wanted.is_empty() {
            let message = format!("{} does not offer that release", self.place.called());
            return Err(Failure::new(Fault::User, message).unchanged("nothing was verified"));
        }

        let mut store: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let roots = RefCell::default();
        let mut documents = self.place.roles(&roots);
        let mut signed = None;
        if let Some(root) = &self.trusted.root {
            match trust_root(&mut store, root) {
                Err(error) => walked.links.push(roles_failed(&error)),
                Ok(_) => match update(&mut store, &mut documents, Limits::DEFAULT, self.trusted.now) {
                    Err(error) => walked.links.push(roles_failed(&error)),
                    Ok(updated) => {
                        walked.links.extend(roles(&updated));
                        walked.links.extend(self.sealed_follow(root, &roots.borrow()));
                        signed = Some(updated);
                    }
                },
            }
        }
        // Without an index that is told already, and nothing is known of what is there.
        let is_there =
            |wanted: &&Wanted| index.is_none() || releases.iter().any(|it| it.version == wanted.version);
        for wanted in self.wanted.iter().filter(|wanted| !is_there(wanted)) {
            let link = Link::ok(
                format!("{}, version {}", wanted.what, wanted.version),
                format!("what {} offers", self.place.called()),
            );
            walked.links.push(link.not_proven("it does not have this version", wanted.asked));
        }
        // Of several only one is spoken of by officers: the newest, or what is asked for.
        let spoken_of = self.wanted.first().map(|wanted| wanted.version.as_str());
        let spoken_of = spoken_of.or(releases.last().map(|release| release.version.as_str()));
        if let Some(index) = &index {
            for release in &releases {
                let of_officers = self.officers_of_each || Some(release.version.as_str()) == spoken_of;
                walked.links.extend(self.said_of(
                    index,
                    release,
                    signed.as_mut(),
                    of_officers,
                    &mut walked.releases,
                ));
            }
        }
        walked.index = index;
        Ok(walked)
    }

    /// Sealed roots that are not the given one: whether they follow it. Each was signed by the one before, or the update had not gone through.
    fn sealed_follow(&self, given: &[u8], roots: &BTreeSet<Sha256Digest>) -> Vec<Link> {
        let sealed = self.wanted.iter().filter_map(|wanted| wanted.sealed_root);
        let others = sealed.filter(|sealed| *sealed != digest(given));
        let link = |sealed: Sha256Digest| {
            let link = Link::ok(
                format!("root sealed in the image, SHA-256 {sealed}"),
                "roots that follow the one you gave",
            );
            match roots.contains(&sealed) {
                true => link.by("the keys of the root before each"),
                false => link.not_proven("it is none of them: it is older, or of somebody else", false),
            }
        };
        others.map(link).collect()
    }

    fn ensure_names(&self) -> Result<(), Failure> {
        if are_names(self.appliance, self.channel) {
            return Ok(());
        }
        let message = format!("`{}` and `{}` are no appliance and channel", self.appliance, self.channel);
        Err(Failure::new(Fault::User, message).hint("an appliance is VENDOR/NAME"))
    }

    fn index(&self) -> Result<Result<Index, Link>, Failure> {
        let path = index_path(self.appliance, self.channel);
        let link = Link::ok(format!("index {path}"), "the form of an index");
        let bytes = match self.place.read(&path, INDEX_LIMIT as usize) {
            Ok(bytes) => bytes,
            Err(error) if error.is_damage => {
                return Ok(Err(link.wrong(error.to_string(), self.place.again())));
            }
            Err(error) => {
                let failure =
                    Failure::new(Fault::Environment, error.message).unchanged("verifying changes nothing");
                return Err(Failure { causes: vec![error.why], ..failure });
            }
        };
        let Some(bytes) = bytes else {
            let why = format!("{} has no `{path}`", self.place.called());
            let next = "name an appliance and a channel that it has";
            return match self.wanted {
                [] if self.place.is_bundle() => Ok(Err(link.wrong(why, self.place.again()))),
                [] => Err(Failure::new(Fault::User, why).hint(next)),
                // Whoever made the image, it is not offered there.
                _ => Ok(Err(Link { next: Some(next.into()), ..link.not_proven(why, true) })),
            };
        };
        let read = Index::parse(&bytes, self.appliance, self.channel);
        Ok(read.map_err(|error| link.wrong(chain(&error), self.place.again())))
    }

    fn said_of(
        &self,
        index: &Index,
        release: &IndexedRelease,
        signed: Option<&mut Updated<'_>>,
        of_officers: bool,
        read: &mut Vec<(IndexedRelease, Statement)>,
    ) -> Vec<Link> {
        let again = self.place.again();
        let link =
            Link::ok(format!("statement {}", release.id()), format!("index, version {}", release.version));
        let statement = self
            .place
            .object(&release.statement, STATEMENT_LIMIT)
            .and_then(|bytes| Statement::parse(&bytes).map_err(|error| chain(&error)));
        let statement = match statement {
            Ok(statement) => statement,
            Err(why) => return vec![link.wrong(why, again)],
        };
        let identity = &statement.identity;
        let mut links = vec![match (identity.id() == index.appliance, identity.version == release.version) {
            (true, true) => link.by("its bytes"),
            _ => {
                let why = format!("it is the statement of {} {}", identity.id(), identity.version);
                link.wrong(why, again)
            }
        }];
        let wanted = self.wanted.iter().filter(|wanted| wanted.version == release.version);
        links.extend(wanted.map(|wanted| compared(wanted, release, &statement)));
        if let Some(updated) = signed {
            links.push(listed(updated, index, release));
        }
        if let Some(policy) = &self.trusted.policy {
            let proof = release.proof.as_ref().map(|proof| self.place.object(proof, trust::PROOF_LIMIT));
            links.push(match proof.transpose() {
                Ok(proof) => logged(&statement, proof.as_deref(), policy),
                Err(why) => Link::ok(format!("proof of {}", release.version), "index").wrong(why, again),
            });
        }
        if of_officers {
            links.extend(self.approved(release));
        }
        read.push((release.clone(), statement));
        links
    }

    /// What officers say of a release, here and elsewhere.
    fn approved(&self, release: &IndexedRelease) -> Option<Link> {
        self.trusted.officers.as_ref()?;
        let notes = self.place.read(&words_path(self.appliance, release.id()), WORDS_LIMIT as usize);
        let link = Link::ok(format!("approval of {}", release.version), "the officers' keys you gave");
        let mut notes: Vec<String> = match notes {
            Ok(None) => Vec::new(),
            Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
                Ok(notes) => notes,
                Err(error) => {
                    return Some(link.not_proven(format!("the notes can not be read: {error}"), true));
                }
            },
            Err(error) => return Some(link.not_proven(chain(&error), true)),
        };
        notes.extend_from_slice(self.asking.notes);
        let asking = Appliance { notes: &notes, ..self.asking };
        approval(&release.version, release.id(), asking, self.trusted)
    }
}

/// Whether both can be parts of a depot's paths.
pub fn are_names(appliance: &str, channel: &str) -> bool {
    let parts = appliance.split_once('/').into_iter().flat_map(|(vendor, name)| [vendor, name]);
    let names: Vec<&str> = parts.chain([channel]).collect();
    names.len() == 3 && names.iter().all(|name| ::depot::folder::ensure_name("a name", name).is_ok())
}

fn compared(wanted: &Wanted, release: &IndexedRelease, statement: &Statement) -> Link {
    let what = match wanted.uki {
        Some(_) => "root hash and kernel image",
        None => "root hash",
    };
    let link = Link::ok(wanted.what.clone(), format!("{what} of statement {}", release.id()));
    let is_same = statement.image.root_hash == wanted.root_hash
        && wanted.uki.is_none_or(|uki| uki == statement.uki.sha256)
        && wanted.id.is_none_or(|id| id == release.id());
    match is_same {
        true => link,
        false => link.wrong(
            format!("another release has the version {} there", release.version),
            "do not use it: ask its maker which of the two is theirs",
        ),
    }
}

/// What officers say of a release, for all appliances and for the group of the one that asks. `None`: nobody wants to know.
pub fn approval(version: &str, release: ReleaseId, asking: Appliance<'_>, trusted: &Trusted) -> Option<Link> {
    let officers = trusted.officers.as_ref()?;
    let link = Link::ok(format!("approval of {version}"), "the officers' keys you gave");
    // A note that none of the officers signed says nothing.
    let words: Vec<_> =
        asking.notes.iter().filter_map(|note| officers.read(note.as_bytes()).ok()).flatten().collect();
    let here = Here { machine: "", group: asking.group, now: trusted.now.0 };
    let whom = match asking.group {
        Some(group) => format!("for all appliances, or for the group `{group}`"),
        None => "for all appliances".to_owned(),
    };
    let names = |by: &[KeyName]| by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Some(match officers.judge(&words, release, &here) {
        Verdict::Free => link.not_proven("no officer is named", true),
        Verdict::Approved { by } => link.by(names(&by)),
        Verdict::Missing { by, needed } => Link {
            next: Some("ask the officers; `ampoule approve --depot` signs and brings it there".into()),
            ..link.not_proven(format!("{} of {needed} approve it {whom}", by.len()), true)
        },
        Verdict::Held { by, reason } => link
            .wrong(format!("{by} says no: {reason}"), "do not install it before the officer takes it back"),
    })
}
