//! `ampoule check`: validates a definition and the files beside it.

use serde_json::json;

use super::definition::read_definition;
use crate::args::DefinitionArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::render::counted;

/// Checks, and says what was found.
pub fn run(args: &DefinitionArgs, printer: &Printer) -> Result<(), Failure> {
    let checked = read_definition(&args.definition)?;
    let definition = &checked.parsed.definition;
    printer.data(
        || {
            let counts = [
                (definition.base.packages.len(), "package", "packages"),
                (definition.settings.len(), "setting", "settings"),
                (definition.templates.len(), "template", "templates"),
                (definition.ports.len(), "port", "ports"),
                (definition.state.len(), "state directory", "state directories"),
                (definition.health.len(), "health check", "health checks"),
            ];
            let identity = &definition.appliance;
            let counts = counts.map(|(number, one, many)| counted(number, one, many)).join(", ");
            format!("{} {} is a good definition: {counts}\n", identity.id(), identity.version)
        },
        || json!({"definition": definition}),
    );
    Ok(())
}
