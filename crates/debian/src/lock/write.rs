//! The lock as text: TOML, one block a package, one line a fact, so that a version bump shows as a small diff.

use std::fmt::Write;

use super::{LOCK_FORMAT, Lock, LockedPackage, Role};

const HEADER: &str = "\
# The exact packages of this appliance. Written by `ampoule lock`; keep it under version control.
# To change it, change `appliance.toml` and lock again.
";

pub(super) fn text(lock: &Lock) -> String {
    let mut text = String::from(HEADER);
    line(&mut text, "format", LOCK_FORMAT);
    quoted(&mut text, "architecture", &lock.architecture);
    quoted(&mut text, "request", lock.request);
    text.push_str("\n# The order in which apt unpacks them.\norder = [\n");
    for name in &lock.order {
        text.push_str("    ");
        push_string(&mut text, name);
        text.push_str(",\n");
    }
    text.push_str("]\n");
    for suite in &lock.suites {
        text.push_str("\n[[suite]]\n");
        quoted(&mut text, "name", &suite.name);
        quoted(&mut text, "date", suite.date);
        quoted(&mut text, "release-sha256", suite.release_sha256);
    }
    for package in &lock.packages {
        push_package(&mut text, package);
    }
    text
}

fn push_package(text: &mut String, package: &LockedPackage) {
    text.push_str("\n[[package]]\n");
    quoted(text, "name", &package.name);
    quoted(text, "version", &package.version);
    quoted(text, "source", &package.source);
    // Most packages have their source's version: said once, a version bump is one line less.
    if package.source_version.as_str() != package.version.as_str() {
        quoted(text, "source-version", &package.source_version);
    }
    quoted(text, "architecture", &package.architecture);
    quoted(text, "suite", &package.suite);
    quoted(text, "component", &package.component);
    if !package.section.is_empty() {
        quoted(text, "section", &package.section);
    }
    if package.role == Role::Boot {
        quoted(text, "role", "boot");
    }
    if package.essential {
        line(text, "essential", true);
    }
    if package.requested {
        line(text, "requested", true);
    }
    line(text, "size", package.size);
    quoted(text, "sha256", package.sha256);
    quoted(text, "path", &package.path);
}

fn line(text: &mut String, key: &str, value: impl std::fmt::Display) {
    writeln!(text, "{key} = {value}").expect("writing to a string does not fail");
}

fn quoted(text: &mut String, key: &str, value: impl std::fmt::Display) {
    text.push_str(key);
    text.push_str(" = ");
    push_string(text, &value.to_string());
    text.push('\n');
}

/// A TOML basic string.
fn push_string(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            // A valid lock has none of these; an invalid one must still not change the text's shape.
            control if control.is_control() => {
                write!(text, "\\u{:04X}", u32::from(control)).expect("writing to a string does not fail");
            }
            plain => text.push(plain),
        }
    }
    text.push('"');
}
