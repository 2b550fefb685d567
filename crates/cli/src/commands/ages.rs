//! `ampoule ages`: the oldest parts of a release.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use debian::Version;
use debian::control::paragraphs;
use debian::date::Timestamp;
use debian::index::{IndexEntry, MAX_PACKAGES_BYTES};
use sbom::age::{Age, ages};
use serde_json::json;

use super::sbom::{open, read_components};
use crate::args::AgesArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Counts from the packages' day, or from the one that is named.
pub fn run(args: &AgesArgs, printer: &Printer) -> Result<(), Failure> {
    let release = open(&args.release)?;
    let components = read_components(&release)?;
    let documents = release.package_documents().map_err(|error| Failure::from_error(Fault::User, &error))?;
    let at = match &args.at {
        Some(day) => format!("{day}T00:00:00Z")
            .parse()
            .map_err(|_| Failure::new(Fault::User, format!("`{day}` is not a day such as 2026-11-26")))?,
        None => components.metadata.timestamp.parse().unwrap_or_default(),
    };
    let mut newest = BTreeMap::new();
    for index in &args.index {
        read_index(index, &mut newest)?;
    }
    // What left nothing in the image can not get old in it.
    let present: Vec<&str> = components
        .components
        .iter()
        .filter(|part| part.scope != "excluded")
        .filter_map(|part| part.bom_ref.strip_prefix("deb:"))
        .collect();
    let records = documents.packages().filter(|record| present.contains(&record.name.as_str()));
    let found = ages(&documents, records, &newest);
    let end_of_support = release.manifest().identity.end_of_support.as_deref();
    let count = if args.top == 0 { found.len() } else { args.top };
    printer.data(
        || render::ages::table(&found, at, count, !args.index.is_empty(), end_of_support),
        || json!({"at": at, "end-of-support": end_of_support, "sources": found.iter().map(|it| value(it, at)).collect::<Vec<_>>()}),
    );
    Ok(())
}

fn value(age: &Age, at: Timestamp) -> serde_json::Value {
    json!({
        "source": age.source, "version": age.version, "packages": age.packages,
        "made": age.made, "days": age.days(at), "newest": age.newest,
    })
}

/// The newest version of each source in a `Packages` text.
fn read_index(path: &Path, newest: &mut BTreeMap<String, Version>) -> Result<(), Failure> {
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_PACKAGES_BYTES).read_to_string(&mut text)).map_err(
        |error| {
            let message = format!("can not read the index `{}`", path.display());
            Failure { causes: vec![error.to_string()], ..Failure::new(Fault::User, message) }
                .hint("a plain `Packages` file is expected; unpack what is compressed")
        },
    )?;
    for paragraph in paragraphs(&text).map_while(Result::ok) {
        let Ok(entry) = IndexEntry::from_paragraph(&paragraph) else { continue };
        match newest.get(&entry.source) {
            Some(known) if *known >= entry.source_version => {}
            _ => {
                newest.insert(entry.source, entry.source_version);
            }
        }
    }
    Ok(())
}
