//! Looking for settings documents on this machine: fw_cfg, SMBIOS, seed disk.

use std::fs;
use std::io::Read;
use std::path::Path;

use model::settings::Setting;

use super::document::{DOCUMENT_LIMIT, read_document};
use super::smbios;
use super::store::Layers;
use crate::seed;

const FW_CFG: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/org.ampoule/settings/raw";
const DMI: &str = "/sys/firmware/dmi/tables/DMI";

/// What the machine passes now.
#[derive(Debug, Default)]
pub struct Passed {
    /// A document each, with where it is from.
    pub hypervisor: Vec<(String, &'static str)>,
    /// The seed disk's.
    pub seed: Option<String>,
    /// What could not be read.
    pub notices: Vec<String>,
}

/// Looks in all places.
pub fn collect() -> Passed {
    let mut passed = Passed::default();
    for document in read_limited(Path::new(DMI), smbios::TABLE_LIMIT)
        .map(|table| smbios::documents(&table))
        .unwrap_or_default()
    {
        match document {
            Ok(text) => passed.hypervisor.push((text, "SMBIOS")),
            Err(why) => passed.notices.push(format!("settings from SMBIOS were ignored: {why}")),
        }
    }
    if let Some(bytes) = read_limited(Path::new(FW_CFG), DOCUMENT_LIMIT) {
        match String::from_utf8(bytes) {
            Ok(text) => passed.hypervisor.push((text, "fw_cfg")),
            Err(_) => {
                passed.notices.push("settings from fw_cfg were ignored: they are not UTF-8 text".to_owned())
            }
        }
    }
    match seed::find() {
        Some(Ok(text)) => passed.seed = Some(text),
        Some(Err(why)) => passed.notices.push(format!("the seed disk was ignored: {why}")),
        None => {}
    }
    passed
}

/// Puts what is passed now over what was passed before. A source that is gone keeps its values: a seed disk is detached
/// after the first boot.
pub fn apply(passed: &Passed, layers: &mut Layers, settings: &[Setting]) -> Vec<String> {
    let mut notices = passed.notices.clone();
    if !passed.hypervisor.is_empty() {
        layers.hypervisor.clear();
    }
    for (text, origin) in &passed.hypervisor {
        let (values, more) = read_document(text, origin, settings);
        layers.hypervisor.extend(values);
        notices.extend(more);
    }
    if let Some(text) = &passed.seed {
        let (values, more) = read_document(text, "the seed disk", settings);
        layers.seed = values;
        notices.extend(more);
    }
    notices
}

/// A file of sysfs; nothing when it is absent or longer than the limit.
fn read_limited(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= limit).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::string;

    #[test]
    fn a_detached_seed_disk_keeps_its_values_and_a_new_one_replaces_them() {
        let settings = [string("name", ".*"), string("other", ".*")];
        let mut layers = Layers::default();
        let first = Passed { seed: Some("name = \"a\"\nother = \"b\"".to_owned()), ..Passed::default() };
        assert!(apply(&first, &mut layers, &settings).is_empty());
        apply(&Passed::default(), &mut layers, &settings);
        assert_eq!(layers.seed.len(), 2);
        apply(&Passed { seed: Some("name = \"c\"".to_owned()), ..Passed::default() }, &mut layers, &settings);
        assert_eq!(layers.seed.len(), 1);
        assert_eq!(layers.seed["name"].to_string(), "c");
    }

    #[test]
    fn fw_cfg_beats_smbios() {
        let settings = [string("name", ".*")];
        let mut layers = Layers::default();
        let hypervisor =
            vec![("name = \"smbios\"".to_owned(), "SMBIOS"), ("name = \"fw\"".to_owned(), "fw_cfg")];
        apply(&Passed { hypervisor, ..Passed::default() }, &mut layers, &settings);
        assert_eq!(layers.hypervisor["name"].to_string(), "fw");
    }
}
