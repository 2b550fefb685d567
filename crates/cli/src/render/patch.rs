//! Patches as files: what one holds, what it costs, and what came of it.

use std::collections::BTreeMap;
use std::path::Path;

use model::ByteSize;
use patch::{Described, Header, Kind, Part, Seen, Summary};
use serde_json::{Value, json};

use super::{counted, table};

/// What was compared after a patch was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Root hash and UKI are those of a release.json.
    Verified,
    /// Only the patch's own checks were there to be compared with.
    Claimed,
}

/// What makes a patch large, the largest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    files: Vec<(String, u64)>,
    packages: Vec<(String, u64)>,
}

impl Shares {
    /// Sorts.
    pub fn new(files: BTreeMap<Part, u64>, packages: BTreeMap<String, u64>) -> Self {
        let mut files: Vec<_> = files.into_iter().map(|(part, cost)| (name(&part), cost)).collect();
        let mut packages: Vec<_> = packages.into_iter().collect();
        for list in [&mut files, &mut packages] {
            list.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        }
        Self { files, packages }
    }
}

fn name(part: &Part) -> String {
    match part {
        Part::File(path) => format!("/{path}"),
        Part::Metadata => "(directories and inodes)".to_owned(),
        Part::UkiSection(section) => format!("(UKI: {section})"),
        Part::UkiRest => "(UKI: headers)".to_owned(),
        Part::Header => "(header of the patch)".to_owned(),
    }
}

/// `ampoule patch make`
pub fn made(file: &Path, summary: &Summary) -> String {
    let operations = counted(summary.costs.len(), "operation", "operations");
    format!(
        "{}: {} in {operations}; applying it needs {} of memory\n",
        file.display(),
        ByteSize(summary.size),
        ByteSize(summary.header.memory)
    )
}

/// `ampoule patch apply`
pub fn applied(folder: &Path, header: &Header, judgement: Judgement, uki: &str) -> String {
    let image = &header.new;
    let mut text = format!("{}: root.erofs {}", folder.display(), ByteSize(image.root_size));
    text.push_str(&format!(", {uki} {}\n", ByteSize(image.uki_size)));
    text.push_str(&match judgement {
        Judgement::Verified => {
            format!("root hash {}: computed from what was written, as the release has it\n", image.root_hash)
        }
        Judgement::Claimed => format!(
            "root hash {}: only claimed by the patch. Every operation gave what its maker had, but the salt is not in a \
             patch: `--release` with the new release's release.json computes the root hash and compares it\n",
            image.root_hash
        ),
    });
    text
}

/// `ampoule patch show`
pub fn shown(header: &Header, seen: &[Seen], shares: Option<&Shares>, top: usize) -> String {
    let size = size(seen);
    let image = ByteSize(header.new.root_size + header.new.uki_size);
    let mut text = format!("{} for an image of {image}\n", ByteSize(size));
    text.push_str(&match &header.old {
        Some(old) => format!("from   {}\n", old.root_hash),
        None => "from   nothing: a full image\n".to_owned(),
    });
    text.push_str(&format!(
        "to     {} (a claim until it is compared with the release)\n",
        header.new.root_hash
    ));
    text.push_str(&format!("memory {}\n\n", ByteSize(header.memory)));
    let mut rows =
        vec![["operations", "number", "makes", "costs", "of the patch"].map(str::to_owned).to_vec()];
    for (kind, total) in by_kind(seen) {
        rows.push(vec![
            kind.as_str().to_owned(),
            total.number.to_string(),
            ByteSize(total.length).to_string(),
            ByteSize(total.cost).to_string(),
            percent(total.cost, size),
        ]);
    }
    text.push_str(&table(&rows));
    match shares {
        None => text.push_str("\n`--release NEW` tells which files and packages cost what\n"),
        Some(shares) => {
            for (head, list) in [("origin", &shares.packages), ("file", &shares.files)] {
                text.push('\n');
                let mut rows = vec![[head, "costs", "of the patch"].map(str::to_owned).to_vec()];
                rows.extend(list.iter().take(top).map(|(name, cost)| {
                    vec![name.clone(), ByteSize(*cost).to_string(), percent(*cost, size)]
                }));
                text.push_str(&table(&rows));
                if let Some(rest) = list.get(top..).filter(|rest| !rest.is_empty()) {
                    let cost: u64 = rest.iter().map(|(_, cost)| cost).sum();
                    text.push_str(&format!("and {} more with {}\n", rest.len(), ByteSize(cost)));
                }
            }
            text.push_str("\nfiles that share an operation share its cost by the bytes it makes of each\n");
        }
    }
    text
}

/// The same for programs.
pub fn shown_json(header_of: &Header, seen: &[Seen], shares: Option<&Shares>) -> Value {
    let kinds: BTreeMap<&str, Value> = by_kind(seen)
        .into_iter()
        .map(|(kind, total)| {
            (kind.as_str(), json!({"number": total.number, "makes": total.length, "costs": total.cost}))
        })
        .collect();
    let list = |name: &str, list: &[(String, u64)]| -> Vec<Value> {
        list.iter().map(|(what, cost)| json!({name: what, "costs": cost})).collect()
    };
    json!({
        "size": size(seen), "header": header(header_of), "kinds": kinds,
        "operations": seen.iter().map(|it| json!({
            "kind": it.kind.as_str(), "side": it.side.to_string(), "offset": it.offset, "makes": it.length,
            "costs": it.cost, "reference": it.reference,
        })).collect::<Vec<_>>(),
        "origins": shares.map(|shares| list("origin", &shares.packages)),
        "files": shares.map(|shares| list("file", &shares.files)),
    })
}

/// A header for programs.
pub fn header(header: &Header) -> Value {
    let described = |image: &Described| {
        json!({
            "root-hash": image.root_hash, "root-size": image.root_size,
            "uki-sha256": image.uki_sha256, "uki-size": image.uki_size,
        })
    };
    json!({
        "from": header.old.as_ref().map(described), "to": described(&header.new),
        "memory": header.memory, "operations": header.operations,
    })
}

#[derive(Clone, Copy, Default)]
struct Total {
    number: usize,
    length: u64,
    cost: u64,
}

fn by_kind(seen: &[Seen]) -> BTreeMap<Kind, Total> {
    let mut totals: BTreeMap<Kind, Total> = BTreeMap::new();
    for operation in seen {
        let total = totals.entry(operation.kind).or_default();
        total.number += 1;
        total.length += operation.length;
        total.cost += operation.cost;
    }
    totals
}

fn size(seen: &[Seen]) -> u64 {
    patch::HEADER_LENGTH as u64 + seen.iter().map(|operation| operation.cost).sum::<u64>()
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}
