//! Making and applying belong together: the same bytes, whoever makes them and wherever they were interrupted.

mod common;

use std::num::NonZeroUsize;

use common::{Memory, apply, apply_within, make, pair, parts};
use patch::{
    ApplyError, CompanionError, Kind, MakeOptions, Recipe, Resume, Work, look, shares, without_recipes,
};

#[test]
fn what_is_applied_is_what_was_compared() {
    let (old, new) = pair();
    for recipe in [Recipe::Allowed, Recipe::Forbidden] {
        for from in [Some(&old), None] {
            let patch = make(from, &new, recipe, 2);
            let mut target = Memory::new(Vec::new());
            let applied = apply(&patch, from, &mut target, Resume::Never).expect("applies");
            assert!(target.root == new.root && target.uki == new.uki);
            assert_eq!(applied.header.new, new.described());
            assert_eq!(applied.header.old, from.map(|old| old.described()));
        }
    }
}

#[test]
fn a_patch_is_the_same_whatever_number_of_threads_made_it() {
    let (old, new) = pair();
    for from in [Some(&old), None] {
        assert!(make(from, &new, Recipe::Allowed, 1) == make(from, &new, Recipe::Allowed, 2));
    }
}

#[test]
fn a_changed_kernel_is_compared_unpacked_unless_that_is_forbidden() {
    let (old, new) = pair();
    let has_recipe = |patch: &[u8]| {
        parts(patch).1.iter().any(|operation| matches!(operation.work, Work::Recompress { .. }))
    };
    let (small, plain) =
        (make(Some(&old), &new, Recipe::Allowed, 2), make(Some(&old), &new, Recipe::Forbidden, 2));
    assert!(has_recipe(&small) && !has_recipe(&plain));
    assert!(small.len() < plain.len(), "{} {}", small.len(), plain.len());
}

#[test]
fn a_companion_leads_to_the_same_bytes_without_a_recipe() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Allowed, 2);
    let options = MakeOptions { threads: NonZeroUsize::MIN, recipe: Recipe::Forbidden };
    let companion = |uki: &[u8]| {
        let mut out = Vec::new();
        without_recipes(&mut &patch[..], uki, 64 << 20, &options, &mut out).map(|_| out)
    };
    let made = companion(&new.uki).expect("it is put together");
    assert!(parts(&made).1.iter().all(|operation| !matches!(operation.work, Work::Recompress { .. })));
    let mut target = Memory::new(Vec::new());
    apply_within(&made, Some(&old), &mut target, Resume::Never, 64 << 20).expect("applies in 64 MiB");
    assert!(target.root == new.root && target.uki == new.uki);
    let cut = &new.uki[..new.uki.len() / 4];
    assert!(matches!(companion(cut), Err(CompanionError::OtherUki)));
}

#[test]
fn a_patch_asks_for_enough_memory_and_for_no_more_than_it_was_allowed() {
    let (old, new) = pair();
    for recipe in [Recipe::Allowed, Recipe::Forbidden] {
        let patch = make(Some(&old), &new, recipe, 2);
        let needed = parts(&patch).0.memory;
        let within = |memory| {
            apply_within(&patch, Some(&old), &mut Memory::new(Vec::new()), Resume::Never, memory).map(drop)
        };
        assert!(within(needed).is_ok());
        assert!(matches!(within(needed - 1), Err(ApplyError::Memory { .. })));
    }
}

#[test]
fn an_interrupted_patch_goes_on_where_it_was() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Forbidden, 2);
    let first = parts(&patch).1.first().expect("operations").length;
    for there in [0, 1, first as usize, first as usize + 7, new.root.len() - 1, new.root.len()] {
        let mut target = Memory::new(new.root[..there].to_vec());
        let applied = apply(&patch, Some(&old), &mut target, Resume::Check).expect("goes on");
        assert!(target.root == new.root && target.uki == new.uki);
        assert_eq!(applied.resumed + target.written, new.root.len() as u64);
        assert!(applied.resumed <= there as u64);
        assert_eq!(applied.resumed > 0, there >= first as usize, "{there} of {first}");
    }
}

#[test]
fn one_damaged_operation_of_an_interrupted_patch_is_done_again() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Forbidden, 2);
    let mut at = 0;
    for operation in parts(&patch).1.iter().take_while(|_| at < new.root.len()).collect::<Vec<_>>() {
        let mut damaged = new.root.clone();
        damaged[at + operation.length as usize / 2] ^= 1;
        let mut target = Memory::new(damaged);
        apply(&patch, Some(&old), &mut target, Resume::Check).expect("repairs");
        assert!(target.root == new.root);
        assert_eq!(target.written, operation.length);
        at += operation.length as usize;
        if at >= new.root.len() {
            break;
        }
    }
    assert_eq!(at, new.root.len());
}

#[test]
fn the_shares_of_a_patch_sum_up_to_its_size() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Allowed, 2);
    let (header, seen) = look(&mut patch.as_slice()).expect("looks");
    assert_eq!(header, parts(&patch).0);
    assert!(seen.iter().any(|operation| operation.kind == Kind::Recompress));
    let shares = shares(&seen, &new.root, &new.uki).expect("an image");
    assert_eq!(shares.values().sum::<u64>(), patch.len() as u64, "{shares:?}");
    let of = |path: &str| shares.get(&patch::Part::File(path.into())).copied().unwrap_or_default();
    assert!(of("usr/lib/new") > 1000, "what is new costs its bytes: {shares:?}");
    assert!(of("usr/lib/large") < 100, "what is the same costs nothing: {shares:?}");
}
