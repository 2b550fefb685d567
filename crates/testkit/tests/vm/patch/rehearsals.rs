//! `ampoule test`, as a maker runs it.

use std::fs;

use release::ReleaseFolder;
use testkit::{Bench, Suite, ampoule, tools};

use super::releases::{first, good, unhealthy};

pub fn rehearsals(suite: &mut Suite) {
    let (old, new, bad) = (first(), good(), unhealthy());
    let bench = Bench::new();
    let report = bench.join("report.json");
    let program = ampoule().display().to_string();
    let folder = |release: &ReleaseFolder| release.path().display().to_string();
    suite.check("a good release passes, with the power cut in every step", || {
        let arguments = ["test", &folder(&old), &folder(&new), "--report"].map(str::to_owned);
        tools::run(&program, arguments.into_iter().chain([report.display().to_string()]));
        let text = fs::read_to_string(&report).expect("a report");
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["passed"], true, "{text}");
        assert!(read["chapters"].as_array().is_some_and(|chapters| chapters.len() > 3), "{text}");
    });
    suite.check("a bad release does not, and the reason is in the report", || {
        let arguments =
            ["test", &folder(&old), &folder(&bad), "--no-power-cuts", "--report"].map(str::to_owned);
        let output = tools::attempt(&program, arguments.into_iter().chain([report.display().to_string()]));
        assert_eq!(output.status.code(), Some(6), "{}", tools::said(&output));
        let text = fs::read_to_string(&report).expect("a report");
        assert!(text.contains("web"), "the check is named: {text}");
    });
}
