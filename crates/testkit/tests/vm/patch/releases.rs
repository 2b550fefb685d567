//! Releases of one appliance, good ones and bad ones, and how it is told of a depot that has them.

use std::fs;
use std::path::Path;

use machine::RunOptions;
use release::ReleaseFolder;
use testkit::BootedAppliance;
use testkit::depot::DepotServer;
use testkit::variant::{self, edit};

/// Thirty seconds instead of two minutes, for checks that never pass.
pub const SHORT_GRACE: (&str, &str) = ("contains = \"ok\"", "contains = \"ok\"\ngrace = 30");

pub fn first() -> ReleaseFolder {
    variant::release("1.0.0", |_| ())
}

pub fn good() -> ReleaseFolder {
    variant::release("1.0.1", |_| ())
}

/// As good, and later.
pub fn later() -> ReleaseFolder {
    variant::release("1.0.9", |_| ())
}

/// Its health page says no.
pub fn unhealthy() -> ReleaseFolder {
    variant::release("1.0.2", break_health)
}

pub fn break_health(folder: &Path) {
    edit(&folder.join("appliance.toml"), SHORT_GRACE.0, SHORT_GRACE.1);
    let page = "<?php http_response_code(503); echo 'the shelf is gone';\n";
    fs::write(folder.join("app/public/health.php"), page).expect("writes");
}

/// Boots as on any hypervisor and follows the depot.
pub fn following(release: &ReleaseFolder, server: &DepotServer) -> RunOptions {
    let settings = format!("update-depot = \"{}\"\n", server.url());
    RunOptions { settings: Some(settings), ..BootedAppliance::patchable(release) }
}

/// When a unit of a release is started.
#[derive(Clone, Copy)]
pub enum Moment {
    /// Before anything else of user space.
    Early,
    /// Before Apache, which waits for its end.
    BeforeServices,
    /// With the services.
    WithServices,
}

/// Adds a unit that is started at boot, and may do everything.
pub fn unit(folder: &Path, name: &str, moment: Moment, service: &str) {
    let (head, target) = match moment {
        Moment::Early => ("DefaultDependencies=no\nBefore=sysinit.target", "sysinit.target"),
        Moment::BeforeServices => ("Before=apache2.service", "multi-user.target"),
        Moment::WithServices => ("", "multi-user.target"),
    };
    fs::create_dir_all(folder.join("units")).expect("creates");
    let text = format!(
        "[Unit]\nDescription=Of a test\n{head}\n\n[Service]\n{service}\n\n[Install]\nWantedBy={target}\n"
    );
    fs::write(folder.join(format!("units/{name}.service")), text).expect("writes");
    let listed = format!(
        "add = [\"units/{name}.service\"]\nenable = [\"apache2.service\", \"{name}.service\"]\nunhardened = [\"{name}.service\"]"
    );
    edit(&folder.join("appliance.toml"), "enable = [\"apache2.service\"]", &listed);
}

pub fn append(file: &Path, text: &str) {
    let mut content = fs::read_to_string(file).expect("reads");
    content.push_str(text);
    fs::write(file, content).expect("writes");
}
