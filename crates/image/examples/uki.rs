//! Puts files into an EFI stub as sections, to try real stubs: `uki STUB OUTPUT .NAME=FILE...`.
#![allow(clippy::print_stdout, reason = "a bench prints what it found")]

use std::error::Error;
use std::fs;

use image::uki;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stub, out, sections @ ..] = arguments.as_slice() else {
        return Err("usage: uki STUB OUTPUT .NAME=FILE...".into());
    };
    let mut contents = Vec::new();
    for section in sections {
        let (name, file) = section.split_once('=').ok_or("sections are given as .NAME=FILE")?;
        contents.push((name, fs::read(file)?));
    }
    let added: Vec<_> = contents.iter().map(|(name, data)| uki::NewSection { name, data }).collect();
    let image = uki::assemble(&fs::read(stub)?, &added)?;
    for section in uki::sections(&image)? {
        println!("{:8} {:#010x} {:10}", section.name, section.virtual_address, section.data.len());
    }
    Ok(fs::write(out, image)?)
}
