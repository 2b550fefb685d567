//! What a person reads when the appliance can not start: one message, the same five answers every time.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use super::cmdline::OnFailure;

/// How long the message stays before the machine goes off: long enough to read its first lines on a screen, short
/// enough for a supervisor to notice.
pub const READING_TIME: Duration = Duration::from_secs(10);

/// Why the appliance does not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One line.
    pub what: String,
    /// The device or file.
    pub on: String,
    /// The cause.
    pub why: String,
    /// What was not touched.
    pub unchanged: String,
    /// What a person can do.
    pub next: String,
}

impl Failure {
    /// The whole message.
    pub fn render(&self, on_failure: OnFailure) -> String {
        let mut text = String::from("\n\nThis appliance cannot start.\n\n");
        let rows = [
            ("what failed", &self.what),
            ("on", &self.on),
            ("why", &self.why),
            ("unchanged", &self.unchanged),
            ("what to do", &self.next),
        ];
        for (title, answer) in rows {
            let mut title = title;
            for line in wrapped(answer, 62) {
                let _infallible = writeln!(text, "  {title:<12} {line}");
                title = "";
            }
        }
        let end = match on_failure {
            OnFailure::PowerOff => "The machine goes off",
            OnFailure::Reboot => "The machine restarts",
        };
        let _infallible = writeln!(text, "\n{end} in {} seconds.\n", READING_TIME.as_secs());
        text
    }
}

/// Breaks a text at spaces and at its own line ends.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

/// The error and everything that caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _infallible = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Writes to every console the kernel uses, and to the first screen and serial port. Nobody is there to hear of an
/// error.
pub fn tell_consoles(text: &str) {
    let active = std::fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let mut names: Vec<&str> = active.split_ascii_whitespace().collect();
    for name in ["tty0", "ttyS0"] {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let written = names.iter().filter(|name| write_to(&Path::new("/dev").join(name), text)).count();
    if written == 0 {
        write_to(Path::new("/dev/console"), text);
    }
}

fn write_to(path: &Path, text: &str) -> bool {
    let file = File::options().write(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_answers_five_questions() {
        let failure = Failure {
            what: "the data disk belongs to another appliance".to_owned(),
            on: "/dev/vdb1".to_owned(),
            why: "it holds the data of `example/wiki`, and this appliance is `example/shop-with-a-rather-long-name`".to_owned(),
            unchanged: "nothing was written to it".to_owned(),
            next: "attach the data disk of this appliance, or an empty one".to_owned(),
        };
        let expected = "

This appliance cannot start.

  what failed  the data disk belongs to another appliance
  on           /dev/vdb1
  why          it holds the data of `example/wiki`, and this appliance is
               `example/shop-with-a-rather-long-name`
  unchanged    nothing was written to it
  what to do   attach the data disk of this appliance, or an empty one

The machine goes off in 10 seconds.

";
        assert_eq!(failure.render(OnFailure::PowerOff), expected);
        assert!(failure.render(OnFailure::Reboot).contains("The machine restarts in 10 seconds."));
    }
}
