//! What a build tells while it runs. Rendering is the caller's.

/// A named part of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Asking apt for the exact packages.
    Resolve,
    /// Downloading packages.
    Fetch,
    /// Unpacking packages.
    Unpack,
    /// Running maintainer scripts.
    Configure,
    /// Reading the configured tree back.
    Collect,
    /// Adding the maker's files, units and users.
    Compose,
    /// Removing what an appliance does not need.
    Trim,
    /// Writing the image, the hash tree, the UKI.
    Seal,
    /// Writing the disks.
    Disk,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step began; `total` in `unit` when known.
    Started {
        /// Which.
        step: Step,
        /// Amount of work.
        total: Option<u64>,
        /// `bytes` or `packages`.
        unit: &'static str,
    },
    /// A step went on.
    Advanced {
        /// Which.
        step: Step,
        /// Work done so far.
        done: u64,
        /// What is being worked on, such as a package's name.
        item: Option<String>,
    },
    /// A step ended well.
    Finished {
        /// Which.
        step: Step,
        /// Past tense, with counts: `fetched 166 packages, 172 MiB, 160 from the cache`.
        summary: String,
    },
    /// Something a person should know, and that is not an error.
    Note(String),
}

/// Listens to a build. Called from several threads.
pub trait Progress: Sync {
    /// MUST return quickly.
    fn report(&self, event: Event);
}

/// Listens to nothing.
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _: Event) {}
}
