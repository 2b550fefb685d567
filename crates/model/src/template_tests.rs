//! Laws of [`super`].

use super::*;

fn identity() -> Identity {
    Identity {
        vendor: "acme".into(),
        name: "web".into(),
        title: "Acme Web".into(),
        version: "1.2.3".into(),
        summary: "A site".into(),
        contact: None,
        url: None,
        end_of_support: None,
    }
}

fn setting(name: &str) -> Setting {
    Setting {
        name: name.into(),
        title: name.into(),
        help: String::new(),
        kind: Kind::Hostname,
        default: None,
        generate: None,
        optional: true,
        was: Vec::new(),
        restarts: Vec::new(),
        reloads: Vec::new(),
    }
}

fn render(source: &str, values: &[(&str, Value)]) -> Result<String, TemplateError> {
    let settings = ["site-name", "workers", "relay"].map(setting);
    let values = values.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    let context =
        Context { settings: &settings, values: &values, appliance: &identity(), hostname: "host-1" };
    Template::parse(source)?.render(&context)
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

#[test]
fn settings_appear_with_underscores_and_without_escaping() {
    let values = [("site-name", text("A & <B>")), ("workers", Value::Integer(4))];
    assert_eq!(
        render("name {{ site_name }};\nworkers {{ workers * 2 }};\n", &values),
        Ok("name A & <B>;\nworkers 8;\n".into())
    );
    assert_eq!(
        render("{{ appliance.vendor }}/{{ appliance.name }} {{ appliance.version }} on {{ hostname }}", &[]),
        Ok("acme/web 1.2.3 on host-1".into())
    );
}

#[test]
fn blocks_leave_no_empty_lines() {
    let source = "a\n{% if relay %}\nrelay {{ relay }}\n{% endif %}\nb\n";
    assert_eq!(render(source, &[]), Ok("a\nb\n".into()));
    assert_eq!(render(source, &[("relay", text("mx"))]), Ok("a\nrelay mx\nb\n".into()));
}

#[test]
fn what_has_no_value_is_an_error_with_its_line() {
    for source in ["\n{{ relay }}", "\n{{ nothing }}", "\n{{ appliance.nothing }}", "\n{{ 'a' - 1 }}"] {
        let error = render(source, &[]).expect_err(source);
        assert_eq!(error.line, Some(2), "{source}: {error}");
    }
}

#[test]
fn quoting_keeps_a_value_in_its_place() {
    let values = [("site-name", text("it's \"x\" $(reboot)\\"))];
    assert_eq!(render("{{ site_name | shell }}", &values), Ok(r#"'it'\''s "x" $(reboot)\'"#.into()));
    assert_eq!(render("{{ site_name | json }}", &values), Ok(r#""it's \"x\" $(reboot)\\""#.into()));
    assert_eq!(render("{{ '<a b=\"\\'&' | html }}", &values), Ok("&lt;a b=&quot;&#39;&amp;".into()));
    assert!(render("{{ relay | html }}", &[]).is_err() && render("{{ relay | shell }}", &[]).is_err());
}

#[test]
fn no_secret_enters_an_error() {
    let secret = Setting { kind: Kind::Secret { min_length: None, max_length: None }, ..setting("token") };
    // The greatest number the engine counts with: one more overflows, and its message then quotes both.
    let number = i128::MAX.to_string();
    let values = [("token".to_owned(), text(&number))].into();
    let settings = [secret];
    let context = Context { settings: &settings, values: &values, appliance: &identity(), hostname: "h" };
    for source in ["{{ (token | int) * 2 }}", "{{ token - 1 }}", "{{ token.x.y }}", "{{ token() }}"] {
        let rendered = Template::parse(source).expect("it parses").render(&context);
        let error = rendered.expect_err(source);
        assert!(!format!("{error} {error:?}").contains(&number), "{error}");
    }
}

#[test]
fn the_settings_used_are_known_before_rendering() {
    let source = "{% set x = a %}{% for i in range(3) %}{{ i }}{{ loop.index }}{% endfor %}{{ b.c }}{{ hostname }}{{ x }}";
    let template = Template::parse(source).expect("it is a template");
    assert_eq!(template.variables().iter().collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_template_can_not_reach_outside_or_run_for_ever() {
    for source in ["{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{{ debug() }}"] {
        assert!(render(source, &[]).is_err(), "{source}");
    }
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    assert!(render(endless, &[]).is_err_and(|error| error.message.contains("does not end")));
    assert!(Template::parse(&"x".repeat(TEMPLATE_LIMIT + 1)).is_err());
}

#[test]
fn unknown_filters_are_found_without_real_values() {
    let template = Template::parse("{{ site_name | uper }}").expect("it parses");
    let error = template.check_language(&[setting("site-name")], &identity()).expect_err("no such filter");
    assert!(error.message.contains("uper"), "{error}");
}

#[test]
fn a_variable_is_found_where_it_is_used() {
    let source = "b {# b #} {{ 'b' }} {{ a.b | b }} { {{ \"\\\"b\" ~ b }}";
    let at = source.rfind('b').expect("there is one");
    assert_eq!(locate(source, "b"), Some(at..at + 1));
    assert_eq!(locate(source, "c"), None);
    assert_eq!(locate("{% if abc %}", "bc"), None);
    for cut in 0..source.len() {
        locate(&source[..cut], "zz");
    }
}
