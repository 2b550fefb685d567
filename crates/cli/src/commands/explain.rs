//! `ampoule explain`: where something comes from, since when, and why it is there.

use crate::args::ExplainArgs;
use crate::error::Failure;
use crate::printer::Printer;

/// Explains.
pub fn run(_args: &ExplainArgs, _printer: &Printer) -> Result<(), Failure> {
    Ok(())
}
