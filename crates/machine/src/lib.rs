//! Starts an appliance in QEMU and talks to its agent.
//!
//! Owns the VM folder, the QEMU process and the host's end of the control protocol. Refuses printing and deciding
//! what people see: it returns values and reports [`Note`]s.
//!
//! A run, step by step: [`folder::VmFolder::lock`] · disks ([`disk`]) · ports ([`ports`]) · acceleration
//! ([`acceleration`]) · the pure [`plan::plan`] · the supervisor thread, which owns the process and replaces a KVM that
//! fails · [`Running`], which people hold.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::{path::Path, time::Duration};
//! let release = release::ReleaseFolder::open(Path::new("out"))?;
//! let options = machine::RunOptions::of(release.manifest());
//! let running = machine::run(&release, Path::new(".ampoule/vm/lamp"), options, |_note| ())?;
//! let status = running.wait_healthy(Duration::from_secs(120), |_progress| ())?;
//! let stopped = running.shutdown(machine::StopTimeouts::default())?;
//! # Ok(()) }
//! ```

pub mod acceleration;
pub mod control;
pub mod disk;
mod error;
pub mod firmware;
pub mod folder;
pub mod follow;
mod line;
mod note;
pub mod plan;
pub mod ports;
mod probe;
pub mod qmp;
pub mod rehearsal;
mod relay;
mod run;
pub mod seed;
mod socket;
mod stop;
mod supervisor;
mod system;

pub use acceleration::{Acceleration, AccelerationChoice};
pub use control::{ControlClient, ControlError};
pub use error::MachineError;
pub use folder::VmFolder;
pub use note::{Note, Progress};
pub use plan::{Boot, Flush, Forward, HostPort, Keep, Reinstall, RunOptions, Screen};
pub use run::{Running, run};
pub use stop::{StopMethod, StopTimeouts, Stopped, stop};
pub use supervisor::Exit;
