//! The life of a patch as values: which release is next, what it needs and does, which step may follow which, and what the
//! journal of an appliance says.
//!
//! Owns every decision about patches. Refuses all I/O and the clock: the time, what is on the disk and what the depot
//! says come in as values. The agent acts on the answers, and `docs/LIFE-OF-A-PATCH.md` says in which order.

pub mod approval;
pub mod freshness;
pub mod journal;
pub mod life;
pub mod plan;
pub mod precheck;
pub mod window;
