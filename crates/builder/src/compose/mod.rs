//! From the configured base to the tree that is sealed: the maker's files, users, units, Ampoule's own parts, trimmed.
//!
//! Everything happens on the tree value; nothing is written to the building machine. What compose cannot do in
//! memory (maintainer scripts) happened in the base already.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use model::Definition;
use tree::{ContentSource, Origin, Tree, TreePath};

pub mod accounts;
pub mod contents;
pub mod draft;
mod file_rules;
pub mod install_section;
mod kept_modules;
pub mod needed;
mod place;
pub mod rules;
mod sealed;
mod start;
mod start_rules;
pub mod units;

use accounts::{AccountError, Accounts};
use contents::Contents;
use draft::Draft;
pub use sealed::GuestPrograms;

/// Why composing failed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A file could not be read.
    #[error("can not read `{path}`")]
    Read {
        /// File beside the definition, or path in the image.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A path can not be in an image.
    #[error("`{path}` {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two things want the same path and can not both have it.
    #[error("{0}")]
    Conflict(Box<Conflict>),
    /// An owner does not exist.
    #[error("{place} can not be owned as declared")]
    Account {
        /// What was to be owned.
        place: String,
        /// Which name.
        #[source]
        source: AccountError,
    },
    /// A declared user can not be made.
    #[error("can not add the declared users")]
    Users(#[source] AccountError),
    /// A unit that no package brings and the definition does not add.
    #[error("unit `{unit}` is not in the image{}", near.as_ref().map(|near| format!(" (is `{near}` meant?)")).unwrap_or_default())]
    UnknownUnit {
        /// The name.
        unit: String,
        /// The most similar unit there is.
        near: Option<String>,
    },
    /// Units that the definition names and that nothing brings.
    #[error("the image has no unit {}", units.iter().map(|unit| format!("`{unit}`")).collect::<Vec<_>>().join(", "))]
    UnknownUnits {
        /// Their names.
        units: Vec<String>,
        /// All unit files of the image.
        known: BTreeSet<String>,
    },
    /// The unit has no `[Install]` section.
    #[error("unit `{unit}` can not be enabled: it has no [Install] section")]
    NotInstallable {
        /// The name.
        unit: String,
    },
    /// `trim.keep` names a rule that does not exist.
    #[error("trim rule `{rule}` does not exist; there are: {known}")]
    UnknownTrimRule {
        /// The name.
        rule: String,
        /// All names.
        known: String,
    },
    /// A trim pattern can not be understood.
    #[error("trim rule `{rule}` has a bad pattern")]
    Pattern {
        /// The rule.
        rule: String,
        /// Cause.
        #[source]
        source: tree::PatternSyntax,
    },
}

/// Two origins of one path, one of them a directory and the other not.
#[derive(Debug)]
pub struct Conflict {
    /// The path.
    pub path: TreePath,
    /// What was there.
    pub first: Origin,
    /// What came.
    pub second: Origin,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |origin: &Origin| match origin {
            Origin::Package(name) => format!("package `{name}`"),
            Origin::Maker(path) => format!("your file `{path}`"),
            Origin::Generator(name) => format!("generator `{name}`"),
        };
        write!(
            f,
            "`{}` is a directory for one and not for the other of {} and {}",
            self.path,
            name(&self.first),
            name(&self.second)
        )
    }
}

/// A composed tree with its contents.
pub struct Composed<'a> {
    draft: Draft<'a>,
    /// What the compose-phase rules removed.
    pub removed: tree::trim::Report,
    /// Programs that those rules left without a library.
    pub lacks: Vec<needed::Lack>,
}

impl<'a> Composed<'a> {
    /// What will be sealed.
    pub fn tree(&self) -> &Tree {
        &self.draft.tree
    }

    /// Where its bytes are.
    pub fn contents(&self) -> &Contents<'a> {
        &self.draft.contents
    }

    /// Adds a document that explains the image from inside.
    pub fn add_document(&mut self, path: &str, bytes: Vec<u8>) -> Result<(), ComposeError> {
        let attributes = draft::Attributes { owner: draft::ROOT, mode: 0o644 };
        self.draft.put_bytes(path, bytes, attributes, &generated("documents"))
    }
}

