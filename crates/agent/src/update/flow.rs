//! The order of everything that decides what boots. Each function says what a power cut after each of its steps leaves;
//! tests cut after every one.
//!
//! Nothing is ever renamed on the ESP: FAT has no atomic rename. A UKI appears in two durable steps instead
//! ([`World::place`], [`World::reveal`]): the whole file with a first sector of zeros, which is no program to any boot
//! loader, then that one sector. What is not wanted any more is removed.

use std::io;

use model::Sha256Digest;
use update::life::Record;

/// Starts that a patched appliance has.
const TRIES: u32 = 2;

/// A UKI on the ESP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// File name.
    pub name: String,
    /// The root it boots; `None` when it is not whole.
    pub root_hash: Option<Sha256Digest>,
}

/// Where a UKI's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The staged one, on data.
    Staged,
    /// Another file of the ESP.
    Entry(String),
}

/// The disk, the ESP and the journal.
///
/// Implementers MUST have a step durable when it returned `Ok`, and MUST leave nothing that boots of a `place` that was
/// cut.
pub trait World {
    /// UKIs on the ESP.
    fn entries(&mut self) -> io::Result<Vec<Entry>>;
    /// Writes a UKI whose first sector is zero. Over a file of that name.
    fn place(&mut self, name: &str, source: &Source) -> io::Result<()>;
    /// Writes its first sector.
    fn reveal(&mut self, name: &str, source: &Source) -> io::Result<()>;
    /// Removes a UKI.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Names the inactive slot's partitions after a root hash, or makes them such that nothing boots from them.
    fn mark_slot(&mut self, root_hash: Option<&Sha256Digest>) -> io::Result<()>;
    /// Appends to the journal.
    fn record(&mut self, record: &Record) -> io::Result<()>;
}

/// Makes the inactive slot one that nothing boots from, before it is written.
/// 1. every UKI that does not boot the running root goes: the running one is the only one left;
/// 2. the slot's partitions lose their identity.
pub fn invalidate(world: &mut dyn World, own: &Sha256Digest) -> io::Result<()> {
    for entry in world.entries()? {
        if entry.root_hash.as_ref() != Some(own) {
            world.remove(&entry.name)?;
        }
    }
    world.mark_slot(None)
}

/// Makes the boot loader try the staged release next. Its slot was written, read back and marked.
/// 1. the journal says so: cut here, the older release starts, finds no UKI and takes the step back;
/// 2. the UKI is placed: no program yet, the same;
/// 3. it is revealed: from here on the newer release starts.
pub fn arm(world: &mut dyn World, armed: &Record, name: &str) -> io::Result<()> {
    world.record(armed)?;
    let name = counted_name(name);
    world.place(&name, &Source::Staged)?;
    world.reveal(&name, &Source::Staged)
}

/// Keeps the release on trial.
/// 1. its UKI appears a second time, under a name that is not counted: both boot the newer release;
/// 2. the journal says so;
/// 3. the counted one goes.
pub fn confirm(world: &mut dyn World, own: &Sha256Digest, confirmed: &Record, name: &str) -> io::Result<()> {
    let entries = world.entries()?;
    let boots_own = |entry: &&Entry| entry.root_hash.as_ref() == Some(own);
    if !entries.iter().filter(boots_own).any(|entry| entry.name == name) {
        let counted = entries.iter().filter(boots_own).find(|entry| is_counted(&entry.name));
        let source = counted.map_or(Source::Staged, |entry| Source::Entry(entry.name.clone()));
        world.place(name, &source)?;
        world.reveal(name, &source)?;
    }
    world.record(confirmed)?;
    remove_counted(world, own)
}

/// Step 3 of [`confirm`] alone, for a start after a cut.
pub fn remove_counted(world: &mut dyn World, own: &Sha256Digest) -> io::Result<()> {
    let entries = world.entries()?;
    let boots_own = |entry: &&Entry| entry.root_hash.as_ref() == Some(own);
    if entries.iter().filter(boots_own).any(|entry| !is_counted(&entry.name)) {
        for entry in entries.iter().filter(boots_own).filter(|entry| is_counted(&entry.name)) {
            world.remove(&entry.name)?;
        }
    }
    Ok(())
}

/// Takes a release from the boot loader, after the journal says why. Refuses when nothing else would boot.
pub fn set_aside(world: &mut dyn World, root_hash: &Sha256Digest) -> io::Result<()> {
    let entries = world.entries()?;
    let boots_it = |entry: &&Entry| entry.root_hash.as_ref() == Some(root_hash);
    let others = entries.iter().any(|entry| entry.root_hash.is_some_and(|other| other != *root_hash));
    if !others {
        return Err(io::Error::other("no other release is left to start"));
    }
    // A counted one last: as long as it is there, the boot loader counts.
    let (counted, plain): (Vec<_>, Vec<_>) =
        entries.iter().filter(boots_it).partition(|entry| is_counted(&entry.name));
    for entry in plain.into_iter().chain(counted) {
        world.remove(&entry.name)?;
    }
    Ok(())
}

