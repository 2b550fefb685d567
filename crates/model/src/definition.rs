//! The definition as a value: what a maker writes in `appliance.toml`.
//!
//! These are plain data. Reading them from TOML with positions, and every check, is in `parse` and `check`.
//! The same value, as JSON, is sealed into the image at [`SEALED_PATH`], where `init` and the agent read it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::settings::Setting;
use crate::size::ByteSize;

/// Where the definition lies in the image, as JSON.
pub const SEALED_PATH: &str = "usr/lib/ampoule/definition.json";
/// The folder of the template texts in the image; the file's name is the template's index, four digits.
pub const SEALED_TEMPLATES: &str = "usr/lib/ampoule/templates";

/// The folder of what the appliance trusts, in the image.
pub const SEALED_TRUST: &str = "usr/lib/ampoule/trust";
/// Names of the files in it: the root of the maker's roles, and the ledger's policy.
pub const TRUST_ROOT: &str = "root.json";
/// See [`TRUST_ROOT`].
pub const TRUST_LEDGER: &str = "ledger.policy";

/// Everything a maker declares about an appliance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Definition {
    /// `[appliance]`
    pub appliance: Identity,
    /// `[base]`
    pub base: Base,
    /// `[[files]]`
    pub files: Vec<PlacedFiles>,
    /// `[[users]]`
    pub users: Vec<SystemUser>,
    /// `[units]`
    pub units: Units,
    /// `[[templates]]`
    pub templates: Vec<Template>,
    /// `[settings.NAME]`, in the order they are written: forms show them in it.
    pub settings: Vec<Setting>,
    /// `[settings-check]`: the maker's own check of a whole configuration, such as `apachectl configtest`.
    pub settings_check: Option<SettingsCheck>,
    /// `[[ports]]`
    pub ports: Vec<Port>,
    /// `[[state]]`
    pub state: Vec<StateDirectory>,
    /// `[state-format]`
    #[serde(default)]
    pub state_format: StateFormat,
    /// `[updates]`
    #[serde(default)]
    pub updates: Updates,
    /// `[trust]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,
    /// `[[health]]`
    pub health: Vec<HealthCheck>,
    /// `[trim]`
    pub trim: Trim,
    /// `[[components]]`
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<NamedComponent>,
    /// `[sbom]`
    #[serde(default, skip_serializing_if = "SbomSources::is_empty")]
    pub sbom: SbomSources,
    /// `[resources]`
    pub resources: Resources,
}

/// Who made the appliance and what it is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Identity {
    /// Lower-case letters, digits and hyphens.
    pub vendor: String,
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Three numbers with dots, and an optional pre-release after a hyphen: `1.4.0`, `2.0.0-rc.1`.
    pub version: String,
    /// One sentence.
    pub summary: String,
    /// An e-mail address for support.
    pub contact: Option<String>,
    /// Where people read more.
    pub url: Option<String>,
    /// The last day of support, `YYYY-MM-DD`.
    pub end_of_support: Option<String>,
}

impl Identity {
    /// `vendor/name`: which appliance it is, whatever its version. Written on the data partition at first boot.
    pub fn id(&self) -> String {
        format!("{}/{}", self.vendor, self.name)
    }
}

/// The operating system part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Base {
    /// Debian code name: `bullseye`, `bookworm`, `trixie`.
    pub suite: String,
    /// Suites besides it, without the code name: `updates`, `security`, `backports`.
    pub extra_suites: Vec<String>,
    /// `main`, `contrib`, `non-free`, `non-free-firmware`.
    pub components: Vec<String>,
    /// Debian packages to install besides the base set.
    pub packages: Vec<String>,
    /// The kernel package.
    pub kernel: String,
    /// Debian architecture. Only `amd64` is built today.
    pub architecture: String,
    /// Mirror of the suites; the building machine's own apt configuration is asked when it is absent.
    pub mirror: Option<String>,
    /// Mirror of the security suite; see `mirror`.
    pub security_mirror: Option<String>,
    /// Whether recommended packages are installed.
    pub recommends: bool,
}

/// A file or a folder beside the definition, and where it goes in the image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlacedFiles {
    /// Path relative to the definition's folder.
    pub source: String,
    /// Absolute path in the image.
    pub target: String,
    /// `user` or `user:group`; names are looked up in the image.
    pub owner: String,
    /// Mode of files, such as 0o644. When absent, 0644 or 0755 by the source's execute bit. Folders get 0755.
    pub mode: Option<u32>,
}

/// A system user of the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SystemUser {
    /// The user's name; a group of the same name is made.
    pub name: String,
    /// Home directory; nothing is created there.
    pub home: String,
    /// Groups it is also a member of.
    pub groups: Vec<String>,
}

/// systemd units.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Units {
    /// Unit files beside the definition, added to the image.
    pub add: Vec<String>,
    /// Units started at boot.
    pub enable: Vec<String>,
    /// Units that a package enables and that are not started.
    pub disable: Vec<String>,
    /// Units that can not be started at all.
    pub mask: Vec<String>,
    /// Units that keep their own sandboxing, without the hardening Ampoule adds to enabled services.
    pub unhardened: Vec<String>,
}

/// A file rendered from the settings at every boot and after every change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Template {
    /// Template text beside the definition. Settings appear as `{{ site_name }}`: hyphens become underscores.
    pub source: String,
    /// Absolute path below `/etc`, `/run` or `/var` that is written.
    pub target: String,
    /// `user` or `user:group`.
    pub owner: String,
    /// Mode, 0o644 when absent.
    pub mode: u32,
}

