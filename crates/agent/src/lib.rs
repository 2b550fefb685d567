//! What runs inside the appliance: `ampoule-init` until systemd starts, `ampoule-agent` afterwards.
//!
//! Owns the boot of a sealed image (verity, data, overlays, state) and its life (settings, health, status card, control
//! protocol). Refuses everything a maker decides: it follows the sealed definition. The only crate with `unsafe`, and
//! all of it is in [`sys`].
//!
//! Decisions are pure functions or act through small traits ([`init::modules::ModuleLoader`],
//! [`init::block::BlockDevice`], [`init::data::DataWorld`], [`store::Disk`]), whose fakes let tests cut the power after
//! every step.

pub mod accounts;
pub mod facts;
pub mod init;
#[allow(unsafe_code, reason = "ioctls and chroot between fork and exec have no safe form")]
pub mod sys;
