//! Sections that say how the appliance behaves: settings, network, state, health, trimming, resources.

use super::{key, key_for};
use crate::describe::Need::{Default, Optional, Required};
use crate::describe::rules::*;
use crate::describe::{Form, Section, SectionNeed, Type};

/// Types of settings that have a length.
const WITH_LEAST: &[&str] = &["string", "secret"];
/// All types of settings, as they are written.
const SETTING_TYPES: &[&str] = &[
    "string",
    "text",
    "integer",
    "boolean",
    "enum",
    "email",
    "hostname",
    "ip-address",
    "cidr",
    "port",
    "url",
    "certificate",
    "private-key",
    "secret",
    "timezone",
];
/// A port number.
const PORT: Type = Type::Whole { min: 1, max: 65535 };
/// Greatest length of a line or a text that a definition can ask for; keeps one value from filling the appliance.
const LENGTH: Type = Type::Whole { min: 0, max: 1 << 20 };

pub(super) static SETTINGS: Section = Section {
    name: "settings",
    form: Form::Named,
    need: SectionNeed::Optional,
    about: "The few typed values that a customer may set. Forms show them in the order in which they are written. A \
            setting without `default`, neither generated nor optional, has to be given before the appliance is of use.",
    tag: Some("type"),
    keys: &[
        key("type", Type::OneOf(SETTING_TYPES), Required, "What values it takes."),
        key("title", Type::Text(&LINE), Required, "What forms show."),
        key(
            "help",
            Type::Text(&PARAGRAPH),
            Default("\"\""),
            "One or two sentences for the person who fills it in.",
        ),
        key(
            "default",
            Type::Value,
            Optional,
            "The value when nobody sets one. Secrets and keys can not have one.",
        ),
        key(
            "optional",
            Type::Flag,
            Default("false"),
            "Whether it may stay without a value. Templates see `none` then.",
        ),
        key(
            "generate",
            Type::OneOf(&["self-signed", "random"]),
            Optional,
            "How the appliance makes a value at first boot when nobody gives one: `self-signed` for a certificate with \
             `key`, `random` (32 characters) for a secret.",
        ),
        key(
            "was",
            Type::Texts(&SETTING_NAME),
            Default("[]"),
            "Names that the setting had in earlier releases: its value is taken over, and given back on a rollback.",
        ),
        key("restarts", Type::Texts(&UNIT), Default("[]"), "Units restarted after a change."),
        key("reloads", Type::Texts(&UNIT), Default("[]"), "Units reloaded after a change."),
        key_for(
            &["string"],
            "pattern",
            Type::Text(&PATTERN),
            Optional,
            "Regular expression that the whole value has to match.",
        ),
        key_for(WITH_LEAST, "min-length", LENGTH, Optional, "Least number of characters."),
        key_for(
            &["string", "text", "secret"],
            "max-length",
            LENGTH,
            Optional,
            "Greatest number of characters, 1024 when left out; of bytes for `text`, 65536 when left out.",
        ),
        key_for(&["integer"], "min", Type::Whole { min: i64::MIN, max: i64::MAX }, Optional, "Least value."),
        key_for(
            &["integer"],
            "max",
            Type::Whole { min: i64::MIN, max: i64::MAX },
            Optional,
            "Greatest value.",
        ),
        key_for(&["enum"], "choices", Type::Texts(&ANY_LINE), Required, "The values there are."),
        key_for(
            &["url"],
            "schemes",
            Type::Texts(&SCHEME),
            Default("[]"),
            "Allowed schemes; `http` and `https` when empty.",
        ),
        key_for(
            &["certificate"],
            "key",
            Type::Text(&SLUG_NAME),
            Optional,
            "Name of the `private-key` setting that has to belong to the certificate.",
        ),
    ],
    example: "[settings.max-upload]\ntype = \"integer\"\ntitle = \"Largest upload\"\nhelp = \"In MiB.\"\nmin = 1\n\
              max = 512\ndefault = 16\nreloads = [\"apache2.service\"]\n",
};

pub(super) static SETTINGS_CHECK: Section = Section {
    name: "settings-check",
    form: Form::Table,
    need: SectionNeed::Absent,
    about: "Your own check of a whole configuration, run on the rendered files before a change is applied.",
    tag: None,
    keys: &[key(
        "command",
        Type::Texts(&ANY_LINE),
        Required,
        "Program and arguments. Exit code 0 means good; what it prints is shown to the person who made the change.",
    )],
    example: "[settings-check]\ncommand = [\"apachectl\", \"configtest\"]\n",
};

