//! Changing settings: the whole configuration is judged before anything is touched.
//!
//! **Steps of a change.** Until step 4 nothing has changed:
//! 1. texts are read by their types, the whole document is judged, keys are held against their certificates;
//! 2. templates are rendered in memory;
//! 3. the maker's check command sees the rendered files in a file system view of its own;
//! 4. the version is committed: after a power cut the next boot renders it;
//! 5. rendered files are replaced;
//! 6. units named by the changed settings are restarted or reloaded. When one fails, the version is taken back, the old
//!    files are rendered again and the units restarted with them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use model::builtin;
use model::control::{HistoryEntry, Refusal, SettingState};
use model::definition::SettingValues;
use model::settings::Setting;
use model::settings::validate::{Violation, read_value, unknown_setting, validate_document};

use update::approval::Officers;
use update::window::Window;

use super::former;
use super::pairs;
use super::resolve::Effective;
use super::store::{Layers, Store, Version};
use crate::init::report::chain;
use crate::render::{RenderedFile, Renderer};

/// What a change does to the running system.
pub trait System {
    /// Runs the maker's check with the files in place for it alone. Returns what it printed when it refused.
    fn check(&mut self, files: &[RenderedFile]) -> Result<(), String>;
    /// Replaces rendered files, all or none, and the host name.
    fn place(&mut self, files: &[RenderedFile], hostname: &str) -> io::Result<()>;
    /// Restarts or reloads units in this order, and waits. Stops at the first that fails.
    fn apply(&mut self, units: &UnitPlan) -> Result<(), UnitFailure>;
}

/// Units a change concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitPlan {
    /// Restarted, in order of names.
    pub restarts: Vec<String>,
    /// Reloaded; units that are restarted are not among them.
    pub reloads: Vec<String>,
}

impl UnitPlan {
    /// Units named by the changed settings.
    pub fn of(settings: &[Setting], changed: &[String]) -> UnitPlan {
        let concerned = || settings.iter().filter(|setting| changed.contains(&setting.name));
        let restarts: BTreeSet<_> = concerned().flat_map(|setting| setting.restarts.clone()).collect();
        let reloads: BTreeSet<_> = concerned().flat_map(|setting| setting.reloads.clone()).collect();
        let reloads = reloads.difference(&restarts).cloned().collect();
        UnitPlan { restarts: restarts.into_iter().collect(), reloads }
    }

    fn all(&self) -> Vec<String> {
        self.restarts.iter().chain(&self.reloads).cloned().collect()
    }
}

/// A unit that did not come up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFailure {
    /// The unit.
    pub unit: String,
    /// Why, in its own words.
    pub output: String,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Number of the version in use.
    pub version: u64,
    /// Settings that changed.
    pub changed: Vec<String>,
    /// Units that were restarted or reloaded.
    pub units: Vec<String>,
}

/// The settings of the running appliance.
pub struct Settings {
    renderer: Renderer,
    store: Store,
    current: Version,
    generated: SettingValues,
    effective: Effective,
}

impl Settings {
    /// The settings as they are stored; `ampoule-agent render` has committed a version before.
    pub fn load(renderer: Renderer, store: Store) -> io::Result<Settings> {
        let generated = store.generated()?;
        let current = store.current()?.unwrap_or_default();
        let mut layers = current.layers.clone();
        // Notices of it were made when the settings were rendered.
        super::resolve::retain_valid(&mut layers, &renderer.definition.settings);
        let effective = Effective::resolve(&renderer.definition.settings, &generated, &layers);
        Ok(Settings { renderer, store, current, generated, effective })
    }

    /// The renderer with the definition.
    pub fn renderer(&self) -> &Renderer {
        &self.renderer
    }

    /// Number of the version in use.
    pub fn version(&self) -> u64 {
        self.current.version
    }

    /// Host name by the settings.
    pub fn hostname(&self) -> String {
        self.renderer.hostname(self.effective.values())
    }

