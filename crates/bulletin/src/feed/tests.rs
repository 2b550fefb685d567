//! Feeds, good and bad.

use super::*;

const TRACKER: &str = r#"{
 "openssl": {
  "CVE-2026-1": {"description": "one", "releases": {"trixie": {"status": "resolved", "fixed_version": "3.5.1-1+deb13u2", "urgency": "high**"}}},
  "CVE-2026-2": {"description": "two", "releases": {"trixie": {"status": "open", "urgency": "unimportant", "nodsa": "Minor issue"}}},
  "CVE-2026-3": {"releases": {"trixie": {"status": "resolved", "fixed_version": "0"}, "bookworm": {"status": "open"}}},
  "CVE-2026-4": {"releases": {"trixie": {"status": "undetermined"}}}
 },
 "other": {"CVE-2026-5": {"releases": {"trixie": {"status": "open"}}}}
}"#;

const OSV: &str = r#"[{"id": "DEBIAN-CVE-2026-1", "modified": "2026-11-20T00:00:00Z", "details": "one\ntwo",
 "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
 "affected": [{"package": {"ecosystem": "Debian:13", "name": "openssl"}, "ranges": [{"type": "ECOSYSTEM",
  "events": [{"introduced": "0"}, {"fixed": "3.5.1-1+deb13u2"}]}]}]},
 {"id": "DSA-9-1", "modified": "2026-11-21T00:00:00Z", "upstream": ["CVE-2026-6", "CVE-2026-7"],
 "affected": [{"package": {"ecosystem": "Debian:13", "name": "openssl"}, "ranges": [{"events": [{"introduced": "3.5.0-1"}]}]},
              {"package": {"ecosystem": "Debian:12", "name": "openssl"}, "ranges": []}]}]"#;

fn question() -> Question {
    Question { sources: BTreeSet::from(["openssl".to_owned()]), suite: "trixie".into() }
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

#[test]
fn the_tracker_says_which_versions_have_an_issue() {
    let feed =
        read("tracker.json", TRACKER.as_bytes(), Some("2026-11-22".into()), &question()).expect("reads");
    let ids: Vec<&str> = feed.records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, ["CVE-2026-1", "CVE-2026-2", "CVE-2026-3"]);
    let has = |index: usize, text: &str| feed.records[index].affected.has(&version(text));
    assert!(has(0, "3.5.1-1+deb13u1") && !has(0, "3.5.1-1+deb13u2"));
    assert!(has(1, "9") && !has(2, "1"));
    assert_eq!(feed.records[0].severity, Some(Severity::High));
    assert_eq!(feed.records[1].severity, Some(Severity::Unimportant));
    assert_eq!(
        (feed.facts.format.as_str(), feed.facts.date.as_deref()),
        ("debian-tracker", Some("2026-11-22"))
    );
}

#[test]
fn osv_says_the_same_in_its_own_way() {
    let feed = read("osv.json", OSV.as_bytes(), None, &question()).expect("reads");
    let ids: Vec<&str> = feed.records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids, ["CVE-2026-1", "CVE-2026-6", "CVE-2026-7"]);
    assert_eq!(feed.records[0].severity, Some(Severity::Critical));
    assert!(
        feed.records[0].affected.has(&version("3.5.1-1"))
            && !feed.records[0].affected.has(&version("3.5.1-1+deb13u2"))
    );
    assert!(
        !feed.records[1].affected.has(&version("3.4.0-1"))
            && feed.records[1].affected.has(&version("3.5.1-1"))
    );
    assert_eq!(feed.facts.date.as_deref(), Some("2026-11-21T00:00:00Z"));
}

#[test]
fn a_feed_that_is_cut_off_anywhere_is_an_error_and_never_half_a_feed() {
    for text in [TRACKER, OSV] {
        for length in (0..text.trim_end().len()).step_by(7) {
            assert!(read("cut", &text.as_bytes()[..length], None, &question()).is_err(), "{length}");
        }
    }
}

#[test]
fn a_feed_of_something_else_is_refused() {
    for bytes in [&b"hello"[..], b"<html>", b"PK\x03\x04 nothing", b"{\"openssl\": 7}", b"[1]", b""] {
        assert!(read("wrong", bytes, None, &question()).is_err(), "{bytes:?}");
    }
}

#[test]
fn scores_become_words_as_first_computes_them() {
    let word = |vector| osv::severity(vector);
    assert_eq!(word("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H"), Some(Severity::High));
    assert_eq!(word("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"), Some(Severity::Medium));
    assert_eq!(word("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:L"), Some(Severity::Low));
    assert_eq!(word("CVSS:4.0/AV:N"), None);
}
