//! Settings that every appliance has, besides the declared ones.
//!
//! They are appended in one place, when a definition is sealed: the image, its settings document and its forms then know
//! them like any other. A definition can not declare one of their names.

use crate::definition::{Definition, Updates};
use crate::settings::{Kind, Setting, Value};

/// URL of the depot that is followed.
pub const DEPOT: &str = "update-depot";
/// [`DEPOT`]: a bundle on a disk that is attached to the machine.
pub const ATTACHED: &str = "disk://";
/// The certificate authority of a private depot.
pub const DEPOT_CERTIFICATE: &str = "update-depot-certificate";
/// The series of releases that is followed.
pub const CHANNEL: &str = "update-channel";
/// Who says yes to a patch.
pub const POLICY: &str = "update-policy";
/// When automatic patches may restart the appliance.
pub const WINDOW: &str = "update-window";
/// Most characters of [`WINDOW`].
pub const WINDOW_LIMIT: u32 = 60;
/// Public keys of those who have to approve, one a line.
pub const OFFICERS: &str = "update-officers";
/// How many of them have to.
pub const APPROVALS: &str = "update-approvals";
/// What approvals for a part of the appliances are made for.
pub const GROUP: &str = "update-group";
/// A time of day in the pattern of [`WINDOW`]. Which words are days is for `update::window` to say.
const TIME: &str = "([01][0-9]|2[0-3]):[0-5][0-9]";
/// All of them.
pub const NAMES: [&str; 8] = [DEPOT, DEPOT_CERTIFICATE, CHANNEL, POLICY, WINDOW, OFFICERS, APPROVALS, GROUP];

/// [`POLICY`]: a person asks for each patch.
pub const MANUAL: &str = "manual";
/// [`POLICY`]: patches are staged when they appear and installed inside the window.
pub const AUTOMATIC: &str = "automatic";

/// [`POLICY`]: as [`AUTOMATIC`], for patches that are proven to bring security fixes and nothing else.
pub const SECURITY: &str = "security";

/// The definition with the built-in settings behind the declared ones.
pub fn complete(definition: &Definition) -> Definition {
    let mut definition = definition.clone();
    definition.settings.retain(|setting| !NAMES.contains(&setting.name.as_str()));
    definition.settings.extend(settings(&definition.updates));
    definition
}

fn settings(updates: &Updates) -> Vec<Setting> {
    let setting = |name: &str, title: &str, help: &str, kind: Kind| Setting {
        name: name.to_owned(),
        title: title.to_owned(),
        help: help.to_owned(),
        kind,
        default: None,
        generate: None,
        optional: false,
        was: Vec::new(),
        restarts: Vec::new(),
        reloads: Vec::new(),
    };
    let mut depot = setting(
        DEPOT,
        "Depot",
        "Where this appliance looks for new releases; `disk://` is a bundle on a disk that is attached to the machine. Without it, it does \
         not look.",
        Kind::Url { schemes: vec!["https".into(), "http".into(), "disk".into()] },
    );
    depot.default = updates.depot.clone().map(Value::String);
    depot.optional = depot.default.is_none();
    let mut certificate = setting(
        DEPOT_CERTIFICATE,
        "Certificate authority of the depot",
        "For a private depot: only certificates of this authority are accepted then. Public ones need none.",
        Kind::Certificate { key: None },
    );
    certificate.optional = true;
    let mut channel = setting(
        CHANNEL,
        "Channel",
        "The series of releases that is followed.",
        Kind::String {
            pattern: Some("[a-z0-9][a-z0-9-]*".into()),
            min_length: Some(1),
            max_length: Some(32),
        },
    );
    channel.default = Some(Value::String(updates.channel.clone()));
    let mut policy = setting(
        POLICY,
        "Installing new releases",
        "`manual`: somebody asks for each one. `automatic`: inside the maintenance window. `security`: the same, but only where its maker \
         has proven that it brings security fixes and nothing else.",
        Kind::Enum { choices: vec![MANUAL.into(), AUTOMATIC.into(), SECURITY.into()] },
    );
    policy.default = Some(Value::String(MANUAL.into()));
    let mut window = setting(
        WINDOW,
        "Maintenance window",
        "When automatic installation may restart the appliance, in UTC, such as `Sat 02:00-04:00` or `02:00-04:00 daily`. \
         Any time without it.",
        Kind::String {
            pattern: Some(format!("([A-Za-z,-]+ )?{TIME}-{TIME}( [A-Za-z,-]+)?")),
            min_length: None,
            max_length: Some(WINDOW_LIMIT),
        },
    );
    window.optional = true;
    let mut officers = setting(
        OFFICERS,
        "Officers",
        "Public keys of those who have to approve a release before it is installed, one a line, as `ampoule keys show` prints them. \
         Without them nobody has to.",
        Kind::Text { max_length: Some(16 << 10) },
    );
    officers.optional = true;
    let mut approvals = setting(
        APPROVALS,
        "Approvals",
        "How many of the officers have to approve a release.",
        Kind::Integer { min: Some(1), max: Some(32) },
    );
    approvals.default = Some(Value::Integer(1));
    let mut group = setting(
        GROUP,
        "Group",
        "A name that officers use to approve a release for a part of their appliances.",
        Kind::String { pattern: Some("[A-Za-z0-9._-]+".into()), min_length: None, max_length: Some(64) },
    );
    group.optional = true;
    vec![depot, certificate, channel, policy, window, officers, approvals, group]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::validate::validate_document;

    #[test]
    fn every_appliance_can_be_told_where_its_patches_come_from() {
        let text = include_str!("../../../examples/lamp/appliance.toml");
        let mut definition = crate::parse(text).expect("parses").definition;
        definition.updates.depot = Some("https://depot.example.com/".into());
        let declared = definition.settings.len();
        let complete = complete(&definition);
        assert_eq!(complete.settings.len(), declared + NAMES.len());
        assert_eq!(super::complete(&complete), complete, "twice is once");
        let builtin = &complete.settings[declared..];
        let defaults = builtin.iter().filter_map(|it| Some((it.name.clone(), it.default.clone()?))).collect();
        assert!(validate_document(builtin, &defaults).is_empty(), "the defaults fit their rules");
    }

    #[test]
    fn a_window_has_times_that_a_clock_can_show() {
        let window =
            settings(&Updates::default()).into_iter().find(|it| it.name == WINDOW).expect("it is there");
        let is_good = |text: &str| crate::settings::validate::read_value(&window, text).is_ok();
        for text in ["00:00-23:59", "Sat 02:00-04:00", "02:00-04:00 daily", "Mon-Fri 22:00-01:30"] {
            assert!(is_good(text), "{text}");
        }
        for text in ["29:00-30:00", "02:00-24:00", "02:60-04:00", "2:00-04:00", "Sat 02:00"] {
            assert!(!is_good(text), "{text}");
        }
    }

    #[test]
    fn a_definition_can_not_declare_a_built_in_name() {
        let text = include_str!("../../../examples/lamp/appliance.toml").to_owned()
            + "\n[settings.update-policy]\ntype = \"boolean\"\ntitle = \"x\"\nhelp = \"y\"\ndefault = true\n";
        let problems = crate::parse(&text).expect_err("refused");
        assert!(problems.iter().any(|problem| problem.message.contains("update-policy")), "{problems:?}");
    }
}
