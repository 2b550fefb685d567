//! The definition that `ampoule init` writes: small, complete, working.
//!
//! Owns the texts. Refuses writing them.

use crate::syntax::is_slug;

/// A name that can not be an appliance's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` can not be an appliance's name: expected lower-case letters, digits and single hyphens, beginning with a letter"
)]
pub struct NameSyntax {
    /// The name, cut to what can be shown.
    name: String,
}

/// Files of a new definition, as paths relative to its folder with their texts. `appliance.toml` comes first.
///
/// # Errors
/// When the name is not a slug.
pub fn scaffold(name: &str) -> Result<Vec<(&'static str, String)>, NameSyntax> {
    if !is_slug(name) {
        return Err(NameSyntax { name: name.chars().take(60).flat_map(char::escape_debug).collect() });
    }
    let named = |text: &str| text.replace("@NAME@", name);
    Ok(vec![
        ("appliance.toml", named(include_str!("scaffold/appliance.toml"))),
        ("site/about.html", named(include_str!("scaffold/about.html"))),
        ("templates/default", named(include_str!("scaffold/default"))),
        ("templates/index.html", named(include_str!("scaffold/index.html"))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, tests::Files};
    use crate::parse::parse;
    use crate::problem::render_problems;
    use crate::settings::Value;
    use crate::template::{Context, Template};

    #[test]
    fn the_scaffold_is_a_working_definition() {
        let files = scaffold("my-site").expect("the name is good");
        let text = &files[0].1;
        let parsed =
            parse(text).unwrap_or_else(|problems| panic!("{}", render_problems(&problems, files[0].0, text)));
        assert_eq!(parsed.definition.appliance.name, "my-site");
        let beside = files.iter().map(|(path, text)| (path.to_string(), text.clone().into_bytes())).collect();
        let problems = check::check(&parsed, &Files(beside));
        assert!(problems.is_empty(), "{}", render_problems(&problems, files[0].0, text));
        assert!(files.iter().all(|(_, text)| !text.contains("@NAME@") && text.ends_with('\n')));
    }

    #[test]
    fn the_scaffold_renders_its_setting() {
        let files = scaffold("my-site").expect("the name is good");
        let definition = parse(&files[0].1).expect("it is right").definition;
        let values = [("greeting".to_owned(), Value::String("A & B".into()))].into();
        let context = Context {
            settings: &definition.settings,
            values: &values,
            appliance: &definition.appliance,
            hostname: "host-1",
        };
        for template in &definition.templates {
            let (_, text) = files.iter().find(|(path, _)| *path == template.source).expect("it is there");
            let rendered = Template::parse(text).and_then(|text| text.render(&context)).expect("it renders");
            if template.source.ends_with("index.html") {
                assert!(rendered.contains("A &amp; B"), "{rendered}");
            }
        }
    }

    #[test]
    fn a_bad_name_is_refused() {
        assert!(scaffold("My Site").is_err_and(|error| error.to_string().contains("`My Site`")));
        assert!(scaffold("../x").is_err());
    }
}
