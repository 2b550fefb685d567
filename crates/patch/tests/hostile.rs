//! Patches that were damaged, or made to do harm: always an error, never a panic, never a wrong image.

mod common;

use std::num::NonZeroUsize;

use common::{
    Memory, Release, apply, apply_within, assemble, delta, make, noise, number, operation, pair, parts,
    stream,
};
use image::{Uuid, verity};
use patch::{ApplyError, Described, Header, Operation, Packing, Recipe, Reference, Resume, Space, Work};

fn failure(patch: &[u8], old: Option<&Release>) -> ApplyError {
    apply(patch, old, &mut Memory::new(Vec::new()), Resume::Never).expect_err("a bad patch is refused")
}

/// Where operations begin, and the end.
fn borders(patch: &[u8]) -> Vec<usize> {
    let (_, operations) = parts(patch);
    let mut at = patch::HEADER_LENGTH;
    let mut borders = vec![at];
    for operation in operations {
        let mut bytes = Vec::new();
        operation.put(&mut bytes);
        at += bytes.len();
        borders.push(at);
    }
    assert_eq!(at, patch.len());
    borders
}

/// A header for a small image without an old one.
fn small(root: u64) -> Header {
    let new = Described { root_size: root, uki_size: 0, ..pair().1.described() };
    Header { old: None, new, memory: 0, operations: 0 }
}

/// What becomes of one operation that says to make `length` bytes of a small image with no old one.
fn alone(length: u64, work: Work) -> ApplyError {
    let operation = Operation { length, check: [0; 8], work };
    failure(&assemble(&small(1 << 20), &[operation]), None)
}

#[test]
fn a_patch_that_ends_too_early_is_an_error_wherever_it_ends() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Forbidden, 2);
    let borders = borders(&patch);
    let near = borders.iter().flat_map(|border| border.saturating_sub(3)..border + 24);
    let mut ends: Vec<usize> = (0..patch.len()).step_by(509).chain(near).chain(0..260).collect();
    ends.retain(|end| *end < patch.len());
    ends.sort_unstable();
    ends.dedup();
    for end in ends {
        match failure(&patch[..end], Some(&old)) {
            ApplyError::NotAPatch { .. } => assert!(end < patch::HEADER_LENGTH),
            ApplyError::Truncated { operation } => {
                assert!(borders[operation as usize] <= end && end < borders[operation as usize + 1]);
            }
            other => panic!("{end}: {other}"),
        }
    }
}

#[test]
fn bytes_behind_the_last_operation_are_an_error() {
    let (old, new) = pair();
    let patch = [make(Some(&old), &new, Recipe::Forbidden, 2), vec![0]].concat();
    assert!(matches!(failure(&patch, Some(&old)), ApplyError::NotAPatch { .. }));
}

#[test]
fn a_flipped_bit_is_an_error_or_changes_nothing() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Forbidden, 2);
    let borders = borders(&patch);
    let heads = borders.iter().flat_map(|border| *border..border + 40).filter(|at| *at < patch.len());
    let mut refused = 0;
    for (turn, at) in (0..patch.len()).step_by(211).chain(heads).chain(0..patch::HEADER_LENGTH).enumerate() {
        let mut damaged = patch.clone();
        damaged[at] ^= 1 << (turn % 8);
        let mut target = Memory::new(Vec::new());
        match apply(&damaged, Some(&old), &mut target, Resume::Never) {
            Err(_) => refused += 1,
            Ok(applied) => {
                assert!(at >= patch::HEADER_LENGTH, "every bit of the header is checked");
                assert_eq!(applied.header, parts(&patch).0);
                assert!(target.root == new.root && target.uki == new.uki, "byte {at}");
            }
        }
    }
    assert!(refused > 400, "{refused}");
}

/// A check says nothing of its place: what is whole in itself may be done, and then the root hash is another one.
#[test]
fn operations_in_another_order_are_an_error_or_give_another_root_hash() {
    let (old, new) = pair();
    let root_hash = |root: &[u8]| {
        let options = verity::Options { salt: vec![7; 32], uuid: Uuid::NIL, threads: NonZeroUsize::MIN };
        let mut builder = verity::VerityBuilder::new(options).expect("builds");
        builder.update(root);
        builder.finish().expect("whole blocks").root_hash
    };
    let wanted = root_hash(&new.root);
    let (header, operations) = parts(&make(Some(&old), &new, Recipe::Forbidden, 2));
    let (mut refused, mut given) = (0, 0);
    let mut judge = |operations: &[Operation]| {
        let mut target = Memory::new(Vec::new());
        match apply(&assemble(&header, operations), Some(&old), &mut target, Resume::Never) {
            Err(_) => refused += 1,
            Ok(_) => {
                given += 1;
                assert!(target.uki == new.uki);
                assert_ne!(root_hash(&target.root), wanted);
            }
        }
    };
    for first in 0..operations.len() - 1 {
        let mut swapped = operations.clone();
        swapped.swap(first, first + 1);
        judge(&swapped);
        let mut twice = operations.clone();
        twice.insert(first, operations[first].clone());
        judge(&twice);
        let mut without = operations.clone();
        without.remove(first);
        judge(&without);
    }
    assert!(refused >= 2 * (operations.len() - 1), "{refused} refused, {given} given");
}

