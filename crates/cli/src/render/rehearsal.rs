//! A rehearsed patch.

use machine::rehearsal::{Outcome, Report, Step};

use super::counted;

/// One step, while the rehearsal goes on.
pub fn step(step: &Step) -> String {
    let time = if step.seconds < 1.0 { String::new() } else { format!(" ({:.0} s)", step.seconds) };
    let why = step.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("  {:<8}{}{time}{why}", word(step.outcome), step.name)
}

/// The end of `ampoule test`.
pub fn report(report: &Report) -> String {
    let mut text = format!("{} {} to {}\n", report.appliance, report.old.version, report.new.version);
    for chapter in &report.chapters {
        text.push_str(&format!(
            "  {:<8}{} ({:.0} s)\n",
            word(chapter.outcome),
            chapter.name,
            chapter.seconds
        ));
        for step in chapter.steps.iter().filter(|step| step.outcome == Outcome::Failed) {
            let why = step.why.as_deref().unwrap_or_default();
            let mut lines = why.lines();
            text.push_str(&format!("          {}: {}\n", step.name, lines.next().unwrap_or_default()));
            text.extend(lines.map(|line| format!("            {line}\n")));
        }
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    let good = report.chapters.iter().filter(|chapter| chapter.outcome == Outcome::Passed).count();
    let count = counted(report.chapters.len(), "chapter", "chapters");
    text.push_str(&format!("{good} of {count} passed\n"));
    text
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "ok",
        Outcome::Failed => "FAILED",
        Outcome::Skipped => "left out",
    }
}

#[cfg(test)]
mod tests {
    use machine::rehearsal::{Chapter, Release};

    use super::*;

    #[test]
    fn a_failed_step_is_shown_with_its_reason_and_the_others_in_one_line() {
        let step = |name: &str, outcome, why: Option<&str>| Step {
            name: name.into(),
            outcome,
            why: why.map(str::to_owned),
            seconds: 2.4,
        };
        let release = |version: &str| Release { version: version.into(), root_hash: String::new() };
        let chapter =
            |name: &str, outcome, steps| Chapter { name: name.into(), outcome, seconds: 9.0, steps };
        let good = step("1.0.0 boots", Outcome::Passed, None);
        let bad = step("state", Outcome::Failed, Some("the probe is lost\nlast line"));
        let found = Report {
            format: 1,
            appliance: "acme/shop".into(),
            old: release("1.0.0"),
            new: release("1.0.1"),
            passed: false,
            chapters: vec![
                chapter("patch", Outcome::Passed, vec![good.clone()]),
                chapter("power cut", Outcome::Failed, vec![good.clone(), bad]),
            ],
            notes: vec!["probe files: needs root".into()],
        };
        assert_eq!(
            report(&found),
            "acme/shop 1.0.0 to 1.0.1
  ok      patch (9 s)
  FAILED  power cut (9 s)
          state: the probe is lost
            last line
note: probe files: needs root
1 of 2 chapters passed
"
        );
        assert_eq!(super::step(&good), "  ok      1.0.0 boots (2 s)");
    }
}
