//! Laws of [`super`]: every kind takes what it should, refuses what it should, and says so well.

use super::*;
use crate::settings::pem::tests::{CERTIFICATE, PRIVATE_KEY};

fn setting(name: &str, kind: Kind) -> Setting {
    Setting {
        name: name.into(),
        title: name.into(),
        help: String::new(),
        kind,
        default: None,
        generate: None,
        optional: false,
        was: Vec::new(),
        restarts: Vec::new(),
        reloads: Vec::new(),
    }
}

fn line(pattern: Option<&str>, min_length: Option<u32>, max_length: Option<u32>) -> Kind {
    Kind::String { pattern: pattern.map(Into::into), min_length, max_length }
}

#[test]
fn every_kind_takes_good_values_and_refuses_bad_ones() {
    let long = "x".repeat(1025);
    let cases: Vec<(Kind, Vec<&str>, Vec<&str>)> = vec![
        (line(None, None, None), vec!["", "a b", "日本"], vec!["a\nb", "a\u{0}", "a\u{2028}", &long]),
        (line(Some("[a-z]+"), None, None), vec!["abc"], vec!["abc1", "1abc", "", "abc\n"]),
        (line(Some("a|b"), None, None), vec!["a", "b"], vec!["ax", "xb"]),
        (line(None, Some(2), Some(3)), vec!["ab", "äöü"], vec!["a", "abcd"]),
        (Kind::Text { max_length: Some(4) }, vec!["a\nb", ""], vec!["abcde", "a\u{7}"]),
        (
            Kind::Integer { min: Some(1), max: Some(512) },
            vec!["1", " 512 "],
            vec!["0", "900", "+1", "1.0", "", "-"],
        ),
        (
            Kind::Integer { min: None, max: None },
            vec!["-9223372036854775808"],
            vec!["9223372036854775808", "0x10"],
        ),
        (Kind::Boolean, vec!["true", "No", "on"], vec!["", "1", "maybe"]),
        (Kind::Enum { choices: vec!["a".into(), "b c".into()] }, vec!["a", "b c"], vec!["", "A", "c"]),
        (Kind::Email, vec!["a@example.org"], vec!["", "a", "a@b@c", "a@example.org\n"]),
        (Kind::Hostname, vec!["www.example.org"], vec!["", "a_b", "10.0.0.1"]),
        (Kind::IpAddress, vec!["192.0.2.7", "::1"], vec!["", "192.0.2.256", "192.0.2.7/24", "fe80::1%eth0"]),
        (Kind::Cidr, vec!["192.0.2.0/24"], vec!["192.0.2.0", "192.0.2.0/33"]),
        (Kind::Port, vec!["1", "65535"], vec!["0", "65536", "http", "-1"]),
        (Kind::Url { schemes: vec![] }, vec!["https://a.example/x"], vec!["", "ldap://a", "https://u:p@a/"]),
        (Kind::Url { schemes: vec!["ldap".into()] }, vec!["ldap://a"], vec!["https://a"]),
        (Kind::Certificate { key: None }, vec![CERTIFICATE], vec!["", PRIVATE_KEY]),
        (Kind::PrivateKey, vec![PRIVATE_KEY], vec!["", CERTIFICATE]),
        (
            Kind::Secret { min_length: Some(8), max_length: None },
            vec!["12345678"],
            vec!["1234567", "123456789\n"],
        ),
        (Kind::Timezone, vec!["UTC", "Europe/Vienna"], vec!["", "Europe", "../../etc/passwd"]),
    ];
    for (kind, good, bad) in cases {
        let setting = setting("s", kind);
        for text in good {
            let value = read_value(&setting, text).unwrap_or_else(|violation| panic!("{violation}"));
            assert_eq!(validate_value(&setting, &value), Ok(()));
        }
        for text in bad {
            let violation = read_value(&setting, text).expect_err(text);
            let message = violation.to_string();
            assert!(message.starts_with("`s` can not be ") && message.contains("expected"), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}

#[test]
fn a_value_of_another_type_is_refused() {
    let port = setting("p", Kind::Port);
    assert!(validate_value(&port, &Value::String("80".into())).is_err());
    assert!(validate_value(&port, &Value::Boolean(true)).is_err());
    assert!(validate_value(&setting("b", Kind::Boolean), &Value::Integer(1)).is_err());
    assert!(validate_value(&setting("h", Kind::Hostname), &Value::Integer(1)).is_err());
}

#[test]
fn messages_name_the_setting_the_value_and_the_rule() {
    let upload = setting("max-upload", Kind::Integer { min: Some(1), max: Some(512) });
    assert_eq!(
        read_value(&upload, "900").expect_err("too large").to_string(),
        "`max-upload` can not be `900`: an integer from 1 to 512 is expected"
    );
    let mail = setting("admin-email", Kind::Email);
    assert_eq!(
        read_value(&mail, "").expect_err("empty").to_string(),
        "`admin-email` can not be empty: an e-mail address such as `name@example.org` is expected"
    );
    let long = read_value(&mail, &"x".repeat(5000)).expect_err("too long").to_string();
    assert!(long.len() < 200 && long.contains("..."), "{long}");
}

#[test]
fn a_secret_never_enters_a_message() {
    for kind in [Kind::Secret { min_length: Some(20), max_length: None }, Kind::PrivateKey] {
        let violation = read_value(&setting("s", kind), "hunter2").expect_err("too short");
        assert!(!format!("{violation} {violation:?} {}", violation.rule()).contains("hunter2"));
    }
}

#[test]
fn a_document_is_judged_whole() {
    let settings = [
        setting("site-name", line(None, None, None)),
        setting("max-upload", Kind::Integer { min: Some(1), max: Some(512) }),
        Setting { default: Some(Value::Boolean(true)), ..setting("redirect", Kind::Boolean) },
        Setting {
            generate: Some(Generate::SelfSigned),
            ..setting("certificate", Kind::Certificate { key: Some("key".into()) })
        },
        setting("key", Kind::PrivateKey),
        Setting { optional: true, ..setting("relay", Kind::Hostname) },
    ];
    let given = |pairs: &[(&str, Value)]| {
        let values = pairs.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        validate_document(&settings, &values).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let good = [("site-name", Value::String("x".into())), ("max-upload", Value::Integer(5))];
    assert_eq!(given(&good), Vec::<String>::new());
    assert_eq!(
        given(&[("max-uplod", Value::Integer(5)), ("max-upload", Value::Integer(0))]),
        [
            "`max-upload` can not be `0`: an integer from 1 to 512 is expected",
            "`max-uplod` is not a setting of this appliance: did you mean `max-upload`?",
            "`site-name` has no value: it has no default, so that it has to be given",
        ]
    );
}

#[test]
fn a_pattern_that_is_only_valid_inside_a_group_or_too_large_is_refused() {
    assert!(compile_pattern("a)|(b").is_err());
    assert!(compile_pattern("(a{1000}){1000}").is_err());
    assert!(compile_pattern("[a-z]+").is_ok());
}