#[test]
fn a_patch_for_another_release_is_refused_before_anything_is_written() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Forbidden, 2);
    let with = |change: fn(&mut Release)| {
        let mut other = old.clone();
        change(&mut other);
        Some(other)
    };
    let others = [
        None,
        Some(new.clone()),
        with(|it| it.root_hash.0[31] ^= 1),
        with(|it| it.uki[700] ^= 1),
        with(|it| it.uki.push(0)),
        with(|it| it.root.truncate(4096)),
    ];
    for other in others {
        let mut target = Memory::new(Vec::new());
        let error = apply(&patch, other.as_ref(), &mut target, Resume::Never).expect_err("another release");
        assert!(matches!(error, ApplyError::WrongFrom { .. }), "{error}");
        assert_eq!((target.written, target.uki.len()), (0, 0));
    }
}

#[test]
fn an_old_image_that_is_not_whole_is_found_where_it_matters() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Forbidden, 2);
    let mut damaged = old.clone();
    damaged.root.iter_mut().step_by(4096).for_each(|byte| *byte ^= 1);
    assert!(matches!(failure(&patch, Some(&damaged)), ApplyError::Different { .. }));
}

#[test]
fn a_header_beyond_the_limits_is_refused_at_once() {
    let header = small(1 << 20);
    let changed = |change: fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        failure(&header.to_bytes(), None)
    };
    assert!(matches!(changed(|it| it.new.root_size = u64::MAX), ApplyError::NotAPatch { .. }));
    assert!(matches!(changed(|it| it.new.root_size = (1 << 40) + 1), ApplyError::NotAPatch { .. }));
    assert!(matches!(changed(|it| it.new.uki_size = (512 << 20) + 1), ApplyError::NotAPatch { .. }));
    assert!(matches!(changed(|it| it.operations = u64::MAX), ApplyError::NotAPatch { .. }));
    // All that is allowed and nothing behind it.
    assert!(matches!(
        changed(|it| (it.new.root_size, it.operations) = (1 << 40, 4 << 20)),
        ApplyError::Truncated { operation: 0 }
    ));
    assert!(matches!(changed(|it| it.operations = 0), ApplyError::NotAPatch { .. }));
    let mut bytes = header.to_bytes();
    bytes[8] = 2;
    assert!(matches!(failure(&bytes, None), ApplyError::Format { found: 2 }));
}

#[test]
fn a_header_that_asks_for_little_does_not_let_an_operation_take_much() {
    let (old, new) = pair();
    let (mut header, operations) = parts(&make(Some(&old), &new, Recipe::Allowed, 2));
    header.memory = 1;
    let patch = assemble(&header, &operations);
    let mut target = Memory::new(Vec::new());
    let error = apply_within(&patch, Some(&old), &mut target, Resume::Never, 64 << 20);
    assert!(matches!(error, Err(ApplyError::Memory { .. })), "{error:?}");
}

#[test]
fn numbers_without_end_and_numbers_that_do_not_fit_are_errors() {
    let header = assemble(&small(1 << 20), &[]);
    let header = {
        let (mut header, _) = parts(&header);
        header.operations = 1;
        header.to_bytes().to_vec()
    };
    let endless = vec![0xFF; 1 << 16];
    for kind in 0..=5u8 {
        let length = [&header[..], &[kind], &endless].concat();
        assert!(matches!(failure(&length, None), ApplyError::Impossible { .. }));
        for second in [0u8, 1, 3, 0xFF] {
            let rest = [&header[..], &[kind], &number(4096), &[0; 8], &[second], &endless].concat();
            let error = failure(&rest, None);
            assert!(
                matches!(error, ApplyError::Impossible { .. } | ApplyError::Different { .. }),
                "{kind} {second}: {error}"
            );
        }
    }
}

