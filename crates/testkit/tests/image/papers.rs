//! The papers of the release: components, provenance, package history, and a rebuild from nothing but the release.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::process::Command;

use release::attestation::Attestation;
use release::documents::{PackageDocuments, PackageRole};
use release::{Purpose, names};
use sbom::{cyclonedx, provenance, spdx};
use testkit::flip::{artifact, copy_release};
use testkit::{Bench, ampoule, tools, workspace};
use tree::{Node, Tree, listing};

use crate::judges::LAMP;

fn contents() -> Tree {
    let file = File::open(artifact(&LAMP, names::CONTENTS)).expect("the contents document");
    listing::parse(std::io::BufReader::new(file)).expect("reads")
}

fn components() -> cyclonedx::Document {
    cyclonedx::parse(&fs::read(artifact(&LAMP, names::SBOM_CYCLONEDX)).expect("reads")).expect("CycloneDX")
}

fn package_documents() -> PackageDocuments {
    LAMP.package_documents().expect("the archive of package documents")
}

#[test]
fn law_6_every_path_belongs_to_exactly_one_component_with_its_digest() {
    let document = components();
    let mut found: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    for part in &document.components {
        for occurrence in part.evidence.iter().flat_map(|it| &it.occurrences) {
            if occurrence.location.starts_with('/') {
                let before = found.insert(&occurrence.location, (&part.bom_ref, &occurrence.context));
                assert!(before.is_none(), "{} is of {before:?} and of {}", occurrence.location, part.bom_ref);
            }
        }
    }
    let tree = contents();
    assert_eq!(found.len(), tree.entries.len());
    for (path, entry) in &tree.entries {
        let (component, context) = found[path.to_string().as_str()];
        if let Node::File(content) = &entry.node {
            assert_eq!(context, format!("sha256:{}", content.sha256), "{path} of {component}");
        }
        if let tree::Origin::Package(name) = &entry.origin {
            assert_eq!(component, format!("deb:{name}"), "{path}");
        }
    }
}

#[test]
fn both_lists_of_components_read_back_as_they_were_written() {
    let bytes = fs::read(artifact(&LAMP, names::SBOM_CYCLONEDX)).expect("reads");
    let again = serde_json::to_vec_pretty(&cyclonedx::parse(&bytes).expect("CycloneDX")).expect("writes");
    assert!([again, b"\n".to_vec()].concat() == bytes, "CycloneDX");
    let bytes = fs::read(artifact(&LAMP, names::SBOM_SPDX)).expect("reads");
    let again = serde_json::to_vec_pretty(&spdx::parse(&bytes).expect("SPDX")).expect("writes");
    assert!([again, b"\n".to_vec()].concat() == bytes, "SPDX");
}

#[test]
fn the_parts_that_boot_the_appliance_are_components_too() {
    let document = components();
    let places: BTreeSet<&str> = document
        .components
        .iter()
        .flat_map(|part| part.evidence.iter().flat_map(|it| &it.occurrences))
        .map(|it| it.location.as_str())
        .collect();
    let uki = LAMP.uki().expect("a kernel image");
    let uki = format!("esp:/EFI/Linux/{}", uki.file_name().expect("a name").to_string_lossy());
    for place in ["esp:/EFI/BOOT/BOOTX64.EFI", "initrd:/init", uki.as_str(), &format!("{uki}#.linux")] {
        assert!(places.contains(place), "{place}");
    }
}

#[test]
fn every_package_has_a_record_and_its_changelog_and_licence() {
    let documents = package_documents();
    let lock = fs::read_to_string(artifact(&LAMP, names::LOCK)).expect("reads");
    let lock = debian::Lock::parse(&lock).expect("a lock");
    assert_eq!(documents.packages().count(), lock.packages.len());
    for package in &lock.packages {
        let record = documents.package(&package.name).expect("a record");
        assert_eq!((record.sha256, &record.suite), (package.sha256, &package.suite), "{}", package.name);
        assert!(!record.maintainer.is_empty(), "{}", package.name);
        assert!(documents.copyright(&package.name).is_some(), "{} has no copyright", package.name);
        let changelog = documents.changelog(&package.name).unwrap_or_else(|| panic!("{}", package.name));
        let version = package.source_version.as_str();
        let head = changelog.lines().next().unwrap_or_default();
        assert!(changelog.contains(&format!("({version})")), "{} {version}: {head}", package.name);
    }
    let boot = documents.packages().filter(|it| it.role == PackageRole::Boot).count();
    assert_eq!(boot, lock.boot().count());
    assert!(documents.kernel_options().is_some_and(|(_, options)| options.contains("CONFIG_DM_VERITY=")));
}

