//! What is inside an image.

use model::ByteSize;
use model::definition::{Definition, Port, Protocol};
use model::settings::Setting;
use model::settings::validate::{is_required, rule};
use release::inspect::{FileFacts, Inspection, Privileged, UnitState, Verified};

use super::table;
use crate::args::Section;

/// The overview, or one section whole.
pub fn inspection(inspection: &Inspection, section: Option<Section>) -> String {
    match section {
        None => overview(inspection),
        Some(Section::Packages) => packages(inspection),
        Some(Section::Units) => units(inspection),
        Some(Section::Ports) => inspection.definition.as_ref().map(|it| ports(&it.ports)).unwrap_or_default(),
        Some(Section::Users) => users(inspection),
        Some(Section::Setuid) => privileged(&inspection.privileged),
        Some(Section::Settings) => inspection.definition.as_ref().map(settings).unwrap_or_default(),
        Some(Section::Trim) => trim(inspection),
        Some(Section::Files) => {
            inspection.files.iter().map(|file| format!("{}\n", file_line(file))).collect()
        }
    }
}

/// One path.
pub fn file(file: &FileFacts) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<8}{value}\n"));
    line("path", &file.path);
    line("type", file.kind);
    line("mode", &format!("{} {}:{}", file.mode, file.uid, file.gid));
    if let Some(size) = file.size {
        line("size", &format!("{size} bytes"));
    }
    if let Some(target) = &file.target {
        line("target", target);
    }
    if let Some(sha256) = &file.sha256 {
        line("sha256", &sha256.to_string());
    }
    line("origin", &origin(file.origin.as_deref()));
    text
}

fn overview(it: &Inspection) -> String {
    let mut text = String::new();
    if let Some(definition) = &it.definition {
        let identity = &definition.appliance;
        text.push_str(&format!(
            "{} {} ({})\n{}\n\n",
            identity.title,
            identity.version,
            identity.id(),
            identity.summary
        ));
    }
    let mut line = |label: &str, value: &str| text.push_str(&format!("{label:<13}{value}\n"));
    line("root hash", &it.root_hash.to_string());
    match &it.verified {
        Verified::Yes => line("verified", "yes: every block belongs to the root hash"),
        Verified::No(why) => line("verified", &format!("NO: {why}")),
    }
    line("root", &format!("{}, {} paths", ByteSize(it.root_size), it.files.len()));
    line("kernel", &it.kernel_version);
    if let Some(definition) = &it.definition {
        let identity = &definition.appliance;
        line("base", &format!("Debian {} {}", definition.base.suite, definition.base.extra_suites.join(" ")));
        if let Some(end) = &identity.end_of_support {
            line("supported", &format!("until {end}"));
        }
    }
    let present = it.packages.iter().filter(|package| package.files > 0).count();
    line("packages", &format!("{present} in the image, {} only in the build", it.packages.len() - present));
    let count = |state| it.units.iter().filter(|unit| unit.state == state).count();
    line("units", &format!("{} enabled, {} masked", count(UnitState::Enabled), count(UnitState::Masked)));
    let with_password = it.users.iter().filter(|user| user.has_password).count();
    line("users", &format!("{}, {with_password} with a password", it.users.len()));
    let trimmed = it.trim.removed.iter().map(|removed| removed.files).sum::<u64>();
    line("trimmed", &format!("{} in {trimmed} files", ByteSize(it.trim.bytes())));
    if let Some(definition) = &it.definition {
        text.push_str(&format!("\nports\n{}", indent(&ports(&definition.ports))));
        text.push_str(&format!("\nsettings\n{}", indent(&settings(definition))));
        let state = definition.state.iter().map(|state| format!("{}: {}\n", state.path, state.purpose));
        text.push_str(&format!("\nstate that survives a patch\n{}", indent(&state.collect::<String>())));
    }
    text.push_str(&format!("\nsetuid, setgid and capabilities\n{}", indent(&privileged(&it.privileged))));
    text
}

fn packages(it: &Inspection) -> String {
    let mut rows = vec![["package", "version", "source", "suite", "files"].map(str::to_owned).to_vec()];
    rows.extend(it.packages.iter().map(|package| {
        let files = if package.files == 0 { "trimmed".to_owned() } else { package.files.to_string() };
        vec![
            package.name.clone(),
            package.version.clone(),
            package.source.clone(),
            package.suite.clone(),
            files,
        ]
    }));
    table(&rows)
}

