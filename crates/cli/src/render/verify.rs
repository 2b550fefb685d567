//! The chain of `ampoule verify`, a line for each link.

use release::verify::{Link, Outcome};

use super::harmless;

/// All links, in the order in which they were checked.
pub fn links(links: &[Link]) -> String {
    links.iter().map(line).collect()
}

fn line(link: &Link) -> String {
    let by = link.by.as_ref().map(|by| format!("; by {by}")).unwrap_or_default();
    let (result, why) = match &link.outcome {
        Outcome::Ok => ("ok", String::new()),
        Outcome::Wrong { why } => ("wrong", format!(": {why}")),
        Outcome::NotProven { why, .. } => ("not proven", format!(": {why}")),
    };
    // Who would vouch is no news where nobody does.
    let by = if why.is_empty() { by } else { String::new() };
    let text = harmless(&format!("{} <- {}{by}{why}", link.what, link.against));
    let next = link.next.as_ref().map(|next| format!("            next: {}\n", harmless(next)));
    format!("{result:<10}  {text}\n{}", next.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_by_a_stranger() {
        let link = Link::ok("a\x1b[2J", "b").wrong("c\r\nok", "d");
        assert_eq!(links(&[link]).matches('\n').count(), 2);
    }

    #[test]
    fn a_link_is_a_line_and_what_to_do_next_another_one() {
        let shown = [Link::ok("root", "hash").by("blocks"), Link::ok("a", "b").wrong("changed", "ask")];
        let text =
            "ok          root <- hash; by blocks\nwrong       a <- b: changed\n            next: ask\n";
        assert_eq!(links(&shown), text);
    }
}
