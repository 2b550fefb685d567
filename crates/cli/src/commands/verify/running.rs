//! A running appliance: what it says of itself, against what a depot or a release folder says of it.
//!
//! The machine answers, and who has the machine has the answers: until there is attestation, all of it is a claim. It is worth asking
//! nevertheless: a machine that was forgotten, or runs what nobody released, has no reason to lie.

use std::path::Path;

use machine::control::{ControlClient, ControlError};
use machine::folder::names;
use model::Sha256Digest;
use model::builtin::GROUP;
use model::control::{Answer, Call, LifeEntry, LifeStage, Slot, SlotRole, Status};
use release::ReleaseId;
use release::verify::Link;

use super::depot::{Appliance, Wanted, approval, are_names, links_of};
use super::{Trusted, folder};
use crate::args::VerifyArgs;
use crate::commands::running::{control_failure, unexpected};
use crate::error::{Failure, Fault};

/// Whether a folder is that of a virtual machine.
pub fn is_machine(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    !has(release::names::MANIFEST) && [names::CONTROL, names::APPLIANCE, names::LOCK].into_iter().any(has)
}

/// What the appliance says, and what there is to compare it with.
pub fn links(machine: &Path, args: &VerifyArgs, trusted: &Trusted) -> Result<Vec<Link>, Failure> {
    let said = Said::ask(machine)?;
    let mut links = said.claims(trusted);
    let mut runs = match said.runs() {
        Ok(runs) => runs,
        Err(nonsense) => {
            links.push(nonsense);
            return Ok([links, trusted.open(Some("the appliance does not say what it runs"))].concat());
        }
    };
    if let Some(name) = &args.appliance {
        let link = Link::ok("appliance, as it says", format!("`{name}`, which you named"));
        links.push(match *name == said.status.appliance {
            true => link,
            false => link.wrong(format!("it is `{}`", said.status.appliance), OTHER),
        });
    }
    if let Some(place) = &args.release {
        links.extend(compare(place, &said.status.appliance, &mut runs, trusted)?);
    }
    match &args.depot {
        Some(place) => {
            let channel = args.channel.as_ref().unwrap_or(&said.status.update.channel);
            let wanted: Vec<Wanted> = std::iter::once(runs).chain(said.others()).collect();
            links.extend(links_of(place, &said.status.appliance, channel, &wanted, said.asking(), trusted)?);
            links.extend(trusted.open(None));
        }
        None => {
            if args.release.is_none() {
                let link = Link::ok("what runs, as it says", "nothing");
                let why = "there is nothing to compare it with: name a depot with `--depot`, or a release folder with `--release`";
                links.push(link.not_proven(why, true));
            }
            let why = "signatures and proofs are in a depot: name it with `--depot`";
            // A note is signed, whoever carries it: those that the appliance has are as good as a depot's.
            let spoken = runs.id.and_then(|id| approval(&runs.version, id, said.asking(), trusted));
            links.extend(match &spoken {
                Some(_) => trusted.open_but_approvals(Some(why)),
                None => trusted.open(Some(why)),
            });
            links.extend(spoken);
        }
    }
    Ok(links)
}

const OTHER: &str = "find out who installed it; `ampoule run RELEASE --reinstall` installs the system disk anew, and data stays";

/// A release folder against what runs. What the folder knows besides is known of what runs, too, once they are the same.
fn compare(place: &str, appliance: &str, runs: &mut Wanted, trusted: &Trusted) -> Result<Vec<Link>, Failure> {
    if !Path::new(place).is_dir() {
        return Err(Failure::new(Fault::User, format!("`{place}` is no release folder"))
            .hint("for a running appliance `--release` names the folder that it should run; `--depot` names a depot"));
    }
    let found = folder::look(Path::new(place), trusted)?;
    let mut links = found.links;
    let link = Link::ok(runs.what.clone(), format!("appliance, version and root hash of `{place}`"));
    let Some((of, stated)) = found.says else {
        links.push(link.not_proven("the folder does not say which release it is", true));
        return Ok(links);
    };
    let differs = [
        (of != appliance).then(|| format!("the folder is a release of `{of}`")),
        (stated.version != runs.version).then(|| format!("the folder has the version {}", stated.version)),
        (stated.root_hash != runs.root_hash)
            .then(|| format!("the folder has the root hash {}", stated.root_hash)),
        (runs.id.is_some_and(|id| stated.id != Some(id)))
            .then(|| "it says that it runs another statement".to_owned()),
    ];
    let differs: Vec<String> = differs.into_iter().flatten().collect();
    links.push(match differs.is_empty() {
        true => link,
        false => link.wrong(differs.join(", and "), OTHER),
    });
    if differs.is_empty() {
        (runs.id, runs.uki, runs.sealed_root) = (stated.id, stated.uki, stated.sealed_root);
    }
    Ok(links)
}

/// What an appliance said.
struct Said {
    status: Status,
    /// Officers' notes that it keeps.
    notes: Vec<String>,
    /// Why it does not tell them.
    silent: Option<String>,
    /// Its setting `update-group`: officers speak to groups, too.
    group: Option<String>,
    history: Vec<LifeEntry>,
}

