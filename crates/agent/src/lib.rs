//! What runs inside the appliance: `ampoule-init` until systemd starts, `ampoule-agent` afterwards.
//!
//! Owns the boot of a sealed image (verity, data, overlays, state) and its life (settings, health, status card, control
//! protocol). Refuses everything a maker decides: it follows the sealed definition. The only crate with `unsafe`, and
//! all of it is in [`sys`].
//!
//! Decisions are pure functions or act through small traits ([`init::modules::ModuleLoader`],
//! [`init::block::BlockDevice`], [`init::data::DataWorld`], [`settings::store::Disk`], [`settings::change::System`]), whose
//! fakes let tests cut the power after every step.

#![deny(unsafe_code)]

pub mod accounts;
pub mod boot;
pub mod card;
pub mod client;
pub mod facts;
pub mod firewall;
pub mod health;
pub mod init;
pub mod media;
pub mod next_root;
pub mod process;
pub mod render;
pub mod run;
pub mod seed;
pub mod settings;
pub mod staged;
#[allow(
    unsafe_code,
    reason = "ioctls, signals, namespaces and the time between fork and exec have no safe form"
)]
pub mod sys;
#[cfg(test)]
mod testing;
pub mod undeclared;
pub mod units;
pub mod update;
