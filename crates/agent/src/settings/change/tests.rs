//! Laws of changing settings: refused means nothing changed.

use serde_json::json;

use super::*;
use crate::accounts::Accounts;
use crate::settings::store::tests::MemoryDisk;
use crate::testing::{definition, secret, string};

#[derive(Default)]
struct FakeSystem {
    files: BTreeMap<String, String>,
    applied: Vec<UnitPlan>,
    check_refuses: Option<&'static str>,
    /// The unit fails as long as the file contains this text.
    fails_with: Option<&'static str>,
}

impl System for FakeSystem {
    fn check(&mut self, _files: &[RenderedFile]) -> Result<(), String> {
        self.check_refuses.map_or(Ok(()), |output| Err(output.to_owned()))
    }

    fn place(&mut self, files: &[RenderedFile], _hostname: &str) -> io::Result<()> {
        self.files.extend(files.iter().map(|file| (file.path.clone(), file.content.clone())));
        Ok(())
    }

    fn apply(&mut self, units: &UnitPlan) -> Result<(), UnitFailure> {
        self.applied.push(units.clone());
        match self.fails_with {
            Some(text) if self.files["/etc/shop.conf"].contains(text) => {
                Err(UnitFailure { unit: "shop.service".to_owned(), output: "syntax error".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

fn settings(disk: &MemoryDisk) -> Settings {
    let mut definition = definition(json!({"templates": [
        {"source": "a", "target": "/etc/shop.conf", "owner": "0", "mode": 0o644}
    ]}));
    let mut name = string("site-name", "^[a-z ]+$");
    name.default = Some(model::settings::Value::String("first".to_owned()));
    name.restarts = vec!["shop.service".to_owned()];
    name.reloads = vec!["shop.service".to_owned(), "proxy.service".to_owned()];
    let mut token = secret("token");
    token.optional = true;
    definition.settings = vec![name, token];
    let renderer = Renderer::new(definition, vec!["name={{ site_name }}\n".to_owned()], Accounts::default());
    let mut store = Store::new(Box::new(disk.clone()));
    if store.current().expect("readable").is_none() {
        store
            .commit(&Version { version: 1, by: "first boot".to_owned(), ..Version::default() })
            .expect("works");
    }
    Settings::load(renderer, store).expect("readable")
}

fn change(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_good_change_is_checked_committed_placed_and_applied() {
    let disk = MemoryDisk::default();
    let (mut settings, mut system) = (settings(&disk), FakeSystem::default());
    let changed = settings.set(&change(&[("site-name", "second")]), 7, &mut system).expect("good");
    assert_eq!(changed.version, 2);
    assert_eq!(changed.changed, ["site-name"]);
    assert_eq!(changed.units, ["shop.service", "proxy.service"]);
    assert_eq!(system.applied[0].reloads, ["proxy.service"], "a unit that restarts is not reloaded");
    assert_eq!(system.files["/etc/shop.conf"], "name=second\n");
    assert_eq!(
        self::settings(&disk).states()[0].value,
        Some(model::settings::Value::String("second".to_owned()))
    );
}

#[test]
fn a_bad_value_is_refused_with_name_value_and_rule_and_nothing_changes() {
    let disk = MemoryDisk::default();
    let (mut settings, mut system) = (settings(&disk), FakeSystem::default());
    let refusal = settings.set(&change(&[("site-name", "BAD")]), 7, &mut system).expect_err("bad");
    assert_eq!(refusal.setting.as_deref(), Some("site-name"));
    assert!(refusal.message.contains("BAD") && refusal.rule.is_some(), "{refusal:?}");
    let refusal = settings.set(&change(&[("token", "hunter2")]), 7, &mut system).expect_err("too short");
    assert!(!format!("{refusal:?}").contains("hunter2"), "{refusal:?}");
    let refusal = settings.set(&change(&[("site-nam", "x")]), 7, &mut system).expect_err("unknown");
    assert!(refusal.message.contains("site-name"), "it suggests: {refusal:?}");
    assert_eq!(settings.version(), 1);
    assert!(system.files.is_empty() && system.applied.is_empty());
}

#[test]
fn what_the_makers_check_refuses_is_never_placed() {
    let disk = MemoryDisk::default();
    let mut system = FakeSystem { check_refuses: Some("Syntax error on line 3"), ..FakeSystem::default() };
    let mut settings = settings(&disk);
    let refusal = settings.set(&change(&[("site-name", "second")]), 7, &mut system).expect_err("refused");
    assert_eq!(refusal.output.as_deref(), Some("Syntax error on line 3"));
    assert!(system.files.is_empty());
    assert_eq!(self::settings(&disk).version(), 1);
}

#[test]
fn a_unit_that_does_not_start_brings_the_old_version_back() {
    let disk = MemoryDisk::default();
    let mut system = FakeSystem { fails_with: Some("second"), ..FakeSystem::default() };
    let mut settings = settings(&disk);
    let refusal =
        settings.set(&change(&[("site-name", "second")]), 7, &mut system).expect_err("it does not start");
    assert_eq!(refusal.message, "shop.service does not start with these settings");
    assert_eq!(refusal.output.as_deref(), Some("syntax error"));
    assert_eq!(system.files["/etc/shop.conf"], "name=first\n");
    assert_eq!(system.applied.len(), 2, "it is restarted with the old files");
    assert_eq!(settings.history().expect("readable").len(), 1);
    assert_eq!(self::settings(&disk).version(), 1);
}

#[test]
fn undo_goes_back_step_by_step() {
    let disk = MemoryDisk::default();
    let (mut settings, mut system) = (settings(&disk), FakeSystem::default());
    for name in ["second", "third"] {
        settings.set(&change(&[("site-name", name)]), 7, &mut system).expect("good");
    }
    settings.undo(8, &mut system).expect("to version 2");
    assert_eq!(system.files["/etc/shop.conf"], "name=second\n");
    settings.undo(9, &mut system).expect("to version 1");
    assert_eq!(system.files["/etc/shop.conf"], "name=first\n");
    let refusal = settings.undo(9, &mut system).expect_err("that was the first");
    assert_eq!(refusal.message, "there is no earlier version of the settings");
    let history = settings.history().expect("readable");
    let told: Vec<_> =
        history.iter().map(|entry| (entry.version, entry.by.as_str(), entry.current)).collect();
    assert_eq!(
        told,
        [
            (5, "undo of 2", true),
            (4, "undo of 3", false),
            (3, "api", false),
            (2, "api", false),
            (1, "first boot", false)
        ]
    );
}

#[test]
fn a_change_to_the_same_value_makes_no_version() {
    let disk = MemoryDisk::default();
    let (mut settings, mut system) = (settings(&disk), FakeSystem::default());
    let changed = settings.set(&change(&[("site-name", "first")]), 7, &mut system).expect("good");
    assert_eq!((changed.version, changed.units.len()), (1, 0));
}

#[test]
fn a_power_cut_during_a_change_leaves_a_version_that_loads() {
    for cut in 0..8 {
        let disk = MemoryDisk::default();
        let (mut settings, mut system) = (settings(&disk), FakeSystem::default());
        disk.cut_after(cut);
        let _cut = settings.set(&change(&[("site-name", "second")]), 7, &mut system);
        disk.restart(false);
        let value = self::settings(&disk).states().remove(0).value.expect("set").to_string();
        assert!(value == "first" || value == "second", "cut {cut}: {value}");
    }
}

#[test]
fn a_window_that_never_opens_is_refused_with_the_reason() {
    let disk = MemoryDisk::default();
    let mut it = settings(&disk);
    let definition = model::builtin::complete(&it.renderer.definition);
    it.renderer.definition = definition;
    for (text, why) in [
        ("29:00-30:00", "`29:00` is no time from 00:00 to 23:59"),
        ("Caturday 02:00-04:00", "`Caturday` is no day"),
        ("Sat 02:00-02:00", "is never open"),
    ] {
        let refusal = it.set(&change(&[("update-window", text)]), 7, &mut FakeSystem::default());
        let refusal = refusal.expect_err(text);
        assert_eq!(refusal.setting.as_deref(), Some("update-window"));
        assert!(refusal.message.contains(text) && refusal.message.contains(why), "{}", refusal.message);
    }
    assert_eq!(it.version(), 1, "nothing changed");
    it.set(&change(&[("update-window", "Sat 02:00-04:00")]), 7, &mut FakeSystem::default()).expect("good");
}
