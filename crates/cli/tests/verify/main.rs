//! `ampoule verify`, without a network: every broken link is told with what, where, why and what to do next.

#[path = "../../../depot/tests/common/mod.rs"]
mod common;
#[path = "../../../image/tests/common/mod.rs"]
mod pieces;
#[path = "../support/mod.rs"]
mod support;

mod approvals;
mod bundle;
mod depot;
mod images;
mod running;
mod ways;
mod world;

use support::Said;

/// The time that goes with `common::NOW`.
const AT: &str = "2023-11-14T22:13:20Z";

/// It fails as something that is not to be trusted, in these words.
#[track_caller]
fn fails(said: &Said, words: &[&str]) {
    assert_eq!(said.code, 5, "{said:?}");
    says(said, words);
}

/// It says so, in either stream.
#[track_caller]
fn says(said: &Said, words: &[&str]) {
    for word in words {
        assert!(
            said.out.contains(word) || said.err.contains(word),
            "`{word}` is said: {}\n{}",
            said.out,
            said.err
        );
    }
}
