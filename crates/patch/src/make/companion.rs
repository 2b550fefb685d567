//! A patch for appliances with little memory, put together from one that has kernel recipes, so that nothing is compared twice.

use std::io::{Read, Write};

use model::Sha256Digest;

use super::{MakeError, MakeOptions, Recipe, Sides, make};
use crate::error::ApplyError;
use crate::format::{Header, Operation, Work, operations};

/// The companion can not be put together.
#[derive(Debug, thiserror::Error)]
pub enum CompanionError {
    /// The patch can not be read.
    #[error("the patch can not be read")]
    Patch(#[source] ApplyError),
    /// Not the UKI that the patch leads to.
    #[error("the patch leads to another kernel image than the one given")]
    OtherUki,
    /// What takes the recipes' place can not be made.
    #[error("the kernel can not be packed")]
    Make(#[source] MakeError),
    /// Writing failed.
    #[error("the patch can not be written")]
    Write(#[source] std::io::Error),
}

/// Writes `patch` again with every recipe replaced by the bytes it makes, taken from `uki`, the newer UKI. `memory` is what the
/// header says applying needs, in bytes. Nothing is applied: the caller proves that it leads to the same image.
pub fn without_recipes(
    patch: &mut impl Read,
    uki: &[u8],
    memory: u64,
    options: &MakeOptions,
    out: &mut impl Write,
) -> Result<Header, CompanionError> {
    let (mut header, all) = operations(patch).map_err(CompanionError::Patch)?;
    let mut kept = Vec::new();
    let mut offset = 0_u64;
    for operation in all {
        let end = offset.saturating_add(operation.length);
        if let Work::Recompress { .. } = operation.work {
            let place = |at: u64| usize::try_from(at.checked_sub(header.new.root_size)?).ok();
            let range = place(offset).zip(place(end)).and_then(|(start, end)| uki.get(start..end));
            kept.extend(literal(range.ok_or(CompanionError::OtherUki)?, options)?);
        } else {
            kept.push(operation);
        }
        offset = end;
    }
    (header.memory, header.operations) = (memory, kept.len() as u64);
    let mut bytes = header.to_bytes().to_vec();
    for operation in &kept {
        operation.put(&mut bytes);
        out.write_all(&bytes).map_err(CompanionError::Write)?;
        bytes.clear();
    }
    out.write_all(&bytes).map_err(CompanionError::Write)?;
    Ok(header)
}

/// Operations that bring bytes as they are.
fn literal(bytes: &[u8], options: &MakeOptions) -> Result<Vec<Operation>, CompanionError> {
    let nothing: &[u8] = &[];
    let brought = Sides { root: &nothing, uki: bytes, root_hash: Sha256Digest([0; 32]) };
    let options = MakeOptions { recipe: Recipe::Forbidden, ..*options };
    let mut made = Vec::new();
    make(None, brought, &options, &mut made, &|_, _| ()).map_err(CompanionError::Make)?;
    Ok(operations(&mut &made[..]).map_err(CompanionError::Patch)?.1)
}
