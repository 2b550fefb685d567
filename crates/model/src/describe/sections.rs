//! The table itself.

use super::rules::*;
use super::{Form, Key, Need, Section, SectionNeed, Type};
use Need::{Default, Optional, Required};

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
/// Permission bits of one port.
const PORT: Type = Type::Whole { min: 1, max: 65535 };
/// Greatest length of a line or a text that a definition can ask for; keeps one value from filling the appliance.
const LENGTH: Type = Type::Whole { min: 0, max: 1 << 20 };

const fn key(name: &'static str, kind: Type, need: Need, about: &'static str) -> Key {
    Key { name, kind, need, about, only: &[] }
}

const fn key_for(
    only: &'static [&'static str],
    name: &'static str,
    kind: Type,
    need: Need,
    about: &'static str,
) -> Key {
    Key { name, kind, need, about, only }
}

/// The section of this name.
pub fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.iter().copied().find(|section| section.name == name)
}

/// All sections, in the order people should write them.
pub static SECTIONS: &[&Section] = &[
    &APPLIANCE,
    &BASE,
    &FILES,
    &USERS,
    &UNITS,
    &TEMPLATES,
    &SETTINGS,
    &SETTINGS_CHECK,
    &PORTS,
    &STATE,
    &HEALTH,
    &TRIM,
    &TRIM_RULES,
    &RESOURCES,
];

static APPLIANCE: Section = Section {
    name: "appliance",
    form: Form::Table,
    need: SectionNeed::Required,
    about: "Who makes the appliance and what it is called. `vendor` and `name` together are its identity: a data disk \
            of another identity is refused.",
    tag: None,
    keys: &[
        key(
            "vendor",
            Type::Text(&SLUG_NAME),
            Required,
            "Who makes it: a short name that stays the same for ever.",
        ),
        key(
            "name",
            Type::Text(&SLUG_NAME),
            Required,
            "The appliance's short name, unique among the vendor's.",
        ),
        key("title", Type::Text(&LINE), Required, "What people call it."),
        key(
            "version",
            Type::Text(&VERSION),
            Required,
            "Version of this release; each release has a higher one.",
        ),
        key("summary", Type::Text(&LINE), Required, "What it does, in one sentence."),
        key("contact", Type::Text(&EMAIL), Optional, "Where customers get support."),
        key("url", Type::Text(&WEB_URL), Optional, "Where people read more."),
        key("end-of-support", Type::Text(&DATE), Optional, "Last day on which this version is supported."),
    ],
    example: "[appliance]\nvendor = \"acme\"\nname = \"shop\"\ntitle = \"Acme Shop\"\nversion = \"1.4.0\"\n\
              summary = \"A web shop for small businesses\"\ncontact = \"support@example.org\"\n\
              end-of-support = \"2030-06-30\"\n",
};

static BASE: Section = Section {
    name: "base",
    form: Form::Table,
    need: SectionNeed::Required,
    about: "The operating system below the application: Debian packages and where they come from.",
    tag: None,
    keys: &[
        key(
            "suite",
            Type::Text(&SLUG_NAME),
            Required,
            "Debian's code name: \"bullseye\", \"bookworm\", \"trixie\".",
        ),
        key(
            "extra-suites",
            Type::Texts(&SLUG_NAME),
            Default("[\"updates\", \"security\"]"),
            "Suites besides it, without the code name: \"updates\", \"security\", \"backports\".",
        ),
        key(
            "components",
            Type::SomeOf(&["main", "contrib", "non-free", "non-free-firmware"]),
            Default("[\"main\"]"),
            "Parts of the archive that packages may come from.",
        ),
        key(
            "packages",
            Type::Texts(&PACKAGE),
            Default("[]"),
            "Packages to install; what they depend on comes along.",
        ),
        key("kernel", Type::Text(&PACKAGE), Default("\"linux-image-amd64\""), "The kernel package."),
        key("architecture", Type::OneOf(&["amd64"]), Default("\"amd64\""), "Debian architecture."),
        key(
            "mirror",
            Type::Text(&MIRROR),
            Optional,
            "Mirror of the suites. Left out, the one that the building machine's own apt uses.",
        ),
        key("security-mirror", Type::Text(&MIRROR), Optional, "Mirror of the security suite; see `mirror`."),
        key(
            "recommends",
            Type::Flag,
            Default("false"),
            "Whether packages that others recommend are installed too.",
        ),
    ],
    example: "[base]\nsuite = \"trixie\"\nextra-suites = [\"updates\", \"security\"]\npackages = [\"apache2\", \"php\"]\n",
};

