//! Policies: who has to agree, and what is refused.

use keys::SecretKey;
use proptest::prelude::*;

use super::*;
use crate::note::{Cosigner, NoteSigner};

struct Parties {
    log: SecretKey,
    witnesses: Vec<SecretKey>,
}

impl Parties {
    fn new() -> Self {
        let secret = |seed| SecretKey::from_seed(&[seed; 32]);
        Self { log: secret(100), witnesses: (0..6).map(secret).collect() }
    }

    fn log(&self) -> NoteSigner<'_> {
        NoteSigner::new("example.com/log".parse().expect("a name"), &self.log)
    }

    fn witness(&self, index: usize) -> Cosigner<'_> {
        Cosigner::new(format!("w{index}.example").parse().expect("a name"), &self.witnesses[index])
    }

    /// The example of c2sp.org/tlog-policy, with keys.
    fn text(&self) -> String {
        let mut text = format!("# two organizations\nlog {}\n\n", self.log().key());
        for (index, name) in ["X1", "X2", "X3", "Y1", "Y2", "Y3"].iter().enumerate() {
            text.push_str(&format!("witness {name}\t{}\n", self.witness(index).key()));
        }
        text + "group X-witnesses 2 X1 X2 X3\n group Y-witnesses any Y1 Y2 Y3 \n\
                group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
    }

    fn checkpoint(&self, witnesses: &[(usize, u64)]) -> Note {
        let text = Checkpoint::empty("example.com/log".parse().expect("an origin")).to_text();
        let mut note = Note::new(text.clone()).expect("a text");
        note.add(self.log().sign(&text).expect("signs"));
        for (index, time) in witnesses {
            note.add(self.witness(*index).cosign(&text, *time).expect("co-signs"));
        }
        note
    }
}

#[test]
fn the_example_of_the_specification_is_enforced() {
    let parties = Parties::new();
    let policy = Policy::parse(parties.text().as_bytes()).expect("reads");
    let witnessed = policy.check(&parties.checkpoint(&[(0, 10), (2, 30), (4, 20)])).expect("is enough");
    assert_eq!(witnessed.at, Some(10));
    assert_eq!(witnessed.witnesses, [("X1".into(), 10), ("X3".into(), 30), ("Y2".into(), 20)]);
    let more = policy.check(&parties.checkpoint(&[(0, 10), (1, 40), (2, 30), (4, 20), (5, 50)]));
    assert_eq!(more.expect("is enough").at, Some(30));
    for missing in [&[][..], &[(0, 1)], &[(0, 1), (1, 1)], &[(3, 1), (4, 1), (5, 1)], &[(0, 1), (3, 1)]] {
        let error = policy.check(&parties.checkpoint(missing)).expect_err("is not enough");
        assert!(matches!(error, PolicyError::Quorum { .. }), "{error}");
    }
    let error = policy.check(&parties.checkpoint(&[(0, 1), (3, 1)])).expect_err("is not enough");
    assert_eq!(
        error.to_string(),
        "the checkpoint of `example.com/log` lacks witnesses: only `X1`, `Y1` co-signed it, and the quorum \
         is 2 of (2 of (`X1`, `X2`, `X3`), 1 of (`Y1`, `Y2`, `Y3`))"
    );
}

#[test]
fn witnesses_without_the_log_make_no_checkpoint() {
    let parties = Parties::new();
    let policy = Policy::parse(parties.text().as_bytes()).expect("reads");
    let text = Checkpoint::empty("example.com/log".parse().expect("an origin")).to_text();
    let mut note = Note::new(text.clone()).expect("a text");
    for index in 0..6 {
        note.add(parties.witness(index).cosign(&text, 5).expect("co-signs"));
    }
    assert!(matches!(policy.check(&note), Err(PolicyError::NotSigned(_))));
}

