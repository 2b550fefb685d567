//! Rules between the keys of a setting, and between settings.

use super::{Findings, items};
use crate::builtin;
use crate::parse::Parsed;
use crate::settings::validate::{STRING_LIMIT, Violation, validate_value};
use crate::settings::{Generate, Kind, Setting, Value};
use crate::suggest::nearest;

pub(super) fn check(parsed: &Parsed, findings: &mut Findings<'_>) {
    let settings = &parsed.definition.settings;
    for (index, setting) in settings.iter().enumerate() {
        let path = format!("settings[{index}]");
        check_names(setting, &path, settings, findings);
        let before = findings.problems.len();
        check_bounds(setting, &path, findings);
        if findings.problems.len() > before {
            // Nothing can be judged by bounds that are wrong.
            continue;
        }
        check_default(setting, &path, findings);
        check_generate(setting, &path, findings);
        check_units(setting, &path, findings);
        if let Kind::Certificate { key: Some(key) } = &setting.kind {
            check_key(key, &path, settings, findings);
        }
    }
    let keys = settings.iter().enumerate().filter_map(|(index, setting)| match &setting.kind {
        Kind::Certificate { key: Some(key) } => Some((format!("settings[{index}].key"), key.as_str())),
        _ => None,
    });
    findings.unique(keys, |key| format!("two certificates name the key `{key}`"));
}

/// Names of the appliance's own settings, and former names that somebody else has.
fn check_names(setting: &Setting, path: &str, settings: &[Setting], findings: &mut Findings<'_>) {
    if builtin::NAMES.contains(&setting.name.as_str()) {
        let message = format!("every appliance has the setting `{}` already", setting.name);
        let place = findings.spans.header(path);
        findings.at_span(place, message, Some("leave it out, or give yours another name".into()));
    }
    for (index, was) in setting.was.iter().enumerate() {
        let has_it = |other: &&Setting| other.name == *was || (*other != setting && other.was.contains(was));
        if builtin::NAMES.contains(&was.as_str()) || settings.iter().any(|other| has_it(&other)) {
            findings.at(
                &format!("{path}.was[{index}]"),
                format!("`{was}` is the name of another setting, or was"),
                None,
            );
        }
    }
}

fn check_bounds(setting: &Setting, path: &str, findings: &mut Findings<'_>) {
    let mut order = |least: Option<i64>, greatest: Option<i64>, key: &str, words: &str| {
        if let (Some(least), Some(greatest)) = (least, greatest)
            && least > greatest
        {
            // At whichever of the two is written; the second one first, as it is read last.
            let span = findings.spans.value(&format!("{path}.{}", key.replace("min", "max")));
            let span = span.or_else(|| findings.spans.value(&format!("{path}.{key}")));
            findings.at_span(
                span,
                format!("no value fits: the least {words} is {least}, the greatest {greatest}"),
                None,
            );
        }
    };
    match &setting.kind {
        Kind::Integer { min, max } => order(*min, *max, "min", "value"),
        Kind::String { min_length, max_length, .. } | Kind::Secret { min_length, max_length } => order(
            min_length.map(i64::from),
            Some(i64::from(max_length.unwrap_or(STRING_LIMIT))),
            "min-length",
            "length",
        ),
        Kind::Enum { choices } => {
            let list = format!("{path}.choices");
            if choices.is_empty() && findings.spans.value(&list).is_some() {
                findings.at(&list, "a setting of type `enum` has at least one choice".into(), None);
            }
            findings.unique(items(&list, choices), |choice| format!("the choice `{choice}` is there twice"));
        }
        _ => {}
    }
}

fn check_default(setting: &Setting, path: &str, findings: &mut Findings<'_>) {
    let Some(default) = &setting.default else { return };
    let path = format!("{path}.default");
    if setting.kind.is_secret() {
        // Law 12: the definition lies in every image.
        let message = format!("`{}` can not have a default: no secret is ever in an image", setting.name);
        let hint = match setting.kind {
            Kind::Secret { .. } => "leave it out, or write `generate = \"random\"`",
            _ => "leave it out",
        };
        return findings.at(&path, message, Some(hint.into()));
    }
    if setting.generate.is_some() {
        let message = format!("`{}` is generated, so that its default would never be used", setting.name);
        return findings.at(&path, message, Some("leave out `default` or `generate`".into()));
    }
    if setting.optional {
        let message = format!("`{}` has a default, so that it is never without a value", setting.name);
        return findings.at(&path, message, Some("leave out `default` or `optional`".into()));
    }
    if let Err(Violation::Refused { value, rule, .. }) = validate_value(setting, default) {
        let hint = match default {
            Value::String(_) if matches!(setting.kind, Kind::Integer { .. } | Kind::Port | Kind::Boolean) => {
                Some("write it without quotes".into())
            }
            _ => None,
        };
        let value = value.unwrap_or_default();
        findings.at(&path, format!("the default of `{}` can not be `{value}`: {rule}", setting.name), hint);
    }
}

fn check_generate(setting: &Setting, path: &str, findings: &mut Findings<'_>) {
    let path = format!("{path}.generate");
    match (setting.generate, &setting.kind) {
        (None, _) | (Some(Generate::SelfSigned), Kind::Certificate { key: Some(_) }) => {}
        (Some(Generate::Random), Kind::Secret { min_length, max_length }) => {
            /// Characters that the appliance makes.
            const MADE: u32 = 32;
            if min_length.is_some_and(|least| least > MADE)
                || max_length.is_some_and(|greatest| greatest < MADE)
            {
                findings.at(
                    &path,
                    format!("32 characters are made, which do not fit the length of `{}`", setting.name),
                    None,
                );
            }
        }
        (Some(Generate::SelfSigned), Kind::Certificate { key: None }) => findings.at(
            &path,
            format!("`{}` is generated, but does not say where its private key goes", setting.name),
            Some("add `key = \"NAME\"` with the name of a setting of type `private-key`".into()),
        ),
        (Some(Generate::SelfSigned), _) => {
            findings.at(&path, "\"self-signed\" goes with the type `certificate` only".into(), None);
        }
        (Some(Generate::Random), _) => {
            findings.at(&path, "\"random\" goes with the type `secret` only".into(), None);
        }
    }
}

fn check_key(key: &str, path: &str, settings: &[Setting], findings: &mut Findings<'_>) {
    let path = format!("{path}.key");
    match settings.iter().find(|setting| setting.name == key) {
        Some(Setting { kind: Kind::PrivateKey, .. }) => {}
        Some(_) => findings.at(&path, format!("the setting `{key}` is not of type `private-key`"), None),
        None => {
            let keys = || settings.iter().filter(|setting| setting.kind == Kind::PrivateKey);
            let near = nearest(key, keys().map(|setting| setting.name.as_str()));
            let hint = match near.or_else(|| keys().map(|setting| setting.name.as_str()).next()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add `[settings.{key}]` with `type = \"private-key\"`"),
            };
            findings.at(&path, format!("no setting is called `{key}`"), Some(hint));
        }
    }
}

fn check_units(setting: &Setting, path: &str, findings: &mut Findings<'_>) {
    let restarts = items("restarts", &setting.restarts);
    let all: Vec<_> = restarts
        .chain(items("reloads", &setting.reloads))
        .map(|(list, unit)| (format!("{path}.{list}"), unit))
        .collect();
    findings.unique(all, |unit| format!("the unit `{unit}` is named twice; a restart includes a reload"));
}
