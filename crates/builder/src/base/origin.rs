//! Naming where entries came from that packages do not have like this (law 6).

use tree::{Node, Origin, TreePath};

/// What makes entries besides packages, by where it makes them. The first match wins.
const GENERATORS: &[(&str, &[&str])] = &[
    ("ldconfig", &["/etc/ld.so.cache"]),
    ("depmod", &["/usr/lib/modules/*/modules.*"]),
    ("systemd-hwdb", &["/etc/udev/hwdb.bin", "/usr/lib/udev/hwdb.bin"]),
    ("journalctl-catalog", &["/var/lib/systemd/catalog/database"]),
    ("systemctl-enable", &["/etc/systemd/system/**", "/etc/systemd/user/**"]),
    ("update-rc.d", &["/etc/rc*.d/*"]),
    ("update-alternatives", &["/etc/alternatives/*"]),
    (
        "accounts",
        &[
            "/etc/passwd",
            "/etc/group",
            "/etc/shadow",
            "/etc/gshadow",
            "/etc/subuid",
            "/etc/subgid",
            "/etc/shells",
        ],
    ),
    ("pam-auth-update", &["/etc/pam.d/common-*", "/var/lib/pam/*"]),
    ("update-ca-certificates", &["/etc/ssl/certs/**", "/etc/ca-certificates.conf"]),
    ("locale-gen", &["/usr/lib/locale/**", "/etc/default/locale"]),
    ("build-answers", &["/etc/postgresql-common/createcluster.conf"]),
    ("apache-modules", &["/etc/apache2/*-enabled/*", "/var/lib/apache2/**"]),
    ("php-modules", &["/etc/php/**", "/var/lib/php/modules/**"]),
    ("time-zone", &["/etc/localtime", "/etc/timezone"]),
];

/// Recognises generators by path.
pub(super) struct Generators(Vec<(&'static str, Vec<tree::Pattern>)>);

impl Generators {
    pub(super) fn new() -> Self {
        let parse = |text: &&str| text.parse().expect("a built-in pattern is well formed");
        Self(GENERATORS.iter().map(|(name, paths)| (*name, paths.iter().map(parse).collect())).collect())
    }

    /// Who made an entry that no package has like this.
    pub(super) fn of(&self, path: &TreePath, node: &Node) -> Origin {
        if let Node::Symlink { target } = node
            && target.starts_with("/etc/alternatives/")
        {
            return Origin::Generator("update-alternatives".into());
        }
        let found = self.0.iter().find(|(_, patterns)| patterns.iter().any(|pattern| pattern.matches(path)));
        Origin::Generator(found.map_or("maintainer-scripts", |(name, _)| name).into())
    }
}
