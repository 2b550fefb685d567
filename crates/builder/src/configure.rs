//! From staged packages to a configured root: places packages in apt's order and runs their scripts.
//!
//! 1. The packages up to the last essential one are placed, their `preinst` scripts run by hand (there is no system yet
//!    that could run them before), and dpkg configures them.
//! 2. Every other package follows in apt's order: first what it pre-depends on is configured, then its `preinst` runs,
//!    then its files are placed, diversions obeyed. This is what dpkg does, with renames for unpacking.
//! 3. dpkg configures all of them in one run, triggers at its end.

mod answers;
mod dpkg;
mod scripts;
mod stand_in;

pub use scripts::{Chroot, EPOCH_VARIABLE};

use std::collections::{BTreeMap, BTreeSet};

use crate::base::BaseError;
use crate::base::error::At;
use crate::unpack::Staging;
use crate::unpack::control::Control;
use crate::unpack::database::Database;
use crate::unpack::place::Placer;
use crate::unpack::stage::{Staged, StagedDocument};
use stand_in::StandIns;
use tree::trim::Report;

/// What is left to do after configuring.
pub struct Configured {
    /// Knows what packages placed.
    pub placer: Placer,
    /// What early rules left out.
    pub trimmed: Report,
    /// Contents kept for documents, with the package.
    pub documents: Vec<(String, StagedDocument)>,
}

/// Told what is going on.
pub trait Listener {
    /// A package's files are in place.
    fn placed(&self, package: &str);
    /// A package's `postinst` begins.
    fn configuring(&self, package: &str);
    /// Everything is placed.
    fn all_placed(&self) {}
}

/// Places and configures `count` packages; the first `essential` of them bootstrap the root.
///
/// `chroot` is made ready (its `/proc`, `/dev`) by `prepare` as soon as the directories for it exist.
pub fn configure(
    chroot: &Chroot,
    staging: &mut Staging<'_>,
    (essential, count): (usize, usize),
    listener: &dyn Listener,
    prepare: &mut dyn FnMut() -> Result<(), BaseError>,
) -> Result<Configured, BaseError> {
    let placer = Placer::new(&chroot.root)?;
    let database = Database::new(&chroot.root)?;
    let mut work = Work {
        chroot,
        listener,
        stand_ins: StandIns::new(&chroot.root),
        placer,
        database,
        unconfigured: BTreeMap::new(),
        trimmed: Report::default(),
        documents: Vec::new(),
    };
    let bootstrap: Vec<Staged> = (0..essential).map(|index| staging.take(index)).collect::<Result<_, _>>()?;
    for staged in &bootstrap {
        work.place(staged)?;
    }
    work.database.flush()?;
    work.make_first_links()?;
    prepare()?;
    work.stand_ins.install()?;
    for staged in &bootstrap {
        work.preinst(staged)?;
    }
    for staged in bootstrap {
        work.keep(staged);
    }
    for first in ["base-passwd", "base-files"] {
        if work.unconfigured.contains_key(first) {
            work.dpkg(&["--force-depends", "--configure", first])?;
        }
    }
    work.dpkg(&["--force-depends", "--configure", "-a"])?;
    work.unconfigured.clear();
    for index in essential..count {
        let staged = staging.take(index)?;
        if staged.files.contains_key("preinst") {
            work.configure_pre_dependencies(&staged.control)?;
            work.preinst(&staged)?;
        }
        work.place(&staged)?;
        work.keep(staged);
    }
    work.database.flush()?;
    answers::write(&chroot.root)?;
    listener.all_placed();
    work.dpkg(&["--configure", "-a"])?;
    work.depmod()?;
    work.stand_ins.restore()?;
    Ok(Configured { placer: work.placer, trimmed: work.trimmed, documents: work.documents })
}

struct Work<'a> {
    chroot: &'a Chroot,
    listener: &'a dyn Listener,
    stand_ins: StandIns,
    placer: Placer,
    database: Database,
    unconfigured: BTreeMap<String, Control>,
    trimmed: Report,
    documents: Vec<(String, StagedDocument)>,
}

impl Work<'_> {
    fn place(&mut self, staged: &Staged) -> Result<(), BaseError> {
        self.placer.place(staged)?;
        self.database.record(staged)?;
        self.trimmed.add(&staged.trimmed);
        self.listener.placed(&staged.control.name);
        Ok(())
    }

    fn keep(&mut self, staged: Staged) {
        let name = staged.control.name.clone();
        self.documents.extend(staged.documents.into_iter().map(|document| (name.clone(), document)));
        self.unconfigured.insert(name, staged.control);
    }

    /// `/bin/sh` and `awk` are made by scripts that need them. dpkg's own bootstrap tools do the same.
    fn make_first_links(&self) -> Result<(), BaseError> {
        for (link, target) in [("usr/bin/sh", "dash"), ("usr/bin/awk", "mawk")] {
            let path = self.chroot.root.join(link);
            let target_exists = path.with_file_name(target).exists();
            if target_exists && path.symlink_metadata().is_err() {
                std::os::unix::fs::symlink(target, &path).at("create", &path)?;
            }
        }
        Ok(())
    }

    fn preinst(&mut self, staged: &Staged) -> Result<(), BaseError> {
        if !staged.files.contains_key("preinst") {
            return Ok(());
        }
        self.database.flush()?;
        let area = self.database.write_preinst_area(&staged.files)?;
        let result = scripts::run_preinst(self.chroot, &staged.control);
        std::fs::remove_dir_all(&area).at("remove", &area)?;
        result
    }

    fn dpkg(&mut self, arguments: &[&str]) -> Result<(), BaseError> {
        self.stand_ins.install()?;
        dpkg::run(self.chroot, arguments, &|package| self.listener.configuring(package))
    }

    /// Configures what `control` pre-depends on, with everything that depends on in turn.
    fn configure_pre_dependencies(&mut self, control: &Control) -> Result<(), BaseError> {
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut pending: Vec<&Vec<String>> = control.pre_depends.iter().collect();
        while let Some(alternatives) = pending.pop() {
            let found = alternatives.iter().find_map(|name| {
                let provider =
                    |(_, other): &(&String, &Control)| other.name == *name || other.provides.contains(name);
                self.unconfigured.iter().find(provider).map(|(name, control)| (name.clone(), control))
            });
            if let Some((name, control)) = found
                && wanted.insert(name)
            {
                pending.extend(control.depends.iter().chain(&control.pre_depends));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.database.flush()?;
        let mut arguments = vec!["--configure"];
        arguments.extend(wanted.iter().map(String::as_str));
        self.dpkg(&arguments)?;
        self.unconfigured.retain(|name, _| !wanted.contains(name));
        Ok(())
    }

    /// Kernel packages run it in their `postinst`; where one did not, modules could not be found.
    fn depmod(&self) -> Result<(), BaseError> {
        let modules = self.chroot.root.join("usr/lib/modules");
        let Ok(versions) = std::fs::read_dir(&modules) else { return Ok(()) };
        for version in versions {
            let version = version.at("read", &modules)?;
            let has_program = self.chroot.root.join("usr/sbin/depmod").exists();
            if version.path().join("modules.order").exists()
                && !version.path().join("modules.dep.bin").exists()
                && has_program
            {
                let name = version.file_name().to_string_lossy().into_owned();
                scripts::run_tool(self.chroot, "depmod", &["/usr/sbin/depmod", &name])?;
            }
        }
        Ok(())
    }
}
