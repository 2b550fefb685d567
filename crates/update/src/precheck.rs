//! What a patch would need and do, before anything is done. A pure function of what is known.

use std::collections::BTreeSet;

use model::Definition;
use model::control::{Finding, Offer, Precheck, Restart};
use model::definition::{SettingValues, StateFormat};
use model::settings::Setting;
use model::settings::validate::validate_value;
use release::Statement;
use serde::{Deserialize, Serialize};

use crate::life::Side;

/// Room that has to stay free on data: btrfs needs some to remove files.
pub const DATA_RESERVE: u64 = 64 << 20;
/// Room that has to stay free on the ESP, for the boot loader's own changes.
pub const ESP_RESERVE: u64 = 1 << 20;

/// How the appliance was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// By its own boot loader, which counts tries.
    Loader,
    /// By somebody else's kernel start: what lies on the ESP decides nothing.
    Outside,
}

/// Rates of this machine, kept from earlier steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Rates {
    /// Bytes a second.
    pub download: u64,
    /// Bytes of image a second, written and read back.
    pub write: u64,
    /// Seconds from restart to healthy.
    pub restart: u64,
}

impl Default for Rates {
    /// A slow line and a slow disk: a first estimate that is rather too long.
    fn default() -> Self {
        Self { download: 1 << 20, write: 40 << 20, restart: 60 }
    }
}

/// Everything that decides.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The release and what has to be downloaded.
    pub offer: &'a Offer,
    /// The release's statement.
    pub statement: &'a Statement,
    /// Its settings, when its schema could be read.
    pub settings: Option<&'a [Setting]>,
    /// What runs.
    pub running: &'a Definition,
    /// Values that somebody gave, by name.
    pub values: &'a SettingValues,
    /// Who approved it, where somebody has to; or why it may not be installed.
    pub approval: Result<Option<String>, String>,
    /// How the appliance was started.
    pub start: Start,
    /// Whether user space alone can restart into the release.
    pub restart: Restart,
    /// Free bytes on data.
    pub data_free: u64,
    /// Bytes of the download that are on data already.
    pub downloaded: u64,
    /// Bytes of the slot's root partition.
    pub root_room: u64,
    /// Bytes of the slot's verity partition.
    pub verity_room: u64,
    /// Bytes that are free on the ESP once the other slot's UKI is gone.
    pub esp_free: u64,
    /// Bytes of memory that can be had.
    pub memory_free: u64,
    /// Bytes of memory that applying takes.
    pub memory_needed: u64,
    /// Rates of this machine.
    pub rates: Rates,
}

/// Judges.
pub fn precheck(subject: &Subject<'_>) -> Precheck {
    let mut problems = Vec::new();
    problems.extend(approval(subject));
    problems.extend(start(subject));
    problems.extend(space(subject));
    problems.extend(memory(subject));
    problems.extend(state_format(subject));
    let mut findings = Vec::new();
    match subject.settings {
        Some(settings) => findings.extend(settings_changes(subject, settings)),
        None => findings.push(finding("settings", "the settings of the release are not known".into(), None)),
    }
    let image = subject.statement.image.root_size;
    let download = subject.offer.download.saturating_sub(subject.downloaded);
    let rates = subject.rates;
    let seconds = download / rates.download.max(1) + image / rates.write.max(1) + rates.restart;
    Precheck {
        offer: subject.offer.clone(),
        problems,
        findings,
        restart: subject.restart,
        rollback: rollback_text(&subject.running.state_format, &subject.statement.state_format),
        install_seconds: seconds.max(1),
        rollback_seconds: rates.restart.max(1),
    }
}

/// What a return from a release of format `newer` to one of format `older` means.
pub fn rollback_text(older: &StateFormat, newer: &StateFormat) -> String {
    match rollback(older, newer) {
        Rollback::Refused => format!(
            "no return once it is confirmed: it needs state format {}, and the running release writes {}; until then a \
             fall-back brings the state of before the patch back",
            newer.rollback_floor, older.current
        ),
        Rollback::RestoresState => format!(
            "possible; it brings the state of before the patch back, because the running release can not read state format {}: \
             what is entered in between is lost",
            newer.current
        ),
        Rollback::KeepsState => "possible; the state stays as it is".into(),
    }
}

