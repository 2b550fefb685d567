//! Whose something is: the maker's, asked for by the maker, the kernel's, or the rest of the system's.

use std::collections::{BTreeSet, HashMap};

use release::documents::PackageFacts;
use tree::Origin;

use super::files::is_unknown;
use crate::changelog::advisory_name;
use crate::facts::{Layer, OwnerKind};
use crate::side::Side;

/// Layers of packages and sources of both sides.
pub struct Layers<'a> {
    /// Package to source, as advisories name it.
    sources: HashMap<&'a str, String>,
    chosen: BTreeSet<String>,
    kernels: BTreeSet<String>,
}

impl<'a> Layers<'a> {
    /// From both sides' packages; the new side decides.
    pub fn of(old: &'a Side<'_>, new: &'a Side<'_>) -> Self {
        let mut layers = Self { sources: HashMap::new(), chosen: BTreeSet::new(), kernels: BTreeSet::new() };
        for side in [old, new] {
            let requested = side.requested();
            for package in &side.packages {
                let source = source_of(package);
                if is_kernel(package) {
                    layers.kernels.insert(source.clone());
                } else if requested.contains(package.name.as_str()) {
                    layers.chosen.insert(source.clone());
                }
                layers.sources.insert(&package.name, source);
            }
        }
        // `php-sqlite3` is of source php-defaults and stands for php8.4: what a package of a chosen name's stem brings is
        // chosen as well. The stem alone decides, so that no list of names is kept.
        let stems: BTreeSet<String> = layers
            .chosen
            .iter()
            .filter_map(|name| name.strip_suffix("-defaults").map(str::to_owned))
            .collect();
        let versioned: Vec<String> = layers
            .sources
            .values()
            .filter(|source| {
                stems.iter().any(|stem| {
                    source.strip_prefix(stem.as_str()).is_some_and(|rest| {
                        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
                    })
                })
            })
            .cloned()
            .collect();
        layers.chosen.extend(versioned);
        layers
    }

    /// Layer of a source package.
    pub fn of_source(&self, source: &str) -> Layer {
        if self.kernels.contains(source) {
            Layer::Kernel
        } else if self.chosen.contains(source) {
            Layer::Chosen
        } else {
            Layer::System
        }
    }

    /// Whose a path is, in the order in which owners are shown.
    pub fn owner(&self, origin: &Origin) -> (Layer, OwnerKind, String) {
        match origin {
            Origin::Maker(_) => (Layer::Application, OwnerKind::Maker, "the maker's files".to_owned()),
            Origin::Package(package) => {
                let source = self.sources.get(package.as_str()).cloned().unwrap_or_else(|| package.clone());
                (self.of_source(&source), OwnerKind::Source, source)
            }
            _ if is_unknown(origin) => (Layer::System, OwnerKind::Unknown, "unknown".to_owned()),
            // The module index is the kernel's, whoever wrote it.
            Origin::Generator(name) if name == "depmod" => {
                (Layer::Kernel, OwnerKind::Generator, name.clone())
            }
            Origin::Generator(name) => (Layer::System, OwnerKind::Generator, name.clone()),
        }
    }
}

/// Source of a package, as advisories name it.
pub fn source_of(package: &PackageFacts) -> String {
    advisory_name(&package.source, &package.source_version).0
}

/// Source version of a package, as advisories write it.
pub fn source_version_of(package: &PackageFacts) -> String {
    advisory_name(&package.source, &package.source_version).1
}

fn is_kernel(package: &PackageFacts) -> bool {
    package.name.starts_with("linux-image-")
}