#[test]
fn provenance_is_of_the_files_of_the_release_and_names_every_package() {
    let statement = fs::read(artifact(&LAMP, names::PROVENANCE)).expect("reads");
    let statement = provenance::parse(&statement).expect("a statement");
    let told: BTreeMap<&str, &str> =
        statement.subject.iter().map(|it| (it.name.as_str(), it.sha256())).collect();
    for artifact in &LAMP.manifest().artifacts {
        let is_told = artifact.purpose != Purpose::Disk && artifact.name.as_str() != names::PROVENANCE;
        let expected = is_told.then(|| artifact.sha256.to_string());
        assert_eq!(told.get(artifact.name.as_str()).map(|it| it.to_string()), expected, "{}", artifact.name);
    }
    let inputs: BTreeSet<&str> =
        statement.predicate.build_definition.resolved_dependencies.iter().map(|it| it.sha256()).collect();
    for record in package_documents().packages() {
        assert!(inputs.contains(record.sha256.to_string().as_str()), "{}", record.name);
    }
}

#[test]
fn a_release_is_rebuilt_from_itself_byte_for_byte_and_attested() {
    let bench = Bench::new();
    let (place, note) = (bench.join("again"), bench.join("note"));
    let mut command = Command::new(ampoule());
    command.arg("rebuild").arg(LAMP.path()).arg("--output").arg(&place).arg("--attestation").arg(&note);
    let output = tools::output_of(command.current_dir("/"));
    assert!(output.status.success(), "{}", tools::said(&output));
    let attestation = Attestation::parse(&fs::read_to_string(note).expect("reads")).expect("an attestation");
    assert_eq!(attestation.root_hash, LAMP.manifest().image.root_hash);
    assert_eq!(attestation.artifacts.len(), LAMP.manifest().artifacts.len());
}

#[test]
fn a_rebuild_that_differs_names_the_first_file_and_why() {
    let bench = Bench::new();
    let programs = bench.join("programs");
    fs::create_dir(&programs).expect("creates");
    let own = ampoule().parent().expect("a folder").to_owned();
    for program in ["ampoule-agent", "ampoule-init"] {
        let mut bytes = fs::read(own.join(program)).expect("reads");
        if program == "ampoule-agent" {
            bytes.push(0);
        }
        fs::write(programs.join(program), bytes).expect("writes");
    }
    let mut command = Command::new(ampoule());
    command.arg("rebuild").arg(LAMP.path()).arg("--guest").arg(&programs);
    let output = tools::output_of(&mut command);
    let said = tools::said(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    for words in ["first difference: /usr/lib/ampoule/agent", "generator ampoule", "guest-from-release"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_release_that_is_not_what_it_lists_is_not_rebuilt() {
    let bench = Bench::new();
    let copy = copy_release(&LAMP, &bench.join("copy"));
    testkit::flip::flip_bit(&artifact(&copy, names::SOURCES), 40);
    let mut command = Command::new(ampoule());
    let output = tools::output_of(command.arg("rebuild").arg(copy.path()));
    assert_eq!(output.status.code(), Some(5), "{}", tools::said(&output));
    let mut command = Command::new(ampoule());
    testkit::flip::flip_bit(&artifact(&copy, names::SBOM_SPDX), 40);
    let output = tools::output_of(command.arg("sbom").arg(copy.path()).args(["--format", "spdx"]));
    assert_eq!(output.status.code(), Some(5), "{}", tools::said(&output));
}

#[test]
#[ignore = "slow, and asks PyPI for the validators: `./test --all` runs it"]
fn the_official_validators_accept_the_papers() {
    let script = workspace().join("scripts/judge-sbom");
    tools::run(&script.to_string_lossy(), [LAMP.path()]);
}