/// What a return from `newer` to `older` means for a person who is about to ask for it.
pub fn return_text(older: &Side, newer: &Side) -> String {
    let format = newer.state_format.current;
    match rollback(&older.state_format, &newer.state_format) {
        Rollback::Refused => refused_text(older, newer),
        Rollback::RestoresState => format!(
            "the state of before {} comes back, because {} can not read state format {format}: what was entered since is lost",
            newer.version, older.version
        ),
        Rollback::KeepsState => "the state stays as it is".into(),
    }
}

/// Why there is no return from `newer` to `older`.
pub fn refused_text(older: &Side, newer: &Side) -> String {
    format!(
        "version {} does not allow a return to {}: its state has format {}, and the earlier release knows {}",
        newer.version, older.version, newer.state_format.current, older.state_format.current
    )
}

/// What a return to the older release does to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// Nothing.
    KeepsState,
    /// The snapshot of before the patch comes back.
    RestoresState,
    /// It is not offered.
    Refused,
}

/// The rule: a floor above the older release's form refuses; a form the older one can not read asks for the snapshot.
pub fn rollback(older: &StateFormat, newer: &StateFormat) -> Rollback {
    if older.current < newer.rollback_floor {
        Rollback::Refused
    } else if older.can_read(newer.current) {
        Rollback::KeepsState
    } else {
        Rollback::RestoresState
    }
}