/// `NAME+LEFT.efi` (systemd, "Automatic Boot Assessment").
pub fn counted_name(name: &str) -> String {
    format!("{}+{TRIES}.efi", name.trim_end_matches(".efi"))
}

/// Tries that are left, and that were used.
pub fn tries(name: &str) -> Option<(u32, u32)> {
    let (_, counter) = name.strip_suffix(".efi")?.rsplit_once('+')?;
    let (left, done) = counter.split_once('-').unwrap_or((counter, "0"));
    Some((left.parse().ok()?, done.parse().ok()?))
}

fn is_counted(name: &str) -> bool {
    tries(name).is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::control::LifeStage;
    use model::definition::StateFormat;
    use release::ReleaseId;
    use update::life::{self, Side};

    use super::*;

    const OLD: Sha256Digest = Sha256Digest([1; 32]);
    const NEW: Sha256Digest = Sha256Digest([2; 32]);
    const NAME: &str = "shop_1.0.1.efi";

    /// What is on the disk, and a power that fails after some steps, in the middle of the next one.
    #[derive(Clone, Debug)]
    struct Fake {
        /// File names with the root they boot and whether they are revealed.
        esp: BTreeMap<String, (Sha256Digest, bool)>,
        /// The slot that does not run: its mark.
        slot: Option<Sha256Digest>,
        /// What it really holds.
        content: Option<Sha256Digest>,
        running: Sha256Digest,
        journal: Vec<Record>,
        steps: usize,
    }

    impl Fake {
        fn running_old() -> Fake {
            let esp = BTreeMap::from([("shop_1.0.0.efi".to_owned(), (OLD, true))]);
            Fake { esp, slot: None, content: None, running: OLD, journal: Vec::new(), steps: usize::MAX }
        }

        fn step(&mut self) -> io::Result<()> {
            self.steps = self.steps.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(())
        }

        /// The boot loader: the newest entry with tries left, and whatever starts. Counts down; a start that fails restarts.
        fn boot(&mut self) -> Sha256Digest {
            for _ in 0..10 {
                let key = |name: &String, hash: &Sha256Digest| {
                    (tries(name).is_none_or(|(left, _)| left > 0), hash.0)
                };
                let revealed = self.esp.iter().filter(|(_, (_, revealed))| *revealed);
                let chosen = revealed.max_by_key(|(name, (hash, _))| key(name, hash));
                let (name, (hash, _)) = chosen.expect("law 4: something boots");
                let (name, hash) = (name.clone(), *hash);
                if let Some((left, done)) = tries(&name).filter(|(left, _)| *left > 0) {
                    let entry = self.esp.remove(&name).expect("chosen");
                    let base = name.rsplit_once('+').expect("counted").0.to_owned();
                    self.esp.insert(format!("{base}+{}-{}.efi", left - 1, done + 1), entry);
                }
                let in_slot = self.slot == Some(hash) && self.content == Some(hash);
                if hash == self.running || in_slot {
                    return hash;
                }
                assert!(tries(&name).is_some(), "law 4: an entry that is not counted and does not start");
            }
            panic!("law 4: nothing starts");
        }
    }

    impl World for Fake {
        fn entries(&mut self) -> io::Result<Vec<Entry>> {
            let entry = |(name, (hash, revealed)): (&String, &(Sha256Digest, bool))| Entry {
                name: name.clone(),
                root_hash: revealed.then_some(*hash),
            };
            Ok(self.esp.iter().map(entry).collect())
        }

        fn place(&mut self, name: &str, source: &Source) -> io::Result<()> {
            let hash = match source {
                Source::Staged => NEW,
                Source::Entry(name) => self.esp[name].0,
            };
            // Also a cut one leaves the file.
            self.esp.insert(name.to_owned(), (hash, false));
            self.step()
        }

        fn reveal(&mut self, name: &str, _: &Source) -> io::Result<()> {
            self.step()?;
            self.esp.get_mut(name).expect("placed before").1 = true;
            Ok(())
        }

        fn remove(&mut self, name: &str) -> io::Result<()> {
            self.step()?;
            self.esp.remove(name).expect("it is there");
            Ok(())
        }

        fn mark_slot(&mut self, root_hash: Option<&Sha256Digest>) -> io::Result<()> {
            self.step()?;
            self.slot = root_hash.copied();
            Ok(())
        }

        fn record(&mut self, record: &Record) -> io::Result<()> {
            self.step()?;
            self.journal.push(record.clone());
            Ok(())
        }
    }

    fn record(stage: LifeStage) -> Record {
        let side = |version: &str, root_hash| Side {
            version: version.to_owned(),
            root_hash,
            state_format: StateFormat::default(),
        };
        Record {
            time: 0,
            stage,
            to: side("1.0.1", NEW),
            release: ReleaseId(Sha256Digest([9; 32])),
            from: side("1.0.0", OLD),
            reason: None,
            boot: "first".to_owned(),
            restart: None,
        }
    }

    fn stage(world: &mut Fake) -> io::Result<()> {
        for stage in [LifeStage::Offered, LifeStage::Verified, LifeStage::Approved] {
            world.record(&record(stage))?;
        }
        invalidate(world, &OLD)?;
        world.content = None;
        world.step()?;
        world.content = Some(NEW);
        world.mark_slot(Some(&NEW))?;
        world.record(&record(LifeStage::Staged))
    }

    #[test]
    fn a_cut_at_any_step_of_staging_and_arming_leaves_the_old_release_or_the_new_one() {
        let mut before = Fake::running_old();
        // What an earlier patch has left.
        before.esp.insert("shop_0.9.0.efi".to_owned(), (Sha256Digest([0; 32]), true));
        before.esp.insert("shop_0.9.1+2.efi".to_owned(), (Sha256Digest([7; 32]), false));
        let mut steps = 0;
        loop {
            let mut world = Fake { steps, ..before.clone() };
            let done = stage(&mut world).and_then(|()| arm(&mut world, &record(LifeStage::Armed), NAME));
            world.steps = usize::MAX;
            let booted = world.boot();
            match life::fold(&world.journal).map(|life| life.stage()) {
                Some(LifeStage::Armed) => assert_eq!(booted == NEW, done.is_ok(), "cut after {steps}"),
                _ => assert_eq!(booted, OLD, "cut after {steps}: it was not armed"),
            }
            if done.is_ok() {
                assert_eq!(booted, NEW);
                break;
            }
            // The next try begins anew, and ends.
            world.journal.clear();
            stage(&mut world)
                .and_then(|()| arm(&mut world, &record(LifeStage::Armed), NAME))
                .expect("no cut");
            assert_eq!(world.boot(), NEW, "cut after {steps}");
            steps += 1;
        }
        assert!(steps >= 10, "every step was cut, {steps}");
    }

    fn on_trial() -> Fake {
        let mut world = Fake::running_old();
        stage(&mut world).expect("no cut");
        arm(&mut world, &record(LifeStage::Armed), NAME).expect("no cut");
        assert_eq!(world.boot(), NEW);
        (world.running, world.slot, world.content) = (NEW, Some(OLD), Some(OLD));
        world.record(&record(LifeStage::Trial)).expect("no cut");
        world
    }

    #[test]
    fn a_cut_while_confirming_leaves_the_new_release_running() {
        let before = on_trial();
        let mut steps = 0;
        loop {
            let mut world = Fake { steps, ..before.clone() };
            let done = confirm(&mut world, &NEW, &record(LifeStage::Confirmed), NAME);
            world.steps = usize::MAX;
            assert_eq!(world.boot(), NEW, "cut after {steps}");
            let is_confirmed = life::fold(&world.journal).expect("a life").stage() == LifeStage::Confirmed;
            if is_confirmed {
                remove_counted(&mut world, &NEW).expect("no cut");
            } else {
                confirm(&mut world, &NEW, &record(LifeStage::Confirmed), NAME).expect("no cut");
            }
            for _ in 0..5 {
                assert_eq!(world.boot(), NEW, "cut after {steps}: it stays");
            }
            if done.is_ok() {
                break;
            }
            steps += 1;
        }
        assert!(steps >= 4, "every step was cut, {steps}");
    }

    #[test]
    fn what_does_not_start_is_given_up_after_its_tries() {
        let mut world = Fake::running_old();
        stage(&mut world).expect("no cut");
        arm(&mut world, &record(LifeStage::Armed), NAME).expect("no cut");
        world.content = None;
        assert_eq!(world.boot(), OLD);
        assert!(world.esp.contains_key("shop_1.0.1+0-2.efi"), "{:?}", world.esp);
    }

    #[test]
    fn a_cut_while_a_release_is_set_aside_leaves_one_that_boots() {
        for steps in 0..3 {
            let mut world = Fake { steps, ..on_trial() };
            let done = set_aside(&mut world, &NEW);
            world.steps = usize::MAX;
            if done.is_err() {
                world.boot();
                set_aside(&mut world, &NEW).expect("no cut");
            }
            assert_eq!(world.boot(), OLD, "cut after {steps}");
        }
    }

    #[test]
    fn the_only_release_is_never_taken_from_the_boot_loader() {
        assert!(set_aside(&mut Fake::running_old(), &OLD).is_err());
    }

    #[test]
    fn counters_are_read_from_file_names() {
        assert_eq!(counted_name(NAME), "shop_1.0.1+2.efi");
        assert_eq!(tries("shop_1.0.1+2.efi"), Some((2, 0)));
        assert_eq!(tries("shop_1.0.1+0-2.efi"), Some((0, 2)));
        assert_eq!(tries(NAME), None);
        assert_eq!(tries("shop_1.0.1+x.efi"), None);
    }
}
