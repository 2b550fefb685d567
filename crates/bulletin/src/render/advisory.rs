//! Advisories for programs: CSAF 2.0 and an Atom entry. Both say what the bulletin says and nothing more.
//!
//! Time is the day of the packages that the release is made from: it is known from the lock, and the same in every run.

use serde_json::{Value, json};

use super::safe::{harmless, line, shown};
use crate::facts::{Bulletin, Class, Issue, Severity, Status, Urgency};

/// Time of a release whose packages have none, such as a bare disk.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// A CSAF 2.0 document of category `csaf_security_advisory`; `None` when the new side is no appliance.
pub fn csaf(bulletin: &Bulletin) -> Option<Value> {
    let it = &harmless(bulletin);
    let (appliance, version) = (it.new.appliance.as_ref()?, it.new.version.as_ref()?);
    let vendor = appliance.split('/').next().unwrap_or_default();
    let date = it.new.date.as_deref().unwrap_or(NO_TIME);
    let product = |subject: &crate::facts::Subject| {
        let version = subject.version.clone().unwrap_or_default();
        let mut product = json!({"name": subject.name(), "product_id": product_id(subject)});
        let uris = identities(subject);
        if !uris.is_empty() {
            product["product_identification_helper"] = json!({"x_generic_uris": uris});
        }
        json!({"category": "product_version", "name": version, "product": product})
    };
    let branches = json!([{
        "category": "vendor", "name": vendor,
        "branches": [{"category": "product_name", "name": it.new.title, "branches": [product(&it.old), product(&it.new)]}],
    }]);
    let vulnerabilities: Vec<Value> =
        by_id(it).into_iter().map(|(id, issues)| vulnerability(it, id, &issues)).collect();
    Some(json!({
        "document": {
            "category": "csaf_security_advisory",
            "csaf_version": "2.0",
            "title": format!("{} {version}", it.new.title),
            "lang": "en",
            "notes": [{"category": "summary", "text": it.verdict.sentence, "title": "Who should act"}],
            "aggregate_severity": {"text": severity_text(it.verdict.urgency)},
            "publisher": {"category": "vendor", "name": vendor, "namespace": format!("urn:ampoule:{appliance}")},
            "tracking": {
                "id": format!("{}-{version}", appliance.replace('/', "-")),
                "status": "final", "version": "1",
                "initial_release_date": date, "current_release_date": date,
                "revision_history": [{"number": "1", "date": date, "summary": "Computed from the two releases"}],
                "generator": {"engine": {"name": "Ampoule"}},
            },
        },
        "product_tree": {"branches": branches},
        "vulnerabilities": vulnerabilities,
    }))
}

/// By which a program recognises exactly this release, whatever it is called.
fn identities(subject: &crate::facts::Subject) -> Vec<Value> {
    let uri = |kind: &str, digest: model::Sha256Digest| {
        let namespace = format!("urn:ampoule:{kind}");
        json!({"namespace": namespace, "uri": format!("{namespace}:{digest}")})
    };
    let release = subject.release.map(|digest| uri("release", digest));
    let root = subject.root_hash.map(|digest| uri("root-hash", digest));
    release.into_iter().chain(root).collect()
}

fn product_id(subject: &crate::facts::Subject) -> String {
    let name = subject.appliance.clone().unwrap_or_else(|| subject.title.clone());
    format!("{name}@{}", subject.version.as_deref().unwrap_or_default())
}

/// An urgency in the words that people use for severities.
fn severity_text(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::None => "none",
        Urgency::Routine => "low",
        Urgency::Soon => "moderate",
        Urgency::High => "important",
    }
}

