//! What is in a ledger, and what is not.

use std::error::Error;
use std::path::{Path, PathBuf};

use ledger::monitor::Progress;
use ledger::policy::Witnessed;
use ledger::record::ReleaseRecord;
use ledger::watch::Alert;

use super::{counted, time};

/// `ampoule ledger init`
pub fn made(folder: &Path, key: &str) -> String {
    format!("made an empty ledger in {}\nfor policies:\n  log {key}\n", folder.display())
}

/// `ampoule ledger append`
pub fn entered(new: usize, proofs: &[(PathBuf, u64)]) -> String {
    let mut text = match new {
        0 => "in the ledger already\n".to_owned(),
        new => format!("entered {}\n", counted(new, "release", "releases")),
    };
    for (path, index) in proofs {
        text.push_str(&format!("  entry {index}, proof {}\n", path.display()));
    }
    text
}

/// `ampoule ledger verify`
pub fn proved(record: &ReleaseRecord, index: u64, witnessed: &Witnessed) -> String {
    let mut text = format!(
        "{}/{} {} is entry {index} of {}, which had {}\n",
        record.vendor,
        record.appliance,
        record.version,
        witnessed.checkpoint.origin,
        entries(witnessed.checkpoint.size)
    );
    for (name, at) in &witnessed.witnesses {
        text.push_str(&format!("  co-signed by {name}, {}\n", time(*at)));
    }
    if witnessed.at.is_none() {
        text.push_str("  the policy asks for no witness: the ledger could show others another list\n");
    }
    text
}

/// `ampoule ledger audit` and `monitor`
pub fn progress(progress: &Progress, alerts: &[Alert]) -> String {
    let mut text = String::new();
    for alert in alerts {
        text.push_str(&format!("alert: {alert}\n"));
    }
    text.push_str(&format!("{} checked, {} new\n", entries(progress.to), progress.to - progress.from));
    if let Some(at) = progress.at {
        text.push_str(&format!("witnessed at {}\n", time(at)));
    }
    for name in &progress.missing {
        text.push_str(&format!("not co-signed by {name}\n"));
    }
    text
}

/// `ampoule ledger witness`
pub fn witness(url: &str, key: &str) -> String {
    format!("{url}\nfor policies:\n  witness NAME {key} {url}\n")
}

/// An error with its causes, on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn entries(count: u64) -> String {
    format!("{count} {}", if count == 1 { "entry" } else { "entries" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_a_ledger_says_what_is_wrong_first() {
        let index = 7;
        let reason = ReleaseRecord::parse(b"nonsense\n").expect_err("is no record");
        let alerts = [Alert::Unreadable { index, reason }];
        let seen = Progress { from: 7, to: 8, at: Some(1_709_209_845), missing: vec!["b".into()] };
        assert_eq!(
            progress(&seen, &alerts),
            "alert: entry 7 is no record of a release: `nonsense` begins no record that is known\n\
             8 entries checked, 1 new\nwitnessed at 2024-02-29 12:30:45 UTC\nnot co-signed by b\n"
        );
    }
}
