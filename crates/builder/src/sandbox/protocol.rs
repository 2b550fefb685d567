//! What crosses the border of the sandbox: a task in a file, messages as lines of JSON.

use std::error::Error;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::{BaseError, BaseRequest};
use crate::progress::{Event, Step};

/// What the sandbox has to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The base to make. Package paths are absolute.
    pub request: BaseRequest,
    /// Existing directory for the base's files.
    pub out: PathBuf,
    /// Existing empty directory to work in.
    pub mount: PathBuf,
    /// Threads for unpacking and hashing.
    pub threads: usize,
}

/// What the sandbox says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Message {
    Started { step: Phase, total: Option<u64> },
    Advanced { step: Phase, done: u64, item: String },
    Finished { step: Phase, summary: String },
    Note(String),
    Failed(Failure),
    Done,
}

/// Steps that happen inside.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    Unpack,
    Configure,
    Collect,
}

/// Why the sandbox gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Failure {
    Script { package: String, script: String, status: String, output: String },
    Dpkg { status: String, output: String },
    Other { messages: Vec<String> },
}

impl From<BaseError> for Failure {
    fn from(error: BaseError) -> Self {
        match error {
            BaseError::Script { package, script, status, output } => {
                Failure::Script { package, script, status, output }
            }
            BaseError::Dpkg { status, output } => Failure::Dpkg { status, output },
            other => {
                let mut messages = vec![other.to_string()];
                let mut cause = other.source();
                while let Some(error) = cause {
                    messages.push(error.to_string());
                    cause = error.source();
                }
                Failure::Other { messages }
            }
        }
    }
}

impl Phase {
    fn step(self) -> Step {
        match self {
            Phase::Unpack => Step::Unpack,
            Phase::Configure => Step::Configure,
            Phase::Collect => Step::Collect,
        }
    }
}

impl Message {
    /// The event to report, if the message is one.
    pub(crate) fn into_event(self) -> Option<Event> {
        Some(match self {
            Message::Started { step, total } => Event::Started { step: step.step(), total, unit: "packages" },
            Message::Advanced { step, done, item } => {
                Event::Advanced { step: step.step(), done, item: Some(item) }
            }
            Message::Finished { step, summary } => Event::Finished { step: step.step(), summary },
            Message::Note(text) => Event::Note(text),
            Message::Failed(_) | Message::Done => return None,
        })
    }
}
