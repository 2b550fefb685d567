//! Failures as people and programs see them: what failed, why, what is unchanged, what to do next.

use std::error::Error;

use serde_json::{Value, json};

/// Whose turn it is after a failure. Decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What was asked cannot be done as asked: exit code 2.
    User,
    /// The definition, a lock or a setting is wrong: exit code 3.
    Definition,
    /// The machine, the network or a tool is in the way: exit code 4.
    Environment,
    /// Something is not what it should be by digest or signature: exit code 5.
    Trust,
    /// The appliance refuses or fails: exit code 6.
    Appliance,
    /// A change breaks a rule it was to be measured by: exit code 7.
    Gate,
}

impl Fault {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Fault::User => 2,
            Fault::Definition => 3,
            Fault::Environment => 4,
            Fault::Trust => 5,
            Fault::Appliance => 6,
            Fault::Gate => 7,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Fault::User => "user",
            Fault::Definition => "definition",
            Fault::Environment => "environment",
            Fault::Trust => "trust",
            Fault::Appliance => "appliance",
            Fault::Gate => "gate",
        }
    }
}

/// A failure ready to be shown.
#[derive(Debug)]
pub struct Failure {
    /// Whose turn it is.
    pub fault: Fault,
    /// What failed, on what.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// Longer text: a script's output, marked lines of a definition.
    pub detail: Option<String>,
    /// What is as before.
    pub unchanged: Option<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with a message only.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
            causes: Vec::new(),
            detail: None,
            unchanged: None,
            hints: Vec::new(),
        }
    }

    /// A failure from an error and its chain of causes.
    pub fn from_error(fault: Fault, error: &(dyn Error + 'static)) -> Self {
        let causes =
            std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
                .map(ToString::to_string);
        Self { causes: causes.collect(), ..Self::new(fault, error.to_string()) }
    }

    /// Adds a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says what is as before.
    pub fn unchanged(mut self, what: impl Into<String>) -> Self {
        self.unchanged = Some(what.into());
        self
    }

    /// Adds longer text.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = format!("error: {}\n", self.message);
        for cause in &self.causes {
            text.push_str(&format!("  because: {cause}\n"));
        }
        if let Some(detail) = &self.detail {
            text.push('\n');
            text.push_str(detail.trim_end());
            text.push_str("\n\n");
        }
        if let Some(unchanged) = &self.unchanged {
            text.push_str(&format!("unchanged: {unchanged}\n"));
        }
        for hint in &self.hints {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({"error": {
            "code": self.fault.code(),
            "message": self.message,
            "causes": self.causes,
            "detail": self.detail,
            "unchanged": self.unchanged,
            "hints": self.hints,
        }})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_why_what_is_unchanged_and_what_next() {
        let io = std::io::Error::other("no space left on device");
        let failure = Failure::from_error(Fault::Environment, &io)
            .unchanged("the release `out` is as before")
            .hint("free some space");
        assert_eq!(
            failure.to_text(),
            "error: no space left on device\nunchanged: the release `out` is as before\nhint: free some space\n"
        );
        assert_eq!(failure.to_json()["error"]["code"], "environment");
    }
}
