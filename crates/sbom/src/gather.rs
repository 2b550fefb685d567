//! From a release's documents to its components.
//!
//! Whose a path is: a Debian package's by the path's origin; a generator's likewise; of the maker's files, first the package
//! of a language that has it, then the first named component whose pattern matches, then the application as a whole.

use std::collections::BTreeMap;

use debian::date::Timestamp;
use model::definition::NamedComponent;
use model::{Definition, Sha256Digest};
use release::documents::{PackageDocuments, PackageRecord, PackageRole};
use tree::{ContentSource, Entry, Node, Origin, Pattern, PatternSyntax, Tree, TreePath};

use crate::bill::{Bill, Component, FileRef, Kind, SourcePackage};
use crate::claims::{self, Claims};
use crate::languages::{self, Found};
use crate::licence;
use crate::purl;

/// Everything a bill is made from.
pub struct Sources<'a> {
    /// The definition.
    pub definition: &'a Definition,
    /// Root hash of the image.
    pub root_hash: Sha256Digest,
    /// The lock's time.
    pub time: Timestamp,
    /// Version of the Ampoule that builds.
    pub tool_version: &'a str,
    /// Every path of the image.
    pub tree: &'a Tree,
    /// Its contents.
    pub contents: &'a dyn ContentSource,
    /// What is known of the packages.
    pub packages: &'a PackageDocuments,
    /// What boots the image.
    pub boot: Boot,
    /// Ampoule's `init`, which is in the initrd.
    pub init: &'a [u8],
    /// What the maker's own documents say.
    pub claims: &'a [Claims],
}

/// Packages that boot the image from outside of the root file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// `uname -r`.
    pub kernel_version: String,
    /// File name of the UKI.
    pub uki: String,
    /// The kernel's package.
    pub kernel: String,
    /// The EFI stub's package.
    pub stub: String,
    /// The boot loader's package.
    pub loader: String,
}

/// Why there is no bill.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A path pattern of a named component can not be understood.
    #[error("the component `{component}` of the definition has a bad pattern")]
    Pattern {
        /// The component.
        component: String,
        /// Cause.
        #[source]
        source: PatternSyntax,
    },
}

/// Compiled patterns of the definition's components, in their order.
pub fn patterns(definition: &Definition) -> Result<Vec<Vec<Pattern>>, GatherError> {
    let of_component = |component: &NamedComponent| {
        let parse = |text: &String| {
            text.parse().map_err(|source| GatherError::Pattern { component: component.name.clone(), source })
        };
        component.paths.iter().map(parse).collect()
    };
    definition.components.iter().map(of_component).collect()
}

/// Makes the bill.
pub fn gather(sources: &Sources<'_>) -> Result<Bill, GatherError> {
    let definition = sources.definition;
    let patterns = patterns(definition)?;
    let mut all: BTreeMap<String, Component> = BTreeMap::new();
    let mut add = |component: Component| {
        all.insert(component.id.clone(), component);
    };
    add(operating_system(sources));
    sources.packages.packages().for_each(|record| add(package(sources, record)));
    add(ampoule(sources));
    add(application(definition));
    definition.components.iter().for_each(|named| add(named_component(definition, named)));

    let found = languages::find(sources.tree, sources.contents, &[sources.init]);
    let owned = Owned::of(&found);
    found.iter().for_each(|it| add(it.component.clone()));

    for (path, entry) in &sources.tree.entries {
        let id = match (&entry.origin, owned.owner(path)) {
            (Origin::Maker(_), Some(id)) => id.to_owned(),
            (Origin::Maker(_), None) => makers(definition, &patterns, path),
            (Origin::Package(name), _) => debian_id(name),
            (Origin::Generator(name), _) => generator_id(name),
        };
        // A package that no record tells of (a base of an older Ampoule) still has its files.
        let component = all.entry(id).or_insert_with_key(|id| unrecorded(definition, id, &entry.origin));
        component.files.push(file(sources.tree, path, entry));
    }
    // A program's list takes no file away from whoever has it, and is what that one needs.
    for (id, path) in owned.programs() {
        let owner = sources.tree.entries.get(path).map(|entry| match &entry.origin {
            Origin::Generator(name) => generator_id(name),
            Origin::Package(name) => debian_id(name),
            Origin::Maker(_) => id.to_owned(),
        });
        if let Some(owner) = owner.filter(|owner| owner != id).and_then(|owner| all.get_mut(&owner)) {
            owner.depends.push(id.to_owned());
        }
    }
    let of_init = languages::programs::of_bytes(sources.init, None).unwrap_or_default();
    if let Some(ampoule) = all.get_mut(AMPOULE) {
        ampoule.depends.extend(roots(&of_init));
    }
    boot(sources, &mut all);
    depend_application(definition, &found, &mut all);
    claims::merge(sources.claims, &application_id(definition), &mut all);

    // A generator that made nothing that stayed, and a part of the application that has no file, say nothing.
    all.retain(|_, it| it.kind != Kind::Generator || !it.files.is_empty());
    let known: Vec<String> = all.keys().cloned().collect();
    let mut components: Vec<Component> = all.into_values().collect();
    for component in &mut components {
        // Whose metadata names nobody comes from the maker, as far as the appliance's customer is concerned.
        if component.supplier.is_empty() {
            component.supplier.clone_from(&definition.appliance.vendor);
        }
        component.depends.retain(|id| known.binary_search(id).is_ok() && *id != component.id);
        component.depends.sort();
        component.depends.dedup();
    }
    Ok(Bill {
        identity: definition.appliance.clone(),
        root_hash: sources.root_hash,
        time: sources.time,
        tool_version: sources.tool_version.to_owned(),
        components,
    })
}

