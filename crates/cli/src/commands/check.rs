//! `ampoule check`: validates a definition and the files beside it.

use serde_json::json;

use super::definition::read_definition;
use crate::args::DefinitionArgs;
use crate::error::Failure;
use crate::printer::Printer;

/// Checks, and says what was found.
pub fn run(args: &DefinitionArgs, printer: &Printer) -> Result<(), Failure> {
    let checked = read_definition(&args.definition)?;
    let definition = &checked.parsed.definition;
    printer.data(
        || {
            format!(
                "{} {} is a good definition: {} packages, {} settings, {} templates, {} ports, {} state directories, {} health checks\n",
                definition.appliance.id(),
                definition.appliance.version,
                definition.base.packages.len(),
                definition.settings.len(),
                definition.templates.len(),
                definition.ports.len(),
                definition.state.len(),
                definition.health.len(),
            )
        },
        || json!({"definition": definition}),
    );
    Ok(())
}
