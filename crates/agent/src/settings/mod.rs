//! Settings in the appliance: where values come from, which one counts, how they are kept and changed.

pub mod change;
pub mod document;
pub mod former;
pub mod generate;
pub mod pairs;
pub mod resolve;
pub mod smbios;
pub mod sources;
pub mod store;
