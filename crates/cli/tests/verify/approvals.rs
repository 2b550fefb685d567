//! Officers' words: enough of them, of the right release, at the right time.

use release::approval::Word;

use crate::common::NOW;
use crate::world::World;
use crate::{fails, says};

const TWO: &str = " --officers officers --approvals 2";

#[test]
fn as_many_officers_as_are_asked_for_have_to_approve_the_newest_release() {
    let world = World::with(&["1.0.0", "1.0.1"]);
    world.officers(&[11, 12, 13]);
    let [older, newest] = [0, 1].map(|at| world.bench.index().releases[at].id());
    fails(
        &world.verify("depot", TWO),
        &["not proven  approval of 1.0.1", "0 of 2 approve it", "next: ask the officers"],
    );
    // A stranger's word and a word on another release are no words on this one.
    world.say(newest, &World::note(99, Word::Approve, newest, None));
    world.say(newest, &World::note(12, Word::Approve, older, None));
    world.say(newest, &World::note(11, Word::Approve, newest, Some(NOW + 60)));
    fails(&world.verify("depot", TWO), &["1 of 2 approve it"]);
    world.say(newest, &World::note(13, Word::Approve, newest, None));
    let said = world.verify("depot", TWO);
    assert_eq!(said.code, 0, "{said:?}");
    says(&said, &["ok          approval of 1.0.1 <- the officers' keys you gave; by officer-11, officer-13"]);
    // The older one is looked at when it is named.
    fails(&world.verify("depot", &format!(" --release 1.0.0{TWO}")), &["approval of 1.0.0", "0 of 2"]);
    // Of a release folder, the depot has the words.
    let said = world.verify("lamp-1.0.1", &format!(" --depot depot{TWO}"));
    assert_eq!(said.code, 0, "{said:?}");
    fails(&world.verify("lamp-1.0.1", TWO), &["not proven  approvals", "name it with `--depot`"]);
}

#[test]
fn an_approval_that_ended_does_not_count_and_one_no_outweighs_all() {
    let world = World::with(&["1.0.0"]);
    world.officers(&[11, 12, 13]);
    let id = world.bench.index().releases[0].id();
    world.say(id, &World::note(11, Word::Approve, id, Some(NOW + 1)));
    world.say(id, &World::note(12, Word::Approve, id, None));
    assert_eq!(world.verify("depot", TWO).code, 0);
    // Of two words of one second the stricter one counts: this one is over.
    world.say(id, &World::note(11, Word::Approve, id, Some(NOW)));
    fails(&world.verify("depot", TWO), &["1 of 2 approve it"]);
    world.say(id, &World::note(13, Word::Hold, id, None));
    let words =
        ["wrong       approval of 1.0.0", "officer-13 says no: read the bulletin", "do not install it"];
    fails(&world.verify("depot", TWO), &words);
}
