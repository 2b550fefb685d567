//! What the faces of a bulletin must never do, and how large they may be.

mod common;

use bulletin::render::text::Extent;
use bulletin::render::{html, text};
use common::{Draft, bulletin_of, changelog, maker, package_origin};

const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[31m\u{202e}gpj.exe\u{200b}\"'&";

fn hostile() -> bulletin::Bulletin {
    let mut old = Draft::appliance("1.0.0");
    old.package("nginx", "nginx", "1-1", "");
    old.file("usr/share/shop/page", b"one\n", maker("page"));
    let mut new = Draft::appliance("1.0.1");
    let entry = changelog("nginx", "1-2", "trixie-security", &format!("  * CVE-2026-1111 {HOSTILE}"));
    new.package("nginx", "nginx", "1-2", &entry);
    new.file("usr/share/shop/page", format!("{HOSTILE}</pre>\n").as_bytes(), maker("page"));
    new.file(&format!("usr/share/{}", HOSTILE.replace('/', "|")), b"x", maker("x"));
    new.file("usr/share/line\nfeed", b"x", package_origin("nginx"));
    let definition = new.definition.as_mut().expect("it has one");
    definition.appliance.title = HOSTILE.into();
    definition.appliance.summary = format!("{HOSTILE}</style>");
    bulletin_of(&old, &new)
}

#[test]
fn texts_of_strangers_do_nothing_on_the_page() {
    let page = html(&hostile());
    assert!(!page.contains("<script>alert"), "escaped");
    assert!(page.contains("&#60;script&#62;alert(1)"), "and shown");
    assert_eq!(page.matches("<script").count(), 1, "the page's own program alone");
    assert_eq!(page.matches("<style").count(), 1);
    let bad = ['\u{1b}', '\u{202e}', '\u{200b}'];
    assert!(!page.contains(bad), "controls are shown as their code points");
    assert!(page.contains("⟨U+202E⟩"));
}

#[test]
fn texts_of_strangers_do_nothing_to_a_terminal() {
    for extent in [Extent::Short, Extent::Whole] {
        let text = text(&hostile(), extent);
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{200b}', '\r', '\u{7}']));
        assert!(text.contains("⟨U+001B⟩"));
        assert!(text.contains("/usr/share/line feed"), "a path stays on its line");
    }
}

#[test]
fn the_page_lets_a_browser_run_and_load_nothing_but_its_own() {
    let page = html(&hostile());
    let policy =
        page.split("Content-Security-Policy\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let policy = policy.expect("a policy").replace("&#39;", "'");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"));
    assert!(
        !page.contains(" style=") && !page.contains(" onclick") && !page.contains("http-equiv=\"refresh")
    );
    for word in ["src=", "url(", "@import", "<link", "<img", "<iframe"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn every_changed_path_is_on_the_page() {
    let it = hostile();
    let page = html(&it);
    for change in &it.files.changes {
        if change.path.chars().all(|c| c.is_ascii_alphanumeric() || "/.".contains(c)) {
            assert!(page.contains(&change.path), "{}", change.path);
        }
    }
}

#[test]
fn forty_thousand_changed_files_make_a_page_that_a_browser_can_open() {
    let (mut old, mut new) = (Draft::appliance("1.0.0"), Draft::appliance("1.0.1"));
    for index in 0..40_000 {
        let path = format!("usr/share/some/folder{}/a-file-with-a-name-{index}", index % 200);
        old.file(&path, format!("{index}").as_bytes(), package_origin("data"));
        // Texts, each of which has a difference to show.
        new.file(&path, format!("{index} and more").as_bytes(), package_origin("data"));
    }
    let it = bulletin_of(&old, &new);
    assert_eq!(it.files.changes.len(), 40_000);
    let page = html(&it);
    assert!(page.len() < 6 << 20, "{} bytes", page.len());
    assert!(page.matches('<').count() < 12_000, "lines, not rows: {} tags", page.matches('<').count());
    assert!(page.contains("a-file-with-a-name-39999"));
}

#[test]
fn a_bulletin_reads_back_what_it_wrote_and_is_the_same_twice() {
    let (one, other) = (hostile(), hostile());
    let json = serde_json::to_string(&one).expect("JSON");
    assert_eq!(json, serde_json::to_string(&other).expect("JSON"));
    assert_eq!(serde_json::from_str::<bulletin::Bulletin>(&json).expect("reads"), one);
    assert_eq!(html(&one), html(&other));
}

#[test]
fn advisories_say_what_the_bulletin_says() {
    let it = hostile();
    let csaf = bulletin::render::advisory::csaf(&it).expect("an appliance");
    assert_eq!(csaf["document"]["tracking"]["id"], "acme-shop-1.0.1");
    assert_eq!(csaf["vulnerabilities"][0]["cve"], "CVE-2026-1111");
    assert_eq!(csaf["vulnerabilities"][0]["product_status"]["fixed"][0], "acme/shop@1.0.1");
    assert_eq!(csaf["vulnerabilities"].as_array().map(Vec::len), Some(1));
    let atom = bulletin::render::advisory::atom(&it).expect("an appliance");
    assert!(!atom.contains("<script") && !atom.contains('\u{1b}') && atom.contains("&lt;script&gt;"));
    let mut none = it;
    none.new.appliance = None;
    assert!(bulletin::render::advisory::csaf(&none).is_none());
}