fn debian_id(name: &str) -> String {
    format!("deb:{name}")
}

/// Ampoule's agent is a program and not something made by one.
fn generator_id(name: &str) -> String {
    if name == AMPOULE { AMPOULE.to_owned() } else { format!("generator:{name}") }
}

fn application_id(definition: &Definition) -> String {
    format!("maker:{}", definition.appliance.name)
}

fn named_id(named: &NamedComponent) -> String {
    format!("maker:{}@{}", named.name, named.version)
}

/// Origin and id of what Ampoule itself puts into an image.
const AMPOULE: &str = "ampoule";
/// Who delivers Debian's packages.
const DEBIAN: &str = "Debian";

fn operating_system(sources: &Sources<'_>) -> Component {
    let suite = &sources.definition.base.suite;
    let version = purl::debian_release(suite).unwrap_or(suite).to_owned();
    Component {
        id: "os:debian".into(),
        kind: Kind::OperatingSystem,
        name: "debian".into(),
        cpe: match purl::debian_release(suite) {
            Some(number) => format!("cpe:2.3:o:debian:debian_linux:{number}.0:*:*:*:*:*:*:*"),
            None => String::new(),
        },
        version,
        supplier: DEBIAN.into(),
        summary: format!("Debian, suite {suite}, as of {}", sources.time),
        homepage: "https://www.debian.org/".into(),
        ..Component::default()
    }
}

fn package(sources: &Sources<'_>, record: &PackageRecord) -> Component {
    let source = (record.source.as_str(), record.source_version.as_str());
    Component {
        id: debian_id(&record.name),
        kind: Kind::Debian,
        name: record.name.clone(),
        version: record.version.clone(),
        supplier: DEBIAN.into(),
        maintainer: record.maintainer.clone(),
        summary: record.summary.clone(),
        homepage: record.homepage.clone(),
        purl: purl::debian(&record.name, &record.version, &record.architecture, &record.suite, source),
        licence: sources.packages.copyright(&record.name).and_then(licence::of_copyright),
        sha256: Some(record.sha256),
        source: Some(SourcePackage {
            name: record.source.clone(),
            version: record.source_version.clone(),
            suite: record.suite.clone(),
            component: record.component.clone(),
            path: record.path.clone(),
            requested: record.requested || record.role == PackageRole::Boot,
        }),
        depends: record.depends.iter().map(|name| debian_id(name)).collect(),
        ..Component::default()
    }
}

fn ampoule(sources: &Sources<'_>) -> Component {
    Component {
        id: AMPOULE.into(),
        kind: Kind::Ampoule,
        name: AMPOULE.into(),
        version: sources.tool_version.to_owned(),
        supplier: "The Ampoule authors".into(),
        summary: "What starts the appliance and looks after its settings and patches".into(),
        purl: purl::purl("generic", "", AMPOULE, sources.tool_version, &[]),
        licence: licence::declared("Apache-2.0 OR MIT"),
        places: vec!["initrd:/init".into()],
        ..Component::default()
    }
}

fn application(definition: &Definition) -> Component {
    let identity = &definition.appliance;
    let name = format!("{}-application", identity.name);
    Component {
        id: application_id(definition),
        kind: Kind::Application,
        version: identity.version.clone(),
        supplier: identity.vendor.clone(),
        summary: format!("The maker's own files of {}", identity.title),
        homepage: identity.url.clone().unwrap_or_default(),
        purl: purl::purl("generic", &identity.vendor, &name, &identity.version, &[]),
        name,
        ..Component::default()
    }
}

fn named_component(definition: &Definition, named: &NamedComponent) -> Component {
    let vendor = &definition.appliance.vendor;
    let generic = || purl::purl("generic", vendor, &named.name, &named.version, &[]);
    Component {
        id: named_id(named),
        kind: Kind::Application,
        name: named.name.clone(),
        version: named.version.clone(),
        supplier: named.supplier.clone().unwrap_or_else(|| vendor.clone()),
        purl: named.purl.clone().unwrap_or_else(generic),
        licence: named.licence.as_deref().and_then(licence::declared),
        ..Component::default()
    }
}

