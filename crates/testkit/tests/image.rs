//! The release of `examples/lamp`, judged by programs that are not ours, and by the laws.

#[path = "image/judges.rs"]
mod judges;
#[path = "image/laws.rs"]
mod laws;
#[path = "image/papers.rs"]
mod papers;
#[path = "image/twice.rs"]
mod twice;
