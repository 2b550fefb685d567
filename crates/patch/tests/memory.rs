//! Bombs: what unpacks to gigabytes, in a process of its own whose memory is looked at afterwards. One test only: tests
//! side by side would share the figure.

mod common;

use std::io::Write;

use common::{Memory, apply_within, assemble, delta, make, number, pair, parts, stream};
use patch::{ApplyError, Operation, Packing, Recipe, Reference, Resume, Space, Work};

/// Most bytes of memory that this process ever had.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("there is a peak");
    line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).expect("a number") << 10
}

/// Two gigabytes of zeros, packed.
fn zstd_bomb(window: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("zstd");
    encoder.window_log(window).expect("zstd");
    let piece = vec![0; 1 << 20];
    (0..2048).for_each(|_| encoder.write_all(&piece).expect("packs"));
    encoder.finish().expect("packs")
}

/// A `.lzma` head that asks for a dictionary of almost 4 GiB, and nothing that makes sense behind it.
fn lzma_with_dictionary(size: u32) -> Vec<u8> {
    [&[0x5D][..], &size.to_le_bytes(), &u64::MAX.to_le_bytes(), &[0; 4096]].concat()
}

#[test]
fn whatever_a_patch_says_it_takes_no_more_memory_than_it_was_allowed() {
    const ALLOWED: u64 = 64 << 20;
    let (old, new) = pair();
    let (mut header, _) = parts(&make(Some(&old), &new, Recipe::Forbidden, 1));
    (header.new.root_size, header.memory) = (8 << 20, 0);
    let length = 8u64 << 20;
    let none = || stream(0, &[], 0);
    let bomb = zstd_bomb(20);
    let reference = |length| vec![Reference { space: Space::OldRoot, offset: 0, length }];
    let whole = old.root.len() as u64;
    let with = |packed| Work::Delta { references: reference(whole), packed };
    // Millions of stretches that make nothing.
    let empty = {
        let numbers = [number(1_390_000), vec![0; 3 * 1_390_000]].concat();
        [stream(0, &numbers, numbers.len() as u64), none(), none()].concat()
    };
    let recompress =
        |recipe, plain, packed| Work::Recompress { plain, recipe, references: reference(whole), packed };
    let hostile = [
        Work::Literal { packing: Packing::Zstd, packed: bomb.clone() },
        Work::Literal { packing: Packing::Zstd, packed: zstd_bomb(27) },
        Work::Literal { packing: Packing::Lzma, packed: lzma_with_dictionary(u32::MAX) },
        with([stream(2, &bomb, 1 << 40), none(), none()].concat()),
        with([stream(2, &bomb, length / 2), none(), none()].concat()),
        with([stream(1, &lzma_with_dictionary(u32::MAX), 100), none(), none()].concat()),
        with(empty),
        with(delta(&[(0, length, 0)], &[], &[])),
        with([stream(0, &[1, 0, 0, 0], 4), none(), stream(2, &bomb, 1 << 40)].concat()),
        recompress(1, 256 << 20, delta(&[(0, 0, 0)], &[], &[])),
        recompress(3, 1000, [stream(2, &bomb, 1 << 40), none(), none()].concat()),
        recompress(200, 20 << 20, [stream(2, &bomb, 1 << 40), none(), none()].concat()),
    ];
    let before = peak();
    for (index, work) in hostile.into_iter().enumerate() {
        let operation = Operation { length, check: [0; 8], work };
        let patch = assemble(&header, &[operation]);
        let mut target = Memory::new(Vec::new());
        let error = apply_within(&patch, Some(&old), &mut target, Resume::Never, ALLOWED);
        assert!(
            matches!(
                error,
                Err(ApplyError::Impossible { .. } | ApplyError::Different { .. } | ApplyError::Memory { .. })
            ),
            "{index}: {error:?}"
        );
        assert_eq!(target.written, 0);
        let grown = peak().saturating_sub(before);
        assert!(grown < ALLOWED, "{index}: {} MiB", grown >> 20);
    }
}
