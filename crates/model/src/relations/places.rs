//! Where files, templates and state may lie in an appliance.

use super::Findings;
use crate::parse::Parsed;
use crate::syntax::is_below;

/// Folders that belong to the kernel, to the data partition or to Ampoule itself.
const RESERVED: [&str; 7] = ["/data", "/dev", "/proc", "/sys", "/run/ampoule", "/usr/lib/ampoule", "/boot"];
/// Folders that are empty at every boot, so that a file of the image would never be seen.
const VOLATILE: [&str; 2] = ["/run", "/tmp"];
/// Names that Debian keeps as links into /usr.
const LINKS: [&str; 4] = ["/bin", "/sbin", "/lib", "/lib64"];
/// Folders that templates can write to: the rest is read-only.
const RENDERED: [&str; 3] = ["/etc", "/run", "/var"];

pub(super) fn check(parsed: &Parsed, findings: &mut Findings<'_>) {
    let definition = &parsed.definition;
    let files: Vec<_> = definition
        .files
        .iter()
        .enumerate()
        .map(|(i, file)| (format!("files[{i}].target"), &file.target))
        .collect();
    let templates: Vec<_> = definition
        .templates
        .iter()
        .enumerate()
        .map(|(i, template)| (format!("templates[{i}].target"), &template.target))
        .collect();
    let states: Vec<_> = definition
        .state
        .iter()
        .enumerate()
        .map(|(i, state)| (format!("state[{i}].path"), &state.path))
        .collect();

    for (path, target) in files.iter().chain(&templates).chain(&states) {
        if let Some(folder) = RESERVED.iter().find(|folder| is_below(target, folder)) {
            findings.at(path, format!("`{target}` can not be used: {folder} is not the application's"), None);
        } else if let Some(link) = LINKS.iter().find(|link| is_below(target, link)) {
            let hint = format!("write `/usr{target}`");
            findings.at(
                path,
                format!("`{target}` can not be used: {link} is a link to /usr{link}"),
                Some(hint),
            );
        }
    }
    for (path, target) in files.iter().chain(&states) {
        if let Some(folder) = VOLATILE.iter().find(|folder| is_below(target, folder) && !is_reserved(target))
        {
            findings.at(path, format!("`{target}` can not be used: {folder} is empty at every boot"), None);
        }
    }
    for (path, target) in &templates {
        if !target.is_empty()
            && !is_reserved(target)
            && !RENDERED.iter().any(|folder| is_strictly_below(target, folder))
        {
            let hint = "the rest of the appliance is read-only; link to it from there with a file".to_owned();
            findings.at(
                path,
                format!("`{target}` can not be rendered: expected a path below /etc, /run or /var"),
                Some(hint),
            );
        }
    }
    let targets = files.iter().chain(&templates).map(|(path, target)| (path.clone(), target.as_str()));
    findings.unique(targets, |target| format!("`{target}` is written twice"));
    check_nesting(&states, findings);
}

/// State directories are mounts: one inside another would hide part of it.
fn check_nesting(states: &[(String, &String)], findings: &mut Findings<'_>) {
    for (index, (path, inner)) in states.iter().enumerate() {
        let around = states.iter().enumerate().find(|(other, (_, outer))| {
            *other != index
                && !outer.is_empty()
                && is_below(inner, outer)
                && (inner != outer || *other < index)
        });
        if let Some((_, (_, outer))) = around {
            let message = if inner == outer {
                format!("the state directory `{inner}` is declared twice")
            } else {
                format!("the state directory `{inner}` lies inside of `{outer}`, which is kept already")
            };
            findings.at(path, message, Some("leave one of them out".into()));
        }
        // Whole system folders as state would carry an old image's files over a patch.
        if ["/etc", "/var", "/var/lib"].contains(&inner.as_str()) || is_below(inner, "/usr") {
            findings.at(
                path,
                format!("`{inner}` can not be state: files of the image below it would survive a patch"),
                Some("declare the application's own directory, such as `/var/lib/NAME`".into()),
            );
        }
    }
}

fn is_reserved(target: &str) -> bool {
    RESERVED.iter().any(|folder| is_below(target, folder))
}

fn is_strictly_below(path: &str, folder: &str) -> bool {
    path != folder && is_below(path, folder)
}
