//! From an offer to an armed patch.

use std::io;

use update::precheck::Rates;

use super::stage::StageError;
use super::*;
use crate::next_root;

impl Engine<'_> {
    /// The whole way of a patch. What fails before it is armed leaves the running release as it is.
    pub(super) fn install(
        &mut self,
        planned: &Planned,
        then: Option<Restart>,
        by: &str,
    ) -> Result<(), String> {
        let id = planned.release.id();
        let to = Side {
            version: planned.release.version.clone(),
            root_hash: planned.statement.image.root_hash,
            state_format: planned.statement.state_format,
        };
        let base = Record {
            time: 0,
            stage: LifeStage::Offered,
            to,
            release: id,
            from: self.updater().own.clone(),
            reason: None,
            boot: String::new(),
            restart: then,
        };
        let is_staged = self.is_staged(&base);
        if !matches!(is_staged, Ok(true)) {
            self.act("offered", 0, 0);
            self.keep(LifeStage::Offered, &base, None)?;
            // After it began, so that the history has an end to tell.
            is_staged?;
            self.stage(planned, &base, by)?;
        }
        if let Some(wanted) = then {
            self.arm(planned, &base, wanted)?;
        }
        Ok(())
    }

    /// Whether the slot holds this release already, from this one.
    pub(super) fn is_staged(&self, base: &Record) -> Result<bool, String> {
        let state = self.updater().lock();
        let is_known = state.life.as_ref().is_some_and(|life| {
            life.stage() == LifeStage::Staged
                && life.last.release == base.release
                && life.last.from == base.from
        });
        drop(state);
        let disk = SystemDisk::find(self.own()).map_err(|error| explain(&error))?;
        Ok(is_known && disk.holds(&base.to.root_hash) && self.updater().files()?.uki().exists())
    }

    pub(super) fn stage(&mut self, planned: &Planned, base: &Record, by: &str) -> Result<(), String> {
        self.act("verify", 0, 0);
        let checked = precheck_for(self.host, planned)?;
        if let Some(problem) = checked.problems.first() {
            return Err(format!("{}: {}", problem.subject, problem.text));
        }
        self.keep(LifeStage::Verified, base, None)?;
        let approved = self.admit(base)?.map(|who| format!("{by}; {who}"));
        self.keep(LifeStage::Approved, base, Some(approved.unwrap_or_else(|| by.to_owned())))?;
        let own = *self.own();
        let files = self.updater().files()?.clone();
        let mut way = planned.patch.clone();
        self.download(&way)?;

        self.act("invalidate", 0, 0);
        snapshots::remove_kept(files.data()).map_err(|error| explain(&error))?;
        self.with_world(|world| flow::invalidate(world, &own))?;
        while let Err(error) = self.write(planned, &way) {
            // What can not be applied once can not be applied again: the next attempt downloads it anew.
            files.remove_objects(None);
            // A patch that is none for this release must not keep the appliance from it for ever.
            way = full_instead(planned, &way, &error).ok_or_else(|| explain(&error))?;
            self.download(&way)?;
        }

        self.act("mark", 0, 0);
        self.with_world(|world| world.mark_slot(Some(&planned.statement.image.root_hash)))?;
        self.keep(LifeStage::Staged, base, None)?;
        files.remove_objects(None);
        self.show_slots();
        Ok(())
    }

    /// Who approved it, where somebody has to; an error when they do not.
    fn admit(&self, base: &Record) -> Result<Option<String>, String> {
        words::admit(self.updater(), &self.host.choices(), base.release, self.host.now())
    }

    /// The object on data, whole.
    fn download(&mut self, way: &PatchRef) -> Result<(), String> {
        let files = self.updater().files()?.clone();
        let object = files.object(&way.object.sha256);
        files.remove_objects(Some(&object));
        let (began, size) = (Instant::now(), way.object.size);
        self.act("download", 0, size);
        if object.exists() {
            return Ok(());
        }
        let (depot, _, _) = depot(self.host)?;
        depot
            .download(&way.object, &object, &mut |done| self.act("download", done, size))
            .map_err(|error| full_or(&error))?;
        files.keep_rates(&Rates { download: rate(size, began), ..files.rates() });
        Ok(())
    }

    /// The release in the inactive slot and its UKI on data, both proved against the statement.
    fn write(&mut self, planned: &Planned, way: &PatchRef) -> Result<(), StageError> {
        let (own, statement) = (*self.own(), &planned.statement);
        let files = self.updater().files().map_err(io::Error::other)?.clone();
        let disk = SystemDisk::find(&own)?;
        let (root, hashes, active) =
            (disk.node(&disk.root)?, disk.node(&disk.verity)?, disk.node(&disk.active)?);
        let (began, total) = (Instant::now(), statement.image.root_size + statement.uki.size);
        self.act("write", 0, total);
        let esp = Esp::mount(&disk.node(&disk.esp)?)?;
        let uki = esp.uki_of(&own)?;
        let running = apply::Running { root: &active, uki: &uki, root_hash: own };
        apply::apply(
            &files.object(&way.object.sha256),
            &running,
            statement,
            (&root, &files.uki()),
            memory_available(),
            &mut |done| self.act("write", done, total),
        )?;
        drop(esp);
        let size = statement.image.root_size;
        self.act("read back", 0, size);
        stage::prove(statement, &root, &hashes, &mut |done| self.act("read back", done, size))?;
        stage::prove_uki(statement, &files.uki())?;
        files.keep_rates(&Rates { write: rate(size, began), ..files.rates() });
        Ok(())
    }

    pub(super) fn arm(&mut self, planned: &Planned, base: &Record, wanted: Restart) -> Result<(), String> {
        self.act("arm", 0, 0);
        // They may have changed their minds since it was staged.
        self.admit(base)?;
        let staged = self.updater().files()?.uki();
        let (restart, why) = self.restart_into(&base.to.root_hash, wanted, |_| Ok(staged));
        let record = self.record(LifeStage::Armed, base, Some(why));
        let files = self.updater().files()?;
        // The mark of an earlier try would speak for this one.
        Mark::default().save(files.data()).map_err(|error| explain(&error))?;
        self.with_world(|world| flow::arm(world, &record, planned.statement.uki.name.as_str()))
            .inspect(|()| self.updater().note(&record))?;
        self.act("restart", 0, 0);
        self.host.restart(restart)
    }

    /// How it restarts into the other slot, and why, for the history. `uki` finds the UKI that boots the other slot. The
    /// machine can always be restarted: whatever keeps user space from restarting alone is no failure.
    pub(super) fn restart_into(
        &self,
        to: &Sha256Digest,
        wanted: Restart,
        uki: impl FnOnce(&Esp) -> io::Result<PathBuf>,
    ) -> (Restart, String) {
        let units = Path::new(RUNTIME_UNITS);
        next_root::take_back(units);
        next_root::let_go(to);
        let obstacle = match wanted {
            Restart::Machine => Ok(Some("somebody asked for it")),
            Restart::Shortest => SystemDisk::find(self.own()).and_then(|disk| {
                let esp = Esp::mount(&disk.node(&disk.esp)?)?;
                next_root::obstacle(to, &esp.uki_of(self.own())?, &uki(&esp)?)
            }),
        };
        let ordered = match obstacle {
            Ok(None) => next_root::order(units, to)
                .map_err(|error| explain(&error))
                .and_then(|()| units::systemctl(&["daemon-reload"], UNIT_TIME)),
            Ok(Some(why)) => Err(why.to_owned()),
            Err(error) => Err(explain(&error)),
        };
        match ordered {
            Ok(()) => {
                // What services will read must leave room for what they are.
                next_root::read_ahead(memory_available() / 2);
                (Restart::Shortest, "user space restarts alone".to_owned())
            }
            Err(why) => {
                next_root::take_back(units);
                next_root::let_go(to);
                (Restart::Machine, format!("the machine restarts: {why}"))
            }
        }
    }
}

/// The full image, when a patch turned out to lead somewhere else.
fn full_instead(planned: &Planned, way: &PatchRef, error: &StageError) -> Option<PatchRef> {
    use StageError::{Patch, RootHash, Uki};
    if way.from.is_none() || !matches!(error, Patch(_) | RootHash { .. } | Uki { .. }) {
        return None;
    }
    let memory = memory_available();
    let full = planned.release.patches.iter().filter(|it| it.from.is_none() && it.memory <= memory);
    full.min_by_key(|it| it.object.size).cloned()
}

fn rate(bytes: u64, began: Instant) -> u64 {
    bytes * 1000 / u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}

fn full_or(error: &crate::update::depot::DepotError) -> String {
    match error {
        crate::update::depot::DepotError::Disk(error) if apply::is_full(error) => {
            "the data disk is full; nothing that was on it is lost".to_owned()
        }
        error => explain(error),
    }
}
