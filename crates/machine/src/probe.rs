//! A program of 78 bytes that shows whether a virtual processor works.
//!
//! It runs as the machine's firmware: 20 million steps in real mode, the mode in which broken KVMs fail first, then as
//! many in protected mode, then it leaves through QEMU's `isa-debug-exit`. A working KVM should need some 20 ms, emulation
//! about 300 ms; a KVM that emulates instruction by instruction does not get through in a minute.

/// Exit code of QEMU when the program got to its end: `isa-debug-exit` makes `2 * value + 1` of what is written.
pub(crate) const EXIT_CODE: i32 = (EXIT_VALUE as i32) * 2 + 1;
/// I/O port of `isa-debug-exit`.
pub(crate) const EXIT_PORT: u8 = 0xf4;

const EXIT_VALUE: u8 = 0x2a;
const ROM_SIZE: usize = 64 << 10;
/// Where the program lies in the ROM, whose last byte is at 4 GiB - 1.
const PROGRAM_OFFSET: usize = 0xff00;
/// Where an x86 processor begins: 16 bytes below the end.
const RESET_OFFSET: usize = 0xfff0;

#[rustfmt::skip]
const PROGRAM: &[u8] = &[
    // 16 bits
    0xfa,                                           // cli
    0x66, 0xb9, 0x00, 0x2d, 0x31, 0x01,             // mov ecx, 20000000
    0x66, 0x49,                                     // dec ecx
    0x75, 0xfc,                                     // jnz to the line before
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x48, 0xff,       // lgdt cs:[0xff48]
    0x0f, 0x20, 0xc0,                               // mov eax, cr0
    0x0c, 0x01,                                     // or al, 1: protection on
    0x0f, 0x22, 0xc0,                               // mov cr0, eax
    0x66, 0xea, 0x22, 0xff, 0xff, 0xff, 0x08, 0x00, // jmp 8:0xffffff22, the next line
    // 32 bits
    0xb9, 0x00, 0x2d, 0x31, 0x01,                   // mov ecx, 20000000
    0x49,                                           // dec ecx
    0x75, 0xfd,                                     // jnz to the line before
    0xb0, EXIT_VALUE,                               // mov al, EXIT_VALUE
    0xe6, EXIT_PORT,                                // out EXIT_PORT, al
    0xf4,                                           // hlt
    0xeb, 0xfd,                                     // jmp to the line before
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    // 0x38: descriptor table: none, flat code already marked accessed (a ROM can not be marked)
    0, 0, 0, 0, 0, 0, 0, 0,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xcf, 0x00,
    // 0x48: its limit and its address, 0xffffff38
    0x0f, 0x00, 0x38, 0xff, 0xff, 0xff,
];

/// The firmware image.
pub(crate) fn rom() -> Vec<u8> {
    let mut rom = vec![0; ROM_SIZE];
    rom[PROGRAM_OFFSET..PROGRAM_OFFSET + PROGRAM.len()].copy_from_slice(PROGRAM);
    // jmp PROGRAM_OFFSET, relative to the instruction after it.
    let distance = (PROGRAM_OFFSET as u16).wrapping_sub(RESET_OFFSET as u16 + 3).to_le_bytes();
    rom[RESET_OFFSET..RESET_OFFSET + 3].copy_from_slice(&[0xe9, distance[0], distance[1]]);
    rom
}
