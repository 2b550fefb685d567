//! `ampoule schema`: the definition's JSON Schema or reference.

use crate::args::SchemaArgs;
use crate::error::Failure;
use crate::printer::Printer;

/// Prints one of the two.
pub fn run(args: &SchemaArgs, printer: &Printer) -> Result<(), Failure> {
    let schema = model::reference::json_schema;
    let text = || match args.reference {
        true => model::reference::definition_reference(),
        false => serde_json::to_string_pretty(&schema()).expect("JSON values serialise") + "\n",
    };
    printer.data(text, schema);
    Ok(())
}