fn unrecorded(definition: &Definition, id: &str, origin: &Origin) -> Component {
    let identity = &definition.appliance;
    let component = Component { id: id.to_owned(), ..Component::default() };
    match origin {
        Origin::Generator(name) => Component {
            kind: Kind::Generator,
            name: name.clone(),
            version: identity.version.clone(),
            supplier: identity.vendor.clone(),
            summary: format!("Files that {name} made while the image was built"),
            ..component
        },
        Origin::Package(name) => Component {
            kind: Kind::Debian,
            name: name.clone(),
            version: "unknown".into(),
            supplier: DEBIAN.into(),
            ..component
        },
        Origin::Maker(_) => Component { kind: Kind::Application, ..component },
    }
}

fn makers(definition: &Definition, patterns: &[Vec<Pattern>], path: &TreePath) -> String {
    let named = definition.components.iter().zip(patterns);
    let mut matching = named.filter(|(_, patterns)| patterns.iter().any(|pattern| pattern.matches(path)));
    matching.next().map_or_else(|| application_id(definition), |(named, _)| named_id(named))
}

fn file(tree: &Tree, path: &TreePath, entry: &Entry) -> FileRef {
    let node = match &entry.node {
        Node::HardLink { target } => tree.entries.get(target).map_or(&entry.node, |first| &first.node),
        node => node,
    };
    let sha256 = match node {
        Node::File(content) => Some(content.sha256),
        _ => None,
    };
    FileRef { path: path.clone(), sha256, is_directory: entry.node == Node::Directory }
}

/// Kernel, stub, loader and init are not in the root file system and are in the appliance all the same.
fn boot(sources: &Sources<'_>, all: &mut BTreeMap<String, Component>) {
    let boot = &sources.boot;
    let uki = format!("esp:/EFI/Linux/{}", boot.uki);
    let places = [
        (&boot.kernel, format!("{uki}#.linux")),
        (&boot.kernel, "initrd:/modules".to_owned()),
        (&boot.stub, uki),
        (&boot.loader, "esp:/EFI/BOOT/BOOTX64.EFI".to_owned()),
        (&boot.loader, "esp:/EFI/systemd/systemd-bootx64.efi".to_owned()),
    ];
    for (package, place) in places {
        if let Some(component) = all.get_mut(&debian_id(package)) {
            component.places.push(place);
        }
    }
}

/// The application needs what its languages' packages are, unless another of them needs it, and its own named parts.
fn depend_application(definition: &Definition, found: &[Found], all: &mut BTreeMap<String, Component>) {
    let needed: std::collections::BTreeSet<String> =
        all.values().flat_map(|it| it.depends.iter().cloned()).collect();
    let direct = found.iter().map(|it| &it.component.id).filter(|id| !needed.contains(*id)).cloned();
    let named = definition.components.iter().map(named_id);
    let parts: Vec<String> = direct.chain(named).collect();
    if let Some(application) = all.get_mut(&application_id(definition)) {
        application.depends.extend(parts);
    }
}

/// Ids that no other of them needs.
fn roots(found: &[Found]) -> Vec<String> {
    let is_needed = |id: &String| found.iter().any(|it| it.component.depends.contains(id));
    found.iter().map(|it| &it.component.id).filter(|id| !is_needed(id)).cloned().collect()
}

/// Which paths belong to packages of languages.
struct Owned<'a> {
    folders: BTreeMap<&'a TreePath, &'a str>,
    files: BTreeMap<&'a TreePath, &'a str>,
}

impl<'a> Owned<'a> {
    fn of(found: &'a [Found]) -> Self {
        let mut owned = Self { folders: BTreeMap::new(), files: BTreeMap::new() };
        for one in found {
            let id = one.component.id.as_str();
            one.folders.iter().for_each(|folder| {
                owned.folders.entry(folder).or_insert(id);
            });
            one.files.iter().for_each(|file| {
                owned.files.entry(file).or_insert(id);
            });
        }
        owned
    }

    /// Whose a path is: named one by one, or below the deepest folder.
    fn owner(&self, path: &TreePath) -> Option<&'a str> {
        if let Some(id) = self.files.get(path) {
            return Some(id);
        }
        let mut here = Some(path.clone());
        while let Some(folder) = here {
            if let Some(id) = self.folders.get(&folder) {
                return Some(id);
            }
            here = folder.parent();
        }
        None
    }

    fn programs(&self) -> impl Iterator<Item = (&'a str, &'a TreePath)> {
        self.files.iter().map(|(path, id)| (*id, *path))
    }
}

#[cfg(test)]
#[path = "gather_tests.rs"]
mod tests;
