//! The attacks that the TUF specification names (1.5.2), and those that were found in other clients, each refused with its own message.
//!
//! An attacker may change every file on the server. Where a test says so, keys were stolen, too.

mod arbitrary_installation;
mod bench;
mod data;
mod delegations;
mod fast_forward;
mod freeze;
mod malicious_mirror;
mod mix_and_match;
mod rollback;
mod store;
mod wrong_software;
