//! The one sentence: who should act and how soon.

use super::{Basis, fixes, issues_text};
use crate::facts::{Kind, Layer, Urgency};
use crate::render::{counted, grouped};
use crate::side::Side;

/// Says it.
pub fn sentence(basis: &Basis<'_>, urgency: Urgency, kind: Kind) -> String {
    let name = |side: &Side<'_>| match &side.definition {
        Some(definition) => format!("{} {}", definition.appliance.title, definition.appliance.version),
        None => side.label.clone(),
    };
    let (old, new) = (name(basis.old), name(basis.new));
    if let (Some(one), Some(other)) = (&basis.old.definition, &basis.new.definition) {
        if one.appliance.id() != other.appliance.id() {
            return format!(
                "These are two appliances, {old} and {new}: no patch leads from one to the other."
            );
        }
        if is_older(&other.appliance.version, &one.appliance.version) {
            let back = basis.issues.counts.new.unwrap_or_default();
            return match back {
                0 => format!("{new} is older than {old}: this is a way back."),
                _ => format!("{new} is older than {old}: going back brings {} with it.", issues_text(back)),
            };
        }
    }
    if kind == Kind::Nothing {
        return format!("Nobody has to act: {old} and {new} have the same image.");
    }
    let new = match (&basis.old.definition, &basis.new.definition) {
        (Some(_), Some(definition)) => definition.appliance.version.clone(),
        _ => new,
    };
    let counts = &basis.issues.counts;
    let served = served(basis);
    let known = |count: usize| match count {
        1 => "a known security issue".to_owned(),
        _ => format!("{} known security issues", grouped(count as u64)),
    };
    let programs = match served.first() {
        Some((source, service, fixed)) if counts.fixed > *fixed => {
            format!("{}, {fixed} of them in {source}, which {service} runs", known(counts.fixed))
        }
        Some((source, service, _)) => format!("{} in {source}, which {service} runs", known(counts.fixed)),
        None => known(counts.fixed),
    };
    let kernel = grouped(counts.fixed_kernel as u64);
    let what = match (counts.fixed, counts.fixed_kernel) {
        (0, 0) if kind == Kind::Security => "it holds security updates that name no issue".to_owned(),
        (0, 0) => "it fixes no known security issue".to_owned(),
        (_, 0) => format!("it fixes {programs}"),
        (0, _) => format!("it fixes {} in the kernel", known(counts.fixed_kernel)),
        (..) => format!("it fixes {programs}, and {kernel} more in the kernel"),
    };
    // What comes with the patch belongs into the same breath as what it fixes.
    let what = match counts.new.unwrap_or_default() {
        0 => what,
        new => format!(
            "{what}, but brings {} that {} not there before",
            counted(new, "known issue", "known issues"),
            if new == 1 { "was" } else { "were" }
        ),
    };
    if basis.old.definition.is_none() || basis.new.definition.is_none() {
        let sources = counted(basis.sources.len(), "source package", "source packages");
        let files = counted(basis.files.changes.len(), "path", "paths");
        return format!("{new} differs from {old} in {sources} and {files}: {what}.");
    }
    match urgency {
        Urgency::High => format!("Everyone who runs {old} should install {new} within days: {what}."),
        Urgency::Soon => {
            format!("Everyone who runs {old} should install {new} in the next maintenance window: {what}.")
        }
        Urgency::Routine | Urgency::None => {
            format!("Whoever runs {old} can install {new} when it suits: {what}.")
        }
    }
}

/// Sources with fixes that a service of the appliance runs: what the maker chose first, then what is nearest to the service.
fn served<'a>(basis: &Basis<'a>) -> Vec<(&'a str, &'a str, usize)> {
    let mut served = Vec::new();
    for source in
        basis.sources.iter().filter(|source| source.layer != Layer::Kernel && !source.touched.is_empty())
    {
        let ids = fixes(basis).filter(|issue| issue.source == source.name).count();
        let steps: Vec<&str> = source.reached.as_deref().unwrap_or_default().split(" → ").collect();
        if let (1.., [service, _, ..]) = (ids, steps.as_slice()) {
            served.push(((source.layer, steps.len()), (source.name.as_str(), *service, ids)));
        }
    }
    served.sort_by_key(|(key, (_, _, ids))| (*key, std::cmp::Reverse(*ids)));
    served.into_iter().map(|(_, it)| it).collect()
}

/// Whether `one` is an older version than `other`; texts that are no versions have no order.
fn is_older(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<release::version::Version>().ok();
    parse(one).zip(parse(other)).is_some_and(|(one, other)| one < other)
}