impl Said {
    fn ask(folder: &Path) -> Result<Self, Failure> {
        let failed = |error| control_failure(folder, error).unchanged("verifying changes nothing");
        let mut client = ControlClient::connect(&folder.join(names::CONTROL)).map_err(failed)?;
        let Answer::Status(status) = client.call(Call::Status).map_err(failed)? else {
            return Err(unexpected());
        };
        let mut silent = None;
        let notes = match client.call(Call::Words) {
            Ok(Answer::Words(words)) => words.into_iter().map(|word| word.note).collect(),
            Ok(_) => return Err(unexpected()),
            // An older agent does not know the question.
            Err(ControlError::Refused { refusal }) => {
                silent = Some(refusal.message);
                Vec::new()
            }
            Err(error) => return Err(failed(error)),
        };
        let history = match client.call(Call::UpdateHistory) {
            Ok(Answer::UpdateHistory(history)) => history,
            Ok(_) => return Err(unexpected()),
            Err(ControlError::Refused { .. }) => Vec::new(),
            Err(error) => return Err(failed(error)),
        };
        let group = match client.call(Call::Settings).map_err(failed)? {
            Answer::Settings { settings, .. } => {
                let group = settings.into_iter().find(|setting| setting.name == GROUP);
                group.and_then(|setting| Some(setting.value?.to_string())).filter(|group| !group.is_empty())
            }
            _ => return Err(unexpected()),
        };
        Ok(Self { status, notes, silent, group, history })
    }

    fn asking(&self) -> Appliance<'_> {
        Appliance { notes: &self.notes, group: self.group.as_deref() }
    }

    /// What stays its own word.
    fn claims(&self, trusted: &Trusted) -> Vec<Link> {
        let Status { appliance, version, root_hash, update, .. } = &self.status;
        let what = format!("what runs: {appliance} {version} with root hash {root_hash}");
        let why = "a running machine says so itself, and nothing proves from afar that it tells the truth";
        let mut links = vec![Link::ok(what, "attestation").not_proven(why, false)];
        let runs = |slot: &&Slot| slot.role == SlotRole::Running;
        let contradiction = update.slots.iter().filter(runs).find(|slot| {
            slot.root_hash.as_ref().is_some_and(|hash| hash != root_hash)
                || slot.version.as_ref().is_some_and(|it| it != version)
        });
        links.extend(contradiction.map(|slot| {
            let link = Link::ok(format!("slot {}, which runs", slot.name), "what runs");
            link.wrong("the appliance contradicts itself", OTHER)
        }));
        links.extend(
            self.status
                .notices
                .iter()
                .map(|notice| Link::ok("notice of the appliance", "its own word").not_proven(notice, false)),
        );
        if let (Some(why), Some(_)) = (&self.silent, &trusted.officers) {
            let link = Link::ok("officers' notes that the appliance keeps", "the officers' keys you gave");
            links.push(link.not_proven(format!("it does not tell them: {why}"), false));
        }
        links
    }

    /// What it says that it runs, where that can be looked up anywhere.
    fn runs(&self) -> Result<Wanted, Link> {
        let Status { appliance, version, root_hash, update, .. } = &self.status;
        let nonsense = |what: &str, text: &str| {
            let link = Link::ok(format!("{what} that the appliance tells"), "the form of one");
            link.wrong(format!("`{text}` is none"), OTHER)
        };
        if !are_names(appliance, &update.channel) {
            return Err(nonsense("name and channel", &format!("{appliance} {}", update.channel)));
        }
        Ok(Wanted {
            what: "what runs, as it says".into(),
            version: version.clone(),
            root_hash: root_hash.parse().map_err(|_| nonsense("root hash", root_hash))?,
            uki: None,
            id: self.id(),
            sealed_root: None,
            asked: true,
        })
    }

    /// Which release it says it runs. Known of one that came as a patch; the first one was never told its name.
    fn id(&self) -> Option<ReleaseId> {
        let of_patch =
            self.status.update.patch.as_ref().filter(|patch| patch.root_hash == self.status.root_hash);
        let ran = |entry: &&LifeEntry| matches!(entry.stage, LifeStage::Trial | LifeStage::Confirmed);
        let last = self.history.iter().filter(ran).find(|entry| entry.version == self.status.version);
        let id = of_patch.map(|patch| &patch.release).or(last.map(|entry| &entry.release));
        id.and_then(|id| id.parse().ok())
    }

    /// The other slot, where it says what is in it: what it would return to, or go to.
    fn others(&self) -> Vec<Wanted> {
        let wanted = |slot: &Slot| {
            let root_hash: Sha256Digest = slot.root_hash.as_ref()?.parse().ok()?;
            Some(Wanted {
                what: format!("slot {}, as the appliance says", slot.name),
                version: slot.version.clone()?,
                root_hash,
                uki: None,
                id: None,
                sealed_root: None,
                asked: false,
            })
        };
        let others = self.status.update.slots.iter().filter(|slot| slot.role != SlotRole::Running);
        others.filter_map(wanted).collect()
    }
}
