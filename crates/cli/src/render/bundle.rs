//! What went into a bundle, and what came out of one.

use std::path::Path;

use depot::bundle::{Imported, Packed};
use model::ByteSize;
use release::index::IndexedRelease;

use super::{counted, time};

/// `ampoule bundle`
pub fn packed(packed: &Packed, file: &Path) -> String {
    let (index, size) = (&packed.index, ByteSize(packed.size));
    let mut text = format!("wrote {}: {} {}, {size}\n", file.display(), index.appliance, index.channel);
    index.releases.iter().for_each(|entry| text.push_str(&format!("  {}\n", release(entry, false))));
    if packed.words > 0 {
        text.push_str(&format!("  {}\n", counted(packed.words, "note of officers", "notes of officers")));
    }
    text.push_str(&match packed.fresh_until {
        Some(until) => format!("good until {}; after that it is refused\n", time(until)),
        None => "nobody signed it: `ampoule import --unsigned` alone takes it\n".to_owned(),
    });
    text
}

/// `ampoule import`
pub fn imported(imported: &Imported, is_proved: bool) -> String {
    let taken = &imported.taken;
    let (count, size) = (counted(imported.objects, "object", "objects"), ByteSize(imported.bytes));
    let mut text = format!("took {count}, {size}, of {} {}\n", taken.index.appliance, taken.index.channel);
    for entry in &taken.releases {
        let is_new = taken.new_releases.contains(&entry.id());
        text.push_str(&format!("  {}\n", release(entry, !is_new)));
    }
    if taken.new_words > 0 {
        text.push_str(&format!(
            "  {}\n",
            counted(taken.new_words, "new note of officers", "new notes of officers")
        ));
    }
    text.push_str(match (taken.fresh_until, is_proved) {
        (None, _) => "nobody signed it: whoever made the bundle was believed\n",
        (Some(_), true) => "signed by its maker's roles, and in the ledger\n",
        (Some(_), false) => "signed by its maker's roles; the ledger was not looked at: no `--policy`\n",
    });
    if let Some(until) = taken.fresh_until {
        text.push_str(&format!("appliances take it until {}\n", time(until)));
    }
    text
}

pub(super) fn release(entry: &IndexedRelease, is_old: bool) -> String {
    let patches = entry.patches.iter().filter(|patch| patch.from.is_some()).count();
    let full = if patches < entry.patches.len() { ", full image" } else { "" };
    let old = if is_old { ", which was there already" } else { "" };
    format!("{} {}: {}{full}{old}", entry.version, entry.id(), counted(patches, "patch", "patches"))
}
