//! What a run tells besides its results. Texts are one line each; where they are shown is the caller's.

use std::fmt;

use model::control::Status;

/// Something a person should know, and that is not an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The processor is emulated because KVM is missing or does not work. Told at most once a run.
    Emulated {
        /// Why, in a few words.
        why: String,
    },
    /// A wished port was taken, and another one is used.
    PortTaken {
        /// The wish.
        wished: u16,
        /// What is used.
        chosen: u16,
        /// The appliance's port.
        guest: u16,
    },
    /// The release is another one than at the last run: the system disk is installed anew, data stays.
    OtherRelease,
    /// The system disk was patched from inside and has the release that is to run: it is left as it is.
    PatchedSystem {
        /// Version it was installed from.
        installed: String,
        /// Version of the release.
        release: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Emulated { why } => write!(f, "the processor is emulated, which is slow: {why}"),
            Self::PortTaken { wished, chosen, guest } => {
                write!(f, "port {wished} is taken: port {guest} of the appliance is at {chosen}")
            }
            Self::OtherRelease => f.write_str(
                "the release changed since the last run: the system disk is installed anew, data stays",
            ),
            Self::PatchedSystem { installed, release } => {
                write!(
                    f,
                    "the system disk was installed from {installed} and patched; it has {release}, and is left as it is"
                )
            }
        }
    }
}

/// How far a start has come. Later variants are later stages; a restart goes back to the first.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Nothing was heard from the agent. `last_line` is the last line on the serial console, without control
    /// characters.
    Booting {
        /// May be empty.
        last_line: String,
        /// How often the machine restarted so far: a number that grows is a boot that fails again and again.
        restarts: u32,
    },
    /// The agent is up.
    Agent(Box<Status>),
}