pub(super) static PORTS: Section = Section {
    name: "ports",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "Network ports that the appliance answers on. All others are closed by its firewall.",
    tag: None,
    keys: &[
        key("port", PORT, Required, "Port number."),
        key("protocol", Type::OneOf(&["tcp", "udp"]), Default("\"tcp\""), "Transport protocol."),
        key("purpose", Type::Text(&LINE), Required, "What it is for, in a few words."),
        key(
            "url-scheme",
            Type::OneOf(&["http", "https"]),
            Optional,
            "Set where people open a page on this port: the status card shows its URL.",
        ),
    ],
    example: "[[ports]]\nport = 443\npurpose = \"the shop\"\nurl-scheme = \"https\"\n",
};

pub(super) static STATE: Section = Section {
    name: "state",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "Directories that survive a patch. Whatever is written elsewhere is gone after the next boot.",
    tag: None,
    keys: &[
        key("path", Type::Text(&ABSOLUTE), Required, "Absolute path of the directory."),
        key("owner", Type::Text(&OWNER), Optional, "Who owns it. Left out, whoever owns it in the image."),
        key("mode", Type::Mode, Optional, "Its mode. Left out, as in the image, or 0750."),
        key("purpose", Type::Text(&LINE), Required, "What it holds, in a few words."),
    ],
    example: "[[state]]\npath = \"/var/lib/shop\"\nowner = \"shop\"\npurpose = \"orders and pictures\"\n",
};

/// Numbers of state formats.
const STATE_NUMBER: Type = Type::Whole { min: 1, max: 1_000_000 };

pub(super) static STATE_FORMAT: Section = Section {
    name: "state-format",
    form: Form::Table,
    need: SectionNeed::Optional,
    about: "Which form the state has. When a patch falls back to a release that can not read the newer form, the state is \
            brought back as it was before the patch.",
    tag: None,
    keys: &[
        key("current", STATE_NUMBER, Default("1"), "The form that this release writes."),
        key(
            "reads-from",
            STATE_NUMBER,
            Default("1"),
            "The oldest form that this release can take over; patches from releases with an older one are refused.",
        ),
        key(
            "rollback-floor",
            STATE_NUMBER,
            Default("1"),
            "No rollback is offered to a release that writes an older form.",
        ),
    ],
    example: "[state-format]\ncurrent = 3\nreads-from = 2\nrollback-floor = 2\n",
};

pub(super) static UPDATES: Section = Section {
    name: "updates",
    form: Form::Table,
    need: SectionNeed::Optional,
    about: "Where the appliance looks for releases. Its owner can name another depot, such as one inside of a company, with \
            the settings that every appliance has: `update-depot`, `update-depot-certificate`, `update-channel`, \
            `update-policy` (`manual`, `automatic` or `security`) and `update-window` (such as `Sat 02:00-04:00`, in UTC).",
    tag: None,
    keys: &[
        key(
            "depot",
            Type::Text(&DEPOT_URL),
            Optional,
            "URL of your depot; `disk://` for appliances that are brought bundles on disks.",
        ),
        key("channel", Type::Text(&SLUG_NAME), Default("\"stable\""), "The series of releases it follows."),
        key(
            "trial",
            Type::Whole { min: 30, max: 86_400 },
            Default("600"),
            "Seconds after the start of a patched appliance within which every check has to pass; otherwise it falls back.",
        ),
    ],
    example: "[updates]\ndepot = \"https://depot.example.org\"\n",
};

pub(super) static TRUST: Section = Section {
    name: "trust",
    form: Form::Table,
    need: SectionNeed::Absent,
    about: "Whom the appliance believes. With it, a release is only installed that your roles signed and, where you have a \
            ledger, that the ledger proves to be public. Without it, whoever runs the depot is trusted.",
    tag: None,
    keys: &[
        key(
            "root",
            Type::Text(&SOURCE),
            Required,
            "The root of your roles, as `ampoule keys root` writes it.",
        ),
        key(
            "ledger",
            Type::Text(&SOURCE),
            Optional,
            "The ledger's key, its witnesses, and how many of them have to agree.",
        ),
    ],
    example: "[trust]\nroot = \"trust/root.json\"\nledger = \"trust/ledger.policy\"\n",
};

