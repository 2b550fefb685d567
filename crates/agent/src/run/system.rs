//! A change of settings on the running system.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use model::definition::SettingsCheck;

use crate::render::{self, LIST_PATH, RenderedFile};
use crate::settings::change::{System, UnitFailure, UnitPlan};
use crate::{staged, units};

/// The system itself.
pub struct RunningSystem {
    /// The maker's check.
    pub check: Option<SettingsCheck>,
}

impl System for RunningSystem {
    fn check(&mut self, files: &[RenderedFile]) -> Result<(), String> {
        match &self.check {
            Some(check) => staged::check(files, &check.command),
            None => Ok(()),
        }
    }

    fn place(&mut self, files: &[RenderedFile], hostname: &str) -> io::Result<()> {
        let changed: Vec<RenderedFile> = files.iter().filter(|file| !is_in_place(file)).cloned().collect();
        render::place(Path::new("/"), &changed)?;
        let known = fs::read(LIST_PATH)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<BTreeSet<String>>(&bytes).ok());
        let paths = files.iter().map(|file| file.path.clone());
        let paths: BTreeSet<String> = known.unwrap_or_default().into_iter().chain(paths).collect();
        fs::write(LIST_PATH, serde_json::to_vec(&paths).map_err(io::Error::other)?)?;
        Ok(rustix::system::sethostname(hostname.as_bytes())?)
    }

    fn apply(&mut self, plan: &UnitPlan) -> Result<(), UnitFailure> {
        units::apply(plan)
    }
}

/// Files that stay the same keep their times: some services watch them.
fn is_in_place(file: &RenderedFile) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(&file.path).is_ok_and(|found| {
        found.mode() & 0o7777 == file.mode && found.uid() == file.user && found.gid() == file.group
    }) && fs::read(&file.path).is_ok_and(|bytes| bytes == file.content.as_bytes())
}
