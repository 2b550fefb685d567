//! What a rehearsal found, for programs; its form is documented in `docs/TEST.md`.

use std::time::Instant;

use release::ReleaseFolder;
use serde::Serialize;

/// The form this version writes.
pub const FORMAT: u32 = 1;

/// What was rehearsed and how it went.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// `vendor/name`.
    pub appliance: String,
    /// The release that customers run.
    pub old: Release,
    /// The one that is to come.
    pub new: Release,
    /// Whether every step of every chapter is good.
    pub passed: bool,
    /// In the order they ran.
    pub chapters: Vec<Chapter>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Which release.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Release {
    /// Its version.
    pub version: String,
    /// Its root hash, 64 hexadecimal digits.
    pub root_hash: String,
}

/// One story with machines of its own.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Chapter {
    /// What it is about.
    pub name: String,
    /// Whether every step is good.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// In order; the first failed one ends a chapter.
    pub steps: Vec<Step>,
}

/// One thing that has to be so.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// What has to be so.
    pub name: String,
    /// Whether it is.
    pub outcome: Outcome,
    /// Why not.
    pub why: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

/// How something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Good.
    Passed,
    /// Not good.
    Failed,
    /// Not tried here.
    Skipped,
}

/// Collects the steps of a chapter.
pub(super) struct Steps<'a> {
    chapter: &'a str,
    steps: Vec<Step>,
    told: &'a mut dyn FnMut(&str, &Step),
}

impl Steps<'_> {
    /// Tries something; `None` ends the chapter.
    pub(super) fn step<T>(&mut self, name: &str, run: impl FnOnce() -> Result<T, String>) -> Option<T> {
        let begin = Instant::now();
        let result = run();
        let seconds = begin.elapsed().as_secs_f64();
        let (outcome, why, value) = match result {
            Ok(value) => (Outcome::Passed, None, Some(value)),
            Err(why) => (Outcome::Failed, Some(why), None),
        };
        self.push(Step { name: name.to_owned(), outcome, why, seconds });
        value
    }

    /// Says what is not tried.
    pub(super) fn skip(&mut self, name: &str, why: &str) {
        let why = Some(why.to_owned());
        self.push(Step { name: name.to_owned(), outcome: Outcome::Skipped, why, seconds: 0.0 });
    }

    fn push(&mut self, step: Step) {
        (self.told)(self.chapter, &step);
        self.steps.push(step);
    }
}

impl Report {
    pub(super) fn new(old: &ReleaseFolder, new: &ReleaseFolder) -> Self {
        let release = |folder: &ReleaseFolder| Release {
            version: folder.manifest().identity.version.clone(),
            root_hash: folder.manifest().image.root_hash.to_string(),
        };
        Self {
            format: FORMAT,
            appliance: old.manifest().identity.id(),
            old: release(old),
            new: release(new),
            passed: false,
            chapters: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Runs a chapter.
    pub(super) fn chapter<T>(
        &mut self,
        name: &str,
        told: &mut dyn FnMut(&str, &Step),
        run: impl FnOnce(&mut Steps<'_>) -> Option<T>,
    ) -> Option<T> {
        let begin = Instant::now();
        let mut steps = Steps { chapter: name, steps: Vec::new(), told };
        let value = run(&mut steps);
        let steps = steps.steps;
        let is_failed = value.is_none() || steps.iter().any(|step| step.outcome == Outcome::Failed);
        let outcome = if is_failed { Outcome::Failed } else { Outcome::Passed };
        let seconds = begin.elapsed().as_secs_f64();
        self.chapters.push(Chapter { name: name.to_owned(), outcome, seconds, steps });
        value
    }

    pub(super) fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    pub(super) fn finish(mut self) -> Self {
        for step in self.chapters.iter().flat_map(|chapter| &chapter.steps) {
            if let (Outcome::Skipped, Some(why)) = (step.outcome, &step.why) {
                let note = format!("{}: {why}", step.name);
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
        }
        self.passed = self.chapters.iter().all(|chapter| chapter.outcome == Outcome::Passed);
        self
    }
}