pub(super) static HEALTH: Section = Section {
    name: "health",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "Checks that decide whether the appliance is healthy. A patched appliance whose checks do not pass within \
            their grace falls back.",
    tag: Some("kind"),
    keys: &[
        key("name", Type::Text(&LINE), Required, "Short name, shown to people."),
        key("kind", Type::OneOf(&["http", "tcp", "unit", "command"]), Required, "What is looked at."),
        key_for(
            &["http"],
            "url",
            Type::Text(&LOCAL_URL),
            Required,
            "Page of the appliance itself. Its certificate is not judged.",
        ),
        key_for(
            &["http"],
            "status",
            Type::Whole { min: 100, max: 599 },
            Default("200"),
            "Expected status code.",
        ),
        key_for(&["http"], "contains", Type::Text(&LINE), Optional, "Text that the page has to contain."),
        key_for(&["tcp"], "port", PORT, Required, "Port on the appliance that takes a connection."),
        key_for(&["unit"], "unit", Type::Text(&UNIT), Required, "Unit that is active."),
        key_for(
            &["command"],
            "command",
            Type::Texts(&ANY_LINE),
            Required,
            "Program and arguments that exit with 0.",
        ),
        key_for(&["command"], "user", Type::Text(&USER), Optional, "User that runs it; root when left out."),
        key("timeout", Type::Whole { min: 1, max: 300 }, Default("5"), "Seconds that one attempt may take."),
        key(
            "grace",
            Type::Whole { min: 1, max: 3600 },
            Default("120"),
            "Seconds after boot within which it has to pass.",
        ),
    ],
    example: "[[health]]\nname = \"the shop answers\"\nkind = \"http\"\nurl = \"https://localhost/\"\ncontains = \"Welcome\"\n",
};

pub(super) static TRIM: Section = Section {
    name: "trim",
    form: Form::Table,
    need: SectionNeed::Optional,
    about: "Changes to the rules that remove what an appliance does not need.",
    tag: None,
    keys: &[
        key("keep", Type::Texts(&SLUG_NAME), Default("[]"), "Rules that are switched off, by name."),
        key("rules", Type::Tables(&TRIM_RULES), Default("[]"), "Rules of your own; see `[[trim.rules]]`."),
    ],
    example: "[trim]\nkeep = [\"documentation\"]\n",
};

pub(super) static TRIM_RULES: Section = Section {
    name: "trim.rules",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "A named set of paths or packages that this appliance does not need. The trim report lists what each rule removed.",
    tag: None,
    keys: &[
        key("name", Type::Text(&SLUG_NAME), Required, "Name of the rule."),
        key("why", Type::Text(&LINE), Required, "Why the paths are not needed, in one sentence."),
        key(
            "paths",
            Type::Texts(&PATH_PATTERN),
            Default("[]"),
            "Patterns of absolute paths; `*` stays inside one component, `**` crosses them.",
        ),
        key(
            "packages",
            Type::Texts(&PACKAGE),
            Default("[]"),
            "Packages whose files are removed, all of them but those `except` names.",
        ),
        key(
            "except",
            Type::Texts(&PATH_PATTERN),
            Default("[]"),
            "Patterns that are kept although `paths` or `packages` names them.",
        ),
    ],
    example: "[[trim.rules]]\nname = \"php-tests\"\nwhy = \"tests are not run in the appliance\"\n\
              paths = [\"/usr/share/php/**/tests/**\"]\n",
};

pub(super) static RESOURCES: Section = Section {
    name: "resources",
    form: Form::Table,
    need: SectionNeed::Optional,
    about: "What the virtual machine is given when nobody says otherwise.",
    tag: None,
    keys: &[
        key("memory", Type::Size { min: 64 << 20, max: 16 << 40 }, Default("\"1 GiB\""), "Memory."),
        key("cpus", Type::Whole { min: 1, max: 1024 }, Default("1"), "Virtual CPUs."),
        key(
            "data",
            Type::Size { min: 256 << 20, max: 256 << 40 },
            Default("\"2 GiB\""),
            "Size of the data partition or disk.",
        ),
    ],
    example: "[resources]\nmemory = \"2 GiB\"\ncpus = 2\ndata = \"10 GiB\"\n",
};