    /// Values in use, secrets among them.
    pub fn values(&self) -> &SettingValues {
        self.effective.values()
    }

    /// Values that somebody gave, whatever this release makes of them.
    pub fn given(&self) -> SettingValues {
        let Layers { hypervisor, seed, customer } = self.current.layers.clone();
        hypervisor.into_iter().chain(seed).chain(customer).collect()
    }

    /// All settings without secrets.
    pub fn states(&self) -> Vec<SettingState> {
        self.effective.states(&self.renderer.definition.settings)
    }

    /// Versions, newest first.
    pub fn history(&self) -> io::Result<Vec<HistoryEntry>> {
        let entry = |version: Version| HistoryEntry {
            version: version.version,
            time: version.time,
            changed: version.changed,
            by: version.by,
            current: version.version == self.current.version,
        };
        Ok(self.store.versions()?.into_iter().map(entry).collect())
    }

    /// Changes settings, all or none. `now` is in seconds since 1970.
    pub fn set(
        &mut self,
        changes: &BTreeMap<String, String>,
        now: u64,
        system: &mut dyn System,
    ) -> Result<Changed, Refusal> {
        let mut layers = self.current.layers.clone();
        former::take_over_all(&mut layers, &self.renderer.definition.settings);
        for (name, text) in changes {
            let settings = &self.renderer.definition.settings;
            let value = match settings.iter().find(|setting| &setting.name == name) {
                Some(setting) => check_own(name, text).and_then(|()| read_value(setting, text)),
                None => Err(unknown_setting(settings, name)),
            };
            layers.customer.insert(name.clone(), value.map_err(|violation| refusal(&violation))?);
        }
        self.change(layers, None, "api".to_owned(), now, system)
    }

    /// Returns to the version before the one in use. Undone again, it goes one further back.
    pub fn undo(&mut self, now: u64, system: &mut dyn System) -> Result<Changed, Refusal> {
        let read = |number| self.store.version(number).map_err(|error| broken(&error));
        let mut undone = self.current.version;
        // The content in use is that of the oldest version that undos have led to.
        while let Some(restores) = read(undone)?.and_then(|version| version.restores) {
            undone = restores;
        }
        let target = match undone.checked_sub(1).filter(|&number| number > 0) {
            Some(number) => read(number)?,
            None => None,
        };
        let Some(target) = target else {
            return Err(plain("there is no earlier version of the settings"));
        };
        let by = format!("undo of {undone}");
        self.change(target.layers, Some(target.version), by, now, system)
    }

    fn change(
        &mut self,
        layers: Layers,
        restores: Option<u64>,
        by: String,
        now: u64,
        system: &mut dyn System,
    ) -> Result<Changed, Refusal> {
        let settings = self.renderer.definition.settings.clone();
        // Step 1.
        let mut usable = layers.clone();
        super::resolve::retain_valid(&mut usable, &settings);
        let effective = Effective::resolve(&settings, &self.generated, &usable);
        let changed = self.effective.changes(&effective, &settings);
        if changed.is_empty() && restores.is_none() {
            return Ok(Changed { version: self.current.version, changed, units: Vec::new() });
        }
        if let Some(violation) = validate_document(&settings, effective.values()).first() {
            return Err(refusal(violation));
        }
        if let Some(mismatch) = pairs::find_mismatch(&settings, effective.values()) {
            return Err(Refusal {
                message: format!(
                    "`{}` and `{}` can not be used: {}",
                    mismatch.certificate, mismatch.key, mismatch.rule
                ),
                setting: Some(mismatch.certificate),
                rule: Some(mismatch.rule),
                output: None,
            });
        }
        // Step 2.
        let files = self.render(&effective).map_err(|why| plain(&why))?;
        // Step 3.
        system.check(&files).map_err(|output| Refusal {
            message: "the appliance's own check refuses these settings".to_owned(),
            setting: changed.first().filter(|_| changed.len() == 1).cloned(),
            rule: None,
            output: Some(output),
        })?;
        // Step 4.
        let mut layers = layers;
        former::give_back_all(&mut layers, &settings);
        let version = Version {
            version: self.current.version + 1,
            time: now,
            by,
            changed: changed.clone(),
            restores,
            layers,
        };
        self.store.commit(&version).map_err(|error| broken(&error))?;
        // Steps 5 and 6.
        let plan = UnitPlan::of(&settings, &changed);
        let hostname = self.renderer.hostname(effective.values());
        let placed = system.place(&files, &hostname).map_err(|error| broken(&error));
        let applied = placed.and_then(|()| {
            system.apply(&plan).map_err(|failure| Refusal {
                message: format!("{} does not start with these settings", failure.unit),
                setting: changed.first().filter(|_| changed.len() == 1).cloned(),
                rule: None,
                output: Some(failure.output),
            })
        });
        if let Err(refusal) = applied {
            return Err(self.take_back(version.version, &plan, refusal, system));
        }
        self.current = version;
        self.effective = effective;
        Ok(Changed { version: self.current.version, changed, units: plan.all() })
    }

