//! The published schema says what the JSON is: every key of it, and no other.

mod common;

use common::{Draft, bulletin_of, changelog, maker, package_origin};
use serde_json::Value;

/// Whether `value` is as `schema` says, with what is wrong. Knows the keywords that the schema uses, and no others.
fn check(schema: &Value, root: &Value, value: &Value, at: &str) -> Result<(), String> {
    for keyword in schema.as_object().expect("a schema is an object").keys() {
        let known = [
            "$ref",
            "$defs",
            "$schema",
            "title",
            "description",
            "type",
            "enum",
            "anyOf",
            "properties",
            "required",
            "additionalProperties",
            "items",
            "minimum",
            "pattern",
        ];
        assert!(known.contains(&keyword.as_str()), "the test does not know the keyword {keyword}");
    }
    if let Some(name) = schema["$ref"].as_str() {
        let target = &root["$defs"][name.trim_start_matches("#/$defs/")];
        assert!(!target.is_null(), "{name} is defined");
        return check(target, root, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let errors: Vec<String> =
            choices.iter().filter_map(|choice| check(choice, root, value, at).err()).collect();
        return if errors.len() < choices.len() { Ok(()) } else { Err(errors.join("; ")) };
    }
    let right = match schema["type"].as_str().expect("a type") {
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the test does not know the type {other}"),
    };
    if !right {
        return Err(format!("{at} is not of type {}: {value}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        return Err(format!("{at} is none of {}: {value}", schema["enum"]));
    }
    if let (Some(items), Some(values)) = (schema.get("items"), value.as_array()) {
        for (index, one) in values.iter().enumerate() {
            check(items, root, one, &format!("{at}[{index}]"))?;
        }
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        for (key, one) in object {
            let property = properties.get(key).ok_or_else(|| format!("{at}.{key} is not in the schema"))?;
            check(property, root, one, &format!("{at}.{key}"))?;
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !object.contains_key(required) {
                return Err(format!("{at} has no {required}"));
            }
        }
    }
    Ok(())
}

#[test]
fn the_json_is_as_the_published_schema_says() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/bulletin.schema.json")).expect("JSON");
    let mut old = Draft::appliance("1.0.0");
    old.package("nginx", "nginx", "1-1", "");
    old.file("etc/x", b"a\n", maker("x"));
    old.put("usr/lib/a.so.1", 0o777, tree::Node::Symlink { target: "b".into() }, package_origin("nginx"));
    let program = std::env::current_exe().and_then(std::fs::read).expect("the test can be read");
    old.file("usr/bin/x", &program, package_origin("nginx"));
    let mut new = Draft::appliance("1.1.0");
    new.package(
        "nginx",
        "nginx",
        "1-2",
        &changelog("nginx", "1-2", "trixie-security", "  * CVE-2026-1111: x"),
    );
    new.file("etc/x", b"b\n", maker("x"));
    new.file("etc/shadow", b"b\n", maker("x"));
    new.put("usr/lib/a.so.2", 0o777, tree::Node::Symlink { target: "c".into() }, package_origin("nginx"));
    let mut other = program.clone();
    *other.last_mut().expect("it is not empty") ^= 1;
    new.file("usr/bin/x", &other, package_origin("nginx")).metadata.mode = 0o4755;
    let value = serde_json::to_value(bulletin_of(&old, &new)).expect("JSON");
    check(&schema, &schema, &value, "$").expect("as the schema says");
    let kinds: Vec<&str> = value["files"]["changes"]
        .as_array()
        .expect("changes")
        .iter()
        .filter_map(|change| change["detail"]["type"].as_str())
        .collect();
    for kind in ["text", "elf", "opaque"] {
        assert!(kinds.contains(&kind), "the sample has a {kind}: {kinds:?}");
    }
    // The check itself refuses what it should.
    let mut spoilt = value.clone();
    spoilt["verdict"]["kind"] = "other".into();
    assert!(check(&schema, &schema, &spoilt, "$").is_err());
    spoilt = value;
    spoilt["more"] = 1.into();
    assert!(check(&schema, &schema, &spoilt, "$").is_err());
}
