//! A suite of checks that share something expensive, such as one booted appliance.
//!
//! The test harness of Rust runs every test from nothing. Here a chapter makes the expensive thing once and its checks
//! look at it one after the other; each still has a name of its own, can fail alone and is counted.

#![expect(clippy::print_stdout, reason = "a test harness reports on standard output")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// Runs chapters and counts their checks. Use it as the `main` of a test target with `harness = false`.
#[derive(Debug)]
#[must_use = "a suite that is not finished reports nothing"]
pub struct Suite {
    filter: Option<String>,
    with_slow: bool,
    chapter: String,
    passed: u32,
    skipped: u32,
    failed: Vec<String>,
}

impl Suite {
    /// Understands what `cargo test -- ...` passes: a part of a chapter's name, and `--include-ignored` for slow chapters.
    pub fn from_arguments() -> Self {
        Self::new(std::env::args().skip(1))
    }

    fn new(arguments: impl IntoIterator<Item = String>) -> Self {
        let (flags, names): (Vec<_>, Vec<_>) =
            arguments.into_iter().partition(|argument| argument.starts_with('-'));
        Self {
            filter: names.into_iter().next(),
            with_slow: flags.iter().any(|flag| flag == "--include-ignored"),
            chapter: String::new(),
            passed: 0,
            skipped: 0,
            failed: Vec::new(),
        }
    }

    /// Runs a chapter. A panic outside of its checks fails the chapter itself.
    pub fn chapter(&mut self, name: &str, run: impl FnOnce(&mut Self)) {
        if self.filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            self.skipped += 1;
            return;
        }
        println!("\n{name}");
        self.chapter = name.to_owned();
        let started = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| run(self))).is_err() {
            self.fail("the chapter runs to its end");
        }
        println!("  ({:.0} s)", started.elapsed().as_secs_f32());
    }

    /// As [`Suite::chapter`], only when slow ones are asked for.
    pub fn slow_chapter(&mut self, name: &str, run: impl FnOnce(&mut Self)) {
        if self.with_slow {
            self.chapter(name, run);
        } else {
            println!("\n{name}: left out, `./test --all` runs it");
            self.skipped += 1;
        }
    }

    /// Runs one check; what panics has failed. `None` lets a chapter end when the rest of it has no ground.
    pub fn check<T>(&mut self, name: &str, run: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(value) => {
                println!("  test {name} ... ok");
                self.passed += 1;
                Some(value)
            }
            Err(_) => {
                self.fail(name);
                None
            }
        }
    }

    fn fail(&mut self, name: &str) {
        println!("  test {name} ... FAILED");
        self.failed.push(format!("{}: {name}", self.chapter));
    }

    /// Tells the counts. The exit code is for `main`.
    pub fn finish(self) -> ExitCode {
        for name in &self.failed {
            println!("failed: {name}");
        }
        let word = if self.failed.is_empty() { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {} passed; {} failed; {} chapters left out",
            self.passed,
            self.failed.len(),
            self.skipped
        );
        // A filter that fits nothing is a mistake, not a success.
        if self.failed.is_empty() && self.passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(arguments: &[&str]) -> Suite {
        Suite::new(arguments.iter().map(|argument| argument.to_string()))
    }

    #[test]
    fn a_failed_check_does_not_stop_the_next_and_fails_the_suite() {
        let mut suite = suite(&[]);
        suite.chapter("one", |suite| {
            assert!(suite.check("bad", || panic!("on purpose")).is_none());
            assert_eq!(suite.check("good", || 7), Some(7));
        });
        assert_eq!((suite.passed, suite.failed.clone()), (1, vec!["one: bad".to_owned()]));
        assert_eq!(suite.finish(), ExitCode::FAILURE);
    }

    #[test]
    fn a_chapter_that_breaks_off_and_a_suite_that_checks_nothing_fail() {
        let mut suite = suite(&["nothing fits"]);
        suite.chapter("one", |suite| assert_eq!(suite.check("good", || 7), Some(7)));
        assert_eq!(suite.finish(), ExitCode::FAILURE);
        let mut broken = self::suite(&[]);
        broken.chapter("two", |_| panic!("on purpose"));
        assert_eq!(broken.failed.len(), 1);
    }

    #[test]
    fn slow_chapters_run_only_when_asked_for() {
        for (arguments, expected) in [(&[][..], 0), (&["--include-ignored"][..], 1)] {
            let mut suite = suite(arguments);
            suite.slow_chapter("slow", |suite| {
                suite.check("good", || ());
            });
            assert_eq!(suite.passed, expected);
        }
    }
}
