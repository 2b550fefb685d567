//! `render`: everything that has to be in `/etc` before systemd reads it. Runs in the future root, before switching to it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use model::Definition;
use model::definition::SEALED_PATH;

use crate::facts::{FACTS_PATH, Facts};
use crate::init::report::chain;
use crate::init::state::make_directories;
use crate::render::{self, ImageNetwork, Renderer};
use crate::settings::resolve::{Effective, retain_valid};
use crate::settings::store::{Folder, Layers, Store, Version};
use crate::settings::{former, generate, pairs, sources};

/// Where the versions are.
pub const SETTINGS_FOLDER: &str = "/data/ampoule/settings";

/// Reads the sealed definition below `root`.
pub fn load_definition(root: &Path) -> io::Result<Definition> {
    let path = root.join(SEALED_PATH);
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let bytes = fs::read(&path).map_err(about)?;
    serde_json::from_slice(&bytes).map_err(|error| about(error.into()))
}

/// Opens the settings on data.
pub fn open_store() -> io::Result<Store> {
    make_directories(Path::new(SETTINGS_FOLDER))?;
    Ok(Store::new(Box::new(Folder(SETTINGS_FOLDER.into()))))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// The subcommand. What the customer or the hypervisor got wrong becomes a notice; only a broken image or disk is an
/// error.
pub fn render() -> io::Result<()> {
    let root = Path::new("/");
    let renderer = Renderer::load(load_definition(root)?, root)?;
    let mut store = open_store()?;
    let mut facts = Facts::load(Path::new(FACTS_PATH));
    let (effective, notices) = settle(&renderer, &mut store, &sources::collect(), now())?;
    facts.notices.extend(notices);
    let mut files = Vec::new();
    for rendered in renderer.templates(effective.values()) {
        match rendered {
            Ok(file) => files.push(file),
            // The service may do without it; the others must not suffer.
            Err(error) => facts.notices.push(chain(&error)),
        }
    }
    files.extend(renderer.own_files(effective.values(), ImageNetwork::look(root)));
    render::place(root, &files)?;
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    make_directories(Path::new("/run/ampoule"))?;
    fs::write(render::LIST_PATH, serde_json::to_vec(&paths).map_err(io::Error::other)?)?;
    rustix::system::sethostname(renderer.hostname(effective.values()).as_bytes())?;
    facts.save(Path::new(FACTS_PATH))
}

/// Brings what is stored and what is passed together, makes what is missing, and commits a version when something
/// changed.
fn settle(
    renderer: &Renderer,
    store: &mut Store,
    passed: &sources::Passed,
    now: u64,
) -> io::Result<(Effective, Vec<String>)> {
    let settings = &renderer.definition.settings;
    let before = store.current()?;
    let mut layers = before.as_ref().map(|version| version.layers.clone()).unwrap_or_default();
    former::take_over_all(&mut layers, settings);
    let mut notices = sources::apply(passed, &mut layers, settings);
    former::give_back_all(&mut layers, settings);
    let mut stored = layers.clone();
    notices.extend(retain_valid(&mut layers, settings));
    let mut generated = store.generated()?;
    let kept = generated.clone();
    former::take_over(&mut generated, settings);
    if generated != kept {
        store.keep_generated(&generated)?;
    }
    let given = |layers: &Layers| {
        let without_defaults: Vec<_> = settings
            .iter()
            .map(|setting| model::settings::Setting { default: None, ..setting.clone() })
            .collect();
        Effective::resolve(&without_defaults, &Default::default(), layers).values().clone()
    };
    let hostname = renderer.hostname(Effective::resolve(settings, &generated, &layers).values());
    let year = 1970 + i32::try_from(now / 31_556_952).unwrap_or(0);
    if generate::complete(settings, &mut generated, &given(&layers), &hostname, year)? {
        store.keep_generated(&generated)?;
    }
    // A pair that does not fit would keep the web server from starting: without it the generated one is used.
    while let Some(mismatch) =
        pairs::find_mismatch(settings, Effective::resolve(settings, &generated, &layers).values())
    {
        notices.push(format!(
            "`{}` and `{}` were ignored: {}",
            mismatch.certificate, mismatch.key, mismatch.rule
        ));
        let had = given(&layers).len();
        for layers in [&mut layers, &mut stored] {
            for values in [&mut layers.hypervisor, &mut layers.seed, &mut layers.customer] {
                values.remove(&mismatch.certificate);
                values.remove(&mismatch.key);
            }
        }
        if generate::complete(settings, &mut generated, &given(&layers), &hostname, year)? {
            store.keep_generated(&generated)?;
        } else if had == given(&layers).len() {
            break;
        }
    }
    let effective = Effective::resolve(settings, &generated, &layers);
    let missing = model::settings::validate::validate_document(settings, effective.values());
    notices.extend(missing.iter().map(ToString::to_string));
    if before.as_ref().is_none_or(|version| version.layers != stored) {
        let old = before.as_ref().map(|version| Effective::resolve(settings, &generated, &version.layers));
        let version = Version {
            version: before.as_ref().map_or(0, |version| version.version) + 1,
            time: now,
            by: if before.is_some() { "start with new values" } else { "first boot" }.to_owned(),
            changed: effective.changes(&old.unwrap_or_default(), settings),
            restores: None,
            layers: stored,
        };
        store.commit(&version)?;
    }
    Ok((effective, notices))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::accounts::Accounts;
    use crate::settings::store::tests::MemoryDisk;
    use crate::testing::{certificate_with_key, definition, string};

    fn renderer() -> Renderer {
        let mut definition = definition(json!({}));
        definition.settings = certificate_with_key().to_vec();
        definition.settings.push(string("site-name", "^[a-z]+$"));
        Renderer::new(definition, Vec::new(), Accounts::default())
    }

    fn seed(text: &str) -> sources::Passed {
        sources::Passed { seed: Some(text.to_owned()), ..sources::Passed::default() }
    }

    #[test]
    fn the_first_boot_is_version_1_and_the_second_keeps_it() {
        let mut store = Store::new(Box::new(MemoryDisk::default()));
        let (first, _) = settle(&renderer(), &mut store, &seed("site-name = \"shop\""), 7).expect("works");
        let (second, notices) =
            settle(&renderer(), &mut store, &sources::Passed::default(), 8).expect("works");
        assert_eq!(first, second, "certificate, key and the seed disk's value are kept");
        assert!(notices.is_empty(), "{notices:?}");
        let versions = store.versions().expect("readable");
        assert_eq!((versions.len(), versions[0].by.as_str()), (1, "first boot"));
        settle(&renderer(), &mut store, &seed("site-name = \"other\""), 9).expect("works");
        assert_eq!(store.current().expect("readable").expect("there").version, 2);
    }

    #[test]
    fn certificates_the_appliance_made_survive_a_patch_that_renames_them_and_a_return() {
        let mut store = Store::new(Box::new(MemoryDisk::default()));
        let older = renderer();
        let (before, _) = settle(&older, &mut store, &seed("site-name = \"shop\""), 7).expect("works");
        let mut definition = older.definition.clone();
        for setting in &mut definition.settings {
            let name = format!("new-{}", setting.name);
            setting.was = vec![std::mem::replace(&mut setting.name, name)];
            if let model::settings::Kind::Certificate { key: Some(key) } = &mut setting.kind {
                *key = "new-key".to_owned();
            }
        }
        let newer = Renderer::new(definition, Vec::new(), Accounts::default());
        let (after, notices) = settle(&newer, &mut store, &sources::Passed::default(), 8).expect("works");
        assert!(notices.is_empty(), "{notices:?}");
        for name in ["certificate", "key", "site-name"] {
            assert_eq!(after.text(&format!("new-{name}")), before.text(name), "{name}");
        }
        let (back, notices) = settle(&older, &mut store, &sources::Passed::default(), 9).expect("works");
        assert_eq!(back, before);
        assert!(notices.is_empty(), "names of the newer release are kept in silence: {notices:?}");
    }

    #[test]
    fn a_seed_disk_with_a_foreign_key_is_ignored_and_told() {
        let mut store = Store::new(Box::new(MemoryDisk::default()));
        let one = generate::self_signed("one", 2026).expect("made");
        let other = generate::self_signed("other", 2026).expect("made");
        let text =
            format!("certificate = '''{}'''\nkey = '''{}'''\nsite-name = 'a'", one.certificate, other.key);
        let (effective, notices) = settle(&renderer(), &mut store, &seed(&text), 7).expect("boot goes on");
        assert_eq!(pairs::find_mismatch(&renderer().definition.settings, effective.values()), None);
        assert_ne!(effective.text("certificate"), Some(one.certificate));
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains("`certificate` and `key` were ignored"), "{notices:?}");
    }

    #[test]
    fn a_setting_without_value_is_told_and_does_not_stop_the_boot() {
        let mut store = Store::new(Box::new(MemoryDisk::default()));
        let (_, notices) =
            settle(&renderer(), &mut store, &sources::Passed::default(), 7).expect("boot goes on");
        assert!(notices[0].contains("`site-name` has no value"), "{notices:?}");
    }
}
