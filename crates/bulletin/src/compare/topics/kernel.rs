//! Kernel, its options, and what boots it.

use std::collections::BTreeMap;

use super::{counted, topic};
use crate::facts::{Change, Files, Item, Nature, Topic, TopicId};
use crate::papers::kernel_options;
use crate::side::Side;

/// Version, command line, modules that came and went.
pub fn kernel(old: &Side<'_>, new: &Side<'_>, files: &Files) -> Topic {
    let mut items = Vec::new();
    items.extend(Item::between("version", old.kernel_version.clone(), new.kernel_version.clone()));
    for (word, change) in words(old, new) {
        let (before, after) = match change {
            Change::Removed => (Some(word.clone()), None),
            _ => (None, Some(word.clone())),
        };
        // A protection that is switched off on the command line is written there, so any new word is worth a look.
        items.push(Item {
            what: "command line".to_owned(),
            change,
            old: before,
            new: after,
            origin: None,
            widens: change == Change::Added,
        });
    }
    let is_module = |path: &str| path.starts_with("/usr/lib/modules/") && path.contains(".ko");
    for file in &files.changes {
        let change = match file.nature {
            Nature::Added => Change::Added,
            Nature::Removed => Change::Removed,
            _ => continue,
        };
        if is_module(&file.path) {
            let widens = change == Change::Added;
            items.push(Item { what: file.path.clone(), change, old: None, new: None, origin: None, widens });
        }
    }
    let modules = new.below("usr/lib/modules").filter(|(path, _)| path.name().contains(".ko")).count();
    topic(
        TopicId::Kernel,
        "Kernel",
        format!("version, command line and {}", counted(modules, "module", "modules")),
        items,
    )
}

/// Words of the command line that came and went; the root hash is another one in every release.
fn words(old: &Side<'_>, new: &Side<'_>) -> Vec<(String, Change)> {
    let of = |side: &Side<'_>| -> Vec<String> {
        let text = side.command_line.clone().unwrap_or_default();
        text.split_whitespace().filter(|word| !word.starts_with("roothash=")).map(str::to_owned).collect()
    };
    let (before, after) = (of(old), of(new));
    let came = after.iter().filter(|word| !before.contains(word)).map(|word| (word.clone(), Change::Added));
    let went = before.iter().filter(|word| !after.contains(word)).map(|word| (word.clone(), Change::Removed));
    went.chain(came).collect()
}

/// Options the kernel was built with, from the packages' documents or `/boot`.
pub fn options(old: &Side<'_>, new: &Side<'_>) -> Topic {
    let (before, after) = (options_of(old), options_of(new));
    let (compared, items) = match (&before, &after) {
        (Some(before), Some(after)) => {
            (counted(after.len(), "option", "options"), super::between(before, after))
        }
        _ => ("not known: no build options beside the image".to_owned(), Vec::new()),
    };
    let items = items.into_iter().map(|item| {
        let weakens = PROTECTIONS.contains(&item.what.as_str())
            && item.old.as_deref() == Some("y")
            && item.new.as_deref() != Some("y");
        item.widening(weakens)
    });
    topic(TopicId::KernelOptions, "Kernel options", compared, items.collect())
}

/// Options whose loss is a loss of protection.
const PROTECTIONS: [&str; 16] = [
    "CONFIG_RANDOMIZE_BASE",
    "CONFIG_STRICT_KERNEL_RWX",
    "CONFIG_STRICT_MODULE_RWX",
    "CONFIG_STACKPROTECTOR_STRONG",
    "CONFIG_FORTIFY_SOURCE",
    "CONFIG_HARDENED_USERCOPY",
    "CONFIG_SLAB_FREELIST_HARDENED",
    "CONFIG_SLAB_FREELIST_RANDOM",
    "CONFIG_INIT_ON_ALLOC_DEFAULT_ON",
    "CONFIG_VMAP_STACK",
    "CONFIG_SECCOMP",
    "CONFIG_SECCOMP_FILTER",
    "CONFIG_SECURITY_LOCKDOWN_LSM",
    "CONFIG_MODULE_SIG",
    "CONFIG_MITIGATION_PAGE_TABLE_ISOLATION",
    "CONFIG_MITIGATION_RETPOLINE",
];

fn options_of(side: &Side<'_>) -> Option<BTreeMap<String, String>> {
    if let Some((_, text)) = side.papers.kernel_options() {
        return Some(kernel_options(text));
    }
    let (path, _) = side.below("boot").find(|(path, _)| path.name().starts_with("config-"))?;
    Some(kernel_options(&side.text(path.as_str())?))
}

/// Parts of the UKI and the boot loader's package.
pub fn boot(old: &Side<'_>, new: &Side<'_>) -> Topic {
    let text = |side: &Side<'_>, name: &str| {
        side.uki.get(name).map(|(size, digest)| format!("{size} bytes, sha256 {}", &digest.to_string()[..16]))
    };
    // `.cmdline` and `.uname` are told as what they say.
    let names: std::collections::BTreeSet<&String> = old
        .uki
        .keys()
        .chain(new.uki.keys())
        .filter(|name| *name != ".cmdline" && *name != ".uname")
        .collect();
    let count = names.len();
    let mut items: Vec<Item> = names
        .into_iter()
        .filter_map(|name| Item::between(format!("UKI section {name}"), text(old, name), text(new, name)))
        .collect();
    items.extend(super::between(&boot_packages(old), &boot_packages(new)));
    topic(
        TopicId::Boot,
        "Boot chain",
        format!("{} and the boot loader", counted(count, "UKI section", "UKI sections")),
        items,
    )
}

fn boot_packages(side: &Side<'_>) -> BTreeMap<String, String> {
    let packages = side.lock.iter().flat_map(|lock| lock.boot());
    packages
        .map(|package| (format!("boot loader {}", package.name), package.version.as_str().to_owned()))
        .collect()
}