    /// The way back from steps 4 to 6. What fails on it is told with the reason.
    fn take_back(
        &mut self,
        committed: u64,
        plan: &UnitPlan,
        mut refusal: Refusal,
        system: &mut dyn System,
    ) -> Refusal {
        let mut trouble: Vec<String> = Vec::new();
        if let Err(error) = self.store.take_back(committed, self.current.version) {
            trouble.push(format!("the stored version could not be taken back: {error}"));
        }
        let placed = self
            .render(&self.effective)
            .and_then(|files| system.place(&files, &self.hostname()).map_err(|error| error.to_string()));
        if let Err(why) = placed {
            trouble.push(format!("the old files could not be put back: {why}"));
        }
        if let Err(failure) = system.apply(plan) {
            trouble.push(format!(
                "{} does not start with the old settings either: {}",
                failure.unit, failure.output
            ));
        }
        if !trouble.is_empty() {
            refusal.message = format!("{}; {}", refusal.message, trouble.join("; "));
        }
        refusal
    }

    fn render(&self, effective: &Effective) -> Result<Vec<RenderedFile>, String> {
        let files: Result<Vec<_>, _> = self.renderer.templates(effective.values()).into_iter().collect();
        let mut files = files.map_err(|error| chain(&error))?;
        let image = crate::render::ImageNetwork::look(std::path::Path::new("/"));
        files.extend(self.renderer.own_files(effective.values(), image));
        Ok(files)
    }
}

/// What the rules of the built-in settings let through and what means nothing: a window with an unknown day, or no time between the two;
/// officers without keys.
fn check_own(name: &str, text: &str) -> Result<(), Violation> {
    let rule = match name {
        builtin::WINDOW => text.parse::<Window>().err().map(|why| why.to_string()),
        // How many of them are needed is another setting, and may be changed after this one.
        builtin::OFFICERS => Officers::parse(text, 0).err().map(|why| chain(&why)),
        _ => None,
    };
    let value = || Some(text.chars().take(builtin::WINDOW_LIMIT as usize).collect());
    rule.map_or(Ok(()), |rule| Err(Violation::Refused { setting: name.to_owned(), value: value(), rule }))
}

fn refusal(violation: &Violation) -> Refusal {
    Refusal {
        message: violation.to_string(),
        setting: Some(violation.setting().to_owned()),
        rule: Some(violation.rule()),
        output: None,
    }
}

fn plain(message: &str) -> Refusal {
    Refusal { message: message.to_owned(), setting: None, rule: None, output: None }
}

fn broken(error: &io::Error) -> Refusal {
    plain(&format!("the settings can not be stored or written: {error}"))
}

#[cfg(test)]
mod tests;
