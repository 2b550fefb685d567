//! What `bulletin`, `diff` and `explain` say when they can not do what is asked.

mod support;

use support::ampoule_in;

#[test]
fn what_can_not_be_compared_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("text"), "no disk").expect("a file");
    let said = ampoule_in(folder.path(), ["bulletin", "nowhere", "nowhere"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("nowhere"), "{said:?}");
    for verb in ["bulletin", "diff"] {
        let said = ampoule_in(folder.path(), [verb, "text", "text"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("can not inspect `text`") && said.err.contains("--mount"), "{said:?}");
        assert!(said.out.is_empty(), "{said:?}");
    }
    let said = ampoule_in(folder.path(), ["explain", "/etc/passwd", "--release", "text", "--json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("user")));
}

#[test]
fn a_rule_that_is_none_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = ampoule_in(folder.path(), ["diff", "a", "b", "--fail-on", "new-setuid,everything"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("`everything` is no rule"), "{said:?}");
}