#[test]
fn operations_beyond_a_limit_are_refused() {
    let zero = |length| alone(length, Work::Zero);
    assert!(matches!(zero(0), ApplyError::Impossible { .. }));
    assert!(matches!(zero(u64::MAX), ApplyError::Impossible { .. }));
    assert!(matches!(zero((1 << 20) + 1), ApplyError::Impossible { .. }));
    let reference = |space, offset, length| Reference { space, offset, length };
    let with = |references: Vec<Reference>| {
        alone(4096, Work::Delta { references, packed: delta(&[(4096, 0, 0)], &[0; 4096], &[]) })
    };
    for references in [
        vec![reference(Space::NewRoot, 0, 1)],
        vec![reference(Space::OldRoot, 0, 4096)],
        vec![reference(Space::OldUki, 0, 4096)],
        vec![reference(Space::OldKernel, 0, 4096)],
        vec![reference(Space::OldRoot, (1 << 40) + 1, 1)],
        vec![reference(Space::OldRoot, 0, (16 << 20) + 1)],
        vec![reference(Space::OldRoot, 0, 9 << 20); 2],
        vec![reference(Space::OldRoot, 0, 0); (1 << 16) + 1],
    ] {
        assert!(matches!(with(references), ApplyError::Impossible { .. }));
    }
    let copy = |space, offset| alone(4096, Work::Copy { space, offset });
    for space in [Space::OldRoot, Space::OldUki, Space::NewRoot, Space::OldKernel] {
        for offset in [0, 1 << 20, u64::MAX - 4095, u64::MAX] {
            assert!(matches!(copy(space, offset), ApplyError::Impossible { .. }));
        }
    }
    let recompress = |plain, recipe| {
        alone(4096, Work::Recompress { plain, recipe, references: vec![], packed: delta(&[], &[], &[]) })
    };
    assert!(matches!(recompress(0, 0), ApplyError::Impossible { .. }));
    assert!(matches!(recompress(0, 77), ApplyError::Impossible { .. }));
    assert!(matches!(recompress((256 << 20) + 1, 1), ApplyError::Impossible { .. }));
    assert!(matches!(recompress(0, 1), ApplyError::Impossible { .. }));
    let literal = Work::Literal { packing: Packing::Plain, packed: noise(100, 1) };
    assert!(matches!(alone((8 << 20) + 1, literal), ApplyError::Impossible { .. }));
}

/// What a delta over 64 known bytes says to a bad stream.
fn of_delta(packed: Vec<u8>, length: u64) -> ApplyError {
    let known = operation(&[7; 64], Work::Literal { packing: Packing::Plain, packed: vec![7; 64] });
    let references = vec![Reference { space: Space::NewRoot, offset: 0, length: 64 }];
    let bad = Operation { length, check: [0; 8], work: Work::Delta { references, packed } };
    failure(&assemble(&small(1 << 20), &[known, bad]), None)
}

#[test]
fn a_delta_that_takes_brings_or_moves_too_much_is_refused() {
    let big = u64::MAX;
    for stretches in [
        vec![(65, 0, 0)],
        vec![(big, 0, 0)],
        vec![(0, big, 0)],
        vec![(big, big, 0)],
        vec![(64, 0, -64), (1, big, 0)],
        vec![(8, 0, -9), (1, 0, 0)],
        vec![(8, 0, i64::MAX), (1, 0, 0)],
        vec![(8, 0, i64::MAX), (0, 0, i64::MAX), (0, 0, i64::MAX)],
        vec![(8, 0, i64::MIN), (1, 0, 0)],
        vec![(64, 0, 0)],
        vec![],
        vec![(64, 65, 0)],
    ] {
        let error = of_delta(delta(&stretches, &[0; 256], &[0; 256]), 128);
        assert!(matches!(error, ApplyError::Impossible { .. }), "{stretches:?}: {error}");
    }
    // The whole is right but for its check.
    let whole = of_delta(delta(&[(64, 64, 0)], &[0; 64], &[0; 64]), 128);
    assert!(matches!(whole, ApplyError::Different { .. }), "{whole}");
    let missing = [(&[0; 63][..], &[0; 64][..]), (&[0; 64], &[0; 63])];
    for (differences, own) in missing {
        let error = of_delta(delta(&[(64, 64, 0)], differences, own), 128);
        assert!(matches!(error, ApplyError::Impossible { .. }), "{error}");
    }
}

#[test]
fn streams_that_lie_about_themselves_are_refused() {
    let good = delta(&[(64, 64, 0)], &[0; 64], &[0; 64]);
    let mut bad = vec![
        Vec::new(),
        [good.clone(), vec![0]].concat(),
        good[..good.len() - 1].to_vec(),
        vec![0xFF; 4096],
        // More stretches than bytes that tell them, and numbers longer than they may be.
        [stream(0, &number(u64::MAX), 10), stream(0, &[], 0), stream(0, &[], 0)].concat(),
        [stream(0, &[0; 10_000], 10_000), stream(0, &[], 0), stream(0, &[], 0)].concat(),
        [stream(1, &[], u64::MAX), stream(0, &[], 0), stream(0, &[], 0)].concat(),
        [vec![0], number(u64::MAX), number(1)].concat(),
        [vec![3], number(0), number(0)].concat(),
    ];
    for packing in [1, 2] {
        bad.push([stream(packing, &noise(50, 3), 50), stream(0, &[], 0), stream(0, &[], 0)].concat());
    }
    for packed in bad {
        let error = of_delta(packed.clone(), 128);
        assert!(matches!(error, ApplyError::Impossible { .. }), "{packed:?}: {error}");
    }
}

#[test]
fn a_target_that_fails_is_named_with_its_place() {
    let (old, new) = pair();
    let patch = make(Some(&old), &new, Recipe::Forbidden, 2);
    let mut target = Memory { room: 100_000, ..Memory::new(Vec::new()) };
    let error = apply(&patch, Some(&old), &mut target, Resume::Never);
    assert!(matches!(error, Err(ApplyError::Target { .. })), "{error:?}");
}