#[test]
fn a_log_is_believed_for_its_own_origin_only() {
    let parties = Parties::new();
    let policy = Policy::parse(parties.text().as_bytes()).expect("reads").without_quorum();
    let text = Checkpoint::empty("example.com/other".parse().expect("an origin")).to_text();
    let mut note = Note::new(text.clone()).expect("a text");
    note.add(parties.log().sign(&text).expect("signs"));
    assert!(matches!(policy.check(&note), Err(PolicyError::UnknownLog(_))));
    policy.check(&parties.checkpoint(&[])).expect("no witness is needed");
}

#[test]
fn k_of_n_reads_as_it_is_written() {
    let parties = Parties::new();
    let (log, first, second) = (parties.log(), parties.witness(0), parties.witness(1));
    let policy = Policy::of(log.key(), 1, &[("a", first.key()), ("b", second.key())]).expect("reads");
    assert_eq!(Policy::parse(policy.to_string().as_bytes()), Ok(policy.clone()));
    assert_eq!(policy.check(&parties.checkpoint(&[(1, 7)])).expect("is enough").at, Some(7));
    let none = Policy::of(log.key(), 0, &[]).expect("reads");
    assert_eq!(none.check(&parties.checkpoint(&[])).expect("is enough").at, None);
    let whole = Policy::parse(parties.text().as_bytes()).expect("reads");
    assert_eq!(Policy::parse(whole.to_string().as_bytes()), Ok(whole));
}

#[test]
fn a_policy_that_counts_somebody_twice_is_refused() {
    let parties = Parties::new();
    let (log, key) = (parties.log(), parties.witness(0));
    let (log, key) = (log.key(), key.key());
    let same_as_log = Cosigner::new("w".parse().expect("a name"), &parties.log);
    let renamed = Cosigner::new("renamed".parse().expect("a name"), &parties.witnesses[0]);
    use PolicyProblem as P;
    let refused = [
        (String::new(), 1, P::NoQuorum),
        (format!("log {log}\n"), 1, P::NoQuorum),
        ("quorum none\nquorum none\n".into(), 2, P::SecondQuorum),
        ("quorum a\n".into(), 1, P::UnknownName("a".into())),
        (format!("witness a {key}\nwitness b {}\n", renamed.key()), 2, P::SameKey("b".into())),
        (format!("log {log}\nwitness w {}\n", same_as_log.key()), 2, P::SameKey("w".into())),
        (format!("witness none {key}\n"), 1, P::SameName("none".into())),
        (format!("witness a {key}\ngroup a any a\n"), 2, P::SameName("a".into())),
        (format!("witness a {key}\ngroup g any a a\n"), 2, P::InTwoGroups("a".into())),
        (format!("witness a {key}\ngroup g any a\ngroup h any a\n"), 3, P::InTwoGroups("a".into())),
        (format!("witness a {key}\ngroup g any none\n"), 2, P::UnknownName("none".into())),
        (format!("witness a {key}\ngroup g any g\n"), 2, P::UnknownName("g".into())),
        (format!("witness a {log}\n"), 1, P::NotACosigner("a".into())),
        ("group g any\n".into(), 1, P::Form("group NAME all|any|NUMBER NAME...")),
        ("logs x\n".into(), 1, P::Word("logs".into())),
        ("quorum none\r\n".into(), 1, P::NotText),
        ("#\u{7f}\n".into(), 1, P::NotText),
    ];
    for (text, line, problem) in refused {
        assert_eq!(Policy::parse(text.as_bytes()), Err(PolicySyntax { line, problem }), "{text}");
    }
    for needed in ["0", "2", "-1", "01", "some", "18446744073709551616"] {
        let text = format!("witness a {key}\ngroup g {needed} a\nquorum g\n");
        let error = Policy::parse(text.as_bytes()).expect_err("is refused");
        assert!(matches!(error.problem, P::Needed { members: 1, .. }), "{needed}");
    }
    assert!(Policy::parse(&vec![b'#'; POLICY_LIMIT + 1]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_policy_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        text in "((log|witness|group|quorum|#)?( [a-z0-9+=]{0,9}){0,4}\n){0,9}",
    ) {
        let _ = Policy::parse(&bytes);
        let _ = Policy::parse(text.as_bytes());
    }
}