fn units(it: &Inspection) -> String {
    let mut rows = vec![["unit", "state"].map(str::to_owned).to_vec()];
    rows.extend(it.units.iter().map(|unit| {
        let state = match unit.state {
            UnitState::Enabled => "enabled",
            UnitState::Wired => "started by its package",
            UnitState::Available => "available",
            UnitState::Masked => "masked",
        };
        vec![unit.name.clone(), state.to_owned()]
    }));
    table(&rows)
}

fn ports(ports: &[Port]) -> String {
    let protocol = |port: &Port| match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    ports.iter().map(|port| format!("{}/{}: {}\n", port.port, protocol(port), port.purpose)).collect()
}

fn users(it: &Inspection) -> String {
    let mut rows = vec![["user", "number", "shell", "password"].map(str::to_owned).to_vec()];
    rows.extend(it.users.iter().map(|user| {
        let password = if user.has_password { "SET" } else { "locked" };
        vec![user.name.clone(), user.uid.to_string(), user.shell.clone(), password.to_owned()]
    }));
    table(&rows)
}

fn privileged(files: &[Privileged]) -> String {
    if files.is_empty() {
        return "none\n".to_owned();
    }
    let line = |file: &Privileged| {
        let mut rights = Vec::new();
        if file.setuid {
            rights.push(format!("setuid {}", file.uid));
        }
        if file.setgid {
            rights.push(format!("setgid {}", file.gid));
        }
        rights.extend(file.capabilities.iter().map(|capability| capability.0.clone()));
        vec![file.path.clone(), rights.join(", "), origin(file.origin.as_deref())]
    };
    table(&files.iter().map(line).collect::<Vec<_>>())
}

fn settings(definition: &Definition) -> String {
    let row = |setting: &Setting| {
        let rule = rule(&setting.kind);
        let source = first_value(setting, &definition.settings);
        vec![setting.name.clone(), rule.trim_end_matches(" is expected").to_owned(), source]
    };
    table(&definition.settings.iter().map(row).collect::<Vec<_>>())
}

/// Where a setting's value comes from when nobody sets one.
fn first_value(setting: &Setting, all: &[Setting]) -> String {
    match (&setting.default, setting.generate) {
        (Some(value), _) => format!("default {value}"),
        (None, Some(_)) => "generated".to_owned(),
        (None, None) if setting.optional => "optional".to_owned(),
        (None, None) if is_required(setting, all) => "to be given".to_owned(),
        (None, None) => "made with its certificate".to_owned(),
    }
}

fn trim(it: &Inspection) -> String {
    let mut rows = vec![["rule", "files", "size", "why"].map(str::to_owned).to_vec()];
    rows.extend(it.trim.removed.iter().map(|removed| {
        let size = ByteSize(removed.bytes).to_string();
        vec![removed.rule.clone(), removed.files.to_string(), size, removed.why.clone()]
    }));
    table(&rows)
}

fn file_line(file: &FileFacts) -> String {
    let size = file.size.map(|size| size.to_string()).unwrap_or_default();
    let target = file.target.as_ref().map(|target| format!(" -> {target}")).unwrap_or_default();
    let kind = file.kind.chars().next().unwrap_or('?');
    let origin = origin(file.origin.as_deref());
    format!(
        "{kind} {} {:>5}:{:<5} {size:>10} {}{target}  [{origin}]",
        file.mode, file.uid, file.gid, file.path
    )
}

fn origin(text: Option<&str>) -> String {
    match text.and_then(|text| text.split_once(':')) {
        Some(("package", name)) => format!("package {name}"),
        Some(("maker", path)) => format!("the maker's file {path}"),
        Some(("generator", name)) => format!("generator {name}"),
        _ => "unknown".to_owned(),
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_customer_has_to_give_is_said_to_be_given() {
        let text = r#"
            [appliance]
            vendor = "acme"
            name = "shop"
            title = "Shop"
            version = "1.0.0"
            summary = "A shop"
            [base]
            suite = "trixie"
            [settings.certificate]
            type = "certificate"
            title = "Certificate"
            key = "certificate-key"
            generate = "self-signed"
            [settings.certificate-key]
            type = "private-key"
            title = "Its key"
            [settings.more-url]
            type = "url"
            title = "More"
            optional = true
            [settings.token]
            type = "secret"
            title = "Token"
            generate = "random"
            [settings.owner]
            type = "email"
            title = "Owner"
        "#;
        let definition = model::parse::parse(text).expect("the definition is good").definition;
        let sources: Vec<String> =
            definition.settings.iter().map(|setting| first_value(setting, &definition.settings)).collect();
        assert_eq!(
            sources,
            ["generated", "made with its certificate", "optional", "generated", "to be given"]
        );
    }
}
