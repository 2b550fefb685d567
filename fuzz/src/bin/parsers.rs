//! One parser of foreign bytes, chosen by the environment variable `PARSER`. What it must not do: panic, hang, or take memory over its limit.

#![no_main]

#[path = "parsers/disks.rs"]
mod disks;
#[path = "parsers/patches.rs"]
mod patches;

use std::num::NonZeroUsize;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

/// Parsers by name. Each gets the input, and drops what it makes of it.
const PARSERS: [(&str, fn(&[u8])); 27] = [
    ("note", |bytes| drop(ledger::note::Note::parse(bytes).map(|note| note.to_bytes()))),
    ("checkpoint", |bytes| with_text(bytes, |text| drop(ledger::checkpoint::Checkpoint::parse(text)))),
    ("proof", |bytes| drop(ledger::proof::Proof::parse(bytes).map(|proof| proof.to_bytes()))),
    ("policy", |bytes| drop(ledger::policy::Policy::parse(bytes))),
    ("record", |bytes| drop(ledger::record::ReleaseRecord::parse(bytes).map(|record| record.to_bytes()))),
    ("add-checkpoint", |bytes| drop(ledger::witness::AddCheckpoint::parse(bytes))),
    ("verifier-key", |bytes| with_text(bytes, |text| drop(text.parse::<ledger::note::VerifierKey>()))),
    ("roles-document", |bytes| drop(tuf::Document::parse(bytes))),
    ("roles-root", |bytes| {
        let mut store = std::collections::BTreeMap::new();
        drop(tuf::client::trust_root(&mut store, bytes));
    }),
    ("key-file", |bytes| drop(keys::stored::StoredKey::parse(bytes))),
    ("approval", |bytes| with_text(bytes, |text| drop(release::approval::Approval::parse(text)))),
    ("officers", |bytes| {
        with_text(bytes, |text| drop(update::approval::Officers::parse(text, 1)));
    }),
    ("index", |bytes| drop(release::Index::parse(bytes, "acme/shop", "stable"))),
    ("statement", |bytes| drop(release::Statement::parse(bytes))),
    ("definition", |bytes| with_text(bytes, |text| drop(model::parse(text)))),
    ("bundle", disks::bundle),
    ("attached-disk", disks::attached),
    ("erofs", disks::erofs),
    ("gpt", |bytes| drop(image::gpt::Table::read(&bytes))),
    ("uki", |bytes| drop(image::uki::sections(bytes))),
    ("patch", patches::patch),
    ("deb", deb),
    ("packages", |bytes| with_text(bytes, packages)),
    ("changelog", |bytes| with_text(bytes, changelog)),
    ("vex", |bytes| drop(bulletin::vex::read(bytes))),
    ("claims", |bytes| drop(sbom::claims::Claims::read("claims.json", bytes))),
    ("journal", |bytes| with_text(bytes, |text| drop(update::life::fold(&update::journal::read(text))))),
];

fn with_text(bytes: &[u8], parse: impl FnOnce(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        parse(text);
    }
}

/// A package as a mirror sends it, to its end.
fn deb(bytes: &[u8]) {
    let Ok(mut package) = debian::deb::DebReader::open(bytes, "a.deb", NonZeroUsize::MIN) else { return };
    while let Ok(Some((_, mut content))) = package.next_entry() {
        drop(std::io::copy(&mut content, &mut std::io::sink()));
    }
}

/// A list of packages as a mirror sends it.
fn packages(text: &str) {
    drop(debian::control::Paragraph::parse_signed(text));
    for paragraph in debian::control::paragraphs(text).flatten() {
        drop(debian::index::IndexEntry::from_paragraph(&paragraph));
        for (_, value) in paragraph.fields() {
            drop(debian::relations::groups(value));
            drop(value.parse::<debian::Version>());
        }
    }
}

fn changelog(text: &str) {
    for entry in bulletin::changelog::entries(text) {
        drop((entry.sentences(), entry.mentions()));
    }
}

fn chosen() -> fn(&[u8]) {
    static CHOSEN: OnceLock<fn(&[u8])> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("PARSER").unwrap_or_default();
        let found = PARSERS.iter().find(|(known, _)| *known == name);
        found.map_or_else(
            || panic!("PARSER has to be one of {:?}", PARSERS.map(|(name, _)| name)),
            |(_, parse)| *parse,
        )
    })
}

fuzz_target!(|bytes: &[u8]| chosen()(bytes));