/// Issues that are plainly told, by id, in the order of the bulletin.
fn by_id(it: &Bulletin) -> Vec<(&str, Vec<&Issue>)> {
    let mut found: Vec<(&str, Vec<&Issue>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for issue in it.issues.list.iter().filter(|issue| issue.class != Class::Unclear) {
        let place = *places.entry(issue.id.as_str()).or_insert_with(|| {
            found.push((&issue.id, Vec::new()));
            found.len() - 1
        });
        found[place].1.push(issue);
    }
    found
}

fn vulnerability(it: &Bulletin, id: &str, issues: &[&Issue]) -> Value {
    let (old, new) = (product_id(&it.old), product_id(&it.new));
    let is_aside = |issue: &&&Issue| {
        !issue.in_image || issue.vex.is_some() || issue.severity == Some(Severity::Unimportant)
    };
    let aside = issues.iter().filter(is_aside).count() == issues.len();
    let has = |status: Status| issues.iter().any(|issue| issue.status == status);
    let mut product_status = serde_json::Map::new();
    let mut remediations = Vec::new();
    if aside {
        product_status.insert("known_not_affected".into(), json!([old, new]));
    } else if has(Status::Open) {
        product_status.insert("known_affected".into(), json!([old, new]));
    } else if has(Status::New) {
        product_status.insert("known_affected".into(), json!([new]));
    } else {
        product_status.insert("fixed".into(), json!([new]));
        product_status.insert("known_affected".into(), json!([old]));
        remediations.push(json!({
            "category": "vendor_fix", "details": format!("Install {}.", it.new.name()), "product_ids": [old],
        }));
    }
    let note = |issue: &&Issue| {
        let said = issue.findings.iter().map(|finding| format!("{}: {}", finding.at, line(&finding.text)));
        let mut text = format!("{}: {}", issue.source, said.collect::<Vec<_>>().join("; "));
        if let Some(vex) = &issue.vex {
            text.push_str(&format!("; {vex}"));
        }
        if !issue.in_image {
            text.push_str("; not in a part that the image has");
        }
        json!({"category": "description", "text": text, "title": issue.source})
    };
    let mut value =
        json!({"notes": issues.iter().map(note).collect::<Vec<_>>(), "product_status": product_status});
    match id.starts_with("CVE-") {
        true => value["cve"] = id.into(),
        false => value["ids"] = json!([{"system_name": "OSV", "text": id}]),
    }
    if !remediations.is_empty() {
        value["remediations"] = remediations.into();
    }
    if aside && issues.iter().all(|issue| !issue.in_image) {
        value["flags"] = json!([{"label": "vulnerable_code_not_present", "product_ids": [old, new]}]);
    } else if aside {
        let vex = issues.iter().find_map(|issue| issue.vex.clone());
        let details = vex.unwrap_or_else(|| "Debian calls it unimportant.".to_owned());
        value["threats"] = json!([{"category": "impact", "details": details, "product_ids": [old, new]}]);
    }
    value
}

/// An Atom entry (RFC 4287), to be put into a feed; `None` when the new side is no appliance.
pub fn atom(bulletin: &Bulletin) -> Option<String> {
    let (appliance, version) = (bulletin.new.appliance.as_ref()?, bulletin.new.version.as_ref()?);
    let date = bulletin.new.date.as_deref().unwrap_or(NO_TIME);
    let text = super::text(bulletin, super::text::Extent::Short);
    Some(format!(
        "<entry xmlns=\"http://www.w3.org/2005/Atom\">\n  <id>urn:ampoule:{}:{}</id>\n  <title>{}</title>\n  <updated>{}</updated>\n  \
         <author><name>{}</name></author>\n  <summary>{}</summary>\n  <content type=\"text\">{}</content>\n</entry>\n",
        escaped(appliance),
        escaped(version),
        escaped(&format!("{} {version}", bulletin.new.title)),
        escaped(date),
        escaped(appliance.split('/').next().unwrap_or_default()),
        escaped(&bulletin.verdict.sentence),
        escaped(&text),
    ))
}

/// A text as XML has it.
fn escaped(text: &str) -> String {
    shown(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