/// The maker's own check of rendered settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SettingsCheck {
    /// Program and arguments. Exit code 0 means good; what it prints is shown to the person who made the change.
    pub command: Vec<String>,
}

/// A network port the appliance answers on. All others are closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Port {
    /// 1 to 65535.
    pub port: u16,
    /// Protocol.
    pub protocol: Protocol,
    /// What it is for, in a few words.
    pub purpose: String,
    /// Scheme and path of the page a person opens, for the status card: `https`, `/`.
    pub url_scheme: Option<String>,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// A directory that survives a patch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateDirectory {
    /// Absolute path.
    pub path: String,
    /// `user` or `user:group`; when absent, as the image has it.
    pub owner: Option<String>,
    /// Mode; when absent, as the image has it, or 0o750.
    pub mode: Option<u32>,
    /// What it holds, in a few words.
    pub purpose: String,
}

/// Which form the application's state has, so that nobody returns to a release that can not read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateFormat {
    /// The form this release writes.
    pub current: u32,
    /// The oldest form this release can take over.
    pub reads_from: u32,
    /// No return to a release that writes an older form than this is offered once this release is confirmed.
    pub rollback_floor: u32,
}

impl Default for StateFormat {
    fn default() -> Self {
        Self { current: 1, reads_from: 1, rollback_floor: 1 }
    }
}

impl StateFormat {
    /// Whether a release of this format can run on state in the form `found`.
    pub fn can_read(&self, found: u32) -> bool {
        (self.reads_from..=self.current).contains(&found)
    }
}

/// Where an appliance looks for releases when its owner names no other place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Updates {
    /// URL of the maker's depot.
    pub depot: Option<String>,
    /// The series of releases it follows.
    pub channel: String,
    /// Seconds a trial may take from its start until every check has passed.
    pub trial: u32,
}

impl Default for Updates {
    fn default() -> Self {
        Self { depot: None, channel: "stable".into(), trial: 600 }
    }
}

/// A check that decides whether the appliance is healthy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HealthCheck {
    /// Short name, shown to people.
    pub name: String,
    /// What is checked.
    #[serde(flatten)]
    pub probe: Probe,
    /// Seconds one attempt may take.
    pub timeout: u32,
    /// Seconds after boot within which it has to pass for the first time.
    pub grace: u32,
}

/// What a health check looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Probe {
    /// A GET request answers with the expected status.
    Http {
        /// `http://` or `https://`, to the appliance itself. Certificates are not judged.
        url: String,
        /// Expected status code.
        status: u16,
        /// Text that the body has to contain.
        contains: Option<String>,
    },
    /// A TCP connection can be made.
    Tcp {
        /// Port on localhost.
        port: u16,
    },
    /// A unit is active.
    Unit {
        /// Unit name.
        unit: String,
    },
    /// A command exits with 0.
    Command {
        /// Program and arguments.
        command: Vec<String>,
        /// User that runs it.
        user: Option<String>,
    },
}

/// Changes to the trim rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trim {
    /// Rules that are switched off, by name.
    pub keep: Vec<String>,
    /// Rules of the maker's own.
    pub rules: Vec<TrimRule>,
}

/// A named set of paths that an appliance does not need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TrimRule {
    /// Lower-case letters, digits and hyphens.
    pub name: String,
    /// Why, in one sentence.
    pub why: String,
    /// Patterns of absolute paths; `*` stays inside one component, `**` crosses them.
    pub paths: Vec<String>,
    /// Patterns that are kept although `paths` names them.
    pub except: Vec<String>,
    /// Packages whose files are removed, all of them.
    pub packages: Vec<String>,
}

/// Whom the appliance believes what it is offered. Files beside the definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trust {
    /// The root of the maker's roles (TUF).
    pub root: String,
    /// The ledger's key, its witnesses and how many of them are needed.
    pub ledger: Option<String>,
}

impl Trust {
    /// Each file beside the definition, with its name in [`SEALED_TRUST`].
    pub fn files(&self) -> impl Iterator<Item = (&String, &'static str)> {
        [(Some(&self.root), TRUST_ROOT), (self.ledger.as_ref(), TRUST_LEDGER)]
            .into_iter()
            .filter_map(|(source, name)| Some((source?, name)))
    }
}

/// A part of the maker's files that has a name and a version of its own in the list of components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NamedComponent {
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SPDX licence expression.
    pub licence: Option<String>,
    /// Who made it; the vendor when absent.
    pub supplier: Option<String>,
    /// Package URL.
    pub purl: Option<String>,
    /// Patterns of absolute paths: which of the maker's files are its own.
    pub paths: Vec<String>,
}

/// Lists of components that the maker brings along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SbomSources {
    /// CycloneDX or SPDX documents beside the definition.
    #[serde(default)]
    pub merge: Vec<String>,
}

impl SbomSources {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.merge.is_empty()
    }
}

/// What the virtual machine is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Resources {
    /// Memory.
    pub memory: ByteSize,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Size of the data partition or disk.
    pub data: ByteSize,
}

impl Default for Resources {
    fn default() -> Self {
        Self { memory: ByteSize(1 << 30), cpus: 1, data: ByteSize(2 << 30) }
    }
}

/// Values of settings by name, as they are stored and sent.
pub type SettingValues = BTreeMap<String, crate::settings::Value>;