static FILES: Section = Section {
    name: "files",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "Files and folders beside the definition that are placed in the image.",
    tag: None,
    keys: &[
        key("source", Type::Text(&SOURCE), Required, "File or folder, relative to the definition's folder."),
        key(
            "target",
            Type::Text(&ABSOLUTE),
            Required,
            "Absolute path in the image. A folder's content goes below it. What is below /usr and /opt is read-only in \
             the appliance.",
        ),
        key("owner", Type::Text(&OWNER), Default("\"root:root\""), "Who owns it: `user` or `user:group`."),
        key(
            "mode",
            Type::Mode,
            Optional,
            "Mode of the files. Left out, 0644, or 0755 where the source can be executed. Folders get 0755.",
        ),
    ],
    example: "[[files]]\nsource = \"site\"\ntarget = \"/srv/www\"\n",
};

static USERS: Section = Section {
    name: "users",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "System users of the application. They can not log in.",
    tag: None,
    keys: &[
        key("name", Type::Text(&USER), Required, "Name of the user and of its group."),
        key(
            "home",
            Type::Text(&ABSOLUTE),
            Default("\"/nonexistent\""),
            "Home directory; nothing is created there.",
        ),
        key("groups", Type::Texts(&USER), Default("[]"), "Groups that the user is also a member of."),
    ],
    example: "[[users]]\nname = \"shop\"\ngroups = [\"ssl-cert\"]\n",
};

static UNITS: Section = Section {
    name: "units",
    form: Form::Table,
    need: SectionNeed::Optional,
    about: "systemd units: which are added, started, and kept from starting.",
    tag: None,
    keys: &[
        key(
            "add",
            Type::Texts(&UNIT_FILE),
            Default("[]"),
            "Unit files beside the definition, added to the image.",
        ),
        key("enable", Type::Texts(&UNIT), Default("[]"), "Units started at boot."),
        key(
            "disable",
            Type::Texts(&UNIT),
            Default("[]"),
            "Units that a package would start at boot, and that are not started.",
        ),
        key("mask", Type::Texts(&UNIT), Default("[]"), "Units that can not be started at all."),
        key(
            "unhardened",
            Type::Texts(&UNIT),
            Default("[]"),
            "Services that keep their own sandboxing, without the hardening that enabled services get.",
        ),
    ],
    example: "[units]\nadd = [\"units/shop.service\"]\nenable = [\"shop.service\"]\nmask = [\"apt-daily.timer\"]\n",
};

static TEMPLATES: Section = Section {
    name: "templates",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "Files rendered from the settings at every boot and after every change. Templates are written in Jinja's \
            syntax; settings appear under their names with underscores: `{{ site_name }}`. `appliance.vendor`, \
            `appliance.name`, `appliance.title`, `appliance.version` and `hostname` are there too, and the filters \
            `html`, `json` and `shell`, which quote a value for those languages.",
    tag: None,
    keys: &[
        key("source", Type::Text(&SOURCE), Required, "Template text, relative to the definition's folder."),
        key(
            "target",
            Type::Text(&ABSOLUTE),
            Required,
            "Absolute path below /etc, /run or /var that is written.",
        ),
        key("owner", Type::Text(&OWNER), Default("\"root:root\""), "Who owns it: `user` or `user:group`."),
        key("mode", Type::Mode, Default("\"0644\""), "Mode of the file."),
    ],
    example: "[[templates]]\nsource = \"templates/site.conf\"\ntarget = \"/etc/apache2/sites-enabled/site.conf\"\n",
};

static SETTINGS: Section = Section {
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

static SETTINGS_CHECK: Section = Section {
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

static PORTS: Section = Section {
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

static STATE: Section = Section {
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

static HEALTH: Section = Section {
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

static TRIM: Section = Section {
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

static TRIM_RULES: Section = Section {
    name: "trim.rules",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "A named set of paths that this appliance does not need. The trim report lists what each rule removed.",
    tag: None,
    keys: &[
        key("name", Type::Text(&SLUG_NAME), Required, "Name of the rule."),
        key("why", Type::Text(&LINE), Required, "Why the paths are not needed, in one sentence."),
        key(
            "paths",
            Type::Texts(&PATH_PATTERN),
            Required,
            "Patterns of absolute paths; `*` stays inside one component, `**` crosses them.",
        ),
        key(
            "except",
            Type::Texts(&PATH_PATTERN),
            Default("[]"),
            "Patterns that are kept although `paths` names them.",
        ),
    ],
    example: "[[trim.rules]]\nname = \"php-tests\"\nwhy = \"tests are not run in the appliance\"\n\
              paths = [\"/usr/share/php/**/tests/**\"]\n",
};

static RESOURCES: Section = Section {
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