fn finding(subject: &str, text: String, resolution: Option<&str>) -> Finding {
    Finding { subject: subject.to_owned(), text, resolution: resolution.map(str::to_owned) }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

fn approval(subject: &Subject<'_>) -> Option<Finding> {
    let why = subject.approval.as_ref().err()?;
    Some(finding("approval", why.clone(), Some("an officer says it with `ampoule approve`")))
}

fn start(subject: &Subject<'_>) -> Option<Finding> {
    (subject.start == Start::Outside).then(|| {
        finding(
            "boot",
            "this machine was started with a kernel from outside, so that a patched one would never start"
                .into(),
            Some("start it from its own disk with UEFI firmware"),
        )
    })
}

fn space(subject: &Subject<'_>) -> Vec<Finding> {
    let statement = subject.statement;
    let mut problems = Vec::new();
    let needed =
        subject.offer.download.saturating_sub(subject.downloaded) + statement.uki.size + DATA_RESERVE;
    if needed > subject.data_free {
        problems.push(finding(
            "space",
            format!(
                "{} are needed on the data disk, and {} are free",
                mebibytes(needed),
                mebibytes(subject.data_free)
            ),
            Some("make the data disk larger and restart, or remove data"),
        ));
    }
    let slot = "deploy the new release as a machine of its own and attach the data disk to it";
    if statement.image.root_size > subject.root_room || statement.image.verity_size > subject.verity_room {
        problems.push(finding(
            "slot",
            format!(
                "the release is larger than the place for it: {} in a slot of {}",
                mebibytes(statement.image.root_size),
                mebibytes(subject.root_room)
            ),
            Some(slot),
        ));
    }
    if statement.uki.size + ESP_RESERVE > subject.esp_free {
        problems.push(finding(
            "esp",
            format!(
                "its kernel needs {} on the EFI system partition, and {} are free",
                mebibytes(statement.uki.size + ESP_RESERVE),
                mebibytes(subject.esp_free)
            ),
            Some(slot),
        ));
    }
    problems
}

fn memory(subject: &Subject<'_>) -> Option<Finding> {
    (subject.memory_needed > subject.memory_free).then(|| {
        finding(
            "memory",
            format!(
                "writing it needs {} of memory, and {} can be had",
                mebibytes(subject.memory_needed),
                mebibytes(subject.memory_free)
            ),
            Some("give the machine more memory"),
        )
    })
}

fn state_format(subject: &Subject<'_>) -> Option<Finding> {
    let (running, new) = (subject.running.state_format, subject.statement.state_format);
    (!new.can_read(running.current)).then(|| {
        let range = format!("{} to {}", new.reads_from, new.current);
        finding(
            "state format",
            format!(
                "the release reads state formats {range}, and this appliance has format {}",
                running.current
            ),
            Some("install a release in between first"),
        )
    })
}

fn settings_changes(subject: &Subject<'_>, settings: &[Setting]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let declared: BTreeSet<&str> =
        subject.running.settings.iter().map(|setting| setting.name.as_str()).collect();
    for setting in settings {
        let name = &setting.name;
        let about = format!("setting {name}");
        let former = setting.was.iter().find(|was| subject.values.contains_key(*was));
        let value = subject.values.get(name).or_else(|| former.and_then(|was| subject.values.get(was)));
        if let (None, Some(was)) = (subject.values.get(name), former) {
            findings.push(finding(&about, format!("the value of `{was}` is taken over as `{name}`"), None));
        }
        match value {
            Some(value) => {
                if let Err(violation) = validate_value(setting, value) {
                    findings.push(finding(
                        &about,
                        format!("its value does not fit the new rules and will be ignored: {violation}"),
                        Some("set it again after the patch"),
                    ));
                }
            }
            None => {
                let is_given = setting.default.is_some() || setting.optional || setting.generate.is_some();
                let is_key = settings.iter().any(|other| {
                    matches!(&other.kind, model::settings::Kind::Certificate { key: Some(key) } if key == name)
                        && other.generate.is_some()
                });
                let is_known = declared.contains(name.as_str())
                    || setting.was.iter().any(|was| declared.contains(was.as_str()));
                if !is_known && !is_given && !is_key {
                    findings.push(finding(
                        &about,
                        format!("`{name}` is new and has no value"),
                        Some("set it after the patch"),
                    ));
                }
                let before = subject.running.settings.iter().find(|other| other.name == *name);
                if let Some(before) = before
                    && before.default != setting.default
                    && !setting.kind.is_secret()
                    && let Some(default) = &setting.default
                {
                    findings.push(finding(&about, format!("its default becomes `{default}`"), None));
                }
            }
        }
    }
    let kept: BTreeSet<&str> =
        settings.iter().flat_map(|it| std::iter::once(&it.name).chain(&it.was)).map(String::as_str).collect();
    for name in
        subject.values.keys().filter(|name| declared.contains(name.as_str()) && !kept.contains(name.as_str()))
    {
        findings.push(finding(
            &format!("setting {name}"),
            format!("`{name}` does not exist any more; its value is kept for a return"),
            None,
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use model::settings::{Kind, Value};

    use super::*;

    const DEFINITION: &str = include_str!("../../../examples/lamp/appliance.toml");

    fn definition() -> Definition {
        model::parse(DEFINITION).expect("the example is right").definition
    }

    fn statement() -> Statement {
        let text = r#"{"format":1,"identity":{"vendor":"a","name":"b","title":"B","version":"1.1.0","summary":"","contact":null,"url":null,
            "end-of-support":null},"architecture":"amd64","image":{"root-hash":"HASH","verity-salt":"","root-size":209715200,
            "verity-size":2097152},"uki":{"name":"b_1.1.0.efi","size":20971520,"sha256":"HASH","purpose":"image"},
            "kernel-version":"6.12","state-format":{"current":1,"reads-from":1,"rollback-floor":1},"documents":[]}"#;
        Statement::parse(text.replace("HASH", &"ab".repeat(32)).as_bytes()).expect("a statement")
    }

    fn offer() -> Offer {
        Offer {
            version: "1.1.0".into(),
            release: "0".repeat(64),
            published: 1,
            notes: None,
            download: 8 << 20,
            full: false,
            approval: None,
        }
    }

    struct World {
        offer: Offer,
        statement: Statement,
        running: Definition,
        values: SettingValues,
        settings: Vec<Setting>,
    }

    impl World {
        fn new() -> Self {
            let running = definition();
            Self {
                offer: offer(),
                statement: statement(),
                settings: running.settings.clone(),
                running,
                values: SettingValues::new(),
            }
        }

        fn subject(&self) -> Subject<'_> {
            Subject {
                offer: &self.offer,
                statement: &self.statement,
                settings: Some(&self.settings),
                running: &self.running,
                values: &self.values,
                approval: Ok(None),
                start: Start::Loader,
                restart: Restart::Machine,
                data_free: 1 << 30,
                downloaded: 0,
                root_room: 300 << 20,
                verity_room: 3 << 20,
                esp_free: 30 << 20,
                memory_free: 512 << 20,
                memory_needed: 64 << 20,
                rates: Rates::default(),
            }
        }
    }

    fn subjects(precheck: &Precheck) -> Vec<&str> {
        precheck.problems.iter().map(|problem| problem.subject.as_str()).collect()
    }

    #[test]
    fn a_patch_that_fits_has_no_problem_and_an_estimate() {
        let world = World::new();
        let checked = precheck(&world.subject());
        assert!(checked.problems.is_empty() && checked.findings.is_empty(), "{checked:?}");
        assert_eq!(checked.install_seconds, 8 + 5 + 60);
        assert!(checked.rollback.contains("the state stays"));
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_to_do() {
        let world = World::new();
        let mut subject = world.subject();
        (subject.data_free, subject.root_room, subject.esp_free, subject.memory_free) =
            (80 << 20, 100 << 20, 1 << 20, 1);
        subject.start = Start::Outside;
        let checked = precheck(&subject);
        assert_eq!(subjects(&checked), ["boot", "space", "slot", "esp", "memory"]);
        assert!(checked.problems.iter().all(|problem| problem.resolution.is_some()));
    }

    #[test]
    fn a_state_format_the_release_can_not_read_is_a_problem() {
        let mut world = World::new();
        world.statement.state_format = StateFormat { current: 3, reads_from: 2, rollback_floor: 1 };
        let checked = precheck(&world.subject());
        assert_eq!(subjects(&checked), ["state format"]);
        assert!(checked.problems[0].text.contains("2 to 3"));
    }

    #[test]
    fn rollback_says_first_what_it_would_do_to_the_state() {
        let one = StateFormat { current: 1, reads_from: 1, rollback_floor: 1 };
        let two = StateFormat { current: 2, reads_from: 1, rollback_floor: 1 };
        let no_way_back = StateFormat { rollback_floor: 2, ..two };
        assert_eq!(rollback(&two, &one), Rollback::KeepsState);
        assert_eq!(rollback(&one, &two), Rollback::RestoresState);
        assert_eq!(rollback(&one, &no_way_back), Rollback::Refused);
        assert!(rollback_text(&one, &two).contains("what is entered in between is lost"));
    }

    #[test]
    fn a_return_is_told_with_what_it_does_to_the_state() {
        let side = |version: &str, current, reads_from, rollback_floor| Side {
            version: version.into(),
            root_hash: model::Sha256Digest([0; 32]),
            state_format: StateFormat { current, reads_from, rollback_floor },
        };
        let (older, newer) = (side("1.0.0", 1, 1, 1), side("2.0.0", 2, 1, 1));
        assert_eq!(return_text(&older, &older), "the state stays as it is");
        let text = return_text(&older, &newer);
        assert!(text.contains("before 2.0.0 comes back") && text.contains("entered since is lost"), "{text}");
        let text = return_text(&older, &side("2.0.0", 2, 1, 2));
        assert!(text.contains("does not allow a return to 1.0.0"), "{text}");
    }

    #[test]
    fn settings_that_change_meaning_are_told() {
        let mut world = World::new();
        let name = world
            .settings
            .iter()
            .position(|it| matches!(it.kind, Kind::String { .. }))
            .expect("a text setting");
        let old = world.settings[name].name.clone();
        world.values.insert(old.clone(), Value::String("Shop".into()));
        world.settings[name].name = "called".into();
        world.settings[name].was = vec![old.clone()];
        let mut fresh = world.settings[name].clone();
        (fresh.name, fresh.was, fresh.default, fresh.optional) =
            ("quite-new".into(), Vec::new(), None, false);
        world.settings.push(fresh);
        let checked = precheck(&world.subject());
        let texts: Vec<&str> = checked.findings.iter().map(|finding| finding.text.as_str()).collect();
        assert!(
            texts
                .iter()
                .any(|text| text.contains(&format!("the value of `{old}` is taken over as `called`"))),
            "{texts:?}"
        );
        assert!(texts.iter().any(|text| text.contains("`quite-new` is new and has no value")), "{texts:?}");
        world.settings[name].kind = Kind::Integer { min: None, max: None };
        let checked = precheck(&world.subject());
        assert!(checked.findings.iter().any(|finding| finding.text.contains("does not fit the new rules")));
        assert!(checked.problems.is_empty(), "an appliance is never kept from a security fix by a setting");
    }
}
