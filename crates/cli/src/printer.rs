//! The one place that prints. Data goes to standard output, everything else to standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this file owns printing")]

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use builder::progress::{Event, Progress, Step};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::args::ProgressMode;
use crate::error::Failure;

/// Prints for people or for programs.
pub struct Printer {
    is_json: bool,
    is_quiet: bool,
    mode: Mode,
    bar: Mutex<Option<ProgressBar>>,
    /// Whether standard output has its document already.
    has_data: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Tty,
    Plain,
    Jsonl,
    None,
}

impl Printer {
    /// Chooses how to print.
    pub fn new(is_json: bool, is_quiet: bool, progress: ProgressMode) -> Self {
        let mode = match progress {
            ProgressMode::Jsonl => Mode::Jsonl,
            _ if is_quiet => Mode::None,
            ProgressMode::Tty => Mode::Tty,
            ProgressMode::Plain => Mode::Plain,
            ProgressMode::Auto if std::io::stderr().is_terminal() => Mode::Tty,
            ProgressMode::Auto => Mode::Plain,
        };
        Self { is_json, is_quiet, mode, bar: Mutex::new(None), has_data: AtomicBool::new(false) }
    }

    /// Data: `text` for people, `value` for programs. A closed pipe ends quietly.
    pub fn data(&self, text: impl FnOnce() -> String, value: impl FnOnce() -> serde_json::Value) {
        let output = if self.is_json {
            serde_json::to_string_pretty(&value()).expect("JSON values serialise") + "\n"
        } else {
            text()
        };
        self.has_data.store(true, Ordering::Relaxed);
        // Writing can only fail because the reader went away, as `| head` does.
        let _ = std::io::stdout().lock().write_all(output.as_bytes());
    }

    /// One line about what happened or goes on.
    pub fn note(&self, line: &str) {
        if !self.is_quiet {
            self.line(line);
        }
    }

    /// What a person is asked about. Also when all else is left out: nobody agrees to what is not shown.
    pub fn question(&self, text: &str) {
        self.line(text);
    }

    fn line(&self, line: &str) {
        let bar = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match (&*bar, self.mode) {
            (_, Mode::Jsonl) => eprintln!("{}", json!({"kind": "note", "text": line})),
            (Some(bar), _) => bar.println(line),
            (None, _) => eprintln!("{line}"),
        }
    }

    /// A line that is replaced by the next one on a terminal, and left out elsewhere.
    pub fn passing(&self, line: &str) {
        if self.mode == Mode::Tty {
            let mut bar = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let bar = bar.get_or_insert_with(spinner);
            bar.set_message(line.to_owned());
            bar.tick();
        }
    }

    /// A line about how far something is, where no bar shows it.
    pub fn waypoint(&self, line: &str) {
        if self.mode == Mode::Plain {
            eprintln!("{line}");
        }
    }

    /// Ends a passing line.
    pub fn clear(&self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            bar.finish_and_clear();
        }
    }

    /// A failure: message, causes, what is unchanged, hints. A program that asked for JSON gets one document: where the answer itself is
    /// there and says what is wrong, the failure is for people only.
    pub fn failure(&self, failure: &Failure) {
        self.clear();
        if self.is_json && !self.has_data.load(Ordering::Relaxed) {
            println!("{}", serde_json::to_string_pretty(&failure.to_json()).expect("JSON values serialise"));
        } else {
            eprint!("{}", failure.to_text());
        }
    }
}

/// A question to a person at a terminal; the answer is typed behind it.
pub fn ask(question: &str) {
    eprint!("{question}");
    let _ = std::io::stderr().flush();
}

impl Progress for Printer {
    fn report(&self, event: Event) {
        match self.mode {
            Mode::None => {}
            Mode::Jsonl => eprintln!("{}", to_json(&event)),
            Mode::Plain => match event {
                Event::Finished { step, summary } => eprintln!("{:>10} {summary}", verb(step)),
                Event::Note(text) => eprintln!("{:>10} {text}", "Note"),
                Event::Started { .. } | Event::Advanced { .. } => {}
            },
            Mode::Tty => self.draw(event),
        }
    }
}

impl Printer {
    fn draw(&self, event: Event) {
        let mut bar = self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match event {
            Event::Started { step, total, unit } => {
                let new = match total {
                    Some(total) => ProgressBar::new(total).with_style(bar_style(unit)),
                    None => spinner(),
                };
                new.set_prefix(verb(step));
                if let Some(old) = bar.replace(new) {
                    old.finish_and_clear();
                }
            }
            Event::Advanced { done, item, .. } => {
                if let Some(bar) = &*bar {
                    bar.set_position(done);
                    bar.set_message(item.unwrap_or_default());
                }
            }
            Event::Finished { step, summary } => {
                let line = format!("\x1b[1;32m{:>10}\x1b[0m {summary}", verb(step));
                match bar.take() {
                    Some(bar) => {
                        bar.println(line);
                        bar.finish_and_clear();
                    }
                    None => eprintln!("{line}"),
                }
            }
            Event::Note(text) => {
                let line = format!("{:>10} {text}", "Note");
                match &*bar {
                    Some(bar) => bar.println(line),
                    None => eprintln!("{line}"),
                }
            }
        }
    }
}

/// Right-aligned words that turn a log into a table.
fn verb(step: Step) -> &'static str {
    match step {
        Step::Resolve => "Resolve",
        Step::Fetch => "Fetch",
        Step::Unpack => "Unpack",
        Step::Configure => "Configure",
        Step::Collect => "Collect",
        Step::Compose => "Compose",
        Step::Trim => "Trim",
        Step::Seal => "Seal",
        Step::Disk => "Disk",
    }
}

fn to_json(event: &Event) -> serde_json::Value {
    match event {
        Event::Started { step, total, unit } => {
            json!({"kind": "started", "step": verb(*step), "total": total, "unit": unit})
        }
        Event::Advanced { step, done, item } => {
            json!({"kind": "advanced", "step": verb(*step), "done": done, "item": item})
        }
        Event::Finished { step, summary } => {
            json!({"kind": "finished", "step": verb(*step), "text": summary})
        }
        Event::Note(text) => json!({"kind": "note", "text": text}),
    }
}

fn spinner() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix:>10} {spinner} {msg}").expect("the template is constant");
    ProgressBar::new_spinner().with_style(style)
}

fn bar_style(unit: &str) -> ProgressStyle {
    let template = match unit {
        "bytes" => "{prefix:>10} [{bar:30}] {bytes}/{total_bytes} {msg}",
        _ => "{prefix:>10} [{bar:30}] {pos}/{len} {msg}",
    };
    ProgressStyle::with_template(template).expect("the template is constant").progress_chars("=> ")
}
