//! Sections that say what is in the image.

use super::key;
use crate::describe::Need::{Default, Optional, Required};
use crate::describe::rules::*;
use crate::describe::{Form, Section, SectionNeed, Type};

pub(super) static APPLIANCE: Section = Section {
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

pub(super) static BASE: Section = Section {
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

pub(super) static FILES: Section = Section {
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

pub(super) static USERS: Section = Section {
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

pub(super) static UNITS: Section = Section {
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

pub(super) static TEMPLATES: Section = Section {
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

pub(super) static COMPONENTS: Section = Section {
    name: "components",
    form: Form::List,
    need: SectionNeed::Optional,
    about: "Parts of your files that have a name and a version of their own in the release's list of components (SBOM). Files \
            that none of them names, and no language package found among them, belong to the application as a whole, with the \
            appliance's version. The first entry that names a file has it.",
    tag: None,
    keys: &[
        key("name", Type::Text(&LINE), Required, "What it is called."),
        key("version", Type::Text(&LINE), Required, "Its version, as its maker writes it."),
        key("licence", Type::Text(&LICENCE), Optional, "SPDX licence expression."),
        key("supplier", Type::Text(&LINE), Optional, "Who made it. Left out, the vendor."),
        key("purl", Type::Text(&PURL), Optional, "Package URL, by which scanners know it."),
        key(
            "paths",
            Type::Texts(&PATH_PATTERN),
            Default("[]"),
            "Which of your files are its own: patterns of absolute paths in the image; `*` stays inside one name, `**` crosses \
             folders.",
        ),
    ],
    example: "[[components]]\nname = \"chart.js\"\nversion = \"4.4.1\"\nlicence = \"MIT\"\npurl = \"pkg:npm/chart.js@4.4.1\"\n\
              paths = [\"/srv/www/js/chart*.js\"]\n",
};

pub(super) static SBOM: Section = Section {
    name: "sbom",
    form: Form::Table,
    need: SectionNeed::Optional,
    about: "Lists of components that you bring along.",
    tag: None,
    keys: &[key(
        "merge",
        Type::Texts(&SOURCE),
        Default("[]"),
        "CycloneDX or SPDX documents (JSON) beside the definition, as your own build writes them. Their components are listed \
         among the release's, marked as your claim.",
    )],
    example: "[sbom]\nmerge = [\"app.cdx.json\"]\n",
};