/// Composes the tree of an image.
pub fn compose<'a>(
    definition: &Definition,
    folder: &Path,
    base: Tree,
    base_contents: &'a dyn ContentSource,
    programs: &GuestPrograms,
) -> Result<Composed<'a>, ComposeError> {
    let mut draft = Draft { tree: base, contents: Contents::over(base_contents) };
    let accounts = add_users(&mut draft, definition)?;
    for files in &definition.files {
        place::place_files(&mut draft, folder, files, &accounts)?;
    }
    place::place_templates(&mut draft, folder, &definition.templates)?;
    place::place_trust(&mut draft, folder, definition.trust.as_ref())?;
    check_owners(definition, &accounts)?;
    sealed::seal_in(&mut draft, definition, programs)?;
    check_referenced_units(&draft, definition)?;
    units::apply_units(&mut draft, folder, &definition.units)?;
    let (removed, lacks) = trim(&mut draft, definition)?;
    Ok(Composed { draft, removed, lacks })
}

/// The origin of something Ampoule makes.
fn generated(name: &str) -> Origin {
    Origin::Generator(name.to_owned())
}

fn add_users(draft: &mut Draft<'_>, definition: &Definition) -> Result<Accounts, ComposeError> {
    let mut accounts = Accounts {
        passwd: draft.read_text("/etc/passwd")?.unwrap_or_default(),
        group: draft.read_text("/etc/group")?.unwrap_or_default(),
        shadow: draft.read_text("/etc/shadow")?.unwrap_or_default(),
    };
    if definition.users.is_empty() {
        return Ok(accounts);
    }
    accounts.add(&definition.users).map_err(ComposeError::Users)?;
    let origin = generated("accounts");
    draft.rewrite("/etc/passwd", accounts.passwd.clone(), &origin)?;
    draft.rewrite("/etc/group", accounts.group.clone(), &origin)?;
    if !accounts.shadow.is_empty() {
        draft.rewrite("/etc/shadow", accounts.shadow.clone(), &origin)?;
    }
    Ok(accounts)
}

/// Owners that are only used in the appliance are looked up here too, so that a typo fails the build and not the boot.
fn check_owners(definition: &Definition, accounts: &Accounts) -> Result<(), ComposeError> {
    let templates = definition.templates.iter().map(|template| (&template.target, Some(&template.owner)));
    let state = definition.state.iter().map(|state| (&state.path, state.owner.as_ref()));
    for (path, owner) in templates.chain(state) {
        if let Some(owner) = owner {
            let place = || format!("`{path}`");
            accounts.owner(owner).map_err(|source| ComposeError::Account { place: place(), source })?;
        }
    }
    Ok(())
}

/// Every unit that the definition names has to exist; all that do not are told at once.
fn check_referenced_units(draft: &Draft<'_>, definition: &Definition) -> Result<(), ComposeError> {
    let known = units::known_units(draft);
    let missing = model::check::missing_units(definition, &known);
    if missing.is_empty() {
        return Ok(());
    }
    let units = missing.into_iter().map(|(_, unit)| unit.to_owned()).collect();
    Err(ComposeError::UnknownUnits { units, known })
}

fn trim(
    draft: &mut Draft<'_>,
    definition: &Definition,
) -> Result<(tree::trim::Report, Vec<needed::Lack>), ComposeError> {
    if let Some(rule) = rules::unknown_kept_rules(&definition.trim).into_iter().next() {
        let known = rules::builtin_rules().map(|rule| rule.name).collect::<Vec<_>>().join(", ");
        return Err(ComposeError::UnknownTrimRule { rule, known });
    }
    let rules = rules::compose_rules(&definition.trim, &draft.tree)?;
    let libraries = needed::removed_libraries(&draft.tree, &rules);
    let report = tree::trim::trim(&mut draft.tree, &rules);
    remove_dangling_unit_links(draft);
    let lacks = needed::lacks(&draft.tree, &draft.contents, &libraries)
        .map_err(|source| ComposeError::Read { path: "the trimmed tree".into(), source })?;
    Ok((report, lacks))
}

/// A unit whose file was trimmed leaves its enabling links behind; systemd would report each of them at every boot.
fn remove_dangling_unit_links(draft: &mut Draft<'_>) {
    let is_dangling = |path: &TreePath, entry: &tree::Entry| match &entry.node {
        tree::Node::Symlink { target } if path.to_string().starts_with("/etc/systemd/system/") => {
            target != "/dev/null"
                && target.starts_with('/')
                && !draft.resolve(target).is_ok_and(|resolved| draft.tree.entries.contains_key(&resolved))
        }
        _ => false,
    };
    let dangling: Vec<TreePath> = draft
        .tree
        .entries
        .iter()
        .filter(|(path, entry)| is_dangling(path, entry))
        .map(|(path, _)| path.clone())
        .collect();
    for path in dangling {
        draft.tree.entries.remove(&path);
    }
}
