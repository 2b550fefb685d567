//! What a rebuild found, for people.

use std::path::Path;

use builder::rebuild::Comparison;

use super::{counted, harmless};

/// The rebuild is the release.
pub fn identical(
    comparison: &Comparison,
    attestation: &str,
    written: Option<&Path>,
    is_signed: bool,
) -> String {
    let bytes = model::ByteSize(comparison.same.iter().map(|it| it.size).sum());
    let count = counted(comparison.same.len(), "file", "files");
    let mut text = format!("identical: {count}, {bytes}, byte for byte\n");
    match written {
        Some(place) => {
            let signed = if is_signed { "signed" } else { "not signed" };
            text.push_str(&format!("wrote the attestation to {}, {signed}\n", place.display()));
        }
        None => text.push_str(&format!("\n{attestation}")),
    }
    text
}

/// Which files differ, and why the first one does.
pub fn differences(comparison: &Comparison) -> String {
    let mut text = String::new();
    for name in &comparison.different {
        text.push_str(&format!("  differs  {}\n", harmless(name)));
    }
    text.push_str(&format!("  same     {}\n", counted(comparison.same.len(), "file", "files")));
    if let Some(first) = &comparison.explanation {
        text.push_str(&format!("\nfirst difference: {}\n", harmless(&first.what)));
        if let Some(origin) = &first.origin {
            text.push_str(&format!("  from   {}\n", harmless(origin)));
        }
        text.push_str(&format!("  why    {}\n", harmless(&first.why)));
        if first.paths > 1 {
            let others =
                counted(first.paths - 1, "more path of the image differs", "more paths of the image differ");
            text.push_str(&format!("  and    {others}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use builder::rebuild::Explanation;

    #[test]
    fn the_first_difference_is_named_with_its_origin_and_reason() {
        let comparison = Comparison {
            same: Vec::new(),
            different: vec!["root.erofs".into(), "contents.jsonl".into()],
            explanation: Some(Explanation {
                what: "/etc/x\u{1b}[2J".into(),
                origin: Some("package bash".into()),
                why: "its content differs from byte 3 on (7 bytes in both)".into(),
                paths: 2,
            }),
        };
        assert_eq!(
            differences(&comparison),
            "  differs  root.erofs\n  differs  contents.jsonl\n  same     0 files\n\n\
             first difference: /etc/x\u{fffd}[2J\n  from   package bash\n  \
             why    its content differs from byte 3 on (7 bytes in both)\n  and    1 more path of the image differs\n"
        );
    }
}
